"""Which check decided a claim, and how far its interval lies from its bound.

The unit is the *arm*: the distance from the estimate to the end of the interval that looks at the bound. An interval that
ends three of its arms short of the bound is a stronger refutation than one that ends half an arm short, whatever the
quantity. Exact values, censuses and ranks have no arm: their distance is null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]

DECIDES = """\
of a refuted claim the strongest refutation, of a supported one the check whose
interval lies nearest to its bound (counted in arms, the distance from the estimate to that end of its interval; checks that
uniform attention satisfies as well are set aside)"""
_ORDER = ("refuted", "unmeasurable", "inconclusive", "supported")


@dataclass(frozen=True)
class Distance:
    """How far an interval's near end lies from its bound: ``gap`` in the unit of the value, ``arms`` without unit."""

    gap: float
    arms: float


def beyond(row: Row) -> Distance | None:
    """How far the interval that refutes (the corrected one) lies on the wrong side; None where that is not so or not known."""
    limits = {**row, **(row.get("corrected") or {})}
    low, high, estimate = limits.get("low"), limits.get("high"), row.get("estimate")
    found = []
    if row.get("bound_low") is not None and high is not None:
        found.append(_distance(row["bound_low"] - high, estimate, high))
    if row.get("bound_high") is not None and low is not None:
        found.append(_distance(low - row["bound_high"], estimate, low))
    return max((each for each in found if each is not None and each.gap > 0), key=lambda d: d.arms, default=None)


def within(row: Row) -> Distance | None:
    """How far the interval lies inside its bound: of two bounds the nearer one; None where that is not known."""
    low, high, estimate = row.get("low"), row.get("high"), row.get("estimate")
    found = []
    if row.get("bound_low") is not None and low is not None:
        found.append(_distance(low - row["bound_low"], estimate, low))
    if row.get("bound_high") is not None and high is not None:
        found.append(_distance(row["bound_high"] - high, estimate, high))
    return min((each for each in found if each is not None), key=lambda d: d.arms, default=None)


def _distance(gap: float, estimate: float | None, end: float) -> Distance | None:
    """None where the interval has no width on that side."""
    if estimate is None or abs(estimate - end) <= 1e-12 * max(1.0, abs(estimate)):
        return None
    return Distance(gap, gap / abs(estimate - end))


def deciding(rows: Sequence[Row]) -> Row | None:
    """The row that a reader should see first: the strongest refutation, else what kept the claim from more.

    Rows without a bound come last; among supported ones it is the one whose interval lies nearest to its bound, and one that
    uniform attention does not satisfy as well, where there is any: the other says little.
    """
    judged = [row for row in rows if not row.get("observe") and row.get("verdict") in _ORDER]
    if not judged:
        return next((row for row in rows if row.get("estimate") is not None), rows[0] if rows else None)
    first = min(_ORDER.index(row["verdict"]) for row in judged)
    group = [row for row in judged if row["verdict"] == _ORDER[first]]
    if _ORDER[first] == "refuted":
        return max(group, key=lambda row: found.arms if (found := beyond(row)) else -1.0)
    return min([row for row in group if not row.get("uniform_holds")] or group, key=_nearness)


def _nearness(row: Row) -> tuple[float, float]:
    """In arms; of values without an interval, which come behind, by how far they lie from their bound."""
    found, estimate = within(row), row.get("estimate")
    if found is not None:
        return found.arms, 0.0
    if estimate is None:
        return float("inf"), 0.0
    edges = [row[end] for end in ("bound_low", "bound_high") if row.get(end) is not None]
    return float("inf"), min((abs(estimate - edge) for edge in edges), default=float("inf"))


def strength(entry: Mapping[str, Any]) -> tuple[bool, int, float]:
    """Sorting key of a refuted claim, strongest first: not as expected, then those with a distance, then the farthest.

    Equal values have no spread: the width of their interval is a guess, so that they come behind those that have one.
    """
    row = deciding(entry.get("checks") or [])
    found = beyond(row) if row is not None else None
    guessed = "rule-of-three" in str((row or {}).get("interval") or "")
    return (
        entry.get("met") is not False,
        2 if found is None else int(guessed),
        -found.arms if found is not None else 0.0,
    )
