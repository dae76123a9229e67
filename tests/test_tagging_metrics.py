"""What you can rely on: entities are counted as `seqeval` and the script of CoNLL count them."""

import random

import pytest

from minibert.data.labelled.tags import SCHEMES, TagSet, find_spans
from minibert.evaluation.tagging import entity_report, tagging_metrics

PEOPLE = ["B-PER", "I-PER", "O", "B-LOC"]


def test_an_entity_counts_if_its_words_and_its_type_are_right():
    half = tagging_metrics([["B-PER", "I-PER", "O", "O"]], [PEOPLE], "IOB2")
    assert half["entity_precision"] == 1
    assert half["entity_recall"] == 1 / 2
    assert half["entity_f1"] == pytest.approx(2 / 3)
    assert half["accuracy"] == 3 / 4
    for wrong in (["B-PER", "O", "O", "O"], ["B-LOC", "I-LOC", "O", "O"], ["O"] * 4):
        assert tagging_metrics([wrong], [PEOPLE], "IOB2")["entity_f1"] == 0


def test_tags_without_spans_are_counted_word_by_word():
    assert tagging_metrics([["DT", "NN"]], [["DT", "VB"]], None) == {"accuracy": 1 / 2}


def test_the_report_has_a_line_for_each_type():
    report = entity_report([["B-PER", "I-PER", "O", "B-PER"]], [PEOPLE])
    assert [row["name"] for row in report["classes"]] == ["LOC", "PER"]
    assert [row["support"] for row in report["classes"]] == [1, 1]
    assert report["classes"][1]["precision"] == 1 / 2


def test_no_entities_at_all_score_zero():
    assert tagging_metrics([["O"]], [["O"]], "IOB2")["entity_f1"] == 0


def random_tags(seed: int, letters: str, *, count: int = 60) -> list[list[str]]:
    draw = random.Random(seed)
    tags = ["O", *(f"{letter}-{kind}" for letter in letters for kind in ("PER", "LOC", "ORG"))]
    return [[draw.choice(tags) for _ in range(draw.randint(1, 12))] for _ in range(count)]


def like(true: list[list[str]], others: list[list[str]]) -> list[list[str]]:
    """Predictions of the same lengths, of which half of the sentences are right."""
    draw = random.Random(0)
    flat = [tag for tags in others for tag in tags]
    return [tags if draw.random() < 0.5 else [draw.choice(flat) for _ in tags] for tags in true]


@pytest.mark.parametrize("letters", ["BI", "BIES"])
def test_random_broken_tags_score_as_in_seqeval(letters: str):
    metrics = pytest.importorskip("seqeval.metrics")
    true = random_tags(1, letters)
    predicted = like(true, random_tags(2, letters))
    ours = tagging_metrics(predicted, true, "IOB2")
    assert ours["entity_f1"] == pytest.approx(metrics.f1_score(true, predicted))
    assert ours["entity_precision"] == pytest.approx(metrics.precision_score(true, predicted))
    assert ours["entity_recall"] == pytest.approx(metrics.recall_score(true, predicted))
    assert ours["accuracy"] == pytest.approx(metrics.accuracy_score(true, predicted))
    theirs = metrics.classification_report(true, predicted, output_dict=True)
    report = entity_report(predicted, true)
    for row in report["classes"]:
        assert row["f1"] == pytest.approx(theirs[row["name"]]["f1-score"])
        assert row["support"] == theirs[row["name"]]["support"]
    assert report["macro"]["f1"] == pytest.approx(theirs["macro avg"]["f1-score"])
    assert report["weighted"]["recall"] == pytest.approx(theirs["weighted avg"]["recall"])


@pytest.mark.parametrize(
    ("scheme", "name", "letters"),
    [("IOB2", "IOB2", "BI"), ("BIOES", "IOBES", "BIES"), ("BILOU", "BILOU", "BILU")],
)
def test_strict_entities_are_those_of_seqeval_in_strict_mode(scheme, name, letters):
    seqeval_scheme = getattr(pytest.importorskip("seqeval.scheme"), name)
    metrics = pytest.importorskip("seqeval.metrics")
    true = [TagSet((), scheme).well_formed(tags) for tags in random_tags(3, letters)]
    predicted = like(true, random_tags(4, letters))
    report = entity_report(predicted, true, scheme=scheme)
    strict = {"mode": "strict", "scheme": seqeval_scheme}
    assert report["micro"]["f1"] == pytest.approx(metrics.f1_score(true, predicted, **strict))
    # Once repaired, as `predict_tags` returns them, both ways of counting give the same.
    repaired = [TagSet((), scheme).well_formed(tags) for tags in predicted]
    expected = metrics.f1_score(true, repaired, **strict)
    assert tagging_metrics(repaired, true, scheme)["entity_f1"] == pytest.approx(expected)
    assert tagging_metrics(predicted, true, scheme)["entity_f1"] == pytest.approx(expected)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_spans_are_those_of_seqeval_for_well_formed_tags(scheme: str):
    get_entities = pytest.importorskip("seqeval.metrics.sequence_labeling").get_entities
    common = str.maketrans("MLU", "IES")  # which seqeval reads in its default mode
    for tags in random_tags(5, "BIES"):
        written = TagSet((), scheme).well_formed(tags)
        theirs = get_entities([tag[0].translate(common) + tag[1:] for tag in written])
        assert [(s.type, s.start, s.end - 1) for s in find_spans(written)] == theirs
