"""``circuits scan``: which heads of a model stand out on which question, and candidate claims from it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from circuits.commands.common import (
    FOUND,
    INTERRUPTED,
    OK,
    SUFFIXES,
    add,
    complete,
    fail,
    family_names,
    model_names,
    plural,
    say_json,
)
from circuits.commands.status import Status

if TYPE_CHECKING:
    from circuits.claims.load import Knowledge
    from circuits.commands.common import Commands
    from circuits.items import Options
    from circuits.scan.scan import Finding, Scan, Scanner

REPEATS_LENGTH = 50


def arguments(commands: Commands) -> None:
    """Its arguments."""
    parser = add(
        commands, "scan", "rank all heads of a model on scores and on attention between all roles of prompts",
        """circuits scan reference
circuits scan smollm2-135m --prompts named_sequence members=months length=5
circuits scan smollm2-135m --prompts hypotheses/smollm2/shared_prompts.yaml#ioi --map "end -> earlier IO" --out scans
circuits scan smollm2-135m --prompts repeated_tokens --suggest hypotheses/candidates.yaml""",
        model=True,
    )  # fmt: skip
    model = parser.add_argument("model", metavar="MODEL", help="a name, a folder, a .gguf file or a hub id (@REVISION)")
    complete(model, model_names)
    prompts = parser.add_argument(
        "--prompts", metavar="PROMPTS", action="append", nargs="+", default=[],
        help="a family with KEY=VALUE parameters, or FILE.yaml#SET (may be repeated; default: named_sequence)",
    )  # fmt: skip
    complete(prompts, family_names)
    parser.add_argument(
        "--text", metavar="TEXT", action="append", default=[], help="a prompt as it is (may be repeated)"
    )
    parser.add_argument("--seed", type=_least(0), default=0, metavar="N", help="seed of the prompts (default: 0)")
    parser.add_argument("--n", type=_least(1), default=64, metavar="N", help="prompts of each set (default: 64)")
    parser.add_argument("--top", type=_least(1), default=20, metavar="N", help="findings that are shown (default: 20)")
    parser.add_argument("--every", action="store_true", help="all descriptions of a head, not only the best one")
    parser.add_argument(
        "--map",
        metavar="QUESTION",
        action="append",
        default=[],
        help="a layer x head map of a question of the table (may be repeated)",
    )
    parser.add_argument("--json", action="store_true", help="the whole scan on standard output, for programs")
    parser.add_argument(
        "--out", metavar="DIR", help="write scan.json, findings.csv and maps (PNG) of --map, or of the scores, there"
    )
    parser.add_argument("--suggest", metavar="FILE", help="write a suite of candidate claims, checked on another seed")
    parser.add_argument(
        "--device", default="auto", metavar="NAME", help="as --circuit-device of pytest (default: auto)"
    )
    parser.add_argument(
        "--dtype", default="float32", metavar="NAME", help="as --circuit-dtype of pytest (default: float32)"
    )
    parser.add_argument("--no-cache", action="store_true", help="measure everything again, whatever is cached")


def _least(least: int) -> Callable[[str], int]:
    """A whole number of at least ``least``, as argparse asks for it."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
        if value < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}, not {value}")
        return value

    return read


def run(given: argparse.Namespace) -> int:
    """1 where the weights cannot be had or no claim is suggested, 2 for what cannot be understood, 130 after Ctrl-C."""
    from circuits.errors import ModelUnavailable

    status = Status()
    try:
        try:
            return _scan(given, status)
        finally:
            status.clear()
    except ModelUnavailable as missing:
        return fail(str(missing), FOUND)
    except KeyboardInterrupt:
        return fail("interrupted; what was measured is kept, so the same scan goes on from there", INTERRUPTED)


def _scan(given: argparse.Namespace, status: Status) -> int:
    from circuits.commands.project import working_extensions
    from circuits.items import knowledge
    from circuits.models.source import parse_override
    from circuits.scan import prompts as shown
    from circuits.scan.topics import find
    from circuits.store import prune

    places = dict(parse_override(text) for text in given.circuit_model)
    know = knowledge(places, working_extensions())
    if given.suggest and Path(given.suggest).suffix.lower() not in SUFFIXES:
        return fail(f"--suggest {given.suggest}: a suite is a .yaml file")
    if given.suggest and Path(given.suggest).exists():
        return fail(f"there is already a {given.suggest}; a suite that may have been edited is not written over")
    model = shown.model_given(given.model)
    sets = shown.sets_given(given.prompts, given.text, know)
    scanner, only_scores = _scanner(given, know, model, sets, places, status)
    topics = scanner.topics(only_scores)
    for question in given.map:
        find(topics, question)  # a slip of the pen is said before anything is measured
    scan = scanner.scan(topics, only_scores)
    chosen = scan.ranked(every=given.every)[: given.top]
    findings = [scanner.finding(each, place) for each, place in chosen]
    status.clear()
    _say(given, scan, findings)
    if given.out:
        _write(Path(given.out), given.map, scan, findings)
    done = _suggest(given, scanner, scan, model, sets, status) if given.suggest else OK
    prune()
    return done


def _scanner(
    given: argparse.Namespace, know: Knowledge, model: str, sets: dict[str, str], places: dict[str, str], status: Status
) -> tuple[Scanner, frozenset[str]]:
    """The scanner, and the names of the prompt sets on which only scores are asked for; ``sets`` gets those."""
    from circuits.claims.flow import flow
    from circuits.evaluate import Evaluator
    from circuits.scan import prompts as shown
    from circuits.scan.scan import Scanner
    from circuits.scan.suggest import CONFIDENCE
    from circuits.store import values_folder

    sampling = {"min": given.n, "max": given.n, "seed": given.seed, "confidence": CONFIDENCE}
    suite = shown.read_suite(shown.head_of_suite("Scan", model, sampling, sets), know)
    added: frozenset[str] = frozenset()
    if all(variants[0].family != "repeated_tokens" for variants in suite.prompts.values()):
        name = shown.REPEATS if shown.REPEATS not in sets else f"{shown.REPEATS}-of-tokens"
        sets[name] = flow({"family": "repeated_tokens", "length": REPEATS_LENGTH})
        suite, added = shown.read_suite(shown.head_of_suite("Scan", model, sampling, sets), know), frozenset({name})
    evaluator = Evaluator(
        _options(given, places), values_folder(), progress=status.step, own=know.own, notice=status.notice
    )
    return Scanner(evaluator, suite, Path.cwd()), added


def _options(given: argparse.Namespace, places: dict[str, str]) -> Options:
    from circuits.errors import CircuitsError, did_you_mean
    from circuits.items import Options
    from circuits.models.load import DTYPES, fitting_batch, may_have_gpu, resolve_device

    if given.dtype not in DTYPES:
        raise CircuitsError(f"--dtype: unknown dtype {given.dtype!r}; {did_you_mean(given.dtype, DTYPES)}")
    device = given.device
    if device != "cpu":
        device = resolve_device(device) if device != "auto" or may_have_gpu() else "cpu"
    return Options(
        device=device, dtype=given.dtype, batch_tokens=fitting_batch(device), models=places, no_cache=given.no_cache,
        unseen=(given.seed,),  # of the seed that confirms; a seed leaves its own prompts in
    )  # fmt: skip


def _say(given: argparse.Namespace, scan: Scan, findings: list[Finding]) -> None:
    from circuits.commands import paint
    from circuits.scan import show

    if given.json:
        say_json(show.scan_data(scan, findings))
        return
    parts = [show.headline(scan, len(findings)), show.table(findings)]
    parts.append("\n".join((*show.scores_in_words(scan), *scan.notes)))
    for question in given.map:
        parts += [show.map_text(each, paint.look()) for each in show.measured_of(scan, question)]
    if not given.suggest:
        parts.append(
            "Next: --suggest FILE.yaml writes candidate claims with bounds from this seed, checked on another; --map QUESTION draws one."
        )
    paint.show(((line, None),) for line in "\n\n".join(parts).splitlines())


def _write(folder: Path, questions: list[str], scan: Scan, findings: list[Finding]) -> None:
    """The scan's files; each is written whole or not at all."""
    import json

    from circuits.report.drawing import draw
    from circuits.report.record import write_atomically
    from circuits.scan import show
    from circuits.scan.topics import slug

    folder.mkdir(parents=True, exist_ok=True)
    data = json.dumps(show.scan_data(scan, findings), allow_nan=False)
    write_atomically(folder / "scan.json", f"{data}\n".encode())
    write_atomically(folder / "findings.csv", show.csv_text(findings).encode())
    mapped = [each for question in questions for each in show.measured_of(scan, question)]
    for each in mapped or [each for each in scan.measured if each.topic.order == 0]:
        draw(show.figure_of(each, scan), folder / f"{slug(each.topic.text)}-{slug(each.topic.where)}.png")


def _suggest(
    given: argparse.Namespace, scanner: Scanner, scan: Scan, model: str, sets: dict[str, str], status: Status
) -> int:
    """Write the suite of candidates. 1 where none of them held."""
    from circuits.report.record import write_atomically
    from circuits.scan.suggest import Seeds, candidates, suite_text
    from circuits.schema.modeline import FILE, pointing_at, schema_for

    seeds = Seeds(given.seed)
    found = candidates(scanner, scan, given.top, seeds)
    status.clear()
    tried = [each for each in found if not each.negative]
    held = [each for each in tried if each.stands]
    if not held:
        why = next(
            (each.reason for each in tried if each.reason),
            "on the confirming seed no bound held; give more prompts (--n)",
        )
        said = why if tried else "nothing stands out enough for a bound that says something"
        return fail(f"no claim is suggested: {said}", FOUND)
    schema = schema_for(Path(given.suggest))
    first = pointing_at(schema or FILE)
    text = suite_text(scanner, scan, found, model, sets, seeds)
    write_atomically(Path(given.suggest), f"{first}\n{text}".encode())
    controls = sum(each.stands for each in found if each.negative)
    told = f"{given.suggest}: {plural(len(held), 'claim')} of {plural(len(tried), 'candidate')} and {plural(controls, 'control')}"
    told += f", held on seed {seeds.confirming}; measure them on seed {seeds.judging}: pytest {given.suggest}\n"
    if schema is None:
        told += f"its first line is for an editor: circuits schema --out {Path(given.suggest).parent / FILE}\n"
    (sys.stderr.write if given.json else sys.stdout.write)(f"\n{told}")
    return OK
