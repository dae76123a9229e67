"""From gradients to weights: decay groups, AdamW, and the learning-rate schedule.

Source: Devlin et al. 2018, appendix A.2; Google's `optimization.py`; Loshchilov & Hutter 2019
(AdamW).
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from minibert.errors import MiniBertError
from minibert.training.google_adam import GoogleAdam

GROUP_KEYS = ("params", "lr", "weight_decay", "betas", "eps")


def decay_groups(model: nn.Module, *, weight_decay: float) -> list[dict[str, Any]]:
    """Return two parameter groups: matrices with weight decay, biases and LayerNorm without.

    Decay pulls weights towards 0. For a matrix that is regularization; for a bias or the scale of a
    LayerNorm it would change what the layer computes. Frozen parameters are left out.

    Example:
        >>> [group["weight_decay"] for group in decay_groups(nn.Linear(2, 2), weight_decay=0.01)]
        [0.01, 0.0]
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
    ]


def make_optimizer(
    groups: Iterable[Mapping[str, Any]], *, learning_rate: float, kind: str = "adamw"
) -> torch.optim.Optimizer:
    """Return PyTorch's fused AdamW, or Google's Adam.

    Args:
        groups: from `decay_groups`. A misspelled key is refused: PyTorch would ignore it silently
            and use its default, so with "weight_decay_rate" biases would decay.
        learning_rate: the peak of the schedule.
        kind: "adamw" or "google".
    """
    filled = [dict(group) for group in groups if group["params"]]
    for key in (key for group in filled for key in group if key not in GROUP_KEYS):
        close = difflib.get_close_matches(key, GROUP_KEYS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known keys are {GROUP_KEYS}."
        raise MiniBertError(f"a parameter group has the unknown key {key!r}; {hint}")
    if kind == "google":
        return GoogleAdam(filled, lr=learning_rate)
    if kind != "adamw":
        raise MiniBertError(f"the optimizer is {kind!r}; choose 'adamw' or 'google'.")
    return torch.optim.AdamW(filled, lr=learning_rate, fused=True)


def warmup_then_linear(step: int, *, total: int, warmup: int) -> float:
    """Return the share of the peak learning rate at an update: linear rise, then linear fall to 0.

    The default; `schedules.py` has the others.

    Args:
        step: the number of the update, from 1.
        total: the number of updates of the run.
        warmup: the updates of the rise.

    Example:
        >>> [warmup_then_linear(step, total=4, warmup=2) for step in (1, 2, 3, 4)]
        [0.5, 1.0, 0.6666666666666666, 0.3333333333333333]
    """
    if step <= warmup:
        return step / warmup
    return max(0.0, (total - step + 1) / (total - warmup + 1))


def set_learning_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set each group to `factor` times its initial learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor
