"""Every construct of the claim language loads to the exact value that the later stages read."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from claims_kit import GOOD, HEAD, KNOWLEDGE, NAME, claim, claim_of, read, write
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits.claims.claim import (
    Ablate,
    Attends,
    Bound,
    Check,
    Circuit,
    Claim,
    Keep,
    LossMap,
    PromptSet,
    Score,
    Suite,
    What,
)
from circuits.claims.claim import Path as PathCheck
from circuits.claims.heads import Component, PathError, parse_component, parse_path
from circuits.claims.load_check import READERS
from circuits.claims.selector import parse
from circuits.evaluate import load

DATA = Path(__file__).resolve().parent / "data"
SETS = """  ioi: {family: ioi}
  shuffled: {family: named_sequence, members: numerals, length: 4, order: random}
  swept: {family: named_sequence, members: numerals, sweep: {length: [3, 4]}}
circuits:
  numbers: {heads: ["1.5", L4H4], mlps: [0, MLP1], source: {arxiv: "2311.04131"}}
  open: {heads: ["1.5"]}
  closed: {heads: ["1.5"], mlps: []}
  mlps_only: {heads: [], mlps: [2]}
claims:
"""
TOP = HEAD.replace("claims:\n", SETS)


def c(text: str) -> Component:
    return parse_component(text)


def cs(*texts: str) -> tuple[Component, ...]:
    return tuple(map(parse_component, texts))


NUMBERS = Circuit("numbers", cs("1.5", "4.4"), cs("MLP0", "MLP1"), {"arxiv": "2311.04131"})
OPEN = Circuit("open", cs("1.5"), None)


def one(folder: Path, *lines: str, head: str = 'head: "16.0"', prompts: str = "prompts: num") -> Claim:
    """The claim of these lines, which has no fault."""
    suite = read(folder, claim(*lines, head=head, prompts=prompts, top=TOP))
    assert not suite.all_faults, "\n".join(fault.render() for fault in suite.all_faults)
    return claim_of(suite, "a")


def check_of(folder: Path, *lines: str, head: str = 'head: "16.0"', prompts: str = "prompts: num") -> Check:
    (check,) = one(folder, *lines, head=head, prompts=prompts).checks
    return check


def test_circuits_keep_what_they_name(tmp_path: Path) -> None:
    """``mlps`` absent is None (all MLPs stay), [] is none of them; the source stands beside."""
    suite = read(tmp_path, claim("attends: any -> n-1", "at_least: 0.1", top=TOP))
    assert suite.circuits == {
        "numbers": NUMBERS,
        "open": OPEN,
        "closed": Circuit("closed", cs("1.5"), ()),
        "mlps_only": Circuit("mlps_only", (), cs("MLP2")),
    }
    assert NUMBERS.components == cs("1.5", "4.4", "MLP0", "MLP1")


def test_circuits_are_shared_by_include_and_overridden(tmp_path: Path) -> None:
    """An included circuit can be named; the suite's own of the same name goes before it."""
    write(tmp_path, "circuits:\n  numbers: {heads: [1.1]}\n  more: {heads: [2.2]}\n", "shared.yaml")
    text = claim('ablate: "1.5"', "within: numbers", "drop_in: top1", "at_least: 0.1", top=TOP)
    suite = read(tmp_path, text.replace("prompts:\n", "include: shared.yaml\nprompts:\n", 1))
    assert not suite.all_faults
    assert suite.circuits["more"] == Circuit("more", cs("2.2"))
    assert suite.circuits["numbers"] == NUMBERS


LOGIT = "logit_diff"
AT_LEAST = Bound("at_least", 0.1, None, "at_least 10%", True)

# lines of the claim -> (what it measures, its bound, its words)
CONSTRUCTS: dict[tuple[str, ...], tuple[What, Bound, str]] = {
    ('ablate: "1.5"', "drop_in: logit_diff", "at_least: 10%"): (
        Ablate(cs("1.5"), "mean", "drop_in", LOGIT), AT_LEAST, "ablate: 1.5 (mean), drop_in: logit_diff"),
    ("ablate: [MLP3, L1H5]", "method: zero", "at: end", "change_in: kl", "at_least: 10%"): (
        Ablate(cs("MLP3", "1.5"), "zero", "change_in", "kl", at="end"), AT_LEAST, "ablate: MLP3, 1.5 (zero) at end, change_in: kl"),
    ('ablate: "1.5"', "at: end|member [ 2 ]", "after: top5", "at_least: 10%"): (
        Ablate(cs("1.5"), "mean", "after", "top5", at="end | member[2]"), AT_LEAST, "ablate: 1.5 (mean) at end | member[2], after: top5"),
    ('ablate: "1.5"', "at: end", "within: numbers", "drop_in: logit_diff", "at_least: 10%"): (
        Ablate(cs("1.5"), "mean", "drop_in", LOGIT, "end", (), NUMBERS), AT_LEAST, "ablate: 1.5 (mean) at end, within numbers, drop_in: logit_diff"),
    ("ablate: MLP9", "within: open", "change_in: loss", "at_least: 10%"): (
        Ablate(cs("MLP9"), "mean", "change_in", "loss", None, (), OPEN), AT_LEAST, "ablate: MLP9 (mean), within open, change_in: loss"),
    ("ablate: numbers", "method: resample", "drop_in: logit_diff", "at_least: 10%"): (
        Ablate(NUMBERS.components, "resample", "drop_in", LOGIT, circuit=NUMBERS), AT_LEAST, "ablate: numbers (resample), drop_in: logit_diff"),
    ('ablate: "2.5"', "given_ablated: [4.4, L4H5]", "drop_in: logit_diff", "interaction: {at_least: 10%}"): (
        Ablate(cs("2.5"), "mean", "interaction", LOGIT, given=cs("4.4", "4.5")), AT_LEAST, "ablate: 2.5 (mean), given 4.4, 4.5 ablated, interaction in logit_diff"),
    ("ablate: MLP2", "given_ablated: numbers", "at: member", "drop_in: top1", "interaction: {between: [-1, 1]}"): (
        Ablate(cs("MLP2"), "mean", "interaction", "top1", "member", NUMBERS.components), Bound("between", -1, 1, "between -1 and 1"),
        "ablate: MLP2 (mean) at member, given 1.5, 4.4, MLP0, MLP1 ablated, interaction in top1"),
    ('ablate: "2.5"', "given_ablated: 4.4", "drop_in: logit_diff", "interaction: {observe: true}"): (
        Ablate(cs("2.5"), "mean", "interaction", LOGIT, given=cs("4.4")), Bound("observe", None, None, None), "ablate: 2.5 (mean), given 4.4 ablated, interaction in logit_diff"),
    ('ablate: "2.5"', "given_ablated: 4.4", "drop_in: logit_diff", "interaction: {}", "observe: true"): (
        Ablate(cs("2.5"), "mean", "interaction", LOGIT, given=cs("4.4")), Bound("observe", None, None, None), "ablate: 2.5 (mean), given 4.4 ablated, interaction in logit_diff"),
    ("ablate: numbers", "partial_necessity: logit_diff", "at_least: 10%"): (
        Ablate(NUMBERS.components, "mean", "partial_necessity", LOGIT, circuit=NUMBERS, random=40), AT_LEAST, "ablate: numbers (mean), partial_necessity: logit_diff"),
    ("ablate: numbers", "partial_necessity: kl", "random: 100", "at_least: 10%"): (
        Ablate(NUMBERS.components, "mean", "partial_necessity", "kl", circuit=NUMBERS, random=100), AT_LEAST, "ablate: numbers (mean), partial_necessity: kl"),
    ('ablate: "1.5"', "drop_in: logit_diff", "top: 3"): (
        Ablate(cs("1.5"), "mean", "drop_in", LOGIT), Bound("top", None, None, "top 3", k=3), "ablate: 1.5 (mean), drop_in: logit_diff"),
    ('ablate: "1.5"', "after: answer_rank", "observe: true"): (
        Ablate(cs("1.5"), "mean", "after", "answer_rank"), Bound("observe", None, None, None), "ablate: 1.5 (mean), after: answer_rank"),
    ("keep_only: numbers", "recovers: logit_diff", "at_least: 10%"): (
        Keep(NUMBERS, "mean", "recovers", LOGIT, random=5), AT_LEAST, "keep_only: numbers (mean), recovers: logit_diff"),
    ("keep_only: numbers", "recovers: logit_diff", "normalised: true", "random: 0", "at_least: 10%"): (
        Keep(NUMBERS, "mean", "recovers", LOGIT, True), AT_LEAST, "keep_only: numbers (mean), recovers: logit_diff (normalised)"),
    ("keep_only: open", "method: zero", "faithfulness: answer_logprob", "random: 7", "at_most: 0.5"): (
        Keep(OPEN, "zero", "faithfulness", "answer_logprob", random=7), Bound("at_most", None, 0.5, "at_most 0.5"), "keep_only: open (zero), faithfulness: answer_logprob"),
    ("keep_only: numbers", "completeness: logit_diff", "at_most: 0.5"): (
        Keep(NUMBERS, "mean", "completeness", LOGIT, subsets=10), Bound("at_most", None, 0.5, "at_most 0.5"), "keep_only: numbers (mean), completeness: logit_diff"),
    ("keep_only: numbers", "minimality: loss", "subsets: 20", "at_least: 10%"): (
        Keep(NUMBERS, "mean", "minimality", "loss", subsets=20), AT_LEAST, "keep_only: numbers (mean), minimality: loss"),
    ("keep_only: numbers", "sufficiency: logit_diff", "method: resample", "at_least: 10%"): (
        Keep(NUMBERS, "resample", "sufficiency", LOGIT, random=40), AT_LEAST, "keep_only: numbers (resample), sufficiency: logit_diff"),
    ("path: 2.2->5.5.k", "drop_in: logit_diff", "at_least: 10%"): (
        PathCheck(c("2.2"), c("5.5"), "k", "drop_in", LOGIT), AT_LEAST, "path: 2.2 -> 5.5.k, drop_in: logit_diff"),
    ("path: L2H2 → L5H5.v", "change_in: kl", "at_least: 10%"): (
        PathCheck(c("2.2"), c("5.5"), "v", "change_in", "kl"), AT_LEAST, "path: 2.2 -> 5.5.v, change_in: kl"),
    ('path: "9.7 -> logits"', "after: top1", "at_least: 10%"): (
        PathCheck(c("9.7"), None, "logits", "after", "top1"), AT_LEAST, "path: 9.7 -> logits, after: top1"),
    ("path: MLP4 -> 5.5.q", "drop_in: pair_prob", "observe: true"): (
        PathCheck(c("MLP4"), c("5.5"), "q", "drop_in", "pair_prob"), Bound("observe", None, None, None), "path: MLP4 -> 5.5.q, drop_in: pair_prob"),
    ("loss_map: [18.6, [17.3, L17H4], MLP0]", "observe: true"): (
        LossMap((cs("18.6"), cs("17.3", "17.4"), cs("MLP0")), "mean"), Bound("observe", None, None, None), "loss_map: 18.6; 17.3, 17.4; MLP0"),
    ("loss_map: [18.6, 18.7]", "method: zero", "observe: true"): (
        LossMap((cs("18.6"), cs("18.7")), "zero"), Bound("observe", None, None, None), "loss_map: 18.6; 18.7 (zero)"),
    ("loss_map: [18.6]", "models: [gpt2, {path: a/b}]", "observe: true"): (
        LossMap((cs("18.6"),), "mean", ("gpt2", {"path": "a/b"})), Bound("observe", None, None, None), "loss_map: 18.6, models gpt2, a/b"),
    ("loss_map: []", "models: [{hub: a/b}, {hub: a/b, revision: step2}]", "observe: true"): (
        LossMap((), "mean", ({"hub": "a/b"}, {"hub": "a/b", "revision": "step2"})), Bound("observe", None, None, None),
        "loss_map: no ablation, models a/b, a/b@step2"),
}  # fmt: skip


@pytest.mark.parametrize("lines", CONSTRUCTS, ids=", ".join)
def test_an_intervention_loads_to_its_value(lines: tuple[str, ...], tmp_path: Path) -> None:
    """Components, circuit, method, effect, metric, draws and bound are what is written; heads are its own."""
    what, bound, words = CONSTRUCTS[lines]
    check = check_of(tmp_path, *lines)
    assert check.what == what
    assert check.bound == bound
    assert check.text == words
    assert (check.heads, check.any, check.prompts) == ((), False, ())
    assert check.kind in READERS


def test_top_is_a_bound_without_ends(tmp_path: Path) -> None:
    """``top: 3`` of attention and of a score of heads."""
    expected = Bound("top", None, None, "top 3", k=3)
    assert check_of(tmp_path, "attends: any -> n-1", "statistic: lift", "top: 3").bound == expected
    assert check_of(tmp_path, "score: induction", "top: 3", prompts="prompts: rep").bound == expected
    assert check_of(tmp_path, "score: copying", "members: months", "top: 3", prompts="").bound == expected


def test_scores_of_weights_need_no_prompts(tmp_path: Path) -> None:
    """A claim without prompts may have them; in a list of checks they ignore the claim's."""
    found = one(tmp_path, "score: successor", "members: numerals", "at_least: 0.5", prompts="")
    assert found.variants == ()
    assert found.checks[0].what == Score("successor", "numerals")
    assert found.checks[0].heads == cs("16.0")
    assert found.checks[0].text == "score: successor of numerals"
    check = check_of(tmp_path, "score: copying", "members: [January, '2', no]", "at_least: 0.5", prompts="")
    assert check.what == Score("copying", ("January", "2", "no"))
    assert check.text == "score: copying of [January, 2, no]"
    lines = (
        "checks:",
        "  - {score: copying, members: months, at_least: 0.5}",
        "  - {attends: any -> n-1, at_least: 0.1}",
    )
    found = one(tmp_path, *lines)
    assert [check.prompts for check in found.checks] == [(), ()]
    assert [variant.name for variant in found.variants] == ["num"]
    assert not found.warnings


def test_the_in_context_learning_score_has_no_head(tmp_path: Path) -> None:
    """It takes any real bound, and no head of the claim."""
    lines = ("checks:", "  - {score: in_context_learning, at_most: -0.4}", "  - {score: induction, at_least: 0.1}")
    first, second = one(tmp_path, *lines, prompts="prompts: rep").checks
    assert first.what == Score("in_context_learning")
    assert first.heads == ()
    assert first.bound == Bound("at_most", None, -0.4, "at_most -0.4")
    assert second.heads == cs("16.0")
    assert (
        check_of(tmp_path, "score: in_context_learning", "between: [-9, 9]", head="", prompts="prompts: rep").any
        is False
    )


def test_some_head_of_a_group_or_of_the_model(tmp_path: Path) -> None:
    """``heads: {any: ...}`` of the claim is inherited by attention and scores; a check's own goes before it."""
    lines = (
        "checks:",
        "  - {attends: any -> n-1, at_least: 0.1}",
        "  - {score: copying, members: months, at_least: 0.1}",
        "  - {head: 2.2, attends: any -> n-1, at_least: 0.1}",
        "  - {heads: {any: [3.3]}, attends: any -> n-1, at_least: 0.1}",
        "  - {ablate: 1.1, drop_in: top1, at_least: 0.1}",
    )
    found = one(tmp_path, *lines, head="heads: {any: [1.5, L4H4]}")
    assert (found.heads, found.any) == (cs("1.5", "4.4"), True)
    assert [(check.heads, check.any) for check in found.checks] == [
        (cs("1.5", "4.4"), True),
        (cs("1.5", "4.4"), True),
        (cs("2.2"), False),
        (cs("3.3"), True),
        ((), False),
    ]
    found = one(tmp_path, "score: previous_token", "at_least: 0.7", head="heads: {any: all}", prompts="prompts: rep")
    assert (found.heads, found.any) == ((), True)
    assert (found.checks[0].heads, found.checks[0].any) == ((), True)
    listed = one(tmp_path, "attends: any -> n-1", "at_least: 0.1", head="heads: [1.5, 4.4]")
    assert (listed.any, listed.checks[0].any) == (False, False)


def test_comparisons_with_another_head_or_prompt_set(tmp_path: Path) -> None:
    """Each side of ``more_than: {attends:, head:, prompts:}`` that is not named is the check's own."""
    own, other = "member -> earlier member", "name -> earlier name"
    attends = f"attends: {own}"
    check = check_of(tmp_path, attends, 'more_than: {head: "0.1"}', "by_at_least: 0.1")
    assert check.what == Attends(parse(own), more_than=parse(own), other_head=c("0.1"))
    assert check.bound == Bound("by_at_least", 0.1, None, "by_at_least 0.1")
    check = check_of(tmp_path, attends, f"more_than: {{attends: {other}}}")
    assert check.what == Attends(parse(own), more_than=parse(other))
    assert check.bound == Bound("by_at_least", 0.0, None, "by_at_least 0")
    assert check.text == f"attends: {own}"

    def elsewhere(*lines: str, prompts: str = "prompts: num") -> tuple[Attends, PromptSet | None]:
        what = check_of(tmp_path, *lines, prompts=prompts).what
        assert isinstance(what, Attends)
        return what, what.other_prompts

    what, prompts = elsewhere(attends, "more_than: {prompts: shuffled}", "statistic: lift", "excluding: bos")
    assert what == Attends(parse(own), "lift", ("bos",), parse(own), None, prompts)
    assert prompts is not None
    assert (prompts.name, prompts.parameters["order"]) == ("shuffled", "random")
    what, prompts = elsewhere(attends, "more_than: {attends: end -> S2, head: 1.1, prompts: ioi}")
    assert (what.more_than, what.other_head) == (parse("end -> S2"), c("1.1"))
    assert prompts is not None
    assert prompts.family == "ioi"
    _, prompts = elsewhere(attends, "more_than: {prompts: {family: named_sequence, members: months}}")
    assert prompts is not None
    assert (prompts.name, prompts.parameters) == ("a-1-compared", {"members": "months"})
    assert elsewhere(attends, "more_than: {head: 1.1, prompts: num}")[1] is None  # the check's own: paired
    assert elsewhere(attends, "more_than: {head: 1.1, prompts: num}", prompts="prompts: swept")[1] is not None


def example(name: str) -> Suite:
    return load(DATA / name, KNOWLEDGE, name)


def test_the_claims_of_the_notes_mean_what_is_written() -> None:
    """The constructs of the example suites, as values."""
    suite = example("gpt2_notes.yaml")
    circuit = suite.circuits["numerals_circuit"]
    assert len(circuit.heads) == 14
    assert circuit.heads[3] == c("4.10")
    assert circuit.mlps == tuple(Component(layer) for layer in (0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11))
    assert circuit.source == {"arxiv": "2311.04131"}

    def checks(name: str) -> tuple[Check, ...]:
        return claim_of(suite, name).checks

    (check,) = checks("head-1.5-can-be-removed-from-the-circuit")
    assert check.what == Ablate(cs("1.5"), "mean", "drop_in", LOGIT, within=circuit)
    assert check.bound == Bound("at_most", None, 0.15, "at_most 15%", True)
    assert check.reported is not None
    assert check.reported["value"] == 0.34
    (check,) = checks("head-1.5-is-redundant-with-4.4")
    assert check.what == Ablate(cs("1.5"), "mean", "interaction", LOGIT, given=cs("4.4", "4.10"))
    assert check.bound == Bound("at_least", 0.05, None, "at_least 5%", True)
    assert [check.bound.k for check in checks("head-5.5-induction")] == [None, 5, None]
    _, second, third = checks("first-column-number-heads")
    column = parse("any[late] -> first")
    assert second.what == third.what == Attends(column, more_than=column, other_head=c("0.1"))
    assert (second.heads, third.heads) == (cs("4.4"), cs("0.10"))
    (check,) = checks("head-5.5-needs-a-sequence-to-increase")
    end = parse("end -> earlier member")
    assert check.what == Attends(end, more_than=end, other_prompts=suite.prompts["shuffled"][0])
    assert checks("head-9.1-next-member")[1].what == Score("successor", "numerals")
    (check,) = checks("without-9.1-the-circuit-answers-less")
    assert check.what == Ablate(cs("9.1"), "mean", "change_in", "top1", within=circuit)
    (check,) = checks("numerals-circuit-is-enough")
    assert check.what == Keep(circuit, "mean", "recovers", LOGIT, random=5)
    values, keys = checks("induction-feeds-s-inhibition")
    assert values.what == PathCheck(c("5.5"), c("8.6"), "v", "drop_in", LOGIT)
    assert keys.what == PathCheck(c("5.5"), c("8.6"), "k", "drop_in", LOGIT)
    assert keys.bound.kind == "observe"
    assert [check.bound.k for check in example("smollm2_heads.yaml").claims[0].checks] == [None, 3]


@given(
    st.integers(0, 20),
    st.integers(0, 12),
    st.booleans(),
    st.integers(0, 20),
    st.integers(0, 12),
    st.sampled_from("qkv"),
)
def test_a_path_goes_upwards(low: int, head: int, mlp: bool, high: int, other: int, name: str) -> None:
    """A path of any two components is read, or refused because the receiver is no layer above the sender."""
    sender = Component(low, None if mlp else head)
    text = f"{sender} -> {Component(high, other)}.{name}"
    if high > low:
        ends = parse_path(text)
        assert (ends.sender, ends.receiver, ends.input) == (sender, Component(high, other), name)
        assert [text[at : at + width] for at, width in zip(ends.at, ends.width, strict=True)] == text.split(" -> ")
    else:
        with pytest.raises(PathError, match="does not write into"):
            parse_path(text)
    assert parse_path(f"{sender}->logits").receiver is None


@settings(max_examples=400)
@given(st.text("0123456789.qkvx ->→<=LHMPlogits[]", max_size=24))
def test_any_path_is_read_or_refused_at_its_place(text: str) -> None:
    """Whatever is written, a PathError lies inside the text, or the path goes upwards."""
    found: list[PathError] = []
    try:
        ends = parse_path(text)
        assert ends.receiver is None or ends.receiver.layer > ends.sender.layer
    except PathError as error:
        found.append(error)
    for wrong in found:
        assert 0 <= wrong.at < wrong.at + wrong.width <= max(1, len(text))
        assert wrong.hint


VALUES = (
    "numbers", "open", "1.5", "[1.5, 4.4]", "MLP0", "end", "member -> earlier member", "{head: 1.1}", "{at_least: 5%}",
    "{any: all}", "{any: [1.1]}", "{}", "[]", "", "3", "10%", "-1", "[0.1, 0.2]", "true", "mean", "logit_diff", "kl",
    "top1", "loss", "2.2 -> 5.5.k", "copying", "in_context_learning", "numerals", "ioi", "rep", "[1.1, [2.2, 3.3]]", "{a: b}",
)  # fmt: skip
KEYS = (
    "attends", "score", "ablate", "keep_only", "path", "loss_map", "drop_in", "change_in", "after", "partial_necessity",
    "recovers", "faithfulness", "completeness", "minimality", "sufficiency", "normalised", "subsets", "random", "method",
    "at", "within", "given_ablated", "interaction", "members", "more_than", "top", "at_least", "between", "by_at_least",
    "observe", "heads", "prompts", "statistic", "excluding", "requires",
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), min_size=1, max_size=6), st.booleans())
def test_any_check_is_loaded_or_explained(entries: dict[str, str], inline: bool) -> None:
    """Whatever keys and values meet, the claim gets a check or a fault, its neighbours stay good, nothing raises."""
    lines = [f"{key}: {value}" for key, value in entries.items()]
    if inline:
        lines = [line for line in lines if not line.startswith(("heads", "prompts"))]
    else:
        lines = ["checks:", *(f"  {'- ' if not index else '  '}{line}" for index, line in enumerate(lines))]
    text = claim(*lines, top=TOP).replace(GOOD, GOOD.replace("prompts: num", "prompts: rep"))
    with tempfile.TemporaryDirectory() as folder:
        suite = load(write(Path(folder), text), KNOWLEDGE, NAME)
    found = claim_of(suite, "a")
    assert found.checks or found.faults
    assert not suite.faults
    assert [bool(other.faults) for other in suite.claims if other.id != "a"] == [False, False]
    for fault in found.faults:
        assert fault.message
        assert fault.hint
