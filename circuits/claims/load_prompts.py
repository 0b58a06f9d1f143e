"""The ``prompts:`` section of a suite: named prompt sets and their sweeps."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from circuits.claims import values
from circuits.claims.claim import PromptSet
from circuits.claims.source import Faults, Node
from circuits.errors import did_you_mean, nearest
from circuits.prompts.prompt import Family, Parameter

COMMON = ("family", "bos", "roles", "sweep", "requires")
LATER_FAMILIES = ("greater_than",)

Checker = Callable[[Family, Mapping[str, Any]], list[tuple[str, str]]]
RoleChecker = Callable[[Mapping[str, str]], list[tuple[str, str]]]


def read_prompt_set(
    name: str, node: Node, faults: Faults, families: Mapping[str, Family], check_params: Checker, check_roles: RoleChecker
) -> tuple[PromptSet, ...]:
    """The variants of one prompt set; empty after a fault that leaves nothing usable."""
    before = len(faults.found)
    if node.kind != "map":
        faults.add(node, f"prompt set {name!r} must be a mapping with a family, not {node.noun}", "for example {family: ioi}")
        return ()
    family_node = node.get("family")
    if family_node is None:
        faults.add(node, f"prompt set {name!r} has no family", f"add family: one of {', '.join(sorted(families))}")
        return ()
    family_name = values.text(family_node, faults, "family")
    if family_name is None:
        return ()
    if family_name not in families:
        if family_name in LATER_FAMILIES:
            faults.add(family_node, f"the prompt family {family_name!r} is not supported yet")
        else:
            faults.add(family_node, f"unknown prompt family {family_name!r}", did_you_mean(family_name, families))
        return ()
    family = families[family_name]
    kinds = {parameter.name: parameter for parameter in family.parameters}
    parameters = _parameters(node, faults, kinds, skip=COMMON, what=f"prompt set {name!r} (family {family_name})")
    bos_node, roles_node, sweep_node = node.get("bos"), node.get("roles"), node.get("sweep")
    bos = values.boolean(bos_node, faults, "bos") if bos_node is not None else True
    roles = _roles(roles_node, faults, check_roles) if roles_node is not None else {}
    requires = read_requires(node.get("requires"), faults)
    variables = {k: v for k, v in parameters.items() if kinds[k].kind == "int" and isinstance(v, int) and k != "period"}
    base = PromptSet(name, family_name, parameters, bos is not False, roles, node.where, variables=variables, requires=requires)
    variants = _sweep(base, sweep_node, faults, kinds) if sweep_node is not None else (base,)
    if len(faults.found) > before:
        return ()
    for variant in variants:
        for key, message in check_params(family, variant.parameters):
            faults.add(_place(node, sweep_node, key), message)
        role_problems = _unmatched_roles(variant)
        for role, message in role_problems:
            faults.add((roles_node.key(role) if roles_node else None) or node, message)
    return variants if len(faults.found) == before else ()


def _parameters(node: Node, faults: Faults, kinds: Mapping[str, Parameter], skip: tuple[str, ...], what: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in node.entries:
        if key.text in skip:
            continue
        if key.text not in kinds:
            faults.add(key, f"unknown key {key.text!r} in {what}", did_you_mean(key.text, (*kinds, *skip)))
            continue
        if value.null:
            faults.add(value, f"{key.text} is empty")
            continue
        found[key.text] = typed(value, kinds[key.text], faults)
    return found


def typed(node: Node, parameter: Parameter, faults: Faults) -> Any:
    """A node as the parameter's kind; text stays as written, so that "7" and "1.50" survive."""
    if parameter.kind == "int":
        return values.integer(node, faults, parameter.name, parameter.minimum)
    if parameter.kind == "bool":
        return values.boolean(node, faults, parameter.name)
    return _raw(node)


def _raw(node: Node) -> Any:
    if node.kind == "map":
        return {key.text: _raw(value) for key, value in node.entries}
    if node.kind == "list":
        return [_raw(child) for child in node]
    return None if node.null else node.text


def _roles(node: Node, faults: Faults, check_roles: RoleChecker) -> dict[str, str]:
    if node.kind != "map":
        faults.add(node, f"roles must map names to regular expressions, not {node.noun}")
        return {}
    found = {}
    for key, value in node.entries:
        pattern = values.text(value, faults, f"role {key.text!r}")
        if not re.fullmatch(r"[^\W\d]\w*", key.text):
            faults.add(key, f"{key.text!r} cannot be a role name", "use letters, digits and _")
        elif pattern is not None:
            found[key.text] = pattern
    for name, message in check_roles(found):
        faults.add(node.get(name) or node, message)
    return found


def _unmatched_roles(prompt_set: PromptSet) -> list[tuple[str, str]]:
    """Roles of a texts set whose pattern matches none of its texts (needs no tokenizer)."""
    if prompt_set.family != "texts":
        return []
    texts = [entry.get("text", "") if isinstance(entry, dict) else entry for entry in prompt_set.parameters.get("texts", ())]
    problems = []
    for role, pattern in prompt_set.roles.items():
        if texts and not any(re.search(pattern, str(text)) for text in texts):
            problems.append((role, f"role {role!r}: {pattern!r} matches nothing in the {len(texts)} texts"))
    return problems


def _place(node: Node, sweep: Node | None, key: str) -> Node:
    """The node of a parameter such as "length" or "texts[2].answer" (its key when it has one)."""
    parts = re.findall(r"\w+|\[\d+\]", key)
    here: Node | None = None
    for source in (node, *(sweep.children if sweep is not None else ())):
        if source.kind == "map" and parts and source.get(parts[0]) is not None:
            here = source.get(parts[0])
            break
    for part in parts[1:]:
        if here is None:
            break
        if part.startswith("["):
            index = int(part[1:-1])
            if here.kind == "list" and index < len(here.children):
                here = here.children[index]
        else:
            child = here.get(part) if here.kind == "map" else None
            here = child or (here.key(part) if here.kind == "map" else None) or here
    return here or node


def _sweep(base: PromptSet, node: Node, faults: Faults, kinds: Mapping[str, Parameter]) -> tuple[PromptSet, ...]:
    """One variant per entry of a sweep: a list of mappings, or a mapping of lists (their product)."""
    entries: list[dict[str, tuple[Node, Node]]] = []
    if node.kind == "list":
        for child in node:
            if child.kind != "map" or not child.entries:
                faults.add(child, f"each entry of a sweep is a mapping of parameters, not {child.noun}")
                return ()
            entries.append({key.text: (key, value) for key, value in child.entries})
    elif node.kind == "map":
        columns = []
        for key, value in node.entries:
            if value.kind != "list" or not value.children:
                faults.add(value, f"sweep: {key.text} needs a list of values", f"write {key.text}: [3, 4, 5]")
                return ()
            columns.append([(key, child) for child in value])
        entries = [{key.text: (key, value) for key, value in row} for row in itertools.product(*columns)]
    if not entries:
        faults.add(node, "the sweep is empty", "write sweep: {length: [3, 4, 5]}")
        return ()
    variants: list[PromptSet] = []
    for entry in entries:
        parameters: dict[str, Any] = {}
        variables = dict(base.variables)
        for name, (key, value) in entry.items():
            if name not in kinds:
                faults.add(key, f"unknown key {name!r} in the sweep of prompt set {base.name!r}", did_you_mean(name, kinds))
                continue
            parameters[name] = typed(value, kinds[name], faults)
            if kinds[name].kind == "int" and isinstance(parameters[name], int) and name != "period":
                variables[name] = parameters[name]
        label = _label(parameters)
        if any(label == variant.label for variant in variants):
            label = f"{label},{len(variants) + 1}"
        variants.append(replace(base, parameters={**base.parameters, **parameters}, label=label, variables=variables))
    return tuple(variants)


def _label(parameters: Mapping[str, Any]) -> str:
    """A short name of a variant for node ids: its numbers and words, long texts only when alone."""
    plain = {k: v for k, v in parameters.items() if isinstance(v, int) or (isinstance(v, str) and re.fullmatch(r"\w{1,24}", v))}
    shown = plain or parameters
    return ",".join(f"{k}={re.sub(r'[^0-9A-Za-z_.-]+', '_', str(v)).strip('_')}" for k, v in shown.items())


def read_requires(node: Node | None, faults: Faults) -> dict[str, float] | None:
    """``requires: {top1: 0.5}``: the clean accuracy that its lower bound must exceed."""
    if node is None:
        return None
    if node.kind != "map":
        faults.add(node, f"requires must be a mapping, not {node.noun}", "write requires: {top1: 0.5}")
        return None
    found = {}
    for key, value in node.entries:
        if not re.fullmatch(r"top[1-9]\d*", key.text):
            close = nearest(key.text, ("top1", "top5"))
            hint = f"did you mean {close!r}?" if close else "write requires: {top1: 0.5}"
            faults.add(key, f"unknown key {key.text!r} in requires: it takes top1, top5, ...", hint)
            continue
        read = values.number(value, faults, f"requires: {key.text}")
        if read is None:
            continue
        if not 0 <= read[0] < 1:
            faults.add(value, f"requires: {key.text} must lie between 0 and 1, not {value.text}")
            continue
        found[key.text] = read[0]
    return found
