"""``circuits cache``: what is kept of measurements in the user's cache folder."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from circuits.commands.common import OK, add, plural, say, say_json

if TYPE_CHECKING:
    from circuits.commands.common import Commands
    from circuits.store import Part


def arguments(commands: Commands) -> None:
    """Its arguments."""
    parser = add(
        commands, "cache", "what is kept of measurements, and how much; or empty it",
        "circuits cache info\ncircuits cache info --json\ncircuits cache clear\ncircuits cache clear --models",
    )  # fmt: skip
    parser.add_argument(
        "action", choices=("info", "clear"), help="info: how much there is; clear: remove measured values"
    )
    parser.add_argument("--models", action="store_true", help="with clear: also converted models")
    parser.add_argument("--json", action="store_true", help="the same for programs")


def run(given: argparse.Namespace) -> int:
    """0."""
    return cache(given.action, models=given.models, as_json=given.json)


def cache(action: str, *, models: bool = False, as_json: bool = False) -> int:
    """``info``: each kind of kept things, its size and where it is; ``clear``: remove them. 0."""
    from datetime import UTC, datetime

    from circuits.store import SIZE_VARIABLE, VALUES_VARIABLE, allowed, clear, in_words, parts

    if action == "clear":
        removed = clear(models=models)
        if as_json:
            say_json({"removed": removed})
        else:
            say(f"{in_words(removed)} removed")
        return OK
    if as_json:
        say_json({"parts": [_part_data(part) for part in parts()], "allowed": allowed()})
        return OK
    for part in parts():
        oldest = f", oldest used {datetime.fromtimestamp(part.oldest, UTC):%Y-%m-%d}" if part.oldest is not None else ""
        say(f"{part.name:8}{in_words(part.size):>10}  {plural(part.files, 'file')}{oldest}  {part.folder}")
    say(
        f"values and answers may take {in_words(allowed())} ({SIZE_VARIABLE}); what was not used for longest goes first"
    )
    say(f"{VALUES_VARIABLE} names another folder for them")
    return OK


def _part_data(part: Part) -> dict[str, Any]:
    """One kind of kept things; ``oldest``: when the oldest was last used, in seconds since the epoch."""
    return {
        "name": part.name,
        "folder": str(part.folder),
        "files": part.files,
        "bytes": part.size,
        "oldest": part.oldest,
    }
