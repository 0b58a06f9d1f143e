"""One model on one block of a prompt set's prompts: everything that claims ask of it, each quantity measured once.

What will be asked of it is planned first (``Plan``), so that one pass answers every
attention question and one clean run serves every ablation. Values come from the cache where they
are there; only what is missing loads the model.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from circuits.claims.claim import PromptSet
from circuits.measure.ablation import PARTNER_BYTES, Ablation, CleanRun, Reference, clean_run, site
from circuits.measure.attention import AttentionValues, Watch, attention_arrays, attention_from, run_watch
from circuits.measure.cache import ValueCache, digest
from circuits.measure.cells import Question
from circuits.measure.metrics import END_METRICS, Values
from circuits.measure.paths import PathPatch, measure_path
from circuits.measure.picture import Picture, picture, picture_arrays, picture_from, picture_key
from circuits.measure.plan import Plan, Settings, askable, group_key, name_of
from circuits.measure.profile import Profile, profile_arrays, profile_from, profile_key
from circuits.measure.room import Room
from circuits.measure.variants import measure_variants
from circuits.prompts.own import Metric, Score, has_own_code
from circuits.prompts.prompt import Family, TokenPrompt
from circuits.prompts.tokens import reference_prompts

if TYPE_CHECKING:
    from circuits.models.load import LoadedModel

Progress = Callable[[str], None]

RESIDUAL_BYTES = 2**30
"""The most memory that the clean residual streams of all blocks of a series may keep, in bytes."""
SENDER_BYTES = 2**29
"""The most memory that what paths' senders write in the clean runs of a series may keep, in bytes; what is not kept is read again."""
CLEAN_RUN = "clean"
"""The name of the unablated model's metrics among what a group measured."""


@dataclass
class Group:
    """See the module. ``model`` loads the model when it is first needed (and may raise).

    ``first``: the place of its first prompt in the series, ``n`` how many there are; ``draw`` gives them; ``total``
    is how many the series may have; ``room`` holds the clean runs of all blocks. ``base``: the
    series' first block, whose reference means serve all (None: this is it). ``own``: scores and metrics of the project's
    that are measured here.
    """

    prompt_set: PromptSet
    family: Family
    seed: int
    n: int
    model_digest: str
    model: Callable[[], LoadedModel]
    settings: Settings
    cache: ValueCache
    progress: Progress
    plan: Plan = field(default_factory=Plan)
    measured: set[str] = field(default_factory=set)
    chosen: tuple[int | str, ...] = ()
    first: int = 0
    base: Group | None = None
    draw: Callable[[], list[TokenPrompt]] = list
    total: int = 0
    room: Room = field(default_factory=Room)
    own: tuple[Metric | Score, ...] = ()
    _key: str | None = None
    _prompts: list[TokenPrompt] | None = None
    _attention: dict[Question, AttentionValues] = field(default_factory=dict)
    _pictures: dict[tuple[Question, tuple[int, int]], Picture] = field(default_factory=dict)
    _profiles: dict[tuple[int, int], Profile] = field(default_factory=dict)
    _arrays: dict[str, dict[str, NDArray[Any]]] = field(default_factory=dict)
    _values: dict[str, Values] = field(default_factory=dict)
    _clean: CleanRun | None = None
    _reference: Reference | None = None
    _reference_facts: dict[str, Any] | None = None

    @property
    def key(self) -> str:
        """Digest of what every value of the group depends on; of a project's own code as it is at each time of asking."""
        if self._key is None or self.own or has_own_code(self.family):
            about = group_key(self.prompt_set, self.family, self.seed, self.model_digest, self.settings, self.own)
            self._key = digest([about, self.first, self.n, *self.chosen])
        return self._key

    def key_of(self, quantity: str) -> str:
        """The cache key of one quantity of the group."""
        return digest([self.key, quantity])

    def keys_of(self, quantity: str) -> tuple[str, ...]:
        """Every cache key under which a quantity may lie: metrics are kept with or without the loss."""
        names = (quantity, *(json.dumps([quantity, loss]) for loss in (False, True)))
        return tuple(self.key_of(name) for name in names)

    @property
    def pictures(self) -> set[tuple[Question, tuple[int, int]]]:
        """The pictures to be made here."""
        return self.plan.pictures if self.base is None else set()

    @property
    def profiles(self) -> set[tuple[int, int]]:
        """The heads whose profiles are to be made here."""
        return self.plan.profiles if self.base is None else set()

    @property
    def prompts(self) -> list[TokenPrompt]:
        """The prompts as the model sees them (loads the model for its tokenizer). May raise PromptFault."""
        if self._prompts is None:
            self._prompts = self.draw()
        return self._prompts

    def attention(self, asked: Question) -> AttentionValues:
        """All heads' values of a planned question; one pass measures all that are missing."""
        if not self._is_known(asked):
            self._measure_attention(asked)
        return self._attention[asked]

    def picture(self, asked: Question, head: tuple[int, int]) -> Picture:
        """The mean pattern of a head with the question's cells."""
        self.pictures.add((asked, head))
        if not self._has_picture(asked, head):
            self._measure_attention(asked)
        return self._pictures[asked, head]

    def profile(self, head: tuple[int, int]) -> Profile:
        """A head's attention by distance and from class to class, over all prompts."""
        self.profiles.add(head)
        if not self._has_profile(head):
            self._measure_attention(None)
        return self._profiles[head]

    def _has_profile(self, head: tuple[int, int]) -> bool:
        if head not in self._profiles:
            found = profile_from(self.cache.load(self.key_of(profile_key(head))))
            if found is not None:
                self._profiles[head] = found
        return head in self._profiles

    def _has_picture(self, asked: Question, head: tuple[int, int]) -> bool:
        if (asked, head) not in self._pictures:
            found = picture_from(self.cache.load(self.key_of(picture_key(asked, head))))
            if found is not None:
                self._pictures[asked, head] = found
        return (asked, head) in self._pictures

    def _is_known(self, asked: Question) -> bool:
        """Whether nothing is left to measure of a question; what the cache has of it is read."""
        if asked not in self._attention:
            found = attention_from(self.cache.load(self.key_of(asked.key)))
            if found is None:
                return False
            self._attention[asked] = found
        return all(self._has_picture(*pair) for pair in self.pictures if pair[0] == asked)

    def _measure_attention(self, asked: Question | None) -> None:
        """One pass for this question and for all that are planned and not known, with their pictures and profiles."""
        if asked is not None:
            self.plan.questions.add(asked)
        variables = self.prompt_set.variables
        # A question that cannot be asked of these prompts must not take the others with it.
        missing = [
            q
            for q in sorted(self.plan.questions, key=lambda q: q.key)
            if q == asked or (not self._is_known(q) and askable(q, self.prompts, variables))
        ]
        pairs = sorted((pair for pair in self.pictures if pair[0] in missing), key=lambda pair: (pair[0].key, pair[1]))
        heads = sorted(head for head in self.profiles if not self._has_profile(head))
        questions = f"{len(missing)} question{'s' if len(missing) > 1 else ''}" if missing else "profiles"
        title = f"attention on {self.prompt_set.title}: {questions}, {len(self.prompts)} prompts"
        self.progress(title)
        model = self.model()
        pictured = sorted({head for _, head in pairs})
        watch = Watch(model, self.prompts, missing, variables, patterns_of=pictured, profiles_of=heads)
        if self._wants_clean_run():
            self._run_clean(title, watch)
        else:
            progress = self._counting(title)
            run_watch(watch, self.settings.batch_tokens, progress=progress)
        patterns = watch.patterns
        for question, value in watch.values.items():
            self._attention[question] = value
            self.measured.add(question.key)
            self.cache.save(self.key_of(question.key), attention_arrays(value))
        for question, head in pairs:
            shown = picture(question, self.prompts, variables, patterns[head], model.tokenizer.decode)
            self._pictures[question, head] = shown
            self.cache.save(self.key_of(picture_key(question, head)), picture_arrays(shown))
        for head, found in watch.profiles.items():
            self._profiles[head] = found
            self.cache.save(self.key_of(profile_key(head)), profile_arrays(found))

    @property
    def clean(self) -> Values:
        """The unablated model's metrics: Float[prompt] each (``loss`` only when planned)."""
        found = self._kept(CLEAN_RUN, self._loss)
        return found if found is not None else self._clean_run().values

    def ablated(self, ablation: Ablation) -> Values:
        """The metrics of a planned ablation: Float[prompt] each."""
        full = replace(ablation, loss=True)
        wanted = full if full in self.plan.ablations else ablation
        return self._cached_values(*name_of(wanted), lambda: self._measure_ablation(wanted))

    def path(self, patch: PathPatch) -> Values:
        """The metrics with a direct path patched: Float[prompt] each."""
        return self._cached_values(patch.key, patch.loss, lambda: self._measure_path(patch))

    def arrays(
        self, name: str, needed: set[str], measure: Callable[[], dict[str, NDArray[Any]]]
    ) -> dict[str, NDArray[Any]]:
        """Any other quantity of the group by its name: remembered, from the cache, or measured and kept."""
        if name not in self._arrays:
            found = self.cache.load(self.key_of(name))
            if found is None or not needed <= found.keys():
                found = measure()
                self.measured.add(name)
                self.cache.save(self.key_of(name), found)
            self._arrays[name] = found
        return self._arrays[name]

    def _kept(self, name: str, loss: bool) -> Values | None:
        """Values measured before, with the whole-prompt loss among them where it is asked for."""
        for with_loss in (True,) if loss else (False, True):
            quantity = json.dumps([name, with_loss])
            if quantity not in self._values:
                found = self.cache.load(self.key_of(quantity))
                if found is not None and {*END_METRICS, "loss", "top_text"} <= found.keys():
                    self._values[quantity] = found
            if quantity in self._values:
                return self._values[quantity]
        return None

    def _cached_values(self, name: str, loss: bool, measure: Callable[[], Values]) -> Values:
        found = self._kept(name, loss)
        if found is None:
            found = measure()
            self._keep(name, loss, found)
        return found

    def _keep(self, name: str, loss: bool, values: Values) -> None:
        quantity = json.dumps([name, loss])
        self._values[quantity] = values
        self.measured.add(name)
        self.cache.save(self.key_of(quantity), values)

    @property
    def _loss(self) -> bool:
        """Whether anything planned reads the whole-prompt loss."""
        return any(ablation.loss for ablation in self.plan.ablations) or any(patch.loss for patch in self.plan.paths)

    def _wants_clean_run(self) -> bool:
        """Whether a clean run will be needed beside the attention: then one pass serves both."""
        if self._clean is not None:
            return False
        if any(prompt.answers for prompt in self.prompts) and self._kept(CLEAN_RUN, self._loss) is None:
            return True
        return any(self._kept(*name_of(ablation)) is None for ablation in self.plan.ablations) or any(
            self._kept(patch.key, patch.loss) is None for patch in self.plan.paths
        )

    def _clean_run(self) -> CleanRun:
        if self._clean is None or (self._loss and not self._clean.loss):
            self._run_clean(f"clean run on {self.prompt_set.title}: {len(self.prompts)} prompts", None)
        else:
            self.room.use(self)
        assert self._clean is not None
        return self._clean

    def clean_run_for_losses(self) -> CleanRun | None:
        """The clean run, where it is there already or serves more than one planned ablation that the loss is read of."""
        several = sum(ablation.loss for ablation in self.plan.ablations) > 1
        return self._clean_run() if self._clean is not None or several else None

    def _run_clean(self, title: str, watch: Watch | None) -> None:
        """The unablated model on the prompts, with what planned ablations start from; its metrics are kept at once."""
        loss = self._loss
        self.progress(title)
        layers = self._kept_layers()
        run = clean_run(
            self.model(), self.prompts, layers, loss=loss, batch_tokens=self.settings.batch_tokens, watch=watch,
            progress=self._counting(title), partner_bytes=PARTNER_BYTES * self.n // max(self.total, self.n),
            sites=self._senders(),
            own=tuple(each for each in self.own if isinstance(each, Metric)),
            keys_from=min((max((k for k in layers if k <= each.start), default=0) for each in self._limited), default=None),
        )  # fmt: skip
        run.values["top_text"] = self._token_texts(run.values)
        self._clean = run
        self.room.use(self)
        self._cached_values(CLEAN_RUN, loss, lambda: run.values)

    def _kept_layers(self) -> list[int]:
        """The layers whose clean residual streams are kept: where planned ablations and paths start, thinned to the room.

        An ablation between two of them starts from the lower one, and comes to the same numbers.
        """
        last = self.model().shape.layers - 1
        starts = {ablation.start for ablation in self.plan.ablations}
        low = {0} if any(ablation.start == 0 for ablation in self._limited) else set()
        starts |= {last if patch.receiver is None else patch.receiver.layer for patch in self.plan.paths}
        layers = sorted(starts - {0} | low)
        return layers[:: -(-len(layers) // self._fitting(RESIDUAL_BYTES))] if layers else []

    def _senders(self) -> list[str]:
        """The sites of the senders of paths that are still to be measured, as many as may be kept."""
        missing = [patch for patch in self.plan.paths if self._kept(patch.key, patch.loss) is None]
        return sorted({site(patch.sender) for patch in missing})[: self._fitting(SENDER_BYTES)]

    def _fitting(self, most: int) -> int:
        """How many activations of all blocks' prompts fit into so many bytes in float32, at least one."""
        longest = max(len(prompt.ids) for prompt in self.prompts)
        each = max(self.total, self.n) * longest * int(self.model().bridge.cfg.d_model) * 4
        return max(1, most // each)

    @property
    def _limited(self) -> list[Ablation]:
        """The planned ablations that leave a beginning of the prompts as it is, and need no logits there."""
        return [each for each in self.plan.ablations if each.at is not None and not each.also and not each.loss]

    def _counting(self, title: str) -> Callable[[int, int], None]:
        return lambda done, total: self.progress(f"{title} ({done}/{total})")

    def _measure_ablation(self, ablation: Ablation) -> Values:
        run = self._clean_run()
        together = self._together(ablation, run)
        names = ", ".join(str(component) for component in ablation.components[:6])
        many = len(ablation.components)
        names += f" and {many - 6} more" if many > 6 else ""
        also = f" and {len(together) - 1} more" if len(together) > 1 else ""
        title = f"ablation of {names} ({ablation.method}){also} on {self.prompt_set.title}: {len(self.prompts)} prompts"
        self.progress(title)
        found = measure_variants(
            self.model(),
            run,
            together,
            self.reference if any(each.method == "mean" for each in together) else None,
            variables=self.prompt_set.variables,
            progress=self._counting(title),
        )
        for each, values in zip(together, found, strict=True):
            values["top_text"] = self._token_texts(values)
            if each != ablation:
                self._keep(*name_of(each), values)
        return found[together.index(ablation)]

    def _together(self, ablation: Ablation, run: CleanRun) -> list[Ablation]:
        """The planned ablations that are measured in one pass with this one, as many as a batch may have tokens.

        On the first block only: every check looks at it, while later blocks are for those that it did not decide. Those
        that read the whole-prompt loss unembed all positions and stay alone. Which ones are together depends on the plan and on
        what is known already, not on the order in which they are asked for.
        """
        longest = max(len(prompt.ids) for prompt in self.prompts)
        fit = self.settings.batch_tokens // (longest * max(map(len, run.chunks)))
        if not self.settings.shares_passes or self.base is not None or ablation.loss or fit < 2:
            return [ablation]
        missing = [each for each in self.plan.ablations if not each.loss and self._kept(*name_of(each)) is None]
        alike = sorted(
            {ablation, *(each for each in missing if _passes(each, run) == _passes(ablation, run))},
            key=lambda each: name_of(each)[0],
        )
        at = alike.index(ablation) // fit * fit
        return alike[at : at + fit]

    def _measure_path(self, patch: PathPatch) -> Values:
        title = f"path {patch} on {self.prompt_set.title}: {len(self.prompts)} prompts"
        self.progress(title)
        values = measure_path(
            self.model(),
            self._clean_run(),
            patch,
            progress=self._counting(title),
        )
        values["top_text"] = self._token_texts(values)
        return values

    def _token_texts(self, values: Values) -> NDArray[Any]:
        decode = self.model().tokenizer.decode
        return np.array([decode(int(token)) for token in values["top_token"]])

    @property
    def reference(self) -> Reference:
        """The mean-ablation reference of this prompt set and model."""
        if self.base is not None:
            return self.base.reference
        if self._reference is None:
            spec, tokenizer = self.prompt_set, self.model().tokenizer

            def rows(template: str, length: int) -> list[tuple[int, ...]]:
                return reference_prompts(
                    self.family, spec.parameters, tokenizer, self.seed, template, length, spec.bos, spec.roles
                )

            # One pass over the reference prompts serves all mean ablations that are still to be measured.
            planned = [a for a in self.plan.ablations if a.method == "mean" and self._kept(*name_of(a)) is None]
            planned += [a for a in self.plan.elsewhere if a.method == "mean"]
            sites = {site(part) for ablation in planned for part in (*ablation.components, *ablation.also)}
            self._reference = Reference(self.model(), rows, self.settings.batch_tokens, sites)
        return self._reference

    @property
    def reference_facts(self) -> dict[str, Any]:
        """How many reference prompts the smallest stratum has, and their digest."""
        if self._reference_facts is not None:
            return self._reference_facts
        key = self.key_of("reference")
        known: dict[str, Any] | None = self.cache.load_json(key)
        if known is None:
            strata = sorted({(prompt.template, len(prompt.ids)) for prompt in self.prompts})
            rows = [self.reference.rows(*stratum) for stratum in strata]
            known = {
                "n": min(len(found) for found in rows),
                "digest": "sha256:" + digest([[s, r] for s, r in zip(strata, rows, strict=True)]),
            }
            self.cache.save_json(key, known)
        self._reference_facts = known
        return known

    def use(self, settings: Settings) -> None:
        """Other sizes of batches from now on: what the clean run kept by batch goes, what was measured stays."""
        self.settings = settings
        self.release()
        if self._reference is not None:
            self._reference.batch_tokens = settings.batch_tokens

    @property
    def nbytes(self) -> int:
        """The memory that its clean run keeps."""
        return self._clean.nbytes if self._clean is not None else 0

    def release(self) -> None:
        """Forget the clean run's tensors; what was measured stays, and so do the (small) reference means."""
        self._clean = None


def _passes(ablation: Ablation, run: CleanRun) -> tuple[int, str | None]:
    """What ablations have in common that can share a pass: the layer and the positions that it begins with."""
    return run.start(ablation), None if ablation.also else ablation.at
