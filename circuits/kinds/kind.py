"""What every kind of check has in common: a cell to be measured, the place where it is, and its two steps.

A kind is a frozen record of two functions. ``plan`` asks the groups for what the cell will need, before
anything is measured; ``row`` takes the measured values and fills the cell's row of the results.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from circuits.claims.claim import Check, PromptSet
from circuits.claims.heads import Component
from circuits.measure.group import Group
from circuits.measure.ov import OVGroup
from circuits.verdict.rows import Asked, Row, Task

Draw = Callable[[Any, str], str | None]
Quantity = tuple[Group | OVGroup, str]


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
class Here:
    """Where a cell is measured.

    ``group`` is None for scores from weights alone; ``other`` is the compared prompt set's group where
    it is another one. ``layers``, ``heads``: the model's shape. ``draw`` None: no figures.
    """

    group: Group | None
    other: Group | None
    ov: OVGroup
    layers: int
    heads: int
    draw: Draw | None = None

    @property
    def prompts(self) -> Group:
        """The group of a cell that has prompts."""
        assert self.group is not None
        return self.group


@dataclass(frozen=True)
class Kind:
    """See the module. ``plan`` returns every quantity that the cell's row will read."""

    plan: Callable[[Cell, Here], list[Quantity]]
    row: Callable[[Row, Cell, Here, Asked], Row]


def all_heads(here: Here) -> tuple[Component, ...]:
    """Every head of the model, layer by layer."""
    return tuple(Component(layer, head) for layer in range(here.layers) for head in range(here.heads))


def task_of(cell: Cell, here: Here) -> Task:
    """What the check requires of the clean model: its own or its prompt set's words, else the family's."""
    assert cell.prompts is not None
    own = cell.check.requires or cell.prompts.requires
    family = here.prompts.family
    return Task(own or family.requires or {"top1": family.requires_top1}, explicit=bool(own))
