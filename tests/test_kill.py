"""What you can rely on: `kill -9` at any moment costs no bit.

The example is started as a user starts it, killed at random moments, and resumed until it has
finished; weights and scores are those of a run that nobody disturbed. The number of kills is 3, or
MINIBERT_KILLS.
"""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

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
    train = write_task(folder / "train.tsv", 320, seed=1)
    dev = write_task(folder / "dev.tsv", 80, seed=2)
    return [
        sys.executable,
        str(ROOT / "examples" / "finetune_cls.py"),
        *("--train", str(train), "--dev", str(dev), "--output", str(output)),
        *("--batch-size", "8", "--epochs", "6", "--save-steps", "15", "--device", "cpu"),
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
        process = subprocess.Popen(
            [*broken, "--resume"],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            # Most of the moments lie after the imports, where files are written.
            process.wait(timeout=draw.uniform(0.3, 1.0) * usual)
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
