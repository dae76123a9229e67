import torch

from learn_solutions import right, wrong


@right
def right_1(starts, ends, first, last, max_length):
    best, found = -float("inf"), None
    for start in range(first, last + 1):
        for end in range(start, min(last, start + max_length - 1) + 1):
            if starts[start] + ends[end] > best:
                best, found = starts[start] + ends[end], (start, end)
    return found


@right
def right_2(starts, ends, first, last, max_length):
    """A matrix of all sums."""
    scores = starts[:, None] + ends
    allowed = torch.ones_like(scores).triu().tril(max_length - 1).bool()
    allowed[:first], allowed[:, last + 1 :] = False, False
    best = scores.masked_fill(~allowed, -1e9).argmax()
    return best // len(starts), best % len(starts)


@right
def right_3(starts, ends, first, last, max_length):
    """By the product of probabilities."""
    p, q = starts.softmax(0), ends.softmax(0)
    lengths = range(max_length)
    pairs = [(s, s + n) for s in range(first, last + 1) for n in lengths if s + n <= last]
    return list(max(pairs, key=lambda pair: float(p[pair[0]] * q[pair[1]])))


def general(starts, ends, first, last, max_length, *, shortest=0, operation=torch.add):
    pairs = [
        (s, e)
        for s in range(first, last + 1)
        for e in range(s + shortest, min(last, s + max_length - 1) + 1)
    ]
    return max(
        pairs, key=lambda pair: float(operation(starts[pair[0]], ends[pair[1]])), default=(-1, -1)
    )


@wrong("the end can come before the start")
def apart(starts, ends, first, last, max_length):
    inside = slice(first, last + 1)
    return int(starts[inside].argmax()) + first, int(ends[inside].argmax()) + first


@wrong("another start with its end can have the higher sum")
def start_first(starts, ends, first, last, max_length):
    start = int(starts[first : last + 1].argmax()) + first
    return start, int(ends[start : min(last + 1, start + max_length)].argmax()) + start


@wrong("the answer may lie in the question")
def anywhere(starts, ends, first, last, max_length):
    return general(starts, ends, 0, len(starts) - 1, max_length)


@wrong("`last` is inclusive")
def without_last(starts, ends, first, last, max_length):
    return general(starts, ends, first, last - 1, max_length)


@wrong("longer than max_length tokens")
def too_long(starts, ends, first, last, max_length):
    return general(starts, ends, first, last, 99)


@wrong("may have max_length + 1 tokens")
def one_more(starts, ends, first, last, max_length):
    return general(starts, ends, first, last, max_length + 1)


@wrong("the best sum starts at -inf")
def from_zero(starts, ends, *rest):
    start, end = general(starts, ends, *rest)
    return (start, end) if starts[start] + ends[end] > 0 else (rest[0], rest[0])


@wrong("you multiply the logits")
def product(*arguments):
    return general(*arguments, operation=torch.mul)


@wrong("at most max_length - 1 tokens")
def one_less(starts, ends, first, last, max_length):
    if max_length == 1:
        return right_1(starts, ends, first, last, 1)
    return general(starts, ends, first, last, max_length - 1)


@wrong("an answer of one token (start = end) is never found")
def no_single(*arguments):
    return general(*arguments, shortest=1)


@wrong("the end is one too far")
def exclusive(*arguments):
    start, end = general(*arguments)
    return start, end + 1


@wrong("the positions count from `first`")
def relative(starts, ends, first, last, max_length):
    start, end = general(starts, ends, first, last, max_length)
    return start - first, end - first


@wrong("the answer may lie in the question or on [SEP]; only first to last are allowed. Also, an")
def two_mistakes(starts, ends, first, last, max_length):
    return general(starts, ends, 0, len(starts) - 1, 99)


@wrong("return the 2 positions start, end")
def with_score(*arguments):
    return (*general(*arguments), 1.0)
