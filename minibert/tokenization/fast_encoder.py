"""Text -> ids in plain Python, at the speed of a dictionary.

All that BERT does to a text happens inside a *chunk*: a Chinese character, or a run of anything
else between spaces. The ids of a chunk never depend on its neighbours. So a text is cut into
chunks by one compiled pattern, and the ids of each chunk come out of a bounded cache, which knows
nearly all of them after a few thousand texts (Zipf's law). Only a chunk that is not there takes
the long way.

The readable twins are `normalize.split_words` and `WordPiece.split`; the tests hold all three
equal. `offsets.py` says where the pieces lie in the text.
"""

import gc
import re
import unicodedata
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import TypeVar

from minibert.tokenization.normalize import (
    CHINESE_RANGES,
    NormalizeOptions,
    is_chinese,
    is_dropped,
    is_mark,
    is_punctuation,
    is_space,
)
from minibert.tokenization.offsets import Piece, chunk_pieces
from minibert.tokenization.wordpiece import WordPiece

# About 40 MB when full; then it is emptied and fills again with what the text at hand uses.
CACHE_SIZE = 200_000
LONGEST_CACHED_CHUNK = 50

_CHINESE = "".join(f"{chr(first)}-{chr(last)}" for first, last in CHINESE_RANGES)
# Tab, line ends, Unicode's category Zs, and its two separators of lines and paragraphs.
_SPACE = " \t\n\r\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
# Python's `str.split` cuts here, BERT drops these and lets the word go on.
_FALSE_SPACE = "\x0b\x0c\x1c-\x1f\x85"

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Cache(dict[Key, Value]):
    """A dictionary that computes what it lacks and never holds more than `CACHE_SIZE` items."""

    def __init__(self, compute: Callable[[Key], Value]) -> None:
        super().__init__()
        self._compute: Callable[[Key], Value] = compute

    def __missing__(self, key: Key) -> Value:
        value: Value = self._compute(key)
        if not isinstance(key, str) or len(key) <= LONGEST_CACHED_CHUNK:
            if len(self) >= CACHE_SIZE:
                self.clear()
            self[key] = value
        return value

    def __reduce__(self) -> tuple[type["Cache[Key, Value]"], tuple[Callable[[Key], Value]]]:
        # A worker process gets the recipe and fills its own cache.
        return type(self), (self._compute,)


class PythonEncoder:
    """The Python backend: texts -> ids, and texts -> pieces with their places.

    Gain over `encode_batch_fast` of `tokenizers` 0.23 on one thread, in `tokenizer(texts)`: 2.5 to
    4.6 times on texts seen for the first time, 4.5 to 6 times on texts whose words are known
    (English reviews and novels, Chinese titles and news; `examples/benchmarks/tokenization.py`).
    """

    def __init__(self, wordpiece: WordPiece, options: NormalizeOptions) -> None:
        self.wordpiece = wordpiece
        self.options = options
        one_character, others = ("", _SPACE)
        if options.space_chinese:
            one_character, others = (f"[{_CHINESE}]|", _SPACE + _CHINESE)
        self._chunk = re.compile(f"{one_character}[^{others}]+")
        self._needs_pattern = re.compile(
            f"[{_FALSE_SPACE}{_CHINESE if options.space_chinese else ''}]"
        )
        self._cleaned = Cache[int, str](partial(_clean_character, options))
        self._split = Cache[int, str](partial(_split_character, options))
        self._word_ids = Cache[str, list[int]](self._compute_word_ids)
        self._chunk_ids = Cache[str, tuple[int, ...]](self._compute_chunk_ids)
        self._chunk_pieces = Cache[str, tuple[Piece, ...]](
            partial(chunk_pieces, wordpiece=wordpiece, options=options)
        )

    def batch_ids(self, texts: Iterable[str]) -> list[list[int]]:
        """The ids of every text, without special tokens."""
        look_up, from_chunks = self._chunk_ids.__getitem__, chain.from_iterable
        return [[*from_chunks(map(look_up, self._chunks(text)))] for text in texts]

    def pieces(self, text: str) -> list[Piece]:
        """The pieces of a text, each with its place in the text and the number of its word."""
        pieces: list[Piece] = []
        words = 0
        for match in self._chunk.finditer(text):
            found = self._chunk_pieces[match.group()]
            if found:
                offset = match.start()
                pieces += [Piece(i, offset + s, offset + e, words + w) for i, s, e, w in found]
                words += found[-1].word + 1
        return pieces

    def words(self, chunk: str) -> list[str]:
        """`normalize.split_words`, with one table look-up per character in place of its tests."""
        if chunk.isascii() and chunk.isalnum():
            return [chunk.lower() if self.options.lower_case else chunk]
        chunk = chunk.translate(self._cleaned)
        if self.options.lower_case:
            chunk = chunk.lower()
        if self.options.strip_accents:
            chunk = unicodedata.normalize("NFD", chunk)
        return chunk.translate(self._split).split()

    def _chunks(self, text: str) -> list[str]:
        # `split` is the fastest knife there is, and cuts most texts of most languages right.
        plain = (text.isascii() and text.isprintable()) or not self._needs_pattern.search(text)
        return text.split() if plain else self._chunk.findall(text)

    def _compute_chunk_ids(self, chunk: str) -> tuple[int, ...]:
        return tuple(chain.from_iterable(map(self._word_ids.__getitem__, self.words(chunk))))

    def _compute_word_ids(self, word: str) -> list[int]:
        vocabulary = self.wordpiece.vocabulary
        return [vocabulary[piece] for piece in self.wordpiece.split(word)]


def _clean_character(options: NormalizeOptions, code_point: int) -> str:
    """What `clean` and `space_chinese` make of one character."""
    character = chr(code_point)
    if is_dropped(character):
        return ""
    if is_space(character):
        return " "
    return f" {character} " if options.space_chinese and is_chinese(character) else character


def _split_character(options: NormalizeOptions, code_point: int) -> str:
    """What `strip_accents` and `split_punctuation` make of one character."""
    character = chr(code_point)
    if options.strip_accents and is_mark(character):
        return ""
    return f" {character} " if is_punctuation(character) else character


# A pause for Python's garbage collector while a batch is built.


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the collector of reference cycles; usable as a decorator, too.

    A batch is many lists and no cycle, but every few hundred new lists make the collector search
    all of them again. The pause made a call on 50,000 short texts 3 times as fast.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
