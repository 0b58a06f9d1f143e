"""What the terminal says of claims: every verdict with its numbers, and the text of a claim that failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from circuits.report import random_parts
from circuits.report.asides import means, on_foil, sides
from circuits.report.record import counted, estimate_text, is_claim, number, suites_at_fault, without_points
from circuits.report.words import (
    any_rule,
    never_closes,
    only_shown,
    other_ranked,
    other_tokens,
    remarks,
    top_rule,
    which_passing,
)

Entry = Mapping[str, Any]
Line = tuple[tuple[str, str | None], ...]
"""Pieces of text, each with a colour or None."""

STATUSES = ("measured", "cached", "skipped", "invalid", "error")
VACUOUS_BY = "uniform attention or shuffled weights satisfy it too"
_INDENT = " " * 16


def label(entry: Entry) -> str:
    """The verdict in capitals; INVALID, SKIPPED or ERROR for a claim that was not measured."""
    if entry["status"] in ("invalid", "skipped", "error"):
        return str(entry["status"]).upper()
    return str(entry["verdict"] or "observed").upper()


def row_text(row: Mapping[str, Any]) -> str:
    """One row in one line: what, on which head and prompts, estimate, interval, bound, n."""
    subject = f"{row['head']} " if row.get("head") else ""
    details = [row["statistic"]] if row.get("statistic") in ("top1", "lift") else []
    details += [f"excluding {' and '.join(row['excluding'])}"] if row.get("excluding") else []
    how = f" ({', '.join(details)})" if details else ""
    size = f"; n={counted(row)}" if row.get("n") else ""
    some = row.get("any") or {}
    subject = f"some head of {some['of']} (best: {row['head']}) " if some else subject
    where = f" on {row['prompts']}" if row.get("prompts") else ""
    more = f", more_than: {compared(row)}" if row.get("more_than") else ""
    check = f"{row['check']}{how}{where}{more}"
    return f"{subject}{check} = {numbers(row)}; {row.get('bound') or 'observed'}{size}"


def compared(row: Mapping[str, Any]) -> str | None:
    """The other side of a comparison, with its head and prompt set where they are others; None where there is none."""
    if not row.get("more_than"):
        return None
    other = row.get("other") or {}
    head = f" of {other['head']}" if other.get("head") and other["head"] != row.get("head") else ""
    prompts = f" on {other['prompts']}" if other.get("prompts") and other["prompts"] != row.get("prompts") else ""
    return f"{row['more_than']}{head}{prompts}"


def numbers(row: Mapping[str, Any]) -> str:
    """The estimate with its interval: "0.61 [0.58, 0.64]", "0.61 (all prompts there are)" or "not measured"."""
    if row.get("points"):
        return f"a map of {len(row['points'])} points"
    if row.get("estimate") is None:
        return "not measured"
    text = estimate_text(row)
    if row.get("exact"):
        return f"{text} (exact)"
    low, high = row.get("low"), row.get("high")
    if row.get("observe") and low is None and high is None:
        return text
    if low is None and high is None:
        # An interval without ends (nothing is known) has a method, a census (all is known) has none.
        return text + (" [no limits]" if row.get("interval") else " (all prompts there are)")
    ends = (
        "-inf" if low is None else estimate_text(row, "low"),
        "inf" if high is None else estimate_text(row, "high"),
    )
    return f"{text} [{', '.join(map(without_points, ends))}]"


def claims_section(entries: Mapping[str, Entry]) -> Iterator[Line]:
    """Every claim under its suite, in the order of the file; then what was not measured, why, and the counts.

    Claims that are skipped for one reason (weights that cannot be had) share one line.
    """
    suites: dict[str, list[tuple[str, Entry]]] = {}
    skipped: Counter[str] = Counter()
    for node_id, entry in entries.items():
        if entry["status"] == "skipped":
            skipped[str(entry["reason"])] += 1
        else:
            suites.setdefault(str(entry["file"]), []).append((node_id, entry))
    for file in sorted(suites):
        found = sorted(suites[file], key=lambda pair: (pair[1]["line"], pair[0]))
        first = found[0][1]
        title = f": {first['suite']}" if first["suite"] != file else ""
        yield ((f"{file}{title}" + (f" ({first['model']})" if first["model"] else ""), "bold"),)
        for node_id, entry in found:
            yield from _claim(node_id.removeprefix(f"{file}::"), entry)
    for reason, count in sorted(skipped.items()):
        yield ("SKIPPED", "yellow"), (f" {count} claim{'s' if count > 1 else ''}: {reason}", None)
    yield ((counts_line(entries), None),)


def _claim(name: str, entry: Entry) -> Iterator[Line]:
    notes = [] if entry["expected"] == "supported" else [f"expected: {entry['expected']}"]
    notes += [f"VACUOUS: {VACUOUS_BY}"] if entry.get("vacuous") else []
    notes += ["cached"] if entry.get("cached") else []
    noted = f"  ({'; '.join(notes)})" if notes else ""
    yield (f"  {label(entry):<14}", colour(entry)), (f"{name}{noted}", None)
    rows = entry["checks"]
    reasons = {row.get("reason") for row in rows}
    if entry.get("reason") and entry["reason"] not in reasons:
        yield ((f"{_INDENT}{entry['reason']}", None),)
    for row in rows:
        mark = "" if len(rows) == 1 or only_shown(row) else f"  {str(row['verdict']).upper()}"
        yield ((f"{_INDENT}{row_text(row)}{mark}", None),)
        if row.get("reason"):
            yield ((f"{_INDENT}  {row['reason']}", None),)


def colour(entry: Entry) -> str:
    """The colour of a claim's verdict: green as expected, yellow undecided, red otherwise."""
    if entry["met"]:
        return "green"
    return "yellow" if entry["verdict"] == "inconclusive" else "red"


def counts_line(entries: Mapping[str, Entry]) -> str:
    """How many claims, by how they came to their verdict, and how many did not come out as expected."""
    claims = [entry for entry in entries.values() if is_claim(entry)]
    statuses = Counter(str(entry["status"]) for entry in claims)
    said = ", ".join(f"{statuses[name]} {name}" for name in STATUSES if statuses[name])
    missed = sum(entry["met"] is False for entry in claims)
    outcome = f"{missed} not as expected" if missed else "all as expected"
    counted = f"{len(claims)} claim{'s' if len(claims) != 1 else ''}: {said}; {outcome}" if claims else "0 claims"
    outside = suites_at_fault(entries.values())
    return f"{counted}; {outside}" if outside else counted


def with_required(entries: Mapping[str, Entry], failed: Collection[str]) -> Mapping[str, Entry]:
    """The entries as a run that requires weights takes them: a skipped claim whose test failed is not as expected.

    ``failed``: node ids. Of the run alone: in the record nothing was found, so nothing is expected of it.
    """
    missed = [name for name in failed if name in entries and entries[name]["status"] == "skipped"]
    return {**entries, **{name: {**entries[name], "met": False} for name in missed}}


def failure_text(entry: Entry) -> str:
    """Why a claim failed: a first line for summaries, then the numbers of each check, then its YAML lines."""
    if entry["status"] == "invalid":
        return "\n".join([headline(entry), "", "\n\n".join(entry["faults"])])
    lines = [headline(entry)]
    if entry["expected"] != "supported":
        lines.append(f"expected: {entry['expected']}")
    lines.append("")
    for row in entry["checks"]:
        lines += _row_lines(row)
    lines += ["", f"{entry['file']}:{entry['line']}:"]
    lines += [f"    {line}" for line in str(entry["yaml"]).splitlines()]
    hint = _known_negative(entry)
    return "\n".join([*lines, "", hint] if hint is not None else lines)


def _known_negative(entry: Entry) -> str | None:
    """How a refuted claim may stay in its suite; None for another one, or where several of its checks are refuted."""
    rows = [row for row in entry["checks"] if not row.get("observe")]
    refuted = sorted({row["index"] for row in rows if row["verdict"] == "refuted"})
    if entry["verdict"] != "refuted" or entry["expected"] != "supported" or len(refuted) != 1:
        return None
    written = "refuted" if len({row["index"] for row in entry["checks"]}) == 1 else f"{{refuted: {refuted}}}"
    return f"If it stays false it can stay in the suite, with its numbers, as a known negative: `expect: {written}`."


def headline(entry: Entry) -> str:
    """Verdict, the reason or the numbers that decided it, and the claim's words."""
    verdict = label(entry)
    if entry["status"] == "invalid":
        return f"{verdict}: {entry['reason']}"
    if entry.get("reason"):
        return f"{verdict}: {entry['reason']}: {entry['claim']}"
    deciding = [row for row in entry["checks"] if not row.get("observe") and row["verdict"] == entry["verdict"]]
    if not deciding:
        return f"{verdict}: {entry['claim']}"
    return f"{verdict}: {numbers(deciding[0])}; {deciding[0]['bound']}: {entry['claim']}"


def _row_lines(row: Mapping[str, Any]) -> Iterator[str]:
    verdict = "observed" if only_shown(row) else str(row.get("verdict")).upper()
    yield f"  check {row['index']}: {row_text(row)}: {verdict}"
    if row.get("reason"):
        yield f"    {row['reason']}"
    if row.get("verdict") == "inconclusive":
        yield f"    {_undecided(row)}"
    if sides(row):
        yield f"    sides: {' against '.join(sides(row))}"
    if row.get("baseline"):
        clean, ablated = number(row["baseline"]["clean"]), number(row["baseline"]["ablated"])
        yield f"    {row['metric']}: clean {clean}, ablated {ablated}"
    if row.get("parts"):
        yield f"    means: {means(row['parts'])}"
    if row.get("rank") and row.get("k") is not None:
        other = f"; {other_ranked(row)}" if other_ranked(row) else ""
        yield f"    rank {row['rank'][0]} of {row['rank'][1]} heads{other}"
    if row.get("uniform") is not None:
        yield f"    under uniform attention: {number(row['uniform'])}"
    if row.get("heads_passing"):
        passing, heads = row["heads_passing"]
        yield f"    {passing} of {heads} heads of this model satisfy this bound{which_passing(row)}"
    others = random_parts.line(row)
    if others is not None:
        yield f"    {others}"
    if row.get("fell_to"):
        told = ", ".join(f"{text!r} ({count})" for text, count in row["fell_to"])
        foil = on_foil(row.get("fell_to_foil"), (row.get("lost") or [None])[0])
        yield f"    the answer fell to: {told}{other_tokens(row, len(row['fell_to']))}{foil}"
    for _, text in remarks(row):
        yield f"    note: {text}"


def _undecided(row: Mapping[str, Any]) -> str:
    if row.get("k") is not None or row.get(
        "any"
    ):  # judged by other heads' values, too, of which the interval says nothing
        rule = top_rule(row) if row.get("k") is not None else any_rule(row)
        return f"these {row['n']} prompts do not decide it: {rule}; more prompts (sampling: max, or --circuit-n) may"
    low, high, confidence = row.get("low"), row.get("high"), row.get("confidence")
    level = f"{number(confidence, True)} interval" if confidence else "interval"
    if low is None or high is None:
        return f"the {level} has no limits: {row['n']} prompts say nothing about this bound"
    remedy = "more prompts (sampling: max, or --circuit-n) narrow it"
    corrected = row.get("corrected") or {}
    crossed = [
        edge for edge in (row.get("bound_low"), row.get("bound_high")) if edge is not None and low <= edge <= high
    ]
    if crossed or not corrected:
        remedy = never_closes(row) or remedy
        return f"the {level} contains the bound, so these {row['n']} prompts do not decide it; {remedy}"
    return f"the {level} refutes it alone, but not once corrected for the number of checks of the claim; {remedy}"
