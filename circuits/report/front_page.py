"""The front page: what was asked, the counts, the strongest refutations, one row a claim, where it comes from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from circuits.report import bars, beside, words
from circuits.report.pages import (
    MARKER,
    VERDICTS,
    Entry,
    against_bound,
    anchor,
    below,
    claim_name,
    details,
    effect_text,
    history_line,
    known_negative,
    page_name,
    rank_text,
    said,
    subject,
    table,
    variant_text,
    verdict_cell,
    verdict_of,
)
from circuits.report.prose import code, expected_words, prose
from circuits.report.provenance import how_to_reproduce, runs_and_models
from circuits.report.ranking import DECIDES, beyond, deciding, strength
from circuits.report.record import DASH, POINTS, counted, is_claim, number, suites_at_fault
from circuits.report.scope import moved_bounds, other_versions

_MOST_REFUTATIONS = 8
_NOT_TESTED = ("skipped", "invalid")

READING = """\
A claim is a person's sentence with checks in YAML; a check is most often one number per prompt, a bound on its mean, and an
interval for that mean. Of a relative drop or a recovery it is the ratio of two means, of random circuits a share of them, of
`top:` a place among all heads, decided head by head, and of a score of weights an exact number.

- **SUPPORTED**: the whole interval of every check lies on the right side of its bound. That *some head* meets a bound can be
  sure of several heads together and of none of them alone; its page says so, and shows the best one's interval.
- **REFUTED**: the whole interval of some check, widened for the number of checks, lies on the wrong side.
- **INCONCLUSIVE**: neither; more prompts or a different bound would be needed. It does not mean "no effect".
- **UNMEASURABLE**: there is nothing to judge: the selectors match no token, the model does not do the task, or a
  value is not finite.
- **SKIPPED**: the weights of the model could not be had. **INVALID**: the suite says something that cannot be measured, and
  the page tells what.
- **OBSERVED**: shown without a bound; nothing was claimed.

For prompts drawn independently from the stated family, given this model, these templates and this reference set,
each kind of wrong verdict on a check (SUPPORTED though false, REFUTED though true) has probability at most
(1 - confidence) / 2 (2.5% at a confidence of 95%, which suites have unless they say otherwise) where the page calls the interval *guaranteed*; elsewhere it rests on the assumption named
beside it. This holds however early the sampling stopped: each check takes prompts in blocks until it is decided.
The page of each suite with intervals ends with how they were made and how n was decided.
Nothing is corrected for the number of claims in this report, unless a section *The run as a whole* stands above, as
`--circuit-fdr` writes it.

**Known negatives** are claims known to be false, kept to show that the tests can fail: they are expected to be
REFUTED. A claim meets its expectation when its verdict is the expected one. VACUOUS marks a claim with
a lower bound or a difference that would also hold under uniform attention, or on every model with shuffled weights.

Claims, bounds and expectations are their author's, those of known negatives too, and nothing here shows whether they were
written before or after the numbers were seen. *History* on a claim's page tells the other versions of it that were decided;
without that line `ledger.jsonl` knows of none, and it knows only the runs that were kept in it. *Source* is where the
author has the claim from, as the suite gives it; it has no part in the verdict. *k of H heads satisfy the bound* names
the strongest: `circuits scan MODEL` ranks all heads of a model. Where a page says **no base rate**, a large effect may
be what any part of the model would show."""

_COLUMNS = f"""\
A claim may have several checks and heads. Its row shows the one that decides: {DECIDES}; *and 3 more* counts the others, which
stand on the suite's page. *head or part* is what that check is about, *effect* its effect size (lift: times the value
under uniform attention; d_z, d: standardised difference; relative: relative change), *rank* the head's place among all
heads of the model by this value, *n* the number of prompts (of random circuits or members, where a check is about those)."""

ARMS = """\
*Beyond its bound* is how far the interval that refutes (widened where a claim has several checks) ends on the wrong side
of the bound, in the value's own unit (of a percentage in points) and in arms: one arm is the distance from the estimate to that end of its interval.
Refutations that were not expected stand first, then the others; each of the two is in order of arms. Equal values, the width of
whose interval is a guess (*rule of three*), come behind the others, and exact values and ranks, which have no arms, last."""

_BARS = f"The bars: {bars.LEGEND}"


def front_page(record: Mapping[str, Any], suites: Mapping[str, Sequence[Entry]], rows: str) -> str:
    """The whole page. ``rows``: the claims that were tested, from ``claims_table``."""
    suites = placed(suites)
    entries = [entry for group in suites.values() for entry in group]
    parts = [MARKER, "# Claims and what they came to", _asked(entries), counts_table(entries)]
    edited = other_versions(entries, "on the claim's page")
    parts += [edited[0].upper() + edited[1:]] if edited else []
    parts += not_as_expected(entries) + _refutations(entries)
    whole = beside.discoveries(entries)
    if whole is not None:
        parts += ["## The run as a whole", whole]
    if entries:
        explained = [] if _BARS in parts else [_BARS]  # once, where the first bar stands
        parts += ["## Claims", _COLUMNS, *explained, rows, *_not_tested(suites)]
    parts += ['<a id="where-the-numbers-come-from"></a>\n\n## Where the numbers come from', runs_and_models(record)]
    parts += ["All of it for programs: [`results.json`](results.json)."]
    if tested(entries):
        parts += ['<a id="how-to-reproduce"></a>\n\n## How to reproduce it', how_to_reproduce(record)]
    parts += ['<a id="how-to-read"></a>\n\n## How to read this report', READING]
    return "\n\n".join(parts) + "\n"


def claims_table(suites: Mapping[str, Sequence[Entry]]) -> str:
    """A table a suite of the claims that were tested, one row a claim."""
    parts = []
    for file, entries in placed(suites).items():
        found = tested(entries)
        if found:
            title = next((entry["suite"] for entry in entries if entry.get("suite")), file)
            parts.append(f"### [{prose(title)}]({page_name(file)})")
            parts.append(f"{code(file)}: {tally(entries)}.")
            parts.append(table(COLUMNS, map(claim_row, found)))
    return "\n\n".join(parts) or "No claim was measured."


def placed(suites: Mapping[str, Sequence[Entry]]) -> dict[str, list[Entry]]:
    """The same entries, each with its file: links need it, and an entry need not say it."""
    return {file: [{**entry, "file": file} for entry in entries] for file, entries in suites.items()}


COLUMNS = [
    "verdict, claim",
    "estimate [interval], bound",
    "head or part",
    "effect, rank, n",
]  # a phone shows the first two


def tested(entries: Sequence[Entry]) -> list[Entry]:
    """The claims that came to something: neither skipped nor refused by the loader."""
    return [entry for entry in entries if verdict_of(entry) not in _NOT_TESTED]


def _asked(entries: Sequence[Entry]) -> str:
    """What was asked, in a paragraph, with the ways on."""
    found = tested(entries)
    if not entries:
        return "No claim has been tested yet."
    models = Counter(str(entry["model"]) for entry in found if entry.get("model"))
    on = f", on {words.listing(_on_model(name, models) for name in sorted(models))}" if models else ""
    gone = Counter(str(entry["model"]) for entry in entries if verdict_of(entry) == "skipped" and entry.get("model"))
    without = [f"{code(name)} ({number(count)} claims)" for name, count in sorted(gone.items()) if name not in models]
    none = f"Nothing was tested on {words.listing(without)}, whose weights could not be had. " if without else ""
    outside = f"{suites_at_fault(entries)}. " if suites_at_fault(entries) else ""
    return (
        "Researchers' sentences about attention heads and other parts of a transformer, each with a bound that can be missed: "
        f"do they hold on prompts made for the purpose? {number(len(found))} of {number(sum(map(is_claim, entries)))} claims "
        f"{'was' if len(found) == 1 else 'were'} tested{on}. {none}{outside}"
        "[How to read this report](#how-to-read), [where the numbers come from](#where-the-numbers-come-from)"
        + (", [how to reproduce it](#how-to-reproduce)." if found else ".")
    )


def _on_model(name: str, models: Mapping[str, int]) -> str:
    """A model with the number of its claims, where there are several; what the reference model is."""
    facts = [number(models[name])] if len(models) > 1 else []
    facts += ["whose weights are set by hand, so that the truth is known"] if name == "reference" else []
    return code(name) + (f" ({', '.join(facts)})" if facts else "")


def counts_table(entries: Sequence[Entry]) -> str:
    """How many claims came to each verdict, and how many of them not as their authors expected; as wide as a phone."""
    counts = Counter((verdict_of(entry), entry.get("met")) for entry in entries if is_claim(entry))
    rows = []
    for verdict in VERDICTS:
        met, missed, open_ = (counts[verdict, met] for met in (True, False, None))
        if met + missed + open_:
            unmet = DASH if verdict in ("skipped", "observed") and not missed else str(missed)
            rows.append([verdict.upper(), str(met + missed + open_), unmet])
    return table(["verdict", "claims", "not as expected"], rows) if rows else ""


def tally(entries: Sequence[Entry]) -> str:
    """ "12 supported, 3 refuted, 1 skipped" """
    counts = Counter(map(verdict_of, filter(is_claim, entries)))
    return ", ".join(f"{number(counts[verdict])} {verdict}" for verdict in VERDICTS if counts[verdict])


def not_as_expected(entries: Sequence[Entry]) -> list[str]:
    """Claims that did not come out as expected; of the refuted ones how many, for they have a table of their own."""
    missed = [entry for entry in entries if entry.get("met") is False]
    refuted = sum(verdict_of(entry) == "refuted" for entry in missed)
    below = "at the top of [the strongest refutations](#strongest-refutations)"
    lines = [f"- REFUTED: {refuted} claim{'s' if refuted > 1 else ''}, {below}"] if refuted else []
    for entry in sorted(missed, key=is_claim, reverse=True):
        if verdict_of(entry) != "refuted":
            told = f"{verdict_of(entry).upper()}{_though(entry)}" if is_claim(entry) else "Not counted as a claim"
            lines.append(f"- {told}: {_link(entry)}{_because(entry)}")
    return ["## Not as expected", "\n".join(lines)] if lines else []


def _though(entry: Entry) -> str:
    if verdict_of(entry) == "invalid":
        return ""
    if known_negative(entry):
        return " though a known negative"
    told = expected_words(str(entry.get("expected") or "supported"))
    return f", {prose(told.replace('expected: ', 'expected '))}"


def _because(entry: Entry) -> str:
    fault = next((str(text).split("\n", 1)[0] for text in entry.get("faults") or []), None)
    reason = entry.get("reason") or fault
    return f" ({prose(reason)})" if reason else ""


def _refutations(entries: Sequence[Entry]) -> list[str]:
    """The refuted claims, strongest first; those that nobody expected before the known negatives."""
    found = sorted((entry for entry in entries if verdict_of(entry) == "refuted"), key=strength)
    if not found:
        return []
    surprising = sum(entry.get("met") is False for entry in found)
    most = max(_MOST_REFUTATIONS, surprising)
    parts = ['<a id="strongest-refutations"></a>\n\n## The strongest refutations']
    if not surprising:
        parts.append(
            "No claim was refuted that its suite expects to hold. These are the known negatives: claims known to be false, by "
            "construction or since something measured earlier refuted them, here to show that the tests can fail. When an "
            "expectation was written down, a report cannot show."
        )
    parts += [ARMS, _BARS, refuted_table(found[:most])]
    if found[most:]:
        rest = found[most:]
        parts.append(details(f"{len(rest)} more, all of them known negatives", refuted_table(rest)))
    return parts


def refuted_table(entries: Sequence[Entry]) -> str:
    header = ["claim", "estimate [interval], bound", "head or part", "beyond its bound"]
    return table(header, map(_refuted_row, entries))


def _refuted_row(entry: Entry) -> list[str]:
    row = deciding(entry.get("checks") or []) or {}
    return [
        below(
            said(entry.get("met"), "known negative" if known_negative(entry) else "expected", "**not expected**", ""),
            _words(entry),
        ),
        against_bound(row),
        subject(row) or DASH,
        beyond_text(row),
    ]


def beyond_text(row: Mapping[str, Any]) -> str:
    """How far the interval that refutes ends on the wrong side: "14.5% (2.8 arms)", a dash where that is not known."""
    far = beyond(row)
    return DASH if far is None else f"{number(far.gap, POINTS if row.get('percent') else False)} ({far.arms:.1f} arms)"


def claim_row(entry: Entry, words_cell: str | None = None) -> list[str]:
    """A claim's cells under ``COLUMNS``. ``words_cell``: its words as they are to stand there (None: a link to its section)."""
    rows = entry.get("checks") or []
    row = deciding(rows) or {}
    a_map = row.get("estimate") is None and any(each.get("points") for each in rows)
    return [
        below(verdict_cell(entry), (words_cell or _words(entry)) + (f" ({others(rows)})" if others(rows) else "")),
        "a map" if a_map else "not measured" if row.get("estimate") is None else against_bound(row),
        subject(row) or prose(", ".join(str(head) for head in entry.get("heads") or [])) or DASH,
        below(effect_text(row), rank_text(row), f"n = {counted(row)}" if row.get("n") is not None else DASH),
    ]


def _words(entry: Entry) -> str:
    """The claim's words as a link to its section, its variant, and what is known of its earlier wordings."""
    # The page tells the versions; here it is enough that there were some.
    edits = re.split(r":|;| before", history_line(entry))[0]
    history = f" ({edits}{', with other bounds' if moved_bounds(entry) else ''})" if edits else ""
    return _link(entry) + variant_text(entry) + history


def others(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many measurements stand beside the one that is shown, "and 3 more"; empty where it is the only one."""
    count = sum(not row.get("observe") for row in rows)
    return f"and {number(count - 1)} more" if count > 1 else ""


def _link(entry: Entry) -> str:
    file = str(entry.get("file") or "")
    return f"[{prose(entry.get('claim') or claim_name(entry))}]({page_name(file)}#{anchor(entry)})"


def _not_tested(suites: Mapping[str, Sequence[Entry]]) -> list[str]:
    """Claims that were skipped or refused: one closed part a reason, so that they never bury the measured ones."""
    groups: dict[tuple[str, str], list[tuple[str, Entry]]] = {}
    for file, entries in suites.items():
        for entry in entries:
            if verdict_of(entry) in _NOT_TESTED:
                groups.setdefault((verdict_of(entry), _reason(entry)), []).append((file, entry))
    if not groups:
        return []
    parts = ["### Not tested"]
    for (verdict, reason), found in sorted(groups.items(), key=lambda group: group[0]):
        parts.append(details(f"{len(found)} {verdict}: {reason}", "\n".join(_by_suite(found))))
    return parts


def _reason(entry: Entry) -> str:
    fault = "; ".join(str(text).split("\n", 1)[0] for text in entry.get("faults") or [])
    return str(entry.get("reason") or fault or "no reason was recorded")


def _by_suite(found: Iterable[tuple[str, Entry]]) -> list[str]:
    """One line a suite: its claims by their ids, as links."""
    lines: dict[str, list[str]] = {}
    for file, entry in found:
        lines.setdefault(file, []).append(f"[{prose(claim_name(entry))}]({page_name(file)}#{anchor(entry)})")
    return [f"- {code(file)}: {', '.join(links)}" for file, links in lines.items()]
