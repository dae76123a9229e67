"""Scores: every formula on a case small enough for paper, then against scikit-learn and scipy.

You can rely on: the numbers are scikit-learn's with `zero_division=0`; a class that never occurs, a
single class and a constant prediction give a number and never NaN; impossible input is refused in
one sentence.
"""

import json
import math

import numpy as np
import pytest

from minibert.errors import MiniBertError
from minibert.evaluation import metrics

PREDICTIONS, LABELS = [0, 1, 1, 2, 2, 2], [0, 1, 0, 2, 2, 1]
RANDOM_CASES = [(seed, classes) for seed in range(3) for classes in (2, 3, 7)]


def random_classes(seed: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Predictions and labels of 60 examples that leave the last class out when there are seven."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, max(2, classes - 1), 60), rng.integers(0, max(2, classes - 1), 60)


def test_accuracy_is_the_share_of_equal_entries():
    scores = metrics.classification_metrics(PREDICTIONS, LABELS, 3)
    assert scores["accuracy"] == pytest.approx(4 / 6)


def test_confusion_matrix_has_true_classes_as_rows():
    matrix = metrics.confusion_matrix(PREDICTIONS, LABELS, 3)
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 2]]


def test_precision_recall_and_f1_by_hand():
    precision, recall, f1 = metrics.precision_recall_f1([[1, 1], [0, 1]])
    assert precision.tolist() == [1, 0.5]
    assert recall.tolist() == [0.5, 1]
    assert f1.tolist() == pytest.approx([2 / 3, 2 / 3])


def test_f1_macro_is_the_mean_over_classes():
    matrix = metrics.confusion_matrix(PREDICTIONS, LABELS, 3)
    assert metrics.f1_macro(matrix) == pytest.approx((2 / 3 + 1 / 2 + 4 / 5) / 3)


def test_f1_of_two_classes_counts_class_1_only():
    scores = metrics.classification_metrics([1, 1, 1, 0], [1, 0, 0, 0], 2)
    assert scores["f1"] == pytest.approx(2 * 1 / (3 + 1))
    assert "f1" not in metrics.classification_metrics(PREDICTIONS, LABELS, 3)


def test_matthews_correlation_is_one_for_perfect_and_zero_for_a_constant_guess():
    def matthews(predictions):
        return metrics.classification_metrics(predictions, [0, 1, 0], 2)["matthews"]

    assert matthews([0, 1, 1]) == pytest.approx(0.5)
    assert matthews([0, 1, 0]) == pytest.approx(1)
    assert matthews([1, 0, 1]) == pytest.approx(-1)
    assert matthews([0, 0, 0]) == 0


def test_a_class_that_never_occurs_is_not_averaged():
    assert metrics.classification_metrics([0, 1], [0, 1], 5)["f1_macro"] == 1


def test_one_class_only_gives_numbers_and_no_warning(recwarn):
    scores = metrics.classification_metrics([0, 0], [0, 0], 2)
    assert scores == {"accuracy": 1, "f1_macro": 1, "matthews": 0, "f1": 0}
    assert not recwarn.list


def test_ranks_share_the_mean_of_ties():
    assert metrics.ranks([10, 30, 30]).tolist() == [1, 2.5, 2.5]
    assert metrics.ranks([5, 1, 5, 5]).tolist() == [3, 1, 3, 3]


def test_correlations_of_lines_and_constants():
    def score(name, predictions, labels):
        return metrics.regression_metrics(predictions, labels)[name]

    assert score("pearson", [1, 2, 3], [2, 4, 6]) == pytest.approx(1)
    assert score("pearson", [1, 2, 3], [6, 4, 2]) == pytest.approx(-1)
    assert score("pearson", [0.1, 0.1, 0.1], [1, 2, 3]) == 0
    assert score("spearman", [1, 2, 900], [1, 2, 3]) == pytest.approx(1)
    assert score("mean_squared_error", [1, 2], [1, 4]) == 2


def test_texts_are_grouped_by_length_and_equal_lengths_stay_together():
    found = metrics.by_length([9, 1, 2, 8], [1, 0, 1, 0], groups=2)
    assert found == [(1, 2, 2, 0.5), (8, 9, 2, 0.5)]
    assert metrics.by_length([7, 7, 7], [1, 1, 0]) == [(7, 7, 3, pytest.approx(2 / 3))]
    groups = metrics.by_length(range(100), [0.5] * 100)
    assert [count for _, _, count, _ in groups] == [20] * 5
    assert (groups[0][0], groups[-1][1]) == (0, 99)


def test_perplexity_is_the_number_of_equally_likely_words():
    assert metrics.perplexity(math.log(30)) == pytest.approx(30)
    assert metrics.perplexity(1e4) == math.inf


def test_multi_label_scores_by_hand():
    scores = metrics.multi_label_metrics([[1, 0], [1, 1]], [[1, 0], [0, 1]])
    assert scores == pytest.approx({"accuracy": 1 / 2, "f1_micro": 4 / 5, "f1_macro": 5 / 6})


@pytest.mark.parametrize(
    ("predictions", "labels", "sentence"),
    [
        ([], [], "at least 1"),
        ([1], [1, 0], "of the same length"),
        ([0, 1], [0, -100], "label -100 at position 1"),
        ([0, 2], [0, 1], "prediction 2 at position 1"),
        ([0, 0.5], [0, 1], r"prediction 0\.5 at position 1"),
        ([0, math.nan], [0, 1], "not a finite number"),
    ],
)
def test_impossible_classes_are_refused_in_one_sentence(predictions, labels, sentence):
    with pytest.raises(MiniBertError, match=sentence):
        metrics.classification_metrics(predictions, labels, 2)


@pytest.mark.parametrize(
    ("predictions", "labels", "sentence"),
    [
        ([], [], "at least 1"),
        ([1.5], [1.5, 2.5], "of the same length"),
        ([[1.5]], [[1.5]], "two lists of numbers"),
        ([1.5, math.inf], [0, 1], "not a finite number"),
    ],
)
def test_impossible_numbers_are_refused_in_one_sentence(predictions, labels, sentence):
    with pytest.raises(MiniBertError, match=sentence):
        metrics.regression_metrics(predictions, labels)


def test_multi_label_scores_refuse_probabilities_and_other_shapes():
    with pytest.raises(MiniBertError, match="compare probabilities"):
        metrics.multi_label_metrics([[0.9, 0.1]], [[1, 0]])
    with pytest.raises(MiniBertError, match="same shape"):
        metrics.multi_label_metrics([[1, 0]], [[1, 0, 0]])


def test_the_report_is_json_and_its_table_is_aligned_for_chinese_names():
    report = metrics.classification_report(PREDICTIONS, LABELS, ["体育", "finance", "科技x"])
    assert json.loads(json.dumps(report)) == report
    assert report["classes"][1] == {
        "name": "finance",
        "precision": 0.5,
        "recall": 0.5,
        "f1": 0.5,
        "support": 2,
    }
    assert metrics.report_table(report).splitlines() == [
        "precision  recall     F1  support",
        "    1.000   0.500  0.667        2  体育",
        "    0.500   0.500  0.500        2  finance",
        "    0.667   1.000  0.800        2  科技x",
        "    0.722   0.667  0.656        6  macro average",
        "    0.722   0.667  0.656        6  weighted average",
        "",
        "accuracy 0.667",
    ]


@pytest.mark.parametrize(("seed", "classes"), RANDOM_CASES)
def test_class_scores_equal_scikit_learn(seed, classes):
    sklearn = pytest.importorskip("sklearn.metrics")
    predictions, labels = random_classes(seed, classes)
    ours = metrics.classification_metrics(predictions, labels, classes)
    assert ours["accuracy"] == pytest.approx(sklearn.accuracy_score(labels, predictions))
    assert ours["f1_macro"] == pytest.approx(sklearn.f1_score(labels, predictions, average="macro"))
    assert ours["matthews"] == pytest.approx(sklearn.matthews_corrcoef(labels, predictions))
    # As the docstring says, the F1 of all classes counted together is the accuracy.
    micro = sklearn.f1_score(labels, predictions, average="micro")
    assert ours["accuracy"] == pytest.approx(micro)
    if classes == 2:
        assert ours["f1"] == pytest.approx(sklearn.f1_score(labels, predictions))
    matrix = metrics.confusion_matrix(predictions, labels, classes)
    assert np.array_equal(
        matrix, sklearn.confusion_matrix(labels, predictions, labels=range(classes))
    )
    per_class = sklearn.precision_recall_fscore_support(
        labels, predictions, labels=range(classes), zero_division=0
    )
    assert np.allclose(metrics.precision_recall_f1(matrix), per_class[:3])
    weighted = metrics.classification_report(predictions, labels, [str(i) for i in range(classes)])
    assert weighted["weighted"]["f1"] == pytest.approx(
        sklearn.f1_score(labels, predictions, average="weighted")
    )


@pytest.mark.parametrize("seed", range(5))
def test_correlations_equal_scipy_with_and_without_ties(seed):
    scipy = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(seed)
    for values in (rng.normal(size=(2, 50)), rng.integers(0, 6, size=(2, 50))):
        ours = metrics.regression_metrics(*values)
        assert ours["pearson"] == pytest.approx(scipy.pearsonr(*values).statistic)
        assert ours["spearman"] == pytest.approx(scipy.spearmanr(*values).statistic)
        assert ours["mean_squared_error"] == pytest.approx(np.square(values[0] - values[1]).mean())
        assert np.allclose(metrics.ranks(values[0]), scipy.rankdata(values[0]))


@pytest.mark.parametrize("seed", range(5))
def test_multi_label_scores_equal_scikit_learn(seed):
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    predictions, labels = (rng.random((2, 40, 5)) < 0.3).astype(int)
    labels[:, 4] = predictions[:, 4] = 0  # a class that never occurs
    ours = metrics.multi_label_metrics(predictions, labels)
    assert ours["accuracy"] == pytest.approx(sklearn.accuracy_score(labels, predictions))
    for average in ("micro", "macro"):
        expected = sklearn.f1_score(labels, predictions, average=average, zero_division=0)
        assert ours[f"f1_{average}"] == pytest.approx(expected)


def test_of_many_classes_the_worst_and_the_most_confused_are_listed():
    draw = np.random.default_rng(0)
    labels = np.arange(100).repeat(3)
    predictions = np.where(draw.random(300) < 0.9, labels, (labels + 1) % 100)
    predictions[:3] = [7, 7, 7]  # class 0 is always taken for class 7
    names = [f"class {i}" for i in range(100)]
    table = metrics.report_table(metrics.classification_report(predictions, labels, names))
    lines = table.splitlines()
    assert lines[0] == "the 20 of 100 classes with the lowest F1"
    assert lines[2].split() == ["0.000", "0.000", "0.000", "3", "class", "0"]
    assert len(lines) == 2 + 20 + 2 + 2  # and two means, and the accuracy
    matrix = metrics.confusion_matrix(predictions, labels, 100)
    confused = metrics.confusion_table(matrix, names).splitlines()
    assert confused[1] == "    3   100%  class 0 -> class 7"
    assert len(confused) <= 21
