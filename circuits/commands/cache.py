"""``circuits cache``: what is kept of measurements in the user's cache folder."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from circuits.commands.common import OK, add, plural, say

if TYPE_CHECKING:
    from circuits.commands.common import Commands


def arguments(commands: Commands) -> None:
    """Its arguments."""
    parser = add(
        commands, "cache", "what is kept of measurements, and how much; or empty it",
        "circuits cache info\ncircuits cache clear\ncircuits cache clear --models",
    )  # fmt: skip
    parser.add_argument(
        "action", choices=("info", "clear"), help="info: how much there is; clear: remove measured values"
    )
    parser.add_argument("--models", action="store_true", help="with clear: also converted models")


def run(given: argparse.Namespace) -> int:
    """0."""
    return cache(given.action, models=given.models)


def cache(action: str, *, models: bool = False) -> int:
    """``info``: each kind of kept things, its size and where it is; ``clear``: remove them. 0."""
    from datetime import UTC, datetime

    from circuits.store import SIZE_VARIABLE, VALUES_VARIABLE, allowed, clear, in_words, parts

    if action == "clear":
        say(f"{in_words(clear(models=models))} removed")
        return OK
    for part in parts():
        oldest = f", oldest used {datetime.fromtimestamp(part.oldest, UTC):%Y-%m-%d}" if part.oldest is not None else ""
        say(f"{part.name:8}{in_words(part.size):>10}  {plural(part.files, 'file')}{oldest}  {part.folder}")
    say(
        f"values and answers may take {in_words(allowed())} ({SIZE_VARIABLE}); what was not used for longest goes first"
    )
    say(f"{VALUES_VARIABLE} names another folder for them")
    return OK
