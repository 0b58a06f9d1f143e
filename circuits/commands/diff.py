"""``circuits diff``: what a change did to the claims, without measuring."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from circuits.commands.common import FOUND, OK, add, say

if TYPE_CHECKING:
    from circuits.commands.common import Commands

_STATUS = """
status:
  0  no difference that matters (numbers that moved under the same verdict, and other code, are said but do not count)
  1  claims were added, removed or renamed, ask or expect something else, have another verdict, or run on other weights
  2  OLD or NEW is no file, no folder and no commit, or cannot be read"""


def arguments(commands: Commands) -> None:
    """Its arguments."""
    parser = add(
        commands, "diff", "what a change did to the claims: weakened, strengthened, flipped; measures nothing",
        """circuits diff main
circuits diff HEAD~1 HEAD --markdown
circuits diff HEAD:reports/results.json reports
circuits diff runs/friday reports --json""",
    )  # fmt: skip
    parser.description = f"{parser.description}\n{_STATUS}"  # the examples come last
    what = "a results.json, a report folder, a project's folder, or a commit (REF, or REF:PATH of its results.json)"
    parser.add_argument("old", metavar="OLD", help=what)
    parser.add_argument("new", metavar="NEW", nargs="?", default=".", help="the same (default: the working tree here)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as data: docs/diff.md says what each key is")
    form.add_argument("--markdown", action="store_true", help="as a pull request comment, below 65,000 characters")


def run(given: argparse.Namespace) -> int:
    """1 where something that matters is other."""
    from circuits.commands.project import working_extensions
    from circuits.diff.compare import compare
    from circuits.diff.show import as_data, as_markdown, as_text
    from circuits.diff.side import read_side
    from circuits.items import knowledge

    know = knowledge(extra=working_extensions())
    old, new = (read_side(text, Path.cwd(), know) for text in (given.old, given.new))
    found = compare(old, new)
    if given.json:
        say(json.dumps(as_data(found), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        say((as_markdown if given.markdown else as_text)(found).rstrip("\n"))
    return FOUND if found.matters else OK
