"""Figures of profiles, loss maps, effects and lessons: determinism, extremes, what is said and where."""

from __future__ import annotations

import math
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from circuits.report import effect_figures, profile_figures
from circuits.report.drawing import draw as draw_more
from circuits.report.effect_figures import EffectsFigure, LossMapFigure
from circuits.report.profile_figures import LessonFigure, LessonPanel, ProfileFigure
from circuits.report.sheet import new_sheet

PNG = b"\x89PNG\r\n\x1a\n"
RNG = np.random.default_rng(0)


def profile(count: int = 3, distances: int = 9, **more: Any) -> ProfileFigure:
    values: dict[str, Any] = {
        "head": "17.5", "offsets": np.linspace(0.3, 0.0, distances), "bos": 0.4,
        "classes": tuple(f"role_{k}" for k in range(count)), "matrix": np.full((count, count), 1 / max(count, 1)),
        "n": 64, "title": "Looks $3 back", "marked": (3,),
    }  # fmt: skip
    return ProfileFigure(**{**values, **more})


def loss_map(count: int = 5) -> LossMapFigure:
    places = RNG.normal(size=(count, 2)) * [1.0, 0.1]
    named = [(f"{k // 8}.{k % 8}", float(x), float(y), 3.0 + 0.1 * k) for k, (x, y) in enumerate(places)]
    return LossMapFigure((("clean", 0.0, 0.0, 3.0), *named), (0.7, 0.2), "Losses")


def effects(count: int = 3, **more: Any) -> EffectsFigure:
    rows = [("circuit", 0.8, 0.75, 0.85, "claimed")]
    rows += [(f"random {k}", 0.01 * k, None, None, "random") for k in range(count)]  # type: ignore[misc]
    values: dict[str, Any] = {
        "rows": tuple(rows), "bound_low": 0.7, "bound_high": None, "percent": True, "title": "A circuit",
    }  # fmt: skip
    return EffectsFigure(**{**values, **more})


def lesson(*periods: int) -> LessonFigure:
    panels = [LessonPanel(f"period {p}", np.eye(1, 20, p - 1)[0], (3,), (p - 1,)) for p in periods]
    return LessonFigure("6.9", tuple(panels), "n-3", "induction", "Three back, or induction?")


def sheets_of(monkeypatch: pytest.MonkeyPatch, *modules: Any) -> list[Any]:
    """The sheets that some modules make from now on."""
    sheets: list[Any] = []

    def keep(width: float, height: float, foot: str = "") -> Any:
        sheets.append(new_sheet(width, height, foot))
        return sheets[-1]

    for module in modules:
        monkeypatch.setattr(module, "new_sheet", keep)
    return sheets


def words_of(figure: Any, monkeypatch: pytest.MonkeyPatch, path: Path) -> tuple[Any, list[str]]:
    """The drawn sheet (after layout) and every visible text of it."""
    from matplotlib.text import Text

    sheets = sheets_of(monkeypatch, profile_figures, effect_figures)
    draw_more(figure, path)
    found = [text for text in sheets[0].findobj(Text) if text.get_visible() and text.get_text().strip()]
    return sheets[0], [text.get_text() for text in found]


FAR = np.eye(1, 120, 90)[0]
FLAT = LossMapFigure((("clean", 0.0, 0.0, 3.0), ("$a", 0.0, 0.0, 3.0), ("b", 90.0, 0.1, 4.0)), (0.9999, 1e-4), "flat")


@pytest.mark.parametrize(
    "figure", [profile(), profile(offsets=FAR), loss_map(), FLAT, effects(), effects(30), lesson(4, 5)]
)
def test_same_figure_gives_the_same_bytes(tmp_path: Path, figure: Any) -> None:
    """A figure is a PNG without date or software, whatever the user's matplotlib settings are."""
    import matplotlib

    draw_more(figure, tmp_path / "figures" / "a.png")
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "savefig.dpi": 10}):
        draw_more(figure, tmp_path / "b.png")
        assert matplotlib.rcParams["font.size"] == 30, "the user's settings are left alone"
    first = (tmp_path / "figures" / "a.png").read_bytes()
    assert first.startswith(PNG)
    assert first == (tmp_path / "b.png").read_bytes()
    for mark in (b"matplotlib", b"tEXt", b"tIME"):
        assert mark not in first


EXTREMES = [
    profile(12, 120, classes=tuple("a_role_with_a_very_long_name $x$ 日本 \n" + str(k) for k in range(12))),
    profile(1, 1, bos=None, marked=(0, 7)),
    profile(0, 0, marked=()),
    profile(2, 5, offsets=np.full(5, np.nan), matrix=np.full((2, 2), np.nan), bos=math.nan),
    profile(4, 40, marked=tuple(range(40))),
    profile(offsets=FAR, marked=tuple(range(0, 120, 9))),
    profile(offsets=np.full(90, np.nan), marked=(80,)),
    FLAT,
    LossMapFigure((*FLAT.points, ("c" * 40, 90.0, 0.1, 4.0), ("d", 0.0, 0.0, 3.0)), (1.0, 0.0), "flat"),
    loss_map(60),
    LossMapFigure((), (math.nan, math.nan), "none"),
    LossMapFigure((("clean", 1.0, 1.0, math.nan),), (1.0, 0.0), "one"),
    LossMapFigure((("$a", 0.0, 0.0, 1.0), ("b", 0.0, 0.0, math.inf), ("c", math.nan, 0.0, 1.0)), (1.0, 0.0), "$same$"),
    LossMapFigure(tuple((f"p{k}", 0.0, float(k), float(k)) for k in range(4)), (0.0, 1.0), "upright"),
    effects(120),
    effects(0, rows=()),
    effects(0, rows=(("a " * 80, math.nan, None, None, "x"), ("$b", 1.0, -math.inf, math.inf, "claimed"))),
    effects(2, bound_low=None, percent=False),
    effects(0, rows=(("none", None, None, None, "x"), ("nan", 1.0, math.nan, 2.0, "x")), bound_high=math.inf),
    LossMapFigure((("clean", 0.0, 0.0, None), ("a", None, None, None)), (math.nan, math.nan), "null"),
    profile(2, offsets=np.array([0.5, None], dtype=float), matrix=np.array([[1, 0], [None, None]], dtype=float)),
    effects(2, bound_low=-1.0, bound_high=1.0, quantity="drop_in: logit_diff $"),
    lesson(4),
    lesson(4, 5, 6, 7),
]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("figure", EXTREMES, ids=lambda figure: type(figure).__name__)
def test_extreme_figures_are_drawn_without_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, figure: Any
) -> None:
    """Long names, NaN, nothing, one point and many rows neither crash nor warn, and no text leaves the sheet."""
    canvas, _ = words_of(figure, monkeypatch, tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes().startswith(PNG)
    assert not caplog.records
    drawn = canvas.get_tightbbox()
    assert min(drawn.x0, drawn.y0) > -0.02, "inches"
    assert drawn.x1 < canvas.get_figwidth() + 0.02
    assert drawn.y1 < canvas.get_figheight() + 0.02


@pytest.mark.parametrize(
    ("figure", "message"),
    [
        (profile(offsets=np.zeros((2, 2))), r"offsets has shape \(2, 2\), expected one value a distance"),
        (profile(3, matrix=np.zeros((3, 2))), r"matrix has shape \(3, 2\), expected \(3, 3\): query class x key class"),
        (LossMapFigure((("a", 1.0, 2.0),), (1.0, 0.0), "t"), "has 3 parts, expected name, x, y, loss"),  # type: ignore[arg-type]
        (
            LossMapFigure((("a", 1.0, 2.0, 3.0),), (1.0, 0.0), "t", ("clean", "model")),
            "there are 2 kinds, expected one for each of 1 points",
        ),
        (LossMapFigure((), (1.0,), "t"), "explained has 1 values, expected the shares of PC1 and PC2"),  # type: ignore[arg-type]
        (EffectsFigure((("a", 1.0),), None, None, False, "t"), "has 2 parts, expected label, value, low, high, kind"),  # type: ignore[arg-type]
        (LessonFigure("1.1", (), "a", "b", "t"), "a lesson needs at least one panel"),
        (LessonFigure("1.1", (LessonPanel("p", np.zeros((1, 2)), (), ()),), "a", "b", "t"), "offsets of 'p' has shape"),
    ],
)
def test_shapes_that_do_not_fit_are_errors(tmp_path: Path, figure: Any, message: str) -> None:
    """A figure whose data disagree is refused and nothing is written."""
    with pytest.raises(ValueError, match=message):
        draw_more(figure, tmp_path / "x.png")
    assert not (tmp_path / "x.png").exists()


def test_a_profile_tells_its_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Claimed distances with their values, BOS, what lies farther than is shown, and the cells of the table."""
    offsets = np.zeros(60)
    offsets[[3, 7, 55]] = 0.5, 0.25, 0.045
    matrix = np.array([[1.0, 0.0], [0.123, 0.877]])
    figure = profile(offsets=offsets, marked=(7, 99), classes=("bos", "other"), matrix=matrix)
    _, words = words_of(figure, monkeypatch, tmp_path / "x.png")
    text = "\n".join(words)
    assert "claimed: n-7 (0.25), n-99 (no value)" in words
    assert {"0.50", "0.25", "1", "0", ".12", ".88"} <= set(words)
    assert "not drawn (40 to 59): at most 0.04 (at 55)" in text
    assert "to BOS, which is not among the bars: 0.40" in text


def test_claimed_bars_have_the_colour_of_claims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bar of a claimed distance is orange, the others are blue, and each is as high as its offset."""
    from matplotlib.colors import to_rgba

    canvas, _ = words_of(profile(distances=6, marked=(2, 4)), monkeypatch, tmp_path / "x.png")
    (bars,) = canvas.axes[0].containers
    assert [bar.get_height() for bar in bars] == np.linspace(0.3, 0.0, 6).tolist()
    orange = [bar.get_facecolor() == to_rgba(profile_figures.CLAIMED) for bar in bars]
    assert orange == [False, False, True, False, True, False]


def bars_of(axes: Any) -> dict[float, float]:
    """The height of each bar by where it stands."""
    return {round(bar.get_x() + bar.get_width() / 2, 6): bar.get_height() for bar in axes.containers[0]}


@pytest.mark.parametrize(
    ("count", "peaks", "marked", "drawn"),
    [
        (100, {49: 0.87}, (48, 49), {48, 49}),
        (100, {49: 0.87}, (), {49}),
        (100, {0: 0.5, 99: 0.2}, (70,), {0, 70, 99}),
        (41, {40: 0.01}, (), {40}),
        (120, dict.fromkeys((50, 70, 90, 110), 0.06), (45, 100, 130), {45, 50, 70, 90, 100, 110}),
        (40, {39: 0.9}, (39,), {39}),
    ],
)
def test_claimed_distances_and_the_largest_value_are_drawn(
    count: int, peaks: dict[int, float], marked: tuple[int, ...], drawn: set[int], tmp_path: Path, monkeypatch: Any
) -> None:
    """However far they lie: behind a break of the axis, at their own place, with their own number below."""
    offsets = np.full(count, 0.001)
    offsets[list(peaks)] = list(peaks.values())
    canvas, words = words_of(profile(offsets=offsets, marked=marked), monkeypatch, tmp_path / "x.png")
    axes, near = canvas.axes[0], profile_figures._stretches([(offsets, marked)])[0]
    shown = {d: height for stretch in profile_figures._stretches([(offsets, marked)]) for d, height in
             zip(stretch, offsets[stretch.start : stretch.stop], strict=False)}  # fmt: skip
    assert drawn <= set(shown)
    assert list(bars_of(axes).values()) == list(shown.values())
    assert max(shown.values()) == offsets.max() < axes.get_ylim()[1]
    assert len(near) >= 10, "the first distances are never left out"
    hidden = count - len(shown)
    assert any("not drawn (" in text for text in words) == (hidden > 0)
    (ticks,) = [artist for artist in axes.artists if type(artist).__name__ == "TickWords"]
    places = dict(zip(ticks.words, ticks.places, strict=True))
    best = str(int(offsets.argmax()))
    assert bars_of(axes)[places[best]] == offsets.max() if best in places else int(best) < len(near)


def test_an_axis_without_far_distances_is_not_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bars stand at their own number where all have room, and a break has two strokes at the foot of the axis."""
    canvas, _ = words_of(profile(distances=40), monkeypatch, tmp_path / "x.png")
    assert list(bars_of(canvas.axes[0])) == list(range(40))
    assert not canvas.axes[0].lines
    monkeypatch.undo()
    offsets = np.zeros(80)
    offsets[60] = 0.5
    canvas, _ = words_of(profile(offsets=offsets), monkeypatch, tmp_path / "y.png")
    strokes = [line for line in canvas.axes[0].lines if line.get_color() == "black"]
    assert len(strokes) == 2
    before, after = sorted(float(np.mean(line.get_xdata())) for line in strokes)
    assert not [place for place in bars_of(canvas.axes[0]) if before - 0.3 < place < after + 0.3]


@pytest.mark.parametrize("count", [1, 12, 40])
def test_labels_of_a_loss_map_do_not_overlap(count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every point has a label, on no other label and on no point; the axes say their share of the variance."""
    figure = loss_map(count)
    canvas, words = words_of(figure, monkeypatch, tmp_path / "x.png")
    axes = canvas.axes[0]
    assert [text.get_text() for text in axes.texts] == [name for name, *_ in figure.points]
    boxes = [text.get_window_extent() for text in axes.texts]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    for _, x, y, _ in figure.points:
        place = axes.transData.transform((x, y))
        assert not any(box.contains(*place) for box in boxes)
    assert axes.get_xlabel().startswith("PC1, nats (70% of the variance)\ndistance: ")
    assert "PC2, nats (20% of the variance)" in words
    one, two = axes.transData.transform([(0, 0), (1, 1)])
    assert (two - one)[0] == pytest.approx((two - one)[1], rel=1e-3), "distances are true on both axes"


def test_points_whose_marks_overlap_are_told_and_each_has_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three points under one diamond are named as such, and a line leads from each label to the middle of its own point."""
    points = (("clean", 0.0, 0.0, 3.0), ("23.3", 1.0, 0.5, 3.1), ("11.1", -1.0, -0.5, 3.2), ("MLP0", 290.0, 40.0, 9.0))
    canvas, _ = words_of(LossMapFigure(points, (0.7, 0.2), "Losses"), monkeypatch, tmp_path / "x.png")
    assert canvas.axes[0].get_xlabel().endswith("\ntoo near each other to be told apart here: clean and 23.3 and 11.1")
    starts = [(line.get_xdata()[0], line.get_ydata()[0]) for line in canvas.axes[0].lines]
    assert all(any(math.dist(start, point[1:3]) < 1e-9 for start in starts) for point in points[:3])
    assert len(starts) == 3
    monkeypatch.undo()
    apart = (("clean", 0.0, 0.0, 3.0), ("23.3", 90.0, 50.0, 3.1), ("11.1", -90.0, -50.0, 3.2))
    canvas, _ = words_of(LossMapFigure(apart, (0.7, 0.2), "Losses"), monkeypatch, tmp_path / "x.png")
    assert "too near" not in canvas.axes[0].get_xlabel()
    assert "black" not in {line.get_color() for line in canvas.axes[0].lines}


def test_an_axis_without_variance_is_not_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no numbers, and the words say that up and down means nothing; shares near 0 and 1 are not rounded to them."""
    points = (("clean", -32.0, 0.2, 3.0), ("2.0", 127.0, 0.0, 5.9), ("MLP0", -90.0, -0.2, 3.1))
    canvas, _ = words_of(LossMapFigure(points, (0.99998, 1e-5), "Losses"), monkeypatch, tmp_path / "x.png")
    axes = canvas.axes[0]
    assert not axes.get_yticks().size
    assert not axes.get_ylabel()
    told = axes.get_xlabel()
    assert told.startswith("PC1, nats (over 99.9% of the variance)\nup and down: PC2 (less than 0.1% of the variance)")
    shares = [effect_figures._of_variance(share) for share in (0.0, 0.0004, 0.004, 0.0924, 0.8846, 0.994, 1.0)]
    assert shares == ["0%", "less than 0.1%", "0.4%", "9%", "88%", "99.4%", "100%"]


def test_models_and_ablations_have_their_own_markers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A diamond, squares and circles, each where its points lie; the legend says which is which."""
    figure = LossMapFigure(
        (("gpt2", 0.0, 0.0, 3.0), ("gpt2-medium", 1.0, 2.0, 2.8), ("5.5", 0.5, 0.5, 3.1), ("MLP0", -1.0, 0.0, 4.0)),
        (0.7, 0.2), "Losses", ("clean", "model", "ablation", "ablation"),
    )  # fmt: skip
    canvas, words = words_of(figure, monkeypatch, tmp_path / "x.png")
    axes = canvas.axes[0]
    placed = [drawn.get_offsets().tolist() for drawn in axes.collections if len(drawn.get_offsets())]
    assert placed == [[[0.5, 0.5], [-1.0, 0.0]], [[1.0, 2.0]], [[0.0, 0.0]]]
    corners = [len(drawn.get_paths()[0].vertices) for drawn in axes.collections[:3]]
    assert corners[1] == corners[2] != corners[0], "a square, a diamond, and a circle"
    entries = [text.get_text() for text in axes.get_legend().get_texts()]
    assert entries == ["the claim's model as it is, loss 3", "another model as it is", "without components"]
    assert [text.get_text() for text in axes.texts if text.get_fontweight() == "bold"] == ["gpt2"]
    assert any("models and ablations with like losses" in text for text in words)


def test_many_random_sets_share_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to eight random sets have rows of their own; more become dots of one row with median and range."""
    _, few = words_of(effects(8), monkeypatch, tmp_path / "x.png")
    assert {"random 0", "random 7"} <= set(few)
    monkeypatch.undo()
    _, many = words_of(effects(9), monkeypatch, tmp_path / "x.png")
    assert "random 0" not in many
    rows = (("40 random ones", 0.5, 0.25, 0.75, "random"), ("lost", None, None, None, "x"))
    monkeypatch.undo()
    _, one = words_of(effects(rows=rows), monkeypatch, tmp_path / "x.png")
    assert {"50%\n25% to 75%", "no number"} <= {*one}, "a range is in no brackets: it is no interval"
    assert {"9 random ones,\na dot each", "median 4%\n0% to 8%", "80%\n[75%, 85%]", "the bound: at least 70%"} <= {
        *many
    }


@pytest.mark.parametrize(
    ("low", "high", "percent", "words"),
    [
        (0.1, 0.25, True, "the bound: 10% to 25%"),
        (None, 2.0, False, "the bound: at most 2"),
        (-0.125, None, True, "the bound: at least -12.5%"),
    ],
)
def test_the_bound_is_shaded_and_said(
    low: float | None, high: float | None, percent: bool, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The legend says the bound as the claim has it; without a bound there is no legend."""
    _, found = words_of(effects(1, bound_low=low, bound_high=high, percent=percent), monkeypatch, tmp_path / "x.png")
    assert words in found
    monkeypatch.undo()
    _, found = words_of(effects(1, bound_low=None), monkeypatch, tmp_path / "x.png")
    assert not any("bound" in text for text in found)


def test_a_bound_on_another_quantity_is_said_in_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shade lies on the axis, the words are the claim's."""
    figure = effects(1, bound_low=None, bound_high=4.2, percent=False, bound_words="at least 80% are farther")
    _, found = words_of(figure, monkeypatch, tmp_path / "x.png")
    assert "the bound: at least 80% are farther" in found


def test_only_judged_rows_lie_on_the_shade_of_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shade and its edge reach over the claimed row and no other: what stands beside it is not judged."""
    rows = (
        ("circuit", 0.8, 0.7, 0.9, "claimed"),
        ("normalised", 0.7, 0.6, 0.8, "beside"),
        ("random", 0.1, 0.0, 0.2, "random"),
    )
    canvas, _ = words_of(effects(rows=rows, bound_low=0.65), monkeypatch, tmp_path / "x.png")
    axes = canvas.axes[0]
    from matplotlib.colors import to_rgba

    (shade,) = [
        c
        for c in axes.collections
        if len(c.get_facecolor()) and tuple(c.get_facecolor()[0]) == to_rgba(effect_figures.SHADE)
    ]
    corners = shade.get_paths()[0].vertices
    assert (corners[:, 0].min(), corners[:, 0].max()) == (0.65, axes.get_xlim()[1])
    assert -0.5 < corners[:, 1].min() < corners[:, 1].max() < 0.5
    assert not axes.patches, "no span over all rows"


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ((0.8, 0.7), True, {0.0, 1.0}),
        ((0.08, -0.1), True, {0.0}),
        ((3.0, 4.0), False, {0.0}),
        ((-3.0, -4.0), False, {0.0}),
    ],
)
def test_nothing_and_the_whole_have_a_line(
    values: tuple[float, float], percent: bool, expected: set[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0 is always on the axis, and 100% where shares of a whole are that large."""
    rows = tuple((f"row {k}", value, None, None, "claimed") for k, value in enumerate(values))
    figure = effects(rows=rows, percent=percent, bound_low=None)
    canvas, _ = words_of(figure, monkeypatch, tmp_path / "x.png")
    upright = {line.get_xdata()[0] for line in canvas.axes[0].lines if len({*line.get_xdata()}) == 1}
    assert upright == expected


def test_labels_and_words_of_effects_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A label of four lines is not cut; what is said below the title and under the axis is there."""
    label = "number_circuit, normalised: (F(C)-F(0))/(F(M)-F(0)) without 6.1, 20.4 and 5 more heads"
    figure = effects(
        rows=((label, 0.5, 0.4, 0.6, "claimed"),), detail="F: the mean", quantity="share of $x: " + "word " * 20
    )
    canvas, words = words_of(figure, monkeypatch, tmp_path / "x.png")
    assert label in [" ".join(text.split()) for text in words]
    assert "F: the mean; interval in brackets" in canvas._suptitle.get_text()
    assert " ".join(canvas.axes[0].get_xlabel().split()) == " ".join(figure.quantity.split())


def test_what_lies_on_the_clean_model_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clean model's diamond is hollow and behind the others, and no label lies on its mark or on another one."""
    points = (("clean", 0.0, 0.0, 3.0), ("23.3", 0.0, 0.0, 3.1), ("11.1", 0.02, 0.0, 3.2), ("MLP0", 3.0, 1.0, 9.0))
    figure = LossMapFigure(points, (0.7, 0.2), "Losses", method="mean")
    canvas, words = words_of(figure, monkeypatch, tmp_path / "x.png")
    axes = canvas.axes[0]
    dots, gem = axes.collections[0], axes.collections[-1]
    assert gem.get_offsets().tolist() == [[0.0, 0.0]]
    assert len(gem.get_facecolor()) == 0, "hollow"
    assert gem.get_zorder() < dots.get_zorder()
    assert any("the model without them (mean ablation)" in " ".join(text.split()) for text in words)
    half = math.sqrt(150) * math.sqrt(0.5) * canvas.dpi / 72
    for text in axes.texts:
        box = text.get_window_extent()
        for (name, x, y, _), reach in zip(points, (half, 6, 6, 6), strict=True):
            place = axes.transData.transform((x, y))
            near = np.clip(place, box.min, box.max)
            assert np.abs(place - near).sum() > reach, (text.get_text(), name)


def test_a_lesson_says_which_prompts_can_decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where both explanations expect one distance the panel says so; all panels have one scale."""
    canvas, words = words_of(lesson(4, 5), monkeypatch, tmp_path / "x.png")
    assert "period 4: both expect the same" in words
    assert "period 5: they expect different distances" in words
    assert len({(axes.get_xlim(), axes.get_ylim()) for axes in canvas.axes}) == 1


def test_what_rounds_to_zero_has_no_sign() -> None:
    """-0% beside an estimate of about 0 looks like an error."""
    assert [effect_figures._value(value, True) for value in (-1e-9, 0.0, -0.0123)] == ["0%", "0%", "-1.2%"]
