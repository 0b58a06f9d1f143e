"""How often verdicts are wrong: simulated prompts with known means, judged as the program judges them.

Each cell draws per-prompt values from one distribution, looks at them at the ends of blocks from 32 to 512 prompts and
stops at the first verdict, exactly as a suite does: the same looks, the same ``decide``. Beside it stands what is
often done today: 128 prompts and a bare threshold on the mean.

    python benchmarks/calibration.py [--json] [--runs 2000] [--seed 0] [--processes 2] [--only FORM]

In a cell whose truth lies at the bound either verdict counts as wrong (no number of prompts can settle it); inside,
REFUTED is wrong; outside, SUPPORTED is. ``guaranteed``: theory promises at most (1 - confidence) / 2 for each.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from circuits.claims.claim import Bound
from circuits.measure.series import grid
from circuits.verdict.decide import Asked, decide
from circuits.verdict.estimate import Inference, infer_bounded, infer_difference, infer_t
from circuits.verdict.rows import ratio_inference
from circuits.verdict.verdict import Verdict

Floats = npt.NDArray[np.float64]

LEAST, MOST = 32, 512
FIXED = 128
CYCLE = 4


@dataclass(frozen=True)
class Form:
    """How a scalar is made of per-prompt values and judged. ``draw(rng, distribution, mean, n)``: Float[n] columns."""

    name: str
    guaranteed: bool
    bound: float
    upper: bool
    inside: float
    outside: float
    distributions: tuple[str, ...]
    draw: Callable[[np.random.Generator, str, float, int], tuple[Floats, ...]]
    infer: Callable[[tuple[Floats, ...], int], Inference]
    estimate: Callable[[tuple[Floats, ...]], float]


@dataclass(frozen=True)
class Cell:
    """One line of the output; rates are shares of ``runs``."""

    distribution: str
    form: str
    truth: float
    bound: float
    confidence: float
    runs: int
    guaranteed: bool
    false_supported: float
    false_refuted: float
    inconclusive: float
    mean_n: float
    bare_threshold_false: float


# -- values of one prompt each, in [0, 1], with a given mean ----------------------------------------------

BOUNDED = ("bernoulli", "beta", "ties", "skewed", "near_constant", "template")
UNBOUNDED = ("normal", "student_t3", "rare_mode", "near_constant")


def bounded(rng: np.random.Generator, name: str, mean: float, n: int) -> Floats:
    """Float[n] in [0, 1] with this mean (0 < mean < 1)."""
    if name == "bernoulli":
        return (rng.random(n) < mean).astype(float)
    if name == "beta":
        return rng.beta(4.0 * mean, 4.0 * (1.0 - mean), n)
    if name == "ties":  # three values, the middle one half of the time as far as the mean allows
        middle = min(mean, 1.0 - mean)
        high = mean - middle / 2.0
        return rng.choice([0.0, 0.5, 1.0], n, p=[1.0 - high - middle, middle, high])
    if name == "skewed":  # mostly near one end, rarely at the other: the heaviest tail a bounded value has
        return _rare(rng, mean, n)
    if name == "near_constant":
        return rng.beta(4000.0 * mean, 4000.0 * (1.0 - mean), n)
    if name == "template":  # prompts go through CYCLE templates of different means
        room = 0.8 * min(mean, 1.0 - mean)
        means = mean + room * np.resize([-1.0, 1.0, -0.5, 0.5], n)
        return rng.beta(8.0 * means, 8.0 * (1.0 - means))
    raise ValueError(name)


def _rare(rng: np.random.Generator, mean: float, n: int) -> Floats:
    """Near ``mean`` but for one prompt in 50, which lies at the far end."""
    far = 1.0 if mean < 0.5 else 0.0
    rest = (mean - far / 50.0) / (1.0 - 1.0 / 50.0)
    return np.where(rng.random(n) < 1.0 / 50.0, far, rest)


def unbounded(rng: np.random.Generator, name: str, mean: float, n: int) -> Floats:
    """Float[n] with this mean, of a spread of about 2."""
    if name == "normal":
        return mean + 2.0 * rng.standard_normal(n)
    if name == "student_t3":
        return mean + rng.standard_t(3, n)
    if name == "rare_mode":  # 1% at -4.95 from where the rest would put the mean (a heavy left tail)
        return mean + np.where(rng.random(n) < 0.01, -4.95, 0.05)
    if name == "near_constant":
        return mean + 1e-3 * rng.standard_normal(n)
    raise ValueError(name)


# -- forms ---------------------------------------------------------------------------------------------


def _mean(values: tuple[Floats, ...]) -> float:
    return float(values[0].mean())


def _difference(values: tuple[Floats, ...]) -> float:
    return float(values[0].mean() - values[1].mean())


def _drop(values: tuple[Floats, ...]) -> float:
    return float(1.0 - values[1].mean() / values[0].mean())


def _pairs(rng: np.random.Generator, name: str, mean: float, n: int) -> tuple[Floats, ...]:
    """Two values a prompt, both in [0, 1], whose difference has this mean."""
    common = bounded(rng, name, 0.3, n)
    return common + 0.5 * bounded(rng, name, 2.0 * mean, n), common


def _clean_and_ablated(rng: np.random.Generator, name: str, drop: float, n: int) -> tuple[Floats, ...]:
    """A bounded metric, and the same ablated: the mean of the second is (1 - drop) times that of the first."""
    clean = bounded(rng, name, 0.7, n)
    return clean, clean * bounded(rng, "beta" if name == "template" else name, 1.0 - drop, n)


def _logits(rng: np.random.Generator, name: str, drop: float, n: int) -> tuple[Floats, ...]:
    """An unbounded metric of mean 4, and the same ablated."""
    clean = unbounded(rng, "normal", 4.0, n)
    return clean, clean - unbounded(rng, name, 4.0 * drop, n)


def _clipped(rng: np.random.Generator, name: str, mean: float, n: int) -> tuple[Floats, ...]:
    """Unbounded values cut to [-10, 10]; their mean is that of the cut values for the symmetric and narrow ones."""
    return (np.clip(unbounded(rng, name, mean, n), -10.0, 10.0),)


UNIT = (0.0, 1.0)
FORMS = (
    Form("mean at_least", True, 0.4, False, 0.55, 0.25, BOUNDED, lambda r, d, m, n: (bounded(r, d, m, n),),
         lambda v, c: infer_bounded(v[0], cycle=c), _mean),
    Form("mean at_most", True, 0.2, True, 0.08, 0.35, BOUNDED, lambda r, d, m, n: (bounded(r, d, m, n),),
         lambda v, c: infer_bounded(v[0], cycle=c), _mean),
    Form("share at_least", True, 0.8, False, 0.95, 0.6, ("bernoulli",), lambda r, d, m, n: (bounded(r, d, m, n),),
         lambda v, c: infer_bounded(v[0], cycle=c), _mean),
    Form("paired difference by_at_least", True, 0.2, False, 0.35, 0.05, BOUNDED, _pairs,
         lambda v, c: infer_difference(v[0], v[1], 0.0, 1.5, cycle=c), _difference),
    Form("drop_in of a probability at_least", True, 0.3, False, 0.5, 0.1, BOUNDED, _clean_and_ablated,
         lambda v, c: ratio_inference(v[1], v[0], UNIT, UNIT, c).less_than_one(), _drop),
    Form("mean of logits with a range, at_least", True, 1.0, False, 2.5, -0.5, ("normal", "near_constant", "rare_mode"),
         _clipped, lambda v, c: infer_bounded(v[0], -10.0, 10.0, c), _mean),
    Form("mean of logits at_least", False, 1.0, False, 2.5, -0.5, UNBOUNDED,
         lambda r, d, m, n: (unbounded(r, d, m, n),), lambda v, c: infer_t(v[0], 8.0), _mean),
    Form("drop_in of logits at_least", False, 0.2, False, 0.4, 0.0, UNBOUNDED, _logits,
         lambda v, c: ratio_inference(v[1], v[0], None, None).less_than_one(), _drop),
)  # fmt: skip


def looks(cycle: int) -> list[int]:
    """The looks that a suite takes at up to MOST prompts."""
    whole = MOST // cycle * cycle
    return [first + count for first, count in grid(cycle, whole) if first + count >= LEAST]


def run_cell(form: Form, distribution: str, truth: float, confidence: float, runs: int, seed: int) -> Cell:
    """Simulate one cell."""
    rng = np.random.default_rng([seed, *(form.name + distribution).encode(), int(1000 * (truth + 10))])
    ends = (None, form.bound) if form.upper else (form.bound, None)
    bound = Bound("at_most" if form.upper else "at_least", ends[0], ends[1], f"{form.bound:g}")
    cycle = CYCLE if distribution == "template" else 1
    how = Asked(confidence, 1, cycle=cycle, last=False)
    at, holds = truth == form.bound, (truth <= form.bound) if form.upper else (truth >= form.bound)
    counts = dict.fromkeys(Verdict, 0)
    used, bare = 0, 0
    stops = looks(cycle)
    for _ in range(runs):
        values = form.draw(rng, distribution, truth, MOST)
        verdict = Verdict.INCONCLUSIVE
        for n in stops:
            row = decide({}, bound, form.infer(tuple(each[:n] for each in values), cycle), how)
            verdict = Verdict(row["verdict"])
            if verdict in (Verdict.SUPPORTED, Verdict.REFUTED):
                break
        counts[verdict] += 1
        used += n
        passes = bound.holds(form.estimate(tuple(each[:FIXED] for each in values)))
        bare += passes if at or not holds else not passes
    return Cell(
        distribution, form.name, truth, form.bound, confidence, runs, form.guaranteed,
        counts[Verdict.SUPPORTED] / runs if at or not holds else 0.0,
        counts[Verdict.REFUTED] / runs if at or holds else 0.0,
        counts[Verdict.INCONCLUSIVE] / runs, used / runs, bare / runs,
    )  # fmt: skip


def cells(only: str | None = None) -> list[tuple[Form, str, float]]:
    """Every form with every distribution, its truth at, inside and outside the bound."""
    return [
        (form, distribution, truth)
        for form in FORMS
        if only is None or only in form.name
        for distribution in form.distributions
        for truth in (form.bound, form.inside, form.outside)
    ]


def _numbered(arguments: tuple[int, str | None, float, int, int]) -> Cell:
    number, only, confidence, runs, seed = arguments
    form, distribution, truth = cells(only)[number]
    return run_cell(form, distribution, truth, confidence, runs, seed)


def too_often(cell: Cell) -> bool:
    """Whether a guaranteed cell is wrong more often than promised, by more than three standard errors."""
    promised = (1.0 - cell.confidence) / 2.0
    slack = 3.0 * math.sqrt(promised * (1.0 - promised) / cell.runs)
    return cell.guaranteed and max(cell.false_supported, cell.false_refuted) > promised + slack


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print; the exit status is 1 where a guaranteed cell is wrong too often."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--runs", type=int, default=2000, help="runs a cell")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--confidence", type=float, default=0.95)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", help="only forms whose name holds this")
    asked = parser.parse_args(arguments)
    every = cells(asked.only)
    jobs = [(number, asked.only, asked.confidence, asked.runs, asked.seed) for number in range(len(every))]
    started = time.perf_counter()
    found: list[Cell] = []
    with ProcessPoolExecutor(asked.processes) as pool:
        for cell in pool.map(_numbered, jobs):
            found.append(cell)
            print(f"{len(found)}/{len(jobs)} {cell.form}, {cell.distribution}", file=sys.stderr)
    wrong = [cell for cell in found if too_often(cell)]
    if asked.json:
        result: dict[str, Any] = {"cells": [asdict(cell) for cell in found], "seconds": time.perf_counter() - started}
        print(json.dumps(result, indent=1))
    else:
        print(table(found))
        print(f"{len(wrong)} of {sum(c.guaranteed for c in found)} guaranteed cells are wrong too often")
    return 1 if wrong else 0


def table(found: Sequence[Cell]) -> str:
    """The cells as a Markdown table."""
    from tabulate import tabulate

    rows = [
        [c.form, c.distribution, c.truth, c.bound, "yes" if c.guaranteed else "no", f"{c.false_supported:.1%}",
         f"{c.false_refuted:.1%}", f"{c.inconclusive:.1%}", f"{c.mean_n:.0f}", f"{c.bare_threshold_false:.1%}"]
        for c in found
    ]  # fmt: skip
    names = ("form", "distribution", "truth", "bound", "guaranteed", "false SUPPORTED", "false REFUTED", "INCONCLUSIVE",
             "mean n", "bare threshold wrong")  # fmt: skip
    return str(tabulate(rows, names, tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    raise SystemExit(main())
