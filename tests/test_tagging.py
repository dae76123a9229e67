"""What you can rely on: a tagger goes from a file of tagged words to tags and entities of any text.

Every word has a tag, every entity is where its offsets say, and a saved tagger answers bit for bit
as before.
"""

import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_folders import tiny_config, tiny_tokenizer

import minibert as minibert_package
from minibert import BertForTokenClassification, MiniBertError
from minibert.cli.main import main
from minibert.data.labelled.tags import TagSet
from minibert.data.labelled.word_columns import Sentence
from minibert.inference.load import saved_task
from minibert.inference.tagging import Tagger, split_text
from minibert.model.crf import BertCrfForTokenClassification
from minibert.tokenization.normalize import NormalizeOptions

PLACES, PEOPLE = ("Paris", "New York", "Rome"), ("Anna Berg", "Tom", "Eva")
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def minibert(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Run a command in this process, in an empty folder: its exit code and what it printed."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main([*map(str, arguments)])
        return (stop.value.code, *capsys.readouterr())

    return command


def travels(name: str, sentences: int, seed: int) -> Path:
    """Sentences such as "Tom lives in New York ." as columns, in IOB2."""
    draw, lines = random.Random(seed), []
    for _ in range(sentences):
        for text, kind in (
            (draw.choice(PEOPLE), "PER"),
            ("lives in", ""),
            (draw.choice(PLACES), "LOC"),
        ):
            for number, word in enumerate(text.split()):
                lines.append(f"{word} {'BI'[number > 0]}-{kind}" if kind else f"{word} O")
        lines += [". O", ""]
    path = Path(name)
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def tagger(*, crf: bool = False, scheme: str | None = "IOB2", max_length: int = 16) -> Tagger:
    torch.manual_seed(0)
    names = ("O", "B-PER", "I-PER") if scheme else ("DT", "NN", "VB")
    kind = BertCrfForTokenClassification if crf else BertForTokenClassification
    model = kind(tiny_config(id2label=dict(enumerate(names)))).eval()
    if crf:
        torch.nn.init.normal_(model.crf.transitions)
    return Tagger(model, tiny_tokenizer(), max_length, TagSet(names, scheme))


@pytest.mark.parametrize("crf", [False, True])
def test_it_learns_saves_predicts_and_is_scored(minibert: Command, crf: bool):
    train, dev = travels("train.txt", 60, 1), travels("dev.txt", 20, 2)
    options = ("--preset", "tiny", "--epochs", 6, "--batch-size", 8, "--learning-rate", 2e-3)
    code, out, err = minibert(
        *("finetune", "--train", train, "--dev", dev, "--output", "ner", *options),
        *(["--crf"] * crf),
    )
    assert code == 0, err
    assert "task: tagging (guessed from train.txt" in out
    assert "tags: IOB2, 5 tags" in out
    metrics = json.loads(Path("ner/metrics.json").read_text("utf-8"))
    assert metrics["dev"]["entity_f1"] > 0.9
    assert metrics["baselines"]["majority"] == 0
    assert 0 < metrics["baselines"]["commonest_tag"] <= 1
    assert Path("ner/learning_curve.png").is_file()

    code, out, _ = minibert("predict", "ner", "Anna Berg lives in Rome.")
    assert (code, out) == (0, "[PER Anna Berg] lives in [LOC Rome].\n")
    code, out, _ = minibert("evaluate", "ner", dev, "--json")
    scores = json.loads(out)
    assert (code, scores["sentences"]) == (0, 20)
    assert {name: scores[name] for name in metrics["dev"]} == metrics["dev"]
    assert [row["name"] for row in scores["classes"]] == ["LOC", "PER"]


@pytest.mark.parametrize("crf", [False, True])
def test_a_saved_tagger_answers_bit_for_bit(tmp_path: Path, crf: bool):
    before = tagger(crf=crf)
    before.save_pretrained(tmp_path)
    after = Tagger.from_pretrained(tmp_path)
    assert after.tags == before.tags
    assert type(after.model) is type(before.model)
    ids = torch.tensor([[2, 10, 11, 16, 12, 3]])
    assert torch.equal(before.model(ids).logits, after.model(ids).logits)
    texts = ["the cats sat on a mat.", "paris is the capital of france"]
    assert before.predict(texts) == after.predict(texts)


def test_every_word_of_a_text_of_any_length_has_a_tag():
    text = "the cats sat on paris. " * 20 + "\u200b of"
    for crf in (False, True):
        found = tagger(crf=crf)(text)
        assert len(found.words) == len(found.tags) == 20 * 6 + 1
        found = tagger(crf=crf)(["the", "\u200b", "cats"] * 20)
        assert len(found.tags) == 60


def test_batches_do_not_change_the_tags():
    for crf in (False, True):
        some, texts = tagger(crf=crf), ["the cats sat", "paris", "a mat . is the capital of france"]
        assert some.predict(texts, batch_size=1) == some.predict(texts)


def test_an_entity_is_where_its_offsets_say():
    found = tagger()("  The  cats\tsat on Paris, Café Mats")
    assert found.entities
    for entity in found.entities:
        assert found.text[entity.start : entity.end] == entity.text
    of_words = tagger()(["The", "cats", "sat"])
    assert of_words.text == "The cats sat"
    assert of_words.offsets == [(0, 3), (4, 8), (9, 12)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Peter's U.S. visit.", "Peter|'|s|U.S.|visit|."),
        ("O'Brien, 1,000 at 10:30 (well-known)", "O'Brien|,|1,000|at|10:30|(|well-known|)"),
        ("3.5% a,b 在北京2020年.", "3.5|%|a|,|b|在|北|京|2020|年|."),
        ("cafe\u0301 -- x", "cafe\u0301|-|-|x"),
        ("", ""),
    ],
)
def test_texts_are_split_into_words_as_in_tagged_files(text: str, words: str):
    options = NormalizeOptions()
    found = [text[start:end] for start, end in split_text(text, options)]
    assert "|".join(found) == words
    characters = split_text(text, options, by_character=True)
    assert [text[start:end] for start, end in characters] == [c for c in text if not c.isspace()]


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("BertForTokenClassification", "tagging"),
        ("BertForQuestionAnswering", "question-answering"),
        ("BertForMultipleChoice", "multiple-choice"),
        ("BertForSequenceClassification", "classification"),
    ],
)
def test_the_task_of_a_folder_without_task_json_is_that_of_its_class(tmp_path, name, task):
    getattr(minibert_package, name)(tiny_config()).save_pretrained(tmp_path)
    assert saved_task(tmp_path) == task


def test_a_bert_of_transformers_without_task_json_is_a_tagger(tmp_path: Path):
    tagger().model.save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    assert saved_task(tmp_path) == "tagging"
    assert Tagger.from_pretrained(tmp_path).tags == TagSet(("O", "B-PER", "I-PER"), "IOB2")


def test_files_of_words_keep_their_columns_and_gain_a_tag(minibert: Command):
    tagger().save_pretrained("ner")
    lines = ["-DOCSTART- X O", "", "the DT O", "cats NN B-PER", "", "paris NN O", "", ""]
    Path("in.txt").write_text("\n".join(lines), encoding="utf-8")
    code, out, err = minibert("predict", "ner", "--file", "in.txt", "--output", "out.txt")
    assert code == 0, err
    assert "wrote the tags of 3 words in 2 texts to out.txt" in out
    written = Path("out.txt").read_text("utf-8").split("\n")
    assert written[0] == "-DOCSTART- X O O"
    assert [line.rpartition(" ")[0] for line in written] == [line and line for line in lines]
    tags = tagger()(["the", "cats"]).tags
    assert written[2:4] == [f"{line} {tag}" for line, tag in zip(lines[2:4], tags, strict=True)]
    assert minibert("predict", "ner", "--file", "in.txt", "--output", "out.txt")[0] == 2


def test_rows_of_words_keep_their_columns_and_gain_one(minibert: Command):
    tagger().save_pretrained("ner")
    lines = ["text_a\tlabel", "the cats sat\tO O O", "paris\tO", "a mat\tO O"]
    Path("in.tsv").write_text("\n".join(lines), encoding="utf-8")
    assert minibert("predict", "ner", "--file", "in.tsv", "--output", "out.tsv")[0] == 0
    header, *rows = Path("out.tsv").read_text("utf-8").splitlines()
    assert header == "text_a\tlabel\tpredicted_tags"
    expected = [" ".join(p.tags) for p in tagger().predict([row.split("\t")[0] for row in rows])]
    assert rows == [f"{line}\t{tags}" for line, tags in zip(lines[1:], expected, strict=True)]


def test_files_of_texts_are_written_as_json_or_as_columns(minibert: Command):
    tagger().save_pretrained("ner")
    Path("in.txt").write_text("the cats\nparis is the capital\n", encoding="utf-8")
    assert minibert("predict", "ner", "--file", "in.txt", "--output", "out.jsonl")[0] == 0
    rows = [json.loads(line) for line in Path("out.jsonl").read_text("utf-8").splitlines()]
    found = tagger()("the cats")
    assert rows[0] == {
        "text": "the cats",
        "words": ["the", "cats"],
        "tags": found.tags,
        "entities": [entity._asdict() for entity in found.entities],
    }
    assert json.loads(minibert("predict", "ner", "the cats", "--json")[1]) == rows[0]
    assert minibert("predict", "ner", "--file", "in.txt", "--output", "out.conll")[0] == 0
    first, *_ = Path("out.conll").read_text("utf-8").split("\n\n")
    assert first == "\n".join(f"{w}\t{t}" for w, t in zip(["the", "cats"], found.tags, strict=True))


def test_parts_of_speech_are_tagged_and_scored_word_by_word(minibert: Command):
    tagger(scheme=None).save_pretrained("pos")
    Path("test.txt").write_text("the DT\ncats NN\nsat VB\n", encoding="utf-8")
    found = tagger(scheme=None)("the cats sat")
    assert found.entities == []
    shown = " ".join(f"{w}/{t}" for w, t in zip(found.words, found.tags, strict=True))
    assert minibert("predict", "pos", "the cats sat")[1] == f"{shown}\n"
    code, out, _ = minibert("evaluate", "pos", "test.txt", "--json")
    right = np.mean([a == b for a, b in zip(found.tags, ["DT", "NN", "VB"], strict=True)])
    assert (code, json.loads(out)["accuracy"]) == (0, pytest.approx(right))


def test_a_tagger_scores_files_in_any_scheme():
    words = ["the", "cats", "sat"]
    metrics, report = tagger().evaluate([Sentence(words, ["B-PER", "I-PER", "O"], [1, 2, 3])])
    assert report["classes"][0]["support"] == 1
    assert set(metrics) == {"loss", "entity_f1", "entity_precision", "entity_recall", "accuracy"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--train", "train.txt", "--few-labels", "10"), "--few-labels is for classification"),
        (("--task", "tagging"), "tagging has no built-in data; give a file with --train"),
        (("--train", "train.txt", "--dev", "bad.txt"), "bad.txt:1: the tag 'B-X' is not one of"),
        (("--train", "broken.txt", "--broken-tags", "refuse"), "broken.txt:2: the tag 'I-LOC' is"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(minibert: Command, options, message):
    travels("train.txt", 10, 1)
    Path("bad.txt").write_text("x B-X\ny O\n", encoding="utf-8")
    Path("broken.txt").write_text("x B-PER\ny I-LOC\nz O\n", encoding="utf-8")
    code, _, err = minibert("finetune", *options, "--preset", "tiny", "--output", "run")
    assert (code, err.count("\n")) == (2, 1)
    assert message in err
    assert not Path("run").exists()


def test_a_tagger_refuses_pairs_and_figures(minibert: Command):
    tagger().save_pretrained("ner")
    Path("test.txt").write_text("the B-PER\n", encoding="utf-8")
    assert minibert("predict", "ner", "a", "--pair", "b")[0] == 2
    assert minibert("evaluate", "ner", "test.txt", "--figure", "x.png")[0] == 2
    with pytest.raises(MiniBertError, match="a list of at least one text"):
        tagger().predict("the cats")


def test_a_crf_decides_by_whole_sequences():
    by_sequence = tagger(crf=True)
    crf = by_sequence.model.crf
    with torch.no_grad():  # no word decides: every sequence but B I I ... costs too much
        crf.start.copy_(torch.tensor([-1e4, 0.0, -1e4]))
        crf.transitions.fill_(-1e4)[1:, 2] = 0.0
    assert [entity.text for entity in by_sequence("the cat sat").entities] == ["the cat sat"]
