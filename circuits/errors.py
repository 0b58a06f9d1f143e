"""Exceptions, faults with a place, and the nearest valid name.

A *fault* is one thing that is wrong in a suite, with file, line and column, the source line and a
caret. Faults are collected, never raised one by one: a reader gets every fault of a file at once.
"""

from __future__ import annotations

import difflib
import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple


class CircuitsError(Exception):
    """Base of every error that this package raises on purpose: its text is for the user."""


class ModelUnavailable(CircuitsError):
    """The weights of a model cannot be had here: its claims skip with this one-line text."""


class ModelInvalid(CircuitsError):
    """A model folder, file or wheel is there but wrong (bad hash, not a causal model, ...)."""


class PromptFault(CircuitsError):
    """A prompt set cannot be built as written for this tokenizer (the text says why and what to do)."""


class Unmeasurable(CircuitsError):
    """A claim cannot be measured; the text is the reason shown beside UNMEASURABLE."""


class Position(NamedTuple):
    """A place in a suite: file as given, line and column counted from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Fault:
    """One thing wrong in a suite.

    ``source`` is the offending line as written; ``width`` how many characters the carets underline
    (at least 1); ``hint`` says what to do about it ("did you mean 'at_least'?").
    """

    where: Position
    message: str
    source: str = ""
    width: int = 1
    hint: str = ""

    def render(self) -> str:
        """The fault as a few lines of text: place, message, the source line, a caret, a hint."""
        lines = [f"{self.where}: {self.message}"]
        if self.source.strip():
            source, start = self.source, self.where.column - 1
            width = max(1, self.width)
            if len(source) > 240:  # a line that nobody can read would hide the rest
                first = max(0, start - 60)
                source, start = source[first : first + 160], start - first
                width = max(1, min(width, len(source) - start))
            caret = "".join("\t" if char == "\t" else " " for char in source[:start].ljust(start)) + "^" * width
            lines += [f"    {source}", f"    {caret}"]
        if self.hint:
            lines.append(f"    {self.hint}")
        return "\n".join(lines)


def nearest(word: str, names: Iterable[str], cutoff: float = 0.55) -> str | None:
    """The valid name closest to ``word``, or None when nothing is close."""
    names = [str(name) for name in names]
    by_fold = {name.casefold(): name for name in names}
    if word.casefold() in by_fold:
        return by_fold[word.casefold()]
    found = difflib.get_close_matches(word.casefold(), list(by_fold), n=1, cutoff=cutoff)
    return by_fold[found[0]] if found else None


def did_you_mean(word: str, names: Iterable[str], listed: int = 12) -> str:
    """A hint for an unknown name: the nearest valid one, else the list of valid ones."""
    names = sorted({str(name) for name in names})
    close = nearest(word, names)
    if close is not None:
        return f"did you mean {close!r}?"
    if not names:
        return ""
    shown = ", ".join(names[:listed]) + (", ..." if len(names) > listed else "")
    return f"valid here: {shown}"


@contextmanager
def garbage_kept() -> Iterator[None]:
    """No search for unreachable objects meanwhile: where very many are made and nearly all are kept, it only costs time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
