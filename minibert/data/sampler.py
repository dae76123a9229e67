"""The order of training: a function of (seed, epoch), so that to resume takes one integer.

Texts differ in length, and a padded position costs as much as a real one; so texts of similar
length share a batch. Sorting all of them would do that best, but a batch should be a random sample:
short texts may all be of one class. Sorting inside large random chunks is the usual compromise.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minibert.errors import MiniBertError

Array = np.ndarray[Any, np.dtype[Any]]


def batch_order(
    lengths: Sequence[int] | Array,
    *,
    batch_size: int | None = None,
    token_budget: int | None = None,
    seed: int,
    epoch: int,
    bucket: int = 50,
) -> list[Array]:
    """Which examples make up which batch of an epoch; each example exactly once.

    Shuffle all; cut into chunks of about `bucket` batches; sort each chunk by length; cut it into
    batches; shuffle the batches. With `bucket` = 1 lengths play no part; with a bucket as large as
    the data, padding is least and short texts always meet short texts.

    Args:
        lengths: tokens of each example.
        batch_size: examples a batch. Give this or `token_budget`.
        token_budget: tokens a batch, padding included: rows times longest row.
        seed: the same (seed, epoch) gives the same order on any machine.
        epoch: from 0.
        bucket: batches a chunk.

    Returns:
        The indices of each batch, in the order of training.

    Raises:
        MiniBertError: both or none of the two sizes are given, or a text exceeds the token budget.
    """
    lengths = np.asarray(lengths)
    size = _examples_a_batch(lengths, batch_size, token_budget)
    random = np.random.Generator(np.random.PCG64([seed, epoch]))
    shuffled = random.permutation(len(lengths))
    batches: list[Array] = []
    for start in range(0, len(shuffled), size * bucket):
        chunk = shuffled[start : start + size * bucket]
        chunk = chunk[np.argsort(lengths[chunk], kind="stable")]
        if token_budget is None:
            batches += [chunk[i : i + size] for i in range(0, len(chunk), size)]
        else:
            batches += _cut_by_tokens(chunk, lengths[chunk].tolist(), token_budget)
    return [batches[i] for i in random.permutation(len(batches))]


def _examples_a_batch(lengths: Array, batch_size: int | None, token_budget: int | None) -> int:
    """How many examples a batch holds; with a token budget, how many on average."""
    if batch_size is not None and token_budget is None:
        if batch_size < 1:
            raise MiniBertError(f"batch_size is {batch_size}; it must be at least 1.")
        return batch_size
    if batch_size is not None or token_budget is None:
        raise MiniBertError("give either batch_size or token_budget.")
    longest = int(lengths.max(initial=0))
    if longest > token_budget:
        raise MiniBertError(
            f"a text has {longest:,} tokens, more than the token budget of a batch, "
            f"{token_budget:,}; lower max_length or raise the budget."
        )
    return max(1, int(token_budget / max(lengths.mean(), 1))) if len(lengths) else 1


def _cut_by_tokens(indices: Array, lengths: list[int], token_budget: int) -> list[Array]:
    """Cut indices sorted by length into batches of at most `token_budget` padded tokens."""
    starts = [0]
    for place, length in enumerate(lengths):
        if (place + 1 - starts[-1]) * length > token_budget:
            starts.append(place)
    return np.split(indices, starts[1:])
