"""The ledger: every version of a claim that was decided, appended to and never rewritten, and what it tells of edits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests_of_plugin import GOOD, HEAD, SMALL, TRUE, project, results, run_pytest

from circuits.report.ledger import (
    NAME,
    Ledger,
    append,
    history,
    history_of,
    history_text,
    lines_of,
    read_ledger,
)
from circuits.report.markdown import write_reports

ID = "hypotheses/good.yaml::yes"


def line(question: str = "q1", **more: Any) -> dict[str, Any]:
    """A line of the claim ``ID``."""
    return {
        "time": "2026-01-01T00:00:00+00:00", "id": ID, "claim": question, "question": question, "bounds": ["at_least 0.5"],
        "seed": 0, "n": 64, "verdict": "refuted", "expected": "supported", "rows": [[0.4, 0.3, 0.45]], "code": "c",
        "model": "m", "prompts": "p", "git": None,
    } | more  # fmt: skip


def entry(question: str = "q1", **more: Any) -> dict[str, Any]:
    """What the record would hold of the claim ``ID`` as it stands."""
    return {"file": "hypotheses/good.yaml", "id": "yes", "variant": None, "question": f"sha256:{question}"} | more


def ledger(*lines: dict[str, Any], present: tuple[str, ...] | None = (ID,)) -> Ledger:
    return Ledger(lines, present=None if present is None else frozenset(present))


def lines_in(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in (folder / "reports" / NAME).read_text().splitlines()]


# -- written by a run ----------------------------------------------------------------------------------


def test_a_run_writes_a_line_a_decided_claim_and_an_unchanged_one_none(tmp_path: Path) -> None:
    """Measured, then cached, then measured again without the cache: the second and third append nothing."""
    folder = project(tmp_path, small=SMALL)
    run_pytest(folder)
    first = (folder / "reports" / NAME).read_bytes()
    yes, no = sorted(lines_in(folder), key=lambda found: found["id"], reverse=True)
    record = results(folder)
    known = record["claims"]["hypotheses/small.yaml::yes"]
    assert (yes["id"], yes["verdict"], no["verdict"]) == ("hypotheses/small.yaml::yes", "supported", "refuted")
    assert (yes["bounds"], yes["seed"], yes["n"]) == (["at_least 0.6"], 0, known["checks"][0]["n"])
    assert yes["rows"][0] == pytest.approx([known["checks"][0][key] for key in ("estimate", "low", "high")], rel=1e-3)
    assert known["digest"].startswith(f"sha256:{yes['claim']}")
    assert record["models"]["reference"]["digest"].startswith(f"sha256:{yes['model']}")
    assert record["runs"]["1"]["code"].startswith(f"sha256:{yes['code']}")
    assert all(len(text) < 600 for text in first.splitlines())
    run_pytest(folder)
    run_pytest(folder, "--circuit-no-cache")
    assert (folder / "reports" / NAME).read_bytes() == first


def test_workers_write_what_one_process_writes(tmp_path: Path) -> None:
    """With xdist the controller alone writes: the same lines, but for the time, and the same record."""
    pytest.importorskip("xdist")
    folders = [project(tmp_path / name, small=SMALL, good=GOOD) for name in ("one", "two")]
    run_pytest(folders[0])
    run_pytest(folders[1], "-n", "2")
    one, two = ([{**found, "time": ""} for found in lines_in(folder)] for folder in folders)
    assert one == two
    assert len(one) == 3
    assert results(folders[0])["claims"] == results(folders[1])["claims"]
    assert "history" not in json.dumps(results(folders[1]))


def test_a_bound_that_was_moved_until_it_passed_is_told(tmp_path: Path) -> None:
    """Three edits of one bound: the record says nothing of it, the entry that pages are made of says it all."""
    folder = project(tmp_path, good=GOOD)
    for bound in ("1.0", "0.9", "0.6"):  # no interval of twelve prompts lies above 1.0 or 0.9
        (folder / "hypotheses" / "good.yaml").write_text(GOOD.replace("at_least: 0.6", f"at_least: {bound}"))
        run_pytest(folder)
    found = read_ledger(folder / "reports" / NAME, [ID])
    now = results(folder)["claims"][ID]
    assert [each["bounds"] for each in found.lines] == [["at_least 1"], ["at_least 0.9"], ["at_least 0.6"]]
    text = history_text(now, found)
    assert text is not None
    assert text.startswith(
        "edited 2 times before this version was decided: at_least 1 INCONCLUSIVE (n 12), at_least 0.9 "
    )
    assert text.endswith(f"; then at_least 0.6 SUPPORTED (n {now['checks'][0]['n']})")
    told = history_of(now, found)
    assert told is not None
    assert told["history"] == text
    assert [each["now"] for each in told["versions"]] == [False, False, True]


def test_another_seed_is_no_edit(tmp_path: Path) -> None:
    """Of the command line or of the suite: two lines, one version."""
    folder = project(tmp_path, good=GOOD)
    run_pytest(folder)
    run_pytest(folder, "--circuit-seed=5")
    (folder / "hypotheses" / "good.yaml").write_text(GOOD.replace("seed: 0", "seed: 7"))
    run_pytest(folder)
    found = read_ledger(folder / "reports" / NAME, [ID])
    assert [each["seed"] for each in found.lines] == [0, 5, 7]
    now = results(folder)["claims"][ID]
    assert len(history(now, found).versions) == 1
    assert history_text(now, found) is None


def test_what_was_not_measured_is_no_decision(tmp_path: Path) -> None:
    """Skipped and invalid claims leave no line, and without a report there is no ledger."""
    gone = f"suite: Gone\nmodel: gpt2\n{HEAD.split(chr(10), 1)[1]}claims:\n  a: {{claim: A., {TRUE}}}\n"
    wrong = GOOD.replace("prompts: numerals,", "prompts: numeral,")
    folder = project(tmp_path, gone=gone, wrong=wrong)
    run_pytest(folder)
    assert len(results(folder)["claims"]) == 2
    assert not (folder / "reports" / NAME).exists()
    run_pytest(project(tmp_path / "none", good=GOOD), "--circuit-no-report")
    assert not (tmp_path / "none" / "reports").exists()


def test_the_terminal_says_how_many_lines_are_damaged(tmp_path: Path) -> None:
    """The run goes on, and the damaged line stays where it is."""
    folder = project(tmp_path, good=GOOD)
    (folder / "reports").mkdir()
    (folder / "reports" / NAME).write_text('{"time": "2026')
    run = run_pytest(folder)
    assert run.status == 0
    assert f"{NAME}: 1 line is damaged and left out" in run.out
    assert (folder / "reports" / NAME).read_text().startswith('{"time": "2026\n{"time":')


# -- appending ------------------------------------------------------------------------------------------


def test_history_is_never_rewritten(tmp_path: Path) -> None:
    """What was in the file is the beginning of what is in it after, damage included."""
    path = tmp_path / NAME
    path.write_bytes(b'{"id": "torn\n\xff\xfe not text\n[]\n{}\n')
    before = path.read_bytes()
    assert append(path, [line("q1"), line("q2"), line("q1")]) == 2
    assert path.read_bytes()[: len(before)] == before
    assert append(path, [line("q1", time="later", rows=[])]) == 0
    found = read_ledger(path)
    assert ([each["question"] for each in found.lines], found.damaged) == (["q1", "q2"], 4)
    assert found.in_words() == f"{NAME}: 4 lines are damaged and left out; nothing else is lost"


LINES = st.fixed_dictionaries(
    {},
    optional={
        **{key: st.sampled_from([ID, "q1", "q2"]) for key in ("time", "id", "claim", "question", "verdict")},
        "bounds": st.one_of(st.none(), st.lists(st.one_of(st.text(max_size=3), st.integers()))),
        "seed": st.one_of(st.none(), st.integers(), st.lists(st.integers()), st.dictionaries(st.text(), st.none())),
        "n": st.one_of(st.none(), st.integers(), st.booleans(), st.text()), "expected": st.one_of(st.none(), st.text()),
    },
)  # fmt: skip


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=st.one_of(st.binary(), st.lists(LINES).map(lambda lines: "\n".join(map(json.dumps, lines)).encode())))
def test_whatever_was_in_the_file_stays_and_is_read_over(tmp_path: Path, before: bytes) -> None:
    """Any bytes: what is there is a prefix of what is there after, the new line is read, and no history raises."""
    path = tmp_path / NAME
    path.write_bytes(before)
    append(path, [line("q1", claim="mine")])
    assert path.read_bytes().startswith(before)
    found = read_ledger(path, [ID])
    assert "mine" in [each["claim"] for each in found.lines]
    history_text(entry(), found)


@pytest.mark.parametrize("cut", [1, 5, 60, -1])
def test_a_line_that_a_crash_cut_short_spoils_no_other(tmp_path: Path, cut: int) -> None:
    """The next one begins on a line of its own; a line that lacks its line break alone is whole."""
    path = tmp_path / NAME
    append(path, [line("q1")])
    path.write_bytes(path.read_bytes() + json.dumps(line("q2")).encode()[:cut])
    before = path.read_bytes()
    assert append(path, [line("q3")]) == 1
    assert path.read_bytes() == before + b"\n" + path.read_bytes()[len(before) + 1 :]
    found = read_ledger(path)
    assert ([each["question"] for each in found.lines], found.damaged) == (["q1", "q3"], 1)


def test_each_line_is_one_write_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a disk that takes only a part of it is an error, not a line."""
    writes: list[bytes] = []
    real = os.write

    def watched(file: int, data: bytes) -> int:
        if data.lstrip(b"\n").startswith(b'{"time"'):
            writes.append(data)
        return real(file, data)

    monkeypatch.setattr(os, "write", watched)
    append(tmp_path / NAME, [line("q1"), line("q2")])
    assert [json.loads(data)["question"] for data in writes] == ["q1", "q2"]
    assert all(data.endswith(b"}\n") for data in writes)
    monkeypatch.setattr(os, "write", lambda file, data: real(file, data[:7]))
    with pytest.raises(OSError, match="could not be written whole"):
        append(tmp_path / NAME, [line("q3")])
    monkeypatch.setattr(os, "write", real)
    assert append(tmp_path / NAME, [line("q3")]) == 1
    assert read_ledger(tmp_path / NAME).damaged == 1


def test_two_processes_at_once_write_each_line_once(tmp_path: Path) -> None:
    """Four of them append the same hundred lines and one of their own."""
    path = tmp_path / NAME
    code = (
        "import sys, json; from pathlib import Path; from circuits.report.ledger import append\n"
        "one = json.loads(sys.argv[2])\n"
        "append(Path(sys.argv[1]), [{**one, 'question': f'q{k}', 'claim': f'q{k}'} for k in (*range(100), sys.argv[3])])"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(path), json.dumps(line()), f"own{k}"]) for k in range(4)
    ]
    assert [process.wait(timeout=60) for process in started] == [0] * 4
    found = read_ledger(path)
    assert found.damaged == 0
    assert sorted(each["question"] for each in found.lines) == sorted(
        [f"q{k}" for k in range(100)] + [f"qown{k}" for k in range(4)]
    )


def test_no_ledger_is_an_empty_one(tmp_path: Path) -> None:
    """Nothing there, nothing told."""
    assert read_ledger(tmp_path / NAME) == Ledger()
    assert history_text(entry(), Ledger()) is None


# -- what it tells ----------------------------------------------------------------------------------------


def test_the_text_names_each_version_with_its_verdict() -> None:
    """In the order of decision, with n; the present one last."""
    found = ledger(
        line("q1"), line("q2", bounds=["at_least 0.4"], verdict="inconclusive", n=128),
        line("q3", bounds=["at_least 0.3"], verdict="supported"),
    )  # fmt: skip
    assert history_text(entry("q3"), found) == (
        "edited 2 times before this version was decided: at_least 0.5 REFUTED (n 64), at_least 0.4 INCONCLUSIVE (n 128); "
        "then at_least 0.3 SUPPORTED (n 64)"
    )
    assert history_text(entry("q4"), found) == (
        "not decided as it stands; other versions were: at_least 0.5 REFUTED (n 64), at_least 0.4 INCONCLUSIVE (n 128), "
        "at_least 0.3 SUPPORTED (n 64)"
    )
    assert history_text(entry("q2"), found) == (
        "edited once before this version was decided: at_least 0.5 REFUTED (n 64); then at_least 0.4 INCONCLUSIVE (n 128); "
        "decided in other versions since, which were taken back: at_least 0.3 SUPPORTED (n 64)"
    )
    assert history_text(entry("q1", id="other"), found) is None


def test_prompts_that_changed_the_verdict_are_told() -> None:
    """A claim that was refuted on one seed and supported on another was not edited, and the text says both."""
    found = ledger(line("q1"), line("q1", seed=5, verdict="supported", n=32))
    assert history_text(entry(), found) == (
        "decided more than once: at_least 0.5 REFUTED (n 64, seed 0) then SUPPORTED (n 32, seed 5)"
    )


def test_a_line_without_a_count_spoils_nothing(tmp_path: Path) -> None:
    """Somebody's odd line, with neither n nor expectation, is told as far as it goes."""
    odd = {key: value for key, value in line("q1").items() if key not in ("n", "expected", "seed", "rows")}
    append(tmp_path / NAME, [odd, line("q2", verdict="supported")])
    assert history_text(entry("q2"), read_ledger(tmp_path / NAME)) == (
        "edited once before this version was decided: at_least 0.5 REFUTED; "
        "then at_least 0.5 (the same bounds; its words, heads, prompts or selectors were others) SUPPORTED (n 64)"
    )


def test_an_edit_of_own_code_is_told() -> None:
    """A function that was edited until the claim passed; of lines that do not tell nothing is said."""
    found = ledger(line("q1"), line("q1", own="a"), line("q1", own="b", verdict="supported"))
    assert history_text(entry(), found) == (
        "decided more than once: at_least 0.5 REFUTED (n 64, seed 0) then SUPPORTED (n 64, seed 0) "
        "(the project's own code was edited once in between)"
    )
    alike = ledger(*(line("q1", own=own) for own in "aba"))
    assert history_text(entry(), alike) == (
        "decided more than once: at_least 0.5 REFUTED (n 64) (the project's own code was edited 2 times in between)"
    )
    assert history_text(entry(), ledger(line("q1"), line("q1", own="a"))) is None


def test_another_own_code_is_another_line(tmp_path: Path) -> None:
    """The same claim and verdict by other code of the project's own is a decision of its own."""
    run = {"started": "t", "code": "sha256:c"}
    claim = {"status": "measured", "verdict": "supported", "digest": "sha256:q", "model": "m", "checks": []}
    own = [claim | {"own": [{"kind": "metric", "name": "mine", "code": f"sha256:{code}"}]} for code in "ab"]
    counts = [append(tmp_path / NAME, lines_of({ID: each}, {}, run)) for each in (claim, own[0], own[1], own[0])]
    assert counts == [1, 1, 1, 0]
    assert ["own" in each for each in read_ledger(tmp_path / NAME).lines] == [False, True, True]


def test_an_expectation_that_was_turned_round_is_told() -> None:
    """The same bound, refuted, and now a known negative; and an edit that leaves the bounds alone."""
    found = ledger(line("q1"), line("q2", expected="refuted"), line("q3", expected="refuted", rows=[[0.4, 0.2, 0.49]]))
    assert history_text(entry("q3"), found) == (
        "edited 2 times before this version was decided: at_least 0.5 REFUTED (n 64), at_least 0.5 (expected: refuted) "
        "REFUTED (n 64); then at_least 0.5 (the same bounds; its words, heads, prompts or selectors were others) REFUTED (n 64)"
    )


def test_an_edit_that_left_the_numbers_alone_is_told_as_one_of_words() -> None:
    """The same numbers on the same prompts and model; on other prompts it is not known what was edited."""
    for more, told in (
        ({}, "other words: the same bounds and the same numbers"),
        ({"prompts": "q"}, "the same bounds; its words, "),
    ):
        found = ledger(line("q1"), line("q2", **more))
        assert f"then at_least 0.5 ({told}" in str(history_text(entry("q2"), found))


def test_many_versions_are_shortened() -> None:
    """The first two, how many more, and the last."""
    versions = [line(f"q{k}", bounds=[f"at_least {k}"]) for k in range(12)]
    text = history_text(entry("q11"), ledger(*versions))
    assert text is not None
    assert text.startswith("edited 11 times before")
    assert [f"at_least {k} " in text for k in range(12)] == [k in (0, 1, 8, 9, 10, 11) for k in range(12)]
    assert ", 6 more, " in text


def test_a_renamed_claim_keeps_its_history_and_a_copy_takes_none() -> None:
    """The id is gone and the question the same: the same claim. Where both ids are there, each has its own."""
    new = "hypotheses/good.yaml::new"
    lines = (
        line("q1"), line("q2", bounds=["at_least 0.3"], verdict="supported"),
        line("q2", id=new, bounds=["at_least 0.3"], verdict="supported"),
        line("q3", id=new, bounds=["at_least 0.2"], verdict="supported"),
    )  # fmt: skip
    renamed = history(entry("q3", id="new"), ledger(*lines, present=(new,)))
    assert [version.question for version in renamed.versions] == ["q1", "q2", "q3"]
    for present in ((ID, new), None):
        copied = history(entry("q3", id="new"), ledger(*lines, present=present))
        assert [version.question for version in copied.versions] == ["q2", "q3"]


def test_pages_are_made_from_entries_with_their_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The history is put in where pages are written, and the record that was handed in stays as it was."""
    seen: dict[str, Any] = {}

    def page(file: str, entries: list[dict[str, Any]], models: object) -> str:
        seen.update({each["id"]: each.get("history") for each in entries})
        return "<!-- page -->\n"

    monkeypatch.setattr("circuits.report.markdown.suite_page", page)
    append(tmp_path / NAME, [line("q1"), line("q2", bounds=["at_least 0.3"], verdict="supported")])
    claims = {ID: entry("q2"), ID.replace("yes", "no"): entry("q2", id="no")}
    record = {"format": 1, "runs": {}, "models": {}, "claims": claims}
    before = json.dumps(record)
    write_reports(tmp_path, record)
    assert seen["no"] is None
    assert str(seen["yes"]).startswith("edited once before this version was decided: at_least 0.5 REFUTED (n 64); ")
    assert json.dumps(record) == before


def test_a_line_holds_four_rows_and_counts_the_rest() -> None:
    """A claim of many checks stays a short line; an observed row is none of its decision."""
    rows = [
        {"index": k, "bound": f"at_least 0.{k}", "estimate": 0.123456, "low": 0.1, "high": None, "n": k, "seed": 0}
        for k in range(1, 8)
    ]
    rows.append({"index": 8, "observe": True, "bound": None, "estimate": 1.0, "n": 500, "seed": 3})
    claim = {"status": "measured", "verdict": "supported", "digest": "sha256:" + "a" * 64, "model": "m", "checks": rows}
    (found,) = lines_of({ID: claim}, {}, {"started": "t"})
    assert (found["n"], found["seed"], found["more_rows"], found["more_bounds"]) == (7, 0, 3, 3)
    assert found["rows"] == [[0.1235, 0.1, None]] * 4
    assert found["model"] is None
