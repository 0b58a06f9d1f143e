"""Attention that a claim grants to many tokens and that lies on one: "from a month to names", all of it on the first name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from circuits.report.prose import code
from circuits.report.record import number

MOST_ON_ONE = 0.8
"""From this share on it is said. The claim's selector must reach several key positions, from several queries."""
_QUERIES, _KEYS = 3, 3
_LEAST = 50
"""Thousandths of attention that a query puts on the check's keys in the mean: of less the rounded pattern does not tell where it lies."""


def on_one_token(pattern: Mapping[str, Any], mark: Mapping[str, Any]) -> tuple[int, float] | None:
    """The key position on which most of a check's attention lies, and its share; None where it is spread.

    ``pattern``, ``mark``: of an entry's ``patterns``. The sums are over the check's cells of the mean pattern. None also
    where the cells have fewer than three queries or keys (an offset, or ``first``, has one key for each query by what it is), and
    where they hold hardly any attention.
    """
    cells, rows = mark.get("cells") or [], pattern.get("per_mille") or []
    reach = Counter(key for _, key in cells)
    queries = {query for query, _ in cells}
    if len(queries) < _QUERIES or len(reach) < _KEYS or max(reach.values()) < _QUERIES:
        return None
    mass: Counter[int] = Counter()
    for query, key in cells:
        mass[key] += rows[query][key] or 0
    whole = sum(mass.values())
    if whole < _LEAST * len(queries):
        return None
    key, most = min(mass.items(), key=lambda pair: (-pair[1], pair[0]))
    # Early keys are reached from more queries: what counts is the share that it takes where others are to be had as well.
    fair = reach[key] / len(cells)
    share = most / whole
    return (key, share) if share >= MOST_ON_ONE and share >= 1.5 * fair else None


def concentrations(entry: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each check of a claim whose attention lies on one token, though it may lie on several."""
    told = set()
    for pattern in entry.get("patterns") or []:
        for mark in pattern.get("marks") or []:
            found = on_one_token(pattern, mark)
            if found is None:
                continue
            key, share = found
            labels = pattern.get("labels") or []
            label = f" ({code(labels[key])})" if key < len(labels) else ""
            text = (
                f"{number(round(share, 2), True)} of the attention of head {pattern.get('head')} in {code(mark.get('selector'))} on "
                f"{pattern.get('prompts')} lies on one token, that at position {key}{label} of the mean pattern: the claim is about that "
                f"token as much as about its class."
            )
            if text not in told:
                told.add(text)
                yield text
