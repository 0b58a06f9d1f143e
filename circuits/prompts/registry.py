"""The prompt families by name: the built-in ones and those that a project brings."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType

from circuits.errors import CircuitsError
from circuits.prompts.greater_than import GREATER_THAN
from circuits.prompts.interspersed_sequence import INTERSPERSED_SEQUENCE
from circuits.prompts.ioi import IOI
from circuits.prompts.named_sequence import NAMED_SEQUENCE
from circuits.prompts.parameters import check_params, with_defaults
from circuits.prompts.prompt import Family
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
    for family, origin in [*((family, "given by the project") for family in extra), *_installed()]:
        if not isinstance(family, Family):
            raise CircuitsError(f"a prompt family {origin} is no Family but {type(family).__name__}")
        if found.get(family.name, family) is not family:
            raise CircuitsError(f"the prompt family {family.name!r} {origin} has the name of another one; rename it")
        taken = sorted(family.roles(with_defaults(family, {})) & RESERVED_ROLES)
        if taken:
            raise CircuitsError(
                f"the prompt family {family.name!r} {origin} has the role {taken[0]!r}, a word of the "
                f"selector language; give the role another name"
            )
        found[family.name] = family
    return found


def _installed() -> list[tuple[Family, str]]:
    offered: list[tuple[Family, str]] = []
    for point in entry_points(group=ENTRY_POINTS):
        origin = f"from the entry point {point.name!r} ({point.value})"
        try:
            loaded = point.load()
        except Exception as error:  # whatever a foreign package raises on import becomes one line
            raise CircuitsError(f"the prompt family {origin} cannot be loaded: {error}") from error
        several = loaded if isinstance(loaded, list | tuple) else [loaded]
        offered += [(family, origin) for family in several]
    return offered


@cache
def code_of(family: Family) -> str:
    """Digest of the file that a project's own family is written in; "" for those of the package, whose code is known."""
    module = sys.modules.get(family.pairs.__module__)
    path = getattr(module, "__file__", None)
    if path is None or family.pairs.__module__.startswith("circuits."):
        return ""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
