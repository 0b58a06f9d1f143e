"""What the commands share: statuses, saying and failing, looking for suites."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

SUFFIXES = (".yaml", ".yml")
OK, FOUND, USAGE = 0, 1, 2
"""Fine; faults found, or nothing there; not to be understood."""


def add(commands: Commands, name: str, help: str, examples: str, *, model: bool = False) -> argparse.ArgumentParser:
    """A command's parser, with examples after its options. ``model``: it takes ``--circuit-model``."""
    parser = commands.add_parser(
        name,
        help=help,
        description=help[0].upper() + help[1:] + ".",
        epilog="examples:\n" + "\n".join(f"  {line}" for line in examples.strip().splitlines()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if model:
        parser.add_argument(
            "--circuit-model", metavar="NAME=PLACE", action="append", default=[], help="a model's folder or .gguf file"
        )
    return parser


def say(text: str = "") -> None:
    """A line on standard output."""
    sys.stdout.write(f"{text}\n")


def say_json(value: Any) -> None:
    """Plain data as JSON on standard output, for programs."""
    import json

    say(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False))


def fail(text: str, status: int = USAGE) -> int:
    """A line on standard error, behind what was said; returns the status."""
    sys.stdout.flush()
    sys.stderr.write(f"circuits: {text}\n")
    return status


def plural(count: int, noun: str) -> str:
    """``1 claim``, ``2 claims``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def suites_in(folder: Path) -> Iterator[Path]:
    """The YAML files below a folder, hidden ones left out."""
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in SUFFIXES and path.is_file() and not hidden:
            yield path
