"""Intervals: against independent computations, by simulated coverage, on degenerate data, and as laws."""

from __future__ import annotations

import math
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from circuits.verdict import betting
from circuits.verdict.estimate import (
    NEAR_NORMAL,
    UNSEEN_WITHIN_RANGE,
    Estimate,
    bounded_mean,
    corrected,
    mean_t,
    paired_difference,
    paired_effect,
    ratio_drop,
    ratio_of_means,
    share,
)

ERROR = 0.025
RUNS = 400
ALLOWED = ERROR + 3 * math.sqrt(ERROR * (1 - ERROR) / RUNS)  # three standard errors of a miss rate
laws = settings(max_examples=40, deadline=None, derandomize=True)
units = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=40)
confidences = st.floats(0.5, 0.999)


def beta(rng: np.random.Generator, mean: float, sd: float, n: int) -> np.ndarray:
    weight = mean * (1 - mean) / sd**2 - 1
    return rng.beta(mean * weight, (1 - mean) * weight, n)


def capital_by_loop(values: list[float], mean: float, tuned_at: float, horizons: tuple[float, ...]) -> list[float]:
    """The average capital after each value, one number at a time, from the published formulas."""
    shares = [1.0] * (len(horizons) + 1)
    history, total, squares = [], 0.5, 0.25
    for seen, value in enumerate(values):
        guess, variance = total / (seen + 1), squares / (seen + 1)
        bets = [math.sqrt(2 * math.log(1 / 0.025) / (h * variance)) for h in horizons]
        bets.append((guess - tuned_at) / (variance + (guess - tuned_at) ** 2))
        for i, bet in enumerate(bets):
            largest = 0.9 / mean if mean > 0 else math.inf
            shares[i] *= 1 + min(max(bet, 0.0), largest) * (value - mean)
        history.append(sum(shares) / len(shares))
        total += value
        squares += (value - total / (seen + 2)) ** 2
    return history


# ---- betting ----


def test_capital_of_two_ones_is_the_number_worked_out_by_hand():
    """Two ones against 'the mean is at most 1/2' give 1.45, then 2.5907."""
    # Plug-in: both bets are cut to 0.9 / 0.5 = 1.8, so 1.9 and 3.61. aGRAPA: first no bet (guess 1/2), then
    # guess .75, variance (.25 + .0625) / 2 = .15625, bet .25 / (.15625 + .0625) = 8/7, gain 11/7.
    found = np.exp(betting.log_e_process(np.ones(2), np.array([0.5]), horizons=(2,)))[:, 0]
    assert found == pytest.approx([(1.9 + 1) / 2, (3.61 + 11 / 7) / 2])


@pytest.mark.parametrize("horizons", [(40,), (40, 20.0), (24, 64, 160)])
def test_capital_equals_a_plain_loop(horizons):
    """The vectorised e-process equals the published recursion, one value and one mean at a time."""
    values = beta(np.random.default_rng(1), 0.3, 0.2, 40)
    means = np.array([0.0, 0.01, 0.2, 0.31, 0.7, 1.0])
    found = np.exp(betting.log_e_process(values, means, horizons))
    for column, mean in enumerate(means):
        expected = capital_by_loop(values.tolist(), float(mean), float(mean), horizons)
        assert found[:, column] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("draw", ["beta", "bernoulli", "small"])
def test_lower_limit_separates_rejected_from_kept_means(seed, draw):
    """Every mean below the limit is rejected at 1/a by the plain loop, and the mean just above is not."""
    rng = np.random.default_rng(seed)
    values = {
        "beta": beta(rng, 0.64, 0.15, 48),
        "bernoulli": (rng.random(48) < 0.9).astype(float),
        "small": rng.beta(1, 30, 48),
    }[draw]
    horizons = (48, 24.0)
    limit = betting.lower_limit(values, ERROR, horizons)
    ends = np.sin(np.pi / 2 * np.arange(201) / 200) ** 2

    def best(mean: float) -> float:
        cell_end = float(ends[np.searchsorted(ends, mean)])
        return max(capital_by_loop(values.tolist(), mean, cell_end, horizons))

    assert 0 < limit < values.mean()
    assert best(limit + 1e-6) < 1 / ERROR
    assert all(best(float(mean)) >= 1 / ERROR for mean in np.linspace(0, limit, 60))


def test_a_limit_on_a_cell_border_stays_there():
    """A mean rejected by its own cell's bets but not by the next cell's is the limit itself."""
    values = np.random.default_rng(17).random(36)
    horizons, need = (36, 18.0), math.log(1 / ERROR)
    border, above = np.sin(np.pi / 2 * np.array([79, 80]) / 200) ** 2
    own = betting.log_e_process(values, np.array([border]), horizons).max()
    next_cell = betting.log_e_process(values, np.array([border]), horizons, np.array([above])).max()
    assert next_cell < need < own
    assert betting.lower_limit(values, ERROR, horizons) == pytest.approx(border, abs=1e-12)


def test_bets_never_look_at_the_value_they_are_placed_on():
    """Changing values from t on leaves the capital before t as it was."""
    values = np.random.default_rng(0).random(30)
    changed = values.copy()
    changed[17:] = 1 - changed[17:]
    means = np.linspace(0, 1, 11)
    before = betting.log_e_process(values, means, (30,))
    after = betting.log_e_process(changed, means, (30,))
    assert np.array_equal(before[:17], after[:17])
    assert not np.allclose(before[17:], after[17:])


def test_expected_capital_is_at_most_one_when_the_mean_is_as_stated():
    """Over all 1,024 paths of ten fair coins the exactly expected capital is 1, at each time and below."""
    paths = ((np.arange(1024)[:, None] >> np.arange(10)) & 1).astype(float)
    means = np.array([0.5, 0.6])
    average = np.mean([np.exp(betting.log_e_process(path, means, (10, 5))) for path in paths], axis=0)
    assert average[:, 0] == pytest.approx(np.ones(10))  # a fair game
    assert (average[:, 1] <= 1 + 1e-9).all()  # a losing one
    assert average[-1, 1] < 1


@pytest.mark.parametrize("horizons", [(), (0,), (10, -1)])
def test_horizons_must_be_positive(horizons):
    """A strategy without a positive horizon is refused."""
    with pytest.raises(ValueError, match="horizons must be numbers of values above 0"):
        betting.log_e_process(np.ones(3), np.array([0.5]), horizons)


# ---- bounded mean and paired difference ----

DISTRIBUTIONS = {
    "beta(2, 5)": (2 / 7, lambda rng, n: rng.beta(2, 5, n)),
    "bernoulli .1": (0.1, lambda rng, n: (rng.random(n) < 0.1).astype(float)),
    "bernoulli .5": (0.5, lambda rng, n: (rng.random(n) < 0.5).astype(float)),
    "bernoulli .975": (0.975, lambda rng, n: (rng.random(n) < 0.975).astype(float)),
    "point mass .3": (0.3, lambda rng, n: np.full(n, 0.3)),
    "rare mode": (0.98 * 0.55, lambda rng, n: np.where(rng.random(n) < 0.02, 0.0, 0.55)),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_bounded_mean_misses_no_more_often_than_promised(name):
    """Each end is wrong in at most 2.5% of runs (plus three standard errors of the simulation)."""
    truth, draw = DISTRIBUTIONS[name]
    rng = np.random.default_rng(20)
    found = [bounded_mean(draw(rng, 48)) for _ in range(RUNS)]
    assert np.mean([e.low > truth for e in found]) <= ALLOWED
    assert np.mean([e.high < truth for e in found]) <= ALLOWED


def test_paired_difference_misses_no_more_often_than_promised():
    """Correlated pairs with a true difference of .25 are covered at each end."""
    rng = np.random.default_rng(21)
    misses = np.zeros(2)
    for _ in range(RUNS):
        common = rng.random(48)
        found = paired_difference(0.5 + 0.5 * common, rng.random(48) * 0.5 + common * 0.5)
        misses += [found.low > 0.25, found.high < 0.25]
    assert (misses / RUNS <= ALLOWED).all()


def test_widths_are_of_the_size_that_makes_64_prompts_useful():
    """At n = 64 the mean widths stay within 8% of those measured when this was written."""
    rng = np.random.default_rng(22)
    cases = {
        "mass .64 sd .15": (lambda: beta(rng, 0.64, 0.15, 64), (0.0, 1.0), 0.102),
        "difference .3 sd .2": (lambda: np.clip(rng.normal(0.3, 0.2, 64), -1, 1), (-1.0, 1.0), 0.165),
        "share .975": (lambda: (rng.random(64) < 0.975).astype(float), (0.0, 1.0), 0.109),
    }
    for name, (draw, ends, measured) in cases.items():
        found = [bounded_mean(draw(), *ends) for _ in range(60)]
        assert np.mean([e.high - e.low for e in found]) == pytest.approx(measured, rel=0.08), name


def test_all_ones_leave_room_below_one():
    """64 ones are no certainty: the interval is [about 1 - 3.7/64, 1], near the exact binomial one."""
    found = bounded_mean(np.ones(64))
    exact = ERROR ** (1 / 64)
    assert found.value == found.high == 1.0
    assert exact - 0.02 < found.low < exact
    assert bounded_mean(np.zeros(64)).high == pytest.approx(1 - found.low, abs=1e-12)


def test_one_value_says_nothing():
    """A single value leaves nearly the whole range open, and never a zero width."""
    assert (bounded_mean([0.5]).low, bounded_mean([0.5]).high) == (0.0, 1.0)
    assert bounded_mean([1.0]).low <= ERROR


def test_an_ill_ordered_sample_keeps_its_mean_in_the_interval():
    """Sixty ones, then sixty zeros: the early look would exclude 1/2, so the interval is widened to it."""
    values = np.repeat([1.0, 0.0], 60)
    assert betting.lower_limit(values, ERROR, (120, 60)) > 0.5
    found = bounded_mean(values)
    assert found.low == found.value == 0.5 < found.high
    turned = bounded_mean(values[::-1])
    assert turned.low < 0.5 == turned.value == turned.high


@pytest.mark.parametrize("ends", [(0.1, 0.7), (-0.1, 0.2), (0.3, 1.1)])
def test_rounding_never_leaves_the_range(ends):
    """The far end is reached exactly although low_end + (high_end - low_end) may round beyond it."""
    assert bounded_mean([ends[1]] * 5, *ends).high == ends[1]
    assert bounded_mean([ends[0]] * 5, *ends).low == ends[0]


def test_bounded_mean_states_what_it_did():
    """NaN prompts are dropped and counted, and the method and its guarantee are recorded."""
    found = bounded_mean([0.2, math.nan, 0.4, math.nan, 0.6])
    assert found.value == pytest.approx(0.4)
    assert (found.n, found.skipped, found.confidence) == (3, 2, 0.95)
    assert (found.method, found.guaranteed, found.assumption) == ("betting", True, None)
    assert (found.low, found.high) == (bounded_mean([0.2, 0.4, 0.6]).low, bounded_mean([0.2, 0.4, 0.6]).high)


def test_values_outside_the_range_are_refused_and_rounding_is_clipped():
    """1 + 5e-7 counts as 1; 1 + 2e-6 is an error that names the range and the value."""
    assert bounded_mean([1.0 + 5e-7, -5e-7]).value == 0.5
    with pytest.raises(ValueError, match=r"values must lie in \[0, 1\], got 1\.1"):
        bounded_mean([0.5, 1.1])
    with pytest.raises(ValueError, match=r"values must lie in \[0, 1\]"):
        bounded_mean([1.0 + 2e-6])
    with pytest.raises(ValueError, match=r"b must lie in \[0, 1\], got -0\.5"):
        paired_difference([0.5], [-0.5])
    with pytest.raises(ValueError, match="two finite ends in order"):
        bounded_mean([0.5], 1.0, 0.0)


def test_paired_difference_is_the_bounded_mean_of_half_the_difference_plus_one_half():
    """The documented map (D + 1) / 2 gives the same interval; a pair with one NaN is skipped."""
    rng = np.random.default_rng(3)
    a, b = rng.random(40), rng.random(40) ** 2
    found = paired_difference(np.append(a, [0.5, math.nan]), np.append(b, [math.nan, 0.5]))
    mapped = bounded_mean((a - b + 1) / 2)
    assert found.value == pytest.approx(np.mean(a - b))
    assert (found.low, found.high) == pytest.approx((2 * mapped.low - 1, 2 * mapped.high - 1), abs=1e-9)
    assert (found.n, found.skipped, found.guaranteed) == (40, 2, True)


def test_paired_difference_takes_a_general_range():
    """Values stretched from [0, 1] to [-10, 10] give the same interval, stretched twenty-fold."""
    rng = np.random.default_rng(4)
    a, b = rng.random(30), rng.random(30)
    unit, wide = paired_difference(a, b), paired_difference(20 * a - 10, 20 * b - 10, -10, 10)
    assert (wide.value, wide.low, wide.high) == pytest.approx(
        (20 * unit.value, 20 * unit.low, 20 * unit.high), abs=1e-6
    )


def test_an_interval_of_256_prompts_is_fast():
    """The best of ten stays far under the time of a forward pass (measured 7 ms)."""
    values = np.random.default_rng(0).random(256)
    times = []
    for _ in range(10):
        start = time.perf_counter()
        bounded_mean(values)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.05


@laws
@given(units, confidences)
def test_law_bounded_interval_holds_the_mean_inside_the_range(values, confidence):
    """0 <= low <= mean <= high <= 1, and never zero width."""
    found = bounded_mean(values, confidence=confidence)
    assert 0.0 <= found.low <= found.value <= found.high <= 1.0
    assert found.low < found.high
    assert found.value == pytest.approx(np.mean(values))


@laws
@given(units)
def test_law_bounded_interval_mirrors(values):
    """The interval of 1 - x is 1 minus the interval of x, reversed."""
    found, mirrored = bounded_mean(values), bounded_mean(1 - np.array(values))
    assert (mirrored.low, mirrored.high) == pytest.approx((1 - found.high, 1 - found.low), abs=2e-6)


@laws
@given(units, st.floats(-50, 50), st.floats(0.1, 100))
def test_law_bounded_interval_moves_with_its_range(values, shift, scale):
    """Shifting and scaling values and range together shifts and scales the interval."""
    found = bounded_mean(values)
    moved = bounded_mean(shift + scale * np.array(values), shift, shift + scale)
    expected = (shift + scale * found.low, shift + scale * found.high)
    assert (moved.low, moved.high) == pytest.approx(expected, abs=1e-5 * scale)
    assert shift <= moved.low <= moved.value <= moved.high <= shift + scale


@laws
@given(units, confidences, confidences)
def test_law_more_confidence_never_narrows(values, one, other):
    """Of two confidences the higher one's interval contains the other's, for every method."""
    less, more = sorted((one, other))
    hits = np.round(values)
    for function, data in ((bounded_mean, values), (share, hits), (mean_t, values)):
        narrow, wide = function(data, confidence=less), function(data, confidence=more)
        assert wide.low <= narrow.low
        assert narrow.high <= wide.high


# ---- share ----


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (1, 10), (5, 10), (10, 10), (62, 64), (1, 1), (0, 1)])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_share_is_clopper_pearson(hits, n, confidence):
    """The interval equals scipy.stats.binomtest's exact one."""
    found = share([1] * hits + [0] * (n - hits), confidence)
    exact = stats.binomtest(hits, n).proportion_ci(confidence, method="exact")
    assert (found.value, found.n) == (hits / n, n)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=1e-12)
    assert (found.method, found.guaranteed) == ("clopper-pearson", True)


def test_share_coverage_is_exact():
    """Summed over all outcomes of 20 prompts, each end misses with probability at most 2.5%."""
    found = [share([1] * hits + [0] * (20 - hits)) for hits in range(21)]
    lows, highs = np.array([e.low for e in found]), np.array([e.high for e in found])
    for truth in np.linspace(0.005, 0.995, 100):
        chances = stats.binom.pmf(np.arange(21), 20, truth)
        assert chances[lows > truth].sum() <= ERROR + 1e-12
        assert chances[highs < truth].sum() <= ERROR + 1e-12


def test_share_takes_bools_and_nan_but_no_fraction():
    """True counts as 1, NaN is skipped, 0.5 is an error that says what to use instead."""
    assert share([True, True, False]).value == pytest.approx(2 / 3)
    assert share([1.0, math.nan, 0.0]).skipped == 1
    with pytest.raises(ValueError, match=r"values that are 0 or 1, got 0\.5; use bounded_mean"):
        share([1, 0.5])


# ---- unbounded means ----


def test_mean_t_is_students_interval():
    """The interval equals scipy.stats' t interval, and by hand: 1, 2, 3 give 2 ± 4.3027 / sqrt(3)."""
    found = mean_t([1.0, 2.0, 3.0])
    assert (found.low, found.high) == pytest.approx((2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5), abs=1e-6)
    values = np.random.default_rng(5).normal(-3, 2, 37)
    expected = stats.t.interval(0.99, 36, values.mean(), stats.sem(values))
    found = mean_t(values, 0.99)
    assert (found.low, found.high) == pytest.approx(expected)
    assert (found.method, found.guaranteed, found.assumption) == ("t", False, NEAR_NORMAL)


@pytest.mark.parametrize(
    ("values", "observed_range", "half"),
    [
        ([0.0] * 10, 2.0, 0.6),  # 3/10 of the range
        ([4.0], 2.0, 6.0),  # n = 1: three ranges
        ([4.0] * 6, None, 2.0),  # no range: the value's own size
        ([-4.0] * 6, 0.0, 2.0),
        ([0.0] * 3, None, 1e-6),  # nothing known at all: small, not zero
        ([1e-7, 2e-7, 0.0], 1.0, 1.0),  # float noise is no spread
        ([0.1] * 3, 1.0, 1.0),  # numpy's mean of these is not 0.1 exactly
    ],
)
def test_constant_values_get_the_rule_of_three(values, observed_range, half):
    """Degenerate samples give value ± (3/n) x the observed range, never zero width."""
    found = mean_t(values, observed_range=observed_range)
    middle = float(np.mean(values))
    assert (found.low, found.high) == pytest.approx((middle - half, middle + half))
    assert (found.method, found.assumption) == ("rule-of-three", UNSEEN_WITHIN_RANGE)


def test_rule_of_three_widens_above_95_percent_and_never_narrows():
    """At 99% the factor is 3 log(.01)/log(.05) = 4.6117; at 90% it stays 3."""
    assert mean_t([0.0] * 10, 0.99, 1.0).high == pytest.approx(0.46117, abs=1e-5)
    assert mean_t([0.0] * 10, 0.95, 1.0).high == pytest.approx(0.3)
    assert mean_t([0.0] * 10, 0.9, 1.0).high == pytest.approx(0.3)


def test_nonneg_cuts_the_interval_at_zero():
    """A kl of 0 on every prompt gives [0, 3/n x range]; a spread-out one does not go below 0."""
    assert (mean_t([0.0] * 30, observed_range=1.0, nonneg=True).low) == 0.0
    assert (mean_t([0.0] * 30, observed_range=1.0, nonneg=True).high) == pytest.approx(0.1)
    values = [0.0, 0.0, 0.0, 5.0]
    assert mean_t(values).low < 0 == mean_t(values, nonneg=True).low
    assert mean_t(values).high == mean_t(values, nonneg=True).high
    assert mean_t([-1e-7, 0.0], nonneg=True).value == 0.0
    with pytest.raises(ValueError, match="must not be negative, got -1"):
        mean_t([-1.0, 2.0], nonneg=True)


@pytest.mark.parametrize("observed_range", [-1.0, math.nan, math.inf])
def test_observed_range_must_be_a_size(observed_range):
    """A negative or infinite range is an error."""
    with pytest.raises(ValueError, match="observed_range must be a finite number of at least 0"):
        mean_t([1.0], observed_range=observed_range)


# ---- ratios ----


def drops(seed: int, n: int = 40, drop: float = 0.25) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    clean = rng.normal(4, 1.5, n)
    return clean, (1 - drop) * clean + rng.normal(0, 0.5, n)


def brute_force(clean: np.ndarray, ablated: np.ndarray, confidence: float) -> tuple[float, float]:
    """The ends of the set of c at which scipy's t test of (1 - c) clean - ablated is not significant."""

    def excess(c: float) -> float:
        return stats.ttest_1samp((1 - c) * clean - ablated, 0.0).pvalue - (1 - confidence)

    middle = 1 - ablated.mean() / clean.mean()
    return optimize.brentq(excess, middle - 3, middle), optimize.brentq(excess, middle, middle + 3)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_ratio_drop_inverts_the_t_test(seed, confidence):
    """The closed form equals a search over c with scipy.stats.ttest_1samp."""
    clean, ablated = drops(seed)
    found = ratio_drop(clean, ablated, confidence)
    assert found.value == pytest.approx((clean.mean() - ablated.mean()) / clean.mean())
    assert (found.low, found.high) == pytest.approx(brute_force(clean, ablated, confidence), abs=1e-9)
    assert found.denominator_positive
    assert found.denominator == mean_t(clean, confidence)
    assert (found.method, found.guaranteed, found.assumption) == ("fieller", False, NEAR_NORMAL)


def test_ratio_drop_is_one_minus_the_ratio_of_means():
    """Drop and recovery are the same statement turned round."""
    clean, ablated = drops(7)
    drop, kept = ratio_drop(clean, ablated), ratio_of_means(ablated, clean)
    assert (drop.value, drop.low, drop.high) == (1 - kept.value, 1 - kept.high, 1 - kept.low)


def test_ratio_drop_misses_no_more_often_than_promised_on_normal_data():
    """With normal noise each end misses a true drop of .25 in about 2.5% of runs."""
    found = [ratio_drop(*drops(seed, n=24)) for seed in range(RUNS)]
    assert np.mean([e.low > 0.25 for e in found]) <= ALLOWED
    assert np.mean([e.high < 0.25 for e in found]) <= ALLOWED
    assert np.mean([e.low > 0.25 or e.high < 0.25 for e in found]) > 0.02  # not merely wide


def test_a_denominator_that_may_be_zero_bounds_nothing():
    """Where the clean mean's interval reaches 0 the interval is the whole line and the flag is down."""
    clean = np.array([3.0, -2.0, 1.0, -1.0, 0.5])
    found = ratio_drop(clean, 0.5 * clean + [0.1, -0.1, 0.2, 0.0, 0.1])
    assert not found.denominator_positive
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert math.isfinite(found.value)
    assert found.denominator.low < 0 < found.denominator.high


def test_a_negative_denominator_bounds_nothing():
    """A task done backwards (clean mean surely below 0) supports no statement about a drop."""
    clean, ablated = drops(1)
    found = ratio_drop(-clean, -ablated)
    assert not found.denominator_positive
    assert (found.low, found.high) == (-math.inf, math.inf)


def test_a_denominator_of_mean_zero_gives_no_value():
    """The ratio is then NaN, to be recorded as null, with an unbounded interval."""
    found = ratio_of_means([1.0, 2.0], [-1.0, 1.0])
    assert math.isnan(found.value)
    assert not found.denominator_positive
    assert (found.low, found.high) == (-math.inf, math.inf)


def test_ablation_that_changes_nothing_is_no_certainty():
    """Equal clean and ablated values give 0 ± (3/n) x clean range / clean mean."""
    clean = np.linspace(2, 6, 60)
    for ablated in (clean, clean + np.linspace(-1e-7, 1e-7, 60)):
        found = ratio_drop(clean, ablated)
        assert (found.low, found.high) == pytest.approx((-0.05, 0.05), abs=1e-6)  # 3/60 * 4 / 4
        assert (found.method, found.denominator_positive) == ("rule-of-three", True)
    named = ratio_drop(clean, clean, observed_range=8.0)
    assert (named.low, named.high) == pytest.approx((-0.1, 0.1))


def test_constant_pairs_and_single_prompts_get_nonzero_width():
    """All prompts alike: the clean size stands in for the range; one prompt bounds nothing."""
    found = ratio_drop([4.0] * 30, [3.0] * 30)
    assert (found.value, found.low, found.high) == pytest.approx((0.25, 0.15, 0.35))
    one = ratio_drop([4.0], [3.0])
    assert one.value == 0.25
    assert not one.denominator_positive
    assert (one.low, one.high) == (-math.inf, math.inf)
    gone = ratio_drop(np.linspace(2, 6, 60), np.zeros(60))  # everything lost, exactly
    assert (gone.low, gone.high) == pytest.approx((0.95, 1.05))


def test_a_ratio_skips_prompts_that_lack_either_value():
    """NaN on one side drops the pair on both, and is counted in the ratio and its denominator."""
    clean, ablated = drops(2)
    whole = ratio_drop(clean[2:], ablated[2:])
    clean[0], ablated[1] = math.nan, math.nan
    found = ratio_drop(clean, ablated)
    assert (found.n, found.skipped, found.denominator.skipped) == (38, 2, 2)
    assert (found.value, found.low, found.high) == (whole.value, whole.low, whole.high)


@laws
@given(
    st.lists(st.tuples(st.floats(0.5, 10), st.floats(-10, 10)), min_size=2, max_size=30),
    st.floats(0.6, 0.99),
    st.floats(0.01, 100),
)
def test_law_ratio_interval(pairs, confidence, scale):
    """The ratio lies in its interval, units cancel, and more confidence never narrows it."""
    bottom, top = np.array(pairs).T
    found = ratio_of_means(top, bottom, confidence)
    assert found.low <= found.value <= found.high
    assert found.low < found.high
    assert math.isinf(found.low) == math.isinf(found.high) == (not found.denominator_positive)
    rescaled = ratio_of_means(scale * top, scale * bottom, confidence)
    assert (rescaled.low, rescaled.high) == pytest.approx((found.low, found.high), rel=1e-5, abs=1e-5)
    wider = ratio_of_means(top, bottom, corrected(confidence, 4))
    slack = 1e-12 * max(1.0, abs(found.value))
    assert wider.low <= found.low + slack
    assert found.high <= wider.high + slack


# ---- shared rules ----

ONE_ARRAY = [bounded_mean, share, mean_t]
TWO_ARRAYS = [paired_difference, ratio_of_means, ratio_drop]


@pytest.mark.parametrize("values", [[], [math.nan, math.nan]])
def test_no_values_is_an_error_that_counts_the_prompts(values):
    """n = 0 has no estimate: the caller decides that the check is unmeasurable."""
    for function in ONE_ARRAY:
        with pytest.raises(ValueError, match=rf"no values: none of {len(values)} prompts has one"):
            function(values)
    for function in TWO_ARRAYS:
        with pytest.raises(ValueError, match="no values"):
            function(values, values)


def test_infinite_values_and_wrong_shapes_are_errors():
    """Infinity is not a missing value, and a matrix is not one number per prompt."""
    for function in ONE_ARRAY:
        with pytest.raises(ValueError, match="values must be finite, got inf at prompt 1"):
            function([1.0, math.inf])
        with pytest.raises(ValueError, match=r"one number per prompt, got an array of shape \(1, 2\)"):
            function([[1.0, 0.0]])
    for function in TWO_ARRAYS:
        with pytest.raises(ValueError, match=r"must cover the same prompts, got lengths \{.*: 2, .*: 1\}"):
            function([1.0, 0.5], [1.0])
    with pytest.raises(ValueError, match="ablated must be finite, got -inf at prompt 0"):
        ratio_drop([1.0], [-math.inf])


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0, math.nan])
def test_confidence_must_lie_between_0_and_1(confidence):
    """95 is a likely slip for 0.95 and is refused."""
    for function in ONE_ARRAY:
        with pytest.raises(ValueError, match="confidence must lie between 0 and 1"):
            function([1.0, 0.0], confidence=confidence)
    for function in TWO_ARRAYS:
        with pytest.raises(ValueError, match="confidence must lie between 0 and 1"):
            function([1.0, 0.5], [1.0, 0.0], confidence=confidence)


def test_corrected_is_bonferroni():
    """Six intervals at 95% together need 99.17% each; one needs no correction."""
    assert corrected(0.95, 1) == 0.95
    assert corrected(0.95, 6) == pytest.approx(0.9916667)
    with pytest.raises(ValueError, match="at least 1 interval, got m = 0"):
        corrected(0.95, 0)
    with pytest.raises(ValueError, match="confidence must lie between 0 and 1"):
        corrected(95, 2)


def test_paired_effect_is_mean_over_standard_deviation():
    """1, 2, 3 has mean 2 and standard deviation 1; NaN is left out."""
    assert paired_effect([1.0, 2.0, math.nan, 3.0]) == pytest.approx(2.0)
    assert paired_effect([-1.0, -2.0, -3.0]) == pytest.approx(-2.0)


@pytest.mark.parametrize("differences", [[], [0.3], [0.3, math.nan], [0.1] * 3, [0.0, 0.0], [0.3, 0.3 + 1e-9]])
def test_paired_effect_without_spread_is_none(differences):
    """No spread means no effect size, never an infinite or a rounding-made one."""
    assert paired_effect(differences) is None


def test_estimates_cannot_be_changed():
    """An estimate is a frozen record."""
    found = mean_t([1.0, 2.0])
    assert isinstance(found, Estimate)
    with pytest.raises(AttributeError):
        found.low = 0.0  # type: ignore[misc]


def test_importing_the_estimates_loads_neither_scipy_nor_torch():
    """scipy is needed by some intervals only, torch by none: a warm run pays for neither."""
    code = (
        "import sys, circuits.verdict.estimate, circuits.verdict.verdict as v;"
        "from circuits.verdict.estimate import bounded_mean; bounded_mean([0.5, 0.6]);"
        "print(sorted({'scipy', 'torch', 'pandas'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
