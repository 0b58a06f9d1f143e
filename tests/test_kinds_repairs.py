"""Faults that a review found in circuits, groups and comparisons, each with the run that would show it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from measuring import answer, rows, suite

from circuits import evaluate
from circuits.evaluate import Evaluator, Options, items_of
from circuits.verdict.decide import Asked, is_share
from circuits.verdict.rows import Task, lost_answers, task_reason

NUMERALS = {"family": "named_sequence", "members": "numerals", "length": 4}


def claim(**keys: Any) -> dict[str, Any]:
    return {"claim": "c", "prompts": "a", **keys}


def digest_of(path: Path, text: str, **options: Any) -> str:
    path.write_text(text)
    loaded = evaluate.load(path, evaluate.knowledge(), "s.yaml")
    assert not loaded.all_faults, [fault.render() for fault in loaded.all_faults]
    return str(Evaluator(Options(n=4, **options)).evaluate(items_of(loaded, path.parent)[0]).entry["digest"])


@pytest.mark.parametrize("more", [{"head": "0.1"}, {"prompts": "b"}])
def test_some_head_is_not_compared_with_one_named_elsewhere(tmp_path: Path, more: dict[str, str]) -> None:
    """The comparison would have been thrown away, and the bare mass held against its bound."""
    path = tmp_path / "s.yaml"
    keys = {"heads": {"any": "all"}, "attends": "any -> n-1", "more_than": more, "by_at_least": 0.5}
    path.write_text(suite("reference", {"a": NUMERALS, "b": {**NUMERALS, "length": 3}}, {"c": claim(**keys)}))
    (fault,) = evaluate.load(path, evaluate.knowledge(), "s.yaml").all_faults
    assert "does not go with more_than" in fault.message


def test_the_digest_of_a_claim_sees_what_a_circuit_holds(tmp_path: Path) -> None:
    """The YAML of the claim names the circuit only; its heads are part of what is claimed."""
    found = set()
    for heads in (["2.1"], ["2.1", "0.1"]):
        keys = {"ablate": "1.2", "given_ablated": "g", "drop_in": "logit_diff", "interaction": {"at_least": "5%"}}
        text = suite("reference", {"a": NUMERALS}, {"c": claim(**keys)}, circuits={"g": {"heads": heads}})
        found.add(digest_of(tmp_path / "s.yaml", text))
    assert len(found) == 2


def test_the_digest_of_a_claim_sees_what_its_prompts_require(tmp_path: Path) -> None:
    """A prompt set's ``requires`` decides whether a claim can be measured at all."""
    keys = {"ablate": "1.3", "drop_in": "logit_diff", "between": ["-15%", "15%"]}
    texts = [
        suite("reference", {"a": {**NUMERALS, "requires": {"top1": least}}}, {"c": claim(**keys)})
        for least in (0.1, 0.9)
    ]
    assert len({digest_of(tmp_path / "s.yaml", text) for text in texts}) == 2


def test_a_claim_that_stops_at_its_task_was_measured_and_not_cached(tmp_path: Path) -> None:
    """On an empty cache the clean run is measured, although none of the planned ablations is."""
    keys = {"keep_only": "g", "sufficiency": "logit_diff", "at_least": "50%", "random": 4, "requires": {"top1": 0.99}}
    text = suite("reference", {"a": NUMERALS}, {"c": claim(**keys)}, circuits={"g": {"heads": ["1.2"]}})
    found, _ = answer(tmp_path / "s.yaml", text, tmp_path / "cache", n=8)
    assert found["c"]["verdict"] == "unmeasurable"
    assert found["c"]["status"] == "measured"
    again, _ = answer(tmp_path / "s.yaml", text, tmp_path / "cache", n=8)
    assert again["c"]["status"] == "cached"


def test_equal_prompt_sets_keep_their_own_names(tmp_path: Path) -> None:
    """Two names for the same prompts share what is measured, not what it is called."""
    keys = {"head": "0.0", "attends": "any -> n-1", "more_than": {"head": "0.1"}, "by_at_least": 0.1}
    claims = {"one": claim(**keys), "two": claim(**keys) | {"prompts": "b"}}
    text = suite("reference", {"a": NUMERALS, "b": NUMERALS}, claims)
    found, _ = answer(tmp_path / "s.yaml", text, n=8, draw=lambda figure, name: name)
    assert [rows(found[name])[0]["other"]["prompts"] for name in ("one", "two")] == ["a", "b"]
    assert [found[name]["profiles"][0]["prompts"] for name in ("one", "two")] == ["a", "b"]


def test_a_mean_rank_is_shown_nowhere(tmp_path: Path) -> None:
    """Within a circuit, too, the rank is a median."""
    keys = {"within": "g", "ablate": "2.0", "after": "answer_rank", "observe": True}
    circuit = {"g": {"heads": ["0.0", "1.2", "2.0", "2.1"]}}
    found, _ = answer(
        tmp_path / "s.yaml", suite("reference", {"a": NUMERALS}, {"c": claim(**keys)}, circuits=circuit), n=8
    )
    (row,) = rows(found["c"])
    assert (row["estimate"], row["low"], row["high"], row["statistic_note"]) == (1.0, None, None, "median rank")
    assert row["parts"] is None


def test_values_that_are_no_numbers_leave_the_task_undone() -> None:
    """They are said to be so, and are no internal error."""
    clean = {"answer_rank": np.full(4, np.inf), "prob_diff": np.full(4, np.inf)}
    for name in ("top1", "prob_diff"):
        assert "not finite" in str(task_reason(clean, Task({name: 0.1}), Asked(0.95, 1)))


def test_only_answers_that_were_there_are_lost() -> None:
    """A prompt that the clean model gets wrong already has no answer to lose."""
    clean = {"answer_rank": np.array([1.0, 1.0, 2.0]), "right_first": np.array([1.0, 1.0, 0.0])}
    ablated = {"answer_rank": np.array([1.0, 3.0, 2.0]), "top_text": np.array(["a", "b", "c"])}
    ablated |= {"right_first": np.array([1.0, 0.0, 1.0]), "foil_first": np.array([0.0, 1.0, 0.0])}
    ablated["answer_tied"] = np.array([1.0, 3.0, 0.0])  # on the second it is not first, whoever else has its logit
    found = {
        "fell_to": [["b", 1]],
        "fell_to_foil": 1,
        "lost": [1, 2],
        "tied_after": 1,
        "right_before": 2 / 3,
        "right_after": 2 / 3,
    }
    assert lost_answers(clean, ablated, 1) == found
    elsewhere = ablated | {"foil_first": np.array([1.0, 0.0, 1.0])}  # not where the answer was lost
    assert lost_answers(clean, elsewhere, 1)["fell_to_foil"] == 0
    none = ablated | {"foil_first": np.full(3, np.nan)}
    assert lost_answers(clean, none, 1)["fell_to_foil"] is None


@pytest.mark.parametrize(
    ("statistic", "metric", "share"),
    [("drop_in", "logit_diff", True), ("after", "top1", True), ("after", "logit_diff", False), ("mass", None, False)],
)
def test_a_relative_number_is_a_percentage_however_its_bound_is_written(
    statistic: str, metric: str, share: bool
) -> None:
    """The same quantity has one unit on all pages."""
    assert is_share({"statistic": statistic, "metric": metric}) is share
