"""A check's value on the prompts of each answer, where there are so few answers that one of them could carry it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.claims.claim import Ablate, Attends, Path
from circuits.kinds.attends import own_prompts, questions
from circuits.kinds.base_rate import runs_on, value_of
from circuits.kinds.kind import Cell, Here
from circuits.measure.metrics import metric_values
from circuits.verdict.decide import mean_of
from circuits.verdict.rows import differences

MOST_ANSWERS = 6


def by_answer(cell: Cell, here: Here) -> list[dict[str, Any]] | None:
    """``answer`` (its text), ``n`` prompts and the check's ``value`` on them, for each of the first answers of a cell's prompts.

    Of attention of one head, of ablations and of paths, on one prompt set; None of other checks, and where the prompts
    have no answers, one or more than MOST_ANSWERS. A value is null where these prompts have none. In the order of the answers' texts.
    """
    if here.measured is None or cell.check.any or not isinstance(cell.check.what, (Attends, Ablate, Path)):
        return None
    answers = here.series.answers(here.prompts.n)
    if None in answers or not 1 < len(set(answers)) <= MOST_ANSWERS:
        return None
    chosen = {str(answer): np.array(answers) == answer for answer in set(answers)}
    values = _values(cell, here, list(chosen.values()))
    if values is None:
        return None
    found = zip(chosen.items(), values, strict=True)
    told = [{"answer": text, "n": int(which.sum()), "value": value} for (text, which), value in found]
    return sorted(told, key=lambda each: (len(each["answer"]), each["answer"]))


def _values(cell: Cell, here: Here, chosen: list[NDArray[np.bool_]]) -> list[float | None] | None:
    """The check's value on each choice of prompts, Bool[prompt]; None where it has none that is of these prompts alone."""
    what = cell.check.what
    if isinstance(what, Attends):
        asked, elsewhere = questions(own_prompts(what, here))
        if elsewhere is not None or what.other_head is not None or cell.head is None:
            return None
        each = differences(here.prompts.attention(asked))[cell.place]
        return [mean_of(each[which]) for which in chosen]
    assert isinstance(what, (Ablate, Path))
    if (isinstance(what, Ablate) and what.effect == "partial_necessity") or what.metric == "answer_rank":
        return None  # a share of random sets, a median
    runs = {name: metric_values(what.metric, run) for name, run in runs_on(here.prompts, cell, here).items()}
    return [value_of(what, {name: mean_of(each[which]) for name, each in runs.items()}) for which in chosen]
