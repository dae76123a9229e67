"""Examples -> ids, once, before training; and a sentence about how long they are.

It leaves out: padding (`batches.py`) and what to do with long texts other than to cut them.
"""

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from minibert.data.labelled.examples import Example
from minibert.data.labelled.labels import Target
from minibert.data.sampler import batch_order
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


# Tokenized examples -> padded batches.
#
#     data = TextClassificationBatches(texts, targets, pad_token_id=0, batch_size=32, seed=1)
#     for step, batch in enumerate(data.epoch(3, start=100), start=100):  # epoch 3 from batch 100
# on
#         loss = model(**batch).loss
#
# Each batch is padded to its own longest text only. It leaves out: masking and sentence pairs
# (pretraining), and worker processes, which slicing lists does not need.


Batch = dict[str, torch.Tensor]


def pad(
    input_ids: Sequence[Sequence[int] | Ids],
    token_type_ids: Sequence[Sequence[int] | Ids] | None = None,
    *,
    pad_token_id: int,
    labels: Sequence[Target] | None = None,
) -> Batch:
    """Put texts of different lengths into one rectangle.

    Args:
        input_ids: ids of B texts.
        token_type_ids: their segments; None for all 0.
        pad_token_id: the id that fills a row up. The attention mask, not this id, makes it padding.
        labels: ints (classes), floats (regression) or lists of floats (several classes).

    Returns:
        input_ids, attention_mask, token_type_ids: (B, S) int64; and, if given,
        labels: (B,) int64, (B,) float32 or (B, classes) float32. Made for `model(**batch)`.

    Example:
        >>> pad([[101, 7, 102], [101, 102]], pad_token_id=0)["input_ids"].tolist()
        [[101, 7, 102], [101, 102, 0]]
    """
    longest = max(map(len, input_ids))
    ids = np.full((len(input_ids), longest), pad_token_id, dtype=np.int64)  # (B, S)
    mask, segments = np.zeros_like(ids), np.zeros_like(ids)
    for row, text in enumerate(input_ids):
        ids[row, : len(text)] = text
        mask[row, : len(text)] = 1
    for row, types in enumerate(token_type_ids or []):
        segments[row, : len(types)] = types
    batch = {
        "input_ids": torch.from_numpy(ids),
        "attention_mask": torch.from_numpy(mask),
        "token_type_ids": torch.from_numpy(segments),
    }
    if labels is not None:
        whole = all(isinstance(label, int) for label in labels)
        batch["labels"] = torch.tensor(labels, dtype=torch.int64 if whole else torch.float32)
    return batch


class TextClassificationBatches:
    """Tokenized texts with their labels, given out as batches.

    Example:
        >>> texts = Tokenized([[101, 102], [101, 7, 102]], [[0, 0], [0, 0, 0]], [2, 3])
        >>> data = TextClassificationBatches(texts, [0, 1], pad_token_id=0, batch_size=1)
        >>> [batch["labels"].tolist() for batch in data.epoch(0)] in ([[0], [1]], [[1], [0]])
        True
    """

    def __init__(
        self,
        texts: Tokenized,
        targets: Sequence[Target] | None = None,
        *,
        pad_token_id: int,
        batch_size: int | None = None,
        token_budget: int | None = None,
        seed: int = 0,
        bucket: int = 50,
    ) -> None:
        """See `pad` and `batch_order` for the options.

        Raises:
            MiniBertError: there is not one target for each text, or the batch size is below 1.
        """
        if targets is not None and len(targets) != len(texts.input_ids):
            raise MiniBertError(f"{len(texts.input_ids)} texts, but {len(targets)} labels.")
        if batch_size is not None and batch_size < 1:
            raise MiniBertError(f"batch_size is {batch_size}; it must be at least 1.")
        self.texts, self.targets = texts, targets
        self.pad_token_id = pad_token_id
        self.batch_size, self.token_budget = batch_size, token_budget
        self.seed, self.bucket = seed, bucket
        self.lengths = np.array([len(ids) for ids in texts.input_ids], dtype=np.int64)

    def order(self, epoch: int) -> list[Ids]:
        """The indices of the examples in each batch of an epoch."""
        return batch_order(
            self.lengths,
            batch_size=self.batch_size,
            token_budget=self.token_budget,
            seed=self.seed,
            epoch=epoch,
            bucket=self.bucket,
        )

    def __len__(self) -> int:
        """Batches of epoch 0: of every epoch, unless a token budget makes them differ by a few."""
        return self.length(0)

    def length(self, epoch: int) -> int:
        """Batches of an epoch."""
        if self.batch_size is None:
            return len(self.order(epoch))
        return math.ceil(len(self.lengths) / self.batch_size)

    def epoch(self, epoch: int, *, start: int = 0, step: int = 1) -> Iterator[Batch]:
        """Batches start, start + step, ... of an epoch: what a run, or one process, has to do."""
        for indices in self.order(epoch)[start::step]:
            yield self.batch(indices)

    def in_order(self, batch_size: int = 32) -> Iterator[tuple[list[int], Batch]]:
        """All examples once, for evaluation: (their indices, batch), the longest texts first.

        Sorted, they need the least padding, and if memory is short it shows at once. The indices
        put the answers back: `answers[indices] = model(**batch).logits`.
        """
        by_length = np.argsort(-self.lengths, kind="stable").tolist()
        for start in range(0, len(by_length), batch_size):
            indices = by_length[start : start + batch_size]
            yield indices, self.batch(indices)

    def batch(self, indices: Sequence[int] | Ids) -> Batch:
        """The examples at `indices` as one batch."""
        return pad(
            [self.texts.input_ids[i] for i in indices],
            [self.texts.token_type_ids[i] for i in indices],
            pad_token_id=self.pad_token_id,
            labels=None if self.targets is None else [self.targets[i] for i in indices],
        )

    def padding_share(self, epoch: int = 0) -> float:
        """The share of all positions of an epoch that is padding, from 0 to 1."""
        longest = [int(self.lengths[rows].max()) * len(rows) for rows in self.order(epoch)]
        return 1 - int(self.lengths.sum()) / sum(longest)
