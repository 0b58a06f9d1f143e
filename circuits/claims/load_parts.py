"""The pieces that claims and checks share: components, prompt sets and reported values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from circuits.claims import values
from circuits.claims.claim import PromptSet
from circuits.claims.dry import DryRun
from circuits.claims.heads import Component, parse_component, parse_head
from circuits.claims.source import Faults, Node
from circuits.errors import Fault, Position, did_you_mean


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

    ``broken`` are the prompt sets that exist but have faults, with the place of the first.
    ``roles_of`` gives the role names of a prompt set; ``inline`` reads a set written in place; ``dry``
    says whether a selector selects anything. ``parsing`` are the faults that reading the YAML found inside
    claims; ``no_model`` says why nothing can be measured: no model, or faulty sampling (None: it can).
    """

    shape: Shape | None
    prompts: Mapping[str, tuple[PromptSet, ...]]
    broken: Mapping[str, Position]
    circuits: Mapping[str, tuple[Component, ...]]
    roles_of: Callable[[PromptSet], frozenset[str]]
    inline: Callable[[str, Node, Faults], tuple[PromptSet, ...]]
    dry: DryRun
    parsing: tuple[Fault, ...] = ()
    no_model: str | None = None


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


def read_heads(node: Node, faults: Faults, shape: Shape | None) -> tuple[Component, ...]:
    """``head:`` or ``heads:`` of a claim or check; both at once is a fault."""
    head, heads = node.get("head"), node.get("heads")
    if head is not None and heads is not None:
        faults.add(node.key("heads") or node, "head and heads on one claim", "keep one: heads takes a list")
        return ()
    if head is not None:
        if head.kind == "list":
            faults.add(head, "head takes one head", "use heads: for a list (each must hold)")
            return ()
        return read_components(head, faults, "head", shape, mlps=False)
    if heads is not None:
        if heads.kind == "map":
            faults.add(heads, "heads: {any: ...} is not supported yet", "list the heads: each must hold")
            return ()
        return read_components(heads, faults, "heads", shape, mlps=False)
    return ()


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
            faults.add(child, "prompts takes names of prompt sets, not a list within a list")
            continue
        read = values.text(child, faults, "prompts")
        if read is None:
            continue
        read = read.strip()
        if read in context.broken:
            where = context.broken[read]
            place = f"on line {where.line}" if where.file == faults.file else f"at {where}"
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
    if not values.keys(node, faults, "reported", ("value", "source", "conditions")):
        return None
    value_node, source_node, conditions = node.get("value"), node.get("source"), node.get("conditions")
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
