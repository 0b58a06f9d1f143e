"""The suites and the examples that the project ships load, and say what they are meant to say."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from circuits.claims.claim import Claim, Suite
from circuits.evaluate import Evaluator, Options, items_of, knowledge, load
from circuits.models.reference import HEADS, MLPS
from circuits.prompts.registry import FAMILIES

ROOT = Path(__file__).resolve().parent.parent
SUITES = sorted((ROOT / "hypotheses").rglob("*.yaml"))


def suite(path: Path) -> Suite:
    return load(path, knowledge(), path.relative_to(ROOT).as_posix())


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_shipped_suite_is_without_faults(path: Path) -> None:
    """No fault outside claims that expect to be refused, and every such claim is refused."""
    loaded = suite(path)
    assert not loaded.faults
    for claim in loaded.claims:
        assert bool(claim.faults) == (claim.expect.kind == "invalid"), [fault.render() for fault in claim.faults]
        assert claim.words != claim.id, f"{claim.id} says nothing in words"


def claims_of(folder: str) -> list[Claim]:
    return [claim for path in SUITES if path.parent.name == folder for claim in suite(path).claims]


def test_smollm2_has_enough_claims_over_all_families() -> None:
    """At least 60 claims about real heads, over every family, at least 15 of them known negatives."""
    claims = claims_of("smollm2")
    families = Counter(s.family for claim in claims for s in claim.variants)
    assert len(claims) >= 60
    assert sum(claim.expect.kind == "refuted" for claim in claims) >= 15
    assert set(families) == set(FAMILIES)


@pytest.mark.parametrize("folder", ["gpt2", "smollm2"])
def test_every_row_of_the_notes_is_asked(folder: str) -> None:
    """N1 to N18 each have at least one claim about either model."""
    rows = {str(claim.source["note"]) for claim in claims_of(folder) if claim.source and "note" in claim.source}
    assert rows == {f"N{row}" for row in range(1, 19)}


def test_the_gpt2_suite_names_the_note_of_every_claim() -> None:
    """Each claim of the notes carries its row (N1 to N18)."""
    for claim in claims_of("gpt2"):
        assert claim.source is not None
        assert re.fullmatch(r"N\d+", str(claim.source["note"]))


def test_the_reference_suites_use_every_construct() -> None:
    """Every key of the claim language that is supported stands somewhere in hypotheses/reference/."""
    from circuits.claims import bounds
    from circuits.claims.keys import CHECK_KEYS, EFFECTS, METHODS, SCORES, STATISTICS

    text = "\n".join(path.read_text() for path in SUITES if path.parent.name == "reference")
    words = set(re.findall(r"[\w-]+", text))
    needed = {*CHECK_KEYS, *EFFECTS, *METHODS, *SCORES, *STATISTICS, *bounds.METRICS, "top1", "top5"}
    needed |= {
        "earlier",
        "previous",
        "same",
        "not",
        "duplicate",
        "induction",
        "self",
        "bos",
        "first",
        "end",
        "any",
        "early",
        "late",
    }
    assert not needed - words - {"reported", "mass"}


def test_node_ids_of_variants() -> None:
    """A list of prompt sets and a sweep make one test each, named by set and swept value."""
    path = ROOT / "hypotheses" / "smollm2" / "number_sequences.yaml"
    ids = [item.node_id for item in items_of(suite(path), path.parent)]
    name = path.relative_to(ROOT).as_posix()
    assert f"{name}::head-14.3-number-to-number[numerals]" in ids
    assert f"{name}::head-14.3-number-to-number[done_in]" in ids
    assert len(ids) == len(set(ids))
    sweep = ROOT / "hypotheses" / "smollm2" / "periods.yaml"
    ids = [item.node_id for item in items_of(suite(sweep), sweep.parent)]
    assert f"{sweep.relative_to(ROOT).as_posix()}::head-17.5-follows-the-period[longer_items,period=7]" in ids


def test_the_lesson_says_what_its_suite_shows(tmp_path: Path) -> None:
    """On the model of which the answer is known, the page's claims are supported for every period."""
    block = re.findall(r"```yaml\n(suite: .*?)```", (ROOT / "docs" / "offset_or_induction.md").read_text(), re.S)[0]
    path = tmp_path / "lesson.yaml"
    path.write_text(block)
    lesson = load(path, knowledge())
    verdicts = [Evaluator(Options()).evaluate(item).entry["verdict"] for item in items_of(lesson, tmp_path)]
    assert verdicts == ["supported"] * 6


@pytest.mark.parametrize("name", ["circuits", "constructs"])
def test_the_reference_suites_tell_what_the_heads_do_by_construction(name: str) -> None:
    """On their page, for a reader who has nothing but the page: in the very words of the model."""
    path = ROOT / "hypotheses" / "reference" / f"{name}.yaml"
    notes = suite(path).notes
    assert notes is not None
    for head, does in {**HEADS, **MLPS}.items():
        assert re.search(rf"{re.escape(head)}[,:] {re.escape(does)}\.", notes), head


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_a_suite_tells_what_the_notes_ask_that_it_names(path: Path) -> None:
    """Each row of the notes that is the source of a claim is told in the comment at the head, which stands on the page."""
    loaded = suite(path)
    named = {str(claim.source["note"]) for claim in loaded.claims if claim.source and "note" in claim.source}
    for note in named:
        assert f" {note}: " in str(loaded.notes), note
