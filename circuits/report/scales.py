"""What stands beside an axes: the words at its ticks, and the scale of its colours, each drawn as one object.

A tick of matplotlib is five objects and its scale of colours an axes of its own: half of a heat map's time. These know
their size before anything is drawn and cost a tenth.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from circuits.report.sheet import CLAIMED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

_MARK, _GAP = 2.0, 4.0  # points: how long a tick's mark is, and how far from the axis its word stands
_ASCENT, _MIDDLE = 0.76, 0.36  # of the letters' size: how high they reach, and half the height of capitals


def put_ticks(
    axes: Axes, side: str, places: Sequence[float], words: Sequence[str], size: float, turned: bool = False
) -> None:
    """A mark and a word at each place of the "x" or the "y" axis, in letters of ``size`` points; ``turned``: upwards.

    Words are taken as they are. The label of the axis is moved out of their way.
    """
    axis: Any = axes.xaxis if side == "x" else axes.yaxis
    axis.set_ticks([])
    if not len(places):
        return
    drawn = _classes()[0](side, places, words, size, turned)
    axes.add_artist(drawn)
    drawn.set_clip_on(False)
    axis.labelpad += drawn.reach(_renderer(axes)) * 72 / axes.figure.dpi


def put_scale(
    axes: Axes,
    colours: Colormap,
    ends: tuple[float, float],
    label: str,
    *,
    shrink: float,
    aspect: float,
    gap: float = 0.1,
    marked: Sequence[float] = (),
    sizes: tuple[float, float] = (10, 10),
) -> None:
    """The scale of ``colours`` between two values, ``gap`` inches right of an axes, its numbers and its label at its right.

    It is ``shrink`` of the axes' height, and ``aspect`` times as high as wide. ``marked``: values with a line in the claim's
    colour. ``sizes``: points of the numbers and of the label.
    """
    drawn = _classes()[1](colours, ends, label, shrink, aspect, gap, marked, sizes)
    axes.add_artist(drawn)
    drawn.set_clip_on(False)


def round_numbers(low: float, high: float, most: int) -> tuple[list[float], list[str]]:
    """Round numbers from ``low`` to ``high``, about ``most`` at most, and how they are written: as many digits in all."""
    from matplotlib.ticker import MaxNLocator

    room = 1e-9 * (high - low)
    found = [float(each) for each in MaxNLocator(max(most, 1), steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)]
    found = [each for each in found if low - room <= each <= high + room]
    digits = next((d for d in range(7) if all(abs(round(each, d) - each) <= room for each in found)), None)
    words = [f"{each:.3g}" if digits is None or abs(each) >= 1e6 else f"{each:.{digits}f}" for each in found]
    return found, [word.replace("-", "\N{MINUS SIGN}") for word in words]


def _renderer(axes: Any) -> Any:
    return axes.figure.canvas.get_renderer()


@cache
def _classes() -> tuple[Any, Any]:
    """The classes of the two objects, made when matplotlib is there."""
    from matplotlib.artist import Artist
    from matplotlib.font_manager import FontProperties
    from matplotlib.path import Path
    from matplotlib.transforms import Bbox, IdentityTransform

    def length(renderer: Any, word: str, font: Any) -> float:
        return float(renderer.get_text_width_height_descent(word, font, False)[0]) if word else 0.0

    def line(renderer: Any, pen: Any, ends: Sequence[tuple[float, float]]) -> None:
        renderer.draw_path(pen, Path(ends), IdentityTransform())

    def write(renderer: Any, pen: Any, x: float, y: float, word: str, font: Any, turned: bool = False) -> None:
        if word:
            renderer.draw_text(pen, x, renderer.height - y, word, font, 90 if turned else 0)

    def new_pen(renderer: Any) -> Any:
        pen = renderer.new_gc()
        pen.set_linewidth(0.8)  # points, as of the frame of the axes
        pen.set_foreground("black")
        pen.set_snap(True)
        return pen

    class TickWords(Artist):
        """Marks outside of an axis, and a word beside each."""

        zorder = 2.5
        axes: Any

        def __init__(self, side: str, places: Sequence[float], words: Sequence[str], size: float, turned: bool):
            super().__init__()
            self.side, self.places, self.words, self.turned = side, places, words, turned
            self.font, self.size = FontProperties(size=size), size

        def reach(self, renderer: Any) -> float:
            """How far it reaches from the axis, in pixels."""
            if self.side == "x" and not self.turned:
                return float(renderer.points_to_pixels(_GAP + self.size))
            longest = max(length(renderer, word, self.font) for word in self.words)
            return float(renderer.points_to_pixels(_GAP)) + longest

        def _starts(self) -> Any:
            """The pixel of each place along the axis."""
            along = np.asarray(self.places, dtype=float)
            return self.axes.transData.transform(np.stack([along, along], axis=1))[:, 0 if self.side == "x" else 1]

        def get_window_extent(self, renderer: Any = None) -> Bbox:
            renderer = renderer or _renderer(self.axes)
            frame, starts, reach = self.axes.get_window_extent(), self._starts(), self.reach(renderer)
            half = renderer.points_to_pixels(self.size) / 2
            if self.side == "x" and not self.turned:
                half = np.array([length(renderer, word, self.font) / 2 for word in self.words])
            first, last = (starts - half).min(), (starts + half).max()
            if self.side == "x":
                return Bbox([[first, frame.y0 - reach], [last, frame.y0]])
            return Bbox([[frame.x0 - reach, first], [frame.x0, last]])

        def draw(self, renderer: Any) -> None:
            frame, pen = self.axes.get_window_extent(), new_pen(renderer)
            mark, gap, tall = (renderer.points_to_pixels(each) for each in (_MARK, _GAP, self.size))
            for start, word in zip(self._starts().tolist(), self.words, strict=True):
                long = length(renderer, word, self.font)
                if self.side == "y":
                    line(renderer, pen, [(frame.x0 - mark, start), (frame.x0, start)])
                    write(renderer, pen, frame.x0 - gap - long, start - _MIDDLE * tall, word, self.font)
                    continue
                line(renderer, pen, [(start, frame.y0 - mark), (start, frame.y0)])
                if self.turned:
                    write(renderer, pen, start + 0.3 * tall, frame.y0 - gap - long, word, self.font, turned=True)
                else:
                    write(renderer, pen, start - long / 2, frame.y0 - gap - _ASCENT * tall, word, self.font)
            pen.restore()
            self.stale = False

    class Scale(Artist):
        """A strip of all colours with numbers, and the label along them."""

        zorder = 2.5
        axes: Any

        def __init__(
            self, colours: Any, ends: Any, label: str, shrink: float, aspect: float, gap: float, marked: Any, sizes: Any
        ):
            super().__init__()
            self.colours, self.ends, self.label, self.marked, self.sizes = colours, ends, label, marked, sizes
            self.shrink, self.aspect, self.gap = shrink, aspect, gap
            self.fonts = [FontProperties(size=size) for size in sizes]

        def _strip(self) -> tuple[int, int, int, int]:
            """Left, lower, right and upper edge of the strip in pixels."""
            frame, dpi = self.axes.get_window_extent(), self.axes.figure.dpi
            tall = self.shrink * frame.height
            left, low = frame.x1 + self.gap * dpi, frame.y0 + (frame.height - tall) / 2
            return (
                round(left),
                round(low),
                round(left) + max(3, round(tall / self.aspect)),
                max(round(low) + 3, round(low + tall)),
            )

        def _numbers(self, renderer: Any) -> tuple[list[float], list[str]]:
            _, low, _, high = self._strip()
            most = int((high - low) / renderer.points_to_pixels(2 * self.sizes[0]))
            return round_numbers(self.ends[0], self.ends[1], min(9, most))

        def _beside(self, renderer: Any) -> float:
            """Where the label begins, in pixels right of the strip."""
            _, words = self._numbers(renderer)
            widest = max((length(renderer, word, self.fonts[0]) for word in words), default=0.0)
            return float(renderer.points_to_pixels(11)) + widest

        def get_window_extent(self, renderer: Any = None) -> Bbox:
            renderer = renderer or _renderer(self.axes)
            left, low, right, high = self._strip()
            half = renderer.points_to_pixels(self.sizes[0]) / 2
            far = right + self._beside(renderer) + renderer.points_to_pixels(self.sizes[1])
            return Bbox([[left, low - half], [far, high + half]])  # a label longer than the strip takes no room from it

        def draw(self, renderer: Any) -> None:
            left, low, right, high = self._strip()
            pen = new_pen(renderer)
            row = self.colours(np.linspace(0, 1, high - low), bytes=True)
            renderer.draw_image(pen, left, low, np.ascontiguousarray(np.repeat(row[:, None], right - left, axis=1)))
            bottom, top = self.ends
            numbers, words = self._numbers(renderer)
            mark, gap, tall = (renderer.points_to_pixels(each) for each in (3.5, 7, self.sizes[0]))
            for number, word in zip(numbers, words, strict=True):
                place = low + (high - low) * (number - bottom) / (top - bottom)
                line(renderer, pen, [(right, place), (right + mark, place)])
                write(renderer, pen, right + gap, place - _MIDDLE * tall, word, self.fonts[0])
            for number in self.marked:
                place = low + (high - low) * (number - bottom) / (top - bottom)
                for ink, thick in (("black", 3.2), (CLAIMED, 1.7)):
                    pen.set_foreground(ink)
                    pen.set_linewidth(thick)
                    line(renderer, pen, [(left, place), (right, place)])
            pen.restore()
            pen = new_pen(renderer)
            line(renderer, pen, [(left, low), (right, low), (right, high), (left, high), (left, low)])
            long = length(renderer, self.label, self.fonts[1])
            start = max(min((low + high - long) / 2, renderer.height - long - gap), gap)  # never off the sheet
            depth = _ASCENT * renderer.points_to_pixels(self.sizes[1])
            write(renderer, pen, right + self._beside(renderer) + depth, start, self.label, self.fonts[1], turned=True)
            pen.restore()
            self.stale = False

    return TickWords, Scale
