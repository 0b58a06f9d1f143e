"""One check of a claim: what is measured, on which heads and prompts, with which bound."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from circuits.claims import bounds, selector, values
from circuits.claims.claim import Ablate, Attends, Check, Claim, PromptSet, Score
from circuits.claims.dry import shorten
from circuits.claims.heads import Component
from circuits.claims.keys import (
    BOUNDS,
    CHECK_KEYS,
    EFFECTS,
    EXCLUDABLE,
    KINDS,
    LATER,
    LATER_SCORES,
    METHODS,
    OWN,
    SCORES,
    STATISTICS,
    misspelt,
)
from circuits.claims.load_parts import Context, read_components, read_heads, read_prompts, reported
from circuits.claims.load_prompts import read_requires
from circuits.claims.sets import Selector
from circuits.claims.source import Faults, Node
from circuits.errors import did_you_mean


class CheckReader:
    """Reads the checks of one claim; ``claim`` gives the heads and prompt sets they inherit."""

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

    def read(self, node: Node, index: int, *, inline: bool) -> Check | None:
        """The check, or None after a fault that leaves nothing to measure."""
        faults = self.faults
        if node.kind != "map":
            faults.add(node, f"check {index} must be a mapping, not {node.noun}", "write - attends: any -> n-1")
            return None
        if not inline:
            for key, _ in node.entries:
                if key.text not in CHECK_KEYS:
                    faults.add(key, f"unknown key {key.text!r} in check {index}", did_you_mean(key.text, CHECK_KEYS))
        later = [key for key, _ in node.entries if key.text in LATER]
        for key in later:
            faults.add(key, f"{key.text!r} is not supported yet", "leave this check out for now")
        kinds = [key for key, _ in node.entries if key.text in KINDS]
        if len(kinds) > 1:
            faults.add(
                kinds[1],
                f"two checks in one: {kinds[0].text!r} and {kinds[1].text!r}",
                "write them as two entries of checks:",
            )
            return None
        if not kinds:
            if not later:
                self.no_kind(node, index)
            return None
        kind = kinds[0].text
        for key, _ in node.entries:
            owners = [name for name, own in OWN.items() if key.text in own]
            if owners and kind not in owners and key.text != "by_at_least":  # which is a bound: see read_bound
                message = f"{key.text!r} belongs to {' or '.join(owners)}, not to {kind}"
                faults.add(key, message, "remove it, or write another check")
        value = node.get(kind)
        assert value is not None
        own = () if inline or node.get("prompts") is None else self.own_prompts(node, index)
        inherited = inline or node.get("prompts") is None
        prompts = self.claim.variants if inherited else own
        if inherited and not prompts and not self.prompts_given and value.text not in LATER_SCORES:
            faults.add(
                node.key(kind) or node,
                "no prompts: neither the check nor the claim names a prompt set",
                "add prompts: NAME",
            )
        heads = self.heads(node, kind, inline)
        what: Attends | Score | Ablate | None
        if kind == "attends":
            what = self.attends(node, value, prompts)
        elif kind == "score":
            what = self.score(value, prompts)
        else:
            what = self.ablate(node, value, prompts)
        difference = kind == "attends" and node.get("more_than") is not None
        bound = None if later else bounds.read_bound(node, faults, value_range(node, kind), difference=difference)
        requires = self.requires
        if not inline and node.get("requires") is not None:
            requires = read_requires(node.get("requires"), faults)
        report = reported(node.get("reported"), faults)
        if what is None or bound is None:
            return None
        if isinstance(what, Ablate) and what.metric == "answer_rank" and bound.kind != "observe":
            place = node.get(what.effect) or node
            faults.add(
                place, "a mean rank is no claim: answer_rank is only shown", "add observe: true, or use top1, top5, ..."
            )
            return None
        where = (node.key(kind) or node).where
        return Check(index, what, bound, heads, own, describe(what), where, requires, report)

    def no_kind(self, node: Node, index: int) -> None:
        """A check without a kind: say so, unless a misspelt key has been faulted already."""
        if misspelt(node, KINDS):
            return
        bound = next((key for key, _ in node.entries if key.text in (*BOUNDS, "by_at_least")), None)
        hint = f"add one of {', '.join(KINDS)}"
        if bound is not None:
            self.faults.add(bound, f"{bound.text!r} is a bound on nothing: check {index} measures nothing", hint)
        else:
            self.faults.add(node, f"check {index} measures nothing", hint)

    def own_prompts(self, node: Node, index: int) -> tuple[PromptSet, ...]:
        given = node.get("prompts")
        assert given is not None
        return tuple(read_prompts(given, self.faults, self.context, f"{self.claim.id}-{index}"))

    def heads(self, node: Node, kind: str, inline: bool) -> tuple[Component, ...]:
        """The heads that the check is about: its own, else the claim's. Ablations name their own."""
        if kind == "ablate":
            return ()
        own_given = not inline and (node.get("head") is not None or node.get("heads") is not None)
        if own_given:
            return read_heads(node, self.faults, self.context.shape)
        if not self.claim.heads and not self.heads_given:
            self.faults.add(
                node.key(kind) or node, "no head: neither the check nor the claim names one", 'add head: "6.9"'
            )
        return self.claim.heads

    def attends(self, node: Node, value: Node, prompts: tuple[PromptSet, ...]) -> Attends | None:
        """An attention check. None after a fault in its selectors, statistic or exclusions."""
        faults = self.faults
        statistic_node, more_node = node.get("statistic"), node.get("more_than")
        statistic = "mass" if statistic_node is None else values.choice(statistic_node, faults, "statistic", STATISTICS)
        excluding = self.excluding(node.get("excluding"))
        main = self.read_selector(value, prompts, excluding or ())
        if more_node is None:
            fine = main is not None and statistic is not None and excluding is not None
            return Attends(main, statistic, excluding) if fine else None  # type: ignore[arg-type]
        if more_node.kind == "map":
            message = "more_than: {...} (across heads or prompt sets) is not supported yet"
            faults.add(more_node, message, "write more_than: QUERY -> KEY")
            return None
        if re.fullmatch(r"[\d.,%\s+-]+", more_node.text):
            faults.add(
                more_node,
                f"more_than compares with another selector, not with {more_node.noun}",
                "for a number write at_least",
            )
            return None
        other = self.read_selector(more_node, prompts, excluding or ())
        if main is None or other is None or statistic is None or excluding is None:
            return None
        if (other.query, other.key) == (main.query, main.key):
            faults.add(more_node, "both sides of the comparison are the same selector", "compare with another one")
            return None
        if other.query == main.query:
            for prompt_set in prompts:
                if self.context.dry.apart(main, other, prompt_set, excluding):
                    message = f"no query has keys on both sides, in any prompt of {prompt_set.name!r}"
                    faults.add(more_node, message, "with equal queries only those with keys on both sides count")
                    return None
        return Attends(main, statistic, excluding, other)

    def excluding(self, node: Node | None) -> tuple[str, ...] | None:
        if node is None:
            return ()
        nodes = node.children if node.kind == "list" else (node,)
        found = [values.choice(child, self.faults, "excluded key", EXCLUDABLE) for child in nodes]
        for child in nodes[1:]:
            if child.text in [other.text for other in nodes[: nodes.index(child)]]:
                self.faults.add(child, f"{child.text!r} is excluded twice", "name it once")
        if not found:
            self.faults.add(node, "excluding is an empty list", "write excluding: [bos], [self] or [bos, self]")
        if not found or None in found:
            return None
        return tuple(name for name in EXCLUDABLE if name in found)

    def read_selector(self, node: Node, prompts: tuple[PromptSet, ...], excluding: tuple[str, ...]) -> Selector | None:
        """A parsed selector whose roles every prompt set has."""
        faults = self.faults
        if node.kind != "text" or node.null:
            faults.add(node, f"a selector is text, not {node.noun}", selector.ARROW_HINT)
            return None
        parsed, errors = selector.read(node.text)
        for error in errors:
            faults.add(node, str(error), error.hint, offset=error.at, width=error.width)
        if parsed is None:
            return None
        before = len(faults.found)
        for prompt_set in prompts:
            known = self.context.roles_of(prompt_set)
            for role in selector.roles(parsed):
                if role.name not in known:
                    message = f"unknown role {role.name!r}: prompt set {prompt_set.name!r} has none of that name"
                    hint = did_you_mean(role.name, (*known, *selector.STRUCTURE))
                    faults.add(node, message, hint, offset=role.at, width=len(role.name))
            for back in selector.variables(parsed):
                variable = str(back.variable)
                if variable != "period" and variable not in prompt_set.variables:
                    message = f"unknown variable {variable!r}: prompt set {prompt_set.name!r} has none of that name"
                    hint = did_you_mean(variable, ("period", *prompt_set.variables))
                    faults.add(node, message, hint, offset=node.text.index(variable, back.at + 1), width=len(variable))
            if not prompt_set.bos and selector.names(parsed, "bos"):
                message = f"'bos' selects nothing: prompt set {prompt_set.name!r} has bos: false"
                at = re.search(r"\bbos\b", node.text)
                faults.add(node, message, "write first, or remove bos: false", offset=at.start() if at else 0, width=3)
        if isinstance(parsed.key, selector.Structure) and parsed.key.name in excluding:
            faults.add(node, f"nothing is left to measure: {parsed.key.name!r} is excluded", "remove it from excluding")
        if len(faults.found) > before:
            return None
        for prompt_set in prompts:
            self.empty(node, parsed, prompt_set, excluding)
        return parsed if len(faults.found) == before else None

    def empty(self, node: Node, parsed: Selector, prompt_set: PromptSet, excluding: tuple[str, ...]) -> None:
        """Fault a selector that selects nothing on any prompt, under the side that is to blame."""
        nothing = self.context.dry.empty(parsed, prompt_set, excluding)
        if nothing is None:
            return
        arrow = re.search(r"->|→", node.text)
        assert arrow is not None
        query, key = node.text[: arrow.start()], node.text[arrow.end() :]
        if nothing.side == "query":
            what, offset = query.strip(), len(query) - len(query.lstrip())
            message = f"selects nothing: no token of prompt set {prompt_set.name!r} is {what!r}"
            hint = "its roles or their counts are others"
        else:
            what, offset = key.strip(), arrow.end() + len(key) - len(key.lstrip())
            message = (
                f"selects nothing: no {query.strip()!r} token of prompt set {prompt_set.name!r} has any key {what!r}"
            )
            hint = "keys lie before their query, and BOS and self count only where named"
        if nothing.example:
            hint = f"{hint}; such a prompt: {shorten(nothing.example)}"
        self.faults.add(node, message, hint, offset=offset, width=len(what))

    def score(self, value: Node, prompts: tuple[PromptSet, ...]) -> Score | None:
        """A named score; each is defined on repeated random tokens."""
        name = values.text(value, self.faults, "score")
        if name is None:
            return None
        name = name.strip()
        if name in LATER_SCORES:
            self.faults.add(value, f"the score {name!r} is not supported yet", f"scores there are: {', '.join(SCORES)}")
            return None
        if name not in SCORES:
            self.faults.add(value, f"unknown score {name!r}", did_you_mean(name, SCORES))
            return None
        for prompt_set in prompts:
            if prompt_set.family != "repeated_tokens":
                given = f"prompt set {prompt_set.name!r} is of family {prompt_set.family}"
                message = f"the {name} score is defined on repeated random tokens, but {given}"
                self.faults.add(value, message, "use a prompt set of family repeated_tokens, or attends: on this one")
                return None
        return Score(name)

    def ablate(self, node: Node, value: Node, prompts: tuple[PromptSet, ...]) -> Ablate | None:
        """An ablation with exactly one effect on one metric that the prompts can give."""
        faults = self.faults
        components = read_components(value, faults, "ablate", self.context.shape, mlps=True)
        method_node = node.get("method")
        method = "mean" if method_node is None else values.choice(method_node, faults, "method", METHODS)
        given = [name for name in EFFECTS if node.get(name) is not None]
        if not given:
            if misspelt(node, EFFECTS):
                return None
            faults.add(
                node.key("ablate") or node,
                "the ablation has no effect to measure",
                "add drop_in, change_in or after with a metric, e.g. drop_in: logit_diff",
            )
            return None
        if len(given) > 1:
            faults.add(
                node.key(given[1]) or node,
                f"two effects on one check: {given[0]!r} and {given[1]!r}",
                "write two checks",
            )
            return None
        metric_node = node.get(given[0])
        assert metric_node is not None
        metric = values.text(metric_node, faults, given[0])
        if metric is None:
            return None
        metric = metric.strip()
        facts = bounds.metric(metric)
        if facts is None:
            faults.add(metric_node, f"unknown metric {metric!r}", bounds.nearest_metric(metric))
            return None
        _, _, droppable, needs_answer, needs_foil = facts
        if given[0] == "drop_in" and not droppable:
            message = f"drop_in: {metric} means nothing, because {metric} has no meaningful zero"
            faults.add(metric_node, message, f"use change_in: {metric} (the absolute change)")
            return None
        fine = bool(components) and method is not None
        for prompt_set in prompts:
            fine = (
                self.texts_allow(
                    metric_node, method_node or value, prompt_set, metric, method, needs_answer, needs_foil
                )
                and fine
            )
        return Ablate(components, method, given[0], metric) if fine and method is not None else None

    def texts_allow(
        self,
        metric_node: Node,
        method_node: Node,
        prompts: PromptSet,
        metric: str,
        method: str | None,
        answer: bool,
        foil: bool,
    ) -> bool:
        """Whether literal texts carry what the metric and the method need (other families always do)."""
        if prompts.family != "texts":
            return True
        entries = [e if isinstance(e, dict) else {} for e in prompts.parameters.get("texts", ())]
        having = f"of {len(entries)} texts of prompt set {prompts.name!r} have none"
        for needed, key in ((answer, "answer"), (foil, "foil")):
            missing = sum(not entry.get(key) for entry in entries)
            if needed and missing:
                message = f"{metric} needs {'an' if key == 'answer' else 'a'} {key}, but {missing} {having}"
                self.faults.add(metric_node, message, f"add {key}: to them, or use kl or loss")
                return False
        missing = sum(not entry.get("corrupted") for entry in entries)
        if method in ("mean", "resample") and missing:
            message = f"method: {method} needs corrupted partners, but {missing} {having}"
            self.faults.add(method_node, message, "add corrupted: to them, or use method: zero")
            return False
        return True


def value_range(node: Node, kind: str) -> tuple[float, float]:
    """The smallest and largest value that a check can take, as far as what is written tells."""
    if kind == "score":
        return 0.0, 1.0
    if kind == "attends":
        statistic = node.get("statistic")
        top = 1.0 if statistic is None or statistic.text in ("mass", "top1") else math.inf
        return (0.0, top) if node.get("more_than") is None else (-top, top)
    for effect in EFFECTS:
        given = node.get(effect)
        if given is not None and bounds.metric(given.text.strip()) is not None:
            return bounds.effect_range(effect, given.text.strip())
    return -math.inf, math.inf


def describe(what: Attends | Score | Ablate) -> str:
    """A check in one line, as it stands in results; the compared side of a difference stands beside it."""
    if isinstance(what, Score):
        return f"score: {what.name}"
    if isinstance(what, Ablate):
        names = ", ".join(str(component) for component in what.components)
        return f"ablate: {names} ({what.method}), {what.effect}: {what.metric}"
    return f"attends: {what.selector.text}"
