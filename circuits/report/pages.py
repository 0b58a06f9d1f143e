"""What the front page and the suite pages share: names, places, tables, figures."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from circuits.report.prose import code, prose
from circuits.report.record import DASH, number

MARKER = "<!-- written by pytest-circuits from results.json; the next run overwrites it -->"
VERDICTS = ("supported", "refuted", "inconclusive", "unmeasurable", "observed", "invalid", "skipped")

Entry = Mapping[str, Any]


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


def figures_of(entry: Entry) -> list[Mapping[str, Any]]:
    """The figures of a claim's checks and profiles, each once."""
    found: dict[str, Mapping[str, Any]] = {}
    for row in [*(entry.get("checks") or []), *(entry.get("profiles") or [])]:
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


def said(value: bool | None, yes: str, no: str, unknown: str) -> str:
    return unknown if value is None else yes if value else no
