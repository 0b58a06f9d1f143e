"""What the shell completes; and every command's help: examples that work, and JSON where programs read."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests_of_plugin import GOOD, NOWHERE, Run, environment, project

from circuits.cli import COMMANDS, main

SHELL = """
source <(circuits completion bash)
COMP_LINE="$1"; COMP_POINT=${#1}; COMP_TYPE=9
read -ra COMP_WORDS <<< "$1"
[[ "$1" == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_python_argcomplete circuits "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""
NOT_HERE = ("fetch", "gpt2", "smollm2-135m", "EleutherAI", "diff main", "HEAD")
"""What an example needs that no test has: a network, weights, or a repository's history."""


def with_command(folder: Path) -> dict[str, str]:
    """An environment in which ``circuits`` is this package's command."""
    place = folder / "bin" / "circuits"
    place.parent.mkdir(exist_ok=True)
    place.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m circuits.cli "$@"\n')
    place.chmod(0o755)
    path = f"{place.parent}{os.pathsep}{os.environ['PATH']}"
    return environment(folder, PATH=path, HOME=str(folder), CIRCUITS_CACHE=str(folder / "cache"))


@pytest.fixture
def shell(cold: Run, tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A project with a report, and the environment of a shell in it."""
    shutil.copytree(cold.folder / "reports", tmp_path / "reports")
    project(tmp_path, good=GOOD)
    return tmp_path, with_command(tmp_path)


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("circuits mod", ["models"]),
        ("circuits completion z", ["zsh"]),
        ("circuits lint --j", ["--json"]),
        ("circuits lint hyp", ["hypotheses/"]),
        ("circuits models fetch s", ["smollm2-135m"]),
        ("circuits explain x --model r", ["reference"]),
        ("circuits families io", ["ioi"]),
        ("circuits explain x --family named", ["named_sequence"]),
        ("circuits explain x --family ioi templ", ["templates="]),
        ("circuits show surp", ["surprise"]),
        ("circuits show nothing-like-this", []),
    ],
)
def test_bash_completes(line: str, offered: list[str], shell: tuple[Path, dict[str, str]]) -> None:
    """Commands, options, files, models, families and their parameters, claims of the report."""
    folder, env = shell
    done = subprocess.run(
        ["bash", "-c", SHELL, "bash", line], cwd=folder, env=env, capture_output=True, text=True, timeout=60
    )
    assert [word for word in done.stdout.replace(" \n", "\n").splitlines() if word] == offered, done.stderr


def test_bash_knows_the_command(shell: tuple[Path, dict[str, str]]) -> None:
    """The script registers a completion for circuits."""
    folder, env = shell
    script = 'eval "$(circuits completion bash)"; complete -p circuits'
    done = subprocess.run(["bash", "-c", script], cwd=folder, env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout.endswith(" -F _python_argcomplete circuits\n"), done.stderr


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_takes_the_script(shell: tuple[Path, dict[str, str]]) -> None:
    """After compinit, sourcing it defines a completion for circuits."""
    folder, env = shell
    script = 'autoload -Uz compinit; compinit -D -u; eval "$(circuits completion zsh)"; print $_comps[circuits]'
    done = subprocess.run(["zsh", "-f", "-c", script], cwd=folder, env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout == "_python_argcomplete\n", done.stderr


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_completes(shell: tuple[Path, dict[str, str]]) -> None:
    """A model's name and a command, by fish itself."""
    folder, env = shell
    script = 'circuits completion fish | source; complete -C "circuits models fetch s"; complete -C "circuits comp"'
    done = subprocess.run(["fish", "-N", "-c", script], cwd=folder, env=env, capture_output=True, text=True, timeout=60)
    assert [line.split("\t")[0].strip() for line in done.stdout.splitlines()] == ["smollm2-135m", "completion"], (
        done.stderr
    )


def test_without_the_library_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line and exit status 2; every other command works without it."""
    monkeypatch.setitem(sys.modules, "argcomplete", None)
    assert main(["completion", "bash"]) == 2
    assert capsys.readouterr().err == "circuits: completion needs the package argcomplete: pip install argcomplete\n"
    assert main(["families", "ioi"]) == 0


def examples(name: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines below "examples:" in a command's help."""
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0
    return [line.strip() for line in capsys.readouterr().out.partition("examples:\n")[2].splitlines() if line.strip()]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_of_a_command_work(
    name: str, shell: tuple[Path, dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Each line that needs no network and no weights, typed in a shell in this repository's layout, exits with 0."""
    lines = examples(name, capsys)
    assert lines
    assert all("circuits " in line for line in lines)
    run = [line for line in lines if not any(word in line for word in NOT_HERE)]
    assert run
    folder, env = shell
    root = Path(__file__).resolve().parent.parent
    shutil.rmtree(folder / "hypotheses")
    for part in ("hypotheses", "reports"):
        shutil.copytree(root / part, folder / part, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.png"))
    shutil.copytree(folder / "reports", folder / "runs" / "friday")
    (folder / "my_suite.yaml").write_text(f"{GOOD}")
    (folder / ".config" / "fish" / "completions").mkdir(parents=True)
    script = "set -e\n" + "\n".join(f"echo '$ '{index} >&2\n{line}" for index, line in enumerate(run))
    done = subprocess.run(["bash", "-c", script], cwd=folder, env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, f"{run}\n{done.stderr}"


def test_every_command_has_its_place_in_the_docs() -> None:
    """docs/commands.md names each command in its table."""
    text = (Path(__file__).resolve().parent.parent / "docs" / "commands.md").read_text(encoding="utf-8")
    table = "\n".join(line for line in text.splitlines() if line.startswith("| `circuits "))
    assert not [name for name in COMMANDS if f"`circuits {name}" not in table]


def test_lint_for_programs_lists_each_fault_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """File, line, column, message, hint and the line itself; exit status 1, and [] with 0 where nothing is wrong."""
    monkeypatch.chdir(project(tmp_path, good=GOOD))
    assert main(["lint", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    bad = GOOD.replace("claim: It is., ", "claim: It is., atleast: 3, ")
    project(tmp_path, good=bad)
    assert main(["lint", "--json", "hypotheses", "hypotheses/good.yaml"]) == 1
    (fault,) = json.loads(capsys.readouterr().out)
    line = next(number for number, text in enumerate(bad.splitlines(), 1) if "atleast" in text)
    source = bad.splitlines()[line - 1]
    assert fault == {
        "file": "hypotheses/good.yaml", "line": line, "column": source.index("atleast") + 1, "excerpt": source,
        "message": fault["message"], "hint": "did you mean 'at_least'?",
    }  # fmt: skip
    assert fault["message"].startswith("unknown key 'atleast'")


def test_families_and_cache_for_programs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the text says, as data."""
    for name, value in {**NOWHERE, "CIRCUITS_CACHE": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(name, value)
    assert main(["families", "named_sequence", "--json"]) == 0
    (family,) = json.loads(capsys.readouterr().out)
    assert family["roles"] == ["is", "member", "name", "period"]
    assert {each["name"]: each["required"] for each in family["parameters"]}["members"] is True
    assert family["requires"] == {"top1": 0.5}
    values = tmp_path / "kept" / "values"
    values.mkdir(parents=True)
    (values / "x").write_bytes(b"12345")
    assert main(["cache", "info", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (part,) = [part for part in found["parts"] if part["name"] == "values"]
    assert (part["files"], part["bytes"], part["folder"]) == (1, 5, str(values))
    assert found["allowed"] == 4 * 2**30
    assert main(["cache", "clear", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"removed": 5}
    assert not values.exists()
