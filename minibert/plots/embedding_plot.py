"""A scatter plot of text embeddings: their first two principal components, with the texts.

The plane holds the first two principal components (Pearson 1901), found by a singular value
decomposition; the axes say which share of the variance they keep. Points that are far apart have
distant vectors. Points that are close may still differ in the components that are not shown.

N texts, E numbers in a vector.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minibert.errors import MiniBertError
from minibert.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation

LONGEST_LABEL = 36  # characters
# Positions for a label, best first: its offset from the point, right and up in points (1/72 inch),
# and which side of the label lies there.
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
    """Project vectors onto the directions of largest variance.

    Args:
        vectors: (N, E).
        count: the number of directions.

    Returns:
        The coordinates (N, count), and the share of the variance (count,) that each direction
        explains, from 0 to 1. Directions that do not exist, because N or E is too small, are 0.

    Example:
        >>> points, shares = principal_components([[0, 0, 5], [2, 0, 5], [4, 0, 5]], 1)
        >>> np.abs(points).round(6).tolist(), shares.round(6).tolist()
        ([[2.0], [0.0], [2.0]], [1.0])
    """
    centered = np.asarray(vectors, dtype=np.float64)
    centered = centered - centered.mean(axis=0)
    # centered = left @ diag(sizes) @ directions, sorted by size
    left, sizes, _ = np.linalg.svd(centered, full_matrices=False)
    shares = sizes**2 / max(np.sum(sizes**2), np.finfo(np.float64).tiny)
    missing = max(0, count - len(sizes))
    points = np.pad(left * sizes, ((0, 0), (0, missing)))
    return points[:, :count], np.pad(shares, (0, missing))[:count]


def embedding_plot(
    vectors: ArrayLike,
    texts: Sequence[str],
    *,
    groups: Sequence[str] | None = None,
    title: str = "",
) -> "Figure":
    """Return a figure of the vectors of a few dozen texts.

    Numbers replace texts that no installed font can draw.

    Args:
        vectors: (N, E), from `SentenceEncoder.encode`.
        texts: the N texts; long ones are shortened.
        groups: the group of each text, shown by its color.
        title: the heading.

    Raises:
        MiniBertError: if there are not as many vectors as texts or groups, or one is not finite.

    Example:
        >>> figure = embedding_plot([[0, 1], [1, 0], [1, 1]], ["a cat", "a dog", "a pet"])
    """
    vectors = np.asarray(vectors, dtype=np.float64)
    groups = [""] * len(texts) if groups is None else groups
    if vectors.ndim != 2 or not len(vectors) == len(texts) == len(groups) or not vectors.size:
        raise MiniBertError(
            f"found {len(texts)} texts, {len(groups)} groups and vectors of shape "
            f"{vectors.shape}; give one vector and one group for each text."
        )
    if not np.isfinite(vectors).all():
        raise MiniBertError("a vector has NaN or infinite values; check the model that made it.")
    points, shares = principal_components(vectors)  # (N, E) -> (N, 2)
    names = [*dict.fromkeys(groups)]
    numbers = [str(number) for number in range(1, len(texts) + 1)]
    drawn = style.drawable([*texts, *names, title], [*numbers, *[""] * len(names), ""])
    texts, shown_names, title = drawn[: len(texts)], drawn[len(texts) : -1], drawn[-1]
    figure = style.new_figure(8.5, 6.5)
    axes = figure.add_subplot()
    axes.margins(0.18, 0.08)
    colors = {name: style.COLORS[i % len(style.COLORS)] for i, name in enumerate(names)}
    for name, shown in zip(names, shown_names, strict=True):
        members = points[[group == name for group in groups]]
        axes.scatter(members[:, 0], members[:, 1], s=26, color=colors[name], label=shown)
    style.style_axes(
        axes,
        xlabel=f"first component: {shares[0]:.0%} of the variance",
        ylabel=f"second component: {shares[1]:.0%}",
    )
    axes.set(xticks=[], yticks=[])  # only distances are meaningful
    axes.set_title(title, fontsize=11, loc="left")
    if len(names) > 1 and shown_names == names:
        # Above the axes, where there are no labels.
        columns = min(len(names), 6)
        legend = axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=columns, frameon=False)
        for entry in legend.get_texts():
            entry.set(color=style.INK, fontsize=9)
    _add_labels(figure, axes, points, texts, [colors[group] for group in groups])
    return figure


def _add_labels(
    figure: "Figure",
    axes: "Axes",
    points: NDArray[np.float64],
    texts: Sequence[str],
    colors: Sequence[str],
) -> None:
    """Write each text in the first place where it covers no point and no other text."""
    from matplotlib.transforms import Bbox

    labels = []
    for (x, y), text, color in zip(points, texts, colors, strict=True):
        short = text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…"
        label = axes.annotate(
            short, (x, y), xytext=(0, 0), textcoords="offset points", fontsize=8.5, color=color
        )
        label.set_in_layout(False)  # a long label must not squeeze the axes
        labels.append(label)
    style.set_fonts(figure)
    figure.draw_without_rendering()  # now the size of each label is known
    figure.set_layout_engine("none")
    pixels = axes.transData.transform(points)  # (N, 2)
    taken = [Bbox([[x - 5, y - 5], [x + 5, y + 5]]) for x, y in pixels]
    for label in labels:

        def covered(place: tuple[float, float, str, str], label: "Annotation" = label) -> int:
            """Return how many points and labels the label would cover in this place."""
            label.set(position=place[:2], ha=place[2], va=place[3])
            return sum(label.get_window_extent().overlaps(box) for box in taken)

        covered(min(PLACES, key=covered))
        taken.append(label.get_window_extent())
        label.set_in_layout(True)  # the file is cropped to what is in the layout
