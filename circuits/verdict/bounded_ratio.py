"""A ratio of means of bounded values, by betting on its linear form: guaranteed, whenever the sampling stops.

For a ratio r = mean(numerator) / mean(denominator) with a positive denominator, "r is at most c" says that the mean of
numerator - c * denominator is at most 0. That form is bounded wherever both are, so the betting e-process of ``betting``
tests it, and together with a positive mean of the denominator (intersection-union, no correction) this tests the
ratio. The interval is what is left when c goes over a grid.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from circuits.verdict.estimate import Inference, RatioEstimate, bounded_mean, infer_bounded, log_needed

Floats = npt.NDArray[np.float64]
Span = tuple[float, float]

_ANGLES = 120
_HALVINGS = 12
# The ratio's angle is searched in steps of 1.5 degrees, each halved 12 times.


def infer_bounded_ratio(
    numerator: npt.ArrayLike, denominator: npt.ArrayLike, top: Span, bottom: Span, cycle: int = 1
) -> Inference:
    """mean(numerator) / mean(denominator) over prompts: Float[prompt] each, in ``top`` and in ``bottom``. Guaranteed.

    A prompt where either is NaN is skipped. Values outside their range by more than 1e-6 and empty input raise ValueError.
    """
    above = np.asarray(numerator, dtype=np.float64)
    below = np.where(np.isnan(above), np.nan, np.asarray(denominator, dtype=np.float64))
    above = np.where(np.isnan(below), np.nan, above)
    positive = infer_bounded(below, *bottom, cycle=cycle)

    def linear(c: float, sign: int) -> float:
        """Log e-value against "the mean of sign * (numerator - c * denominator) is at most 0"."""
        ends = sorted((c * bottom[0], c * bottom[1]))
        low, high = top[0] - ends[1], top[1] - ends[0]
        there = infer_bounded(above - c * below, low, high, cycle)
        return there.above(0.0) if sign > 0 else there.below(0.0)

    def interval(confidence: float) -> RatioEstimate:
        under = bounded_mean(below, *bottom, confidence=confidence, cycle=cycle)
        ratio = float(np.nanmean(above)) / float(np.nanmean(below)) if under.value else math.nan
        found = RatioEstimate(
            **{**vars(under), "value": ratio, "low": -math.inf, "high": math.inf, "method": "betting (ratio)"},
            denominator=under,
            denominator_positive=under.low > 0.0,
        )
        if not found.denominator_positive:
            return found
        need = log_needed(confidence)
        low = _first_kept(lambda c: linear(c, 1) < need, -1)
        high = _first_kept(lambda c: linear(c, -1) < need, 1)
        return replace(found, low=min(low, ratio), high=max(high, ratio))

    return Inference(
        interval,
        lambda c: min(linear(c, 1), positive.above(0.0)),
        lambda c: min(linear(c, -1), positive.above(0.0)),
    )


def _first_kept(kept: Callable[[float], bool], side: int) -> float:
    """The outermost c that is not rejected, coming from minus (side -1) or plus infinity; rounded outwards.

    Infinite where already the outermost angle of the grid is kept.
    """
    angles = side * np.linspace(math.pi / 2, -math.pi / 2, _ANGLES + 2)[1:-1]
    rejected = None
    for angle in angles:
        if kept(math.tan(angle)):
            break
        rejected = float(angle)
    if rejected is None:
        return side * math.inf
    inner = float(angle)
    for _ in range(_HALVINGS):
        middle = (rejected + inner) / 2.0
        if kept(math.tan(middle)):
            inner = middle
        else:
            rejected = middle
    return math.tan(rejected)
