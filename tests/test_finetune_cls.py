"""What you can rely on: the fine-tuning example goes from labelled files to a folder that answers.

It learns what can be learned, in English and in Chinese, single texts and pairs, classes and
numbers; writes what it promises; and refuses bad input in one sentence, leaving nothing behind.
"""

import argparse
import json
import os
import random
import re
import runpy
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_folders import pretrained_folder

from minibert import MiniBertError
from minibert.inference.text_classification import TextClassifier
from minibert.plots.confusion_matrix import confusion_matrix_figure
from minibert.training import finetune_setup

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "finetune_cls.py"


@pytest.fixture
def finetune(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[object, str, str]]:
    """Run the example in this process, and give its exit code and what it printed."""

    def example(*options: object) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", [str(EXAMPLE), *map(str, options)])
        with warnings.catch_warnings(), pytest.raises(SystemExit) as ended:
            warnings.simplefilter("error", UserWarning)
            warnings.filterwarnings("ignore", "no installed font has")
            runpy.run_path(str(EXAMPLE), run_name="__main__")
        return ended.value.code, *capsys.readouterr()

    return example


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def weather(examples: int, seed: int) -> list[str]:
    """Chinese: is it about the weather or about food?"""
    draw = random.Random(seed)
    kinds = {"天气": ["下雨", "晴天", "刮风", "下雪"], "食物": ["米饭", "面条", "水果", "鸡汤"]}
    lines = ["text\tlabel"]
    for number in range(examples):
        label = list(kinds)[number % 2]
        lines.append(f"今天{draw.choice(['很', '真', '又'])}{draw.choice(kinds[label])}了\t{label}")
    return lines


@pytest.fixture(scope="module")
def chinese(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A finished run on Chinese sentences, and what it printed."""
    folder = tmp_path_factory.mktemp("chinese")
    train = write(folder / "train.tsv", weather(240, 1))
    dev, test = (write(folder / f"{name}.tsv", weather(60, 2)) for name in ("dev", "test"))
    output = folder / "out"
    options = ("--train", train, "--dev", dev, "--test", test, "--output", output)
    words = [*options, "--batch-size", 8, "--epochs", 4]
    no_warnings = ("-W", "error::UserWarning", "-W", "ignore:no installed font has")
    done = subprocess.run(  # a process, as a user starts it
        [sys.executable, *no_warnings, str(EXAMPLE), *map(str, words)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return output, done.stdout


def test_it_learns_chinese_and_answers(chinese: tuple[Path, str]):
    output, _ = chinese
    classifier = TextClassifier.from_pretrained(output)
    assert classifier("今天又下雪了").label == "天气"
    answer = classifier("今天真鸡汤了")
    assert answer.label == "食物"
    assert sum(answer.probabilities.values()) == pytest.approx(1)


def test_it_writes_scores_with_those_to_beat(chinese: tuple[Path, str]):
    metrics = json.loads((chinese[0] / "metrics.json").read_text("utf-8"))
    assert metrics["dev"]["accuracy"] > 0.9
    assert metrics["test"]["f1_macro"] > 0.9
    assert metrics["baselines"]["majority"] == 0.5
    assert metrics["baselines"]["bag_of_words"] > 0.9


def test_it_draws_and_logs(chinese: tuple[Path, str]):
    output, printed = chinese
    for name in ("learning_curve.png", "confusion_matrix.png"):
        assert (output / name).read_bytes()[:4] == b"\x89PNG"
    lines = (output / "training" / "log.jsonl").read_text("utf-8").splitlines()
    kinds = [json.loads(line)["kind"] for line in lines]
    assert kinds.count("evaluation") == 4
    assert kinds.count("train") > 4
    assert "linear bag of words" in printed


def test_default_hyperparameters_count_updates_and_not_batches(tmp_path: Path, monkeypatch):
    asked = []

    def stop(config, *, pretrained: bool, updates_per_epoch: int):
        asked.append(updates_per_epoch)
        raise MiniBertError("this is far enough")

    monkeypatch.setattr(finetune_setup, "default_hyperparameters", stop)
    script, parser = runpy.run_path(str(EXAMPLE)), argparse.ArgumentParser()
    script["add_arguments"](parser)
    train = str(write(tmp_path / "train.tsv", weather(100, 1)))
    line = ["--train", train, "--dev", train, "--preset", "tiny", "--output", str(tmp_path / "out")]
    line += ["--batch-size", "8", "--gradient-accumulation-steps", "4"]  # 13 batches an epoch
    with pytest.raises(MiniBertError, match="this is far enough"):
        script["main"](parser.parse_args(line))
    assert asked == [4]


def test_a_second_run_into_the_folder_is_refused_and_harms_nothing(
    finetune, chinese: tuple[Path, str], tmp_path: Path
):
    output, _ = chinese
    before = (output / "model.safetensors").read_bytes()
    train = write(tmp_path / "train.tsv", weather(240, 5))
    code, _, err = finetune("--train", train, "--output", output)
    assert code == 2
    assert "--resume" in err
    assert (output / "model.safetensors").read_bytes() == before


def test_pairs_and_numbers_are_trained_and_answered(finetune, tmp_path: Path):
    """Regression on pairs: 5 where the two texts share their word, 0 where they do not."""
    draw = random.Random(3)
    lines = ["sentence1\tsentence2\tscore"]
    for _ in range(120):
        first, second = draw.choices(["cat", "dog", "sun"], k=2)
        lines.append(f"the {first}\ta {second}\t{5.0 if first == second else 0.5}")
    train = write(tmp_path / "train.tsv", lines)
    columns = "--label-column score --text-column sentence1 --pair-column sentence2".split()
    options = ("--train", train, *columns, "--batch-size", 16, "--output", tmp_path / "out")
    code, out, err = finetune(*options)
    assert code == 0, err
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text("utf-8"))
    assert "pearson" in metrics["dev"]
    assert metrics["baselines"]["word_overlap"] > 0.99 > metrics["baselines"]["bag_of_words"]
    assert "task: regression (guessed from the labels; --task decides)" in out
    for name in ("most common answer", "linear bag of words", "word overlap", "this BERT"):
        assert f"\n{name} " in out
    classifier = TextClassifier.from_pretrained(tmp_path / "out")
    assert isinstance(classifier("the cat", "a cat").label, float)
    with pytest.raises(MiniBertError, match="--pair"):
        classifier("the cat")


def test_with_many_classes_scores_are_printed_before_a_bounded_picture(
    finetune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """No name is known and all are words, so --header says that the first line holds names."""
    lines = ["note,kind", *(f"text of topic{n % 45},class{n % 45:02}" for n in range(90))]
    train = write(tmp_path / "train.csv", lines)
    before: list[str] = []

    def figure(*what):
        before.append(capsys.readouterr().out)
        return confusion_matrix_figure(*what)

    monkeypatch.setattr("minibert.plots.report.confusion_matrix_figure", figure)
    options = ("--train", train, "--header", "--dev-share", 0.2, "--preset", "tiny", "--epochs", 1)
    code, out, err = finetune(*options, "--output", tmp_path / "out")
    assert code == 0, err
    assert out.strip().startswith(f"{tmp_path / 'out'}: metrics.json, learning_curve.png")
    (printed,) = before
    for sentence in (
        "(names from the file, text and label guessed)",
        "Dev has no example of 27 of the classes, such as 'class",
        "the 20 of 45 classes with the lowest F1",
        "\ndev, most confused\ncount  share  true -> predicted\n",
        "\nthis BERT  ",
    ):
        assert sentence in printed


BAD_INPUT = {
    "a file for tagging": (["--train", "tags.tsv"], "train with --task tagging"),
    "a number beyond float32": (["--train", "big.tsv"], r"big\.tsv:2: .*too large a number"),
    "an empty file": (["--train", "empty.tsv"], "is empty"),
    "a header and nothing else": (["--train", "header.tsv"], "no examples"),
    "a missing column": (["--train", "good.tsv", "--text-column", "words"], "no column 'words'"),
    "an unknown label": (["--train", "good.tsv", "--dev", "bad.tsv"], r"bad\.tsv:2.*天汽.*天气"),
    "a file that is not there": (["--train", "none.tsv"], "does not exist"),
    "a misspelt flag": (["--epoch", "3"], "did you mean --epochs"),
    "a model folder with nothing in it": (["--train", "good.tsv", "--model", "."], "vocab.txt"),
    "a batch of nothing": (["--train", "good.tsv", "--batch-size", "0"], "at least 1"),
    "no room for a word": (["--train", "good.tsv", "--max-length", "1"], "max_length 1"),
    "a device that is not there": (["--train", "good.tsv", "--device", "abacus"], "--device cpu"),
    "less than one epoch": (["--train", "good.tsv", "--epochs", "-1"], "epochs is -1"),
    "random weights compared with random ones": (
        ["--train", "good.tsv", "--compare-random", "--cased"],
        "--compare-random and --few-labels are for pretrained weights",
    ),
    "a learning rate of nothing": (
        ["--train", "good.tsv", "--learning-rate", "0"],
        "learning_rate is 0.0",
    ),
    "a corpus for a model": (
        ["--train", "good.tsv", "--model", "corpus"],
        "corpus is a corpus made by minibert prepare",
    ),
}


def test_the_same_seed_gives_the_same_weights_and_few_labels_come_on_top(finetune, tmp_path: Path):
    pretrained_folder(tmp_path / "pretrained")
    train = write(tmp_path / "train.tsv", weather(40, 1))
    for name, compare in (("one", ["--compare-random"]), ("two", ["--few-labels", 8, 16])):
        code, _, err = finetune(
            *("--train", train, "--model", tmp_path / "pretrained", "--epochs", 1),
            *("--max-length", 12, "--output", tmp_path / name, *compare),
        )
        assert code == 0, err
    one, two = tmp_path / "one", tmp_path / "two"
    assert (one / "model.safetensors").read_bytes() == (two / "model.safetensors").read_bytes()
    metrics, more = (json.loads((f / "metrics.json").read_text("utf-8")) for f in (one, two))
    few_labels = more.pop("few_labels")
    assert metrics == more
    assert list(few_labels) == ["8", "16", "36"]  # of 40, a tenth is for dev
    assert few_labels["36"] == {
        "pretrained": metrics["dev"]["accuracy"],
        "random": metrics["from_random_weights"]["accuracy"],
        "bag_of_words": metrics["baselines"]["bag_of_words"],
    }
    assert all(0 <= x <= 1 for scores in few_labels.values() for x in scores.values())
    assert (two / "few_labels.png").exists()
    logs = (one / name / "log.jsonl" for name in ("training", "training-at-random"))
    pretrained, random = (json.loads(log.read_text("utf-8").splitlines()[0]) for log in logs)
    assert pretrained["loss"] != random["loss"]


def test_a_folder_with_a_model_is_never_written_over(finetune, tmp_path: Path):
    folder = pretrained_folder(tmp_path / "pretrained")
    before = (folder / "model.safetensors").read_bytes()
    train = write(tmp_path / "train.tsv", weather(40, 1))
    code, _, err = finetune("--train", train, "--model", folder, "--output", folder)
    assert code == 2
    assert "has a model.safetensors, which would be overwritten" in err
    assert (folder / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_one_sentence_exit_code_two_and_nothing_written(
    case: str, finetune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write(tmp_path / "good.tsv", weather(40, 1))
    write(tmp_path / "bad.tsv", ["text\tlabel", "雨\t天汽"])
    write(tmp_path / "tags.tsv", ["text_a\tlabel", "海 钓\tO O", "厦 门\tB-LOC I-LOC"])
    write(tmp_path / "big.tsv", ["text\tlabel", "a\t1e39", *(f"b{n}\t{n}.5" for n in range(20))])
    write(tmp_path / "header.tsv", ["text\tlabel"])
    (tmp_path / "empty.tsv").touch()
    (tmp_path / "corpus").mkdir()
    write(tmp_path / "corpus" / "corpus.json", ["{}"])
    write(tmp_path / "corpus" / "vocab.txt", ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "雨"])
    options, sentence = BAD_INPUT[case]
    monkeypatch.chdir(tmp_path)
    code, _, err = finetune(*options, "--output", "out")
    complaint = err.strip()
    assert code == 2, complaint
    assert re.search(sentence, complaint)
    assert len(complaint.splitlines()) == 1
    assert not [path for path in (tmp_path / "out").rglob("*") if path.suffix]


def test_a_text_of_five_thousand_words_is_cut_and_that_is_said(finetune, tmp_path: Path):
    lines = [*weather(40, 1), f"{'word ' * 5000}\t天气"]
    train = write(tmp_path / "train.tsv", lines)
    code, out, err = finetune("--train", train, "--epochs", 1, "--output", tmp_path / "out")
    assert code == 0, err
    assert "truncated to 128: 1 of" in out or "longest 5," in out
