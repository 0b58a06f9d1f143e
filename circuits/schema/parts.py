"""Pieces of JSON Schema that many keys share: components, numbers and percents, truth values, named values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from circuits.claims.flow import flow
from circuits.schema.words import Word

Schema = dict[str, Any]

# A value that YAML reads as a number is as good as its text: the loader looks at what was written.
SCALAR: Schema = {"title": "text", "type": ["string", "number", "boolean"]}
TEXT: Schema = {**SCALAR, "minLength": 1}
BOOLEAN: Schema = {
    "title": "true or false",
    "type": ["boolean", "string"],
    "pattern": "^([Tt]rue|TRUE|[Ff]alse|FALSE|[Yy]es|YES|[Nn]o|NO|[Oo]n|ON|[Oo]ff|OFF)$",
    "errorMessage": "write true or false",
}
_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
NUMBER: Schema = {
    "title": "number or percent",
    "type": ["number", "string"],
    "pattern": rf"^\s*{_NUMBER}%?\s*$",
    "errorMessage": "write a number such as 0.4 or a percent such as 20%",
}
ENDS: Schema = {
    "title": "two numbers or percents",
    "type": "array",
    "items": {"$ref": "#/definitions/number"},
    "minItems": 2,
    "maxItems": 2,
    "errorMessage": "write two numbers, such as [-10%, 10%]",
}
_HEAD = r"[Ll][0-9]{1,4}[Hh][0-9]{1,4}|[0-9]{1,4}\.[0-9]{1,4}"
HEAD: Schema = {
    "title": "head",
    "type": ["string", "number"],
    "pattern": rf"^\s*({_HEAD})\s*$",
    "minimum": 0,
    "errorMessage": "write layer.head, such as \"6.9\" (or L6H9)",
}  # fmt: skip
COMPONENT: Schema = {
    "title": "head or MLP",
    "type": ["string", "number"],
    "pattern": rf"^\s*({_HEAD}|(MLP|mlp|Mlp)\s*[0-9]{{1,4}})\s*$",
    "minimum": 0,
    "errorMessage": "write layer.head, such as \"6.9\", or MLP3",
}  # fmt: skip
NAME: Schema = {"title": "name of a circuit", "type": ["string", "number"], "pattern": r"^\s*[^\s\[\],:]+\s*$"}
SELECTOR: Schema = {
    "title": "QUERY -> KEY",
    "type": "string",
    "pattern": r"^[^>→]*\S\s*(->|→)\s*\S[^>→]*$",
    "errorMessage": "a selector is QUERY -> KEY, for example: member -> earlier member",
}
PATH: Schema = {
    "title": "SENDER -> RECEIVER.INPUT",
    "type": "string",
    "pattern": r"^\s*\S+( [0-9]+)?\s*(->|→)\s*([Ll]ogits|LOGITS|\S+\.[qkvQKV])\s*$",
    "errorMessage": "write SENDER -> RECEIVER.INPUT, for example 2.2 -> 5.5.k or 9.9 -> logits",
}
SOURCE: Schema = {"title": "mapping of your own", "type": "object"}

DEFINITIONS: Mapping[str, Schema] = {
    "text": TEXT, "boolean": BOOLEAN, "number": NUMBER, "ends": ENDS, "head": HEAD, "component": COMPONENT, "name": NAME,
    "selector": SELECTOR, "source": SOURCE,
}  # fmt: skip
"""The pieces that stand under ``definitions``, by name."""


def ref(name: str) -> Schema:
    """A reference to a definition."""
    return {"$ref": f"#/definitions/{name}"}


def whole(minimum: int | None = None, maximum: int | None = None) -> Schema:
    """A whole number, also one in quotes."""
    found: Schema = {"title": "whole number", "type": ["integer", "string"], "pattern": r"^\s*[+-]?[0-9]{1,12}\s*$"}
    found |= {"minimum": minimum} if minimum is not None else {}
    found |= {"maximum": maximum} if maximum is not None else {}
    return found | {"errorMessage": "write a whole number"}


def one_of(words: Mapping[str, str]) -> Schema:
    """One of these names, each with its meaning."""
    return {"enum": list(words), "enumDescriptions": list(words.values())}


def several(item: Schema, least: int = 1) -> Schema:
    """A list of at least so many."""
    return {"type": "array", "items": item, "minItems": least}


def either(*schemas: Schema) -> Schema:
    """A value of one of several forms."""
    return {"anyOf": list(schemas)}


def fields(words: Mapping[str, Word], schemas: Mapping[str, Schema], required: Iterable[str] = ()) -> Schema:
    """A mapping with these keys and no others, each with its meaning."""
    found: Schema = {"type": "object", "additionalProperties": False}
    found["properties"] = {name: described(schemas[name], word) for name, word in words.items()}
    return found | ({"required": list(required)} if required else {})


def described(schema: Schema, word: Word) -> Schema:
    """A piece with the meaning, examples and default of the key at which it stands (a reference is wrapped).

    Editors offer examples as values, and cannot show a mapping there: those stand in the description.
    """
    meaning: Schema = {"description": word.doc}
    if word.default is not None:
        meaning["default"] = word.default
    elif word.otherwise:
        meaning["description"] += f" Without it: {word.otherwise}."
    mappings = [flow(example) for example in word.examples if holds_mapping(example)]
    if mappings:
        meaning["description"] += f" For example {' or '.join(mappings)}."
    meaning["examples"] = [example for example in word.examples if not holds_mapping(example)]
    if not meaning["examples"]:
        del meaning["examples"]
    return {**meaning, **({"allOf": [schema]} if "$ref" in schema else schema)}


def holds_mapping(value: Any) -> bool:
    """Whether a value is a mapping, or a list with one in it."""
    return isinstance(value, Mapping) or (isinstance(value, list) and any(map(holds_mapping, value)))


def needed(key: str, message: str) -> Schema:
    """That a key must be there; ``message`` is what an editor says where it is not."""
    return {"required": [key], "errorMessage": message}


def pattern(compiled: re.Pattern[str]) -> str:
    """A pattern that must match all of a text, in the dialect that JSON Schema shares with Python (no flags)."""
    source = compiled.pattern
    if compiled.flags & re.IGNORECASE:
        source = re.sub(r"(?<!\\)[a-z]", lambda letter: f"[{letter[0]}{letter[0].upper()}]", source)
    return f"^(?:{source})$"
