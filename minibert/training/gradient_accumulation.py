"""Gradient accumulation: the micro-batches of one update, shared among the processes.

A global batch is everything that one update learns from. It is read in micro-batches that fit into
memory, and every process takes part of them:

    4 accumulation steps, 2 processes:    micro-batches 0 1 2 3
        process 0 reads                   0   2
        process 1 reads                     1   3

The same settings therefore make the same updates with any number of processes, and a run can be
resumed with another number. At the end of an epoch a process can have fewer micro-batches than the
others, or none. It still takes part in the update.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import torch
from torch import Tensor

from minibert.data.sampler import Batch
from minibert.errors import MiniBertError
from minibert.model.input_checks import check_inputs
from minibert.model.losses import LABEL_ARGUMENTS, count_labels
from minibert.model.pretrained import PretrainedModel
from minibert.training.distributed import Processes
from minibert.training.interrupts import StopRequest
from minibert.training.settings import TrainingSettings

ComputeLoss = Callable[[PretrainedModel, Batch], Mapping[str, Any]]
"""Returns the loss terms of a model for a batch, as `compute_loss` does."""
INPUTS = ("input_ids", "attention_mask", "token_type_ids", "position_ids")


class Batches(Protocol):
    """Training data: yields the batches of an epoch, from any of them on.

    For a GPU, batches are made in a thread while the model computes (`prefetch`). Their randomness
    has to come from a generator of their own, or a run could not be repeated.
    """

    def length(self, epoch: int) -> int:
        """Return the number of batches in an epoch. Epochs can differ by a few."""

    def epoch(self, epoch: int, *, start: int = 0, step: int = 1) -> Iterator[Batch]:
        """Yield batches start, start + step, ... of an epoch: the same ones in every call."""


@dataclass(frozen=True)
class GlobalBatch:
    """The micro-batches of one update that this process reads, and counts over all processes."""

    micro_batches: dict[int, Batch]  # by their index in the global batch
    size: int  # micro-batches; this and the following counts are over all processes
    labels: dict[str, int]  # their number, by argument of the model
    tokens: int
    positions: int  # tokens and padding

    def count(self, name: str) -> int:
        """Return the number of labels that the loss term `name` sums over, at least 1."""
        if name not in self.labels:
            raise MiniBertError(
                f"the model has a loss term {name!r}. A loss term must have the name of the "
                f"argument that holds its labels: {', '.join(LABEL_ARGUMENTS)}."
            )
        return max(self.labels[name], 1)


def global_batches(
    micro_batches: Iterator[Batch],
    steps: int,
    device: torch.device,
    processes: Processes,
    stop: StopRequest,
) -> Iterator[GlobalBatch]:
    """Group the micro-batches of this process into global batches; the last one can be smaller.

    All processes iterate together. `steps` counts the micro-batches of all of them in an update.

    Raises:
        Stop: one of the processes has received a signal.
    """
    indices = range(processes.rank, steps, processes.world_size)
    fetched = prefetch(micro_batches, device, depth=len(indices) + 1)
    while True:
        mine = list(islice(fetched, len(indices)))
        none = [0] * (3 + len(LABEL_ARGUMENTS))
        counts = [sum(column) for column in zip(none, *map(_counts, mine), strict=True)]
        size, tokens, positions, *labels = map(int, stop.sum_or_stop(processes, counts))
        if size == 0:
            return
        by_name = dict(zip(LABEL_ARGUMENTS, labels, strict=True))
        yield GlobalBatch(dict(zip(indices, mine, strict=False)), size, by_name, tokens, positions)


def check_divisible(settings: TrainingSettings, processes: Processes) -> None:
    """Raise if the processes would read different numbers of micro-batches in an update."""
    steps = settings.gradient_accumulation_steps
    if steps % processes.world_size:
        raise MiniBertError(
            f"gradient_accumulation_steps is {steps} for {processes.world_size} processes; use "
            f"--gradient-accumulation-steps {processes.world_size} or a multiple of it."
        )


def sum_over_processes(
    loss: Tensor, parameters: Sequence[Tensor], processes: Processes, stop: StopRequest
) -> None:
    """Sum the loss and the gradients over all processes, in place.

    It is a plain sum, since the losses are already divided by the global label count. A parameter
    that no process has used keeps no gradient, so that the optimizer leaves it unchanged.

    Raises:
        Stop: one of the processes has received a signal.
    """
    several = processes.world_size > 1
    used = [parameter.grad is not None for parameter in parameters] if several else []
    users = stop.sum_or_stop(processes, used)
    shared = [parameter for parameter, count in zip(parameters, users, strict=False) if count]
    for parameter in shared:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    processes.all_reduce_([loss, *(p.grad for p in shared if p.grad is not None)])


def prefetch(batches: Iterable[Batch], device: torch.device, *, depth: int = 2) -> Iterator[Batch]:
    """Yield the same batches in the same order; for a GPU, make the next `depth` in a thread.

    While a GPU computes, the CPU would be idle. A model on the CPU keeps all cores busy itself.
    For CUDA, batches are put into pinned memory, so that they can be copied in the background.
    """
    if device.type == "cpu":
        yield from batches
        return
    source = iter(batches)
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as thread:
        waiting = deque(thread.submit(_next_batch, source, device) for _ in range(depth))
        while (batch := waiting.popleft().result()) is not None:
            waiting.append(thread.submit(_next_batch, source, device))
            yield batch


def _next_batch(source: Iterator[Batch], device: torch.device) -> Batch | None:
    if device.type != "cuda":
        return next(source, None)
    with torch.cuda.device(device):  # every thread has its own current GPU
        batch = next(source, None)
        return batch and {name: t.pin_memory() if t.is_cpu else t for name, t in batch.items()}


def to_device(batch: Batch, model: PretrainedModel, device: torch.device) -> Batch:
    """Move a batch to the model's device, after checking its values while they are on the CPU."""
    if device.type != "cpu":  # on the CPU the model checks them itself
        check_batch(model, batch)
    in_background = device.type == "cuda"
    return {name: tensor.to(device, non_blocking=in_background) for name, tensor in batch.items()}


def compute_loss(model: PretrainedModel, inputs: Batch) -> Mapping[str, Any]:
    """Return the loss terms of a model for a batch; raise if its output has none."""
    outputs = model(**inputs)
    terms: Mapping[str, Any] = getattr(outputs, "loss_terms", {})
    if not terms:
        raise MiniBertError(
            f"the model returned a {type(outputs).__name__} without a loss; training needs the "
            "output of a head, or TaskOutput(logits=logits).with_loss(labels=cross_entropy(logits, "
            "labels))."
        )
    return terms


def check_batch(model: PretrainedModel, batch: Batch) -> None:
    """Raise for inputs and labels that would end in a "device-side assert" on a GPU."""
    inputs = {name: batch[name] for name in INPUTS if name in batch}
    if inputs["input_ids"].dim() > 2:  # multiple choice: (B, choices, S) -> (B * choices, S)
        inputs = {name: tensor.flatten(0, -2) for name, tensor in inputs.items()}
    check_inputs(model.config, **inputs)
    if any(name in batch for name in LABEL_ARGUMENTS):
        model.check_labels(**batch)


def _counts(batch: Batch) -> list[int]:
    """Return 1 (micro-batch), tokens, positions, and the labels of each argument."""
    positions = batch["input_ids"].numel()
    mask = batch.get("attention_mask")
    labels = count_labels(batch)
    if not labels:
        raise MiniBertError(
            f"a training batch has no labels, only {', '.join(batch)}; give each batch one of "
            f"{', '.join(LABEL_ARGUMENTS)}."
        )
    return [
        1,
        positions if mask is None else int(mask.sum()),
        positions,
        *(labels.get(name, 0) for name in LABEL_ARGUMENTS),
    ]
