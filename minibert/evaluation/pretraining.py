"""Evaluate masked language modeling and next-sentence prediction on held-out text."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from minibert.data.sampler import Batch
from minibert.errors import MiniBertError
from minibert.evaluation.metrics import perplexity
from minibert.model.losses import LossTerm
from minibert.model.pretraining_heads import BertForMaskedLM, BertForPreTraining
from minibert.tokenization.padding import IGNORE_INDEX

HELD_OUT_SHARE = 0.02  # of the documents
EVAL_BATCH_SIZE = 64
MAX_EVAL_BATCHES = 100  # during training; at the end, all held-out text is used


@torch.inference_mode()
def evaluate_pretraining(
    model: BertForPreTraining | BertForMaskedLM,
    batches: Iterable[Batch],
    *,
    max_batches: int | None = None,
) -> dict[str, float]:
    """Return the losses and accuracies of both pretraining tasks.

    Args:
        model: on any device; its mode is not changed.
        batches: with `labels`, and for `BertForPreTraining` with `next_sentence_label`. Scores are
            comparable only if the batches and their masks are the same each time.
        max_batches: the number of batches to use; None for all.

    Returns:
        `loss` (the mean over masked words), `masked_lm_accuracy` and `perplexity`; with sentence
        pairs also `next_sentence_loss` and `next_sentence_accuracy`, which is about 0.5 for a
        constant prediction.

    Raises:
        MiniBertError: no word is masked.
    """
    device = model.device
    words, pairs = _Tally(), _Tally()
    for batch in islice(batches, max_batches):
        moved = {name: tensor.to(device) for name, tensor in batch.items()}
        outputs = model(**moved)
        labelled = moved["labels"] != IGNORE_INDEX
        logits = outputs[1]  # after the loss: (B, S, V), or (N, V) with `masked_positions_only`
        logits = logits[labelled] if logits.dim() == 3 else logits
        words.add(logits, moved["labels"][labelled], outputs.loss_terms["labels"])
        if "next_sentence_label" in moved:
            term = outputs.loss_terms["next_sentence_label"]
            pairs.add(outputs.seq_relationship_logits, moved["next_sentence_label"], term)
    if not words.count:
        raise MiniBertError(
            "no word is masked in the text for evaluation; give more text, or text whose "
            "characters are in the vocabulary."
        )
    scores = {
        "loss": words.loss / words.count,
        "masked_lm_accuracy": words.right / words.count,
        "perplexity": perplexity(words.loss / words.count),
    }
    if pairs.count:
        scores["next_sentence_loss"] = pairs.loss / pairs.count
        scores["next_sentence_accuracy"] = pairs.right / pairs.count
    return scores


def next_sentence_majority(labels: Tensor) -> float:
    """Return the accuracy of always predicting the more common of (N,) labels; -100 is ignored."""
    random = labels[labels != IGNORE_INDEX].double().mean().item()
    return max(random, 1 - random)


@dataclass
class _Tally:
    """The sums of one task so far."""

    loss: float = 0.0
    count: int = 0
    right: int = 0

    def add(self, logits: Tensor, labels: Tensor, term: LossTerm) -> None:
        """Add N predictions: logits (N, classes) and labels (N,)."""
        self.loss += term.total.item()
        self.count += int(term.count)
        self.right += int((logits.argmax(dim=-1) == labels).sum())
