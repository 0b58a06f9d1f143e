"""One run's entries into the report folder: results.json merged, the ledger continued, pages and figures renewed."""

from __future__ import annotations

import platform
import subprocess
import time
from collections import Counter
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import circuits
from circuits.report import ledger
from circuits.report.markdown import write_reports
from circuits.report.memo import memo_of
from circuits.report.record import (
    DIGITS,
    clean_numbers,
    file_of,
    flips,
    is_claim,
    load_record,
    merge,
    write_record,
)
from circuits.store import code_digest, version


def write_run(
    folder: Path,
    *,
    root: Path,
    entries: Mapping[str, Mapping[str, Any]],
    models: Mapping[str, Any],
    files: Mapping[str, Collection[str]],
    started: float,
    dtype: str,
    device: str,
    kept: Path | None = None,
    bodies: Mapping[str, str] | None = None,
    options: Mapping[str, Any] | None = None,
    html: bool = False,
) -> dict[str, Any]:
    """Merge a run into ``folder/results.json`` and write the pages; returns the new record.

    ``files`` maps each collected suite to the node ids it defines now, so that claims which left it
    leave the report; suites that no longer exist under ``root`` leave it too. A claim whose verdict is another one than
    on the prompts before is marked ``flipped``; what was decided anew is a line of the ledger. ``kept``: the folder of
    what was rendered before;
    ``bodies``: the text of the entries (``record.body_of``) that are plain JSON data with rounded numbers; ``options``: what the run was asked
    that decides its numbers (seed, n, ...), recorded so that it can be repeated; ``html``: write
    the HTML page, too. Raises CircuitsError when the old results.json cannot be read (it is left untouched then),
    OSError when writing fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "results.json"
    old = load_record(path)
    gone = {file_of(node_id, entry) for node_id, entry in old["claims"].items()}
    gone = {file for file in gone if file not in files and not (root / file).exists()}
    counts = Counter(str(entry["status"]) for entry in entries.values() if is_claim(entry))
    run = {
        "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
        "seconds": round(time.time() - started, 1),
        "circuits": circuits.__version__,
        "code": "sha256:" + code_digest(),
        "torch": version("torch"),
        "transformer_lens": version("transformer_lens"),
        "transformers": version("transformers"),
        "python": platform.python_version(),
        "dtype": dtype,
        "device": device,
        "git": commit(root),
        "checkout": is_checkout(root),
        "options": None if options is None else dict(options),
        "counts": {name: counts.get(name, 0) for name in ("measured", "cached", "skipped", "invalid", "error")},
    }
    found = flips(old["claims"], entries)
    known = {name: body for name, body in (bodies or {}).items() if name not in found}
    entries = {name: {**entry, "flipped": found[name]} if name in found else entry for name, entry in entries.items()}
    entries = {name: entry if name in known else clean_numbers(entry, DIGITS) for name, entry in entries.items()}
    record = merge(old, clean_numbers(run), clean_numbers(models, DIGITS), entries, present=files, gone=gone)
    write_record(path, record, clean=True, bodies=known)
    ledger.append(folder / ledger.NAME, ledger.lines_of(entries, record["models"], run))
    memo = memo_of(folder, kept) if kept is not None else None
    write_reports(folder, record, memo=memo, clean=True, bodies=known, html=html)
    return record


def is_checkout(root: Path) -> bool:
    """Whether a project is this package's own source checkout, and the code that runs is the one in it."""
    return Path(circuits.__file__).resolve().parent.parent == root.resolve() and (root / "pyproject.toml").is_file()


def commit(root: Path) -> str | None:
    """The commit that ``root`` is at, with "+changes" when files differ from it; None outside git."""
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, timeout=5, check=True
        )
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no", "--", ".", ":!reports"],
            cwd=root, capture_output=True, text=True, timeout=5, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() + ("+changes" if changed.stdout.strip() else "")
