"""What every figure of the report shares: its sheet, title, legend, and how it becomes the same PNG every time."""

from __future__ import annotations

import io
import math
import re
import textwrap
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from circuits.report.placing import FOOT, arrange
from circuits.report.record import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

DPI = 130  # with 7 to 9 inches of width: about 1,000 pixels, what a page on GitHub shows
CLAIMED = "#ff5a1f"  # orange and white with dark edges stay apart from the map and from each other for all eyes
COMPARED = "#ffffff"
WIDTH = 6.4  # inches: shrunk to a phone, words of 9 points stay about 7 pixels high
BLUE, GREY, SHADE = "#3b6fb6", "#8a8a8a", "#ffd9c9"
FRAMED: Any = {"facecolor": "none", "edgecolor": "black", "linestyle": (0, (3, 1.6)), "linewidth": 1.2}
MAP = "viridis"  # perceptually uniform; its 0 is dark, so that it cannot be taken for a masked (white) cell

_UNBROKEN = {ord(" "): "\u00a0", ord("-"): "\ue000"}  # a space and a hyphen at which no line is broken
_BREAKING = {0xA0: " ", 0xE000: "-"}


def save(canvas: Callable[[], Figure], path: Path) -> None:
    """Draw on matplotlib's own settings, whatever the user's are, and write a PNG: the same bytes every time."""
    import matplotlib
    from PIL import Image

    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        warnings.filterwarnings("ignore", message=r"(?s).*Glyph")
        warnings.filterwarnings("ignore", message=r"(?s).*[Mm]issing from")
        drawn = canvas()
        drawn.set_facecolor("white")
        arrange(drawn)
        sheet: Any = drawn.canvas
        sheet.draw()  # and no PNG in between: encoding and decoding it would take a third of the time
    full = Image.frombuffer("RGBA", sheet.get_width_height(), sheet.buffer_rgba(), "raw", "RGBA", 0, 1)
    # 256 colours are enough for these figures and take a third of the bytes: reports are kept in version control. An octree
    # finds them in a sixth of the time of the median cut, and is off by at most 15 of 255; the paper must stay white.
    few = full.convert("RGB").quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    palette = few.getpalette()
    paper = few.tobytes()[0]  # the place in the palette of a corner's colour
    assert palette is not None
    palette[3 * paper : 3 * paper + 3] = [255, 255, 255]
    few.putpalette(palette)
    small = io.BytesIO()
    few.save(small, format="PNG", compress_level=6)
    write_atomically(Path(path), small.getvalue())


def new_sheet(width: float, height: float, foot: str = "") -> Figure:
    """An empty figure of this size in inches, on a canvas that can draw; ``arrange`` keeps its parts apart.

    ``foot``: what was measured, on how many prompts: small words below all else, for which the sheet is made higher.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from circuits.report.lettering import set_letters  # needs numpy, which pages without figures do not load

    lines = textwrap.wrap(one_line(foot), max(24, int(width * 15)))
    sheet = Figure(figsize=(width, height + 0.16 * len(lines)), dpi=DPI)
    set_letters(FigureCanvasAgg(sheet).get_renderer())
    if lines:
        words: Any = {"ha": "center", "va": "bottom", "fontsize": 7.5, "color": "#666666", "gid": FOOT}
        guard_words(sheet.text(0.5, 0.0, "\n".join(lines), **words))
    return sheet


def round_up(value: float) -> float:
    """The end of the colour bar: the next tenth, at least 0.1 (below 1), else the value itself."""
    return value if value > 1 else max(0.1, math.ceil(value * 10 - 1e-9) / 10)


def one_line(text: str) -> str:
    return re.sub(r"[\n\r]", "⏎", str(text)).replace("\t", "⇥").replace("\x00", "")


def guard_words(*texts: Any) -> None:
    """Take labels as they are: a token may hold a dollar sign, which would start mathematics."""
    for text in texts:
        text.set_parse_math(False)


def put_title(canvas: Figure, title: str, detail: str, inches: float) -> None:
    """A title and what is said below it; what ``unbroken`` gave stays in one line."""
    width = max(24, int(inches * 11.5))
    lines = textwrap.wrap(one_line(title), width) + textwrap.wrap(one_line(detail), width)
    guard_words(canvas.suptitle("\n".join(lines).translate(_BREAKING), fontsize=10))


def unbroken(text: str) -> str:
    """The text for a place within a title where no line may end, as within a token."""
    return text.translate(_UNBROKEN)


def put_legend(canvas: Figure, entries: Iterable[Any]) -> None:
    found = list(entries)
    if not found:
        return
    legend = canvas.legend(
        handles=found,
        loc="lower center",
        ncols=1,
        fontsize=8.5,
        facecolor="#9a9a9a",
        labelcolor="black",
    )
    legend.get_frame().set(edgecolor="none", facecolor="#ececec")
    guard_words(*legend.get_texts())


def is_number(number: float | None) -> TypeGuard[float]:
    """Whether there is a number to draw: data read from JSON have None where there is none."""
    return number is not None and math.isfinite(number)


def shorten(text: str, most: int) -> str:
    """The text in one line; the middle of a long one is left out, since names often differ at their ends."""
    line, front = one_line(text), 2 * most // 3
    return line if len(line) <= most else line[:front] + "…" + line[front + 1 - most :]


def patch_entry(label: str, framed: bool = False) -> Patch:
    from matplotlib.patches import Patch

    return Patch(label=label, **(FRAMED if framed else {"facecolor": CLAIMED, "edgecolor": "none"}))
