"""Exercise: a linear-chain CRF for tagging, for one sentence (Lample et al. 2016, section 2.2).

    score(y) = start[y_1] + sum of emissions[i, y_i] + sum of transitions[y_i-1, y_i] + end[y_N]
    log Z    = log of the sum of e^score(y) over all C^N sequences y

`log_partition` returns log Z, and `viterbi` the y with the highest score. Both take N steps of
C x C operations instead of C^N.

By hand, with N = 2 words, C = 2 tags, emissions 1 0 | 2 1, transitions 0 3 | 1 0, start 0.5 0 and
end 0 0.25: the score of the tags 0 1 is 0.5 + 1 + 1 + 3 + 0.25 = 5.75. The other scores are 3.5
(0 0), 3 (1 0) and 1.25 (1 1). So viterbi returns [0, 1], and log Z is ln(e^5.75 + e^3.5 + e^3 +
e^1.25) = 5.92.

中文：写出一个句子的线性链 CRF（公式见上）。log_partition 返回 log Z，即对全部 C^N 个标签序列的
e^score 求和再取对数；viterbi 返回分数最高的序列。两者都只需要 N 步，每步 C x C 次运算。手算（2
个词、2 个标签，数字见上）：标签 0 1 的分数是 0.5 + 1 + 1 + 3 + 0.25 = 5.75，其余是 3.5（0 0）、3
（1 0）、1.25（1 1）。所以 viterbi 返回 [0, 1]，log Z 是 5.92。

参数：emissions (N, C)，每个词对每个标签的分数，N 可以是 1；tags 是 N 个标签；transitions (C, C)，
transitions[a, b] 是从标签 a 到下一个标签 b 的分数；start 和 end 都是 (C,)。
返回：score 和 log_partition 返回一个数（分数大到 500 也不能溢出），viterbi 返回 N 个标签的列表。

    minibert learn check crf
"""

from torch import Tensor


def score(
    emissions: Tensor, tags: list[int], transitions: Tensor, start: Tensor, end: Tensor
) -> Tensor:
    """Return the score of the tags, a single number.

    Args:
        emissions: (N, C), the score of each tag for each word; N may be 1.
        tags: N tags.
        transitions: (C, C), transitions[a, b] from tag a to the next tag b.
        start: (C,).
        end: (C,).
    """
    raise NotImplementedError  # about 5 lines


def log_partition(emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Return log Z, a single number, also where scores are as large as 500."""
    raise NotImplementedError  # about 4 lines


def viterbi(emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor) -> list[int]:
    """Return the N tags with the highest score."""
    raise NotImplementedError  # about 10 lines
