r"""TSV, CSV and JSONL files -> rows of named cells, or one error that lists every bad line.

- TSV (.tsv, .txt): one row a line, cells between tabs; a quote is text, as in the GLUE files.
- CSV (.csv), RFC 4180: cells between commas; a cell in quotes may hold commas and line ends.
- JSONL (.jsonl, .ndjson): one JSON object a line; a number keeps the text it was written with.

Files are UTF-8, with or without a byte order mark. Lines end in LF or CRLF, or in CR where a file
has no LF. A blank line holds no row and is passed over; any other line that cannot be read is an
error. It leaves out: which cell means what (`columns.py`), and other encodings, which are refused.
"""

import codecs
import csv
import difflib
import io
import json
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from minibert.errors import MiniBertError

MOST_SHOWN = 10  # bad lines of a file that are told one by one

_FORMATS = {
    ".tsv": "tsv", ".txt": "tsv", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl",
}  # fmt: skip
_FOREIGN = {  # first bytes -> what the file is, what to do
    b"\x1f\x8b": ("compressed with gzip", "unpack it first (gunzip)"),
    b"BZh": ("compressed with bzip2", "unpack it first (bunzip2)"),
    b"\xfd7zXZ": ("compressed with xz", "unpack it first (unxz)"),
    b"\x28\xb5\x2f\xfd": ("compressed with zstd", "unpack it first (unzstd)"),
    b"PK\x03\x04": ("a zip archive or an Excel sheet", "unpack it, or save the sheet as CSV UTF-8"),
    b"PAR1": ("a Parquet file", "save it as JSONL"),
    b"\xff\xfe": ("UTF-16 text", "convert it: iconv -f UTF-16 -t UTF-8 OLD > NEW"),
    b"\xfe\xff": ("UTF-16 text", "convert it: iconv -f UTF-16 -t UTF-8 OLD > NEW"),
}


@dataclass
class Problems:
    """The bad lines of one file, gathered so that the user sees all of them at once."""

    path: Path
    found: list[tuple[int, str]] = field(default_factory=list)

    def add(self, line: int, reason: str, *, column: int | None = None) -> None:
        """Note that `line` (from 1) is bad, at the character `column` (from 1) if that is known."""
        place = f"{self.path}:{line}" if column is None else f"{self.path}:{line}:{column}"
        self.found.append((line, f"{place}: {reason}"))

    def raise_if_any(self) -> None:
        """Raise one MiniBertError that shows the first ten and counts the rest."""
        if not self.found:
            return
        self.found.sort(key=lambda problem: problem[0])
        shown = [sentence for _, sentence in self.found[:MOST_SHOWN]]
        if len(self.found) > MOST_SHOWN:
            shown.append(f"and {len(self.found) - MOST_SHOWN:,} more")
        raise MiniBertError("\n".join(shown))


def file_format(path: Path) -> str:
    """`"tsv"`, `"csv"` or `"jsonl"`, by the end of the file's name.

    Raises:
        MiniBertError: the name ends in something else.
    """
    found = _FORMATS.get(path.suffix.lower())
    if found is None:
        raise MiniBertError(
            f"{path}: cannot tell the format from the name; it should end in one of "
            f"{', '.join(_FORMATS)} ({_foreign_name(path)})."
        )
    return found


def read_text(path: Path) -> str:
    """The whole file as text, without a byte order mark.

    Raises:
        MiniBertError: there is no such file, it is no regular file, or it is not UTF-8 text.
    """
    try:
        mode = path.stat().st_mode
        data = path.read_bytes() if stat.S_ISREG(mode) else b""  # a pipe may make us wait for ever
    except FileNotFoundError:
        raise MiniBertError(f"{path}: there is no such file.{_neighbours(path)}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MiniBertError(f"{path} could not be read: {reason}.") from error
    if stat.S_ISDIR(mode):
        raise MiniBertError(f"{path} is a folder; name one of the files in it.")
    if not stat.S_ISREG(mode):
        raise MiniBertError(f"{path} is a pipe or a device; write its content to a file first.")
    for first_bytes, (what, advice) in _FOREIGN.items():
        if data.startswith(first_bytes):
            raise MiniBertError(f"{path} is {what}; {advice}.")
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        line = before.count("\n") + 1
        column = len(before) - before.rfind("\n")
        cut = " (is the file cut short?)" if error.reason == "unexpected end of data" else ""
        raise MiniBertError(
            f"{path}:{line}:{column}: byte 0x{data[error.start]:02x} is not UTF-8{cut}; if it "
            "was saved as Windows-1252 (Western) or GB18030 (Chinese), convert it: "
            "iconv -f GB18030 -t UTF-8 OLD > NEW"
        ) from None
    if not text or text.isspace():
        raise MiniBertError(f"{path} is empty; it should hold one example a line.")
    return text


def split_lines(text: str) -> list[str]:
    """Lines without their ends. `str.splitlines` would also cut at U+0085, inside a text."""
    if "\n" not in text:
        return text.split("\r")
    return text.replace("\r\n", "\n").split("\n")


def read_cells(path: Path, problems: Problems) -> list[tuple[int, list[str]]]:
    """The rows of a TSV or CSV file: (line number from 1, cells); a header is a row like others."""
    text = read_text(path)
    comma = file_format(path) == "csv"
    rows = list(_csv_rows(text, problems)) if comma else list(_tsv_rows(text))
    if "\0" in text:
        for line, cells in rows:
            if any("\0" in cell for cell in cells):
                problems.add(line, "a NUL character, which no text has; is the file UTF-16?")
    return rows


def _tsv_rows(text: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(split_lines(text), start=1):
        if line:
            yield number, line.split("\t")


def _csv_rows(text: str, problems: Problems) -> Iterator[tuple[int, list[str]]]:
    # csv allows 131,072 characters a cell; the limit belongs to the process, so it is put back.
    usual_limit = csv.field_size_limit(len(text) + 1)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        start = 1
        try:
            for cells in reader:
                if cells:
                    yield start, cells
                start = reader.line_num + 1
        except csv.Error as error:
            # What follows a stray quote is cut in the wrong places: only this one is worth telling.
            reason = (
                'a " that opens a cell is never closed'
                if "unexpected end" in str(error)
                else f'a " in the wrong place ({error}, line {reader.line_num})'
            )
            problems.add(start, f'{reason}; inside a quoted cell a quote is written ""')
    finally:
        csv.field_size_limit(usual_limit)


def read_objects(path: Path, problems: Problems) -> list[tuple[int, dict[str, object]]]:
    r"""The objects of a JSONL file: (line number from 1, key -> cell).

    A cell is a text, a tuple of texts for a list of them, or any other value that JSON can hold.
    A lone surrogate escape (`\ud83d`, half a character) becomes U+FFFD: UTF-8 cannot hold it.
    """
    text = read_text(path)
    if text.lstrip().startswith("["):
        raise MiniBertError(
            f"{path} is one JSON list; write one object a line: jq -c '.[]' OLD > NEW.jsonl"
        )
    lines = split_lines(text)
    # parse_int=str: a label 1.50 or 007 stays what was written.
    decoder = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)
    rows: list[tuple[int, dict[str, object]]] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = decoder.decode(line)
        except json.JSONDecodeError as error:
            cut = "; is the file cut short?" if number == len(lines) else ""
            problems.add(number, f"not JSON ({error.msg}){cut}", column=error.colno)
            continue
        except RecursionError:
            problems.add(number, "not an example: the brackets are nested too deep")
            continue
        if not isinstance(value, dict):
            problems.add(number, 'not an object such as {"text": "...", "label": "..."}')
            continue
        rows.append((number, {key: _json_cell(cell) for key, cell in value.items()}))
    return rows


def _json_cell(value: object) -> object:
    """A text (numbers have become one), a tuple of texts, or whatever else it is."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _LONE_SURROGATE.sub("\ufffd", value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(_LONE_SURROGATE.sub("\ufffd", item) for item in value)
    return value


_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def _foreign_name(path: Path) -> str:
    packed = path.suffix.lower() in {".gz", ".bz2", ".xz", ".zip", ".zst"}
    return "unpack it first" if packed else f"not {path.suffix or 'nothing'!r}"


def _neighbours(path: Path) -> str:
    """What lies where the missing file was looked for: most often it is a slip of the pen."""
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return f" There is no folder {path.parent} either."
    close = difflib.get_close_matches(path.name, names, n=1)
    return f" Did you mean '{path.parent / close[0]}'?" if close else ""
