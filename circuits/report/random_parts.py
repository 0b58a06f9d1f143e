"""The words for the base rate of an intervention: the same check with other parts, drawn at random, in place of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from circuits.report.record import DASH, number, span, unit_of
from circuits.report.words import listing

Row = Mapping[str, Any]
_MOST_PARTS = 5  # sets of more parts are told by their values alone
_LEVEL = 0.95


def of(row: Row) -> Mapping[str, Any]:
    """The base rate of a row as ``kinds.base_rate`` records it; empty where it has none."""
    found: Mapping[str, Any] = (row.get("controls") or {}).get("random") or {}
    return found if found.get("count") else {}


def values(row: Row) -> list[float]:
    """What the check comes to with each set, where that is a number."""
    return [one["value"] for one in of(row).get("each", ()) if one.get("value") is not None]


def cell(row: Row) -> str:
    """ "4 of 5 satisfy it (0% to 147%), not 1.2": the cell of a table; a dash without a base rate."""
    found = of(row)
    return (
        f"{_satisfy(found)} it{span(values(row), unit_of(row))}{_before(row, found)}{_exceptions(found)}"
        if found
        else DASH
    )


def sentence(row: Row) -> str | None:
    """Every set with its value; None without a base rate."""
    found = of(row)
    if not found:
        return None
    on = "the same" if found.get("n") == row.get("n") else "the first"
    return (
        f"Of {number(found['count'])} other {_parts(found)}, drawn at random in place of the check's own, on {on} {number(found['n'])} prompts "
        f"{_satisfy(found, of_all=False)} this bound: {', '.join(_each(row, found))}{_before(row, found)}."
    )


def line(row: Row) -> str | None:
    """The same for a terminal, without the single values."""
    found = of(row)
    return (
        f"{_satisfy(found, _parts(found) + ' drawn at random')} this bound in place of the check's own{span(values(row), unit_of(row))}"
        if found
        else None
    )


def note(rows: Sequence[Row]) -> str | None:
    """What a page says once of all its base rates; None where it has none."""
    counts = [int(of(row)["count"]) for row in rows if of(row)]
    if not counts:
        return None
    most = max(counts)
    few = sorted({int(of(row)["n"]) for row in rows if of(row).get("n")})
    first = (
        f"the first {number(few[0])}" + (f" to {number(few[-1])}" if len(few) > 1 else "") if few else "the first few"
    )
    unseen = 1 - (1 - _LEVEL) ** (1 / most)  # the largest share of which none of so many shows any with probability 5%
    return (
        f"*As many random parts*: the same check once more with up to {number(most)} sets of other parts in place of its own, heads for "
        "heads and MLPs for MLPs, drawn evenly from the rest of the model (inside a circuit: from the circuit; of a path: senders "
        f"below the receiver), on {first} prompts (all, where there are fewer). Where a check draws random circuits itself, that column "
        "tells of those. Sets of one size are mostly the "
        "same beside all claims, and may hold a part that another claim names. It is a base rate, and a rough one: where none of "
        f"{number(most)} satisfies a bound, {number(unseen, True)} of all such sets still might ({number(_LEVEL, True)} confidence). `top: k` "
        "in a check ablates every head of the model alone and ranks them."
    )


def _satisfy(found: Mapping[str, Any], what: str = "", of_all: bool = True) -> str:
    """ "1 of 5 heads satisfies"."""
    holding = int(found["holding"])
    total = f" of {number(found['count'])} {what}".rstrip() if of_all else ""
    if not of_all and not holding:
        return "none satisfies"
    return f"{number(holding)}{total} {'satisfies' if holding == 1 else 'satisfy'}"


def _parts(found: Mapping[str, Any]) -> str:
    """ "heads", "MLPs", "sets of 2 heads and 1 MLP"."""
    parts = [str(part) for part in found["each"][0]["parts"]]
    mlps = sum(part.startswith("MLP") for part in parts)
    if len(parts) == 1:
        return "MLPs" if mlps else "heads"
    sizes = [
        f"{number(size)} {name}{'' if size == 1 else 's'}"
        for size, name in ((len(parts) - mlps, "head"), (mlps, "MLP"))
        if size
    ]
    return f"sets of {' and '.join(sizes)}"


def _each(row: Row, found: Mapping[str, Any]) -> list[str]:
    told = []
    for one in found["each"]:
        value = number(one["value"], unit_of(row)) if one.get("value") is not None else "no number"
        named = "+".join(map(str, one["parts"])) if len(one["parts"]) <= _MOST_PARTS else ""
        told.append(f"{named} {value}".strip())
    return told


def _before(row: Row, found: Mapping[str, Any]) -> str:
    """ "; unablated 100% on these prompts": beside values after an ablation, of which the first prompts may have others."""
    return (
        f"; unablated {number(found['before'], unit_of(row))} on these prompts"
        if found.get("before") is not None
        else ""
    )


def _exceptions(found: Mapping[str, Any]) -> str:
    """ ", not 1.2", or ": 0.0": the single parts that come out otherwise than most; empty where all are alike."""
    if len(found["each"][0]["parts"]) != 1:
        return ""
    holding, missing = ([one["parts"][0] for one in found["each"] if one["holds"] is holds] for holds in (True, False))
    if not holding or not missing:
        return ""
    return f", not {listing(missing)}" if len(missing) <= len(holding) else f": {listing(holding)}"
