"""Prompts in blocks: a fixed grid, whole cycles, and values that depend on nothing but the prompts themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from circuits.evaluate import Evaluator, Options, items_of, knowledge, load
from circuits.measure.series import cycle_of, grid

SUITE = """\
suite: Blocks
model: reference
sampling: {{min: {least}, max: {most}}}
prompts:
  numerals: {{family: named_sequence, members: numerals}}
  done_in: {{family: interspersed_sequence, members: numerals}}
  ioi: {{family: ioi}}
claims:
"""
CLAIMS = {
    "far": '{claim: a, head: "1.1", prompts: done_in, attends: member -> earlier member, more_than: member -> previous member, by_at_least: 0.1}',
    "near": '{claim: b, head: "1.1", prompts: done_in, attends: member -> earlier member, more_than: member -> previous member, by_at_least: 0.33}',
    "other": '{claim: c, head: "0.0", prompts: done_in, attends: any -> n-1, at_least: 0.8}',
    "drop": '{claim: d, ablate: ["1.2", "2.1"], method: zero, prompts: numerals, drop_in: logit_diff, at_least: 136%}',
    "names": '{claim: e, head: "0.2", prompts: ioi, attends: end -> first, at_least: 0.5}',
}


@given(st.integers(1, 20), st.integers(1, 2000))
def test_blocks_cover_all_prompts_and_end_with_cycles(cycle: int, total: int) -> None:
    """One after the other, without gaps; a longer series begins with the blocks of the shorter one."""
    blocks = list(grid(cycle, total))
    assert [first for first, _ in blocks] == [sum(count for _, count in blocks[:k]) for k in range(len(blocks))]
    assert sum(count for _, count in blocks) == total
    assert all((first + count) % cycle == 0 for first, count in blocks[:-1])
    longer = list(grid(cycle, 2 * total))
    assert longer[: len(blocks) - 1] == blocks[:-1]
    assert blocks[0][1] == total or blocks[0][1] >= 32


def test_fixed_numbers_that_are_no_whole_cycles_promise_nothing(tmp_path: Path) -> None:
    """40 prompts are cut to three cycles of twelve templates; 8 do not show them all, and the row says so."""
    whole = run(tmp_path, ["names"], n=40)["names"]["checks"][0]  # type: ignore[index]
    assert (whole["n"], whole["guaranteed"]) == (36, True)
    few = run(tmp_path, ["names"], n=8)["names"]["checks"][0]  # type: ignore[index]
    assert (few["n"], few["guaranteed"], few["interval"]) == (8, False, "betting")
    assert "all 12 templates" in few["assumption"]


def test_an_observed_row_is_no_sample_of_a_fixed_size(tmp_path: Path) -> None:
    """Its number of prompts is that of the claim's other rows, which their values decided."""
    CLAIMS["seen"] = (
        "{claim: f, prompts: numerals, checks: [{ablate: '1.2', method: zero, drop_in: logit_diff, at_most: 20%},"
        " {ablate: '1.2', method: zero, after: top1, observe: true}]}"
    )
    judged, observed = run(tmp_path, ["seen"])["seen"]["checks"]  # type: ignore[misc]
    assert observed["n"] == judged["n"] < 96
    assert observed["interval"] == "betting"


def test_what_is_left_of_used_prompts_is_no_census(tmp_path: Path) -> None:
    """Prompts of a small family without those of another seed are a sample of it; two sizes have their own prompts."""
    path = tmp_path / "small.yaml"
    path.write_text(
        "suite: S\nmodel: reference\nsampling: {min: 8, max: 40}\nprompts:\n"
        "  p: {family: named_sequence, members: ['1', '2', '3', '4', '5'], length: 2}\n"
        "claims:\n  c: {claim: c, head: '0.0', prompts: p, attends: any -> n-1, at_least: 0.5}\n"
    )
    items = items_of(load(path, knowledge(), "small.yaml"), tmp_path)
    assert not items[0].claim.faults
    row = Evaluator(Options(seed=1, unseen=(5,))).evaluate(items[0]).entry["checks"][0]
    assert row["interval"] == "betting"


def test_cycles_are_found() -> None:
    """Templates that come round in a fixed order are a cycle; one template, or a random order, is none."""
    assert cycle_of(["a", "b", "c"] * 5) == 3
    assert cycle_of(["a", "b", "c", "a"]) == 3
    assert cycle_of(["a"] * 9) == 1
    assert cycle_of(["a", "b", "b", "a", "a", "b"]) == 1
    assert cycle_of(["a", "b", "c"]) == 1


def run(
    tmp_path: Path, names: list[str], least: int = 32, most: int = 96, **options: int
) -> dict[str, dict[str, object]]:
    path = tmp_path / "blocks.yaml"
    path.write_text(SUITE.format(least=least, most=most) + "".join(f"  {name}: {CLAIMS[name]}\n" for name in names))
    items = items_of(load(path, knowledge(), "blocks.yaml"), tmp_path)
    evaluator = Evaluator(Options(**options))  # type: ignore[arg-type]
    evaluator.plan(items)
    return {item.claim.id: evaluator.evaluate(item).entry for item in items}


def without(entry: dict[str, object]) -> dict[str, object]:
    """An entry without its place in the file."""
    found = {key: value for key, value in entry.items() if key not in ("line", "yaml", "digest", "cached", "status")}
    return found | {"checks": [{k: v for k, v in row.items() if k != "line"} for row in entry["checks"]]}  # type: ignore[attr-defined]


def test_a_claim_is_the_same_alone_and_among_others_in_any_order(tmp_path: Path) -> None:
    """Verdict, n, estimate and interval to the last digit."""
    together = run(tmp_path, list(CLAIMS))
    backwards = run(tmp_path, list(reversed(CLAIMS)))
    for name in CLAIMS:
        alone = run(tmp_path, [name])[name]
        assert without(alone) == without(together[name]) == without(backwards[name])


def test_sampling_stops_at_the_first_verdict(tmp_path: Path) -> None:
    """What is plain stops at the first look, what is close goes on to the last, with whole cycles of templates."""
    found = {name: entry["checks"][0] for name, entry in run(tmp_path, list(CLAIMS)).items()}  # type: ignore[index]
    assert (found["other"]["n"], found["other"]["looks"]) == (32, 1)
    assert found["near"]["n"] > found["far"]["n"] or found["near"]["verdict"] != "inconclusive"
    assert found["names"]["n"] == 36  # three cycles of twelve templates
    later = run(tmp_path, ["other"], least=40)["other"]["checks"][0]  # type: ignore[index]
    assert later["n"] == 64
    fixed = run(tmp_path, ["other"], n=20)["other"]["checks"][0]  # type: ignore[index]
    assert (fixed["n"], fixed["looks"]) == (20, 1)


def test_values_do_not_depend_on_how_many_prompts_may_be_drawn(tmp_path: Path) -> None:
    """The same row, whatever max is, as long as it is not reached."""
    small, large = (run(tmp_path, ["other", "far"], most=most) for most in (64, 512))
    for name in ("other", "far"):
        one, two = (entry[name]["checks"][0] for entry in (small, large))  # type: ignore[index]
        assert {k: v for k, v in one.items() if k != "most"} == {k: v for k, v in two.items() if k != "most"}


def test_values_of_blocks_are_those_of_all_prompts_at_once(tmp_path: Path) -> None:
    """96 prompts measured in blocks have the mean of 96 prompts measured by one look (to float32 rounding)."""
    blocks = run(tmp_path, ["drop"], least=96, most=96)["drop"]["checks"][0]  # type: ignore[index]
    once = run(tmp_path, ["drop"], n=96)["drop"]["checks"][0]  # type: ignore[index]
    assert blocks["n"] == once["n"] == 96
    assert blocks["estimate"] == pytest.approx(once["estimate"], abs=1e-6)
    assert np.isfinite(blocks["estimate"])
