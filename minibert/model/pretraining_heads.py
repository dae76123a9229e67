"""The two tasks that BERT learns language from: masked words, and whether B follows A.

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
    """From a token's vector to a score for each word of the vocabulary.

    The decoder is the table of word embeddings: the score of a word is the product of the predicted
    vector with the word's own, plus a bias. The table is passed in and not stored a second time, so
    nothing that is done to a model can untie the two.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = ACTIVATIONS[config.hidden_act]()
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, hidden: Tensor, word_embeddings: Tensor) -> Tensor:
        """(..., E), with the table (V, E) -> (..., V)."""
        transformed = self.LayerNorm(self.activation(self.dense(hidden)))
        return F.linear(transformed, word_embeddings, self.bias)  # (..., E) -> (..., V)


class BertForMaskedLM(PretrainedModel):
    """BERT that fills in masked words.

    Attributes:
        masked_positions_only: with labels, compute the logits of the N labelled positions alone.
            Loss and gradients stay the same, and a training step of a small model takes a fraction
            of the time, so pretraining sets it. False by default, as in `transformers`.
    """

    masked_positions_only = False

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config, add_pooling_layer=False)
        self.masked_lm = MaskedLMHead(config).apply(self.init_weights)

    def forward(
        self, input_ids: Tensor, *, labels: Tensor | None = None, **inputs: Unpack[EncoderInputs]
    ) -> TaskOutput:
        """Fill in.

        Args:
            input_ids: (B, S), with [MASK] where a word is to be guessed.
            labels: (B, S) the right ids, -100 at every position that is not to be predicted.
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
    """BERT that tells whether B follows A: column 0 is yes, column 1 no, as in Google's code."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config)
        self.next_sentence = nn.Linear(config.hidden_size, 2).apply(self.init_weights)

    def forward(
        self, input_ids: Tensor, *, labels: Tensor | None = None, **inputs: Unpack[EncoderInputs]
    ) -> TaskOutput:
        """Decide.

        Args:
            input_ids: (B, S), a pair.
            labels: (B,) 0 where B follows A, 1 where B is from elsewhere, -100 for none.
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
    """Both tasks at once, as in the paper; `masked_positions_only` is that of `BertForMaskedLM`."""

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
        """Fill in and decide.

        Args:
            input_ids: (B, S), a pair with some words masked.
            labels: (B, S) the right ids, -100 at every position that is not to be predicted.
            next_sentence_label: (B,) 0 where B follows A, 1 where B is from elsewhere.
            **inputs: see `BertModel.forward`.

        Returns:
            `prediction_logits` (B, S, V), or (N, V) with `masked_positions_only`;
            `seq_relationship_logits` (B, 2); and `loss`, the sum of the losses (each a mean) whose
            labels were given.
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
