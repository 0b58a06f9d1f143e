"""``loss_map:``: the model and its ablations as points, by the losses of every token (shown, never judged)."""

from __future__ import annotations

import numpy as np

from circuits.claims.claim import LossMap
from circuits.errors import Unmeasurable
from circuits.kinds.ablate import ablation_of, note_reference
from circuits.kinds.kind import Cell, Here, Kind, Quantity
from circuits.measure.ablation import Ablation
from circuits.measure.group_losses import losses_name, token_losses
from circuits.measure.losses import pca_map
from circuits.verdict.decide import Asked, Row, decide, finite

CLEAN = "clean"


def points(cell: Cell) -> list[tuple[str, Ablation | None]]:
    """Every run by its name, in the order of the claim, the clean model first."""
    what = cell.check.what
    assert isinstance(what, LossMap)
    named = [(", ".join(map(str, parts)), ablation_of(parts, what.method, "loss")) for parts in what.ablations]
    return [(CLEAN, None), *named]


def _plan(cell: Cell, here: Here) -> list[Quantity]:
    found: list[Quantity] = []
    for _, ablation in points(cell):
        if ablation is not None:
            here.series.plan_ablation(ablation)  # so that one pass over the reference prompts serves all of them
        found.append((here.series, losses_name(ablation)))
    return found


def _row(row: Row, cell: Cell, here: Here, how: Asked) -> Row:
    what = cell.check.what
    assert isinstance(what, LossMap)
    note_reference(row, here.prompts, what.method)
    found = points(cell)
    losses = [np.concatenate(token_losses(here.prompts, ablation)) for _, ablation in found]
    unmeasured = [name for (name, _), each in zip(found, losses, strict=True) if not np.isfinite(each).any()]
    if unmeasured:
        raise Unmeasurable(f"the losses are no finite numbers: {', '.join(unmeasured)}")
    places, explained = pca_map(np.stack(losses))
    row |= {"statistic": "token losses", "metric": "loss", "method": what.method, "excluding": [], "more_than": None}
    row |= {"ablated": None, "n": here.prompts.facts["n"], "explained": [float(share) for share in explained]}
    row["points"] = [
        {"name": name, "x": finite(x), "y": finite(y), "loss": finite(float(each.mean())) if each.size else None}
        for (name, _), (x, y), each in zip(found, places.tolist(), losses, strict=True)
    ]
    return decide(row, cell.check.bound, None, how)


LOSS_MAP = Kind(_plan, _row)
