"""Where heads look, whatever was claimed: their attention by distance and class, and their mean patterns with a claim's cells."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from circuits.claims.claim import Attends, Score
from circuits.claims.sets import Back, walk
from circuits.effects import as_figure
from circuits.errors import Unmeasurable
from circuits.kinds.attends import own_prompts, questions
from circuits.kinds.kind import Cell, Here
from circuits.measure.cells import Question, question, score_selector
from circuits.measure.picture import Picture
from circuits.measure.profile import Profile, profile_json
from circuits.measure.view import View
from circuits.report.figure_words import counted, foot
from circuits.report.profile_figures import ProfileFigure
from circuits.verdict.decide import Row

MOST_TOKENS = 128
"""A longer pattern is not kept in the record: nobody could read it token by token."""


def profiles_of(cells: Sequence[Cell], places: Sequence[Here]) -> list[dict[str, Any]]:
    """Attention by distance and by class of every claimed head on every prompt set, with its figure (no report: none)."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    about: dict[tuple[str, str], tuple[Here, Profile]] = {}
    taken: dict[tuple[str, str], set[int]] = {}
    for cell, here in zip(cells, places, strict=True):
        what = cell.check.what
        if not isinstance(what, Attends) or cell.head is None or here.draw is None:
            continue
        group = here.prompts
        assert cell.prompts is not None
        key = (str(cell.head), cell.prompts.title)
        marked = _offsets(what, group)
        taken.setdefault(key, set()).add(group.n)
        if key in found:
            found[key]["marked"] = sorted({*found[key]["marked"], *marked})
            continue
        profile = group.profile(cell.place)
        about[key] = (here, profile)
        found[key] = {"head": key[0], "prompts": key[1], "marked": sorted(marked), **profile_json(profile)}
    for (head, prompts), entry in found.items():
        here, profile = about[head, prompts]
        assert here.draw is not None
        checks = sorted(taken[head, prompts])
        over = counted(profile.n)
        if checks != [profile.n]:
            have = (
                f"the check has {checks[0]}"
                if len(checks) == 1
                else f"the checks have {' and '.join(map(str, checks))}"
            )
            over = f"the first {over}; {have}"
        drawn = ProfileFigure(
            head, profile.offsets, profile.bos, profile.classes, profile.matrix, profile.n,
            f"Where {head} looks on {prompts}", tuple(entry["marked"]),
            foot(here.model, over, here.prompts.seed),
        )  # fmt: skip
        name = json.dumps(["profile", head, prompts, entry["marked"], drawn.foot])
        path = here.draw(drawn, f"{head}-profile-{here.prompts.key_of(name)[:16]}")
        alt = f"attention of head {head} on {prompts} by distance from the query and from class to class"
        entry["figure"] = as_figure(path, alt)
    return list(found.values())


def patterns_of(cells: Sequence[Cell], places: Sequence[Here], rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The mean pattern of every claimed head on every prompt set, with the cells of each check (no report: none).

    ``per_mille``: [query][key], thousandths, keys up to the query; null where the model's attention is not a number.
    ``labels`` as in ``Picture``. ``marks``: each check's cells as [query, key] pairs, and those it is compared with.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for cell, here, row in zip(cells, places, rows, strict=True):
        asked, what = _pictured(cell, here) if row["n"] else None, cell.check.what
        if asked is None or not isinstance(what, (Attends, Score)):
            continue
        try:
            shown = here.prompts.picture(asked, cell.place)
        except Unmeasurable:
            continue
        if len(shown.labels) > MOST_TOKENS:
            continue
        head, prompts = str(cell.head), str(row["prompts"])
        about = {"head": head, "prompts": prompts, "n": shown.n, "labels": list(shown.labels)}
        entry = found.setdefault((head, prompts), {**about, "per_mille": _per_mille(shown), "marks": []})
        than = compared_selector(what, asked)
        others = _pairs(shown.others) if than is not None and shown.others is not None else None
        mark = {"selector": asked.left.text, "cells": _pairs(shown.cells), "than": than, "others": others}
        if mark not in entry["marks"]:
            entry["marks"].append(mark)
    return list(found.values())


def _pictured(cell: Cell, here: Here) -> Question | None:
    """The question whose cells are shown on a head's mean pattern; None where a row has no such pattern."""
    what, one_head = cell.check.what, cell.head is not None and not cell.check.any
    if here.draw is None or not one_head or cell.check.bound.kind == "top":
        return None
    if isinstance(what, Attends):
        return questions(own_prompts(what, here))[0]
    if not isinstance(what, Score) or score_selector(what) is None:
        return None
    asked = question(what)
    return asked if asked.own is None else None  # a score computed from whole patterns has no cells of its own


def _per_mille(shown: Picture) -> list[list[int | None]]:
    rows = (shown.mean[query, : query + 1] for query in range(len(shown.labels)))
    return [[round(1000 * value) if np.isfinite(value) else None for value in row.tolist()] for row in rows]


def _pairs(cells: np.ndarray) -> list[list[int]]:
    return [[int(query), int(key)] for query, key in np.argwhere(np.tril(cells))]


def _offsets(what: Attends, group: View) -> set[int]:
    """The distances that a check names, n-3 or n-{period-1}, where all prompts share the period or variable."""
    values = variables_of(group)
    selectors = [what.selector, *([what.more_than] if what.more_than is not None else [])]
    backs = [part for selector in selectors for part in walk(selector.key) if isinstance(part, Back)]
    found = {back.constant for back in backs if back.variable is None}
    for back in backs:
        value = values.get(back.variable) if back.variable is not None else None
        if value is not None:
            found.add(back.factor * int(value) + back.constant)
    return {distance for distance in found if distance > 0}


def variables_of(group: View) -> dict[str, Any]:
    """The variables of selectors on these prompts; None where a prompt set has no period."""
    return {"period": group.facts["period"], **group.prompt_set.variables}


def compared_selector(what: Attends | Score, asked: Question) -> str | None:
    """The other side of a comparison, where it lies in the same pattern."""
    if asked.right is None or not isinstance(what, Attends) or what.other_head is not None:
        return None
    return asked.right.text
