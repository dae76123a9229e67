"""Guess the task of a labelled file: its columns, fields and tags tell most tasks apart.

    question-answering   "paragraphs", as SQuAD has, "answers" or "answer_start"
    multiple-choice      "choices", "choice1", "ending0", ..., or lists as in C3
    tagging              a tag such as O or B-PER for each word; "tokens" and "ner_tags"

Of the other files, `labels.py` tells classification, multi-label and regression apart by their
labels. Matching looks like classification of pairs, so it is never guessed.
"""

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from minibert.data.labelled.header import GUESS
from minibert.data.labelled.tables import Table, format_of, parse_table
from minibert.data.labelled.tags import TAG
from minibert.data.labelled.text_file import read_text, split_lines
from minibert.errors import MiniBertError

_FIELDS = {  # the names of columns or fields that only files for this task have
    "question-answering": ("answers", "answer_start", "paragraphs", "qas"),
    "multiple-choice": ("choices", "choice", "choice1", "ending0"),
    "tagging": ("tokens", "words", "ner_tags", "pos_tags"),
}
_EXAMINED = 1000  # lines
_MOST = 0.95
OTHER_TASK = (
    "This looks like a file for {task}, and classification wants one label for each text; train "
    "with --task {task}."
)


def guess_task(path: Path, *, encoding: str | None = None) -> str | None:
    """Return "tagging", "question-answering" or "multiple-choice"; None for any other file.

    A file that cannot be read is any other file: the reader of classification says what is wrong.
    """
    with suppress(MiniBertError):
        text, _ = read_text(path, encoding)
        lines = split_lines(text)[:_EXAMINED]
        if holds_tags([line for line in lines if line.strip() and not line.startswith("#")]):
            return "tagging"
        if format_of(path) == "json":
            with suppress(json.JSONDecodeError, RecursionError):
                if task := _task_of_json(json.loads(text)):
                    return task
        return task_of_table(parse_table(text, path, GUESS))
    return None


def _task_of_json(value: object) -> str | None:
    """Return the task of a file that is one JSON value."""
    while isinstance(value, list | dict) and value:
        if isinstance(value, dict):
            if task := _task_of_names(list(value)):
                return task
            value = value.get("data")
        elif isinstance(value[0], list):  # C3: [[sentences], [questions], id]
            return _task_of_json(value[0][1]) if len(value[0]) > 1 else None
        else:
            value = value[0]
    return None


def task_of_table(table: Table) -> str | None:
    """Return the task of a table that is not for classification, or None."""
    if task := _task_of_names(table.names):
        return task
    rows = [row for _, row in table.rows[:_EXAMINED]]
    for name in table.names:
        cells = [row.get(name) or "" for row in rows]
        if holds_tags([" ".join(cell) if isinstance(cell, tuple) else str(cell) for cell in cells]):
            return "tagging"
    return None


def suggest_task(table: Table) -> str:
    """Return a sentence that names the task of a file that is not for classification, or ""."""
    task = task_of_table(table)
    return f" {OTHER_TASK.format(task=task)}" if task else ""


def _task_of_names(names: Sequence[str]) -> str | None:
    folded = {name.casefold() for name in names}
    for task, fields in _FIELDS.items():
        if folded.intersection(fields):
            return task
    return None


def holds_tags(lines: Sequence[str]) -> bool:
    """Return whether lines are tags, or words with a tag in the same place, as in CoNLL files.

    Example:
        >>> holds_tags(["O B-PER I-PER", "O O"]), holds_tags(["EU NNP B-ORG", "rejects VBZ O"])
        (True, True)
    """
    rows = [line.split() for line in lines]
    if all(TAG.fullmatch(word) for row in rows for word in row):
        words = {word for row in rows for word in row}
        several = any(len(row) > 1 for row in rows)
        return several or ("O" in words and any("-" in word for word in words))
    width, _ = Counter(map(len, rows)).most_common(1)[0]
    columns = zip(*(row[1:] for row in rows if len(row) == width), strict=True)
    most = _MOST * len(rows)  # the reader of the task names the other lines
    return any(
        "O" in words and sum(map(bool, map(TAG.fullmatch, words))) >= most for words in columns
    )
