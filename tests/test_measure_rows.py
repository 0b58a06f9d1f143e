"""Per-prompt values and a bound become a row: the verdict's rules, each on numbers made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from circuits.claims.claim import Ablate, Bound
from circuits.claims.heads import Component
from circuits.claims.selector import parse
from circuits.measure.attention import AttentionValues
from circuits.measure.cells import Question
from circuits.measure.metrics import end_metrics, next_token_loss
from circuits.prompts.prompt import TokenPrompt
from circuits.verdict import anytime_t, betting
from circuits.verdict.decide import Asked, NotYet, decide, finite, mean_of
from circuits.verdict.estimate import infer_bounded
from circuits.verdict.rows import NOTHING_MEASURED, Task, ablation_row, attention_row, heads_passing

NAN, INF = float("nan"), float("inf")
HOW = Asked(0.95, 1)
DONE = Task({"top1": 0.5})


def at_least(value: float) -> Bound:
    return Bound("at_least", value, None, f"at_least {value}")


def at_most(value: float) -> Bound:
    return Bound("at_most", None, value, f"at_most {value}")


def between(low: float, high: float) -> Bound:
    return Bound("between", low, high, f"between {low} and {high}")


OBSERVE = Bound("observe", None, None, None)


def attends(
    left: Any, bound: Bound, right: Any = None, *, statistic: str = "mass", removed: Any = None, skipped: int = 0,
    uniform: float = 0.1, how: Asked = HOW,
) -> dict[str, Any]:  # fmt: skip
    """The row of head 0.1 of a model of one layer and two heads; the other head's values are all 0.3."""

    def of_heads(values: Any) -> np.ndarray:
        values = np.asarray(values, dtype=float)
        return np.stack([np.full_like(values, 0.3), values])[None]

    count = len(left)
    asked = Question(
        parse("any -> n-1"),
        parse("any -> n-2") if right is not None else None,
        statistic,
        ("bos",) if removed is not None else (),
    )
    values = AttentionValues(
        of_heads(left),
        of_heads(right) if right is not None else None,
        np.full(count, uniform),
        np.full(count, 0.04) if right is not None else None,
        of_heads(removed) if removed is not None else None,
        np.full((1, 2), skipped) if removed is not None else None,
    )
    return attention_row({}, asked, values, (0, 1), bound, how)


def ablated(
    effect: str,
    metric: str,
    before: Any,
    after: Any,
    bound: Bound,
    *,
    task: Task = DONE,
    how: Asked = HOW,
    ranks: Any = None,
) -> dict[str, Any]:
    """The row of an ablation; the clean model has rank 1 everywhere unless told otherwise."""
    before, after = np.asarray(before, dtype=float), np.asarray(after, dtype=float)
    size = len(before)
    clean: dict[str, Any] = {"answer_rank": np.ones(size) if ranks is None else np.asarray(ranks, dtype=float)}
    clean["logit_diff"] = np.full(size, 2.0)
    now: dict[str, Any] = {"answer_rank": np.ones(size), "logit_diff": np.full(size, 1.0)}
    if metric.startswith("top") or metric == "answer_rank":
        clean["answer_rank"], now["answer_rank"] = before, after
    else:
        clean[metric], now[metric] = before, after
    now["top_text"] = np.array([f" t{place % 2}" for place in range(size)])
    clean["right_first"], now["right_first"] = ((run["answer_rank"] == 1).astype(float) for run in (clean, now))
    now |= {"foil_first": np.full(size, NAN), "answer_tied": np.zeros(size)}
    return ablation_row({}, Ablate((Component(0, 1),), "mean", effect, metric), clean, now, bound, task, how)


MASS = [0.6, 0.7, 0.65, 0.62, 0.68, 0.66, 0.61, 0.69] * 8


@pytest.mark.parametrize(
    ("bound", "verdict"),
    [
        (at_least(0.4), "supported"),
        (at_least(0.65), "inconclusive"),
        (at_least(0.9), "refuted"),
        (at_most(0.9), "supported"),
        (at_most(0.4), "refuted"),
        (between(0.5, 0.8), "supported"),
        (between(0.1, 0.3), "refuted"),
        (between(0.65, 0.99), "inconclusive"),
    ],
)
def test_the_interval_decides_and_not_the_estimate(bound: Bound, verdict: str) -> None:
    """SUPPORTED inside, REFUTED wholly outside, else INCONCLUSIVE; estimate inside its interval."""
    row = attends(MASS, bound)
    assert row["verdict"] == verdict
    assert row["estimate"] == pytest.approx(np.mean(MASS))
    assert row["low"] < row["estimate"] < row["high"]
    assert (row["n"], row["skipped"], row["reason"], row["confidence"]) == (64, 0, None, 0.95)
    assert row["interval"] == "betting"
    assert row["guaranteed"] is True
    assert row["effect"] == {"kind": "lift", "value": pytest.approx(np.mean(MASS) / 0.1)}


def test_several_rows_refute_at_a_corrected_confidence_and_support_at_the_plain_one() -> None:
    """With 20 rows a value just outside is no longer refuted, while what is supported stays so."""
    outside = at_least(attends(MASS, OBSERVE)["high"] + 1e-4)
    one, many = (attends(MASS, outside, how=Asked(0.95, rows)) for rows in (1, 20))
    assert one["verdict"] == "refuted"
    assert many["verdict"] == "inconclusive"
    assert (many["low"], many["high"]) == (one["low"], one["high"])
    assert many["corrected"]["confidence"] == pytest.approx(1 - 0.05 / 20)
    assert many["corrected"]["low"] < many["low"] < many["high"] < many["corrected"]["high"]
    assert one["corrected"]["high"] == one["high"]
    close = one["low"] - 1e-4
    assert attends(MASS, at_least(close), how=Asked(0.95, 20))["verdict"] == "supported"


@pytest.mark.parametrize(("value", "verdict"), [(0.5, "supported"), (0.5001, "refuted")])
def test_a_census_has_no_interval(value: float, verdict: str) -> None:
    """Where all possible prompts were measured the value itself is judged, equality included."""
    row = attends([0.25, 0.75, 0.5], at_least(value), how=Asked(0.95, 3, census=True))
    assert row["verdict"] == verdict
    assert (row["low"], row["high"], row["corrected"], row["interval"]) == (None, None, None, None)
    assert row["estimate"] == 0.5


def test_an_exclusion_that_takes_nearly_everything_is_unmeasurable_with_its_numbers() -> None:
    """Above 0.9 removed mass the row is UNMEASURABLE; below it is judged; skipped rows are told."""
    row = attends(MASS, at_least(0.4), removed=[0.95] * 64, skipped=3)
    assert row["verdict"] == "unmeasurable"
    assert "excluding bos removes 0.95 of the attention" in row["reason"]
    assert row["estimate"] == pytest.approx(np.mean(MASS))
    assert row["removed_mass"] == pytest.approx(0.95)
    assert any(warning.startswith("3 rows had under 1e-6") for warning in row["warnings"])
    assert attends(MASS, at_least(0.4), removed=[0.89] * 64)["verdict"] == "supported"
    gone = attends([NAN] * 4, at_least(0.4), removed=[1.0] * 4, skipped=9)
    assert (gone["estimate"], gone["verdict"]) == (None, "unmeasurable")
    assert "excluding bos removes 1 of the attention" in gone["reason"]  # not: the selectors match nothing


def test_selectors_that_match_nothing_are_unmeasurable_without_numbers() -> None:
    """No prompt has a value: estimate and interval are null, never 0."""
    row = attends([NAN] * 8, at_least(0.4), uniform=NAN)
    assert row["verdict"] == "unmeasurable"
    assert row["reason"].startswith("the selectors match nothing")
    empty = ("estimate", "low", "high", "uniform", "heads_passing", "effect", "corrected")
    assert [row[key] for key in empty] == [None] * len(empty)
    assert row["n"] == 0


def test_prompts_without_a_value_are_left_out_and_counted() -> None:
    """NaN is no 0: the mean is over the prompts that have a value, and a side without one takes both out."""
    row = attends([0.5, NAN, 0.7, NAN], at_least(0.1))
    assert row["estimate"] == pytest.approx(0.6)
    assert (row["n"], row["skipped"]) == (2, 2)
    assert row["warnings"][0].startswith("2 of 4 prompts have no such query")
    pair = attends([0.9, 0.6, NAN, 0.8], at_least(-0.5), right=[0.1, NAN, 0.3, 0.4])
    assert pair["estimate"] == pytest.approx(0.6)
    assert pair["sides"] == {"left": pytest.approx(0.85), "right": pytest.approx(0.25)}
    assert pair["n"] == 2
    assert pair["uniform"] == pytest.approx(0.1 - 0.04)
    assert pair["effect"] == {"kind": "d_z", "value": pytest.approx(0.6 / np.std([0.8, 0.4], ddof=1))}


def test_numbers_that_are_not_finite_are_unmeasurable_and_pass_nothing() -> None:
    """One infinite value (the mark of a model that broke) is neither dropped nor averaged."""
    row = attends([0.9, INF, 0.9, 0.9], at_least(0.4))
    assert (row["verdict"], row["estimate"], row["heads_passing"]) == ("unmeasurable", None, None)
    assert row["reason"] == "the model's numbers are not finite on 1 of 4 prompts"
    other = attends([0.9] * 4, at_least(0.2), right=[0.1, 0.1, INF, 0.1])
    assert other["verdict"] == "unmeasurable"
    for effect, metric in (("drop_in", "logit_diff"), ("after", "top1"), ("change_in", "kl"), ("after", "loss")):
        broken = ablated(effect, metric, [1.0] * 4, [1.0, 1.0, INF, 1.0], at_most(0.5))
        assert (broken["verdict"], broken["estimate"], broken["effect"]) == ("unmeasurable", None, None)
        assert "not finite on 1 of 4" in broken["reason"]
    clean = ablated("after", "loss", [1.0] * 4, [1.0] * 4, at_most(5), ranks=[1, 1, INF, 1])
    assert clean["verdict"] == "unmeasurable"
    assert clean["clean"]["top1"] is None


def test_a_broken_model_is_never_right() -> None:
    """NaN logits give infinite metrics, not rank 1; prompts without an answer keep no value."""
    import torch

    prompt = TokenPrompt((0, 1), None, (2,), (3,), {}, (-1, 0), None, True, "", "")
    plain = TokenPrompt((0, 1), None, (), (), {}, (-1, 0), None, True, "", "")
    logits = torch.tensor([[0.0, 1.0, 2.0, 3.0], [NAN] * 4, [0.0, INF, 0.0, 0.0], [NAN] * 4])
    found = end_metrics(logits, [prompt, prompt, prompt, plain], clean=torch.zeros(4, 4))
    for name in (
        "answer_rank",
        "logit_diff",
        "answer_prob",
        "answer_logprob",
        "answer_logit",
        "right_first",
        "answer_tied",
        "pair_prob",
        "prob_diff",
        "foil_first",
    ):
        assert np.isfinite(found[name]).tolist() == [True, False, False, False]
        assert np.isinf(found[name]).tolist() == [False, True, True, False]
    assert np.isinf(found["kl"]).tolist() == [False, True, True, True]
    assert found["answer_rank"][0] == 2
    assert (found["right_first"][0], found["foil_first"][0]) == (0, 1)
    assert np.isinf(next_token_loss(logits[:, None].expand(4, 2, 4), torch.zeros(4, 2, dtype=torch.long))).tolist() == [
        False, True, True, True,
    ]  # fmt: skip
    masked = torch.tensor([[0.0, 1.0, 2.0, -INF]])  # a token that both models exclude
    assert end_metrics(masked, [plain], clean=masked)["kl"].tolist() == [0.0]
    assert np.isnan(next_token_loss(torch.zeros(1, 1, 4), torch.zeros(1, 1, dtype=torch.long))).all()


def test_uniform_attention_that_satisfies_the_bound_is_told() -> None:
    """uniform_holds is set only where uniform attention satisfies the bound; an observed row has no bound."""
    assert attends(MASS, at_least(0.05))["uniform_holds"]
    assert "uniform attention (0.1) satisfies this bound too" in attends(MASS, at_least(0.05))["warnings"][-1]
    assert "uniform_holds" not in attends(MASS, at_least(0.4))
    observed = attends(MASS, OBSERVE)
    assert "uniform_holds" not in observed
    assert (observed["verdict"], observed["observe"], observed["heads_passing"]) == (None, True, None)
    assert observed["estimate"] == pytest.approx(np.mean(MASS))
    assert attends([NAN] * 3, OBSERVE)["verdict"] is None


def test_the_strongest_heads_that_satisfy_a_bound_are_named() -> None:
    """Highest first, lowest first under an upper bound, six at most; a head without a value never, and none without a bound."""
    means = np.array([[0.9, 0.1, NAN, 0.5], [0.7, 0.6, 0.8, 0.65], [0.2, 0.55, 0.5, 0.05]])
    assert heads_passing(means, at_least(0.65)) == {
        "heads_passing": [4, 12],
        "which_passing": ["0.0", "1.2", "1.0", "1.3"],
    }
    many = heads_passing(means, at_least(0.5))
    assert many["heads_passing"] == [8, 12]
    assert many["which_passing"] == ["0.0", "1.2", "1.0", "1.3", "1.1", "2.1"]
    assert heads_passing(means, at_most(0.2))["which_passing"] == ["2.3", "0.1", "2.0"]
    assert heads_passing(means, at_least(0.95)) == {"heads_passing": [0, 12], "which_passing": []}
    assert heads_passing(means, OBSERVE) == {"heads_passing": None, "which_passing": None}


def test_heads_passing_counts_estimates_of_all_heads() -> None:
    """Of the two heads, those whose own mean satisfies the bound are counted."""
    assert attends(MASS, at_least(0.2))["heads_passing"] == [2, 2]
    assert attends(MASS, at_least(0.4))["heads_passing"] == [1, 2]
    assert attends(MASS, at_most(0.3))["heads_passing"] == [1, 2]
    assert attends(MASS, at_least(0.9))["heads_passing"] == [0, 2]
    assert attends(MASS, at_least(0.5), right=[0.0] * 64)["heads_passing"] == [1, 2]


def test_lift_has_a_t_interval_and_its_own_effect() -> None:
    """Lift is unbounded: the t interval that holds at any time, cut at 0, marked as resting on an assumption."""
    values = [2.0, 3.0, 2.5, 3.5, 2.2, 2.8] * 3
    row = attends(values, at_least(1.5), statistic="lift", uniform=1.0)
    half = anytime_t.quantile(18, 0.025) * np.std(values, ddof=1) / np.sqrt(18)
    log_e = anytime_t.log_e(18, float(np.mean(values)) - 1.5, float(np.std(values, ddof=1)))
    assert row["log_e"]["for"] == pytest.approx(log_e)
    assert row["low"] == pytest.approx(np.mean(values) - half)
    assert row["high"] == pytest.approx(np.mean(values) + half)
    assert (row["verdict"], row["guaranteed"]) == ("supported", False)
    assert row["effect"] == {"kind": "lift", "value": pytest.approx(np.mean(values))}


def test_a_band_gives_half_the_error_to_either_side_for_refuting() -> None:
    """Either end could be found violated wrongly; for the band both ends must hold, so the lesser e-value speaks."""
    row = attends(MASS, between(0.5, 0.8), how=Asked(0.95, 3))
    assert row["corrected"]["confidence"] == pytest.approx(1 - 0.05 / 6)
    assert attends(MASS, at_least(0.5), how=Asked(0.95, 3))["corrected"]["confidence"] == pytest.approx(1 - 0.05 / 3)
    values = np.array(MASS)
    above, below = betting.log_e(values, 0.5), betting.log_e(1 - values, 1 - 0.8)
    violated = betting.log_e(1 - values, 1 - 0.5), betting.log_e(values, 0.8)
    assert row["log_e"] == {
        "for": pytest.approx(min(above, below)),
        "against": pytest.approx(np.log(np.mean(np.exp(violated)))),
    }


def test_log_e_values_stand_beside_every_judged_sample() -> None:
    """For and against the bound; null without one, on a census, and where there is no evidence at all."""
    values = np.array(MASS)
    row = attends(MASS, at_least(0.6))
    assert row["log_e"] == {
        "for": pytest.approx(betting.log_e(values, 0.6)), "against": pytest.approx(betting.log_e(1 - values, 0.4)),
    }  # fmt: skip
    assert attends(MASS, OBSERVE)["log_e"] is None
    assert attends(MASS, at_least(0.6), how=Asked(0.95, 1, census=True))["log_e"] is None
    certain = decide({**NOTHING_MEASURED}, at_least(-0.5), infer_bounded(MASS), HOW)
    assert certain["log_e"]["for"] == 700.0  # a share above -.5 is certain; JSON has no infinity
    assert certain["verdict"] == "supported"


@pytest.mark.parametrize(("cycle", "rows"), [(1, 1), (8, 1), (8, 20)])
def test_a_cycle_of_templates_and_the_number_of_rows_reach_the_interval(cycle: int, rows: int) -> None:
    """Stakes are held within a cycle of eight, so the ends differ; both stay on the right side of the mean."""
    row = attends(MASS, at_least(0.4), how=Asked(0.95, rows, cycle=cycle))
    strata = None if cycle == 1 else np.arange(64) // cycle
    assert row["verdict"] == "supported"
    assert row["log_e"]["for"] == pytest.approx(betting.log_e(np.array(MASS), 0.4, strata))
    assert betting.log_e(np.array(MASS), row["low"] - 0.008, strata) > np.log(40)
    assert betting.log_e(np.array(MASS), row["low"] + 0.008, strata) < np.log(40)


@pytest.mark.parametrize(
    ("row", "more"),
    [
        (attends([NAN] * 4, at_least(0.4)), True),  # no query matches yet
        (attends([0.9, INF], at_least(0.4)), False),
        (attends([0.9] * 8, at_least(0.4), removed=[0.95] * 8), False),
        (ablated("after", "kl", [0.0] * 5, [0.1] * 5, at_least(0)), True),  # too few prompts for the task
        (ablated("after", "kl", [0.0] * 40, [0.1] * 40, at_least(0), ranks=[3] * 40), False),  # surely not done
        (ablated("after", "kl", [0.0] * 4, [0.1] * 4, at_least(0), task=Task({"top1": 0.5}, True), ranks=[NAN] * 4), False),
        (ablated("drop_in", "loss", [NAN] * 9, [NAN] * 9, at_least(0)), True),
        (ablated("drop_in", "logit_diff", [-1.0, -1.1, -0.9] * 9, [1.0] * 27, at_least(0)), False),  # surely negative
    ],
)  # fmt: skip
def test_a_reason_says_whether_more_prompts_could_remove_it(row: dict[str, Any], more: bool) -> None:
    """What only a larger sample could change is NotYet; what is settled is a plain reason."""
    assert row["verdict"] == "unmeasurable"
    assert isinstance(row["reason"], NotYet) == more


BEFORE = [4.0, 5.0, 4.5, 5.5, 4.2, 4.8] * 4
AFTER = [3.0, 3.9, 3.3, 4.2, 3.1, 3.5] * 4


def test_a_drop_is_a_ratio_of_means() -> None:
    """drop_in, change_in and after of the same values; effect sizes and baselines beside them."""
    b, a = float(np.mean(BEFORE)), float(np.mean(AFTER))
    drop, change, after = (
        ablated(effect, "logit_diff", BEFORE, AFTER, between(-9, 9)) for effect in ("drop_in", "change_in", "after")
    )
    assert drop["estimate"] == pytest.approx(1 - a / b)
    assert change["estimate"] == pytest.approx(a - b)
    assert after["estimate"] == pytest.approx(a)
    for row in (drop, change, after):
        assert row["verdict"] == "supported"
        assert row["baseline"] == {"clean": pytest.approx(b), "ablated": pytest.approx(a)}
        assert row["effect"] == {"kind": "relative", "value": pytest.approx((a - b) / b)}
        assert (row["uniform"], row["heads_passing"]) == (None, None)
        assert row["clean"]["top1"] == 1.0
        assert (row["clean"]["top1_interval"], row["clean"]["top1_confidence"]) == ("betting", 0.95)
        assert betting.log_e(np.ones(24), row["clean"]["top1_low"]) == pytest.approx(np.log(40), abs=0.05)
    kl = ablated("after", "kl", [0.0] * 6, [0.1, 0.2, 0.3, 0.1, 0.2, 0.3], at_least(0.01))
    assert kl["effect"] is None, "it cannot be below the clean run's 0, so no difference from it is an effect size"
    assert kl["low"] >= 0


def test_a_drop_from_about_zero_has_no_meaning() -> None:
    """A clean interval that reaches zero makes drop_in UNMEASURABLE, its numbers kept; change_in is judged."""
    before, after = [1.0, -0.9, 1.1, -1.0, 0.5, -0.4] * 2, [0.1] * 12
    row = ablated("drop_in", "logit_diff", before, after, at_most(5))
    assert row["verdict"] == "unmeasurable"
    assert "may be zero or less (mean 0.05, interval -" in row["reason"]
    assert row["estimate"] == pytest.approx((0.05 - 0.1) / 0.05)
    assert isinstance(row["reason"], NotYet)  # more prompts could show that it is above zero
    assert ablated("change_in", "logit_diff", before, after, at_most(5))["verdict"] == "supported"
    census = Asked(0.95, 1, census=True)
    for below in ([-1.0] * 6, [0.0] * 6):
        found = ablated("drop_in", "logit_diff", below, [0.1] * 6, at_most(5), how=census)
        assert found["verdict"] == "unmeasurable"
    assert ablated("drop_in", "logit_diff", before, after, at_most(5), how=census)["verdict"] == "supported"
    task = ablated("drop_in", "logit_diff", before, after, at_most(5), ranks=[9] * 12)
    assert "does not do this task" in task["reason"]  # the first reason stays


@pytest.mark.parametrize(
    ("ranks", "task", "census", "fine"),
    [
        ([1] * 12, {"top1": 0.5}, False, True),  # 12 of 12: lower bound above .6
        ([1] * 5, {"top1": 0.5}, False, False),  # 5 of 5: the capital is at most 1.9^5 < 40
        ([1] * 5, {"top1": 0.5}, True, True),
        ([1, 2], {"top1": 0.5}, True, False),  # exactly one half is not more than it
        ([1] * 20 + [2] * 12, {"top1": 0.5}, False, False),  # 0.625, lower bound 0.437
        ([3] * 20, {"top1": 0.5}, False, False),
        ([3] * 20, {"top5": 0.8}, False, True),
        ([3] * 20, {"top5": 0.8, "top1": 0.0}, False, False),
        ([NAN] * 20, {"top1": 0.5}, False, True),  # no answers, no task
        ([NAN] * 10 + [1] * 12, {"top1": 0.5}, False, True),
        ([NAN] * 10 + [2] * 10, {"top1": 0.5}, False, False),
    ],
)
def test_the_task_must_be_done_by_the_clean_model(
    ranks: list[float], task: Mapping[str, float], census: bool, fine: bool
) -> None:
    """The lower bound of the clean accuracy (itself, on a census) must exceed what is required."""
    size = len(ranks)
    row = ablated(
        "after", "kl", [0.0] * size, [0.1] * size, at_least(0), task=Task(task), how=Asked(0.95, 1, census), ranks=ranks
    )
    assert (row["verdict"] != "unmeasurable") == fine
    assert (row["reason"] is None) == fine
    assert row["estimate"] == pytest.approx(0.1)


def test_an_accuracy_required_of_prompts_without_answers_cannot_be_met() -> None:
    """requires: written in the suite on prompts that set no task is UNMEASURABLE, not ignored."""
    task = Task({"top1": 0.5}, explicit=True)
    row = ablated("after", "kl", [0.0] * 4, [0.1] * 4, at_least(0), task=task, ranks=[NAN] * 4)
    assert row["verdict"] == "unmeasurable"
    assert "have no answers" in row["reason"]


def test_ranks_and_what_the_answer_fell_to() -> None:
    """Top-k rows carry the ranks' distribution and the new top tokens, most frequent first."""
    row = ablated("after", "top1", [1] * 8, [1, 2, 3, 2, 2, 9, 2, 1], at_least(0.9))
    assert row["estimate"] == 0.25
    assert row["ranks"] == {"median": 2.0, "first": 0.25, "counts": {"1": 2, "2": 4, "3": 1, "9": 1}}
    assert row["fell_to"] == [[" t1", 3], [" t0", 3]][::-1]
    assert (row["interval"], row["guaranteed"]) == ("betting", True)
    top5 = ablated("after", "top5", [1] * 8, [1, 2, 3, 2, 2, 9, 2, 1], at_least(0.9))
    assert (top5["estimate"], top5["fell_to"]) == (0.875, [[" t1", 1]])
    assert ablated("after", "top5", [1] * 8, [1] * 8, at_least(0.5))["fell_to"] == []


@pytest.mark.parametrize(
    ("effect", "value", "note"), [("after", 3.0, "median rank"), ("change_in", 2.0, "median change of the rank")]
)
def test_ranks_are_shown_as_a_median(effect: str, value: float, note: str) -> None:
    """answer_rank is observed: its median (or that of its change), no interval, no verdict."""
    row = ablated(effect, "answer_rank", [1, 1, 2, 1], [3, 1, 50, 3], OBSERVE)
    assert (row["estimate"], row["statistic_note"], row["low"], row["verdict"]) == (value, note, None, None)


def test_degenerate_data_never_gives_certainty() -> None:
    """All ones, constant values and one prompt have intervals with width, and a bound at the value is open."""
    assert attends([1.0] * 32, at_least(1.0))["verdict"] == "inconclusive"
    same = ablated("drop_in", "logit_diff", [5.0, 4.0, 6.0, 5.0] * 4, [5.0, 4.0, 6.0, 5.0] * 4, between(-0.001, 0.001))
    assert same["estimate"] == 0.0
    assert same["low"] == pytest.approx(-(3 / 16) * 2 / 5)  # 3/n x the clean range, relative to the clean mean
    assert same["verdict"] == "inconclusive"
    assert attends([0.7], at_least(0.6))["verdict"] == "inconclusive"


def test_a_row_that_could_not_be_asked_has_every_key() -> None:
    """UNMEASURABLE before any measurement: the same keys as any row, all null."""
    row = decide({**NOTHING_MEASURED, "reason": "no period"}, at_least(0.5), None, HOW)
    assert (row["verdict"], row["estimate"], row["n"], row["reason"]) == ("unmeasurable", None, 0, "no period")
    assert row["bound"] == "at_least 0.5"
    assert decide({**NOTHING_MEASURED, "reason": "x"}, OBSERVE, None, HOW)["verdict"] is None
    usual = attends(MASS, at_least(0.4))
    assert set(usual) - {"warnings"} == set(row)


def test_helpers_turn_no_number_into_none() -> None:
    """Null, never NaN and never infinity."""
    assert [finite(value) for value in (None, NAN, INF, -INF, 0.0)] == [None, None, None, None, 0.0]
    assert mean_of(np.array([NAN, NAN])) is None
    assert mean_of(None) is None
    assert mean_of(np.array([1.0, NAN, 3.0])) == 2.0
