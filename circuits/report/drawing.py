"""Any figure of the report into its file, whichever module draws its kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def draw_figure(figure: Any, path: Path) -> None:
    """Write a figure to ``path`` as a PNG; the same figure always gives the same bytes. Raises ValueError on bad shapes."""
    from circuits.report import figures, profile_figures

    if isinstance(figure, figures.AttentionFigure | figures.ScoreFigure | figures.AblationFigure):
        figures.draw(figure, path)
    else:
        profile_figures.draw_more(figure, path)
