"""Turn labelled examples into padded batches of ids.

    texts = tokenize_examples(tokenizer, examples, max_length=128)
    batches = LabelledBatches(texts, targets, pad_token_id=0, batch_size=32, seed=1)
    for step, batch in enumerate(batches.epoch(3, start=100), start=100):  # epoch 3 from batch 100
        loss = model(**batch).loss

All texts are tokenized once, before training. Each batch is padded to its own longest text.
"""

import math
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from minibert.data.labelled.examples import Example
from minibert.data.sampler import Batch, balanced_sample, length_grouped_batches
from minibert.errors import MiniBertError
from minibert.tokenization.padding import IGNORE_INDEX

Ids = np.ndarray[Any, np.dtype[np.integer[Any]]]
"""The ids of one text. An array takes an eighth of the memory of a list."""

CHUNK_SIZE = 1000  # texts per call of the tokenizer, which returns lists


@dataclass(frozen=True)
class Tokenized:
    """Texts as ids, not yet padded.

    Attributes:
        input_ids: the ids of each text, with [CLS] and [SEP].
        token_type_ids: 0 for the first text and 1 for its pair, one per id.
        full_lengths: tokens of each text before truncation.
    """

    input_ids: Sequence[Ids]
    token_type_ids: Sequence[Ids]
    full_lengths: Sequence[int]


def tokenize_examples(
    tokenizer: Callable[..., Mapping[str, Any]], examples: Sequence[Example], *, max_length: int
) -> Tokenized:
    """Tokenize all examples.

    Args:
        tokenizer: a `BertTokenizer`, or anything that is called like one.
        examples: all with a second text, or none.
        max_length: tokens; longer texts are truncated, the longer text of a pair first.

    Raises:
        MiniBertError: there are no examples, or only some have a second text.
    """
    if not examples:
        raise MiniBertError("there are no examples to tokenize.")
    single = [example for example in examples if example.text_pair is None]
    if 0 < len(single) < len(examples):
        place = single[0].where or repr(single[0].text[:40])
        raise MiniBertError(f"{place}: the second text is missing; all or no examples need one.")
    input_ids: list[Ids] = []
    token_type_ids: list[Ids] = []
    full_lengths: list[int] = []
    for start in range(0, len(examples), CHUNK_SIZE):
        chunk = examples[start : start + CHUNK_SIZE]
        texts = [example.text for example in chunk]
        pairs = None if single else [example.text_pair for example in chunk]
        with warnings.catch_warnings():
            # `describe_lengths` says how many texts are too long, once for all of them.
            warnings.simplefilter("ignore")
            encoded = tokenizer(texts, pairs, padding=False)
            ids, types = list(encoded["input_ids"]), list(encoded["token_type_ids"])
            full_lengths += map(len, ids)
            # Only the tokenizer knows how to truncate a pair. Few texts are tokenized twice.
            if too_long := [i for i, text in enumerate(ids) if len(text) > max_length]:
                encoded = tokenizer(
                    [texts[i] for i in too_long],
                    pairs and [pairs[i] for i in too_long],
                    padding=False,
                    truncation=True,
                    max_length=max_length,
                )
                for row, i in enumerate(too_long):
                    ids[i], types[i] = encoded["input_ids"][row], encoded["token_type_ids"][row]
        input_ids += [np.asarray(text, dtype=np.int32) for text in ids]
        token_type_ids += [np.asarray(text, dtype=np.int8) for text in types]
    return Tokenized(input_ids, token_type_ids, full_lengths)


def describe_lengths(full_lengths: Sequence[int], *, max_length: int) -> str:
    """Return a sentence that says how long the texts are and how many are truncated."""
    lengths = np.asarray(full_lengths)
    half, most, longest = np.percentile(lengths, [50, 95, 100]).astype(int)
    count = int((lengths > max_length).sum())
    share = f"{count:,} of {len(lengths):,} ({count / len(lengths):.1%})" if count else "none"
    return (
        f"tokens per text: half have up to {half:,}, 95% up to {most:,}, the longest {longest:,}; "
        f"truncated to {max_length:,}: {share}."
    )


@dataclass
class LabelledBatches:
    """Batches of tokenized texts and their targets.

    Attributes:
        texts: N texts.
        targets: N targets, for tagging an array with a class per token each; None for batches
            without labels.
        pad_token_id: the padding of `input_ids`. The attention mask, not this id, marks padding.
        batch_size: texts per batch.
        seed: the order is a function of the seed and the epoch.
        balanced: train on every class equally often, see `balanced_sample`; targets are classes.

    Example:
        >>> texts = Tokenized([[101, 102], [101, 7, 102]], [[0, 0], [0, 0, 0]], [2, 3])
        >>> batches = LabelledBatches(texts, [0, 1], pad_token_id=0, batch_size=2)
        >>> [batch["attention_mask"].sum().item() for batch in batches.epoch(0)]
        [5]
    """

    texts: Tokenized
    targets: Sequence[Any] | None = None
    _: KW_ONLY
    pad_token_id: int
    batch_size: int = 32
    seed: int = 0
    balanced: bool = False

    def __post_init__(self) -> None:
        self.lengths = np.array([len(ids) for ids in self.texts.input_ids], dtype=np.int64)
        self._check()

    def _check(self) -> None:
        if self.targets is not None and len(self.targets) != len(self.lengths):
            raise MiniBertError(
                f"there are {len(self.lengths)} texts, but {len(self.targets)} labels; give one "
                "for each text."
            )
        if self.batch_size < 1:
            raise MiniBertError(f"batch_size is {self.batch_size}; it must be at least 1.")

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return math.ceil(len(self.lengths) / self.batch_size)

    def length(self, epoch: int) -> int:
        """Return the number of batches of an epoch, here the same for all."""
        return len(self)

    def epoch(self, epoch: int, *, start: int = 0, step: int = 1) -> Iterator[Batch]:
        """Yield batches start, start + step, ... of an epoch, for a resume or several processes."""
        drawn = np.arange(len(self.lengths))
        if self.balanced and self.targets is not None:
            drawn = balanced_sample(self.targets, seed=self.seed, epoch=epoch)
        order = length_grouped_batches(
            self.lengths[drawn], batch_size=self.batch_size, seed=self.seed, epoch=epoch
        )
        for indices in order[start::step]:
            yield self.collate(drawn[indices])

    def longest_first(self, batch_size: int) -> Iterator[tuple[list[int], Batch]]:
        """Yield all texts once, for evaluation, as (indices, batch).

        Sorted texts need the least padding, and too large a batch fails at once. The indices
        restore the order: `logits[indices] = model(**batch).logits`.
        """
        by_length = np.argsort(-self.lengths, kind="stable").tolist()
        for start in range(0, len(by_length), batch_size):
            indices = by_length[start : start + batch_size]
            yield indices, self.collate(indices)

    def collate(self, indices: Sequence[int] | Ids) -> Batch:
        """Return B texts as one batch, padded to the longest of them (S tokens).

        Returns:
            `input_ids`, `attention_mask` and `token_type_ids`, (B, S) int64. With targets, also
            what `collate_targets` returns.
        """
        shape = len(indices), int(self.lengths[indices].max())
        input_ids = np.full(shape, self.pad_token_id, dtype=np.int64)  # (B, S)
        attention_mask, token_type_ids = np.zeros_like(input_ids), np.zeros_like(input_ids)
        for row, index in enumerate(indices):
            length = self.lengths[index]
            input_ids[row, :length] = self.texts.input_ids[index]
            attention_mask[row, :length] = 1
            token_type_ids[row, :length] = self.texts.token_type_ids[index]
        batch = {
            "input_ids": torch.from_numpy(input_ids),
            "attention_mask": torch.from_numpy(attention_mask),
            "token_type_ids": torch.from_numpy(token_type_ids),
        }
        if self.targets is not None:
            batch |= self.collate_targets([self.targets[index] for index in indices])
        return batch

    def collate_targets(self, targets: Sequence[Any]) -> Batch:
        """Return the targets of B texts as the labels of a batch.

        Returns:
            `labels`: (B,) int64 for classes, (B,) float32 for regression, (B, classes) float32 if a
            text can have several classes, or (B, S) int64 for tagging, padded with -100.
        """
        if isinstance(targets[0], np.ndarray):
            rows = [torch.from_numpy(target).long() for target in targets]
            padded = pad_sequence(rows, batch_first=True, padding_value=IGNORE_INDEX)  # (B, S)
            return {"labels": padded}
        whole = all(isinstance(target, int) for target in targets)
        dtype = torch.int64 if whole else torch.float32
        return {"labels": torch.tensor(targets, dtype=dtype)}

    def fingerprint(self) -> str:
        """Return a checksum of ids and labels, equal for equal data under an equal vocabulary."""
        checksum = 0
        for ids in self.texts.input_ids:
            checksum = zlib.crc32(ids.tobytes(), checksum)
        for target in self.targets or ():
            content = target.tobytes() if isinstance(target, np.ndarray) else repr(target).encode()
            checksum = zlib.crc32(content, checksum)
        return f"{len(self.lengths)} examples, crc32 {checksum:08x}"


@dataclass
class GroupedBatches(LabelledBatches):
    """Batches of examples that have several texts each: the choices of a question, or two towers.

    A batch has the shape (B, C, S), C texts for each of B examples. Where an example has fewer than
    C texts, the others are all padding, and their attention mask is 0.

    Attributes:
        texts: those of the first example, then those of the second, and so on.
        counts: the number of texts of each of N examples.

    Example:
        >>> texts = Tokenized([[101, 102], [101, 7, 102], [101, 102]], [[0], [0], [0]], [2, 3, 2])
        >>> batches = GroupedBatches(texts, [1, 0], counts=[2, 1], pad_token_id=0)
        >>> batches.lengths.tolist(), batches.collate([1, 0])["attention_mask"].tolist()
        ([3, 2], [[[1, 1, 0], [0, 0, 0]], [[1, 1, 0], [1, 1, 1]]])
    """

    _: KW_ONLY
    counts: Sequence[int]

    def __post_init__(self) -> None:
        none = np.zeros(0, dtype=np.int32)  # the text that stands for those that are missing
        texts = Tokenized([*self.texts.input_ids, none], [*self.texts.token_type_ids, none], ())
        self._rows = LabelledBatches(texts, pad_token_id=self.pad_token_id)
        starts = np.cumsum([0, *self.counts[:-1]])
        numbers = np.arange(max(self.counts))  # (C,)
        missing = numbers >= np.asarray(self.counts)[:, None]  # (N, C)
        self._rows_of = np.where(missing, len(texts.input_ids) - 1, starts[:, None] + numbers)
        self.lengths = self._rows.lengths[self._rows_of].max(axis=1)  # (N, C) -> (N,)
        self._check()

    def collate(self, indices: Sequence[int] | Ids) -> Batch:
        """Return B examples as one batch: tensors (B, C, S), and what `collate_targets` returns."""
        rows = self._rows_of[indices]  # (B, C)
        batch = self._rows.collate(rows.flatten())
        batch = {name: tensor.view(*rows.shape, -1) for name, tensor in batch.items()}
        if self.targets is not None:
            batch |= self.collate_targets([self.targets[index] for index in indices])
        return batch


def tokenize_groups(
    tokenizer: Callable[..., Mapping[str, Any]],
    groups: Sequence[Sequence[Example]],
    targets: Sequence[Any] | None = None,
    *,
    max_length: int,
    **options: Any,
) -> GroupedBatches:
    """Return the batches of N examples with one or several texts or pairs each.

    Args:
        tokenizer: a `BertTokenizer`, or anything that is called like one.
        groups: the texts of each example.
        targets: of each example.
        max_length: tokens; longer texts are truncated.
        **options: `pad_token_id`, `batch_size` and `seed` of the batches.
    """
    flat = [text for group in groups for text in group]
    texts = tokenize_examples(tokenizer, flat, max_length=max_length)
    return GroupedBatches(texts, targets, counts=[*map(len, groups)], **options)
