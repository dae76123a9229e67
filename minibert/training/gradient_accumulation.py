"""Windows of batches: what goes into one update, divided among the processes.

    a window of 4 batches, 2 processes:    0  1  2  3
        process 0 reads                    0     2
        process 1 reads                       1     3

So the same settings give the same updates whatever the number of processes, and a run can go on
with another number of them. At the end of an epoch a process may be left with fewer batches than
the others, or none; it takes part all the same.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import torch

from minibert.data.labelled.batches import Batch
from minibert.errors import MiniBertError
from minibert.model.losses import LABEL_ARGUMENTS, count_labels
from minibert.training.distributed import Processes
from minibert.training.interrupts import StopRequest


@dataclass(frozen=True)
class Window:
    """The batches of one update that this process has, and how much all processes have."""

    batches: dict[int, Batch]  # by their places in the window
    size: int  # batches of all processes; this and the following
    labels: dict[str, int]  # how many of each kind
    tokens: int
    positions: int  # tokens and padding


def windows(
    batches: Iterator[Batch], size: int, processes: Processes, stop: StopRequest
) -> Iterator[Window]:
    """Cut batches into windows; the last window may be smaller.

    Args:
        batches: those of this process, every n-th where there are n processes.
        size: batches in a window, over all processes.
        processes: all make this call together.
        stop: asked in passing.

    Raises:
        Stop: a signal came to one of the processes.
    """
    places = range(processes.rank, size, processes.count)
    while True:
        mine = list(islice(batches, len(places)))
        counts = [_counts(batch) for batch in mine]
        nothing = [0] * (3 + len(LABEL_ARGUMENTS))
        sums = stop.agree(processes, [sum(column) for column in zip(nothing, *counts, strict=True)])
        in_all, tokens, positions, *labels = map(int, sums)
        if in_all == 0:
            return
        by_kind = dict(zip(LABEL_ARGUMENTS, labels, strict=True))
        yield Window(dict(zip(places, mine, strict=False)), in_all, by_kind, tokens, positions)


def check_divisible(size: int, processes: Processes) -> None:
    """See that every process gets as many batches of a window.

    Raises:
        MiniBertError: it does not come out even.
    """
    if size % processes.count:
        raise MiniBertError(
            f"accumulation is {size} batch{'es' if size > 1 else ''} an update, and there are "
            f"{processes.count} processes; give --accumulation {processes.count}, or a multiple."
        )


def _counts(batch: Batch) -> list[int]:
    """1 (batch), tokens, positions, and labels of each kind."""
    positions = batch["input_ids"].numel()
    mask = batch.get("attention_mask")
    labels = count_labels(batch)
    return [
        1,
        positions if mask is None else int(mask.sum()),
        positions,
        *(labels.get(name, 0) for name in LABEL_ARGUMENTS),
    ]


# The next batches are made while a GPU computes the present one.
#
# A GPU works by itself: the CPU tells it what to do, and waits for the loss. In that time a thread
# makes the next batches. On a CPU nothing would be gained, since all cores compute already.


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
