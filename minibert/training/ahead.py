"""The next batches are made while a GPU computes the present one.

A GPU works by itself: the CPU tells it what to do, and waits for the loss. In that time a thread
makes the next batches. On a CPU nothing would be gained, since all cores compute already.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import torch

from minibert.data.batches import Batch


def made_ahead(batches: Iterable[Batch], device: torch.device, *, most: int = 2) -> Iterator[Batch]:
    """The same batches in the same order, for a GPU made ahead of time.

    Args:
        batches: what makes them; it must not read PyTorch's global random state, which the model
            uses at the same time.
        device: where they will be needed. They stay where they are; for CUDA those on the CPU are
            put into memory from which copies need not be waited for.
        most: how many may be ready or in the making.

    Raises:
        Exception: what `batches` raises, when its turn has come.
    """
    if device.type == "cpu":
        yield from batches
        return
    source = iter(batches)
    on_cuda = device.type == "cuda"

    def begin() -> None:
        if on_cuda and device.index is not None:
            torch.cuda.set_device(device)  # each thread has a GPU that it means by "cuda"

    def make() -> Batch | None:
        batch = next(source, None)
        if batch is None or not on_cuda:
            return batch
        return {name: t.pin_memory() if t.is_cpu else t for name, t in batch.items()}

    with ThreadPoolExecutor(1, thread_name_prefix="batches", initializer=begin) as thread:
        waiting = deque(thread.submit(make) for _ in range(most))
        while (batch := waiting.popleft().result()) is not None:
            waiting.append(thread.submit(make))
            yield batch
