"""Where the numbers come from: runs, versions, models, and the commands that make them again."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from circuits.report import words
from circuits.report.pages import Entry, model_lines, other_models, table, verdict_of
from circuits.report.prose import code, prose
from circuits.report.record import DASH, file_of, models_read, newest_run, number

_VERSIONS = ("circuits", "torch", "transformer_lens", "transformers", "python")
_PACKAGES = {"torch": "torch", "transformer_lens": "transformer-lens", "transformers": "transformers"}
_STATUS = {
    "measured": "measured",
    "cached": "taken from the cache",
    "skipped": "skipped",
    "invalid": "invalid",
}
_FRESH = (
    "The run was of fresh prompts (`--circuit-fresh`): those that the seeds of earlier records give were left out, so "
    "the seed alone draws a few others."
)
_FDR = "Alone it is a run of one claim, which `--circuit-fdr` may settle on fewer prompts."
_DIR = "DIR is the folder or file with the weights whose digest stands above."
_MOST_FILES = 3
_WIDTH = 64
_SHORT_COMMIT = 12


def last_run(record: Mapping[str, Any]) -> str:
    """What the newest run did, in one sentence."""
    newest = newest_run(record)
    counts = (record.get("runs") or {}).get(newest, {}).get("counts") or {}
    told = [f"{number(counts[key])} {text}" for key, text in _STATUS.items() if counts.get(key) is not None]
    return f"Run {newest}: {words.listing(told)}." if newest and told else "Nothing is known of the last run."


def runs_and_models(record: Mapping[str, Any]) -> str:
    """The runs that the results were measured in with their versions, the seeds and sizes, and the models."""
    parts = [last_run(record)]
    if record.get("runs"):
        parts += ["The runs that the results above were measured in:", _runs(record)]
    sampled = _sampling(_measured(record))
    parts += [sampled] if sampled else []
    if record.get("models"):
        known = {**other_models(_measured(record).values(), record["models"]), **record["models"]}
        parts.append("\n".join(f"- {line}" for line in model_lines(known, known)))
    return "\n\n".join(part for part in parts if part)


def how_to_reproduce(record: Mapping[str, Any]) -> str:
    """The commands that measure again what each run measured, as far as the record knows them."""
    groups: dict[str, list[str]] = {}
    for run, entries in _by_run(record).items():
        told = _commands(record["runs"].get(run) or {}, entries)
        groups.setdefault(told, []).append(run)
    parts = []
    for told, runs in groups.items():
        which = f"Run{'s' if len(runs) > 1 else ''} {words.listing(runs)}"
        known = (record["runs"].get(runs[0]) or {}).get("git")
        where = "In a checkout of the repository" if known else "In the project's folder"
        parts.append(f"{which if len(groups) > 1 else where}:\n\n{told}")
    parts.append(
        "One claim alone: `pytest 'FILE::ID'` with the same options; its page gives the line. The prompts come from the "
        "seed in each suite (the option overrides it) and are the same on every machine, so on the same device and "
        "precision the same numbers come out, up to rounding of the arithmetic library."
    )
    return "\n\n".join(parts)


def _measured(record: Mapping[str, Any]) -> dict[str, Entry]:
    claims: Mapping[str, Entry] = record.get("claims") or {}
    return {name: entry for name, entry in claims.items() if entry.get("status") not in ("skipped", "invalid")}


def _by_run(record: Mapping[str, Any]) -> dict[str, dict[str, Entry]]:
    """The claims that were measured, by their run, in the runs' order."""
    runs = record.get("runs") or {}
    found: dict[str, dict[str, Entry]] = {run: {} for run in sorted(runs, key=lambda run: (len(run), run))}
    for name, entry in _measured(record).items():
        if entry.get("run") in found:
            found[str(entry["run"])][name] = entry
    return {run: entries for run, entries in found.items() if entries}


def _runs(record: Mapping[str, Any]) -> str:
    """A row a run: its versions in one cell, so that the table fits a page on paper."""
    rows = []
    for name, entries in _by_run(record).items():
        run = record["runs"][name]
        versions = ", ".join(f"{key} {_fact(run, key)}" for key in _VERSIONS if run.get(key))
        arithmetic = " on ".join(_fact(run, key) for key in ("dtype", "device") if run.get(key))
        rows.append([name, str(len(entries)), versions or DASH, arithmetic or DASH, _fact(run, "git")])
    return table(["run", "claims", "versions", "arithmetic", "git"], rows) if rows else "Nothing was measured yet."


def _fact(run: Mapping[str, Any], key: str) -> str:
    value = run.get(key)
    if value and key == "git":
        commit, plus, _ = str(value).partition("+")
        return prose(commit[:_SHORT_COMMIT]) + (" with uncommitted changes" if plus else "")
    return prose(value) if value else DASH


def _sampling(entries: Mapping[str, Entry]) -> str:
    """The seeds and the numbers of prompts of the checks."""
    rows = [row for entry in entries.values() for row in entry.get("checks") or []]
    seeds = Counter(row["seed"] for row in rows if row.get("seed") is not None)
    sizes = [
        row["n"] for row in rows if row.get("n") is not None and row.get("seed") is not None and not row.get("unit")
    ]
    if not seeds:
        return ""
    told = ", ".join(f"{seed} ({number(count)})" for seed, count in sorted(seeds.items()))
    least, most = min(sizes, default=None), max(sizes, default=None)
    between = number(least) if least == most else f"{number(least)} to {number(most)}"
    return f"Seeds of the prompts, with the number of measurements: {told}. Prompts a measurement: {between}."


def _commands(run: Mapping[str, Any], entries: Mapping[str, Entry]) -> str:
    """A block of shell commands, and what the record cannot say."""
    commit, plus, _ = str(run.get("git") or "").partition("+")
    lines = [f"git checkout {commit}"] if commit else []
    pins = [f'"{name}=={_release(run[key])}"' for key, name in _PACKAGES.items() if run.get(key)]
    package = "-e ." if run.get("checkout") else f'"{_package(run)}"'
    lines.append(_wrapped(["pip install", package, *pins]))
    places = _places(file_of(name, entry) for name, entry in entries.items())
    lines.append(_wrapped(["pytest", *places, *_options(run)]))
    block = "```sh\n" + "\n".join(lines) + "\n```"
    return "\n\n".join([block, *_gaps(run, commit, plus)])


def _wrapped(words_of: Sequence[str]) -> str:
    """A command on lines that paper and a phone hold, each but the last with the shell's mark that it goes on."""
    lines = [""]
    for word in words_of:
        if lines[-1] and len(lines[-1]) + 1 + len(word) > _WIDTH:
            lines.append(" ")
        lines[-1] += f"{' ' if lines[-1] else ''}{word}"
    return " \\\n".join(lines)


def _package(run: Mapping[str, Any]) -> str:
    """This package as pip is asked for it, in the version of the run where that is known."""
    return f"pytest-circuits=={_release(run['circuits'])}" if run.get("circuits") else "pytest-circuits"


def _release(version: Any) -> str:
    """A version without what a local build adds to it."""
    return str(version).partition("+")[0]


def _places(files: Iterable[str]) -> list[str]:
    """The suites themselves where they are few, else the folders that hold them."""
    known = sorted(set(files))
    found = known if len(known) <= _MOST_FILES else sorted({file.partition("/")[0] for file in known})
    return [shlex.quote(file) for file in found]


def _options(run: Mapping[str, Any]) -> list[str]:
    options = run.get("options") or {}
    found = ["--circuit-no-cache"]
    found += [f"--circuit-{key}={shlex.quote(str(run[key]))}" for key in ("device", "dtype") if run.get(key)]
    found += [
        f"--circuit-{key}={options[key]}"
        for key in ("seed", "n", "permuted", "random", "fdr")
        if options.get(key) is not None
    ]
    found += ["--circuit-robust"] if options.get("robust") else []
    return found + [f"--circuit-model={shlex.quote(f'{name}=DIR')}" for name in options.get("models") or []]


def _gaps(run: Mapping[str, Any], commit: str, plus: str) -> list[str]:
    """What the commands above leave open, in sentences."""
    options, found = run.get("options"), []
    if not commit:
        found.append("The commit of this run was not recorded.")
    if run.get("checkout") is None:
        found.append(
            "Whether the project is the source of pytest-circuits itself was not recorded (an earlier version wrote the record); "
            "there write `-e .` for the package's name."
        )
    if plus:
        found.append("The working tree had uncommitted changes: the commit alone may give other numbers.")
    if not commit or plus:
        found.append(f"Its code had the digest {code(run['code'])}." if run.get("code") else "")
    if options is None:
        found.append(
            "The options of this run were not recorded (an earlier version wrote it); a seed or a number of prompts given on the "
            "command line shows in the rows of the suites' pages."
        )
    elif options.get("fresh"):
        found.append(_FRESH)
    if (options or {}).get("models"):
        found.append(_DIR)
    return [" ".join(text for text in found if text)] if any(found) else []


def measure_again(entry: Entry, run: Mapping[str, Any]) -> str:
    """The line that measures one claim again with the options of its run; empty where the record does not know its file.

    ``run``: that run's part of the record, empty where it is not known.
    """
    if not entry.get("file"):
        return ""
    variant = f"[{entry['variant']}]" if entry.get("variant") else ""
    node = f"{entry['file']}::{entry.get('id') or 'unnamed'}{variant}"
    options = run.get("options") or {}
    models = [name for name in options.get("models") or [] if name in models_read(entry)]
    asked = _options({**run, "options": {**options, "models": models}})
    verb = "Measure it" if verdict_of(entry) == "skipped" else "Measure it again"
    found = [f"{verb}: {code(' '.join(['pytest', shlex.quote(node), *asked]))}."]
    found += [_FRESH] if options.get("fresh") else []
    found += [_FDR] if options.get("fdr") is not None else []
    return " ".join([*found, *([_DIR] if models else [])])
