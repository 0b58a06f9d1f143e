"""The pages of the report: a front page and one page a suite, made from the record and nothing else.

Suite pages hold no run, time or cache status, so that an unchanged result is an unchanged page.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from circuits.errors import CircuitsError
from circuits.report.front_page import front_page
from circuits.report.pages import MARKER, Entry, anchor, figures_of, page_name, verdict_of
from circuits.report.record import DIGITS, clean_numbers, file_of, write_atomically
from circuits.report.suite_page import suite_page

__all__ = ["MARKER", "anchor", "page_name", "verdict_of", "write_reports"]


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
    shown = {(folder / figure["path"]).name for entry in claims.values() for figure in figures_of(entry)}
    for path in sorted((folder / "figures").glob("*.png")):
        if path.name not in shown:
            path.unlink()
    return list(pages)


def _owned(path: Path) -> bool:
    with path.open("rb") as file:
        return file.readline().strip() == MARKER.encode()
