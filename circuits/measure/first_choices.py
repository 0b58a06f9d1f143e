"""What the clean model has first: how often any of several right answers, and what instead of one."""

from __future__ import annotations

from typing import Any

import numpy as np

from circuits.measure.metrics import most_frequent, on_foils
from circuits.measure.view import View

MOST_TOKENS = 5


def first_choices(view: View) -> dict[str, Any]:
    """What the clean model has first on a view's prompts, beside how often it is the answer; empty without answers.

    ``wrong_first``: the tokens that are first where no right answer is, the most frequent first, with the number of prompts
    of each, at most ``MOST_TOKENS``. ``wrong``: [m, n], on m of those n prompts a foil is first (m is null without foils). ``n``: the
    number of all prompts. Where several answers are right also ``right_answers``, the largest number of them on one prompt, and
    ``right_first``, the share of prompts with an answer (0 to 1) whose largest logit is that of any of them. Null and empty where
    the logits are no finite numbers.
    """
    several = view.facts["right_answers"] or 0
    if not several:
        return {}
    right = view.clean["right_first"]
    there = right[~np.isnan(right)]
    told = bool(len(there)) and bool(np.isfinite(there).all())
    wrong = right == 0
    found: dict[str, Any] = {
        "wrong_first": most_frequent(view.clean["top_text"][wrong], MOST_TOKENS) if told else [],
        "wrong": [on_foils(view.clean, wrong), int(wrong.sum())] if told else None,
        "n": len(right),
    }
    if several > 1:
        found |= {"right_answers": several, "right_first": float(there.mean()) if told else None}
    return found
