"""Ablations at some positions only, and of nearly a whole model: plain transformers with torch's own hooks agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import measuring
import numpy as np
import pytest
from measuring import HEADS, LAYERS, LITERALS, WORDS, Literal, plain_model
from oracle import HeadOrMlp, Plain, metrics

from circuits.claims.heads import Component
from circuits.measure import ablation as module
from circuits.measure.ablation import Ablation, CleanRun, Reference, clean_run
from circuits.measure.variants import measure_ablation
from circuits.models.load import LoadedModel, load
from circuits.models.source import resolve
from circuits.prompts.prompt import TokenPrompt

tiny = measuring.tiny
METHODS = ("mean", "zero", "resample")
READ = ("logit_diff", "answer_logprob", "answer_prob", "prob_diff", "answer_rank", "kl", "loss")

# What each set of positions is in the four literals, counted by hand (their tokens stand in measuring.py).
PLACES: dict[str, list[list[int]]] = {
    "end": [[10], [12], [7], [10]],
    "name": [[1, 5, 9], [1, 2, 6, 10, 11], [1, 5, 6], [1, 5, 9]],
    "member[2]": [[7], [8], [], [7]],
    "is | period": [[2, 4, 6, 8, 10], [3, 5, 7, 9, 12], [2, 4, 7], [2, 4, 6, 8, 10]],
    "member + 1": [[4, 8], [5, 9], [4], [4, 8]],
    "first": [[0], [0], [0], [0]],
    "any": [[*range(1, 11)], [*range(1, 13)], [*range(1, 8)], [*range(1, 11)]],
}
PARTS: dict[str, list[HeadOrMlp]] = {
    "one head": [(1, 2)],
    "heads and mlp over layers": [(0, 1), (0, 3), (1, None), (2, 0)],
}
KEPT: dict[str, list[HeadOrMlp]] = {
    "all but two heads": [(0, 2), (2, 1), *((layer, None) for layer in range(LAYERS))],
    "all but two heads and an mlp": [(1, 0), (3, 3), (2, None)],
    "everything": [],
}


def prompt_of(one: Literal) -> TokenPrompt:
    """A literal as the model sees it, made without the prompt stage."""
    answers, foils = (tuple(WORDS.index(word) for word in words) for words in (one.answers, one.foils))
    roles = {role: tuple(map(tuple, spans)) for role, spans in one.shown.roles.items()}
    ids, partner = tuple(one.ids()), tuple(one.partner())
    return TokenPrompt(ids, partner, answers, foils, roles, tuple(one.shown.item), None, True, "texts", one.text)


PROMPTS = [prompt_of(one) for one in LITERALS]


def alike(length: int) -> list[tuple[int, ...]]:
    return [p.corrupted for p in PROMPTS if p.corrupted is not None and len(p.corrupted) == length]


def components(parts: Sequence[HeadOrMlp]) -> tuple[Component, ...]:
    return tuple(Component(layer, head) for layer, head in parts)


@contextmanager
def replaced_at(plain: Plain, values: Mapping[HeadOrMlp, Any], places: Sequence[int]) -> Iterator[None]:
    """The plain model with these activations at these positions; elsewhere whatever it computes stays."""

    def put(part: HeadOrMlp, value: Any) -> Callable[..., Any]:
        def hook(module: Any, args: Any, out: Any = None) -> Any:
            changed = (args[0] if out is None else out).clone()
            size = changed.shape[-1] // plain.heads
            columns = slice(None) if part[1] is None else slice(part[1] * size, (part[1] + 1) * size)
            for place in places:
                changed[0, place, columns] = value[place]
            return (changed,) if out is None else changed

        return hook

    handles = []
    for part, value in values.items():
        if part[1] is None:
            handles.append(plain.layers[part[0]].mlp.register_forward_hook(put(part, value)))
        else:
            handles.append(plain._projection(part[0]).register_forward_pre_hook(put(part, value)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def expected(
    plain: Plain, number: int, parts: Sequence[HeadOrMlp], method: str, places: Sequence[int]
) -> dict[str, float]:
    """The oracle's metrics of one literal, parts replaced at some positions."""
    import torch

    prompt = PROMPTS[number]
    assert prompt.corrupted is not None
    if method == "zero":
        values = {part: torch.zeros_like(value) for part, value in plain.activations(prompt.ids, parts).items()}
    elif method == "resample":
        values = plain.activations(prompt.corrupted, parts)
    else:
        each = [plain.activations(row, parts) for row in alike(len(prompt.ids))]
        values = {part: torch.stack([one[part] for one in each]).mean(0) for part in parts}
    clean = plain.logits(prompt.ids)
    with replaced_at(plain, values, places):
        logits = plain.logits(prompt.ids)
    return metrics(logits, clean, prompt.ids, prompt.answers, prompt.foils)


class Bridge:
    """A bridge with the clean run of the literals."""

    def __init__(self, folder: Path):
        self.model: LoadedModel = load(resolve({"path": str(folder)}))
        self.plain = plain_model(folder)
        self.reference = Reference(self.model, lambda template, length: alike(length), 24)
        self.run = self.clean()

    def clean(self, loss: bool = True) -> CleanRun:
        return clean_run(self.model, PROMPTS, list(range(LAYERS)), loss=loss, batch_tokens=24)

    def ablated(self, parts: Sequence[HeadOrMlp], method: str, at: str | None = None) -> dict[str, Any]:
        return measure_ablation(self.model, self.run, Ablation(components(parts), method, True, at), self.reference)


@pytest.fixture(scope="module")
def bridges(tiny: dict[str, Path]) -> dict[str, Bridge]:
    return {name: Bridge(folder) for name, folder in tiny.items()}


def compare(found: Mapping[str, Any], number: int, truth: Mapping[str, float]) -> None:
    for metric in READ:
        assert found[metric][number] == pytest.approx(truth[metric], abs=1e-5, rel=1e-5), (metric, number)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_ablations_at_positions_agree_with_transformers(name: str, method: str, bridges: dict[str, Bridge]) -> None:
    """Each set of positions and each set of components equals torch's own hooks at hand-counted positions."""
    bridge = bridges[name]
    moved = []
    for at, places in PLACES.items():
        for parts in PARTS.values():
            found = bridge.ablated(parts, method, at)
            for number in range(len(PROMPTS)):
                compare(found, number, expected(bridge.plain, number, parts, method, places[number]))
            moved.append(max(abs(found[m] - bridge.run.values[m]).max() for m in ("logit_diff", "loss")))
    # What is compared moves. Only zeros change BOS: every prompt and every partner begins with it.
    assert sum(one > 1e-4 for one in moved) >= len(moved) - (0 if method == "zero" else 2)


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_a_prompt_without_such_a_position_is_the_clean_one(name: str, bridges: dict[str, Bridge]) -> None:
    """The literal with one member has exactly its clean values at member[2]; no other literal has."""
    bridge = bridges[name]
    for method in METHODS:
        found = bridge.ablated(PARTS["heads and mlp over layers"], method, "member[2]")
        same = [all(found[m][i] == bridge.run.values[m][i] for m in READ) for i in range(len(PROMPTS))]
        assert same == [False, False, True, False]
        assert found["kl"][2] == 0.0


def test_the_loss_of_an_untouched_prompt_is_measured_where_the_clean_run_has_none(bridges: dict[str, Bridge]) -> None:
    """A clean run without losses leaves them to the ablation's own run, also for prompts that nothing touches."""
    bridge = bridges["llama"]
    asked = Ablation(components([(1, 2)]), "zero", True, "member[3]")
    run = bridge.clean(loss=False)
    assert np.isnan(run.values["loss"]).all()
    found = measure_ablation(bridge.model, run, asked, None)
    np.testing.assert_allclose(found["loss"], bridge.run.values["loss"], rtol=1e-6)
    np.testing.assert_array_equal(found["logit_diff"], run.values["logit_diff"])


def test_another_position_is_noticed(bridges: dict[str, Bridge]) -> None:
    """The oracle's number for the position before or after is not the one measured."""
    bridge = bridges["llama"]
    found = bridge.ablated(PARTS["one head"], "zero", "member[2]")["loss"][0]
    values = [expected(bridge.plain, 0, PARTS["one head"], "zero", [place])["loss"] for place in (6, 7, 8)]
    assert found == pytest.approx(values[1], abs=1e-5)
    assert min(abs(found - values[0]), abs(found - values[2])) > 1e-3


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_every_position_is_the_ablation_everywhere(name: str, method: str, bridges: dict[str, Bridge]) -> None:
    """``any | bos`` names all positions: the same numbers as without ``at``; ``any`` leaves BOS as it is."""
    bridge = bridges[name]
    parts = PARTS["heads and mlp over layers"]
    everywhere, named, but_bos = (bridge.ablated(parts, method, at) for at in (None, "any | bos", "any"))
    for metric in READ:
        np.testing.assert_array_equal(named[metric], everywhere[metric])
    if method == "zero":  # every prompt and every partner begins with BOS: other methods put there what was there
        assert (abs(but_bos["logit_diff"] - everywhere["logit_diff"]) > 1e-4).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_what_is_left_of_a_circuit_agrees_with_transformers(name: str, method: str, bridges: dict[str, Bridge]) -> None:
    """All components but a few ablated jointly, heads only and MLPs too, equals torch's own hooks."""
    bridge = bridges[name]
    every: list[HeadOrMlp] = [(layer, head) for layer in range(LAYERS) for head in (*range(HEADS), None)]
    for kept in KEPT.values():
        parts = [part for part in every if part not in kept]
        found = bridge.ablated(parts, method)
        for number, prompt in enumerate(PROMPTS):
            rows = alike(len(prompt.ids))
            logits = bridge.plain.ablated(prompt.ids, parts, method, prompt.corrupted, rows)
            clean = bridge.plain.logits(prompt.ids)
            compare(found, number, metrics(logits, clean, prompt.ids, prompt.answers, prompt.foils))
    if method == "zero":  # without any component only the last token says anything
        assert found["logit_diff"][0] != pytest.approx(bridge.run.values["logit_diff"][0], abs=1e-3)


def test_no_component_at_all_is_the_clean_model(bridges: dict[str, Bridge]) -> None:
    """The complement of the whole model is empty: exactly the clean values, and no reference is needed."""
    run = bridges["gpt2"].run
    for method in METHODS:
        found = measure_ablation(bridges["gpt2"].model, run, Ablation((), method, True), None)
        for metric in READ:
            np.testing.assert_array_equal(found[metric], run.values[metric])


def test_partners_are_read_once_for_many_ablations(bridges: dict[str, Bridge], monkeypatch: pytest.MonkeyPatch) -> None:
    """Resampling again reads only the sites not read before; without room it reads all, with equal numbers."""
    bridge = bridges["llama"]
    asked: list[list[str]] = []
    read = module.capture

    def capture(model: Any, rows: Any, sites: Sequence[str]) -> Any:
        asked.append(list(sites))
        return read(model, rows, sites)

    monkeypatch.setattr(module, "capture", capture)
    bridge.run = bridge.clean()
    batches = len(bridge.run.chunks)
    first = bridge.ablated([(1, 2), (2, None)], "resample")
    assert asked == [["blocks.1.attn.hook_z", "blocks.2.hook_mlp_out"]] * batches
    asked.clear()
    bridge.ablated([(1, 0), (1, 3), (3, 1)], "resample", "end")
    assert asked == [["blocks.3.attn.hook_z"]] * batches
    asked.clear()
    again = bridge.ablated([(1, 2), (2, None)], "resample")
    assert not asked
    monkeypatch.setattr(module, "PARTNER_BYTES", 0)
    bridge.run = bridge.clean()
    for _ in range(2):
        without = bridge.ablated([(1, 2), (2, None)], "resample")
    assert len(asked) == 2 * batches
    assert not bridge.run.partners
    for metric in READ:
        np.testing.assert_array_equal(first[metric], again[metric])
        np.testing.assert_array_equal(first[metric], without[metric])
