"""Every selector form as a predicate over hand-written prompts, and the oracle's attention rows made from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from oracle import Shown, attention, cells, removed_mass

Query = Callable[[Shown, int], bool]
Key = Callable[[Shown, int, int], bool]
Form = tuple[Query, Key, bool]


def anything(shown: Shown, place: int) -> bool:
    return not shown.is_bos(place)


def end(shown: Shown, place: int) -> bool:
    return place == len(shown.words) - 1


def role(name: str) -> Query:
    return lambda shown, place: shown.has(name, place)


def back(steps: int) -> Key:
    return lambda shown, q, k: k == q - steps and anything(shown, k)


def of(name: str) -> Key:
    return lambda shown, q, k: shown.has(name, k)


def earlier(name: str) -> Key:
    return lambda shown, q, k: shown.has(name, k) and max(shown.roles[name][shown.span(name, k) or 0]) < q


def previous(name: str) -> Key:
    def rule(shown: Shown, q: int, k: int) -> bool:
        before = [span for span in shown.roles[name] if max(span) < q]
        return bool(before) and k in before[-1]

    return rule


def same_item(name: str) -> Key:
    return lambda shown, q, k: shown.has(name, k) and shown.item[k] == shown.item[q] >= 0


def nth(name: str, number: int) -> Key:
    return lambda shown, q, k: shown.span(name, k) == number - 1 and shown.span(name, q) != number - 1


def half(which: str, place: Query = anything) -> Query:
    def rule(shown: Shown, p: int) -> bool:
        places = [p for p in range(len(shown.words)) if anything(shown, p)]
        middle = len(places) // 2
        return place(shown, p) and p in (places[:middle] if which == "early" else places[middle:])

    return rule


def shifted(name: str, by: int) -> Key:
    def rule(shown: Shown, q: int, k: int) -> bool:
        return anything(shown, k) and any(k == (max(s) if by > 0 else min(s)) + by for s in shown.roles[name])

    return rule


def copy(shown: Shown, q: int, k: int) -> bool:
    return anything(shown, k) and k < q and shown.words[k] == shown.words[q]


def after_copy(shown: Shown, q: int, k: int) -> bool:
    return k > 0 and copy(shown, q, k - 1)


def nearest(rule: Key) -> Key:
    return lambda shown, q, k: rule(shown, q, k) and not any(rule(shown, q, other) for other in range(k + 1, q))


def itself(shown: Shown, q: int, k: int) -> bool:
    return k == q


def first(shown: Shown, q: int, k: int) -> bool:
    return k == 0


def second_of_both(shown: Shown, q: int, k: int) -> bool:
    spans = sorted([*shown.roles["name"], *shown.roles["member"]], key=min)
    return len(spans) > 1 and k in spans[1]


# selector -> (query rule, key rule, whether the key side names the query's own position)
FORMS: Mapping[str, Form] = {
    "any -> n-1": (anything, back(1), False),
    "any -> n-3": (anything, back(3), False),
    "any -> self": (anything, itself, True),
    "any -> first": (anything, first, False),
    "first -> first | self": (lambda s, q: q == 0, itself, True),
    "end -> any": (end, lambda s, q, k: anything(s, k), False),
    "member -> earlier member": (role("member"), earlier("member"), False),
    "any -> previous name": (anything, previous("name"), False),
    "end -> earlier name": (end, earlier("name"), False),
    "name -> same name": (role("name"), same_item("name"), False),
    "period -> same member": (role("period"), same_item("member"), False),
    "any -> same any": (anything, lambda s, q, k: anything(s, k) and s.item[k] == s.item[q], False),
    "is -> name[2]": (role("is"), nth("name", 2), False),
    "any -> name[1]": (anything, nth("name", 1), False),
    "name[2] -> is": (lambda s, q: s.span("name", q) == 1, of("is"), False),
    "any -> any[early]": (anything, lambda s, q, k: half("early")(s, k), False),
    "is[late] -> member[early]": (half("late", role("is")), lambda s, q, k: half("early", role("member"))(s, k), False),
    "any -> name+1": (anything, shifted("name", 1), False),
    "any -> name-1": (anything, shifted("name", -1), False),
    "is+1 -> is-2": (lambda s, q: shifted("is", 1)(s, q, q), shifted("is", -2), False),
    "member -> not member": (role("member"), lambda s, q, k: anything(s, k) and not s.has("member", k), False),
    "not member -> member": (lambda s, q: anything(s, q) and not s.has("member", q), of("member"), False),
    "member | period -> name | is": (
        lambda s, q: s.has("member", q) or s.has("period", q),
        lambda s, q, k: s.has("name", k) or s.has("is", k),
        False,
    ),
    "any -> not (n-1 | self)": (anything, lambda s, q, k: anything(s, k) and k not in (q, q - 1), False),
    "any -> n-2 | self | first": (anything, lambda s, q, k: back(2)(s, q, k) or k in (q, 0), True),
    "any -> duplicate": (anything, copy, False),
    "any -> induction": (anything, after_copy, False),
    "any -> previous duplicate": (anything, nearest(copy), False),
    "any -> previous induction": (anything, nearest(after_copy), False),
    "end -> name[2] | name[1]": (end, lambda s, q, k: s.span("name", k) in (0, 1), False),
    "end -> (name | member)[2]": (end, second_of_both, False),
    "end -> (earlier name)[2]": (end, lambda s, q, k: s.span("name", k) == 1 and max(s.roles["name"][1]) < q, False),
}
BOS_FORMS: Mapping[str, Form] = {
    "any -> bos": (anything, first, False),
    "end -> bos | self": (end, lambda s, q, k: k in (0, q), True),
}
EXCLUSIONS = ([], ["bos"], ["self"], ["bos", "self"])
COMBINED = (
    "any -> n-1",
    "member -> earlier member",
    "any -> self",
    "name -> same name",
    "end -> any",
    "any -> name[1]",
)
# left, right: equal queries (only queries eligible on both sides count), or each side its own
PAIRS = [
    ("any -> n-1", "any -> n-3"),
    ("is -> name[2]", "is -> first"),
    ("end -> any[early]", "end -> any[late]"),
    ("member -> earlier member", "member -> not member"),
    ("any -> duplicate", "any -> induction"),
    ("member -> earlier member", "not member -> member"),
    ("any -> n-1", "is -> name[2]"),
    ("first -> first | self", "any -> self"),
]
MORE = {
    "is -> first": (role("is"), first, False),
    "end -> any[early]": (end, lambda s, q, k: half("early")(s, k), False),
    "end -> any[late]": (end, lambda s, q, k: half("late")(s, k), False),
}


def rule_of(selector: str, forms: Mapping[str, Form]) -> Callable[[Shown, int, int], bool]:
    query, key, own = forms[selector]
    return lambda s, q, k: query(s, q) and key(s, q, k) and (k < q or (own and k == q))


class Expected:
    """The oracle's numbers for every head on a set of literal prompts."""

    def __init__(self, shown: Sequence[Shown], patterns: Sequence[np.ndarray], forms: Mapping[str, Form]):
        self.forms = forms
        self.shown = shown
        self.patterns = patterns

    def row(self, left: str, statistic: str, excluding: list[str], right: str | None = None) -> dict[str, Any]:
        """estimate, sides, uniform and removed mass of every head: Float[layer, head] (uniform: a number)."""
        layers, heads = self.patterns[0].shape[:2]
        sides: dict[str, list[Any]] = {"left": [], "right": [], "removed": [], "flat": []}
        for shown, pattern in zip(self.shown, self.patterns, strict=True):
            cell = [cells(shown, rule_of(s, self.forms), excluding) for s in (left, right) if s is not None]
            if right is not None and left.split(" -> ")[0] == right.split(" -> ")[0]:
                both = set(cell[0]) & set(cell[1])
                cell = [{q: keys for q, keys in side.items() if q in both} for side in cell]
            queries = sorted({q for side in cell for q in side})
            each = [
                [[attention(pattern[a, b], shown, side, statistic, excluding) for side in cell] for b in range(heads)]
                for a in range(layers)
            ]
            values = np.array(each)  # [layer, head, side, (value, uniform)]
            sides["left"].append(values[:, :, 0, 0])
            sides["right"].append(values[:, :, -1, 0])
            sides["flat"].append(values[0, 0, 0, 1] - (values[0, 0, 1, 1] if right is not None else 0))
            sides["removed"].append(
                [[removed_mass(pattern[a, b], shown, queries, excluding) for b in range(heads)] for a in range(layers)]
            )
        lefts, rights = np.array(sides["left"]), np.array(sides["right"])
        values = lefts - rights if right is not None else lefts
        with np.errstate(invalid="ignore"):
            there = ~np.isnan(values)
            assert there.any()

            def mean(of: Any) -> Any:
                return np.where(there, of, 0).sum(0) / there.sum(0)

            return {
                "estimate": mean(values),
                "left": mean(lefts),
                "right": mean(rights),
                "uniform": float(np.nanmean(sides["flat"])),
                "removed": np.nanmean(np.array(sides["removed"]), axis=0),
                "n": there.sum(0),
            }
