"""``circuits lint``: everything that is wrong in suites, without weights."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from circuits.commands.common import FOUND, OK, add, fail, plural, say, say_json, suites_in

if TYPE_CHECKING:
    from circuits.claims.claim import Claim, Suite
    from circuits.claims.load import Knowledge
    from circuits.commands.common import Commands
    from circuits.errors import Fault


def arguments(commands: Commands) -> None:
    """Its arguments."""
    parser = add(
        commands, "lint", "say everything that is wrong in suites; needs no weights",
        """circuits lint
circuits lint hypotheses/smollm2 my_suite.yaml
circuits lint --json
circuits lint --circuit-model gpt2=~/models/gpt2 hypotheses/gpt2""",
        model=True,
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="the faults for programs: file, line, column, message, ...")
    parser.add_argument("paths", nargs="*", metavar="PATH", help="suites, or folders of them (default: hypotheses)")


def run(given: argparse.Namespace) -> int:
    """1 when there is a fault, 2 for a path that is not there and where there is no suite."""
    from circuits.errors import garbage_kept

    with garbage_kept():
        return lint(given.paths, given.circuit_model, as_json=given.json)


def lint(paths: Sequence[str], places: Sequence[str] = (), *, as_json: bool = False) -> int:
    """Print every fault and warning of the suites, then the counts. 1 when there is a fault, 2 for a bad path or no suite.

    What a claim with ``expect: invalid`` is refused for is no fault; that it is not refused is one.
    """
    from circuits.commands.project import project_extensions
    from circuits.foresight import own_warnings, power_line, power_warnings, uniform_warnings
    from circuits.items import knowledge, load
    from circuits.models.source import parse_override

    overrides = dict(parse_override(text) for text in places)
    files: list[Path] = []
    for text in paths or ["hypotheses"]:
        path = Path(text)
        if not path.exists():
            hint = "" if paths else " here; name a suite or a folder of suites: circuits lint PATH"
            return fail(f"there is no {text}{hint}")
        files += sorted(suites_in(path)) if path.is_dir() else [path]
    files = list(dict.fromkeys(files))
    if not files:
        return fail(f"there is no suite (.yaml or .yml) in {', '.join(paths or ['hypotheses'])}")
    know = knowledge(overrides, project_extensions(files))
    if as_json:
        return _as_json(files, know)
    said: set[str] = set()
    faults = claims = 0
    unchecked: set[str] = set()
    for path in files:
        suite = load(path, know, str(path))
        claims += len(suite.claims)
        found = _problems(suite)
        lines = _repeated(found)
        for problem in found:
            text = problem.render()
            if text not in said:  # an included file's faults are those of each suite that includes it
                said.add(text)
                faults += 1
                others = lines.get((problem.message, problem.hint), [])
                if not others:
                    say(text + "\n")
                elif problem.where.line == others[0]:  # the first of many alike stands for all
                    more = ", ".join(map(str, others[1:_MOST_LINES])) + (", ..." if len(others) > _MOST_LINES else "")
                    say(f"{text}\n    the same {len(others) - 1} times more, on lines {more}\n")
        shape = know.shape(suite.model, path.parent) if suite.model is not None else None
        heads = shape[0] * shape[1] if shape is not None else None
        foreseen = (
            *own_warnings(suite, know.dry), *power_warnings(suite, heads), *uniform_warnings(suite, know.dry)
        )  # fmt: skip
        for warning in (*_warnings(suite), *foreseen):
            say(warning + "\n")
        line = power_line(suite, heads)
        if line is not None:
            say(line)
        unchecked |= _unchecked(suite, know, path)
    for name in sorted(unchecked):
        say(f"{name}: its shape is not known here, so its heads are unchecked")
    say(f"{plural(len(files), 'suite')}, {plural(claims, 'claim')}, {plural(faults, 'fault')}")
    return FOUND if faults else OK


def _as_json(files: Iterable[Path], know: Knowledge) -> int:
    """A list of the faults, each once; warnings and what power is foreseen are for people."""
    from circuits.items import load

    found = {problem: None for path in files for problem in _problems(load(path, know, str(path)))}
    say_json(
        [
            {
                "file": fault.where.file,
                "line": fault.where.line,
                "column": fault.where.column,
                "message": fault.message,
                "hint": fault.hint or None,
                "excerpt": fault.source or None,
            }
            for fault in found
        ]
    )
    return FOUND if found else OK


_MOST_ALIKE, _MOST_LINES = 3, 12


def _repeated(found: Iterable[Fault]) -> dict[tuple[str, str], list[int]]:
    """The lines of faults that come more than ``_MOST_ALIKE`` times: one mistake, most often, that every claim meets."""
    lines: dict[tuple[str, str], list[int]] = {}
    for fault in found:
        lines.setdefault((fault.message, fault.hint), []).append(fault.where.line)
    return {key: each for key, each in lines.items() if len(each) > _MOST_ALIKE}


def _problems(suite: Suite) -> list[Fault]:
    from circuits.errors import Fault

    found = list(suite.faults)
    for claim in suite.claims:
        if claim.expect.kind != "invalid":
            found += claim.faults
        elif not claim.faults:
            message = f"claim {claim.id!r} is expected to be invalid, but nothing is wrong with it"
            found.append(Fault(claim.where, message, _source_line(claim), len(claim.id)))
    return sorted(found, key=lambda fault: (fault.where.file, fault.where.line, fault.where.column))


def _source_line(claim: Claim) -> str:
    return claim.yaml.split("\n", 1)[0]


def _warnings(suite: Suite) -> Iterator[str]:
    for text in getattr(suite, "warnings", ()):
        yield f"{suite.path}: warning: {text}"
    for claim in suite.claims:
        for text in claim.warnings:
            yield f"{claim.where}: warning: {claim.id}: {text}"


def _unchecked(suite: Suite, know: Knowledge, path: Path) -> set[str]:
    from circuits.entries import model_name

    name = model_name(suite)
    if name is None or not suite.claims or know.shape(suite.model, path.parent) is not None:
        return set()
    return {name}
