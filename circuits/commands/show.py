"""``circuits show``: one claim of a report in the terminal."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuits.commands.common import FOUND, OK, USAGE, add, complete, fail, plural, report_folder, say_json

if TYPE_CHECKING:
    from circuits.commands.common import Commands


def arguments(commands: Commands) -> None:
    """Its arguments."""
    parser = add(
        commands, "show", "one claim of a report: numbers, controls, where its heads look, figures, YAML",
        """circuits show
circuits show redundant-pair
circuits show number_sequences.yaml::10.1-looks-two-back
circuits show --json 'head-14.3-number-to-number[numerals]'""",
    )  # fmt: skip
    claim = parser.add_argument(
        "claim", nargs="?", metavar="CLAIM", help="a node id, an id, or any part of it (default: list all claims)"
    )
    complete(claim, completions)
    parser.add_argument(
        "--report", metavar="DIR", help="the folder of the report (default: reports, here or above in this project)"
    )
    parser.add_argument("--json", action="store_true", help="the claim's part of results.json")


def run(given: argparse.Namespace) -> int:
    """1 where there is no results.json, 2 where not exactly one claim is meant."""
    return show(given.claim, report_folder(given.report), as_json=given.json)


def show(text: str | None, folder: Path, *, as_json: bool = False) -> int:
    """Print the claim that ``text`` means (None: the list of all)."""
    from circuits.commands import paint
    from circuits.report.record import load_record
    from circuits.report.show import claim_lines, find_claims, list_lines, near_claims

    place = folder / "results.json"
    if not place.is_file():
        return fail(f"there is no {place}: `pytest hypotheses/` writes it; another folder: --report DIR", FOUND)
    record = load_record(place)
    claims = record["claims"]
    found = sorted(claims) if text is None else find_claims(claims, text)
    if text is None:
        if as_json:
            say_json([{"node_id": node, "verdict": claims[node].get("verdict")} for node in found])
        else:
            paint.show(list_lines(claims, found))
        return OK
    if not found:
        near = " or ".join(map(repr, near_claims(claims, text)))
        return fail(
            f"no claim of {place} has {text!r} in its id: "
            + (f"did you mean {near}?" if near else "`circuits show` alone lists them all")
        )
    if len(found) > 1:
        fail(f"{text!r} is part of {plural(len(found), 'claim')} of {place}; name one of them:")
        paint.show(list_lines(claims, found))
        return USAGE
    if as_json:
        say_json(_data(found[0], record, folder))
    else:
        paint.show(claim_lines(found[0], record, folder, paint.look()))
    return OK


def _data(node: str, record: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The claim with the run and model that it belongs to, and the paths of its figures."""
    from circuits.report.pages import figures_of

    entry = record["claims"][node]
    return {
        "node_id": node,
        "claim": entry,
        "run": record["runs"].get(str(entry.get("run"))),
        "model": record["models"].get(str(entry.get("model"))),
        "figures": [(folder / str(figure["path"])).as_posix() for figure in figures_of(entry)],
    }


def completions(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """The ids of the report's claims, for the shell."""
    from circuits.errors import CircuitsError
    from circuits.report.record import load_record
    from circuits.report.show import claim_names

    try:
        return claim_names(load_record(report_folder(parsed_args.report) / "results.json")["claims"])
    except (CircuitsError, OSError):
        return []
