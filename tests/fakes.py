"""Small in-memory tokenizers for tests: no file, no library, every token visible in the code."""

from __future__ import annotations

import re

WORDS = r" ?[^\W\d_]+| ?\d+| ?[^\w\s]|\s"
DIGITS = r" ?[^\W\d_]+|\d| ?[^\w\s]|\s"
BARE = r"[^\W\d_]+|\d+|[^\w\s]"


class FakeTokenizer:
    """A tokenizer whose tokens are the matches of a regular expression, numbered as they first appear.

    Ids 0 and 1 are special (BOS and unknown). ``known`` limits the vocabulary: other tokens become
    the unknown one. ``longest`` splits words with more letters into pieces of that many.
    """

    def __init__(
        self,
        pattern: str = WORDS,
        *,
        bos: bool = True,
        known: frozenset[str] | None = None,
        longest: int | None = None,
        size: int = 3000,
    ) -> None:
        self.name = "fake"
        self.bos_id: int | None = 0 if bos else None
        self.vocabulary_size = size
        self.special_ids = frozenset({0, 1})
        self._pattern = re.compile(pattern)
        self._known = known
        self._longest = longest
        self._tokens = ["<bos>", "<unk>"]
        self._ids: dict[str, int] = {}

    def encode(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        ids, offsets = [], []
        for match in self._pattern.finditer(text):
            for start, end in self._pieces(match.start(), match.end()):
                ids.append(self._id(text[start:end]))
                offsets.append((start, end))
        return ids, offsets

    def decode(self, token_id: int) -> str:
        return self._tokens[token_id] if token_id < len(self._tokens) else f"<{token_id}>"

    def _pieces(self, start: int, end: int) -> list[tuple[int, int]]:
        step = self._longest or end - start
        return [(at, min(end, at + step)) for at in range(start, end, step)]

    def _id(self, token: str) -> int:
        if self._known is not None and token.strip() not in self._known:
            return 1
        if token not in self._ids:
            self._ids[token] = len(self._tokens)
            self._tokens.append(token)
        return self._ids[token]


def words() -> FakeTokenizer:
    """One token per word or number, the space in front included (as GPT-2's)."""
    return FakeTokenizer(WORDS)


def digits() -> FakeTokenizer:
    """As ``words``, but each digit is a token and the space before a number too (as SmolLM2's)."""
    return FakeTokenizer(DIGITS)


def bare() -> FakeTokenizer:
    """Spaces are in no token (as in a word-level tokenizer that splits on whitespace)."""
    return FakeTokenizer(BARE)


def pieces() -> FakeTokenizer:
    """Words fall into pieces of five characters, so that names and members differ in length."""
    return FakeTokenizer(WORDS, longest=5)
