"""The family ``greater_than``: year spans, in the manner of arXiv 2305.00586 (Hanna, Liu, Variengien).

"The siege lasted from the year 1732 to the year 17" -> any two-digit end year above 32. Answers and
foils are sets of tokens: whatever the tokenizer puts after the century, be it whole suffixes ("33") or
single digits, counts for the end years that it stands for. The nouns are our own.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from typing import Any

from circuits.errors import PromptFault
from circuits.prompts import templates
from circuits.prompts.draws import FRUITLESS_DRAWS, below, choose, stream_of
from circuits.prompts.prompt import Family, Parameter, Prompt, PromptPair, Span, Tokenizer
from circuits.prompts.templates import Piece, fill, role_names
from circuits.prompts.tokens import Seen, see
from circuits.prompts.words import LASTING

NAME = "greater_than"
TEMPLATE = "The {noun} lasted from the year {XX}{YY} to the year {XX}"
CENTURIES = tuple(str(century) for century in range(11, 18))
SLOTS = ("noun", "XX", "YY")
#: The start years' last two digits; 00, 01 and 99 are left out as in the paper.
SUFFIXES = range(2, 99)
#: What the corrupted partner has in their place.
PARTNER = 1
#: Nouns of one token are used where there are so many, else the largest group of equally long ones.
ENOUGH_NOUNS = 20

_CENTURY = re.compile(r"[1-9]\d", re.ASCII)


@dataclass(frozen=True)
class Plan:
    """What prompts are drawn from.

    ``nouns`` make prompts of one token length. ``years`` are the start years, as (century, suffix).
    ``ends[century][s]`` is the token by which the end year's suffix s (0..99) begins after the
    century, or None where the tokenizer takes that year apart in another way than most.
    """

    nouns: tuple[str, ...]
    years: tuple[tuple[str, int], ...]
    ends: Mapping[str, tuple[int | None, ...]]


def pieces_of(template: str) -> tuple[Piece, ...]:
    """The template's pieces, its first {XX} called XX1 and its second XX2. ValueError for a bad brace."""
    found: list[Piece] = []
    centuries = 0
    for piece in templates.parse(template):
        if piece.is_slot and piece.text == "XX":
            centuries += 1
            piece = Piece(f"XX{centuries}", True)
        found.append(piece)
    return tuple(found)


def roles(params: Mapping[str, Any]) -> frozenset[str]:
    """noun, XX1 (century of the start year), YY (its last two digits), XX2, and the template's words."""
    try:
        return role_names(pieces_of(params.get("template") or TEMPLATE))
    except (TypeError, ValueError):
        return role_names(pieces_of(TEMPLATE))


def check(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is wrong with well-typed parameters, before any tokenizer is known."""
    template, centuries = params["template"], params["centuries"]
    found = [("template", message) for message in templates.problems(template.strip(), SLOTS, "YY")]
    if not found:
        problem = _shape_problem(template)
        found += [("template", problem)] if problem else []
    wrong = [century for century in centuries if not _CENTURY.fullmatch(century)]
    if not centuries:
        found.append(("centuries", "centuries is empty; give the first two digits of years, such as [16, 17]"))
    elif wrong:
        found.append(("centuries", f"{wrong[0]!r} is no century: write two digits from 10 to 99, such as 17 for 1732"))
    elif len(set(centuries)) < len(centuries):
        twice = next(century for century in centuries if list(centuries).count(century) > 1)
        found.append(("centuries", f"the century {twice} occurs twice"))
    return found


def _shape_problem(template: str) -> str:
    pieces = templates.parse(template)
    used = templates.slots(pieces)
    if used.count("noun") > 1:
        return f"the template {template!r} holds {{noun}} {used.count('noun')} times; once is enough"
    if used.count("XX") != 2 or pieces[-1] != Piece("XX", True):
        return f"the template {template!r} must hold {{XX}} twice: in the start year {{XX}}{{YY}}, and at its very end"
    place = pieces.index(Piece("YY", True))
    if place == 0 or pieces[place - 1] != Piece("XX", True):
        return f"in the template {template!r} the start year must be written {{XX}}{{YY}}"
    return f"the template {template!r} begins with a space" if template[:1].isspace() else ""


def answer_sets(ends: Sequence[int | None], start: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """One end suffix, as text, for each answer token and each foil token of the start suffix ``start``.

    A token is an answer when every suffix it stands for (its indices in ``ends``) is greater than
    ``start``, a foil when none is; one that stands for both kinds is neither. Answers come in
    ascending order (each with its smallest suffix), foils in descending order (each with its largest).
    """
    stands_for: dict[int, list[int]] = {}
    for suffix, token in enumerate(ends):
        if token is not None:
            stands_for.setdefault(token, []).append(suffix)
    answers = sorted(suffixes[0] for suffixes in stands_for.values() if suffixes[0] > start)
    foils = sorted((suffixes[-1] for suffixes in stands_for.values() if suffixes[-1] <= start), reverse=True)
    return tuple(f"{suffix:02d}" for suffix in answers), tuple(f"{suffix:02d}" for suffix in foils)


def plan(template: str, centuries: Sequence[str], tokenizer: Tokenizer) -> Plan:
    """Which nouns and start years the tokenizer allows, and the tokens of the end years.

    A start year is allowed when it has an answer and a foil token and as many tokens as its partner
    XX01; where some years are split between XX and YY, as "1732" into " 17" and "32", only those are
    used. Raises PromptFault when none is left.
    """
    pieces = pieces_of(template)
    nouns = _nouns(pieces, centuries[0], tokenizer)
    ends: dict[str, tuple[int | None, ...]] = {}
    split: list[tuple[str, int]] = []
    whole: list[tuple[str, int]] = []
    for century in centuries:
        ends[century] = end_tokens(tokenizer, _write(pieces, nouns[0], century, SUFFIXES[0]).text or "")
        partner = _start_year(pieces, nouns[0], century, PARTNER, tokenizer)
        for suffix in SUFFIXES:
            year = _start_year(pieces, nouns[0], century, suffix, tokenizer)
            if not year.known or year.tokens != partner.tokens or not all(answer_sets(ends[century], suffix)):
                continue
            (split if year.is_split and partner.is_split else whole).append((century, suffix))
    if not split and not whole:
        raise PromptFault(
            f"{NAME}: no year of the centuries {', '.join(centuries)} can be used with the tokenizer "
            f"{tokenizer.name}: its tokens do not tell end years above the start year from those below it"
        )
    return Plan(nouns, tuple(split or whole), MappingProxyType(ends))


def end_tokens(tokenizer: Tokenizer, text: str) -> tuple[int | None, ...]:
    """For each suffix 00..99 the token that follows what the model is shown of ``text``.

    Shown is the longest token prefix that more than half of the 100 continued texts have in common.
    None for a suffix whose text does not begin with it, or whose token is a special one.
    """
    coded = [tuple(tokenizer.encode(f"{text}{suffix:02d}")[0]) for suffix in range(100)]
    shown: tuple[int, ...] = ()
    while True:
        place = len(shown)
        following = Counter(ids[place] for ids in coded if ids[:place] == shown and len(ids) > place)
        token, count = following.most_common(1)[0] if following else (0, 0)
        if count <= 50 or token in tokenizer.special_ids:
            break
        shown += (token,)
    place = len(shown)
    return tuple(
        ids[place] if ids[:place] == shown and len(ids) > place and ids[place] not in tokenizer.special_ids else None
        for ids in coded
    )


@dataclass(frozen=True)
class _StartYear:
    """Tokens of the whole prompt; whether a token ends between XX and YY; whether all its tokens are known."""

    tokens: int
    is_split: bool
    known: bool


def _start_year(pieces: Sequence[Piece], noun: str, century: str, suffix: int, tokenizer: Tokenizer) -> _StartYear:
    prompt = _write(pieces, noun, century, suffix)
    ids, offsets = tokenizer.encode(prompt.text or "")
    year = Span(prompt.roles["XX1"][0].start, prompt.roles["YY"][0].end)
    middle = prompt.roles["YY"][0].start
    under = {token for token, (start, end) in zip(ids, offsets, strict=True) if start < year.end and year.start < end}
    is_split = not any(start < middle < end for start, end in offsets)
    return _StartYear(len(ids), is_split, bool(under) and not under & tokenizer.special_ids)


def _nouns(pieces: Sequence[Piece], century: str, tokenizer: Tokenizer) -> tuple[str, ...]:
    """Nouns that make equally long prompts; single tokens where there are ``ENOUGH_NOUNS`` of them."""
    if not any(piece == Piece("noun", True) for piece in pieces):
        return ("",)
    groups: dict[tuple[int, int], list[str]] = {}
    for noun in LASTING:
        prompt = _write(pieces, noun, century, SUFFIXES[0])
        ids, offsets = tokenizer.encode(prompt.text or "")
        (span,) = prompt.roles["noun"]
        under = [token for token, (a, b) in zip(ids, offsets, strict=True) if a < b and a < span.end and span.start < b]
        if not set(under) & tokenizer.special_ids:
            groups.setdefault((len(under), len(ids)), []).append(noun)
    ranked = sorted(
        groups.items(), key=lambda group: (group[0][0] != 1 or len(group[1]) < ENOUGH_NOUNS, -len(group[1]), group[0])
    )
    if not ranked:
        raise PromptFault(f"{NAME}: the tokenizer {tokenizer.name} knows none of the nouns")
    return tuple(ranked[0][1])


def pairs(params: Mapping[str, Any], tokenizer: Tokenizer, seed: int, stream: str) -> Iterator[PromptPair]:
    """Distinct pairs in random order, until every noun has stood with every start year.

    In the stream "reference" pairs are distinct by their corrupted prompt (noun and century), which is
    what is read from it. Ends early after ``FRUITLESS_DRAWS`` draws in a row that the tokenizer spoils.
    Raises PromptFault when it allows no prompt.
    """
    template, centuries = params["template"], list(params["centuries"])
    pieces = pieces_of(template)
    made = plan(template, centuries, tokenizer)
    rng = stream_of(seed, stream, NAME, {"template": template, "centuries": centuries})
    by_century: dict[str, list[tuple[str, int]]] = {}
    for year in made.years:
        by_century.setdefault(year[0], []).append(year)
    # What a prompt is distinct by, and the start years to choose from for each.
    rows = list(by_century.values()) if stream == "reference" else [[year] for year in made.years]
    yielded = fruitless = 0
    fault = ""
    for drawn in _shuffled(rng, len(made.nouns) * len(rows)):
        noun = made.nouns[drawn // len(rows)]
        century, suffix = choose(rng, rows[drawn % len(rows)])
        answers, foils = answer_sets(made.ends[century], suffix)
        clean = _write(pieces, noun, century, suffix)
        partner = _write(pieces, noun, century, PARTNER)
        fault = _fault(tokenizer, clean, partner, answers[0], foils[0], made.ends[century])
        if fault:
            fruitless += 1
            if fruitless == FRUITLESS_DRAWS:
                break
            continue
        fruitless = 0
        yielded += 1
        yield PromptPair(clean, partner, answers, foils, template=template)
    if not yielded:
        raise PromptFault(f"{NAME}: no prompt can be made with the tokenizer {tokenizer.name}: {fault}")


def _fault(
    tokenizer: Tokenizer, clean: Prompt, partner: Prompt, answer: str, foil: str, ends: Sequence[int | None]
) -> str:
    """What is wrong with a drawn pair (empty when nothing): measured, not taken from the plan."""

    def seen_of(prompt: Prompt) -> Seen:
        return see(tokenizer, prompt.text or "", (answer,), (foil,))

    try:
        shown, other = seen_of(clean), seen_of(partner)
    except PromptFault as found:
        return str(found)
    if len(shown.ids) != len(other.ids):
        return f"{partner.text!r} has {len(other.ids)} tokens, {clean.text!r} has {len(shown.ids)}"
    if shown.answers + shown.foils != (ends[int(answer)], ends[int(foil)]):
        return f"after {clean.text!r} the years are taken apart in another way than after other prompts"
    return ""


def _shuffled(rng: Random, count: int) -> Iterator[int]:
    """0..count-1 in random order, drawn one by one: the first n do not depend on how many are taken."""
    moved: dict[int, int] = {}
    for last in range(count - 1, -1, -1):
        index = below(rng, last + 1)
        value = moved.get(index, index)
        moved[index] = moved.get(last, last)
        yield value


def _write(pieces: Sequence[Piece], noun: str, century: str, suffix: int) -> Prompt:
    spans: dict[str, list[Span]] = {role: [] for role in sorted(role_names(pieces))}
    values = {"noun": noun, "XX1": century, "YY": f"{suffix:02d}", "XX2": century}
    text = fill(pieces, values, 0, spans)
    return Prompt(text=text, roles={role: tuple(found) for role, found in spans.items()})


GREATER_THAN = Family(
    name=NAME,
    doc="A start year and the century of an end year; every later two-digit end year is an answer (prob_diff).",
    parameters=(
        Parameter(
            "template",
            "str",
            "the sentence: {XX}{YY} is the start year, {XX} at its end the century; {noun} is optional",
            default=TEMPLATE,
        ),
        Parameter("centuries", "strings", "first two digits of the years, such as [16, 17]", default=CENTURIES),
    ),
    roles=roles,
    check=check,
    pairs=pairs,
    foil="The foils are the tokens that stand only for end years up to the start year; the first is the latest of them.",
    corruption="The last two digits of the start year become 01.",
    drawn=(
        f"A noun ({len(LASTING)} are known, those that make equally long prompts are used), a century and the start year's last two "
        "digits (02 to 98, where there is a right and a wrong end year) are drawn evenly, no prompt twice. Right are all tokens that "
        "stand only for end years after the start year (one that stands for years before it too, as the start year's own tens digit "
        "most often does, is neither right nor a foil). The one that counts as the answer, where a check needs a single one, is that "
        "of the earliest."
    ),
    requires_top1=0.0,
    requires=MappingProxyType({"prob_diff": 0.0}),
)
