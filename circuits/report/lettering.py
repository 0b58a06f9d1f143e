"""The letters of figures: each text is drawn once by the font library alone and then reused.

Matplotlib lays out and draws every glyph of every text anew, most of them several times a figure: half of a figure's
time. What it draws here is measured and drawn by Pillow in the same font, on whole pixels; the same words at the same
size are one bitmap. Texts that such a plain layout cannot set (other scripts, mathematics, odd angles) are left to matplotlib.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

# Latin, Greek and Cyrillic letters, punctuation, arrows and signs: a glyph a letter, from left to right, in DejaVu Sans.
_PLAIN = re.compile(
    "[ -~\u00a1-\u00ac\u00ae-\u024f\u0391-\u03c9\u0410-\u044f\u2010-\u2027\u2030-\u205e\u2190-\u22ff\u23ce]+"
)
_BOLD = ("bold", 700)


def set_letters(renderer: Any) -> None:
    """Let a RendererAgg measure and draw its plain texts in this way."""
    letters = _Letters(renderer)
    renderer.get_text_width_height_descent = letters.measure
    renderer.draw_text = letters.draw


class _Letters:
    """The two methods of a renderer that are about text; what they cannot do is done by its own."""

    def __init__(self, renderer: Any):
        self.renderer = renderer
        self._own_measure, self._own_draw = renderer.get_text_width_height_descent, renderer.draw_text
        self._measured: dict[Any, tuple[float, float, float]] = {}

    def measure(self, s: str, prop: Any, ismath: Any) -> tuple[float, float, float]:
        """Width, height and descent in pixels."""
        face = self._face(s, prop, ismath)
        if face is not None:
            return _extent(s, *face)
        known = (s, prop.get_size_in_points(), prop.get_weight(), prop.get_style(), ismath)
        if known not in self._measured:
            self._measured[known] = self._own_measure(s, prop, ismath)
        return self._measured[known]

    def draw(
        self, gc: Any, x: float, y: float, s: str, prop: Any, angle: float, ismath: Any = False, mtext: Any = None
    ) -> None:
        """Draw ``s`` with the start of its baseline at (x, y), y counted from the top."""
        face = self._face(s, prop, ismath)
        if face is None or angle not in (0, 90):
            self._own_draw(gc, x, y, s, prop, angle, ismath, mtext)
            return
        ink, left, below = _bitmap(s, *face, angle == 90)
        if ink.size:
            coloured = np.empty((*ink.shape, 4), np.uint8)
            coloured[..., :3] = np.round(255 * np.asarray(gc.get_rgb()[:3]))
            coloured[..., 3] = ink[::-1]  # its rows are counted from the bottom
            self.renderer.draw_image(gc, round(x) + left, round(self.renderer.height - y) - below, coloured)

    def _face(self, s: str, prop: Any, ismath: Any) -> tuple[bool, float] | None:
        """Whether it is bold, and its size in pixels; None for a text that is not plain."""
        if ismath or prop.get_style() != "normal" or not _PLAIN.fullmatch(s):
            return None
        return prop.get_weight() in _BOLD, prop.get_size_in_points() * self.renderer.dpi / 72


@lru_cache(4096)
def _extent(s: str, bold: bool, size: float) -> tuple[float, float, float]:
    font = _font(bold, size)
    _, top, _, bottom = font.getbbox(s, anchor="ls")
    return font.getlength(s), bottom - top, max(0.0, bottom)


@lru_cache(4096)
def _bitmap(s: str, bold: bool, size: float, turned: bool) -> tuple[NDArray[np.uint8], int, int]:
    """UInt8[row, column], 255 where there is ink; how far right of the start it begins and how far below it ends."""
    mask, (left, top) = _font(bold, size).getmask2(s, mode="L", anchor="ls")
    width, height = mask.size
    ink = np.asarray(mask, dtype=np.uint8).reshape(height, width)
    return (np.rot90(ink), top, -left) if turned else (ink, left, top + height)


@cache
def _font(bold: bool, size: float) -> FreeTypeFont:
    """Matplotlib's own font, which comes with it."""
    import matplotlib
    from PIL import ImageFont

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf")
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)
