"""The words of figures: what was measured of which model, distances and effects as a reader can take them without the YAML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from circuits.claims.claim import Ablate, Attends, Keep, Score
from circuits.claims.sets import Back, walk
from circuits.report.causal import metric
from circuits.report.sheet import shorten

_EXPRESSION = re.compile(r"n-\{\s*(?:(\d+)\s*\*\s*)?([^\W\d]\w*)\s*(?:([+-])\s*(\d+))?\s*\}")
"""``n-{a*variable+b}`` as a selector writes it."""

Row = Mapping[str, Any]


def foot(model: str, measured: str, seed: object) -> str:
    """What stands at the foot of a figure: the model, what of it was measured, the seed of its prompts."""
    model = model.rstrip("/")
    if model.startswith((".", "/")):  # where a folder lies on this machine is nobody's business
        model = model.rpartition("/")[2]
    drawn = f"seed {seed}" if seed is not None else ""
    return ", ".join(part for part in (shorten(model, 60), measured, drawn) if part)


def counted(n: int, thing: str = "prompt") -> str:
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"


def meaning(name: object, form: str = "{}") -> str:
    """A metric in words, put into ``form``; nothing where its name is all that is known of it."""
    words = metric(str(name))
    return "" if "`" in words else form.format(words)


def short_name(point: dict[str, Any]) -> str:
    """Components by the first few; a model without the owner or folder before its name."""
    name = str(point["name"])
    return few(name) if point["kind"] == "ablation" else name.rstrip("/").rpartition("/")[2] or name


def few(name: str, most: int = 3) -> str:
    """The names of many components by the first few: "6.1, 18.6 and 5 more heads"."""
    parts = name.split(", ")
    if len(parts) <= most:
        return name
    rest = parts[most - 1 :]
    mlps = sum(part.startswith("MLP") for part in rest)
    what = "heads" if not mlps else "MLPs" if mlps == len(rest) else "parts"
    return f"{', '.join(parts[: most - 1])} and {len(rest)} more {what}"


def known_distances(text: str, what: Attends | Score, values: Mapping[str, Any]) -> str:
    """A selector as it is written, its distances as numbers where these prompts give them: n-{period-1} as n-4."""
    selectors = [what.selector, what.more_than] if isinstance(what, Attends) else []
    known = {}
    for back in (part for each in selectors if each is not None for part in walk(each.key) if isinstance(part, Back)):
        value = values.get(back.variable) if back.variable is not None else None
        if value is not None:
            known[back.factor, back.variable, back.constant] = back.factor * int(value) + back.constant

    def number(found: re.Match[str]) -> str:
        factor, variable, sign, constant = found.groups()
        offset = int(constant or 0) * (-1 if sign == "-" else 1)
        distance = known.get((int(factor or 1), variable, offset))
        if distance is not None:
            return f"n-{distance}"
        least = f"{factor}*{variable}" if factor else variable
        return f"n-({least} {sign} {constant})" if sign else f"n-{least}" if not factor else f"n-({least})"

    return _EXPRESSION.sub(number, text)


@dataclass(frozen=True)
class Told:
    """The words of a figure of effects: ``labels`` of the judged row and of those beside it."""

    title: str
    detail: str
    quantity: str
    labels: tuple[str, ...]


def told_keep(row: Row, what: Keep) -> Told:
    """The words of what a circuit does alone."""
    name, of = what.circuit.name or "the circuit", str(what.metric)
    runs = f"F: mean {of} of the model (M), of {name} alone (C)"
    rest = f"everything else replaced ({what.method} ablation)"
    if what.statistic == "recovers":
        forms = {False: f"{name}: F(C)/F(M)", True: f"{name}, normalised: (F(C)-F(0))/(F(M)-F(0))"}
        gone = "no head or MLP" if what.circuit.mlps is not None else "no head"
        return Told(
            f"How much of {of} is left with {name} alone on {row['prompts']}",
            f"{runs} and of {gone} kept (0), {rest}",
            f"share of {of}{meaning(of, ': {}')}",
            (forms[what.normalised], forms[not what.normalised])[: 1 + bool(row.get("beside"))],
        )
    nearer = f"; {_share(row)} random ones are farther" if what.statistic == "sufficiency" else ""
    return Told(
        f"How far {name} alone is from the whole model on {row['prompts']}",
        f"{runs}, {rest}{nearer}",
        f"|F(M) - F(C)| in {of}{meaning(of, ': {}')}; 0 is as good as the model",
        (name,),
    )


def _share(row: Row) -> str:
    """ "95% of 20": the estimate as a share of as many random circuits."""
    return f"{100 * row['estimate']:.3g}% of {row['n']}"


def told_removal(row: Row, what: Ablate) -> Told:
    """The words of an interaction, or of a removal against random ones of as many components."""
    removed, gone = (few(", ".join(map(str, parts))) for parts in (what.components, what.given))
    where = f" at {what.at}" if what.at is not None else ""
    if row["statistic"] == "partial_necessity":
        name = what.circuit.name if what.circuit is not None and what.circuit.name else removed
        return Told(
            f"How much removing {name}{where} changes {what.metric} on {row['prompts']}",
            f"{what.method} ablation; {_share(row)} random sets from outside it change it less",
            f"change |F(M) - F(without)| of the mean {what.metric}{meaning(what.metric, ': {}')}",
            (f"without {name}",),
        )
    return Told(
        f"Does {removed} matter more once {gone} is gone? On {row['prompts']}{where}, {what.method} ablation",
        f"drops of {what.metric} relative to the whole model's",
        f"share of the whole model's {what.metric}{meaning(what.metric, ': {}')}",
        (
            "interaction: B minus A",
            f"A: drop without {removed}",
            f"B: further drop without {removed}, {gone} already gone",
        ),
    )
