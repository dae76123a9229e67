"""Repeat a fine-tuning with several seeds, and summarize its scores.

The seed changes the new layer, the order of the data, dropout, and what is held out for dev if
there is no --dev. Finished runs are not repeated, and an interrupted one is resumed.
"""

import argparse
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

from minibert.errors import MiniBertError
from minibert.files import check_folder, make_folder, read_json_object, write_json

# Options that may differ between the calls that finish the runs of a folder.
NOT_COMPARED = ("seed", "seeds", "output", "resume", "device", "save_steps", "run", "command")


def run_seeds(options: argparse.Namespace, run: Callable[[argparse.Namespace], None]) -> None:
    """Call `run` for each seed, print the summary, and write it to OUTPUT/metrics.json.

    Args:
        options: of `minibert finetune`.
        run: runs one fine-tuning.

    Raises:
        MiniBertError: the options do not fit, the folder holds other runs, or a run is refused.
    """
    output: Path = options.output
    if output is None:
        raise MiniBertError("--seeds needs a folder for all runs; name one with --output.")
    if options.seed or options.find_learning_rate:
        raise MiniBertError("--seeds cannot be used with --seed or --find-learning-rate.")
    check_folder(output)
    if (output / "training").exists():
        raise MiniBertError(f"{output} holds a single run; choose another --output.")
    asked = {name: x for name, x in vars(options).items() if name not in NOT_COMPARED}
    asked = json.loads(json.dumps(asked, default=str))
    record = output / "options.json"
    if record.exists() and read_json_object(record) != asked:
        raise MiniBertError(f"{output} holds runs with other options; choose another --output.")
    results = []
    for seed in range(options.seeds):
        folder = output / f"seed-{seed}"
        if not (folder / "metrics.json").exists():
            _run_one(options, run, seed, folder)
            write_json(record, asked)
        results.append(read_json_object(folder / "metrics.json"))
        metric, score, failed = _outcome(results[-1])
        print(f"seed {seed}: {metric} {score:.4f}{', failed' if failed else ''}", flush=True)
    summary = summarize(results)
    write_json(output / "metrics.json", summary)
    print(describe(summary))


def summarize(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return mean, sample standard deviation, minimum and values of every score, and failed runs.

    A run has failed if it ended at the majority baseline or below, as in Mosbach et al. 2021.

    Args:
        results: the `metrics.json` of each seed.
    """
    import numpy as np  # here, so that --help stays fast

    summary: dict[str, Any] = {"seeds": len(results)}
    summary["failed"] = [seed for seed, result in enumerate(results) if _outcome(result)[2]]
    for split in ("dev", "test", "from_random_weights"):
        names = [name for name, x in results[0].get(split, {}).items() if isinstance(x, float)]
        for name in names:
            values = [result[split][name] for result in results]
            summary.setdefault(split, {})[name] = {
                "mean": float(np.mean(values)),
                "std": float(np.std(values, ddof=1)) if len(values) > 1 else 0.0,
                "min": float(np.min(values)),
                "values": values,
            }
    # Without a --dev, every seed holds out other texts, on which the baselines differ.
    summary["baselines"] = {
        name: float(np.mean([result["baselines"][name] for result in results]))
        if isinstance(value, float)
        else value
        for name, value in results[0]["baselines"].items()
    }
    return summary


def describe(summary: Mapping[str, Any]) -> str:
    """Return the summary as text."""
    lines = []
    for split in ("dev", "test", "from_random_weights"):
        if split in summary:
            lines.append(f"\n{split}, {summary['seeds']} seeds: mean ± deviation, minimum, values")
        for name, score in summary.get(split, {}).items():
            values = " ".join(f"{value:.4f}" for value in score["values"])
            spread = f"{score['mean']:.4f} ± {score['std']:.4f}   {score['min']:.4f}"
            lines.append(f"{name:12} {spread}   {values}")
    baselines = {n: x for n, x in summary["baselines"].items() if isinstance(x, float)}
    lines.append(f"\nto beat: {'  '.join(f'{n} {x:.4f}' for n, x in baselines.items())}")
    failed = summary["failed"]
    seeds = f" (seed {', '.join(map(str, failed))})" if failed else ""
    lines.append(f"failed, no better than the majority: {len(failed)} of {summary['seeds']}{seeds}")
    return "\n".join(lines)


def _run_one(
    options: argparse.Namespace,
    run: Callable[[argparse.Namespace], None],
    seed: int,
    folder: Path,
) -> None:
    """Run or resume one seed; what it prints goes to FOLDER/output.txt."""
    resume = any((folder / "training").glob("step-*"))
    changes = {"seed": seed, "seeds": None, "output": folder, "resume": resume}
    make_folder(folder)
    try:
        with (folder / "output.txt").open("a", encoding="utf-8") as file, redirect_stdout(file):
            run(argparse.Namespace(**vars(options) | changes))
    except MiniBertError as error:
        if not (folder / "training").exists():  # refused before it began
            shutil.rmtree(folder)
            with suppress(OSError):
                folder.parent.rmdir()
        raise MiniBertError(f"seed {seed}: {error}") from error


def _outcome(result: Mapping[str, Any]) -> tuple[str, float, bool]:
    """Return the main metric of a run, its score, and whether the run has failed."""
    baselines = result["baselines"]
    metric, score = baselines["metric"], result[baselines["split"]][baselines["metric"]]
    lowest = min(x for x in baselines.values() if isinstance(x, float))
    return metric, score, not score > baselines.get("majority", lowest)
