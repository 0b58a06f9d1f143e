"""Next-token losses of single tokens, what is read from them, and a map of many of them.

The loss of token t is -log p(token t | tokens before it), in nats; token indices are positions in the
prompt's ids, so BOS is token 0 where there is one, and token 0 has no loss.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from circuits.measure.ablation import NO_VARIABLES, Ablation, CleanRun, Reference, replacing_hooks
from circuits.measure.batches import batches
from circuits.measure.metrics import precise
from circuits.measure.passes import forward
from circuits.prompts.prompt import TokenPrompt

if TYPE_CHECKING:
    import torch

    from circuits.models.load import LoadedModel

Floats = NDArray[np.float64]

#: The two tokens of the in-context-learning score on natural text, BOS being token 0 (arXiv 2209.11895).
LATE_TOKEN, EARLY_TOKEN = 500, 50
#: The roles of ``repeated_tokens`` prompts: the block and its repetition.
FIRST_COPY, SECOND_COPY = "first_copy", "second_copy"

# Positions whose logits are in float64 at the same time: a large vocabulary makes them the largest tensor.
_POSITIONS = 128
# Below this share of the largest number, what is left after centring is rounding.
_ROUNDING = 1e-12


def measure_token_losses(
    model: LoadedModel,
    prompts: Sequence[TokenPrompt],
    ablation: Ablation | None,
    reference: Reference | None,
    *,
    variables: Mapping[str, int] = NO_VARIABLES,
    batch_tokens: int,
    progress: Callable[[int, int], None] | None = None,
    run: CleanRun | None = None,
) -> list[Floats]:
    """The loss of every token but the first, for each prompt: Float[pos - 1], in nats, at least 0.

    Entry t - 1 is token t's. ``ablation`` None: the clean model. ``reference`` is needed by ``mean`` only;
    ``resample`` needs corrupted partners; ``variables`` are the prompt set's, for ``Ablation.at``.
    Infinite where a logit is no number. ``run``: the clean run of these very prompts, from whose residual streams an ablation is
    run on. Raises ValueError where reference or partners are missing.
    """
    import torch

    found: list[Floats] = [np.empty(0)] * len(prompts)
    chunks = run.chunks if run is not None else list(batches(prompts, batch_tokens))
    start = run.start(ablation) if run is not None and ablation is not None else 0
    for number, chunk in enumerate(chunks):
        batch = [prompts[i] for i in chunk]
        tokens = torch.tensor([prompt.ids for prompt in batch], device=model.device)
        hooks = [] if ablation is None else replacing_hooks(model, ablation, batch, reference, variables)
        residual = run.residuals[start][number] if run is not None and start else None
        logits = forward(model, tokens, hooks, all_positions=True, residual=residual, start=start)
        for row, i in enumerate(chunk):
            found[i] = _token_losses(logits[row], tokens[row])
        if progress is not None:
            progress(number + 1, len(chunks))
    return found


def _token_losses(logits: torch.Tensor, tokens: torch.Tensor) -> Floats:
    """Float[pos - 1] from logits Float[pos, vocabulary] and tokens Int[pos]."""
    import torch

    parts = []
    for start in range(0, len(tokens) - 1, _POSITIONS):
        scored = precise(logits[start : min(start + _POSITIONS, len(tokens) - 1)])
        targets = tokens[start + 1 : start + 1 + len(scored), None].to(scored.device)
        parts.append(-torch.log_softmax(scored, -1).gather(-1, targets)[:, 0].cpu().numpy())
    losses = np.concatenate(parts) if parts else np.empty(0)
    return np.where(np.isfinite(losses), losses, np.inf)


@dataclass(frozen=True)
class InContext:
    """The in-context-learning score of each prompt and the two losses that it is the difference of.

    ``late`` and ``early``: Float[prompt] in nats, NaN where a prompt has none, infinite where they are no finite numbers;
    ``names``: what the two are of, in words. ``values`` is negative where later tokens are predicted better.
    """

    late: Floats
    early: Floats
    names: tuple[str, str]
    note: str

    @property
    def values(self) -> Floats:
        """The score of each prompt, late minus early: infinite where either is no finite number."""
        broken = np.isinf(self.late) | np.isinf(self.early)
        return np.where(broken, np.inf, np.where(broken, 0.0, self.late) - np.where(broken, 0.0, self.early))


def in_context_learning(losses: Sequence[Floats], prompts: Sequence[TokenPrompt]) -> InContext:
    """The in-context-learning score of each prompt. Two forms:

    - prompts that all have a first and a second copy (``repeated_tokens``): the mean loss of the second
      copy's tokens minus that of the first copy's. Every token of a copy counts, the first one too
      (nothing can predict it in either copy); only token 0, which has no loss, is left out.
    - any other prompts: the loss of token 500 minus the loss of token 50, BOS being token 0
      (arXiv 2209.11895); without BOS the count starts at the text's first token. NaN for a prompt that
      does not reach token 500.

    ``losses`` are those of ``measure_token_losses``.
    """
    repeated = bool(prompts) and all(p.roles.get(FIRST_COPY) and p.roles.get(SECOND_COPY) for p in prompts)
    late, early = np.full(len(prompts), np.nan), np.full(len(prompts), np.nan)
    for number, (loss, prompt) in enumerate(zip(losses, prompts, strict=True)):
        if repeated:
            late[number], early[number] = (_mean_loss(loss, prompt, role) for role in (SECOND_COPY, FIRST_COPY))
        elif len(loss) >= LATE_TOKEN:
            late[number], early[number] = float(loss[LATE_TOKEN - 1]), float(loss[EARLY_TOKEN - 1])
    if repeated:
        return InContext(late, early, ("the second copy", "the first copy"), "second-half minus first-half loss")
    names = (f"token {LATE_TOKEN}", f"token {EARLY_TOKEN}")
    return InContext(late, early, names, f"loss at {names[0]} minus loss at {names[1]}")


def _mean_loss(loss: Floats, prompt: TokenPrompt, role: str) -> float:
    """The mean loss of a role's tokens, without token 0; NaN where there are none."""
    places = [place for span in prompt.roles[role] for place in span if place > 0]
    return float(np.mean(loss[[place - 1 for place in places]])) if places else float("nan")


def pca_map(rows: Floats) -> tuple[Floats, Floats]:
    """Points on their first two principal components: xy Float[point, 2], explained Float[2].

    ``rows``: Float[point, feature], such as per-token losses of a model's variants (the map of
    arXiv 2209.11895); a feature that is not finite in some row is left out. The rows are centred, not
    scaled; the components come from a singular value decomposition, each with the sign that makes its
    largest absolute loading positive (the first of equal ones). ``explained`` is each one's share of
    the variance, 0..1. What does not vary gives zeros, never NaN.
    """
    rows = np.asarray(rows, dtype=np.float64)
    xy, explained = np.zeros((len(rows), 2)), np.zeros(2)
    rows = rows[:, np.isfinite(rows).all(0)] if rows.size else rows.reshape(len(rows), 0)
    size = float(np.abs(rows).max(initial=0.0))
    if size == 0:
        return xy, explained
    scaled = rows / size  # so that no square overflows or vanishes
    centred = scaled - scaled.mean(0)
    if np.abs(centred).max() <= _ROUNDING:
        return xy, explained
    left, spread, loadings = np.linalg.svd(centred, full_matrices=False)
    for axis in range(min(2, len(spread))):
        if spread[axis] <= _ROUNDING * spread[0]:
            continue
        sizes = np.abs(loadings[axis])
        # Loadings equal but for rounding count as equal, or the sign would differ between machines.
        largest = int(np.flatnonzero(sizes >= sizes.max() * (1 - 1e-9))[0])
        sign = 1.0 if loadings[axis, largest] > 0 else -1.0
        xy[:, axis] = left[:, axis] * spread[axis] * sign * size
        explained[axis] = spread[axis] ** 2 / float((spread**2).sum())
    return xy, explained
