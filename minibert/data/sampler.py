"""Choose the batches of an epoch: random, but of texts of similar length.

Padding costs as much as text, so texts of similar length share a batch. Sorting all texts would pad
least, but then short texts, perhaps all of one class, would always meet. The usual compromise is to
sort within large random chunks. The order is a function of (seed, epoch): to resume, one integer
suffices.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

Array = np.ndarray[Any, np.dtype[Any]]
Batch = dict[str, Tensor]  # arguments of a model by name, such as input_ids and labels


def length_grouped_batches(
    lengths: Sequence[int] | Array, *, batch_size: int, seed: int, epoch: int, bucket: int = 50
) -> list[Array]:
    """Return the indices of the examples in each batch of an epoch, each example exactly once.

    Shuffle all examples, split them into chunks of `bucket` batches, sort each chunk by length,
    split it into batches, and shuffle the batches.

    Args:
        lengths: tokens of each example.
        batch_size: examples per batch; only the last chunk can have a smaller one.
        seed: the same (seed, epoch) gives the same batches on any machine.
        epoch: from 0.
        bucket: batches per chunk. With 1, lengths do not matter; with a large number, there is
            the least padding, and short texts always meet short texts.
    """
    lengths = np.asarray(lengths)
    random = np.random.Generator(np.random.PCG64([seed, epoch]))
    shuffled = random.permutation(len(lengths))
    batches: list[Array] = []
    for start in range(0, len(shuffled), batch_size * bucket):
        chunk = shuffled[start : start + batch_size * bucket]
        chunk = chunk[np.argsort(lengths[chunk], kind="stable")]
        batches += [chunk[i : i + batch_size] for i in range(0, len(chunk), batch_size)]
    return [batches[i] for i in random.permutation(len(batches))]


def balanced_sample(labels: Sequence[int] | Array, *, seed: int, epoch: int) -> Array:
    """Return N of N examples with every class equally often: some repeated, others left out.

    Within a class, no example is drawn more than one time more often than another. The draw is a
    function of (seed, epoch), so over the epochs all examples are seen.

    Args:
        labels: the class of each example.
        seed: as in `length_grouped_batches`.
        epoch: from 0.

    Example:
        >>> labels = np.array([0, 0, 0, 0, 0, 1])
        >>> np.bincount(labels[balanced_sample(labels, seed=0, epoch=0)]).tolist()
        [3, 3]
    """
    labels = np.asarray(labels)
    random = np.random.Generator(np.random.PCG64([seed, epoch, 1]))
    classes = np.unique(labels)
    wanted = np.bincount(np.arange(len(labels)) % len(classes))  # N shared among the classes
    drawn: list[Array] = []
    for label, count in zip(random.permutation(classes), wanted, strict=True):
        members = np.flatnonzero(labels == label)
        repeats = -(-count // len(members))  # rounded up
        drawn += [random.permutation(members) for _ in range(repeats - 1)]
        drawn += [random.permutation(members)[: count - (repeats - 1) * len(members)]]
    return np.concatenate(drawn)
