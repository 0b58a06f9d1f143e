"""Shares, unbounded means and ratios: against independent computations, by coverage, on degenerate data, as laws."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from circuits.verdict import anytime_t
from circuits.verdict.estimate import (
    NEAR_NORMAL,
    UNSEEN_WITHIN_RANGE,
    Estimate,
    RatioEstimate,
    bounded_mean,
    corrected,
    infer_ratio,
    mean_t,
    paired_difference,
    paired_effect,
    ratio_of_means,
    share,
)

ERROR = 0.025
RUNS = 400
laws = settings(max_examples=40, deadline=None, derandomize=True)


def ratio_drop(
    clean: npt.ArrayLike, ablated: npt.ArrayLike, confidence: float = 0.95, observed: float | None = None
) -> RatioEstimate:
    """1 minus the ratio of means, as rows of drops take it."""
    found = infer_ratio(ablated, clean, observed).less_than_one()(confidence)
    assert isinstance(found, RatioEstimate)
    return found


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


def t_e_value(values: np.ndarray) -> float:
    """The t e-process for a mean above 0, from scipy's noncentral t densities."""
    n = len(values)
    t = math.sqrt(n) * values.mean() / values.std(ddof=1)
    each = [stats.nct.pdf(t, n - 1, delta * math.sqrt(n)) for delta in (0.15, 0.3, 0.6, 1.2, 2.4)]
    return float(np.mean(each) / stats.t.pdf(t, n - 1))


def test_mean_t_is_the_interval_of_the_t_e_process():
    """At either end the e-value of the deviation from it is 1/a, by scipy's densities; wider than Student's."""
    values = np.random.default_rng(5).normal(-3, 2, 37)
    for confidence in (0.9, 0.95, 0.99):
        found = mean_t(values, confidence)
        need = 2 / (1 - confidence)
        assert t_e_value(values - found.low) == pytest.approx(need, rel=1e-5)
        assert t_e_value(found.high - values) == pytest.approx(need, rel=1e-5)
        student = stats.t.interval(confidence, 36, values.mean(), stats.sem(values))
        assert found.low < student[0] < found.value < student[1] < found.high
        assert (found.method, found.guaranteed, found.assumption) == ("t", False, NEAR_NORMAL)


def test_three_values_say_nothing_at_any_time():
    """No e-value of three values reaches 40, however alike they are: the interval is the whole line."""
    found = mean_t([1.0, 2.0, 3.0])
    assert (found.value, found.low, found.high) == (2.0, -math.inf, math.inf)
    assert max(t_e_value(np.array([1.0, 1.0 + d, 1.0 - d])) for d in (0.3, 0.1, 0.03)) < 1 / ERROR
    assert mean_t([1.0, 2.0, 3.0], nonneg=True).low == 0.0


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
    values = [0.0, 0.0, 0.0, 0.0, 0.0, 5.0]
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
    """The ends of the set of c at which the t e-value of (1 - c) clean - ablated stays under 2 / (1 - confidence)."""

    def excess(c: float, sign: int) -> float:
        form = sign * ((1 - c) * clean - ablated)
        return anytime_t.log_e(len(form), form.mean(), form.std(ddof=1)) - math.log(2 / (1 - confidence))

    middle = 1 - ablated.mean() / clean.mean()
    low = optimize.brentq(lambda c: excess(c, 1), middle - 3, middle)
    return low, optimize.brentq(lambda c: excess(c, -1), middle, middle + 3)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_ratio_drop_inverts_the_t_e_process(seed, confidence):
    """The closed form equals a search over c with the e-value of the linear form."""
    clean, ablated = drops(seed)
    found = ratio_drop(clean, ablated, confidence)
    assert found.value == pytest.approx((clean.mean() - ablated.mean()) / clean.mean())
    assert (found.low, found.high) == pytest.approx(brute_force(clean, ablated, confidence), abs=1e-6)
    assert found.denominator_positive
    assert found.denominator == mean_t(clean, confidence)
    assert (found.method, found.guaranteed, found.assumption) == ("fieller", False, NEAR_NORMAL)


def test_ratio_drop_is_one_minus_the_ratio_of_means():
    """Drop and recovery are the same statement turned round; the denominator is the same."""
    clean, ablated = drops(7)
    drop, kept = ratio_drop(clean, ablated), ratio_of_means(ablated, clean)
    assert (drop.value, drop.low, drop.high) == (1 - kept.value, 1 - kept.high, 1 - kept.low)
    assert (drop.denominator, drop.n, drop.method) == (kept.denominator, kept.n, kept.method)


@pytest.mark.parametrize("confidence", [0.95, 0.6])
def test_ratio_drop_misses_no_more_often_than_promised_on_normal_data(confidence):
    """With normal noise each end misses a true drop of .25 in at most 2.5% (20%) of runs, looked at five times."""
    missed = np.zeros((RUNS, 2), bool)
    for seed in range(RUNS):
        clean, ablated = drops(seed, n=96)
        for n in (32, 48, 64, 80, 96):
            found = ratio_drop(clean[:n], ablated[:n], confidence)
            missed[seed] |= found.low > 0.25, found.high < 0.25
    error = (1 - confidence) / 2
    assert (missed.mean(axis=0) <= error + 3 * math.sqrt(error * (1 - error) / RUNS)).all()
    assert confidence > 0.9 or missed.mean() > 0.02  # not merely wide


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
    named = ratio_drop(clean, clean, observed=8.0)
    assert (named.low, named.high) == pytest.approx((-0.1, 0.1))


def test_constant_pairs_and_single_prompts_get_nonzero_width():
    """All prompts alike: the clean size stands in for the range; one prompt bounds nothing."""
    found = ratio_drop([4.0] * 30, [3.0] * 30)
    assert (found.value, found.low, found.high) == pytest.approx((0.25, 0.15, 0.35))
    one = ratio_drop([4.0], [3.0])
    assert one.value == 0.25
    assert not one.denominator_positive
    assert (one.low, one.high) == (-math.inf, math.inf)
    few = ratio_of_means([1.0, 2.0, 1.5, 3.0], [4.0] * 4, observed_range=1.0)  # a sure denominator, but too few values
    assert (few.low, few.high, few.denominator_positive) == (-math.inf, math.inf, True)
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
    too_few = math.isinf(anytime_t.quantile(len(pairs), (1 - confidence) / 2)) and found.method == "fieller"
    assert math.isinf(found.low) == math.isinf(found.high) == (too_few or not found.denominator_positive)
    rescaled = ratio_of_means(scale * top, scale * bottom, confidence)
    assert (rescaled.low, rescaled.high) == pytest.approx((found.low, found.high), rel=1e-5, abs=1e-5)
    wider = ratio_of_means(top, bottom, corrected(confidence, 4))
    slack = 1e-12 * max(1.0, abs(found.value))
    assert wider.low <= found.low + slack
    assert found.high <= wider.high + slack


# ---- shared rules ----

ONE_ARRAY = [bounded_mean, share, mean_t]
TWO_ARRAYS = [paired_difference, ratio_of_means]


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
    with pytest.raises(ValueError, match="denominator must be finite, got -inf at prompt 0"):
        ratio_of_means([1.0], [-math.inf])


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
