"""Exercise: embeddings, the input of the first layer (lesson 05).

For each token, add three vectors of E numbers: the row of its id in the table of words, the row of
its position (0, 1, 2, ...) in the table of positions, and the row of its token type in the table of
token types. Then apply LayerNorm to each sum:

    (x - mean) / sqrt(variance + 1e-12) * weight + bias

where mean and variance are those of the E numbers of one token (the variance divides by E).

By hand, with E = 4: the word 9 0 2 1, the position 0 1 1 1 and the type 0 0 0 1 add up to 9 1 3 3.
Mean 4, variance (25 + 9 + 1 + 1) / 4 = 9. Normalized: 1.67, -1, -0.33, -0.33. With the weight
1 1 1 2 and the bias 0 0 1 0, the result is 1.67, -1, 0.67, -0.67.

中文：每个词元有三个长度为 E 的向量：词表里 id 那一行、位置表里位置（0、1、2……）那一行、句子表
里 token type 那一行。三者相加，再对每个词元的和做层归一化（公式见上）。均值和方差只对这一个词元
的 E 个数计算，方差除以 E。上面的手算例子：和是 9 1 3 3，均值 4，方差 9，归一化得 1.67、-1、
-0.33、-0.33；乘 weight 再加 bias，得 1.67、-1、0.67、-0.67。

参数：input_ids (B, S)；token_type_ids (B, S)，第一句是 0，第二句是 1；tables 是由名字查张量的字
典："word_embeddings" (V, E)、"position_embeddings"（512 行或别的行数，E 列）、
"token_type_embeddings" (2, E)、"LayerNorm.weight" (E,)、"LayerNorm.bias" (E,)。
返回：嵌入，(B, S, E)。

    minibert learn check embeddings
"""

from torch import Tensor


def embeddings(input_ids: Tensor, token_type_ids: Tensor, tables: dict[str, Tensor]) -> Tensor:
    """Return the embeddings of a batch, (B, S, E).

    Args:
        input_ids: (B, S).
        token_type_ids: (B, S), 0 in the first sentence and 1 in the second.
        tables: "word_embeddings" (V, E), "position_embeddings" (512, E) or with other rows,
            "token_type_embeddings" (2, E), "LayerNorm.weight" (E,) and "LayerNorm.bias" (E,).
    """
    raise NotImplementedError  # about 6 lines
