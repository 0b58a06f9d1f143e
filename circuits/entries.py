"""The words of an entry of results.json that come from the suite alone, and the entry of a faulty suite."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from circuits.claims.claim import Ablate, Expect, Keep, LossMap, Suite
from circuits.claims.claim import Path as PathCheck
from circuits.claims.describe import spec_name
from circuits.claims.heads import Component
from circuits.errors import Fault, Position
from circuits.items import Item, Outcome
from circuits.meaning import meaning, question


def model_name(suite: Suite) -> str | None:
    """The name that a suite's model goes by: of the registry, or its hub id, path, file or package."""
    return spec_name(suite.model) if suite.model is not None else None


def expectation(expect: Expect) -> str:
    """What a claim's author expects, as it is written in YAML."""
    if expect.check is not None:
        return f"{{refuted: [{expect.check}]}}"
    if expect.kind == "xfail":
        return f"{{xfail: {expect.reason}}}"
    return expect.kind


def suite_entry(suite: Suite, node_id: str) -> dict[str, Any]:
    """The entry for the faults of a suite outside its claims: invalid, whatever its claims come to."""
    first, more = suite.faults[0], len(suite.faults) - 1
    return {
        "id": node_id.rpartition("::")[2], "variant": None, "file": suite.path, "line": first.where.line,
        "suite": suite.title, "claim": "The suite itself: what stands outside its claims.", "model": model_name(suite),
        "heads": [], "run": None, "verdict": None, "expected": "supported", "met": False, "status": "invalid",
        "vacuous": False, "cached": False, "digest": None, "question": None,
        "reason": first.message + (f" (and {more} more)" if more else ""), "source": None, "yaml": "",
        "faults": [fault.render() for fault in suite.faults], "prompts": {}, "profiles": [], "patterns": [], "checks": [],
        "warnings": [],
    }  # fmt: skip


def located(base: Path, suite: Suite, where: Position, message: str) -> Fault:
    """A fault that was found while measuring, with its line of the suite (or of a file that it includes).

    ``base`` is the folder that the suite lies in.
    """
    file = base / os.path.relpath(where.file, Path(suite.path).parent)
    try:
        line = file.read_text(encoding="utf-8-sig").splitlines()[where.line - 1]
    except (OSError, ValueError, IndexError):
        line = ""
    return Fault(where, message, line, max(1, len(line.rstrip()) - where.column + 1))


def entry_of(item: Item) -> dict[str, Any]:
    """An item's entry before anything is measured: what its suite says; every number null."""
    claim, suite = item.claim, item.suite
    heads = {str(head) for check in claim.checks for head in check.heads} | {str(head) for head in claim.heads}
    for check in claim.checks:
        heads |= {str(component) for component in components_of(check.what)}
    return {
        "id": claim.id, "variant": item.label, "file": suite.path, "line": claim.where.line, "suite": suite.title, "notes": suite.notes,
        "claim": claim.words, "model": model_name(suite), "heads": sorted(heads, key=_head_order),
        "run": None, "verdict": None, "log_e": None,
        "expected": expectation(claim.expect), "met": None, "status": "measured", "vacuous": False, "cached": False,
        "digest": meaning(item), "question": question(item), "reason": None, "source": dict(claim.source or suite.source or {}) or None,
        "yaml": claim.yaml, "faults": [], "prompts": {}, "profiles": [], "patterns": [], "robust": None,
        "checks": [],
        "warnings": list(claim.warnings),
    }  # fmt: skip


def invalid(item: Item, faults: Sequence[Fault]) -> Outcome:
    """The outcome of a claim that is refused: nothing is measured."""
    met = item.claim.expect.kind == "invalid"
    reason = faults[0].message if len(faults) == 1 else f"{faults[0].message} (and {len(faults) - 1} more)"
    about = {"status": "invalid", "met": met, "reason": reason, "faults": [fault.render() for fault in faults]}
    return Outcome(entry_of(item) | about, met)


def components_of(what: Any) -> tuple[Component, ...]:
    """The components that a check which names no heads of its own is about."""
    if isinstance(what, Ablate):
        return what.components
    if isinstance(what, Keep):
        return what.circuit.components
    if isinstance(what, PathCheck):
        return (what.sender, *((what.receiver,) if what.receiver is not None else ()))
    if isinstance(what, LossMap):
        return tuple(part for parts in what.ablations for part in parts)
    return ()


def _head_order(name: str) -> tuple[int, int]:
    if name.startswith("MLP"):
        return int(name[3:]), 10**6
    layer, head = name.split(".")
    return int(layer), int(head)
