"""What a heat map of one head shows: its mean pattern, token labels and the question's cells."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.measure.cells import Question, cells
from circuits.prompts.prompt import TokenPrompt


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


def picture(
    asked: Question,
    prompts: Sequence[TokenPrompt],
    variables: Mapping[str, int],
    mean: NDArray[np.float64],
    decode: Callable[[int], str],
) -> Picture:
    """The picture of a mean pattern over the prompts that have the first one's template and token length."""
    first = prompts[0]
    alike = [p for p in prompts if p.template == first.template and len(p.ids) == len(first.ids)]
    found = cells(asked, alike, variables)
    others = found.right.mean(axis=0) >= 0.5 if found.right is not None else None
    return Picture(mean, _labels(alike, decode), found.left.mean(axis=0) >= 0.5, others, len(alike))


def _labels(alike: Sequence[TokenPrompt], decode: Callable[[int], str]) -> tuple[str, ...]:
    """A label per position: the token, and the role's name where tokens differ between prompts."""
    labels = []
    for place, token in enumerate(alike[0].ids):
        text = "BOS" if place == 0 and alike[0].has_bos else decode(token)
        if any(prompt.ids[place] != token for prompt in alike):
            names = [role for role, spans in alike[0].roles.items() if any(place in span for span in spans)]
            text = f"{text} ‹{names[0]}›" if names else text
        labels.append(text if text.strip() else text.replace(" ", "␣"))  # a blank label would look like a missing one
    return tuple(labels)


def picture_key(asked: Question, head: tuple[int, int]) -> str:
    """The name of the quantity in the cache."""
    return json.dumps(["picture", asked.key, list(head)])


def picture_arrays(shown: Picture) -> dict[str, NDArray[Any]]:
    """The picture as arrays for the cache."""
    arrays: dict[str, NDArray[Any]] = {"mean": shown.mean, "labels": np.array(shown.labels), "cells": shown.cells}
    arrays["n"] = np.array(shown.n)
    return arrays | ({"others": shown.others} if shown.others is not None else {})


def picture_from(found: Mapping[str, NDArray[Any]] | None) -> Picture | None:
    """The picture kept as ``picture_arrays``, or None where something is missing."""
    if found is None or not {"mean", "labels", "cells", "n"} <= found.keys():
        return None
    labels = tuple(str(label) for label in found["labels"])
    return Picture(found["mean"], labels, found["cells"], found.get("others"), int(found["n"]))
