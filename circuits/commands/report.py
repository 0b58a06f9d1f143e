"""``circuits report``: the pages of a report again, without measuring."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from circuits.commands.common import FOUND, OK, add, fail, plural, report_folder, say

if TYPE_CHECKING:
    from circuits.commands.common import Commands


def arguments(commands: Commands) -> None:
    """Its arguments."""
    parser = add(
        commands, "report", "write the pages of a report anew from its results.json, without measuring",
        "circuits report\ncircuits report runs/friday\ncircuits report --html",
    )  # fmt: skip
    parser.add_argument("folder", nargs="?", metavar="DIR", help="(default: reports, here or above in this project)")
    parser.add_argument("--html", action="store_true", help="also write report.html, one page that needs no other file")


def run(given: argparse.Namespace) -> int:
    """1 where there is no results.json."""
    return report(given.folder, html=given.html)


def report(folder: str | None, *, html: bool = False) -> int:
    """Write the pages of a report folder anew from its results.json. 1 when there is none."""
    from circuits.report.markdown import write_reports
    from circuits.report.record import load_record

    place = report_folder(folder)
    if not (place / "results.json").is_file():
        return fail(f"there is no {place / 'results.json'}: `pytest hypotheses/` writes it", FOUND)
    pages = write_reports(place, load_record(place / "results.json"), html=html)
    whole = f"; all of it on one: {pages[-1]}" if html else ""
    say(f"{plural(len(pages), 'page')} written, first of them {place / 'README.md'}{whole}")
    return OK
