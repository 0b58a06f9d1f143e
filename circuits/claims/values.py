"""What a scalar of a suite means: numbers, percents, integers, truth values, plain data.

Each reader returns None after recording a fault, so that reading goes on to find the others.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

from circuits.claims.source import Faults, Node
from circuits.errors import did_you_mean

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\Z", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,12}\Z", re.ASCII)
_TRUE, _FALSE = ("true", "yes", "on"), ("false", "no", "off")


def text(node: Node, faults: Faults, what: str) -> str | None:
    """A non-empty text."""
    if node.kind == "text" and (node.null or not node.text.strip()):
        faults.add(node, f"{what} is empty", "write a value, or remove the key")
        return None
    if node.kind != "text":
        faults.add(node, f"{what} must be text, not {node.noun}", "put the text in quotes")
        return None
    return node.text.rstrip("\n")


def number(node: Node, faults: Faults, what: str) -> tuple[float, bool] | None:
    """A finite number or percent: (value, whether it was a percent). 20% is 0.2."""
    raw = node.text.strip() if node.kind == "text" else ""
    percent = raw.endswith("%")
    digits = raw[:-1] if percent else raw
    if node.kind != "text" or not _NUMBER.match(digits):
        faults.add(node, f"{what} must be a number or a percent, not {node.noun}", _number_hint(raw))
        return None
    value = float(digits)
    if not math.isfinite(value):
        faults.add(node, f"{what} must be finite, not {node.noun}", "write a number such as 0.4")
        return None
    return (value / 100 if percent else value), percent


def _number_hint(raw: str) -> str:
    """What was probably meant by a number that is none."""
    for close in (re.sub(r"\s+%$", "%", raw), raw.replace(",", ".", 1), raw.replace("%%", "%"), raw.replace("_", "")):
        if close != raw and _NUMBER.match(close.removesuffix("%")):
            return f"write {close}"
    return "write a number such as 0.4 or a percent such as 20%"


def integer(
    node: Node, faults: Faults, what: str, minimum: int | None = None, maximum: int | None = None
) -> int | None:
    """A whole number from ``minimum`` to ``maximum``."""
    raw = node.text.strip() if node.kind == "text" else ""
    if not _INTEGER.match(raw):
        faults.add(
            node, f"{what} must be a whole number, not {node.noun}", f"write a number such as {max(minimum or 0, 4)}"
        )
        return None
    value = int(raw)
    if minimum is not None and value < minimum:
        faults.add(node, f"{what} must be at least {minimum}, not {raw}", f"write {minimum} or more")
        return None
    if maximum is not None and value > maximum:
        faults.add(node, f"{what} must be at most {maximum:,}, not {raw}", f"write {maximum} or less")
        return None
    return value


def boolean(node: Node, faults: Faults, what: str) -> bool | None:
    """true or false."""
    raw = node.text.strip().lower() if node.kind == "text" else ""
    if raw in _TRUE:
        return True
    if raw in _FALSE:
        return False
    faults.add(node, f"{what} must be true or false, not {node.noun}", "write true or false")
    return None


def choice(node: Node, faults: Faults, what: str, names: Iterable[str]) -> str | None:
    """One of ``names``."""
    names = list(names)
    value = text(node, faults, what)
    if value is not None and value.strip() not in names:
        faults.add(node, f"unknown {what} {value!r}", did_you_mean(value, names))
        return None
    return value.strip() if value is not None else None


def plain(node: Node) -> Any:
    """A node as plain data: unquoted integers and truth values converted, all else kept as text.

    Decimal numbers stay text: where one is needed (``6.10`` may be a head) the reader says so.
    """
    if node.kind == "map":
        return {key.text: plain(value) for key, value in node.entries}
    if node.kind == "list":
        return [plain(child) for child in node]
    if node.null:
        return None
    if not node.quoted:
        if _INTEGER.match(node.text) and not re.fullmatch(r"[+-]?0\d+", node.text):
            return int(node.text)
        if node.text.lower() in ("true", "false"):
            return node.text.lower() == "true"
    return node.text


def keys(node: Node, faults: Faults, what: str, allowed: Iterable[str]) -> bool:
    """Fault every key of a mapping that is not allowed. False when the node is no mapping."""
    allowed = list(allowed)
    if node.kind != "map":
        hint = f"its keys are {', '.join(allowed)}"
        faults.add(node, f"{what} must be a mapping (key: value), not {node.noun}", hint)
        return False
    for key, _ in node.entries:
        if key.text not in allowed:
            faults.add(key, f"unknown key {key.text!r} in {what}", did_you_mean(key.text, allowed))
    return True
