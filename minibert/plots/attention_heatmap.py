"""One picture of every attention head: a grid of heat maps, layers down and heads across.

For a figure in a text; to look around, `attention_page` is the better tool. Attentions are what
`model(..., output_attentions=True)` returns in `attentions`; layers and heads count from 0.

L layers, H heads, S tokens. Row i of a map is where token i looks: its S values sum to 1.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minibert.errors import MiniBertError
from minibert.plots import style as drawing


def attention_picture(
    tokens: Sequence[str],
    attentions: Sequence[ArrayLike],
    output: Path,
    *,
    title: str = "",
    layers: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
) -> None:
    """Draw the heads of one short text as a grid of heat maps.

    The shade is the square root of the probability, so that 1 % is still seen. Tokens are written
    while they can be read (about 20 for twelve heads); where no installed font has their
    characters, positions are written instead.

    Args:
        tokens: the S tokens, with [CLS] and [SEP].
        attentions: L arrays or tensors (H, S, S) of probabilities, rows look and columns are seen.
        output: the picture, by its suffix a .png, .svg or .pdf.
        title: written above, for example the text.
        layers: which layers to draw; all by default.
        heads: which heads to draw; all by default.

    Raises:
        MiniBertError: shapes or values are no attention of these tokens, a layer or head does not
            exist, or the picture was refused.

    Example:
        >>> attention_picture(tokens, [a[0] for a in outputs.attentions], Path("attention.png"))
    """
    from matplotlib import colormaps
    from matplotlib.colors import PowerNorm

    every = checked_attentions(tokens, attentions)
    rows = _chosen(layers, every.shape[0], "layer")
    columns = _chosen(heads, every.shape[1], "head")
    shown = every[np.ix_(rows, columns)]  # (L, H, S, S), of those chosen
    size = len(tokens)
    panel = float(np.clip(16 / len(columns), 1.2, 4.5))  # inches
    gap = max(1, round(0.12 / panel * size))
    step = size + gap

    figure = drawing.new_figure(panel * len(columns) + 1.6, panel * len(rows) + 1.2)
    axes = figure.add_subplot()
    image = axes.imshow(
        mosaic(shown, gap),
        cmap=colormaps["Blues"].with_extremes(bad="#EAEAEA"),
        norm=PowerNorm(0.5, vmin=0, vmax=1),
        interpolation="nearest",
    )
    families = drawing.families_for([*tokens, title])
    if families is None:
        tokens, title = [str(position) for position in range(size)], ""
    font_size = min(9.0, 0.75 * 72 * panel / step)
    if font_size >= 3.5:
        places = [[i * step + s for i in range(n) for s in range(size)] for n in shown.shape[:2]]
        style: dict[str, Any] = {"fontsize": font_size, "fontfamily": families}
        axes.set_yticks(places[0], [*tokens] * len(rows), **style)
        axes.set_xticks(places[1], [*tokens] * len(columns), rotation=90, **style)
    else:
        axes.set_xticks([])
        axes.set_yticks([])
    middle = (size - 1) / 2
    above: dict[str, Any] = {"xytext": (0, 5), "textcoords": "offset points", "ha": "center"}
    beside: dict[str, Any] = {"xytext": (5, 0), "textcoords": "offset points", "va": "center"}
    for i, head in enumerate(columns):
        axes.annotate(f"head {head}", (i * step + middle, -0.5), **above)
    for i, layer in enumerate(rows):
        right = len(columns) * step - gap - 0.5
        axes.annotate(f"layer {layer}", (right, i * step + middle), rotation=270, **beside)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, pad=2, colors=drawing.INK)
    axes.set_title(title, fontsize=11, loc="left", pad=24, fontfamily=families)
    bar = figure.colorbar(
        image, ax=axes, ticks=[0, 0.01, 0.1, 0.25, 0.5, 1], fraction=0.025, aspect=30, pad=0.04
    )
    bar.ax.set_yticklabels(["0", "1%", "10%", "25%", "50%", "100%"], fontsize=8)
    bar.outline.set_visible(False)
    drawing.save(figure, output)


def mosaic(attentions: NDArray[np.float64], gap: int) -> NDArray[np.float64]:
    """Every map beside the others in one matrix, NaN between them: (L, H, S, S) -> 2-D.

    Example:
        >>> mosaic(np.ones((1, 2, 1, 1)), 1).tolist()
        [[1.0, nan, 1.0]]
    """
    layers, heads, size, _ = attentions.shape
    wide = np.full((layers, size + gap, heads, size + gap), np.nan)
    wide[:, :size, :, :size] = attentions.transpose(0, 2, 1, 3)  # (L, H, S, S) -> (L, S, H, S)
    return wide.reshape(layers * (size + gap), heads * (size + gap))[:-gap, :-gap]


def checked_attentions(
    tokens: Sequence[str], attentions: Sequence[ArrayLike]
) -> NDArray[np.float64]:
    """The attentions of one text as one array (L, H, S, S), or a sentence that says what is wrong.

    Raises:
        MiniBertError: no layers or tokens, shapes that do not fit, or values outside of 0 to 1.
    """
    size = len(tokens)
    arrays = [_as_array(attention) for attention in attentions]
    shapes = {array.shape for array in arrays}
    if not size or len(shapes) != 1 or next(iter(shapes))[1:] != (size, size):
        raise MiniBertError(
            f"{size} tokens need attentions of shape (heads, {size}, {size}) in every layer, not "
            f"{sorted(shapes) or 'none'}; take one text of a batch by attention[i], unpadded."
        )
    every = np.stack(arrays)  # L of (H, S, S) -> (L, H, S, S)
    # A little more than 1 may come from rounding in half precision.
    if not np.isfinite(every).all() or every.min() < 0 or every.max() > 1.01:
        raise MiniBertError(
            "attentions must be probabilities from 0 to 1; take them after the softmax and from a "
            "model in eval mode, where no dropout rescales them."
        )
    return np.clip(every, 0, 1)


def _as_array(attention: ArrayLike) -> NDArray[np.float64]:
    # NumPy reads no tensor that has a gradient, lies on a GPU or is in bfloat16.
    if hasattr(attention, "detach"):
        attention = attention.detach().cpu().double()
    return np.asarray(attention, dtype=np.float64)


def _chosen(asked: Sequence[int] | None, count: int, what: str) -> list[int]:
    """The layers or heads asked for, all of them by default."""
    chosen = list(range(count)) if asked is None else list(asked)
    if not chosen or not all(0 <= i < count for i in chosen):
        raise MiniBertError(f"there are {what}s 0 to {count - 1}, not {chosen}.")
    return chosen
