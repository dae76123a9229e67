"""Exercise: attention, for several heads at once and with a mask."""

import math
from collections.abc import Set
from typing import Any

import torch
from torch import Tensor

from minibert.learn.compare import Text, Wrong, expect, expect_parts, expect_tensor, same
from minibert.model.attention import eager_attention

FUNCTIONS = ("attention",)
LESSON = "06"
SOLUTION = "minibert/model/attention.py, eager_attention"
HINTS = (
    Text(
        "Four lines: scores, mask, softmax, average. Take the table of lesson 06 and write each of "
        "its steps as an operation on whole tensors.",
        "一共四行：算分数、加掩码、softmax、求平均。把第 06 课表格里的每一步写成整个张量的运算。",
    ),
    Text(
        "key.transpose(-1, -2) makes all dot products one matrix product, (B, H, S, S). Row = the "
        "token that looks, column = the token that is looked at. What is hidden are columns.",
        "key.transpose(-1, -2) 把所有点积变成一次矩阵乘法，得到 (B, H, S, S)："
        "行是“看的词元”，列是“被看的词元”。要遮住的是列。",
    ),
    Text(
        "scores = query @ key.transpose(-1, -2) / math.sqrt(D); where the mask is False, "
        "scores.masked_fill(~attention_mask, -inf); then softmax over dim=-1, and @ value. (A row "
        "of -inf alone would be NaN. Hence the lowest finite number in the package.)",
        "scores = query @ key.transpose(-1, -2) / math.sqrt(D)；掩码为 False 的地方用 "
        "scores.masked_fill(~attention_mask, -inf)；然后在 dim=-1 上 softmax，再 @ value。"
        "（一整行都是 -inf 会得到 NaN，所以软件包里用的是最小的有限数。）",
    ),
)

MISTAKES = {
    "unscaled": Text(
        "the scores are not divided by sqrt(D), D = query.shape[-1].",
        "分数没有除以 sqrt(D)，D = query.shape[-1]。",
    ),
    "by D": Text("you divided by D instead of its square root.", "你除以了 D，应该除以 sqrt(D)。"),
    "by S": Text(
        "you divided by sqrt(S), the number of tokens; D is the width of a query.",
        "你除的是 sqrt(S)，即词元个数的平方根；D 是查询向量的宽度。",
    ),
    "by value": Text(
        "you divided by the root of the width of a value; D is the width of a query.",
        "你除的是值的宽度的平方根；D 是查询向量的宽度。",
    ),
    "times": Text(
        "you multiplied the scores by sqrt(D) instead of dividing.",
        "你把分数乘了 sqrt(D)，应该除以它。",
    ),
    "axis": Text(
        "your rows add up to 1 over the wrong axis: softmax over the keys is dim=-1.",
        "softmax 的方向错了，加起来等于 1 的不是行：对键做 softmax 是 dim=-1。",
    ),
    "heads axis": Text(
        "your softmax is over the heads (dim=1): over the keys it is dim=-1.",
        "你在头的方向 (dim=1) 做了 softmax；对键做 softmax 是 dim=-1。",
    ),
    "after": Text(
        "you divide by sqrt(D) after the softmax; divide the scores.",
        "你在 softmax 之后才除以 sqrt(D)；应该除分数。",
    ),
    "causal": Text(
        "later tokens are hidden, as in GPT; in BERT every token looks at both sides.",
        "后面的词元被遮住了，那是 GPT；BERT 里每个词元两边都看。",
    ),
    "whole": Text(
        "your softmax is over the whole matrix; each row has its own sum (dim=-1).",
        "你对整个矩阵做了 softmax；应该每一行各算各的 (dim=-1)。",
    ),
    "swapped": Text(
        "query and key are exchanged: rows belong to queries, columns to keys.",
        "查询和键写反了：行属于查询，列属于键。",
    ),
    "no softmax": Text("these are scores: the softmax is missing.", "这还是分数：缺少 softmax。"),
}
MASK_MISTAKES = {
    "ignored": Text("the mask is not used.", "没有用到掩码。"),
    "late": Text(
        "the mask is applied after the softmax, when padding has taken its share: your rows add up "
        "to less than 1. Change the scores instead.",
        "掩码加在了 softmax 之后，填充已经分走了一部分，行的和小于 1。应该改 softmax 之前的分数。",
    ),
    "inverted": Text(
        "the mask is used the wrong way round: True means 'may be looked at'.",
        "掩码用反了：True 表示“可以看”。",
    ),
    "zero score": Text(
        "you set the scores of padding to 0, and e to the power of 0 is 1. Set them to -inf.",
        "你把填充的分数设成了 0，而 e 的 0 次方是 1。应该设成 -inf。",
    ),
    "added": Text(
        "you added the mask to the scores as 0 and 1; add 0 and -inf, or use masked_fill.",
        "你把掩码当作 0 和 1 加到了分数上；应该加 0 和 -inf，或者用 masked_fill。",
    ),
    "rows": Text(
        "you masked rows instead of columns: padding must not be looked at, so hide it as key.",
        "你遮住的是行，不是列：填充不能“被看”，所以要遮住它的键。",
    ),
}
VALUE_MISTAKES = {
    "transposed": Text(
        "the probabilities are transposed before they meet the values.",
        "概率矩阵在乘值之前被转置了。",
    ),
    "key": Text("you averaged the keys instead of the values.", "你平均的是键，应该平均值。"),
}


def attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, *, mistakes: Set[str]
) -> tuple[Tensor, Tensor]:
    """Return the context and the probabilities as the formula says, with these mistakes."""
    if "swapped" in mistakes:
        query, key = key, query
    width, count = query.shape[-1], query.shape[-2]
    scale = math.sqrt(width)
    scale = 1.0 if {"unscaled", "after"} & mistakes else width if "by D" in mistakes else scale
    scale = math.sqrt(count) if "by S" in mistakes else scale
    scale = math.sqrt(value.shape[-1]) if "by value" in mistakes else scale
    scale = 1 / scale if "times" in mistakes else scale
    scores = query @ key.transpose(-1, -2) / scale
    if "causal" in mistakes:
        scores = scores.masked_fill(torch.ones(scores.shape[-2:]).triu(1).bool(), -math.inf)
    hidden = None if mask is None or "ignored" in mistakes else ~mask
    if hidden is not None:
        hidden = ~hidden if "inverted" in mistakes else hidden
        hidden = hidden.transpose(-1, -2) if "rows" in mistakes else hidden
        if "added" in mistakes:
            scores = scores + ~hidden
        elif "late" not in mistakes:
            filled = 0.0 if "zero score" in mistakes else torch.finfo(scores.dtype).min
            scores = scores.masked_fill(hidden, filled)
    axis = -2 if "axis" in mistakes else 1 if "heads axis" in mistakes else -1
    probabilities = scores if "no softmax" in mistakes else scores.softmax(axis)
    if "whole" in mistakes:
        probabilities = scores.flatten(-2).softmax(-1).view(scores.shape)
    probabilities = probabilities / width**0.5 if "after" in mistakes else probabilities
    if hidden is not None and "late" in mistakes:
        probabilities = probabilities.masked_fill(hidden, 0.0)
    weights = probabilities.transpose(-1, -2) if "transposed" in mistakes else probabilities
    return weights @ (key if "key" in mistakes else value), probabilities


def check(student: Any) -> None:
    """Compare with the example of lesson 06, then with heads and a batch, then with padding."""
    query = torch.tensor([[0.0, 0, 2, 0], [2, 1, 0, 1], [0, 0, 0, 0]])[None, None]
    key = torch.tensor([[0.0, 1, 0, 1], [0, 0, 1, 0], [2, 0, 0, 0]])[None, None]
    value = torch.tensor([[0.0, 10], [0, 0], [10, 0]])[None, None]
    case = Text("In the example of lesson 06", "在第 06 课的例子里")
    _compare(student, (query, key, value, None), MISTAKES, case)

    generator = torch.Generator().manual_seed(0)
    query, key, value = torch.randn(3, 2, 3, 5, 8, generator=generator)  # B 2, H 3, S 5, D 8
    case = Text("With a batch of 2 and 3 heads", "当批量为 2、有 3 个头时")
    _compare(student, (query, key, value, None), MISTAKES, case)

    mask = (torch.arange(5) < torch.tensor([[5], [3]]))[:, None, None]  # (B, 1, 1, S)
    case = Text("With two tokens of padding", "当有两个填充词元时")
    _compare(student, (query, key, value, mask), MASK_MISTAKES | MISTAKES, case)
    case = Text(
        "With large scores (is your number for padding low enough?)",
        "当分数很大时（填充用的数够小吗？）",
    )
    _compare(student, (20 * query, key, value, mask), {}, case)


def _compare(
    student: Any, arguments: tuple[Any, ...], mistakes: dict[str, Text], case: Text
) -> None:
    given = student.attention(*arguments)
    expect_parts(given, ("context", "probabilities"))
    mask, right = arguments[3], eager_attention(*arguments)
    if mask is not None and isinstance(given[1], Tensor) and given[1].isnan().any():
        raise Wrong(
            "a row of scores is -inf everywhere, so its softmax is NaN: is the mask inverted (True "
            "means 'may be looked at'), or applied to rows?",
            "有一行分数全是 -inf，softmax 得到 NaN：是不是掩码用反了（True 表示“可以看”），"
            "或者遮的是行？",
        )
    for name, ours, theirs in zip(("context", "probabilities"), right, given, strict=True):
        expect_tensor(theirs, ours.shape, name)
    if mask is not None:
        share = float(given[1][1, ..., ~mask[1, 0, 0]].sum(-1).mean())
        if share > 0.001:
            case = Text(
                f"Padding still receives {share:.0%} of the attention",
                f"填充词元仍然得到 {share:.0%} 的注意力",
            )
    if not same(student.attention(*arguments)[1], given[1]):
        raise Wrong(
            "the result differs from call to call: leave dropout and other random numbers out.",
            "每次调用的结果都不一样：这里不要用 dropout 或其他随机数。",
        )
    for part, name, known in ((1, "probabilities", {}), (0, "context", VALUE_MISTAKES)):
        expect(
            given[part],
            right[part],
            name,
            case=case,
            compute=lambda names, part=part: attention(*arguments, mistakes=names)[part],  # type: ignore[misc]
            mistakes=known | mistakes,
        )
