"""circuits diff: what a change did to the claims, told from two records, folders or commits without measuring."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests_of_plugin import HEAD, environment, project, results, run_pytest

from circuits.cli import main
from circuits.diff.asked import OTHER, STRENGTHENED, WEAKENED, asked, changes
from circuits.diff.compare import BOTH, Difference, compare
from circuits.diff.show import MARKER, _safe, as_data, as_markdown, as_text, summary
from circuits.diff.side import Side, read_side
from circuits.items import knowledge
from circuits.report.record import empty_record

SUITE = f"""\
suite: Two
{HEAD}claims:
  yes: {{claim: It is., head: "0.0", prompts: numerals, attends: any -> n-1, at_least: 0.6}}
  no: {{claim: It is not., head: "0.1", prompts: numerals, attends: any -> n-1, at_least: 0.6, expect: refuted}}
"""


# -- texts of claims ------------------------------------------------------------------------------------


def of(body: str) -> Any:
    found = asked(f"  a:\n    claim: Words.\n    head: '1.5'\n    prompts: numerals\n{body}")
    assert found is not None
    return found


def one(check: str) -> Any:
    return of(f"    checks:\n      - {{{check}}}\n")


def directions(old: Any, new: Any, width: float | None = None) -> list[tuple[str, float | None]]:
    return [(change.direction, change.by) for change in changes(old, new, lambda *_: width)]


Q = "attends: any -> n-1"
BOUNDS = [
    ("at_least: 0.5", "at_least: 0.3", WEAKENED, 0.2),
    ("at_least: 50%", "at_least: 0.3", WEAKENED, 0.2),
    ("at_most: 0.1", "at_most: 0.3", WEAKENED, 0.2),
    ("between: [-10%, 10%]", "between: [-20%, 15%]", WEAKENED, 0.1),
    ("between: [-10%, 10%]", "between: [-5%, 15%]", OTHER, 0.05),
    ("at_least: 0.2", "between: [0.2, 0.4]", STRENGTHENED, None),
    ("at_least: 0.2", "at_most: 0.4", OTHER, None),
    ("top: 1", "top: 3", WEAKENED, 2.0),
    ("top: 1", "at_least: 0.3", OTHER, None),
    ("top: 1", "observe: true", WEAKENED, None),
    ("at_least: 0.2", "observe: true", WEAKENED, None),
    ("more_than: any -> n-2, by_at_least: 0.3", "more_than: any -> n-2", WEAKENED, 0.3),
]  # fmt: skip
OPPOSITE = {WEAKENED: STRENGTHENED, STRENGTHENED: WEAKENED, OTHER: OTHER, BOTH: BOTH}


@pytest.mark.parametrize(("old", "new", "direction", "by"), BOUNDS)
def test_a_moved_bound_is_weaker_or_stronger_by_so_much(old: str, new: str, direction: str, by: float | None) -> None:
    """Accepting more is weaker, whatever the kind of bound; the way back is as far the other way."""
    before, after = one(f"{Q}, {old}"), one(f"{Q}, {new}")
    expected = None if by is None else pytest.approx(by)
    assert directions(before, after) == [(direction, expected)]
    assert directions(after, before) == [(OPPOSITE[direction], expected)]
    assert directions(before, before) == []


def test_how_far_is_told_in_widths_of_the_interval() -> None:
    """0.2 of an interval 0.1 wide is two widths; without an interval there is no such number."""
    before, after = one(f"{Q}, at_least: 0.5"), one(f"{Q}, at_least: 0.3")
    (change,) = changes(before, after, lambda *_: 0.1)
    assert change.widths == pytest.approx(2.0)
    assert changes(before, after, lambda *_: None)[0].widths is None


@pytest.mark.parametrize(
    ("old", "new", "direction"),
    [
        ("heads: ['1.5', '1.6']", "heads: ['1.5']", WEAKENED),
        ("heads: {any: ['1.5', '1.6']}", "heads: {any: ['1.5']}", STRENGTHENED),
        ("heads: {any: ['1.5', '1.6']}", "heads: {any: all}", WEAKENED),
        ("heads: ['1.5']", "heads: {any: all}", WEAKENED),
        ("heads: ['1.5', '1.6']", "heads: ['1.5', '1.7']", OTHER),
        ("prompts: [numerals, months]", "prompts: [numerals]", WEAKENED),
        ("statistic: top1", "statistic: mass", OTHER),
        ("requires: {top1: 0.5}", "requires: {top1: 0.9}", OTHER),
    ],
)
def test_what_else_a_check_asks(old: str, new: str, direction: str) -> None:
    """Fewer heads or prompt sets that must hold are weaker, more of which one must hold too; the rest is neither."""
    before, after = one(f"{Q}, {old}, at_least: 0.3"), one(f"{Q}, {new}, at_least: 0.3")
    assert directions(before, after) == [(direction, None)]
    assert directions(after, before) == [(OPPOSITE[direction], None)]


def test_a_removed_check_is_weaker_and_a_shown_one_is_neither() -> None:
    """Checks are told apart by what they ask, not by their place."""
    both = of(f"    checks:\n      - {{{Q}, at_least: 0.3}}\n      - {{attends: any -> n-3, at_most: 0.1}}\n")
    turned = of(f"    checks:\n      - {{at_most: 0.1, attends: any -> n-3}}\n      - {{{Q}, at_least: 0.3}}\n")
    assert directions(both, turned) == []
    assert directions(both, one(f"{Q}, at_least: 0.3")) == [(WEAKENED, None)]
    assert directions(one(f"{Q}, at_least: 0.3"), both) == [(STRENGTHENED, None)]
    shown = of(f"    checks:\n      - {{{Q}, at_least: 0.3}}\n      - {{attends: any -> n-3, observe: true}}\n")
    assert directions(shown, one(f"{Q}, at_least: 0.3")) == [(OTHER, None)]


def test_another_number_has_no_weaker_bound() -> None:
    """A bound on the mass and one on the share of queries are not of one scale."""
    before, after = one(f"{Q}, at_least: 0.5"), one(f"{Q}, statistic: top1, at_least: 0.3")
    found = changes(before, after, lambda *_: 0.1)
    assert {change.direction for change in found} == {OTHER}
    assert [change.text for change in found] == ["statistic: not given -> top1", "at_least 0.5 -> at_least 0.3"]


def test_an_inline_check_and_an_interaction_are_read() -> None:
    """The forms of a bound that stand elsewhere; a head 6.10 stays 6.10; no YAML is no claim."""
    inline = asked("  a: {claim: W., head: 6.10, prompts: p, attends: any -> n-1, at_least: 20%}")
    assert inline is not None
    assert (inline.checks[0].heads, inline.checks[0].limit.accepts[0]) == (("6.10",), 0.2)
    how = 'ablate: "1.5", given_ablated: "1.6", drop_in: logit_diff'
    before, after = (one(f"{how}, interaction: {{at_least: {bound}}}") for bound in ("5%", "2%"))
    assert directions(before, after) == [(WEAKENED, pytest.approx(0.03))]
    for text in ("", "a", "  a: [", "  a: {claim: *b}", "  a: {claim: W.}", "  a: {attends: x, at_least: much}"):
        assert asked(text) is None


# -- two records ----------------------------------------------------------------------------------------


def claim(bound: float = 0.5, verdict: str = "supported", words: str = "It is.", **more: Any) -> dict[str, Any]:
    """An entry as a run makes it, with one check; its digest is its text."""
    yaml = f"  a: {{claim: \"{words}\", head: '1.5', prompts: p, attends: any -> n-1, at_least: {bound}}}"
    row = {
        "index": 1, "head": "1.5", "prompts": "p", "bound": f"at_least {bound}", "bound_low": bound, "estimate": 0.7, "low": 0.6,
        "high": 0.8, "confidence": 0.95, "n": 32, "seed": 0, "verdict": verdict,
    }  # fmt: skip
    return {
        "status": "measured", "verdict": verdict, "expected": "supported", "digest": f"sha256:{yaml}", "yaml": yaml,
        "model": "m", "run": "1", "checks": [row], "prompts": {}, "reason": None,
    } | more  # fmt: skip


def record(claims: dict[str, Any], code: str = "c", model: str = "sha256:m") -> dict[str, Any]:
    return empty_record() | {"claims": claims, "runs": {"1": {"code": code}}, "models": {"m": {"digest": model}}}


@pytest.fixture
def differ(tmp_path: Path) -> Callable[..., Difference]:
    """Compare two records as files."""

    def found(old: dict[str, Any], new: dict[str, Any]) -> Difference:
        for name, data in (("old.json", old), ("new.json", new)):
            (tmp_path / name).write_text(json.dumps(data))
        know = knowledge()
        return compare(read_side("old.json", tmp_path, know), read_side("new.json", tmp_path, know))

    return found


def test_flips_come_first_and_edits_carry_their_numbers(differ: Callable[..., Difference]) -> None:
    """One flip without an edit, one edit, one new and one gone claim, one with another expectation, in words."""
    old = {"f::a": claim(), "f::b": claim(), "f::c": claim(), "f::gone": claim(words="Gone."), "f::s": claim()}
    skipped = claim(status="skipped", verdict="unmeasurable", reason="no weights")
    skipped["checks"][0] |= {"estimate": None, "low": None, "high": None, "n": None, "verdict": None}
    flipped = claim(verdict="refuted")
    flipped["checks"][0] |= {"estimate": 0.2, "low": 0.1, "high": 0.3}
    turned = claim(digest="sha256:turned", expected="refuted")
    new = {"f::a": skipped, "f::b": claim(0.3), "f::c": flipped, "f::new": claim(words="New."), "f::s": turned}
    found = differ(record(old), record(new))
    assert found.matters
    assert [pair.node_id for pair in found.verdicts] == ["f::c", "f::a"]
    assert [(each.pair.node_id, each.direction) for each in found.edited] == [("f::b", WEAKENED), ("f::s", OTHER)]
    assert summary(found) == (
        "1 flipped, 1 with another verdict, 1 expected otherwise, 1 weakened, 1 asked otherwise, 1 added, 1 removed; "
        "0 claims as before."
    )
    text = as_text(found)
    assert (
        "Flipped verdicts (1)\n  f::c  SUPPORTED -> REFUTED\n"
        "      check 1 (1.5, p): 0.7 [0.6, 0.8] against at_least 0.5, n 32 -> 0.2 [0.1, 0.3] against at_least 0.5, n 32\n\n"
        "Another expectation (1)\n  f::s  expected: supported -> refuted\n      verdict: SUPPORTED\n\n"
        "Weakened: these ask less than before (1)\n  f::b\n"
        "      check 1: at_least 0.5 -> at_least 0.3: weakened by 0.2 (1 times the width of its interval)\n"
        "      verdict: SUPPORTED\n"
    ) in text
    assert "  f::a  SUPPORTED -> SKIPPED\n      now: no weights\n" in text
    assert "Added (1)\n  f::new  SUPPORTED\n" in text
    assert "Removed (1)\n  f::gone  SUPPORTED\n" in text


def test_a_known_negative_that_asks_more_passes_more_easily(differ: Callable[..., Difference]) -> None:
    """Strengthened, and said what that means for its test."""
    old, new = (claim(bound, "refuted", expected="refuted") for bound in (0.9, 0.95))
    text = as_text(differ(record({"f::a": old}), record({"f::a": new})))
    assert "strengthened by 0.05" in text
    assert "it is expected to be refuted, so its test passes more easily now" in text


def test_what_moved_under_the_same_verdict_is_said_and_does_not_count(differ: Callable[..., Difference]) -> None:
    """Another seed's numbers and other code are no difference that matters; the last digit is none at all."""
    moved, last = claim(), claim()
    moved["checks"][0] |= {"estimate": 0.72, "seed": 5}
    last["checks"][0]["estimate"] = 0.70001
    found = differ(record({"f::a": claim(), "f::b": claim()}), record({"f::a": moved, "f::b": last}, code="d"))
    assert ([pair.node_id for pair in found.moved], found.recoded, found.matters) == (["f::a"], 2, False)
    assert as_text(found).splitlines()[1] == "No difference that matters: 2 claims as before."
    assert "2 claims were measured by other code or libraries on the two sides" in as_text(found)


def test_other_weights_under_a_name_are_a_difference(differ: Callable[..., Difference]) -> None:
    """The same verdict of another model is not the same result."""
    found = differ(record({"f::a": claim()}), record({"f::a": claim()}, model="sha256:other"))
    assert found.matters
    assert "  m  sha256:m -> sha256:other" in as_text(found)


def test_a_claim_that_became_vacuous_is_told(differ: Callable[..., Difference]) -> None:
    """The verdict is the same, and says nothing any more."""
    found = differ(record({"f::a": claim()}), record({"f::a": claim(vacuous=True)}))
    assert found.matters
    assert "Another verdict (1)\n  f::a  SUPPORTED -> SUPPORTED (VACUOUS)" in as_text(found)
    assert as_data(found)["verdicts"][0]["vacuous"] == {"before": False, "after": True}


@pytest.mark.parametrize(("old", "new"), [(12345671, 12345672), (1, 10**12)])
def test_long_seeds_are_told_apart(differ: Callable[..., Difference], old: int, new: int) -> None:
    """All digits of a seed count, and a record that holds no number in its place is compared all the same."""

    def of_seed(seed: object, digest: str) -> dict[str, Any]:
        found = claim(digest=digest)
        found["checks"][0]["seed"] = seed
        return found

    found = differ(record({"f::a": of_seed(old, "sha256:1")}), record({"f::a": of_seed(new, "sha256:2")}))
    assert [change.text for change in found.edited[0].changes] == [f"sampling: seed: {old} -> {new}"]
    odd = differ(record({"f::a": of_seed(old, "sha256:1")}), record({"f::a": of_seed(["x"], "sha256:2")}))
    assert [change.text for change in odd.edited[0].changes] == [f'sampling: seed: {old} -> ["x"]']


def test_a_confidence_that_is_no_number_is_another_one(differ: Callable[..., Difference]) -> None:
    """It is neither more nor less."""
    odd = claim(digest="sha256:odd")
    odd["checks"][0]["confidence"] = "much"
    (edited,) = differ(record({"f::a": claim()}), record({"f::a": odd})).edited
    assert (edited.direction, edited.changes[0].text) == (OTHER, "sampling: confidence: 0.95 -> much")


def with_own(code: str, **more: Any) -> dict[str, Any]:
    return claim(own=[{"kind": "metric", "name": "mine", "code": f"sha256:{code}"}], **more)


def test_other_own_code_asks_otherwise(differ: Callable[..., Difference]) -> None:
    """The claim reads alike and its metric is another; digests by two versions of the program tell nothing."""
    old, new = record({"f::a": with_own("1" * 64)}), record({"f::a": with_own("2" * 64)})
    found = differ(old, new)
    (edited,) = found.edited
    assert (found.matters, edited.direction) == (True, OTHER)
    assert edited.changes[0].text == f"own code: metric mine: sha256:{'1' * 16} -> sha256:{'2' * 16}"
    assert not differ(old, old).matters
    assert not differ(old, record({"f::a": with_own("2" * 64)}, code="d")).matters


OWN_SUITE = SUITE + '  own: {claim: It is., head: "0.0", prompts: numerals, score: mine, at_least: 0.5}\n'


def test_own_code_that_was_edited_since_leaves_no_verdict(tmp_path: Path) -> None:
    """In the folder that the command runs in; what its report says of a commit's own code cannot be checked, and that is said."""
    folder = project(tmp_path, two=OWN_SUITE)
    conftest = (
        "from circuits.extensions import Score\n\n"
        "def pytest_circuits_extensions():\n"
        "    return [Score('mine', doc='Mine.', value=lambda attention, prompt: attention[:, -1, 0] * 0 + 0.9)]\n"
    )
    (folder / "conftest.py").write_text(conftest)
    assert run_pytest(folder).status == 0
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
    status, text = said(folder, "HEAD")
    assert (status, text.splitlines()[1]) == (0, "No difference that matters: 3 claims as before.")
    assert "): 1 claim was measured by code of the project's own; whether that was edited after the report" in text
    (folder / "conftest.py").write_text(conftest.replace("0.9", "0.8"))
    status, text = said(folder, "HEAD")
    assert status == 1
    assert "verdict: SUPPORTED (VACUOUS) -> NOT MEASURED" in text and "own code: score mine: sha256:" in text
    assert "the working tree: the project's own code that 1 claim uses was edited after the report was written" in text


def test_text_renders_as_written() -> None:
    """A number sign links no issue, wherever it stands, and a backslash of the user's is one."""
    assert [_safe(text) for text in ("# x", "a # b", "#1", r"\# x")] == [
        "&#35; x", "a &#35; b", "&#35;1", r"\\&#35; x",
    ]  # fmt: skip


def test_a_renamed_claim_is_neither_added_nor_removed(differ: Callable[..., Difference]) -> None:
    """The same meaning under another id."""
    found = differ(record({"f::a": claim(), "f::z": claim(0.2)}), record({"f::b": claim(), "f::z": claim(0.2)}))
    assert [(pair.old.node_id, pair.new.node_id) for pair in found.renamed] == [("f::a", "f::b")]
    assert (found.added, found.removed) == ((), ())


def test_prompts_and_model_that_changed_are_named(differ: Callable[..., Difference]) -> None:
    """What the text of the claim does not show is told from the facts of the record."""
    sets = [{"p": {"family": "named_sequence", "parameters": {"length": length}}} for length in (4, 3)]
    old, new = claim(prompts=sets[0]), claim(prompts=sets[1], digest="sha256:other", model="n")
    (edit,) = differ(record({"f::a": old}), record({"f::a": new})).edited
    assert (edit.direction, [change.text for change in edit.changes]) == (
        OTHER, ["model: m -> n", "prompts p: length: 4 -> 3"]
    )  # fmt: skip
    found = differ(record({"f::a": claim()}), record({"f::a": claim(digest="sha256:other")}))
    assert "something that its text does not show" in found.edited[0].changes[0].text


def test_a_digest_of_another_version_is_no_edit(differ: Callable[..., Difference]) -> None:
    """Where the claims read alike, digests made by other code prove nothing; it is said."""
    found = differ(record({"f::a": claim()}), record({"f::a": claim(digest="sha256:other")}, code="d"))
    assert (found.edited, found.alike, found.matters) == ((), 1, False)
    assert "1 claim was written alike on both sides" in as_text(found)


def test_more_confidence_asks_more(differ: Callable[..., Difference]) -> None:
    """The suite's confidence is part of what a claim asks."""
    new = claim(digest="sha256:other")
    new["checks"][0]["confidence"] = 0.99
    (edit,) = differ(record({"f::a": claim()}), record({"f::a": new})).edited
    assert edit.direction == STRENGTHENED
    assert edit.changes[0].text == "sampling: confidence: 0.95 -> 0.99"


def test_what_has_no_room_in_a_comment_is_counted(differ: Callable[..., Difference]) -> None:
    """Below the limit, whatever there is; each section says how many are left out; nobody is called by name."""
    old = {f"f::claim-{k}": claim(words=f"By @someone, #{k}.") for k in range(400)}
    new = {name: claim(0.3, words="Else.") for name in old} | {f"f::new-{k}": claim(0.1) for k in range(400)}
    found = differ(record(old), record(new))
    text = as_markdown(found)
    assert text.startswith(f"{MARKER}\n")
    assert 50_000 < len(text) < 65_000
    shown = text.count("- `f::claim-")
    assert "#### Weakened: these ask less than before (400)\n\n- `f::claim-0`" in text
    assert f"- and {400 - shown} more" in text
    assert "#### Added (400)" in text
    assert "@someone" not in text
    short = as_markdown(found, 2_000)
    assert len(short) < 2_000
    left = sum(int(count) for count in re.findall(r"^- and (\d+) more$", short, re.M))
    assert left + short.count("- `f::") == 800


# -- properties -----------------------------------------------------------------------------------------

SIDES = st.dictionaries(
    st.sampled_from([f"f::{name}" for name in "abcde"]),
    st.builds(
        claim,
        st.sampled_from([0.1, 0.2, 0.3, 0.5]),
        st.sampled_from(["supported", "refuted", "inconclusive"]),
        st.sampled_from(["It is.", "It may be."]),
        expected=st.sampled_from(["supported", "refuted"]),
        model=st.sampled_from(["m", "n"]),
    ),
)


def side(claims: dict[str, Any], folder: Path, *, backwards: bool = False) -> Side:
    entries = {
        name: {**copy.deepcopy(entry), "digest": f"sha256:{entry['yaml']}{entry['expected']}{entry['model']}"}
        for name, entry in claims.items()
    }
    data = record(dict(reversed(entries.items())) if backwards else entries)
    (folder / "results.json").write_text(json.dumps(data))
    return read_side("results.json", folder, KNOW)


KNOW = knowledge()


@settings(max_examples=60, deadline=None)
@given(old=SIDES, new=SIDES)
def test_a_difference_is_its_mirror_image(
    tmp_path_factory: pytest.TempPathFactory, old: dict[str, Any], new: dict[str, Any]
) -> None:
    """Turned round, what was added is removed and what was weakened strengthened; a side differs in nothing from itself."""
    folder = tmp_path_factory.mktemp("sides")
    one, two = side(old, folder), side(new, folder)
    there, back = compare(one, two), compare(two, one)
    assert not compare(one, one).matters
    assert as_text(compare(one, one)).splitlines()[1].startswith("No difference that matters")
    assert [state.node_id for state in there.added] == [state.node_id for state in back.removed]
    assert [state.node_id for state in there.removed] == [state.node_id for state in back.added]
    assert {(p.old.node_id, p.new.node_id) for p in there.renamed} == {
        (p.new.node_id, p.old.node_id) for p in back.renamed
    }
    assert {(e.pair.old.node_id, OPPOSITE[e.direction]) for e in there.edited} == {
        (e.pair.new.node_id, e.direction) for e in back.edited
    }
    assert {p.old.node_id for p in there.verdicts} == {p.new.node_id for p in back.verdicts}
    assert {p.old.node_id for p in there.turned} == {p.new.node_id for p in back.turned}
    assert there.matters == back.matters
    assert there.same == back.same


@settings(max_examples=40, deadline=None)
@given(old=SIDES, new=SIDES)
def test_the_order_of_claims_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, old: dict[str, Any], new: dict[str, Any]
) -> None:
    """The same data, text and Markdown, in whatever order the records hold the claims."""
    folder = tmp_path_factory.mktemp("sides")
    there = compare(side(old, folder), side(new, folder))
    turned = compare(side(old, folder, backwards=True), side(new, folder, backwards=True))
    assert as_data(there) == as_data(turned)
    assert as_text(there) == as_text(turned)
    assert as_markdown(there) == as_markdown(turned)
    assert json.loads(json.dumps(as_data(there), allow_nan=False)) == as_data(there)


# -- the command, on a real project ---------------------------------------------------------------------


def git(folder: Path, *arguments: str) -> None:
    name = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", *name, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that was run and committed, whose claim was then weakened and run again."""
    folder = project(tmp_path_factory.mktemp("measured"), two=SUITE)
    (folder / ".gitignore").write_text("kept\nhf\n.pytest_cache\n__pycache__\n")
    assert run_pytest(folder).status == 0
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
    (folder / "hypotheses" / "two.yaml").write_text(SUITE.replace("at_least: 0.6}", "at_least: 0.5}"))
    run_pytest(folder)
    return folder


def said(folder: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "circuits.cli", "diff", *arguments], cwd=folder, env=environment(folder),
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_a_commit_against_the_working_tree(measured: Path) -> None:
    """By default: what was edited and measured since. The record alone says the same."""
    status, text = said(measured, "HEAD")
    assert status == 1
    assert text.splitlines()[0].startswith("HEAD (")
    assert text.splitlines()[0].endswith(") -> the working tree")
    assert text.splitlines()[1] == "1 weakened; 1 claim as before."
    row = results(measured)["claims"]["hypotheses/two.yaml::yes"]["checks"][0]
    assert "  hypotheses/two.yaml::yes\n      check 1: at_least 0.6 -> at_least 0.5: weakened by 0.1 (" in text
    assert "      verdict: SUPPORTED\n" in text
    assert f"n {row['n']}" in text
    assert said(measured, "HEAD:reports", "reports")[1].splitlines()[1] == "1 weakened; 1 claim as before."
    status, text = said(measured, "HEAD", "HEAD")
    assert (status, text.splitlines()[1]) == (0, "No difference that matters: 2 claims as before.")


def test_the_data_has_the_documented_keys(measured: Path) -> None:
    """docs/diff.md names every key at the top and of each list; bounds moved by 0.1."""
    data = json.loads(said(measured, "HEAD", ".", "--json")[1])
    documented = (Path(__file__).parent.parent / "docs" / "diff.md").read_text()
    assert all(f"`{key}`" in documented for key in data)
    (changed,) = data["changed"]
    assert (changed["id"], changed["direction"]) == ("hypotheses/two.yaml::yes", "weakened")
    assert changed["changes"][0]["by"] == pytest.approx(0.1)
    assert all(f"`{key}`" in documented for key in (*changed, *changed["changes"][0], *changed["rows"][0]["after"]))
    assert changed["rows"][0]["before"]["bound"] == "at_least 0.6"


def test_an_edit_that_was_not_measured_has_no_verdict(measured: Path, tmp_path: Path) -> None:
    """The report's answer to an earlier wording is not taken for one; layout alone is no edit."""
    copied = tmp_path / "copy"
    subprocess.run(["git", "clone", "-q", str(measured), str(copied)], check=True)
    suite = copied / "hypotheses" / "two.yaml"
    suite.write_text("# another layout\n" + SUITE.replace("{claim", "{  claim"))
    assert said(copied, "HEAD")[0] == 0
    suite.write_text(SUITE.replace("at_least: 0.6}", "at_least: 0.7}").replace("length: 4", "length: 3"))
    status, text = said(copied, "HEAD", ".")
    assert status == 1
    assert "strengthened by 0.1" in text
    assert "prompts numerals: length: 4 -> 3" in text
    assert "verdict: SUPPORTED -> NOT MEASURED" in text
    assert "the working tree: 2 claims were edited after the report was written; their verdicts are not known" in text
    git(copied, "rm", "-rq", "--cached", "reports")
    git(copied, "commit", "-qm", "no report")
    assert "no report was committed there, so nothing is known of verdicts" in said(copied, "HEAD", "HEAD~1")[1]


def test_a_family_that_only_the_run_knows_makes_no_claim_invalid(measured: Path, tmp_path: Path) -> None:
    """What the run could read and the command cannot is told by its text; a fault that the run saw stays one."""
    copied = tmp_path / "copy"
    subprocess.run(["git", "clone", "-q", str(measured), str(copied)], check=True)
    suite = copied / "hypotheses" / "two.yaml"
    own = SUITE.replace("family: named_sequence", "family: my_own")
    record = json.loads((copied / "reports" / "results.json").read_text())
    for text, verdict in ((own, "SUPPORTED"), (own.replace("at_least: 0.6}", "at_least: 0.5}"), "NOT MEASURED")):
        suite.write_text(text)
        side = read_side(str(copied), tmp_path, knowledge())
        assert side.claims["hypotheses/two.yaml::yes"].verdict.upper() == verdict
    record["claims"]["hypotheses/two.yaml::yes"] |= {"status": "invalid", "verdict": None}
    (copied / "reports" / "results.json").write_text(json.dumps(record))
    suite.write_text(own)
    assert read_side(str(copied), tmp_path, knowledge()).claims["hypotheses/two.yaml::yes"].verdict == "invalid"


def test_what_is_nothing_is_a_usage_error(measured: Path, tmp_path: Path) -> None:
    """Each with the reason: neither file nor commit, an empty folder, a path that is not at the commit, no record."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.json").write_text("[]")
    for arguments, words in (
        (("nowhere",), "'nowhere' is no file, no folder and no commit: there is no commit 'nowhere'"),
        ((str(tmp_path / "empty"),), "there is neither results.json nor reports/results.json"),
        (("HEAD:elsewhere/results.json",), "there is no elsewhere/results.json at HEAD ("),
        ((str(tmp_path / "bad.json"),), "this is no record of this program"),
        ((), "the following arguments are required: OLD"),
    ):
        status, text = said(measured, *arguments)
        assert (status, words in text) == (2, True), text


def test_neither_torch_nor_numpy_is_imported(measured: Path) -> None:
    """It reads texts, and is quick."""
    code = (
        "import sys; from circuits.cli import main; main(['diff', 'HEAD']); "
        "print('HEAVY', sorted({'torch', 'numpy', 'scipy', 'transformers', 'pandas', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=measured,
        env=environment(measured),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "HEAVY []" in done.stdout


def test_the_help_says_what_the_status_means(capsys: pytest.CaptureFixture[str]) -> None:
    """All three of them."""
    with pytest.raises(SystemExit):
        main(["diff", "--help"])
    text = capsys.readouterr().out
    assert all(f"\n  {status}  " in text for status in (0, 1, 2))
