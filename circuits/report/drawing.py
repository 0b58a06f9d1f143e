"""Any figure of the report into its file: which function draws which kind."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from circuits.report import (
    ablation_figures,
    effect_figures,
    figures,
    lettering,
    placing,
    profile_figures,
    rank_figures,
    scales,
    sheet,
)
from circuits.report.sheet import save
from circuits.store import version

_CANVAS: dict[type, Any] = {
    figures.AttentionFigure: figures.attention_canvas,
    figures.ScoreFigure: figures.score_canvas,
    ablation_figures.AblationFigure: ablation_figures.ablation_canvas,
    profile_figures.ProfileFigure: profile_figures.profile_canvas,
    profile_figures.LessonFigure: profile_figures.lesson_canvas,
    effect_figures.LossMapFigure: effect_figures.loss_map_canvas,
    effect_figures.EffectsFigure: effect_figures.effects_canvas,
    rank_figures.RankFigure: rank_figures.rank_canvas,
}


def draw(figure: Any, path: Path) -> None:
    """Write a figure to ``path`` as a PNG; the same figure always gives the same bytes.

    Raises ValueError when the shapes of its data do not fit together, TypeError when it is no figure.
    """
    canvas = _CANVAS.get(type(figure))
    if canvas is None:
        raise TypeError(f"{type(figure).__name__} is no figure of the report")
    save(lambda: canvas(figure), path)


@cache
def drawing_digest() -> str:
    """Eight digits for the way in which figures are drawn: the code that does it and the versions of matplotlib and Pillow."""
    found = hashlib.sha256("".join(f"{name}={version(name) or 'none'} " for name in ("matplotlib", "pillow")).encode())
    looks = (
        figures,
        ablation_figures,
        effect_figures,
        profile_figures,
        rank_figures,
        lettering,
        placing,
        scales,
        sheet,
    )
    for module in looks:
        assert module.__file__ is not None
        found.update(Path(module.__file__).read_bytes())
    return found.hexdigest()[:8]
