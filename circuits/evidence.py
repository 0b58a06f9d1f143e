"""The figures beside a claim's rows.

A figure's name holds a digest of its values and of every word on it, so that equal ones are drawn once and no two share a file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from circuits.claims.claim import Ablate, Attends, Keep, LossMap, Score
from circuits.claims.heads import Component
from circuits.claims.keys import WEIGHT_SCORES
from circuits.effects import Figure, as_figure, effects_of, few_words, others_after
from circuits.kinds.ablate import alone
from circuits.kinds.attends import candidates, own_prompts, questions
from circuits.kinds.kind import Cell, Here, all_heads
from circuits.kinds.made_of import ends_of, runs_on
from circuits.kinds.score import members
from circuits.measure.attention import mean_over_prompts
from circuits.measure.cache import digest
from circuits.measure.cells import question, score_selector
from circuits.measure.metrics import metric_values
from circuits.measure.picture import Picture
from circuits.patterns import compared_selector, variables_of
from circuits.report.ablation_figures import AblationFigure
from circuits.report.effect_figures import LossMapFigure
from circuits.report.figure_words import (
    counted,
    few,
    foot,
    known_distances,
    meaning,
    short_name,
)
from circuits.report.figures import AttentionFigure, ScoreFigure
from circuits.report.rank_figures import RankFigure
from circuits.report.sheet import unbroken
from circuits.verdict.decide import Row, mean_of
from circuits.verdict.ranking import harm_sign
from circuits.verdict.rows import effect_of_means

_COLOURS = {"mass": "mean attention mass", "top1": "share of top-1 attention", "lift": "lift over uniform attention"}


def figure_of(row: Row, cell: Cell, here: Here, among: Sequence[tuple[Cell, Row]] = ()) -> Figure:
    """The figure of one measured row, drawn; None where it has none or figures are not wanted. ``among``: the claim's rows."""
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
        return _loss_map(row, here)
    if isinstance(what, Ablate) and cell.check.bound.kind == "top" and row.get("estimate") is not None:
        return _ablations_map(row, what, cell, here)
    if isinstance(what, (Ablate, Keep)) and row.get("estimate") is not None:
        found = effects_of(row, cell, here, among)
        return found if found is not None or isinstance(what, Keep) else _ablation(row, what, cell, here)
    return None


def _mean_of(shown: Picture, row: Row, here: Here) -> str:
    """Over which prompts a pattern is the mean, and how many the check has where they are others."""
    group = here.prompts
    first = group.blocks[0].n  # patterns are made of these alone: later prompts are measured only if they are needed
    if shown.n == group.n == row["n"]:
        return counted(shown.n)
    some = f"the first {first}" if first < group.n else f"all {first}"
    over = f"the {shown.n} of {some} prompts that have the first one's template and its {len(shown.labels)} tokens"
    if shown.n == first:
        over = counted(first) if first == group.n else f"the first {counted(first)}"
    return f"mean over {over}; the check has {row['n']}"


def _attention(row: Row, what: Attends, cell: Cell, here: Here) -> Figure:
    assert here.draw is not None
    asked, _ = questions(own_prompts(what, here))
    if cell.check.any or cell.check.bound.kind == "top":
        less = f" minus {asked.right.text}" if asked.right is not None else ""
        named = known_distances(f"{what.selector.text}{less}", what, variables_of(here.prompts))
        return _map(row, _COLOURS[what.statistic], f"attention, {named}", cell, here)
    head, group = cell.place, here.prompts
    picture = group.picture(asked, head)
    other = compared_selector(what, asked)
    values = variables_of(group)
    claimed = known_distances(asked.left.text, what, values)
    elsewhere = (
        f"{known_distances(what.more_than.text, what, values)}{_elsewhere(what)}"
        if what.more_than and not other
        else ""
    )
    told = f"{claimed} (head {cell.head})" if elsewhere else claimed
    absent = f"compared with {elsewhere}: not drawn here" if elsewhere else None
    shown = "; axes: tokens of the first prompt" if picture.n > 1 else ""
    drawn = AttentionFigure(
        str(cell.head), picture.mean, picture.labels, picture.cells, picture.others if other else None, picture.n,
        f"Attention on {row['prompts']}", told, known_distances(other, what, values) if other else None, absent,
        foot(here.model, _mean_of(picture, row, here), row["seed"]) + shown,
    )  # fmt: skip
    about = [asked.key, str(head), drawn.title, drawn.cells_label, drawn.other_label, absent, drawn.foot]
    path = here.draw(drawn, f"{cell.head}-attention-{group.key_of(json.dumps(about))[:16]}")
    compared = f" and of {other} (compared)" if other else ""
    alt = (
        f"mean attention pattern of head {cell.head} on {row['prompts']}, cells of {asked.left.text}{compared} outlined"
    )
    alt += f"; compared with {what.more_than.text}{_elsewhere(what)}" if what.more_than and elsewhere else ""
    return as_figure(path, alt + (f" (statistic {what.statistic})" if what.statistic != "mass" else ""))


def _elsewhere(what: Attends) -> str:
    """The head and the prompts of the other side of a comparison, where they are others."""
    head = f" of head {what.other_head}" if what.other_head is not None else ""
    return head + (f" on {what.other_prompts.title}" if what.other_prompts is not None else "")


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
    named = group.key_of(asked.key)
    return _map_of(row, values, cell, here, name, title, f" on {row['prompts']}", named)


def _weights_map(row: Row, what: Score, cell: Cell, here: Here) -> Figure:
    """A copying or successor score of every head; grey are those that write nothing."""
    named = members(what)
    found = here.ov.scores(named).scores
    values = mean_over_prompts(found.copying if what.name == "copying" else found.successor)
    key = here.ov.key_of(json.dumps([what.name, list(named)]))
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
        effect = effect_of_means(what.effect, clean, after)
        if head.head is not None and effect is not None:
            values[head.layer, head.head] = effect
    key = group.key_of(json.dumps(["effects of all heads", what.metric, what.effect, what.method, what.at]))
    said = {"drop_in": "relative drop of ", "change_in": "change of ", "after": ""}[what.effect] + str(what.metric)
    where = f" at {what.at}" if what.at is not None else ""
    title = f"{said}{meaning(what.metric, ' ({})')} without each head{where} ({what.method})"
    sign = 1.0 if what.effect == "drop_in" else harm_sign(what.metric)
    return _map_of(row, values, cell, here, said, title, f" on {row['prompts']}", key, sign)


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
    ordered = [
        (int(layer), int(head))
        for layer, head in sorted(
            zip(*np.nonzero(np.isfinite(values)), strict=True), key=lambda place: -sign * values[place]
        )
    ]
    extreme = "highest" if sign > 0 else "lowest"
    most, why_beside = ordered[:1], f"the {extreme} of all heads"
    why = "claimed"
    if check.any:
        chosen = [p for p in candidates(cell, here) if bound.holds(float(values[p]))]
        why = "estimates that meet the bound"  # of which the intervals may cross it: no verdict on the heads
    else:
        named = [cell.head] if cell.head is not None else check.heads or _ablated(check.what)
        chosen = [(head.layer, head.head) for head in named if head.head is not None]
    if bound.kind == "top" and bound.k is not None:
        most = ordered[: bound.k]
        others = "others of the " if set(chosen) & set(most) else ""
        why_beside = f"the {others}{bound.k} {extreme}" if bound.k > 1 else f"the {extreme}"
    elif most and any(np.isclose(values[place], values[most[0]]) for place in chosen):
        most = []  # no head is higher than a claimed one
    places, beside = tuple(chosen), tuple(place for place in most if place not in chosen)
    unit = "member" if nothing else "prompt"
    drawn = ScoreFigure(
        name, values, places, row["bound"], title + on, int(row["n"]), why, f"{unit}s", nothing or "not measured",
        beside, why_beside, foot(here.model, counted(int(row["n"]), unit), row["seed"]),
    )  # fmt: skip
    about = [key, places, name, row["bound"], drawn.title, drawn.n, beside, why_beside, drawn.foot]
    path = here.draw(drawn, f"score-{digest(about)[:16]}")
    outlined = ", ".join(f"{layer}.{head}" for layer, head in places[:12]) + (" and more" if len(places) > 12 else "")
    alt = f"{title}{on} by layer and head, {outlined or 'no head'} outlined"
    alt += f" ({why})" if check.any and outlined else ""
    if beside:
        alt += f", and {', '.join(f'{layer}.{head}' for layer, head in beside[:12])} as {why_beside}"
    return as_figure(path, alt)


def _ablated(what: object) -> tuple[Component, ...]:
    return what.components if isinstance(what, Ablate) else ()


def _loss_map(row: Row, here: Here) -> Figure:
    assert here.draw is not None
    points = tuple((short_name(p), p["x"], p["y"], p["loss"]) for p in row["points"])
    kinds = tuple(str(p["kind"]) for p in row["points"])
    title, method = f"Losses of every token on {row['prompts']}", str(row["method"] or "")
    below = foot(here.model, counted(int(row["n"])), row["seed"])
    drawn = LossMapFigure(points, tuple(row["explained"]), title, kinds, method, below)
    path = here.draw(drawn, f"loss-map-{digest([row['points'], row['explained'], title, method, below])[:16]}")
    which = [text for kind, text in (("model", "other models"), ("ablation", "its ablations")) if kind in kinds]
    named = " and ".join([", ".join(["the model", *which[:-1]]), *which[-1:]])
    return as_figure(path, f"{named} on the first two principal components of their token losses")


def _ablation(row: Row, what: Ablate, cell: Cell, here: Here) -> Figure:
    """What one ablation does to every prompt: the answer's rank where the metric is one, else the metric before and after."""
    assert here.draw is not None
    group = here.prompts
    run = runs_on(group, cell, here)
    before, after = (run[name] for name in ends_of(what))
    parts = few(", ".join(row["ablated"]))
    where = f" at {what.at}" if what.at is not None else ""
    where += f" within {what.within.name}" if what.within is not None else ""
    title = f"without {unbroken(parts)}{where} ({what.method}) on {row['prompts']}"
    alt = f"without {parts}{where} ({what.method}) on {row['prompts']}"
    was, below = "clean" if what.within is None else "circuit alone", foot(here.model, counted(group.n), row["seed"])
    ranked = what.metric == "answer_rank" or what.metric.startswith("top")
    fell = tuple((str(token), int(count)) for token, count in row.get("fell_to") or ())
    first = int(what.metric[3:]) if fell and what.metric.startswith("top") else 1
    lost = (int(row["lost"][0]), int(row["lost"][1])) if fell and row.get("lost") else None
    words = "" if ranked else meaning(what.metric)
    # Rows of the same ranks and tokens share a figure.
    about = ["ranks", *map(str, fell), *([str(first), str(lost)] if fell else [])] if ranked else [what.metric, words]
    others = others_after(row, what, here) if not ranked and what.metric != "kl" else ()
    about += [title, was, below, *([str(others)] if others else [])]
    key = group.key_of(json.dumps([*about, *map(str, (what.components, what.method, what.at, what.within))]))
    name = f"{'+'.join(row['ablated'][:2])}-ablation-{key[:16]}"
    if ranked:
        titled = f"Answer's rank {title}"
        ranks = RankFigure(before["answer_rank"], after["answer_rank"], titled, fell, was, first, lost, below)
        return as_figure(here.draw(ranks, name), f"ranks of the answer {alt}, and before")
    if what.metric == "kl":  # a distance from the clean run has no value before
        return None
    was_values, now = metric_values(what.metric, before), metric_values(what.metric, after)
    name_alone = str(what.metric)  # an own metric's name carries its functions, which no other process can have
    drawn = AblationFigure(
        was_values, now, name_alone, f"{what.metric} {title}", was, words, below, others, few_words(row)
    )
    return as_figure(here.draw(drawn, name), f"{what.metric} of every prompt {alt}, against before")
