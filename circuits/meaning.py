"""What a claim asks, apart from how and where it is written: plain data, and its digest.

Two files that differ in layout, comments, quoting or the order of keys ask the same. No torch, no numpy: an unchanged
suite is recognised before anything heavy is imported.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass, replace
from enum import Enum
from functools import cache
from typing import Any

from circuits.claims.claim import PromptSet, Sampling
from circuits.errors import Position
from circuits.items import Item
from circuits.store import digest_of

_SCALARS = frozenset({type(None), bool, int, float, str})
# Where something stands, how it was written, and the number that a check has by its place.
_LAYOUT = frozenset({"where", "yaml", "text", "faults", "warnings", "span", "source"})


def meaning(item: Item, seen: dict[int, Any] | None = None) -> str:
    """``sha256:`` and the digest of all that decides what is asked of the model and how it is judged.

    The words, the checks with their bounds, the prompt sets, the model as written, sampling and what is expected. The
    claim's id, its file and its place there are not part of it. ``seen``: what was read before by identity (prompt sets
    and sampling are shared by many claims); it must not outlive the suites.
    """
    return _digest(item, item.suite.sampling, seen)


def question(item: Item) -> str:
    """The digest of ``meaning`` whatever the seed: the same question on other prompts is the same question."""
    return _digest(item, replace(item.suite.sampling, seed=0), None)


def _digest(item: Item, sampling: Sampling, seen: dict[int, Any] | None) -> str:
    claim, suite = item.claim, item.suite
    seen = {} if seen is None else seen
    about = [
        claim.words, [plain(check, seen) for check in claim.checks], plain(item.variant, seen), item.label, item.template,
        plain(claim.expect, seen), claim.many, len(claim.variants), plain(suite.model, seen), plain(sampling, seen),
        claim.any, [str(head) for head in claim.heads],
    ]  # fmt: skip
    return "sha256:" + digest_of(about)


def plain(value: Any, seen: dict[int, Any]) -> Any:
    """A tree of frozen dataclasses as JSON data, without what belongs to the layout.

    Raises TypeError for a value that has no such form: an answer must not be kept under half a key.
    """
    if type(value) in _SCALARS:
        return value
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Position):
        return None
    if isinstance(value, (list, tuple)):
        return [plain(each, seen) for each in value]
    if isinstance(value, (set, frozenset)):
        return sorted(json.dumps(plain(each, seen), sort_keys=True) for each in value)
    if isinstance(value, Mapping):
        return {str(key): plain(each, seen) for key, each in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        if isinstance(value, (PromptSet, Sampling)):
            if id(value) not in seen:
                seen[id(value)] = _fields(value, seen)
            return seen[id(value)]
        return _fields(value, seen)
    raise TypeError(f"{type(value).__name__} has no canonical form")


def _fields(value: Any, seen: dict[int, Any]) -> list[Any]:
    """Its kind, and its fields by name; those at their default are left out, so that a field which the program gains
    later changes the digest of no claim that does not use it."""
    kind: Any = type(value)
    told = {}
    for name, default in _names(kind):
        field = getattr(value, name)
        if field is not default and field != default:
            told[name] = field if type(field) in _SCALARS else plain(field, seen)
    return [kind.__name__, told]


@cache
def _names(kind: Any) -> tuple[tuple[str, Any], ...]:
    """The fields that count, each with its default (MISSING, which equals nothing, where it has none)."""
    counted = (each for each in fields(kind) if each.compare and each.name not in _LAYOUT)
    return tuple(
        (each.name, each.default if each.default_factory is MISSING else each.default_factory()) for each in counted
    )
