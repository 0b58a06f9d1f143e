"""Which words, members and starts a tokenizer allows, so that all items are equally long.

Everything is measured in context: as the first item of a text, and after another item.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from circuits.errors import PromptFault
from circuits.prompts.prompt import Tokenizer
from circuits.prompts.sequence_text import MEMBER, Sentence, write
from circuits.prompts.tokens import common_prefix, items_of_tokens


@dataclass(frozen=True)
class Plan:
    """What prompts are drawn from.

    ``first_words`` may stand in the first item, ``other_words`` in any later one (both hold one empty
    text for a template without a word). ``starts`` are the allowed indices (from 0) of the first
    member of an increasing sequence, ``members`` the indices whose items have ``item_length`` tokens,
    ``lasts`` those of them that may be shown last, because an answer can follow.
    """

    first_words: tuple[str, ...]
    other_words: tuple[str, ...]
    starts: tuple[int, ...]
    members: tuple[int, ...]
    lasts: tuple[int, ...]
    item_length: int


@dataclass(frozen=True)
class _Measured:
    """Token lengths of the two complete items and the open one; the ids under each word and member."""

    lengths: tuple[int, int, int]
    word_ids: tuple[tuple[int, ...], ...]
    member_ids: tuple[tuple[int, ...], ...]


def plan(sentence: Sentence, tokenizer: Tokenizer, increasing: bool, start: int | None, period: int | None) -> Plan:
    """The plan with the shortest items that allow at least one prompt.

    ``start`` counts from 1. Raises PromptFault, saying what stands in the way, when there is none or
    when ``period`` is not the items' token length.
    """
    first_words, other_words = _words(sentence, tokenizer)
    lengths = _member_lengths(sentence, tokenizer, first_words[0], other_words)
    answerable = _answerable(sentence, tokenizer, first_words[0], other_words)
    length = sentence.length
    for item_length in sorted(set(lengths.values())):
        members = tuple(member for member, found in lengths.items() if found == item_length)
        lasts = tuple(member for member in members if member in answerable)
        if increasing:
            starts = tuple(
                member
                for member in members
                if member + length - 1 in lasts and set(range(member, member + length)) <= set(members)
            )
        else:
            starts = lasts if length == 1 else members if lasts else ()
        if start is not None:
            starts = tuple(member for member in starts if member == start - 1)
        if starts and len(members) >= max(2, length):
            if period is not None and period != item_length:
                raise PromptFault(
                    f"{sentence.family}: period {period} is written, but the items of {sentence.template!r} "
                    f"with {sentence.label} have {item_length} tokens with the tokenizer {tokenizer.name}; "
                    f"write period: {item_length} or change the template"
                )
            return Plan(first_words, other_words, starts, members, lasts, item_length)
    raise PromptFault(_reasons(sentence, tokenizer, lengths, answerable, start))


def _measure(sentence: Sentence, tokenizer: Tokenizer, words: Sequence[str], members: Sequence[str]) -> _Measured:
    """Two complete items and an open one, tokenized together."""
    prompt = write(sentence, words, members)
    text = prompt.text or ""
    ids, offsets = tokenizer.encode(text)
    item_of = items_of_tokens(text, offsets, prompt.items)

    def under(role: str) -> tuple[tuple[int, ...], ...]:
        return tuple(
            tuple(
                token
                for token, (begin, end) in zip(ids, offsets, strict=True)
                if begin < end and begin < span.end and span.start < end
            )
            for span in prompt.roles.get(role, ())
        )

    return _Measured((item_of.count(0), item_of.count(1), item_of.count(2)), under(sentence.slot), under(MEMBER))


def _words(sentence: Sentence, tokenizer: Tokenizer) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Words for the first item and for the later ones, such that all items are equally long.

    Of the groups of words that make items of one length the group of single tokens is taken where
    it has enough words, else the largest. Words that the tokenizer does not know (a special token
    stands for them) are left out.
    """
    if not sentence.has_slot:
        return ("",), ("",)
    member = sentence.members[0]
    first_lengths: dict[str, int] = {}
    groups: dict[tuple[int, int], list[str]] = {}
    single: set[str] = set()
    for word in sentence.pool:
        measured = _measure(sentence, tokenizer, (word, word, word), (member, member))
        if any(set(ids) & tokenizer.special_ids for ids in measured.word_ids):
            continue
        first, later, last = measured.lengths
        first_lengths[word] = first
        groups.setdefault((later, last), []).append(word)
        if len(measured.word_ids[-1]) == 1:
            single.add(word)
    needed = sentence.length + 1
    ranked = sorted(groups.items(), key=lambda group: (group[1][0] not in single, -len(group[1]), group[0]))
    for (later, _), words in ranked:
        firsts = [word for word in words if first_lengths[word] == later]
        firsts = firsts or [word for word, first in first_lengths.items() if first == later]
        if firsts and len(words) >= (needed if firsts[0] in words else needed - 1):
            return tuple(firsts), tuple(words)
    most = max((len(words) for words in groups.values()), default=0)
    raise PromptFault(
        f"{sentence.family}: {needed} different words for {{{sentence.slot}}} are needed, but at most {most} "
        f"of {len(sentence.pool)} make items of equal token length, at the start of a prompt too, in the "
        f"template {sentence.template!r} with the tokenizer {tokenizer.name}; make length smaller"
        + (" or put a word before the slot" if most >= needed else "")
    )


def _member_lengths(
    sentence: Sentence, tokenizer: Tokenizer, first_word: str, other_words: Sequence[str]
) -> dict[int, int]:
    """Token length of each member's item, for the members whose item is as long first as later."""
    found = {}
    words = (first_word, other_words[0], other_words[-1])
    for index, member in enumerate(sentence.members):
        measured = _measure(sentence, tokenizer, words, (member, member))
        first, later, _ = measured.lengths
        if first == later and not any(set(ids) & tokenizer.special_ids for ids in measured.member_ids):
            found[index] = later
    return found


def _answerable(
    sentence: Sentence, tokenizer: Tokenizer, first_word: str, other_words: Sequence[str]
) -> frozenset[int]:
    """The members after which the next one can be the answer: its token is no other member's.

    The answer's token stands where it first differs from the foil (the member itself). Another
    member shares it when it goes on with the same tokens up to there, or is complete before it, so
    that the model would already see a whole member in the open item.
    """
    text = write(sentence, (first_word, other_words[-1]), sentence.members[:1]).text or ""
    tails = [tuple(tokenizer.encode(text + sentence.gap + member)[0]) for member in sentence.members]
    owners: dict[tuple[int, ...], int] = {}
    for tail in tails:
        for end in range(1, len(tail) + 1):
            owners[tail[:end]] = owners.get(tail[:end], 0) + 1
    whole = set(tails)
    found = set()
    for last in range(len(tails) - 1):
        answer = tails[last + 1]
        place = common_prefix(answer, tails[last])
        if place in (len(answer), len(tails[last])) or owners[answer[: place + 1]] > 1:
            continue
        if not any(answer[:end] in whole for end in range(1, place + 1)):
            found.add(last)
    return frozenset(found)


def _reasons(
    sentence: Sentence,
    tokenizer: Tokenizer,
    lengths: Mapping[int, int],
    answerable: frozenset[int],
    start: int | None,
) -> str:
    """Why no prompt can be made: the items' lengths, the answers that cannot be told, the rest."""
    members = sentence.members
    reasons = []
    if len(lengths) < len(members):
        odd = [member for index, member in enumerate(members) if index not in lengths]
        reasons.append(f"an item is longer or shorter when it comes first with {_listed(odd)}; put a word before it")
    if len(set(lengths.values())) > 1:
        by_length = {
            found: _listed(members[index] for index, other in lengths.items() if other == found)
            for found in sorted(set(lengths.values()))
        }
        reasons.append("items have " + ", ".join(f"{found} tokens with {which}" for found, which in by_length.items()))
    shared = [members[index + 1] for index in range(len(members) - 1) if index not in answerable]
    if shared:
        reasons.append(f"the answer's token would be shared with another member for {_listed(shared)}")
    reasons.append(f"members of equal token length, {sentence.length} of them, and an answer are needed")
    which = "no member can" if start is None else f"the member {members[start - 1]!r} (start {start}) cannot"
    return (
        f"{sentence.family}: {which} begin a prompt of length {sentence.length} from {sentence.label} in the "
        f"template {sentence.template!r} with the tokenizer {tokenizer.name}: " + "; ".join(reasons)
    )


def _listed(words: Iterable[str], most: int = 12) -> str:
    words = list(words)
    return ", ".join(words[:most]) + (", ..." if len(words) > most else "")
