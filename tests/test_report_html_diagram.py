"""Diagrams on the HTML page: the model that Mermaid draws, too, and nothing lies on anything else."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_report_html import HOSTILE, Tree, page_of
from test_report_markdown import check, claim, record
from test_report_mermaid import circuit, path

from circuits.report.diagram import diagrams
from circuits.report.html_diagram import WIDEST, diagram_svg
from circuits.report.mermaid import source

Area = tuple[float, float, float, float]  # left, top, right, bottom


def area(rect: ElementTree.Element) -> Area:
    x, y, width, height = (float(rect.attrib[name]) for name in ("x", "y", "width", "height"))
    return x, y, x + width, y + height


class Drawn:
    """A drawing, read back: boxes by what they say, the layers' bands by name, the ways of the arrows."""

    def __init__(self, svg: str) -> None:
        self.root = ElementTree.fromstring(svg)
        self.size = tuple(float(each) for each in self.root.attrib["viewBox"].split())
        self.title = self.root.findtext("title")
        self.nodes = self._boxes("node")
        self.labels = self._boxes("told")
        self.bands = [area(rect) for rect in self.root.findall("rect")]
        self.layers = [text.text for text in self.root.findall("text")]
        self.ways = [
            (group.attrib["class"], group.find("path").attrib)  # type: ignore[union-attr]
            for group in self.root.findall("g")
            if group.find("path") is not None
        ]

    def _boxes(self, kind: str) -> list[tuple[list[str], str, Area]]:
        found = []
        for group in self.root.findall("g"):
            name, _, verdict = group.attrib["class"].partition(" v-")
            if name == kind:
                lines = ["".join(line.itertext()) for line in group.iter("tspan")]
                found.append((lines, verdict, area(group.find("rect"))))  # type: ignore[arg-type]
        return found

    def middle(self, name: str) -> tuple[float, float, float]:
        """The middle, top and bottom of a node."""
        left, top, right, bottom = next(box for lines, _, box in self.nodes if lines[0] == name)
        return (left + right) / 2, top, bottom


def drawn(*rows: dict[str, object]) -> Drawn:
    (found,) = diagrams({"checks": rows})
    return Drawn(diagram_svg(found))


def overlap(one: Area, other: Area) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def tidy(picture: Drawn) -> None:
    """No box lies on another or off the drawing; nodes are within a band; no arrow runs through a node on its way."""
    boxes = [box for _, _, box in picture.nodes + picture.labels]
    assert not [pair for pair in itertools.combinations(boxes, 2) if overlap(*pair)]
    _, _, width, height = picture.size
    assert all(left >= 0 and top >= 0 and right <= width and bottom <= height for left, top, right, bottom in boxes)
    for _, _, (left, top, right, bottom) in picture.nodes:
        assert sum(b[0] <= left and b[1] <= top and b[2] >= right and b[3] >= bottom for b in picture.bands) == 1
    assert not [pair for pair in itertools.combinations(picture.bands, 2) if overlap(*pair)]
    for _, way in picture.ways:
        points = [(float(x), float(y)) for x, y in re.findall(r"([-\d.]+) ([-\d.]+)", way["d"])]
        inside = [
            (x, y)
            for x, y in points[1:-1]
            for _, _, (left, top, right, bottom) in picture.nodes
            if left < x < right and top < y < bottom
        ]
        assert not inside


def test_paths_are_arrows_from_layer_to_layer() -> None:
    """Each begins below its sender and ends on its receiver, has its words in a box on it, and the colour of its verdict."""
    picture = drawn(
        path("16.0", "18.6", "k"),
        path("16.0", "18.6", "v", estimate=-0.0018, bound_low=-0.05, bound_high=0.05),
        path("18.6", None, "logits", verdict="refuted"),
    )
    assert [lines for lines, _, _ in picture.nodes] == [["16.0"], ["18.6"], ["logits"]]
    assert picture.layers == ["layer 16", "layer 18"]
    assert [" ".join(line for line in lines if line) for lines, _, _ in picture.labels] == [
        "k: drop in 19.3%, at least 10%: SUPPORTED", "v: drop in -0.18%, between -5% and 5%: SUPPORTED",
        "drop in 19.3%, at least 10%: REFUTED",
    ]  # fmt: skip
    assert [verdict for _, verdict, _ in picture.labels] == ["supported", "supported", "refuted"]
    assert [(group, way["class"]) for group, way in picture.ways] == [
        ("v-supported", "way"), ("v-supported", "way denied"), ("v-refuted", "way"),
    ]  # fmt: skip
    for (_, way), ends in zip(picture.ways, [("16.0", "18.6"), ("16.0", "18.6"), ("18.6", "logits")], strict=True):
        numbers = [float(each) for each in re.findall(r"[-\d.]+", way["d"])]
        (x, _, bottom), (to, top, _) = map(picture.middle, ends)
        assert abs(numbers[0] - x) <= 12
        assert numbers[1] == pytest.approx(bottom, abs=0.11)
        assert abs(numbers[-2] - to) <= 12
        assert numbers[-1] == pytest.approx(top, abs=0.11)
    tidy(picture)


def test_a_path_over_other_layers_goes_around_their_components() -> None:
    """2.0 lies between the two ends; what passes it stands beside it in its layer."""
    picture = drawn(path("0.0", "2.0", "k"), path("2.0", "5.0", "k"), path("0.0", "5.0", "v"))
    tidy(picture)
    _, top, bottom = picture.middle("2.0")
    passing = [
        float(x)
        for x, y in re.findall(r"([-\d.]+) ([-\d.]+)", picture.ways[2][1]["d"])
        if top - 8 <= float(y) <= bottom + 8
    ]
    assert passing
    left, right = next((box[0], box[2]) for lines, _, box in picture.nodes if lines[0] == "2.0")
    assert all(not left <= x <= right for x in passing)


def test_a_large_circuit_goes_on_in_another_line() -> None:
    """A layer of many heads is no wider than the page has room for; each head is there once, in the colour of its verdict."""
    heads = [f"{layer}.{head}" for layer in (3, 11) for head in range(14)]
    picture = drawn(circuit(circuit={"name": "many", "heads": heads, "mlps": [3]}))
    tidy(picture)
    assert sorted(lines[0] for lines, _, _ in picture.nodes) == sorted([*heads, "MLP3"])
    assert {verdict for _, verdict, _ in picture.nodes} == {"refuted"}
    assert picture.size[2] <= WIDEST + 30
    assert picture.layers == ["layer 3", "layer 11"]


def test_the_title_says_all_that_is_drawn() -> None:
    """Whoever does not see the colours or the drawing reads the same: parts, values, bounds, verdicts."""
    within = circuit(kind="ablate", within=circuit()["circuit"], circuit=None, ablated=["20.8"], statistic="drop_in")
    title = drawn(circuit(), within).title
    assert title is not None
    assert "Layer 0: MLP0 (REFUTED). Layer 6: 6.1 (REFUTED)." in title
    assert "20.8 (drop in 60%, at least 80%: REFUTED)" in title
    assert title.startswith("The circuit four. recovers: logit_diff 60%, at least 80%: REFUTED.")
    told = drawn(path("1.0", "2.0", "q", verdict="inconclusive")).title
    assert told is not None
    assert told.endswith("From 1.0 to 2.0: q: drop in 19.3%, at least 10%: INCONCLUSIVE.")


PARTS = st.one_of(
    st.tuples(st.integers(0, 6), st.integers(0, 3)).map(lambda found: (found[0], f"{found[0]}.{found[1]}")),
    st.integers(0, 6).map(lambda layer: (layer, f"MLP{layer}")),
)


@given(
    st.lists(
        st.tuples(PARTS, PARTS, st.sampled_from("qkv")).filter(lambda found: found[0][0] < found[1][0]),
        min_size=1,
        max_size=9,
    )
)
def test_any_paths_are_drawn_without_overlap(ends: list[tuple[tuple[int, str], tuple[int, str], str]]) -> None:
    """Whatever joins whatever: nothing is covered or cut, and Mermaid's text has the same parts."""
    rows = [path(sender, receiver, into) for (_, sender), (_, receiver), into in ends]
    (found,) = diagrams({"checks": rows})
    picture = Drawn(diagram_svg(found))
    tidy(picture)
    names = {part for (_, sender), (_, receiver), _ in ends for part in (sender, receiver)}
    assert {lines[0] for lines, _, _ in picture.nodes} == names
    assert len(picture.ways) == len(picture.labels) == source(found).count('-->|"')


@pytest.mark.parametrize("receiver", ["3.1", "1.0", "3.0"])
def test_a_path_that_does_not_go_up_is_still_drawn(receiver: str) -> None:
    """No such path is measured, but a record that says so makes no page fail."""
    picture = drawn(path("3.0", receiver, "k"))
    assert len(picture.ways) == len(picture.labels) == 1


def test_the_page_holds_the_diagrams_and_what_the_intervention_did(tmp_path: Path) -> None:
    """One drawing for each that the Markdown page has, its caption, and the table of changes; no other claim has any."""
    changed = check(
        kind="ablate", check="ablate: 6.1, drop_in: logit_diff", statistic="drop_in", baseline={"clean": 4.71, "ablated": 2.93},
        lost=[7, 31], fell_to=[[" 9", 5]], ranks={"median": 3},
    )  # fmt: skip
    data = record(
        claim("a", checks=[path("0.0", "1.0", "k"), circuit()]),
        claim("b", checks=[changed]),
        claim("c", checks=[check()]),
    )
    page = page_of(tmp_path, data)
    markdown = (tmp_path / "hypotheses--smollm2--heads.md").read_text()
    assert page.count('<svg class="diagram"') == markdown.count("```mermaid") == 2
    text = Tree(page).text
    for told in ("The circuit four . recovers: logit_diff 60%, at least 80%: REFUTED.", "What the intervention did"):
        assert text.count(told) == 1, told
    row = text[text.index("What the intervention did") :]
    assert re.search(
        r"4\.71 2\.93 7 of 31 ␣9 \(5\) and at least 1 other token \(2 prompts\) 3", re.sub(r" +", " ", row)
    )


def test_what_a_record_says_cannot_break_out_of_a_drawing(tmp_path: Path) -> None:
    """Names and bounds with tags are text, in the boxes, the caption and the title."""
    rows = [
        path(HOSTILE, "2.0", HOSTILE, statistic=HOSTILE, bound=HOSTILE, bound_low=None),
        circuit(circuit={"name": HOSTILE, "heads": [HOSTILE, "1.0"], "mlps": []}, check=HOSTILE),
    ]
    tree = Tree(page_of(tmp_path, record(claim(checks=rows))))
    assert len(tree.all("svg")) > 2
    assert len(tree.all("script")) == 1
    assert not tree.all("img")
    assert not [name for _, attributes in tree.elements for name in attributes if name.startswith("on")]
