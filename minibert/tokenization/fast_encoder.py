"""The Python backend, used by default: `normalize.py` and `wordpiece.py`, made fast.

BERT splits a text at spaces and around Chinese characters. The ids of a chunk between two splits
do not depend on the rest of the text. So a compiled pattern finds the chunks, and a bounded cache
knows the ids of nearly all of them after a few thousand texts (Zipf's law). Only a chunk that is
not in the cache is normalized and split into word pieces.
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
    CHINESE,
    NormalizeOptions,
    is_accent,
    is_chinese,
    is_dropped,
    is_punctuation,
    is_space,
)
from minibert.tokenization.offsets import Token, decompose, join_parts, tokenize_with_offsets
from minibert.tokenization.wordpiece import WordPiece

# A full cache takes about 40 MB. It is then emptied, and fills again from the next texts.
CACHE_SIZE = 200_000
LONGEST_CACHED_CHUNK = 50
# `unicodedata.normalize` takes time with the square of the length of a run of combining marks.
LONGEST_QUICK_CHUNK = 500

# Tab, line ends, Unicode's category Zs, and its separators of lines and paragraphs.
SPACES = " \t\n\r\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
# `str.split` splits at these, but BERT drops them without ending the word.
DROPPED_SPACES = "\x0b\x0c\x1c-\x1f\x85"

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Cache(dict[Key, Value]):
    """A dictionary that computes missing items and never holds more than `CACHE_SIZE` of them."""

    def __init__(self, compute: Callable[[Key], Value]) -> None:
        super().__init__()
        self._compute = compute

    def __missing__(self, key: Key) -> Value:
        value = self._compute(key)
        if not isinstance(key, str) or len(key) <= LONGEST_CACHED_CHUNK:
            if len(self) >= CACHE_SIZE:
                self.clear()
            self[key] = value
        return value


class FastNormalizer:
    """The twin of `normalize.split_words`: one table look-up per character replaces its tests."""

    def __init__(self, options: NormalizeOptions) -> None:
        self.options = options
        self._cleaned = Cache(self._clean)
        self._spaced = Cache(self._space)

    def split_words(self, text: str) -> list[str]:
        """Split a text into words and punctuation marks."""
        if text.isascii() and text.isalnum():
            return [text.lower() if self.options.lower_case else text]
        text = text.translate(self._cleaned)
        if self.options.lower_case:
            text = text.lower()
        if self.options.strip_accents:
            if len(text) <= LONGEST_QUICK_CHUNK:
                text = unicodedata.normalize("NFD", text)
            else:
                text = "".join(part for part, _ in decompose([(part, 0) for part in text]))
        return text.translate(self._spaced).split()

    def _clean(self, code_point: int) -> str:
        """Return what `clean` and `space_chinese` make of a character."""
        character = chr(code_point)
        if is_dropped(character):
            return ""
        if is_space(character):
            return " "
        alone = self.options.space_chinese and is_chinese(character)
        return f" {character} " if alone else character

    def _space(self, code_point: int) -> str:
        """Return what dropping accents and `split_punctuation` make of a character."""
        character = chr(code_point)
        if self.options.strip_accents and is_accent(character):
            return ""
        return f" {character} " if is_punctuation(character) else character


class FastEncoder:
    """The Python backend: texts -> ids, or tokens with offsets.

    Speed against `encode_batch_fast` of `tokenizers` 0.23 on one thread, in `tokenizer(texts)`: 2.5
    to 4.6 times on unseen texts, 4.5 to 6 times on texts whose words are cached (English reviews
    and novels, Chinese titles and news; `examples/benchmarks/tokenization.py`).
    """

    def __init__(self, wordpiece: WordPiece, options: NormalizeOptions) -> None:
        self._arguments = wordpiece, options
        vocabulary, split_word = wordpiece.vocabulary, wordpiece.split
        split_words = FastNormalizer(options).split_words
        chinese = CHINESE if options.space_chinese else ""
        one_character = f"[{chinese}]|" if chinese else ""
        self._chunk = re.compile(f"{one_character}[^{SPACES}{chinese}]+")
        self._needs_pattern = re.compile(f"[{DROPPED_SPACES}{chinese}]")
        word_ids = Cache[str, list[int]](lambda word: [vocabulary[t] for t in split_word(word)])
        self._chunk_ids = Cache[str, tuple[int, ...]](
            lambda chunk: tuple(chain.from_iterable(map(word_ids.__getitem__, split_words(chunk))))
        )
        self._chunk_tokens = Cache[str, tuple[Token, ...]](
            partial(tokenize_with_offsets, wordpiece=wordpiece, options=options)
        )

    def __reduce__(self) -> tuple[type["FastEncoder"], tuple[WordPiece, NormalizeOptions]]:
        # A worker process fills its own caches.
        return type(self), self._arguments

    def batch_ids(self, texts: Iterable[str]) -> list[list[int]]:
        """Return the ids of every text, without special tokens."""
        look_up, needs_pattern = self._chunk_ids.__getitem__, self._needs_pattern.search
        batch = []
        for text in texts:
            # `str.split` is faster than the pattern, and gives the same chunks of most texts.
            plain = (text.isascii() and text.isprintable()) or not needs_pattern(text)
            chunks = text.split() if plain else self._chunk.findall(text)
            batch.append([*chain.from_iterable(map(look_up, chunks))])
        return batch

    def tokens(self, text: str) -> list[Token]:
        """Return the tokens of a text with their offsets, without special tokens."""
        chunks = self._chunk.finditer(text)
        return join_parts((chunk.start(), self._chunk_tokens[chunk.group()]) for chunk in chunks)


@contextmanager
def garbage_collector_paused() -> Iterator[None]:
    """Pause Python's search for reference cycles; also usable as a decorator.

    A batch is many lists without cycles, but every few hundred new lists make the collector search
    all of them again. The pause makes a call on 50,000 short texts 3 times as fast.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
