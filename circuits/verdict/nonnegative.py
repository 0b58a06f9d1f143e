"""The mean of values of at least 0 without an upper end (kl, loss).

That such a mean is large can be shown without an assumption, by betting on value / bound - 1; that it is small cannot (Bahadur &
Savage 1956): the upper end is that of the t e-process.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from circuits.verdict import betting
from circuits.verdict.estimate import Estimate, Inference, infer_t

Floats = npt.NDArray[np.float64]


def infer_nonnegative(values: npt.ArrayLike, observed_range: float | None = None, cycle: int = 1) -> Inference:
    """``estimate.mean_t`` of such values, Float[prompt], with a guaranteed lower end and e-value above.

    NaN is skipped; values below -1e-6 raise ValueError. ``observed_range``, ``cycle``: see ``estimate``.
    """
    plain = infer_t(values, observed_range, nonneg=True)

    def present() -> tuple[Floats, npt.NDArray[np.intp] | None]:
        every = np.asarray(values, dtype=np.float64)
        there = ~np.isnan(every)
        return np.maximum(every[there], 0.0), None if cycle == 1 else np.flatnonzero(there) // cycle

    def interval(confidence: float) -> Estimate:
        found, (kept, strata) = plain(confidence), present()
        low = betting.lower_limit_nonnegative(kept, (1.0 - confidence) / 2.0, strata)
        return replace(
            found, low=min(low, found.value), low_guaranteed=True, method=f"{found.method}, lower end betting"
        )

    def above(at: float) -> float:
        kept, strata = present()
        return betting.log_e_nonnegative(kept, at, strata) if at > 0.0 else math.inf

    return Inference(interval, above, plain.below)
