"""Copying and successor scores of a model, kept like any other measured value; they need no prompts."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from circuits.measure.cache import ValueCache, code_digest, digest
from circuits.measure.weights import OVScores, ov_scores, sequence_tokens

if TYPE_CHECKING:
    from circuits.models.load import LoadedModel


@dataclass(frozen=True)
class SequenceScores:
    """The OV scores of every head on one sequence, and the members that are no single token."""

    scores: OVScores
    left_out: tuple[str, ...]


@dataclass
class OVGroup:
    """One model's scores by sequence. ``model`` loads the model when something is missing (and may raise)."""

    model_digest: str
    model: Callable[[], LoadedModel]
    settings: Any
    cache: ValueCache
    progress: Callable[[str], None]
    measured: set[str] = field(default_factory=set)
    _known: dict[str, SequenceScores] = field(default_factory=dict)

    def key_of(self, quantity: str) -> str:
        """The cache key of one quantity."""
        return digest([code_digest(), self.model_digest, self.settings.dtype, self.settings.device, quantity])

    def keys_of(self, quantity: str) -> tuple[str, ...]:
        """The cache keys under which a quantity may lie."""
        return (self.key_of(quantity),)

    @staticmethod
    def name(members: tuple[str, ...]) -> str:
        """The name under which a sequence's scores are kept."""
        return json.dumps(["ov scores", list(members)])

    def scores(self, members: tuple[str, ...]) -> SequenceScores:
        """The scores of a sequence. Raises Unmeasurable when too few members are single tokens."""
        name = self.name(members)
        if name not in self._known:
            found = self.cache.load(self.key_of(name))
            if found is None or not {"copying", "successor", "profile", "left_out"} <= found.keys():
                self.progress(f"OV scores on {len(members)} members, {members[0]} to {members[-1]}")
                model = self.model()
                tokens = sequence_tokens(members, model.tokenizer)
                scores = ov_scores(model, tokens)
                found = {**vars(scores), "left_out": np.array(tokens.left_out, dtype=str)}
                self.measured.add(name)
                self.cache.save(self.key_of(name), found)
            arrays = OVScores(found["copying"], found["successor"], found["profile"])
            self._known[name] = SequenceScores(arrays, tuple(str(member) for member in found["left_out"]))
        return self._known[name]
