"""A learning-rate finder: the loss over a few updates with a learning rate that keeps rising.

Too low a rate changes nothing, a good one lets the loss fall, and too high a one makes it rise
again. The rate at the lowest loss is already too high to go on with. A third of it is a start: with
two seeds on SST-2 and MRPC, that is 0.1 to 3 times the default rate for `weights/tiny` and
`weights/mini`.

Source: Smith 2017, section 3.3 ("LR range test"); the form with exponential growth is fastai's.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice

import torch
from torch.nn.utils import clip_grad_norm_

from minibert.data.sampler import Batch
from minibert.errors import MiniBertError
from minibert.model.pretrained import PretrainedModel
from minibert.training.gradient_accumulation import Batches, ComputeLoss, compute_loss, to_device
from minibert.training.optimizer import make_optimizer, set_learning_rate
from minibert.training.parameter_groups import parameter_groups
from minibert.training.settings import TrainingSettings, choose_precision

LOWEST, HIGHEST = 1e-6, 1e-1  # learning rates
SMOOTHING = 0.9  # of the running mean of the losses
DIVERGED = 1.5  # times the lowest smoothed loss, after which nothing more can be learned
BELOW_LOWEST_LOSS = 3  # how many times lower than that of the lowest loss the suggestion is
MIN_UPDATES = 10  # before these, the running mean is noise


@dataclass(frozen=True)
class LearningRateTest:
    """The learning rate of each update, its loss, the smoothed loss, and the suggested rate."""

    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    suggestion: float


def find_learning_rate(
    model: PretrainedModel,
    batches: Batches,
    settings: TrainingSettings,
    *,
    device: torch.device,
    loss_of_batch: ComputeLoss = compute_loss,
    updates: int = 100,
) -> LearningRateTest:
    """Train for a few updates with an exponentially rising learning rate, and undo them.

    Args:
        model: has its weights back afterwards.
        batches: the training data, repeated if it is short.
        settings: those of the training to come.
        device: where to compute.
        loss_of_batch: as for `train`.
        updates: from `LOWEST` to `HIGHEST`; fewer if the loss diverges before.

    Raises:
        MiniBertError: the loss is not finite from the first update on.
    """
    model.to(device)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    groups = parameter_groups(model, settings)
    optimizer = make_optimizer(
        groups, learning_rate=settings.learning_rate, kind=settings.optimizer
    )
    parameters = [weight for group in groups for weight in group["params"]]
    precision = choose_precision(settings.precision, device)
    accumulation = settings.gradient_accumulation_steps
    rates: list[float] = []
    losses: list[float] = []
    smoothed: list[float] = []
    average, source = 0.0, _repeat(batches)
    torch.manual_seed(settings.seed)
    model.train()
    for update in range(updates):
        rate = LOWEST * (HIGHEST / LOWEST) ** (update / max(updates - 1, 1))
        set_learning_rate(optimizer, rate / settings.learning_rate)
        optimizer.zero_grad()
        total = 0.0
        for batch in islice(source, accumulation):
            inputs = to_device(batch, model, device)
            with torch.autocast(device.type, precision, enabled=precision != torch.float32):
                terms = loss_of_batch(model, inputs)
            loss = torch.stack([term.mean() for term in terms.values()]).sum() / accumulation
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        average = SMOOTHING * average + (1 - SMOOTHING) * total
        corrected = average / (1 - SMOOTHING ** (update + 1))  # the average starts at 0
        diverged = update > MIN_UPDATES and corrected > DIVERGED * min(smoothed)
        if diverged or not math.isfinite(total):
            break
        rates.append(rate)
        losses.append(total)
        smoothed.append(corrected)
        clip_grad_norm_(parameters, settings.max_grad_norm)
        optimizer.step()
    model.load_state_dict(before)
    if not rates:
        raise MiniBertError("the loss is not finite, so no learning rate can be suggested.")
    best = min(range(min(MIN_UPDATES, len(rates) - 1), len(rates)), key=smoothed.__getitem__)
    return LearningRateTest(rates, losses, smoothed, rates[best] / BELOW_LOWEST_LOSS)


def _repeat(batches: Batches) -> Iterator[Batch]:
    for epoch in count():
        yield from batches.epoch(epoch)
