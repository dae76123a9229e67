"""The heads for pretraining: masked language modeling and next-sentence prediction.

B batch, S sequence length, E hidden width, V vocabulary.

Source: Devlin et al. 2018, section 3.1; Google's `get_masked_lm_output` and
`get_next_sentence_output`.
"""

from typing import Any, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minibert.model.bert import BertModel, EncoderInputs
from minibert.model.config import BertConfig
from minibert.model.encoder import ACTIVATIONS
from minibert.model.losses import LossTerm, cross_entropy
from minibert.model.outputs import BertModelOutput, PreTrainingOutput, TaskOutput
from minibert.model.pretrained import PretrainedModel
from minibert.model.query_positions import encode_first, score_masked_positions


class MaskedLMHead(nn.Module):
    """The head that turns the vector of a token into a logit for each word of the vocabulary.

    The decoder is the table of word embeddings: the logit of a word is the dot product of the
    transformed vector and the word's embedding, plus a bias. The table is passed in, so the two
    always stay tied.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = ACTIVATIONS[config.hidden_act]()
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, hidden: Tensor, word_embeddings: Tensor) -> Tensor:
        """Return the logits: (..., E) and word embeddings (V, E) -> (..., V)."""
        transformed = self.LayerNorm(self.activation(self.dense(hidden)))
        return F.linear(transformed, word_embeddings, self.bias)  # (..., E) -> (..., V)


class BertForMaskedLM(PretrainedModel):
    """BERT with a head for masked language modeling.

    Attributes:
        masked_positions_only: given labels, compute logits only at the N labelled positions. Loss
            and gradients stay the same, and a training step of a small model takes a fraction of
            the time, so pretraining sets it. False by default, as in `transformers`.
    """

    masked_positions_only = False

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config, add_pooling_layer=False)
        self.masked_lm = MaskedLMHead(config).apply(self.init_weights)

    def forward(
        self, input_ids: Tensor, *, labels: Tensor | None = None, **inputs: Unpack[EncoderInputs]
    ) -> TaskOutput:
        """Predict the masked words.

        Args:
            input_ids: (B, S), with [MASK] in place of the words to predict.
            labels: (B, S), the original ids at the positions to predict, and -100 at all others.
            **inputs: see `BertModel.forward`.

        Returns:
            `logits` (B, S, V), or (N, V) with `masked_positions_only`; with labels also `loss`.
        """
        encoded, logits, loss = score(self, input_ids, labels, **inputs)
        return TaskOutput(
            logits=logits,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
        ).with_loss(labels=loss)


class BertForNextSentencePrediction(PretrainedModel):
    """BERT that predicts whether B follows A: class 0 if it does, as in Google's code."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config)
        self.next_sentence = nn.Linear(config.hidden_size, 2).apply(self.init_weights)

    def forward(
        self, input_ids: Tensor, *, labels: Tensor | None = None, **inputs: Unpack[EncoderInputs]
    ) -> TaskOutput:
        """Predict whether B follows A.

        Args:
            input_ids: (B, S), [CLS] A [SEP] B [SEP].
            labels: (B,), 0 where B follows A, 1 where B is from elsewhere, -100 for no label.
            **inputs: see `BertModel.forward`.

        Returns:
            `logits` (B, 2), and `loss` if there are labels.
        """
        encoded = encode_first(self.bert, input_ids, **inputs)
        logits = self.next_sentence(encoded.pooler_output)  # (B, E) -> (B, 2)
        loss = None if labels is None else cross_entropy(logits, labels)
        return TaskOutput(
            logits=logits,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
        ).with_loss(labels=loss)


class BertForPreTraining(PretrainedModel):
    """BERT with both heads, as in the paper; see `BertForMaskedLM` for `masked_positions_only`."""

    masked_positions_only = False

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config)
        self.masked_lm = MaskedLMHead(config).apply(self.init_weights)
        self.next_sentence = nn.Linear(config.hidden_size, 2).apply(self.init_weights)

    def forward(
        self,
        input_ids: Tensor,
        *,
        labels: Tensor | None = None,
        next_sentence_label: Tensor | None = None,
        **inputs: Unpack[EncoderInputs],
    ) -> PreTrainingOutput:
        """Predict the masked words, and whether B follows A.

        Args:
            input_ids: (B, S), [CLS] A [SEP] B [SEP] with some words masked.
            labels: (B, S), the original ids at the positions to predict, and -100 at all others.
            next_sentence_label: (B,), 0 where B follows A, 1 where B is from elsewhere.
            **inputs: see `BertModel.forward`.

        Returns:
            `prediction_logits` (B, S, V), or (N, V) with `masked_positions_only`;
            `seq_relationship_logits` (B, 2); and `loss`, the sum of the mean losses whose labels
            were given.
        """
        encoded, word_logits, word_loss = score(self, input_ids, labels, **inputs)
        pair_logits = self.next_sentence(encoded.pooler_output)  # (B, E) -> (B, 2)
        pair_loss = None
        if next_sentence_label is not None:
            pair_loss = cross_entropy(pair_logits, next_sentence_label)
        return PreTrainingOutput(
            prediction_logits=word_logits,
            seq_relationship_logits=pair_logits,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
        ).with_loss(labels=word_loss, next_sentence_label=pair_loss)


def score(
    model: BertForMaskedLM | BertForPreTraining,
    input_ids: Tensor,
    labels: Tensor | None,
    **inputs: Any,
) -> tuple[BertModelOutput, Tensor, LossTerm | None]:
    """Return the encoder's output, the logits of the masked-word head, and its loss."""
    if labels is not None and model.masked_positions_only:
        return score_masked_positions(model, input_ids, labels, **inputs)
    encoded: BertModelOutput = model.bert(input_ids, **inputs)
    word_embeddings = model.bert.embeddings.word_embeddings.weight
    logits = model.masked_lm(encoded.last_hidden_state, word_embeddings)  # (B, S, E) -> (B, S, V)
    return encoded, logits, None if labels is None else cross_entropy(logits, labels)
