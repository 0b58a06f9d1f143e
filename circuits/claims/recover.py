"""Reading a suite file. Where a claim is no YAML, that claim is set aside and the rest is read.

A YAML parser stops at the first error of syntax. The claims of a file (and its prompt sets) are blocks of
lines, so the block that is to blame can be blanked, with its fault, and its neighbours still be read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from circuits.claims.keys import CHECK_KEYS, CLAIM_KEYS, SUITE_KEYS
from circuits.claims.source import Faults, Node, split_lines
from circuits.claims.tree import build
from circuits.claims.yaml_problem import NotYaml
from circuits.errors import Fault, Position

MAX_REMOVED = 40
SECTIONS = ("claims", "prompts", "circuits")


@dataclass(frozen=True)
class Block:
    """Lines ``start`` to ``end`` (from 1, both included) of one entry of a section, and the entry's name.

    ``odd``: it begins like an entry, but is not indented like the others, or is an entry of a list.
    """

    section: str
    name: str
    where: Position
    start: int
    end: int
    odd: bool = False


@dataclass(frozen=True)
class Read:
    """A suite file as far as it could be read.

    ``top`` is None when nothing could be. ``broken`` are the blocks set aside, each with its fault;
    ``faults`` holds those of the rest so far.
    """

    top: Node | None
    faults: Faults
    broken: tuple[tuple[Block, Fault], ...] = ()


def read(path: Path, name: str | None = None) -> Read:
    """Parse a suite file. ``name`` is how it is called in messages (default: the path).

    Never raises for what a file contains: bad encoding, bad YAML and alias bombs are faults.
    """
    faults = Faults(name or str(path))
    try:
        data = path.read_bytes()
    except OSError as error:
        faults.add(Position(faults.file, 1, 1), f"the file cannot be read: {error.strerror or error}")
        return Read(None, faults)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return _undecodable(data, error, faults)
    faults.lines = split_lines(text)
    return _read(text, faults)


def _undecodable(data: bytes, error: UnicodeDecodeError, faults: Faults) -> Read:
    before = data[: error.start].decode("utf-8", errors="replace").removeprefix("\ufeff")
    lines = split_lines(before + "x")
    where = Position(faults.file, len(lines), len(lines[-1]))
    faults.lines = split_lines(data.decode("utf-8", errors="replace").removeprefix("\ufeff"))
    faults.add(where, f"the file is not UTF-8 text (byte {data[error.start]:#04x})", "save it as UTF-8")
    return Read(None, faults)


def _read(text: str, faults: Faults) -> Read:
    lines = list(faults.lines)
    broken: list[tuple[Block, Fault]] = []
    first: Fault | None = None
    while True:
        attempt = Faults(faults.file, faults.lines)
        try:
            top = build("\n".join(lines) + "\n" if broken else text, attempt)
            break
        except NotYaml as problem:
            fault = _fault(problem, faults)
            first = first or fault
            block = _to_blame(problem, lines, faults.file) if len(broken) < MAX_REMOVED else None
            if block is None:
                faults.found.append(first)
                return Read(None, faults)
            broken.append((block, _misplaced(block, faults) if block.odd else fault))
            lines[block.start - 1 : block.end] = [""] * (block.end - block.start + 1)
    faults.found += attempt.found
    faults.settled |= attempt.settled
    if top is None and not broken:
        comment = "" if not text.strip() else " (it has only comments)"
        hint = "a suite has at least suite:, model:, prompts: and claims:"
        faults.add(Position(faults.file, 1, 1), f"the file is empty{comment}", hint)
    return Read(top, faults, tuple(broken))


def _fault(problem: NotYaml, faults: Faults) -> Fault:
    where = Position(faults.file, problem.where.line, problem.where.column)
    line = faults.lines[where.line - 1] if where.line <= len(faults.lines) else ""
    return Fault(where, f"not valid YAML: {problem.message}", line, 1, problem.hint)


def _misplaced(block: Block, faults: Faults) -> Fault:
    line = faults.lines[block.start - 1]
    what = (
        "an entry of a list cannot stand among those"
        if line.lstrip().startswith("- ")
        else "this is not indented like the other entries"
    )
    hint = f"an entry of {block.section} is NAME: with its keys below, indented alike"
    return Fault(block.where, f"not valid YAML: {what} of {block.section}", line, len(line.strip()), hint)


def _to_blame(problem: NotYaml, lines: list[str], file: str) -> Block | None:
    """The block to set aside: the one at the fault, or the one around it when the parser is still inside that."""
    found = _blocks(lines, file)

    def at(line: int | None) -> Block | None:
        return next((block for block in found if line is not None and block.start <= line <= block.end), None)

    here, around = at(problem.where.line), at(problem.context)
    if around is not None and around is not here and problem.context != around.start:
        return around
    if here is not None and not here.odd:  # a heading that is not indented as it should makes the next one odd
        before = found[found.index(here) - 1] if found.index(here) else None
        return before if before is not None and before.odd else here
    return here


def _blocks(lines: list[str], file: str) -> list[Block]:
    """The entries of the sections, as far as indentation shows them."""
    found: list[Block] = []
    section: str | None = None
    indent = inner = 0  # of the section's entries, of what is inside the latest
    for number, line in enumerate(lines, 1):
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        depth = len(line) - len(line.lstrip(" "))
        opening = re.match(r"(\w+)\s*:\s*(#.*)?$", line)
        if depth == 0 and opening is not None and opening[1] in SUITE_KEYS:
            section, indent, inner = (opening[1] if opening[1] in SECTIONS else None), 0, 0
            continue
        indent = indent or depth
        stray = depth != indent and (not inner or depth < inner) and _heading(lines, number)
        entry = depth == indent and not bare.startswith(("-", "]", "}", "\t"))
        if section is None:
            continue
        if entry or stray or (depth == indent and bare.startswith("- ")):
            name = re.split(r":(?:\s|$)", bare)[0].strip().strip("'\"") if entry or stray else f"line-{number}"
            found.append(Block(section, name, Position(file, number, depth + 1), number, number, odd=not entry))
            inner = 0
        elif depth == 0 and not line.startswith("\t"):
            section = None
        elif found and found[-1].section == section:
            inner = inner or depth
            found[-1] = replace(found[-1], end=number)
    return found


def _heading(lines: list[str], number: int) -> bool:
    """Whether a line looks like the id of a claim: a word that is no key, alone before lines indented more."""
    line = lines[number - 1]
    word = re.match(r"\s*([\w.+-]+)\s*:\s*(#.*)?$", line)
    below = next((text for text in lines[number:] if text.strip()), "")
    deeper = len(below) - len(below.lstrip()) > len(line) - len(line.lstrip())
    return word is not None and word[1] not in (*CLAIM_KEYS, *CHECK_KEYS, *SUITE_KEYS) and deeper
