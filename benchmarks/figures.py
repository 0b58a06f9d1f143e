"""What the figures of a report cost: CPU seconds and bytes of as many as 60 claims have.

The figures are made up, in the kinds and sizes that the claims of `hypotheses/reference` have, 153 for 60 claims; all are
drawn anew, into a folder that is thrown away.

    python benchmarks/figures.py [--json] [--claims 60]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from circuits.report.ablation_figures import AblationFigure
from circuits.report.drawing import draw
from circuits.report.effect_figures import EffectsFigure, LossMapFigure
from circuits.report.figures import AttentionFigure, ScoreFigure
from circuits.report.profile_figures import ProfileFigure
from circuits.report.rank_figures import RankFigure

OF_46_CLAIMS = {"attention": 49, "ablation": 26, "profile": 24, "score": 10, "effects": 5, "rank": 2, "loss map": 1}
"""How many figures of each kind the 46 claims of `hypotheses/reference` have."""

WORDS = ("BOS", "Stephen ‹name›", "is", "8 ‹member›", ".", "Lee ‹name›", "store ‹place›", "to", "the", "1999")


FOOT = "smollm2-135m, 32 prompts, seed 0"


def figure(kind: str, rng: np.random.Generator) -> Any:
    """One figure of a kind, with numbers that no other one has, and with the words at its foot."""
    return replace(_figure(kind, rng), foot=FOOT)


def _figure(kind: str, rng: np.random.Generator) -> Any:
    count, title = int(rng.integers(12, 26)), f"{kind} on numbers_{rng.integers(100)}"
    if kind == "attention":
        mean = np.tril(rng.dirichlet(np.full(count, 0.1), count))
        labels, cells = tuple(str(word) for word in rng.choice(WORDS, count)), np.eye(count, k=-2, dtype=bool)
        return AttentionFigure("1.1", mean, labels, cells, np.eye(count, k=-1, dtype=bool), 32, title, "n-2", "n-1")
    if kind == "ablation":
        return AblationFigure(rng.normal(3, 1, 32), rng.normal(0, 1, 32), "logit_diff", title)
    if kind == "profile":
        names = ("bos", "name", "is", "member", "period")
        return ProfileFigure(
            "1.1", rng.dirichlet(np.ones(count)), 0.2, names, rng.dirichlet(np.ones(5), 5), 32, title, (3,)
        )
    if kind == "score":
        return ScoreFigure("successor", rng.random((3, 4)), ((1, 2),), "at_least 0.9", title, 32)
    if kind == "effects":
        rows = [(name, float(rng.random()), 0.1, 0.9, "claimed") for name in ("circuit", "normalised")]
        return EffectsFigure(tuple(rows), 0.7, None, True, title)
    if kind == "rank":
        return RankFigure(np.ones(32), rng.integers(1, 400, 32).astype(float), title)
    points = [("clean", 0.0, 0.0, 3.0), *((f"{k}.1", *map(float, rng.normal(size=2)), 3.0 + k) for k in range(5))]
    return LossMapFigure(tuple(points), (0.8, 0.2), title)


def measure(claims: int, folder: Path) -> dict[str, dict[str, float]]:
    """By kind: how many figures, CPU seconds of all, bytes of all."""
    rng, found = np.random.default_rng(0), {}
    for kind, many in OF_46_CLAIMS.items():
        figures = [figure(kind, rng) for _ in range(max(1, round(many * claims / 46)))]
        draw(figures[0], folder / "first.png")  # imports and fonts are read once a run
        started = time.process_time()
        for place, each in enumerate(figures):
            draw(each, folder / f"{kind}-{place}.png")
        seconds = time.process_time() - started
        size = sum(path.stat().st_size for path in folder.glob(f"{kind}-*.png"))
        found[kind] = {"figures": len(figures), "seconds": round(seconds, 3), "bytes": size}
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--claims", type=int, default=60)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(given.claims, Path(folder))
    total = {key: sum(each[key] for each in found.values()) for key in ("figures", "seconds", "bytes")}
    if given.json:
        print(json.dumps({"claims": given.claims, "kinds": found, "all": total}))
        return 0
    for kind, each in {**found, "all": total}.items():
        many = each["figures"]
        print(
            f"{kind:10} {many:4.0f}  {each['seconds']:7.2f} s CPU  {1e3 * each['seconds'] / many:6.1f} ms  {each['bytes'] / many / 1e3:6.1f} kB each"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
