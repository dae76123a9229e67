"""Exercise: the head of masked language modeling, whose decoder is the table of embeddings."""

from collections.abc import Mapping, Set
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minibert.learn.compare import Text, Wrong, expect, expect_tensor
from minibert.model.config import BertConfig
from minibert.model.pretraining_heads import MaskedLMHead

FUNCTIONS = ("MaskedLMHead",)
LESSON = "09"
SOLUTION = "minibert/model/pretraining_heads.py, MaskedLMHead"
HINTS = (
    Text(
        "Keep the embedding module itself: self.word_embeddings = word_embeddings. Then nothing "
        "needs to be copied, and both ends always use the same numbers.",
        "把嵌入模块本身存下来：self.word_embeddings = word_embeddings。"
        "这样不用复制，两头用的永远是同一组数。",
    ),
    Text(
        "In forward: dense, GELU, LayerNorm, in this order, and then the dot product with each row "
        "of the table, plus one bias for each word.",
        "forward 里依次是 dense、GELU、LayerNorm，然后和表的每一行做点积，再给每个词加一个 bias。",
    ),
    Text(
        "F.linear(self.LayerNorm(F.gelu(self.dense(hidden))), self.word_embeddings.weight, "
        "self.bias), where self.bias = nn.Parameter(torch.zeros(V)).",
        "F.linear(self.LayerNorm(F.gelu(self.dense(hidden))), self.word_embeddings.weight, "
        "self.bias)，其中 self.bias = nn.Parameter(torch.zeros(V))。",
    ),
)
MISTAKES = {
    "no dense": Text("the dense layer is not used.", "没有用 dense 层。"),
    "no activation": Text("the activation (GELU) is missing.", "缺少激活函数 (GELU)。"),
    "relu": Text("the activation is ReLU; BERT's is GELU.", "激活函数用了 ReLU；BERT 用 GELU。"),
    "tanh": Text(
        "the activation is tanh, as in the pooler; here it is GELU.",
        "激活函数用了 tanh（那是 pooler 的）；这里用 GELU。",
    ),
    "no norm": Text("LayerNorm is not used.", "没有用 LayerNorm。"),
    "norm first": Text(
        "LayerNorm comes before the activation; it follows.",
        "LayerNorm 放在了激活函数之前；应该在之后。",
    ),
    "bias twice": Text(
        "the bias is added twice: by the linear layer, and once more.",
        "bias 加了两次：线性层加了一次，又加了一次。",
    ),
    "no bias": Text("the bias of the words is not added.", "没有加每个词的 bias。"),
    "softmax": Text(
        "these are probabilities; return logits, without softmax (cross-entropy applies it).",
        "这是概率；应该返回 logits，不做 softmax（交叉熵会做）。",
    ),
    "log softmax": Text(
        "these are log-probabilities; return logits (cross-entropy does the rest).",
        "这是对数概率；应该返回 logits（其余的交叉熵会做）。",
    ),
    "residual": Text(
        "the input is added again: there is no residual connection here.",
        "又加上了输入：这里没有残差连接。",
    ),
}


def mlm_logits(head: MaskedLMHead, hidden: Tensor, table: Tensor, *, mistakes: Set[str]) -> Tensor:
    """Return the logits (..., V) of a head, with these mistakes."""
    x = hidden if "no dense" in mistakes else head.dense(hidden)
    x = head.LayerNorm(x) if "norm first" in mistakes else x
    if "no activation" not in mistakes:
        x = F.relu(x) if "relu" in mistakes else x.tanh() if "tanh" in mistakes else F.gelu(x)
    x = x + hidden if "residual" in mistakes else x
    x = x if {"norm first", "no norm"} & mistakes else head.LayerNorm(x)
    logits = F.linear(x, table, None if "no bias" in mistakes else head.bias)
    logits = logits + head.bias if "bias twice" in mistakes else logits
    logits = logits.softmax(-1) if "softmax" in mistakes else logits
    return logits.log_softmax(-1) if "log softmax" in mistakes else logits


def check(student: Any) -> None:
    """Compare a head with random weights, then change the embeddings and look at the gradient."""
    generator = torch.Generator().manual_seed(0)
    words = nn.Embedding(11, 8)  # V 11, E 8
    ours = MaskedLMHead(BertConfig.tiny(hidden_size=8, num_attention_heads=1, vocab_size=11))
    head = student.MaskedLMHead(words)
    if not isinstance(head, nn.Module):
        raise Wrong("`MaskedLMHead` is not an nn.Module.", "`MaskedLMHead` 不是 nn.Module。")
    weights = dict(head.named_parameters())
    for name, parameter in ours.named_parameters():
        _expect_parameter(weights, name, tuple(parameter.shape))
    if own := [n for n, p in weights.items() if p.shape == (11, 8) and p is not words.weight]:
        raise Wrong(
            f"`{own[0]}` is a second table of V x E numbers: the weights are not tied. Use "
            "word_embeddings.weight itself.",
            f"`{own[0]}` 是另一张 V x E 的表：权重没有共享。请直接用 word_embeddings.weight。",
        )
    if bool(weights["bias"].any()):
        raise Wrong(
            "`bias` is not 0 at first: torch.zeros(V).",
            "`bias` 的初始值不是 0：用 torch.zeros(V)。",
        )
    if (eps := getattr(head.LayerNorm, "eps", 1e-12)) > 1e-11:
        raise Wrong(
            f"the eps of LayerNorm is {eps}; BERT's is 1e-12.",
            f"LayerNorm 的 eps 是 {eps}；BERT 用 1e-12。",
        )
    with torch.no_grad():
        words.weight.copy_(torch.randn(11, 8, generator=generator))
        for name, parameter in ours.named_parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
            weights[name].copy_(parameter)
    hidden = torch.randn(2, 3, 8, generator=generator)  # (B, S, E)
    logits = head(hidden)
    expect_tensor(logits, (2, 3, 11), "forward(hidden)")
    _expect_tied(head, hidden, logits.detach().clone(), words)
    expect(
        head(hidden).detach(),
        ours(hidden, words.weight).detach(),
        "forward(hidden)",
        compute=lambda names: mlm_logits(ours, hidden, words.weight, mistakes=names).detach(),
        mistakes=MISTAKES,
    )


def _expect_parameter(weights: Mapping[str, Tensor], name: str, shape: tuple[int, ...]) -> None:
    if name not in weights:
        raise Wrong(
            f"there is no parameter `{name}` {shape}; it has {', '.join(weights) or 'none'}. Keep "
            "the names of the stub, and make `bias` an nn.Parameter.",
            f"没有参数 `{name}` {shape}；现有的是 {', '.join(weights) or '无'}。"
            "请保留题目里的名字，`bias` 要用 nn.Parameter。",
        )
    expect_tensor(weights[name], shape, name)


def _expect_tied(head: nn.Module, hidden: Tensor, before: Tensor, words: nn.Embedding) -> None:
    with torch.no_grad():
        words.weight.neg_()  # what an optimizer does, only more of it
    after = head(hidden)
    if torch.equal(before, after):
        raise Wrong(
            "the embeddings were changed and the logits stayed the same: your decoder has a copy "
            "of the table. Use word_embeddings.weight itself.",
            "改了词嵌入，logits 却没有变：你的解码器用的是表的副本。"
            "请直接用 word_embeddings.weight。",
        )
    words.weight.grad = None
    if after.requires_grad:
        after.square().sum().backward()
    if words.weight.grad is None:
        raise Wrong(
            "the loss has no gradient for the table of embeddings: remove .data, detach() or "
            "no_grad(), so that both ends of the model train it.",
            "损失对词嵌入表没有梯度：去掉 .data、detach() 或 no_grad()，让模型的两头一起训练它。",
        )
