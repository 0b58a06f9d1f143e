"""Names of roles: which are taken by the claim language, which a template's own words give."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

#: Words of the selector language. No template slot and no role of a suite may be called so.
RESERVED_ROLES: frozenset[str] = frozenset(
    "any self end bos first duplicate induction n not earlier previous same early late".split()
)

#: Punctuation that gives a role.
PUNCTUATION: Mapping[str, str] = {
    ".": "period",
    ",": "comma",
    ";": "semicolon",
    ":": "colon",
    "?": "question",
    "!": "exclamation",
}

_LITERAL = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*|[.,;:?!]")
_ROLE_NAME = re.compile(r"[^\W\d]\w*")
_PROBES = ("", "a", "Z", "1", " ", ".", "Adam is 1. Bob is 2, and so on?\n")


@lru_cache(maxsize=1024)
def literal_roles(text: str) -> tuple[tuple[str, int, int], ...]:
    """(role, start, end) of each word and punctuation mark of a template's literal text, in order.

    A word's role is the word in lower case. A word that the selector language uses itself ("not",
    "first") gives no role, because no selector could name it.
    """
    found = []
    for match in _LITERAL.finditer(text):
        role = PUNCTUATION.get(match.group(), match.group().lower())
        if role not in RESERVED_ROLES:
            found.append((role, match.start(), match.end()))
    return tuple(found)


def check_roles(roles: Mapping[str, object]) -> list[tuple[str, str]]:
    """Every problem of a suite's own roles (name -> regular expression), as (role name, message).

    Refused: reserved names, names that no selector could hold, patterns that do not compile, and
    patterns that match the empty string (found by trying them on a few texts; a pattern that is
    empty only elsewhere has its empty matches ignored when prompts are made).
    """
    problems = []
    for name, pattern in roles.items():
        if name in RESERVED_ROLES:
            problems.append(
                (
                    name,
                    f"{name!r} is a word of the selector language and cannot name a role; rename it",
                )
            )
        elif not isinstance(name, str) or not _ROLE_NAME.fullmatch(name):
            problems.append((name, f"{name!r} cannot be a role name: use letters, digits and _"))
        if not isinstance(pattern, str):
            problems.append((name, f"role {name!r}: the pattern must be text, not {pattern!r}; put it in quotes"))
            continue
        try:
            compiled = re.compile(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            problems.append((name, f"role {name!r}: {pattern!r} is no valid regular expression: {error}"))
            continue
        if any(match.start() == match.end() for probe in _PROBES for match in compiled.finditer(probe)):
            problems.append(
                (
                    name,
                    f"role {name!r}: {pattern!r} matches the empty string; a role must cover some character",
                )
            )
    return problems
