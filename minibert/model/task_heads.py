"""BERT for a task: one linear layer on top, trained together with everything below.

Source: Devlin et al. 2018, section 4 and figure 4; Google's `run_classifier.py` and `run_squad.py`.
Losses and the names of labels are those of `transformers`.

B batch, S tokens of a sequence, E hidden width, C choices.
"""

from typing import Any, Unpack

import torch
from torch import Tensor, nn

from minibert.errors import MiniBertError
from minibert.model.bert import EncoderInputs, ModelWithHead
from minibert.model.config import BertConfig
from minibert.model.input_checks import check_is_batch, check_is_tensor, check_labels
from minibert.model.losses import binary_cross_entropy, cross_entropy, squared_error, sum_of_means
from minibert.model.outputs import LossTerm, QuestionAnsweringOutput, TaskOutput
from minibert.model.pretrained import initialise


class TaskModel(ModelWithHead):
    """An encoder, dropout, and a linear layer whose width the task decides."""

    def __init__(self, config: BertConfig, *, attention: str, pooler: bool) -> None:
        super().__init__(config, attention=attention, pooler=pooler)
        given = config.classifier_dropout
        self.dropout = nn.Dropout(config.hidden_dropout_prob if given is None else given)

    def _new_layer(self, outputs: int) -> nn.Linear:
        layer = nn.Linear(self.config.hidden_size, outputs)
        initialise(layer, self.config)
        return layer


class BertForSequenceClassification(TaskModel):
    """One answer for a sentence or a pair: a class, several classes, or a number.

    `config.problem_type` says which. Left open, it is "regression" for num_labels=1, and otherwise
    "single_label_classification" for whole-number labels and "multi_label_classification" for
    others.

    Example:
        >>> import torch
        >>> model = BertForSequenceClassification(BertConfig.tiny(num_labels=3))
        >>> model(torch.tensor([[101, 7592, 102]]), labels=torch.tensor([2])).logits.shape
        torch.Size([1, 3])
    """

    def __init__(self, config: BertConfig, *, attention: str = "auto") -> None:
        super().__init__(config, attention=attention, pooler=True)
        self.classifier = self._new_layer(config.num_labels)

    def forward(
        self, input_ids: Tensor, *, labels: Tensor | None = None, **inputs: Unpack[EncoderInputs]
    ) -> TaskOutput:
        """Classify.

        Args:
            input_ids: (B, S).
            labels: (B,) classes, -100 for none; (B, num_labels) of 0 and 1 for several classes;
                (B,) or (B, num_labels) numbers for regression.
            **inputs: see `BertModel.forward`.

        Returns:
            `logits` (B, num_labels), and `loss` when there are labels.
        """
        encoded = self.encode_first(input_ids, **inputs)
        logits = self.classifier(self.dropout(encoded.pooler_output))  # (B, E) -> (B, num_labels)
        terms = {}
        if labels is not None:
            self.check_labels(input_ids, labels=labels)
            terms["labels"] = self._loss(logits, labels)
        return TaskOutput(
            loss=sum_of_means(terms),
            logits=logits,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
            loss_terms=terms or None,
        )

    def check_labels(self, input_ids: Tensor, *, labels: Tensor) -> None:
        """Refuse classes that there are not."""
        check_is_tensor("labels", labels)
        if self._problem_of(labels) == "single_label_classification":
            shape = tuple(input_ids.shape[:1])
            check_labels("labels", labels, classes=self.config.num_labels, shape=shape)

    def _loss(self, logits: Tensor, labels: Tensor) -> LossTerm:
        problem = self._problem_of(labels)
        if problem == "single_label_classification":
            return cross_entropy(logits, labels)
        if problem == "regression" and logits.shape[1] == 1 and labels.dim() == 1:
            labels = labels[:, None]
        if labels.shape != logits.shape:
            raise MiniBertError(
                f"labels has the shape {tuple(labels.shape)}; for {problem.replace('_', ' ')} it "
                f"must be {tuple(logits.shape)}, a number for each example and output."
            )
        return (squared_error if problem == "regression" else binary_cross_entropy)(logits, labels)

    def _problem_of(self, labels: Tensor) -> str:
        if self.config.problem_type is not None:
            return self.config.problem_type
        if self.config.num_labels == 1:
            return "regression"
        whole = not labels.is_floating_point() and labels.dtype != torch.bool
        return "single_label_classification" if whole else "multi_label_classification"


class BertForTokenClassification(TaskModel):
    """A class for each token: names, parts of speech, word boundaries."""

    def __init__(self, config: BertConfig, *, attention: str = "auto") -> None:
        super().__init__(config, attention=attention, pooler=False)
        self.classifier = self._new_layer(config.num_labels)

    def check_labels(self, input_ids: Tensor, *, labels: Tensor) -> None:
        """Refuse classes that there are not."""
        shape = tuple(input_ids.shape)
        check_labels("labels", labels, classes=self.config.num_labels, shape=shape)

    def forward(
        self, input_ids: Tensor, *, labels: Tensor | None = None, **inputs: Unpack[EncoderInputs]
    ) -> TaskOutput:
        """Tag.

        Args:
            input_ids: (B, S).
            labels: (B, S) classes; -100 for padding, [CLS], [SEP] and all but a word's first piece.
            **inputs: see `BertModel.forward`.

        Returns:
            `logits` (B, S, num_labels), and `loss` when there are labels.
        """
        encoded = self.bert(input_ids, **inputs)
        logits = self.classifier(self.dropout(encoded.last_hidden_state))  # -> (B, S, num_labels)
        terms = {}
        if labels is not None:
            self.check_labels(input_ids, labels=labels)
            # (B, S, num_labels) -> (B * S, num_labels)
            terms["labels"] = cross_entropy(logits.flatten(0, 1), labels.flatten())
        return TaskOutput(
            loss=sum_of_means(terms),
            logits=logits,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
            loss_terms=terms or None,
        )


class BertForQuestionAnswering(TaskModel):
    """Where in the text the answer starts and ends: two softmaxes over the positions.

    As in Google's and Hugging Face's code, the softmaxes of the loss run over padded positions too.
    A position outside of this window is -100 and nothing else (Hugging Face also ignores positions
    beyond the length, and silently takes negative ones as 0).
    """

    def __init__(self, config: BertConfig, *, attention: str = "auto") -> None:
        super().__init__(config, attention=attention, pooler=False)
        self.qa_outputs = self._new_layer(2)

    def check_labels(self, input_ids: Tensor, **positions: Tensor) -> None:
        """Refuse positions beyond the length of the batch."""
        check_is_batch(input_ids)
        batch, length = input_ids.shape
        for name, of_name in positions.items():
            check_labels(name, of_name, classes=length, shape=(batch,), of="the length")

    def forward(
        self,
        input_ids: Tensor,
        *,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        **inputs: Unpack[EncoderInputs],
    ) -> QuestionAnsweringOutput:
        """Find the answer.

        Args:
            input_ids: (B, S), the question and the text as a pair.
            start_positions: (B,) the token at which the answer starts, -100 if it is not here.
            end_positions: (B,) the token at which it ends, included.
            **inputs: see `BertModel.forward`.

        Returns:
            `start_logits` and `end_logits` (B, S), and `loss`, the mean of both, when both are
            given.
        """
        if (start_positions is None) != (end_positions is None):
            raise MiniBertError("give both start_positions and end_positions, or neither.")
        if start_positions is not None and end_positions is not None:
            self.check_labels(
                input_ids, start_positions=start_positions, end_positions=end_positions
            )
        encoded = self.bert(input_ids, **inputs)
        logits = self.qa_outputs(encoded.last_hidden_state)  # (B, S, E) -> (B, S, 2)
        start_logits, end_logits = logits.unbind(-1)  # 2 of (B, S)
        terms = {}
        for name, of_positions, positions in (
            ("start_positions", start_logits, start_positions),
            ("end_positions", end_logits, end_positions),
        ):
            if positions is not None:
                term = cross_entropy(of_positions, positions)
                terms[name] = LossTerm(term.total / 2, term.count)
        return QuestionAnsweringOutput(
            loss=sum_of_means(terms),
            start_logits=start_logits,
            end_logits=end_logits,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
            loss_terms=terms or None,
        )


class BertForMultipleChoice(TaskModel):
    """Which of several continuations fits: each is read with the question and given one number."""

    def __init__(self, config: BertConfig, *, attention: str = "auto") -> None:
        super().__init__(config, attention=attention, pooler=True)
        self.classifier = self._new_layer(1)

    def check_labels(self, input_ids: Tensor, *, labels: Tensor) -> None:
        """Refuse choices that there are not."""
        batch, choices = input_ids.shape[:2]
        check_labels("labels", labels, classes=choices, shape=(batch,), of="the choices")

    def forward(
        self, input_ids: Tensor, *, labels: Tensor | None = None, **inputs: Unpack[EncoderInputs]
    ) -> TaskOutput:
        """Choose.

        Args:
            input_ids: (B, C, S), a row for each choice; all other inputs have this shape too.
            labels: (B,) the right choice, -100 for none.
            **inputs: see `BertModel.forward`.

        Returns:
            `logits` (B, C), and `loss` when there are labels.
        """
        check_is_tensor("input_ids", input_ids)
        if input_ids.dim() != 3:
            raise MiniBertError(
                f"input_ids has the shape {tuple(input_ids.shape)}; for multiple choice it must be "
                "(batch, choices, tokens)."
            )
        batch, choices, _ = input_ids.shape
        flat: dict[str, Any] = {
            name: value.flatten(0, 1) if isinstance(value, Tensor) else value
            for name, value in inputs.items()
        }
        encoded = self.encode_first(input_ids.flatten(0, 1), **flat)  # (B, C, S) -> (B * C, S)
        scores = self.classifier(self.dropout(encoded.pooler_output))  # -> (B * C, 1)
        logits = scores.view(batch, choices)
        terms = {}
        if labels is not None:
            self.check_labels(input_ids, labels=labels)
            terms["labels"] = cross_entropy(logits, labels)
        return TaskOutput(
            loss=sum_of_means(terms),
            logits=logits,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
            loss_terms=terms or None,
        )
