"""Rows of circuits: ablation within one, interaction, and what is left when only a circuit is kept.

F(X) is a metric's mean over prompts with the components X left intact: M the whole model, C the circuit, 0 nothing,
K a subset, \\ without. Whenever the sampling stops, each kind of wrong verdict has probability
at most a = (1 - confidence) / 2, and refuting is corrected for the rows of the claim (``rows.decide``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from circuits.claims.claim import Ablate, Bound, Keep
from circuits.measure.metrics import Values, metric_values
from circuits.verdict import estimate
from circuits.verdict.decide import Asked, Floats, Interval, Row, decide, finite, log_mean_e, logs, mean_of
from circuits.verdict.estimate import Estimate, Inference
from circuits.verdict.rows import (
    Task,
    bounded_span,
    denominator_reason,
    effect_row,
    intervention_facts,
    means_of,
    observed_range,
    ratio_inference,
)
from circuits.verdict.verdict import Verdict

RANDOM_ASSUMPTION = "the random circuits are drawn independently; the prompts' means are taken as measured"


@dataclass(frozen=True)
class Pair:
    """Two runs whose means are compared without the components ``removed`` (K).

    Completeness: ``one`` is F(C\\K), ``other`` F(M\\K). Minimality: F(C\\K) and F(C\\(K+v)), v = ``component``.
    """

    removed: tuple[str, ...]
    one: Values
    other: Values
    component: str | None = None


def within_row(
    row: Row, what: Ablate, clean: Values, kept: Values, without: Values, bound: Bound, task: Task, how: Asked
) -> Row:
    """Ablating A inside a circuit: drop_in (F(C)-F(C\\A))/F(C), change_in F(C\\A)-F(C), or after F(C\\A).

    ``clean``: F(M), of which the task is required; ``kept``: F(C); ``without``: F(C\\A).
    """
    row["parts"] = means_of(what.metric, {"F(C)": kept, "F(C\\A)": without})
    if not intervention_facts(row, what.metric, (clean, kept, without), task, how):
        return decide(row, bound, None, how)
    if what.metric == "answer_rank":
        row["parts"] = None
    return effect_row(row, what, kept, without, bound, how, f"the circuit's {what.metric}")


def interaction_row(
    row: Row,
    what: Ablate,
    clean: Values,
    without: Values,
    given: Values,
    both: Values,
    bound: Bound,
    task: Task,
    how: Asked,
) -> Row:
    """How much more A matters once G is gone: ((F(M\\G)-F(M\\G\\A)) - (F(M)-F(M\\A))) / F(M).

    A ratio of means. ``clean``: F(M), ``without``: F(M\\A), ``given``: F(M\\G),
    ``both``: F(M\\G\\A). ``beside``: the drop of A alone and given G, both relative to F(M), whose
    difference the interaction is.
    """
    name = what.metric
    runs = {"F(M)": clean, "F(M\\A)": without, "F(M\\G)": given, "F(M\\G\\A)": both}
    row |= {"parts": means_of(name, runs), "beside": None}
    if not intervention_facts(row, name, (clean, clean, both), task, how, (without, given)):
        return decide(row, bound, None, how)
    full, less, other, least = (metric_values(name, run) for run in runs.values())

    span = bounded_span(name, how)

    def ratio(numerator: Floats, runs: int) -> Inference:
        width = (runs // 2) * (span[1] - span[0]) if span else 0.0  # of a sum of so many differences of two runs
        return ratio_inference(numerator, full, (-width, width) if span else None, span, how.cycle)

    numerator = (other - least) - (full - less)
    row["effect"] = {"kind": "d_z", "value": estimate.paired_effect(numerator)}
    interval = ratio(numerator, 4)
    row["reason"] = row["reason"] or denominator_reason(
        interval(how.confidence), f"the clean {name}", "interaction", how
    )
    row["beside"] = [
        _beside("drop of A alone", ratio(full - less, 2), how),
        _beside("drop of A given G", ratio(other - least, 2), how),
    ]
    return decide(row, bound, interval, how)


def keep_row(
    row: Row,
    what: Keep,
    full: Values,
    kept: Values,
    empty: Values | None,
    others: Sequence[Values],
    bound: Bound,
    task: Task,
    how: Asked,
    seed: int | None = None,
) -> Row:
    """recovers F(C)/F(M), normalised (F(C)-F(0))/(F(M)-F(0)), or faithfulness |F(M)-F(C)|.

    ``empty``: F(0), needed for ``normalised`` (else the other form is null); ``others``: F of random circuits
    of the same size, the control. ``random.as_good``: how many of them recover at least as much, or are at
    least as near to F(M).
    """
    name, ratio = what.metric, what.statistic == "recovers"
    runs = {"F(M)": full, "F(C)": kept} | ({"F(0)": empty} if empty is not None else {})
    row |= {"parts": means_of(name, runs), "normalised": what.normalised, "beside": None, "random": None}
    if not intervention_facts(row, name, (full, full, kept), task, how, [*runs.values(), *others]):
        return decide(row, bound, None, how)
    whole, part = metric_values(name, full), metric_values(name, kept)
    nothing = metric_values(name, empty) if empty is not None else None
    if not ratio:
        row["random"] = _random([distance(name, full, run) for run in others], seed, distance(name, full, kept), -1)
        return decide(row, bound, _folded(name, kept, full, how).inference, how)
    if what.normalised and nothing is None:
        raise ValueError("normalised needs the values with nothing kept, F(0)")

    span = bounded_span(name, how)

    def recovered(normalised: bool) -> Inference:
        if not normalised or nothing is None:
            return ratio_inference(part, whole, span, span, how.cycle)
        width = (span[0] - span[1], span[1] - span[0]) if span else None
        return ratio_inference(part - nothing, whole - nothing, width, width, how.cycle)

    interval = recovered(what.normalised)
    below = f"F(M) - F(0) of the {name}" if what.normalised else f"the clean {name}"
    row["reason"] = row["reason"] or denominator_reason(interval(how.confidence), below, "recovery", how)
    if nothing is not None:
        label = "not normalised" if what.normalised else "normalised"
        row["beside"] = _beside(label, recovered(not what.normalised), how)
    shift, bottom = mean_of(nothing) if what.normalised else 0.0, mean_of(whole)
    own = recovered_share(mean_of(part), bottom, shift)
    if own is not None:
        found = [recovered_share(mean_of(metric_values(name, run)), bottom, shift) for run in others]
        row["random"] = _random(found, seed, own, 1)
    return decide(row, bound, interval, how)


def recovered_share(part: float | None, whole: float | None, nothing: float | None) -> float | None:
    """(F(C) - F(0)) / (F(M) - F(0)) from means, F(0) = 0 where it is not normalised; None where it is not a number."""
    if part is None or whole is None or nothing is None or whole == nothing:
        return None
    return (part - nothing) / (whole - nothing)


def completeness_row(
    row: Row,
    what: Keep,
    full: Values,
    kept: Values,
    pairs: Sequence[Pair],
    bound: Bound,
    task: Task,
    how: Asked,
    seed: int | None = None,
) -> Row:
    """max over K of |F(C\\K) - F(M\\K)|, over the subsets K that were drawn (at least one; the empty one among them).

    ``full``: F(M), ``kept``: F(C). ``worst`` is the K at which the estimate is reached.
    """
    return _extreme_row(row, what, full, kept, {None: pairs}, bound, task, how, seed, ("F(C\\K)", "F(M\\K)"))


def minimality_row(
    row: Row,
    what: Keep,
    full: Values,
    kept: Values,
    pairs: Sequence[Pair],
    bound: Bound,
    task: Task,
    how: Asked,
    seed: int | None = None,
) -> Row:
    """min over v in C of max over K of |F(C\\K) - F(C\\(K+v))|, over the subsets K of C without v that were drawn.

    ``pairs``: at least one for each component v, which it names. ``worst``: the v that matters least, and the K
    at which it matters most.
    """
    by: dict[str | None, list[Pair]] = {}
    for pair in pairs:
        by.setdefault(pair.component, []).append(pair)
    return _extreme_row(row, what, full, kept, by, bound, task, how, seed, ("F(C\\K)", "F(C\\(K+v))"))


def sufficiency_row(
    row: Row,
    what: Keep,
    full: Values,
    kept: Values,
    others: Sequence[Values],
    bound: Bound,
    task: Task,
    how: Asked,
    seed: int | None = None,
) -> Row:
    """The share of random circuits C_r with |F(M)-F(C)| < |F(M)-F(C_r)| (arXiv 2410.13032): further from the model."""
    return _share_row(row, what.metric, full, kept, others, bound, task, how, seed, "F(C)", -1)


def necessity_row(
    row: Row,
    what: Ablate,
    full: Values,
    removed: Values,
    others: Sequence[Values],
    bound: Bound,
    task: Task,
    how: Asked,
    seed: int | None = None,
) -> Row:
    """partial_necessity: the share of random sets R outside the circuit with |F(M)-F(M\\R)| < |F(M)-F(M\\C)|."""
    return _share_row(row, what.metric, full, removed, others, bound, task, how, seed, "F(M\\C)", 1)


def _share_row(
    row: Row,
    name: str,
    full: Values,
    own: Values,
    others: Sequence[Values],
    bound: Bound,
    task: Task,
    how: Asked,
    seed: int | None,
    part: str,
    sign: int,
) -> Row:
    """A share of random circuits, with Clopper & Pearson's interval: their number is fixed in advance.

    The unit of replication is the random circuit, so n is their number. The prompts only give each mean;
    whether they are all there are (a census) does not make the share exact.
    """
    row |= {"parts": means_of(name, {"F(M)": full, part: own}), "unit": "random circuits", "random": None}
    if not intervention_facts(row, name, (full, full, own), task, how, others):
        return decide(row, bound, None, how)
    own_distance = distance(name, full, own)
    found = [distance(name, full, run) for run in others]
    row["random"] = _random(found, seed, own_distance, sign)
    # Runs that do the same may differ by rounding: a tie counts against the circuit.
    tie = estimate.CONSTANT_TOLERANCE * max(abs(mean_of(metric_values(name, full)) or 0.0), own_distance)
    values = np.where(np.isnan(found), np.nan, sign * np.array(found) < sign * own_distance - tie)
    row |= {"n": int((~np.isnan(values)).sum()), "skipped": int(np.isnan(values).sum())}
    if not row["n"]:
        row["reason"] = row["reason"] or "no random circuit was measured"
        return decide(row, bound, None, how)

    def interval(confidence: float) -> Estimate:
        return replace(estimate.share(values, confidence), guaranteed=False, assumption=RANDOM_ASSUMPTION)

    row = decide(row, bound, interval, replace(how, census=False))
    # An exact test at error p is an e-value of 1/p where it rejects, and 0 elsewhere.
    supported, refuted = (row["verdict"] == str(verdict) for verdict in (Verdict.SUPPORTED, Verdict.REFUTED))
    log_e = logs(
        estimate.log_needed(how.confidence) if supported else -math.inf,
        estimate.log_needed(how.confidence, max(1, how.rows)) if refuted else -math.inf,
    )
    return row | {"log_e": log_e if bound.kind != "observe" else None}


def _extreme_row(
    row: Row,
    what: Keep,
    full: Values,
    kept: Values,
    by: Mapping[str | None, Sequence[Pair]],
    bound: Bound,
    task: Task,
    how: Asked,
    seed: int | None,
    names: tuple[str, str],
) -> Row:
    """min over the groups of ``by`` of max over their pairs of |mean one - mean other| (one group: just the max)."""
    if not by or not all(by.values()):
        raise ValueError(f"{what.statistic} needs at least one subset of each component")
    name = what.metric
    # ``values``: the distance without each of ``removed``; ``components``: of each v the largest over its subsets, and that subset.
    drawn = sorted({pair.removed for pairs in by.values() for pair in pairs}, key=lambda each: (len(each), each))
    facts: dict[str, Any] = {
        "count": max(map(len, by.values())),
        "seed": seed,
        "removed": [list(each) for each in drawn],
    }
    row |= {"worst": None, "subsets": facts}
    row["parts"] = means_of(name, {"F(M)": full, "F(C)": kept})
    every = [run for pairs in by.values() for pair in pairs for run in (pair.one, pair.other)]
    if not intervention_facts(row, name, (full, full, kept), task, how, every):
        return decide(row, bound, None, how)
    folded = {v: [_folded(name, pair.one, pair.other, how) for pair in pairs] for v, pairs in by.items()}
    worst = min(folded, key=lambda v: max(each.value for each in folded[v]))
    at = int(np.argmax([each.value for each in folded[worst]]))
    pair, found, groups = by[worst][at], folded[worst][at], list(folded.values())
    row["worst"] = {"removed": list(pair.removed), "value": found.value, "component": pair.component}
    if None in by:
        value = {pair.removed: each.value for pair, each in zip(by[None], folded[None], strict=True)}
        facts["values"] = [value[each] for each in drawn]
    else:
        worsts = {v: int(np.argmax([each.value for each in group])) for v, group in folded.items()}
        each = [[v, folded[v][at].value, list(by[v][at].removed)] for v, at in worsts.items()]
        facts["components"] = sorted(each, key=lambda one: str(one[0]))  # whatever the order of the circuit's parts
    row["parts"] |= means_of(name, dict(zip(names, (pair.one, pair.other), strict=True)))
    row["effect"] = {"kind": "d_z", "value": found.effect}

    def interval(confidence: float) -> Estimate:
        # Low end. The largest of several low ends lies above the true maximum as soon as any one of them
        # lies above its own distance, so each of a component's subsets may err with a / (their number). The
        # smallest over components needs no more: it cannot exceed the low end of the true smallest.
        # High end. The largest of several high ends lies below the true maximum only if the one of the
        # subset that attains it does, so subsets need no correction; the smallest over components is too
        # low as soon as any component's is, so each may err with a / (the number of components).
        each_low = estimate.corrected(confidence, max(map(len, groups)))
        each_high = estimate.corrected(confidence, len(groups))
        low = _least_largest(groups, lambda each: each.low(each_low), below=True)
        high = _least_largest(groups, lambda each: each.high(each_high), below=False)
        shown = found.signed(confidence)
        return replace(shown, value=found.value, low=min(low, found.value), high=max(high, found.value))

    # Every component must have a subset that makes more than c of difference; one component without any is enough
    # against it. Of several e-values the mean speaks for "some of these", the least for "all of these".
    extreme = Inference(
        interval,
        lambda at: min(log_mean_e([each.above(at) for each in group]) for group in groups),
        lambda at: log_mean_e([min(each.below(at) for each in group) for group in groups]),
    )
    return decide(row, bound, extreme, how)


@dataclass(frozen=True)
class _Folded:
    """What is known of |mean|, from what is known of the signed difference; ``effect`` is its d_z.

    With [l, u] the signed interval: 0 inside gives [0, max(-l, u)], else the nearer and the further end. The high
    end is wrong only if the signed interval is wrong on the side of the truth. The low end can be too high
    on either side (a truth near 0 is missed by l > 0 and by u < 0), so it takes half the error for each.
    """

    signed: Inference
    value: float
    effect: float | None

    @property
    def inference(self) -> Inference:
        """The same with e-values."""
        return Inference(self, self.above, self.below)

    def above(self, at: float) -> float:
        """Log e-value against "the distance is at most ``at``": one of the two signs is further, hence the mean."""
        return log_mean_e([self.signed.above(at), self.signed.below(-at)])

    def below(self, at: float) -> float:
        """Log e-value against "the distance is at least ``at``": both signs must be nearer, hence the least."""
        return min(self.signed.below(at), self.signed.above(-at))

    def low(self, confidence: float) -> float:
        found = self.signed(estimate.corrected(confidence, 2))
        return max(found.low, -found.high, 0.0)

    def high(self, confidence: float) -> float:
        found = self.signed(confidence)
        return max(-found.low, found.high)

    def __call__(self, confidence: float) -> Estimate:
        found = self.signed(confidence)
        return replace(found, value=self.value, low=self.low(confidence), high=self.high(confidence))


def _folded(name: str, first: Values, second: Values, how: Asked) -> _Folded:
    """The interval of the distance of a metric's means in two runs of the same prompts."""
    one, other, span = metric_values(name, first), metric_values(name, second), bounded_span(name, how)
    sizes = [abs(mean_of(each) or 0.0) for each in (one, other)]
    # Runs that do not vary show no range; an unseen prompt could then differ by as much as the metric itself.
    scale = span[1] - span[0] if span else max(observed_range(one) or 0.0, observed_range(other) or 0.0) or max(sizes)

    signed = (
        estimate.infer_difference(one, other, *span, cycle=how.cycle) if span else estimate.infer_t(one - other, scale)
    )
    return _Folded(signed, abs(mean_of(one - other) or 0.0), estimate.paired_effect(one - other))


def _least_largest(groups: Sequence[Sequence[_Folded]], end: Callable[[_Folded], float], below: bool) -> float:
    """min over groups of max over members of ``end``, without the ends that cannot change it (each costs 10 ms).

    ``below``: no end exceeds its member's value, as low ends do not.
    """
    least = float("inf")
    for group in sorted(groups, key=lambda group: max(each.value for each in group)):
        largest = 0.0
        for each in sorted(group, key=lambda each: each.value, reverse=True):
            if largest >= least or (below and largest >= each.value):
                break
            largest = max(largest, end(each))
        least = min(least, largest)
    return least


def distance(name: str, full: Values, run: Values) -> float:
    """|mean F(M) - mean F(run)|, over the prompts that have both; NaN without any."""
    each = metric_values(name, full) - metric_values(name, run)
    return float(abs(np.nanmean(each))) if not np.isnan(each).all() else float("nan")


def _beside(label: str, interval: Interval, how: Asked) -> dict[str, Any]:
    """Another number that is shown, not judged. A census has no interval."""
    found = interval(how.confidence)
    low, high = (None, None) if how.census else (finite(found.low), finite(found.high))
    return {"label": label, "value": finite(found.value), "low": low, "high": high}


def _random(found: Sequence[float | None], seed: int | None, own: float, sign: int) -> dict[str, Any] | None:
    """The control of random circuits: how many are at least as good as ``own`` (sign 1: higher is better)."""
    values = [value for value in found if value is not None and np.isfinite(value)]
    if not values:
        return None
    good = sum(sign * value >= sign * own for value in values)
    spread = {"min": min(values), "median": float(np.median(values)), "max": max(values)}
    return {"count": len(values), "seed": seed, "as_good": good, **spread}
