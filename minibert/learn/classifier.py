"""Exercise: a classifier on top of BERT, from the ids to the loss."""

from collections.abc import Set
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minibert.files import bundled
from minibert.learn.compare import Text, Wrong, expect, expect_parts, expect_tensor
from minibert.model.attention import SelfAttention
from minibert.model.bert import BertModel

FUNCTIONS = ("TextClassifier",)
LESSON = "12"
SOLUTION = "minibert/model/task_heads.py, BertForSequenceClassification"
HINTS = (
    Text(
        "BERT gives one vector for the whole text: pooler_output, (B, E). The classifier is a "
        "linear layer on it.",
        "BERT 给整段文本一个向量：pooler_output，(B, E)。分类器就是它上面的一个线性层。",
    ),
    Text(
        "Give BERT the attention mask, too. F.cross_entropy takes logits, not probabilities, and "
        "returns the mean.",
        "把 attention_mask 也传给 BERT。F.cross_entropy 要的是 logits，不是概率；返回的是均值。",
    ),
    Text(
        "pooled = self.bert(input_ids, attention_mask=attention_mask).pooler_output; logits = "
        "self.classifier(self.dropout(pooled)); loss = F.cross_entropy(logits, labels).",
        "依次写：pooled = self.bert(input_ids, attention_mask=attention_mask).pooler_output；"
        "logits = self.classifier(self.dropout(pooled))；loss = F.cross_entropy(logits, labels)。",
    ),
)
MISTAKES = {
    "no mask": Text(
        "BERT does not get the attention mask, so it reads padding as text.",
        "没有把 attention_mask 传给 BERT，它把填充也当成了文本。",
    ),
    "first": Text(
        "you read the last hidden state of [CLS]; a classifier of BERT reads pooler_output, which "
        "is a dense layer and tanh after it.",
        "你读的是 [CLS] 的最后隐藏状态；BERT 的分类器读 pooler_output，即再经过 dense 和 tanh 的。",
    ),
    "mean": Text(
        "you read the mean of all hidden states, padding included; read pooler_output.",
        "你读的是所有隐藏状态（连填充一起）的平均；应该读 pooler_output。",
    ),
    "masked mean": Text(
        "you read the mean of the hidden states; read pooler_output.",
        "你读的是隐藏状态的平均；应该读 pooler_output。",
    ),
    "last": Text(
        "you read the last token, which is [SEP] or padding; read pooler_output.",
        "你读的是最后一个词元，它是 [SEP] 或填充；应该读 pooler_output。",
    ),
    "tanh": Text("there is a tanh too many: pooler_output has it already.", "多做了一次 tanh。"),
    "softmax": Text(
        "these are probabilities; return logits, because the cross-entropy applies softmax itself.",
        "这是概率；应该返回 logits，因为交叉熵自己会做 softmax。",
    ),
}
LOSS_MISTAKES = {
    "softmax": Text(
        "softmax is applied before the cross-entropy, which applies it again: the loss can never "
        "come near 0.",
        "交叉熵之前又做了一次 softmax，等于做了两次：损失永远到不了 0 附近。",
    ),
    "sum": Text(
        "the loss is the sum over the texts; take the mean, or a larger batch needs another "
        "learning rate.",
        "损失是各文本之和；应该取平均，否则批量一变学习率也要变。",
    ),
    "no ignored": Text(
        "texts with the label -100 count; they have no label and are left out.",
        "标签为 -100 的文本也算进去了；它们没有标签，应该跳过。",
    ),
    "negative": Text("the loss has the wrong sign.", "损失的符号反了。"),
}


def classify(
    model: Any, ids: Tensor, mask: Tensor, linear: nn.Module, *, mistakes: Set[str]
) -> Tensor:
    """Return the logits (B, C) of BERT and a linear layer, with these mistakes."""
    encoded = model(ids, attention_mask=torch.ones_like(mask) if "no mask" in mistakes else mask)
    pooled, hidden = encoded.pooler_output, encoded.last_hidden_state
    pooled = hidden[:, 0] if "first" in mistakes else pooled
    pooled = hidden[:, -1] if "last" in mistakes else pooled
    pooled = hidden.mean(1) if "mean" in mistakes else pooled
    if "masked mean" in mistakes:
        pooled = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
    logits: Tensor = linear(pooled.tanh() if "tanh" in mistakes else pooled)
    return logits.softmax(-1) if "softmax" in mistakes else logits


def loss_of(logits: Tensor, labels: Tensor, *, mistakes: Set[str]) -> Tensor:
    """Return the cross-entropy, with these mistakes."""
    logits = logits.softmax(-1) if "softmax" in mistakes else logits
    loss = F.cross_entropy(logits, labels, reduction="sum")
    loss = -loss if "negative" in mistakes else loss
    count = (labels >= -200 if "no ignored" in mistakes else labels >= 0).sum()
    return loss if "sum" in mistakes else loss / count


def check(student: Any) -> None:
    """Compare with BERT of `weights/tiny`, then train a step."""
    bert = BertModel.from_pretrained(bundled("weights/tiny"), quiet=True).eval()
    for module in bert.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # so that only the dropout of the head is left
        elif isinstance(module, SelfAttention):
            module.dropout = 0.0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = student.TextClassifier(bert, 3)
        linear = getattr(model, "classifier", None)
        if not isinstance(model, nn.Module) or not isinstance(linear, nn.Linear):
            raise Wrong(
                "there is no nn.Linear with the name `classifier` in an nn.Module.",
                "nn.Module 里没有名为 `classifier` 的 nn.Linear。",
            )
        expect_tensor(linear.weight, (3, 128), "classifier.weight")
        own = {id(parameter) for parameter in model.parameters()}
        if not own >= {id(parameter) for parameter in bert.parameters()}:
            raise Wrong(
                "BERT is no part of the model: self.bert = bert, so that its weights are trained "
                "and saved.",
                "模型里没有 BERT：写 self.bert = bert，这样它的权重才会被训练和保存。",
            )
        _check_answers(model, bert, linear)
        _check_training(model, bert)


IDS = torch.tensor([[2, 331, 2021, 304, 3], [2, 777, 3, 0, 0], [2, 8, 9, 3, 0], [2, 5, 6, 7, 3]])
MASK = (IDS > 0).long()


def _check_answers(model: nn.Module, bert: nn.Module, linear: nn.Linear) -> None:
    """Raise unless logits and loss are right."""
    nn.init.normal_(linear.weight)
    labels = torch.tensor([2, 0, -100, 1])
    with torch.no_grad():
        given = model.eval()(IDS, MASK, labels)
        expect_parts(given, ("logits", "loss"))
        for name, shape, part in (("logits", (4, 3), given[0]), ("loss", (), given[1])):
            expect_tensor(part, shape, name)
        if not torch.equal(model(IDS, MASK, labels)[0], given[0]):
            raise Wrong(
                "the logits differ from call to call after eval(): use an nn.Dropout module, "
                "which eval() switches off.",
                "eval() 之后每次调用的 logits 还是不同：请用 nn.Dropout 模块，eval() 会关掉它。",
            )
        right = classify(bert, IDS, MASK, linear, mistakes=frozenset())
        expect(
            given[0],
            right,
            "logits",
            compute=lambda names: classify(bert, IDS, MASK, linear, mistakes=names),
            mistakes=MISTAKES,
        )
        expect(
            given[1],
            loss_of(right, labels, mistakes=frozenset()),
            "loss",
            compute=lambda names: loss_of(right, labels, mistakes=names),
            mistakes=LOSS_MISTAKES,
        )
        alone = model(IDS, MASK)
        expect_parts(alone, ("logits", "loss"))
        if alone[1] is not None:
            raise Wrong(
                "without labels there is a loss; it should be None.",
                "没有标签时也返回了损失；应该是 None。",
            )


def _check_training(model: nn.Module, bert: Any) -> None:
    """Raise unless there is dropout in training, and a gradient for all of BERT."""
    bert.train()
    labels = torch.tensor([2, 0, 1, 1])
    first, loss = model.train()(IDS, MASK, labels)
    second, _ = model(IDS, MASK, labels)
    if torch.equal(first, second):
        raise Wrong(
            "there is no dropout in training: put nn.Dropout(0.1) before the classifier.",
            "训练时没有 dropout：请在分类器之前加 nn.Dropout(0.1)。",
        )
    if loss.requires_grad:
        loss.backward()
    missing = [n for n, p in model.named_parameters() if p.grad is None]
    if missing:
        raise Wrong(
            f"the loss has no gradient for {missing[0]} ({len(missing)} parameters): BERT is "
            "fine-tuned together with the classifier; remove detach() and no_grad().",
            f"损失对 {missing[0]} 没有梯度（共 {len(missing)} 个参数）："
            "BERT 要和分类器一起微调；请去掉 detach() 和 no_grad()。",
        )
