"""Where the answer stands among all tokens, before an ablation and after it: the rank shift of every prompt, counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from circuits.report.sheet import BLUE, CLAIMED, WIDTH, guard_words, new_sheet, one_line, put_title, shorten, unbroken

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = ((1, 1), (2, 2), (3, 3), (4, 5), (6, 10), (11, 100), (101, 1000), (1001, None))
"""Ranks that share a row, first and last: fine where a top-k check looks, coarse behind."""
_MOST_TOKENS = 3  # named in the title, which is to be short; the page's table has more


@dataclass(frozen=True)
class RankFigure:
    """The answer's rank on every prompt (1: the first choice), Float[prompt] each; NaN where there is none.

    ``before`` names the run beside which the ablated one stands. ``fell_to``: the tokens that the ablated run has first,
    with the number of prompts, on those whose answer the run before has among its first ``first`` and the ablated run has
    not; ``lost``: [m, n], m of the n that it has there (None: not told).
    """

    clean: NDArray[np.floating]
    ablated: NDArray[np.floating]
    title: str
    fell_to: tuple[tuple[str, int], ...] = ()
    before: str = "clean"
    first: int = 1
    lost: tuple[int, int] | None = None
    foot: str = ""


def counts(ranks: NDArray[np.floating]) -> list[int]:
    """How many prompts lie in each of ``BINS``."""
    return [int(((ranks >= low) & (ranks <= (np.inf if high is None else high))).sum()) for low, high in BINS]


def rank_canvas(figure: RankFigure) -> Figure:
    """Two bars a row of ranks: the prompts before, and after. Rows behind the last that holds a prompt are left out."""
    from matplotlib.ticker import MaxNLocator

    before, after = np.asarray(figure.clean, dtype=float), np.asarray(figure.ablated, dtype=float)
    if before.shape != after.shape or before.ndim != 1:
        raise ValueError(f"clean has shape {before.shape}, ablated {after.shape}: expected one rank a prompt in both")
    kept = np.isfinite(before) & np.isfinite(after)
    sides = {figure.before: counts(before[kept]), "ablated": counts(after[kept])}
    last = max((row for many in sides.values() for row, count in enumerate(many) if count), default=0)
    rows = range(max(last, 2) + 1)
    canvas = new_sheet(WIDTH, 0.5 * len(rows) + 1.9 + 0.17 * bool(figure.fell_to), figure.foot)
    axes = canvas.add_subplot()
    most = max(1, *(count for many in sides.values() for count in many))
    for side, ((name, many), colour) in enumerate(zip(sides.items(), (BLUE, CLAIMED), strict=True)):
        places = np.array(rows) + (side - 0.5) * 0.38
        axes.barh(
            places,
            [many[row] for row in rows],
            height=0.36,
            color=colour,
            edgecolor="black",
            linewidth=0.6,
            label=one_line(name),
        )
        for place, row in zip(places, rows, strict=True):
            axes.text(many[row] + 0.012 * most, place, str(many[row]), va="center", fontsize=8.5)
    axes.set_yticks(list(rows), [_name(*BINS[row]) for row in rows], fontsize=9)
    axes.set(ylim=(len(rows) - 0.4, -0.6), xlim=(0, 1.12 * most))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(axis="x", labelsize=8)
    axes.set_xlabel("prompts", fontsize=9)
    axes.set_ylabel("rank of the answer", fontsize=9)
    axes.grid(axis="x", color="#eeeeee", zorder=-1)
    axes.set_axisbelow(True)
    legend = canvas.legend(loc="lower center", ncols=2, fontsize=8.5, frameon=False)
    guard_words(*legend.get_texts())
    put_title(canvas, figure.title, _detail(before[kept], after[kept], figure, int((~kept).sum())), WIDTH)
    return canvas


def _name(low: int, high: int | None) -> str:
    if high is None:
        return f"over {low - 1}"
    return str(low) if low == high else f"{low} to {high}"


def _detail(before: NDArray[np.floating], after: NDArray[np.floating], figure: RankFigure, dropped: int) -> str:
    if not len(before):
        return "no prompt has a rank in both"
    parts = [f"{len(before)} prompts; median rank {np.median(before):g}, ablated {np.median(after):g}"]
    if figure.fell_to:
        tokens = [unbroken(f"{shorten(repr(token), 14)} {count}") for token, count in figure.fell_to[:_MOST_TOKENS]]
        told = ", ".join(tokens) + (" and others" if len(figure.fell_to) > _MOST_TOKENS else "")
        parts.append(f"{_lost(figure)}: now {told}")
    return "; ".join(parts) + (f"; {dropped} without a rank left out" if dropped else "")


def _lost(figure: RankFigure) -> str:
    """On which prompts the tokens of ``fell_to`` are counted; the legend says which run stands before."""
    there = "first" if figure.first == 1 else f"among the first {figure.first}"
    if figure.lost is None:
        return f"where the answer is no longer {there}"
    lost, had = figure.lost
    return f"{lost} of the {had} answers that were {there} no longer are"
