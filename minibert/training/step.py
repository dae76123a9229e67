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

from minibert.model.checks import check_inputs
from minibert.model.pretrained import PretrainedModel
from minibert.training.distributed import Processes
from minibert.training.interrupts import StopRequest
from minibert.training.settings import TrainingSettings
from minibert.training.windows import Window

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
    loss_value = 0.0
    for place, batch in window.batches.items():
        if stop.signal is not None:
            break
        torch.manual_seed(_dropout_seed(run.settings.seed, step, place))
        if run.device.type != "cpu":  # where the model itself can look at the values no more
            check_inputs(run.model.config, **{n: t for n, t in batch.items() if n in INPUTS})
        moved = {name: tensor.to(run.device, non_blocking=True) for name, tensor in batch.items()}
        reduced = run.precision != torch.float32
        with torch.autocast(run.device.type, run.precision, enabled=reduced):
            terms = run.model(**moved).loss_terms
        loss = sum(term.total / max(window.labels[name], 1) for name, term in terms.items())
        run.scaler.scale(loss).backward()
        loss_value += loss.item()
    loss_value = _add_up(run, loss_value, stop)
    # From here on all processes have the same gradients, and so do the same: they clip alike, and
    # a gradient that is not finite makes all of them leave the step out and change their scale.
    run.scaler.unscale_(run.optimizer)
    limit = run.settings.maximum_gradient_norm
    norm = torch.nn.utils.clip_grad_norm_(run.model.parameters(), limit).item()
    if math.isfinite(norm) or run.scaler.is_enabled():
        run.scaler.step(run.optimizer)  # which leaves the step out if a gradient is not finite
        run.scaler.update()
    return loss_value, norm


def _add_up(run: Run, loss: float, stop: StopRequest) -> float:
    """Sum the loss and the gradients over the processes: sums, since the counts are in already."""
    trained = [parameter for parameter in run.model.parameters() if parameter.requires_grad]
    held = [parameter.grad is not None for parameter in trained]
    loss, *holders = stop.agree(run.processes, [loss, *held])
    # A parameter that no batch of any process has used keeps no gradient: the optimizer must leave
    # it alone. One that others have used gets zeros here.
    used = [parameter for parameter, number in zip(trained, holders, strict=True) if number]
    for parameter in used:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    run.processes.sum_(parameter.grad for parameter in used if parameter.grad is not None)
    return loss


def _dropout_seed(seed: int, step: int, place: int) -> int:
    return int(np.random.SeedSequence((seed, step, place)).generate_state(1, np.uint64)[0])
