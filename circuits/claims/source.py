"""YAML text -> nodes that keep their raw text and their place.

A plain YAML loader reads ``6.10`` as 6.1, ``no`` as False and drops duplicate keys without a word.
Here the C parser composes the node graph and our own walk keeps every scalar as it was written;
what a scalar means is decided where it is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from circuits.errors import Fault, Position

MAX_NODES = 200_000  # an alias bomb of nine lines unfolds into a billion nodes
MAX_DEPTH = 40

_Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Node:
    """One YAML node: ``kind`` is "map", "list" or "text"; text is raw, never converted.

    ``entries`` of a map are (key node, value node) in file order, duplicates dropped after a fault.
    ``null`` marks an empty value (``key:`` with nothing, ``~`` or ``null``, unquoted).
    """

    kind: str
    where: Position
    width: int
    text: str = ""
    quoted: bool = False
    entries: tuple[tuple[Node, Node], ...] = ()
    children: tuple[Node, ...] = ()

    @property
    def null(self) -> bool:
        return self.kind == "text" and not self.quoted and self.text in ("", "~", "null", "Null", "NULL")

    @property
    def noun(self) -> str:
        """What to call this node in a message."""
        if self.null:
            return "nothing"
        return {"map": "a mapping", "list": "a list", "text": f"the text {self.text!r}"}[self.kind]

    def get(self, key: str) -> Node | None:
        for k, v in self.entries:
            if k.text == key:
                return v
        return None

    def key(self, key: str) -> Node | None:
        for k, _ in self.entries:
            if k.text == key:
                return k
        return None

    def __iter__(self) -> Iterator[Node]:
        return iter(self.children)


@dataclass
class Faults:
    """Collects the faults of one file; ``lines`` is its text, so that each can show its line."""

    file: str
    lines: list[str] = field(default_factory=list)
    found: list[Fault] = field(default_factory=list)

    def add(self, node: Node | Position, message: str, hint: str = "", *, offset: int = 0, width: int | None = None) -> None:
        """Record a fault at a node (``offset`` characters into its text, for part of a selector)."""
        if isinstance(node, Position):
            where, span = node, width or 1
        else:
            shift = offset + (1 if node.quoted and offset else 0)
            where = Position(node.where.file, node.where.line, node.where.column + shift)
            span = width if width is not None else node.width
        line = self.lines[where.line - 1] if 0 < where.line <= len(self.lines) else ""
        span = max(1, min(span, len(line) - where.column + 1))
        fault = Fault(where, message, line, span, hint)
        if fault not in self.found:
            self.found.append(fault)

    def split(self, start: int) -> tuple[Fault, ...]:
        """Take away and return the faults from index ``start`` on (those of one claim)."""
        taken = self.found[start:]
        del self.found[start:]
        return tuple(sorted(taken, key=lambda fault: (fault.where.line, fault.where.column)))


class _Walk:
    def __init__(self, faults: Faults):
        self.faults = faults
        self.count = 0

    def place(self, mark: yaml.Mark) -> Position:
        return Position(self.faults.file, mark.line + 1, mark.column + 1)

    def node(self, raw: yaml.Node, depth: int = 0) -> Node:
        self.count += 1
        where = self.place(raw.start_mark)
        if self.count > MAX_NODES or depth > MAX_DEPTH:
            raise _TooLarge(where, depth > MAX_DEPTH)
        end = raw.end_mark
        if end.line == raw.start_mark.line:
            width = max(1, end.column - raw.start_mark.column)
        else:
            width = max(1, len(self.faults.lines[raw.start_mark.line].rstrip()) - raw.start_mark.column)
        if isinstance(raw, yaml.ScalarNode):
            return Node("text", where, width, text=raw.value, quoted=raw.style in ("'", '"'))
        if isinstance(raw, yaml.SequenceNode):
            children = tuple(self.node(child, depth + 1) for child in raw.value)
            return Node("list", where, width, children=children)
        entries: dict[str, tuple[Node, Node]] = {}
        merged: list[tuple[Node, Node]] = []
        for raw_key, raw_value in raw.value:
            key, value = self.node(raw_key, depth + 1), self.node(raw_value, depth + 1)
            if key.kind != "text":
                self.faults.add(key, f"a key must be a word, not {key.noun}")
                continue
            if key.text == "<<" and not key.quoted:
                merged += self.merge(key, value)
                continue
            if key.text in entries:
                first = entries[key.text][0].where
                self.faults.add(key, f"duplicate key {key.text!r}: it was given on line {first.line} already", "keep one of the two")
                continue
            entries[key.text] = (key, value)
        for key, value in merged:
            entries.setdefault(key.text, (key, value))
        return Node("map", where, width, entries=tuple(entries.values()))

    def merge(self, key: Node, value: Node) -> list[tuple[Node, Node]]:
        """The entries that ``<<: *alias`` brings in (a mapping or a list of mappings)."""
        sources = value.children if value.kind == "list" else (value,)
        found: list[tuple[Node, Node]] = []
        for source in sources:
            if source.kind != "map":
                self.faults.add(key, f"'<<' merges a mapping, not {source.noun}")
                continue
            found += source.entries
        return found


class _TooLarge(Exception):
    def __init__(self, where: Position, deep: bool):
        self.where = where
        self.deep = deep


def read(path: Path, name: str | None = None) -> tuple[Node | None, Faults]:
    """Parse a suite file. Returns its top node (None when it cannot be read) and the faults so far.

    ``name`` is how the file is called in messages (default: the path). Never raises for what a
    file contains: bad encoding, bad YAML, several documents and alias bombs are faults.
    """
    faults = Faults(name or str(path))
    try:
        data = path.read_bytes()
    except OSError as error:
        faults.add(Position(faults.file, 1, 1), f"the file cannot be read: {error.strerror or error}")
        return None, faults
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        faults.lines = data.decode("utf-8", errors="replace").splitlines()
        faults.add(Position(faults.file, line, column), "the file is not UTF-8 text", "save it as UTF-8")
        return None, faults
    faults.lines = text.splitlines()
    try:
        raw = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = Position(faults.file, mark.line + 1, mark.column + 1) if mark else Position(faults.file, 1, 1)
        if mark and mark.line >= len(faults.lines) > 0:  # "found end of file": point at the last line there is
            where = Position(faults.file, len(faults.lines), len(faults.lines[-1]) + 1)
        problem = error.problem or "bad YAML"
        context = f" ({error.context}, line {error.context_mark.line + 1})" if error.context and error.context_mark else ""
        faults.add(where, f"not valid YAML: {problem}{context}", _yaml_hint(problem, faults.lines, where))
        return None, faults
    except yaml.YAMLError as error:
        line = 1
        position = getattr(error, "position", None)
        if isinstance(position, int):
            line = text.count("\n", 0, position) + 1
        first = str(error).splitlines()[0]
        faults.add(Position(faults.file, line, 1), f"not valid YAML: {first}")
        return None, faults
    except RecursionError:
        faults.add(Position(faults.file, 1, 1), f"the YAML is nested deeper than {MAX_DEPTH} levels")
        return None, faults
    if raw is None:
        faults.add(Position(faults.file, 1, 1), "the file is empty", "a suite has at least `suite:`, `model:`, `prompts:` and `claims:`")
        return None, faults
    try:
        return _Walk(faults).node(raw), faults
    except _TooLarge as large:
        what = f"nested deeper than {MAX_DEPTH} levels" if large.deep else f"larger than {MAX_NODES:,} nodes once its aliases are unfolded"
        faults.add(large.where, f"the YAML is {what}", "write the suite out without nested aliases")
        return None, faults


def _yaml_hint(problem: str, lines: list[str], where: Position) -> str:
    line = lines[where.line - 1] if 0 < where.line <= len(lines) else ""
    if "\t" in line[: where.column]:
        return "indent with spaces, not tabs"
    if "mapping values are not allowed" in problem:
        return "put the text in quotes when it contains ': '"
    if "single document" in problem or "document" in problem:
        return "one suite per file: remove the second '---'"
    if "alias" in problem:
        return "a value that starts with * must be in quotes"
    if "could not find expected ':'" in problem or "did not find expected" in problem:
        return "check the indentation, the quotes and the brackets of this line and the one above"
    return ""
