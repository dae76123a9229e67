"""Examples -> ids, once, before training; and a sentence about how long they are.

It leaves out: padding (`batches.py`) and what to do with long texts other than to cut them.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minibert.data.readers import Example
from minibert.errors import MiniBertError

Ids = np.ndarray[Any, np.dtype[np.integer[Any]]]
"""The ids of one text. An array takes an eighth of the memory of a list."""

AT_ONCE = (
    1000  # texts a call: enough to keep a tokenizer busy, and few enough for the lists it returns
)


@dataclass(frozen=True)
class Tokenized:
    """Texts as ids, not yet padded.

    Attributes:
        input_ids: the ids of each text with [CLS] and [SEP].
        token_type_ids: 0 for the first text and 1 for its pair, as long as the ids.
        full_lengths: tokens of each text before it was cut to the maximal length.
    """

    input_ids: Sequence[Ids]
    token_type_ids: Sequence[Ids]
    full_lengths: Sequence[int]


def tokenize_examples(
    tokenizer: Callable[..., Mapping[str, Any]],
    examples: Sequence[Example],
    *,
    max_length: int | None = None,
) -> Tokenized:
    """Tokenize every example once.

    Args:
        tokenizer: a `BertTokenizer`, or anything that is called like one.
        examples: all with a second text, or none.
        max_length: longer texts are cut to this many tokens, the longer text of a pair first.

    Raises:
        MiniBertError: there are no examples, or only some have a second text.
    """
    if not examples:
        raise MiniBertError("there are no examples to tokenize.")
    single = [example for example in examples if example.text_pair is None]
    if 0 < len(single) < len(examples):
        place = single[0].where or repr(single[0].text[:40])
        raise MiniBertError(f"{place}: the second text is missing; other examples have one.")
    input_ids: list[Ids] = []
    token_type_ids: list[Ids] = []
    full_lengths: list[int] = []
    for start in range(0, len(examples), AT_ONCE):
        chunk = examples[start : start + AT_ONCE]
        encoded = _call(tokenizer, chunk)
        ids, types = list(encoded["input_ids"]), list(encoded["token_type_ids"])
        lengths = [len(text) for text in ids]
        if max_length is not None:
            # The tokenizer knows how to shorten a pair; only the few long texts are read twice.
            too_long = [i for i, length in enumerate(lengths) if length > max_length]
            if too_long:
                options = {"truncation": True, "max_length": max_length}
                cut = _call(tokenizer, [chunk[i] for i in too_long], **options)
                for row, i in enumerate(too_long):
                    ids[i], types[i] = cut["input_ids"][row], cut["token_type_ids"][row]
        input_ids += [np.asarray(text, dtype=np.int32) for text in ids]
        token_type_ids += [np.asarray(text, dtype=np.int8) for text in types]
        full_lengths += lengths
    return Tokenized(input_ids, token_type_ids, full_lengths)


def _call(
    tokenizer: Callable[..., Mapping[str, Any]], examples: Sequence[Example], **options: Any
) -> Mapping[str, Any]:
    texts = [example.text for example in examples]
    pairs = [example.text_pair for example in examples]
    with warnings.catch_warnings():
        # That some texts are too long is said once for all of them, by `describe_lengths`.
        warnings.simplefilter("ignore")
        return tokenizer(texts, None if None in pairs else pairs, padding=False, **options)


def describe_lengths(full_lengths: Sequence[int], *, max_length: int) -> str:
    """One sentence: how long the texts are, and how many are cut at `max_length` tokens."""
    lengths = np.asarray(full_lengths)
    half, most, longest = np.percentile(lengths, [50, 95, 100]).astype(int)
    cut = int((lengths > max_length).sum())
    told = f"none is longer than {max_length:,}"
    if cut:
        share = f"{cut:,} of {len(lengths):,} ({cut / len(lengths):.1%})"
        told = f"longer than {max_length:,}, and cut there: {share}"
    return (
        f"tokens a text: half have up to {half:,}, 95 % up to {most:,}, the longest {longest:,}; "
        f"{told}."
    )
