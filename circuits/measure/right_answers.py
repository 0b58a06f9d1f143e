"""Prompts on which several answers are right: how often any of them is the model's first choice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.measure.metrics import Values, metric_values, most_frequent
from circuits.measure.view import View

RIGHT_FIRST = "any right answer is first"
MOST_TOKENS = 5


def several_right(view: View) -> Mapping[str, Any]:
    """What is said of the clean model where several answers are right; empty where at most one is.

    ``right_answers``: the largest number of right answers of a prompt. ``right_first``: the share of prompts with an
    answer (0 to 1) whose largest logit is that of any right one; null where no such share can be told. ``wrong_first``: the
    tokens that are first on the other prompts, the most frequent first, with the number of prompts of each.
    """
    several = view.facts["right_answers"] or 1
    if several < 2:
        return {}
    known = right_first(view)
    known = known[~np.isnan(known)]
    told = bool(len(known)) and bool(np.isfinite(known).all())
    return {
        "right_answers": several,
        "right_first": float(known.mean()) if told else None,
        "wrong_first": _wrong_first(view) if told else [],
    }


def _wrong_first(view: View) -> list[list[Any]]:
    """[token as text, number of prompts] of the tokens that are first where no right answer is; at most ``MOST_TOKENS``."""
    wrong = [text for text, first in zip(view.clean["top_text"], right_first(view), strict=True) if first == 0]
    return most_frequent(wrong, MOST_TOKENS)


def right_after(view: View, run: Values, name: str) -> float | None:
    """The share of prompts (0 to 1) whose largest logit is that of any right answer in another run of the model.

    ``run``: its metrics; ``name``: what distinguishes it from all others on the same prompts. None where no prompt has several
    right answers, or no such share can be told.
    """
    if (view.facts["right_answers"] or 1) < 2:
        return None
    known = _right_first(view, run, f"{RIGHT_FIRST}: {name}")
    known = known[~np.isnan(known)]
    return float(known.mean()) if len(known) and np.isfinite(known).all() else None


def right_first(view: View) -> NDArray[np.float64]:
    """Whether a right answer is first in the clean model on each prompt: Float[prompt] of 0 and 1.

    NaN without an answer, infinite where the logits are no finite numbers. A tie of the first answer with another token
    counts as first, as in ``top1``.
    """
    return _right_first(view, view.clean, RIGHT_FIRST)


def _right_first(view: View, run: Values, name: str) -> NDArray[np.float64]:
    key = view.key_of(name)
    found = view.series.cache.load(key)
    if found is None or "values" not in found:
        first = metric_values("top1", run)
        others = [float(token in prompt.answers) for token, prompt in zip(run["top_token"], view.prompts, strict=True)]
        found = {"values": np.where(np.isfinite(first), np.maximum(first, others), first)}
        view.series.cache.save(key, found)
    return found["values"]
