"""Every kind of check by the type that the loader gives it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from circuits.claims.claim import Ablate, Attends, Keep, LossMap, Path, Score
from circuits.kinds.ablate import ABLATE
from circuits.kinds.attends import ATTENDS
from circuits.kinds.keep import KEEP
from circuits.kinds.kind import Kind
from circuits.kinds.loss_map import LOSS_MAP
from circuits.kinds.path import PATH
from circuits.kinds.score import SCORE

REGISTRY: Mapping[type, Kind] = MappingProxyType(
    {Attends: ATTENDS, Score: SCORE, Ablate: ABLATE, Keep: KEEP, Path: PATH, LossMap: LOSS_MAP}
)
