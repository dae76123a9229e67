"""Read questions about contexts and their answers.

Read are the JSON of SQuAD 1.1 and 2.0 (also of CMRC 2018 and DRCD), and tables or JSON lines whose
columns are `context`, `question`, and `answers` as Hugging Face writes them, {"text": [...],
"answer_start": [...]}, or `answer` and `answer_start`. A question without an answer has an empty
list, an empty cell, or `is_impossible`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minibert.data.labelled.header import Columns
from minibert.data.labelled.tables import format_of, parse_table
from minibert.data.labelled.text_file import join_messages, read_text
from minibert.errors import MiniBertError

NAMES = {  # of columns
    "context": ("context", "passage", "paragraph", "document", "text"),
    "question": ("question", "query"),
    "answer": ("answers", "answer", "answer_text"),
    "start": ("answer_start", "start"),
}

Span = tuple[int, int]  # of characters, the second after the last
Fields = Mapping[str, object]


class GoldAnswer(NamedTuple):
    """An answer, and the index of its first character in the context; None: it is not in there."""

    text: str
    start: int | None


@dataclass(frozen=True)
class QuestionExample:
    """A question about a context.

    Attributes:
        question: the question.
        context: the text that holds the answer.
        answers: every answer that counts as correct; empty if the context does not answer.
        id: the name of the question in files of predictions.
        where: the place in the file, for messages.
    """

    question: str
    context: str
    answers: tuple[GoldAnswer, ...] = ()
    id: str = ""
    where: str = ""

    @property
    def span(self) -> Span | None:
        """The characters of the first answer that lies in the context, which is trained on."""
        found = ((a.start, a.start + len(a.text)) for a in self.answers if a.start is not None)
        return next(found, None)


def read_questions(
    path: Path | str,
    *,
    encoding: str | None = None,
    answered: bool = True,
) -> tuple[list[QuestionExample], str]:
    """Read a file of questions.

    Args:
        path: a .json file as SQuAD has it, or a .jsonl, .json, .csv or .tsv file.
        encoding: that of a file that is not UTF-8.
        answered: whether the answers are needed; otherwise they are not read.

    Returns:
        The examples in the order of the file, and a note on the answers for the user. An answer
        whose offset is wrong is moved to its nearest occurrence. One that does not occur counts in
        evaluation, where only its text matters.

    Raises:
        MiniBertError: the file cannot be read, a question, context or answer is missing, or most
            answers are not in their contexts.
    """
    path = Path(path)
    places, messages = _read_rows(path, encoding)
    examples: list[QuestionExample] = []
    moved = searched = 0
    lost: list[QuestionExample] = []
    for number, (place, row) in enumerate(places):
        where = f"{path.name}:{place}"
        values = [row.get(name) for name in ("question", "context")]
        wrong = [
            f"the {name} is {'missing' if value in (None, '') else 'no text'}"
            for name, value in zip(("question", "context"), values, strict=True)
            if not isinstance(value, str) or not value.strip()
        ]
        answers: list[GoldAnswer] = []
        try:
            given = list(_answers(row)) if answered else []
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
            wrong.append('the answers are not of the form {"text": ..., "answer_start": ...}')
        if wrong:
            messages.append(f"{path}:{place}: {' and '.join(wrong)}")
            continue
        question, context = map(str, values)
        for text, start in given:
            found = _nearest(context, text, start)
            moved += start is not None and found not in (start, None)
            searched += start is None and found is not None
            answers.append(GoldAnswer(text, found))
        identity = str(number if row.get("id") in (None, "") else row["id"])
        examples.append(QuestionExample(question, context, tuple(answers), identity, where))
        if answers and examples[-1].span is None:
            lost.append(examples[-1])
    if messages:
        raise MiniBertError(join_messages(messages))
    if not examples:
        raise MiniBertError(f"{path} holds no questions.")
    with_answers = sum(bool(example.answers) for example in examples)
    if len(lost) > with_answers / 2:
        raise MiniBertError(
            f"{path}: {len(lost):,} of {with_answers:,} answers are not in their contexts, such as "
            f"{lost[0].answers[0].text[:80]!r} ({lost[0].where}); question answering is for "
            "answers that are copied from the context, letter for letter."
        )
    contexts = len({example.context for example in examples})
    note = f"{path}: {len(examples):,} questions about {contexts:,} contexts"
    if answered and (unanswered := len(examples) - with_answers):
        note += f", {unanswered:,} of them without an answer"
    note += "."
    if moved:
        note += f" {moved:,} answers had a wrong offset and were moved to where they next occur."
    if searched:
        note += f" {searched:,} answers have no offset; their first occurrence is used."
    if lost:
        note += (
            f" {len(lost):,} answers are not in their contexts, such as {lost[0].where}; they are "
            "not trained on, and count in evaluation."
        )
    return examples, note


def _read_rows(path: Path, encoding: str | None) -> tuple[Iterator[tuple[str, Fields]], list[str]]:
    """Return the place and the fields of each question, with names of SQuAD, and the bad lines."""
    is_json = format_of(path) == "json"
    text, _ = read_text(path, encoding)
    if is_json:
        with suppress(json.JSONDecodeError, RecursionError):
            value = json.loads(text)
            articles = value.get("data") if isinstance(value, dict) else value
            articles = articles if isinstance(articles, list) else []
            if articles and isinstance(articles[0], dict) and "paragraphs" in articles[0]:
                return _squad_rows(path, articles), []
    table = parse_table(text, path, Columns(header=True))
    messages = [f"{path}:{line}: {reason}" for line, reason in sorted(table.errors)]
    folded = {name.casefold(): name for name in reversed(table.names)}
    found = {
        role: [folded[name] for name in names if name in folded] for role, names in NAMES.items()
    }
    chosen = {role: names[0] for role, names in found.items() if names}
    if missing := [role for role in ("context", "question") if role not in chosen]:
        if messages:
            raise MiniBertError(join_messages(messages))
        raise MiniBertError(
            f"{path} has no column for the {' and the '.join(missing)}, only "
            f"{', '.join(table.names)[:200] or 'none'}; name the columns of a file for question "
            "answering context, question, answer and answer_start."
        )
    fields = dict(zip(NAMES, ("context", "question", "answers", "answer_start"), strict=True))
    rows = (
        (str(line), {**row, **{fields[role]: row.get(name) for role, name in chosen.items()}})
        for line, row in table.rows
    )
    return rows, messages


def _squad_rows(path: Path, articles: Sequence[object]) -> Iterator[tuple[str, Fields]]:
    """Yield the questions of SQuAD's articles, each with the context of its paragraph."""

    def items(place: str, value: object, key: str) -> Iterator[tuple[str, dict[str, object]]]:
        found = value.get(key) if isinstance(value, dict) else None
        if not isinstance(found, list):
            raise MiniBertError(f'{path}: {place} has no list "{key}", as a file of SQuAD has.')
        for number, item in enumerate(found):
            yield f"{place}.{key}[{number}]", item if isinstance(item, dict) else {}

    for place, article in items("file", {"data": articles}, "data"):
        for inner, paragraph in items(place.removeprefix("file."), article, "paragraphs"):
            for innermost, question in items(inner, paragraph, "qas"):
                yield innermost, {**question, "context": paragraph.get("context")}


def _answers(row: Fields) -> Iterator[tuple[str, int | None]]:
    """Yield the text and the offset of each answer, in any of the forms of a file.

    Raises:
        ValueError, TypeError, KeyError...: the answers have no such form.
    """
    if row.get("is_impossible") in (True, "true", "True", "1"):
        return
    answers: Any = row["answers"]
    if isinstance(answers, dict):  # Hugging Face: a dictionary of lists
        texts, starts = answers["text"], answers.get("answer_start")
        if isinstance(texts, str):
            texts, starts = [texts], [starts]
        pairs = list(zip(texts, starts or [None] * len(texts), strict=True))
    elif answers is None or isinstance(answers, str):  # a cell
        pairs = [(answers or "", row.get("answer_start"))]
    else:  # SQuAD: a list of dictionaries, or only of texts
        listed = ({"text": a} if isinstance(a, str) else a for a in answers)
        pairs = [(answer["text"], answer.get("answer_start")) for answer in listed]
    for text, start in pairs:
        if not isinstance(text, str):
            raise TypeError
        if text.strip():
            yield text, None if start in (None, "") else int(start)


def _nearest(context: str, text: str, start: int | None) -> int | None:
    """Return where a text occurs in its context, as near to an offset as possible."""
    start = max(0, start or 0)
    if context.startswith(text, start):
        return start
    before = context.rfind(text, 0, start + len(text))
    after = context.find(text, start)
    if before < 0 or (after >= 0 and after - start < start - before):
        before = after
    return None if before < 0 else before


def read_question_sets(
    train: Path,
    dev: Path | None,
    test: Path | None,
    *,
    encoding: str | None = None,
    dev_share: float,
    seed: int,
) -> tuple[dict[str, list[QuestionExample]], str]:
    """Read the train, dev and test questions, and return them by split with notes for the user.

    Without a dev file, a share of the contexts with all their questions is held out: questions of
    one context on both sides would make the scores too high.

    Raises:
        MiniBertError: a file cannot be read, or no context can be held out.
    """
    files = {"train": train, "dev": dev, "test": test}
    splits: dict[str, list[QuestionExample]] = {}
    notes = []
    for name, path in files.items():
        if path is not None:
            splits[name], note = read_questions(path, encoding=encoding)
            notes.append(note)
        elif name == "dev":
            contexts = list(dict.fromkeys(example.context for example in splits["train"]))
            count = max(1, round(len(contexts) * dev_share))
            if not 0 < dev_share < 1 or count == len(contexts):
                raise MiniBertError(
                    f"a share of {dev_share} of {len(contexts)} contexts cannot be held out for "
                    "evaluation; give --dev, or a --dev-share between 0 and 1."
                )
            order = np.random.Generator(np.random.PCG64(seed)).permutation(len(contexts))
            held_out = {contexts[index] for index in order[:count]}
            splits["dev"] = [e for e in splits["train"] if e.context in held_out]
            splits["train"] = [e for e in splits["train"] if e.context not in held_out]
            notes.append(f"no dev file: {count:,} of {len(contexts):,} contexts are held out.")
    others = {e.context for name, some in splits.items() if name != "train" for e in some}
    if common := len(others & {e.context for e in splits["train"]}):
        notes.append(
            f"{common:,} contexts of the training file are also in dev or test, so scores will be "
            "too high."
        )
    splits["train"] = [e for e in splits["train"] if not e.answers or e.span]
    if not splits["train"]:
        raise MiniBertError(f"{train} has no question to train on beside those held out.")
    notes += [f"{name:5} {len(some):7,} questions" for name, some in splits.items()]
    return splits, "\n".join(notes)
