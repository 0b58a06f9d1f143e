"""More than another head or prompt set: paired differences, and those of two sets, by independent computations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits.claims.claim import Bound
from circuits.measure.attention import AttentionValues
from circuits.verdict import anytime_t
from circuits.verdict.compare import Side, all_differences, apart, cohens_d, compared_row, side_of
from circuits.verdict.decide import Asked
from circuits.verdict.estimate import mean_t, paired_difference
from circuits.verdict.ranking import OBSERVED

NAN, INF = float("nan"), float("inf")
HOW = Asked(0.95, 1)
RNG = np.random.default_rng(3)
COMMON = RNG.random(80) * 0.5
HIGH = np.clip(0.4 + COMMON + RNG.normal(0, 0.02, 80), 0, 1)
LOW = np.clip(0.1 + COMMON + RNG.normal(0, 0.02, 80), 0, 1)
OTHERS = RNG.uniform(0.0, 0.2, 50)  # another prompt set, of another size


def by(value: float) -> Bound:
    return Bound("by_at_least", value, None, f"by_at_least {value:g}")


def side(
    values: Any, uniform: float = 0.1, removed: float | None = None, head: str = "1.5", prompts: str = "a"
) -> Side:
    values = np.asarray(values, dtype=float)
    return Side(values, np.full(len(values), uniform), removed, f"any -> {head}", head, prompts)


MORE = by(0.0)


def row_of(left: Any, right: Any, bound: Bound = MORE, *, paired: bool = False, statistic: str = "mass", how: Asked = HOW) -> dict[str, Any]:  # fmt: skip
    return compared_row({}, side(left), side(right, 0.06, head="4.4", prompts="b"), statistic, paired, bound, how)


@pytest.mark.parametrize(
    ("least", "verdict"), [(0.0, "supported"), (0.15, "supported"), (0.3, "inconclusive"), (0.5, "refuted")]
)
def test_two_heads_on_the_same_prompts_are_paired(least: float, verdict: str) -> None:
    """The interval is that of the paired difference, narrower than one of other pairs; d_z is its effect."""
    row = row_of(HIGH, LOW, by(least), paired=True)
    expected = paired_difference(HIGH, LOW)
    assert row["verdict"] == verdict
    assert (row["estimate"], row["low"], row["high"]) == (expected.value, expected.low, expected.high)
    assert (row["interval"], row["guaranteed"], row["n"]) == ("betting", True, 80)
    difference = HIGH - LOW
    assert row["effect"] == {"kind": "d_z", "value": pytest.approx(difference.mean() / difference.std(ddof=1))}
    assert row["sides"] == {"left": pytest.approx(HIGH.mean()), "right": pytest.approx(LOW.mean())}
    assert row["other"] == {"attends": "any -> 4.4", "head": "4.4", "prompts": "b", "n": 80, "clean": None}
    assert (row["more_than"], row["heads_passing"], row["rank"]) == ("any -> 4.4", None, None)
    assert row["uniform"] == pytest.approx(0.04)
    unpaired = row_of(HIGH, LOW[::-1], by(least))
    assert unpaired["high"] - unpaired["low"] > 1.1 * (row["high"] - row["low"])


def test_the_wrong_way_round_is_refuted() -> None:
    """The head that attends less does not attend more."""
    assert row_of(LOW, HIGH, paired=True)["verdict"] == "refuted"
    assert row_of(OTHERS, HIGH)["verdict"] == "refuted"
    assert row_of(HIGH, OTHERS)["verdict"] == "supported"


def test_two_prompt_sets_are_two_samples() -> None:
    """The interval is that of the k-th of one set against the k-th of the other, the estimate that of all values."""
    row = row_of(HIGH, OTHERS, by(0.2))
    expected = paired_difference(HIGH[:50], OTHERS)
    assert (row["low"], row["high"]) == (expected.low, expected.high)
    assert row["estimate"] == pytest.approx(HIGH.mean() - OTHERS.mean())
    assert (row["interval"], row["guaranteed"], row["assumption"]) == ("betting (two samples)", True, None)
    assert (row["n"], row["other"]["n"], row["skipped"]) == (len(HIGH), 50, 0)
    assert row["sides"] == {"left": pytest.approx(HIGH.mean()), "right": pytest.approx(OTHERS.mean())}
    freedom = len(HIGH) - 1
    pooled = math.sqrt((freedom * HIGH.var(ddof=1) + 49 * OTHERS.var(ddof=1)) / (freedom + 49))
    assert row["effect"] == {"kind": "d", "value": pytest.approx((HIGH.mean() - OTHERS.mean()) / pooled)}
    turned = row_of(OTHERS, HIGH)
    assert (turned["n"], turned["estimate"]) == (50, pytest.approx(-row["estimate"]))


def test_lift_on_two_prompt_sets_is_tested_by_differences() -> None:
    """Unbounded values: the t e-process on the differences of the first 18, marked as resting on an assumption."""
    first, second = RNG.gamma(8, 0.5, 30), RNG.gamma(2, 0.25, 18)
    row = row_of(first, second, statistic="lift")
    differences = first[:18] - second
    half = anytime_t.quantile(18, 0.025) * differences.std(ddof=1) / math.sqrt(18)
    assert (row["low"], row["high"]) == pytest.approx((differences.mean() - half, differences.mean() + half))
    assert (row["interval"], row["guaranteed"], row["verdict"]) == ("t (two samples)", False, "supported")
    assert "near-normal" in row["assumption"]
    paired = row_of(first[:18], second, statistic="lift", paired=True)
    assert (paired["low"], paired["high"]) == (row["low"], row["high"])
    assert paired["interval"] == "t"


@pytest.mark.parametrize("lift", [False, True])
def test_the_k_th_prompt_of_one_set_stands_against_the_k_th_of_the_other(lift: bool) -> None:
    """Prompts keep their places, so that cycles of templates stay aligned; where one has no value, neither is used."""
    first, second = [0.9, NAN, 0.7, 0.8, 0.6, 0.75, 0.7, 0.8], [NAN, NAN, 0.2, 0.1, 0.3, 0.25, 0.35, 0.2, 0.9, NAN, 0.4]
    found = apart(first, second, lift)
    left, right = np.array([0.7, 0.8, 0.6, 0.75, 0.7, 0.8]), np.array([0.2, 0.1, 0.3, 0.25, 0.35, 0.2])
    shown, differences = found(0.95), left - right
    expected = mean_t(differences, 0.95) if lift else paired_difference(left, right)
    value = np.nanmean(first) - np.nanmean(second)
    ends = min(expected.low, value), max(expected.high, value)
    assert (shown.value, shown.low, shown.high, shown.n) == (value, *ends, 7)
    if lift:
        at = differences.mean() - 0.2
        log_e = anytime_t.log_e(6, 0.2, differences.std(ddof=1))
        assert (found.above(at), found.below(at + 0.4)) == (pytest.approx(log_e), pytest.approx(log_e))


def test_refuting_is_corrected_for_the_rows() -> None:
    """With many rows a difference just below the bound is no longer refuted."""
    edge = by(row_of(HIGH, OTHERS, OBSERVED)["high"] + 1e-4)
    assert row_of(HIGH, OTHERS, edge)["verdict"] == "refuted"
    assert row_of(HIGH, OTHERS, edge, how=Asked(0.95, 20))["verdict"] == "inconclusive"


@pytest.mark.parametrize("lift", [False, True])
def test_unpaired_comparisons_err_no_more_often_than_promised(lift: bool) -> None:
    """A true difference of exactly .2, looked at five times: either side is ever wrong in at most 2.5% of runs."""
    rng, runs, wrong, most = np.random.default_rng(4), 400, np.zeros(2), 0.0
    for _ in range(runs):
        first, second = rng.beta(2, 2, 96), rng.beta(3, 7, 120)
        each = [apart(first[:n], second[: n + 24], lift) for n in (32, 48, 64, 80, 96)]
        logs = max(found.above(0.2) for found in each), max(found.below(0.2) for found in each)
        wrong += [log >= math.log(40) for log in logs]
        most = max(most, *logs)
    assert (wrong / runs <= 0.025 + 3 * math.sqrt(0.025 * 0.975 / runs)).all()
    assert most > math.log(10)  # now and then there is evidence, so the promise is not kept by silence


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=12),
    st.lists(st.floats(0, 1), min_size=1, max_size=12),
    st.floats(0.6, 0.99),
)
def test_law_differences_turn_round(first: list[float], second: list[float], confidence: float) -> None:
    """Swapping the sides mirrors interval and e-values; it holds the estimate, has a width, and grows with confidence."""
    for lift in (False, True):
        one, two = apart(first, second, lift), apart(second, first, lift)
        found, turned = one(confidence), two(confidence)
        assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low), abs=1e-5)
        assert (two.above(-0.1), two.below(-0.1)) == pytest.approx((one.below(0.1), one.above(0.1)), abs=1e-6)
        assert found.low <= found.value <= found.high
        assert found.low < found.high
        assert found.value == pytest.approx(np.mean(first) - np.mean(second))
        wider = one((1 + confidence) / 2)
        assert wider.low <= found.low and wider.high >= found.high


@pytest.mark.parametrize("statistic", ["mass", "lift"])
@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize(("left", "right"), [([0.5] * 9, [0.5] * 9), ([0.9], [0.1])])
def test_degenerate_data_is_inconclusive(statistic: str, paired: bool, left: Any, right: Any) -> None:
    """Ties and single prompts have an interval with width, around 0."""
    row = row_of(left, right, statistic=statistic, paired=paired)
    assert row["verdict"] == "inconclusive"
    assert row["low"] < 0 < row["high"]
    assert row["effect"]["value"] is None


def test_constant_differences_are_no_certainty() -> None:
    """Two sides that do not vary, or only alike, differ by a constant: the rule of three, 3/n of its own size.

    0 lies four such thirds away, so the e-value is 2 / .05^4.
    """
    for first, second in (([3.0] * 12, [1.0] * 12), (np.arange(2.0, 14), np.arange(12.0))):
        found = apart(first, second, lift=True)
        assert (found(0.95).low, found(0.95).high) == pytest.approx((2 - 3 / 12 * 2, 2 + 3 / 12 * 2))
        assert found(0.95).method == "rule-of-three (two samples)"
        assert "constant" in str(found(0.95).assumption)
        assert (found.above(1.6), found.above(0.0)) == (0.0, pytest.approx(math.log(2 * 20**4)))


def test_cohens_d_needs_a_spread() -> None:
    """None, never infinite; the textbook value otherwise."""
    assert cohens_d([1.0, 1.0], [2.0, 2.0]) is None
    assert cohens_d([1.0], [2.0]) is None
    assert cohens_d([2.0, 4.0, NAN], [1.0, 1.0]) == pytest.approx(2.0)


def test_prompts_without_a_value_are_left_out() -> None:
    """Paired: a prompt without one side is in neither. Unpaired: each side has its own prompts."""
    left, right = [0.9, NAN, 0.7, 0.8], [0.1, 0.2, NAN, 0.3]
    row = row_of(left, right, paired=True)
    assert (row["n"], row["other"]["n"], row["estimate"]) == (2, 2, pytest.approx(0.65))
    assert row["sides"] == {"left": pytest.approx(0.85), "right": pytest.approx(0.2)}
    assert row["warnings"][0] == "2 of 4 prompts have no such query and key, and are left out"
    row = row_of(left, right)
    assert (row["n"], row["other"]["n"], row["estimate"]) == (3, 3, pytest.approx(0.6))
    assert [warning[:22] for warning in row["warnings"][:2]] == ["1 of 4 prompts of a ha", "1 of 4 prompts of b ha"]


def test_what_cannot_be_compared_is_unmeasurable() -> None:
    """No eligible query on one side, numbers that are not finite, an exclusion that takes nearly everything."""
    cases = [
        (side([NAN] * 3), side(OTHERS, head="4.4"), "match nothing in these prompts (any -> 1.5)"),
        (side(HIGH), side([0.1, INF, 0.1], head="4.4"), "not finite on 1 of 3"),
        (side(HIGH, removed=0.97), side(OTHERS, removed=0.2), "excluding bos removes 0.97"),
    ]
    for left, right, reason in cases:
        row = compared_row({}, left, right, "mass", False, by(0.0), HOW, "bos")
        assert row["verdict"] == "unmeasurable"
        assert reason in row["reason"]
        assert {"sides", "other", "more_than", "effect", "uniform", "low", "corrected"} <= set(row)
    pair = compared_row({}, side([NAN, 0.5]), side([0.5, NAN]), "mass", True, by(0.0), HOW)
    assert (pair["verdict"], pair["n"]) == ("unmeasurable", 0)


def test_uniform_attention_satisfies_only_what_it_exceeds() -> None:
    """Two heads with one selector tie under uniform attention, which is no "more"; other base rates are told."""
    tie = compared_row({}, side(HIGH), side(LOW), "mass", True, by(0.0), HOW)
    assert tie["uniform"] == 0.0
    assert "uniform_holds" not in tie
    assert compared_row({}, side(HIGH), side(LOW), "mass", True, by(-0.1), HOW)["uniform_holds"]
    row = compared_row({}, side(HIGH, 0.4), side(LOW, 0.1), "mass", True, by(0.2), HOW)
    assert row["uniform_holds"]
    assert "uniform attention (0.3)" in row["warnings"][-1]
    assert "uniform_holds" not in compared_row({}, side(HIGH, 0.4), side(LOW, 0.1), "mass", True, OBSERVED, HOW)


def test_a_census_of_both_sides_has_no_interval() -> None:
    """The values decide, equality included."""
    how = Asked(0.95, 1, census=True)
    for paired in (True, False):
        row = row_of([0.5, 0.75], [0.25, 0.5], by(0.25), paired=paired, how=how)
        assert (row["verdict"], row["low"], row["interval"]) == ("supported", None, None)
        assert row_of([0.5, 0.75], [0.25, 0.5], by(0.26), paired=paired, how=how)["verdict"] == "refuted"


def test_a_side_is_taken_from_measured_values() -> None:
    """Left or right of a question, of one head, with its base rate and the mass that was excluded."""
    left, right = np.arange(6.0).reshape(1, 2, 3) / 10, np.arange(6.0, 12.0).reshape(1, 2, 3) / 20
    removed = np.full((1, 2, 3), 0.25)
    values = AttentionValues(left, right, np.full(3, 0.1), np.full(3, 0.2), removed, np.zeros((1, 2), dtype=int))
    found = side_of(values, (0, 1), "name -> n-1", "ones", right=True)
    assert found.values.tolist() == right[0, 1].tolist()
    assert (found.uniform[0], found.removed, found.head, found.attends, found.prompts) == (
        0.2, 0.25, "0.1", "name -> n-1", "ones",
    )  # fmt: skip
    assert side_of(values, (0, 1), "", "").values.tolist() == left[0, 1].tolist()
    only = AttentionValues(left, None, np.full(3, 0.1), None, None, None)
    assert side_of(only, (0, 0), "", "").removed is None
    with pytest.raises(ValueError, match="no right side"):
        side_of(only, (0, 0), "", "", right=True)


def test_every_head_in_place_of_the_claimed_one() -> None:
    """Each head's own difference, or from one head; over the prompts of both sides where they are the same."""
    left = np.array([[[0.5, 0.7, NAN], [0.1, 0.2, 0.3]]])
    right = np.array([[[0.1, 0.1, 0.4], [NAN, 0.1, 0.1]]])
    values = AttentionValues(left, right, np.full(3, 0.1), np.full(3, 0.1), None, None)
    assert all_differences(values, None, None) == pytest.approx(np.array([[0.5, 0.15]]))  # (.4 + .6) / 2, (.1 + .2) / 2
    assert all_differences(values, None, (0, 1)) == pytest.approx(np.array([[0.6, 0.15]]))  # .7 - .1; (.1 + .2) / 2
    there = AttentionValues(right, None, np.full(3, 0.1), None, None, None)
    assert all_differences(values, there, None) == pytest.approx(np.array([[0.4, 0.1]]))  # .6 - .2, .2 - .1
    assert all_differences(values, there, (0, 0)) == pytest.approx(np.array([[0.4, 0.0]]))  # .6 - .2, .2 - .2
    with pytest.raises(ValueError, match="no right side"):
        all_differences(there, None, None)
