"""What may be written under a prompt family in YAML: defaults and every fault at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from circuits.errors import did_you_mean
from circuits.prompts.prompt import Family, Parameter


def with_defaults(family: Family, params: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters of ``family``: those given, else the defaults. Keys unknown to it are left out.

    A value of None counts as not given, so that the call may be repeated without effect.
    """
    return {
        parameter.name: params[parameter.name] if params.get(parameter.name) is not None else parameter.default
        for parameter in family.parameters
    }


def check_params(family: Family, params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Every problem of the parameters given to ``family``, as (parameter name, message); [] when fine.

    Checks unknown keys, required ones, kinds, minimums and choices, then asks the family itself
    (about the well-typed parameters, the others at their defaults).
    """
    known = {parameter.name: parameter for parameter in family.parameters}
    found: list[tuple[str, str]] = []
    for name in params:
        if name not in known:
            found.append(
                (
                    str(name),
                    f"unknown key {str(name)!r} of family {family.name}: {did_you_mean(str(name), known) or 'it takes none'}",
                )
            )
    sound: dict[str, Any] = {}
    complete = True
    for name, parameter in known.items():
        value = params.get(name)
        if value is None:
            if parameter.required:
                found.append((name, f"family {family.name} needs the key {name!r}: {parameter.doc}"))
                complete = False
            continue
        problem = kind_problem(parameter, value)
        if problem is None:
            sound[name] = value
        else:
            found.append((name, problem))
            complete = complete and not parameter.required
    if complete:
        reported = {name for name, _ in found}
        checked = family.check(with_defaults(family, sound))
        found += [(name, message) for name, message in checked if name not in reported]
    return found


def kind_problem(parameter: Parameter, value: Any) -> str | None:
    """What is wrong with the kind or range of one value, or None."""
    name, kind = parameter.name, parameter.kind
    if kind == "int":
        if isinstance(value, bool) or not isinstance(value, int):
            return f"{name} must be a whole number, not {value!r}"
        if parameter.minimum is not None and value < parameter.minimum:
            return f"{name} must be at least {parameter.minimum}, not {value}"
    elif kind == "bool":
        if not isinstance(value, bool):
            return f"{name} must be true or false, not {value!r}"
    elif kind == "str":
        if not isinstance(value, str):
            return f"{name} must be text, not {value!r}; put it in quotes"
    elif kind == "choice":
        if value not in parameter.choices:
            return f"{name}: {value!r} is no valid choice: {did_you_mean(str(value), parameter.choices)}"
    elif kind == "words" and isinstance(value, str):
        if value not in parameter.choices:
            return (
                f"{name}: {value!r} is no known sequence: {did_you_mean(value, parameter.choices)} "
                f"(or write a list of words)"
            )
    elif kind in ("strings", "words"):
        if not isinstance(value, list | tuple):
            return f"{name} must be a list of texts, not {value!r}"
        wrong = [entry for entry in value if not isinstance(entry, str)]
        if wrong:
            return f"{name} must hold texts only; put {wrong[0]!r} in quotes"
    elif kind == "texts" and not isinstance(value, list | tuple):
        return f"{name} must be a list of prompts, not {value!r}"
    return None
