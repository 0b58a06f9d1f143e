"""Rows about a head among the others: ``top: k``, ``heads: {any: ...}``, and scores that need no sampling.

Whenever the sampling stops, a = (1 - confidence) / 2 is the error probability of each kind of
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
from circuits.measure.losses import InContext
from circuits.measure.metrics import Values, metric_values
from circuits.measure.weights import PROFILE
from circuits.prompts.own import MetricName
from circuits.verdict import estimate
from circuits.verdict.decide import (
    Asked,
    Floats,
    NotYet,
    Row,
    decide,
    evidence_against,
    evidence_for,
    finite,
    log_mean_e,
    logs,
    mean_of,
)
from circuits.verdict.rows import (
    MOST_REMOVED,
    NONE_COUNTED,
    NOTHING_MEASURED,
    Task,
    ablation_row,
    attention_interval,
    attention_row,
    bounded_span,
    differences,
    effect_of_means,
    head_means,
    heads_passing,
    not_finite,
    note_uniform,
    observed_range,
    place_of,
    rank_of,
)
from circuits.verdict.verdict import Verdict

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
    span = bounded_span(what.metric, how)
    ends = (min(sign * end for end in span), max(sign * end for end in span)) if span else None
    filled = ablation_row(row, what, clean, each[head], OBSERVED, task, how)
    row = top_row(filled, stacked, head, bound, how, ends, observed_range(metric_values(what.metric, clean)))
    if row["rank_beside"]:  # heads are ordered by the metric afterwards, and told by what the check asks for
        name, harm = row["rank_beside"]
        value = effect_of_means(what.effect, mean_of(metric_values(what.metric, clean)), sign * harm)
        row["rank_beside"] = [name, value] if value is not None else None
    return row


def harm_sign(metric: str) -> float:
    """1 for a metric that rises where harm is done (kl, loss), -1 for one that falls."""
    rises = metric.record.rises if isinstance(metric, MetricName) else metric in ("kl", "loss")
    return 1.0 if rises else -1.0


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
    by betting (guaranteed) within a range, by the t e-process otherwise. SUPPORTED when m-k+1 are beaten at error
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
            return estimate.bounded_mean(own, *span, confidence, how.cycle)

        row = decide({**NOTHING_MEASURED, **row}, OBSERVED, interval, how)
    elif "corrected" not in row:
        row = decide({**NOTHING_MEASURED, **row}, OBSERVED, None, how)
    place: Row = (
        place_of(means, head) if not np.isnan(means[head]) else dict.fromkeys(("rank", "rank_tied", "rank_beside"))
    )
    row |= {**place, "k": k, **NONE_COUNTED}
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
        return row | {"verdict": str(Verdict.SUPPORTED if place["rank"][0] <= k else Verdict.REFUTED)}
    if span is not None:  # the comparison is guaranteed, also where the interval shown is not
        row |= {"guaranteed": True, "assumption": None}
    else:
        row |= {"guaranteed": False, "assumption": estimate.NEAR_NORMAL}
    there = [values[other] for other in others if not np.isnan(means[other])]
    # A head without any value has no place above this one, so it is beaten whatever the prompts.
    ahead = sorted(_log_above(own, other, span, scale, how.cycle) for other in there)
    behind = sorted(_log_above(other, own, span, scale, how.cycle) for other in there)
    beaten = ahead[len(ahead) - (m - k + 1 - (m - len(there)))] if m - k + 1 > m - len(there) else math.inf
    higher = behind[-k] if k <= len(behind) else -math.inf
    supports, refutes = beaten - math.log(k), higher - math.log(m - k + 1)
    row["log_e"] = logs(supports, refutes)
    if supports >= estimate.log_needed(how.confidence):
        return row | {"verdict": str(Verdict.SUPPORTED)}
    return row | {
        "verdict": str(
            Verdict.REFUTED
            if refutes >= estimate.log_needed(how.confidence, max(1, how.rows))
            else Verdict.INCONCLUSIVE
        )
    }


def _log_above(
    first: Floats, second: Floats, span: tuple[float, float] | None, scale: float | None, cycle: int
) -> float:
    """Log e-value against "the mean of ``first`` is at most that of ``second``": a one-sided paired test.

    Minus infinity where the sample mean is not above (such a sample is never taken as evidence that it is), or ties.
    """
    each = first - second
    there = each[~np.isnan(each)]
    if not len(there) or there.mean() <= 0.0:
        return -math.inf
    both = np.concatenate((first, second))
    size = max(scale or 0.0, float(np.nanmax(np.abs(both))))
    if np.abs(there).max() <= estimate.CONSTANT_TOLERANCE * size:
        return -math.inf  # a tie, but for rounding
    if span is None:
        return estimate.infer_t(each, max(scale or 0.0, observed_range(both) or 0.0)).above(0.0)
    width = span[1] - span[0]
    return estimate.infer_bounded(each, -width, width, cycle).above(0.0)


def any_row(
    row: Row, asked: Question, values: AttentionValues, candidates: Sequence[Head], bound: Bound, how: Asked
) -> Row:
    """The row of "some head of ``candidates`` does" (m of them).

    SUPPORTED when the mean of the candidates' e-values for the bound reaches 1/a, as it does when one of them reaches
    m/a (Bonferroni). REFUTED when every candidate's e-value against it reaches 1/a: one wrong refutation is enough to be
    wrong about all, so nothing needs correction (intersection-union). A candidate whose attention an
    exclusion takes nearly whole cannot support, though it must refute like the others; one without
    any value is left out, and said so.

    ``estimate``, ``low`` and ``high`` are those of the best candidate (one that supports, else by its estimate)
    at the confidence corrected for m, which is the row's ``confidence``; ``corrected`` is the interval
    of the same head that could refute, and stands for all three where the claim was refuted. ``any`` counts the candidates
    whose estimates satisfy the bound; ``together`` tells that no single one would have been enough to support the claim.
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

    known: dict[Head, estimate.Inference] = {}
    for head in measured:
        right = values.right[head] if values.right is not None else None
        known[head] = attention_interval(values.left[head], right, span is None, how.cycle)
    judged = bound.kind != "observe"
    # A head whose own mean is on the wrong side is no evidence that some head is on the right one; while one is on the
    # right side, nothing speaks against all of them.
    fors, against = {}, -math.inf
    if judged and not how.census:
        fors = {head: evidence_for(known[head], bound) for head in passing}
        if not passing:
            against = min((evidence_against(known[head], bound) for head in measured), default=-math.inf)
    supports = log_mean_e(list(fors.values()), m)
    winner = None
    if judged and passing and (how.census or supports >= estimate.log_needed(how.confidence)):
        winner = passing[0] if how.census else max(passing, key=lambda head: fors[head])
    best = winner or next(iter([*ordered, *measured, *candidates]))
    row = attention_row(row, asked, values, best, OBSERVED, Asked(level, 1, how.census, how.cycle))
    name, of_all = f"{best[0]}.{best[1]}", m == means.size
    row |= {"bound": bound.text, "bound_low": bound.low, "bound_high": bound.high, "percent": bound.percent}
    row |= {"head": name, **heads_passing(means, bound), "observe": not judged}
    row["any"] = {
        "of": m,
        "passing": len(passing) if judged else None,
        "best": name,
        "among": None if of_all else [f"{layer}.{head}" for layer, head in candidates],
    }
    if row["corrected"] is not None:
        wide = known[best](refuting)
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
    elif how.census:
        verdict = Verdict.REFUTED
    else:
        enough = against >= estimate.log_needed(refuting)
        verdict = Verdict.REFUTED if enough else Verdict.INCONCLUSIVE
    if verdict is Verdict.REFUTED and row["corrected"] is not None:
        row |= {name: row["corrected"][name] for name in ("low", "high", "confidence")}  # the interval that decided
    row["any"]["together"] = (
        winner is not None and not how.census and fors[winner] < estimate.log_needed(how.confidence, m)
    )
    row["log_e"] = None if how.census else logs(supports, against)
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
    row |= place_of(means, head)
    usual = float(np.nanmean(means))  # of the heads that have a score; this one has
    row["effect"] = {"kind": "lift_over_heads", "value": float(means[head]) / usual} if usual > 0.0 else None
    exact = replace(how, census=True)
    if bound.kind == "top":
        row = decide(row, OBSERVED, lambda confidence: estimate.share(values, confidence), exact)
        return top_row(row, each, head, bound, exact)
    row |= heads_passing(means, bound)
    return decide(row, bound, lambda confidence: estimate.share(values, confidence), exact)


def icl_row(row: Row, score: InContext, bound: Bound, how: Asked) -> Row:
    """The row of the in-context-learning score, a difference of losses in nats, by the t e-process.

    ``parts``: the means of the two losses. No head and no uniform attention belong to it.
    """
    values = score.values
    row |= {**NOTHING_MEASURED, "head": None, "statistic": "in_context_learning", "statistic_note": score.note}
    row.setdefault("warnings", [])
    row.setdefault("reason", None)
    row |= {"n": int((~np.isnan(values)).sum()), "skipped": int(np.isnan(values).sum())}
    broken = not_finite(values)
    if broken or row["n"] == 0:
        row["reason"] = broken or row["reason"] or NotYet("no prompt is long enough for this score")
        return decide(row, bound, None, how)
    losses = zip(score.names, (score.late, score.early), strict=True)
    row["parts"] = {f"loss of {name}": mean_of(each) for name, each in losses}
    row["effect"] = {"kind": "d_z", "value": estimate.paired_effect(values)}
    return decide(row, bound, estimate.infer_t(values, observed_range(values)), how)
