"""Variants of ablations that share a pass come to what each comes to alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import measuring
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_measure_limits import KINDS, METRICS, models, nothing_left, parts, prompts_of, reference_of

from circuits.claims.heads import Component
from circuits.measure import suffix
from circuits.measure.ablation import Ablation, clean_run
from circuits.measure.variants import measure_ablation, measure_variants
from circuits.models.load import LoadedModel

__all__ = ["models", "nothing_left"]  # fixtures
tiny = measuring.tiny

PLACES = ("end", "any", None)
METHODS = ("mean", "zero", "resample")
ENDS = tuple(name for name in METRICS if name != "loss")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
@pytest.mark.parametrize("kind", KINDS)
def test_variants_in_one_pass_are_each_what_they_are_alone(
    kind: str, models: dict[str, LoadedModel], data: Any
) -> None:
    """Whatever shares the pass, each variant has its own values: heads and MLPs, methods, positions, nothing at all."""
    model = models[kind]
    prompts, every = prompts_of(kind, model), parts(model)
    layers = range(model.shape.layers)
    run = clean_run(model, prompts, layers, loss=True, batch_tokens=1000, keys_from=0)
    variant = st.builds(
        Ablation,
        components=st.lists(st.sampled_from(every), max_size=4, unique=True).map(tuple),
        method=st.sampled_from(METHODS),
        at=st.sampled_from(PLACES),
    )
    drawn = data.draw(st.lists(variant, min_size=2, max_size=5))
    asked = [each for each in drawn if run.start(each) == run.start(drawn[0])]
    reference = reference_of(model, prompts)
    together = measure_variants(model, run, asked, reference)
    for ablation, found in zip(asked, together, strict=True):
        alone = measure_ablation(model, run, ablation, reference)
        for name in ENDS:
            np.testing.assert_allclose(found[name], alone[name], atol=1e-5, err_msg=f"{name} of {ablation}")


@pytest.mark.parametrize("kind", KINDS)
def test_a_variant_beside_another_is_not_the_other(kind: str, models: dict[str, LoadedModel]) -> None:
    """The comparison above can fail: two variants differ from each other and from the clean run."""
    model = models[kind]
    prompts = prompts_of(kind, model)
    run = clean_run(model, prompts, [], loss=True, batch_tokens=1000)
    mlp = [Ablation((Component(layer, None),), "zero") for layer in (0, 1)]
    one, other = measure_variants(model, run, mlp, None)
    assert not np.allclose(one["logit_diff"], other["logit_diff"], atol=1e-4)
    assert not np.allclose(one["logit_diff"], run.values["logit_diff"], atol=1e-4)


def test_planned_ablations_share_the_passes_of_the_first_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Claims on several heads of the reference model: one pass for all that fit a batch, where the device gains by it."""
    from circuits.evaluate import Evaluator, Options, items_of, knowledge, load
    from circuits.measure import group as groups
    from circuits.measure.plan import Settings

    text = (
        "suite: S\nmodel: reference\nprompts:\n  numerals: {family: named_sequence, members: numerals}\nclaims:\n"
        + "".join(
            f"  c{head}: {{claim: A., prompts: numerals, ablate: '1.{head}', change_in: logit_diff, between: [-100, 100]}}\n"
            for head in range(4)
        )
    )
    path = tmp_path / "s.yaml"
    path.write_text(text)
    sizes: list[int] = []

    def counted(model: Any, run: Any, ablations: Any, *args: Any, **kwargs: Any) -> Any:
        sizes.append(len(ablations))
        return measure_variants(model, run, ablations, *args, **kwargs)

    monkeypatch.setattr(groups, "measure_variants", counted)
    estimates = []
    for batch_tokens, gains in (
        (4096, True),
        (600, True),
        (4096, False),
    ):  # 32 prompts of 17 tokens: seven fit, then one
        monkeypatch.setattr(Settings, "shares_passes", gains)
        suite = load(path, knowledge(), path.name)
        items = items_of(suite, path.parent)
        evaluator = Evaluator(Options(batch_tokens=batch_tokens))
        evaluator.plan(items)
        estimates.append([row["estimate"] for item in items for row in evaluator.evaluate(item).entry["checks"]])
        assert sizes == ([4] if batch_tokens == 4096 and gains else [1] * 4), sizes
        sizes.clear()
    assert estimates[0] == pytest.approx(estimates[1], abs=1e-5)
    assert estimates[1] == estimates[2]
    assert len(set(estimates[0])) > 1


def _limited(model: LoadedModel, prompts: Any, *, keys: bool) -> Any:
    return clean_run(
        model, prompts, range(model.shape.layers), loss=False, batch_tokens=1000, keys_from=0 if keys else None
    )


def _lengths(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of what the model is given from now on."""
    shapes: list[tuple[int, ...]] = []
    run = model.bridge.run_with_hooks

    def told(given: Any, **kwargs: Any) -> Any:
        shapes.append(tuple(given.shape[:2]))
        return run(given, **kwargs)

    monkeypatch.setattr(model.bridge, "run_with_hooks", told, raising=False)
    return shapes


@pytest.mark.parametrize("kind", KINDS)
def test_positions_before_the_first_replaced_one_are_not_run_again(
    kind: str, models: dict[str, LoadedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the end only: one position is run, from every layer, to the values of the whole run (the native bridge runs all)."""
    model = models[kind]
    prompts = prompts_of(kind, model)
    whole, short = (_limited(model, prompts, keys=keys) for keys in (False, True))
    reference = reference_of(model, prompts)
    reference_sites = [part for part in parts(model) if part.head in (0, None)]
    changed = 0
    for part in reference_sites:
        for method in METHODS:
            asked = Ablation((part,), method, at="end")
            expected = measure_ablation(model, whole, asked, reference)
            with monkeypatch.context() as patch:
                shapes = _lengths(model, patch)
                found = measure_ablation(model, short, asked, reference)
            for name in ENDS:
                np.testing.assert_allclose(found[name], expected[name], atol=2e-5, err_msg=f"{name} of {asked}")
            changed += bool(np.abs(expected["logit_diff"] - whole.values["logit_diff"]).max() > 1e-4)
            if method == "zero" and kind != "reference":
                assert {length for _, length in shapes} == {1}, shapes
    assert changed, "the comparison could not fail: no ablation at the end changes anything"


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_bridge_that_comes_to_other_numbers_is_run_as_a_whole(
    kind: str, models: dict[str, LoadedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where keys and values come out wrong, the trial says so and nothing rests on them."""
    model = models[kind]
    prompts = prompts_of(kind, model)
    run = _limited(model, prompts, keys=True)
    for batch in run.keys:
        for layer, (keys, values) in list(batch.items()):
            batch[layer] = (keys, values + 1.0)
    asked = Ablation((Component(1, 0),), "zero", at="end")
    expected = measure_ablation(model, _limited(model, prompts, keys=False), asked, None)
    assert not suffix.is_sound(model, run, 0, start=1, first=len(prompts[run.chunks[0][0]].ids) - 1)
    found = measure_ablation(model, run, asked, None)
    np.testing.assert_allclose(found["logit_diff"], expected["logit_diff"], atol=1e-5)
