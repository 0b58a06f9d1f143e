"""Where a head looks: by distance and from class to class; and a lesson in telling offsets from induction.

Drawn like ``figures``: plain data in, a PNG that depends on nothing else out. They are 6.4 inches wide with parts
below each other, not beside: shrunk to a phone's width their words stay about 7 pixels high.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from circuits.report.scales import put_ticks
from circuits.report.sheet import (
    BLUE,
    CLAIMED,
    FRAMED,
    MAP,
    SHADE,
    WIDTH,
    guard_words,
    new_sheet,
    patch_entry,
    put_legend,
    put_title,
    round_up,
    shorten,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_DISTANCES = 40
"""How many bars have room. Of a longer profile the first distances are drawn, and what matters behind a broken axis."""
_LEAST_NEAR, _AROUND, _BREAK = (
    10,
    2,
    1.5,
)  # bars before the first break, on both sides of a far one, and a break's width
_WORTH_TELLING = 0.05


@dataclass(frozen=True)
class ProfileFigure:
    """Where a head looks: attention by distance, and from class to class. Claimed distances and the largest value are drawn.

    ``offsets``: Float[distance], 0 to 1 (0 = the query itself; BOS kept out); ``bos``: the share of BOS,
    None without it. ``matrix``: Float[class, class], [query, key], NaN = no such query. ``marked``: the
    distances that the claim is about. ``n`` prompts. ``foot``: see ``new_sheet``.
    """

    head: str
    offsets: NDArray[np.floating[Any]]
    bos: float | None
    classes: tuple[str, ...]
    matrix: NDArray[np.floating[Any]]
    n: int
    title: str
    marked: tuple[int, ...] = ()
    foot: str = ""


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


def profile_canvas(figure: ProfileFigure) -> Figure:
    """Bars by distance above, the class-to-class table below."""
    offsets, matrix = np.asarray(figure.offsets, dtype=float), np.asarray(figure.matrix, dtype=float)
    if offsets.ndim != 1:
        raise ValueError(f"offsets has shape {offsets.shape}, expected one value a distance")
    count = len(figure.classes)
    if matrix.shape != (count, count):
        raise ValueError(f"matrix has shape {matrix.shape}, expected {(count, count)}: query class x key class")
    across, down = float(np.clip(4.6 / max(count, 1), 0.38, 1.2)), 0.38
    names = [shorten(name, 16) for name in figure.classes]
    longest = 0.08 * max((len(name) for name in names), default=0)
    table = down * max(count, 1) + (longest if longest > across else 0.1) + 0.8
    canvas = new_sheet(WIDTH, 2.8 + table + 0.7, figure.foot)
    bars, grid = canvas.subplots(2, 1, gridspec_kw={"height_ratios": [2.8, table]})
    _bars(bars, offsets, figure.marked, (), _ceiling([offsets]), _stretches([(offsets, figure.marked)]))
    bars.set_title("mean attention by distance", fontsize=9.5, loc="left")
    claimed = [_told_distance(offsets, distance) for distance in sorted(set(figure.marked))]
    if claimed:
        more = f" and {len(claimed) - 2} more" if len(claimed) > 3 else ""
        words = "claimed: " + ", ".join(claimed[: 2 if more else 3]) + more
        place: Any = {"loc": "lower right", "bbox_to_anchor": (1.0, 0.99), "borderaxespad": 0.1, "handlelength": 1.2}
        guard_words(*bars.legend(handles=[patch_entry(words)], fontsize=8.5, frameon=False, **place).get_texts())
    _table(grid, names, matrix, longest > across, down / across)
    detail = f"head {figure.head}, {figure.n} prompt{'s' if figure.n != 1 else ''}"
    if figure.bos is not None:
        shown = f"{figure.bos:.2f}" if math.isfinite(figure.bos) else "not a number"
        detail += f"; to BOS, which is not among the bars: {shown}"
    put_title(canvas, figure.title, detail, WIDTH)
    return canvas


def _told_distance(offsets: NDArray[np.floating[Any]], distance: int) -> str:
    known = 0 <= distance < len(offsets) and np.isfinite(offsets[distance])
    return (f"n-{distance}" if distance else "self") + (f" ({offsets[distance]:.2f})" if known else " (no value)")


def _ceiling(all_offsets: Sequence[NDArray[np.floating[Any]]]) -> float:
    """The top of the bars' axis, with room for a number above the highest."""
    highest = [float(np.nanmax(one)) for one in all_offsets if np.isfinite(one).any()]
    return 1.13 * round_up(max(highest, default=0.0))


def _largest(offsets: NDArray[np.floating[Any]]) -> list[int]:
    """The distances with the largest values: up to four that are worth telling, the largest of all in any case."""
    known = np.nan_to_num(offsets, nan=-1.0)
    ordered = np.argsort(-known, kind="stable")[:4].tolist()
    return [d for place, d in enumerate(ordered) if known[d] >= (0.0 if place == 0 else _WORTH_TELLING)]


def _stretches(profiles: Sequence[tuple[NDArray[np.floating[Any]], Sequence[int]]]) -> tuple[range, ...]:
    """The distances that one axis shows of some profiles, each with its claimed distances; between two stretches it is broken.

    Without a break where all have room, else the first ones, and around each far one that is claimed or among the
    largest a few more: a peak that a claim is about is seen, however far it lies.
    """
    count = max((len(offsets) for offsets, _ in profiles), default=0)
    if count <= MOST_DISTANCES:
        return (range(max(5, count)),)
    wanted = {d for offsets, marked in profiles for d in (*marked, *_largest(offsets)) if 0 <= d < count}
    around = {d for each in wanted for d in range(max(each - _AROUND, 0), min(each + _AROUND + 1, count))}
    for near in range(MOST_DISTANCES, _LEAST_NEAR - 1, -1):
        found = _runs(around | {*range(near)})
        if sum(map(len, found)) + _BREAK * (len(found) - 1) <= MOST_DISTANCES:
            break
    return tuple(found)


def _runs(distances: set[int]) -> list[range]:
    """Sorted numbers as runs; a gap that is no longer than a break is filled."""
    found: list[range] = []
    for each in sorted(distances):
        if found and each - found[-1].stop <= _BREAK:
            found[-1] = range(found[-1].start, each + 1)
        else:
            found.append(range(each, each + 1))
    return found


def _bars(
    axes: Axes,
    offsets: NDArray[np.floating[Any]],
    marked: Sequence[int],
    rival: Sequence[int],
    top: float,
    stretches: Sequence[range],
) -> None:
    """Bars of mean attention by distance; claimed distances in the claim's colour on a band, rival ones framed.

    ``stretches``: the distances that the axis is made for (``_stretches``).
    """
    from matplotlib.patheffects import withStroke

    place, breaks = _places(stretches)
    end = max(place.values()) + 1
    for distance in sorted({d for d in (*marked, *rival) if d in place}):
        if distance in marked:
            axes.axvspan(place[distance] - 0.5, place[distance] + 0.5, color=SHADE, zorder=0, linewidth=0)
        if distance in rival:
            axes.axvspan(place[distance] - 0.5, place[distance] + 0.5, zorder=3, **FRAMED)
    values = np.nan_to_num(offsets, nan=0.0)
    shown = [distance for distance in place if distance < len(offsets)]
    colours = [CLAIMED if distance in marked else BLUE for distance in shown]
    axes.bar([place[d] for d in shown], [values[d] for d in shown], width=0.78, color=colours, zorder=2)
    told = {d for d in (*marked, *rival) if d in shown and np.isfinite(offsets[d])}
    told |= {d for d in _largest(offsets) if d in shown and values[d] >= _WORTH_TELLING}
    written: list[int] = []
    for distance in sorted(told, key=lambda d: (d not in marked, -values[d])):
        beside = [d for d in written if abs(place[d] - place[distance]) * 600 / end < 34]  # pixels that a number takes
        if all(abs(values[d] - values[distance]) > 0.09 * top for d in beside):
            number: Any = {"textcoords": "offset points", "ha": "center", "fontsize": 8, "zorder": 5}
            text = axes.annotate(f"{values[distance]:.2f}", (place[distance], values[distance]), (0, 1.5), **number)
            text.set_path_effects([withStroke(linewidth=2.0, foreground="white")])
            written.append(distance)
    wanted = sorted({*marked, *rival, *_largest(offsets)} & {*shown}, key=lambda d: (-values[d], d))
    named = _named_distances(place, wanted)
    put_ticks(axes, "x", [place[d] for d in named], [str(d) for d in named], 8)
    axes.set(xlim=(-0.7, end - 0.3), ylim=(0, top))
    axes.tick_params(labelsize=8, length=2, pad=2)
    axes.grid(axis="y", color="#e6e6e6", zorder=-1)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    for middle in breaks:
        _break_axis(axes, middle)
    words = "tokens back from the query (0 = itself)"
    hidden = [d for d in range(len(offsets)) if d not in place]
    if hidden and np.isfinite(offsets[hidden]).any():
        most = hidden[int(np.nanargmax(offsets[hidden]))]
        gaps = _runs({*hidden})
        ends = [f"{gap.start} to {gap.stop - 1}" if len(gap) > 1 else f"{gap.start}" for gap in gaps]
        runs = " and ".join(ends) if len(ends) <= 3 else f"{len(hidden)} distances"
        told_most = f"at most {offsets[most]:.2f} (at {most})" if offsets[most] >= 0.005 else "each below 0.005"
        words += f"\nnot drawn ({runs}): {told_most}"
    axes.set_xlabel(words, fontsize=9)
    axes.set_ylabel("mean attention", fontsize=9)


def _places(stretches: Sequence[range]) -> tuple[dict[int, float], list[float]]:
    """Where each distance stands on the axis, and the middle of each break."""
    found: dict[int, float] = {}
    breaks: list[float] = []
    start = 0.0
    for number, stretch in enumerate(stretches):
        if number:
            breaks.append(start - 0.5 + _BREAK / 2)
            start += _BREAK
        found |= {distance: start + k for k, distance in enumerate(stretch)}
        start += len(stretch)
    return found, breaks


def _named_distances(place: dict[int, float], wanted: Sequence[int]) -> list[int]:
    """The distances whose number stands below the axis: all where they have room, else every fifth, and those wanted far ones.

    ``wanted``: those named first come first where two are too near each other.
    """
    if len(place) <= 24:
        return list(place)
    named: list[int] = []
    narrow = max(1.0, max(place.values()) / MOST_DISTANCES)
    for distance in [*(d for d in wanted if place[d] != d), *(d for d in place if d % 5 == 0)]:
        apart = narrow * (2.0 if distance < 100 else 2.6)
        if all(abs(place[distance] - place[other]) >= apart for other in named):
            named.append(distance)
    return sorted(named)


def _break_axis(axes: Axes, middle: float) -> None:
    """Two strokes across the axis, which is left out between them, and so is what lies above."""
    low, high = middle - _BREAK / 4, middle + _BREAK / 4
    axes.axvspan(low, high, color="white", zorder=1, linewidth=0)
    across: Any = {"transform": axes.get_xaxis_transform(), "clip_on": False}
    axes.plot([low, high], [0, 0], color="white", linewidth=2.4, zorder=2.6, **across)
    for end in (low, high):
        axes.plot([end - 0.18, end + 0.18], [-0.025, 0.025], color="black", linewidth=0.9, zorder=2.7, **across)


def _table(axes: Axes, names: Sequence[str], matrix: NDArray[np.floating[Any]], turned: bool, aspect: float) -> None:
    """Query classes in rows, key classes in columns, the shares written in the cells."""
    import matplotlib

    axes.set_title("from class (rows: query) to class (columns: key); a row sums to 1", fontsize=9.5, loc="left")
    shown = np.ma.masked_invalid(matrix)
    top = round_up(float(shown.max()) if shown.count() else 0.0)
    colours = matplotlib.colormaps[MAP].with_extremes(bad="#d9d9d9")
    if len(names):
        axes.imshow(shown, cmap=colours, vmin=0.0, vmax=top, interpolation="nearest", aspect=aspect)
    axes.set_anchor("NW")
    for (row, column), value in np.ndenumerate(matrix):
        text = "–" if not np.isfinite(value) else f"{value:.2f}".lstrip("0") if value < 0.995 else "1"
        text = "0" if text == ".00" else text
        bright = not np.isfinite(value) or value > 0.55 * top
        look: Any = {"ha": "center", "va": "center", "fontsize": 9, "color": "black" if bright else "white"}
        axes.text(column, row, text, **look).set_in_layout(False)  # it lies within the axes
    put_ticks(axes, "x", range(len(names)), names, 9, turned)
    put_ticks(axes, "y", range(len(names)), names, 9)
    axes.set_xlabel("key" + ("    (other: all remaining tokens)" if "other" in names else ""), fontsize=9)
    axes.set_ylabel("query", fontsize=9)


def lesson_canvas(figure: LessonFigure) -> Figure:
    """One panel of bars for each prompt set, below each other with one scale."""
    panels = [np.asarray(panel.offsets, dtype=float) for panel in figure.panels]
    if not panels:
        raise ValueError("a lesson needs at least one panel")
    for panel, offsets in zip(figure.panels, panels, strict=True):
        if offsets.ndim != 1:
            raise ValueError(f"offsets of {panel.label!r} has shape {offsets.shape}, expected one value a distance")
    canvas = new_sheet(WIDTH, 1.75 * len(panels) + 1.3)
    top = _ceiling(panels)
    told = [(*panel.claimed, *panel.rival) for panel in figure.panels]
    stretches = _stretches(list(zip(panels, told, strict=True)))
    for place, (panel, offsets) in enumerate(zip(figure.panels, panels, strict=True)):
        axes = canvas.add_subplot(len(panels), 1, place + 1)
        _bars(axes, offsets, panel.claimed, panel.rival, top, stretches)
        verdict = "both expect the same" if {*panel.claimed} == {*panel.rival} else "they expect different distances"
        guard_words(axes.set_title(f"{shorten(panel.label, 52)}: {verdict}", fontsize=9.5, loc="left"))
        if place + 1 < len(panels):
            axes.set_xlabel("")
    put_legend(canvas, [patch_entry(figure.claimed_label), patch_entry(figure.rival_label, framed=True)])
    put_title(canvas, figure.title, f"head {figure.head}: mean attention by distance", WIDTH)
    return canvas
