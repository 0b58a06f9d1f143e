"""A suite's page: scope, conventions, then every claim with its evidence. No run, time or cache status."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from circuits.report import beside, words
from circuits.report.pages import MARKER, Entry, anchor, claim_name, figures_of, model_lines, said, table, verdict_of
from circuits.report.prose import code, prose
from circuits.report.record import DASH, number

_MOST_TOKENS = 64
_MOST_OFFSETS = 16

_CONVENTIONS = (
    "In `QUERY -> KEY` the query token attends to the key token. `␣` shows a space at the edge of a text; BOS is the "
    "special token in front of a prompt. Intervals are for the mean over prompts. A dash means not measured or not "
    "applicable."
)


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
    causal = bool(kinds & {"ablate", "keep_only", "path", "loss_map"})
    if kinds and not causal:
        missing += (
            " No check here intervenes on the model: attention says where a head looks, not what the model makes of it."
        )
    elif causal:
        missing += " An ablation says what is lost when an output is replaced, not how the component works."
    lines = [f"**Scope.** Weights: {' / '.join(model_lines(models, names)) or 'none'}."]
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
            "**VACUOUS**: every check of this claim also holds under uniform attention (or with shuffled weights), so a "
            "head without any structure would pass. The verdict says nothing about what this head has learned."
        )
    parts += [_own_code(each) for each in entry.get("own") or []]
    parts += beside.whole_run(entry)
    if entry.get("faults"):
        parts += ["The loader refused this claim:", _fenced("\n\n".join(map(str, entry["faults"])))]
    if rows and verdict == "skipped":
        parts.append(_asked_table(rows))
    elif rows:
        parts.append("\n".join(_check(row, prompts) for row in rows))
        parts.append(_check_table(rows))
    strip = beside.robustness(entry)
    if strip is not None:
        parts.append(strip)
    for figure in figures_of(entry):
        parts.append(f"![{prose(figure.get('alt') or 'figure')}]({quote(str(figure['path']))})")
    parts += [_profile(profile) for profile in entry.get("profiles") or []]
    for name in sorted(prompts):
        parts.append(_prompt_set(name, prompts[name] or {}))
    if entry.get("yaml"):
        parts.append(
            f"<details><summary>The claim as written</summary>\n\n{_fenced(str(entry['yaml']), 'yaml')}\n\n</details>"
        )
    return parts


def _own_code(own: Mapping[str, Any]) -> str:
    """What a claim uses that the package does not vouch for: the project's own record, and where its code lies."""
    source = f" Source: {prose(own['source'])}." if own.get("source") else ""
    digest = str(own.get("code") or "").removeprefix("sha256:")[:12]
    written = f"from {code(own['file'])}, sha256 {digest}" if own.get("file") else f"digest {digest}"
    return f"**Own code**: the {own['kind']} {code(own['name'])} ({written}). {prose(own['doc'])}{source}"


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
    if verdict_of(entry) == "observed":
        return "This claim only shows what was measured: it sets no bound."
    outcome = said(entry.get("met"), ", as expected", ", **not as expected**", "")
    return f"{text} It came out {verdict_of(entry)}{outcome}."


def _about(entry: Entry) -> list[str]:
    facts = [f"Model {code(entry['model'])}."] if entry.get("model") else []
    heads = [str(head) for head in entry.get("heads") or []]
    if heads:
        kind = "Component" if any(head.startswith("MLP") for head in heads) else "Head"
        facts.append(f"{kind}{'' if len(heads) == 1 else 's'} {prose(', '.join(heads))}.")
    source = entry.get("source")
    if isinstance(source, Mapping) and source:
        told = (
            prose(source[key]) if key == "title" else f"{prose(key)} {prose(source[key])}" for key in sorted(source)
        )
        facts.append(f"Source: {'; '.join(told)}.")
    elif source:
        facts.append(f"Source: {prose(source)}.")
    return facts


def _check(row: Mapping[str, Any], prompts: Mapping[str, Any]) -> str:
    """One check as a list item: what, how much, why, and what stands beside it."""
    chosen = prompts.get(str(row.get("prompts"))) or None
    label = "Check" if row.get("index") is None else f"Check {number(row['index'])}"
    sentences = [words.what(row)]
    if row.get("points"):
        seed = f" (seed {row['seed']})" if row.get("seed") is not None else ""
        sentences.append(f"Measured on {number(row.get('n'))} prompts of {code(row.get('prompts'))}{seed}.")
    elif row.get("estimate") is not None or not row.get("reason"):
        sentences.append(words.how_much(row, chosen))
    sentences += [words.why(row, chosen), *words.beside(row), *beside.controls(row)]
    warnings = "".join(f"\n  - **Warning:** {prose(text)}" for text in row.get("warnings") or [])
    return f"- **{label}.** {' '.join(sentences)}{warnings}"


def _asked_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """What a skipped claim asks, and what others reported; nothing here was measured."""
    header = ["check", "head", "prompts", "bound", "reported elsewhere", "measured"]
    return table(
        header,
        (
            [
                code(row.get("check") or DASH),
                prose(row.get("head") or "") or DASH,
                code(row["prompts"]) if row.get("prompts") else DASH,
                "observed" if row.get("observe") else words.bound(row) or DASH,
                words.reported_value(row) or DASH,
                "not measured",
            ]
            for row in rows
        ),
    )


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
        "rank",
        "verdict",
    ]
    return table(header, (_check_row(row) for row in rows))


def _check_row(row: Mapping[str, Any]) -> list[str]:
    percent, beside = bool(row.get("percent")), (row.get("bound_low"), row.get("bound_high"))
    passing, rank = row.get("heads_passing"), row.get("rank")
    check = str(row.get("check") or "")
    check += f", more than {row['more_than']}" if row.get("more_than") else ""
    check += f"; {row['statistic']}" if row.get("statistic") in ("top1", "lift") else ""
    check += f"; excluding {' and '.join(row['excluding'])}" if row.get("excluding") else ""
    return [
        code(check) if check else DASH,
        prose(row.get("head") or "") or ", ".join(prose(name) for name in row.get("ablated") or []) or DASH,
        code(row["prompts"]) if row.get("prompts") else DASH,
        number(row.get("n")),
        DASH
        if row.get("points")
        else "not measured"
        if row.get("estimate") is None
        else number(row["estimate"], percent, beside),
        words.interval_limits(row),
        "observed" if row.get("observe") else words.bound(row) or DASH,
        number(row.get("uniform"), percent),
        _effect({} if words.says_itself(row) else row.get("effect") or {}),
        f"{number(passing[0])} of {number(passing[1])}" if passing else DASH,
        f"{number(rank[0])} of {number(rank[1])}" if rank and rank[0] is not None else DASH,
        DASH if row.get("observe") else str(row.get("verdict") or "none").upper(),
    ]


def _effect(effect: Mapping[str, Any]) -> str:
    value = effect.get("value")
    return DASH if value is None else f"{prose(effect.get('kind'))} {number(value, effect.get('kind') == 'relative')}"


def _profile(profile: Mapping[str, Any]) -> str:
    """Where a head looks on a prompt set, whatever was claimed: by distance, and from class to class."""
    offsets, classes = profile.get("offsets") or [], profile.get("classes") or []
    near = [[f"n-{back}" if back else "itself", number(value)] for back, value in enumerate(offsets)]
    near = [row for row in near if row[1] != DASH][:_MOST_OFFSETS]
    name = f"{prose(profile.get('head') or 'the head')} on {code(profile.get('prompts'))}"
    rows = [
        [code(query), *(number(value) for value in values)]
        for query, values in zip(classes, profile.get("matrix") or [], strict=False)
        if any(value is not None for value in values)
    ]
    parts = [
        f"<details><summary>Where head {name} looks, in numbers</summary>",
        "Mean attention by distance from the query, over the tokens that have a token there (BOS apart: "
        f"{number(profile.get('bos'))}):",
        table([label for label, _ in near], [[value for _, value in near]]) if near else "not measured",
        "Mean attention from each class of tokens (row) to each class (column); a row sums to 1:",
        table(["from", *map(code, classes)], rows) if rows else "not measured",
        "</details>",
    ]
    return "\n\n".join(parts)


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
    if prompts.get("distinct_answers"):
        lines.append(f"- Different answers among them: {number(prompts['distinct_answers'])}")
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
