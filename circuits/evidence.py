"""The figures, profiles and patterns beside a claim's rows; a figure's name holds a digest, so it is drawn once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from circuits.claims.claim import Ablate, Attends, Keep, LossMap, Score
from circuits.claims.keys import WEIGHT_SCORES
from circuits.claims.sets import Back, walk
from circuits.errors import Unmeasurable
from circuits.kinds.ablate import alone, runs
from circuits.kinds.attends import candidates, own_prompts, questions
from circuits.kinds.kind import Cell, Draw, Here, all_heads
from circuits.kinds.score import members
from circuits.measure.attention import mean_over_prompts
from circuits.measure.cache import digest
from circuits.measure.cells import Question, question, score_selector
from circuits.measure.metrics import metric_values
from circuits.measure.picture import Picture
from circuits.measure.profile import Profile, profile_json
from circuits.measure.series import View
from circuits.report.effect_figures import EffectsFigure, LossMapFigure
from circuits.report.figures import AblationFigure, AttentionFigure, ScoreFigure
from circuits.report.profile_figures import ProfileFigure
from circuits.report.rank_figures import RankFigure
from circuits.verdict.decide import Row, mean_of
from circuits.verdict.ranking import harm_sign

Figure = dict[str, str] | None

MOST_TOKENS = 128
"""A longer pattern is not kept in the record: nobody could read it token by token."""

_COLOURS = {"mass": "mean attention mass", "top1": "share of top-1 attention", "lift": "lift over uniform attention"}


def figure_of(row: Row, cell: Cell, here: Here) -> Figure:
    """The figure of one measured row, drawn; None where it has none or figures are not wanted."""
    if here.draw is None:
        return None
    what = cell.check.what
    if isinstance(what, Attends):
        return _attention(row, what, cell, here)
    if isinstance(what, Score) and score_selector(what) is not None:
        return _score(row, what, cell, here)
    if isinstance(what, Score) and what.name in WEIGHT_SCORES and row.get("estimate") is not None:
        return _weights_map(row, what, cell, here)
    if isinstance(what, LossMap) and row.get("points"):
        return _loss_map(row, here.draw)
    if isinstance(what, Ablate) and cell.check.bound.kind == "top" and row.get("estimate") is not None:
        return _ablations_map(row, what, cell, here)
    if isinstance(what, (Ablate, Keep)) and row.get("estimate") is not None:
        found = _effects(row, here.draw)
        return found if found is not None or isinstance(what, Keep) else _ablation(row, what, cell, here)
    return None


def _drawn(path: str | None, alt: str) -> Figure:
    return {"path": path, "alt": alt} if path is not None else None


def _attention(row: Row, what: Attends, cell: Cell, here: Here) -> Figure:
    assert here.draw is not None
    asked, _ = questions(own_prompts(what, here))
    if cell.check.any or cell.check.bound.kind == "top":
        less = f" minus {asked.right.text}" if asked.right is not None else ""
        return _map(row, _COLOURS[what.statistic], f"attention, {what.selector.text}{less}", cell, here)
    head, group = cell.place, here.prompts
    picture = group.picture(asked, head)
    other = _compared_selector(what, asked)
    drawn = AttentionFigure(
        str(cell.head), picture.mean, picture.labels, picture.cells, picture.others if other else None, picture.n,
        f"Attention on {row['prompts']}", asked.left.text, other,
    )  # fmt: skip
    path = here.draw(drawn, f"{cell.head}-attention-{group.key_of(asked.key + str(head) + str(row['prompts']))[:16]}")
    compared = f" and of {other} (compared)" if other else ""
    elsewhere = f"; compared with {what.more_than.text}{_elsewhere(what)}" if what.more_than and not other else ""
    alt = (
        f"mean attention pattern of head {cell.head} on {row['prompts']}, cells of {asked.left.text}{compared} outlined"
    )
    return _drawn(path, alt + elsewhere + (f" (statistic {what.statistic})" if what.statistic != "mass" else ""))


def _elsewhere(what: Attends) -> str:
    """The head and the prompts of the other side of a comparison, where they are others."""
    head = f" of head {what.other_head}" if what.other_head is not None else ""
    return head + (f" on {what.other_prompts.title}" if what.other_prompts is not None else "")


def _compared_selector(what: Attends | Score, asked: Question) -> str | None:
    """The other side of a comparison, where it lies in the same pattern."""
    if asked.right is None or not isinstance(what, Attends) or what.other_head is not None:
        return None
    return asked.right.text


def _score(row: Row, what: Score, cell: Cell, here: Here) -> Figure:
    title = f"{what.name.replace('_', '-')} score"
    return _map(row, title, title, cell, here)


def _map(row: Row, name: str, title: str, cell: Cell, here: Here) -> Figure:
    """A map of all heads on attention: the claimed ones outlined, or the top k, or those that satisfy "some head"."""
    what, group = cell.check.what, here.prompts
    assert isinstance(what, (Attends, Score))
    asked = questions(own_prompts(what, here))[0] if isinstance(what, Attends) else question(what)
    found = group.attention(asked)
    values = mean_over_prompts(found.left if found.right is None else found.left - found.right)
    named = group.key_of(json.dumps([asked.key, row["bound"], row["prompts"]]))
    return _map_of(row, values, cell, here, name, title, f" on {row['prompts']}", named)


def _weights_map(row: Row, what: Score, cell: Cell, here: Here) -> Figure:
    """A copying or successor score of every head; grey are those that write nothing."""
    named = members(what)
    found = here.ov.scores(named).scores
    values = mean_over_prompts(found.copying if what.name == "copying" else found.successor)
    key = here.ov.key_of(json.dumps([what.name, list(named), row["bound"]]))
    score = f"{what.name} score"
    return _map_of(
        row, values, cell, here, score, score, f", {row['members']}", key, nothing="writes nothing, no score"
    )


def _ablations_map(row: Row, what: Ablate, cell: Cell, here: Here) -> Figure:
    """The effect of ablating each head of the model alone, as ``ablation_top_row`` ranks them."""
    group = here.prompts
    values = np.full((here.layers, here.heads), np.nan)
    clean = mean_of(metric_values(what.metric, group.clean))
    for head in all_heads(here):
        after = mean_of(metric_values(what.metric, group.ablated(alone(what, head))))
        if head.head is None or after is None or clean is None:
            continue
        change = after - clean
        values[head.layer, head.head] = {
            "drop_in": -change / clean if clean else np.nan, "change_in": change, "after": after,
        }[what.effect]  # fmt: skip
    key = group.key_of(json.dumps(["effects of all heads", what.metric, what.effect, what.method, row["bound"]]))
    title = f"{what.effect} {what.metric} without each head ({what.method})"
    sign = 1.0 if what.effect == "drop_in" else harm_sign(what.metric)
    return _map_of(row, values, cell, here, what.effect, title, f" on {row['prompts']}", key, sign)


def _map_of(
    row: Row,
    values: np.ndarray,
    cell: Cell,
    here: Here,
    name: str,
    title: str,
    on: str,
    key: str,
    sign: float = 1.0,
    nothing: str | None = None,
) -> Figure:
    """Draw Float[layer, head] with lines over the cells that matter.

    ``name`` labels the colours. ``sign`` -1: low values matter most. ``nothing``: what a grey cell of a score from
    weights means (its values are means over members, not prompts).
    """
    assert here.draw is not None
    check, bound = cell.check, cell.check.bound
    if check.any:
        chosen, why = [p for p in candidates(cell, here) if bound.holds(float(values[p]))], "heads that meet the bound"
    elif bound.kind == "top" and bound.k is not None:
        ordered = sorted(zip(*np.nonzero(np.isfinite(values)), strict=True), key=lambda p: -sign * values[p])
        chosen, why = [(int(layer), int(head)) for layer, head in ordered[: bound.k]], "the highest"
    else:
        chosen, why = [(head.layer, head.head) for head in check.heads if head.head is not None], "claimed"
    places = tuple(chosen)
    drawn = ScoreFigure(
        name, values, places, row["bound"], title + on, int(row["n"]), why,
        "members" if nothing else "prompts", nothing or "not measured",
    )  # fmt: skip
    path = here.draw(drawn, f"score-{digest([key, places])[:16]}")
    outlined = ", ".join(f"{layer}.{head}" for layer, head in places[:12]) + (" and more" if len(places) > 12 else "")
    return _drawn(path, f"{title}{on} by layer and head, {outlined or 'no head'} outlined")


def _loss_map(row: Row, draw: Draw) -> Figure:
    points = tuple((_short_name(p), p["x"], p["y"], p["loss"]) for p in row["points"])
    kinds = tuple(str(p["kind"]) for p in row["points"])
    title = f"Losses of every token on {row['prompts']}"
    drawn = LossMapFigure(points, tuple(row["explained"]), title, kinds)
    path = draw(drawn, f"loss-map-{digest([row['points'], row['explained'], row['prompts']])[:16]}")
    which = " and ".join(
        text for kind, text in (("model", "other models"), ("ablation", "its ablations")) if kind in kinds
    )
    return _drawn(path, f"the model, {which} on the first two principal components of their token losses")


def _short_name(point: dict[str, Any]) -> str:
    """Components by the first few; a model without the owner or folder before its name."""
    name = str(point["name"])
    return _few(name) if point["kind"] == "ablation" else name.rstrip("/").rpartition("/")[2] or name


def _few(name: str, most: int = 3) -> str:
    """The names of many components by the first few."""
    parts = name.split(", ")
    return name if len(parts) <= most else f"{', '.join(parts[: most - 1])} + {len(parts) - most + 1}"


def _effects(row: Row, draw: Draw) -> Figure:
    """A circuit against random ones of its size, or an effect beside those it is made of."""
    beside, random = row.get("beside"), row.get("random") or {}
    if not beside and (random.get("median") is None or row["statistic"] not in ("recovers", "faithfulness")):
        return None
    rows: list[tuple[str, float, float | None, float | None, str]] = []
    name = (row.get("circuit") or {}).get("name") or "claimed"
    label = "interaction (the difference of the two below)" if row["statistic"] == "interaction" else str(name)
    rows.append((label, row["estimate"], row["low"], row["high"], "claimed"))
    for other in [beside] if isinstance(beside, dict) else beside or []:
        if other.get("value") is not None:
            rows.append((other["label"], other["value"], other.get("low"), other.get("high"), "beside"))
    if random.get("median") is not None and row["statistic"] in ("recovers", "faithfulness"):
        rows.append(
            (
                f"{random['count']} random circuits (median, range)",
                random["median"],
                random["min"],
                random["max"],
                "random",
            )
        )
    drawn = EffectsFigure(tuple(rows), row["bound_low"], row["bound_high"], row["percent"], str(row["check"]))
    return _drawn(
        draw(drawn, f"effects-{digest([rows, row['bound'], row['check']])[:16]}"),
        f"{row['check']}: effects with intervals",
    )


def _ablation(row: Row, what: Ablate, cell: Cell, here: Here) -> Figure:
    """What one ablation does to every prompt: the answer's rank where the metric is one, else the metric before and after."""
    assert here.draw is not None
    group, asked = here.prompts, runs(cell, here)
    names = ("F(C)", "F(C\\A)") if what.within is not None else (None, "F(M\\A)")
    before, after = (group.clean if name is None else group.ablated(asked[name]) for name in names)
    parts = _few(", ".join(row["ablated"]))
    where = f" at {what.at}" if what.at is not None else ""
    title = f"without {parts}{where} ({what.method}) on {row['prompts']}"
    ranked = what.metric == "answer_rank" or what.metric.startswith("top")
    fell = tuple((str(token), int(count)) for token, count in row.get("fell_to") or ())
    about = ["ranks", *map(str, fell)] if ranked else [what.metric]  # rows of the same ranks and tokens share a figure
    key = group.key_of(json.dumps([*about, *map(str, (what.components, what.method, what.at, what.within))]))
    name = f"{'+'.join(row['ablated'][:2])}-ablation-{key[:16]}"
    was = "clean" if what.within is None else "circuit alone"
    if ranked:
        ranks = RankFigure(before["answer_rank"], after["answer_rank"], f"Rank of the answer {title}", fell, was)
        return _drawn(here.draw(ranks, name), f"ranks of the answer {title}, and before")
    if what.metric == "kl":  # a distance from the clean run has no value before
        return None
    was_values, now = metric_values(what.metric, before), metric_values(what.metric, after)
    name_alone = str(what.metric)  # an own metric's name carries its functions, which no other process can have
    drawn = AblationFigure(was_values, now, name_alone, f"{what.metric} {title}")
    return _drawn(here.draw(drawn, name), f"{what.metric} of every prompt {title}, against before")


def profiles_of(cells: Sequence[Cell], places: Sequence[Here]) -> list[dict[str, Any]]:
    """Attention by distance and by class of every claimed head on every prompt set, with its figure (no report: none)."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    about: dict[tuple[str, str], tuple[Draw, Profile, View]] = {}
    for cell, here in zip(cells, places, strict=True):
        what = cell.check.what
        if not isinstance(what, Attends) or cell.head is None or here.draw is None:
            continue
        group = here.prompts
        assert cell.prompts is not None
        key = (str(cell.head), cell.prompts.title)
        marked = _offsets(what, group)
        if key in found:
            found[key]["marked"] = sorted({*found[key]["marked"], *marked})
            continue
        profile = group.profile(cell.place)
        about[key] = (here.draw, profile, group)
        found[key] = {"head": key[0], "prompts": key[1], "marked": sorted(marked), **profile_json(profile)}
    for (head, prompts), entry in found.items():
        draw, profile, group = about[head, prompts]
        drawn = ProfileFigure(
            head, profile.offsets, profile.bos, profile.classes, profile.matrix, profile.n,
            f"Where {head} looks on {prompts}", tuple(entry["marked"]),
        )  # fmt: skip
        name = json.dumps(["profile", head, prompts, entry["marked"]])
        path = draw(drawn, f"{head}-profile-{group.key_of(name)[:16]}")
        alt = f"attention of head {head} on {prompts} by distance from the query and from class to class"
        entry["figure"] = _drawn(path, alt)
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
        than = _compared_selector(what, asked)
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
    values = {"period": group.facts["period"], **group.prompt_set.variables}
    selectors = [what.selector, *([what.more_than] if what.more_than is not None else [])]
    backs = [part for selector in selectors for part in walk(selector.key) if isinstance(part, Back)]
    found = {back.constant for back in backs if back.variable is None}
    for back in backs:
        value = values.get(back.variable) if back.variable is not None else None
        if value is not None:
            found.add(back.factor * int(value) + back.constant)
    return {distance for distance in found if distance > 0}
