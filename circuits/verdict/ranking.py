"""Rows about a head among the others: ``top: k``, ``heads: {any: ...}``, and scores that need no sampling.

The number of prompts is fixed in advance. a = (1 - confidence) / 2 is the error probability of each kind of
wrong verdict; refuting is corrected for the rows of the claim, as in ``rows.decide``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from circuits.claims.claim import Ablate, Bound
from circuits.measure.attention import AttentionValues
from circuits.measure.cells import Question
from circuits.measure.metrics import Values, metric_values
from circuits.measure.weights import PROFILE
from circuits.verdict import estimate
from circuits.verdict.betting import log_e_process
from circuits.verdict.rows import (
    MOST_REMOVED,
    NOTHING_MEASURED,
    Asked,
    Floats,
    Row,
    Task,
    ablation_row,
    attention_interval,
    attention_row,
    bounded_span,
    decide,
    differences,
    finite,
    head_means,
    heads_passing,
    mean_of,
    not_finite,
    note_uniform,
    observed_range,
    rank_of,
)
from circuits.verdict.verdict import Verdict, judge

Head = tuple[int, int]

OBSERVED = Bound("observe", None, None, None)
"""The bound of a row that is only filled with numbers: what it is asked is judged afterwards."""


def rank(values: AttentionValues, head: Head) -> list[int]:
    """[r, H]: the head's place among the model's H heads by mean value (left minus right), 1 = highest.

    1 + the number of heads with a strictly higher mean; heads without a value (or a finite one) come last.
    """
    return rank_of(head_means(differences(values)), head)


def attention_top_row(row: Row, asked: Question, values: AttentionValues, head: Head, bound: Bound, how: Asked) -> Row:
    """The row of ``top: k`` on attention or a score: the head's own numbers, judged by its place."""
    filled = attention_row(row, asked, values, head, OBSERVED, how)
    return top_row(filled, differences(values), head, bound, how, _span(asked, values))


def ablation_top_row(
    row: Row, what: Ablate, clean: Values, each: Mapping[Head, Values], head: Head, bound: Bound, task: Task, how: Asked
) -> Row:
    """The row of ``top: k`` on the ablation of one head: among the k heads whose own ablation does the most harm.

    ``each``: the values with each head of the model ablated alone. Harm is a fall of the metric, and a rise of
    ``kl`` and ``loss``. The clean values are common to all heads, so the order is that of the values after.
    """
    sign = harm_sign(what.metric)
    after = {place: sign * metric_values(what.metric, values) for place, values in each.items()}
    layers, heads = (1 + max(place[axis] for place in after) for axis in (0, 1))
    stacked = np.full((layers, heads, len(after[head])), np.nan)
    for place, values in after.items():
        stacked[place] = values
    span = bounded_span(what.metric)
    ends = (min(sign * end for end in span), max(sign * end for end in span)) if span else None
    filled = ablation_row(row, what, clean, each[head], OBSERVED, task, how)
    return top_row(filled, stacked, head, bound, how, ends, observed_range(metric_values(what.metric, clean)))


def harm_sign(metric: str) -> float:
    """1 for a metric that rises where harm is done (kl, loss), -1 for one that falls."""
    return 1.0 if metric in ("kl", "loss") else -1.0


def top_row(
    row: Row,
    values: Floats,
    head: Head,
    bound: Bound,
    how: Asked,
    span: tuple[float, float] | None = (0.0, 1.0),
    scale: float | None = None,
) -> Row:
    """Judge in ``row`` whether ``head`` is among the ``bound.k`` heads with the highest means.

    ``values``: Float[layer, head, prompt], larger = higher, all on the same prompts; NaN where a prompt has
    no value. ``span``: the range of the values, None where unbounded; ``scale``: an unbounded metric's
    observed range. Numbers of the head that are in the row already are kept, else they are those of
    ``values``; a reason that is there makes it UNMEASURABLE.

    A test of a partial conjunction (Benjamini & Heller 2008) over paired differences with the m others:
    by betting (guaranteed) within a range, by the t test otherwise. SUPPORTED when m-k+1 are beaten at error
    a/k each: were the claim false, k others would be higher, and one of these k would have been
    beaten wrongly. REFUTED when k others are higher at error a/(m-k+1) each: were the claim true, one of
    the at least m-k+1 that are not higher would have been found higher wrongly. A head that ties with
    another is neither beaten nor higher. On a census the place itself decides.
    """
    row.setdefault("warnings", [])
    row.setdefault("reason", None)
    means, own, k = head_means(values), values[head], bound.k
    if k is None or k < 1:
        raise ValueError(f"top needs a number of heads of at least 1, got {k!r}")
    broken = not_finite(own)
    if row.get("estimate") is None and not row["reason"] and not broken and not np.isnan(means[head]):

        def interval(confidence: float) -> estimate.Estimate:
            if span is None:
                return estimate.mean_t(own, confidence, scale or observed_range(own))
            return estimate.bounded_mean(own, *span, confidence)

        row = decide({**NOTHING_MEASURED, **row}, OBSERVED, interval, how)
    elif "corrected" not in row:
        row = decide({**NOTHING_MEASURED, **row}, OBSERVED, None, how)
    place = rank_of(means, head)
    row |= {"rank": None if np.isnan(means[head]) else place, "k": k, "heads_passing": None}
    row |= {"bound": bound.text, "bound_low": None, "bound_high": None, "observe": False}
    others = [index for index in np.ndindex(means.shape) if index != head]
    m = len(others)
    infinite = sum(bool(np.isinf(values[other]).any()) for other in others)
    if broken or np.isnan(means[head]):
        row["reason"] = row["reason"] or broken or "the head has no value on these prompts"
    elif k > m:
        row["reason"] = row["reason"] or f"the model has only {m + 1} heads: each is among the {k} highest"
    elif infinite:
        row["reason"] = row["reason"] or f"the model's numbers are not finite for {infinite} of the other {m} heads"
    if row["reason"]:
        return row | {"verdict": str(Verdict.UNMEASURABLE)}
    if how.census:
        return row | {"verdict": str(Verdict.SUPPORTED if place[0] <= k else Verdict.REFUTED)}
    if span is not None:  # the comparison is guaranteed, also where the interval shown is not
        row |= {"guaranteed": True, "assumption": None}
    else:
        row |= {"guaranteed": False, "assumption": estimate.NEAR_NORMAL}
    error = (1.0 - how.confidence) / 2.0
    there = [values[other] for other in others if not np.isnan(means[other])]
    # A head without any value has no place above this one.
    beaten = m - len(there) + sum(_above(own, other, error / k, span, scale) for other in there)
    higher_error = error / max(1, how.rows) / (m - k + 1)
    higher = sum(_above(other, own, higher_error, span, scale) for other in there)
    if beaten >= m - k + 1:
        return row | {"verdict": str(Verdict.SUPPORTED)}
    return row | {"verdict": str(Verdict.REFUTED if higher >= k else Verdict.INCONCLUSIVE)}


def _above(first: Floats, second: Floats, error: float, span: tuple[float, float] | None, scale: float | None) -> bool:
    """Whether the mean of ``first`` is higher than that of ``second``: a one-sided paired test at ``error``."""
    each = first - second
    each = each[~np.isnan(each)]
    if not len(each) or each.mean() <= 0.0:
        return False
    both = np.concatenate((first, second))
    size = max(scale or 0.0, float(np.nanmax(np.abs(both))))
    if np.abs(each).max() <= estimate.CONSTANT_TOLERANCE * size:
        return False  # a tie, but for rounding
    if span is None:
        observed = max(scale or 0.0, observed_range(both) or 0.0)
        return estimate.mean_t(each, 1.0 - 2.0 * error, observed).low > 0.0
    return _rejected(np.clip((each / (span[1] - span[0]) + 1.0) / 2.0, 0.0, 1.0), 0.5, error)


def _rejected(unit: Floats, mean: float, error: float) -> bool:
    """Whether betting rejects, at ``error``, that values in [0, 1] have a mean of at most ``mean``.

    Only one mean is tested, without the inversion that an interval needs: 50 microseconds for 128 values. As in
    ``bounded_mean``, a sample whose own mean is not above is never evidence of it.
    """
    if mean < 0.0 or unit.mean() <= mean:
        return mean < 0.0
    n = len(unit)
    return float(log_e_process(unit, np.array([mean]), (n, n / 2)).max()) >= math.log(1.0 / error)


def any_row(
    row: Row, asked: Question, values: AttentionValues, candidates: Sequence[Head], bound: Bound, how: Asked
) -> Row:
    """The row of "some head of ``candidates`` does" (m of them).

    SUPPORTED when one candidate's interval at error a/m (Bonferroni) lies on the right side of the bound.
    REFUTED when every candidate's at error a lies on the wrong side: one wrong refutation is enough to be
    wrong about all, so nothing needs correction (intersection-union). A candidate whose attention an
    exclusion takes nearly whole cannot support, though it must refute like the others; one without
    any value is left out, and said so.

    ``estimate``, ``low`` and ``high`` are those of the best candidate (one that supports, else by its estimate)
    at the confidence corrected for m, which is the row's ``confidence``; ``corrected`` is the interval
    of the same head that could refute. ``any`` counts the candidates whose estimates satisfy the bound.
    """
    if not candidates:
        raise ValueError("some head of none: candidates must name at least one head")
    each, m = differences(values), len(candidates)
    means, span = head_means(each), _span(asked, values)
    level = estimate.corrected(how.confidence, m)
    refuting = estimate.corrected(how.confidence, max(1, how.rows))
    measured = [head for head in candidates if not np.isnan(means[head])]
    usable = [head for head in measured if not _nearly_removed(values, head)]
    ordered = sorted(usable, key=lambda head: merit(float(means[head]), bound), reverse=True)
    passing = [head for head in ordered if bound.holds(float(means[head]))]

    def limits(head: Head, confidence: float) -> estimate.Estimate:
        layer, index = head
        right = values.right[layer, index] if values.right is not None else None
        return attention_interval(values.left[layer, index], right, span is None)(confidence)

    def supports(head: Head) -> bool:
        if how.census:
            return True
        if span is not None and not _beyond(each[head], bound, span, (1.0 - level) / 2.0):
            return False  # said by one e-value, so that only the best needs an inversion
        found = limits(head, level)
        return judge(found.low, found.high, bound.low, bound.high) is Verdict.SUPPORTED

    def refutes(head: Head) -> bool:
        if how.census:
            return not bound.holds(float(means[head]))
        if span is not None:
            return _wrong(each[head], bound, span, (1.0 - refuting) / 2.0)
        found = limits(head, refuting)
        return judge(found.low, found.high, bound.low, bound.high) is Verdict.REFUTED

    judged = bound.kind != "observe"
    winner = next(filter(supports, passing), None) if judged else None
    best = winner or next(iter([*ordered, *measured, *candidates]))
    row = attention_row(row, asked, values, best, OBSERVED, Asked(level, 1, how.census))
    name, of_all = f"{best[0]}.{best[1]}", m == means.size
    row |= {"bound": bound.text, "bound_low": bound.low, "bound_high": bound.high, "percent": bound.percent}
    row |= {"head": name, "heads_passing": heads_passing(means, bound), "observe": not judged}
    row["any"] = {
        "of": m,
        "passing": len(passing) if judged else None,
        "best": name,
        "among": None if of_all else [f"{layer}.{head}" for layer, head in candidates],
    }
    if row["corrected"] is not None:
        wide = limits(best, refuting)
        row["corrected"] = {"low": finite(wide.low), "high": finite(wide.high), "confidence": refuting}
    infinite = sum(bool(np.isinf(each[head]).any()) for head in candidates)
    _tell(row, m, m - len(measured) - infinite, len(measured) - len(usable), asked)
    note_uniform(row, bound)
    if not judged:
        return row
    if winner is None and infinite:
        row["reason"] = f"the model's numbers are not finite for {infinite} of {m} heads"
    if row["reason"]:
        verdict = Verdict.UNMEASURABLE
    elif winner is not None:
        verdict = Verdict.SUPPORTED
    else:
        verdict = Verdict.REFUTED if all(map(refutes, measured)) else Verdict.INCONCLUSIVE
    return row | {"verdict": str(verdict)}


def _span(asked: Question, values: AttentionValues) -> tuple[float, float] | None:
    """The range of an attention value or difference; None for lift, which has none."""
    if asked.statistic == "lift":
        return None
    return (0.0, 1.0) if values.right is None else (-1.0, 1.0)


def _nearly_removed(values: AttentionValues, head: Head) -> bool:
    removed = mean_of(values.removed[head]) if values.removed is not None else None
    return removed is not None and removed > MOST_REMOVED


def _tell(row: Row, m: int, without: int, removed: int, asked: Question) -> None:
    if without:
        row["warnings"].append(f"{without} of {m} heads have no value on these prompts, and are left out")
    if removed:
        excluded = " and ".join(asked.excluding)
        row["warnings"].append(
            f"excluding {excluded} removes nearly all attention of {removed} of {m} heads: none of them can be the one"
        )


def merit(mean: float, bound: Bound) -> float:
    """Larger = further on the right side of the bound (for a band: nearer to its middle)."""
    if bound.low is not None and bound.high is not None:
        return -abs(mean - (bound.low + bound.high) / 2.0)
    return -mean if bound.high is not None else mean


def _in_unit(values: Floats, span: tuple[float, float], at: float) -> tuple[Floats, float]:
    """The values that are there and a bound, mapped from ``span`` to [0, 1]."""
    width = span[1] - span[0]
    return np.clip((values[~np.isnan(values)] - span[0]) / width, 0.0, 1.0), (at - span[0]) / width


def _beyond(values: Floats, bound: Bound, span: tuple[float, float], error: float) -> bool:
    """Whether the mean is on the right side of every end of the bound, each at ``error``."""
    if bound.low is not None and bound.low > span[0]:
        unit, at = _in_unit(values, span, bound.low)
        if not _rejected(unit, at, error):
            return False
    if bound.high is not None and bound.high < span[1]:
        unit, at = _in_unit(values, span, bound.high)
        return _rejected(1.0 - unit, 1.0 - at, error)
    return True


def _wrong(values: Floats, bound: Bound, span: tuple[float, float], error: float) -> bool:
    """Whether the mean is on the wrong side of one end of the bound, at ``error``."""
    if bound.low is not None:
        unit, at = _in_unit(values, span, bound.low)
        if _rejected(1.0 - unit, 1.0 - at, error):
            return True
    if bound.high is not None:
        unit, at = _in_unit(values, span, bound.high)
        return _rejected(unit, at, error)
    return False


def score_row_exact(
    row: Row,
    each: Floats,
    profile: Floats | None,
    head: Head,
    bound: Bound,
    how: Asked,
    members: str,
    left_out: Sequence[str],
) -> Row:
    """The row of a score from weights alone (copying, successor): the value is exact, so there is no interval.

    ``each``: Float[layer, head, member] in {0, 1}, NaN where a member has no value; ``profile``:
    Float[layer, head, offset] by measure.weights.PROFILE. ``left_out``: members that are not single tokens.
    """
    means, values = head_means(each), each[head]
    row |= {**NOTHING_MEASURED, "exact": True, "members": members, "left_out": list(left_out), "prompts": None}
    row.setdefault("warnings", [])
    row.setdefault("reason", None)
    row["profile"] = None
    if profile is not None and not np.isnan(profile[head]).all():
        row["profile"] = {name: finite(float(value)) for name, value in zip(PROFILE, profile[head], strict=True)}
    broken = not_finite(values)
    if broken or np.isnan(values).all():
        row["reason"] = row["reason"] or (
            "the head's output is not a finite number"
            if broken
            else "no member has a value: the head writes nothing, or no member's next one is a single token"
        )
        row |= {"k": bound.k} if bound.kind == "top" else {}
        return decide(row, bound, None, how)
    row["rank"] = rank_of(means, head)
    exact = replace(how, census=True)
    if bound.kind == "top":
        row = decide(row, OBSERVED, lambda confidence: estimate.share(values, confidence), exact)
        return top_row(row, each, head, bound, exact)
    row["heads_passing"] = heads_passing(means, bound)
    return decide(row, bound, lambda confidence: estimate.share(values, confidence), exact)


def icl_row(row: Row, values: Floats, note: str, bound: Bound, how: Asked) -> Row:
    """The row of the in-context-learning score, a difference of losses in nats: Float[prompt], by the t interval.

    ``note`` says which difference it is. No head and no uniform attention belong to it.
    """
    row |= {**NOTHING_MEASURED, "head": None, "statistic": "in_context_learning", "statistic_note": note}
    row.setdefault("warnings", [])
    row.setdefault("reason", None)
    row |= {"n": int((~np.isnan(values)).sum()), "skipped": int(np.isnan(values).sum())}
    broken = not_finite(values)
    if broken or row["n"] == 0:
        row["reason"] = broken or row["reason"] or "no prompt is long enough for this score"
        return decide(row, bound, None, how)
    row["effect"] = {"kind": "d_z", "value": estimate.paired_effect(values)}
    return decide(row, bound, lambda confidence: estimate.mean_t(values, confidence, observed_range(values)), how)
