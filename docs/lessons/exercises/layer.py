"""Exercise: a layer of BERT (lessons 07 and 08).

    attended = attention.output(heads joined(attention(query, key, value)))
    hidden   = attention_LayerNorm(hidden + attended)
    hidden   = output_LayerNorm(hidden + output(GELU(intermediate(hidden))))

attention.query_key_value gives 3E numbers for each token: E of the query, E of the key, E of the
value. Each head takes D = E / H of them, side by side.

By hand, with E = 4 and H = 2: the query 1 2 3 4 of a token gives 1 2 to head 0 and 3 4 to head 1.
If hidden is 2 1 4 1 and attended is 7 0 -1 2, LayerNorm gets 9 1 3 3: mean 4, standard deviation 3,
so it returns 1.67 -1 -0.33 -0.33 (with weight 1 and bias 0).

中文：写出 BERT 的一层（公式见上）。attention.query_key_value 给每个词元 3E 个数：依次是 E 个查
询、E 个键、E 个值；每个头取其中相邻的 D = E / H 个。手算：E = 4、H = 2 时，查询 1 2 3 4 分成头 0
的 1 2 和头 1 的 3 4。hidden 是 2 1 4 1，attended 是 7 0 -1 2，那么层归一化的输入是 9 1 3 3，输出
是 1.67 -1 -0.33 -0.33（weight 为 1，bias 为 0）。注意力已经给你了：eager_attention（第 06 课）。

参数：hidden (B, S, E)；attention_mask 是布尔张量 (B, 1, 1, S) 或 None，原样交给 eager_attention；
weights 是由名字查张量的字典，名字和形状见下面的英文说明，weight 的形状是 (输出, 输入)，正好给
torch.nn.functional.linear 用；num_heads 是 H。层归一化的 eps 是 1e-12，不用 dropout。
返回：新的隐藏状态，(B, S, E)。

    minibert learn check layer
"""

from torch import Tensor

from minibert.model.attention import eager_attention  # noqa: F401 - (B, H, S, D), see lesson 06


def layer(
    hidden: Tensor, attention_mask: Tensor | None, weights: dict[str, Tensor], num_heads: int
) -> Tensor:
    """Return the new hidden states (B, S, E). No dropout.

    Args:
        hidden: (B, S, E).
        attention_mask: (B, 1, 1, S) of bool or None, as `eager_attention` takes it.
        weights: the weight (out, in) and bias (out,) of attention.query_key_value (3E, E),
            attention.output (E, E), intermediate (F, E), output (E, F); the weight and bias (E,) of
            attention_LayerNorm and output_LayerNorm, whose eps is 1e-12. For example
            weights["attention.output.weight"], made for torch.nn.functional.linear.
        num_heads: H.
    """
    # context, probabilities = eager_attention(query, key, value, attention_mask)
    raise NotImplementedError  # about 15 lines
