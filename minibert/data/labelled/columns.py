"""Choose the columns of a table that hold the text, the second text and the label.

1.  A column that the user asks for is taken, by name or by number from 1.
2.  With column names, well-known ones are taken. Text: a known pair ("sentence1", "sentence2"),
    or "text" or "sentence", or the only other known name for a text, or the only column beside
    the label. Label: the first known name.
3.  Without names, a single column is the text. Of two, the one with more distinct values is the
    text, and the other one is the label.
4.  Anything else is an error that lists the columns and says which option to pass.
"""

import difflib
from collections.abc import Sequence
from typing import NamedTuple

from minibert.data.labelled.tables import MAX_NAME_LENGTH, Column, Table
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
TEXTS = ("text", "sentence", "文本", "句子")  # taken even if other known names are there
OTHER_TEXTS = (  # taken if only one of them is there
    *("review", "review_body", "review_text", "comment", "comment_text", "content", "tweet"),
    *("title", "headline", "document", "body", "message", "utterance", "description"),
    *("question", "query", "premise", "内容", "标题", "评论"),
)
LABELS = (
    *("label", "labels", "gold_label", "class", "category", "target", "is_duplicate", "quality"),
    *("sentiment", "intent", "polarity", "score", "similarity", "标签", "类别"),
)
KNOWN_NAMES = frozenset((*(name for pair in PAIRS for name in pair), *TEXTS, *OTHER_TEXTS, *LABELS))


class Columns(NamedTuple):
    """The columns that the user asks for as the text, the second text and the label."""

    text: Column = None
    pair: Column = None
    label: Column = None


GUESS = Columns()  # asks for none


def choose_columns(
    table: Table, requested: Columns, *, labelled: bool
) -> tuple[str, str | None, str | None, str]:
    """Choose the columns to read.

    Returns:
        The names of the columns of the text, the second text and the label, and a sentence that
        says how they were chosen.

    Raises:
        MiniBertError: a requested column is missing, or the text or label cannot be guessed.
    """
    text, pair, label = (_find(column, table) for column in requested)
    guessed = []
    if text is None:
        text, second = _guess_text(table, [n for n in table.names if n not in (pair, label)])
        pair = pair or second
        guessed.append("text")
    if labelled and label is None:
        free = [name for name in table.names if name not in (text, pair)]
        if table.has_header:
            known = {name.strip().casefold(): name for name in free}
            free = [known[name] for name in LABELS if name in known][:1]
        label = free[0] if len(free) == 1 else None
        guessed.append("label")
    if text is None or (labelled and label is None):
        role = "text" if text is None else "label"
        raise MiniBertError(
            f"{table.path}: cannot tell which column is the {role}; {_describe(table)} Pass its "
            f"name or its number from 1 (--{role}-column)."
        )
    roles = (("text", text), ("second text", pair), ("label", label))
    chosen = {role: name for role, name in roles if name is not None}
    if len(set(chosen.values())) < len(chosen):
        raise MiniBertError(
            f"{table.path}: the text, its pair and the label must be different columns; name them "
            "with --text-column, --pair-column and --label-column."
        )
    quote = "'" if table.has_header else ""
    read = ", ".join(f"{role} = column {quote}{name}{quote}" for role, name in chosen.items())
    header = "names from the file" if table.has_header else "no header"
    how = f"{' and '.join(guessed)} guessed" if guessed else "as requested"
    return text, pair, label, f"{table.path}: {read} ({header}, {how})."


def _find(column: Column, table: Table) -> str | None:
    """Return the name of a requested column; None if there is no request."""
    if column is None or (isinstance(column, str) and column in table.names):
        return column
    number = int(column) if isinstance(column, int) or column.isdecimal() else 0
    if 1 <= number <= len(table.names):
        return table.names[number - 1]
    close = difflib.get_close_matches(str(column), table.names, n=1)
    hint = f" Did you mean '{close[0]}'?" if close and len(table.names) > 1 else ""
    raise MiniBertError(f"{table.path} has no column '{column}'; {_describe(table)}{hint}")


def _guess_text(table: Table, free: Sequence[str]) -> tuple[str | None, str | None]:
    """Return the names of the text and of the second text, each None if it is not found."""
    known = {name.strip().casefold(): name for name in free}
    if not table.has_header and len(free) == 2:
        # Labels repeat and are short.
        cells = {name: [str(row[name]) for _, row in table.rows] for name in free}
        return max(free, key=lambda n: (len(set(cells[n])), sum(map(len, cells[n])))), None
    for first, second in PAIRS:
        if first in known and second in known:
            return known[first], known[second]
    for name in TEXTS:
        if name in known:
            return known[name], None
    others = [known[name] for name in OTHER_TEXTS if name in known]
    candidates = others or [name for folded, name in known.items() if folded not in LABELS]
    return (candidates[0] if len(candidates) == 1 else None), None


def _describe(table: Table) -> str:
    """Return a sentence that lists the columns, for error messages."""
    names, first_row = table.names, table.rows[0][1]
    more = " and more" if len(names) > 20 else ""
    if table.has_header:
        listed = ", ".join(f"'{name[:MAX_NAME_LENGTH]}'" for name in names[:20])
        told = f"it has the columns {listed}{more}."
    else:
        cells = " | ".join(str(cell)[:30] for cell in list(first_row.values())[:20])
        told = f"it has {len(names)} column{'s' * (len(names) > 1)} without names ({cells}{more})."
    if len(names) == 1 and any(mark in f"{names}{first_row}" for mark in (";", "\\t")):
        told += " Check the separators: tabs in a .tsv file, commas in a .csv file."
    return told
