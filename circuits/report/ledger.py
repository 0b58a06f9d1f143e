"""The ledger ``ledger.jsonl``: every version of a claim that was ever decided, a line each; only ever appended to.

``results.json`` holds what claims come to now. The ledger holds what they came to before, so that a bound which was
moved until it passed can be told from one that was set beforehand.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

from circuits.report.pages import claim_name
from circuits.report.prose import expected_words, listing
from circuits.report.record import clean_numbers, file_of, own_digest
from circuits.store import alone, digest_of, values_folder

NAME = "ledger.jsonl"
MOST_ROWS = 4
"""How many rows and bounds of a claim stand in a line, which stays below 600 bytes; the rest are counted."""
_MOST_TOLD = 6
_SAME = ("id", "claim", "seed", "n", "code", "model", "verdict", "own")
"""What two lines must have in common for the second not to be written."""

Line = Mapping[str, Any]


@dataclass(frozen=True)
class Ledger:
    """The lines that could be read, oldest first, and how many could not.

    ``present``: the node ids of the claims there are now, which tells a renamed claim from a copy (None: not known, and
    no line of another id is taken for the claim's own).
    """

    lines: tuple[Line, ...] = ()
    damaged: int = 0
    present: frozenset[str] | None = None

    @cached_property
    def by_id(self) -> Mapping[str, tuple[int, ...]]:
        """Node id -> the places of its lines."""
        return self._places("id")

    @cached_property
    def by_question(self) -> Mapping[str, tuple[int, ...]]:
        """Question -> the places of its lines, whatever their id."""
        return self._places("question")

    def _places(self, key: str) -> Mapping[str, tuple[int, ...]]:
        found: dict[str, list[int]] = {}
        for place, line in enumerate(self.lines):
            found.setdefault(line[key], []).append(place)
        return {name: tuple(places) for name, places in found.items()}

    def in_words(self) -> str | None:
        """How many lines are damaged; None where none is."""
        if not self.damaged:
            return None
        lines = f"{self.damaged} line{' is' if self.damaged == 1 else 's are'}"
        return f"{NAME}: {lines} damaged and left out; nothing else is lost"


@dataclass(frozen=True)
class Version:
    """One question that was decided under a claim's id: its bounds, and each decision (verdict, n, seed) in turn.

    ``recoded``: how often the project's own code that it rests on was edited between two of them. ``first`` and ``last``: the
    numbers of the first and the last decision as text, with the prompts and the model that they are of; "" where not known.
    """

    question: str
    bounds: tuple[str, ...]
    decisions: tuple[tuple[str, int | None, Any], ...]
    since: str
    expected: str = "supported"
    recoded: int = 0
    first: str = ""
    last: str = ""

    @property
    def verdict(self) -> str:
        return self.decisions[-1][0]


@dataclass(frozen=True)
class History:
    """A claim's versions by when each was first decided; ``now``: which is the present one (None: none of them)."""

    versions: tuple[Version, ...]
    now: int | None

    @property
    def before(self) -> tuple[Version, ...]:
        """The versions that were decided before the present one was."""
        return self.versions if self.now is None else self.versions[: self.now]

    @property
    def after(self) -> tuple[Version, ...]:
        """Versions that were decided later and taken back since."""
        return () if self.now is None else self.versions[self.now + 1 :]


def read_ledger(path: Path, present: Collection[str] | None = None) -> Ledger:
    """The ledger at ``path``; a missing file is an empty one, a line that is no line of a ledger is counted as damaged."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Ledger(present=None if present is None else frozenset(present))
    lines, damaged = _lines_in(data)
    return Ledger(lines, damaged, None if present is None else frozenset(present))


@lru_cache(1)  # a run reads its ledger three times
def _lines_in(data: bytes) -> tuple[tuple[Line, ...], int]:
    """The lines that can be read, and how many cannot."""
    found = [_parsed(raw) for raw in data.split(b"\n") if raw.strip()]
    lines = tuple(line for line in found if line is not None)
    return lines, len(found) - len(lines)


def _parsed(raw: bytes) -> Line | None:
    try:
        line = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(line, dict):
        return None
    texts = all(isinstance(line.get(key), str) for key in ("id", "claim", "question", "verdict", "time"))
    seed = line.get("seed")
    seeds = seed if isinstance(seed, list) else [seed]
    numbers = all(each is None or type(each) is int for each in (line.get("n"), *seeds))
    return line if texts and numbers and isinstance(line.get("bounds"), list) else None


def lines_of(
    entries: Mapping[str, Mapping[str, Any]], models: Mapping[str, Any], run: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """A line for each claim of a run that has a verdict from the model. ``run``: its entry in results.json."""
    lines = []
    for node_id, entry in sorted(entries.items()):
        if entry.get("status") in ("measured", "cached") and entry.get("verdict") is not None and entry.get("digest"):
            lines.append(_line(node_id, entry, models.get(str(entry.get("model"))) or {}, run))
    return lines


def _line(node_id: str, entry: Mapping[str, Any], model: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, Any]:
    rows = [row for row in entry.get("checks") or [] if not row.get("observe")]
    bounds = list({row.get("index"): str(row.get("bound")) for row in rows}.values())
    seeds = sorted({row["seed"] for row in rows if row.get("seed") is not None})
    prompts = sorted(str(facts.get("digest")) for facts in (entry.get("prompts") or {}).values() if facts)
    git = str(run.get("git") or "")
    line = {
        "time": run["started"], "id": node_id, "claim": _short(entry["digest"]),
        "question": _short(entry.get("question") or entry["digest"]), "bounds": bounds[:MOST_ROWS],
        "seed": seeds[0] if len(seeds) == 1 else seeds or None,
        "n": max((row["n"] for row in rows if row.get("n") is not None), default=None),
        "verdict": str(entry["verdict"]), "expected": str(entry.get("expected") or "supported")[:40],
        "rows": [[row.get("estimate"), row.get("low"), row.get("high")] for row in rows[:MOST_ROWS]],
        "code": _short(run.get("code")), "model": _short(model.get("digest")),
        "prompts": _short(digest_of(prompts)) if prompts else None,
        "git": git[:12] + ("+changes" if "+" in git else "") or None,
    }  # fmt: skip
    own = own_digest(entry.get("own") or [])
    line |= {"own": _short(own)} if own is not None else {}
    more = {"more_bounds": len(bounds) - MOST_ROWS, "more_rows": len(rows) - MOST_ROWS}
    found: dict[str, Any] = clean_numbers(line | {key: count for key, count in more.items() if count > 0}, 4)
    return found


def _short(digest: str | None) -> str | None:
    """The first 16 hexadecimal digits of a digest (of the name, where a model goes by one)."""
    if digest is None:
        return None
    kind, _, rest = digest.rpartition(":")
    return rest[:16] if kind in ("", "sha256") else sha256(digest.encode()).hexdigest()[:16]


def append(path: Path, lines: Iterable[Line]) -> int:
    """Append the lines that are not there yet, and say how many were.

    What is there is never changed: each line is one write at the end, under a lock, and one that a crash cut short
    stays as it is, with the next beginning on a line of its own. Raises OSError when writing fails.
    """
    place = values_folder().parent / "locks" / f"ledger-{digest_of(str(path.absolute()))[:32]}.lock"
    with alone(place):
        known = {_key(line) for line in read_ledger(path).lines}
        new: dict[tuple[Any, ...], Line] = {}
        for line in lines:
            new.setdefault(_key(line), line)
        fresh = [line for key, line in new.items() if key not in known]
        if fresh:
            _write(path, fresh)
    return len(fresh)


def _key(line: Line) -> tuple[Any, ...]:
    parts = (line.get(part) for part in _SAME)
    return tuple(part if part is None or isinstance(part, (str, int)) else repr(part) for part in parts)


def _write(path: Path, lines: Iterable[Line]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
    try:
        torn = os.lseek(file, 0, os.SEEK_END) > 0
        if torn:
            os.lseek(file, -1, os.SEEK_END)
            torn = os.read(file, 1) != b"\n"
        for line in lines:
            text = json.dumps(line, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
            data = (b"\n" if torn else b"") + text.encode("utf-8", errors="replace") + b"\n"
            if os.write(file, data) != len(data):
                raise OSError(errno.ENOSPC, "the line could not be written whole", str(path))
            torn = False
        os.fsync(file)
    finally:
        os.close(file)


def history(entry: Mapping[str, Any], ledger: Ledger) -> History:
    """What was decided under the id of a claim's entry, and under ids that it had before (see ``Ledger.present``)."""
    own = f"{file_of('', entry)}::{claim_name(entry)}"
    lines = _lines_of_claim(own, ledger)
    groups: dict[str, list[Line]] = {}
    for line in lines:
        groups.setdefault(line["question"], []).append(line)
    versions = tuple(_version(question, group) for question, group in groups.items())
    now = _short(entry.get("question") or entry.get("digest"))
    return History(versions, next((k for k, version in enumerate(versions) if version.question == now), None))


def _lines_of_claim(own: str, ledger: Ledger) -> list[Line]:
    """The lines of an id, and those of ids that are gone now and asked the very same question, in their order."""
    places: set[int] = set()
    names, todo = {own}, [own]
    while todo:
        mine = ledger.by_id.get(todo.pop(), ())
        places.update(mine)
        if ledger.present is not None:
            asked = {ledger.lines[place]["question"] for place in mine}
            same = {ledger.lines[place]["id"] for question in asked for place in ledger.by_question[question]}
            former = same - names - ledger.present
            names |= former
            todo += sorted(former)
    return [ledger.lines[place] for place in sorted(places)]


def _version(question: str, lines: list[Line]) -> Version:
    decisions = dict.fromkeys((line["verdict"], line.get("n"), _hashable(line.get("seed"))) for line in lines)
    last = lines[-1]
    left = last.get("more_bounds")
    bounds = (*map(str, last["bounds"]), *([f"{left} more"] if left else []))
    own = [line["own"] for line in lines if line.get("own") is not None]  # lines of earlier versions do not tell
    recoded = sum(one != two for one, two in pairwise(own))
    expected = str(last.get("expected") or "supported")
    return Version(
        question, bounds, tuple(decisions), str(lines[0]["time"]), expected, recoded, _numbers(lines[0]), _numbers(last)
    )


def _numbers(line: Line) -> str:
    """The numbers of a decision, on what: equal where the same was measured; "" where a line does not tell."""
    rows = line.get("rows")
    return json.dumps([rows, line.get("prompts"), line.get("model"), line.get("seed")]) if rows else ""


def _hashable(seed: Any) -> Any:
    return tuple(seed) if isinstance(seed, list) else seed


def history_of(entry: Mapping[str, Any], ledger: Ledger) -> dict[str, Any] | None:
    """What pages get beside a claim's entry: ``history``, the text, and ``versions``, its data; None without one.

    A version: its bounds, what was expected, since when (UTC), whether it is the present one, and its decisions.
    """
    text = history_text(entry, ledger)
    if text is None:
        return None
    found = history(entry, ledger)
    versions = [
        {
            "bounds": list(version.bounds), "expected": version.expected, "since": version.since, "now": k == found.now,
            "decisions": [{"verdict": verdict, "n": n, "seed": seed} for verdict, n, seed in version.decisions],
        }
        for k, version in enumerate(found.versions)
    ]  # fmt: skip
    return {"history": text, "versions": versions}


def history_text(entry: Mapping[str, Any], ledger: Ledger) -> str | None:
    """How often a claim was edited before it came to its verdict, and to what each version came; plain text.

    None where only this version was ever decided, always alike and by the same code of the project's own. Other seeds
    are no edit.
    """
    found = history(entry, ledger)
    if found.now is None:
        return f"not decided as it stands; other versions were: {_listed(found.before)}" if found.before else None
    told = []
    present = found.versions[found.now]
    if found.before:
        times = "once" if len(found.before) == 1 else f"{len(found.before)} times"
        told.append(f"edited {times} before this version was decided: {_listed(found.before)}")
        told.append(f"then {_told(present, found.before[-1])}")
    elif present.recoded or len({verdict for verdict, _, _ in present.decisions}) > 1:
        told.append(f"decided more than once: {_told(present)}")
    if found.after:
        told.append(f"decided in other versions since, which were taken back: {_listed(found.after)}")
    return "; ".join(told) or None


def _listed(versions: tuple[Version, ...]) -> str:
    texts = [_told(version, versions[k - 1] if k else None) for k, version in enumerate(versions)]
    if len(texts) > _MOST_TOLD:
        texts = [*texts[:2], f"{len(texts) - _MOST_TOLD + 1} more", *texts[3 - _MOST_TOLD :]]
    return ", ".join(texts)


def _told(version: Version, previous: Version | None = None) -> str:
    """ "at_least 0.5 REFUTED (n 64)"; each decision where they differ, by the prompts they rest on."""
    alike = len({verdict for verdict, _, _ in version.decisions}) == 1
    shown = version.decisions[-1:] if alike else version.decisions
    decided = " then ".join(_decision(each, not alike) for each in shown)
    return f"{listing(version.bounds) or 'no bound'}{_aside(version, previous)} {decided}{_recoded(version)}"


def _recoded(version: Version) -> str:
    times = "once" if version.recoded == 1 else f"{version.recoded} times"
    return f" (the project's own code was edited {times} in between)" if version.recoded else ""


def _aside(version: Version, previous: Version | None) -> str:
    """What the bounds alone do not tell: another expectation, or another question with the same bounds."""
    if version.expected != (previous.expected if previous is not None else "supported"):
        return f" ({expected_words(version.expected)})"
    if previous is None or previous.bounds != version.bounds:
        return ""
    if previous.last and previous.last == version.first:
        return " (other words: the same bounds and the same numbers)"
    return " (the same bounds; its words, heads, prompts or selectors were others)"


def _decision(decision: tuple[str, int | None, Any], seeds: bool) -> str:
    verdict, n, seed = decision
    facts = [f"n {n}"] if n is not None else []
    facts += [f"seed {seed}"] if seeds and seed is not None else []
    return verdict.upper() + (f" ({', '.join(facts)})" if facts else "")
