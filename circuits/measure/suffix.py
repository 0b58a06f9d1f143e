"""Only the positions that can change: the model run from a position on, with the clean keys and values before it.

Attention looks back only, so where the first replaced position of a prompt is p, everything before p stays as the clean
run had it. Its keys and values are kept there, and put in front of those of the positions that are run again.

TransformerLens' bridges extend keys and values in ``_update_kv_cache``, behind the rotation and before the scores; it is
replaced on the attention of each block for the length of one pass, and not where a bridge has no such method (the native
one). Whether a bridge that has it comes to the same numbers is tried before it is relied on, on the very batch: ``is_sound``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from circuits.measure.passes import Hook, end_hooks, run_model, skipped_below

if TYPE_CHECKING:
    import torch

    from circuits.measure.ablation import CleanRun
    from circuits.models.load import LoadedModel

METHOD = "_update_kv_cache"
KeysValues = dict[int, "tuple[torch.Tensor, torch.Tensor]"]
"""By layer: the keys and values of a batch, Float[batch, key/value head, pos, d_head], as attention uses them."""
TOLERANCE = 1e-4
"""How far the logits of a run from a position on may be from those of the whole run, as a share of the largest."""


@contextmanager
def _instead(model: LoadedModel, layers: Sequence[int], change: Callable[[int, Any, Any], Any]) -> Iterator[None]:
    """``change(layer, keys, values)`` in place of the bridge's own extension of keys and values; put back after."""
    blocks = [model.bridge.blocks[layer] for layer in layers]
    changed = [block.attn for block in blocks if hasattr(getattr(block, "attn", None), METHOD)]

    def of(layer: int) -> Callable[..., Any]:
        return lambda keys, values, **kwargs: change(layer, keys, values)

    for layer, block in zip(layers, blocks, strict=True):
        if getattr(block, "attn", None) in changed:
            block.attn.__dict__[METHOD] = of(layer)
    try:
        yield
    finally:
        for attention in changed:
            attention.__dict__.pop(METHOD, None)


@contextmanager
def keeping(model: LoadedModel, first_layer: int | None, kept: KeysValues) -> Iterator[None]:
    """Put the keys and values of the layers from ``first_layer`` on into ``kept`` while the model runs (None: nothing)."""

    def keep(layer: int, keys: torch.Tensor, values: torch.Tensor) -> Any:
        kept[layer] = (keys.detach().clone(), values.detach().clone())
        return keys, values

    layers = [] if first_layer is None else list(range(first_layer, model.shape.layers))
    with _instead(model, layers, keep):
        yield


def forward_from(
    model: LoadedModel,
    residual: torch.Tensor,
    kept: Mapping[int, tuple[torch.Tensor, torch.Tensor]],
    *,
    start: int,
    first: int,
    hooks: Sequence[Hook] = (),
) -> torch.Tensor:
    """Logits Float[batch, 1, vocabulary] at the end, of the positions from ``first`` on through the layers from ``start`` on.

    ``residual``: Float[batch, pos, d_model], the clean stream that enters ``start``, all positions; ``kept`` may hold fewer rows:
    they are repeated (variants of one batch). Hooks see the positions from ``first`` on.
    """
    import torch

    length = residual.shape[1]

    def extend(layer: int, keys: torch.Tensor, values: torch.Tensor) -> Any:
        before = (part[..., :first, :].repeat(len(keys) // len(part), 1, 1, 1) for part in kept[layer])
        return tuple(torch.cat([old, new], -2) for old, new in zip(before, (keys, values), strict=True))

    lowest = torch.finfo(residual.dtype).min
    mask = torch.full((length - first, length), lowest, dtype=residual.dtype, device=residual.device).triu(first + 1)
    places = torch.arange(first, length, device=residual.device)[None]
    layers = list(range(start, model.shape.layers))
    with skipped_below(model, start), _instead(model, layers, extend):
        logits = run_model(
            model, residual[:, first:], return_type="logits", fwd_hooks=[*hooks, *end_hooks(model)], start_at_layer=start, logits_to_keep=1,
            position_ids=places, attention_mask=mask[None, None],
        )  # fmt: skip
    assert isinstance(logits, torch.Tensor)
    return logits[:, -1:]


def is_sound(model: LoadedModel, run: CleanRun, number: int, *, start: int, first: int) -> bool:
    """Whether a batch of a clean run can be run from a position on: nothing replaced gives its clean logits. Tried once each."""
    import torch

    place = (number, start, first)
    if place not in run.sound:
        kept = run.keys[number] if number < len(run.keys) else {}
        run.sound[place] = False
        if start in run.residuals and all(layer in kept for layer in range(start, model.shape.layers)):
            expected = run.logits[number]
            try:
                found = forward_from(model, run.residuals[start][number], kept, start=start, first=first)[:, -1]
            except torch.OutOfMemoryError:
                del run.sound[place]
                raise
            except (RuntimeError, TypeError, ValueError):  # a bridge that has no use for what it was given
                return False
            run.sound[place] = bool((found - expected).abs().max() <= TOLERANCE * expected.abs().max())
    return run.sound[place]
