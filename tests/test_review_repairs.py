"""Repairs that a review asked for: degenerate data, observed claims, faulty sampling, what pages show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from circuits.claims.claim import Ablate, Bound
from circuits.claims.heads import Component
from circuits.evaluate import Evaluator, Options, items_of, knowledge, load
from circuits.verdict.decide import Asked
from circuits.verdict.rows import Task, ablation_row

ABOUT = "suite: s\nmodel: reference\nsampling: {sampling}\nprompts:\n  numerals: {{family: named_sequence, members: numerals}}\nclaims:\n"


def entry(tmp_path: Path, claims: str, sampling: str = "{max: 16}") -> dict[str, Any]:
    path = tmp_path / "s.yaml"
    path.write_text(ABOUT.format(sampling=sampling) + claims)
    item = items_of(load(path, knowledge(), "s.yaml"), tmp_path)[0]
    return Evaluator(Options()).evaluate(item).entry


def values(n: int, clean: float, noise: float, answer_prob: float) -> dict[str, np.ndarray]:
    wiggle = noise * np.resize([1.0, -1.0], n)
    found = {
        "answer_prob": answer_prob + wiggle,
        "loss": clean + wiggle,
        "logit_diff": np.full(n, 5.0),
        "kl": np.zeros(n),
    }
    ranks = {
        "answer_rank": np.ones(n),
        "right_first": np.ones(n),
        "foil_first": np.zeros(n),
        "answer_tied": np.zeros(n),
    }
    return found | ranks | {"top_token": np.zeros(n), "top_text": np.array(["a"] * n)}


def row(what: Ablate, clean: dict[str, np.ndarray], ablated: dict[str, np.ndarray]) -> dict[str, Any]:
    bound = Bound("at_least", 0.1, None, "at_least 0.1")
    task = Task({"top1": 0.1}, explicit=False)
    return ablation_row({"warnings": [], "reason": None}, what, clean, ablated, bound, task, Asked(0.95, 1))


def test_rounding_noise_is_no_range() -> None:
    """Values that differ by 1e-7 only still give an interval of some width: sampling is never certain."""
    head = (Component(0, 0),)
    for metric, effect in (("answer_prob", "drop_in"), ("loss", "change_in"), ("loss", "after")):
        clean, ablated = values(8, 2.0, 1e-7, 0.9), values(8, 3.0, 1e-7, 0.3)
        found = row(Ablate(head, "zero", effect, metric), clean, ablated)
        assert found["estimate"] is not None
        assert found["high"] - found["low"] > 0.05, (metric, effect, found["low"], found["high"])


def test_a_metric_that_is_never_negative_drops_by_at_most_all_of_it() -> None:
    """The interval of a drop in a probability ends at 100%."""
    found = row(
        Ablate((Component(0, 0),), "zero", "drop_in", "answer_prob"), values(8, 2, 0, 0.9), values(8, 2, 0, 0.01)
    )
    assert found["estimate"] <= found["high"] <= 1.0


def test_a_claim_that_only_observes_is_not_called_supported(tmp_path: Path) -> None:
    """It has no verdict, and meets its expectation."""
    found = entry(tmp_path, '  c: {claim: c, head: "0.0", prompts: numerals, attends: any -> n-1, observe: true}\n')
    assert found["verdict"] is None
    assert found["met"] is True
    assert found["checks"][0]["estimate"] > 0.9


def test_claims_are_not_measured_with_settings_nobody_wrote(tmp_path: Path) -> None:
    """A fault in sampling makes the suite's claims invalid, as a faulty model does."""
    claims = '  c: {claim: c, head: "0.0", prompts: numerals, attends: any -> n-1, at_least: 0.5}\n'
    found = entry(tmp_path, claims, "{min: 64, max: 8}")
    assert found["status"] == "invalid"
    assert "the suite's sampling has a fault (line 3)" in found["faults"][0]


def test_attention_rows_say_whether_the_model_does_the_task(tmp_path: Path) -> None:
    """Clean-task accuracy stands beside every check whose prompts have answers."""
    found = entry(tmp_path, '  c: {claim: c, head: "0.0", prompts: numerals, attends: any -> n-1, at_least: 0.5}\n')
    clean = found["checks"][0]["clean"]
    assert clean["top1"] == 1.0
    assert clean["logit_diff"] == 13.0


def test_the_corrupted_partner_is_shown_as_it_was_written(tmp_path: Path) -> None:
    """Its spaces are kept, also by a tokenizer that has none."""
    found = entry(tmp_path, '  c: {claim: c, head: "0.0", prompts: numerals, attends: any -> n-1, at_least: 0.5}\n')
    facts = found["prompts"]["numerals"]
    names = [word for word in facts["example"].split() if word.isalpha() and word != "is"]
    assert all(f"{name} is" in facts["corrupted"] for name in names)
    assert facts["corrupted"] != facts["example"]


def test_what_only_the_tokenizer_finds_is_located_in_the_suite(tmp_path: Path) -> None:
    """A wrong period and a partner of another length are faults with their line and a caret."""
    claims = (
        '  c: {claim: c, head: "0.0", attends: any -> n-1, at_least: 0.5,\n'
        "      prompts: {family: named_sequence, members: numerals, period: 9}}\n"
    )
    found = entry(tmp_path, claims)
    assert found["status"] == "invalid"
    text = found["faults"][0]
    assert text.startswith("s.yaml:8:16: ")
    assert "9" in text
    assert "period: 9}}" in text
    assert "^^^" in text


def test_a_front_page_without_any_measurement() -> None:
    """A report in which everything was skipped says that nothing was measured."""
    from circuits.report.markdown import front_page

    skipped = {"id": "c", "file": "s.yaml", "suite": "s", "claim": "c", "status": "skipped", "run": "1", "checks": []}
    record = {"format": 1, "runs": {"1": {}}, "models": {}, "claims": {"s.yaml::c": skipped}}
    assert "Nothing was measured yet." in front_page(record, {"s.yaml": [skipped]}, rows="")


def test_a_head_that_writes_nothing_is_never_the_one(tmp_path: Path) -> None:
    """It has no score, so it neither stands for "some head" nor makes the claim unmeasurable."""
    found = entry(tmp_path, "  c: {claim: c, heads: {any: all}, score: successor, members: numerals, observe: true}\n")
    assert found["checks"][0]["estimate"] == 1.0
    claims = '  c: {claim: c, heads: {any: ["1.3", "2.0"]}, score: successor, members: numerals, at_least: 0.5}\n'
    found = entry(tmp_path, claims)
    assert (found["verdict"], found["checks"][0]["head"], found["checks"][0]["estimate"]) == ("refuted", "2.0", 0.0)
    assert "1 of 2 heads have no score: they write nothing" in found["checks"][0]["warnings"]
    claims = '  c: {claim: c, head: "1.3", score: copying, members: numerals, at_most: 0.5}\n'
    assert entry(tmp_path, claims)["verdict"] == "unmeasurable", "a score of nothing is no score of 0"


def drawn(tmp_path: Path, claims: str) -> list[Any]:
    """The figures of a claim's rows."""
    path, figures = tmp_path / "s.yaml", []
    path.write_text(ABOUT.format(sampling="{max: 8}") + claims)
    item = items_of(load(path, knowledge(), "s.yaml"), tmp_path)[0]

    def draw(figure: Any, name: str) -> str:
        figures.append(figure)
        return name

    Evaluator(Options(), draw=draw).evaluate(item)
    return [figure for figure in figures if type(figure).__name__ == "ScoreFigure"]


def test_the_highest_cells_are_outlined_on_a_map_of_all_heads(tmp_path: Path) -> None:
    """top: k of attention and of ablations, and scores from weights, have a layer x head map (N15)."""
    top = drawn(tmp_path, '  c: {claim: c, head: "0.1", prompts: numerals, attends: "any[late] -> n-3", top: 2}\n')
    assert top[0].values.shape == (3, 4)
    assert top[0].claimed == ((0, 1),), "the claimed head is told apart from the others of the two"
    best = sorted(np.ndindex(3, 4), key=lambda place: -top[0].values[place])[:2]
    assert {*top[0].claimed, *top[0].beside} == set(best)
    assert top[0].why_beside == "the others of the 2 highest"
    ablated = drawn(
        tmp_path, '  c: {claim: c, prompts: numerals, ablate: "0.0", method: zero, drop_in: logit_diff, top: 1}\n'
    )
    assert ablated[0].claimed == ((0, 0),)
    assert np.isfinite(ablated[0].values).all()
    (weights,) = drawn(tmp_path, '  c: {claim: c, head: "2.0", score: copying, members: numerals, at_least: 0.9}\n')
    assert weights.claimed == ((2, 0),)
    assert weights.values[2, 0] == 1
    assert np.isnan(weights.values[1, 3]), "1.3 writes nothing"


def test_the_text_of_a_figure_names_both_sides_of_a_comparison(tmp_path: Path) -> None:
    """The other selector, and where it lies in another pattern its head; without a comparison there is nothing of it."""
    path = tmp_path / "s.yaml"
    checks = (
        "attends: any -> n-3, at_least: 0.4",
        "attends: any -> n-3, more_than: any -> n-1, by_at_least: 0.1",
        'attends: any -> n-3, more_than: {attends: any -> n-1, head: "0.2"}, by_at_least: 0.1',
    )
    listed = "".join(f"\n    - {{{each}}}" for each in checks)
    path.write_text(
        ABOUT.format(sampling="{max: 8}") + f'  c:\n    head: "0.1"\n    prompts: numerals\n    checks:{listed}\n'
    )
    item = items_of(load(path, knowledge(), "s.yaml"), tmp_path)[0]
    rows = Evaluator(Options(permuted=0), draw=lambda figure, name: name).evaluate(item).entry["checks"]
    begun = "mean attention pattern of head 0.1 on numerals, cells of any -> n-3"
    assert [row["figure"]["alt"] for row in rows] == [
        f"{begun} outlined",
        f"{begun} and of any -> n-1 (compared) outlined",
        f"{begun} outlined; compared with any -> n-1 of head 0.2",
    ]


def test_a_skipped_claim_keeps_what_was_asked_and_reported(tmp_path: Path) -> None:
    """Published values stand in results.json and on the page though nothing was measured."""
    from circuits.report.suite_page import suite_page

    claims = (
        '  c: {claim: c, head: "9.1", score: successor, members: numerals, at_least: 0.5,\n'
        '      reported: {value: 0.874, source: "arXiv 2311.04131"}}\n'
    )
    path = tmp_path / "s.yaml"
    path.write_text(ABOUT.replace("reference", "{{path: nowhere}}").format(sampling="{max: 8}") + claims)
    item = items_of(load(path, knowledge(), "s.yaml"), tmp_path)[0]
    found = Evaluator(Options()).evaluate(item).entry
    assert found["status"] == "skipped"
    (row,) = found["checks"]
    assert (row["estimate"], row["n"], row["verdict"], row["bound"]) == (None, None, None, "at_least 0.5")
    assert row["reported"]["value"] == 0.874
    drop = '  c: {claim: c, prompts: numerals, ablate: "0.1", drop_in: logit_diff, top: 1, reported: {value: 91.9%, source: s}}\n'
    path.write_text(ABOUT.replace("reference", "{{path: nowhere}}").format(sampling="{max: 8}") + drop)
    item = items_of(load(path, knowledge(), "s.yaml"), tmp_path)[0]
    assert "91.9% (s)" in suite_page("s.yaml", [Evaluator(Options()).evaluate(item).entry], {})
    assert "0.874 (arXiv 2311.04131)" in suite_page("s.yaml", [found], {})
