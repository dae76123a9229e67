"""What you can rely on: a label has the same number everywhere, and an unknown one is named."""

import random
import time

import pytest
from conftest import shared

from minibert.data.labelled.examples import Example, read_examples
from minibert.data.labelled.labels import (
    LabelSet,
    class_counts,
    guess_problem_type,
)
from minibert.errors import MiniBertError


def labelled(*labels):
    return [
        Example(f"text {n}", label=label, where=f"train.tsv:{n}")
        for n, label in enumerate(labels, 1)
    ]


def test_names_are_sorted_and_numbers_are_in_numeric_order():
    assert LabelSet.from_examples(labelled("pos", "neg", "pos")).names == ("neg", "pos")
    assert LabelSet.from_examples(labelled("10", "9", "-1")).names == ("-1", "9", "10")


def test_the_order_of_the_file_does_not_matter():
    labels = [str(n) for n in range(30)] * 2
    expected = LabelSet.from_examples(labelled(*labels))
    random.Random(0).shuffle(labels)
    assert LabelSet.from_examples(labelled(*labels)) == expected


def test_a_label_and_its_number_lead_to_each_other():
    labels = LabelSet.from_examples(labelled("体育", "财经", "体育"))
    assert {labels.label2id[name]: name for name in labels.names} == labels.id2label
    assert labels.targets(labelled("财经", "体育")) == [
        labels.label2id["财经"],
        labels.label2id["体育"],
    ]


def test_several_labels_become_one_number_for_each_class():
    examples = labelled(("c", "a"), (), ("b",))
    labels = LabelSet.from_examples(examples)
    assert labels.problem_type == "multi_label_classification"
    assert labels.targets(examples) == [[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]


def test_fractions_are_guessed_to_be_regression_and_whole_numbers_classes():
    assert guess_problem_type(labelled("1", "2.5")) == "regression"
    assert guess_problem_type(labelled("1", "2")) == "single_label_classification"
    assert guess_problem_type(labelled("1", "2.5", "none")) == "single_label_classification"


def test_regression_has_one_output_and_its_targets_are_the_numbers():
    labels = LabelSet.from_examples(labelled("3", "4.5"))
    assert len(labels) == 1
    assert labels.targets(labelled("3", "-0.5")) == [3.0, -0.5]


def test_an_unknown_label_names_its_line_the_known_ones_and_the_nearest():
    labels = LabelSet(("negative", "positive"))
    with pytest.raises(MiniBertError) as caught:
        labels.targets([Example("x", label="postive", where="dev.tsv:7")])
    assert str(caught.value) == (
        "dev.tsv:7: the label 'postive' is not among the classes 'negative', 'positive'. "
        "Did you mean 'positive'?"
    )


def test_all_unknown_labels_are_told_together():
    with pytest.raises(MiniBertError) as caught:
        LabelSet(("a", "b")).targets(labelled(*["a", *["?"] * 12]))
    assert str(caught.value).count("train.tsv:") == 10
    assert str(caught.value).endswith("and 2 more")


@pytest.mark.parametrize(
    ("labels", "label", "reason"),
    [
        (LabelSet(("a", "b")), None, "the label is missing"),
        (LabelSet(("a", "b")), ("a",), "the label is a list"),
        (LabelSet((), "regression"), "good", "not a number"),
        (LabelSet((), "regression"), "nan", "not a number"),
        (LabelSet((), "regression"), "inf", "not a number"),
    ],
)
def test_a_label_that_does_not_fit_the_task_is_refused(labels, label, reason):
    with pytest.raises(MiniBertError, match=rf"dev\.tsv:7: .*{reason}"):
        labels.targets([Example("x", label=label, where="dev.tsv:7")])


@pytest.mark.parametrize("number", ["1e39", "-1e39", "1e300", "1e16"])
def test_a_number_that_float32_cannot_square_is_refused_with_its_place(number):
    with pytest.raises(MiniBertError, match=r"train\.tsv:1: .* too large a number for float32"):
        LabelSet((), "regression").targets(labelled(number))


def test_numbers_are_classes_or_a_scale_as_the_user_says():
    versions = labelled("3.8", "3.11", "3.12")
    assert guess_problem_type(versions) == "regression"
    labels = LabelSet.from_examples(versions, "single_label_classification")
    assert labels.names == ("3.11", "3.12", "3.8")
    stars = labelled("1", "5", "3")
    assert LabelSet.from_examples(stars, "regression").targets(stars) == [1.0, 5.0, 3.0]
    single = labelled("a", "b")
    assert LabelSet.from_examples(single, "multi_label_classification").targets(single) == [
        [1.0, 0.0],
        [0.0, 1.0],
    ]


def test_a_few_that_are_no_numbers_do_not_make_numbers_classes():
    numbers = [f"{n}.5" for n in range(20)]
    assert guess_problem_type(labelled(*numbers, "nan")) == "regression"
    with pytest.raises(MiniBertError, match=r"train\.tsv:21: .*not a number"):
        LabelSet.from_examples(labelled(*numbers, "n/a")).targets(labelled(*numbers, "n/a"))


def test_thousands_of_unknown_labels_are_refused_in_a_moment():
    """A comparison of each with all known labels would take minutes."""
    known = tuple(f"{'O ' * 200}{n}" for n in range(1400))
    unknown = labelled(*(f"{'B-PER ' * 200}{n}" for n in range(1400)))
    start = time.perf_counter()
    with pytest.raises(MiniBertError, match="and 1,390 more"):
        LabelSet(known).targets(unknown)
    with pytest.raises(MiniBertError, match=r"Did you mean 'class 12'\?"):
        LabelSet(tuple(f"class {n}" for n in range(3000))).targets(labelled(*["clas 12"] * 2000))
    assert time.perf_counter() - start < 3


def test_one_class_is_not_enough_to_learn_from():
    with pytest.raises(MiniBertError, match="all 3 examples have the label 'a'"):
        LabelSet.from_examples(labelled("a", "a", "a"))


def test_classes_are_counted_in_their_order():
    assert list(class_counts(labelled("b", "a", "b")).items()) == [("a", 1), ("b", 2)]
    assert class_counts(labelled(("a", "b"), ("a",))) == {"a": 2, "b": 1}


def test_public_data_sets_get_the_task_they_are_known_for():
    similarity = LabelSet.from_examples(read_examples(shared("data/glue/STS-B/dev.tsv"))[0])
    assert similarity.problem_type == "regression"
    news = LabelSet.from_examples(read_examples(shared("data/thucnews/dev.txt"))[0])
    assert news.names == tuple("0123456789")
