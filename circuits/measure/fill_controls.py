"""The controls of every planned question of one model, measured together: its weights are shuffled once for each seed."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from circuits.errors import PromptFault
from circuits.measure.attention import measure_attention
from circuits.measure.cells import Question
from circuits.measure.controls import Controls, means, measure_controls, permuted_weights
from circuits.measure.group import askable
from circuits.measure.series import Series
from circuits.prompts.prompt import TokenPrompt

FEW = 8
"""Prompts for each shuffled model: shuffles differ far more from each other than prompts do on one of them."""


def fill_controls(many: Sequence[Series], permuted: int) -> None:
    """Measure (or read) the controls of every planned question of series of one model, with ``permuted`` shuffles each."""
    todo: list[tuple[Series, list[Question]]] = []
    for series in many:
        try:
            missing = [
                asked for asked in sorted(series.layers, key=lambda q: q.key) if not _read(series, asked, permuted)
            ]
            prompts = series.first.prompts if missing else []
        except PromptFault:
            continue  # said by its own claims
        missing = [asked for asked in missing if askable(asked, prompts, series.prompt_set.variables)]
        todo += [(series, missing)] if missing else []
    if not todo:
        return
    model = todo[0][0].model()
    broken = {}
    for series, questions in todo:
        series.progress(f"controls on {series.prompt_set.title}: prompts without their structure")
        variables, tokens = series.prompt_set.variables, series.settings.batch_tokens
        # One pass, so of all layers: an edited head then needs no other. The shuffled models go no deeper than they must.
        broken[id(series)] = measure_controls(model, series.first.prompts, questions, variables, tokens)
    shuffled: dict[tuple[int, Question], list[NDArray[np.float64]]] = {}
    for seed in range(permuted):
        todo[0][0].progress(f"controls: shuffling the weights ({seed + 1}/{permuted})")
        with permuted_weights(model, seed):
            for series, questions in todo:
                series.progress(f"controls on {series.prompt_set.title}: shuffled weights ({seed + 1}/{permuted})")
                found = measure_attention(
                    model, few_of(series), questions, series.prompt_set.variables,
                    batch_tokens=series.settings.batch_tokens, below=_below(series, questions),
                )[0]  # fmt: skip
                for asked, values in found.items():
                    shuffled.setdefault((id(series), asked), []).append(means(values))
    for series, questions in todo:
        for asked in questions:
            partners = broken[id(series)][asked]
            each = shuffled.get((id(series), asked), [])
            sides = (1 if asked.right is None else 2, model.shape.layers, model.shape.heads)
            arrays = {"permuted": np.stack(each) if each else np.zeros((0, *sides))}
            arrays |= {"broken": partners} if partners is not None else {}
            series.cache.save(_controls_key(series, asked, permuted), arrays)
            series.known_controls[asked] = Controls(partners, arrays["permuted"])


def few_of(series: Series) -> list[TokenPrompt]:
    """The prompts that the shuffled models are shown: a whole cycle of templates, at least FEW; texts are all shown."""
    prompts = series.first.prompts
    return prompts if series.family.exhaustive else prompts[: -(-FEW // series.cycle) * series.cycle]


def _controls_key(series: Series, asked: Question, permuted: int) -> str:
    return series.first.key_of(
        json.dumps(["controls", asked.key, permuted, series.layers[asked] if permuted else None])
    )


def _below(series: Series, questions: Sequence[Question]) -> int:
    return max(series.layers[asked] for asked in questions)


def _read(series: Series, asked: Question, permuted: int) -> bool:
    """Whether the controls of a question are known; what the cache has is read."""
    if asked not in series.known_controls:
        found = series.cache.load(_controls_key(series, asked, permuted))
        if found is None or "permuted" not in found:
            return False
        series.known_controls[asked] = Controls(found.get("broken"), found["permuted"])
    return True
