"""Diagrams of a claim as SVG: layers from top to bottom, components side by side, every arrow with its label on it.

The layout is our own. Arrows are cut at each layer that they pass, so that none runs through a box; a label is a box, too,
just above the layer that its arrow enters. In a few sweeps everything moves below what it hangs on, as far as its neighbours
let it. Widths of texts are estimates on the generous side. Colours come from the page's style sheet.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from circuits.report.diagram import Arrow, Diagram, Node
from circuits.report.html_text import escape, plain, tag

MARGIN = 58  # pixels left of the boxes, for the names of the layers
WIDEST = 440  # pixels: a layer without arrows goes on in another line behind it
_LETTER, _LINE, _GAP, _PAD = 6.9, 15, 12, 8
_SWEEPS = 8


@dataclass
class _Box:
    """A node, a label, or the place where an arrow passes a layer (no lines). ``x``: its middle; ``y``: its top."""

    lines: tuple[str, ...] = ()
    thing: Node | Arrow | None = None
    near: list[_Box] = field(default_factory=list)  # what an arrow joins it with
    x: float = 0.0
    y: float = 0.0
    height: float = 0.0

    @property
    def width(self) -> float:
        return max(34.0, _LETTER * max(map(len, self.lines)) + 2 * _PAD) if self.lines else 6.0


Row = list[_Box]


def diagram_svg(diagram: Diagram) -> str:
    """The drawing; its title says in words all that it shows."""
    boxes = {node.name: _box(node) for node in diagram.nodes}
    layers = [[boxes[node.name] for node in layer] for layer in diagram.layers]
    if diagram.arrows:
        rows, routes = _routed(layers, diagram.arrows, boxes)
        _settle(rows)
        bands = [[row] for row in rows]
    else:
        routes = []
        bands = [band for layer in layers for band in ([], _lines(layer))]
    placed = [box for band in bands for row in band for box in row]
    left = min(box.x - box.width / 2 for box in placed)
    for box in placed:
        box.x += MARGIN + _PAD - left
    width = max(box.x + box.width / 2 for box in placed) + _PAD
    frames, height = _stack(bands, [layer[0].layer for layer in diagram.layers], width)
    arrows = "".join(_arrow(arrow, route) for arrow, route in zip(diagram.arrows, _ends(routes), strict=True))
    labels = "".join(map(_drawn, [route[-2] for route in routes if len(route) > 2]))
    content = tag("title", escape(_in_words(diagram))) + frames + arrows + labels + "".join(map(_drawn, boxes.values()))
    shown = math.ceil(width)
    return tag(
        "svg", content, class_="diagram", viewBox=f"0 0 {shown} {math.ceil(height)}", role="img",
        style=f"width:100%;max-width:{shown}px;min-width:{round(0.8 * shown)}px",
    )  # fmt: skip


def _box(thing: Node | Arrow) -> _Box:
    texts = [line for note in thing.notes for line in ["", *textwrap.wrap(note, 19)]][1:]  # a gap between two checks
    lines = (thing.name, *texts) if isinstance(thing, Node) else tuple(texts)
    return _Box(lines, thing, height=_LINE * len(lines) + _PAD)


# -- where everything lies -----------------------------------------------------------------------------------


def _lines(layer: Row) -> list[Row]:
    """A layer's boxes side by side, in as many lines as they need."""
    found: list[Row] = [[]]
    right = 0.0
    for box in layer:
        if found[-1] and right + box.width > WIDEST - MARGIN:
            found.append([])
            right = 0.0
        box.x = right + box.width / 2
        right += box.width + _GAP
        found[-1].append(box)
    return found


def _routed(layers: list[Row], arrows: Sequence[Arrow], boxes: dict[str, _Box]) -> tuple[list[Row], list[list[_Box]]]:
    """Rows (labels above each layer, then the layer) and for each arrow what it goes through, from sender to receiver."""
    rows: list[Row] = [row for layer in layers for row in ([], list(layer))]
    at = {box.lines[0]: 2 * k + 1 for k, layer in enumerate(layers) for box in layer}
    routes = []
    for arrow in arrows:
        first, last = at[arrow.sender], at[arrow.receiver]
        passed = [(k, _Box()) for k in range(first + 1, last - 1)]
        label = [(last - 1, _box(arrow))]
        for k, box in [*passed, *label]:
            rows[k].append(box)
        route = [boxes[arrow.sender], *(box for _, box in [*passed, *label]), boxes[arrow.receiver]]
        for one, other in zip(route, route[1:], strict=False):
            one.near.append(other)
            other.near.append(one)
        routes.append(route)
    return rows, routes


def _settle(rows: Sequence[Row]) -> None:
    """Order the boxes of each row and place them below and above what they are joined with."""
    for row in rows:
        _place(row, [0.0] * len(row))
    for sweep in range(_SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted = {id(box): sum(each.x for each in box.near) / len(box.near) if box.near else box.x for box in row}
            if sweep < _SWEEPS - 2:
                row.sort(key=lambda box: wanted[id(box)])
            _place(row, [wanted[id(box)] for box in row])


def _place(row: Row, wanted: Sequence[float]) -> None:
    """Keep the order, let nothing overlap, and come as near to ``wanted`` as that allows (least squares)."""
    offsets, total = [], 0.0
    for k, box in enumerate(row):
        total += (row[k - 1].width / 2 + _GAP + box.width / 2) if k else 0.0
        offsets.append(total)
    groups: list[tuple[float, int]] = []  # mean of wanted place less offset, and how many boxes share it
    for want, offset in zip(wanted, offsets, strict=True):
        mean, count = want - offset, 1
        while groups and groups[-1][0] >= mean:
            other, many = groups.pop()
            mean, count = (mean * count + other * many) / (count + many), count + many
        groups.append((mean, count))
    starts = [mean for mean, count in groups for _ in range(count)]
    for box, start, offset in zip(row, starts, offsets, strict=True):
        box.x = start + offset


def _stack(bands: Sequence[Sequence[Row]], layers: Sequence[float], width: float) -> tuple[str, float]:
    """Give every box its height on the page, and draw the layers' bands; odd bands are layers, even ones lie between."""
    y, found = 0.0, []
    for k, band in enumerate(bands):
        is_layer, top = k % 2 == 1, y
        y += _PAD if is_layer else 2 * _GAP if any(band) else 4 if k else 0
        for row in band:
            tall = max((box.height for box in row), default=0.0)
            for box in row:
                box.y = y + (tall - box.height) / 2 if box.lines else y
                box.height = box.height or tall
            y += tall + (_PAD if is_layer else 2 * _GAP if row else 0)
        if is_layer:
            found.append(_band(layers[k // 2], top, y, width))
    return "".join(found), y


def _band(layer: float, top: float, bottom: float, width: float) -> str:
    area = tag("rect", x=0, y=_n(top), width=_n(width), height=_n(bottom - top), rx=6, class_="band")
    if layer == math.inf:
        return area
    return area + tag("text", f"layer {int(layer)}", x=8, y=_n((top + bottom) / 2 + 4), class_="layer")


# -- drawn -------------------------------------------------------------------------------------------------


def _ends(routes: Sequence[list[_Box]]) -> list[list[tuple[float, float]]]:
    """The points that each arrow goes through; where several leave or enter one box they stand apart, in the order of their ways."""

    def spread(end: int, beside: int) -> dict[int, float]:
        groups: dict[int, list[int]] = {}
        for k, route in enumerate(routes):
            groups.setdefault(id(route[end]), []).append(k)
        found = {}
        for members in groups.values():
            box = routes[members[0]][end]
            step = min(18.0, (box.width - 12) / len(members))
            for place, k in enumerate(sorted(members, key=lambda k: routes[k][beside].x)):
                found[k] = box.x + step * (place - (len(members) - 1) / 2)
        return found

    leave, enter = spread(0, 1), spread(-1, -2)
    points = []
    for k, route in enumerate(routes):
        inner = [(box.x, y) for box in route[1:-1] for y in (box.y, box.y + box.height)]
        points.append([(leave[k], route[0].y + route[0].height), *inner, (enter[k], route[-1].y)])
    return points


def _arrow(arrow: Arrow, points: Sequence[tuple[float, float]]) -> str:
    """Curves between the rows, straight through them, and a head."""
    (x, y), way = points[0], []
    way.append(f"M{_n(x)} {_n(y)}")
    for k, (to_x, to_y) in enumerate(points[1:]):
        if k % 2:
            way.append(f"L{_n(to_x)} {_n(to_y)}")
        else:
            half = _n((y + to_y) / 2)
            way.append(f"C{_n(x)} {half} {_n(to_x)} {half} {_n(to_x)} {_n(to_y)}")
        x, y = to_x, to_y
    line = tag("path", d="".join(way), class_="way denied" if arrow.denied else "way")
    head = tag("path", d=f"M{_n(x - 4.5)} {_n(y - 8)}h9l-4.5 8z", class_="head")
    return tag("g", line + head, class_=f"v-{arrow.verdict}")


def _drawn(box: _Box) -> str:
    thing = box.thing
    assert thing is not None
    area = tag(
        "rect", x=_n(box.x - box.width / 2), y=_n(box.y), width=_n(box.width), height=_n(box.height), rx=5,
    )  # fmt: skip
    texts = "".join(
        tag("tspan", escape(line), x=_n(box.x), y=_n(box.y + _LINE * (k + 1)), class_="name" if isinstance(thing, Node) and not k else None)
        for k, line in enumerate(box.lines)
        if line
    )  # fmt: skip
    return tag(
        "g", area + tag("text", texts), class_=f"{'node' if isinstance(thing, Node) else 'told'} v-{thing.verdict}"
    )


def _in_words(diagram: Diagram) -> str:
    """Caption, layers and arrows as one text."""
    layers = [
        ("" if layer[0].layer == math.inf else f"layer {int(layer[0].layer)}: ") + ", ".join(map(_node_words, layer))
        for layer in diagram.layers
    ]
    arrows = [f"from {arrow.sender} to {arrow.receiver}: {'; '.join(arrow.notes)}" for arrow in diagram.arrows]
    return " ".join([plain(diagram.caption), *_sentences(layers), *_sentences(arrows)])


def _node_words(node: Node) -> str:
    verdict = "" if node.verdict == "part" or node.notes else f" ({node.verdict.upper()})"
    return node.name + verdict + (f" ({'; '.join(node.notes)})" if node.notes else "")


def _sentences(texts: Iterable[str]) -> list[str]:
    return [f"{text[:1].upper()}{text[1:]}." for text in texts]


def _n(value: float) -> float | int:
    """Tenths of a pixel; the same bytes everywhere."""
    found = round(value, 1)
    return int(found) if found == int(found) else found
