"""The family ``repeated_tokens``: a block of random tokens, shown twice (arXiv 2211.00593, App. H)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import perm
from random import Random
from typing import Any

from circuits.errors import PromptFault
from circuits.prompts.draws import FRUITLESS_DRAWS, choose, sample, stream_of
from circuits.prompts.prompt import Family, Parameter, Prompt, PromptPair, Span, Tokenizer

NAME = "repeated_tokens"


def pairs(params: Mapping[str, Any], tokenizer: Tokenizer, seed: int, stream: str) -> Iterator[PromptPair]:
    """Pairs of ids (no BOS): clean = block + block, corrupted = another first copy + block.

    Block tokens are drawn without replacement from the vocabulary without special tokens. The other
    first copy shares none with the block where the vocabulary is large enough, else as few as can
    be. Ends when all blocks have been shown, or after ``FRUITLESS_DRAWS`` draws in a row that gave
    a block already shown. Raises PromptFault when the vocabulary is too small.
    """
    length = int(params["length"])
    kept_out = set(tokenizer.special_ids) | {tokenizer.bos_id}
    vocabulary = [token for token in range(tokenizer.vocabulary_size) if token not in kept_out]
    if len(vocabulary) < length + 1:
        raise PromptFault(
            f"{NAME}: a block of {length} tokens and a foil need {length + 1} different tokens; the "
            f"tokenizer {tokenizer.name} has {len(vocabulary)} that are not special. Make length smaller"
        )
    rng = stream_of(seed, stream, NAME, {"length": length})
    seen: set[tuple[int, ...]] = set()
    possible = perm(len(vocabulary), length)
    fruitless = 0
    while len(seen) < possible and fruitless < FRUITLESS_DRAWS:
        block = tuple(sample(rng, vocabulary, length))
        other = _other_copy(rng, vocabulary, block)
        foil = _foil(rng, vocabulary, block, other)
        if block in seen:
            fruitless += 1
            continue
        fruitless = 0
        seen.add(block)
        copies = (Span(0, length), Span(length, 2 * length))
        roles = {"first_copy": copies[:1], "second_copy": copies[1:]}
        yield PromptPair(
            clean=Prompt(text=None, ids=block + block, roles=roles, items=copies),
            corrupted=Prompt(text=None, ids=other + block, roles=roles, items=copies),
            answer_ids=block[:1],
            foil_ids=(foil,),
            template=NAME,
        )


def _other_copy(rng: Random, vocabulary: list[int], block: tuple[int, ...]) -> tuple[int, ...]:
    """As many tokens as the block has, none of them in it where the vocabulary allows.

    In a small vocabulary all other tokens are used, and the block's own fill the rest at other
    places than their own wherever a few tries find such places.
    """
    inside = set(block)
    if len(vocabulary) >= 4 * len(block):
        outside: list[int] = []
        while len(outside) < len(block):
            token = choose(rng, vocabulary)
            if token not in inside:
                inside.add(token)
                outside.append(token)
        return tuple(outside)
    free = [token for token in vocabulary if token not in inside]
    if len(free) >= len(block):
        return tuple(sample(rng, free, len(block)))
    best: tuple[int, ...] = ()
    fewest = len(block) + 1
    for _ in range(50):
        drawn = free + sample(rng, block, len(block) - len(free))
        drawn = sample(rng, drawn, len(drawn))
        same = sum(one == two for one, two in zip(drawn, block, strict=True))
        if same < fewest:
            best, fewest = tuple(drawn), same
    return best


def _foil(rng: Random, vocabulary: list[int], block: tuple[int, ...], other: tuple[int, ...]) -> int:
    """A random token that is not in the block, nor in the other copy where that can be."""
    for taken in (set(block) | set(other), set(block)):
        if len(taken) < len(vocabulary):
            while (token := choose(rng, vocabulary)) in taken:
                pass
            return token
    raise AssertionError("the vocabulary was checked to be larger than the block")


REPEATED_TOKENS = Family(
    name=NAME,
    doc="A block of random tokens without repeats, shown twice (ids, not text).",
    parameters=(Parameter("length", "int", "tokens in the block", default=50, minimum=2),),
    roles=lambda params: frozenset({"first_copy", "second_copy"}),
    check=lambda params: [],
    pairs=pairs,
    foil="The foil is a random token that is not in the block.",
    corruption="The first copy of the block is replaced by other random tokens.",
    drawn=(
        "The tokens of the block are drawn evenly, none twice, from the whole vocabulary without its special tokens, so that they "
        "make no text. The answer is the block's first token, as if it began a third time."
    ),
)
