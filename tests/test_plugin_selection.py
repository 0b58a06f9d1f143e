"""Which files are suites, which claims run: node ids, -k, -m, --lf, -x, --collect-only, other YAML files."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests_of_plugin import ALL, BROKEN, GONE, GOOD, MANY, NOWHERE, SMALL, project, results, run_pytest

pytestmark = pytest.mark.usefixtures("warm")


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {**NOWHERE, "HF_HOME": str(tmp_path / "hf"), "COLUMNS": "100"}.items():
        monkeypatch.setenv(name, value)


def collected(pytester: pytest.Pytester, *arguments: str) -> list[str]:
    """The node ids that a session would run."""
    result = pytester.runpytest_inprocess("--collect-only", "-q", *arguments)
    return [line for line in result.outlines if "::" in line and not line.startswith(("=", "ERROR", "FAILED"))]


def test_collecting_neither_measures_nor_imports_torch(tmp_path: Path) -> None:
    """--collect-only lists FILE::ID and FILE::ID[variant], writes nothing, and leaves torch alone."""
    folder = project(tmp_path, all=ALL, gone=GONE)
    (folder / "conftest.py").write_text(
        "import sys\ndef pytest_unconfigure():\n    print('HEAVY', {'torch', 'scipy', 'pandas'} & set(sys.modules))\n"
    )
    run = run_pytest(folder, "--collect-only", "-q")
    assert run.status == 0
    assert "HEAVY set()" in run.out
    assert run.lines[0] == "hypotheses/all.yaml::good"
    for name in MANY:
        assert f"hypotheses/all.yaml::{name}" in run.lines
    assert sum("::" in line for line in run.lines) == 20
    assert not (folder / "reports").exists()
    assert not (folder / ".pytest_cache" / "d" / "circuits").exists()


def test_a_node_id_selects_one_claim(pytester: pytest.Pytester) -> None:
    """FILE::ID and FILE::ID[set,length=4] run that claim, and only its entry is written."""
    project(pytester.path, all=ALL)
    result = pytester.runpytest_inprocess("hypotheses/all.yaml::swept[swept,length=4]", "hypotheses/all.yaml::good")
    result.assert_outcomes(passed=2)
    names = sorted(name.split("::")[1] for name in results(pytester.path)["claims"])
    assert names == ["good", "swept[swept,length=4]"]


def test_an_unknown_node_id_is_pytests_own_error(pytester: pytest.Pytester) -> None:
    """A claim that does not exist is said to be not found, with exit status 4."""
    project(pytester.path, small=SMALL)
    result = pytester.runpytest_inprocess("hypotheses/small.yaml::nope")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: not found: *small.yaml::nope"])


@pytest.mark.parametrize(
    ("option", "expression", "names"),
    [
        ("-k", "hoped or wrong-negative", ["wrong-negative", "hoped"]),
        ("-k", "swept and not 3", ["swept[swept,length=4]"]),
        ("-m", "score", ["scored"]),
        ("-m", "ablate", ["open", "undone"]),
        ("-m", "known_negative", ["negative", "wrong-negative", "partly"]),
        ("-m", "circuit_model(name='gpt2')", ["first", "second"]),
        (
            "-m",
            "attends and circuit_model(name='reference') and known_negative",
            ["negative", "wrong-negative", "partly"],
        ),
    ],
)
def test_expressions_select(pytester: pytest.Pytester, option: str, expression: str, names: list[str]) -> None:
    """-k goes by id, -m by kind of check, known negatives and model; the markers are registered."""
    project(pytester.path, all=ALL, gone=GONE)
    assert [line.split("::")[1] for line in collected(pytester, "--strict-markers", option, expression)] == names


def test_one_file_and_overlapping_arguments(pytester: pytest.Pytester) -> None:
    """Naming a folder and a file in it collects no claim twice."""
    project(pytester.path, small=SMALL, good=GOOD)
    assert collected(pytester, "hypotheses/good.yaml") == ["hypotheses/good.yaml::yes"]
    assert sorted(collected(pytester, "hypotheses", "hypotheses/good.yaml")) == [
        "hypotheses/good.yaml::yes", "hypotheses/small.yaml::no", "hypotheses/small.yaml::yes"
    ]  # fmt: skip


def test_other_yaml_files_are_left_alone(pytester: pytest.Pytester) -> None:
    """Only a suites folder of the project holds suites, whatever other files say."""
    folder = project(pytester.path, good=GOOD)
    for place in ("mkdocs.yml", ".pre-commit-config.yaml", "tests/data/suite.yaml", "data/deep/broken.yaml"):
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(BROKEN)
    project(folder / "package", small=GOOD)
    (folder / "tests" / "test_plain.py").write_text("def test_plain(): pass\n")
    assert sorted(collected(pytester)) == [
        "hypotheses/good.yaml::yes", "package/hypotheses/small.yaml::yes", "tests/test_plain.py::test_plain"
    ]  # fmt: skip
    assert collected(pytester, "tests") == ["tests/test_plain.py::test_plain"]


def test_a_named_file_is_a_suite_wherever_it_lies(pytester: pytest.Pytester) -> None:
    """A file given on the command line is collected, and so is a suite right in a folder given there.

    Nothing else outside the suites folders is: there is a hint instead.
    """
    (pytester.path / "examples").mkdir()
    (pytester.path / "examples" / "mine.yml").write_text(GOOD)
    assert collected(pytester, "examples/mine.yml") == ["examples/mine.yml::yes"]
    assert collected(pytester, "examples/mine.yml::yes") == ["examples/mine.yml::yes"]
    assert collected(pytester, "examples") == ["examples/mine.yml::yes"]
    (pytester.path / "examples" / "other.yml").write_text("model: x\nversion: 2\n")
    assert collected(pytester, "examples") == ["examples/mine.yml::yes"]
    result = pytester.runpytest_inprocess()
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.fnmatch_lines(["examples/mine.yml looks like a suite but lies in no suites folder (hypotheses): *"])
    for named in (("examples/mine.yml::nothing",), ("examples/mine.yml", "-k", "nothing")):  # it was looked into
        assert "looks like a suite" not in pytester.runpytest_inprocess(*named).stdout.str()


def test_the_suites_folders_are_an_ini_value(pytester: pytest.Pytester) -> None:
    """circuit_suites names folders, also several and nested ones."""
    pytester.makeini("[pytest]\ncircuit_suites = claims lab/suites\n")
    project(pytester.path, good=GOOD)
    for place in ("claims/a.yaml", "lab/suites/deep/b.yaml", "lab/c.yaml"):
        path = pytester.path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(GOOD)
    assert collected(pytester) == ["claims/a.yaml::yes", "lab/suites/deep/b.yaml::yes"]


def test_pytest_may_be_started_inside_the_suites_folder(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The suites are found there too, with an ini file above or without one."""
    project(pytester.path, good=GOOD)
    monkeypatch.chdir(pytester.path / "hypotheses")
    assert collected(pytester) == ["good.yaml::yes"]
    pytester.makeini("[pytest]\n")
    assert collected(pytester) == ["hypotheses/good.yaml::yes"]


def test_a_project_below_a_folder_of_that_name_is_no_suites_folder(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the project itself lies plays no part."""
    inner = pytester.path / "hypotheses" / "project"
    project(inner, good=GOOD)
    (inner / "pytest.ini").write_text("[pytest]\n")
    (inner / "other.yaml").write_text(BROKEN)
    monkeypatch.chdir(inner)
    assert collected(pytester) == ["hypotheses/good.yaml::yes"]


@pytest.mark.parametrize(("option", "failed"), [("-x", 1), ("--maxfail=2", 2)])
def test_stopping_early(pytester: pytest.Pytester, option: str, failed: int) -> None:
    """-x and --maxfail stop after so many failures, INCONCLUSIVE among them; the report holds what was run."""
    project(pytester.path, all=ALL)
    result = pytester.runpytest_inprocess(option, "-k", "scored or bad or open or undone")
    counts = result.parseoutcomes()
    assert counts.get("failed", 0) + counts.get("inconclusive", 0) == failed
    assert counts.get("unmeasurable", 0) == 0
    assert len(results(pytester.path)["claims"]) == {1: 1, 2: 3}[failed]


def test_last_failed_runs_what_was_not_as_expected(pytester: pytest.Pytester) -> None:
    """--lf takes REFUTED, INCONCLUSIVE, UNMEASURABLE and INVALID claims again, nothing else."""
    project(pytester.path, all=ALL)
    pytester.runpytest_inprocess()
    names = [line.split("::")[1] for line in collected(pytester, "--lf")]
    assert names == ["bad", "open", "undone", "wrong-negative", "accepted", "faulty", "hidden"]


@pytest.mark.parametrize("plugin", ["cacheprovider", "terminal", "junitxml"])
def test_plugins_of_pytest_may_be_missing(pytester: pytest.Pytester, plugin: str) -> None:
    """-p no:NAME changes nothing about the verdicts."""
    project(pytester.path, small=SMALL)
    result = pytester.runpytest_inprocess("-p", f"no:{plugin}")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    entries = results(pytester.path)["claims"]
    assert {name.split("::")[1]: entry["verdict"] for name, entry in entries.items()} == {
        "yes": "supported",
        "no": "refuted",
    }


def test_python_tests_beside_suites(pytester: pytest.Pytester) -> None:
    """Tests in Python run as ever, and a session without suites has no section and no report."""
    project(pytester.path, good=GOOD)
    pytester.makepyfile(test_plain="def test_plain(): pass\n")
    pytester.runpytest_inprocess().assert_outcomes(passed=2)
    (pytester.path / "reports" / "results.json").unlink()
    alone = pytester.runpytest_inprocess("test_plain.py")
    alone.assert_outcomes(passed=1)
    alone.stdout.no_fnmatch_line("*claims*")
    assert not (pytester.path / "reports" / "results.json").exists()


def test_quiet_and_quieter(pytester: pytest.Pytester) -> None:
    """-q keeps the claims section, -qq leaves it out."""
    project(pytester.path, small=SMALL)
    pytester.runpytest_inprocess("-q").stdout.fnmatch_lines(["*= claims =*", "  REFUTED       no"])
    pytester.runpytest_inprocess("-qq").stdout.no_fnmatch_line("*= claims =*")


def test_claims_that_were_not_reached_are_counted(pytester: pytest.Pytester) -> None:
    """After -x (or Ctrl-C) the claims section says how many selected claims were not run."""
    claim = '{{claim: c, head: "0.0", prompts: n, attends: any -> n-1, at_least: {bound}}}'
    text = "suite: s\nmodel: reference\nsampling: {max: 12}\nprompts: {n: {family: named_sequence, members: numerals}}\nclaims:\n"
    text += "".join(f"  c{number}: {claim.format(bound=bound)}\n" for number, bound in enumerate((0.99, 0.5, 0.5)))
    project(pytester.path, three=text)
    result = pytester.runpytest_inprocess("-x")
    result.stdout.fnmatch_lines(["2 selected claims were not run"])
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    whole = pytester.runpytest_inprocess()
    assert "not run" not in whole.stdout.str()
