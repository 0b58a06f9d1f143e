"""What a circuit's diagram shows, before it is written as Mermaid or as SVG: components by layer, paths as arrows, verdicts.

A diagram is a function of the claim's rows and nothing else. Every verdict stands in words too (in a label or in the
caption), so that nothing rests on colour.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from circuits.report import words
from circuits.report.prose import code
from circuits.report.record import estimate_text

Row = Mapping[str, Any]

VERDICTS = ("refuted", "unmeasurable", "inconclusive", "supported", "part")
"""What a node or an arrow can be, the worst first; "part": named by the claim, without a verdict of its own."""
_MOST_PARTS = 60


@dataclass(frozen=True)
class Node:
    """A component: its name, the layer it lies in (infinity: behind all layers), its verdict and what is said of it."""

    name: str
    layer: float
    verdict: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Arrow:
    """A path between two nodes by name: a line a check in words, the worst verdict, ``denied``: claimed to carry little."""

    sender: str
    receiver: str
    notes: tuple[str, ...]
    verdict: str
    denied: bool


@dataclass(frozen=True)
class Diagram:
    """Nodes by layer and place in it, arrows as claimed, and the Markdown sentences that say what is shown."""

    caption: str
    nodes: tuple[Node, ...]
    arrows: tuple[Arrow, ...] = ()

    @property
    def layers(self) -> list[list[Node]]:
        """The nodes of each layer that has any, early layers first."""
        order = sorted({node.layer for node in self.nodes})
        return [[node for node in self.nodes if node.layer == layer] for layer in order]


@dataclass
class _Parts:
    """The components while they are collected: name -> verdict and notes."""

    verdicts: dict[str, str] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)

    def add(self, name: str, verdict: str, note: str = "") -> None:
        """A component; of two verdicts the worse one stays."""
        self.verdicts[name] = _worst([self.verdicts.get(name, "part"), verdict])
        if note and note not in self.notes.setdefault(name, []):
            self.notes[name].append(note)

    def nodes(self) -> tuple[Node, ...]:
        order = sorted(self.verdicts, key=lambda name: (_layer(name), _in_layer(name)))
        return tuple(Node(name, _layer(name), self.verdicts[name], tuple(self.notes.get(name, ()))) for name in order)


def diagrams(entry: Mapping[str, Any]) -> list[Diagram]:
    """One diagram of the claimed paths, then one of each circuit; none for other claims and for what was not measured."""
    rows = [row for row in entry.get("checks") or [] if row.get("estimate") is not None]
    paths = [row for row in rows if row.get("path")]
    found = [_of_paths(paths)] if paths else []
    circuits: dict[str, list[Row]] = {}
    for row in rows:
        circuit = row.get("within") or row.get("circuit") or {}
        if circuit.get("name") and circuit.get("heads") is not None:
            circuits.setdefault(str(circuit["name"]), []).append(row)
    for name, named in circuits.items():
        diagram = _of_circuit(name, named)
        found += [diagram] if diagram is not None else []
    return found


def _of_paths(rows: Sequence[Row]) -> Diagram:
    parts, claimed = _Parts(), dict[tuple[str, str, str], list[Row]]()
    for row in rows:
        path = row["path"]
        sender, receiver = str(path.get("sender")), str(path.get("receiver") or "logits")
        parts.add(sender, "part")
        parts.add(receiver, "part")
        into = str(path.get("input")) if path.get("receiver") else ""
        claimed.setdefault((sender, receiver, into), []).append(row)
    caption = (
        "The direct paths of this claim. An arrow says which input it enters (q, k or v), what each check on it "
        "came to, its bound and its verdict; it is dotted where the claim is that little or nothing passes."
    )
    return Diagram(caption, parts.nodes(), tuple(_arrow(*ends, found) for ends, found in claimed.items()))


def _arrow(sender: str, receiver: str, into: str, rows: Sequence[Row]) -> Arrow:
    told = tuple((f"{into}: " if into else "") + _measured(row) for row in rows)
    return Arrow(sender, receiver, told, _worst(map(_verdict, rows)), all(map(_denies, rows)))


def _of_circuit(name: str, rows: Sequence[Row]) -> Diagram | None:
    circuit = rows[0].get("within") or rows[0].get("circuit") or {}
    heads, mlps = [str(head) for head in circuit["heads"]], circuit.get("mlps")
    names = [*heads, *(f"MLP{layer}" for layer in mlps or [])]
    if not names or len(names) > _MOST_PARTS:
        return None
    parts, told = _Parts(), []
    whole = [row for row in rows if not row.get("within")]
    for part in names:
        parts.add(part, _worst(map(_verdict, whole)))
    for row in whole:
        told.append(f"{code(str(row.get('check') or 'a check').rpartition(', ')[2])} {_came_to(row)}")
    for row in rows:
        for part in row.get("ablated") or [] if row.get("within") else []:
            if part in names:
                parts.add(str(part), _verdict(row), _measured(row))
    kept = "every MLP stays" if mlps is None else "no MLP belongs to it" if not mlps else ""
    facts = [f"The circuit {code(name)}"] + ([kept] if kept else [])
    ending = f". {'; '.join(told)}." if told else ". Of a component that was removed the label says what it cost."
    return Diagram("; ".join(facts) + ending, parts.nodes())


def _verdict(row: Row) -> str:
    verdict = str(row.get("verdict") or "part")
    return verdict if verdict in VERDICTS and not row.get("observe") else "part"


def _came_to(row: Row) -> str:
    """ "43.3%, at least 20%: SUPPORTED"; "observed" where no bound was set."""
    value = estimate_text(row)
    if row.get("observe"):
        return f"{value}, observed"
    limit = f", {words.bound(row)}" if words.bound(row) else ""
    return f"{value}{limit}: {str(row.get('verdict') or 'no verdict').upper()}"


def _denies(row: Row) -> bool:
    """Whether the bound asks for little or no effect: a band around zero, or at most some positive drop."""
    low, high = row.get("bound_low"), row.get("bound_high")
    return (
        row.get("statistic") in ("drop_in", "change_in")
        and high is not None
        and high >= 0
        and (low is None or low <= 0)
    )


def _measured(row: Row) -> str:
    return f"{row.get('statistic')} {_came_to(row)}".replace("_", " ")


def _worst(verdicts: Iterable[str]) -> str:
    return min(verdicts, key=VERDICTS.index, default="part")


def _layer(part: str) -> float:
    """The layer of a component; the logits lie behind all layers."""
    digits = re.search(r"\d+", part)
    return float(digits[0]) if digits and part != "logits" else math.inf


def _in_layer(part: str) -> tuple[bool, int]:
    """Heads by number, then the MLP."""
    found = re.fullmatch(r"\d+\.(\d+)", part)
    return (found is None, int(found[1]) if found else 0)
