"""The figure of a circuit beside random ones of its size, or of an effect beside those that it is made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple
from statistics import median

from circuits.claims.claim import Ablate, Keep
from circuits.kinds.ablate import runs
from circuits.kinds.base_rate import mean_before
from circuits.kinds.keep import Runs
from circuits.kinds.kind import Cell, Here
from circuits.measure.cache import digest
from circuits.report import random_parts
from circuits.report.effect_figures import EffectRow, EffectsFigure
from circuits.report.figure_words import Told, counted, few, foot, told_keep, told_removal
from circuits.verdict.circuit_rows import distance
from circuits.verdict.decide import Row

Figure = dict[str, str] | None


def as_figure(path: str | None, alt: str) -> Figure:
    """A drawn figure as a row has it; None where none was drawn."""
    return {"path": path, "alt": alt} if path is not None else None


def effects_of(row: Row, cell: Cell, here: Here, among: Sequence[tuple[Cell, Row]] = ()) -> Figure:
    """The drawn figure of a row; None where it has nothing beside it. ``among``: all rows of the claim.

    A circuit's recovery and its normalised one, judged by one bound in two checks of a claim, share a figure.
    """
    what = cell.check.what
    assert here.draw is not None and isinstance(what, (Ablate, Keep))
    random = row.get("random") or {}
    if not row.get("beside") and random.get("median") is None:
        return None
    told = told_keep(row, what) if isinstance(what, Keep) else told_removal(row, what)
    if row["statistic"] in ("sufficiency", "partial_necessity"):
        return _drawn_share(row, what, told, cell, here)
    rows = [_judged(told.labels[0], row), *_beside(told, row), *_random(row)]
    twin = _twin(row, cell, among)
    if twin is not None:
        assert isinstance(what, Keep)
        pair = [(cell, row), twin] if not what.normalised else [twin, (cell, row)]
        names = [told_keep(each, one.check.what).labels[0] for one, each in pair if isinstance(one.check.what, Keep)]
        rows = [_judged(label, each) for label, (_, each) in zip(names, pair, strict=True)]
        rows += [
            shown for (_, each), also in zip(pair, ("", "normalised: "), strict=True) for shown in _random(each, also)
        ]
    bounds = row["bound_low"], row["bound_high"]
    below = foot(here.model, counted(int(row["n"])), row["seed"])
    drawn = EffectsFigure(
        tuple(rows), *bounds, bool(row["percent"]), told.title, told.quantity, told.detail, below
    )  # fmt: skip
    return _drawn(drawn, here)


def _drawn(drawn: EffectsFigure, here: Here) -> Figure:
    assert here.draw is not None
    path = here.draw(drawn, f"effects-{digest(list(astuple(drawn)))[:16]}")
    return as_figure(path, f"{drawn.title}: values and intervals")


def _judged(label: str, row: Row) -> EffectRow:
    return label, row["estimate"], row["low"], row["high"], "claimed"


def _beside(told: Told, row: Row) -> list[EffectRow]:
    beside = row.get("beside") or []
    others = [beside] if isinstance(beside, dict) else beside
    return [
        (label, other["value"], other.get("low"), other.get("high"), "beside")
        for label, other in zip(told.labels[1:], others, strict=True)
        if other.get("value") is not None
    ]


def _random(row: Row, also: str = "") -> list[EffectRow]:
    random = row.get("random") or {}
    values = random_parts.values(row)
    if values:
        label = f"interaction of {len(values)} others in place of {few(', '.join(row['ablated']))} (median, range)"
        return [(label, median(values), min(values), max(values), "random")]
    if random.get("median") is None:
        return []
    label = f"{also}{counted(random['count'], 'random circuit')} of as many (median, range)"
    return [(label, random["median"], random["min"], random["max"], "random")]


def others_after(row: Row, what: Ablate, here: Here) -> tuple[tuple[float, float], ...]:
    """The means of a metric before and after each ablation of random parts; none within a circuit, whose own run is the one before."""
    values = random_parts.values(row)
    before = mean_before(here, what.metric) if values and what.within is None else None
    if before is None:
        return ()
    if what.effect == "drop_in":
        values = [before * (1 - value) for value in values]
    elif what.effect == "change_in":
        values = [before + value for value in values]
    return tuple((before, value) for value in values)


def few_words(row: Row) -> str:
    """ ", first 8 prompts": on which prompts random parts were measured, where they are not those of the row."""
    n = random_parts.of(row).get("n")
    return f", first {counted(n)}" if n is not None and n != row["n"] else ""


def _twin(row: Row, cell: Cell, among: Sequence[tuple[Cell, Row]]) -> tuple[Cell, Row] | None:
    """The row of a claim that judges the same recovery in its other form (normalised or not) by the same bound."""
    what = cell.check.what
    if not isinstance(what, Keep) or what.statistic != "recovers":
        return None
    for other, found in among:
        also = other.check.what
        if not isinstance(also, Keep) or other.prompts != cell.prompts or also.normalised == what.normalised:
            continue
        same = (also.circuit, also.method, also.statistic, also.metric) == (
            what.circuit, what.method, what.statistic, what.metric,
        )  # fmt: skip
        judged_alike = all(
            found.get(key) == row.get(key) for key in ("bound", "bound_low", "bound_high", "percent", "n")
        )
        if same and judged_alike and found.get("estimate") is not None:
            return other, found
    return None


def _drawn_share(row: Row, what: Ablate | Keep, told: Told, cell: Cell, here: Here) -> Figure:
    """A circuit's distance from the model beside those of random ones, of which the row's value is a share.

    The bound on the share is drawn at the distance that the circuit must keep to meet it.
    """
    nearer = isinstance(what, Keep)
    parts = row.get("parts") or {}
    changed, whole = parts.get("F(C)" if nearer else "F(M\\C)"), parts.get("F(M)")
    if changed is None or whole is None:
        return None
    own: EffectRow = (told.labels[0], abs(whole - changed), None, None, "claimed")
    distances = _distances(what, cell, here)
    least, most = (
        place_of_share(distances, row[end], end == "bound_low", nearer) for end in ("bound_low", "bound_high")
    )
    below = foot(here.model, counted(here.prompts.n), row["seed"])
    others = "circuits are farther" if nearer else "sets change it less"
    words = f"{str(row['bound']).replace('_', ' ')} of the random {others}"
    drawn = EffectsFigure(
        (own, *_random(row)), *((most, least) if nearer else (least, most)), False, told.title, told.quantity,
        told.detail, below, words,
    )  # fmt: skip
    return _drawn(drawn, here)


def _distances(what: Ablate | Keep, cell: Cell, here: Here) -> list[float]:
    """How far each random circuit, or the model without each random set, is from the whole model; what has no value is left out."""
    group = here.prompts
    if isinstance(what, Keep):
        drawn = Runs(cell, here)
        asked = [drawn.kept(circuit) for circuit in drawn.random]
    else:
        asked = [ablation for name, ablation in runs(cell, here).items() if name.startswith("random ")]
    found = [distance(what.metric, group.clean, group.ablated(ablation)) for ablation in asked]
    return [each for each in found if math.isfinite(each)]


def place_of_share(distances: Sequence[float], share: float | None, least: bool, nearer: bool) -> float | None:
    """The distance at which a bound on the share of random circuits lies; None where there is no bound, or none is met there.

    ``nearer``: the share is of those farther than the circuit, so that at least this share means nearer than the place; else
    of those nearer than it. ``least``: the bound is "at least", which a circuit at the place itself does not meet.
    """
    if share is None:
        return None
    ordered = sorted(distances, reverse=nearer)
    count = share * len(ordered)
    number = math.ceil(count - 1e-9) if least else math.floor(count + 1e-9) + 1
    return ordered[number - 1] if 1 <= number <= len(ordered) else None
