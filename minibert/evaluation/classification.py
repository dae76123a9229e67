"""Run a classifier on a whole split and score its predictions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from minibert.data.labelled.batches import LabelledBatches
from minibert.data.labelled.labels import LabelSet, Target
from minibert.evaluation.metrics import (
    classification_metrics,
    multi_label_metrics,
    regression_metrics,
)
from minibert.model.input_checks import check_finite
from minibert.model.task_heads import BertForSequenceClassification
from minibert.problem_types import MULTI_LABEL, REGRESSION, SINGLE_LABEL

# By problem type; higher is better.
METRIC_FOR_BEST_MODEL = {SINGLE_LABEL: "accuracy", MULTI_LABEL: "f1_micro", REGRESSION: "pearson"}


@dataclass(frozen=True)
class Predictions:
    """The outputs of a model for N examples."""

    logits: NDArray[np.float32]  # (N, num_labels), in the order of the examples
    loss: float  # the mean; NaN if the examples have no labels


@torch.inference_mode()
def predict(
    model: BertForSequenceClassification, batches: LabelledBatches, *, batch_size: int = 64
) -> Predictions:
    """Return the predictions for all examples, on the device of the model and in its mode.

    Raises:
        MiniBertError: a logit is NaN or infinite.
    """
    device = model.device
    logits = np.zeros((len(batches.lengths), model.config.num_labels), dtype=np.float32)
    total = count = 0.0
    for indices, batch in batches.longest_first(batch_size):
        outputs = model(**{name: tensor.to(device) for name, tensor in batch.items()})
        logits[indices] = check_finite(outputs.logits.float().cpu()).numpy()
        for term in (outputs.loss_terms or {}).values():
            total, count = total + term.total.item(), count + term.count.item()
    return Predictions(logits, total / count if count else math.nan)


def decide(logits: NDArray[np.float32], problem_type: str) -> NDArray[Any]:
    """Turn (N, C) logits into (N,) class ids, (N, C) of 0 and 1, or (N,) numbers."""
    if problem_type == REGRESSION:
        return logits[:, 0]  # (N, 1) -> (N,)
    if problem_type == MULTI_LABEL:
        return (logits > 0).astype(np.int64)  # sigmoid(x) > 0.5 if x > 0
    return np.asarray(logits.argmax(axis=1))  # (N, C) -> (N,)


def compute_metrics(
    logits: NDArray[np.float32], targets: Sequence[Target], labels: LabelSet
) -> dict[str, float]:
    """Return the scores of (N, C) logits for N targets, according to the problem type."""
    return score_decisions(decide(logits, labels.problem_type), targets, labels)


def score_decisions(
    decisions: NDArray[Any], targets: Sequence[Target], labels: LabelSet
) -> dict[str, float]:
    """Return the scores of what `decide` returns for N targets."""
    true = np.asarray(targets)
    if labels.problem_type == REGRESSION:
        return regression_metrics(decisions, true)
    if labels.problem_type == MULTI_LABEL:
        return multi_label_metrics(decisions, true)
    return classification_metrics(decisions, true, len(labels))


def evaluate_classifier(
    model: BertForSequenceClassification, batches: LabelledBatches, labels: LabelSet
) -> dict[str, float]:
    """Return the mean `loss` and the scores of a model on labelled examples."""
    predictions = predict(model, batches)
    scores = compute_metrics(predictions.logits, batches.targets or [], labels)
    return {"loss": predictions.loss, **scores}
