"""The tokenizer's result: a dictionary of columns that knows where its tokens came from."""

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, Self

from minibert.errors import MiniBertError
from minibert.tokenization.inputs import CallOptions
from minibert.tokenization.offsets import Piece
from minibert.tokenization.padding import pad_rows, padded_length
from minibert.tokenization.truncation import Item, Pair, cut, frame, segments
from minibert.tokenization.vocab import TokenTable


class Token(NamedTuple):
    """One token of a finished row; a special token or padding has no `word` and no `sequence`."""

    name: str
    start: int
    end: int
    word: int | None
    sequence: int | None


class BatchEncoding(dict[str, Any]):
    """A dictionary of columns (`input_ids`, `token_type_ids`, `attention_mask`, ...).

    `encoding.input_ids` is `encoding["input_ids"]`. The methods answer questions about a row: which
    word, which of two texts, which characters a token is. They work right after the tokenizer's
    call, not on a copy that went through another process.
    """

    def __init__(
        self,
        columns: dict[str, Any] | None = None,
        rows: Callable[[], Sequence[Sequence[Token]]] | None = None,
    ) -> None:
        super().__init__(columns or {})
        self._rows = rows
        self._tokens: Sequence[Sequence[Token]] | None = None

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(
                f"this encoding has no {name!r}, only {', '.join(self) or 'nothing'}"
            ) from None

    def __reduce__(self) -> tuple[type["BatchEncoding"], tuple[dict[str, Any]]]:
        return type(self), (dict(self),)

    def to(self, device: Any, *, non_blocking: bool = False) -> Self:
        """Move every tensor to a device, in place, and return the encoding itself."""
        for name, value in self.items():
            if hasattr(value, "to"):
                self[name] = value.to(device, non_blocking=non_blocking)
        return self

    def tokens(self, batch_index: int = 0) -> list[str]:
        """The tokens of a row as text."""
        return [token.name for token in self._row(batch_index)]

    def word_ids(self, batch_index: int = 0) -> list[int | None]:
        """For every token of a row the number of its word; None for special tokens and padding."""
        return [token.word for token in self._row(batch_index)]

    def sequence_ids(self, batch_index: int = 0) -> list[int | None]:
        """For every token of a row the text that it is from, 0 or 1; None for special tokens."""
        return [token.sequence for token in self._row(batch_index)]

    def token_to_chars(
        self, batch_or_token: int, token: int | None = None
    ) -> tuple[int, int] | None:
        """The place `text[start:end]` of a token; None for special tokens and padding."""
        row, index = (0, batch_or_token) if token is None else (batch_or_token, token)
        found = self._row(row)[index]
        return None if found.sequence is None else (found.start, found.end)

    def char_to_token(
        self, batch_or_char: int, char: int | None = None, sequence_index: int = 0
    ) -> int | None:
        """The index of the token that holds a character; None for a space or what was cut off."""
        row, place = (0, batch_or_char) if char is None else (batch_or_char, char)
        for index, token in enumerate(self._row(row)):
            if token.sequence == sequence_index and token.start <= place < token.end:
                return index
        return None

    def word_to_tokens(
        self, batch_or_word: int, word: int | None = None, sequence_index: int = 0
    ) -> tuple[int, int] | None:
        """The range `(first, last + 1)` of the tokens of a word; None if it was cut off."""
        row, number = (0, batch_or_word) if word is None else (batch_or_word, word)
        found = [
            index
            for index, token in enumerate(self._row(row))
            if token.sequence == sequence_index and token.word == number
        ]
        return (found[0], found[-1] + 1) if found else None

    def _row(self, index: int) -> Sequence[Token]:
        if self._tokens is None:
            if self._rows is None:
                raise MiniBertError(
                    "this encoding does not know its words and places: it was padded, copied or "
                    "sent from another process; ask the encoding that the tokenizer gave."
                )
            self._tokens = self._rows()
        if not -len(self._tokens) <= index < len(self._tokens):
            raise MiniBertError(
                f"there is no row {index} in an encoding of {len(self._tokens)} rows."
            )
        return self._tokens[index]


# Pairs of sequences -> the rows of a batch: cut, framed by [CLS] and [SEP], filled with [PAD].


def cut_all(
    pairs: Sequence[Pair[Item]], options: CallOptions
) -> tuple[list[Pair[Item]], list[int]]:
    """Cut every pair to the length that the options ask for.

    Returns:
        The rows, and for each the number of the pair that it is from: with `options.overflow` a
        long pair becomes several rows.
    """
    if options.max_length is None or not options.truncates:
        return list(pairs), list(range(len(pairs)))
    rows: list[Pair[Item]] = []
    samples: list[int] = []
    for number, (first, second) in enumerate(pairs):
        special = 0 if not options.add_special_tokens else 2 if second is None else 3
        if options.max_length < special:
            raise MiniBertError(
                f"max_length {options.max_length} has no room for the {special} special tokens; "
                "raise it."
            )
        windows = cut(
            first,
            second,
            room=options.max_length - special,
            strategy=str(options.truncation),
            side=options.truncation_side,
            stride=options.stride,
            overflow=options.overflow,
        )
        rows += windows
        samples += [number] * len(windows)
    return rows, samples


def ids_of(rows: Sequence[Pair[Piece]]) -> list[Pair[int]]:
    """The same rows, as ids only."""
    return [
        ([piece.id for piece in a], None if b is None else [piece.id for piece in b])
        for a, b in rows
    ]


def make_columns(
    rows: Sequence[Pair[int]], options: CallOptions, table: TokenTable
) -> dict[str, list[Any]]:
    """The columns of a batch: ids, segments, and the two masks."""
    special, cls, sep = options.add_special_tokens, table.cls_token_id, table.sep_token_id
    ids = [frame(a, b, start=cls, stop=sep, special=special) for a, b in rows]
    masks = [[1] * len(row) for row in ids]
    fill = partial(pad_rows, length=_length(ids, options), side=options.padding_side)
    return {
        "input_ids": fill(ids, value=table.pad_token_id),
        "token_type_ids": fill([segments(a, b, special=special) for a, b in rows], value=0),
        "attention_mask": fill(masks, value=0),
    }


def special_tokens_mask(rows: Sequence[Pair[Any]], options: CallOptions) -> list[list[int]]:
    """1 for [CLS], [SEP] and [PAD]."""
    masks = [
        frame(
            [0] * len(a),
            None if b is None else [0] * len(b),
            start=1,
            stop=1,
            special=options.add_special_tokens,
        )
        for a, b in rows
    ]
    return pad_rows(masks, _length(masks, options), value=1, side=options.padding_side)


def make_tokens(
    rows: Sequence[Pair[Piece]], options: CallOptions, table: TokenTable
) -> list[list[Token]]:
    """For every place in `input_ids` the token there, with its word and its text."""

    def tokens(pieces: list[Piece], sequence: int) -> list[Token]:
        names = table.convert_ids_to_tokens([piece.id for piece in pieces])
        return [
            Token(name, piece.start, piece.end, piece.word, sequence)
            for name, piece in zip(names, pieces, strict=True)
        ]

    framed = [
        frame(
            tokens(a, 0),
            None if b is None else tokens(b, 1),
            start=Token(table.cls_token, 0, 0, None, None),
            stop=Token(table.sep_token, 0, 0, None, None),
            special=options.add_special_tokens,
        )
        for a, b in rows
    ]
    padding = Token(table.pad_token, 0, 0, None, None)
    return pad_rows(framed, _length(framed, options), value=padding, side=options.padding_side)


def warn_if_too_long(rows: Sequence[Sequence[Any]], limit: int) -> None:
    """Warn whoever called the tokenizer before the model fails on a row beyond its positions."""
    longest = max(map(len, rows), default=0)
    if longest > limit:
        warnings.warn(
            f"a row has {longest} tokens, but the model has positions for {limit} only; "
            "ask for truncation=True or cut the text.",
            stacklevel=4,  # through the tokenizer's call and its decorator
        )


def _length(rows: Sequence[Sequence[Any]], options: CallOptions) -> int:
    return padded_length(list(map(len, rows)), options)
