"""From rows to a claim: when a row is settled, and what the e-values of all of them say together, by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits.claims.claim import Bound
from circuits.verdict.decide import Asked, NotYet, decide, log_mean_e, logs
from circuits.verdict.estimate import Inference, infer_bounded, infer_t
from circuits.verdict.rows import NOTHING_MEASURED
from circuits.verdict.verdict import Verdict
from circuits.verdict.whole import claim_evidence, claim_verdict, evidence_of, is_settled, is_vacuous

INF = math.inf
NEED = math.log(40)  # 1/a at 95%


def row(verdict: str | None, log_for: float | None = None, against: float | None = None, **more: Any) -> dict[str, Any]:
    """A sampled row with its log e-values; ``log_e=None`` in ``more`` for one without."""
    found = {"verdict": verdict, "observe": verdict is None, "reason": None, "interval": "betting"}
    return found | {"log_e": {"for": log_for, "against": against}} | more


def exact(verdict: str) -> dict[str, Any]:
    """A census, or a score from weights: neither an interval nor e-values."""
    return row(verdict, log_e=None, interval=None)


LATER, NEVER = NotYet("no query yet"), "numbers are not finite"


@pytest.mark.parametrize(
    ("found", "settled"),
    [
        (row("supported"), True),
        (row("refuted"), True),
        (row("inconclusive"), False),
        (row("unmeasurable", reason=NEVER), True),
        (row("unmeasurable", reason=LATER), False),
        (exact("supported"), True),
        (exact("refuted"), True),
        (row(None), True),  # only observed
        (row(None, reason=LATER), True),
        (row(None, reason=NEVER), True),
        (row("inconclusive", unit="random circuits"), True),  # more prompts are not more circuits
        (row("supported", unit="random circuits"), True),
        (row("unmeasurable", unit="random circuits", reason=NEVER), True),
        (row("unmeasurable", unit="random circuits", reason=LATER), False),
    ],
)
def test_a_row_is_settled_when_more_prompts_cannot_change_it(found: dict[str, Any], settled: bool) -> None:
    """Decided, only observed, of a fixed number of circuits, or with a reason that they cannot remove."""
    assert is_settled(found) is settled


def test_a_reason_that_became_plain_text_is_settled() -> None:
    """NotYet is a text of its own kind; as plain text (in results.json) it says nothing of more prompts."""
    assert not is_settled(row("unmeasurable", reason=LATER))
    assert is_settled(row("unmeasurable", reason=str(LATER)))
    assert LATER == "no query yet"


def test_the_evidence_of_a_row() -> None:
    """Its log e-values; certainty where the value is known exactly; nothing where nothing was measured or asked."""
    assert evidence_of(row("inconclusive", 1.5, -2.0)) == (1.5, -2.0)
    assert evidence_of(row("inconclusive", None, 0.5)) == (-INF, 0.5)
    assert evidence_of(exact("supported")) == (INF, -INF)
    assert evidence_of(exact("refuted")) == (-INF, INF)
    assert evidence_of(row("unmeasurable", log_e=None, interval=None)) == (-INF, -INF)
    assert evidence_of(row("unmeasurable", 9.0, 9.0)) == (-INF, -INF)  # numbers that are kept prove nothing


def test_the_evidence_of_a_claim_is_the_least_for_and_the_mean_against() -> None:
    """e-values 8, 2 and 5 for, 1, 12 and 20 against: 2 and 33/3; over six rows in all variants 33/6."""
    rows = [row("inconclusive", math.log(up), math.log(down)) for up, down in zip((8, 2, 5), (1, 12, 20), strict=True)]
    assert claim_evidence(rows, 3) == {"for": pytest.approx(math.log(2)), "against": pytest.approx(math.log(11))}
    assert claim_evidence(rows, 6)["against"] == pytest.approx(math.log(5.5))
    with_unmeasurable = [*rows, row("unmeasurable", 50.0, 50.0, reason=NEVER)]
    assert claim_evidence(with_unmeasurable, 4) == {"for": None, "against": pytest.approx(math.log(33 / 4))}
    assert claim_evidence([row("unmeasurable", log_e=None)], 1) == {"for": None, "against": None}


def test_exact_rows_are_certain_within_what_json_can_write() -> None:
    """One that fails refutes whatever the others are; one that holds leaves the others' evidence as it is."""
    sampled = row("supported", 5.0, -4.0)
    assert claim_evidence([exact("refuted"), sampled], 2) == {"for": None, "against": 700.0}
    assert claim_verdict([exact("refuted"), sampled], 0.95, 2) is Verdict.REFUTED
    found = claim_evidence([exact("supported"), sampled], 2)
    assert found == {"for": 5.0, "against": pytest.approx(-4.0 - math.log(2))}
    assert claim_verdict([exact("supported"), sampled], 0.95, 2) is Verdict.SUPPORTED
    assert claim_evidence([exact("supported")], 1) == {"for": 700.0, "against": None}


@pytest.mark.parametrize(
    ("against", "count", "verdict"),
    [
        ((60.0, 60.0, 1.0), 3, Verdict.REFUTED),  # 121/3 = 40.3, though none reaches 3 * 40 alone
        ((60.0, 58.0, 1.0), 3, Verdict.INCONCLUSIVE),  # 119/3 = 39.7
        ((60.0, 60.0, 1.0), 4, Verdict.INCONCLUSIVE),  # a row of another variant, not yet measured, counts as 0
        ((100.0, 10.0, 10.0), 3, Verdict.REFUTED),  # 120/3, exactly 1/a
        ((39.0, 39.0, 39.0), 3, Verdict.INCONCLUSIVE),
        ((41.0, 41.0, 41.0), 3, Verdict.REFUTED),
    ],
)
def test_a_claim_is_refuted_by_the_mean_of_e_values(against: tuple[float, ...], count: int, verdict: Verdict) -> None:
    """Where no row reaches the corrected level alone, together they may: one true claim in all is enough to bound it."""
    rows = [row("inconclusive", 0.0, math.log(each) + 1e-12) for each in against]
    assert claim_verdict(rows, 0.95, count) is verdict
    assert claim_verdict([*rows[:-1], row("supported", 9.0, math.log(against[-1]) + 1e-12)], 0.95, count) is verdict


def test_the_level_of_the_mean_is_that_of_the_confidence() -> None:
    """At 99% the mean must reach 200."""
    rows = [row("inconclusive", 0.0, math.log(150.0)), row("inconclusive", 0.0, math.log(240.0))]
    assert claim_verdict(rows, 0.95, 2) is Verdict.REFUTED
    assert claim_verdict(rows, 0.99, 2) is Verdict.INCONCLUSIVE
    assert claim_verdict(rows[1:], 0.99, 1) is Verdict.REFUTED


def test_what_cannot_be_measured_never_refutes_and_never_supports() -> None:
    """Its numbers are kept in the row, but its e-value counts as 0; the others may still refute the claim."""
    undone = row("unmeasurable", 60.0, 60.0, reason="the model does not do this task")
    assert claim_verdict([undone], 0.95, 1) is Verdict.UNMEASURABLE
    assert claim_verdict([undone, row("supported", 9.0, -3.0)], 0.95, 2) is Verdict.UNMEASURABLE
    assert claim_verdict([undone, row("inconclusive", 0.0, math.log(79.0))], 0.95, 2) is Verdict.UNMEASURABLE
    assert claim_verdict([undone, row("inconclusive", 0.0, math.log(81.0))], 0.95, 2) is Verdict.REFUTED
    assert claim_verdict([undone, row("refuted", 0.0, math.log(30.0))], 0.95, 2) is Verdict.REFUTED


def test_supported_rows_make_a_supported_claim() -> None:
    """Every part holds, so the claim does, with no correction; and no claim is made of no rows."""
    rows = [row("supported", NEED, -1.0)] * 20
    assert claim_verdict(rows, 0.95, 20) is Verdict.SUPPORTED
    with pytest.raises(ValueError, match="at least one check"):
        claim_verdict([], 0.95, 1)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.floats(-20, 20), min_size=1, max_size=6), st.integers(0, 5), st.floats(0.5, 0.99))
def test_law_the_mean_is_never_weaker_than_the_corrected_row(
    against: list[float], other: int, confidence: float
) -> None:
    """If one row's e-value reaches rows/a, the mean over all of them reaches 1/a."""
    count, need = len(against) + other, math.log(2 / (1 - confidence))
    rows = [row("inconclusive", 0.0, each) for each in against]
    if max(against) >= need + math.log(count) + 1e-9:
        assert claim_verdict(rows, confidence, count) is Verdict.REFUTED
    expected = sum(math.exp(each) for each in against) / count
    assert claim_evidence(rows, count)["against"] == pytest.approx(math.log(expected))


def test_a_claim_of_several_rows_errs_no_more_often_than_promised() -> None:
    """Four true rows, each on its bound and each stopped by itself: the claim is wrongly refuted in at most 2.5% of runs."""
    rng, runs, wrong = np.random.default_rng(40), 400, 0
    bound = Bound("at_least", 0.5, None, "at_least 0.5")
    how = Asked(0.95, 4)
    for _ in range(runs):
        rows = []
        for values in rng.random((4, 64)):
            inference = infer_bounded(values)
            log_e = next((v for v in (infer_bounded(values[:n]).below(0.5) for n in (32, 48)) if v >= math.log(160)), inference.below(0.5))  # fmt: skip
            rows.append(row("inconclusive", 0.0, log_e))
        wrong += claim_verdict(rows, how.confidence, how.rows) is Verdict.REFUTED
    assert wrong / runs <= 0.025 + 3 * math.sqrt(0.025 * 0.975 / runs)
    assert decide({**NOTHING_MEASURED}, bound, infer_bounded(np.full(64, 0.2)), how)["verdict"] == "refuted"


# ---- what rows are made of ----


def test_means_of_e_values_by_hand() -> None:
    """Of 1, 3 and 8 it is 4; over six 2; nothing is 0; one infinite one is infinite."""
    each = [math.log(value) for value in (1.0, 3.0, 8.0)]
    assert log_mean_e(each) == pytest.approx(math.log(4))
    assert log_mean_e(each, 6) == pytest.approx(math.log(2))
    assert log_mean_e([*each, -INF]) == pytest.approx(math.log(3))
    assert (log_mean_e([]), log_mean_e([-INF]), log_mean_e([1.0, INF])) == (-INF, -INF, INF)
    assert log_mean_e([800.0, 800.0]) == pytest.approx(800.0)  # beyond what a float can hold as an e-value
    assert logs(-INF, INF) == {"for": None, "against": 700.0}


def test_a_verdict_needs_the_interval_as_well_as_the_e_value() -> None:
    """A claim of evidence without its interval decides nothing, nor an interval without evidence."""
    bound = Bound("at_least", 0.5, None, "at_least 0.5")
    sure = infer_bounded(np.full(64, 0.9))
    assert decide({**NOTHING_MEASURED}, bound, sure, Asked(0.95, 1))["verdict"] == "supported"
    silent = Inference(sure.interval, lambda at: 0.0, lambda at: 0.0)
    assert decide({**NOTHING_MEASURED}, bound, silent, Asked(0.95, 1))["verdict"] == "inconclusive"
    wide = infer_t([0.4, 0.6] * 3)
    loud = Inference(wide.interval, lambda at: 50.0, lambda at: -50.0)
    assert decide({**NOTHING_MEASURED}, bound, loud, Asked(0.95, 1))["verdict"] == "inconclusive"


def test_values_without_an_estimate_are_unmeasurable_with_their_reason() -> None:
    """An error of the estimate is the row's reason, not the program's failure."""
    found = decide({**NOTHING_MEASURED}, Bound("at_least", 0.5, None, "x"), infer_bounded([math.nan]), Asked(0.95, 1))
    assert found["verdict"] == "unmeasurable"
    assert found["reason"].startswith("no estimate: no values")


@pytest.mark.parametrize("more", [{"reason": NEVER}, {"unit": "random circuits"}])
def test_a_row_that_is_settled_before_the_last_look_has_its_numbers(more: dict[str, Any]) -> None:
    """Whatever no further look can change is shown as it is now: estimate, interval and number of prompts."""
    how = Asked(0.95, 1, last=False)
    found = decide({**NOTHING_MEASURED, **more}, Bound("at_least", 0.5, None, "x"), infer_bounded([0.4, 0.6] * 9), how)
    assert is_settled(found)
    assert (found["estimate"], found["n"]) == (pytest.approx(0.5), 18)
    assert found["low"] < 0.5 < found["high"]


def test_an_undecided_row_that_waits_for_more_prompts_has_its_e_values() -> None:
    """Before the last look it needs no interval; a decided one has it, as the last one has."""
    bound = Bound("at_least", 0.5, None, "x")
    waits = decide({**NOTHING_MEASURED}, bound, infer_bounded([0.4, 0.6] * 9), Asked(0.95, 1, last=False))
    last = decide({**NOTHING_MEASURED}, bound, infer_bounded([0.4, 0.6] * 9), Asked(0.95, 1))
    assert (waits["verdict"], waits["log_e"], is_settled(waits)) == ("inconclusive", last["log_e"], False)
    sure = [
        decide({**NOTHING_MEASURED}, bound, infer_bounded([0.9] * 64), Asked(0.95, 1, last=end))
        for end in (False, True)
    ]
    assert sure[0] == sure[1]
    assert sure[0]["verdict"] == "supported"


def test_uniform_attention_that_satisfies_every_lower_bound_makes_a_claim_vacuous() -> None:
    """Upper bounds and bands alone never do, nor does a claim of which one row says more, nor an observed row."""
    low = {"bound_low": 0.1, "bound_high": None, "uniform_holds": True}
    high = {"bound_low": None, "bound_high": 0.5, "uniform_holds": True}
    band = {"bound_low": 0.1, "bound_high": 0.5, "uniform_holds": True}
    assert is_vacuous([low])
    assert is_vacuous([low, high, {"observe": True, "bound_low": None}])
    assert not is_vacuous([high]) and not is_vacuous([band]) and not is_vacuous([])
    assert not is_vacuous([low, {**low, "uniform_holds": False}])
    assert not is_vacuous([{**low, "observe": True}])
