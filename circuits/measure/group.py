"""One model on one prompt set: everything that claims ask of the pair, each quantity measured once.

A group is planned first (``plan_attention``, ``plan_ablation``), so that one pass answers every
attention question and one clean run serves every ablation. Values come from the cache where they
are there; only what is missing loads the model.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from circuits.claims.claim import PromptSet
from circuits.claims.selector import variables as back_references
from circuits.errors import PromptFault, Unmeasurable
from circuits.measure.ablation import Ablation, CleanRun, Reference, clean_run, measure_ablation
from circuits.measure.attention import AttentionValues, measure_attention
from circuits.measure.cache import ValueCache, code_digest, digest
from circuits.measure.cells import Question, cells
from circuits.measure.metrics import END_METRICS, Values
from circuits.measure.picture import Picture, picture, picture_arrays, picture_from, picture_key
from circuits.prompts.prompt import Family, TokenPrompt
from circuits.prompts.registry import with_defaults
from circuits.prompts.tokens import build, reference_prompts

if TYPE_CHECKING:
    from circuits.models.load import LoadedModel

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """What every group of a run shares. ``device`` is the kind of device that values are keyed by."""

    dtype: str
    device: str
    batch_tokens: int


@dataclass
class Group:
    """See the module. ``model`` loads the model when it is first needed (and may raise)."""

    prompt_set: PromptSet
    family: Family
    seed: int
    n: int
    model_digest: str
    model: Callable[[], LoadedModel]
    settings: Settings
    cache: ValueCache
    progress: Progress
    questions: set[Question] = field(default_factory=set)
    pictures: set[tuple[Question, tuple[int, int]]] = field(default_factory=set)
    ablations: set[Ablation] = field(default_factory=set)
    measured: set[str] = field(default_factory=set)
    _prompts: list[TokenPrompt] | None = None
    _facts: dict[str, Any] | None = None
    _attention: dict[Question, AttentionValues] = field(default_factory=dict)
    _pictures: dict[tuple[Question, tuple[int, int]], Picture] = field(default_factory=dict)
    _values: dict[str, Values] = field(default_factory=dict)
    _clean: CleanRun | None = None
    _reference: Reference | None = None
    _reference_facts: dict[str, Any] | None = None

    @property
    def key(self) -> str:
        """Digest of what every value of the group depends on."""
        spec = self.prompt_set
        return digest(
            [
                code_digest(),
                self.model_digest,
                self.settings.dtype,
                self.settings.device,
                [
                    spec.family,
                    with_defaults(self.family, spec.parameters),
                    spec.bos,
                    dict(spec.roles),
                    self.family.exhaustive,
                ],
                self.seed,
                self.n,
            ]
        )

    def key_of(self, quantity: str) -> str:
        """The cache key of one quantity of the group."""
        return digest([self.key, quantity])

    def plan_attention(self, asked: Question, heads: list[tuple[int, int]]) -> None:
        """Ask for a question (all heads) and the pictures of some heads."""
        self.questions.add(asked)
        self.pictures |= {(asked, head) for head in heads}

    def plan_ablation(self, ablation: Ablation) -> None:
        """Ask for an ablation; the same one with and without the whole-prompt loss is one run."""
        plain, full = (
            Ablation(ablation.components, ablation.method),
            Ablation(ablation.components, ablation.method, True),
        )
        if ablation.loss:
            self.ablations.discard(plain)
        if full not in self.ablations:
            self.ablations.add(ablation)

    @property
    def prompts(self) -> list[TokenPrompt]:
        """The prompts as the model sees them (loads the model for its tokenizer). May raise PromptFault."""
        if self._prompts is None:
            model = self.model()
            spec = self.prompt_set
            prompts = build(
                self.family, spec.parameters, model.tokenizer, self.seed, "prompts", self.n, spec.bos, spec.roles
            )
            longest = max(len(prompt.ids) for prompt in prompts)
            if model.shape.context is not None and longest > model.shape.context:
                raise PromptFault(
                    f"a prompt has {longest} tokens, but {model.name} reads at most {model.shape.context}"
                )
            self._prompts = prompts
        return self._prompts

    @property
    def facts(self) -> dict[str, Any]:
        """What reports say of the prompts: example, answer, foil, lengths, digest (plain data)."""
        if self._facts is None:
            key = self.key_of("facts")
            known = self.cache.load_json(key)
            if known is None:
                known = self._describe()
                self.cache.save_json(key, known)
            self._facts = known
        return self._facts

    def _describe(self) -> dict[str, Any]:
        prompts, decode = self.prompts, self.model().tokenizer.decode
        first = prompts[0]
        lengths = Counter(len(prompt.ids) for prompt in prompts)
        return {
            "family": self.family.name,
            "parameters": {
                k: v for k, v in with_defaults(self.family, self.prompt_set.parameters).items() if v is not None
            },
            "n": len(prompts),
            "seed": self.seed,
            "example": first.text or None,
            "tokens": [decode(token) for token in first.ids],
            "answer": decode(first.answers[0]) if first.answers else None,
            "foil": decode(first.foils[0]) if first.foils else None,
            "corrupted": self._corrupted_text(first),
            "foil_rule": self.family.foil,
            "corruption": self.family.corruption,
            "bos": first.has_bos,
            "token_lengths": {str(length): count for length, count in sorted(lengths.items())},
            "templates": sorted({prompt.template for prompt in prompts if prompt.template}),
            "period": first.period,
            "census": len(prompts) < self.n and not self.family.exhaustive,
            "answers": all(prompt.answers for prompt in prompts),
            "digest": "sha256:" + digest([[p.ids, p.corrupted, p.answers, p.foils] for p in prompts]),
        }

    def _corrupted_text(self, first: TokenPrompt) -> str | None:
        """The first prompt's corrupted partner as it was written, or its tokens where it never was text."""
        if first.corrupted is None:
            return None
        model, spec = self.model(), self.prompt_set
        parameters = with_defaults(self.family, spec.parameters)
        pair = next(self.family.pairs(parameters, model.tokenizer, self.seed, "prompts"))
        if pair.corrupted is not None and pair.corrupted.text is not None:
            return pair.corrupted.text
        return "".join(model.tokenizer.decode(token) for token in first.corrupted[1 if first.has_bos else 0 :])

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

    def _has_picture(self, asked: Question, head: tuple[int, int]) -> bool:
        if (asked, head) not in self._pictures:
            found = picture_from(self.cache.load(self.key_of(picture_key(asked, head))))
            if found is not None:
                self._pictures[asked, head] = found
        return (asked, head) in self._pictures

    def _is_known(self, asked: Question) -> bool:
        """Whether nothing is left to measure of a question; what the cache has of it is read."""
        if asked not in self._attention:
            found = _attention_from(self.cache.load(self.key_of(asked.key)))
            if found is None:
                return False
            self._attention[asked] = found
        return all(self._has_picture(*pair) for pair in self.pictures if pair[0] == asked)

    def _measure_attention(self, asked: Question) -> None:
        """One pass for this question and for all that are planned and not known."""
        self.questions.add(asked)
        variables = self.prompt_set.variables
        # A question that cannot be asked of these prompts must not take the others with it.
        missing = [
            q
            for q in sorted(self.questions, key=lambda q: q.key)
            if q == asked or (not self._is_known(q) and _askable(q, self.prompts, variables))
        ]
        pairs = sorted((pair for pair in self.pictures if pair[0] in missing), key=lambda pair: (pair[0].key, pair[1]))
        questions = f"{len(missing)} question{'s' if len(missing) > 1 else ''}"
        title = f"attention on {self.prompt_set.title}: {questions}, {len(self.prompts)} prompts"
        self.progress(title)
        model = self.model()
        values, patterns = measure_attention(
            model,
            self.prompts,
            missing,
            variables,
            patterns_of=sorted({head for _, head in pairs}),
            batch_tokens=self.settings.batch_tokens,
            progress=lambda done, total: self.progress(f"{title} ({done}/{total})"),
        )
        for question, value in values.items():
            self._attention[question] = value
            self.measured.add(question.key)
            self.cache.save(self.key_of(question.key), _attention_arrays(value))
        for question, head in pairs:
            shown = picture(question, self.prompts, variables, patterns[head], model.tokenizer.decode)
            self._pictures[question, head] = shown
            self.cache.save(self.key_of(picture_key(question, head)), picture_arrays(shown))

    @property
    def clean(self) -> Values:
        """The unablated model's metrics: Float[prompt] each (``loss`` only when planned)."""
        return self._cached_values(
            "clean", any(ablation.loss for ablation in self.ablations), lambda: self._clean_run().values
        )

    def ablated(self, ablation: Ablation) -> Values:
        """The metrics of a planned ablation: Float[prompt] each."""
        full = Ablation(ablation.components, ablation.method, True)
        wanted = full if full in self.ablations else ablation
        return self._cached_values(*_name_of(wanted), lambda: self._measure_ablation(wanted))

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
            quantity = json.dumps([name, loss])
            self._values[quantity] = found
            self.measured.add(name)
            self.cache.save(self.key_of(quantity), found)
        return found

    def _clean_run(self) -> CleanRun:
        loss = any(ablation.loss for ablation in self.ablations)
        if self._clean is None or (loss and not self._clean.loss):
            layers = sorted({ablation.start for ablation in self.ablations})
            self.progress(f"clean run on {self.prompt_set.title}: {len(self.prompts)} prompts")
            self._clean = clean_run(
                self.model(), self.prompts, layers, loss=loss, batch_tokens=self.settings.batch_tokens
            )
            self._clean.values["top_text"] = self._token_texts(self._clean.values)
        return self._clean

    def _measure_ablation(self, ablation: Ablation) -> Values:
        run = self._clean_run()
        names = ", ".join(str(component) for component in ablation.components)
        title = f"ablation of {names} ({ablation.method}) on {self.prompt_set.title}: {len(self.prompts)} prompts"
        self.progress(title)
        reference = self.reference if ablation.method == "mean" else None
        values = measure_ablation(
            self.model(),
            run,
            ablation,
            reference,
            progress=lambda done, total: self.progress(f"{title} ({done}/{total})"),
        )
        values["top_text"] = self._token_texts(values)
        return values

    def _token_texts(self, values: Values) -> NDArray[Any]:
        decode = self.model().tokenizer.decode
        return np.array([decode(int(token)) for token in values["top_token"]])

    @property
    def reference(self) -> Reference:
        """The mean-ablation reference of this prompt set and model."""
        if self._reference is None:
            spec, tokenizer = self.prompt_set, self.model().tokenizer

            def rows(template: str, length: int) -> list[tuple[int, ...]]:
                return reference_prompts(
                    self.family, spec.parameters, tokenizer, self.seed, template, length, spec.bos, spec.roles
                )

            # One pass over the reference prompts serves all mean ablations that are still to be measured.
            planned = [a for a in self.ablations if a.method == "mean" and self._kept(*_name_of(a)) is None]
            sites = {place for ablation in planned for place in ablation.sites}
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

    def release(self) -> None:
        """Forget the clean run's tensors; what was measured stays, and so do the (small) reference means."""
        self._clean = None


def _askable(asked: Question, prompts: list[TokenPrompt], variables: Mapping[str, int]) -> bool:
    """Whether every prompt has the period or variable that the question's offsets need (texts may differ)."""
    if not any(back_references(side) for side in (asked.left, asked.right) if side is not None):
        return True
    try:
        for prompt in prompts:
            cells(asked, [prompt], variables)
    except Unmeasurable:
        return False
    return True


def _name_of(ablation: Ablation) -> tuple[str, bool]:
    """The name of an ablation's values, and whether the loss is among them."""
    return json.dumps(["ablation", sorted(map(str, ablation.components)), ablation.method]), ablation.loss


def _attention_arrays(value: AttentionValues) -> dict[str, NDArray[Any]]:
    return {name: array for name, array in vars(value).items() if array is not None}


def _attention_from(found: dict[str, NDArray[Any]] | None) -> AttentionValues | None:
    if found is None or not {"left", "uniform_left"} <= found.keys():
        return None
    names = ("left", "right", "uniform_left", "uniform_right", "removed", "skipped_rows")
    return AttentionValues(**{name: found.get(name) for name in names})  # type: ignore[arg-type]
