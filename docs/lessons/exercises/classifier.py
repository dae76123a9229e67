"""Exercise: a text classifier on top of BERT (Devlin et al. 2018, section 4.1).

BERT gives one vector for each text, pooler_output. Dropout, then a linear layer turn it into C
logits, one for each class. The loss is the cross-entropy, the mean over the texts that have a label
(-100 means none). BERT is trained together with the new layer.

By hand, with C = 2: if pooled is 1 2, classifier.weight is 1 0 | 0 1 and the bias is 0, the logits
are 1 2. Their softmax is 0.27 0.73, so with the label 1 the loss is -ln 0.73 = 0.31.

中文：BERT 给每段文本一个向量 pooler_output。经过 dropout 和一个线性层，变成 C 个 logits，每类一
个。损失是交叉熵，对有标签的文本取平均（-100 表示没有标签）。BERT 和新的线性层一起训练。手算：C =
2，pooled 是 1 2，classifier.weight 是 1 0 | 0 1，bias 是 0，那么 logits 是 1 2，softmax 是 0.27
0.73；标签为 1 时损失是 -ln 0.73 = 0.31。

__init__ 的参数：bert 和类别数 num_labels；线性层必须叫 classifier，宽度 E 是
bert.config.hidden_size。forward 的参数：input_ids (B, S)；attention_mask (B, S)，词元是 1，填充是
0；labels (B,)，0 到 C - 1，或者 -100。
返回：logits (B, C) 和损失（一个数）；没有 labels 时损失是 None。

    minibert learn check classifier
"""

from torch import Tensor, nn

from minibert import BertModel


class TextClassifier(nn.Module):
    """BERT with a linear layer that is called `classifier`."""

    def __init__(self, bert: BertModel, num_labels: int) -> None:
        super().__init__()
        # self.bert = ..., self.dropout = ..., self.classifier = ...
        raise NotImplementedError  # 3 lines; the width E is bert.config.hidden_size

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return logits (B, C), and the loss, a single number; None without labels.

        Args:
            input_ids: (B, S).
            attention_mask: (B, S), 1 for tokens and 0 for padding, as `BertModel` takes it.
            labels: (B,), 0 to C - 1, or -100.
        """
        # self.bert(input_ids, attention_mask=...).pooler_output is (B, E)
        raise NotImplementedError  # about 5 lines
