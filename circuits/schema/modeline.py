"""The first line of a suite, by which an editor finds the schema."""

from __future__ import annotations

from pathlib import Path

FILE = "suite.schema.json"
"""What ``circuits schema`` is told to write in a folder of suites."""
_ROOTS = ("pyproject.toml", ".git")
_START = "# yaml-language-server: $schema="


def pointing_at(schema: str) -> str:
    """The line for a schema at this place, which is relative to the suite."""
    return f"{_START}{schema}"


def schema_for(suite: Path) -> str | None:
    """The place of the schema of a suite at ``suite``, relative to it: that of another suite of its folder, else the nearest file.

    A file is looked for in the suite's folder and those above it, up to the project's or the working folder. None: there is none.
    """
    folder, here = suite.resolve().parent, Path.cwd().resolve()
    for other in sorted(folder.glob("*.yaml")):
        with other.open(encoding="utf-8", errors="replace") as stream:
            line = stream.readline().strip()
        if line.startswith(_START):
            return line.removeprefix(_START)
    for up, each in enumerate((folder, *folder.parents)):
        if (each / FILE).is_file():
            return "../" * up + FILE
        if each == here or any((each / name).exists() for name in _ROOTS):
            return None
    return None
