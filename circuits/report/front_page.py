"""The front page of the report: what it is, the verdicts, the last run, one row a claim."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from circuits.report import beside, words
from circuits.report.pages import (
    MARKER,
    VERDICTS,
    Entry,
    anchor,
    claim_name,
    model_lines,
    page_name,
    said,
    table,
    verdict_of,
)
from circuits.report.prose import code, prose
from circuits.report.record import DASH, newest_run, number

READING = """\
This report says what each claim under test came to on a real transformer. A claim is a person's sentence with
checks in YAML; each check is one number per prompt, a bound on its mean, and an interval for that mean.

- **SUPPORTED**: the whole interval of every check lies on the right side of its bound.
- **REFUTED**: the whole interval of some check, widened for the number of checks, lies on the wrong side.
- **INCONCLUSIVE**: neither; more prompts or a different bound would be needed. It does not mean "no effect".
- **UNMEASURABLE**: there is nothing to judge: the selectors match no token, the model does not do the task, or a
  value is not finite. Claims whose weights cannot be had are **skipped**.

For prompts drawn independently from the stated family, given this model, these templates and this reference set,
each kind of wrong verdict on a check (SUPPORTED though false, REFUTED though true) has probability at most
(1 - confidence) / 2 where the page calls the interval *guaranteed*; elsewhere it rests on the assumption named
beside it. This holds however early the sampling stopped: each check takes prompts in blocks until it is decided.
Nothing is corrected for the number of claims in this report unless a table of discoveries says so.

**Known negatives** are claims known to be false, kept to show that the tests can fail: they are expected to be
REFUTED. A claim meets its expectation when its verdict is the expected one. VACUOUS marks a claim with
a lower bound or a difference that would also hold under uniform attention."""


def front_page(record: Mapping[str, Any], suites: Mapping[str, Sequence[Entry]], rows: str) -> str:
    """What this is, the counts, the last run, the models, one row a claim (``rows``: their table), the runs."""
    entries = [entry for group in suites.values() for entry in group]
    parts = [MARKER, "# Claims and what they came to", READING, "## Verdicts", _counts(entries)]
    parts += ["## The last run", last_run(record, entries)]
    whole = beside.discoveries(entries)
    if whole is not None:
        parts += ["## The run as a whole", whole]
    if record.get("models"):
        parts += ["## Models", "\n".join(f"- {line}" for line in model_lines(record["models"], record["models"]))]
    if entries:
        parts += ["## Claims", rows]
    if record.get("runs"):
        parts += ["## Runs", "The runs that the results above were measured in.", runs_table(record)]
    return "\n\n".join(parts) + "\n"


def claims_table(suites: Mapping[str, Sequence[Entry]]) -> str:
    """One row a claim."""
    return table(CLAIM_HEADER, (claim_row(file, entry) for file in suites for entry in suites[file]))


def _counts(entries: Sequence[Entry]) -> str:
    if not entries:
        return "No claim has been tested yet."
    counts = Counter((verdict_of(entry), entry.get("met")) for entry in entries)
    rows = []
    for verdict in VERDICTS:
        met, missed, open_ = (counts[verdict, met] for met in (True, False, None))
        if met + missed + open_:
            skipped = verdict == "skipped"
            total = met + missed + open_
            rows.append([verdict.upper(), str(total), DASH if skipped else str(met), DASH if skipped else str(missed)])
    return table(["verdict", "claims", "expectation met", "not met"], rows)


def last_run(record: Mapping[str, Any], entries: Sequence[Entry]) -> str:
    """What the newest run did, and what it could not measure and why."""
    newest = newest_run(record)
    counts = (record.get("runs") or {}).get(newest, {}).get("counts") or {}
    told = [f"{number(counts[key])} {text}" for key, text in _STATUS.items() if counts.get(key) is not None]
    lines = [f"Run {newest}: {words.listing(told)}." if newest and told else "Nothing is known of the last run."]
    reasons: dict[tuple[str, str], int] = {}
    for entry in entries:
        if entry.get("run") == newest and entry.get("status") in ("skipped", "invalid"):
            fault = "; ".join(str(text).split("\n", 1)[0] for text in entry.get("faults") or [])
            reason = prose(entry.get("reason") or fault or "no reason was recorded")
            group = (str(entry["status"]), reason)
            reasons[group] = reasons.get(group, 0) + 1
    if reasons:
        lines.append("Not measured, and why:")
        lines.append("\n".join(f"- {count} {status}: {reason}" for (status, reason), count in sorted(reasons.items())))
    return "\n\n".join(lines)


_STATUS = {
    "measured": "measured",
    "cached": "taken from the cache",
    "skipped": "skipped",
    "invalid": "invalid",
}


CLAIM_HEADER = ("suite", "claim", "heads", "verdict", "estimate [interval]", "bound", "n", "as expected")


def claim_row(file: str, entry: Entry) -> list[str]:
    """A claim's cells under ``CLAIM_HEADER``, as Markdown."""
    rows = [row for row in entry.get("checks") or [] if row.get("estimate") is not None]
    shown = rows if len(rows) <= 4 else rows[:3]
    more = [f"{len(rows) - 3} more"] if len(rows) > 4 else []

    def cells(parts: Iterable[str]) -> str:
        found = [part or DASH for part in parts]
        return "<br>".join(found[:1] if len(set(found)) == 1 and len(found) == len(rows) else found + more) or DASH

    met = "skipped" if verdict_of(entry) == "skipped" else said(entry.get("met"), "yes", "**no**", DASH)
    several = len(rows) > 1
    estimates = "<br>".join([_named(row, several) + _with_interval(row) for row in shown] + more) or "not measured"
    if not rows and any(row.get("points") for row in entry.get("checks") or []):
        estimates = "a map"
    return [
        prose(entry.get("suite") or file),
        f"[{prose(entry.get('claim') or claim_name(entry))}]({page_name(file)}#{anchor(entry)})"
        + (f" {code(entry['variant'])}" if entry.get("variant") else ""),
        prose(", ".join(str(head) for head in entry.get("heads") or [])) or DASH,
        verdict_of(entry).upper() + (" (VACUOUS)" if entry.get("vacuous") else ""),
        estimates,
        cells("observed" if row.get("observe") else words.bound(row) for row in shown),
        cells(number(row.get("n")) for row in shown),
        met,
    ]


def _named(row: Mapping[str, Any], several: bool) -> str:
    """Which head or components a number belongs to, where the claim has several."""
    parts = [str(part) for part in row.get("ablated") or []]
    path = row.get("path") or {}
    name = row.get("head") or (", ".join(parts) if len(parts) <= 3 else f"{len(parts)} components")
    if path:
        into = f"{path['receiver']}.{path.get('input')}" if path.get("receiver") else "logits"
        name = f"{path.get('sender')} to {into}"
    name = name or (row.get("circuit") or {}).get("name")
    return f"{prose(name)}: " if several and name else ""


def _with_interval(row: Mapping[str, Any]) -> str:
    beside = (row.get("bound_low"), row.get("bound_high"))
    value = number(row.get("estimate"), bool(row.get("percent")), beside)
    limits = words.interval_limits(row)
    return value if limits == DASH else f"{value} [{limits.replace(' to ', ', ')}]"


def runs_table(record: Mapping[str, Any]) -> str:
    """The runs that results were measured in, with the versions they used."""
    runs = record["runs"]
    answered = [e for e in (record.get("claims") or {}).values() if e.get("status") not in ("skipped", "invalid")]
    used = Counter(str(entry.get("run")) for entry in answered)
    keys = ("circuits", "torch", "transformer_lens", "dtype", "device", "git")
    rows = [
        [run, str(used[run])] + [prose(runs[run][key]) if runs[run].get(key) else DASH for key in keys]
        for run in sorted(runs, key=lambda run: (len(run), run))
        if used[run]
    ]
    return table(["run", "claims", *keys], rows) if rows else "Nothing was measured yet."
