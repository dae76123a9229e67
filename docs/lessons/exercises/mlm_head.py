"""Exercise: the head that guesses masked words, with tied weights (lesson 09).

    transformed = LayerNorm(GELU(dense(hidden)))
    logits      = transformed . each row of the table of word embeddings + bias

The weights are tied: the decoder is the table of the embeddings itself, not a copy. So the head has
only a dense layer (E x E), a LayerNorm (eps 1e-12) and one bias for each word (V), and if training
changes an embedding, the decoder changes with it.

By hand, with E = 2 and the table  cat 1 0 | dog 0 2 | [MASK] 1 1: if transformed is 3 -1 and all
biases are 0, the logits are 3, -2 and 2. The guess is cat.

中文：猜被遮住的词的那一层（公式见上）。权重是共享的：解码器就是词嵌入表本身，不是副本。所以这一
层只有 dense（E x E）、LayerNorm（eps 为 1e-12）和每个词一个 bias（V）；训练改变了某个词嵌入，解
码器也跟着变。手算：E = 2，表是 cat 1 0 | dog 0 2 | [MASK] 1 1，transformed 是 3 -1，bias 都是
0，那么 logits 是 3、-2、2，猜的是 cat。

__init__ 的参数：word_embeddings 是 nn.Embedding，它的 weight 是 (V, E)。参数张量的名字必须是
dense.weight、dense.bias、LayerNorm.weight、LayerNorm.bias 和 bias；bias 开始时全是 0。
forward：输入 hidden (B, S, E)，返回 logits (B, S, V)。

    minibert learn check mlm_head
"""

from torch import Tensor, nn


class MaskedLMHead(nn.Module):
    """The head, with the parameters dense.weight, dense.bias, LayerNorm.weight, .bias and bias."""

    def __init__(self, word_embeddings: nn.Embedding) -> None:
        super().__init__()
        # self.dense = ..., self.LayerNorm = ..., self.bias = ..., all biases 0 at first
        raise NotImplementedError  # 4 lines; word_embeddings.weight is (V, E)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return the logits: (B, S, E) -> (B, S, V)."""
        raise NotImplementedError  # 2 lines
