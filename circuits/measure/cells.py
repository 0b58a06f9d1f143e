"""Selectors as arrays: which cells of the attention matrix a question reads.

A *question* is a selector with its statistic and exclusions (and, for a comparison, a second
selector). For each prompt it becomes the cells (query, key) of one or two sides, computed from the
tokens alone, so that its value under uniform attention needs no model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from circuits.claims.claim import Attends, Score
from circuits.claims.positions import effective
from circuits.claims.selector import Selector, parse
from circuits.prompts.prompt import TokenPrompt

# The field's scores are attention from the rows of the second copy of a repeated random block
# (arXiv 2211.00593, App. H and I; arXiv 2209.11895): to the previous token, to the same token's
# first copy, and to the token after that copy.
SCORE_SELECTORS: Mapping[str, str] = {
    "previous_token": "second_copy -> n-1",
    "duplicate_token": "second_copy -> n-{period}",
    "induction": "second_copy -> n-{period-1}",
}


@dataclass(frozen=True)
class Question:
    """One attention quantity: ``left`` (minus ``right``) by a statistic, without excluded keys."""

    left: Selector
    right: Selector | None
    statistic: str
    excluding: tuple[str, ...]

    @property
    def key(self) -> str:
        """A canonical text: equal questions have equal keys, whatever claim asked them."""
        right = self.right.text if self.right is not None else None
        return json.dumps(["attention", self.left.text, right, self.statistic, list(self.excluding)])


def question(what: Attends | Score) -> Question:
    """The attention question of a check."""
    if isinstance(what, Score):
        return Question(parse(SCORE_SELECTORS[what.name]), None, "mass", ())
    return Question(what.selector, what.more_than, what.statistic, what.excluding)


@dataclass(frozen=True)
class Cells:
    """The cells of one question on a batch of prompts of equal length.

    ``left``/``right``: Bool[batch, query, key]; ``rows_left``/``rows_right``: Bool[batch, query],
    the eligible queries; ``kept``: Bool[batch, query, key], the visible keys that are not excluded.
    """

    left: NDArray[np.bool_]
    right: NDArray[np.bool_] | None
    rows_left: NDArray[np.bool_]
    rows_right: NDArray[np.bool_] | None
    kept: NDArray[np.bool_]


def cells(asked: Question, prompts: Sequence[TokenPrompt], variables: Mapping[str, int]) -> Cells:
    """The cells of a question on prompts of one token length.

    With equal query selectors on both sides only queries eligible on both count; else each side
    has its own. Raises Unmeasurable when an offset has no period.
    """
    size, length = len(prompts), len(prompts[0].ids)
    left = np.zeros((size, length, length), dtype=bool)
    right = np.zeros_like(left) if asked.right is not None else None
    kept = np.repeat(np.tril(np.ones((length, length), dtype=bool))[None], size, axis=0)
    if "self" in asked.excluding:
        kept &= ~np.eye(length, dtype=bool)
    for row, prompt in enumerate(prompts):
        if "bos" in asked.excluding and prompt.has_bos:
            kept[row, :, 0] = False
        sides = [effective(asked.left, prompt, variables, asked.excluding)]
        if asked.right is not None and right is not None:
            sides.append(effective(asked.right, prompt, variables, asked.excluding))
            if asked.right.query == asked.left.query:
                common = sides[0].keys() & sides[1].keys()
                sides = [{query: side[query] for query in common} for side in sides]
        for target, side in zip((left, right), sides, strict=False):
            assert target is not None
            for query, keys in side.items():
                target[row, query, list(keys)] = True
    rows_left: NDArray[np.bool_] = np.any(left, axis=2)
    rows_right: NDArray[np.bool_] | None = np.any(right, axis=2) if right is not None else None
    return Cells(left, right, rows_left, rows_right, kept)


def uniform(asked: Question, found: Cells) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Each prompt's value of both sides if every visible, not excluded key had equal attention.

    NaN where a prompt has no eligible query. For ``top1`` it is the chance that a key drawn
    uniformly is in the set; for ``lift`` it is 1 by definition.
    """
    visible = found.kept.sum(axis=2).astype(float)

    def side(target: NDArray[np.bool_], rows: NDArray[np.bool_]) -> NDArray[np.float64]:
        count = rows.sum(axis=1).astype(float)
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.where(rows, target.sum(axis=2) / np.where(visible > 0, visible, np.nan), 0.0)
            value = share.sum(axis=1) / count
        value[count == 0] = np.nan
        return np.where(np.isnan(value), np.nan, 1.0) if asked.statistic == "lift" else value

    right = side(found.right, found.rows_right) if found.right is not None and found.rows_right is not None else None
    return side(found.left, found.rows_left), right
