"""What the checks of interventions share: their effect, its metric, their method, how many draws."""

from __future__ import annotations

import math

from circuits.claims import bounds, values
from circuits.claims.claim import PromptSet
from circuits.claims.keys import METHODS, misspelt
from circuits.claims.load_parts import Asked
from circuits.claims.source import Faults, Node

MOST_DRAWS = 1000
# Metrics that need no answer, by the effects that do not take both of them.
WITHOUT_ANSWER = {
    "drop_in": "", "recovers": "", "faithfulness": "loss", "completeness": "loss", "minimality": "loss",
    "sufficiency": "loss",
}  # fmt: skip
RANK = "a mean rank is no claim: answer_rank is only shown"


def read_effect(asked: Asked, kind: str, names: tuple[str, ...], hint: str, what: str) -> str | None:
    """The one key of ``names`` that the check has; none and two are faults. ``what`` calls them in messages."""
    given = sorted(
        (key for key, _ in asked.node.entries if key.text in names), key=lambda key: (key.where.line, key.where.column)
    )
    if not given:
        if not misspelt(asked.node, names):
            subject = "the ablation" if kind == "ablate" else "the path" if kind == "path" else kind
            asked.faults.add(asked.key(kind), f"{subject} has no {what} to measure", hint)
        return None
    if len(given) > 1:
        message = f"two {what}s on one check: {given[0].text!r} and {given[1].text!r}"
        asked.faults.add(given[1], message, "write two checks")
        return None
    return given[0].text


def read_metric(asked: Asked, effect: str, *, zero: bool, judged: bool) -> str | None:
    """The metric that stands at ``effect``.

    ``zero``: the effect divides by it, so it needs a meaningful zero. ``judged``: the effect is a claim in
    any case, so that answer_rank, which is only shown, cannot be its metric.
    """
    node = asked.node.get(effect)
    assert node is not None
    name = values.text(node, asked.faults, effect)
    if name is None:
        return None
    own = asked.context.own.metrics
    name = bounds.named(name.strip(), own)
    facts = bounds.metric(name)
    if facts is None:
        asked.faults.add(node, f"unknown metric {name!r}", bounds.nearest_metric(name, own))
        return None
    if judged and name == "answer_rank":
        asked.faults.add(node, RANK, "use top1, top5, ... or answer_logprob")
        return None
    if zero and not facts[2]:
        other = "faithfulness" if effect == "recovers" else "change_in"
        change = "the absolute difference" if effect == "recovers" else "the absolute change"
        hint = f"use {other}: {name} ({change})"
        if (effect == "recovers" and name == "kl") or asked.node.get("interaction") is not None:
            hint = "use logit_diff, answer_prob, pair_prob, prob_diff, top1, ..."
        message = f"{effect}: {name} means nothing, because {name} has no meaningful zero"
        asked.faults.add(node, message, hint)
        return None
    return name


def read_method(asked: Asked) -> str | None:
    """``method:``; mean where it is not given."""
    node = asked.node.get("method")
    return "mean" if node is None else values.choice(node, asked.faults, "method", METHODS)


def read_count(asked: Asked, name: str, default: int, minimum: int) -> int | None:
    """``random:`` or ``subsets:``: how many are drawn."""
    node = asked.node.get(name)
    return default if node is None else values.integer(node, asked.faults, name, minimum, MOST_DRAWS)


def read_range(node: Node, faults: Faults, metric: str | None, effect: str) -> tuple[float, float] | None:
    """``range: [low, high]``: where an unbounded metric is cut; None without one, or after a fault.

    A metric that is bounded already, and a share of random circuits, have no use for it.
    """
    given = node.get("range")
    if given is None:
        return None
    key = node.key("range") or node
    facts = bounds.metric(metric) if metric is not None else None
    if facts is not None and (all(map(math.isfinite, facts[:2])) or metric == "answer_rank"):
        message = f"{metric} lies between {facts[0]:g} and {facts[1]:g} already" if metric != "answer_rank" else RANK
        faults.add(key, f"range: {message}", "remove range")
        return None
    if effect == "partial_necessity" or node.get("sufficiency") is not None:
        faults.add(key, "range does not go with a share of random circuits", "remove range")
        return None
    if given.kind != "list" or len(given.children) != 2:
        faults.add(given, f"range takes a list of two numbers, not {given.noun}", "write range: [-10, 10]")
        return None
    ends = [values.number(child, faults, "each end of range") for child in given]
    if ends[0] is None or ends[1] is None:
        return None
    low, high = ends[0][0], ends[1][0]
    if not low < high:
        faults.add(
            given, f"range [{low:g}, {high:g}]: the first end must be below the second", "write range: [-10, 10]"
        )
        return None
    return low, high


def misplaced(asked: Asked, names: tuple[str, ...], owner: str, than: str) -> bool:
    """Fault the keys of ``names`` that the check has, though they belong to ``owner``; True when there are any."""
    given = [key for key, _ in asked.node.entries if key.text in names]
    for key in given:
        asked.faults.add(key, f"{key.text!r} belongs to {owner}, not to {than}", "remove it, or write another check")
    return bool(given)


def texts_allow(asked: Asked, effect: str | None, metric: str | None, method: str | None, place: Node) -> None:
    """Fault the literal texts among the prompts that lack what the metric or the method needs."""
    for prompts in asked.prompts:
        if prompts.family == "texts":
            _texts_allow(asked, prompts, effect, metric, method, place)


def _texts_allow(
    asked: Asked, prompts: PromptSet, effect: str | None, metric: str | None, method: str | None, place: Node
) -> None:
    entries = [e if isinstance(e, dict) else {} for e in prompts.parameters.get("texts", ())]
    having = f"of {len(entries)} texts of prompt set {prompts.name!r} have none"
    facts = bounds.metric(metric) if metric is not None else None
    metric_node = asked.node.get(effect) if effect is not None else None
    for needed, key in ((facts[3], "answer"), (facts[4], "foil")) if facts is not None else ():
        missing = sum(not entry.get(key) for entry in entries)
        if needed and missing:
            message = f"{metric} needs {'an' if key == 'answer' else 'a'} {key}, but {missing} {having}"
            others = WITHOUT_ANSWER.get(effect or "", "kl or loss")
            others = others.removesuffix(" or loss") if asked.node.get("path") is not None else others
            hint = f"add {key}: to them" + (f", or use {others}" if others else "")
            asked.faults.add(metric_node or asked.node, message, hint)
            return
    missing = sum(not entry.get("corrupted") for entry in entries)
    if method in ("mean", "resample") and missing:
        given = asked.node.get("method")
        subject = "a path" if asked.node.get("path") is not None else f"method: {method}"
        hint = "add corrupted: to them" + ("" if subject == "a path" else ", or use method: zero")
        asked.faults.add(given or place, f"{subject} needs corrupted partners, but {missing} {having}", hint)
