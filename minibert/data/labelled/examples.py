"""Read the labelled examples of a file: one text or pair of texts per row, and its label.

    examples, note, _ = read_examples("train.tsv")
    examples[0]    Example(text='no wit , only labored gags', label='0', where='train.tsv:3')
    note           "train.tsv: text = column 'sentence', label = column 'label' (names from ..."

`tables.py` splits the file into cells, `header.py` decides whether it has column names, and
`columns.py` chooses the columns. Labels stay text here; `labels.py` turns them into numbers.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from minibert.data.labelled.columns import choose_columns
from minibert.data.labelled.guess_task import OTHER_TASK, holds_tags, suggest_task
from minibert.data.labelled.header import GUESS, Columns, is_number
from minibert.data.labelled.tables import read_table
from minibert.data.labelled.text_file import Errors, bad_lines
from minibert.errors import MiniBertError

_TRUTH = ("true", "false")
_HOW_TO_LIST = (
    "must list the names of the classes that apply, each once, not numbers from 0 to 1, as in "
    '{"text": "...", "labels": ["sports", "health"]}'
)
_LIST_AS_TEXT = re.compile(r"""\s*\[\s*(?:['"\d-].*)?\]\s*""")  # as pandas writes it to CSV
_NO_CONSENSUS = ("gold_label", "-")  # SNLI and MultiNLI: their authors leave these pairs out

Label = str | tuple[str, ...] | None
"""A label as written; a tuple if there can be several; None if there is none."""


@dataclass(frozen=True, slots=True)
class Example:
    """One text or pair of texts, with its label as written.

    Attributes:
        text: the text.
        text_pair: the second text of a pair.
        label: without spaces around it; a tuple if there can be several labels; None if there is
            no label.
        where: "file:line", for messages. It is ignored in comparisons.
    """

    text: str
    text_pair: str | None = None
    label: Label = None
    where: str = field(default="", compare=False)

    def separate(self) -> "list[Example]":
        """Return the two texts of a pair, each on its own."""
        return [Example(self.text), Example(self.text_pair or "")]


class FileExamples(NamedTuple):
    """What a file holds, and what was decided while it was read.

    Attributes:
        examples: in the order of the file.
        note: a sentence that says which columns were read, for the user.
        columns: those columns, by name, or by number if the file has no header.
    """

    examples: list[Example]
    note: str
    columns: Columns


def read_examples(
    path: Path | str,
    columns: Columns = GUESS,
    *,
    labelled: bool = True,
    encoding: str | None = None,
    known_labels: Collection[Label] = (),
) -> FileExamples:
    """Read a .tsv, .txt, .csv, .jsonl or .json file.

    Args:
        path: the file.
        columns: those of the text, the second text and the label; None is guessed.
        labelled: False reads texts only, from a file with or without labels.
        encoding: that of a file that is not UTF-8.
        known_labels: those of the training file. None of them is a column name.

    Raises:
        MiniBertError: the file cannot be read, a column is missing, or lines are bad; the first
            ten of them are listed.
    """
    path = Path(path)
    table = read_table(path, columns, encoding=encoding)
    text_column, pair_column, label_column, note = choose_columns(table, columns, labelled=labelled)
    rows = [
        (line, row)
        for line, row in table.rows
        if label_column is None or (label_column, row.get(label_column)) != _NO_CONSENSUS
    ]
    if undecided := len(table.rows) - len(rows):
        lines = "line whose gold_label is '-' is" if undecided == 1 else ""
        lines = lines or "lines whose gold_label is '-' are"
        note += f" {undecided:,} {lines} left out (annotators disagree)."
    examples = []
    for line, row in rows:
        text = _cell(row, text_column, line, table.errors)
        pair = label = None
        if pair_column is not None:
            pair = _cell(row, pair_column, line, table.errors)
        if label_column is not None:
            label = _cell(row, label_column, line, table.errors, label=True)
        examples.append(Example(text, pair, label, f"{path.name}:{line}"))
    labels = [example.label or () for example in examples[:1000]]
    tags = [label if isinstance(label, str) else " ".join(label) for label in labels]
    texts = [example.text for example in examples[:1000]]  # of a tag, where characters are labels
    if any(tags) and (holds_tags(tags) or holds_tags(texts)):
        raise MiniBertError(f"{path}: {OTHER_TASK.format(task='tagging')}")
    if table.errors:
        hint = suggest_task(table).replace(" ", "\n", 1)
        raise MiniBertError(f"{bad_lines(path, table.errors)}{hint}")
    if labelled and columns.header is None and not table.has_header:
        first, counts = examples[0].label, Counter(example.label for example in examples[1:])
        alone = bool(counts) and first not in counts and min(counts.values()) > 1
        if alone and isinstance(first, str) and not is_number(first) and first not in known_labels:
            doubt = f"no other line has the label '{first}'"
            advice = "pass --header if it is one, or --no-header if it is an example."
            if columns.label is None:
                raise MiniBertError(f"{path}:1: {doubt}, so it seems to be a header; {advice}")
            note += f" Is line 1 a header? N{doubt[1:]}; {advice}"
    # Names such as "1" are numbers where the file has no header.
    found = Columns(text_column, pair_column, label_column, columns.header)
    return FileExamples(examples, note, found)


def _cell(
    row: Mapping[str, object], column: str, line: int, errors: Errors, *, label: bool = False
) -> Any:
    """Return a cell that must not be empty: a str or, for a label, also a tuple of str."""
    value = row.get(column)
    if isinstance(value, str) and value and not value.isspace():
        if label and _LIST_AS_TEXT.fullmatch(value):
            errors.append((line, f"column '{column}' holds a list; a .jsonl file {_HOW_TO_LIST}"))
        return value.strip() if label else value
    if label and isinstance(value, tuple):
        value = tuple(map(str.strip, value))
        shares = all(v in _TRUTH or (is_number(v) and 0 <= float(v) <= 1) for v in value)
        if (shares and (len(value) > 1 or "." in "".join(value))) or len(set(value)) < len(value):
            errors.append((line, f"column '{column}' {_HOW_TO_LIST}"))
        return value
    if column not in row:
        reason = (
            f"column '{column}' is missing; found {', '.join(map(repr, row))[:200] or 'nothing'}"
        )
    elif value is None or isinstance(value, str):
        reason = f"column '{column}' is empty"
    else:
        kind = "an object" if isinstance(value, dict) else "a list"
        reason = f"column '{column}' is {kind} where a text is expected"
    errors.append((line, reason))
    return ""


def normalize_text(text: str) -> str:
    """Return the words of a text in lower case, to find copies of it.

    Vowel signs and tone marks are part of a word. A text without words ("?!") is kept.

    Example:
        >>> normalize_text("A  Film, twice!"), normalize_text("कुल!") == normalize_text("कल!")
        ('a film twice', False)
    """
    text = text.casefold()
    signs = {ord(c): " " for c in set(text) if not (c.isalnum() or c == "_" or _is_mark(c))}
    return " ".join(text.translate(signs).split()) or text


def _is_mark(character: str) -> bool:
    selects_variant = "\ufe00" <= character <= "\ufe0f"  # of an emoji
    return unicodedata.category(character).startswith("M") and not selects_variant
