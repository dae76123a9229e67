"""The learning curve of a pretraining: losses and accuracies over the tokens that were seen.

Tokens, and not steps, since that is what runs with other batches and lengths have in common. The
log that it is drawn from is told in `training_pictures.py`; here the evaluations say how many
tokens were seen, too, and the lines between them are placed in proportion.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minibert.errors import MiniBertError
from minibert.plots import style as drawing
from minibert.plots.finetuning import Record, name_at_the_end, read_log, smooth

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ACCURACIES = {
    "masked_lm_accuracy": ("masked words", drawing.BLUE),
    "next_sentence_accuracy": ("next sentence", drawing.PURPLE),
}
Point = tuple[float, Record]  # tokens seen, and the line of the log


def pretraining_curve(log: Path, output: Path, *, majority: float | None = None) -> None:
    """Draw losses on the left, and on the right how often held-out words and pairs are right.

    The training loss is that of both tasks together, so beside it stands the same sum on held-out
    text, and below it the part of the masked words.

    Args:
        log: the JSONL file that training wrote.
        output: the picture, by its suffix a .png, .svg or .pdf.
        majority: how often the commonest answer about next sentences is right.

    Raises:
        MiniBertError: the log has no training steps or no evaluation, or the picture was refused.
    """
    records = read_log(log)
    judged = [r for r in records if r.get("kind") == "evaluation" and "tokens" in r]
    # What came after the last evaluation of a run that is under way has no place yet.
    last = judged[-1]["step"] if judged else 0
    train = [r for r in records if r.get("kind") == "train" and r["step"] <= last]
    if not train:
        raise MiniBertError(f"{log} has no training or no evaluation to draw; train for longer.")
    places = np.array([(0, 0), *((r["step"], r["tokens"]) for r in judged)], dtype=np.float64).T
    figure = drawing.new_figure(10, 3.8)
    losses, scores = figure.subplots(1, 2)
    _draw_losses(
        losses,
        [(float(np.interp(r["step"], *places)), r) for r in train],
        [(float(r["tokens"]), r) for r in judged],
    )
    _draw_accuracies(scores, [(float(r["tokens"]), r) for r in judged], majority)
    for axes in (losses, scores):
        axes.set_xlabel("tokens seen", color=drawing.INK)
        axes.set_xlim(0, judged[-1]["tokens"] * 1.02)
        axes.xaxis.set_major_formatter(lambda tokens, _: _short(tokens))
        drawing.plain_axes(axes)
    drawing.save(figure, output)


def _draw_losses(axes: "Axes", train: Sequence[Point], judged: Sequence[Point]) -> None:
    seen, values = [tokens for tokens, _ in train], [float(r["loss"]) for _, r in train]
    both = "next_sentence_loss" in judged[-1][1]
    axes.plot(seen, values, color=drawing.BLUE, alpha=0.15, linewidth=0.8)
    window = max(1, len(seen) // 25) * 2 + 1 if len(seen) >= 10 else 1
    axes.plot(seen, smooth(values, window), color=drawing.BLUE, alpha=0.5, label="train")
    tokens = [place for place, _ in judged]
    words = [float(r["loss"]) for _, r in judged]
    style: dict[str, Any] = {"markersize": 4, "linewidth": 1.8, "color": drawing.ORANGE}
    if both:
        total = [w + r["next_sentence_loss"] for w, (_, r) in zip(words, judged, strict=True)]
        axes.plot(tokens, total, "o-", label="held out", **style)
    label = "held out, masked words only" if both else "held out"
    axes.plot(tokens, words, "o--" if both else "o-", label=label, **style)
    axes.set_ylabel("loss", color=drawing.INK)
    axes.legend(frameon=False, labelcolor=drawing.INK)


def _draw_accuracies(axes: "Axes", judged: Sequence[Point], majority: float | None) -> None:
    ends: list[tuple[float, str, str]] = []  # (height, text, colour)
    for field, (name, colour) in ACCURACIES.items():
        points = [(tokens, float(r[field])) for tokens, r in judged if field in r]
        if points:
            axes.plot(*zip(*points, strict=True), "o-", color=colour, markersize=4, linewidth=1.8)
            ends.append((points[-1][1], f"{name} {points[-1][1]:.3f}", colour))
    if majority is not None:
        axes.axhline(majority, color=drawing.QUIET, linestyle=(0, (4, 3)), linewidth=1.2)
        ends.append((majority, f"commoner answer {majority:.3f}", drawing.QUIET))
    axes.set_ylabel("accuracy on held-out text", color=drawing.INK)
    axes.margins(y=0.12)
    name_at_the_end(axes, ends)


def _short(tokens: float) -> str:
    """1,500,000 -> 1.5M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if tokens >= size:
            return f"{tokens / size:g}{letter}"
    return f"{tokens:g}"
