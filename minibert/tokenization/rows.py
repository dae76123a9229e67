"""Pairs of sequences -> the rows of a batch: cut, framed by [CLS] and [SEP], filled with [PAD]."""

import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any

from minibert.errors import MiniBertError
from minibert.tokenization.encoding import Token
from minibert.tokenization.offsets import Piece
from minibert.tokenization.options import CallOptions
from minibert.tokenization.padding import pad_rows, padded_length
from minibert.tokenization.pairs import Item, Pair, cut, frame, segments
from minibert.tokenization.tokens import TokenTable


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
