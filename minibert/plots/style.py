"""What all figures share: size, colors, axes, fonts, and saving.

Figures are built without `matplotlib.pyplot`, which keeps them open for the whole process and looks
for a screen. Functions import matplotlib when they are called, because that takes half a second.
"""

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from minibert.errors import MiniBertError
from minibert.files import atomic_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito (2008): distinguishable with every common kind of color blindness.
BLUE, ORANGE, GREEN, PURPLE = COLORS = ("#0072B2", "#D55E00", "#009E73", "#8F4A85")
INK, GRAY, LIGHT_GRAY = "#222222", "#6B6B6B", "#D9D9D9"

MAX_PIXELS = 2000  # of a figure in each direction
DEFAULT_FONT = "DejaVu Sans"  # ships with matplotlib; has no Chinese characters
# Preferred over other installed fonts, which may have the characters but look worse.
CHINESE_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Microsoft YaHei",
    "PingFang SC",
    "WenQuanYi Micro Hei",
    "SimHei",
)


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure of `width` x `height` inches that lays out its own parts.

    A large figure has fewer points per inch, so that it takes a bounded amount of memory.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    dpi = min(160, MAX_PIXELS / max(width, height))
    figure = Figure(figsize=(width, height), dpi=dpi, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def style_axes(axes: "Axes", *, xlabel: str, ylabel: str) -> None:
    """Label the axes, hide the upper and right border, and draw faint horizontal grid lines."""
    axes.set_xlabel(xlabel, color=INK)
    axes.set_ylabel(ylabel, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRAY)
    axes.tick_params(colors=GRAY, labelsize=9)
    axes.grid(axis="y", color=LIGHT_GRAY, linewidth=0.6)
    axes.set_axisbelow(True)


def save_figure(figure: "Figure", output: Path) -> None:
    """Write a figure to a file, completely or not at all.

    Args:
        figure: the figure; its fonts are chosen here.
        output: the file; its suffix (.png, .svg, .pdf, ...) is the format.

    Raises:
        MiniBertError: if matplotlib cannot write the format, or the file cannot be written.
    """
    suffix = output.suffix.removeprefix(".").lower()
    supported = sorted(figure.canvas.get_supported_filetypes())
    if suffix not in supported:
        raise MiniBertError(
            f"cannot write {output.name} as a figure; its name must end in one of: "
            f"{', '.join(f'.{name}' for name in supported)}."
        )
    set_fonts(figure)
    with atomic_file(output) as temporary:
        figure.savefig(temporary, format=suffix, bbox_inches="tight", pad_inches=0.1)


@contextmanager
def note_failure(what: object) -> Iterator[None]:
    """Turn an error of the block into a note.

    A run whose weights are saved has succeeded, even if its report cannot be written or drawn.
    """
    try:
        yield
    except Exception as error:  # of matplotlib, of a damaged log, of a full disk
        warnings.warn(f"{what} could not be made: {error}", stacklevel=3)


def set_fonts(figure: "Figure") -> None:
    """Choose fonts that have all characters of the figure, and draw every "$" as a dollar sign."""
    from matplotlib.text import Text

    texts = figure.findobj(Text)
    families = fonts_for(text.get_text() for text in texts if isinstance(text, Text))
    for text in texts:
        text.set(parse_math=False, fontfamily=families)


def fonts_for(texts: Iterable[str]) -> list[str] | None:
    """Return the installed font families that together have every character of the texts.

    The list holds the default font and at most one more. It is None if no installed font has the
    missing characters; draw something else then (ids or positions), because matplotlib would draw
    an empty box for each of them.
    """
    from matplotlib import font_manager

    default = Path(font_manager.findfont(DEFAULT_FONT))
    missing = {ord(c) for text in texts for c in text if not c.isspace()} - _characters(default)
    if not missing:
        return [DEFAULT_FONT]
    fonts = {
        font.name: Path(font.fname)
        for font in font_manager.fontManager.ttflist
        if not font.name.startswith("Last Resort")  # has every character, as an empty box
    }
    preferred = [name for name in CHINESE_FONTS if name in fonts]
    for name in [*preferred, *sorted(fonts.keys() - preferred)]:
        if missing <= _characters(fonts[name]):
            return [DEFAULT_FONT, name]
    return None


def _characters(font: Path) -> set[int]:
    """Return the code points in a font file; none if the file has been removed or is damaged."""
    from matplotlib.ft2font import FT2Font

    try:
        return set(FT2Font(str(font)).get_charmap())
    except (OSError, RuntimeError):
        return set()
