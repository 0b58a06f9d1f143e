"""Per-prompt values and a bound -> one row of the results: estimate, interval, controls, verdict.

Numbers only: no model, no torch. A row is plain data, the form in which it stands in results.json;
a number that was not measured is None.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.claims.bounds import metric as metric_facts
from circuits.claims.claim import Ablate, Bound
from circuits.measure.attention import AttentionValues
from circuits.measure.cells import Question
from circuits.measure.metrics import Values, metric_values
from circuits.verdict import estimate
from circuits.verdict.estimate import Estimate, RatioEstimate
from circuits.verdict.verdict import Verdict, judge, judge_exact

Row = dict[str, Any]
Interval = Callable[[float], Estimate]

MOST_REMOVED = 0.9  # an exclusion that takes more of the mass leaves nothing worth measuring (DESIGN 3.3)
FEW_REFERENCE = 8
NOTHING_MEASURED: Mapping[str, Any] = MappingProxyType(
    {"n": 0, "skipped": 0, "uniform": None, "effect": None, "heads_passing": None, "sides": None, "removed_mass": None}
)


@dataclass(frozen=True)
class Asked:
    """How sure the verdict must be: the confidence, the number of rows that could refute, a census."""

    confidence: float
    rows: int
    census: bool = False


def decide(row: Row, bound: Bound, interval: Interval | None, asked: Asked) -> Row:
    """Fill estimate, interval and verdict into ``row``.

    ``interval(confidence)`` gives the estimate at a confidence; None means that there is nothing to
    estimate (the row says why in ``reason``). A reason that is there already makes it UNMEASURABLE,
    with its numbers kept. An observed row gets the numbers and no verdict of its own.
    """
    row |= {"bound": bound.text, "bound_low": bound.low, "bound_high": bound.high, "percent": bound.percent}
    row |= {
        "observe": bound.kind == "observe",
        "estimate": None,
        "low": None,
        "high": None,
        "confidence": asked.confidence,
    }
    row |= {"corrected": None, "interval": None, "guaranteed": None, "assumption": None, "verdict": None}
    if interval is not None:
        try:
            plain = interval(asked.confidence)
            level = estimate.corrected(asked.confidence, max(1, asked.rows))
            wide = plain if asked.rows <= 1 else interval(level)
        except ValueError as error:
            row["reason"] = row.get("reason") or f"no estimate: {error}"
        else:
            row |= {"estimate": finite(plain.value), "n": plain.n, "skipped": plain.skipped}
            if not asked.census:
                row |= {"low": finite(plain.low), "high": finite(plain.high), "interval": plain.method}
                row |= {"guaranteed": plain.guaranteed, "assumption": plain.assumption}
                row["corrected"] = {"low": finite(wide.low), "high": finite(wide.high), "confidence": level}
            if bound.kind == "observe":
                return row
            if not row.get("reason"):
                if not math.isfinite(plain.value):
                    row["reason"] = "the value is not a finite number"
                elif asked.census:
                    row["verdict"] = str(judge_exact(plain.value, bound.low, bound.high))
                else:
                    row["verdict"] = str(judge(plain.low, plain.high, bound.low, bound.high, wide.low, wide.high))
    if bound.kind != "observe" and row.get("reason"):
        row["verdict"] = str(Verdict.UNMEASURABLE)
    return row


def finite(value: float | None) -> float | None:
    """The number, or None where there is none (NaN or infinite)."""
    return float(value) if value is not None and math.isfinite(value) else None


def mean_of(values: NDArray[np.float64] | None) -> float | None:
    """The mean over the prompts that have a value, or None."""
    if values is None or np.isnan(values).all():
        return None
    return finite(float(np.nanmean(values)))


def attention_row(
    row: Row, asked: Question, values: AttentionValues, head: tuple[int, int], bound: Bound, how: Asked
) -> Row:
    """The row of an attention check or score of one head."""
    layer, index = head
    left = values.left[layer, index]
    right = values.right[layer, index] if values.right is not None else None
    broken = _broken(left, right)
    lift = asked.statistic == "lift"
    row |= {"uniform": uniform_value(values), "sides": None, "removed_mass": None, "skipped": 0, "effect": None}
    row.setdefault("reason", None)
    warnings: list[str] = row.setdefault("warnings", [])
    present = ~np.isnan(left) if right is None else ~(np.isnan(left) | np.isnan(right))
    row["n"] = int(present.sum())
    if values.removed is not None:
        removed = mean_of(values.removed[layer, index])
        row["removed_mass"] = removed
        if removed is not None and removed > MOST_REMOVED:
            excluded = " and ".join(asked.excluding)
            row["reason"] = (
                f"excluding {excluded} removes {removed:.3g} of the attention, so nearly nothing is left to measure"
            )
        skipped = int(values.skipped_rows[layer, index]) if values.skipped_rows is not None else 0
        if skipped:
            warnings.append(
                f"{skipped} rows had under 1e-6 of their attention left after the exclusion and are left out"
            )
    if row["n"] == 0 or broken:
        nothing = "the selectors match nothing in these prompts: no query has any such key"
        row["reason"] = broken or row["reason"] or nothing
        return decide(row | {"heads_passing": None}, bound, None, how)
    missing = len(left) - row["n"]
    if missing:
        warnings.append(f"{missing} of {len(left)} prompts have no such query and key, and are left out")
    if right is None:
        row["effect"] = {"kind": "lift", "value": mean_of(left) if lift else _ratio(mean_of(left), row["uniform"])}
    else:  # a prompt without one side is in neither, so that the sides differ by the estimate
        row["sides"] = {"left": mean_of(left[present]), "right": mean_of(right[present])}
        row["effect"] = {"kind": "d_z", "value": estimate.paired_effect(left - right)}
    row["heads_passing"] = heads_passing(values, bound)

    def interval(confidence: float) -> Estimate:
        if right is None:
            if lift:
                return estimate.mean_t(left, confidence, _range(left), nonneg=True)
            return estimate.bounded_mean(left, confidence=confidence)
        if lift:
            return estimate.mean_t(left - right, confidence, _range(left - right))
        return estimate.paired_difference(left, right, confidence=confidence)

    if bound.kind != "observe" and row["uniform"] is not None and bound.holds(row["uniform"]):
        row["uniform_holds"] = True
        warnings.append(
            f"uniform attention ({row['uniform']:.3g}) satisfies this bound too: it says little about the head"
        )
    return decide(row, bound, interval, how)


def is_vacuous(rows: Sequence[Row]) -> bool:
    """Whether uniform attention would satisfy every bound of a claim that has a lower bound or difference.

    Upper bounds and equivalence alone are never vacuous (their base rate is shown instead), and
    neither is a claim with an ablation: uniform attention says nothing of it.
    """
    judged = [row for row in rows if not row.get("observe")]
    lower = any(row.get("bound_low") is not None and row.get("bound_high") is None for row in judged)
    return lower and all(row.get("uniform_holds") for row in judged)


def uniform_value(values: AttentionValues) -> float | None:
    """The check's value under uniform attention over the visible keys (a difference for two sides)."""
    left = values.uniform_left
    return mean_of(left if values.uniform_right is None else left - values.uniform_right)


def heads_passing(values: AttentionValues, bound: Bound) -> list[int] | None:
    """[k, H]: how many of the model's H heads have an estimate that satisfies the bound."""
    if bound.kind == "observe":
        return None
    each = values.left if values.right is None else values.left - values.right
    flat = each.reshape(-1, each.shape[-1])
    present = ~np.isnan(flat)
    infinite = np.isinf(values.left) if values.right is None else np.isinf(values.left) | np.isinf(values.right)
    counts = np.where(infinite.any(axis=2).reshape(-1), 0, present.sum(axis=1))
    means = np.where(present, flat, 0.0).sum(axis=1) / np.maximum(counts, 1)
    return [
        int(sum(bool(count) and bound.holds(float(mean)) for mean, count in zip(means, counts, strict=True))),
        len(flat),
    ]


def _ratio(value: float | None, base: float | None) -> float | None:
    return None if value is None or not base else value / base


def _broken(*values: NDArray[np.float64] | None) -> str | None:
    """Why values that are not finite numbers (marked infinite where they were measured) decide nothing."""
    bad = np.any([np.isinf(each) for each in values if each is not None], axis=0)
    return f"the model's numbers are not finite on {int(bad.sum())} of {len(bad)} prompts" if bad.any() else None


def _range(values: NDArray[np.float64]) -> float | None:
    """The observed range of values, or None where they only differ by rounding: that says nothing of their range."""
    present = values[~np.isnan(values)]
    if not len(present):
        return None
    width = float(np.ptp(present))
    return width if width > 1e-4 * float(np.abs(present).max()) else None


@dataclass(frozen=True)
class Task:
    """What an ablation check requires of the clean model; ``explicit``: the suite says so itself."""

    requires: Mapping[str, float]
    explicit: bool = False


def task_reason(clean: Values, task: Task, how: Asked) -> str | None:
    """Why the task counts as not done by the unablated model, or None when it is done.

    Prompts without an answer set no task: they pass, unless the suite itself requires an accuracy. On a
    census the accuracy is known, elsewhere its lower bound counts.
    """
    for name, least in task.requires.items():
        values = metric_values(name, clean)
        if np.isnan(values).all():
            if task.explicit:
                return f"these prompts have no answers, so the {name} that is required cannot be checked"
            continue
        found = estimate.share(values, how.confidence)
        if not (found.value if how.census else found.low) > least:
            bound = "all possible prompts" if how.census else f"lower bound {found.low:.3g} on {found.n} prompts"
            return (
                f"the model does not do this task surely enough: clean {name} is {found.value:.3g} "
                f"({bound}), and more than {least:g} is required"
            )
    return None


def clean_facts(clean: Values, confidence: float) -> dict[str, float | None]:
    """Clean-task accuracy for the report: top1 with its lower bound, and the mean logit difference."""
    top1 = metric_values("top1", clean)
    if np.isnan(top1).all() or np.isinf(top1).any():
        return {"top1": None, "top1_low": None, "logit_diff": None}
    found = estimate.share(top1, confidence)
    return {"top1": found.value, "top1_low": found.low, "logit_diff": mean_of(clean["logit_diff"])}


def ablation_row(row: Row, what: Ablate, clean: Values, ablated: Values, bound: Bound, task: Task, how: Asked) -> Row:
    """The row of an ablation check."""
    before, after = metric_values(what.metric, clean), metric_values(what.metric, ablated)
    row |= {
        "clean": clean_facts(clean, how.confidence),
        "baseline": {"clean": mean_of(before), "ablated": mean_of(after)},
    }
    row |= {
        "uniform": None,
        "heads_passing": None,
        "n": int((~np.isnan(after)).sum()),
        "skipped": int(np.isnan(after).sum()),
    }
    row["effect"] = None
    broken = _broken(before, after, metric_values("answer_rank", clean))
    if broken or row["n"] == 0:
        row["reason"] = broken or f"{what.metric} has no value on these prompts"
        return decide(row, bound, None, how)
    row["effect"] = _ablation_effect(what, before, after)
    row["reason"] = task_reason(clean, task, how)
    if what.metric == "answer_rank":
        row["ranks"] = _ranks(after)
        row["fell_to"] = fell_to(ablated, 1)
        row |= {"effect": None, "baseline": None}  # both would be means of ranks, which say nothing
        decided = decide(row, bound, None, how)
        if what.effect == "change_in":
            return decided | {
                "estimate": float(np.nanmedian(after - before)),
                "statistic_note": "median change of the rank",
            }
        return decided | {"estimate": float(np.nanmedian(after)), "statistic_note": "median rank"}
    scale = _range(before)
    interval = _ablation_interval(what, before, after, scale)
    if what.effect == "drop_in":
        base = estimate.ratio_drop(before, after, how.confidence, scale)
        below = base.denominator
        if below.value <= 0 if how.census else not base.denominator_positive:
            where = "" if how.census else f", interval {below.low:.3g} to {below.high:.3g}"
            row["reason"] = row["reason"] or (
                f"the clean {what.metric} may be zero or less (mean {below.value:.3g}{where}), "
                "so a relative drop has no meaning"
            )
    decided = decide(row, bound, interval, how)
    if what.metric.startswith("top"):
        decided["ranks"] = _ranks(ablated["answer_rank"])
        decided["fell_to"] = fell_to(ablated, int(what.metric[3:]))
    return decided


def _ablation_effect(what: Ablate, before: NDArray[np.float64], after: NDArray[np.float64]) -> dict[str, Any]:
    facts = metric_facts(what.metric)
    assert facts is not None
    base, now = mean_of(before), mean_of(after)
    if facts[2] and base and now is not None:
        return {"kind": "relative", "value": (now - base) / abs(base)}
    return {"kind": "d_z", "value": estimate.paired_effect(after - before)}


def _ablation_interval(
    what: Ablate, before: NDArray[np.float64], after: NDArray[np.float64], scale: float | None
) -> Interval:
    """The interval of the effect: exact for shares, betting where bounded, t and Fieller elsewhere."""
    facts = metric_facts(what.metric)
    assert facts is not None
    low, high = facts[0], facts[1]
    bounded = math.isfinite(low) and math.isfinite(high)
    if bounded:
        scale = high - low  # what an unseen prompt could differ by is known

    def drop(confidence: float) -> RatioEstimate:
        found = estimate.ratio_drop(before, after, confidence, scale)
        # A metric that is never negative cannot lose more than all of itself.
        return replace(found, high=min(found.high, 1.0)) if low >= 0 and found.value <= 1 else found

    def change(confidence: float) -> Estimate:
        if bounded:
            return estimate.paired_difference(after, before, low, high, confidence)
        return estimate.mean_t(after - before, confidence, scale, nonneg=what.metric == "kl")

    def value(confidence: float) -> Estimate:
        if what.metric.startswith("top"):
            return estimate.share(after, confidence)
        if bounded:
            return estimate.bounded_mean(after, low, high, confidence)
        return estimate.mean_t(after, confidence, scale, nonneg=low >= 0)

    return {"drop_in": drop, "change_in": change, "after": value}[what.effect]


def _ranks(ranks: NDArray[np.float64]) -> dict[str, Any]:
    present = ranks[~np.isnan(ranks)].astype(int)
    counts = Counter(present.tolist())
    return {
        "median": float(np.median(present)),
        "first": float((present == 1).mean()),
        "counts": {str(rank): count for rank, count in sorted(counts.items())},
    }


def fell_to(ablated: Values, k: int, most: int = 8) -> list[list[Any]] | None:
    """The new most likely tokens, with counts, on the prompts whose answer fell out of the first k."""
    lost = ablated["answer_rank"] > k
    if not lost.any():
        return []
    counts = Counter(str(text) for text in np.asarray(ablated["top_text"])[lost])
    return [[text, count] for text, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:most]]
