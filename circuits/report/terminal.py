"""What the terminal says of claims: a line for each verdict, and the text of one that failed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from circuits.report.record import number

Entry = Mapping[str, Any]

LABELS = {"supported": "SUPPORTED", "refuted": "REFUTED", "inconclusive": "INCONCLUSIVE", "unmeasurable": "UNMEASURABLE"}


def label(entry: Entry) -> str:
    """The verdict in capitals; INVALID for a claim with faults, SKIPPED for one without its model."""
    if entry["status"] in ("invalid", "skipped"):
        return str(entry["status"]).upper()
    return LABELS.get(str(entry["verdict"]), str(entry["verdict"]))


def row_text(row: Mapping[str, Any]) -> str:
    """One row in one line: what, on which head and prompts, estimate, interval, bound, n."""
    percent = bool(row.get("percent"))
    subject = f"{row['head']} " if row.get("head") else ""
    bounds = [row.get("bound_low"), row.get("bound_high")]
    estimate = number(row.get("estimate"), percent, bounds)
    text = f"{subject}{row['check']} on {row['prompts']}"
    if row.get("statistic") in ("top1", "lift"):
        text += f" ({row['statistic']})"
    text += f" = {estimate}"
    if row.get("low") is not None and row.get("high") is not None:
        text += f" [{number(row['low'], percent, bounds)}, {number(row['high'], percent, bounds)}]"
    text += f"; {row['bound']}" if row.get("bound") else "; observed"
    if row.get("n") is not None:
        text += f"; n={row['n']}"
    return text


def verdict_lines(entries: Mapping[str, Entry]) -> Iterator[tuple[str, str | None]]:
    """A line per claim and row, with a colour or None; skipped claims of one reason share a line."""
    skipped: dict[str, list[str]] = {}
    for node_id, entry in sorted(entries.items()):
        if entry["status"] == "skipped":
            skipped.setdefault(str(entry["reason"]), []).append(node_id)
            continue
        colour = "green" if entry["met"] else "red" if entry["verdict"] != "inconclusive" else "yellow"
        notes = []
        if entry["expected"] != "supported":
            notes.append(f"expected: {entry['expected']}")
        if entry.get("vacuous"):
            notes.append("VACUOUS: uniform attention satisfies it too")
        if entry.get("cached"):
            notes.append("cached")
        yield f"{label(entry):<13} {node_id}" + (f"  ({'; '.join(notes)})" if notes else ""), colour
        if entry["status"] == "invalid":
            yield f"{'':<13} {entry['reason']}", None
        for row in entry["checks"]:
            mark = "" if row.get("observe") or len(entry["checks"]) == 1 else f" {LABELS.get(str(row['verdict']), '')}"
            yield f"{'':<13} {row_text(row)}{mark}", None
            if row.get("reason"):
                yield f"{'':<15} {row['reason']}", None
    for reason, ids in skipped.items():
        yield f"{'SKIPPED':<13} {len(ids)} claim{'s' if len(ids) > 1 else ''}: {reason}", "yellow"
    counts: dict[str, int] = {}
    for entry in entries.values():
        counts[str(entry["status"])] = counts.get(str(entry["status"]), 0) + 1
    yield ", ".join(f"{counts[name]} {name}" for name in ("measured", "cached", "skipped", "invalid") if name in counts), None


def failure_text(entry: Entry) -> tuple[str, str]:
    """Why a claim failed, and a title: the verdict first, then the numbers, then its YAML lines."""
    title = label(entry)
    if entry["status"] == "invalid":
        return f"{title}: {entry['claim']}\n\n" + "\n\n".join(entry["faults"]), title
    if entry["expected"] == "supported":
        lines = [f"{title}: {entry['claim']}"]
    else:
        lines = [f"{title}, but expected: {entry['expected']}: {entry['claim']}"]
    if entry.get("reason"):
        lines.append(str(entry["reason"]))
    lines.append("")
    for row in entry["checks"]:
        lines.append(f"  check {row['index']}: {row_text(row)}  {LABELS.get(str(row.get('verdict')), 'observed')}")
        if row.get("reason"):
            lines.append(f"    {row['reason']}")
        if row.get("sides"):
            lines.append(f"    sides: {number(row['sides']['left'])} against {number(row['sides']['right'])}")
        if row.get("baseline"):
            lines.append(f"    clean {number(row['baseline']['clean'])}, ablated {number(row['baseline']['ablated'])}")
        if row.get("uniform") is not None:
            lines.append(f"    under uniform attention: {number(row['uniform'])}")
        if row.get("heads_passing"):
            passing, heads = row["heads_passing"]
            lines.append(f"    {passing} of {heads} heads of this model satisfy this bound")
        if row.get("fell_to"):
            fell = ", ".join(f"{text!r} ({count})" for text, count in row["fell_to"])
            lines.append(f"    the answer fell to: {fell}")
        lines += [f"    note: {warning}" for warning in row.get("warnings") or []]
    lines += ["", f"{entry['file']}:{entry['line']}"]
    lines += [f"    {line}" for line in str(entry["yaml"]).splitlines()]
    return "\n".join(lines), title
