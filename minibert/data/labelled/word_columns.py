"""Read files with a word per line, its tag in another column, as those of CoNLL.

    EU NNP B-NP B-ORG           CoNLL: the last column of tags is read
    EU<TAB>B-ORG                columns between tabs may hold spaces
    1<TAB>EU<TAB>...            CoNLL-U: words are numbered; 1-2 stands for two words together

Blank lines lie between sentences. Lines that begin with -DOCSTART- are skipped, and so are comments
(#) above a sentence.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from minibert.data.labelled.header import Column, Columns, is_column_number
from minibert.data.labelled.tags import TAG
from minibert.data.labelled.text_file import Errors
from minibert.errors import MiniBertError

EXAMINED = 1000  # lines
MOST = 0.95  # this share of the cells of a column of tags are tags; the others are errors
_NUMBER = re.compile(r"\d+([-.]\d+)?")
_UPOS = 3  # universal parts of speech, among the ten columns of CoNLL-U


class Sentence(NamedTuple):
    """A sentence: its words, the tag of each unless the file has none, and the line of each."""

    words: list[str]
    tags: list[str]
    lines: Sequence[int]


def read_columns(
    path: Path,
    lines: Sequence[str],
    columns: Columns,
    errors: Errors,
    known: Sequence[str],
    *,
    labelled: bool,
) -> tuple[list[Sentence], str]:
    """Return the sentences of a file, and a note on its columns.

    Args:
        path: the file.
        lines: those of the file.
        columns: those of the words and the tags, by number from 1; None is guessed.
        errors: the bad lines are added to it.
        known: the tags of a model, which are tags in whatever form.
        labelled: whether there must be tags.

    Raises:
        MiniBertError: there are no words, or the columns are unclear.
    """
    groups = _split(lines)
    rows = [cells for group in groups for _, cells in group if not cells[0].startswith("#")]
    if not rows:
        raise MiniBertError(f"{path} holds no words.")
    width = Counter(map(len, rows)).most_common(1)[0][0]
    by_column = [*zip(*(row for row in rows[:EXAMINED] if len(row) == width), strict=True)]
    numbered = width > 1 and all(map(_NUMBER.fullmatch, by_column[0])) and "1" in by_column[0]
    word, tag = _column(columns.text, width, path), _column(columns.label, width, path)
    asked, word = (word, tag), int(numbered) if word is None else word

    def is_tag(cell: str) -> bool:
        return TAG.fullmatch(cell) is not None or cell in known

    fit = [at for at, cells in enumerate(by_column) if sum(map(is_tag, cells)) >= MOST * len(cells)]
    if tag is None and (fit := [at for at in fit if at != word]):
        tag = fit[-1]
    elif tag is None and labelled:
        if width not in (2 + numbered, 10 * numbered):
            raise MiniBertError(
                f"{path}: cannot tell which column holds the tags; it has {width} "
                f"column{'s' * (width > 1)} ({' | '.join(rows[0])[:99]}). Pass its number from 1 "
                "(--label-column)."
            )
        tag = _UPOS if width == 10 else width - 1  # of tags without spans, such as NN and VB
    sentences, comments = _collect(
        groups,
        errors,
        width=width,
        word=word,
        tag=tag,
        is_tag=is_tag if tag in fit else bool,
        numbered=numbered,
    )
    if not labelled:
        sentences = [sentence._replace(tags=[]) for sentence in sentences]
    roles = f"word = column {word + 1}" + ("" if tag is None else f", tag = column {tag + 1}")
    how = "as requested" if (word, tag) == asked else "guessed"
    skipped = f"; comments skipped: {comments:,}" if comments else ""
    return sentences, f"{path}: a word per line, {roles} of {width} ({how}{skipped})."


def _split(lines: Sequence[str]) -> list[list[tuple[int, list[str]]]]:
    """Return the lines of each sentence, as (number from 1, cells)."""
    tabs = all("\t" in line for line in lines if line.strip(" \t") and line[0] not in "#-")
    groups: list[list[tuple[int, list[str]]]] = [[]]
    for number, line in enumerate(lines, start=1):
        if not line.strip(" \t") or line.startswith("-DOCSTART-"):
            groups.append([])
        else:
            # Not at other spaces of Unicode, which can be words.
            cells = line.split("\t") if tabs else re.split("[ \t]+", line.strip(" \t"))
            groups[-1].append((number, [cell.strip(" ") for cell in cells]))
    return groups


def _column(requested: Column, width: int, path: Path) -> int | None:
    """Return the index of a column that is asked for by its number from 1."""
    if requested is None:
        return None
    if is_column_number(requested) and 1 <= int(requested) <= width:
        return int(requested) - 1
    raise MiniBertError(
        f"{path} has no column {requested!r:.99}; in a file with a word per line, columns have the "
        f"numbers 1 to {width}."
    )


def _collect(
    groups: Sequence[Sequence[tuple[int, list[str]]]],
    errors: Errors,
    *,
    width: int,
    word: int,
    tag: int | None,
    is_tag: Callable[[str], bool],
    numbered: bool,
) -> tuple[list[Sentence], int]:
    """Return the sentences and the number of comments; add the bad lines to `errors`."""
    sentences, comments = [], 0
    for group in groups:
        lines: list[int] = []
        found = Sentence([], [], lines)
        for number, cells in group:
            is_right = len(cells) == width and (tag is None or is_tag(cells[tag]))
            if cells[0].startswith("#") and not lines and not is_right:
                comments += 1
            elif "\0" in "".join(cells):
                errors.append((number, "a NUL character; is the file UTF-16?"))
            elif len(cells) != width:
                reason = f"{len(cells)} columns where most lines have {width}"
                errors.append((number, f"{reason}; a line is a word and its tag."))
            elif not is_right:
                cell = cells[tag or 0]
                errors.append((number, f"{cell!r:.99} is not a tag such as O or B-PER."))
            elif not numbered or cells[0].isdecimal():
                found.words.append(cells[word])
                found.tags.append(cells[tag or 0])
                lines.append(number)
        if lines:
            sentences.append(found)
    return sentences, comments
