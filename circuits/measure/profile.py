"""Where a head looks, without a claim: mean attention by distance, and between classes of tokens.

Both are sums over the queries of all prompts, collected in the attention pass batch by batch. They
show what a claim's own cells hide: a head that looks three tokens back and, where that fails, seven.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.prompts.prompt import TokenPrompt
from circuits.prompts.roles import PUNCTUATION

MOST_CLASSES = 12  # "bos" and the rest included; more could not be read as a table
DIGITS = 5


@dataclass(frozen=True)
class Profile:
    """Where one head looks on one prompt set of ``n`` prompts.

    ``offsets``: Float[distance], 0 to 1, the mean attention to the key that many tokens before the query
    (0 = the query itself) over the queries of all prompts that have such a key. BOS counts neither as
    query nor as key here, so a far distance is a mean over few queries and the whole need not sum to 1.
    ``bos``: the mean attention of the same queries to BOS, None for prompts without it.

    ``classes``: what the positions are called, see ``classes_of``. ``matrix``: Float[class, class],
    [q, k] = mean over the queries of class q (all prompts) of their summed attention to all keys of
    class k, themselves included: a row sums to 1. NaN where a class has no query.

    NaN also where the model's attention is not a number.
    """

    offsets: NDArray[np.float64]
    bos: float | None
    classes: tuple[str, ...]
    matrix: NDArray[np.float64]
    n: int


@dataclass(frozen=True)
class Classes:
    """Names of the classes, and each prompt's class index by position: Int[pos]."""

    names: tuple[str, ...]
    of: tuple[NDArray[np.int64], ...]


def classes_of(prompts: Sequence[TokenPrompt]) -> Classes:
    """Every position of every prompt in exactly one class: "bos", a role, or "other".

    A position in several roles belongs to the first of them: slots and named roles, then the template's
    own words, then punctuation; within each in the order in which they appear in the first prompt (of two
    that begin together the smaller one, so that a role inside a wide one is seen), then those that only
    later prompts have. Classes without a position are left out; with more than ``MOST_CLASSES`` the last
    roles join "other" (called "the rest" where the prompts have a role named "other").
    """
    order = {role: place for place, role in enumerate(_by_priority(prompts))}
    rest = "the rest" if "other" in order else "other"
    owners = [_owners(prompt, order, rest) for prompt in prompts]
    present = {name for names in owners for name in names}
    roles = [role for role in order if role in present]
    front = ["bos"] if "bos" in present else []
    room = MOST_CLASSES - len(front)
    if len(roles) + (rest in present) > room:
        roles = roles[: room - 1]
        present.add(rest)
    names = (*front, *roles, *([rest] if rest in present else []))
    number = {name: place for place, name in enumerate(names)}
    return Classes(names, tuple(np.array([number.get(name, len(names) - 1) for name in one]) for one in owners))


def _by_priority(prompts: Sequence[TokenPrompt]) -> list[str]:
    found: list[str] = []
    for prompt in prompts:
        covered = {role: {place for span in spans for place in span} for role, spans in prompt.roles.items()}
        new = [role for role, places in covered.items() if places and role not in found]
        found += sorted(new, key=lambda role: (min(covered[role]), len(covered[role]), role))
    return sorted(found, key=lambda role: _rank(role, prompts))


def _rank(role: str, prompts: Sequence[TokenPrompt]) -> int:
    """0 for a slot or a named role, 1 for a word of the template (its role is the word itself), 2 for punctuation."""
    if role in PUNCTUATION.values():
        return 2
    text = next(prompt.text for prompt in prompts if prompt.roles.get(role))
    return int(re.search(rf"(?<!\w){re.escape(role)}(?!\w)", text.lower()) is not None)


def _owners(prompt: TokenPrompt, order: Mapping[str, int], rest: str) -> list[str]:
    owners = [rest] * len(prompt.ids)
    for role in sorted(prompt.roles.keys() & order.keys(), key=lambda role: -order[role]):  # the first one wins
        for span in prompt.roles[role]:
            for place in span:
                owners[place] = role
    if prompt.has_bos:
        owners[0] = "bos"
    return owners


class Tally:
    """Sums of one head's attention while the batches go by; ``profile`` divides them at the end."""

    def __init__(self, prompts: Sequence[TokenPrompt], classes: Classes) -> None:
        self._prompts, self._classes = prompts, classes
        longest = max((len(prompt.ids) - prompt.has_bos for prompt in prompts), default=0)
        count = len(classes.names)
        self._offsets, self._with_key = np.zeros(longest), np.zeros(longest, dtype=np.int64)
        self._bos, self._queries = 0.0, 0
        self._matrix, self._rows = np.zeros((count, count)), np.zeros(count, dtype=np.int64)

    def add(self, pattern: NDArray[np.float64], index: Sequence[int]) -> None:
        """Count the patterns Float[prompt, query, key] of the prompts (of one length) at these indices."""
        one_hot = np.eye(len(self._classes.names))[np.stack([self._classes.of[i] for i in index])]
        self._matrix += np.einsum("bqc,bqd->cd", one_hot, pattern @ one_hot)
        self._rows += one_hot.sum((0, 1)).astype(np.int64)
        has_bos = np.array([self._prompts[i].has_bos for i in index])
        for start, chosen in ((0, ~has_bos), (1, has_bos)):
            if not chosen.any():
                continue
            grid = pattern[chosen][:, start:, start:].sum(0)
            length, many = len(grid), int(chosen.sum())
            for distance in range(length):
                self._offsets[distance] += np.trace(grid, offset=-distance)
            self._with_key[:length] += many * np.arange(length, 0, -1)
        self._bos += float(pattern[has_bos, 1:, 0].sum())
        self._queries += int(has_bos.sum()) * (pattern.shape[1] - 1)

    def profile(self) -> Profile:
        """The means of what was counted; weights of 16 bits sum to 1 only roughly, so they are kept to 0..1."""
        rows = np.where(self._rows > 0, self._rows, np.nan)
        return Profile(
            np.clip(self._offsets / self._with_key, 0.0, 1.0),
            float(np.clip(self._bos / self._queries, 0.0, 1.0)) if self._queries else None,
            self._classes.names,
            np.clip(self._matrix / rows[:, None], 0.0, 1.0),
            len(self._prompts),
        )


def profile_json(profile: Profile) -> dict[str, Any]:
    """The profile as plain JSON data (keys as in ``Profile``): rounded, None where there is no number."""
    return {
        "offsets": [_plain(value) for value in profile.offsets.tolist()],
        "bos": _plain(profile.bos),
        "classes": list(profile.classes),
        "matrix": [[_plain(value) for value in row] for row in profile.matrix.tolist()],
        "n": profile.n,
    }


def _plain(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, DIGITS)


def profile_key(head: tuple[int, int]) -> str:
    """The name of the quantity in the cache."""
    return json.dumps(["profile", list(head)])


def profile_arrays(profile: Profile) -> dict[str, NDArray[Any]]:
    """The profile as arrays for the cache."""
    arrays: dict[str, NDArray[Any]] = {
        "offsets": profile.offsets,
        "classes": np.array(profile.classes, dtype=np.str_),
        "matrix": profile.matrix,
        "n": np.array(profile.n),
    }
    return arrays | ({"bos": np.array(profile.bos)} if profile.bos is not None else {})


def profile_from(found: Mapping[str, NDArray[Any]] | None) -> Profile | None:
    """The profile kept as ``profile_arrays``, or None where something is missing."""
    if found is None or not {"offsets", "classes", "matrix", "n"} <= found.keys():
        return None
    bos = float(found["bos"]) if "bos" in found else None
    classes = tuple(str(name) for name in found["classes"])
    return Profile(found["offsets"], bos, classes, found["matrix"], int(found["n"]))
