"""The family ``ioi``: indirect object identification, in the manner of arXiv 2211.00593 (App. E).

"While Anna and Paul were working at the school, Paul handed a book to" -> " Anna". The frames are our
own; in ABBA the indirect object (IO) is named first, in BABA the repeated subject (S).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from circuits.errors import PromptFault
from circuits.prompts.draws import FRUITLESS_DRAWS, choose, sample, stream_of
from circuits.prompts.prompt import Family, Parameter, Prompt, PromptPair, Span, Tokenizer
from circuits.prompts.templates import Piece, fill, parse, role_names
from circuits.prompts.tokens import split_items, tokenize
from circuits.prompts.words import FIRST_NAMES, OBJECTS, PLACES

NAME = "ioi"

#: {A} is the name mentioned first, {B} the second; one of them is IO, the other S1.
FRAMES: tuple[str, ...] = (
    "While {A} and {B} were working at the {place}, {S2} handed a {object} to",
    "After {A} and {B} had lunch at the {place}, {S2} gave a {object} to",
    "When {A} and {B} met again near the {place}, {S2} offered a {object} to",
    "As {A} and {B} walked home from the {place}, {S2} passed a {object} to",
    "Once {A} and {B} arrived at the {place}, {S2} decided to give a {object} to",
    "Before {A} and {B} left the {place}, {S2} wanted to give a {object} to",
)

#: Template name -> template; ABBA and BABA alternate, which is the order prompts cycle through.
TEMPLATES: dict[str, str] = {
    f"{order}-{number}": frame.replace("{A}", "{" + first + "}").replace("{B}", "{" + second + "}")
    for number, frame in enumerate(FRAMES, start=1)
    for order, first, second in (("ABBA", "IO", "S1"), ("BABA", "S1", "IO"))
}


def templates(params: Mapping[str, Any]) -> dict[str, tuple[Piece, ...]]:
    """The templates that the parameter ``templates`` asks for, by name; all of them when it is unknown."""
    wanted = params.get("templates", "both")
    chosen = {
        name: text for name, text in TEMPLATES.items() if wanted not in ("ABBA", "BABA") or name.startswith(wanted)
    }
    return {name: parse(text) for name, text in chosen.items()}


def roles(params: Mapping[str, Any]) -> frozenset[str]:
    """IO, S1, S2, place, object, and the words of the templates."""
    return frozenset().union(*(role_names(pieces) for pieces in templates(params).values()))


def pairs(params: Mapping[str, Any], tokenizer: Tokenizer, seed: int, stream: str) -> Iterator[PromptPair]:
    """Distinct pairs, cycling through the templates in a fixed order (balanced strata).

    The corrupted partner is the ABC counterfactual: three other names, none of them in the clean
    prompt. Names, places and objects are those that the tokenizer makes equally many tokens of (one
    where enough are). Ends after ``FRUITLESS_DRAWS`` draws in a row that gave nothing new. Raises
    PromptFault when the tokenizer leaves fewer than five names.
    """
    names = equally_long(tokenizer, FIRST_NAMES, 5, "names")
    places = equally_long(tokenizer, PLACES, 1, "places")
    objects = equally_long(tokenizer, OBJECTS, 1, "objects")
    chosen = templates(params)
    every_role = sorted(roles(params))
    rng = stream_of(seed, stream, NAME, {"templates": params.get("templates", "both")})
    seen: set[str] = set()
    fault = ""
    yielded = fruitless = 0
    cycle = list(chosen.items())
    while fruitless < FRUITLESS_DRAWS:
        fruitless += 1
        template, pieces = cycle[yielded % len(cycle)]
        indirect, subject, *others = sample(rng, names, 5)
        scene = {"place": choose(rng, places), "object": choose(rng, objects)}
        clean = _write(pieces, {**scene, "IO": indirect, "S1": subject, "S2": subject}, every_role)
        text = clean.text or ""
        if text in seen:
            continue
        seen.add(text)
        pair = PromptPair(
            clean=clean,
            corrupted=_write(pieces, {**scene, **dict(zip(("IO", "S1", "S2"), others, strict=True))}, every_role),
            answers=(" " + indirect,),
            foils=(" " + subject,),
            template=template,
        )
        try:
            tokenize(pair, tokenizer, bos=False)
        except PromptFault as found:
            fault = str(found)
            continue
        fruitless = 0
        yielded += 1
        yield pair
    if not yielded:
        raise PromptFault(f"{NAME}: no prompt can be made with the tokenizer {tokenizer.name}: {fault}")


def equally_long(tokenizer: Tokenizer, words: Sequence[str], needed: int, what: str) -> list[str]:
    """The words of equal token length inside a sentence: single tokens where ``needed`` are, else most.

    Words that a special token stands for (unknown ones) are left out. PromptFault when too few are left.
    """
    groups: dict[int, list[str]] = {}
    for word in words:
        text = f"and {word}"
        ids, offsets = tokenizer.encode(text)
        under = [token for token, (start, end) in zip(ids, offsets, strict=True) if start < end and end > len("and ")]
        if not set(under) & tokenizer.special_ids:
            groups.setdefault(len(under), []).append(word)
    ranked = sorted(groups.items(), key=lambda group: (group[0] != 1, -len(group[1]), group[0]))
    for _, group in ranked:
        if len(group) >= needed:
            return group
    most = max((len(group) for group in groups.values()), default=0)
    raise PromptFault(
        f"{NAME}: {needed} {what} of equal token length are needed, the tokenizer {tokenizer.name} has {most}"
    )


def _write(pieces: Sequence[Piece], values: Mapping[str, str], every_role: Sequence[str]) -> Prompt:
    spans: dict[str, list[Span]] = {role: [] for role in every_role}
    text = fill(pieces, values, 0, spans)
    return Prompt(text=text, roles={role: tuple(found) for role, found in spans.items()}, items=split_items(text))


IOI = Family(
    name=NAME,
    doc="Sentences with two names, one of them twice; the other one is the answer.",
    parameters=(
        Parameter(
            "templates",
            "choice",
            "which name comes first: the indirect object (ABBA), the subject (BABA), or both kinds",
            default="both",
            choices=("ABBA", "BABA", "both"),
        ),
    ),
    roles=roles,
    check=lambda params: [],
    pairs=pairs,
    foil="The foil is the subject, the name that occurs twice.",
    corruption="The three mentions of names become three other names, all different (ABC).",
    drawn=(
        f"Prompts take the templates in turn. The names ({len(FIRST_NAMES)} first names, and no name twice in a prompt), the place "
        f"({len(PLACES)}) and the object ({len(OBJECTS)}) are drawn evenly from those of each list that are one token, or of the "
        "length that most of them have."
    ),
    template_texts=MappingProxyType(TEMPLATES),
)
