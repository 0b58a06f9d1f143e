"""The reference model through the whole pipeline: what was built in is what is measured, to the last digit."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from measuring import answer, rows, suite

from circuits.models.reference import HEADS
from circuits.prompts.registry import FAMILIES
from circuits.prompts.tokens import build, reference_prompts

N = 24
PROMPTS: dict[str, Any] = {
    "numbers": {"family": "named_sequence", "members": "numerals", "length": 4},
    "random": {"family": "repeated_tokens", "length": 20},
}
# head -> (selector, prompts, the value by construction); positions 1 .. n-1 are no BOS
BUILT: list[tuple[str, str, str, float]] = [
    ("0.0", "any -> n-1", "random", 1.0),
    ("0.1", "any -> n-3", "random", 1.0),
    ("0.2", "any -> bos", "random", 1.0),
    ("0.3", "any -> self", "random", 1.0),
    ("1.0", "any -> duplicate", "random", 1.0),
    ("1.0", "first_copy -> first", "random", 1.0),
    ("1.1", "member -> earlier member", "numbers", 1.0),
    ("1.1", "not member -> first", "numbers", 1.0),
    ("1.1", "member[4] -> member[2]", "numbers", 1 / 3),
    ("1.2", "end -> previous member", "numbers", 1.0),
    ("1.3", "any -> first", "numbers", 1.0),
    ("2.0", "second_copy -> induction", "random", 1.0),
    ("2.0", "end -> earlier member", "numbers", 1.0),
    ("2.0", "end -> member[1]", "numbers", 1 / 4),
    ("2.1", "any -> first", "numbers", 1.0),
    ("2.2", "end -> member", "numbers", 4 / 19),  # BOS, four items of four tokens, two more: 19 visible keys
    ("2.3", "any -> previous duplicate", "numbers", 1.0),
    ("2.3", "any -> induction", "numbers", 0.0),
]
# ablated, method -> logit difference of answer and last member; clean: 18 for the next numeral - 20/4 for copies
EDITS: list[tuple[list[str], str, float]] = [
    (["1.3"], "zero", 13.0),
    (["1.3"], "mean", 13.0),
    (["MLP2"], "zero", 13.0),
    (["MLP2"], "resample", 13.0),
    (["1.2"], "zero", 13.0),  # its backup takes over
    (["2.1"], "zero", 13.0),
    (["1.2", "2.1"], "zero", -5.0),
    (["2.0"], "zero", 18.0),
    (["2.0", "1.2", "2.1"], "zero", 0.0),
    (["0.0"], "zero", 0.0),
    (["0.0"], "mean", 13.0),
    (["MLP0"], "zero", -5.0),
    (["MLP1"], "zero", 31.0),  # both write
]


def measure(folder: Path, claims: dict[str, Any], **options: Any) -> dict[str, Any]:
    text = suite("reference", PROMPTS, claims, sampling={"min": 8, "max": N, "seed": 3})
    return answer(folder / "s.yaml", text, **options)[0]


def test_attention_is_what_was_built(tmp_path: Path) -> None:
    """Every head's mass on its target is the constructed one to 1e-4, and every head of the model is told."""
    asked = [{"head": head, "attends": form, "prompts": on, "at_least": 0.7} for head, form, on, _ in BUILT]
    asked += [{"head": "2.0", "score": "induction", "prompts": "random", "at_least": 0.7}]
    asked += [{"head": "1.0", "score": "duplicate_token", "prompts": "random", "at_least": 0.7}]
    asked += [{"head": "0.0", "score": "previous_token", "prompts": "random", "at_least": 0.7}]
    values = [value for *_, value in BUILT] + [1.0] * 3
    assert {head for head, *_ in BUILT} == set(HEADS)
    entries = measure(tmp_path, {f"c{i}": claim for i, claim in enumerate(asked)})
    for index, value in enumerate(values):
        (row,) = rows(entries[f"c{index}"])
        assert row["estimate"] == pytest.approx(value, abs=1e-4), asked[index]
        assert row["verdict"] == ("supported" if value == 1 else "refuted")
        assert row["n"] == N
        if value == 1:
            assert row["heads_passing"][0] >= 1
    scores = [rows(entries[f"c{len(BUILT) + place}"])[0] for place in range(3)]
    assert [row["heads_passing"] for row in scores] == [[1, 12], [2, 12], [1, 12]]  # 1.0 and 2.3 find the one copy
    # a block of 20 after BOS: row 21 .. 40 sees 22 .. 41 keys
    uniform = sum(1 / visible for visible in range(22, 42)) / 20
    assert all(row["uniform"] == pytest.approx(uniform, abs=1e-12) for row in scores)


def test_ablations_do_what_was_built(tmp_path: Path) -> None:
    """Logit differences after each ablation are the constructed ones, and drops their ratios to 13."""
    claims = {}
    for number, (parts, method, _) in enumerate(EDITS):
        base = {"ablate": parts, "method": method}
        checks = [{**base, "after": "logit_diff", "at_most": 100}, {**base, "drop_in": "logit_diff", "at_least": -9}]
        claims[f"c{number}"] = {"prompts": "numbers", "checks": [*checks, {**base, "after": "top1", "at_least": 0.5}]}
    entries = measure(tmp_path, claims)
    for number, (_, _, value) in enumerate(EDITS):
        after, drop, top1 = rows(entries[f"c{number}"])
        assert after["estimate"] == pytest.approx(value, abs=1e-3)
        assert after["baseline"]["clean"] == pytest.approx(13, abs=1e-3)
        assert drop["estimate"] == pytest.approx((13 - value) / 13, abs=1e-4)
        assert after["clean"]["top1"] == 1.0
        if value == 0:
            continue  # a tie with the foil; what else is on top is not built in
        assert top1["estimate"] == (1.0 if value > 0 else 0.0)
        assert top1["verdict"] == ("supported" if value > 0 else "refuted")
        assert bool(top1["fell_to"]) == (value < 0)
        if top1["fell_to"]:
            assert sum(count for _, count in top1["fell_to"]) <= N


def test_the_mean_is_that_of_the_reference_stream(tmp_path: Path) -> None:
    """Mean ablation of the successor pair leaves what counting the reference prompts' last members predicts."""
    from circuits.models.load import load
    from circuits.models.source import resolve

    claim = {"prompts": "numbers", "ablate": ["1.2", "2.1"], "after": "logit_diff", "at_most": 0}
    entries = measure(tmp_path, {"c": claim, "fewer": {**claim, "prompts": "numbers"}})
    (row,) = rows(entries["c"])
    tokenizer = load(resolve("reference")).tokenizer
    params = {key: value for key, value in PROMPTS["numbers"].items() if key != "family"}
    family = FAMILIES["named_sequence"]
    shown = build(family, params, tokenizer, 3, "prompts", N)
    template, length = shown[0].template, len(shown[0].ids)
    last = [tokenizer.decode(ids[-4]) for ids in reference_prompts(family, params, tokenizer, 3, template, length)]
    assert len(last) == row["reference"]["n"] == 128
    share = {member: count / 128 for member, count in Counter(last).items()}
    expected = []
    for prompt in shown:
        answer_, foil = (int(tokenizer.decode(token)) for token in (prompt.answers[0], prompt.foils[0]))
        written = {numeral: share.get(str(numeral - 1), 0.0) for numeral in (answer_, foil)}
        expected.append(-5 + 18 * (written[answer_] - written[foil]))
    assert row["estimate"] == pytest.approx(sum(expected) / N, abs=1e-3)
    assert row["verdict"] == "supported"


def test_a_task_that_the_model_does_not_do_is_unmeasurable_with_its_numbers(tmp_path: Path) -> None:
    """Months are not continued: the ablation is UNMEASURABLE, says so, and keeps estimate and baseline."""
    prompts = {"months": {"family": "named_sequence", "members": "months", "length": 3}}
    claims = {
        "plain": {"prompts": "months", "ablate": "2.0", "method": "zero", "after": "answer_prob", "at_most": 0.5},
        "allowed": {
            "prompts": "months",
            "checks": [
                {"ablate": "2.0", "method": "zero", "change_in": "kl", "at_most": 50, "requires": {"top5": 0}},
                {"ablate": "2.0", "method": "zero", "drop_in": "logit_diff", "at_most": 0.5, "requires": {"top5": 0}},
            ],
        },
    }
    text = suite("reference", prompts, claims, sampling={"min": 8, "max": N, "seed": 0})
    entries, _ = answer(tmp_path / "s.yaml", text)
    (row,) = rows(entries["plain"])
    assert row["verdict"] == "unmeasurable"
    assert "does not do this task surely enough: clean top1 is 0" in row["reason"]
    assert row["estimate"] is not None
    assert row["baseline"]["clean"] is not None
    assert row["clean"]["top1"] == 0.0
    assert entries["plain"]["verdict"] == "unmeasurable"
    assert entries["plain"]["reason"] == row["reason"]


def test_options_override_seed_and_number(tmp_path: Path) -> None:
    """--circuit-n and --circuit-seed replace the suite's; the prompts are a prefix of the same stream."""
    claims = {"c": {"prompts": "numbers", "head": "2.2", "attends": "end -> member[1] | member[2]", "at_least": 0.05}}
    few = rows(measure(tmp_path, claims, n=9)["c"])[0]
    other = rows(measure(tmp_path, claims, seed=4)["c"])[0]
    assert (few["n"], few["seed"], other["n"], other["seed"]) == (9, 3, N, 4)
    assert few["estimate"] == pytest.approx(2 / 19, abs=1e-4)
