"""One update of the weights, from the gradients of one or several batches.

A window of batches is one big batch cut into pieces that fit into memory, and into parts for the
processes. Each loss is a sum, divided by the count of the *whole* window, so the pieces' gradients
add up to the big batch's gradient, whatever the pieces hold. (The mean of the pieces' means would
not do: pieces hold unequal numbers of labels.)
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from minibert.data.labelled.batches import Batch
from minibert.errors import MiniBertError
from minibert.model.input_checks import check_inputs
from minibert.model.losses import LABEL_ARGUMENTS
from minibert.model.pretrained import PretrainedModel
from minibert.training.distributed import Processes
from minibert.training.gradient_accumulation import Window
from minibert.training.interrupts import StopRequest
from minibert.training.settings import TrainingSettings

INPUTS = ("input_ids", "attention_mask", "token_type_ids", "position_ids")


@dataclass(frozen=True)
class Run:
    """What does not change while a run goes on."""

    model: PretrainedModel
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    settings: TrainingSettings
    device: torch.device
    precision: torch.dtype
    processes: Processes


def update(run: Run, window: Window, step: int, stop: StopRequest) -> tuple[float, float]:
    """One step from the gradients of a window of batches, the same in all processes.

    Returns:
        The loss, and the norm of the gradients before clipping.

    Raises:
        Stop: a signal came in between, and nothing has changed.
    """
    run.optimizer.zero_grad()
    trained = [weight for group in run.optimizer.param_groups for weight in group["params"]]
    # To read a number is to wait for a GPU, so the loss stays there until the norm is read, too.
    precise = torch.promote_types(trained[0].dtype, torch.float32)
    total = torch.zeros((), dtype=precise, device=run.device)
    for place, batch in window.batches.items():
        if stop.signal is not None:
            break
        torch.manual_seed(_dropout_seed(run.settings.seed, step, place))
        if run.device.type != "cpu":  # where the model itself can look at the values no more
            check_batch(run.model, batch)
        behind = run.device.type == "cuda"  # the copy need not be waited for
        moved = {name: t.to(run.device, non_blocking=behind) for name, t in batch.items()}
        reduced = run.precision != torch.float32
        with torch.autocast(run.device.type, run.precision, enabled=reduced):
            terms = run.model(**moved).loss_terms
        part = sum(term.total / _count(window, name) for name, term in terms.items())
        run.scaler.scale(part).backward()
        total += part.detach()
    _add_up(run, total, trained, stop)
    # From here on all processes have the same gradients, and so do the same: they clip alike, and
    # a gradient that is not finite makes all of them leave the step out and change their scale.
    run.scaler.unscale_(run.optimizer)
    clipped = torch.nn.utils.clip_grad_norm_(trained, run.settings.maximum_gradient_norm)
    loss, norm = torch.stack([total, clipped.to(total.dtype)]).tolist()
    if math.isfinite(norm) or run.scaler.is_enabled():
        run.scaler.step(run.optimizer)  # which leaves the step out if a gradient is not finite
        run.scaler.update()
    return loss, norm


def check_batch(model: PretrainedModel, batch: Batch) -> None:
    """Refuse, in one sentence, what would end in a GPU's "device-side assert"."""
    inputs = {name: batch[name] for name in INPUTS if name in batch}
    if inputs["input_ids"].dim() > 2:  # choices are rows like others: (B, C, S) -> (B * C, S)
        inputs = {name: tensor.flatten(0, -2) for name, tensor in inputs.items()}
    check_inputs(model.config, **inputs)
    labels = {name: batch[name] for name in LABEL_ARGUMENTS if name in batch}
    if labels:
        model.check_labels(batch["input_ids"], **labels)


def _count(window: Window, name: str) -> int:
    """How many labels a loss is the sum over, in all of the window."""
    if name not in window.labels:
        raise MiniBertError(
            f"the model has a loss term {name!r}, but a term must have the name of the argument "
            f"that holds its labels: {', '.join(LABEL_ARGUMENTS)}."
        )
    return max(window.labels[name], 1)


def _add_up(run: Run, loss: Tensor, trained: list[Tensor], stop: StopRequest) -> None:
    """Sum the loss and the gradients over the processes: sums, since the counts are in already."""
    held = [] if run.processes.count == 1 else [weight.grad is not None for weight in trained]
    holders = stop.agree(run.processes, held)
    # A parameter that no batch of any process has used keeps no gradient: the optimizer must leave
    # it alone. One that others have used gets zeros here.
    used = [weight for weight, number in zip(trained, holders, strict=False) if number]
    for weight in used:
        if weight.grad is None:
            weight.grad = torch.zeros_like(weight)
    run.processes.sum_([loss, *(weight.grad for weight in used if weight.grad is not None)])


def _dropout_seed(seed: int, step: int, place: int) -> int:
    return int(np.random.SeedSequence((seed, step, place)).generate_state(1, np.uint64)[0])
