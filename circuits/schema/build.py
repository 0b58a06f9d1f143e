"""The JSON Schema (draft 7, which language servers know best) of a suite, made from the loader's own tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from circuits.claims.bounds import metric, named
from circuits.claims.keys import (
    BOUNDS,
    CHECK_KEYS,
    CLAIM_KEYS,
    EFFECTS,
    ENDS,
    KEPT,
    KINDS,
    OWN,
    SHARED,
)
from circuits.claims.load_metrics import MOST_DRAWS
from circuits.claims.load_prompts import REQUIRABLE
from circuits.claims.load_scores import LEAST_MEMBERS
from circuits.claims.load_top import MOST_PROMPTS
from circuits.models.source import FORMS, PATTERNS
from circuits.prompts.own import Extensions
from circuits.prompts.prompt import Family
from circuits.prompts.words import SEQUENCES
from circuits.schema import parts, words
from circuits.schema.parts import Schema, described, either, fields, needed, one_of, ref, several, whole
from circuits.schema.prompt_sets import prompt_set
from circuits.schema.words import Word

DRAFT = "http://json-schema.org/draft-07/schema#"
TOP_K = "^top[1-9][0-9]{0,5}$"


def suite_schema(families: Mapping[str, Family], own: Extensions | None = None) -> Schema:
    """The schema of a suite in which these prompt families may stand, and the scores, metrics and roles of ``own``."""
    own = own or Extensions()
    metrics = metrics_with(own)
    return {
        "$schema": DRAFT,
        "title": "A suite of claims about attention heads (pytest-circuits)",
        **fields(words.SUITE, _suite()),
        "definitions": {
            **parts.DEFINITIONS,
            "model": either(one_of(words.MODELS), _model()),
            "heads": _heads(),
            "components": either(ref("component"), several(ref("component"))),
            "metric": _metric(metrics),
            "metric_with_zero": _metric({name: doc for name, doc in metrics.items() if facts_of(name, own)[2]}),
            "requires": _requires(),
            "prompts": either({"title": "name of a prompt set", "type": ["string", "number"]}, ref("prompt_set"),
                              several({"anyOf": [{"type": ["string", "number"]}, ref("prompt_set")]})),
            "prompt_set": prompt_set(families),
            "circuit": fields(words.CIRCUIT, _circuit(), required=("heads",)),
            "claim_keys": _described(words.CLAIM, _claim()),
            "check_keys": _described(_with_roles(own), _check(scores_with(own))),
            "check": _of_one_kind("check", CHECK_KEYS),
            "claim": _of_one_kind("claim", (*CLAIM_KEYS, *CHECK_KEYS)),
        },
    }  # fmt: skip


def scores_with(own: Extensions) -> dict[str, str]:
    """The scores by name, each with its meaning: the package's, then a project's."""
    return {**words.SCORES, **{name: score.doc for name, score in own.scores.items()}}


def metrics_with(own: Extensions) -> dict[str, str]:
    """The metrics by name, each with its meaning: the package's, then a project's."""
    return {**words.METRICS, **{name: metric.doc for name, metric in own.metrics.items()}}


def _with_roles(own: Extensions) -> Mapping[str, Word]:
    """The words of a check; where a selector may stand, those say which roles the project has.

    A selector is a text with a grammar, so its roles are no choices: an editor shows them and offers one of each.
    """
    if not own.roles:
        return words.CHECK
    said = " ".join(f"{name}: {role.doc}" for name, role in own.roles.items())
    found = dict(words.CHECK)
    for key, form in (("attends", "any -> {}"), ("at", "{}")):
        word = found[key]
        examples = (*word.examples, *(form.format(name) for name in own.roles))
        found[key] = replace(word, doc=f"{word.doc} Own roles: {said}", examples=examples)
    return found


def _described(known: Mapping[str, Word], schemas: Schema) -> Schema:
    return {"type": "object", "properties": {key: described(schemas[key], word) for key, word in known.items()}}


def text_of(schema: Schema) -> str:
    """The schema as it is written to a file."""
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


# -- the top of a suite ------------------------------------------------------------------------------


def _suite() -> Schema:
    named = {"propertyNames": {"pattern": r"^[^\s\[\],:]+$"}}
    refused = {"required": ["expect"], "properties": {"expect": {"const": "invalid"}}}
    return {
        "suite": ref("text"),
        "model": ref("model"),
        "source": ref("source"),
        "sampling": fields(words.SAMPLING, _sampling()),
        "prompts": {"type": "object", **named, "additionalProperties": ref("prompt_set")},
        "circuits": {"type": "object", **named, "additionalProperties": ref("circuit")},
        "claims": {
            "type": "object",
            "minProperties": 1,
            "propertyNames": {"pattern": r"^[^\s/:\[\]{}(),]+$"},
            # What a claim that must be refused says is the loader's to judge.
            "additionalProperties": {"if": refused, "then": ref("claim_keys"), "else": ref("claim")},
            "defaultSnippets": _SNIPPETS,
        },
        "include": either(ref("text"), several(ref("text"))),
    }


_SNIPPETS = [
    {
        "label": "a claim about attention",
        "description": "A head attends from some tokens to others.",
        "body": {
            "${1:head-1.5-looks-back}": {
                "claim": "${2:Head 1.5 attends from a number to earlier numbers.}",
                "head": "${3:\"1.5\"}",
                "prompts": "${4:numerals}",
                "attends": "${5:member -> earlier member}",
                "at_least": "${6:0.4}",
            }
        },
    },
    {
        "label": "a claim about an ablation",
        "description": "What a metric loses without a head.",
        "body": {
            "${1:head-1.5-is-needed}": {
                "claim": "${2:Without head 1.5 a fifth of the logit difference is lost.}",
                "prompts": "${3:numerals}",
                "ablate": "${4:\"1.5\"}",
                "drop_in": "${5:logit_diff}",
                "at_least": "${6:20%}",
            }
        },
    },
]  # fmt: skip


def _sampling() -> Schema:
    return {
        "min": whole(1, MOST_PROMPTS),
        "max": whole(1, MOST_PROMPTS),
        "seed": whole(0),
        "confidence": {**parts.NUMBER, "minimum": 0.5, "exclusiveMaximum": 1},
    }


def _model() -> Schema:
    """A model by its place: the form is told by its leading key."""
    values: dict[str, Schema] = {}
    for key in words.MODEL:
        known = PATTERNS.get(key)
        values[key] = {"type": ["string", "number"]}
        values[key] |= {"pattern": parts.pattern(known[0]), "errorMessage": f"write {known[1]}"} if known else {}
    found = fields(words.MODEL, values)
    found["dependencies"] = {
        form: {"required": sorted(required), "properties": _none_of(key for key in words.MODEL if key not in allowed)}
        for form, (allowed, required) in FORMS.items()
    }
    return {
        **found,
        "title": "mapping with hub, path, gguf or wheel",
        "anyOf": [{"required": [form]} for form in FORMS],
    }


def _none_of(keys: Iterable[str]) -> Schema:
    return dict.fromkeys(keys, False)


def _circuit() -> Schema:
    layer = {
        "title": "layer",
        "type": ["integer", "string"],
        "minimum": 0,
        "pattern": r"^\s*([Mm][Ll][Pp])?[0-9]{1,4}\s*$",
    }
    return {
        "heads": either(ref("head"), {"type": "array", "items": ref("head")}),
        "mlps": {"type": "array", "items": layer},
        "source": ref("source"),
    }


# -- claims and checks -------------------------------------------------------------------------------


def _heads() -> Schema:
    named = {"title": "list of heads", **several(ref("head"))}
    some = {"any": either({"const": "all"}, ref("head"), named)}
    return either(ref("head"), named, {**fields(words.SOME, some, required=("any",)), "title": "{any: ...}"})


def facts_of(metric_name: str, own: Extensions) -> tuple[float, float, bool]:
    """The ends of a metric's range, and whether ``drop_in`` takes it. KeyError for a name that is none."""
    facts = metric(named(metric_name, own.metrics))
    if facts is None:
        raise KeyError(metric_name)
    return facts[:3]


def _metric(names: Mapping[str, str]) -> Schema:
    found = one_of(names)
    for k in ("top5", "top10"):
        found["enum"].append(k)
        found["enumDescriptions"].append(f"whether the answer is among the first {k[3:]}")
    return {"title": "metric", **either(found, {"type": "string", "pattern": TOP_K})}


def _requires() -> Schema:
    known = {name: {**ref("number")} for name in (*REQUIRABLE, "top1")}
    return {
        "type": "object",
        "minProperties": 1,
        "properties": known,
        "patternProperties": {TOP_K: ref("number")},
        "additionalProperties": False,
    }


def _claim() -> Schema:
    checks = several(ref("check"))
    expected = fields(
        words.EXPECT, {"refuted": either(whole(1), {**several(whole(1)), "maxItems": 1}), "xfail": ref("text")}
    )
    return {
        "claim": ref("text"),
        "head": ref("head"),
        "heads": ref("heads"),
        "prompts": ref("prompts"),
        "expect": either(one_of(words.EXPECTATIONS), {**expected, "minProperties": 1, "maxProperties": 1}),
        "checks": checks,
        "source": ref("source"),
        "requires": ref("requires"),
    }


def _check(scores: Mapping[str, str]) -> Schema:
    excluded = one_of(words.EXCLUDABLE)
    more = {
        "attends": ref("selector"),
        "head": ref("head"),
        "prompts": either({"type": ["string", "number"]}, ref("prompt_set")),
    }
    bound = fields({key: words.CHECK[key] for key in (*ENDS, "observe")}, _bounds())
    reported = {"value": ref("number"), "source": ref("text"), "conditions": ref("text")}
    return {
        **_bounds(),
        "attends": ref("selector"),
        "statistic": one_of(words.STATISTICS),
        "excluding": either(excluded, {**several(excluded), "uniqueItems": True}),
        "more_than": either(ref("selector"), {**fields(words.MORE_THAN, more), "minProperties": 1}),
        "by_at_least": ref("number"),
        "score": one_of(scores),
        "members": either({"enum": list(SEQUENCES)}, {"title": "list of texts", **several(parts.SCALAR, LEAST_MEMBERS)}),
        "ablate": either(ref("component"), ref("name"), several(ref("component"))),
        "method": one_of(words.METHODS),
        "at": {"title": "positions", "type": "string", "pattern": "^[^>→]+$"},
        "within": ref("name"),
        "given_ablated": either(ref("component"), ref("name"), several(ref("component"))),
        "interaction": bound,
        **{effect: ref("metric") for effect in (*EFFECTS, *KEPT, "partial_necessity")},
        "drop_in": ref("metric_with_zero"),
        "recovers": ref("metric_with_zero"),
        "random": whole(0, MOST_DRAWS),
        "range": ref("ends"),
        "keep_only": ref("name"),
        "normalised": ref("boolean"),
        "subsets": whole(1, MOST_DRAWS),
        "path": parts.PATH,
        "loss_map": several(ref("components"), 0),
        "models": {"title": "[name of a model or mapping with hub, path, gguf or wheel, ...]", **several(ref("model"))},
        "head": ref("head"),
        "heads": ref("heads"),
        "prompts": ref("prompts"),
        "requires": ref("requires"),
        "reported": fields(words.REPORTED, reported, required=("value", "source")),
        "top": whole(1),
    }  # fmt: skip


def _bounds() -> Schema:
    return {"at_least": ref("number"), "at_most": ref("number"), "between": ref("ends"), "observe": ref("boolean")}


# The keys of a kind of which exactly one says what is measured.
_MEASURED: Mapping[str, tuple[str, ...]] = {
    "ablate": (*EFFECTS, "partial_necessity"), "keep_only": KEPT, "path": EFFECTS, "loss_map": ("observe",),
}  # fmt: skip

_WITHOUT_HEADS = ("keep_only", "path", "loss_map")  # they name their own components


def _of_one_kind(level: str, keys: Iterable[str]) -> Schema:
    """A mapping whose other keys are those of the one kind of check that it names.

    A claim may have ``checks`` instead, and then only its own keys.
    """
    message = f"the {level} has no check: add one of {', '.join(KINDS)}{' or checks' if level == 'claim' else ''}"
    kinds = [needed(kind, message) for kind in KINDS]
    forms: list[Any] = [
        {"if": {"required": [kind]}, "then": {**_closed(_keys_of(kind, level)), **_rules(kind)}} for kind in KINDS
    ]
    ways = list(kinds)
    if level == "claim":
        ways.append(needed("checks", message))
        forms.append({"if": {"required": ["checks"]}, "then": _closed(CLAIM_KEYS)})
    forms.append({"if": {"not": {"anyOf": ways}}, "then": {**_closed(keys), "anyOf": ways}})
    return {"title": level, "type": "object", "allOf": forms}


def _keys_of(kind: str, level: str) -> list[str]:
    """The keys that may stand beside a kind of check: the claim's where it stands in one, its own, the shared."""
    of_others = {key for own in OWN.values() for key in own if key not in OWN[kind]}
    of_others |= {"head", "heads"} if kind in _WITHOUT_HEADS else set()
    of_others |= {*BOUNDS} if kind == "loss_map" else set()
    shared = [key for key in SHARED if key not in of_others]
    claim = [key for key in CLAIM_KEYS if key != "checks"] if level == "claim" else []
    return list(dict.fromkeys((*claim, kind, *OWN[kind], *shared)))


def _closed(keys: Iterable[str]) -> Schema:
    """These keys and no others; a key of claims has its meaning there."""
    keys = list(keys)
    claim = {
        key: {"$ref": f"#/definitions/claim_keys/properties/{key}"}
        for key in keys
        if "claim" in keys and key in CLAIM_KEYS
    }
    check = {key: {"$ref": f"#/definitions/check_keys/properties/{key}"} for key in keys if key not in claim}
    return {"properties": {**claim, **check}, "additionalProperties": False}


def _rules(kind: str) -> Schema:
    """What must and what may not stand together in a check of a kind."""
    bounds = [bound for bound in (*BOUNDS, "by_at_least") if bound in _keys_of(kind, "check")]
    alone: Schema = {
        bound: {"properties": {**_none_of(other for other in bounds if other != bound), "observe": {"enum": _FALSE}}}
        for bound in bounds
    }
    if "more_than" in OWN[kind]:
        alone["by_at_least"]["required"] = ["more_than"]
    if "given_ablated" in OWN[kind]:
        alone["given_ablated"] = ["interaction"]
        alone["interaction"] = {"required": ["given_ablated", "drop_in"], "properties": _none_of(bounds)}
    measured = _MEASURED.get(kind, ())
    for effect in measured if kind != "loss_map" else ():
        alone[effect] = {"properties": _none_of(other for other in measured if other != effect)}
    ends = [*bounds, "observe", *(key for key in ("more_than", "interaction") if key in OWN[kind])]
    rules = [(ends, "this check has no bound: add at_least, at_most or between (or observe: true to only show it)")]
    if kind == "loss_map":
        alone |= {"loss_map": _ENOUGH_POINTS}
    if measured:
        rules.append((list(measured), f"{kind} has nothing to measure: add {', '.join(measured)}"))
    return {"dependencies": alone, "allOf": [{"anyOf": [needed(key, said) for key in keys]} for keys, said in rules]}


# A map needs two points besides the model itself: sets of components, other models, or one of each.
_ENOUGH_POINTS: Schema = {
    "anyOf": [
        {"properties": {"loss_map": {"minItems": 2}}},
        {"properties": {"loss_map": {"minItems": 1}}, "required": ["models"]},
        {"properties": {"models": {"minItems": 2}}, "required": ["models"]},
    ]
}
_FALSE = [False, "false", "no", "off"]
