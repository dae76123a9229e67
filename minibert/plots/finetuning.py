"""Two pictures of a training run: its learning curve, and what it confuses with what.

The learning curve is drawn from the JSONL log that training writes, one object per line:

    {"kind": "train", "step": 40, "epoch": 0.53, "loss": 0.61, "learning_rate": 1e-4, ...}
    {"kind": "evaluation", "step": 75, "epoch": 1, "split": "dev", "accuracy": 0.8, ...}

Left out: learning rate, gradient norm and speed; they are in the same log.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minibert.errors import MiniBertError
from minibert.plots import style as drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Record = dict[str, Any]

# Of these, the first two that the log has are drawn.
SCORES = (
    "accuracy",
    "f1_macro",
    "entity_f1",
    "exact_match",
    "f1",
    "pearson",
    "spearman",
    "f1_micro",
)
SCORE_COLOURS = (drawing.ORANGE, drawing.PURPLE)


def learning_curve(
    log: Path | Sequence[Record],
    output: Path,
    *,
    baselines: Mapping[str, float] | None = None,
    scores: Sequence[str] = SCORES,
    split: str = "dev",
) -> None:
    """Draw loss and score over the steps of a run.

    Args:
        log: the JSONL file that training wrote, or its records.
        output: the picture, by its suffix a .png, .svg or .pdf.
        baselines: name -> score of what the model must beat, drawn as dashed lines.
        scores: names of evaluation scores; the first two that occur are drawn.
        split: which evaluations are meant.

    Raises:
        MiniBertError: the log has no training steps or a broken line, or the picture was refused.

    Example:
        >>> learning_curve(Path("run/log.jsonl"), Path("run/curve.png"),
        ...                baselines={"majority": 0.2, "bag of words": 0.81})
    """
    records = read_log(log) if isinstance(log, str | Path) else list(log)
    # A run that was resumed has some steps twice: the later line is the one that counts.
    train = {r["step"]: r for r in records if r.get("kind") == "train" and "loss" in r}
    dev = {
        r["step"]: r
        for r in records
        if r.get("kind") == "evaluation" and r.get("split", split) == split
    }
    if not train:
        raise MiniBertError(
            f"{log if isinstance(log, str | Path) else 'the log'} has no training steps to draw; "
            "train for a few steps first."
        )
    drawn = [name for name in scores if any(name in r for r in dev.values())][:2]
    figure = drawing.new_figure(10 if drawn else 5.6, 3.8)
    panels = figure.subplots(1, 2 if drawn else 1, squeeze=False)[0]
    _draw_losses(panels[0], train, dev)
    if drawn:
        _draw_scores(panels[1], dev, drawn, baselines or {})
    for axes in panels:
        axes.set_xlabel(_step_label(train), color=drawing.INK)
        axes.set_xlim(0, max([*train, *dev]) * 1.02)
        drawing.plain_axes(axes)
    drawing.save(figure, output)


def confusion_matrix_picture(matrix: ArrayLike, names: Sequence[str], output: Path) -> None:
    """Draw a confusion matrix: counts, and the share of each true class (row) in each cell.

    What is right is blue and what is wrong is orange, deeper for a larger share of the row. Where
    no installed font can write the names, the class ids stand for all of them.

    Args:
        matrix: (C, C) counts, rows true and columns predicted, as `metrics.confusion_matrix` gives.
        names: the C class names, in the order of their ids.
        output: the picture, by its suffix a .png, .svg or .pdf.

    Raises:
        MiniBertError: the names do not fit the matrix, or the picture was refused.
    """
    counts = np.asarray(matrix, dtype=np.int64)
    size = len(names)
    if not size or counts.shape != (size, size) or (counts < 0).any():
        raise MiniBertError(f"{size} class names do not fit a matrix of shape {counts.shape}.")
    families = drawing.families_for(names)
    labels = list(names) if families else [str(i) for i in range(size)]
    labels = [name if len(name) <= 24 else name[:23] + "…" for name in labels]

    # Small tables get roomy cells; a table of twenty classes must still fit a page.
    cell = float(np.interp(size, [2, 6, 20], [1.2, 0.85, 0.55]))
    figure = drawing.new_figure(size * cell + 1.9, size * cell + 1.4)
    axes = figure.add_subplot()
    _draw_cells(axes, counts, cell)
    ticks: dict[str, Any] = {"fontsize": 9, "fontfamily": families or [drawing.DEFAULT_FONT]}
    crowded = max(map(len, labels)) * 0.09 > cell
    slope: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(range(size), labels, **ticks, **(slope if crowded else {}))
    axes.set_yticks(range(size), labels, **ticks)
    axes.set_xticks(np.arange(size + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(size + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="both", length=0, colors=drawing.INK)
    axes.spines[:].set_visible(False)
    what = "class" if families else "class id"
    axes.set_xlabel(f"predicted {what}", color=drawing.INK)
    axes.set_ylabel(f"true {what}", color=drawing.INK)
    right = counts.trace() / max(1, counts.sum())
    axes.set_title(
        f"{counts.trace():,} of {counts.sum():,} right ({right:.1%})", fontsize=10, loc="left"
    )
    drawing.save(figure, output)


def read_log(path: Path) -> list[Record]:
    """Records of a JSONL log; a last line that is still being written is left out.

    Raises:
        MiniBertError: there is no such file, or a line in it is not JSON.
    """
    path = Path(path)
    if not path.is_file():
        raise MiniBertError(f"there is no training log {path}.")
    records = []
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line) if line.strip() else None
        except json.JSONDecodeError as error:
            if number == len(lines):
                break
            raise MiniBertError(f"{path}, line {number} is not JSON; delete that line.") from error
        if isinstance(record, dict):
            records.append(record)
    return records


def smooth(values: ArrayLike, window: int) -> NDArray[np.float64]:
    """Mean over a window centred on each value, which narrows at both ends and skips NaN.

    Centred, because the usual exponential mean lags behind and makes a falling loss look higher.

    Example:
        >>> smooth([0, 3, 6, 9], 3).tolist()
        [1.5, 3.0, 6.0, 7.5]
    """
    numbers = np.asarray(values, dtype=np.float64)
    known = np.isfinite(numbers)
    box = np.ones(window)
    # "full" and a cut, because mode "same" has the window's length when the values are fewer.
    first = (window - 1) // 2
    cut = slice(first, first + len(numbers))
    total = np.convolve(np.where(known, numbers, 0), box)[cut]
    count = np.convolve(known, box)[cut]
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _draw_losses(axes: "Axes", train: dict[int, Record], dev: dict[int, Record]) -> None:
    steps, losses = list(train), _numbers(train, "loss")
    window = max(1, len(steps) // 25) * 2 + 1 if len(steps) >= 10 else 1
    axes.plot(steps, losses, color=drawing.BLUE, alpha=0.25, linewidth=0.8)
    axes.plot(steps, smooth(losses, window), color=drawing.BLUE, linewidth=1.8, label="train")
    measured = {step: r for step, r in dev.items() if r.get("loss") is not None}
    if measured:
        axes.plot(
            list(measured), _numbers(measured, "loss"), "o-", color=drawing.ORANGE, label="dev"
        )
        axes.legend(frameon=False, labelcolor=drawing.INK)
    axes.set_ylabel("loss", color=drawing.INK)


def _draw_scores(
    axes: "Axes", dev: dict[int, Record], names: list[str], baselines: Mapping[str, float]
) -> None:
    """Scores as lines and baselines as dashes, each named at its right end."""
    ends: list[tuple[float, str, str]] = []  # (height, text, colour)
    for name, colour in zip(names, SCORE_COLOURS, strict=False):
        values = _numbers(dev, name)
        axes.plot(list(dev), values, "o-", color=colour, markersize=4, linewidth=1.8)
        known = values[np.isfinite(values)]
        if known.size:
            ends.append((known[-1], f"{name} {known[-1]:.3f}", colour))
    for name, value in baselines.items():
        axes.axhline(value, color=drawing.QUIET, linestyle=(0, (4, 3)), linewidth=1.2)
        ends.append((value, f"{name} {value:.3f}", drawing.QUIET))
    axes.set_ylabel(f"score on {next(iter(dev.values())).get('split', 'dev')}", color=drawing.INK)
    axes.margins(y=0.12)
    name_at_the_end(axes, ends)


def name_at_the_end(axes: "Axes", ends: list[tuple[float, str, str]]) -> None:
    """Name lines at their right ends, moved apart where they would overlap.

    Args:
        axes: with the lines in it.
        ends: for each line its height there, what to write, and in which colour.
    """
    low, high = axes.get_ylim()
    ends = sorted(ends)
    heights = spread([height for height, _, _ in ends], 0.065 * (high - low))
    for height, (_, text, colour) in zip(heights, ends, strict=True):
        axes.annotate(
            text,
            (1, height),
            xycoords=("axes fraction", "data"),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=colour,
        )


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Move sorted heights apart until neighbours are `gap` from each other, as little as it takes.

    Example:
        >>> spread([1.0, 1.0, 5.0], 2.0)
        [0.0, 2.0, 5.0]
    """
    groups: list[tuple[float, int]] = []  # (centre, members): labels that touch move as one
    for height in heights:
        groups.append((height, 1))
        while len(groups) > 1:
            (low, below), (high, above) = groups[-2:]
            if high - low >= gap * (below + above) / 2:
                break
            groups[-2:] = [((low * below + high * above) / (below + above), below + above)]
    return [
        centre + (i - (members - 1) / 2) * gap for centre, members in groups for i in range(members)
    ]


def _step_label(train: dict[int, Record]) -> str:
    last, epochs = max(train), train[max(train)].get("epoch")
    return f"step (one epoch = {last / epochs:.0f} steps)" if epochs else "step"


def _numbers(records: dict[int, Record], name: str) -> NDArray[np.float64]:
    """One field of every record; NaN, which leaves a gap in a line, where it has none."""
    values = (record.get(name) for record in records.values())
    return np.array([np.nan if value is None else float(value) for value in values])


def _draw_cells(axes: "Axes", counts: NDArray[np.int64], cell: float) -> None:
    """Colour the cells of a (C, C) matrix and write count and share of the row into each."""
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    right = np.eye(len(counts), dtype=bool)
    # Errors are rare: their square root lets 1 % be told from 5 %, and 5 % from 20 %.
    shades = np.where(right, shares, np.sqrt(shares))[..., None]  # (C, C) -> (C, C, 1)
    full = np.where(right[..., None], (0.03, 0.35, 0.60), (0.80, 0.33, 0.0))
    axes.imshow(1 - shades * (1 - full), aspect="equal")
    size = float(np.interp(cell, [0.55, 1.0], [7.5, 11]))
    for (row, column), count in np.ndenumerate(counts):
        if not count and len(counts) > 6:
            continue  # a large table is easier to read without its zeros
        share = shares[row, column]
        percent = "<1%" if 0 < share < 0.005 else f"{share:.0%}"
        style: dict[str, Any] = {
            "ha": "center",
            "color": "white" if shades[row, column] > 0.55 else drawing.INK,
        }
        axes.text(column, row, f"{count:,}", va="bottom", fontsize=size, **style)
        axes.text(column, row + 0.08, percent, va="top", fontsize=size * 0.8, **style)
