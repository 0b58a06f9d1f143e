"""One forward pass of a model, which computes nothing that nobody reads: no layer below, no position that is not asked for,
no number for a hook that is not there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

    from circuits.models.load import LoadedModel

Hook = tuple[str, Callable[..., Any]]

UNEMBED = "unembed.hook_in"
"""The hook at what is unembedded."""
FEW_TOKENS = 288
"""Passes of fewer tokens are run by one thread. The last digits of small matrix products depend on how many threads share them
(seen at 96 and 192 rows, not at 288 and more), and so would a run on several workers, which have fewer threads each."""
_POINTS = ("hook_in", "hook_scale", "hook_normalized", "hook_out")
"""The hooks of a norm; the two in the middle are of numbers that the norm itself does not need."""


def run_model(model: LoadedModel, given: torch.Tensor, **options: Any) -> Any:
    """``run_with_hooks`` of the model's bridge without gradients, on tokens Int[batch, pos] or a residual stream.

    ``options`` are those of ``run_with_hooks``, and so is what it returns. Numbers are the same to the last digit, but for passes
    of few tokens on a CPU: one thread runs them, see ``FEW_TOKENS``.
    """
    import torch

    few = given.shape[0] * given.shape[1] < FEW_TOKENS and model.device.startswith("cpu")
    with torch.no_grad(), plain_norms(model), one_thread() if few else nullcontext():
        return model.bridge.run_with_hooks(given, **options)


@contextmanager
def one_thread() -> Iterator[None]:
    """What is computed within is computed by one thread; afterwards there are as many as before."""
    import torch

    threads = torch.get_num_threads()
    if threads > 1:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if threads > 1:
            torch.set_num_threads(threads)


@contextmanager
def plain_norms(model: LoadedModel) -> Iterator[None]:
    """Norms that nothing is hooked to are only those of transformers; put back after.

    A bridge's norm computes a second time, for its hooks, what the norm of transformers does, and returns the latter: 3% of
    a pass of SmolLM2-135M on a CPU. Bridges that compute the norm themselves are left alone.
    """
    changed = [norm for norm in _norms(model) if "forward" not in norm.__dict__]
    for norm in changed:
        norm.__dict__["forward"] = _plain(norm)
    try:
        yield
    finally:
        for norm in changed:
            norm.__dict__.pop("forward", None)


def _norms(model: LoadedModel) -> list[nn.Module]:
    """The norms of the blocks and the last one, where they return what transformers' own module does."""
    from transformer_lens.model_bridge.generalized_components import NormalizationBridge

    modules = [*model.bridge.children(), *(child for block in model.bridge.blocks for child in block.children())]
    return [
        each
        for each in modules
        if isinstance(each, NormalizationBridge)
        and each.use_native_layernorm_autograd
        and each.original_component is not None
    ]


def _plain(norm: Any) -> Callable[..., torch.Tensor]:
    """The norm of transformers, or the bridge's where something is hooked to it."""

    def forward(hidden_states: torch.Tensor, **kwargs: Any) -> Any:
        points = (getattr(norm, name) for name in _POINTS)
        if kwargs or any(point.fwd_hooks or point.bwd_hooks for point in points):
            return type(norm).forward(norm, hidden_states, **kwargs)
        return norm.original_component(hidden_states).to(hidden_states.dtype)

    return forward


def forward(
    model: LoadedModel,
    tokens: torch.Tensor,
    hooks: Sequence[Hook],
    *,
    all_positions: bool = False,
    residual: torch.Tensor | None = None,
    start: int = 0,
) -> torch.Tensor:
    """Logits Float[batch, pos, vocabulary], or of the last position only (pos = 1) unless asked for all.

    With ``residual`` (the stream that enters layer ``start``) the layers below are skipped.
    """
    import torch

    extra = {} if all_positions else {"logits_to_keep": 1}
    hooks = [*hooks, *end_hooks(model)]
    if residual is None or start == 0:
        logits = run_model(model, tokens, return_type="logits", fwd_hooks=hooks, **extra)
    else:
        with skipped_below(model, start):
            logits = run_model(model, residual, return_type="logits", fwd_hooks=hooks, start_at_layer=start, **extra)
    # Some bridges take logits_to_keep and ignore it; the last position is the same either way.
    assert isinstance(logits, torch.Tensor)
    return logits if all_positions else logits[:, -1:]


def end_hooks(model: LoadedModel) -> list[Hook]:
    """A hook that lays the positions to be unembedded side by side.

    The last position of each prompt is a view with gaps, of which the unembedding makes one product a prompt, each reading
    the whole matrix: a fifth of a pass of SmolLM2-135M on 32 prompts of 24 tokens.
    """

    def dense(value: Any, hook: Any) -> Any:
        return value.contiguous()

    return [(UNEMBED, dense)] if UNEMBED in model.bridge.hook_dict else []


@contextmanager
def skipped_below(model: LoadedModel, start: int) -> Iterator[None]:
    """Make the blocks below ``start`` pass the residual stream through, and put them back after.

    ``start_at_layer`` alone discards what the lower blocks compute but still computes it. Blocks of
    the reference model return tuples, those of Hugging Face models tensors.
    """
    native = model.source.kind == "reference"

    def identity(h: Any = None, *args: Any, hidden_states: Any = None, **kwargs: Any) -> Any:
        passed = hidden_states if h is None else h
        return (passed,) if native else passed

    blocks = list(model.bridge.blocks)[:start]
    for block in blocks:
        block.__dict__["forward"] = identity
    try:
        yield
    finally:
        for block in blocks:
            block.__dict__.pop("forward", None)
