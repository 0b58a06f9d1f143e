"""What the value of an ablation or a path is made of: its runs by their names in the formula, and the value from their means."""

from __future__ import annotations

from collections.abc import Mapping

from circuits.claims.claim import Ablate, Path
from circuits.kinds import ablate, path
from circuits.kinds.kind import Cell, Here
from circuits.measure.group import CLEAN_RUN, Group
from circuits.measure.metrics import Values
from circuits.measure.view import View
from circuits.verdict.rows import effect_of_means


def runs_on(prompts: View | Group, cell: Cell, here: Here) -> dict[str, Values]:
    """What an ablation or a path is made of on some prompts, by its name in the formula: the clean run and the others."""
    what = cell.check.what
    if isinstance(what, Path):
        return {CLEAN_RUN: prompts.clean, "F(M\\A)": prompts.path(path.patch_of(what))}
    others = {name: prompts.ablated(run) for name, run in ablate.runs(cell, here).items()}
    return {CLEAN_RUN: prompts.clean, **others}


def value_of(what: Ablate | Path, means: Mapping[str, float | None]) -> float | None:
    """The estimate of an ablation or a path from the means of its runs (``runs_on``); None where it is not a number."""
    if what.effect == "interaction":
        return _interaction(*(means[name] for name in (CLEAN_RUN, "F(M\\A)", "F(M\\G)", "F(M\\G\\A)")))
    return effect_of_means(what.effect, *before_and_after(what, means))


def before_and_after(what: Ablate | Path, means: Mapping[str, float | None]) -> tuple[float | None, float | None]:
    """The means of the runs of ``ends_of``."""
    before, after = ends_of(what)
    return means[before], means[after]


def ends_of(what: Ablate | Path) -> tuple[str, str]:
    """The names of the runs without and with the intervention: of the whole model or, ``within`` a circuit, of the circuit alone."""
    within = isinstance(what, Ablate) and what.within is not None
    return ("F(C)", "F(C\\A)") if within else (CLEAN_RUN, "F(M\\A)")


def _interaction(full: float | None, less: float | None, other: float | None, least: float | None) -> float | None:
    """From the means of F(M), F(M\\A), F(M\\G) and F(M\\G\\A)."""
    if full is None or less is None or other is None or least is None or not full:
        return None
    return ((other - least) - (full - less)) / full
