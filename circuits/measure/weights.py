"""Copying and successor scores: what a head's OV circuit writes for a single token.

From weights and single tokens, no sampling (arXiv 2211.00593, App. F; arXiv 2312.09230): the output
of block 0 at the member in [BOS, member] goes through the head's own input norm (with its gain),
W_V (its group's, under grouped k/v), W_O, the final norm and the unembedding. The biases of the value
and output projections are left out: they write the same for every token.

A hit is a member whose own (copying) or next (successor) token is among the 5 largest logits, written
with or without a space. "Top 5" alone does not tell a successor head from one that writes "some
number", so the profile within the sequence is given beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from circuits.errors import Unmeasurable
from circuits.measure.passes import run_model

if TYPE_CHECKING:
    import torch

    from circuits.models.load import LoadedModel
    from circuits.prompts.prompt import Tokenizer

TOP = 5
OFFSETS = (0, -1, 1, 2)  # self, previous, next, next but one
PROFILE = ("self", "previous", "next", "next_but_one")


@dataclass(frozen=True)
class SequenceTokens:
    """The members of a sequence that are one token each, and every way to write each of them.

    ``ids``: the token shown for each member; ``written``: all single-token ids of each member, with and
    without a space; ``places``: each member's index in the whole sequence; ``left_out``: members
    that are more than one token.
    """

    ids: tuple[int, ...]
    written: tuple[tuple[int, ...], ...]
    places: tuple[int, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class OVScores:
    """Scores of every head from its OV circuit.

    ``copying``: Float[layer, head, member] in {0, 1}; ``successor`` the same, NaN for members whose next
    one is no single token or not there. ``profile``: Float[layer, head, offset], the share of members that have such a neighbour
    whose largest logit within the sequence is at self, previous, next, next but one (PROFILE);
    NaN for a head that writes nothing at all. Scores are infinite where the weights give no finite numbers.
    """

    copying: NDArray[np.float64]
    successor: NDArray[np.float64]
    profile: NDArray[np.float64]


def sequence_tokens(members: Sequence[str], tokenizer: Tokenizer) -> SequenceTokens:
    """The single tokens of a sequence's members. Raises Unmeasurable when fewer than two have one."""
    ids, written, places, left_out = [], [], [], []
    for place, member in enumerate(members):
        ways: list[int] = []
        for text in (f" {member}", member):
            tokens = tokenizer.encode(text)[0]
            # Some tokenizers split off the space; what follows it is then the member's token.
            if len(tokens) == 2 and not tokenizer.decode(tokens[0]).strip():
                tokens = tokens[1:]
            if len(tokens) == 1 and tokens[0] not in ways and tokens[0] not in tokenizer.special_ids:
                ways.append(tokens[0])
        if ways:
            ids.append(ways[0])
            written.append(tuple(ways))
            places.append(place)
        else:
            left_out.append(member)
    if len(ids) < 2:
        raise Unmeasurable(f"only {len(ids)} of the {len(members)} members are single tokens for this tokenizer")
    return SequenceTokens(tuple(ids), tuple(written), tuple(places), tuple(left_out))


def ov_scores(model: LoadedModel, tokens: SequenceTokens) -> OVScores:
    """The OV scores of every head of the model; see the module for what is computed."""
    layers, heads, count = model.shape.layers, model.shape.heads, len(tokens.ids)
    copying = np.full((layers, heads, count), np.nan)
    successor = np.full((layers, heads, count), np.nan)
    profile = np.full((layers, heads, len(OFFSETS)), np.nan)
    by_place = {place: index for index, place in enumerate(tokens.places)}
    embedded = _block0(model, tokens.ids)
    for layer in range(layers):
        written = _written(model, layer, embedded)
        for head in range(heads):
            logits = written[head]  # [member, vocabulary]
            if not np.isfinite(logits).all():
                copying[layer, head] = successor[layer, head] = np.inf  # marked, so that it is never taken for a 0
                continue
            if np.ptp(logits) == 0:
                continue  # a head that writes nothing ranks nothing: it has no score, rather than a score of 0
            top = np.argpartition(-logits, TOP, axis=1)[:, :TOP]
            within = np.stack([logits[:, list(ways)].max(axis=1) for ways in tokens.written], axis=1)
            best = [tokens.places[index] for index in within.argmax(axis=1)]
            for member, place in enumerate(tokens.places):
                copying[layer, head, member] = bool(set(tokens.written[member]) & set(top[member].tolist()))
                following = by_place.get(place + 1)
                if following is not None:
                    hit = set(tokens.written[following]) & set(top[member].tolist())
                    successor[layer, head, member] = bool(hit)
            steps = np.array(best) - np.array(tokens.places)
            # Of the members that have such a neighbour: the last one has no next, and a successor head is no worse for it.
            there = [[place + offset in by_place for place in tokens.places] for offset in OFFSETS]
            profile[layer, head] = [
                (steps[has] == offset).mean() if any(has) else np.nan
                for has, offset in zip(there, OFFSETS, strict=True)
            ]
    return OVScores(copying, successor, profile)


def _block0(model: LoadedModel, ids: Sequence[int]) -> torch.Tensor:
    """The residual stream after block 0 at each token, in [BOS, token]: Float[member, d_model]."""
    import torch

    bos = model.tokenizer.bos_id
    rows = [[token] if bos is None else [bos, token] for token in ids]
    kept: list[torch.Tensor] = []
    tokens = torch.tensor(rows, device=model.device)
    hook = ("blocks.0.hook_resid_post", lambda value, hook: kept.append(value.detach()[:, -1].clone()))
    run_model(model, tokens, return_type=None, fwd_hooks=[hook], stop_at_layer=1)
    return kept[0]


def _written(model: LoadedModel, layer: int, embedded: torch.Tensor) -> NDArray[np.float64]:
    """The logits that each head of a layer writes for each member alone: Float[head, member, vocabulary]."""
    import torch

    bridge = model.bridge
    block = bridge.blocks[layer]
    with torch.no_grad():
        normed = block.ln1(embedded[:, None])[:, 0]
        values = torch.einsum("md,gdh->gmh", normed, block.attn.W_V)
        groups = values.shape[0]
        values = values.repeat_interleave(model.shape.heads // groups, dim=0)
        out = torch.einsum("nmh,nhd->nmd", values, block.attn.W_O)
        logits = bridge.unembed(bridge.ln_final(out))
    found = logits.double().cpu().numpy()
    assert found.shape[:2] == (model.shape.heads, embedded.shape[0])
    return np.asarray(found)
