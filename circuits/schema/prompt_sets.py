"""The part of the schema that describes prompt sets: what all take, and what each family takes."""

from __future__ import annotations

from collections.abc import Mapping

from circuits.claims.load_prompts import COMMON
from circuits.prompts.prompt import Family, Parameter
from circuits.schema import parts, words
from circuits.schema.parts import Schema, described, either, fields, one_of, ref, several, whole


def prompt_set(families: Mapping[str, Family]) -> Schema:
    """A prompt set: the keys of all, and those of its family."""
    common: Schema = {
        "family": one_of({name: family.doc for name, family in families.items()}),
        "bos": ref("boolean"),
        "roles": {
            "type": "object",
            "propertyNames": {"pattern": r"^[^\W\d]\w*$|[^\x00-\x7f]"},
            "additionalProperties": ref("text"),
        },
        "sweep": {"type": ["array", "object"]},
        "requires": ref("requires"),
    }
    everywhere = {key: described(common[key], words.PROMPT_SET[key]) for key in COMMON}
    return {
        "title": "prompt set",
        "type": "object",
        "required": ["family"],
        "properties": everywhere,
        "allOf": [
            {"if": {"required": ["family"], "properties": {"family": {"const": name}}}, "then": _family(family, everywhere)}
            for name, family in families.items()
        ],
    }  # fmt: skip


def _family(family: Family, everywhere: Schema) -> Schema:
    values = {parameter.name: _parameter(parameter) for parameter in family.parameters}
    swept = {
        "items": {"type": "object", "properties": values, "additionalProperties": False, "minProperties": 1},
        "minItems": 1,
        "properties": {name: several(value) for name, value in values.items()},
        "additionalProperties": False,
    }
    own = {parameter.name: _with_doc(parameter) for parameter in family.parameters}
    always = [parameter.name for parameter in family.parameters if parameter.required]
    found: Schema = {
        "properties": {**dict.fromkeys(everywhere, True), **own, "sweep": swept},
        "additionalProperties": False,
    }
    if always:  # a required parameter may stand in the sweep
        found["anyOf"] = [{"required": always}, {"required": ["sweep"]}]
    return found


def _with_doc(parameter: Parameter) -> Schema:
    found = {"description": f"{parameter.doc[0].upper()}{parameter.doc[1:]}.", **_parameter(parameter)}
    default = list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default
    return {**found, **({"default": default} if default is not None else {})}


def _parameter(parameter: Parameter) -> Schema:
    """The values that a family's parameter takes."""
    if parameter.kind == "int":
        return whole(parameter.minimum)
    if parameter.kind == "bool":
        return ref("boolean")
    if parameter.kind == "choice":
        return {"enum": list(parameter.choices)}
    listed = {"title": "list of texts", **several(parts.SCALAR)}
    if parameter.kind == "words":
        return either({"enum": list(parameter.choices)}, listed)
    if parameter.kind == "strings":
        return listed
    if parameter.kind == "texts":
        return several(either(ref("text"), fields(words.TEXT, _text(), required=("text",))))
    return ref("text")


def _text() -> Schema:
    one_or_more = either(ref("text"), several(ref("text")))
    return {"text": ref("text"), "answer": one_or_more, "foil": one_or_more, "corrupted": ref("text")}
