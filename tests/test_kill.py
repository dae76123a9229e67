"""What you can rely on: `kill -9` at any moment costs no bit.

The example is started as a user starts it, killed at random moments, and resumed until it has
finished; weights and scores are those of a run that nobody disturbed. The number of kills is 3, or
MINIBERT_KILLS. And every single call to the file system, from the first to the last of saving a
checkpoint, is made to fail, or to be the last one of the process.
"""

import errno
import io
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import nn

import minibert.checkpoints.folder
from minibert.errors import MiniBertError
from minibert.training.checkpoint import TrainState, load_checkpoint, save_checkpoint

ROOT = Path(__file__).parents[1]
KILLS = int(os.environ.get("MINIBERT_KILLS", "3"))


def write_task(path: Path, examples: int, seed: int) -> Path:
    """Sentences about the sea or the mountains, in made-up order."""
    words = {
        "sea": "wave boat salt sail harbour tide gull deep".split(),
        "hill": "peak snow trail goat valley rock climb steep".split(),
    }
    draw = random.Random(seed)
    lines = ["text\tlabel"]
    for number in range(examples):
        label = ("sea", "hill")[number % 2]
        chosen = draw.choices(words[label], k=4) + draw.choices("the a one this old".split(), k=4)
        draw.shuffle(chosen)
        lines.append(f"{' '.join(chosen)}\t{label}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def command(folder: Path, output: Path) -> list[str]:
    train = write_task(folder / "train.tsv", 240, seed=1)
    dev = write_task(folder / "dev.tsv", 40, seed=2)
    return [
        sys.executable,
        str(ROOT / "examples" / "finetune_cls.py"),
        *("--train", str(train), "--dev", str(dev), "--output", str(output)),
        *("--batch-size", "8", "--epochs", "4", "--save-steps", "8", "--device", "cpu"),
    ]


def results(output: Path) -> tuple[bytes, bytes]:
    return (output / "model.safetensors").read_bytes(), (output / "metrics.json").read_bytes()


def test_kill_nine_at_random_moments_and_resume_gives_the_same_bits(tmp_path: Path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    started = time.monotonic()
    unbroken = command(tmp_path, tmp_path / "unbroken")
    done = subprocess.run(unbroken, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    usual = time.monotonic() - started

    draw = random.Random(7)
    broken = command(tmp_path, tmp_path / "broken")
    killed = 0
    for _ in range(4 * KILLS):
        started = time.monotonic()
        process = subprocess.Popen(
            [*broken, "--resume"],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            # Most of the moments lie after the imports, where files are written.
            process.wait(timeout=draw.uniform(0.3, 1.0) * usual)
            # It was faster, because other processes have ended; then once more, from the start.
            usual = time.monotonic() - started
            assert results(tmp_path / "broken") == results(tmp_path / "unbroken")
            shutil.rmtree(tmp_path / "broken")
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            killed += 1
        if killed == KILLS:
            break
    assert killed == KILLS
    last = subprocess.run(
        [*broken, "--resume"], env=environment, capture_output=True, text=True, check=False
    )
    assert last.returncode == 0, last.stderr
    assert results(tmp_path / "broken") == results(tmp_path / "unbroken")


class Killed(BaseException):
    """The process has ended; no `except` and no `finally` of it does anything any more."""


CALLS = "open mkdir replace rename fsync unlink rmdir chmod".split()


@contextmanager
def faulty_disk(fault: str, number: int) -> Iterator[list[str]]:
    """Let the calls to the file system succeed up to the one with this number, counted from 1.

    Args:
        fault: "once": that call fails; "full": that one and all later ones that write; "killed":
            that call is never made, and neither is any later one.
        number: of the call.

    Yields:
        The names of the calls so far.
    """
    made: list[str] = []

    def wrap(name: str, original: Callable, *, stub: bool = False) -> Callable:
        def call(*args, **options):
            made.append(name)
            if fault == "killed" and len(made) >= number:
                raise Killed
            if len(made) == number or (
                fault == "full" and len(made) > number and name not in ("unlink", "rmdir", "open")
            ):
                if name == "save_file":  # half of it is written
                    Path(args[1]).write_bytes(b"half")
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return None if stub else original(*args, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:  # fsync is slow, and a test cannot see what it does
            patch.setattr(os, name, wrap(name, getattr(os, name), stub=name == "fsync"))
        patch.setattr(io, "open", wrap("io.open", io.open))
        folder = minibert.checkpoints.folder
        patch.setattr(folder, "save_file", wrap("save_file", folder.save_file))
        yield made


# Saved before, and then while a call fails; (step, log lines).
SAVES = {
    "the same step again": [(25, 2), (25, 3)],
    "the same step for the third time": [(20, 1), (25, 2), (25, 3), (25, 4)],
    "a later step, so that the oldest is deleted": [(20, 1), (25, 2), (30, 3)],
    "the first": [(25, 2)],
}


@pytest.mark.parametrize("fault", ["once", "full", "killed"])
@pytest.mark.parametrize("saves", SAVES)
def test_whichever_call_fails_the_checkpoint_of_before_or_the_new_one_is_there(
    saves: str, fault: str, tmp_path: Path, capsys: pytest.CaptureFixture
):
    *before, new = SAVES[saves]
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters())

    def save(step: int, log_lines: int) -> None:
        nn.init.constant_(model.weight, step)
        state = TrainState(step=step, epoch=1, log_lines=log_lines, best_step=step, best_score=0.5)
        save_checkpoint(folder, model, optimizer, state, {})

    folder = tmp_path / "before"
    folder.mkdir()
    for earlier in before:
        save(*earlier)
    for number in range(1, 500):
        folder = shutil.copytree(tmp_path / "before", tmp_path / str(number))
        refused = False
        with faulty_disk(fault, number) as made:
            try:
                save(*new)
            except (MiniBertError, Killed) as error:
                refused = True
                assert fault == "killed" or "No space left on device" in str(error)
                assert ".tmp" not in str(error)
        if before or not refused:
            state = load_checkpoint(folder, model, optimizer, {}, resume=True)
            found = (state.step, state.log_lines)
            assert found in (new, *before[-1:]), f"call {number}, {made[number - 1]}"
            assert refused or found == new
            assert model.weight.item() == state.step
            assert "damaged (" not in capsys.readouterr().out
        assert fault == "killed" or refused or not [*folder.glob(".*.tmp")]
        if number % 10 == 0:
            save(*new)
            assert len([*folder.glob("step-*")]) == min(
                2, len({step for step, _ in before} | {new[0]})
            )
        if len(made) < number:
            assert number > 30
            return
    pytest.fail("the faults never came to an end")
