"""Controls: what a check comes to on prompts without their structure, on shuffled weights, and with other choices."""

from __future__ import annotations

from pathlib import Path

import measuring
import numpy as np
import pytest

from circuits.evaluate import Evaluator, Item, Options, items_of, knowledge, load
from circuits.measure.attention import measure_attention
from circuits.measure.controls import permuted_weights
from circuits.models.load import load as load_model
from circuits.models.source import resolve
from circuits.prompts.prompt import TokenPrompt
from circuits.report import beside
from circuits.verdict.whole import is_vacuous

tiny = measuring.tiny

SUITE = """\
suite: Controls
model: reference
sampling: {min: 32, max: 64}
prompts:
  repeats: {family: repeated_tokens}
  numerals: {family: named_sequence, members: numerals}
  ioi: {family: ioi}
claims:
  induction: {claim: a, head: "2.0", prompts: repeats, score: induction, at_least: 0.8}
  previous: {claim: b, head: "0.0", prompts: numerals, attends: any -> n-1, at_least: 0.8}
  some: {claim: c, heads: {any: all}, prompts: repeats, score: induction, at_least: 0.8}
  differs: {claim: d, head: "0.0", prompts: numerals, attends: any -> n-1, more_than: {head: "0.3"}, by_at_least: 0.5}
  easy: {claim: e, head: "0.0", prompts: numerals, attends: "any[late] -> any", at_least: 0.2}
  ranked: {claim: f, head: "0.0", prompts: numerals, attends: any -> n-1, top: 1}
  without: {claim: g, ablate: ["1.2", "2.1"], method: zero, prompts: numerals, drop_in: logit_diff, at_least: 100%}
  deep: {claim: i, head: "2.1", prompts: numerals, attends: any -> n-1, at_most: 0.5}
  each: {claim: j, heads: ["0.0", "0.1", "0.2", "0.3", "1.0", "1.1", "1.2", "1.3", "2.0", "2.1", "2.2", "2.3"], prompts: repeats, score: induction, at_least: 0.8}
  names: {claim: h, head: "0.2", prompts: ioi, attends: end -> first, at_least: 0.5}
"""


def planned(tmp_path: Path, *names: str, **options: object) -> tuple[Evaluator, list[Item]]:
    tmp_path.mkdir(exist_ok=True)
    path = tmp_path / "controls.yaml"
    path.write_text(SUITE)
    items = [item for item in items_of(load(path, knowledge(), "controls.yaml"), tmp_path) if item.claim.id in names]
    assert all(not item.claim.faults for item in items)
    evaluator = Evaluator(Options(**options), tmp_path / "cache")  # type: ignore[arg-type]
    evaluator.plan(items)
    return evaluator, items


def run(tmp_path: Path, *names: str, **options: object) -> dict[str, dict[str, object]]:
    evaluator, items = planned(tmp_path, *names, **options)
    return {item.claim.id: evaluator.evaluate(item).entry for item in items}


def test_structure_is_what_an_induction_head_needs(tmp_path: Path) -> None:
    """Without the repetition it finds nothing, with shuffled weights no head does; a previous-token head keeps its offset."""
    found = {
        k: v["checks"][0]["controls"]
        for k, v in run(  # type: ignore[index]
            tmp_path, "induction", "previous", "some", "differs", permuted=2
        ).items()
    }
    assert found["induction"]["broken"]["holds"] is False
    assert found["induction"]["broken"]["value"] < 0.2
    assert found["some"]["broken"]["holds"] is False
    assert found["previous"]["broken"] == {"value": pytest.approx(1.0), "holds": True}
    assert found["differs"]["broken"] == {"value": pytest.approx(1.0), "holds": True}
    for name in found:
        assert [each["holds"] for each in found[name]["permuted"]] == [False, False], name


def test_the_control_of_some_head_is_that_of_the_best_one_there(tmp_path: Path) -> None:
    """Not of the first one, nor of the head that does it on the real prompts: it is named."""
    found = run(tmp_path, "some", "each", permuted=2)
    rows = {row["head"]: row["controls"] for row in found["each"]["checks"]}  # type: ignore[attr-defined]
    assert len(rows) == 12
    some = found["some"]["checks"][0]["controls"]  # type: ignore[index]
    for of_one, best in (
        (lambda controls: controls["broken"], some["broken"]),
        (lambda controls: controls["permuted"][1], some["permuted"][1]),
    ):
        values = {head: of_one(controls)["value"] for head, controls in rows.items()}
        head = max(values, key=values.__getitem__)
        assert (best["head"], best["value"]) == (head, values[head])
        assert head != "0.0"


def test_shuffled_models_are_shown_few_prompts_in_whole_cycles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight of one template or a whole cycle of templates; the broken prompts are all of the first block."""
    shown: list[tuple[int, int]] = []

    def watched(model: object, prompts: list[TokenPrompt], *args: object, **options: object) -> object:
        shown.append((len(prompts), len({prompt.template for prompt in prompts})))
        return measure_attention(model, prompts, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("circuits.measure.fill_controls.measure_attention", watched)
    run(tmp_path, "previous", "names", permuted=2)
    assert len(shown) == 4
    assert all(8 <= n < 8 + templates and n % templates == 0 for n, templates in shown)
    assert {templates for _, templates in shown} == {1, 12}


def test_what_has_no_such_control_says_null(tmp_path: Path) -> None:
    """Ablations and places among heads; no shuffled models where none are asked for."""
    found = run(tmp_path, "ranked", "without", "previous")
    assert found["ranked"]["checks"][0]["controls"] is None  # type: ignore[index]
    assert found["without"]["checks"][0]["controls"] is None  # type: ignore[index]
    assert found["previous"]["checks"][0]["controls"]["permuted"] == []  # type: ignore[index]


def test_a_claim_that_holds_with_any_weights_is_vacuous(tmp_path: Path) -> None:
    """Attention to anything at all holds on every shuffled model."""
    entry = run(tmp_path, "easy", permuted=2)["easy"]
    assert all(each["holds"] for each in entry["checks"][0]["controls"]["permuted"])  # type: ignore[index]
    assert entry["vacuous"] is True
    row = {"bound_low": 0.1, "bound_high": None, "controls": {"permuted": [{"holds": True}, {"holds": True}]}}
    assert is_vacuous([row])
    assert not is_vacuous([row, {**row, "controls": {"permuted": [{"holds": True}, {"holds": False}]}}])
    assert not is_vacuous([{**row, "controls": {"permuted": []}}])
    assert not is_vacuous([{**row, "bound_high": 0.4}])


def test_controls_come_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second run shuffles nothing and says the same."""
    first = run(tmp_path, "previous", permuted=2)

    def refuse(*_: object) -> None:
        raise AssertionError("weights were shuffled again")

    monkeypatch.setattr("circuits.measure.fill_controls.permuted_weights", refuse)
    second = run(tmp_path, "previous", permuted=2)
    assert first["previous"]["checks"][0]["controls"] == second["previous"]["checks"][0]["controls"]  # type: ignore[index]


def test_a_claim_alone_needs_no_shuffle_that_a_deeper_one_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same question at layer 0 and at layer 2: the shuffled models were run as deep as the deeper head, and say the same."""
    shallow = run(tmp_path / "alone", "previous", permuted=2)["previous"]["checks"][0]["controls"]  # type: ignore[index]
    run(tmp_path / "both", "previous", "deep", permuted=2)
    monkeypatch.setattr("circuits.measure.fill_controls.permuted_weights", None)  # nothing may be shuffled again
    again = run(tmp_path / "both", "previous", permuted=2)["previous"]["checks"][0]["controls"]  # type: ignore[index]
    assert again == shallow
    with pytest.raises(TypeError, match="NoneType"):  # but layer 0 says nothing of layer 2
        run(tmp_path / "alone", "deep", permuted=2)


def test_deeper_controls_are_cut_off_where_they_are_not_wanted(tmp_path: Path) -> None:
    """In memory and from the cache: the shuffled models' values of layers that nothing asks for are not there."""
    for names, known in ((("previous", "deep"), 3), (("previous",), 1)):
        evaluator = planned(tmp_path, *names, permuted=1)[0]
        (series,) = evaluator.series.values()
        (question,) = series.layers
        permuted = series.controls(question).permuted  # [seed, side, layer, head]
        assert np.isfinite(permuted[:, :, :known]).all()
        assert np.isnan(permuted[:, :, known:]).all()


def test_shuffled_weights_are_put_back(tmp_path: Path) -> None:
    """Each matrix keeps its entries in another order, the same for the same seed; afterwards, also after an error, all is as before."""
    model = load_model(resolve("reference", {}, tmp_path))
    matrices = [p for p in model.bridge.parameters() if p.dim() >= 2]
    before = [p.detach().clone() for p in model.bridge.parameters()]
    seen = []
    for seed in (0, 0, 1):
        with permuted_weights(model, seed):
            seen.append([p.detach().clone() for p in matrices])
    assert all(bool((one == other).all()) for one, other in zip(seen[0], seen[1], strict=True))
    assert any(bool((one != other).any()) for one, other in zip(seen[0], seen[2], strict=True))
    for original, shuffled in zip([p for p in before if p.dim() >= 2], seen[0], strict=True):
        assert np.array_equal(np.sort(original.numpy(), axis=None), np.sort(shuffled.numpy(), axis=None))
    with pytest.raises(KeyError), permuted_weights(model, 3):
        raise KeyError
    for original, now in zip(before, model.bridge.parameters(), strict=True):
        assert bool((original == now).all())


def test_matrices_that_share_memory_are_put_back(tiny: dict[str, Path], tmp_path: Path) -> None:
    """GPT-2's q, k and v are parts of one matrix: after shuffling the model computes what it did before, bit by bit."""
    import torch

    for name, folder in tiny.items():
        model = load_model(resolve({"path": str(folder)}, {}, tmp_path))
        tokens = torch.tensor([[0, 2, 6, 8, 7, 3, 6, 9, 7]])
        before = model.bridge(tokens)
        with permuted_weights(model, 0):
            during = model.bridge(tokens)
        assert bool((model.bridge(tokens) == before).all()), name
        assert not torch.allclose(during, before), name


def test_layers_that_nobody_runs_are_not_shuffled(tiny: dict[str, Path], tmp_path: Path) -> None:
    """Below the deepest one everything is as if all were shuffled, embeddings included; above it nothing is touched."""
    models = {name: {"path": str(folder)} for name, folder in tiny.items()} | {"reference": "reference"}
    for name, spec in models.items():
        model = load_model(resolve(spec, {}, tmp_path))  # type: ignore[arg-type]
        above = {id(each) for block in list(model.bridge.blocks)[1:] for each in block.parameters()}
        every = [each for each in model.bridge.parameters() if each.dim() >= 2]
        before = [each.detach().clone() for each in every]
        with permuted_weights(model, 0):
            whole = [each.detach().clone() for each in every]
        with permuted_weights(model, 0, 1):
            for matrix, original, shuffled in zip(every, before, whole, strict=True):
                expected = original if id(matrix) in above else shuffled
                assert bool((matrix == expected).all()), name
        assert len(above) and any(bool((one != two).any()) for one, two in zip(before, whole, strict=True))


def test_the_strip_leaves_the_controls_of_other_claims_alone(tmp_path: Path) -> None:
    """With or without --circuit-robust, in any order, a claim has its shuffled models."""
    plain = run(tmp_path / "a", "names", "easy", permuted=1)
    robust = run(tmp_path / "b", "names", "easy", permuted=1, robust=True)
    for name in plain:
        assert robust[name]["checks"] == plain[name]["checks"]
        assert len(plain[name]["checks"][0]["controls"]["permuted"]) == 1  # type: ignore[index]


def test_the_robustness_strip_asks_each_other_choice(tmp_path: Path) -> None:
    """Other methods for an ablation, BOS, and each of IOI's templates alone; the claim's own verdict stays."""
    plain = run(tmp_path, "without", "names")
    found = run(tmp_path, "without", "names", robust=True)
    strip = {(each["choice"], each["value"]): each for each in found["without"]["robust"]}  # type: ignore[attr-defined]
    assert set(strip) == {("method", "mean"), ("method", "resample"), ("BOS", "without")}
    assert strip["method", "mean"]["verdict"] == "supported"
    for name in found:
        assert found[name]["verdict"] == plain[name]["verdict"]
        assert found[name]["checks"] == plain[name]["checks"]
        assert plain[name]["robust"] is None
    choices = [each["choice"] for each in found["names"]["robust"]]  # type: ignore[attr-defined]
    assert choices.count("template") == 12
    told = beside.robustness(found["without"])
    assert told is not None
    assert told.count("\n| method") == 2
