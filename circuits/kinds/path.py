"""``path: 2.2 -> 5.5.k``: what is lost when one component's write is patched on its way to one input only."""

from __future__ import annotations

from circuits.claims.claim import Ablate, Path
from circuits.kinds.kind import Cell, Here, Kind, Quantity, task_of
from circuits.measure.group import CLEAN_RUN
from circuits.measure.paths import PathPatch
from circuits.verdict.decide import Asked, Row
from circuits.verdict.rows import ablation_row


def _what(cell: Cell) -> Path:
    assert isinstance(cell.check.what, Path)
    return cell.check.what


def patch_of(what: Path) -> PathPatch:
    """The patched run that a check reads."""
    return PathPatch(what.sender, what.receiver, what.input, what.metric == "loss")


def _plan(cell: Cell, here: Here) -> list[Quantity]:
    return [(here.series, CLEAN_RUN), (here.series, here.series.plan_path(patch_of(_what(cell))))]


def asked(what: Path) -> Row:
    """What a check asks, as its row says it."""
    receiver = str(what.receiver) if what.receiver is not None else None
    return {
        "statistic": what.effect, "metric": what.metric, "method": "resample", "excluding": [], "more_than": None,
        "ablated": None, "path": {"sender": str(what.sender), "input": what.input, "receiver": receiver},
    }  # fmt: skip


def _row(row: Row, cell: Cell, here: Here, how: Asked) -> Row:
    what, group = _what(cell), here.prompts
    row |= asked(what)
    # The numbers of a patched path are judged like those of an ablation of its sender.
    alike = Ablate((what.sender,), "resample", what.effect, what.metric)
    patched = group.path(patch_of(what))
    return ablation_row(row, alike, group.clean, patched, cell.check.bound, task_of(cell, here), how)


PATH = Kind(_plan, _row, asked)
