"""Sentences of the report: every kind of row in hand-written words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circuits.claims.claim import Circuit
from circuits.claims.heads import Component
from circuits.measure.subsets import random_circuits
from circuits.report import check_tables, control_tables, suite_page, words
from circuits.report.beside import controls
from circuits.report.front_page import beyond_text
from circuits.report.pages import against_bound
from circuits.report.prompt_sets import prompt_facts
from circuits.report.prose import expected_words
from circuits.report.terminal import failure_text, numbers


def row(**more: Any) -> dict[str, Any]:
    """A supported attention row; keys that do not matter to a test are left out, as in an old record."""
    found: dict[str, Any] = {
        "index": 1, "kind": "attends", "check": "attends: member -> earlier member", "head": "14.3", "prompts": "numerals",
        "statistic": "mass", "bound": "at_least 0.4", "bound_low": 0.4, "estimate": 0.61, "low": 0.58, "high": 0.64,
        "confidence": 0.95, "interval": "betting", "guaranteed": True, "n": 64, "seed": 0, "verdict": "supported",
    }  # fmt: skip
    return {**found, **more}


def ablation(**more: Any) -> dict[str, Any]:
    return row(**{"kind": "ablate", "check": "ablate: 23.3", "head": None, "ablated": ["23.3"], "statistic": "drop_in",
                  "metric": "logit_diff", "method": "mean", **more})  # fmt: skip


WHAT = {
    "mass": (
        row(),
        "Mean attention mass that head 14.3 puts, from each `member` token, on all earlier `member` tokens, averaged over the "
        "tokens that have such a key.",
    ),
    "top1": (
        row(statistic="top1", check="attends: is -> previous name"),
        "Share of query tokens whose most attended token, in head 14.3, is in the key set: from each `is` token, on the "
        "nearest earlier `name`, counted over the tokens that have such a key.",
    ),
    "lift": (
        row(statistic="lift", check="attends: end -> IO"),
        "Attention mass that head 14.3 puts, divided by what uniform attention would put there, from the last token, on all "
        "`IO` tokens before it.",
    ),
    "difference": (
        row(check="attends: member -> earlier member", more_than="member -> not member"),
        "Difference of two values, first minus second. Mean attention mass that head 14.3 puts, first from each `member` "
        "token, on all earlier `member` tokens; second from each `member` token, on all tokens before it that are not "
        "`member` tokens (BOS aside); averaged over the tokens that have a key on both sides.",
    ),
    "difference of other tokens": (
        row(check="attends: member -> earlier member", more_than="name -> earlier member"),
        "Difference of two values, first minus second. Mean attention mass that head 14.3 puts, first from each `member` "
        "token, on all earlier `member` tokens; second from each `name` token, on all earlier `member` tokens; each is "
        "averaged over the tokens that have such a key.",
    ),
    "but BOS": (
        row(check="attends: any -> not bos"),
        "Mean attention mass that head 14.3 puts, from every token (BOS aside), on all tokens before it but BOS, averaged over "
        "the tokens that have such a key.",
    ),
    "excluding": (
        row(check="attends: any -> self", excluding=["bos", "self"]),
        "Mean attention mass that head 14.3 puts, from every token (BOS aside), on the token itself, averaged over the tokens that have such a key. Attention to BOS and "
        "the token itself was left out and the rest of each row rescaled to sum to 1.",
    ),
    "offset": (
        row(check="attends: any[late] -> n-3"),
        "Mean attention mass that head 14.3 puts, from each of the tokens in the second half of the prompt, on the token 3 "
        "places back, averaged over the tokens that have such a key.",
    ),
    "swept offset": (
        row(check="attends: period -> n-{2*period-1}"),
        "Mean attention mass that head 14.3 puts, from each `period` token, on the token `2*period-1` places back, averaged over the tokens "
        "that have such a key.",
    ),
    "unreadable selector": (
        row(check="attends: <odd> ->"),
        "Mean attention mass that head 14.3 puts, over `<odd> ->`, averaged over the tokens that have such a key.",
    ),
    "score": (
        row(kind="score", check="score: induction", statistic="induction", head="18.6"),
        "Induction score of head 18.6: mean attention from each token of the second copy to the token after its first copy, "
        "on random tokens that stand there twice.",
    ),
    "unknown score": (
        row(kind="score", check="score: novelty", statistic="novelty", head=None),
        "`novelty` score of the claimed head.",
    ),
    "mean ablation": (
        ablation(reference={"n": 128}),
        "Relative drop of the logit difference between answer and foil, (clean - ablated) / clean with the means over "
        "prompts, when the output of head 23.3 is replaced by its mean over 128 corrupted prompts of the same template and "
        "length, position by position (mean ablation).",
    ),
    "zero ablation": (
        ablation(method="zero", statistic="change_in", metric="kl", ablated=["23.3", "20.5", "MLP3"]),
        "Change of the KL divergence KL(clean || ablated) of the predictions (in nats), ablated minus clean, when the outputs of "
        "heads 23.3 and 20.5 and MLP3 together are replaced by zero (zero ablation).",
    ),
    "resample ablation": (
        ablation(method="resample", statistic="after", metric="top5", at="end"),
        "The share of prompts whose answer is among the model's first 5 choices when the output of head 23.3 is replaced at "
        "`end` only by the one it has on the prompt's own corrupted partner (resample ablation).",
    ),
    "unknown kind": ({"check": "flow: 2.2 -> 5.5"}, "`flow: 2.2 -> 5.5`."),
    "empty": ({}, "`an unnamed check`."),
}  # fmt: skip


@pytest.mark.parametrize(("case", "expected"), WHAT.values(), ids=WHAT)
def test_what_was_measured_in_words(case: dict[str, Any], expected: str) -> None:
    """Each kind of row says which quantity it is about."""
    assert words.what(case) == expected


HOW_MUCH = {
    "guaranteed": (row(), "Measured on 64 prompts of `numerals` (seed 0): 0.61, 95% interval 0.58 to 0.64 (betting interval, guaranteed)."),
    "assumed": (
        ablation(percent=True, estimate=0.433, low=0.38, high=0.4712, interval="Fieller", guaranteed=False, assumption="near-normal", skipped=2),
        "Measured on 64 prompts of `numerals` (seed 0): 43.3%, 95% interval 38% to 47.1% (Fieller interval, not guaranteed: it "
        "assumes near-normal). 2 more prompts had no value and were left out.",
    ),
    "census": (
        row(interval=None, low=None, high=None, n=1),
        "Measured on 1 prompt of `numerals` (seed 0): 0.61; these are all the prompts there are (a census), so there is no sampling interval.",
    ),
    "one-sided": (
        row(low=None, seed=None, interval=None, guaranteed=None),
        "Measured on 64 prompts of `numerals`: 0.61, 95% interval up to 0.64 (no lower limit).",
    ),
    "not measured": (row(estimate=None, low=None, high=None), "Not measured on `numerals`: there is no value."),
}  # fmt: skip


@pytest.mark.parametrize(("case", "expected"), HOW_MUCH.values(), ids=HOW_MUCH)
def test_how_much_and_how_sure(case: dict[str, Any], expected: str) -> None:
    """The estimate comes with its prompts, its interval and what the interval rests on."""
    assert words.how_much(case) == expected


def test_an_interval_free_value_is_no_census_when_the_prompts_are_not_all() -> None:
    """A value without an interval on a sample of prompts is not called a census."""
    case = row(interval=None, low=None, high=None)
    assert words.how_much(case, {"census": False}).endswith(": 0.61; no interval was computed.")


STRICTER = {"low": 0.3, "high": 0.39, "confidence": 0.975}
WHY = {
    "supported": (
        row(corrected={"low": 0.57, "high": 0.65, "confidence": 0.975}),
        "Supported because the whole interval is at least 0.4; it would have been refuted had the whole corrected interval "
        "(97.5%, the error divided by 2) been below 0.4.",
    ),
    "supported without a correction": (
        row(corrected={"low": 0.58, "high": 0.64, "confidence": 0.95}),
        "Supported because the whole interval is at least 0.4; it would have been refuted had the whole interval been below 0.4.",
    ),
    "supported between": (
        row(bound_low=-0.1, bound_high=0.1, percent=True),
        "Supported because the whole interval is between -10% and 10%; it would have been refuted had the whole interval "
        "been below -10% or above 10%.",
    ),
    "refuted": (
        row(verdict="refuted", estimate=0.35, low=0.31, high=0.38, corrected=STRICTER),
        "Refuted because the whole corrected interval, 0.3 to 0.39 (97.5%, the error divided by 2), is below 0.4; it would have been supported had "
        "the whole interval been at least 0.4.",
    ),
    "refuted from above": (
        row(verdict="refuted", bound_low=-0.1, bound_high=0.1),
        "Refuted because the whole interval is above 0.1; it would have been supported had the whole interval been between "
        "-0.1 and 0.1.",
    ),
    "refuted from below": (
        row(verdict="refuted", bound_low=0.7, bound_high=0.9),
        "Refuted because the whole interval is below 0.7; it would have been supported had the whole interval been between "
        "0.7 and 0.9.",
    ),
    "inconclusive": (
        row(verdict="inconclusive", bound_low=None, bound_high=0.6),
        "Inconclusive because the interval has values that meet the bound, at most 0.6, and values that do not; it would have "
        "been supported had the whole interval been at most 0.6, and refuted had the whole interval been above 0.6.",
    ),
    "inconclusive after correction": (
        row(verdict="inconclusive", low=0.3, high=0.39, corrected={"low": 0.2, "high": 0.41, "confidence": 0.975}),
        "Inconclusive because the interval misses the bound, at least 0.4, but the corrected interval (97.5%, the error divided by 2) does not wholly; "
        "it would have been supported had the whole interval been at least 0.4, and refuted had the whole corrected interval "
        "(97.5%, the error divided by 2) been below 0.4.",
    ),
    "census": (
        row(interval=None, low=None, high=None),
        "Supported because the value is at least 0.4; a value that is not would have refuted it.",
    ),
    "census refuted": (
        row(interval=None, low=None, high=None, estimate=0.1, verdict="refuted"),
        "Refuted because the value is not at least 0.4; a value at least 0.4 would have supported it.",
    ),
    "unmeasurable": (
        row(verdict="unmeasurable", reason="the selectors match no token", estimate=None),
        "Unmeasurable: the selectors match no token. The bound, at least 0.4, was not tested.",
    ),
    "observed": (
        row(observe=True, bound=None, bound_low=None, verdict=None),
        "Observed only: no bound was set, nothing would have refuted it, and it has no influence on the verdict.",
    ),
    "other bound": (
        row(bound="top: 5", bound_low=None),
        "Supported by the bound top: 5; it would have been refuted had the measurement shown the opposite.",
    ),
}  # fmt: skip


NEVER = (
    "is the end of what this value can be, and an interval never closes on that end: more prompts may refute this bound, and "
    "never support it; write one that leaves a little room, such as "
)
AT_AN_END = {
    "at_most": (row(bound="at_most 0", bound_low=None, bound_high=0.0, low=0.0, high=0.06), f"0 {NEVER}at_most: 0.05"),
    "at_least": (row(bound="at_least 1", bound_low=1.0, low=0.94, high=1.0), f"1 {NEVER}at_least: 0.95"),
    "percent": (row(bound="at_least 100%", bound_low=1.0, low=0.9, high=1.0, percent=True), f"100% {NEVER}at_least: 95%"),
    "lower end of a band": (row(bound="between 1 and 2", bound_low=1.0, bound_high=2.0, low=0.9, high=1.0), f"1 {NEVER}between: [0.95, 2]"),
    "upper end of a band": (row(bound="between -1 and 0", bound_low=-1.0, bound_high=0.0, low=0.0, high=0.1), f"0 {NEVER}between: [-1, 0.05]"),
    "a range of one's own": (row(bound="at_least 10", bound_low=10.0, low=9.0, high=10.0), f"10 {NEVER}at_least: 9.5"),
}  # fmt: skip


@pytest.mark.parametrize(("case", "expected"), AT_AN_END.values(), ids=AT_AN_END)
def test_a_bound_at_the_end_of_the_range_is_never_said_to_need_more_prompts(
    case: dict[str, Any], expected: str
) -> None:
    """No number of prompts supports it; the page and the terminal say so, and what to write."""
    case = {**case, "verdict": "inconclusive"}
    told = {"status": "measured", "verdict": "inconclusive", "expected": "supported", "claim": "c"}
    text = failure_text({**told, "file": "f", "line": 1, "yaml": "", "checks": [case]})
    assert f"so these 64 prompts do not decide it; {expected}\n" in text and "narrow it" not in text
    assert words.why(case).endswith(f". {expected}.")


def test_a_bound_within_the_range_needs_more_prompts() -> None:
    """Also where the other end of a band, or of the interval, is the end of the range."""
    band = row(bound="between 0.9 and 1", bound_low=0.9, bound_high=1.0, low=0.85, high=1.0, verdict="inconclusive")
    within = row(bound="at_least 0.9", bound_low=0.9, low=0.85, high=1.0, verdict="inconclusive")
    for case in (band, within):
        assert words.never_closes(case) == "" and words.why(case).endswith(" been below 0.9 or above 1." if case is band else "been below 0.9.")  # fmt: skip


def test_two_checks_that_differ_in_their_cut_are_told_apart() -> None:
    """What was measured says where a metric is cut, and is about that metric."""
    cut, uncut = words.what(ablation(range=[-40, 40])), words.what(ablation())
    assert cut == f"{uncut} On each prompt a value below -40 counts as -40, one above 40 as 40 (`range`)."


def test_random_circuits_are_said_to_be_drawn_as_they_are() -> None:
    """Their size, from where, and that they may overlap the circuit: what ``measure.subsets.random_circuits`` does."""
    circuit = {"name": "c", "heads": ["0.0", "0.1"], "mlps": [0]}
    keep = {
        "kind": "keep_only",
        "circuit": circuit,
        "random": {"count": 5, "median": 0.2, "as_good": 1, "min": 0.1, "max": 0.3},
    }
    told = "drawn evenly from all of the model: not matched by layer, and it may share parts with the circuit."
    assert f"as many heads and as many MLPs as the circuit has, {told}" in words.what(
        row(**keep, statistic="sufficiency")
    )
    assert any(told in text for text in words.beside(row(**keep, statistic="recovers")))
    drawn = random_circuits(Circuit("c", (Component(0, 0), Component(1, 1)), (Component(1),)), 2, 2, 11, seed=0)
    assert {(len(each.heads), len(each.mlps or ())) for each in drawn} == {(2, 1)}
    assert any(Component(0, 0) in each.heads for each in drawn), "they may overlap"
    assert any(each.heads[0].layer == each.heads[1].layer for each in drawn), "no layer is matched"


TASKS = {
    "exact": (
        {"top1": 1.0, "top1_low": 0.891, "top1_interval": "clopper-pearson", "top1_confidence": 0.95},
        " (95% interval from 89.1%, clopper-pearson)",
    ),
    "its own level": (
        {"top1": 1.0, "top1_low": 0.874161, "top1_interval": "betting", "top1_confidence": 0.99},
        " (99% interval from 87.4%, betting)",
    ),
    "an older record": ({"top1": 0.5, "top1_low": 0.47}, " (interval from 47%)"),
    "no limit": ({"top1": 1.0}, ""),
}


@pytest.mark.parametrize(("clean", "expected"), TASKS.values(), ids=TASKS)
def test_the_limit_of_the_models_accuracy_has_a_level_and_a_method(clean: dict[str, Any], expected: str) -> None:
    """As they were measured, whatever the level of the row's own interval."""
    assert words.task_limit(row(confidence=0.9998, clean=clean)) == expected


FELL = [[" the", 13], [" his", 4], [" a", 2], [" an", 1]]
OTHERS = {
    "all named": (row(fell_to=FELL, lost=[20, 49]), 4, ""),
    "one left": (row(fell_to=FELL, lost=[20, 49]), 3, " and 1 other token (1 prompt)"),
    "tokens and prompts": (row(fell_to=FELL, lost=[20, 49]), 2, " and 2 other tokens (3 prompts)"),
    "as many as prompts": (row(fell_to=FELL, lost=[21, 49]), 3, " and 2 other tokens (2 prompts)"),
    "more than recorded": (row(fell_to=FELL, lost=[32, 49]), 3, " and at least 2 other tokens (13 prompts)"),
    "old record": (row(fell_to=FELL), 1, " and 3 other tokens (7 prompts)"),
}


@pytest.mark.parametrize(("case", "shown", "expected"), OTHERS.values(), ids=OTHERS)
def test_what_is_not_named_is_counted_in_tokens_and_prompts(case: dict[str, Any], shown: int, expected: str) -> None:
    """A number of tokens is no number of prompts."""
    assert words.other_tokens(case, shown) == expected


UNIFORM = "uniform attention (0.167) satisfies this bound too: it says little about the head"
REMARKS = {
    "supported": (row(), [("Warning", UNIFORM)]),
    "refuted": (row(verdict="refuted"), [("Note", "uniform attention (0.167) would satisfy this bound")]),
    "a lift in a band": (
        row(bound_low=0.9, bound_high=1.1, statistic="lift"),
        [("Note", "uniform attention (0.167) lies within this band, too: the head is near it")],
    ),
    "a mass in a band": (row(bound_low=0.1, bound_high=0.3), [("Warning", UNIFORM)]),
}


@pytest.mark.parametrize(("case", "expected"), REMARKS.values(), ids=REMARKS)
def test_uniform_attention_is_warned_of_where_a_head_satisfies_the_bound(case: dict[str, Any], expected: Any) -> None:
    """A refuted claim, or one that a head is uniform, is noted; other warnings stay as they are."""
    assert words.remarks({**case, "warnings": [UNIFORM, "2 rows"]}) == [*expected, ("Warning", "2 rows")]


EXPECTED = {
    "{xfail: 256 prompts leave it near 0.98}": "expected to fail: 256 prompts leave it near 0.98",
    "{xfail: not yet [see {x}].}": "expected to fail: not yet [see {x}]",
    "{xfail: 256 prompts leave the interval's l": "expected to fail: 256 prompts leave the interval's l",
    "{refuted: [3]}": "check 3 is expected to be refuted",
    "refuted": "expected: refuted",
}


@pytest.mark.parametrize(("text", "expected"), EXPECTED.items(), ids=EXPECTED)
def test_an_expectation_is_said_in_words(text: str, expected: str) -> None:
    """Also one that the ledger cut short."""
    assert expected_words(text) == expected


def test_a_place_that_other_heads_share_is_said_to_be_shared() -> None:
    """Sixth of all where 264 others have the same value is no distinction."""
    zero = row(estimate=0.0, rank=[6, 270], rank_tied=264)
    assert any("heads by this value, a place that it shares with 264 others." in text for text in words.beside(zero))
    assert not any("shares" in text for text in words.beside({**zero, "rank_tied": 0}))


def test_a_reason_behind_a_sentence_is_a_sentence() -> None:
    """It begins with a capital; behind a colon it does not."""
    assert words.why(row(observe=True, verdict=None, reason="no member has a value")).endswith(
        " No member has a value."
    )
    assert words.why(row(verdict="unmeasurable", reason="no member")).startswith("Unmeasurable: no member.")


POINTS = ablation(statistic="change_in", metric="top1", percent=True, estimate=-0.203, low=-0.368, high=-0.069, bound="at_most 0",
                  bound_low=None, bound_high=0.0, baseline={"clean": 0.98, "ablated": 0.78})  # fmt: skip


def test_a_difference_of_shares_is_in_points() -> None:
    """In the tables, the bars, the sentences and the terminal; a relative change and a share stay percentages."""
    assert against_bound(POINTS).split("<br>")[0] == "-20.3 points [-36.8, -6.9]"
    assert against_bound(POINTS).endswith("0\u00a0points`<br>at most 0 points")
    assert "-20.3 points, 95% interval -36.8 to -6.9 points" in words.how_much(POINTS)
    assert numbers(POINTS) == "-20.3 points [-36.8, -6.9]"
    assert "above 0 points" in words.why(POINTS)
    band = {**POINTS, "bound_low": -0.1, "bound_high": 0.01, "high": 0.0102, "low": -0.0102}
    assert words.bound(band) == "between -10 and 1 point" and words.interval_limits(band) == "-1.02 to 1.02 points"
    for case in (ablation(percent=True), row(percent=True), {**POINTS, "statistic": "after"}):
        assert "%" in words.how_much({**case, "confidence": None}) and "points" not in words.how_much(case)


def test_more_attention_than_elsewhere_is_in_points_and_its_sides_are_shares() -> None:
    """The difference of two shares of attention that were asked for in percents."""
    case = row(more_than="member -> not member", percent=True, estimate=0.2, sides={"left": 0.5, "right": 0.3})
    assert "20 points" in words.how_much(case)
    assert "The two sides are 50% and 30%." in words.beside(case)


def test_how_far_beyond_a_bound_in_percent_is_in_points() -> None:
    """Two percentages are so many points apart."""
    case = ablation(percent=True, bound_low=0.7, estimate=0.5, low=0.4, high=0.6, verdict="refuted")
    assert beyond_text(case) == "10 points (1.0 arms)"


UNDECIDED = {
    "contains the bound": (
        row(low=0.3),
        "the 95% interval contains the bound, so these 64 prompts do not decide it; more prompts (sampling: max, or --circuit-n) narrow it",
    ),
    "refuted alone": (
        row(low=0.3, high=0.39, corrected=STRICTER),
        "the 95% interval refutes it alone, but not once corrected for the number of checks of the claim",
    ),
    "top": (
        row(bound="top 3", k=3, rank=[4, 12], bound_low=None, corrected=STRICTER),
        "these 64 prompts do not decide it: it is supported when it surely beats at least 9 of the other heads, compared head "
        "by head, and refuted when at least 3 of them surely beat it; more prompts (sampling: max, or --circuit-n) may",
    ),
    "some head": (
        row(any={"of": 12, "passing": 1, "best": "14.3"}, corrected=STRICTER),
        "these 64 prompts do not decide it: it is supported when some head surely meets it",
    ),
}


@pytest.mark.parametrize(
    ("verdicts", "expected", "hint"),
    [
        (["refuted"], "supported", "`expect: refuted`"),
        (["supported", "refuted"], "supported", "`expect: {refuted: [2]}`"),
        (["refuted", "refuted"], "supported", None),
        (["inconclusive"], "supported", None),
        (["refuted"], "{xfail: later}", None),
    ],
)
def test_a_refuted_claim_is_told_how_it_may_stay(verdicts: list[str], expected: str, hint: str | None) -> None:
    """As a known negative, where one check is refuted; what is only undecided is not."""
    rows = [row(index=number, verdict=verdict) for number, verdict in enumerate(verdicts, 1)]
    worst = "refuted" if "refuted" in verdicts else "inconclusive"
    told = {"status": "measured", "verdict": worst, "expected": expected, "claim": "c", "reason": None}
    text = failure_text({**told, "file": "f", "line": 1, "yaml": "", "checks": rows})
    assert ("as a known negative" in text) is (hint is not None)
    assert hint is None or text.endswith(f"{hint}.")


@pytest.mark.parametrize(("case", "expected"), UNDECIDED.values(), ids=UNDECIDED)
def test_a_failure_says_why_a_check_is_undecided(case: dict[str, Any], expected: str) -> None:
    """An interval is blamed only where it decides: heads are compared with one another, whatever the interval of one."""
    told = {
        "status": "measured",
        "verdict": "inconclusive",
        "expected": "supported",
        "claim": "c",
        "file": "f",
        "line": 1,
        "yaml": "",
    }
    text = failure_text({**told, "checks": [{**case, "verdict": "inconclusive"}]})
    assert f"\n    {expected}" in text
    assert ("refutes it alone" in text) == ("refutes it alone" in expected)


@pytest.mark.parametrize(("case", "expected"), WHY.values(), ids=WHY)
def test_why_and_what_would_have_refuted_it(case: dict[str, Any], expected: str) -> None:
    """Each verdict says what decided it and what would have decided otherwise."""
    assert words.why(case) == expected


BESIDE = {
    "nothing": (row(), []),
    "null": (row(uniform=None, effect={"kind": "lift", "value": None}, heads_passing=None, clean=None, ranks={}), []),
    "uniform": (row(uniform=0.0412), ["Under uniform attention over the visible tokens the value would be 0.0412."]),
    "zero uniform": (row(uniform=0.0), ["Under uniform attention over the visible tokens the value would be 0."]),
    "lift": (row(effect={"kind": "lift", "value": 11.23}), ["Effect size: 11.2 times the value under uniform attention (much more than a head that looks everywhere alike)."]),
    "relative": (row(effect={"kind": "relative", "value": -0.433}), ["Effect size: relative change -43.3%, a part of it lost."]),
    "d_z": (
        row(effect={"kind": "d_z", "value": 2}, sides={"left": 0.5, "right": 0.2}),
        [
            "The two sides are 0.5 and 0.2.",
            "Effect size: paired d_z 2, large (mean difference over the standard deviation of the differences).",
        ],
    ),
    "heads": (row(heads_passing=[3, 270]), ["3 of 270 heads of this model satisfy this bound."]),
    "heads by name": (
        row(heads_passing=[3, 270], which_passing=["1.5", "6.9"]),
        ["3 of 270 heads of this model satisfy this bound: 1.5, 6.9 and 1 more."],
    ),
    "one head": (row(heads_passing=[1, 270]), ["1 of 270 heads of this model satisfies this bound."]),
    "removed": (row(removed_mass=0.31), ["The keys left out had held 31% of the attention."]),
    "clean": (
        row(clean={"top1": 0.97, "top1_low": 0.9, "top1_confidence": 0.95, "logit_diff": 4.7}, baseline={"clean": 4.7, "ablated": 2.1}),
        [
            "Mean clean value 4.7, mean ablated value 2.1.",
            "Unablated, the model's first choice is the answer on 97% of prompts (95% interval from 90%).",
            "Unablated, the mean logit difference is 4.7.",
        ],
    ),
    "fell to": (
        row(fell_to=[["' 4'", 12], [" 3", 1]]),
        ["Where the answer was lost, the first choices are now: `' 4'` (12 prompts) and `␣3` (1 prompt)."],
    ),
    "ranks": (
        row(ranks={"median": 1, "first": 0.9, "counts": {"10": 1, "2": 4, "1": 60}}),
        ["Rank of the answer after the ablation: median 1; first on 90% of prompts; rank (prompts): 1 (60), 2 (4), 10 (1)."],
    ),
    "reported": (
        row(reported={"value": "34%", "source": "arXiv 2311.04131", "conditions": "no BOS"}),
        ["Reported elsewhere: 34% (arXiv 2311.04131; no BOS); here: 0.61. The reported value has no part in the verdict."],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("case", "expected"), BESIDE.values(), ids=BESIDE)
def test_what_stands_beside_the_estimate(case: dict[str, Any], expected: list[str]) -> None:
    """Controls and effect sizes are said when they were computed and left out when they were not."""
    assert words.beside(case) == expected


def parse(markdown: str) -> list[Any]:
    """The tokens that a Markdown renderer makes of a text."""
    library = pytest.importorskip("markdown_it", reason="needs markdown-it-py to read Markdown independently")
    return list(library.MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown))


def plain(markdown: str) -> str:
    """The text a reader sees in the one cell of a one-row table."""
    tokens = parse(f"| head |\n|---|\n| x {markdown} x |\n")
    assert [token.type for token in tokens].count("td_open") == 1, "the text broke out of its cell"
    inline = [token for token in tokens if token.type == "inline"][-1]
    shown = []
    for part in inline.children or []:
        assert part.type in ("text", "code_inline", "html_inline", "text_special"), (
            f"{part.type} came out of plain text"
        )
        shown.append(part.content if part.type != "html_inline" else "")
    return "".join(shown)


@given(st.text(alphabet=st.sampled_from("ab1 \\`*_[]()<>&|~$#!-+.\n{}'\"é日"), max_size=14))
def test_user_text_renders_as_written(text: str) -> None:
    """No text of a user becomes markup, a tag or a second table cell; white space runs become one space."""
    assert plain(words.prose(text)).split() == ["x", *text.split(), "x"]


@given(st.text(alphabet=st.sampled_from("ab1 \\`*_[]<>&|~$#\n"), min_size=1, max_size=10))
def test_tokens_render_as_written(text: str) -> None:
    """A token in code shows its characters, with spaces at the edges and line breaks made visible."""
    shown = plain(words.code(text)).removeprefix("x ").removesuffix(" x")
    assert shown.replace("␣", " ").replace("⏎", "\n") == text
    assert shown == shown.strip(" ")


@pytest.mark.parametrize("text", ["# title", "- item", "1. item", "> quote", "+ item", "=== x"])
def test_user_text_never_starts_a_block(text: str) -> None:
    """A claim that begins like a heading, a list or a quote is still a paragraph that says so."""
    tokens = parse(words.prose(text))
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    assert "".join(part.content for part in tokens[1].children or []) == text


@pytest.mark.parametrize(
    ("k", "text"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (22, "22nd"), (113, "113th")],
)
def test_ordinals(k: int, text: str) -> None:
    """Ordinals end as they do in English."""
    assert words.ordinal(k) == text


def test_a_refuted_some_head_claim_names_the_interval_that_decided() -> None:
    """And a supported one says where no single head would have been enough."""
    some = {"of": 270, "passing": 0, "best": "19.4", "among": None, "together": False}
    refuted = row(verdict="refuted", any=some, confidence=0.95, low=0.05, high=0.28, bound_low=0.3)
    assert "The interval shown is the one by which each head was tested against the claim, at 95%." in words.why(
        refuted
    )
    assert "at 99.9815%." in words.why({**refuted, "confidence": 0.999815}), "never rounded to certainty"
    alone, together = (row(any={**some, "passing": 2, "together": each}) for each in (False, True))
    said = "No head is sure enough alone: those whose estimates meet it are together, by the mean of their e-values."
    assert (said in words.why(alone), said in words.why(together)) == (False, True)


def test_the_control_of_some_head_names_the_head() -> None:
    """It is the best one there, not the claim's."""
    broken = {"value": 0.0666, "holds": False, "head": "9.2"}
    (text,) = controls(row(controls={"broken": broken, "permuted": []}))
    assert "it is 0.0666 (the best head there, 9.2), which does not satisfy the bound" in text
    assert "0.0666 (the best head there, 9.2), does not satisfy it" in control_tables.controls(
        [row(controls={"broken": broken, "permuted": []})]
    )


def test_distances_that_matter_are_told_however_far() -> None:
    """The first sixteen, then those that hold attention; what is left out is said to be little."""
    offsets = [0.01] * 20
    offsets[17], offsets[18] = 0.4, None
    page = suite_page.suite_page("s.yaml", [{"file": "s.yaml", "claim": "C", "verdict": "supported", "profiles": [
        {"head": "5.3", "prompts": "months", "offsets": offsets, "classes": [], "matrix": [], "bos": 0.2}
    ]}], {})  # fmt: skip
    line = next(line for line in page.replace("\N{NO-BREAK SPACE}", " ").splitlines() if line.startswith("itself"))
    assert (
        line == "itself 0.01, " + ", ".join(f"n-{k} 0.01" for k in range(1, 16)) + ", n-17 0.4, all others below 0.05"
    )


def test_runs_are_told_in_one_order_however_the_record_has_them() -> None:
    """A page that is made from results.json is the page that the run made."""
    parts = {"F(M)": 4.62, "F(C)": 3.39, "F(0)": -0.037}
    told = [words.beside(row(kind="keep_only", parts=dict(each))) for each in (parts.items(), sorted(parts.items()))]
    assert told[0] == told[1]
    assert (
        "Means: F(M) 4.62, F(C) 3.39, F(0) -0.037 (F(0): with every head of the model replaced in the same way)."
        in told[0]
    )
    profile = {"self": 1.0, "previous": 0.0, "next": 0.0, "next_but_one": 0.0}
    shown = [words.beside(row(profile=dict(each))) for each in (profile.items(), sorted(profile.items()))]
    assert shown[0] == shown[1]


def test_the_models_own_task_is_said_once_for_all_checks_on_the_same_prompts() -> None:
    """Of several right answers any of them and the one that counts; a measure of the set of answers says it too."""
    clean = {"top1": 0.469, "top1_low": 0.23, "top1_interval": "betting", "top1_confidence": 0.95, "logit_diff": 1.0}
    several = {**clean, "right_answers": 9, "right_first": 0.906}
    one = control_tables.tasks([row(clean=clean), row(index=2, clean=clean)])
    assert one == (
        "**The model's own task**: on the 64 prompts of `numerals`, unablated, the model's first choice is the answer on 46.9% of prompts "
        "(95% interval from 23%, betting)."
    )
    both = control_tables.tasks(
        [row(clean=clean), ablation(index=2, prompts="years", metric="prob_diff", clean=several)]
    )
    assert both is not None and "- check 2: on the 64 prompts of `years` it is one of up" in both
    assert (
        "one of up to 9 right answers on 90.6% of prompts, and the one of them that counts as the answer on 46.9%"
        in both
    )
    assert control_tables.tasks([row(), row(clean=dict.fromkeys(clean))]) is None


def test_n_counts_random_circuits_where_those_were_drawn() -> None:
    """Their number is fixed, and says nothing of how many prompts there were."""
    drawn = row(n=20, unit="random circuits", most=256, looks=1, kind="keep_only", statistic="sufficiency")
    assert "| 20 random circuits<br>`numerals` |" in check_tables.numbers([drawn])
    assert "were to be drawn" not in check_tables.sampling([drawn])
    assert "at most 256 prompts were to be drawn" in check_tables.sampling([row(most=256, looks=1)])


@pytest.mark.parametrize(
    ("removed", "said"),
    [(["6.1", "23.3"], "as many heads,"), (["MLP0"], "as many MLPs,"), (["6.1", "MLP0"], "as many heads and MLPs,")],
)
def test_random_sets_are_made_of_what_is_removed(removed: list[str], said: str) -> None:
    """A circuit without MLPs has no random set with one."""
    text = words.what(ablation(ablated=removed, statistic="partial_necessity", random={"count": 20}))
    assert f"the share of 20 random sets of {said} drawn evenly" in text


@pytest.mark.parametrize(
    ("mlps", "said"), [(None, "every head of the model"), ([0], "every head and every MLP of the model")]
)
def test_the_run_with_nothing_kept_is_explained(mlps: list[int] | None, said: str) -> None:
    """F(0) is what normalised recovery is counted from."""
    circuit = {"name": "c", "heads": ["6.1"], "mlps": mlps}
    text = words.what(
        row(kind="keep_only", statistic="recovers", normalised=True, circuit=circuit, metric="logit_diff")
    )
    assert text.endswith(f"F(0) is what is left with {said} replaced in the same way.")


def test_the_halves_of_the_in_context_score_are_told() -> None:
    """In one order, with the numbers that the score is the difference of."""
    parts = {"loss of the first copy": 12.0, "loss of the second copy": 4.5}
    found = words.beside(row(kind="score", statistic="in_context_learning", head=None, parts=parts))
    assert "Means: loss of the second copy 4.5, loss of the first copy 12." in found


@pytest.mark.parametrize("many", [2, 9])
def test_attention_from_class_to_class_is_a_table_or_where_that_is_too_wide_a_line_a_class(many: int) -> None:
    """Every row's sum is told either way: what is not said of single classes is said of all others together."""
    classes = ["bos", "end", *(f"c{k}" for k in range(many))]
    values = [0.6, 0.3, *(0.1 / many for _ in range(many))]
    matrix = [[None] * len(classes), values, *[[None] * len(classes)] * many]
    page = suite_page.suite_page("s.yaml", [{"file": "s.yaml", "claim": "C", "verdict": "supported", "profiles": [
        {"head": "5.3", "prompts": "years", "offsets": [0.5], "classes": classes, "matrix": matrix, "bos": 0.6}
    ]}], {})  # fmt: skip
    line, cells = "- `end`: `bos` 0.6, `end` 0.3, all others together 0.1", "| `end` | 0.6 | 0.3 | 0.05 | 0.05 |"
    assert (line in page, cells in page) == ((True, False) if many == 9 else (False, True))


def test_the_means_stand_with_what_decided() -> None:
    """A reader who doubts a ratio sees what it is the ratio of without unfolding anything."""
    parts = {"F(M)": 4.62, "F(C)": 3.39}
    told = check_tables.decided(
        [row(kind="keep_only", statistic="recovers", circuit={"name": "c"}, metric="logit_diff", parts=parts)], {}
    )
    assert told.endswith(" Means: F(M) 4.62, F(C) 3.39.")
    assert "Means" not in check_tables.decided([row()], {})


def test_a_loss_stands_beside_what_guessing_would_lose() -> None:
    """ln of the vocabulary, and over which tokens of the copies the losses are means."""
    parts = {"loss of the first copy": 14.7, "loss of the second copy": 3.0}
    told = words.what(row(kind="score", statistic="in_context_learning", head=None, parts=parts, vocabulary=49152))
    assert "would lose ln 49,152 = 10.8 nats a token" in told
    assert "Nothing can predict those of the first copy, nor where the second begins." in told
    single = {"loss of token 500": 3.0, "loss of token 50": 4.0}
    assert "of a copy" not in words.what(row(kind="score", statistic="in_context_learning", head=None, parts=single))


def test_what_is_first_instead_of_a_right_answer_is_told() -> None:
    """Where several answers are right and none of them is first."""
    clean = {"top1": 0.4, "right_answers": 9, "right_first": 0.5, "wrong_first": [["0", 12], ["1", 3]]}
    assert "; where none is, most often first (prompts): `0` (12) and `1` (3)" in str(
        words.first_choice(row(clean=clean))
    )
    assert "where none is" not in str(words.first_choice(row(clean={**clean, "wrong_first": []})))


def test_few_different_answers_are_told_before_the_numbers() -> None:
    """More prompts than three times the answers; literal texts say what they are instead."""
    few = {"family": "named_sequence", "n": 32, "distinct_answers": 5}
    assert "They have 5 different answers only" in prompt_facts("numerals", few)
    assert "different answers only" not in prompt_facts("numerals", {**few, "distinct_answers": 11})
    assert "different answers only" not in prompt_facts("mine", {**few, "parameters": {"texts": ["a"]}})


def test_the_subsets_that_were_removed_are_listed_where_they_are_few() -> None:
    """A circuit is complete only as far as the subsets that were drawn tell."""
    removed = [[], ["6.1"], ["6.1", "23.3"]]
    told = " ".join(
        words.beside(row(kind="keep_only", statistic="completeness", subsets={"count": 3, "removed": removed}))
    )
    assert "The subsets K: nothing; 6.1; 6.1+23.3." in told
    many = {"count": 13, "removed": [[str(k)] for k in range(13)]}
    assert "The subsets K:" not in " ".join(words.beside(row(kind="keep_only", subsets=many)))


def test_a_rank_names_the_runner_up_or_who_leads() -> None:
    """Its value in the check's unit; nothing where no other head has one."""
    first = row(rank=[1, 270], rank_tied=0, rank_beside=["5.8", 0.67])
    assert "It ranks 1st of the model's 270 heads by this value; the next is 5.8 with 0.67." in words.beside(first)
    assert words.other_ranked(first, short=True) == "next 5.8: 0.67"
    third = row(rank=[3, 270], rank_tied=0, rank_beside=["0.1", 0.87], percent=True)
    assert words.other_ranked(third) == "the first is 0.1 with 87%"
    assert words.other_ranked(row(rank=[1, 1], rank_beside=None)) == ""
    assert words.other_ranked(row(rank=None, rank_beside=["0.1", 0.87])) == ""
    placed = ablation(k=2, percent=True, bound="top 2", rank=[1, 270], rank_beside=["20.5", 0.2], bound_low=None)
    assert "It ranks 1st of 270; the next is 20.5 with 20%. Supported" in words.why(placed)


def test_who_is_first_instead_of_the_answer_is_said_to_be_the_foil_or_not() -> None:
    """In the clean model and after an ablation; not where the prompts have no foils."""
    clean = {"top1": 0.9, "wrong_first": [[" 4", 3]], "wrong": [1, 3]}
    assert str(words.first_choice(row(clean=clean))).endswith(
        "; where it is not, most often first (prompts): `␣4` (3), a foil on 1 of the 3"
    )
    alone = {**clean, "wrong_first": [[" 4", 1]], "wrong": [0, 1]}
    assert str(words.first_choice(row(clean=alone))).endswith("`␣4` (1), no foil")
    assert str(words.first_choice(row(clean={**alone, "wrong": [1, 1]}))).endswith("`␣4` (1), a foil")
    assert "foil" not in str(words.first_choice(row(clean={**clean, "wrong": [None, 3]})))
    lost = ablation(lost=[7, 31], fell_to=[[" 1", 7]], fell_to_foil=0)
    told = "Where the answer was lost, the first choices are now: `␣1` (7 prompts), a foil on none of the 7."
    assert told in words.beside(lost)
    assert "| 7 of 31 | `␣1` (7), a foil on none of the 7 |" in str(check_tables.changed([lost]))
    assert "foil" not in " ".join(words.beside({**lost, "fell_to_foil": None}))


@pytest.mark.parametrize(("metric", "after", "leads"), [("logit_diff", -0.35, True), ("logit_diff", 0.1, False), ("logit_diff", -1e-12, False), ("answer_logprob", -0.35, False)])  # fmt: skip
def test_more_than_all_of_a_logit_difference_is_lost_where_the_foil_leads(
    metric: str, after: float, leads: bool
) -> None:
    """A drop above 100% is explained where it stands."""
    gone = ablation(metric=metric, baseline={"clean": 4.62, "ablated": after})
    assert any(text.startswith("Below zero the foil leads") for text in words.beside(gone)) is leads
    assert ("<br>the foil leads |" in str(check_tables.changed([gone]))) is leads
    assert "the foil leads" not in str(check_tables.changed([{**gone, "range": [-9, 9]}])), "means of cut values"


def test_what_each_subset_came_to_stands_beside_the_worst() -> None:
    """Completeness names every K with its distance, the largest first and at most twelve; minimality every component."""
    removed: list[list[str]] = [[], ["0.1"], ["0.1", "1.0"]]
    complete = row(kind="keep_only", statistic="completeness", subsets={"removed": removed, "values": [0.1, 0.4, 0.2]})
    told = "The distance with each K removed: 0.1 0.4; 0.1+1.0 0.2; nothing 0.1."
    assert words.of_subsets(complete) == told and told in words.beside(complete)
    assert told in check_tables.decided([complete], {})
    many = {"removed": [[f"0.{n}"] for n in range(14)], "values": [n / 10 for n in range(14)]}
    text = str(words.of_subsets(row(subsets=many)))
    assert text.startswith("The distance with each K removed: 0.13 1.3;") and text.endswith("; 0.2 0.2; and 2 more.")
    each = [["0.1", 0.3, []], ["1.0", 0.07, ["0.1"]]]
    least = row(statistic="minimality", percent=True, subsets={"removed": removed[:2], "components": each})
    told = "Of each component the largest change, and without what: 1.0 7% (0.1 removed); 0.1 30% (nothing removed)."
    assert words.of_subsets(least) == told, "the one that decides comes first"
    crowd = {"components": [[f"0.{n}", n / 10, []] for n in range(14)]}
    text = str(words.of_subsets(row(subsets=crowd)))
    assert "without what: 0.0 0 (nothing removed); 0.1 0.1" in text and text.endswith(
        "0.11 1.1 (nothing removed); and 2 more."
    )
    assert words.of_subsets(row()) is None


def test_the_other_prompts_of_a_comparison_have_a_task_of_their_own() -> None:
    """The model's accuracy on both prompt sets, each with its number of prompts."""
    clean = {"top1": 0.969, "wrong_first": [], "wrong": [0, 0]}
    there = {**clean, "top1": 0.5, "n": 32}
    other = {
        "attends": "end -> any",
        "head": "4.4",
        "prompts": "months",
        "n": 30,
        "clean": there,
    }  # 2 have no such query
    told = str(control_tables.tasks([row(clean=clean, other=other)]))
    assert "- check 1: on the 64 prompts of `numerals` it is the answer on 96.9% of prompts" in told
    assert "- check 1: on the 32 prompts of `months` it is the answer on 50% of prompts" in told
    assert "months" not in str(control_tables.tasks([row(clean=clean, other={**other, "clean": None})]))


def test_a_skipped_prompt_set_says_whether_bos_stands_in_front() -> None:
    """Two sets that differ in nothing else are told apart; whether the tokenizer has one is not known there."""
    asked = {"family": "ioi", "parameters": {}}
    assert "BOS in front where the tokenizer has one" in prompt_facts("a", {**asked, "bos": True})
    assert "no BOS" in prompt_facts("b", {**asked, "bos": False})
    assert "BOS (`<s>`) in front" in prompt_facts("c", {**asked, "bos": True, "tokens": ["<s>", "x"]}).replace(
        "<code>&lt;s&gt;</code>", "`<s>`"
    )


def test_random_sets_of_a_share_say_how_far_they_come() -> None:
    """As many are worse: by how much stands in the table, not in the sentences alone."""
    share = row(
        kind="ablate",
        statistic="partial_necessity",
        random={"as_good": 0, "count": 20, "median": 0.001, "min": 1e-5, "max": 0.00848},
    )
    assert "0 of 20 do as well; with them the mean is 1e-5 to 0.00848 away from F(M)" in str(
        control_tables.controls([share])
    )
