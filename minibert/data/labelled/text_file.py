"""Read a text file as UTF-8, UTF-16 or in a given encoding, and list its bad lines together."""

import codecs
import difflib
import stat
from collections.abc import Iterator, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

from minibert.errors import MiniBertError

MAX_SHOWN = 10  # errors of a file that are shown one by one

_FOREIGN = {  # first bytes -> what the file is, what to do
    b"\x1f\x8b": ("compressed with gzip", "unpack it first (gunzip)"),
    b"BZh": ("compressed with bzip2", "unpack it first (bunzip2)"),
    b"\xfd7zXZ": ("compressed with xz", "unpack it first (unxz)"),
    b"\x28\xb5\x2f\xfd": ("compressed with zstd", "unpack it first (unzstd)"),
    b"PK\x03\x04": ("a zip archive or an Excel sheet", "unpack it, or save the sheet as CSV UTF-8"),
    b"PAR1": ("a Parquet file", "save it as JSONL"),
}
_BYTE_ORDER_MARKS = {  # UTF-32 before UTF-16, whose mark is the beginning of the other
    codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip

Errors = list[tuple[int, str]]
"""The bad lines of a file: (line number from 1, reason)."""


def bad_lines(path: Path, errors: Errors) -> MiniBertError:
    """Return one error that lists the bad lines of a file, in order."""
    in_order = sorted(errors, key=lambda error: error[0])
    return MiniBertError(join_messages([f"{path}:{line}: {reason}" for line, reason in in_order]))


def join_messages(messages: Sequence[str]) -> str:
    """Return the first ten messages, one per line, and the number of the others."""
    more = [f"and {len(messages) - MAX_SHOWN:,} more"] if len(messages) > MAX_SHOWN else []
    return "\n".join([*messages[:MAX_SHOWN], *more])


def read_text(path: Path, encoding: str | None) -> tuple[str, list[str]]:
    """Return the whole file as text without a byte order mark, and a note if it is not UTF-8."""
    file, notes = open_text(path, encoding)
    with file:
        return file.read(), notes


def open_text(path: Path, encoding: str | None) -> tuple[TextIO, list[str]]:
    """Open a file of any size as text, like `read_text`, after checking all of it.

    Args:
        path: the file. Its line ends are kept.
        encoding: that of a file that is not UTF-8.

    Raises:
        MiniBertError: there is no such file, or it is not text in this encoding, or empty.
    """
    try:
        mode, first = path.stat().st_mode, b""
        if stat.S_ISREG(mode):  # reading a pipe could block
            with path.open("rb") as binary:
                first = binary.read(8)
    except FileNotFoundError:
        close = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*")], n=1)
        hint = f" Did you mean '{path.parent / close[0]}'?" if close else ""
        if not path.parent.is_dir():
            hint = f" The folder {path.parent} does not exist either."
        raise MiniBertError(f"{path} does not exist; check the path.{hint}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MiniBertError(f"cannot read {path}: {reason}; check its permissions.") from error
    if not stat.S_ISREG(mode):
        folder = "a folder; name one of the files in it."
        pipe = "a pipe or a device; write its content to a file first."
        raise MiniBertError(f"{path} is {folder if stat.S_ISDIR(mode) else pipe}")
    for first_bytes, (what, advice) in _FOREIGN.items():
        if first.startswith(first_bytes):
            raise MiniBertError(f"{path} is {what}; {advice}.")
    if first == bytes(8):  # a sparse file, perhaps of gigabytes
        raise MiniBertError(f"{path} begins with NUL characters, so it is not text; copy it again.")
    marked = (name for mark, name in _BYTE_ORDER_MARKS.items() if first.startswith(mark))
    used = next(marked, "utf-8-sig")
    if encoding is not None and not _decodes(path, used):
        used = encoding
    if not _decodes(path, used):
        raise _undecodable(path, used.removesuffix("-sig"))
    text = TextIOWrapper(path.open("rb"), encoding=used, newline="")
    if not any(not block.isspace() for block in iter(lambda: text.read(2**20), "")):
        raise MiniBertError(f"{path} is empty; it should hold one example per line.")
    text.seek(0)
    return text, ([] if used == "utf-8-sig" else [f"{used} text"])


def _decodes(path: Path, encoding: str) -> bool:
    try:
        with path.open("rb") as binary, TextIOWrapper(binary, encoding, newline="") as file:
            while file.read(2**20):
                pass
    except LookupError:
        raise MiniBertError(
            f"the encoding '{encoding}' is unknown; give another --encoding."
        ) from None
    except UnicodeError:
        return False
    return True


def _undecodable(path: Path, encoding: str) -> MiniBertError:
    """Return the error that says where a file is not in an encoding, and what to do."""
    data = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    where, cut, byte = "", False, ""
    try:
        data.decode(encoding)
    except UnicodeDecodeError as error:
        before = data[: error.start].decode(encoding, errors="replace")
        where = f":{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
        cut = "end of data" in error.reason or "truncated" in error.reason
        byte = f"byte 0x{data[error.start]:02x} "
    advice = (
        "; if the file was saved as Windows-1252 (Western) or GB18030 (Chinese), pass "
        "--encoding cp1252 or gb18030, or convert it: iconv -f GB18030 -t UTF-8 OLD > NEW"
    )
    return MiniBertError(
        f"{path}{where}: {byte}is not {encoding.upper()}"
        f"{' (is the file cut short?)' * cut}{advice * (encoding == 'utf-8')}"
    )


def split_lines(text: str) -> list[str]:
    """Return the lines of a text, which can hold the other line ends of Unicode, such as U+0085."""
    return text.replace("\r\n", "\n").split("\n") if "\n" in text else text.split("\r")


def raw_lines(file: TextIO) -> Iterator[str]:
    """Yield the lines of an open file with their ends, divided as by `split_lines`."""
    pieces = iter(file)  # ending in LF, CRLF or CR
    start: list[str] = []
    for piece in pieces:
        start.append(piece)
        if piece.endswith("\n"):
            break
        if len(start) > 1000:  # lines that end in CR
            break
    if not start or not start[-1].endswith("\n"):
        yield from start
        yield from pieces
        return
    yield "".join(start)
    line: list[str] = []
    for piece in pieces:
        line.append(piece)
        if piece.endswith("\n"):
            yield "".join(line)
            line.clear()
    if line:
        yield "".join(line)
