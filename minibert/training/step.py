"""One update of the weights, from the gradients of one or several batches.

A window of batches is one big batch cut into pieces that fit into memory. Each loss is a sum,
divided by the count of the *whole* window, so the pieces' gradients add up to the big batch's
gradient, whatever the pieces hold. (The mean of the pieces' means would not do: pieces hold unequal
numbers of labels.)
"""

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch

from minibert.data.batches import Batch
from minibert.model.checks import check_inputs
from minibert.model.losses import count_labels
from minibert.model.pretrained import PretrainedModel
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


def update(
    run: Run, window: list[Batch], step: int, stop: StopRequest
) -> tuple[float, float] | None:
    """One step from the gradients of a window of batches.

    Each loss is a sum, divided by the count of the *whole* window, so that many small batches give
    the gradient of one big one.

    Returns:
        The loss, and the norm of the gradients before clipping; None if a signal came in between,
        and then nothing has changed.
    """
    counts: Counter[str] = Counter()
    for batch in window:
        counts.update(count_labels(batch))
    run.optimizer.zero_grad()
    loss_value = 0.0
    for index, batch in enumerate(window):
        if stop.signal is not None:
            return None
        torch.manual_seed(_dropout_seed(run.settings.seed, step, index))
        if run.device.type != "cpu":  # where the model itself can look at the values no more
            check_inputs(run.model.config, **{n: t for n, t in batch.items() if n in INPUTS})
        moved = {name: tensor.to(run.device, non_blocking=True) for name, tensor in batch.items()}
        reduced = run.precision != torch.float32
        with torch.autocast(run.device.type, run.precision, enabled=reduced):
            terms = run.model(**moved).loss_terms
        loss = sum(term.total / max(counts[name], 1) for name, term in terms.items())
        run.scaler.scale(loss).backward()
        loss_value += loss.item()
    run.scaler.unscale_(run.optimizer)
    limit = run.settings.maximum_gradient_norm
    norm = torch.nn.utils.clip_grad_norm_(run.model.parameters(), limit).item()
    if math.isfinite(norm) or run.scaler.is_enabled():
        run.scaler.step(run.optimizer)  # which leaves the step out if a gradient is not finite
        run.scaler.update()
    return loss_value, norm


def _dropout_seed(seed: int, step: int, index: int) -> int:
    return int(np.random.SeedSequence((seed, step, index)).generate_state(1, np.uint64)[0])
