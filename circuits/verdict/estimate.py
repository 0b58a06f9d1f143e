"""Estimates with honest intervals and e-values, whenever the sampling stops.

Every function takes per-prompt values in seed order (the prompt is the unit of replication). NaN means
"this prompt has no value" (no eligible query, say): it is dropped and counted in ``skipped``, never read
as 0. Infinite values and empty input raise ValueError.

The error probability is split evenly: each end of an interval is wrong with probability at most
a = (1 - confidence) / 2, at whatever number of prompts one looks or stops (confidence sequences, Howard et al., arXiv
1810.08240), except ``share``. ``guaranteed`` says whether that holds for every distribution of independently
drawn prompts; where it is False, ``assumption`` says what it rests on. A higher confidence never gives a
narrower interval.

``cycle``: where prompts go through a fixed cycle of templates, its length; looks are then taken at the ends of
cycles (``betting``).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from circuits.verdict import anytime_t, betting

Floats = npt.NDArray[np.float64]

RANGE_TOLERANCE = 1e-6
"""How far outside its range a value may lie through rounding; it is clipped, beyond is an error."""

CONSTANT_TOLERANCE = 1e-6
"""Values that differ by less than this share of their scale are one constant plus float32 noise."""

SMALL = 1e-6
"""The range that is assumed where nothing is known of a metric and all its values are 0."""

NEAR_NORMAL = "near-normal, no unseen rare mode"
UNSEEN_WITHIN_RANGE = "constant sample: prompts that differ are rare and differ by at most the assumed range"


@dataclass(frozen=True)
class Estimate:
    """A number measured on ``n`` prompts and the interval [low, high] around it, in the value's units.

    ``low <= value <= high`` and ``low < high`` always. ``confidence`` is two-sided; ``method`` is one of
    "betting", "clopper-pearson", "t", "fieller", "rule-of-three"; ``guaranteed`` is False where coverage
    rests on ``assumption`` (None when guaranteed); ``low_guaranteed``: the lower end rests on none in any case;
    ``skipped`` counts prompts without a value, not in ``n``.
    """

    value: float
    low: float
    high: float
    n: int
    confidence: float
    method: str
    guaranteed: bool
    assumption: str | None
    skipped: int
    low_guaranteed: bool = field(default=False, kw_only=True)


@dataclass(frozen=True)
class RatioEstimate(Estimate):
    """A ratio of means (or 1 minus one), with the estimate of its denominator's mean.

    Where ``denominator_positive`` is False (the denominator's interval reaches 0 or below) the ratio has
    no meaning or no bounded interval: low is -inf and high is inf. ``value`` is then still the
    plain ratio, and NaN where the denominator's mean is exactly 0: nothing to report as a number.
    """

    denominator: Estimate
    denominator_positive: bool


def corrected(confidence: float, m: int) -> float:
    """The confidence of each of ``m`` intervals that together hold at ``confidence`` (Bonferroni).

    1 - (1 - confidence) / m, for m >= 1; at m = 1 exactly ``confidence``.
    """
    _error_per_side(confidence)
    if m < 1:
        raise ValueError(f"a correction is for at least 1 interval, got m = {m}")
    return confidence if m == 1 else 1.0 - (1.0 - confidence) / m


def log_needed(confidence: float, times: float = 1.0) -> float:
    """The log e-value that a verdict needs: 1/a, as often as an error is shared by ``times`` of them."""
    return math.log(times / _error_per_side(confidence))


def bounded_mean(
    values: npt.ArrayLike, low_end: float = 0.0, high_end: float = 1.0, confidence: float = 0.95, cycle: int = 1
) -> Estimate:
    """The mean of values in [low_end, high_end], with a betting interval. Guaranteed.

    No assumption but independent prompts and the range. ``values`` has shape [prompt], in seed order:
    the limits depend on the order, which the seed fixed before anything was measured. The interval
    is inside the range, holds the mean and never has zero width. Values outside the range by more than 1e-6
    raise ValueError. Source: Waudby-Smith & Ramdas, arXiv 2010.09686; see betting.py.
    """
    error = _error_per_side(confidence)
    unit, strata, skipped = _units(values, low_end, high_end, cycle)
    n = len(unit)
    mean = float(np.clip(unit.mean(), 0.0, 1.0))
    # An ill-ordered sample may leave the mean outside; widening is always valid.
    low = min(betting.lower_limit(unit, error, strata), mean)
    high = max(1.0 - betting.lower_limit(1.0 - unit, error, strata), mean)
    return Estimate(
        value=_from_unit(mean, low_end, high_end),
        low=_from_unit(low, low_end, high_end),
        high=_from_unit(high, low_end, high_end),
        n=n,
        confidence=confidence,
        method="betting",
        guaranteed=True,
        assumption=None,
        skipped=skipped,
    )


def paired_difference(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    low_end: float = 0.0,
    high_end: float = 1.0,
    confidence: float = 0.95,
    cycle: int = 1,
) -> Estimate:
    """The mean of ``a - b`` over prompts, both in [low_end, high_end], with a betting interval. Guaranteed.

    ``a`` and ``b`` have shape [prompt] and entry i of both belongs to the same prompt; a prompt
    where either is NaN is skipped. The result lies in [-R, R], R = high_end - low_end.
    """
    difference, width = _differences(a, b, low_end, high_end), high_end - low_end
    return bounded_mean(difference, -width, width, confidence, cycle)


def share(values: npt.ArrayLike, confidence: float = 0.95) -> Estimate:
    """The share of successes, with the exact interval of Clopper & Pearson (1934). Guaranteed.

    ``values`` has shape [prompt], each 0 or 1 (or bool). For a number of prompts fixed in advance only:
    looking every 16 prompts was simulated to give 18% wrong verdicts at the bound instead of 2.5%.
    """
    from scipy.special import betaincinv

    error = _error_per_side(confidence)
    present, skipped = _present(values)
    other = present[(present != 0.0) & (present != 1.0)]
    if len(other):
        raise ValueError(f"a share needs values that are 0 or 1, got {other[0]:g}; use bounded_mean")
    n, hits = len(present), int(present.sum())
    return Estimate(
        value=hits / n,
        low=float(betaincinv(hits, n - hits + 1, error)) if hits else 0.0,
        high=float(betaincinv(hits + 1, n - hits, 1.0 - error)) if hits < n else 1.0,
        n=n,
        confidence=confidence,
        method="clopper-pearson",
        guaranteed=True,
        assumption=None,
        skipped=skipped,
    )


def mean_t(
    values: npt.ArrayLike,
    confidence: float = 0.95,
    observed_range: float | None = None,
    nonneg: bool = False,
) -> Estimate:
    """The mean of unbounded values, with the interval of the t e-process (``anytime_t``). Not guaranteed.

    No test of an unbounded mean is free of assumptions (Bahadur & Savage 1956); this one's is in
    ``assumption``. ``values`` has shape [prompt], any units. ``nonneg`` (kl, loss) cuts the interval at
    0; values below -1e-6 then raise ValueError.

    Constant values (to float32 noise) and n = 1 say nothing of the spread. They get
    value ± (k / n) * ``observed_range``, the metric's range on clean prompts: seeing n equal values leaves
    room for a share of about k / n of prompts that differ, by up to that range. k = 3 (the rule of
    three), more above 95% confidence: 3 * log(1 - confidence) / log(0.05). Without a range (None or 0) the
    size of the value itself stands in, at least 1e-6: a guess, there only so that sampling never
    gives certainty.
    """
    error = _error_per_side(confidence)
    present, skipped = _present(values)
    if nonneg:
        if present.min() < -RANGE_TOLERANCE:
            raise ValueError(f"values must not be negative, got {present.min():g}")
        present = np.maximum(present, 0.0)
    observed = _check_range(observed_range)
    n, mean = len(present), float(present.mean())
    constant = _is_constant(present, observed)
    half = (
        _rule_of_three(n, confidence) * (observed or max(abs(mean), SMALL))
        if constant
        else anytime_t.quantile(n, error) * float(present.std(ddof=1)) / math.sqrt(n)
    )
    low = mean - half
    return Estimate(
        value=mean,
        low=max(low, 0.0) if nonneg else low,
        high=mean + half,
        n=n,
        confidence=confidence,
        method="rule-of-three" if constant else "t",
        guaranteed=False,
        assumption=UNSEEN_WITHIN_RANGE if constant else NEAR_NORMAL,
        skipped=skipped,
    )


def ratio_of_means(
    numerator: npt.ArrayLike,
    denominator: npt.ArrayLike,
    confidence: float = 0.95,
    observed_range: float | None = None,
) -> RatioEstimate:
    """mean(numerator) / mean(denominator) over prompts, with Fieller's interval. Not guaranteed.

    The interval holds every c at which the t e-process (``anytime_t``) does not reject "the mean of numerator - c * denominator
    is 0" (Fieller 1954), together with a positive mean of the denominator: an intersection-union
    test, which needs no correction. Both arrays have shape [prompt] and the same prompts; a prompt
    where either is NaN is skipped. recovers: numerator F(C), denominator F(M); normalised: F(C) - F(0),
    F(M) - F(0); interaction: (F(M\\G) - F(M\\G\\A)) - (F(M) - F(M\\A)), F(M).

    Where the linear form does not vary (a head whose ablation changes nothing) or n = 1, the interval
    is the ratio ± (k / n) * ``observed_range`` / mean(denominator), as in ``mean_t``; without a range
    the range of the denominator's values is used, and their size where that is 0.
    """
    (top, bottom), skipped = _present_together(numerator=numerator, denominator=denominator)
    error = _error_per_side(confidence)
    observed = _check_range(observed_range)
    below = replace(mean_t(bottom, confidence, observed), skipped=skipped)
    n, top_mean, mean = len(top), float(top.mean()), below.value
    if not observed and not _is_constant(bottom, None):
        observed = float(np.ptp(bottom))

    ratio = top_mean / mean if mean else math.nan
    rest = top - ratio * bottom if mean else top
    constant = _is_constant(rest, float(np.abs(bottom).max()))
    low, high, positive = -math.inf, math.inf, below.low > 0.0
    if positive and constant:
        size = observed or max(abs(mean), abs(top_mean), SMALL)
        half = _rule_of_three(n, confidence) * size / mean
        low, high = ratio - half, ratio + half
    elif positive:
        low, high = _fieller(ratio, rest, bottom, anytime_t.quantile(n, error))
    return RatioEstimate(
        value=ratio,
        low=low,
        high=high,
        n=n,
        confidence=confidence,
        method="rule-of-three" if constant else "fieller",
        guaranteed=False,
        assumption=UNSEEN_WITHIN_RANGE if constant else NEAR_NORMAL,
        skipped=skipped,
        denominator=below,
        denominator_positive=positive,
    )


@dataclass(frozen=True)
class Inference:
    """What is known of one number at one look: its interval at any confidence, and e-values for and against bounds.

    ``interval(confidence)``: the estimate. ``above(c)``: log e-value against "the number is at most c";
    ``exact``: the interval decides by itself (for a number of prompts fixed in advance).
    ``below(c)``: against "it is at least c". Both are minus infinity, or 0, where nothing can be said. An e-value
    is not expected to exceed 1 if what it speaks against is true, at whatever n one stops. ``span``: the ends that no
    value of a bounded number passes.
    """

    interval: Callable[[float], Estimate]
    above: Callable[[float], float]
    below: Callable[[float], float]
    exact: bool = False
    span: tuple[float, float] = (-math.inf, math.inf)

    def __call__(self, confidence: float) -> Estimate:
        return self.interval(confidence)

    def less_than_one(self) -> Inference:
        """The same of 1 minus the number: a share kept as a share lost."""

        def turned(confidence: float) -> Estimate:
            found = self.interval(confidence)
            return replace(found, value=1.0 - found.value, low=1.0 - found.high, high=1.0 - found.low)

        span = (1.0 - self.span[1], 1.0 - self.span[0])
        return Inference(turned, lambda at: self.below(1.0 - at), lambda at: self.above(1.0 - at), span=span)

    def at_most(self, most: float) -> Inference:
        """The same of a number that is known not to exceed ``most`` (an estimate above it is left as it is)."""

        def cut(confidence: float) -> Estimate:
            found = self.interval(confidence)
            return replace(found, high=min(found.high, most)) if found.value <= most else found

        return replace(self, interval=cut, span=(self.span[0], most))


def infer_bounded(values: npt.ArrayLike, low_end: float = 0.0, high_end: float = 1.0, cycle: int = 1) -> Inference:
    """``bounded_mean`` with its e-values (the betting capital)."""
    width = high_end - low_end

    def capital(at: float, sign: int) -> float:
        unit, strata, _ = _units(values, low_end, high_end, cycle)
        mean = (at - low_end) / width
        return betting.log_e(unit, mean, strata) if sign > 0 else betting.log_e(1.0 - unit, 1.0 - mean, strata)

    return Inference(
        lambda confidence: bounded_mean(values, low_end, high_end, confidence, cycle),
        lambda at: capital(at, 1),
        lambda at: capital(at, -1),
        span=(low_end, high_end),
    )


def infer_difference(
    a: npt.ArrayLike, b: npt.ArrayLike, low_end: float = 0.0, high_end: float = 1.0, cycle: int = 1
) -> Inference:
    """``paired_difference`` with its e-values."""
    width = high_end - low_end
    return infer_bounded(_differences(a, b, low_end, high_end), -width, width, cycle)


def infer_t(values: npt.ArrayLike, observed_range: float | None = None, nonneg: bool = False) -> Inference:
    """``mean_t`` with its e-values. A constant sample has those of its size only beyond its rule-of-three interval."""

    def test(at: float, sign: int) -> float:
        present, _ = _present(values)
        observed = _check_range(observed_range) or max(abs(float(present.mean())), SMALL)  # as in ``mean_t``
        return _log_t(sign * (present - at), observed, float(np.abs(present).max()))

    return Inference(
        lambda confidence: mean_t(values, confidence, observed_range, nonneg),
        lambda at: test(at, 1),
        lambda at: test(at, -1),
        span=(0.0 if nonneg else -math.inf, math.inf),
    )


def infer_ratio(numerator: npt.ArrayLike, denominator: npt.ArrayLike, observed_range: float | None = None) -> Inference:
    """``ratio_of_means`` with its e-values: the least of that of the linear form and that of a positive denominator."""

    def test(at: float, sign: int) -> float:
        (top, bottom), _ = _present_together(numerator=numerator, denominator=denominator)
        size = float(np.abs(bottom).max())
        observed = _check_range(observed_range) or size
        form, ratio = sign * (top - at * bottom), float(top.mean()) / (float(bottom.mean()) or math.nan)
        if _is_constant(top - ratio * bottom, size):  # nothing changes: the spread of the form is the denominator's
            form = np.full(len(form), form.mean())
        return min(_log_t(form, observed, size), _log_t(bottom, observed, size))

    return Inference(
        lambda confidence: ratio_of_means(numerator, denominator, confidence, observed_range),
        lambda at: test(at, 1),
        lambda at: test(at, -1),
    )


def _log_t(values: Floats, observed: float, scale: float) -> float:
    """Log e-value of the t e-process for a mean above 0, for constants no more than the rule of three allows.

    That rule finds a constant apart from 0 at the error d with which 3 log(d) / log(.05) / n of ``observed``
    just reaches it; half of d is an end's share.
    """
    n, mean = len(values), float(values.mean())
    if not _is_constant(values, scale):
        return anytime_t.log_e(n, mean, float(values.std(ddof=1)))
    thirds = mean * n / (3.0 * (observed or max(abs(mean), SMALL)))
    return min(anytime_t.log_e(n, mean, 0.0), math.log(2.0) - thirds * math.log(0.05)) if thirds >= 1.0 else 0.0


def paired_effect(differences: npt.ArrayLike) -> float | None:
    """Cohen's d for paired data, d_z: mean / standard deviation (n - 1) of the per-prompt differences.

    Unit-free, any sign; how large the difference is against its spread over prompts, whatever n.
    By Cohen's (1988) convention 0.2 is small, 0.5 medium, 0.8 large. None, never infinite, when the
    differences do not vary or fewer than two prompts have one.
    """
    values = _vector(differences, "differences")
    values = values[~np.isnan(values)]
    if len(values) < 2 or _is_constant(values, None):
        return None
    return float(values.mean() / values.std(ddof=1))


def _fieller(ratio: float, rest: Floats, bottom: Floats, quantile: float) -> tuple[float, float]:
    """The roots of Fieller's quadratic, in the distance from the ratio so that nothing cancels.

    ``rest`` = numerator - ratio * denominator has mean 0, so c = ratio + d is kept when
    (d * mean)^2 <= quantile^2 / n * var(rest - d * denominator). Unbounded sets give (-inf, inf).
    """
    mean, n = float(bottom.mean()), len(bottom)
    if math.isinf(quantile):
        return -math.inf, math.inf
    (var_rest, both), (_, var_bottom) = np.cov(rest, bottom) * (quantile**2 / n)
    leading = mean**2 - var_bottom
    if leading <= 0.0:
        return -math.inf, math.inf
    root = max(math.sqrt(both**2 + leading * var_rest), abs(both))  # at least so, but for rounding
    return float(ratio - (both + root) / leading), float(ratio + (root - both) / leading)


def _error_per_side(confidence: float) -> float:
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence!r}")
    return (1.0 - confidence) / 2.0


def _rule_of_three(n: int, confidence: float) -> float:
    """The share of prompts that may differ unseen: 3/n at 95%, more above, never less."""
    return max(3.0, 3.0 * math.log(1.0 - confidence) / math.log(0.05)) / n


def _is_constant(values: Floats, scale: float | None) -> bool:
    """Whether values differ by float32 noise at most, against their size or the given scale."""
    size = max(float(np.abs(values).max()), scale or 0.0)
    return float(np.ptp(values)) <= CONSTANT_TOLERANCE * size


def _check_range(observed_range: float | None) -> float:
    if observed_range is None:
        return 0.0
    if not (math.isfinite(observed_range) and observed_range >= 0.0):
        raise ValueError(f"observed_range must be a finite number of at least 0, got {observed_range!r}")
    return float(observed_range)


def _vector(values: npt.ArrayLike, name: str) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"{name} must have one number per prompt, got an array of shape {array.shape}")
    if np.isinf(array).any():
        at = int(np.flatnonzero(np.isinf(array))[0])
        raise ValueError(f"{name} must be finite, got {array[at]} at prompt {at}")
    return array


def _present(values: npt.ArrayLike) -> tuple[Floats, int]:
    """The values that are there, and how many are not."""
    (present,), skipped = _present_together(values=values)
    return present, skipped


def _present_together(**named: npt.ArrayLike) -> tuple[list[Floats], int]:
    """The prompts at which every array has a value, and how many prompts lack one."""
    arrays = {name: _vector(values, name) for name, values in named.items()}
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"arrays must cover the same prompts, got lengths {lengths}")
    there = ~np.any([np.isnan(array) for array in arrays.values()], axis=0)
    if not there.any():
        raise ValueError(f"no values: none of {len(there)} prompts has one")
    return [array[there] for array in arrays.values()], int((~there).sum())


def _differences(a: npt.ArrayLike, b: npt.ArrayLike, low_end: float, high_end: float) -> Floats:
    """a - b of values in [low_end, high_end]; NaN where either is."""
    first, second = _vector(a, "a"), _vector(b, "b")
    if len(first) != len(second):
        raise ValueError(f"arrays must cover the same prompts, got lengths {{'a': {len(first)}, 'b': {len(second)}}}")
    there = ~(np.isnan(first) | np.isnan(second))
    found = np.full(len(first), np.nan)
    if there.any():
        units = [_to_unit(each[there], low_end, high_end, name) for each, name in ((first, "a"), (second, "b"))]
        found[there] = (high_end - low_end) * (units[0] - units[1])
    return found


def _units(
    values: npt.ArrayLike, low_end: float, high_end: float, cycle: int
) -> tuple[Floats, npt.NDArray[np.intp] | None, int]:
    """The values that are there as shares of their range, the cycle of each (None: no strata), and how many lack."""
    if cycle < 1:
        raise ValueError(f"a cycle has at least 1 prompt, got {cycle}")
    every = _vector(values, "values")
    present, skipped = _present(every)
    strata = None if cycle == 1 else np.flatnonzero(~np.isnan(every)) // cycle
    return _to_unit(present, low_end, high_end, "values"), strata, skipped


def _to_unit(values: Floats, low_end: float, high_end: float, name: str) -> Floats:
    """Map [low_end, high_end] to [0, 1], clipping what rounding put outside."""
    if not (math.isfinite(low_end) and math.isfinite(high_end) and low_end < high_end):
        raise ValueError(f"a range needs two finite ends in order, got [{low_end}, {high_end}]")
    for value in (float(values.min()), float(values.max())):
        if not low_end - RANGE_TOLERANCE <= value <= high_end + RANGE_TOLERANCE:
            raise ValueError(f"{name} must lie in [{low_end:g}, {high_end:g}], got {value:g}")
    return np.clip((values - low_end) / (high_end - low_end), 0.0, 1.0)


def _from_unit(unit: float, low_end: float, high_end: float) -> float:
    """Back to [low_end, high_end]; never outside it through rounding."""
    return min(max(low_end + (high_end - low_end) * unit, low_end), high_end)
