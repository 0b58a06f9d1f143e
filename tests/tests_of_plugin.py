"""What the tests of the pytest plugin share: suites over the reference model, and runs of pytest on them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NUMERALS = '{family: named_sequence, members: numerals, template: "{name} is {member}.", length: 4}'
HEAD = f"""\
model: reference
sampling: {{min: 4, max: 12, seed: 0}}
prompts:
  numerals: {NUMERALS}
"""

# Head 0.0 attends to n-1 with weight 1 and 0.1 to n-3 (circuits/models/reference.py), so the verdicts are known.
TRUE = 'head: "0.0", prompts: numerals, attends: any -> n-1, at_least: 0.6'
FALSE = 'head: "0.1", prompts: numerals, attends: any -> n-1, at_least: 0.6'

SMALL = f"suite: Small\n{HEAD}claims:\n  yes: {{claim: It is., {TRUE}}}\n  no: {{claim: It is not., {FALSE}}}\n"
GOOD = f"suite: Good\n{HEAD}claims:\n  yes: {{claim: It is., {TRUE}}}\n"

ALL = f"""\
suite: All outcomes
{HEAD}
  months: {{family: named_sequence, members: months, template: "{{name}} is {{member}}.", length: 4}}
  repeats: {{family: repeated_tokens, length: 12}}
  swept: {{family: named_sequence, members: numerals, template: "{{name}} is {{member}}.", sweep: {{length: [3, 4]}}}}
claims:
  good: {{claim: 0.0 is a previous-token head., {TRUE}}}
  bad: {{claim: 0.1 is a previous-token head., {FALSE}}}
  scored: {{claim: 2.0 is an induction head., head: "2.0", prompts: repeats, score: induction, at_least: 0.5}}
  open: {{claim: 1.2 helps., prompts: numerals, ablate: "1.2", drop_in: logit_diff, at_most: 0%}}
  undone: {{claim: It continues months., prompts: months, ablate: "1.2", drop_in: logit_diff, at_least: 10%}}
  negative: {{claim: 0.1 looks back one., {FALSE}, expect: refuted}}
  wrong-negative: {{claim: 0.0 does not look back one., {TRUE}, expect: refuted}}
  partly:
    claim: 0.0 looks back one, and so does 0.1.
    prompts: numerals
    expect: {{refuted: [2]}}
    checks:
      - {{head: "0.0", attends: any -> n-1, at_least: 0.6}}
      - {{head: "0.1", attends: any -> n-1, at_least: 0.6}}
  hoped: {{claim: Some day., {FALSE}, expect: {{xfail: some day}}}}
  surprise: {{claim: Already., {TRUE}, expect: {{xfail: not yet}}}}
  refused: {{claim: On purpose., head: "9.9", prompts: numerals, attends: any -> n-1, at_least: 1, expect: invalid}}
  accepted: {{claim: Not wrong., {TRUE}, expect: invalid}}
  faulty: {{claim: Wrong., head: "0.0", prompts: numeral, attends: any -> n-1, at_least: 0.6}}
  hidden: {{claim: Wrong., head: "9.9", prompts: numerals, attends: any -> n-1, at_least: 0.6, expect: {{xfail: no}}}}
  many: {{claim: In both., head: "0.0", prompts: [numerals, repeats], attends: any -> n-1, at_least: 0.6}}
  swept: {{claim: For each length., head: "0.0", prompts: swept, attends: any -> n-1, at_least: 0.6}}
"""
MANY = ("many[numerals]", "many[repeats]", "swept[swept,length=3]", "swept[swept,length=4]")

GONE = f"""\
suite: Gone
model: gpt2
prompts: {{numerals: {NUMERALS}}}
claims:
  first: {{claim: A., head: "1.5", prompts: numerals, attends: any -> n-1, at_least: 0.4}}
  second: {{claim: B., head: "1.6", prompts: numerals, attends: any -> n-1, at_least: 0.4}}
"""
BROKEN = "suite: Broken\nmodel: reference\nclaims:\n  a: {claim: [A}\n"

# A hub that refuses at once, wherever the tests run, and no weights of the user's own.
NOWHERE = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "", "TRANSFORMERS_OFFLINE": "", "CI": ""}


def project(folder: Path, **suites: str) -> Path:
    """A project with suites ``hypotheses/NAME.yaml``."""
    (folder / "hypotheses").mkdir(parents=True, exist_ok=True)
    for name, text in suites.items():
        (folder / "hypotheses" / f"{name}.yaml").write_text(text)
    return folder


@dataclass(frozen=True)
class Run:
    """What a pytest process said: exit status, terminal output (stderr included), seconds, its folder."""

    status: int
    out: str
    seconds: float
    folder: Path

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def results(self) -> dict[str, Any]:
        return results(self.folder)

    def verdicts(self) -> dict[str, str]:
        """Claim -> the word beside it in the claims section."""
        inside = self.out.split("= claims =", 1)[1]
        rows = [line.split() for line in inside.splitlines() if line.startswith("  ") and not line.startswith("   ")]
        return {row[1]: row[0] for row in rows}


def environment(folder: Path, **more: str) -> dict[str, str]:
    """The environment of a run: one thread, no hub, its own caches, no options from outside."""
    own = {
        "HF_HOME": str(folder / "hf"),
        "CIRCUITS_VALUES": str(folder / "kept"),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "100",
        "PY_COLORS": "0",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_", "GITHUB_"))}
    return kept | NOWHERE | own | more


def run_pytest(folder: Path, *arguments: str, **more: str) -> Run:
    """Run pytest in a process of its own, which loads the plugin through its entry point."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments], cwd=folder, env=environment(folder, **more),
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return Run(done.returncode, done.stdout + done.stderr, time.monotonic() - began, folder)


def results(folder: Path, reports: str = "reports") -> dict[str, Any]:
    """The record that a run wrote."""
    found: dict[str, Any] = json.loads((folder / reports / "results.json").read_text())
    return found
