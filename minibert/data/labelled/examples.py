"""Read the labelled examples of a file: one text or pair of texts per row, and its label.

    examples, note = read_examples("train.tsv")
    examples[0]    Example(text='no wit , only labored gags', label='0', where='train.tsv:3')
    note           "train.tsv: text = column 'sentence', label = column 'label' (names from ..."

`tables.py` splits the file into cells, `columns.py` chooses the columns. Labels stay text here;
`labels.py` turns them into numbers.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minibert.data.labelled.columns import GUESS, KNOWN_NAMES, Columns, choose_columns
from minibert.data.labelled.tables import Errors, bad_lines, read_table
from minibert.errors import MiniBertError


@dataclass(frozen=True, slots=True)
class Example:
    """One text or pair of texts, with its label as written.

    Attributes:
        text: the text.
        text_pair: the second text of a pair.
        label: without spaces around it; a tuple if there can be several labels; None if there is
            no label.
        where: "file:line", for messages. It plays no part in comparisons.
    """

    text: str
    text_pair: str | None = None
    label: str | tuple[str, ...] | None = None
    where: str = field(default="", compare=False)


def read_examples(
    path: Path | str, columns: Columns = GUESS, *, labelled: bool = True
) -> tuple[list[Example], str]:
    """Read a .tsv, .txt, .csv or .jsonl file.

    Args:
        path: the file.
        columns: those of the text, the second text and the label; None is guessed.
        labelled: False reads texts only, from a file with or without labels.

    Returns:
        The examples, in the order of the file, and a sentence that says which columns were read.

    Raises:
        MiniBertError: the file cannot be read, a column is missing, or lines are bad; the first
            ten of them are listed.
    """
    path = Path(path)
    table = read_table(path, columns, KNOWN_NAMES)
    text_column, pair_column, label_column, note = choose_columns(table, columns, labelled=labelled)
    examples = []
    for line, row in table.rows:
        text = _cell(row, text_column, line, table.errors)
        pair = label = None
        if pair_column is not None:
            pair = _cell(row, pair_column, line, table.errors)
        if label_column is not None:
            label = _cell(row, label_column, line, table.errors, label=True)
        examples.append(Example(text, pair, label, f"{path.name}:{line}"))
    if table.errors:
        raise bad_lines(path, table.errors)
    if columns.label is None and not table.has_header:
        _refuse_unknown_header(examples, path)
    return examples, note


def _cell(
    row: Mapping[str, object], column: str, line: int, errors: Errors, *, label: bool = False
) -> Any:
    """Return a cell that must not be empty: a str or, for a label, also a tuple of str."""
    value = row.get(column)
    if isinstance(value, str) and value and not value.isspace():
        return value.strip() if label else value
    if label and isinstance(value, tuple):
        if len(set(value)) < len(value) or set(value) == {"0", "1"}:
            reason = f"column '{column}' must list label names, each once, not 0s and 1s"
            errors.append((line, reason))
        return value
    if column not in row:
        reason = f"column '{column}' is missing; found {', '.join(map(repr, row)) or 'nothing'}"
    elif value is None or isinstance(value, str):
        reason = f"column '{column}' is empty"
    else:
        kind = "an object" if isinstance(value, dict) else "a list"
        reason = f"column '{column}' is {kind} where a text is expected"
    errors.append((line, reason))
    return ""


def _refuse_unknown_header(examples: list[Example], path: Path) -> None:
    """Raise if the first row looks like a header of unknown names: its label is like no other."""
    first, *others = (example.label for example in examples)
    counts = Counter(others)
    if not isinstance(first, str) or not counts or first in counts or min(counts.values()) == 1:
        return
    if not first.replace(".", "").lstrip("-").isdecimal():
        raise MiniBertError(
            f"{path}:1: no other line has the label '{first}', so this seems to be a header; name "
            "the columns (--text-column, --label-column), or give their numbers if it is not one."
        )


def normalize_text(text: str) -> str:
    """Return the words of a text in lower case, by which copies of it are found.

    A text of signs only ("?!") stands for itself.

    Example:
        >>> normalize_text("A  Film, twice!")
        'a film twice'
    """
    return " ".join(re.findall(r"\w+", text.casefold())) or text
