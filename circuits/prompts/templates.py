"""Templates: literal text with {slots}, filled so that every slot and word knows its span."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from circuits.errors import did_you_mean
from circuits.prompts.prompt import Span
from circuits.prompts.roles import RESERVED_ROLES, literal_roles

_SLOT = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class Piece:
    """A part of a template: literal text, or the name of a slot."""

    text: str
    is_slot: bool


@lru_cache(maxsize=256)
def parse(template: str) -> tuple[Piece, ...]:
    """The pieces of a template in order. ValueError for braces that are not a slot."""
    pieces: list[Piece] = []
    at = 0
    for match in _SLOT.finditer(template):
        pieces.append(Piece(template[at : match.start()], False))
        pieces.append(Piece(match.group(1).strip(), True))
        at = match.end()
    pieces.append(Piece(template[at:], False))
    for piece in pieces:
        if not piece.is_slot and ("{" in piece.text or "}" in piece.text):
            raise ValueError(f"the template {template!r} has a brace without its partner")
    return tuple(piece for piece in pieces if piece.text or piece.is_slot)


def slots(pieces: Sequence[Piece]) -> list[str]:
    """The slot names in order, repeats included."""
    return [piece.text for piece in pieces if piece.is_slot]


@lru_cache(maxsize=256)
def role_names(pieces: tuple[Piece, ...]) -> frozenset[str]:
    """The roles that a filled template has: its slots, its words in lower case, its punctuation."""
    words = {role for piece in pieces if not piece.is_slot for role, _, _ in literal_roles(piece.text)}
    return frozenset(words | set(slots(pieces)))


def fill(
    pieces: Sequence[Piece],
    values: Mapping[str, str],
    start: int = 0,
    roles: dict[str, list[Span]] | None = None,
) -> str:
    """The text with each slot replaced by its value.

    Where ``roles`` is given, the span of every slot and literal word is appended to it, counted in
    characters from ``start``. A literal word that is called like a slot of the template gives no
    role of its own: the slot has the name.
    """
    names = set(slots(pieces))
    out = ""
    for piece in pieces:
        here = start + len(out)
        text = values[piece.text] if piece.is_slot else piece.text
        if roles is not None and piece.is_slot:
            roles.setdefault(piece.text, []).append(Span(here, here + len(text)))
        elif roles is not None:
            for role, begin, end in literal_roles(text):
                if role not in names:
                    roles.setdefault(role, []).append(Span(here + begin, here + end))
        out += text
    return out


def problems(template: str, allowed: Sequence[str], once: str) -> list[str]:
    """What is wrong with an item template that may hold the slots ``allowed``, ``once`` exactly once."""
    try:
        pieces = parse(template)
    except ValueError as error:
        return [str(error)]
    found = []
    used = slots(pieces)
    for slot in dict.fromkeys(used):
        if slot in RESERVED_ROLES:
            found.append(f"the slot {{{slot}}} is called like a word of the selector language; it may not be")
        elif slot not in allowed:
            found.append(f"the template has an unknown slot {{{slot}}}: {did_you_mean(slot, allowed)}")
    if used.count(once) != 1:
        times = "not at all" if once not in used else f"{used.count(once)} times"
        found.append(f"the template {template!r} must hold {{{once}}} exactly once, it holds it {times}")
    if template != template.strip():
        found.append(f"the template {template!r} begins or ends with a space; items are joined by one space already")
    return found
