"""Exercise: pairs for next-sentence prediction (lesson 09).

Every sentence that has a next one in its document becomes the A of one pair. With a probability of
one half, B is the next sentence and the label is 0 ("B follows A"). Otherwise B is a random
sentence of another document, never of the same one, and the label is 1.

By hand: the documents [a1, a2, a3] and [b1, b2] give three pairs, with A = a1, a2 and b1. They
could be (a1, a2, 0), (a2, b1, 1), (b1, a3, 1). This is simpler than in the lesson: there
the Bs of two pairs are swapped, here a random sentence is drawn. (Google and minibert also join
several sentences to fill a sequence; here, A and B are one sentence each.)

中文：每个在文档里有下一句的句子，都当一次 A，得到一个句对。一半的概率 B 是下一句，标签是 0（“B
是下一句”）；另一半 B 是从别的文档（不能是同一个文档）随机取的一句，标签是 1。手算：文档 [a1,
a2, a3] 和 [b1, b2] 得到三个句对，A 分别是 a1、a2、b1，例如 (a1, a2, 0)、(a2, b1, 1)、(b1, a3,
1)。这比课里讲的简单：课里是两个句对交换 B，这里直接抽一句。（谷歌和 minibert 还会把几句连起来填满
一个序列，这里 A 和 B 各是一句。）

参数：documents 至少有两个文档，每个是句子的列表，至少一句；所有随机选择都用 rng：rng.random()、
rng.randrange(n)、rng.choice(句子列表)。
返回：三元组 (A, B, 标签) 的列表。

    minibert learn check nsp_pairs
"""

import random


def make_pairs(documents: list[list[str]], rng: random.Random) -> list[tuple[str, str, int]]:
    """Return the pairs (A, B, label).

    Args:
        documents: at least two, each a list of at least one sentence.
        rng: for all random choices: rng.random(), rng.randrange(n), rng.choice(sentences).
    """
    raise NotImplementedError  # about 10 lines
