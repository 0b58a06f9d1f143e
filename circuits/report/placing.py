"""Where the parts of a figure stand: what is around an axes is measured once, and the axes take the room that is left.

Matplotlib's own layouts measure every text of a figure four times and more, which is a quarter of the time it takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAD = 0.08  # inches around every part
FOOT = "foot"  # the name of the words at the foot of a sheet among its texts
_BELOW = 0.5  # inches: about what words below an axes take


def arrange(canvas: Figure) -> None:
    """Give each axes of a sheet its place: below the title, above the legend and the foot, one below the other as their ratios say.

    The canvas of the sheet must be one that can draw. Pads between parts are those of ``PAD``.
    """
    renderer: Any = canvas.canvas.get_renderer()  # type: ignore[attr-defined]
    width, height = float(renderer.width), float(renderer.height)
    pad = PAD * canvas.dpi
    top, bottom = height - pad, pad
    for words in canvas.texts:
        if words.get_gid() == FOOT:
            words.set(y=0.6 * pad / height)
            bottom = words.get_window_extent(renderer).y1 + (1 if canvas.legends else 2) * pad
        else:
            words.set(y=1 - pad / height, verticalalignment="top")
            top = min(top, words.get_window_extent(renderer).y0 - 2 * pad)
    for legend in canvas.legends:
        if bottom > pad:
            legend.set_bbox_to_anchor((0.0, bottom / height, 1.0, 1.0), canvas.transFigure)
        bottom = max(bottom, legend.get_window_extent(renderer).y1 + 2 * pad)
    for axes in canvas.axes:
        axes.set_title(axes.get_title(), y=1.0)  # so that no title is moved: looking for room takes another measurement
        if len(canvas.axes) == 1:  # about where it will stand: the numbers of a scale depend on its length
            low = bottom + _BELOW * canvas.dpi
            axes.set_position((0.14, low / height, 0.68, max(top - low, pad) / height))
    margins: list[tuple[float, ...]] = []
    for axes in canvas.axes:
        tight, frame = axes.get_tightbbox(renderer, for_layout_only=True), axes.get_window_extent(renderer)
        assert tight is not None  # it is visible
        margins.append((frame.x0 - tight.x0, tight.x1 - frame.x1, frame.y0 - tight.y0, tight.y1 - frame.y1))
    left = max((each[0] for each in margins), default=0.0) + pad
    right = width - pad - max((each[1] for each in margins), default=0.0)
    shares = [_share(axes) for axes in canvas.axes]
    room = top - bottom - sum(each[2] + each[3] for each in margins) - 2 * pad * (len(margins) - 1)
    for axes, (_, _, below, above), share in zip(canvas.axes, margins, shares, strict=True):
        tall = max(room * share / sum(shares), 1.0)
        top -= above + tall
        axes.set_position((left / width, top / height, max(right - left, 1.0) / width, tall / height))
        top -= below + 2 * pad


def _share(axes: Axes) -> float:
    place: Any = axes.get_subplotspec()
    return float(place.get_gridspec().get_height_ratios()[place.rowspan.start])
