"""Families by name, their parameters and their roles: every fault found, with words that help."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circuits.errors import CircuitsError
from circuits.prompts import registry
from circuits.prompts.registry import (
    FAMILIES,
    RESERVED_ROLES,
    check_params,
    check_roles,
    families,
    with_defaults,
)

MINE = replace(FAMILIES["ioi"], name="mine")


def test_a_key_of_a_family_without_parameters() -> None:
    """There is nothing to suggest, and the message says so."""
    bare = replace(MINE, parameters=())
    assert check_params(bare, {"length": 3}) == [("length", "unknown key 'length' of family mine: it takes none")]


def test_the_built_in_families() -> None:
    """Each is registered under its own name and states its foil and its corruption."""
    assert set(FAMILIES) == {
        "named_sequence",
        "interspersed_sequence",
        "repeated_tokens",
        "ioi",
        "greater_than",
        "texts",
    }
    for name, family in FAMILIES.items():
        assert family.name == name and family.foil.endswith(".") and family.corruption.endswith(".")
        assert not family.roles(with_defaults(family, {})) & RESERVED_ROLES
        assert [found.name for found in FAMILIES.values() if found.exhaustive] == ["texts"]


def test_a_project_adds_its_own() -> None:
    """Another name is added, the built-in mapping stays as it was."""
    assert families([MINE])["mine"] is MINE
    assert "mine" not in FAMILIES and set(families()) == set(FAMILIES)


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (replace(MINE, name="ioi"), "'ioi' given by the project has the name of another one"),
        (replace(MINE, roles=lambda params: frozenset({"end"})), "has the role 'end'"),
        ("ioi", "is no Family but str"),
        (replace(MINE, doc=""), "'mine' given by the project .* has no doc"),
        (replace(MINE, pairs=None), "has a NoneType in pairs, where a function belongs"),
        (replace(MINE, roles=frozenset({"a"})), "has a frozenset in roles, where a function belongs"),
        (replace(MINE, roles=lambda params: ["a"]), "gives a list of roles; give a frozenset"),
        (replace(MINE, roles=lambda params: 1 / 0), "failed when it was asked for its roles: ZeroDivisionError"),
        (replace(MINE, parameters=("length",)), "has parameters that are no Parameter"),
    ],
)
def test_bad_families_are_refused(extra: Any, said: str) -> None:
    """A taken name, a reserved role and a thing that is no family are one clear error each."""
    with pytest.raises(CircuitsError, match=said):
        families([extra])


def test_entry_points_offer_families(monkeypatch: pytest.MonkeyPatch) -> None:
    """The group circuits.families is read; one that cannot be loaded is an error that names it."""

    class Point:
        name, value = "mine", "package:MINE"

        def __init__(self, found: object) -> None:
            self.found = found

        def load(self) -> object:
            if isinstance(self.found, Exception):
                raise self.found
            return self.found

    asked: list[str] = []
    points: list[Point] = [Point([MINE])]

    def installed(group: str) -> list[Point]:
        asked.append(group)
        return points

    monkeypatch.setattr(registry, "entry_points", installed)
    assert families()["mine"] is MINE and asked == ["circuits.families"]
    points[0] = Point(ImportError("no module"))
    with pytest.raises(CircuitsError, match=r"'mine' \(package:MINE\) cannot be loaded: no module"):
        families()


SEQUENCE: list[tuple[dict[str, Any], str, str]] = [
    ({}, "members", "needs the key 'members'"),
    ({"members": "numeral"}, "members", "did you mean 'numerals'?"),
    ({"members": 3}, "members", "must be a list of texts, not 3"),
    ({"members": ["a", 2, "c"]}, "members", "put 2 in quotes"),
    ({"members": ["a", "b"]}, "members", "at least 3 members, not 2"),
    ({"members": ["a", "b", "a"], "length": 2}, "members", "'a' occurs twice"),
    ({"members": ["a", " b", "c"], "length": 2}, "members", "' b' is empty or begins or ends with a space"),
    ({"members": "months", "lenght": 2}, "lenght", "did you mean 'length'?"),
    ({"members": "months", "length": 0}, "length", "must be at least 1, not 0"),
    ({"members": "months", "length": True}, "length", "must be a whole number, not True"),
    ({"members": "months", "length": "4"}, "length", "must be a whole number, not '4'"),
    ({"members": "months", "length": 12}, "length", "12 members from number 1 on and an answer need 13"),
    (
        {"members": "months", "length": 4, "start": 9},
        "start",
        "4 members from number 9 on and an answer need 13",
    ),
    ({"members": "months", "start": 13}, "start", "past the end: the sequence has 12"),
    ({"members": "months", "order": "random", "length": 13}, "length", "13 different members are needed"),
    ({"members": "months", "order": "rising"}, "order", "'rising' is no valid choice"),
    ({"members": [f"m{k}" for k in range(200)], "length": 150}, "length", "151 different words for {name}"),
    ({"members": "months", "template": 4}, "template", "must be text, not 4"),
    ({"members": "months", "template": "{name} is"}, "template", "exactly once, it holds it not at all"),
    ({"members": "months", "template": "{member} {member}"}, "template", "it holds it 2 times"),
    ({"members": "months", "template": "{nmae} is {member}"}, "template", "did you mean 'name'?"),
    (
        {"members": "months", "template": "{first} is {member}"},
        "template",
        "{first} is called like a word of",
    ),
    ({"members": "months", "template": "{name is {member}"}, "template", "a brace without its partner"),
    ({"members": "months", "template": "{name} is {member}. "}, "template", "begins or ends with a space"),
]
TEXTS: list[tuple[Any, str, str]] = [
    ([], "texts", "texts is empty"),
    ("Bob is", "texts", "must be a list of prompts"),
    ([7], "texts[0]", "a prompt must be a text or"),
    ([" "], "texts[0]", "the text is empty"),
    (["a", {"answer": " b"}], "texts[1]", "has no text"),
    ([{"text": ""}], "texts[0].text", "the text is empty"),
    ([{"text": 5}], "texts[0].text", "must be text, not 5"),
    ([{"text": "a", "corupted": "b"}], "texts[0].corupted", "did you mean 'corrupted'?"),
    ([{"text": "a", "foil": " b"}], "texts[0].foil", "a foil without an answer"),
    ([{"text": "a", "answer": " b", "foil": " b"}], "texts[0].foil", "is also the answer"),
    ([{"text": "a", "answer": [" b", " c"], "foil": [" d", " c"]}], "texts[0].foil", "is also the answer"),
    ([{"text": "a", "answer": 2}], "texts[0].answer", "must be text or a list of texts, not 2"),
    ([{"text": "a", "answer": []}], "texts[0].answer", "is an empty list"),
    ([{"text": "a", "answer": [" b", " b"]}], "texts[0].answer", "names one text twice"),
    (["a", {"text": "a"}], "texts[1]", "the same text and answer as prompt 1"),
]


@pytest.mark.parametrize(
    ("family", "params", "name", "said"),
    [("named_sequence", *case) for case in SEQUENCE]
    + [("texts", {"texts": given_texts}, name, said) for given_texts, name, said in TEXTS]
    + [
        ("texts", {}, "texts", "needs the key 'texts'"),
        ("repeated_tokens", {"length": 1}, "length", "at least 2, not 1"),
        ("ioi", {"templates": "ABAB"}, "templates", "did you mean"),
    ],
)
def test_each_fault_is_found_once(family: str, params: dict[str, Any], name: str, said: str) -> None:
    """One wrong parameter is one fault, at its key, with words that say what to do."""
    found = check_params(FAMILIES[family], params)
    assert [place for place, _ in found] == [name]
    assert said in found[0][1]


def test_all_faults_at_once() -> None:
    """Unknown keys, wrong kinds and the family's own complaints come together."""
    params = {"members": "months", "lenght": 1, "order": "no", "template": "{name}", "length": 30}
    found = check_params(FAMILIES["named_sequence"], params)
    assert sorted(place for place, _ in found) == ["lenght", "length", "order", "template"]
    two = [{"text": "", "anser": 1}, {"text": "a", "foil": 3}]
    found = check_params(FAMILIES["texts"], {"texts": two})
    assert {place for place, _ in found} == {"texts[0].text", "texts[0].anser", "texts[1].foil"}


def test_defaults_fill_what_is_not_given() -> None:
    """Given values stay, None counts as not given, filling twice changes nothing."""
    family = FAMILIES["named_sequence"]
    filled = with_defaults(family, {"members": "months", "length": None, "start": 2})
    assert filled == {
        "members": "months",
        "template": "{name} is {member}.",
        "length": 4,
        "start": 2,
        "order": "increasing",
        "period": None,
    }
    assert with_defaults(family, filled) == filled


def test_roles_are_known_without_a_tokenizer() -> None:
    """Slots, words in lower case and punctuation; words of the selector language give none."""
    roles = FAMILIES["named_sequence"].roles
    assert roles({}) == {"name", "is", "member", "period"}
    assert roles({"template": "Not {name}, is First {member}"}) == {"name", "comma", "is", "member"}
    assert FAMILIES["interspersed_sequence"].roles({}) == {"word", "done", "in", "member", "period"}
    assert {"IO", "S1", "S2", "place", "object", "comma", "to"} <= FAMILIES["ioi"].roles({})
    assert FAMILIES["texts"].roles({}) == frozenset()


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("ab{} memr", max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abt", max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(
    params=st.dictionaries(
        st.sampled_from(["members", "template", "length", "start", "order", "texts", "templates", "x"]), junk
    )
)
def test_bad_parameters_never_raise(params: dict[str, Any]) -> None:
    """Whatever a suite holds, the faults are listed and the roles known, without an exception."""
    for family in FAMILIES.values():
        assert all(isinstance(message, str) for _, message in check_params(family, params))
        assert isinstance(family.roles(params), frozenset)


@pytest.mark.parametrize(
    ("roles", "name", "said"),
    [
        ({"end": "a"}, "end", "is a word of the selector language"),
        ({"a-b": "a"}, "a-b", "cannot be a role name"),
        ({"x": "(a"}, "x", "'(a' is no valid regular expression"),
        ({"x": "a*"}, "x", "matches the empty string"),
        ({"x": r"\b"}, "x", "matches the empty string"),
        ({"x": 3}, "x", "must be text, not 3"),
    ],
)
def test_bad_roles_are_refused(roles: dict[str, Any], name: str, said: str) -> None:
    """A reserved or impossible name and a pattern that cannot mark text are faults."""
    found = check_roles(roles)
    assert [place for place, _ in found] == [name] and said in found[0][1]


def test_good_roles_pass() -> None:
    """Patterns as in the documentation have no fault."""
    assert check_roles({"member": r"\d+", "name": "[A-Z][a-z]+", "is": r"\bis\b", "period": r"\."}) == []
