import torch
import torch.nn.functional as F
from torch import nn

from learn_solutions import right, wrong


class Base(nn.Module):
    def __init__(self, bert, num_labels):
        super().__init__()
        self.bert, self.dropout = bert, nn.Dropout(0.1)
        self.classifier = nn.Linear(bert.config.hidden_size, num_labels)

    def pooled(self, ids, mask):
        return self.bert(ids, attention_mask=mask).pooler_output

    def logits(self, ids, mask):
        return self.classifier(self.dropout(self.pooled(ids, mask)))

    def loss(self, logits, labels):
        return F.cross_entropy(logits, labels)

    def forward(self, input_ids, attention_mask, labels=None):
        logits = self.logits(input_ids, attention_mask)
        return logits, None if labels is None else self.loss(logits, labels)


@right
class right_1(Base):  # noqa: N801
    pass


@right
class right_2(Base):  # noqa: N801
    """The pooler and the loss by hand."""

    def pooled(self, ids, mask):
        hidden = self.bert(ids, attention_mask=mask).last_hidden_state
        return self.bert.pooler.dense(hidden[:, 0]).tanh()

    def loss(self, logits, labels):
        chosen = logits[labels != -100].log_softmax(-1)
        return -chosen[torch.arange(len(chosen)), labels[labels != -100]].mean()


@right
class right_3(Base):  # noqa: N801
    """Other modules."""

    def __init__(self, bert, num_labels):
        super().__init__(bert, num_labels)
        self.head = nn.Sequential(nn.Dropout(0.2), self.classifier)
        self.criterion = nn.CrossEntropyLoss(ignore_index=-100)

    def forward(self, input_ids, attention_mask, labels=None):
        logits = self.head(self.bert(input_ids, attention_mask=attention_mask)[1])
        return [logits, self.criterion(logits, labels) if labels is not None else None]


@wrong("BERT does not get the attention mask")
class NoMask(Base):
    def pooled(self, ids, mask):
        return self.bert(ids, attention_mask=torch.ones_like(ids)).pooler_output


@wrong("you read the last hidden state of [CLS]")
class FirstState(Base):
    def pooled(self, ids, mask):
        return self.bert(ids, attention_mask=mask).last_hidden_state[:, 0]


@wrong("you read the last token")
class LastState(Base):
    def pooled(self, ids, mask):
        return self.bert(ids, attention_mask=mask).last_hidden_state[:, -1]


@wrong("you read the mean of all hidden states, padding included")
class MeanOfPadding(Base):
    def pooled(self, ids, mask):
        return self.bert(ids, attention_mask=mask).last_hidden_state.mean(1)


@wrong("these are probabilities; return logits")
class Probabilities(Base):
    def logits(self, ids, mask):
        return super().logits(ids, mask).softmax(-1)


@wrong("softmax is applied before the cross-entropy")
class TwoSoftmaxes(Base):
    def loss(self, logits, labels):
        return F.cross_entropy(logits.softmax(-1), labels)


@wrong("the loss is the sum over the texts")
class SumOfLosses(Base):
    def loss(self, logits, labels):
        return F.cross_entropy(logits, labels, reduction="sum")


@wrong("texts with the label -100 count")
class MeanOfAll(Base):
    def loss(self, logits, labels):
        return F.cross_entropy(logits, labels, reduction="none").mean()


@wrong("there is no dropout in training")
class NoDropout(Base):
    def logits(self, ids, mask):
        return self.classifier(self.pooled(ids, mask))


@wrong("the logits differ from call to call after eval()")
class DropoutAlways(Base):
    def logits(self, ids, mask):
        return self.classifier(F.dropout(self.pooled(ids, mask), 0.1))


@wrong("BERT is fine-tuned together with the classifier")
class Detached(Base):
    def pooled(self, ids, mask):
        return super().pooled(ids, mask).detach()


@wrong("BERT is no part of the model")
class Outside(Base):
    def __init__(self, bert, num_labels):
        super().__init__(bert, num_labels)
        del self.bert
        self.outside = [bert]

    def pooled(self, ids, mask):
        return self.outside[0](ids, attention_mask=mask).pooler_output


@wrong("`classifier.weight` has the shape (2, 128), and (3, 128) is right")
class TwoClasses(Base):
    def __init__(self, bert, num_labels):
        super().__init__(bert, 2)


@wrong("return the 2 values logits, loss")
class LogitsAlone(Base):
    def forward(self, input_ids, attention_mask, labels=None):
        return self.logits(input_ids, attention_mask)


@wrong("`loss` has the shape (4,), and () is right")
class LossOfEach(Base):
    def loss(self, logits, labels):
        return F.cross_entropy(logits, labels, reduction="none")
