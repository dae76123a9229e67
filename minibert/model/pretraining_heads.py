"""The two tasks that BERT learns language from: fill in masked words, and tell if B follows A.

The decoder of the masked-word head is the token table itself: a word's score is the product of the
predicted vector with the word's own vector, plus a bias. The table is passed in and not stored
twice, so there is nothing that loading, copying or compiling could untie.

Source: Devlin et al. 2018, section 3.1; Google's `get_masked_lm_output` and
`get_next_sentence_output`.

B batch, S tokens of a sequence, K of them that are read, E hidden width, V vocabulary, N labels.
"""

from typing import Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minibert.model.bert import EncoderInputs, ModelWithHead
from minibert.model.config import BertConfig
from minibert.model.encoder import ACTIVATIONS
from minibert.model.input_checks import check_is_batch, check_labels
from minibert.model.losses import cross_entropy, sum_of_means
from minibert.model.outputs import LossTerm, MaskedLMOutput, PreTrainingOutput, TaskOutput
from minibert.model.pretrained import initialise
from minibert.model.query_positions import LabelledPlaces, labelled_places
from minibert.tokenization.padding import IGNORE_INDEX


class MaskedLMHead(nn.Module):
    """From a token's vector to a score for each word of the vocabulary."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        self.activation = ACTIVATIONS[config.hidden_act]()
        self.apply(lambda module: initialise(module, config))

    def forward(self, hidden: Tensor, token_table: Tensor) -> Tensor:
        """Score the vocabulary.

        Args:
            hidden: (..., E).
            token_table: (V, E), the embeddings of the tokens.

        Returns:
            (..., V).
        """
        transformed = self.LayerNorm(self.activation(self.dense(hidden)))
        return F.linear(transformed, token_table, self.bias)


def check_words(config: BertConfig, input_ids: Tensor, labels: Tensor) -> None:
    """Refuse labels that are not in the vocabulary."""
    shape, of = tuple(input_ids.shape), "the vocabulary (vocab_size)"
    check_labels("labels", labels, classes=config.vocab_size, shape=shape, of=of)


def places_to_score(
    model: "BertForMaskedLM | BertForPreTraining",
    input_ids: Tensor,
    labels: Tensor | None,
    *,
    all_logits: bool | None,
) -> LabelledPlaces | None:
    """The places with labels; None if all are to be computed.

    Raises:
        MiniBertError: the ids are no batch, or the labels do not fit.
    """
    check_is_batch(input_ids)
    if labels is None:
        return None
    model.check_labels(input_ids, labels=labels)
    return None if all_logits else labelled_places(labels)


def masked_lm_outputs(
    model: "BertForMaskedLM | BertForPreTraining",
    hidden: Tensor,
    labels: Tensor | None,
    places: LabelledPlaces | None,
    *,
    all_logits: bool | None,
) -> tuple[Tensor | None, Tensor | None, LossTerm | None]:
    """The logits of all positions, those of the labelled positions, and the loss.

    Args:
        model: the model whose head and token table are used.
        hidden: (B, S, E); with places (B, K, E), the vectors at these.
        labels: (B, S) ids, -100 where nothing is to be predicted; None for no loss.
        places: where the labels are, if only these are computed.
        all_logits: compute the logits of all positions; None: only when there are no labels.

    Returns:
        (B, S, V) or None, (N, V) or None, and the loss or None.
    """
    token_table = model.bert.embeddings.word_embeddings.weight
    if places is not None:
        # (B, K, E) -> (R, E) -> (R, V)
        scored = model.masked_lm(hidden.flatten(0, 1)[places.rows], token_table)
        return None, scored[: places.count], cross_entropy(scored, places.labels)
    if labels is None:
        wanted = all_logits or all_logits is None
        return model.masked_lm(hidden, token_table) if wanted else None, None, None
    logits = model.masked_lm(hidden, token_table)
    labelled = labels != IGNORE_INDEX
    labelled_logits = logits[labelled]  # (B, S, V) -> (N, V)
    return logits, labelled_logits, cross_entropy(labelled_logits, labels[labelled])


class BertForMaskedLM(ModelWithHead):
    """BERT that fills in masked words."""

    def __init__(self, config: BertConfig, *, attention: str = "auto") -> None:
        super().__init__(config, attention=attention, pooler=False)
        self.masked_lm = MaskedLMHead(config)

    def check_labels(self, input_ids: Tensor, *, labels: Tensor) -> None:
        """Refuse words that there are not."""
        check_words(self.config, input_ids, labels)

    def forward(
        self,
        input_ids: Tensor,
        *,
        labels: Tensor | None = None,
        all_logits: bool | None = None,
        **inputs: Unpack[EncoderInputs],
    ) -> MaskedLMOutput:
        """Fill in.

        Args:
            input_ids: (B, S), with [MASK] where a word is to be guessed.
            labels: (B, S) the right ids, -100 at every position that is not to be predicted.
            all_logits: compute the logits of all positions; None: only when there are no labels.
            **inputs: see `BertModel.forward`.

        Returns:
            `logits` (B, S, V), or with labels `loss` and `labelled_logits` (N, V).
        """
        places = places_to_score(self, input_ids, labels, all_logits=all_logits)
        positions = None if places is None else places.positions
        encoded = self.bert(input_ids, positions=positions, **inputs)
        logits, labelled_logits, term = masked_lm_outputs(
            self, encoded.last_hidden_state, labels, places, all_logits=all_logits
        )
        terms = {} if term is None else {"labels": term}
        return MaskedLMOutput(
            loss=sum_of_means(terms),
            logits=logits,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
            loss_terms=terms or None,
            labelled_logits=labelled_logits,
        )


class BertForNextSentencePrediction(ModelWithHead):
    """BERT that tells whether B follows A: column 0 is yes, column 1 no."""

    def __init__(self, config: BertConfig, *, attention: str = "auto") -> None:
        super().__init__(config, attention=attention, pooler=True)
        self.next_sentence = nn.Linear(config.hidden_size, 2)
        initialise(self.next_sentence, config)

    def check_labels(self, input_ids: Tensor, *, labels: Tensor) -> None:
        """Refuse what is neither yes nor no."""
        check_labels("labels", labels, classes=2, shape=(input_ids.shape[0],), of="this task")

    def forward(
        self, input_ids: Tensor, *, labels: Tensor | None = None, **inputs: Unpack[EncoderInputs]
    ) -> TaskOutput:
        """Decide.

        Args:
            input_ids: (B, S), a pair.
            labels: (B,) 0 where B follows A, 1 where B is from elsewhere, -100 for none.
            **inputs: see `BertModel.forward`.

        Returns:
            `logits` (B, 2), and `loss` when there are labels.
        """
        encoded = self.encode_first(input_ids, **inputs)
        logits = self.next_sentence(encoded.pooler_output)  # (B, E) -> (B, 2)
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


class BertForPreTraining(ModelWithHead):
    """Both tasks at once, as in the paper; each loss has its own labels and its own mean."""

    def __init__(self, config: BertConfig, *, attention: str = "auto") -> None:
        super().__init__(config, attention=attention, pooler=True)
        self.masked_lm = MaskedLMHead(config)
        self.next_sentence = nn.Linear(config.hidden_size, 2)
        initialise(self.next_sentence, config)

    def check_labels(self, input_ids: Tensor, **labels: Tensor) -> None:
        """Refuse words that there are not, and what is neither yes nor no."""
        for name, of_name in labels.items():
            if name == "labels":
                check_words(self.config, input_ids, of_name)
            else:
                shape = (input_ids.shape[0],)
                check_labels(name, of_name, classes=2, shape=shape, of="this task")

    def forward(
        self,
        input_ids: Tensor,
        *,
        labels: Tensor | None = None,
        next_sentence_label: Tensor | None = None,
        all_logits: bool | None = None,
        **inputs: Unpack[EncoderInputs],
    ) -> PreTrainingOutput:
        """Fill in and decide.

        Args:
            input_ids: (B, S), a pair with some words masked.
            labels: (B, S) the right ids, -100 at every position that is not to be predicted.
            next_sentence_label: (B,) 0 where B follows A, 1 where B is from elsewhere.
            all_logits: compute the logits of all positions; None: only when there are no labels.
            **inputs: see `BertModel.forward`.

        Returns:
            `prediction_logits` (B, S, V) or `labelled_logits` (N, V), `seq_relationship_logits` (B,
            2), and `loss`, the sum of the losses whose labels were given.
        """
        places = places_to_score(self, input_ids, labels, all_logits=all_logits)
        positions = None if places is None else places.positions
        encoded = self.bert(input_ids, positions=positions, **inputs)
        prediction_logits, labelled_logits, masked_lm_term = masked_lm_outputs(
            self, encoded.last_hidden_state, labels, places, all_logits=all_logits
        )
        relationship_logits = self.next_sentence(encoded.pooler_output)  # (B, E) -> (B, 2)
        terms = {} if masked_lm_term is None else {"labels": masked_lm_term}
        if next_sentence_label is not None:
            self.check_labels(input_ids, next_sentence_label=next_sentence_label)
            terms["next_sentence_label"] = cross_entropy(relationship_logits, next_sentence_label)
        return PreTrainingOutput(
            loss=sum_of_means(terms),
            prediction_logits=prediction_logits,
            seq_relationship_logits=relationship_logits,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
            labelled_logits=labelled_logits,
            loss_terms=terms or None,
        )
