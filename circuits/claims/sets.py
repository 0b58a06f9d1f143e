"""What a parsed selector is made of: sets of tokens, as frozen values. ``selector`` parses them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

STRUCTURE = ("any", "self", "end", "bos", "first", "duplicate", "induction")
QUALIFIERS = ("earlier", "previous", "same", "not")
RELATIVE = ("self", "duplicate", "induction")


@dataclass(frozen=True)
class Role:
    """Tokens of a role that the prompt family or the suite gives."""

    name: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Structure:
    """One of STRUCTURE: positions that every prompt has."""

    name: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Back:
    """``n-K`` with K = factor * variable + constant (``variable`` None: K = constant)."""

    constant: int
    variable: str | None = None
    factor: int = 1
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Qualified:
    """``earlier``, ``previous`` or ``same`` of a set."""

    how: str
    of: Set
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Index:
    """The k-th span, counted from 1."""

    of: Set
    k: int
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Half:
    """The tokens in the first ("early") or second ("late") half of the non-BOS positions."""

    of: Set
    which: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Shift:
    """The token ``by`` places after the end (by > 0) or before the start (by < 0) of each span."""

    of: Set
    by: int
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Not:
    """Every non-BOS token outside the set."""

    of: Set
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Union:
    """Tokens in any of the sets."""

    of: tuple[Set, ...]
    at: int = field(default=0, compare=False)


Set = Role | Structure | Back | Qualified | Index | Half | Shift | Not | Union


@dataclass(frozen=True)
class Selector:
    """A parsed ``QUERY -> KEY``; ``text`` is it as written, but with one way of spacing."""

    query: Set
    key: Set
    text: str


def walk(of: Set) -> Iterator[Set]:
    """Every node of a set expression, outermost first."""
    yield of
    if isinstance(of, Union):
        for part in of.of:
            yield from walk(part)
    elif isinstance(of, (Qualified, Index, Half, Shift, Not)):
        yield from walk(of.of)


def roles(selector: Selector) -> list[Role]:
    """The roles a selector names, in reading order."""
    return [part for side in (selector.query, selector.key) for part in walk(side) if isinstance(part, Role)]


def variables(selector: Selector) -> list[Back]:
    """The offsets of a selector that need a variable."""
    return [
        part
        for side in (selector.query, selector.key)
        for part in walk(side)
        if isinstance(part, Back) and part.variable
    ]


def names(selector: Selector, structure: str) -> bool:
    """Whether a selector names a structure word, such as "bos"."""
    sides = (selector.query, selector.key)
    return any(isinstance(part, Structure) and part.name == structure for side in sides for part in walk(side))
