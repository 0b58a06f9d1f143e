"""A check's value on the prompts of each answer, where there are so few answers that one of them could carry it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.claims.claim import Ablate, Attends, Keep, Path
from circuits.kinds.attends import own_prompts, questions
from circuits.kinds.keep import Runs
from circuits.kinds.kind import Cell, Here
from circuits.kinds.made_of import before_and_after, runs_on, value_of
from circuits.measure.metrics import Values, metric_values
from circuits.verdict.circuit_rows import recovered_share
from circuits.verdict.decide import finite, mean_of
from circuits.verdict.rows import differences

MOST_ANSWERS = 6
Means = Mapping[str, float | None]


def by_answer(cell: Cell, here: Here) -> list[dict[str, Any]] | None:
    """``answer`` (its text), ``n`` prompts and the check's ``value`` on them, for each of the first answers of a cell's prompts.

    ``before``, ``after``: the means that the value of an intervention is made of. Of attention of one head, ablations, paths and
    recoveries, on one prompt set; None of other checks, and where the prompts have no answers, one or more than MOST_ANSWERS. A
    value is null where these prompts have none: a share of nothing, or of less, has no meaning. In the order of the texts.
    """
    if here.measured is None or cell.check.any:
        return None
    facts = here.prompts.facts
    if not facts["answers"] or not 1 < facts["distinct_answers"] <= MOST_ANSWERS:
        return None
    texts = here.series.answers(here.prompts.n)
    chosen = {str(text): np.array([each == text for each in texts]) for text in dict.fromkeys(texts)}
    values = _values(cell, here, list(chosen.values()))
    if values is None:
        return None
    told = [
        {"answer": text, "n": int(which.sum()), **each}
        for (text, which), each in zip(chosen.items(), values, strict=True)
    ]
    return sorted(told, key=lambda each: (len(each["answer"]), each["answer"]))


def _values(cell: Cell, here: Here, chosen: Sequence[NDArray[np.bool_]]) -> list[dict[str, Any]] | None:
    """``value``, ``before`` and ``after`` on each choice of prompts, Bool[prompt]; None of a check that is not of these alone."""
    what = cell.check.what
    if isinstance(what, Attends):
        asked, elsewhere = questions(own_prompts(what, here))
        if elsewhere is not None or what.other_head is not None or cell.head is None:
            return None
        each = differences(here.prompts.attention(asked))[cell.place]
        return [{"value": mean_of(each[which]), "before": None, "after": None} for which in chosen]
    if isinstance(what, Keep) and what.statistic == "recovers":
        return [_recovered(what.normalised, means) for means in _means(what.metric, _kept(cell, here), chosen)]
    if not isinstance(what, (Ablate, Path)) or what.effect == "partial_necessity" or what.metric == "answer_rank":
        return None  # a share of random sets, a median
    return [_of_intervention(what, means) for means in _means(what.metric, runs_on(here.prompts, cell, here), chosen)]


def _means(metric: str, runs: Mapping[str, Values], chosen: Sequence[NDArray[np.bool_]]) -> list[Means]:
    """The metric's mean in every run on each choice of prompts."""
    values = {name: metric_values(metric, run) for name, run in runs.items()}
    return [{name: mean_of(each[which]) for name, each in values.items()} for which in chosen]


def _of_intervention(what: Ablate | Path, means: Means) -> dict[str, Any]:
    before, after = before_and_after(what, means)
    relative = what.effect in ("drop_in", "interaction")
    known = not relative or (before is not None and before > 0)
    value = finite(value_of(what, means)) if known else None
    if what.effect == "interaction":  # made of four runs, of which no two are its before and after
        return {"value": value, "before": None, "after": None}
    return {"value": value, "before": before, "after": after}


def _kept(cell: Cell, here: Here) -> dict[str, Values]:
    """F(M), F(C) and F(0) of a recovery."""
    runs = Runs(cell, here)
    return {
        "F(M)": here.prompts.clean,
        "F(C)": runs.values(runs.kept(runs.circuit)),
        "F(0)": runs.values(runs.kept(runs.nothing)),
    }


def _recovered(normalised: bool, means: Means) -> dict[str, Any]:
    """F(C) / F(M), or both less F(0)."""
    whole, part = means["F(M)"], means["F(C)"]
    base = means["F(0)"] if normalised else 0.0
    known = whole is not None and base is not None and whole > base
    return {"value": finite(recovered_share(part, whole, base)) if known else None, "before": whole, "after": part}
