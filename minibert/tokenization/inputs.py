"""What a caller may hand over as text, brought into one form."""

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from minibert.errors import MiniBertError
from minibert.tokenization.fast_encoder import PythonEncoder
from minibert.tokenization.normalize import NormalizeOptions
from minibert.tokenization.offsets import Piece
from minibert.tokenization.rust_encoder import RustEncoder
from minibert.tokenization.truncation import Pair
from minibert.tokenization.wordpiece import WordPiece

# One text, or the words of one text.
Source = str | list[str]
Batch = list[tuple[Source, Source | None]]


def as_batch(
    text: Any, text_pair: Any = None, *, is_split_into_words: bool = False
) -> tuple[Batch, bool]:
    """Give a list of (text, second text or None), and whether a batch was handed over.

    Example:
        >>> as_batch("a", "b"), as_batch(["a", ("b", "c")])
        (([('a', 'b')], False), ([('a', None), ('b', 'c')], True))

    Raises:
        MiniBertError: something that is no text, or two lists of different lengths.
    """
    if not _is_list(text) and not isinstance(text, str):
        raise MiniBertError(
            f"{_shown(text)} is no text; give a str or a list of str (call .tolist()?)."
        )
    if is_split_into_words:
        is_batch = _is_list(text) and bool(text) and _is_list(text[0])
    else:
        is_batch = _is_list(text)
        if is_batch and text_pair is None and all(isinstance(item, str) for item in text):
            # The usual case, made short: large batches of plain texts.
            return [(item, None) for item in text], True
    if not is_batch:
        # As in Hugging Face, "" beside one text means that there is no second one.
        pair = (text, text_pair or None)
        return [_checked(pair, 0, is_split_into_words)], False
    if text_pair is None:
        items = [
            tuple(item) if _is_pair(item, is_split_into_words) else (item, None) for item in text
        ]
    elif not _is_list(text_pair) or len(text_pair) != len(text):
        found = len(text_pair) if _is_list(text_pair) else _shown(text_pair)
        raise MiniBertError(
            f"text is a list of {len(text)}, text_pair is {found}; give both as lists of the "
            "same length."
        )
    else:
        items = list(zip(text, text_pair, strict=True))
    return [_checked(item, index, is_split_into_words) for index, item in enumerate(items)], True


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _is_pair(item: Any, is_split_into_words: bool) -> bool:
    """A list of two texts is a pair; where words are given, two lists of words are."""
    return (
        _is_list(item) and len(item) == 2 and (not is_split_into_words or all(map(_is_list, item)))
    )


def _checked(
    pair: tuple[Any, Any], index: int, is_split_into_words: bool
) -> tuple[Source, Source | None]:
    for source in pair:
        if isinstance(source, str) and not is_split_into_words:
            continue
        if source is None and source is not pair[0]:
            continue
        if is_split_into_words and _is_list(source) and all(isinstance(w, str) for w in source):
            continue
        wanted = "a list of words" if is_split_into_words else "a text"
        raise MiniBertError(
            f"item {index} is {_shown(source)}, not {wanted}; clean the data first."
        )
    return pair


def _shown(value: Any) -> str:
    shown = repr(value)
    return f"{type(value).__name__} {shown if len(shown) < 40 else shown[:40] + '...'}"


# The options of one call of the tokenizer: checked, and their many spellings made one.


PADDING = {False: "do_not_pad", None: "do_not_pad", True: "longest"}
TRUNCATION = {False: "do_not_truncate", None: "do_not_truncate", True: "longest_first"}


@dataclass(frozen=True)
class CallOptions:
    """How rows are cut and filled up.

    Attributes:
        padding: "longest" (of the batch), "max_length" or "do_not_pad"; True and False also do.
        truncation: "longest_first", "only_first", "only_second" or "do_not_truncate"; True and
            False also do. None cuts ("longest_first") exactly when a `max_length` is given and no
            padding.
        max_length: tokens per row, special tokens included.
        model_max_length: what takes the place of a missing `max_length`.
        stride: tokens that an overflowing window shares with the one before.
        pad_to_multiple_of: round the padded length up.
        padding_side: "right" or "left".
        truncation_side: "right" drops the end of a text, "left" its beginning.
        add_special_tokens: put [CLS] and [SEP] around the texts.
        overflow: give what was cut off in further rows.
    """

    padding: bool | str | None = False
    truncation: bool | str | None = None
    max_length: int | None = None
    model_max_length: int = 512
    stride: int = 0
    pad_to_multiple_of: int | None = None
    padding_side: str = "right"
    truncation_side: str = "right"
    add_special_tokens: bool = True
    overflow: bool = False

    def __post_init__(self) -> None:
        truncation = self.truncation
        if truncation is None and self.max_length is not None and self.padding is False:
            truncation = True
        padding = _one_of("padding", self.padding, PADDING, ("longest", "max_length", "do_not_pad"))
        truncation = _one_of(
            "truncation",
            truncation,
            TRUNCATION,
            ("longest_first", "only_first", "only_second", "do_not_truncate"),
        )
        object.__setattr__(self, "padding", padding)
        object.__setattr__(self, "truncation", truncation)
        if self.max_length is None and (self.truncates or padding == "max_length"):
            object.__setattr__(self, "max_length", self.model_max_length)
        for name in ("padding_side", "truncation_side"):
            if getattr(self, name) not in ("right", "left"):
                raise MiniBertError(f'{name} is {getattr(self, name)!r}; use "right" or "left".')
        if self.stride < 0:
            raise MiniBertError(
                f"stride is {self.stride}; it counts shared tokens and cannot be negative."
            )
        self._check_lengths()

    @property
    def truncates(self) -> bool:
        """Whether rows are cut at `max_length`."""
        return self.truncation != "do_not_truncate"

    @property
    def pads(self) -> bool:
        """Whether rows are filled up with [PAD]."""
        return self.padding != "do_not_pad"

    def _check_lengths(self) -> None:
        multiple = self.pad_to_multiple_of
        if self.max_length is not None and self.max_length < 0:
            raise MiniBertError(f"max_length is {self.max_length}; it must not be negative.")
        if multiple is not None and multiple < 1:
            raise MiniBertError(f"pad_to_multiple_of is {multiple}; it must be 1 or more.")
        if (
            multiple
            and self.max_length
            and self.truncates
            and self.pads
            and self.max_length % multiple
        ):
            raise MiniBertError(
                f"max_length {self.max_length} is no multiple of pad_to_multiple_of {multiple}; "
                "rows would be padded beyond the length they were cut to, so make it one."
            )


def _one_of(
    name: str, value: bool | str | None, spellings: dict[bool | None, str], known: tuple[str, ...]
) -> str:
    if isinstance(value, bool) or value is None:
        return spellings[value]
    if value not in known:
        raise MiniBertError(f"{name} is {value!r}; use True, False or one of {', '.join(known)}.")
    return value


# Texts -> sequences of ids, or of pieces that know their place; no [CLS], no [SEP] yet.
#
# Above the backends: lists of words, second texts, and special tokens that a text spells.


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
