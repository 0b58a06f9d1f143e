"""What an ablation does to every prompt: a metric before it against the metric after it."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from circuits.report.sheet import BLUE, CLAIMED, guard_words, new_sheet, one_line, put_title

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class AblationFigure:
    """A metric of every prompt without (``clean``) and with the ablation (``ablated``), both Float[prompt].

    ``before`` names the run without it: the clean model, or a circuit alone. ``meaning``: the metric in words.
    ``others``: the mean before and after with random parts ablated instead, a pair each; ``others_on``: on which prompts.
    """

    clean: NDArray[np.floating[Any]]
    ablated: NDArray[np.floating[Any]]
    metric: str
    title: str
    before: str = "clean"
    meaning: str = ""
    foot: str = ""
    others: tuple[tuple[float, float], ...] = ()
    others_on: str = ""


def ablation_canvas(figure: AblationFigure) -> Figure:
    """One dot a prompt, clean against ablated, with the line on which nothing changes.

    A scatter keeps every prompt's pair visible at n = 256, where the lines of a slope plot cover each
    other. Where few distinct pairs exist (0/1 metrics) the dots carry their counts; where all prompts have one pair
    there is nothing to scatter, and it is told (``_one_pair_canvas``).
    """
    clean, ablated = np.asarray(figure.clean, dtype=float), np.asarray(figure.ablated, dtype=float)
    if clean.shape != ablated.shape or clean.ndim != 1:
        raise ValueError(f"clean has shape {clean.shape}, ablated {ablated.shape}: expected one value a prompt in both")
    kept = np.isfinite(clean) & np.isfinite(ablated)
    dropped = int((~kept).sum())
    clean, ablated = clean[kept], ablated[kept]
    pairs, counts = _groups(clean, ablated)
    if len(clean) > 1 == len(pairs):
        return _one_pair_canvas(figure, clean, ablated, dropped)
    name, words = one_line(figure.metric), textwrap.wrap(one_line(figure.meaning), 56)
    canvas = new_sheet(6.4, 6.3 + 0.16 * len(words), figure.foot)
    axes = canvas.add_subplot()
    low, high = _range(np.concatenate([clean, ablated, *map(np.array, figure.others)]))
    axes.plot([low, high], [low, high], color="#555555", linewidth=1.0, linestyle="--", label="no change", zorder=1)
    if low < 0 < high:
        axes.axhline(0, color="#bbbbbb", linewidth=0.8, zorder=0)
        axes.axvline(0, color="#bbbbbb", linewidth=0.8, zorder=0)
    few = 0 < len(pairs) <= 9 < len(clean)
    blue, area = BLUE, 60 + 900 * counts / counts.max(initial=1) if few else 22
    shown = pairs if few else np.stack([clean, ablated], axis=1)
    axes.scatter(shown[:, 0], shown[:, 1], s=area, color=blue, alpha=0.75 if few else 0.55, linewidths=0, zorder=2)
    axes.scatter([], [], s=30, color=blue, label="prompts, with their number" if few else "one prompt")
    for (x, y), many in zip(pairs.tolist(), counts.tolist(), strict=True) if few else ():
        axes.annotate(str(many), (x, y), ha="center", va="center", fontsize=9, fontweight="bold", zorder=4)
    if len(clean):
        style: Any = {"s": 70, "marker": "D", "color": CLAIMED, "edgecolors": "black", "zorder": 5}
        axes.scatter([clean.mean()], [ablated.mean()], label="mean over prompts", **style)
    if figure.others:
        hollow: Any = {
            "s": 46,
            "marker": "D",
            "facecolors": "none",
            "edgecolors": "black",
            "linewidths": 1.1,
            "zorder": 4.5,
        }
        told = f"mean with random ones ablated instead ({len(figure.others)}){figure.others_on}"
        axes.scatter(*np.array(figure.others).T, label=told, **hollow)
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    across, up = (axes.set_xlabel(f"{name}, {one_line(figure.before)}"), axes.set_ylabel(f"{name}, ablated"))
    guard_words(across, up)
    for label in (across, up):
        label.set(text="\n".join([label.get_text() + ":" * bool(words), *words]), linespacing=1.1)
    axes.grid(color="#eeeeee", zorder=-1)
    axes.set_axisbelow(True)
    put_title(
        canvas, figure.title, f"{len(clean)} prompts{_skipped(dropped)}; below the line: the ablation lowers it", 6.4
    )
    canvas.legend(
        loc="lower center", ncols=2 if figure.others else 3, fontsize=8.5, frameon=False
    )  # below: there is data in every corner of some
    return canvas


def _skipped(dropped: int) -> str:
    return f", {dropped} without a value left out" if dropped else ""


def _one_pair_canvas(figure: AblationFigure, clean: Floats, ablated: Floats, dropped: int) -> Figure:
    """Two rows, before and ablated, each with the value of every prompt: a cloud of one point would only hide it."""
    pair, size = np.array([clean.mean(), ablated.mean()]), float(np.abs([clean, ablated]).max())
    told = [_every(values, size) for values in (clean, ablated)]
    alike = (
        "differ by less than can be drawn" if any(" to " in text for text in told) else "all have the same two values"
    )
    words = textwrap.wrap(one_line(f"{figure.metric}: {figure.meaning}" if figure.meaning else figure.metric), 62)
    canvas = new_sheet(6.4, 2.3 + 0.16 * len(words), figure.foot)
    axes = canvas.add_subplot()
    low, high = _range(np.array([0.0, *pair]))
    axes.axvline(0, color="#777777", linewidth=0.9, zorder=1)
    style: Any = {"s": 70, "edgecolors": "black", "linewidths": 0.8, "zorder": 4}
    for row, (value, text, colour) in enumerate(zip(pair.tolist(), told, (BLUE, CLAIMED), strict=True)):
        axes.plot([0, value], [row, row], color=colour, linewidth=2.4, zorder=2)
        axes.scatter([value], [row], color=colour, **style)
        place: Any = {"xycoords": ("axes fraction", "data"), "fontsize": 9, "va": "center", "ha": "left"}
        axes.annotate(f"every prompt: {text}", (1.015, row), annotation_clip=False, **place)
    axes.set(xlim=(low, high), ylim=(1.6, -0.6))
    axes.set_yticks([0, 1], [one_line(figure.before), "ablated"], fontsize=9)
    axes.tick_params(axis="x", labelsize=8)
    axes.tick_params(axis="y", length=0, pad=4)
    axes.grid(axis="x", color="#eeeeee", zorder=-1)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    guard_words(axes.set_xlabel("\n".join(words), fontsize=9, linespacing=1.1), *axes.get_yticklabels())
    put_title(canvas, figure.title, f"{len(clean)} prompts{_skipped(dropped)}; {alike}", 6.4)
    return canvas


def _every(values: Floats, size: float) -> str:
    """The value of all prompts, or its ends where its three digits would be wrong of some; ``size``: of the largest one drawn."""
    low, high = float(values.min()), float(values.max())
    if max(abs(low), abs(high)) <= 1e-6 * size:
        return "0"
    if high - low <= 1e-6 * max(abs(low), abs(high)) or f"{low:.3g}" == f"{high:.3g}":
        return f"{values.mean():z.3g}"
    return f"{low:z.3g} to {high:z.3g}"


def _groups(clean: Floats, ablated: Floats) -> tuple[Floats, NDArray[np.int_]]:
    """The distinct pairs and how many prompts have each; values that differ by rounding, or by less than can be seen, are one."""
    both = np.concatenate([clean, ablated])
    unit = max(np.ptp(both) / 1000, 1e-5 * np.abs(both).max()) if len(both) else 0.0
    places = np.stack([_runs_of(values, unit) for values in (clean, ablated)], axis=1)
    _, which, counts = np.unique(places, axis=0, return_inverse=True, return_counts=True)
    which = which.reshape(-1)
    sums = [np.bincount(which, weights=values, minlength=len(counts)) for values in (clean, ablated)]
    return np.stack(sums, axis=1) / counts[:, None], counts


def _runs_of(values: Floats, unit: float) -> NDArray[np.int_]:
    """The number of each value's run; a run ends where the next larger value is more than ``unit`` away."""
    order = np.argsort(values, kind="stable")
    found = np.zeros(len(values), dtype=int)
    found[order] = np.concatenate([[0], np.cumsum(np.diff(values[order]) > unit)])[: len(values)]
    return found


def _range(values: NDArray[np.floating[Any]]) -> tuple[float, float]:
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    margin = 0.07 * (high - low) or max(0.1, abs(high) * 0.1)
    low = min(low, 0.0) if low < 0.5 * (high - low) else low
    return low - margin, high + margin
