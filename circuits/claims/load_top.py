"""The single sections at the top of a suite: its model, its sampling, its circuits."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from circuits.claims import values
from circuits.claims.claim import Circuit, Sampling
from circuits.claims.heads import Component, parse_component
from circuits.claims.keys import SAMPLING_KEYS, SUITE_KEYS, misspelt
from circuits.claims.load_parts import Shape, read_components
from circuits.claims.source import Faults, Node

MOST_PROMPTS = 100_000
MODEL_HINT = "add model: smollm2-135m (or gpt2, reference, {hub: ...}, {path: ...})"

Checked = Callable[[Any], list[tuple[str, str]]]
Shaped = Callable[[Any, Path], tuple[int, int] | None]


def read_model(
    top: Node, faults: Faults, check: Checked, shaped: Shaped, base: Path
) -> tuple[Any, Shape | None, str | None]:
    """(model spec, its shape if known, why there is none) of a suite; one of first and last is None.

    A file without claims, which only shares prompt sets, needs no model.
    """
    given = top.all("model")
    if not given:
        if top.get("claims") is not None and not misspelt(top, ("model",), SUITE_KEYS):
            faults.add(top, "the suite names no model", MODEL_HINT)
        return None, None, "the suite names no model"
    _, node = given[0]
    wrong = f"the suite's model has a fault (line {node.where.line})"
    spec = read_spec(node, faults, check, "model", MODEL_HINT)
    if spec is None or len(given) > 1 or any(node.covers(fault.where) for fault in faults.found):
        return None, None, wrong
    try:
        found = shaped(spec, base)
    except (OSError, ValueError) as error:  # a path that no file system takes, a broken config.json
        faults.add(node, f"this model cannot be used: {error}")
        return None, None, wrong
    if found is None:
        return spec, None, None
    title = spec if isinstance(spec, str) else next(iter(spec.values()))
    return spec, Shape(str(title), *found), None


def read_spec(node: Node, faults: Faults, check: Checked, what: str, hint: str) -> Any:
    """One model, a registry name or a mapping that says where it lies, as plain data; None after a fault.

    ``what`` it is called, and the ``hint`` for something that is no model at all.
    """
    spec = _spec(node, faults, what, hint)
    problems = check(spec) if spec is not None else []
    for key_name, message in problems:
        place = (node.key(key_name) or node) if node.kind == "map" else node
        message, _, hint = message.partition(": did you mean")
        plain = message.startswith("unknown model") and not message.endswith(")")
        others = "other models are written {hub: NAME, revision: COMMIT} or {path: FOLDER}" if plain else ""
        faults.add(place, message, "; ".join(filter(None, [f"did you mean{hint}" if hint else "", others])))
    return spec if not problems else None


def _spec(node: Node, faults: Faults, what: str, hint: str) -> Any:
    """The spec as plain data; None after a fault."""
    if node.kind == "list" or node.null:
        faults.add(node, f"{what} must be a name or a mapping, not {node.noun}", hint)
        return None
    if node.kind == "text":
        return node.text.strip()
    spec = {}
    for key, value in node.entries:
        read = values.text(value, faults, f"{what}: {key.text}")
        if read is None:
            return None
        spec[key.text] = read
    return spec


def read_sampling(node: Node | None, faults: Faults) -> Sampling:
    """``sampling: {min, max, seed, confidence}``; the default where a value is missing or faulty."""
    default = Sampling()
    if node is None or not values.keys(node, faults, "sampling", SAMPLING_KEYS):
        return default
    numbers: dict[str, Any] = {}
    for key, value in node.entries:
        if key.text in ("min", "max"):
            numbers[key.text] = values.integer(value, faults, f"sampling: {key.text}", 1, MOST_PROMPTS)
        elif key.text == "seed":
            numbers["seed"] = values.integer(value, faults, "sampling: seed", 0)
        elif key.text == "confidence":
            read = values.number(value, faults, "sampling: confidence")
            if read is not None and not 0.5 <= read[0] < 1:
                message = f"confidence must be at least 0.5 and less than 1, not {value.text}"
                faults.add(value, message, "0.95 is usual")
            elif read is not None:
                numbers["confidence"] = read[0]
    numbers = {name: value for name, value in numbers.items() if value is not None}
    most = numbers.get("max", max(default.max, numbers.get("min", 0)))
    least = numbers.get("min", min(default.min, most))
    if least > most:
        faults.add(
            node.get("min") or node, f"sampling: min {least} is larger than max {most}", "make min the smaller one"
        )
        least = most
    return Sampling(least, most, numbers.get("seed", default.seed), numbers.get("confidence", default.confidence))


CIRCUIT_KEYS = ("heads", "mlps", "source")


def read_circuit(key: Node, node: Node, faults: Faults, shape: Shape | None) -> Circuit | None:
    """One entry of ``circuits:``, ``{heads: [...], mlps: [...], source: {...}}``; None after a fault."""
    before = len(faults.found)
    name = key.text.strip()
    if not re.fullmatch(r"[^\s\[\],:]+", name):
        faults.add(key, f"{key.text!r} cannot be a circuit's name", "use letters, digits, - _ and .")
    elif _is_component(name):
        faults.add(key, f"{name!r} cannot be a circuit's name: it is a component's", "use another name")
    if not values.keys(node, faults, f"circuit {name!r}", CIRCUIT_KEYS):
        return None
    heads_node, mlps_node, source = node.get("heads"), node.get("mlps"), node.get("source")
    mlps = _mlps(mlps_node, faults, shape) if mlps_node is not None else None
    heads: tuple[Component, ...] = ()
    if heads_node is None:
        if not misspelt(node, ("heads",), CIRCUIT_KEYS):
            faults.add(key, f"circuit {name!r} names no heads", "add heads: [...] (heads: [] if it has only MLPs)")
    elif heads_node.kind == "list" and not heads_node.children:
        if not mlps and len(faults.found) == before:
            faults.add(heads_node, f"circuit {name!r} is empty", "name at least one head or MLP")
    else:
        heads = read_components(heads_node, faults, "heads", shape, mlps=False)
    if source is not None and source.kind != "map":
        hint = "write source: {arxiv: '2211.00593'}"
        faults.add(source, f"source must be a mapping, not {source.noun}", hint)
    if len(faults.found) > before:
        return None
    return Circuit(name, heads, mlps, values.plain(source) if source is not None else None)


def _is_component(name: str) -> bool:
    try:
        parse_component(name)
    except ValueError:
        return False
    return True


def _mlps(node: Node, faults: Faults, shape: Shape | None) -> tuple[Component, ...]:
    """``mlps: [0, MLP1]`` as components."""
    hint = "write mlps: [0, 1] (without mlps: all of them stay; with [] none does)"
    if node.kind != "list":
        faults.add(node, f"mlps must be a list of layers, not {node.noun}", hint)
    found: list[Component] = []
    for child in node.children:
        layer = re.fullmatch(r"(?:MLP)?(\d{1,4})", child.text.strip(), re.IGNORECASE | re.ASCII)
        if child.kind != "text" or layer is None:
            faults.add(child, f"mlps must be a list of layers, not {child.noun}", hint)
            continue
        component = Component(int(layer[1]))
        problem = shape.missing(component) if shape is not None else None
        if problem is not None:
            faults.add(child, *problem)
        elif component in found:
            faults.add(child, f"{component} is named twice in mlps", "name it once")
        else:
            found.append(component)
    return tuple(found)
