"""``include: [FILE]``: the prompt sets and circuits of other files, read before the suite's own."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from circuits.claims import values
from circuits.claims.keys import SUITE_KEYS
from circuits.claims.recover import Read, read
from circuits.claims.source import Faults, Node, in_order
from circuits.errors import Fault, did_you_mean

MAX_INCLUDES = 8


@dataclass
class Included:
    """The faults found in included files, each file's by line."""

    faults: list[Fault] = field(default_factory=list)


def include(top: Node, faults: Faults, chain: tuple[Path, ...], found: Included, sets: Callable[[Read], None]) -> None:
    """Read the included files of a file, innermost first. ``chain``: the files on the way here.

    ``sets`` takes over the prompt sets and circuits of one file that could be read.
    """
    node = top.get("include")
    if node is None:
        return
    if node.kind == "map" or (node.kind == "list" and not node.children):
        faults.add(
            node,
            f"include takes a list of files, not {node.noun if node.kind == 'map' else 'an empty list'}",
            "write include: [shared.yaml]",
        )
        return
    for child in node.children if node.kind == "list" else (node,):
        target = values.text(child, faults, "include")
        path = _path(child, target, faults, chain) if target is not None else None
        if target is None or path is None:
            continue
        shown = os.path.normpath(Path(faults.file).parent / target)
        inner = read(path, shown)
        if inner.top is not None and values.keys(inner.top, inner.faults, "the included file", SUITE_KEYS):
            include(inner.top, inner.faults, (*chain, path), found, sets)
            sets(inner)
        if inner.faults.found:
            count = len(inner.faults.found)
            message = f"the included file {target} has {count} fault{'s' if count > 1 else ''}"
            first = in_order(inner.faults.found)[0]
            faults.add(child, message, f"the first: {first.where}: {first.message}")
        found.faults += [fault for fault in in_order(inner.faults.found) if fault not in found.faults]


def _path(node: Node, target: str, faults: Faults, chain: tuple[Path, ...]) -> Path | None:
    """The file that is meant; None after a fault."""
    try:
        path = (chain[-1].parent / target).resolve()
        there = path.is_file()
        near = [p.name for p in path.parent.glob("*.y*ml") if p not in chain] if path.parent.is_dir() else []
    except (OSError, ValueError, RuntimeError) as error:
        faults.add(node, f"include: {target!r} is no file name: {error}", "name a YAML file beside this one")
        return None
    if path in chain:
        circle = "itself" if path == chain[-1] else f"a file that includes this one ({target})"
        faults.add(node, f"include: the file includes {circle}", "remove this entry")
        return None
    if len(chain) > MAX_INCLUDES:
        faults.add(node, f"include: more than {MAX_INCLUDES} files deep", "include the innermost file directly")
        return None
    if not there:
        hint = did_you_mean(Path(target).name, near) if near else "the path is relative to this file"
        faults.add(node, f"include: there is no file {target}", hint)
        return None
    return path
