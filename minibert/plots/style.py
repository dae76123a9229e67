"""What all figures share: size, colors, axes, fonts, and saving.

Figures are built without `matplotlib.pyplot`, which keeps them open for the whole process and looks
for a screen. Functions import matplotlib when they are called, because that takes half a second.
"""

import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
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
_CONTROL = dict.fromkeys([*range(9), *range(11, 32), *range(0x7F, 0xA0)], "\ufffd")
_CJK = ("\u2e80", "\U0003ffff")  # Chinese, Japanese and Korean characters, and few others
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
        warnings.warn(f"{what} could not be made: {error or type(error).__name__}", stacklevel=3)


def set_fonts(figure: "Figure") -> None:
    """Choose fonts that have all characters of the figure, and draw every "$" as a dollar sign."""
    from matplotlib.text import Text

    texts = figure.findobj(Text)
    families = fonts_for(text.get_text() for text in texts if isinstance(text, Text))
    for text in texts:
        text.set(parse_math=False, fontfamily=families)


def drawable(texts: Sequence[str], instead: Sequence[str]) -> list[str]:
    """Return texts that can be drawn, and say so if some had to be replaced.

    Args:
        texts: the texts. Their control characters are drawn as U+FFFD.
        instead: what to draw in place of a text with characters that no installed font has, because
            matplotlib would draw an empty box for each of them.
    """
    texts = [text.translate(_CONTROL) for text in texts]
    if fonts_for(texts) is not None:
        return texts
    _, missing = _choose_fonts(texts)
    lacking = {text for text in texts if missing & {*text}} or {*texts}
    if any(_CJK[0] <= c <= _CJK[-1] for c in missing):
        advice = (
            "install a Chinese font: on Debian and Ubuntu, sudo apt install fonts-noto-cjk; on "
            "Fedora, sudo dnf install google-noto-sans-cjk-fonts; macOS and Windows have one"
        )
    else:
        advice = (
            "install a font that has them: on Debian and Ubuntu, sudo apt install fonts-noto-core, "
            "or fonts-symbola for emoji"
        )
    more = f" and {len(missing) - 10:,} more" if len(missing) > 10 else ""
    # Not a warning: `python -W error` would make it an error, and a report must not fail by it.
    print(
        f"note: no installed font has {' '.join(sorted(missing)[:10])}{more}; the figure has "
        f"numbers in place of such texts (here {len(lacking):,}). To see them, {advice}. Then draw "
        "again.",
        file=sys.stderr,
    )
    return [new if text in lacking else text for text, new in zip(texts, instead, strict=True)]


def fonts_for(texts: Iterable[str]) -> list[str] | None:
    """Return the installed font families that together have every character of the texts.

    The list starts with the default font. It is None if no installed font has one of the
    characters.
    """
    families, missing = _choose_fonts(texts)
    return None if missing else families


def _choose_fonts(texts: Iterable[str]) -> tuple[list[str], set[str]]:
    """Return font families for the texts, and the characters that no installed font has."""
    from matplotlib import font_manager

    missing = {c for text in texts for c in text if not c.isspace()}
    missing -= _characters(font_manager.findfont(DEFAULT_FONT))
    families, listed = [DEFAULT_FONT], True
    while missing:
        fonts = {
            font.name: font.fname
            for font in font_manager.fontManager.ttflist
            if not font.name.startswith("Last Resort")  # has every character, as an empty box
        }
        preferred = [name for name in CHINESE_FONTS if name in fonts]
        found = {name: missing & _characters(fonts[name]) for name in [*preferred, *sorted(fonts)]}
        best = max(found, key=lambda name: len(found[name]), default=DEFAULT_FONT)
        if found.get(best):
            families.append(best)
            missing -= found[best]
        elif not listed or not _add_new_fonts():
            break
        else:
            listed = False
    return families, missing


def _add_new_fonts() -> bool:
    """Add the fonts that were installed after matplotlib has listed them; return if there are any.

    matplotlib keeps its list in a file and does not renew it.
    """
    from matplotlib import font_manager

    known = {font.fname for font in font_manager.fontManager.ttflist}
    new = [path for path in font_manager.findSystemFonts() if path not in known]
    for path in new:
        with suppress(OSError, RuntimeError, ValueError):  # a font that matplotlib cannot read
            font_manager.fontManager.addfont(path)
    return len({font.fname for font in font_manager.fontManager.ttflist}) > len(known)


@cache
def _characters(font: str) -> frozenset[str]:
    """Return the characters in a font file; none if the file has been removed or is damaged."""
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(map(chr, FT2Font(font).get_charmap()))
    except (OSError, RuntimeError):
        return frozenset()
