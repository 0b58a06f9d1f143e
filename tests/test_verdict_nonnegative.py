"""Means of values of at least 0 without an upper end: the lower end is guaranteed, the upper one is that of t."""

from __future__ import annotations

import math

import numpy as np
import pytest

from circuits.claims.claim import Bound
from circuits.verdict.betting import HORIZONS, TRUNCATION, log_e_nonnegative, lower_limit_nonnegative
from circuits.verdict.decide import Asked, decide
from circuits.verdict.estimate import infer_t
from circuits.verdict.nonnegative import infer_nonnegative


def capital_by_hand(values: list[float], mean: float) -> float:
    """The capital of the four strategies, bet by bet, on value / mean against 1."""
    capitals = [1.0] * 4
    for t, value in enumerate(values):
        seen = [v / mean for v in values[:t]]
        means = [(0.5 + sum(seen[: k + 1])) / (k + 2) for k in range(len(seen))]
        guess = means[-1] if means else 0.5
        variance = (0.25 + sum((x - m) ** 2 for x, m in zip(seen, means, strict=True))) / (len(seen) + 1)
        bets = [math.sqrt(2 * math.log(40.0) / (horizon * variance)) for horizon in HORIZONS]
        bets.append((guess - 1.0) / (variance + (guess - 1.0) ** 2))
        for k, bet in enumerate(bets):
            capitals[k] *= 1.0 + min(max(bet, 0.0), TRUNCATION) * (value / mean - 1.0)
    return math.log(sum(capitals) / 4)


def test_the_capital_by_hand() -> None:
    """Values far above 1 are bet on like any other."""
    values = [0.2, 3.0, 0.0, 7.5, 1.1, 0.4, 2.2]
    for mean in (0.5, 1.0, 4.0):
        assert log_e_nonnegative(np.array(values), mean) == pytest.approx(capital_by_hand(values, mean), abs=1e-9)
    with pytest.raises(ValueError, match="above 0"):
        log_e_nonnegative(np.array(values), 0.0)


def test_heavy_tails_do_not_break_the_promise() -> None:
    """Lognormal values of a spread of seven times their mean, looked at five times: wrong in at most 2.5% of runs."""
    rng, runs, wrong = np.random.default_rng(2), 600, 0
    for _ in range(runs):
        values = rng.lognormal(-2.0, 2.0, 256)  # of mean exactly 1
        wrong += max(log_e_nonnegative(values[:n], 1.0) for n in (32, 64, 96, 160, 256)) >= math.log(40.0)
    assert wrong / runs <= 0.025 + 3 * math.sqrt(0.025 * 0.975 / runs)


def test_the_lower_end_is_where_the_test_stops_rejecting() -> None:
    """Every smaller mean is rejected, the next step is not; it never exceeds the sample mean."""
    values = np.random.default_rng(1).exponential(2.0, 64)
    low = lower_limit_nonnegative(values, 0.025)
    assert 0.0 < low < values.mean()
    assert all(log_e_nonnegative(values, at) >= math.log(40.0) for at in np.linspace(0.01, low, 20))
    assert log_e_nonnegative(values, low + values.mean() / 200) < math.log(40.0)
    assert lower_limit_nonnegative(np.zeros(64), 0.025) == 0.0


def test_only_a_lower_bound_is_guaranteed() -> None:
    """SUPPORTED at_least rests on nothing; at_most and REFUTED rest on near-normality."""
    values = np.random.default_rng(3).exponential(2.0, 128)
    found, plain = infer_nonnegative(values, 3.0)(0.95), infer_t(values, 3.0, nonneg=True)(0.95)
    assert (found.value, found.high, found.guaranteed, found.low_guaranteed) == (plain.value, plain.high, False, True)
    rows = {
        name: decide({}, bound, infer_nonnegative(values, 3.0), Asked(0.95, 1))
        for name, bound in {
            "supported": Bound("at_least", 1.0, None, "at_least 1"),
            "refuted": Bound("at_least", 9.0, None, "at_least 9"),
            "small": Bound("at_most", None, 9.0, "at_most 9"),
        }.items()
    }
    assert [rows[name]["verdict"] for name in rows] == ["supported", "refuted", "supported"]
    assert [rows[name]["guaranteed"] for name in rows] == [True, False, False]
