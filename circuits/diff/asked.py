"""What a claim's YAML asks, check by check, and whether another text asks more of the model or less."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from circuits.claims import values
from circuits.claims.bounds import show
from circuits.claims.keys import BOUNDS, CLAIM_KEYS, KINDS
from circuits.claims.source import Faults, Node, split_lines
from circuits.claims.tree import build
from circuits.claims.yaml_problem import NotYaml

WEAKENED, STRENGTHENED, OTHER = "weakened", "strengthened", "other"
_BOUND_KEYS = (*BOUNDS, "by_at_least", "observe")
# What stands in a check without being part of the number that its bound is for.
_BESIDE = ("reported", "requires")
_ABOUT = ("head", "heads", "prompts")
_OPEN = (-math.inf, math.inf)


@dataclass(frozen=True)
class Limit:
    """A bound: the values that it accepts, or ``k`` of ``top: k``. ``text`` is it as people write it."""

    text: str
    accepts: tuple[float, float] = _OPEN
    k: int | None = None
    percent: bool = False

    @property
    def none(self) -> bool:
        """Whether it accepts everything: the check is only observed."""
        return self.k is None and self.accepts == _OPEN


@dataclass(frozen=True)
class AskedCheck:
    """One check as written. ``what`` decides its number, apart from heads and prompts; ``beside`` does not.

    ``some``: that one of ``heads`` does it, not each. ``heads`` and ``prompts`` are texts, sorted.
    """

    index: int
    kind: str
    what: Mapping[str, str]
    beside: Mapping[str, str]
    limit: Limit
    heads: tuple[str, ...]
    some: bool
    prompts: tuple[str, ...]

    @property
    def title(self) -> str:
        return f"{self.kind}: {self.what.get(self.kind, '')}"

    @property
    def number(self) -> Hashable:
        """What decides its number, as a key."""
        return tuple(sorted(self.what.items()))


@dataclass(frozen=True)
class AskedClaim:
    """A claim as written: its words, its checks, and the claim-level keys that no check inherits."""

    words: str
    checks: tuple[AskedCheck, ...]
    rest: Mapping[str, str]


@dataclass(frozen=True)
class Change:
    """One thing that a claim asks otherwise. ``direction``: weakened, strengthened or other.

    ``by``: how far a bound moved, in the check's units (a fraction where ``percent``; places where it is of ``top``);
    ``widths``: the same in widths of the check's interval. Both are null where they have no meaning.
    """

    direction: str
    text: str
    check: int | None = None
    by: float | None = None
    percent: bool = False
    widths: float | None = None


Width = Callable[[AskedCheck, AskedCheck], float | None]
"""How wide the interval of a check is that was measured, before and after; None where it was not."""


def asked(yaml: str) -> AskedClaim | None:
    """A claim's YAML (its id, a colon, what it says) as what it asks; None where the text alone does not tell."""
    faults = Faults("", split_lines(yaml))
    try:
        top = build(yaml, faults)
    except NotYaml:
        return None
    if top is None or faults.found or top.kind != "map" or len(top.entries) != 1 or top.entries[0][1].kind != "map":
        return None
    node = top.entries[0][1]
    listed = node.get("checks")
    nodes = [node] if listed is None else list(listed.children)
    checks = [_check(each, index, node, listed is None) for index, each in enumerate(nodes, 1)]
    if not checks or any(check is None for check in checks):
        return None
    words = node.get("claim")
    rest = {key.text: _text(value) for key, value in node.entries if key.text in ("prompts", "requires")}
    return AskedClaim(
        " ".join(words.text.split()) if words is not None else "", tuple(check for check in checks if check), rest
    )


def _check(node: Node, index: int, claim: Node, inline: bool) -> AskedCheck | None:
    kind = next((key.text for key, _ in node.entries if key.text in KINDS), None) if node.kind == "map" else None
    if kind is None:
        return None
    own = {key.text: value for key, value in node.entries if not (inline and key.text in CLAIM_KEYS)}
    inner = own.get("interaction")
    limit = _limit(inner if inner is not None and inner.kind == "map" else node, node)
    if limit is None:
        return None
    aside = (*_BOUND_KEYS, *_BESIDE, *_ABOUT, "interaction")
    what = {name: _text(value) for name, value in own.items() if name not in aside}
    what |= {"interaction": "yes"} if inner is not None else {}
    beside = {name: _text(value) for name, value in own.items() if name in _BESIDE}
    heads, some = _heads(node, claim) if kind in ("attends", "score") else ((), False)
    sets = own.get("prompts")
    return AskedCheck(index, kind, what, beside, limit, heads, some, _names(sets) if sets is not None else ())


def _limit(node: Node, check: Node) -> Limit | None:
    """The bound of a check; None where its number cannot be read."""
    faults = Faults("")
    observed = check.get("observe")
    if observed is not None and values.boolean(observed, faults, "observe"):
        return Limit("observed")
    name = next((key.text for key, _ in node.entries if key.text in (*BOUNDS, "by_at_least")), None)
    if name is None:
        return Limit("by_at_least 0", (0.0, math.inf)) if check.get("more_than") is not None else Limit("no bound")
    value = node.get(name)
    assert value is not None
    if name == "top":
        k = values.integer(value, faults, name)
        return None if k is None else Limit(f"top {k}", k=k)
    ends = [values.number(each, faults, name) for each in (value.children if name == "between" else (value,))]
    if not all(ends) or len(ends) != (2 if name == "between" else 1):
        return None
    numbers = [end[0] for end in ends if end]
    percent = any(end[1] for end in ends if end)
    text = f"{name} {' and '.join(show(number, percent) for number in numbers)}"
    low, high = (numbers[0], numbers[-1]) if name == "between" else (numbers[0], math.inf)
    return Limit(text, (-math.inf, numbers[0]) if name == "at_most" else (low, high), percent=percent)


def _heads(node: Node, claim: Node) -> tuple[tuple[str, ...], bool]:
    found = next((each for owner in (node, claim) for key in _ABOUT[:2] if (each := owner.get(key)) is not None), None)
    if found is None:
        return (), False
    some = found.get("any") if found.kind == "map" else None
    return (_names(found), False) if some is None else (_names(some), True)


def _names(node: Node) -> tuple[str, ...]:
    return tuple(sorted(_text(each) for each in (node.children if node.kind == "list" else (node,))))


def _text(node: Node) -> str:
    """A node as one line, whatever its layout and the order of its keys."""
    data = _data(node)
    return data if isinstance(data, str) else json.dumps(data, sort_keys=True, ensure_ascii=False)


def _data(node: Node) -> Any:
    if node.kind == "map":
        return {key.text: _data(value) for key, value in node.entries}
    return [_data(each) for each in node.children] if node.kind == "list" else " ".join(node.text.split())


def changes(old: AskedClaim, new: AskedClaim, width: Width) -> list[Change]:
    """What the new text asks otherwise; empty where only the layout differs."""
    found: list[Change] = []
    for before, after in _pairs(old.checks, new.checks):
        if before is None or after is None:
            found.append(_appeared(before, after))
        else:
            found += _of_pair(before, after, width)
    if old.words != new.words:
        found.append(Change(OTHER, f"its words: {old.words!r} -> {new.words!r}"))
    return found + [Change(OTHER, text) for text in _keys(old.rest, new.rest)]


def _pairs(old: Sequence[AskedCheck], new: Sequence[AskedCheck]) -> list[tuple[AskedCheck | None, AskedCheck | None]]:
    """Which check became which: the same ones first, then those of one number, then those of one kind, in their order."""
    keys: tuple[Callable[[AskedCheck], Hashable], ...] = (
        lambda each: (each.number, each.heads, each.some, each.prompts, each.limit),
        lambda each: (each.number, each.heads, each.some, each.prompts, each.limit.text.split()[0]),
        lambda each: (each.number, each.heads, each.some, each.prompts),
        lambda each: each.number,
        lambda each: each.kind,
    )
    left, right = list(old), list(new)
    pairs: list[tuple[AskedCheck | None, AskedCheck | None]] = []
    for key in keys:
        for check in list(left):
            partner = next((other for other in right if key(other) == key(check)), None)
            if partner is not None:
                left.remove(check)
                right.remove(partner)
                pairs.append((check, partner))
    pairs += [(check, None) for check in left] + [(None, check) for check in right]
    return sorted(pairs, key=lambda pair: min(check.index for check in pair if check is not None))


def _appeared(before: AskedCheck | None, after: AskedCheck | None) -> Change:
    check = after or before
    assert check is not None
    verb = "added" if before is None else "removed"
    if check.limit.none:
        return Change(OTHER, f"observed check {verb}: {check.title}", check.index)
    direction = STRENGTHENED if before is None else WEAKENED
    return Change(direction, f"check {verb}: {check.title}, {check.limit.text}", check.index)


def _of_pair(old: AskedCheck, new: AskedCheck, width: Width) -> list[Change]:
    same = old.number == new.number
    found = [Change(OTHER, text, new.index) for text in _keys(old.what, new.what)]
    if old.limit != new.limit and (old.limit.accepts, old.limit.k) != (new.limit.accepts, new.limit.k):
        found.append(_of_limits(old, new, width) if same else Change(OTHER, _moved(old.limit, new.limit), new.index))
    if (old.heads, old.some) != (new.heads, new.some):
        found.append(_of_heads(old, new))
    if old.prompts != new.prompts:
        found.append(_of_sets("prompts", old.prompts, new.prompts, new.index, each=True))
    return found + [Change(OTHER, text, new.index) for text in _keys(old.beside, new.beside)]


def _moved(old: Limit, new: Limit) -> str:
    return f"{old.text} -> {new.text}"


def _of_limits(old: AskedCheck, new: AskedCheck, width: Width) -> Change:
    """A moved bound of one and the same number: accepting more is weaker, accepting less stronger."""
    one, two = old.limit, new.limit
    text = _moved(one, two)
    if one.none or two.none:
        return Change(WEAKENED if two.none else STRENGTHENED, text, new.index)
    if one.k is not None and two.k is not None:
        return Change(WEAKENED if two.k > one.k else STRENGTHENED, text, new.index, by=float(abs(two.k - one.k)))
    if one.k is not None or two.k is not None:
        return Change(OTHER, text, new.index)
    wider = two.accepts[0] <= one.accepts[0] and two.accepts[1] >= one.accepts[1]
    narrower = two.accepts[0] >= one.accepts[0] and two.accepts[1] <= one.accepts[1]
    direction = WEAKENED if wider else STRENGTHENED if narrower else OTHER
    pairs = [(a, b) for a, b in zip(one.accepts, two.accepts, strict=True) if a != b]
    finite = all(math.isfinite(end) for pair in pairs for end in pair)
    by = max(abs(a - b) for a, b in pairs) if finite else None
    across = width(old, new)
    return Change(
        direction, text, new.index, by, one.percent or two.percent, by / across if by is not None and across else None
    )


def _of_heads(old: AskedCheck, new: AskedCheck) -> Change:
    if old.some and new.some and "all" not in (*old.heads, *new.heads):
        return _of_sets("heads, of which some one must hold", old.heads, new.heads, new.index, each=False)
    if not old.some and not new.some:
        return _of_sets("heads", old.heads, new.heads, new.index, each=True)
    words = (_some(check.heads, check.some) for check in (old, new))
    direction = OTHER
    if old.some != new.some and _covers(old, new):
        direction = STRENGTHENED if old.some else WEAKENED
    elif old.some and new.some:
        direction = WEAKENED if "all" in new.heads else STRENGTHENED
    return Change(direction, f"heads: {' -> '.join(words)}", new.index)


def _covers(old: AskedCheck, new: AskedCheck) -> bool:
    """Whether that some head does it follows from that each of the named ones does."""
    every, some = (new, old) if old.some else (old, new)
    return bool(every.heads) and ("all" in some.heads or bool(set(every.heads) & set(some.heads)))


def _some(heads: Sequence[str], some: bool) -> str:
    return f"any of {', '.join(heads)}" if some else ", ".join(heads) or "none"


def _of_sets(name: str, old: Sequence[str], new: Sequence[str], index: int, *, each: bool) -> Change:
    """A list of heads or prompt sets: where each must hold, more of them is stronger; where one must, weaker."""
    more, fewer = Counter(new) - Counter(old), Counter(old) - Counter(new)
    text = f"{name}: {', '.join(old) or 'the claim`s'} -> {', '.join(new) or 'the claim`s'}".replace("`", "'")
    if (more and fewer) or not old or not new:
        return Change(OTHER, text, index)
    return Change(STRENGTHENED if bool(more) == each else WEAKENED, text, index)


def _keys(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Every key that has another value, as text."""
    names = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    return [f"{name}: {old.get(name, 'not given')} -> {new.get(name, 'not given')}" for name in names]
