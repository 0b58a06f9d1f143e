"""Reading checks over circuits and routes: ``keep_only:``, ``path:`` and ``loss_map:``."""

from __future__ import annotations

from collections.abc import Mapping

from circuits.claims import values
from circuits.claims.claim import Keep, LossMap, Path
from circuits.claims.heads import PATH_HINT, Component, PathError, parse_path
from circuits.claims.keys import EFFECTS, KEPT
from circuits.claims.load_metrics import misplaced, read_count, read_effect, read_method, read_metric, texts_allow
from circuits.claims.load_parts import Asked, named_circuit, read_components
from circuits.claims.load_top import read_spec
from circuits.claims.source import Node

CONTROLS = 5  # recovers and faithfulness: the default number of random circuits beside them
COMPARED = 40  # sufficiency: the default number of random circuits that it is a share of
SUBSETS = 10  # completeness and minimality: the default number of sets K
LOSS_MAP_HINT = 'write loss_map: ["18.6", ["17.3", "17.4"], MLP0]'
MODELS_HINT = "write models: [NAME, {hub: ...}, {path: ...}]"


def read_keep(asked: Asked) -> Keep | None:
    """``keep_only: CIRCUIT`` with exactly one statistic of one metric."""
    faults = asked.faults
    before = len(faults.found)
    circuit = named_circuit(asked.value, faults, "keep_only", asked.context)
    method = read_method(asked)
    hint = "add recovers: logit_diff (or faithfulness, completeness, minimality, sufficiency)"
    statistic = read_effect(asked, "keep_only", KEPT, hint, "statistic")
    if statistic is None:
        return None
    sampled = statistic in ("completeness", "minimality")
    if sampled:
        misplaced(asked, ("random",), "recovers, faithfulness and sufficiency", statistic)
    else:
        misplaced(asked, ("subsets",), "completeness and minimality", statistic)
    normalised_node, normalised = asked.node.get("normalised"), None
    if normalised_node is not None:
        normalised = values.boolean(normalised_node, faults, "normalised")
        if statistic != "recovers":
            misplaced(asked, ("normalised",), "recovers", statistic)
    subsets = read_count(asked, "subsets", SUBSETS, 1) if sampled else 0
    random = 0
    if not sampled:
        compared = statistic == "sufficiency"
        random = read_count(asked, "random", COMPARED if compared else CONTROLS, 1 if compared else 0) or 0
    metric = read_metric(asked, statistic, zero=statistic == "recovers", judged=True)
    if metric == "kl":
        message = f"{statistic}: kl means nothing, because the whole model's kl from itself is 0"
        faults.add(asked.node.get(statistic) or asked.node, message, "use logit_diff, answer_prob, top1, loss, ...")
        metric = None
    if metric is not None:
        texts_allow(asked, statistic, metric, method, asked.value)
    if circuit is None or method is None or metric is None or subsets is None or len(faults.found) > before:
        return None
    return Keep(circuit, method, statistic, metric, bool(normalised), subsets, random)


def read_path(asked: Asked) -> Path | None:
    """``path: SENDER -> RECEIVER.INPUT`` with one effect on a metric at the end of the prompt."""
    faults, value = asked.faults, asked.value
    before = len(faults.found)
    ends = None
    if value.kind != "text" or value.null:
        faults.add(value, f"a path is text, not {value.noun}", PATH_HINT)
    else:
        try:
            ends = parse_path(value.text)
        except PathError as error:
            faults.add(value, str(error), error.hint, offset=error.at, width=error.width)
    shape = asked.context.shape
    if ends is not None and shape is not None:
        for component, at, width in zip((ends.sender, ends.receiver), ends.at, ends.width, strict=True):
            problem = shape.missing(component) if component is not None else None
            if problem is not None:
                faults.add(value, *problem, offset=at, width=width)
    effect = read_effect(asked, "path", EFFECTS, "add drop_in, change_in or after, e.g. drop_in: logit_diff", "effect")
    metric = read_metric(asked, effect, zero=effect == "drop_in", judged=False) if effect is not None else None
    if metric == "loss" and effect is not None:
        message = "loss is not measured along a path, whose effect is read at the end of the prompt"
        faults.add(asked.node.get(effect) or asked.node, message, "use answer_logprob or kl")
    if metric is not None:
        texts_allow(asked, effect, metric, "resample", value)
    if ends is None or effect is None or metric is None or len(faults.found) > before:
        return None
    return Path(ends.sender, ends.receiver, ends.input, effect, metric)


def read_loss_map(asked: Asked) -> LossMap | None:
    """``loss_map: [A, [B, C], ...]``: sets of components, each ablated jointly; with ``models:``, two or more in all."""
    faults, value = asked.faults, asked.value
    before = len(faults.found)
    method = read_method(asked)
    if value.kind != "list":
        faults.add(value, f"loss_map takes a list of components and lists of them, not {value.noun}", LOSS_MAP_HINT)
        return None
    found: list[tuple[Component, ...]] = []
    for child in value:
        components = read_components(child, faults, "loss_map", asked.context.shape, mlps=True)
        if components and any(set(components) == set(other) for other in found):
            faults.add(child, f"{', '.join(map(str, components))} stands twice in loss_map", "name it once")
        found.append(components)
    models_node = asked.node.get("models")
    models = _models(asked, models_node) if models_node is not None else ()
    if len(found) + len(models_node.children if models_node is not None else ()) < 2:
        kinds = "sets of components" + (" or other models" if models else "")
        message = f"a loss map needs at least two {kinds}, not {len(found) + len(models)}"
        faults.add(value, message, LOSS_MAP_HINT)
    if found:
        texts_allow(asked, None, None, method, value)
    if method is None or len(faults.found) > before:
        return None
    return LossMap(tuple(found), method, models)


def _models(asked: Asked, node: Node) -> tuple[str | Mapping[str, str], ...]:
    """``models: [NAME_OR_MAPPING, ...]``: other models than the suite's, each once."""
    faults = asked.faults
    if node.kind != "list":
        faults.add(node, f"models takes a list of models, not {node.noun}", MODELS_HINT)
        return ()
    if not node.children:
        faults.add(node, "models is an empty list", "name a model that reads the same tokens, or remove the key")
    found: list[str | Mapping[str, str]] = []
    for child in node:
        spec = read_spec(child, faults, asked.context.check_model, "an entry of models", MODELS_HINT)
        if spec is None:
            continue
        if spec == asked.context.model:
            faults.add(child, "this is the suite's own model, which is a point of the map already", "remove it")
        elif spec in found:
            faults.add(child, "this model stands twice in models", "name it once")
        else:
            found.append(spec)
    return tuple(found)
