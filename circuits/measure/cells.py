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
from circuits.errors import Unmeasurable
from circuits.prompts.own import Score as OwnScore
from circuits.prompts.own import place_of
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
    """One attention quantity: ``left`` (minus ``right``) by a statistic, without excluded keys.

    ``own``: a project's own score that is computed from whole patterns; its cells are all that are visible.
    """

    left: Selector
    right: Selector | None
    statistic: str
    excluding: tuple[str, ...]
    own: OwnScore | None = None

    @property
    def key(self) -> str:
        """A canonical text: equal questions have equal keys, whatever claim asked them."""
        if self.own is not None:
            return json.dumps(["own score", self.own.name])
        right = self.right.text if self.right is not None else None
        return json.dumps(["attention", self.left.text, right, self.statistic, list(self.excluding)])


def score_selector(what: Score) -> str | None:
    """The cells that a score of attention is about; None for the package's other scores.

    A project's own score without a selector is about every cell.
    """
    if what.own is not None:
        return what.own.selector or "any | bos -> any | bos | self"
    return SCORE_SELECTORS.get(what.name)


def question(what: Attends | Score) -> Question:
    """The attention question of a check."""
    if isinstance(what, Score):
        own = what.own if what.own is not None and what.own.selector is None else None
        selector = score_selector(what)
        assert selector is not None
        return Question(parse(selector), None, "mass", (), own)
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


def uniform(
    asked: Question, found: Cells, prompts: Sequence[TokenPrompt] = ()
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Each prompt's value of both sides if every visible, not excluded key had equal attention.

    NaN where a prompt has no eligible query. For ``top1`` it is the chance that a key drawn
    uniformly is in the set; for ``lift`` it is 1 by definition. A project's own score needs the ``prompts``.
    """
    if asked.own is not None:
        return _own_uniform(asked.own, prompts), None
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


def _own_uniform(own: OwnScore, prompts: Sequence[TokenPrompt]) -> NDArray[np.float64]:
    """A project's own score of attention that is equal over all visible keys: Float[prompt]."""
    length = len(prompts[0].ids)
    visible = np.tril(np.ones((length, length)))
    pattern = (visible / visible.sum(axis=1, keepdims=True))[None]
    return np.array([own_score(own, pattern, prompt)[0] for prompt in prompts])


ROUNDING = 1e-6
"""How far outside 0 and 1 an own score may lie through rounding; it is clipped."""


def own_score(own: OwnScore, attention: NDArray[np.float64], prompt: TokenPrompt) -> NDArray[np.float64]:
    """A project's own score of one layer's heads on one prompt: Float[head], NaN where there is none.

    ``attention``: Float[head, query, key]. Raises Unmeasurable where the function fails, gives another shape or leaves 0 to 1.
    """
    assert own.value is not None
    about = f"the project's own score {own.name!r} ({place_of(own)})"
    try:
        found = np.asarray(own.value(attention, prompt), dtype=np.float64)
    except Exception as error:  # whatever a project's own function raises becomes one line
        raise Unmeasurable(f"{about} failed on {prompt.text!r}: {type(error).__name__}: {error}") from error
    if found.shape != (len(attention),):
        raise Unmeasurable(f"{about} gave an array of shape {found.shape}, not one number for each head")
    there = found[~np.isnan(found)]
    if there.size and not (there.min() >= -ROUNDING and there.max() <= 1 + ROUNDING):
        outside = there.min() if there.min() < -ROUNDING else there.max()
        raise Unmeasurable(f"{about} gave {outside:g} on {prompt.text!r}, outside its range 0 to 1")
    return np.clip(found, 0.0, 1.0)
