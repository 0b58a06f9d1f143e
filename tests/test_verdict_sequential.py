"""Looking again and again: wrong verdicts by simulation, e-values against their intervals, ratios of bounded means."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from scipy import special, stats

from circuits.claims.claim import Bound
from circuits.verdict import anytime_t, betting, estimate
from circuits.verdict.bounded_ratio import infer_bounded_ratio
from circuits.verdict.decide import Asked, decide
from circuits.verdict.estimate import Inference, RatioEstimate

A = 0.025
NEED = math.log(1 / A)
RUNS = 2000
ALLOWED = A + 3 * math.sqrt(A * (1 - A) / RUNS)  # three standard errors of a rate
LOOKS = np.arange(32, 257, 16)


# ---- wrong verdicts at the bound, whenever one looks ----

AT_THE_BOUND: dict[str, tuple[float, Callable[[np.random.Generator], np.ndarray]]] = {
    "bernoulli .1": (0.1, lambda rng: (rng.random(256) < 0.1).astype(float)),
    "bernoulli .5": (0.5, lambda rng: (rng.random(256) < 0.5).astype(float)),
    "bernoulli .9": (0.9, lambda rng: (rng.random(256) < 0.9).astype(float)),
    "beta(2, 5)": (2 / 7, lambda rng: rng.beta(2, 5, 256)),
    "beta(8, 2)": (0.8, lambda rng: rng.beta(8, 2, 256)),
}


@pytest.mark.parametrize("name", AT_THE_BOUND)
def test_fifteen_looks_at_the_bound_are_covered(name: str) -> None:
    """With the mean on the bound, looked at every 16 values up to 256, either verdict is ever wrong in at most 2.5%."""
    truth, draw = AT_THE_BOUND[name]
    rng, wrong = np.random.default_rng(30), np.zeros(2)
    for _ in range(RUNS):
        values = draw(rng)
        for side, (data, mean) in enumerate(((values, truth), (1 - values, 1 - truth))):
            wrong[side] += (betting.log_e_process(data, np.array([mean]))[LOOKS - 1, 0] >= NEED).any()
    assert (wrong / RUNS <= ALLOWED).all()
    assert wrong.any()  # not merely by never deciding


def test_an_interval_of_a_fixed_number_would_not_be_covered() -> None:
    """Clopper and Pearson's limit, looked at as often, is wrong more than three times as often as it promises."""
    rng = np.random.default_rng(31)
    hits = np.cumsum(rng.random((RUNS, 256)) < 0.5, axis=1)[:, LOOKS - 1]
    lows = special.betaincinv(np.maximum(hits, 1), LOOKS - hits + 1, A)
    assert ((lows > 0.5) & (hits > 0)).any(axis=1).mean() > 3 * A


@pytest.mark.parametrize("noise", ["bernoulli", "beta", "none"])
def test_looks_at_whole_cycles_of_templates_are_covered(noise: str) -> None:
    """Three templates with means .1, .5 and .9 in turn: the mean of a cycle is .5, and is wrongly rejected in at most 2.5%."""
    rng, runs, wrong = np.random.default_rng(32), RUNS if noise != "none" else 1, np.zeros(2)
    means, strata = np.tile([0.1, 0.5, 0.9], 85), np.arange(255) // 3
    ends = np.arange(33, 256, 15)
    assert (ends % 3 == 0).all()
    for _ in range(runs):
        if noise == "bernoulli":
            values = (rng.random(255) < means).astype(float)
        else:
            values = rng.beta(9 * means, 9 * (1 - means)) if noise == "beta" else means
        for side, data in enumerate((values, 1 - values)):
            capital = betting.log_e_process(data, np.array([0.5]), strata=strata)
            wrong[side] += (capital[ends - 1, 0] >= NEED).any()
    assert (wrong / runs <= ALLOWED).all()


def test_cycles_cost_little_where_the_mean_is_far_from_the_bound() -> None:
    """The same three templates against a bound of .3: a wide enough distance is still found, within 64 values, in 9 of 10 runs."""
    rng, found = np.random.default_rng(33), 0
    means = np.tile([0.1, 0.5, 0.9], 21)
    for _ in range(200):
        values = rng.beta(9 * means, 9 * (1 - means))
        found += betting.log_e(values, 0.3, np.arange(63) // 3) >= NEED
    assert found > 180


# ---- e-values and their intervals ----


def bernoulli(seed: int, mean: float, n: int) -> np.ndarray:
    return (np.random.default_rng(seed).random(n) < mean).astype(float)


def known() -> Iterator[tuple[str, Inference, float]]:
    """Inferences of every kind, and how finely their intervals are known."""
    rng = np.random.default_rng(34)
    a, b, wide = rng.beta(3, 2, 64), rng.beta(2, 3, 64), rng.normal(4, 1.5, 64)
    cell = math.pi / 400  # betting limits use the bets of the upper end of a cell
    yield "bounded", estimate.infer_bounded(a), cell
    yield "bounded by cycles", estimate.infer_bounded(a, cycle=4), cell
    yield "bounded, other range", estimate.infer_bounded(20 * a - 10, -10, 10), 20 * cell
    yield "bounded, 0 or 1", estimate.infer_bounded(bernoulli(1, 0.8, 64)), cell
    yield "difference", estimate.infer_difference(a, b), 2 * cell
    yield "t", estimate.infer_t(wide), 1e-6
    yield "t, skipped", estimate.infer_t(np.append(wide, math.nan)), 1e-6
    yield "ratio", estimate.infer_ratio(0.7 * wide + rng.normal(0, 0.4, 64), wide), 1e-6
    yield "1 - ratio", estimate.infer_ratio(0.7 * wide + rng.normal(0, 0.4, 64), wide).less_than_one(), 1e-6
    yield "bounded ratio", infer_bounded_ratio(a * b, a, (0, 1), (0, 1)), 1e-4
    yield "bounded ratio by cycles", infer_bounded_ratio(a * b, a, (0, 1), (0, 1), cycle=2), 1e-4
    yield "1 - bounded ratio", infer_bounded_ratio(a * b, a, (0, 1), (0, 1)).less_than_one(), 1e-4


KNOWN = {name: (inference, grain) for name, inference, grain in known()}


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("confidence", [0.95, 0.99])
def test_e_values_agree_with_the_interval(name: str, confidence: float) -> None:
    """Just outside the interval the e-value reaches 1/a, just inside it does not, and the other side never speaks there."""
    inference, grain = KNOWN[name]
    found, need = inference(confidence), math.log(2 / (1 - confidence))
    assert -math.inf < found.low < found.value < found.high < math.inf
    assert inference.above(found.low - grain) >= need > inference.above(found.low + grain)
    assert inference.below(found.high + grain) >= need > inference.below(found.high - grain)
    for at in np.linspace(found.low - 0.2, found.high + 0.2, 9):
        assert min(inference.above(at), inference.below(at)) < need
    further = found.high - found.low
    assert inference.above(found.low - further) >= inference.above(found.low) - 1e-9
    assert inference.below(found.high + further) >= inference.below(found.high) - 1e-9


def test_outside_the_range_all_is_known_and_nothing_is_claimed() -> None:
    """A mean of values in [0, 1] is above -0.1 for certain; that it is above 1 or more, nothing can show."""
    found = estimate.infer_bounded([0.2, 0.9, 0.4])
    assert (found.above(-0.1), found.below(1.1)) == (math.inf, math.inf)
    assert (found.above(1.0), found.above(1.5), found.below(0.0), found.below(-0.5)) == (0.0, 0.0, 0.0, 0.0)


def test_the_turned_and_the_cut_inference_are_the_same_number() -> None:
    """1 minus the number turns ends and e-values round; ``at_most`` cuts the high end and nothing else."""
    rng = np.random.default_rng(35)
    clean = rng.uniform(1, 2, 48)
    kept = estimate.infer_ratio(0.1 * clean + rng.normal(0, 0.5, 48), clean)
    lost, found = kept.less_than_one(), kept(0.95)
    assert (lost(0.95).value, lost(0.95).low, lost(0.95).high) == (1 - found.value, 1 - found.high, 1 - found.low)
    assert (lost.above(0.7), lost.below(0.7)) == (kept.below(1 - 0.7), kept.above(1 - 0.7))
    cut = lost.at_most(1.0)
    assert lost(0.95).high > 1.0 == cut(0.95).high
    assert (cut(0.95).low, cut.above(0.5)) == (lost(0.95).low, lost.above(0.5))
    beyond = lost.at_most(lost(0.95).value - 0.01)  # an estimate above it stays as it is
    assert beyond(0.95) == lost(0.95)


def test_constants_have_the_e_value_of_the_rule_of_three() -> None:
    """Sixty 4s with a range of 2: 4 ± .1 at 95%, where the e-value is 1/a; at 99% 3 log(.01)/log(.05)/60 * 2."""
    found = estimate.infer_t([4.0] * 60, 2.0)
    assert (found(0.95).low, found(0.95).high) == pytest.approx((3.9, 4.1))
    assert (found.above(3.9 - 1e-9), found.below(4.1 + 1e-9)) == (pytest.approx(NEED), pytest.approx(NEED))
    assert (found.above(3.91), found.below(4.05), found.above(4.1)) == (0.0, 0.0, 0.0)
    half = 3 * math.log(0.01) / math.log(0.05) / 60 * 2
    assert found.above(4 - half) == pytest.approx(math.log(200))
    # Never more than normal values that vary as little as can be would give.
    assert found.above(-1e9) == pytest.approx(anytime_t.log_e(60, 1.0, 0.0))
    assert estimate.infer_t([4.0]).above(-100.0) == 0.0
    unknown = estimate.infer_t([4.0] * 60)  # no range: the value's own size stands in, so 4 ± 3/60 * 4
    assert (unknown(0.95).low, unknown.above(3.8 - 1e-9)) == (pytest.approx(3.8), pytest.approx(NEED))
    assert (unknown.above(3.81), unknown.below(4.19)) == (0.0, 0.0)


def test_the_e_value_of_a_t_test_is_a_ratio_of_densities() -> None:
    """From scipy's noncentral t densities, averaged over the effects that are bet on; missing values aside."""
    values = np.random.default_rng(36).normal(0.5, 1.0, 20)
    found = estimate.infer_t(np.insert(values, 3, math.nan))
    for at, sign in ((0.1, 1), (0.9, -1)):
        form = sign * (values - at)
        t = math.sqrt(20) * form.mean() / form.std(ddof=1)
        ratios = [stats.nct.pdf(t, 19, d * math.sqrt(20)) / stats.t.pdf(t, 19) for d in (0.15, 0.3, 0.6, 1.2, 2.4)]
        assert (found.above if sign > 0 else found.below)(at) == pytest.approx(math.log(np.mean(ratios)), rel=1e-6)


def test_a_ratio_needs_its_denominator_above_zero() -> None:
    """The e-value is the lesser of that of the linear form and that of a positive denominator."""
    rng = np.random.default_rng(37)
    bottom = rng.normal(0.4, 1.0, 40)
    top = 10 + rng.normal(0, 0.1, 40)
    found = estimate.infer_ratio(top, bottom)
    positive = anytime_t.log_e(40, bottom.mean(), bottom.std(ddof=1))
    form = top - bottom
    linear = anytime_t.log_e(40, form.mean(), form.std(ddof=1))
    assert positive < NEED < linear
    assert found.above(1.0) == pytest.approx(positive)
    assert (found(0.95).low, found(0.95).high) == (-math.inf, math.inf)


def test_a_ratio_that_does_not_vary_is_no_certainty() -> None:
    """A head whose ablation changes nothing: inside the rule-of-three interval no e-value decides."""
    clean = np.linspace(2, 6, 64)
    found = estimate.infer_ratio(clean, clean, 4.0)
    shown = found(0.95)
    half = 3 / 64 * 4.0 / 4.0
    assert (shown.low, shown.high) == pytest.approx((1 - half, 1 + half))
    assert found.above(1 - half / 2) < NEED
    assert found.below(1 + half / 2) < NEED


# ---- ratios of bounded means ----


def capital(values: list[float], mean: float) -> float:
    """The betting capital after all values against 'the mean is at most ``mean``', by the published bets."""
    shares, total, squares = [1.0] * 4, 0.5, 0.25
    for seen, value in enumerate(values):
        guess, variance = total / (seen + 1), squares / (seen + 1)
        bets = [math.sqrt(2 * math.log(1 / 0.025) / (h * variance)) for h in (24, 64, 160)]
        bets.append((guess - mean) / (variance + (guess - mean) ** 2))
        largest = 0.9 / mean if mean > 0 else math.inf
        shares = [s * (1 + min(max(b, 0.0), largest) * (value - mean)) for s, b in zip(shares, bets, strict=True)]
        total += value
        squares += (value - total / (seen + 2)) ** 2
    return sum(shares) / 4


def e_of_form(top: np.ndarray, bottom: np.ndarray, c: float, sign: int) -> float:
    """The e-value against 'the mean of sign * (top - c * bottom) is at most 0', both in [0, 1]."""
    low, high = sorted((0.0, c))
    ends = (-high, 1 - low)  # of top - c * bottom
    unit = (top - c * bottom - ends[0]) / (ends[1] - ends[0])
    zero = -ends[0] / (ends[1] - ends[0])
    return capital(unit.tolist(), zero) if sign > 0 else capital((1 - unit).tolist(), 1 - zero)


def fractions(seed: int, n: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """Values in [0, 1] whose means are .35 and .7: the ratio is one half."""
    rng = np.random.default_rng(seed)
    bottom = rng.beta(7, 3, n)
    return bottom * rng.beta(4, 4, n), bottom


@pytest.mark.parametrize("seed", range(3))
def test_the_ratio_is_what_a_grid_leaves(seed: int) -> None:
    """Every c of a grid below the interval and above it is rejected at 1/a by a plain loop, and the ends are not."""
    top, bottom = fractions(seed)
    found = infer_bounded_ratio(top, bottom, (0, 1), (0, 1))(0.95)
    assert isinstance(found, RatioEstimate)
    assert found.value == pytest.approx(top.mean() / bottom.mean())
    assert found.low < found.value < found.high
    kept = [
        c
        for c in np.linspace(-0.5, 2.0, 251)
        if e_of_form(top, bottom, c, 1) < 1 / A and e_of_form(top, bottom, c, -1) < 1 / A
    ]
    assert found.low == pytest.approx(kept[0], abs=0.01)
    assert found.high == pytest.approx(kept[-1], abs=0.01)
    for end, sign in ((found.low, 1), (found.high, -1)):
        assert (
            e_of_form(top, bottom, end - sign * 1e-4, sign) >= 1 / A > e_of_form(top, bottom, end + sign * 1e-4, sign)
        )
    assert (found.method, found.guaranteed, found.assumption) == ("betting (ratio)", True, None)
    assert found.denominator == estimate.bounded_mean(bottom)
    assert found.denominator_positive


def test_the_true_ratio_is_covered_whenever_one_looks() -> None:
    """Seven looks up to 128 prompts: each side is ever wrong about a ratio of one half in at most 2.5% of runs."""
    runs, wrong = 300, np.zeros(2)
    for seed in range(runs):
        top, bottom = fractions(100 + seed, 128)
        each = [infer_bounded_ratio(top[:n], bottom[:n], (0, 1), (0, 1)) for n in range(32, 129, 16)]
        wrong += max(e.above(0.5) for e in each) >= NEED, max(e.below(0.5) for e in each) >= NEED
    assert (wrong / runs <= A + 3 * math.sqrt(A * (1 - A) / runs)).all()


def test_intervals_of_ratios_cover_the_truth_and_are_of_use() -> None:
    """Of 40 intervals at 64 prompts none or one misses; they are narrower than .35."""
    found = [infer_bounded_ratio(*fractions(500 + seed, 64), (0, 1), (0, 1))(0.95) for seed in range(40)]
    assert sum(not e.low <= 0.5 <= e.high for e in found) <= 5  # 5% of 40, and two standard errors
    assert np.mean([e.high - e.low for e in found]) < 0.35


def test_a_bounded_ratio_needs_a_denominator_surely_above_zero() -> None:
    """Where the denominator's interval reaches 0 the interval is the whole line, and no e-value decides."""
    rng = np.random.default_rng(38)
    bottom, top = rng.uniform(-1, 1, 48), rng.uniform(0.8, 1, 48)
    found = infer_bounded_ratio(top, bottom, (-1, 1), (-1, 1))
    shown = found(0.95)
    assert isinstance(shown, RatioEstimate)
    assert (shown.low, shown.high, shown.denominator_positive) == (-math.inf, math.inf, False)
    assert shown.denominator.low < 0 < shown.denominator.high
    assert max(found.above(-5.0), found.below(5.0)) < NEED
    backwards = infer_bounded_ratio(top, -top, (-1, 1), (-1, 1))  # surely negative: no statement either
    assert (backwards(0.95).low, backwards(0.95).high) == (-math.inf, math.inf)
    assert max(backwards.above(-5.0), backwards.below(5.0)) < NEED
    nothing = infer_bounded_ratio([0.5, 0.5], [0.0, 0.0], (0, 1), (0, 1))(0.95)
    assert math.isnan(nothing.value)
    assert (nothing.low, nothing.high) == (-math.inf, math.inf)


def test_equal_runs_leave_room_around_a_ratio_of_one() -> None:
    """A metric that an ablation leaves as it is: 1 lies inside, with a width, and nothing is decided within."""
    bottom = fractions(7, 64)[1]
    found = infer_bounded_ratio(bottom, bottom, (0, 1), (0, 1))
    shown = found(0.95)
    assert shown.value == 1.0
    assert shown.low < 0.97 < 1.03 < shown.high
    assert max(found.above(0.99), found.below(1.01)) < NEED


def test_a_ratio_skips_prompts_that_lack_either_value_and_refuses_others() -> None:
    """NaN on one side drops the pair on both; values outside their ranges are an error."""
    top, bottom = fractions(3)
    whole = infer_bounded_ratio(top[2:], bottom[2:], (0, 1), (0, 1))(0.95)
    top[0], bottom[1] = math.nan, math.nan
    found = infer_bounded_ratio(top, bottom, (0, 1), (0, 1))(0.95)
    assert (found.n, found.skipped) == (46, 2)
    assert (found.value, found.low, found.high) == pytest.approx((whole.value, whole.low, whole.high))
    with pytest.raises(ValueError, match=r"values must lie in \[0, 1\], got 2"):
        infer_bounded_ratio([0.5, 0.5], [0.5, 2.0], (0, 1), (0, 1))(0.95)
    with pytest.raises(ValueError, match="no values"):
        infer_bounded_ratio([math.nan], [0.5], (0, 1), (0, 1))(0.95)


# ---- an end of a bound that no value can miss ----

ZEROS, ONES = np.zeros(32), np.ones(32)
ENDS: dict[str, tuple[Inference, tuple[float | None, float | None], str]] = {
    "band from the lowest value": (estimate.infer_bounded(ZEROS), (0.0, 0.3), "supported"),
    "band to the highest value": (estimate.infer_bounded(ONES), (0.7, 1.0), "supported"),
    "band beyond the range": (estimate.infer_bounded(ZEROS), (-1.0, 0.3), "supported"),
    "what no value can miss": (estimate.infer_bounded(ZEROS), (0.0, None), "supported"),
    "band that the values miss": (estimate.infer_bounded(ONES), (0.0, 0.3), "refuted"),
    "band of no width": (estimate.infer_bounded(ZEROS), (-1.0, 0.0), "inconclusive"),
    "the lowest value itself": (estimate.infer_bounded(ZEROS), (None, 0.0), "inconclusive"),
    "difference": (estimate.infer_difference(ONES, ZEROS), (0.5, 1.0), "supported"),
    "share lost": (estimate.infer_bounded(ZEROS).less_than_one(), (0.7, 1.0), "supported"),
    "values from 0": (estimate.infer_t(ZEROS, 1.0, nonneg=True), (0.0, 0.3), "supported"),
    "values of any size": (estimate.infer_t(ZEROS, 1.0), (0.0, 0.3), "inconclusive"),
}


@pytest.mark.parametrize(("known", "ends", "verdict"), ENDS.values(), ids=ENDS)
def test_an_end_that_no_value_can_miss_needs_no_evidence(
    known: Inference, ends: tuple[float | None, float | None], verdict: str
) -> None:
    """A band that reaches to the end of the range is judged by its other end; one of no more than that end is never supported."""
    row = decide({"kind": "attends", "statistic": "mass"}, Bound("between", *ends, "x"), known, Asked(0.95, 1))
    assert row["verdict"] == verdict
