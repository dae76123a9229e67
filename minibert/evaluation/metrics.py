"""Compute the metrics of classifiers and regressors, each directly from its formula.

Definitions follow scikit-learn with `zero_division=0`: a precision, recall or F1 whose denominator
is zero is 0, and so is a correlation with a constant. For one class per text, all metrics are
computed from the confusion matrix.

N is the number of examples, C the number of classes.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minibert.errors import MiniBertError

MAX_CLASSES_LISTED = 40  # of more classes, only the worst are shown
WORST_LISTED = 20

IntegerArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


def classification_metrics(
    predictions: ArrayLike, labels: ArrayLike, num_labels: int
) -> dict[str, float]:
    """Return accuracy, f1_macro, matthews and, for two classes, f1: the F1 of class 1.

    The F1 over all classes together (micro) equals the accuracy.

    Args:
        predictions: N class ids.
        labels: N class ids.
        num_labels: C.

    Raises:
        MiniBertError: see `confusion_matrix`.

    Example:
        >>> classification_metrics([0, 1, 1], [0, 1, 0], 2)["accuracy"]
        0.6666666666666666
    """
    matrix = confusion_matrix(predictions, labels, num_labels)
    scores = {
        "accuracy": float(matrix.trace() / matrix.sum()),
        "f1_macro": f1_macro(matrix),
        "matthews": matthews_correlation(matrix),
    }
    if num_labels == 2:
        scores["f1"] = float(precision_recall_f1(matrix)[2][1])
    return scores


def confusion_matrix(predictions: ArrayLike, labels: ArrayLike, num_labels: int) -> IntegerArray:
    """Count how often each true class (row) was predicted as each class (column).

    Args:
        predictions: N class ids, 0 to C - 1.
        labels: N class ids, in the same order.
        num_labels: C, which includes classes that never occur.

    Returns:
        (C, C) counts. Predictions [0, 1, 1] for labels [0, 1, 0] give [[1, 1], [0, 1]]: one 0 is
        correct, the other 0 was predicted as 1, and the only 1 is correct.

    Raises:
        MiniBertError: there are no examples, the lengths differ, or an id is not a class.
    """
    predicted, true = _checked(predictions, labels)
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
    """Return the precision, recall and F1 of every class, (C,) each, from a confusion matrix.

    precision = correct / predicted    (the share of the predictions that are correct)
    recall    = correct / true         (the share of the examples that are found)
    F1        = 2 correct / (predicted + true), their harmonic mean

    [[1, 1], [0, 1]] gives precision [1, 1/2], recall [1/2, 1] and F1 [2/3, 2/3].
    """
    counts = np.asarray(matrix)
    return scores_of_counts(counts.diagonal(), counts.sum(axis=0), counts.sum(axis=1))


def scores_of_counts(
    right: ArrayLike, predicted: ArrayLike, true: ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return precision, recall and F1 from the counts of each class."""
    right, predicted, true = np.asarray(right), np.asarray(predicted), np.asarray(true)
    return _ratio(right, predicted), _ratio(right, true), _ratio(2 * right, predicted + true)


def f1_macro(matrix: IntegerArray) -> float:
    """Return the mean F1 of the classes that occur as a label or as a prediction.

    A rare class counts as much as a common one.
    """
    return float(precision_recall_f1(matrix)[2][_occurring(matrix)].mean())


def matthews_correlation(matrix: IntegerArray) -> float:
    """Return the correlation of predicted and true classes: 1 is perfect, 0 is chance (CoLA).

    With s examples, c of them correct, and t_k true and p_k predicted examples of class k
    (Gorodkin 2004; for two classes Matthews 1975):

        (c s - sum_k p_k t_k) / sqrt((s^2 - sum_k p_k^2) (s^2 - sum_k t_k^2))

    [[1, 1], [0, 1]] gives (2*3 - (1*2 + 2*1)) / sqrt((9 - 5) (9 - 5)) = 2/4.
    """
    counts = matrix.astype(np.float64)
    predicted, true = counts.sum(axis=0), counts.sum(axis=1)
    examples, right = counts.sum(), counts.trace()
    spread = (examples**2 - predicted @ predicted) * (examples**2 - true @ true)
    return float(_ratio(right * examples - predicted @ true, np.sqrt(spread)))


def classification_report(
    predictions: ArrayLike, labels: ArrayLike, names: Sequence[str]
) -> dict[str, Any]:
    """Return the precision, recall, F1 and number of examples of every class, ready for JSON.

    Args:
        predictions: N class ids; for any number of classes per example, (N, C) of 0 and 1.
        labels: likewise.
        names: C class names, in the order of their ids.

    Returns:
        `classes`, a list of {name, precision, recall, f1, support}; `macro`, the mean over the
        classes that occur (over all, if an example can have several); `weighted`, the mean
        weighted by support; and `accuracy`, the share of examples that are entirely correct.
    """
    predicted, true = np.asarray(predictions), np.asarray(labels)
    if predicted.ndim == 2:
        right, predicted_count, support = (
            table.sum(axis=0) for table in (predicted * true, predicted, true)
        )  # (N, C) -> (C,)
        accuracy, occurring = (predicted == true).all(axis=1).mean(), np.ones(len(names), bool)
    else:
        matrix = confusion_matrix(predictions, labels, len(names))
        right, predicted_count, support = matrix.diagonal(), matrix.sum(axis=0), matrix.sum(axis=1)
        accuracy, occurring = matrix.trace() / matrix.sum(), _occurring(matrix)
    scores = np.stack(scores_of_counts(right, predicted_count, support))  # (3, C)

    def named(values: FloatArray) -> dict[str, float]:
        return dict(zip(("precision", "recall", "f1"), values.tolist(), strict=True))

    return {
        "classes": [
            {"name": name, **named(scores[:, i]), "support": int(support[i])}
            for i, name in enumerate(names)
        ],
        "macro": named(scores[:, occurring].mean(axis=1)),
        "weighted": named(scores @ support / max(1, support.sum())),
        "accuracy": float(accuracy),
    }


def report_table(report: dict[str, Any]) -> str:
    """Return a `classification_report` as a table that stays aligned with names in any script.

    Of many classes, only those with the lowest F1 are shown.
    """
    support = sum(row["support"] for row in report["classes"])
    means = [
        {"name": f"{mean} average", **report[mean], "support": support}
        for mean in ("macro", "weighted")
    ]
    lines = ["precision  recall     F1  support"]
    classes = report["classes"]
    if len(classes) > MAX_CLASSES_LISTED:
        lines.insert(0, f"the {WORST_LISTED} of {len(classes):,} classes with the lowest F1")
        found = [row for row in classes if row["support"]]
        classes = sorted(found, key=lambda row: row["f1"])[:WORST_LISTED]
    for row in [*classes, *means]:
        scores = f"{row['precision']:9.3f}  {row['recall']:6.3f}  {row['f1']:5.3f}"
        lines.append(f"{scores}  {row['support']:7d}  {row['name']}")
    return "\n".join([*lines, "", f"accuracy {report['accuracy']:.3f}"])


def matrix_table(matrix: IntegerArray, names: Sequence[str]) -> str:
    """Return a confusion matrix as text: a row for each true class, a column for each prediction.

    Example:
        >>> print(matrix_table(np.array([[3, 1], [0, 4]]), ["no", "yes"]))
          1  2  predicted
          3  1  true 1 no
          0  4  true 2 yes
    """
    width = 2 + max(len(str(matrix.max())), len(str(len(names))))
    header = "".join(f"{number:{width}d}" for number in range(1, len(names) + 1))
    lines = [f"{header}  predicted"]
    for number, (row, name) in enumerate(zip(matrix.tolist(), names, strict=True), start=1):
        lines.append("".join(f"{count:{width}d}" for count in row) + f"  true {number} {name}")
    return "\n".join(lines)


def confusion_table(matrix: IntegerArray, names: Sequence[str]) -> str:
    """Return the most frequent errors of a confusion matrix, one pair of classes per line.

    Example:
        >>> print(confusion_table(np.array([[3, 1], [0, 4]]), ["no", "yes"]))
        count  share  true -> predicted
            1    25%  no -> yes
    """
    cells = [(-matrix[i, j], i, j) for i, j in np.argwhere(matrix).tolist() if i != j]
    lines = ["count  share  true -> predicted"]
    for count, true, predicted in sorted(cells)[:WORST_LISTED]:
        share = -count / matrix[true].sum()
        lines.append(f"{-count:5d}  {share:5.0%}  {names[true]} -> {names[predicted]}")
    return "\n".join(lines)


def multi_label_metrics(predictions: ArrayLike, labels: ArrayLike) -> dict[str, float]:
    """Return the scores for any number of classes per example.

    Args:
        predictions: (N, C) of 0 and 1, not probabilities.
        labels: (N, C) of 0 and 1.

    Returns:
        `accuracy`, the share of examples with all C predictions correct; `f1_micro`, over all N * C
        predictions; `f1_macro`, the mean over the classes. [[1, 0], [1, 1]] for [[1, 0], [0, 1]]
        gives accuracy 1/2, micro 2*2 / (3 + 2) = 4/5, macro (2/3 + 1) / 2 = 5/6.

    Raises:
        MiniBertError: there are no examples, the shapes differ, or a value is not 0 or 1.
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


def regression_metrics(predictions: ArrayLike, labels: ArrayLike) -> dict[str, float]:
    """Return pearson, spearman and mean_squared_error of N numbers (STS-B).

    Raises:
        MiniBertError: there are no examples, the lengths differ, or a number is not finite.
    """
    predicted, true = _checked(predictions, labels)
    return {
        "pearson": pearson(predicted, true),
        "spearman": pearson(ranks(predicted), ranks(true)),  # only the order counts
        "mean_squared_error": float(np.mean((predicted - true) ** 2)),
    }


def pearson(x: FloatArray, y: FloatArray) -> float:
    """Return the linear correlation of N pairs of numbers, or 0 if one of them is constant.

    With both centered: sum(x y) / sqrt(sum(x^2) sum(y^2)). The correlation of [1, 2, 3] with
    [2, 4, 6] is 1, and with [6, 4, 2] it is -1.
    """
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0  # a constant minus its rounded mean may not be 0
    x, y = x - x.mean(), y - y.mean()
    return float(_ratio(x @ y, np.linalg.norm(x) * np.linalg.norm(y)))


def ranks(values: ArrayLike) -> FloatArray:
    """Return the ranks from 1; equal values share their mean: [10, 30, 30] -> [1, 2.5, 2.5]."""
    _, group, sizes = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    last = np.cumsum(sizes)
    return np.asarray((last - (sizes - 1) / 2)[group], dtype=np.float64)


def by_length(
    lengths: ArrayLike, scores: ArrayLike, *, groups: int = 5
) -> list[tuple[int, int, int, float]]:
    """Return the mean score of short and of long texts, to see whether length makes a difference.

    Args:
        lengths: (N,) tokens of each text.
        scores: (N,), such as 1 for a correct prediction and 0 for another.
        groups: about equally many texts each; texts of one length are in one group.

    Returns:
        For each group its shortest and longest length, the number of texts, and their mean score.

    Example:
        >>> by_length([4, 5, 5, 9], [1, 1, 0, 0], groups=2)
        [(4, 5, 3, 0.6666666666666666), (9, 9, 1, 0.0)]
    """
    found, values = np.asarray(lengths), np.asarray(scores, dtype=np.float64)
    edges = np.quantile(found, np.arange(1, groups) / groups, method="lower")
    group = np.searchsorted(np.unique(edges), found)
    parts = [group == number for number in np.unique(group)]
    return [
        (int(found[p].min()), int(found[p].max()), int(p.sum()), float(values[p].mean()))
        for p in parts
    ]


def perplexity(loss: float) -> float:
    """Return e^loss for a mean loss in nats: the number of equally likely words it amounts to."""
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf


def _occurring(matrix: IntegerArray) -> NDArray[np.bool_]:
    return np.asarray((matrix.sum(axis=0) + matrix.sum(axis=1)) > 0)  # (C, C) -> (C,)


def _ratio(part: ArrayLike, whole: ArrayLike) -> FloatArray:
    """Return part / whole, or 0 where `whole` is 0."""
    above, below = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _checked(predictions: ArrayLike, labels: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return both as arrays of N finite numbers, N at least 1."""
    predicted = np.asarray(predictions, dtype=np.float64)
    true = np.asarray(labels, dtype=np.float64)
    if predicted.ndim != 1 or predicted.shape != true.shape or not predicted.size:
        raise MiniBertError(
            "predictions and labels must be two lists of numbers of the same length, at least 1; "
            f"found the shapes {predicted.shape} and {true.shape}."
        )
    if not (np.isfinite(predicted).all() and np.isfinite(true).all()):
        raise MiniBertError("a prediction or label is not a finite number; did training diverge?")
    return predicted, true
