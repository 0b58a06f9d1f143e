"""Attention on one token, where the claim grants it to several."""

from __future__ import annotations

from typing import Any

import pytest

from circuits.report.concentration import concentrations, on_one_token
from circuits.report.html_claim import claim_section
from circuits.report.suite_page import suite_page

LABELS = ["BOS", "Ann ‹name›", "May ‹member›", "Bob ‹name›", "June ‹member›", "Cy ‹name›", "July ‹member›"]
NAMES = [[2, 1], [4, 1], [4, 3], [6, 1], [6, 3], [6, 5]]
"""member -> name: three queries, the first name within the reach of all."""


def pattern(rows: dict[int, dict[int, int]], cells: list[list[int]] = NAMES) -> dict[str, Any]:
    per_mille = [[rows.get(query, {}).get(key, 0) for key in range(query + 1)] for query in range(len(LABELS))]
    mark = {"selector": "member -> name", "cells": cells, "than": None, "others": None}
    return {"head": "5.3", "prompts": "months", "n": 32, "labels": LABELS, "per_mille": per_mille, "marks": [mark]}


def found(one: dict[str, Any]) -> tuple[int, float] | None:
    return on_one_token(one, one["marks"][0])


def test_attention_that_rests_on_the_first_of_several_is_said() -> None:
    """2.7 of 3.0 on the first name: nine tenths, though later months could look at three names."""
    one = pattern({2: {1: 1000}, 4: {1: 900, 3: 100}, 6: {1: 800, 3: 100, 5: 100}})
    assert found(one) == (1, pytest.approx(0.9))
    (text,) = concentrations({"patterns": [one]})
    assert "90% of the attention of head 5.3 in `member -> name` on months lies on one token" in text
    assert "position 1 (`Ann ‹name›`)" in text
    entry = {
        "file": "s.yaml",
        "claim": "C",
        "verdict": "supported",
        "checks": [{"index": 1, "n": 32, "verdict": "supported"}],
        "patterns": [one],
    }
    assert text in suite_page("s.yaml", [entry], {})
    assert "lies on one token" in claim_section("s.yaml", entry)


def test_a_twentieth_of_the_attention_is_enough_to_say_where_it_lies() -> None:
    """50 of 1000 for each query in the mean; of less nothing is said."""
    assert found(pattern({2: {1: 50}, 4: {1: 50}, 6: {1: 50}})) == (1, 1.0)
    assert found(pattern({2: {1: 50}, 4: {1: 50}, 6: {1: 49}})) is None


@pytest.mark.parametrize(
    "one",
    [
        pattern({2: {1: 1000}, 4: {1: 500, 3: 500}, 6: {1: 300, 3: 300, 5: 400}}),
        pattern({2: {1: 1000}, 4: {3: 1000}, 6: {5: 1000}}, [[2, 1], [4, 3], [6, 5]]),
        pattern({2: {1: 1000}, 4: {1: 1000}, 6: {1: 1000}}, [[2, 1], [4, 1], [6, 1]]),
        pattern({}),
        pattern({2: {1: 14}, 4: {1: 14}, 6: {1: 13}}),
        pattern({2: {1: 1000}}, []),
    ],
    ids=[
        "spread over all",
        "an offset has a key of its own for each query",
        "one key by what it is",
        "no attention",
        "hardly any attention",
        "no cells",
    ],
)
def test_attention_that_is_spread_or_has_no_choice_is_not(one: dict[str, Any]) -> None:
    """Sharing it, an offset, `first`: none of them hides anything."""
    assert found(one) is None
    assert not list(concentrations({"patterns": [one]}))


def test_cells_that_are_no_number_count_as_nothing() -> None:
    """A null in the mean pattern is no attention."""
    one = pattern({2: {1: 1000}, 4: {1: 1000}, 6: {1: 1000}})
    one["per_mille"][6][5] = None
    assert found(one) == (1, 1.0)
