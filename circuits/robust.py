"""The robustness strip of a claim: what its verdict would be had one choice been made otherwise.

A claim is asked on one set of prompts, with one way to remove a component. Here it is asked again with each other method
of ablation, with BOS where there was none (or without), and on each template alone where the family has several.
These are further questions, not further evidence: none of them changes the verdict.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from circuits.claims.claim import Ablate, Attends, Check, Keep, LossMap, PromptSet
from circuits.claims.keys import METHODS
from circuits.items import Item

if TYPE_CHECKING:
    from circuits.evaluate import Evaluator

Strip = list[dict[str, Any]]


def strip(evaluator: Evaluator, item: Item, entry: Mapping[str, Any]) -> Strip:
    """The verdict of each variation of a measured claim: ``choice``, ``value``, ``verdict``, ``reason``, ``estimates``.

    ``entry``: what the claim itself came to. A variation that cannot be asked is UNMEASURABLE with its reason.
    """
    aside = copy.copy(evaluator)  # the same models, series and cache; no figures, no controls, no correction of the run
    aside.draw, aside.with_controls = None, False
    aside.options = replace(evaluator.options, need=None, robust=False, strict=False)
    return [
        {"choice": choice, "value": value, **_asked(aside, changed)}
        for choice, value, changed in variations(item, entry)
    ]


def _asked(evaluator: Evaluator, item: Item) -> dict[str, Any]:
    try:
        found = evaluator.evaluate(item).entry
    except ValueError as problem:  # a method that these prompts do not allow, which no loader has checked
        return {"verdict": "unmeasurable", "reason": str(problem), "estimates": []}
    return {
        "verdict": found["verdict"] or "unmeasurable",
        "reason": found["reason"],
        "estimates": [row["estimate"] for row in found["checks"] if not row.get("observe")],
    }


def variations(item: Item, entry: Mapping[str, Any]) -> Iterator[tuple[str, str, Item]]:
    """Each other choice: its kind, its value, and the claim with it."""
    methods = {check.what.method for check in item.claim.checks if isinstance(check.what, (Ablate, Keep, LossMap))}
    for method in METHODS if methods else ():
        if methods != {method}:
            yield "method", method, _with_checks(item, [_by_method(check, method) for check in item.claim.checks])
    sets = [
        prompts for check in item.claim.checks for prompts in check.prompts or (item.variant,) if prompts is not None
    ]
    if sets and not all(prompts.family == "repeated_tokens" and not prompts.bos for prompts in sets):
        had = any(prompts.bos for prompts in sets)
        changed = _with_checks(item, [_by_bos(check, not had) for check in item.claim.checks])
        variant = replace(item.variant, bos=not had) if item.variant is not None else None
        yield "BOS", "without" if had else "with", replace(changed, variant=variant)
    several = [facts["templates"] for facts in entry["prompts"].values() if len(facts.get("templates") or ()) > 1]
    for name in sorted({name for templates in several for name in templates}):
        yield "template", name, replace(item, template=name)


def _with_checks(item: Item, checks: Sequence[Check]) -> Item:
    return replace(item, claim=replace(item.claim, checks=tuple(checks)))


def _by_method(check: Check, method: str) -> Check:
    return replace(check, what=replace(check.what, method=method)) if isinstance(check.what, (Ablate, Keep)) else check


def _by_bos(check: Check, bos: bool) -> Check:
    def changed(prompts: PromptSet) -> PromptSet:
        return replace(prompts, bos=bos)

    what = check.what
    if isinstance(what, Attends) and what.other_prompts is not None:
        what = replace(what, other_prompts=changed(what.other_prompts))
    return replace(check, what=what, prompts=tuple(changed(prompts) for prompts in check.prompts))
