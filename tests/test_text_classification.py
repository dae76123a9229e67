"""What you can rely on: a classifier's answers are the model's, for each text by itself.

A saved folder answers bit for bit as before, and what it was not trained for is refused.
"""

import huggingface_hub
import pytest
from tiny_folders import classifier_folder

from minibert import MiniBertError
from minibert.files import write_json
from minibert.inference.text_classification import TextClassifier

TEXTS = ["the cat sat", "paris is the capital of france. the cat sat on a mat. is paris?", "猫"]


@pytest.fixture
def classifier(tmp_path) -> TextClassifier:
    return TextClassifier.from_pretrained(classifier_folder(tmp_path / "classifier"))


def test_the_label_is_the_class_with_the_highest_probability(classifier):
    for prediction in classifier.predict(TEXTS):
        assert prediction.label == max(prediction.probabilities, key=prediction.probabilities.get)
        assert set(prediction.probabilities) == {"good", "bad"}
        assert sum(prediction.probabilities.values()) == pytest.approx(1)


def test_a_text_longer_than_the_maximum_is_marked_as_truncated(classifier):
    assert [prediction.truncated for prediction in classifier.predict(TEXTS)] == [
        False,
        True,
        False,
    ]


def test_an_answer_does_not_depend_on_what_else_is_asked(classifier):
    for text, answer in zip(TEXTS, classifier.predict(TEXTS, batch_size=3), strict=True):
        alone = classifier(text)
        assert alone.label == answer.label
        assert alone.probabilities == pytest.approx(answer.probabilities, abs=1e-6)


def test_a_saved_folder_answers_bit_for_bit_after_loading_and_saving_again(classifier, tmp_path):
    classifier.save_pretrained(tmp_path / "again")
    assert TextClassifier.from_pretrained(tmp_path / "again").predict(TEXTS) == classifier.predict(
        TEXTS
    )


def test_single_texts_and_pairs_are_not_mixed_up(classifier, tmp_path):
    with pytest.raises(MiniBertError, match="trained on single texts; remove the second text"):
        classifier("the cat", "sat")
    of_pairs = TextClassifier.from_pretrained(classifier_folder(tmp_path / "pairs", pairs=True))
    with pytest.raises(MiniBertError, match="trained on pairs of texts; add the second text"):
        of_pairs("the cat")


def test_a_list_of_texts_is_never_taken_for_a_pair(classifier):
    for texts in (["the cat", "paris"], ("the cat", "paris"), [["the cat", "paris"]]):
        with pytest.raises(
            MiniBertError, match=r"classifier.predict\(texts, text_pairs\) with two"
        ):
            classifier(texts)
    for texts in ([["the cat", "paris"]], [("the cat", None)], [7]):
        with pytest.raises(MiniBertError, match=r"a text must be a str, not (list|tuple|int)"):
            classifier.predict(texts)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"max_length": None}, "max_length None"),
        ({"max_length": "8"}, "max_length '8'"),
        ({"pairs": "no"}, "pairs 'no'"),
    ],
)
def test_a_damaged_task_file_is_named(said, words, tmp_path):
    folder = classifier_folder(tmp_path / "saved")
    write_json(folder / "task.json", said)
    with pytest.raises(MiniBertError, match=rf"task\.json has .*{words}"):
        TextClassifier.from_pretrained(folder)


def test_a_classifier_keeps_its_settings_whatever_its_folder_is_called(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    classifier_folder(tmp_path / "saved")
    write_json(tmp_path / "saved/task.json", {"max_length": 9, "pairs": True})
    again = TextClassifier.from_pretrained("~/saved")
    assert (again.max_length, again.pairs) == (9, True)
    again.save_pretrained("~/copy")
    assert (tmp_path / "copy" / "task.json").is_file()

    asked: list[str] = []

    def download(name: str, *, allow_patterns: list[str]) -> str:
        asked.extend(allow_patterns)
        return str(tmp_path / "saved")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert TextClassifier.from_pretrained("someone/classifier").max_length == 9
    assert "task.json" in asked
