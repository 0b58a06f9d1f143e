"""What the two sequence families share: items such as "Adam is 1." and a last one left open.

Which words, members and starts can be used depends on the tokenizer and is measured (``plan``):
every complete item of every prompt of a set has the same token length, and the answer's token
belongs to no other member. ``pairs`` then draws prompts, and lets none through that breaks this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from random import Random
from typing import Any

from circuits.errors import PromptFault
from circuits.prompts import templates
from circuits.prompts.draws import FRUITLESS_DRAWS, choose, sample, stream_of
from circuits.prompts.prompt import Family, Parameter, PromptPair, Tokenizer
from circuits.prompts.sequence_plan import Plan, plan
from circuits.prompts.sequence_text import MEMBER, Sentence, write
from circuits.prompts.tokens import tokenize
from circuits.prompts.words import SEQUENCES

#: Draws after which a wish about the order of random members is given up.
TRIES = 200
#: Draws in a row without any order or partner after which there is taken to be none.
HOPELESS_DRAWS = 50


def sequence_family(name: str, doc: str, slot: str, pool: Sequence[str], template: str) -> Family:
    """A family whose items are ``template`` with words from ``pool`` in ``slot`` and members in order."""

    def sentence(params: Mapping[str, Any]) -> Sentence:
        members = params["members"]
        return Sentence(
            family=name,
            template=params["template"],
            pieces=templates.parse(params["template"]),
            slot=slot,
            pool=tuple(pool),
            members=SEQUENCES[members] if isinstance(members, str) else tuple(members),
            label=members if isinstance(members, str) else "the list of members",
            length=int(params["length"]),
        )

    def roles(params: Mapping[str, Any]) -> frozenset[str]:
        written = params.get("template") or template
        try:
            return templates.role_names(templates.parse(written))
        except (TypeError, ValueError):
            return frozenset({slot, MEMBER})

    def check(params: Mapping[str, Any]) -> list[tuple[str, str]]:
        return _problems(params, slot, len(pool))

    def make(params: Mapping[str, Any], tokenizer: Tokenizer, seed: int, stream: str) -> Iterator[PromptPair]:
        return pairs(sentence(params), params, tokenizer, seed, stream)

    return Family(
        name=name,
        doc=doc,
        parameters=(
            Parameter(
                "members",
                "words",
                f"the sequence: {', '.join(SEQUENCES)}, or a list of at least 3 words",
                required=True,
                choices=tuple(SEQUENCES),
            ),
            Parameter("template", "str", f"one item; slots {{{slot}}} and {{{MEMBER}}}", default=template),
            Parameter("length", "int", "complete items before the open one", default=4, minimum=1),
            Parameter("start", "int", "number of the first member shown, from 1; random when absent", minimum=1),
            Parameter(
                "order",
                "choice",
                "whether members increase or are drawn at random",
                default="increasing",
                choices=("increasing", "random"),
            ),
            Parameter("period", "int", "tokens of one item; checked, never set", minimum=1),
        ),
        roles=roles,
        check=check,
        pairs=make,
        foil="The foil is the last member shown.",
        corruption=(
            f"Each {MEMBER} is replaced by a random one (by chance the same), so that none is followed by its successor; every {slot} stays."
        ),
        drawn=(
            f"The {slot}s ({len(pool)} are known) are drawn evenly, none twice in a prompt, from those that make equally long items; the "
            "first member evenly from those after which all members and the answer can follow (in `order: random` each member from all, "
            "none twice: what counts as the answer is the one after the last member shown, though no order asks for it)."
        ),
    )


def pairs(
    sentence: Sentence, params: Mapping[str, Any], tokenizer: Tokenizer, seed: int, stream: str
) -> Iterator[PromptPair]:
    """Distinct pairs of one stream; the corrupted partner keeps the words and breaks the order.

    Ends when every start has been shown (templates without a word), or after ``FRUITLESS_DRAWS``
    draws in a row that gave nothing new. In the stream "reference" pairs are distinct by their
    corrupted prompt, which is what is read from it; else by the clean one. Raises PromptFault when
    the tokenizer allows no prompt, or a written ``period`` is not the one that it gives.
    """
    increasing = params["order"] == "increasing"
    reference = stream == "reference"
    made = plan(sentence, tokenizer, increasing, params["start"], params["period"])
    described = {key: params[key] for key in ("template", "length", "start", "order")}
    rng = stream_of(seed, stream, sentence.family, {**described, "members": sentence.members})
    few = increasing and not sentence.has_slot and not reference
    possible = len(made.starts) if few else None
    seen: set[str] = set()
    fault = ""
    fruitless = hopeless = yielded = 0
    while fruitless < FRUITLESS_DRAWS and hopeless < HOPELESS_DRAWS:
        if possible is not None and len(seen) == possible:
            break
        fruitless += 1
        pair = _draw(rng, sentence, made, increasing)
        if pair is None or pair.corrupted is None:
            hopeless += 1
            continue
        hopeless = 0
        text = (pair.corrupted if reference else pair.clean).text or ""
        if text in seen:
            continue
        seen.add(text)
        found = _fault(pair, tokenizer, made.item_length)
        if found:
            fault = found
            continue
        fruitless = 0
        yielded += 1
        yield pair
    if not yielded:
        why = fault or "too few members have items of equal length to put them in broken order"
        raise PromptFault(f"{sentence.family}: no prompt can be made with the tokenizer {tokenizer.name}: {why}")


def _draw(rng: Random, sentence: Sentence, made: Plan, increasing: bool) -> PromptPair | None:
    """One pair, or None where no corrupted partner was found."""
    length = sentence.length
    start = choose(rng, made.starts)
    if increasing:
        shown: list[int] | None = list(range(start, start + length))
    else:
        shown = _shuffled(rng, made, length, start)
    if shown is None:
        return None
    other = _broken_partner(rng, made, shown)
    if other is None or other == shown:
        return None
    if sentence.has_slot:
        first = choose(rng, made.first_words)
        words = [first, *sample(rng, [word for word in made.other_words if word != first], length)]
    else:
        words = [""] * (length + 1)
    members = sentence.members
    return PromptPair(
        clean=write(sentence, words, [members[at] for at in shown]),
        corrupted=write(sentence, words, [members[at] for at in other]),
        answers=(sentence.gap + members[shown[-1] + 1],),
        foils=(sentence.gap + members[shown[-1]],),
        template=sentence.template,
    )


def _shuffled(rng: Random, made: Plan, length: int, first: int) -> list[int] | None:
    """Members at random, ``first`` first: none followed by its successor, an answerable one last.

    The answer is not among those shown where a few hundred draws find such an order.
    """
    rest = [member for member in made.members if member != first]
    for answer_shown in (False, True):
        for _ in range(TRIES):
            shown = [first, *sample(rng, rest, length - 1)]
            if shown[-1] in made.lasts and not _ordered(shown) and (answer_shown or shown[-1] + 1 not in shown):
                return shown
    return None


def _broken_partner(rng: Random, made: Plan, clean: Sequence[int]) -> list[int] | None:
    """As many random members as ``clean``, none followed by its successor.

    Preferred in this order, each where it can be had: the last differs from the clean last and the
    clean answer is not shown; ... the answer is not last; ... the last differs; any order.
    """
    last, answer = clean[-1], clean[-1] + 1
    without = [member for member in made.members if member != answer]
    wishes: tuple[tuple[Sequence[int], frozenset[int]], ...] = (
        (without, frozenset({last})),
        (made.members, frozenset({last, answer})),
        (made.members, frozenset({last})),
        (made.members, frozenset()),
    )
    for pool, not_last in wishes:
        if len(pool) < len(clean) or not set(pool) - not_last:
            continue
        for _ in range(TRIES):
            drawn = sample(rng, pool, len(clean))
            if drawn[-1] not in not_last and not _ordered(drawn) and drawn != list(clean):
                return drawn
    return None


def _ordered(members: Sequence[int]) -> bool:
    """Whether some member is followed by its successor."""
    return any(later == earlier + 1 for earlier, later in pairwise(members))


def _fault(pair: PromptPair, tokenizer: Tokenizer, item_length: int) -> str:
    """What is wrong with a drawn pair (empty when nothing): measured, not taken from the plan."""
    try:
        prompt = tokenize(pair, tokenizer, bos=False)
    except PromptFault as fault:
        return str(fault)
    if prompt.period != item_length:
        found = [prompt.item_of.count(item) for item in range(len(pair.clean.items) - 1)]
        return f"the items of {prompt.text!r} have {found} tokens instead of {item_length} each"
    return ""


def _problems(params: Mapping[str, Any], slot: str, pool: int) -> list[tuple[str, str]]:
    """What is wrong with well-typed parameters, before any tokenizer is known."""
    found = [("template", message) for message in templates.problems(params["template"], (slot, MEMBER), MEMBER)]
    members, length, start = params["members"], params["length"], params["start"]
    if not isinstance(members, str):
        wrong = [member for member in members if not member or member != member.strip()]
        if len(members) < 3:
            found.append(("members", f"a sequence needs at least 3 members, not {len(members)}"))
        if len(set(members)) < len(members):
            twice = next(member for member in members if list(members).count(member) > 1)
            found.append(("members", f"the member {twice!r} occurs twice; members must differ"))
        if wrong:
            found.append(("members", f"the member {wrong[0]!r} is empty or begins or ends with a space"))
        if found and found[-1][0] == "members":
            return found
    count = len(SEQUENCES[members]) if isinstance(members, str) else len(members)
    increasing = params["order"] == "increasing"
    first = start or 1
    if start is not None and start > count:
        found.append(("start", f"start {start} is past the end: the sequence has {count} members"))
    elif increasing and first - 1 + length + 1 > count:
        name = "length" if start is None or length + 1 > count else "start"
        most = f"length: at most {count - first}" if name == "length" else f"start: at most {count - length}"
        need = f"{length} members from number {first} on and an answer need {first + length}, not {count}"
        found.append((name, f"{need}; write {most}"))
    elif not increasing and length > count:
        found.append(("length", f"{length} different members are needed, the sequence has {count}"))
    if length + 1 > pool and f"{{{slot}}}" in params["template"]:
        found.append(("length", f"{length + 1} different words for {{{slot}}} are needed, there are {pool}"))
    return found
