"""Verdicts: every place an interval can lie relative to a bound, and every mix of checks."""

from __future__ import annotations

import itertools
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits.verdict.verdict import Verdict, combine, judge, judge_exact

SUPPORTED, REFUTED = Verdict.SUPPORTED, Verdict.REFUTED
INCONCLUSIVE, UNMEASURABLE = Verdict.INCONCLUSIVE, Verdict.UNMEASURABLE
inf, nan = math.inf, math.nan


@pytest.mark.parametrize(
    ("interval", "bound", "corrected", "expected"),
    [
        # at_least 0.4
        ((0.5, 0.7), (0.4, None), (0.45, 0.75), SUPPORTED),
        ((0.4, 0.7), (0.4, None), (0.35, 0.75), SUPPORTED),  # touching is enough, uncorrected
        ((0.39, 0.7), (0.4, None), (0.35, 0.75), INCONCLUSIVE),
        ((0.1, 0.3), (0.4, None), (0.05, 0.35), REFUTED),
        ((0.1, 0.3), (0.4, None), (0.05, 0.4), INCONCLUSIVE),  # corrected touches: not strictly wrong
        ((0.1, 0.3), (0.4, None), (0.05, 0.45), INCONCLUSIVE),
        # at_most 0.4
        ((0.1, 0.3), (None, 0.4), (0.05, 0.5), SUPPORTED),
        ((0.1, 0.4), (None, 0.4), (0.05, 0.5), SUPPORTED),
        ((0.5, 0.7), (None, 0.4), (0.45, 0.8), REFUTED),
        ((0.5, 0.7), (None, 0.4), (0.4, 0.8), INCONCLUSIVE),
        # between -0.1 and 0.1: "no effect" is an equivalence test
        ((-0.05, 0.05), (-0.1, 0.1), (-0.2, 0.2), SUPPORTED),
        ((-0.1, 0.1), (-0.1, 0.1), (-0.2, 0.2), SUPPORTED),
        ((-0.5, 0.5), (-0.1, 0.1), (-0.6, 0.6), INCONCLUSIVE),  # a wide interval around 0 supports nothing
        ((0.2, 0.3), (-0.1, 0.1), (0.15, 0.4), REFUTED),
        ((-0.3, -0.2), (-0.1, 0.1), (-0.4, -0.15), REFUTED),
        ((0.05, 0.3), (-0.1, 0.1), (0.0, 0.4), INCONCLUSIVE),
        ((0.2, 0.3), (-0.1, 0.1), (0.05, 0.4), INCONCLUSIVE),
        # nothing is known
        ((-inf, inf), (0.4, None), (-inf, inf), INCONCLUSIVE),
        ((0.5, inf), (0.4, None), (0.3, inf), SUPPORTED),
        ((nan, 0.7), (0.4, None), (0.35, 0.75), UNMEASURABLE),
        ((0.5, 0.7), (0.4, None), (0.35, nan), UNMEASURABLE),
    ],
)
def test_judge(interval, bound, corrected, expected):
    """An interval supports from the right side, refutes from wholly beyond, else decides nothing."""
    assert judge(*interval, *bound, *corrected) is expected


def test_judge_without_correction_uses_the_same_interval():
    """A claim of one check needs no second interval."""
    assert judge(0.1, 0.3, 0.4, None) is REFUTED
    assert judge(0.1, 0.4, 0.4, None) is INCONCLUSIVE


def test_a_corrected_interval_never_refutes_what_the_plain_one_does_not():
    """A corrected interval that is narrower by mistake is widened to the plain one."""
    assert judge(0.1, 0.5, 0.4, None, 0.2, 0.3) is INCONCLUSIVE


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.1, 0.3, None, None), "needs a bound: at_least, at_most or between"),
        ((0.3, 0.1, 0.4, None), "the interval's ends are out of order: low 0.3 > high 0.1"),
        ((0.1, 0.3, 0.4, None, 0.4, 0.0), "the corrected interval's ends are out of order"),
        ((0.1, 0.3, 0.4, 0.2), "the bounds are out of order: 0.4 > 0.2"),
        ((0.1, 0.3, nan, None), "a bound must be a number"),
    ],
)
def test_judge_refuses_nonsense(arguments, message):
    """Ends or bounds in the wrong order are a mistake of the caller, not a verdict."""
    with pytest.raises(ValueError, match=message):
        judge(*arguments)


@pytest.mark.parametrize(
    ("value", "bound", "expected"),
    [
        (0.4, (0.4, None), SUPPORTED),
        (0.39, (0.4, None), REFUTED),
        (0.4, (None, 0.4), SUPPORTED),
        (0.41, (None, 0.4), REFUTED),
        (0.0, (-0.1, 0.1), SUPPORTED),
        (0.2, (-0.1, 0.1), REFUTED),
        (nan, (0.4, None), UNMEASURABLE),
    ],
)
def test_judge_exact(value, bound, expected):
    """A census has no interval: the value decides, and equality satisfies a bound."""
    assert judge_exact(value, *bound) is expected


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([SUPPORTED], SUPPORTED),
        ([SUPPORTED, SUPPORTED], SUPPORTED),
        ([SUPPORTED, INCONCLUSIVE], INCONCLUSIVE),
        ([SUPPORTED, UNMEASURABLE], UNMEASURABLE),
        ([INCONCLUSIVE, UNMEASURABLE], UNMEASURABLE),
        ([UNMEASURABLE, REFUTED], REFUTED),  # a false part makes the whole false, measured or not
        ([SUPPORTED, INCONCLUSIVE, UNMEASURABLE, REFUTED], REFUTED),
    ],
)
def test_combine(verdicts, expected):
    """Refuted before unmeasurable before inconclusive; supported only when all are, in any order."""
    for order in itertools.permutations(verdicts):
        assert combine(iter(order)) is expected


def test_combine_needs_a_check():
    """A claim without checks is not vacuously supported."""
    with pytest.raises(ValueError, match="at least one check"):
        combine([])


def test_verdicts_are_the_words_of_the_results_file():
    """A verdict is written as its lower-case word and read back from it."""
    assert json.dumps(list(Verdict)) == '["supported", "refuted", "inconclusive", "unmeasurable"]'
    assert Verdict("refuted") is REFUTED
    assert f"{REFUTED}" == "refuted"


ends = st.floats(-1, 1)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(ends, min_size=2, max_size=2), st.floats(0, 1), ends, st.floats(0, 1))
def test_law_the_opposite_claim_has_the_opposite_verdict(interval, extra, bound, width):
    """Turning the axis round turns at_least into at_most and changes no verdict."""
    low, high = sorted(interval)
    wide = (low - extra, high + extra)
    at_least = judge(low, high, bound, None, *wide)
    assert at_least is judge(-high, -low, None, -bound, -wide[1], -wide[0])
    # A band is the conjunction of its two sides.
    band = judge(low, high, bound, bound + width, *wide)
    assert band is combine([at_least, judge(low, high, None, bound + width, *wide)])


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(ends, min_size=2, max_size=2), ends, st.floats(0, 1))
def test_law_a_decided_verdict_agrees_with_the_census(interval, bound, position):
    """Wherever in the interval the truth lies, a decided verdict is the one the truth would give."""
    low, high = sorted(interval)
    verdict = judge(low, high, bound, None)
    truth = min(max(low + position * (high - low), low), high)
    if verdict is not INCONCLUSIVE:
        assert judge_exact(truth, bound, None) is verdict
