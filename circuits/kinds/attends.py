"""``attends: Q -> K``: attention of one head, compared with another selector, head or prompt set."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from circuits.claims.claim import Attends
from circuits.claims.heads import Component
from circuits.kinds.kind import Cell, Here, Kind, Quantity, all_heads
from circuits.measure.attention import AttentionValues
from circuits.measure.cells import Question, question
from circuits.measure.view import View
from circuits.verdict.compare import all_differences, compared_row, side_of
from circuits.verdict.decide import Asked, Row
from circuits.verdict.ranking import any_row, attention_top_row
from circuits.verdict.rows import attention_row, clean_facts, heads_passing, place_of


def _plan(cell: Cell, here: Here) -> list[Quantity]:
    what = _what(cell, here)
    asked, other = questions(what)
    # Without a report nobody reads a picture or a profile, and another head then needs no pass of its own.
    profiled = [cell.place] if cell.head is not None and here.draw is not None else []
    pictured = [] if cell.check.bound.kind == "top" else profiled  # a place among all heads is shown on their map
    found: list[Quantity] = [(here.series, here.series.plan_attention(asked, pictured, profiled))]
    if other is not None:
        assert here.compared is not None
        found.append((here.compared, here.compared.plan_attention(other, [])))
    return found


def _what(cell: Cell, here: Here) -> Attends:
    assert isinstance(cell.check.what, Attends)
    return own_prompts(cell.check.what, here)


def own_prompts(what: Attends, here: Here) -> Attends:
    """The check as it is measured: a variant compared with itself has the same prompts, and is paired."""
    return replace(what, other_prompts=None) if here.compared is not None and here.compared is here.measured else what


def questions(what: Attends) -> tuple[Question, Question | None]:
    """The question asked of a check's own prompts, and the one asked of other prompts (None: same prompts)."""
    if what.other_prompts is None:
        return question(what), None
    assert what.more_than is not None
    return question(replace(what, more_than=None)), question(replace(what, selector=what.more_than, more_than=None))


def asked(what: Attends) -> Row:
    """What a check asks, as its row says it."""
    return {
        "statistic": what.statistic, "metric": None, "method": None, "ablated": None,
        "excluding": list(what.excluding), "more_than": what.more_than.text if what.more_than else None,
    }  # fmt: skip


def _unmeasured(what: Attends) -> Row:
    if what.more_than is None:
        return asked(what)
    other = {
        "attends": what.more_than.text,
        "head": str(what.other_head) if what.other_head else None,
        "prompts": what.other_prompts.title if what.other_prompts else None,
    }
    return asked(what) | {"other": other}


def _row(row: Row, cell: Cell, here: Here, how: Asked) -> Row:
    what, group, bound = _what(cell, here), here.prompts, cell.check.bound
    own, elsewhere = questions(what)
    row |= asked(what)
    values = group.attention(own)
    if cell.check.any:
        row = any_row(row, own, values, candidates(cell, here), bound, how)
    elif what.other_head is not None or elsewhere is not None:
        row = _compared(row, cell, here, own, elsewhere, values, how)
    elif bound.kind == "top":
        row = attention_top_row(row, own, values, cell.place, bound, how)
    else:
        row = attention_row(row, own, values, cell.place, bound, how)
    return with_clean(row, group, how)


def _compared(
    row: Row, cell: Cell, here: Here, asked: Question, elsewhere: Question | None, values: AttentionValues, how: Asked
) -> Row:
    """A comparison with another head, on the same prompts (paired) or on others."""
    what = _what(cell, here)
    head = what.other_head or cell.head
    assert head is not None and head.head is not None and what.more_than is not None
    other = (head.layer, head.head)
    here_name, selector = str(row["prompts"]), what.more_than.text
    left = side_of(values, cell.place, what.selector.text, here_name)
    there = None
    if elsewhere is None:
        right = side_of(values, other, selector, here_name, right=True)
    else:
        assert here.other is not None and what.other_prompts is not None
        there = here.other.attention(elsewhere)
        right = side_of(there, other, selector, what.other_prompts.title)
    excluded = " and ".join(asked.excluding)
    row = compared_row(row, left, right, what.statistic, there is None, cell.check.bound, how, excluded)
    if here.other is not None and elsewhere is not None:
        row["other"]["clean"] = _clean(here.other, how)
    if row["estimate"] is None:
        return row
    means = all_differences(values, there, other if what.other_head is not None else None)
    return row | heads_passing(means, cell.check.bound) | place_of(means, cell.place)


def candidates(cell: Cell, here: Here) -> list[tuple[int, int]]:
    """The heads among which some one is claimed: those named, or all of the model."""
    named: tuple[Component, ...] = cell.check.heads or all_heads(here)
    return [(head.layer, head.head) for head in named if head.head is not None]


def with_clean(row: Row, group: View, how: Asked) -> Row:
    """The clean accuracy beside a row of attention, where the prompts have answers."""
    return row | {"clean": _clean(group, how)}


def _clean(group: View, how: Asked) -> dict[str, Any] | None:
    return clean_facts(group.clean, how) if group.facts["answers"] else None


ATTENDS = Kind(_plan, _row, _unmeasured)
