"""All heads of a model against all topics of its prompts, by the engine that measures claims.

A scan is a claim that is only observed, with one check for each topic: planned together, all topics of a prompt set are
read in one pass a block, and kept in the cache of measured values. The numbers of a finding are those of a claim's row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.claims.claim import Bound, Claim, PromptSet, Sampling, Score, Suite
from circuits.claims.dry import DryRun
from circuits.claims.heads import Component
from circuits.errors import CircuitsError, ModelInvalid, ModelUnavailable, Position
from circuits.evaluate import Evaluator
from circuits.items import Item
from circuits.kinds.kind import Cell, Here
from circuits.kinds.score import members
from circuits.measure.cells import question
from circuits.scan.topics import Topic, topics_of, weight_topics
from circuits.verdict.decide import Row
from circuits.verdict.ranking import OBSERVED
from circuits.verdict.rows import differences, head_means, rank_of, uniform_value

Floats = NDArray[np.float64]
Place = tuple[int, int]

ALIKE = 0.8
"""Of two descriptions of a head, one that stands out by less than this share of the other is the worse one."""


@dataclass(frozen=True)
class Measured:
    """One topic of all heads. ``means``: Float[layer, head], NaN = no value; ``usual``: their median, for which a head that
    writes nothing counts as 0.

    ``uniform``: the value under uniform attention (None for scores from weights); ``n``: prompts (or members of the sequence).
    """

    topic: Topic
    means: Floats
    usual: float
    uniform: float | None
    n: int

    @property
    def above(self) -> Floats:
        """By how much each head stands out: its value minus that of the model's median head or of uniform attention,
        whichever is larger. Float[layer, head], in the topic's units (shares: -1 to 1)."""
        return self.means - max(self.usual, self.uniform or 0.0)


@dataclass(frozen=True)
class Finding:
    """A head that stands out on a topic, with the numbers of a claim's row (see ``Row``).

    ``rank``: its place among the model's ``heads``; ``lift``: value / uniform. ``low``, ``high`` are None where the
    value is exact (a score from weights).
    """

    topic: Topic
    head: str
    estimate: float
    low: float | None
    high: float | None
    n: int
    uniform: float | None
    lift: float | None
    above: float
    rank: int
    heads: int

    @property
    def place(self) -> Place:
        """The head as (layer, head)."""
        layer, _, head = self.head.partition(".")
        return int(layer), int(head)


@dataclass(frozen=True)
class Scan:
    """What was looked at. ``facts``: prompt set -> what reports say of its prompts; ``notes``: what was left out."""

    model: str
    digest: str | None
    layers: int
    heads: int
    seed: int
    n: int
    measured: tuple[Measured, ...]
    facts: dict[str, Any]
    notes: tuple[str, ...]

    @property
    def cells(self) -> int:
        """How many numbers were looked at: heads x topics, those without a value left out."""
        return sum(int(np.isfinite(each.means).sum()) for each in self.measured)

    def ranked(self, *, every: bool = False) -> list[tuple[Measured, Place]]:
        """What stands out, most first: of each head its best description of where it looks and of what it writes.

        ``every``: all descriptions of all heads.
        """
        cells = [(each, place) for each in self.measured for place in _places(each.above)]
        if not every:
            cells = _best(cells)
        return sorted(cells, key=lambda cell: (-cell[0].above[cell[1]], cell[0].topic.order, cell[1]))


def _places(above: Floats) -> list[Place]:
    """The heads that stand out at all."""
    with np.errstate(invalid="ignore"):
        return [(int(layer), int(head)) for layer, head in zip(*np.nonzero(above > 1e-6), strict=True)]


def _best(cells: Iterable[tuple[Measured, Place]]) -> list[tuple[Measured, Place]]:
    """Of each head the description by which it stands out most, one of looks and one of what it writes.

    Of those that are nearly as good (``ALIKE``) the one of the lowest ``Topic.order``, then the one that is about most tokens,
    then the one with the fewest keys: the higher lift.
    """
    groups: dict[tuple[Place, bool], list[Measured]] = {}
    for each, place in cells:
        groups.setdefault((place, each.topic.weights), []).append(each)
    found = []
    for (place, _), known in groups.items():
        most = max(each.above[place] for each in known)
        near = [each for each in known if each.above[place] >= ALIKE * most]
        found.append((min(near, key=lambda each: (each.topic.order, -each.topic.reach, -_lift(each, place))), place))
    return found


def _lift(each: Measured, place: Place) -> float:
    return float(each.means[place]) / each.uniform if each.uniform else 0.0


class Scanner:
    """Asks topics of a model through one evaluator. ``suite``: its model, sampling and prompt sets (no claims)."""

    def __init__(self, evaluator: Evaluator, suite: Suite, base: Path):
        self.evaluator = evaluator
        self.suite = suite
        self.base = base
        self.dry = DryRun(evaluator.own.families, evaluator.own)
        evaluator.with_controls = False

    @property
    def sets(self) -> tuple[PromptSet, ...]:
        """The prompt sets of the suite."""
        return tuple(prompt_set for variants in self.suite.prompts.values() for prompt_set in variants)

    def topics(self, only_scores: frozenset[str] = frozenset()) -> list[Topic]:
        """All that is asked; of the sets in ``only_scores`` (names) no more than the scores."""
        found = weight_topics(self.sets)
        for prompt_set in self.sets:
            found += topics_of(prompt_set, self.dry, only_scores=prompt_set.name in only_scores)
        return found

    def item(self, topics: Sequence[Topic], sampling: Sampling | None = None) -> Item:
        """A claim that observes these topics of all heads."""
        suite = replace(self.suite, sampling=sampling) if sampling is not None else self.suite
        checks = tuple(topic.check() for topic in topics)
        return Item("scan", suite, Claim("scan", "scan", Position("scan", 1, 1), "", checks=checks), self.base)

    def scan(self, topics: Sequence[Topic], optional: frozenset[str] = frozenset()) -> Scan:
        """Measure all topics of all heads. Raises CircuitsError.

        ``optional``: names of sets that were not asked for; one that cannot be made is a note.
        """
        item, notes, facts = self.item(topics), dict[str, None](), dict[str, Any]()
        self.evaluator.plan(self.item([topic]) for topic in topics)
        found = []
        here = None
        for topic in topics:
            cell = Cell(topic.check(), topic.prompts, None)
            try:
                here = self.evaluator.place(item, cell)
                each = self._measure(topic, here)
            except (ModelUnavailable, ModelInvalid):
                raise
            except CircuitsError as problem:
                if topic.order == 0 and (topic.prompts is None or topic.prompts.name in optional):
                    kind = "from weights" if topic.weights else "of attention"
                    notes[f"no scores {kind}: {problem}"] = None
                    continue
                if topic.prompts is not None and topic.prompts.title in facts:
                    continue  # a topic that these prompts do not have, such as one of a period
                raise CircuitsError(f"{topic.where}: {problem}") from problem
            if topic.prompts is not None:
                facts.setdefault(topic.where, here.prompts.facts)
            if np.isfinite(each.means).any():
                found.append(each)
        if not found or here is None:
            raise CircuitsError("no head has any value on these prompts: they are too short for every question")
        source = next(iter(self.evaluator.models.items()))
        sampling = self.suite.sampling
        return Scan(
            source[0], source[1]["digest"], here.layers, here.heads, sampling.seed, sampling.max,
            tuple(found), facts, tuple(notes),
        )  # fmt: skip

    def _measure(self, topic: Topic, here: Here) -> Measured:
        """All heads' values of one topic."""
        if topic.prompts is None:
            assert isinstance(topic.what, Score)
            scores = here.ov.scores(members(topic.what)).scores
            each = scores.copying if topic.what.name == "copying" else scores.successor
            means, uniform, n = head_means(each), None, each.shape[-1]
        else:
            values = self.evaluator.sparing(lambda: here.prompts.attention(question(topic.what)))
            each = differences(values)
            means, uniform, n = head_means(each), uniform_value(values), here.at[0]
        known = np.nan_to_num(means) if topic.weights else means[np.isfinite(means)]
        return Measured(topic, means, float(np.median(known)) if known.size else 0.0, uniform, n)

    def row(self, topic: Topic, place: Place, bound: Bound = OBSERVED, sampling: Sampling | None = None) -> Row:
        """The row of a claim that one head does this, by default without a bound and on the prompts of the scan."""
        head = Component(*place)
        cell = Cell(topic.check(bound, head), topic.prompts, head)
        item = self.item([topic], sampling)
        return self.evaluator.row(item, cell, self.evaluator.place(item, cell))

    def finding(self, each: Measured, place: Place) -> Finding:
        """A head on a topic with its interval."""
        row = self.row(each.topic, place)
        return Finding(
            each.topic, f"{place[0]}.{place[1]}", row["estimate"], row["low"], row["high"], row["n"], each.uniform,
            _lift(each, place) if each.uniform else None, float(each.above[place]), *rank_of(each.means, place),
        )  # fmt: skip
