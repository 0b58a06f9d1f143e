"""Plain data in one line of YAML: read back as what it was, and written as a person would."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from test_schema import EditorLoader

from circuits.claims.flow import flow

TEXTS = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ["no", "Null", "~", "1.5", "6.10", "1e3", ".nan", "- a", "a: b", "a #b", "a,b", "true", "2001-01-01", "0x1f", "a -", " x", "20%", "='"]
)  # fmt: skip
DATA = st.recursive(
    TEXTS | st.booleans() | st.integers(-999, 999) | st.floats(-9, 9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS.filter(bool), inner, max_size=3),
    max_leaves=6,
)


@given(DATA)
def test_what_is_written_is_read_back(value: Any) -> None:
    """By YAML 1.1 and as an editor reads it, at the end of a line of a suite and within brackets."""
    for loader in (yaml.SafeLoader, EditorLoader):
        for text in (f"key: {flow(value)}\n", f"{{key: {flow(value)}}}\n"):
            assert yaml.load(text, Loader=loader) == {"key": value}, text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("member -> earlier member", "member -> earlier member"),
        ("2.2 -> 5.5.k", "2.2 -> 5.5.k"),
        ("20%", "20%"),
        ("6.10", '"6.10"'),
        (1e-7, "1.0e-07"),
        ("no", '"no"'),
        (r"\d+", r"'\d+'"),
        ("Adam is 1. Bob is", "Adam is 1. Bob is"),
        (" 2", '" 2"'),
        ("{name} is {member}.", '"{name} is {member}."'),
        ({"heads": ["2.2", "L4H4"], "bos": False, "length": 3}, '{heads: ["2.2", L4H4], bos: false, length: 3}'),
    ],
)
def test_quotes_stand_only_where_they_are_needed(value: Any, text: str) -> None:
    """A word, a selector, a path and a percent have none; a head, a space at the end and a template do."""
    assert flow(value) == text
