"""Writing the text of a sequence prompt: complete items, then one that stops before its member."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from circuits.prompts.prompt import Prompt, Span
from circuits.prompts.templates import Piece, fill, role_names

MEMBER = "member"


@dataclass(frozen=True)
class Sentence:
    """What is written: the item's template in pieces, its word slot and pool, and the sequence.

    ``label`` names the sequence for messages; ``length`` counts the complete items.
    """

    family: str
    template: str
    pieces: tuple[Piece, ...]
    slot: str
    pool: tuple[str, ...]
    members: tuple[str, ...]
    label: str
    length: int

    @property
    def has_slot(self) -> bool:
        """Whether the template holds the word slot (it may hold the member alone)."""
        return any(piece.is_slot and piece.text == self.slot for piece in self.pieces)

    @property
    def head(self) -> tuple[Piece, ...]:
        """The pieces before the member."""
        place = next(at for at, piece in enumerate(self.pieces) if piece.is_slot and piece.text == MEMBER)
        return self.pieces[:place]

    @property
    def gap(self) -> str:
        """The spaces between the open item and the answer that continues it."""
        if not self.head:
            return " "
        last = self.head[-1]
        return "" if last.is_slot else last.text[len(last.text.rstrip()) :]


def write(sentence: Sentence, words: Sequence[str], shown: Sequence[str]) -> Prompt:
    """The prompt that shows the members ``shown``, one item each, with ``words`` in the items.

    ``words`` has one more entry than ``shown``: the open item's. Items are joined by one space. The
    last item is the open one, empty where the template begins with its member.
    """
    roles: dict[str, list[Span]] = {role: [] for role in sorted(role_names(sentence.pieces))}
    items: list[Span] = []
    out = ""
    for word, member in zip(words, shown, strict=False):
        out += " " if out else ""
        begin = len(out)
        out += fill(sentence.pieces, {sentence.slot: word, MEMBER: member}, begin, roles)
        items.append(Span(begin, len(out)))
    open_text = fill(sentence.head, {sentence.slot: words[len(shown)]}, len(out) + 1, roles).rstrip()
    if open_text:
        begin = len(out) + 1
        out += " " + open_text
        items.append(Span(begin, len(out)))
    else:
        items.append(Span(len(out), len(out)))
    return Prompt(text=out, roles={role: tuple(spans) for role, spans in roles.items()}, items=tuple(items))
