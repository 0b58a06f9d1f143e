"""The report as one HTML page: complete, closed against what claims say, the same bytes each time, made without models."""

from __future__ import annotations

import base64
import copy
import html
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_report_markdown import FILE, check, claim, record
from tests_of_plugin import GOOD, NUMERALS, SMALL, Run, environment, project, run_pytest

from circuits import patterns as pattern_stage
from circuits.errors import CircuitsError
from circuits.evaluate import Evaluator, Options, items_of, knowledge, load
from circuits.report import html_page
from circuits.report.figures import boundary_edges
from circuits.report.html_marks import (
    LEVELS,
    _edges,
    claimed_distances,
    heat_map,
    interval_mark,
    label_parts,
    profile_bars,
)
from circuits.report.html_text import block, inline
from circuits.report.markdown import write_reports
from circuits.report.memo import memo_of
from circuits.report.pages import MARKER, claim_name
from circuits.report.prose import code, prose
from circuits.verdict.decide import MOST_LOG_E

EMPTY = {"meta", "img", "input", "link", "br", "hr"}
PNG = b"\x89PNG made up"
PATTERN: dict[str, Any] = {
    "head": "16.8", "prompts": "numerals", "n": 67, "labels": ["BOS", "Adam ‹name›", " is", "\n"],
    "per_mille": [[1000], [600, 400], [250, None, 750], [0, 0, 0, 1000]],
    "marks": [
        {"selector": "any -> n-1", "cells": [[2, 1], [3, 2]], "than": None, "others": None},
        {"selector": "any -> self", "cells": [[3, 3]], "than": "any -> n-1", "others": [[3, 2]]},
    ],
}  # fmt: skip


class Tree(HTMLParser):
    """Reads a page, and fails where an element is closed that was not the last one opened."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"an attribute of <{tag}> stands twice"
        self.elements.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page_of(folder: Path, data: dict[str, Any]) -> str:
    path = write_reports(folder, data, html=True)[-1]
    assert path == folder / "report.html"
    return path.read_text(encoding="utf-8")


def with_pattern(name: str = "three-back", **more: Any) -> dict[str, Any]:
    return claim(name, patterns=[copy.deepcopy(PATTERN)], log_e={"for": 8.2, "against": -1.4}, **more)


def test_every_claim_is_on_the_page_with_verdict_and_numbers(tmp_path: Path) -> None:
    """Each has a row and a section that the row leads to; estimate, limits, controls, reported value and YAML are there."""
    reported = {"value": 0.55, "source": "arXiv 1234.56789"}
    broken = {"broken": {"value": 0.1234, "holds": False}, "permuted": [{"value": 0.0321, "holds": False}]}
    refuted = check(verdict="refuted", estimate=0.2051, low=0.1641, high=0.3061, controls=broken)
    data = record(
        with_pattern("a", checks=[check(reported=reported)]),
        claim("b", verdict="refuted", met=False, variant="v=2", checks=[refuted], log_e={"for": -2.0, "against": 5.52}),
        claim("c", status="skipped", met=None, verdict="unmeasurable", reason="no weights"),
        claim("d", status="invalid", verdict=None, met=False, checks=[], faults=["x.yaml:3:1: unknown key"]),
    )
    tree = Tree(page_of(tmp_path, data))
    sections = {
        attributes["id"]: attributes for attributes in tree.all("details") if attributes.get("class") == "claim"
    }
    rows = [attributes for attributes in tree.all("tr") if "data-for" in attributes]
    assert [row["data-verdict"] for row in rows] == ["refuted", "supported", "invalid", "skipped"]
    assert {row["data-for"] for row in rows} == set(sections)
    links = [attributes["href"] for attributes in tree.all("a")]
    assert all(f"#{name}" in links for name in sections)
    for entry in data["claims"].values():
        assert claim_name(entry) in tree.text
    for said in (
        "0.618", "0.584", "0.642", "at least 0.417", "0.205", "0.55 (arXiv 1234.56789)", "reported elsewhere", "0.123",
        "1 models with shuffled weights", "refuted had", "no weights", "x.yaml:3:1: unknown key", "head: '16.8'", "13 of 270",
        "not as expected", "The last member shown.", "Adam is 1. Bob is",
    ):  # fmt: skip
        assert said in tree.text, said
    assert "<details>" not in tree.text  # what Markdown folds is folded here, not shown as its tags
    folded = re.search(
        r"<summary>More about the prompts numerals</summary>.{0,400}?sha256:77aa", page_of(tmp_path, data), re.S
    )
    assert folded is not None
    assert "evidence 250" in tree.text  # e to the power of 5.52


def test_a_row_of_the_table_is_the_check_that_decides(tmp_path: Path) -> None:
    """One bar, estimate, bound and n, all of one check; the others are counted, and their heads can still be searched for."""
    rows = [
        check(estimate=0.9, low=0.8, high=1.0, n=11, head="1.1"),
        check(verdict="refuted", estimate=0.2, low=0.15, high=0.25, bound="at least 0.3", bound_low=0.3, n=22, head="2.2"),
        check(estimate=0.8, low=0.7, high=0.9, n=33, head="3.3"),
        check(observe=True, verdict=None, estimate=0.7, n=44, head="4.4"),
    ]  # fmt: skip
    page = page_of(
        tmp_path, record(claim("several", verdict="refuted", checks=rows, heads=["1.1", "2.2", "3.3", "4.4"]))
    )
    found = re.search(r"<tr[^>]*data-for.*?</tr>", page, re.S)
    assert found is not None
    row = Tree(found[0])
    assert len(row.all("svg")) == 1
    assert re.sub(r".*(2\.2 0\.2 \[)", r"\1", row.text).startswith("2.2 0.2 [0.15, 0.25]")
    assert "and 2 more at least 0.3 22" in row.text
    assert not re.search(r"0\.9|0\.8|0\.7|1\.1|3\.3", row.text)
    (attributes,) = row.all("tr")
    assert (attributes["data-estimate"], attributes["data-n"]) == ("0.2", "22")
    assert attributes["data-words"] == "1.1 2.2 3.3 4.4"


def test_every_refutation_and_whatever_was_not_expected_stands_at_the_top(tmp_path: Path) -> None:
    """Six are drawn with their distance from the bound, the others in a table; other surprises in a list with links."""
    low = check(verdict="refuted", estimate=0.2, low=0.15, high=0.25, corrected={"low": 0.14, "high": 0.26})
    claims = [claim(f"r{k}", claim=f"Refuted {k}.", verdict="refuted", met=False, checks=[low]) for k in range(8)]
    odd = claim("odd", claim="Surprising.", verdict="inconclusive", met=False, reason="too few prompts")
    page = page_of(tmp_path, record(*claims, odd))
    top = page[: page.index("<h2>All claims</h2>")]
    cards, rest = top[top.index('class="cards"') :].split("2 more refutations")
    assert len(re.findall(r'href="#hypotheses--smollm2--heads--r\d"', cards)) == 6
    assert len(re.findall(r'href="#hypotheses--smollm2--heads--r\d"', rest)) == 2
    assert cards.count("beyond it by 0.157 (2.6 arms)") == 6
    head = top[: top.index('class="cards"')]
    assert "one arm is the distance" in " ".join(re.sub(r"<[^>]*>", " ", head).split())  # said above what it explains
    assert "claim's e-value" in html.unescape(head)
    assert "8 claims" in head
    assert 'href="#strongest-refutations"' in head
    assert 'id="strongest-refutations"' in top
    assert 'href="#hypotheses--smollm2--heads--odd"' in head
    assert "too few prompts" in head


def test_the_top_says_what_was_tested_and_which_refutations_were_expected(tmp_path: Path) -> None:
    """Skipped claims are not counted as tested and say why; an expected refutation is called a known negative wherever it stands."""
    low = check(verdict="refuted", estimate=0.2, low=0.15, high=0.25)
    gone = [
        claim(f"s{k}", status="skipped", met=None, verdict="unmeasurable", model="gpt2", reason="no weights; fetch them") for k in range(3)
    ]  # fmt: skip
    known = claim("known", verdict="refuted", expected="refuted", checks=[low])
    page = page_of(tmp_path / "known", record(claim("a"), known, *gone))
    top = Tree(page[page.index("<header>") : page.index("</header>")] + "</header>").text
    assert top.startswith(
        "Claims and what they came to 2 of 5 claims were tested, on smollm2-135m . 3 were skipped (no weights)."
    )
    assert "The one refutation is no surprise: it is a known negative: a claim known to be false" in top
    assert "1 refuted a known negative" in top
    assert "3 skipped not tested" in top
    assert Tree(page).text.count("REFUTED · known negative") == 2  # in the table and on its section
    odd = page_of(tmp_path / "odd", record(known, claim("odd", verdict="refuted", met=False, checks=[low])))
    assert "1 of 2 refuted claims was expected to hold; the others are known negatives" in Tree(odd).text
    assert Tree(odd).text.count("REFUTED · known negative") == 2


def test_suites_that_were_skipped_come_last(tmp_path: Path) -> None:
    """Their sections stand below all that were tested, in the order of their names."""
    gone = {"status": "skipped", "met": None, "verdict": "unmeasurable", "reason": "no weights"}
    claims = [
        claim("a", file="hypotheses/a.yaml", suite="A", **gone),
        claim("b", file="hypotheses/b.yaml", suite="B", **gone),
    ]
    claims += [
        claim("y", file="hypotheses/y.yaml", suite="Y"),
        claim("x", file="hypotheses/x.yaml", suite="X"),
        claim("x2", file="hypotheses/x.yaml", suite="X", **gone),
    ]
    page = page_of(tmp_path, record(*claims))
    assert re.findall(r'<section class="suite"><h2>(\w)</h2>', page) == ["X", "Y", "A", "B"]
    assert "hypotheses/x.yaml : 1 supported, 1 skipped" in Tree(page).text


def test_own_code_of_a_claim_is_named(tmp_path: Path) -> None:
    """What the package does not vouch for stands on this page as on the suite's."""
    own = {
        "kind": "metric", "name": "margin", "doc": "Answer less the best other.", "source": "Doe 2030", "file": "own.py", "code": "sha256:" + "ab" * 32,
    }  # fmt: skip
    tree = Tree(page_of(tmp_path, record(claim("a", own=[own]), claim("b"))))
    assert tree.text.count("Own code") == 1
    told = "the metric margin (from own.py , sha256 abababababab). Answer less the best other. Source: Doe 2030."
    assert told in tree.text


def test_nothing_is_made_up_where_nothing_was_measured(tmp_path: Path) -> None:
    """A claim of nothing but nulls gets no drawing, no zero and no None."""
    bare = {"id": "bare", "file": FILE, "checks": [dict.fromkeys(check()), {}]}
    page = page_of(tmp_path, {"format": 1, "claims": {f"{FILE}::bare": bare, f"{FILE}::empty": {}}})
    tree = Tree(page)
    assert not tree.all("svg")
    assert "None" not in tree.text
    assert "nan" not in tree.text
    sections = page[page.index('<section class="suite"') : page.index("How to read this")]
    assert not re.findall(r"(?<![\w.-])0(?![\w.])", Tree(sections[: sections.rindex("</section>") + 10]).text)
    assert Tree(page_of(tmp_path / "none", {"format": 1})).text.count("No claim has been tested yet.") == 1


HOSTILE = "<script>alert('x')</script> \"><img src=x onerror=alert(1)> </style></details></pre> [a](javascript:alert(1)) `c` & &amp; <br>"


def test_what_a_suite_says_cannot_become_part_of_the_page(tmp_path: Path) -> None:
    """Texts with tags, quotes and Markdown are shown as written: no element, attribute or link comes from them."""
    prompts = {
        "family": HOSTILE,
        "n": 3,
        "example": HOSTILE,
        "tokens": [HOSTILE],
        "answer": HOSTILE,
        "templates": [HOSTILE],
    }
    profile = {
        "head": HOSTILE,
        "prompts": HOSTILE,
        "classes": [HOSTILE],
        "matrix": [[0.5]],
        "offsets": [0.5],
        "marked": [0],
        "n": 1,
    }
    pattern = copy.deepcopy(PATTERN) | {"head": HOSTILE, "prompts": HOSTILE, "labels": [HOSTILE] * 4}
    pattern["marks"][1] |= {"selector": HOSTILE, "than": HOSTILE}
    row = check(
        check=HOSTILE, head=HOSTILE, prompts=HOSTILE, bound=HOSTILE, warnings=[HOSTILE], reason=HOSTILE, interval=HOSTILE,
        assumption=HOSTILE, reported={"value": HOSTILE, "source": HOSTILE}, figure={"path": f"figures/{HOSTILE}.png", "alt": HOSTILE},
    )  # fmt: skip
    entry = claim(
        HOSTILE, variant=HOSTILE, suite=HOSTILE, claim=HOSTILE, model=HOSTILE, heads=[HOSTILE], reason=HOSTILE, faults=[HOSTILE],
        yaml=HOSTILE, expected=HOSTILE, source={HOSTILE: HOSTILE}, checks=[row, check(bound_low=None, bound=HOSTILE)],
        prompts={HOSTILE: prompts}, profiles=[profile], patterns=[pattern], file=f"{HOSTILE}.yaml",
    )  # fmt: skip
    data = record(entry)
    data["models"] = {HOSTILE: {"source": HOSTILE, "digest": HOSTILE}}
    data["runs"]["3"] |= {"git": HOSTILE, "device": HOSTILE}
    tree = Tree(page_of(tmp_path, data))
    plain = Tree(page_of(tmp_path / "plain", record(with_pattern(profiles=[{**profile, "head": "1", "prompts": "p"}]))))
    assert {name for name, _ in tree.elements} <= {name for name, _ in plain.elements} | {"br", "pre", "img", "figure"}
    assert (len(tree.all("script")), len(tree.all("style"))) == (1, 1)
    assert not [name for _, attributes in tree.elements for name in attributes if name.startswith("on")]
    assert all((attributes.get("href") or "#").startswith("#") for attributes in tree.all("a"))
    assert tree.text.count("<script>alert('x')</script>") > 15


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=60))
def test_any_text_is_shown_as_written(text: str) -> None:
    """Markdown made by the report's own functions comes out as the text that went in, whatever it holds."""
    wanted = " ".join(text.split())
    for front, shown in (("", inline(prose(text))), ("> ", block(f"> {prose(text)}"))):
        assert Tree(shown).text.strip() == wanted
        assert {name for name, _ in Tree(shown).elements} <= ({"p", "blockquote"} if front else set())
    found = Tree(inline(code(text)))
    assert {name for name, _ in found.elements} <= {"code"}


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    """No address but places on the page; the policy forbids all others; figures are inside, byte for byte."""
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "abc.png").write_bytes(PNG)
    data = record(with_pattern(), claim("gone", checks=[check(figure={"path": "figures/gone.png", "alt": "A map"})]))
    page = page_of(tmp_path, data)
    tree = Tree(page)
    assert [attributes.get("src") for attributes in tree.all("img")] == [
        None, "data:image/png;base64," + base64.b64encode(PNG).decode(),
    ]  # fmt: skip
    assert tree.all("img")[0]["data-missing"] == "figures/gone.png"
    assert tree.all("img")[0]["alt"] == "A map"
    assert all(str(attributes["href"]).startswith("#") for attributes in tree.all("a"))
    assert not {"src", "href", "action", "srcset"} & {
        name for tag, attributes in tree.elements if tag not in ("a", "img") for name in attributes
    }
    assert not re.search(r"https?://|url\(|@import", re.sub(r"arXiv \S+", "", page))
    policy = next(attributes["content"] for attributes in tree.all("meta") if "http-equiv" in attributes)
    assert str(policy).startswith("default-src 'none'; img-src data:;")


@pytest.mark.parametrize("path", ["../secret.png", "figures/../../secret.png", "/etc/secret.png", "secret.png"])
def test_only_figures_of_the_report_are_put_in(path: str, tmp_path: Path) -> None:
    """A record that names another file does not get that file onto the page."""
    (tmp_path / "secret.png").write_bytes(PNG)
    (tmp_path / "out" / "figures").mkdir(parents=True)
    (tmp_path / "out" / "secret.png").write_bytes(PNG)
    page = page_of(tmp_path / "out", record(claim(checks=[check(figure={"path": path, "alt": "x"})])))
    assert base64.b64encode(PNG).decode() not in page


def test_the_same_record_gives_the_same_bytes(tmp_path: Path) -> None:
    """Whatever the order of its keys; and no start or duration of a run is on the page."""
    data = record(with_pattern("a", line=30), claim("b", line=20), claim("c", line=20))
    backwards = {
        **data,
        "claims": {key: dict(reversed(data["claims"][key].items())) for key in reversed(data["claims"])},
    }
    first = page_of(tmp_path / "one", data)
    assert first == page_of(tmp_path / "two", backwards)
    for time in ("2031", "07:08", "98765", "98,765"):
        assert time not in first


def test_the_page_is_written_where_asked_for_and_then_kept_up_to_date(tmp_path: Path) -> None:
    """Not without being asked; one that is there says what the other pages say; another's file is left alone."""
    write_reports(tmp_path, record())
    assert not (tmp_path / "report.html").exists()
    page_of(tmp_path, record())
    write_reports(tmp_path, record(claim("renamed")))
    (row,) = (found for found in Tree((tmp_path / "report.html").read_text()).all("tr") if "data-for" in found)
    assert str(row["data-for"]).endswith("--renamed")
    (tmp_path / "report.html").write_text("mine")
    write_reports(tmp_path, record())
    with pytest.raises(CircuitsError, match=r"report\.html: this file was not written by the report"):
        write_reports(tmp_path, record(), html=True)
    assert (tmp_path / "report.html").read_text() == "mine"


def test_an_unchanged_suite_is_not_rendered_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its part of the page is kept between runs, also when the claims were answered from the cache this time."""

    def page(data: dict[str, Any]) -> str:
        return write_reports(tmp_path, data, memo=memo_of(tmp_path, tmp_path / "kept"), html=True)[-1].read_text()

    first = page(record(with_pattern()))

    def never(*_: Any) -> str:
        raise AssertionError("rendered again")

    monkeypatch.setattr(html_page, "_suite", never)
    monkeypatch.setattr(html_page, "_claims", never)
    assert page(record(with_pattern(status="cached", cached=True))) == first
    with pytest.raises(AssertionError, match="rendered again"):
        page(record(claim(claim="Other words.")))


# -- drawings ---------------------------------------------------------------------------------------------


def attribute(svg: str, name: str, which: str) -> list[float]:
    return [float(found) for found in re.findall(rf'<{which}[^>]*? {name}="([-\d.]+)%?"', svg)]


@given(
    estimate=st.floats(-2, 2), low=st.floats(-2, 2), bound=st.floats(-2, 2), least=st.booleans(),
    statistic=st.sampled_from(["mass", "drop_in"]),
)  # fmt: skip
def test_a_dot_lies_in_the_shaded_part_where_the_value_meets_the_bound(
    estimate: float, low: float, bound: float, least: bool, statistic: str
) -> None:
    """The drawing and the comparison agree, and everything lies within the drawing."""
    limits = {"bound_low": bound if least else None, "bound_high": None if least else bound, "bound": "x"}
    span = {"low": min(low, estimate), "high": estimate, "corrected": {}, "uniform": None}
    if statistic == "mass":  # a share
        estimate, bound = abs(estimate) / 2, abs(bound) / 2
        limits = {key: None if value is None else bound for key, value in limits.items()} | {"bound": "x"}
        span |= {"low": min(abs(low) / 2, estimate), "high": estimate}
    svg = interval_mark(check(estimate=estimate, statistic=statistic, **limits, **span), wide=True)
    (dot,) = attribute(svg, "cx", "circle")
    (left,), (width,) = attribute(svg, "x", "rect"), attribute(svg, "width", "rect")
    assert 0 <= left <= left + width <= 100.01
    assert 0 <= dot <= 100
    if abs(estimate - bound) > 0.01:
        assert (left <= dot <= left + width) is (estimate > bound if least else estimate < bound)
    ends = attribute(svg, "x1", 'line x1="')
    assert all(0 <= end <= 100 for end in ends)


def test_a_missing_limit_reaches_the_end_of_the_axis() -> None:
    """A one-sided interval is drawn to the edge, and said in words."""
    svg = interval_mark(check(low=None, corrected=None))
    assert '<line x1="0%"' in re.search(r"<line[^>]*class=\"interval\"", svg)[0]  # type: ignore[index]
    assert "interval up to 0.642 (no lower limit), bound at least 0.417" in svg
    assert interval_mark(check(estimate=None)) == ""
    assert "<rect" not in interval_mark(check(observe=True))


@given(st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=25))
def test_outlines_are_those_of_the_figures(cells: set[tuple[int, int]]) -> None:
    """The outline of any set of cells is as long as the one that the figures draw, which finds it in another way."""
    grid = np.zeros((7, 7), dtype=bool)
    for query, key in cells:
        grid[query, key] = True
    length = sum(abs(x1 - x0) + abs(y1 - y0) for (x0, y0), (x1, y1) in boundary_edges(grid))
    assert _edges([list(pair) for pair in cells]).count("M") == length


def test_a_map_shades_each_cell_by_its_attention() -> None:
    """The largest value has the full shade, half of it half; what is nothing or not a number has none; order is kept."""
    svg = heat_map(PATTERN)
    shades = {float(opacity): path for path, opacity in re.findall(r'<path d="([^"]*)" fill-opacity="([\d.]+)"', svg)}
    assert shades[1.0] == "M0 0h1v1h-1zM3 3h1v1h-1z"
    wanted = {float(f"{round(LEVELS * value) / LEVELS:.3g}") for value in (1, 0.6, 0.4, 0.25, 0.75)}
    assert set(shades) == wanted
    assert shades[0.75] == "M2 2h1v1h-1z"
    assert 'class="cells m0"' in svg
    assert 'class="than m1"' in svg


@pytest.mark.parametrize("count, every", [(4, 1), (26, 1), (40, 1), (101, 5), (128, 5)])
def test_a_map_of_any_length_says_where_one_is(count: int, every: int) -> None:
    """Its axes have titles and labels that do not lie on each other: of a long prompt every fifth token, with its place."""
    labels = [f"t{k}" for k in range(count)]
    pattern = PATTERN | {"labels": labels, "per_mille": [[0] * k + [1000] for k in range(count)], "marks": []}
    svg = heat_map(pattern)
    wanted = [f"t{k}" if every == 1 else f"t{k} {k}" for k in range(0, count, every)]
    texts = re.findall(r"<text([^>]*)>([^<]*)</text>", svg)
    assert [text for place, text in texts if "text-anchor" in place] == wanted  # rows
    assert [text for place, text in texts if "rotate(90)" in place] == wanted  # columns
    assert [text for place, text in texts if 'class="axis"' in place] == ["query (looks)", "key (is looked at)"]
    heights = attribute(svg, "y", r'text x="')[: len(wanted)]
    assert all(below - above >= 10 for above, below in zip(heights, heights[1:], strict=False))
    _, _, _, tall = map(float, re.search(r'viewBox="([^"]*)"', svg)[1].split())  # type: ignore[index]
    assert all(4 <= height <= tall for height in heights)


@pytest.mark.parametrize(
    "n, of, checks, said",
    [
        (32, 32, [32], "mean over all 32 prompts. The tokens shown are those of the first prompt"),
        (6, 36, [36], "mean over the 6 of the first prompts that have the first one's template and its 4 tokens; the check has n = 36. The"),
        (6, 72, [36, 72], "; the checks have n = 36 and 72."),
        (1, 32, [32], "the pattern of the first prompt alone; the check has n = 32."),
        (1, 1, [1], "mean over 1 prompt."),
    ],
)  # fmt: skip
def test_a_pattern_says_which_prompts_it_is_the_mean_of(
    n: int, of: int, checks: list[int], said: str, tmp_path: Path
) -> None:
    """Where they are not those of the check, n of both; and whose tokens stand at the axes."""
    rows = [check(head="16.8", prompts="numerals", n=each) for each in checks]
    rows.append(check(head="1.1", prompts="numerals", n=999))  # another head's check is not this pattern's
    entry = claim(patterns=[PATTERN | {"n": n}], checks=rows)
    entry["prompts"]["numerals"]["n"] = of
    caption = re.search(r"<figcaption>(.*?)</figcaption>", page_of(tmp_path, record(entry)))
    assert caption is not None
    assert said in html.unescape(caption[1])


@given(
    st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=1, max_size=60), st.sets(st.integers(0, 80), max_size=4),
)  # fmt: skip
def test_labels_of_distances_stay_apart(offsets: list[float | None], marked: set[int]) -> None:
    """Neither numbers nor distances touch their neighbours or leave the drawing; claimed distances stand out in both."""
    profile = {"head": "1.1", "offsets": offsets, "marked": sorted(marked)}
    svg = profile_bars(profile)
    texts = re.findall(r'<text x="([\d.]+)" y="([\d.]+)" text-anchor="middle"([^>]*)>([^<]*)</text>', svg)
    ends: dict[str, float] = {"number": 0.0, "distance": 0.0}
    for x, _, _, text in texts:
        line = "number" if re.fullmatch(r"(&lt;)?[\d.]+|0|1", text) else "distance"
        text = html.unescape(text)
        left = float(x) - 5.3 * len(text) / 2
        assert left >= ends[line] - 0.01
        ends[line] = float(x) + 5.3 * len(text) / 2
    assert max(ends.values()) <= (attribute(svg, "width", "svg") or [0.0])[0]
    known = {back for back in marked if back < len(offsets) and offsets[back] is not None}
    assert svg.count('class="band"') == svg.count('class="bar marked"') == len(known)
    assert sum('class="claimed"' in more for _, _, more, _ in texts) == 2 * len(known)
    assert len(claimed_distances(profile)) == len(marked)
    values = {back: value for back, value in enumerate(offsets) if value is not None}
    if values:  # the largest value is drawn, however far it lies
        drawn = {0 if text == "self" else int(text[2:]) for *_, text in texts if text == "self" or text[:2] == "n-"}
        assert max(values.values()) in {values[back] for back in drawn}


def test_the_claimed_distance_is_named_above_the_bars(tmp_path: Path) -> None:
    """Right before them, with its value; a profile without any has no legend."""
    profile = {
        "head": "1.1",
        "prompts": "numerals",
        "n": 7,
        "bos": 0.25,
        "offsets": [0.5, 0.1, 0.1234],
        "marked": [2, 9],
    }
    page = page_of(tmp_path / "some", record(claim(profiles=[profile])))
    assert re.search(r'claimed: n-2 \(0\.123\), n-9 \(no value\)</p><div class="scroll"[^>]*><svg class="bars"', page)
    assert "Mean attention over 7 prompts by distance from the query (BOS apart: 0.25):" in page
    assert "claimed:" not in page_of(tmp_path / "none", record(claim(profiles=[profile | {"marked": []}])))


def test_what_is_exact_is_what_verdicts_call_certain() -> None:
    """The page's limit for "exact" is the log e-value that stands for certainty in the record."""
    assert html_page.EXACT == MOST_LOG_E


@pytest.mark.parametrize(
    "label, parts",
    [
        ("5 ‹member›", ("5", "member")),
        (" is", (" is", "")),
        ("‹x›", ("‹x›", "")),
        (" ‹ ‹a b›", (" ‹", "a b")),
        ("\n", ("⏎", "")),
    ],
)
def test_a_label_is_a_token_and_its_role(label: str, parts: tuple[str, str]) -> None:
    """Also where the token looks like a role."""
    assert label_parts(label) == parts


# -- from a run to the page ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run, str, str, dict[str, Any]]:
    """A run with the page, then a second one that is answered from the cache: both, with page and record of the first."""
    folder = project(tmp_path_factory.mktemp("html"), small=SMALL)
    first = run_pytest(folder, "--circuit-html")
    page, data = (folder / "reports" / "report.html").read_text(), first.results
    second = run_pytest(folder, "--circuit-html")
    return first, second, page, (folder / "reports" / "report.html").read_text(), data


def patterns(data: dict[str, Any]) -> dict[str, Any]:
    return {name.rpartition("::")[2]: entry["patterns"] for name, entry in data["claims"].items()}


def test_the_patterns_in_the_record_are_the_measured_ones(twice: tuple[Run, Run, str, str, dict[str, Any]]) -> None:
    """Head 0.0 attends to the token before, 0.1 three back, by construction; the cells are those that the check names."""
    (back,), (three,) = patterns(twice[4])["yes"], patterns(twice[4])["no"]
    count = len(back["labels"])
    assert (back["head"], back["prompts"], back["labels"][0]) == ("0.0", "numerals", "BOS")
    assert [len(row) for row in back["per_mille"]] == list(range(1, count + 1))
    assert all(row[query - 1] == 1000 and sum(row) == 1000 for query, row in enumerate(back["per_mille"]) if query)
    assert all(row[query - 3] == 1000 for query, row in enumerate(three["per_mille"]) if query > 3)
    assert back["marks"] == [
        {"selector": "any -> n-1", "cells": [[k, k - 1] for k in range(2, count)], "than": None, "others": None}
    ]


SCORES = f"""\
suite: Scores
model: reference
sampling: {{min: 4, max: 4, seed: 0}}
prompts:
  repeats: {{family: repeated_tokens, length: 6}}
  numerals: {NUMERALS}
claims:
  one: {{head: "2.0", prompts: repeats, score: induction, at_least: 0.5}}
  best: {{head: "2.0", prompts: repeats, score: induction, top: 1}}
  some: {{heads: {{any: all}}, prompts: numerals, attends: any -> n-1, at_least: 0.5}}
  two: {{head: "1.1", prompts: numerals, checks: [
    {{attends: member -> earlier member, more_than: member -> n-2}}, {{attends: any -> bos, observe: true}}]}}
"""


def test_which_patterns_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a claimed head, for attention and for scores of it, a pattern a head and set; no place among all heads, none too long."""
    path = tmp_path / "s.yaml"
    path.write_text(SCORES)

    def found(**options: Any) -> dict[str, Any]:
        evaluator = Evaluator(Options(permuted=0), **options)
        items = items_of(load(path, knowledge(), "s.yaml"), tmp_path)
        return {item.claim.id: evaluator.evaluate(item).entry["patterns"] for item in items}

    kept = found(draw=lambda figure, name: name)
    assert {name: len(each) for name, each in kept.items()} == {"one": 1, "best": 0, "some": 0, "two": 1}
    (induction,) = kept["one"]
    assert induction["marks"][0]["cells"] == [[7 + k, 2 + k] for k in range(6)]
    assert [induction["per_mille"][7 + k][2 + k] for k in range(6)] == [1000] * 6
    compared, observed = kept["two"][0]["marks"]
    assert (compared["than"], observed["selector"], observed["others"]) == ("member -> n-2", "any -> bos", None)
    assert compared["others"]
    assert all(not each for each in found().values())  # without a report nobody reads them
    monkeypatch.setattr(pattern_stage, "MOST_TOKENS", 12)
    assert not found(draw=lambda figure, name: name)["one"]


def test_a_cached_run_gives_the_same_patterns_and_sections(twice: tuple[Run, Run, str, str, dict[str, Any]]) -> None:
    """Answered from the cache nothing but the account of the runs is another one."""
    first, second, page, again, data = twice
    assert "report: reports/README.md" in first.out
    assert second.results["claims"]["hypotheses/small.yaml::yes"]["status"] == "cached"
    assert patterns(second.results) == patterns(data)

    def steady(text: str) -> str:
        return re.sub(r"<h2>Where the numbers come from</h2>.*?</section>", "", text, flags=re.DOTALL)

    assert steady(again) == steady(page)
    assert page.startswith(MARKER + "\n<!doctype html>\n")
    assert 'data-rows="1000;1000,0;' in page


def test_the_command_makes_the_page_without_models(twice: tuple[Run, Run, str, str, dict[str, Any]]) -> None:
    """`circuits report --html` gives the page of the run, and imports neither torch nor numpy."""
    folder, page = twice[0].folder, twice[3]
    path = folder / "reports" / "report.html"
    path.unlink()
    code = (
        "import sys; from circuits.cli import main; status = main(['report', '--html']); "
        "print(status, [name for name in ('torch', 'numpy', 'matplotlib', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment(folder), capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        "3 pages written, first of them reports/README.md; all of it on one: reports/report.html", "0 []",
    ]  # fmt: skip
    assert path.read_text() == page


def test_the_ini_value_asks_for_the_page(pytester: pytest.Pytester, warm: None) -> None:
    """`circuit_html = true` in the project's ini file; without a report there is no page either."""
    pytester.makeini("[pytest]\ncircuit_html = true\n")
    project(pytester.path, good=GOOD)
    pytester.runpytest_inprocess("--circuit-no-report")
    assert not (pytester.path / "reports").exists()
    pytester.runpytest_inprocess()
    assert (pytester.path / "reports" / "report.html").is_file()
