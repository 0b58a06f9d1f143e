"""A map of losses with other models: their points are their own losses, measured by plain transformers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from measuring import LITERALS, ROLES, WORDS, answer, plain_model, rows, save_gpt2, suite, texts_of
from oracle import HeadOrMlp
from test_measure_losses import token_losses

from circuits import evaluate
from circuits.answers import Answers
from circuits.evaluate import Evaluator, Options
from circuits.extensions import extensions
from circuits.measure.group_losses import losses_name

PROMPTS = {"p": {"family": "texts", "roles": ROLES, "texts": texts_of(LITERALS)}}
RANDOM = {"r": {"family": "repeated_tokens", "length": 7}}
ABLATIONS: list[Any] = ["1.2", ["0.1", "MLP2"]]
REMOVED: list[list[HeadOrMlp]] = [[(1, 2)], [(0, 1), (2, None)]]
SAMPLING = {"min": 4, "max": 6}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tiny GPT-2s of several seeds; one with another vocabulary, one that reads fewer tokens."""
    root = tmp_path_factory.mktemp("several")
    turned = [*WORDS[:2], *reversed(WORDS[2:])]
    save_gpt2(root / "first", 2)
    save_gpt2(root / "second", 3)
    save_gpt2(root / "third", 4)
    save_gpt2(root / "turned", 3, words=turned)
    save_gpt2(root / "short", 3, positions=8)
    return {path.name: path for path in root.iterdir()}


def text(
    folders: Mapping[str, Path],
    models: Sequence[str],
    prompts: Mapping[str, Any] = PROMPTS,
    ablations: Sequence[Any] = ABLATIONS,
    **more: Any,
) -> str:
    """A suite about the first model whose one claim is a map with others."""
    others = {"models": [{"path": str(folders[name])} for name in models]} if models else {}
    check = {"loss_map": list(ablations), "observe": True, **others, **more}
    claims = {"c": {"claim": "Where they are.", "prompts": next(iter(prompts)), **check}}
    return suite({"path": str(folders["first"])}, prompts, claims, sampling=SAMPLING)


def measured(tmp_path: Path, written: str, cache: Path | None = None) -> tuple[dict[str, Any], Evaluator]:
    """The entry of the one claim, and the evaluator."""
    found, evaluator = answer(tmp_path / "s.yaml", written, cache, batch_tokens=40)
    return found["c"], evaluator


def plain_losses(folder: Path, removed: Sequence[HeadOrMlp] = ()) -> list[float]:
    """The loss of every token of the literals in nats, from a fresh model without any of this package."""
    plain, found = plain_model(folder), []
    partners = [one.partner() for one in LITERALS]
    for one in LITERALS:
        ids = one.ids()
        alike = [partner for partner in partners if len(partner) == len(ids)]
        logits = plain.ablated(ids, removed, "mean", one.partner(), alike) if removed else plain.logits(ids)
        found += token_losses(logits, ids)
    return found


def test_other_models_are_points_by_their_own_losses(folders: dict[str, Path], tmp_path: Path) -> None:
    """The map of model, others and ablations is the PCA of the losses that plain transformers give."""
    entry, _ = measured(tmp_path, text(folders, ["second", "third"]))
    (row,) = rows(entry)
    table = np.array(
        [
            *(plain_losses(folders[name]) for name in ("first", "second", "third")),
            *(plain_losses(folders["first"], removed) for removed in REMOVED),
        ]
    )
    names = [str(folders[name]) for name in ("first", "second", "third")]
    assert [point["name"] for point in row["points"]] == [*names, "1.2", "0.1, MLP2"]
    assert [point["kind"] for point in row["points"]] == ["clean", "model", "model", "ablation", "ablation"]
    np.testing.assert_allclose([point["loss"] for point in row["points"]], table.mean(1), atol=1e-4)
    centred = table - table.mean(0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    for axis, key in enumerate("xy"):
        places = centred @ vectors[:, -1 - axis]
        found = np.array([point[key] for point in row["points"]])
        np.testing.assert_allclose(found, np.sign(found @ places) * places, atol=1e-3)
        assert row["explained"][axis] == pytest.approx(values[-1 - axis] / values.sum(), abs=1e-4)
    # Seeds differ more than one ablation does: the others lie away from the model and what was made of it.
    distance = [np.hypot(p["x"] - row["points"][0]["x"], p["y"] - row["points"][0]["y"]) for p in row["points"]]
    assert min(distance[1:3]) > distance[3]
    assert [each["name"] for each in entry["other_models"]] == names[1:]
    assert all(each["digest"].startswith("sha256:") and each["layers"] == 4 for each in entry["other_models"])


def test_a_map_of_models_alone_needs_no_partners(folders: dict[str, Path], tmp_path: Path) -> None:
    """Without ablations nothing is replaced: texts need no corrupted partner, and there is no reference."""
    prompts = {"bare": {"family": "texts", "texts": [one.text for one in LITERALS]}}
    entry, _ = measured(tmp_path, text(folders, ["second", "third"], prompts, ablations=[]))
    (row,) = rows(entry)
    means = [np.mean(plain_losses(folders[name])) for name in ("first", "second", "third")]
    np.testing.assert_allclose([point["loss"] for point in row["points"]], means, atol=1e-4)
    assert row.get("reference") is None
    assert row["check"].startswith("loss_map: no ablation, models ")


def test_the_order_of_models_and_a_new_name_move_no_point(folders: dict[str, Path], tmp_path: Path) -> None:
    """Points by name are the same whatever the order; the sets' and the claim's names do not count."""
    one, _ = measured(tmp_path, text(folders, ["second", "third"]))
    other, _ = measured(tmp_path, text(folders, ["third", "second"], {"renamed": PROMPTS["p"]}, ABLATIONS[::-1]))
    first, second = ({p["name"]: (p["x"], p["y"], p["loss"]) for p in rows(each)[0]["points"]} for each in (one, other))
    assert first.keys() - second.keys() == {"0.1, MLP2"} - second.keys()
    for name, place in first.items():
        np.testing.assert_allclose(second[name], place, atol=1e-9)


def test_without_other_models_the_map_is_what_it_was(folders: dict[str, Path], tmp_path: Path) -> None:
    """The losses of the model and its ablations do not depend on whether others stand beside them."""
    alone, _ = measured(tmp_path, text(folders, []))
    beside, _ = measured(tmp_path, text(folders, ["second"]))
    losses = [[p["loss"] for p in rows(each)[0]["points"] if p["kind"] != "model"] for each in (alone, beside)]
    assert losses[0] == losses[1]
    assert rows(alone)[0]["points"][0]["name"] == "clean" and "other_models" not in alone


def test_values_of_another_model_are_those_of_its_own_suite(folders: dict[str, Path], tmp_path: Path) -> None:
    """They lie in the cache under its own digest: what its own suite measured is not measured again, and back."""
    cache = tmp_path / "values"
    claims = {"c": {"prompts": "r", "score": "in_context_learning", "observe": True}}
    own = suite({"path": str(folders["second"])}, RANDOM, claims, sampling=SAMPLING)
    answer(tmp_path / "own.yaml", own, cache)
    entry, evaluator = measured(tmp_path, text(folders, ["second", "third"], RANDOM, method="zero"), cache)
    assert rows(entry)[0]["points"][1]["loss"] > 0
    fresh = {}
    for series in evaluator.series.values():
        fresh[series.model().name] = losses_name(None) in series.measured
    assert fresh == {str(folders["first"]): True, str(folders["second"]): False, str(folders["third"]): True}
    _, again = measured(tmp_path, text(folders, ["second", "third"], RANDOM, method="zero"), cache)
    assert not any(series.measured for series in again.series.values())
    assert not again._stores, "a map whose values are all known loads no model"


@pytest.mark.parametrize("prompts", [PROMPTS, RANDOM])
def test_other_tokens_are_unmeasurable(prompts: dict[str, Any], folders: dict[str, Path], tmp_path: Path) -> None:
    """A tokenizer with other ids, or (of random tokens) with the same ids for other words, is refused with the reason."""
    entry, evaluator = measured(tmp_path, text(folders, ["turned"], prompts, method="zero"))
    (row,) = rows(entry)
    assert row["verdict"] == "unmeasurable" and not row.get("points") and row["figure"] is None
    assert row["reason"] == (
        f"{folders['turned']} reads other tokens of these prompts than the suite's model: "
        "token losses of two tokenizers cannot be laid side by side"
    )
    assert not any(losses_name(None) in series.measured for series in evaluator.series.values())


def test_a_model_that_reads_too_few_tokens_is_unmeasurable(folders: dict[str, Path], tmp_path: Path) -> None:
    """The claim is not faulty, for its own model reads the prompts: the row says which model does not, and why."""
    entry, _ = measured(tmp_path, text(folders, ["short"], method="zero"))
    (row,) = rows(entry)
    assert row["verdict"] == "unmeasurable"
    assert f"{folders['short']} cannot be shown these prompts: a prompt has 13 tokens" in row["reason"]


def test_a_model_that_is_not_here_skips_the_claim(folders: dict[str, Path], tmp_path: Path) -> None:
    """The map is not made of what is left: the claim skips with the line that says what is missing."""
    missing = {**folders, "gone": tmp_path / "gone"}
    path = tmp_path / "s.yaml"
    path.write_text(text(missing, ["second", "gone"]))
    (item,) = evaluate.items_of(evaluate.load(path, evaluate.knowledge(), path.name), tmp_path)
    outcome = Evaluator(Options()).evaluate(item)
    assert outcome.missing and outcome.met is None and outcome.entry["status"] == "skipped"
    assert outcome.skip is not None and str(tmp_path / "gone") in outcome.skip
    assert "points" not in outcome.entry["checks"][0]


def test_a_hub_model_without_weights_says_how_to_get_them(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for a suite's own model: the command that fetches it, or a folder given by its name."""
    from circuits.models import hub

    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    hub.hub_reachable.cache_clear()
    written = json.loads(text(folders, []))
    spec = {"hub": "openai-community/gpt2-medium", "revision": "6dcaa7a952f72f9298047fd5137cd6e4f05f41da"}
    written["claims"]["c"]["models"] = [spec]
    entry, _ = measured(tmp_path, json.dumps(written))
    assert entry["status"] == "skipped"
    assert "openai-community/gpt2-medium" in entry["reason"] and "--circuit-model" in entry["reason"]
    found, _ = answer(
        tmp_path / "s.yaml", json.dumps(written), models={"openai-community/gpt2-medium": str(folders["second"])}
    )
    (row,) = rows(found["c"])
    assert row["points"][1]["name"] == "openai-community/gpt2-medium"
    assert row["points"][1]["loss"] == pytest.approx(np.mean(plain_losses(folders["second"])), abs=1e-4)


def test_an_answer_is_kept_under_the_weights_of_every_model(folders: dict[str, Path], tmp_path: Path) -> None:
    """Other weights of another model are another answer; a model that is not here has none."""
    place = tmp_path / "other"
    save_gpt2(place, 3)
    path = tmp_path / "s.yaml"
    path.write_text(text({**folders, "other": place}, ["other"]))
    (item,) = evaluate.items_of(evaluate.load(path, evaluate.knowledge(), path.name), tmp_path)

    def key() -> str | None:
        return Answers(tmp_path / "kept", Options(), tmp_path, None, extensions()).key(item)

    first = key()
    assert first is not None and first == key()
    save_gpt2(place, 5)
    assert key() not in (None, first)
    (place / "config.json").unlink()
    assert key() is None
