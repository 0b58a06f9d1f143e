"""Rows of the record in plain words: how much was measured, how sure it is, what would have refuted it.

Every function takes a row (one entry of a claim's ``checks``) as plain JSON data and returns Markdown
text. A key that is missing counts as null, and null is said to be "not measured", never shown as 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from circuits.report.asides import (
    beside,
    first_choice,
    level_of,
    made_of_means,
    of_subsets,
    other_ranked,
    other_tokens,
    remarks,
    reported_value,
    says_itself,
    task_limit,
    which_passing,
)
from circuits.report.methods import divided
from circuits.report.prose import as_sentence, code, listing, ordinal, prose
from circuits.report.quantities import Row, head_name, metric, what
from circuits.report.record import DASH, both_ends, estimate_text, number, unit_of

__all__ = [
    "any_rule",
    "beside",
    "bound",
    "code",
    "first_choice",
    "head_name",
    "how_much",
    "interval_limits",
    "is_census",
    "level_of",
    "listing",
    "made_of_means",
    "metric",
    "of_subsets",
    "only_shown",
    "ordinal",
    "other_ranked",
    "other_tokens",
    "prose",
    "remarks",
    "reported_value",
    "says_itself",
    "task_limit",
    "top_rule",
    "trust",
    "what",
    "which_passing",
    "why",
]


def interval_limits(row: Row) -> str:
    """ "0.58 to 0.64", with one-sided and missing limits said in words."""
    low, high = (estimate_text(row, key) for key in ("low", "high"))
    if row.get("low") is None and row.get("high") is None:
        return DASH
    if row.get("low") is None:
        return f"up to {high} (no lower limit)"
    if row.get("high") is None:
        return f"from {low} (no upper limit)"
    return both_ends(low, high)


def is_census(row: Row, prompts: Mapping[str, Any] | None = None) -> bool:
    """Whether every possible prompt was measured, so that there is no sampling interval."""
    if row.get("estimate") is None or row.get("interval") is not None:
        return False
    one_point = row.get("low") in (None, row.get("estimate")) and row.get("high") in (
        None,
        row.get("estimate"),
    )
    return one_point and (prompts or {}).get("census") is not False


def how_much(row: Row, prompts: Mapping[str, Any] | None = None) -> str:
    """One sentence: on what it was measured, the estimate, its interval and what the interval rests on."""
    n, skipped = row.get("n"), row.get("skipped")
    many = "prompts" if n != 1 else "prompt"
    if row.get("estimate") is None:
        return f"Not measured on {code(row.get('prompts') or 'its prompts')}: there is no value."
    seed = f" (seed {row['seed']})" if row.get("seed") is not None else ""
    where = code(row.get("prompts") or "its prompts")
    if row.get("exact"):
        return f"{estimate_text(row)} over {number(n)} members, exact: a fact about these weights."
    unit = row.get("unit")
    if unit:
        shown = f"Over {number(n)} {prose(unit)}, on the prompts of {where}{seed}: {estimate_text(row)}"
    else:
        shown = f"Measured on {number(n)} {many} of {where}{seed}{_stopped(row)}: {estimate_text(row)}"
    if is_census(row, prompts):
        shown += "; these are all the prompts there are (a census), so there is no sampling interval."
    elif row.get("low") is None and row.get("high") is None:
        shown += "; no interval was computed."
    else:
        level = level_of(row["confidence"]) + " interval" if row.get("confidence") is not None else "interval"
        shown += f", {level} {interval_limits(row)}{trust(row)}."
    if skipped:
        left = "prompt had no value and was" if skipped == 1 else "prompts had no value and were"
        shown += f" {number(skipped)} more {left} left out."
    return shown


def _stopped(row: Row) -> str:
    """That sampling stopped before all prompts that it could have taken, or took them all."""
    most, n = row.get("most"), row.get("n")
    if most is None or n is None or row.get("observe") or row.get("unit") or (row.get("looks") or 0) < 1:
        return ""
    taken = n + (row.get("skipped") or 0)
    return f", decided there (at most {number(most)} were to be drawn)" if taken < most else ""


def corrected_level(row: Row) -> str:
    """ "98.8%, the error divided by 4": the level of the corrected interval, and what it was corrected for."""
    level, times = level_of(row["corrected"]["confidence"]), divided(row)
    return f"{level}, the error divided by {times}" if times > 1 else level


def trust(row: Row) -> str:
    """What the interval rests on: " (betting interval, guaranteed)"; empty where nothing is recorded."""
    name, _, lower = str(row.get("interval") or "").partition(", lower end ")
    parts = [prose(name) if "interval" in name else f"{prose(name)} interval"] if name else []
    parts += [f"its lower end by {prose(lower)}"] if lower else []
    sure = "" if row.get("guaranteed") is None else "guaranteed" if row["guaranteed"] else "not guaranteed"
    if sure and row.get("k") is not None:  # what decides is no interval
        sure = f"the comparison with other heads, which decides, is {sure}"
    elif sure and lower and row.get("guaranteed"):
        sure = f"which alone took part in the verdict and is {sure}"
    parts += [sure] if sure else []
    text = ", ".join(parts)
    if row.get("assumption"):
        text += f"{': ' if text else ''}{_assumed(str(row['assumption']))}"
    return f" ({text})" if text else ""


_ASSUMED = {  # as ``verdict.estimate`` and ``verdict.circuit_rows`` word them for the record
    "near-normal, no unseen rare mode": "it assumes values that are nearly normal, without a rare mode that was not drawn",
    "constant sample: prompts that differ are rare and differ by at most the assumed range": (
        "all values are equal, and it assumes that prompts which differ are rare, and differ by at most the range of the metric on the "
        "clean prompts (where that is 0, by at most the size of the value)"
    ),
    "the random circuits are drawn independently; the prompts' means are taken as measured": (
        "it assumes that the random circuits are drawn independently, and takes the means over prompts as measured"
    ),
}


def _assumed(text: str) -> str:
    that = "that " if "prompts stand for" in text else ""
    return _ASSUMED.get(text) or f"it assumes {that}{prose(text)}"


def bound(row: Row) -> str:
    """The bound in words: "at least 0.4", "at most 10%", "between -10% and 10%"; empty when there is none."""
    low, high, percent = row.get("bound_low"), row.get("bound_high"), unit_of(row)
    if row.get("k") is not None:
        return f"among the {number(row['k'])} highest of all heads" if row["k"] != 1 else "the highest of all heads"
    if low is not None and high is not None:
        return f"between {both_ends(number(low, percent), number(high, percent), ' and ')}"
    if low is not None:
        return f"at least {number(low, percent)}"
    if high is not None:
        return f"at most {number(high, percent)}"
    return prose(str(row.get("bound") or "").replace("_", " "))


def _wrong_side(row: Row) -> str:
    low, high, percent = row.get("bound_low"), row.get("bound_high"), unit_of(row)
    if low is not None and high is not None:
        return f"below {number(low, percent)} or above {number(high, percent)}"
    return f"below {number(low, percent)}" if low is not None else f"above {number(high, percent)}"


def only_shown(row: Row) -> bool:
    """Whether a row has no verdict on purpose; a map that could not be made has one, UNMEASURABLE."""
    return bool(row.get("observe")) and row.get("verdict") is None


_INSIDE = 0.05
"""The room that an example of a bound leaves, where a bound leaves none."""


def why(row: Row, prompts: Mapping[str, Any] | None = None) -> str:
    """Why the verdict is what it is, and what would have made it another one."""
    verdict = row.get("verdict")
    if only_shown(row):
        tail = f" {as_sentence(_reason(row))}" if row.get("reason") else ""
        return (
            "Observed only: no bound was set, nothing would have refuted it, "
            f"and it has no influence on the verdict.{tail}"
        )
    if verdict not in ("supported", "refuted", "inconclusive"):
        label = "Unmeasurable" if verdict == "unmeasurable" else "No verdict"
        rule = f" The bound, {bound(row)}, was not tested." if bound(row) else ""
        return f"{label}: {_reason(row) or 'no reason was recorded.'}{rule}"
    if row.get("k") is not None:
        text = _why_top(row)
    elif row.get("any"):
        text = _why_any(row)
    else:
        text = _why_census(row) if row.get("exact") or is_census(row, prompts) else _why_interval(row)
    return f"{text} {as_sentence(_reason(row))}" if row.get("reason") else text


def _reason(row: Row) -> str:
    reason = prose(row.get("reason") or "")
    return reason if not reason or reason.endswith((".", "!", "?")) else f"{reason}."


def _why_census(row: Row) -> str:
    meets, verdict = bound(row), str(row.get("verdict"))
    if not meets:
        return f"{verdict.capitalize()}; no bound was recorded."
    if verdict == "supported":
        return f"Supported because the value is {meets}; a value that is not would have refuted it."
    return f"{verdict.capitalize()} because the value is not {meets}; a value {meets} would have supported it."


def _why_interval(row: Row) -> str:
    meets, verdict = bound(row), str(row.get("verdict"))
    if not meets:
        return f"{verdict.capitalize()}; no bound was recorded."
    if row.get("bound_low") is None and row.get("bound_high") is None:  # a rule that is no limit on the value
        opposite = "it would have been refuted had the measurement shown the opposite"
        return f"{verdict.capitalize()} by the bound {meets}; {opposite}."
    corrected = row.get("corrected") or {}
    if corrected.get("confidence") == row.get("confidence"):
        corrected = {}  # of a single row, which needs no correction
    level = f" ({corrected_level(row)})" if corrected.get("confidence") is not None else ""
    whole = f"the whole {'corrected ' if corrected else ''}interval"
    supports = f"supported had the whole interval been {meets}"
    refutes = f"refuted had {whole}{level} been {_wrong_side(row)}"
    if verdict == "supported":
        return f"Supported because the whole interval is {meets}; it would have been {refutes}."
    if verdict == "refuted":
        limits = f", {interval_limits({**row, **corrected})}{level}," if corrected else ""
        return f"Refuted because {whole}{limits} is {_refuting_side(row)}; it would have been {supports}."
    low, high = row.get("bound_low"), row.get("bound_high")
    missed = (low is not None and _less(row.get("high"), low)) or (high is not None and _less(high, row.get("low")))
    if missed:
        cause = f"the interval misses the bound, {meets}, but the corrected interval{level} does not wholly"
    else:
        cause = f"the interval has values that meet the bound, {meets}, and values that do not"
    closed = never_closes(row)
    tail = f" {closed[:1].upper()}{closed[1:]}." if closed else ""
    return f"Inconclusive because {cause}; it would have been {supports}, and {refutes}.{tail}"


def never_closes(row: Row) -> str:
    """That no number of prompts can support the bound, and what to write; "" where prompts can.

    An interval ends at the end of what a value can be, and never within it: where the end of an undecided interval *is* the
    bound, the bound is that end.
    """
    low, high, percent = row.get("bound_low"), row.get("bound_high"), unit_of(row)

    def written(value: float) -> str:
        return f"{value * 100:g}%" if percent else f"{value:g}"

    upper = high is not None and row.get("low") == high
    if not upper and (low is None or row.get("high") != low):
        return ""
    at = high if upper else low
    assert at is not None
    inside = at + (_INSIDE if upper else -_INSIDE) * max(1.0, abs(at))
    if low is not None and high is not None:
        ends = (low, inside) if upper else (inside, high)
        example = f"between: [{written(ends[0])}, {written(ends[1])}]"
    else:
        kind = str(row.get("bound") or "").partition(" ")[0]
        example = f"{kind}: {written(inside)}"
    return (
        f"{number(at, percent)} is the end of what this value can be, and an interval never closes on that end: more prompts may refute "
        f"this bound, and never support it; write one that leaves a little room, such as {example}"
    )


def _why_top(row: Row) -> str:
    verdict, (place, heads) = str(row.get("verdict")), row.get("rank") or (None, None)
    other = f"; {other_ranked(row)}" if other_ranked(row) else ""
    ranked = f"It ranks {ordinal(place)} of {number(heads)}{other}. " if place is not None else ""
    if row.get("exact"):
        fewer = f"fewer than {number(row['k'])} heads have" if row["k"] != 1 else "no head has"
        rule = f"the scores are exact, so it is supported when {fewer} a higher one (a tie is no harm), else refuted"
        return f"{ranked}{verdict.capitalize()}: the bound is {bound(row)}; {rule}."
    return f"{ranked}{verdict.capitalize()}: the bound is {bound(row)}; {top_rule(row)}."


def top_rule(row: Row) -> str:
    """What supports and what refutes ``top: k``, in words: "it is supported when it surely beats ..., and refuted when ..."."""
    heads = (row.get("rank") or (None, None))[1]
    others = number(heads - row["k"]) if heads is not None else "enough"
    all_others = row["k"] == 1 and heads is not None
    many = f"all {others} other heads" if all_others else f"at least {others} of the other heads"
    few = "one of them surely beats it" if row["k"] == 1 else f"at least {number(row['k'])} of them surely beat it"
    return f"it is supported when it surely beats {many}, compared head by head, and refuted when {few}"


def any_rule(row: Row) -> str:
    """What supports and what refutes a bound on "some head", in words."""
    return (
        f"it is supported when some head surely meets it (each tested with the error divided by "
        f"{number((row.get('any') or {}).get('of'))}), refuted when every head surely misses it"
    )


def _why_any(row: Row) -> str:
    verdict, some = str(row.get("verdict")), row.get("any") or {}
    if row.get("exact"):
        return (
            f"{verdict.capitalize()}: the bound is {bound(row)}; {number(some.get('passing'))} of "
            f"{number(some.get('of'))} heads meet it, and the scores are exact."
        )
    decided = {
        "refuted": "The interval shown is the one by which each head was tested against the claim, at "
        f"{level_of(row['confidence']) if row.get('confidence') else 'its own level'}. ",
        "supported": "No head is sure enough alone: those whose estimates meet it are together, by the mean of their e-values. "
        if some.get("together")
        else "",
    }
    return (
        f"{verdict.capitalize()}: the bound is {bound(row)}; {any_rule(row)}. {decided.get(verdict, '')}"
        f"{number(some.get('passing'))} of {number(some.get('of'))} have an estimate that meets it. The best head was "
        "chosen on these very prompts, so its estimate leans to the good side."
    )


def _less(a: float | None, b: float | None) -> bool:
    return a is not None and b is not None and a < b


def _refuting_side(row: Row) -> str:
    low, high, percent = row.get("bound_low"), row.get("bound_high"), unit_of(row)
    if low is not None and high is not None:
        estimate = row.get("estimate")
        below = estimate is not None and estimate < low
        return f"below {number(low, percent)}" if below else f"above {number(high, percent)}"
    return _wrong_side(row)
