r"""Read a TSV, CSV or JSONL file into rows of named cells.

- TSV (.tsv, .txt): one row per line, cells separated by tabs. Quotes are text, as in GLUE.
- CSV (.csv): cells separated by commas. A quoted cell may hold commas and line ends (RFC 4180).
- JSONL (.jsonl, .ndjson): one JSON object per line. Numbers keep the text they are written with.

Files are UTF-8, with or without a byte order mark. Lines end in LF or CRLF, or in CR if the file
has no LF. Blank lines are skipped. Every other line that cannot be read is an error.
"""

import codecs
import csv
import difflib
import io
import json
import re
import stat
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from minibert.errors import MiniBertError

MAX_SHOWN = 10  # errors of a file that are shown one by one
MAX_NAME_LENGTH = 40  # characters; a longer cell is not a column name

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
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")

Column = str | int | None
"""A column as the user gives it: a name, a number from 1, or None to guess."""
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


@dataclass(frozen=True)
class Table:
    """A file as rows of named cells.

    Attributes:
        path: the file.
        names: the column names in order; "1", "2", ... if the file has no header.
        has_header: whether the names come from the file.
        rows: (line number from 1, column name -> cell). A cell is a str; in JSONL it can also be
            a tuple of str, None, a list or a dict.
        errors: the bad lines so far. The reader of a task adds its own, and raises them together.
    """

    path: Path
    names: Sequence[str]
    has_header: bool
    rows: Sequence[tuple[int, Mapping[str, object]]]
    errors: Errors


def read_table(path: Path, requested: Sequence[Column], known_names: Collection[str]) -> Table:
    """Read a file.

    Args:
        path: the file.
        requested: the columns that the user asks for. See `has_header`.
        known_names: likewise.

    Raises:
        MiniBertError: the file cannot be read, has no rows, or has two columns of one name.
    """
    format_ = _FORMATS.get(path.suffix.lower())
    if format_ is None:
        raise MiniBertError(
            f"{path}: cannot tell the format from the name, which should end in one of "
            f"{', '.join(_FORMATS)}; if the file is compressed, unpack it first."
        )
    text = _read_text(path)
    errors: Errors = []
    rows: list[tuple[int, Mapping[str, object]]] = []
    if format_ == "jsonl":
        header = True
        rows += _jsonl_rows(text, path, errors)
        names = list(dict.fromkeys(key for _, row in rows for key in row))
    else:
        if format_ == "csv":
            lines = list(_csv_rows(text, errors))
        else:
            numbered = enumerate(_split_lines(text), start=1)
            lines = [(number, line.split("\t")) for number, line in numbered if line]
        first = lines[0][1] if lines else []
        header = has_header(first, requested, known_names)
        names = first if header else [str(number + 1) for number in range(len(first))]
        for number, cells in lines:
            if "\0" in "".join(cells):
                errors.append((number, "a NUL character; is the file UTF-16?"))
            if len(cells) == len(names):
                rows.append((number, dict(zip(names, cells, strict=True))))
                continue
            reason = f"{len(cells)} cells where the first line has {len(names)}"
            if len(cells) > len(names):
                in_text = "a comma in an unquoted text" if format_ == "csv" else "a tab in a text"
                reason += f"; is there {in_text}?"
            elif number == lines[-1][0]:
                reason += "; is the file cut short?"
            errors.append((number, reason))
        del rows[:header]
    if not rows:
        empty = MiniBertError(f"{path} holds {'a header and ' * header}no examples.")
        raise bad_lines(path, errors) if errors else empty
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise MiniBertError(f"{path} has two columns named '{repeated[0]}'; rename one.")
    return Table(path, names, header, rows, errors)


def has_header(
    first_row: Sequence[str], requested: Sequence[Column], known_names: Collection[str]
) -> bool:
    """Return whether the first row of a TSV or CSV file holds column names.

    It does if the user asks for a column by name, or if one of its cells is among `known_names`
    and none is longer than a name.
    """
    if any(isinstance(column, str) and not column.isdecimal() for column in requested):
        return True
    folded = [cell.strip().casefold() for cell in first_row]
    return any(cell in known_names for cell in folded) and max(map(len, folded)) <= MAX_NAME_LENGTH


def _read_text(path: Path) -> str:
    """Return the whole file as text, without a byte order mark."""
    try:
        mode = path.stat().st_mode
        data = path.read_bytes() if stat.S_ISREG(mode) else b""  # reading a pipe could block
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
        if data.startswith(first_bytes):
            raise MiniBertError(f"{path} is {what}; {advice}.")
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        cut = " (is the file cut short?)" if error.reason == "unexpected end of data" else ""
        raise MiniBertError(
            f"{path}:{line}:{column}: byte 0x{data[error.start]:02x} is not UTF-8{cut}; if the "
            "file was saved as Windows-1252 (Western) or GB18030 (Chinese), convert it: "
            "iconv -f GB18030 -t UTF-8 OLD > NEW"
        ) from None
    if not text or text.isspace():
        raise MiniBertError(f"{path} is empty; it should hold one example per line.")
    return text


def _split_lines(text: str) -> list[str]:
    # Not str.splitlines, which also splits at characters such as U+0085, inside a text.
    return text.replace("\r\n", "\n").split("\n") if "\n" in text else text.split("\r")


def _csv_rows(text: str, errors: Errors) -> Iterator[tuple[int, list[str]]]:
    # The csv module allows 131,072 characters per cell. The limit is global, so it is restored.
    previous_limit = csv.field_size_limit(len(text) + 1)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    start = 1
    try:
        for cells in reader:
            if cells:
                yield start, cells
            start = reader.line_num + 1
    except csv.Error as error:
        # A stray quote shifts all following cells, so only the first error is reported.
        reason = (
            'a " that opens a cell is never closed'
            if "unexpected end" in str(error)
            else f'a " in the wrong place ({error}, line {reader.line_num})'
        )
        errors.append((start, f'{reason}; inside a quoted cell, write a quote as ""'))
    finally:
        csv.field_size_limit(previous_limit)


def _jsonl_rows(
    text: str, path: Path, errors: Errors
) -> Iterator[tuple[int, Mapping[str, object]]]:
    if text.lstrip().startswith("["):
        raise MiniBertError(
            f"{path} is one JSON list; write one object per line: jq -c '.[]' OLD > NEW.jsonl"
        )
    lines = _split_lines(text)
    # parse_int=str: a label 1.50 or 007 stays as written.
    decoder = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = decoder.decode(line)
        except json.JSONDecodeError as error:
            cut = "; is the file cut short?" if number == len(lines) else ""
            errors.append((number, f"not JSON ({error.msg}, character {error.colno}){cut}"))
        except RecursionError:
            errors.append((number, "not an example: the brackets are nested too deeply"))
        else:
            if isinstance(value, dict):
                yield number, {key: _json_cell(cell) for key, cell in value.items()}
            else:
                errors.append((number, 'not an object such as {"text": "...", "label": "..."}'))


def _json_cell(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # An escape such as \ud83d alone is half a character, which UTF-8 cannot hold.
        return _LONE_SURROGATE.sub("\ufffd", value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(_LONE_SURROGATE.sub("\ufffd", item) for item in value)
    return value
