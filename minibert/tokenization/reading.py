"""Texts -> sequences of ids, or of pieces that know their place; no [CLS], no [SEP] yet.

Above the backends: lists of words, second texts, and special tokens that a text spells.
"""

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from minibert.errors import MiniBertError
from minibert.tokenization.batch import Batch, Source
from minibert.tokenization.chunks import PythonEncoder
from minibert.tokenization.normalize import NormalizeOptions
from minibert.tokenization.offsets import Piece
from minibert.tokenization.pairs import Pair
from minibert.tokenization.rust import RustEncoder
from minibert.tokenization.wordpiece import WordPiece


class Encoder(Protocol):
    """What a backend must do."""

    def batch_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of every text, fast."""
        ...

    def pieces(self, text: str) -> list[Piece]:
        """The pieces of one text, with their places and words."""
        ...


_BACKENDS: dict[str, Callable[[WordPiece, NormalizeOptions], Encoder]] = {
    "python": PythonEncoder,
    "rust": RustEncoder,
}


class TextReader:
    """Reads texts through one backend.

    Args:
        backend: "python" or "rust".
        wordpiece: the vocabulary at work.
        options: what is done to a text before it is looked up.
        special_ids: the special tokens and their ids, for texts in which they shall be recognised.

    Raises:
        MiniBertError: there is no such backend.
    """

    def __init__(
        self,
        backend: str,
        wordpiece: WordPiece,
        options: NormalizeOptions,
        special_ids: Mapping[str, int],
    ) -> None:
        if backend not in _BACKENDS:
            raise MiniBertError(f'backend is {backend!r}; use "python" or "rust".')
        self._encoder = _BACKENDS[backend](wordpiece, options)
        self._special_ids = dict(special_ids)
        longest_first = sorted(special_ids, key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, longest_first)))

    def warn_if_special_is_spelled(self, batch: Batch) -> None:
        """Warn whoever called the tokenizer and may have meant a special token."""
        for source in (source for pair in batch for source in pair if isinstance(source, str)):
            if found := self._special.search(source):
                warnings.warn(
                    f"the text spells {found.group()}, which is read as plain text; "
                    "split_special_tokens=False makes it the special token, and True is silent.",
                    stacklevel=4,  # through the tokenizer's call and its decorator
                )
                return

    def id_pairs(self, batch: Batch) -> list[Pair[int]]:
        """The ids of every text and second text; for plain texts only, and fast."""
        firsts = self._encoder.batch_ids([str(first) for first, _ in batch])
        if all(second is None for _, second in batch):
            return [(first, None) for first in firsts]
        seconds = self._encoder.batch_ids([str(second or "") for _, second in batch])
        return [
            (first, None if texts[1] is None else second)
            for first, second, texts in zip(firsts, seconds, batch, strict=True)
        ]

    def piece_pairs(self, batch: Batch, *, split_special_tokens: bool) -> list[Pair[Piece]]:
        """The pieces of every text and second text."""
        find = self._plain_pieces if split_special_tokens else self._pieces_and_special_tokens

        def pieces(source: Source) -> list[Piece]:
            if isinstance(source, str):
                return find(source)
            # Places count within a word here, and the caller's words are the words.
            return [
                piece._replace(word=number)
                for number, word in enumerate(source)
                for piece in find(word)
            ]

        return [
            (pieces(first), None if second is None else pieces(second)) for first, second in batch
        ]

    def _plain_pieces(self, text: str) -> list[Piece]:
        return self._encoder.pieces(text)

    def _pieces_and_special_tokens(self, text: str) -> list[Piece]:
        """A special token is a word of its own, even in the middle of another."""
        pieces: list[Piece] = []
        start = words = 0
        for special in [*self._special.finditer(text), None]:
            end = special.start() if special else len(text)
            for piece in self._encoder.pieces(text[start:end]):
                place = start + piece.start, start + piece.end
                pieces.append(Piece(piece.id, *place, words + piece.word))
            words = pieces[-1].word + 1 if pieces else 0
            if special:
                start = special.end()
                pieces.append(Piece(self._special_ids[special.group()], end, start, words))
                words += 1
        return pieces
