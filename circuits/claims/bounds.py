"""Reading the bound of a check, and refusing one that no value can reach or miss."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

from circuits.claims import values
from circuits.claims.claim import Bound
from circuits.claims.keys import BOUNDS, ENDS, KINDS, misspelt
from circuits.claims.source import Faults, Node
from circuits.errors import nearest
from circuits.prompts.own import Metric, MetricName

# Every metric of an ablation: (lowest value, highest value, may be named in drop_in,
# needs an answer, needs a foil). top1, top5, ... are in ``metric``.
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
_TOP = re.compile(r"top([1-9]\d{0,5})\Z", re.ASCII)


def metric(name: str) -> tuple[float, float, bool, bool, bool] | None:
    """The facts of a metric (see METRICS), or None when there is none of that name."""
    if isinstance(name, MetricName):
        return name.record.facts
    if _TOP.match(name):
        return (0.0, 1.0, True, True, False)
    return METRICS.get(name)


def named(name: str, own: Mapping[str, Metric]) -> str:
    """A metric's name as a claim holds it: that of a project's own carries its record."""
    return MetricName(own[name]) if name in own else name


def nearest_metric(name: str, own: Iterable[str] = ()) -> str:
    """A hint for a metric name that does not exist. ``own``: the project's."""
    names = [*METRICS, "top1", "top5", "top10", *own]
    close = nearest(name, names)
    return f"did you mean {close!r}?" if close else f"valid here: {', '.join(names)}"


def effect_range(effect: str, metric_name: str) -> tuple[float, float]:
    """The smallest and largest value of drop_in, change_in or after of a metric that exists."""
    facts = metric(metric_name)
    assert facts is not None
    low, high = facts[0], facts[1]
    if effect == "after":
        return low, high
    if effect == "change_in":
        # The clean run's divergence from itself is 0, so a change in kl is the kl itself.
        return (0.0, math.inf) if metric_name == "kl" else (low - high, high - low)
    # A relative drop (clean - ablated) / clean with clean > 0 is at most 1 where the metric
    # cannot fall below zero.
    return -math.inf, (1.0 if low >= 0 else math.inf)


def kept_range(statistic: str, metric_name: str, normalised: bool) -> tuple[float, float]:
    """The smallest and largest value of a statistic of ``keep_only``, of a metric that exists."""
    facts = metric(metric_name)
    assert facts is not None
    low, high = facts[0], facts[1]
    if statistic == "sufficiency":
        return 0.0, 1.0
    if statistic == "recovers":  # of a positive F(M), so a metric without negative values gives no negative ratio
        return (0.0 if low >= 0 and not normalised else -math.inf), math.inf
    return 0.0, high - low


def read_bound(
    node: Node, faults: Faults, span: tuple[float, float], *, difference: bool, heads: int | None = None
) -> Bound | None:
    """The bound of the check in ``node``, or None after a fault.

    ``span``: the smallest and largest value that the check can take. ``difference``: the check has
    ``more_than``, whose bound is ``by_at_least`` (0 when absent). ``heads``: how many the model has.
    """
    given = [name for name in (*BOUNDS, "by_at_least") if node.get(name) is not None]
    observe_node = node.get("observe")
    observe = values.boolean(observe_node, faults, "observe") if observe_node is not None else False
    if observe is None:
        return None
    if observe:
        for name in given:
            message = f"{name!r} beside observe: true: an observed check has no bound"
            faults.add(node.key(name) or node, message, "remove one of the two")
        return None if given else Bound("observe", None, None, None)
    if len(given) > 1:
        given.sort(key=lambda name: _order(node, name))
        message = f"two bounds on one check: {given[0]!r} and {given[1]!r}"
        hint = "one check has one bound; write two checks, or between: [low, high]"
        faults.add(node.key(given[1]) or node, message, hint)
        return None
    if difference:
        return _of_difference(node, faults, given, span)
    if not given:
        if not misspelt(node, (*BOUNDS, "by_at_least", "observe")):
            hint = "add at_least, at_most or between (or observe: true to only show it)"
            place = next((key for key, _ in node.entries if key.text in KINDS), node)
            faults.add(place, "this check has no bound, so nothing could refute it", hint)
        return None
    bound_node = node.get(given[0])
    assert bound_node is not None
    if given[0] == "by_at_least":
        message = "by_at_least is the bound of a difference, but there is no more_than"
        hint = "add more_than: QUERY -> KEY, or use at_least" if node.get("attends") is not None else "use at_least"
        if not misspelt(node, ("more_than",)):
            faults.add(node.key("by_at_least") or node, message, hint)
        return None
    if given[0] == "top":
        return _top(bound_node, faults, heads)
    if given[0] == "between":
        return _between(bound_node, faults, span)
    return _one(bound_node, faults, given[0], span)


def read_interaction(node: Node, faults: Faults) -> Bound | None:
    """The bound inside ``interaction: {...}`` of the check in ``node``; one beside it is a fault."""
    inner = node.get("interaction")
    assert inner is not None
    beside = [name for name in (*BOUNDS, "by_at_least") if node.get(name) is not None]
    for name in beside:
        message = f"{name!r} stands beside interaction, whose bound stands inside it"
        faults.add(node.key(name) or node, message, "write interaction: {at_least: 5%}")
    if inner.kind != "map":
        message = f"interaction must be a mapping with one bound, not {inner.noun}"
        faults.add(inner, message, "write interaction: {at_least: 5%}")
        return None
    before = len(faults.found)
    values.keys(inner, faults, "interaction", (*ENDS, "observe"))
    observe_node = node.get("observe")
    observe = values.boolean(observe_node, faults, "observe") if observe_node is not None else False
    if len(faults.found) > before or beside:
        return None
    if not observe:
        return read_bound(inner, faults, (-math.inf, math.inf), difference=False)
    if any(name in ENDS for name in (key.text for key, _ in inner.entries)):
        message = "observe: true beside a bound in interaction: an observed check has no bound"
        faults.add(node.key("observe") or node, message, "remove one of the two")
        return None
    return Bound("observe", None, None, None)


def _top(node: Node, faults: Faults, heads: int | None) -> Bound | None:
    """``top: k``: among the k highest of all ``heads`` of the model (None: how many is not known)."""
    k = values.integer(node, faults, "top", 1)
    if k is None:
        return None
    if heads is not None and k >= heads:
        what = "no value can miss this bound" if k == heads else "there are not that many heads"
        faults.add(node, f"top {k}: {what}", f"the model has {heads} heads")
        return None
    return Bound("top", None, None, f"top {k}", k=k)


def _order(node: Node, name: str) -> tuple[int, int]:
    key = node.key(name) or node
    return key.where.line, key.where.column


def _of_difference(node: Node, faults: Faults, given: list[str], span: tuple[float, float]) -> Bound | None:
    if given and given[0] != "by_at_least":
        message = f"{given[0]!r} does not go with more_than"
        faults.add(node.key(given[0]) or node, message, "the bound of a difference is by_at_least: D")
        return None
    value_node = node.get("by_at_least")
    if value_node is None:
        return Bound("by_at_least", 0.0, None, "by_at_least 0")
    return _one(value_node, faults, "by_at_least", span)


def show(value: float, percent: bool) -> str:
    """A bound's number as a person writes it."""
    return f"{value * 100:g}%" if percent else f"{value:g}"


def without_percent(bound: Bound) -> list[str]:
    """A warning where the bound of a share of the clean value looks like a percentage whose sign was forgotten."""
    ends = [] if bound.percent else [end for end in (bound.low, bound.high) if end is not None and abs(end) >= 2]
    if not ends:
        return []
    return [
        f"{bound.text} is {show(ends[0], True)} of the clean value; did you mean {ends[0]:g}%? Write the % either way"
    ]


def _values(span: tuple[float, float], percent: bool) -> str:
    low, high = (show(end, percent) if math.isfinite(end) else None for end in span)
    if low is None and high is None:
        return "this check's values have no limits"
    if low is None or high is None:
        return f"this check's values are {f'at most {high}' if low is None else f'at least {low}'}"
    return f"this check's values lie between {low} and {high}"


def _one(node: Node, faults: Faults, kind: str, span: tuple[float, float]) -> Bound | None:
    read = values.number(node, faults, kind)
    if read is None:
        return None
    value, percent = read
    lowest, highest = span
    text = f"{kind} {show(value, percent)}"
    upper = kind == "at_most"
    aside = value == lowest == 0 and kind == "at_least"
    if value >= highest if upper else value <= lowest and not aside:
        faults.add(node, f"{text}: no value can miss this bound", _values(span, percent))
        return None
    if value < lowest if upper else value > highest:
        meant = f"; did you mean {value:g}%?" if highest == 1 and 2 <= value <= 100 and not percent else ""
        faults.add(node, f"{text}: no value can reach this bound", _values(span, percent) + meant)
        return None
    return Bound(kind, None, value, text, percent) if upper else Bound(kind, value, None, text, percent)


def _between(node: Node, faults: Faults, span: tuple[float, float]) -> Bound | None:
    if node.kind != "list" or len(node.children) != 2:
        what = f"a list of {len(node.children)}" if node.kind == "list" else node.noun
        faults.add(node, f"between takes a list of two numbers, not {what}", "write between: [-10%, 10%]")
        return None
    first, second = (values.number(child, faults, "each end of between") for child in node)
    if first is None or second is None:
        return None
    (low, low_percent), (high, high_percent) = first, second
    percent = low_percent or high_percent
    if low >= high:
        problem = (
            "its ends are the wrong way round" if low > high else "it has no width, so no interval can lie inside it"
        )
        hint = (
            f"write between: [{show(high, percent)}, {show(low, percent)}]"
            if low > high
            else "the first number is the smaller one"
        )
        faults.add(node, f"between [{show(low, percent)}, {show(high, percent)}]: {problem}", hint)
        return None
    text = f"between {show(low, percent)} and {show(high, percent)}"
    lowest, highest = span
    if low <= lowest and high >= highest:
        faults.add(node, f"{text}: no value can miss this bound", _values(span, percent))
        return None
    if low > highest or high < lowest:
        faults.add(node, f"{text}: no value can reach this bound", _values(span, percent))
        return None
    return Bound("between", low, high, text, percent)
