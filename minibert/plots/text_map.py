"""Vectors of texts as points on a plane, each with its text beside it.

The plane is the one that keeps most of the differences: the first two principal components
(Pearson 1901), by a singular value decomposition. What it leaves out is written on the axes: texts
that are far apart here are far apart, but neighbours here may differ in what is not seen.

N texts, E numbers a vector.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minibert.errors import MiniBertError
from minibert.plots import style as drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation

COLOURS = (drawing.BLUE, drawing.ORANGE, drawing.GREEN, drawing.PURPLE)
LONGEST_LABEL = 36
# Where a label may stand, in points (1/72 inch) right of and above what it names, and which of its
# sides is there. The first free place is taken.
PLACES = (
    (6, 0, "left", "center"),
    (-6, 0, "right", "center"),
    (0, 6, "center", "bottom"),
    (0, -6, "center", "top"),
    (6, 9, "left", "center"),
    (6, -9, "left", "center"),
    (-6, 9, "right", "center"),
    (-6, -9, "right", "center"),
)


def principal_components(
    vectors: ArrayLike, count: int = 2
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Project vectors onto the directions in which they differ most.

    Args:
        vectors: (N, E).
        count: how many directions.

    Returns:
        The coordinates (N, count), and for each direction its share of the variance, from 0 to 1.
        Where there are fewer directions than asked for, the others are 0.

    Example:
        >>> points, shares = principal_components([[0, 0, 5], [2, 0, 5], [4, 0, 5]], 1)
        >>> np.abs(points).round(6).tolist(), shares.round(6).tolist()
        ([[2.0], [0.0], [2.0]], [1.0])
    """
    centred = np.asarray(vectors, dtype=np.float64)
    centred = centred - centred.mean(axis=0)
    # centred = left @ diag(sizes) @ directions, the directions sorted by how much they explain
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    shares = sizes**2 / max(np.sum(sizes**2), np.finfo(np.float64).tiny)
    missing = max(0, count - len(sizes))
    points = np.pad(left * sizes, ((0, 0), (0, missing)))
    return points[:, :count], np.pad(shares, (0, missing))[:count]


def vectors_picture(
    vectors: ArrayLike,
    texts: Sequence[str],
    output: Path,
    *,
    groups: Sequence[str] | None = None,
    title: str = "",
) -> None:
    """Draw the vectors of a few dozen texts.

    Where no installed font has the characters of the texts, their numbers are written instead.

    Args:
        vectors: (N, E), as `SentenceEncoder.encode` gives.
        texts: the N texts; long ones are cut.
        output: the picture, by its suffix a .png, .svg or .pdf.
        groups: the name of the group of each text, which gives it its colour.
        title: written above.

    Raises:
        MiniBertError: there are not as many vectors as texts, or the picture was refused.

    Example:
        >>> vectors_picture(encoder.encode(texts), texts, Path("texts.png"))
    """
    vectors = np.asarray(vectors, dtype=np.float64)
    groups = [""] * len(texts) if groups is None else groups
    if vectors.ndim != 2 or not len(vectors) == len(texts) == len(groups) or not vectors.size:
        raise MiniBertError(
            f"{len(texts)} texts and {len(groups)} groups do not fit vectors of shape "
            f"{vectors.shape}; give one vector, one text and one group each."
        )
    if not np.isfinite(vectors).all():
        raise MiniBertError("a vector holds NaN or infinite values; look for their cause first.")
    points, shares = principal_components(vectors)  # (N, E) -> (N, 2)
    families = drawing.families_for([*texts, *groups, title])
    if families is None:
        texts, title = [str(number) for number in range(1, len(texts) + 1)], ""
    figure = drawing.new_figure(8.5, 6.5)
    axes = figure.add_subplot()
    axes.margins(0.18, 0.08)
    names = list(dict.fromkeys(groups))
    colours = {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}
    for name in names:
        members = points[[group == name for group in groups]]
        axes.scatter(members[:, 0], members[:, 1], s=26, color=colours[name], label=name)
    style: dict[str, Any] = {
        "fontfamily": families or [drawing.DEFAULT_FONT],
        "parse_math": False,  # a text with two "$" is no formula
    }
    axes.set_xlabel(f"first component: {shares[0]:.0%} of the differences", color=drawing.INK)
    axes.set_ylabel(f"second component: {shares[1]:.0%}", color=drawing.INK)
    axes.set_title(title, fontsize=11, loc="left", **style)
    if len(names) > 1 and families:
        # Above the plane, where no label can lie.
        axes.legend(
            loc="lower right",
            bbox_to_anchor=(1, 1),
            ncols=min(len(names), 6),
            frameon=False,
            labelcolor=drawing.INK,
            prop={"family": families, "size": 9},
        )
    drawing.plain_axes(axes)
    axes.set(xticks=[], yticks=[])  # only distances mean something
    figure.draw_without_rendering()  # from here on it is known where a label would lie
    figure.set_layout_engine("none")
    _write_labels(axes, points, texts, [colours[group] for group in groups], style)
    drawing.save(figure, output)


def _write_labels(
    axes: "Axes",
    points: NDArray[np.float64],
    texts: Sequence[str],
    colours: Sequence[str],
    style: dict[str, Any],
) -> None:
    """Write each text where it covers no point and no other text, if there is such a place."""
    from matplotlib.transforms import Bbox

    at = axes.transData.transform(points)  # (N, 2) in pixels
    taken = [Bbox([[x - 5, y - 5], [x + 5, y + 5]]) for x, y in at]
    for point, text, colour in zip(points, texts, colours, strict=True):
        short = text if len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 1] + "…"
        label = axes.annotate(
            short,
            (float(point[0]), float(point[1])),
            xytext=(0, 0),
            textcoords="offset points",
            fontsize=8.5,
            color=colour,
            **style,
        )

        def covers(place: tuple[float, float, str, str], label: "Annotation" = label) -> int:
            """How many points and texts the label would cover in this place."""
            label.set(position=place[:2], ha=place[2], va=place[3])
            return sum(label.get_window_extent().overlaps(other) for other in taken)

        covers(min(PLACES, key=covers))
        taken.append(label.get_window_extent())
