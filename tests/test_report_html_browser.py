"""The HTML page in a real browser: sorting, filtering, hovering, narrow screens, no scripts, paper."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Browser, chromium
from test_report_html import PATTERN
from test_report_markdown import check, claim, record
from test_report_mermaid import circuit, path

from circuits.report.markdown import write_reports

pytestmark = pytest.mark.skipif(chromium() is None, reason="no chromium or chrome on the PATH")

LONG = "a-very-long-name-of-a-claim-without-any-space-in-it-" * 4
SHOWN = "[...document.querySelectorAll('#claims tbody tr')].filter(row => !row.hidden).map(row => row.querySelector('.c-claim a').textContent)"
OPEN = "document.querySelector('details.claim[open]')?.id ?? null"
TOKENS = "[...document.querySelectorAll('details[open] .tok')]"


def entries() -> list[dict[str, Any]]:
    """Claims whose order differs by each column; one was not measured, one has a long name and a long pattern."""
    wide = copy.deepcopy(PATTERN)
    wide |= {"labels": ["BOS", *(f"token{k}" for k in range(110))], "per_mille": [[0] * k + [1000] for k in range(111)]}
    wide["marks"] = [
        {
            "selector": "any -> " + " | ".join(f"n-{k}" for k in range(40)),
            "cells": [[5, 5]],
            "than": None,
            "others": None,
        }
    ]
    return [
        claim("low", claim="Low.", checks=[check(estimate=0.45, n=9)], log_e={"for": 9.0, "against": -1.0}),
        claim("high", claim="High.", checks=[check(estimate=0.9, n=100)], patterns=[PATTERN], log_e={"for": 4.0, "against": -1.0}),
        claim("false", claim="False.", verdict="refuted", checks=[check(estimate=0.1, verdict="refuted", n=20)], log_e={"for": -2.0, "against": 6.0}),
        claim("none", claim="None.", verdict="unmeasurable", checks=[check(estimate=None, low=None, high=None, n=None)], model="gpt2"),
        claim(LONG, claim=LONG, checks=[check(estimate=0.6, n=50, check=f"attends: {LONG}")], patterns=[wide], file="hypotheses/other.yaml"),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    return write_reports(folder, record(*entries()), html=True)[-1]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture(autouse=True)
def _as_it_was(browser: Browser) -> None:
    browser.size(1280, 900)
    browser.scripts(True)
    browser.scheme(False)


def sort_by(browser: Browser, name: str) -> list[str]:
    browser.run(f"document.querySelector('th[data-sort=\"{name}\"] button').click()")
    found: list[str] = browser.run(SHOWN)
    return found


def test_a_click_on_a_heading_sorts_the_claims(page: Path, browser: Browser) -> None:
    """By estimate the largest first, then the smallest, then as the page was; what was not measured stays last."""
    browser.open(page)
    as_it_was = browser.run(SHOWN)
    assert as_it_was == ["False.", "None.", "Low.", "High.", LONG]  # refutations first, then by evidence
    assert sort_by(browser, "estimate") == ["High.", LONG, "Low.", "False.", "None."]
    assert browser.run("document.querySelector('th[data-sort=estimate]').ariaSort") == "descending"
    assert browser.run("location.hash") == "#sort=-estimate"
    assert sort_by(browser, "estimate") == ["False.", "Low.", LONG, "High.", "None."]
    assert sort_by(browser, "estimate") == as_it_was
    assert sort_by(browser, "n") == ["High.", LONG, "False.", "Low.", "None."]
    assert sort_by(browser, "claim") == [LONG, "False.", "High.", "Low.", "None."]


@pytest.mark.parametrize("width", [390, 768])
def test_a_narrow_screen_sorts_by_a_choice(page: Path, browser: Browser, width: int) -> None:
    """Its table has no headings; the choice says what another screen's headings did, and the other way round."""
    sorter = "document.querySelector('.sorter')"
    browser.open(page)
    assert browser.run(f"{sorter}.checkVisibility()") is False  # there are headings
    browser.size(width, 800)
    browser.open(page, "#sort=-estimate")
    assert browser.run(f"{sorter}.checkVisibility()") is True
    assert browser.run("document.querySelector('#claims thead').checkVisibility()") is False
    assert browser.run(f"{sorter}.querySelector('select').value") == "-estimate"
    options = browser.run(f"[...{sorter}.querySelectorAll('option')].map(option => option.value)")
    headings = browser.run("[...document.querySelectorAll('th[data-sort]')].map(head => head.dataset.sort)")
    assert {option.removeprefix("-") for option in options} == {"", *headings}
    choose = f"(select => {{ select.value = '%s'; select.dispatchEvent(new Event('input', {{bubbles: true}})); }})({sorter}.querySelector('select'))"
    browser.run(choose % "estimate")
    assert browser.run(SHOWN) == ["False.", "Low.", LONG, "High.", "None."]
    assert browser.run("location.hash") == "#sort=estimate"
    browser.run(choose % "")
    assert browser.run(SHOWN) == ["False.", "None.", "Low.", "High.", LONG]
    seen = "[...document.querySelectorAll('.c-estimate, .c-bound, .c-evidence')].every(each => each.getBoundingClientRect().right <= innerWidth)"
    assert browser.run(seen) is True  # nobody has to scroll sideways for the results


def test_a_filter_narrows_the_table_and_the_sections(page: Path, browser: Browser) -> None:
    """By verdict, suite, model and words; the address says it, so that the same view can be opened again."""
    sections = "[...document.querySelectorAll('details.claim')].filter(each => each.checkVisibility()).length"
    count = "document.querySelector('#filter output').value"
    for hash, wanted in (
        ("#verdict=supported", {"Low.", "High.", LONG}), ("#model=gpt2", {"None."}), ("#suite=hypotheses/other.yaml", {LONG}),
        ("#text=HIGH", {"High."}), ("#text=low%20supported", {"Low."}), ("#verdict=refuted&model=gpt2", set()),
    ):  # fmt: skip
        browser.open(page, hash)
        assert set(browser.run(SHOWN)) == wanted
        assert browser.run(sections) == len(wanted)
        assert browser.run(count) == f"{len(wanted)} of 5 claims"
    browser.open(page, "#verdict=supported&sort=estimate")
    assert browser.run(SHOWN) == ["Low.", LONG, "High."]
    browser.open(page)
    browser.run("document.querySelector('a.tile.refuted').click()")
    browser.until(f"({SHOWN}).join() === 'False.'")
    browser.run("document.querySelector('#filter button[type=reset]').click()")
    browser.until(f"({SHOWN}).length === 5")


def test_a_link_opens_its_claim_even_behind_a_filter(page: Path, browser: Browser) -> None:
    """From the table or as an address; the section is then on the screen."""
    browser.open(page, "#hypotheses--smollm2--heads--high")
    assert browser.run(OPEN) == "hypotheses--smollm2--heads--high"
    assert 0 <= browser.run("document.querySelector('details.claim[open]').getBoundingClientRect().top") < 900
    browser.open(page, "#verdict=refuted")
    browser.run("location.hash = '#hypotheses--smollm2--heads--low'")
    browser.until(f"({OPEN}) === 'hypotheses--smollm2--heads--low'")
    assert len(browser.run(SHOWN)) == 5


def test_a_token_under_the_mouse_shades_what_it_attends_to(page: Path, browser: Browser) -> None:
    """By the share of the largest attention; the check's cells are outlined, later tokens fade, and words say it too."""
    browser.open(page, "#hypotheses--smollm2--heads--high")
    weights = f"{TOKENS}.map(token => Number(token.style.getPropertyValue('--w')))"
    classes = f"{TOKENS}.map(token => ['query', 'cell', 'than', 'later'].filter(name => token.classList.contains(name)).join(' '))"
    browser.hover("details[open] .tok:nth-child(2)")
    assert browser.run(weights) == [0.6, 0.4, 0, 0]
    assert browser.run(classes) == ["", "query", "later", "later"]
    colours = browser.run(f"{TOKENS}.map(token => getComputedStyle(token).backgroundColor)")
    assert len(set(colours[:3])) == 3  # the shade is really another one
    browser.hover("details[open] .tok:nth-child(3)")
    assert browser.run(weights) == [0.25, 0, 0.75, 0]
    assert browser.run(classes) == ["", "cell", "query", "later"]
    told = browser.run("document.querySelector('details[open] .told').value")
    assert told == "“␣is” at 2 attends to “␣is” at 2: 0.750, “BOS” at 0: 0.250; on the outlined: not a number"


def test_patterns_are_reached_by_keyboard_and_touch(page: Path, browser: Browser) -> None:
    """Focus and arrow keys move the query, a tap chooses it, and another check's cells can be chosen."""
    browser.open(page, "#hypotheses--smollm2--heads--high")
    query = f"{TOKENS}.findIndex(token => token.classList.contains('query'))"
    browser.run("document.querySelector('details[open] .tok').focus()")
    assert browser.run(query) == 0
    browser.press("ArrowRight")
    assert browser.run(query) == 1
    assert browser.run(f"{TOKENS}.map(token => token.tabIndex)") == [-1, 0, -1, -1]
    browser.run("document.querySelectorAll('details[open] .tok')[3].click()")
    assert browser.run(query) == 3
    assert browser.run(f"{TOKENS}.map(token => token.classList.contains('cell'))") == [False, False, True, False]
    browser.run("document.querySelectorAll('details[open] fieldset input')[1].click()")
    assert browser.run(f"{TOKENS}.map(token => token.classList.contains('cell'))") == [False, False, False, True]
    shown = "['m0', 'm1'].map(name => getComputedStyle(document.querySelector(`details[open] .cells.${name}`)).display)"
    assert browser.run(shown) == ["none", "inline"]


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_the_page_itself_never_scrolls_sideways(page: Path, browser: Browser, width: int) -> None:
    """With everything opened, long names and wide patterns included: wide things scroll inside their box."""
    browser.size(width, 800)
    browser.open(page)
    browser.run("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    assert browser.run("document.documentElement.scrollWidth") <= width
    wider = "[...document.querySelectorAll('.body .scroll')].some(each => each.scrollWidth > each.clientWidth)"
    assert width > 600 or browser.run(wider) is True  # on a phone something did have to scroll


@pytest.mark.parametrize("width", [390, 1280])
def test_the_texts_of_a_diagram_lie_inside_their_boxes(tmp_path: Path, browser: Browser, width: int) -> None:
    """As the browser's own fonts draw them; and a wide drawing scrolls inside its box, not the page."""
    rows = [path(f"{k}.1", "9.0", into, estimate=0.22222 * k) for k in range(4) for into in "qk"]
    long = circuit(circuit={"name": "c", "heads": [f"{k % 3}.{k}" for k in range(30)], "mlps": [0, 1]})
    folder = write_reports(tmp_path, record(claim("drawn", checks=[*rows, long])), html=True)[-1]
    browser.size(width, 900)
    browser.open(folder, "#hypotheses--smollm2--heads--drawn")
    measured = (
        "[...document.querySelectorAll('.diagram g:has(> text)')].map(each => { const [box, text] = ['rect', 'text']"
        ".map(name => each.querySelector(name).getBoundingClientRect()); return [text.left - box.left, box.right - text.right,"
        " text.top - box.top, box.bottom - text.bottom]; }).flat()"
    )
    room = browser.run(measured)
    assert len(room) == 4 * (5 + 8 + 32)
    assert min(room) >= 0
    assert browser.run("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("dark", [False, True])
def test_colours_of_a_diagram_follow_the_readers_setting(tmp_path: Path, browser: Browser, dark: bool) -> None:
    """Text and box differ in both, verdicts have different borders, and the borders are the page's own colours."""
    rows = [circuit(), path("0.0", "1.0", "k")]
    page = write_reports(tmp_path, record(claim("drawn", checks=rows)), html=True)[-1]
    browser.scheme(dark)
    browser.open(page, "#hypotheses--smollm2--heads--drawn")
    style = "getComputedStyle(document.querySelector('.diagram %s')).%s"
    red, green = (browser.run(style % (f".v-{verdict} rect", "stroke")) for verdict in ("refuted", "supported"))
    assert (red, green) == (
        ("rgb(255, 130, 119)", "rgb(86, 201, 141)") if dark else ("rgb(179, 38, 30)", "rgb(20, 113, 63)")
    )
    assert browser.run(style % (".node text", "fill")) == ("rgb(230, 232, 236)" if dark else "rgb(29, 33, 41)")


CONTRAST = """(() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = colour => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const over = element => {
    let layers = [];
    for (let at = element; at; at = at.parentElement) layers.unshift(rgba(getComputedStyle(at).backgroundColor));
    return layers.reduce((below, [r, g, b, a]) => [r, g, b].map((value, k) => value * a / 255 + below[k] * (1 - a / 255)), [255, 255, 255]);
  };
  const light = colour => colour.slice(0, 3).map(value => value / 255).map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, k) => sum + value * [0.2126, 0.7152, 0.0722][k], 0);
  const against = element => {
    const [one, other] = [light(rgba(getComputedStyle(element).color)), light(over(element))].sort((a, b) => b - a);
    return [(one + 0.05) / (other + 0.05), element.textContent, element.className];
  };
  return [...document.querySelectorAll(SELECTOR)].filter(each => each.checkVisibility()).map(against).sort((a, b) => a[0] - b[0])[0];
})()"""
"""The least contrast of a text with what is behind it, as the WCAG reckons it, and where."""


@pytest.mark.parametrize("dark", [False, True])
def test_text_is_readable_in_both_schemes(page: Path, browser: Browser, dark: bool) -> None:
    """Contrast of at least 4.5: tokens however much they are attended to, those still to come, cells, pills, notes."""
    browser.scheme(dark)
    browser.open(page, "#hypotheses--smollm2--heads--high")
    seen = "'.tok span, .tok small, .pill, .pill span, dt, dd, .why, .told, .hint, figcaption, .lead, .tile span, .tile small, th, td, .id'"
    for query in range(4):
        browser.run(f"{TOKENS}[{query}].click()")
        for weight in (None, 0.3, 0.6, 1):
            if weight is not None:
                browser.run(f"{TOKENS}.forEach(token => token.style.setProperty('--w', {weight}))")
            contrast = browser.run(CONTRAST.replace("SELECTOR", seen))
            assert contrast[0] >= 4.5, contrast


def test_nothing_is_lost_without_scripts(page: Path, browser: Browser) -> None:
    """Every claim can be opened and read; what only a script can do is not shown."""
    browser.scripts(False)
    browser.open(page)
    assert browser.run("document.documentElement.className") == ""
    assert browser.run("[...document.querySelectorAll('.scripted')].some(each => each.checkVisibility())") is False
    assert browser.run("document.querySelectorAll('details.claim').length") == 5
    browser.run("document.querySelector('details.claim summary').click()")
    assert browser.run("document.querySelector('details.claim .heat, details.claim .check').checkVisibility()") is True
    assert len(browser.run(SHOWN)) == 5


def test_the_policy_stops_a_script_that_is_not_the_pages_own(page: Path, browser: Browser) -> None:
    """The second line of defence behind escaping: an injected handler or script does not run."""
    browser.open(page)
    browser.run("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.hurt = 1\">')")
    script = "Object.assign(document.createElement('script'), { textContent: 'window.hurt = 1' })"
    browser.run(f"document.body.append({script})")
    assert browser.run("new Promise(done => setTimeout(() => done(window.hurt ?? null), 100))") is None


def test_on_paper_nothing_is_cut(page: Path, browser: Browser) -> None:
    """What scrolls on the screen is whole in print; what is small keeps together, what may be long does not."""
    browser.open(page)
    browser.run("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    browser.call("Emulation.setEmulatedMedia", media="print")
    style = "[...new Set([...document.querySelectorAll('%s')].map(each => getComputedStyle(each).%s))]"
    assert browser.run(style % (".scroll", "overflowX")) == ["visible"]
    assert browser.run(style % ("pre", "whiteSpace")) == ["pre-wrap"]
    assert browser.run(style % ("tr, .heat, dl", "breakInside")) == ["avoid"]
    assert browser.run(style % (".check, figure.pattern, .claim, .prompts", "breakInside")) == ["auto"]
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.call("Emulation.setEmulatedMedia", media="print", features=dark)
    assert (
        browser.run("getComputedStyle(document.body).color") == "rgb(29, 33, 41)"
    )  # paper is white whatever the screen is
    browser.call("Emulation.setEmulatedMedia", media="")


def pages_of(browser: Browser, page: Path) -> int:
    path = page.with_name("page.pdf")
    browser.pdf(path)
    return len(re.findall(rb"/Type\s*/Page\b", path.read_bytes()))


def test_on_paper_what_is_closed_stays_closed(page: Path, browser: Browser) -> None:
    """The table has every claim; of the sections those that are open are printed, no controls; nothing is opened for it."""
    browser.open(page)
    seen = "[...document.querySelectorAll('%s')].filter(each => each.checkVisibility()).length"
    few = pages_of(browser, page)
    assert browser.run("document.querySelectorAll('details[open]').length") == 0
    browser.call("Emulation.setEmulatedMedia", media="print")
    assert [
        browser.run(seen % each) for each in ("#claims tbody tr", "details", "form", "section.suite", ".paper")
    ] == [5, 0, 0, 0, 1]
    browser.run("document.querySelector('details.claim').open = true")
    assert [browser.run(seen % each) for each in ("details", "section.suite", "details .check")] == [1, 1, 1]
    browser.call("Emulation.setEmulatedMedia", media="")
    browser.run("document.querySelector('#filter .opener').click()")
    assert browser.run("document.querySelectorAll('details.claim[open]').length") == 5
    assert pages_of(browser, page) > few
    browser.run("document.querySelector('#filter .opener').click()")
    assert browser.run("document.querySelectorAll('details.claim[open]').length") == 0


def test_no_page_of_paper_is_left_nearly_empty(tmp_path: Path, browser: Browser) -> None:
    """Many long sections need hardly more pages than their height: nothing long is moved to the next page as a whole."""
    long = claim(
        "long",
        checks=[check(estimate=0.45 + k / 100, warnings=["A sentence. " * 60] * 3) for k in range(12)],
        patterns=[PATTERN],
    )
    page = write_reports(tmp_path, record(long), html=True)[-1]
    browser.open(page, "#hypotheses--smollm2--heads--long")
    browser.call("Emulation.setEmulatedMedia", media="print")
    browser.size(730, 980)  # the paper's width inside its margins, at 96 dots an inch
    height = browser.run("document.documentElement.scrollHeight")
    browser.call("Emulation.setEmulatedMedia", media="")
    assert height > 5000
    assert pages_of(browser, page) <= 1.15 * height / 980 + 1
