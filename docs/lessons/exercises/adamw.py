"""Exercise: a step of AdamW, and the learning rate with warm-up (Loshchilov & Hutter 2019).

    mean   = 0.9 mean + 0.1 gradient              square = 0.999 square + 0.001 gradient^2
    mean^  = mean / (1 - 0.9^step)                square^ = square / (1 - 0.999^step)
    weight = weight - rate (mean^ / (sqrt(square^) + 1e-8) + weight_decay weight)

By hand, at step 1 with the gradient 2, both means 0, rate 0.01, weight 1, weight_decay 0.1: mean is
0.2 and square 0.004. Corrected they are 2 and 4, so their quotient is 2 / sqrt(4) = 1, and weight
becomes 1 - 0.01 (1 + 0.1) = 0.989. The first step has the size of the rate, however large the
gradient is. That is one reason for the warm-up: the rate rises to its peak in `warmup` steps, then
it falls in a straight line, and would be 0 one step after the last.

By hand, with peak 1, warmup 2 and total 4, the rates of the steps 1 to 4 are 1/2, 1, 2/3, 1/3.

中文：写出 AdamW 的一步（公式见上）和带预热的学习率。手算：第 1 步，梯度 2，两个均值都是 0，rate
0.01，weight 1，weight_decay 0.1：mean 是 0.2，square 是 0.004；修正后是 2 和 4，比值 2 / sqrt(4)
= 1，weight 变成 1 - 0.01 (1 + 0.1) = 0.989。不管梯度多大，第一步的大小都等于学习率，这就是要预热
的原因之一：学习率用 warmup 步升到 peak，然后直线下降，到最后一步的下一步才是 0。peak 1、warmup
2、total 4 时，第 1 到 4 步是 1/2、1、2/3、1/3。

adamw_step 返回新的 weight、mean、square（后两个是未修正的），不改动输入；step 从 1 开始。
learning_rate 返回第 step 步的学习率，step 从 1 到 total。

    minibert learn check adamw
"""

from torch import Tensor


def adamw_step(  # noqa: PLR0917 - as the formula needs them
    weight: Tensor,
    gradient: Tensor,
    mean: Tensor,
    square: Tensor,
    step: int,
    rate: float,
    weight_decay: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the new weight, mean and square, without changing the input; step is 1, 2, ..."""
    raise NotImplementedError  # about 6 lines


def learning_rate(step: int, peak: float, warmup: int, total: int) -> float:
    """Return the learning rate of a step, which is 1 to total."""
    raise NotImplementedError  # about 3 lines
