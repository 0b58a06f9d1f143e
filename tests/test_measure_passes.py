"""A pass computes nothing that nobody reads, and comes to the same numbers to the last digit."""

from __future__ import annotations

from typing import Any

import measuring
import pytest
from test_measure_limits import KINDS, models, nothing_left, prompts_of

from circuits.measure.passes import FEW_TOKENS, plain_norms, run_model
from circuits.models.load import LoadedModel

__all__ = ["models", "nothing_left"]  # fixtures
tiny = measuring.tiny


def tokens_of(kind: str, model: LoadedModel) -> Any:
    import torch

    first, *rest = (prompt.ids for prompt in prompts_of(kind, model))
    return torch.tensor([first, *(ids for ids in rest if len(ids) == len(first))])


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The norms of bridges that run as the bridge has them from now on."""
    from transformer_lens.model_bridge.generalized_components import NormalizationBridge

    ran: list[str] = []
    own = NormalizationBridge._hf_autograd_forward_with_hooks

    def told(self: Any, x: Any) -> Any:
        ran.append(self.name)
        return own(self, x)

    monkeypatch.setattr(NormalizationBridge, "_hf_autograd_forward_with_hooks", told)
    return ran


@pytest.mark.parametrize("kind", KINDS)
def test_a_pass_is_the_bridges_own_to_the_last_digit(kind: str, models: dict[str, LoadedModel]) -> None:
    """Logits, patterns and what heads write: with and without the norms' second computation."""
    import torch

    model = models[kind]
    tokens = tokens_of(kind, model)
    names = ("blocks.1.attn.hook_pattern", "blocks.1.hook_resid_pre", "blocks.0.hook_mlp_out")

    def read(run: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        hooks = [(name, lambda value, hook, name=name: found.update({name: value.clone()})) for name in names]
        found["logits"] = run(tokens, return_type="logits", fwd_hooks=hooks)
        return found

    ours = read(lambda *args, **options: run_model(model, *args, **options))
    with torch.no_grad():
        theirs = read(model.bridge.run_with_hooks)
    assert ours.keys() == theirs.keys()
    assert all(bool((ours[name] == theirs[name]).all()) for name in theirs)
    assert float(ours["logits"].std()) > 0


def test_norms_compute_nothing_twice(models: dict[str, LoadedModel], monkeypatch: pytest.MonkeyPatch) -> None:
    """Llama's norms, which a bridge computes for its hooks and transformers for its result: only the latter."""
    model, ran = models["llama"], counted(monkeypatch)
    tokens = tokens_of("llama", model)
    run_model(model, tokens, return_type="logits")
    assert ran == []
    model.bridge(tokens)
    assert len(ran) == 2 * model.shape.layers + 1  # the count can be another


def test_a_hook_at_a_norm_is_still_heard(models: dict[str, LoadedModel], monkeypatch: pytest.MonkeyPatch) -> None:
    """That norm alone is the bridge's own: it gives what is hooked, and takes what the hook puts there."""
    model, ran = models["llama"], counted(monkeypatch)
    tokens = tokens_of("llama", model)
    plain, seen = run_model(model, tokens, return_type="logits"), list[Any]()
    name = "blocks.1.ln1.hook_normalized"
    same = run_model(model, tokens, return_type="logits", fwd_hooks=[(name, lambda value, hook: seen.append(value))])
    assert len(seen) == 1
    assert len(ran) == 1
    assert bool((same == plain).all())
    with pytest.warns(UserWarning, match="edited"):
        other = run_model(model, tokens, return_type="logits", fwd_hooks=[(name, lambda value, hook: value * 2)])
    assert float((other - plain).abs().max()) > 1e-3


def test_norms_are_put_back_after_an_error(models: dict[str, LoadedModel]) -> None:
    """And a pass within a pass leaves them to the outer one."""
    model = models["llama"]

    def replaced() -> int:
        return sum("forward" in part.__dict__ for part in model.bridge.modules())

    before = replaced()
    with plain_norms(model):
        assert replaced() == before + 2 * model.shape.layers + 1
        with plain_norms(model):
            pass
        assert replaced() == before + 2 * model.shape.layers + 1
    assert replaced() == before
    with pytest.raises(ZeroDivisionError), plain_norms(model):
        raise ZeroDivisionError
    assert replaced() == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_small_pass_does_not_depend_on_the_threads(kind: str, models: dict[str, LoadedModel]) -> None:
    """One thread runs it, whatever was set; that is as it was afterwards, also after an error."""
    import torch

    model = models[kind]
    tokens = tokens_of(kind, model)
    assert tokens.numel() < FEW_TOKENS
    before, seen = torch.get_num_threads(), list[int]()
    hooks = [("blocks.0.hook_resid_pre", lambda value, hook: seen.append(torch.get_num_threads()))]
    try:
        found = []
        for threads in (2, 1):
            torch.set_num_threads(threads)
            found.append(run_model(model, tokens, return_type="logits", fwd_hooks=hooks))
            assert torch.get_num_threads() == threads
        torch.set_num_threads(2)
        many = tokens[:1].repeat(FEW_TOKENS, 1)
        run_model(model, many, return_type=None, fwd_hooks=hooks, stop_at_layer=1)
        with pytest.raises(ZeroDivisionError):
            run_model(
                model, tokens, return_type=None, fwd_hooks=[("blocks.0.hook_resid_pre", lambda value, hook: 1 / 0)]
            )
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert seen == [1, 1, 2]
    assert bool((found[0] == found[1]).all())
