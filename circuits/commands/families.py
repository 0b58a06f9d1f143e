"""``circuits families``: the prompt families, what they take and what they give."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from circuits.commands.common import OK, add, fail, say

if TYPE_CHECKING:
    from circuits.commands.common import Commands
    from circuits.prompts.prompt import Family, Parameter


def arguments(commands: Commands) -> None:
    """Its arguments."""
    parser = add(
        commands, "families", "the prompt families: parameters, roles, foil, corruption",
        "circuits families\ncircuits families named_sequence ioi",
    )  # fmt: skip
    parser.add_argument("names", nargs="*", metavar="FAMILY", help="only these (default: all)")


def run(given: argparse.Namespace) -> int:
    """2 for a name that no family has."""
    return families(given.names)


def families(names: Sequence[str] = ()) -> int:
    """What each prompt family takes and gives."""
    from circuits.errors import did_you_mean
    from circuits.prompts.registry import families as all_families

    known = all_families()
    for name in names:
        if name not in known:
            return fail(f"unknown family {name!r}: {did_you_mean(name, known)}")
    say("\n\n".join(_family_text(known[name]) for name in names or known))
    return OK


def _family_text(family: Family) -> str:
    lines = [f"{family.name}: {family.doc}"]
    lines += [f"  {_parameter_text(parameter)}" for parameter in family.parameters]
    lines += [f"  roles: {_roles_text(family)}", f"  foil: {family.foil}", f"  corrupted partner: {family.corruption}"]
    for metric, least in (family.requires or {"top1": family.requires_top1}).items():
        if metric != "top1" or least:
            lines.append(f"  ablations, circuits and paths require a clean {metric} above {least:g}")
    return "\n".join(lines)


def _parameter_text(parameter: Parameter) -> str:
    facts = [parameter.kind]
    facts += ["required"] if parameter.required else []
    facts += [f"default {parameter.default!r}"] if parameter.default is not None else []
    facts += [f"at least {parameter.minimum}"] if parameter.minimum is not None else []
    facts += [f"one of {', '.join(parameter.choices)}"] if parameter.choices else []
    return f"{parameter.name} ({'; '.join(facts)}): {parameter.doc}"


def _roles_text(family: Family) -> str:
    from circuits.prompts.registry import with_defaults

    roles = sorted(family.roles(with_defaults(family, {})))
    return ", ".join(roles) + " (with the defaults)" if roles else "those that the prompt set adds"
