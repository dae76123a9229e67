"""How well masked words are guessed and sentence pairs told apart, on held-out text."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from minibert.data.labelled.batches import Batch
from minibert.errors import MiniBertError
from minibert.evaluation.metrics import perplexity
from minibert.model.outputs import LossTerm
from minibert.model.pretraining_heads import BertForMaskedLM, BertForPreTraining
from minibert.tokenization.padding import IGNORE_INDEX

HELD_OUT_SHARE = 0.02  # of the documents
EVALUATED_BATCHES = 100  # while training; in the end all held-out text is
JUDGE_BATCH_SIZE = 64


@torch.inference_mode()
def evaluate_pretraining(
    model: BertForPreTraining | BertForMaskedLM,
    batches: Iterable[Batch],
    *,
    most: int | None = None,
) -> dict[str, float]:
    """Losses and accuracies of both tasks.

    Args:
        model: on any device; its mode is not changed.
        batches: with `labels`, and for `BertForPreTraining` with `next_sentence_label`. Give the
            same batches with the same masks each time, or the scores do not compare.
        most: use the first so many batches only.

    Returns:
        `loss` (of masked words, a mean over them), `masked_lm_accuracy` and `perplexity`; with
        pairs also `next_sentence_loss` and `next_sentence_accuracy`, of which the commoner answer
        alone gives about 0.5.

    Raises:
        MiniBertError: no word was masked.
    """
    device = model.device
    words, pairs = _Tally(), _Tally()
    for batch in islice(batches, most):
        moved = {name: tensor.to(device) for name, tensor in batch.items()}
        outputs = model(**moved)
        labels = moved["labels"]
        words.add(
            outputs.labelled_logits, labels[labels != IGNORE_INDEX], outputs.loss_terms["labels"]
        )
        if "next_sentence_label" in moved:
            term = outputs.loss_terms["next_sentence_label"]
            pairs.add(outputs.seq_relationship_logits, moved["next_sentence_label"], term)
    if not words.count:
        raise MiniBertError(
            "no word is masked in the text to evaluate on; give more of it, or text that the "
            "vocabulary has the characters of."
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
    """How often the commoner answer is right, of the pairs (N,) that have a label."""
    random = labels[labels != IGNORE_INDEX].double().mean().item()
    return max(random, 1 - random)


@dataclass
class _Tally:
    """What one task has come to so far."""

    loss: float = 0.0
    count: int = 0
    right: int = 0

    def add(self, logits: Tensor, labels: Tensor, term: LossTerm) -> None:
        """Count N more answers: logits (N, classes) against labels (N,)."""
        self.loss += term.total.item()
        self.count += int(term.count)
        self.right += int((logits.argmax(dim=-1) == labels).sum())
