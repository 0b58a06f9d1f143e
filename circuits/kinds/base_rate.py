"""The base rate of an intervention: what the same check comes to with random parts in place of its own.

That most heads can be removed at little cost, or that any head costs something, is known only beside others: so a check
that ablates parts or patches a path is made again with a few random sets of as many parts, on the first few prompts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from circuits.claims.claim import Ablate, Path
from circuits.claims.heads import Component
from circuits.kinds import ablate, path
from circuits.kinds.kind import Cell, Here, all_heads
from circuits.kinds.made_of import runs_on, value_of
from circuits.measure.metrics import metric_values
from circuits.measure.subsets import all_mlps, complement, random_sets_among
from circuits.measure.view import cut_to
from circuits.verdict.decide import mean_of
from circuits.verdict.rows import means_of

COMPARED = ("top", "observe")
"""Bounds beside which no random parts stand: all heads are ranked already, or nothing is claimed."""


@dataclass(frozen=True)
class Swapped:
    """A check with random parts in place of its own. ``plan`` asks for its runs, ``value`` is what it comes to."""

    parts: tuple[Component, ...]
    cell: Cell

    def plan(self, here: Here) -> None:
        """Ask for the runs of ``value``."""
        what = self.cell.check.what
        if isinstance(what, Path):
            here.series.plan_few(path.patch_of(what))
            return
        for run in ablate.runs(self.cell, here).values():
            here.series.plan_few(run)

    def value(self, here: Here) -> float | None:
        """The check's estimate on the first few prompts; None where it is not a number."""
        what = self.cell.check.what
        assert isinstance(what, (Ablate, Path))
        runs = runs_on(here.series.few, self.cell, here)
        return value_of(what, means_of(what.metric, {name: cut_to(run, here.cut) for name, run in runs.items()}))


def swapped(cell: Cell, here: Here, count: int) -> list[Swapped]:
    """A cell with each of ``count`` random sets in place of its parts; none where a check has no such base rate.

    Heads stand for heads and MLPs for MLPs. They are drawn from the whole model outside the check's own parts and those that are gone
    anyway; inside a circuit (``within``) from the circuit; senders of a path from the layers below its receiver. Fewer come
    back where fewer exist.
    """
    check, what = cell.check, cell.check.what
    if check.bound.kind in COMPARED:
        return []
    if isinstance(what, Path):
        among = [part for part in _model(here) if what.receiver is None or part.layer < what.receiver.layer]
        drawn = _drawn((what.sender,), among, here, count)
        whats: list[Any] = [replace(what, sender=parts[0]) for parts in drawn]
    elif isinstance(what, Ablate) and what.effect != "partial_necessity":
        outside = complement(what.within, here.layers, here.heads) if what.within is not None else ()
        drawn = _drawn(what.components, set(_model(here)) - {*what.given, *outside}, here, count)
        whats = [replace(what, components=parts, circuit=None) for parts in drawn]
    else:
        return []
    return [
        Swapped(parts, replace(cell, check=replace(check, what=what))) for parts, what in zip(drawn, whats, strict=True)
    ]


def plan_base_rate(cell: Cell, here: Here, count: int) -> None:
    """Ask for what the base rate of a cell reads."""
    for each in swapped(cell, here, count):
        each.plan(here)


def base_rate_of(cell: Cell, here: Here, count: int) -> dict[str, Any] | None:
    """``count`` sets, how many of them are ``holding`` the bound, and ``each`` with its parts and value; None without any.

    ``n``: how many prompts the values are means over; ``seed``: that of the draw; ``before``, of a value
    ``after`` in the whole model alone: what it is on these prompts unablated.
    """
    each: list[dict[str, Any]] = []
    for other in swapped(cell, here, count):
        value = other.value(here)
        holds = value is not None and cell.check.bound.holds_of_control(value)
        each.append({"parts": [str(part) for part in other.parts], "value": value, "holds": holds})
    if not each:
        return None
    holding, what = sum(one["holds"] for one in each), cell.check.what
    found = {"count": len(each), "holding": holding, "n": here.series.n_few, "seed": here.series.seed, "each": each}
    whole = not isinstance(what, Ablate) or what.within is None
    if isinstance(what, (Ablate, Path)) and what.effect == "after" and what.metric != "kl" and whole:
        found["before"] = mean_before(here, what.metric)
    return found


def mean_before(here: Here, metric: str) -> float | None:
    """The metric's mean on the first few prompts in the clean model, beside which the values of a base rate stand."""
    return mean_of(metric_values(metric, cut_to(here.series.few.clean, here.cut)))


def _model(here: Here) -> list[Component]:
    return [*all_heads(here), *all_mlps(here.layers)]


def _drawn(
    parts: tuple[Component, ...], among: Iterable[Component], here: Here, count: int
) -> tuple[tuple[Component, ...], ...]:
    return random_sets_among(parts, among, here.layers, here.heads, count, here.series.seed)
