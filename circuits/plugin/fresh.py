"""Prompts never used before: a new seed, and the seeds whose prompts must not come again.

A claim whose bounds were chosen on the prompts of one seed is confirmed on prompts that nobody has looked at. The
seeds that were used are those of the report's record; the new one is written there with the results.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from pathlib import Path

LARGEST = 2**31


def used_seeds(folder: Path | None) -> tuple[int, ...]:
    """Every seed that a report folder's record names, ascending; none where there is no readable record."""
    if folder is None:
        return ()
    try:
        record = json.loads((folder / "results.json").read_text("utf-8"))
        rows = [row for entry in record["claims"].values() for row in entry.get("checks", ())]
        seeds = {row.get("seed") for row in rows} | {
            seed for run in record["runs"].values() for seed in run.get("seeds") or ()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ()
    return tuple(sorted(seed for seed in seeds if isinstance(seed, int)))


def new_seed(used: Iterable[int]) -> int:
    """A seed that was not used, unpredictable so that nobody can have looked at its prompts."""
    taken = set(used)
    while (seed := secrets.randbelow(LARGEST)) in taken:
        continue
    return seed
