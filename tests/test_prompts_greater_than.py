"""Year prompts: which tokens count for which end years, with every kind of tokenizer."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from fakes import FakeTokenizer, bare, digits, pieces, words
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits.claims.dry import PseudoTokenizer
from circuits.errors import PromptFault
from circuits.prompts.greater_than import CENTURIES, TEMPLATE, answer_sets, end_tokens, plan
from circuits.prompts.parameters import check_params, with_defaults
from circuits.prompts.prompt import PromptPair, Tokenizer, TokenPrompt
from circuits.prompts.registry import FAMILIES
from circuits.prompts.tokens import build, reference_prompts, tokenize
from circuits.prompts.words import LASTING

FAMILY = FAMILIES["greater_than"]
SENTENCE = re.compile(r"The (\w+) lasted from the year (\d\d)(\d\d) to the year (\d\d)")


def pairwise() -> FakeTokenizer:
    """Years fall into two halves (" 17", "32"), but for a few that are one token (as GPT-2's)."""
    return FakeTokenizer(r" ?[^\W\d_]+| 1[1-7]00| 1415| 17(?:76|89)| ?\d\d| ?\d| ?[^\w\s]|\s")


def threes() -> FakeTokenizer:
    """A number falls into three digits and the rest ("173", "2"), the space before it is a token (as Llama 3's)."""
    return FakeTokenizer(r" ?[^\W\d_]+|\d{1,3}| ?[^\w\s]|\s")


MAKERS: dict[str, Callable[[], Tokenizer]] = {
    "pairs": pairwise,
    "digits": digits,
    "threes": threes,
    "words": words,
    "bare": bare,
    "pieces": pieces,
    "pseudo words": lambda: PseudoTokenizer("words"),
    "pseudo half words": lambda: PseudoTokenizer("half words", pieces=1),
    "pseudo characters": lambda: PseudoTokenizer("characters", characters=True),
}
makers = pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS)
SPLITTING = ("pairs", "digits", "pseudo words", "pseudo half words", "pseudo characters")


def made(tokenizer: Tokenizer, n: int | None = 40, seed: int = 0, **params: Any) -> list[TokenPrompt]:
    assert check_params(FAMILY, params) == []
    return build(FAMILY, params, tokenizer, seed, "prompts", n)


def drawn(tokenizer: Tokenizer, n: int, seed: int = 0, **params: Any) -> list[PromptPair]:
    stream = FAMILY.pairs(with_defaults(FAMILY, params), tokenizer, seed, "prompts")
    return [pair for pair, _ in zip(stream, range(n), strict=False)]


def parts(text: str) -> tuple[str, str, int, str]:
    match = SENTENCE.fullmatch(text)
    assert match is not None, text
    return match[1], match[2], int(match[3]), match[4]


def next_tokens(tokenizer: Tokenizer, prompt: TokenPrompt) -> dict[int, set[int]]:
    """Token id -> the end suffixes whose continued text has it right after what the model sees."""
    seen = list(prompt.ids[1:] if prompt.has_bos else prompt.ids)
    found: dict[int, set[int]] = {}
    for suffix in range(100):
        ids = tokenizer.encode(f"{prompt.text}{suffix:02d}")[0]
        if ids[: len(seen)] == seen and len(ids) > len(seen):
            found.setdefault(ids[len(seen)], set()).add(suffix)
    return found


@makers
def test_laws_of_every_tokenizer(maker: Callable[[], Tokenizer]) -> None:
    """Distinct prompts; answers only greater, foils only not, all tokens of one kind there; partner 01."""
    tokenizer = maker()
    prompts = made(tokenizer, 30)
    assert len({prompt.ids for prompt in prompts}) == 30
    for prompt in prompts:
        noun, century, start, again = parts(prompt.text)
        assert noun in LASTING and 11 <= int(century) <= 17 and century == again and 2 <= start <= 98
        suffixes = next_tokens(tokenizer, prompt)
        assert set(prompt.answers) == {token for token, ends in suffixes.items() if min(ends) > start}
        assert set(prompt.foils) == {token for token, ends in suffixes.items() if max(ends) <= start}
        assert prompt.answers and prompt.foils and not set(prompt.answers) & set(prompt.foils)
        assert min(suffixes[prompt.answers[0]]) == min(min(suffixes[token]) for token in prompt.answers)
        assert max(suffixes[prompt.foils[0]]) == max(max(suffixes[token]) for token in prompt.foils)
        assert len(prompt.answers) == len(set(prompt.answers)) and len(prompt.foils) == len(set(prompt.foils))
        assert sum(map(len, suffixes.values())) > 50
        partner = tokenizer.encode(prompt.text.replace(f"{century}{start:02d}", f"{century}01"))[0]
        assert prompt.corrupted is not None and len(prompt.corrupted) == len(prompt.ids)
        shown = prompt.corrupted[1:] if prompt.has_bos else prompt.corrupted
        assert list(shown) == partner[: len(shown)] and prompt.corrupted != prompt.ids


@makers
def test_roles_cover_their_text(maker: Callable[[], Tokenizer]) -> None:
    """The tokens of each role hold its characters and, where the tokenizer splits there, no others."""
    tokenizer = maker()
    splitting = maker in [MAKERS[name] for name in SPLITTING]
    for prompt in made(tokenizer, 12):
        noun, century, start, _ = parts(prompt.text)
        front = 1 if prompt.has_bos else 0
        _, offsets = tokenizer.encode(prompt.text)
        assert set(prompt.roles) == FAMILY.roles({})
        wanted: dict[str, list[str]] = {
            "noun": [noun],
            "XX1": [century],
            "YY": [f"{start:02d}"],
            "lasted": ["lasted"],
            "to": ["to"],
        }
        wanted |= {"year": ["year", "year"], "the": ["The", "the", "the"], "from": ["from"]}
        if splitting:
            wanted["XX2"] = [century]
        for role, texts in wanted.items():
            spans = prompt.roles[role]
            assert len(spans) == len(texts)
            for span, text in zip(spans, texts, strict=True):
                covered = prompt.text[offsets[span[0] - front][0] : offsets[span[-1] - front][1]]
                assert text in covered and (not splitting or covered.strip() == text)
        if splitting:
            assert prompt.roles["XX2"][0][-1] == len(prompt.ids) - 1
            assert not set(prompt.roles["XX1"][0]) & set(prompt.roles["YY"][0])


@makers
def test_the_first_prompts_are_the_same_whatever_n(maker: Callable[[], Tokenizer]) -> None:
    """A longer run begins with the shorter one, for a fresh tokenizer too; another seed differs."""
    long = made(maker(), 25)
    assert made(maker(), 7) == long[:7]
    assert made(maker(), 25, seed=1) != long


@makers
def test_the_reference_is_another_stream(maker: Callable[[], Tokenizer]) -> None:
    """Distinct corrupted prompts of that length, 128 where there are so many, the same whatever is asked for."""
    tokenizer = maker()
    first = made(tokenizer, 1)[0]
    params: dict[str, Any] = {}
    wanted = (FAMILY, params, tokenizer, 0, first.template, len(first.ids))
    rows = reference_prompts(*wanted)
    assert len(rows) == len(set(rows)) and rows[:3] == reference_prompts(*wanted, count=3)
    assert {len(row) for row in rows} == {len(first.ids)}
    assert len(rows) == min(128, 7 * len(plan(TEMPLATE, CENTURIES, tokenizer).nouns))


@settings(max_examples=100)
@given(
    ends=st.lists(st.one_of(st.none(), st.integers(0, 12)), min_size=100, max_size=100),
    start=st.integers(0, 99),
)
def test_answers_and_foils_of_any_tokens(ends: list[int | None], start: int) -> None:
    """However suffixes share tokens: one text a token, each token wholly above, or wholly not above."""
    answers, foils = answer_sets(ends, start)
    tokens = [ends[int(suffix)] for suffix in (*answers, *foils)]
    assert None not in tokens and len(tokens) == len(set(tokens))
    stands = {token: [suffix for suffix, other in enumerate(ends) if other == token] for token in set(ends) - {None}}
    assert {ends[int(a)] for a in answers} == {token for token, found in stands.items() if min(found) > start}
    assert {ends[int(f)] for f in foils} == {token for token, found in stands.items() if max(found) <= start}
    assert list(answers) == sorted(answers) and list(foils) == sorted(foils, reverse=True)
    assert all(int(answer) > start for answer in answers) and all(int(foil) <= start for foil in foils)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    centuries=st.lists(st.integers(10, 99), min_size=1, max_size=3, unique=True),
    name=st.sampled_from(list(MAKERS)),
)
def test_any_centuries_and_seed(seed: int, centuries: Sequence[int], name: str) -> None:
    """Whatever centuries and seed: tokens told apart, equal lengths, years of those centuries, twice the same."""
    written = [str(century) for century in centuries]
    tokenizer = MAKERS[name]()
    pairs = drawn(tokenizer, 5, seed, centuries=written)
    assert pairs == drawn(MAKERS[name](), 5, seed, centuries=written)
    for pair in pairs:
        prompt = tokenize(pair, tokenizer)
        _, century, start, _ = parts(prompt.text)
        assert century in written
        assert prompt.corrupted is not None and len(prompt.corrupted) == len(prompt.ids)
        assert not set(prompt.answers) & set(prompt.foils)
        assert len(prompt.answers) == len(pair.answers) and len(prompt.foils) == len(pair.foils)
        assert all(int(answer) > start for answer in pair.answers) and all(int(foil) <= start for foil in pair.foils)


def test_halves_use_only_years_that_split() -> None:
    """With " 17" + "32" the end is " 17", every suffix is a token, and years of one token are no prompts."""
    tokenizer = pairwise()
    prompts = made(tokenizer, None, template="From {XX}{YY} to {XX}")
    years = {prompt.text[5:9] for prompt in prompts}
    assert years == {f"{c}{s:02d}" for c in range(11, 18) for s in range(2, 99)} - {"1415", "1776", "1789"}
    assert len(prompts) == 7 * 97 - 3
    for prompt in prompts:
        century, start = prompt.text[5:7], int(prompt.text[7:9])
        assert tokenizer.decode(prompt.ids[-1]) == f" {century}" and len(prompt.ids) == 6
        # 00 is never one of them: " 1700" is another token; nor are the other years of one token.
        odd = {0} | {int(year[2:]) for year in ("1415", "1776", "1789") if year[:2] == century}
        assert {int(tokenizer.decode(token)) for token in prompt.answers} == set(range(start + 1, 100)) - odd
        assert {int(tokenizer.decode(token)) for token in prompt.foils} == set(range(start + 1)) - odd


def test_digits_count_for_whole_decades() -> None:
    """With single digits the decade of the start year is neither, but for its last year."""
    tokenizer = digits()
    starts = set()
    for prompt in made(tokenizer, 300):
        start = parts(prompt.text)[2]
        starts.add(start)
        decade, last = divmod(start, 10)
        answers = [tokenizer.decode(token) for token in prompt.answers]
        foils = [tokenizer.decode(token) for token in prompt.foils]
        assert answers == [str(digit) for digit in range(decade + 1, 10)]
        assert foils == [str(digit) for digit in range(decade if last == 9 else decade - 1, -1, -1)]
    assert min(starts) == 9 and max(starts) == 89


def test_three_digits_at_a_time() -> None:
    """Where a token reaches over the century into the suffix, the end year begins after "year "."""
    tokenizer = threes()
    for prompt in made(tokenizer, 20):
        _, century, start, _ = parts(prompt.text)
        assert tokenizer.decode(prompt.ids[-1]) == " " and not prompt.roles["XX2"]
        assert [tokenizer.decode(token) for token in prompt.answers] == [
            f"{century}{decade}" for decade in range(start // 10 + 1, 10)
        ]


def test_end_tokens_follow_what_most_have_in_common() -> None:
    """Suffixes that leave the common prefix have no token; nor has one that the tokenizer does not know."""
    tokenizer = pairwise()
    ends = end_tokens(tokenizer, "to 17")
    assert [suffix for suffix, token in enumerate(ends) if token is None] == [0, 76, 89]
    assert [tokenizer.decode(token) for token in ends[1:4] if token is not None] == ["01", "02", "03"]
    known = FakeTokenizer(digits()._pattern.pattern, known=frozenset({"to", "", "1", "7", "2"}))
    assert [suffix for suffix, token in enumerate(end_tokens(known, "to 17")) if token is not None] == [
        *range(10, 30),
        *range(70, 80),
    ]


def test_a_tokenizer_without_years_is_refused() -> None:
    """Where all years are the unknown token, the fault says what cannot be told apart."""
    tokenizer = FakeTokenizer(known=frozenset({*LASTING, "The", "lasted", "from", "the", "year", "to"}))
    with pytest.raises(PromptFault, match=r"greater_than: no year of the centuries 16, 17 can be used .* fake"):
        made(tokenizer, 1, centuries=["16", "17"])
    with pytest.raises(PromptFault, match="knows none of the nouns"):
        made(FakeTokenizer(known=frozenset({"The"})), 1)


def test_nouns_are_single_tokens_where_they_can_be() -> None:
    """Words of at most five letters are one token in pieces: too few of them, so the largest group is used."""
    assert {len(prompt.roles["noun"][0]) for prompt in made(words(), 60)} == {1}
    lengths = {len(prompt.roles["noun"][0]) for prompt in made(pieces(), 60)}
    assert len(lengths) == 1
    assert len(LASTING) == len(set(LASTING)) >= 60


def test_another_template_is_a_census_without_a_noun() -> None:
    """Without {noun} every start year comes once; its roles are its own words."""
    params = {"template": "{XX}{YY}, then {XX}", "centuries": ["18"]}
    assert FAMILY.roles(params) == {"XX1", "XX2", "YY", "comma", "then"}
    prompts = build(FAMILY, params, digits(), 0, "prompts", None)
    assert sorted(prompt.text for prompt in prompts) == [f"18{year:02d}, then 18" for year in range(9, 90)]


@pytest.mark.parametrize(
    ("params", "name", "said"),
    [
        ({"template": "{XX}{YY} to {YX}"}, "template", "unknown slot {YX}: valid here: XX, YY, noun"),
        ({"template": "{XX} to {XX}"}, "template", "must hold {YY} exactly once, it holds it not at all"),
        ({"template": "{XX}{YY} to"}, "template", "must hold {XX} twice"),
        ({"template": "{XX}{YY} to {XX}."}, "template", "at its very end"),
        ({"template": "{XX} {YY} to {XX}"}, "template", "must be written {XX}{YY}"),
        ({"template": "{YY}{XX} to {XX}"}, "template", "must be written {XX}{YY}"),
        ({"template": "{XX} to {XX}{YY}"}, "template", "at its very end"),
        ({"template": " {XX}{YY} to {XX}"}, "template", "begins with a space"),
        ({"template": "{noun} {noun} {XX}{YY} to {XX}"}, "template", "holds {noun} 2 times; once is enough"),
        ({"template": "{XX{YY} to {XX}"}, "template", "a brace without its partner"),
        ({"centuries": []}, "centuries", "centuries is empty"),
        ({"centuries": ["17", "1732"]}, "centuries", "'1732' is no century: write two digits"),
        ({"centuries": ["09"]}, "centuries", "'09' is no century"),
        ({"centuries": ["17", "16", "17"]}, "centuries", "the century 17 occurs twice"),
        ({"centuries": [17]}, "centuries", "put 17 in quotes"),
        ({"centuries": "17"}, "centuries", "must be a list of texts"),
        ({"century": ["17"]}, "century", "did you mean 'centuries'?"),
    ],
)
def test_each_fault_is_found_once(params: dict[str, Any], name: str, said: str) -> None:
    """One wrong parameter is one fault, at its key, with words that say what to do."""
    found = check_params(FAMILY, params)
    assert [place for place, _ in found] == [name]
    assert said in found[0][1]


def test_the_family_requires_prob_diff() -> None:
    """A first choice says little where many answers are right: the clean prob_diff must exceed 0."""
    assert FAMILY.requires == {"prob_diff": 0.0}
    assert all(family.requires is None for name, family in FAMILIES.items() if name != "greater_than")
