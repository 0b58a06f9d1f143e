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


INPUTS = ("q", "k", "v")
PATH_HINT = "write SENDER -> RECEIVER.INPUT, for example 2.2 -> 5.5.k or 9.9 -> logits"
_ARROW = re.compile(r"->|→")
_WRONG_ARROW = re.compile(r"<-+>?|-{2,}>|=+>|<=+|[←↔⇒⟶]|>")


class PathError(ValueError):
    """What is wrong in a path, and where: ``at`` and ``width`` count characters of its text."""

    def __init__(self, message: str, at: int, width: int, hint: str = PATH_HINT):
        super().__init__(message)
        self.at = at
        self.width = max(1, width)
        self.hint = hint


@dataclass(frozen=True)
class PathEnds:
    """A parsed path. ``receiver`` None: the logits. ``at``: where each end begins in the text, ``width`` its length."""

    sender: Component
    receiver: Component | None
    input: str  # q | k | v | logits
    at: tuple[int, int]
    width: tuple[int, int]


def parse_path(text: str) -> PathEnds:
    """``"2.2 -> 5.5.k"``, ``"MLP3 -> 5.5.q"`` or ``"9.9 -> logits"``. Raises PathError with place and hint.

    The receiver must lie above the sender: an MLP writes after the heads of its own layer.
    """
    arrows = list(_ARROW.finditer(text))
    if len(arrows) != 1:
        raise _no_path(text, arrows)
    middle = arrows[0]
    sides = []
    for start, end, name in ((0, middle.start(), "sender"), (middle.end(), len(text), "receiver")):
        word = text[start:end].strip()
        if not word:
            raise PathError(f"the {name} of the path is missing", middle.start(), middle.end() - middle.start())
        sides.append((word, start + len(text[start:end]) - len(text[start:end].lstrip())))
    (left, left_at), (right, right_at) = sides
    sender = _sender(left, left_at)
    receiver, name = _receiver(right, right_at)
    if receiver is not None and receiver.layer <= sender.layer:
        message = f"{sender} does not write into {receiver}: the receiver of a path lies in a layer above its sender"
        if sender.head is None and receiver.layer == sender.layer:
            message = f"{sender} does not write into {receiver}: the heads of a layer come before its MLP"
        turned = sender.head is not None and receiver.layer < sender.layer
        hint = (
            f"did you mean {receiver} -> {sender}.{name}?" if turned else f"a head of layer {sender.layer + 1} or above"
        )
        raise PathError(message, right_at, len(right), hint)
    return PathEnds(sender, receiver, name, (left_at, right_at), (len(left), len(right)))


def _no_path(text: str, arrows: list[re.Match[str]]) -> PathError:
    """The error for a text with no arrow, or with more than one."""
    if arrows:
        second, hint = arrows[1], "one path has one sender and one receiver; write two checks"
        return PathError("two arrows in one path", second.start(), len(second[0]), hint)
    wrong = _WRONG_ARROW.search(text)
    if wrong is not None:
        return PathError(f"{wrong[0]!r} is not the arrow of a path", wrong.start(), len(wrong[0]))
    at = len(text) - len(text.lstrip()) if text.strip() else 0
    return PathError(f"a path is SENDER -> RECEIVER.INPUT, but {text.strip()!r} has no arrow", at, len(text.strip()))


def _component(word: str, at: int, width: int, head_only: bool) -> Component:
    try:
        return parse_head(word) if head_only else parse_component(word)
    except ValueError as error:
        message, _, hint = str(error).rpartition(": ")
        raise PathError(message, at, width, hint) from None


def _sender(word: str, at: int) -> Component:
    before, dot, last = word.rpartition(".")
    if word.casefold() in ("logits", "logit"):
        raise PathError("the logits send nothing: they are the end of the model", at, len(word))
    if dot and before and last.casefold() in INPUTS:
        message = f"a sender has no input: {word!r} names one"
        raise PathError(message, at, len(word), f"write {before} (what it writes), and the input with the receiver")
    return _component(word, at, len(word), head_only=False)


def _receiver(word: str, at: int) -> tuple[Component | None, str]:
    """The receiver and its input."""
    if word == "logits":
        return None, "logits"
    if word.casefold() in ("logits", "logit"):
        raise PathError(f"unknown receiver {word!r}", at, len(word), "did you mean 'logits'?")
    before, _, last = word.rpartition(".")
    if before.casefold() in ("logits", "logit"):
        raise PathError(f"the logits have no input {last!r}", at, len(word), "write logits alone")
    if _MLP.match(word) or _MLP.match(before):
        message = f"{word!r} cannot receive: a receiver is the q, k or v of a head, or logits"
        raise PathError(message, at, len(word), "for example 5.5.k")
    if _HEAD.match(word):
        hint = f"write {word}.q, {word}.k or {word}.v"
        raise PathError(f"which input of {word}? A head reads through its q, k and v", at, len(word), hint)
    if not before or not _HEAD.match(before):
        message = f"{word!r} is not an input of a head"
        raise PathError(message, at, len(word), "write layer.head.input, such as 5.5.k, or logits")
    head = _component(before, at, len(before), head_only=True)
    if last not in INPUTS:
        close = last.casefold() if last.casefold() in INPUTS else None
        hint = f"did you mean {before}.{close}?" if close else "a head's inputs are q, k and v"
        raise PathError(f"unknown input {last!r} of {before}", at + len(before) + 1, len(last), hint)
    return head, last
