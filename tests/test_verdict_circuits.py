"""Rows of circuits: within, interaction, keep_only and random circuits, each against numbers made by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from circuits.claims.claim import Ablate, Bound, Circuit, Keep
from circuits.claims.heads import Component
from circuits.verdict import anytime_t
from circuits.verdict.circuit_rows import (
    Pair,
    completeness_row,
    interaction_row,
    keep_row,
    minimality_row,
    necessity_row,
    sufficiency_row,
    within_row,
)
from circuits.verdict.decide import Asked
from circuits.verdict.estimate import corrected, infer_ratio, mean_t, paired_difference, ratio_of_means
from circuits.verdict.ranking import OBSERVED
from circuits.verdict.rows import Task

NAN, INF = float("nan"), float("inf")
HOW, CENSUS = Asked(0.95, 1), Asked(0.95, 1, census=True)
DONE = Task({"top1": 0.5})
CIRCUIT = Circuit("c", (Component(0, 1), Component(1, 0)))
N = 24
BASE = np.random.default_rng(0).normal(0, 0.3, N)
BASE -= BASE.mean()


def at_least(value: float) -> Bound:
    return Bound("at_least", value, None, f"at_least {value}")


def at_most(value: float) -> Bound:
    return Bound("at_most", None, value, f"at_most {value}")


def run(
    mean: float, metric: str = "logit_diff", seed: int | None = None, ranks: Any = None, spread: float = 0.1
) -> Any:
    """The values of a run whose metric has exactly this mean; prompts differ alike in every run, but for noise."""
    noise = np.zeros(N) if seed is None else np.random.default_rng(seed).normal(0, spread, N)
    values: dict[str, Any] = {"answer_rank": np.ones(N) if ranks is None else np.array(ranks, dtype=float)}
    values |= {
        "top_text": np.array([" five"] * N),
        **dict.fromkeys(("right_first", "foil_first", "answer_tied"), np.full(N, NAN)),
    }
    values["logit_diff"] = np.full(N, 2.0)
    values[metric] = mean + BASE + noise - noise.mean()
    return values


def only(values: Any, metric: str = "logit_diff") -> Any:
    values = np.asarray(values, dtype=float)
    ones = np.ones(len(values))
    found = {
        "answer_rank": ones,
        "right_first": ones,
        "foil_first": 0 * ones,
        "answer_tied": 0 * ones,
        "top_text": np.array(["x"] * len(values)),
    }
    return found | {"logit_diff": ones, metric: values}


def ablate(effect: str, metric: str = "logit_diff") -> Ablate:
    return Ablate((Component(0, 1),), "mean", effect, metric)


def keep(statistic: str, metric: str = "logit_diff", normalised: bool = False) -> Keep:
    return Keep(CIRCUIT, "mean", statistic, metric, normalised, 10, 5)


FULL, KEPT, EMPTY = run(5.0, seed=1), run(4.0, seed=2), run(1.0, seed=3)


# ---- within ----


@pytest.mark.parametrize(
    ("effect", "expected"),
    [("drop_in", (4.0 - 3.0) / 4.0), ("change_in", 3.0 - 4.0), ("after", 3.0)],
)
def test_within_compares_the_circuit_with_and_without(effect: str, expected: float) -> None:
    """The clean model enters the gates only; the drop is relative to the circuit's own F(C)."""
    without = run(3.0, seed=4, ranks=[1] * (N - 2) + [4, 2])
    row = within_row({}, ablate(effect), FULL, KEPT, without, at_least(expected - 0.3), DONE, HOW)
    assert row["estimate"] == pytest.approx(expected)
    assert row["verdict"] == "supported"
    assert row["parts"] == {"F(C)": pytest.approx(4.0), "F(C\\A)": pytest.approx(3.0)}
    assert row["baseline"] == {"clean": pytest.approx(5.0), "ablated": pytest.approx(3.0)}
    assert row["effect"] == {"kind": "relative", "value": pytest.approx(-0.25)}
    assert row["ranks"]["counts"] == {"1": N - 2, "2": 1, "4": 1}
    assert row["fell_to"] == [[" five", 2]]
    assert row["clean"]["top1"] == 1.0
    if effect == "drop_in":
        other = infer_ratio(without["logit_diff"], KEPT["logit_diff"]).less_than_one()(0.95)
        assert (row["low"], row["high"], row["interval"]) == pytest.approx((other.low, other.high, "fieller"))


def test_answers_are_lost_from_the_circuit_alone() -> None:
    """Where the circuit alone has lost answers of the clean model, its head has not lost them."""
    kept, without = run(4.0, seed=2, ranks=[1] * (N - 5) + [3] * 5), run(3.0, seed=4, ranks=[1] * (N - 7) + [3] * 7)
    row = within_row({}, ablate("drop_in"), FULL, kept, without, at_least(0.1), DONE, HOW)
    assert (row["lost"], row["fell_to"]) == ([2, N - 5], [[" five", 2]])


def test_a_component_that_does_nothing_within_is_refuted() -> None:
    """A drop of 20% is refuted for a component that leaves the circuit as it is."""
    row = within_row({}, ablate("drop_in"), FULL, KEPT, run(4.0, seed=8), at_least(0.2), DONE, HOW)
    assert row["verdict"] == "refuted"


def test_within_needs_the_task_and_a_circuit_above_zero() -> None:
    """The clean model must do the task; a drop from a circuit at zero has no meaning, a change has."""
    lost = run(5.0, seed=1, ranks=[3] * N)
    row = within_row({}, ablate("change_in"), lost, KEPT, EMPTY, at_most(0), DONE, HOW)
    assert row["verdict"] == "unmeasurable"
    assert "does not do this task" in row["reason"]
    nothing = run(0.0, seed=5)
    row = within_row({}, ablate("drop_in"), FULL, nothing, EMPTY, at_most(0.5), DONE, HOW)
    assert row["verdict"] == "unmeasurable"
    assert row["reason"].startswith("the circuit's logit_diff may be zero or less")
    assert within_row({}, ablate("change_in"), FULL, nothing, EMPTY, at_least(0.5), DONE, HOW)["verdict"] == "supported"


# ---- interaction ----


def test_interaction_is_the_difference_of_two_relative_drops() -> None:
    """Backup: alone A costs 2%, without G it costs 40%; the interaction is 38% of F(M)."""
    without, given, both = run(4.9, seed=6), run(4.5, seed=7), run(2.5, seed=9)
    row = interaction_row({}, ablate("interaction"), FULL, without, given, both, at_least(0.3), DONE, HOW)
    assert row["estimate"] == pytest.approx(((4.5 - 2.5) - (5.0 - 4.9)) / 5.0)
    assert row["verdict"] == "supported"
    assert row["parts"] == {
        "F(M)": pytest.approx(5.0), "F(M\\A)": pytest.approx(4.9), "F(M\\G)": pytest.approx(4.5),
        "F(M\\G\\A)": pytest.approx(2.5),
    }  # fmt: skip
    alone, after = row["beside"]
    assert (alone["label"], after["label"]) == ("drop of A alone", "drop of A given G")
    assert (alone["value"], after["value"]) == (pytest.approx(0.02), pytest.approx(0.4))
    assert after["value"] - alone["value"] == pytest.approx(row["estimate"])
    assert alone["low"] < 0.02 < alone["high"]
    f = [values["logit_diff"] for values in (FULL, without, given, both)]
    expected = ratio_of_means((f[2] - f[3]) - (f[0] - f[1]), f[0])
    assert (row["low"], row["high"], row["interval"]) == pytest.approx((expected.low, expected.high, "fieller"))
    plain = interaction_row({}, ablate("interaction"), FULL, without, given, run(4.4, seed=9), at_least(0.3), DONE, HOW)
    assert plain["verdict"] == "refuted"  # two parts that only add up


def test_interaction_needs_a_clean_metric_above_zero() -> None:
    """Relative to about nothing there is no interaction; its numbers stay, without infinite ends."""
    zero = run(0.0, seed=1)
    row = interaction_row({}, ablate("interaction"), zero, KEPT, KEPT, EMPTY, at_least(0.1), DONE, HOW)
    assert row["verdict"] == "unmeasurable"
    assert "a relative interaction has no meaning" in row["reason"]
    assert (row["low"], row["beside"][0]["low"]) == (None, None)
    broken = interaction_row(
        {}, ablate("interaction"), FULL, only([INF] + [1.0] * (N - 1)), KEPT, EMPTY, at_least(0.1), DONE, HOW
    )
    assert broken["reason"] == f"the model's numbers are not finite on 1 of {N} prompts"
    none = interaction_row({}, ablate("interaction"), FULL, FULL, FULL, FULL, at_least(0.0), DONE, HOW)
    assert none["verdict"] == "inconclusive"  # nothing changes at all: constant 0, with room around it
    assert none["low"] < 0 < none["high"]


# ---- keep_only: recovers and faithfulness ----

RANDOM = [run(mean, seed=20 + place) for place, mean in enumerate((1.0, 4.5, 2.0, 3.0, 4.1))]


@pytest.mark.parametrize("normalised", [False, True])
def test_recovery_in_both_forms_with_random_circuits_beside(normalised: bool) -> None:
    """F(C)/F(M) = .8 and (F(C)-F(0))/(F(M)-F(0)) = .75: one judged, the other beside; 2 of 5 random ones as good."""
    what = keep("recovers", normalised=normalised)
    plain, normal = 4.0 / 5.0, (4.0 - 1.0) / (5.0 - 1.0)
    row = keep_row({}, what, FULL, KEPT, EMPTY, RANDOM, at_least(0.7), DONE, HOW, 7)
    assert row["estimate"] == pytest.approx(normal if normalised else plain)
    assert row["verdict"] == "supported"
    assert row["beside"]["label"] == ("not normalised" if normalised else "normalised")
    assert row["beside"]["value"] == pytest.approx(plain if normalised else normal)
    assert row["beside"]["low"] < row["beside"]["value"] < row["beside"]["high"]
    assert row["parts"] == {"F(M)": pytest.approx(5.0), "F(C)": pytest.approx(4.0), "F(0)": pytest.approx(1.0)}
    m, c, none = (values["logit_diff"] for values in (FULL, KEPT, EMPTY))
    shift = none if normalised else np.zeros(N)
    expected = ratio_of_means(c - shift, m - shift)
    assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high))
    means = np.array([1.0, 4.5, 2.0, 3.0, 4.1])
    means = (means - 1) / 4 if normalised else means / 5
    assert (row["random"]["count"], row["random"]["seed"], row["random"]["as_good"]) == (5, 7, 2)
    assert [row["random"][key] for key in ("min", "median", "max")] == pytest.approx(
        [means.min(), np.median(means), means.max()]
    )
    assert row["normalised"] is normalised
    assert row["effect"] == {"kind": "relative", "value": pytest.approx(-0.2)}
    assert row["ranks"]["first"] == 1.0
    wrong = keep_row({}, what, FULL, EMPTY, EMPTY, RANDOM, at_least(0.7), DONE, HOW)
    assert wrong["verdict"] == "refuted"  # a circuit that recovers what nothing recovers
    assert keep_row({}, what, FULL, KEPT, EMPTY, [], at_least(0.7), DONE, HOW)["random"] is None


def test_recovery_without_the_empty_run_has_nothing_beside() -> None:
    """F(0) is optional for the plain form and required for the other."""
    assert keep_row({}, keep("recovers"), FULL, KEPT, None, [], at_least(0.7), DONE, HOW)["beside"] is None
    with pytest.raises(ValueError, match=r"needs the values with nothing kept, F\(0\)"):
        keep_row({}, keep("recovers", normalised=True), FULL, KEPT, None, [], at_least(0.7), DONE, HOW)


def test_a_share_of_nothing_has_no_meaning() -> None:
    """A clean metric at zero, or a whole model no better than nothing, makes the ratio UNMEASURABLE."""
    row = keep_row({}, keep("recovers"), run(0.0, seed=1), KEPT, EMPTY, RANDOM, at_least(0.7), DONE, HOW)
    assert "the clean logit_diff may be zero or less" in row["reason"]
    row = keep_row({}, keep("recovers", normalised=True), FULL, KEPT, run(5.0, seed=3), [], at_least(0.7), DONE, HOW)
    assert row["verdict"] == "unmeasurable"
    assert "F(M) - F(0) of the logit_diff may be zero or less" in row["reason"]
    below = keep_row({}, keep("recovers"), run(-1.0, seed=1), KEPT, None, [], at_least(0.7), DONE, CENSUS)
    assert below["verdict"] == "unmeasurable"
    lost = run(5.0, seed=1, ranks=[2] * N)
    for statistic in ("recovers", "faithfulness"):
        assert "this task" in keep_row({}, keep(statistic), lost, KEPT, EMPTY, [], at_least(0.1), DONE, HOW)["reason"]
    empty = keep_row({}, keep("recovers"), FULL, only([NAN] * N), None, [], at_least(0.7), DONE, HOW)
    assert (empty["verdict"], empty["estimate"]) == ("unmeasurable", None)


@pytest.mark.parametrize(
    ("kept", "bound", "verdict"),
    [(4.0, at_most(1.2), "supported"), (6.0, at_most(1.2), "supported"), (5.0, at_most(0.3), "supported"),
     (4.0, at_most(0.5), "refuted"), (6.0, at_most(0.5), "refuted"), (4.0, at_least(0.5), "supported"),
     (5.0, at_least(0.5), "refuted"), (5.0, at_most(0.01), "inconclusive")],
)  # fmt: skip
def test_faithfulness_is_a_distance(kept: float, bound: Bound, verdict: str) -> None:
    """|F(M) - F(C)|, whichever is larger: the signed interval folded at 0, half the error for each low end."""
    part = run(kept, seed=2)
    row = keep_row({}, keep("faithfulness"), FULL, part, None, RANDOM, bound, DONE, HOW)
    assert row["verdict"] == verdict
    assert row["estimate"] == pytest.approx(abs(kept - 5.0), abs=1e-9)
    difference = part["logit_diff"] - FULL["logit_diff"]
    half, quarter = (anytime_t.quantile(N, a) * difference.std(ddof=1) / math.sqrt(N) for a in (0.025, 0.0125))
    size = abs(kept - 5.0)
    expected = (0.0, half) if size == 0 else (size - quarter, size + half)
    assert (row["low"], row["high"]) == pytest.approx(expected, abs=1e-9)
    # Random circuits are 4, .5, 3, 2 and .9 away.
    assert row["random"]["as_good"] == sum(away <= size for away in (4.0, 0.5, 3.0, 2.0, 0.9))


def test_faithfulness_of_a_bounded_metric_is_guaranteed() -> None:
    """Betting on the paired difference, folded; equal runs leave room above 0."""
    full = only(np.clip(0.8 + BASE / 4, 0, 1), "answer_prob")
    part = only(np.clip(0.3 + BASE / 4, 0, 1), "answer_prob")
    row = keep_row({}, keep("faithfulness", "answer_prob"), full, part, None, [], at_most(0.9), DONE, HOW)
    differences = part["answer_prob"] - full["answer_prob"]
    low, high = paired_difference(-differences, np.zeros(N), 0, 1, 0.975).low, paired_difference(-differences, np.zeros(N)).high  # fmt: skip
    assert (row["low"], row["high"]) == pytest.approx((low, high), abs=1e-6)
    assert (row["guaranteed"], row["interval"], row["verdict"]) == (True, "betting", "supported")
    same = keep_row({}, keep("faithfulness", "answer_prob"), full, full, None, [], at_most(0.05), DONE, HOW)
    assert (same["estimate"], same["low"], same["verdict"]) == (0.0, 0.0, "inconclusive")
    assert same["high"] > 0.05
    exact = keep_row({}, keep("faithfulness", "answer_prob"), full, full, None, [], at_most(0.05), DONE, CENSUS)
    assert (exact["verdict"], exact["low"]) == ("supported", None)


@pytest.mark.parametrize("confidence", [0.95, 0.6])
def test_faithfulness_errs_no_more_often_than_promised_near_zero(confidence: float) -> None:
    """Where F(C) = F(M) the low end, which can fail on both sides of 0, still fails in at most 2.5% (20%) of runs."""
    rng, runs, wrong, error = np.random.default_rng(2), 400, 0, (1 - confidence) / 2
    for _ in range(runs):
        full, part = only(rng.normal(0, 1, 12)), only(rng.normal(0, 1, 12))
        how = Asked(confidence, 1)
        wrong += keep_row({}, keep("faithfulness"), full, part, None, [], OBSERVED, DONE, how)["low"] > 0
    assert wrong / runs <= error + 3 * math.sqrt(error * (1 - error) / runs)
    assert wrong > 0 or confidence > 0.9


# ---- completeness and minimality ----


def pair(removed: Sequence[str], one: float, other: float, component: str | None = None, seed: int = 0) -> Pair:
    return Pair(tuple(removed), run(one, seed=40 + seed), run(other, seed=60 + seed), component)


COMPLETE = [pair([], 4.0, 5.0), pair(["0.1"], 3.0, 4.2, seed=1), pair(["1.0"], 2.0, 1.5, seed=2)]


def folded(one: Any, other: Any, level: float) -> tuple[float, float]:
    found = mean_t(one["logit_diff"] - other["logit_diff"], level)
    wide = mean_t(one["logit_diff"] - other["logit_diff"], corrected(level, 2))
    return max(wide.low, -wide.high, 0.0), max(-found.low, found.high)


def test_completeness_is_the_largest_distance_over_subsets() -> None:
    """The worst K, its runs' means, low ends corrected for the number of subsets, high ends not."""
    row = completeness_row({}, keep("completeness"), FULL, KEPT, COMPLETE, at_most(1.5), DONE, HOW, 3)
    assert row["estimate"] == pytest.approx(1.2)
    assert row["worst"] == {"removed": ["0.1"], "value": pytest.approx(1.2), "component": None}
    assert row["subsets"] == {
        "count": 3, "seed": 3, "removed": [[], ["0.1"], ["1.0"]], "values": pytest.approx([1.0, 1.2, 0.5]),
    }  # fmt: skip
    assert row["parts"] == {
        "F(M)": pytest.approx(5.0), "F(C)": pytest.approx(4.0), "F(C\\K)": pytest.approx(3.0),
        "F(M\\K)": pytest.approx(4.2),
    }  # fmt: skip
    low = max(folded(each.one, each.other, corrected(0.95, 3))[0] for each in COMPLETE)
    high = max(folded(each.one, each.other, 0.95)[1] for each in COMPLETE)
    assert (row["low"], row["high"]) == pytest.approx((low, high))
    assert row["verdict"] == "supported"
    assert (row["clean"]["top1"], row["ranks"]["first"]) == (1.0, 1.0)
    wrong = completeness_row({}, keep("completeness"), FULL, KEPT, COMPLETE, at_most(1.0), DONE, HOW)
    assert wrong["verdict"] == "refuted"
    empty_only = completeness_row({}, keep("completeness"), FULL, KEPT, COMPLETE[:1], at_most(1.05), DONE, HOW)
    assert empty_only["worst"]["removed"] == []


def test_minimality_is_the_least_of_the_largest() -> None:
    """0.1 matters 2.0 at its best subset, 1.0 only .4: that one is named, with both kinds of ends corrected."""
    pairs = [
        pair([], 4.0, 3.5, "0.1"), pair(["1.0"], 3.0, 1.0, "0.1", 1),
        pair([], 4.0, 4.1, "1.0", 2), pair(["0.1"], 2.0, 1.6, "1.0", 3),
    ]  # fmt: skip
    row = minimality_row({}, keep("minimality"), FULL, KEPT, pairs, at_least(0.2), DONE, HOW, 5)
    assert row["estimate"] == pytest.approx(0.4)
    assert row["worst"] == {"removed": ["0.1"], "value": pytest.approx(0.4), "component": "1.0"}
    assert row["parts"]["F(C\\K)"] == pytest.approx(2.0)
    assert row["parts"]["F(C\\(K+v))"] == pytest.approx(1.6)
    assert row["subsets"] == {
        "count": 2, "seed": 5, "removed": [[], ["0.1"], ["1.0"]],
        "components": [["0.1", pytest.approx(2.0), ["1.0"]], ["1.0", pytest.approx(0.4), ["0.1"]]],
    }  # fmt: skip
    ends = [folded(each.one, each.other, corrected(0.95, 2)) for each in pairs]
    expected = (
        min(max(ends[0][0], ends[1][0]), max(ends[2][0], ends[3][0])),
        min(max(ends[0][1], ends[1][1]), max(ends[2][1], ends[3][1])),
    )
    assert (row["low"], row["high"]) == pytest.approx(expected)
    assert row["verdict"] == "supported"
    assert minimality_row({}, keep("minimality"), FULL, KEPT, pairs, at_least(1.0), DONE, HOW)["verdict"] == "refuted"


@pytest.mark.parametrize("end", ["low", "high"])
def test_completeness_errs_no_more_often_than_promised(end: str) -> None:
    """All of six distances equal (worst for the low end), or one largest alone: each end fails at most 2.5%."""
    rng, runs, wrong = np.random.default_rng(6), 300, 0
    truth = np.full(6, 0.5) if end == "low" else np.array([0.5, 0, 0, 0, 0, 0])
    for _ in range(runs):
        pairs = [Pair((), only(rng.normal(mean, 1, 14)), only(np.zeros(14))) for mean in truth]
        full = only(np.zeros(14))
        row = completeness_row({}, keep("completeness"), full, full, pairs, OBSERVED, DONE, HOW)
        wrong += row["low"] > 0.5 if end == "low" else row["high"] < 0.5
    assert wrong / runs <= 0.025 + 3 * math.sqrt(0.025 * 0.975 / runs)


@pytest.mark.parametrize("end", ["low", "high"])
def test_minimality_errs_no_more_often_than_promised(end: str) -> None:
    """Four components at the same true value, or one of two subsets each: each end fails at most 2.5%."""
    rng, runs, wrong = np.random.default_rng(7), 300, 0
    for _ in range(runs):
        pairs = [
            Pair((), only(rng.normal(mean, 1, 14)), only(np.zeros(14)), str(v))
            for v in range(4)
            for mean in ((0.6, 0.6) if end == "low" and v == 0 else (3.0, 3.0) if end == "low" else (0.6, 0.0))
        ]
        full = only(np.zeros(14))
        row = minimality_row({}, keep("minimality"), full, full, pairs, OBSERVED, DONE, HOW)
        wrong += row["low"] > 0.6 if end == "low" else row["high"] < 0.6
    assert wrong / runs <= 0.025 + 3 * math.sqrt(0.025 * 0.975 / runs)


def test_subsets_that_change_nothing_leave_room() -> None:
    """Equal runs everywhere: distance 0, an interval with width, no verdict on a bound within it."""
    pairs = [Pair((), KEPT, KEPT, "0.1"), Pair(("1.0",), EMPTY, EMPTY, "0.1")]
    for function, statistic in ((completeness_row, "completeness"), (minimality_row, "minimality")):
        row = function({}, keep(statistic), FULL, KEPT, pairs, at_most(0.01), DONE, HOW)
        assert (row["estimate"], row["low"], row["verdict"]) == (0.0, 0.0, "inconclusive")
        assert row["high"] > 0.01
        assert function({}, keep(statistic), FULL, KEPT, pairs, at_most(0.01), DONE, CENSUS)["verdict"] == "supported"
        with pytest.raises(ValueError, match="at least one subset"):
            function({}, keep(statistic), FULL, KEPT, [], at_most(0.01), DONE, HOW)
        broken = [*pairs, Pair((), only([INF] * N), KEPT, "0.1")]
        row = function({}, keep(statistic), FULL, KEPT, broken, at_most(0.01), DONE, HOW)
        assert (row["verdict"], row["worst"]) == ("unmeasurable", None)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(st.floats(-2, 2), min_size=1, max_size=5), st.floats(0.5, 0.98))
def test_law_more_subsets_and_more_confidence_never_lower_the_high_end(means: list[float], confidence: float) -> None:
    """low <= estimate <= high; a further subset only raises estimate and high end; confidence only widens."""
    pairs = [pair([], mean, 0.0, seed=place) for place, mean in enumerate(means)]

    def row(used: Any, level: float) -> Any:
        return completeness_row({}, keep("completeness"), FULL, KEPT, used, OBSERVED, DONE, Asked(level, 1))

    found, wider = row(pairs, confidence), row(pairs, (1 + confidence) / 2)
    assert found["low"] <= found["estimate"] <= found["high"]
    assert wider["low"] <= found["low"] and found["high"] <= wider["high"]
    more = row([*pairs, pair([], 1.0, 0.0, seed=9)], confidence)
    assert more["estimate"] >= found["estimate"] and more["high"] >= found["high"]


# ---- shares of random circuits ----


def test_sufficiency_is_the_share_of_random_circuits_further_away() -> None:
    """Three of five are further from F(M) than the circuit: .6 with the exact binomial interval of five."""
    row = sufficiency_row({}, keep("sufficiency"), FULL, KEPT, RANDOM, at_least(0.1), DONE, HOW, 11)
    exact = stats.binomtest(3, 5).proportion_ci(0.95, method="exact")
    assert (row["estimate"], row["n"], row["unit"]) == (0.6, 5, "random circuits")
    assert (row["low"], row["high"]) == pytest.approx((exact.low, exact.high))
    assert row["interval"] == "clopper-pearson"
    assert "random circuits" in row["assumption"]
    assert row["guaranteed"] is False
    assert (row["random"]["count"], row["random"]["seed"], row["random"]["as_good"]) == (5, 11, 2)
    assert [row["random"][key] for key in ("min", "median", "max")] == pytest.approx([0.5, 2.0, 4.0])
    assert row["parts"] == {"F(M)": pytest.approx(5.0), "F(C)": pytest.approx(4.0)}
    ties = sufficiency_row({}, keep("sufficiency"), FULL, KEPT, [KEPT] * 40, at_least(0.9), DONE, HOW)
    assert (ties["estimate"], ties["verdict"]) == (0.0, "refuted")  # as far is not further
    one = sufficiency_row({}, keep("sufficiency"), FULL, KEPT, [EMPTY], at_least(0.9), DONE, HOW)
    assert (one["estimate"], one["verdict"]) == (1.0, "inconclusive")


def test_a_share_of_random_circuits_is_judged_by_its_exact_interval() -> None:
    """Their number was fixed in advance, so Clopper & Pearson's limit decides: 3 of 5 are surely more than 10%."""
    row = sufficiency_row({}, keep("sufficiency"), FULL, KEPT, RANDOM, at_least(0.1), DONE, HOW)
    assert row["low"] == pytest.approx(stats.binomtest(3, 5).proportion_ci(0.95, method="exact").low)
    assert (row["low"] > 0.1, row["verdict"]) == (True, "supported")


def test_evidence_of_a_distance_speaks_of_either_sign() -> None:
    """Further than c: the mean of two e-values, one a sign; nearer than c: the lesser. From the t e-process by hand."""
    part = run(4.0, seed=2)
    signed = part["logit_diff"] - FULL["logit_diff"]

    def log_e(values: Any) -> float:
        return anytime_t.log_e(N, float(values.mean()), float(values.std(ddof=1)))

    row = keep_row({}, keep("faithfulness"), FULL, part, None, [], at_least(0.95), DONE, HOW)
    further = math.log((math.exp(log_e(signed - 0.95)) + math.exp(log_e(-signed - 0.95))) / 2)
    nearer = min(log_e(0.95 - signed), log_e(0.95 + signed))
    assert row["log_e"] == {"for": pytest.approx(further), "against": pytest.approx(nearer)}
    turned = keep_row({}, keep("faithfulness"), FULL, part, None, [], at_most(0.95), DONE, HOW)
    assert turned["log_e"] == {"for": pytest.approx(nearer), "against": pytest.approx(further)}


def test_evidence_of_completeness_is_that_of_some_subset_or_of_all() -> None:
    """At most c: every subset must be nearer, the least counts; more than c: one is enough, the mean over subsets."""

    def log_e(values: Any) -> float:
        return anytime_t.log_e(N, float(values.mean()), float(values.std(ddof=1)))

    signed = [each.one["logit_diff"] - each.other["logit_diff"] for each in COMPLETE]
    nearer = [min(log_e(1.1 - each), log_e(1.1 + each)) for each in signed]
    further = [np.mean([math.exp(log_e(each - 1.1)), math.exp(log_e(-each - 1.1))]) for each in signed]
    row = completeness_row({}, keep("completeness"), FULL, KEPT, COMPLETE, at_most(1.1), DONE, HOW)
    assert row["log_e"] == {"for": pytest.approx(min(nearer)), "against": pytest.approx(math.log(np.mean(further)))}
    # Minimality: a component is settled by one of its subsets, the claim by all of its components.
    pairs = [Pair(each.removed, each.one, each.other, v) for each, v in zip(COMPLETE, "aab", strict=True)]
    row = minimality_row({}, keep("minimality"), FULL, KEPT, pairs, at_least(1.1), DONE, HOW)
    supports = min(math.log(np.mean(further[:2])), math.log(further[2]))
    refutes = math.log(np.mean([math.exp(min(nearer[:2])), math.exp(nearer[2])]))
    assert row["log_e"] == {"for": pytest.approx(supports), "against": pytest.approx(refutes)}


def test_a_census_of_prompts_is_none_of_random_circuits() -> None:
    """The random circuits stay a sample where the prompts are all there are."""
    row = sufficiency_row({}, keep("sufficiency"), FULL, KEPT, RANDOM, at_least(0.5), DONE, CENSUS)
    assert (row["verdict"], row["interval"]) == ("inconclusive", "clopper-pearson")


def test_partial_necessity_is_the_share_of_removals_that_change_less() -> None:
    """Removing the circuit changes F(M) by 1: less than that do the sets at 4.5 and 4.1, so .4."""
    row = necessity_row({}, ablate("partial_necessity"), FULL, KEPT, RANDOM, at_least(0.99), DONE, HOW)
    assert row["estimate"] == pytest.approx(0.4)
    assert row["random"]["as_good"] == 3
    assert row["parts"] == {"F(M)": pytest.approx(5.0), "F(M\\C)": pytest.approx(4.0)}
    many = [run(4.9, seed=seed) for seed in range(60)]
    strong = necessity_row({}, ablate("partial_necessity"), FULL, EMPTY, many, at_least(0.9), DONE, HOW)
    assert strong["verdict"] == "supported"
    weak = necessity_row({}, ablate("partial_necessity"), FULL, run(4.95, seed=3), many, at_least(0.9), DONE, HOW)
    assert weak["verdict"] == "refuted"


def test_random_circuits_without_values_are_left_out() -> None:
    """NaN runs are skipped and counted; none at all is UNMEASURABLE, as is a task that is not done."""
    void = only([NAN] * N)
    row = sufficiency_row({}, keep("sufficiency"), FULL, KEPT, [void, EMPTY, void], at_least(0.5), DONE, HOW)
    assert (row["estimate"], row["n"], row["skipped"]) == (1.0, 1, 2)
    for others in ([], [void]):
        row = sufficiency_row({}, keep("sufficiency"), FULL, KEPT, others, at_least(0.5), DONE, HOW)
        assert (row["verdict"], row["reason"]) == ("unmeasurable", "no random circuit was measured")
    lost = run(5.0, seed=1, ranks=[2] * N)
    row = sufficiency_row({}, keep("sufficiency"), lost, KEPT, RANDOM, at_least(0.5), DONE, HOW)
    assert (row["verdict"], row["estimate"]) == ("unmeasurable", 0.6)
    broken = sufficiency_row({}, keep("sufficiency"), FULL, KEPT, [only([INF] * N)], at_least(0.5), DONE, HOW)
    assert "not finite" in broken["reason"]


def test_rows_of_metrics_without_answers_have_no_ranks() -> None:
    """kl and loss on plain text: the gates pass, and nothing is said of ranks."""
    full = {"kl": np.zeros(N), "answer_rank": np.full(N, NAN), "logit_diff": np.full(N, NAN)}
    part = full | {"kl": np.abs(BASE) + 0.1, "top_text": np.array(["x"] * N)}
    row = keep_row({}, keep("faithfulness", "kl"), full, part, None, [], at_most(2), DONE, HOW)
    assert row["verdict"] == "supported"
    assert row["estimate"] == pytest.approx(part["kl"].mean())
    assert not {"ranks", "fell_to"} & set(row)
    assert row["clean"]["top1"] is None
