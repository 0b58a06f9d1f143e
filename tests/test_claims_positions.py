"""Selectors on small prompts, against positions that were counted by hand."""

from __future__ import annotations

import pytest

from circuits.claims.positions import effective, key_sets, queries
from circuits.claims.selector import parse
from circuits.errors import Unmeasurable
from circuits.prompts.prompt import TokenPrompt

Table = dict[int, list[int]]


def prompt(
    ids: list[int], roles: dict[str, list[tuple[int, ...]]], items: list[int], bos: bool, period: int | None
) -> TokenPrompt:
    spans = {role: tuple(found) for role, found in roles.items()}
    return TokenPrompt(tuple(ids), None, (), (), spans, tuple(items), period, bos, "t", "")


#   0    1    2  3 4 5   6  7 8 9   10
# <bos> Adam is 1 . Bob is 2 . Eve is
WORDS = prompt(
    [0, 11, 2, 21, 3, 12, 2, 22, 3, 13, 2],
    {"name": [(1,), (5,), (9,)], "is": [(2,), (6,), (10,)], "member": [(3,), (7,)], "period": [(4,), (8,)]},
    [-1, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2],
    bos=True,
    period=4,
)
#  0   1   2  3 4 5  6   7
# Ste phen is 1 . Al ice is
PIECES = prompt(
    [31, 32, 2, 21, 3, 33, 34, 2],
    {"name": [(0, 1), (5, 6)], "is": [(2,), (7,)], "member": [(3,)], "period": [(4,)]},
    [0, 0, 0, 0, 0, 1, 1, 1],
    bos=False,
    period=5,
)
REPEATS = prompt([0, 5, 6, 7, 5, 6, 7], {}, [-1] * 7, bos=True, period=None)
SAME = prompt([0, 5, 5, 5], {}, [-1] * 4, bos=True, period=None)

ON_WORDS: dict[str, Table] = {
    # roles and structure
    "member -> name": {3: [1], 7: [1, 5]},
    "period -> period": {8: [4]},
    "name -> name": {5: [1], 9: [1, 5]},
    "member -> any": {3: [1, 2], 7: [1, 2, 3, 4, 5, 6]},
    "end -> any": {10: [1, 2, 3, 4, 5, 6, 7, 8, 9]},
    "end -> end": {},
    "member -> self": {3: [3], 7: [7]},
    "member -> n-1": {3: [2], 7: [6]},
    "any -> n-3": {4: [1], 5: [2], 6: [3], 7: [4], 8: [5], 9: [6], 10: [7]},
    "name -> n-1": {5: [4], 9: [8]},  # before the first name is only BOS
    "any -> duplicate": {6: [2], 8: [4], 10: [2, 6]},
    "is -> previous duplicate": {6: [2], 10: [6]},
    "is -> induction": {6: [3], 10: [3, 7]},
    "is -> previous induction": {6: [3], 10: [7]},
    # BOS and the first position
    "name -> bos": {1: [0], 5: [0], 9: [0]},
    "name -> first": {1: [0], 5: [0], 9: [0]},
    "bos -> self": {0: [0]},
    "first -> self": {0: [0]},
    "first -> first": {},
    "bos -> any": {},
    "member -> bos | n-1": {3: [0, 2], 7: [0, 6]},
    "end -> bos+1": {10: [1]},
    "end -> first[early]": {},  # halves are of the positions that are not BOS
    # qualifiers
    "member -> earlier member": {7: [3]},
    "name -> earlier name": {5: [1], 9: [1, 5]},
    "name -> previous name": {5: [1], 9: [5]},
    "end -> previous member": {10: [7]},
    "period -> same name": {4: [1], 8: [5]},
    "period -> same is | same member": {4: [2, 3], 8: [6, 7]},
    "end -> same any": {10: [9]},
    "bos -> same any": {},
    "end -> earlier same any": {10: [9]},
    "end -> name[2]": {10: [5]},
    "name[2] -> any": {5: [1, 2, 3, 4]},
    "name[4] -> any": {},
    "name -> name[1]": {5: [1], 9: [1]},
    "name -> name[2]": {9: [5]},
    "any[early] -> n-3": {4: [1], 5: [2]},
    "any[late] -> first": {6: [0], 7: [0], 8: [0], 9: [0], 10: [0]},
    "end -> any[early]": {10: [1, 2, 3, 4, 5]},
    "end -> any[late]": {10: [6, 7, 8, 9]},
    "end -> name[late]": {10: [9]},
    "end -> n-1[late]": {10: [9]},
    "name+1 -> name": {2: [1], 6: [1, 5], 10: [1, 5, 9]},
    "member-1 -> member": {6: [3]},
    "member+1 -> same name": {4: [1], 8: [5]},
    "end -> name-1": {10: [4, 8]},  # before the first name is BOS, which is not named
    "end -> member+2": {10: [5, 9]},
    "end -> self-1": {10: [9]},
    "end -> n-3+1": {10: [8]},
    # not and |
    "not member -> earlier member": {4: [3], 5: [3], 6: [3], 8: [3, 7], 9: [3, 7], 10: [3, 7]},
    "end -> not member": {10: [1, 2, 4, 5, 6, 8, 9]},
    "member[1] -> not name": {3: [2]},
    "end -> not self": {10: [1, 2, 3, 4, 5, 6, 7, 8, 9]},
    "end -> not (self | bos | n-1)": {10: [1, 2, 3, 4, 5, 6, 7, 8]},
    "end -> not earlier name": {10: [2, 3, 4, 6, 7, 8]},
    "end -> earlier not name": {10: [2, 3, 4, 6, 7, 8]},
    "end -> previous not name": {10: [8]},
    "end -> not any": {},
    "end -> name | member": {10: [1, 3, 5, 7, 9]},
    "name | member -> name": {3: [1], 5: [1], 7: [1, 5], 9: [1, 5]},
    "end -> earlier (name | member)": {10: [1, 3, 5, 7, 9]},
    "end -> previous (member | name)": {10: [9]},
    "end -> (member | name)[3]": {10: [5]},  # counted in reading order
    # the query itself is a key only where self is named for it
    "name -> name | self": {1: [1], 5: [1, 5], 9: [1, 5, 9]},
    "member -> self[late] | any": {3: [1, 2], 7: [1, 2, 3, 4, 5, 6, 7]},
    "member -> same self": {3: [3], 7: [7]},
    "member -> earlier self": {},
    "member -> self+1": {},
    # offsets in items
    "is -> n-{period}": {6: [2], 10: [6]},
    "is -> n-{period-1}": {6: [3], 10: [7]},
    "is -> n-{2*period-1}": {10: [3]},
    "end -> n-{period+2}": {10: [4]},
    "end -> n-{length}": {10: [7]},
    "end -> n-{period-4}": {},  # nothing back is not back
}
ON_PIECES: dict[str, Table] = {
    "name -> same name": {1: [0], 6: [5]},
    "name -> earlier name": {5: [0, 1], 6: [0, 1]},
    "name -> previous name": {5: [0, 1], 6: [0, 1]},
    "name -> name[1]": {5: [0, 1], 6: [0, 1]},
    "name[2] -> name": {5: [0, 1], 6: [0, 1, 5]},
    "end -> name[2]": {7: [5, 6]},
    "end -> name[late]": {7: [5, 6]},
    "name+1 -> name": {2: [0, 1], 7: [0, 1, 5, 6]},
    "name-1 -> member": {4: [3]},
    "end -> name-1": {7: [4]},
    "any -> bos": {},
    "end -> first": {7: [0]},
    "first -> self": {0: [0]},
    "any -> first": {1: [0], 2: [0], 3: [0], 4: [0], 5: [0], 6: [0], 7: [0]},
    "any[early] -> n-1": {1: [0], 2: [1], 3: [2]},
    "end -> any[early]": {7: [0, 1, 2, 3]},
    "is -> n-{period}": {7: [2]},
    "name -> n-{period}": {5: [0], 6: [1]},
    "is -> duplicate": {7: [2]},
    "is -> not name": {2: [], 7: [2, 3, 4]},
}
ON_REPEATS: dict[str, Table] = {
    "any -> duplicate": {4: [1], 5: [2], 6: [3]},
    "any -> induction": {4: [2], 5: [3], 6: [4]},
    "any -> duplicate+1": {4: [2], 5: [3], 6: [4]},
    "any -> induction[late]": {6: [4]},
    "bos -> duplicate": {},
    "any -> same any": {},  # no items, as no position lies in one
}
ON_SAME: dict[str, Table] = {
    "any -> duplicate": {2: [1], 3: [1, 2]},
    "any -> duplicate[2]": {3: [2]},
    "any -> previous duplicate": {2: [1], 3: [2]},
    "any -> induction": {3: [2]},  # the token after a neighbouring copy is the query itself
    "any -> induction | self": {1: [1], 2: [2], 3: [2, 3]},
}
CASES = [
    (name, on, text)
    for name, on, table in (
        ("words", WORDS, ON_WORDS),
        ("pieces", PIECES, ON_PIECES),
        ("repeats", REPEATS, ON_REPEATS),
        ("same", SAME, ON_SAME),
    )
    for text in table
]
TABLES = {"words": ON_WORDS, "pieces": ON_PIECES, "repeats": ON_REPEATS, "same": ON_SAME}


@pytest.mark.parametrize(("name", "on", "text"), CASES, ids=[f"{name}: {text}" for name, _, text in CASES])
def test_a_selector_gives_the_positions_counted_by_hand(name: str, on: TokenPrompt, text: str) -> None:
    """Query positions with any key, and the keys of each."""
    expected = {query: keys for query, keys in TABLES[name][text].items() if keys}
    found = effective(parse(text), on, {"length": 3}, ())
    assert {query: list(keys) for query, keys in found.items()} == expected
    assert list(found) == sorted(found)


@pytest.mark.parametrize(
    ("text", "excluding", "expected"),
    [
        ("member -> bos | n-1", ("bos",), {3: [2], 7: [6]}),
        ("member -> self | n-1", ("self",), {3: [2], 7: [6]}),
        ("member -> self | bos | n-1", ("bos", "self"), {3: [2], 7: [6]}),
        ("member -> bos", ("bos",), {}),
        ("name -> self | n-1", ("self",), {5: [4], 9: [8]}),
    ],
)
def test_excluded_keys_leave_the_sets_and_empty_queries_drop_out(
    text: str, excluding: tuple[str, ...], expected: Table
) -> None:
    """A query that has only excluded keys is not eligible."""
    found = effective(parse(text), WORDS, {}, excluding)
    assert {query: list(keys) for query, keys in found.items()} == expected


def test_without_bos_nothing_is_excluded_as_bos() -> None:
    """Excluding bos leaves position 0 in place where it is an ordinary token."""
    assert effective(parse("member -> first"), PIECES, {}, ("bos",)) == {3: (0,)}


def test_key_sets_keep_queries_without_keys() -> None:
    """Every query is in the mapping, also one whose set is empty."""
    assert key_sets(parse("member -> earlier member"), WORDS, {}) == {3: (), 7: (3,)}
    assert queries(parse("member+1 | bos -> any"), WORDS, {}) == [0, 4, 8]


def test_a_period_that_is_not_there_is_unmeasurable() -> None:
    """Items of different lengths have no period; a variable of the set replaces it."""
    with pytest.raises(Unmeasurable, match="no common length in tokens"):
        key_sets(parse("end -> n-{period}"), REPEATS, {})
    with pytest.raises(Unmeasurable, match="no variable 'size'"):
        key_sets(parse("end -> n-{size}"), REPEATS, {})
    assert key_sets(parse("end -> n-{period}"), REPEATS, {"period": 2}) == {6: (4,)}
    assert key_sets(parse("end -> n-{period-1}"), WORDS, {"period": 3}) == {10: (8,)}
