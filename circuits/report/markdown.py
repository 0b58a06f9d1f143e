"""The pages of the report: a front page and one page a suite, made from the record and nothing else.

Suite pages hold no run, time or cache status, so that an unchanged result is an unchanged page.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from circuits.errors import CircuitsError
from circuits.report.front_page import claims_table, front_page
from circuits.report.ledger import NAME, history_of, read_ledger
from circuits.report.memo import Memo
from circuits.report.pages import MARKER, Entry, anchor, figures_of, page_name, verdict_of
from circuits.report.provenance import measure_again
from circuits.report.record import DIGITS, body_of, clean_numbers, file_of, write_atomically
from circuits.report.suite_page import suite_page
from circuits.store import checksum

HTML_NAME = "report.html"

__all__ = ["MARKER", "anchor", "page_name", "verdict_of", "write_reports"]


def write_reports(
    folder: Path,
    record: Mapping[str, Any],
    *,
    memo: Memo | None = None,
    clean: bool = False,
    bodies: Mapping[str, str] | None = None,
    html: bool = False,
) -> list[Path]:
    """Write ``README.md`` and one page a suite into ``folder``; returns their paths, the front page first.

    Removes earlier pages (known by the marker on their first line) and figures (``figures/*.png``) that
    nothing refers to any more. Raises CircuitsError, before anything is written, when a page would
    overwrite a file that this program did not write. ``memo``: what was rendered before; ``clean``: the record is plain
    JSON data with rounded numbers; ``bodies``: those of its claims that are known as text. ``html``: also ``report.html``,
    last of the paths; where one of an earlier run lies there it is kept up to date without being asked for, so that it
    never says something else than the other pages.
    """
    folder = Path(folder)
    memo = memo or Memo()
    data = record if clean else clean_numbers(record, DIGITS)
    recorded = data.get("claims") or {}
    beside = _beside(recorded, data.get("runs") or {}, folder)
    claims = {name: {**entry, **beside[name]} for name, entry in recorded.items()}
    names: dict[str, list[str]] = {}
    for node_id in sorted(claims, key=lambda key: (file_of(key, claims[key]), claims[key].get("line") or 0, key)):
        names.setdefault(file_of(node_id, claims[node_id]), []).append(node_id)
    suites = {file: [claims[name] for name in group] for file, group in names.items()}
    models = data.get("models") or {}
    known = bodies or {}

    def made_from(file: str) -> list[Any]:
        return [file, [_shown(recorded[name], known.get(name), beside[name]) for name in names[file]]]

    inputs = {file: memo.digest(partial(made_from, file)) for file in names}
    rows = memo.text("claims", list(inputs.items()), lambda: claims_table(suites)) if suites else ""
    pages = {folder / "README.md": front_page(data, suites, rows)}
    for file, entries in suites.items():
        render = partial(suite_page, file, entries, models)
        pages[folder / page_name(file)] = memo.text(f"page {file}", [inputs[file], models], render)
    one_page = folder / HTML_NAME
    if html or (one_page.is_file() and _owned(one_page)):
        from circuits.report.html_page import html_page, with_figures

        pages[one_page] = with_figures(html_page(data, suites, memo, inputs), folder)
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
    shown = {(folder / figure["path"]).name for entry in claims.values() for figure in figures_of(entry)}
    for path in sorted((folder / "figures").glob("*.png")):
        if path.name not in shown:
            path.unlink()
    memo.keep()
    return list(pages)


def _shown(entry: Entry, body: str | None, beside: Entry) -> list[Any]:
    """What decides how an entry is shown: neither the run nor whether it was cached."""
    status = "measured" if entry.get("status") == "cached" else entry.get("status")
    return [checksum(body_of(entry) if body is None else body), status, beside]


def _beside(claims: Mapping[str, Entry], runs: Mapping[str, Any], folder: Path) -> dict[str, Entry]:
    """What pages show of each claim beside its entry.

    ``again``: the line that measures the claim again as its run did. ``history``: what the folder's ledger tells of other
    versions of the claim, where it does. ``ledger``: whether the folder has one that can tell.
    """
    ledger = read_ledger(folder / NAME, claims)
    found: dict[str, Entry] = {}
    for name, entry in claims.items():
        history = history_of(entry, ledger) if ledger.lines else None
        again = measure_again(entry, runs.get(str(entry.get("run"))) or {})
        found[name] = {**(history or {}), "again": again, "ledger": bool(ledger.lines)}
    return found


def _owned(path: Path) -> bool:
    with path.open("rb") as file:
        return file.readline().strip() == MARKER.encode()
