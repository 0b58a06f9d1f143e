"""What the commands share: statuses, saying and failing, looking for suites."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from circuits.models.source import ModelSource

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

SUFFIXES = (".yaml", ".yml")
OK, FOUND, USAGE, INTERRUPTED = 0, 1, 2, 130
"""Fine; faults found, or nothing to show; not to be understood, or nothing to work on; stopped with Ctrl-C."""


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


def complete(action: argparse.Action, by: Callable[..., Iterable[str]]) -> None:
    """What a shell offers for an argument; ``by`` is called with prefix, action, parser and parsed_args."""
    action.completer = by  # type: ignore[attr-defined]  # the attribute that argcomplete looks for


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


ROOTS = ("pyproject.toml", "pytest.ini", ".pytest.ini", "tox.ini", "setup.cfg", "setup.py", ".git")
"""What marks a project's root folder."""


def report_folder(given: str | None) -> Path:
    """Where a report lies: the folder given, else ``reports`` here or in a folder above, up to the project's root.

    That is where a run of pytest from here wrote it; ``reports`` where there is none.
    """
    if given is not None:
        return Path(given)
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "reports" / "results.json").is_file():
            return Path(os.path.relpath(folder / "reports"))
        if any((folder / name).exists() for name in ROOTS):
            break
    return Path("reports")


def pairs(texts: Iterable[str], option: str, form: str) -> dict[str, str]:
    """NAME=VALUE texts as a mapping. CircuitsError for one of another form; ``form`` says what to write."""
    from circuits.errors import CircuitsError

    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise CircuitsError(f"{option} {text}: write {form}")
        found[name.strip()] = value
    return found


def model_named(text: str, places: Iterable[str] = ()) -> ModelSource:
    """The model that a person names: a registry name, a folder, a .gguf file, or a hub id with or without @REVISION.

    ``places`` are ``--circuit-model`` options. ModelInvalid for anything else.
    """
    from circuits.models.source import parse_override, resolve, spec_of

    return resolve(spec_of(text), dict(parse_override(place) for place in places))


def model_names(**_: Any) -> list[str]:
    """The models that have a name, for the shell."""
    from circuits.models.source import REGISTRY

    return sorted(REGISTRY)


def family_names(**_: Any) -> list[str]:
    """The prompt families, for the shell."""
    from circuits.prompts.registry import families

    return sorted(families())


def family_words(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """Of ``NAME KEY=VALUE ...`` what comes next: a family, else its parameters with an equals sign."""
    from circuits.prompts.registry import families

    known, given = families(), getattr(parsed_args, "family", None) or []
    family = known.get(given[0]) if given else None
    return sorted(known) if family is None else [f"{each.name}=" for each in family.parameters]


def tell(text: str) -> None:
    """A line on standard error at once: what is going on."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def plural(count: int, noun: str) -> str:
    """``1 claim``, ``2 claims``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def suites_in(folder: Path) -> Iterator[Path]:
    """The YAML files below a folder, hidden ones left out."""
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in SUFFIXES and path.is_file() and not hidden:
            yield path
