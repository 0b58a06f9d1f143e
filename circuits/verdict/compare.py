"""Rows that compare two heads, or one head on two prompt sets: ``more_than: {attends:, head:, prompts:}``.

Paired where both sides were measured on the same prompts, else a difference of two independent means. Each end of
an interval is wrong with probability at most a = (1 - confidence) / 2, whenever the sampling stops.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from circuits.claims.claim import Bound
from circuits.measure.attention import AttentionValues
from circuits.verdict import estimate
from circuits.verdict.decide import Asked, Floats, NotYet, Row, decide, mean_of
from circuits.verdict.estimate import Estimate, Inference
from circuits.verdict.rows import MOST_REMOVED, NOTHING_MEASURED, attention_interval, head_means, not_finite


@dataclass(frozen=True)
class Side:
    """One side of a comparison: what one head attends to on one prompt set.

    ``values`` and ``uniform``: Float[prompt], NaN where a prompt has no eligible query; ``removed``: the mean
    mass that an exclusion took (None without one). ``attends``, ``head`` and ``prompts`` name it.
    """

    values: Floats
    uniform: Floats
    removed: float | None
    attends: str
    head: str
    prompts: str


def side_of(values: AttentionValues, head: tuple[int, int], attends: str, prompts: str, right: bool = False) -> Side:
    """One head's side of measured values: the left one, or the right one of a question that has two."""
    each, uniform = (values.right, values.uniform_right) if right else (values.left, values.uniform_left)
    if each is None or uniform is None:
        raise ValueError("this question has no right side")
    removed = mean_of(values.removed[head]) if values.removed is not None else None
    return Side(each[head], uniform, removed, attends, f"{head[0]}.{head[1]}", prompts)


def compared_row(
    row: Row, left: Side, right: Side, statistic: str, paired: bool, bound: Bound, how: Asked, exclusion: str = ""
) -> Row:
    """The row of "left more than right": the difference of two means, and its interval.

    ``paired``: entry i of both sides is the same prompt (one prompt set); a prompt without one side is then in
    neither. ``statistic``: mass, top1 or a score (in [0, 1]), or lift (unbounded). ``exclusion`` names
    the excluded keys ("bos and self"). On a census (of both sides) the values decide.

    Effect size: d_z of the paired differences, or Cohen's d (pooled standard deviation) as kind "d".
    """
    row |= NOTHING_MEASURED
    row.setdefault("reason", None)
    warnings: list[str] = row.setdefault("warnings", [])
    lift = statistic == "lift"
    there = [~np.isnan(side.values) for side in (left, right)]
    if paired:
        there = [there[0] & there[1]] * 2
    counts = [int(each.sum()) for each in there]
    row |= {
        "more_than": right.attends,
        "other": {
            "attends": right.attends,
            "head": right.head,
            "prompts": right.prompts,
            "n": counts[1],
            "clean": None,
        },
        "n": counts[0],
        "removed_mass": left.removed,
    }
    removed = max((side.removed for side in (left, right) if side.removed is not None), default=0.0)
    if removed > MOST_REMOVED:
        row["reason"] = (
            f"excluding {exclusion or 'keys'} removes {removed:.3g} of the attention on one side, "
            "so nearly nothing is left to measure"
        )
    broken = not_finite(left.values) or not_finite(right.values)
    if broken or not all(counts):
        empty = " and ".join(side.attends for side, n in zip((left, right), counts, strict=True) if not n)
        nothing = f"the selectors match nothing in these prompts ({empty})"
        row["reason"] = broken or row["reason"] or NotYet(nothing)
        return decide(row, bound, None, how)
    for side, has in zip((left, right), counts, strict=True):
        if has < len(side.values):
            which = "" if paired else f" of {side.prompts}"
            warning = f"{len(side.values) - has} of {len(side.values)} prompts{which} have no such query and key, and are left out"
            warnings += [warning] if warning not in warnings else []
    first, second = left.values[there[0]], right.values[there[1]]
    row["sides"] = {"left": mean_of(first), "right": mean_of(second)}
    bases = mean_of(left.uniform[there[0]]), mean_of(right.uniform[there[1]])
    row["uniform"] = None if bases[0] is None or bases[1] is None else bases[0] - bases[1]
    row["effect"] = (
        {"kind": "d_z", "value": estimate.paired_effect(first - second)}
        if paired
        else {"kind": "d", "value": cohens_d(first, second)}
    )
    # Two heads with one selector tie under uniform attention: a tie is not taken to satisfy "more".
    if bound.low is not None and row["uniform"] is not None and row["uniform"] > bound.low + 1e-12:
        row["uniform_holds"] = True
        warnings.append(
            f"uniform attention ({row['uniform']:.3g}) satisfies this bound too: it says little about the head"
        )

    inference = (
        attention_interval(left.values, right.values, lift, how.cycle)
        if paired
        else apart(left.values, right.values, lift, how.cycle)
    )
    return decide(row, bound, inference, how)


def all_differences(values: AttentionValues, elsewhere: AttentionValues | None, head: tuple[int, int] | None) -> Floats:
    """Float[layer, head]: the compared mean difference with every head of the model in place of the claimed one.

    ``elsewhere``: the other prompts' values (None: the right side of ``values``, paired); ``head``: the one that all are
    compared with (None: each with itself). NaN for a head without a value on either side.
    """
    first, second = values.left, values.right if elsewhere is None else elsewhere.left
    if second is None:
        raise ValueError("this question has no right side")
    second = second if head is None else second[head][None, None]
    return head_means(first - second) if elsewhere is None else head_means(first) - head_means(second)


def apart(first: npt.ArrayLike, second: npt.ArrayLike, lift: bool, cycle: int = 1) -> Inference:
    """What is known of the difference of two independent means: Float[prompt] each, of any two sizes.

    The k-th prompt of one side is set against the k-th of the other, as far as both go and have a value: the prompts of
    two sets are drawn independently, so the differences are independent draws too, with the difference of the
    means as their mean, and are tested like paired ones at any time. The estimate is that of all values of each side. By betting for values in [0, 1], by t for ``lift``.
    """
    one, other = (np.asarray(values, dtype=np.float64) for values in (first, second))
    n, value = min(len(one), len(other)), float(np.nanmean(one) - np.nanmean(other))
    n = n // cycle * cycle or n  # whole cycles of templates
    found = attention_interval(one[:n], other[:n], lift, cycle)

    def interval(confidence: float) -> Estimate:
        shown = found(confidence)
        low, high = min(shown.low, value), max(shown.high, value)
        method, size = f"{shown.method} (two samples)", len(_there(one))
        return replace(shown, value=value, low=low, high=high, n=size, method=method)

    return replace(found, interval=interval)


def cohens_d(first: npt.ArrayLike, second: npt.ArrayLike) -> float | None:
    """Cohen's (1988) d of two independent samples: the difference of means / pooled standard deviation (n - 1).

    Unit-free, any sign; None, never infinite, where neither sample varies or fewer than 3 values are there.
    """
    one, other = (_there(values) for values in (first, second))
    freedom = len(one) + len(other) - 2
    if freedom < 1:
        return None
    pooled = math.sqrt((len(one) * one.var() + len(other) * other.var()) / freedom)
    size = float(max(np.abs(one).max(), np.abs(other).max()))
    if pooled <= estimate.CONSTANT_TOLERANCE * size:
        return None
    return float((one.mean() - other.mean()) / pooled)


def _there(values: npt.ArrayLike) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    return array[~np.isnan(array)]
