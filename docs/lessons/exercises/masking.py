"""Exercise: masking for pretraining (lesson 09).

Each word is picked with a probability of 15 %. A picked token has its original id as label; all
others have the label -100, which the loss ignores. Of the picked tokens, the model sees

    80 %   [MASK]
    10 %   a random word
    10 %   the word itself

Special tokens ([CLS], [SEP], [PAD], ...) are never picked. Only these shares are checked: use one
random number for both decisions, as the lesson does, or one for each.

By hand: [CLS] the old man [SEP] has the ids 2 50 51 52 3. If 51 is picked and becomes [MASK]
(id 4), masked is 2 50 4 52 3, and labels is -100 -100 51 -100 -100.

中文：每个词以 15% 的概率被选中。选中的词元以原来的 id 为标签，其余标签是 -100（损失会忽略）。选
中的词元里，模型看到的 80% 是 [MASK]，10% 是随机的词，10% 是原词。特殊词元（[CLS]、[SEP]、[PAD]
等）永远不选。只检查这些比例：像课里那样用一个随机数做两个决定可以，抽两次也可以。手算：[CLS]
老 人 合 上 了 书 [SEP] 的编号是 2 50 51 52 53 54 55 3。如果只选中“人”（51）并换成 [MASK]（编号
4），masked 是 2 50 4 52 53 54 55 3，labels 是 -100 -100 51 -100 -100 -100 -100 -100。

参数：input_ids (B, S)；special 是按编号查的布尔表 (V,)，特殊词元为 True，special[input_ids] 的形状
是 (B, S)；words 是 (W,)，可以当随机词的编号；mask_id 是 [MASK] 的编号；所有随机数都从 generator
抽：torch.rand(..., generator=generator)。不要改动 input_ids。
返回：masked 和 labels，形状都是 (B, S)。

    minibert learn check masking
"""

import torch
from torch import Tensor


def mask_tokens(
    input_ids: Tensor, special: Tensor, words: Tensor, mask_id: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return masked and labels, (B, S) each, without changing input_ids.

    Args:
        input_ids: (B, S).
        special: (V,) of bool, True for the ids of special tokens: special[input_ids] is (B, S).
        words: (W,), the ids that random words are drawn from.
        mask_id: the id of [MASK].
        generator: for all random numbers: torch.rand(..., generator=generator).
    """
    raise NotImplementedError  # about 8 lines
