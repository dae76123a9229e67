"""Exercise: the input of the first layer, the normalized sum of three embeddings."""

from collections.abc import Set
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from minibert.files import bundled
from minibert.learn.compare import Text, expect
from minibert.model.bert import BertModel

FUNCTIONS = ("embeddings",)
LESSON = "05"
SOLUTION = "minibert/model/embeddings.py, Embeddings"
HINTS = (
    Text(
        "A row of a table is an embedding: table[ids] takes one row for each id, (B, S) -> "
        "(B, S, E). Take three, add them, and normalize the sum.",
        "表的一行就是一个嵌入：table[ids] 给每个 id 取一行，(B, S) -> (B, S, E)。"
        "取三次，相加，再做归一化。",
    ),
    Text(
        "The positions are 0, 1, 2, ... S-1, the same in every text: positions[:S] is (S, E) and "
        "is added to each text by itself.",
        "位置是 0、1、2……S-1，每段文本都一样：positions[:S] 的形状是 (S, E)，"
        "相加时会自动加到每段文本上。",
    ),
    Text(
        "LayerNorm by hand: x - x.mean(-1, keepdim=True), divided by the square root of "
        "x.var(-1, keepdim=True, unbiased=False) + 1e-12, times weight, plus bias.",
        "手写层归一化：x - x.mean(-1, keepdim=True)，除以 x.var(-1, keepdim=True, unbiased=False) "
        "+ 1e-12 的平方根，乘 weight，加 bias。",
    ),
)
TABLES = (
    *("word_embeddings", "position_embeddings", "token_type_embeddings"),
    *("LayerNorm.weight", "LayerNorm.bias"),
)
MISTAKES = {
    "no positions": Text("the position embeddings are not added.", "没有加位置嵌入。"),
    "no types": Text("the token type embeddings are not added.", "没有加句子（token type）嵌入。"),
    "no words": Text("the word embeddings are not added.", "没有加词嵌入。"),
    "from 1": Text("the first position is 1; count from 0.", "位置从 1 开始了；应该从 0 开始。"),
    "all 0": Text(
        "every token has the position 0: S is input_ids.shape[1], not shape[0].",
        "每个词元的位置都是 0：S 是 input_ids.shape[1]，不是 shape[0]。",
    ),
    "by id": Text(
        "the positions are looked up by the ids; they are 0, 1, 2, ...",
        "位置嵌入是按词的 id 查的；位置应该是 0、1、2……",
    ),
    "backwards": Text("the positions count backwards.", "位置数反了。"),
    "scaled": Text(
        "the words are multiplied by sqrt(E): the first Transformer does this, BERT does not.",
        "词嵌入乘了 sqrt(E)：最早的 Transformer 这样做，BERT 不这样做。",
    ),
    "not normalized": Text("LayerNorm is missing.", "缺少层归一化。"),
    "each": Text(
        "each of the three is normalized; normalize their sum.",
        "三个嵌入各自归一化了；应该先相加再归一化。",
    ),
    "no weight": Text(
        "LayerNorm's weight and bias are not used.", "没有用层归一化的 weight 和 bias。"
    ),
    "bias first": Text(
        "LayerNorm's bias is added before the weight is applied; multiply first.",
        "先加了层归一化的 bias 再乘 weight；应该先乘。",
    ),
    "no bias": Text("LayerNorm's bias is not added.", "没有加层归一化的 bias。"),
    "unbiased": Text(
        "your variance divides by E - 1 (the default of torch.var and torch.std); LayerNorm "
        "divides by E: unbiased=False.",
        "你的方差除以了 E - 1（torch.var 和 torch.std 的默认值）；层归一化除以 E：unbiased=False。",
    ),
    "variance": Text(
        "you divided by the variance instead of its square root.", "你除以了方差，应该除以标准差。"
    ),
    "tokens": Text(
        "mean and variance are over the tokens; they are of each token alone, over E (dim=-1).",
        "均值和方差是对各个词元算的；应该对每个词元自己的 E 个数算 (dim=-1)。",
    ),
    "all": Text(
        "mean and variance are over the whole tensor; each token has its own (dim=-1).",
        "均值和方差是对整个张量算的；每个词元应该有自己的 (dim=-1)。",
    ),
}


def embeddings(
    input_ids: Tensor, token_type_ids: Tensor, tables: dict[str, Tensor], *, mistakes: Set[str]
) -> Tensor:
    """Return the normalized sum (B, S, E), with these mistakes."""
    words, positions, token_types, weight, bias = tables.values()
    length, width = input_ids.shape[1], words.shape[1]
    places = torch.arange(length) + ("from 1" in mistakes)
    places = 0 * places if "all 0" in mistakes else places
    places = places.flip(0) if "backwards" in mistakes else places
    places = input_ids % len(positions) if "by id" in mistakes else places
    parts = {
        "no words": words[input_ids] * (width**0.5 if "scaled" in mistakes else 1),
        "no positions": positions[places].expand(*input_ids.shape, -1),
        "no types": token_types[token_type_ids],
    }
    kept = [part for name, part in parts.items() if name not in mistakes]
    if "not normalized" in mistakes:
        return torch.stack(kept).sum(0)
    if "each" in mistakes:
        return torch.stack([F.layer_norm(part, [width], weight, bias) for part in kept]).sum(0)
    total = torch.stack(kept).sum(0)
    over = (0, 1, 2) if "all" in mistakes else (1,) if "tokens" in mistakes else (-1,)
    variance = total.var(over, keepdim=True, unbiased="unbiased" in mistakes)
    deviation = variance if "variance" in mistakes else (variance + 1e-12).sqrt()
    total = (total - total.mean(over, keepdim=True)) / deviation
    if "no weight" in mistakes:
        return total
    if "bias first" in mistakes:
        return (total + bias) * weight
    return total * weight + (0 if "no bias" in mistakes else bias)


def check(student: Any) -> None:
    """Compare with the example of the stub, then with the tables of `weights/tiny`."""
    rows = (
        [[0.0, 0, 0, 0], [4, 2, 5, 0], [9, 0, 2, 1]],
        [[0.0, 1, 1, 1], [1, 0, 0, 3], [5, 5, 5, 5]],
        [[0.0, 0, 0, 1], [1, 0, 1, 2]],
        [1.0, 1, 1, 2],
        [0.0, 0, 1, 0],
    )
    tables = {name: torch.tensor(row) for name, row in zip(TABLES, rows, strict=True)}
    arguments = torch.tensor([[2, 1]]), torch.tensor([[0, 1]]), tables
    right = embeddings(*arguments, mistakes=frozenset())
    _compare(student, arguments, right, Text("In the example of the stub", "在题目的例子里"))

    module = BertModel.from_pretrained(bundled("weights/tiny"), quiet=True).eval().embeddings
    weights = dict(module.named_parameters())
    names = [name if "." in name else f"{name}.weight" for name in TABLES]
    tables = {name: weights[own].detach() for name, own in zip(TABLES, names, strict=True)}
    ids = torch.tensor([[2, 331, 2021, 304, 3, 82, 3], [2, 7, 7, 7, 3, 9, 3]])
    types = torch.tensor([[0, 0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 0, 1, 1]])
    with torch.no_grad():
        right = module(ids, types)
    case = Text("With the tables of weights/tiny", "用 weights/tiny 的表")
    _compare(student, (ids, types, tables), right, case)


def _compare(student: Any, arguments: tuple[Any, ...], right: Tensor, case: Text) -> None:
    expect(
        student.embeddings(*arguments),
        right,
        "embeddings(...)",
        case=case,
        compute=lambda names: embeddings(*arguments, mistakes=names),
        mistakes=MISTAKES,
    )
