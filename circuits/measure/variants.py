"""Ablations measured: one of them, or several variants side by side in one pass.

Variants that start from the same kept residual stream are stacked along the batch, each with its own hooks on its own
rows. A pass of few tokens keeps a device less busy than a pass of many, and costs the same bookkeeping.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from circuits.measure.ablation import (
    NO_VARIABLES,
    Ablation,
    CleanRun,
    Reference,
    read_partners,
    replacing_hooks,
    site,
    store,
)
from circuits.measure.metrics import Values, end_metrics, next_token_loss
from circuits.measure.passes import Hook, forward
from circuits.measure.suffix import forward_from, is_sound

if TYPE_CHECKING:
    from circuits.models.load import LoadedModel


def measure_ablation(
    model: LoadedModel,
    run: CleanRun,
    ablation: Ablation,
    reference: Reference | None,
    progress: Callable[[int, int], None] | None = None,
    *,
    variables: Mapping[str, int] = NO_VARIABLES,
) -> Values:
    """The metrics of the ablated model on the prompts of ``run``: Float[prompt] each. See ``measure_variants``."""
    return measure_variants(model, run, [ablation], reference, progress, variables=variables)[0]


def measure_variants(
    model: LoadedModel,
    run: CleanRun,
    ablations: Sequence[Ablation],
    reference: Reference | None,
    progress: Callable[[int, int], None] | None = None,
    *,
    variables: Mapping[str, int] = NO_VARIABLES,
) -> list[Values]:
    """The metrics of each ablation on the prompts of ``run``, in one pass a batch: Float[prompt] each, in their order.

    They all have the same ``run.start`` and all ask for the loss or none does. ``reference`` is needed by ``mean`` only;
    ``resample`` needs corrupted partners. ``variables`` are the prompt set's, for ``at``. A prompt in which nothing is
    replaced has exactly its clean values. Raises ValueError when reference or partners are missing: the loader refuses such claims.
    """
    import torch

    found: list[Values] = [
        {name: np.full(len(run.prompts), np.nan) for name in (*run.metrics, "loss")} for _ in ablations
    ]
    (start,) = {run.start(ablation) for ablation in ablations}
    (loss,) = {ablation.loss for ablation in ablations}
    for number, chunk in enumerate(run.chunks):
        batch = [run.prompts[i] for i in chunk]
        untouched = [
            [i for i, prompt in zip(chunk, batch, strict=True) if not (a.also or a.places(prompt, variables))]
            for a in ablations
        ]
        shown = [k for k, rest in enumerate(untouched) if len(rest) < len(chunk) or (loss and not run.loss)]
        if shown:
            partners = dict(run.partners.get(number, {}))
            resampled = [ablations[k] for k in shown if ablations[k].method == "resample"]
            sites = {site(part): None for each in resampled for part in (*each.components, *each.also)}
            if len(resampled) > 1:  # one pass over the partners for all of them
                read_partners(model, batch, sites, partners)
            first = 0 if loss else min(ablations[k].first(batch, variables) for k in shown)
            if first > 0 and not is_sound(model, run, number, start=start, first=first):
                first = 0
            hooks: list[Hook] = []
            for place, k in enumerate(shown):
                own = replacing_hooks(model, ablations[k], batch, reference, variables, partners, first)
                rows = slice(place * len(chunk), (place + 1) * len(chunk))
                hooks += own if len(shown) == 1 else [(name, _on_rows(rows, hook)) for name, hook in own]
            run.keep_partners(number, partners)
            tokens = torch.tensor([p.ids for p in batch] * len(shown), device=model.device)
            residual = run.residuals[start][number].repeat(len(shown), 1, 1) if start in run.residuals else None
            if first > 0 and residual is not None:
                logits = forward_from(model, residual, run.keys[number], start=start, first=first, hooks=hooks)
            else:
                logits = forward(model, tokens, hooks, all_positions=loss, residual=residual, start=start)
            for place, k in enumerate(shown):
                own_logits = logits[place * len(chunk) : (place + 1) * len(chunk)]
                store(found[k], chunk, end_metrics(own_logits[:, -1], batch, run.logits[number], run.own))
                if loss:
                    found[k]["loss"][chunk] = next_token_loss(own_logits, tokens[: len(chunk)])
        # A resumed run may differ from a whole one in the last digits; what nothing touched must not.
        for values, rest in zip(found, untouched, strict=True):
            for name in (*run.metrics, *(("loss",) if loss and run.loss else ())):
                values[name][rest] = run.values[name][rest]
        if progress is not None:
            progress(number + 1, len(run.chunks))
    return found


def _on_rows(rows: slice, replace: Callable[..., Any]) -> Callable[..., Any]:
    """A hook that changes only some rows of the batch."""

    def hook(activation: Any, hook: Any) -> Any:
        changed = activation.clone()
        changed[rows] = replace(activation[rows], hook=hook)
        return changed

    return hook
