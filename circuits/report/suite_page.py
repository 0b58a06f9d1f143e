"""A suite's page: scope, conventions, then every claim with its evidence. No run, time or cache status."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from circuits.report import (
    bars,
    beside,
    causal,
    check_tables,
    control_tables,
    diagram,
    mermaid,
    methods,
    prompt_sets,
    random_parts,
    words,
)
from circuits.report.concentration import concentrations
from circuits.report.pages import (
    MARKER,
    Entry,
    against_bound,
    anchor,
    bar_cell,
    below,
    claim_name,
    details,
    estimate_with_interval,
    figures_of,
    history_line,
    known_negative,
    said,
    subject,
    table,
    variant_text,
    verdict_cell,
    verdict_of,
)
from circuits.report.prose import code, expected_words, prose, source_words
from circuits.report.ranking import deciding
from circuits.report.record import DASH, number
from circuits.report.scope import scope

_MOST_OFFSETS = 16
_MOST_CLASSES = 7
_MOST_PARTS = 3  # a claim about more, a circuit, is not about each of them
_MOST_RELATED = 6
FAR = 0.05
"""The least attention that is told of distances further than the first ones, and of single classes of many."""

CONVENTIONS = (
    "In `QUERY -> KEY` the query token attends to the key token. The value of a prompt is the mean over its query tokens that have such "
    "a key (the first token has no `n-1`: BOS is a key only where it is named), the estimate is the mean over prompts, and intervals are "
    "for that mean. `␣` shows a space at the edge of a text; BOS is the special token in front of a prompt. *Without* a head or "
    "*removed* means that its output is replaced as the check says; nothing is cut out. A dash means not measured or not applicable. "
    "Beside a rank, *next* is the runner-up with its value, and *first*, where another head leads, the one that does."
)
PARTNERS = (
    "A bound that is met on the prompts and missed on the *corrupted partners* hangs on what they change; one that is met there, too, does "
    "not (how large the value is may: compare the two). *Prompts* says what they change; of what they keep this control tells nothing."
)
VACUOUS = (
    "**VACUOUS**: every check of this claim also holds under uniform attention, or on every model with shuffled weights, so "
    "a head without any structure would pass. The verdict says nothing about what this head has learned."
)


_INTERVALS = (
    " An interval holds however early the sampling stopped, which makes it wider than one for a single look: "
    "[how the intervals were made, and how n was decided](#intervals) stands at the end. Of several measurements the *deciding* one is "
    "that whose interval lies nearest to its bound, counted in arms (one arm: from the estimate to that end of its interval; checks that "
    "uniform attention satisfies as well are set aside), of a refuted claim the strongest refutation."
)


@dataclass(frozen=True)
class _Page:
    """What the section of a claim says of the whole page, found once: the reason for which all were skipped (None: not so),
    the names of equal prompt sets by digest, the claims with random sets by intervention, and all claims by their parts, and the parts of claims about many."""

    skipped: str | None
    sets: Mapping[str, set[str]]
    random: Mapping[control_tables.Intervention, Sequence[str]]
    about: Mapping[str, Sequence[Entry]]
    crowds: frozenset[str]


def suite_page(file: str, entries: Sequence[Entry], models: Mapping[str, Any]) -> str:
    """Scope, contents, then every claim with its evidence."""
    title = next((entry["suite"] for entry in entries if entry.get("suite")), file)
    made = methods.how_made(entries)
    every = [row for entry in entries for row in entry.get("checks") or []]
    drawn = any(row.get("estimate") is not None for row in every)
    page = _Page(
        skipped_alike(entries),
        prompt_sets.names_of_sets(entries),
        control_tables.with_random(entries),
        _by_part(entries),
        frozenset(str(part) for entry in entries if not _parts(entry) for part in entry.get("heads") or []),
    )
    parts = [
        MARKER,
        f"# {prose(title)}",
        f"Suite {code(file)}. [What it is about, and what was not tested](#scope). [All claims](README.md)",
        *([f"Skipped: {prose(page.skipped)}"] if page.skipped is not None else []),
        '<a id="contents"></a>\n\n' + _contents(entries),
        '<a id="scope"></a>\n\n' + scope(entries, models),
        CONVENTIONS + (f" The bars: {bars.LEGEND}" if drawn else "") + (_INTERVALS if made else ""),
        *([PARTNERS] if any((row.get("controls") or {}).get("broken") for row in every) else []),
        *([others] if (others := random_parts.note(every)) is not None else []),
    ]
    for entry in entries:
        parts += _claim(entry, page)
    if made:
        parts += ['<a id="intervals"></a>', details(methods.TITLE, made)]
    return "\n\n".join(parts) + "\n"


def _parts(entry: Entry) -> list[str]:
    """The heads and MLPs that a claim is about; none of a claim about many, a circuit, which is not about each of them."""
    parts = [str(part) for part in entry.get("heads") or []]
    return parts if len(parts) <= _MOST_PARTS else []


def _by_part(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """The claims of a page by the parts that they are about."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        for part in _parts(entry):
            found.setdefault(part, []).append(entry)
    return found


def _related(entry: Entry, page: _Page) -> str | None:
    """Links to the other claims of the page about one of a claim's parts, and which of them rest on the same measurement."""
    others = {id(each): each for part in _parts(entry) for each in page.about[part] if each is not entry}
    if not others:
        return None
    own, links = _measurements(entry), []
    for each in others.values():
        other = _measurements(each)
        part = "" if own == other else " in part"
        same = f",{part} by the same measurement" if own & other else ""
        links.append((not same, f"[{prose(claim_name(each))}](#{anchor(each)}) ({verdict_of(each)}{same})"))
    shown = [link for _, link in sorted(links, key=lambda one: one[0])]
    left = len(shown) - _MOST_RELATED
    more = [f"{number(left)} more"] if left > 0 else []
    told = f"Also about {words.listing(map(prose, _parts(entry)), 'or')} on this page: {words.listing([*shown[:_MOST_RELATED], *more])}"
    crowds = page.crowds.intersection(_parts(entry))
    return f"{told}; claims about more than {number(_MOST_PARTS)} parts aside." if crowds else f"{told}."


def _measurements(entry: Entry) -> set[tuple[str, ...]]:
    """What tells the measurements of a claim apart: what was asked, of which head, on which prompts, and what came out."""
    asked = ("check", "head", "more_than", "statistic", "excluding", "prompts", "seed", "n", "range", "estimate")
    rows = [row for row in entry.get("checks") or [] if row.get("estimate") is not None]
    return {tuple(str(row.get(name)) for name in asked) for row in rows}


def _contents(entries: Sequence[Entry]) -> str:
    """Every claim of the page with its verdict and the number that decided it; few columns, so that a phone shows the bars."""
    header = ["verdict, claim, deciding check", "estimate [interval], bound", "head or part"]
    return table(header, map(_contents_row, entries))


def skipped_alike(entries: Sequence[Entry]) -> str | None:
    """The one reason for which every claim of a page was skipped; None where that is not so."""
    reasons = {entry.get("reason") if verdict_of(entry) == "skipped" else None for entry in entries}
    return str(reasons.pop()) if len(reasons) == 1 and None not in reasons else None


def _contents_row(entry: Entry) -> list[str]:
    row = deciding(entry.get("checks") or []) or {}
    measured = row.get("estimate") is not None
    words_of = prose(entry.get("claim") or claim_name(entry))
    link = f"[{words_of}](#{anchor(entry)}){variant_text(entry)}"
    return [
        # Of several checks and heads the ones that decided, which the words may not name.
        below(verdict_cell(entry), link, check_tables.written(row) if measured else ""),
        against_bound(row) if measured else DASH,
        (subject(row) if measured else "") or DASH,
    ]


def _claim(entry: Entry, page: _Page) -> list[str]:
    """The section of one claim of a page: words and verdict, then what is scanned, then what is looked up."""
    rows = entry.get("checks") or []
    prompts: Mapping[str, Any] = entry.get("prompts") or {}
    parts = _head_of_section(entry, rows, page.skipped is not None)
    if entry.get("faults"):
        parts += ["The loader refused this claim:", _fenced("\n\n".join(map(str, entry["faults"])))]
    if rows and verdict_of(entry) == "skipped":
        parts.append(check_tables.asked(rows))
    elif rows:
        parts += _evidence(entry, rows, prompts, page)
    for name in sorted(prompts):
        facts = prompts[name] or {}
        parts.append(
            prompt_sets.prompt_set(name, facts, sorted(page.sets.get(str(facts.get("digest")), set()) - {name}))
        )
    parts += _closed(entry, rows, prompts)
    parts += filter(None, [_related(entry, page)])
    return [*parts, f"{entry['again']} [Contents](#contents)"] if entry.get("again") else parts


def _head_of_section(entry: Entry, rows: Sequence[Mapping[str, Any]], told_above: bool) -> list[str]:
    """Verdict, words, the number that decided, expectation and source, and what has to be known before believing it.

    ``told_above``: the reason stands at the top of the page, for it is that of all claims.
    """
    verdict = verdict_of(entry)
    heading = f'<a id="{anchor(entry)}"></a>\n\n## {prose(claim_name(entry))}: {verdict.upper()}'
    parts = [heading + (" (VACUOUS)" if entry.get("vacuous") else "")]
    if entry.get("claim"):
        parts.append(f"> {prose(entry['claim'])}")
    parts += [f"{bar_cell(deciding(rows) or {})} {line}" for line in headline(rows)]
    parts.append(" ".join([expectation(entry), *about(entry)]))
    parts += causal.circuits_named(rows)
    if history_line(entry):
        parts.append(f"History: {history_line(entry)}")
    if entry.get("reason") and not told_above:
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
    role = "first" if row.get("observe") else "deciding"
    alike = [each for each in rows if bool(each.get("observe")) == bool(row.get("observe"))]  # only bounds can decide
    others = sum(each.get("estimate") is not None for each in alike) - 1
    which = f" (the {role} one of {number(others + 1)} measurements)" if others else ""
    on = f" on {number(row['n'])} {unit}{where}" if row.get("n") is not None else ""
    return [f"**{estimate_with_interval(row)}**{who}{on}{limit}{which}."]


def _evidence(entry: Entry, rows: Sequence[Mapping[str, Any]], prompts: Mapping[str, Any], page: _Page) -> list[str]:
    """Tables first, then what decided, drawings and figures."""
    parts = [
        check_tables.numbers(rows),
        check_tables.sampling(rows),
        check_tables.warnings(rows),
        check_tables.decided(rows, prompts),
        check_tables.points(rows),
        check_tables.changed(rows),
        control_tables.controls(rows),
        control_tables.by_answer(rows),
        *concentrations(entry),
        control_tables.base_rate(rows, page.random),
        control_tables.tasks(rows),
        check_tables.reported(rows),
        beside.robustness(entry),
        *map(mermaid.fenced, diagram.diagrams(entry)),
        *map(_figure, figures_of({"checks": rows})),
    ]
    return [part for part in parts if part]


def _closed(entry: Entry, rows: Sequence[Mapping[str, Any]], prompts: Mapping[str, Any]) -> list[str]:
    """What is looked up rather than read: sentences, profiles, the YAML."""
    parts = []
    if rows and verdict_of(entry) != "skipped":
        parts.append(details("Every check in full sentences", check_tables.in_sentences(rows, prompts)))
    parts += [_profile(profile) for profile in entry.get("profiles") or []]
    if entry.get("yaml"):
        parts.append(details("The claim as written", _fenced(str(entry["yaml"]), "yaml")))
    return parts


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
    skipped = verdict_of(entry) == "skipped"
    rows = entry.get("checks") or []
    if skipped and rows and all(row.get("observe") for row in rows):
        text = "This claim sets no bound: it only shows what is measured."
    elif skipped and expected == "refuted":
        text = "The suite holds this claim to be false, and expects it to be refuted."
    elif expected == "refuted":
        text = "**Known negative**: this claim is known to be false and is expected to be refuted."
    elif known_negative(entry):
        text = f"**Known negative**: a check of this claim is known to be false: {told}."
    elif expected == "invalid":
        text = "This claim is wrong as written on purpose: the loader is expected to refuse it."
    elif expected == "supported":
        text = "The suite expects this claim to be supported."
    else:
        text = f"This claim is {told}."
    if skipped:
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
        facts.append(f"Source: {source_words(source)}.")
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
    parts = [
        *map(_figure, figures_of({"profiles": [profile]})),
        "Mean attention by distance from the query, over the tokens that have a token there (BOS apart: "
        f"{number(profile.get('bos'))}):",
        ", ".join(near) if near else "not measured",
        *_by_class(classes, profile.get("matrix") or []),
    ]
    return details(
        f"Where head {profile.get('head') or '?'} looks on {profile.get('prompts')}, drawn and in numbers",
        "\n\n".join(parts),
    )


def _by_class(classes: Sequence[str], matrix: Sequence[Sequence[float | None]]) -> list[str]:
    """Mean attention from class to class: a table or, where that would be wider than paper and screens, a line a class."""
    known = [
        (query, values)
        for query, values in zip(classes, matrix, strict=False)
        if any(value is not None for value in values)
    ]
    if not known or len(classes) <= _MOST_CLASSES:
        rows = [[code(query), *map(number, values)] for query, values in known]
        return [
            "Mean attention from each class of tokens (row) to each class (column), a token's to itself included; a row sums to 1:",
            table(["from", *map(code, classes)], rows) if rows else "not measured",
        ]
    lines = []
    for query, values in known:
        keys = sorted(((value or 0.0, key) for key, value in zip(classes, values, strict=False)), reverse=True)
        large = [f"{code(key)} {number(value)}" for value, key in keys if value >= FAR]
        rest = sum(value for value, _ in keys if value < FAR)
        lines.append(f"- {code(query)}: {', '.join([*large, f'all others together {number(rest)}'])}")
    return [
        f"Mean attention from each class of tokens (a token's to itself included) to the classes that get {number(FAR)} or more of it:",
        "\n".join(lines),
    ]


def _fenced(text: str, language: str = "text") -> str:
    """A code block whose fence is longer than any run of backticks inside."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
