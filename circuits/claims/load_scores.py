"""Reading ``score:``, one of the field's named scores (DESIGN 3.4)."""

from __future__ import annotations

from circuits.claims import values
from circuits.claims.claim import Score
from circuits.claims.keys import ATTENTION_SCORES, SCORES, WEIGHT_SCORES, misspelt
from circuits.claims.load_attends import unknown_names
from circuits.claims.load_parts import Asked
from circuits.claims.selector import parse
from circuits.claims.source import Node
from circuits.errors import did_you_mean
from circuits.prompts.own import Score as OwnScore
from circuits.prompts.words import SEQUENCES

LEAST_MEMBERS = 3


def read_score(asked: Asked) -> Score | None:
    """A named score whose prompts it is defined on, and whose members are named where it has any."""
    faults, value = asked.faults, asked.value
    name = values.text(value, faults, "score")
    if name is None:
        return None
    name = name.strip()
    own = asked.context.own.scores
    if name not in SCORES and name not in own:
        faults.add(value, f"unknown score {name!r}", did_you_mean(name, (*SCORES, *own)))
        return None
    if name in WEIGHT_SCORES:
        members = _members(asked, name)
        return Score(name, members) if members is not None else None
    fine = True
    if asked.node.get("members") is not None:
        message = f"'members' belongs to {' and '.join(WEIGHT_SCORES)}, not to {name}"
        faults.add(asked.key("members"), message, "remove it: the prompts say what is shown")
        fine = False
    if name == "in_context_learning" and asked.node.get("top") is not None:
        message = "'top' ranks heads, but the in-context-learning score is the whole model's"
        faults.add(asked.key("top"), message, "use at_least, at_most or between")
        fine = False
    if name in own:
        return _own(asked, own[name]) if fine else None
    families = ("repeated_tokens",) if name in ATTENTION_SCORES else ("repeated_tokens", "texts")
    for prompts in asked.prompts:
        if prompts.family not in families:
            on = "repeated random tokens" + (" or natural texts" if len(families) > 1 else "")
            given = f"prompt set {prompts.name!r} is of family {prompts.family}"
            hint = f"use a prompt set of family {' or '.join(families)}"
            hint += ", or attends: on this one" if name in ATTENTION_SCORES else ""
            faults.add(value, f"the {name} score is defined on {on}, but {given}", hint)
            return None
    return Score(name) if fine else None


def _own(asked: Asked, own: OwnScore) -> Score | None:
    """A project's own score on prompts of its families, its selector's roles known there."""
    before, value = len(asked.faults.found), asked.value
    for prompts in asked.prompts:
        if own.families and prompts.family not in own.families:
            given = f"prompt set {prompts.name!r} is of family {prompts.family}"
            message = f"the own score {own.name} is defined on {' and '.join(own.families)}, but {given}"
            asked.faults.add(value, message, f"use a prompt set of family {' or '.join(own.families)}")
        elif own.selector is not None:
            unknown = unknown_names(asked, parse(own.selector), prompts)
            if unknown:
                message = (
                    f"the own score {own.name} ({own.selector}) needs {unknown[0]!r}, which {prompts.name!r} has not"
                )
                asked.faults.add(value, message, "use a prompt set that has it, or mend the score's selector")
    return Score(own.name, own=own) if len(asked.faults.found) == before else None


def _members(asked: Asked, name: str) -> str | tuple[str, ...] | None:
    """The name of a known sequence, or its members in order; None after a fault."""
    faults, node = asked.faults, asked.node.get("members")
    example = f"add members: numerals (or {', '.join(sorted(set(SEQUENCES) - {'numerals'}))}, or a list)"
    if node is None:
        if not misspelt(asked.node, ("members",)):
            faults.add(asked.key("score"), f"the {name} score needs members: of which sequence?", example)
        return None
    if node.kind == "map":
        faults.add(node, "members must be the name of a sequence or a list, not a mapping", example)
        return None
    if node.kind == "text":
        read = values.text(node, faults, "members")
        if read is None:
            return None
        if read.strip() not in SEQUENCES:
            faults.add(node, f"no known sequence {read!r}", did_you_mean(read.strip(), SEQUENCES))
            return None
        return read.strip()
    before = len(faults.found)
    found = [_member(child, asked) for child in node]
    members = [member for member in found if member is not None]
    if len(found) < LEAST_MEMBERS:
        faults.add(node, f"a sequence needs at least {LEAST_MEMBERS} members, not {len(found)}", "list them in order")
    for index, child in enumerate(node.children):
        if found[index] is not None and found[index] in found[:index]:
            faults.add(child, f"the member {found[index]!r} occurs twice", "members must differ")
    return tuple(members) if len(faults.found) == before else None


def _member(node: Node, asked: Asked) -> str | None:
    text = values.text(node, asked.faults, "a member")
    if text is not None and text != text.strip():
        asked.faults.add(node, f"the member {text!r} begins or ends with a space", "leave spaces out: both ways count")
        return None
    return text
