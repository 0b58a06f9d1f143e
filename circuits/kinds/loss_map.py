"""``loss_map:``: the model, its ablations and other models as points, by the losses of every token (shown, never judged)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from circuits.claims.claim import LossMap
from circuits.errors import PromptFault, Unmeasurable
from circuits.kinds.ablate import ablation_of, note_reference
from circuits.kinds.kind import Cell, Here, Kind, Other, Quantity
from circuits.measure.ablation import Ablation
from circuits.measure.group_losses import losses_name, token_losses, tokens_digest
from circuits.measure.losses import pca_map
from circuits.measure.series import Series
from circuits.measure.view import View
from circuits.verdict.decide import Asked, Row, decide, finite
from circuits.verdict.rows import NOTHING_MEASURED
from circuits.verdict.verdict import Verdict

CLEAN = "clean"
OTHER_TOKENS = "token losses of two tokenizers cannot be laid side by side"


@dataclass(frozen=True)
class Run:
    """One point: ``kind`` is clean (the suite's model as it is), model (another one, as it is) or ablation."""

    name: str
    kind: str
    series: Series
    ablation: Ablation | None = None


def points(cell: Cell, here: Here) -> list[Run]:
    """Every run, the clean model first, then the other models and the ablations in the order of the claim."""
    what = cell.check.what
    assert isinstance(what, LossMap)
    others = [Run(other.name, "model", other.series) for other in here.others]
    named = [(", ".join(map(str, parts)), ablation_of(parts, what.method, "loss")) for parts in what.ablations]
    without = [Run(name, "ablation", here.series, ablation) for name, ablation in named]
    return [Run(here.model if others else CLEAN, CLEAN, here.series), *others, *without]


def _plan(cell: Cell, here: Here) -> list[Quantity]:
    found: list[Quantity] = []
    for run in points(cell, here):
        if run.ablation is not None:
            run.series.plan_ablation(run.ablation)  # so that one pass over the reference prompts serves all of them
        found.append((run.series, losses_name(run.ablation)))
    return found


def _must_read_alike(here: Here, other: Other) -> None:
    """Raise Unmeasurable unless another model's tokenizer gives the very tokens of the prompts, ids and texts."""
    try:
        alike = tokens_digest(other.series) == tokens_digest(here.series)
    except PromptFault as problem:
        raise Unmeasurable(f"{other.name} cannot be shown these prompts: {problem}") from problem
    if not alike:
        raise Unmeasurable(f"{other.name} reads other tokens of these prompts than the suite's model: {OTHER_TOKENS}")


def _row(row: Row, cell: Cell, here: Here, how: Asked) -> Row:
    """The map; UNMEASURABLE where there is none, though nothing is judged: a claim of it alone has shown nothing then."""
    try:
        return _map(dict(row), cell, here, how)
    except Unmeasurable as problem:
        row = decide(row | {**NOTHING_MEASURED, "reason": str(problem)}, cell.check.bound, None, how)
        return row | {"verdict": str(Verdict.UNMEASURABLE)}


def _map(row: Row, cell: Cell, here: Here, how: Asked) -> Row:
    what = cell.check.what
    assert isinstance(what, LossMap)
    row |= {"statistic": "token losses", "metric": "loss", "method": what.method, "excluding": [], "more_than": None}
    row["ablated"] = None
    for other in here.others:
        _must_read_alike(here, other)
    if what.ablations:
        note_reference(row, here.prompts, what.method)
    found = points(cell, here)
    losses = [np.concatenate(token_losses(View(run.series, here.at[0]), run.ablation)) for run in found]
    unmeasured = [run.name for run, each in zip(found, losses, strict=True) if not np.isfinite(each).any()]
    if unmeasured:
        raise Unmeasurable(f"the losses are no finite numbers: {', '.join(unmeasured)}")
    shared = np.isfinite(losses).all(0)  # the tokens that the map is made of
    places, explained = pca_map(np.stack(losses))
    row |= {"n": here.prompts.facts["n"], "explained": [float(share) for share in explained]}
    row["points"] = [
        {
            "name": run.name,
            "kind": run.kind,
            "x": finite(x),
            "y": finite(y),
            "loss": finite(float(each.mean())) if each.size else None,
            "apart": _apart(each[shared], losses[0][shared]),
        }
        for run, (x, y), each in zip(found, places.tolist(), losses, strict=True)
    ]
    return decide(row, cell.check.bound, None, how)


def _apart(losses: NDArray[np.float64], clean: NDArray[np.float64]) -> float | None:
    """How far the losses of a run, Float[token], lie from the clean model's: the root of the mean squared difference, in nats."""
    each = losses - clean
    return finite(float(np.sqrt(np.mean(each**2)))) if each.size else None


LOSS_MAP = Kind(_plan, _row)
