"""A figure of a confusion matrix: counts, and the share of each true class, in every cell."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minibert.errors import MiniBertError
from minibert.evaluation.metrics import MAX_CLASSES_LISTED
from minibert.plots import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LONGEST_NAME = 24  # characters
MAX_NUMBERS = 400  # cells with numbers; in a larger table, those of the largest counts
MAX_POINTS = 400  # of an image without numbers, in each direction


def confusion_matrix_figure(matrix: ArrayLike, names: Sequence[str]) -> "Figure":
    r"""Return a figure with correct predictions in blue and errors in orange.

    The color is deeper for a larger share of the row. Class ids replace names that no installed
    font can draw. More than 40 classes are an image without numbers and names, in
    which a point is several classes if there are more than 400.

    Args:
        matrix: (C, C) counts, rows true and columns predicted, from `metrics.confusion_matrix`.
        names: the C class names, in the order of their ids.

    Raises:
        MiniBertError: if the names do not fit the matrix.

    Example:
        >>> figure = confusion_matrix_figure([[3, 1], [0, 4]], ["no", "yes"])
        >>> [cell.get_text() for cell in figure.axes[0].texts]
        ['3\n75%', '1\n25%', '0\n0%', '4\n100%']
    """
    counts = np.asarray(matrix, dtype=np.int64)
    size = len(names)
    if not size or counts.shape != (size, size):
        raise MiniBertError(f"{size} class names do not fit a matrix of shape {counts.shape}.")
    if size > MAX_CLASSES_LISTED:
        return _image(counts)
    ids = [str(i) for i in range(size)]
    labels = style.drawable(names, ids)
    replaced = sum(
        name != label == id_ for name, label, id_ in zip(names, labels, ids, strict=True)
    )
    what = "class id" if replaced == size else "class (or id)" if replaced else "class"
    labels = [n if len(n) <= LONGEST_NAME else f"{n[: LONGEST_NAME - 1]}…" for n in labels]

    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    colors, shades = _colors(shares)
    # Cells are large in a small table; a table of twenty classes still fits on a page.
    inches = float(np.interp(size, [2, 6, 20, 40], [1.2, 0.85, 0.55, 0.4]))
    least = np.sort(counts, axis=None)[-MAX_NUMBERS:][0]  # each number takes time and memory
    width = size * inches + 1.9
    figure = style.new_figure(width, width - 0.5)
    axes = figure.add_subplot()
    axes.imshow(colors, aspect="equal")
    for (row, column), count in np.ndenumerate(counts):
        share = shares[row, column]
        # A large table is easier to read without zeros.
        if size <= 6 or count > max(0, least - (counts.size <= MAX_NUMBERS)):
            axes.text(
                column,
                row,
                f"{count:,}\n{'<1%' if 0 < share < 0.005 else f'{share:.0%}'}",
                ha="center",
                va="center",
                fontsize=float(np.interp(inches, [0.55, 1.0], [7, 10])),
                color="white" if shades[row, column] > 0.55 else style.INK,
            )
    slanted: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
    crowded = max(map(len, labels)) * 0.09 > inches
    axes.set_xticks(range(size), labels, fontsize=9, **(slanted if crowded else {}))
    axes.set_yticks(range(size), labels, fontsize=9)
    borders = np.arange(size + 1) - 0.5
    axes.set_xticks(borders, minor=True)
    axes.set_yticks(borders, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="both", length=0, colors=style.INK)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(f"predicted {what}", color=style.INK)
    axes.set_ylabel(f"true {what}", color=style.INK)
    axes.set_title(_title(counts), fontsize=10, loc="left")
    return figure


def _image(counts: NDArray[np.int64]) -> "Figure":
    """Return a figure of bounded size: one point per class, or per group of adjacent classes."""
    group = -(-len(counts) // MAX_POINTS)
    starts = np.arange(0, len(counts), group)
    grouped = np.add.reduceat(np.add.reduceat(counts, starts, axis=0), starts, axis=1)
    colors, _ = _colors(grouped / np.maximum(1, grouped.sum(axis=1, keepdims=True)))
    figure = style.new_figure(7.5, 7)
    axes = figure.add_subplot()
    edge = len(starts) * group - 0.5
    axes.imshow(colors, extent=(-0.5, edge, edge, -0.5), interpolation="nearest")
    each = f", {group} per point" if group > 1 else ""
    axes.set_xlabel(f"predicted class id{each}", color=style.INK)
    axes.set_ylabel(f"true class id{each}", color=style.INK)
    axes.tick_params(colors=style.INK, labelsize=9)
    axes.set_title(_title(counts), fontsize=10, loc="left")
    return figure


def _colors(shares: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the RGB colors (C, C, 3) of shares of rows (C, C), and how deep they are (C, C)."""
    correct = np.eye(len(shares), dtype=bool)
    # Errors are rare: with the square root of the share, 1 % differs visibly from 5 %.
    shades = np.where(correct, shares, np.sqrt(shares))
    deepest = np.where(correct[..., None], (0.03, 0.35, 0.60), (0.80, 0.33, 0.0))
    return 1 - shades[..., None] * (1 - deepest), shades


def _title(counts: NDArray[np.int64]) -> str:
    accuracy = counts.trace() / max(1, counts.sum())
    return f"{counts.trace():,} of {counts.sum():,} correct ({accuracy:.1%})"
