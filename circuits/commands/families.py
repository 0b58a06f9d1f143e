"""``circuits families``: the prompt families, what they take and what they give."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from circuits.commands.common import OK, add, complete, fail, family_names, say, say_json

if TYPE_CHECKING:
    from circuits.commands.common import Commands
    from circuits.prompts.prompt import Family, Parameter


def arguments(commands: Commands) -> None:
    """Its arguments."""
    parser = add(
        commands, "families", "the prompt families: parameters, roles, foil, corruption",
        "circuits families\ncircuits families named_sequence ioi\ncircuits families --json",
    )  # fmt: skip
    names = parser.add_argument("names", nargs="*", metavar="FAMILY", help="only these (default: all)")
    complete(names, family_names)
    parser.add_argument("--json", action="store_true", help="the same for programs")


def run(given: argparse.Namespace) -> int:
    """2 for a name that no family has."""
    return families(given.names, as_json=given.json)


def families(names: Sequence[str] = (), *, as_json: bool = False) -> int:
    """What each prompt family takes and gives."""
    from circuits.commands.project import working_project
    from circuits.errors import did_you_mean

    known = working_project().families
    for name in names:
        if name not in known:
            return fail(f"unknown family {name!r}: {did_you_mean(name, known)}")
    if as_json:
        say_json([_family_data(known[name]) for name in names or known])
        return OK
    say("\n\n".join(_family_text(known[name]) for name in names or known))
    return OK


def _family_text(family: Family) -> str:
    lines = [f"{family.name}: {family.doc}"]
    lines += [f"  {_parameter_text(parameter)}" for parameter in family.parameters]
    lines += [f"  roles: {_roles_text(family)}", f"  foil: {family.foil}", f"  corrupted partner: {family.corruption}"]
    for metric, least in _requires(family).items():
        if metric != "top1" or least:
            lines.append(f"  ablations, circuits and paths require a clean {metric} above {least:g}")
    return "\n".join(lines)


def _requires(family: Family) -> dict[str, float]:
    """What the clean mean of each metric must exceed before an ablation means anything."""
    return dict(family.requires or {"top1": family.requires_top1})


def _family_data(family: Family) -> dict[str, Any]:
    return {
        "name": family.name,
        "doc": family.doc,
        "parameters": [
            {
                "name": each.name,
                "kind": each.kind,
                "doc": each.doc,
                "default": each.default,
                "required": each.required,
                "choices": list(each.choices),
                "minimum": each.minimum,
            }
            for each in family.parameters
        ],
        "roles": _roles(family),
        "foil": family.foil,
        "corruption": family.corruption,
        "requires": _requires(family),
    }


def _parameter_text(parameter: Parameter) -> str:
    facts = [parameter.kind]
    facts += ["required"] if parameter.required else []
    facts += [f"default {parameter.default!r}"] if parameter.default is not None else []
    facts += [f"at least {parameter.minimum}"] if parameter.minimum is not None else []
    facts += [f"one of {', '.join(parameter.choices)}"] if parameter.choices else []
    return f"{parameter.name} ({'; '.join(facts)}): {parameter.doc}"


def _roles(family: Family) -> list[str]:
    """The roles of its prompts with the defaults."""
    from circuits.prompts.registry import with_defaults

    return sorted(family.roles(with_defaults(family, {})))


def _roles_text(family: Family) -> str:
    roles = _roles(family)
    return ", ".join(roles) + " (with the defaults)" if roles else "those that the prompt set adds"
