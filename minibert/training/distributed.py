"""Several processes, on one machine or many, as started by torchrun.

    torchrun --nproc-per-node 2 --no-python minibert pretrain CORPUS --output OUT \
        --gradient-accumulation-steps 2

Every process holds the whole model and reads its share of each global batch
(`gradient_accumulation.py`). The gradients are summed over the processes, so all of them make the
same update. Rank 0 is the main process: only it writes files and prints. A run that was not
started by torchrun never calls `torch.distributed`.

`DistributedDataParallel` is deliberately not used:

- It averages gradients. Our losses are already divided by the label count of the global batch, so
  the gradients have to be summed.
- It needs equally many batches in every process. The last global batch of an epoch can be smaller.
- It regroups its gradient buckets after the first update. With more than two processes this changes
  the order of the additions, so a resumed run would round differently from an unbroken one.

The price is that the sum starts only when the backward pass is complete; DDP overlaps the two.
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

ENVIRONMENT = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
# So long, because the other processes wait while the main one evaluates. A process that dies is
# noticed at once.
TIMEOUT = timedelta(hours=2)
BUCKET_SIZE = 2**24  # numbers in a message: 64 MiB of float32


class ProcessLost(MiniBertError):  # noqa: N818 - says what has happened
    """Another process of the job has ended or cannot be reached."""


@dataclass(frozen=True)
class Processes:
    """The processes of a job, as seen from one of them; all make the same calls in one order."""

    rank: int = 0
    world_size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes files and prints."""
        return self.rank == 0

    def sum(self, numbers: Sequence[float]) -> list[float]:
        """Return each number summed over all processes, in float64: whole numbers stay exact."""
        if self.world_size == 1:
            return list(numbers)
        # On the CPU even for a model on a GPU: a wait on the CPU notices a lost process.
        total = torch.tensor(numbers, dtype=torch.float64)
        with _connected():
            dist.all_reduce(total)
        return total.tolist()

    def all_reduce_(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its sum over all processes, with the same bits in each of them."""
        if self.world_size == 1:
            return
        for bucket in _buckets(tensors):
            flat = torch.cat([tensor.flatten() for tensor in bucket])
            with _connected():
                dist.all_reduce(flat)
            parts = torch.split(flat, [tensor.numel() for tensor in bucket])
            for tensor, summed in zip(bucket, parts, strict=True):
                tensor.copy_(summed.view_as(tensor))

    def broadcast_(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite each tensor with that of the main process."""
        if self.world_size > 1:
            for tensor in tensors:
                with _connected():
                    dist.broadcast(tensor, src=0)

    def on_main(self, function: Callable[[], Result]) -> Result:
        """Call `function` in the main process only and return its result in all processes.

        If it raises there, the other processes exit silently.
        """
        if self.world_size == 1:
            return function()
        answer: list[Any] = [None, False]  # the result, and whether there is one
        try:
            if self.is_main:
                answer = [function(), True]
        finally:
            with _connected():
                dist.broadcast_object_list(answer, src=0)
        if not answer[1]:
            sys.exit(2)
        return answer[0]  # type: ignore[no-any-return]

    def check_same(self, values: Mapping[str, Any]) -> None:
        """Raise in the main process, and exit in the others, if the processes' values differ."""
        if self.world_size == 1:
            return
        found: list[Any] = [None] * self.world_size
        with _connected():
            dist.all_gather_object(found, dict(values))
        different = [
            f"{name} is {found[0].get(name)!r} in process 0 and {other.get(name)!r} in {rank}"
            for rank, other in enumerate(found)
            for name in found[0] | other
            if other.get(name) != found[0].get(name)
        ]
        if different and not self.is_main:
            sys.exit(2)
        if different:
            raise MiniBertError(
                f"the processes were started differently: {'; '.join(different)}. Start all of "
                "them with the same command and the same data."
            )


SINGLE_PROCESS = Processes()


@contextmanager
def join_processes(device: torch.device) -> Iterator[Processes]:
    """Join the processes that torchrun has started; without torchrun, yield `SINGLE_PROCESS`.

    In the block only the main process prints. An error in another process names its rank.

    Raises:
        MiniBertError: the other processes cannot be reached, or cannot all use this kind of device.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        yield SINGLE_PROCESS
        return
    processes = _join(device)
    try:
        if processes.is_main:
            yield processes
        else:
            with Path(os.devnull).open("w", encoding="utf-8") as silence, redirect_stdout(silence):
                yield processes
    except (Interrupted, MiniBertError) as end:
        # When a process ends, torchrun terminates the others. This one has a message to print.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if processes.is_main:
            raise
        if isinstance(end, Interrupted):
            sys.exit(end.exit_code)
        raise MiniBertError(f"in process {processes.rank}: {end}") from end
    finally:
        dist.destroy_process_group()


def _join(device: torch.device) -> Processes:
    if device.type not in ("cpu", "cuda"):
        raise MiniBertError(
            f"several processes can train on cpu or cuda, not on {device.type}; use --device cpu."
        )
    if device.type == "cuda":
        if str(device.index) != os.environ.get("LOCAL_RANK"):
            raise MiniBertError(
                f"--device {device} gives all processes the same GPU; --device cuda gives each "
                "process its own."
            )
        torch.cuda.set_device(device)
    # Imported before there is a process group. The optimizer would import it later, and then its
    # functions would keep the group alive, whose threads can crash the process at exit.
    importlib.import_module("torch.distributed.nn.functional")
    try:
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=TIMEOUT
        )
    except (RuntimeError, ValueError) as error:
        values = ", ".join(f"{name}={os.environ.get(name)}" for name in ENVIRONMENT)
        raise MiniBertError(
            f"cannot join the other processes ({str(error).splitlines()[0]}; {values}). Start all "
            "of them with torchrun, or unset WORLD_SIZE to start one."
        ) from error
    return Processes(dist.get_rank(), dist.get_world_size())


@contextmanager
def _connected() -> Iterator[None]:
    """Raise `ProcessLost` if the connection to the other processes breaks."""
    try:
        yield
    except RuntimeError as error:
        raise ProcessLost(
            "another process of this job has ended or cannot be reached. If it printed no error, "
            "it was killed, perhaps because memory ran out."
        ) from error


def _buckets(tensors: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    bucket: list[Tensor] = []
    for tensor in tensors:
        bucket.append(tensor)
        if sum(each.numel() for each in bucket) >= BUCKET_SIZE:
            yield bucket
            bucket = []
    if bucket:
        yield bucket
