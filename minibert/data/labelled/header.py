"""Decide whether the first line of a table holds column names: the header rule.

One rule for train, dev, test and prediction files; `has_header` holds its decision table.
"""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

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
    ("句子1", "句子2"),
    ("文本1", "文本2"),
)
TEXTS = ("text", "sentence", "文本", "句子")  # taken even if other known names are there
OTHER_TEXTS = (  # taken if only one of them is there
    *("review", "review_body", "review_text", "comment", "comment_text", "content", "tweet"),
    *("title", "headline", "document", "body", "message", "utterance", "description", "text_a"),
    *("question", "query", "premise", "内容", "标题", "评论", "正文", "问题"),
)
LABELS = (
    *("label", "labels", "gold_label", "class", "category", "target", "is_duplicate", "quality"),
    *("class index", "class_index", "airline_sentiment"),
    *("sentiment", "intent", "polarity", "score", "similarity", "stars", "star_rating", "rating"),
    *("categories", "tags", "topic"),
    *("标签", "类别", "分类", "情感"),
)
KNOWN_NAMES = frozenset((*(name for pair in PAIRS for name in pair), *TEXTS, *OTHER_TEXTS, *LABELS))
MAX_NAME_LENGTH = 40  # characters; a longer cell is not a column name

_MISSING = frozenset(("na", "n/a", "nan", "null", "none", "-", "?"))  # in place of a number

# What R, Excel and pandas write where a table has no names: V1, Column1, Unnamed: 0.
_GENERIC_NAME = re.compile(r"(v|x|c|col|column|field|var|unnamed:|spalte|列)[ _]?\d+")

Column = str | int | None
"""A column as the user gives it: a name, a number from 1, or None to guess."""


class Columns(NamedTuple):
    """What the user says about the columns of a file; None leaves it to the rules.

    Attributes:
        text: the column of the text.
        pair: that of the second text.
        label: that of the label.
        header: whether the first line of a TSV or CSV file holds the column names.
    """

    text: Column = None
    pair: Column = None
    label: Column = None
    header: bool | None = None


GUESS = Columns()


def has_header(rows: Sequence[Sequence[str]], requested: Columns = GUESS) -> bool:
    """Return whether the first of the rows holds column names.

    The first line of this table that applies decides:

    | the user or the file says                                                      | header? |
    |--------------------------------------------------------------------------------|---------|
    | `--header` or `--no-header`                                                    | as said |
    | a column is asked for by name                                                  | yes     |
    | a cell of line 1 is not a number, and all below it are (or missing: "", "N/A") | yes     |
    | line 1 is 0, 1, 2, ..., which pandas writes without names, above other texts   | yes     |
    | columns are asked for by number: these cells of line 1 are all known names     | yes     |
    | columns are asked for by number: any other case                                | no      |
    | all cells are known names, one of a label and one of a text                    | yes     |
    | a cell of line 1 is longer than a name                                         | no      |
    | no known name ("text", "label", "标签", "V1", ...) is new, that is, in line 1 and | no      |
    | nowhere below in its column                                                    |         |
    | a cell of line 1 occurs again below it, and no known name of a label is new    | no      |
    | any other case                                                                 | yes     |

    If line 1 holds nothing but known names, copies of it (files joined into one) do not count.

    Args:
        rows: the cells of the lines, as many in each as in the first. A thousand are enough.
        requested: the columns that the user asks for, and whether there is a header.

    Example:
        >>> has_header([["text", "label"], ["good", "1"]])
        True
        >>> has_header([["What is it?", "question"], ["It is.", "answer"], ["Who?", "question"]])
        False
    """
    if requested.header is not None or not rows:
        return bool(requested.header)
    asked = [column for column in requested[:3] if column is not None]
    positions = [int(column) - 1 for column in asked if is_column_number(column)]
    if len(positions) < len(asked):
        return True
    first, *below = rows
    names = [cell.strip().casefold() for cell in first]
    known = [name in KNOWN_NAMES or bool(_GENERIC_NAME.fullmatch(name)) for name in names]
    if all(known):
        below = [row for row in below if row != first]
    counted = names[names[0] == "" :]  # the column of line numbers has no name
    from_pandas = len(counted) > 1 and counted == list(map(str, range(len(counted))))
    columns = [
        {row[i] for row in below if row[i].casefold() not in _MISSING and row[i]}
        for i in range(len(first))
    ]
    numeric = [bool(cells) and all(map(is_number, cells)) for cells in columns]
    if (from_pandas and not all(numeric)) or any(
        numbers and not (is_number(name) or name in _MISSING) and len(name) <= MAX_NAME_LENGTH
        for name, numbers in zip(names, numeric, strict=True)
    ):
        return True
    if positions:
        return all(0 <= i < len(first) and known[i] for i in positions)
    repeated = [cell != "" and any(row[i] == cell for row in below) for i, cell in enumerate(first)]
    new = [name for name, k, r in zip(names, known, repeated, strict=True) if k and not r]
    if all(known) and 0 < sum(name in LABELS for name in names) < len(names):
        return True
    short = max(map(len, names)) <= MAX_NAME_LENGTH
    return short and bool(new) and (not any(repeated) or any(name in LABELS for name in new))


def is_column_number(column: Column) -> bool:
    """Return whether a requested column is a number from 1, such as 2 or "2"."""
    return isinstance(column, int) or (column is not None and column.isdecimal())


def is_number(text: str) -> bool:
    """Return whether a cell is a finite number, such as "-3.5"."""
    try:
        return "_" not in text and math.isfinite(float(text))
    except ValueError:
        return False
