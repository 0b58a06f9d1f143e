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
Floats = NDArray[np.float64]

MOST_REMOVED = 0.9  # an exclusion that takes more of the mass leaves nothing worth measuring (DESIGN 3.3)
FEW_REFERENCE = 8
NOTHING_MEASURED: Mapping[str, Any] = MappingProxyType(
    dict.fromkeys(("uniform", "effect", "heads_passing", "rank", "sides", "removed_mass")) | {"n": 0, "skipped": 0}
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
    with its numbers kept. An observed row gets no verdict, nor does one of ``top: k``: ``ranking.top_row`` judges it.
    """
    row |= {"bound": bound.text, "bound_low": bound.low, "bound_high": bound.high}
    row["percent"] = bound.percent or is_share(row)
    row |= {"observe": bound.kind == "observe", "confidence": asked.confidence}
    row |= {"estimate": None, "low": None, "high": None, "corrected": None, "interval": None}
    row |= {"guaranteed": None, "assumption": None, "verdict": None}
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
            if not row.get("reason") and bound.kind not in ("observe", "top"):
                if not math.isfinite(plain.value):
                    row["reason"] = "the value is not a finite number"
                elif asked.census:
                    row["verdict"] = str(judge_exact(plain.value, bound.low, bound.high))
                else:
                    row["verdict"] = str(judge(plain.low, plain.high, bound.low, bound.high, wide.low, wide.high))
    if bound.kind != "observe" and row.get("reason"):
        row["verdict"] = str(Verdict.UNMEASURABLE)
    return row


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


def attention_row(
    row: Row, asked: Question, values: AttentionValues, head: tuple[int, int], bound: Bound, how: Asked
) -> Row:
    """The row of an attention check or score of one head."""
    layer, index = head
    left = values.left[layer, index]
    right = values.right[layer, index] if values.right is not None else None
    broken = not_finite(left, right)
    lift = asked.statistic == "lift"
    row |= {**NOTHING_MEASURED, "uniform": uniform_value(values)}
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
    means = head_means(differences(values))
    row |= {"heads_passing": heads_passing(means, bound), "rank": rank_of(means, head)}
    note_uniform(row, bound)
    return decide(row, bound, attention_interval(left, right, lift), how)


def attention_interval(left: Floats, right: Floats | None, lift: bool) -> Interval:
    """The interval of one head's mean (minus that of ``right``, paired): betting, and t for lift. Float[prompt] each."""

    def interval(confidence: float) -> Estimate:
        if right is None:
            if lift:
                return estimate.mean_t(left, confidence, observed_range(left), nonneg=True)
            return estimate.bounded_mean(left, confidence=confidence)
        if lift:
            return estimate.mean_t(left - right, confidence, observed_range(left - right))
        return estimate.paired_difference(left, right, confidence=confidence)

    return interval


def note_uniform(row: Row, bound: Bound) -> None:
    """Say in the row that uniform attention satisfies the bound too, where it does."""
    value = row["uniform"]
    if (bound.low is bound.high is None) or value is None:
        return
    # Uniform attention makes equal sides equal: a tie is not taken to satisfy "more".
    if value > (bound.low or 0.0) if bound.kind == "by_at_least" else bound.holds(value):
        row["uniform_holds"] = True
        row["warnings"].append(
            f"uniform attention ({row['uniform']:.3g}) satisfies this bound too: it says little about the head"
        )


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


def heads_passing(means: Floats, bound: Bound) -> list[int] | None:
    """[k, H]: how many of the model's H heads, of ``means`` Float[layer, head], satisfy the bound themselves."""
    if bound.low is None and bound.high is None:
        return None
    return [sum(bound.holds(mean) for mean in means[~np.isnan(means)].tolist()), means.size]


def rank_of(means: Floats, head: tuple[int, int]) -> list[int]:
    """[r, H]: the place of a head among ``means`` Float[layer, head], 1 + the strictly higher ones; NaN comes last."""
    own = means[head]
    higher = ~np.isnan(means) if np.isnan(own) else means > own
    return [1 + int(higher.sum()), means.size]


def differences(values: AttentionValues) -> Floats:
    """Float[layer, head, prompt]: left, minus right where there are two sides; infinite where one of them is."""
    if values.right is None:
        return values.left
    broken = np.isinf(values.left) | np.isinf(values.right)
    return np.where(broken, np.inf, np.where(broken, 0.0, values.left) - np.where(broken, 0.0, values.right))


def head_means(each: Floats) -> Floats:
    """Float[layer, head]: means over the prompts that have a value; NaN without one or with an infinite one."""
    present = ~np.isnan(each)
    counts = np.where(np.isinf(each).any(axis=2), 0, present.sum(axis=2))
    with np.errstate(invalid="ignore"):
        sums = np.where(present & np.isfinite(each), each, 0.0).sum(axis=2)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _ratio(value: float | None, base: float | None) -> float | None:
    return None if value is None or not base else value / base


def not_finite(*values: Floats | None) -> str | None:
    """Why values that are not finite numbers (marked infinite where they were measured) decide nothing."""
    bad = np.any([np.isinf(each) for each in values if each is not None], axis=0)
    return f"the model's numbers are not finite on {int(bad.sum())} of {len(bad)} prompts" if bad.any() else None


def observed_range(values: Floats) -> float | None:
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
        broken = not_finite(values)
        if broken:
            return broken
        if np.isnan(values).all():
            if task.explicit:
                missing = "no answers" if name.startswith("top") else "no answers or foils"
                return f"these prompts have {missing}, so the {name} that is required cannot be checked"
            continue
        span = bounded_span(name)
        assert span is not None, f"{name} cannot be required"
        if name.startswith("top"):
            found = estimate.share(values, how.confidence)
        else:
            found = estimate.bounded_mean(values, *span, how.confidence)
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


def intervention_facts(
    row: Row, name: str, runs: tuple[Values, Values, Values], task: Task, how: Asked, others: Sequence[Values] = ()
) -> bool:
    """Fill what the row of any intervention has, and its ``reason``; False where nothing can be estimated.

    ``runs``: the clean model, the run that is compared against (often the same), and the run with the
    intervention. ``others``: further runs whose numbers must be finite. ``name``: the metric.
    """
    clean, base, last = runs
    before, after = metric_values(name, base), metric_values(name, last)
    row |= {
        "clean": clean_facts(clean, how.confidence),
        "baseline": {"clean": mean_of(metric_values(name, clean)), "ablated": mean_of(after)},
        "uniform": None,
        "heads_passing": None,
        "effect": None,
        "n": int((~np.isnan(after)).sum()),
        "skipped": int(np.isnan(after).sum()),
    }
    ranked = metric_values("answer_rank", clean)
    broken = not_finite(before, after, ranked, *(metric_values(name, values) for values in others))
    if broken or row["n"] == 0:
        row["reason"] = broken or f"{name} has no value on these prompts"
        return False
    row["reason"] = task_reason(clean, task, how)
    ranks = last.get("answer_rank") if name != "prob_diff" else None  # of a set of answers one rank says nothing
    if ranks is not None and np.isfinite(ranks).any():
        row |= {"ranks": _ranks(ranks), **lost_answers(clean, last, int(name[3:]) if name.startswith("top") else 1)}
    if name == "answer_rank":
        row["baseline"] = None  # these would be means of ranks, which say nothing
    else:
        row["effect"] = _relative_effect(name, before, after)
    return True


def ablation_row(row: Row, what: Ablate, clean: Values, ablated: Values, bound: Bound, task: Task, how: Asked) -> Row:
    """The row of an ablation check: drop_in, change_in or after."""
    if not intervention_facts(row, what.metric, (clean, clean, ablated), task, how):
        return decide(row, bound, None, how)
    before, after = metric_values(what.metric, clean), metric_values(what.metric, ablated)
    if what.metric == "answer_rank":
        return observed_rank(row, what.effect, before, after, bound, how)
    if what.effect == "drop_in":
        base = estimate.ratio_drop(before, after, how.confidence, observed_range(before))
        row["reason"] = row["reason"] or denominator_reason(base, f"the clean {what.metric}", "drop", how)
    return decide(row, bound, effect_interval(what.effect, what.metric, before, after), how)


def observed_rank(row: Row, effect: str, before: Floats, after: Floats, bound: Bound, how: Asked) -> Row:
    """The row of ``answer_rank``, which is only shown: a median, for a mean of ranks says nothing."""
    decided = decide(row, bound, None, how)
    if effect == "change_in":
        return decided | {
            "estimate": float(np.nanmedian(after - before)),
            "statistic_note": "median change of the rank",
        }
    return decided | {"estimate": float(np.nanmedian(after)), "statistic_note": "median rank"}


def denominator_reason(ratio: RatioEstimate, name: str, noun: str, how: Asked) -> str | None:
    """Why a relative ``noun`` has no meaning (its denominator ``name`` may be zero or less), or None."""
    below = ratio.denominator
    if below.value > 0 if how.census else ratio.denominator_positive:
        return None
    where = "" if how.census else f", interval {below.low:.3g} to {below.high:.3g}"
    return f"{name} may be zero or less (mean {below.value:.3g}{where}), so a relative {noun} has no meaning"


def _relative_effect(name: str, before: Floats, after: Floats) -> dict[str, Any]:
    facts = metric_facts(name)
    assert facts is not None
    base, now = mean_of(before), mean_of(after)
    if facts[2] and base and now is not None:
        return {"kind": "relative", "value": (now - base) / abs(base)}
    return {"kind": "d_z", "value": estimate.paired_effect(after - before)}


def bounded_span(name: str) -> tuple[float, float] | None:
    """A metric's smallest and largest value, or None where one of them is infinite."""
    facts = metric_facts(name)
    assert facts is not None
    return (facts[0], facts[1]) if math.isfinite(facts[0]) and math.isfinite(facts[1]) else None


def effect_interval(effect: str, name: str, before: Floats, after: Floats) -> Interval:
    """The interval of drop_in, change_in or after: exact for shares, betting where bounded, t and Fieller elsewhere."""
    facts, span = metric_facts(name), bounded_span(name)
    assert facts is not None
    low = facts[0]
    # What an unseen prompt could differ by is known where the metric is bounded.
    scale = span[1] - span[0] if span else observed_range(before)

    def drop(confidence: float) -> RatioEstimate:
        found = estimate.ratio_drop(before, after, confidence, scale)
        # A metric that is never negative cannot lose more than all of itself.
        return replace(found, high=min(found.high, 1.0)) if low >= 0 and found.value <= 1 else found

    def change(confidence: float) -> Estimate:
        if span:
            return estimate.paired_difference(after, before, *span, confidence)
        # The clean model's divergence from itself is 0; that of a circuit is not, and can fall.
        return estimate.mean_t(after - before, confidence, scale, nonneg=name == "kl" and not before.any())

    def value(confidence: float) -> Estimate:
        if name.startswith("top"):
            return estimate.share(after, confidence)
        if span:
            return estimate.bounded_mean(after, *span, confidence)
        return estimate.mean_t(after, confidence, scale, nonneg=low >= 0)

    return {"drop_in": drop, "change_in": change, "after": value}[effect]


def _ranks(ranks: Floats) -> dict[str, Any]:
    present = ranks[np.isfinite(ranks)].astype(int)
    counts = Counter(present.tolist())
    return {
        "median": float(np.median(present)),
        "first": float((present == 1).mean()),
        "counts": {str(rank): count for rank, count in sorted(counts.items())},
    }


def lost_answers(clean: Values, ablated: Values, k: int, most: int = 8) -> dict[str, Any]:
    """``fell_to``: the most likely tokens, with counts, on the prompts whose answer fell out of the first k.

    ``lost``: [m, n], m of the n prompts whose answer had been among the first k of the clean model.
    """
    had = clean["answer_rank"] <= k
    lost = had & (ablated["answer_rank"] > k)
    counts = Counter(str(text) for text in np.asarray(ablated["top_text"])[lost]) if lost.any() else Counter()
    told = [[text, count] for text, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:most]]
    return {"fell_to": told, "lost": [int(lost.sum()), int(had.sum())]}
