"""A suite's page: scope, conventions, then every claim with its evidence. No run, time or cache status."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from circuits.report import bars, beside, check_tables, control_tables, diagram, mermaid, methods, words
from circuits.report.concentration import concentrations
from circuits.report.pages import (
    MARKER,
    Entry,
    against_bound,
    anchor,
    bar_cell,
    claim_name,
    details,
    estimate_with_interval,
    figures_of,
    history_line,
    known_negative,
    model_lines,
    other_models,
    said,
    subject,
    table,
    verdict_of,
)
from circuits.report.prose import code, expected_words, listing, prose
from circuits.report.ranking import deciding
from circuits.report.record import DASH, number

_MOST_TOKENS = 64
_MOST_OFFSETS = 16
FAR = 0.05
"""The least attention that is told of distances further than the first ones."""

CONVENTIONS = (
    "In `QUERY -> KEY` the query token attends to the key token. The value of a prompt is the mean over its query tokens that have such "
    "a key (the first token has no `n-1`: BOS is a key only where it is named), the estimate is the mean over prompts, and intervals are "
    "for that mean. `␣` shows a space at the edge of a text; BOS is the special token in front of a prompt. A dash means not measured or not "
    "applicable."
)
VACUOUS = (
    "**VACUOUS**: every check of this claim also holds under uniform attention, or on every model with shuffled weights, so "
    "a head without any structure would pass. The verdict says nothing about what this head has learned."
)


_INTERVALS = " [How the intervals were made, and how n was decided](#intervals) stands at the end."


def suite_page(file: str, entries: Sequence[Entry], models: Mapping[str, Any]) -> str:
    """Scope, contents, then every claim with its evidence."""
    title = next((entry["suite"] for entry in entries if entry.get("suite")), file)
    made = methods.how_made(entries)
    parts = [
        MARKER,
        f"# {prose(title)}",
        f"Suite {code(file)}. [All claims](README.md)",
        scope(entries, models),
        '<a id="contents"></a>\n\n' + _contents(entries),
        f"{CONVENTIONS} The bars: {bars.LEGEND}{_INTERVALS if made else ''}",
    ]
    for entry in entries:
        parts += _claim(entry)
    if made:
        parts += ['<a id="intervals"></a>', details(methods.TITLE, made)]
    return "\n\n".join(parts) + "\n"


def _contents(entries: Sequence[Entry]) -> str:
    """Every claim of the page with its verdict and the number that decided it; few columns, so that a phone shows the bars."""
    header = ["verdict, claim", "estimate [interval], bound", "head or part", "as expected"]
    return table(header, map(_contents_row, entries))


def _contents_row(entry: Entry) -> list[str]:
    row = deciding(entry.get("checks") or []) or {}
    measured = row.get("estimate") is not None
    verdict = f"**{verdict_of(entry).upper()}**" + (" (VACUOUS)" if entry.get("vacuous") else "")
    return [
        f"{verdict}<br>[{prose(claim_name(entry))}](#{anchor(entry)})",
        against_bound(row) if measured else DASH,
        (subject(row) if measured else "") or DASH,  # of several heads the one that decided, which the id may not name
        DASH if verdict_of(entry) == "skipped" else said(entry.get("met"), "yes", "**no**", DASH),
    ]


def scope(entries: Sequence[Entry], models: Mapping[str, Any]) -> str:
    """Weights, prompt families and templates of a suite, and what was not tested."""
    names = {str(entry["model"]) for entry in entries if entry.get("model")}
    others = other_models(entries, names)
    sets = [prompts for entry in entries for prompts in (entry.get("prompts") or {}).values()]
    templates = sorted({str(template) for prompts in sets for template in prompts.get("templates") or []})
    families = sorted({str(prompts["family"]) for prompts in sets if prompts.get("family")})
    kinds = {row.get("kind") for entry in entries for row in entry.get("checks") or []}
    missing = "other weights, other prompt families, templates and lengths than these, other heads than those named"
    if any(row.get("rank") is not None for entry in entries for row in entry.get("checks") or []):
        missing += " (the controls only say how they compare)"
    missing += "."
    causal = bool(kinds & {"ablate", "keep_only", "path", "loss_map"})
    if kinds and not causal:
        missing += (
            " No check here intervenes on the model: attention says where a head looks, not what the model makes of it."
        )
    elif causal:
        missing += " An ablation says what is lost when an output is replaced, not how the component works."
    known = model_lines({**others, **models}, names | others.keys())
    lines = [f"- **Weights**: {line}." for line in known] or ["- **Weights**: none."]
    if families:
        lines.append(f"- **Prompt families**: {', '.join(map(code, families))}.")
    if templates:
        lines.append(f"- **Templates**: {', '.join(map(code, templates))}.")
    lines.append(f"- **Not tested**: {missing}")
    earlier = other_versions(entries)
    if earlier:
        lines.append(f"- **Other versions**: {earlier}")
    notes = next((str(entry["notes"]) for entry in entries if entry.get("notes")), None)
    if notes is not None:
        told = "\n\n  ".join(map(prose, notes.split("\n\n")))  # paragraphs of one item of the list
        lines.append(f"- **The author's notes**, from the head of the suite: {told}")
    return "\n".join(lines)


def other_versions(entries: Sequence[Entry]) -> str:
    """How many claims were decided in other versions, in a sentence; "" where no ledger was kept that could tell."""
    tested = [entry for entry in entries if entry.get("ledger") and verdict_of(entry) not in ("skipped", "invalid")]
    if not tested:
        return ""
    edited = sum(any(not version["now"] for version in entry.get("versions") or []) for entry in tested)
    these = f"{number(len(tested))} claim{'' if len(tested) == 1 else 's'} decided here"
    if not edited:
        none = "the claim decided here was never" if len(tested) == 1 else f"none of the {these} was ever"
        return f"{none} decided in another version, as far as `ledger.jsonl` knows."
    was = "was" if edited == 1 else "were"
    return (
        f"{number(edited)} of the {these} {was} also decided in other versions; *History* below the claim tells them."
    )


def _claim(entry: Entry) -> list[str]:
    """The section of one claim: words and verdict, then what is scanned, then what is looked up."""
    rows = entry.get("checks") or []
    prompts: Mapping[str, Any] = entry.get("prompts") or {}
    parts = _head_of_section(entry, rows)
    if entry.get("faults"):
        parts += ["The loader refused this claim:", _fenced("\n\n".join(map(str, entry["faults"])))]
    if rows and verdict_of(entry) == "skipped":
        parts.append(check_tables.asked(rows))
    elif rows:
        parts += _evidence(entry, rows, prompts)
    parts += [prompt_set(name, prompts[name] or {}) for name in sorted(prompts)]
    return parts + _closed(entry, rows, prompts)


def _head_of_section(entry: Entry, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Verdict, words, the number that decided, expectation and source, and what has to be known before believing it."""
    verdict = verdict_of(entry)
    heading = f'<a id="{anchor(entry)}"></a>\n\n## {prose(claim_name(entry))}: {verdict.upper()}'
    parts = [heading + (" (VACUOUS)" if entry.get("vacuous") else "")]
    if entry.get("claim"):
        parts.append(f"> {prose(entry['claim'])}")
    parts += [f"{bar_cell(deciding(rows) or {})} {line}" for line in headline(rows)]
    parts.append(" ".join([expectation(entry), *about(entry)]))
    if history_line(entry):
        parts.append(f"History: {history_line(entry)}")
    if entry.get("reason"):
        parts.append(f"Reason: {prose(entry['reason'])}")
    if entry.get("vacuous"):
        parts.append(VACUOUS)
    parts += map(own_code, entry.get("own") or [])
    return parts + beside.whole_run(entry)


def headline(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The number that decided the claim, in one line; nothing where nothing was measured."""
    row = deciding(rows)
    if row is None or row.get("estimate") is None:
        return []
    who = f" for {subject(row)}" if subject(row) else ""
    unit = prose(row.get("unit") or ("members" if row.get("exact") else "prompts" if row.get("n") != 1 else "prompt"))
    where = f" of {code(row['prompts'])}" if row.get("prompts") and not row.get("exact") and not row.get("unit") else ""
    limit = f", bound: {words.bound(row)}" if words.bound(row) and not row.get("observe") else ""
    others = sum(each.get("estimate") is not None for each in rows) - 1
    which = f" (the deciding one of {number(others + 1)} measurements)" if others else ""
    on = f" on {number(row['n'])} {unit}{where}" if row.get("n") is not None else ""
    return [f"**{estimate_with_interval(row)}**{who}{on}{limit}{which}."]


def _evidence(entry: Entry, rows: Sequence[Mapping[str, Any]], prompts: Mapping[str, Any]) -> list[str]:
    """Tables first, then what decided, drawings and figures."""
    parts = [
        check_tables.numbers(rows),
        check_tables.sampling(rows),
        check_tables.warnings(rows),
        check_tables.decided(rows, prompts),
        check_tables.points(rows),
        check_tables.changed(rows),
        control_tables.controls(rows),
        *concentrations(entry),
        control_tables.base_rate(rows),
        control_tables.tasks(rows),
        check_tables.reported(rows),
        beside.robustness(entry),
        *map(mermaid.fenced, diagram.diagrams(entry)),
        *map(_figure, figures_of({"checks": rows})),
    ]
    return [part for part in parts if part]


def _closed(entry: Entry, rows: Sequence[Mapping[str, Any]], prompts: Mapping[str, Any]) -> list[str]:
    """What is looked up rather than read: sentences, profiles, the YAML; and how to measure it again."""
    parts = []
    if rows and verdict_of(entry) != "skipped":
        parts.append(details("Every check in full sentences", check_tables.in_sentences(rows, prompts)))
    parts += [_profile(profile) for profile in entry.get("profiles") or []]
    if entry.get("yaml"):
        parts.append(details("The claim as written", _fenced(str(entry["yaml"]), "yaml")))
    return [*parts, f"{entry['again']} [Contents](#contents)"] if entry.get("again") else parts


def _figure(figure: Mapping[str, Any]) -> str:
    return f"![{prose(figure.get('alt') or 'figure')}]({quote(str(figure['path']))})"


def own_code(own: Mapping[str, Any]) -> str:
    """What a claim uses that the package does not vouch for: the project's own record, and where its code lies."""
    source = f" Source: {prose(own['source'])}." if own.get("source") else ""
    digest = str(own.get("code") or "").removeprefix("sha256:")[:12]
    written = f"from {code(own['file'])}, sha256 {digest}" if own.get("file") else f"digest {digest}"
    return f"**Own code**: the {own['kind']} {code(own['name'])} ({written}). {prose(own['doc'])}{source}"


def expectation(entry: Entry) -> str:
    """What the suite expects of a claim, and what it came to."""
    expected = str(entry.get("expected") or "supported")
    told = prose(expected_words(expected))
    if expected == "refuted":
        text = "**Known negative**: this claim is known to be false and is expected to be refuted."
    elif known_negative(entry):
        text = f"**Known negative**: a check of this claim is known to be false: {told}."
    elif expected == "invalid":
        text = "This claim is wrong as written on purpose: the loader is expected to refuse it."
    elif expected == "supported":
        text = "The suite expects this claim to be supported."
    else:
        text = f"This claim is {told}."
    if verdict_of(entry) == "skipped":
        return f"{text} It was skipped."
    if verdict_of(entry) == "observed":
        return "This claim only shows what was measured: it sets no bound."
    outcome = said(entry.get("met"), ", as expected", ", **not as expected**", "")
    return f"{text} It came out {verdict_of(entry)}{outcome}."


def about(entry: Entry) -> list[str]:
    """Model, components and source of a claim, a sentence each."""
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


def _profile(profile: Mapping[str, Any]) -> str:
    """Where a head looks on a prompt set, whatever was claimed: by distance, and from class to class."""
    offsets, classes = profile.get("offsets") or [], profile.get("classes") or []
    # A text, which breaks between any two where a row of a table would be wider than paper and screens.
    near = [
        f"{f'n-{back}' if back else 'itself'}\N{NO-BREAK SPACE}{number(value)}" for back, value in enumerate(offsets)
    ]
    known = [back for back, value in enumerate(offsets) if value is not None]
    told = [back for back in known if back < _MOST_OFFSETS or offsets[back] >= FAR]
    near = [near[back] for back in told]
    near += [f"all others below {number(FAR)}"] if near and len(told) < len(known) else []
    rows = [
        [code(query), *(number(value) for value in values)]
        for query, values in zip(classes, profile.get("matrix") or [], strict=False)
        if any(value is not None for value in values)
    ]
    parts = [
        *map(_figure, figures_of({"profiles": [profile]})),
        "Mean attention by distance from the query, over the tokens that have a token there (BOS apart: "
        f"{number(profile.get('bos'))}):",
        ", ".join(near) if near else "not measured",
        "Mean attention from each class of tokens (row) to each class (column); a row sums to 1:",
        table(["from", *map(code, classes)], rows) if rows else "not measured",
    ]
    return details(
        f"Where head {profile.get('head') or '?'} looks on {profile.get('prompts')}, drawn and in numbers",
        "\n\n".join(parts),
    )


def prompt_set(name: str, prompts: Mapping[str, Any]) -> str:
    """What was shown to the model, with a closed part for what is looked up rather than read."""
    text, more = prompt_facts(name, prompts), more_of_prompts(prompts)
    return text + "\n\n" + details(f"More about the prompts {name}", more) if more else text


def prompt_facts(name: str, prompts: Mapping[str, Any]) -> str:
    """The set, its first prompt, answer, foil and corrupted partner."""
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
        tokens = prompts.get("tokens") or []
        which = f" ({code(tokens[0])})" if tokens else ""
        facts.append(f"BOS{which} in front" if prompts["bos"] else "no BOS")
    if prompts.get("period") is not None:
        facts.append(f"period {number(prompts['period'])} tokens")
    lines = [f"**Prompts {code(name)}**: {'; '.join(facts) or 'nothing recorded'}."]
    if prompts.get("requires"):
        told = listing(f"{code(metric)} above {number(least)}" for metric, least in sorted(prompts["requires"].items()))
        lines.append(f"- An intervention on them is measured only where the model surely has {told}")
    if prompts.get("census"):
        lines.append(
            "- They are all the prompts that this family gives with these parameters: a value is exact for them, and speaks of no others"
        )
    elif _texts(prompts):
        lines.append(
            "- All texts of the suite are used. Intervals take them for independent draws: they speak of the mean over more texts of "
            "this kind, and what they promise holds as far as these are such draws"
        )
    if prompts.get("example") is not None:
        lines.append(f"- First prompt: {code(prompts['example'])}")
    for key, title, rule in (
        ("answer", "Answer", ""),
        ("foil", "Foil", "foil_rule"),
        ("corrupted", "Corrupted partner", "corruption"),
    ):
        if prompts.get(key) is not None or prompts.get(rule):
            value = code(prompts[key]) if prompts.get(key) is not None else "none"
            lines.append(f"- {title}: {value}" + (f". {prose(prompts[rule])}" if prompts.get(rule) else ""))
    return lines[0] + "\n\n" + "\n".join(lines[1:]) if lines[1:] else lines[0]


def more_of_prompts(prompts: Mapping[str, Any]) -> str:
    """Parameters, templates, tokens, number of answers, digest as a list; "" where none is recorded."""
    lines = []
    pairs = [
        f"{key}: {_as_yaml(value)}"
        for key, value in sorted((prompts.get("parameters") or {}).items())
        if key != "texts"
    ]
    if pairs:
        lines.append(f"- Parameters: {', '.join(map(code, pairs))}")
    if prompts.get("roles"):
        named = (f"{key}: {value}" for key, value in sorted(prompts["roles"].items()))
        lines.append(f"- Roles (regular expressions): {', '.join(map(code, named))}")
    texts = _texts(prompts)
    if texts:
        lines.append(f"- Texts ({number(len(texts))}, all of them):")
        lines += [f"  - {_text(text)}" for text in texts]
    if prompts.get("templates"):
        lines.append(f"- Templates: {', '.join(map(code, prompts['templates']))}")
    tokens = prompts.get("tokens") or []
    if tokens:
        cut = f" and {len(tokens) - _MOST_TOKENS} more" if len(tokens) > _MOST_TOKENS else ""
        lines.append(f"- Tokens of the first prompt: {' '.join(map(code, tokens[:_MOST_TOKENS]))}{cut}")
    if prompts.get("distinct_answers"):
        lines.append(f"- Different answers among them: {number(prompts['distinct_answers'])}")
    if prompts.get("digest"):
        lines.append(f"- Digest: {code(prompts['digest'])}")
    return "\n".join(lines)


def _texts(prompts: Mapping[str, Any]) -> list[Any]:
    """The texts of a set whose prompts are given literally."""
    texts = (prompts.get("parameters") or {}).get("texts")
    return texts if isinstance(texts, list) else []


def _text(text: Any) -> str:
    """A literal prompt with its answer, foil and corrupted partner, in one line."""
    if not isinstance(text, Mapping):
        return code(text)
    parts = [code(text.get("text", ""))]
    parts += [f"{key} {code(text[key])}" for key in ("answer", "foil", "corrupted") if text.get(key) is not None]
    parts += [f"{key} {code(_as_yaml(text[key]))}" for key in sorted(text) if key not in _OF_TEXTS]
    return ", ".join(parts)


_OF_TEXTS = ("text", "answer", "foil", "corrupted")


def _as_yaml(value: Any) -> str:
    """A parameter in one line, as it may stand in YAML."""
    if isinstance(value, list):
        return f"[{', '.join(map(_as_yaml, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_as_yaml(each)}" for key, each in value.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _fenced(text: str, language: str = "text") -> str:
    """A code block whose fence is longer than any run of backticks inside."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
