"""Seeded draws that are the same on every machine and for every Python version.

Only ``random.Random(str)`` and ``.random()`` are used: these two keep their sequences between
versions of Python, while ``sample`` and ``shuffle`` make no such promise.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

#: A stream ends after this many draws in a row that gave no prompt not yet seen.
FRUITLESS_DRAWS = 2000


def stream_of(seed: int, stream: str, family: str, params: Mapping[str, Any]) -> random.Random:
    """The generator of one stream; another seed, stream, family or parameter gives an independent one."""
    described = json.dumps(dict(params), sort_keys=True, ensure_ascii=True, default=str)
    return random.Random(f"{seed}/{stream}/{family}/{described}")


def below(rng: random.Random, n: int) -> int:
    """A uniform integer in 0..n-1 (n at least 1)."""
    return min(n - 1, int(rng.random() * n))


def choose(rng: random.Random, values: Sequence[T]) -> T:
    """One of ``values``, uniformly."""
    return values[below(rng, len(values))]


def sample(rng: random.Random, values: Sequence[T], k: int) -> list[T]:
    """``k`` of ``values`` without replacement, in random order; ValueError when there are fewer.

    Takes k draws and O(k) memory, so that a vocabulary need not be copied for each block.
    """
    if k > len(values):
        raise ValueError(f"{k} values asked for, only {len(values)} there")
    moved: dict[int, int] = {}
    drawn = []
    for taken in range(k):
        last = len(values) - 1 - taken
        index = below(rng, last + 1)
        drawn.append(values[moved.get(index, index)])
        moved[index] = moved.get(last, last)
    return drawn
