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
from minibert.model.pretrained import PretrainedModel
from minibert.problem_types import MULTI_LABEL, REGRESSION, SINGLE_LABEL

# By problem type; higher is better.
METRIC_FOR_BEST_MODEL = {SINGLE_LABEL: "accuracy", MULTI_LABEL: "f1_micro", REGRESSION: "pearson"}


@dataclass(frozen=True)
class Predictions:
    """The outputs of a model for N examples."""

    logits: NDArray[np.float32]  # (N, labels or choices), in the order of the examples
    loss: float  # the mean; NaN if the examples have no labels


@torch.inference_mode()
def predict(
    model: PretrainedModel, batches: LabelledBatches, *, batch_size: int = 64
) -> Predictions:
    """Return the predictions for all examples, on the device of the model and in its mode.

    Args:
        model: any whose output has logits for each example, of the same number.
        batches: the examples.
        batch_size: examples at a time.

    Raises:
        MiniBertError: a logit is NaN or infinite.
    """
    device = model.device
    order: list[int] = []
    parts: list[NDArray[np.float32]] = []
    total = count = 0.0
    for indices, batch in batches.longest_first(batch_size):
        outputs = model(**{name: tensor.to(device) for name, tensor in batch.items()})
        parts.append(check_finite(outputs.logits.float().cpu()).numpy())
        order += indices
        for term in (outputs.loss_terms or {}).values():
            total, count = total + term.total.item(), count + term.count.item()
    logits = np.concatenate(parts)[np.argsort(order)]
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


def losses_by_example(
    logits: NDArray[np.float32], targets: NDArray[Any], problem_type: str
) -> NDArray[np.float64]:
    """Return the loss of each of N examples, to find the most wrong ones.

    Args:
        logits: (N, C).
        targets: (N,) classes; (N, C) of 0 and 1; or (N,) numbers.
        problem_type: one of `PROBLEM_TYPES`.
    """
    scores, true = logits.astype(np.float64), np.asarray(targets)
    if problem_type == REGRESSION:
        losses = (scores[:, 0] - true) ** 2
    elif problem_type == MULTI_LABEL:
        losses = np.logaddexp(0, scores * (1 - 2 * true)).mean(axis=1)  # -log sigmoid(+-x)
    else:
        losses = np.logaddexp.reduce(scores, axis=1) - scores[np.arange(len(true)), true]
    return np.asarray(losses)


def evaluate_classifier(
    model: PretrainedModel, batches: LabelledBatches, labels: LabelSet
) -> dict[str, float]:
    """Return the mean `loss` and the scores of a model on labelled examples."""
    predictions = predict(model, batches)
    scores = compute_metrics(predictions.logits, batches.targets or [], labels)
    return {"loss": predictions.loss, **scores}


def evaluate_choices(
    model: PretrainedModel, batches: LabelledBatches, *, batch_size: int = 16
) -> dict[str, float]:
    """Return the mean `loss` and the `accuracy` of a multiple-choice model on questions."""
    predictions = predict(model, batches, batch_size=batch_size)
    right = predictions.logits.argmax(axis=1) == np.asarray(batches.targets)
    return {"loss": predictions.loss, "accuracy": float(right.mean())}
