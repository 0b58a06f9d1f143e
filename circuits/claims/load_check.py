"""One check of a claim: which kind it is, on which heads and prompts, with which bound."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from circuits.claims import bounds
from circuits.claims.claim import Ablate, Bound, Check, Claim, Path, PromptSet, What
from circuits.claims.describe import describe
from circuits.claims.heads import Component
from circuits.claims.keys import (
    BOUNDS,
    CHECK_KEYS,
    EFFECTS,
    KEPT,
    KINDS,
    OWNERS,
    WEIGHT_SCORES,
    misspelt,
    nearest_key,
)
from circuits.claims.load_ablate import read_ablate
from circuits.claims.load_attends import read_attends
from circuits.claims.load_circuits import read_keep, read_loss_map, read_path
from circuits.claims.load_metrics import RANK, read_range
from circuits.claims.load_parts import Asked, Context, read_heads, read_prompts, reported
from circuits.claims.load_prompts import read_requires
from circuits.claims.load_scores import read_score
from circuits.claims.source import Faults, Node
from circuits.prompts.own import Metric

READERS: Mapping[str, Callable[[Asked], What | None]] = {
    "attends": read_attends,
    "score": read_score,
    "ablate": read_ablate,
    "keep_only": read_keep,
    "path": read_path,
    "loss_map": read_loss_map,
}


class CheckReader:
    """Reads the checks of one claim; ``claim`` gives the heads and prompt sets they inherit.

    ``warnings`` collects what is ignored without being a fault.
    """

    def __init__(
        self,
        context: Context,
        faults: Faults,
        claim: Claim,
        requires: Mapping[str, float] | None,
        prompts_given: bool,
        heads_given: bool,
    ):
        self.context = context
        self.faults = faults
        self.claim = claim
        self.requires = requires
        self.prompts_given = prompts_given
        self.heads_given = heads_given
        self.warnings: list[str] = []

    def read(self, node: Node, index: int, *, inline: bool) -> Check | None:
        """The check, or None after a fault that leaves nothing to measure."""
        faults = self.faults
        if node.kind != "map":
            faults.add(node, f"check {index} must be a mapping, not {node.noun}", "write - attends: any -> n-1")
            return None
        if not inline:
            for key, _ in node.entries:
                if key.text not in CHECK_KEYS:
                    faults.add(key, f"unknown key {key.text!r} in check {index}", nearest_key(key.text, CHECK_KEYS))
        kinds = [key for key, _ in node.entries if key.text in KINDS]
        if len(kinds) > 1:
            faults.add(
                kinds[1],
                f"two checks in one: {kinds[0].text!r} and {kinds[1].text!r}",
                "write them as two entries of checks:",
            )
            return None
        if not kinds:
            self.no_kind(node, index)
            return None
        kind = kinds[0].text
        for key, _ in node.entries:
            owners = OWNERS.get(key.text, (kind,))
            if kind not in owners and key.text != "by_at_least":  # which is a bound: see read_bound
                message = f"{key.text!r} belongs to {one_of(owners)}, not to {kind}"
                faults.add(key, message, "remove it, or write another check")
        value = node.get(kind)
        assert value is not None
        score = value.text.strip() if kind == "score" else ""
        own, prompts = self.prompts(node, index, kind, score, inline)
        heads, some = self.heads(node, kind, score, inline)
        what = READERS[kind](Asked(self.context, faults, node, value, prompts, heads, some, f"{self.claim.id}-{index}"))
        bound = self.bound(node, kind, some)
        before = len(faults.found)
        span = read_range(node, faults, getattr(what, "metric", None), getattr(what, "effect", ""))
        requires = self.requires
        if not inline and node.get("requires") is not None:
            requires = read_requires(node.get("requires"), faults)
        report = reported(node.get("reported"), faults)
        if what is None or bound is None or (span is None and len(faults.found) > before):
            return None
        if isinstance(what, (Ablate, Path)) and what.metric == "answer_rank" and bound.kind != "observe":
            faults.add(node.get(what.effect) or node, RANK, "add observe: true, or use top1, top5, ...")
            return None
        relative = getattr(what, "effect", None) == "drop_in" or getattr(what, "statistic", None) == "recovers"
        self.warnings += bounds.without_percent(bound) if relative else []
        where = (node.key(kind) or node).where
        text = describe(what) + (f", range [{span[0]:g}, {span[1]:g}]" if span is not None else "")
        return Check(index, what, bound, heads, own, text, where, requires, report, some, span)

    def no_kind(self, node: Node, index: int) -> None:
        """A check without a kind: say so, unless a misspelt key has been faulted already."""
        if misspelt(node, KINDS):
            return
        if not without_kind([key for key, _ in node.entries], f"check {index}", self.faults):
            self.faults.add(node, f"check {index} measures nothing", f"add one of {', '.join(KINDS)}")

    def prompts(
        self, node: Node, index: int, kind: str, score: str, inline: bool
    ) -> tuple[tuple[PromptSet, ...], tuple[PromptSet, ...]]:
        """The check's own prompt sets, and those it is measured on: its own, else the claim's."""
        given = node.get("prompts")
        if score in WEIGHT_SCORES:
            message = f"the {score} score reads weights and single tokens, so it takes no prompts"
            if given is not None and inline:
                self.warnings.append(f"{message}: prompts is ignored")
            elif given is not None:
                self.faults.add(node.key("prompts") or node, message, "remove prompts from this check")
            return (), ()
        if given is not None and not inline:
            own = tuple(read_prompts(given, self.faults, self.context, f"{self.claim.id}-{index}"))
            return own, own
        if not self.claim.variants and not self.prompts_given:
            message = "no prompts: neither the check nor the claim names a prompt set"
            self.faults.add(node.key(kind) or node, message, "add prompts: NAME")
        return (), self.claim.variants

    def heads(self, node: Node, kind: str, score: str, inline: bool) -> tuple[tuple[Component, ...], bool]:
        """The heads that the check is about (its own, else the claim's), and whether any one of them will do.

        Only attention and scores of heads have any: interventions name their own components.
        """
        key = next((key for key, _ in node.entries if key.text in ("head", "heads")), None)
        if score == "in_context_learning" or kind not in ("attends", "score"):
            if key is not None:
                self.headless(node, key, kind if kind != "score" else score, inline)
            return (), False
        if key is not None and not inline:
            return read_heads(node, self.faults, self.context.shape)
        if not self.claim.heads and not self.heads_given:
            self.faults.add(
                node.key(kind) or node, "no head: neither the check nor the claim names one", 'add head: "6.9"'
            )
        return self.claim.heads, self.claim.any

    def headless(self, node: Node, key: Node, what: str, inline: bool) -> None:
        """``head`` or ``heads`` on a check that is not about heads of attention.

        A claim's head says what the claim is about, so only what would change the meaning is a fault there.
        """
        value = node.get(key.text)
        if value is not None and value.kind == "map" and what != "in_context_learning":
            message = f"heads: {{any: ...}} does not go with {what}, which names its own components"
            self.faults.add(value, message, "it belongs to attends and score")
        elif what == "in_context_learning":
            message = "the in-context-learning score is the whole model's, so it takes no head"
            if inline:
                self.warnings.append(f"{message}: {key.text} is ignored")
            else:
                self.faults.add(key, message, f"remove {key.text} from this check")
        elif what == "ablate" and not inline:
            read_heads(node, self.faults, self.context.shape)
        elif not inline:
            message = f"{key.text!r} does not go with {what}, which names its own components"
            self.faults.add(key, message, f"remove {key.text} from this check")

    def bound(self, node: Node, kind: str, some: bool) -> Bound | None:
        """The one bound of the check; an interaction has it inside, a loss map has none."""
        faults = self.faults
        if kind == "loss_map":
            return self.only_shown(node)
        if kind == "ablate" and node.get("interaction") is not None:
            return bounds.read_interaction(node, faults)
        if kind == "ablate" and node.get("given_ablated") is not None:
            return None  # without interaction: a fault already
        if some and node.get("top") is not None:
            message = "'top' does not go with heads: {any: ...}: it ranks each head that is named"
            faults.add(node.key("top") or node, message, "use at_least, or name the head that is among the highest")
            return None
        shape = self.context.shape
        total = shape.layers * shape.heads if shape is not None else None
        difference = kind == "attends" and node.get("more_than") is not None
        return bounds.read_bound(
            node, faults, value_range(node, kind, self.context.own.metrics), difference=difference, heads=total
        )

    def only_shown(self, node: Node) -> Bound | None:
        """The bound of a loss map: ``observe: true``, and no other."""
        observe = node.get("observe")
        wanted = observe is not None and observe.text.strip().lower() == "true"
        bound = bounds.read_bound(node, self.faults, (-math.inf, math.inf), difference=False) if wanted else None
        given = [key for key, _ in node.entries if key.text in (*BOUNDS, "by_at_least") and key.text != "top"]
        if not wanted and not misspelt(node, ("observe",)):
            place = observe or (given[0] if given else None) or node.key("loss_map") or node
            self.faults.add(place, "a loss map is only shown: it has no value to bound", "write observe: true instead")
        return bound


def without_kind(keys: list[Node], what: str, faults: Faults) -> bool:
    """Fault a check that says how to measure but not what, at the key that shows it; False where none does."""
    bound = next((key for key in keys if key.text in (*BOUNDS, "by_at_least")), None)
    part = next((key for key in keys if key is not bound and key.text in OWNERS), None)
    if part is not None:
        kinds = one_of(OWNERS[part.text])
        faults.add(part, f"{part.text!r} belongs to {kinds}, and {what} has none", f"add {kinds}")
    elif bound is not None:
        message = f"{bound.text!r} is a bound on nothing: {what} has no check"
        message = message if what == "the claim" else f"{bound.text!r} is a bound on nothing: {what} measures nothing"
        faults.add(bound, message, f"add one of {', '.join(KINDS)}")
    return part is not None or bound is not None


def one_of(names: Sequence[str]) -> str:
    """Names as a text: "a", "a or b", "a, b or c"."""
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def value_range(node: Node, kind: str, own: Mapping[str, Metric]) -> tuple[float, float]:
    """The smallest and largest value that a check can take, as far as what is written tells. ``own``: own metrics."""
    if kind == "score":
        score = node.get("score")
        return (
            (-math.inf, math.inf) if score is not None and score.text.strip() == "in_context_learning" else (0.0, 1.0)
        )
    if kind == "attends":
        statistic = node.get("statistic")
        top = 1.0 if statistic is None or statistic.text in ("mass", "top1") else math.inf
        return (0.0, top) if node.get("more_than") is None else (-top, top)
    if kind == "ablate" and node.get("partial_necessity") is not None:
        return 0.0, 1.0
    for name in KEPT if kind == "keep_only" else EFFECTS:
        given = node.get(name)
        metric = bounds.named(given.text.strip(), own) if given is not None and given.kind == "text" else ""
        if bounds.metric(metric) is None:
            continue
        if kind == "ablate" and name == "change_in" and metric == "kl" and node.get("within") is not None:
            return -math.inf, math.inf  # from the circuit's own divergence, which is not 0
        if kind != "keep_only":
            return bounds.effect_range(name, metric)
        normalised = node.get("normalised")
        return bounds.kept_range(name, metric, normalised is not None and normalised.text.strip().lower() == "true")
    return -math.inf, math.inf
