"""Read the texts of a file of any size, in order and in little memory, to predict them.

A .txt file is one text per line, tabs included, unless a column is asked for. Other files are read
as for training, in parts: each part is parsed below a copy of the first lines, which decide on
separators, quotes, header and columns. A .json file is one part.
"""

import csv
import io
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import repeat
from pathlib import Path
from typing import NamedTuple, TextIO

from minibert.data.labelled.columns import choose_columns
from minibert.data.labelled.header import GUESS, Columns
from minibert.data.labelled.tables import (
    JSON_OF_LINES,
    Row,
    Table,
    csv_separator,
    format_of,
    json_values,
    parse_table,
)
from minibert.data.labelled.text_file import Errors, bad_lines, open_text, raw_lines
from minibert.errors import MiniBertError

STANDARD_INPUT = Path("-")
HEAD, PART = 50, 1000  # rows above every part, and in a part
PART_LENGTH = 2**20  # characters in a part, unless it is one long row


class TextRow(NamedTuple):
    """A text to predict.

    Attributes:
        text: the text; it may be empty.
        text_pair: the second text of a pair.
        line: its line in the file, from 1.
        cells: what the row holds, by column.
        source: the JSON object that the row is, as it is written.
    """

    text: str
    text_pair: str | None
    line: int
    cells: Mapping[str, object]
    source: str = ""


class GivenTexts:
    """Texts that are given one by one, with the attributes of a `PredictionFile`."""

    skipped = 0

    def __init__(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> None:
        if pairs is not None and len(pairs) != len(texts):
            raise MiniBertError(
                f"there are {len(texts)} texts but {len(pairs)} second texts; give one for each "
                "text."
            )
        self.names = ["text"] if pairs is None else ["text", "text_pair"]
        self.count = len(texts)
        self.empty = [number for number, text in enumerate(texts, start=1) if not text.strip()]
        self._rows = []
        for number, given in enumerate(zip(texts, pairs or repeat(None), strict=False), start=1):
            self._rows.append(TextRow(*given, number, dict(zip(self.names, given, strict=False))))

    def parts(self) -> Iterator[list[TextRow]]:
        """Yield all texts."""
        yield self._rows


@dataclass
class PredictionFile:
    """A file of texts, all of which is checked at the beginning.

    Attributes:
        path: the file; "-" is standard input, one text per line, which is not checked before.
        columns: those of the text and the second text; None is guessed.
        encoding: that of a file that is not UTF-8.
        names: the columns of the file.
        note: what was decided; None if each line is a text.
        count: the number of texts; None for standard input.
        empty: the lines of the texts so far that are empty.
        skipped: the number of blank lines so far that are not rows.

    Raises:
        MiniBertError: the file or some of its lines cannot be read, or the columns are unclear.
    """

    path: Path
    columns: Columns = GUESS
    encoding: str | None = None
    names: list[str] = field(default_factory=lambda: ["text"])
    note: str | None = None
    count: int | None = None
    empty: list[int] = field(default_factory=list)
    skipped: int = 0

    def __post_init__(self) -> None:
        """Check the file and choose its columns."""
        suffix, self._format = self.path.suffix.lower(), "lines"
        self._text: str = "text"
        self._pair: str | None = None
        if self.path == STANDARD_INPUT:
            return
        if suffix != ".txt" or self.columns[:3] != GUESS[:3]:
            self._format = format_of(self.path)
            with self._open() as file:
                of_lines = bool(JSON_OF_LINES.match(file.read(PART_LENGTH)))
            # What cannot be parsed in parts is parsed as a whole.
            self._whole = self._format == "json" and (suffix == ".json" or of_lines)
            if not self._choose_columns():
                self._whole = True
                self._choose_columns()
        self.count = sum(len(part) for part in self.parts())

    def parts(self) -> Iterator[list[TextRow]]:
        """Yield the rows in order, in lists of about a thousand."""
        self.empty, self.skipped, any_rows = [], 0, False
        for start, lines, table in self._tables():
            part, errors = [], [*table.errors]
            sources = self._sources(start, lines, table)
            for (line, cells), source in zip(table.rows, sources, strict=not errors):
                text = _text(cells, self._text, line, errors)
                pair = None if self._pair is None else _text(cells, self._pair, line, errors)
                part.append(TextRow(text, pair, line, cells, source))
                if not text or text.isspace():
                    self.empty.append(line)
            if errors:
                raise bad_lines(self.path, errors)
            any_rows = True
            yield part
        if not any_rows:
            raise MiniBertError("standard input holds no texts.")

    def _choose_columns(self) -> bool:
        """Check all lines and choose the columns; return False if the parts are not alike."""
        names: dict[str, None] = {}
        errors: Errors = []
        first: Table | None = None
        for _, _, table in self._tables():
            first = first or table
            names |= dict.fromkeys(table.names)
            errors += table.errors
            is_like_first = (table.names, table.notes) == (first.names, first.notes)
            if self._format != "json" and not is_like_first:
                return False
        if errors:
            raise bad_lines(self.path, errors)
        if first is None or not first.rows:
            raise MiniBertError(f"{self.path} holds no texts.")
        self.names = [*names]
        chosen = choose_columns(replace(first, names=self.names), self.columns, labelled=False)
        self._text, self._pair, _, self.note = chosen
        return True

    def _tables(self) -> Iterator[tuple[int, list[str], Table]]:
        """Yield the parts: the number of lines before it, its lines, and its table."""
        head: list[str] = []
        requested = self.columns
        for start, lines, in_head in self._groups():
            if self._format == "lines":
                texts = [line.removesuffix("\n").removesuffix("\r") for line in lines]
                rows: list[Row] = list(enumerate(({"text": t} for t in texts), start=start + 1))
                is_nul = "a NUL character; is the file UTF-16?"
                errors = [(start + i, is_nul) for i, text in enumerate(texts, 1) if "\0" in text]
                yield start, lines, Table(self.path, self.names, False, rows, errors)
                continue
            table = parse_table("".join([*head, *lines]), self.path, requested)
            shift = start - len(head)
            rows = [(line + shift, cells) for line, cells in table.rows if line > len(head)]
            errors = [(line + shift, reason) for line, reason in table.errors if line > len(head)]
            yield start, lines, replace(table, rows=rows, errors=errors)
            if self._format != "json" and not head:
                head = lines[:in_head]
                requested = requested._replace(header=table.has_header)

    def _groups(self) -> Iterator[tuple[int, list[str], int]]:
        """Yield each part: the number of lines before it, its lines, and the length of its head."""
        with self._open() as file:
            if self._format != "lines" and self._whole:
                yield 0, [file.read()], 0
                return
            group: list[str] = []
            start = rows = length = in_head = 0
            for raw, is_blank in self._raw_rows(file):
                group += raw
                rows += 1
                length += sum(map(len, raw))
                self.skipped += is_blank
                if rows == HEAD:
                    in_head = len(group)
                if rows >= PART or length >= PART_LENGTH:
                    yield start, group, in_head or len(group)
                    start += len(group)
                    group, rows, length = [], 0, 0
            if group:
                yield start, group, in_head or len(group)

    def _raw_rows(self, file: TextIO) -> Iterator[tuple[list[str], bool]]:
        """Yield the lines of each row, and whether they are skipped because they are blank."""
        if self._format != "csv":
            for line in self._decoded(raw_lines(file)):
                blank = not line.strip() if self._format == "json" else not line.rstrip("\r\n")
                yield [line], blank and self._format != "lines"
            return
        sample = file.read(100_000)
        file.seek(0)
        taken: list[str] = []

        def take() -> Iterator[str]:
            for line in file:
                taken.append(line)
                yield line

        reader = csv.reader(take(), delimiter=csv_separator(sample)[0])
        while True:
            # The csv module allows 131,072 characters per cell. The limit is global.
            previous_limit = csv.field_size_limit(2**31 - 1)
            try:
                cells = next(reader, None)
            except csv.Error:  # the parser says what is wrong
                cells = [file.read()]
                taken += cells
            finally:
                csv.field_size_limit(previous_limit)
            if cells is None:
                return
            yield [*taken], not any(cells)
            taken.clear()

    def _decoded(self, lines: Iterator[str]) -> Iterator[str]:
        """Yield lines, of which those of standard input have not been checked."""
        try:
            yield from lines
        except UnicodeDecodeError as error:
            raise MiniBertError(
                f"standard input is not {error.encoding.upper()} at byte "
                f"0x{error.object[error.start]:02x}; name its --encoding."
            ) from None

    def _sources(self, start: int, lines: list[str], table: Table) -> list[str]:
        """Return the JSON object that each row of a part is written as."""
        if self._format != "json":
            return [""] * len(table.rows)
        if not self._whole:
            return [lines[line - start - 1].strip() for line, _ in table.rows]
        decoder = json.JSONDecoder(parse_constant=lambda _: None)
        values = json_values(lines[0], self.path, decoder, [])
        return [json.dumps(value, ensure_ascii=False) for _, value in values]

    def _open(self) -> TextIO:
        if self.path != STANDARD_INPUT:
            return open_text(self.path, self.encoding)[0]
        if sys.stdin.isatty():
            print("reading texts, one per line; end with Ctrl-D.", file=sys.stderr)
        return io.TextIOWrapper(sys.stdin.buffer, encoding=self.encoding or "utf-8-sig", newline="")


def _text(cells: Mapping[str, object], column: str, line: int, errors: Errors) -> str:
    """Return a text, which may be empty."""
    cell = cells.get(column, ())
    if cell is None:
        return ""
    if not isinstance(cell, str):
        what = "holds a list or an object" if column in cells else "is missing"
        errors.append((line, f"column '{column}' {what}; it should be a text"))
        return ""
    return cell
