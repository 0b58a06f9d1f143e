"""The pages of the report: a front page and one page a suite, made from the record and nothing else.

Suite pages hold no run, time or cache status, so that an unchanged result is an unchanged page.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from circuits.errors import CircuitsError
from circuits.report import words
from circuits.report.record import DASH, DIGITS, clean_numbers, file_of, newest_run, number, write_atomically
from circuits.report.words import code, prose

MARKER = "<!-- written by pytest-circuits from results.json; the next run overwrites it -->"
VERDICTS = ("supported", "refuted", "inconclusive", "unmeasurable", "observed", "invalid", "skipped")
_MOST_TOKENS = 64

Entry = Mapping[str, Any]

_READING = """\
This report says what each claim under test came to on a real transformer. A claim is a person's sentence with
checks in YAML; each check is one number per prompt, a bound on its mean, and an interval for that mean.

- **SUPPORTED**: the whole interval of every check lies on the right side of its bound.
- **REFUTED**: the whole interval of some check, widened for the number of checks, lies on the wrong side.
- **INCONCLUSIVE**: neither; more prompts or a different bound would be needed. It does not mean "no effect".
- **UNMEASURABLE**: there is nothing to judge: the selectors match no token, the model does not do the task, or a
  value is not finite. Claims whose weights cannot be had are **skipped**.

For prompts drawn independently from the stated family, given this model, these templates and this reference set,
each kind of wrong verdict on a check (SUPPORTED though false, REFUTED though true) has probability at most
(1 - confidence) / 2 where the page calls the interval *guaranteed*; elsewhere it rests on the assumption named
beside it. The number of prompts was fixed in advance. Nothing is corrected for the number of claims in this report.

**Known negatives** are claims known to be false, kept to show that the tests can fail: they are expected to be
REFUTED. A claim meets its expectation when its verdict is the expected one. VACUOUS marks a claim with
a lower bound or a difference that would also hold under uniform attention."""

_CONVENTIONS = (
    "In `QUERY -> KEY` the query token attends to the key token. `␣` shows a space at the edge of a text; BOS is the "
    "special token in front of a prompt. Intervals are for the mean over prompts. A dash means not measured or not "
    "applicable."
)


def write_reports(folder: Path, record: Mapping[str, Any]) -> list[Path]:
    """Write ``README.md`` and one page a suite into ``folder``; returns their paths, the front page first.

    Removes earlier pages (known by the marker on their first line) and figures (``figures/*.png``) that
    nothing refers to any more. Raises CircuitsError, before anything is written, when a page would
    overwrite a file that this program did not write.
    """
    folder = Path(folder)
    data = clean_numbers(record, DIGITS)
    claims: Mapping[str, Entry] = data.get("claims") or {}
    suites: dict[str, list[Entry]] = {}
    for node_id in sorted(claims, key=lambda key: (file_of(key, claims[key]), claims[key].get("line") or 0, key)):
        suites.setdefault(file_of(node_id, claims[node_id]), []).append(claims[node_id])
    pages = {folder / "README.md": front_page(data, suites)}
    for file, entries in suites.items():
        pages[folder / page_name(file)] = suite_page(file, entries, data.get("models") or {})
    for path in pages:
        if path.exists() and path.stat().st_size and not _owned(path):
            raise CircuitsError(
                f"{path}: this file was not written by the report and would be lost; "
                f"move it, or write the report elsewhere with --circuit-report DIR"
            )
    for path, text in pages.items():
        write_atomically(path, text.encode("utf-8", errors="replace"))
    for path in sorted(folder.glob("*.md")):
        if path not in pages and _owned(path):
            path.unlink()
    shown = {(folder / figure["path"]).name for entry in claims.values() for figure in _figures(entry)}
    for path in sorted((folder / "figures").glob("*.png")):
        if path.name not in shown:
            path.unlink()
    return list(pages)


def _owned(path: Path) -> bool:
    with path.open("rb") as file:
        return file.readline().strip() == MARKER.encode()


def page_name(file: str) -> str:
    """The page of a suite file: ``hypotheses/smollm2/x.yaml`` -> ``hypotheses--smollm2--x.md``.

    Depends on the path alone; paths that would look alike get a piece of their hash.
    """
    stem = file.removesuffix(".yaml")
    slug = re.sub(r"[^a-z0-9_.-]+", "-", stem.lower().replace("/", "--")).strip("-.") or "suite"
    exact = stem != file and re.fullmatch(r"[a-z0-9_.]+(-[a-z0-9_.]+)*(/[a-z0-9_.]+(-[a-z0-9_.]+)*)*", stem)
    if not exact or slug != stem.replace("/", "--") or slug == "readme":
        slug += "-" + hashlib.sha256(file.encode()).hexdigest()[:8]
    return slug + ".md"


def anchor(entry: Entry) -> str:
    """The place of a claim on its page, unique there and good in a link."""
    name = claim_name(entry)
    slug = re.sub(r"[^a-z0-9_.]+", "-", name.lower()).strip("-")
    return slug if slug == name else f"{slug}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def claim_name(entry: Entry) -> str:
    """``id`` or ``id[variant]``."""
    variant = entry.get("variant")
    return f"{entry.get('id') or 'unnamed'}[{variant}]" if variant else str(entry.get("id") or "unnamed")


def verdict_of(entry: Entry) -> str:
    """One of VERDICTS: the verdict, or why there is none."""
    if entry.get("status") == "skipped":
        return "skipped"
    if entry.get("verdict") is None and entry.get("status") in ("measured", "cached"):
        return "observed"  # every check is only shown: nothing was claimed
    return str(entry.get("verdict") or "invalid")


def _figures(entry: Entry) -> list[Mapping[str, Any]]:
    """The figures of a claim's checks, each once."""
    found: dict[str, Mapping[str, Any]] = {}
    for row in entry.get("checks") or []:
        figure = row.get("figure")
        if figure and figure.get("path"):
            found.setdefault(figure["path"], figure)
    return list(found.values())


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table without padding: one changed cell changes one line. Columns of dashes alone are left out."""
    import tabulate

    rows = [list(row) for row in rows]
    used = [k for k in range(len(header)) if any(row[k] not in ("", DASH) for row in rows)]
    cells = [[row[k] for k in used] for row in rows]
    text = tabulate.tabulate(cells, [header[k] for k in used], tablefmt="pipe", disable_numparse=True)
    lines = [re.sub(r" {2,}", " ", line) for line in text.splitlines()]
    return "\n".join([lines[0], re.sub(r"-{3,}", "---", lines[1]), *lines[2:]])


# The front page


def front_page(record: Mapping[str, Any], suites: Mapping[str, Sequence[Entry]]) -> str:
    """What this is, the counts, the last run, the models, one row a claim, the runs."""
    entries = [entry for group in suites.values() for entry in group]
    parts = [MARKER, "# Claims and what they came to", _READING, "## Verdicts", _counts(entries)]
    parts += ["## The last run", _last_run(record, entries)]
    if record.get("models"):
        parts += ["## Models", "\n".join(f"- {line}" for line in _models(record["models"], record["models"]))]
    if entries:
        header = ["suite", "claim", "heads", "verdict", "estimate [interval]", "bound", "n", "as expected"]
        parts += [
            "## Claims",
            table(header, (_claim_row(file, entry) for file in suites for entry in suites[file])),
        ]
    if record.get("runs"):
        parts += ["## Runs", "The runs that the results above were measured in.", _runs(record)]
    return "\n\n".join(parts) + "\n"


def _counts(entries: Sequence[Entry]) -> str:
    if not entries:
        return "No claim has been tested yet."
    counts = Counter((verdict_of(entry), entry.get("met")) for entry in entries)
    rows = []
    for verdict in VERDICTS:
        met, missed, open_ = (counts[verdict, met] for met in (True, False, None))
        if met + missed + open_:
            skipped = verdict == "skipped"
            total = met + missed + open_
            rows.append([verdict.upper(), str(total), DASH if skipped else str(met), DASH if skipped else str(missed)])
    return table(["verdict", "claims", "expectation met", "not met"], rows)


def _last_run(record: Mapping[str, Any], entries: Sequence[Entry]) -> str:
    newest = newest_run(record)
    counts = (record.get("runs") or {}).get(newest, {}).get("counts") or {}
    said = [f"{number(counts[key])} {text}" for key, text in _STATUS.items() if counts.get(key) is not None]
    lines = [f"Run {newest}: {words.listing(said)}." if newest and said else "Nothing is known of the last run."]
    reasons: dict[tuple[str, str], int] = {}
    for entry in entries:
        if entry.get("run") == newest and entry.get("status") in ("skipped", "invalid"):
            fault = "; ".join(str(text).split("\n", 1)[0] for text in entry.get("faults") or [])
            reason = prose(entry.get("reason") or fault or "no reason was recorded")
            group = (str(entry["status"]), reason)
            reasons[group] = reasons.get(group, 0) + 1
    if reasons:
        lines.append("Not measured, and why:")
        lines.append("\n".join(f"- {count} {status}: {reason}" for (status, reason), count in sorted(reasons.items())))
    return "\n\n".join(lines)


_STATUS = {
    "measured": "measured",
    "cached": "taken from the cache",
    "skipped": "skipped",
    "invalid": "invalid",
}


def _models(known: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    lines = []
    for name in sorted(names):
        model = known.get(name) or {}
        facts = [prose(model["source"])] if model.get("source") else []
        if model.get("layers") is not None and model.get("heads") is not None:
            facts.append(f"{number(model['layers'])} layers x {number(model['heads'])} heads")
        facts.append(f"digest {code(model['digest'])}" if model.get("digest") else "digest not known")
        if model.get("verified") is False:
            facts.append("**unverified weights**: nothing says that these are the weights the name stands for")
        lines.append(f"{code(name)}: {'; '.join(facts)}")
    return lines


def _claim_row(file: str, entry: Entry) -> list[str]:
    rows = [row for row in entry.get("checks") or [] if row.get("estimate") is not None]
    shown = rows if len(rows) <= 4 else rows[:3]
    more = [f"{len(rows) - 3} more"] if len(rows) > 4 else []

    def cells(parts: Iterable[str]) -> str:
        found = [part or DASH for part in parts]
        return "<br>".join(found[:1] if len(set(found)) == 1 and len(found) == len(rows) else found + more) or DASH

    met = "skipped" if verdict_of(entry) == "skipped" else _said(entry.get("met"), "yes", "**no**", DASH)
    estimates = "<br>".join([_with_interval(row) for row in shown] + more) or "not measured"
    return [
        prose(entry.get("suite") or file),
        f"[{prose(entry.get('claim') or claim_name(entry))}]({page_name(file)}#{anchor(entry)})"
        + (f" {code(entry['variant'])}" if entry.get("variant") else ""),
        prose(", ".join(str(head) for head in entry.get("heads") or [])) or DASH,
        verdict_of(entry).upper() + (" (VACUOUS)" if entry.get("vacuous") else ""),
        estimates,
        cells("observed" if row.get("observe") else words.bound(row) for row in shown),
        cells(number(row.get("n")) for row in shown),
        met,
    ]


def _said(value: bool | None, yes: str, no: str, unknown: str) -> str:
    return unknown if value is None else yes if value else no


def _with_interval(row: Mapping[str, Any]) -> str:
    beside = (row.get("bound_low"), row.get("bound_high"))
    value = number(row.get("estimate"), bool(row.get("percent")), beside)
    limits = words.interval_limits(row)
    return value if limits == DASH else f"{value} [{limits.replace(' to ', ', ')}]"


def _runs(record: Mapping[str, Any]) -> str:
    runs = record["runs"]
    answered = [e for e in (record.get("claims") or {}).values() if e.get("status") not in ("skipped", "invalid")]
    used = Counter(str(entry.get("run")) for entry in answered)
    keys = ("circuits", "torch", "transformer_lens", "dtype", "device", "git")
    rows = [
        [run, str(used[run])] + [prose(runs[run][key]) if runs[run].get(key) else DASH for key in keys]
        for run in sorted(runs, key=lambda run: (len(run), run))
        if used[run]
    ]
    return table(["run", "claims", *keys], rows) if rows else "Nothing was measured yet."


# A suite's page


def suite_page(file: str, entries: Sequence[Entry], models: Mapping[str, Any]) -> str:
    """Scope, conventions, then every claim with its evidence."""
    title = next((entry["suite"] for entry in entries if entry.get("suite")), file)
    parts = [
        MARKER,
        f"# {prose(title)}",
        f"Suite {code(file)}. [All claims](README.md)",
        _scope(entries, models),
        _CONVENTIONS,
    ]
    for entry in entries:
        parts += _claim(entry)
    return "\n\n".join(parts) + "\n"


def _scope(entries: Sequence[Entry], models: Mapping[str, Any]) -> str:
    names = {str(entry["model"]) for entry in entries if entry.get("model")}
    sets = [prompts for entry in entries for prompts in (entry.get("prompts") or {}).values()]
    templates = sorted({str(template) for prompts in sets for template in prompts.get("templates") or []})
    families = sorted({str(prompts["family"]) for prompts in sets if prompts.get("family")})
    kinds = {row.get("kind") for entry in entries for row in entry.get("checks") or []}
    missing = (
        "Not tested: other weights, other prompt families, templates and lengths than these, "
        "other heads than those named."
    )
    if kinds and "ablate" not in kinds:
        missing += (
            " No check here intervenes on the model: attention says where a head looks, not what the model makes of it."
        )
    elif "ablate" in kinds:
        missing += " An ablation says what is lost when an output is replaced, not how the component works."
    lines = [f"**Scope.** Weights: {' / '.join(_models(models, names)) or 'none'}."]
    if families:
        lines.append(f"Prompt families: {', '.join(map(code, families))}.")
    if templates:
        lines.append(f"Templates: {', '.join(map(code, templates))}.")
    return " ".join([*lines, missing])


def _claim(entry: Entry) -> list[str]:
    """The section of one claim."""
    verdict, rows = verdict_of(entry), entry.get("checks") or []
    prompts: Mapping[str, Any] = entry.get("prompts") or {}
    heading = f'<a id="{anchor(entry)}"></a>\n\n## {prose(claim_name(entry))}: {verdict.upper()}'
    parts = [heading + (" (VACUOUS)" if entry.get("vacuous") else "")]
    if entry.get("claim"):
        parts.append(f"> {prose(entry['claim'])}")
    parts.append(" ".join([_expectation(entry), *_about(entry)]))
    if entry.get("reason"):
        parts.append(f"Reason: {prose(entry['reason'])}")
    if entry.get("vacuous"):
        parts.append(
            "**VACUOUS**: every check of this claim also holds under uniform attention, so a "
            "head without any structure would pass. The verdict says nothing about what this head has learned."
        )
    if entry.get("faults"):
        parts += ["The loader refused this claim:", _fenced("\n\n".join(map(str, entry["faults"])))]
    if rows:
        parts.append("\n".join(_check(row, prompts) for row in rows))
        parts.append(_check_table(rows))
    for figure in _figures(entry):
        parts.append(f"![{prose(figure.get('alt') or 'figure')}]({quote(str(figure['path']))})")
    for name in sorted(prompts):
        parts.append(_prompt_set(name, prompts[name] or {}))
    if entry.get("yaml"):
        parts.append(
            f"<details><summary>The claim as written</summary>\n\n{_fenced(str(entry['yaml']), 'yaml')}\n\n</details>"
        )
    return parts


def _expectation(entry: Entry) -> str:
    expected = str(entry.get("expected") or "supported")
    known = expected.startswith("{") and "refuted" in expected
    if expected == "refuted":
        text = "**Known negative**: this claim is known to be false and is expected to be refuted."
    elif known:
        text = (
            "**Known negative**: a check of this claim is known to be false and is expected to be refuted "
            f"({prose(expected)})."
        )
    elif expected == "invalid":
        text = "This claim is wrong as written on purpose: the loader is expected to refuse it."
    elif expected == "supported":
        text = "The suite expects this claim to be supported."
    else:
        text = f"The suite expects {prose(expected)} of this claim."
    if verdict_of(entry) == "skipped":
        return f"{text} It was skipped."
    outcome = _said(entry.get("met"), ", as expected", ", **not as expected**", "")
    return f"{text} It came out {verdict_of(entry)}{outcome}."


def _about(entry: Entry) -> list[str]:
    facts = [f"Model {code(entry['model'])}."] if entry.get("model") else []
    heads = [str(head) for head in entry.get("heads") or []]
    if heads:
        facts.append(f"{'Head' if len(heads) == 1 else 'Heads'} {prose(', '.join(heads))}.")
    source = entry.get("source")
    if isinstance(source, Mapping) and source:
        facts.append("Source: " + "; ".join(f"{prose(key)} {prose(source[key])}" for key in sorted(source)) + ".")
    elif source:
        facts.append(f"Source: {prose(source)}.")
    return facts


def _check(row: Mapping[str, Any], prompts: Mapping[str, Any]) -> str:
    """One check as a list item: what, how much, why, and what stands beside it."""
    chosen = prompts.get(str(row.get("prompts"))) or None
    label = "Check" if row.get("index") is None else f"Check {number(row['index'])}"
    sentences = [words.what(row)]
    if row.get("estimate") is not None or not row.get("reason"):
        sentences.append(words.how_much(row, chosen))
    sentences += [words.why(row, chosen), *words.beside(row)]
    warnings = "".join(f"\n  - **Warning:** {prose(text)}" for text in row.get("warnings") or [])
    return f"- **{label}.** {' '.join(sentences)}{warnings}"


def _check_table(rows: Sequence[Mapping[str, Any]]) -> str:
    header = [
        "check",
        "head",
        "prompts",
        "n",
        "estimate",
        "interval",
        "bound",
        "uniform",
        "effect",
        "heads that satisfy it",
        "verdict",
    ]
    return table(header, (_check_row(row) for row in rows))


def _check_row(row: Mapping[str, Any]) -> list[str]:
    percent, beside = bool(row.get("percent")), (row.get("bound_low"), row.get("bound_high"))
    passing = row.get("heads_passing")
    check = str(row.get("check") or "")
    check += f", more than {row['more_than']}" if row.get("more_than") else ""
    check += f"; {row['statistic']}" if row.get("statistic") in ("top1", "lift") else ""
    check += f"; excluding {' and '.join(row['excluding'])}" if row.get("excluding") else ""
    return [
        code(check) if check else DASH,
        prose(row.get("head") or "") or ", ".join(prose(name) for name in row.get("ablated") or []) or DASH,
        code(row["prompts"]) if row.get("prompts") else DASH,
        number(row.get("n")),
        "not measured" if row.get("estimate") is None else number(row["estimate"], percent, beside),
        words.interval_limits(row),
        "observed" if row.get("observe") else words.bound(row) or DASH,
        number(row.get("uniform"), percent),
        _effect(row.get("effect") or {}),
        f"{number(passing[0])} of {number(passing[1])}" if passing else DASH,
        DASH if row.get("observe") else str(row.get("verdict") or "none").upper(),
    ]


def _effect(effect: Mapping[str, Any]) -> str:
    value = effect.get("value")
    return DASH if value is None else f"{prose(effect.get('kind'))} {number(value, effect.get('kind') == 'relative')}"


def _prompt_set(name: str, prompts: Mapping[str, Any]) -> str:
    """What was shown to the model: the set, its first prompt, answer, foil and corrupted partner."""
    lengths = prompts.get("token_lengths") or {}
    facts = [f"family {code(prompts['family'])}"] if prompts.get("family") else []
    if prompts.get("n") is not None:
        every = ", all there are" if prompts.get("census") else ""
        facts.append(f"{number(prompts['n'])} {'prompt' if prompts['n'] == 1 else 'prompts'}{every}")
    if lengths:
        order = sorted(lengths, key=lambda length: (len(str(length)), str(length)))
        facts.append(
            "length in tokens " + ", ".join(f"{prose(length)} ({number(lengths[length])} prompts)" for length in order)
        )
    if prompts.get("bos") is not None:
        facts.append("BOS in front" if prompts["bos"] else "no BOS")
    if prompts.get("period") is not None:
        facts.append(f"period {number(prompts['period'])} tokens")
    lines = [f"**Prompts {code(name)}**: {'; '.join(facts) or 'nothing recorded'}."]
    if prompts.get("parameters"):
        pairs = (
            f"{key}: {value}"
            for key, value in sorted(prompts["parameters"].items())
            if not isinstance(value, (list, dict))
        )
        lines.append(f"- Parameters: {', '.join(map(code, pairs)) or 'see the YAML'}")
    if prompts.get("templates"):
        lines.append(f"- Templates: {', '.join(map(code, prompts['templates']))}")
    if prompts.get("example") is not None:
        lines.append(f"- First prompt: {code(prompts['example'])}")
    tokens = prompts.get("tokens") or []
    if tokens:
        cut = f" and {len(tokens) - _MOST_TOKENS} more" if len(tokens) > _MOST_TOKENS else ""
        lines.append(f"- Its tokens: {' '.join(map(code, tokens[:_MOST_TOKENS]))}{cut}")
    for key, title, rule in (
        ("answer", "Answer", ""),
        ("foil", "Foil", "foil_rule"),
        ("corrupted", "Corrupted partner", "corruption"),
    ):
        if prompts.get(key) is not None or prompts.get(rule):
            value = code(prompts[key]) if prompts.get(key) is not None else "none"
            lines.append(f"- {title}: {value}" + (f". {prose(prompts[rule])}" if prompts.get(rule) else ""))
    if prompts.get("digest"):
        lines.append(f"- Digest: {code(prompts['digest'])}")
    return lines[0] + "\n\n" + "\n".join(lines[1:]) if lines[1:] else lines[0]


def _fenced(text: str, language: str = "text") -> str:
    """A code block whose fence is longer than any run of backticks inside."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
