"""Bars: hand-drawn cases, and the order of what is drawn for any numbers."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circuits.report.axis import Scale, scale_of
from circuits.report.bars import (
    BOUND,
    CROSSED,
    ESTIMATE,
    INTERVAL,
    LEGEND,
    MET,
    MISSED,
    WIDTH,
    bar,
    bar_of,
)
from circuits.report.record import DASH

UNIT, SIGNED, PERCENT = Scale(0.0, 1.0), Scale(-1.0, 1.0), Scale(-0.2, 1.0, percent=True)

DRAWN = {  # estimate, low, high, lower bound, upper bound, scale
    "supported from below": ((0.7, 0.6, 0.76, 0.5, None, UNIT), "0 ·······│─═●═─── 1"),
    "refuted from below": ((0.35, 0.3, 0.45, 0.6, None, UNIT), "0 ····═●═··│───── 1"),
    "undecided": ((0.5, 0.3, 0.7, 0.6, None, UNIT), "0 ····═══●═╪═──── 1"),
    "at most": ((0.1, 0.0, 0.2, None, 0.4, UNIT), "0 ═●══──│········ 1"),
    "no effect": ((0.0, -0.05, 0.06, -0.1, 0.1, SIGNED), "-1 ······│●│······ 1"),
    "no bound": ((0.5, 0.4, 0.6, None, None, UNIT), "0 ······═●══····· 1"),
    "no interval": ((0.5, None, None, 0.3, None, UNIT), "0 ····│──●─────── 1"),
    "no lower limit": ((0.2, None, 0.3, 0.5, None, UNIT), "0 ◄══●═··│─────── 1"),
    "one point": ((1.0, 1.0, 1.0, 0.9, None, UNIT), "0 ·············│● 1"),
    "on its bound": ((1.0, 1.0, 1.0, 1.0, None, UNIT), "0 ·············│● 1"),
    "on its upper bound": ((0.0, 0.0, 0.0, None, 0.0, UNIT), "0 ●│············· 1"),
    "percents": ((0.433, 0.38, 0.471, 0.2, None, PERCENT), "-20 ·····│─●═────── 100%"),
    "off the scale": ((2.0, 0.5, 3.0, 0.2, None, UNIT), "0 ···│───═══════► 1"),
}  # fmt: skip


def ordinary(value: float) -> bool:
    """Not so small that its exponent alone fills a label."""
    return value == 0 or abs(value) > 1e-3


def spaced(text: str) -> str:
    """A bar with plain spaces; it has two that no line is broken at, and no others."""
    assert text.count("\u00a0") == 2
    assert " " not in text
    return text.replace("\u00a0", " ")


@pytest.mark.parametrize(("case", "drawn"), DRAWN.values(), ids=DRAWN)
def test_hand_drawn_bars(case: tuple[Any, ...], drawn: str) -> None:
    """Each kind of result looks as it was drawn by hand."""
    assert spaced(bar(*case)) == drawn


numbers = st.floats(-3, 3, allow_nan=False)
limits = st.tuples(st.floats(0, 2), st.floats(0, 2))
bounds = st.one_of(
    st.tuples(st.none(), st.none()),
    st.tuples(numbers, st.none()),
    st.tuples(st.none(), numbers),
    st.tuples(numbers, st.floats(0.01, 3)).map(lambda pair: (pair[0], pair[0] + pair[1])),
)


@given(estimate=numbers, arms=limits, bound=bounds)
def test_a_bar_never_contradicts_its_numbers(
    estimate: float, arms: tuple[float, float], bound: tuple[float | None, float | None]
) -> None:
    """The width is constant, the estimate lies inside its interval, and each lies on its true side of each bound."""
    low, high, (lower, upper) = estimate - arms[0], estimate + arms[1], bound
    text = spaced(bar(estimate, low, high, lower, upper, Scale(-10.0, 10.0))).removeprefix("-10 ").removesuffix(" 10")
    assert len(text) == WIDTH
    assert text.count(ESTIMATE) == 1
    place = text.index(ESTIMATE)
    drawn = [k for k, glyph in enumerate(text) if glyph in (INTERVAL, ESTIMATE, CROSSED)]
    assert drawn == list(range(drawn[0], drawn[-1] + 1)), "the interval is in one piece"
    assert drawn[0] <= place <= drawn[-1]
    edges = [k for k, glyph in enumerate(text) if glyph in (BOUND, CROSSED)]
    assert len(edges) == (lower is not None) + (upper is not None)
    for value, edge, meets in ((lower, 0, lambda v: v >= lower), (upper, -1, lambda v: v <= upper)):
        if value is None:
            continue
        good = (lambda k, at=edges[edge]: k > at) if edge == 0 else (lambda k, at=edges[edge]: k < at)
        assert good(place) == meets(estimate)
        assert all(map(good, drawn)) == (meets(low) and meets(high))
        assert any(map(good, drawn)) == (meets(low) or meets(high) or meets(estimate))


@given(
    estimate=numbers.filter(ordinary),
    arms=limits.filter(lambda pair: all(map(ordinary, pair))),
    bound=bounds.filter(lambda pair: all(value is None or ordinary(value) for value in pair)),
    percent=st.booleans(),
    size=st.sampled_from([1e-6, 1e-3, 1.0, 1e5]),
)
def test_a_rows_scale_holds_all_of_it(
    estimate: float, arms: tuple[float, float], bound: tuple[float | None, float | None], percent: bool, size: float
) -> None:
    """Whatever the size of the numbers, nothing of a row lies off its scale and the bar stays small."""
    values = [estimate, estimate - arms[0], estimate + arms[1], *bound]
    keys = ("estimate", "low", "high", "bound_low", "bound_high")
    row = {key: None if value is None else value * size for key, value in zip(keys, values, strict=True)}
    row |= {"percent": percent, "statistic": "change_in"}
    scale = scale_of(row)
    assert all(scale.low <= row[key] <= scale.high for key in keys if row[key] is not None)
    text = bar_of(row)
    assert "◄" not in text
    assert "►" not in text
    assert len(text) <= WIDTH + 13


def test_shares_have_one_scale_whatever_their_value() -> None:
    """Attention masses are drawn from 0 to 1, their differences from -1 to 1: bars below each other compare."""
    row = {"kind": "attends", "statistic": "mass", "estimate": 0.01, "low": 0.0, "high": 0.02, "bound_high": 0.05}
    assert scale_of(row) == Scale(0.0, 1.0)
    assert scale_of({**row, "more_than": "any -> self"}) == Scale(-1.0, 1.0)
    assert spaced(bar_of(row)) == "0 ●│············· 1"


def test_relative_changes_have_round_ends() -> None:
    """A drop is drawn from zero to a round percent behind its bound."""
    row = {"statistic": "drop_in", "percent": True, "estimate": 0.012, "low": -0.01, "high": 0.03, "bound_low": 0.1}
    assert scale_of(row) == Scale(-0.02, 0.2, percent=True)
    assert spaced(bar_of(row)).endswith(" 20%")
    assert spaced(bar_of(row)) == "-2 ══●═····│────── 20%"
    assert spaced(bar_of({**row, "low": None, "high": None, "estimate": 0.0, "bound_low": None})).startswith("0 ")


@pytest.mark.parametrize("missing", [None, math.nan, math.inf])
def test_null_is_a_dash(missing: float | None) -> None:
    """Without an estimate there is no bar, whatever else is known."""
    assert bar(missing, 0.1, 0.2, 0.3, None, UNIT) == DASH
    assert bar_of({"estimate": None, "bound_low": 0.3}) == DASH


def test_the_legend_names_every_glyph() -> None:
    """A reader finds each sign of a bar explained."""
    for glyph in (ESTIMATE, INTERVAL, BOUND, CROSSED, MET, MISSED):
        assert f"`{glyph}`" in LEGEND


@pytest.mark.parametrize(
    ("value", "shown"), [(9.99, "999%"), (9.996, "1000%"), (25.0, "2500%"), (99.996, "1e4%"), (1e6, "1e8%")]
)
def test_large_ends_of_a_scale_are_written_out(value: float, shown: str) -> None:
    """A thousand percent has four digits; an exponent is for what five characters cannot hold."""
    assert bar(0.5, None, None, None, None, Scale(0.0, value, True)).endswith(f"\u00a0{shown}")
