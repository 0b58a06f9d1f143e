"""One model on one prompt set: everything that claims ask of the pair, each quantity measured once.

A group is planned first (``plan_attention``, ``plan_ablation``), so that one pass answers every
attention question and one clean run serves every ablation. Values come from the cache where they
are there; only what is missing loads the model.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from circuits.claims.claim import PromptSet
from circuits.measure.ablation import Ablation, CleanRun, Reference, clean_run, measure_ablation
from circuits.measure.attention import AttentionValues, measure_attention
from circuits.measure.cache import ValueCache, code_digest, digest
from circuits.measure.cells import Question, cells
from circuits.measure.metrics import Values
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


@dataclass(frozen=True)
class Picture:
    """What a heat map of one head on one question shows.

    ``mean``: Float[query, key] over ``n`` prompts of one template and length; ``cells`` and
    ``others`` (the compared side) are the question's cells on at least half of those prompts.
    """

    mean: NDArray[np.float64]
    labels: tuple[str, ...]
    cells: NDArray[np.bool_]
    others: NDArray[np.bool_] | None
    n: int


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
    _ablated: dict[Ablation, Values] = field(default_factory=dict)
    _clean: CleanRun | None = None
    _reference: Reference | None = None

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
                [spec.family, with_defaults(self.family, spec.parameters), spec.bos, dict(spec.roles), self.family.exhaustive],
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
        plain, full = Ablation(ablation.components, ablation.method), Ablation(ablation.components, ablation.method, True)
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
            prompts = build(self.family, spec.parameters, model.tokenizer, self.seed, "prompts", self.n, spec.bos, spec.roles)
            longest = max(len(prompt.ids) for prompt in prompts)
            if model.shape.context is not None and longest > model.shape.context:
                from circuits.errors import PromptFault

                raise PromptFault(f"a prompt has {longest} tokens, but {model.name} reads at most {model.shape.context}")
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
            "parameters": {k: v for k, v in with_defaults(self.family, self.prompt_set.parameters).items() if v is not None},
            "n": len(prompts),
            "seed": self.seed,
            "example": first.text or None,
            "tokens": [decode(token) for token in first.ids],
            "answer": decode(first.answers[0]) if first.answers else None,
            "foil": decode(first.foils[0]) if first.foils else None,
            "corrupted": "".join(decode(token) for token in first.corrupted[1 if first.has_bos else 0 :]) if first.corrupted else None,
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

    def attention(self, asked: Question) -> AttentionValues:
        """All heads' values of a planned question; one pass measures all that are missing."""
        if asked not in self._attention:
            known = _attention_from(self.cache.load(self.key_of(asked.key)))
            if known is not None and not self._missing_pictures(asked):
                self._attention[asked] = known
            else:
                self._measure_attention(asked)
        return self._attention[asked]

    def picture(self, asked: Question, head: tuple[int, int]) -> Picture:
        """The mean pattern of a planned head with the question's cells."""
        if (asked, head) not in self._pictures:
            found = self.cache.load(self.key_of(_picture_key(asked, head)))
            if found is None:
                self._measure_attention(asked)
            else:
                self._pictures[asked, head] = _picture_from(found)
        return self._pictures[asked, head]

    def _missing_pictures(self, asked: Question) -> bool:
        wanted = [pair for pair in self.pictures if pair[0] == asked and pair not in self._pictures]
        return any(self.cache.load(self.key_of(_picture_key(*pair))) is None for pair in wanted)

    def _measure_attention(self, asked: Question) -> None:
        self.questions.add(asked)
        missing = [
            q for q in sorted(self.questions, key=lambda q: q.key)
            if q not in self._attention and (q == asked or self.cache.load(self.key_of(q.key)) is None or self._missing_pictures(q))
        ]  # fmt: skip
        variables = self.prompt_set.variables
        # A question that cannot be asked of these prompts must not take the others with it.
        missing = [q for q in missing if q == asked or _askable(q, self.prompts[0], variables)]
        pictures = sorted({pair for pair in self.pictures if pair[0] in missing}, key=lambda pair: (pair[0].key, pair[1]))
        title = f"attention on {self.prompt_set.title}: {len(missing)} question{'s' if len(missing) > 1 else ''}, {len(self.prompts)} prompts"
        self.progress(title)
        values, patterns = measure_attention(
            self.model(),
            self.prompts,
            missing,
            variables,
            patterns_of=sorted({head for _, head in pictures}),
            batch_tokens=self.settings.batch_tokens,
            progress=lambda done, total: self.progress(f"{title} ({done}/{total})"),
        )
        for question, value in values.items():
            self._attention[question] = value
            self.measured.add(question.key)
            self.cache.save(self.key_of(question.key), _attention_arrays(value))
        for question, head in pictures:
            picture = self._picture(question, patterns[head])
            self._pictures[question, head] = picture
            self.cache.save(self.key_of(_picture_key(question, head)), _picture_arrays(picture))

    def _picture(self, asked: Question, mean: NDArray[np.float64]) -> Picture:
        first = self.prompts[0]
        alike = [p for p in self.prompts if p.template == first.template and len(p.ids) == len(first.ids)]
        found = cells(asked, alike, self.prompt_set.variables)
        others = found.right.mean(axis=0) >= 0.5 if found.right is not None else None
        return Picture(mean, self._labels(alike), found.left.mean(axis=0) >= 0.5, others, len(alike))

    def _labels(self, alike: list[TokenPrompt]) -> tuple[str, ...]:
        """A label per position: the token, and the role's name where tokens differ between prompts."""
        decode = self.model().tokenizer.decode
        labels = []
        for place, token in enumerate(alike[0].ids):
            text = "BOS" if place == 0 and alike[0].has_bos else decode(token)
            if any(prompt.ids[place] != token for prompt in alike):
                names = [role for role, spans in alike[0].roles.items() if any(place in span for span in spans)]
                text = f"{text} ‹{names[0]}›" if names else text
            labels.append(text)
        return tuple(labels)

    @property
    def clean(self) -> Values:
        """The unablated model's metrics: Float[prompt] each (``loss`` only when planned)."""
        return self._cached_values(json.dumps(["clean", any(a.loss for a in self.ablations)]), lambda: self._clean_run().values)

    def ablated(self, ablation: Ablation) -> Values:
        """The metrics of a planned ablation: Float[prompt] each."""
        full = Ablation(ablation.components, ablation.method, True)
        ablation = full if full in self.ablations else ablation
        if ablation not in self._ablated:
            names = ", ".join(str(component) for component in ablation.components)
            self._ablated[ablation] = self._cached_values(
                json.dumps(["ablation", sorted(map(str, ablation.components)), ablation.method, ablation.loss]),
                lambda: self._measure_ablation(ablation, names),
            )
        return self._ablated[ablation]

    def _cached_values(self, quantity: str, measure: Callable[[], Values]) -> Values:
        key = self.key_of(quantity)
        found = self.cache.load(key)
        if found is None:
            found = measure()
            self.measured.add(quantity)
            self.cache.save(key, found)
        return found

    def _clean_run(self) -> CleanRun:
        if self._clean is None:
            layers = sorted({ablation.start for ablation in self.ablations})
            self.progress(f"clean run on {self.prompt_set.title}: {len(self.prompts)} prompts")
            loss = any(ablation.loss for ablation in self.ablations)
            self._clean = clean_run(self.model(), self.prompts, layers, loss=loss, batch_tokens=self.settings.batch_tokens)
            self._clean.values["top_text"] = self._token_texts(self._clean.values)
        return self._clean

    def _measure_ablation(self, ablation: Ablation, names: str) -> Values:
        run = self._clean_run()
        title = f"ablation of {names} ({ablation.method}) on {self.prompt_set.title}: {len(self.prompts)} prompts"
        self.progress(title)
        values = measure_ablation(self.model(), run, ablation, self.reference if ablation.method == "mean" else None)
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
                return reference_prompts(self.family, spec.parameters, tokenizer, self.seed, template, length, spec.bos, spec.roles)

            self._reference = Reference(self.model(), rows, self.settings.batch_tokens)
        return self._reference

    @property
    def reference_facts(self) -> dict[str, Any]:
        """How many reference prompts the smallest stratum has, and their digest."""
        key = self.key_of("reference")
        known = self.cache.load_json(key)
        if known is None:
            strata = sorted({(prompt.template, len(prompt.ids)) for prompt in self.prompts})
            rows = [self.reference.rows(*stratum) for stratum in strata]
            known = {"n": min(len(found) for found in rows), "digest": "sha256:" + digest([[s, r] for s, r in zip(strata, rows, strict=True)])}
            self.cache.save_json(key, known)
        return known

    def release(self) -> None:
        """Forget the clean run's tensors; what was measured stays."""
        self._clean = None
        self._reference = None


def _askable(asked: Question, prompt: TokenPrompt, variables: Any) -> bool:
    from circuits.errors import Unmeasurable

    try:
        cells(asked, [prompt], variables)
    except Unmeasurable:
        return False
    return True


def _picture_key(asked: Question, head: tuple[int, int]) -> str:
    return json.dumps(["picture", asked.key, list(head)])


def _attention_arrays(value: AttentionValues) -> dict[str, NDArray[Any]]:
    return {name: array for name, array in vars(value).items() if array is not None}


def _attention_from(found: dict[str, NDArray[Any]] | None) -> AttentionValues | None:
    if found is None:
        return None
    names = ("left", "right", "uniform_left", "uniform_right", "removed", "skipped_rows")
    return AttentionValues(**{name: found.get(name) for name in names})  # type: ignore[arg-type]


def _picture_arrays(picture: Picture) -> dict[str, NDArray[Any]]:
    arrays = {"mean": picture.mean, "labels": np.array(picture.labels), "cells": picture.cells, "n": np.array(picture.n)}
    return arrays | ({"others": picture.others} if picture.others is not None else {})


def _picture_from(found: dict[str, NDArray[Any]]) -> Picture:
    labels = tuple(str(label) for label in found["labels"])
    return Picture(found["mean"], labels, found["cells"], found.get("others"), int(found["n"]))
