"""What you can rely on: held-out scores are means over words and over pairs, the pretraining
example goes from a corpus to a folder that fills masks, and the text of the libraries can be
written, without the sentences that models are judged by.
"""

import json
import math
import runpy
import sys
from pathlib import Path

import pytest
import torch
from small_models import small_batch, small_model

from minibert import MiniBertError
from minibert.data.builtin import library_docs
from minibert.data.corpus.build import build_corpus
from minibert.data.labelled.examples import Example
from minibert.evaluation.pretraining import evaluate_pretraining
from minibert.inference.fill_mask import MaskFiller
from minibert.tokenization.tokenizer import BertTokenizer
from minibert.tokenization.training.wordpiece_trainer import train_vocabulary

EXAMPLE = Path(__file__).parents[1] / "examples" / "pretrain.py"


def masked_batch(seed: int, masked: int) -> dict[str, torch.Tensor]:
    batch = small_batch("BertForPreTraining", seed=seed)
    labels = torch.full_like(batch["input_ids"], -100)
    labels.view(-1)[:masked] = batch["input_ids"].view(-1)[:masked]
    return {**batch, "labels": labels, "next_sentence_label": torch.tensor([0, 1, 0, 1])}


def test_scores_are_means_over_all_words_and_not_over_batches():
    model = small_model("BertForPreTraining").eval()
    batches = [masked_batch(1, 7), masked_batch(2, 1)]
    scores = evaluate_pretraining(model, batches)
    with torch.no_grad():
        losses = [model(**batch).loss_terms["labels"] for batch in batches]
    mean = sum(term.total.item() for term in losses) / 8
    assert scores["loss"] == pytest.approx(mean)
    assert scores["perplexity"] == pytest.approx(math.exp(mean))
    assert scores["masked_lm_accuracy"] * 8 == pytest.approx(
        round(scores["masked_lm_accuracy"] * 8)
    )
    assert scores["next_sentence_accuracy"] in {number / 8 for number in range(9)}


def test_text_without_a_masked_word_is_refused():
    with pytest.raises(MiniBertError, match="no word is masked"):
        evaluate_pretraining(small_model("BertForPreTraining").eval(), [masked_batch(1, 0)])


def test_the_example_pretrains_saves_scores_and_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    animals, acts = ("cat", "dog", "cow", "hen"), ("sleeps", "runs", "eats", "sings")
    lines = [
        f"the {animals[i % 4]} {acts[j % 4]} and the {animals[j % 4]} {acts[i % 4]} ."
        for i in range(12)
        for j in range(12)
    ]
    text = "\n\n".join("\n".join(lines[start : start + 6]) for start in range(0, 144, 6))
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    pieces = train_vocabulary(lines, size=60)
    tokenizer = BertTokenizer({piece: index for index, piece in enumerate(pieces)})
    build_corpus([tmp_path / "text.txt"], tokenizer, tmp_path / "corpus", drop_duplicates=False)
    monkeypatch.chdir(tmp_path)
    options = ["--corpus", "corpus", "--epochs", "8", "--max-length", "32"]
    for more in ([], ["--resume"]):
        monkeypatch.setattr(sys, "argv", [str(EXAMPLE), *options, "--output", "out", *more])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(EXAMPLE), run_name="__main__")
        assert ended.value.code == 0, capsys.readouterr().err
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text("utf-8"))
    assert metrics["loss"] < math.log(len(pieces))
    assert 0 <= metrics["next_sentence_accuracy"] <= 1
    assert (tmp_path / "out" / "learning_curve.png").exists()
    assert len(MaskFiller.from_pretrained(tmp_path / "out")("the [MASK] sleeps .")[0]) == 5


@pytest.fixture
def library_text(monkeypatch: pytest.MonkeyPatch) -> str:
    """Two documents in place of the libraries, and what is to be written of them."""
    task = {name: [Example(text, label="numpy")] for name, text in (("dev", "D."), ("test", "T."))}

    def paragraphs(*, without):
        assert [example.text for example in without] == ["D.", "T."]
        return [["One. Two.", "Three."], ["Four."]]

    monkeypatch.setattr(library_docs, "library_sentences", lambda: task)
    monkeypatch.setattr(library_docs, "library_paragraphs", paragraphs)
    return "One. Two.\nThree.\n\nFour.\n"


def test_the_text_of_the_libraries_has_a_paragraph_a_line(tmp_path: Path, library_text: str):
    assert library_docs.write_library_text(tmp_path / "docs.txt") == 2
    assert (tmp_path / "docs.txt").read_bytes() == library_text.encode()
    report = library_docs.build_library_corpus(tmp_path / "corpus", vocabulary_size=40)
    assert (report.documents, report.sentences) == (2, 4)


def test_the_example_that_writes_it_spares_what_is_there(
    tmp_path: Path, library_text: str, monkeypatch: pytest.MonkeyPatch, capsys
):
    file = tmp_path / "docs.txt"
    monkeypatch.setattr(sys, "argv", ["library_text.py", "--output", str(file)])
    for code, told in ((0, f"are in {file}"), (2, f"{file} is there already")):
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(EXAMPLE.with_name("library_text.py")), run_name="__main__")
        assert ended.value.code == code
        assert told in "".join(capsys.readouterr())
        assert file.read_text(encoding="utf-8") == library_text
