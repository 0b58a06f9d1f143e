"""What is asserted: a suite of claims, each of checks with one bound. No torch, no numpy.

Everything here is frozen: the loader makes it, every later stage only reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from circuits.claims.heads import Component
from circuits.claims.selector import Selector
from circuits.errors import Fault, Position


@dataclass(frozen=True)
class Bound:
    """The one bound of a check, or ``observe`` (no bound, no influence on the verdict).

    ``low``/``high`` are the ends that hold (None = open). ``text`` is it as written
    ("at_least 20%"); ``percent`` says that its numbers were written as percents.
    """

    kind: str  # at_least | at_most | between | by_at_least | observe
    low: float | None
    high: float | None
    text: str | None
    percent: bool = False

    def holds(self, value: float) -> bool:
        """Whether ``value`` itself (no interval) is on the right side."""
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)


@dataclass(frozen=True)
class Attends:
    """``attends: Q -> K``: mean mass, top-1 share or lift of attention, or a paired difference."""

    selector: Selector
    statistic: str = "mass"
    excluding: tuple[str, ...] = ()
    more_than: Selector | None = None


@dataclass(frozen=True)
class Score:
    """``score: NAME``: one of the field's named attention scores."""

    name: str


@dataclass(frozen=True)
class Ablate:
    """``ablate: components`` jointly, by a method, with an effect on a metric."""

    components: tuple[Component, ...]
    method: str
    effect: str  # drop_in | change_in | after
    metric: str


@dataclass(frozen=True)
class PromptSet:
    """A named prompt set, or one variant of it in a sweep (``label`` such as "period=5").

    ``parameters`` are the family's, as given (defaults not filled in); ``variables`` the integer
    values that offsets such as ``n-{length}`` may use besides the computed ``period``.
    """

    name: str
    family: str
    parameters: Mapping[str, Any]
    bos: bool
    roles: Mapping[str, str]
    where: Position
    label: str | None = None
    variables: Mapping[str, int] = field(default_factory=dict)
    requires: Mapping[str, float] | None = None

    @property
    def title(self) -> str:
        return self.name if self.label is None else f"{self.name},{self.label}"


@dataclass(frozen=True)
class Check:
    """One scalar per prompt and one bound. ``heads`` is empty for ablations.

    ``prompts`` are the check's own prompt sets; empty means the claim's. ``requires`` maps
    a top-k metric to the clean accuracy that its lower bound must exceed (None: the default).
    """

    index: int
    what: Attends | Score | Ablate
    bound: Bound
    heads: tuple[Component, ...]
    prompts: tuple[PromptSet, ...]
    text: str
    where: Position
    requires: Mapping[str, float] | None = None
    reported: Mapping[str, Any] | None = None

    @property
    def kind(self) -> str:
        return {Attends: "attends", Score: "score", Ablate: "ablate"}[type(self.what)]


@dataclass(frozen=True)
class Expect:
    """What a claim's author expects. ``check``: the one check (from 1) expected to be refuted."""

    kind: str = "supported"  # supported | refuted | invalid | xfail
    check: int | None = None
    reason: str | None = None

    def __str__(self) -> str:
        if self.check is not None:
            return f"check {self.check} refuted"
        return self.kind


@dataclass(frozen=True)
class Sampling:
    """How many prompts (fixed size: ``max``), their seed, the confidence of the intervals."""

    min: int = 32
    max: int = 128
    seed: int = 0
    confidence: float = 0.95


@dataclass(frozen=True)
class Claim:
    """A claim as written. With ``faults`` it is invalid and must not be measured.

    ``variants`` are the claim-level prompt sets, one test item each ("" = none named by the claim).
    ``many`` says that they came as a list or a sweep, so that node ids carry their names.
    """

    id: str
    words: str
    where: Position
    yaml: str
    heads: tuple[Component, ...] = ()
    variants: tuple[PromptSet, ...] = ()
    many: bool = False
    checks: tuple[Check, ...] = ()
    expect: Expect = Expect()
    source: Mapping[str, Any] | None = None
    faults: tuple[Fault, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Suite:
    """A suite file. ``faults`` are those outside any claim, by line; a claim keeps its own.

    ``prompts`` maps each name to its variants (one, or several for a sweep).
    """

    path: str
    title: str
    model: str | Mapping[str, str] | None = None
    sampling: Sampling = Sampling()
    prompts: Mapping[str, tuple[PromptSet, ...]] = field(default_factory=dict)
    circuits: Mapping[str, tuple[Component, ...]] = field(default_factory=dict)
    claims: tuple[Claim, ...] = ()
    source: Mapping[str, Any] | None = None
    faults: tuple[Fault, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def all_faults(self) -> tuple[Fault, ...]:
        """Every fault of the suite, its claims' included, by line; those of included files come last."""
        found = list(self.faults)
        for claim in self.claims:
            found += [fault for fault in claim.faults if fault not in found]
        return tuple(
            sorted(found, key=lambda f: (f.where.file != self.path, f.where.file, f.where.line, f.where.column))
        )
