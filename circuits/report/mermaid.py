"""Circuits and paths of a claim as Mermaid diagrams, which GitHub draws: components by layer, paths as arrows, verdicts as colours.

A diagram is a function of the claim's rows and nothing else. Every verdict stands in words too (in a label or in the
caption), so that nothing rests on colour.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from circuits.report import words
from circuits.report.prose import code
from circuits.report.record import number

Row = Mapping[str, Any]

# Fill, border and text of a box: dark text on light or light on dark, so that it reads on a white and on a black page.
COLOURS: Mapping[str, tuple[str, str, str]] = {
    "supported": ("#1a7f37", "#2da44e", "#ffffff"),
    "refuted": ("#b62324", "#f85149", "#ffffff"),
    "inconclusive": ("#7d4e00", "#bf8700", "#ffffff"),
    "unmeasurable": ("#57606a", "#8c959f", "#ffffff"),
    "part": ("#eaeef2", "#8c959f", "#24292f"),  # named by the claim, without a verdict of its own
}
_WORST = ("refuted", "unmeasurable", "inconclusive", "supported", "part")
_MOST_PARTS = 60
_PLAIN = re.compile(r"[^A-Za-z0-9 .,:%()/+\-]")


@dataclass(frozen=True)
class Diagram:
    """A drawing with the Markdown sentence that says what it shows."""

    caption: str
    source: str


@dataclass
class _Picture:
    """What a diagram shows, before it is written: component -> verdict and lines of its label, and the arrows."""

    verdicts: dict[str, str] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)
    arrows: dict[tuple[str, str, str], list[Row]] = field(default_factory=dict)

    def add(self, name: str, verdict: str, note: str = "") -> None:
        """A component; of two verdicts the worse one stays."""
        known = self.verdicts.get(name, "part")
        self.verdicts[name] = min(known, verdict, key=_WORST.index)
        if note and note not in self.notes.setdefault(name, []):
            self.notes[name].append(note)


def diagrams(entry: Mapping[str, Any]) -> list[Diagram]:
    """One diagram of the claimed paths, then one of each circuit; none for other claims and for what was not measured."""
    rows = [row for row in entry.get("checks") or [] if row.get("estimate") is not None]
    found = []
    paths = [row for row in rows if row.get("path")]
    if paths:
        found.append(_of_paths(paths))
    circuits: dict[str, list[Row]] = {}
    for row in rows:
        circuit = row.get("within") or row.get("circuit") or {}
        if circuit.get("name") and circuit.get("heads") is not None:
            circuits.setdefault(str(circuit["name"]), []).append(row)
    for name, named in circuits.items():
        diagram = _of_circuit(name, named)
        found += [diagram] if diagram is not None else []
    return found


def fenced(diagram: Diagram) -> str:
    """Caption and drawing as Markdown."""
    return f"{diagram.caption}\n\n```mermaid\n{diagram.source}\n```"


def _of_paths(rows: Sequence[Row]) -> Diagram:
    picture = _Picture()
    for row in rows:
        path = row["path"]
        sender, receiver = str(path.get("sender")), str(path.get("receiver") or "logits")
        picture.add(sender, "part")
        picture.add(receiver, "part")
        into = str(path.get("input")) if path.get("receiver") else ""
        picture.arrows.setdefault((sender, receiver, into), []).append(row)
    caption = (
        "The direct paths of this claim, early layers left. An arrow says which input it enters (q, k or v), what each check on it "
        "came to, its bound and its verdict; it is dotted where the claim is that little or nothing passes."
    )
    return Diagram(caption, _written(picture))


def _of_circuit(name: str, rows: Sequence[Row]) -> Diagram | None:
    circuit = rows[0].get("within") or rows[0].get("circuit") or {}
    heads, mlps = [str(head) for head in circuit["heads"]], circuit.get("mlps")
    parts = [*heads, *(f"MLP{layer}" for layer in mlps or [])]
    if not parts or len(parts) > _MOST_PARTS:
        return None
    picture, told = _Picture(), []
    whole = [row for row in rows if not row.get("within")]
    for part in parts:
        picture.add(part, min((_verdict(row) for row in whole), key=_WORST.index, default="part"))
    for row in whole:
        told.append(f"{code(str(row.get('check') or 'a check').rpartition(', ')[2])} {_came_to(row)}")
    for row in rows:
        for part in row.get("ablated") or [] if row.get("within") else []:
            if part in parts:
                picture.add(str(part), _verdict(row), f"{row.get('statistic')} {_came_to(row)}".replace("_", " "))
    kept = "every MLP stays" if mlps is None else "no MLP belongs to it" if not mlps else ""
    facts = [f"The circuit {code(name)}, early layers left"] + ([kept] if kept else [])
    caption = "; ".join(facts) + (
        f". {'; '.join(told)}." if told else ". Of a component that was removed the label says what it cost."
    )
    return Diagram(caption, _written(picture))


def _verdict(row: Row) -> str:
    verdict = str(row.get("verdict") or "part")
    return verdict if verdict in COLOURS and not row.get("observe") else "part"


def _came_to(row: Row) -> str:
    """ "43.3%, at least 20%: SUPPORTED"; "observed" where no bound was set."""
    value = number(row.get("estimate"), bool(row.get("percent")), (row.get("bound_low"), row.get("bound_high")))
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


def _written(picture: _Picture) -> str:
    """Flowchart text: classes, layers with their components, claimed arrows, hidden links that keep the layers in order."""
    lines = ["flowchart LR"]
    used = sorted(set(picture.verdicts.values()), key=_WORST.index)
    lines += [
        f"  classDef {name} fill:{fill},stroke:{edge},color:{text}"
        for name in used
        for fill, edge, text in [COLOURS[name]]
    ]
    lines.append("  classDef layer fill:transparent,stroke:#8c959f")
    layers: dict[float, list[str]] = {}
    for part in picture.verdicts:
        layers.setdefault(_layer(part), []).append(part)
    order = sorted(layers)
    for layer in order:
        inside = [
            f'    {_id(part)}["{_label([part, *picture.notes.get(part, [])])}"]'
            for part in sorted(layers[layer], key=_in_layer)
        ]
        if layer == float("inf"):
            lines += [line[2:] for line in inside]
        else:
            lines += [f'  subgraph layer{int(layer)}["layer {int(layer)}"]', *inside, "  end"]
    styles = []
    for k, ((sender, receiver, into), rows) in enumerate(picture.arrows.items()):
        told = [
            (f"{into}: " if into else "") + f"{row.get('statistic')} {_came_to(row)}".replace("_", " ") for row in rows
        ]
        arrow = "-.->" if all(map(_denies, rows)) else "-->"
        lines.append(f'  {_id(sender)} {arrow}|"{_label(told)}"| {_id(receiver)}')
        styles.append(_style(k, min(map(_verdict, rows), key=_WORST.index)))
    lines += [
        f"  {_id(min(layers[a], key=_in_layer))} ~~~ {_id(min(layers[b], key=_in_layer))}"
        for a, b in zip(order, order[1:], strict=False)
    ]
    for verdict in used:
        names = sorted(
            (part for part, of in picture.verdicts.items() if of == verdict), key=lambda p: (_layer(p), _in_layer(p))
        )
        lines.append(f"  class {','.join(map(_id, names))} {verdict}")
    framed = [f"layer{int(layer)}" for layer in order if layer != float("inf")]
    lines += [f"  class {','.join(framed)} layer"] if framed else []
    return "\n".join(lines + styles)


def _style(k: int, verdict: str) -> str:
    return f"  linkStyle {k} stroke:{COLOURS[verdict][1]},stroke-width:2px"


def _layer(part: str) -> float:
    """The layer of a component; the logits lie behind all layers."""
    digits = re.search(r"\d+", part)
    return float(digits[0]) if digits and part != "logits" else float("inf")


def _in_layer(part: str) -> tuple[bool, int]:
    """Heads by number, then the MLP."""
    found = re.fullmatch(r"\d+\.(\d+)", part)
    return (found is None, int(found[1]) if found else 0)


def _id(part: str) -> str:
    """A name that Mermaid takes for nothing else: it starts with what no keyword starts with."""
    return "part_" + re.sub(r"[^A-Za-z0-9]", "_", part)


def _label(lines: Iterable[str]) -> str:
    """Lines of a label; every sign that could mean something to Mermaid or HTML is written by its number."""
    return "<br/>".join(_PLAIN.sub(lambda found: f"#{ord(found[0])};", " ".join(str(line).split())) for line in lines)
