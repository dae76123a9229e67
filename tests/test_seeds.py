"""What you can rely on: `minibert finetune --seeds N` repeats a run, resumes what was interrupted,
and sums up scores as one would by hand.
"""

import argparse
import json
import shutil
from pathlib import Path

import pytest
from tiny_folders import pretrained_folder

from minibert import MiniBertError
from minibert.cli.finetune import OPTIONS_OF, SCRIPTS, add_arguments
from minibert.cli.main import main
from minibert.cli.seeds import describe, run_seeds, summarize
from minibert.cli.shared import check_task_options

BASELINES = {"majority": 0.5, "bag_of_words": 0.7, "split": "dev", "metric": "accuracy"}


def result(accuracy: float, **more) -> dict:
    return {"dev": {"loss": 1.0, "accuracy": accuracy}, "baselines": BASELINES, **more}


def options(output: Path | None, **changes) -> argparse.Namespace:
    given = {"seeds": 3, "seed": 0, "find_learning_rate": False, "epochs": 2, "resume": False}
    return argparse.Namespace(output=output, **(given | changes))


def fake_run(calls: list, accuracies=(0.8, 0.5, 0.9)):
    """Stands for a fine-tuning: notes its options and writes its scores."""

    def run(one: argparse.Namespace) -> None:
        calls.append((one.seed, one.seeds, one.output.name, one.resume))
        print("many lines")
        metrics = json.dumps(result(accuracies[one.seed]))
        (one.output / "metrics.json").write_text(metrics, encoding="utf-8")

    return run


def test_the_summary_is_calculated_as_by_hand():
    summary = summarize([result(0.8), result(0.5), result(0.6, test={"accuracy": 0.1})])
    scores = summary["dev"]["accuracy"]
    assert scores["mean"] == pytest.approx(1.9 / 3)
    # Deviations of 1/6, 2/15 and 1/30: the root of (25 + 16 + 1) / 900 / 2.
    assert scores["std"] == pytest.approx((42 / 900 / 2) ** 0.5)
    assert (scores["min"], scores["values"]) == (0.5, [0.8, 0.5, 0.6])
    assert summary["baselines"] == pytest.approx(BASELINES)
    assert summarize([result(0.8)])["dev"]["accuracy"]["std"] == 0


@pytest.mark.parametrize(
    ("accuracies", "failed"), [((0.8, 0.51), []), ((0.5, 0.51), [0]), ((float("nan"), 0.3), [0, 1])]
)
def test_a_run_at_the_majority_baseline_has_failed(accuracies, failed):
    summary = summarize([result(accuracy) for accuracy in accuracies])
    assert summary["failed"] == failed
    assert f"failed, no better than the majority: {len(failed)} of 2" in describe(summary)


def test_each_seed_has_a_folder_and_finished_runs_are_not_repeated(tmp_path: Path, capsys):
    calls: list = []
    run_seeds(options(tmp_path / "all"), fake_run(calls))
    assert calls == [(seed, None, f"seed-{seed}", False) for seed in range(3)]
    out = capsys.readouterr().out
    assert "many lines" not in out
    assert "seed 1: accuracy 0.5000, failed\n" in out
    assert "accuracy     0.7333 ± 0.2082   0.5000   0.8000 0.5000 0.9000\n" in out
    assert (tmp_path / "all/seed-0/output.txt").read_text("utf-8") == "many lines\n"
    metrics = json.loads((tmp_path / "all/metrics.json").read_text("utf-8"))
    assert metrics["failed"] == [1]
    assert metrics["dev"]["accuracy"]["values"] == [0.8, 0.5, 0.9]
    (tmp_path / "all/seed-2/metrics.json").unlink()
    (tmp_path / "all/seed-2/training/step-00000001-epoch-0").mkdir(parents=True)
    run_seeds(options(tmp_path / "all"), fake_run(calls))
    assert calls[3:] == [(2, None, "seed-2", True)]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"output": None}, "name one with --output"),
        ({"seed": 3}, "cannot be used with --seed"),
        ({"find_learning_rate": True}, "cannot be used with --seed or --find-learning-rate"),
        ({"output": Path("file")}, "file is a file, not a folder"),
        ({"output": Path("file/runs")}, "file is a file, not a folder"),
        ({"output": Path("single")}, "single holds a single run"),
        ({"output": Path("others"), "epochs": 3}, "holds runs with other options"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_before_a_run(changes, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("single/training").mkdir(parents=True)
    run_seeds(options(Path("others")), fake_run([]))
    calls: list = []
    with pytest.raises(MiniBertError, match=words):
        run_seeds(options(**({"output": Path("new")} | changes)), fake_run(calls))
    assert calls == []
    assert not Path("new").exists()


def test_a_run_that_is_refused_leaves_nothing_and_binds_nobody(tmp_path: Path):
    def refuse(one: argparse.Namespace) -> None:
        raise MiniBertError("there is no such file.")

    with pytest.raises(MiniBertError, match="seed 0: there is no such file"):
        run_seeds(options(tmp_path / "all", epochs=7), refuse)
    assert not (tmp_path / "all").exists()
    run_seeds(options(tmp_path / "all"), fake_run([]))


def command(capsys, *arguments: object) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as ended:
        main([*map(str, arguments)])
    return ended.value.code, *capsys.readouterr()


def test_every_option_of_training_works_from_the_command_line(tmp_path: Path, capsys):
    """A run with all of them at once, with two seeds, and the same again after one is lost."""
    pretrained_folder(tmp_path / "pretrained")
    lines = [
        f"the {'cat sat' if n % 3 else 'mat'} on {n % 7}\t{'yes' if n % 3 else 'no'}"
        for n in range(36)
    ]
    train = tmp_path / "train.tsv"
    train.write_text("\n".join(["text\tlabel", *lines]) + "\n", encoding="utf-8")
    common = ["finetune", "--train", train, "--dev", train, "--model", tmp_path / "pretrained"]
    words = (
        "--epochs 1 --freeze 1 --layer-decay 0.9 --head-rate-factor 3 --schedule cosine "
        "--class-weights balanced --balanced-sampling --focal-loss 1 --label-smoothing 0.1 "
        "--r-drop 1 --fgm 0.5 --early-stopping 1 --optimizer google --reinit-layers 1"
    ).split()
    runs = tmp_path / "runs"
    code, out, err = command(capsys, *common, *words, "--seeds", 2, "--output", runs)
    assert code == 0, err
    assert "dev, 2 seeds" in out
    printed = (runs / "seed-0" / "output.txt").read_text("utf-8")
    assert "frozen: the embeddings and the first 1 of 2 layers; " in printed
    before = (runs / "seed-1" / "model.safetensors").read_bytes()
    assert before != (runs / "seed-0" / "model.safetensors").read_bytes()
    shutil.rmtree(runs / "seed-1")
    assert command(capsys, *common, *words, "--seeds", 2, "--output", runs)[0] == 0
    assert (runs / "seed-1" / "model.safetensors").read_bytes() == before

    code, out, err = command(capsys, *common, "--find-learning-rate", "--output", tmp_path / "rate")
    assert code == 0, err
    assert "suggested: --learning-rate " in out
    assert [path.name for path in (tmp_path / "rate").iterdir()] == ["learning_rate.png"]


def test_without_options_nothing_is_asked_that_is_not_for_the_task():
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    for task in SCRIPTS:
        check_task_options(parser.parse_args([]), task, OPTIONS_OF)


BAD = [
    ("--freeze some", "'some' is unknown; give embeddings, a number of layers, or all"),
    ("--freeze 9", "the model has 2 layers"),
    ("--layer-decay 2", "2 is out of range; give 0.01 to 1"),
    ("--label-smoothing 1", "1 is out of range; give 0 to 0.99"),
    ("--focal-loss inf", "inf is out of range; give at least 0"),
    ("--seeds 0", "--seeds: 0 is out of range; give at least 1"),
    ("--class-weights balanced --task regression", "--class-weights is for classification"),
    ("--r-drop 1 --label-column number", "--r-drop needs one class each, and these are numbers"),
    ("--features-only --schedule cosine", "--schedule has no effect with --features-only"),
    ("--find-learning-rate --few-labels 8", "--find-learning-rate is for one set of texts"),
]


@pytest.mark.parametrize(("line", "words"), BAD, ids=[line for line, _ in BAD])
def test_options_that_do_not_fit_are_refused_in_one_sentence(line, words, tmp_path, capsys):
    pretrained_folder(tmp_path / "pretrained")
    lines = [f"the cat {n}\t{'yes' if n % 2 else 'no'}\t{n}.5" for n in range(40)]
    train = tmp_path / "train.tsv"
    train.write_text("\n".join(["text\tlabel\tnumber", *lines]) + "\n", encoding="utf-8")
    common = ["--train", train, "--model", tmp_path / "pretrained", "--output", tmp_path / "out"]
    code, _, err = command(capsys, "finetune", *common, *line.split())
    assert (code, err.count("\n")) == (2, 1)
    assert words in err
    assert not (tmp_path / "out").exists()
