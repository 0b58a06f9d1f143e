"""``circuits schema``: the claim language as JSON Schema for editors, or as a page."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from circuits.commands.common import OK, add, say

if TYPE_CHECKING:
    from circuits.commands.common import Commands


def arguments(commands: Commands) -> None:
    """Its arguments."""
    parser = add(
        commands, "schema", "the JSON Schema of suites, with which editors complete and check them",
        """circuits schema --out hypotheses/suite.schema.json
circuits schema --markdown --out language.md""",
    )  # fmt: skip
    parser.add_argument("--out", metavar="FILE", help="write it to this file (default: standard output)")
    parser.add_argument("--markdown", action="store_true", help="the language reference instead, as Markdown")


def run(given: argparse.Namespace) -> int:
    """Print or write the schema, with the prompt families that are installed here."""
    from circuits.prompts.registry import families
    from circuits.schema.build import suite_schema, text_of
    from circuits.schema.markdown import language_page

    known = families()
    text = language_page(known) if given.markdown else text_of(suite_schema(known))
    if given.out is None:
        sys.stdout.write(text)
        return OK
    path = Path(given.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    say(f"wrote {given.out}")
    if not given.markdown:
        say(f"begin each suite of that folder with: # yaml-language-server: $schema={path.name}")
    return OK
