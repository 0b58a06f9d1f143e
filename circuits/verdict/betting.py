"""Test a bounded mean by betting: e-processes, and the lower limit they give by inversion.

A gambler who does not believe "the mean is at most m" bets on values above m. While that statement is
true, no strategy that looks only at earlier values can be expected to gain, so by Ville's inequality the
capital ever reaches 1/a with probability at most a. Nothing is assumed about the shape of the
distribution: only that the values lie in [0, 1] and are drawn independently from one distribution (or,
more weakly, that each has the same mean given the earlier ones).

Source: Waudby-Smith & Ramdas, "Estimating means of bounded random variables by betting" (JRSS-B 2024,
arXiv 2010.09686): the predictable plug-in bets for a fixed n, and aGRAPA.

Everything here is one-sided, for lower limits; the other side is the same for ``1 - values``. The
processes run over time, so they serve sampling that stops early as well as a fixed n: whoever looks at the
capital after any number of values, chosen in any way, is wrong with probability at most a.

Strata: where the prompts go through a fixed cycle of templates, single values differ in their means and only a whole
cycle has the mean that is asked about. The stake is then held constant within a cycle (by the inequality of
arithmetic and geometric means the capital cannot be expected to grow over a cycle), and looks are taken at
the ends of cycles. ``strata`` gives each value the number of its cycle.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]

TUNED_LEVEL = 0.025
"""The error probability that the plug-in bets are tuned for.

One constant, whatever confidence is asked: the capital then does not depend on the confidence, and a
higher confidence always gives an interval that contains the lower one's. The promise holds at every
level; only the width is tuned, and is hardly worse elsewhere.
"""

HORIZONS = (24.0, 64.0, 160.0)
"""Numbers of values at which the plug-in bets are strongest: fixed, so that no look changes an earlier bet."""

TRUNCATION = 0.9
"""The largest share of the capital that one value may lose (below 1, so no path is ever ruined)."""

PRIOR_MEAN = 0.5
PRIOR_VARIANCE = 0.25
"""The first bet's guess, with the weight of one value: the most spread a variable in [0, 1] can have."""

_CELLS = 200
_PARTS = 24
_ROUNDS = 3
# Cells are at most pi / (2 * 200) = 0.008 wide; three rounds of 24 parts bring that to 6e-7.


def running_moments(values: Floats, strata: Ints | None = None) -> tuple[Floats, Floats]:
    """Mean and variance as guessed before each value is seen, both of shape [n].

    Entry t uses ``values[:t]`` only (and the prior, weighted as one value), which makes a bet built
    from it predictable; with ``strata`` Int[n] (ascending numbers of cycles) it uses the values of earlier cycles only.
    ``values`` has shape [n] and lies in [0, 1].
    """
    count = np.arange(1, len(values) + 1)
    means = (PRIOR_MEAN + np.cumsum(values)) / (count + 1)
    variances = (PRIOR_VARIANCE + np.cumsum((values - means) ** 2)) / (count + 1)
    before = np.arange(len(values)) if strata is None else np.searchsorted(strata, strata)
    return (
        np.concatenate(([PRIOR_MEAN], means))[before],
        np.concatenate(([PRIOR_VARIANCE], variances))[before],
    )


def log_capital(values: Floats, means: Floats, bets: Floats) -> Floats:
    """Log capital after each value, shape [n, g], against "the mean is at most ``means[j]``".

    ``values`` [n] in [0, 1]; ``means`` [g] in [0, 1]; ``bets`` [n, 1] or [n, g] is the stake per unit of
    ``value - mean`` before truncation. Stakes are cut to [0, TRUNCATION / mean]: capital stays positive,
    and for a stake that does not depend on the mean it falls as the mean rises, truncation included.
    """
    with np.errstate(divide="ignore"):
        largest = TRUNCATION / means
    stakes = np.clip(bets, 0.0, largest[None, :])
    log_gains: Floats = np.log1p(stakes * (values[:, None] - means[None, :]))
    return np.cumsum(log_gains, axis=0)


def log_e_process(
    values: Floats,
    means: Floats,
    tuned_at: Floats | None = None,
    strata: Ints | None = None,
    horizons: Sequence[float] = HORIZONS,
) -> Floats:
    """Log e-process after each value, shape [n, g], against "the mean is at most ``means[j]``".

    The average of one plug-in strategy per horizon (tuned to be strongest after about that many values)
    and of aGRAPA, which needs no horizon. An average of e-processes is an e-process.

    ``values`` [n] in [0, 1], in the order drawn; ``means`` [g] in [0, 1]; ``horizons`` at least one
    number of values above 0, chosen without looking at the values. ``tuned_at`` [g] is the mean at
    which aGRAPA computes its bet, by default ``means``; any value fixed in advance is valid. ``strata``: see the
    module; only the entries at the ends of cycles are then e-values.
    """
    if not len(horizons) or min(horizons) <= 0:
        raise ValueError(f"horizons must be numbers of values above 0, got {list(horizons)!r}")
    guess, variance = running_moments(values, strata)
    log_budget = 2.0 * np.log(1.0 / TUNED_LEVEL)
    parts = [log_capital(values, means, np.sqrt(log_budget / (horizon * variance))[:, None]) for horizon in horizons]
    distance = guess[:, None] - (means if tuned_at is None else tuned_at)[None, :]
    parts.append(log_capital(values, means, distance / (variance[:, None] + distance**2)))

    # A log-sum-exp by hand: np.logaddexp.reduce costs several times as much.
    top = np.maximum.reduce(parts)
    total = np.zeros_like(top)
    for part in parts:
        total += np.exp(part - top)
    return np.asarray(top + np.log(total / len(parts)), dtype=np.float64)


def log_e(values: Floats, mean: float, strata: Ints | None = None) -> float:
    """Log e-value of all ``values`` against "the mean is at most ``mean``": the capital as it stands now.

    0 for a mean of 1 or more, which no value in [0, 1] exceeds.
    """
    if mean >= 1.0 or mean < 0.0:
        return 0.0 if mean >= 1.0 else math.inf
    return _capital_now(values, mean, strata)


def log_e_nonnegative(values: Floats, mean: float, strata: Ints | None = None) -> float:
    """Log e-value of ``values`` >= 0, without an upper end, against "the mean is at most ``mean``" (> 0).

    The bet is on value / mean - 1, which is -1 at worst and has a mean of at most 0 where that is true: nothing else is
    assumed, however heavy the upper tail.
    """
    if not mean > 0.0:
        raise ValueError(f"values of at least 0 are tested against a mean above 0, not {mean}")
    return _capital_now(values / mean, 1.0, strata)


def lower_limit_nonnegative(values: Floats, level: float, strata: Ints | None = None) -> float:
    """A lower confidence limit for the mean of ``values`` >= 0 without an upper end: wrong with probability at most ``level``.

    The largest of 200 steps up to the sample mean below which every step is rejected; in [0, mean].
    """
    mean, need = float(values.mean()), math.log(1.0 / level)
    low = 0.0
    for step in range(1, 201):
        at = mean * step / 200.0
        if at <= 0.0 or log_e_nonnegative(values, at, strata) < need:
            break
        low = at
    return low


def _capital_now(values: Floats, mean: float, strata: Ints | None) -> float:
    # The last entry of ``log_e_process``, without the others: this is asked thousands of times.
    guess, variance = running_moments(values, strata)
    bets = np.empty((len(HORIZONS) + 1, len(values)))
    bets[:-1] = np.sqrt(2.0 * math.log(1.0 / TUNED_LEVEL) / (np.array(HORIZONS)[:, None] * variance))
    distance = guess - mean
    bets[-1] = distance / (variance + distance**2)
    np.clip(bets, 0.0, TRUNCATION / mean if mean > 0.0 else math.inf, out=bets)
    logs = np.log1p(bets * (values - mean)).sum(axis=1)
    top = float(logs.max())
    return top + math.log(float(np.exp(logs - top).mean()))


def lower_limit(values: Floats, level: float, strata: Ints | None = None) -> float:
    """A lower confidence limit for the mean: wrong with probability at most ``level``, at whatever n one stops.

    The limit lies below every mean m for which the capital against "the mean is at most m" is now
    under 1/level (Ville's inequality), to within 6e-7 and always rounded towards 0. ``values`` has shape [n >= 1],
    lies in [0, 1] and is in the order drawn; the result lies in [0, 1).

    aGRAPA's capital need not fall as m rises, so a grid alone could miss a mean that is not rejected
    between two rejected ones. Therefore every m uses the bets tuned at the upper end of its grid
    cell: within a cell the capital does fall, so a cell whose upper end is rejected is rejected
    whole, and the limit is exact (the smallest mean that is not rejected, islands included).
    """
    need = np.log(1.0 / level)

    def kept(means: Floats, tuned_at: Floats | None = None) -> npt.NDArray[np.bool_]:
        return np.asarray(log_e_process(values, means, tuned_at, strata)[-1] < need)

    # Finest near both ends, where values of small variance make narrow intervals. The upper end 1 is
    # never rejected: no value exceeds it, so betting above it never gains.
    ends = np.sin(np.pi / 2 * np.arange(_CELLS + 1) / _CELLS) ** 2
    first = int(np.argmax(kept(ends)))
    if first == 0:
        return 0.0
    low, high = float(ends[first - 1]), float(ends[first])
    tuned_at = np.full(_PARTS + 1, high)
    for _ in range(_ROUNDS):
        inner = np.linspace(low, high, _PARTS + 1)
        is_kept = kept(inner, tuned_at)
        is_kept[0], is_kept[-1] = False, True  # known already, or decided by the cell below
        first = int(np.argmax(is_kept))
        low, high = float(inner[first - 1]), float(inner[first])
    return low
