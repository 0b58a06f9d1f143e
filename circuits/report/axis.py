"""The axis on which a row is drawn, the same in the pages of text and in the HTML page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from circuits.report.record import unit_of

_STEPS = (1, 2, 3, 4, 5, 6, 8, 10)
_SHARES = ("mass", "top1", "previous_token", "duplicate_token", "induction", "copying", "successor")
_SHARES_OF_CIRCUITS = ("sufficiency", "partial_necessity")


@dataclass(frozen=True)
class Scale:
    """The two ends of an axis, ``low`` below ``high``; ``percent``: shown as percents, or in points (``unit_of``)."""

    low: float
    high: float
    percent: bool | str = False


def scale_of(row: Mapping[str, Any], also: Iterable[float | None] = ()) -> Scale:
    """0 to 1 for shares, -1 to 1 for their differences; else round ends around zero, the values and the bound.

    ``also``: further values that are to lie on it. What is not finite counts as absent.
    """
    keys = ("estimate", "low", "high", "bound_low", "bound_high")
    values = [value for each in (*map(row.get, keys), *also) if (value := finite(each)) is not None]
    percent, statistic = unit_of(row), row.get("statistic")
    natural = None
    if row.get("kind") in ("attends", "score") and statistic in _SHARES:
        natural = Scale(-1.0 if row.get("more_than") else 0.0, 1.0, percent)
    elif statistic in _SHARES_OF_CIRCUITS:
        natural = Scale(0.0, 1.0, percent)
    if natural is not None and all(natural.low <= value <= natural.high for value in values):
        return natural
    bottom, top = min(0.0, *values), max(0.0, *values)
    room = 0.1 * (top - bottom)  # behind a bound at the very end, and between zero and an end near it
    if row.get("bound_low") is not None:
        top = max(top, row["bound_low"] + room)
    if row.get("bound_high") is not None:
        bottom = min(bottom, row["bound_high"] - room)
    if top == bottom:
        return Scale(0.0, 1.0, percent)
    bottom, top = (min(bottom, -room) if bottom < 0 else 0.0), (max(top, room) if top > 0 else 0.0)
    return Scale(0.0 - _round_up(-bottom, percent), _round_up(top, percent), percent)


def finite(value: float | None) -> float | None:
    """The value, None where it is absent or not finite."""
    return value if value is not None and math.isfinite(value) else None


def _round_up(value: float, percent: bool | str) -> float:
    """The next number with one digit, as it is shown (in percents or not)."""
    if value <= 0:
        return 0.0
    unit = 100 if percent else 1
    shown = value * unit
    power = 10.0 ** math.floor(math.log10(shown))
    step = next((step for step in _STEPS if shown <= step * power * (1 + 1e-9)), _STEPS[-1])
    return float(step * power / unit)
