"""Which check decides a claim, and which refutation is the strongest."""

from __future__ import annotations

from typing import Any

import pytest

from circuits.report.ranking import Distance, beyond, deciding, strength, within


def row(verdict: str = "supported", **more: Any) -> dict[str, Any]:
    return {"verdict": verdict, "estimate": 0.6, "low": 0.5, "high": 0.8, "bound_low": 0.4, **more}


def refuted(high: float, **more: Any) -> dict[str, Any]:
    return row("refuted", estimate=0.2, low=0.1, high=high, bound_low=0.5, **more)


def test_distance_is_counted_in_arms_of_the_near_end() -> None:
    """A refuting interval that ends 0.2 short of its bound, 0.1 from its estimate, is two arms short."""
    found = beyond(refuted(0.3))
    assert found is not None
    assert (found.gap, found.arms) == (pytest.approx(0.2), pytest.approx(2.0))
    above = beyond({"estimate": 0.9, "low": 0.7, "high": 1.0, "bound_high": 0.3})
    assert above is not None
    assert (above.gap, above.arms) == (pytest.approx(0.4), pytest.approx(2.0))


def test_the_corrected_interval_is_the_one_that_refutes() -> None:
    """Where several checks widened the interval, the distance is that of the wide one."""
    found = beyond(refuted(0.3, corrected={"low": 0.0, "high": 0.4, "confidence": 0.99}))
    assert found is not None
    assert found.gap == pytest.approx(0.1)


@pytest.mark.parametrize(
    "case",
    [
        refuted(0.6),
        refuted(0.2),
        {**refuted(0.3), "high": None},
        {"estimate": None, "bound_low": 0.5},
        {"estimate": 0.1, "low": 0.0, "high": 0.2, "k": 3},
    ],
    ids=["not beyond", "no width", "open end", "not measured", "a rank"],
)
def test_no_distance_is_invented(case: dict[str, Any]) -> None:
    """What has no interval end beyond a bound has no distance."""
    assert beyond(case) is None


def test_within_a_band_the_nearer_bound_counts() -> None:
    """An interval inside a band is as safe as its nearer end."""
    found = within({"estimate": 0.0, "low": -0.02, "high": 0.04, "bound_low": -0.1, "bound_high": 0.1})
    assert found == Distance(pytest.approx(0.06), pytest.approx(1.5))


def test_the_deciding_check() -> None:
    """A refutation before all, the strongest first; among supported checks the one nearest to its bound; observed ones last."""
    safe, near = row(low=0.55), row(low=0.41)
    weak, strong = refuted(0.45), refuted(0.25)
    shown = {"observe": True, "estimate": 0.1, "verdict": None}
    assert deciding([shown, safe, near]) is near
    assert deciding([safe, weak, strong, near]) is strong
    assert deciding([safe, row("inconclusive"), near])["verdict"] == "inconclusive"  # type: ignore[index]
    assert deciding([shown]) is shown
    assert deciding([]) is None


def test_refutations_are_ranked_by_surprise_then_strength() -> None:
    """What was not expected comes first however weak; then more arms; values without an interval last."""
    exact = {"verdict": "refuted", "estimate": 0.0, "low": None, "high": None, "bound_low": 0.5}
    claims = {
        "exact": {"met": True, "checks": [exact]},
        "weak": {"met": True, "checks": [refuted(0.4)]},
        "strong": {"met": True, "checks": [refuted(0.21)]},
        "surprise": {"met": False, "checks": [refuted(0.45)]},
        "exact surprise": {"met": False, "checks": [exact]},
    }
    order = sorted(claims, key=lambda name: strength(claims[name]))
    assert order == ["surprise", "exact surprise", "strong", "weak", "exact"]


def test_what_uniform_attention_satisfies_is_set_aside() -> None:
    """A bound that any head meets says little of this one, however near it lies; it decides where there is nothing else."""
    empty, told = row(estimate=0.45, low=0.41, uniform_holds=True), row(estimate=0.9, low=0.8)
    assert deciding([empty, told]) is told
    assert deciding([empty]) is empty
    assert deciding([{**empty, "verdict": "refuted"}, told]) == {**empty, "verdict": "refuted"}


def test_exact_values_are_compared_by_their_distance() -> None:
    """They have no interval, and come behind what has one."""
    exact = {"verdict": "supported", "low": None, "high": None, "bound_low": 0.5, "bound_high": None}
    far, near = {**exact, "estimate": 1.0}, {**exact, "estimate": 0.55}
    assert deciding([far, near]) is near
    assert deciding([near, row()])["estimate"] == 0.6  # type: ignore[index]


def test_a_guessed_width_makes_no_refutation_the_strongest() -> None:
    """Equal values have no spread: their interval's arms are a guess."""
    guess = {"met": True, "checks": [refuted(0.21, interval="rule-of-three")]}
    measured = {"met": True, "checks": [refuted(0.4)]}
    nothing = {"met": True, "checks": [refuted(0.6)]}
    assert sorted([nothing, guess, measured], key=strength) == [measured, guess, nothing]
