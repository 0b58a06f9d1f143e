"""Pages: functions of the record, every number from it, foreign files left alone."""

from __future__ import annotations

import copy
import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circuits.errors import CircuitsError
from circuits.report import markdown
from circuits.report.markdown import MARKER, page_name, write_reports
from circuits.report.pages import claim_name

FILE = "hypotheses/smollm2/heads.yaml"
PAGE = "hypotheses--smollm2--heads.md"


def check(**more: Any) -> dict[str, Any]:
    found = {
        "index": 1, "kind": "attends", "check": "attends: any -> n-3", "head": "16.8", "prompts": "numerals", "statistic": "mass",
        "bound": "at_least 0.417", "bound_low": 0.417, "estimate": 0.6183, "low": 0.5837, "high": 0.6419, "confidence": 0.95,
        "corrected": {"low": 0.5719, "high": 0.6523, "confidence": 0.975}, "interval": "betting", "guaranteed": True, "n": 67,
        "skipped": 0, "seed": 29, "effect": {"kind": "lift", "value": 11.27}, "uniform": 0.0553, "heads_passing": [13, 270],
        "verdict": "supported", "figure": {"path": "figures/abc.png", "alt": "Pattern of head 16.8"},
    }  # fmt: skip
    return {**found, **more}


def claim(name: str = "three-back", **more: Any) -> dict[str, Any]:
    prompts = {
        "family": "named_sequence", "n": 67, "example": "Adam is 1. Bob is", "tokens": ["<|im_start|>", "Adam", " is", " ", "1"],
        "answer": " 2", "foil": " 1", "corrupted": "Adam is 7. Bob is", "foil_rule": "The last member shown.",
        "corruption": "Members at random.", "bos": True, "token_lengths": {"8": 67}, "templates": ["{name} is {member}."],
        "period": 5, "census": False, "digest": "sha256:77aa", "parameters": {"length": 4},
    }  # fmt: skip
    found = {
        "id": name, "variant": None, "file": FILE, "line": 12, "suite": "SmolLM2 heads", "claim": "16.8 attends three back.",
        "model": "smollm2-135m", "heads": ["16.8"], "run": "3", "verdict": "supported", "expected": "supported", "met": True,
        "status": "measured", "vacuous": False, "cached": False, "reason": None, "source": {"note": "N12"}, "faults": [],
        "yaml": "three-back:\n  head: '16.8'", "prompts": {"numerals": prompts}, "checks": [check()],
    }  # fmt: skip
    return {**found, **more}


def record(*claims: dict[str, Any], **more: Any) -> dict[str, Any]:
    run = {"started": "2031-05-06T07:08:09", "seconds": 98765.4, "circuits": "0.1.0", "torch": "2.13.0", "transformer_lens": "4.3.0",
           "dtype": "float32", "device": "cpu", "git": "deadbee", "counts": {"measured": 41, "cached": 17, "skipped": 0, "invalid": 0}}  # fmt: skip
    model = {"digest": "sha256:b179", "source": "a wheel", "verified": True, "layers": 30, "heads": 9}
    entries = {f"{entry.get('file', FILE)}::{claim_name(entry)}": entry for entry in claims or (claim(),)}
    return {"format": 1, "runs": {"3": run}, "models": {"smollm2-135m": model}, "claims": entries, **more}


def pages(folder: Path, data: dict[str, Any]) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in write_reports(folder, data)}


def test_pages_depend_on_the_record_alone(tmp_path: Path) -> None:
    """The same record gives the same bytes, whatever the order of its keys; nothing given is changed."""
    data = record(claim("a", line=30), claim("b", line=20), claim("c", line=20))
    before = copy.deepcopy(data)
    backwards = {
        **data,
        "claims": {key: dict(reversed(data["claims"][key].items())) for key in reversed(data["claims"])},
    }
    assert pages(tmp_path / "one", data) == pages(tmp_path / "two", backwards)
    assert data == before


def test_claims_stand_in_the_order_of_their_file(tmp_path: Path) -> None:
    """A page lists claims by line, then by id."""
    page = pages(tmp_path, record(claim("a", line=30), claim("c", line=20), claim("b", line=20)))[PAGE]
    assert re.findall(r"^## (\w+): ", page, re.MULTILINE) == ["b", "c", "a"]


def test_suite_page_does_not_change_with_the_run(tmp_path: Path) -> None:
    """Another run, a cache hit and other versions leave a suite's page as it was."""
    first = pages(tmp_path, record())
    data = record(claim(run="4", status="cached", cached=True))
    data["runs"] = {
        "4": {
            **data["runs"]["3"],
            "circuits": "0.9.9",
            "started": "2040-01-01",
            "counts": {"measured": 0, "cached": 58},
        }
    }
    second = pages(tmp_path, data)
    assert first[PAGE] == second[PAGE]
    assert "Run 4: 0 measured and 58 taken from the cache." in second["README.md"]


def test_no_page_holds_a_time(tmp_path: Path) -> None:
    """Neither the start of a run nor its duration is on a page."""
    text = "".join(pages(tmp_path, record()).values())
    assert "2031" not in text
    assert "07:08" not in text
    assert "98765" not in text
    assert "98,765" not in text


def numbers(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w.-])-?\d[\d,]*(?:\.\d+)?(?:e-?\d+)?%?", text))


def forms(value: Any) -> set[str]:
    """Every way a value of the record may be shown: independent of the code under test."""
    if isinstance(value, dict):
        return set().union(*(forms(part) for part in value.values()), *(numbers(str(key)) for key in value))
    if isinstance(value, list):
        return set().union(*(forms(part) for part in value))
    if isinstance(value, bool) or value is None:
        return set()
    if isinstance(value, (int, float)):
        return {shape for number in (value, 100 * value) for shape in (f"{number:.3g}", f"{number:.3g}%", str(number))}
    return numbers(str(value))


@given(keep=st.lists(st.booleans(), min_size=21, max_size=21))
def test_every_number_on_a_suite_page_comes_from_the_record(keep: list[bool], tmp_path_factory: Any) -> None:
    """Whatever keys of a check are null, no number is on the page that is not in the record."""
    keys = [key for key in check() if key not in ("kind", "figure")]
    row = {
        key: value if kept else None for (key, value), kept in zip(((k, check()[k]) for k in keys), keep, strict=False)
    }
    entry = claim(checks=[{"kind": "attends", **row}])
    data = record(entry)
    text = markdown.suite_page(FILE, [entry], data["models"])
    body = re.sub(r'<a id="[^"]*"></a>', "", text.replace("&#124;", "|").replace("&#95;", "_"))
    body = re.sub("`[^`]*\u00a0[^`]*`", "", body)  # bars: the ends of their scales are round numbers, tested with them
    known = forms(data) | {"3"}  # "the token 3 places back" of n-3
    known |= {"2.5%"} if row["confidence"] else set()  # the error of each end, half of what 95% leaves
    assert numbers(body) <= known, numbers(body) - known
    if row["estimate"] is None:
        assert "not measured" in text.lower()


def test_null_is_never_shown_as_zero(tmp_path: Path) -> None:
    """A check of nothing but nulls, and an entry of nothing at all, show no 0."""
    bare = {"id": "bare", "file": FILE, "checks": [dict.fromkeys(check()), {}]}
    page = markdown.suite_page(FILE, [bare], {})
    assert "0" not in numbers(page)
    assert "None" not in page
    assert "nan" not in page
    front = pages(tmp_path, {"format": 1, "claims": {f"{FILE}::bare": bare, f"{FILE}::empty": {}}})["README.md"]
    assert "None" not in front
    assert pages(tmp_path / "none", {"format": 1})["README.md"].count("No claim has been tested yet.") == 1


def test_nan_in_a_record_that_was_not_cleaned_is_a_dash(tmp_path: Path) -> None:
    """Pages written straight from measurements show NaN as not measured."""
    page = pages(tmp_path, record(claim(checks=[check(estimate=math.nan, low=math.nan, high=math.inf)])))[PAGE]
    assert "nan" not in page
    assert "inf" not in numbers(page)
    assert "not measured" in page


def test_section_of_a_claim_holds_its_evidence(tmp_path: Path) -> None:
    """A reader finds scope, words, sentence, table, figure, prompts and YAML in a claim's section."""
    page = pages(tmp_path, record())[PAGE]
    for part in (
        "## three-back: SUPPORTED",
        "> 16.8 attends three back.",
        "Source: note N12.",
        "30 layers x 9 heads; digest `sha256:b179`",
        "In `QUERY -> KEY` the query token attends to the key token.",
        "0.618, 95% interval 0.584 to 0.642 (betting interval, guaranteed)",
        "| **SUPPORTED**<br>1: `attends: any -> n-3` | 0.618 [0.584, 0.642]<br>`0\u00a0······│─═●─────\u00a01`<br>at least 0.417 | 16.8 | "
        "lift 11.3 | 67<br>`numerals` |",
        "| 1<br>16.8 | 0.0553 | 13 of 270 |",
        "*Sampling*: 95% interval (betting interval, guaranteed); seed 29.",
        "- **Check 1** (16.8). Mean attention mass that head 16.8 puts, from every token (BOS aside), on the token 3 places back, averaged over the tokens that have such a key. "
        "Supported because the whole interval is at least 0.417; it would have been refuted had the whole corrected interval "
        "(97.5%, the error divided by 2) been below 0.417.",
        "Measure it again: `pytest hypotheses/smollm2/heads.yaml::three-back --circuit-no-cache --circuit-device=cpu "
        "--circuit-dtype=float32`.",
        "![Pattern of head 16.8](figures/abc.png)",
        "- Answer: `␣2`",
        "- Foil: `␣1`. The last member shown.",
        "- Corrupted partner: `Adam is 7. Bob is`. Members at random.",
        "length in tokens 8 (67 prompts)",
        "<details><summary>The claim as written</summary>\n\n```yaml\nthree-back:\n  head: '16.8'\n```",
    ):
        assert part in page, part


def test_known_negatives_invalid_and_vacuous_claims_say_what_they_are(tmp_path: Path) -> None:
    """The page says plainly what is known to be false, what the loader refused and what is vacuous."""
    page = pages(
        tmp_path,
        record(
            claim("false", expected="refuted", verdict="refuted"),
            claim("believed", expected="refuted", verdict="supported", met=False),
            claim(
                "typo",
                verdict=None,
                status="invalid",
                met=False,
                checks=[],
                faults=["x.yaml:3:5: unknown key `at_lest`\n  ```"],
            ),
            claim("empty-words", vacuous=True),
        ),
    )[PAGE]
    known = "**Known negative**: this claim is known to be false and is expected to be refuted."
    assert f"{known} It came out refuted, as expected." in page
    assert f"{known} It came out supported, **not as expected**." in page
    assert "## typo: INVALID" in page
    assert "````text\nx.yaml:3:5: unknown key `at_lest`\n  ```\n````" in page
    assert "## empty-words: SUPPORTED (VACUOUS)" in page
    assert "also holds under uniform attention" in page


def test_front_page_counts_and_links(tmp_path: Path) -> None:
    """The front page counts verdicts by expectation, groups what was skipped and links to sections that exist."""
    gone = {
        "status": "skipped",
        "verdict": "unmeasurable",
        "met": None,
        "file": "hypotheses/gpt2.yaml",
        "reason": "gpt2: no copy | cached",
    }
    data = record(
        claim("a"),
        claim("b", variant="adam,period=5", verdict="refuted", met=False),
        claim("c", **gone),
        claim("d", **gone),
    )
    found = pages(tmp_path, data)
    front = found["README.md"]
    assert "| SUPPORTED | 1 | 0 |" in front
    assert "| REFUTED | 1 | 1 |" in front
    assert "| SKIPPED | 2 | – |" in front
    assert "Run 3: 41 measured, 17 taken from the cache, 0 skipped and 0 invalid." in front
    assert "<summary>2 skipped: gpt2: no copy | cached</summary>" in front
    assert "- `hypotheses/gpt2.yaml`: [c](hypotheses--gpt2.md#c), [d](hypotheses--gpt2.md#d)" in front
    assert "| 3 | 2 | circuits 0.1.0, torch 2.13.0, transformer_lens 4.3.0 | float32 on cpu | deadbee |" in front
    links = re.findall(r"\]\(([^)#]+)#([^)]+)\)", front)
    assert len(links) == 5, "each claim once, and the refuted one among the refutations too"
    for page, anchor in links:
        assert found[page].count(f'<a id="{anchor}"></a>') == 1


def test_table_cells_survive_pipes_and_line_breaks(tmp_path: Path) -> None:
    """A claim with table markup in its words still makes one row with the table's number of cells."""
    front = pages(tmp_path, record(claim(claim="a | b\n\n| c `x` <b>d</b>", suite="s|t")))["README.md"]
    lines = [line for line in front.splitlines() if "16.8" in line]
    header = next(line for line in front.splitlines() if line.startswith("| verdict, claim | estimate"))
    cells = [len(re.findall(r"(?<!\\)\|", line)) for line in (header, lines[0])]
    assert len(lines) == 1
    assert cells[0] == cells[1]
    assert "<b>" not in front


def test_stale_pages_and_figures_go_and_foreign_files_stay(tmp_path: Path) -> None:
    """Pages and figures nothing refers to are removed; files this program does not own are not touched."""
    (tmp_path / "figures").mkdir()
    for name in (
        "figures/abc.png",
        "figures/old.png",
        "figures/notes.txt",
        "mine.md",
        "results.json",
        "picture.png",
    ):
        (tmp_path / name).write_text("mine")
    pages(tmp_path, record(claim(), claim("x", file="hypotheses/old.yaml")))
    assert (tmp_path / "hypotheses--old.md").exists()
    pages(tmp_path, record())
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {
        "README.md",
        PAGE,
        "figures/abc.png",
        "figures/notes.txt",
        "mine.md",
        "results.json",
        "picture.png",
    }
    assert (tmp_path / "mine.md").read_text() == "mine"


def test_foreign_page_is_never_overwritten(tmp_path: Path) -> None:
    """A README of someone else stops the report before anything is written."""
    (tmp_path / "README.md").write_text("# My project\n")
    with pytest.raises(
        CircuitsError, match=r"README.md: this file was not written by the report.*--circuit-report DIR"
    ):
        write_reports(tmp_path, record())
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    (tmp_path / "README.md").write_text("")
    assert pages(tmp_path, record())["README.md"].startswith(MARKER)


def test_page_names_are_plain_and_never_collide() -> None:
    """Ordinary paths give readable names; paths that would look alike get different ones."""
    assert page_name(FILE) == PAGE
    alike = ["a/b.yaml", "a--b.yaml", "a-/b.yaml", "a/-b.yaml", "A/b.yaml", "a/b.yml", "a b.yaml", "a_b.yaml", "ä.yaml", "readme.yaml", "a-b.yaml"]  # fmt: skip
    names = [page_name(file) for file in alike]
    assert len({name.lower() for name in names}) == len(alike)
    assert "readme.md" not in names
    assert all(re.fullmatch(r"[a-z0-9_.-]+\.md", name) for name in names)


@given(st.lists(st.text("aA-_/. ", min_size=1, max_size=6), min_size=2, max_size=8, unique=True))
def test_different_suites_have_different_pages(stems: list[str]) -> None:
    """No two paths share a page, on file systems that ignore case too."""
    assert len({page_name(f"{stem}.yaml").lower() for stem in stems}) == len(stems)
