"""The pieces that claims and checks share: components, prompt sets and reported values."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from circuits.claims import values
from circuits.claims.claim import Circuit, PromptSet
from circuits.claims.dry import DryRun
from circuits.claims.heads import Component, parse_component, parse_head
from circuits.claims.keys import REPORTED_KEYS
from circuits.claims.source import Faults, Node
from circuits.errors import Fault, Position, did_you_mean, nearest
from circuits.prompts.own import Extensions


@dataclass(frozen=True)
class Shape:
    """Layers, and heads per layer, of the suite's model."""

    model: str
    layers: int
    heads: int

    def missing(self, component: Component) -> tuple[str, str] | None:
        """Why the model has no such component and what there is, or None when it has it."""
        if component.layer >= self.layers:
            message = f"{component} does not exist: {self.model} has {self.layers} layers"
            return message, f"layers are numbered 0 to {self.layers - 1}"
        if component.head is not None and component.head >= self.heads:
            message = f"{component} does not exist: {self.model} has {self.heads} heads in each layer"
            return (
                message,
                f"the heads of layer {component.layer} are {component.layer}.0 to {component.layer}.{self.heads - 1}",
            )
        return None


@dataclass(frozen=True)
class Context:
    """What the claims of a suite may refer to.

    ``broken`` and ``broken_circuits`` are those that exist but have faults, with the place of the first.
    ``roles_of`` gives the role names of a prompt set; ``inline`` reads a set written in place; ``dry``
    says whether a selector selects anything. ``parsing`` are the faults that reading the YAML found inside
    claims; ``no_model`` says why nothing can be measured: no model, or faulty sampling (None: it can). ``own``: what the
    project added. ``check_model``: problems of a model spec as (key, message); ``model``: the suite's spec.
    """

    shape: Shape | None
    prompts: Mapping[str, tuple[PromptSet, ...]]
    broken: Mapping[str, Position]
    circuits: Mapping[str, Circuit]
    roles_of: Callable[[PromptSet], frozenset[str]]
    inline: Callable[[str, Node, Faults], tuple[PromptSet, ...]]
    dry: DryRun
    parsing: tuple[Fault, ...] = ()
    no_model: str | None = None
    broken_circuits: Mapping[str, Position] = field(default_factory=dict)
    own: Extensions = field(default_factory=Extensions)
    check_model: Callable[[Any], list[tuple[str, str]]] = lambda spec: []
    model: Any = None


@dataclass(frozen=True)
class Asked:
    """One check as the reader of its kind gets it.

    ``node`` is the mapping of the check and ``value`` what stands at its kind's key; ``prompts`` and
    ``heads`` are its own or the claim's; ``title`` names prompt sets that are written in place.
    """

    context: Context
    faults: Faults
    node: Node
    value: Node
    prompts: tuple[PromptSet, ...]
    heads: tuple[Component, ...]
    any: bool
    title: str

    def key(self, name: str) -> Node:
        """The node of a key, or the check itself."""
        return self.node.key(name) or self.node


def read_components(node: Node, faults: Faults, what: str, shape: Shape | None, *, mlps: bool) -> tuple[Component, ...]:
    """A component or a list of them, each checked against the model; duplicates are faults."""
    if node.kind == "map":
        faults.add(node, f"{what} must be a head or a list of heads, not a mapping", 'write ["6.9", "7.1"]')
        return ()
    nodes = node.children if node.kind == "list" else (node,)
    if not nodes:
        faults.add(node, f"{what} is an empty list", "name at least one head")
    found: list[Component] = []
    for child in nodes:
        if child.kind != "text" or child.null:
            faults.add(child, f"{what} must be a head such as 6.9, not {child.noun}", 'write "6.9"')
            continue
        try:
            component = (parse_component if mlps else parse_head)(child.text)
        except ValueError as error:
            message, _, hint = str(error).rpartition(": ")
            faults.add(child, message, hint)
            continue
        problem = shape.missing(component) if shape is not None else None
        if problem is not None:
            faults.add(child, *problem)
        elif component in found:
            faults.add(child, f"{component} is named twice in {what}", "name it once")
        else:
            found.append(component)
    return tuple(found)


def read_parts(node: Node, faults: Faults, what: str, context: Context) -> tuple[tuple[Component, ...], Circuit | None]:
    """Heads and MLPs, or those of the circuit that is named, and that circuit."""
    text = node.text.strip() if node.kind == "text" and not node.null else ""
    named = text in context.circuits or text in context.broken_circuits
    known = (*context.circuits, *context.broken_circuits)
    if text and known and not named and not _component(text):
        named = nearest(text, known, 0.7) is not None or not re.search(r"\d|mlp", text, re.IGNORECASE)
    if named:
        circuit = named_circuit(node, faults, what, context)
        return (circuit.components, circuit) if circuit is not None else ((), None)
    for child in node.children:
        if child.kind == "text" and child.text.strip() in context.circuits:
            message = f"{child.text.strip()!r} is a circuit, which stands alone"
            faults.add(child, message, f"write {what}: {child.text.strip()}, or list components")
            return (), None
    return read_components(node, faults, what, context.shape, mlps=True), None


def _component(text: str) -> bool:
    try:
        parse_component(text)
    except ValueError:
        return False
    return True


def named_circuit(node: Node, faults: Faults, what: str, context: Context) -> Circuit | None:
    """The circuit of a name; None after a fault."""
    if node.kind != "text":
        faults.add(node, f"{what} takes the name of a circuit, not {node.noun}", "give it a name under circuits:")
        return None
    name = values.text(node, faults, what)
    if name is None:
        return None
    name = name.strip()
    if name in context.broken_circuits:
        place = _at(context.broken_circuits[name], faults)
        faults.add(node, f"circuit {name!r} cannot be used: it has a fault {place}", "mend the circuit")
        return None
    if name in context.circuits:
        return context.circuits[name]
    known = (*context.circuits, *context.broken_circuits)
    hint = did_you_mean(name, known) or "this suite has no circuits: add circuits: {NAME: {heads: [...]}}"
    faults.add(node, f"unknown circuit {name!r}", hint)
    return None


def _at(where: Position, faults: Faults) -> str:
    return f"on line {where.line}" if where.file == faults.file else f"at {where}"


ANY_HINT = 'write heads: {any: ["1.5", "4.4"]} or heads: {any: all}'


def read_heads(node: Node, faults: Faults, shape: Shape | None) -> tuple[tuple[Component, ...], bool]:
    """``head:`` or ``heads:`` of a claim or check, and whether any one of them will do; both keys are a fault.

    ``heads: {any: all}`` gives no heads and True.
    """
    head, heads = node.get("head"), node.get("heads")
    if head is not None and heads is not None:
        faults.add(node.key("heads") or node, "head and heads on one claim", "keep one: heads takes a list")
        return (), False
    if head is not None:
        if head.kind == "list" or (head.kind == "text" and {",", "."} <= set(head.text)):
            faults.add(head, "head takes one head", 'use heads: for a list, ["1.1", "1.2"] (each must hold)')
            return (), False
        if head.kind == "map":
            faults.add(head, "head takes one head, not a mapping", ANY_HINT if head.get("any") else 'write "6.9"')
            return (), False
        return read_components(head, faults, "head", shape, mlps=False), False
    if heads is None:
        return (), False
    if heads.kind == "map":
        return _any(heads, faults, shape), True
    if heads.kind == "text" and heads.text.strip() in ("all", "any"):
        faults.add(heads, f"{heads.text.strip()!r} is not a head", "for some head of the model write heads: {any: all}")
        return (), False
    return read_components(heads, faults, "heads", shape, mlps=False), False


def _any(node: Node, faults: Faults, shape: Shape | None) -> tuple[Component, ...]:
    """``{any: [...]}`` or ``{any: all}`` (which gives no heads)."""
    for key, _ in node.entries:
        if key.text == "all":
            faults.add(key, "unknown key 'all' in heads", "a plain list means that each of them holds: heads: [a, b]")
        elif key.text != "any":
            close = "did you mean 'any'?" if nearest(key.text, ("any",)) else ANY_HINT
            faults.add(key, f"unknown key {key.text!r} in heads", close)
    value = node.get("any")
    if value is None:
        if not node.entries:
            faults.add(node, "heads is an empty mapping", ANY_HINT)
        return ()
    text = value.text.strip() if value.kind == "text" else ""
    if text == "all":
        return ()
    if value.kind == "text" and not _component(text):
        faults.add(value, f"any takes a list of heads or all, not {value.noun}", ANY_HINT)
        return ()
    return read_components(value, faults, "any", shape, mlps=False)


def read_prompts(node: Node, faults: Faults, context: Context, inline_name: str) -> list[PromptSet]:
    """The prompt sets of ``prompts:`` (a name, a list of names, an inline set), sweeps unfolded."""
    nodes = node.children if node.kind == "list" else (node,)
    if not nodes:
        hint = f"name a prompt set: {', '.join(context.prompts)}" if context.prompts else "name a prompt set"
        faults.add(node, "prompts is an empty list", hint)
    names: list[str] = []
    found: list[PromptSet] = []
    for index, child in enumerate(nodes, 1):
        if child.kind == "map":
            name = inline_name if len(nodes) == 1 else f"{inline_name}-{index}"
            found += context.inline(name, child, faults)
            continue
        if child.kind == "list":
            faults.add(
                child, "prompts takes names of prompt sets, not a list within a list", "write prompts: [one, two]"
            )
            continue
        read = values.text(child, faults, "prompts")
        if read is None:
            continue
        read = read.strip()
        if read in context.broken:
            place = _at(context.broken[read], faults)
            faults.add(child, f"prompt set {read!r} cannot be used: it has a fault {place}", "mend the prompt set")
        elif read not in context.prompts:
            hint = (
                did_you_mean(read, (*context.prompts, *context.broken)) or "this suite has no prompt sets: add prompts:"
            )
            faults.add(child, f"unknown prompt set {read!r}", hint)
        elif read in names:
            faults.add(child, f"prompt set {read!r} is named twice", "name it once")
        else:
            names.append(read)
            found += context.prompts[read]
    return found


def reported(node: Node | None, faults: Faults) -> Mapping[str, Any] | None:
    """``reported: {value:, source:, conditions:}``: a published number, shown, never judged."""
    if node is None:
        return None
    if not values.keys(node, faults, "reported", REPORTED_KEYS):
        return None
    value_node, source_node, conditions = (node.get(key) for key in REPORTED_KEYS)
    if value_node is None or source_node is None:
        faults.add(
            node, "reported needs a value and its source", "write reported: {value: 0.73, source: 'arXiv 2311.04131'}"
        )
        return None
    read = values.number(value_node, faults, "reported value")
    source = values.text(source_node, faults, "reported source")
    if read is None or source is None:
        return None
    note = values.text(conditions, faults, "reported conditions") if conditions is not None else None
    return {"value": read[0], "source": source, "conditions": note}
