r"""Read multiple-choice questions: a context, a question, and two or more choices.

    questions, note = read_questions("copa/train.jsonl")
    questions[0].choices, questions[0].answer    # ('The sun was rising.', 'The grass was cut.'), 0

- A column or field for each choice: choice1, choice2 (COPA), ending0 to ending3 (SWAG), option_a,
  answerA, A. Empty ones at the end are missing.
- One field with a list: choices, choice, options, endings; or with {"text": [...], "label": [...]}.
- The lists of C3: [[sentences of the context], [{"question", "choice", "answer"}, ...], id].

The right one is given by its text, its letter, or its number, from 0 or from 1. Which of these it
is holds for the whole file.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minibert.data.labelled.examples import Example, normalize_text
from minibert.data.labelled.header import Columns
from minibert.data.labelled.tables import Row, format_of, json_cell, json_values, read_table
from minibert.data.labelled.text_file import Errors, bad_lines, read_text
from minibert.errors import MiniBertError

CONTEXTS = (
    *("context", "premise", "passage", "article", "sent1", "ctx", "text", "document", "story"),
    *("sentence", "上下文", "文章", "材料"),
)
QUESTIONS = ("question", "sent2", "query", "goal", "问题", "题目")
CHOICES = ("choices", "choice", "options", "endings", "candidates", "选项")
ANSWERS = (
    *("label", "answer", "answerkey", "answer_key", "gold", "target", "correct_answer"),
    *("correct", "most_plausible_alternative", "most-plausible-alternative", "答案", "标签"),
)
_NUMBERED = re.compile(r"(choice|ending|option|answer|alternative|sol|选项|)[ _-]?(\d|[a-h])", re.I)
_C3 = re.compile(r"\s*\[\s*\[")
KINDS = {"texts": "its text", "letters": "its letter", "0": "its number from 0"} | {
    "1": "its number from 1"
}


@dataclass(frozen=True, slots=True)
class Question:
    """A question and its choices.

    Attributes:
        context: what the question is about; it may be empty.
        question: may be empty, too, but not both.
        choices: two or more.
        answer: the index of the right one; None if it is not known.
        where: "file:line", for messages. It is ignored in comparisons.
    """

    context: str
    question: str
    choices: tuple[str, ...]
    answer: int | None = None
    where: str = field(default="", compare=False)

    def pairs(self) -> list[Example]:
        """Return what the model reads for each choice: the context, and the question with it."""
        if not self.context:
            return [Example(self.question, choice) for choice in self.choices]
        start = f"{self.question} " if self.question else ""
        return [Example(self.context, start + choice) for choice in self.choices]


class FileQuestions(NamedTuple):
    """The questions of a file, a sentence that says how they were read, and how answers are given.

    `kind` is one of `KINDS`; None without answers.
    """

    questions: list[Question]
    note: str
    kind: str | None


def read_questions(
    path: Path | str,
    *,
    labelled: bool = True,
    kind: str | None = None,
    encoding: str | None = None,
) -> FileQuestions:
    """Read a .jsonl, .json, .csv or .tsv file.

    Args:
        path: the file.
        labelled: False reads no answers.
        kind: how the answers are given, as in the training file; None finds out.
        encoding: that of a file that is not UTF-8.

    Raises:
        MiniBertError: the file cannot be read, fields are missing, or lines are bad; the first ten
            of them are listed.
    """
    path = Path(path)
    names, rows, errors = _read_rows(path, encoding)
    known = {name.strip().casefold(): name for name in reversed(names)}

    def find(candidates: Sequence[str]) -> str | None:
        return next((known[name] for name in candidates if name in known), None)

    columns = _choice_columns(names, find(CHOICES))
    context, question = find(CONTEXTS), find(QUESTIONS)
    answer = (
        find([name for name in ANSWERS if known.get(name) not in columns]) if labelled else None
    )
    lacks = [
        what
        for what, found in (
            ("the choices (choices, or choice1, choice2, ...)", columns),
            ("a context or a question (context, premise, question, sent1)", context or question),
            ("the right choice (label or answer)", answer or not labelled),
        )
        if not found
    ]
    if lacks and not errors:
        listed = ", ".join(map(repr, names))[:300]
        raise MiniBertError(
            f"{path}: no field for {' and for '.join(lacks)}; it has {listed or 'no names'}. Name "
            "the fields or columns like that."
        )
    questions, answers = [], []
    for line, row in rows:
        choices, labels = _choices(row, columns)
        texts = [row.get(name or "", "") or "" for name in (context, question)]
        reason = ""
        if not all(isinstance(text, str) for text in texts):
            reason = "the context and the question must be texts"
        elif not any(str(text).strip() for text in texts):
            reason = "the context and the question are empty"
        elif len(choices) < 2:
            reason = "a question needs two choices or more"
        elif not all(isinstance(choice, str) and choice.strip() for choice in choices):
            reason = "a choice is empty or no text"
        if reason:
            errors.append((line, reason))
            continue
        first, second = map(str, texts)
        questions.append(Question(first, second, choices, None, f"{path.name}:{line}"))
        given = str(row.get(answer) or "").strip() if answer else ""
        answers.append((line, str(labels.index(given)) if given in labels else given))
    if answer is not None and not errors:
        kind = _kind_of(answers, questions, kind)
        for index, (line, given) in enumerate(answers):
            choices = questions[index].choices
            position = _position(given, choices, kind)
            if position is None:
                reason = f"the answer {given[:40]!r} is not one of the {len(choices)} choices"
                errors.append((line, f"{reason} (the file gives {KINDS[kind]})"))
            questions[index] = replace(questions[index], answer=position)
    if errors:
        raise bad_lines(path, errors)
    read = {"context": context, "question": question, "choices": ", ".join(columns)}
    read |= {"answer": f"{answer}, {KINDS[kind]}" if answer and kind else None}
    fields = "; ".join(f"{role} = {name}" for role, name in read.items() if name)
    return FileQuestions(questions, f"{path}: {fields}.", kind)


def _read_rows(path: Path, encoding: str | None) -> tuple[Sequence[str], Sequence[Row], Errors]:
    """Return the names of the fields, the rows, and the bad lines."""
    text = read_text(path, encoding)[0] if format_of(path) == "json" else ""
    if not _C3.match(text):
        table = read_table(path, Columns(header=True), encoding=encoding)
        return table.names, table.rows, table.errors
    errors: Errors = []
    rows: list[Row] = []
    for line, value in json_values(text, path, json.JSONDecoder(parse_int=str), errors):
        try:
            document: Any = value  # whatever else it is, one of these lines fails
            context = document[0] if isinstance(document[0], str) else "\n".join(document[0])
            for asked in document[1]:
                row = {"context": context, "question": asked["question"]}
                row |= {"choice": asked["choice"], "answer": asked.get("answer")}
                rows.append((line, {name: json_cell(cell) for name, cell in row.items()}))
        except (TypeError, LookupError, AttributeError):
            wanted = '[["context"], [{"question": ..., "choice": [...], "answer": ...}], id]'
            errors.append((line, f"not a document like those of C3: {wanted}"))
    return ("context", "question", "choice", "answer"), rows, errors


def _choice_columns(names: Sequence[str], single: str | None) -> list[str]:
    """Return the column of all choices, or those that have a number or letter each, in order."""
    if single is not None:
        return [single]
    groups: dict[str, list[tuple[str, str]]] = {}
    for name in names:
        if match := _NUMBERED.fullmatch(name.strip()):
            groups.setdefault(match[1].casefold(), []).append((match[2].casefold(), name))
    largest = max(groups.values(), key=len, default=[])
    return [name for _, name in sorted(largest)] if len(largest) > 1 else []


def _choices(
    row: Mapping[str, object], columns: Sequence[str]
) -> tuple[tuple[str, ...], list[str]]:
    """Return the choices of a row, and the labels that it gives them, if it does."""
    if len(columns) == 1:
        cell: Any = row.get(columns[0])
        labels: list[str] = []
        if isinstance(cell, dict) and isinstance(texts := cell.get("text"), list | tuple):
            cell, labels = tuple(texts), [str(name) for name in cell.get("label") or ()]
        return (tuple(cell) if isinstance(cell, tuple | list) else ()), labels
    cells = [row.get(name) or "" for name in columns]
    while cells and cells[-1] == "":
        cells.pop()
    return tuple(cells), []  # type: ignore[arg-type]


def _kind_of(
    answers: Sequence[tuple[int, str]], questions: Sequence[Question], asked: str | None
) -> str:
    """Return how the answers of a file are given: as asked, or the way that fits most of them."""
    pairs = [(given, q.choices) for (_, given), q in zip(answers, questions, strict=True)]
    fits = {kind: sum(_position(*pair, kind) is not None for pair in pairs) for kind in KINDS}
    best = max(fits, key=lambda kind: fits[kind])  # of equal ones the first
    return asked if asked is not None and fits[asked] else best


def _position(given: str, choices: Sequence[str], kind: str) -> int | None:
    """Return the index of the choice that an answer names, or None."""
    if kind == "texts":
        stripped = [choice.strip() for choice in choices]
        return stripped.index(given) if given in stripped else None
    if kind == "letters":
        position = "abcdefgh".find(given.casefold()) if len(given) == 1 else -1
    else:
        position = int(given) - int(kind) if given.isdecimal() and len(given) < 3 else -1
    return position if 0 <= position < len(choices) else None


def split_by_context(
    questions: Sequence[Question], *, fraction: float, seed: int
) -> tuple[list[Question], list[Question]]:
    """Hold out a fraction of the questions, all those about a context together.

    Otherwise a model would be asked about texts that it was trained on.

    Returns:
        (kept, held out), both in the order of `questions`.

    Raises:
        MiniBertError: `fraction` is not between 0 and 1, or there is only one context.
    """
    if not 0 < fraction < 1:
        raise MiniBertError(f"the share to hold out is {fraction}; it must be between 0 and 1.")
    keys = [normalize_text(q.context or q.question) for q in questions]
    contexts = [*dict.fromkeys(keys)]
    if len(contexts) < 2:
        raise MiniBertError(
            "all questions are about one context, so none can be held out; give a file for "
            "evaluation (--dev)."
        )
    sizes, chosen, count = Counter(keys), set[str](), 0
    np.random.Generator(np.random.PCG64(seed)).shuffle(contexts)
    for key in contexts[:-1]:
        if count >= max(1, round(fraction * len(questions))):
            break
        chosen.add(key)
        count += sizes[key]
    held_out = [q for q, key in zip(questions, keys, strict=True) if key in chosen]
    return [q for q, key in zip(questions, keys, strict=True) if key not in chosen], held_out


def read_question_sets(
    train: Path,
    dev: Path | None = None,
    test: Path | None = None,
    *,
    dev_share: float,
    seed: int,
    encoding: str | None = None,
) -> tuple[dict[str, list[Question]], str, list[str]]:
    """Read the files of a task; without `dev`, hold out `dev_share` of the training questions.

    Returns:
        The questions of "train", "dev" and, if there is a test file, "test"; how the answers are
        given (`KINDS`); and notes for the user.
    """
    questions, note, kind = read_questions(train, encoding=encoding)
    sets, notes = {"train": questions}, [note]
    for name, path in {"dev": dev, "test": test}.items():
        if path is not None:
            sets[name], note, _ = read_questions(path, kind=kind, encoding=encoding)
            notes.append(note)
    if dev is None:
        kept, held_out = split_by_context(questions, fraction=dev_share, seed=seed)
        sets = {"train": kept, "dev": held_out} | {k: v for k, v in sets.items() if k == "test"}
        notes.append(
            f"no dev file: {len(held_out) / len(questions):.0%} of the questions are held out, all "
            "those about a context together."
        )
    contexts = {normalize_text(q.context or q.question) for q in sets["train"]}
    for name in [*sets][1:]:
        keys = [normalize_text(q.context or q.question) for q in sets[name]]
        if repeated := sum(key in contexts for key in keys):
            notes.append(
                f"{repeated:,} questions of {name} are about contexts that are also in train, so "
                "the scores may be too high."
            )
    for name, some in sets.items():
        counts = sorted({len(q.choices) for q in some})
        numbers = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else f"{counts[0]}"
        notes.append(f"{name:5} {len(some):7,} questions  {numbers} choices each")
    return sets, str(kind), notes
