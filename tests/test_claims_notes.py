"""What an author wrote at the head of a suite stands on its page, and decides nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests_of_plugin import GOOD, project, results

from circuits.claims.notes import MOST, head_notes
from circuits.items import items_of, knowledge, load
from circuits.meaning import meaning

MODELINE = "# yaml-language-server: $schema=suite.schema.json"


@pytest.mark.parametrize(
    ("lines", "notes"),
    [
        ([], None),
        (["suite: S", "# not at the head"], None),
        ([MODELINE, "suite: S"], None),
        ([MODELINE, "# Bounds from seed 1,", "#   tested on seed 0.", "suite: S", "# more"], "Bounds from seed 1, tested on seed 0."),
        (["", "%YAML 1.2", "---", "# One.", "", "# Two.", "model: m"], "One. Two."),
        (["#!Not #hidden", "# vi: ts=2", "# -*- yaml -*-"], "!Not #hidden"),
        (["#", "##", "suite: S"], None),
        (["# One,", "# still.", "#", "##", "# Two.", "#", "suite: S"], "One, still.\n\nTwo."),
    ],
)  # fmt: skip
def test_the_comment_at_the_head_in_paragraphs(lines: list[str], notes: str | None) -> None:
    assert head_notes(lines) == notes


@given(st.lists(st.text(alphabet="# ab-\t%", max_size=12)))
def test_what_stands_below_the_first_content_is_no_note(lines: list[str]) -> None:
    assert head_notes([*lines, "suite: S", "# below"]) == head_notes(lines + ["suite: S"])


def test_long_notes_end_with_a_whole_word() -> None:
    text = head_notes(["# word" * 1] * 600)
    assert text is not None
    assert len(text) <= MOST + 4
    assert text.endswith("word ...")


def test_notes_are_no_part_of_what_a_claim_asks(tmp_path: Path) -> None:
    """Another comment is the same question, so it is not measured again."""
    found = []
    for notes in ("", "# The bound is from seed 1.\n"):
        path = tmp_path / "s.yaml"
        path.write_text(notes + GOOD)
        found.append(items_of(load(path, knowledge(), "s.yaml"), tmp_path)[0])
    assert [item.suite.notes for item in found] == [None, "The bound is from seed 1."]
    assert meaning(found[0]) == meaning(found[1])


@pytest.mark.usefixtures("warm")
def test_the_page_shows_the_notes_of_its_suite(pytester: pytest.Pytester) -> None:
    """Also where the claim was answered before with other notes; a changed comment changes no verdict."""
    folder = project(pytester.path, good=f"{MODELINE}\n# The bound is <from> seed 1.\n{GOOD}")
    pytester.runpytest_inprocess("hypotheses", "--circuit-html")
    page = folder / "reports" / "hypotheses--good.md"
    shown = "**The author's notes**, from the head of the suite: The bound is &lt;from> seed 1."
    assert shown in page.read_text().replace("&gt;", ">").replace(r"\<", "&lt;")
    assert "seed 1" in (folder / "reports" / "report.html").read_text()
    suite = folder / "hypotheses" / "good.yaml"
    suite.write_text(suite.read_text().replace("seed 1", "seed 2"))
    pytester.runpytest_inprocess("hypotheses")
    assert "seed 2" in page.read_text()
    entry = results(folder)["claims"]["hypotheses/good.yaml::yes"]
    assert (entry["verdict"], entry["notes"]) == ("supported", "The bound is <from> seed 2.")
