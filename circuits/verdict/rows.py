"""Per-prompt values and a bound -> one row of the results: estimate, interval, controls, verdict.

Numbers only: no model, no torch. A row is plain data, the form in which it stands in results.json;
a number that was not measured is None.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from circuits.claims.bounds import metric as metric_facts
from circuits.claims.claim import Ablate, Bound
from circuits.measure.attention import AttentionValues
from circuits.measure.cells import Question
from circuits.measure.metrics import Values, metric_values, most_frequent, on_foils
from circuits.verdict import estimate
from circuits.verdict.bounded_ratio import infer_bounded_ratio
from circuits.verdict.decide import Asked, Floats, NotYet, Row, decide, mean_of
from circuits.verdict.estimate import Estimate, Inference, RatioEstimate
from circuits.verdict.nonnegative import infer_nonnegative

MOST_REMOVED = 0.9  # an exclusion that takes more of the mass leaves nothing worth measuring (DESIGN 3.3)
FEW_REFERENCE = 8
MOST_NAMED = 6
"""How many of the heads that satisfy a bound are named."""
NONE_COUNTED: Mapping[str, None] = MappingProxyType({"heads_passing": None, "which_passing": None})
"""What a row says of the heads that satisfy its bound, where they are not counted."""
NOTHING_MEASURED: Mapping[str, Any] = MappingProxyType(
    {
        **dict.fromkeys(("uniform", "effect", "rank", "rank_tied", "rank_beside", "sides", "removed_mass")),
        **NONE_COUNTED,
        "n": 0,
        "skipped": 0,
    }
)


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
        nothing = NotYet("the selectors match nothing in these prompts: no query has any such key")
        row["reason"] = broken or row["reason"] or nothing
        return decide({**row, **NONE_COUNTED}, bound, None, how)
    missing = len(left) - row["n"]
    if missing:
        warnings.append(f"{missing} of {len(left)} prompts have no such query and key, and are left out")
    if right is None:
        row["effect"] = {"kind": "lift", "value": mean_of(left) if lift else _ratio(mean_of(left), row["uniform"])}
    else:  # a prompt without one side is in neither, so that the sides differ by the estimate
        row["sides"] = {"left": mean_of(left[present]), "right": mean_of(right[present])}
        row["effect"] = {"kind": "d_z", "value": estimate.paired_effect(left - right)}
    means = head_means(differences(values))
    row |= {**heads_passing(means, bound), **place_of(means, head)}
    note_uniform(row, bound)
    return decide(row, bound, attention_interval(left, right, lift, how.cycle), how)


def attention_interval(left: Floats, right: Floats | None, lift: bool, cycle: int = 1) -> Inference:
    """What is known of one head's mean (minus that of ``right``, paired): betting, and t for lift. Float[prompt] each."""
    if right is None:
        if lift:
            return estimate.infer_t(left, observed_range(left), nonneg=True)
        return estimate.infer_bounded(left, cycle=cycle)
    if lift:
        return estimate.infer_t(left - right, observed_range(left - right))
    return estimate.infer_difference(left, right, cycle=cycle)


def note_uniform(row: Row, bound: Bound) -> None:
    """Say in the row that uniform attention satisfies the bound too, where it does."""
    value = row["uniform"]
    if (bound.low is bound.high is None) or value is None:
        return
    if bound.holds_of_control(value):
        row["uniform_holds"] = True
        row["warnings"].append(
            f"uniform attention ({row['uniform']:.3g}) satisfies this bound too: it says little about the head"
        )


def uniform_value(values: AttentionValues) -> float | None:
    """The check's value under uniform attention over the visible keys (a difference for two sides)."""
    left = values.uniform_left
    return mean_of(left if values.uniform_right is None else left - values.uniform_right)


def heads_passing(means: Floats, bound: Bound) -> Row:
    """``heads_passing``: [k, H], how many of the model's H heads, of ``means`` Float[layer, head], satisfy the bound themselves.

    ``which_passing``: their names, at most MOST_NAMED, the highest mean first (the lowest under an upper bound alone). Both are
    None where there is no bound.
    """
    if bound.low is None and bound.high is None:
        return dict(NONE_COUNTED)
    every = means.ravel()
    there = np.flatnonzero(~np.isnan(every))
    holding = there[[bound.holds(mean) for mean in every[there].tolist()]]
    first = np.argsort(every[holding] * (1.0 if bound.low is None else -1.0), kind="stable")[:MOST_NAMED]
    named = [f"{place // means.shape[1]}.{place % means.shape[1]}" for place in holding[first].tolist()]
    return {"heads_passing": [len(holding), means.size], "which_passing": named}


def rank_of(means: Floats, head: tuple[int, int]) -> list[int]:
    """[r, H]: the place of a head among ``means`` Float[layer, head], 1 + the strictly higher ones; NaN comes last."""
    own = means[head]
    higher = ~np.isnan(means) if np.isnan(own) else means > own
    return [1 + int(higher.sum()), means.size]


def place_of(means: Floats, head: tuple[int, int]) -> dict[str, Any]:
    """``rank``; ``rank_tied``: how many other heads have the very same value, and so the same place; ``rank_beside``.

    ``rank_beside``: [name, mean], beside the first that of the highest head below it, beside any other that of the first. None
    where there is no such head.
    """
    own = means[head]
    same = np.isnan(means) if np.isnan(own) else means == own
    rank = rank_of(means, head)
    others = np.where(np.isnan(means) | ((means >= own) & (rank[0] == 1)), -np.inf, means)
    layer, index = (int(axis) for axis in np.unravel_index(others.argmax(), others.shape))
    highest = float(others[layer, index])
    beside = [f"{layer}.{index}", highest] if math.isfinite(highest) else None
    return {"rank": rank, "rank_tied": int(same.sum()) - 1, "rank_beside": beside}


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
        found = (
            _share(values, how)
            if name.startswith("top")
            else estimate.bounded_mean(values, *span, how.confidence, how.cycle)
        )
        if not (found.value if how.census else found.low) > least:
            bound = "all possible prompts" if how.census else f"lower bound {found.low:.3g} on {found.n} prompts"
            text = (
                f"the model does not do this task surely enough: clean {name} is {found.value:.3g} "
                f"({bound}), and more than {least:g} is required (take prompts that it does, or say with requires: that less will do)"
            )
            return text if how.census or found.high <= least else NotYet(text)
    return None


def _share(values: Floats, how: Asked) -> Estimate:
    """The share of prompts, Float[prompt] of 0 and 1: exact where their number was fixed, else by betting."""
    if how.fixed and how.cycle == 1:
        return estimate.share(values, how.confidence)
    return estimate.bounded_mean(values, confidence=how.confidence, cycle=how.cycle)


def clean_facts(clean: Values, how: Asked) -> dict[str, Any]:
    """Clean-task accuracy for the report: top1 with its lower bound and the method of it, and the mean logit difference."""
    top1 = metric_values("top1", clean)
    if np.isnan(top1).all() or np.isinf(top1).any():
        return {"top1": None, "top1_low": None, "top1_interval": None, "top1_confidence": None, "logit_diff": None}
    found = _share(top1, how)
    return {
        "top1": found.value, "top1_low": found.low, "top1_interval": found.method,
        "top1_confidence": how.confidence, "logit_diff": mean_of(clean["logit_diff"]),
    }  # fmt: skip


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
        "clean": clean_facts(clean, how),
        "baseline": {"clean": mean_of(metric_values(name, clean)), "ablated": mean_of(after)},
        "uniform": None,
        **NONE_COUNTED,
        "effect": None,
        "n": int((~np.isnan(after)).sum()),
        "skipped": int(np.isnan(after).sum()),
    }
    ranked = metric_values("answer_rank", clean)
    broken = not_finite(before, after, ranked, *(metric_values(name, values) for values in others))
    if broken or row["n"] == 0:
        row["reason"] = broken or NotYet(f"{name} has no value on these prompts")
        return False
    row["reason"] = task_reason(clean, task, how)
    ranks = last.get("answer_rank") if name != "prob_diff" else None  # of a set of answers one rank says nothing
    if ranks is not None and np.isfinite(ranks).any():
        row |= {"ranks": _ranks(ranks), **lost_answers(base, last, int(name[3:]) if name.startswith("top") else 1)}
    if name == "answer_rank":
        row["baseline"] = None  # these would be means of ranks, which say nothing
    else:
        row["effect"] = _relative_effect(name, before, after)
    return True


def ablation_row(row: Row, what: Ablate, clean: Values, ablated: Values, bound: Bound, task: Task, how: Asked) -> Row:
    """The row of an ablation check: drop_in, change_in or after."""
    if not intervention_facts(row, what.metric, (clean, clean, ablated), task, how):
        return decide(row, bound, None, how)
    return effect_row(row, what, clean, ablated, bound, how, f"the clean {what.metric}")


def effect_row(row: Row, what: Ablate, base: Values, last: Values, bound: Bound, how: Asked, name: str) -> Row:
    """Judge drop_in, change_in or after of ``last`` against ``base``, which ``name`` names (its mean must be positive)."""
    before, after = metric_values(what.metric, base), metric_values(what.metric, last)
    if what.metric == "answer_rank":
        return observed_rank(row, what.effect, before, after, bound, how)
    inference = effect_interval(what.effect, what.metric, before, after, how)
    if what.effect == "drop_in":
        row["reason"] = row["reason"] or denominator_reason(inference(how.confidence), name, "drop", how)
    return decide(row, bound, inference, how)


def means_of(name: str, runs: Mapping[str, Values]) -> dict[str, float | None]:
    """The metric's mean in each run."""
    return {key: mean_of(metric_values(name, values)) for key, values in runs.items()}


def effect_of_means(effect: str, before: float | None, after: float | None) -> float | None:
    """``drop_in``, ``change_in`` or ``after``, from a metric's mean before and after; None where it is not a number."""
    if effect == "after" or before is None or after is None:
        return after if effect == "after" else None
    if effect == "change_in":
        return after - before
    return 1 - after / before if before else None


def observed_rank(row: Row, effect: str, before: Floats, after: Floats, bound: Bound, how: Asked) -> Row:
    """The row of ``answer_rank``, which is only shown: a median, for a mean of ranks says nothing."""
    decided = decide(row, bound, None, how)
    if effect == "change_in":
        return decided | {
            "estimate": float(np.nanmedian(after - before)),
            "statistic_note": "median change of the rank",
        }
    return decided | {"estimate": float(np.nanmedian(after)), "statistic_note": "median rank"}


def denominator_reason(ratio: Estimate, name: str, noun: str, how: Asked) -> str | None:
    """Why a relative ``noun`` has no meaning (its denominator ``name`` may be zero or less), or None."""
    assert isinstance(ratio, RatioEstimate)
    below = ratio.denominator
    if below.value > 0 if how.census else ratio.denominator_positive:
        return None
    where = "" if how.census else f", interval {below.low:.3g} to {below.high:.3g}"
    text = f"{name} may be zero or less (mean {below.value:.3g}{where}), so a relative {noun} has no meaning"
    return text if how.census or below.high <= 0 else NotYet(text)


def _relative_effect(name: str, before: Floats, after: Floats) -> dict[str, Any] | None:
    facts = metric_facts(name)
    assert facts is not None
    base, now = mean_of(before), mean_of(after)
    if name == "kl" and not before.any():
        return None  # no divergence is below 0: against none at all the smallest one would be as sure as the largest
    if facts[2] and base and now is not None:
        return {"kind": "relative", "value": (now - base) / abs(base)}
    return {"kind": "d_z", "value": estimate.paired_effect(after - before)}


def bounded_span(name: str, how: Asked | None = None) -> tuple[float, float] | None:
    """A metric's smallest and largest value, or None where one of them is infinite (and it was not cut)."""
    facts = metric_facts(name)
    assert facts is not None
    if how is not None and how.range is not None:
        return how.range
    return (facts[0], facts[1]) if math.isfinite(facts[0]) and math.isfinite(facts[1]) else None


def effect_interval(effect: str, name: str, before: Floats, after: Floats, how: Asked) -> Inference:
    """What is known of drop_in, change_in or after: by betting where the metric is bounded, by t elsewhere."""
    facts, span, cycle = metric_facts(name), bounded_span(name, how), how.cycle
    assert facts is not None
    low = facts[0]
    if effect == "drop_in":
        drop = ratio_inference(after, before, span, span, cycle).less_than_one()
        # A metric that is never negative cannot lose more than all of itself.
        return drop.at_most(1.0) if low >= 0 else drop
    if effect == "change_in":
        if span:
            return estimate.infer_difference(after, before, *span, cycle=cycle)
        # The clean model's divergence from itself is 0; that of a circuit is not, and can fall.
        return estimate.infer_t(after - before, observed_range(before), nonneg=name == "kl" and not before.any())
    if span:
        known = estimate.infer_bounded(after, *span, cycle=cycle)
        if name.startswith("top") and how.fixed and cycle == 1:
            return replace(known, interval=lambda confidence: estimate.share(after, confidence), exact=True)
        return known
    if low >= 0:
        return infer_nonnegative(after, observed_range(before), cycle)
    return estimate.infer_t(after, observed_range(before))


Span = tuple[float, float]


def ratio_inference(
    numerator: Floats, denominator: Floats, top: Span | None, bottom: Span | None, cycle: int = 1
) -> Inference:
    """What is known of a ratio of means: by betting where both are bounded (``top``, ``bottom``), else by t."""
    if top is not None and bottom is not None:
        return infer_bounded_ratio(numerator, denominator, top, bottom, cycle)
    return estimate.infer_ratio(numerator, denominator, observed_range(denominator))


def _ranks(ranks: Floats) -> dict[str, Any]:
    present = ranks[np.isfinite(ranks)].astype(int)
    counts = Counter(present.tolist())
    return {
        "median": float(np.median(present)),
        "first": float((present == 1).mean()),
        "counts": {str(rank): count for rank, count in sorted(counts.items())},
    }


def lost_answers(base: Values, ablated: Values, k: int, most: int = 8) -> dict[str, Any]:
    """``fell_to``: the most likely tokens, with counts, on the prompts whose answer fell out of the first k.

    ``lost``: [m, n], m of the n prompts whose answer had been among the first k of ``base``, the run that is compared
    with: that of the clean model, or of a circuit alone. ``fell_to_foil``: on how many of those m a foil is first now, None
    without foils. ``tied_after``: on how many prompts the answer is first now with the very logit of another token.
    ``right_before``, ``right_after``: the share of prompts (0 to 1) on which any right answer is first, in ``base`` and now.
    """
    had = base["answer_rank"] <= k
    lost = had & (ablated["answer_rank"] > k)
    told = most_frequent(np.asarray(ablated["top_text"])[lost], most) if lost.any() else []
    return {
        "fell_to": told,
        "fell_to_foil": on_foils(ablated, lost),
        "lost": [int(lost.sum()), int(had.sum())],
        "tied_after": int(((ablated["answer_rank"] == 1) & (ablated["answer_tied"] > 0)).sum()),
        "right_before": mean_of(base["right_first"]),
        "right_after": mean_of(ablated["right_first"]),
    }
