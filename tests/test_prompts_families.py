"""The generated prompt families: laws that hold for every tokenizer, and examples written out."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from fakes import BARE, WORDS, FakeTokenizer, bare, digits, pieces, words
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits.errors import PromptFault
from circuits.prompts.draws import sample, stream_of
from circuits.prompts.parameters import check_params, with_defaults
from circuits.prompts.prompt import PromptPair, TokenPrompt
from circuits.prompts.registry import FAMILIES
from circuits.prompts.tokens import build, reference_prompts, tokenize
from circuits.prompts.words import FIRST_NAMES, NOUNS, SEQUENCES

MAKERS = {"words": words, "digits": digits, "bare": bare, "pieces": pieces}
CASES: list[tuple[str, dict[str, Any]]] = [
    *(("named_sequence", {"members": members}) for members in SEQUENCES),
    ("named_sequence", {"members": "months", "length": 2, "template": "{name} is now at {member},"}),
    ("named_sequence", {"members": "letters", "order": "random", "length": 6}),
    ("named_sequence", {"members": "numerals", "order": "random", "start": 2}),
    ("named_sequence", {"members": ["red", "green", "blue", "white", "black"], "length": 2}),
    ("interspersed_sequence", {"members": "numerals", "length": 3}),
    ("interspersed_sequence", {"members": "weekdays", "start": 2}),
    ("repeated_tokens", {"length": 7}),
    ("ioi", {}),
    ("ioi", {"templates": "ABBA"}),
]
#: In pieces of five characters these have too few neighbours of equal token length.
TOO_UNEVEN = ("number_words", ["red", "green", "blue", "white", "black"])
COMBINATIONS = [
    pytest.param(family, params, maker, id=f"{name}-{family}-{params}"[:80])
    for name, maker in MAKERS.items()
    for family, params in CASES
    if not (name == "pieces" and params.get("members") in TOO_UNEVEN)
]
combinations = pytest.mark.parametrize(("family", "params", "maker"), COMBINATIONS)
sequences = pytest.mark.parametrize(
    ("family", "params", "maker"), [case for case in COMBINATIONS if str(case.values[0]).endswith("sequence")]
)


def made(family: str, params: dict[str, Any], tokenizer: FakeTokenizer, n: int, seed: int = 0) -> list[TokenPrompt]:
    assert check_params(FAMILIES[family], params) == []
    return build(FAMILIES[family], params, tokenizer, seed, "prompts", n, True, {})


def drawn(family: str, params: dict[str, Any], tokenizer: FakeTokenizer, n: int) -> list[PromptPair]:
    stream = FAMILIES[family].pairs(with_defaults(FAMILIES[family], params), tokenizer, 0, "prompts")
    return [pair for pair, _ in zip(stream, range(n), strict=False)]


def members_of(params: dict[str, Any]) -> list[str]:
    members = params["members"]
    return list(SEQUENCES[members] if isinstance(members, str) else members)


def under(pair: PromptPair, role: str, corrupted: bool = False) -> list[str]:
    prompt = pair.corrupted if corrupted else pair.clean
    assert prompt is not None and prompt.text is not None
    return [prompt.text[span.start : span.end] for span in prompt.roles[role]]


@combinations
def test_laws_of_every_generated_prompt(
    family: str, params: dict[str, Any], maker: Callable[[], FakeTokenizer]
) -> None:
    """Distinct, with partners of equal length, an answer, another foil, known roles, one period."""
    prompts = made(family, params, maker(), 24)
    assert len(prompts) == len({prompt.ids for prompt in prompts}) == 24
    assert len({(prompt.template, prompt.period) for prompt in prompts}) == len({p.template for p in prompts})
    for prompt in prompts:
        assert prompt.corrupted is not None and len(prompt.corrupted) == len(prompt.ids) == len(prompt.item_of)
        assert prompt.corrupted != prompt.ids and prompt.corrupted[0] == prompt.ids[0] == 0
        assert len(prompt.answers) == len(prompt.foils) == 1 and prompt.answers != prompt.foils
        assert set(prompt.roles) == FAMILIES[family].roles(params)
        for spans in prompt.roles.values():
            assert all(0 < at < len(prompt.ids) for span in spans for at in span)
        if family.endswith("sequence"):
            counts = [prompt.item_of.count(item) for item in range(max(prompt.item_of))]
            assert counts == [prompt.period] * len(counts)


@combinations
def test_the_first_prompts_do_not_depend_on_how_many(
    family: str, params: dict[str, Any], maker: Callable[[], FakeTokenizer]
) -> None:
    """A longer run begins with the shorter one, also for a fresh tokenizer; another seed differs."""
    long = made(family, params, maker(), 20)
    assert made(family, params, maker(), 5) == long[:5]
    assert made(family, params, maker(), 20, seed=1) != long


@combinations
def test_the_reference_is_another_stream_of_that_length(
    family: str, params: dict[str, Any], maker: Callable[[], FakeTokenizer]
) -> None:
    """128 distinct rows of the template and length, the same whatever was built before."""
    tokenizer = maker()
    first = made(family, params, tokenizer, 4)[0]
    wanted = (FAMILIES[family], params, tokenizer, 0, first.template, len(first.ids))
    rows = reference_prompts(*wanted)
    assert len(rows) > 30 and {len(row) for row in rows} == {len(first.ids)}
    if family != "ioi":
        assert len(rows) == len(set(rows)) == 128
    assert rows[:3] == reference_prompts(*wanted, count=3)


@pytest.mark.parametrize("members", TOO_UNEVEN, ids=str)
def test_members_of_uneven_length_are_refused(members: Any) -> None:
    """Where no run of members has equal token lengths, the fault lists who has how many."""
    length = 4 if isinstance(members, str) else 2
    with pytest.raises(PromptFault, match=r"items have 4 tokens with .*, 5 tokens with "):
        made("named_sequence", {"members": members, "length": length}, pieces(), 1)


@sequences
def test_sequences_continue_and_their_partners_do_not(
    family: str, params: dict[str, Any], maker: Callable[[], FakeTokenizer]
) -> None:
    """Read back from the text: order, answer, foil, words that differ and stay, a broken partner."""
    members = members_of(params)
    tokenizer = maker()
    slot = "name" if family == "named_sequence" else "word"
    for pair in drawn(family, params, tokenizer, 40):
        shown = [members.index(text) for text in under(pair, "member")]
        other = [members.index(text) for text in under(pair, "member", corrupted=True)]
        steps = [later - earlier for earlier, later in pairwise(shown)]
        if params.get("order") == "random":
            assert 1 not in steps and len(set(shown)) == len(shown) and shown[-1] + 1 not in shown
        else:
            assert steps == [1] * (len(shown) - 1)
        assert pair.answers == (" " + members[shown[-1] + 1],) and pair.foils == (" " + members[shown[-1]],)
        assert 1 not in [later - earlier for earlier, later in pairwise(other)]
        assert len(set(other)) == len(other) == len(shown) and other[-1] != shown[-1]
        assert shown[-1] + 1 != other[-1]
        names = under(pair, slot)
        assert len(names) == len(set(names)) == len(shown) + 1
        assert names == under(pair, slot, corrupted=True)
        assert "start" not in params or shown[0] == params["start"] - 1


@pytest.mark.parametrize("maker", [words, digits, bare])
@pytest.mark.parametrize("members", SEQUENCES)
def test_the_answer_token_is_no_other_members(members: str, maker: Callable[[], FakeTokenizer]) -> None:
    """At the answer's place no other member of the sequence would put the same token."""
    tokenizer = maker()
    for pair in drawn("named_sequence", {"members": members}, tokenizer, 30):
        prompt = tokenize(pair, tokenizer, bos=False)
        for member in SEQUENCES[members]:
            if " " + member not in pair.answers:
                ids = tokenizer.encode((pair.clean.text or "") + " " + member)[0]
                assert tuple(ids[: len(prompt.ids) + 1]) != (*prompt.ids, prompt.answers[0])


def test_digits_leave_the_starts_one_to_five() -> None:
    """With single digits numerals go from 1 to 9: answers 5 to 9; start 6 is refused with reasons."""
    tokenizer = digits()
    prompts = made("named_sequence", {"members": "numerals"}, tokenizer, 200)
    assert {tokenizer.decode(prompt.answers[0]) for prompt in prompts} == set("56789")
    assert {prompt.period for prompt in prompts} == {5}
    with pytest.raises(PromptFault) as caught:
        made("named_sequence", {"members": "numerals", "start": 6}, digits(), 1)
    assert "'6' (start 6) cannot begin a prompt of length 4" in str(caught.value)
    assert "6 tokens with 10, 11, 12" in str(caught.value)
    assert "shared with another member for 10, 11, 12" in str(caught.value)


def test_whole_numbers_leave_the_starts_one_to_eight() -> None:
    """With one token a number, all eight starts of the published prompts are used."""
    tokenizer = words()
    prompts = made("named_sequence", {"members": "numerals"}, tokenizer, 200)
    assert {tokenizer.decode(prompt.answers[0]) for prompt in prompts} == {f" {k}" for k in range(5, 13)}


def test_a_member_that_is_the_beginning_of_another_cannot_be_seen_whole() -> None:
    """With "10" shown last and 11 next, digits would show "1" in the open item: refused."""
    with pytest.raises(PromptFault, match="shared with another member for 10, 11, 12"):
        made("named_sequence", {"members": "numerals", "length": 1, "start": 10}, digits(), 1)


def test_the_period_is_computed_and_checked() -> None:
    """A written period that the tokenizer does not give is a fault that says the right one."""
    params = {"members": "numerals", "period": 4}
    assert made("named_sequence", params, words(), 1)[0].period == 4
    with pytest.raises(PromptFault, match=r"period 4 is written, but .* have 5 tokens .* write period: 5"):
        made("named_sequence", params, digits(), 1)


def test_a_template_decides_how_the_answer_is_written() -> None:
    """The answer is what continues the text: with no space before the slot it has none."""
    pair = drawn("named_sequence", {"members": "letters", "template": "({name}={member})"}, bare(), 1)[0]
    assert pair.clean.text is not None and pair.clean.text.endswith("=") and len(pair.answers[0]) == 1
    pair = drawn("named_sequence", {"members": "letters", "template": "{member} is {name}."}, words(), 1)[0]
    assert pair.clean.text is not None and pair.clean.text.endswith(".") and pair.answers[0].startswith(" ")


def test_a_template_without_words_is_a_census() -> None:
    """Only the starts can differ, so the stream ends after each was shown once."""
    params = {"members": "weekdays", "template": "{member},"}
    tokenizer = FakeTokenizer(BARE)
    prompts = build(FAMILIES["named_sequence"], params, tokenizer, 0, "prompts", None)
    assert sorted(prompt.text for prompt in prompts) == [
        "Monday, Tuesday, Wednesday, Thursday,",
        "Tuesday, Wednesday, Thursday, Friday,",
        "Wednesday, Thursday, Friday, Saturday,",
    ]


def test_names_a_tokenizer_does_not_know_are_not_used() -> None:
    """Words that become the unknown token are left out; too few words are a fault with the numbers."""
    known = frozenset({*FIRST_NAMES[:6], *SEQUENCES["weekdays"], "is", "."})
    tokenizer = FakeTokenizer(WORDS, known=known)
    for prompt in made("named_sequence", {"members": "weekdays"}, tokenizer, 30):
        assert 1 not in prompt.ids
    with pytest.raises(PromptFault, match=r"7 different words for \{name\} are needed, but at most 6 of"):
        made("named_sequence", {"members": "weekdays", "length": 6}, tokenizer, 1)


def test_an_order_that_cannot_be_is_refused_soon() -> None:
    """Three members shown at random from the second on cannot be in broken order with an answer after."""
    params = {"members": ["a", "b", "c"], "length": 3, "order": "random", "start": 2}
    with pytest.raises(PromptFault, match="too few members have items of equal length"):
        made("named_sequence", params, words(), 1)


def test_single_token_names_are_preferred() -> None:
    """Where names fall into pieces, those of one token are used."""
    for prompt in made("named_sequence", {"members": "letters"}, pieces(), 30):
        assert {len(span) for span in prompt.roles["name"]} == {1}


def test_repeated_tokens_are_two_copies() -> None:
    """Block twice, answer its first token, foil outside; the partner has another first copy."""
    for prompt in made("repeated_tokens", {"length": 7}, words(), 30):
        first, second = prompt.ids[1:8], prompt.ids[8:]
        assert first == second and len(set(first)) == 7 and not {0, 1} & set(first)
        assert prompt.corrupted is not None and prompt.corrupted[8:] == second
        assert len(set(prompt.corrupted[1:8])) == 7 and not set(prompt.corrupted[1:8]) & set(first)
        assert prompt.answers == first[:1] and prompt.foils[0] not in {*first, *prompt.corrupted}
        assert prompt.roles == {"first_copy": (tuple(range(1, 8)),), "second_copy": (tuple(range(8, 15)),)}
        assert prompt.item_of == (-1, *[0] * 7, *[1] * 7) and prompt.period == 7


def test_repeated_tokens_in_a_small_vocabulary() -> None:
    """One token more than the block is enough, one fewer is a fault; all blocks are shown."""
    prompts = build(FAMILIES["repeated_tokens"], {"length": 2}, FakeTokenizer(size=5), 0, "prompts", None)
    assert {prompt.ids[1:3] for prompt in prompts} == {(a, b) for a in (2, 3, 4) for b in (2, 3, 4) if a != b}
    for prompt in prompts:
        assert prompt.corrupted is not None and prompt.corrupted[1:3] != prompt.ids[1:3]
    with pytest.raises(PromptFault, match=r"block of 4 tokens and a foil need 5 .* fake has 4 that"):
        made("repeated_tokens", {"length": 4}, FakeTokenizer(size=6), 1)


@pytest.mark.parametrize("wanted", ["ABBA", "BABA", "both"])
def test_ioi_names_and_order(wanted: str) -> None:
    """Names in the order of the template, S twice, three others in the partner, templates balanced."""
    pairs = drawn("ioi", {"templates": wanted}, words(), 48)
    counts: dict[str, int] = {}
    for pair in pairs:
        counts[pair.template] = counts.get(pair.template, 0) + 1
        (indirect,), (subject,), (again,) = (under(pair, role) for role in ("IO", "S1", "S2"))
        assert subject == again != indirect
        assert pair.answers == (" " + indirect,) and pair.foils == (" " + subject,)
        others = [under(pair, role, corrupted=True)[0] for role in ("IO", "S1", "S2")]
        assert len({indirect, subject, *others}) == 5
        first = min(("IO", "S1"), key=lambda role: pair.clean.roles[role][0].start)
        assert pair.template.startswith("ABBA" if first == "IO" else "BABA")
        assert under(pair, "place") == under(pair, "place", corrupted=True)
        assert (pair.clean.text or "").endswith(" to") and "." not in (pair.clean.text or "")
    assert len(counts) >= (8 if wanted == "both" else 4) and len(set(counts.values())) == 1
    assert wanted == "both" or all(template.startswith(wanted) for template in counts)


def test_pools_and_sequences_are_large_and_clean() -> None:
    """At least 60 different names and nouns, none of them a member of a sequence."""
    members = {member for sequence in SEQUENCES.values() for member in sequence}
    for pool in (FIRST_NAMES, NOUNS):
        assert len(pool) == len(set(pool)) >= 60 and not set(pool) & members
    assert SEQUENCES["numerals"] == tuple("1 2 3 4 5 6 7 8 9 10 11 12".split())
    lengths = {name: len(members) for name, members in SEQUENCES.items()}
    assert lengths == {
        "numerals": 12,
        "number_words": 12,
        "months": 12,
        "weekdays": 7,
        "letters": 26,
        "ordinals": 12,
    }


@settings(max_examples=50)
@given(size=st.integers(1, 40), seed=st.integers(0, 10**6), data=st.data())
def test_draws_are_without_replacement(size: int, seed: int, data: st.DataObject) -> None:
    """A sample holds k different values of the sequence, the same for the same seed."""
    k = data.draw(st.integers(0, size))
    found = sample(stream_of(seed, "prompts", "x", {}), range(size), k)
    assert len(set(found)) == k and set(found) <= set(range(size))
    assert found == sample(stream_of(seed, "prompts", "x", {}), range(size), k)


def test_draws_are_uniform() -> None:
    """Each of the 6 ordered pairs of three values comes up about equally often."""
    rng = stream_of(0, "prompts", "x", {})
    counts: dict[tuple[int, ...], int] = {}
    for _ in range(6000):
        key = tuple(sample(rng, range(3), 2))
        counts[key] = counts.get(key, 0) + 1
    assert len(counts) == 6 and all(900 < count < 1100 for count in counts.values())


def test_prompts_are_the_same_in_another_process() -> None:
    """Hash randomisation of a fresh interpreter changes nothing, nor the order of the roles."""
    code = (
        "from fakes import words; from circuits.prompts.registry import FAMILIES; "
        "from circuits.prompts.tokens import build\n"
        "wanted = {'named_sequence': {'members': 'months'}, 'ioi': {}, 'repeated_tokens': {}}\n"
        "for name, params in wanted.items():\n"
        "    for prompt in build(FAMILIES[name], params, words(), 3, 'prompts', 6): print(prompt)"
    )
    here = Path(__file__).parent
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONPATH": f"{here}:{here.parent}", "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1 and outputs.pop().count("TokenPrompt(") == 18


def test_every_family_says_from_what_its_prompts_are_drawn() -> None:
    """But for literal texts; templates with short names are written out."""
    for family in FAMILIES.values():
        assert bool(family.drawn) is not family.exhaustive
    assert set(FAMILIES["ioi"].template_texts) == {pair.template for pair in drawn("ioi", {}, words(), 12)}
    assert "{S2}" in FAMILIES["ioi"].template_texts["ABBA-1"]
