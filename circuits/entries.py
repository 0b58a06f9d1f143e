"""The words of an entry of results.json that come from the suite alone, and the entry of a faulty suite."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from circuits.claims.claim import Expect, Suite
from circuits.errors import Fault, Position


def model_name(suite: Suite) -> str | None:
    """The name that a suite's model goes by: of the registry, or its hub id, path, file or package."""
    spec = suite.model
    if spec is None or isinstance(spec, str):
        return spec
    name = next((spec[form] for form in ("hub", "path", "gguf", "wheel") if form in spec), None)
    return name.partition("==")[0] if name is not None else None


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
        "vacuous": False, "cached": False, "digest": None,
        "reason": first.message + (f" (and {more} more)" if more else ""), "source": None, "yaml": "",
        "faults": [fault.render() for fault in suite.faults], "prompts": {}, "profiles": [], "checks": [],
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
