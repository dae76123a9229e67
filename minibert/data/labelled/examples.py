"""A labelled file -> examples.

    read_examples("train.tsv")[0]
        Example(text='no wit , only labored gags', text_pair=None, label='0', where='train.tsv:3')
    read_examples_with_note("train.tsv")[1]
        "train.tsv: text = column 'sentence', label = column 'label' (names from the file, ...)."

How files are cut into rows is in `tables.py`, how columns are chosen in `columns.py`. A label stays
the text that stands in the file; what it means is decided in `labels.py`. It leaves out: tagging
and question answering, whose files have a shape of their own.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from minibert.data.labelled.columns import Column, Columns, choose_columns, is_header
from minibert.data.labelled.tables import Problems, file_format, read_cells, read_objects
from minibert.errors import MiniBertError


@dataclass(frozen=True, slots=True)
class Example:
    """One text or pair of texts, with its label as it was written.

    Attributes:
        text: the text.
        text_pair: the second text of a pair.
        label: as written, without spaces around it; a tuple where there may be several; or None.
        where: "file:line", for messages; not part of what makes two examples equal.
    """

    text: str
    text_pair: str | None = None
    label: str | tuple[str, ...] | None = None
    where: str = field(default="", compare=False)


def read_examples(
    path: Path | str,
    *,
    text_column: Column = None,
    pair_column: Column = None,
    label_column: Column = None,
    labelled: bool = True,
) -> list[Example]:
    """Read a .tsv, .txt, .csv or .jsonl file.

    Args:
        path: the file.
        text_column: name, or number from 1, of the column with the text; None guesses as
            `columns.py` says.
        pair_column: likewise for the second text of a pair.
        label_column: likewise for the label.
        labelled: False reads no labels, and asks for no column with them.

    Returns:
        One example for each line that is not blank, in the order of the file.

    Raises:
        MiniBertError: the file cannot be read, a column is missing, or lines are bad: the first ten
            are listed as file:line and reason, with the number of the others.
    """
    return read_examples_with_note(
        path,
        text_column=text_column,
        pair_column=pair_column,
        label_column=label_column,
        labelled=labelled,
    )[0]


def read_examples_with_note(
    path: Path | str,
    *,
    text_column: Column = None,
    pair_column: Column = None,
    label_column: Column = None,
    labelled: bool = True,
) -> tuple[list[Example], str]:
    """`read_examples`, and one sentence on which columns were taken for text and for label."""
    problems = Problems(Path(path))
    table = _read_table(problems, (text_column, pair_column, label_column))
    columns = choose_columns(
        table.names,
        [row for _, row in table.rows],
        where=str(table.path),
        named=table.named,
        text=text_column,
        pair=pair_column,
        label=label_column,
        labelled=labelled,
    )
    examples = list(_examples(table, columns, problems))
    problems.raise_if_any()
    if label_column is None and not table.named:
        _refuse_unnoticed_header(table, examples)
    return examples, columns.note


@dataclass(frozen=True)
class _Table:
    path: Path
    names: Sequence[str]
    named: bool
    rows: Sequence[tuple[int, Mapping[str, object]]]


def _read_table(problems: Problems, asked: Sequence[Column]) -> _Table:
    """The file as rows of named cells; rows with too many or too few are noted as problems."""
    path = problems.path
    if file_format(path) == "jsonl":
        objects = read_objects(path, problems)
        names = list(dict.fromkeys(key for _, row in objects for key in row))
        table = _Table(path, names, True, objects)
    else:
        lines = read_cells(path, problems)
        first = lines[0][1] if lines else []
        named = bool(lines) and is_header(first, asked)
        names = first if named else [str(number + 1) for number in range(len(first))]
        table = _Table(path, names, named, _even_rows(lines[named:], names, problems))
    if not table.rows:
        problems.raise_if_any()
        raise MiniBertError(f"{path} holds {'a header and ' * table.named}no examples.")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise MiniBertError(f"{path} has more than one column '{twice[0]}'; rename all but one.")
    return table


def _even_rows(
    lines: Sequence[tuple[int, list[str]]], names: Sequence[str], problems: Problems
) -> list[tuple[int, Mapping[str, object]]]:
    rows: list[tuple[int, Mapping[str, object]]] = []
    comma = file_format(problems.path) == "csv"
    for number, cells in lines:
        if len(cells) == len(names):
            rows.append((number, dict(zip(names, cells, strict=True))))
            continue
        reason = f"{len(cells)} cells where the first line has {len(names)}"
        if len(cells) > len(names):
            reason += "; quote a text that holds commas" if comma else "; is there a tab in a text?"
        elif number == lines[-1][0]:
            reason += "; is the file cut short?"
        problems.add(number, reason)
    return rows


def _examples(table: _Table, columns: Columns, problems: Problems) -> Iterator[Example]:
    name = table.path.name
    for number, row in table.rows:
        text = _text(row, columns.text, number, problems)
        pair = None if columns.pair is None else _text(row, columns.pair, number, problems)
        label = None if columns.label is None else _label(row, columns.label, number, problems)
        yield Example(text, pair, label, f"{name}:{number}")


def _text(row: Mapping[str, object], column: str, line: int, problems: Problems) -> str:
    value = row.get(column, "")
    if isinstance(value, str) and not value.isspace() and value:
        return value
    problems.add(line, _what_is_wrong(row, column))
    return ""


def _label(
    row: Mapping[str, object], column: str, line: int, problems: Problems
) -> str | tuple[str, ...]:
    value = row.get(column, "")
    if isinstance(value, tuple):
        if len(set(value)) < len(value) or set(value) == {"0", "1"}:
            problems.add(line, f"column '{column}' names a label twice; list names, not 0 and 1")
        return value
    if isinstance(value, str) and not value.isspace() and value:
        return value.strip()
    problems.add(line, _what_is_wrong(row, column))
    return ""


def _what_is_wrong(row: Mapping[str, object], column: str) -> str:
    if column not in row:
        return f"no '{column}' here, only {', '.join(map(repr, row)) or 'nothing'}"
    if row[column] is None or isinstance(row[column], str):
        return f"column '{column}' is empty"
    kind = "an object" if isinstance(row[column], dict) else "a list"
    return f"column '{column}' is {kind} where a text is expected"


def _refuse_unnoticed_header(table: _Table, examples: Sequence[Example]) -> None:
    """A header of unknown names would pass for an example, and its label for one more class."""
    first, *others = (example.label for example in examples)
    counts = Counter(others)
    if not isinstance(first, str) or not counts or first in counts or min(counts.values()) == 1:
        return
    if not first.replace(".", "").lstrip("-").isdecimal():
        raise MiniBertError(
            f"{table.path}:1: '{first}' stands in no other line, so this seems to be a header; "
            "name the columns (--text-column, --label-column), or give their numbers if it is none."
        )
