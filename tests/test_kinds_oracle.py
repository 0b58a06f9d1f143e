"""Circuits, groups, comparisons, paths and scores through the whole pipeline equal plain transformers with hooks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attention_forms
import measuring
import numpy as np
import pytest
from attention_forms import FORMS, MORE
from measuring import LITERALS, ROLES, WORDS, Literal, answer, plain_model, rows, same, suite, texts_of
from oracle import HeadOrMlp, Runs, effect
from test_measure_losses import token_losses
from test_measure_paths import loud
from test_measure_profile import NAMED, by_loops
from test_measure_smollm2 import MODEL as REAL_MODEL
from test_measure_smollm2 import PROMPTS as REAL_PROMPTS
from test_measure_smollm2 import Real
from test_measure_smollm2 import prompt_set as real_prompts

from circuits import evaluate
from circuits.claims.claim import Circuit
from circuits.claims.heads import Component, parse_component
from circuits.evaluate import Evaluator, Options
from circuits.measure.subsets import random_circuits, random_sets_outside, subsets
from circuits.models.load import load
from circuits.models.source import resolve
from circuits.prompts.registry import FAMILIES
from circuits.prompts.tokens import build

tiny = measuring.tiny
__all__ = ["loud"]  # a fixture: the tiny models with louder heads
NAMES = ("llama", "gpt2")  # grouped and separate keys and values
METHODS = ("mean", "zero", "resample")
TOLERANCE = 1e-4  # ten times what is asked for
PROMPTS = {"p": {"family": "texts", "roles": ROLES, "texts": texts_of(LITERALS)}}

# name -> heads, MLPs (None: not named, so all stay; []: none stays)
CIRCUITS: dict[str, tuple[list[str], list[int] | None]] = {
    "absent": (["0.3", "1.2", "2.0", "3.1"], None),
    "listed": (["0.1", "1.2", "3.1"], [0, 2]),
    "none": (["0.1", "2.0", "2.3", "3.0"], []),
}


def part(name: str) -> HeadOrMlp:
    return (int(name[3:]), None) if name.startswith("MLP") else (int(name.split(".")[0]), int(name.split(".")[1]))


def parts(names: Iterable[Any]) -> list[HeadOrMlp]:
    return [part(str(name)) for name in names]


def circuits() -> dict[str, Any]:
    """The circuits as a suite names them."""
    return {
        name: {"heads": heads, **({} if mlps is None else {"mlps": mlps})} for name, (heads, mlps) in CIRCUITS.items()
    }


def circuit(name: str) -> Circuit:
    heads, mlps = CIRCUITS[name]
    named = None if mlps is None else tuple(Component(layer) for layer in mlps)
    return Circuit(name, tuple(parse_component(head) for head in heads), named)


@pytest.fixture(scope="module")
def oracles(tiny: dict[str, Path]) -> dict[str, Runs]:
    """F of the formulas, from plain transformers, of each tiny model."""
    return {name: runs_of(tiny[name]) for name in NAMES}


def runs_of(folder: Path, literals: Sequence[Literal] = LITERALS, double: bool = False) -> Runs:
    plain = plain_model(folder)
    if double:
        plain.model.double()
    answers, foils = ([[WORDS.index(word) for word in words] for words in each] for each in (
        [one.answers for one in literals], [one.foils for one in literals]
    ))  # fmt: skip
    return Runs(
        plain_model(folder), [one.ids() for one in literals], [one.partner() for one in literals], answers, foils
    )


def measured(
    folder: Path,
    tmp_path: Path,
    checks: Sequence[Mapping[str, Any]],
    prompts: Mapping[str, Any] = PROMPTS,
    dtype: str = "float32",
    **more: Any,
) -> list[dict[str, Any]]:
    """The rows of one claim whose checks are these, through the whole pipeline."""
    claims = {"c": {"prompts": next(iter(prompts)), "checks": [dict(check) for check in checks]}}
    text = suite({"path": str(folder)}, prompts, claims, circuits=circuits(), **more)
    return rows(answer(tmp_path / "s.yaml", text, batch_tokens=40, dtype=dtype)[0]["c"])


class Kept:
    """The numbers of ``keep_only`` from the oracle's F, for one circuit and method."""

    def __init__(self, runs: Runs, name: str, method: str, metric: str):
        self.runs, self.method, self.metric, self.circuit = runs, method, metric, circuit(name)
        self.all = parts(self.circuit.components)
        self.nothing = self.f(runs.outside([], None if self.circuit.mlps is None else []))
        self.full = self.f([])

    def f(self, removed: Iterable[HeadOrMlp]) -> float:
        return self.runs.f(self.metric, removed, self.method)

    def alone(self, drawn: Circuit | None = None, removed: Iterable[HeadOrMlp] = ()) -> float:
        """F of a circuit (this one) without some of its components."""
        one = drawn or self.circuit
        return self.f([*self.runs.outside(parts(one.heads), None if one.mlps is None else parts(one.mlps)), *removed])

    def drawn(self, count: int) -> list[float]:
        """F of each random circuit of its size."""
        return [self.alone(one) for one in random_circuits(self.circuit, self.runs.layers, self.runs.heads, count, 0)]

    def completeness(self, count: int) -> dict[tuple[HeadOrMlp, ...], float]:
        """|F(C without K) - F(M without K)| of each K."""
        chosen = [sorted(parts(each), key=str) for each in subsets(self.circuit.components, count, 0)]
        return {tuple(each): abs(self.alone(removed=each) - self.f(each)) for each in chosen}

    def minimality(self, count: int) -> dict[HeadOrMlp, dict[tuple[HeadOrMlp, ...], float]]:
        """|F(C without K) - F(C without K and v)| of each v and each K without it."""
        chosen = [set(parts(each)) for each in subsets(self.circuit.components, count, 0)]
        return {
            v: {
                tuple(sorted(each - {v}, key=str)): abs(
                    self.alone(removed=each - {v}) - self.alone(removed=each | {v})
                )
                for each in chosen
            }
            for v in self.all
        }  # fmt: skip


def keep_checks(method: str) -> list[dict[str, Any]]:
    base = {"method": method, "observe": True}
    found: list[dict[str, Any]] = []
    for name in CIRCUITS:
        one = {**base, "keep_only": name}
        found += [{**one, "recovers": "logit_diff", "random": 3}, {**one, "recovers": "answer_prob", "random": 0}]
        found += [{**one, "recovers": "logit_diff", "normalised": True, "random": 3}]
        found += [
            {**one, "faithfulness": m, "random": 2} for m in ("logit_diff", "answer_logit", "loss", "top5", "prob_diff")
        ]
        found += [{**one, "completeness": m, "subsets": 6} for m in ("logit_diff", "answer_logprob")]
        found += [{**one, "minimality": "logit_diff", "subsets": 5}, {**one, "sufficiency": "logit_diff", "random": 12}]
    return found


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", NAMES)
def test_what_a_circuit_does_alone_agrees(
    name: str, method: str, tiny: dict[str, Path], oracles: dict[str, Runs], tmp_path: Path
) -> None:  # fmt: skip
    """Each statistic of keep_only, its parts, what stands beside it and its random circuits are the oracle's."""
    checks = keep_checks(method)
    moved = set()
    for check, row in zip(checks, measured(tiny[name], tmp_path, checks), strict=True):
        statistic, metric = row["statistic"], row["metric"]
        assert check[statistic] == metric
        kept = Kept(oracles[name], check["keep_only"], method, metric)
        full, own, nothing = kept.full, kept.alone(), kept.nothing
        heads, mlps = CIRCUITS[check["keep_only"]]
        assert row["circuit"] == {"name": check["keep_only"], "heads": heads, "mlps": mlps, "source": None}
        same(row["parts"]["F(M)"], full, TOLERANCE)
        same(row["parts"]["F(C)"], own, TOLERANCE)
        assert row["n"] == (12 if statistic == "sufficiency" else len(LITERALS))
        drawn = kept.drawn(check.get("random", 0))
        if statistic == "recovers":
            same(row["parts"]["F(0)"], nothing, TOLERANCE)
            plain, normal = own / full, (own - nothing) / (full - nothing)
            expected, beside = (normal, plain) if check.get("normalised") else (plain, normal)
            assert row["beside"]["label"] == ("not normalised" if check.get("normalised") else "normalised")
            same(row["beside"]["value"], beside, 1e-3)
            low = nothing if check.get("normalised") else 0.0
            agrees(row["random"], [(each - low) / (full - low) for each in drawn], expected, 1)
        elif statistic == "faithfulness":
            expected = abs(full - own)
            agrees(row["random"], [abs(full - each) for each in drawn], expected, -1)
        elif statistic == "sufficiency":
            distances = [abs(full - each) for each in drawn]
            expected = float(np.mean([abs(full - own) < each for each in distances]))
            agrees(row["random"], distances, abs(full - own), -1)
        elif statistic == "completeness":
            each = kept.completeness(6)
            assert () in each and len(each) == 6 == row["subsets"]["count"]
            worst = max(each, key=lambda k: each[k])
            expected = each[worst]
            same(row["worst"]["value"], expected, TOLERANCE)
            assert sorted(parts(row["worst"]["removed"]), key=str) == list(worst)
            same(row["parts"]["F(C\\K)"], kept.alone(removed=worst), TOLERANCE)
            same(row["parts"]["F(M\\K)"], kept.f(worst), TOLERANCE)
        else:
            by = kept.minimality(5)
            largest = {v: max(found.values()) for v, found in by.items()}
            v = min(largest, key=lambda v: largest[v])
            expected = largest[v]
            same(row["worst"]["value"], expected, TOLERANCE)
            assert part(row["worst"]["component"]) == v
            removed = tuple(sorted(parts(row["worst"]["removed"]), key=str))
            same(by[v][removed], expected, TOLERANCE)
            same(row["parts"]["F(C\\K)"], kept.alone(removed=removed), TOLERANCE)
            same(row["parts"]["F(C\\(K+v))"], kept.alone(removed=[*removed, v]), TOLERANCE)
        same(row["estimate"], expected, 1e-3 if statistic == "recovers" else TOLERANCE)
        moved.add(round(expected, 3))
    assert len(moved) > 15, "the circuits and statistics differ, so that agreement says something"


def agrees(found: Mapping[str, Any] | None, expected: Sequence[float], own: float, sign: int) -> None:
    """The control of random circuits: range, median, and how many do at least as well."""
    if not expected:
        assert found is None
        return
    assert found is not None
    assert (found["count"], found["seed"]) == (len(expected), 0)
    for key, value in (("min", min(expected)), ("median", float(np.median(expected))), ("max", max(expected))):
        same(found[key], value, 1e-3)
    assert found["as_good"] == sum(sign * each >= sign * own for each in expected)


def test_another_circuit_or_method_is_noticed(
    tiny: dict[str, Path], oracles: dict[str, Runs], tmp_path: Path
) -> None:  # fmt: skip
    """The oracle's number for one head more, one less, other MLPs or another method is not the one measured."""
    check = {"keep_only": "listed", "faithfulness": "logit_diff", "observe": True, "method": "zero", "random": 0}
    (row,) = measured(tiny["llama"], tmp_path, [check])
    runs, (names, mlps) = oracles["llama"], CIRCUITS["listed"]
    heads, own = parts(names), [(layer, None) for layer in mlps or []]
    others: list[tuple[list[HeadOrMlp], list[HeadOrMlp] | None, str]] = [
        (heads, list(own), "zero"), ([*heads, (0, 3)], list(own), "zero"), (heads[1:], list(own), "zero"),
        (heads, None, "zero"), (heads, [], "zero"), (heads, list(own), "mean"), (heads, list(own), "resample"),
    ]  # fmt: skip
    full = runs.f("logit_diff", [], "zero")
    values = [abs(full - runs.f("logit_diff", runs.outside(h, m), method)) for h, m, method in others]
    same(row["estimate"], values[0], TOLERANCE)
    assert all(abs(row["estimate"] - value) > 1e-2 for value in values[1:])


# --- ablations within a circuit, at some positions, beside others ---

SPANS: dict[str, Callable[[Literal], list[int]]] = {
    "end": lambda one: [len(one.shown.words) - 1],
    "member[2]": lambda one: [place for span in one.shown.roles["member"][1:2] for place in span],
    "name | is": lambda one: sorted({p for r in ("name", "is") for span in one.shown.roles[r] for p in span}),
}
EFFECTS = (
    ("drop_in", "logit_diff"),
    ("drop_in", "answer_prob"),
    ("change_in", "answer_logprob"),
    ("change_in", "kl"),
    ("change_in", "loss"),
    ("after", "top5"),
    ("after", "prob_diff"),
)


@pytest.mark.parametrize("name", NAMES)
def test_ablation_at_some_positions_agrees(
    name: str, tiny: dict[str, Path], oracles: dict[str, Runs], tmp_path: Path
) -> None:  # fmt: skip
    """Only those positions are replaced, and a prompt without them is as it was, for heads, MLPs and circuits."""
    asked: list[tuple[Any, list[HeadOrMlp]]] = [
        ("1.2", [(1, 2)]),
        (["0.1", "MLP2", "3.0"], [(0, 1), (2, None), (3, 0)]),
        ("listed", parts(circuit("listed").components)),
        ("none", parts(circuit("none").components)),
    ]
    places: list[str | None] = [*SPANS, None]
    cases = [(a, m, at, e) for a in asked for m in METHODS for at in places for e in EFFECTS]
    checks = [
        {"ablate": a[0], "method": m, **({"at": at} if at else {}), e[0]: e[1], "observe": True}
        for a, m, at, e in cases
    ]
    found = measured(tiny[name], tmp_path, checks)
    runs, changed = oracles[name], {}
    for (a, method, at, (kind, metric)), row in zip(cases, found, strict=True):
        where = None if at is None else [SPANS[at](one) for one in LITERALS]
        before = [values[metric] for values in runs.without([], method)]
        after = [values[metric] for values in runs.without(a[1], method, where)]
        same(row["estimate"], effect(kind, before, after), TOLERANCE)
        assert row["at"] == at
        assert (row["circuit"] or {}).get("name") == (a[0] if str(a[0]) in CIRCUITS else None)
        assert parts(row["ablated"]) == a[1]
        changed[at, str(a[0]), method, kind, metric] = row["estimate"]
    for one in ("end", "member[2]", "name | is"):
        apart = [abs(changed[one, *rest] - value) for (at, *rest), value in changed.items() if at is None]
        assert max(apart) > 0.05, "where it is done matters"


@pytest.mark.parametrize("name", NAMES)
def test_ablation_within_a_circuit_agrees(
    name: str, tiny: dict[str, Path], oracles: dict[str, Runs], tmp_path: Path
) -> None:  # fmt: skip
    """F(C) and F(C without A) and each effect of them equal the oracle's, with MLPs absent, listed and none."""
    asked = [("absent", ["2.0"]), ("absent", ["MLP1", "1.2"]), ("listed", ["MLP2"]), ("listed", ["0.1", "MLP0"]),
             ("none", ["2.0", "2.3"]), ("none", "none")]  # fmt: skip
    effects = [("after", "kl") if e == ("change_in", "kl") else e for e in EFFECTS]
    cases = [(c, a, m, e) for c, a in asked for m in METHODS for e in effects]
    checks = [{"within": c, "ablate": a, "method": m, e[0]: e[1], "observe": True} for c, a, m, e in cases]
    runs = oracles[name]
    for (c, a, method, (kind, metric)), row in zip(cases, measured(tiny[name], tmp_path, checks), strict=True):
        one = circuit(c)
        removed = parts(one.components if a == "none" else a)
        outside = runs.outside(parts(one.heads), None if one.mlps is None else parts(one.mlps))
        before = [values[metric] for values in runs.without(outside, method)]
        after = [values[metric] for values in runs.without([*outside, *removed], method)]
        same(row["parts"]["F(C)"], float(np.mean(before)), TOLERANCE)
        same(row["parts"]["F(C\\A)"], float(np.mean(after)), TOLERANCE)
        same(row["estimate"], effect(kind, before, after), 1e-3)
        assert row["within"]["name"] == c


@pytest.mark.parametrize("name", NAMES)
def test_a_component_whose_loss_brings_a_circuit_nearer_to_the_model_has_a_negative_change_of_kl(
    name: str, tiny: dict[str, Path], oracles: dict[str, Runs], tmp_path: Path
) -> None:  # fmt: skip
    """Within a circuit kl, the divergence from the whole model, can fall as well as rise: both are measured."""
    cases = [(head, m) for head in CIRCUITS["absent"][0] for m in METHODS]
    checks = [
        {"within": "absent", "ablate": head, "method": m, "change_in": "kl", "observe": True} for head, m in cases
    ]
    runs, changes = oracles[name], []
    outside = runs.outside(parts(CIRCUITS["absent"][0]), None)
    found = measured(tiny[name], tmp_path, checks)
    for head, method in cases:
        changes.append(runs.f("kl", [*outside, part(head)], method) - runs.f("kl", outside, method))
    assert min(changes) < 0 < max(changes)
    for row, change in zip(found, changes, strict=True):
        same(row["estimate"], change, TOLERANCE)


@pytest.mark.parametrize("name", NAMES)
def test_interactions_agree(
    name: str, tiny: dict[str, Path], oracles: dict[str, Runs], tmp_path: Path
) -> None:  # fmt: skip
    """((F(M\\G) - F(M\\G\\A)) - (F(M) - F(M\\A))) / F(M), its parts and both drops, at all and at some positions."""
    asked = [("1.2", "2.1"), (["0.1", "0.3"], ["MLP1", "3.0"]), ("MLP3", "1.0"), ("2.1", "1.2"), ("listed", ["2.2"]),
             ("3.3", "none")]  # fmt: skip
    cases = [(a, g, m, at) for a, g in asked for m in METHODS for at in (None, "end", "name | is")]
    checks = [
        {"ablate": a, "given_ablated": g, "method": m, **({"at": at} if at else {}), "drop_in": metric,
         "interaction": {"observe": True}}
        for a, g, m, at in cases for metric in ("logit_diff", "answer_prob")
    ]  # fmt: skip
    found = measured(tiny[name], tmp_path, checks)
    runs = oracles[name]
    for number, row in enumerate(found):
        a, g, method, at = cases[number // 2]
        one, two = ([*parts(circuit(x).components)] if x in ("listed", "none") else parts([x] if isinstance(x, str) else x)
                    for x in (a, g))  # fmt: skip
        where = None if at is None else [SPANS[at](literal) for literal in LITERALS]

        def f(removed: list[HeadOrMlp], row: Any = row, method: str = method, where: Any = where) -> float:
            return runs.f(row["metric"], removed, method, where)

        expected = {"F(M)": f([]), "F(M\\A)": f(one), "F(M\\G)": f(two), "F(M\\G\\A)": f([*one, *two])}
        assert set(row["parts"]) == set(expected)
        for key, value in expected.items():
            same(row["parts"][key], value, TOLERANCE)
        full = expected["F(M)"]
        alone, given = (full - f(one)) / full, (f(two) - f([*one, *two])) / full
        same(row["estimate"], given - alone, 1e-3)
        assert [each["label"] for each in row["beside"]] == ["drop of A alone", "drop of A given G"]
        same(row["beside"][0]["value"], alone, 1e-3)
        same(row["beside"][1]["value"], given, 1e-3)
    assert max(abs(row["estimate"]) for row in found) > 0.1


@pytest.mark.parametrize("name", NAMES)
def test_within_a_circuit_at_some_positions_agrees(
    name: str, tiny: dict[str, Path], oracles: dict[str, Runs], tmp_path: Path
) -> None:  # fmt: skip
    """What is outside is gone everywhere, A only at the positions that the check names."""
    cases = [(at, method) for at in SPANS for method in ("zero", "resample")]
    checks = [{"within": "absent", "ablate": "2.0", "method": m, "at": at, "after": "logit_diff", "observe": True}
              for at, m in cases]  # fmt: skip
    runs = oracles[name]
    outside = runs.outside(parts(CIRCUITS["absent"][0]), None)
    for (at, method), row in zip(cases, measured(tiny[name], tmp_path, checks), strict=True):
        values = []
        for number, (ids, partner) in enumerate(zip(runs.ids, runs.partners, strict=True)):
            gone, model = runs.model.activations(partner, [*outside, (2, 0)]), runs.model
            if method == "zero":
                gone = {key: value * 0 for key, value in gone.items()}
            own = {(2, 0): gone.pop((2, 0))}
            with model.replaced(gone), model.replaced(own, SPANS[at](LITERALS[number])):
                values.append(runs.read(number, model.logits(ids))["logit_diff"])
        same(row["estimate"], float(np.mean(values)), TOLERANCE)


@pytest.mark.parametrize("name", NAMES)
def test_partial_necessity_agrees(
    name: str, tiny: dict[str, Path], oracles: dict[str, Runs], tmp_path: Path
) -> None:  # fmt: skip
    """The share of random sets outside whose removal changes the mean less is recomputed, with their distances."""
    cases = [(c, m, at, metric) for c in CIRCUITS for m in METHODS for at in (None, "end")
             for metric in ("logit_diff", "loss")]  # fmt: skip
    checks = [
        {"ablate": c, "method": m, **({"at": at} if at else {}), "partial_necessity": metric, "random": 9,
         "observe": True}
        for c, m, at, metric in cases
    ]  # fmt: skip
    runs, seen = oracles[name], set()
    for (c, method, at, metric), row in zip(cases, measured(tiny[name], tmp_path, checks), strict=True):
        components = circuit(c).components
        where = None if at is None else [SPANS[at](literal) for literal in LITERALS]
        full, own = runs.f(metric, [], method), runs.f(metric, parts(components), method, where)
        drawn = [runs.f(metric, parts(each), method, where)
                 for each in random_sets_outside(components, 4, 4, 9, 0)]  # fmt: skip
        distances = [abs(full - each) for each in drawn]
        same(row["estimate"], float(np.mean([each < abs(full - own) for each in distances])))
        same(row["parts"]["F(M\\C)"], own, TOLERANCE)
        assert row["n"] == 9
        agrees(row["random"], distances, abs(full - own), 1)
        seen.add(row["estimate"])
    assert len(seen) > 2


# --- direct paths ---

PATHS: list[tuple[str, HeadOrMlp, HeadOrMlp | None, str]] = [
    ("0.1 -> 1.3.k", (0, 1), (1, 3), "k"),
    ("0.1 -> 1.0.q", (0, 1), (1, 0), "q"),
    ("1.2 -> 3.1.v", (1, 2), (3, 1), "v"),
    ("1.2 -> 3.1.k", (1, 2), (3, 1), "k"),
    ("2.0 -> 3.3.k", (2, 0), (3, 3), "k"),
    ("MLP0 -> 3.2.q", (0, None), (3, 2), "q"),
    ("MLP1 -> 2.3.v", (1, None), (2, 3), "v"),
    ("2.3 -> logits", (2, 3), None, "logits"),
    ("MLP3 -> logits", (3, None), None, "logits"),
]


@pytest.mark.parametrize("name", NAMES)
def test_paths_agree(name: str, loud: dict[str, Path], tmp_path: Path) -> None:
    """A component's write, corrupted on its way to one input of one head (its own copy under grouped k/v).

    In float64, where what a path does stands out from rounding: each effect to 1% of the largest on any prompt.
    """
    asked = [e for e in EFFECTS if e[1] != "loss"]  # a path is read at the end of the prompt
    cases = [(path, e) for path in PATHS for e in (*asked, ("change_in", "answer_logit"))]
    checks = [{"path": path[0], e[0]: e[1], "observe": True} for path, e in cases]
    found = measured(loud[name], tmp_path, checks, dtype="float64")
    runs, moved = runs_of(loud[name], double=True), []
    clean = runs.without([], "zero")
    for (path, (kind, metric)), row in zip(cases, found, strict=True):
        if ("path", path[0]) not in runs.known:
            runs.known["path", path[0]] = [
                runs.read(number, runs.model.path(ids, partner, *path[1:]))
                for number, (ids, partner) in enumerate(zip(runs.ids, runs.partners, strict=True))
            ]
        before, after = ([one[metric] for one in values] for values in (clean, runs.known["path", path[0]]))
        same(row["estimate"], effect(kind, before, after), TOLERANCE)
        same(row["baseline"]["ablated"], float(np.mean(after)), TOLERANCE)
        to, _, into = path[0].partition(" -> ")[2].rpartition(".")
        assert row["path"] == {"sender": path[0].split()[0], "receiver": to or None, "input": into}
        assert row["method"] == "resample"
        if metric == "answer_logit":
            size = max(abs(one - other) for one, other in zip(before, after, strict=True))
            assert size > 5e-5
            assert row["estimate"] == pytest.approx(effect(kind, before, after), abs=size / 100)
            moved.append(row["estimate"])
    assert len({round(value, 6) for value in moved}) == len(PATHS), "each path is another"


# --- ranks, some head, comparisons ---


def expected_attention(folder: Path, literals: Sequence[Literal] = LITERALS) -> attention_forms.Expected:
    model = plain_model(folder)
    patterns = [model.attention(one.ids()) for one in literals]
    return attention_forms.Expected([one.shown for one in literals], patterns, {**FORMS, **MORE})


@pytest.mark.parametrize("name", NAMES)
def test_ranks_agree(
    name: str, tiny: dict[str, Path], oracles: dict[str, Runs], tmp_path: Path
) -> None:  # fmt: skip
    """top: k tells the place of the head among all heads: by attention, by score, by its own ablation."""
    oracle, runs = expected_attention(tiny[name]), oracles[name]
    heads = ["0.1", "1.3", "2.2", "3.0"]
    attended = [("any -> n-1", "mass"), ("name -> same name", "top1"), ("member -> earlier member", "lift")]
    ablated = [
        (m, e) for m in METHODS for e in (("drop_in", "logit_diff"), ("change_in", "kl"), ("after", "answer_prob"))
    ]
    checks: list[dict[str, Any]] = [
        {"head": h, "attends": f, "statistic": s, "top": 3} for h in heads for f, s in attended
    ]
    checks += [{"ablate": h, "method": m, e: metric, "top": 2} for h in heads for m, (e, metric) in ablated]
    checks.append({"ablate": "1.3", "method": "zero", "at": "end", "drop_in": "logit_diff", "top": 2})
    found = iter(measured(tiny[name], tmp_path, checks))
    for head in heads:
        for form, statistic in attended:
            row, means = next(found), oracle.row(form, statistic, [])["estimate"]
            same(row["estimate"], float(means[part(head)]))
            assert row["rank"] == [1 + int((means > means[part(head)]).sum()), 16]
            assert (row["bound"], row["k"], row["bound_low"]) == ("top 3", 3, None)
    for head in heads:
        for method, (kind, metric) in ablated:
            assert_rank(next(found), runs, head, method, kind, metric, None)
    assert_rank(next(found), runs, "1.3", "zero", "drop_in", "logit_diff", [SPANS["end"](one) for one in LITERALS])


def assert_rank(row: Mapping[str, Any], runs: Runs, head: str, method: str, kind: str, metric: str, where: Any) -> None:
    before = [values[metric] for values in runs.without([], method)]
    after = {one: [v[metric] for v in runs.without([one], method, where)] for one in runs.outside([], None)}
    same(row["estimate"], effect(kind, before, after[part(head)]), TOLERANCE)
    sign = -1 if metric == "kl" else 1  # the most harm: the lowest value after, and the largest divergence
    means = {one: sign * float(np.mean(values)) for one, values in after.items()}
    assert row["rank"] == [1 + sum(value < means[part(head)] for value in means.values()), 16]


@pytest.mark.parametrize("name", NAMES)
def test_some_head_agrees(name: str, tiny: dict[str, Path], tmp_path: Path) -> None:
    """The best head, its value, and how many of the candidates satisfy the bound."""
    oracle, few = expected_attention(tiny[name]), ["0.1", "1.3", "2.2"]
    forms = [("any -> n-1", "mass", None), ("is -> first", "mass", None), ("end -> earlier name", "top1", None),
             ("any -> n-1", "mass", "any -> n-3"), ("any -> n-1", "lift", None)]  # fmt: skip
    for heads in ("all", few):
        for side, at in (("at_least", 0.3), ("at_most", 0.02)):
            checks = []
            for form, statistic, other in forms:
                bound = {"more_than": other, "by_at_least": at} if other else {side: at}
                checks.append({"heads": {"any": heads}, "attends": form, "statistic": statistic, **bound})
            for check, row in zip(checks, measured(tiny[name], tmp_path, checks), strict=True):
                means = oracle.row(check["attends"], check["statistic"], [], check.get("more_than"))["estimate"]
                chosen = {h: float(means[part(h)]) for h in (few if heads == few else every_head())}
                low = side == "at_least" or "more_than" in check
                passing = [h for h, value in chosen.items() if (value >= at if low else value <= at)]
                assert row["any"]["of"] == len(chosen)
                assert row["any"]["passing"] == len(passing)
                assert row["any"]["among"] == (few if heads == few else None)
                if row["verdict"] != "supported":
                    best = (max if low else min)(chosen, key=lambda h: chosen[h])
                    assert row["any"]["best"] == best
                assert row["head"] == row["any"]["best"]
                same(row["estimate"], chosen[row["head"]])


def every_head() -> list[str]:
    return [f"{layer}.{head}" for layer in range(4) for head in range(4)]


@pytest.mark.parametrize("name", NAMES)
def test_comparisons_agree(name: str, tiny: dict[str, Path], tmp_path: Path) -> None:
    """Across heads the difference is paired over prompts, across prompt sets it is one of two means."""
    prompts = {
        "p": PROMPTS["p"],
        "few": {"family": "texts", "roles": ROLES, "texts": texts_of(LITERALS[1:3])},
    }
    form = "any -> n-1"
    cases: list[tuple[str, dict[str, Any], str, list[str]]] = [
        (form, {"head": "2.1"}, "mass", []),
        (form, {"head": "2.1"}, "lift", []),
        ("name -> same name", {"head": "0.0", "attends": "any -> n-3"}, "mass", ["bos"]),
        ("any -> n-3", {"head": "0.0", "attends": form}, "top1", ["self"]),
        (form, {"prompts": "few"}, "mass", []),
        (form, {"prompts": "few"}, "lift", []),
        (form, {"prompts": "few", "head": "3.2", "attends": "end -> any[early]"}, "mass", ["bos", "self"]),
        (form, {"prompts": "few", "head": "3.2"}, "top1", []),
    ]
    checks = [
        {"head": "1.3", "attends": f, "more_than": other, "by_at_least": 0.1, "statistic": s,
         **({"excluding": e} if e else {})}
        for f, other, s, e in cases
    ]  # fmt: skip
    sets = {"p": expected_attention(tiny[name]), "few": expected_attention(tiny[name], LITERALS[1:3])}
    for (left, other, statistic, excluded), row in zip(
        cases, measured(tiny[name], tmp_path, checks, prompts), strict=True
    ):
        right, head, on = other.get("attends", left), other.get("head", "1.3"), other.get("prompts", "p")
        if on == "p":
            both = sets["p"].row(left, statistic, excluded, right)
            first, second, n = both["left"][1, 3], both["right"][part(head)], int(both["n"][1, 3])
        else:
            first = sets["p"].row(left, statistic, excluded)["estimate"][1, 3]
            other_row = sets[on].row(right, statistic, excluded)
            second, n = other_row["estimate"][part(head)], int(other_row["n"][part(head)])
        same(row["estimate"], float(first - second), TOLERANCE)
        same(row["sides"]["left"], float(first), TOLERANCE)
        same(row["sides"]["right"], float(second), TOLERANCE)
        clean = row["other"].pop("clean")
        assert row["other"] == {"attends": right, "head": head, "prompts": on, "n": n}
        assert (clean is None) == (on == "p"), "how the model does on the other prompts"


# --- scores from weights, losses, profiles ---


@pytest.mark.parametrize("members", ["numerals", ["5", "9", "13", "21", "is", "34"]])
@pytest.mark.parametrize("name", NAMES)
def test_scores_from_weights_agree(name: str, members: Any, tiny: dict[str, Path], tmp_path: Path) -> None:
    """Each head's share of members whose own or next token is among the five largest logits it writes alone."""
    words = [str(number) for number in range(1, 13)] if members == "numerals" else members
    ids = [WORDS.index(word) for word in words]
    checks: list[dict[str, Any]] = [{"heads": every_head(), "score": s, "members": members, "observe": True}
              for s in ("copying", "successor")]  # fmt: skip
    checks += [
        {"heads": {"any": "all"}, "score": s, "members": members, "at_least": 0.3} for s in ("copying", "successor")
    ]
    found = measured(tiny[name], tmp_path, checks)
    plain = plain_model(tiny[name])
    written = np.concatenate(
        [plain.written_logits(ids, layer, 0) for layer in range(4)]
    )  # [head of model, member, token]
    top = np.argsort(-written, axis=-1)[:, :, :5]
    own = np.array([[ids[m] in top[h, m] for m in range(len(ids))] for h in range(16)]).mean(1)
    after = np.array([[ids[m + 1] in top[h, m] for m in range(len(ids) - 1)] for h in range(16)]).mean(1)
    steps = written[:, :, ids].argmax(-1) - np.arange(len(ids))
    for place, expected in enumerate((own, after)):
        for h, row in enumerate(found[16 * place : 16 * place + 16]):
            same(row["estimate"], float(expected[h]))
            assert row["rank"] == [1 + int((expected > expected[h]).sum()), 16]
            offsets = {"self": 0, "previous": -1, "next": 1, "next_but_one": 2}
            for key, offset in offsets.items():
                there = [m for m in range(len(ids)) if 0 <= m + offset < len(ids)]  # the last has no next
                same(row["profile"][key], sum(steps[h, m] == offset for m in there) / len(there))
            assert (row["exact"], row["low"], row["prompts"]) == (True, None, None)
        best = found[32 + place]
        same(best["estimate"], float(expected.max()))
        assert best["any"]["passing"] == int((expected >= 0.3).sum())
    assert 0 < own.mean() < 1


def test_the_loss_of_token_500_agrees(tiny: dict[str, Path], tmp_path: Path) -> None:
    """On natural text the in-context-learning score is the loss at token 500 minus that at token 50, BOS being 0."""
    folder = tmp_path / "long"
    shutil.copytree(tiny["llama"], folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 600}))
    words = [[WORDS[2 + (seed + place * place * 7 + place) % 58] for place in range(520)] for seed in (3, 11, 30)]
    prompts = {"long": {"family": "texts", "texts": [" ".join(each) for each in words]}}
    check = {"score": "in_context_learning", "observe": True}
    (row,) = measured(folder, tmp_path, [check], prompts)
    plain, values = plain_model(folder), []
    for each in words:
        ids = [0, *(WORDS.index(word) for word in each)]
        losses = token_losses(plain.logits(ids), ids)  # entry 0 is token 1's
        values.append(losses[499] - losses[49])
    same(row["estimate"], float(np.mean(values)), 1e-3)
    assert row["statistic_note"] == "loss at token 500 minus loss at token 50"
    assert row["head"] is None


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_of_the_second_copy_agrees(name: str, tiny: dict[str, Path], tmp_path: Path) -> None:
    """On repeated tokens it is the mean loss of the second copy minus that of the first."""
    prompts = {"r": {"family": "repeated_tokens", "length": 7}}
    (row,) = measured(
        tiny[name],
        tmp_path,
        [{"score": "in_context_learning", "observe": True}],
        prompts,
        sampling={"min": 4, "max": 6},
    )
    model, plain = load(resolve({"path": str(tiny[name])})), plain_model(tiny[name])
    values = []
    for prompt in build(FAMILIES["repeated_tokens"], {"length": 7}, model.tokenizer, 0, "prompts", 6):
        losses = token_losses(plain.logits(prompt.ids), prompt.ids)
        values.append(float(np.mean(losses[7:]) - np.mean(losses[:7])))
    same(row["estimate"], float(np.mean(values)), TOLERANCE)
    assert row["statistic_note"] == "second-half minus first-half loss"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", NAMES)
def test_the_map_of_losses_agrees(
    name: str, method: str, tiny: dict[str, Path], oracles: dict[str, Runs], tmp_path: Path
) -> None:  # fmt: skip
    """Points are the projections of all token losses on the covariance's two largest eigenvectors, up to sign."""
    ablations: list[Any] = ["1.2", ["0.1", "MLP2"], "MLP0", ["3.0", "3.1"], "2.2"]
    (row,) = measured(tiny[name], tmp_path, [{"loss_map": ablations, "method": method, "observe": True}])
    runs = oracles[name]
    losses = []
    for removed in [[], *(parts([one] if isinstance(one, str) else one) for one in ablations)]:
        each: list[float] = []
        for number, ids in enumerate(runs.ids):
            alike = [r for r in runs.partners if len(r) == len(ids)]
            logits = (
                runs.model.ablated(ids, removed, method, runs.partners[number], alike)
                if removed
                else runs.logits[number]
            )
            each += token_losses(logits, ids)
        losses.append(each)
    table = np.array(losses)
    centred = table - table.mean(0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    places = centred @ vectors[:, [-1, -2]]
    assert [point["name"] for point in row["points"]] == ["clean", "1.2", "0.1, MLP2", "MLP0", "3.0, 3.1", "2.2"]
    for axis, key in enumerate("xy"):
        found = np.array([point[key] for point in row["points"]])
        sign = np.sign(found @ places[:, axis])
        np.testing.assert_allclose(found, sign * places[:, axis], atol=1e-3)
        same(row["explained"][axis], float(values[-1 - axis] / values.sum()), TOLERANCE)
    np.testing.assert_allclose([point["loss"] for point in row["points"]], table.mean(1), atol=1e-4)
    assert row["estimate"] is None


@pytest.mark.parametrize("name", NAMES)
def test_profiles_of_an_entry_agree(name: str, tiny: dict[str, Path], tmp_path: Path) -> None:
    """Every head and prompt set of an attention check once: attention by distance and from class to class."""
    checks = [
        {"attends": "any -> n-1", "observe": True},
        {"attends": "is -> name", "more_than": "is -> n-3", "observe": True},
    ]
    claims = {"c": {"heads": ["1.2", "3.0"], "prompts": "p", "checks": checks}}
    path = tmp_path / "s.yaml"
    path.write_text(suite({"path": str(tiny[name])}, PROMPTS, claims))
    loaded = evaluate.load(path, evaluate.knowledge(), path.name)
    (item,) = evaluate.items_of(loaded, tmp_path)
    evaluator = Evaluator(Options(), draw=lambda figure, title: f"{title}.png")
    evaluator.plan([item])
    entry = evaluator.evaluate(item).entry
    plain = plain_model(tiny[name])
    patterns = [plain.attention(one.ids()) for one in LITERALS]
    assert [(one["head"], one["prompts"], one["n"]) for one in entry["profiles"]] == [("1.2", "p", 4), ("3.0", "p", 4)]
    for one in entry["profiles"]:
        layer, head = part(one["head"])
        offsets, bos, matrix = by_loops([each[layer, head] for each in patterns], [x.shown for x in LITERALS], NAMED)
        np.testing.assert_allclose(one["offsets"], offsets, atol=1e-4)
        same(one["bos"], bos, 1e-4)
        assert one["classes"] == ["bos", *NAMED]
        for query, values in zip(one["classes"], one["matrix"], strict=True):
            np.testing.assert_allclose(values, [matrix[query, key] for key in one["classes"]], atol=1e-4)
        assert one["figure"]["path"].endswith(".png")
        assert one["marked"] == [1, 3]


# --- a real model ---


@pytest.fixture(scope="module")
def real() -> Real:
    """The oracle's model, read once; skipped where the weights cannot be had."""
    return Real()


def test_a_real_model_agrees_with_transformers(real: Real, tmp_path: Path) -> None:
    """SmolLM2-135M on literal prompts: a circuit of twenty heads, an interaction and two paths, to 1e-3."""
    kept = [f"{layer}.{layer * 4 % 9}" for layer in range(0, 30, 2)] + ["16.0", "18.6", "20.5", "23.3", "6.1"]
    kept = list(dict.fromkeys(kept))
    assert len(kept) == 20
    base: dict[str, Any] = {"observe": True}
    checks: list[dict[str, Any]] = [
        {"keep_only": "twenty", "recovers": m, "method": method, "random": 0, **base}
        for method in ("mean", "resample") for m in ("logit_diff", "answer_prob")
    ]  # fmt: skip
    checks.append(
        {"keep_only": "twenty", "recovers": "logit_diff", "method": "mean", "normalised": True, "random": 0, **base}
    )
    checks.append({"ablate": "23.3", "given_ablated": ["20.5", "MLP18"], "method": "mean", "drop_in": "logit_diff",
                   "interaction": {"observe": True}})  # fmt: skip
    paths: list[tuple[str, HeadOrMlp, HeadOrMlp | None, str]] = [
        ("16.0 -> 18.6.k", (16, 0), (18, 6), "k"),
        ("20.5 -> logits", (20, 5), None, "logits"),
        ("MLP4 -> 23.3.v", (4, None), (23, 3), "v"),
    ]
    checks += [{"path": path[0], e: m, **base} for path in paths
               for e, m in (("drop_in", "logit_diff"), ("after", "answer_logit"))]  # fmt: skip
    text = suite(REAL_MODEL, real_prompts(), {"c": {"prompts": "p", "checks": checks}},
                 circuits={"twenty": {"heads": kept}})  # fmt: skip
    found = iter(rows(answer(tmp_path / "s.yaml", text)[0]["c"]))
    runs = Runs(real.plain, real.ids, real.partners, *real_targets(real))
    outside, everything = runs.outside(parts(kept), None), runs.outside([], None)
    for method in ("mean", "resample"):
        for metric in ("logit_diff", "answer_prob"):
            row, full = next(found), runs.f(metric, [], method)
            own, nothing = runs.f(metric, outside, method), runs.f(metric, everything, method)
            same(row["estimate"], own / full, 1e-3)
            same(row["beside"]["value"], (own - nothing) / (full - nothing), 1e-3)
    full, own, nothing = (runs.f("logit_diff", each, "mean") for each in ([], outside, everything))
    same(next(found)["estimate"], (own - nothing) / (full - nothing), 1e-3)
    one, two = parts(["23.3"]), parts(["20.5", "MLP18"])
    alone, given, both = (runs.f("logit_diff", each, "mean") for each in (one, two, [*one, *two]))
    same(next(found)["estimate"], ((given - both) - (full - alone)) / full, 1e-3)
    clean = [values["logit_diff"] for values in runs.without([], "zero")]
    for path in paths:
        after = [
            runs.read(number, real.plain.path(ids, partner, *path[1:]))
            for number, (ids, partner) in enumerate(zip(real.ids, real.partners, strict=True))
        ]
        same(next(found)["estimate"], effect("drop_in", clean, [values["logit_diff"] for values in after]), 1e-3)
        same(next(found)["estimate"], float(np.mean([values["answer_logit"] for values in after])), 1e-3)
    assert full > 1, "it is a model that does something"


def real_targets(real: Real) -> tuple[list[list[int]], list[list[int]]]:
    """Answers and foils of each literal prompt as tokens."""
    answers, foils = ([[real.number[str(one[place])]] for one in REAL_PROMPTS] for place in (5, 6))
    return answers, foils
