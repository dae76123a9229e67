import torch

from learn_solutions import right, wrong

STEP, RATE = "adamw_step", "learning_rate"


@right
def right_1_of_adamw_step(weight, gradient, mean, square, step, rate, weight_decay):
    mean = 0.9 * mean + 0.1 * gradient
    square = 0.999 * square + 0.001 * gradient**2
    change = mean / (1 - 0.9**step) / ((square / (1 - 0.999**step)).sqrt() + 1e-8)
    return weight - rate * (change + weight_decay * weight), mean, square


@right
def right_2_of_adamw_step(weight, gradient, mean, square, step, rate, weight_decay):
    """As in PyTorch: lerp, and the decay first."""
    mean, square = mean.lerp(gradient, 0.1), square.lerp(gradient * gradient, 0.001)
    root = square.sqrt() / (1 - 0.999**step) ** 0.5
    size = rate / (1 - 0.9**step)
    return weight * (1 - rate * weight_decay) - size * mean / (root + 1e-8), mean, square


@right
def right_3_of_adamw_step(weight, gradient, mean, square, step, rate, weight_decay):
    """A loop over the weights, in Python numbers."""
    rows = []
    for w, g, m, s in zip(*map(torch.Tensor.tolist, (weight, gradient, mean, square)), strict=True):
        m_, s_ = m + (g - m) / 10, s + (g * g - s) / 1000
        change = m_ / (1 - 0.9**step) / ((s_ / (1 - 0.999**step)) ** 0.5 + 1e-8)
        rows.append([w - rate * change - rate * weight_decay * w, m_, s_])
    return torch.tensor(rows).unbind(1)


@right
def right_1_of_learning_rate(step, peak, warmup, total):
    if step <= warmup:
        return peak * step / warmup
    return peak * (total - step + 1) / (total - warmup + 1)


@right
def right_2_of_learning_rate(step, peak, warmup, total):
    return peak * min(step / warmup, (total + 1 - step) / (total + 1 - warmup))


@right
def right_3_of_learning_rate(step, peak, warmup, total):
    rise = [peak * (n + 1) / warmup for n in range(warmup)]
    rates = rise + torch.linspace(peak, 0, total - warmup + 2).tolist()[1:-1]
    return rates[step - 1]


def general(w, g, m, s, step, rate, decay, *, b=(0.9, 0.999), new=(0.1, 0.001), **o):
    m = b[0] * m + new[0] * g
    s = b[1] * s + new[1] * g ** o.get("power", 2)
    m_ = m / (1 - 0.9 ** (step if o.get("first", True) else 99999))
    s_ = s / (1 - 0.999 ** (step if o.get("second", True) else 99999))
    change = m_ / (s_ ** o.get("root", 0.5) + 1e-8)
    return w - rate * change * o.get("sign", 1) - o.get("weight_decay", rate * decay) * w, m, s


@wrong("At step 1: the means are not corrected", of=STEP)
def no_correction(*arguments):
    return general(*arguments, first=False, second=False)


@wrong("at step 2 the weight is NaN: the correction is 1 - 0.9 ** step", of=STEP)
def times_the_step(weight, gradient, mean, square, step, rate, weight_decay):
    _, mean, square = general(weight, gradient, mean, square, step, rate, weight_decay)
    change = mean / (1 - 0.9 * step) / (square / (1 - 0.999 * step)).sqrt()
    return weight - rate * change - rate * weight_decay * weight, mean, square


@wrong("only the mean of the gradients is corrected", of=STEP)
def half_correction(*arguments):
    return general(*arguments, second=False)


@wrong("the weight does not decay", of=STEP)
def no_decay(*arguments):
    return general(*arguments, weight_decay=0.0)


@wrong("that is Adam with L2", of=STEP)
def coupled(weight, gradient, mean, square, step, rate, weight_decay):
    gradient = gradient + weight_decay * weight
    return general(weight, gradient, mean, square, step, rate, 0.0)


@wrong("the decay is not multiplied by the learning rate", of=STEP)
def strong_decay(*arguments):
    return general(*arguments, weight_decay=arguments[-1])


@wrong("the loss falls the other way", of=STEP)
def ascent(*arguments):
    return general(*arguments, sign=-1)


@wrong("instead of its root", of=STEP)
def no_root(*arguments):
    return general(*arguments, root=1)


@wrong("0.9 and 0.999 are exchanged", of=STEP)
def exchanged_betas(*arguments):
    return general(*arguments, b=(0.999, 0.9), new=(0.001, 0.1))


@wrong("not of its square", of=STEP)
def not_squared(weight, gradient, *rest):
    _, mean, square = general(weight, gradient, *rest, power=1)
    return weight, mean, square


@wrong("the new value is added in full", of=STEP)
def added_in_full(*arguments):
    return general(*arguments, new=(1, 1))


@wrong("0.9 belongs to the old mean", of=STEP)
def exchanged_parts(*arguments):
    return general(*arguments, b=(0.1, 0.001), new=(0.9, 0.999))


@wrong("the next step needs them uncorrected", of=STEP)
def corrected_state(*arguments):
    weight, mean, square = general(*arguments)
    step = arguments[4]
    return weight, mean / (1 - 0.9**step), square / (1 - 0.999**step)


@wrong("return the 3 values weight, mean, square", of=STEP)
def weight_alone(*arguments):
    return general(*arguments)[0]


@wrong("changes its input", of=STEP)
def in_place(weight, *rest):
    new, mean, square = general(weight, *rest)
    return weight.copy_(new), mean, square


@wrong("there is no warm-up", of=RATE)
def no_warm_up(step, peak, warmup, total):
    return peak * (total - step + 1) / (total - warmup + 1)


@wrong("stays at the peak", of=RATE)
def constant(step, peak, warmup, total):
    return peak * min(1, step / warmup)


@wrong("steps count from 1", of=RATE)
def from_zero(step, peak, warmup, total):
    return right_1_of_learning_rate(step - 1, peak, warmup, total - 1)


@wrong("the rate is 0 at the last step", of=RATE)
def to_zero(step, peak, warmup, total):
    return peak * min(step / warmup, (total - step) / (total - warmup))


@wrong("the rate jumps after the warm-up", of=RATE)
def over_all(step, peak, warmup, total):
    return peak * step / warmup if step <= warmup else peak * (total - step) / total


@wrong("not multiplied by the peak", of=RATE)
def share(step, peak, warmup, total):
    return right_1_of_learning_rate(step, 1.0, warmup, total)


@wrong("use / instead of //", of=RATE)
def integer_division(step, peak, warmup, total):
    if step <= warmup:
        return peak * (step // warmup)
    return peak * ((total - step + 1) // (total - warmup + 1))


@wrong(
    "At step 5 of 10: `learning_rate(5, peak=2.0, warmup=4, total=10)` is 0.0, and 1.714", of=RATE
)
def nothing_after_warm_up(step, peak, warmup, total):
    return peak * step / warmup if step <= warmup else 0.0
