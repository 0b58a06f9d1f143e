"""The prompt families by name: the built-in ones and those that a project brings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any

from circuits.errors import CircuitsError
from circuits.prompts.greater_than import GREATER_THAN
from circuits.prompts.interspersed_sequence import INTERSPERSED_SEQUENCE
from circuits.prompts.ioi import IOI
from circuits.prompts.named_sequence import NAMED_SEQUENCE
from circuits.prompts.own import code_of, place_of
from circuits.prompts.parameters import check_params, with_defaults
from circuits.prompts.prompt import Family, Parameter
from circuits.prompts.repeated_tokens import REPEATED_TOKENS
from circuits.prompts.roles import RESERVED_ROLES, check_roles
from circuits.prompts.texts import TEXTS

__all__ = [
    "ENTRY_POINTS",
    "FAMILIES",
    "RESERVED_ROLES",
    "check_params",
    "check_roles",
    "code_of",
    "families",
    "installed",
    "with_defaults",
]

#: The entry point group in which an installed project offers a ``Family`` (or several).
ENTRY_POINTS = "circuits.families"

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "named_sequence": NAMED_SEQUENCE,
        "interspersed_sequence": INTERSPERSED_SEQUENCE,
        "repeated_tokens": REPEATED_TOKENS,
        "ioi": IOI,
        "greater_than": GREATER_THAN,
        "texts": TEXTS,
    }
)


def families(extra: Iterable[Family] = ()) -> dict[str, Family]:
    """All families by name: built in, ``extra``, and those of the entry point group.

    Raises CircuitsError when two have one name (the same object offered twice is fine), when an
    entry point cannot be loaded or holds no Family, or when a family gives a role that is a word of
    the selector language.
    """
    found = dict(FAMILIES)
    for family, origin in [
        *((family, "given by the project") for family in extra),
        *installed(ENTRY_POINTS, "prompt family"),
    ]:
        if not isinstance(family, Family):
            raise CircuitsError(f"a prompt family {origin} is no Family but {type(family).__name__}")
        if found.get(family.name, family) is not family:
            raise CircuitsError(f"the prompt family {family.name!r} {origin} has the name of another one; rename it")
        problem = _problem(family)
        if problem:
            raise CircuitsError(f"the prompt family {family.name!r} {origin} ({place_of(family)}) {problem}")
        taken = sorted(family.roles(with_defaults(family, {})) & RESERVED_ROLES)
        if taken:
            raise CircuitsError(
                f"the prompt family {family.name!r} {origin} has the role {taken[0]!r}, a word of the "
                f"selector language; give the role another name"
            )
        found[family.name] = family
    return found


def _problem(family: Family) -> str:
    """What is wrong with what a family says of itself; "" where nothing is."""
    if not str(family.doc).strip():
        return "has no doc: say in one sentence what it is"
    for name in ("roles", "check", "pairs"):
        given = getattr(family, name)
        if not callable(given):
            return f"has a {type(given).__name__} in {name}, where a function belongs"
    if not all(isinstance(parameter, Parameter) for parameter in family.parameters):
        return "has parameters that are no Parameter"
    try:
        roles: Any = family.roles(with_defaults(family, {}))
    except Exception as error:  # whatever a project's own function raises becomes one line
        return f"failed when it was asked for its roles: {type(error).__name__}: {error}"
    if not isinstance(roles, (set, frozenset)):
        return f"gives a {type(roles).__name__} of roles; give a frozenset of their names"
    return ""


def installed(group: str, what: str) -> list[tuple[Any, str]]:
    """What installed packages offer in an entry point group, each with its origin in words.

    An entry point is one record or a list of them. Raises CircuitsError for one that cannot be loaded.
    """
    offered: list[tuple[Any, str]] = []
    for point in entry_points(group=group):
        origin = f"from the entry point {point.name!r} ({point.value})"
        try:
            loaded = point.load()
        except Exception as error:  # whatever a foreign package raises on import becomes one line
            raise CircuitsError(f"the {what} {origin} cannot be loaded: {error}") from error
        several = loaded if isinstance(loaded, list | tuple) else [loaded]
        offered += [(each, origin) for each in several]
    return offered
