"""Helpers for the tests of the claim loader: suites with their faults marked in the text itself.

``«at_lest»: 0.4`` is the text ``at_lest: 0.4`` with one fault expected under ``at_lest``: the marks say line,
column and width, so a table of broken suites needs no numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from circuits.claims.claim import Claim, Suite
from circuits.errors import Fault
from circuits.evaluate import knowledge, load

KNOWLEDGE = knowledge()
NAME = "hypotheses/x.yaml"

HEAD = """suite: S
model: smollm2-135m
prompts:
  num: {family: named_sequence, members: numerals, template: "{name} is {member}.", length: 4}
  rep: {family: repeated_tokens, length: 20}
claims:
"""
GOOD = "{claim: x, head: 16.0, prompts: num, attends: any -> n-1, at_least: 0.1}"


@dataclass(frozen=True)
class Mark:
    """A marked place: line and column from 1, width in characters."""

    line: int
    column: int
    width: int


def unmark(marked: str) -> tuple[str, list[Mark]]:
    """The text without its marks, and the marked places in order."""
    lines, marks = [], []
    for number, line in enumerate(marked.split("\n"), 1):
        while "«" in line:
            start, end = line.index("«"), line.index("»") - 1
            marks.append(Mark(number, start + 1, max(1, end - start)))
            line = line.replace("«", "", 1).replace("»", "", 1)
        lines.append(line)
    return "\n".join(lines), marks


def write(folder: Path, text: str | bytes, name: str = "x.yaml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(folder: Path, text: str | bytes) -> Suite:
    """The suite of a text, called hypotheses/x.yaml."""
    return load(write(folder, text), KNOWLEDGE, NAME)


def claim_of(suite: Suite, name: str) -> Claim:
    """The one claim of that id."""
    (found,) = [claim for claim in suite.claims if claim.id == name]
    return found


def claim(*lines: str, head: str = 'head: "16.0"', prompts: str = "prompts: num", top: str = HEAD) -> str:
    """A suite with the claim ``a`` (head, prompts and the lines given) and a good neighbour on each side."""
    body = "\n".join(f"    {line}" for line in ("claim: x", head, prompts, *lines) if line)
    return f"{top}  before: {GOOD}\n  a:\n{body}\n  after: {GOOD}\n"


def check(folder: Path, marked: str, expected: list[str]) -> Suite:
    """Load a marked suite and compare each fault with its mark and its words.

    ``expected`` has one entry a mark: what the message holds, then (after ``|``) what the hint holds.
    """
    text, marks = unmark(marked)
    suite = read(folder, text)
    faults = suite.all_faults
    shown = "\n".join(fault.render() for fault in faults)
    assert [(f.where.line, f.where.column, f.width) for f in faults] == [(m.line, m.column, m.width) for m in marks], (
        shown
    )
    assert len(expected) == len(faults)
    for fault, words in zip(faults, expected, strict=True):
        message, _, hint = words.partition("|")
        assert message.strip() in fault.message, shown
        assert hint.strip() in fault.hint, shown
        assert_rendered(fault, text.split("\n"))
    for one in suite.claims:
        assert list(one.faults) == sorted(one.faults, key=lambda f: (f.where.line, f.where.column))
    return suite


def assert_rendered(fault: Fault, lines: list[str]) -> None:
    """The rendered fault begins with FILE:LINE:COLUMN, and its carets stand under the offending word."""
    rendered = fault.render().split("\n")
    assert rendered[0] == f"{NAME}:{fault.where.line}:{fault.where.column}: {fault.message}"
    line = lines[fault.where.line - 1]
    if line.strip() and len(line) < 200:
        assert rendered[1] == "    " + line
        start = fault.where.column - 1
        assert rendered[2][4:].expandtabs(1) == " " * start + "^" * fault.width
    if fault.hint:
        assert rendered[-1] == "    " + fault.hint
