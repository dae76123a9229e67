"""Learning curves of fine-tuning and pretraining, drawn from the log of a run; learning rates.

The log is a JSONL file with one object per line:

    {"kind": "train", "step": 40, "epoch": 0.53, "loss": 0.61, "learning_rate": 1e-4, ...}
    {"kind": "evaluation", "step": 75, "epoch": 1, "split": "dev", "accuracy": 0.8, ...}
"""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minibert.errors import MiniBertError
from minibert.files import explain_os_errors
from minibert.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Record = dict[str, Any]
Points = NDArray[np.float64]  # (2, N): x and y of N points


def finetuning_curve(
    logs: Mapping[str, Path],
    *,
    metric: str = "accuracy",
    baselines: Mapping[str, float] | None = None,
) -> "Figure":
    """Return a figure of the loss (left) and a metric on the dev set (right) over the epochs.

    Each run has its own color. Its label has the best score, because training keeps those weights.

    Args:
        logs: the JSONL log of each run, by the name of the run; at most four.
        metric: which score of the evaluations to draw.
        baselines: scores of simpler methods, by name, drawn as horizontal lines.

    Raises:
        MiniBertError: if there are more than four runs, or a log cannot be read or is empty.

    Example:
        >>> figure = finetuning_curve(
        ...     {"pretrained": Path("run/log.jsonl")}, baselines={"majority": 0.2}
        ... )  # doctest: +SKIP
    """
    if len(logs) > len(style.COLORS):
        raise MiniBertError(
            f"{len(logs)} runs are too many for one figure; draw at most {len(style.COLORS)}."
        )
    names = style.drawable([*logs], [f"run {number}" for number in range(1, len(logs) + 1)])
    figure = style.new_figure(10, 3.8)
    losses, scores = figure.subplots(1, 2)
    for name, log, color in zip(names, logs.values(), style.COLORS, strict=False):
        records = read_log(log)
        train = points(records, "train", "epoch", "loss")
        if not train.size:
            raise MiniBertError(f"{log} has no training steps to draw; train for longer.")
        _plot_train_loss(losses, train, label=f"{name}, train", color=color)
        for axes, key, line in ((losses, "loss", "o:"), (scores, metric, "o-")):
            dev = points(records, "evaluation", "epoch", key)
            if dev.size:
                label = f"{name}, dev" if axes is losses else f"{name}, best {dev[1].max():.3f}"
                axes.plot(*dev, line, color=color, markersize=4, label=label)
    _plot_baselines(scores, baselines or {})
    _finish(losses, scores, xlabel="epoch", metric=f"{metric} on dev")
    return figure


def pretraining_curve(log: Path, *, majority: float | None = None) -> "Figure":
    """Return a figure of losses (left) and held-out accuracies (right) over the tokens seen.

    Tokens are comparable between runs with different batch sizes and lengths, which steps are not.
    The training loss is the sum of both tasks, so it is shown with the same sum on held-out text.

    Args:
        log: the JSONL log of the run.
        majority: the accuracy of always giving the more common next-sentence answer.

    Raises:
        MiniBertError: if the log cannot be read, or has no training steps or no evaluations.
    """
    from matplotlib.ticker import EngFormatter

    records = read_log(log)
    train = points(records, "train", "step", "loss")
    tokens = points(records, "evaluation", "step", "tokens")
    # Only evaluations log the tokens seen; what lies between them is interpolated.
    train = train[:, train[0] <= tokens[0].max(initial=0)]
    if not train.size:
        raise MiniBertError(f"{log} has no training step before an evaluation; train for longer.")
    train[0] = np.interp(train[0], np.append(0, tokens[0]), np.append(0, tokens[1]))
    masked_lm = points(records, "evaluation", "tokens", "loss")
    next_sentence = points(records, "evaluation", "tokens", "next_sentence_loss")
    figure = style.new_figure(10, 3.8)
    losses, scores = figure.subplots(1, 2)
    _plot_train_loss(losses, train, label="train", color=style.BLUE)
    dots: dict[str, Any] = {"markersize": 4, "color": style.ORANGE}
    if next_sentence.size:
        total = masked_lm[1] + next_sentence[1]
        losses.plot(masked_lm[0], total, "o-", label="held out", **dots)
    label = "held out, masked LM only" if next_sentence.size else "held out"
    losses.plot(*masked_lm, "o:" if next_sentence.size else "o-", label=label, **dots)
    for task, color in (("masked_lm", style.BLUE), ("next_sentence", style.PURPLE)):
        accuracy = points(records, "evaluation", "tokens", f"{task}_accuracy")
        if accuracy.size:
            label = f"{task.replace('_', ' ').replace('lm', 'LM')} {accuracy[1, -1]:.3f}"
            scores.plot(*accuracy, "o-", color=color, markersize=4, label=label)
    if majority is not None:
        label = f"next sentence, more common answer {majority:.3f}"
        scores.axhline(majority, color=style.PURPLE, linestyle="--", linewidth=1.2, label=label)
    for axes in (losses, scores):
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))  # 1.5M
    _finish(losses, scores, xlabel="tokens seen", metric="accuracy on held-out text")
    return figure


def learning_rate_figure(
    rates: ArrayLike, losses: ArrayLike, smoothed: ArrayLike, *, suggestion: float
) -> "Figure":
    """Return a figure of the loss over a rising learning rate, with a mark at the suggested rate.

    Args:
        rates: the learning rate of each update.
        losses: its loss.
        smoothed: the running mean of the losses.
        suggestion: the rate to start with.
    """
    figure = style.new_figure(7, 4)
    axes = figure.subplots()
    axes.plot(rates, losses, color=style.BLUE, alpha=0.3, linewidth=0.8, label="loss of a batch")
    axes.plot(rates, smoothed, color=style.BLUE, linewidth=1.8, label="running mean")
    label = f"suggested: {suggestion:.1g}"
    axes.axvline(suggestion, color=style.ORANGE, linestyle="--", linewidth=1.2, label=label)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_ylim(top=2 * np.max(smoothed))  # a batch can be far above
    style.style_axes(axes, xlabel="learning rate (log scale)", ylabel="training loss")
    axes.legend(frameon=False, labelcolor="linecolor", fontsize=9)
    return figure


def read_log(path: Path) -> list[Record]:
    """Return the records of a JSONL log, without a last line that is still being written.

    Damaged lines are skipped, with a note.

    Raises:
        MiniBertError: if there is no such file, or it cannot be read.
    """
    if not path.is_file():
        raise MiniBertError(f"the training log {path} does not exist; train first.")
    with explain_os_errors("read", path):
        *lines, _ = path.read_bytes().split(b"\n")  # a last line without an end is being written
    records, damaged = [], []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line.decode("utf-8"))
            places = [record.get(name, 0) for name in ("step", "epoch", "loss")]
            if not isinstance(record["kind"], str) or not all(map(_is_number, places)):
                raise ValueError
            records.append(record)
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
            damaged.append(number)
    if damaged:
        warnings.warn(
            f"{path}: {len(damaged):,} of {len(lines):,} lines are damaged and are skipped, the "
            f"first of them line {damaged[0]:,}.",
            stacklevel=2,
        )
    return records


def points(records: list[Record], kind: str, x: str, y: str) -> Points:
    """Return the points (x, y) of all records of a kind in which both are finite numbers.

    Example:
        >>> points([{"kind": "train", "step": 5, "loss": 0.5}], "train", "step", "loss").tolist()
        [[5.0], [0.5]]
    """
    values = [(r.get(x), r.get(y)) for r in records if r["kind"] == kind]
    values = [pair for pair in values if all(map(_is_number, pair))]
    pairs = np.array(values, dtype=np.float64).reshape(-1, 2).T  # (N, 2) -> (2, N)
    return pairs[:, np.isfinite(pairs).all(axis=0)]


def _is_number(value: object) -> bool:
    """Return whether a figure can show a value; the largest numbers that it can are near 1e300."""
    return type(value) in (int, float) and not abs(value) > 1e100  # type: ignore[arg-type]


def smooth(values: ArrayLike, window: int) -> NDArray[np.float64]:
    """Return the mean of an odd window around each value; it is narrower at both ends.

    An exponential moving average, the usual choice, lags behind: a falling loss looks too high.

    Example:
        >>> smooth([0, 3, 6, 9], 3).tolist()
        [1.5, 3.0, 6.0, 7.5]
    """
    sums = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(len(sums) - 1)
    first = np.maximum(places - window // 2, 0)
    end = np.minimum(places + window // 2 + 1, len(places))
    return np.asarray((sums[end] - sums[first]) / (end - first))


def _plot_train_loss(axes: "Axes", train: Points, *, label: str, color: str) -> None:
    steps = train.shape[1]
    window = max(1, steps // 25) * 2 + 1 if steps >= 10 else 1
    axes.plot(*train, color=color, alpha=0.2, linewidth=0.8)
    axes.plot(train[0], smooth(train[1], window), color=color, linewidth=1.8, label=label)


def _plot_baselines(axes: "Axes", baselines: Mapping[str, float]) -> None:
    for index, (name, value) in enumerate(baselines.items()):
        dashes = ("--", ":", "-.")[index % 3]
        label = f"{name.replace('_', ' ')} {value:.3f}"
        axes.axhline(value, color=style.GRAY, linestyle=dashes, linewidth=1.2, label=label)


def _finish(losses: "Axes", scores: "Axes", *, xlabel: str, metric: str) -> None:
    for axes, ylabel in ((losses, "loss"), (scores, metric)):
        style.style_axes(axes, xlabel=xlabel, ylabel=ylabel)
        axes.set_xlim(left=0)
    losses.legend(frameon=False, labelcolor=style.INK, fontsize=9)
    # In the order of the lines' right ends, from the top down.
    lines = sorted(scores.lines, key=lambda line: -np.asarray(line.get_ydata())[-1])
    where: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1, 0.5)}
    scores.legend(handles=lines, frameon=False, labelcolor="linecolor", fontsize=9, **where)
