"""A row as a small drawing in text: estimate, interval and bound on one line of a stated scale.

``0 ······│══●═─── 1`` reads: the estimate ``●`` with its interval ``═`` on a scale from 0 to 1; the bound ``│`` (``╪``
where the interval crosses it), and the solid line on the side of it where the bound is met. Every glyph is one cell wide
in the common fixed-width fonts, and none means anything to Markdown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from circuits.report.axis import Scale, finite, scale_of
from circuits.report.record import DASH, POINTS

WIDTH = 15  # cells between the two ends of the scale
ESTIMATE, INTERVAL, BOUND, CROSSED, MET, MISSED, LEFT, RIGHT = "●═│╪─·◄►"
LEGEND = (
    f"`{ESTIMATE}` estimate, `{INTERVAL}` its interval, `{BOUND}` the bound (`{CROSSED}` where the interval crosses it), `{MET}` the side "
    f"where the bound is met, `{MISSED}` the other; the numbers are the ends of the scale. A bound stands on its true side of "
    "the estimate and of the interval, one cell away at least; an end of the interval in the estimate's own cell is not drawn."
)

_GLUE = "\u00a0"  # a space at which no line is broken: a bar stays in one piece in a narrow cell


@dataclass(frozen=True)
class _Mark:
    """A value with its place on the bar. ``side``: -1 a lower bound, 1 an upper one, 0 a measured value."""

    value: float
    side: int
    name: str


def bar(
    estimate: float | None,
    low: float | None,
    high: float | None,
    bound_low: float | None,
    bound_high: float | None,
    scale: Scale,
) -> str:
    """The drawing, its ends labelled; a dash where there is no estimate. What is not finite counts as absent.

    Places are rounded to cells, but two things in different places relative to a bound never share a cell, so that the
    drawing cannot contradict the verdict. A missing limit beside a given one is open (an arrow at the end of the scale);
    so is what lies off the scale. A value equal to its bound meets it.
    """
    estimate, low, high, bound_low, bound_high = map(finite, (estimate, low, high, bound_low, bound_high))
    if estimate is None:
        return DASH
    marks = [_Mark(estimate, 0, "estimate")]
    marks += [_Mark(value, 0, name) for name, value in (("low", low), ("high", high)) if value is not None]
    marks += [_Mark(bound_low, -1, "bound_low")] if bound_low is not None else []
    marks += [_Mark(bound_high, 1, "bound_high")] if bound_high is not None else []
    place = _places(sorted(marks, key=lambda mark: (mark.value, mark.side)), scale)
    cells = _track(place)
    _interval(cells, place, (low, high), scale)
    cells[place["estimate"]] = LEFT if estimate < scale.low else RIGHT if estimate > scale.high else ESTIMATE
    ends = _label(scale.low, scale, unit=False), _label(scale.high, scale, unit=True)
    return f"{ends[0]}{_GLUE}{''.join(cells)}{_GLUE}{ends[1]}"


def bar_of(row: Mapping[str, Any]) -> str:
    """The bar of a row of the record, on the scale that suits its quantity."""
    if row.get("estimate") is None:
        return DASH
    limits = (row.get("low"), row.get("high"), row.get("bound_low"), row.get("bound_high"))
    return bar(row["estimate"], *limits, scale_of(row))


def _places(marks: list[_Mark], scale: Scale) -> dict[str, int]:
    """The cell of each mark: its rounded place, moved as little as needed to keep bounds apart from values."""
    width = scale.high - scale.low
    cells = [
        min(WIDTH - 1, max(0, math.floor((_inside(mark.value, scale) - scale.low) / width * WIDTH))) for mark in marks
    ]
    gaps = [1 if marks[k].side or marks[k + 1].side else 0 for k in range(len(marks) - 1)]
    middle = next(k for k, mark in enumerate(marks) if mark.name == "estimate")
    _push_left(cells, gaps, middle)
    _push_right(cells, gaps, middle)
    if cells[0] < 0:
        cells[0] = 0
        _push_right(cells, gaps, 0)
    if cells[-1] > WIDTH - 1:
        cells[-1] = WIDTH - 1
        _push_left(cells, gaps, len(cells) - 1)
    return {mark.name: cell for mark, cell in zip(marks, cells, strict=True)}


def _inside(value: float, scale: Scale) -> float:
    return min(scale.high, max(scale.low, value))


def _push_left(cells: list[int], gaps: Iterable[int], start: int) -> None:
    """Make room to the left of ``start``."""
    gaps = list(gaps)
    for k in range(start - 1, -1, -1):
        cells[k] = min(cells[k], cells[k + 1] - gaps[k])


def _push_right(cells: list[int], gaps: Iterable[int], start: int) -> None:
    """Make room to the right of ``start``."""
    gaps = list(gaps)
    for k in range(start + 1, len(cells)):
        cells[k] = max(cells[k], cells[k - 1] + gaps[k - 1])


def _track(place: Mapping[str, int]) -> list[str]:
    """The line without the measurement: where the bound is met, where not, and the bound."""
    lower, upper = place.get("bound_low"), place.get("bound_high")
    cells = [MISSED] * WIDTH
    if lower is not None or upper is not None:
        for k in range((lower if lower is not None else -1) + 1, upper if upper is not None else WIDTH):
            cells[k] = MET
    for edge in (lower, upper):
        if edge is not None:
            cells[edge] = BOUND
    return cells


def _interval(
    cells: list[str], place: Mapping[str, int], limits: tuple[float | None, float | None], scale: Scale
) -> None:
    """Draw the interval over the line; nothing where it has no limit at all."""
    low, high = limits
    if low is None and high is None:
        return
    first, last = place.get("low", 0), place.get("high", WIDTH - 1)
    for k in range(first, last + 1):
        cells[k] = CROSSED if cells[k] == BOUND else INTERVAL
    if (low is None or low < scale.low) and cells[first] == INTERVAL:
        cells[first] = LEFT
    if (high is None or high > scale.high) and cells[last] == INTERVAL:
        cells[last] = RIGHT


def _label(value: float, scale: Scale, *, unit: bool) -> str:
    """An end of the scale in at most five characters and its unit, which stands once, at the right end."""
    shown = value * (100 if scale.percent else 1)
    text = f"{shown:.3g}" if 0.01 <= abs(shown) < 999.5 or shown == 0 else _short(shown)
    if not (scale.percent and unit):
        return text
    return text + (f"{_GLUE}{POINTS}" if scale.percent == POINTS else "%")


def _short(value: float) -> str:
    if 999.5 <= abs(value) < 9_999.5:
        return f"{value:.0f}"
    mantissa, _, exponent = f"{value:.0e}".partition("e")
    return f"{mantissa}e{int(exponent)}"
