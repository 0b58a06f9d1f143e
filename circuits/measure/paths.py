"""Direct paths: one component's write is corrupted on its way into one input of one head, or to the logits.

In the clean run the sender's write (a head's z @ W_O, an MLP's output) is replaced, at all positions, by
the one it has on the prompt's corrupted partner, but only where the receiver reads it: the receiver's q, k
or v is computed again from (clean residual entering its layer + difference of the writes), input norm
included, and the receiver's new z is put into a clean run. So nothing goes by way of MLPs or other heads,
and everything above the receiver is recomputed (path patching, arXiv 2211.00593 and 2304.05969).

Under grouped k/v only the receiver's own copy changes: the other heads of its group keep the clean key or
value. That is the effect in the same model with repeated k/v weights; patching the whole group is another
number.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from circuits.claims.heads import Component
from circuits.errors import Unmeasurable
from circuits.measure.ablation import CleanRun, capture, site
from circuits.measure.metrics import Values, end_metrics, next_token_loss
from circuits.measure.passes import Hook, forward, run_model, skipped_below

if TYPE_CHECKING:
    import torch

    from circuits.models.load import LoadedModel

HEAD_INPUTS = ("q", "k", "v")


@dataclass(frozen=True)
class PathPatch:
    """A direct path. ``input`` is q, k or v of the head ``receiver``, or "logits" (``receiver`` None).

    ``loss`` asks for the whole-prompt loss too. Raises ValueError for a path that no model can have: the
    loader refuses such claims.
    """

    sender: Component
    receiver: Component | None
    input: str
    loss: bool = False

    def __post_init__(self) -> None:
        if self.receiver is None:
            if self.input != "logits":
                raise ValueError(f"a path into {self.input!r} needs a receiving head; only logits has none")
            return
        if self.receiver.head is None or self.input not in HEAD_INPUTS:
            raise ValueError(f"{self}: a path ends in q, k or v of a head, or in logits")
        if self.receiver.layer <= self.sender.layer:
            raise ValueError(f"{self}: the receiver's layer must be above the sender's")

    def __str__(self) -> str:
        return f"{self.sender} -> {self.input if self.receiver is None else f'{self.receiver}.{self.input}'}"

    @property
    def key(self) -> str:
        """A canonical text: equal paths have equal keys, whatever claim asked for them."""
        receiver = None if self.receiver is None else str(self.receiver)
        return json.dumps(["path", str(self.sender), receiver, self.input, *(["loss"] if self.loss else [])])


def measure_path(
    model: LoadedModel,
    run: CleanRun,
    patch: PathPatch,
    progress: Callable[[int, int], None] | None = None,
) -> Values:
    """The metrics with the path patched, on the prompts of ``run``: Float[prompt] each (kl against clean).

    ``loss`` is NaN unless the path asks for it. A prompt on which the sender writes the same for both
    partners has exactly its clean values. ``progress(done, total)`` counts batches. Raises ValueError
    where a prompt has no corrupted partner (the loader refuses such claims), Unmeasurable where the
    model's architecture gives a head no write, or no q, k and v, of its own.
    """
    import torch

    found: Values = {name: np.full(len(run.prompts), np.nan) for name in (*run.metrics, "loss")}
    layer = model.shape.layers - 1 if patch.receiver is None else patch.receiver.layer
    for number, chunk in enumerate(run.chunks):
        batch = [run.prompts[i] for i in chunk]
        partners = [prompt.corrupted for prompt in batch if prompt.corrupted is not None]
        if len(partners) < len(batch):
            raise ValueError("a path needs a corrupted partner for every prompt")
        residual, delta = _clean_and_delta(model, run, number, patch.sender, layer, partners)
        # What is not a number counts as a difference.
        touched = (delta != 0).flatten(1).any(1).tolist()
        if any(touched) or (patch.loss and not run.loss):
            tokens = torch.tensor([prompt.ids for prompt in batch], device=model.device)
            hook = _at_the_end(layer, delta) if patch.receiver is None else _at_head(model, patch, residual, delta)
            logits = forward(model, tokens, [hook], all_positions=patch.loss, residual=residual, start=layer)
            for name, values in end_metrics(logits[:, -1], batch, run.logits[number], run.own).items():
                found[name][chunk] = values
            if patch.loss:
                found["loss"][chunk] = next_token_loss(logits, tokens)
        # A resumed run may differ from a whole one in the last digits; what nothing touched must not.
        same = [index for index, changed in zip(chunk, touched, strict=True) if not changed]
        for name in (*run.metrics, *(("loss",) if patch.loss and run.loss else ())):
            found[name][same] = run.values[name][same]
        if progress is not None:
            progress(number + 1, len(run.chunks))
    return found


def _clean_and_delta(
    model: LoadedModel, run: CleanRun, number: int, sender: Component, layer: int, partners: Sequence[Sequence[int]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The clean residual entering ``layer`` and the sender's corrupted minus its clean write, of a batch of the run.

    Both Float[batch, pos, d_model]. What the clean run kept is not run again, and neither is what was read from the
    partners. An output bias is no head's and would cancel.
    """
    place = site(sender)
    if layer in run.residuals and place in run.writes:
        entering, wrote = run.residuals[layer][number], run.writes[place][number]
    else:
        name = f"blocks.{layer}.hook_resid_pre"
        clean = capture(model, [run.prompts[i].ids for i in run.chunks[number]], [place, name])
        entering, wrote = clean[name], clean[place]
    read = dict(run.partners.get(number, {}))
    if place not in read:
        # One pass serves all senders that are planned.
        read |= capture(model, partners, [name for name in dict.fromkeys([place, *run.writes]) if name not in read])
        run.keep_partners(number, read)
    delta = read[place] - wrote
    if sender.head is not None:
        delta = delta[:, :, sender.head] @ _output_weight(model, sender)
    return entering, delta


def _output_weight(model: LoadedModel, sender: Component) -> torch.Tensor:
    """What a head's z is multiplied by on its way into the residual stream: Float[d_head, d_model].

    Unmeasurable where a norm lies between (Gemma 2, OLMo 2): the heads' writes are then no sum.
    """
    block: Any = model.bridge.blocks[sender.layer]
    if "ln1_post" in block.submodules:
        raise Unmeasurable(
            f"{model.name} normalises the sum of a layer's heads before it is added to the residual stream, "
            f"so {sender} has no write of its own: paths from its MLPs can be measured, from its heads not"
        )
    weight: torch.Tensor = block.attn.W_O[sender.head]
    scale = float(getattr(block, "residual_contribution_scale", 1.0))  # Granite scales what is added
    return weight if scale == 1.0 else weight * scale


def _at_the_end(layer: int, delta: torch.Tensor) -> Hook:
    """The hook that adds the difference to the residual stream above the last layer."""
    return f"blocks.{layer}.hook_resid_post", lambda value, hook: value + delta


def _at_head(model: LoadedModel, patch: PathPatch, residual: torch.Tensor, delta: torch.Tensor) -> Hook:
    """The hook that puts in the receiver's z, computed with its patched q, k or v.

    The receiver's layer is run twice: on the patched residual, for the projected input (Float[batch, pos,
    head or group, d_head], before rotation); then on the clean one with the receiver's part of it put in.
    In that run the other heads of a group see the patched key or value too, so only the receiver's own z
    (which heads do not share) is taken from it.
    """
    assert patch.receiver is not None and patch.receiver.head is not None
    layer, head = patch.receiver.layer, patch.receiver.head
    read, written = f"blocks.{layer}.attn.{patch.input}.hook_out", site(patch.receiver)
    try:
        projected = _in_layer(model, residual + delta, layer, [], read)
        parts = projected.shape[2] if projected.ndim == 4 else 0
        if parts == 0 or model.shape.heads % parts or (patch.input == "q" and parts != model.shape.heads):
            raise KeyError(read)
        part = head // (model.shape.heads // parts)
        z = _in_layer(model, residual, layer, [(read, _put(part, projected))], written)
    except KeyError as error:
        raise Unmeasurable(
            f"layer {layer} of {model.name} does not compute {patch.input} for each head (or group of heads), "
            f"so the path {patch} cannot be measured"
        ) from error
    return written, _put(head, z)


def _put(part: int, value: torch.Tensor) -> Callable[..., Any]:
    """A hook that puts in one head's (or group's) part: Float[batch, pos, part, d_head]."""

    def hook(activation: Any, hook: Any) -> Any:
        changed = activation.clone()
        changed[:, :, part] = value[:, :, part].to(changed.dtype)
        return changed

    return hook


def _in_layer(
    model: LoadedModel, residual: torch.Tensor, layer: int, hooks: Sequence[Hook], wanted: str
) -> torch.Tensor:
    """What stands at a hook of one layer, run alone on the residual stream that enters it.

    Raises KeyError where the layer has no such hook or does not pass by it.
    """

    found: dict[str, torch.Tensor] = {}

    def keep(value: Any, hook: Any) -> None:
        found[wanted] = value.detach().clone()

    with skipped_below(model, layer):
        run_model(
            model, residual, return_type=None, fwd_hooks=[*hooks, (wanted, keep)], start_at_layer=layer, stop_at_layer=layer + 1
        )  # fmt: skip
    return found[wanted]
