r"""Read a TSV, CSV or JSON file into rows of named cells.

- TSV (.tsv, .txt, other names): one row per line, cells separated by tabs. Quotes are text, as in
  GLUE, except around every cell of a column. A line of fastText, "__label__x some text", is a label
  and a text.
- CSV (.csv): cells separated by commas, or by semicolons or tabs if those give equally long rows.
  A quoted cell may hold separators and line ends (RFC 4180).
- JSON (.jsonl, .ndjson, .json): one object per line, or objects of several lines, or a list of
  objects, or an object that holds one such list, or one of columns. Numbers stay as written.

Files are UTF-8, with or without a byte order mark, or UTF-16 and UTF-32 with one. Lines end in LF
or CRLF, or in CR if the file has no LF. Blank lines are skipped. Every other line that cannot be
read is an error. `header.py` decides whether the first line holds the column names.
"""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minibert.data.labelled.header import GUESS, KNOWN_NAMES, Columns, has_header
from minibert.data.labelled.text_file import Errors, bad_lines, read_text, split_lines
from minibert.errors import MiniBertError

_FORMATS = {
    ".tsv": "tsv", ".txt": "tsv", ".csv": "csv",
    ".jsonl": "json", ".ndjson": "json", ".json": "json",
}  # fmt: skip
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".zip")
# Of CSV files, most likely first.
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
JSON_OF_LINES = re.compile(r'\s*(\[|\{\s*\n\s*"|\{.*\},\s*\n)')  # a list, or objects as of jq
_BETWEEN = re.compile(r"[\s,]*")  # the items of a JSON list
_TOO_DEEP = "not an example: the brackets are nested too deeply"
_DECIMAL_COMMA = re.compile(r"-?\d+(,\d+)?")  # written where semicolons separate cells
_FASTTEXT = re.compile(r"((?:__label__\S+\s+)+)(.*)", re.DOTALL)

Row = tuple[int, Mapping[str, object]]
"""A row of a file: (line number from 1, column name -> cell)."""


@dataclass(frozen=True)
class Table:
    """A file as rows of named cells.

    Attributes:
        path: the file.
        names: the column names in order; "1", "2", ... if the file has no header. A name that is
            empty or occurs twice gets the number of its column: "text (column 3)".
        has_header: whether the names come from the file.
        rows: (line number from 1, column name -> cell). A cell is a str; in JSON it can also be
            a tuple of str, None, a list or a dict.
        errors: the bad lines so far. The reader of a task adds its own, and raises them together.
        notes: what was decided about the form of the file, for the user.
    """

    path: Path
    names: Sequence[str]
    has_header: bool
    rows: Sequence[Row]
    errors: Errors
    notes: Sequence[str] = ()


def read_table(path: Path, requested: Columns = GUESS, *, encoding: str | None = None) -> Table:
    """Read a file.

    Args:
        path: the file.
        requested: the columns that the user asks for, see `has_header`.
        encoding: that of a file that is not UTF-8, such as "cp1252" or "gb18030".

    Raises:
        MiniBertError: the file cannot be read or has no rows.
    """
    format_of(path)
    text, notes = read_text(path, encoding)
    table = parse_table(text, path, requested, notes)
    if not table.rows:
        header = "a header and " * bool(table.has_header and table.names)
        empty = MiniBertError(f"{path} holds {header}no examples.")
        raise bad_lines(path, table.errors) if table.errors else empty
    return table


def format_of(path: Path) -> str:
    """Return "tsv", "csv" or "json" for the name of a file; with another name, it needs tabs."""
    if format_ := _FORMATS.get(path.suffix.lower()):
        return format_
    if path.is_file() and path.suffix.lower() not in _COMPRESSED:
        with suppress(OSError), path.open("rb") as file:
            if b"\t" in file.readline(10_000):
                return "tsv"
    raise MiniBertError(
        f"{path}: cannot tell the format from the name, which should end in one of "
        f"{', '.join(_FORMATS)}; rename the file, or unpack it if it is compressed."
    )


def parse_table(text: str, path: Path, requested: Columns, notes: Sequence[str] = ()) -> Table:
    """Return the table that the text of a file holds; see `read_table`."""
    format_, notes = format_of(path), [*notes]
    errors: Errors = []
    if format_ == "tsv" and "\t" not in text and _names_by_commas(text):
        format_ = "csv"
        notes.append("a CSV file by its first line")
    if format_ == "json":
        rows = list(_json_rows(text, path, errors))
        names, header = list(dict.fromkeys(key for _, row in rows for key in row)), True
    elif fasttext := _fasttext_rows(text):
        names, header, rows = ["label", "text"], True, fasttext
        notes.append("fastText: __label__NAME, then the text")
    else:
        if format_ == "csv":
            lines = _csv_lines(text, errors, notes)
        else:
            numbered = enumerate(split_lines(text), start=1)
            lines = [(number, line.split("\t")) for number, line in numbered if line]
            notes += ["cells separated by tabs"] * (path.suffix.lower() not in _FORMATS)
        too_long = "a comma in an unquoted text" if format_ == "csv" else "a tab in a text"
        if "\n" in text and re.search(r"\r(?!\n)", text):
            too_long = "a carriage return (CR) without a line feed (LF)"
        names, header, rows = _name_cells(lines, requested, errors, notes, too_long=too_long)
    return Table(path, names, header, rows, errors, notes)


def _names_by_commas(text: str) -> bool:
    """Return whether the first line is names of columns between commas or semicolons."""
    names = re.split("[,;]", text.split("\n", 1)[0].casefold())
    return len(names) > 1 and all(name.strip(' "\r') in KNOWN_NAMES for name in names)


def _name_cells(
    lines: list[tuple[int, list[str]]],
    requested: Columns,
    errors: Errors,
    notes: list[str],
    *,
    too_long: str,
) -> tuple[list[str], bool, list[Row]]:
    """Return the names of the columns, whether they come from the file, and the rows."""
    has_row_names = _name_row_names(lines)
    if unquoted := _unquote_columns(lines):
        notes.append(f"the quotes around every cell of column {unquoted} are removed")
    first = lines[0][1] if lines else []
    complete = [cells for _, cells in lines if len(cells) == len(first)]
    header = (has_row_names and requested.header is None) or has_header(complete, requested)
    names = [str(number) for number in range(1, len(first) + 1)]
    if header:
        names = [
            name if name and first.count(name) == 1 else f"{name} (column {number})"
            for name, number in zip(first, names, strict=True)
        ]
    rows: list[Row] = []
    for number, cells in lines:
        if "\0" in "".join(cells):
            errors.append((number, "a NUL character; is the file UTF-16?"))
        if len(cells) != len(names):
            reason = f"{len(cells)} cells where the first line has {len(names)}"
            if len(cells) > len(names) or "CR" in too_long:
                reason += f"; is there {too_long}?"
            elif number == lines[-1][0]:
                reason += "; is the file cut short?"
            errors.append((number, reason))
        elif header and rows and cells == first and len(cells) > 1:
            errors.append((number, "repeats the header; delete this line"))
        else:
            rows.append((number, dict(zip(names, cells, strict=True))))
    return names, header, rows[header:]


def _name_row_names(lines: Sequence[tuple[int, list[str]]]) -> bool:
    """Give the row names of R's `write.table`, the numbers of the rows, an empty name.

    The header of such a file is one cell shorter than all other lines. Returns whether it is.
    """
    first, others = lines[:1], lines[1:]
    is_r = len(others) > 1 and all(
        len(cells) == len(first[0][1]) + 1 and cells[0].strip('"').isdecimal()
        for _, cells in others
    )
    if is_r:
        first[0][1].insert(0, "")
    return is_r


def _unquote_columns(lines: Sequence[tuple[int, list[str]]]) -> str:
    """Remove the quotes of columns in which every cell below the first line is quoted.

    R leaves NA without quotes, and numbers below quoted names. Two lines are too few to tell,
    unless all cells are quoted. Returns the numbers of these columns as text. Two quotes, or a
    backslash and a quote as R writes them, stand for a quote in the text.
    """

    def is_quoted(cell: str) -> bool:
        return len(cell := cell.strip()) > 1 and cell[0] == cell[-1] == '"'

    first, below = (lines[0][1] if lines else []), [cells for _, cells in lines[1:]]
    names_quoted = len(first) > 1 and all(is_quoted(name) for name in first if name)
    few = len(lines) < 3 and not (names_quoted and all(is_quoted(c) for row in below for c in row))
    quoted = []
    for index in range(len(first)):
        cells = [row[index] for row in below if index < len(row) and row[index] != "NA"]
        whole = not few and all(map(is_quoted, cells)) and (bool(cells) or not below)
        if whole:
            quoted.append(str(index + 1))
        for row in [first] * (whole or names_quoted) + below * whole:
            if index < len(row) and is_quoted(row[index]):
                inside = row[index].strip()[1:-1]
                row[index] = inside.replace('\\"', '"').replace('""', '"')
    return ", ".join(quoted)


def _fasttext_rows(text: str) -> list[Row]:
    """Return the label, or the labels, and the text of each line; none if a line is different."""
    if not text.startswith("__label__"):
        return []
    lines = [(n, line) for n, line in enumerate(split_lines(text), start=1) if line.strip()]
    matches = [(number, match) for number, line in lines if (match := _FASTTEXT.fullmatch(line))]
    labels = [tuple(match[1].replace("__label__", "").split()) for _, match in matches]
    single = all(len(names) == 1 for names in labels)
    return [
        (number, {"label": names[0] if single else names, "text": match[2]})
        for (number, match), names in zip(matches, labels, strict=True)
        if len(matches) == len(lines)
    ]


def _csv_lines(text: str, errors: Errors, notes: list[str]) -> list[tuple[int, list[str]]]:
    """Return the number and the cells of each line that is not empty."""
    separator, start_of_rows = csv_separator(text)
    if separator != ",":
        notes.append(f"cells separated by {_SEPARATORS.get(separator, repr(separator))}")
    # The csv module allows 131,072 characters per cell. The limit is global, so it is restored.
    previous_limit = csv.field_size_limit(len(text) + 1)
    rows = io.StringIO(text[start_of_rows:], newline="")
    reader = csv.reader(rows, strict=True, delimiter=separator)
    lines = []
    start = first_line = 2 if start_of_rows else 1
    try:
        for cells in reader:
            if any(cells):
                lines.append((start, cells))
            start = first_line + reader.line_num
    except csv.Error as error:
        # A stray quote shifts all following cells, so only the first error is reported.
        line = first_line - 1 + reader.line_num
        reason = (
            'a " that opens a cell is never closed'
            if "unexpected end" in str(error)
            else f'a " in the wrong place ({error}, line {line})'
        )
        errors.append((start, f'{reason}; inside a quoted cell, write a quote as ""'))
    finally:
        csv.field_size_limit(previous_limit)
    for index in range(len(lines[0][1]) if separator == ";" and len(lines) > 1 else 0):
        column = [cells for _, cells in lines if index < len(cells)]
        below = {cells[index] for cells in column[1:]}
        if any("," in cell for cell in below) and all(map(_DECIMAL_COMMA.fullmatch, below)):
            notes.append(f"decimal commas in column {index + 1}")
            for cells in column:
                cells[index] = cells[index].replace(",", ".")
    return lines


def csv_separator(text: str) -> tuple[str, int]:
    """Return what separates the cells of a CSV file, and where the rows start.

    A separator gives rows of equal length. Excel can name it in the first line: "sep=;".
    """
    if match := re.match(r"sep=(.)\r?\n", text):
        return match[1], match.end()
    sample = text[:100_000]
    found, rows = [], 0
    for separator in _SEPARATORS:
        reader = csv.reader(io.StringIO(sample, newline=""), delimiter=separator)
        lengths = [len(cells) for cells, _ in zip(reader, range(50), strict=False) if cells]
        if len(sample) < len(text) and len(lengths) < 50:
            lengths.pop()  # the sample may end inside a row
        if lengths and min(lengths) == max(lengths) > 1:
            found.append(separator)
            rows = len(lengths)
    # A comma in every line can be part of its text or of a number; a semicolon hardly ever is.
    return ((found[-1] if rows > 2 else found[0]) if found else ","), 0


def _json_rows(text: str, path: Path, errors: Errors) -> Iterator[Row]:
    """Yield (line, object), or (number, object) for objects inside another one."""
    # parse_int=str: a label 1.50 or 007 stays as written. NaN is a missing value.
    decoder = json.JSONDecoder(
        parse_int=str, parse_float=str, parse_constant=lambda name: None if name == "NaN" else name
    )
    for number, value in json_values(text, path, decoder, errors):
        if isinstance(value, dict):
            yield number, {key: json_cell(cell) for key, cell in value.items()}
        else:
            errors.append((number, 'not an object such as {"text": "...", "label": "..."}'))


def json_values(
    text: str, path: Path, decoder: json.JSONDecoder, errors: Errors
) -> Iterator[tuple[int, object]]:
    """Yield the objects of a file, or whatever stands in their place, each with its number."""
    if path.suffix.lower() == ".json" and not text.lstrip().startswith("["):
        with suppress(json.JSONDecodeError, RecursionError):
            yield from enumerate(rows_inside(decoder.decode(text), path), start=1)
            return
    if JSON_OF_LINES.match(text):
        yield from _json_list(text, decoder, errors)
        return
    lines = split_lines(text)
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield number, decoder.decode(line)
            except json.JSONDecodeError as error:
                errors.append((number, _explain_json(error, last=number == len(lines))))
            except RecursionError:
                errors.append((number, _TOO_DEEP))


def _json_list(
    text: str, decoder: json.JSONDecoder, errors: Errors
) -> Iterator[tuple[int, object]]:
    """Yield the items of a list, or objects in a row, each with the number of its first line."""
    is_list = text.lstrip().startswith("[")
    position, counted, number = (text.index("[") + 1 if is_list else 0), 0, 1
    while True:
        position = _BETWEEN.match(text, position).end()  # type: ignore[union-attr]
        if position == len(text) and not is_list:
            return
        if is_list and text.startswith("]", position):
            if text[position + 1 :].strip():
                number = text.count("\n", 0, position) + 1
                errors.append((number, "not JSON (there is more after the end of the list)"))
            return
        number += text.count("\n", counted, position)
        counted = position
        try:
            value, position = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            last = error.pos >= len(text.rstrip())
            errors.append((error.lineno, _explain_json(error, last=last)))
            return
        except RecursionError:
            errors.append((number, _TOO_DEEP))
            return
        yield number, value


def rows_inside(value: object, path: Path) -> list[Any]:
    """Return the rows of a file that is one JSON value.

    They are the only list of objects inside it, as in {"data": [...]}; or the rows of columns, as
    in {"text": ["x", "y"], "label": [0, 1]} or pandas' {"text": {"0": "x", "1": "y"}}; or itself.
    """
    if not isinstance(value, dict):
        return [value]
    lists = [
        key
        for key, items in value.items()
        if isinstance(items, list) and items and all(isinstance(item, dict) for item in items)
    ]
    if len(lists) > 1:
        raise MiniBertError(
            f"{path} holds several lists of objects, {', '.join(map(repr, lists))}; write each to "
            "a file of its own."
        )
    if lists:
        return list(value[lists[0]])
    columns = [list(c.values()) if isinstance(c, dict) else c for c in value.values()]
    if columns and all(isinstance(c, list) and len(c) == len(columns[0]) for c in columns):
        return [dict(zip(value, cells, strict=True)) for cells in zip(*columns, strict=True)]
    return [value]


def _explain_json(error: json.JSONDecodeError, *, last: bool) -> str:
    cut = "; is the file cut short?" if last else ""
    return f"not JSON ({error.msg}, character {error.colno}){cut}"


def json_cell(value: object) -> object:
    """Return a JSON value as a cell, see `Table.rows`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # An escape such as \ud83d alone is half a character, which UTF-8 cannot hold.
        return _LONE_SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        cells = tuple(map(json_cell, value))
        return cells if all(isinstance(cell, str) for cell in cells) else value
    return value
