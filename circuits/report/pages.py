"""What the front page and the suite pages share: names, places, tables, figures."""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from circuits.report import words
from circuits.report.bars import bar_of
from circuits.report.prose import code, prose
from circuits.report.record import DASH, estimate_text, number, without_points

MARKER = "<!-- written by pytest-circuits from results.json; the next run overwrites it -->"
VERDICTS = ("supported", "refuted", "inconclusive", "unmeasurable", "observed", "invalid", "skipped")

Entry = Mapping[str, Any]

_EFFECTS = {"lift_over_heads": "lift over heads"}  # a cell can break it


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


def variant_text(entry: Entry) -> str:
    """ " `members=months, period=5`": a variant behind the claim's words, with room for a line to break; empty without one."""
    return f" {code(str(entry['variant']).replace(',', ', '))}" if entry.get("variant") else ""


def verdict_cell(entry: Entry) -> str:
    """A verdict in a table of claims: with VACUOUS, as a known negative, or bold where it came out not as expected."""
    told = verdict_of(entry).upper() + (" (VACUOUS)" if entry.get("vacuous") else "")
    if entry.get("met") is False:
        return f"**{told}**, not as expected"
    return told + (" (known negative)" if known_negative(entry) and entry.get("met") else "")


def figures_of(entry: Entry) -> list[Mapping[str, Any]]:
    """The figures of a claim's checks and profiles, each once; of several checks, the text says which a figure is of."""
    found: dict[str, Mapping[str, Any]] = {}
    of: dict[str, list[str]] = {}
    several = len({row.get("index") for row in entry.get("checks") or []}) > 1
    for row in [*(entry.get("checks") or []), *(entry.get("profiles") or [])]:
        figure = row.get("figure")
        if figure and figure.get("path"):
            found.setdefault(figure["path"], figure)
            checks = of.setdefault(figure["path"], [])
            if several and row.get("index") is not None and str(row["index"]) not in checks:
                checks.append(str(row["index"]))
    return [_numbered(figure, of[path]) for path, figure in found.items()]


def _numbered(figure: Mapping[str, Any], checks: Sequence[str]) -> Mapping[str, Any]:
    """A figure whose text begins with the numbers of its checks; as it is where there are none to tell."""
    if not checks:
        return figure
    told = f"check{'s' if len(checks) > 1 else ''} {words.listing(checks)}"
    return {**figure, "alt": f"{told}: {figure.get('alt') or 'figure'}"}


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table without padding: one changed cell changes one line. Columns of dashes alone are left out."""
    import tabulate

    rows = [list(row) for row in rows]
    used = [k for k in range(len(header)) if any(row[k] not in ("", DASH) for row in rows)]
    cells = [[row[k] for k in used] for row in rows]
    text = tabulate.tabulate(cells, [header[k] for k in used], tablefmt="pipe", disable_numparse=True)
    lines = [re.sub(r" {2,}", " ", line) for line in text.splitlines()]
    return "\n".join([lines[0], re.sub(r"-{3,}", "---", lines[1]), *lines[2:]])


def model_lines(known: Mapping[str, Any], names: Iterable[str]) -> list[str]:
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


def other_models(entries: Iterable[Entry], besides: Container[str] = ()) -> dict[str, Mapping[str, Any]]:
    """The models that claims were measured on besides their own, by name, without those that are known already."""
    found = {str(each["name"]): each for entry in entries for each in entry.get("other_models") or []}
    return {name: facts for name, facts in found.items() if name not in besides}


def details(summary: str, body: str) -> str:
    """A part that opens on a click; ``summary`` is plain text (Markdown is not read there)."""
    return f"<details><summary>{html.escape(' '.join(summary.split()), quote=False)}</summary>\n\n{body}\n\n</details>"


def known_negative(entry: Entry) -> bool:
    """Whether the suite expects this claim, or one of its checks, to be refuted."""
    expected = str(entry.get("expected") or "")
    return expected == "refuted" or expected.startswith("{refuted")


def history_line(entry: Entry) -> str:
    """What is known of the claim's earlier wordings, as one line of text; empty where nothing is recorded."""
    history = entry.get("history")
    return prose(history) if isinstance(history, str) else ""


def subject(row: Mapping[str, Any]) -> str:
    """Which head, components, path or circuit a row is about; empty where it names none."""
    parts = [str(part) for part in row.get("ablated") or []]
    path = row.get("path") or {}
    if path:
        into = f"{path['receiver']}.{path.get('input')}" if path.get("receiver") else "logits"
        return prose(f"{path.get('sender')} to {into}")
    circuit = (row.get("circuit") or {}).get("name")
    several = ", ".join(parts) if len(parts) <= 3 else circuit or f"{len(parts)} components"
    return prose(row.get("head") or several or circuit or "")


def estimate_with_interval(row: Mapping[str, Any]) -> str:
    """ "0.61 [0.58, 0.64]"; the bare value where there is no interval; a dash where nothing was measured."""
    value = estimate_text(row)
    limits = words.interval_limits(row)
    return value if limits == DASH else f"{value} [{without_points(limits.replace(' to ', ', '))}]"


def effect_text(row: Mapping[str, Any]) -> str:
    """The effect size in a cell, "lift 4.35"; a dash where the value is its own effect size or it is not known."""
    effect: Mapping[str, Any] = {} if words.says_itself(row) else row.get("effect") or {}
    value, kind = effect.get("value"), str(effect.get("kind") or "effect")
    return (
        DASH
        if value is None
        else f"{prose(_EFFECTS.get(kind, kind))} {number(value, effect.get('kind') == 'relative')}"
    )


def rank_text(row: Mapping[str, Any]) -> str:
    """ "3 of 270", "6 to 270 (tied) of 270" where others have the very same value, or a dash."""
    rank, tied = row.get("rank"), row.get("rank_tied")
    if not rank or rank[0] is None:
        return DASH
    place = f"{number(rank[0])} to {number(rank[0] + tied)} (tied)" if tied else number(rank[0])
    return f"{place} of {number(rank[1])}"


def bar_cell(row: Mapping[str, Any]) -> str:
    """The row's bar as code, or a dash."""
    drawn = bar_of(row)
    return drawn if drawn == DASH else f"`{drawn}`"


def below(*parts: str) -> str:
    """What is known of the parts of a cell, below each other; a dash where nothing is."""
    return "<br>".join(part for part in parts if part not in ("", DASH)) or DASH


def against_bound(row: Mapping[str, Any]) -> str:
    """Estimate with interval, bar and bound below each other in one cell."""
    return below(estimate_with_interval(row), bar_cell(row), bound_text(row))


def bound_text(row: Mapping[str, Any]) -> str:
    """The bound in words, "observed" where there is none on purpose, a dash where none is recorded."""
    told = "observed" if row.get("observe") else words.bound(row) or DASH
    together = (row.get("any") or {}).get("together") and row.get("verdict") == "supported"
    return f"{told}, sure of several heads together" if together else told


def said(value: bool | None, yes: str, no: str, unknown: str) -> str:
    return unknown if value is None else yes if value else no
