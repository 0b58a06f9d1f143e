"""Figures: the outline of cells, determinism, odd tokens and sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from circuits.report.ablation_figures import AblationFigure, ablation_canvas
from circuits.report.drawing import draw
from circuits.report.figures import (
    AttentionFigure,
    ScoreFigure,
    attention_canvas,
    boundary_edges,
    score_canvas,
)
from circuits.report.placing import arrange
from circuits.report.rank_figures import RankFigure, counts, rank_canvas
from circuits.report.sheet import CLAIMED, COMPARED

PNG = b"\x89PNG\r\n\x1a\n"
ODD = ("<|endoftext|>", "$x$", "日本", "\n", "\\frac{", "a_b^c", "🙂", "\x00", "", " ")


def attention(count: int, **more: Any) -> AttentionFigure:
    mean = np.tril(np.ones((count, count))) / np.arange(1, count + 1)[:, None]
    cells = np.eye(count, k=-1, dtype=bool)
    labels = tuple(ODD[k % len(ODD)] for k in range(count))
    values: dict[str, Any] = {
        "head": "6.9", "mean": mean, "labels": labels, "cells": cells, "other_cells": np.eye(count, k=-2, dtype=bool),
        "n": 64, "title": "Costs $5 and $6_", "cells_label": "any -> n-1", "other_label": "any -> n-2",
    }  # fmt: skip
    return AttentionFigure(**{**values, **more})


def score(layers: int = 4, heads: int = 3, **more: Any) -> ScoreFigure:
    grid = np.linspace(0, 1, layers * heads).reshape(layers, heads)
    values: dict[str, Any] = {
        "name": "induction", "values": grid, "claimed": ((layers - 1, heads - 1),), "bound": "at_least 50%",
        "title": "An induction head", "n": 8,
    }  # fmt: skip
    return ScoreFigure(**{**values, **more})


@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9)))
def test_outline_is_exactly_the_edges_between_inside_and_outside(cells: np.ndarray) -> None:
    """Cutting the segments into unit edges gives every edge with one side in the set, once each."""
    rows, columns = cells.shape

    def inside(row: int, column: int) -> bool:
        return 0 <= row < rows and 0 <= column < columns and bool(cells[row, column])

    expected = set()
    for row in range(rows + 1):
        for column in range(columns + 1):
            if inside(row, column) != inside(row - 1, column):
                expected.add(((column, row), (column + 1, row)))
            if inside(row, column) != inside(row, column - 1):
                expected.add(((column, row), (column, row + 1)))
    found = []
    for (x0, y0), (x1, y1) in boundary_edges(cells):
        assert (x0 == x1) != (y0 == y1), "a segment is straight and has a length"
        found += [((x, y0), (x + 1, y0)) for x in range(x0, x1)] + [((x0, y), (x0, y + 1)) for y in range(y0, y1)]
    assert len(found) == len(set(found))
    assert set(found) == expected


def test_adjacent_cells_share_one_outline() -> None:
    """A row of three cells is one rectangle of four segments, without lines between the cells."""
    cells = np.zeros((3, 5), dtype=bool)
    cells[1, 1:4] = True
    assert sorted(boundary_edges(cells)) == [
        ((1, 1), (1, 2)),
        ((1, 1), (4, 1)),
        ((1, 2), (4, 2)),
        ((4, 1), (4, 2)),
    ]


@pytest.mark.parametrize(
    "figure",
    [
        attention(6),
        score(),
        AblationFigure(np.arange(9.0), np.arange(9.0) / 2, "logit_diff", "t"),
        AblationFigure(np.full(9, 13.0), np.zeros(9), "logit_diff", "t"),
        AblationFigure(
            np.arange(9.0), np.zeros(9), "logit_diff", "t", others=((3.0, 3.1), (3.0, 9.9)), others_on=", first 8"
        ),
        RankFigure(np.ones(9), np.arange(1.0, 10.0), "t", (("1", 8),), lost=(8, 9)),
    ],
)
def test_same_figure_gives_the_same_bytes(tmp_path: Path, figure: Any) -> None:
    """A figure is a PNG without date or software, whatever the user's matplotlib settings are."""
    import matplotlib

    draw(figure, tmp_path / "figures" / "a.png")
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "savefig.dpi": 10}):
        draw(figure, tmp_path / "b.png")
        assert matplotlib.rcParams["font.size"] == 30, "the user's settings are left alone"
    first = (tmp_path / "figures" / "a.png").read_bytes()
    assert first.startswith(PNG)
    assert first == (tmp_path / "b.png").read_bytes()
    assert b"matplotlib" not in first
    assert b"tEXt" not in first
    assert b"tIME" not in first


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "figure",
    [
        attention(1, other_cells=None),
        attention(110),
        attention(12, cells=np.zeros((12, 12), dtype=bool), other_cells=None, mean=np.full((12, 12), np.nan)),
        score(40, 32),
        score(2, 2, claimed=(), bound=None, values=np.array([[np.nan, -0.5], [2.0, 0.1]])),
        score(
            3,
            8,
            claimed=tuple((1, head) for head in range(8)),
            bound="between -10% and 10%",
            values=np.full((3, 8), np.nan),
        ),
        AblationFigure(np.array([]), np.array([]), "kl", "none"),
        AblationFigure(np.array([np.nan, 1.0]), np.array([1.0, 1.0]), "$a", "$one$"),
        AblationFigure(np.array([1.0, 0.0] * 20), np.zeros(40), "top1", "few distinct pairs"),
        AblationFigure(np.zeros(40), np.zeros(40), "$top1", "no value but nothing", "$alone", "$one$"),
        AblationFigure(np.full(3, 1e9), np.full(3, -1e-9), "m", "far apart"),
        RankFigure(np.array([]), np.array([]), "none"),
        RankFigure(np.array([np.nan, 1.0]), np.array([3.0, 50000.0]), "$a", ((" $", 1), ("\n", 2))),
    ],
    ids=lambda figure: type(figure).__name__,
)
def test_extreme_figures_are_drawn_without_a_warning(tmp_path: Path, figure: Any) -> None:
    """Odd tokens, NaN, empty sets and large models neither crash nor warn."""
    draw(figure, tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes().startswith(PNG)


def test_upper_triangle_is_white_and_zero_is_not(tmp_path: Path) -> None:
    """A masked cell is white paper, a visible 0 is the dark end of the map."""
    from PIL import Image

    mean = np.zeros((8, 8))
    draw(
        attention(8, mean=mean, cells=np.zeros((8, 8), dtype=bool), other_cells=None, labels=("a",) * 8),
        tmp_path / "x.png",
    )
    pixels = np.asarray(Image.open(tmp_path / "x.png").convert("RGB")).astype(int)
    zero = np.abs(pixels - np.array([68, 1, 84])).sum(axis=2) < 12  # viridis at 0
    rows, columns = np.nonzero(zero)
    # dark cells fill the 36 of 64 cells on and below the diagonal, and no cell above it
    box = zero[rows.min() : rows.max() + 1, columns.min() : np.flatnonzero(zero[rows.max() - 3])[-1] + 1]
    side = box.shape[0] / 8
    centres = [
        [bool(box[int((r + 0.5) * side), min(int((c + 0.5) * side), box.shape[1] - 1)]) for c in range(8)]
        for r in range(8)
    ]
    assert np.array_equal(np.array(centres), np.tril(np.ones((8, 8), dtype=bool)))


@pytest.mark.parametrize(
    ("figure", "message"),
    [
        (attention(4, labels=("a",)), "1 labels for 4 positions"),
        (attention(4, cells=np.zeros((3, 4), dtype=bool)), r"cells has shape \(3, 4\), expected \(4, 4\)"),
        (score(values=np.zeros(3)), "expected layer x head"),
        (AblationFigure(np.zeros(2), np.zeros(3), "m", "t"), "expected one value a prompt in both"),
        (RankFigure(np.ones(2), np.ones(3), "t"), "expected one rank a prompt in both"),
    ],
)
def test_shapes_that_do_not_fit_are_errors(tmp_path: Path, figure: Any, message: str) -> None:
    """A figure whose arrays disagree is refused and nothing is written."""
    with pytest.raises(ValueError, match=message):
        draw(figure, tmp_path / "x.png")
    assert not (tmp_path / "x.png").exists()


@given(st.integers(2, 12))
def test_outline_of_a_triangle_is_closed(count: int) -> None:
    """The outline of a whole lower triangle is closed: every corner is met by an even number of edge ends."""
    ends: dict[tuple[int, int], int] = {}
    for start, end in boundary_edges(np.tril(np.ones((count, count), dtype=bool))):
        for corner in (start, end):
            ends[corner] = ends.get(corner, 0) + 1
    assert all(number % 2 == 0 for number in ends.values())


def test_ranks_are_counted_in_the_rows_of_the_figure() -> None:
    """Counted by hand: first and last rank of a row belong to it, and a rank that is not there to none."""
    ranks = np.array([1, 1, 2, 3, 4, 5, 6, 10, 11, 100, 101, 1000, 1001, 31518, np.nan])
    assert counts(ranks) == [2, 1, 1, 2, 2, 2, 2, 2]
    assert sum(counts(ranks)) == np.isfinite(ranks).sum()


@pytest.mark.parametrize(
    ("clean", "ablated"),
    [([13.0, 13.5] * 16, [18.0] * 32), ([18.0] * 32, [13.0, 13.5] * 16), (range(40), range(39, -1, -1))],
)
def test_no_prompt_of_an_ablation_lies_under_the_legend(clean: Any, ablated: Any) -> None:
    """Whichever corner the prompts are in, what the marks mean is said below the axes and their numbers."""
    figure = ablation_canvas(AblationFigure(np.array(clean), np.array(ablated), "logit_diff", "t"))
    arrange(figure)
    (axes,), (legend,) = figure.axes, figure.legends
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    around = axes.get_tightbbox(renderer)
    assert around is not None
    assert legend.get_window_extent(renderer).y1 <= around.y0
    assert legend.get_window_extent(renderer).y0 >= 0
    assert axes.get_legend() is None


def test_both_axes_of_an_ablation_name_their_run_and_the_metric_in_words() -> None:
    """Across stands the run that the ablated one is compared with, be it the clean model or a circuit alone."""
    about = AblationFigure(np.arange(3.0), np.zeros(3), "prob_diff", "t", "circuit alone", "probability of right $ones")
    (axes,) = ablation_canvas(about).axes
    assert axes.get_xlabel() == "prob_diff, circuit alone:\nprobability of right $ones"
    assert axes.get_ylabel() == "prob_diff, ablated:\nprobability of right $ones"
    (axes,) = ablation_canvas(AblationFigure(np.arange(3.0), np.zeros(3), "mine", "t")).axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("mine, clean", "mine, ablated")


@pytest.mark.parametrize("spread", [0.0, 1e-6])
def test_prompts_that_all_have_one_value_are_told_and_not_scattered(spread: float) -> None:
    """Where nothing differs but by rounding there is a row for each run with "every prompt" and the value, and no cloud."""
    off = spread * np.linspace(-1, 1, 32)
    canvas = ablation_canvas(AblationFigure(13.0 + off, -5.0 - off, "logit_diff", "t", meaning="difference"))
    (axes,) = canvas.axes
    assert [text.get_text() for text in axes.texts] == ["every prompt: 13", "every prompt: -5"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["clean", "ablated"]
    drawn = [dots.get_offsets().tolist() for dots in axes.collections]
    assert drawn == [[[pytest.approx(13.0), 0.0]], [[pytest.approx(-5.0), 1.0]]]
    assert axes.get_xlim()[0] < -5 < 0 < 13 < axes.get_xlim()[1]
    assert "32 prompts; all have the same two values" in canvas._suptitle.get_text()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("ablated", "told"),
    [
        (np.linspace(1e-5, 9e-5, 32), "every prompt: 1e-05 to 9e-05"),
        (np.full(32, 1.03e-5), "every prompt: 1.03e-05"),
        (np.linspace(1e-44, 1e-43, 32), "every prompt: 0"),
    ],
)
def test_no_value_is_said_of_every_prompt_that_some_have_not(ablated: np.ndarray, told: str) -> None:
    """Small values beside a large one lie on one point of the figure and may differ: their ends are told then."""
    canvas = ablation_canvas(AblationFigure(np.full(32, 0.999), ablated, "answer_prob", "t"))
    assert [text.get_text() for text in canvas.axes[0].texts] == ["every prompt: 0.999", told]
    differ = "differ by less than can be drawn" in canvas._suptitle.get_text()  # type: ignore[attr-defined]
    assert differ == (" to " in told)


def test_prompts_that_differ_by_rounding_are_counted_as_one_dot() -> None:
    """Two values of 24 and 8 prompts are two dots with these numbers, though no two floats are equal."""
    clean = np.array([4.2] * 8 + [6.8] * 24) + np.linspace(0, 1e-6, 32)
    canvas = ablation_canvas(AblationFigure(clean, clean + 1.8, "loss", "t"))
    (axes,) = canvas.axes
    assert [text.get_text() for text in axes.texts] == ["8", "24"]
    assert axes.collections[0].get_offsets().shape == (2, 2)


def outlined(axes: Any, colour: str) -> set[tuple[int, int]]:
    """The cells (row, column) that lines of a colour run around, one outline each."""
    from matplotlib.collections import LineCollection
    from matplotlib.colors import to_rgba

    lines = [
        c for c in axes.collections if isinstance(c, LineCollection) and tuple(c.get_colors()[0]) == to_rgba(colour)
    ]  # type: ignore[attr-defined]
    corners = np.array([end for line in lines for segment in line.get_segments() for end in segment])
    cells = {(int(y + 0.5), int(x + 0.5)) for x, y in corners}
    return {(row, column) for row, column in cells if {(row + 1, column), (row, column + 1)} <= cells}


def test_the_claimed_head_is_told_apart_from_the_highest() -> None:
    """The claimed head has the claim's colour, those beside it another one with its own words; all are named with their values."""
    values = np.zeros((6, 5))
    values[1, 1], values[3, 3], values[5, 0] = 0.25, 0.5, 0.75
    figure = score(values=values, claimed=((1, 1),), beside=((3, 3), (5, 0)), why_beside="the 2 highest", bound="top 2")
    canvas = score_canvas(figure)
    (axes,) = canvas.axes
    assert outlined(axes, CLAIMED) == {(1, 1)}
    assert outlined(axes, COMPARED) == {(3, 3), (5, 0)}
    assert [text.get_text() for text in canvas.legends[0].get_texts()] == ["claimed (top 2)", "the 2 highest"]
    assert [text.get_text().strip() for text in axes.texts] == ["1.1: 0.25", "3.3: 0.5", "5.0: 0.75"]


@pytest.mark.parametrize(
    ("bound", "claimed", "marks", "told"),
    [
        ("at_least 0.5", ((1, 1),), [0.5], "claimed (at least 0.5: the line on the scale)"),
        ("between 25% and 50%", ((1, 1),), [0.25, 0.5], "claimed (between 25% and 50%: the line on the scale)"),
        ("at_most 40", ((1, 1),), [], "claimed (at most 40)"),
        ("top 1", ((1, 1),), [], "claimed (top 1)"),
        ("at_least 0.5", (), [0.5], "the bound (at least 0.5: the line on the scale)"),
    ],
)
def test_the_line_on_the_scale_is_explained(
    bound: str, claimed: tuple[tuple[int, int], ...], marks: list[float], told: str
) -> None:
    """The legend says that the bound is the line on the scale where there is one, in words and not as YAML has it."""
    values = np.array([[0.0, 2.0], [0.1, 0.2]])
    canvas = score_canvas(score(values=values, claimed=claimed, bound=bound))
    (axes,) = canvas.axes
    (scale,) = [artist for artist in axes.artists if type(artist).__name__ == "Scale"]
    assert scale.marked == marks
    assert [text.get_text() for text in canvas.legends[0].get_texts()] == [told]


@pytest.mark.parametrize("count", [2, 12, 18, 24, 30])
def test_tokens_of_a_pattern_can_be_read_on_a_phone(count: int) -> None:
    """On a screen 358 pixels wide letters are 6 pixels high and more, and no two rows of labels touch."""
    canvas = attention_canvas(attention(count, labels=("Stephen ‹name›",) * count))
    arrange(canvas)
    (axes,) = canvas.axes
    words = [artist for artist in axes.artists if type(artist).__name__ == "TickWords"]
    letters = words[1].size * canvas.dpi / 72
    assert letters * 358 / canvas.bbox.width > 6
    axes.apply_aspect()
    assert axes.get_window_extent().height / count > 1.05 * letters


def test_a_legend_says_what_is_compared_and_not_drawn() -> None:
    """The other head of a comparison is in the legend, with nothing beside it that could be looked for in the map."""
    words = "compared with any -> n-1 of head 9.2: not drawn here"
    canvas = attention_canvas(attention(6, labels=("a",) * 6, other_cells=None, elsewhere=words))
    legend = canvas.legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["any -> n-1", words]
    assert [line.get_linestyle() for line in legend.get_lines()] == ["-", "None"]


def test_tokens_that_came_first_are_counted_on_prompts_that_are_named() -> None:
    """They are counted where the run before had the answer, be that the clean model or a circuit alone."""
    ranks = np.array([1.0] * 24 + [2.0] * 8), np.array([1.0] * 5 + [2.0] * 27)
    figure = RankFigure(*ranks, "t", (("1", 14), (" his", 5)), "circuit alone", 1, (19, 24))
    canvas = rank_canvas(figure)
    told = (
        "32 prompts; median rank 1, ablated 2; 19 of the 24 answers that were first no longer are: now '1' 14, ' his' 5"
    )
    assert " ".join(canvas._suptitle.get_text().split()) == f"t {told}"  # type: ignore[attr-defined]
    assert [text.get_text() for text in canvas.legends[0].get_texts()] == ["circuit alone", "ablated"]
    five = rank_canvas(RankFigure(*ranks, "t", (("1", 19),), first=5, lost=(19, 30)))
    title = " ".join(five._suptitle.get_text().split())  # type: ignore[attr-defined]
    assert "19 of the 30 answers that were among the first 5 no longer are: now '1' 19" in title
    assert "no longer" not in rank_canvas(RankFigure(*ranks, "t"))._suptitle.get_text()  # type: ignore[attr-defined]


def test_the_title_of_ranks_has_three_lines_at_most() -> None:
    """With the longest names of components, many tokens and large counts; the page's table has the other tokens."""
    ranks = np.ones(256), np.full(256, 12.0)
    title = "Answer's rank without 26.1, 28.6 and 15 more heads (mean) on numerals"
    canvas = rank_canvas(
        RankFigure(*ranks, title, tuple((f"token{k}", 50) for k in range(6)), first=1, lost=(249, 249))
    )
    lines = canvas._suptitle.get_text().split("\n")  # type: ignore[attr-defined]
    assert len(lines) <= 3, lines
    assert lines[-1].endswith(" and others")
