"""Several processes, on one machine or many: the few lines that torchrun needs.

    torchrun --nproc-per-node 2 --no-python minibert pretrain CORPUS --output OUT --accumulation 2

Each process has the whole model and reads a part of every window of batches (`windows.py`); the
gradients are added up over the processes, and each then makes the same update. One process is
rank 0, "the first": it alone writes and speaks. A run that torchrun has not started never calls
`torch.distributed`.

`DistributedDataParallel` is not used. It takes the mean of the processes' gradients, where each of
our losses is already divided by the count of all of them; it wants as many batches in every
process, which the end of an epoch does not have; and it cuts the gradients into other pieces after
its first update, so that with more than two processes a resumed run would round otherwise. The
plain sum below costs what DDP saves by sending gradients while others are still being computed.
"""

import importlib
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from minibert.errors import Interrupted, MiniBertError

Result = TypeVar("Result")

ENVIRONMENT = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
# The others wait while the first evaluates. That a process has died is noticed at once.
PATIENCE = timedelta(hours=2)
NUMBERS_AT_ONCE = 2**24  # 64 MiB of gradients in float32: few messages, little extra memory


class ProcessLost(MiniBertError):  # noqa: N818 - says what has happened
    """Another process of the job has ended or cannot be reached any more."""


@dataclass(frozen=True)
class Processes:
    """The processes of a job, seen from one of them. All must make the same calls in the same
    order; with one process every call is free.
    """

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def sum(self, numbers: Sequence[float]) -> list[float]:
        """Each number's sum over all processes, in float64: whole numbers stay exact."""
        if self.count == 1:
            return list(numbers)
        # On the CPU also where the model is not: waiting there, a process sees another one's end.
        total = torch.tensor(numbers, dtype=torch.float64)
        with _connected():
            dist.all_reduce(total)
        return total.tolist()

    def sum_(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its sum over all processes, the same bits in each of them."""
        if self.count == 1:
            return
        for some in _in_pieces(tensors):
            flat = torch.cat([tensor.flatten() for tensor in some])
            with _connected():
                dist.all_reduce(flat)
            parts = torch.split(flat, [tensor.numel() for tensor in some])
            for tensor, summed in zip(some, parts, strict=True):
                tensor.copy_(summed.view_as(tensor))

    def share_(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite each tensor with that of the first process."""
        if self.count > 1:
            for tensor in tensors:
                with _connected():
                    dist.broadcast(tensor, src=0)

    def once(self, do: Callable[[], Result]) -> Result:
        """Call `do` in the first process only; its result is returned in all.

        If it fails there with a plain sentence, the others exit without one.
        """
        if self.count == 1:
            return do()
        answer: list[Any] = [None, False]  # the result, and whether there is one
        try:
            if self.is_first:
                answer = [do(), True]
        finally:
            with _connected():
                dist.broadcast_object_list(answer, src=0)
        if not answer[1]:
            sys.exit(2)
        return answer[0]  # type: ignore[no-any-return]

    def check_same(self, values: Mapping[str, Any]) -> None:
        """See that all processes were started with the same settings and data.

        Raises:
            MiniBertError: they differ; the sentence says in what.
        """
        if self.count == 1:
            return
        found: list[Any] = [None] * self.count
        with _connected():
            dist.all_gather_object(found, dict(values))
        self.once(lambda: _refuse_differences(found))


ALONE = Processes()


@contextmanager
def several_processes(device: torch.device) -> Iterator[Processes]:
    """Join the processes that torchrun has started; without torchrun there is this one alone.

    In the block, only the first process prints; an error says which other process it is from.

    Args:
        device: where this process computes, as `choose_device` gives it.

    Raises:
        MiniBertError: torchrun's environment is incomplete, the others cannot be reached, or the
            device is none that several processes can use.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        yield ALONE
        return
    processes = _join(device)
    try:
        if processes.is_first:
            yield processes
        else:
            with Path(os.devnull).open("w", encoding="utf-8") as silence, redirect_stdout(silence):
                yield processes
    except (Interrupted, MiniBertError) as end:
        # When one process has ended, torchrun ends the others: let this one speak first.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if processes.is_first:
            raise
        if isinstance(end, Interrupted):
            sys.exit(end.exit_code)
        raise MiniBertError(f"in process {processes.rank}: {end}") from end
    finally:
        dist.destroy_process_group()


def _refuse_differences(found: Sequence[Mapping[str, Any]]) -> None:
    different = [
        f"{name} is {found[0].get(name)!r} in process 0 and {other.get(name)!r} in process {rank}"
        for rank, other in enumerate(found)
        for name in sorted(found[0].keys() | other.keys())
        if other.get(name) != found[0].get(name)
    ]
    if different:
        raise MiniBertError(
            f"the processes were not started alike: {'; '.join(different)}. Start all of them with "
            "the same command and the same data."
        )


def _join(device: torch.device) -> Processes:
    missing = [name for name in ENVIRONMENT if not os.environ.get(name)]
    if missing:
        raise MiniBertError(
            f"WORLD_SIZE is {os.environ['WORLD_SIZE']}, but {', '.join(missing)} is not set; start "
            "several processes with torchrun, or unset WORLD_SIZE to start one."
        )
    for name in ENVIRONMENT[:3]:
        if not os.environ[name].isdecimal():
            raise MiniBertError(f"{name} is {os.environ[name]!r}; torchrun sets it to a number.")
    rank, count, local = (int(os.environ[name]) for name in ENVIRONMENT[:3])
    if device.type not in ("cpu", "cuda"):
        raise MiniBertError(f"several processes cannot use {device.type}; give --device cpu.")
    if device.type == "cuda":
        if device.index != local:
            raise MiniBertError(f"all processes have {device}; give --device cuda, for one each.")
        torch.cuda.set_device(device)
    # The optimizer imports this module, whose functions keep the group that is there at that time;
    # and a group that is kept has threads, which now and then crash the process at its end.
    importlib.import_module("torch.distributed.nn.functional")
    try:
        backends = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backends, rank=rank, world_size=count, timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        address = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise MiniBertError(
            f"process {rank} of {count} does not reach the others at {address} "
            f"({str(error).splitlines()[0]}); start all of them with torchrun."
        ) from error
    return Processes(rank, count)


@contextmanager
def _connected() -> Iterator[None]:
    """Say in a sentence that the connection to the others has broken."""
    try:
        yield
    except RuntimeError as error:
        raise ProcessLost(
            "another process of this job has ended, or cannot be reached any more; if it says "
            "nothing itself, it was killed (perhaps for lack of memory)."
        ) from error


def _in_pieces(tensors: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    piece: list[Tensor] = []
    for tensor in tensors:
        piece.append(tensor)
        if sum(each.numel() for each in piece) >= NUMBERS_AT_ONCE:
            yield piece
            piece = []
    if piece:
        yield piece
