"""Exercise: a layer, from multi-head attention to the second LayerNorm."""

from collections.abc import Mapping, Set
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from minibert.files import bundled
from minibert.learn.compare import Text, expect
from minibert.model.attention import eager_attention
from minibert.model.bert import BertModel

FUNCTIONS = ("layer",)
LESSON = "08"
SOLUTION = "minibert/model/encoder.py, EncoderLayer"
HINTS = (
    Text(
        "Two halves, each of the form LayerNorm(x + f(x)). In the first, f is attention with its "
        "output matrix; in the second, two linear layers with GELU between them.",
        "两半都是 LayerNorm(x + f(x)) 的形式。前一半的 f 是注意力加输出矩阵；"
        "后一半的 f 是两个线性层，中间夹着 GELU。",
    ),
    Text(
        "Heads: F.linear(hidden, W, b) is (B, S, 3E); chunk(3, dim=-1) gives query, key and value. "
        "Each: unflatten(-1, (heads, -1)) and transpose(1, 2) -> (B, H, S, D).",
        "多头：F.linear(hidden, W, b) 得到 (B, S, 3E)；chunk(3, dim=-1) 分成查询、键、值。"
        "每个再 unflatten(-1, (heads, -1)) 和 transpose(1, 2) -> (B, H, S, D)。",
    ),
    Text(
        "Back: context.transpose(1, 2).flatten(2) -> (B, S, E), then attention.output. Then hidden "
        "= LN(hidden + that), and hidden = LN(hidden + output(gelu(intermediate(hidden)))).",
        "合并：context.transpose(1, 2).flatten(2) -> (B, S, E)，再乘 attention.output。然后 hidden "
        "= LN(hidden + 它)，hidden = LN(hidden + output(gelu(intermediate(hidden))))。",
    ),
)
MISTAKES = {
    "view": Text(
        "you went to (B, H, S, D) by view alone: a head then gets some tokens instead of a part "
        "of each. View as (B, S, H, D), then transpose(1, 2).",
        "你只用 view 就变成了 (B, H, S, D)：这样一个头拿到的是几个词元，不是每个词元的一部分。"
        "应该先 view 成 (B, S, H, D)，再 transpose(1, 2)。",
    ),
    "joined": Text(
        "the heads are joined without transpose(1, 2) before the flatten.",
        "合并各头时，flatten 之前缺少 transpose(1, 2)。",
    ),
    "order": Text(
        "query, key and value are mixed up: they come in this order.",
        "查询、键、值弄混了：依次就是这个顺序。",
    ),
    "apart": Text(
        "a head takes numbers that are far apart: split E into (H, D), not into (D, H).",
        "一个头取的数不相邻：E 应该拆成 (H, D)，不是 (D, H)。",
    ),
    "one head": Text("there is only one head, of width E.", "只用了一个宽度为 E 的头。"),
    "by head": Text(
        "the 3E outputs are first all queries, then all keys, then all values, not H times D of "
        "each.",
        "3E 个输出依次是全部查询、全部键、全部值，不是每个头各自的三份。",
    ),
    "no mask": Text("the mask does not reach the attention.", "掩码没有传给注意力。"),
    "no biases": Text(
        "the biases of the linear layers are not added.", "没有加线性层的偏置 (bias)。"
    ),
    "no output": Text(
        "the matrix attention.output is not applied.", "没有乘 attention.output 矩阵。"
    ),
    "no transposed output": Text(
        "attention.output is applied as x @ W; a linear layer is x @ W.T.",
        "attention.output 用成了 x @ W；线性层是 x @ W.T。",
    ),
    "no residual 1": Text(
        "the residual connection around attention is missing.", "注意力外面缺少残差连接。"
    ),
    "no residual 2": Text(
        "the residual connection around the feed-forward network is missing.",
        "前馈网络外面缺少残差连接。",
    ),
    "first input": Text(
        "the second residual connection adds the input of the layer; add the output of the first "
        "LayerNorm.",
        "第二个残差加的是这一层的输入；应该加第一个层归一化的输出。",
    ),
    "no norm 1": Text("attention_LayerNorm is missing.", "缺少 attention_LayerNorm。"),
    "no norm 2": Text("output_LayerNorm is missing.", "缺少 output_LayerNorm。"),
    "pre": Text(
        "LayerNorm comes before attention and feed-forward; in BERT it follows the addition.",
        "层归一化放在了注意力和前馈网络之前；BERT 里它在相加之后。",
    ),
    "swapped": Text("the two LayerNorms are exchanged.", "两个层归一化用反了。"),
    "inside": Text(
        "LayerNorm is applied before the addition: LayerNorm(x + f(x)), not x + LayerNorm(f(x)).",
        "层归一化用在了相加之前：应该是 LayerNorm(x + f(x))，不是 x + LayerNorm(f(x))。",
    ),
    "no activation": Text("the activation (GELU) is missing.", "缺少激活函数 (GELU)。"),
    "relu": Text("the activation is ReLU; BERT's is GELU.", "激活函数用了 ReLU；BERT 用 GELU。"),
    "tanh": Text("the activation is the tanh form of GELU.", "激活函数是 tanh 近似的 GELU。"),
    "late activation": Text(
        "the activation comes after the second linear layer; it belongs between the two.",
        "激活函数放在了第二个线性层之后；应该在两个线性层之间。",
    ),
}


def layer(
    hidden: Tensor,
    attention_mask: Tensor | None,
    weights: Mapping[str, Tensor],
    num_heads: int,
    *,
    mistakes: Set[str],
) -> Tensor:
    """Return the new hidden states (B, S, E), with these mistakes."""

    def linear(x: Tensor, name: str) -> Tensor:
        bias = None if "no biases" in mistakes else weights[f"{name}.bias"]
        return F.linear(x, weights[f"{name}.weight"], bias)

    def norm(x: Tensor, name: str) -> Tensor:
        weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        return F.layer_norm(x, weight.shape, weight, bias, 1e-12)

    batch, length, width = hidden.shape
    heads = 1 if "one head" in mistakes else num_heads
    mask = None if "no mask" in mistakes else attention_mask
    first, second = "attention_LayerNorm", "output_LayerNorm"
    first, second = (second, first) if "swapped" in mistakes else (first, second)
    x = norm(hidden, first) if "pre" in mistakes else hidden
    joined = linear(x, "attention.query_key_value")
    if "by head" in mistakes:
        parts = joined.view(batch, length, heads, 3, -1).permute(3, 0, 2, 1, 4)
    elif "view" in mistakes:
        parts = torch.stack([p.reshape(batch, heads, length, -1) for p in joined.chunk(3, -1)])
    else:
        parts = joined.view(batch, length, 3, heads, -1).permute(2, 0, 3, 1, 4)
    if "apart" in mistakes:
        parts = joined.view(batch, length, 3, -1, heads).permute(2, 0, 4, 1, 3)
    parts = parts.flip(0) if "order" in mistakes else parts
    context, _ = eager_attention(parts[0], parts[1], parts[2], mask)
    is_flat = bool({"joined", "view"} & mistakes)
    attended = (context if is_flat else context.transpose(1, 2)).reshape(batch, length, width)
    if "no transposed output" in mistakes:
        attended = attended @ weights["attention.output.weight"] + weights["attention.output.bias"]
    elif "no output" not in mistakes:
        attended = linear(attended, "attention.output")
    total = attended if "no residual 1" in mistakes else hidden + attended
    if "inside" in mistakes:
        total = hidden + norm(attended, first)
    elif not {"pre", "no norm 1"} & mistakes:
        total = norm(total, first)
    x = norm(total, second) if "pre" in mistakes else total
    x = linear(x, "intermediate")
    if not {"no activation", "late activation"} & mistakes:
        x = F.relu(x) if "relu" in mistakes else _gelu(x, mistakes)
    x = linear(x, "output")
    x = F.gelu(x) if "late activation" in mistakes else x
    if "inside" in mistakes:
        return total + norm(x, second)
    base = hidden if "first input" in mistakes else total
    x = x if "no residual 2" in mistakes else base + x
    return x if {"pre", "no norm 2"} & mistakes else norm(x, second)


def _gelu(x: Tensor, mistakes: Set[str]) -> Tensor:
    return F.gelu(x, approximate="tanh" if "tanh" in mistakes else "none")


def check(student: Any) -> None:
    """Compare with the first layer of `weights/tiny`, without padding and with it."""
    model = BertModel.from_pretrained(bundled("weights/tiny"), quiet=True).eval()
    module = model.encoder.layer[0]
    weights = {name: tensor.detach() for name, tensor in module.named_parameters()}
    ids = torch.tensor([[2, 331, 2021, 304, 3], [2, 7, 3, 0, 0]])
    with torch.no_grad():
        hidden = model.embeddings(ids)
    whole = Text("With the first layer of weights/tiny", "用 weights/tiny 的第一层")
    padded = Text("With two tokens of padding", "当有两个填充词元时")
    mask = (ids > 0)[:, None, None]  # (B, 1, 1, S)
    for case, arguments in (
        (whole, (hidden, None, weights, 2)),
        (padded, (hidden, mask, weights, 2)),
    ):
        with torch.no_grad():
            right, _ = module(hidden, arguments[1], eager_attention)
            given = student.layer(*arguments)
        expect(
            given,
            right,
            "layer(...)",
            case=case,
            compute=lambda names, arguments=arguments: layer(*arguments, mistakes=names),  # type: ignore[misc]
            mistakes=MISTAKES,
        )
