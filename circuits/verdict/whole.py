"""From the rows of a claim to the claim: when a row is settled, and what all of them say together."""

from __future__ import annotations

import math
from collections.abc import Sequence

from circuits.verdict.decide import NotYet, Row, as_log, is_final, log_mean_e, logs
from circuits.verdict.estimate import log_needed
from circuits.verdict.verdict import Verdict, combine

SETTLED = (str(Verdict.SUPPORTED), str(Verdict.REFUTED))


def is_settled(row: Row) -> bool:
    """Whether more prompts cannot change a row's verdict: it is decided, or has a reason that they cannot remove.

    A row that is only observed is settled at once; so is one whose unit is not the prompt but random circuits, a
    number that is fixed.
    """
    if row.get("observe"):
        return True
    waits = isinstance(row.get("reason"), NotYet)
    return not waits and (row["verdict"] != str(Verdict.INCONCLUSIVE) or is_final(row))


def evidence_of(row: Row) -> tuple[float, float]:
    """Log e-values of a row for its bound and against it; what is known exactly is without doubt."""
    found = row.get("log_e")
    if row.get("verdict") == str(Verdict.UNMEASURABLE):
        return -math.inf, -math.inf
    if found is not None:
        return as_log(found["for"]), as_log(found["against"])
    if row.get("interval") is None and row.get("verdict") in SETTLED:
        return (math.inf, -math.inf) if row["verdict"] == SETTLED[0] else (-math.inf, math.inf)
    return -math.inf, -math.inf


def claim_evidence(rows: Sequence[Row], count: int) -> dict[str, float | None]:
    """Log e-values of a claim with ``rows``, each at its own stop: for it (the least), against it (the mean).

    ``count``: how many rows the claim has in all its variants, over which the mean is taken. A row that cannot be
    measured has an e-value of 0.
    """
    each = [evidence_of(row) for row in rows]
    return logs(min((supporting for supporting, _ in each), default=-math.inf), log_mean_e([r for _, r in each], count))


def claim_verdict(rows: Sequence[Row], confidence: float, count: int) -> Verdict:
    """SUPPORTED when every row is (intersection-union); REFUTED when a row is, or the mean e-value against reaches 1/a.

    Each row's own verdict is corrected for ``count`` rows already; the mean is never weaker. a = (1 - confidence) / 2.
    """
    verdict = combine(Verdict(row["verdict"]) for row in rows)
    against = as_log(claim_evidence(rows, count)["against"])
    if verdict is not Verdict.SUPPORTED and against >= log_needed(confidence):
        return Verdict.REFUTED
    return verdict


def is_vacuous(rows: Sequence[Row]) -> bool:
    """Whether uniform attention, or every model with shuffled weights, satisfies all bounds of a claim with a lower one.

    Upper bounds and equivalence alone are never vacuous (their base rate is shown instead), and
    neither is a claim with an ablation: uniform attention says nothing of it.
    """
    judged = [row for row in rows if not row.get("observe")]
    lower = any(row.get("bound_low") is not None and row.get("bound_high") is None for row in judged)
    if not lower:
        return False
    return all(row.get("uniform_holds") for row in judged) or all(map(holds_when_permuted, judged))


def holds_when_permuted(row: Row) -> bool:
    """Whether the bound holds on every model with shuffled weights (at least one)."""
    found = (row.get("controls") or {}).get("permuted") or []
    return bool(found) and all(each["holds"] for each in found)
