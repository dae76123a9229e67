"""A classifier's answers for a whole set, and their scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from minibert.data.labelled.batches import ClassificationBatches
from minibert.data.labelled.examples import Example
from minibert.data.labelled.labels import LabelSet, Target
from minibert.evaluation.baselines import Text, bag_of_words, majority
from minibert.evaluation.metrics import (
    classification_metrics,
    multi_label_metrics,
    regression_metrics,
)
from minibert.model.task_heads import BertForSequenceClassification
from minibert.problem_types import MULTI_LABEL, REGRESSION, SINGLE_LABEL

# The score that decides which weights are kept; higher is better.
MAIN_SCORE = {MULTI_LABEL: "f1_micro", REGRESSION: "pearson"}


@dataclass(frozen=True)
class Answers:
    """What a model says about N examples."""

    logits: NDArray[np.float32]  # (N, num_labels), in the order of the examples
    loss: float | None  # the mean, where the examples have labels


@torch.inference_mode()
def run_classifier(
    model: BertForSequenceClassification,
    batches: ClassificationBatches,
    *,
    batch_size: int = 64,
) -> Answers:
    """Run a model over all examples, on the device it is on, without changing its mode.

    Texts of like length share a batch, so little is padded; the answers come back in the order of
    the examples.
    """
    device = model.device
    logits = np.zeros((len(batches.lengths), model.config.num_labels), dtype=np.float32)
    total = count = 0.0
    for indices, batch in batches.longest_first(batch_size):
        outputs = model(**{name: tensor.to(device) for name, tensor in batch.items()})
        logits[indices] = outputs.logits.float().cpu().numpy()
        for term in (outputs.loss_terms or {}).values():
            total, count = total + term.total.item(), count + term.count.item()
    return Answers(logits, total / count if count else None)


def decide(logits: NDArray[np.float32], problem_type: str) -> NDArray[Any]:
    """Logits to decisions: (N,) classes, (N, C) of 0 and 1, or (N,) numbers."""
    if problem_type == REGRESSION:
        return logits[:, 0]
    if problem_type == MULTI_LABEL:
        return (logits > 0).astype(np.int64)  # sigmoid(x) > 0.5 where x > 0
    return np.asarray(logits.argmax(axis=1))


def evaluate_classifier(
    model: BertForSequenceClassification,
    batches: ClassificationBatches,
    labels: LabelSet,
    *,
    batch_size: int = 64,
) -> dict[str, float]:
    """Loss and scores of a model on labelled examples.

    Returns:
        `loss`, and for classes `accuracy`, `f1_macro`, ...; for numbers `pearson`, `spearman`, ...
    """
    answers = run_classifier(model, batches, batch_size=batch_size)
    scores = score(answers.logits, batches.targets or [], labels)
    return {"loss": answers.loss if answers.loss is not None else float("nan"), **scores}


def score(
    logits: NDArray[np.float32], targets: Sequence[Target], labels: LabelSet
) -> dict[str, float]:
    """The scores of logits against targets, as the kind of problem calls for."""
    decisions = decide(logits, labels.problem_type)
    if labels.problem_type == REGRESSION:
        return regression_metrics(decisions, np.asarray(targets))
    if labels.problem_type == MULTI_LABEL:
        return multi_label_metrics(decisions, np.asarray(targets))
    return classification_metrics(decisions, np.asarray(targets), len(labels))


def scores_to_beat(
    train: Sequence[Example], held_out: Sequence[Example], labels: LabelSet
) -> dict[str, float]:
    """Accuracy on held-out examples of the commonest class and of a linear bag of words.

    Empty where examples do not have one class each.
    """
    if labels.problem_type != SINGLE_LABEL:
        return {}
    sides: list[tuple[list[Text], list[int]]] = []
    for examples in (train, held_out):
        texts: list[Text] = [
            e.text if e.text_pair is None else (e.text, e.text_pair) for e in examples
        ]
        sides.append((texts, [labels.label2id[str(e.label)] for e in examples]))
    (train_texts, train_labels), (texts, true) = sides
    return {
        "majority": majority(train_labels, true)["accuracy"],
        "bag_of_words": bag_of_words(train_texts, train_labels, texts, true)["accuracy"],
    }
