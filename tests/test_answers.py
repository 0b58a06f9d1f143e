"""Answers kept between runs: what makes them others, what does not, and that a damaged one is never believed."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests_of_plugin import HEAD, SMALL, project, results, run_pytest

from circuits.answers import Answers
from circuits.items import Item, Options, Outcome, items_of, knowledge, load
from circuits.meaning import meaning
from circuits.report.record import body_of
from circuits.store import digest_of, read_kept, read_texts, write_kept, write_texts

SUITE = """\
suite: One
model: reference
sampling: {min: 4, max: 12}
prompts:
  numerals: {family: named_sequence, members: numerals, length: 4}
claims:
  first: {claim: "It is.", head: "0.0", prompts: numerals, attends: any -> n-1, at_least: 60%}
  second: {claim: "It too.", prompts: numerals, ablate: ["1.2", "2.1"], drop_in: logit_diff, at_least: 0.1}
"""
# The same in another layout: comments, quotes, order of keys, block style, spaces in the selector.
LAYOUT = """\
# a comment
claims:
  first:
    at_least: 60%
    attends: any  ->  n-1
    prompts: numerals
    head: "0.0"
    claim: It is.

  second: {at_least: 0.1, drop_in: logit_diff, ablate: ["1.2", "2.1"], prompts: numerals, claim: It too.}
prompts: {numerals: {length: 4, members: numerals, family: named_sequence}}
sampling: {max: 12, min: 4}
model: reference
suite: One
"""


def items(tmp_path: Path, text: str, name: str = "one.yaml") -> dict[str, Item]:
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    suite = load(tmp_path / name, knowledge(), name)
    assert not suite.all_faults
    return {item.claim.id: item for item in items_of(suite, tmp_path)}


def test_layout_is_no_meaning(tmp_path: Path) -> None:
    """Comments, quotes and the order of keys change no claim's meaning; neither does another name of the file."""
    one, other = items(tmp_path, SUITE), items(tmp_path, LAYOUT, "other.yaml")
    assert {name: meaning(item) for name, item in one.items()} == {name: meaning(item) for name, item in other.items()}
    assert meaning(one["first"]) != meaning(one["second"])


@pytest.mark.parametrize(
    ("old", "new", "who"),
    [
        ("at_least: 60%", "at_least: 61%", {"first"}),
        ("at_least: 60%", "at_most: 60%", {"first"}),
        ("any -> n-1", "any -> n-2", {"first"}),
        ("any -> n-1", "member -> n-1", {"first"}),
        ('head: "0.0"', 'head: "0.1"', {"first"}),
        ("It is.", "It is so.", {"first"}),
        ('["1.2", "2.1"]', '["1.2"]', {"second"}),
        ("drop_in: logit_diff", "drop_in: logit_diff, method: zero", {"second"}),
        ("drop_in: logit_diff", "change_in: answer_prob", {"second"}),
        ("length: 4", "length: 5", {"first", "second"}),
        ("members: numerals", "members: months", {"first", "second"}),
        ("family: named_sequence", "bos: false, family: named_sequence", {"first", "second"}),
        ("max: 12", "max: 13", {"first", "second"}),
        ("max: 12", "max: 12, seed: 3", {"first", "second"}),
        ("max: 12", "max: 12, confidence: 0.9", {"first", "second"}),
        ("model: reference", "model: smollm2-135m", {"first", "second"}),
        ("at_least: 0.1}", "at_least: 0.1, expect: refuted}", {"second"}),
    ],
)
def test_what_is_asked_is_the_meaning(tmp_path: Path, old: str, new: str, who: set[str]) -> None:
    """Each edit changes the meaning of the claims that it is about, and of no other."""
    assert old in SUITE
    before, after = items(tmp_path, SUITE), items(tmp_path, SUITE.replace(old, new), "new.yaml")
    assert {name for name in before if meaning(before[name]) != meaning(after[name])} == who


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(), st.lists(st.one_of(st.none(), st.booleans(), st.integers(), st.text()))))
def test_what_is_kept_comes_back_and_damage_is_seen(
    tmp_path_factory: pytest.TempPathFactory, data: dict[str, object]
) -> None:
    """Plain data survives the file; any flipped byte makes the file count as absent."""
    path = tmp_path_factory.mktemp("kept") / "a.json"
    write_kept(path, data)
    if any("\ud800" <= letter <= "\udfff" for letter in json.dumps(data, ensure_ascii=False)):
        return  # a lone surrogate has no file form, so nothing was written
    assert read_kept(path) == data
    whole = path.read_bytes()
    for place in {0, len(whole) // 2, len(whole) - 1}:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert read_kept(path) == {}


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text("abc0", min_size=1), st.text(st.characters(exclude_characters="\n\r", codec="utf-8"))))
def test_texts_that_are_kept_come_back_and_damage_is_seen(
    tmp_path_factory: pytest.TempPathFactory, texts: dict[str, str]
) -> None:
    """As above, of the answers of a suite: a line each."""
    path = tmp_path_factory.mktemp("kept") / "a.txt"
    write_texts(path, texts)
    assert read_texts(path) == texts
    whole = path.read_bytes()
    for place in {0, len(whole) // 2, len(whole) - 1}:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert read_texts(path) == {}
    path.unlink()
    assert read_texts(path) == {}


def test_answers_to_other_questions_are_not_even_read(tmp_path: Path) -> None:
    """Of those for other options and earlier bounds only the key is looked at: an entry that is no JSON does no harm."""
    item = items(tmp_path, SUITE)["first"]
    found = answers(tmp_path)
    key = found.key(item)
    assert key is not None
    found.keep({"x": (key, entry(item))})
    (file,) = (tmp_path / "kept").glob("*.txt")
    write_texts(file, {"other": "no JSON", **read_texts(file)})
    assert kept(tmp_path, item, answers(tmp_path)) is not None


def entry(item: Item) -> dict[str, object]:
    row = {"index": 1, "line": 1, "estimate": 0.5, "figure": None}
    return {
        "file": item.suite.path, "line": 1, "status": "measured", "met": True, "cached": False, "checks": [row],
        "profiles": [], "claim": item.claim.words,
    }  # fmt: skip


def answers(tmp_path: Path, **options: object) -> Answers:
    return Answers(tmp_path / "kept", Options(**options), tmp_path, None, knowledge().own)  # type: ignore[arg-type]


def kept(tmp_path: Path, item: Item, found: Answers) -> Outcome | None:
    return found.get(item)[0]


def test_an_answer_is_found_by_all_that_it_depends_on(tmp_path: Path) -> None:
    """The same claim under other options, in another place or with another bound has another answer; a moved line has not."""
    item = items(tmp_path, SUITE)["first"]
    first = answers(tmp_path)
    key = first.key(item)
    assert key is not None
    first.keep({"x": (key, entry(item))})
    again = kept(tmp_path, item, answers(tmp_path))
    assert again is not None
    assert (again.entry["status"], again.entry["cached"], again.met) == ("cached", True, True)
    assert again.entry["line"] == item.claim.where.line
    moved = items(tmp_path, "# one more line\n" + SUITE)["first"]
    other = kept(tmp_path, moved, answers(tmp_path))
    assert other is not None
    assert (again.entry["notes"], other.entry["notes"]) == (None, "one more line")
    assert other.entry["line"] == other.entry["checks"][0]["line"] == item.claim.where.line + 1
    assert again.body == body_of(again.entry) and other.body == body_of(other.entry), "the text is that of the entry"
    first.keep({"x": (key, again.entry)})
    placed = kept(tmp_path, item, answers(tmp_path))
    assert placed is not None
    assert placed.body == body_of(placed.entry), "also where nothing moved"
    for options in (
        {"seed": 3},
        {"n": 8},
        {"dtype": "float64"},
        {"strict": True},
        {"permuted": 2},
        {"random": 2},
        {"robust": True},
    ):
        assert kept(tmp_path, item, answers(tmp_path, **options)) is None, options
    for options in ({"threads": 1}, {"since": 3.0}):
        assert kept(tmp_path, item, answers(tmp_path, **options)) is not None, options
    assert kept(tmp_path, item, answers(tmp_path, no_cache=True)) is None
    assert kept(tmp_path, items(tmp_path, SUITE.replace("60%", "61%"))["first"], answers(tmp_path)) is None


def test_the_code_is_part_of_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version of any file of the package answers anew."""
    item = items(tmp_path, SUITE)["first"]
    before = answers(tmp_path).key(item)
    monkeypatch.setattr("circuits.answers.package_digest", lambda: "another")
    assert answers(tmp_path).key(item) != before


def test_an_answer_without_its_figure_is_none(tmp_path: Path) -> None:
    """A figure is part of the answer: where the file is missing, the claim is answered anew."""
    item = items(tmp_path, SUITE)["first"]
    report = tmp_path / "reports"
    found = Answers(tmp_path / "kept", Options(), tmp_path, report, knowledge().own)
    key = found.key(item)
    assert key is not None
    row = {"index": 1, "line": 1, "figure": {"path": "figures/a.png", "alt": "a"}}
    found.keep({"x": (key, {**entry(item), "checks": [row]})})
    assert found.get(item)[0] is None
    (report / "figures").mkdir(parents=True)
    (report / "figures" / "a.png").write_bytes(b"png")
    assert found.get(item)[0] is not None


def test_skipped_and_invalid_claims_are_not_kept(tmp_path: Path) -> None:
    """What could not be measured is looked at again."""
    item = items(tmp_path, SUITE)["first"]
    for status, met in (("skipped", None), ("invalid", False), ("error", False)):
        found = answers(tmp_path)
        key = found.key(item)
        assert key is not None
        found.keep({"x": (key, {**entry(item), "status": status, "met": met})})
        assert kept(tmp_path, item, answers(tmp_path)) is None


def test_old_answers_go(tmp_path: Path) -> None:
    """A suite's file holds a few times as many answers as it has claims, the newest."""
    item = items(tmp_path, SUITE)["first"]
    for number in range(300):
        answers(tmp_path).keep({"x": (f"key{number}", entry(item))})
    (file,) = (tmp_path / "kept").glob("*.txt")
    assert list(read_texts(file)) == [f"key{number}" for number in range(300 - 128, 300)]


def test_a_second_run_imports_neither_numpy_nor_torch(tmp_path: Path) -> None:
    """An unchanged suite is answered from what was kept, and the pages stay as they are."""
    folder = project(tmp_path, small=SMALL)
    (folder / "conftest.py").write_text(
        "import sys\ndef pytest_unconfigure():\n"
        "    print('HEAVY', sorted({'torch', 'transformers', 'transformer_lens', 'scipy', 'circuits.evaluate'} & set(sys.modules)))\n"
    )
    first = run_pytest(folder)
    assert "circuits.evaluate" in first.out
    pages = {path.name: path.read_bytes() for path in (folder / "reports").glob("hypo*.md")}
    second = run_pytest(folder)
    assert second.status == first.status == 1
    assert "HEAVY []" in second.out
    assert {path.name: path.read_bytes() for path in (folder / "reports").glob("hypo*.md")} == pages
    before, after = first.results["claims"], second.results["claims"]
    assert {name: each["status"] for name, each in after.items()} == dict.fromkeys(before, "cached")
    same = ("verdict", "checks", "met", "reason", "prompts", "digest", "run")
    assert [[each[key] for key in same] for each in after.values()] == [[e[k] for k in same] for e in before.values()]
    assert second.out.split("= claims =")[1].count("cached") >= 2


def test_an_edited_bound_is_decided_anew_from_values(tmp_path: Path) -> None:
    """The other claim stays answered, the edited one is judged again without a measurement."""
    folder = project(tmp_path, small=SMALL)
    run_pytest(folder)
    project(tmp_path, small=SMALL.replace("at_least: 0.6}\n  no", "at_least: 0.55}\n  no"))
    (folder / "conftest.py").write_text(
        "import sys\ndef pytest_unconfigure():\n    print('TORCH', 'torch' in sys.modules)\n"
    )
    second = run_pytest(folder)
    entries = second.results["claims"]
    assert {each["status"] for each in entries.values()} == {"cached"}
    assert entries["hypotheses/small.yaml::yes"]["checks"][0]["bound"] == "at_least 0.55"
    assert "TORCH False" in second.out


def test_damaged_answers_are_measured_again(tmp_path: Path) -> None:
    """A changed verdict in the file, or in a value, is found by its checksum."""
    folder = project(tmp_path, small=SMALL)
    run_pytest(folder)
    for file in (folder / "kept" / "answers").glob("*.json"):
        file.write_text(file.read_text().replace('"verdict":"refuted"', '"verdict":"supported"'))
    for file in (folder / "kept" / "values").rglob("*.npz"):
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 0xFF
        file.write_bytes(data)
    second = run_pytest(folder)
    verdicts = {name.split("::")[1]: each["verdict"] for name, each in second.results["claims"].items()}
    assert verdicts == {"yes": "supported", "no": "refuted"}


def test_families_of_the_project_are_part_of_the_key(tmp_path: Path) -> None:
    """A claim on a project's own family has another key than one on the package's; see test_extensions.py for edits."""
    item = items(tmp_path, SUITE)["first"]
    plain = answers(tmp_path).key(item)
    other = answers(tmp_path)
    families = dict(other.own.families)
    families["named_sequence"] = replace(families["named_sequence"], pairs=lambda *given: iter(()))
    other.own = replace(other.own, families=families)
    assert other.key(item) != plain
    assert digest_of(["é", 1]) == digest_of(["é", 1]) != digest_of(["e", 1])


def test_a_cache_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    """The run goes on without one."""
    folder = project(
        tmp_path,
        one=f"suite: S\n{HEAD}claims: {{a: {{claim: A., head: '0.0', prompts: numerals, attends: any -> n-1, at_least: 0.5}}}}\n",
    )
    (folder / "kept").write_text("in the way")
    found = run_pytest(folder)
    assert found.status == 0
    assert "nothing is cached:" in found.out
    assert results(folder)["claims"]
    assert os.path.isfile(folder / "kept")
