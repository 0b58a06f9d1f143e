"""Sweeps of prompt sets: their variants, ids, variables and faults; and what ``requires`` takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from claims_kit import KNOWLEDGE, check, claim_of, read
from fakes import digits, words
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits.claims.claim import PromptSet
from circuits.claims.positions import key_sets
from circuits.claims.selector import parse
from circuits.errors import PromptFault
from circuits.evaluate import items_of
from circuits.prompts.tokens import build

TOP = "suite: S\nmodel: smollm2-135m\nprompts:\n"
GOOD_SET = "  good: {family: ioi}\n"
GOOD = "a: {claim: x, head: 1.1, prompts: good, attends: any -> n-1, at_least: 0.1"
NUM = "family: named_sequence, members: numerals, "


def suite_text(prompts: str, selector: str = "any -> n-1", more: str = "") -> str:
    return (
        f"{TOP}  p: {prompts}\nclaims:\n"
        f"  a: {{claim: x, head: 16.0, prompts: p, attends: '{selector}', at_least: 0.1{more}}}\n"
    )


def variants(folder: Path, prompts: str, selector: str = "any -> n-1") -> tuple[PromptSet, ...]:
    suite = read(folder, suite_text(prompts, selector))
    assert not suite.all_faults, "\n".join(fault.render() for fault in suite.all_faults)
    ids = [item.node_id for item in items_of(suite, folder)]
    found = claim_of(suite, "a").variants
    assert ids == [f"hypotheses/x.yaml::a[{variant.title}]" for variant in found]
    assert len(set(ids)) == len(ids)
    return found


SWEEPS: dict[str, tuple[str, list[str], list[dict[str, Any]]]] = {
    "length": ("{length: [3, 5]}", ["length=3", "length=5"], [{"length": 3}, {"length": 5}]),
    "members": (
        "{members: [numerals, months]}",
        ["members=numerals", "members=months"],
        [{"members": "numerals"}, {"members": "months"}],
    ),
    "lists of members": (
        "{members: [[a, b, c, d, e], [v, w, x, y, z]]}",
        ["members=a_b_c_d_e", "members=v_w_x_y_z"],
        [{"members": list("abcde")}, {"members": list("vwxyz")}],
    ),
    "order": (
        "{order: [increasing, random]}",
        ["order=increasing", "order=random"],
        [{"order": "increasing"}, {"order": "random"}],
    ),
    "period": (
        "[{period: 5, template: '{name} is now {member}.'}, {period: 6, template: '{name} is now at {member}.'}]",
        ["period=5", "period=6"],
        [
            {"period": 5, "template": "{name} is now {member}."},
            {"period": 6, "template": "{name} is now at {member}."},
        ],
    ),
    "product": (
        "{members: [numerals, months], length: [3, 5]}",
        [f"members={name},length={n}" for name in ("numerals", "months") for n in (3, 5)],
        [{"members": name, "length": n} for name in ("numerals", "months") for n in (3, 5)],
    ),
    "entries of several kinds": (
        "[{length: 3}, {length: 3, order: random}, {start: 2}]",
        ["length=3", "length=3,order=random", "start=2"],
        [{"length": 3}, {"length": 3, "order": "random"}, {"start": 2}],
    ),
    "templates alone": (
        "{template: ['{name} is {member}.', '{name} is at {member}.']}",
        ["template=name_is_member_.", "template=name_is_at_member_."],
        [{"template": "{name} is {member}."}, {"template": "{name} is at {member}."}],
    ),
    "templates with one short name": (
        "{template: ['{name} is {member}.', '{name} is ({member}).']}",
        ["template=name_is_member_.", "template=name_is_member_.,2"],
        [{"template": "{name} is {member}."}, {"template": "{name} is ({member})."}],
    ),
    "order and period": (
        "{order: [increasing, random], period: [4]}",
        ["order=increasing,period=4", "order=random,period=4"],
        [{"order": "increasing", "period": 4}, {"order": "random", "period": 4}],
    ),
}


@pytest.mark.parametrize("what", SWEEPS)
def test_a_sweep_makes_one_test_for_each_entry(what: str, tmp_path: Path) -> None:
    """Labels, ids, parameters and variables are those of the entry, over those of the set."""
    sweep, labels, parameters = SWEEPS[what]
    found = variants(tmp_path, f"{{{NUM}sweep: {sweep}}}")
    assert [variant.label for variant in found] == labels
    assert [variant.title for variant in found] == [f"p,{label}" for label in labels]
    for variant, own in zip(found, parameters, strict=True):
        assert variant.parameters == {"members": "numerals", **own}
        integers = {key: own[key] for key in ("length", "start") if key in own}
        assert variant.variables == {"length": 4, **integers}
        family = KNOWLEDGE.families[variant.family]
        prompts = build(family, variant.parameters, words(), 0, "prompts", 6)
        assert len(prompts) == 6 and {prompt.period for prompt in prompts} in [
            {own.get("period", n)} for n in (4, 5, 6)
        ]


def test_centuries_are_swept_too(tmp_path: Path) -> None:
    """A list of lists sweeps a parameter that is a list itself."""
    found = variants(tmp_path, "{family: greater_than, sweep: {centuries: [[11], [16, 17]]}}", "end -> YY")
    assert [variant.label for variant in found] == ["centuries=11", "centuries=16_17"]
    for variant, allowed in zip(found, ({"11"}, {"16", "17"}), strict=True):
        prompts = build(KNOWLEDGE.families["greater_than"], variant.parameters, digits(), 0, "prompts", 20)
        assert {prompt.text[-2:] for prompt in prompts} == allowed


@pytest.mark.parametrize("order", ["increasing", "random"])
def test_an_order_keeps_the_period(order: str, tmp_path: Path) -> None:
    """Members in random order stand in items as long as those in order; a wrong period is refused."""
    (four, seven) = variants(
        tmp_path,
        f"{{{NUM}order: {order}, sweep: [{{period: 5}}, {{period: 7, template: '{{name}} is now at {{member}}.'}}]}}",
        "name -> n-{period-1}",
    )
    family = KNOWLEDGE.families["named_sequence"]
    for variant, period in ((four, 5), (seven, 7)):
        for prompt in build(family, variant.parameters, digits(), 0, "prompts", 8):
            assert prompt.period == period and "period" not in variant.variables
            (second,) = prompt.roles["name"][1]
            keys = key_sets(parse("name -> n-{period-1}"), prompt, variant.variables)
            assert keys[second] == (second - period + 1,)
    with pytest.raises(PromptFault, match="period 6 is written"):
        build(family, {**four.parameters, "period": 6}, digits(), 0, "prompts", 1)


@pytest.mark.parametrize(("sweep", "lengths"), [("sweep: {length: [3, 5]}", [3, 5]), ("length: 3", [3]), ("", [4])])
def test_integers_are_offset_variables(sweep: str, lengths: list[int], tmp_path: Path) -> None:
    """``n-{length}`` is that many tokens back: swept, written, or the family's default."""
    suite = read(tmp_path, suite_text(f"{{{NUM}{sweep}}}", "end -> n-{length} | n-{2*length-1}"))
    assert not suite.all_faults
    found = claim_of(suite, "a").variants
    assert [variant.variables["length"] for variant in found] == lengths
    for variant, length in zip(found, lengths, strict=True):
        (prompt,) = build(KNOWLEDGE.families[variant.family], variant.parameters, words(), 0, "prompts", 1)
        end = len(prompt.ids) - 1
        keys = key_sets(parse("end -> n-{length} | n-{2*length-1}"), prompt, variant.variables)
        assert keys == {end: (end - 2 * length + 1, end - length)}


FAULTS: dict[str, tuple[str, list[str]]] = {
    "empty list": ("sweep: «[]»", ["the sweep is empty|{length: [3, 4, 5]}"]),
    "empty value": ("«sweep»: ", ["the sweep is empty|{length: [3, 4, 5]}"]),
    "empty column": ("sweep: {length: «[]»}", ["length needs a list of values, not an empty one|[3, 4, 5]"]),
    "empty entry": ("sweep: [{length: 3}, «{}»]", ["not an empty one|{length: 3}"]),
    "value twice": ("sweep: {length: [3, 5, «3», «03»]}", ["names 3 twice|remove one", "names 03 twice"]),
    "value twice in a product": (
        "sweep: {order: [random, «random»], length: [3, 5]}",
        ["sweep: order names random twice|a test of its own"],
    ),
    "list twice": ("sweep: {members: [[a, b, c, d, e], «[a, b, c, d, e]»]}", ["members names the same list twice"]),
    "entry twice": (
        "sweep: [{length: 3, start: 1}, {length: 5}, «{start: 01, length: 3}»]",
        ["this entry of the sweep is the same as entry 1|remove one"],
    ),
    "no such order": ("sweep: {order: [«sequence», random]}", ["'sequence' is no valid choice: valid here: increasing, random"]),
    "unknown variable": ("roles: {x: a}, sweep: {«lengths»: [3]}", ["unknown key 'lengths' in the sweep|'length'"]),
    "a key of the set": ("sweep: {«bos»: [true]}", ["unknown key 'bos' in the sweep"]),
    "null": ("sweep: {length: [3, «~»]}", ["length is empty"]),
    "members of one variant": ("sweep: {members: [months, «[a, b]»]}", ["at least 3 members"]),
    "too long for one": ("sweep: {members: [letters, weekdays], length: [«7»]}", ["7 members from number 1 on"]),
    "too many entries": (f"sweep: «[{', '.join('{length: 3}' for _ in range(201))}]»", ["the sweep has 201 variants"]),
}  # fmt: skip


@pytest.mark.parametrize("what", FAULTS)
def test_a_faulty_sweep_is_explained_at_its_place(what: str, tmp_path: Path) -> None:
    """Nothing to sweep, the same twice, unknown keys and unfit values stand under their words."""
    marked, expected = FAULTS[what]
    check(tmp_path, f"{TOP}  p: {{{NUM}{marked}}}\n{GOOD_SET}claims:\n  {GOOD}}}\n", expected)


REQUIRES: dict[str, tuple[str, list[str]]] = {
    "unbounded": ("{«logit_diff»: 1}", ["logit_diff cannot be required: its range has no end; it takes top1, top5"]),
    "rank": ("{«answer_rank»: 1}", ["answer_rank cannot be required"]),
    "unknown": ("{«prob_dif»: 0}", ["unknown key 'prob_dif' in requires|did you mean 'prob_diff'?"]),
    "top0": ("{«top0»: 0.1}", ["unknown key 'top0' in requires"]),
    "prob_diff 1": ("{prob_diff: «1»}", ["prob_diff must be at least -1 and less than 1, not 1|such as 0.1"]),
    "prob_diff low": ("{prob_diff: «-1.5»}", ["at least -1 and less than 1, not -1.5"]),
    "pair_prob low": ("{pair_prob: «-0.1»}", ["pair_prob must be at least 0 and less than 1|0.5 or 50%"]),
    "answer_prob 20": ("{answer_prob: «20»}", ["at least 0 and less than 1, not 20|did you mean 20%?"]),
    "top5 all": ("{top5: «100%»}", ["top5 must be at least 0 and less than 1, not 100%"]),
    "a word": ("{top5: «most»}", ["must be a number or a percent"]),
    "two": ("{«kl»: 1, top1: «2»}", ["kl cannot be required", "less than 1"]),
}


@pytest.mark.parametrize("place", ["set", "claim"])
@pytest.mark.parametrize("what", REQUIRES)
def test_faulty_requirements_are_explained(what: str, place: str, tmp_path: Path) -> None:
    """Metrics without a range of their own and thresholds that nothing can exceed are faults."""
    marked, expected = REQUIRES[what]
    on_set, on_claim = (f"  p: {{{NUM}requires: {marked}}}\n", "") if place == "set" else ("", f", requires: {marked}")
    check(tmp_path, f"{TOP}{on_set}{GOOD_SET}claims:\n  {GOOD}{on_claim}}}\n", expected)


def test_requirements_of_every_kind_are_read(tmp_path: Path) -> None:
    """Top-k shares, probabilities and prob_diff, as numbers and percents, down to their lowest values."""
    text = "{top1: 50%, top10: 0, answer_prob: 0.1, pair_prob: 0.5, prob_diff: -1}"
    wanted = {"top1": 0.5, "top10": 0.0, "answer_prob": 0.1, "pair_prob": 0.5, "prob_diff": -1.0}
    suite = read(tmp_path, suite_text(f"{{family: ioi, requires: {text}}}", more=f", requires: {text}"))
    assert not suite.all_faults
    claim = claim_of(suite, "a")
    assert claim.variants[0].requires == wanted and claim.checks[0].requires == wanted


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    starts=st.lists(st.integers(1, 3), min_size=1, max_size=3),
)
def test_a_product_has_every_combination_once(
    lengths: list[int], starts: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Distinct values give their product in order; each repeated value is one fault."""
    folder = tmp_path_factory.mktemp("sweep")
    suite = read(folder, suite_text(f"{{{NUM}sweep: {{length: {lengths}, start: {starts}}}}}"))
    repeats = len(lengths) - len(set(lengths)) + len(starts) - len(set(starts))
    assert len(suite.faults) == repeats
    if not repeats:
        found = claim_of(suite, "a").variants
        assert [variant.variables for variant in found] == [
            {"length": length, "start": start} for length in lengths for start in starts
        ]
