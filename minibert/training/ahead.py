"""The next batches are made while a GPU computes the present one.

A GPU works by itself: the CPU tells it what to do, and waits for the loss. In that time a thread
makes the next batches. On a CPU nothing would be gained, since all cores compute already.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import torch

from minibert.data.batches import Batch

AHEAD = 2  # batches that are ready or in the making


def made_ahead(batches: Iterable[Batch], device: torch.device) -> Iterator[Batch]:
    """The same batches in the same order, for a GPU made ahead of time.

    Args:
        batches: what makes them; it must not read PyTorch's global random state, which the model
            uses at the same time.
        device: where they will be needed. They stay on the CPU; for CUDA they are put into memory
            from which copies need not be waited for.

    Raises:
        Exception: what `batches` raises, when its turn has come.
    """
    if device.type == "cpu":
        yield from batches
        return
    source = iter(batches)

    def make() -> Batch | None:
        batch = next(source, None)
        if batch is None or device.type != "cuda":
            return batch
        return {name: tensor.pin_memory() for name, tensor in batch.items()}

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches") as thread:
        waiting = deque(thread.submit(make) for _ in range(AHEAD))
        while (batch := waiting.popleft().result()) is not None:
            waiting.append(thread.submit(make))
            yield batch
