"""The tokenizer's result: a dictionary of columns that knows where its tokens came from."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

from minibert.errors import MiniBertError


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
