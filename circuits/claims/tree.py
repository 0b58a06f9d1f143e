"""YAML text -> nodes, from the events of the C parser, so that no nesting or alias can do harm.

What is wrong at one place (a duplicate key, an alias to nothing, a tag) becomes a fault there and the
reading goes on; only a text that is no YAML at all raises, with the place that is to blame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import yaml

from circuits.claims.source import Faults, Node
from circuits.claims.yaml_problem import MAX_DEPTH, explain, too_deep
from circuits.errors import Position

MAX_NODES = 200_000  # an alias bomb of nine lines unfolds into a billion nodes
STAR_HINT = "put a text that begins with * in quotes"

_Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_QUOTED = frozenset("'\"|>")
_TAGS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq"))


def build(text: str, faults: Faults) -> Node | None:
    """The top node of a text (None when it holds nothing); raises NotYaml. ``faults.lines`` is its text."""
    reader = _Reader(faults)
    try:
        return reader.top(text)
    except yaml.YAMLError as error:
        raise explain(error, text, faults.lines, reader.last_quoted) from None


class _Reader:
    """Makes nodes of events. Events are ``Any``: the library's types make each of their marks optional."""

    def __init__(self, faults: Faults):
        self.faults = faults
        self.next: Callable[[], Any]  # the parser's next event
        self.anchors: dict[str, tuple[Node, int] | None] = {}  # None: still being read
        self.count = 0
        self.last_quoted: tuple[Position, int] | None = None
        self.bomb = False  # whether an alias was too large already: that is said once

    def top(self, text: str) -> Node | None:
        """The top node of a text (see ``build``)."""
        parser: Any = _Loader(text)
        self.next = parser.get_event
        try:
            return self.only(parser)
        finally:
            parser.dispose()

    def only(self, parser: Any) -> Node | None:
        """The node of the one document there may be."""
        found: Node | None = None
        documents = 0
        while parser.check_event():
            event = self.next()
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    where = self.place(event.start_mark)
                    self.faults.add(
                        where, "a second document begins here", "one suite per file: remove this '---'", width=3
                    )
                    return found
            elif not isinstance(event, (yaml.StreamStartEvent, yaml.StreamEndEvent, yaml.DocumentEndEvent)):
                found = self.node(event, 0)
                if found.null and found.width <= 1 and not found.text:
                    found = None
        return found

    def place(self, mark: Any) -> Position:
        return Position(self.faults.file, mark.line + 1, mark.column + 1)

    def node(self, event: Any, depth: int) -> Node:
        """The node that an event begins, with all that is inside."""
        where = self.place(event.start_mark)
        if type(event) is yaml.ScalarEvent and event.anchor is None and event.tag is None and depth <= MAX_DEPTH:
            self.count += 1
            return self.scalar(event, where)
        if depth > MAX_DEPTH:
            raise too_deep(where)
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event)
        anchor = getattr(event, "anchor", None)
        if anchor is not None:
            self.anchors[anchor] = None
        before = self.count
        self.count += 1
        if event.tag is not None and event.tag != "!" and event.tag not in _TAGS:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self.faults.add(
                where,
                f"the tag {tag} has no meaning here",
                "remove it; put a text that begins with ! in quotes",
                width=len(tag),
            )
        if isinstance(event, yaml.ScalarEvent):
            found = self.scalar(event, where)
        elif isinstance(event, yaml.SequenceStartEvent):
            children: list[Node] = []
            while not isinstance(inner := self.next(), yaml.SequenceEndEvent):
                children.append(self.node(inner, depth + 1))
            found = Node("list", where, self.width(event, inner), self.end(inner), children=tuple(children))
        else:
            found = self.mapping(event, where, depth)
        if anchor is not None:
            self.anchors[anchor] = (found, self.count - before)
        return found

    def scalar(self, event: Any, where: Position) -> Node:
        style, end = event.style, event.end_mark
        line, column = end.line + 1, end.column + 1
        if line == where.line:
            width = max(1, column - where.column)
        else:
            width = self.width(event, event)
            if style in ("'", '"'):
                self.last_quoted = (where, line)
        return Node("text", where, width, (line, column), event.value, style in _QUOTED)

    def mapping(self, event: Any, where: Position, depth: int) -> Node:
        entries: dict[str, tuple[Node, Node]] = {}
        merged: list[tuple[Node, Node]] = []
        repeated: list[tuple[Node, Node]] = []
        while not isinstance(inner := self.next(), yaml.MappingEndEvent):
            key = self.node(inner, depth + 1)
            value = self.node(self.next(), depth + 1)
            if value.kind == "text" and not value.text and not value.quoted and value.where not in self.faults.settled:
                value = replace(value, where=key.where, width=key.width)  # an empty value is shown at its key
            if key.kind != "text":
                self.faults.add(
                    key, f"a key must be a word, not {key.noun}", "put it in quotes if it begins with [ or {"
                )
            elif key.text == "<<" and not key.quoted:
                merged += self.merge(key, value)
            elif key.text in entries:
                line = entries[key.text][0].where.line
                self.faults.add(
                    key, f"duplicate key {key.text!r}: it was given on line {line} already", "keep one of the two"
                )
                repeated.append((key, value))
            else:
                entries[key.text] = (key, value)
        for key, value in merged:
            entries.setdefault(key.text, (key, value))
        width, end = self.width(event, inner), self.end(inner)
        return Node("map", where, width, end, entries=tuple(entries.values()), repeated=tuple(repeated))

    def merge(self, key: Node, value: Node) -> list[tuple[Node, Node]]:
        """The entries that ``<<: *alias`` brings in (a mapping or a list of mappings)."""
        sources = value.children if value.kind == "list" else (value,)
        found: list[tuple[Node, Node]] = []
        for source in sources:
            if source.kind != "map":
                self.faults.add(
                    key, f"'<<' merges a mapping, not {source.noun}", "write <<: *name, where &name marks a mapping"
                )
                continue
            found += source.entries
        return found

    def alias(self, event: Any) -> Node:
        """What an alias stands for; the node is shared, but counted as if it were written out."""
        name = event.anchor
        self.count += 1
        known = self.anchors.get(name)
        if name not in self.anchors:
            return self.nothing(event, f"*{name} stands for nothing", f"there is no &{name} above; {STAR_HINT}")
        if known is None:
            return self.nothing(event, f"*{name} stands inside what it stands for", "write it out without the alias")
        found, size = known
        if self.count + size > MAX_NODES:
            message = f"the YAML is larger than {MAX_NODES:,} nodes once its aliases are written out"
            return self.nothing(event, "" if self.bomb else message, "write the suite without nested aliases")
        self.count += size
        return found

    def nothing(self, event: Any, message: str, hint: str) -> Node:
        """An empty node in place of an alias that cannot be followed; the fault there says it all."""
        where = self.place(event.start_mark)
        found = Node("text", where, len(event.anchor) + 1, self.end(event))
        self.bomb = self.bomb or "larger than" in message
        if message:
            self.faults.add(found, message, hint)
        self.faults.settled.add(where)
        return found

    def end(self, event: Any) -> tuple[int, int]:
        return int(event.end_mark.line) + 1, int(event.end_mark.column) + 1

    def width(self, first: Any, last: Any) -> int:
        """Characters from the start of ``first`` to the end of ``last``, or to the end of the line."""
        start, end = first.start_mark, last.end_mark
        if end.line == start.line:
            return max(1, int(end.column - start.column))
        line = self.faults.lines[start.line] if start.line < len(self.faults.lines) else ""
        return max(1, int(len(line.rstrip()) - start.column))
