"""What you can rely on: a benchmark that cannot do what it is asked says so in one sentence, before
it trains; the control of next sentences runs.
"""

import runpy
import sys
from argparse import Namespace
from itertools import product
from pathlib import Path

import pytest
from tiny_folders import pretrained_folder
from toy_corpus import toy_corpus

BENCHMARKS = Path(__file__).parents[1] / "examples" / "benchmarks"


@pytest.fixture
def benchmark(tmp_path, monkeypatch, capsys):
    """Run a benchmark as a program, in a folder with a corpus of 30 documents and a file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(BENCHMARKS)
    toy_corpus(tmp_path, [4] * 30, sentence_length=3)
    (tmp_path / "empty.txt").write_text("\n", encoding="utf-8")

    def run(line: str) -> tuple[int, str, str]:
        name, *arguments = line.split()
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(BENCHMARKS / name), run_name="__main__")
        out, err = capsys.readouterr()
        return stop.value.code, out, err

    return run


BAD = [
    ("pretraining.py --corpus toy --presets huge", "invalid choice: 'huge'"),
    ("pretraining.py --corpus toy --rounds 0", "--rounds: 0 is out of range; give at least 1"),
    ("pretraining.py --corpus toy --threads 0", "--threads: 0 is out of range; give 1 to 1024"),
    ("pretraining.py --corpus toy --lengths 64 4", "--lengths: 4 is out of range; give 5 to 512"),
    ("pretraining.py --corpus toy --lengths 513", "--lengths: 513 is out of range"),
    ("pretraining.py --corpus toy --vocab-size 0", "--vocab-size: 0 is out of range"),
    ("pretraining.py --corpus toy --vocab-size 365", "toy needs at least 366"),
    ("pretraining.py --corpus none", "none is not a tokenized corpus"),
    ("finetuning_scores.py --train t --dev d --seeds 1", "--seeds: 1 is out of range"),
    ("processes.py --length 4", "--length: 4 is out of range; give 5 to 512"),
    ("processes.py --vocab-size 9", "--vocab-size is 9; weights/mini has 8192"),
    ("finetuning_speed.py --train none.tsv", "none.tsv"),
    ("inference.py none.txt --rounds 0", "--rounds: 0 is out of range; give at least 1"),
    ("inference.py none.txt --sides onnx", "invalid choice: 'onnx'"),
    ("inference.py none.txt --model toy", "toy is a corpus made by minibert prepare"),
    ("preparing.py --megabytes 0", "--megabytes: 0 is out of range; give at least 1"),
    ("next_sentence_control.py toy --updates 0", "--updates: 0 is out of range; give at least 1"),
    ("next_sentence_control.py toy --updates 999", "too few for --updates 999; give fewer"),
    ("next_sentence_control.py toy --batch-size 0", "--batch-size: 0 is out of range"),
    ("next_sentence_control.py toy --preset huge", "invalid choice: 'huge'"),
    ("next_sentence_control.py toy --precision int8", "invalid choice: 'int8'"),
    ("next_sentence_control.py toy --device gpu", "'gpu' cannot be used"),
    ("tokenization.py --vocab none", "cannot read none"),
    ("tokenization.py --vocab toy/vocab.txt empty.txt", "these files contain no text"),
    ("tokenization.py --vocab toy/vocab.txt none.txt", "none.txt: No such file or directory"),
    ("tokenization.py --vocab toy/vocab.txt --repeats 0", "--repeats: 0 is out of range"),
]


@pytest.mark.parametrize(("line", "words"), BAD)
def test_what_is_wrong_is_said_in_one_sentence(benchmark, line, words):
    code, out, err = benchmark(line)
    assert words in err
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert not Path("runs").exists()


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="memory is read there")
def test_preparing_is_timed_and_its_memory_seen(benchmark):
    code, out, err = benchmark("preparing.py --megabytes 1 --workers 1 --vocab-size 300")
    assert code == 0, err
    (vocabulary, corpus) = (line.split() for line in out.splitlines()[1:])
    assert (vocabulary[:3], corpus[:3]) == (["1", "MB", "train-vocab"], ["1", "MB", "prepare"])
    assert all(float(line[3]) > 0 and int(line[4]) > 10 for line in (vocabulary, corpus))


def test_the_control_trains_on_text_as_it_is_and_shuffled(benchmark):
    code, out, err = benchmark("next_sentence_control.py toy --updates 2 --batch-size 4")
    assert code == 0, err
    assert [line.split()[0] for line in out.splitlines()] == ["text", "as", "shuffled"]


TOY_FILES = {
    "accuracy": ("cat\tyes\n", "mat\tno\n"),
    "entity_f1": ("the O\ncat B-X\n\n", "paris B-X\nis O\n\n"),
}


@pytest.mark.parametrize("metric", TOY_FILES)
def test_ours_and_the_peer_learn_a_toy_task_equally_well(benchmark, metric):
    Path("train.txt").write_text("".join(TOY_FILES[metric]) * 30, encoding="utf-8")
    Path("dev.txt").write_text("".join(TOY_FILES[metric]), encoding="utf-8")
    pretrained_folder(Path("model"), initializer_range=0.1)
    files = "--train train.txt --dev dev.txt --model model --max-length 16"
    how = "--seeds 2 --batch-size 8 --learning-rate 0.01"
    code, out, err = benchmark(f"finetuning_scores.py {files} {how}")
    assert code == 0, err
    assert [line.split() for line in out.splitlines()[-4:-1]] == [
        [metric, "on", "dev,", "2", "seeds"],
        ["minibert", "1.0000", "±", "0.0000", "1.0000", "1.0000"],
        ["transformers", "1.0000", "±", "0.0000", "1.0000", "1.0000"],
    ]


def test_all_sides_of_inference_compute_the_same(benchmark):
    pretrained_folder(Path("model"), initializer_range=0.1, max_position_embeddings=128)
    Path("texts.txt").write_text("the cat sat .\nparis\nthe mat is on a mat .\n", encoding="utf-8")
    how = "--model model --works file one --rounds 1 --sides minibert-float32 minibert-int8 "
    code, out, err = benchmark(f"inference.py texts.txt {how} transformers-float32 onnx-int8")
    assert code == 0, err
    lines = [line.split() for line in out.splitlines()[-8:]]
    assert [(line[0], line[1]) for line in lines] == [
        (work, side)
        for work in ("file", "one")
        for side in ("minibert-float32", "minibert-int8", "transformers-float32", "onnx-int8")
    ]
    assert all(float(line[-1]) < 0.2 for line in lines)


def test_the_speed_of_fine_tuning_is_that_of_equal_updates(benchmark):
    Path("train.txt").write_text("the cat sat .\tyes\nmat\tno\n" * 20, encoding="utf-8")
    pretrained_folder(Path("model"), initializer_range=0.1, max_position_embeddings=128)
    how = "--model model --shape 1x16 --rounds 1 --updates 2 --batch-size 8"
    code, out, err = benchmark(f"finetuning_speed.py --train train.txt {how}")
    assert code == 0, err
    lines = [line.split() for line in out.splitlines()[-4:]]
    kinds = product(("float32", "bfloat16"), ("file", "grouped"))
    assert [(line[0], line[1]) for line in lines] == list(kinds)
    assert lines[0][2] > lines[1][2] == "0%"
    assert all(float(number.replace(",", "")) > 0 for line in lines for number in line[3:])


def test_both_sides_answer_and_step_in_processes_of_their_own(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(BENCHMARKS)
    folder = str(pretrained_folder(tmp_path / "model"))
    functions = runpy.run_path(str(BENCHMARKS / "processes.py"))
    sizes = Namespace(rows=2, length=8)
    for side in ("minibert", "transformers"):
        # "It rains in the mountains, and the river rises." is 13 tokens of this vocabulary.
        assert functions["answer"](side, folder) == "torch.Size([1, 13, 24])"
        assert functions["step"](side, folder, sizes) >= 0
