"""One row's verdict: an estimate, its interval and its e-values against a bound, whatever they are of.

Numbers only. A row is plain data, the form in which it stands in results.json; a number that was not measured is None.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.claims.claim import Bound
from circuits.verdict import estimate
from circuits.verdict.estimate import Estimate, Inference
from circuits.verdict.verdict import Verdict, judge, judge_exact

Row = dict[str, Any]
Interval = Callable[[float], Estimate]
Floats = NDArray[np.float64]

MOST_LOG_E = 700.0  # what is certain has an infinite e-value, which JSON cannot write


class NotYet(str):
    """A reason why a row cannot be judged that more prompts could remove."""


@dataclass(frozen=True)
class Asked:
    """How sure the verdict must be: the confidence, the number of rows that could refute, a census.

    ``cycle``: the length of the cycle of templates that the prompts go through (1: they are drawn independently).
    ``range``: where the values of an unbounded metric were cut (``range:``). ``last``: there are no more prompts; until
    then a row that is not decided needs no interval. ``fixed``: there is one look, so that a share may have the exact
    interval for a number of prompts that was fixed in advance.
    """

    confidence: float
    rows: int
    census: bool = False
    cycle: int = 1
    range: tuple[float, float] | None = None
    last: bool = True
    fixed: bool = False


def decide(row: Row, bound: Bound, interval: Interval | None, asked: Asked) -> Row:
    """Fill estimate, interval and verdict into ``row``.

    ``interval(confidence)`` gives the estimate at a confidence; None means that there is nothing to
    estimate (the row says why in ``reason``). A reason that is there already makes it UNMEASURABLE,
    with its numbers kept. An observed row gets no verdict, nor does one of ``top: k``: ``ranking.top_row`` judges it.

    A verdict needs both the e-value at the bound and the interval: they say the same, but for the rounding of the
    interval's ends.
    """
    row |= {"bound": bound.text, "bound_low": bound.low, "bound_high": bound.high}
    row["percent"] = bound.percent or is_share(row)
    row |= {"observe": bound.kind == "observe", "confidence": asked.confidence}
    row |= {"estimate": None, "low": None, "high": None, "corrected": None, "interval": None}
    row |= {"guaranteed": None, "assumption": None, "verdict": None, "log_e": None}
    found = undecided = None
    if interval is not None:
        try:
            found = evidence(interval, bound) if not asked.census else None
            exact = isinstance(interval, Inference) and interval.exact
            undecided = found is not None and not exact and not _may_decide(found, asked)
            if undecided and not asked.last and not is_final(row):
                row["log_e"] = found
                row["verdict"] = str(Verdict.UNMEASURABLE if row.get("reason") else Verdict.INCONCLUSIVE)
                return row
            plain = interval(asked.confidence)
            # Of a band either side could be found wrongly violated, so each takes half the error.
            refuting = max(1, asked.rows) * (2 if bound.low is not None and bound.high is not None else 1)
            level = estimate.corrected(asked.confidence, refuting)
            wide = plain if refuting == 1 else interval(level)
        except ValueError as error:
            row["reason"] = row.get("reason") or f"no estimate: {error}"
        else:
            row |= {"estimate": finite(plain.value), "n": plain.n, "skipped": plain.skipped}
            if not asked.census:
                row |= {"low": finite(plain.low), "high": finite(plain.high), "interval": plain.method}
                row |= {"guaranteed": plain.guaranteed, "assumption": plain.assumption}
                row["corrected"] = {"low": finite(wide.low), "high": finite(wide.high), "confidence": level}
                row["log_e"] = found
            if not row.get("reason") and bound.kind not in ("observe", "top"):
                if not math.isfinite(plain.value):
                    row["reason"] = "the value is not a finite number"
                elif asked.census:
                    row["verdict"] = str(judge_exact(plain.value, bound.low, bound.high))
                else:
                    verdict = judge(plain.low, plain.high, bound.low, bound.high, wide.low, wide.high)
                    row["verdict"] = str(Verdict.INCONCLUSIVE if undecided else verdict)
                    if plain.low_guaranteed and bound.high is None and row["verdict"] == str(Verdict.SUPPORTED):
                        row |= {"guaranteed": True, "assumption": None}  # only the lower end took part
    if bound.kind != "observe" and row.get("reason"):
        row["verdict"] = str(Verdict.UNMEASURABLE)
    return row


def is_final(row: Row) -> bool:
    """Whether a row has a reason that more prompts cannot remove, or a unit that is not the prompt."""
    reason = row.get("reason")
    return (reason is not None and not isinstance(reason, NotYet)) or row.get("unit") == "random circuits"


def _may_decide(found: Mapping[str, float | None], asked: Asked) -> bool:
    """Whether an e-value reaches what a verdict needs: 1/a for the bound, and as often again as there are rows against it."""
    supporting, refuting = as_log(found["for"]), as_log(found["against"])
    rows = max(1, asked.rows)
    return supporting >= estimate.log_needed(asked.confidence) or refuting >= estimate.log_needed(
        asked.confidence, rows
    )


def evidence(interval: Interval, bound: Bound) -> dict[str, float | None] | None:
    """Log e-values for the bound and against it; None without a bound or without e-values."""
    if not isinstance(interval, Inference) or bound.low is bound.high is None:
        return None
    return logs(evidence_for(interval, bound), evidence_against(interval, bound))


def evidence_for(known: Inference, bound: Bound) -> float:
    """Log e-value for a bound on a value: a band holds where both ends do, hence the lesser one.

    An end that no value can miss, 0 of a share that must be at least that, needs no evidence.
    """
    lowest, highest = known.span
    sides = [known.above(bound.low)] if bound.low is not None and bound.low > lowest else []
    sides += [known.below(bound.high)] if bound.high is not None and bound.high < highest else []
    return min(sides, default=math.inf)


def evidence_against(known: Inference, bound: Bound) -> float:
    """Log e-value against a bound on a value: a band fails where one end does, hence the mean."""
    sides = [known.below(bound.low)] if bound.low is not None else []
    sides += [known.above(bound.high)] if bound.high is not None else []
    return log_mean_e(sides)


def as_log(value: float | None) -> float:
    """A log e-value as it stands in a row: minus infinity where there is none."""
    return -math.inf if value is None else value


def logs(supporting: float, refuting: float) -> dict[str, float | None]:
    """Log e-values as they stand in a row: None for none at all (an e-value of 0), at most ``MOST_LOG_E``."""
    return {
        name: None if value == -math.inf else min(value, MOST_LOG_E)
        for name, value in (("for", supporting), ("against", refuting))
    }


def log_mean_e(logs: Sequence[float], count: int | None = None) -> float:
    """Log of the mean of e-values given by their logs, over ``count`` of them (those not listed are 0)."""
    top = max(logs, default=-math.inf)
    if not math.isfinite(top):
        return top
    return top + math.log(sum(math.exp(each - top) for each in logs) / (count or len(logs)))


def is_share(row: Row) -> bool:
    """Whether a row's value is a relative number, shown as a percentage however its bound was written."""
    top = str(row.get("metric") or "").startswith("top") and row.get("statistic") in ("after", "change_in")
    return top or row.get("statistic") in ("drop_in", "recovers", "interaction", "sufficiency", "partial_necessity")


def finite(value: float | None) -> float | None:
    """The number, or None where there is none (NaN or infinite)."""
    return float(value) if value is not None and math.isfinite(value) else None


def mean_of(values: Floats | None) -> float | None:
    """The mean over the prompts that have a value, or None."""
    return None if values is None or np.isnan(values).all() else finite(float(np.nanmean(values)))
