"""From an interval and a bound to a verdict, and from the verdicts of checks to a claim's.

Pure rules without statistics: the intervals come from estimate.py. A bound is one pair
(bound_low, bound_high): ``at_least`` sets the first, ``at_most`` the second, ``between`` both.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import StrEnum


class Verdict(StrEnum):
    """What a check or a claim came to; the values are the words of results.json."""

    SUPPORTED = "supported"
    REFUTED = "refuted"
    INCONCLUSIVE = "inconclusive"
    UNMEASURABLE = "unmeasurable"


def judge(
    low: float,
    high: float,
    bound_low: float | None,
    bound_high: float | None,
    corrected_low: float | None = None,
    corrected_high: float | None = None,
) -> Verdict:
    """The verdict on one check, from its interval [low, high].

    SUPPORTED: the interval lies on the right side of every bound, touching allowed (for ``between``:
    inside the band, an equivalence test). REFUTED: the interval corrected for the number of checks of the
    claim (by default the same one) lies wholly and strictly on the wrong side of one bound. Else
    INCONCLUSIVE: an interval that is too wide, an infinite one included, decides nothing. A NaN end
    is UNMEASURABLE: a number is missing.

    A corrected interval that fails to contain the plain one is widened until it does, so that neither
    rounding nor a mix-up of the two can refute what the plain interval does not. Ends or bounds out of
    order, a bound that is NaN, or no bound at all, raise ValueError.
    """
    _check_bounds(bound_low, bound_high)
    wide_low = low if corrected_low is None else corrected_low
    wide_high = high if corrected_high is None else corrected_high
    if any(math.isnan(end) for end in (low, high, wide_low, wide_high)):
        return Verdict.UNMEASURABLE
    if low > high:
        raise ValueError(f"the interval's ends are out of order: low {low:g} > high {high:g}")
    if wide_low > wide_high:
        raise ValueError(f"the corrected interval's ends are out of order: low {wide_low:g} > high {wide_high:g}")
    wide_low, wide_high = min(low, wide_low), max(high, wide_high)
    if (bound_low is None or low >= bound_low) and (bound_high is None or high <= bound_high):
        return Verdict.SUPPORTED
    if bound_low is not None and wide_high < bound_low:
        return Verdict.REFUTED
    if bound_high is not None and wide_low > bound_high:
        return Verdict.REFUTED
    return Verdict.INCONCLUSIVE


def judge_exact(value: float, bound_low: float | None, bound_high: float | None) -> Verdict:
    """The verdict on a census: all possible prompts were measured, so the value is the truth.

    SUPPORTED when the value satisfies every bound (equality included), else REFUTED; NaN is UNMEASURABLE.
    """
    return judge(value, value, bound_low, bound_high)


def combine(verdicts: Iterable[Verdict]) -> Verdict:
    """A claim's verdict from those of its checks, all of which must hold.

    One false part makes a conjunction false whatever the others are, so REFUTED comes first, also
    beside a check that could not be measured. Then UNMEASURABLE: more prompts cannot settle what was
    never measured, so it is said before INCONCLUSIVE. SUPPORTED needs all. No verdicts at all raise
    ValueError: a claim without a check asserts nothing.
    """
    found = set(verdicts)
    if not found:
        raise ValueError("a claim needs the verdict of at least one check")
    for verdict in (Verdict.REFUTED, Verdict.UNMEASURABLE, Verdict.INCONCLUSIVE):
        if verdict in found:
            return verdict
    return Verdict.SUPPORTED


def _check_bounds(bound_low: float | None, bound_high: float | None) -> None:
    given = [bound for bound in (bound_low, bound_high) if bound is not None]
    if not given:
        raise ValueError("a check needs a bound: at_least, at_most or between")
    if any(math.isnan(bound) for bound in given):
        raise ValueError(f"a bound must be a number, got {bound_low} and {bound_high}")
    if bound_low is not None and bound_high is not None and bound_low > bound_high:
        raise ValueError(f"the bounds are out of order: {bound_low:g} > {bound_high:g}")
