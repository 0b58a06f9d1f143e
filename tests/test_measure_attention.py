"""Attention through the whole pipeline equals plain transformers, cell by cell."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import measuring
import numpy as np
import pytest
from measuring import HEADS, LAYERS, LITERALS, ROLES, answer, plain_model, rows, same, suite, texts_of, without_bos
from oracle import Shown, attention, cells, removed_mass

tiny = measuring.tiny

Query = Callable[[Shown, int], bool]
Key = Callable[[Shown, int, int], bool]


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


# selector -> (query rule, key rule, whether the key side names the query's own position)
FORMS: dict[str, tuple[Query, Key, bool]] = {
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
    "end -> (earlier name)[2]": (end, lambda s, q, k: s.span("name", k) == 1 and max(s.roles["name"][1]) < q, False),
}
BOS_FORMS: dict[str, tuple[Query, Key, bool]] = {
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


def rule_of(selector: str, forms: dict[str, tuple[Query, Key, bool]]) -> Callable[[Shown, int, int], bool]:
    query, key, own = forms[selector]
    return lambda s, q, k: query(s, q) and key(s, q, k) and (k < q or (own and k == q))


class Expected:
    """The oracle's numbers for every head on a set of literal prompts."""

    def __init__(self, folder: Path, bos: bool, forms: dict[str, tuple[Query, Key, bool]], literals: Any = LITERALS):
        model = plain_model(folder)
        self.forms = forms
        self.shown = [one.shown if bos else without_bos(one.shown) for one in literals]
        self.patterns = [model.attention(one.ids(bos)) for one in literals]

    def row(self, left: str, statistic: str, excluding: list[str], right: str | None = None) -> dict[str, Any]:
        """estimate, sides, uniform and removed mass of every head: Float[layer, head] (uniform: a number)."""
        sides: dict[str, list[Any]] = {"left": [], "right": [], "removed": [], "flat": []}
        for shown, pattern in zip(self.shown, self.patterns, strict=True):
            cell = [cells(shown, rule_of(s, self.forms), excluding) for s in (left, right) if s is not None]
            if right is not None and left.split(" -> ")[0] == right.split(" -> ")[0]:
                both = set(cell[0]) & set(cell[1])
                cell = [{q: keys for q, keys in side.items() if q in both} for side in cell]
            queries = sorted({q for side in cell for q in side})
            heads = [
                [[attention(pattern[a, b], shown, side, statistic, excluding) for side in cell] for b in range(HEADS)]
                for a in range(LAYERS)
            ]
            values = np.array(heads)  # [layer, head, side, (value, uniform)]
            sides["left"].append(values[:, :, 0, 0])
            sides["right"].append(values[:, :, -1, 0])
            sides["flat"].append(values[0, 0, 0, 1] - (values[0, 0, 1, 1] if right is not None else 0))
            sides["removed"].append(
                [[removed_mass(pattern[a, b], shown, queries, excluding) for b in range(HEADS)] for a in range(LAYERS)]
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
                "n": int(there[:, 0, 0].sum()),
            }


ASKED: list[dict[str, Any]] = [
    *[{"attends": form} for form in FORMS],
    *[
        {"attends": form, "statistic": statistic, "excluding": excluding}
        for form in COMBINED
        for statistic in ("mass", "top1", "lift")
        for excluding in EXCLUSIONS
        if not (form == "any -> self" and "self" in excluding)
    ],
    *[
        {"attends": left, "more_than": right, "statistic": statistic, "excluding": excluding}
        for left, right in PAIRS
        for statistic, excluding in (("mass", []), ("top1", ["bos"]), ("lift", []), ("mass", ["self"]))
        if not ("self" in excluding and left.startswith("first"))
        and not ("bos" in excluding and "first" in left + right)
    ],
]
BOUNDS = {"mass": 0.2, "top1": 0.3, "lift": 1.1}


def check_of(asked: dict[str, Any], heads: list[str]) -> dict[str, Any]:
    statistic = asked.get("statistic", "mass")
    bound = {"by_at_least": 0.05} if "more_than" in asked else {"at_least": BOUNDS[statistic]}
    kept = {key: value for key, value in asked.items() if value != []}
    return {**kept, **bound, "heads": heads}


@pytest.mark.parametrize("bos", [True, False])
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_every_attention_form_agrees_with_transformers(
    name: str, bos: bool, tiny: dict[str, Path], tmp_path: Path
) -> None:
    """Estimate, sides, uniform value, removed mass and passing heads of every form equal the oracle's to 1e-5."""
    forms = {**FORMS, **MORE, **(BOS_FORMS if bos else {})}
    if not bos:
        forms["any -> bos"] = forms["any -> first"]
    asked = ASKED + ([{"attends": form} for form in BOS_FORMS] if bos else [])
    asked = [one for one in asked if bos or "bos" not in one.get("excluding", ())]
    heads = ["1.2", "3.0"]
    claims = {f"c{i}": {"prompts": "p", "checks": [check_of(one, heads)]} for i, one in enumerate(asked)}
    prompts = {"p": {"family": "texts", "bos": bos, "roles": ROLES, "texts": texts_of(LITERALS)}}
    entries, _ = answer(tmp_path / "s.yaml", suite({"path": str(tiny[name])}, prompts, claims))
    oracle = Expected(tiny[name], bos, forms)
    worst = 0.0
    for index, one in enumerate(asked):
        statistic, excluding, right = one.get("statistic", "mass"), one.get("excluding", []), one.get("more_than")
        expected = oracle.row(one["attends"], statistic, excluding, right)
        least = 0.05 if right else BOUNDS[statistic]
        for row, (layer, head) in zip(rows(entries[f"c{index}"]), ((1, 2), (3, 0)), strict=True):
            worst = max(worst, same(row["estimate"], expected["estimate"][layer, head]))
            same(row["uniform"], expected["uniform"])
            assert row["n"] == expected["n"]
            if right:
                same(row["sides"]["left"], expected["left"][layer, head])
                same(row["sides"]["right"], expected["right"][layer, head])
            if excluding:
                same(row["removed_mass"], expected["removed"][layer, head])
            else:
                assert row["removed_mass"] is None
            assert row["heads_passing"] == [int((expected["estimate"] >= least).sum()), LAYERS * HEADS]
    assert worst < 1e-5
    wrong = oracle.row("any -> n-1", "mass", [])["estimate"]
    assert abs(wrong[1, 2] - wrong[2, 1]) > 1e-3  # the comparison would notice another head


PERIODS = {"n-{period}": 4, "n-{period-1}": 3, "n-{2*period-1}": 7, "n-{period+1}": 5}


def test_offsets_by_period_use_the_items_of_the_tokens(tiny: dict[str, Path], tmp_path: Path) -> None:
    """n-{a*period+b} of texts whose items have four tokens each equals the plain offset."""
    even = (LITERALS[0], LITERALS[3])
    forms = {f"any -> {text}": (anything, back(steps), False) for text, steps in PERIODS.items()}
    claims = {
        f"c{i}": {"head": "2.1", "prompts": "p", "attends": form, "at_least": 0.1} for i, form in enumerate(forms)
    }
    prompts = {"p": {"family": "texts", "texts": texts_of(even)}}
    entries, _ = answer(tmp_path / "s.yaml", suite({"path": str(tiny["llama"])}, prompts, claims))
    oracle = Expected(tiny["llama"], True, forms, even)
    for index, form in enumerate(forms):
        (row,) = rows(entries[f"c{index}"])
        same(row["estimate"], oracle.row(form, "mass", [])["estimate"][2, 1])


@pytest.mark.parametrize("order", [["other", "period"], ["period", "other"]])
def test_texts_without_a_common_period_do_not_spoil_other_questions(
    order: list[str], tiny: dict[str, Path], tmp_path: Path
) -> None:
    """n-{period} on texts some of which have no period is UNMEASURABLE; its neighbours are measured."""
    claims = {
        "period": {"head": "2.1", "prompts": "p", "attends": "any -> n-{period}", "at_least": 0.1},
        "other": {"head": "2.1", "prompts": "p", "attends": "any -> n-1", "at_least": 0.1},
    }
    prompts = {"p": {"family": "texts", "texts": texts_of(LITERALS)}}
    entries, _ = answer(
        tmp_path / "s.yaml", suite({"path": str(tiny["gpt2"])}, prompts, {name: claims[name] for name in order})
    )
    (row,) = rows(entries["period"])
    assert (row["verdict"], row["estimate"], row["n"]) == ("unmeasurable", None, 0)
    assert "no common length" in row["reason"]
    assert row["heads_passing"] is None
    (row,) = rows(entries["other"])
    assert math.isfinite(row["estimate"])
