"""Several training runs in one picture: what only the difference between them explains."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from minibert.errors import MiniBertError
from minibert.plots import style as drawing
from minibert.plots.finetuning import name_at_the_end, read_log, smooth

COLOURS = (drawing.BLUE, drawing.ORANGE, drawing.GREEN, drawing.PURPLE)


def compare_runs(
    logs: Mapping[str, Path],
    output: Path,
    *,
    score: str = "accuracy",
    baselines: Mapping[str, float] | None = None,
) -> None:
    """Draw the training loss of each run on the left, and its score on dev on the right.

    A curve is named with its best score, whose weights are those that a training keeps. Where no
    installed font can write the names, the runs are numbered.

    Args:
        logs: what a run is called -> the JSONL file that its training wrote; four at most.
        output: the picture, by its suffix a .png, .svg or .pdf.
        score: which score of the evaluations to draw.
        baselines: name -> score of what the runs must beat, drawn as dashed lines.

    Raises:
        MiniBertError: there are too many runs, a log cannot be read or has no training steps, or
            the picture was refused.
    """
    if len(logs) > len(COLOURS):
        raise MiniBertError(f"{len(logs)} runs are too many to tell apart; draw {len(COLOURS)}.")
    dashed = {name.replace("_", " "): value for name, value in (baselines or {}).items()}
    families = drawing.families_for([*logs, *dashed])
    names = list(logs) if families else [f"run {n}" for n in range(1, len(logs) + 1)]
    figure = drawing.new_figure(10, 3.8)
    losses, scores = figure.subplots(1, 2)
    ends: list[tuple[float, str, str]] = []  # (height, text, colour)
    for name, log, colour in zip(names, logs.values(), COLOURS, strict=False):
        records = read_log(log)
        train = {r["epoch"]: r["loss"] for r in records if r.get("kind") == "train"}
        if not train:
            raise MiniBertError(f"{log} has no training steps to draw; train for longer.")
        judged = [r for r in records if r.get("kind") == "evaluation" and score in r]
        values = np.array([r[score] for r in judged], dtype=np.float64)
        window = max(1, len(train) // 25) * 2 + 1 if len(train) >= 10 else 1
        smoothed = smooth(list(train.values()), window)
        losses.plot(list(train), list(train.values()), color=colour, alpha=0.2, linewidth=0.8)
        losses.plot(list(train), smoothed, color=colour, linewidth=1.8, label=name)
        epochs = [r["epoch"] for r in judged]
        scores.plot(epochs, values, "o-", color=colour, markersize=4, linewidth=1.8)
        known = values[np.isfinite(values)]
        if known.size:
            ends.append((known[-1], f"{name}, best {known.max():.3f}", colour))
    for name, value in dashed.items():
        scores.axhline(value, color=drawing.QUIET, linestyle=(0, (4, 3)), linewidth=1.2)
        ends.append((value, f"{name} {value:.3f}", drawing.QUIET))
    losses.set_ylabel("training loss", color=drawing.INK)
    font = {"family": families or [drawing.DEFAULT_FONT]}
    losses.legend(frameon=False, labelcolor=drawing.INK, prop=font)
    scores.set_ylabel(f"{score} on dev", color=drawing.INK)
    scores.margins(y=0.12)
    name_at_the_end(scores, ends)
    for text in scores.texts:
        text.set(**font)
    for axes in (losses, scores):
        axes.set_xlabel("epochs", color=drawing.INK)
        axes.set_xlim(left=0)
        drawing.plain_axes(axes)
    drawing.save(figure, output)
