"""What you can rely on: `minibert evaluate` scores a saved model on any labelled file.

The file is read as for training; every kind of label has its metrics, and an example that the model
cannot know is named with its line. Nothing is printed or drawn if something is wrong.
"""

import json
import os
from pathlib import Path

import pytest
import torch
from tiny_folders import POSITIONS, classifier_folder, tiny_config, tiny_tokenizer

from minibert import BertForSequenceClassification
from minibert.cli.main import main
from minibert.data.labelled.examples import Example
from minibert.inference.text_classification import TextClassifier


def save(name: str, **config: object) -> None:
    """A classifier of this kind with random weights."""
    torch.manual_seed(0)
    model = BertForSequenceClassification(tiny_config(**config))
    TextClassifier(model, tiny_tokenizer(), POSITIONS, False).save_pretrained(Path(name))


@pytest.fixture
def minibert(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    classifier_folder(tmp_path / "cls")

    def command(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        return (stop.value.code, *capsys.readouterr())

    return command


def predicted(*texts: str) -> list[str]:
    return [p.label for p in TextClassifier.from_pretrained("cls").predict(texts)]


def test_classes_are_scored_and_the_confusion_matrix_is_printed_and_drawn(minibert):
    texts = ["the cat", "paris", "the mat", "猫"]
    first, *others = predicted(*texts)
    wrong = {"good": "bad", "bad": "good"}[first]
    rows = zip(texts, [wrong, *others], strict=True)
    lines = ["text\tlabel", *(f"{text}\t{label}" for text, label in rows)]
    Path("test.tsv").write_text("\n".join(lines), encoding="utf-8")
    code, out, err = minibert("evaluate", "cls", "test.tsv", "--figure", "matrix.png")
    assert code == 0
    assert out.startswith("4 examples  loss ")
    assert "  accuracy 0.7500  " in out
    assert "precision  recall     F1  support\n" in out
    assert "confusion matrix\n" in out
    assert "note: test.tsv: text = column 'text', label = column 'label' (names from" in err
    assert Path("matrix.png").read_bytes().startswith(b"\x89PNG")
    found = json.loads(minibert("evaluate", "cls", "test.tsv", "--json")[1])
    assert (found["examples"], found["accuracy"]) == (4, 0.75)
    matrix = found["confusion_matrix"]
    names = [row["name"] for row in found["classes"]]
    assert matrix[names.index(wrong)][names.index(first)] == 1
    assert sum(map(sum, matrix)) == 4
    assert [row["support"] for row in found["classes"]] == [sum(row) for row in matrix]


def test_numbers_in_the_file_stand_for_classes_without_names(minibert):
    save("numbered", num_labels=3)
    Path("test.csv").write_text("text,label\nthe cat,0\nparis,2\nthe mat,1\n", encoding="utf-8")
    code, out, err = minibert("evaluate", "numbered", "test.csv")
    assert code == 0
    assert "note: the labels in test.csv are ids: 0 is LABEL_0, 1 is LABEL_1, ..." in err
    assert "true 3 LABEL_2" in out


def test_ids_in_the_file_stand_for_named_classes_and_this_is_said(minibert):
    lines = [
        f"{text},{label == 'bad':d}" for text in ("the cat", "猫") for label in predicted(text)
    ]
    Path("test.csv").write_text("\n".join(["text,label", *lines]), encoding="utf-8")
    code, out, err = minibert("evaluate", "cls", "test.csv")
    assert (code, "accuracy 1.0000" in out) == (0, True)
    assert "note: the labels in test.csv are ids: 0 is good, 1 is bad, ..." in err
    Path("test.csv").write_text("text,label\nthe cat,0\n猫,2\n", encoding="utf-8")
    assert minibert("evaluate", "cls", "test.csv")[0] == 2


def test_several_labels_per_text_have_a_line_each(minibert):
    save("multi", id2label={0: "a", 1: "b"}, problem_type="multi_label_classification")
    rows = [{"text": "the cat", "labels": ["a"]}, {"text": "paris", "labels": []}]
    Path("test.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    code, out, _ = minibert("evaluate", "multi", "test.jsonl")
    assert (code, "f1_micro" in out, "confusion matrix" in out) == (0, True, False)
    found = json.loads(minibert("evaluate", "multi", "test.jsonl", "--json")[1])
    assert [(row["name"], row["support"]) for row in found["classes"]] == [("a", 1), ("b", 0)]
    code, out, err = minibert("evaluate", "multi", "test.jsonl", "--figure", "matrix.png")
    assert (code, out) == (2, "")
    assert "was trained for multi_label_classification" in err


def test_numbers_are_scored_by_correlation(minibert):
    save("numbers", num_labels=1)
    Path("test.tsv").write_text("the cat\t1.5\nparis\t2.5\nthe mat\t0.5\n", encoding="utf-8")
    code, out, _ = minibert("evaluate", "numbers", "test.tsv")
    assert (code, out.count("\n")) == (0, 1)
    assert "  pearson " in out and "  mean_squared_error " in out


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("the cat\tgood\nparis\tugly\n", "test.tsv:2: the label 'ugly' is not among the classes"),
        ("text\nthe cat\nparis\n", "cannot tell which column is the label"),
        ("sentence1\tsentence2\tlabel\na\tb\tgood\n", "remove the second text, or name the one"),
        ("", "test.tsv is empty"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(minibert, content, sentence):
    Path("test.tsv").write_text(content, encoding="utf-8")
    code, out, err = minibert("evaluate", "cls", "test.tsv", "--figure", "matrix.png")
    assert (code, out) == (2, "")
    assert sentence in err
    assert not Path("matrix.png").exists()


def test_answers_that_are_not_finite_are_no_answers(minibert):
    classifier = TextClassifier.from_pretrained("cls")
    with torch.no_grad():
        classifier.model.classifier.weight.fill_(3e38)  # finite, but no sum is
    classifier.save_pretrained("broken")
    code, out, err = minibert("predict", "broken", "the cat", "--json")
    assert (code, out) == (2, "")
    assert "not finite" in err
    Path("test.tsv").write_text("the cat\tgood\nparis\tbad\n", encoding="utf-8")
    assert "not finite" in minibert("evaluate", "broken", "test.tsv")[2]


def test_pairs_are_scored_in_python_too(tmp_path):
    classifier = TextClassifier.from_pretrained(classifier_folder(tmp_path, pairs=True))
    label = classifier("the cat", "paris").label
    examples = [Example("the cat", "paris", label)] * 3
    result = classifier.evaluate(examples)
    assert (result.metrics["accuracy"], result.truncated) == (1.0, 0)
    assert result.labels.names == ("good", "bad")


@pytest.mark.parametrize("command", ["tokenize cls", "predict cls", "attention lm", "embed lm"])
def test_a_text_whose_bytes_are_not_utf8_is_refused(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([*command.split(), os.fsdecode(b"caf\xe9")])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith(r"error: the text 'caf\udce9' is not UTF-8")
