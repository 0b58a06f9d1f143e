"""What a project added, gathered and checked: from its ``conftest.py`` (handed in) and from installed packages.

Built anew for each session: nothing is registered in a module, so nothing leaks from one session to the next.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from circuits.claims import bounds
from circuits.claims.claim import Check, PromptSet
from circuits.claims.claim import Score as ScoreCheck
from circuits.claims.keys import SCORES
from circuits.claims.load_prompts import REQUIRABLE, requirable
from circuits.claims.selector import SelectorError, parse
from circuits.errors import CircuitsError
from circuits.prompts.own import (
    TOLD_OF_A_RUN,
    Extensions,
    Metric,
    MetricName,
    Own,
    Role,
    Score,
    code_of,
    files_of,
    functions_of,
    place_of,
)
from circuits.prompts.prompt import Family
from circuits.prompts.registry import FAMILIES, RESERVED_ROLES, families, installed, with_defaults

__all__ = ["ENTRY_POINTS", "Extensions", "Family", "Metric", "Own", "Role", "Score", "Used", "extensions", "used"]

#: The entry point groups in which an installed package offers a record, or a list of them (families: ``circuits.families``).
ENTRY_POINTS: Mapping[str, type] = {"circuits.roles": Role, "circuits.scores": Score, "circuits.metrics": Metric}

_NOUNS: Mapping[type, str] = {Family: "prompt family", Role: "role", Score: "score", Metric: "metric"}
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_OFFERED = "given by the project"


def extensions(extra: Iterable[Any] = ()) -> Extensions:
    """All families by name, and the roles, scores and metrics that ``extra`` and the entry points add.

    Raises CircuitsError for what is no record, for a name that is taken or cannot be written in a claim, for a score or
    metric that says nothing sensible of itself, for a family that requires what cannot be required, and for an entry point that cannot be loaded.
    """
    offered = [(each, _OFFERED) for each in extra]
    for group, kind in ENTRY_POINTS.items():
        offered += installed(group, _NOUNS[kind])
    for record, origin in offered:
        if not isinstance(record, (Family, Role, Score, Metric)):
            raise CircuitsError(
                f"an extension {origin} is no Family, Role, Score or Metric but {type(record).__name__}: {record!r}"
            )
    known = families(record for record, _ in offered if isinstance(record, Family))
    for family in known.values():
        problem = _requires_problem(family)
        if problem:
            raise CircuitsError(f"the prompt family {family.name!r} ({place_of(family)}) {problem}")
    found = {
        kind: _by_name([each for each in offered if isinstance(each[0], kind)], kind, known)
        for kind in ENTRY_POINTS.values()
    }
    return Extensions(known, found[Role], found[Score], found[Metric])


def _by_name(offered: list[tuple[Any, str]], kind: type, known: Mapping[str, Family]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for record, origin in offered:
        about = f"the {_NOUNS[kind]} {record.name!r} {origin}"
        if found.get(record.name, record) is not record:
            other = place_of(found[record.name])
            raise CircuitsError(f"{about} ({place_of(record)}) has the name of another one ({other}); rename it")
        problem = _name_problem(record, known) or _problem(record, known)
        if problem:
            raise CircuitsError(f"{about} ({place_of(record)}) {problem}")
        found[record.name] = record
    return found


def _requires_problem(family: Family) -> str:
    """What is wrong with what a family requires of the clean model; "" where nothing is."""
    for name, least in (family.requires or {"top1": family.requires_top1}).items():
        span = requirable(str(name))
        if span is None:
            return f"requires {name!r}, which cannot be required; it takes top1, top5, ..., {', '.join(REQUIRABLE)}"
        number = isinstance(least, (int, float)) and not isinstance(least, bool)
        if not number or not span[0] <= least < span[1]:
            return f"requires {name}: {least!r}; write a number that is at least {span[0]:g} and less than {span[1]:g}"
    return ""


def _name_problem(record: Role | Score | Metric, known: Mapping[str, Family]) -> str:
    if not _NAME.fullmatch(str(record.name)):
        return "cannot be written in a claim; use letters, digits and _"
    if isinstance(record, Score) and record.name in SCORES:
        return "has the name of one of the package's scores; rename it"
    if isinstance(record, Metric) and (bounds.metric(record.name) is not None or record.name in TOLD_OF_A_RUN):
        return "has the name of one of the package's metrics; rename it"
    if isinstance(record, Role):
        if record.name in RESERVED_ROLES:
            return "is a word of the selector language; rename it"
        giving = [name for name, family in known.items() if record.name in family.roles(with_defaults(family, {}))]
        if giving:
            return f"has the name of a role of the family {giving[0]}; rename it"
    return ""


def _problem(record: Role | Score | Metric, known: Mapping[str, Family]) -> str:
    if not record.doc.strip():
        return "has no doc: say in one sentence what it is"
    function: Any = record.find if isinstance(record, Role) else record.value
    if function is not None and not callable(function):
        return f"has a {type(function).__name__} where its function belongs"
    if isinstance(record, Role):
        return ""
    if isinstance(record, Metric):
        sound = record.low < record.high  # not so where one is NaN
        return "" if sound else f"has the range {record.low} to {record.high}; low must be below high"
    if (record.value is None) == (record.selector is None):
        return "needs one of the two: selector, or value(attention, prompt)"
    unknown = [name for name in record.families if name not in known]
    if unknown:
        return f"names the family {unknown[0]!r}, which there is not"
    try:
        parse(record.selector if record.selector is not None else "any -> any")
    except SelectorError as error:
        return f"has a selector that cannot be read: {record.selector!r}: {error}"
    return ""


@dataclass(frozen=True)
class Used:
    """One thing of a project's own that a claim uses. ``code``: the digest of what it computes."""

    kind: str
    own: Own
    code: str

    @property
    def files(self) -> list[Path]:
        """The files that it is written in."""
        return files_of(self.own)

    def plain(self) -> dict[str, Any]:
        """As it stands in results.json."""
        file = place_of(self.own) if functions_of(self.own) else None
        source = getattr(self.own, "source", "") or None
        return {
            "kind": self.kind, "name": self.own.name, "doc": self.own.doc, "source": source, "file": file,
            "code": f"sha256:{self.code}",
        }  # fmt: skip


def used(own: Extensions, sets: Iterable[PromptSet], checks: Iterable[Check]) -> list[Used]:
    """Everything of the project's own that these prompt sets and checks use, each once, in order of kind and name."""
    found: dict[tuple[str, str], Own] = {}
    for prompts in sets:
        for role in prompts.own_roles:
            found["role", role] = own.roles[role]
        if own.families.get(prompts.family) is not FAMILIES.get(prompts.family):
            found["prompt family", prompts.family] = own.families[prompts.family]
    for check in checks:
        for record in own_of(check):
            found[_NOUNS[type(record)], record.name] = record
    by_name = sorted(found.items(), key=lambda each: each[0])
    return [Used(kind, record, code_of(record)) for (kind, _), record in by_name]


def own_of(check: Check) -> tuple[Score | Metric, ...]:
    """The project's own score or metric that a check reads; () for the package's."""
    what = check.what
    if isinstance(what, ScoreCheck):
        return (what.own,) if what.own is not None else ()
    metric = getattr(what, "metric", None)
    return (metric.record,) if isinstance(metric, MetricName) else ()
