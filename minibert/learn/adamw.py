"""Exercise: a step of AdamW, and the learning rate with warm-up."""

from collections.abc import Set
from typing import Any

import torch
from torch import Tensor

from minibert.learn.compare import Text, Wrong, expect_cases, expect_parts, expect_tensor
from minibert.training.optimizer import warmup_then_linear

FUNCTIONS = ("adamw_step", "learning_rate")
LESSON = "11"
SOLUTION = "minibert/training/optimizer.py, warmup_then_linear"
HINTS = (
    Text(
        "Five lines: the new mean of the gradient, the new mean of its square, both corrected, the "
        "decay of the weight, the step. Return the means as they are, not corrected.",
        "五行：梯度的新均值、梯度平方的新均值、两者的修正、权重衰减、更新。返回的均值是未修正的。",
    ),
    Text(
        "Both means start at 0, so they are too small at first. After t steps with a constant "
        "gradient g, mean is g (1 - 0.9^t): divide by 1 - 0.9^t, and square by 1 - 0.999^t.",
        "两个均值从 0 开始，所以一开始偏小。梯度恒为 g 时，t 步后 mean 是 g (1 - 0.9^t)："
        "除以 1 - 0.9^t；平方的均值除以 1 - 0.999^t。",
    ),
    Text(
        "weight * (1 - rate * weight_decay) - rate * mean_hat / (square_hat.sqrt() + 1e-8). The "
        "rate: step / warmup up to the peak, then (total - step + 1) / (total - warmup + 1).",
        "weight * (1 - rate * weight_decay) - rate * mean_hat / (square_hat.sqrt() + 1e-8)。"
        "学习率：先 step / warmup 升到顶，再 (total - step + 1) / (total - warmup + 1)。",
    ),
)
RATE, DECAY, BETA1, BETA2, EPS = 0.01, 0.1, 0.9, 0.999, 1e-8
MISTAKES = {
    "no correction": Text(
        "the means are not corrected: divide by 1 - 0.9^step and 1 - 0.999^step.",
        "均值没有修正：应该除以 1 - 0.9^step 和 1 - 0.999^step。",
    ),
    "mean only": Text(
        "only the mean of the gradients is corrected, that of the squares is not.",
        "只修正了梯度的均值，没有修正平方的均值。",
    ),
    "no decay": Text("the weight does not decay.", "没有权重衰减。"),
    "coupled": Text(
        "the decay is added to the gradient: that is Adam with L2. In AdamW it acts on the weight.",
        "衰减加进了梯度里：那是带 L2 的 Adam。AdamW 的衰减直接作用在权重上。",
    ),
    "decay without rate": Text(
        "the decay is not multiplied by the learning rate.", "衰减没有乘学习率。"
    ),
    "up": Text(
        "the weight moves along the gradient; the loss falls the other way (minus).",
        "权重顺着梯度走了；损失下降要反着走（减号）。",
    ),
    "no root": Text(
        "you divided by the mean of the squares instead of its root.",
        "你除以了平方的均值，应该除以它的平方根。",
    ),
}
STATE_MISTAKES = {
    "exchanged betas": Text(
        "0.9 and 0.999 are exchanged: 0.9 is for the gradient.", "0.9 和 0.999 用反了：梯度用 0.9。"
    ),
    "not squared": Text(
        "the second mean is of the gradient, not of its square.", "第二个均值没有对梯度取平方。"
    ),
    "sum": Text(
        "the new value is added in full: mean = 0.9 mean + 0.1 gradient, and likewise 0.001.",
        "新值整个加进去了：应该是 mean = 0.9 mean + 0.1 gradient，平方的是 0.001。",
    ),
    "exchanged weights": Text(
        "old and new are exchanged: 0.9 belongs to the old mean, 0.1 to the gradient.",
        "新旧弄反了：0.9 乘旧的均值，0.1 乘梯度。",
    ),
    "corrected state": Text(
        "the corrected means are returned; the next step needs them uncorrected.",
        "返回的是修正后的均值；下一步需要未修正的。",
    ),
}
RATE_MISTAKES = {
    "no warm-up": Text("there is no warm-up.", "没有预热。"),
    "constant": Text("the rate stays at the peak after the warm-up.", "预热之后学习率没有下降。"),
    "from 0": Text(
        "steps count from 1: the first rate is peak / warmup, not 0.",
        "步数从 1 开始：第一步的学习率是 peak / warmup，不是 0。",
    ),
    "to 0": Text(
        "the rate is 0 at the last step, which then does nothing; it would be 0 one step later.",
        "最后一步的学习率成了 0，这一步就白走了；应该到下一步才是 0。",
    ),
    "over all": Text(
        "the fall is computed over all steps, so the rate jumps after the warm-up; compute it over "
        "the steps after the warm-up.",
        "下降是按全部步数算的，所以预热后会突然跳一下；应该按预热之后的步数算。",
    ),
    "integers": Text(
        "the division drops the fraction: use / instead of //.", "除法丢掉了小数：用 /，不用 //。"
    ),
    "no peak": Text("the rate is not multiplied by the peak.", "没有乘 peak。"),
}


def adamw_step(
    weight: Tensor, gradient: Tensor, state: tuple[Tensor, Tensor], step: int, *, mistakes: Set[str]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the new weight and both means, with these mistakes."""
    beta1, beta2 = (BETA2, BETA1) if "exchanged betas" in mistakes else (BETA1, BETA2)
    if "coupled" in mistakes:
        gradient = gradient + DECAY * weight
    new = gradient, gradient if "not squared" in mistakes else gradient**2
    parts = [(1 - beta1, beta1), (1 - beta2, beta2)]
    if "sum" in mistakes:
        parts = [(1, beta1), (1, beta2)]
    elif "exchanged weights" in mistakes:
        parts = [(beta1, 1 - beta1), (beta2, 1 - beta2)]
    mean, square = (n * a + o * b for n, o, (a, b) in zip(new, state, parts, strict=True))
    mean_hat, square_hat = mean / (1 - beta1**step), square / (1 - beta2**step)
    if "no correction" in mistakes:
        mean_hat = mean
    if {"no correction", "mean only"} & mistakes:
        square_hat = square
    root = square_hat if "no root" in mistakes else square_hat.sqrt()
    change = mean_hat / (root + EPS)
    decay = 0.0 if {"no decay", "coupled"} & mistakes else DECAY
    factor = 1.0 if "decay without rate" in mistakes else RATE
    sign = -1 if "up" in mistakes else 1
    result = weight * (1 - factor * decay) - sign * RATE * change
    if "corrected state" in mistakes:
        return result, mean_hat, square_hat
    return result, mean, square


def learning_rate(step: int, *, peak: float, warmup: int, total: int, mistakes: Set[str]) -> float:
    """Return the learning rate at a step from 1, with these mistakes."""
    peak = 1.0 if "no peak" in mistakes else peak
    step = step - 1 if "from 0" in mistakes else step
    if "integers" in mistakes:
        return peak * (step == warmup)
    if step <= warmup and "no warm-up" not in mistakes:
        return peak * step / warmup
    if "constant" in mistakes:
        return peak
    last = 0 if {"to 0", "from 0"} & mistakes else 1
    if "over all" in mistakes:
        return peak * (total - step + last) / total
    return peak * (total - step + last) / (total - warmup + last)


def check(student: Any) -> None:
    """Compare three steps with `torch.optim.AdamW`, then the learning rate of a run."""
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0, 3.0]))
    optimizer = torch.optim.AdamW([weight], lr=RATE, weight_decay=DECAY)
    state = torch.zeros(3), torch.zeros(3)
    inputs, given, right = [], [], []
    for step, values in enumerate(([2.0, -4.0, 0.1], [1.0, 3.0, -0.2], [1.0, 1.0, 1.0]), 1):
        before, gradient = weight.detach().clone(), torch.tensor(values)
        inputs.append((before, gradient, state, step))
        answer = student.adamw_step(before, gradient, *state, step, RATE, DECAY)
        expect_parts(answer, ("weight", "mean", "square"))
        if isinstance(answer[0], Tensor) and answer[0].isnan().any():
            raise Wrong(
                f"at step {step} the weight is NaN: the correction is 1 - 0.9 ** step, a power.",
                f"第 {step} 步的 weight 是 NaN：修正是 1 - 0.9 ** step，是乘方。",
            )
        weight.grad = gradient.clone()
        optimizer.step()
        own = optimizer.state[weight]
        state = own["exp_avg"].clone(), own["exp_avg_sq"].clone()
        given.append(answer)
        right.append((weight.detach().clone(), *state))
    for part, name, mistakes in (
        (1, "mean", STATE_MISTAKES),
        (2, "square", STATE_MISTAKES),
        (0, "weight", MISTAKES),
    ):
        for answer in given:
            expect_tensor(answer[part], (3,), name)
        expect_cases(
            [answer[part] * 100 for answer in given],  # so that small differences count
            [answer[part] * 100 for answer in right],
            [f"(100 * {name})"] * 3,
            cases=[Text(f"At step {step}", f"第 {step} 步") for step in (1, 2, 3)],
            compute=lambda names, part=part: [  # type: ignore[misc]
                adamw_step(*arguments, mistakes=names)[part] * 100 for arguments in inputs
            ],
            mistakes=mistakes | {"coupled": MISTAKES["coupled"]},
        )
    total, warmup, peak = 10, 4, 2.0
    steps = range(1, total + 1)
    expect_cases(
        [student.learning_rate(step, peak, warmup, total) for step in steps],
        [peak * warmup_then_linear(step, total=total, warmup=warmup) for step in steps],
        [f"learning_rate({step}, peak={peak}, warmup={warmup}, total={total})" for step in steps],
        cases=[
            Text(f"At step {step} of {total}", f"第 {step} 步，共 {total} 步") for step in steps
        ],
        compute=lambda names: [
            learning_rate(step, peak=peak, warmup=warmup, total=total, mistakes=names)
            for step in steps
        ],
        mistakes=RATE_MISTAKES,
    )
