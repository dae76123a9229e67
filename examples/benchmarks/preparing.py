"""Measure the time and memory of `minibert train-vocab` and `prepare` as the text grows.

    python examples/benchmarks/preparing.py --megabytes 100 1000

The script writes English-like text: invented words with the frequencies of real ones, and no
document twice. It prints the seconds of each command and the peak memory of all its processes
together. Memory is read from /proc, so this runs on Linux.
"""

from minibert.cli.process import run

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from minibert.cli.shared import Parser, int_range
from minibert.errors import MiniBertError

SYLLABLES = [a + b + c for a in "bdfgklmnprst" for b in "aeiou" for c in ("", "n", "r", "st")]
WORDS = 80_000
SENTENCES, WORDS_PER_SENTENCE = 12, 15  # of a document
INTERVAL = 0.2  # seconds between two measurements of memory


def main() -> None:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", nargs="+", type=int_range(1), default=[10, 100])
    parser.add_argument("--workers", type=int_range(1), default=os.cpu_count())
    parser.add_argument("--vocab-size", type=int_range(300), default=8192, metavar="N")
    arguments = parser.parse_args()
    if not Path("/proc/self/smaps_rollup").exists():
        raise MiniBertError("memory is read from /proc/PID/smaps_rollup, which only Linux has.")

    print(f"{'text':>10}  {'command':12}  {'seconds':>7}  {'peak memory':>11}")
    for megabytes in arguments.megabytes:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            texts, vocabulary = folder / "texts.txt", folder / "vocab.txt"
            write_text(texts, megabytes)
            steps = {
                "train-vocab": {"vocab-size": arguments.vocab_size, "output": vocabulary},
                "prepare": {
                    "vocab": vocabulary,
                    "workers": arguments.workers,
                    "output": folder / "corpus",
                },
            }
            for command, options in steps.items():
                words = [f"--{name}={value}" for name, value in options.items()]
                seconds, most = watch(
                    [sys.executable, "-m", "minibert", command, str(texts), *words]
                )
                told = f"{megabytes:>7} MB  {command:12}  {seconds:>7.1f}  {most / 1e6:>8.0f} MB"
                print(told, flush=True)


def write_text(path: Path, megabytes: int) -> None:
    """Write documents of invented words; the n-th word is 1/n times as frequent as the first."""
    generator = np.random.default_rng(0)
    made = generator.choice(SYLLABLES, (WORDS, 3))
    words = np.array(["".join(parts[: 1 + i % 3]) for i, parts in enumerate(made.tolist())])
    shares = 1 / np.arange(1, WORDS + 1)
    shares /= shares.sum()
    with path.open("w", encoding="utf-8") as file:
        while file.tell() < megabytes * 1_000_000:
            drawn = generator.choice(words, (200, SENTENCES, WORDS_PER_SENTENCE), p=shares)
            for document in drawn.tolist():
                sentences = (" ".join(sentence).capitalize() + "." for sentence in document)
                file.write(" ".join(sentences) + "\n\n")


def watch(command: list[str]) -> tuple[float, int]:
    """Run a command and return its seconds and the peak bytes of its processes together."""
    started, most = time.monotonic(), 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            most = max(most, sum(memory(number) for number in family(process.pid)))
            time.sleep(INTERVAL)
    if process.returncode:
        raise MiniBertError(f"{' '.join(command[2:4])} failed; see its message above.")
    return time.monotonic() - started, most


def family(number: int) -> list[int]:
    """Return the ids of a process and of all its descendants."""
    try:
        children = (
            Path(f"/proc/{number}/task/{number}/children").read_text(encoding="utf-8").split()
        )
    except OSError:  # it has ended
        return []
    return [number, *(one for child in children for one in family(int(child)))]


def memory(number: int) -> int:
    """Return the bytes of a process; shared memory is divided among the processes."""
    try:
        lines = Path(f"/proc/{number}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


if __name__ == "__main__":
    run(main)
