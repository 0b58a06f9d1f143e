"""Layers and heads of a model without its weights: from a folder's config.json or a GGUF header."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from circuits.errors import ModelInvalid

# The names that model families use for the same count, the commonest first.
_LAYERS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
_HEADS = ("num_attention_heads", "n_head", "num_heads", "n_heads")
_CONTEXT = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length")


@dataclass(frozen=True)
class ModelShape:
    """Counts of layers, attention (query) heads a layer, key/value heads (None: as many, or not given)
    and the longest prompt in tokens (None: not given)."""

    layers: int
    heads: int
    kv_heads: int | None
    context: int | None


def config_shape(path: Path) -> ModelShape | None:
    """The shape a config.json states, or None when it states no layer and head count.

    Raises ModelInvalid when the file cannot be read as JSON.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelInvalid(f"{path} is not a readable JSON file: {str(error).splitlines()[0]}") from error
    if not isinstance(config, dict):
        raise ModelInvalid(f"{path} does not hold a JSON object")
    return _shape(config, _LAYERS, _HEADS, ("num_key_value_heads",), _CONTEXT)


def gguf_shape(path: Path) -> ModelShape | None:
    """The shape a GGUF header states, or None; raises ModelInvalid when it is no GGUF file."""
    from circuits.models.gguf import read_header

    names = ("block_count", "attention.head_count", "attention.head_count_kv", "context_length")
    header = read_header(path, [f"*.{name}" for name in names])
    architecture = str(header.get("general.architecture", ""))
    layers, heads, kv, context = ([f"{architecture}.{name}"] for name in names)
    return _shape(header, layers, heads, kv, context)


def _shape(
    values: Mapping[str, Any],
    layers: Sequence[str],
    heads: Sequence[str],
    kv_heads: Sequence[str],
    context: Sequence[str],
) -> ModelShape | None:
    counts = [_count(values, names) for names in (layers, heads)]
    if counts[0] is None or counts[1] is None:
        return None
    return ModelShape(counts[0], counts[1], _count(values, kv_heads), _count(values, context))


def _count(values: Mapping[str, Any], names: Sequence[str]) -> int | None:
    for name in names:
        value = values.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None
