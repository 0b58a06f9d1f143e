"""The base rate of an intervention: the same check with random parts, against plain transformers and by hand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import measuring
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measuring import LITERALS, answer, suite
from oracle import HeadOrMlp, effect
from test_kinds_oracle import NAMES, PROMPTS, circuit, circuits, parts, runs_of
from test_measure_paths import loud

from circuits import evaluate
from circuits.claims.heads import Component, parse_component
from circuits.evaluate import Evaluator, Options
from circuits.kinds.base_rate import base_rate_of, plan_base_rate
from circuits.measure.subsets import all_heads, all_mlps, random_sets_among
from circuits.report import random_parts, words

tiny = measuring.tiny
__all__ = ["loud"]
BOUND = {"between": [-50, 50]}
NUMERALS = {"numerals": {"family": "named_sequence", "members": "numerals"}}


def base_rates(folder: Path, tmp_path: Path, checks: Sequence[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """What stands beside each check of one claim: of models that do no task, so not through a verdict."""
    claims = {"c": {"prompts": "p", "checks": list(checks)}}
    path = tmp_path / "s.yaml"
    path.write_text(suite({"path": str(folder)}, PROMPTS, claims, circuits=circuits()), encoding="utf-8")
    (item,) = evaluate.items_of(evaluate.load(path, evaluate.knowledge(), path.name), tmp_path)
    assert not item.claim.faults, item.claim.faults
    evaluator = Evaluator(Options(batch_tokens=40, dtype="float64"))
    cells = evaluator._cells(item)
    places = [evaluator.place(item, cell) for cell in cells]
    for cell, here in zip(cells, places, strict=True):
        plan_base_rate(cell, here, count)
    found = [base_rate_of(cell, here, count) for cell, here in zip(cells, places, strict=True)]
    assert all(one is not None for one in found)
    return [one for one in found if one is not None]


@pytest.mark.parametrize("name", NAMES)
def test_every_value_is_that_of_plain_transformers(name: str, loud: dict[str, Path], tmp_path: Path) -> None:
    """Each random set's drop, change, value after, interaction and effect along a path, of heads and MLPs alike."""
    checks: list[dict[str, Any]] = [
        {"ablate": "1.2", "drop_in": "logit_diff", **BOUND},
        {"ablate": ["0.1", "MLP2", "3.0"], "method": "zero", "change_in": "answer_logprob", **BOUND},
        {"ablate": ["MLP1"], "method": "resample", "at": "end", "after": "logit_diff", **BOUND},
        {"ablate": "1.2", "within": "listed", "method": "zero", "change_in": "logit_diff", **BOUND},
        {"ablate": "1.2", "given_ablated": "2.0", "method": "zero", "interaction": BOUND, "drop_in": "logit_diff"},
    ]
    paths = [
        {"path": "1.2 -> 3.1.v", "change_in": "answer_logit", **BOUND},
        {"path": "MLP3 -> logits", "drop_in": "logit_diff", **BOUND},
    ]
    runs, end = runs_of(loud[name], double=True), [[len(one.shown.words) - 1] for one in LITERALS]
    listed = circuit("listed")
    outside = runs.outside(parts(listed.heads), parts(listed.mlps or ()))
    moved = set()
    found = base_rates(loud[name], tmp_path, [*checks, *paths], 3)
    for check, rate in zip([*checks, *paths], found, strict=True):
        metric = next(check[key] for key in ("drop_in", "change_in", "after") if key in check)
        kind = next(key for key in ("drop_in", "change_in", "after") if key in check)
        assert (rate["n"], rate["seed"]) == (len(LITERALS), 0)
        assert 1 <= rate["count"] == len(rate["each"]) <= 3
        for one in rate["each"]:
            own: list[HeadOrMlp] = parts(one["parts"])
            if "path" in check:
                to = check["path"].partition(" -> ")[2]
                receiver, into = (None, "logits") if to == "logits" else ((3, 1), "v")
                before = [values[metric] for values in runs.without([], "zero")]
                after = [
                    runs.read(k, runs.model.path(ids, partner, own[0], receiver, into))[metric]
                    for k, (ids, partner) in enumerate(zip(runs.ids, runs.partners, strict=True))
                ]
                expected = effect(kind, before, after)
            elif "interaction" in check:
                full, less, other, least = (
                    runs.f(metric, removed, "zero") for removed in ([], own, [(2, 0)], [(2, 0), *own])
                )
                expected = ((other - least) - (full - less)) / full
            else:
                base = outside if "within" in check else []
                where = end if "at" in check else None
                method = check.get("method", "mean")
                before = [values[metric] for values in runs.without(base, method)]
                after = [values[metric] for values in runs.without([*base, *own], method, where)]
                expected = effect(kind, before, after)
            assert one["value"] == pytest.approx(expected, rel=1e-3, abs=1e-6)
            moved.add(round(expected, 6))
    assert len(moved) > 12, "the parts differ, so that agreement says something"


def test_who_is_drawn_may_stand_in_the_place_of_the_parts(loud: dict[str, Path], tmp_path: Path) -> None:
    """Never a part of the claim or one that is gone anyway; within a circuit its members; of a path what lies below."""
    checks: list[dict[str, Any]] = [
        {"ablate": ["0.1", "MLP2"], "drop_in": "logit_diff", **BOUND},
        {"ablate": "1.2", "given_ablated": ["2.0", "3.1"], "interaction": BOUND, "drop_in": "logit_diff"},
        {"ablate": "MLP0", "within": "listed", "drop_in": "logit_diff", **BOUND},
        {"ablate": "1.2", "within": "absent", "drop_in": "logit_diff", **BOUND},
        {"path": "0.1 -> 1.3.k", "drop_in": "logit_diff", **BOUND},
    ]
    both, given_gone, listed, absent, below = (
        [one["parts"] for one in rate["each"]] for rate in base_rates(loud["llama"], tmp_path, checks, 40)
    )
    assert len(both) == 40
    assert all(len(each) == 2 and sum(part.startswith("MLP") for part in each) == 1 for each in both)
    assert not {"0.1", "MLP2"} & {part for each in both for part in each}
    every = {f"{layer}.{head}" for layer in range(4) for head in range(4)}
    assert {part for (part,) in given_gone} == every - {"1.2", "2.0", "3.1"}
    assert listed == [["MLP2"]]
    assert {part for (part,) in absent} == {"0.3", "2.0", "3.1"}
    assert {part for (part,) in below} == {"0.0", "0.2", "0.3"}


def test_a_check_that_is_compared_already_or_claims_nothing_has_none(tmp_path: Path) -> None:
    """Places among all heads, random sets, observed checks; and where none are asked for."""
    base = {"ablate": "2.1", "method": "zero"}
    checks = [
        {**base, "drop_in": "logit_diff", "observe": True},
        {**base, "drop_in": "logit_diff", "top": 3},
        {"ablate": "g", "method": "zero", "partial_necessity": "logit_diff", "random": 4, "at_least": 0.1},
        {**base, "drop_in": "logit_diff", "between": [-1, 1]},
    ]
    text = suite(
        "reference",
        NUMERALS,
        {"c": {"claim": "c", "prompts": "numerals", "checks": checks}},
        circuits={"g": {"heads": ["2.1"]}},
    )
    rows = answer(tmp_path / "s.yaml", text, random=3)[0]["c"]["checks"]
    assert [(row["controls"] or {}).get("random") is not None for row in rows] == [False, False, False, True]
    rows = answer(tmp_path / "s.yaml", text, random=0)[0]["c"]["checks"]
    assert all(row["controls"] is None for row in rows)


def test_the_base_rate_of_a_head_is_what_a_claim_about_the_other_head_measures(tmp_path: Path) -> None:
    """On the same first eight prompts; which values satisfy the bound is counted by hand."""
    asked = {"ablate": "1.3", "method": "zero", "drop_in": "logit_diff", "between": [-0.1, 0.1]}
    claim = {"claim": "c", "prompts": "numerals", "checks": [asked]}
    text = suite("reference", NUMERALS, {"c": claim}, sampling={"min": 32, "max": 32})
    assert answer(tmp_path / "s.yaml", text, random=1)[0]["c"]["checks"][0]["controls"]["random"]["n"] == 8
    text = suite("reference", NUMERALS, {"c": claim}, sampling={"min": 8, "max": 8})
    row = answer(tmp_path / "s.yaml", text, random=11)[0]["c"]["checks"][0]
    rate = row["controls"]["random"]
    assert (rate["count"], rate["n"]) == (11, row["n"])
    assert {one["parts"][0] for one in rate["each"]} == {f"{at}.{h}" for at in range(3) for h in range(4)} - {"1.3"}
    claims = {
        f"h{number}": {"claim": "c", "prompts": "numerals", "checks": [{**asked, "ablate": one["parts"][0]}]}
        for number, one in enumerate(rate["each"])
    }
    text = suite("reference", NUMERALS, claims, sampling={"min": 8, "max": 8})
    others = answer(tmp_path / "s.yaml", text)[0]
    for number, one in enumerate(rate["each"]):
        estimate = others[f"h{number}"]["checks"][0]["estimate"]
        assert one["value"] == pytest.approx(estimate, abs=1e-9)
        assert one["holds"] is (-0.1 <= estimate <= 0.1)
    assert rate["holding"] == sum(one["holds"] for one in rate["each"])
    assert 0 < rate["holding"] < 11


few = settings(max_examples=60, deadline=None)


@few
@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 3), st.integers(1, 12), st.data())
def test_random_sets_are_distinct_and_of_the_right_size_and_place(
    layers: int, heads: int, seed: int, count: int, data: st.DataObject
) -> None:
    """min(count, all there are) sets of as many heads and MLPs, from where they may be taken; the first do not depend on count."""
    every = [*all_heads(layers, heads), *all_mlps(layers)]
    own = data.draw(st.lists(st.sampled_from(every), min_size=1, max_size=3, unique=True))
    among = data.draw(st.lists(st.sampled_from(every), unique=True))
    found = random_sets_among(own, among, layers, heads, count, seed)
    left = set(among) - set(own)
    for one in found:
        assert set(one) <= left
        assert sum(part.head is None for part in one) == sum(part.head is None for part in own)
        assert len(one) == len(own)
    possible = _ways(left, own)
    assert len(set(found)) == len(found) == min(count, possible)
    assert (
        random_sets_among(own[::-1], among[::-1], layers, heads, max(1, count - 1), seed) == found[: max(1, count - 1)]
    )


def _ways(left: set[Component], own: Sequence[Component]) -> int:
    """How many sets of that size there are, counted one by one."""
    import itertools

    counts = []
    for mlp in (False, True):
        wanted = sum((part.head is None) is mlp for part in own)
        there = [part for part in left if (part.head is None) is mlp]
        counts.append(sum(1 for _ in itertools.combinations(there, wanted)))
    return counts[0] * counts[1]


def test_checks_of_one_size_share_their_random_parts() -> None:
    """So that few runs serve many claims: two heads of a large model are compared with the same five."""
    every = all_heads(30, 9)
    one, other = (random_sets_among([parse_component(name)], every, 30, 9, 5, 0) for name in ("5.8", "23.3"))
    assert one == other
    drawn = random_sets_among([parse_component("5.8")], every, 30, 9, 270, 0)
    assert {part for (part,) in drawn} == set(every) - {parse_component("5.8")}
    first = np.array([random_sets_among([], every, 30, 9, 1, 0) == ((),)])
    assert first.all()


# --- the words ---


def row(values: Sequence[float | None], holding: int, **more: Any) -> dict[str, Any]:
    each = [
        {"parts": [f"1.{number}"], "value": value, "holds": number < holding} for number, value in enumerate(values)
    ]
    rate = {"count": len(values), "holding": holding, "n": 32, "seed": 0, "each": each}
    return {"controls": {"random": rate}, "n": 32, "percent": False, "metric": "logit_diff", **more}


def test_the_words_of_a_base_rate() -> None:
    """How many satisfy the bound, between which ends; those that come out otherwise by name; a dash without any."""
    assert random_parts.cell({"controls": None}) == "–" and random_parts.sentence({}) is None
    assert random_parts.cell(row([0.1, 0.2, 0.3], 2)) == "2 of 3 satisfy it (0.1 to 0.3), not 1.2"
    assert random_parts.cell(row([0.1, 0.2, 0.3], 1)) == "1 of 3 satisfies it (0.1 to 0.3): 1.0"
    assert random_parts.cell(row([0.1, None, 0.3], 0)) == "0 of 3 satisfy it (0.1 to 0.3)"
    told = random_parts.sentence(row([0.1, None, 0.3], 0))
    assert told == (
        "Of 3 other heads, drawn at random in place of the check's own, on the same 32 prompts none satisfies this bound: 1.0 0.1, 1.1 no number, 1.2 0.3."
    )
    first = random_parts.sentence(row([0.1, 0.2], 1, n=64))
    assert first is not None and "on the first 32 prompts 1 satisfies this bound" in first
    assert (
        random_parts.line(row([0.1, 0.2], 1))
        == "1 of 2 heads drawn at random satisfies this bound in place of the check's own (0.1 to 0.2)"
    )


def test_a_page_says_once_how_rough_a_base_rate_is() -> None:
    """The largest share of which none of 5 shows any one time in 20: 1 - 0.05^(1/5) = 45.07%."""
    note = random_parts.note([row([0.1] * 5, 0), row([0.1] * 2, 0)])
    assert note is not None
    assert "where none of 5 satisfies a bound, 45.1% of all such sets still might (95% confidence)" in note
    assert float(re.findall(r"([\d.]+)% of all", note)[0]) == pytest.approx(100 * (1 - 0.05 ** (1 / 5)), abs=0.05)
    assert random_parts.note([{"controls": None}]) is None
    assert "on the first 32 prompts (all, where there are fewer)" in note
    wider = row([0.1] * 5, 0)
    wider["controls"]["random"]["n"] = 8
    assert "on the first 8 to 32 prompts" in str(random_parts.note([wider, row([0.1], 0)]))


# --- what a check asks, measured or not ---


def test_a_check_that_was_not_measured_says_what_the_measured_one_says(tmp_path: Path) -> None:
    """The sentence of what is asked is the same, but for the number of reference prompts, which only a model tells."""
    checks = [
        {"ablate": "1.2", "method": "zero", "drop_in": "logit_diff", "at_least": 0},
        {"ablate": ["1.2", "MLP0"], "method": "resample", "at": "end", "change_in": "answer_prob", "at_least": -0.9},
        {"ablate": "g", "method": "zero", "after": "top1", "observe": True},
        {"ablate": "1.2", "within": "g", "method": "zero", "drop_in": "logit_diff", "at_least": 0},
        {"ablate": "1.2", "given_ablated": "2.1", "method": "zero", "interaction": {"at_least": 0}, "drop_in": "logit_diff"},
        {"ablate": "g", "method": "zero", "partial_necessity": "logit_diff", "random": 4, "at_least": 0.1},
        {"keep_only": "g", "method": "zero", "recovers": "logit_diff", "random": 2, "at_least": 0},
        {"keep_only": "g", "method": "zero", "sufficiency": "logit_diff", "random": 4, "at_least": 0.1},
        {"keep_only": "g", "method": "zero", "completeness": "logit_diff", "subsets": 3, "at_most": 1},
        {"path": "1.2 -> logits", "drop_in": "logit_diff", "at_least": 0},
    ]  # fmt: skip
    more: dict[str, Any] = {"circuits": {"g": {"heads": ["1.2", "2.1"]}}, "sampling": {"min": 8, "max": 8}}
    told = {}
    for model in ("reference", "gpt2"):
        text = suite(model, NUMERALS, {"c": {"claim": "c", "prompts": "numerals", "checks": checks}}, **more)
        entry = answer(tmp_path / "s.yaml", text)[0]["c"]
        assert (entry["status"] == "skipped") is (model == "gpt2")
        told[model] = [words.what(row) for row in entry["checks"]]
    assert told["gpt2"] == told["reference"]
    assert len(set(told["gpt2"])) == len(checks)


def test_beside_values_after_an_ablation_stands_what_there_was_on_these_prompts(
    loud: dict[str, Path], tmp_path: Path
) -> None:
    """The unablated mean, of plain transformers; not of drops, of which it is part, nor within a circuit, which begins elsewhere."""
    checks: list[dict[str, Any]] = [
        {"ablate": "1.2", "method": "zero", "after": "logit_diff", **BOUND},
        {"ablate": "1.2", "method": "zero", "drop_in": "logit_diff", **BOUND},
        {"ablate": "1.2", "within": "listed", "method": "zero", "after": "logit_diff", **BOUND},
    ]
    after, drop, within = base_rates(loud["llama"], tmp_path, checks, 2)
    clean = runs_of(loud["llama"], double=True).without([], "zero")
    assert after["before"] == pytest.approx(float(np.mean([one["logit_diff"] for one in clean])), rel=1e-3)
    assert "before" not in drop and "before" not in within
    shown = row([0.1, 0.2], 0)
    shown["controls"]["random"]["before"] = 0.9
    assert random_parts.cell(shown) == "0 of 2 satisfy it (0.1 to 0.2); unablated 0.9 on these prompts"
    assert str(random_parts.sentence(shown)).endswith("1.0 0.1, 1.1 0.2; unablated 0.9 on these prompts.")
