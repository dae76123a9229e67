"""Read the head of a long text, its tail, both, or windows over all of it.

    head         the first tokens
    tail         the last tokens
    head+tail    a quarter from the head, the rest from the tail (Sun et al. 2019: 128 + 382 of 510)
    windows      several parts, each read by itself, whose vectors the model fuses

Every window but the last starts three quarters of a window after the one before, so that what one
of them cuts apart the next one reads whole. The last one ends where the text ends.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
import torch

from minibert.data.labelled.batches import (
    Ids,
    LabelledBatches,
    Tokenized,
    describe_lengths,
    tokenize_examples,
)
from minibert.data.labelled.examples import Example
from minibert.data.sampler import Batch

HEAD, TAIL = 128, 382
MAX_WINDOWS = 8  # of a text; each costs as much as a short text


def longest_read(max_length: int, long_text: str) -> int:
    """Return how many tokens a text may have, [CLS] and [SEP] included, to be read whole.

    Example:
        >>> longest_read(512, "head"), longest_read(512, "windows")
        (512, 3193)
    """
    if long_text != "windows":
        return max_length
    return max_length + (MAX_WINDOWS - 1) * _step(max_length)


def truncate(ids: Ids, max_length: int, long_text: str) -> Ids:
    """Return the tokens that are read of a text, with its [CLS] and [SEP].

    Example:
        >>> truncate(np.arange(12), 8, "head+tail")  # 0 is [CLS], 11 is [SEP]
        array([ 0,  1,  2,  7,  8,  9, 10, 11])
    """
    if len(ids) <= max_length:
        return ids
    head = round((max_length - 2) * HEAD / (HEAD + TAIL))
    before = 1 + {"tail": 0, "head+tail": head}.get(long_text, max_length - 2)
    return np.concatenate([ids[:before], ids[before - max_length :]])


def split_windows(ids: Ids, window_length: int) -> list[Ids]:
    """Return the windows of a text, each with the text's [CLS] and [SEP].

    Example:
        >>> [window.tolist() for window in split_windows(np.array([0, 1, 2, 3, 4, 5, 6, 9]), 6)]
        [[0, 1, 2, 3, 4, 9], [0, 3, 4, 5, 6, 9]]
    """
    size = window_length - 2
    last = max(0, len(ids) - window_length)
    starts = [*range(0, last, _step(window_length)), last]
    return [np.concatenate([ids[:1], ids[1 + s : -1][:size], ids[-1:]]) for s in starts]


def _step(window_length: int) -> int:
    """Return how many tokens after one window the next one starts."""
    size = window_length - 2
    return size - size // 4


@dataclass
class WindowBatches(LabelledBatches):
    """Batches of texts whose windows are rows of their own: all of a text, then all of the next.

    Attributes:
        window_length: tokens of a window, with [CLS] and [SEP].
    """

    _: KW_ONLY
    window_length: int

    def collate(self, indices: Sequence[int] | Ids) -> Batch:
        """Return B texts as one batch of R windows, and `window_counts` (B,), which add up to R."""
        texts = [split_windows(self.texts.input_ids[i], self.window_length) for i in indices]
        windows = [window for text in texts for window in text]
        rows = Tokenized(windows, [np.zeros_like(window) for window in windows], [])
        batch = LabelledBatches(rows, pad_token_id=self.pad_token_id).collate(range(len(windows)))
        batch["window_counts"] = torch.tensor([len(text) for text in texts])
        if self.targets is not None:
            batch |= self.collate_targets([self.targets[index] for index in indices])
        return batch

    def longest_first(self, batch_size: int) -> Iterator[tuple[list[int], Batch]]:
        """Yield all texts once, with at most `batch_size` windows in a batch of several texts."""
        by_length = np.argsort(-self.lengths, kind="stable").tolist()
        while by_length:
            most = len(split_windows(self.texts.input_ids[by_length[0]], self.window_length))
            count = max(1, batch_size // most)
            indices, by_length = by_length[:count], by_length[count:]
            yield indices, self.collate(indices)

    def fingerprint(self) -> str:
        """Return a checksum of the ids and labels, with the length of the windows."""
        return f"{super().fingerprint()}, windows of {self.window_length}"


def batch_texts(
    tokenizer: Callable[..., Mapping[str, Any]],
    examples: Sequence[Example],
    targets: Sequence[Any] | None,
    *,
    max_length: int,
    long_text: str = "head",
    **options: Any,
) -> LabelledBatches:
    """Tokenize texts and return their batches.

    Args:
        tokenizer: a `BertTokenizer`, or anything that is called like one.
        examples: single texts, or with "head" also pairs.
        targets: see `LabelledBatches`.
        max_length: tokens of a text, or of a window.
        long_text: one of `LONG_TEXTS`.
        **options: those of `LabelledBatches`.
    """
    if long_text == "head":
        texts = tokenize_examples(tokenizer, examples, max_length=max_length)
        return LabelledBatches(texts, targets, **options)
    whole = tokenize_examples(tokenizer, examples, max_length=sys.maxsize)
    longest = longest_read(max_length, long_text)
    ids = [truncate(text, longest, long_text) for text in whole.input_ids]
    texts = Tokenized(ids, [np.zeros(len(text), np.int8) for text in ids], whole.full_lengths)
    if long_text == "windows":
        return WindowBatches(texts, targets, **options, window_length=max_length)
    return LabelledBatches(texts, targets, **options)


def describe_long_texts(
    full_lengths: Sequence[int], *, max_length: int, long_text: str, positions: int
) -> str:
    """Return what `describe_lengths` says, and what each choice cuts and loses if some are long.

    Args:
        full_lengths: tokens of each text before truncation.
        max_length: tokens that are read at once.
        long_text: the choice that was made.
        positions: the largest `max_length` of the model.
    """
    longest = longest_read(max_length, long_text)
    told = describe_lengths(full_lengths, max_length=longest)
    lengths = np.asarray(full_lengths)
    if lengths.max() <= max_length:
        return told
    limits = {
        "--long-text head, tail or head+tail": max_length,
        f"--long-text windows (up to {MAX_WINDOWS})": longest_read(max_length, "windows"),
    }
    if positions > max_length:
        limits[f"--max-length {positions}"] = positions
    lines = [told, f"{'':38}{'texts truncated':>18}{'tokens lost':>14}"]
    for name, limit in limits.items():
        count, lost = (lengths > limit).sum(), (lengths - limit).clip(0).sum() / lengths.sum()
        lines.append(f"{name:38}{f'{count:,} ({count / len(lengths):.1%})':>18}{lost:>14.1%}")
    return "\n".join(lines)
