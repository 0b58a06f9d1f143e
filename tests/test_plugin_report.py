"""The report of a session: results.json and its pages, merged with earlier runs, and what may go wrong there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests_of_plugin import GOOD, NOWHERE, SMALL, Run, project, results

from circuits.report.markdown import write_reports
from circuits.report.record import load_record, newest_run, write_record

pytestmark = pytest.mark.usefixtures("warm")


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in NOWHERE.items():
        monkeypatch.setenv(name, value)


def test_the_record_is_as_designed(cold: Run) -> None:
    """Every key of DESIGN 5 is there, in each kind of row; what was not measured is null."""
    record = cold.results
    assert record["format"] == 1
    (run,) = record["runs"].values()
    assert {"started", "seconds", "circuits", "torch", "transformer_lens", "dtype", "device", "git"} <= set(run)
    assert (run["dtype"], run["device"], run["checkout"]) == ("float32", "cpu", False)
    assert run["counts"] == {"measured": 15, "cached": 0, "skipped": 2, "invalid": 4, "error": 0}
    assert run["options"] == {
        "seed": None, "n": None, "permuted": 5, "random": 5, "robust": False, "fdr": None, "fresh": False, "models": []
    }  # fmt: skip
    assert {"digest", "source"} <= set(record["models"]["reference"])
    keys = {
        "suite",
        "claim",
        "model",
        "heads",
        "run",
        "verdict",
        "expected",
        "vacuous",
        "cached",
        "digest",
        "reason",
        "checks",
    }
    row_keys = {
        "check", "head", "prompts", "statistic", "bound", "estimate", "low", "high", "confidence", "n", "seed",
        "effect", "uniform", "heads_passing", "clean", "reported", "verdict",
    }  # fmt: skip
    assert len(record["claims"]) == 21
    for name, entry in record["claims"].items():
        assert keys <= set(entry), name
        for row in entry["checks"]:
            assert row_keys <= set(row), name
    claims = {name.split("::")[1]: entry for name, entry in record["claims"].items()}
    good = claims["good"]
    assert (good["verdict"], good["heads"], good["run"], good["model"]) == ("supported", ["0.0"], "1", "reference")
    assert good["checks"][0]["estimate"] == pytest.approx(1.0)
    assert good["checks"][0]["heads_passing"] == [1, 12]
    assert claims["undone"]["checks"][0]["clean"]["top1"] == 0.0
    assert claims["undone"]["reason"].startswith("the model does not do this task")
    assert claims["faulty"]["verdict"] is None
    assert claims["first"]["verdict"] == "unmeasurable"
    assert claims["hoped"]["expected"] == "{xfail: some day}"
    assert (cold.folder / "reports" / "README.md").is_file()
    assert (cold.folder / "reports" / good["checks"][0]["figure"]["path"]).is_file()


def test_a_partial_run_updates_only_its_own_claims(pytester: pytest.Pytester) -> None:
    """-k leaves the other entries as they were; cached claims keep the run that measured them."""
    project(pytester.path, small=SMALL, good=GOOD)
    pytester.runpytest_inprocess()
    before = results(pytester.path)["claims"]
    pytester.runpytest_inprocess("-k", "no", "--circuit-seed=5")
    after = results(pytester.path)
    changed = {name for name in before if before[name] != after["claims"][name]}
    assert changed == {"hypotheses/small.yaml::no"}
    assert after["claims"]["hypotheses/small.yaml::no"]["checks"][0]["seed"] == 5
    assert {name: entry["run"] for name, entry in after["claims"].items()} == {
        "hypotheses/good.yaml::yes": "1", "hypotheses/small.yaml::no": "2", "hypotheses/small.yaml::yes": "1"
    }  # fmt: skip
    pytester.runpytest_inprocess("-k", "yes")
    assert results(pytester.path)["claims"]["hypotheses/good.yaml::yes"]["run"] == "1"


@pytest.mark.parametrize("given", [(), ("--circuit-fdr",), ("-k", "yes")], ids=["plain", "fdr", "part"])
def test_a_report_of_kept_answers_is_that_of_their_entries(pytester: pytest.Pytester, given: tuple[str, ...]) -> None:
    """Their text is taken as it was kept: the file is the one that writing its own entries gives, and so are the pages."""
    project(pytester.path, small=SMALL, good=GOOD)
    pytester.runpytest_inprocess(*given)
    project(pytester.path, small="# a line more\n" + SMALL)  # claims that stand elsewhere now
    for _ in range(2):
        pytester.runpytest_inprocess(*given)
        place = pytester.path / "reports" / "results.json"
        written = place.read_bytes()
        record = load_record(place)
        assert record["runs"][newest_run(record) or ""]["counts"]["measured"] == 0
        write_record(place, record)
        assert place.read_bytes() == written
        pages = {page: page.read_bytes() for page in place.parent.glob("*.md")}
        write_reports(place.parent, record)
        assert {page: page.read_bytes() for page in place.parent.glob("*.md")} == pages


def test_claims_and_suites_that_went_leave_the_report(pytester: pytest.Pytester) -> None:
    """A claim taken out of a suite, and a suite that was deleted, are in the record no longer, nor is its page."""
    project(pytester.path, small=SMALL, good=GOOD)
    pytester.runpytest_inprocess()
    (pytester.path / "hypotheses" / "good.yaml").unlink()
    project(pytester.path, small="\n".join(line for line in SMALL.splitlines() if not line.startswith("  no:")))
    pytester.runpytest_inprocess()
    assert list(results(pytester.path)["claims"]) == ["hypotheses/small.yaml::yes"]
    assert sorted(path.name for path in (pytester.path / "reports").glob("*.md")) == [
        "README.md",
        "hypotheses--small.md",
    ]


def test_a_run_of_one_suite_names_its_page_and_the_claims_that_stay(pytester: pytest.Pytester) -> None:
    """A report keeps the claims of other runs: the end of a run says how many, and where this suite's page is."""
    project(pytester.path, small=SMALL, good=GOOD)
    whole = pytester.runpytest_inprocess()
    assert "report: reports/README.md" in whole.outlines and "page of this suite" not in whole.stdout.str()
    part = pytester.runpytest_inprocess("hypotheses/good.yaml")
    part.stdout.fnmatch_lines([
        "report: reports/README.md (1 of its 3 claims are of this run)", "page of this suite: reports/hypotheses--good.md",
    ])  # fmt: skip
    assert (pytester.path / "reports" / "hypotheses--good.md").is_file()


def test_where_reports_go(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option counts from where pytest was started, the ini value from the root; --circuit-no-report writes none."""
    pytester.makeini("[pytest]\ncircuit_report = out\n")
    project(pytester.path, good=GOOD)
    monkeypatch.chdir(pytester.path / "hypotheses")
    pytester.runpytest_inprocess("--circuit-no-report")
    assert not (pytester.path / "out").exists()
    result = pytester.runpytest_inprocess()
    result.stdout.fnmatch_lines(["report: ../out/README.md"])
    assert results(pytester.path, "out")["claims"]
    pytester.runpytest_inprocess("--circuit-report=mine")
    assert results(pytester.path, "hypotheses/mine")["claims"]


def test_nothing_is_measured_to_leave_figures_out(pytester: pytest.Pytester) -> None:
    """An unchanged suite is an unchanged report: same pages, same figures, byte by byte."""
    project(pytester.path, good=GOOD)
    pytester.runpytest_inprocess()
    folder = pytester.path / "reports"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.suffix in (".md", ".png")}
    assert any(path.suffix == ".png" for path in before)
    pytester.runpytest_inprocess()
    page = folder / "hypotheses--good.md"
    assert page.read_bytes() == before[page]
    assert {path for path in folder.rglob("*") if path.suffix in (".md", ".png")} == set(before)


@pytest.mark.parametrize("text", ["{", '{"format": 99}', "[]"])
def test_a_record_that_cannot_be_read_is_left_alone(pytester: pytest.Pytester, text: str) -> None:
    """The run says so in one line with a remedy, fails, and shows its verdicts all the same."""
    project(pytester.path, good=GOOD)
    path = pytester.path / "reports" / "results.json"
    path.parent.mkdir()
    path.write_text(text)
    result = pytester.runpytest_inprocess()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["  SUPPORTED     yes", "no report was written: *results.json: *move or delete it*"])
    assert path.read_text() == text
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_report_folder_that_cannot_be_written(pytester: pytest.Pytester) -> None:
    """A file where the folder should be is one line and a failed run, no traceback; figures do not stop a claim."""
    project(pytester.path, good=GOOD)
    (pytester.path / "reports").write_text("in the way")
    result = pytester.runpytest_inprocess()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["no report was written: *reports*; give another folder with --circuit-report DIR"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_readers_own_file_is_not_overwritten(pytester: pytest.Pytester) -> None:
    """A README.md that the report did not write stays; the record is written beside it."""
    project(pytester.path, good=GOOD)
    (pytester.path / "reports").mkdir()
    (pytester.path / "reports" / "README.md").write_text("mine")
    result = pytester.runpytest_inprocess()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["no report was written: *README.md: this file was not written by the report*"])
    assert (pytester.path / "reports" / "README.md").read_text() == "mine"


def test_a_bug_in_the_report_does_not_take_the_verdicts_along(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unexpected exception is shown with its traceback, after the claims, and the run fails."""

    def broken(*_: object, **__: object) -> None:
        raise KeyError("oops")

    monkeypatch.setattr("circuits.report.write.write_reports", broken)
    project(pytester.path, small=SMALL)
    result = pytester.runpytest_inprocess("-k", "yes")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["  SUPPORTED     yes", "the report failed, please report it:", "KeyError: 'oops'"])


def test_no_cache_measures_again(pytester: pytest.Pytester) -> None:
    """--circuit-no-cache takes nothing from the cache; n and seed make other values."""
    project(pytester.path, good=GOOD)
    for arguments, status in (
        ((), "measured"),
        ((), "cached"),
        (("--circuit-no-cache",), "measured"),
        (("--circuit-n=5",), "measured"),
    ):
        pytester.runpytest_inprocess(*arguments)
        assert results(pytester.path)["claims"]["hypotheses/good.yaml::yes"]["status"] == status
    assert results(pytester.path)["claims"]["hypotheses/good.yaml::yes"]["checks"][0]["n"] == 5


def test_an_edited_bound_needs_no_model(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values are cached, not verdicts: another bound is judged without loading anything."""
    project(pytester.path, good=GOOD)
    pytester.runpytest_inprocess()

    def refuse(*_: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("circuits.models.load.ModelStore.get", refuse)
    project(pytester.path, good=GOOD.replace("at_least: 0.6", "at_most: 0.55"))
    pytester.runpytest_inprocess().assert_outcomes(failed=1)
    assert results(pytester.path)["claims"]["hypotheses/good.yaml::yes"]["verdict"] == "refuted"


def test_a_suites_own_faults_are_in_the_record(pytester: pytest.Pytester) -> None:
    """What stands outside the claims has an entry of its own; the claims are judged all the same."""
    text = GOOD.replace("suite: Good", "suite: Good\nsamplings: {max: 3}")
    project(pytester.path, good=text)
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["1 claim: 1 measured; all as expected; 1 suite has faults outside its claims"])
    (run,) = results(pytester.path)["runs"].values()
    assert run["counts"]["invalid"] == 0, "the suite itself is no claim"
    claims = results(pytester.path)["claims"]
    assert claims["hypotheses/good.yaml::yes"]["verdict"] == "supported"
    suite = claims["hypotheses/good.yaml::(suite)"]
    assert (suite["status"], suite["met"], suite["verdict"]) == ("invalid", False, None)
    assert "samplings" in suite["faults"][0]
    project(pytester.path, good=GOOD)
    pytester.runpytest_inprocess().assert_outcomes(passed=1)
    assert list(results(pytester.path)["claims"]) == ["hypotheses/good.yaml::yes"]


def test_paths_in_the_record_are_plain(cold: Run) -> None:
    """No path of this machine is in the record of a project."""
    text = json.dumps(cold.results)
    assert str(cold.folder) not in text
    assert str(Path.home()) not in text


def test_the_terminal_agrees_with_the_record(cold: Run) -> None:
    """The word beside each claim is its verdict in results.json."""
    words = cold.verdicts()
    for name, entry in cold.results["claims"].items():
        if entry["status"] in ("measured", "cached"):
            assert words[name.split("::")[1]] == entry["verdict"].upper()


def test_prompts_say_what_they_need_and_which_roles_they_were_given(pytester: pytest.Pytester) -> None:
    """Two sets that draw the same prompts are told apart by what is asked of the model on them."""
    suite = GOOD.replace(
        "prompts:\n",
        "prompts:\n  done: {family: named_sequence, members: numerals, requires: {top1: 0.4}, roles: {point: '\\.'}}\n",
    )
    project(pytester.path, good=suite.replace("prompts: numerals", "prompts: [numerals, done]"))
    pytester.runpytest_inprocess()
    found = {
        name: facts for entry in results(pytester.path)["claims"].values() for name, facts in entry["prompts"].items()
    }
    assert found["done"]["requires"] == {"top1": 0.4}
    assert found["done"]["roles"] == {"point": "\\."}
    assert not {"requires", "roles"} & found["numerals"].keys()
    page = (pytester.path / "reports" / "hypotheses--good.md").read_text()
    assert "- An intervention on them is measured only where the model surely has `top1` above 0.4" in page
