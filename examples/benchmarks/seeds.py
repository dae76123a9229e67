"""Repeat a fine-tuning with several seeds, and print the mean and deviation of its scores.

python examples/benchmarks/seeds.py --output runs/sst2 -- --train train.tsv --dev dev.tsv
python examples/benchmarks/seeds.py --output runs/tiny --seeds 10

Options after -- are those of examples/finetune_cls.py. The seed changes the new layer, the order of
the data and dropout. Finished runs are not repeated, interrupted ones are resumed.
"""

from minibert.cli.process import run

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

from minibert import MiniBertError
from minibert.cli.shared import Parser, check_folder, int_range
from minibert.files import make_folder, read_json_object, write_json

OURS = ("--seed", "--output", "--resume")  # set here for each run
EXAMPLE = Path(__file__).parents[1] / "finetune_cls.py"


def main() -> None:
    options = parse_options()
    asked = options.output / "options.json"
    given = {"options": options.rest}
    if asked.exists() and read_json_object(asked) != given:
        raise MiniBertError(f"{options.output} holds runs with other options; choose another.")
    results = []
    for seed in range(options.seeds):
        folder = options.output / f"seed-{seed}"
        if not (folder / "metrics.json").exists():
            fine_tune(folder, seed, options.rest)
            write_json(asked, given)
        results.append(read_json_object(folder / "metrics.json"))
    for name in ("dev", "test", "from_random_weights"):
        if name in results[0]:
            print(f"\n{name}, {options.seeds} seeds")
            describe([result[name] for result in results])
    print(f"\nto beat: {results[0]['baselines']}")


def fine_tune(folder: Path, seed: int, rest: list[str]) -> None:
    """Run the example, or resume it."""
    command = [sys.executable, str(EXAMPLE), *rest, "--seed", str(seed), "--output", str(folder)]
    if (folder / "training").exists():
        command.append("--resume")
    make_folder(folder)
    with (folder / "output.txt").open("a", encoding="utf-8") as output:
        done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise MiniBertError(f"the run with seed {seed} failed; {folder / 'output.txt'} says why.")


def describe(scores: list[dict[str, float]]) -> None:
    """Print the mean, the sample standard deviation and the values of every score."""
    for name in scores[0]:
        values = [score[name] for score in scores]
        deviation = statistics.stdev(values) if len(values) > 1 else 0.0
        each = " ".join(f"{value:.4f}" for value in values)
        print(f"{name:12} {statistics.mean(values):.4f} ± {deviation:.4f}   {each}")


def parse_options() -> argparse.Namespace:
    parser = Parser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="a folder for all runs")
    parser.add_argument("--seeds", type=int_range(1), default=5)
    parser.add_argument("rest", nargs="*", help="options of examples/finetune_cls.py, after --")
    options = parser.parse_args()
    check_folder(options.output)
    for word in options.rest:
        if word.split("=")[0] in OURS:
            parser.error(f"{word} is set here for each run; remove it.")
    return options


if __name__ == "__main__":
    run(main)
