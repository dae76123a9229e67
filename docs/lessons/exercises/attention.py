"""Exercise: attention (lessons 06 and 07).

Every token takes an average of the values of all tokens. The weights are softmax(Q K^T / sqrt(D)).

    B texts, H heads, S tokens, D numbers in a query

By hand, with the numbers of lesson 06: the query 2 1 0 1 meets the keys 0 1 0 1, 0 0 1 0 and
2 0 0 0. Dot products: 2, 0, 4. Divided by sqrt(4): 1, 0, 2. Softmax: 0.24, 0.09, 0.67.

中文：每个词元对所有词元的值求加权平均，权重是 softmax(Q K^T / sqrt(D))。B 段文本，H 个头，S 个词
元，D 是查询向量的宽度。手算（第 06 课的数字）：查询 2 1 0 1 和三个键 0 1 0 1、0 0 1 0、2 0 0 0
的点积是 2、0、4；除以 sqrt(4) 得 1、0、2；softmax 得 0.24、0.09、0.67。

参数：query 和 key 的形状是 (B, H, S, D)，value 是 (B, H, S, D')，D' 可以和 D 不同。
attention_mask 是布尔张量 (B, 1, 1, S)：True 表示可以看，False 是填充，填充得到的权重必须是 0；没
有填充时是 None。不要改动输入。
返回：两个张量，context（加权平均）(B, H, S, D') 和 probabilities（权重）(B, H, S, S)，后者每一行
的和是 1。

    minibert learn check attention
"""

from torch import Tensor


def attention(
    query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the averages (context) and the weights (probabilities), without changing the input.

    Args:
        query: (B, H, S, D).
        key: (B, H, S, D).
        value: (B, H, S, D'), where D' may differ from D.
        attention_mask: (B, 1, 1, S) of bool: True for tokens that may be looked at, False for
            padding, which receives the weight 0. None if there is no padding.

    Returns:
        context (B, H, S, D') and probabilities (B, H, S, S), of which each row adds up to 1.
    """
    raise NotImplementedError  # about four lines
