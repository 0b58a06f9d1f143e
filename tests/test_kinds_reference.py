"""Circuits, groups, comparisons, paths and scores on the reference model: true values hit exactly, wrong ones not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from measuring import answer, rows, suite

from circuits import evaluate
from circuits.claims.claim import Circuit
from circuits.claims.heads import Component, parse_component
from circuits.evaluate import Evaluator, Options
from circuits.measure.subsets import random_circuits
from circuits.models.load import LoadedModel, load
from circuits.models.source import resolve
from circuits.prompts.prompt import TokenPrompt
from circuits.prompts.registry import FAMILIES
from circuits.prompts.tokens import build

EXACT = 1e-5
N = 24
NUMBERS = {"members": "numerals", "length": 4}
PROMPTS: dict[str, Any] = {
    "numbers": {"family": "named_sequence", **NUMBERS},
    "shuffled": {"family": "named_sequence", **NUMBERS, "order": "random"},
    "repeats": {"family": "repeated_tokens", "length": 20},
}
# What does the task on number sequences, what lacks a part of it, and what has nothing to do with it.
CIRCUITS: dict[str, tuple[list[str], list[int] | None]] = {
    "whole": (["0.0", "1.2", "2.0", "2.1"], [0, 1]),
    "all_mlps": (["0.0", "1.2", "2.0", "2.1"], None),
    "no_mlps": (["0.0", "1.2", "2.0", "2.1"], []),
    "no_backup": (["0.0", "1.2", "2.0"], [0, 1]),
    "backup": (["0.0", "2.0", "2.1"], [0, 1]),
    "no_copier": (["0.0", "1.2", "2.1"], [0, 1]),
    "no_previous": (["1.2", "2.0", "2.1"], [0, 1]),
    "no_marker": (["0.0", "1.2", "2.0", "2.1"], [1]),
    "no_silencer": (["0.0", "1.2", "2.0", "2.1"], [0]),
    "one_more": (["0.0", "0.3", "1.2", "2.0", "2.1"], [0, 1]),
    "idle": (["0.1", "0.2", "1.0", "1.1"], None),
    "heads": (["0.0", "1.2", "2.0", "2.1"], None),
}
ALL = [f"{layer}.{head}" for layer in range(3) for head in range(4)] + [f"MLP{layer}" for layer in range(3)]


def built(removed: Iterable[str]) -> float:
    """The logit difference on number sequences of four without some parts (zeros), from what was built in.

    1.2 says the next numeral (18), and so does 2.1 where MLP1 does not see that 1.2 did; 2.0 copies all four shown
    ones (20 / 4 for the foil). 0.0 tells all three where to look; 1.2 and 2.1 need MLP0, which marks the numerals.
    """
    gone = set(removed)
    if "0.0" in gone:
        return 0.0
    first = "1.2" not in gone
    backup = "2.1" not in gone and not (first and "MLP1" not in gone)
    said = 0.0 if "MLP0" in gone else 18.0 * (first + backup)
    return said - (0.0 if "2.0" in gone else 5.0)


def kept(name: str, without: Iterable[str] = ()) -> float:
    """The logit difference of a circuit alone, less some of its parts."""
    heads, mlps = CIRCUITS[name]
    left = {*heads, *(f"MLP{layer}" for layer in (range(3) if mlps is None else mlps))} - set(without)
    return built(part for part in ALL if part not in left)


def circuits() -> dict[str, Any]:
    return {
        name: {"heads": heads, **({} if mlps is None else {"mlps": mlps})} for name, (heads, mlps) in CIRCUITS.items()
    }


def measured(
    folder: Path, checks: Sequence[Mapping[str, Any]], prompts: str = "numbers", n: int = N
) -> list[dict[str, Any]]:
    """The rows of one claim whose checks are these."""
    claims = {"c": {"prompts": prompts, "checks": [dict(check) for check in checks]}}
    text = suite("reference", PROMPTS, claims, circuits=circuits(), sampling={"min": 8, "max": n, "seed": 3})
    return rows(answer(folder / "s.yaml", text)[0]["c"])


def exactly(found: Sequence[Mapping[str, Any]], expected: Sequence[float]) -> None:
    for row, value in zip(found, expected, strict=True):
        assert row["estimate"] == pytest.approx(value, abs=EXACT, rel=0), row["check"]


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return load(resolve("reference"))


@cache
def shown(name: str, n: int = N) -> list[TokenPrompt]:
    """The prompts of a set, as the pipeline draws them."""
    spec = {key: value for key, value in PROMPTS[name].items() if key != "family"}
    tokenizer = load(resolve("reference")).tokenizer
    return build(FAMILIES[PROMPTS[name]["family"]], spec, tokenizer, 3, "prompts", n)


# --- circuits ---


def test_what_a_circuit_recovers_is_what_was_built(tmp_path: Path) -> None:
    """recovers, normalised and faithfulness of every circuit; parts that lack something recover something else."""
    full = built([])
    assert full == 13
    checks: list[dict[str, Any]] = []
    expected: list[float] = []
    for name in CIRCUITS:
        own = kept(name)
        nothing = 0.0  # without 0.0 nobody has anything to say
        base = {"keep_only": name, "method": "zero", "random": 0, "observe": True}
        checks += [{**base, "recovers": "logit_diff"}, {**base, "recovers": "logit_diff", "normalised": True}]
        checks.append({**base, "faithfulness": "logit_diff"})
        expected += [own / full, (own - nothing) / (full - nothing), abs(full - own)]
    found = measured(tmp_path, checks)
    exactly(found, expected)
    values = dict(zip(CIRCUITS, expected[::3], strict=True))
    assert values["whole"] == values["all_mlps"] == values["no_backup"] == values["backup"] == 1
    wrong = ("no_mlps", "no_copier", "no_previous", "no_marker", "no_silencer", "idle")
    assert all(abs(values[name] - 1) > 0.3 for name in wrong)


@pytest.mark.parametrize("method", ["mean", "resample"])
def test_the_circuit_is_the_model_under_every_method(method: str, tmp_path: Path) -> None:
    """What is outside writes where nobody reads, so its mean and its partner's activations change nothing either."""
    base = {"keep_only": "whole", "method": method, "random": 0, "observe": True}
    found = measured(tmp_path, [{**base, "recovers": "logit_diff"}, {**base, "faithfulness": "logit_diff"}])
    exactly(found, [1.0, 0.0])
    assert found[0]["beside"]["value"] == pytest.approx(1, abs=EXACT)


def test_completeness_and_minimality_are_what_was_built(tmp_path: Path) -> None:
    """With every subset drawn: the largest distance from the model, and the part that matters least, by count."""
    complete = ["whole", "no_backup", "backup", "no_copier", "one_more"]
    minimal = ["whole", "one_more", "no_copier", "all_mlps"]
    base = {"method": "zero", "subsets": 128, "observe": True}
    checks = [{**base, "keep_only": name, "completeness": "logit_diff"} for name in complete]
    checks += [{**base, "keep_only": name, "minimality": "logit_diff"} for name in minimal]
    found = measured(tmp_path, checks, n=8)
    expected = []
    for name in complete:
        expected.append(max(abs(kept(name, k) - built(k)) for k in every_subset(parts(name))))
    least = {}
    for name in minimal:
        by = {
            v: max(abs(kept(name, k) - kept(name, [*k, v])) for k in every_subset(parts(name)) if v not in k)
            for v in parts(name)
        }
        expected.append(min(by.values()))
        least[name] = {v for v, value in by.items() if value == min(by.values())}
    assert expected == [0, 18, 18, 5, 0, 5, 0, 18, 5]
    exactly(found, expected)
    for name, row in zip(minimal, found[len(complete) :], strict=True):
        assert row["worst"]["component"] in least[name]
    assert least["whole"] == {"2.0"}
    assert least["one_more"] == {"0.3"}, "the head that does nothing for the task"


def parts(name: str) -> list[str]:
    heads, mlps = CIRCUITS[name]
    return [*heads, *(f"MLP{layer}" for layer in mlps or [])]


def every_subset(of: Sequence[str]) -> list[list[str]]:
    return [[part for place, part in enumerate(of) if number >> place & 1] for number in range(2 ** len(of))]


def test_sufficiency_and_necessity_are_what_was_built(tmp_path: Path) -> None:
    """Shares of random circuits are those of the built-in values; an idle circuit has none."""
    checks: list[dict[str, Any]] = []
    expected = []
    for name in ("whole", "all_mlps", "no_copier", "idle"):
        checks.append({"keep_only": name, "sufficiency": "logit_diff", "method": "zero", "random": 60, "observe": True})
        heads, mlps = CIRCUITS[name]
        named = None if mlps is None else tuple(Component(layer) for layer in mlps)
        drawn = random_circuits(Circuit(name, tuple(map(parse_component, heads)), named), 3, 4, 60, 3)
        distances = []
        for one in drawn:
            left = {str(part) for part in one.components} | ({"MLP0", "MLP1", "MLP2"} if mlps is None else set())
            distances.append(abs(13 - built(part for part in ALL if part not in left)))
        expected.append(float(np.mean([abs(13 - kept(name)) < each for each in distances])))
    assert expected[3] < 0.2 < 0.8 < min(expected[:3]), "the idle circuit is no better than random ones"
    for name, share in (("heads", 1.0), ("idle", 0.0)):  # outside of heads nothing matters: F(M\R) is F(M)
        checks.append(
            {"ablate": name, "partial_necessity": "logit_diff", "method": "zero", "random": 30, "observe": True}
        )
        expected.append(share)
    found = measured(tmp_path, checks, n=8)
    assert [row["estimate"] for row in found] == expected


# --- groups ---

# A, G -> ((F(M\G) - F(M\G\A)) - (F(M) - F(M\A))) / F(M)
INTERACTIONS: list[tuple[list[str], list[str], float]] = [
    (["1.2"], ["2.1"], 18 / 13),
    (["2.1"], ["1.2"], 18 / 13),
    (["1.2"], ["2.0"], 0.0),
    (["1.2"], ["0.1"], 0.0),
    (["2.0"], ["1.2", "2.1"], 0.0),
    (["0.0"], ["2.0"], 5 / 13),
    (["MLP1"], ["1.2"], 18 / 13),
    (["MLP1"], ["2.1"], 18 / 13),
    (["MLP0"], ["2.0"], 0.0),
    (["MLP0"], ["MLP1"], 18 / 13),
    (["1.2", "2.1"], ["MLP1"], 18 / 13),
    (["1.2", "2.1"], ["0.0"], -18 / 13),
]


def test_interactions_are_what_was_built(tmp_path: Path) -> None:
    """1.2 and 2.1 back each other up, by 18 of 13; heads that have nothing to do with each other do not."""
    checks = [
        {"ablate": a, "given_ablated": g, "method": "zero", "drop_in": "logit_diff", "interaction": {"observe": True}}
        for a, g, _ in INTERACTIONS
    ]
    found = measured(tmp_path, checks)
    for (a, g, value), row in zip(INTERACTIONS, found, strict=True):
        formula = ((built(g) - built([*g, *a])) - (built([]) - built(a))) / built([])
        assert formula == pytest.approx(value), "the table is what the construction gives"
        assert row["parts"]["F(M\\G\\A)"] == pytest.approx(built([*g, *a]), abs=EXACT)
    exactly(found, [value for *_, value in INTERACTIONS])


WITHIN: list[tuple[str, list[str], float]] = [
    ("whole", ["2.0"], -5 / 13),
    ("whole", ["1.2"], 0.0),
    ("whole", ["1.2", "2.1"], 18 / 13),
    ("whole", ["MLP1"], -18 / 13),
    ("whole", ["MLP0"], 18 / 13),
    ("whole", ["0.0"], 1.0),
    ("all_mlps", ["MLP2"], 0.0),
    ("no_backup", ["1.2"], 18 / 13),
    ("no_copier", ["1.2"], 0.0),
    ("no_copier", ["0.0"], 1.0),
    ("one_more", ["0.3"], 0.0),
    ("no_silencer", ["2.1"], 18 / 31),
]


def test_ablations_within_a_circuit_are_what_was_built(tmp_path: Path) -> None:
    """drop_in, change_in and after of removing A from a circuit, with everything outside gone."""
    checks, expected = [], []
    for name, removed, drop in WITHIN:
        base = {"within": name, "ablate": removed, "method": "zero", "observe": True}
        checks += [{**base, effect: "logit_diff"} for effect in ("drop_in", "change_in", "after")]
        before, after = kept(name), kept(name, removed)
        assert (before - after) / before == pytest.approx(drop), "the table is what the construction gives"
        expected += [drop, after - before, after]
    exactly(measured(tmp_path, checks), expected)


def test_only_where_it_acts_does_an_ablation_matter(tmp_path: Path) -> None:
    """1.2 and 2.1 act at the end, MLP0 and 0.0 at the numerals; elsewhere they can be removed."""
    # (removed, positions, logit difference after)
    table: list[tuple[Any, str, float]] = [
        (["1.2", "2.1"], "end", -5.0),
        (["1.2", "2.1"], "name", 13.0),
        (["1.2", "2.1"], "member", 13.0),
        ("2.0", "end", 18.0),
        ("2.0", "name | member", 13.0),
        ("MLP0", "member", -5.0),
        ("MLP0", "member[4]", 13.0 - 18.0 - 18.0),  # the nearest that is marked is the third: its next is the foil
        ("MLP0", "end", 13.0),
        ("0.0", "member", 0.0),
        ("0.0", "end", 13.0),
        ("heads", "end", 0.0),
        ("idle", "end", 13.0),
    ]
    base = {"method": "zero", "after": "logit_diff", "observe": True}
    checks = [{"ablate": removed, "at": at, **base} for removed, at, _ in table]
    exactly(measured(tmp_path, checks), [value for *_, value in table])


def test_within_a_circuit_an_ablation_at_some_positions_leaves_the_others(tmp_path: Path) -> None:
    """Inside the circuit too, 2.0 and the pair act at the end only."""
    base = {"within": "whole", "method": "zero", "after": "logit_diff", "observe": True}
    table: list[tuple[Any, str, float]] = [
        ("2.0", "end", 18.0),
        ("2.0", "name", 13.0),
        (["1.2", "2.1"], "end", -5.0),
        (["1.2", "2.1"], "name", 13.0),
    ]
    checks = [{"ablate": removed, "at": at, **base} for removed, at, _ in table]
    exactly(measured(tmp_path, checks), [value for *_, value in table])


# --- heads among heads ---


def test_the_head_that_was_built_for_it_is_found_and_first(tmp_path: Path) -> None:
    """The best of all heads by score and attention, and its place; a wrong head is not there."""
    any_head: list[tuple[str, dict[str, Any], str, int]] = [
        ("repeats", {"score": "induction"}, "2.0", 1),
        ("repeats", {"score": "previous_token"}, "0.0", 1),
        ("numbers", {"attends": "any[late] -> n-3"}, "0.1", 1),
        ("numbers", {"attends": "member -> earlier member"}, "1.1", 1),
    ]
    for prompts, what, head, passing in any_head:
        checks = [{"heads": {"any": "all"}, **what, "at_least": 0.7}, {"head": head, **what, "top": 1}]
        checks.append({"head": "1.3", **what, "top": 1})
        found, first, wrong = measured(tmp_path, checks, prompts, n=48)
        exactly([found, first], [1.0, 1.0])
        assert found["any"] == {"of": 12, "passing": passing, "best": head, "among": None, "together": False}
        assert found["head"] == head
        assert first["rank"] == [1, 12]
        assert [row["verdict"] for row in (found, first, wrong)] == ["supported", "supported", "refuted"]
        assert wrong["rank"][0] > 1


def test_some_head_of_a_list_and_the_head_that_hurts_most(tmp_path: Path) -> None:
    """Of wrong heads none is found; by its own ablation 0.0 hurts most, and 2.0 least of all."""
    checks: list[dict[str, Any]] = [
        {"heads": {"any": ["1.0", "2.0"]}, "score": "induction", "at_least": 0.7},
        {"heads": {"any": ["1.0", "1.3", "2.3"]}, "score": "induction", "at_least": 0.7},
    ]
    right, wrong = measured(tmp_path, checks, "repeats", n=48)
    assert (right["verdict"], right["head"], right["any"]["passing"]) == ("supported", "2.0", 1)
    assert (wrong["verdict"], wrong["any"]["passing"]) == ("refuted", 0)
    base = {"method": "zero", "drop_in": "logit_diff", "top": 1}
    most, least = measured(tmp_path, [{"ablate": "0.0", **base}, {"ablate": "2.0", **base}])
    exactly([most, least], [1.0, -5 / 13])
    assert (most["rank"], most["verdict"]) == ([1, 12], "supported")
    assert (least["rank"], least["verdict"]) == ([12, 12], "refuted")


def test_comparisons_are_what_was_built(tmp_path: Path) -> None:
    """Across heads, and across prompt sets; the same head reads numbers in any order alike."""
    reads = "member -> earlier member"
    table: list[tuple[str, str, dict[str, Any], float]] = [
        ("0.2", "any -> first", {"head": "0.3"}, 1.0),
        ("0.3", "any -> first", {"head": "0.2"}, -1.0),
        ("1.1", reads, {"head": "0.2"}, 1.0),
        ("1.1", reads, {"prompts": "shuffled"}, 0.0),
        ("1.1", reads, {"prompts": "shuffled", "head": "0.2"}, 1.0),
        ("1.2", "end -> previous member", {"head": "2.0"}, 3 / 4),  # 2.0 spreads over all four
        ("2.0", "end -> earlier member", {"attends": "end -> member[1]", "head": "2.0"}, 3 / 4),
    ]
    checks = [{"head": h, "attends": s, "more_than": o, "by_at_least": 0.3} for h, s, o, _ in table]
    found = measured(tmp_path, checks)
    exactly(found, [value for *_, value in table])
    for row, (*_, value) in zip(found, table, strict=True):
        assert row["verdict"] == ("supported" if value > 0.5 else "refuted")
    for other, strong in (({"head": "0.2"}, 1), ({"prompts": "shuffled"}, 0)):
        heads = [f"{layer}.{head}" for layer in range(3) for head in range(4)]
        heads = [head for head in heads if head != other.get("head")]  # with itself nothing is compared: 0
        one = {"attends": reads, "more_than": other, "by_at_least": 0.3}
        each = measured(tmp_path, [{**one, "head": head} for head in heads])
        holding = {head for head, row in zip(heads, each, strict=True) if row["estimate"] >= 0.3}
        assert len(holding) == strong
        for row in each:
            assert (row["heads_passing"], set(row["which_passing"])) == ([strong, 12], holding)
            assert (row["rank"] == [1, 12]) is (row["head"] in holding) or not strong


# --- paths ---


def test_paths_on_number_sequences_are_what_was_built(tmp_path: Path) -> None:
    """What 1.2 says in the partner is said instead, by the paths that carry it and by no other."""
    prompts = shown("numbers")
    tokens = load(resolve("reference")).tokenizer

    def after(number_said: bool) -> float:
        """Logit difference where 1.2 says what follows the partner's last member (or, as always, the answer)."""
        values = []
        for prompt in prompts:
            assert prompt.corrupted is not None
            last = int(tokens.decode(prompt.corrupted[-4]))  # "... NAME is MEMBER . NAME is"
            said = last + 1 if number_said else int(tokens.decode(prompt.answers[0]))
            target, foil = (int(tokens.decode(ids[0])) for ids in (prompt.answers, prompt.foils))
            values.append(18.0 * (said == target and said <= 12) - 18.0 * (said == foil) - 5.0)
        return float(np.mean(values))

    carrying = ["1.2 -> logits", "MLP0 -> 1.2.v"]
    idle = ["1.2 -> 2.1.q", "1.2 -> 2.1.k", "MLP0 -> 1.2.k", "0.0 -> 1.2.k", "0.0 -> 2.0.q", "1.3 -> logits"]
    found = measured(tmp_path, [{"path": path, "after": "logit_diff", "observe": True} for path in (*carrying, *idle)])
    exactly(found, [after(True)] * len(carrying) + [13.0] * len(idle))
    assert abs(after(True) - 13) > 10


def test_paths_on_repeated_tokens_are_what_was_built(tmp_path: Path) -> None:
    """0.0 tells the keys of 2.0 which token came before, not its queries and values; nothing else carries it."""
    paths = ["0.0 -> 2.0.q", "0.0 -> 2.0.v", "0.0 -> logits", "0.1 -> 2.0.k", "0.0 -> 2.0.k", "2.0 -> logits"]
    found = measured(tmp_path, [{"path": p, "drop_in": "logit_diff", "observe": True} for p in paths], "repeats")
    exactly(found[:4], [0.0] * 4)
    assert all(row["estimate"] > 0.5 for row in found[4:])


# --- scores ---


def test_scores_from_weights_are_what_was_built(tmp_path: Path) -> None:
    """1.2 and 2.1 write the next numeral, 2.0 the same one; every other head neither."""
    heads = [name for name in ALL if "." in name]
    checks: list[dict[str, Any]] = [
        {"heads": heads, "score": s, "members": "numerals", "observe": True} for s in ("copying", "successor")
    ]
    checks += [
        {"heads": {"any": "all"}, "score": s, "members": "numerals", "at_least": 0.9} for s in ("copying", "successor")
    ]
    checks += [{"head": h, "score": "copying", "members": "numerals", "top": 1} for h in ("2.0", "1.2")]
    found = measured(tmp_path, checks)
    for place, row in enumerate(found[:24]):
        right = ("2.0",) if place < 12 else ("1.2", "2.1")
        if row["estimate"] is None:  # it writes nothing that becomes a logit
            assert row["head"] not in ("1.2", "2.0", "2.1")
            continue
        assert row["estimate"] == pytest.approx(float(row["head"] in right), abs=EXACT), row["check"]
    copier, successor, first, wrong = found[24:]
    assert (copier["head"], copier["any"]["passing"], copier["verdict"]) == ("2.0", 1, "supported")
    assert (successor["estimate"], successor["any"]["passing"], successor["verdict"]) == (1.0, 2, "supported")
    assert successor["profile"]["next"] == 1  # of the members that have a next one
    assert (first["rank"], first["verdict"], wrong["verdict"]) == ([1, 12], "supported", "refuted")


def test_members_that_the_tokenizer_does_not_know_are_left_out(tmp_path: Path) -> None:
    """The unknown token is no member: such words are named as left out, and do not count."""
    check = {"head": "2.0", "score": "copying", "members": ["1", "zebra", "2", "quagga", "3"], "observe": True}
    (row,) = measured(tmp_path, [check])
    assert row["left_out"] == ["zebra", "quagga"]
    exactly([row], [1.0])


def test_losses_are_those_of_a_plain_pass(model: LoadedModel, tmp_path: Path) -> None:
    """The in-context-learning score and the points of the map, from log-softmax of a plain forward pass."""
    import torch

    def losses_of(ids: Sequence[int]) -> np.ndarray[Any, Any]:
        with torch.no_grad():
            logits = model.bridge(torch.tensor([ids]))[0].double()
        return -torch.log_softmax(logits[:-1], -1).gather(-1, torch.tensor(ids[1:])[:, None])[:, 0].numpy()

    each = [losses_of(prompt.ids) for prompt in shown("repeats")]
    score = float(np.mean([one[20:].mean() - one[:20].mean() for one in each]))
    partners = [losses_of(prompt.corrupted or ()) for prompt in shown("repeats")]
    unrepeated = float(np.mean([one[20:].mean() - one[:20].mean() for one in partners]))
    checks: list[dict[str, Any]] = [
        {"score": "in_context_learning", "at_most": -2},
        {"loss_map": ["1.3", "2.0", ["0.1", "2.2"], "MLP2"], "method": "zero", "observe": True},
    ]
    learns, mapped = measured(tmp_path, checks, "repeats")
    exactly([learns], [score])
    assert learns["verdict"] == "supported"
    broken = learns["controls"]["broken"]
    assert broken == {
        "value": pytest.approx(unrepeated, abs=1e-4),
        "holds": False,
    }  # nothing repeats, nothing is learned
    assert learns["controls"]["permuted"] == [] and mapped["controls"] is None
    points = {point["name"]: point for point in mapped["points"]}
    for name in ("clean", "1.3", "0.1, 2.2", "MLP2"):  # without what nobody reads the model is where it was
        assert points[name]["loss"] == pytest.approx(float(np.concatenate(each).mean()), abs=EXACT)
        assert abs(points[name]["x"] - points["clean"]["x"]) < 1e-4
    assert points["2.0"]["loss"] > points["clean"]["loss"] + 1
    assert mapped["explained"] == pytest.approx([1, 0], abs=EXACT)


def test_profiles_are_what_was_built(tmp_path: Path) -> None:
    """0.1 looks three back and nowhere else; 1.1 from numeral to numeral."""
    claims = {"c": {"heads": ["0.1", "1.1"], "prompts": "numbers", "attends": "any[late] -> n-3", "observe": True}}
    path = tmp_path / "s.yaml"
    path.write_text(suite("reference", PROMPTS, claims, sampling={"min": 8, "max": N, "seed": 3}))
    (item,) = evaluate.items_of(evaluate.load(path, evaluate.knowledge(), path.name), tmp_path)
    three_back, numbers = Evaluator(Options(), draw=lambda figure, name: name).evaluate(item).entry["profiles"]
    length = len(shown("numbers")[0].ids) - 1
    assert three_back["offsets"] == pytest.approx([float(distance == 3) for distance in range(length)], abs=EXACT)
    assert three_back["bos"] == pytest.approx(3 / length, abs=EXACT)
    places = {name: place for place, name in enumerate(numbers["classes"])}
    row = numbers["matrix"][places["member"]]
    assert row[places["member"]] == pytest.approx(3 / 4, abs=EXACT)  # the first numeral has none before it
    assert row[places["bos"]] == pytest.approx(1 / 4, abs=EXACT)
    assert numbers["matrix"][places["name"]][places["bos"]] == pytest.approx(1, abs=EXACT)


# --- verdicts ---


def test_each_construct_is_refuted_of_a_wrong_head_or_circuit(tmp_path: Path) -> None:
    """The claim that is true of the built-in circuit is supported; the same claim of another is refuted."""
    keep: dict[str, Any] = {"method": "zero", "recovers": "logit_diff", "between": ["70%", "130%"], "random": 0}
    faithful: dict[str, Any] = {"method": "zero", "faithfulness": "logit_diff", "at_most": 5.5, "random": 0}
    complete: dict[str, Any] = {"method": "zero", "completeness": "logit_diff", "at_most": 4, "subsets": 8}
    pair: dict[str, Any] = {"method": "zero", "drop_in": "logit_diff", "interaction": {"at_least": "70%"}}
    inside: dict[str, Any] = {"method": "zero", "within": "whole", "drop_in": "logit_diff", "at_least": "70%"}
    random: dict[str, Any] = {"method": "zero", "partial_necessity": "logit_diff", "random": 40, "at_least": "70%"}
    path: dict[str, Any] = {"drop_in": "logit_diff", "at_least": "50%"}
    cases = [
        ({"keep_only": "whole", **keep}, {"keep_only": "no_previous", **keep}),
        ({"keep_only": "whole", **faithful}, {"keep_only": "no_marker", **faithful}),
        ({"keep_only": "whole", **complete}, {"keep_only": "no_backup", **complete}),
        ({"ablate": "1.2", "given_ablated": "2.1", **pair}, {"ablate": "1.2", "given_ablated": "0.1", **pair}),
        ({"ablate": ["1.2", "2.1"], **inside}, {"ablate": "1.2", **inside}),
        ({"ablate": "heads", **random}, {"ablate": "idle", **random}),
        ({"path": "1.2 -> logits", **path}, {"path": "1.3 -> logits", **path}),
        ({"path": "MLP0 -> 1.2.v", **path}, {"path": "MLP0 -> 1.2.k", **path}),
    ]
    found = measured(tmp_path, [check for both in cases for check in both], n=48)
    for number, (right, _) in enumerate(cases):
        assert found[2 * number]["verdict"] == "supported", right
        assert found[2 * number + 1]["verdict"] == "refuted", cases[number][1]
