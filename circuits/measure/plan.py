"""What is asked of a prompt set, and the names and keys of quantities."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from circuits.claims.claim import PromptSet
from circuits.claims.selector import variables as back_references
from circuits.errors import Unmeasurable
from circuits.measure.ablation import Ablation
from circuits.measure.cache import code_digest, digest
from circuits.measure.cells import Question, cells
from circuits.measure.paths import PathPatch
from circuits.prompts.own import Metric, Score, code_of
from circuits.prompts.prompt import Family, TokenPrompt
from circuits.prompts.registry import with_defaults


@dataclass(frozen=True)
class Settings:
    """What every group of a run shares. ``device`` is the kind of device that values are keyed by."""

    dtype: str
    device: str
    batch_tokens: int

    @property
    def shares_passes(self) -> bool:
        """Whether ablations share passes: where a pass of few tokens leaves the device idle.

        On a CPU it gains 3 to 10%, and small matrix products differ in their last digit with the rows beside them: a claim alone must be
        answered as among others.
        """
        return self.device == "cuda"


@dataclass
class Plan:
    """What will be asked of a prompt set: shared by its blocks, and filled before anything is measured.

    Pictures and profiles are asked of the first block only. ``elsewhere``: ablations of a few prompts with a plan of their own,
    whose means the same pass over the reference prompts serves.
    """

    questions: set[Question] = field(default_factory=set)
    pictures: set[tuple[Question, tuple[int, int]]] = field(default_factory=set)
    profiles: set[tuple[int, int]] = field(default_factory=set)
    ablations: set[Ablation] = field(default_factory=set)
    paths: set[PathPatch] = field(default_factory=set)
    elsewhere: set[Ablation] = field(default_factory=set)

    def add_ablation(self, ablation: Ablation) -> str:
        """Ask for an ablation; the same one with and without the whole-prompt loss is one run. Its name."""
        full = replace(ablation, loss=True)
        if ablation.loss:
            self.ablations.discard(replace(ablation, loss=False))
        if full not in self.ablations:
            self.ablations.add(ablation)
        return name_of(ablation)[0]


def group_key(
    spec: PromptSet,
    family: Family,
    seed: int,
    model_digest: str,
    settings: Settings,
    own: Sequence[Metric | Score] = (),
) -> str:
    """Digest of what the values of a prompt set on a model depend on, whichever prompts are measured.

    ``own``: the project's own scores and metrics that are among them.
    """
    parameters = with_defaults(family, spec.parameters)
    about = [spec.family, parameters, spec.bos, dict(spec.roles), family.exhaustive, code_of(family)]
    about += [[type(each).__name__, each.name, code_of(each)] for each in own]
    return digest([code_digest(), model_digest, settings.dtype, settings.device, about, seed])


def askable(asked: Question, prompts: list[TokenPrompt], variables: Mapping[str, int]) -> bool:
    """Whether every prompt has the period or variable that the question's offsets need (texts may differ)."""
    if not any(back_references(side) for side in (asked.left, asked.right) if side is not None):
        return True
    try:
        for prompt in prompts:
            cells(asked, [prompt], variables)
    except Unmeasurable:
        return False
    return True


def name_of(ablation: Ablation) -> tuple[str, bool]:
    """The name of an ablation's values, and whether the loss is among them."""
    about: list[object] = [sorted(map(str, ablation.components)), ablation.method]
    about += [ablation.at, sorted(map(str, ablation.also))] if ablation.at or ablation.also else []
    return json.dumps(["ablation", *about]), ablation.loss
