"""The prompts of one model and prompt set in the order drawn, measured in blocks as far as a verdict needs them.

Blocks lie on a grid that depends on nothing but the length of the template cycle: a prompt is always measured beside the
same others, so no value depends on how many prompts are asked for. (On CUDA ablations of the first block share passes with
others that are planned, and may differ in their last digits by that.) A ``View`` (``measure.view``) is the
first n prompts, ending with a block; it is what a check's row is made from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from circuits.claims.claim import PromptSet
from circuits.errors import PromptFault, Unmeasurable
from circuits.measure.ablation import Ablation
from circuits.measure.cache import ValueCache, digest
from circuits.measure.cells import Question
from circuits.measure.controls import Controls
from circuits.measure.facts import describe
from circuits.measure.group import Group, Progress
from circuits.measure.paths import PathPatch
from circuits.measure.plan import Plan, Settings, group_key
from circuits.measure.room import Room
from circuits.prompts.own import Metric, Score, has_own_code
from circuits.prompts.prompt import Family, TokenPrompt
from circuits.prompts.tokens import build

if TYPE_CHECKING:
    from circuits.models.load import LoadedModel

CYCLED = 64
"""How many prompts are looked at for a cycle of templates."""
FEW = 8
"""Prompts of a control that is one of several: shuffled models, and random parts, differ far more from each other than prompts do."""
FIRST = 32
"""The least size of the first block, in prompts."""
BLOCK = 32
"""The least size of a further block; later ones are larger, about a quarter of what is there. Half as many prompts keep
the cores of a CPU less busy: two thirds instead of three quarters of what a large matrix product reaches."""


def grid(cycle: int, total: int) -> Iterator[tuple[int, int]]:
    """The blocks of ``total`` prompts as (first, count); all but the last end with a cycle of ``cycle`` templates."""
    first, unit = (-(-least // cycle) * cycle for least in (FIRST, BLOCK))
    done, size = 0, first
    while done < total:
        yield done, min(size, total - done)
        done += size
        size = unit * max(1, done // (4 * unit))


def cycle_of(templates: Sequence[str]) -> int:
    """The length of the cycle in which prompts go through their templates; 1 where they do not.

    It is the number of templates, where each prompt has that of the one so many places earlier.
    """
    length = len(set(templates))
    repeats = all(one == other for one, other in zip(templates, templates[length:], strict=False))
    return length if 1 < length < len(templates) and repeats else 1


@dataclass(eq=False)  # the same prompts are the same object
class Series:
    """See the module. ``most``: the largest number of prompts; ``model`` loads the model when it is first needed.

    ``unseen``: seeds of which as many prompts are left out, so that none of these was used with them. ``template``: only
    prompts of this template. ``own``: the project's own scores or metrics that are measured here, so that what fails or is
    edited there touches no other value. ``fill_controls(model_digest)`` measures the controls of all that is planned. ``room``: the
    memory of clean runs, shared with other series.
    """

    prompt_set: PromptSet
    family: Family
    seed: int
    most: int
    model_digest: str
    model: Callable[[], LoadedModel]
    settings: Settings
    cache: ValueCache
    progress: Progress
    layers: dict[Question, int] = field(default_factory=dict)
    plan: Plan = field(default_factory=Plan)
    few_plan: Plan = field(default_factory=Plan)
    measured: set[str] = field(default_factory=set)
    unseen: tuple[int, ...] = ()
    template: str | None = None
    own: tuple[Metric | Score, ...] = ()
    fill_controls: Callable[[str], None] = lambda model_digest: None
    room: Room = field(default_factory=Room)
    known_controls: dict[Question, Controls] = field(default_factory=dict)
    control_parts: dict[tuple[Question, int | None], tuple[NDArray[np.float64], int]] = field(default_factory=dict)
    _key: str | None = None
    _prompts: list[TokenPrompt] | None = None
    _about: dict[str, int] | None = None
    _blocks: list[Group] = field(default_factory=list)
    _few: Group | None = None
    _facts: dict[int, dict[str, Any]] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Digest of what every value depends on, the number of prompts aside."""
        if self._key is None or self.own or has_own_code(self.family):  # own code as it is at each time of asking
            key = group_key(self.prompt_set, self.family, self.seed, self.model_digest, self.settings, self.own)
            self._key = digest([key, *self._chosen]) if self._chosen else key
        return self._key

    @property
    def _chosen(self) -> tuple[int | str, ...]:
        """What else than the stream decides which prompts are taken; with ``unseen`` it depends on how many."""
        unseen = (self.most, *self.unseen) if self.unseen and not self.family.exhaustive else ()
        return (*unseen, *((self.template,) if self.template else ()))

    def keys_of(self, quantity: str) -> tuple[str, ...]:
        """Every cache key under which a quantity of the blocks in use may lie."""
        return tuple(key for block in self._blocks for key in block.keys_of(quantity))

    def plan_attention(
        self, asked: Question, pictured: list[tuple[int, int]], profiled: Iterable[tuple[int, int]] = ()
    ) -> str:
        """Ask for a question (all heads), pictures and profiles of some heads; returns its name in ``measured``."""
        self.plan.questions.add(asked)
        self.plan.pictures |= {(asked, head) for head in pictured}
        self.plan.profiles |= set(profiled)
        return asked.key

    def plan_controls(self, asked: Question, layers: int) -> None:
        """Ask for the controls of a question in the first ``layers`` layers."""
        if layers > self.layers.get(asked, 0):
            self.layers[asked] = layers
            self.known_controls.pop(asked, None)  # those that are known do not reach so deep

    def plan_ablation(self, ablation: Ablation) -> str:
        """Ask for an ablation; the same one with and without the whole-prompt loss is one run."""
        return self.plan.add_ablation(ablation)

    def plan_path(self, patch: PathPatch) -> str:
        """Ask for a direct path to be patched."""
        self.plan.paths.add(patch)
        return patch.key

    def plan_few(self, asked: Ablation | PathPatch) -> None:
        """Ask for an ablation or a path on the first few prompts only."""
        if isinstance(asked, PathPatch):
            self.few_plan.paths.add(asked)
        else:
            self.few_plan.add_ablation(asked)
            self.plan.elsewhere.add(asked)

    @property
    def prompts(self) -> list[TokenPrompt]:
        """All prompts, at most ``most``, as the model sees them (loads the model's tokenizer). May raise PromptFault."""
        if self._prompts is None:
            model = self.model()
            fresh = self.unseen and not self.family.exhaustive  # texts that were written are what they are
            prompts = self._never_used() if fresh else self._drawn(self.most)
            longest = max(len(prompt.ids) for prompt in prompts)
            if model.shape.context is not None and longest > model.shape.context:
                raise PromptFault(
                    f"a prompt has {longest} tokens, but {model.name} reads at most {model.shape.context}"
                )
            self._prompts = prompts
        return self._prompts

    def _drawn(self, n: int) -> list[TokenPrompt]:
        """The first ``n`` prompts, of one template where only that is wanted (looked for among 32 times as many).

        Prompts that have no such template (those that others are compared with) stay as they are.
        """
        if self.template is None:
            return self._build(self.seed, n)
        found = [prompt for prompt in self._build(self.seed, 32 * n) if prompt.template == self.template]
        return found[:n] or self._build(self.seed, n)

    def _build(self, seed: int, n: int) -> list[TokenPrompt]:
        spec, tokenizer = self.prompt_set, self.model().tokenizer
        return build(self.family, spec.parameters, tokenizer, seed, "prompts", n, spec.bos, spec.roles)

    def _never_used(self) -> list[TokenPrompt]:
        """Prompts of this seed that none of the ``unseen`` seeds gives. Raises Unmeasurable where there are none."""
        used = {prompt.ids for seed in self.unseen for prompt in self._build(seed, self.most)}
        prompts = [prompt for prompt in self._drawn(self.most + len(used)) if prompt.ids not in used]
        if not prompts:
            raise Unmeasurable(
                f"all prompts that there are were used before (seeds {', '.join(map(str, self.unseen))})"
            )
        return prompts[: self.most]

    @property
    def _known(self) -> dict[str, int]:
        """How many prompts there are, and the length of their template cycle."""
        if self._about is None:
            key = digest([self.key, "series", self.most])
            found = self.cache.load_json(key)
            if found is None:
                total = len(self.prompts)
                # Of the stream's beginning: neither how many are asked for nor a prompt that comes twice may change it.
                first = () if self.family.exhaustive or self.template else self._build(self.seed, CYCLED)
                cycle = cycle_of([prompt.template for prompt in first])
                found = {"total": total, "cycle": cycle}
                self.cache.save_json(key, found)
            self._about = found
        return self._about

    @property
    def cycle(self) -> int:
        """The length of the cycle of templates."""
        return self._known["cycle"]

    @property
    def census(self) -> bool:
        """Whether these are all prompts that there are (fewer than were asked for)."""
        return self._known["total"] < self.most and not self.family.exhaustive and not self._chosen

    def looks(self, least: int) -> tuple[int, ...]:
        """The numbers of prompts after which a verdict may be given, ascending; the last is all that may be used.

        Ends of blocks and of whole cycles, from ``least`` on. Where all possible prompts are there, or the family's texts are
        given, there is one look, at all of them.
        """
        total = self._known["total"]
        if self.census or self.family.exhaustive or (least >= total and total < self.cycle):
            return (total,)
        ends = [first + count for first, count in grid(self.cycle, self._whole)]
        return tuple(end for end in ends if end >= least) or (self._whole,)

    def blocks(self, n: int) -> list[Group]:
        """The blocks of the first ``n`` prompts, made where they are not yet there."""
        whole = self._whole
        for number, (first, count) in enumerate(grid(self.cycle, n if n > whole else whole)):
            if first >= n:
                break
            if number == len(self._blocks):
                self._blocks.append(self._block(first, count, self._blocks[0] if self._blocks else None, self.plan))
        found = [block for block in self._blocks if block.first < n]
        assert sum(block.n for block in found) == n, f"{n} prompts do not end with a block"
        return found

    def _block(self, first: int, count: int, base: Group | None, plan: Plan) -> Group:
        return Group(
            self.prompt_set, self.family, self.seed, count, self.model_digest, self.model, self.settings, self.cache,
            self.progress, plan, self.measured,
            chosen=self._chosen, first=first, base=base, draw=lambda: self.prompts[first : first + count],
            total=self._whole, room=self.room, own=self.own,
        )  # fmt: skip

    @property
    def first(self) -> Group:
        """The first block."""
        return self.blocks(next(first + count for first, count in grid(self.cycle, self._whole)))[0]

    @property
    def n_few(self) -> int:
        """How many prompts are enough for a control: whole cycles of templates, at least FEW; texts are all taken."""
        return self.first.n if self.family.exhaustive else min(self.first.n, -(-FEW // self.cycle) * self.cycle)

    @property
    def few(self) -> Group:
        """The first ``n_few`` prompts, as a block of their own beside the others where they are not the first one."""
        if self._few is None:
            own = self.n_few < self.first.n
            self._few = self._block(0, self.n_few, self.first, self.few_plan) if own else self.first
        return self._few

    @property
    def _whole(self) -> int:
        total = self._known["total"]
        return total // self.cycle * self.cycle or total

    def controls(self, asked: Question) -> Controls:
        """The values of a planned question where there is nothing to find, on the first block."""
        if asked not in self.known_controls:
            self.fill_controls(self.model_digest)
        if asked not in self.known_controls:
            raise Unmeasurable("the question cannot be asked of the first block")
        return self.known_controls[asked]

    def facts(self, n: int) -> dict[str, Any]:
        """What reports say of the first ``n`` prompts: example, answer, foil, lengths, digest (plain data)."""
        if n not in self._facts:
            key = digest([self.key, "facts", n, self.census])
            known = self.cache.load_json(key)
            if known is None:
                wanted = n + 1 if self.census else n
                chosen = self.prompts[:n]
                known = describe(chosen, self.family, self.prompt_set, self.model().tokenizer, self.seed, wanted)
                self.cache.save_json(key, known)
            self._facts[n] = known
        return self._facts[n]

    def answers(self, n: int) -> list[str | None]:
        """The answer of each of the first ``n`` prompts as text; None where a prompt has none."""
        key = digest([self.key, "answers", n])
        known: list[str | None] | None = self.cache.load_json(key)
        if known is None:
            decode = self.model().tokenizer.decode
            known = [decode(prompt.answers[0]) if prompt.answers else None for prompt in self.prompts[:n]]
            self.cache.save_json(key, known)
        return known

    def use(self, settings: Settings) -> None:
        """Other sizes of batches from now on; what was measured stays."""
        self.settings = settings
        for block in (*self._blocks, *([self._few] if self._few is not None else [])):
            block.use(settings)

    def release(self) -> None:
        """Forget the clean runs' tensors; what was measured stays, and so do the (small) reference means."""
        for block in (*self._blocks, *([self._few] if self._few is not None else [])):
            block.release()
