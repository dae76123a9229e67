"""Heads for tasks: one linear layer on top of BERT, trained together with it.

B batch, S sequence length, E hidden width, C choices.

Source: Devlin et al. 2018, section 4 and figure 4; Google's `run_classifier.py` and `run_squad.py`.
Losses and label arguments are those of `transformers`.
"""

from typing import Unpack

import torch
from torch import Tensor, nn

from minibert.model.bert import BertModel, EncoderInputs
from minibert.model.config import BertConfig
from minibert.model.losses import CLASSIFICATION_LOSSES, cross_entropy, problem_type
from minibert.model.outputs import QuestionAnsweringOutput, TaskOutput
from minibert.model.pretrained import PretrainedModel
from minibert.model.query_positions import encode_first


class BertForSequenceClassification(PretrainedModel):
    """BERT that predicts a class, several classes or a number for a sentence or a pair.

    `config.problem_type` decides which. None stands for "regression" if num_labels=1, otherwise for
    "single_label_classification" with integer labels and "multi_label_classification" with others.

    Example:
        >>> import torch
        >>> model = BertForSequenceClassification(BertConfig.tiny(num_labels=3))
        >>> model(torch.tensor([[101, 7592, 102]]), labels=torch.tensor([2])).logits.shape
        torch.Size([1, 3])
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config)
        self.dropout = nn.Dropout(config.head_dropout)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels).apply(self.init_weights)

    def forward(
        self, input_ids: Tensor, *, labels: Tensor | None = None, **inputs: Unpack[EncoderInputs]
    ) -> TaskOutput:
        """Predict the label of each text or pair.

        Args:
            input_ids: (B, S).
            labels: (B,) classes, -100 for no label; (B, num_labels) of 0 and 1 for several classes;
                (B,) or (B, num_labels) numbers for regression.
            **inputs: see `BertModel.forward`.

        Returns:
            `logits` (B, num_labels), and `loss` if there are labels.
        """
        encoded = encode_first(self.bert, input_ids, **inputs)
        logits = self.classifier(self.dropout(encoded.pooler_output))  # (B, E) -> (B, num_labels)
        loss = None
        if labels is not None:
            loss = CLASSIFICATION_LOSSES[problem_type(self.config, labels)](logits, labels)
        return TaskOutput(
            logits=logits,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
        ).with_loss(labels=loss)


class BertForTokenClassification(PretrainedModel):
    """BERT that predicts a class for each token: names, parts of speech, word boundaries."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config, add_pooling_layer=False)
        self.dropout = nn.Dropout(config.head_dropout)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels).apply(self.init_weights)

    def forward(
        self, input_ids: Tensor, *, labels: Tensor | None = None, **inputs: Unpack[EncoderInputs]
    ) -> TaskOutput:
        """Predict the class of each token.

        Args:
            input_ids: (B, S).
            labels: (B, S) classes; -100 for padding, [CLS], [SEP] and all but a word's first piece.
            **inputs: see `BertModel.forward`.

        Returns:
            `logits` (B, S, num_labels), and `loss` if there are labels.
        """
        encoded = self.bert(input_ids, **inputs)
        logits = self.classifier(self.dropout(encoded.last_hidden_state))  # (B, S, num_labels)
        return TaskOutput(
            logits=logits,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
        ).with_loss(labels=None if labels is None else cross_entropy(logits, labels))


class BertForQuestionAnswering(PretrainedModel):
    """BERT that finds where an answer starts and ends: two softmaxes over the positions.

    As in Google's and Hugging Face's code, the softmaxes of the loss include padded positions. An
    answer outside the text has the label -100. (Hugging Face also ignores positions beyond the
    length, and treats negative ones as 0.)
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config, add_pooling_layer=False)
        self.bert.may_pack = False  # the loss reads padded positions
        self.qa_outputs = nn.Linear(config.hidden_size, 2).apply(self.init_weights)

    def forward(
        self,
        input_ids: Tensor,
        *,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        **inputs: Unpack[EncoderInputs],
    ) -> QuestionAnsweringOutput:
        """Predict the first and the last token of the answer.

        Args:
            input_ids: (B, S), the question and the text as a pair.
            start_positions: (B,), the first token of the answer, -100 if it is not in the text.
            end_positions: (B,), the last token of the answer, inclusive.
            **inputs: see `BertModel.forward`.

        Returns:
            `start_logits` and `end_logits` (B, S); and `loss`, the mean of both, if both are given.
        """
        encoded = self.bert(input_ids, **inputs)
        logits = self.qa_outputs(encoded.last_hidden_state)  # (B, S, E) -> (B, S, 2)
        start_logits, end_logits = logits.unbind(-1)  # (B, S, 2) -> 2 times (B, S)
        start = end = None
        if start_positions is not None and end_positions is not None:  # the mean of both
            start = cross_entropy(start_logits, start_positions) / 2
            end = cross_entropy(end_logits, end_positions) / 2
        return QuestionAnsweringOutput(
            start_logits=start_logits,
            end_logits=end_logits,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
        ).with_loss(start_positions=start, end_positions=end)


class BertForMultipleChoice(PretrainedModel):
    """BERT that chooses one of several answers: each is encoded with the question and scored."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config)
        self.dropout = nn.Dropout(config.head_dropout)
        self.classifier = nn.Linear(config.hidden_size, 1).apply(self.init_weights)

    def forward(
        self, input_ids: Tensor, *, labels: Tensor | None = None, **inputs: Unpack[EncoderInputs]
    ) -> TaskOutput:
        """Predict the correct choice.

        Args:
            input_ids: (B, C, S), a row for each choice; one that is missing is padding only.
            labels: (B,), the index of the correct choice, -100 for no label.
            **inputs: see `BertModel.forward`; they have this shape too.

        Returns:
            `logits` (B, C), and `loss` if there are labels.
        """
        # All inputs: (B, C, S) -> (B * C, S)
        rows = {n: v.flatten(0, 1) if isinstance(v, Tensor) else v for n, v in inputs.items()}
        encoded = encode_first(self.bert, input_ids.flatten(0, 1), **rows)
        scores = self.classifier(self.dropout(encoded.pooler_output))  # (B * C, E) -> (B * C, 1)
        logits = scores.view(input_ids.shape[:2])  # (B * C, 1) -> (B, C)
        if (mask := inputs.get("attention_mask")) is not None:
            given = mask.any(dim=-1)  # (B, C, S) -> (B, C); transformers scores missing ones too
            missing = given < given.any(dim=1, keepdim=True)
            logits = logits.masked_fill(missing, torch.finfo(logits.dtype).min)
        return TaskOutput(
            logits=logits,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
        ).with_loss(labels=None if labels is None else cross_entropy(logits, labels))
