"""--circuit-changed: only claims that ask something else than at a commit, or ask it of something else."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest
from tests_of_plugin import NUMERALS, project, run_pytest

from circuits.changes import Repository, _edited

SUITE = """\
suite: Two
model: reference
sampling: {min: 4, max: 12}
include: [sets.yaml]
claims:
  yes: {claim: It is., head: "0.0", prompts: numerals, attends: any -> n-1, at_least: 0.6}
  no: {claim: It is not., head: "0.1", prompts: numerals, attends: any -> n-1, at_least: 0.6, expect: refuted}
"""
SETS = f"prompts:\n  numerals: {NUMERALS}\n"


def git(folder: Path, *arguments: str) -> None:
    name = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", *name, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A project whose suite and report are committed."""
    folder = project(tmp_path, two=SUITE, sets=SETS)
    (folder / ".gitignore").write_text("kept\nhf\n.pytest_cache\n__pycache__\n")
    assert run_pytest(folder).status == 0
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
    return folder


def what_is(folder: Path, *arguments: str) -> tuple[str, set[str]]:
    run = run_pytest(folder, "-v", *arguments)
    (line,) = [line for line in run.lines if line.startswith("--circuit-changed:")]
    names = {
        line.split("::")[1].split()[0] for line in run.lines if "::" in line and ("PASSED" in line or "FAILED" in line)
    }
    return line, names


def test_nothing_changed_tests_nothing(repository: Path) -> None:
    """All are left out, with the commit and why; that is no failure."""
    (repository / "hypotheses" / "two.yaml").write_text("# another layout\n" + SUITE.replace("{claim", "{  claim"))
    run = run_pytest(repository, "--circuit-changed")
    assert run.status == pytest.ExitCode.OK
    assert "2 deselected" in run.out
    assert "none of 2 claims is tested; 2 ask what they asked at HEAD (" in run.out
    assert "of the same model, prompts and code" in run.out


def test_what_asks_something_else_is_what_is(repository: Path) -> None:
    """An edited bound, a new claim, and prompts that an included file changes."""
    suite = repository / "hypotheses" / "two.yaml"
    suite.write_text(SUITE.replace("at_least: 0.6}", "at_least: 0.5}"))
    line, names = what_is(repository, "--circuit-changed=HEAD")
    assert names == {"yes"}
    assert "1 of 2 claims are tested (1 another meaning); 1 asks what it asked at HEAD" in line
    suite.write_text(SUITE + SUITE.splitlines()[-2].replace("  yes:", "  more:") + "\n")
    assert what_is(repository, "--circuit-changed")[1] == {"more"}
    suite.write_text(SUITE)
    (repository / "hypotheses" / "sets.yaml").write_text(SETS.replace("length: 4", "length: 3"))
    assert what_is(repository, "--circuit-changed")[1] == {"yes", "no"}


def test_another_code_or_model_is_what_is(repository: Path) -> None:
    """What the committed record says of code and model is compared with today's."""
    record = repository / "reports" / "results.json"
    text = record.read_text()
    code = text.split('"code": "sha256:')[1][:64]
    record.write_text(text.replace(code, "0" * 64))
    git(repository, "commit", "-qam", "another code")
    line, names = what_is(repository, "--circuit-changed")
    assert names == {"yes", "no"}
    assert "2 other measuring code or libraries" in line
    model = text.split('"reference": {"digest": "')[1].split('"')[0]
    record.write_text(text.replace(model, "sha256:other"))
    git(repository, "commit", "-qam", "another model")
    assert "2 another model" in what_is(repository, "--circuit-changed")[0]


def test_without_a_committed_report_it_says_what_it_does_not_know(repository: Path) -> None:
    """The meaning still counts."""
    git(repository, "rm", "-q", "--cached", "-r", "reports")
    git(repository, "commit", "-qm", "no reports")
    (repository / "hypotheses" / "two.yaml").write_text(SUITE.replace("at_least: 0.6}", "at_least: 0.5}"))
    line, names = what_is(repository, "--circuit-changed")
    assert names == {"yes"}
    assert "whether model or measuring code are others is not known" in line


def test_an_own_family_that_was_edited_is_what_is(repository: Path) -> None:
    """The file that a project's family is written in is part of what its prompts are."""
    conftest = repository / "conftest.py"
    conftest.write_text(
        "import dataclasses\nfrom circuits.prompts.named_sequence import NAMED_SEQUENCE\n\n"
        "def pairs(*arguments):\n    return NAMED_SEQUENCE.pairs(*arguments)\n"
    )
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "conftest")
    found = Repository(repository, "HEAD")
    assert found.text(conftest) == conftest.read_bytes()
    assert found.text(repository / "nothing.py") is None
    assert found.text(Path("/etc/hostname")) is None


OWN = """\
from circuits.extensions import Score
from mine import score_of

def pytest_circuits_extensions():
    return [Score("mine", doc="Mine.", value=score_of(0.9))]
"""
MINE = """\
def score_of(k):
    def value(attention, prompt):
        return attention[:, -1, 0] * 0 + k
    return value
"""


@pytest.fixture
def with_own_code(repository: Path) -> Path:
    """A project with one claim on a score of its own, made by a factory in another file."""
    (repository / "conftest.py").write_text(OWN)
    (repository / "mine.py").write_text(MINE)
    claim = '  own: {claim: It is., head: "0.0", prompts: numerals, score: mine, at_least: 0.5}\n'
    (repository / "hypotheses" / "two.yaml").write_text(SUITE + claim)
    assert run_pytest(repository).status == 0
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "own code")
    return repository


def test_own_code_that_moved_to_a_new_file_is_what_is(with_own_code: Path) -> None:
    """The file is not in the commit, so what is in it may be anything; one that git ignores cannot be judged by that."""
    assert "none of 3 claims is tested" in run_pytest(with_own_code, "--circuit-changed").out
    text = MINE.replace("+ k", "+ k / 2")
    (with_own_code / "other.py").write_text(text)
    (with_own_code / "conftest.py").write_text(OWN.replace("from mine", "from other"))
    run = run_pytest(with_own_code, "-v", "--circuit-changed")
    assert "1 of 3 claims are tested (1 other code of the project's own)" in run.out
    assert any(line.startswith("hypotheses/two.yaml::own ") for line in run.lines)
    repository = Repository(with_own_code, "HEAD")
    assert _edited(repository, with_own_code / "other.py") and not _edited(repository, with_own_code / "mine.py")
    with (with_own_code / ".gitignore").open("a") as ignored:
        ignored.write("other.py\n")
    assert not _edited(repository, with_own_code / "other.py")
    assert not _edited(repository, Path("/etc/hostname"))


def test_another_argument_of_own_code_is_what_is(with_own_code: Path) -> None:
    """The file of the function is as it was, and what the function was made with is not: the record's digest tells."""
    (with_own_code / "conftest.py").write_text(OWN.replace("0.9", "0.3"))
    run = run_pytest(with_own_code, "-v", "--circuit-changed")
    assert "1 of 3 claims are tested (1 other code of the project's own)" in run.out
    assert any(line.startswith("hypotheses/two.yaml::own ") for line in run.lines)


def test_what_is_no_commit_is_a_usage_error(repository: Path, tmp_path: Path) -> None:
    """A name that git does not know, a path that was taken for one, and a folder outside git."""
    run = run_pytest(repository, "--circuit-changed=nowhere")
    assert run.status == pytest.ExitCode.USAGE_ERROR
    assert "--circuit-changed: there is no commit 'nowhere'" in run.out
    run = run_pytest(repository, "--circuit-changed", "hypotheses")
    assert run.status == pytest.ExitCode.USAGE_ERROR
    assert "write --circuit-changed=REF before a path" in run.out


def test_outside_git_it_is_a_usage_error(tmp_path: Path) -> None:
    """There is nothing to compare with."""
    folder = project(tmp_path, two=SUITE, sets=SETS)
    run = run_pytest(folder, "--circuit-changed", GIT_CEILING_DIRECTORIES=str(tmp_path.parent))
    assert run.status == pytest.ExitCode.USAGE_ERROR
    assert "not a git repository" in run.out


def test_workers_leave_out_the_same(repository: Path) -> None:
    """With xdist too, said once."""
    pytest.importorskip("xdist")
    (repository / "hypotheses" / "two.yaml").write_text(SUITE.replace("at_least: 0.6}", "at_least: 0.5}"))
    run = run_pytest(repository, "--circuit-changed", "-n", "2")
    assert run.status == 0
    assert run.out.count("--circuit-changed: 1 of 2") == 1
    assert "1 passed" in run.lines[-1]


@pytest.mark.parametrize("old", [False, True])
def test_suites_of_a_commit_are_read_with_every_python(
    repository: Path, old: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python 3.11.0 to 3.11.3 have no filters of archives: files come out alike, and no link is made."""
    if old:
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    Repository(repository, "HEAD").yaml_files(tmp_path / "then")
    found = {path.relative_to(tmp_path / "then").as_posix() for path in (tmp_path / "then").rglob("*.yaml")}
    assert found == {"hypotheses/two.yaml", "hypotheses/sets.yaml"}
    assert (tmp_path / "then" / "hypotheses" / "two.yaml").read_text() == SUITE
