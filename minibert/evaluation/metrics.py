"""Scores for classes, numbers and sets of labels, each written out from its formula.

Left out: entity F1 for tagging and exact match / F1 for question answering, which compare spans
and have files of their own. Definitions follow scikit-learn with `zero_division=0`: a precision,
recall or F1 whose denominator is zero is 0, and so is a correlation with what never varies.

N is the number of examples, C the number of classes.
"""

import math
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minibert.errors import MiniBertError

IntegerArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


def accuracy(predictions: ArrayLike, labels: ArrayLike) -> float:
    """Share of predictions that equal their label: [0, 1, 1] against [0, 1, 0] is 2/3."""
    predicted, true = _two_lists(predictions, labels)
    return float(np.mean(predicted == true))


def confusion_matrix(predictions: ArrayLike, labels: ArrayLike, num_labels: int) -> IntegerArray:
    """Count how often each true class (row) was predicted as each class (column).

    Args:
        predictions: N class ids, 0 to `num_labels` - 1.
        labels: N class ids, in the same order.
        num_labels: C, also counting classes that never occur.

    Returns:
        A (C, C) matrix. Predictions [0, 1, 1] against labels [0, 1, 0] give [[1, 1], [0, 1]]:
        one 0 was found, the other was taken for a 1, and the only 1 was found.

    Raises:
        MiniBertError: no examples, lists of different length, or an id outside of the classes.
    """
    predicted, true = _two_lists(predictions, labels)
    for what, ids in (("prediction", predicted), ("label", true)):
        wrong = np.flatnonzero((ids < 0) | (ids >= num_labels) | (ids != np.floor(ids)))
        if wrong.size:
            raise MiniBertError(
                f"{what} {ids[wrong[0]]:g} at position {wrong[0]} is not a class from 0 to "
                f"{num_labels - 1}; drop ignored positions (-100) first and check the label list."
            )
    cells = true.astype(np.int64) * num_labels + predicted.astype(np.int64)
    counts = np.bincount(cells, minlength=num_labels * num_labels)
    return counts.reshape(num_labels, num_labels)  # (C * C,) -> (C, C)


def precision_recall_f1(matrix: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Precision, recall and F1 of every class, three arrays of length C, from a confusion matrix.

    precision = right / predicted (of what was called this class, how much is)
    recall    = right / true      (of what is this class, how much was found)
    F1        = 2 right / (predicted + true), which is their harmonic mean

    [[1, 1], [0, 1]] gives precision [1, 1/2], recall [1/2, 1] and F1 [2/3, 2/3].
    """
    counts = np.asarray(matrix)
    right, predicted, true = counts.diagonal(), counts.sum(axis=0), counts.sum(axis=1)
    return _ratio(right, predicted), _ratio(right, true), _ratio(2 * right, predicted + true)


def f1_macro(predictions: ArrayLike, labels: ArrayLike, num_labels: int) -> float:
    """The plain mean of the classes' F1, so that a rare class weighs as much as a common one.

    Only classes that occur, as a label or as a prediction, are averaged (as scikit-learn does).
    """
    matrix = confusion_matrix(predictions, labels, num_labels)
    return float(precision_recall_f1(matrix)[2][_occurring(matrix)].mean())


def f1_micro(predictions: ArrayLike, labels: ArrayLike, num_labels: int) -> float:
    """F1 of all classes counted together; with one label per example it is the accuracy."""
    matrix = confusion_matrix(predictions, labels, num_labels)
    right, total = matrix.trace(), matrix.sum()
    return float(2 * right / (total + total))


def f1_binary(predictions: ArrayLike, labels: ArrayLike, *, positive: int = 1) -> float:
    """F1 of one class against the rest: [1, 1, 0] against [1, 0, 0] is 2*1 / (2 + 1) = 2/3."""
    predicted, true = _two_lists(predictions, labels)
    found, wanted = predicted == positive, true == positive
    return float(_ratio(2 * np.sum(found & wanted), found.sum() + wanted.sum()))


def matthews_correlation(predictions: ArrayLike, labels: ArrayLike, num_labels: int) -> float:
    """Correlation of predicted and true classes: 1 perfect, 0 no better than chance (GLUE's CoLA).

    With s examples, c of them right, and t_k true and p_k predicted examples of class k
    (Gorodkin 2004; for two classes it is Matthews 1975):

        (c s - sum_k p_k t_k) / sqrt((s^2 - sum_k p_k^2) (s^2 - sum_k t_k^2))

    [[1, 1], [0, 1]] gives (2*3 - (1*2 + 2*1)) / sqrt((9 - 5) (9 - 5)) = 2/4.
    """
    matrix = confusion_matrix(predictions, labels, num_labels).astype(np.float64)
    predicted, true = matrix.sum(axis=0), matrix.sum(axis=1)
    examples, right = matrix.sum(), matrix.trace()
    spread = (examples**2 - predicted @ predicted) * (examples**2 - true @ true)
    return float(_ratio(right * examples - predicted @ true, np.sqrt(spread)))


def mean_squared_error(predictions: ArrayLike, labels: ArrayLike) -> float:
    """Mean of (prediction - label)^2: [1, 2] against [1, 4] is (0 + 4) / 2 = 2."""
    predicted, true = _two_lists(predictions, labels)
    return float(np.mean((predicted - true) ** 2))


def pearson(predictions: ArrayLike, labels: ArrayLike) -> float:
    """Linear correlation: sum of products over root of sums of squares, both around their means.

    [1, 2, 3] against [2, 4, 6] is 1; against [6, 4, 2] it is -1; against a constant it is 0.
    """
    predicted, true = _two_lists(predictions, labels)
    if np.ptp(predicted) == 0 or np.ptp(true) == 0:
        return 0.0  # asked of the values, because around their rounded mean they may seem to vary
    x, y = predicted - predicted.mean(), true - true.mean()
    return float(_ratio(x @ y, np.linalg.norm(x) * np.linalg.norm(y)))


def spearman(predictions: ArrayLike, labels: ArrayLike) -> float:
    """Pearson's correlation of the ranks, so only the order counts: [1, 2, 9], [1, 2, 3] -> 1."""
    predicted, true = _two_lists(predictions, labels)
    return pearson(ranks(predicted), ranks(true))


def ranks(values: ArrayLike) -> FloatArray:
    """Rank from 1, equal values sharing the mean of their ranks: [10, 30, 30] -> [1, 2.5, 2.5]."""
    _, group, sizes = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    last = np.cumsum(sizes)
    return np.asarray((last - (sizes - 1) / 2)[group], dtype=np.float64)


def perplexity(loss: float) -> float:
    """e^loss for a mean loss in nats: the number of words a uniform guess would choose among."""
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf


def classification_metrics(
    predictions: ArrayLike, labels: ArrayLike, num_labels: int
) -> dict[str, float]:
    """Scores for one class per example: accuracy, f1_macro, matthews, and f1 of class 1 if C is 2.

    Example:
        >>> classification_metrics([0, 1, 1], [0, 1, 0], 2)["accuracy"]
        0.6666666666666666
    """
    scores = {
        "accuracy": accuracy(predictions, labels),
        "f1_macro": f1_macro(predictions, labels, num_labels),
        "matthews": matthews_correlation(predictions, labels, num_labels),
    }
    if num_labels == 2:
        scores["f1"] = f1_binary(predictions, labels)
    return scores


def regression_metrics(predictions: ArrayLike, labels: ArrayLike) -> dict[str, float]:
    """Scores for one number per example (GLUE's STS-B): pearson, spearman, mean_squared_error."""
    return {
        "pearson": pearson(predictions, labels),
        "spearman": spearman(predictions, labels),
        "mean_squared_error": mean_squared_error(predictions, labels),
    }


def multi_label_metrics(predictions: ArrayLike, labels: ArrayLike) -> dict[str, float]:
    """Scores for any number of classes per example.

    Args:
        predictions: (N, C) of 0 and 1, decisions and not probabilities.
        labels: (N, C) of 0 and 1.

    Returns:
        `accuracy`, the share of examples whose whole set is right; `f1_micro`, over all N * C
        decisions; `f1_macro`, the mean over the C classes. [[1, 0], [1, 1]] against
        [[1, 0], [0, 1]] gives accuracy 1/2, micro 2*2 / (3 + 2) = 4/5, macro (2/3 + 1) / 2 = 5/6.

    Raises:
        MiniBertError: no examples, other shapes, or values other than 0 and 1.
    """
    predicted, true = np.asarray(predictions), np.asarray(labels)
    if predicted.shape != true.shape or predicted.ndim != 2 or not predicted.size:
        raise MiniBertError(
            f"multi-label scores need two tables of the same shape (examples, classes), not "
            f"{predicted.shape} and {true.shape}."
        )
    if not (np.isin(predicted, (0, 1)).all() and np.isin(true, (0, 1)).all()):
        raise MiniBertError(
            "multi-label scores need 0 and 1; compare probabilities with 0.5 first."
        )
    right = ((predicted == 1) & (true == 1)).sum(axis=0)  # (N, C) -> (C,)
    both = predicted.sum(axis=0) + true.sum(axis=0)  # (N, C) -> (C,)
    return {
        "accuracy": float((predicted == true).all(axis=1).mean()),
        "f1_micro": float(_ratio(2 * right.sum(), both.sum())),
        "f1_macro": float(_ratio(2 * right, both).mean()),
    }


def classification_report(
    predictions: ArrayLike, labels: ArrayLike, names: Sequence[str]
) -> dict[str, Any]:
    """Precision, recall, F1 and number of examples of every class, ready for JSON.

    Args:
        predictions: N class ids.
        labels: N class ids.
        names: the C class names, in the order of their ids.

    Returns:
        `classes`, a list of {name, precision, recall, f1, support}; `macro`, the plain mean over
        the classes that occur; `weighted`, the mean weighted by support; `accuracy`.
        `report_table` makes text of it.
    """
    matrix = confusion_matrix(predictions, labels, len(names))
    columns = dict(zip(("precision", "recall", "f1"), precision_recall_f1(matrix), strict=True))
    support, occurring = matrix.sum(axis=1), _occurring(matrix)
    return {
        "classes": [
            {"name": name}
            | {column: float(values[i]) for column, values in columns.items()}
            | {"support": int(support[i])}
            for i, name in enumerate(names)
        ],
        "macro": {column: float(values[occurring].mean()) for column, values in columns.items()},
        "weighted": {
            column: float(values @ support / support.sum()) for column, values in columns.items()
        },
        "accuracy": float(matrix.trace() / matrix.sum()),
    }


def report_table(report: dict[str, Any]) -> str:
    """The dictionary of `classification_report` as an aligned table, also for Chinese names."""
    examples = sum(row["support"] for row in report["classes"])
    rows = [
        *report["classes"],
        {"name": "mean over classes", **report["macro"], "support": examples},
        {"name": "mean weighted by examples", **report["weighted"], "support": examples},
    ]
    width = max(_display_width(row["name"]) for row in rows)
    lines = [f"{'':{width}}  precision  recall     F1  examples"]
    for row in rows:
        padding = " " * (width - _display_width(row["name"]))
        scores = f"{row['precision']:9.3f}  {row['recall']:6.3f}  {row['f1']:5.3f}"
        lines.append(f"{row['name']}{padding}  {scores}  {row['support']:8d}")
    lines.insert(1 + len(report["classes"]), "")
    return "\n".join([*lines, "", f"accuracy {report['accuracy']:.3f}"])


def _display_width(text: str) -> int:
    """Columns a text takes in a terminal: a Chinese character two, a combining mark none."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def _occurring(matrix: IntegerArray) -> NDArray[np.bool_]:
    """Which of the C classes were seen or predicted at least once."""
    return np.asarray((matrix.sum(axis=0) + matrix.sum(axis=1)) > 0)


def _ratio(part: ArrayLike, whole: ArrayLike) -> FloatArray:
    """Divide, and give 0 where `whole` is 0."""
    above, below = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _two_lists(predictions: ArrayLike, labels: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Both as arrays of N finite numbers, N at least 1."""
    predicted = np.asarray(predictions, dtype=np.float64)
    true = np.asarray(labels, dtype=np.float64)
    if predicted.ndim != 1 or predicted.shape != true.shape or not predicted.size:
        raise MiniBertError(
            f"scores need as many predictions as labels, one number each and at least one; found "
            f"shapes {predicted.shape} and {true.shape}."
        )
    if not (np.isfinite(predicted).all() and np.isfinite(true).all()):
        raise MiniBertError("a prediction or label is not a finite number; has training diverged?")
    return predicted, true
