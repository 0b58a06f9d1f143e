"""Betting on bounded means: against a plain loop, by simulated coverage, on degenerate data, and as laws."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits.verdict import betting
from circuits.verdict.estimate import bounded_mean, mean_t, paired_difference, share

ERROR = 0.025
RUNS = 400
ALLOWED = ERROR + 3 * math.sqrt(ERROR * (1 - ERROR) / RUNS)  # three standard errors of a miss rate
HORIZONS = (24.0, 64.0, 160.0)
laws = settings(max_examples=40, deadline=None, derandomize=True)
units = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=40)
confidences = st.floats(0.5, 0.999)


def beta(rng: np.random.Generator, mean: float, sd: float, n: int) -> np.ndarray:
    weight = mean * (1 - mean) / sd**2 - 1
    return rng.beta(mean * weight, (1 - mean) * weight, n)


def capital_by_loop(
    values: list[float],
    mean: float,
    tuned_at: float,
    horizons: tuple[float, ...] = HORIZONS,
    strata: Sequence[int] | None = None,
) -> list[float]:
    """The average capital after each value, one number at a time, from the published formulas.

    With ``strata`` the bets of a cycle are those that were known before its first value.
    """
    shares = [1.0] * (len(horizons) + 1)
    history, total, squares = [], 0.5, 0.25
    guess, variance = total, squares
    for seen, value in enumerate(values):
        if strata is None or seen == 0 or strata[seen] != strata[seen - 1]:
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
    for strata in (None, np.arange(40) // 3, np.array([0, 0, 0, 1, *range(2, 20), *[20] * 18])):
        found = np.exp(betting.log_e_process(values, means, strata=strata, horizons=horizons))
        for column, mean in enumerate(means):
            cycles = None if strata is None else strata.tolist()
            expected = capital_by_loop(values.tolist(), float(mean), float(mean), horizons, cycles)
            assert found[:, column] == pytest.approx(expected, rel=1e-9)


def test_the_horizons_are_fixed_whatever_the_number_of_values():
    """Without being told, bets are for 24, 64 and 160 values, so that a later look changes no earlier capital."""
    values = beta(np.random.default_rng(2), 0.5, 0.2, 60)
    whole = betting.log_e_process(values, np.array([0.4]))
    assert np.exp(whole[:, 0]) == pytest.approx(capital_by_loop(values.tolist(), 0.4, 0.4, HORIZONS), rel=1e-9)
    assert np.array_equal(whole[:32], betting.log_e_process(values[:32], np.array([0.4])))


@pytest.mark.parametrize("cycle", [1, 4])
def test_the_e_value_is_the_capital_at_the_last_value(cycle):
    """Not its largest: what was won and lost again is gone. At 1 nothing can be said, below 0 everything."""
    values, strata = [1.0] * 20 + [0.0] * 20, [seen // cycle for seen in range(40)]
    history = capital_by_loop(values, 0.45, 0.45, strata=strata)
    assert max(history) > 2 * history[-1]
    given_strata = None if cycle == 1 else np.array(strata)
    assert betting.log_e(np.array(values), 0.45, given_strata) == pytest.approx(math.log(history[-1]))
    assert betting.log_e(np.array(values), 1.0) == 0.0
    assert betting.log_e(np.array(values), -0.1) == math.inf


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("draw", ["beta", "bernoulli", "small"])
@pytest.mark.parametrize("cycle", [1, 3])
def test_lower_limit_separates_rejected_from_kept_means(seed, draw, cycle):
    """Every mean below the limit is rejected at 1/a by the plain loop's last capital, and the mean just above is not."""
    rng = np.random.default_rng(seed)
    values = {
        "beta": beta(rng, 0.64, 0.15, 48),
        "bernoulli": (rng.random(48) < 0.9).astype(float),
        "small": rng.beta(1, 30, 48),
    }[draw]
    strata = None if cycle == 1 else np.arange(48) // cycle
    limit = betting.lower_limit(values, ERROR, strata)
    ends = np.sin(np.pi / 2 * np.arange(201) / 200) ** 2

    def last(mean: float) -> float:
        cell_end = float(ends[np.searchsorted(ends, mean)])
        return capital_by_loop(values.tolist(), mean, cell_end, strata=None if cycle == 1 else strata.tolist())[-1]

    assert 0 < limit < values.mean()
    assert last(limit + 1e-6) < 1 / ERROR
    assert all(last(float(mean)) >= 1 / ERROR for mean in np.linspace(0, limit, 60))


def test_a_limit_on_a_cell_border_stays_there():
    """A mean rejected by its own cell's bets but not by the next cell's is the limit itself."""
    values = np.random.default_rng(30).random(36)
    border, above = np.sin(np.pi / 2 * np.array([82, 83]) / 200) ** 2
    own, next_cell = (capital_by_loop(values.tolist(), border, tuned_at)[-1] for tuned_at in (border, above))
    assert next_cell < 1 / ERROR < own
    assert betting.lower_limit(values, ERROR) == pytest.approx(border, abs=1e-12)


def test_bets_never_look_at_the_value_they_are_placed_on():
    """Changing values from t on leaves the capital before t as it was."""
    values = np.random.default_rng(0).random(30)
    changed = values.copy()
    changed[17:] = 1 - changed[17:]
    means = np.linspace(0, 1, 11)
    before, after = betting.log_e_process(values, means), betting.log_e_process(changed, means)
    assert np.array_equal(before[:17], after[:17])
    assert not np.allclose(before[17:], after[17:])


def test_stakes_never_look_into_their_own_cycle():
    """With cycles of five, what changes in a cycle changes the guesses only from the next cycle on."""
    values, strata = np.random.default_rng(0).random(30), np.arange(30) // 5
    changed = values.copy()
    changed[15:] = 1 - changed[15:]
    for before, after in zip(
        betting.running_moments(values, strata), betting.running_moments(changed, strata), strict=True
    ):
        assert np.array_equal(before[:20], after[:20])
        assert not np.allclose(before[20:], after[20:])
        assert (before.reshape(6, 5) == before.reshape(6, 5)[:, :1]).all()


def test_expected_capital_is_at_most_one_when_the_mean_is_as_stated():
    """Over all 1,024 paths of ten fair coins the exactly expected capital is 1, at each time and below."""
    paths = ((np.arange(1024)[:, None] >> np.arange(10)) & 1).astype(float)
    means = np.array([0.5, 0.6])
    average = np.mean([np.exp(betting.log_e_process(path, means, horizons=(10, 5))) for path in paths], axis=0)
    assert average[:, 0] == pytest.approx(np.ones(10))  # a fair game
    assert (average[:, 1] <= 1 + 1e-9).all()  # a losing one
    assert average[-1, 1] < 1


def test_expected_capital_is_at_most_one_at_the_ends_of_cycles():
    """Templates with chances .1 and .9 in turn have mean 1/2: over all paths of five cycles nothing is expected to be won."""
    paths = ((np.arange(1024)[:, None] >> np.arange(10)) & 1).astype(float)
    chance = np.tile([0.9, 0.1], 5)
    weights = np.prod(np.where(paths == 1, chance, 1 - chance), axis=1)
    strata = np.arange(10) // 2
    capital = np.array([np.exp(betting.log_e_process(path, np.array([0.5]), strata=strata))[:, 0] for path in paths])
    expected = weights @ capital
    assert (expected[1::2] <= 1 + 1e-9).all()
    assert expected[0] > 1.1  # within a cycle there is no such promise: looks are taken at the ends


@pytest.mark.parametrize("horizons", [(), (0,), (10, -1)])
def test_horizons_must_be_positive(horizons):
    """A strategy without a positive horizon is refused."""
    with pytest.raises(ValueError, match="horizons must be numbers of values above 0"):
        betting.log_e_process(np.ones(3), np.array([0.5]), horizons=horizons)


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
    """At n = 64 an interval that holds at any time is less than twice as wide as the normal one of a fixed n."""
    rng = np.random.default_rng(22)
    cases = {
        "mass .64 sd .15": (lambda: beta(rng, 0.64, 0.15, 64), (0.0, 1.0), 0.15),
        "difference .3 sd .2": (lambda: np.clip(rng.normal(0.3, 0.2, 64), -1, 1), (-1.0, 1.0), 0.2),
        "share .9": (lambda: (rng.random(64) < 0.9).astype(float), (0.0, 1.0), 0.3),
    }
    for name, (draw, ends, deviation) in cases.items():
        found = [bounded_mean(draw(), *ends) for _ in range(60)]
        normal = 2 * 1.96 * deviation / math.sqrt(64)
        assert normal < np.mean([e.high - e.low for e in found]) < 2 * normal, name


def test_all_ones_leave_room_below_one():
    """64 ones are no certainty: the interval is [about 1 - 4/64, 1], near the exact binomial one of a fixed n."""
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
    """Sixty ones, then sixty zeros: the capital won early would exclude 1/2, so the interval is widened to it."""
    values = np.repeat([1.0, 0.0], 60)
    assert capital_by_loop(values.tolist(), 0.53, 0.53)[-1] > 1 / ERROR
    assert betting.lower_limit(values, ERROR) > 0.5
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


@pytest.mark.parametrize("cycle", [1, 2, 3])
def test_prompts_without_a_value_keep_their_place_in_the_cycle(cycle):
    """NaN is dropped, but the stakes change where the cycles of all prompts end."""
    rng = np.random.default_rng(12)
    values = beta(rng, 0.7, 0.1, 48)
    values[[0, 4, 5, 6, 7, 8, 30]] = math.nan
    there = ~np.isnan(values)
    strata = (np.flatnonzero(there) // cycle).tolist()
    found = bounded_mean(values, cycle=cycle)
    assert (found.n, found.skipped) == (41, 7)
    for limit, data in ((found.low, values[there]), (1 - found.high, 1 - values[there])):
        above, below = (
            capital_by_loop(data.tolist(), limit + step, limit + step, strata=strata)[-1] for step in (0.008, -0.008)
        )
        assert above < 1 / ERROR < below
    with pytest.raises(ValueError, match="a cycle has at least 1 prompt, got 0"):
        bounded_mean(values, cycle=0)


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
