"""Ablations through the whole pipeline equal plain transformers with torch's own hooks."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import measuring
import numpy as np
import pytest
from measuring import LITERALS, WORDS, answer, plain_model, rows, same, suite, texts_of
from oracle import METRICS, HeadOrMlp, effect, metrics

from circuits.report.words import beside

tiny = measuring.tiny

COMPONENTS: dict[str, list[HeadOrMlp]] = {
    "one head": [(1, 2)],
    "first layer": [(0, 3)],
    "heads over layers": [(0, 1), (2, 3), (3, 0)],
    "heads of one layer": [(2, 0), (2, 1)],
    "mlp": [(1, None)],
    "head and mlp": [(1, 0), (2, None)],
    "head and mlp of one layer": [(3, 3), (3, None)],
}
PARTS: list[HeadOrMlp] = [(0, 1), (2, 3), (0, None), (3, None)]
DROPS = ("logit_diff", "answer_prob", "pair_prob", "prob_diff", "top1", "top5")


def named(parts: list[HeadOrMlp]) -> list[str]:
    return [f"MLP{layer}" if head is None else f"{layer}.{head}" for layer, head in parts]


def checks_of(parts: list[HeadOrMlp], method: str) -> list[dict[str, Any]]:
    """Every effect on every metric, without bounds."""
    base = {"ablate": named(parts), "method": method, "observe": True}
    pairs = [("drop_in", m) for m in DROPS] + [(e, m) for e in ("change_in", "after") for m in METRICS]
    return [{**base, e: m} for e, m in pairs]


class Expected:
    """Per-prompt metrics from the plain model, clean and ablated."""

    def __init__(self, folder: Path, bos: bool):
        self.model = plain_model(folder)
        self.ids = [one.ids(bos) for one in LITERALS]
        self.partners = [one.partner(bos) for one in LITERALS]
        self.answers = [[WORDS.index(word) for word in one.answers] for one in LITERALS]
        self.foils = [[WORDS.index(word) for word in one.foils] for one in LITERALS]
        self.logits = [self.model.logits(ids) for ids in self.ids]
        self.clean = [self.read(number, logits) for number, logits in enumerate(self.logits)]

    def read(self, number: int, logits: np.ndarray) -> dict[str, float]:
        return metrics(logits, self.logits[number], self.ids[number], self.answers[number], self.foils[number])

    def ablated(self, parts: list[HeadOrMlp], method: str) -> list[dict[str, float]]:
        found = []
        for number, ids in enumerate(self.ids):
            alike = [row for row in self.partners if len(row) == len(ids)]
            logits = self.model.ablated(ids, parts, method, self.partners[number], alike)
            found.append(self.read(number, logits))
        return found


@pytest.mark.parametrize("bos", [True, False])
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_every_ablation_agrees_with_transformers(name: str, bos: bool, tiny: dict[str, Path], tmp_path: Path) -> None:
    """Each method, component set, effect and metric equals the oracle's to 1e-5, per baseline and estimate."""
    asked = [(title, method) for title in COMPONENTS for method in ("mean", "zero", "resample")]
    claims = {
        f"c{number}": {"prompts": "p", "checks": checks_of(COMPONENTS[title], method)}
        for number, (title, method) in enumerate(asked)
    }
    prompts = {"p": {"family": "texts", "bos": bos, "texts": texts_of(LITERALS)}}
    text = suite({"path": str(tiny[name])}, prompts, claims)
    entries, _ = answer(tmp_path / "s.yaml", text, batch_tokens=24)  # two prompts a batch at most
    oracle = Expected(tiny[name], bos)
    moved = 0.0
    for number, (title, method) in enumerate(asked):
        after = oracle.ablated(COMPONENTS[title], method)
        moved = max(moved, abs(after[0]["logit_diff"] - oracle.clean[0]["logit_diff"]))
        for row in rows(entries[f"c{number}"]):
            metric, kind = row["metric"], row["statistic"]
            before, now = [c[metric] for c in oracle.clean], [a[metric] for a in after]
            assert row["n"] == len(LITERALS)
            assert row["verdict"] is None
            if metric == "answer_rank":
                assert row["baseline"] is None, "a mean rank is no number to show"
                change = [a - b for a, b in zip(now, before, strict=True)]
                assert row["estimate"] == float(np.median(change if kind == "change_in" else now))
                assert row["ranks"]["counts"] == {f"{rank:.0f}": now.count(rank) for rank in now}
            else:
                same(row["baseline"]["clean"], float(np.mean(before)))
                same(row["baseline"]["ablated"], float(np.mean(now)))
                same(row["estimate"], effect(kind, before, now))
    assert moved > 0.1  # ablations of this model move what is compared


def test_another_head_is_noticed(tiny: dict[str, Path], tmp_path: Path) -> None:
    """The oracle's number for a neighbouring head, layer or MLP is not the one measured."""
    claims = {"c": {"prompts": "p", "ablate": "1.2", "method": "zero", "after": "logit_diff", "at_least": -100}}
    text = suite({"path": str(tiny["llama"])}, {"p": {"family": "texts", "texts": texts_of(LITERALS)}}, claims)
    entries, _ = answer(tmp_path / "s.yaml", text)
    oracle = Expected(tiny["llama"], True)
    found = rows(entries["c"])[0]["estimate"]
    values: dict[HeadOrMlp, float] = {}
    others: list[HeadOrMlp] = [(1, 2), (1, 1), (1, 3), (2, 1), (0, 2), (1, None)]
    for part in others:
        values[part] = float(np.mean([one["logit_diff"] for one in oracle.ablated([part], "zero")]))
    same(found, values.pop((1, 2)))
    assert all(abs(found - value) > 1e-3 for value in values.values())


def test_texts_without_answers_have_kl_and_loss_only(tiny: dict[str, Path], tmp_path: Path) -> None:
    """Plain texts can be ablated by zeros; kl and loss agree with the oracle and no task is required."""
    texts = [one.text for one in LITERALS]
    checks = [{"ablate": ["MLP1", "2.2"], "method": "zero", effect: metric, "at_least": 0.001} for effect, metric in [
        ("after", "kl"), ("change_in", "kl"), ("after", "loss"), ("change_in", "loss"),
    ]]  # fmt: skip
    text = suite(
        {"path": str(tiny["gpt2"])},
        {"p": {"family": "texts", "texts": texts}},
        {"c": {"prompts": "p", "checks": checks}},
    )
    entries, _ = answer(tmp_path / "s.yaml", text)
    model = plain_model(tiny["gpt2"])
    before, after = [], []
    for one in LITERALS:
        ids = one.ids()
        clean = model.logits(ids)
        before.append(metrics(clean, clean, ids, [], []))
        after.append(metrics(model.ablated(ids, [(1, None), (2, 2)], "zero"), clean, ids, [], []))
    for row in rows(entries["c"]):
        metric = row["metric"]
        expected = effect(row["statistic"], [b[metric] for b in before], [a[metric] for a in after])
        same(row["estimate"], expected)
        assert row["clean"] == dict.fromkeys(("top1", "top1_low", "top1_interval", "top1_confidence", "logit_diff"))
        assert row["verdict"] in ("supported", "inconclusive", "refuted")
        assert row["reason"] is None


@pytest.mark.parametrize("right", [1, 2])
def test_a_row_says_how_many_answers_would_be_right(tiny: dict[str, Path], tmp_path: Path, right: int) -> None:
    """Where one prompt has two right answers, of which the second is first, that is said; where all have one, nothing is added.

    What a model puts first is read from the plain model.
    """
    model = plain_model(tiny["llama"])
    shown = ("Adam is 1. Bob is", "Adam is 3. Bob is")
    ids = [[WORDS.index(word) for word in f"<bos> {one.replace('.', ' .')}".split()] for one in shown]
    first = [WORDS[int(model.logits(each)[-1].argmax())] for each in ids]
    wrong = [word for word in ("4", "5", "7", "9") if word not in first]
    words = [f" {wrong[0]}", f" {first[0]}"][:right]
    texts = [
        {"text": shown[0], "answer": words, "foil": f" {wrong[1]}"},
        {"text": shown[1], "answer": f" {wrong[0]}", "foil": f" {wrong[1]}"},
    ]
    claims = {
        "looks": {"head": "1.1", "prompts": "p", "attends": "end -> any", "at_least": 0.1},
        "helps": {
            "prompts": "p",
            "ablate": ["MLP0", "MLP1", "MLP2", "MLP3"],
            "method": "zero",
            "change_in": "logit_diff",
            "observe": True,
        },
    }
    text = suite({"path": str(tiny["llama"])}, {"p": {"family": "texts", "texts": texts}}, claims)
    entries, _ = answer(tmp_path / "s.yaml", text)
    for entry in entries.values():
        (row,) = rows(entry)
        assert entry["prompts"]["p"]["right_answers"] == right
        assert row["clean"].get("right_answers") == (right if right > 1 else None)
        assert row["clean"].get("right_first") == (0.5 if right > 1 else None)
        # Right on the first prompt where its second answer counts, too; what is first elsewhere is told.
        wrongly = first[1:] if right > 1 else first
        assert sorted(row["clean"]["wrong_first"]) == sorted([word, wrongly.count(word)] for word in set(wrongly))
        assert row["clean"]["wrong"] == [0, len(wrongly)]
        assert row["clean"]["top1"] == 0.0
        told = " ".join(beside(row))
        assert ("first choice is one of up to 2 right answers on 50% of prompts, and the one" in told) == (right > 1)
    (without,) = rows(entries["helps"])
    gone = [WORDS[int(model.ablated(each, [(layer, None) for layer in range(4)], "zero")[-1].argmax())] for each in ids]
    counted = [gone[0] in (wrong[0], first[0])[:right], gone[1] == wrong[0]]
    assert without["right_after"] == sum(counted) / 2
    assert gone != first, "what is first is another without these parts"


def test_the_answer_is_the_token_that_falls_out(tiny: dict[str, Path], tmp_path: Path) -> None:
    """fell_to counts the ablated model's top tokens on the prompts that lost the answer; ranks count them all.

    Only a prompt whose clean first choice is the answer can lose it: half of the answers are made so.
    """
    model = plain_model(tiny["llama"])
    literals = []
    for number, one in enumerate(LITERALS):
        choice = WORDS[int(model.logits(one.ids())[-1].argmax())]
        if number % 2 == 0 and choice.isalnum() and f" {choice}" not in one.foils:
            one = replace(one, answers=(f" {choice}",))
        literals.append(one)
    claims = {"c": {"prompts": "p", "ablate": named(PARTS), "method": "zero", "after": "top1", "at_least": 0.5}}
    text = suite({"path": str(tiny["llama"])}, {"p": {"family": "texts", "texts": texts_of(literals)}}, claims)
    entries, _ = answer(tmp_path / "s.yaml", text)
    tops: dict[str, int] = {}
    ranks: list[float] = []
    had = 0
    for one in literals:
        answer_id = WORDS.index(one.answers[0].strip())
        clean, logits = model.logits(one.ids())[-1], model.ablated(one.ids(), PARTS, "zero")[-1]
        ranks.append(1 + int((logits > logits[answer_id]).sum()))
        had += int(clean.argmax()) == answer_id
        if int(clean.argmax()) == answer_id and ranks[-1] > 1:
            word = WORDS[int(logits.argmax())]
            tops[word] = tops.get(word, 0) + 1
    (row,) = rows(entries["c"])
    assert tops, "nothing was lost, so nothing is tested"
    assert dict(row["fell_to"]) == tops
    assert row["lost"] == [sum(tops.values()), had]
    assert row["ranks"]["median"] == float(np.median(ranks))
    assert math.isclose(row["ranks"]["first"], float(np.mean([rank == 1 for rank in ranks])))
