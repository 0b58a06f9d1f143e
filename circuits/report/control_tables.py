"""What stands beside the numbers of a claim to judge them by: controls, what the clean model does, what has no base rate."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from circuits.report import beside, random_parts, words
from circuits.report.check_tables import place
from circuits.report.pages import Entry, anchor, below, claim_name, subject, table
from circuits.report.prose import code, prose
from circuits.report.quantities import Row
from circuits.report.record import DASH, both_ends, number, span, unit_of
from circuits.report.words import listing

Intervention = tuple[object, ...]
NOTHING: Mapping[Intervention, Sequence[str]] = MappingProxyType({})


def controls(rows: Sequence[Row]) -> str | None:
    """What else would come to such a value: uniform attention, other heads, corrupted prompts, shuffled weights, random parts.

    None where no check has any. A control that was not measured is a dash.
    """
    header = [
        "check, head or part",
        "under uniform attention",
        "members written in no order",
        "heads of the model that satisfy the bound",
        "the prompts' corrupted partners",
        "models with shuffled weights",
        "as many random parts",
    ]
    cells = [[_uniform(row), _no_order(row), _passing(row), _broken(row), _shuffled(row), _random(row)] for row in rows]
    if all(cell == DASH for line in cells for cell in line):
        return None
    lines = [
        [below(place(row), subject(row)), *line]
        for row, line in zip(rows, cells, strict=True)
        if any(cell != DASH for cell in line)
    ]
    told = "**Controls**: what else would come to such a value?\n\n" + table(header, lines)
    alike, lost = (
        dict.fromkeys(_which(row, rows) for row in rows if _on_partners(row, holds)) for holds in (True, False)
    )
    missed = [f"{listing(lost)}: the bound is missed there"] if lost else []
    met = [f"{listing(alike)}: the bound is met there, too"] if alike else []
    if met or missed:
        told += f"\n\nCorrupted partners, check {'; check '.join([*missed, *met])}."
    if any(line[1] != DASH for line in cells):
        told += (
            "\n\nMembers written in no order: of a head whose five largest logits are any of the sequence's members that are single "
            "tokens, the one that is asked for is among them for 5 of their number."
        )
    apart = dict.fromkeys(place(row) for row in rows if _two_sets(row))
    if apart:
        told += f"\n\nTwo prompt sets (check {listing(apart)}): partners and shuffled weights were not asked."
    return told


def _two_sets(row: Row) -> bool:
    """Whether a row compares one prompt set with another, which has no controls of its own."""
    other = row.get("other") or {}
    return bool(other.get("prompts")) and other["prompts"] != row.get("prompts") and row.get("estimate") is not None


def _which(row: Row, rows: Sequence[Row]) -> str:
    """The number of a check, and its head where the check's heads do not all come to the same on the partners."""
    same = [each for each in rows if place(each) == place(row)]
    apart = len({_on_partners(each, True) for each in same}) > 1
    return f"{place(row)} ({subject(row)})" if apart and subject(row) else place(row)


def _on_partners(row: Row, holds: bool) -> bool:
    """Whether a supported check holds (or does not) on the corrupted partners, too: a fact that a reader should not overlook.

    That little attention is little there, too, where nothing is to be found, says nothing; so that a bound from above holds
    is not told.
    """
    broken = (row.get("controls") or {}).get("broken") or {}
    judged = row.get("verdict") == "supported" and broken.get("value") is not None
    below = row.get("bound_low") is not None or row.get("statistic") == "in_context_learning"
    return judged and bool(broken.get("holds")) is holds and (below or not holds)


def tasks(rows: Sequence[Row]) -> str | None:
    """Whether the clean model does the task, said once for all checks on the same prompts; None where there is none."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for side in (row, row.get("other") or {}):  # the other prompts of a comparison have a task of their own
            first = words.first_choice(side)
            if first is not None:
                n = (side.get("clean") or {}).get("n", None if row.get("unit") else side.get("n"))
                many = f" {number(n)}" if n is not None else ""
                on = f"on the{many} prompts" + (f" of {code(side['prompts'])}" if side.get("prompts") else "")
                found.setdefault((on, first), []).append(place(row))
    title, said = "**The model's own task**", "unablated, the model's first choice is"
    if len(found) == 1:
        return "".join(f"{title}: {on}, {said} {first}." for on, first in found)
    lines = [f"- check {listing(dict.fromkeys(who))}: {on} it is {first}" for (on, first), who in found.items()]
    return "\n".join([f"{title}: {said}", "", *lines]) if lines else None


def by_answer(rows: Sequence[Row]) -> str | None:
    """Every check's value on the prompts of each answer, a table for each prompt set; None where there is none."""
    found: dict[tuple[str, ...], list[list[str]]] = {}
    told = [row for row in rows if row.get("by_answer")]
    sets = {row.get("prompts") for row in told}
    for row in told:
        each, unit = row["by_answer"], unit_of(row)
        edges = len({one["answer"].strip() for one in each}) == len(each)  # so that spaces need not tell them apart
        header = [
            f"{code((edges and one['answer'].strip()) or one['answer'])}<br>n = {number(one['n'])}" for one in each
        ]
        on = code(row["prompts"]) if len(sets) > 1 and row.get("prompts") else ""
        label = below(place(row), subject(row), on)
        cells = [below(number(one["value"], unit), _made_of(one)) for one in each]
        found.setdefault((str(row.get("prompts")), *header), []).append([label, number(row["estimate"], unit), *cells])
    means = any(_made_of(one) for row in told for one in row["by_answer"])
    legend = "**By answer**: each check's value on the prompts of one answer" + (
        ", below it the metric's means before and after; shown without intervals" if means else ", without intervals"
    )
    several = any((row.get("clean") or {}).get("right_answers") for row in told)
    legend += "; of several right answers the one that counts" if several else ""
    tables = [table(["check, head or part", "all", *header], lines) for (_, *header), lines in found.items()]
    return "\n\n".join([legend, *tables]) if tables else None


def _made_of(one: Mapping[str, object]) -> str:
    """ "4.38, then 0.1": the means of an intervention on the prompts of one answer; else empty."""
    if one.get("before") is None or one.get("after") is None:
        return ""
    return f"{number(one['before'])}, then {number(one['after'])}"


def base_rate(rows: Sequence[Row], random: Mapping[Intervention, Sequence[str]] = NOTHING) -> str | None:
    """The interventions whose size nothing measured can be compared with; None where there is none.

    Without this line a reader may take the absence of a control for a control that was passed. ``random``: see
    ``with_random``.
    """
    compared = {_intervention(row) for row in rows if row.get("random")}
    rows = [row for row in rows if _intervention(row) not in compared]
    alone = [row for row in rows if _alone(row)]
    bare = dict.fromkeys(map(place, alone))
    few = [row for row in rows if random_parts.of(row)]
    more = _elsewhere(few, random)
    told = [f"More random sets beside the same parts on prompts of the same set: {more}."] if more else []
    if bare:
        hint = " A check with `top:` ablates every head alone and ranks them." if any(map(_single, alone)) else ""
        links = _elsewhere(alone, random)
        hint += f" Random sets beside the same parts on prompts of the same set: {links}." if links else ""
        told.append(
            f"**No base rate** (check {listing(bare)}): what the same intervention on parts that the claim does not name would come "
            f"to was not measured by this claim.{hint}"
        )
    return "\n\n".join(told) or None


def with_random(suite: Sequence[Entry]) -> dict[Intervention, list[str]]:
    """The claims of a page that set random sets beside an intervention, as links; asked of once for all sections."""
    found: dict[Intervention, dict[str, None]] = {}
    for entry in suite:
        for row in entry.get("checks") or []:
            if row.get("random"):
                found.setdefault(_intervention(row), {})[f"[{prose(claim_name(entry))}](#{anchor(entry)})"] = None
    return {asked: list(links) for asked, links in found.items()}


def _elsewhere(rows: Sequence[Row], random: Mapping[Intervention, Sequence[str]]) -> str:
    """Which claims of the page set random sets beside an intervention that these rows make, too; "" where none does."""
    found = dict.fromkeys(link for asked in dict.fromkeys(map(_intervention, rows)) for link in random.get(asked, ()))
    return listing(found) if found else ""


def _intervention(row: Row) -> Intervention:
    """What two rows have alike that intervene in the same way, whatever they measure of it."""
    circuit = row.get("circuit") or {}
    parts = row.get("ablated") or [*(circuit.get("heads") or []), *(circuit.get("mlps") or [])]
    within = (row.get("within") or {}).get("name")
    return (row.get("kind"), frozenset(map(str, parts)), row.get("at"), within, row.get("prompts"), row.get("method"))


def _single(row: Row) -> bool:
    """Whether a row without a comparison is the ablation of one head by itself, which `top:` would rank."""
    return _alone(row) and row.get("kind") == "ablate" and bool(_HEAD.fullmatch(subject(row) or ""))


def _alone(row: Row) -> bool:
    """Whether a row is a verdict on an intervention without a rank or random parts, and is no comparison itself."""
    compared = row.get("rank") or row.get("random") or row.get("heads_passing") or random_parts.of(row)
    itself = row.get("more_than") or row.get("statistic") in _COMPARISONS
    judged = row.get("estimate") is not None and not row.get("observe")
    return row.get("kind") in ("ablate", "keep_only", "path") and judged and not compared and not itself


_ROUNDING = 1e-12
_FIRST = 5  # the logits among which a score of weights looks for a member; see ``measure.weights``
_HEAD = re.compile(r"\d+\.\d+")
_COMPARISONS = ("sufficiency", "partial_necessity")


def _uniform(row: Row) -> str:
    holds, low = row.get("uniform_holds"), row.get("bound_low")
    at = low is not None and row.get("uniform") is not None and abs(row["uniform"] - low) <= _ROUNDING
    tail = ", satisfies it too" if holds else ", just at the bound" if at else ""  # a tie is no "more"
    return DASH if row.get("uniform") is None else number(row["uniform"], unit_of(row)) + tail


def _no_order(row: Row) -> str:
    """What a copying or successor score would be of a head that writes the sequence's members and knows no order.

    Its five largest logits would be any five of the members that are single tokens, so that the one asked for is among them
    for 5 of their number. The last member has no next one: a successor score is of one member fewer than there are.
    """
    if row.get("statistic") not in ("copying", "successor") or not row.get("n"):
        return DASH
    members = row["n"] + (row["statistic"] == "successor")
    share = min(1.0, _FIRST / members)
    low, high = row.get("bound_low"), row.get("bound_high")
    bound = low is not None or high is not None
    holds = bound and (low is None or share >= low) and (high is None or share <= high)
    return number(share) + (", satisfies it too" if holds else "")


def _passing(row: Row) -> str:
    passing = row.get("heads_passing")
    return f"{number(passing[0])} of {number(passing[1])}{words.which_passing(row)}" if passing else DASH


def _broken(row: Row) -> str:
    """The value on the corrupted partners, and whether it still satisfies the bound."""
    broken = (row.get("controls") or {}).get("broken")
    if broken is None:
        return DASH
    if broken.get("value") is None:
        return "the selectors find nothing"
    value = number(broken["value"], unit_of(row)) + beside.best_there(broken)
    return f"{value}, {'satisfies it too' if broken.get('holds') else 'does not satisfy it'}"


def _shuffled(row: Row) -> str:
    found = (row.get("controls") or {}).get("permuted") or []
    if not found:
        return DASH
    ends = span([each.get("value") for each in found], unit_of(row))
    return f"{number(sum(bool(each.get('holds')) for each in found))} of {number(len(found))} satisfy it{ends}"


def _random(row: Row) -> str:
    random = row.get("random") or {}
    if random.get("as_good") is None or random.get("count") is None:
        return random_parts.cell(row)
    how = {"recovers": "recover as much", "faithfulness": "come as near"}.get(str(row.get("statistic")), "do as well")
    told = f"{number(random['as_good'])} of {number(random['count'])} {how}"
    if random.get("median") is None:
        return told
    if row.get("statistic") in ("sufficiency", "partial_necessity"):
        far = both_ends(number(random.get("min")), number(random.get("max")))
        return f"{told}; with them the mean is {far} away from F(M)"
    ends = both_ends(number(random.get("min"), unit_of(row)), number(random.get("max"), unit_of(row)))
    return f"{told}; median {number(random['median'], unit_of(row))} ({ends})"
