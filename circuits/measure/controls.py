"""Controls of an attention question: prompts without their structure, and weights without theirs.

*Broken*: the corrupted partner of each prompt is shown in its place (members at random, names shuffled, whatever the
family breaks), with the cells of the prompt itself: a claim about the structure should not hold there. *Permuted*: the
entries of every weight matrix are shuffled, which keeps their sizes and destroys what was learned. Freshly
initialised weights would be the weaker control: they attend almost uniformly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from circuits.measure.attention import AttentionValues, mean_over_prompts, measure_attention
from circuits.measure.cells import Question
from circuits.prompts.prompt import TokenPrompt

if TYPE_CHECKING:
    import torch

    from circuits.models.load import LoadedModel

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Controls:
    """Mean values of every head where there is nothing to find, left and right side of a question.

    ``broken``: Float[side, layer, head], None where prompts have no partners; ``permuted``: Float[seed, side, layer,
    head]. A side is NaN where no prompt has a value; there is one side, or two where the question compares.
    """

    broken: Floats | None
    permuted: Floats


@contextmanager
def permuted_weights(model: LoadedModel, seed: int, below: int | None = None) -> Iterator[None]:
    """The entries of every weight matrix (two dimensions or more) shuffled in place, each alone; restored on leaving.

    The same seed shuffles in the same way, whatever the device; vectors (biases, norms) stay as they are. A matrix that is a
    part of another's memory (q, k and v of GPT-2) is shuffled as that part, and the whole is not shuffled again. Layers
    from ``below`` on, which nobody runs, stay as they are: shuffling a large model takes longer than running it.
    """
    import torch

    # Each has its own stream of random numbers, so that leaving some out changes no other.
    layers = _layers(model)
    numbered = [each for each in enumerate(_matrices(model)) if below is None or layers.get(id(each[1]), -1) < below]
    kept = [(number, matrix, matrix.detach().clone()) for number, matrix in numbered]  # all before any is shuffled
    try:
        with torch.no_grad():
            for number, matrix, _ in kept:
                entries = matrix.detach().to("cpu", torch.float32).numpy().flatten()
                np.random.default_rng([seed, number]).shuffle(entries)
                matrix.copy_(torch.from_numpy(entries).view(matrix.shape))
        yield
    finally:
        with torch.no_grad():
            for _, matrix, original in kept:
                matrix.copy_(original)


def _layers(model: LoadedModel) -> dict[int, int]:
    """The layer that each parameter belongs to, by identity; embeddings and the like belong to none."""
    return {id(each): layer for layer, block in enumerate(model.bridge.blocks) for each in block.parameters()}


def _matrices(model: LoadedModel) -> list[torch.Tensor]:
    """The weight matrices of a model, each piece of memory once: of those that overlap, the smallest ones."""
    every = list({id(p): p for p in model.bridge.parameters() if p.dim() >= 2}.values())
    least: dict[int, int] = {}
    for matrix in every:
        storage = matrix.untyped_storage().data_ptr()
        least[storage] = min(least.get(storage, matrix.numel()), matrix.numel())
    own = [matrix for matrix in every if matrix.numel() == least[matrix.untyped_storage().data_ptr()]]
    return list({(matrix.data_ptr(), tuple(matrix.shape)): matrix for matrix in own}.values())


def measure_controls(
    model: LoadedModel,
    prompts: Sequence[TokenPrompt],
    questions: Sequence[Question],
    variables: Mapping[str, int],
    batch_tokens: int,
) -> dict[Question, Floats | None]:
    """The values of each question on the corrupted partners: Float[side, layer, head]; None without partners."""
    if any(prompt.corrupted is None for prompt in prompts):
        return dict.fromkeys(questions)
    found = measure_attention(model, prompts, questions, variables, batch_tokens=batch_tokens, partners=True)[0]
    return {asked: means(values) for asked, values in found.items()}


def means(values: AttentionValues) -> Floats:
    """Float[side, layer, head]: the mean of each side over the prompts that have it (NaN without any)."""
    sides = [values.left] + ([values.right] if values.right is not None else [])
    return np.stack([mean_over_prompts(side) for side in sides])
