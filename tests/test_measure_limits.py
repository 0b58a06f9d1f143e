"""What must hold of every ablation on every kind of model: limits, exactness, and nothing left behind."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import measuring
import numpy as np
import pytest
from measuring import LITERALS, WORDS, answer, rows, suite, texts_of

from circuits.claims.heads import Component
from circuits.claims.selector import parse
from circuits.measure.ablation import Ablation, Reference, clean_run
from circuits.measure.attention import measure_attention
from circuits.measure.cells import Question
from circuits.measure.passes import forward
from circuits.measure.variants import measure_ablation
from circuits.models.load import LoadedModel, load
from circuits.models.source import resolve
from circuits.prompts.prompt import TokenPrompt
from circuits.prompts.registry import FAMILIES
from circuits.prompts.tokens import build

tiny = measuring.tiny
KINDS = ("llama", "gpt2", "reference")
METRICS = ("logit_diff", "answer_logprob", "answer_rank", "kl", "loss")


@pytest.fixture(scope="module")
def models(tiny: dict[str, Path]) -> dict[str, LoadedModel]:
    """One bridge of each kind: grouped keys and values, learned positions, the native one."""
    sources = {name: resolve({"path": str(folder)}) for name, folder in tiny.items()}
    loaded = {name: load(source) for name, source in {**sources, "reference": resolve("reference")}.items()}
    for model in loaded.values():  # the bridge sets up hooks of its own at its first run
        clean_run(model, prompts_of("", model)[:1], [1], loss=False, batch_tokens=100)
    return loaded


def prompts_of(kind: str, model: LoadedModel) -> list[TokenPrompt]:
    """Prompts of several lengths, made without the prompt stage; number sequences for the reference model."""
    if kind == "reference":
        family = FAMILIES["named_sequence"]
        sets = [{"members": "numerals", "length": length} for length in (3, 4)]
        return [prompt for params in sets for prompt in build(family, params, model.tokenizer, 0, "prompts", 4)]
    found = []
    for one in LITERALS:
        answers, foils = (tuple(WORDS.index(word) for word in words) for words in (one.answers, one.foils))
        ids, partner = tuple(one.ids()), tuple(one.partner())
        found.append(
            TokenPrompt(ids, partner, answers, foils, {}, tuple(one.shown.item), None, True, "texts", one.text)
        )
    return found


def reference_of(model: LoadedModel, prompts: Sequence[TokenPrompt]) -> Reference:
    def partners(template: str, length: int) -> list[tuple[int, ...]]:
        return [p.corrupted for p in prompts if p.corrupted is not None and len(p.corrupted) == length]

    return Reference(model, partners, 64)


def parts(model: LoadedModel) -> list[Component]:
    layers, heads = range(model.shape.layers), range(model.shape.heads)
    return [Component(layer, head) for layer in layers for head in (*heads, None)]


def ablated(
    model: LoadedModel,
    prompts: Sequence[TokenPrompt],
    chosen: Sequence[Component],
    method: str,
    batch_tokens: int = 1000,
) -> dict[str, Any]:
    start = min(part.layer for part in chosen)
    run = clean_run(model, prompts, [start], loss=True, batch_tokens=batch_tokens)
    asked = Ablation(tuple(chosen), method, loss=True)
    return measure_ablation(model, run, asked, reference_of(model, prompts))


@pytest.fixture(autouse=True)
def nothing_left(models: dict[str, LoadedModel]) -> Iterator[None]:
    """After every test of this file no bridge has a hook, or a block or norm that is replaced."""
    modules = {name: (len(_torch_hooks(model)), _replaced(model)) for name, model in models.items()}
    yield
    for name, model in models.items():
        points = model.bridge.hook_dict.values()
        assert not [point.name for point in points if point.fwd_hooks or point.bwd_hooks]
        assert not ["block" for block in model.bridge.blocks if "forward" in block.__dict__]
        assert (len(_torch_hooks(model)), _replaced(model)) == modules[name]


def _replaced(model: LoadedModel) -> list[str]:
    return [name for name, part in model.bridge.named_modules() if "forward" in part.__dict__]


def _torch_hooks(model: LoadedModel) -> list[Any]:
    return [hook for part in model.bridge.modules() for hook in (*part._forward_hooks, *part._forward_pre_hooks)]


@pytest.mark.parametrize("kind", KINDS)
def test_resuming_above_any_layer_is_the_full_run(kind: str, models: dict[str, LoadedModel]) -> None:
    """With nothing ablated, the residual that enters layer k gives the clean logits, at every k."""
    import torch

    model = models[kind]
    prompts = prompts_of(kind, model)
    layers = list(range(model.shape.layers))
    run = clean_run(model, prompts, layers, loss=False, batch_tokens=1000)
    for number, chunk in enumerate(run.chunks):
        tokens = torch.tensor([prompts[i].ids for i in chunk])
        full = forward(model, tokens, [], all_positions=True)
        assert full.shape[1] == tokens.shape[1]
        torch.testing.assert_close(forward(model, tokens, [])[:, -1], full[:, -1], atol=1e-5, rtol=0)
        torch.testing.assert_close(run.logits[number], full[:, -1], atol=1e-5, rtol=0)
        for layer in layers[1:]:
            again = forward(model, tokens, [], all_positions=True, residual=run.residuals[layer][number], start=layer)
            torch.testing.assert_close(again, full, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_everything_resampled_is_the_corrupted_run(kind: str, models: dict[str, LoadedModel]) -> None:
    """With every head and MLP from the partner, the end (whose own token is the same) has the partner's logits."""
    model = models[kind]
    prompts = prompts_of(kind, model)
    assert all(p.corrupted is not None and p.corrupted[-1] == p.ids[-1] and p.corrupted != p.ids for p in prompts)
    found = ablated(model, prompts, parts(model), "resample")
    partners = [replace(p, ids=p.corrupted or ()) for p in prompts]
    expected = clean_run(model, partners, [], loss=False, batch_tokens=1000).values
    for name in ("logit_diff", "answer_logprob", "answer_rank", "top_token"):
        np.testing.assert_allclose(found[name], expected[name], atol=2e-5)
    clean = clean_run(model, prompts, [], loss=False, batch_tokens=1000).values
    assert np.abs(clean["logit_diff"] - expected["logit_diff"]).max() > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_partner_is_itself_changes_nothing(kind: str, models: dict[str, LoadedModel]) -> None:
    """Resampling from a partner that is the prompt itself gives the clean values, with kl 0."""
    model = models[kind]
    prompts = [replace(p, corrupted=p.ids) for p in prompts_of(kind, model)]
    clean = clean_run(model, prompts, [], loss=True, batch_tokens=1000).values
    for part in parts(model):
        found = ablated(model, prompts, [part], "resample")
        for name in METRICS:
            np.testing.assert_allclose(found[name], clean[name], atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_mean_of_one_prompt_is_that_prompt(kind: str, models: dict[str, LoadedModel]) -> None:
    """Where the reference is one prompt, mean ablation is resampling from it."""
    model = models[kind]
    prompts = prompts_of(kind, model)
    chosen = [Component(1, 0), Component(2)]
    for prompt in prompts:
        mean, other = (ablated(model, [prompt], chosen, method) for method in ("mean", "resample"))
        for name in METRICS:
            np.testing.assert_allclose(mean[name], other[name], atol=1e-5)


@pytest.mark.parametrize("method", ["mean", "zero", "resample"])
@pytest.mark.parametrize("kind", KINDS)
def test_batches_and_order_change_nothing(kind: str, method: str, models: dict[str, LoadedModel]) -> None:
    """One prompt at a time, all at once or in another order: the same values for each prompt."""
    model = models[kind]
    prompts = prompts_of(kind, model)
    order = list(reversed(range(len(prompts))))
    chosen = [Component(0, 1), Component(2, 3), Component(1)]
    together = ablated(model, prompts, chosen, method)
    alone = ablated(model, prompts, chosen, method, batch_tokens=1)
    turned = ablated(model, [prompts[i] for i in order], chosen, method, batch_tokens=20)
    for name in METRICS:
        np.testing.assert_allclose(alone[name], together[name], atol=1e-5)
        np.testing.assert_allclose(turned[name], together[name][order], atol=1e-5)
    asked = Question(parse("any -> n-1"), parse("any -> n-2"), "mass", ("bos",))
    values = [measure_attention(model, prompts, [asked], {}, batch_tokens=size)[0][asked] for size in (1, 1000)]
    for name in ("left", "right", "removed", "skipped_rows", "uniform_left"):
        np.testing.assert_allclose(getattr(values[0], name), getattr(values[1], name), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_failing_hook_leaves_the_model_as_it_was(kind: str, models: dict[str, LoadedModel]) -> None:
    """An error in the middle of a resumed run takes every hook and every skipped block with it."""
    import torch

    model = models[kind]
    prompts = prompts_of(kind, model)[:1]
    run = clean_run(model, prompts, [1], loss=False, batch_tokens=1000)
    tokens = torch.tensor([prompts[0].ids])

    def fail(value: Any, hook: Any) -> None:
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        forward(model, tokens, [("blocks.2.attn.hook_z", fail)], residual=run.residuals[1][0], start=1)
    torch.testing.assert_close(forward(model, tokens, [])[:, -1], run.logits[0], atol=1e-6, rtol=0)


def test_the_order_of_claims_and_the_plan_change_nothing(tiny: dict[str, Path], tmp_path: Path) -> None:
    """Claims measured together, alone, in reverse, planned or not, have the same numbers (loss included)."""
    base = {"ablate": ["2.1", "MLP3"], "method": "mean"}
    claims: dict[str, dict[str, Any]] = {
        "late": {**base, "change_in": "kl", "at_least": 0.01},
        "loss": {**base, "change_in": "loss", "at_least": 0.01},
        "early": {"ablate": "0.1", "method": "resample", "after": "loss", "at_least": 0.01},
        "zero": {"ablate": "1.1", "method": "zero", "after": "logit_diff", "at_least": 0.01},
        "mass": {"head": "1.1", "attends": "any -> n-1", "at_least": 0.1},
        "more": {"head": "3.1", "attends": "any -> n-1", "more_than": "any -> n-2", "by_at_least": 0.1},
    }
    claims = {name: {"prompts": "p", **claim} for name, claim in claims.items()}
    text = suite({"path": str(tiny["gpt2"])}, {"p": {"family": "texts", "texts": texts_of(LITERALS)}}, claims)

    def estimates(entries: dict[str, Any]) -> dict[str, list[Any]]:
        shown = ("estimate", "low", "high", "n", "verdict", "reason")
        return {name: [row[key] for row in rows(entry) for key in shown] for name, entry in entries.items()}

    together = estimates(answer(tmp_path / "s.yaml", text)[0])
    assert all(value[0] is not None for value in together.values())
    names = list(claims)
    for order in (names, names[::-1], names[2:] + names[:2]):
        for cache in (None, tmp_path / "-".join(order)):
            entries, _ = answer(tmp_path / "s.yaml", text, cache, only=order, plan=False)
            _close(estimates(entries), together)
    for name in names:
        _close(estimates(answer(tmp_path / "s.yaml", text, only=[name])[0]), {name: together[name]})


def test_a_model_that_breaks_is_unmeasurable_and_not_right(tiny: dict[str, Path], tmp_path: Path) -> None:
    """NaN weights in layer 2: lower heads are measured, the others and every ablation have no number."""
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(tiny["gpt2"], tmp_path / "broken")
    state = load_file(folder / "model.safetensors")
    state["transformer.h.2.attn.c_attn.weight"].fill_(float("nan"))
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    looks = {"attends": "any -> n-1", "at_least": 0.01}
    claims: dict[str, dict[str, Any]] = {
        "low": {"head": "1.1", **looks},
        "high": {"head": "2.0", **looks},
        "top1": {"head": "3.0", **looks, "statistic": "top1"},
        "rest": {"head": "3.0", **looks, "excluding": ["bos", "self"]},
        "other": {"head": "3.0", "attends": "any -> n-1", "more_than": "any -> n-2", "by_at_least": 0.1},
        "right": {"ablate": "0.1", "method": "zero", "after": "top1", "at_least": 0.5},
        "drop": {"ablate": "3.1", "method": "mean", "drop_in": "logit_diff", "at_most": 0.5},
        "loss": {"ablate": "MLP3", "method": "resample", "change_in": "loss", "at_most": 0.5},
    }
    claims = {name: {"prompts": "p", **claim} for name, claim in claims.items()}
    text = suite({"path": str(folder)}, {"p": {"family": "texts", "texts": texts_of(LITERALS)}}, claims)
    entries, _ = answer(tmp_path / "s.yaml", text)
    (low,) = rows(entries.pop("low"))
    assert 0 < low["estimate"] < 1
    assert low["heads_passing"][0] <= 8  # of 16: the heads of layers 2 and 3 have no value
    for name, entry in entries.items():
        (row,) = rows(entry)
        assert (row["verdict"], row["estimate"], row["low"]) == ("unmeasurable", None, None), name
        assert "the model's numbers are not finite on 4 of 4 prompts" in row["reason"]


def test_sixteen_bits_stay_within_the_range_of_a_mass(tiny: dict[str, Path], tmp_path: Path) -> None:
    """Rows of a 16-bit softmax sum to 1 only roughly; the mass on all keys is still measured, as 1."""
    everything = {"head": "2.1", "attends": "any -> any | first | self", "at_least": 0.1}
    claims = {"all": {"prompts": "p", **everything}, "more": {"prompts": "p", **everything, "excluding": ["bos"]}}
    text = suite({"path": str(tiny["llama"])}, {"p": {"family": "texts", "texts": texts_of(LITERALS)}}, claims)
    entries, _ = answer(tmp_path / "s.yaml", text, dtype="bfloat16")
    assert [rows(entry)[0]["estimate"] for entry in entries.values()] == pytest.approx([1.0, 1.0], abs=4e-3)


def _close(found: dict[str, list[Any]], expected: dict[str, list[Any]]) -> None:
    assert found.keys() == expected.keys()
    for name, values in found.items():
        for one, other in zip(values, expected[name], strict=True):
            assert one == (pytest.approx(other, abs=1e-5) if isinstance(other, float) else other), name
