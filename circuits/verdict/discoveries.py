"""The claims of a run as a whole: which verdicts stand when the share of wrong ones among them is to be small.

A per-claim verdict is wrong with a small probability; among many claims some are wrong. e-BH (Wang & Ramdas, arXiv
2009.02824) takes the e-value of each claim at its own stop and keeps those whose share of false discoveries is
expected to be at most alpha, whatever the dependence between claims (they share prompts and a model).

What is tested is fixed before anything is measured: of a claim that is expected to hold, that it does; of a known
negative, that it does not. A claim that comes out the other way is no discovery.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from circuits.verdict.decide import as_log

DEFAULT_ALPHA = 0.05


def e_bh(logs: Mapping[str, float], alpha: float) -> frozenset[str]:
    """The names whose e-values are discoveries at false discovery rate ``alpha``: log e-values by name.

    The k largest, for the largest k with e_(k) >= m / (alpha k). Raises ValueError for an alpha outside (0, 1).
    """
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"a false discovery rate lies between 0 and 1, not at {alpha!r}")
    ordered = sorted(logs, key=lambda name: (-logs[name], name))
    found = 0
    for k, name in enumerate(ordered, 1):
        if logs[name] >= math.log(len(ordered) / (alpha * k)):
            found = k
    return frozenset(ordered[:found])


def expected_log_e(entry: Mapping[str, Any]) -> float | None:
    """The log e-value of what a claim's author expects; None for a claim that was not measured or asserts nothing."""
    if entry.get("status") not in ("measured", "cached") or entry.get("log_e") is None:
        return None
    expected = str(entry.get("expected", ""))
    side = "against" if expected.startswith(("refuted", "{refuted", "check ")) else "for"
    return as_log(entry["log_e"].get(side))


def with_discoveries(entries: Mapping[str, Mapping[str, Any]], alpha: float) -> dict[str, dict[str, Any]]:
    """The entries of a run, each tested one with ``fdr``: alpha, the number of claims tested, whether it is a discovery."""
    logs = {name: value for name, entry in entries.items() if (value := expected_log_e(entry)) is not None}
    found = e_bh(logs, alpha) if logs else frozenset()
    return {
        name: {
            **entry,
            "fdr": {"alpha": alpha, "claims": len(logs), "discovery": name in found} if name in logs else None,
        }
        for name, entry in entries.items()
    }
