"""Reading a suite file. Where a claim is no YAML, that claim is set aside and the rest is read.

A YAML parser stops at the first error of syntax. The claims of a file (and its prompt sets) are blocks of
lines, so the block that is to blame can be blanked, with its fault, and its neighbours still be read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from circuits.claims.source import Faults, Node, split_lines
from circuits.claims.tree import build
from circuits.claims.yaml_problem import NotYaml
from circuits.errors import Fault, Position

MAX_REMOVED = 40
SECTIONS = ("claims", "prompts")


@dataclass(frozen=True)
class Block:
    """Lines ``start`` to ``end`` (from 1, both included) of one entry of a section, and the entry's name."""

    section: str
    name: str
    where: Position
    start: int
    end: int


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
            broken.append((block, fault))
            lines[block.start - 1 : block.end] = [""] * (block.end - block.start + 1)
    faults.found += attempt.found
    if top is None and not broken:
        comment = "" if not text.strip() else " (it has only comments)"
        hint = "a suite has at least suite:, model:, prompts: and claims:"
        faults.add(Position(faults.file, 1, 1), f"the file is empty{comment}", hint)
    return Read(top, faults, tuple(broken))


def _fault(problem: NotYaml, faults: Faults) -> Fault:
    where = Position(faults.file, problem.where.line, problem.where.column)
    line = faults.lines[where.line - 1] if where.line <= len(faults.lines) else ""
    if len(line) > 400:  # a line nobody can read would hide the message
        line = ""
    return Fault(where, f"not valid YAML: {problem.message}", line, 1, problem.hint)


def _to_blame(problem: NotYaml, lines: list[str], file: str) -> Block | None:
    """The block to set aside: the one at the fault, or the one around it when the parser is still inside that."""
    found = _blocks(lines, file)

    def at(line: int | None) -> Block | None:
        return next((block for block in found if line is not None and block.start <= line <= block.end), None)

    here, around = at(problem.where.line), at(problem.context)
    if around is not None and around is not here and problem.context != around.start:
        return around
    return here


def _blocks(lines: list[str], file: str) -> list[Block]:
    """The entries of the sections, as far as indentation shows them."""
    found: list[Block] = []
    section: str | None = None
    indent: int | None = None
    for number, line in enumerate(lines, 1):
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        depth = len(line) - len(line.lstrip(" "))
        if depth == 0 and not line.startswith("\t"):
            opening = re.match(r"(\w+)\s*:\s*(#.*)?$", line)
            section = opening[1] if opening and opening[1] in SECTIONS else None
            indent = None
        elif section is not None and (depth == indent or indent is None) and not bare.startswith(("-", "]", "}", "\t")):
            indent = depth
            name = re.split(r":(?:\s|$)", bare)[0].strip().strip("'\"")
            found.append(Block(section, name, Position(file, number, depth + 1), number, number))
            continue
        if section is not None and found and found[-1].section == section and depth > 0:
            found[-1] = Block(section, found[-1].name, found[-1].where, found[-1].start, number)
        elif section is not None and found and line.startswith("\t"):
            found[-1] = Block(section, found[-1].name, found[-1].where, found[-1].start, number)
    return found
