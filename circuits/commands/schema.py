"""``circuits schema``: the claim language as JSON Schema for editors, or as a page."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from circuits.commands.common import OK, add, fail, say

if TYPE_CHECKING:
    from circuits.commands.common import Commands


def arguments(commands: Commands) -> None:
    """Its arguments."""
    parser = add(
        commands, "schema", "the JSON Schema of suites, with which editors complete and check them",
        """circuits schema --out hypotheses/suite.schema.json
circuits schema --project --out hypotheses/suite.schema.json
circuits schema --markdown --out language.md""",
    )  # fmt: skip
    parser.add_argument("--out", metavar="FILE", help="write it to this file (default: standard output)")
    parser.add_argument(
        "--project", metavar="DIR", nargs="?", const=".",
        help="with the families, roles, scores and metrics of this project's conftest.py files (default: this folder)",
    )  # fmt: skip
    parser.add_argument("--markdown", action="store_true", help="the language reference instead, as Markdown")


def run(given: argparse.Namespace) -> int:
    """Print or write the schema, with what is installed here. 2 for a project that is not there."""
    from circuits.commands.project import extensions_of
    from circuits.extensions import extensions
    from circuits.schema.build import suite_schema, text_of
    from circuits.schema.markdown import language_page
    from circuits.schema.modeline import pointing_at

    if given.project is not None and not Path(given.project).is_dir():
        return fail(f"--project {given.project}: there is no such folder")
    own = extensions(extensions_of(Path(given.project)) if given.project is not None else ())
    make = language_page if given.markdown else lambda *known: text_of(suite_schema(*known))
    text = make(own.families, own)
    if given.out is None:
        sys.stdout.write(text)
        return OK
    path = Path(given.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    say(f"wrote {given.out}")
    if not given.markdown:
        say(f"begin each suite of that folder with: {pointing_at(path.name)}")
    return OK
