"""What you can rely on: two processes that torchrun starts train exactly as one does.

With the same settings the losses and weights of every step are the same, whoever read which batch
and whatever number of batches an epoch ends with. A killed process ends the job with one sentence,
a signal ends it saved, and both go on to the same bits, also with another number of processes.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import torchrun_task as task
from test_training_loop import new_batches as classification_batches
from toy_corpus import toy_corpus

from minibert import MiniBertError
from minibert.checkpoints.folder import read_safetensors
from minibert.cli.shared import resume_command
from minibert.data.pretraining.batches import PretrainingBatches
from minibert.training import distributed
from minibert.training.distributed import Processes, join_processes

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no SIGTERM")

TESTS = Path(__file__).parent
CPU = torch.device("cpu")
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--tee", "3")
TOLERANCE = 1e-6  # measured: 0 with two batches an update, and 2.4e-7 with four


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Sums that several threads share are rounded in another order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A corpus of 23, 20 and 18 batches in the first three epochs."""
    path = tmp_path_factory.mktemp("torchrun")
    toy_corpus(path, [40, 9, 1, 60, 30] * 7, sentence_length=3)
    return path


def start(folder: Path, *tasks: str) -> subprocess.Popen:
    command = [sys.executable, *TORCHRUN, str(TESTS / "torchrun_task.py"), str(folder), *tasks]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(TESTS.parent)}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def said_by_workers(stderr: str) -> list[str]:
    """What the two processes have said, without torchrun's own report of a failure."""
    return [line for line in stderr.splitlines() if line.startswith("[default")]


@pytest.fixture(scope="module")
def job(folder: Path) -> tuple[int, str]:
    """Two processes train several times, until one of them is killed: exit code and stderr."""
    process = start(folder, "two", "four", "best", "float16", "errors", "killed")
    _, stderr = process.communicate(timeout=200)
    return process.returncode, stderr


@pytest.fixture(scope="module")
def trained(folder: Path, job: tuple[int, str]) -> Path:
    """The folder with the trainings of two processes, and with the same ones of one process."""
    assert (folder / "other-1.txt").exists(), job[1]
    task.train_toy(folder, "one-two")
    task.train_toy(folder, "one-four", gradient_accumulation_steps=4)
    task.train_toy(folder, "one-float16", overflow_at=6, precision="float16", epochs=1)
    return folder


def weights(folder: Path, name: str, rank: int = 0) -> dict[str, torch.Tensor]:
    return read_safetensors(folder / f"{name}-{rank}.safetensors")


def difference(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> float:
    assert first.keys() == second.keys()
    return max((first[name] - second[name]).abs().max().item() for name in first)


def log(folder: Path, name: str, kind: str = "train") -> list[dict]:
    lines = (folder / name / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [line for line in map(json.loads, lines) if line["kind"] == kind]


@pytest.mark.parametrize(("name", "updates"), [("two", 31), ("four", 16)])
def test_two_processes_have_the_losses_and_weights_of_one_at_every_step(trained, name, updates):
    two, one = log(trained, name), log(trained, f"one-{name}")
    assert len(two) == len(one) == updates
    for line, expected in zip(two, one, strict=True):
        for value in ("step", "epoch", "learning_rate", "padding"):
            assert line[value] == expected[value]
        assert line["loss"] == pytest.approx(expected["loss"], abs=TOLERANCE)
        assert line["gradient_norm"] == pytest.approx(expected["gradient_norm"], abs=TOLERANCE)
    for rank in (0, 1):
        assert difference(weights(trained, name, rank), weights(trained, f"one-{name}")) < TOLERANCE


def test_each_process_reads_its_own_part(trained):
    def read(name: str, rank: int = 0) -> list[list[int]]:
        return json.loads((trained / f"{name}-{rank}.json").read_text("utf-8"))["read"]

    for name in ("two", "four"):
        alone, first, second = read(f"one-{name}"), read(name, 0), read(name, 1)
        assert len(first) + len(second) == len(alone) == 23 + 20 + 18
        assert sorted(first + second) == sorted(alone)
        # Of the first epoch's 23 batches the last is alone in its window: process 1 has none there.
        assert first[:12] == alone[:23:2]
        assert second[:11] == alone[1:23:2]


def test_the_best_weights_are_those_of_all_processes_in_the_end(trained):
    ends = [json.loads((trained / f"best-{rank}.json").read_text("utf-8")) for rank in (0, 1)]
    assert [end["best_step"] for end in ends] == [22, 22]
    assert [end["best_score"] for end in ends] == [0.9, 0.9]
    assert difference(weights(trained, "best", 0), weights(trained, "best", 1)) == 0
    assert difference(weights(trained, "best"), weights(trained, "two")) > 1e-4
    assert len(log(trained, "best", "evaluation")) == 3


def test_what_overflows_in_one_process_is_left_out_by_all(trained):
    norms = [line["gradient_norm"] for line in log(trained, "float16")]
    assert [step for step, norm in enumerate(norms, 1) if norm == float("inf")] == [3]
    assert difference(weights(trained, "float16", 0), weights(trained, "float16", 1)) == 0
    assert difference(weights(trained, "float16"), weights(trained, "one-float16")) < TOLERANCE


def test_what_was_started_wrongly_is_said_once_in_a_sentence(trained):
    def said(name: str) -> list[str]:
        return [(trained / f"{name}-{rank}.txt").read_text("utf-8") for rank in (0, 1)]

    first, second = said("odd")
    assert "gradient_accumulation_steps is 3 for 2 processes" in first
    assert second == ""
    first, second = said("other")
    assert "learning_rate is 0.001 in process 0 and 0.002 in 1" in first
    assert second == ""


def test_a_killed_process_ends_the_job_with_one_sentence(job):
    exit_code, stderr = job
    assert exit_code != 0
    [sentence] = said_by_workers(stderr)
    assert "after step 17: another process of this job has ended" in sentence
    assert "The checkpoints are intact. To resume: say please" in sentence


def test_a_killed_job_goes_on_to_the_same_bits_and_a_signal_ends_it_saved(trained):
    process = start(trained, "resume-killed", "stopped")
    written = trained / "stopped" / "log.jsonl"
    limit = time.monotonic() + 200
    while not written.exists() or written.read_text(encoding="utf-8").count("\n") < 3:
        assert time.monotonic() < limit and process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)

    for rank in (0, 1):
        assert difference(weights(trained, "killed", rank), weights(trained, "two")) == 0

    assert process.returncode != 0
    [sentence] = said_by_workers(stderr)
    [saved] = (trained / "stopped").glob("step-*")
    step = int(saved.name.split("-")[1])
    assert f"stopped after step {step} (0." in sentence
    assert "of 3 epochs); the run is saved. To resume: say please" in sentence

    # One process goes on where two have stopped.
    task.train_toy(trained, "stopped", resume=True)
    assert difference(weights(trained, "stopped"), weights(trained, "one-two")) < TOLERANCE


def same(first: list[dict], second: list[dict]) -> bool:
    return len(first) == len(second) and all(
        a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
        for a, b in zip(first, second, strict=True)
    )


def test_an_epoch_can_be_read_in_steps_like_a_range(folder):
    corpus = task.Corpus.open(folder / "toy")
    packed = PretrainingBatches(
        corpus, max_length=32, batch_size=8, next_sentence=False, whole_word=True
    )
    for data in (task.new_batches(folder), packed, classification_batches()):
        whole = list(data.epoch(1))
        for first, step in ((0, 1), (0, 2), (1, 2), (3, 2), (2, 3), (len(whole), 2)):
            assert same(list(data.epoch(1, start=first, step=step)), whole[first::step])


def test_one_process_never_calls_torch_distributed(monkeypatch: pytest.MonkeyPatch, tmp_path):
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(distributed, "dist", None)
    with join_processes(CPU) as processes:
        assert processes == Processes(0, 1)
        assert processes.sum([1.5]) == [1.5]
        assert processes.on_main(lambda: "said") == "said"
        processes.check_same({"seed": 1})
        processes.broadcast_([torch.ones(1)])
        processes.all_reduce_([torch.ones(1)])


def test_nothing_keeps_the_group_when_the_job_is_done():
    # Threads of a group that is kept abort about every second process that exits at once.
    code = """
import weakref, torch, torch.distributed as dist
from minibert.training.distributed import _join
from minibert.training.optimizer import decay_groups, make_optimizer
_join(torch.device("cpu"))
make_optimizer(decay_groups(torch.nn.Linear(2, 2), weight_decay=0.0), learning_rate=1.0)
group = weakref.ref(dist.group.WORLD)
dist.destroy_process_group()
assert group() is None
"""
    alone = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0", "PYTHONPATH": str(TESTS.parent)}
    subprocess.run([sys.executable, "-c", code], env={**os.environ, **alone, **address}, check=True)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"MASTER_PORT": None}, r"MASTER_PORT expected, but not set.*MASTER_PORT=None"),
        ({"RANK": None}, r"RANK expected, but not set.*RANK=None, WORLD_SIZE=2"),
        ({"WORLD_SIZE": "two"}, r"invalid literal.*RANK=0, WORLD_SIZE=two.*torchrun, or unset"),
    ],
)
def test_a_wrong_environment_is_named(monkeypatch: pytest.MonkeyPatch, changed, words):
    environment = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for name, value in (environment | changed).items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    with pytest.raises(MiniBertError, match=words), join_processes(CPU):
        pass


def test_devices_that_several_processes_cannot_use_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    for device, words in (("mps", "not on mps"), ("cuda:0", "gives all processes the same GPU")):
        with pytest.raises(MiniBertError, match=words), join_processes(torch.device(device)):
            pass


def test_the_command_to_resume_starts_as_many_processes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", ["my task.py", "--seed", "1"])
    for name, value in (("WORLD_SIZE", "4"), ("LOCAL_WORLD_SIZE", "4"), ("GROUP_WORLD_SIZE", "1")):
        monkeypatch.setenv(name, value)
    rest = "'my task.py' --seed 1 --output out --resume"
    assert resume_command(Path("out")) == f"torchrun --nproc-per-node 4 {rest}"
    monkeypatch.setenv("GROUP_WORLD_SIZE", "2")  # machines
    assert resume_command(Path("out")) == f"torchrun ... {rest}"
    monkeypatch.setattr(sys, "argv", ["bin/minibert", "pretrain", "corpus", "--output", "out"])
    command = "minibert pretrain corpus --output out --resume"
    assert resume_command(Path("out")) == f"torchrun ... --no-python {command}"
    monkeypatch.setattr(sys, "argv", ["my task.py", "--seed", "1"])
    monkeypatch.delenv("WORLD_SIZE")
    assert resume_command(Path("out")) == f"python {rest}"
