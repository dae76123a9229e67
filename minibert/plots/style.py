"""What every picture shares: a figure without global state, fonts, colours, and safe writing.

`matplotlib.pyplot` is left out: it keeps open figures and settings for the whole process, and looks
for a screen. matplotlib is imported inside the functions, because it takes half a second.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from minibert.errors import MiniBertError
from minibert.files import atomic_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito 2008: told apart with every common kind of colour blindness.
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#8F4A85"
INK, QUIET, FAINT = "#222222", "#6B6B6B", "#D9D9D9"

DEFAULT_FONT = "DejaVu Sans"  # comes with matplotlib, and has no Chinese characters

# Tried first, so that a good sans-serif face is taken before whatever else is installed.
CHINESE_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Microsoft YaHei",
    "PingFang SC",
    "Hiragino Sans GB",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "SimHei",
    "Arial Unicode MS",
)


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure of so many inches, whose parts find their own places."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=160, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def save(figure: "Figure", output: Path) -> None:
    """Write the figure to `output`, whole or not at all; its suffix says the format.

    Raises:
        MiniBertError: matplotlib cannot write such a format, or the system refused to write.
    """
    from matplotlib.text import Text

    output = Path(output)
    kind = output.suffix.removeprefix(".").lower()
    known = sorted(figure.canvas.get_supported_filetypes())
    if kind not in known:
        raise MiniBertError(
            f"cannot draw {output.name}: name it .png, or one of {', '.join(known)}."
        )
    for written in figure.findobj(match=Text):
        written.set_parse_math(False)  # a "$" is no formula here
    with atomic_file(output) as temporary:
        figure.savefig(temporary, format=kind, bbox_inches="tight", pad_inches=0.1)


def plain_axes(axes: "Axes") -> None:
    """Only the two axes that are read, and faint lines across to read values by."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
    axes.tick_params(colors=QUIET, labelsize=9)
    axes.grid(axis="y", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)


def families_for(texts: Iterable[str]) -> list[str] | None:
    """Installed font families that together have every character of the texts.

    Args:
        texts: what is to be drawn.

    Returns:
        `["DejaVu Sans"]`, or that and one more, to be passed as `fontfamily=`. None where no
        installed font has what is missing: then draw something else (an id, a position), because
        matplotlib would draw empty boxes and warn of each.
    """
    from matplotlib import font_manager

    default = Path(font_manager.findfont(DEFAULT_FONT))
    missing = {ord(c) for text in texts for c in text if not c.isspace()} - _characters(default)
    if not missing:
        return [DEFAULT_FONT]
    fonts = {
        font.name: Path(font.fname)
        for font in font_manager.fontManager.ttflist
        if not font.name.startswith("Last Resort")  # it draws every character as an empty box
    }
    preferred = [name for name in CHINESE_FONTS if name in fonts]
    for name in [*preferred, *sorted(fonts.keys() - preferred)]:
        if missing <= _characters(fonts[name]):
            return [DEFAULT_FONT, name]
    return None


def _characters(font: Path) -> set[int]:
    """The code points that a font file can draw; none if it cannot be read any more."""
    from matplotlib.ft2font import FT2Font

    try:
        return set(FT2Font(str(font)).get_charmap())
    except (OSError, RuntimeError):
        return set()
