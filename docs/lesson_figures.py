"""Draw the figures of offset_or_induction.md: `python docs/lesson_figures.py` writes docs/figures/lesson-*.png.

The attention is measured by the suite that stands in the page, so that figures and YAML cannot part.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from circuits.evaluate import Evaluator, Options, items_of, knowledge, load
from circuits.report.drawing import draw
from circuits.report.profile_figures import LessonFigure, LessonPanel, ProfileFigure

HERE = Path(__file__).resolve().parent
PAGE = HERE / "offset_or_induction.md"


def profiles(yaml: str) -> dict[tuple[str, int], ProfileFigure]:
    """Every head's profile by head and period, measured on the suite's sweep."""
    found: dict[tuple[str, int], ProfileFigure] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lesson.yaml"
        path.write_text(yaml, encoding="utf-8")
        suite = load(path, knowledge())
        for fault in suite.all_faults:
            sys.exit(fault.render())
        for item in items_of(suite, path.parent):
            written = re.search(r"period=(\d+)", item.label or "")
            assert written is not None, "the suite must be a sweep over period"
            period = int(written[1])

            def keep(figure: Any, name: str, period: int = period) -> None:
                if isinstance(figure, ProfileFigure):
                    found[figure.head, period] = figure

            Evaluator(Options(), None, keep).evaluate(item)
    return found


def main() -> None:
    """One figure a head: its attention by distance at each period, with what either explanation expects."""
    for yaml in re.findall(r"```yaml\n(suite: .*?)```", PAGE.read_text(encoding="utf-8"), re.S):
        measured = profiles(yaml)
        model = re.search(r"^model: (\S+)", yaml, re.M)
        back = re.search(r"n-(\d+)", yaml)
        assert model is not None and back is not None
        for head in sorted({head for head, _ in measured}):
            panels = []
            for period in sorted(period for name, period in measured if name == head):
                offsets = measured[head, period].offsets[: 2 * period + 4]
                panels.append(LessonPanel(f"items of {period} tokens", offsets, (int(back[1]),), (period - 1,)))
            title = f"{model[1]} {head}: {back[1]} back, or induction?"
            drawn = LessonFigure(head, tuple(panels), f"n-{back[1]}", "n-{period-1}, induction", title)
            draw(drawn, HERE / "figures" / f"lesson-{model[1]}-{head}.png")


if __name__ == "__main__":
    main()
