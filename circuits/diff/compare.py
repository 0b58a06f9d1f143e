"""Two sides compared: claims that came, went, ask otherwise, or came to something else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from circuits.diff.asked import OTHER, STRENGTHENED, WEAKENED, AskedCheck, Change, asked, changes
from circuits.diff.side import OWN_CODE, UNMEASURED, ClaimState, Side, facts_changed, own_changed
from circuits.report.record import DECIDED

BOTH = "weakened and strengthened"
DIRECTIONS = (WEAKENED, BOTH, STRENGTHENED, OTHER)
_TOLERANCE = 1e-4  # how exactly the same measurement comes out again: 1e-4 of the value, or of 1


@dataclass(frozen=True)
class Pair:
    """A claim on both sides; ``node_id`` is the new one."""

    old: ClaimState
    new: ClaimState

    @property
    def node_id(self) -> str:
        return self.new.node_id

    @property
    def flipped(self) -> bool:
        """From SUPPORTED to REFUTED or back."""
        return {self.old.verdict, self.new.verdict} == set(DECIDED)

    @property
    def turned(self) -> bool:
        """Whether something else is expected now."""
        return self.old.expected != self.new.expected


@dataclass(frozen=True)
class Edited:
    """A claim that asks something else. ``direction``: one of DIRECTIONS, of all its changes together."""

    pair: Pair
    changes: tuple[Change, ...]

    @property
    def direction(self) -> str:
        found = {change.direction for change in self.changes} - {OTHER}
        return BOTH if len(found) == 2 else next(iter(found), OTHER)


@dataclass(frozen=True)
class Difference:
    """What is other on the new side. Pairs and states are sorted: flips first, then by node id.

    ``models``: name -> (digest before, after) of the weights that claims of both sides were measured on. ``moved``: claims
    with the same question and verdict whose numbers are others. ``recoded``: how many were measured by other code.
    ``alike``: how many read alike on both sides though the digests of their meaning, made by other versions of the
    program, differ. ``unmeasured``: how many claims have no verdict on either side.
    """

    old: Side
    new: Side
    added: tuple[ClaimState, ...]
    removed: tuple[ClaimState, ...]
    renamed: tuple[Pair, ...]
    turned: tuple[Pair, ...]
    edited: tuple[Edited, ...]
    verdicts: tuple[Pair, ...]
    moved: tuple[Pair, ...]
    models: Mapping[str, tuple[str | None, str | None]]
    recoded: int
    alike: int
    unmeasured: int
    same: int

    @property
    def matters(self) -> bool:
        """Whether anything is other that a reviewer must look at; numbers that moved a little and other code are not."""
        parts = (self.added, self.removed, self.renamed, self.turned, self.edited, self.verdicts, self.models)
        return any(bool(part) for part in parts)


def compare(old: Side, new: Side) -> Difference:
    """What is other in ``new``. Which comes first in either side plays no part."""
    pairs = [Pair(old.claims[name], new.claims[name]) for name in sorted(old.claims.keys() & new.claims.keys())]
    renamed, gone, came = _renamed(old, new)
    pairs += renamed
    edited, alike = [], 0
    for pair in pairs:
        found, unclear = _edited(pair)
        alike += unclear
        edited += [Edited(pair, tuple(found))] if found else []
    verdicts = sorted((pair for pair in pairs if pair.old.shown != pair.new.shown and not _silent(pair)), key=_weight)
    other = {id(pair) for pair in (*(each.pair for each in edited), *verdicts)}
    moved = [pair for pair in pairs if id(pair) not in other and _moved(pair)]
    return Difference(
        old, new, came, gone, tuple(renamed), tuple(sorted((p for p in pairs if p.turned), key=_weight)),
        tuple(sorted(edited, key=lambda each: (DIRECTIONS.index(each.direction), _weight(each.pair)))), tuple(verdicts),
        tuple(moved), _models(old, new, pairs), sum(_recoded(pair) for pair in pairs), alike,
        sum(map(_silent, pairs)), sum(id(pair) not in other and not pair.turned for pair in pairs),
    )  # fmt: skip


def _weight(pair: Pair) -> tuple[int, str]:
    """Flips first, then what was or is decided, then the rest."""
    decided = pair.old.verdict in DECIDED or pair.new.verdict in DECIDED
    return (0 if pair.flipped else 1 if decided else 2), pair.node_id


def _silent(pair: Pair) -> bool:
    """Whether neither side has an answer: skipped, or not measured yet."""
    return all(state.verdict in ("skipped", UNMEASURED) for state in (pair.old, pair.new))


def _renamed(old: Side, new: Side) -> tuple[list[Pair], tuple[ClaimState, ...], tuple[ClaimState, ...]]:
    """Claims of the same meaning under another id; those that went; those that came."""
    gone: dict[str | None, list[ClaimState]] = defaultdict(list)
    came: dict[str | None, list[ClaimState]] = defaultdict(list)
    for found, these, others in ((gone, old, new), (came, new, old)):
        for name in sorted(these.claims.keys() - others.claims.keys()):
            found[these.claims[name].digest].append(these.claims[name])
    pairs: list[Pair] = []
    for digest in sorted(key for key in gone.keys() & came.keys() if key is not None):
        both = list(zip(gone[digest], came[digest], strict=False))
        pairs += [Pair(before, after) for before, after in both]
        gone[digest], came[digest] = gone[digest][len(both) :], came[digest][len(both) :]
    left, right = (
        tuple(sorted((each for group in found.values() for each in group), key=lambda state: state.node_id))
        for found in (gone, came)
    )
    return sorted(pairs, key=lambda pair: pair.node_id), left, right


def _edited(pair: Pair) -> tuple[list[Change], bool]:
    """What a claim asks otherwise; and whether it reads alike while its digests, made by other code, differ."""
    old, new = pair.old, pair.new
    own = [Change(OTHER, text) for text in own_changed(old, new)] if old.code == new.code else []
    if old.digest == new.digest and (old.digest is not None or old.yaml == new.yaml):
        return own, False
    before, after = asked(old.yaml), asked(new.yaml)
    found: list[Change] = []
    if before is not None and after is not None:
        found += changes(before, after, lambda one, two: _width(pair, one, two))
    elif old.yaml != new.yaml:
        found.append(Change(OTHER, "its text, which cannot be compared check by check"))
    others = facts_changed(old, new, leave=("sampling: seed",))
    found += [_of_fact(text) for text in others if not text.startswith(OWN_CODE)] + own
    if pair.turned:
        found.append(Change(OTHER, f"expected: {old.expected} -> {new.expected}"))
    if found:
        return [*found, *_seed(pair)], False
    if old.code != new.code:
        return _seed(pair) if old.yaml != new.yaml else [], True
    rest = "something that its text does not show: a shared prompt set or circuit, or the suite's sampling"
    return _seed(pair) or [Change(OTHER, rest)], False


def _seed(pair: Pair) -> list[Change]:
    changed = facts_changed(pair.old, pair.new)
    return [Change(OTHER, text) for text in changed if text.startswith("sampling: seed")]


def _of_fact(text: str) -> Change:
    """A fact that is another one; more confidence asks more of the same claim."""
    name, _, values = text.partition(": confidence: ")
    if name != "sampling":
        return Change(OTHER, text)
    try:
        before, after = (float(value) for value in values.split(" -> "))
    except ValueError:  # a record that somebody else wrote
        return Change(OTHER, text)
    return Change(STRENGTHENED if after > before else WEAKENED, text)


def _width(pair: Pair, old: AskedCheck, new: AskedCheck) -> float | None:
    """The widest interval that a check had, on the old side where it was measured there."""
    for state, check in ((pair.old, old), (pair.new, new)):
        rows = (state.entry or {}).get("checks") or []
        ends = [(row.get("low"), row.get("high")) for row in rows if row.get("index") == check.index]
        widths = [high - low for low, high in ends if low is not None and high is not None]
        if widths:
            return float(max(widths)) or None
    return None


def rows_of(pair: Pair) -> Iterator[tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]]:
    """The rows of a claim's checks, before and after, in the new order; None where one side has no such row."""
    old, new = (
        {_row_key(row): row for row in (state.entry or {}).get("checks") or []} for state in (pair.old, pair.new)
    )
    for key in (*new, *(key for key in old if key not in new)):
        yield old.get(key), new.get(key)


def _row_key(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(row.get(name)) for name in ("index", "head", "prompts"))


def _moved(pair: Pair) -> bool:
    return any(
        old is not None and new is not None and any(_apart(old.get(key), new.get(key)) for key in ("estimate", "low", "high"))
        for old, new in rows_of(pair)
    )  # fmt: skip


def _apart(old: float | None, new: float | None) -> bool:
    if old is None or new is None:
        return old is not new
    return abs(old - new) > _TOLERANCE * max(1.0, abs(old), abs(new))


def _recoded(pair: Pair) -> bool:
    old, new = pair.old.measured_by, pair.new.measured_by
    return old is not None and new is not None and old != new


def _models(old: Side, new: Side, pairs: Sequence[Pair]) -> dict[str, tuple[str | None, str | None]]:
    names = {
        str(pair.old.entry["model"]) for pair in pairs
        if pair.old.entry is not None and pair.new.entry is not None and pair.old.entry.get("model") == pair.new.entry.get("model")
        and pair.old.entry.get("model") is not None
    }  # fmt: skip
    both = {name: (old.models.get(name), new.models.get(name)) for name in sorted(names)}
    return {name: (one, two) for name, (one, two) in both.items() if one != two}


def effort(edited: Edited) -> str | None:
    """What an edit means for a claim that is expected to be refuted, whose test passes when the claim fails."""
    expected = edited.pair.new.expected
    if edited.direction not in (WEAKENED, STRENGTHENED) or expected != "refuted" or edited.pair.turned:
        return None
    easier = "more" if edited.direction == STRENGTHENED else "less"
    return f"it is expected to be refuted, so its test passes {easier} easily now"
