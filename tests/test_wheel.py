"""The wheel: what is in it, and that it works where there is no checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
DATA = (".json", ".css", ".js", ".html", ".svg", ".typed")  # files beside modules that the package reads


def run(command: list[str | Path], folder: Path, **more: str) -> str:
    """What a command says; its status must be 0. Nothing but the environment's own packages can be imported."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PYTHON", "COV_"))}
    done = subprocess.run(
        [str(part) for part in command], cwd=folder, env=kept | more, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of the checkout (building writes beside the sources)."""
    pytest.importorskip("build", reason='needs the dev extra: pip install -e ".[dev]"')
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "circuits", source / "circuits", ignore=shutil.ignore_patterns("__pycache__"))
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", target]
    run(command, source, PYTHONPATH=os.environ.get("PYTHONPATH", ""))
    return next(target.glob("*.whl"))


def test_every_module_and_data_file_is_inside(wheel: Path) -> None:
    """Whatever lies in the package and is code or data of it is in the wheel, and nothing else but its metadata."""
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if not name.endswith("/")}
    wanted = {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "circuits").rglob("*") if path.suffix in (".py", *DATA)
    }
    assert wanted <= inside, sorted(wanted - inside)
    others = {name for name in inside - wanted if ".dist-info/" not in name}
    assert not others and "circuits/py.typed" in inside


def test_the_metadata_says_what_it_is(wheel: Path) -> None:
    """Name, version, licence, Python, and the entry points of pytest and the command line."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        facts = next(name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(facts).decode())
        points = archive.read(facts.replace("METADATA", "entry_points.txt")).decode()
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert metadata["Name"] == project["name"] and metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == project["requires-python"]
    assert (
        metadata["Version"] in wheel.name and f"version: {metadata['Version']}\n" in (ROOT / "CITATION.cff").read_text()
    )
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "[pytest11]" in points and "circuits = circuits.cli:main" in points
    needed = {line.split(";")[0].strip() for line in metadata.get_all("Requires-Dist") or [] if "extra ==" not in line}
    assert len(needed) == len(project["dependencies"])


def test_an_installed_wheel_checks_a_suite(wheel: Path, tmp_path: Path) -> None:
    """In a fresh environment and an empty folder a suite is linted, run and reported; no checkout is at hand."""
    place, work = tmp_path / "env", tmp_path / "work"
    run([sys.executable, "-m", "venv", "--without-pip", place], tmp_path)
    python = place / "bin" / "python"
    run([sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", wheel], tmp_path)
    # The heavy dependencies are this environment's; a line of a .pth file does not read the .pth files that lie there.
    site = Path(run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], tmp_path).strip())
    (site / "dependencies.pth").write_text("\n".join(dict.fromkeys(map(sysconfig.get_path, ("purelib", "platlib")))))
    (work / "hypotheses").mkdir(parents=True)
    (work / "hypotheses" / "first.yaml").write_text(
        "suite: First\nmodel: reference\nsampling: {min: 8, max: 32}\n"
        "prompts: {numerals: {family: named_sequence, members: numerals}}\n"
        "claims:\n  a: {claim: A., head: '0.0', prompts: numerals, attends: any -> n-1, at_least: 0.5}\n"
    )
    where = run([python, "-c", "import circuits; print(circuits.__file__)"], work).strip()
    assert Path(where).is_relative_to(site)
    assert "1 suite, 1 claim, 0 faults" in run([place / "bin" / "circuits", "lint"], work)
    kept = {"CIRCUITS_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    said = run([python, "-m", "pytest", "hypotheses"], work, **kept)
    assert "SUPPORTED     a" in said and "1 passed" in said
    assert "a: SUPPORTED" in (work / "reports" / "hypotheses--first.md").read_text()
