"""Reading the bound of a check, and refusing one that no value can reach or miss."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from circuits.claims import values
from circuits.claims.claim import Bound
from circuits.claims.source import Faults, Node
from circuits.errors import nearest

BOUNDS = ("at_least", "at_most", "between")

# Every metric of an ablation: (lowest value, highest value, may be named in drop_in,
# needs an answer, needs a foil). top1, top5, ... are in metric_range.
METRICS: Mapping[str, tuple[float, float, bool, bool, bool]] = {
    "logit_diff": (-math.inf, math.inf, True, True, True),
    "answer_logit": (-math.inf, math.inf, False, True, False),
    "answer_logprob": (-math.inf, 0.0, False, True, False),
    "answer_prob": (0.0, 1.0, True, True, False),
    "pair_prob": (0.0, 1.0, True, True, True),
    "prob_diff": (-1.0, 1.0, True, True, True),
    "answer_rank": (1.0, math.inf, False, True, False),
    "kl": (0.0, math.inf, False, False, False),
    "loss": (0.0, math.inf, False, False, False),
}
_TOP = re.compile(r"top([1-9]\d{0,5})\Z")


def metric(name: str) -> tuple[float, float, bool, bool, bool] | None:
    """The facts of a metric (see METRICS), or None when there is none of that name."""
    if _TOP.match(name):
        return (0.0, 1.0, True, True, False)
    return METRICS.get(name)


def nearest_metric(name: str) -> str:
    """A hint for a metric name that does not exist."""
    names = [*METRICS, "top1", "top5", "top10"]
    close = nearest(name, names)
    return f"did you mean {close!r}?" if close else f"valid here: {', '.join(names)}"


def effect_range(effect: str, low: float, high: float) -> tuple[float, float]:
    """The range of drop_in, change_in or after of a metric with range [low, high]."""
    if effect == "after":
        return low, high
    if effect == "change_in":
        width = high - low
        return -width, width
    # A relative drop (clean - ablated) / clean with clean > 0 is at most 1 where the metric
    # cannot fall below zero.
    return -math.inf, (1.0 if low >= 0 else math.inf)


def read_bound(node: Node, faults: Faults, span: tuple[float, float], *, difference: bool) -> Bound | None:
    """The bound of the check in ``node``, or None after a fault.

    ``span``: the smallest and largest value that the check can take. ``difference``: the check has
    ``more_than``, whose bound is ``by_at_least`` (0 when absent).
    """
    given = [name for name in (*BOUNDS, "by_at_least", "top") if node.get(name) is not None]
    observe_node = node.get("observe")
    observe = values.boolean(observe_node, faults, "observe") if observe_node is not None else False
    if observe is None:
        return None
    if observe:
        for name in given:
            faults.add(node.key(name) or node, f"{name!r} beside observe: true: an observed check has no bound", "remove one of the two")
        return None if given else Bound("observe", None, None, None)
    if len(given) > 1:
        second = node.key(given[1]) or node
        faults.add(second, f"two bounds on one check: {given[0]!r} and {given[1]!r}", "one check has one bound; write two checks, or between: [low, high]")
        return None
    if difference:
        if given and given[0] != "by_at_least":
            faults.add(node.key(given[0]) or node, f"{given[0]!r} does not go with more_than", "the bound of a difference is by_at_least: D")
            return None
        value_node = node.get("by_at_least")
        if value_node is None:
            return Bound("by_at_least", 0.0, None, "by_at_least 0")
        return _one(value_node, faults, "by_at_least", span)
    if not given:
        misspelt = any(nearest(key.text, BOUNDS, 0.6) and key.text not in BOUNDS for key, _ in node.entries)
        if not misspelt:  # a misspelt bound has its own fault already
            faults.add(node, "this check has no bound, so nothing could refute it", "add at_least, at_most or between (or observe: true to only show it)")
        return None
    if given[0] == "by_at_least":
        faults.add(node.key("by_at_least") or node, "by_at_least is the bound of a difference, but there is no more_than", "add more_than: QUERY -> KEY, or use at_least")
        return None
    if given[0] == "top":
        return None  # the caller has faulted it
    bound_node = node.get(given[0])
    assert bound_node is not None
    if given[0] == "between":
        return _between(bound_node, faults, span)
    return _one(bound_node, faults, given[0], span)


def show(value: float, percent: bool) -> str:
    """A bound's number as a person writes it."""
    return f"{value * 100:g}%" if percent else f"{value:g}"


def _one(node: Node, faults: Faults, kind: str, span: tuple[float, float]) -> Bound | None:
    read = values.number(node, faults, kind)
    if read is None:
        return None
    value, percent = read
    lowest, highest = span
    shown = f"this check's values lie between {show(lowest, percent)} and {show(highest, percent)}"
    text = f"{kind} {show(value, percent)}"
    if kind == "at_most":
        if value >= highest:
            faults.add(node, f"{text}: no value can miss this bound", shown)
            return None
        if value < lowest:
            faults.add(node, f"{text}: no value can reach this bound", shown)
            return None
        return Bound(kind, None, value, text, percent)
    if value > highest:
        faults.add(node, f"{text}: no value can reach this bound", shown)
        return None
    if value < lowest or (value == lowest and not (value == 0 and kind == "at_least")):
        faults.add(node, f"{text}: no value can miss this bound", shown)
        return None
    return Bound(kind, value, None, text, percent)


def _between(node: Node, faults: Faults, span: tuple[float, float]) -> Bound | None:
    if node.kind != "list" or len(node.children) != 2:
        faults.add(node, "between takes two numbers", "write between: [-10%, 10%]")
        return None
    ends = [values.number(child, faults, "between") for child in node]
    if ends[0] is None or ends[1] is None:
        return None
    (low, low_percent), (high, high_percent) = ends
    percent = low_percent or high_percent
    if low >= high:
        problem = "its ends are the wrong way round" if low > high else "it has no width, so no interval can lie inside it"
        faults.add(node, f"between: [{show(low, percent)}, {show(high, percent)}]: {problem}", "write the smaller number first")
        return None
    text = f"between {show(low, percent)} and {show(high, percent)}"
    lowest, highest = span
    shown = f"this check's values lie between {show(lowest, percent)} and {show(highest, percent)}"
    if low <= lowest and high >= highest:
        faults.add(node, f"{text}: no value can miss this bound", shown)
        return None
    if low > highest or high < lowest:
        faults.add(node, f"{text}: no value can reach this bound", shown)
        return None
    return Bound("between", low, high, text, percent)
