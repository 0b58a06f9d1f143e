"""The command ``circuits``: lint, models, families, report; its messages and exit status."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests_of_plugin import ALL, GOOD, HEAD, NOWHERE, TRUE, Run, environment, project

from circuits.cli import main
from circuits.commands.common import report_folder
from circuits.models.source import REGISTRY
from circuits.prompts.registry import FAMILIES


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {**NOWHERE, "HF_HOME": str(tmp_path / "hf"), "CIRCUITS_CACHE": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(name, value)


def test_lint_finds_nothing_in_good_suites(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The suites of hypotheses/ by default, with their counts."""
    project(tmp_path, good=GOOD, other=GOOD)
    assert main(["lint"]) == 0
    *power, last = capsys.readouterr().out.splitlines()
    assert last == "2 suites, 2 claims, 0 faults"
    assert len(power) == 2
    assert all(": power: the hardest bound is " in line for line in power)


def test_lint_says_every_fault_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each with place, source line, carets and hint; a claim that is expected to be invalid is none."""
    project(tmp_path, all=ALL, good=GOOD.replace("claim: It is., ", "claim: It is., atleast: 3, "))
    assert main(["lint"]) == 1
    out = capsys.readouterr().out
    line = next(number for number, text in enumerate(ALL.splitlines(), 1) if text.startswith("  faulty:"))
    source = ALL.splitlines()[line - 1]
    column = source.index("numeral,") + 1
    assert f"hypotheses/all.yaml:{line}:{column}: unknown prompt set 'numeral'\n    {source}\n" in out
    assert f"\n{' ' * (column + 3)}^^^^^^^\n    did you mean 'numerals'?\n" in out
    assert "\nhypotheses/good.yaml:7:24: unknown key 'atleast'" in out
    assert "claim 'accepted' is expected to be invalid, but nothing is wrong with it" in out
    assert "refused" not in out
    assert out.endswith("2 suites, 17 claims, 4 faults\n")


def test_lint_shows_warnings_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A claim without words is no fault."""
    project(tmp_path, good=GOOD.replace("claim: It is., ", ""))
    assert main(["lint"]) == 0
    out = capsys.readouterr().out
    assert "hypotheses/good.yaml:7:3: warning: yes: " in out
    assert out.endswith("1 suite, 1 claim, 0 faults\n")


def test_lint_says_a_fault_of_a_shared_file_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that two suites include, with a fault, is one fault of its own."""
    shared = "prompts:\n  broken: {family: named_sequences, members: numerals}\n"
    suite = f"include: [shared.yaml]\nsuite: S\n{HEAD}claims:\n  yes: {{claim: It is., {TRUE}}}\n"
    project(tmp_path, one=suite, two=suite, shared=shared)
    assert main(["lint"]) == 1
    out = capsys.readouterr().out
    assert [line.split(" ")[0] for line in out.splitlines() if line.startswith("hypotheses/") and ": power: " not in line] == [
        "hypotheses/one.yaml:1:11:", "hypotheses/shared.yaml:2:20:", "hypotheses/two.yaml:1:11:"
    ]  # fmt: skip


def test_lint_takes_files_and_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Named twice they count once; hidden files and other files are left alone."""
    folder = project(tmp_path, good=GOOD) / "hypotheses"
    (folder / ".hidden.yaml").write_text("x: [")
    (folder / "notes.txt").write_text("x: [")
    assert main(["lint", "hypotheses", "hypotheses/good.yaml"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["1 suite, 1 claim, 0 faults"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lint"], "circuits: there is no hypotheses here; name a suite or a folder of suites: circuits lint PATH"),
        (["lint", "nope.yaml"], "circuits: there is no nope.yaml"),
        (["lint", "."], "circuits: there is no suite (.yaml or .yml) in ."),
        (["lint", "--circuit-model", "gpt2", "."], "circuits: --circuit-model gpt2: write NAME=PLACE, such as"),
        (
            ["models", "--circuit-model", "gpt2=/nowhere"],
            "circuits: --circuit-model gpt2=/nowhere: there is no such folder",
        ),
        (["families", "ioy"], "circuits: unknown family 'ioy': did you mean 'ioi'?"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error, with exit status 2."""
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(message)
    assert said.err.count("\n") == 1


def test_lint_says_what_it_could_not_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The heads of a hub model that was never seen are unchecked, not faults."""
    project(tmp_path, hub=GOOD.replace("model: reference", "model: {hub: someone/something, revision: main}"))
    assert main(["lint"]) == 0
    assert "someone/something: its shape is not known here, so its heads are unchecked\n" in capsys.readouterr().out


def test_models_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """Each with its shape, whether its weights are here, and its digest."""
    assert main(["models"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert set(REGISTRY) <= set(lines)
    assert "30 x 9 (3 k/v)" in lines["smollm2-135m"]
    assert "downloaded on first use with pip (93 MB)" in lines["smollm2-135m:"]
    assert "b179c9523d0e" in lines["smollm2-135m"]
    assert "12 x 12" in lines["gpt2"]
    assert "not cached" in lines["gpt2:"]
    assert "always here" in lines["reference:"]
    assert max(map(len, lines["smollm2-135m"].splitlines())) <= 79  # a narrow terminal holds the table


def test_families_are_described(capsys: pytest.CaptureFixture[str]) -> None:
    """Parameters with kind and default, roles, foil and corruption of each."""
    assert main(["families"]) == 0
    out = capsys.readouterr().out
    for name, family in FAMILIES.items():
        part = out.split(f"{name}: {family.doc}\n", 1)[1].split("\n\n", 1)[0]
        for parameter in family.parameters:
            assert f"  {parameter.name} ({parameter.kind}" in part
        assert f"  foil: {family.foil}" in part
        assert f"  corrupted partner: {family.corruption}" in part
        assert "  roles: " in part
    assert main(["families", "ioi"]) == 0
    assert capsys.readouterr().out.startswith("ioi: ")


def test_report_renders_the_pages_anew(cold: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """From results.json alone: a page that was spoilt is as it was."""
    folder = cold.folder / "reports"
    page = folder / "hypotheses--all.md"
    before = page.read_text()
    page.write_text(before.splitlines()[0] + "\nspoilt\n")
    assert main(["report", str(folder)]) == 0
    assert page.read_text() == before
    assert capsys.readouterr().out == f"4 pages written, first of them {folder / 'README.md'}\n"


@pytest.mark.parametrize(("text", "status"), [(None, 1), ("{", 2), ('{"format": 7}', 2)])
def test_report_needs_a_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, status: int
) -> None:
    """A record that is missing or cannot be read is one line that says what to do."""
    if text is not None:
        (tmp_path / "reports").mkdir()
        (tmp_path / "reports" / "results.json").write_text(text)
    assert main(["report"]) == status
    said = capsys.readouterr().err
    assert said.startswith("circuits: ")
    assert "results.json" in said
    assert said.count("\n") == 1


def test_version_and_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """--version is the distribution's name and version; no command is a usage error."""
    from circuits import __version__

    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"pytest-circuits {__version__}\n"
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == 2


def test_the_command_loads_nothing_heavy(tmp_path: Path) -> None:
    """A lint of suites imports no torch; the module itself nothing but the standard library."""
    project(tmp_path, good=GOOD)
    code = (
        "import sys, circuits.cli\n"
        "print({'numpy', 'yaml', 'torch'} & set(sys.modules))\n"
        "status = circuits.cli.main(['lint'])\n"
        "print({'torch', 'transformers', 'scipy', 'pandas', 'matplotlib'} & set(sys.modules), status)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True
    )
    found = [line for line in done.stdout.splitlines() if ": power: " not in line]
    assert found == ["set()", "1 suite, 1 claim, 0 faults", "set() 0"], done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_may_stop_early(tmp_path: Path, unbuffered: str) -> None:
    """circuits families | head: no traceback, whether what was said waits for the end or not."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "circuits.cli", "families"], cwd=tmp_path, env={**environment(tmp_path), "PYTHONUNBUFFERED": unbuffered},
        stdout=write, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    os.close(write)
    assert done.stderr == ""


def test_lint_says_what_every_claim_meets_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A prompt set with a fault cannot be used by any claim: the first of them is shown, the others are counted with their lines."""
    claims = "\n".join(
        f"  c{k}: {{claim: It is., head: '0.0', prompts: p, attends: any -> n-1, at_least: 0.1}}" for k in range(6)
    )
    project(
        tmp_path,
        s=f"suite: S\nmodel: reference\nprompts:\n  p: {{family: repeated_tokens, lenght: 4}}\nclaims:\n{claims}\n",
    )
    assert main(["lint"]) == 1
    out = capsys.readouterr().out
    assert out.count("prompt set 'p' cannot be used: it has a fault on line 4") == 1
    assert "    the same 5 times more, on lines 7, 8, 9, 10, 11\n" in out
    assert out.endswith("1 suite, 6 claims, 7 faults\n")


@pytest.mark.parametrize("deep", ["", "hypotheses", "hypotheses/more"])
def test_the_report_is_found_from_a_folder_of_the_project(
    tmp_path: Path, deep: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where pytest, run from there, wrote it: not beyond the project's root, nor where another folder is named."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "hypotheses" / "more").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / deep)
    assert report_folder(None) == Path("reports")
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "results.json").write_text("{}")
    assert report_folder(None).resolve() == (tmp_path / "reports").resolve()
    assert report_folder("other") == Path("other")
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "pyproject.toml").write_text("")
    monkeypatch.chdir(inner)
    assert report_folder(None) == Path("reports")
