"""A difference as text for a terminal, as Markdown for a pull request, and as data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from circuits.claims.bounds import show
from circuits.diff.asked import OTHER, STRENGTHENED, WEAKENED, Change
from circuits.diff.compare import BOTH, Difference, Edited, Pair, effort, rows_of
from circuits.diff.side import ClaimState, claims_were
from circuits.report.prose import code, prose
from circuits.report.record import number
from circuits.report.terminal import numbers

MARKER = "<!-- pytest-circuits: what a change did to the claims -->"
"""The first line of the Markdown: a bot finds its own comment by it, and writes it anew."""
MOST_CHARACTERS = 65_000
_ROOM = 400  # for what is said after the last claim that is shown
_MOST_LINES = 12
_MOST_WIDE = 500
JSON_FORMAT = 1

_TITLES = {
    WEAKENED: "Weakened: these ask less than before",
    BOTH: "Weakened in one respect and strengthened in another",
    STRENGTHENED: "Strengthened: these ask more than before",
    OTHER: "Asked otherwise: neither weaker nor stronger by their text",
}


@dataclass(frozen=True)
class Block:
    """One claim of a section: its name, a word or two beside it, and lines of detail."""

    name: str
    beside: str
    lines: tuple[str, ...] = ()


Section = tuple[str, Sequence[Block]]


def as_text(found: Difference) -> str:
    """For the terminal: a summary, then every section."""
    parts = [f"{found.old.name} -> {found.new.name}", summary(found)]
    for title, blocks in sections(found):
        parts += ["", f"{title} ({len(blocks)})"]
        for block in blocks:
            parts.append(f"  {block.name}{'  ' + block.beside if block.beside else ''}")
            parts += [f"      {line}" for line in block.lines]
    parts += ["", *_asides(found)] if _asides(found) else []
    return "\n".join(parts)


def as_markdown(found: Difference, most: int = MOST_CHARACTERS) -> str:
    """A comment for a pull request of less than ``most`` characters; what has no room is counted."""
    verdict = "What this change does to the claims" if found.matters else "This change does nothing to the claims"
    head = [MARKER, f"### {verdict}", f"{code(found.old.name)} → {code(found.new.name)}. {_safe(summary(found))}"]
    tail = ["\n".join(f"- {_safe(text)}" for text in _asides(found))] if _asides(found) else []
    room = most - sum(len(part) + 2 for part in (*head, *tail)) - _ROOM
    parts, todo = [], sections(found)
    for place, (title, blocks) in enumerate(todo):
        room -= len(title) + 20
        texts = []
        reserve = sum(len(other) + 60 for other, _ in todo[place + 1 :])
        for block in blocks:
            text = _markdown_block(block)
            if len(text) + 1 > room - reserve:
                break
            texts.append(text)
            room -= len(text) + 1
        left = len(blocks) - len(texts)
        texts += [f"- and {left} more"] if left else []
        room -= 30 if left else 0
        parts.append(f"#### {title} ({len(blocks)})\n\n" + "\n".join(texts))
    return "\n\n".join([*head, *parts, *tail]) + "\n"


def _markdown_block(block: Block) -> str:
    lines = [f"- {code(block.name)}{' ' + _safe(block.beside) if block.beside else ''}"]
    return "\n".join([*lines, *(f"  - {_safe(line)}" for line in block.lines)])


def _safe(text: str) -> str:
    """Text that renders as written; nobody is called by an @ and no issue linked by a # in it."""
    line = re.sub(r"^\\#", "#", prose(text))  # an entity needs no backslash, which would be shown
    return line.replace("#", "&#35;").replace("@", "&#64;")


def summary(found: Difference) -> str:
    """One line of counts; what there is none of is left out."""
    flips, rest = _verdicts(found)
    counts = [
        (len(flips), "flipped"), (len(rest), "with another verdict"),
        (len(found.turned), "expected otherwise"),
        *((sum(each.direction == name for each in found.edited), words) for name, words in _COUNTED.items()),
        (len(found.added), "added"), (len(found.removed), "removed"), (len(found.renamed), "renamed"),
        (len(found.models), "measured on other weights (models)"),
    ]  # fmt: skip
    told = [f"{count} {words}" for count, words in counts if count]
    same = f"{found.same} claim{'' if found.same == 1 else 's'} as before"
    return f"{', '.join(told)}; {same}." if told else f"No difference that matters: {same}."


_COUNTED = {WEAKENED: "weakened", BOTH: BOTH, STRENGTHENED: "strengthened", OTHER: "asked otherwise"}


def sections(found: Difference) -> list[Section]:
    """Every section that has something in it, what matters most first."""
    edits = {id(each.pair): each for each in found.edited}
    flips, rest = _verdicts(found)
    known: list[Section] = [
        ("Flipped verdicts", [_verdict_block(pair, edits.get(id(pair))) for pair in flips]),
        ("Another expectation", [_turned_block(pair) for pair in found.turned]),
    ]
    for direction, title in _TITLES.items():
        known.append((title, [_edited_block(each) for each in found.edited if each.direction == direction]))
    known += [
        ("Another verdict", [_verdict_block(pair, None) for pair in rest]),
        ("Added", [_state_block(state) for state in found.added]),
        ("Removed", [_state_block(state) for state in found.removed]),
        ("Renamed, the same otherwise", [Block(pair.old.node_id, f"-> {pair.new.node_id}") for pair in found.renamed]),
        ("Other weights under a model's name", [
            Block(name, f"{before or 'no digest'} -> {after or 'no digest'}")
            for name, (before, after) in found.models.items()
        ]),
        ("The same question and verdict, other numbers", [_moved_block(pair) for pair in found.moved]),
    ]  # fmt: skip
    return [(title, blocks) for title, blocks in known if blocks]


def _verdicts(found: Difference) -> tuple[list[Pair], list[Pair]]:
    """The flips; and the other verdicts of claims that ask what they asked (those of edited claims stand with the edit)."""
    edited = {id(each.pair) for each in found.edited}
    flips = [pair for pair in found.verdicts if pair.flipped]
    return flips, [pair for pair in found.verdicts if not pair.flipped and id(pair) not in edited]


def _asides(found: Difference) -> list[str]:
    """What was not compared, and why."""
    told = [*found.old.notes, *found.new.notes]
    if found.unmeasured:
        told.append(
            f"{claims_were(found.unmeasured)} not measured, or skipped, on both sides: nothing is known of their verdicts"
        )
    if found.recoded:
        told.append(f"{claims_were(found.recoded)} measured by other code or libraries on the two sides")
    if found.alike:
        told.append(
            f"{claims_were(found.alike)} written alike on both sides, under digests of two versions of the program: "
            "taken for unchanged"
        )
    return told


def _turn(pair: Pair) -> str:
    old, new = pair.old.shown, pair.new.shown
    return old if old == new else f"{old} -> {new}"


def _verdict_block(pair: Pair, edit: Edited | None) -> Block:
    lines = [f"asked otherwise too: {edit.direction}"] if edit is not None else []
    lines += _reasons(pair) + list(_row_lines(pair))
    return Block(pair.node_id, _turn(pair), _cut(lines))


def _reasons(pair: Pair) -> list[str]:
    """Why there is no verdict on a side."""
    told = []
    for when, state in (("before", pair.old), ("now", pair.new)):
        reason = (state.entry or {}).get("reason")
        told += (
            [f"{when}: {reason}"] if reason and state.verdict in ("skipped", "unmeasurable", "invalid", "error") else []
        )
    return told


def _turned_block(pair: Pair) -> Block:
    return Block(pair.node_id, f"expected: {pair.old.expected} -> {pair.new.expected}", (f"verdict: {_turn(pair)}",))


def _edited_block(edited: Edited) -> Block:
    pair = edited.pair
    grouped: dict[str, list[int]] = {}
    for change in edited.changes:
        grouped.setdefault(_change_text(change), []).extend([] if change.check is None else [change.check])
    lines = [f"{_numbered(checks)}{text}" for text, checks in grouped.items()]
    harder = effort(edited)
    lines += [harder] if harder else []
    lines += [f"verdict: {_turn(pair)}", *_row_lines(pair, every=True)]
    return Block(pair.node_id, "", _cut(lines))


def _numbered(checks: Sequence[int]) -> str:
    return f"check{'' if len(checks) == 1 else 's'} {', '.join(map(str, sorted(set(checks))))}: " if checks else ""


def _change_text(change: Change) -> str:
    if change.direction == OTHER:
        return change.text
    if change.by is None:
        return f"{change.text}: {change.direction}"
    by = show(float(f"{change.by:.3g}"), change.percent)
    widths = f" ({number(change.widths)} times the width of its interval)" if change.widths is not None else ""
    return f"{change.text}: {change.direction} by {by}{widths}"


def _moved_block(pair: Pair) -> Block:
    return Block(pair.node_id, _turn(pair), _cut(list(_row_lines(pair))))


def _row_lines(pair: Pair, *, every: bool = False) -> Iterator[str]:
    """Estimates and intervals before and after, of the rows that differ (of ``every`` row that was measured)."""
    for old, new in rows_of(pair):
        row = new or old
        assert row is not None
        texts = [_measured(each) for each in (old, new)]
        if texts == [None, None] or (texts[0] == texts[1] and not every):
            continue
        place = ", ".join(str(row[key]) for key in ("head", "prompts") if row.get(key))
        then = texts[0] if texts[0] == texts[1] else " -> ".join(text or "not measured" for text in texts)
        yield f"check {row.get('index')}{f' ({place})' if place else ''}: {then}"


def _measured(row: Mapping[str, Any] | None) -> str | None:
    if row is None or row.get("estimate") is None:
        return None
    size = f", n {row['n']}" if row.get("n") else ""
    return f"{numbers(row)} against {row.get('bound') or 'no bound'}{size}"


def _state_block(state: ClaimState) -> Block:
    expected = "" if state.expected == "supported" else f" (expected: {state.expected})"
    rows = (state.entry or {}).get("checks") or []
    lines = [f"check {row.get('index')}: {text}" for row in rows if (text := _measured(row)) is not None]
    return Block(state.node_id, state.shown + expected, _cut(lines))


def _cut(lines: Sequence[str]) -> tuple[str, ...]:
    """At most 12 lines of at most 500 characters."""
    short = [line if len(line) <= _MOST_WIDE else line[: _MOST_WIDE - 3] + "..." for line in lines]
    left = len(short) - _MOST_LINES
    return tuple(short if left <= 0 else [*short[: _MOST_LINES - 1], f"and {left + 1} more"])


def as_data(found: Difference) -> dict[str, Any]:
    """The difference as plain data: see docs/diff.md for every key. What is not known is null."""
    edits = {id(each.pair): each for each in found.edited}
    return {
        "format": JSON_FORMAT, "old": found.old.name, "new": found.new.name, "matters": found.matters,
        "summary": summary(found),
        "added": [_state_data(state) for state in found.added],
        "removed": [_state_data(state) for state in found.removed],
        "renamed": [{"from": pair.old.node_id, "to": pair.new.node_id} for pair in found.renamed],
        "expectations": [
            {"id": pair.node_id, "before": pair.old.expected, "after": pair.new.expected, "verdict": _turn_data(pair)}
            for pair in found.turned
        ],
        "changed": [
            {
                "id": each.pair.node_id, "direction": each.direction, "verdict": _turn_data(each.pair),
                "changes": [_change_data(change) for change in each.changes], "rows": _rows_data(each.pair),
            }
            for each in found.edited
        ],
        "verdicts": [
            {"id": pair.node_id, **_turn_data(pair), "flipped": pair.flipped, "asked_otherwise": id(pair) in edits,
             "rows": _rows_data(pair)}
            for pair in found.verdicts
        ],
        "numbers": [{"id": pair.node_id, "verdict": pair.new.verdict, "rows": _rows_data(pair)} for pair in found.moved],
        "models": {name: {"before": before, "after": after} for name, (before, after) in found.models.items()},
        "counts": {"same": found.same, "unmeasured": found.unmeasured, "other_code": found.recoded, "alike": found.alike},
        "notes": [*found.old.notes, *found.new.notes],
    }  # fmt: skip


def _state_data(state: ClaimState) -> dict[str, Any]:
    rows = (state.entry or {}).get("checks") or []
    return {
        "id": state.node_id,
        "verdict": state.verdict,
        "expected": state.expected,
        "rows": [_row_data(row) for row in rows],
    }


def _turn_data(pair: Pair) -> dict[str, Any]:
    vacuous = {"before": pair.old.vacuous, "after": pair.new.vacuous}
    return {"before": pair.old.verdict, "after": pair.new.verdict, "vacuous": vacuous}


def _change_data(change: Change) -> dict[str, Any]:
    return {
        "direction": change.direction, "check": change.check, "text": change.text, "by": change.by,
        "percent": change.percent, "widths": change.widths,
    }  # fmt: skip


def _rows_data(pair: Pair) -> list[dict[str, Any]]:
    return [
        {
            **{key: (new or old or {}).get(key) for key in ("index", "head", "prompts")},
            "before": None if old is None else _row_data(old), "after": None if new is None else _row_data(new),
        }
        for old, new in rows_of(pair)
    ]  # fmt: skip


def _row_data(row: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("index", "head", "prompts", "bound", "estimate", "low", "high", "confidence", "n", "seed", "verdict")
    return {key: row.get(key) for key in keys}
