"""Exercise: the best answer of a question answering model (Devlin et al. 2018, section 4.2).

The model gives each token two logits: how well an answer starts here, and how well it ends here.
The answer is the span from start to end (inclusive) with the highest sum of the two, among those
that lie in the context (first to last, inclusive) and have 1 to max_length tokens.

By hand, for the tokens 0 to 6 with first 2, last 5 and max_length 3:

    start   0 9 1 3 2 0 9        end   9 0 4 1 2 3 0

The best start in the context is 3 (logit 3) and the best end is 2 (logit 4), which comes before it.
The spans 2-2 (1 + 4 = 5), 3-4 (3 + 2 = 5) and 3-5 (3 + 3 = 6) are possible; 3-5 is the answer.

中文：模型给每个词元两个 logit：答案从这里开始有多好，到这里结束有多好。答案是从 start 到 end（含
两端）的片段，要求在上下文里（first 到 last，含两端）、长度为 1 到 max_length 个词元，并且两个
logit 之和最大。手算（数字见上，词元 0 到 6，first 2，last 5，max_length 3）：上下文里最好的开头
是 3，最好的结尾是 2，但结尾在开头之前。可能的片段有 2-2（5）、3-4（5）、3-5（6），答案是 3-5。

参数：start_logits 和 end_logits 都是 (S,)，对应 [CLS] 问题 [SEP] 上下文 [SEP]；first 和 last 是上
下文第一个和最后一个词元的位置；max_length 是答案最多有几个词元，至少是 1。
返回：答案第一个和最后一个词元的位置。

    minibert learn check spans
"""

from torch import Tensor


def best_span(
    start_logits: Tensor, end_logits: Tensor, first: int, last: int, max_length: int
) -> tuple[int, int]:
    """Return the first and the last token of the answer.

    Args:
        start_logits: (S,), of [CLS] question [SEP] context [SEP].
        end_logits: (S,).
        first: the position of the first token of the context.
        last: the position of its last token.
        max_length: the most tokens of an answer, at least 1.
    """
    raise NotImplementedError  # about 6 lines
