"""What figures are made of: letters, ticks and scales, and where they are placed."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_report_figures import attention, score
from test_report_profile_figures import effects, loss_map, profile, sheets_of

from circuits.report import ablation_figures, drawing, effect_figures, figures, profile_figures, rank_figures
from circuits.report.ablation_figures import AblationFigure
from circuits.report.drawing import draw
from circuits.report.figures import attention_canvas, score_canvas
from circuits.report.lettering import set_letters
from circuits.report.placing import FOOT, arrange
from circuits.report.rank_figures import RankFigure
from circuits.report.scales import round_numbers
from circuits.report.sheet import new_sheet, put_title, unbroken


def ink(text: str, angle: int, own: bool, **look: Any) -> tuple[tuple[int, ...], float]:
    """The box of what is drawn for a text (left, right, top, bottom in pixels), and how much ink it is."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    sheet = Figure(figsize=(4, 4), dpi=130)
    sheet.set_facecolor("white")
    canvas = FigureCanvasAgg(sheet)
    if own:
        set_letters(canvas.get_renderer())
    sheet.text(0.5, 0.5, text, rotation=angle, ha="center", va="center", parse_math=False, **look)
    canvas.draw()
    dark = 255 - np.asarray(canvas.buffer_rgba())[..., :3].astype(int).mean(axis=2)
    rows, columns = np.nonzero(dark > 60)
    return (columns.min(), columns.max(), rows.min(), rows.max()), float(dark.sum())


@pytest.mark.parametrize("angle", [0, 90])
@pytest.mark.parametrize(
    "text", ["Harry ‹S2›", "mean attention by distance", "any -> n-1 (gjpqy)", "Ä é Ж −0.25 …\n→ two lines"]
)
@pytest.mark.parametrize("look", [{"fontsize": 7.5}, {"fontsize": 12, "fontweight": "bold"}])
def test_letters_are_where_matplotlib_would_put_them(text: str, angle: int, look: dict[str, Any]) -> None:
    """Same place and size within a few pixels of rounding, and about as dark: also turned, bold and in two lines."""
    (box, dark), (expected, dark_expected) = (ink(text, angle, own, **look) for own in (True, False))
    assert np.abs(np.subtract(box, expected)).max() <= 3 + 0.02 * len(text) * look["fontsize"]
    assert dark == pytest.approx(dark_expected, rel=0.15)


@pytest.mark.parametrize(("text", "angle"), [("日本", 0), ("سلام", 0), ("e\u0301", 0), ("🙂", 90), ("slanted", 30)])
def test_what_is_not_plain_is_left_to_matplotlib(text: str, angle: int) -> None:
    """Other scripts, combined letters and odd angles are drawn as before, to the pixel."""
    with pytest.warns(UserWarning, match="missing from") if text in ("日本", "🙂") else nullcontext():
        assert ink(text, angle, True) == ink(text, angle, False)


def test_mathematics_is_left_to_matplotlib() -> None:
    """A text between dollars, where matplotlib reads it as a formula, is no row of letters."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    boxes = []
    for own in (True, False):
        canvas = FigureCanvasAgg(Figure(figsize=(3, 2)))
        if own:
            set_letters(canvas.get_renderer())
        boxes.append(canvas.figure.text(0.5, 0.5, r"$x^2$").get_window_extent().extents.tolist())
    assert boxes[0] == boxes[1]


@pytest.mark.parametrize(
    ("low", "high", "most", "words"),
    [
        (0.0, 1.0, 6, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (0.0, 1.0, 4, ["0.00", "0.25", "0.50", "0.75", "1.00"]),
        (-2.0, 2.0, 5, ["−2", "−1", "0", "1", "2"]),
        (3.1, 5.9, 6, ["3.5", "4.0", "4.5", "5.0", "5.5"]),
        (-1e-4, 2e-4, 4, ["−0.0001", "0.0000", "0.0001", "0.0002"]),
        (0.0, 4e-9, 4, ["0", "1e−09", "2e−09", "3e−09", "4e−09"]),
        (0.0, 0.3, 0, ["0.00", "0.25"]),
    ],
)
def test_numbers_of_a_scale_are_round(low: float, high: float, most: int, words: list[str]) -> None:
    """They lie between the ends, with as many digits in all; what needs more than six digits is written with a power."""
    places, found = round_numbers(low, high, most)
    assert found == words
    assert all(low - 1e-12 <= place <= high + 1e-12 for place in places)


def placed(canvas: Any) -> Any:
    arrange(canvas)
    canvas.canvas.draw()
    return canvas


def parts(axes: Any, name: str) -> list[Any]:
    return [artist for artist in axes.artists if type(artist).__name__ == name]


@pytest.mark.filterwarnings("ignore:.*Glyph:UserWarning")
@pytest.mark.parametrize("claimed", [((9, 9), (9, 6), (10, 0)), ((0, 0), (0, 1), (0, 2), (0, 3))])
def test_names_beside_a_map_are_not_covered_by_its_scale(claimed: tuple[tuple[int, int], ...]) -> None:
    """The scale stands right of the longest row of names, and its label right of its numbers, all on the sheet."""
    canvas = placed(score_canvas(score(12, 12, claimed=claimed, values=np.full((12, 12), 0.123))))
    (axes,) = canvas.axes
    (scale,) = parts(axes, "Scale")
    names = [text.get_window_extent() for text in axes.texts]
    assert names
    assert max(box.x1 for box in names) < scale.get_window_extent().x0
    assert scale.get_window_extent().x1 <= canvas.bbox.x1


@pytest.mark.parametrize("label", ["a", "a_long_token_name ‹S1+1›"])
def test_labels_of_axes_are_beyond_the_words_of_the_ticks(label: str) -> None:
    """Words end at the axes, one in the middle of each cell, and the axis's label covers none of them."""
    canvas = placed(attention_canvas(attention(6, labels=(label,) * 6)))
    (axes,) = canvas.axes
    below, beside = parts(axes, "TickWords")
    frame = axes.get_window_extent()
    assert beside.get_window_extent().x1 == frame.x0
    assert below.get_window_extent().y1 == frame.y0
    assert axes.yaxis.label.get_window_extent().x1 < beside.get_window_extent().x0
    assert axes.xaxis.label.get_window_extent().y1 < below.get_window_extent().y0
    middles = frame.x0 + frame.width * (np.arange(6) + 0.5) / 6
    assert below._starts() == pytest.approx(middles)


def test_a_long_label_of_a_scale_stays_on_the_sheet(tmp_path: Path) -> None:
    """The label of a scale on a low map is drawn whole: no less ink than on a high one."""
    from PIL import Image

    dark = []
    for layers in (2, 20):
        draw(score(layers, 3, name="mean of a quantity of heads", claimed=(), bound=None), tmp_path / "x.png")
        pixels = np.asarray(Image.open(tmp_path / "x.png").convert("L"))
        edge = pixels[:, -32:] < 128  # the label, and the last digit of a longer number
        dark.append(int(edge.sum()))
        assert not edge[:2].any()
        assert not edge[-2:].any()
    assert dark[0] >= dark[1] > 200


SHEETS = [
    attention(1, other_cells=None),
    attention(47),
    attention(110),
    attention(5, labels=("a long_token_name indeed ‹S1+1›",) * 5),
    score(40, 32),
    score(3, 2, name="a name that is longer than the map is high", claimed=()),
    score(2, 40, claimed=((0, 39), (0, 38), (1, 1)), values=np.full((2, 40), -1234.5)),
    profile(12, 60, classes=tuple(f"a_role_with_a_long_name_{k}" for k in range(12))),
]


@pytest.mark.parametrize("figure", SHEETS, ids=lambda figure: type(figure).__name__)
def test_nothing_leaves_the_sheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figure: Any) -> None:
    """One measurement is enough to place everything, whatever the words are; the axes keep room, and the title its place."""
    sheets = sheets_of(monkeypatch, figures, profile_figures)
    draw(figure, tmp_path / "x.png")
    (canvas,) = sheets
    drawn = canvas.get_tightbbox()
    assert min(drawn.x0, drawn.y0) > -0.02, "inches"
    assert drawn.x1 < canvas.get_figwidth() + 0.02
    assert drawn.y1 < canvas.get_figheight() + 0.02
    title = canvas._suptitle.get_window_extent()
    for axes in canvas.axes:
        assert axes.get_window_extent().height > 20
        assert axes.get_tightbbox(for_layout_only=True).y1 < title.y0
        assert all(axes.get_window_extent().y0 > legend.get_window_extent().y1 for legend in canvas.legends)


def test_the_digest_follows_what_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version of matplotlib or of Pillow draws other figures; the same ones draw the same."""
    first = drawing.drawing_digest.__wrapped__()
    assert first == drawing.drawing_digest.__wrapped__()
    for changed in ("matplotlib", "pillow"):
        monkeypatch.setattr(drawing, "version", lambda name, changed=changed: "0" if name == changed else "1")
        other = drawing.drawing_digest.__wrapped__()
        monkeypatch.setattr(drawing, "version", lambda name: "1")
        assert other != drawing.drawing_digest.__wrapped__(), changed
    assert len(first) == 8


FOOTED = [
    attention(5, other_label="any -> n-2"),
    score(6, 4),
    profile(),
    effects(2),
    effects(2, bound_low=None),
    loss_map(4),
    AblationFigure(np.arange(9.0), np.arange(9.0) / 2, "logit_diff", "t"),
    RankFigure(np.ones(4), np.full(4, 2.0), "t"),
]


@pytest.mark.parametrize("figure", FOOTED, ids=lambda figure: type(figure).__name__)
@pytest.mark.parametrize("foot", ["smollm2-135m, 32 prompts, seed 0", "a$b$ " + "mean over many prompts " * 8])
def test_the_foot_stands_below_all_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figure: Any, foot: str
) -> None:
    """Every kind of figure says in small grey words what was measured, whole and on the sheet, under its legend and its axes."""
    sheets = sheets_of(monkeypatch, figures, ablation_figures, profile_figures, effect_figures, rank_figures)
    draw(replace(figure, foot=foot), tmp_path / "x.png")
    draw(figure, tmp_path / "y.png")
    with_foot, without = sheets
    (words,) = [text for text in with_foot.texts if text.get_gid() == FOOT]
    assert " ".join(words.get_text().split()) == " ".join(foot.split())
    assert (words.get_color(), words.get_fontsize()) == ("#666666", 7.5)
    box = words.get_window_extent()
    assert box.y0 > 0
    assert box.x0 >= 0
    assert box.x1 <= with_foot.bbox.x1
    assert all(legend.get_window_extent().y0 >= box.y1 for legend in with_foot.legends)
    assert all(axes.get_tightbbox(for_layout_only=True).y0 > box.y1 for axes in with_foot.axes)
    assert with_foot.bbox.height > without.bbox.height
    assert not [text for text in without.texts if text.get_gid() == FOOT]


def test_no_line_of_a_title_ends_within_a_token() -> None:
    """What is not to be broken stays in one line wherever it falls, and is written as it was given."""
    for before in range(60):
        canvas = new_sheet(4.0, 2.0)
        put_title(canvas, "t", "x" * before + " first is now: " + unbroken("' his own-er' 4") + ", and others", 4.0)
        lines = canvas._suptitle.get_text().split("\n")  # type: ignore[attr-defined]
        assert sum("' his own-er' 4" in line for line in lines) == 1, lines
