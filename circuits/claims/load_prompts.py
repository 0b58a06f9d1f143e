"""The ``prompts:`` section of a suite: named prompt sets and their sweeps."""

from __future__ import annotations

import itertools
import math
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from circuits.claims import bounds, values
from circuits.claims.claim import PromptSet
from circuits.claims.dry import shorten
from circuits.claims.keys import misspelt
from circuits.claims.source import Faults, Node
from circuits.errors import did_you_mean, nearest
from circuits.prompts.prompt import Family, Parameter

COMMON = ("family", "bos", "roles", "sweep", "requires")
MOST_VARIANTS = 200
REQUIRABLE = ("answer_prob", "pair_prob", "prob_diff")  # and top1, top5, ...: the metrics with a known range
TEXT_KEYS = ("text", "answer", "foil", "corrupted")  # the keys of one prompt of the family texts

Checker = Callable[[Family, Mapping[str, Any]], list[tuple[str, str]]]
RoleChecker = Callable[[Mapping[str, str]], list[tuple[str, str]]]


def read_prompt_set(
    name: str,
    node: Node,
    faults: Faults,
    families: Mapping[str, Family],
    check_params: Checker,
    check_roles: RoleChecker,
    own_roles: tuple[str, ...] = (),
) -> tuple[PromptSet, ...]:
    """The variants of one prompt set; empty after a fault that leaves nothing usable.

    ``own_roles``: the project's own roles that its prompts have too.
    """
    before = len(faults.found)
    if node.kind != "map":
        faults.add(
            node, f"prompt set {name!r} must be a mapping with a family, not {node.noun}", "for example {family: ioi}"
        )
        return ()
    family_node = node.get("family")
    if family_node is None:
        allowed = {*COMMON, *(parameter.name for family in families.values() for parameter in family.parameters)}
        if not misspelt(node, ("family",), allowed):
            faults.add(node, f"prompt set {name!r} has no family", f"add family: one of {', '.join(sorted(families))}")
        for key, _ in node.entries:
            if key.text not in allowed:
                faults.add(key, f"unknown key {key.text!r} in prompt set {name!r}", did_you_mean(key.text, COMMON))
        return ()
    family_name = values.text(family_node, faults, "family")
    if family_name is None:
        return ()
    family_name = family_name.strip()
    if family_name not in families:
        faults.add(family_node, f"unknown prompt family {family_name!r}", did_you_mean(family_name, families))
        return ()
    family = families[family_name]
    kinds = {parameter.name: parameter for parameter in family.parameters}
    parameters = _parameters(node, faults, kinds, skip=COMMON, what=f"prompt set {name!r} (family {family_name})")
    bos_node, roles_node, sweep_node = node.get("bos"), node.get("roles"), node.get("sweep")
    bos = values.boolean(bos_node, faults, "bos") if bos_node is not None else True
    roles = _roles(roles_node, faults, check_roles) if roles_node is not None else {}
    requires = read_requires(node.get("requires"), faults)
    defaults = {key: parameter.default for key, parameter in kinds.items()}
    variables = {
        key: value
        for key, value in {**defaults, **parameters}.items()
        if kinds[key].kind == "int" and isinstance(value, int) and key != "period"
    }
    base = PromptSet(
        name, family_name, parameters, bos is not False, roles, node.where, variables=variables, requires=requires,
        own_roles=own_roles,
    )  # fmt: skip
    swept = _sweep(base, sweep_node, faults, kinds) if sweep_node is not None else [(base, {})]
    known = (*kinds, *COMMON)
    for variant, places in swept or [(base, {})]:
        sound = {key: value for key, value in variant.parameters.items() if value is not None}
        for word, message in check_params(family, sound):
            absent = word in kinds and word not in sound
            if absent and (misspelt(node, (word,), known) or not swept or word in parameters):
                continue  # it has a fault already
            _add(_place(node, places, word), message, faults, kinds.get(word))
    for role in own_roles:
        if role in roles or any(role in family.roles(variant.parameters) for variant, _ in swept):
            place = roles_node.key(role) if roles_node is not None and role in roles else None
            message = f"role {role!r} of prompt set {name!r} has the name of the project's own role"
            faults.add(place or node, message, "give one of the two another name")
    if family_name == "texts" and roles_node is not None:
        _unmatched(roles, parameters.get("texts"), roles_node, faults)
    return tuple(variant for variant, _ in swept) if len(faults.found) == before else ()


def _parameters(
    node: Node, faults: Faults, kinds: Mapping[str, Parameter], skip: tuple[str, ...], what: str
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in node.entries:
        if key.text in skip:
            continue
        if key.text not in kinds:
            faults.add(key, f"unknown key {key.text!r} in {what}", did_you_mean(key.text, (*kinds, *skip)))
            continue
        if value.null:
            faults.add(value, f"{key.text} is empty", "give it a value, or leave it out")
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
        faults.add(
            node, f"roles must map names to regular expressions, not {node.noun}", "write roles: {number: '\\d+'}"
        )
        return {}
    found = {}
    for key, value in node.entries:
        pattern = values.text(value, faults, f"role {key.text!r}")
        if not re.fullmatch(r"[^\W\d]\w*", key.text):
            faults.add(key, f"{key.text!r} cannot be a role name", "use letters, digits and _")
        elif pattern is not None:
            found[key.text] = pattern
    with warnings.catch_warnings():  # a pattern that Python frowns upon is still a pattern
        warnings.simplefilter("ignore")
        problems = check_roles(found)
    for name, message in problems:
        faults.add(
            node.get(name) or node,
            message,
            "see the documentation of Python's re module" if "regular" in message else "",
        )
        found.pop(name, None)
    return found


def _unmatched(roles: Mapping[str, str], texts: Any, node: Node, faults: Faults) -> None:
    """Fault the roles whose pattern matches none of the literal texts (which needs no tokenizer)."""
    if not isinstance(texts, list):
        return
    written = [entry.get("text") if isinstance(entry, dict) else entry for entry in texts]
    shown = [text for text in written if isinstance(text, str)]
    for role, pattern in roles.items():
        if shown and not any(re.search(pattern, text) for text in shown):
            message = f"role {role!r}: {pattern!r} matches nothing in the {len(shown)} texts"
            faults.add(node.get(role) or node, message, f"the first text: {shorten(shown[0])}")


def _add(place: Node, message: str, faults: Faults, parameter: Parameter | None) -> None:
    """Record what a family says; "did you mean" becomes the hint, and a slot is shown in its template."""
    head, _, meant = message.partition(": did you mean")
    slot = re.search(r"slot (\{[^{}]*\})", message)
    at = place.text.find(slot[1]) if slot is not None and place.kind == "text" else -1
    about = f"{parameter.name}: {parameter.doc}" if parameter is not None and parameter.doc not in message else ""
    hint = f"did you mean{meant}" if meant else about
    if at >= 0 and slot is not None:
        faults.add(place, head, hint, offset=at, width=len(slot[1]))
    else:
        faults.add(place, head, hint)


def _place(node: Node, swept: Mapping[str, Node], key: str) -> Node:
    """The node of a parameter such as "length" or "texts[2].answer", its key's where the key is what is wrong."""
    parts = re.findall(r"\[\d+\]|[^.\[\]]+", key)
    here = swept.get(parts[0]) or node.get(parts[0]) if parts else None
    for part in parts[1:]:
        if here is None:
            break
        if part.startswith("["):
            index = int(part[1:-1])
            here = here.children[index] if here.kind == "list" and index < len(here.children) else here
        elif here.kind == "map":
            here = (here.get(part) if part in TEXT_KEYS else here.key(part)) or here
    return here or node


Swept = list[tuple[PromptSet, dict[str, Node]]]
SweepEntry = dict[str, tuple[Node, Node]]  # parameter -> its key's node and its value's


def _sweep(base: PromptSet, node: Node, faults: Faults, kinds: Mapping[str, Parameter]) -> Swept:
    """One variant per entry of a sweep: a list of mappings, or a mapping of lists (their product).

    Each comes with the nodes of its own values.
    """
    variants: Swept = []
    for entry in _sweep_entries(node, faults, kinds):
        parameters: dict[str, Any] = {}
        variables = dict(base.variables)
        for name, (key, value) in entry.items():
            if name not in kinds:
                faults.add(
                    key, f"unknown key {name!r} in the sweep of prompt set {base.name!r}", did_you_mean(name, kinds)
                )
                continue
            if value.null:
                faults.add(value, f"{name} is empty", "give it a value, or leave it out")
                continue
            parameters[name] = typed(value, kinds[name], faults)
            if kinds[name].kind == "int" and isinstance(parameters[name], int) and name != "period":
                variables[name] = parameters[name]
        label = _label(parameters)
        if any(label == variant.label for variant, _ in variants):
            label = f"{label},{len(variants) + 1}"
        variant = replace(base, parameters={**base.parameters, **parameters}, label=label, variables=variables)
        variants.append((variant, {name: value for name, (_, value) in entry.items()}))
    return variants


def _sweep_entries(node: Node, faults: Faults, kinds: Mapping[str, Parameter]) -> list[SweepEntry]:
    """The entries of a sweep in order; none after a fault in its form."""
    if node.kind == "text" and not node.null:
        faults.add(node, f"a sweep is a mapping of lists, not {node.noun}", "write sweep: {length: [3, 4, 5]}")
        return []
    rows = [{key.text: (key, value) for key, value in child.entries} for child in node]
    for child in node:
        if child.kind != "map" or not child.entries:
            what = child.noun if child.kind != "map" else "an empty one"
            faults.add(child, f"each entry of a sweep is a mapping of parameters, not {what}", "write - {length: 3}")
            return []
    for key, value in node.entries:
        if value.kind != "list" or not value.children:
            what = "an empty one" if value.kind == "list" else value.noun
            faults.add(value, f"sweep: {key.text} needs a list of values, not {what}", f"write {key.text}: [3, 4, 5]")
            return []
    columns = [[(key, child) for child in value] for key, value in node.entries]
    count = math.prod(map(len, columns)) if columns else len(rows)
    if not count:
        faults.add(node, "the sweep is empty", "write sweep: {length: [3, 4, 5]}")
        return []
    if count > MOST_VARIANTS:
        faults.add(node, f"the sweep has {count:,} variants", f"at most {MOST_VARIANTS} are allowed")
        return []
    before = len(faults.found)
    plain = [{name: _comparable(value, kinds.get(name)) for name, (_, value) in row.items()} for row in rows]
    for here, first in _repeats(plain):
        message = f"this entry of the sweep is the same as entry {first + 1}"
        faults.add(node.children[here], message, "remove one: each entry makes a test of its own")
    for column in columns:
        name = column[0][0].text
        for here, _ in _repeats([_comparable(value, kinds.get(name)) for _, value in column]):
            value = column[here][1]
            message = f"sweep: {name} names {value.text if value.kind == 'text' else 'the same list'} twice"
            faults.add(value, message, "remove one: each value makes a test of its own")
    if len(faults.found) > before:
        return []
    return [{key.text: (key, value) for key, value in row} for row in itertools.product(*columns)] if columns else rows


def _repeats(values: list[Any]) -> list[tuple[int, int]]:
    """(index, index of the first equal one) of each value that was there before."""
    return [(here, values.index(value)) for here, value in enumerate(values) if values.index(value) < here]


def _comparable(node: Node, parameter: Parameter | None) -> Any:
    """A swept value such that two that mean the same are equal ("3" and "03" for an integer)."""
    raw = _raw(node)
    is_number = parameter is not None and parameter.kind == "int" and isinstance(raw, str)
    return int(raw) if is_number and re.fullmatch(r"[+-]?[0-9]{1,12}", raw.strip()) else raw


def _label(parameters: Mapping[str, Any]) -> str:
    """A short name of a variant for node ids: its numbers and words, long texts only when alone."""
    plain = {
        k: v
        for k, v in parameters.items()
        if isinstance(v, int) or (isinstance(v, str) and re.fullmatch(r"\w{1,24}", v))
    }
    shown = plain or parameters
    return ",".join(f"{k}={re.sub(r'[^0-9A-Za-z_.-]+', '_', str(v)).strip('_')}" for k, v in shown.items())


def requirable(name: str) -> tuple[float, float] | None:
    """The lowest and the highest value of a metric that can be required; None for every other name."""
    facts = bounds.metric(name)
    return facts[:2] if facts is not None and (name in REQUIRABLE or name.startswith("top")) else None


def read_requires(node: Node | None, faults: Faults) -> dict[str, float] | None:
    """``requires: {top1: 0.5}``: what the lower bound of the clean mean of each metric must exceed.

    Metrics with a known range: top1, top5, ..., answer_prob, pair_prob and prob_diff.
    """
    if node is None:
        return None
    if node.kind != "map":
        faults.add(node, f"requires must be a mapping, not {node.noun}", "write requires: {top1: 0.5}")
        return None
    if not node.entries:
        faults.add(node, "requires is empty", "write requires: {top1: 0.5}")
    found = {}
    for key, value in node.entries:
        span = requirable(key.text)
        if span is None:
            valid = f"it takes top1, top5, ..., {', '.join(REQUIRABLE)}"
            if bounds.metric(key.text) is not None:
                faults.add(key, f"{key.text} cannot be required: its range has no end; {valid}", "write top1: 0.5")
                continue
            close = nearest(key.text, ("top1", "top5", *REQUIRABLE))
            hint = f"did you mean {close!r}?" if close else "write requires: {top1: 0.5}"
            faults.add(key, f"unknown key {key.text!r} in requires: {valid}", hint)
            continue
        read = values.number(value, faults, f"requires: {key.text}")
        if read is None:
            continue
        low, high = span
        if not low <= read[0] < high:
            message = f"requires: {key.text} must be at least {low:g} and less than {high:g}, not {value.text}"
            meant = f"did you mean {read[0]:g}%?" if 2 <= read[0] < 100 and not read[1] else ""
            faults.add(value, message, meant or ("write 0.5 or 50%" if low == 0 else "write a number such as 0.1"))
            continue
        found[key.text] = read[0]
    return found
