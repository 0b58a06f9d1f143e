"""The controls of every planned question of one model, measured together: its weights are shuffled once for each seed."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from circuits.errors import PromptFault
from circuits.measure.attention import measure_attention
from circuits.measure.cells import Question
from circuits.measure.controls import Controls, Floats, means, measure_controls, permuted_weights
from circuits.measure.plan import askable
from circuits.measure.series import Series


def fill_controls(many: Sequence[Series], permuted: int) -> None:
    """Measure (or read) the controls of every planned question of series of one model, with ``permuted`` shuffles each.

    Several processes share the work: each takes a shuffle that no other has, and waits at the end for those that others have.
    """
    asked = [(series, question) for series in many for question in sorted(series.layers, key=lambda q: q.key)]
    asked = [(series, question) for series, question in asked if question not in series.known_controls]
    model_digest = many[0].model_digest
    cache = many[0].cache
    parts: list[int | None] = [None, *range(permuted)]  # None: the prompts without their structure
    for wait in (False, True):
        for part in parts:
            if not _missing(asked, part):
                continue
            with cache.alone(f"controls {model_digest} {part}", wait=wait) as held:
                todo = _missing(asked, part) if held else {}
                if todo and part is None:
                    _measure_broken(todo)
                elif todo and part is not None:
                    _measure_shuffled(todo, part, permuted)
    for series, question in asked:
        found = [_load(series, question, part) for part in parts]
        if all(each is not None for each in found):
            broken, *each = [values for values in found if values is not None]
            sides = (1 if question.right is None else 2, *_shape(series, broken, each))
            shuffled = np.stack(each) if each else np.zeros((0, *sides))
            series.known_controls[question] = Controls(broken if broken.size else None, shuffled)


def _shape(series: Series, broken: Floats, each: Sequence[Floats]) -> tuple[int, int]:
    """Layers and heads."""
    known = next((values for values in (broken, *each) if values.size), None)
    if known is None:
        shape = series.model().shape
        return shape.layers, shape.heads
    return int(known.shape[1]), int(known.shape[2])


def _missing(asked: Sequence[tuple[Series, Question]], part: int | None) -> dict[int, tuple[Series, list[Question]]]:
    """The questions of each series whose values of a part are not known, where they can be asked at all."""
    found: dict[int, tuple[Series, list[Question]]] = {}
    for series, question in asked:
        if _load(series, question, part) is not None:
            continue
        try:
            possible = askable(question, series.first.prompts, series.prompt_set.variables)
        except PromptFault:
            continue  # said by its own claims
        if possible:
            found.setdefault(id(series), (series, []))[1].append(question)
    return found


def _measure_broken(todo: dict[int, tuple[Series, list[Question]]]) -> None:
    """The questions on the corrupted partners; no values where prompts have none."""
    for series, questions in todo.values():
        series.progress(f"controls on {series.prompt_set.title}: prompts without their structure")
        variables, tokens = series.prompt_set.variables, series.settings.batch_tokens
        # One pass, so of all layers: an edited head then needs no other. The shuffled models go no deeper than they must.
        found = measure_controls(series.model(), series.first.prompts, questions, variables, tokens)
        for question, values in found.items():
            _save(series, question, None, values if values is not None else np.zeros(0), series.model().shape.layers)


def _measure_shuffled(todo: dict[int, tuple[Series, list[Question]]], seed: int, permuted: int) -> None:
    """The questions on the model with its weights shuffled by one seed."""
    first = next(iter(todo.values()))[0]
    first.progress(f"controls: shuffling the weights ({seed + 1}/{permuted})")
    model = first.model()
    deepest = max(series.layers[question] for series, questions in todo.values() for question in questions)
    with permuted_weights(model, seed, deepest):
        for series, questions in todo.values():
            series.progress(f"controls on {series.prompt_set.title}: shuffled weights ({seed + 1}/{permuted})")
            below = max(series.layers[question] for question in questions)
            found = measure_attention(
                model, series.first.prompts[: series.n_few], questions, series.prompt_set.variables,
                batch_tokens=series.settings.batch_tokens, below=below,
            )[0]  # fmt: skip
            for question, values in found.items():
                _save(series, question, seed, means(values), below)


def _name(series: Series, question: Question, part: int | None) -> str:
    return series.first.key_of(json.dumps(["controls", question.key, part]))


def _load(series: Series, question: Question, part: int | None) -> Floats | None:
    """The values of a part, from memory or the cache; an empty array where prompts have no partners.

    None where they do not reach as deep as is wanted. Deeper ones are cut off there: which other claims were measured before,
    on deeper heads, then changes nothing.
    """
    wanted = series.layers[question]
    known = series.control_parts.get((question, part))
    if known is None or known[1] < wanted:
        found = series.cache.load(_name(series, question, part))
        if found is None or not {"values", "below"} <= found.keys() or found["below"] < wanted:
            return None
        known = series.control_parts[question, part] = (found["values"], int(found["below"]))
    values, below = known
    if part is None or below == wanted or not values.size:
        return values
    cut = values.copy()
    cut[:, wanted:] = np.nan
    return cut


def _save(series: Series, question: Question, part: int | None, values: Floats, below: int) -> None:
    series.control_parts[question, part] = (values, below)
    series.cache.save(_name(series, question, part), {"values": values, "below": np.array(below)})
