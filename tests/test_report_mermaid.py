"""Diagrams: what is drawn, in a syntax that Mermaid reads, the same every time."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circuits.report.diagram import diagrams
from circuits.report.mermaid import COLOURS, fenced, source

# The lines of a flowchart that are used here, as strict as Mermaid's grammar or stricter.
NAME = r"[A-Za-z][A-Za-z0-9_]*"
LABEL = r'"(?:[A-Za-z0-9 .,:%()/+\-]|#\d+;|<br/>)+"'
LINES = [
    r"flowchart LR",
    rf"classDef {NAME} fill:(#[0-9a-f]{{6}}|transparent),stroke:#[0-9a-f]{{6}}(,color:#[0-9a-f]{{6}})?",
    rf"subgraph {NAME}\[{LABEL}\]",
    rf"{NAME}\[{LABEL}\]",
    r"end",
    rf"{NAME} (-->|-\.->)\|{LABEL}\| {NAME}",
    rf"{NAME} ~~~ {NAME}",
    rf"class {NAME}(,{NAME})* {NAME}",
    r"linkStyle \d+ stroke:#[0-9a-f]{6},stroke-width:2px",
]
KEYWORDS = {
    "end",
    "graph",
    "subgraph",
    "flowchart",
    "class",
    "classdef",
    "style",
    "linkstyle",
    "click",
    "default",
    "direction",
}


def path(sender: str, receiver: str | None, into: str, **more: Any) -> dict[str, Any]:
    found = {
        "kind": "path", "path": {"sender": sender, "receiver": receiver, "input": into}, "statistic": "drop_in", "percent": True,
        "estimate": 0.193, "bound_low": 0.1, "bound_high": None, "verdict": "supported",
    }  # fmt: skip
    return {**found, **more}


def circuit(**more: Any) -> dict[str, Any]:
    found = {
        "kind": "keep_only", "circuit": {"name": "four", "heads": ["20.8", "20.5", "6.1"], "mlps": [0]}, "percent": True,
        "check": "keep_only: four (mean), recovers: logit_diff", "statistic": "recovers", "estimate": 0.6, "bound_low": 0.8,
        "bound_high": None, "verdict": "refuted",
    }  # fmt: skip
    return {**found, **more}


def read(text: str) -> dict[str, Any]:
    """The nodes by frame, the arrows and the classes of a flowchart; fails on a line that Mermaid would not read."""
    frames: dict[str, list[str]] = {"": []}
    arrows, hidden, classes, inside = [], [], {}, ""
    for line in text.splitlines():
        text = line.strip()
        assert any(re.fullmatch(form, text) for form in LINES), text
        if text.startswith("subgraph "):
            inside = text.split("[")[0].removeprefix("subgraph ")
            frames[inside] = []
        elif text == "end":
            inside = ""
        elif " ~~~ " in text:
            hidden.append(tuple(text.split(" ~~~ ")))
        elif "|" in text:
            arrows.append((text.split(" ")[0], text.rsplit(" ", 1)[1], text.split("|")[1], "-.->" in text))
        elif text.startswith("class "):
            classes |= dict.fromkeys(text.split(" ")[1].split(","), text.split(" ")[2])
        elif "[" in text:
            frames[inside].append(text.split("[")[0])
    nodes = [node for frame in frames.values() for node in frame]
    assert len(nodes) == len(set(nodes))
    assert not {name.lower() for name in [*nodes, *frames]} & KEYWORDS
    assert {end for arrow in arrows for end in arrow[:2]} | {end for pair in hidden for end in pair} <= set(nodes)
    return {"frames": frames, "arrows": arrows, "classes": classes, "nodes": nodes}


def test_paths_are_arrows_with_their_verdicts() -> None:
    """Each claimed path is one arrow with input, value, bound and verdict; a claim of no effect is dotted."""
    rows = [
        path("16.0", "18.6", "k"),
        path("16.0", "18.6", "v", estimate=-0.0018, bound_low=-0.05, bound_high=0.05),
        path("18.6", None, "logits", verdict="refuted"),
    ]
    (found,) = diagrams({"checks": rows})
    drawn = read(source(found))
    assert drawn["arrows"] == [
        ("part_16_0", "part_18_6", '"k: drop in 19.3%, at least 10%: SUPPORTED"', False),
        ("part_16_0", "part_18_6", '"v: drop in -0.18%, between -5% and 5%: SUPPORTED"', True),
        ("part_18_6", "part_logits", '"drop in 19.3%, at least 10%: REFUTED"', False),
    ]
    assert drawn["frames"] == {"": ["part_logits"], "layer16": ["part_16_0"], "layer18": ["part_18_6"]}
    assert f"linkStyle 2 stroke:{COLOURS['refuted'][1]}" in source(found)


@pytest.mark.parametrize(
    ("statistic", "low", "high", "dotted"),
    [
        ("drop_in", None, 0.05, True),
        ("change_in", -2.0, 2.0, True),
        ("drop_in", None, -0.08, False),
        ("drop_in", 0.1, 0.9, False),
        ("after", None, 0.2, False),
    ],
)
def test_only_claims_of_no_effect_are_dotted(
    statistic: str, low: float | None, high: float | None, dotted: bool
) -> None:
    """A band around zero says that little passes; a negative drop or a low value afterwards says the contrary."""
    (found,) = diagrams({"checks": [path("0.0", "1.0", "k", statistic=statistic, bound_low=low, bound_high=high)]})
    assert read(source(found))["arrows"][0][3] is dotted


def test_checks_on_one_path_share_an_arrow() -> None:
    """Two checks of the same path are two lines of one label, with the colour of the worse verdict."""
    rows = [path("0.0", "2.0", "q"), path("0.0", "2.0", "q", statistic="after", verdict="inconclusive")]
    (found,) = diagrams({"checks": rows})
    ((_, _, label, _),) = read(source(found))["arrows"]
    assert label.count("<br/>") == 1
    assert f"linkStyle 0 stroke:{COLOURS['inconclusive'][1]}" in source(found)


def test_a_circuit_is_drawn_by_layer_in_the_colour_of_its_verdict() -> None:
    """Heads and MLPs stand in their layers, early ones first; caption and colours say the verdict."""
    (found,) = diagrams({"checks": [circuit()]})
    drawn = read(source(found))
    assert drawn["frames"] == {
        "": [],
        "layer0": ["part_MLP0"],
        "layer6": ["part_6_1"],
        "layer20": ["part_20_5", "part_20_8"],
    }
    assert {drawn["classes"][node] for node in drawn["nodes"]} == {"refuted"}
    assert found.caption == "The circuit `four`. `recovers: logit_diff` 60%, at least 80%: REFUTED."


def test_a_component_removed_from_a_circuit_says_what_it_cost() -> None:
    """Within a circuit the removed component has the value and the verdict, the others have none."""
    row = circuit(
        kind="ablate",
        within=circuit()["circuit"],
        circuit=None,
        ablated=["20.8"],
        statistic="drop_in",
        verdict="supported",
    )
    (found,) = diagrams({"checks": [row]})
    classes = read(source(found))["classes"]
    assert classes["part_20_8"] == "supported"
    assert {classes[node] for node in ("part_6_1", "part_20_5", "part_MLP0")} == {"part"}
    assert "20.8<br/>drop in 60%, at least 80%: SUPPORTED" in source(found)


def test_what_was_not_measured_is_not_drawn() -> None:
    """A skipped path, an attention check and a circuit without parts give no diagram."""
    rows = [path("0.0", "1.0", "k", estimate=None), {"kind": "attends", "head": "1.0", "estimate": 0.5}]
    assert diagrams({"checks": [*rows, circuit(circuit={"name": "none", "heads": [], "mlps": []})]}) == []
    assert diagrams({}) == []


def test_a_diagram_depends_on_nothing_but_the_rows() -> None:
    """The same rows give the same text, and the order of a circuit's heads does not matter."""
    heads = ["20.8", "6.1", "20.5", "3.0", "11.10", "11.9"]
    first = diagrams({"checks": [circuit(circuit={"name": "c", "heads": heads, "mlps": None})]})
    random.Random(0).shuffle(heads)
    assert diagrams({"checks": [circuit(circuit={"name": "c", "heads": heads, "mlps": None})]}) == first


@given(name=st.text(min_size=1, max_size=12), statistic=st.text(min_size=1, max_size=12), bound=st.text(max_size=12))
def test_no_text_breaks_out_of_a_label(name: str, statistic: str, bound: str) -> None:
    """Whatever a user writes, the drawing stays readable to Mermaid and inside its fence."""
    rows = [
        path("1.0", "2.0", "k", statistic=f"x{statistic}", bound=bound, bound_low=None),
        circuit(circuit={"name": name, "heads": ["1.0"], "mlps": []}),
    ]
    for found in diagrams({"checks": rows}):
        read(source(found))
        assert fenced(found).count("```") == 2


def luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("verdict", COLOURS)
def test_boxes_can_be_read_on_light_and_dark_pages(verdict: str) -> None:
    """Text on its box has the contrast that WCAG asks for, and the border shows on white and on a dark page."""
    fill, edge, text = COLOURS[verdict]
    assert contrast(fill, text) >= 4.5
    assert contrast(edge, "#ffffff") >= 2.5
    assert contrast(edge, "#0d1117") >= 3
