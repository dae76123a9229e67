"""A figure of all attention heads of one text: a grid of heat maps, layers down, heads across.

It is meant for print; `attention_page` is the interactive view. Layers and heads count from 0, as
in the `attentions` that `model(..., output_attentions=True)` returns.

L layers, H heads, S tokens. Row i of a map holds the S weights of query token i, which sum to 1.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minibert.errors import MiniBertError
from minibert.plots import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SMALLEST_FONT = 3.5  # points; token labels that would be smaller are left out


def attention_heatmap(
    tokens: Sequence[str],
    attentions: Sequence[ArrayLike],
    *,
    title: str = "",
    layers: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
) -> "Figure":
    """Return a figure with a heat map for each head.

    The color follows the square root of the probability, so that 1 % is still visible. Tokens are
    written where they are legible (about 20 tokens with twelve heads); positions replace those
    that no installed font can draw.

    Args:
        tokens: the S tokens, with [CLS] and [SEP].
        attentions: L arrays or tensors of shape (H, S, S), rows are queries and columns keys.
        title: the heading, for example the text.
        layers: the layers to draw; default: all.
        heads: the heads to draw; default: all.

    Raises:
        MiniBertError: if the attentions do not fit the tokens, or a layer or head does not exist.

    Example:
        >>> figure = attention_heatmap(["[CLS]", "[SEP]"], [np.full((1, 2, 2), 0.5)], title="empty")
    """
    from matplotlib import colormaps
    from matplotlib.colors import PowerNorm

    attention = stack_attentions(tokens, attentions)
    rows = range(attention.shape[0]) if layers is None else layers
    columns = range(attention.shape[1]) if heads is None else heads
    for name, chosen, count in zip(
        ("layer", "head"), (rows, columns), attention.shape, strict=False
    ):
        if not chosen or not all(0 <= i < count for i in chosen):
            raise MiniBertError(f"{name}s is {[*chosen]}; choose from 0 to {count - 1}.")
    size = len(tokens)
    panel = float(np.clip(16 / len(columns), 1.2, 4.5))  # inches
    gap = max(1, round(0.12 / panel * size))  # cells
    step = size + gap

    figure = style.new_figure(panel * len(columns) + 1.6, panel * len(rows) + 1.2)
    axes = figure.add_subplot()
    image = axes.imshow(
        mosaic(attention[np.ix_(rows, columns)], gap),
        cmap=colormaps["Blues"].with_extremes(bad="#EAEAEA"),  # the gaps
        norm=PowerNorm(0.5, vmin=0, vmax=1),
        interpolation="nearest",
    )
    font_size = min(9.0, 0.75 * 72 * panel / step)
    written = tokens if font_size >= SMALLEST_FONT else []
    numbers = [str(position) for position in range(len(written))]
    *written, title = style.drawable([*written, title], [*numbers, ""])
    axes.set_xticks([])
    axes.set_yticks([])
    if written:
        at = np.add.outer(np.arange(max(len(rows), len(columns))) * step, np.arange(size))
        axes.set_yticks(at[: len(rows)].ravel(), written * len(rows), fontsize=font_size)
        axes.set_xticks(
            at[: len(columns)].ravel(), written * len(columns), fontsize=font_size, rotation=90
        )
    middle, right = (size - 1) / 2, len(columns) * step - gap - 0.5
    offset: dict[str, Any] = {"textcoords": "offset points"}
    for i, head in enumerate(columns):
        above = (i * step + middle, -0.5)
        axes.annotate(f"head {head}", above, xytext=(0, 5), ha="center", **offset)
    for i, layer in enumerate(rows):
        beside = (right, i * step + middle)
        axes.annotate(f"layer {layer}", beside, xytext=(5, 0), va="center", rotation=270, **offset)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, pad=2, colors=style.INK)
    axes.set_title(title, fontsize=11, loc="left", pad=24)
    ticks = [0, 0.01, 0.1, 0.25, 0.5, 1]
    bar = figure.colorbar(image, ax=axes, ticks=ticks, fraction=0.025, aspect=30, pad=0.04)
    bar.ax.set_yticklabels([f"{tick:.0%}" for tick in ticks], fontsize=8)
    bar.outline.set_visible(False)
    return figure


def mosaic(attention: NDArray[np.float64], gap: int) -> NDArray[np.float64]:
    """Arrange maps (L, H, S, S) in one matrix, with `gap` rows and columns of NaN between them.

    One image is much faster to draw than the 144 axes of a base model.

    Example:
        >>> mosaic(np.ones((1, 2, 1, 1)), 1).tolist()
        [[1.0, nan, 1.0]]
    """
    layers, heads, size, _ = attention.shape
    step = size + gap
    padded = np.full((layers, step, heads, step), np.nan)
    padded[:, :size, :, :size] = attention.transpose(0, 2, 1, 3)  # (L, H, S, S) -> (L, S, H, S)
    return padded.reshape(layers * step, heads * step)[:-gap, :-gap]


def stack_attentions(tokens: Sequence[str], attentions: Sequence[ArrayLike]) -> NDArray[np.float64]:
    """Return the attentions of one text as one array (L, H, S, S).

    Raises:
        MiniBertError: if there are no layers or tokens, a shape does not fit, or a value is not a
            probability.
    """
    size = len(tokens)
    # NumPy cannot read a tensor that needs gradients, is on a GPU or is bfloat16.
    arrays = [
        np.asarray(a.detach().cpu().double() if hasattr(a, "detach") else a, dtype=np.float64)
        for a in attentions
    ]
    shapes = {array.shape for array in arrays}
    if not size or len(shapes) != 1 or shapes.pop()[1:] != (size, size):
        raise MiniBertError(
            f"{size} tokens need attentions of shape (heads, {size}, {size}) in every layer, not "
            f"{[array.shape for array in arrays]}; select one text with attention[i], and remove "
            "its padding."
        )
    stacked = np.stack(arrays)  # L of (H, S, S) -> (L, H, S, S)
    # Rounding in half precision can give a little more than 1.
    if not np.isfinite(stacked).all() or stacked.min() < 0 or stacked.max() > 1.01:
        raise MiniBertError(
            "attentions must be probabilities from 0 to 1; call model.eval() first, because "
            "dropout rescales them, and pass them after the softmax."
        )
    return np.clip(stacked, 0, 1)
