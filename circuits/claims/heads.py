"""Names of components: ``6.9`` or ``L6H9`` is a head, ``MLP3`` an MLP; ``6.10`` is never 6.1."""

from __future__ import annotations

import re
from dataclasses import dataclass

_HEAD = re.compile(r"(?:[Ll](\d+)[Hh](\d+)|(\d+)\.(\d+))\Z", re.ASCII)
_MLP = re.compile(r"(?:MLP|mlp|Mlp)\s*(\d+)\Z", re.ASCII)


@dataclass(frozen=True, order=True)
class Component:
    """A head of a layer, or (``head`` None) the MLP of that layer. Both count from 0."""

    layer: int
    head: int | None = None

    def __str__(self) -> str:
        return f"MLP{self.layer}" if self.head is None else f"{self.layer}.{self.head}"


def parse_head(text: str, what: str = "a head", forms: str = "layer.head, such as 6.9 (or L6H9)") -> Component:
    """``"6.9"`` or ``"L6H9"`` as a head. Raises ValueError with a text that says what to write.

    ``what`` and ``forms`` say in it what was wanted and how to write it.
    """
    if _MLP.match(text.strip()):
        raise ValueError(f"{text!r} is an MLP, but {what} is wanted here: write {forms}")
    match = _HEAD.match(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not {what}: write {forms}")
    layer, head = (match[1], match[2]) if match[1] is not None else (match[3], match[4])
    return Component(_count(layer, text, what), _count(head, text, what))


def parse_component(text: str) -> Component:
    """A head or an MLP (``MLP3``). Raises ValueError with a text that says what to write."""
    match = _MLP.match(text.strip())
    if match is not None:
        return Component(_count(match[1], text, "an MLP"))
    return parse_head(text, "a head or an MLP", "layer.head, such as 6.9 (or L6H9), or MLP3")


def _count(digits: str, text: str, what: str) -> int:
    if len(digits) > 1 and digits.startswith("0"):
        raise ValueError(f"{text!r} is not {what}: write its numbers without leading zeros")
    if len(digits) > 4:
        raise ValueError(f"{text[:20]!r} is not {what}: no model has that many layers or heads")
    return int(digits)
