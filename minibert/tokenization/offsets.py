"""Where in the caller's own text does a piece lie?

Lower case, accents and dropped characters all change the length of a text. So the steps of
`normalize.py` are done once more here on characters that remember where they came from. The words
are the same, which the tests show; what is added is the place of each.
"""

import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from minibert.tokenization.normalize import (
    NormalizeOptions,
    is_chinese,
    is_dropped,
    is_mark,
    is_punctuation,
    is_space,
)
from minibert.tokenization.wordpiece import CONTINUES, WordPiece


class Piece(NamedTuple):
    """One token: its id, its place `text[start:end]`, and the number of its word in the text."""

    id: int
    start: int
    end: int
    word: int


class Placed(NamedTuple):
    """A character, and its place in the source."""

    character: str
    place: int


def chunk_pieces(
    chunk: str, *, wordpiece: WordPiece, options: NormalizeOptions
) -> tuple[Piece, ...]:
    """The pieces of a text, with their places. Fit for whole texts as well as for one chunk."""
    pieces = []
    for number, word in enumerate(placed_words(chunk, options)):
        start = 0
        names = wordpiece.split("".join(placed.character for placed in word))
        for name in names:
            length = len(name) - (len(CONTINUES) if start else 0)
            if names == [wordpiece.unknown_token]:
                length = len(word)
            first, last = word[start], word[start + length - 1]
            identity = wordpiece.vocabulary[name]
            pieces.append(Piece(identity, first.place, last.place + 1, number))
            start += length
    return tuple(pieces)


def placed_words(text: str, options: NormalizeOptions) -> Iterator[list[Placed]]:
    """`normalize.split_words`, but each character of a word knows its index in `text`."""
    for run in _runs(text, options):
        cased = _lower(run) if options.lower_case else run
        word: list[Placed] = []
        for placed in _strip_accents(cased) if options.strip_accents else cased:
            if is_punctuation(placed.character):
                if word:
                    yield word
                yield [placed]
                word = []
            else:
                word.append(placed)
        if word:
            yield word


def _runs(text: str, options: NormalizeOptions) -> Iterator[list[Placed]]:
    """Cut at spaces and around Chinese characters; drop what is invisible."""
    run: list[Placed] = []
    for index, character in enumerate(text):
        if is_dropped(character):
            continue
        alone = options.space_chinese and is_chinese(character)
        # `isspace` knows the separators of lines and paragraphs, where Google's `split` cuts, too.
        space = is_space(character) or character.isspace()
        if (alone or space) and run:
            yield run
            run = []
        if alone:
            yield [Placed(character, index)]
        elif not space:
            run.append(Placed(character, index))
    if run:
        yield run


def _lower(run: list[Placed]) -> list[Placed]:
    # Lower the whole run, since a sigma looks at its neighbours; a letter may become several.
    lowered = iter("".join(placed.character for placed in run).lower())
    return [Placed(next(lowered), placed.place) for placed in run for _ in placed.character.lower()]


def _strip_accents(run: list[Placed]) -> list[Placed]:
    return [placed for placed in _decompose(run) if not is_mark(placed.character)]


def _decompose(run: list[Placed]) -> list[Placed]:
    """Unicode's NFD: take each character apart, then sort the marks of a letter by class."""
    parts = [
        Placed(part, placed.place)
        for placed in run
        for part in unicodedata.normalize("NFD", placed.character)
    ]
    start = 0
    while start < len(parts):
        end = start + 1
        while end < len(parts) and unicodedata.combining(parts[end].character):
            end += 1
        # The sort is stable, and a letter has class 0, so it stays in front.
        parts[start:end] = sorted(parts[start:end], key=_combining_class)
        start = end
    return parts


def _combining_class(placed: Placed) -> int:
    return unicodedata.combining(placed.character)
