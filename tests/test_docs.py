"""Every block of code in the README and the docs is what it says it is: run, loaded or parsed.

How blocks are marked is said in CONTRIBUTING.md: the language after the backticks, ``no-run: REASON`` behind it, and
``<!-- file: NAME -->`` above a block that is a file of the page's project.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from circuits.claims.load import SUITE_KEYS
from circuits.commands.project import project_extensions
from circuits.items import knowledge, load

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
PYTHON, YAML, SHELL = ("python",), ("yaml",), ("bash", "sh", "console")
SHOWN = ("text", "output")  # what a program said; ``output`` is compared with what it says now
README_COMMANDS = ("pip install -e . && pytest hypotheses/", 'pip install -e ".[dev]" && pytest tests/ -n auto')

_FENCE = re.compile(r"^( *)(`{3,})([^\n`]*)\n(.*?)^ *\2`* *$", re.S | re.M)
_FILE = re.compile(r"<!-- file: (\S+) -->\s*\Z")
_TIMES = re.compile(r"\b\d+\.\d+s( \([^)]*\))?")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, what stands behind it (``no-run: REASON``), its text, the file that it is."""

    language: str
    more: str
    text: str
    line: int
    file: str | None

    @property
    def skipped(self) -> bool:
        return self.more.startswith("no-run")


def blocks(text: str) -> list[Block]:
    """Every fenced block of a page, in order."""
    found = []
    for match in _FENCE.finditer(text):
        language, _, more = match[3].strip().partition(" ")
        named = _FILE.search(text[: match.start()])
        body = re.sub(f"^{match[1]}", "", match[4], flags=re.M)
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(language, more.strip(), body, line, named[1] if named else None))
    return found


def problem(block: Block) -> str | None:
    """What is wrong with how a block is marked; None when the tests know what to do with it."""
    if block.language in (*SHOWN, "diff", "json", "toml", "ini", "html") or block.language in (*PYTHON, *YAML, *SHELL):
        if block.more and not re.match(r"no-run: \S.{5,}", block.more):
            return f"{block.more!r}: write no-run: REASON, or nothing"
        return None
    if not block.language:
        return "it has no language: write ```text for what is only shown"
    return f"nobody knows how to check {block.language!r}"


PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


@PAGE
def test_each_block_is_marked(page: Path) -> None:
    """A block has a language that is run, loaded or parsed, and one that is not run says why."""
    found = [f"{page.name}:{block.line}: {said}" for block in blocks(page.read_text()) if (said := problem(block))]
    assert not found, "\n".join(found)


@PAGE
def test_data_blocks_can_be_read(page: Path) -> None:
    """JSON, TOML, ini and fragments of YAML are what they say they are."""
    for block in blocks(page.read_text()):
        at = f"{page.name}:{block.line}"
        try:
            if block.language == "json" and not block.skipped:
                json.loads(block.text)
            elif block.language == "toml":
                tomllib.loads(block.text)
            elif block.language == "ini":
                configparser.ConfigParser().read_string(block.text)
            elif block.language in YAML and not block.skipped:
                yaml.safe_load(block.text)
        except Exception as error:
            pytest.fail(f"{at}: {error}")


def is_suite(block: Block) -> bool:
    """Whether a block is a whole suite, not a part of one or some other YAML."""
    if block.language not in YAML or block.skipped:
        return False
    keys = yaml.safe_load(block.text)
    return isinstance(keys, dict) and "claims" in keys and set(keys) <= set(SUITE_KEYS)


@PAGE
def test_suites_are_suites(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole suite is loaded without a fault, with what the page's own conftest.py adds."""
    found = blocks(page.read_text())
    write_files(found, tmp_path)
    monkeypatch.chdir(tmp_path)
    files = [(tmp_path / (block.file or f"block_{block.line}.yaml"), block) for block in found if is_suite(block)]
    for path, block in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text)
    know = knowledge(extra=project_extensions(path for path, _ in files))
    for path, block in files:
        faults = [fault.render() for fault in load(path, know, f"{page.name}:{block.line}").all_faults]
        assert not faults, "\n".join(faults)


@PAGE
def test_code_runs(page: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's files, Python and shell blocks are run in order, in a project of their own with the reference suites.

    What an ``output`` block shows is what the shell block before it says now (times aside).
    """
    found = blocks(page.read_text())
    if not any(block.language in (*PYTHON, *SHELL) and not block.skipped for block in found):
        return
    folder = tmp_path_factory.mktemp(page.stem)
    shared = tmp_path_factory.getbasetemp() / "docs-cache"
    if not any(block.file and block.file.startswith("hypotheses/") for block in found):
        shutil.copytree(ROOT / "hypotheses" / "reference", folder / "hypotheses" / "reference")
    shutil.copytree(ROOT / "docs", folder / "docs")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("CIRCUITS_CACHE", str(shared))
    monkeypatch.delenv("CIRCUITS_VALUES", raising=False)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    said = ""
    for block in found:
        at = f"{page.name}:{block.line}"
        if block.file is not None:
            write_files([block], folder)
        elif block.language in PYTHON and not block.skipped:
            exec(compile(block.text, at, "exec"), namespace)
        elif block.language in SHELL and not block.skipped:
            said = shell(block, at, folder)
        elif block.language == "output" and not block.skipped:
            missing = [line for line in comparable(block.text) if line not in comparable(said)]
            assert not missing, f"{at}: not said any more: {missing}\n{said}"


def comparable(text: str) -> list[str]:
    """The lines of a program's output without times and without runs of spaces or marks; ``...`` stands for lines left out."""
    lines = [re.sub(r"[=_\s]+", " ", _TIMES.sub("TIME", line)).strip() for line in text.splitlines()]
    return [line for line in lines if line not in ("", "...")]


def shell(block: Block, at: str, folder: Path) -> str:
    """What a block's commands say, in the order of a terminal. The first that fails ends it; one with ``# exit 1`` must exit so."""
    lines = []
    for line in block.text.splitlines():
        match = re.fullmatch(r"(.*?)  # exit (\d+)", line)
        expected = f"if {match[1]}; then exit 99; else [ $? -eq {match[2]} ]; fi" if match else line
        lines.append(expected)
    done = subprocess.run(
        ["bash", "-ec", "\n".join(lines)], cwd=folder, text=True, env=environment(), timeout=900,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, f"{at}: exit {done.returncode}\n{done.stdout}"
    return done.stdout


def environment() -> dict[str, str]:
    """This process's environment, with this Python's commands first and no colours; a narrow terminal as in the pages."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
    source = f"{ROOT}{os.pathsep}{kept.get('PYTHONPATH', '')}"
    return kept | {"PATH": path, "PYTHONPATH": source, "COLUMNS": "100", "PY_COLORS": "0", "OMP_NUM_THREADS": "1"}


def write_files(found: list[Block], folder: Path) -> None:
    """The blocks that are files of the page's project."""
    for block in found:
        if block.file is not None:
            path = folder / block.file
            assert path.resolve().is_relative_to(folder.resolve())
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)


def test_the_two_commands_of_the_readme_stay() -> None:
    """They are run by the CI script as they stand there."""
    lines = [line.strip() for line in (ROOT / "README.md").read_text().splitlines()]
    script = (ROOT / ".ci" / "run").read_text()
    for command in README_COMMANDS:
        assert command in lines
        assert command.replace("pip install", "pip install -q") in script


@PAGE
def test_links_lead_somewhere(page: Path) -> None:
    """A relative link names a file that is there, and a heading of a page that it has."""
    for target in re.findall(r"\]\(([^)\s]+)\)", _FENCE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), f"{page.name}: {target}"
        if anchor and path.suffix == ".md":
            headings = re.findall(r"^#+ (.*)$", path.read_text(), re.M)
            slugs = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert anchor in slugs or f'id="{anchor}"' in path.read_text(), f"{page.name}: {target}"


def test_every_page_is_in_the_index() -> None:
    """docs/README.md and the README lead to each page."""
    index = (ROOT / "docs" / "README.md").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "README.md" or f"]({page.name})" in index, f"{page.name} is not in docs/README.md"


def test_a_bad_block_would_be_found() -> None:
    """The checks above can fail: an unknown language, no language, and a reason that is none."""
    text = "```\na\n```\n\n```cobol\na\n```\n\n```bash no-run\na\n```\n\n```bash no-run: it takes an hour\na\n```\n"
    assert [problem(block) is None for block in blocks(text)] == [False, False, False, True]
    assert [block.line for block in blocks(text)] == [1, 5, 9, 13]
    assert blocks("<!-- file: a/b.yaml -->\n```yaml\nx: 1\n```\n")[0].file == "a/b.yaml"
