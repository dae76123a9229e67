"""The result of a tokenizer call: named columns, and where each token came from."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Self

from minibert.errors import MiniBertError
from minibert.tokenization.call_options import CallOptions, Pair, Texts
from minibert.tokenization.fast_encoder import FastEncoder
from minibert.tokenization.offsets import (
    Token,
    Tokenize,
    encode_with_offsets,
    split_at_special_tokens,
)
from minibert.tokenization.padding import pad_columns
from minibert.tokenization.rust_encoder import RustEncoder
from minibert.tokenization.truncation import join_sequences, truncate_batch
from minibert.tokenization.vocab import Vocabulary


@dataclass(eq=False, repr=False)
class LocatedTokens:
    """The tokens of a call with their offsets, computed when they are first asked for."""

    texts: Texts
    encoder: FastEncoder | RustEncoder
    options: CallOptions
    vocabulary: Vocabulary
    split_special_tokens: bool

    @cached_property
    def pairs(self) -> tuple[Sequence[Pair[Token]], Sequence[int]]:
        """The truncated tokens of each text and second text, as from `truncate_batch`."""
        tokenize: Tokenize = self.encoder.tokens
        if not self.split_special_tokens:
            tokenize = partial(
                split_at_special_tokens, tokenize=tokenize, vocabulary=self.vocabulary
            )
        return truncate_batch(encode_with_offsets(self.texts, tokenize), self.options)

    @property
    def ids(self) -> tuple[Sequence[Pair[int]], Sequence[int]]:
        """The same with ids instead of tokens."""
        pairs, samples = self.pairs
        ids = [
            ([t.id for t in first], None if second is None else [t.id for t in second])
            for first, second in pairs
        ]
        return ids, samples

    @cached_property
    def rows(self) -> list[list[Token]]:
        """The tokens of every row of `input_ids`, special tokens and padding included."""
        cls = [Token(self.vocabulary.cls_token_id, sequence=None)]
        sep = [Token(self.vocabulary.sep_token_id, sequence=None)]
        if not self.options.add_special_tokens:
            cls, sep = [], []
        rows = [join_sequences(a, b, cls=cls, sep=sep)[0] for a, b in self.pairs[0]]
        padding = Token(self.vocabulary.pad_token_id, sequence=None)
        padded = pad_columns({"input_ids": rows}, self.options, pad_token_id=padding)
        return list(padded["input_ids"])


class BatchEncoding(dict[str, Any]):
    """A dictionary of columns (`input_ids`, `token_type_ids`, `attention_mask`, ...).

    `encoding.input_ids` is `encoding["input_ids"]`. The methods say to which word, to which of two
    texts and to which characters a token belongs. They work on what the tokenizer returned, not on
    a copy from another process.

    Args:
        columns: the columns.
        located: the tokens of the rows.
    """

    def __init__(
        self,
        columns: dict[str, Any] | None = None,
        located: LocatedTokens | None = None,
    ) -> None:
        super().__init__(columns or {})
        self._located = located

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
        """Return the tokens of a row as strings."""
        ids = [token.id for token in self._row(batch_index)]
        return self._find().vocabulary.convert_ids_to_tokens(ids)

    def word_ids(self, batch_index: int = 0) -> list[int | None]:
        """Return the word number of every token; None for special tokens and padding."""
        row = self._row(batch_index)
        return [None if token.sequence is None else token.word for token in row]

    def sequence_ids(self, batch_index: int = 0) -> list[int | None]:
        """Return the text of every token, 0 or 1; None for special tokens and padding."""
        return [token.sequence for token in self._row(batch_index)]

    def token_to_sequence(self, batch_or_token: int, token: int | None = None) -> int | None:
        """Return the text of a token, 0 or 1; None for special tokens and padding."""
        return self._token(batch_or_token, token).sequence

    def token_to_word(self, batch_or_token: int, token: int | None = None) -> int | None:
        """Return the word number of a token; None for special tokens and padding."""
        found = self._token(batch_or_token, token)
        return None if found.sequence is None else found.word

    def word_to_chars(
        self, batch_or_word: int, word: int | None = None, sequence_index: int = 0
    ) -> tuple[int, int] | None:
        """Return the (start, end) of a word; None if it has no token."""
        span = self.word_to_tokens(batch_or_word, word, sequence_index)
        row = self._row(0 if word is None else batch_or_word)
        return span and (row[span[0]].start, row[span[1] - 1].end)

    def char_to_word(
        self, batch_or_char: int, char: int | None = None, sequence_index: int = 0
    ) -> int | None:
        """Return the number of the word that holds a character; None for spaces, for example."""
        index = self.char_to_token(batch_or_char, char, sequence_index)
        row = self._row(0 if char is None else batch_or_char)
        return None if index is None else row[index].word

    def token_to_chars(
        self, batch_or_token: int, token: int | None = None
    ) -> tuple[int, int] | None:
        """Return the (start, end) of a token; None for special tokens and padding."""
        found = self._token(batch_or_token, token)
        return None if found.sequence is None else (found.start, found.end)

    def char_to_token(
        self, batch_or_char: int, char: int | None = None, sequence_index: int = 0
    ) -> int | None:
        """Return the index of the token that holds a character; None for spaces, for example."""
        row, place = (0, batch_or_char) if char is None else (batch_or_char, char)
        for index, token in enumerate(self._row(row)):
            if token.sequence == sequence_index and token.start <= place < token.end:
                return index
        return None

    def word_to_tokens(
        self, batch_or_word: int, word: int | None = None, sequence_index: int = 0
    ) -> tuple[int, int] | None:
        """Return the range `(first, last + 1)` of the tokens of a word; None if it has none."""
        row, number = (0, batch_or_word) if word is None else (batch_or_word, word)
        found = [
            index
            for index, token in enumerate(self._row(row))
            if token.sequence == sequence_index and token.word == number
        ]
        return (found[0], found[-1] + 1) if found else None

    def _token(self, batch_or_token: int, token: int | None) -> Token:
        row, index = (0, batch_or_token) if token is None else (batch_or_token, token)
        return self._row(row)[index]

    def _row(self, index: int) -> list[Token]:
        rows = self._find().rows
        if not -len(rows) <= index < len(rows):
            raise MiniBertError(
                f"row {index} does not exist; this encoding has the rows 0 to {len(rows) - 1}."
            )
        return rows[index]

    def _find(self) -> LocatedTokens:
        if self._located is None:
            raise MiniBertError(
                "this encoding was padded, copied or sent from another process, so it has no words "
                "and offsets; use the encoding that the tokenizer returned."
            )
        return self._located
