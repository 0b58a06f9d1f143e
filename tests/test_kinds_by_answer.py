"""A check's value answer by answer: the same as on the prompts of that answer alone, and as plain transformers gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import measuring
import numpy as np
import pytest
from measuring import LITERALS, answer, plain_model, rows, suite, texts_of
from oracle import HeadOrMlp, metrics
from test_measure_ablation import WORDS

from circuits import evaluate
from circuits.claims.claim import Ablate
from circuits.claims.heads import Component
from circuits.evaluate import Evaluator, Options
from circuits.kinds.by_answer import MOST_ANSWERS, _of_intervention, _recovered, by_answer
from circuits.measure.group import CLEAN_RUN
from circuits.report import control_tables, words

tiny = measuring.tiny
CHECKS: list[dict[str, Any]] = [
    {"head": "1.1", "attends": "end -> any", "at_least": 0.0},
    {"head": "1.1", "attends": "end -> n-1", "more_than": "end -> n-2", "by_at_least": -0.9},
    {"ablate": ["1.1", "MLP2"], "method": "zero", "drop_in": "answer_prob", "at_least": -50},
    {"ablate": ["1.1"], "method": "resample", "after": "answer_prob", "at_least": 1e-9},
    {"path": "MLP0 -> logits", "change_in": "answer_prob", "at_least": -0.9},
    {"ablate": "1.1", "given_ablated": "2.0", "method": "zero", "interaction": {"at_least": -50}, "drop_in": "answer_prob"},
    {"within": "c", "ablate": "1.1", "method": "zero", "drop_in": "answer_prob", "at_least": -50},
    {"keep_only": "c", "method": "zero", "recovers": "answer_prob", "random": 0, "at_least": 0.001},
    {"keep_only": "c", "method": "zero", "recovers": "answer_prob", "normalised": True, "random": 0, "at_least": -50},
    {"ablate": "1.1", "method": "zero", "after": "answer_logprob", "range": [-4, -1], "at_least": -3.9},
    {"ablate": "1.1", "method": "zero", "drop_in": "answer_prob", "top": 2},
]  # fmt: skip


def measured(
    folder: Path, tmp_path: Path, prompts: dict[str, Any], checks: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The rows of one claim, each with its answers: of models that do no task, so whatever the verdict."""
    claims = {"c": {"claim": "c", "prompts": "p", "checks": checks}}
    path = tmp_path / "s.yaml"
    text = suite({"path": str(folder)}, {"p": prompts}, claims, circuits={"c": {"heads": ["1.1", "2.0"]}})
    path.write_text(text, encoding="utf-8")
    (item,) = evaluate.items_of(evaluate.load(path, evaluate.knowledge(), path.name), tmp_path)
    assert not item.claim.faults, [fault.render() for fault in item.claim.faults]
    evaluator = Evaluator(Options())
    found = []
    for cell in evaluator._cells(item):
        here = evaluator.place(item, cell)
        found.append(evaluator.row(item, cell, here) | {"by_answer": by_answer(cell, here)})
    return found


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_each_answer_has_the_value_of_its_own_prompts(name: str, tiny: dict[str, Path], tmp_path: Path) -> None:
    """What stands beside the whole is what the same check comes to on the prompts of that answer alone."""
    texts = texts_of(LITERALS)
    firsts = [one.answers[0] for one in LITERALS]
    assert 1 < len(set(firsts)) <= MOST_ANSWERS, "or nothing is tested"
    whole = measured(tiny[name], tmp_path, {"family": "texts", "texts": texts}, CHECKS)
    seen = set()
    for text in dict.fromkeys(firsts):
        own = [one for one, first in zip(texts, firsts, strict=True) if first == text]
        for row, alone in zip(
            whole, measured(tiny[name], tmp_path, {"family": "texts", "texts": own}, CHECKS), strict=True
        ):
            (found,) = [one for one in row["by_answer"] or [] if one["answer"] == text]
            assert found["n"] == len(own)
            if found["value"] is None:  # a share of less than nothing is not told
                assert alone["parts"]["F(M)"] <= (alone["parts"]["F(0)"] if alone["normalised"] else 0), row["check"]
                continue
            assert found["value"] == pytest.approx(alone["estimate"], abs=1e-5), row["check"]
            assert alone["by_answer"] is None, "one answer is no comparison"
            seen.add(round(found["value"], 6))
    assert len(seen) > len(CHECKS), "the values differ from answer to answer"


def test_each_answer_agrees_with_plain_transformers(tiny: dict[str, Path], tmp_path: Path) -> None:
    """The drop of a probability, from two passes of the plain model; where the answers are wrong, what is first is told."""
    model = plain_model(tiny["llama"])
    check = {"ablate": "1.2", "method": "zero", "drop_in": "answer_prob", "at_least": -50}
    (row,) = measured(tiny["llama"], tmp_path, {"family": "texts", "texts": texts_of(LITERALS)}, [check])
    before: dict[str, list[float]] = {}
    after: dict[str, list[float]] = {}
    head: list[HeadOrMlp] = [(1, 2)]
    wrong, to_foil = [], 0
    for one in LITERALS:
        ids, answers, foils = one.ids(), *([WORDS.index(word) for word in each] for each in (one.answers, one.foils))
        clean, without = model.logits(ids), model.ablated(ids, head, "zero")
        before.setdefault(one.answers[0], []).append(metrics(clean, clean, ids, answers, foils)["answer_prob"])
        after.setdefault(one.answers[0], []).append(metrics(without, clean, ids, answers, foils)["answer_prob"])
        first = int(clean[-1].argmax())
        if first not in answers:
            wrong.append(WORDS[first])
            to_foil += first in foils
    expected = {text: 1 - float(np.mean(after[text])) / float(np.mean(before[text])) for text in before}
    assert {one["answer"]: one["value"] for one in row["by_answer"]} == pytest.approx(expected, abs=1e-5)
    assert wrong, "or nothing is tested"
    claims = {"c": {"claim": "c", "prompts": "p", "head": "1.1", "attends": "end -> any", "at_least": 0.01}}
    text = suite({"path": str(tiny["llama"])}, {"p": {"family": "texts", "texts": texts_of(LITERALS)}}, claims)
    (row,) = rows(answer(tmp_path / "s.yaml", text)[0]["c"])
    assert row["clean"]["wrong"] == [to_foil, len(wrong)]
    assert {word for word, _ in row["clean"]["wrong_first"]} <= set(wrong)
    assert len(row["by_answer"]) == len(set(before)), "what a verdict was reached on is told answer by answer"


def test_many_answers_other_prompts_and_medians_are_not_told_apart(tiny: dict[str, Path], tmp_path: Path) -> None:
    """More answers than a table holds, "some head", a rank, a share of random sets and a comparison with other prompts."""
    names = [word for word in WORDS if word.isalnum()][: MOST_ANSWERS + 1]
    assert len(set(names)) == MOST_ANSWERS + 1
    texts = [{"text": "Adam is 1. Bob is", "answer": f" {name}", "foil": " 9"} for name in names]
    shown = {"head": "1.1", "attends": "end -> any", "at_least": 0.0}
    (many,) = measured(tiny["llama"], tmp_path, {"family": "texts", "texts": texts}, [shown])
    assert many["by_answer"] is None
    few = {"family": "texts", "texts": texts[:2]}
    rank = {"ablate": "1.1", "method": "zero", "after": "answer_rank", "observe": True}
    some = {"heads": {"any": "all"}, "attends": "end -> any", "at_least": 0.0}
    share = {"ablate": "c", "method": "zero", "partial_necessity": "answer_prob", "random": 3, "at_least": 0.01}
    others = [rank, some, share]
    assert [row["by_answer"] for row in measured(tiny["llama"], tmp_path, few, others)] == [None] * len(others)
    two = dict.fromkeys(("p", "q"), few)
    two["q"] = {**two["q"], "texts": texts_of(LITERALS)}
    more = {
        "head": "1.1",
        "attends": "end -> any",
        "more_than": {"attends": "end -> any", "prompts": "q"},
        "by_at_least": -0.9,
    }
    claims = {"c": {"claim": "c", "prompts": "p", "checks": [more]}}
    entries, _ = answer(tmp_path / "s.yaml", suite({"path": str(tiny["llama"])}, two, claims))
    (row,) = rows(entries["c"])
    assert row["by_answer"] is None
    model, right = plain_model(tiny["llama"]), []
    for one in LITERALS:
        logits = model.logits(one.ids())[-1]
        right.append(logits[WORDS.index(one.answers[0])] == logits.max())
    there = row["other"]["clean"]
    assert (there["n"], there["top1"]) == (len(LITERALS), float(np.mean(right)))


@pytest.mark.parametrize(("before", "value"), [(2.0, 0.5), (0.0, None), (-0.3, None), (None, None)])
def test_a_share_of_nothing_is_not_told(before: float | None, value: float | None) -> None:
    """The drop of an answer whose own metric is not above zero has no meaning, however the whole does."""
    what = Ablate((Component(0, 1),), "mean", "drop_in", "logit_diff")
    found = _of_intervention(what, {CLEAN_RUN: before, "F(M\\A)": 1.0})
    assert found == {"value": value, "before": before, "after": 1.0}
    change = _of_intervention(replace(what, effect="change_in"), {CLEAN_RUN: -0.3, "F(M\\A)": 1.0})
    assert change["value"] == pytest.approx(1.3)
    assert _recovered(True, {"F(M)": 2.0, "F(C)": 1.0, "F(0)": 2.0})["value"] is None


def test_the_words_of_answers() -> None:
    """One table for checks on the same prompts, another where the answers are others; nothing without any."""
    each = [{"answer": " 5", "n": 7, "value": 0.25}, {"answer": " 10", "n": 1, "value": None}]
    assert "shown without intervals" not in str(control_tables.by_answer([{"estimate": 1, "by_answer": each}]))
    row: dict[str, Any] = {"index": 1, "head": "14.3", "estimate": 0.3, "by_answer": each}
    other = {**row, "index": 3, "by_answer": [{"answer": " 6", "n": 2, "value": 0.5}, each[0]]}
    second = {**row, "index": 2, "by_answer": [each[0], {**each[1], "value": 0.9}]}
    told = control_tables.by_answer([row, second, other, {**row, "by_answer": None}])
    assert told is not None
    assert told.count("| check, head or part | all |") == 2
    assert "| `5`<br>n = 7 | `10`<br>n = 1 |" in told and "| 1<br>14.3 | 0.3 | 0.25 | – |" in told
    assert "| 3<br>14.3 | 0.3 | 0.5 | 0.25 |" in told
    assert control_tables.by_answer([{**row, "by_answer": None}]) is None
    sets = control_tables.by_answer([{**row, "prompts": "a"}, {**row, "prompts": "b"}])
    assert str(sets).count("| check, head or part |") == 2 and "| 1<br>14.3<br>`b` |" in str(sets)
    gone = {**row, "by_answer": [{**each[0], "before": 4.0, "after": 1.0}, {**each[1], "before": -0.1, "after": 2.0}]}
    told = control_tables.by_answer([gone])
    assert told is not None and "| 0.25<br>4, then 1 | -0.1, then 2 |" in told  # no share, but what it would be made of
    assert "below it the metric's means before and after" in str(told)
    edges = [{"answer": " 5", "n": 1, "value": 0.1}, {"answer": "5", "n": 1, "value": 0.2}]
    assert "`␣5`<br>n = 1 | `5`<br>n = 1" in str(control_tables.by_answer([{**row, "by_answer": edges}]))
    assert "By answer: `␣5` 0.25 (n = 7), `␣10` – (n = 1)." in words.beside(row)
