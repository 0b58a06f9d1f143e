"""More figures of the report: where a head looks, a map of losses, effects against a bound, a lesson in offsets.

Drawn like ``figures``: plain data in, a PNG that depends on nothing else out. They are 6.4 inches wide with parts
below each other, not beside: shrunk to a phone's width their words stay about 7 pixels high.
"""

from __future__ import annotations

import io
import math
import textwrap
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from circuits.report.figures import CLAIMED, DPI, MAP, _legend, _one_line, _round_up, _sheet, _title, _words
from circuits.report.record import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

WIDTH = 6.4  # inches
BLUE, GREY, SHADE = "#3b6fb6", "#8a8a8a", "#ffd9c9"
FRAMED: Any = {"facecolor": "none", "edgecolor": "black", "linestyle": (0, (3, 1.6)), "linewidth": 1.2}
MOST_DISTANCES = 40
MOST_RANDOM_ROWS = 8  # more random sets than this share one row of dots

LossPoint = tuple[str, float | None, float | None, float | None]
EffectRow = tuple[str, float | None, float | None, float | None, str]


@dataclass(frozen=True)
class ProfileFigure:
    """Where a head looks: attention by distance, and from class to class.

    ``offsets``: Float[distance], 0 to 1 (0 = the query itself; BOS kept out); ``bos``: the share of BOS,
    None without it. ``matrix``: Float[class, class], [query, key], NaN = no such query. ``marked``: the
    distances that the claim is about. ``n`` prompts.
    """

    head: str
    offsets: NDArray[np.floating[Any]]
    bos: float | None
    classes: tuple[str, ...]
    matrix: NDArray[np.floating[Any]]
    n: int
    title: str
    marked: tuple[int, ...] = ()


@dataclass(frozen=True)
class LossMapFigure:
    """Ablations placed by the losses that they cause: (name, x, y, mean loss in nats) each.

    ``explained``: the shares (0 to 1) of the variance along the two axes. The point named "clean" is the
    unablated model. Points that are no finite numbers are left out and counted.
    """

    points: tuple[LossPoint, ...]
    explained: tuple[float, float]
    title: str


@dataclass(frozen=True)
class EffectsFigure:
    """Values with intervals against a bound: (label, value, low, high, kind) each, from top to bottom.

    ``kind``: "claimed" (in the claim's colour), "random" (a control, whose ends are a range; many of them share a row) or any other. None: no number.
    The bound runs from ``bound_low`` to ``bound_high`` (None: open to that side; both None: no bound).
    ``percent``: values are shares. ``quantity`` names the axis.
    """

    rows: tuple[EffectRow, ...]
    bound_low: float | None
    bound_high: float | None
    percent: bool
    title: str
    quantity: str = ""


@dataclass(frozen=True)
class LessonPanel:
    """One prompt set of a lesson: the head's offsets, and the distances at which two claims expect attention."""

    label: str
    offsets: NDArray[np.floating[Any]]
    claimed: tuple[int, ...]
    rival: tuple[int, ...]


@dataclass(frozen=True)
class LessonFigure:
    """One head's attention by distance on several prompt sets, which tell two explanations apart.

    Where both expect the same distance the prompts cannot decide; where they differ they can.
    """

    head: str
    panels: tuple[LessonPanel, ...]
    claimed_label: str
    rival_label: str
    title: str


More = ProfileFigure | LossMapFigure | EffectsFigure | LessonFigure


def draw_more(figure: More, path: Path) -> None:
    """Write the figure to ``path`` as a PNG; the same figure always gives the same bytes.

    Raises ValueError when the shapes of the figure's data do not fit together.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        warnings.filterwarnings("ignore", message=r"(?s).*Glyph")
        warnings.filterwarnings("ignore", message=r"(?s).*[Mm]issing from")
        if isinstance(figure, ProfileFigure):
            canvas = _profile(figure)
        elif isinstance(figure, LossMapFigure):
            canvas = _loss_map(figure)
        elif isinstance(figure, EffectsFigure):
            canvas = _effects(figure)
        else:
            canvas = _lesson(figure)
        buffer = io.BytesIO()
        FigureCanvasAgg(canvas)
        canvas.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None}, facecolor="white")
    write_atomically(Path(path), buffer.getvalue())


def _profile(figure: ProfileFigure) -> Figure:
    """Bars by distance above, the class-to-class table below."""
    offsets, matrix = np.asarray(figure.offsets, dtype=float), np.asarray(figure.matrix, dtype=float)
    if offsets.ndim != 1:
        raise ValueError(f"offsets has shape {offsets.shape}, expected one value a distance")
    count = len(figure.classes)
    if matrix.shape != (count, count):
        raise ValueError(f"matrix has shape {matrix.shape}, expected {(count, count)}: query class x key class")
    across, down = float(np.clip(4.6 / max(count, 1), 0.38, 1.2)), 0.38
    names = [_short(name, 16) for name in figure.classes]
    longest = 0.08 * max((len(name) for name in names), default=0)
    table = down * max(count, 1) + (longest if longest > across else 0.1) + 0.8
    canvas = _sheet(WIDTH, 2.8 + table + 0.7)
    bars, grid = canvas.subplots(2, 1, gridspec_kw={"height_ratios": [2.8, table]})
    _bars(bars, offsets, figure.marked, (), _ceiling([offsets]), len(offsets))
    bars.set_title("mean attention by distance", fontsize=9.5, loc="left")
    claimed = [_told_distance(offsets, distance) for distance in sorted(set(figure.marked))]
    if claimed:
        more = f" and {len(claimed) - 2} more" if len(claimed) > 3 else ""
        words = "claimed: " + ", ".join(claimed[: 2 if more else 3]) + more
        place: Any = {"loc": "lower right", "bbox_to_anchor": (1.0, 0.99), "borderaxespad": 0.1, "handlelength": 1.2}
        _words(*bars.legend(handles=[_patch(words)], fontsize=8.5, frameon=False, **place).get_texts())
    _table(grid, names, matrix, longest > across, down / across)
    detail = f"head {figure.head}, {figure.n} prompt{'s' if figure.n != 1 else ''}"
    if figure.bos is not None:
        shown = f"{figure.bos:.2f}" if math.isfinite(figure.bos) else "not a number"
        detail += f"; to BOS, which is not among the bars: {shown}"
    _title(canvas, figure.title, detail, WIDTH)
    return canvas


def _told_distance(offsets: NDArray[np.floating[Any]], distance: int) -> str:
    known = 0 <= distance < len(offsets) and np.isfinite(offsets[distance])
    return (f"n-{distance}" if distance else "self") + (f" ({offsets[distance]:.2f})" if known else " (no value)")


def _ceiling(all_offsets: Sequence[NDArray[np.floating[Any]]]) -> float:
    """The top of the bars' axis, with room for a number above the highest."""
    highest = [float(np.nanmax(one[:MOST_DISTANCES])) for one in all_offsets if np.isfinite(one[:MOST_DISTANCES]).any()]
    return 1.13 * _round_up(max(highest, default=0.0))


def _bars(
    axes: Axes, offsets: NDArray[np.floating[Any]], marked: Sequence[int], rival: Sequence[int], top: float, width: int
) -> None:
    """Bars of mean attention by distance; claimed distances in the claim's colour on a band, rival ones framed.

    ``width``: how many distances the axis is made for.
    """
    from matplotlib.patheffects import withStroke

    shown = np.nan_to_num(offsets[:MOST_DISTANCES], nan=0.0)
    count = max(5, min(width, MOST_DISTANCES))
    for distance in sorted({d for d in (*marked, *rival) if 0 <= d < count}):
        if distance in marked:
            axes.axvspan(distance - 0.5, distance + 0.5, color=SHADE, zorder=0, linewidth=0)
        if distance in rival:
            axes.axvspan(distance - 0.5, distance + 0.5, zorder=3, **FRAMED)
    colours = [CLAIMED if distance in marked else BLUE for distance in range(len(shown))]
    axes.bar(range(len(shown)), shown, width=0.78, color=colours, zorder=2)
    told = {d for d in (*marked, *rival) if 0 <= d < len(shown) and np.isfinite(offsets[d])}
    told |= {d for d in np.argsort(-shown, kind="stable")[:4].tolist() if shown[d] >= 0.05}
    written: list[int] = []
    for distance in sorted(told, key=lambda d: (d not in marked, -shown[d])):
        beside = [d for d in written if abs(d - distance) * 600 / count < 34]  # about how many pixels a number takes
        if all(abs(shown[d] - shown[distance]) > 0.09 * top for d in beside):
            number: Any = {"textcoords": "offset points", "ha": "center", "fontsize": 8, "zorder": 5}
            text = axes.annotate(f"{shown[distance]:.2f}", (distance, shown[distance]), (0, 1.5), **number)
            text.set_path_effects([withStroke(linewidth=2.0, foreground="white")])
            written.append(distance)
    step = 1 if count <= 24 else 5
    axes.set_xticks(range(0, count, step), [str(k) for k in range(0, count, step)], fontsize=8)
    axes.set(xlim=(-0.7, count - 0.3), ylim=(0, top))
    axes.tick_params(labelsize=8, length=2, pad=2)
    axes.grid(axis="y", color="#e6e6e6", zorder=-1)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    farther = offsets[MOST_DISTANCES:]
    words = "tokens back from the query (0 = itself)"
    if np.isfinite(farther).any():
        place = int(np.nanargmax(farther))
        words += f"\nfarther, to {len(offsets) - 1}: at most {farther[place]:.2f} (at {MOST_DISTANCES + place})"
    axes.set_xlabel(words, fontsize=9)
    axes.set_ylabel("mean attention", fontsize=9)


def _patch(label: str, framed: bool = False) -> Patch:
    from matplotlib.patches import Patch

    return Patch(label=label, **(FRAMED if framed else {"facecolor": CLAIMED, "edgecolor": "none"}))


def _table(axes: Axes, names: Sequence[str], matrix: NDArray[np.floating[Any]], turned: bool, aspect: float) -> None:
    """Query classes in rows, key classes in columns, the shares written in the cells."""
    import matplotlib

    axes.set_title("from class (rows: query) to class (columns: key); a row sums to 1", fontsize=9.5, loc="left")
    shown = np.ma.masked_invalid(matrix)
    top = _round_up(float(shown.max()) if shown.count() else 0.0)
    colours = matplotlib.colormaps[MAP].with_extremes(bad="#d9d9d9")
    if len(names):
        axes.imshow(shown, cmap=colours, vmin=0.0, vmax=top, interpolation="nearest", aspect=aspect)
    axes.set_anchor("NW")
    for (row, column), value in np.ndenumerate(matrix):
        text = "–" if not np.isfinite(value) else f"{value:.2f}".lstrip("0") if value < 0.995 else "1"
        text = "0" if text == ".00" else text
        bright = not np.isfinite(value) or value > 0.55 * top
        axes.text(column, row, text, ha="center", va="center", fontsize=9, color="black" if bright else "white")
    axes.set_xticks(range(len(names)), names, fontsize=9, rotation=90 if turned else 0)
    axes.set_yticks(range(len(names)), names, fontsize=9)
    axes.tick_params(length=2, pad=2)
    _words(*axes.get_xticklabels(), *axes.get_yticklabels())
    axes.set_xlabel("key" + ("    (other: all remaining tokens)" if "other" in names else ""), fontsize=9)
    axes.set_ylabel("query", fontsize=9)


def _finite(number: float | None) -> TypeGuard[float]:
    """Whether there is a number to draw: data read from JSON have None where there is none."""
    return number is not None and math.isfinite(number)


def _short(text: str, most: int) -> str:
    """The text in one line; the middle of a long one is left out, since names often differ at their ends."""
    line, front = _one_line(text), 2 * most // 3
    return line if len(line) <= most else line[:front] + "…" + line[front + 1 - most :]


def _loss_map(figure: LossMapFigure) -> Figure:
    """A labelled scatter, the distances true on both axes, coloured by mean loss."""
    if len(figure.explained) != 2:
        raise ValueError(f"explained has {len(figure.explained)} values, expected the shares of PC1 and PC2")
    for point in figure.points:
        if len(point) != 4:
            raise ValueError(f"the point {point!r} has {len(point)} parts, expected name, x, y, loss")
    kept = [point for point in figure.points if _finite(point[1]) and _finite(point[2])]
    xy = np.array([point[1:3] for point in kept], dtype=float).reshape(-1, 2)
    losses = np.array([point[3] for point in kept], dtype=float)
    clean = np.array([point[0] == "clean" for point in kept], dtype=bool)
    told = losses[np.isfinite(losses)]
    middle = (xy.max(0) + xy.min(0)) / 2 if len(kept) else np.zeros(2)
    half = 0.62 * np.ptp(xy, axis=0) if len(kept) else np.zeros(2)
    wide = float(half.max()) or 0.62
    tall = max(float(half[1]), 0.5 * wide)
    canvas = _sheet(WIDTH, 1.5 + 4.8 * tall / wide)
    axes = canvas.add_subplot()
    look: Any = {"s": 46, "edgecolors": "black", "linewidths": 0.6, "zorder": 3, "c": BLUE}
    coloured = bool(len(told)) and np.ptp(told) > 1e-9 and not clean.all()
    if coloured:
        shades = np.where(np.isfinite(losses), losses, np.nan)[~clean]
        look |= {"c": shades, "cmap": MAP, "vmin": told.min(), "vmax": told.max(), "plotnonfinite": True}
    drawn = axes.scatter(*xy[~clean].T, **look)
    if coloured:
        bar = canvas.colorbar(drawn, ax=axes, shrink=0.8, pad=0.02, aspect=30)
        bar.set_label("mean loss (nats)", fontsize=9)
        bar.ax.tick_params(labelsize=8)
    if clean.any():
        loss = losses[clean][0]
        label = "clean: the model as it is" + (f", loss {loss:.3g}" if math.isfinite(loss) else "")
        gem: Any = {"s": 90, "marker": "D", "color": CLAIMED, "edgecolors": "black", "zorder": 4, "label": label}
        axes.scatter(*xy[clean].T, **gem)
        axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), fontsize=8.5, frameon=False, borderaxespad=0.1)
    axes.set(xlim=(middle[0] - wide, middle[0] + wide), ylim=(middle[1] - tall, middle[1] + tall))
    axes.set_aspect("equal", adjustable="box")
    axes.grid(color="#eeeeee", zorder=-1)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8)
    shares = [f" ({100 * share:.0f}% of the variance)" if _finite(share) else "" for share in figure.explained]
    axes.set_xlabel("PC1" + shares[0], fontsize=9)
    axes.set_ylabel("PC2" + shares[1], fontsize=9)
    left_out = len(figure.points) - len(kept)
    detail = "near each other: ablations that change the loss of the same tokens alike"
    _title(canvas, figure.title, detail + (f"; {left_out} without numbers left out" if left_out else ""), WIDTH)
    _place_labels(canvas, axes, [(_short(name, 26), x, y) for name, x, y, _ in kept])
    return canvas


def _place_labels(canvas: Figure, axes: Axes, points: Sequence[tuple[str, float, float]]) -> None:
    """A label beside each point that covers no other label and no point; a line leads to one that is far.

    Places are tried outwards, ring by ring; where nothing is free the place that covers least is taken.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.patheffects import withStroke

    FigureCanvasAgg(canvas)
    for _ in range(2):  # settles the layout, so that pixels are known
        canvas.draw_without_rendering()
    canvas.set_layout_engine("none")
    if not points:
        return
    dots = axes.transData.transform([(x, y) for _, x, y in points])
    frame = np.array(axes.get_window_extent().extents)
    taken = np.concatenate([dots - 8, dots + 8], axis=1)
    for (name, *_), (x, y) in zip(points, dots, strict=True):
        text = axes.text(0, 0, name, fontsize=9, fontweight="bold" if name == "clean" else "normal", zorder=6)
        text.set_path_effects([withStroke(linewidth=2.5, foreground="white")])
        _words(text)
        extent = text.get_window_extent()
        half = np.array([extent.width / 2 + 2, extent.height / 2 + 1])
        best, least = np.array([x, y]), math.inf
        for radius in range(9, 400, 9):
            for angle in np.arange(16) * np.pi / 8:
                way = np.array([math.cos(angle), math.sin(angle)])
                centre = np.array([x, y]) + way * (radius + half)
                box = np.concatenate([centre - half, centre + half])
                outside = np.maximum(frame[:2] - box[:2], 0).sum() + np.maximum(box[2:] - frame[2:], 0).sum()
                covers = 1e4 * outside + _common(box, taken)
                if covers < least:
                    best, least = centre, covers
            if least == 0:
                break
        taken = np.vstack([taken, np.concatenate([best - half, best + half])])
        text.set_position(tuple(axes.transData.inverted().transform(best)))
        text.set(ha="center", va="center")
        near = np.clip([x, y], best - half, best + half)
        if math.dist(near, (x, y)) > 14:
            ends = axes.transData.inverted().transform([(x, y), near])
            axes.plot(ends[:, 0], ends[:, 1], color="#777777", linewidth=0.7, zorder=2)


def _common(one: NDArray[np.floating[Any]], others: NDArray[np.floating[Any]]) -> float:
    """The area that a box (x0, y0, x1, y1) shares with others, Float[box, 4]."""
    sides = np.minimum(one[2:], others[:, 2:]) - np.maximum(one[:2], others[:, :2])
    return float(np.prod(np.maximum(sides, 0.0), axis=1).sum())


def _effects(figure: EffectsFigure) -> Figure:
    """A row each: label, point with interval, numbers; the bound shaded behind all."""
    for row in figure.rows:
        if len(row) != 5:
            raise ValueError(f"the row {row!r} has {len(row)} parts, expected label, value, low, high, kind")
    alone, random = _split(figure.rows)
    count = len(alone) + bool(random)
    labels = [textwrap.wrap(_short(label, 44), 24) or [""] for label, *_ in alone]
    labels += [[f"{len(random)} random ones,", "a dot each"]] if random else []
    lines = [max(len(parts), 1) for parts in labels]
    each = 0.34 if max(lines, default=1) == 1 else 0.22 * max(lines) + 0.08
    canvas = _sheet(WIDTH, each * max(count, 2) + (0.5 if random else 0.0) + 1.7)
    axes = canvas.add_subplot()
    low, high = _span(figure)
    edges = [edge for edge in (figure.bound_low, figure.bound_high) if _finite(edge)]
    if edges:
        left, right = figure.bound_low, figure.bound_high
        between = (left if _finite(left) else low, right if _finite(right) else high)
        axes.axvspan(*between, color=SHADE, zorder=0, linewidth=0)
        for edge in edges:
            axes.axvline(edge, color=CLAIMED, linewidth=1.4, zorder=1)
    if low < 0 < high:
        axes.axvline(0, color="#999999", linewidth=0.8, zorder=1)
    for place, (_, value, lower, upper, kind) in enumerate(alone):
        colour = {"claimed": CLAIMED, "random": GREY}.get(kind, BLUE)
        if _finite(value):
            if _is_number(lower) and _is_number(upper):
                ends = [min(max(end, low), high) for end in (lower, upper)]
                axes.plot(ends, [place, place], color="black", linewidth=4.0, zorder=3)
                axes.plot(ends, [place, place], color=colour, linewidth=2.4, zorder=3.1)
            style: Any = {"marker": "D" if kind == "claimed" else "o", "edgecolors": "black", "linewidths": 0.8}
            axes.scatter([value], [place], s=52, color=colour, zorder=4, **style)
        _number(axes, place, _told(value, lower, upper, kind, figure.percent))
    if random:
        values = np.array([row[1] for row in random if _finite(row[1])])
        _swarm(axes, values, len(alone), low, high)
        if len(values):
            parts = [_value(number, figure.percent) for number in (np.median(values), values.min(), values.max())]
            _number(axes, len(alone), f"median {parts[0]}\n{parts[1]} to {parts[2]}")
    axes.set(xlim=(low, high), ylim=(max(count, 1) - (0.25 if random else 0.4), -0.6))
    axes.set_yticks(range(count), ["\n".join(parts) for parts in labels], fontsize=9)
    axes.tick_params(axis="x", labelsize=8)
    axes.tick_params(axis="y", length=0, pad=4)
    _words(*axes.get_yticklabels())
    if figure.percent:
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%")
    axes.locator_params(axis="x", nbins=6)
    axes.grid(axis="x", color="#eeeeee", zorder=-1)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    if figure.quantity:
        _words(axes.set_xlabel(_short(figure.quantity, 70), fontsize=9))
    told = any(_is_number(low) and _is_number(high) and kind != "random" for *_, low, high, kind in figure.rows)
    _title(canvas, figure.title, "value, and its interval in brackets" if told else "", WIDTH)
    if edges:
        held = _patch(f"the bound: {_bound(figure)}")
        held.set(facecolor=SHADE, edgecolor=CLAIMED)
        _legend(canvas, [held])
    return canvas


def _split(rows: Sequence[EffectRow]) -> tuple[list[EffectRow], list[EffectRow]]:
    """Rows that stand alone, and the random ones that share a row (none unless they are many)."""
    random = [row for row in rows if row[4] == "random"]
    if len(random) <= MOST_RANDOM_ROWS:
        return list(rows), []
    return [row for row in rows if row[4] != "random"], random


def _span(figure: EffectsFigure) -> tuple[float, float]:
    """The x axis: every number that is shown, and the bound."""
    found = [number for _, value, low, high, _ in figure.rows for number in (value, low, high)]
    found += [figure.bound_low, figure.bound_high]
    finite = [float(number) for number in found if _finite(number)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    low = 0.0 if 0 < low < 0.5 * (high - low) else low
    margin = 0.08 * (high - low) or max(0.1, 0.1 * abs(high))
    return low - margin, high + margin


def _swarm(axes: Axes, values: NDArray[np.floating[Any]], row: int, low: float, high: float) -> None:
    """Dots of one row, those of nearly equal value above each other."""
    bins = np.floor((values - low) / (high - low) * 70).astype(int)
    height = np.zeros(len(values))
    for one in np.unique(bins):
        same = np.flatnonzero(bins == one)
        height[same] = (np.arange(len(same)) - (len(same) - 1) / 2) * min(0.14, 0.85 / len(same))
    axes.scatter(values, row + height, s=14, color=GREY, edgecolors="none", alpha=0.8, zorder=2)


def _number(axes: Axes, row: int, text: str) -> None:
    place: Any = {"xycoords": ("axes fraction", "data"), "fontsize": 8.5, "va": "center", "ha": "left"}
    axes.annotate(text, (1.015, row), annotation_clip=False, **place)


def _value(value: float, percent: bool) -> str:
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return f"{100 * value:.1f}".removesuffix(".0") + "%" if percent else f"{value:.3g}"


def _told(value: float | None, low: float | None, high: float | None, kind: str, percent: bool) -> str:
    if not _finite(value):
        return "no number"
    text = _value(value, percent)
    if not _is_number(low) or not _is_number(high):
        return text
    ends = _value(low, percent), _value(high, percent)
    return f"{text}\n{ends[0]} to {ends[1]}" if kind == "random" else f"{text}\n[{ends[0]}, {ends[1]}]"


def _is_number(end: float | None) -> TypeGuard[float]:
    """Whether an interval has this end, which may be infinite."""
    return end is not None and not math.isnan(end)


def _bound(figure: EffectsFigure) -> str:
    ends = (figure.bound_low, figure.bound_high)
    low, high = (_value(end, figure.percent) if _finite(end) else None for end in ends)
    if low is not None and high is not None:
        return f"{low} to {high}"
    return f"at least {low}" if low is not None else f"at most {high}"


def _lesson(figure: LessonFigure) -> Figure:
    """One panel of bars for each prompt set, below each other with one scale."""
    panels = [np.asarray(panel.offsets, dtype=float) for panel in figure.panels]
    if not panels:
        raise ValueError("a lesson needs at least one panel")
    for panel, offsets in zip(figure.panels, panels, strict=True):
        if offsets.ndim != 1:
            raise ValueError(f"offsets of {panel.label!r} has shape {offsets.shape}, expected one value a distance")
    canvas = _sheet(WIDTH, 1.75 * len(panels) + 1.3)
    top, width = _ceiling(panels), max(len(offsets) for offsets in panels)
    for place, (panel, offsets) in enumerate(zip(figure.panels, panels, strict=True)):
        axes = canvas.add_subplot(len(panels), 1, place + 1)
        _bars(axes, offsets, panel.claimed, panel.rival, top, width)
        same = set(panel.claimed) == set(panel.rival)
        verdict = "both expect the same" if same else "they expect different distances"
        _words(axes.set_title(f"{_short(panel.label, 52)}: {verdict}", fontsize=9.5, loc="left"))
        if place + 1 < len(panels):
            axes.set_xlabel("")
    _legend(canvas, [_patch(figure.claimed_label), _patch(figure.rival_label, framed=True)])
    _title(canvas, figure.title, f"head {figure.head}: mean attention by distance", WIDTH)
    return canvas
