"""Reading ``attends: QUERY -> KEY``: its selectors, what they select on the prompts, and comparisons."""

from __future__ import annotations

import re
from dataclasses import dataclass

from circuits.claims import selector, values
from circuits.claims.claim import Attends, PromptSet
from circuits.claims.dry import shorten
from circuits.claims.heads import Component
from circuits.claims.keys import EXCLUDABLE, STATISTICS
from circuits.claims.load_parts import Asked, read_components, read_prompts
from circuits.claims.sets import Selector
from circuits.claims.source import Node
from circuits.errors import did_you_mean
from circuits.prompts.parameters import with_defaults

MORE_KEYS = ("attends", "head", "prompts")


def read_attends(asked: Asked) -> Attends | None:
    """An attention check. None after a fault in its selectors, statistic, exclusions or comparison."""
    faults, node = asked.faults, asked.node
    statistic_node, more_node = node.get("statistic"), node.get("more_than")
    statistic = "mass" if statistic_node is None else values.choice(statistic_node, faults, "statistic", STATISTICS)
    excluding = _excluding(asked, node.get("excluding"))
    main = read_selector(asked, asked.value, asked.prompts, excluding or ())
    if more_node is None:
        fine = main is not None and statistic is not None and excluding is not None
        return Attends(main, statistic, excluding) if fine else None  # type: ignore[arg-type]
    other = _other(asked, more_node, main, excluding or ())
    if main is None or other is None or statistic is None or excluding is None:
        return None
    place = more_node.get("attends") or more_node if more_node.kind == "map" else more_node
    if not _apart(asked, more_node, main, other):
        return None
    if other.prompts is None and other.selector.query == main.query and other.selector.key != main.key:
        for prompt_set in asked.prompts:
            if asked.context.dry.apart(main, other.selector, prompt_set, excluding):
                message = f"no query has keys on both sides, in any prompt of {prompt_set.name!r}"
                faults.add(place, message, "with equal queries only those with keys on both sides count")
                return None
    elsewhere = None if asked.prompts == (other.prompts,) else other.prompts
    return Attends(main, statistic, excluding, other.selector, other.head, elsewhere)


@dataclass(frozen=True)
class _Other:
    """The other side of a comparison; None: the check's own."""

    selector: Selector
    head: Component | None = None
    prompts: PromptSet | None = None


def _other(asked: Asked, node: Node, main: Selector | None, excluding: tuple[str, ...]) -> _Other | None:
    """``more_than:`` as a selector, or as ``{attends:, head:, prompts:}``."""
    faults = asked.faults
    if node.kind == "text" and re.fullmatch(r"[\d.,%\s+-]+", node.text):
        message = f"more_than compares with another selector, not with {node.noun}"
        faults.add(node, message, "for a number write at_least")
        return None
    if node.kind != "map":
        other = read_selector(asked, node, asked.prompts, excluding)
        return _Other(other) if other is not None else None
    before = len(faults.found)
    values.keys(node, faults, "more_than", MORE_KEYS)
    if not node.entries:
        faults.add(
            node, "more_than is an empty mapping", 'write more_than: {head: "0.1"}, {attends: ...} or {prompts: ...}'
        )
    attends_node, head_node, prompts_node = (node.get(key) for key in MORE_KEYS)
    for key in ("head", "prompts"):
        if asked.any and node.get(key) is not None:
            message = (
                f"heads: {{any: ...}} does not go with more_than: {{{key}: ...}}: which head is compared is not said"
            )
            faults.add(node.key(key) or node, message, "name the head, or compare with another selector")
    head = _other_head(asked, head_node) if head_node is not None else None
    prompts = _other_prompts(asked, prompts_node) if prompts_node is not None else None
    sets = (prompts,) if prompts is not None else asked.prompts if prompts_node is None else ()
    other = main
    if attends_node is not None:
        other = read_selector(asked, attends_node, sets, excluding)
    elif main is not None and prompts is not None and prompts_node is not None:
        for name in unknown_names(asked, main, prompts):
            message = f"prompt set {prompts.name!r} has no {name!r}, which {main.text!r} names"
            faults.add(
                prompts_node,
                message,
                "compare with another prompt set, or write more_than: {attends: ..., prompts: ...}",
            )
        if len(faults.found) == before:
            empty(asked, asked.value, main, prompts, excluding, prompts_node)
    if other is None or len(faults.found) > before:
        return None
    return _Other(other, head, prompts)


def _other_head(asked: Asked, node: Node) -> Component | None:
    if node.kind == "list":
        asked.faults.add(node, "head takes one head", "a comparison is with one head")
        return None
    found = read_components(node, asked.faults, "head", asked.context.shape, mlps=False)
    return found[0] if found else None


def _other_prompts(asked: Asked, node: Node) -> PromptSet | None:
    """The one prompt set that is compared with."""
    if node.kind == "list":
        asked.faults.add(node, "prompts of more_than takes one prompt set, not a list", "write one check for each")
        return None
    found = read_prompts(node, asked.faults, asked.context, f"{asked.title}-compared")
    if len(found) > 1:
        message = f"prompts of more_than takes one prompt set, but {found[0].name!r} is a sweep of {len(found)}"
        asked.faults.add(node, message, "name a prompt set without a sweep")
        return None
    return found[0] if found else None


def _apart(asked: Asked, node: Node, main: Selector, other: _Other) -> bool:
    """Whether the two sides of a comparison differ; a fault where they are one and the same."""
    if (other.selector.query, other.selector.key) != (main.query, main.key):
        return True
    if other.prompts is not None and other.prompts not in asked.prompts:
        return True
    if other.head is not None and other.head not in asked.heads:
        return True
    head = f"head {other.head}" if other.head is not None else "the same head"
    if node.kind != "map" or (other.head is None and other.prompts is None):
        message = "both sides of the comparison are the same selector"
    elif other.prompts is not None:
        message = f"both sides of the comparison are {main.text!r} of {head} on {other.prompts.title!r}"
    else:
        message = f"both sides of the comparison are {main.text!r} of {head}"
    asked.faults.add(node, message, "compare with another one")
    return False


def _excluding(asked: Asked, node: Node | None) -> tuple[str, ...] | None:
    if node is None:
        return ()
    faults = asked.faults
    nodes = node.children if node.kind == "list" else (node,)
    found = [values.choice(child, faults, "excluded key", EXCLUDABLE) for child in nodes]
    for child in nodes[1:]:
        if child.text in [other.text for other in nodes[: nodes.index(child)]]:
            faults.add(child, f"{child.text!r} is excluded twice", "name it once")
    if not found:
        faults.add(node, "excluding is an empty list", "write excluding: [bos], [self] or [bos, self]")
    if not found or None in found:
        return None
    return tuple(name for name in EXCLUDABLE if name in found)


def read_selector(
    asked: Asked, node: Node, prompts: tuple[PromptSet, ...], excluding: tuple[str, ...]
) -> Selector | None:
    """A parsed selector whose roles every prompt set has, and which selects something there."""
    faults = asked.faults
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
        names_known(asked, node, parsed, prompt_set)
    if isinstance(parsed.key, selector.Structure) and parsed.key.name in excluding:
        faults.add(node, f"nothing is left to measure: {parsed.key.name!r} is excluded", "remove it from excluding")
    if len(faults.found) > before:
        return None
    for prompt_set in prompts:
        empty(asked, node, parsed, prompt_set, excluding)
    return parsed if len(faults.found) == before else None


def names_known(asked: Asked, node: Node, parsed: Selector, prompt_set: PromptSet) -> None:
    """Fault the roles, variables and ``bos`` of a selector that a prompt set does not have."""
    faults = asked.faults
    known = asked.context.roles_of(prompt_set)
    for role in selector.roles(parsed):
        if role.name not in known:
            message = f"unknown role {role.name!r}: prompt set {prompt_set.name!r} has none of that name"
            hint = did_you_mean(role.name, (*known, *selector.STRUCTURE))
            other = _elsewhere(asked, role.name, prompt_set.family)
            hint += f"{'' if hint.endswith('?') else ';'} {other}" if other else ""
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


def _elsewhere(asked: Asked, role: str, family: str) -> str:
    """Which families other than ``family`` give a role of that name (with their defaults); "" where none does."""
    known = asked.context.dry.own.families
    found = [name for name, each in known.items() if name != family and role in each.roles(with_defaults(each, {}))]
    told = " and ".join(map(repr, found))
    return f"famil{'y' if len(found) == 1 else 'ies'} {told} {'has' if len(found) == 1 else 'have'} it" if found else ""


def unknown_names(asked: Asked, parsed: Selector, prompt_set: PromptSet) -> list[str]:
    """The roles, variables and ``bos`` of a selector that a prompt set does not have."""
    known = asked.context.roles_of(prompt_set)
    found = [role.name for role in selector.roles(parsed) if role.name not in known]
    names = {str(back.variable) for back in selector.variables(parsed)} - {"period", *prompt_set.variables}
    found += sorted(names)
    if not prompt_set.bos and selector.names(parsed, "bos"):
        found.append("bos")
    return list(dict.fromkeys(found))


def empty(
    asked: Asked,
    node: Node,
    parsed: Selector,
    prompt_set: PromptSet,
    excluding: tuple[str, ...],
    place: Node | None = None,
) -> None:
    """Fault a selector that selects nothing on any prompt, under the side that is to blame.

    ``place``: where to say so instead, for a selector that is not written there.
    """
    nothing = asked.context.dry.empty(parsed, prompt_set, excluding)
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
        message = f"selects nothing: no {query.strip()!r} token of prompt set {prompt_set.name!r} has any key {what!r}"
        hint = "keys lie before their query, and BOS and self count only where named"
    if nothing.example:
        hint = f"{hint}; such a prompt: {shorten(nothing.example)}"
    if place is not None:
        asked.faults.add(place, f"{parsed.text!r} {message}", hint)
    else:
        asked.faults.add(node, message, hint, offset=offset, width=len(what))
