"""Prompts in batches of equal token length: no padding, so no position is ever shifted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from circuits.prompts.prompt import TokenPrompt


def batches(prompts: Sequence[TokenPrompt], batch_tokens: int) -> Iterator[list[int]]:
    """Indices of prompts, in batches of one length and at most ``batch_tokens`` tokens (at least one prompt)."""
    by_length: dict[int, list[int]] = {}
    for index, prompt in enumerate(prompts):
        by_length.setdefault(len(prompt.ids), []).append(index)
    for length, members in by_length.items():
        size = max(1, batch_tokens // max(1, length))
        for start in range(0, len(members), size):
            yield members[start : start + size]
