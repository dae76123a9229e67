"""Check the arguments of a tokenizer call: the texts, padding, truncation, lengths."""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from minibert.errors import MiniBertError

Source = str | list[str]  # a text, or the words of a text
Texts = list[tuple[Source, Source | None]]
Item = TypeVar("Item")
Pair = tuple[list[Item], list[Item] | None]  # the ids or tokens of a text and its second text

CHOICES = {
    "padding": ("longest", "max_length", "do_not_pad"),
    "truncation": ("longest_first", "only_first", "only_second", "do_not_truncate"),
    "padding_side": ("right", "left"),
    "truncation_side": ("right", "left"),
}


@dataclass
class CallOptions:
    """The options of `BertTokenizer.__call__`, which explains them, checked and with one spelling.

    `padding` and `truncation` become one of `CHOICES`. `max_length` becomes `model_max_length`
    where rows are truncated or padded to it and the caller gave none.
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
    return_overflowing_tokens: bool = False

    def __post_init__(self) -> None:
        if self.truncation is None and self.max_length is not None and self.padding is False:
            self.truncation = True
        if self.padding is None or isinstance(self.padding, bool):
            self.padding = "longest" if self.padding else "do_not_pad"
        if self.truncation is None or isinstance(self.truncation, bool):
            self.truncation = "longest_first" if self.truncation else "do_not_truncate"
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                or_bool = "" if name.endswith("side") else ", or True or False"
                raise MiniBertError(
                    f"{name} is {value!r}; use one of {', '.join(choices)}{or_bool}."
                )
        truncates, pads = self.truncation != "do_not_truncate", self.padding != "do_not_pad"
        if self.max_length is None and (truncates or self.padding == "max_length"):
            self.max_length = self.model_max_length
        for name, least in (("max_length", 0), ("stride", 0), ("pad_to_multiple_of", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise MiniBertError(f"{name} is {value}; it must be at least {least}.")
        multiple = self.pad_to_multiple_of
        if multiple and self.max_length and truncates and pads and self.max_length % multiple:
            raise MiniBertError(
                f"max_length {self.max_length} is not a multiple of pad_to_multiple_of {multiple}, "
                "so padded rows would be longer than max_length; choose max_length="
                f"{-(-self.max_length // multiple) * multiple}, for example."
            )


def read_texts(
    text: Any,
    text_pair: Any = None,
    is_split_into_words: bool = False,
    *,
    pattern: re.Pattern[str] | None = None,
) -> tuple[Texts, bool]:
    """Return a list of (text, second text or None), and whether the caller gave a batch.

    Arguments as in `BertTokenizer.__call__`. If `pattern` matches in a text, warn that the
    match is read as plain text.

    Raises:
        MiniBertError: Something is not a text, or there are two lists of different lengths.

    Example:
        >>> read_texts("a", "b"), read_texts(["a", ("b", "c")])
        (([('a', 'b')], False), ([('a', None), ('b', 'c')], True))
    """
    if not isinstance(text, str | list | tuple):
        raise MiniBertError(
            f"{_shown(text)} is not a text; give a str or a list of str (call .tolist()?)."
        )
    is_batch = not isinstance(text, str)
    if is_split_into_words:
        is_batch = is_batch and bool(text) and isinstance(text[0], list | tuple)
    texts: list[tuple[Any, Any]]
    if not is_batch:
        # As in Hugging Face, "" with a single text means that there is no second text.
        texts = [(text, text_pair or None)]
    elif text_pair is None:
        texts = [
            (item, None) if isinstance(item, str) else _as_pair(item, is_split_into_words)
            for item in text
        ]
    elif isinstance(text_pair, list | tuple) and len(text_pair) == len(text):
        texts = list(zip(text, text_pair, strict=True))
    else:
        found = len(text_pair) if isinstance(text_pair, list | tuple) else _shown(text_pair)
        raise MiniBertError(
            f"text is a list of {len(text)}, text_pair is {found}; give two lists of the same "
            "length."
        )
    for index, (first, second) in enumerate(texts):
        for source in (first,) if second is None else (first, second):
            if isinstance(source, str):
                valid = not is_split_into_words
            else:
                valid = is_split_into_words and isinstance(source, list | tuple)
                valid = valid and all(isinstance(word, str) for word in source)
            if not valid:
                wanted = "a list of words" if is_split_into_words else "a text"
                raise MiniBertError(
                    f"item {index} is {_shown(source)}, not {wanted}; clean the data first."
                )
            if pattern and isinstance(source, str) and (m := pattern.search(source)):
                warnings.warn(
                    f"the text contains {m.group()}, which is read as plain text; pass "
                    "split_special_tokens=False to make it the special token, or True to keep "
                    "it as text without this warning.",
                    stacklevel=4,  # above the tokenizer's call and its decorator
                )
                pattern = None  # one warning is enough
    return texts, is_batch


def warn_if_too_long(rows: Sequence[Sequence[int]], model_max_length: int) -> None:
    """Warn the caller of the tokenizer about a row that the model cannot read."""
    longest = max(map(len, rows), default=0)
    if longest > model_max_length:
        warnings.warn(
            f"a row has {longest} tokens, but the model has only {model_max_length} positions; "
            "pass truncation=True or shorten the text.",
            stacklevel=4,  # above the tokenizer's call and its decorator
        )


def _as_pair(item: Any, is_split_into_words: bool) -> tuple[Any, Any]:
    """Return an item of a batch as a pair, whose second text is None if it has none."""
    if isinstance(item, list | tuple) and len(item) == 2:
        first, second = item
        if not is_split_into_words or all(isinstance(source, list | tuple) for source in item):
            return first, second
    return item, None


def _shown(value: Any) -> str:
    shown = repr(value)
    return f"{type(value).__name__} {shown if len(shown) < 40 else shown[:40] + '...'}"
