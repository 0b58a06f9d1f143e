"""The controls that stand beside a check: does its bound hold where there is nothing to find, or of any other parts?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.claims.claim import Ablate, Attends, Path, Score
from circuits.kinds.attends import candidates, own_prompts, questions
from circuits.kinds.base_rate import base_rate_of
from circuits.kinds.kind import Cell, Here
from circuits.measure.cells import Question, question, score_selector
from circuits.measure.group_losses import in_context_on_partners
from circuits.verdict.ranking import merit


def controls_of(cell: Cell, here: Here, random: int) -> dict[str, Any] | None:
    """``broken``, ``permuted`` and ``random``: values, and how often they satisfy the bound. None where it has no such control.

    The first two are of attention and attention scores on one prompt set, with a bound on a value, and of the in-context-learning score
    (on the partners alone); "some head" takes the head that satisfies the bound best. A value is null where the selectors find nothing.
    The last is of ablations and paths: ``random`` sets of other parts (see ``base_rate``).
    """
    if isinstance(cell.check.what, (Ablate, Path)):
        found = base_rate_of(cell, here, random)
        return None if found is None else {"broken": None, "permuted": [], "random": found}
    if isinstance(cell.check.what, Score) and cell.check.what.name == "in_context_learning":
        return _in_context(cell, here)
    asked = plan_controls(cell, here)
    if asked is None:
        return None
    there = here.prompts.controls(asked)
    return {
        "broken": None if there.broken is None else _one(there.broken, cell, here),
        "permuted": [_one(each, cell, here) for each in there.permuted],
        "random": None,
    }


def _in_context(cell: Cell, here: Here) -> dict[str, Any] | None:
    """The model's score on the corrupted partners; shuffled weights predict nothing, and are not asked."""
    bound = cell.check.bound
    value = None if bound.kind in ("observe", "top") else in_context_on_partners(here.prompts)
    if value is None:
        return None
    known = bool(np.isfinite(value))
    broken = {"value": value if known else None, "holds": known and bound.holds_of_control(value)}
    return {"broken": broken, "permuted": [], "random": None}


def plan_controls(cell: Cell, here: Here) -> Question | None:
    """Ask for the controls of a cell as deep as its heads lie; the question they are of, None without such controls."""
    asked = _question(cell, here)
    if asked is not None:
        what = cell.check.what
        places = candidates(cell, here) if cell.check.any else [cell.place]
        other = what.other_head if isinstance(what, Attends) else None
        layers = [layer for layer, _ in places] + ([other.layer] if other is not None else [])
        here.series.plan_controls(asked, 1 + max(layers))
    return asked


def _question(cell: Cell, here: Here) -> Question | None:
    what, bound = cell.check.what, cell.check.bound
    if bound.kind in ("observe", "top"):
        return None
    if isinstance(what, Score):
        return question(what) if score_selector(what) is not None else None
    if not isinstance(what, Attends):
        return None
    own, other = questions(own_prompts(what, here))
    return own if other is None else None


def _one(means: NDArray[np.float64], cell: Cell, here: Here) -> dict[str, Any]:
    """A value on one control, Float[side, layer, head], and whether it satisfies the bound.

    "Some head" is the one that satisfies it best there, named by ``head``: seldom the one that does on the real prompts.
    """
    what, bound = cell.check.what, cell.check.bound
    other = what.other_head if isinstance(what, Attends) else None
    values = {}
    for place in candidates(cell, here) if cell.check.any else [cell.place]:
        value = float(means[0][place])
        if len(means) > 1:
            against = (other.layer, other.head) if other is not None and other.head is not None else place
            value -= float(means[1][against])
        values[f"{place[0]}.{place[1]}"] = value
    there = {head: value for head, value in values.items() if np.isfinite(value)}
    if not there:
        return {"value": None, "holds": False}
    best = max(there, key=lambda head: (bound.holds_of_control(there[head]), merit(there[head], bound)))
    found = {"value": there[best], "holds": bound.holds_of_control(there[best])}
    return found | ({"head": best} if cell.check.any else {})
