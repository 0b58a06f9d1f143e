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
from circuits.prompts.own import Score as OwnScore


@dataclass(frozen=True)
class Bound:
    """The one bound of a check, or ``observe`` (no bound, no influence on the verdict).

    ``low``/``high`` are the ends that hold (None = open). ``text`` is it as written
    ("at_least 20%"); ``percent`` says that its numbers were written as percents. ``k`` is that of
    ``top: k`` (among the k highest of all heads of the model), which has no ends.
    """

    kind: str  # at_least | at_most | between | by_at_least | top | observe
    low: float | None
    high: float | None
    text: str | None
    percent: bool = False
    k: int | None = None

    def holds(self, value: float) -> bool:
        """Whether ``value`` itself (no interval) is on the right side."""
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def holds_of_control(self, value: float) -> bool:
        """The same of a control, whose two sides are equal where there is nothing to tell apart: a tie is no "more"."""
        return value > (self.low or 0.0) if self.kind == "by_at_least" else self.holds(value)


@dataclass(frozen=True)
class Circuit:
    """A named set of components. ``mlps`` None: not named, so all MLPs stay; (): none of them stays."""

    name: str
    heads: tuple[Component, ...]
    mlps: tuple[Component, ...] | None = None
    source: Mapping[str, Any] | None = field(default=None, hash=False)

    @property
    def components(self) -> tuple[Component, ...]:
        """Its heads, then its MLPs."""
        return (*self.heads, *(self.mlps or ()))


@dataclass(frozen=True)
class PromptSet:
    """A named prompt set, or one variant of it in a sweep (``label`` such as "period=5").

    ``parameters`` are the family's, as given (defaults not filled in); ``variables`` the integer
    values that offsets such as ``n-{length}`` may use besides the computed ``period``. ``own_roles``: the project's own
    roles that the suite names.
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
    own_roles: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return self.name if self.label is None else f"{self.name},{self.label}"


@dataclass(frozen=True)
class Attends:
    """``attends: Q -> K``: mean mass, top-1 share or lift of attention, or a paired difference.

    ``more_than`` is the compared selector; ``other_head`` and ``other_prompts`` are the compared head and
    prompt set where they differ (``more_than: {attends:, head:, prompts:}``; None: the same).
    """

    selector: Selector
    statistic: str = "mass"
    excluding: tuple[str, ...] = ()
    more_than: Selector | None = None
    other_head: Component | None = None
    other_prompts: PromptSet | None = None


@dataclass(frozen=True)
class Score:
    """``score: NAME``: one of the field's named scores.

    ``members`` (``copying`` and ``successor``): the name of a sequence, or its members in order. ``own``: the record of a
    project's own score.
    """

    name: str
    members: str | tuple[str, ...] | None = None
    own: OwnScore | None = None


@dataclass(frozen=True)
class Ablate:
    """``ablate: components`` jointly, by a method, with an effect on a metric.

    ``at``: a set of positions as a selector's query side ("end"); None: all positions. ``given`` are the
    components of ``given_ablated``; ``within`` the circuit outside which everything is ablated too.
    ``circuit``: the one whose components these are, where one was named. ``random``: how many random sets
    ``partial_necessity`` draws.
    """

    components: tuple[Component, ...]
    method: str
    effect: str  # drop_in | change_in | after | interaction | partial_necessity
    metric: str
    at: str | None = None
    given: tuple[Component, ...] = ()
    within: Circuit | None = None
    circuit: Circuit | None = None
    random: int = 0


@dataclass(frozen=True)
class Keep:
    """``keep_only: CIRCUIT``: everything else is ablated, and what is left is measured.

    ``statistic``: recovers | faithfulness | completeness | minimality | sufficiency. ``normalised``: the
    bound is on (F(C)-F(0))/(F(M)-F(0)). ``subsets``: how many K completeness and minimality draw;
    ``random``: how many random circuits of the same size stand beside it (sufficiency: are compared).
    """

    circuit: Circuit
    method: str
    statistic: str
    metric: str
    normalised: bool = False
    subsets: int = 0
    random: int = 0


@dataclass(frozen=True)
class Path:
    """``path: SENDER -> RECEIVER.INPUT``: direct path patching. ``receiver`` None: the logits."""

    sender: Component
    receiver: Component | None
    input: str  # q | k | v | logits
    effect: str  # drop_in | change_in | after
    metric: str

    def __str__(self) -> str:
        return f"{self.sender} -> {self.input if self.receiver is None else f'{self.receiver}.{self.input}'}"


@dataclass(frozen=True)
class LossMap:
    """``loss_map: [A, [B, C], ...]``: per-token losses without each of these sets, as a map (observed only).

    ``models``: other models that read the same tokens, each as it is; specs as that of a suite.
    """

    ablations: tuple[tuple[Component, ...], ...]
    method: str
    models: tuple[str | Mapping[str, str], ...] = field(default=(), hash=False)


What = Attends | Score | Ablate | Keep | Path | LossMap

KINDS: Mapping[type, str] = {
    Attends: "attends",
    Score: "score",
    Ablate: "ablate",
    Keep: "keep_only",
    Path: "path",
    LossMap: "loss_map",
}


@dataclass(frozen=True)
class Check:
    """One scalar per prompt and one bound. ``heads`` is empty for all but attention and scores of heads.

    ``any``: the claim is that some head of ``heads`` does (none named: some head of the model).
    ``prompts`` are the check's own prompt sets; empty means the claim's. ``requires`` maps
    a top-k metric to the clean accuracy that its lower bound must exceed (None: the default). ``range``:
    where the values of an unbounded metric are cut, so that the verdict needs no assumption (None: not at all).
    """

    index: int
    what: What
    bound: Bound
    heads: tuple[Component, ...]
    prompts: tuple[PromptSet, ...]
    text: str
    where: Position
    requires: Mapping[str, float] | None = None
    reported: Mapping[str, Any] | None = None
    any: bool = False
    range: tuple[float, float] | None = None

    @property
    def kind(self) -> str:
        return KINDS[type(self.what)]


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
    """How many prompts at least and at most, their seed, the confidence of the intervals."""

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
    any: bool = False


@dataclass(frozen=True)
class Suite:
    """A suite file. ``faults`` are those outside any claim, by line; a claim keeps its own.

    ``prompts`` maps each name to its variants (one, or several for a sweep). ``notes``: the comment at the head of the file.
    """

    path: str
    title: str
    model: str | Mapping[str, str] | None = None
    sampling: Sampling = Sampling()
    prompts: Mapping[str, tuple[PromptSet, ...]] = field(default_factory=dict)
    circuits: Mapping[str, Circuit] = field(default_factory=dict)
    claims: tuple[Claim, ...] = ()
    source: Mapping[str, Any] | None = None
    notes: str | None = None
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
