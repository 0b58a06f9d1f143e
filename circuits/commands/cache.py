"""``circuits cache``: what is kept of measurements in the user's cache folder."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuits.commands.common import OK, add, fail, plural, say, say_json, suites_in

if TYPE_CHECKING:
    from circuits.commands.common import Commands
    from circuits.store import Part


def arguments(commands: Commands) -> None:
    """Its arguments."""
    parser = add(
        commands, "cache", "what is kept of measurements, and how much; or empty it",
        "circuits cache info\ncircuits cache info --json\ncircuits cache clear\ncircuits cache clear --models\ncircuits cache key hypotheses",
    )  # fmt: skip
    parser.add_argument(
        "action",
        choices=("info", "clear", "key"),
        help="info: how much there is; clear: remove measured values; key: what a CI job's cache should be named by",
    )
    parser.add_argument(
        "paths", nargs="*", metavar="PATH", help="with key: suites, or folders of them (default: hypotheses)"
    )
    parser.add_argument("--models", action="store_true", help="with clear: also converted models")
    parser.add_argument("--json", action="store_true", help="the same for programs")


def run(given: argparse.Namespace) -> int:
    """0; with key 2 for a path that is not there."""
    if given.action == "key":
        return key(given.paths or ["hypotheses"])
    if given.paths:
        return fail(f"cache {given.action} takes no path: {given.paths[0]}")
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


def key(paths: Sequence[str]) -> int:
    """Two lines, for a CI job's cache: ``models=`` names the weights that the suites need, ``code=`` what values depend on.

    Weights that lie in the project, and the reference model, need no cache and are left out. 2 for a path that is not there.
    """
    from circuits.errors import CircuitsError
    from circuits.items import items_of, knowledge, load, other_models
    from circuits.models.source import resolve
    from circuits.store import code_digest, digest_of

    known, found = knowledge(), set()
    for text in paths:
        if not Path(text).exists():
            return fail(f"there is no {text}")
        for path in suites_in(Path(text)) if Path(text).is_dir() else [Path(text)]:
            suite = load(path, known, str(path))
            specs = [spec for item in items_of(suite, path.parent) for spec in other_models(item)]
            for spec in (suite.model, *specs):
                try:
                    source = resolve(spec, {}, path.parent, hashes=False) if spec is not None else None
                except CircuitsError:
                    continue  # lint says what is wrong
                if source is not None and source.kind in ("wheel", "hub"):
                    # A branch of a hub model is named by itself: which commit it is now, only the hub knows.
                    found.add(source.digest if source.digest and source.verified else source.where)
    say(f"models={digest_of(sorted(found))[:16]}")
    say(f"code={code_digest()[:16]}")
    return OK
