"""Windows of batches: what goes into one update, divided among the processes.

    a window of 4 batches, 2 processes:    0  1  2  3
        process 0 reads                    0     2
        process 1 reads                       1     3

So the same settings give the same updates whatever the number of processes, and a run can go on
with another number of them. At the end of an epoch a process may be left with fewer batches than
the others, or none; it takes part all the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from minibert.data.batches import Batch
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
