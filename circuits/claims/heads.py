"""Names of components: ``6.9`` or ``L6H9`` is a head, ``MLP3`` an MLP; ``6.10`` is never 6.1."""

from __future__ import annotations

import re
from dataclasses import dataclass

_HEAD = re.compile(r"(?:[Ll](\d+)[Hh](\d+)|(\d+)\.(\d+))\Z")
_MLP = re.compile(r"(?:MLP|mlp|Mlp)\s*(\d+)\Z")


@dataclass(frozen=True, order=True)
class Component:
    """A head of a layer, or (``head`` None) the MLP of that layer. Both count from 0."""

    layer: int
    head: int | None = None

    def __str__(self) -> str:
        return f"MLP{self.layer}" if self.head is None else f"{self.layer}.{self.head}"


def parse_head(text: str) -> Component:
    """``"6.9"`` or ``"L6H9"`` as a head. Raises ValueError with a text that says what to write."""
    match = _HEAD.match(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a head: write layer.head, such as 6.9 (or L6H9)")
    layer, head = (match[1], match[2]) if match[1] is not None else (match[3], match[4])
    for part in (layer, head):
        if len(part) > 1 and part.startswith("0"):
            raise ValueError(f"{text!r} is not a head: write its numbers without leading zeros")
        if len(part) > 4:
            raise ValueError(f"{text!r} is not a head: no model has that many layers or heads")
    return Component(int(layer), int(head))


def parse_component(text: str) -> Component:
    """A head or an MLP (``MLP3``). Raises ValueError with a text that says what to write."""
    match = _MLP.match(text.strip())
    if match is not None and len(match[1]) <= 4:
        return Component(int(match[1]))
    try:
        return parse_head(text)
    except ValueError as error:
        raise ValueError(str(error).replace("is not a head", "is no head and no MLP").replace("(or L6H9)", "(or L6H9), or MLP3")) from None
