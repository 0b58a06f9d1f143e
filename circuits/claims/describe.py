"""A check in one line, as it stands in results."""

from __future__ import annotations

from collections.abc import Iterable

from circuits.claims.claim import Ablate, Attends, Keep, LossMap, Path, Score, What
from circuits.claims.heads import Component

MOST_MEMBERS = 12


def describe(what: What) -> str:
    """The words of a check; the compared side of a difference stands beside it, not in it."""
    if isinstance(what, Attends):
        return f"attends: {what.selector.text}"
    if isinstance(what, Score):
        return f"score: {what.name}{_members(what.members)}"
    if isinstance(what, Ablate):
        return _ablate(what)
    if isinstance(what, Keep):
        form = " (normalised)" if what.normalised else ""
        return f"keep_only: {what.circuit.name} ({what.method}), {what.statistic}: {what.metric}{form}"
    if isinstance(what, Path):
        return f"path: {what}, {what.effect}: {what.metric}"
    return _loss_map(what)


def _names(components: Iterable[Component]) -> str:
    return ", ".join(str(component) for component in components)


def _members(members: str | tuple[str, ...] | None) -> str:
    if members is None:
        return ""
    if isinstance(members, str):
        return f" of {members}"
    more = f", ... ({len(members)})" if len(members) > MOST_MEMBERS else ""
    return f" of [{', '.join(members[:MOST_MEMBERS])}{more}]"


def _ablate(what: Ablate) -> str:
    removed = what.circuit.name if what.circuit is not None else _names(what.components)
    text = f"ablate: {removed} ({what.method})"
    if what.at is not None:
        text += f" at {what.at}"
    if what.within is not None:
        text += f", within {what.within.name}"
    if what.given:
        text += f", given {_names(what.given)} ablated"
    return text + (
        f", interaction in {what.metric}" if what.effect == "interaction" else f", {what.effect}: {what.metric}"
    )


def _loss_map(what: LossMap) -> str:
    method = f" ({what.method})" if what.method != "mean" else ""
    return f"loss_map: {'; '.join(_names(components) for components in what.ablations)}{method}"
