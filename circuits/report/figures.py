"""Figures of the report: a mean attention pattern, a layer x head map of a score.

A figure is plain data (a frozen dataclass); ``draw`` turns it into a PNG that depends on nothing else:
not on the user's matplotlib settings, not on the time, not on what was drawn before.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from circuits.report.scales import put_scale, put_ticks
from circuits.report.sheet import (
    CLAIMED,
    COMPARED,
    MAP,
    guard_words,
    new_sheet,
    one_line,
    put_legend,
    put_title,
    round_up,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LABELS = 48

Segment = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class AttentionFigure:
    """A head's attention pattern, averaged over prompts of one token length.

    ``mean`` is Float[query, key], 0 to 1; entries above the diagonal are ignored. ``labels`` are the
    tokens of one prompt, BOS included. ``cells`` marks what the claim is about, ``other_cells`` what it
    is compared with; the labels name both in the legend. ``n`` prompts. ``elsewhere``: what the claim compares it with
    that is not drawn, as the legend says it. ``foot``: see ``new_sheet``.
    """

    head: str
    mean: NDArray[np.floating[Any]]
    labels: tuple[str, ...]
    cells: NDArray[np.bool_]
    other_cells: NDArray[np.bool_] | None
    n: int
    title: str
    cells_label: str
    other_label: str | None
    elsewhere: str | None = None
    foot: str = ""


@dataclass(frozen=True)
class ScoreFigure:
    """A score of every head: ``values`` is Float[layer, head], NaN = not measured.

    ``claimed`` are (layer, head) pairs, outlined and named; ``bound`` is the claim's bound as text; ``outlined`` says why they are outlined.
    ``beside``: other pairs to be told apart from those, framed and named too, and why (``why_beside``).
    ``name`` labels the colours, ``n`` counts ``unit``, ``missing`` says what a cell without a value means.
    """

    name: str
    values: NDArray[np.floating[Any]]
    claimed: tuple[tuple[int, int], ...]
    bound: str | None
    title: str
    n: int
    outlined: str = "claimed"
    unit: str = "prompts"
    missing: str = "not measured"
    beside: tuple[tuple[int, int], ...] = ()
    why_beside: str = ""
    foot: str = ""


def boundary_edges(cells: NDArray[np.bool_]) -> list[Segment]:
    """The outline of a set of cells of a grid: straight segments between corners, adjacent cells merged.

    ``cells`` is Bool[row, column]; cell (r, c) spans the corners (c, r) to (c + 1, r + 1). An edge
    belongs to the outline when exactly one of its two sides is in the set; runs of edges on one line are
    joined. Segments are ((x0, y0), (x1, y1)), horizontal ones first, in reading order.
    """
    grid = np.asarray(cells, dtype=bool)
    padded = np.pad(grid, 1)
    horizontal = padded[1:, 1:-1] != padded[:-1, 1:-1]  # [row + 1, column]: the line above row r
    vertical = (padded[1:-1, 1:] != padded[1:-1, :-1]).T  # [column + 1, row]: the line left of column c
    segments: list[Segment] = [((a, y), (b, y)) for y, line in enumerate(horizontal) for a, b in _runs(line)]
    segments += [((x, a), (x, b)) for x, line in enumerate(vertical) for a, b in _runs(line)]
    return segments


def _runs(line: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Start and end (exclusive) of every run of True."""
    steps = np.diff(np.concatenate(([0], line.astype(np.int8), [0])))
    return list(zip(np.flatnonzero(steps == 1).tolist(), np.flatnonzero(steps == -1).tolist(), strict=True))


def _outline(axes: Axes, cells: NDArray[np.bool_], colour: str, width: float, dashed: bool = False) -> None:
    """Draw the outline over a heat map whose cell centres are whole numbers, with a dark edge to both sides."""
    from matplotlib.collections import LineCollection

    lines = [[(x0 - 0.5, y0 - 0.5), (x1 - 0.5, y1 - 0.5)] for (x0, y0), (x1, y1) in boundary_edges(cells)]
    style: Any = (0, (3, 1.6)) if dashed else "solid"
    order = 3.0 if dashed else 4.0
    edged = width >= 1.0  # on small cells a dark edge would cover the cell itself
    for ink, thick, dashes, above in (("black", width * 1.9, "solid", 0.0), (colour, width, style, 0.5)):
        if edged or ink != "black":
            drawn = LineCollection(lines, colors=ink, linewidths=thick, linestyles=[dashes], zorder=order + above)
            drawn.set(capstyle="projecting" if dashes == "solid" else "butt", clip_on=False)
            axes.add_collection(drawn, autolim=False)


def _legend_entry(colour: str, label: str, dashed: bool = False) -> Any:
    from matplotlib.lines import Line2D
    from matplotlib.patheffects import Normal, Stroke

    line = Line2D([], [], color=colour, linewidth=1.8, linestyle="--" if dashed else "-", label=one_line(label))
    line.set_path_effects([Stroke(linewidth=3.4, foreground="black"), Normal()])
    return line


def _words_entry(label: str) -> Any:
    """Words in the legend that stand for nothing drawn."""
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="none", label=one_line(label))


def attention_canvas(figure: AttentionFigure) -> Figure:
    """Query rows, key columns, the upper triangle white, the claim's cells outlined."""
    import matplotlib

    mean = np.asarray(figure.mean, dtype=float)
    count = mean.shape[0]
    for name, grid in (("mean", mean), ("cells", figure.cells), ("other_cells", figure.other_cells)):
        if grid is not None and np.shape(grid) != (count, count):
            raise ValueError(f"{name} has shape {np.shape(grid)}, expected {(count, count)}: query x key")
    if len(figure.labels) != count:
        raise ValueError(f"{len(figure.labels)} labels for {count} positions")
    visible = np.tril(np.ones((count, count), dtype=bool))
    shown = np.ma.masked_where(~visible | ~np.isfinite(mean), mean)
    top = float(shown.max()) if shown.count() else 0.0
    map_size = _map_inches(count)
    canvas = new_sheet(map_size + 1.9, map_size + 1.85 + 0.18 * bool(figure.elsewhere), figure.foot)
    axes = canvas.add_subplot()
    colours = matplotlib.colormaps[MAP].with_extremes(bad="white")
    top = round_up(top)
    axes.imshow(shown, cmap=colours, vmin=0.0, vmax=top, interpolation="nearest", aspect="equal")
    entries = []
    width = 1.7 if count <= 30 else 1.3 if count <= MOST_LABELS + 12 else 0.9
    if figure.other_cells is not None and np.any(figure.other_cells & visible):
        _outline(axes, figure.other_cells & visible, COMPARED, width, dashed=True)
        entries.append(_legend_entry(COMPARED, figure.other_label or "compared with", dashed=True))
    if np.any(figure.cells & visible):
        _outline(axes, figure.cells & visible, CLAIMED, width)
        entries.insert(0, _legend_entry(CLAIMED, figure.cells_label))
    if figure.elsewhere:
        entries.append(_words_entry(figure.elsewhere))
    _token_ticks(axes, figure.labels, map_size)
    guard_words(axes.set_xlabel("key"), axes.set_ylabel("query"))
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    put_scale(axes, colours, (0.0, top), "mean attention", shrink=0.72, aspect=26)
    put_title(canvas, figure.title, f"head {figure.head}, mean over {figure.n} prompts", map_size + 1.9)
    put_legend(canvas, entries)
    return canvas


def _map_inches(count: int) -> float:
    """The side of a map of so many tokens: no longer than its labels need, for a wide sheet has small letters on a phone."""
    if count > MOST_LABELS:
        return 7.6
    roomy, narrow = 0.27 * count, max(4.6, 0.175 * count)  # 0.175 inches are 12.6 points, for letters of 9
    return float(np.clip(min(roomy, narrow), 3.0, 7.4))


def _token_ticks(axes: Axes, labels: Sequence[str], map_size: float) -> None:
    """Token labels on both axes, every k-th where all would not fit; positions beside them when thinned."""
    count = len(labels)
    step = max(1, math.ceil(count / MOST_LABELS))
    size = float(np.clip(map_size / count * 72 * step * 0.75, 5.5, 9.0))
    places = list(range(0, count, step))
    texts = [one_line(labels[k]) for k in places]
    if step > 1:
        texts = [f"{text}  {k}" for k, text in zip(places, texts, strict=True)]
    put_ticks(axes, "x", places, texts, size, turned=True)
    put_ticks(axes, "y", places, texts, size)


def score_canvas(figure: ScoreFigure) -> Figure:
    """Layer rows, head columns; claimed heads and those beside them outlined, named with their value at the right edge."""
    import matplotlib

    values = np.asarray(figure.values, dtype=float)
    if values.ndim != 2:
        raise ValueError(f"values has shape {values.shape}, expected layer x head")
    layers, heads = values.shape
    shown = np.ma.masked_invalid(values)
    low = min(0.0, float(shown.min())) if shown.count() else 0.0
    high = float(shown.max()) if shown.count() else 0.0
    cell_height = float(np.clip(6.0 / layers, 0.15, 0.34))
    cell_width = float(np.clip(5.4 / heads, 0.17, 0.42))
    size = (max(3.6, cell_width * heads) + 2.6, cell_height * layers + 1.6)
    canvas = new_sheet(*size, figure.foot)
    axes = canvas.add_subplot()
    colours = matplotlib.colormaps[MAP].with_extremes(bad="#d9d9d9")
    top = round_up(high) if low == 0 else max(high, -low)
    axes.imshow(shown, cmap=colours, vmin=low, vmax=top, interpolation="nearest", aspect="auto")
    claimed, beside = (_cells(values.shape, pairs) for pairs in (figure.claimed, figure.beside))
    _ticks(axes, layers, heads, cell_height, cell_width)
    marked = [edge for edge in _numbers(figure.bound) if low < edge < top]
    entries, gap = [], 0.15
    if claimed.any():
        _outline(axes, claimed, CLAIMED, 1.7)
        entries.append(_legend_entry(CLAIMED, figure.outlined + _told_bound(figure.bound, bool(marked))))
    if beside.any():
        _outline(axes, beside, COMPARED, 1.7, dashed=True)
        entries.append(_legend_entry(COMPARED, figure.why_beside, dashed=True))
    if entries:
        gap += _name_rows(axes, values, claimed | beside)
    guard_words(axes.set_xlabel("head"), axes.set_ylabel("layer"))
    if marked and not claimed.any():  # no head meets the bound, whose line is on the scale nevertheless
        entries.append(_words_entry(f"the bound{_told_bound(figure.bound, True)}"))
    put_scale(axes, colours, (low, top), one_line(figure.name), shrink=1.0, aspect=30, gap=gap, marked=marked)
    missing = f", grey: {figure.missing}" if shown.count() < values.size else ""
    put_title(canvas, figure.title, f"every head of the model, mean over {figure.n} {figure.unit}{missing}", size[0])
    put_legend(canvas, entries)
    return canvas


def _cells(shape: tuple[int, ...], pairs: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
    """Bool[layer, head]: the pairs that the model has."""
    found = np.zeros(shape, dtype=bool)
    for layer, head in pairs:
        if 0 <= layer < shape[0] and 0 <= head < shape[1]:
            found[layer, head] = True
    return found


def _ticks(axes: Axes, layers: int, heads: int, cell_height: float, cell_width: float) -> None:
    """Whole layer and head numbers, thinned where they would not fit."""
    for side, count, inches in (("y", layers, cell_height), ("x", heads, cell_width)):
        places = list(range(0, count, 1 if inches >= 0.15 else 2))
        put_ticks(axes, side, places, [str(k) for k in places], 7.5)


def _name_rows(axes: Axes, values: NDArray[np.floating[Any]], claimed: NDArray[np.bool_]) -> float:
    """The outlined heads of each layer with their values, at the right edge of the layer's row; how wide they are in inches."""
    widest = 0.0
    for layer in np.flatnonzero(claimed.any(axis=1)).tolist():
        names = [
            f"{layer}.{head}: " + (f"{values[layer, head]:.3g}" if np.isfinite(values[layer, head]) else "not measured")
            for head in np.flatnonzero(claimed[layer]).tolist()
        ]
        if len(names) > 3:
            names = [*names[:2], f"and {len(names) - 2} more"]
        beside: Any = {"xycoords": ("axes fraction", "data"), "fontsize": 7.5, "va": "center", "ha": "left"}
        text = axes.annotate("  " + ", ".join(names), xy=(1.0, layer), **beside)
        widest = max(widest, text.get_window_extent().width / axes.figure.dpi)
    return widest


def _told_bound(bound: str | None, marked: bool) -> str:
    """The bound in brackets, in words rather than as YAML has it; ``marked``: there is a line on the scale of colours."""
    return f" ({bound.replace('_', ' ')}{': the line on the scale' if marked else ''})" if bound else ""


def _numbers(bound: str | None) -> list[float]:
    """The values at which a bound begins and ends; the k of "top k" is none."""
    if (bound or "").startswith("top"):
        return []
    found = re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?%?", bound or "")
    return [float(text.rstrip("%")) / (100 if text.endswith("%") else 1) for text in found]
