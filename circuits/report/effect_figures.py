"""What interventions do: effects with intervals against a bound, and a map of models and ablations by the losses of every token."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from circuits.report.placing import arrange
from circuits.report.scales import put_scale
from circuits.report.sheet import (
    BLUE,
    CLAIMED,
    GREY,
    MAP,
    SHADE,
    WIDTH,
    guard_words,
    is_number,
    new_sheet,
    one_line,
    patch_entry,
    put_legend,
    put_title,
    shorten,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DOT, _GEM = 8, 20  # pixels from the middle of a point to the end of its mark: of a dot, of the clean model's diamond
_NEAR, _AXIS = 12, 610  # pixels between the middles of two dots that overlap, and about how long the axis of a map is
_NO_VARIANCE = 0.005  # a second axis that holds less of the variance says nothing
_DISTANCE = "distance: root of the sum of squared differences of the tokens' losses"
MOST_RANDOM_ROWS = 8  # more random sets than this share one row of dots

LossPoint = tuple[str, float | None, float | None, float | None]
EffectRow = tuple[str, float | None, float | None, float | None, str]


@dataclass(frozen=True)
class LossMapFigure:
    """Models and ablations placed by the losses of every token: (name, x, y, mean loss in nats) each.

    ``explained``: the shares (0 to 1) of the variance along the two axes. ``kinds``: of each point "clean" (the
    unablated model), "model" (another one) or "ablation"; where there are none the point named "clean" is the unablated
    model and the others are ablations. Points that are no finite numbers are left out and counted. ``method``: how
    components are ablated. ``foot``: see ``new_sheet``.
    """

    points: tuple[LossPoint, ...]
    explained: tuple[float, float]
    title: str
    kinds: tuple[str, ...] = ()
    method: str = ""
    foot: str = ""


@dataclass(frozen=True)
class EffectsFigure:
    """Values with intervals against a bound: (label, value, low, high, kind) each, from top to bottom.

    ``kind``: "claimed" (in the claim's colour; what the bound judges), "random" (a control,
    whose ends are a range; many of them share a row) or any other. None: no number.
    The bound runs from ``bound_low`` to ``bound_high`` (None: open to that side; both None: no bound).
    ``percent``: values are shares. ``quantity`` names the axis; ``detail`` is said below the title. ``foot``: see ``new_sheet``.
    ``bound_words``: the bound as the legend says it, where it is on another quantity than the axis.
    """

    rows: tuple[EffectRow, ...]
    bound_low: float | None
    bound_high: float | None
    percent: bool
    title: str
    quantity: str = ""
    detail: str = ""
    foot: str = ""
    bound_words: str = ""


def loss_map_canvas(figure: LossMapFigure) -> Figure:
    """A labelled scatter, the distances true on both axes, coloured by mean loss.

    Where the second axis holds nothing it has no numbers, and the map is a line.
    """
    from matplotlib.patheffects import Normal, Stroke

    if len(figure.explained) != 2:
        raise ValueError(f"explained has {len(figure.explained)} values, expected the shares of PC1 and PC2")
    for point in figure.points:
        if len(point) != 4:
            raise ValueError(f"the point {point!r} has {len(point)} parts, expected name, x, y, loss")
    kinds = figure.kinds or tuple("clean" if point[0] == "clean" else "ablation" for point in figure.points)
    if len(kinds) != len(figure.points):
        raise ValueError(f"there are {len(kinds)} kinds, expected one for each of {len(figure.points)} points")
    placed = [is_number(point[1]) and is_number(point[2]) for point in figure.points]
    kept = [point for point, here in zip(figure.points, placed, strict=True) if here]
    kind = np.array([each for each, here in zip(kinds, placed, strict=True) if here], dtype=str)
    xy = np.array([point[1:3] for point in kept], dtype=float).reshape(-1, 2)
    losses = np.array([point[3] for point in kept], dtype=float)
    clean, others = kind == "clean", kind == "model"
    told = losses[np.isfinite(losses)]
    middle = (xy.max(0) + xy.min(0)) / 2 if len(kept) else np.zeros(2)
    half = 0.62 * np.ptp(xy, axis=0) if len(kept) else np.zeros(2)
    wide = float(half.max()) or 0.62
    flat = is_number(figure.explained[0]) and is_number(figure.explained[1]) and figure.explained[1] < _NO_VARIANCE
    tall = max(float(half[1]), (0.25 if flat else 0.5) * wide)
    shares = [f" ({_of_variance(share)} of the variance)" if is_number(share) else "" for share in figure.explained]
    below = ["PC1, nats" + shares[0], _DISTANCE]
    if flat:
        below.insert(1, f"up and down: PC2{shares[1]}, without an axis since it tells nothing")
    groups = _overlapping(xy * _AXIS / (2 * wide))
    if 0 < len(groups) <= 2:
        near = "; ".join(" and ".join(shorten(kept[each][0], 30) for each in group) for group in groups)
        below += textwrap.wrap(f"too near each other to be told apart here: {near}", 76)
    left_out = len(figure.points) - len(kept)
    what = "models and ablations with like losses on the same tokens" if others.any() else None
    detail = f"near each other in this plane: {what or 'ablations that change the loss of the same tokens alike'}"
    if figure.method and (kind == "ablation").any():
        detail += f"; a point named by components is the model without them ({figure.method} ablation)"
    detail += f"; {left_out} without numbers left out" if left_out else ""
    canvas = new_sheet(WIDTH, 1.3 + 0.16 * (len(below) + len(detail) // 70) + 4.8 * tall / wide, figure.foot)
    axes = canvas.add_subplot()
    look: Any = {"s": 46, "edgecolors": "black", "linewidths": 0.6, "zorder": 3, "c": BLUE}
    coloured = bool(len(told)) and np.ptp(told) > 1e-9 and not clean.all()
    drawn = []
    for chosen, shape in ((~clean & ~others, {"marker": "o"}), (others, {"marker": "s", "s": 62})):
        if coloured:
            shades = np.where(np.isfinite(losses), losses, np.nan)[chosen]
            look |= {"c": shades, "cmap": MAP, "vmin": told.min(), "vmax": told.max(), "plotnonfinite": True}
        drawn.append(axes.scatter(*xy[chosen].T, **look | shape))
    if coloured:
        ends = float(told.min()), float(told.max())
        put_scale(axes, drawn[0].cmap, ends, "mean loss (nats)", shrink=0.8, aspect=30, sizes=(8, 9))
    if clean.any():
        loss = losses[clean][0]
        label = "the claim's model as it is" if others.any() else "clean: the model as it is"
        label += f", loss {loss:.3g}" if math.isfinite(loss) else ""
        # hollow and behind the others, so that an ablation that changes nothing is seen within it
        gem: Any = {
            "s": 150,
            "marker": "D",
            "facecolors": "none",
            "edgecolors": CLAIMED,
            "linewidths": 2.2,
            "zorder": 2.5,
        }
        gem["path_effects"] = [Stroke(linewidth=3.6, foreground="black"), Normal()]
        axes.scatter(*xy[clean].T, **gem, label=label)
    if others.any():
        told_apart = (
            ("another model as it is", "s", 62),
            *((("without components", "o", 46),) if (kind == "ablation").any() else ()),
        )
        for label, marker, size in told_apart:
            axes.scatter(
                [], [], marker=marker, s=size, color="#bbbbbb", edgecolors="black", linewidths=0.6, label=label
            )
    if clean.any() or others.any():
        axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), fontsize=8.5, frameon=False, markerscale=0.75)
    axes.set(xlim=(middle[0] - wide, middle[0] + wide), ylim=(middle[1] - tall, middle[1] + tall))
    axes.set_aspect("equal", adjustable="box")
    axes.grid(color="#eeeeee", zorder=-1)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8)
    if flat:
        axes.set_yticks([])
    else:
        axes.set_ylabel("PC2, nats" + shares[1], fontsize=9)
    guard_words(axes.set_xlabel("\n".join(below), fontsize=9, linespacing=1.15))
    put_title(canvas, figure.title, detail, WIDTH)
    named = [(shorten(point[0], 30), x, y) for point, (x, y) in zip(kept, xy.tolist(), strict=True)]
    _place_labels(canvas, axes, named, clean.tolist())
    return canvas


def _of_variance(share: float) -> str:
    """A share of the variance; what is nearly nothing or nearly all is not rounded to it."""
    if 0 < share < 0.001:
        return "less than 0.1%"
    if 0.9995 <= share < 1:
        return "over 99.9%"
    return f"{100 * share:.1f}%".replace(".0%", "%") if share < 0.01 or share > 0.99 else f"{100 * share:.0f}%"


def _overlapping(dots: NDArray[np.floating[Any]]) -> list[list[int]]:
    """The points, Float[point, 2] in pixels, whose marks overlap: groups of two and more, by their places."""
    near = np.linalg.norm(dots[:, None] - dots[None], axis=2) < _NEAR
    group = np.arange(len(dots))
    for one, other in np.argwhere(np.triu(near, 1)).tolist():
        group[group == group[other]] = group[one]
    return [found for each in np.unique(group) if len(found := np.flatnonzero(group == each).tolist()) > 1]


def _place_labels(canvas: Figure, axes: Axes, points: Sequence[tuple[str, float, float]], bold: Sequence[bool]) -> None:
    """A label beside each point that covers no other label and no point; a line leads to one that is far.

    Of points whose marks overlap each has a line to its middle, over the marks.
    Places are tried outwards, ring by ring; where nothing is free the place that covers least is taken.
    """
    from matplotlib.patheffects import withStroke

    if not points:
        return
    arrange(canvas)  # so that pixels are known
    axes.apply_aspect()
    dots = axes.transData.transform([(x, y) for _, x, y in points])
    frame = np.array(axes.get_window_extent().extents)
    room = np.where(np.array(bold), _GEM, _DOT)[:, None]
    taken = np.concatenate([dots - room, dots + room], axis=1)
    crowded = {each for group in _overlapping(dots) for each in group}
    for number, ((name, *_), (x, y), strong) in enumerate(zip(points, dots, bold, strict=True)):
        text = axes.text(0, 0, name, fontsize=9, fontweight="bold" if strong else "normal", zorder=6)
        text.set_path_effects([withStroke(linewidth=2.5, foreground="white")])
        guard_words(text)
        extent = text.get_window_extent()
        half = np.array([extent.width / 2 + 2, extent.height / 2 + 1])
        best, least = np.array([x, y]), math.inf
        for radius in range(_GEM + 2 if strong else _DOT + 1, 400, 9):
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
        ends = axes.transData.inverted().transform([(x, y), near])
        if number in crowded:
            (line,) = axes.plot(ends[:, 0], ends[:, 1], color="black", linewidth=0.8, zorder=5)
            line.set_path_effects([withStroke(linewidth=1.6, foreground="white")])
        elif math.dist(near, (x, y)) > 14:
            axes.plot(ends[:, 0], ends[:, 1], color="#777777", linewidth=0.7, zorder=2)


def _common(one: NDArray[np.floating[Any]], others: NDArray[np.floating[Any]]) -> float:
    """The area that a box (x0, y0, x1, y1) shares with others, Float[box, 4]."""
    sides = np.minimum(one[2:], others[:, 2:]) - np.maximum(one[:2], others[:, :2])
    return float(np.prod(np.maximum(sides, 0.0), axis=1).sum())


def effects_canvas(figure: EffectsFigure) -> Figure:
    """A row each: label, point with interval, numbers; the bound shaded behind all."""
    for row in figure.rows:
        if len(row) != 5:
            raise ValueError(f"the row {row!r} has {len(row)} parts, expected label, value, low, high, kind")
    random = [row for row in figure.rows if row[4] == "random"]
    random = random if len(random) > MOST_RANDOM_ROWS else []
    alone = [row for row in figure.rows if not random or row[4] != "random"]
    count = len(alone) + bool(random)
    labels = [textwrap.wrap(shorten(label, 96), 26) or [""] for label, *_ in alone]
    labels += [[f"{len(random)} random ones,", "a dot each"]] if random else []
    each = max(0.34, 0.17 * max(map(len, labels), default=1) + 0.12)
    axis = textwrap.wrap(one_line(figure.quantity), 62)
    canvas = new_sheet(WIDTH, each * max(count, 2) + (0.5 if random else 0.0) + 1.75 + 0.15 * len(axis), figure.foot)
    axes = canvas.add_subplot()
    low, high = _span(figure)
    edges = [edge for edge in (figure.bound_low, figure.bound_high) if is_number(edge)]
    if edges:
        left, right = figure.bound_low, figure.bound_high
        start, end = (left if is_number(left) else low, right if is_number(right) else high)
        for place in (place for place, row in enumerate(alone) if row[4] == "claimed"):  # the others are not judged
            axes.fill_between([start, end], place - 0.42, place + 0.42, color=SHADE, zorder=0, linewidth=0)
            axes.vlines(edges, place - 0.42, place + 0.42, color=CLAIMED, linewidth=1.4, zorder=1)
    for mark in (0.0, 1.0) if figure.percent else (0.0,):
        if low < mark < high:
            axes.axvline(mark, color="#777777", linewidth=0.9, zorder=0.5)
    for place, (_, value, lower, upper, kind) in enumerate(alone):
        colour = {"claimed": CLAIMED, "random": GREY}.get(kind, BLUE)
        if is_number(value):
            if is_number(lower) and is_number(upper):
                ends = [min(max(end, low), high) for end in (lower, upper)]
                axes.plot(ends, [place, place], color="black", linewidth=4.0, zorder=3)
                axes.plot(ends, [place, place], color=colour, linewidth=2.4, zorder=3.1)
            style: Any = {"marker": "D" if kind == "claimed" else "o", "edgecolors": "black", "linewidths": 0.8}
            axes.scatter([value], [place], s=52, color=colour, zorder=4, **style)
        _number(axes, place, _told(value, lower, upper, kind, figure.percent))
    if random:
        values = np.array([row[1] for row in random if is_number(row[1])])
        _swarm(axes, values, len(alone), low, high)
        if len(values):
            parts = [_value(number, figure.percent) for number in (np.median(values), values.min(), values.max())]
            _number(axes, len(alone), f"median {parts[0]}\n{parts[1]} to {parts[2]}")
    axes.set(xlim=(low, high), ylim=(max(count, 1) - (0.25 if random else 0.4), -0.6))
    axes.set_yticks(range(count), ["\n".join(parts) for parts in labels], fontsize=9)
    axes.tick_params(axis="x", labelsize=8)
    axes.tick_params(axis="y", length=0, pad=4)
    guard_words(*axes.get_yticklabels())
    if figure.percent:
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%")
    axes.locator_params(axis="x", nbins=6)
    axes.grid(axis="x", color="#eeeeee", zorder=-1)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    if figure.quantity:
        guard_words(axes.set_xlabel("\n".join(axis), fontsize=9, linespacing=1.1))
    told = any(is_number(low) and is_number(high) and kind != "random" for *_, low, high, kind in figure.rows)
    brackets = "interval in brackets" if told else ""
    put_title(canvas, figure.title, "; ".join(part for part in (figure.detail, brackets) if part), WIDTH)
    if edges:
        held = patch_entry(f"the bound: {figure.bound_words or _bound(figure)}")
        held.set(facecolor=SHADE, edgecolor=CLAIMED)
        put_legend(canvas, [held])
    return canvas


def _span(figure: EffectsFigure) -> tuple[float, float]:
    """The x axis: every number that is shown, the bound, and nothing (0)."""
    found = [number for _, value, low, high, _ in figure.rows for number in (value, low, high)]
    found += [figure.bound_low, figure.bound_high]
    finite = [float(number) for number in found if is_number(number)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    low, high = min(low, 0.0), max(high, 0.0)
    if figure.percent and high > 0.5:
        high = max(high, 1.0)  # where there are shares of a whole, the whole is seen
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
    return f"{100 * value:z.1f}".removesuffix(".0") + "%" if percent else f"{value:z.3g}"  # z: no minus before 0


def _told(value: float | None, low: float | None, high: float | None, kind: str, percent: bool) -> str:
    if not is_number(value):
        return "no number"
    text = _value(value, percent)
    if not is_number(low) or not is_number(high):
        return text
    ends = _value(low, percent), _value(high, percent)
    return f"{text}\n{ends[0]} to {ends[1]}" if kind == "random" else f"{text}\n[{ends[0]}, {ends[1]}]"


def _bound(figure: EffectsFigure) -> str:
    ends = (figure.bound_low, figure.bound_high)
    low, high = (_value(end, figure.percent) if is_number(end) else None for end in ends)
    if low is not None and high is not None:
        return f"{low} to {high}"
    return f"at least {low}" if low is not None else f"at most {high}"
