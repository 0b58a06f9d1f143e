"""Diagrams of a claim as Mermaid, which GitHub draws: layers as frames, components as boxes, verdicts as colours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from circuits.report.diagram import VERDICTS, Diagram, Node

# Fill, border and text of a box: dark text on light or light on dark, so that it reads on a white and on a black page.
COLOURS: Mapping[str, tuple[str, str, str]] = {
    "supported": ("#1a7f37", "#2da44e", "#ffffff"),
    "refuted": ("#b62324", "#f85149", "#ffffff"),
    "inconclusive": ("#7d4e00", "#bf8700", "#ffffff"),
    "unmeasurable": ("#57606a", "#8c959f", "#ffffff"),
    "part": ("#eaeef2", "#8c959f", "#24292f"),  # named by the claim, without a verdict of its own
}
_PLAIN = re.compile(r"[^A-Za-z0-9 .,:%()/+\-]")


def fenced(diagram: Diagram) -> str:
    """Caption and drawing as Markdown."""
    return f"{diagram.caption} Early layers stand left.\n\n```mermaid\n{source(diagram)}\n```"


def source(diagram: Diagram) -> str:
    """Flowchart text: classes, layers with their components, claimed arrows, hidden links that keep the layers in order."""
    lines, layers = ["flowchart LR"], diagram.layers
    used = [verdict for verdict in VERDICTS if any(node.verdict == verdict for node in diagram.nodes)]
    lines += [
        f"  classDef {name} fill:{fill},stroke:{edge},color:{text}"
        for name in used
        for fill, edge, text in [COLOURS[name]]
    ]
    lines.append("  classDef layer fill:transparent,stroke:#8c959f")
    for layer in layers:
        inside = [f'    {_id(node.name)}["{_label([node.name, *node.notes])}"]' for node in layer]
        if layer[0].layer == float("inf"):
            lines += [line[2:] for line in inside]
        else:
            lines += [f'  subgraph {_frame(layer)}["layer {int(layer[0].layer)}"]', *inside, "  end"]
    styles = []
    for k, arrow in enumerate(diagram.arrows):
        line = "-.->" if arrow.denied else "-->"
        lines.append(f'  {_id(arrow.sender)} {line}|"{_label(arrow.notes)}"| {_id(arrow.receiver)}')
        styles.append(f"  linkStyle {k} stroke:{COLOURS[arrow.verdict][1]},stroke-width:2px")
    lines += [f"  {_id(a[0].name)} ~~~ {_id(b[0].name)}" for a, b in zip(layers, layers[1:], strict=False)]
    for verdict in used:
        lines.append(
            f"  class {','.join(_id(node.name) for node in diagram.nodes if node.verdict == verdict)} {verdict}"
        )
    framed = [_frame(layer) for layer in layers if layer[0].layer != float("inf")]
    lines += [f"  class {','.join(framed)} layer"] if framed else []
    return "\n".join(lines + styles)


def _frame(layer: list[Node]) -> str:
    return f"layer{int(layer[0].layer)}"


def _id(part: str) -> str:
    """A name that Mermaid takes for nothing else: it starts with what no keyword starts with."""
    return "part_" + re.sub(r"[^A-Za-z0-9]", "_", part)


def _label(lines: Iterable[str]) -> str:
    """Lines of a label; every sign that could mean something to Mermaid or HTML is written by its number."""
    return "<br/>".join(_PLAIN.sub(lambda found: f"#{ord(found[0])};", " ".join(str(line).split())) for line in lines)
