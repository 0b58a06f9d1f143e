"""The first prompts of a series, ending with a block: every quantity over all of them is what a check's row is made from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.claims.claim import PromptSet
from circuits.measure.ablation import Ablation
from circuits.measure.attention import AttentionValues
from circuits.measure.cache import digest
from circuits.measure.cells import Question
from circuits.measure.controls import Controls
from circuits.measure.group import Group
from circuits.measure.metrics import Values
from circuits.measure.paths import PathPatch
from circuits.measure.picture import Picture
from circuits.measure.profile import Profile
from circuits.measure.series import Series
from circuits.prompts.prompt import Family, TokenPrompt


@dataclass(frozen=True)
class View:
    """The first ``n`` prompts of a series: every quantity over all of them.

    ``cut``: a metric whose values are cut to a range, (name, low, high).
    """

    series: Series
    n: int
    cut: tuple[str, float, float] | None = None

    @property
    def prompt_set(self) -> PromptSet:
        return self.series.prompt_set

    @property
    def family(self) -> Family:
        return self.series.family

    @property
    def seed(self) -> int:
        return self.series.seed

    @property
    def blocks(self) -> list[Group]:
        """The blocks that the prompts lie in."""
        return self.series.blocks(self.n)

    @property
    def prompts(self) -> list[TokenPrompt]:
        """The prompts as the model sees them."""
        return self.series.prompts[: self.n]

    @property
    def facts(self) -> dict[str, Any]:
        """What reports say of these prompts (plain data)."""
        return self.series.facts(self.n)

    def key_of(self, quantity: str) -> str:
        """The cache key of a quantity of all these prompts together."""
        return digest([self.series.key, self.n, quantity])

    def attention(self, asked: Question) -> AttentionValues:
        """All heads' values of a planned question."""
        return joined([block.attention(asked) for block in self.blocks])

    def controls(self, asked: Question) -> Controls:
        """The question where there is nothing to find, on the first block."""
        return self.series.controls(asked)

    def picture(self, asked: Question, head: tuple[int, int]) -> Picture:
        """The mean pattern of a head with the question's cells, over the first block."""
        return self.blocks[0].picture(asked, head)

    def profile(self, head: tuple[int, int]) -> Profile:
        """A head's attention by distance and from class to class, over the first block."""
        return self.blocks[0].profile(head)

    @property
    def clean(self) -> Values:
        """The unablated model's metrics: Float[prompt] each (``loss`` only when planned)."""
        return self._values([block.clean for block in self.blocks])

    def ablated(self, ablation: Ablation) -> Values:
        """The metrics of a planned ablation: Float[prompt] each."""
        return self._values([block.ablated(ablation) for block in self.blocks])

    def path(self, patch: PathPatch) -> Values:
        """The metrics with a direct path patched: Float[prompt] each."""
        return self._values([block.path(patch) for block in self.blocks])

    def _values(self, parts: Sequence[Values]) -> Values:
        return cut_to(_values(parts), self.cut)

    @property
    def reference_facts(self) -> dict[str, Any]:
        """How many reference prompts the smallest stratum of these prompts has, and their digest."""
        each = [block.reference_facts for block in self.blocks]
        if len(each) == 1:
            return each[0]
        return {
            "n": min(facts["n"] for facts in each),
            "digest": "sha256:" + digest([facts["digest"] for facts in each]),
        }


def cut_to(values: Values, cut: tuple[str, float, float] | None) -> Values:
    """The values with one metric cut to a range, (name, low, high); None: as they are."""
    if cut is None:
        return values
    name, low, high = cut
    # Infinite values mark numbers that are not finite; they and NaN must stay what they are.
    return {**values, name: np.where(np.isfinite(values[name]), np.clip(values[name], low, high), values[name])}


def common_looks(many: Sequence[Series], least: int) -> list[tuple[int, ...]]:
    """The looks at several series together: n of each; where one has no more prompts it stays at all of them."""
    each = [series.looks(least) for series in many]
    most = max(map(len, each), default=0)
    return [tuple(looks[min(at, len(looks) - 1)] for looks in each) for at in range(most)]


def common_cycle(many: Iterable[Series]) -> int:
    """The least number of prompts that is a whole number of cycles of every series."""
    return lcm(*(series.cycle for series in many))


def joined(parts: Sequence[AttentionValues]) -> AttentionValues:
    """Blocks of one question's values as one: prompts one after another, skipped rows added."""
    if len(parts) == 1:
        return parts[0]

    def along(name: str) -> NDArray[Any] | None:
        found = [getattr(part, name) for part in parts]
        return None if found[0] is None else np.concatenate(found, axis=-1)

    first, uniform = along("left"), along("uniform_left")
    assert first is not None and uniform is not None
    skipped = (
        None
        if parts[0].skipped_rows is None
        else sum(
            (p.skipped_rows for p in parts if p.skipped_rows is not None), start=np.zeros_like(parts[0].skipped_rows)
        )
    )
    return AttentionValues(first, along("right"), uniform, along("uniform_right"), along("removed"), skipped)


def _values(parts: Sequence[Values]) -> Values:
    """Blocks of metrics as one; a metric that not every block has is left out."""
    if len(parts) == 1:
        return parts[0]
    shared = [name for name in parts[0] if all(name in part for part in parts)]
    return {name: np.concatenate([part[name] for part in parts]) for name in shared}
