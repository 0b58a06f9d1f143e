"""Reading ``ablate:``: what is removed, where, beside what else, and with which effect."""

from __future__ import annotations

import re
from dataclasses import dataclass

from circuits.claims import selector, values
from circuits.claims.claim import Ablate, Circuit
from circuits.claims.dry import shorten
from circuits.claims.heads import Component, parse_component
from circuits.claims.keys import EFFECTS, misspelt
from circuits.claims.load_attends import names_known
from circuits.claims.load_metrics import misplaced, read_count, read_effect, read_method, read_metric, texts_allow
from circuits.claims.load_parts import Asked, named_circuit, read_parts
from circuits.claims.source import Node

RANDOM_SETS = 40  # partial_necessity: the default number of random sets
AT_HINT = "write end, a role such as member, or a set such as any[late]"


def read_ablate(asked: Asked) -> Ablate | None:
    """An ablation with exactly one effect on one metric that the prompts can give."""
    faults, node = asked.faults, asked.node
    before = len(faults.found)
    components, circuit = read_parts(asked.value, faults, "ablate", asked.context)
    method = read_method(asked)
    at = _at(asked)
    beside = _beside(asked, components)
    hint = "add drop_in, change_in or after with a metric, e.g. drop_in: logit_diff"
    effect = read_effect(asked, "ablate", (*EFFECTS, "partial_necessity"), hint, "effect")
    if beside.wanted and effect is not None and effect != "drop_in":
        message = f"an interaction names its metric with drop_in, not with {effect}"
        faults.add(asked.key(effect), message, f"write drop_in: {_written(node.get(effect))}")
    _check_top(asked, components, effect)
    random = _necessity(asked, circuit, components, effect)
    metric = None
    if effect is not None:
        metric = read_metric(
            asked, effect, zero=effect == "drop_in", judged=beside.wanted or effect == "partial_necessity"
        )
    if metric is not None:
        texts_allow(asked, effect, metric, method, asked.value)
    if effect is None or metric is None or method is None or random is None or len(faults.found) > before:
        return None
    name = "interaction" if beside.wanted else effect
    return Ablate(components, method, name, metric, at, beside.given, beside.within, circuit, random)


def _written(node: Node | None) -> str:
    return node.text.strip() if node is not None and node.text.strip() else "logit_diff"


@dataclass(frozen=True)
class _Beside:
    """What else is ablated. ``wanted``: an interaction is asked for."""

    given: tuple[Component, ...] = ()
    within: Circuit | None = None
    wanted: bool = False


def _beside(asked: Asked, components: tuple[Component, ...]) -> _Beside:
    """``within:`` or ``given_ablated:`` with its ``interaction:``."""
    faults, node = asked.faults, asked.node
    within_node, given_node, inner = node.get("within"), node.get("given_ablated"), node.get("interaction")
    if within_node is not None and given_node is not None:
        message = "within and given_ablated on one check: what is ablated beside it, a circuit's outside or a list?"
        faults.add(asked.key("given_ablated"), message, "write two checks")
    if inner is None and given_node is not None and not misspelt(node, ("interaction",)):
        message = "given_ablated without interaction: nothing says what to measure"
        hint = "add interaction: {at_least: 5%} (or {observe: true}), with drop_in: METRIC"
        faults.add(asked.key("given_ablated"), message, hint)
    if given_node is None and inner is not None and not misspelt(node, ("given_ablated",)):
        message = "interaction without given_ablated: with which components?"
        faults.add(asked.key("interaction"), message, 'add given_ablated: ["4.4"]')
    within = named_circuit(within_node, faults, "within", asked.context) if within_node is not None else None
    if within is not None:
        for component in components:
            if not _belongs(component, within):
                message = f"{component} is not in circuit {within.name!r}, so it cannot be removed from it"
                faults.add(_place(asked.value, component), message, f"its components: {_names(within)}")
    given: tuple[Component, ...] = ()
    if given_node is not None:
        given, _ = read_parts(given_node, faults, "given_ablated", asked.context)
        for component in given:
            if component in components:
                message = f"{component} is ablated and given_ablated"
                faults.add(_place(given_node, component), message, "name it in one of the two")
    return _Beside(given, within, given_node is not None or inner is not None)


def _belongs(component: Component, circuit: Circuit) -> bool:
    """Whether a circuit has a component; one that names no MLPs keeps them all."""
    return component in circuit.components or (component.head is None and circuit.mlps is None)


def _names(circuit: Circuit, most: int = 16) -> str:
    names = [str(component) for component in circuit.components]
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def _place(node: Node, component: Component) -> Node:
    """Where a component is written in a list of them."""
    for child in node.children:
        try:
            if parse_component(child.text) == component:
                return child
        except ValueError:
            continue
    return node


def _check_top(asked: Asked, components: tuple[Component, ...], effect: str | None) -> None:
    """``top: k`` of an ablation ranks a single head among all heads, each ablated alone."""
    if asked.node.get("top") is None:
        return
    place, faults = asked.key("top"), asked.faults
    if effect == "partial_necessity":
        faults.add(place, "top does not go with partial_necessity, which is a share", "use at_least")
        return
    if len(components) > 1 or (components and components[0].head is None):
        what = f"{components[0]} is an MLP" if len(components) == 1 else f"{len(components)} components are ablated"
        faults.add(place, f"top ranks one head among all heads, but {what}", "ablate one head, or use at_least")
    if asked.node.get("within") is not None:
        message = "top beside within: it ranks heads that are each removed alone from the whole model"
        faults.add(place, message, "use at_least, at_most or between")


def _necessity(
    asked: Asked, circuit: Circuit | None, components: tuple[Component, ...], effect: str | None
) -> int | None:
    """How many random sets are drawn; 0 for other effects. None after a fault."""
    faults = asked.faults
    if effect != "partial_necessity":
        than = effect or "an ablation without it"
        return None if misplaced(asked, ("random",), "partial_necessity", than) else 0
    if components and circuit is None:
        message = "partial_necessity compares a circuit with random sets, but ablate names components"
        faults.add(asked.value, message, "name a circuit: ablate: NAME")
    for other in ("within", "given_ablated", "interaction"):
        if asked.node.get(other) is not None:
            message = f"{other!r} does not go with partial_necessity, which removes sets from the whole model"
            faults.add(asked.key(other), message, "remove it, or write another check")
    shape = asked.context.shape
    if circuit is not None and shape is not None:
        for part, all_parts, what in (
            (circuit.heads, shape.layers * shape.heads, "heads"),
            (circuit.mlps or (), shape.layers, "MLPs"),
        ):
            outside = all_parts - len(part)
            if len(part) > outside:
                message = f"no random set of {len(part)} {what} lies outside circuit {circuit.name!r}"
                faults.add(asked.value, message, f"the model has {outside} other {what}")
    return read_count(asked, "random", RANDOM_SETS, 1)


def _at(asked: Asked) -> str | None:
    """``at:``: the positions at which is ablated, as a selector's query side; None without one."""
    faults, node = asked.faults, asked.node.get("at")
    if node is None:
        return None
    if node.kind != "text":
        faults.add(node, f"at is a set of positions as text, not {node.noun}", AT_HINT)
        return None
    if values.text(node, faults, "at") is None:
        return None
    arrow = re.search(r"->|→", node.text)
    if arrow is not None:
        message = "at is one set of positions, without an arrow"
        faults.add(
            node, message, f"write at: {node.text[: arrow.start()].strip()}", offset=arrow.start(), width=len(arrow[0])
        )
        return None
    parsed, errors = selector.read(f"{node.text} -> self")
    for error in errors:
        message = (
            str(error)
            .replace(" at the end of the query side", " at the end")
            .replace("so it can only stand on the key side of the arrow", "and at: has none")
        )
        hint = AT_HINT if re.search(r"->|earlier|n-", error.hint) else error.hint
        faults.add(node, message, hint, offset=min(error.at, len(node.text.rstrip()) - 1), width=error.width)
    if parsed is None:
        return None
    before = len(faults.found)
    for prompt_set in asked.prompts:
        names_known(asked, node, parsed, prompt_set)
    text = parsed.text.removesuffix(" -> self")
    for prompt_set in asked.prompts if len(faults.found) == before else ():
        nothing = asked.context.dry.empty(parsed, prompt_set, ())
        if nothing is not None:
            message = f"selects nothing: no token of prompt set {prompt_set.name!r} is {text!r}"
            hint = "its roles or their counts are others"
            hint += f"; such a prompt: {shorten(nothing.example)}" if nothing.example else ""
            faults.add(node, message, hint)
    return text
