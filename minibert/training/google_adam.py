"""Adam as in Google's code: without bias correction.

`torch.optim.AdamW` trains by default: it corrects the bias and is faster. `optimizer="google"` in
the settings chooses this optimizer, to repeat Google's numbers.

Source: `AdamWeightDecayOptimizer` in google-research/bert, `optimization.py`.
"""

from collections.abc import Iterable
from typing import Any

import torch


class GoogleAdam(torch.optim.Optimizer):
    """Adam without bias correction, with decoupled weight decay.

        m = 0.9 m + 0.1 g        v = 0.999 v + 0.001 g^2
        w = w - lr (m / (sqrt(v) + 1e-6) + weight_decay w)

    Both averages start at 0. With a constant gradient the steps are therefore too long at first:
    3.2, 6.5, 3.2 and 1.3 times `lr` at steps 1, 10, 100 and 1,000. Warm-up hides this.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float) -> None:
        defaults = {"lr": lr, "betas": (0.9, 0.999), "eps": 1e-6, "weight_decay": 0.0}
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["exp_avg"] = torch.zeros_like(weight)
                    state["exp_avg_sq"] = torch.zeros_like(weight)
                m, v = state["exp_avg"], state["exp_avg_sq"]
                m.lerp_(weight.grad, 1 - beta1)
                v.lerp_(weight.grad.square(), 1 - beta2)
                update = m / (v.sqrt() + group["eps"]) + group["weight_decay"] * weight
                weight.sub_(group["lr"] * update)
