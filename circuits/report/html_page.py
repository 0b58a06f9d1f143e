"""The whole report as one HTML page that needs no network, no other file and no script to be read.

Rendered from the record like the Markdown pages, with their words. Nothing on it can run but its own script (its
digest stands in the page's security policy), and nothing can be fetched.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from circuits.report import beside, words
from circuits.report.front_page import (
    ARMS,
    READING,
    beyond_text,
    not_as_expected,
    others,
    refuted_table,
    tally,
    tested,
)
from circuits.report.html_claim import claim_section, section_id, verdict_pill
from circuits.report.html_marks import interval_mark
from circuits.report.html_text import block, code_span, escape, inline, tag
from circuits.report.memo import Memo
from circuits.report.methods import TITLE as TITLE_OF_METHODS
from circuits.report.methods import how_made
from circuits.report.pages import (
    MARKER,
    VERDICTS,
    Entry,
    bound_text,
    claim_name,
    effect_text,
    estimate_with_interval,
    history_line,
    known_negative,
    rank_text,
    subject,
    verdict_of,
)
from circuits.report.provenance import how_to_reproduce, runs_and_models
from circuits.report.ranking import DECIDES, deciding, strength
from circuits.report.record import DASH, counted, estimate_text, is_claim, number, suites_at_fault
from circuits.report.scope import scope
from circuits.report.suite_page import CONVENTIONS, PARTNERS

TITLE = "Claims and what they came to"
EXACT = 700.0
"""The log e-value from which on the record says that nothing is left to chance."""

_MOST_CARDS = 6
_FIRST = ("refuted", "inconclusive", "unmeasurable", "supported", "observed", "invalid", "skipped")
_FIGURE = re.compile(r'<img src="(figures/[\w.+-]+\.png)"')
_LEGEND = (
    "In the drawings the dot is the estimate, the bar its interval, and shaded is what meets the bound. **Evidence** is the "
    "claim's e-value, for it where it is supported and against it elsewhere: at 40 or more a verdict at 95% confidence stands, "
    'and 1 says nothing; "exact" is a fact about the weights or about all the prompts that there are.'
)
_MORE_MARKS = (
    "In the drawings thin is the interval corrected for the number of checks, which decides a refutation; dashed the value under "
    "uniform attention; a diamond a value reported elsewhere."
)
_ON_PAPER = "Of the claims whose sections were open when this was printed the checks follow."
_ROWS = f"A row shows the check that decides its claim: {DECIDES}. *and 3 more* counts the others, which stand in the claim's section below."

Suites = Mapping[str, Sequence[Entry]]
Placed = tuple[str, Entry]  # a claim with the file of its suite


def html_page(record: Mapping[str, Any], suites: Suites, memo: Memo, inputs: Mapping[str, str]) -> str:
    """The page without the bytes of its figures. ``inputs``: the digest of what each suite's part is made from."""
    placed = sorted(
        ((file, entry) for file, group in suites.items() for entry in group), key=lambda each: _order(each[1])
    )
    entries = [entry for _, entry in placed]
    models: Mapping[str, Any] = record.get("models") or {}
    table = memo.text("html claims", list(inputs.items()), partial(_claims, placed))
    sections = [
        memo.text(f"html {file}", [inputs[file], models], partial(_suite, file, group, models))
        for file, group in sorted(suites.items(), key=lambda each: not tested(each[1]))  # what was skipped comes last
    ]
    whole = beside.discoveries(entries)
    paper = tag("p", _ON_PAPER, class_="paper from") if entries else ""
    body = [
        tag("header", tag("h1", TITLE) + tag("div", _in_short(entries), class_="lead") + _tally(entries)),
        *(block(part) for part in not_as_expected(_with_files(placed))),
        _cards(placed),
        tag("section", tag("h2", "All claims") + _about_rows(entries) + _filter(placed) + table + paper, class_="all"),
        _part("The run as a whole", block(whole)) if whole is not None else "",
        *sections,
        _part(
            "How to read this",
            block(READING)
            + tag("p", inline(f"{_LEGEND} {_MORE_MARKS}"))
            + tag("p", inline(CONVENTIONS))
            + tag("p", inline(PARTNERS)),
        ),
        _part("Where the numbers come from", block(runs_and_models(record))),
        _part("How to reproduce it", block(how_to_reproduce(record))) if entries else "",
    ]
    return _document("\n".join(part for part in body if part))


def with_figures(page: str, folder: Path) -> str:
    """The page with its figures inside; one that is not in the folder is said to be missing, by its name.

    Only this program's own images (``<img src="figures/...png"``, which no escaped text can hold) are looked for.
    """

    def inside(found: re.Match[str]) -> str:
        try:
            data = (folder / found[1]).read_bytes()
        except OSError:
            return f'<img data-missing="{found[1]}"'
        return f'<img src="data:image/png;base64,{base64.b64encode(data).decode()}"'

    return _FIGURE.sub(inside, page)


def _document(body: str) -> str:
    style, script = _asset("report.css"), _asset("report.js")
    trusted = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{trusted}'; base-uri 'none'; form-action 'none'"
    head = [
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", TITLE),
        tag("style", style),
    ]
    content = tag("head", "\n".join(head)) + tag("body", tag("main", body) + "\n" + tag("script", script))
    return f"{MARKER}\n<!doctype html>\n{tag('html', content, lang='en')}\n"


def _asset(name: str) -> str:
    return files("circuits.report").joinpath("assets", name).read_text(encoding="utf-8")


def _part(title: str, content: str) -> str:
    return tag("section", tag("h2", escape(title)) + content, class_="part")


# -- the top of the page ---------------------------------------------------------------------------------


def _with_files(placed: Sequence[Placed]) -> list[Entry]:
    return [{**entry, "file": file} for file, entry in placed]


def _in_short(entries: Sequence[Entry]) -> str:
    """How many claims were tested, why the others were not, and that refutations are known negatives where they are."""
    if not entries:
        return tag("p", "No claim has been tested yet.")
    found, claims = tested(entries), sum(map(is_claim, entries))
    models = sorted({str(entry["model"]) for entry in found if entry.get("model")})
    on = f", on {words.listing(map(code_span, models))}" if models else ""
    count = tag("b", f"{number(len(found))} of {number(claims)} {'claim' if claims == 1 else 'claims'}")
    sentences = [f"{count} {'was' if len(found) == 1 else 'were'} tested{on}.", *_left_out(entries)]
    sentences += [f"{suites_at_fault(entries)}."] if suites_at_fault(entries) else []
    refuted = [entry for entry in entries if verdict_of(entry) == "refuted"]
    surprising = sum(entry.get("met") is False for entry in refuted)
    known = "known negatives: claims known to be false, kept to show that the tests can fail"
    told = f"None of the {number(len(refuted))} refutations is a surprise: they are {known}." if refuted else ""
    if len(refuted) == 1:
        told = "The one refutation is no surprise: it is a known negative: a claim known to be false."
    if surprising:
        were = "refuted claim was" if len(refuted) == 1 else f"refuted claims {'was' if surprising == 1 else 'were'}"
        told = f"{number(surprising)} of {number(len(refuted))} {were} expected to hold"
        told += f"; the others are {known}." if surprising < len(refuted) else "."
    return tag("p", " ".join(sentences)) + (tag("p", told) if told else "")


def _left_out(entries: Sequence[Entry]) -> list[str]:
    """How many claims were skipped, with the reason where all share one, and how many were refused."""
    skipped = [entry for entry in entries if verdict_of(entry) == "skipped"]
    reasons = {str(entry.get("reason") or "").partition(";")[0] for entry in skipped}
    reason = f" ({escape(*reasons)})" if len(reasons) == 1 and any(reasons) else ""
    invalid = sum(verdict_of(entry) == "invalid" for entry in filter(is_claim, entries))
    parts = [f"{number(len(skipped))} {'was' if len(skipped) == 1 else 'were'} skipped{reason}"] if skipped else []
    parts += [f"{number(invalid)} {'was' if invalid == 1 else 'were'} refused by the loader"] if invalid else []
    return [f"{', '.join(parts)}."] if parts else []


_UNJUDGED = {"skipped": "not tested", "observed": "nothing was claimed"}


def _tally(entries: Sequence[Entry]) -> str:
    """How many claims came to each verdict, as a bar of their shares and as numbers that filter the table."""
    claims = [entry for entry in entries if is_claim(entry)]
    counts = Counter(map(verdict_of, claims))
    missed = Counter(verdict_of(entry) for entry in claims if entry.get("met") is False)
    known = sum(verdict_of(entry) == "refuted" and known_negative(entry) for entry in claims)
    found = [verdict for verdict in VERDICTS if counts[verdict]]
    shares = "".join(tag("span", class_=verdict, style=f"flex-grow:{counts[verdict]}") for verdict in found)
    tiles = ""
    for verdict in found:
        unmet = missed[verdict]
        met = f"{number(unmet)} not as expected" if unmet else _UNJUDGED.get(verdict, "all as expected")
        if verdict == "refuted" and not unmet and known == counts[verdict]:
            met = "all known negatives" if known > 1 else "a known negative"
        told = tag("b", number(counts[verdict])) + tag("span", verdict) + tag("small", met)
        name = f"tile {verdict}{' unmet' if unmet else ''}"
        tiles += tag("li", tag("a", told, href=f"#verdict={verdict}", class_=name))
    return tag("div", shares, class_="shares", aria_hidden="true") + tag("ul", tiles, class_="tiles") if found else ""


def _cards(placed: Sequence[Placed]) -> str:
    """The refutations in the order of the front page, those that nobody expected first: the strongest drawn, the others in a table."""
    refuted = [(file, entry) for file, entry in placed if verdict_of(entry) == "refuted"]
    if not refuted:
        return ""
    cards = "".join(tag("li", _card(file, entry)) for file, entry in refuted[:_MOST_CARDS])
    rest = refuted[_MOST_CARDS:]
    summary = tag("summary", f"{number(len(rest))} more {'refutation' if len(rest) == 1 else 'refutations'}")
    more = tag("details", summary + block(refuted_table(_with_files(rest))), class_="more") if rest else ""
    content = (
        tag("h2", "Strongest refutations")
        + tag("p", inline(_LEGEND), class_="from")
        + tag("details", tag("summary", "Their order, and what an arm is") + block(ARMS), class_="more from")
        + tag("ul", cards, class_="cards")
        + more
    )
    return tag("section", content, class_="strongest", id="strongest-refutations")


def _card(file: str, entry: Entry) -> str:
    row: Mapping[str, Any] = deciding(entry.get("checks") or []) or {}
    known = "known negative" if known_negative(entry) else "as expected"
    unmet = tag("span", "not as expected", class_="unmet") if entry.get("met") is False else tag("span", known)
    facts = [f"evidence {evidence_text(entry)}"] if evidence(entry) > -math.inf else []
    if row.get("estimate") is not None:
        limits = words.interval_limits(row)
        measured = [tag("b", escape(estimate_text(row))), *([inline(limits)] if limits != DASH else [])]
        far = [f"beyond it by {inline(beyond_text(row))}"] if beyond_text(row) != DASH else []
        facts = [*measured, f"bound: {inline(words.bound(row))}", *far, *facts]
    return "".join(
        [
            tag("a", escape(entry.get("claim") or claim_name(entry)), href=f"#{section_id(file, entry)}"),
            interval_mark(row) if row else "",
            tag("p", " · ".join(facts)) if facts else "",
            tag("p", f"{code_span(claim_name(entry))} {unmet}", class_="from"),
        ]
    )


# -- the table -------------------------------------------------------------------------------------------


def _log(value: float | None) -> float:
    return -math.inf if value is None else value


def evidence(entry: Entry) -> float:
    """The log e-value for a supported claim, against any other; minus infinity where there is none."""
    return _log((entry.get("log_e") or {}).get("for" if verdict_of(entry) == "supported" else "against"))


def evidence_text(entry: Entry) -> str:
    """The e-value as HTML: "248", "10" with an exponent where it is large, "exact" where nothing is left to chance."""
    log = evidence(entry)
    if log == -math.inf:
        return DASH
    if log >= EXACT:
        return "exact"
    return number(math.exp(log)) if log < math.log(10_000) else f"10{tag('sup', f'{log / math.log(10):.0f}')}"


def _order(entry: Entry) -> tuple[int, tuple[bool, int, float]]:
    """Refutations first, as on the front page, then what is undecided; in each those not as expected first, then by evidence."""
    verdict = verdict_of(entry)
    by = strength(entry) if verdict == "refuted" else (entry.get("met") is not False, False, -evidence(entry))
    return _FIRST.index(verdict), by


def _about_rows(entries: Sequence[Entry]) -> str:
    """What a row shows; and how to read its drawing, where no card above has said it."""
    said = any(verdict_of(entry) == "refuted" for entry in entries)
    return tag("p", inline(_ROWS if said else f"{_ROWS} {_LEGEND}"), class_="from") if entries else ""


_COLUMNS = ("verdict", "claim", "suite", "head or part", "against its bound", "estimate", "bound", "n", "evidence")
_SORTS = [  # for a phone, which has no room for the headings
    ("verdict", "by verdict"), ("claim", "by claim"), ("suite", "by suite"), ("head", "by head or part"),
    ("-estimate", "largest estimate first"), ("estimate", "smallest estimate first"), ("-n", "largest n first"),
    ("n", "smallest n first"), ("-evidence", "most evidence first"), ("evidence", "least evidence first"),
]  # fmt: skip
_SORTED = {"verdict", "claim", "suite", "head or part", "estimate", "n", "evidence"}


def _claims(placed: Iterable[Placed]) -> str:
    head = "".join(
        tag("th", name, scope="col", data_sort=name.split()[0] if name in _SORTED else None) for name in _COLUMNS
    )
    rows = "\n".join(_claim_row(file, entry) for file, entry in placed)
    table = tag("table", tag("thead", tag("tr", head)) + tag("tbody", rows), id="claims")
    return tag("div", table, class_="scroll wide-table", tabindex="0", role="region", aria_label="All claims")


def _claim_row(file: str, entry: Entry) -> str:
    """A claim by the one check that decides it, as on the front page: its bar, estimate and bound are of that check alone."""
    verdict, rows = verdict_of(entry), entry.get("checks") or []
    row: Mapping[str, Any] = deciding(rows) or {}
    measured = row.get("estimate") is not None
    a_map = not measured and any(each.get("points") for each in rows)
    told = inline(estimate_with_interval(row)) if measured else "a map" if a_map else "not measured"
    sizes = [size for size in (effect_text(row), _rank(row)) if measured and size != DASH]
    sizes += [others(rows)] if others(rows) and (measured or a_map) else []
    link = tag("a", escape(entry.get("claim") or claim_name(entry)), href=f"#{section_id(file, entry)}")
    unmet = tag("span", "not as expected", class_="unmet") if entry.get("met") is False else ""
    history = tag("small", inline(history_line(entry))) if history_line(entry) else ""
    cells = {
        "verdict": verdict_pill(entry) + unmet,
        "claim": link + tag("code", escape(claim_name(entry)), class_="id") + history,
        "suite": escape(entry.get("suite") or file) + tag("small", escape(entry.get("model") or DASH)),
        "head or part": inline(subject(row)) or _heads(entry),
        "against its bound": interval_mark(row) or DASH, "estimate": told + "".join(tag("small", inline(size)) for size in sizes),
        "bound": inline(bound_text(row)) if measured else DASH,
        "n": counted(row) if measured else DASH, "evidence": evidence_text(entry),
    }  # fmt: skip
    heads = [str(head) for head in entry.get("heads") or []]  # of all checks, so that the filter finds them
    return tag(
        "tr", "".join(tag("td", cells[name], class_=f"c-{name.split()[0]}") for name in _COLUMNS), class_=f"v-{verdict}",
        data_for=section_id(file, entry), data_verdict=verdict, data_suite=file, data_model=entry.get("model") or "",
        data_words=" ".join(heads) or None,
        data_estimate=row.get("estimate"), data_n=row.get("n"),
        data_evidence=f"{evidence(entry):.6g}" if evidence(entry) > -math.inf else None, data_outside=not is_claim(entry),
    )  # fmt: skip


def _rank(row: Mapping[str, Any]) -> str:
    return f"rank {rank_text(row)}" if rank_text(row) != DASH else DASH


def _heads(entry: Entry) -> str:
    heads = [str(head) for head in entry.get("heads") or []]
    shown = heads if len(heads) <= 6 else [*heads[:5], f"and {len(heads) - 5} more"]
    return escape(", ".join(shown)) or DASH


def _filter(placed: Sequence[Placed]) -> str:
    """What narrows the table and the sections below; only scripts can, so without them it is not shown."""
    suites = {file: str(entry.get("suite") or file) for file, entry in placed}
    found = {verdict_of(entry) for _, entry in placed}
    models = sorted({str(entry["model"]) for _, entry in placed if entry.get("model")})
    text = tag("input", type="search", name="text", placeholder="claim, head, number …", autocomplete="off")
    fields = [
        tag("label", f"text {text}"),
        _select("verdict", [(verdict, verdict) for verdict in VERDICTS if verdict in found]),
        _select("suite", sorted(suites.items(), key=lambda pair: pair[1])),
        _select("model", [(model, model) for model in models]),
        _select("sort", _SORTS, "as listed", class_="sorter"),
        tag("button", "show all", type="reset"),
        tag("button", "open or close these", type="button", class_="opener"),
        tag("output"),
    ]
    return tag("form", "".join(fields), id="filter", class_="scripted", role="search", aria_label="Filter the claims")


def _select(name: str, choices: Iterable[tuple[str, str]], none: str = "any", **attributes: str) -> str:
    options = "".join(tag("option", escape(text), value=value) for value, text in [("", none), *choices])
    return tag("label", f"{name} " + tag("select", options, name=name), **attributes)


# -- a suite ---------------------------------------------------------------------------------------------


def _suite(file: str, entries: Sequence[Entry], models: Mapping[str, Any]) -> str:
    """A suite's scope, the sections of its claims in the order of its file, and how the intervals were made."""
    title = next((entry["suite"] for entry in entries if entry.get("suite")), file)
    heading = tag("h2", escape(title)) + tag("p", f"{code_span(file)}: {tally(entries)}", class_="from")
    asked = tag("summary", "What was tested, and what was not") + block(scope(entries, models))
    about = tag("details", asked, class_="more")
    claims = "\n".join(claim_section(file, entry) for entry in entries)
    made = how_made(entries)
    how = tag("details", tag("summary", TITLE_OF_METHODS) + block(made), class_="more") if made else ""
    return tag("section", heading + about + claims + how, class_="suite")
