"""A head among the others: places, ``top: k``, ``heads: {any}`` and exact scores, each on numbers made by hand."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from circuits.claims.claim import Ablate, Bound
from circuits.claims.heads import Component
from circuits.claims.selector import parse
from circuits.measure.attention import AttentionValues
from circuits.measure.cells import Question
from circuits.measure.losses import InContext
from circuits.verdict import anytime_t
from circuits.verdict.decide import Asked
from circuits.verdict.estimate import bounded_mean, corrected
from circuits.verdict.ranking import (
    OBSERVED,
    ablation_top_row,
    any_row,
    attention_top_row,
    icl_row,
    rank,
    score_row_exact,
    top_row,
)
from circuits.verdict.rows import Task, ablation_row, attention_row, place_of

NAN, INF = float("nan"), float("inf")
HOW, CENSUS = Asked(0.95, 1), Asked(0.95, 1, census=True)
A = 0.025
RUNS = 300
ALLOWED = A + 3 * math.sqrt(A * (1 - A) / RUNS)  # three standard errors of a rate
RIGHT = {
    "answer_rank": np.ones(48),
    "right_first": np.ones(48),
    **dict.fromkeys(("foil_first", "answer_tied"), np.zeros(48)),
}
FILLED = {"estimate": 0.5, "corrected": None}  # a row with its numbers, so that only the verdict is computed


def top(k: int) -> Bound:
    return Bound("top", None, None, f"top {k}", k=k)


def at_least(value: float) -> Bound:
    return Bound("at_least", value, None, f"at_least {value}")


def at_most(value: float) -> Bound:
    return Bound("at_most", None, value, f"at_most {value}")


def between(low: float, high: float) -> Bound:
    return Bound("between", low, high, f"between {low} and {high}")


def asked(statistic: str = "mass", right: bool = False, excluding: tuple[str, ...] = ()) -> Question:
    return Question(parse("any -> n-1"), parse("any -> n-2") if right else None, statistic, excluding)


def heads(*each: Any, right: Any = None, uniform: float = 0.1, removed: Any = None) -> AttentionValues:
    """The values of one layer of heads, one array a head."""
    left = np.array([np.asarray(values, dtype=float) for values in each])[None]
    count = left.shape[2]
    gone = None if removed is None else np.repeat(np.array(removed, dtype=float)[None, :, None], count, axis=2)
    return AttentionValues(
        left,
        None if right is None else np.array([np.asarray(values, dtype=float) for values in right])[None],
        np.full(count, uniform),
        None if right is None else np.full(count, 0.04),
        gone,
        None if removed is None else np.zeros(left.shape[:2], dtype=int),
    )


def around(mean: float, n: int = 48, seed: int = 0, spread: float = 0.05) -> np.ndarray:
    """Values in [0, 1] with exactly this mean."""
    noise = np.random.default_rng(seed).uniform(-spread, spread, n)
    return mean + noise - noise.mean()


def capital(values: np.ndarray, mean: float) -> float:
    """The capital after all values against 'the mean is at most ``mean``', one at a time, from the published bets."""
    shares, total, squares = [1.0] * 4, 0.5, 0.25
    for seen, value in enumerate(values):
        guess, variance = total / (seen + 1), squares / (seen + 1)
        bets = [math.sqrt(2 * math.log(1 / 0.025) / (h * variance)) for h in (24, 64, 160)]
        bets.append((guess - mean) / (variance + (guess - mean) ** 2))
        shares = [s * (1 + min(max(b, 0), 0.9 / mean) * (value - mean)) for s, b in zip(shares, bets, strict=True)]
        total += value
        squares += (value - total / (seen + 2)) ** 2
    return sum(shares) / 4


def t_value(values: np.ndarray) -> float:
    """The e-value of the t e-process for a mean above 0."""
    return math.exp(anytime_t.log_e(len(values), float(values.mean()), float(values.std(ddof=1))))


def e_above(first: np.ndarray, second: np.ndarray, bounded: bool) -> float:
    """The e-value of a paired difference for 'first is higher', 0 where its mean is not."""
    difference = first - second
    if difference.mean() <= 0:
        return 0.0
    return capital((difference + 1) / 2, 0.5) if bounded else t_value(difference)


# ---- rank ----


def test_rank_counts_strictly_higher_means_and_puts_missing_heads_last() -> None:
    """Ties share a place; heads without a value, or an infinite one, come after all others."""
    values = heads([0.0, 0.5], [0.5, 0.5], [0.25, 0.25], [NAN, NAN], [0.9, INF], [0.1, NAN])
    assert [rank(values, (0, head)) for head in range(6)] == [[2, 6], [1, 6], [2, 6], [5, 6], [5, 6], [4, 6]]
    compared = heads([0.5, 0.5], [0.9, 0.9], right=[[0.1, 0.1], [0.8, 0.8]])
    assert [rank(compared, (0, head)) for head in range(2)] == [[1, 2], [2, 2]]  # .4 against .1


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=6))
def test_law_ranks_are_those_of_scipy(each: list[list[float]]) -> None:
    """The places are scipy's 'min' ranks of the negated means."""
    values = heads(*each)
    expected = stats.rankdata(-values.left.mean(axis=2).ravel(), method="min")
    assert [rank(values, (0, head))[0] for head in range(len(each))] == expected.tolist()


# ---- top: k ----


@pytest.mark.parametrize(
    ("k", "head", "verdict"),
    [
        (1, 0, "supported"), (1, 1, "refuted"), (2, 1, "supported"), (2, 2, "refuted"), (3, 2, "supported"),
        (3, 0, "supported"), (3, 3, "refuted"), (1, 3, "refuted"), (4, 3, "inconclusive"), (4, 4, "inconclusive"),
    ],
)  # fmt: skip
def test_the_k_highest_of_five_heads(k: int, head: int, verdict: str) -> None:
    """Heads far apart are placed surely; two that tie for fourth are not told apart."""
    tied = around(0.1, seed=9)
    values = np.array([[around(0.8, seed=1), around(0.6, seed=2), around(0.4, seed=3), tied, tied.copy()]])
    row = top_row({}, values, (0, head), top(k), HOW)
    assert row["verdict"] == verdict
    assert row["rank"] == [min(head, 3) + 1, 5]
    assert row["rank_tied"] == (head >= 3), "the last two have the same value"
    highest = 1 if head == 0 else 0  # of the others
    assert row["rank_beside"] == [f"0.{highest}", pytest.approx(values[0, highest].mean())]
    assert (row["bound"], row["bound_low"], row["bound_high"], row["k"]) == (f"top {k}", None, None, k)
    assert (row["heads_passing"], row["guaranteed"], row["observe"]) == (None, True, False)
    own = bounded_mean(values[0, head])
    assert (row["estimate"], row["low"], row["high"]) == pytest.approx((own.value, own.low, own.high))
    drops = top_row({}, values * 30 - 10, (0, head), top(k), HOW, span=None)
    assert (drops["verdict"], drops["guaranteed"]) == (verdict, False)
    assert "near-normal" in drops["assumption"]
    assert drops["interval"] == "t"


@pytest.mark.parametrize(("census_k", "head", "verdict"), [(1, 0, "supported"), (1, 1, "supported"), (2, 2, "refuted")])
def test_on_a_census_the_place_decides(census_k: int, head: int, verdict: str) -> None:
    """No interval; two heads that tie for first are both among the first."""
    values = np.array([[[0.5, 0.7], [0.6, 0.6], [0.5, 0.6]]])
    row = top_row({}, values, (0, head), top(census_k), CENSUS)
    assert (row["verdict"], row["low"], row["interval"]) == (verdict, None, None)


@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_top_is_a_partial_conjunction_of_paired_e_values(seed: int, bounded: bool) -> None:
    """For: the m-k+1-th largest e-value / k. Against: the k-th largest / (m-k+1). Against 1/a, and rows/a to refute."""
    rng = np.random.default_rng(seed)
    values = rng.normal(rng.normal(0, 0.5, 6)[:, None], 1, (6, 60))
    if bounded:
        values = 1 / (1 + np.exp(-values))
    own, others, m = values[0], values[1:], 5
    up = sorted((e_above(own, other, bounded) for other in others), reverse=True)
    down = sorted((e_above(other, own, bounded) for other in others), reverse=True)
    for k in (1, 2, 4):
        for rows in (1, 5):
            supports, refutes = up[m - k] / k, down[k - 1] / (m - k + 1)
            expected = "supported" if supports >= 1 / A else "refuted" if refutes >= rows / A else "inconclusive"
            span = (0.0, 1.0) if bounded else None
            row = top_row(dict(FILLED), values[None], (0, 0), top(k), Asked(0.95, rows), span=span)
            assert row["verdict"] == expected
            assert row["log_e"] == {
                "for": pytest.approx(math.log(supports)) if supports else None,
                "against": pytest.approx(math.log(refutes)) if refutes else None,
            }


def test_the_e_values_of_three_heads_by_hand() -> None:
    """Steady differences of .4 and .2 against two others: the lesser speaks for the first place, half the greater for the second."""
    values = np.array([[np.full(20, 0.6), np.full(20, 0.2), np.full(20, 0.4)]])
    # Mapped to [0, 1] the differences are .7 and .6 against one half: each capital is a product over equal values.
    far, near = capital(np.full(20, 0.7), 0.5), capital(np.full(20, 0.6), 0.5)
    assert far > near > 1
    first, second = (top_row(dict(FILLED), values, (0, 0), top(k), HOW)["log_e"] for k in (1, 2))
    assert first == {"for": pytest.approx(math.log(near)), "against": None}
    assert second == {"for": pytest.approx(math.log(far / 2)), "against": None}
    last = top_row(dict(FILLED), values, (0, 1), top(1), HOW)["log_e"]
    assert last == {"for": None, "against": pytest.approx(math.log(far / 2))}  # of m - k + 1 = 2, the greater
    lost = top_row(dict(FILLED), values, (0, 1), top(2), HOW)["log_e"]
    middle = capital(np.full(20, 0.6), 0.5)  # .4 is .2 above .2
    assert lost == {"for": None, "against": pytest.approx(math.log(min(far, middle)))}


def test_a_head_without_any_value_is_beaten_for_certain() -> None:
    """It takes one of the heads that must be beaten; k of them missing make the place certain."""
    void = np.full(20, NAN)
    values = np.array([[np.full(20, 0.6), np.full(20, 0.2), np.full(20, 0.4), void]])
    far, near = capital(np.full(20, 0.7), 0.5), capital(np.full(20, 0.6), 0.5)
    found = [top_row(dict(FILLED), values, (0, 0), top(k), HOW)["log_e"]["for"] for k in (1, 2, 3)]
    assert found == pytest.approx([math.log(near), math.log(far / 2), 700.0])  # 700 stands for infinity


@pytest.mark.parametrize("kind", ["t", "betting"])
@pytest.mark.parametrize(("others", "wrong"), [([0.0, 0.0, -9.0], "supported"), ([9.0, 0.0, 0.0], "refuted")])
def test_top_errs_no_more_often_than_promised(kind: str, others: list[float], wrong: str) -> None:
    """At the boundary (second place shared by two others, or just kept) each wrong verdict, at any of three looks, stays under 2.5%."""
    rng, found, most = np.random.default_rng(5), 0, -INF
    side = "for" if wrong == "supported" else "against"
    for _ in range(RUNS):
        values = rng.normal(np.array([0.0, *others])[:, None], 1, (4, 64))
        if kind == "betting":
            values = 1 / (1 + np.exp(-values))
        span = None if kind == "t" else (0.0, 1.0)
        rows = [top_row(dict(FILLED), values[None, :, :n], (0, 0), top(2), HOW, span) for n in (32, 48, 64)]
        found += any(row["verdict"] == wrong for row in rows)
        most = max(most, *(row["log_e"][side] or -INF for row in rows))
    assert found / RUNS <= ALLOWED
    assert most > math.log(4)  # now and then there is evidence, so the promise is not kept by silence


def test_top_of_a_whole_model_is_fast() -> None:
    """270 heads on 128 prompts are judged in under two seconds."""
    values = np.random.default_rng(0).random((30, 9, 128)) * 0.3
    values[16, 0] += 0.6
    start = time.perf_counter()
    row = top_row({}, values, (16, 0), top(3), HOW)
    assert row["verdict"] == "supported"
    assert row["rank"] == [1, 270]
    assert top_row({}, values, (3, 3), top(3), HOW)["verdict"] == "inconclusive"
    assert time.perf_counter() - start < 2.0


@pytest.mark.parametrize("span", [None, (0.0, 1.0)])
@pytest.mark.parametrize(
    "values",
    [
        [[0.5] * 32, [0.5] * 32],  # equal and constant
        [[0.5] * 32, [0.5 - 1e-9] * 32],  # but for rounding
        [[0.9], [0.1]],  # one prompt
        [[0.9] + [NAN] * 20, [0.1] + [NAN] * 20],
        [[0.9, NAN, 0.8], [NAN, 0.1, 0.2]],  # one prompt in common
        [around(0.5), around(0.5)],  # varying, but the same values
    ],
)
def test_degenerate_data_places_no_head(values: Any, span: Any) -> None:
    """Ties and too few prompts are inconclusive, never a place."""
    row = top_row({}, np.array([values], dtype=float), (0, 0), top(1), HOW, span)
    assert row["verdict"] == "inconclusive"
    assert row["low"] is row["high"] is None or row["low"] < row["high"]  # two values bound nothing by t


def test_a_row_made_with_a_top_bound_waits_for_its_place() -> None:
    """Before it is compared with the others a row has its numbers and no verdict, but UNMEASURABLE with a reason."""
    clean = {"logit_diff": around(5.0), "top_text": np.array([" a"] * 48), **RIGHT}
    what = Ablate((Component(0, 0),), "mean", "drop_in", "logit_diff")
    row = ablation_row({}, what, clean, clean | {"logit_diff": around(2.0, seed=1)}, top(1), Task({"top1": 0.5}), HOW)
    assert (row["verdict"], row["estimate"]) == (None, pytest.approx(0.6))
    values = np.array([[around(-2.0, seed=1), around(-5.0, seed=2)]])
    judged = top_row(row, values, (0, 0), top(1), HOW, span=None)
    assert (judged["verdict"], judged["estimate"], judged["interval"]) == ("supported", pytest.approx(0.6), "fieller")
    lost = ablation_row({}, what, clean | {"answer_rank": np.full(48, 9.0)}, clean, top(1), Task({"top1": 0.5}), HOW)
    assert lost["verdict"] == "unmeasurable"
    assert attention_row({}, asked(), SOME, (0, 0), top(1), HOW)["heads_passing"] is None


def test_the_runner_up_of_heads_that_tie_for_the_first_place_is_below_them() -> None:
    """What shares the place is no runner-up; beside all others the first is told."""
    means = np.array([[0.5, 0.9, 0.9, NAN], [0.7, 0.1, 0.2, 0.3]])
    for head in ((0, 1), (0, 2)):
        assert place_of(means, head) == {"rank": [1, 8], "rank_tied": 1, "rank_beside": ["1.0", 0.7]}
    assert place_of(means, (1, 0)) == {"rank": [3, 8], "rank_tied": 0, "rank_beside": ["0.1", 0.9]}
    assert place_of(np.full((1, 3), 0.5), (0, 1)) == {"rank": [1, 3], "rank_tied": 2, "rank_beside": None}


def test_a_place_that_cannot_be_had_is_unmeasurable() -> None:
    """No value, numbers that are not finite, more places than heads: the reason is said."""
    fine = [0.5, 0.6, 0.7]
    cases = [
        ([[NAN] * 3, fine], 1, "has no value"),
        ([[0.5, INF, 0.5], fine], 1, "not finite on 1 of 3 prompts"),
        ([fine, [0.5, INF, 0.5]], 1, "not finite for 1 of the other 1 heads"),
        ([fine, fine], 2, "only 2 heads"),
    ]
    for values, k, reason in cases:
        row = top_row({}, np.array([values]), (0, 0), top(k), HOW)
        assert row["verdict"] == "unmeasurable"
        assert reason in row["reason"]
    before = top_row({"reason": "the task is not done"}, np.array([[around(0.9), around(0.1)]]), (0, 0), top(1), HOW)
    assert (before["verdict"], before["reason"]) == ("unmeasurable", "the task is not done")
    left = top_row({}, np.array([[around(0.3), np.full(48, NAN)]]), (0, 0), top(1), HOW)
    assert left["verdict"] == "supported"  # a head without any value has no place above this one
    with pytest.raises(ValueError, match="number of heads of at least 1"):
        top_row({}, np.array([[fine]]), (0, 0), at_least(0.5), HOW)


def test_attention_rows_of_top_have_their_own_numbers() -> None:
    """estimate, effect and uniform are the head's; lift is compared by the t e-process."""
    values = heads(around(0.6, seed=1), around(0.2, seed=2), around(0.1, seed=3))
    row = attention_top_row({}, asked(), values, (0, 0), top(1), HOW)
    assert (row["verdict"], row["rank"], row["uniform"]) == ("supported", [1, 3], pytest.approx(0.1))
    assert row["effect"] == {"kind": "lift", "value": pytest.approx(6.0)}
    assert row["heads_passing"] is None
    assert "uniform_holds" not in row
    assert attention_top_row({}, asked(), values, (0, 2), top(1), HOW)["verdict"] == "refuted"
    lifted = attention_top_row({}, asked("lift"), values, (0, 0), top(1), HOW)
    assert (lifted["verdict"], lifted["guaranteed"]) == ("supported", False)
    empty = attention_top_row({}, asked(), heads([NAN] * 4, [0.5] * 4), (0, 0), top(1), HOW)
    assert (empty["verdict"], empty["estimate"]) == ("unmeasurable", None)
    assert empty["reason"].startswith("the selectors match nothing")


@pytest.mark.parametrize(
    ("metric", "clean", "after", "highest"),
    [
        ("logit_diff", 5.0, [4.8, 2.0, 4.9], 1),  # the largest fall
        ("answer_prob", 0.9, [0.8, 0.85, 0.1], 2),
        ("loss", 2.0, [3.0, 2.1, 2.0], 0),  # for a loss a rise is the harm
        ("kl", 0.0, [0.1, 0.9, 0.2], 1),
    ],
)
def test_top_of_ablations_is_by_harm(metric: str, clean: float, after: list[float], highest: int) -> None:
    """The head whose ablation does the most harm is first; its own numbers are those of its ablation row."""

    def run(mean: float, seed: int) -> dict[str, Any]:
        return {"top_text": np.array(["x"] * 48), "logit_diff": around(5.0), **RIGHT, metric: around(mean, seed=seed)}

    each = {(0, head): run(mean, head) for head, mean in enumerate(after)}
    for head in range(3):
        what = Ablate((Component(0, head),), "mean", "change_in", metric)
        row = ablation_top_row({}, what, run(clean, 7), each, (0, head), top(1), Task({"top1": 0.5}), HOW)
        assert row["verdict"] == ("supported" if head == highest else "refuted")
        assert row["estimate"] == pytest.approx(after[head] - clean)
        assert row["baseline"]["ablated"] == pytest.approx(after[head])
        beside = max((other for other in range(3) if other != head), key=lambda other: abs(after[other] - clean))
        assert row["rank_beside"] == [f"0.{beside}", pytest.approx(after[beside] - clean)]
    unsure = run(clean, 7) | {"answer_rank": np.full(48, 2.0)}
    row = ablation_top_row({}, what, unsure, each, (0, highest), top(1), Task({"top1": 0.5}), HOW)
    assert row["verdict"] == "unmeasurable"
    assert "does not do this task" in row["reason"]


def test_every_row_has_its_place_or_its_ranks() -> None:
    """Attention rows say the head's place; ablation rows with answers say what became of the answer."""
    values = heads(around(0.6, seed=1), around(0.2, seed=2), right=[around(0.5, seed=3), around(0.05, seed=4)])
    row = attention_row({}, asked(right=True), values, (0, 1), at_least(0.0), HOW)
    assert row["rank"] == [1, 2]  # .15 more than its right side, the other only .1
    assert row["rank_beside"] == ["0.0", pytest.approx(0.1, abs=0.02)]
    assert attention_row({}, asked(), heads([0.5] * 3, [NAN] * 3), (0, 0), at_least(0.1), HOW)["rank_beside"] is None
    assert attention_row({}, asked(), heads([NAN] * 3, [0.5] * 3), (0, 0), at_least(0.1), HOW)["rank"] is None
    clean = {"logit_diff": around(5.0), "loss": around(2.0), **RIGHT}
    ranks = np.array([1.0] * 40 + [2.0] * 5 + [7.0] * 3)
    after = clean | {"answer_rank": ranks, "top_text": np.array([" six"] * 44 + [" the"] * 4)}
    for effect, metric in (("drop_in", "logit_diff"), ("change_in", "loss"), ("after", "top5")):
        what = Ablate((Component(0, 0),), "mean", effect, metric)
        found = ablation_row({}, what, clean, after, OBSERVED, Task({"top1": 0.5}), HOW)
        assert found["ranks"] == {"median": 1.0, "first": 40 / 48, "counts": {"1": 40, "2": 5, "7": 3}}
        assert found["fell_to"] == ([[" the", 3]] if metric == "top5" else [[" six", 4], [" the", 4]])
    unanswered = {name: np.full(48, NAN) for name in ("logit_diff", "answer_rank")} | {"loss": around(2.0)}
    found = ablation_row(
        {}, Ablate((Component(0, 0),), "mean", "after", "loss"), unanswered, unanswered, OBSERVED, Task({}), HOW
    )
    assert not {"ranks", "fell_to"} & set(found)


# ---- heads: {any: ...} ----

SOME = heads(around(0.7, seed=1), around(0.5, seed=2), around(0.06, seed=3, spread=0.03), around(0.1, seed=4))
ALL = [(0, 0), (0, 1), (0, 2), (0, 3)]


@pytest.mark.parametrize(
    ("candidates", "bound", "verdict", "best", "passing"),
    [
        (ALL, at_least(0.6), "supported", "0.0", 1),
        (ALL, at_least(0.3), "supported", "0.0", 2),
        (ALL, at_least(0.9), "refuted", "0.0", 0),
        (ALL, at_least(0.69), "inconclusive", "0.0", 1),
        (ALL[2:], at_least(0.6), "refuted", "0.3", 0),  # the wrong heads
        (ALL, at_most(0.3), "supported", "0.2", 2),
        (ALL[:2], at_most(0.3), "refuted", "0.1", 0),
        (ALL, between(0.4, 0.6), "supported", "0.1", 1),
        (ALL, between(0.2, 0.4), "refuted", "0.1", 0),
    ],
)
def test_some_head_does(candidates: Any, bound: Bound, verdict: str, best: str, passing: int) -> None:
    """Existence: one head on the right side supports, all on the wrong side refute; the best head is shown."""
    row = any_row({}, asked(), SOME, candidates, bound, HOW)
    m = len(candidates)
    assert row["verdict"] == verdict
    names = None if m == 4 else [f"0.{head}" for _, head in candidates]
    assert row["any"] == {"of": m, "passing": passing, "best": best, "among": names, "together": False}
    assert row["head"] == best
    level = 0.95 if verdict == "refuted" else corrected(0.95, m)  # all must miss, or one of m must hold
    own = bounded_mean(SOME.left[0, int(best[2])], confidence=level)
    assert (row["estimate"], row["low"], row["high"]) == pytest.approx((own.value, own.low, own.high))
    assert row["confidence"] == pytest.approx(level)
    assert row["corrected"]["confidence"] == 0.95
    assert row["corrected"]["low"] >= row["low"]
    inside = bound.holds(row["low"]) and bound.holds(row["high"])
    outside = not bound.holds(row["estimate"]) and not (row["low"] <= (bound.low or 0.0) <= row["high"])
    assert {"supported": inside, "refuted": outside, "inconclusive": True}[verdict], "the interval shown decided"
    assert row["uniform"] == pytest.approx(0.1)
    assert row.get("uniform_holds", False) == bound.holds(0.1)
    assert (row["bound"], row["observe"]) == (bound.text, False)


def test_some_head_is_judged_by_the_mean_of_e_values() -> None:
    """For: the mean over the candidates whose estimate satisfies the bound; against: the least of all. Any statistic."""
    rng, seen = np.random.default_rng(0), set()
    for trial in range(24):
        left = np.clip(rng.normal((rng.uniform(-0.15, 0.15, 4) + 0.2 + 0.015 * trial)[:, None], 0.15, (4, 32)), 0, 1)
        right = np.clip(rng.normal(0.2, 0.1, (4, 32)), 0, 1)
        for statistic, two, limit in (("mass", False, 0.45), ("lift", False, 0.45), ("mass", True, 0.25)):
            each = left - right if two else left
            holds = each.mean(axis=1) >= limit
            if statistic == "lift":
                pairs = [(t_value(head - limit), t_value(limit - head)) for head in each]
            else:
                units, mean = ((each + 1) / 2, (limit + 1) / 2) if two else (each, limit)
                pairs = [(capital(head, mean), capital(1 - head, 1 - mean)) for head in units]
            supports = sum(up for (up, _), on in zip(pairs, holds, strict=True) if on) / 4
            refutes = min(0.0 if on else down for (_, down), on in zip(pairs, holds, strict=True))
            expected = "supported" if supports >= 1 / A else "refuted" if refutes >= 3 / A else "inconclusive"
            values = heads(*left, right=right if two else None)
            row = any_row({}, asked(statistic, two), values, ALL, at_least(limit), Asked(0.95, 3))
            assert row["verdict"] == expected, trial
            assert row["guaranteed"] is (statistic != "lift")
            assert row["log_e"] == {
                "for": pytest.approx(math.log(supports)) if supports else None,
                "against": pytest.approx(math.log(refutes)) if refutes else None,
            }
            seen.add((statistic, two, expected))
    assert len(seen) >= 8


def test_two_heads_together_can_show_that_some_head_does() -> None:
    """Two equal candidates of three, neither of which reaches 3/a alone, where their mean reaches 1/a."""
    good = (np.arange(40) % 10 < 8).astype(float)
    alone = next(limit for limit in np.arange(0.4, 0.8, 0.005) if capital(good, limit) < 3 / A)
    assert 1.5 / A < capital(good, alone) < 3 / A
    one, two = (heads(*[good] * count, *[np.zeros(40)] * (3 - count)) for count in (1, 2))
    assert any_row({}, asked(), one, ALL[:3], at_least(alone), HOW)["verdict"] == "inconclusive"
    row = any_row({}, asked(), two, ALL[:3], at_least(alone), HOW)
    assert (row["verdict"], row["any"]["passing"], row["any"]["together"]) == ("supported", 2, True)
    assert row["low"] < alone, "its own interval would not have been enough"
    assert row["log_e"]["for"] == pytest.approx(math.log(2 * capital(good, alone) / 3))


@pytest.mark.parametrize("statistic", ["lift", "mass"])
@pytest.mark.parametrize(("means", "wrong"), [([0.5, 0.5, 0.5], "supported"), ([0.5, 0.1, 0.1], "refuted")])
def test_some_head_errs_no_more_often_than_promised(statistic: str, means: list[float], wrong: str) -> None:
    """All heads just under the bound, or one just on it, looked at three times: each wrong verdict stays under 2.5%."""
    rng, found, runs = np.random.default_rng(8), 0, 60
    for _ in range(runs):
        left = np.clip(rng.normal(np.array(means)[:, None], 0.1, (3, 64)), 0, 1)
        each = [any_row({}, asked(statistic), heads(*left[:, :n]), ALL[:3], at_least(0.5), HOW) for n in (32, 48, 64)]
        found += any(row["verdict"] == wrong for row in each)
    assert found / runs <= A + 3 * math.sqrt(A * (1 - A) / runs)


def test_the_head_that_supports_is_shown_before_one_with_a_higher_estimate() -> None:
    """A noisy head has the larger mean, a steady one the surer interval: the steady one is the best."""
    noisy = np.tile([1.0, 1.0, 1.0, 0.0, 1.0, 0.0], 4)
    row = any_row({}, asked(), heads(noisy, around(0.64, 24, spread=0.01)), ALL[:2], at_least(0.5), HOW)
    assert row["verdict"] == "supported"
    assert (row["head"], row["any"]["passing"]) == ("0.1", 2)
    assert row["low"] >= 0.5


def test_some_head_of_a_whole_model_is_fast() -> None:
    """270 heads on 128 prompts are decided in under two seconds, either way."""
    values = heads(*(np.random.default_rng(0).random((270, 128)) * 0.5))
    candidates = [(0, head) for head in range(270)]
    for limit, verdict in ((0.9, "refuted"), (0.27, "inconclusive"), (0.1, "supported")):
        start = time.perf_counter()
        row = any_row({}, asked(), values, candidates, at_least(limit), HOW)
        assert time.perf_counter() - start < 2.0
        assert row["verdict"] == verdict


def test_some_head_on_a_census_is_decided_by_the_values() -> None:
    """Equality satisfies; there is no interval."""
    values = heads([0.2, 0.4], [0.5, 0.5])
    row = any_row({}, asked(), values, ALL[:2], at_least(0.5), CENSUS)
    assert (row["verdict"], row["head"], row["low"], row["corrected"]) == ("supported", "0.1", None, None)
    assert any_row({}, asked(), values, ALL[:2], at_least(0.51), CENSUS)["verdict"] == "refuted"


def test_some_head_with_missing_and_broken_candidates() -> None:
    """Heads without a value are left out and told; broken ones neither support nor refute."""
    fine = around(0.7)
    row = any_row({}, asked(), heads(fine, np.full(48, NAN)), ALL[:2], at_least(0.5), HOW)
    assert row["verdict"] == "supported"
    assert "1 of 2 heads have no value" in row["warnings"][0]
    broken = heads(fine, np.full(48, INF))
    assert any_row({}, asked(), broken, ALL[:2], at_least(0.5), HOW)["verdict"] == "supported"
    row = any_row({}, asked(), broken, ALL[:2], at_least(0.95), HOW)
    assert (row["verdict"], row["reason"]) == ("unmeasurable", "the model's numbers are not finite for 1 of 2 heads")
    row = any_row({}, asked(), heads([NAN] * 3, [NAN] * 3), ALL[:2], at_least(0.5), HOW)
    assert (row["verdict"], row["estimate"]) == ("unmeasurable", None)
    with pytest.raises(ValueError, match="at least one head"):
        any_row({}, asked(), SOME, [], at_least(0.5), HOW)


def test_a_head_whose_attention_is_nearly_all_excluded_cannot_be_the_one() -> None:
    """It supports nothing, and keeps the claim from being refuted; alone it is UNMEASURABLE."""
    both = heads(around(0.9, seed=1), around(0.1, seed=2), removed=[0.95, 0.2])
    row = any_row({}, asked(excluding=("bos",)), both, ALL[:2], at_least(0.5), HOW)
    assert (row["verdict"], row["head"]) == ("inconclusive", "0.1")
    assert "nearly all attention of 1 of 2 heads" in row["warnings"][0]
    alone = any_row({}, asked(excluding=("bos",)), both, ALL[:1], at_least(0.5), HOW)
    assert alone["verdict"] == "unmeasurable"
    assert "removes 0.95" in alone["reason"]


def test_some_head_observed_has_numbers_and_no_verdict() -> None:
    """observe: true shows the highest head."""
    row = any_row({}, asked(), SOME, ALL, OBSERVED, HOW)
    assert (row["verdict"], row["observe"], row["head"], row["heads_passing"]) == (None, True, "0.0", None)
    assert row["any"]["passing"] is None


# ---- exact scores ----

HITS = np.array([[[1, 1, 1, 0], [0, 1, 0, 0], [NAN, NAN, NAN, NAN], [1, NAN, 1, 1]]], dtype=float)
PROFILES = np.array([[[0.1, 0.0, 0.8, 0.1], [0.9, 0.0, 0.1, 0.0], [NAN] * 4, [0.0, 0.0, 1.0, 0.0]]])


def exact(head: int, bound: Bound, how: Asked = HOW) -> dict[str, Any]:
    return score_row_exact({}, HITS, PROFILES, (0, head), bound, how, "numerals", ["eleventy"])


def test_scores_of_weights_are_exact() -> None:
    """The share of hits itself is judged, equality included, without an interval whatever the sampling."""
    row = exact(0, at_least(0.75))
    assert (row["verdict"], row["estimate"], row["n"]) == ("supported", 0.75, 4)
    assert (row["low"], row["high"], row["interval"], row["corrected"]) == (None, None, None, None)
    assert row["exact"] is True
    assert row["prompts"] is None
    assert row["profile"] == {"self": 0.1, "previous": 0.0, "next": 0.8, "next_but_one": 0.1}
    assert (row["members"], row["left_out"]) == ("numerals", ["eleventy"])
    assert (row["heads_passing"], row["rank"], row["rank_tied"]) == ([2, 4], [2, 4], 0)
    # The mean of the three heads that have a score is (.75 + .25 + 1) / 3.
    assert row["effect"] == {"kind": "lift_over_heads", "value": pytest.approx(0.75 / (2 / 3))}
    assert exact(1, at_least(0.75))["verdict"] == "refuted"
    assert (exact(3, at_least(1.0))["estimate"], exact(3, at_least(1.0))["n"], exact(3, OBSERVED)["skipped"]) == (
        1,
        3,
        1,
    )
    assert exact(0, OBSERVED)["verdict"] is None


@pytest.mark.parametrize(("head", "k", "verdict"), [(3, 1, "supported"), (0, 1, "refuted"), (0, 2, "supported")])
def test_top_of_exact_scores_is_the_place(head: int, k: int, verdict: str) -> None:
    """Among the k highest, decided by the values."""
    row = exact(head, top(k))
    assert (row["verdict"], row["k"], row["bound"], row["interval"]) == (verdict, k, f"top {k}", None)


def test_a_head_that_writes_nothing_is_unmeasurable() -> None:
    """All members without a value: a reason, no number and no profile."""
    for bound in (at_least(0.5), top(1)):
        row = exact(2, bound)
        assert (row["verdict"], row["estimate"], row["profile"], row["rank"]) == ("unmeasurable", None, None, None)
        assert "no member has a value" in row["reason"]


# ---- in-context learning ----


def test_in_context_learning_is_a_mean_difference_of_losses() -> None:
    """The t interval, at any time, of the per-prompt differences; no head, no uniform attention."""
    values = np.array([-0.5, -0.7, -0.4, -0.6, -0.55] * 3 + [NAN])
    note = "second-half minus first-half loss"

    def icl(values: Any) -> InContext:
        early = np.where(np.isnan(values), NAN, 2.0)
        return InContext(early + values, early, ("the second copy", "the first copy"), note)

    row = icl_row({}, icl(values), at_most(-0.3), HOW)
    half = anytime_t.quantile(15, 0.025) * np.nanstd(values, ddof=1) / math.sqrt(15)
    assert (row["low"], row["high"]) == pytest.approx((-0.55 - half, -0.55 + half))
    assert (row["verdict"], row["n"], row["skipped"], row["guaranteed"]) == ("supported", 15, 1, False)
    assert (row["head"], row["uniform"], row["statistic"], row["statistic_note"]) == (
        None, None, "in_context_learning", note,
    )  # fmt: skip
    assert row["parts"] == pytest.approx({"loss of the second copy": 1.45, "loss of the first copy": 2.0})
    assert row["effect"]["value"] == pytest.approx(-0.55 / np.nanstd(values, ddof=1))
    assert icl_row({}, icl(-values), at_most(-0.3), HOW)["verdict"] == "refuted"
    assert icl_row({}, icl(np.full(6, -0.5)), at_most(-0.49), HOW)["verdict"] == "inconclusive"
    assert icl_row({}, icl(np.array([-0.5])), at_most(-0.3), HOW)["verdict"] == "inconclusive"
    for bad, reason in ((np.full(3, NAN), "long enough"), (np.array([1.0, INF]), "not finite")):
        row = icl_row({}, icl(bad), at_most(-0.3), HOW)
        assert row["verdict"] == "unmeasurable"
        assert reason in row["reason"]
