"""The t e-process: against another quadrature, against noncentral t densities, and by simulation of early stopping."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, special, stats

from circuits.verdict import anytime_t


@pytest.mark.parametrize("n", [2, 5, 33, 256])
@pytest.mark.parametrize("b", [-6.0, -0.5, 0.0, 0.7, 12.0])
def test_the_integral_equals_an_adaptive_one(n: int, b: float) -> None:
    """I(n, b) by another quadrature; I(n, 0) is 2^(n/2-1) Gamma(n/2)."""
    peak = (b + math.sqrt(b**2 + 4 * (n - 1))) / 2
    top = (n - 1) * math.log(peak) - peak**2 / 2 + b * peak

    def integrand(w: float) -> float:
        return math.exp((n - 1) * math.log(w) - w**2 / 2 + b * w - top) if w > 0 else 0.0

    whole = integrate.quad(integrand, 0, peak, epsabs=0, epsrel=1e-11, limit=400)[0]
    whole += integrate.quad(integrand, peak, peak + 30, epsabs=0, epsrel=1e-11, limit=400)[0]
    assert anytime_t._log_integral(n, b) == pytest.approx(top + math.log(whole), rel=1e-8, abs=1e-8)
    if b == 0:
        exact = (n / 2 - 1) * math.log(2) + special.gammaln(n / 2)
        assert anytime_t._log_integral(n, b) == pytest.approx(exact, rel=1e-10, abs=1e-9)


def test_the_ratio_is_that_of_noncentral_t_densities() -> None:
    """R_n(delta) = density of t with n - 1 degrees and noncentrality delta sqrt(n) / central density."""
    values = np.array([0.4, 1.1, -0.2, 0.9, 0.3, 1.4, 0.1])
    n, mean, deviation = len(values), float(values.mean()), float(values.std(ddof=1))
    t = math.sqrt(n) * mean / deviation
    ratios = [stats.nct.pdf(t, n - 1, delta * math.sqrt(n)) / stats.t.pdf(t, n - 1) for delta in anytime_t.EFFECTS]
    assert anytime_t.log_e(n, mean, deviation) == pytest.approx(math.log(np.mean(ratios)), rel=1e-6)


@given(st.integers(2, 300), st.floats(-5, 5), st.floats(0.01, 5), st.floats(0.1, 50))
def test_the_unit_changes_nothing_and_more_is_more(n: int, mean: float, deviation: float, unit: float) -> None:
    """Scale-free; rising in the mean; evidence for one side is never evidence for the other."""
    found = anytime_t.log_e(n, mean, deviation)
    assert anytime_t.log_e(n, mean * unit, deviation * unit) == pytest.approx(found, rel=1e-6, abs=1e-6)
    assert anytime_t.log_e(n, mean + 0.1, deviation) >= found - 1e-9
    assert found < 1e-9 or anytime_t.log_e(n, -mean, deviation) < 1e-9


@pytest.mark.parametrize("n", [4, 16, 64, 256])
def test_the_quantile_is_where_the_evidence_suffices(n: int) -> None:
    """At the quantile the e-value is 1/error; it lies above Student's, by less than 80% from 16 values on."""
    t = anytime_t.quantile(n, 0.025)
    student = float(special.stdtrit(n - 1, 0.975))
    assert t > student
    if math.isfinite(t):
        assert anytime_t.log_e(n, t / math.sqrt(n), 1.0) == pytest.approx(math.log(40), abs=1e-6)
    if n >= 16:
        assert t < 1.8 * student


def test_one_value_and_zeros_are_no_evidence() -> None:
    """What does not vary because there is nothing to vary decides nothing."""
    assert anytime_t.log_e(1, 5.0, 0.0) == 0.0
    assert anytime_t.log_e(9, 0.0, 0.0) == 0.0
    assert anytime_t.quantile(1, 0.025) == math.inf
    with pytest.raises(ValueError, match="at least one value"):
        anytime_t.log_e(0, 1.0, 1.0)


@pytest.mark.parametrize("truth", [0.0, -0.1])
def test_looking_often_is_covered(truth: float) -> None:
    """Normal values with no positive mean, looked at every 16 up to 256: wrong at most 2.5%, where plain t errs far more."""
    rng = np.random.default_rng(5)
    runs, looks = 2000, range(32, 257, 16)
    values = rng.normal(truth, 1.0, (runs, 256))
    sums, squares = np.cumsum(values, axis=1), np.cumsum(values**2, axis=1)
    wrong, plain = np.zeros(runs, bool), np.zeros(runs, bool)
    for n in looks:
        mean = sums[:, n - 1] / n
        deviation = np.sqrt(np.maximum(squares[:, n - 1] - n * mean**2, 0) / (n - 1))
        t = math.sqrt(n) * mean / deviation
        wrong |= t >= anytime_t.quantile(n, 0.025)
        plain |= t >= float(special.stdtrit(n - 1, 0.975))
    assert wrong.mean() <= 0.025 + 3 * math.sqrt(0.025 * 0.975 / runs)
    if truth == 0.0:
        assert plain.mean() > 0.06
