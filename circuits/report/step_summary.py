"""What a run says on a page that has a limit, such as a CI job's summary: counts, what was not as expected, the rest.

Tables only: no figures, for a job's summary shows no local images. Whole rows are left out where they do not fit, and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from circuits.report.front_page import COLUMNS, claim_row, counts_table
from circuits.report.pages import claim_name, said, table, verdict_of
from circuits.report.prose import code, prose
from circuits.report.record import DASH
from circuits.report.terminal import counts_line, label, with_required

Entry = Mapping[str, Any]

LIMIT = 2**20
"""The most bytes of one step's summary: above it GitHub shows nothing of the step at all."""
_LONGEST = 300  # characters of a person's text in one cell: a table is as wide as its widest cell
_MOST_LINES = 20  # of remarks
_CLOSING = 500  # bytes kept for the line that says what was left out
_COLUMNS = ("suite", *COLUMNS)


@dataclass(frozen=True)
class Failure:
    """A test that failed: ``name`` its node id; ``message`` its first line; ``entry`` None where it came to no result.

    ``file`` is a path from the project's root, ``line`` counts from 1.
    """

    name: str
    file: str
    line: int
    message: str
    entry: Entry | None = None

    @property
    def title(self) -> str:
        """The claim's id with its variant, or the last part of the node id."""
        return claim_name(self.entry) if self.entry is not None else self.name.rpartition("::")[2]


def worst_first(failures: Iterable[Failure]) -> list[Failure]:
    """Decided against the expectation; then the program's own errors; INVALID; UNMEASURABLE; INCONCLUSIVE; SKIPPED.

    Within each by file and line.
    """
    return sorted(failures, key=lambda each: (_badness(each.entry), each.file, each.line, each.name))


def _badness(entry: Entry | None) -> int:
    worse = ("ERROR", "INVALID", "UNMEASURABLE", "INCONCLUSIVE", "SKIPPED")
    said = "ERROR" if entry is None else label(entry)
    return 1 + worse.index(said) if said in worse else 0


def step_summary(
    entries: Mapping[str, Entry],
    failures: Sequence[Failure],
    *,
    remarks: Sequence[str] = (),
    link: Callable[[Entry], str | None] = lambda entry: None,
    room: int = LIMIT,
) -> str:
    """Markdown of at most ``room`` bytes (UTF-8); "" where not even the counts fit.

    ``entries``: node id -> its part of results.json. ``failures``: the tests that failed. ``remarks``: lines about the
    run. ``link``: where a claim's words lead.
    """
    entries = with_required(entries, [each.name for each in failures])
    parts = ["## Claims", f"**{prose(counts_line(entries))}**" if entries else "No claim was tested."]
    parts += ["\n".join(f"- {prose(_short(text))}" for text in remarks[:_MOST_LINES])] if remarks else []
    parts += [f"and {len(remarks) - _MOST_LINES} more remarks"] if len(remarks) > _MOST_LINES else []
    parts += [counts_table(list(entries.values()))] if entries else []
    text = "\n\n".join(parts) + "\n"
    if len(text.encode(errors="replace")) > room - _CLOSING:
        return ""
    left = 0
    for title, lines in _sections(entries, worst_first(failures), link):
        fitting, out = _fitting(lines, room - _CLOSING - _size(text) - _size(title) - 4)
        left += out
        text += f"\n{title}\n\n" + "".join(f"{line}\n" for line in fitting) if fitting else ""
    if left:
        text += f"\n{left} more claim{'s were' if left > 1 else ' was'} left out here, for a step's summary has a limit of {LIMIT >> 10} KiB: the report has all of them.\n"
    return text


def _sections(
    entries: Mapping[str, Entry], failures: Sequence[Failure], link: Callable[[Entry], str | None]
) -> Iterator[tuple[str, list[str]]]:
    """Each section's title and the lines of its table, the first two of them its head."""
    broken = [[prose(each.name), prose(_short(each.message))] for each in failures if each.entry is None]
    if broken:
        yield "### Failed without a result", table(["test", "what happened"], broken).splitlines()
    missed = {each.name: entries.get(each.name, each.entry) for each in failures if each.entry is not None}
    # What passes though its author said that it would not (xfail) fails no test, but belongs there too.
    missed |= {name: entry for name, entry in entries.items() if entry["met"] is False and name not in missed}
    if missed:
        rows = [_missed_row(entry, link) for entry in missed.values()]
        yield "### Not as expected, the worst first", table([*_COLUMNS, "expected", "why"], rows).splitlines()
    rest = sorted(
        ((name, entry) for name, entry in entries.items() if name not in missed),
        key=lambda pair: (str(pair[1]["file"]), pair[1]["line"], pair[0]),
    )
    if rest:
        title = "### As expected, or skipped" if any(entry["met"] is None for _, entry in rest) else "### As expected"
        rows = [[*_row(_clipped(entry), link(entry)), _met(entry)] for _, entry in rest]
        yield title, table([*_COLUMNS, "as expected"], rows).splitlines()


def _missed_row(entry: Entry, link: Callable[[Entry], str | None]) -> list[str]:
    short = _clipped(entry)
    return [*_row(short, link(entry)), prose(short["expected"]), prose(short.get("reason") or "")]


def _row(entry: Entry, link: str | None) -> list[str]:
    told = prose(entry.get("claim") or claim_name(entry))
    told = f"[{told}]({link})" if link else told
    told += f" {code(entry['variant'])}" if entry.get("variant") else ""
    return [prose(entry.get("suite") or entry.get("file") or DASH), *claim_row(entry, told)]


def _met(entry: Entry) -> str:
    return "skipped" if verdict_of(entry) == "skipped" else said(entry.get("met"), "yes", "**no**", DASH)


def _clipped(entry: Entry) -> Entry:
    """The entry with no person's text longer than a cell bears."""
    return {**entry, **{key: _short(entry[key]) for key in ("suite", "claim", "reason", "expected") if entry.get(key)}}


def _short(text: Any) -> str:
    return str(text) if len(str(text)) <= _LONGEST else str(text)[: _LONGEST - 3] + "..."


def _fitting(lines: Sequence[str], room: int) -> tuple[list[str], int]:
    """The rows of a table that fit into so many bytes, under its head, and how many do not."""
    head, rows = list(lines[:2]), lines[2:]
    used = sum(map(_size, head))
    kept: list[str] = []
    for row in rows:
        if used + _size(row) <= room:
            kept.append(row)
            used += _size(row)
    return (head + kept if kept else []), len(rows) - len(kept)


def _size(line: str) -> int:
    """Bytes of a line with its end."""
    return len(line.encode(errors="replace")) + 1
