"""OV scores from weights: against the reference model's known heads, and against plain matrices."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from measuring import plain_model, tiny  # noqa: F401  (tiny is a fixture)

from circuits.errors import Unmeasurable
from circuits.measure.weights import SequenceTokens, ov_scores, sequence_tokens
from circuits.models.load import LoadedModel, load
from circuits.models.source import resolve
from circuits.prompts.words import SEQUENCES


@pytest.fixture(scope="module")
def reference() -> LoadedModel:
    return load(resolve("reference"))


def test_the_reference_models_copying_and_successor_heads(reference: LoadedModel) -> None:
    """2.0 copies every numeral; 1.2 and 2.1 write the next one; every other head neither."""
    scores = ov_scores(reference, sequence_tokens(SEQUENCES["numerals"], reference.tokenizer))
    copying = scores.copying.mean(axis=2)
    assert copying[2, 0] == 1
    assert np.nansum(copying) == 1
    assert np.nanmean(scores.successor[1, 2]) == 1
    assert np.nanmean(scores.successor[2, 1]) == 1
    assert np.isnan(scores.successor[:, :, -1]).all(), "the last member has no next one"
    assert np.nanmean(scores.successor[2, 0]) == 0, "a copying head is no successor head"
    assert scores.profile[1, 2, 2] == 1, "the largest is the next member for every one that has a next"
    assert scores.profile[2, 0, 0] == 1


def test_a_head_that_writes_nothing_ranks_nothing(reference: LoadedModel) -> None:
    """1.3 writes zeros: equal logits are no top 5."""
    scores = ov_scores(reference, sequence_tokens(SEQUENCES["months"], reference.tokenizer))
    assert np.isnan(scores.copying[1, 3]).all()
    assert np.isnan(scores.successor[1, 3]).all()
    assert np.isnan(scores.profile[1, 3]).all()


def test_members_of_several_tokens_are_left_out_and_named(reference: LoadedModel) -> None:
    """A member that is no single token is not scored; fewer than two leave nothing to measure."""
    found = sequence_tokens(["1", "two words", "3"], reference.tokenizer)
    assert found.left_out == ("two words",)
    assert found.places == (0, 2)
    with pytest.raises(Unmeasurable, match="only 1 of the 2 members"):
        sequence_tokens(["1", "two words"], reference.tokenizer)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_hits_agree_with_plain_matrices(kind: str, tiny: Mapping[str, Path]) -> None:  # noqa: F811
    """Norm, W_V of the head's group, W_O, final norm and unembedding taken from the Hugging Face module."""
    import torch

    model = load(resolve({"path": str(tiny[kind])}))
    plain = plain_model(tiny[kind]).model
    ids = (3, 7, 11, 12)
    scores = ov_scores(model, SequenceTokens(ids, tuple((i,) for i in ids), (0, 1, 2, 3), ()))
    heads, size = model.shape.heads, plain.config.hidden_size
    width = size // heads
    hits = 0
    with torch.no_grad():
        rows = torch.tensor([[model.tokenizer.bos_id, i] for i in ids])
        states = plain(rows, output_hidden_states=True).hidden_states[1][:, -1]
        for layer in range(model.shape.layers):
            if kind == "llama":
                block = plain.model.layers[layer]
                groups = plain.config.num_key_value_heads
                values = block.input_layernorm(states) @ block.self_attn.v_proj.weight.T
                out = block.self_attn.o_proj.weight.T  # [head x width, d_model]
                final, unembed = plain.model.norm, plain.lm_head.weight.T
            else:
                block = plain.transformer.h[layer]
                groups = heads
                values = block.ln_1(states) @ block.attn.c_attn.weight[:, 2 * size :]
                out = block.attn.c_proj.weight
                final, unembed = plain.transformer.ln_f, plain.lm_head.weight.T
            for head in range(heads):
                group = head // (heads // groups)
                value = values[:, group * width : (group + 1) * width]
                logits = final(value @ out[head * width : (head + 1) * width]) @ unembed
                top = logits.topk(5, dim=-1).indices
                for member, token in enumerate(ids):
                    assert scores.copying[layer, head, member] == (token in top[member])
                    hits += int(token in top[member])
                    if member + 1 < len(ids):
                        assert scores.successor[layer, head, member] == (ids[member + 1] in top[member])
    assert 0 < hits < heads * model.shape.layers * len(ids), "the comparison saw both hits and misses"
