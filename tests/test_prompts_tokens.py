"""The prompt stage, from text to tokens: what is seen, roles, items, faults, sets of prompts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from fakes import FakeTokenizer, bare, digits, words
from hypothesis import given
from hypothesis import strategies as st

from circuits.errors import PromptFault
from circuits.prompts.prompt import Family, Prompt, PromptPair, Span, Tokenizer
from circuits.prompts.texts import TEXTS
from circuits.prompts.tokens import build, items_of_tokens, reference_prompts, split_items, tokenize


def pair(text: str, answer: str = "", foil: str = "", corrupted: str | None = None, **roles: Span) -> PromptPair:
    return PromptPair(
        Prompt(text, roles={role: (span,) for role, span in roles.items()}),
        Prompt(corrupted) if corrupted is not None else None,
        (answer,) if answer else (),
        (foil,) if foil else (),
    )


def shown(tokenizer: FakeTokenizer, ids: tuple[int, ...]) -> list[str]:
    return [tokenizer.decode(token) for token in ids]


def test_whole_word_answers_follow_the_text_as_written() -> None:
    """Where " 2" is one token, the model sees BOS and the text, and the answer token is " 2"."""
    tokenizer = words()
    prompt = tokenize(pair("Adam is 1. Bob is", " 2", " 1"), tokenizer)
    assert shown(tokenizer, prompt.ids) == ["<bos>", "Adam", " is", " 1", ".", " Bob", " is"]
    assert shown(tokenizer, prompt.answers + prompt.foils) == [" 2", " 1"]
    assert prompt.has_bos and prompt.item_of == (-1, 0, 0, 0, 0, 1, 1) and prompt.period == 4


def test_a_split_space_before_the_answer_is_shown_to_the_model() -> None:
    """Where " 2" is split, the space common to answer and foil moves into the prompt's last item."""
    tokenizer = digits()
    prompt = tokenize(pair("Adam is 1. Bob is", " 2", " 1"), tokenizer)
    assert shown(tokenizer, prompt.ids)[-3:] == [" Bob", " is", " "]
    assert shown(tokenizer, prompt.answers + prompt.foils) == ["2", "1"]
    assert prompt.item_of == (-1, 0, 0, 0, 0, 0, 1, 1, 1) and prompt.period == 5


def test_bos_can_be_left_out() -> None:
    """Without BOS, by request or because there is none, position 0 is the first token of the text."""
    for tokenizer, bos in ((words(), False), (FakeTokenizer(bos=False), True)):
        prompt = tokenize(pair("Bob is", " 2", " 1"), tokenizer, bos=bos)
        assert shown(tokenizer, prompt.ids) == ["Bob", " is"] and not prompt.has_bos


def test_an_answer_without_foil_is_the_next_token() -> None:
    """Without a foil the text alone is seen; without an answer too, and nothing is to be predicted."""
    tokenizer = words()
    prompt = tokenize(pair("Bob is", " very old"), tokenizer)
    assert shown(tokenizer, prompt.ids) == ["<bos>", "Bob", " is"]
    assert shown(tokenizer, prompt.answers) == [" very"] and prompt.foils == ()
    assert tokenize(pair("Bob is"), tokenizer).answers == ()


def test_sets_of_answers_share_one_place() -> None:
    """Each answer and foil of a set gives its token at the place where the first ones differ."""
    tokenizer = digits()
    several = PromptPair(Prompt("The year is 19"), None, ("47", "5", "6"), ("3", "21"))
    prompt = tokenize(several, tokenizer)
    assert shown(tokenizer, prompt.answers) == ["4", "5", "6"]
    assert shown(tokenizer, prompt.foils) == ["3", "2"]


@pytest.mark.parametrize(
    ("given_pair", "said"),
    [
        (
            pair("Bob is", " 2", " 2"),
            "the answer ' 2' and the foil ' 2' cannot be told apart: after 'Bob is'",
        ),
        (pair("Bob is", " 2 or 3", " 2"), "one ends before the other"),
        (PromptPair(Prompt("Bob is"), None, (" 2", "s"), (" 3",)), "must share one prefix"),
        (PromptPair(Prompt("Bob is"), None, (" 2", " 4"), (" 3", " 4 5")), "share the token ' 4'"),
        (PromptPair(Prompt("Bob is"), None, (), (" 3",)), "has a foil (' 3') but no answer"),
        (
            pair("Bob is", " 2", " 1", "Bob Lee is"),
            "corrupted partner has 4 tokens, the clean prompt 3: 'Bob Lee is'",
        ),
    ],
)
def test_faulty_pairs_are_refused_in_words(given_pair: PromptPair, said: str) -> None:
    """A pair whose answer cannot be told, or whose partner is longer, is a PromptFault that quotes it."""
    tokenizer = FakeTokenizer(r"Bob iss| ?\w+| ?[^\w\s]")
    with pytest.raises(PromptFault) as caught:
        tokenize(given_pair, tokenizer)
    assert said in str(caught.value)


def test_nothing_to_see_is_a_fault() -> None:
    """A prompt whose every token is the answer's leaves nothing to run without BOS."""
    with pytest.raises(PromptFault, match="nothing of the prompt '' is left"):
        tokenize(pair("", "yes", "no"), words(), bos=False)


def test_roles_cover_each_overlapping_token() -> None:
    """A span "1" covers the token " 1" but not a token that is only the space before it."""
    text = "Adam is 1. Bob is"
    one = pair(text, " 2", " 1", None, member=Span(8, 9), name=Span(0, 4))
    assert tokenize(one, words()).roles == {"member": ((3,),), "name": ((1,),)}
    assert tokenize(one, digits()).roles == {"member": ((4,),), "name": ((1,),)}


def test_zero_width_tokens_and_spans_overlap_nothing() -> None:
    """A token without characters is in no role."""

    class Padded(FakeTokenizer):
        def encode(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
            ids, offsets = super().encode(text)
            return [5, *ids], [(0, 0), *offsets]

    prompt = tokenize(pair("Bob is", " 2", " 1", None, name=Span(0, 3), empty=Span(1, 1)), Padded())
    assert prompt.roles == {"name": ((2,),), "empty": ()}


def test_extra_roles_are_regular_expressions_over_the_clean_text() -> None:
    """They override a family's role, keep one span per set of tokens, and match nothing unseen."""
    tokenizer = words()
    one = pair("Adam is 12. Bob is", " 2", " 1", None, name=Span(0, 4))
    prompt = tokenize(one, tokenizer, extra_roles={"name": "[A-Z][a-z]+", "digit": r"\d", "late": "z*"})
    assert prompt.roles == {"name": ((1,), (5,)), "digit": ((3,),), "late": ()}


@given(text=st.text("aB1 .?\n", max_size=30), data=st.data())
def test_roles_cover_exactly_the_overlapping_tokens(text: str, data: st.DataObject) -> None:
    """Brute force over characters: a position is in a span's tokens when they share a character."""
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    for tokenizer in (words(), digits(), bare()):
        _, offsets = tokenizer.encode(text)
        wanted = [at + 1 for at, (a, b) in enumerate(offsets) if set(range(a, b)) & set(range(start, end))]
        prompt = tokenize(pair(text, role=Span(start, end)), tokenizer)
        assert prompt.roles["role"] == ((tuple(wanted),) if wanted else ())


def test_items_are_split_after_each_terminator() -> None:
    """The terminator belongs to its item, the last item is unfinished (empty after a terminator)."""
    text = "A b. C is 3.5! Why"
    assert [text[item.start : item.end] for item in split_items(text)] == ["A b.", "C is 3.", "5!", "Why"]
    assert split_items("Yes. ")[-1] == Span(5, 5)
    assert split_items("") == (Span(0, 0),)


@given(text=st.text("ab1 .?!", max_size=40))
def test_items_hold_all_but_the_spaces_between_them(text: str) -> None:
    """Items are in order, do not overlap, and leave out only spaces; each token's item holds it."""
    items = split_items(text)
    inside = [at for item in items for at in range(item.start, item.end)]
    assert inside == sorted(set(inside))
    assert "".join(text[at] for at in range(len(text)) if at not in set(inside)).strip() == ""
    _, offsets = words().encode(text)
    for (start, end), index in zip(offsets, items_of_tokens(text, offsets, items), strict=True):
        solid = [at for at in range(start, end) if not text[at].isspace()]
        if solid:
            assert items[index].start <= solid[0] < items[index].end
        else:
            assert index == sum(item.end <= start for item in items[:-1])


def test_text_between_items_is_in_none() -> None:
    """Words that a family puts outside its items have no item; spaces before one are the next one's."""
    text = "List: a 1 and b 2"
    items = (Span(6, 9), Span(14, 17))
    _, offsets = words().encode(text)
    assert items_of_tokens(text, offsets, items) == (-1, -1, 0, 0, -1, 1, 1)


def test_period_is_none_when_items_differ() -> None:
    """Complete items of different token length, or none, give no period."""
    assert tokenize(pair("A b c. D e. F"), words()).period is None
    assert tokenize(pair("A b c"), words()).period is None
    assert tokenize(pair("A b. D e. F"), words()).period == 3


def texts(*entries: Any) -> dict[str, Any]:
    return {"texts": list(entries)}


def test_all_texts_are_used_whatever_n() -> None:
    """The texts family gives every prompt once, in order, also with equal texts and other answers."""
    params = texts({"text": "Bob is", "answer": " 2"}, "Ann is old", {"text": "Bob is", "answer": " 3"})
    prompts = build(TEXTS, params, words(), 0, "prompts", 1, True, {})
    assert [prompt.text for prompt in prompts] == ["Bob is", "Ann is old", "Bob is"]


def test_reference_of_texts_is_every_partner_of_that_length() -> None:
    """Partners of another length, and prompts without one, are left out; the template is not asked."""
    tokenizer = words()
    params = texts(
        {"text": "Bob is", "corrupted": "Ann is"}, {"text": "A b c", "corrupted": "A d c"}, "Tom is", "A e c"
    )
    rows = reference_prompts(TEXTS, params, tokenizer, 0, "whatever", 3)
    assert [shown(tokenizer, row) for row in rows] == [["<bos>", "Ann", " is"]]


def family_of(made: list[PromptPair], repeat: bool = False) -> Family:
    def pairs(params: Mapping[str, Any], tokenizer: Tokenizer, seed: int, stream: str) -> Iterator[PromptPair]:
        yield from made
        while repeat:
            yield from made

    return Family("made", "", (), lambda params: frozenset(), lambda params: [], pairs, "", "")


def test_unequal_items_of_a_family_are_refused() -> None:
    """A generated set whose items differ in token length between prompts is a fault."""
    made = [PromptPair(Prompt(text, items=split_items(text)), None) for text in ("A b. C d. E", "A b c. C d e. E")]
    with pytest.raises(PromptFault, match="must have items of equal length"):
        build(family_of(made), {}, words(), 0, "prompts", 2)


def test_prompts_are_distinct_by_what_the_model_sees() -> None:
    """Texts that give the same ids are one prompt; fewer than n come back when there are no more."""
    made = [PromptPair(Prompt(text), None) for text in ("A b", "A  b", "A c", "A b")]
    assert [prompt.text for prompt in build(family_of(made), {}, bare(), 0, "prompts", 9)] == ["A b", "A c"]


def test_no_prompt_at_all_is_a_fault() -> None:
    """An empty stream says so; asking for no prompt is the caller's mistake."""
    with pytest.raises(PromptFault, match="gave no prompt"):
        build(family_of([]), {}, words(), 0, "prompts", 4)
    with pytest.raises(ValueError, match="at least one"):
        build(family_of([]), {}, words(), 0, "prompts", 0)


def test_the_reference_stops_looking() -> None:
    """A stream that never ends and never fits gives an empty reference after bounded work."""
    made = [PromptPair(Prompt("A b"), Prompt("A c"), template="other")]
    assert reference_prompts(family_of(made, repeat=True), {}, words(), 0, "mine", 3, count=4) == []
