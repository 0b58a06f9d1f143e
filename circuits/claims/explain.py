"""Which tokens a selector picks on one prompt, for a person who writes claims.

Prompt sets, faults and positions come from the readers that suites use: what is explained is what would be measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from circuits.claims import positions, selector
from circuits.claims.claim import PromptSet
from circuits.claims.dry import DryRun
from circuits.claims.load_attends import names_known
from circuits.claims.load_parts import Asked, Context
from circuits.claims.load_prompts import Checker, RoleChecker, read_prompt_set
from circuits.claims.sets import Selector
from circuits.claims.source import Faults, Node, in_order
from circuits.errors import Fault, Position
from circuits.prompts.prompt import Family, Tokenizer, TokenPrompt
from circuits.prompts.tokens import build

SELECTOR = "SELECTOR"
"""What the selector's text is called in faults, where a suite's file would stand."""


@dataclass(frozen=True)
class Explained:
    """A selector on one prompt. ``keys``: the key positions of every query position, both ascending; may be empty."""

    selector: Selector
    prompt: TokenPrompt
    tokens: tuple[str, ...]
    keys: Mapping[int, tuple[int, ...]]

    @property
    def measurable(self) -> bool:
        """Whether some query token has a key; else a check on this prompt has no value."""
        return any(self.keys.values())


def written_set(
    family: str,
    parameters: Mapping[str, str | list[str]],
    roles: Mapping[str, str],
    families: Mapping[str, Family],
    check_params: Checker,
    check_roles: RoleChecker,
) -> tuple[PromptSet | None, list[Fault]]:
    """A prompt set as it would be read from a suite, and every fault of it; None after a fault.

    Text with commas is a list where the family's parameter takes one ("members: 1,2,3").
    """
    kinds = {each.name: each.kind for each in families[family].parameters} if family in families else {}
    values: dict[str, Any] = {"family": family}
    for name, value in parameters.items():
        several = isinstance(value, str) and "," in value and kinds.get(name) in ("strings", "words")
        values[name] = [part.strip() for part in str(value).split(",")] if several else value
    if roles:
        values["roles"] = dict(roles)
    faults = Faults("")
    found = read_prompt_set(family, _node(values), faults, families, check_params, check_roles)
    return (found[0] if len(found) == 1 else None), list(in_order(faults.found))


def _node(value: Any) -> Node:
    """A value as a node of a suite; it stands in no file."""
    where = Position("", 0, 0)
    if isinstance(value, Mapping):
        return Node("map", where, 1, (0, 0), entries=tuple((_node(key), _node(each)) for key, each in value.items()))
    if isinstance(value, (list, tuple)):
        return Node("list", where, 1, (0, 0), children=tuple(map(_node, value)))
    return Node("text", where, len(str(value)), (0, 0), str(value), quoted=True)


def read_on(text: str, prompt_set: PromptSet, families: Mapping[str, Family]) -> tuple[Selector | None, list[Fault]]:
    """The selector, None where it cannot be read or names what the prompt set does not have; and its faults."""
    faults = Faults(SELECTOR, [text])
    node = Node("text", Position(SELECTOR, 1, 1), len(text), (1, len(text) + 1), text)
    parsed, errors = selector.read(text)
    for error in errors:
        faults.add(node, str(error), error.hint, offset=error.at, width=error.width)
    if parsed is not None:
        family = families[prompt_set.family]
        known = frozenset(family.roles(prompt_set.parameters)) | frozenset(prompt_set.roles)
        known |= {role.name for role in family.marks}
        context = Context(None, {}, {}, {}, lambda _: known, lambda *_: (), DryRun(families))
        names_known(Asked(context, faults, node, node, (prompt_set,), (), False, ""), node, parsed, prompt_set)
    return (parsed if not faults.found else None), list(in_order(faults.found))


def explain(parsed: Selector, prompt_set: PromptSet, family: Family, tokenizer: Tokenizer, seed: int = 0) -> Explained:
    """The selector on the first prompt of the set.

    Raises PromptFault where the prompt cannot be made, and Unmeasurable where an offset has no value on it.
    """
    (prompt, *_) = build(family, prompt_set.parameters, tokenizer, seed, "prompts", 1, prompt_set.bos, prompt_set.roles)
    keys = positions.key_sets(parsed, prompt, prompt_set.variables)
    return Explained(parsed, prompt, tuple(map(tokenizer.decode, prompt.ids)), keys)


def roles_at(prompt: TokenPrompt, place: int) -> list[str]:
    """The roles that cover a position, sorted."""
    return sorted(role for role, spans in prompt.roles.items() if _inside(place, spans))


def _inside(place: int, spans: Iterable[tuple[int, ...]]) -> bool:
    return any(place in span for span in spans)
