"""The two tasks that BERT learns language from: fill in masked words, and tell if B follows A.

The decoder of the masked-word head is the token table itself: a word's score is the product of the
predicted vector with the word's own vector, plus a bias. The table is passed in and not stored
twice, so there is nothing that loading, copying or compiling could untie.

Source: Devlin et al. 2018, section 3.1; Google's `get_masked_lm_output` and
`get_next_sentence_output`.

B batch, S tokens of a sequence, K of them that are read, E hidden width, V vocabulary, N labels.
"""

import math
from typing import Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minibert.model.bert import EncoderInputs, ModelWithHead
from minibert.model.checks import check_is_batch, check_labels
from minibert.model.config import BertConfig
from minibert.model.encoder import activate
from minibert.model.losses import IGNORED, cross_entropy, sum_of_means
from minibert.model.outputs import LossTerm, MaskedLMOutput, PreTrainingOutput, TaskOutput
from minibert.model.pretrained import initialise

# Google's code: `next_sentence_label = 1 if is_random_next else 0`. The data have the same two
# numbers of their own, since neither data nor models import the other.
IS_NEXT = 0
IS_RANDOM = 1


class MaskedLMHead(nn.Module):
    """From a token's vector to a score for each word of the vocabulary."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        self.activation = config.hidden_act
        self.apply(lambda module: initialise(module, config))

    def forward(self, hidden: Tensor, token_table: Tensor) -> Tensor:
        """Score the vocabulary.

        Args:
            hidden: (..., E).
            token_table: (V, E), the embeddings of the tokens.

        Returns:
            (..., V).
        """
        transformed = self.norm(activate(self.dense(hidden), self.activation))
        return F.linear(transformed, token_table, self.bias)


def positions_to_read(
    config: BertConfig, input_ids: Tensor, labels: Tensor | None, *, all_logits: bool | None
) -> tuple[Tensor | None, Tensor | None]:
    """Where the heads will look, and the labels there.

    Only one word in seven has a label. No other needs the last layer, except [CLS] for the pooler,
    nor its scores: V is up to 250 times E, and to score all positions would make a training step of
    a 2-layer model 4 x as long on a CPU.

    Args:
        config: the model's.
        input_ids: (B, S).
        labels: (B, S) ids, -100 where nothing is to be predicted; None for no loss.
        all_logits: everywhere, whatever the labels are.

    Returns:
        (B, K), [CLS] first, then the words with labels and as many others as fill the row; or None
        for everywhere. And the labels, (B, K) or (B, S).

    Raises:
        MiniBertError: the ids are no batch, or the labels do not fit.
    """
    check_is_batch(input_ids)
    if labels is None:
        return None, None
    check_labels(
        "labels",
        labels,
        classes=config.vocab_size,
        shape=tuple(input_ids.shape),
        of="the vocabulary (vocab_size)",
    )
    if all_logits:
        return None, labels
    wanted = labels != IGNORED
    wanted[:, :1] = True
    most = int(wanted.sum(dim=1).max()) if len(wanted) else 1
    positions = wanted.int().argsort(dim=1, descending=True, stable=True)[:, :most]
    return positions, labels.gather(1, positions)


def masked_lm_outputs(
    model: "BertForMaskedLM | BertForPreTraining",
    hidden: Tensor,
    labels: Tensor | None,
    *,
    all_logits: bool | None,
) -> tuple[Tensor | None, Tensor | None, LossTerm | None]:
    """The logits of all positions, those of the labelled positions, and the loss.

    Args:
        model: the model whose head and token table are used.
        hidden: (B, K, E).
        labels: (B, K) ids, -100 where nothing is to be predicted; None for no loss.
        all_logits: compute the logits of all positions; None: only when there are no labels.

    Returns:
        (B, K, V) or None, (N, V) or None, and the loss or None.
    """
    token_table = model.bert.embeddings.token.weight
    if all_logits is None:
        all_logits = labels is None
    logits = model.masked_lm(hidden, token_table) if all_logits else None
    if labels is None:
        return logits, None, None
    if logits is not None:
        labelled = labels != IGNORED
        labelled_logits = logits[labelled]  # (B, K, V) -> (N, V)
        return logits, labelled_logits, cross_entropy(labelled_logits, labels[labelled])
    rows, count = rows_to_score(labels)
    # (B, K, E) -> (N + up to 15, E) -> (N + up to 15, V)
    some_logits = model.masked_lm(hidden.flatten(0, 1)[rows], token_table)
    return None, some_logits[:count], cross_entropy(some_logits, labels.flatten()[rows])


def rows_to_score(labels: Tensor) -> tuple[Tensor, int]:
    """The words with labels, and some without to make their number a multiple of 16.

    Every batch has another number of them, and for every new shape of a matrix product in bfloat16
    a CPU gets code of its own, which takes time at first and then stays in memory: half a gigabyte.

    Returns:
        Places in the flattened labels, those with labels first; and how many have labels.
    """
    missing = labels.flatten() == IGNORED
    count = missing.numel() - int(missing.sum())
    return missing.int().argsort(stable=True)[: math.ceil(count / 16) * 16], count


class BertForMaskedLM(ModelWithHead):
    """BERT that fills in masked words."""

    def __init__(self, config: BertConfig, *, attention: str = "auto") -> None:
        super().__init__(config, attention=attention, pooler=False)
        self.masked_lm = MaskedLMHead(config)

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
        positions, labels = positions_to_read(self.config, input_ids, labels, all_logits=all_logits)
        encoded = self.bert(input_ids, positions=positions, **inputs)
        logits, labelled_logits, term = masked_lm_outputs(
            self, encoded.last_hidden_state, labels, all_logits=all_logits
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
    """BERT that tells whether B follows A: column 0 (`IS_NEXT`) is yes, 1 (`IS_RANDOM`) no."""

    def __init__(self, config: BertConfig, *, attention: str = "auto") -> None:
        super().__init__(config, attention=attention, pooler=True)
        self.next_sentence = nn.Linear(config.hidden_size, 2)
        initialise(self.next_sentence, config)

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
            check_labels("labels", labels, classes=2, shape=(input_ids.shape[0],), of="this task")
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
        positions, labels = positions_to_read(self.config, input_ids, labels, all_logits=all_logits)
        encoded = self.bert(input_ids, positions=positions, **inputs)
        prediction_logits, labelled_logits, masked_lm_term = masked_lm_outputs(
            self, encoded.last_hidden_state, labels, all_logits=all_logits
        )
        relationship_logits = self.next_sentence(encoded.pooler_output)  # (B, E) -> (B, 2)
        terms = {} if masked_lm_term is None else {"labels": masked_lm_term}
        if next_sentence_label is not None:
            check_labels(
                "next_sentence_label",
                next_sentence_label,
                classes=2,
                shape=(input_ids.shape[0],),
                of="this task",
            )
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
