"""The t e-process: an unbounded mean tested at any time, under the assumption of normal values.

For values x_1, x_2, ... from a normal distribution with unknown mean and spread, the likelihood ratio of the
effect size delta against 0 in terms of the scale-free statistic tau = sum(x) / sqrt(sum(x^2)) is

    R_n(delta) = exp(-n delta^2 / 2) * I(n, delta tau) / I(n, 0),   I(n, b) = int_0^inf w^(n-1) exp(-w^2/2 + b w) dw

(right Haar prior on the spread). For delta > 0 it rises with tau, and while the true mean is at most 0 it is a
supermartingale: the conditional law of tau then lies below that of mean 0 in the likelihood ratio order. So is its
average over a fixed grid of delta, and by Ville's inequality it ever reaches 1/a with probability at most a, however
early the sampling stops. Because it depends on the data through tau only, the test has the form of Student's, with a larger
quantile that ``quantile`` gives.

Source: Wang & Ramdas, "Anytime-valid t-tests and confidence sequences for Gaussian means with unknown variance"
(arXiv 2310.03722); Perez-Ortiz, Lardy, de Heide & Grunwald, "E-statistics, group invariance and anytime-valid
testing" (arXiv 2208.07610).
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

EFFECTS = (0.15, 0.3, 0.6, 1.2, 2.4)
"""The effect sizes (mean / standard deviation) that are bet on, in equal parts: small ones need hundreds of values."""

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(120)
_REACH = 9.0  # standard deviations on either side of the integrand's peak: what lies beyond is 1e-18 of it


def log_e(n: int, mean: float, deviation: float) -> float:
    """Log e-value for "the mean is above 0" of ``n`` values with this mean and standard deviation (n - 1).

    -inf is never returned; 0 for n = 1 (one value says nothing of its spread) and for values that are all 0.
    ``mean`` and ``deviation`` in the values' units, ``deviation`` at least 0. Raises ValueError otherwise.
    """
    if n < 1 or not deviation >= 0.0 or not math.isfinite(mean) or not math.isfinite(deviation):
        raise ValueError(f"a mean of at least one value and its deviation are needed, got {n}, {mean}, {deviation}")
    squares = (n - 1) * deviation**2 + n * mean**2
    if n == 1 or squares == 0.0:
        return 0.0
    return _log_mixture(n, n * mean / math.sqrt(squares))


@cache
def quantile(n: int, error: float) -> float:
    """The t at which the e-value reaches 1/error: mean ± quantile * deviation / sqrt(n) is right at any time.

    ``n`` at least 1, ``error`` (of one end) in (0, 1). Always above Student's quantile; infinite where ``n`` values
    cannot reach it, however alike they are. 60 halvings of an interval: exact to rounding.
    """
    if not 0.0 < error < 1.0 or n < 1:
        raise ValueError(f"an error between 0 and 1 and at least one value are needed, got {error} and {n}")
    need = math.log(1.0 / error)
    low, high = 0.0, math.sqrt(n) * (1.0 - 1e-12)
    if n == 1 or _log_mixture(n, high) < need:
        return math.inf
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (low, middle) if _log_mixture(n, middle) >= need else (middle, high)
    return high * math.sqrt((n - 1) / (n - high**2))


def _log_mixture(n: int, tau: float) -> float:
    """Log of the mean over EFFECTS of R_n(delta) at tau in (-sqrt(n), sqrt(n))."""
    base = (n / 2.0 - 1.0) * math.log(2.0) + math.lgamma(n / 2.0)  # log I(n, 0)
    each = [-n * delta**2 / 2.0 + _log_integral(n, delta * tau) - base for delta in EFFECTS]
    top = max(each)
    return top + math.log(sum(math.exp(value - top) for value in each) / len(each))


def _log_integral(n: int, b: float) -> float:
    """log I(n, b), n at least 2, by Gauss-Legendre quadrature around the peak of a log-concave integrand."""
    peak = (b + math.sqrt(b**2 + 4.0 * (n - 1))) / 2.0
    spread = 1.0 / math.sqrt(1.0 + (n - 1) / peak**2)
    # Above the peak the integrand falls at least as a standard normal density does, but no faster where b is low.
    low, high = max(0.0, peak - _REACH * spread), peak + _REACH
    w = (high - low) / 2.0 * _NODES + (high + low) / 2.0
    logs = (n - 1) * np.log(w) - w**2 / 2.0 + b * w
    top = float(logs.max())
    return top + math.log(float((_WEIGHTS * np.exp(logs - top)).sum()) * (high - low) / 2.0)
