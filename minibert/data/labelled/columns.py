"""Which column is the text, which the second text, which the label.

The rules, in order:

1.  A column that is asked for is taken: by its name, or by its number from 1.
2.  The first line is a header when a column is asked for by name, or when one of its cells is a
    name from the lists below and none is longer than 40 characters. JSONL needs no header: its
    keys are the names.
3.  With names, the well-known ones are taken: a known pair ("sentence1", "sentence2"), or "text",
    or "sentence", or the only other known name for a text, or the only column beside the label;
    and the first known name for a label.
4.  Without names, one column is the text; of two, the label is the one with fewer different values.
5.  Anything else is an error that lists the columns and says what to pass.

What was guessed is told in one sentence, `Columns.note`.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from minibert.errors import MiniBertError

PAIRS = (
    ("sentence1", "sentence2"),
    ("sentence_a", "sentence_b"),
    ("text_a", "text_b"),
    ("text1", "text2"),
    ("text", "text_pair"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("question", "sentence"),
    ("query", "passage"),
    ("#1 string", "#2 string"),
)
TEXTS = ("text", "sentence", "文本", "句子")  # the text, whatever else there is
OTHER_TEXTS = (  # the text, if it is the only one of these
    *("review", "review_body", "review_text", "comment", "comment_text", "content", "tweet"),
    *("title", "headline", "document", "body", "message", "utterance", "description"),
    *("question", "query", "premise", "内容", "标题", "评论"),
)
LABELS = (
    *("label", "labels", "gold_label", "class", "category", "target", "is_duplicate", "quality"),
    *("sentiment", "intent", "polarity", "score", "similarity", "标签", "类别"),
)

_KNOWN = {name for pair in PAIRS for name in pair}.union(TEXTS, OTHER_TEXTS, LABELS)
_LONGEST_NAME = 40

Column = str | int | None
"""A column as the user names it: by name, by number from 1, or not at all."""


@dataclass(frozen=True)
class Columns:
    """The names of the columns to read, and one sentence about how they were found."""

    text: str
    pair: str | None
    label: str | None
    note: str


def is_header(first_row: Sequence[str], asked: Sequence[Column]) -> bool:
    """Whether the first row of a file holds names: rule 2 above."""
    if any(isinstance(name, str) and not name.isdecimal() for name in asked):
        return True
    folded = [cell.strip().casefold() for cell in first_row]
    return any(cell in _KNOWN for cell in folded) and max(map(len, folded)) <= _LONGEST_NAME


def choose_columns(
    names: Sequence[str],
    rows: Sequence[Mapping[str, object]],
    *,
    where: str,
    named: bool,
    text: Column = None,
    pair: Column = None,
    label: Column = None,
    labelled: bool = True,
) -> Columns:
    """Find the columns to read among `names`.

    Args:
        names: the columns of the file, in order; their numbers as text where it has no header.
        rows: the rows, looked at only when a two-column file has no names.
        where: the file, for error messages.
        named: whether `names` come from the file.
        text: the column asked for as the text; None to guess.
        pair: likewise, for the second text of a pair.
        label: likewise, for the label.
        labelled: whether a label column must be found.

    Raises:
        MiniBertError: a column asked for is not there, or the text or label cannot be guessed.
    """
    text, pair, label = (_asked(column, names, where=where) for column in (text, pair, label))
    free = [name for name in names if name not in (text, pair, label)]
    guessed = []
    if text is None:
        text, second = _guess_text(free, rows, named=named)
        if text is None:
            raise MiniBertError(_cannot_guess("text", names, rows, where=where, named=named))
        pair = pair or second
        guessed.append("text")
    if labelled and label is None:
        free = [name for name in names if name not in (text, pair)]
        label = _guess_label(free, named=named)
        if label is None:
            raise MiniBertError(_cannot_guess("label", names, rows, where=where, named=named))
        guessed.append("label")
    chosen = [column for column in (text, pair, label) if column is not None]
    if len(set(chosen)) < len(chosen):
        raise MiniBertError(f"{where}: the text, its pair and the label must be different columns.")
    return Columns(text, pair, label, _note(text, pair, label, guessed, where=where, named=named))


def _asked(column: Column, names: Sequence[str], *, where: str) -> str | None:
    if column is None or column in names:
        return column if isinstance(column, str) else None
    number = int(column) if isinstance(column, int) or column.isdecimal() else 0
    if 1 <= number <= len(names):
        return names[number - 1]
    close = difflib.get_close_matches(str(column), names, n=1)
    hint = f" Did you mean '{close[0]}'?" if close and len(names) > 1 else ""
    hint = hint or _other_mark(names, names[:1])
    raise MiniBertError(f"{where} has no column '{column}'; it has {_listed(names)}.{hint}")


def _guess_text(
    free: Sequence[str], rows: Sequence[Mapping[str, object]], *, named: bool
) -> tuple[str | None, str | None]:
    if not named:
        return _longest_spread(free, rows) if len(free) <= 2 else None, None
    known = {name.strip().casefold(): name for name in free}
    for first, second in PAIRS:
        if first in known and second in known:
            return known[first], known[second]
    for name in TEXTS:
        if name in known:
            return known[name], None
    others = [known[name] for name in OTHER_TEXTS if name in known]
    beside_label = [name for folded, name in known.items() if folded not in LABELS]
    only = others or beside_label
    return only[0] if len(only) == 1 else None, None


def _longest_spread(free: Sequence[str], rows: Sequence[Mapping[str, object]]) -> str | None:
    """The column that can only be the text: labels repeat and are short, texts do neither."""

    def spread(name: str) -> tuple[int, int]:
        values = [str(row.get(name)) for row in rows]
        return len(set(values)), sum(map(len, values))

    return max(free, key=spread, default=None)


def _guess_label(free: Sequence[str], *, named: bool) -> str | None:
    if not named:
        return free[0] if len(free) == 1 else None
    known = {name.strip().casefold(): name for name in free}
    return next((known[name] for name in LABELS if name in known), None)


def _listed(names: Sequence[str]) -> str:
    listed = ", ".join(f"'{name[:_LONGEST_NAME]}'" for name in names[:20])
    return f"the columns {listed}" + (" and more" if len(names) > 20 else "")


def _cannot_guess(
    role: str,
    names: Sequence[str],
    rows: Sequence[Mapping[str, object]],
    *,
    where: str,
    named: bool,
) -> str:
    if named:
        found = f"it has {_listed(names)}; pass its name (--{role}-column NAME)"
    else:
        cells = " | ".join(str(rows[0].get(name))[:30] for name in names[:8]) if rows else ""
        found = (
            f"it has {len(names)} column{'s' * (len(names) > 1)} without names ({cells}); "
            f"pass its number from 1 (--{role}-column 1), or add a header"
        )
    hint = _other_mark(names, rows[:1])
    return f"{where}: cannot tell which column is the {role}; {found}.{hint}"


def _other_mark(names: Sequence[str], first: Sequence[object]) -> str:
    """A question, where there is one column only and in it what others put between cells."""
    if len(names) == 1 and any(mark in names[0] + str(first) for mark in (";", "\\t", "\t")):
        return " Are the cells separated as the name of the file says (.tsv tabs, .csv commas)?"
    return ""


def _note(
    text: str,
    pair: str | None,
    label: str | None,
    guessed: Sequence[str],
    *,
    where: str,
    named: bool,
) -> str:
    def shown(name: str) -> str:
        return f"'{name}'" if named else name

    parts = [f"text = column {shown(text)}"]
    if pair is not None:
        parts.append(f"second text = column {shown(pair)}")
    if label is not None:
        parts.append(f"label = column {shown(label)}")
    header = "names from the file" if named else "no header"
    how = f"{' and '.join(guessed)} guessed" if guessed else "as asked"
    return f"{where}: {', '.join(parts)} ({header}, {how})."
