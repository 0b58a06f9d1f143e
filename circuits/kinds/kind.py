"""What every kind of check has in common: a cell to be measured, the place where it is, and its two steps.

A kind is a frozen record of two functions. ``plan`` asks the groups for what the cell will need, before
anything is measured; ``row`` takes the measured values and fills the cell's row of the results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from circuits.claims.claim import Ablate, Check, Keep, Path, PromptSet
from circuits.claims.heads import Component
from circuits.measure import subsets
from circuits.measure.ov import OVGroup
from circuits.measure.series import Series
from circuits.measure.view import View, common_cycle, common_looks
from circuits.verdict.decide import Asked, Row
from circuits.verdict.rows import Task

Draw = Callable[[Any, str], str | None]
Quantity = tuple[Series | OVGroup, str]


@dataclass(frozen=True)
class Cell:
    """One row to be: a check on one prompt set (None: it needs none) and, for attention, one head."""

    check: Check
    prompts: PromptSet | None
    head: Component | None

    @property
    def place(self) -> tuple[int, int]:
        """The head as (layer, head)."""
        assert self.head is not None and self.head.head is not None
        return self.head.layer, self.head.head


@dataclass(frozen=True)
class Other:
    """Another model beside the suite's: its name in this claim, its facts for results.json, the same prompt set on it."""

    name: str
    facts: Mapping[str, Any]
    series: Series


@dataclass(frozen=True)
class Here:
    """Where a cell is measured.

    ``measured``: the prompts that the cell shows, None for scores from weights alone; ``compared``: the other
    prompts of a comparison. ``at``: how many of each are in use (set by ``looks``, for a row). ``layers``,
    ``heads``: the model's shape. ``draw`` None: no figures. ``cut``: the metric that ``range:`` cuts, and its ends.
    ``model``: the model's name; ``others``: the other models of a map of losses.
    """

    measured: Series | None
    compared: Series | None
    ov: OVGroup
    layers: int
    heads: int
    draw: Draw | None = None
    at: tuple[int, ...] = ()
    cut: tuple[str, float, float] | None = None
    model: str = ""
    others: tuple[Other, ...] = ()

    @property
    def shown(self) -> tuple[Series, ...]:
        """The prompts of the cell, the compared ones last."""
        return tuple(series for series in (self.measured, self.compared) if series is not None)

    @property
    def series(self) -> Series:
        """The prompts of a cell that has some."""
        assert self.measured is not None
        return self.measured

    @property
    def prompts(self) -> View:
        """As many of the prompts as are in use."""
        return View(self.series, self.at[0], self.cut)

    @property
    def other(self) -> View | None:
        """As many of the compared prompts as are in use."""
        return View(self.compared, self.at[-1]) if self.compared is not None else None

    @property
    def cycle(self) -> int:
        """The length of the cycle of templates of all prompts of the cell."""
        return common_cycle(self.shown)

    def looks(self, least: int) -> Iterator[Here]:
        """The places to look from, one after the other, each with more prompts than the last."""
        for at in common_looks(self.shown, least) or [()]:
            yield replace(self, at=at)


@dataclass(frozen=True)
class Kind:
    """See the module. ``plan`` returns every quantity that the cell's row will read.

    ``asked``: what a check of the kind asks, as its row says it where nothing was measured.
    """

    plan: Callable[[Cell, Here], list[Quantity]]
    row: Callable[[Row, Cell, Here, Asked], Row]
    asked: Callable[[Any], Row] = lambda what: {}


def all_heads(here: Here) -> tuple[Component, ...]:
    """Every head of the model, layer by layer."""
    return tuple(subsets.all_heads(here.layers, here.heads))


def cut_of(cell: Cell) -> tuple[str, float, float] | None:
    """The metric that the check's ``range:`` cuts, and where; None where it has none."""
    what, span = cell.check.what, cell.check.range
    return (what.metric, *span) if span is not None and isinstance(what, (Ablate, Keep, Path)) else None


def task_of(cell: Cell, here: Here) -> Task:
    """What the check requires of the clean model: its own or its prompt set's words, else the family's."""
    assert cell.prompts is not None
    own = cell.check.requires or cell.prompts.requires
    family = here.series.family
    return Task(own or family.requires or {"top1": family.requires_top1}, explicit=bool(own))
