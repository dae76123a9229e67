"""A figure of a confusion matrix: counts, and the share of each true class, in every cell."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from minibert.errors import MiniBertError
from minibert.plots import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LONGEST_NAME = 24  # characters


def confusion_matrix_figure(matrix: ArrayLike, names: Sequence[str]) -> "Figure":
    r"""Return a figure with correct predictions in blue and errors in orange.

    The color is deeper for a larger share of the row. Class ids replace the names if no installed
    font has their characters.

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
    drawable = style.fonts_for(names) is not None
    labels = [*names] if drawable else [str(i) for i in range(size)]
    labels = [n if len(n) <= LONGEST_NAME else f"{n[: LONGEST_NAME - 1]}…" for n in labels]

    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    correct = np.eye(size, dtype=bool)
    # Errors are rare: with the square root of the share, 1 % differs visibly from 5 %.
    shades = np.where(correct, shares, np.sqrt(shares))[..., None]  # (C, C) -> (C, C, 1)
    deepest = np.where(correct[..., None], (0.03, 0.35, 0.60), (0.80, 0.33, 0.0))  # (C, C, 3) RGB
    # Cells are large in a small table; a table of twenty classes still fits on a page.
    inches = float(np.interp(size, [2, 6, 20], [1.2, 0.85, 0.55]))
    figure = style.new_figure(size * inches + 1.9, size * inches + 1.4)
    axes = figure.add_subplot()
    axes.imshow(1 - shades * (1 - deepest), aspect="equal")
    for (row, column), count in np.ndenumerate(counts):
        share = shares[row, column]
        if count or size <= 6:  # a large table is easier to read without zeros
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
    what = "class" if drawable else "class id"
    axes.set_xlabel(f"predicted {what}", color=style.INK)
    axes.set_ylabel(f"true {what}", color=style.INK)
    accuracy = counts.trace() / max(1, counts.sum())
    title = f"{counts.trace():,} of {counts.sum():,} correct ({accuracy:.1%})"
    axes.set_title(title, fontsize=10, loc="left")
    return figure
