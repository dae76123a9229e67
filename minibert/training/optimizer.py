"""What turns gradients into weights: groups with and without decay, AdamW, Google's Adam, the
rate's course.

Source: Devlin et al. 2018, appendix A.2; Google's `optimization.py`; Loshchilov & Hutter 2019
(AdamW).
"""

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from minibert.errors import MiniBertError

GROUP_KEYS = ("params", "lr", "weight_decay", "betas", "eps")


def decay_groups(model: nn.Module, *, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups: matrices and tables shrink a little at each step, biases and LayerNorm do not.

    A bias or a norm's scale that is pulled to 0 changes what the layer computes; a smaller matrix
    is only a smoother one. Frozen parameters are left out.

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
    """AdamW over parameter groups, in one kernel.

    Args:
        groups: as `decay_groups` gives them. A misspelt key is refused: PyTorch would keep it
            without a word and use its own default ("weight_decay_rate" is how many a bias came to
            decay).
        learning_rate: the highest rate; `set_learning_rate` follows its course.
        kind: "adamw", or "google" for the optimizer of Google's code.

    Raises:
        MiniBertError: a group has an unknown key, or the kind is unknown.
    """
    checked = [dict(group) for group in groups]
    for group in checked:
        for key in group:
            if key not in GROUP_KEYS:
                close = difflib.get_close_matches(key, GROUP_KEYS, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"it may have {GROUP_KEYS}."
                raise MiniBertError(f"a parameter group has the unknown key {key!r}; {hint}")
    # A group of no parameters (a model without a bias) is nothing to step.
    checked = [group for group in checked if group["params"]]
    if kind == "google":
        return GoogleAdam(checked, lr=learning_rate)
    if kind != "adamw":
        raise MiniBertError(f"the optimizer is {kind!r}; choose 'adamw' or 'google'.")
    return torch.optim.AdamW(checked, lr=learning_rate, fused=True)


class GoogleAdam(torch.optim.Optimizer):
    """`AdamWeightDecayOptimizer` of Google's code: Adam **without bias correction**, decay apart.

        m = 0.9 m + 0.1 g        v = 0.999 v + 0.001 g^2
        w = w - rate (m / (sqrt(v) + 1e-6) + decay w)

    Both averages start at 0, so with a steady gradient the first steps are too long: 3.2, 6.5, 3.2
    and 1.3 times the rate at steps 1, 10, 100 and 1,000. Warm-up hides it.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Change every weight that has a gradient."""
        loss = None if closure is None else closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._update(weight, weight.grad, group)
        return loss

    def _update(self, weight: Tensor, gradient: Tensor, group: Mapping[str, Any]) -> None:
        state = self.state[weight]
        if not state:
            state["exp_avg"] = torch.zeros_like(weight)
            state["exp_avg_sq"] = torch.zeros_like(weight)
        first, second = group["betas"]
        state["exp_avg"].lerp_(gradient, 1 - first)
        state["exp_avg_sq"].lerp_(gradient.square(), 1 - second)
        update = state["exp_avg"] / (state["exp_avg_sq"].sqrt() + group["eps"])
        weight.sub_(group["lr"] * (update + group["weight_decay"] * weight))


def warmup_then_linear(step: int, *, total: int, warmup: int) -> float:
    """The share of the highest rate at an update: up during warm-up, then straight down to 0.

    Args:
        step: the number of the update, from 1.
        total: how many updates there will be.
        warmup: how many of them warm up.

    Example:
        >>> [warmup_then_linear(step, total=4, warmup=2) for step in (1, 2, 3, 4)]
        [0.5, 1.0, 0.6666666666666666, 0.3333333333333333]
    """
    if step <= warmup:
        return step / warmup
    return max(0.0, (total - step + 1) / (total - warmup + 1))


def google_warmup_then_linear(step: int, *, total: int, warmup: int) -> float:
    """The course in Google's code: the way down is that of a run without warm-up."""
    if step < warmup:
        return step / warmup
    return max(0.0, 1 - step / total)


def set_learning_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Give each group `factor` times the rate that it started with."""
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor
