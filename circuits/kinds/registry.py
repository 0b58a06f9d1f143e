"""Every kind of check by the type that the loader gives it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from circuits.claims.claim import Ablate, Attends, Keep, LossMap, Path, Score
from circuits.kinds import ablate, keep, path
from circuits.kinds.ablate import ABLATE
from circuits.kinds.attends import ATTENDS
from circuits.kinds.keep import KEEP
from circuits.kinds.kind import Kind
from circuits.kinds.loss_map import LOSS_MAP
from circuits.kinds.path import PATH
from circuits.kinds.score import SCORE
from circuits.verdict.decide import Row

REGISTRY: Mapping[type, Kind] = MappingProxyType(
    {Attends: ATTENDS, Score: SCORE, Ablate: ABLATE, Keep: KEEP, Path: PATH, LossMap: LOSS_MAP}
)

_ASKED: Mapping[type, Callable[[Any], Row]] = MappingProxyType(
    {Ablate: ablate.asked, Keep: keep.asked, Path: path.asked}
)


def asked_of_intervention(what: Any) -> Row:
    """What a check that intervenes asks, as its row says it where nothing was measured; empty of any other check."""
    found = _ASKED[type(what)](what) if type(what) in _ASKED else {}
    if found.get("statistic") in ("sufficiency", "partial_necessity"):
        found["random"] = {"count": what.random}
    if found.get("statistic") in ("completeness", "minimality"):
        found["subsets"] = {"count": what.subsets}
    return found
