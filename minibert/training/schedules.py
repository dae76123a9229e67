"""Learning-rate schedules by name: linear, cosine, constant and slanted triangular.

Each rises for the same `warmup` updates and returns the share of the peak at update `step`, from 1
to `total`. It is a function of the step alone, so a resumed run continues exactly.
"""

import math
from collections.abc import Callable

from minibert.training.optimizer import warmup_then_linear

SLANTED_RATIO = 32  # the peak over the lowest rate; the value of Howard & Ruder 2018


def warmup_then_cosine(step: int, *, total: int, warmup: int) -> float:
    """Return the share of the peak: linear rise, then half a cosine down to 0.

    It stays near the peak for longer than a line and then falls faster (Loshchilov & Hutter 2017,
    without restarts).

    Example:
        >>> [round(warmup_then_cosine(step, total=4, warmup=1), 3) for step in (1, 2, 3, 4)]
        [1.0, 0.854, 0.5, 0.146]
    """
    if step <= warmup:
        return step / warmup
    return (1 - math.cos(math.pi * warmup_then_linear(step, total=total, warmup=warmup))) / 2


def warmup_then_constant(step: int, *, total: int, warmup: int) -> float:
    """Return the share of the peak: linear rise, then the peak to the end.

    Example:
        >>> [warmup_then_constant(step, total=4, warmup=2) for step in (1, 2, 3, 4)]
        [0.5, 1.0, 1.0, 1.0]
    """
    return min(1.0, step / warmup)


def slanted_triangular(step: int, *, total: int, warmup: int) -> float:
    """Return the share of the peak: from 1/32 up to the peak, then down to 1/32 again.

    Source: Howard & Ruder 2018, equation 3; their `cut_frac` of 0.1 is the default warm-up. It is
    the linear schedule on a floor of 1/32.

    Example:
        >>> [32 * slanted_triangular(step, total=4, warmup=3) for step in (3, 4, 5)]
        [32.0, 16.5, 1.0]
    """
    share = warmup_then_linear(step, total=total, warmup=warmup)
    return (1 + share * (SLANTED_RATIO - 1)) / SLANTED_RATIO


# By the name that `TrainingSettings.schedule` has.
SCHEDULES: dict[str, Callable[..., float]] = {
    "linear": warmup_then_linear,
    "cosine": warmup_then_cosine,
    "constant": warmup_then_constant,
    "slanted": slanted_triangular,
}


class LearningRateSchedule:
    """A schedule over epochs that can differ by a few updates.

    The position is given in epochs and converted to steps as if all epochs were like the first, so
    the learning rate ends where the schedule ends in any case.

    Args:
        kind: one of `SCHEDULES`.
        epochs: of the run.
        steps_per_epoch: updates in its first epoch.
        warmup_ratio: the share of all updates in which the learning rate rises.
    """

    def __init__(
        self, kind: str, *, epochs: int, steps_per_epoch: int, warmup_ratio: float
    ) -> None:
        self.share_of_peak = SCHEDULES[kind]
        self.steps_per_epoch, self.total = steps_per_epoch, epochs * steps_per_epoch
        self.warmup = max(1, round(warmup_ratio * self.total))

    def factor(self, epochs_done: float, *, skipped: int = 0) -> float:
        """Return the share of the peak for the next update; skipped updates do not count."""
        step = round(epochs_done * self.steps_per_epoch) - skipped + 1
        return self.share_of_peak(step, total=self.total, warmup=self.warmup)
