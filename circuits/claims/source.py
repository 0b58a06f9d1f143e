"""Nodes of a suite's YAML, which keep their raw text and their place, and the faults found at them.

A plain YAML loader reads ``6.10`` as 6.1, ``no`` as False and drops duplicate keys without a word.
Here every scalar stays as it was written; what it means is decided where it is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from circuits.errors import Fault, Position

_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # what ends a line for YAML; str.splitlines knows more


def split_lines(text: str) -> list[str]:
    """The lines of a text, counted as a YAML parser counts them."""
    lines = _BREAK.split(text)
    return lines[:-1] if lines and not lines[-1] else lines


@dataclass(eq=False)
class Node:
    """One YAML node: ``kind`` is "map", "list" or "text"; text is raw, never converted.

    ``entries`` of a map are (key node, value node) in file order; those whose key was there before are
    in ``repeated`` (after a fault). ``end`` is the line and column just after the node, from 1.

    Only read, once it is made: it is not frozen because a large suite has tens of thousands, and a frozen one takes six times
    as long to make. Two nodes are equal only where they are one and the same.
    """

    kind: str
    where: Position
    width: int
    end: tuple[int, int]
    text: str = ""
    quoted: bool = False
    entries: tuple[tuple[Node, Node], ...] = ()
    children: tuple[Node, ...] = ()
    repeated: tuple[tuple[Node, Node], ...] = ()

    @property
    def null(self) -> bool:
        """Whether this is an empty value (``key:`` with nothing, ``~`` or ``null``, unquoted)."""
        return self.kind == "text" and not self.quoted and self.text in ("", "~", "null", "Null", "NULL")

    @property
    def noun(self) -> str:
        """What to call this node in a message."""
        if self.null:
            return "nothing"
        shown = self.text if len(self.text) <= 80 else self.text[:77] + "..."
        return {"map": "a mapping", "list": "a list", "text": f"the text {shown!r}"}[self.kind]

    def get(self, key: str) -> Node | None:
        """The value of a key, or None."""
        found = self._by_key.get(key)
        return found[1] if found is not None else None

    def key(self, key: str) -> Node | None:
        """The node of a key itself, or None."""
        found = self._by_key.get(key)
        return found[0] if found is not None else None

    @cached_property
    def _by_key(self) -> dict[str, tuple[Node, Node]]:
        """The entries by key; of equal keys the first."""
        return {entry[0].text: entry for entry in reversed(self.entries)}

    def all(self, key: str) -> list[tuple[Node, Node]]:
        """Every (key, value) with this key: more than one only where it was repeated."""
        return [(k, v) for k, v in (*self.entries, *self.repeated) if k.text == key]

    def covers(self, where: Position) -> bool:
        """Whether a place lies inside this node."""
        if where.file != self.where.file:
            return False
        return (self.where.line, self.where.column) <= (where.line, where.column) < self.end

    def __iter__(self) -> Iterator[Node]:
        return iter(self.children)


@dataclass
class Faults:
    """Collects the faults of one file; ``lines`` is its text, so that each can show its line.

    ``settled`` are places where one fault says it all (an alias to nothing): no other is taken there.
    """

    file: str
    lines: list[str] = field(default_factory=list)
    found: list[Fault] = field(default_factory=list)
    settled: set[Position] = field(default_factory=set)

    def add(
        self,
        node: Node | Position,
        message: str,
        hint: str = "",
        *,
        offset: int | None = None,
        width: int | None = None,
    ) -> None:
        """Record a fault at a node (``offset`` and ``width`` characters of its text, for a part of it)."""
        if isinstance(node, Position):
            where, span = node, width or 1
        else:
            where, span = node.where, node.width
            if offset is not None:
                part = self._part(node, offset, width or 1)
                where, span = part or (where, span)
        if isinstance(node, Node) and node.where in self.settled:
            return
        line = self.lines[where.line - 1] if 0 < where.line <= len(self.lines) else ""
        span = max(1, min(span, len(line) - where.column + 1))
        fault = Fault(where, message, line, span, hint)
        if fault not in self.found:
            self.found.append(fault)

    def _part(self, node: Node, offset: int, width: int) -> tuple[Position, int] | None:
        """The place of a part of a text; None where the file does not show the text as it is (escapes, folding)."""
        line = self.lines[node.where.line - 1] if 0 < node.where.line <= len(self.lines) else ""
        start = node.where.column - 1
        opening = line[start : start + 1]
        start += 1 if node.quoted and opening in ("'", '"') else 0
        if line[start : start + min(offset + width, len(node.text))] != node.text[: offset + width]:
            return None
        return Position(node.where.file, node.where.line, start + offset + 1), width

    def split(self, start: int) -> tuple[Fault, ...]:
        """Take away and return the faults from index ``start`` on (those of one claim)."""
        taken = self.found[start:]
        del self.found[start:]
        return in_order(taken)


def in_order(faults: list[Fault]) -> tuple[Fault, ...]:
    """Faults by line and column, each once."""
    return tuple(sorted(dict.fromkeys(faults), key=lambda fault: (fault.where.line, fault.where.column)))
