"""What only a whole run tells: discoveries, prompts never used before, flipped verdicts, vacuous claims."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests_of_plugin import NOWHERE, project, results

from circuits.plugin.fresh import new_seed, used_seeds
from circuits.report.record import flips
from circuits.verdict.discoveries import e_bh, expected_log_e, with_discoveries

pytestmark = pytest.mark.usefixtures("warm")

SUITE = """\
suite: Whole
model: reference
sampling: {min: 8, max: 64}
prompts:
  numerals: {family: named_sequence, members: numerals}
claims:
  yes:
    claim: 0.0 attends to the previous token.
    head: "0.0"
    prompts: numerals
    attends: any -> n-1
    at_least: 0.8
  no:
    claim: 0.3 attends to the previous token (known to be false).
    head: "0.3"
    prompts: numerals
    expect: refuted
    attends: any -> n-1
    at_least: 0.5
  vacuous:
    claim: 2.2 attends to something.
    head: "2.2"
    prompts: numerals
    attends: any[late] -> any
    at_least: 0.3
"""


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in NOWHERE.items():
        monkeypatch.setenv(name, value)


def entries(path: Path) -> dict[str, dict[str, object]]:
    return {name.split("::")[1]: entry for name, entry in results(path)["claims"].items()}


# -- e-BH --------------------------------------------------------------------------------------------------


def test_e_bh_by_hand() -> None:
    """Four claims at alpha .1: thresholds 40, 20, 13.3 and 10 for the 1st to 4th largest e-value."""
    logs = {name: math.log(e) for name, e in {"a": 41.0, "b": 15.0, "c": 14.0, "d": 2.0}.items()}
    assert e_bh(logs, 0.1) == {"a", "b", "c"}  # 14 >= 13.3, although 15 < 20
    assert e_bh(logs | {"c": math.log(13.0)}, 0.1) == {"a"}
    assert e_bh({"a": math.inf, "b": -math.inf}, 0.05) == {"a"}
    assert e_bh({}, 0.05) == frozenset()
    with pytest.raises(ValueError, match="between 0 and 1"):
        e_bh(logs, 1.0)


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.floats(-5, 12), max_size=12), st.floats(0.01, 0.5))
def test_e_bh_is_the_largest_set_that_its_rule_allows(logs: dict[str, float], alpha: float) -> None:
    """Every kept e-value is at least m / (alpha k), and no larger set would satisfy that."""
    kept, m = e_bh(logs, alpha), len(logs)
    assert all(logs[name] >= math.log(m / (alpha * len(kept))) for name in kept)
    ordered = sorted(logs.values(), reverse=True)
    for k in range(len(kept) + 1, m + 1):
        assert ordered[k - 1] < math.log(m / (alpha * k))


def test_what_is_tested_is_what_was_expected() -> None:
    """A known negative is tested by its e-value against; skipped claims and those that assert nothing are not."""
    e = {"for": 1.0, "against": 5.0}
    assert expected_log_e({"status": "measured", "expected": "supported", "log_e": e}) == 1.0
    assert expected_log_e({"status": "cached", "expected": "check 2 refuted", "log_e": e}) == 5.0
    assert (
        expected_log_e({"status": "measured", "expected": "refuted", "log_e": {"for": 1.0, "against": None}})
        == -math.inf
    )
    assert expected_log_e({"status": "measured", "expected": "{refuted: [2]}", "log_e": e}) == 5.0
    assert expected_log_e({"status": "measured", "expected": "{xfail: not refuted}", "log_e": e}) == 1.0
    assert expected_log_e({"status": "skipped", "expected": "supported", "log_e": None}) is None
    found = with_discoveries(
        {"x": {"status": "measured", "expected": "supported", "log_e": e}, "y": {"status": "skipped"}}, 0.05
    )
    assert found["x"]["fdr"] == {"alpha": 0.05, "claims": 1, "discovery": False}
    assert found["y"]["fdr"] is None


def test_fdr_goes_on_until_every_claim_could_be_kept(pytester: pytest.Pytester) -> None:
    """Sampling goes on to m/alpha, and the discoveries are told and recorded."""
    project(pytester.path, whole=SUITE)
    pytester.runpytest_inprocess()
    plain = entries(pytester.path)
    result = pytester.runpytest_inprocess("--circuit-fdr=0.001")
    result.stdout.fnmatch_lines(["3 of 3 claims are discoveries at a false discovery rate of 0.001 (e-BH)"])
    found = entries(pytester.path)
    need = math.log(3 / 0.001)
    for name, side in (("yes", "for"), ("no", "against"), ("vacuous", "for")):
        assert plain[name].get("fdr") is None
        assert found[name]["fdr"] == {"alpha": 0.001, "claims": 3, "discovery": True}
        assert found[name]["log_e"][side] >= need  # type: ignore[index]
        assert found[name]["verdict"] == plain[name]["verdict"]
    assert plain["yes"]["log_e"]["for"] < need  # type: ignore[index]
    assert found["yes"]["checks"][0]["n"] > plain["yes"]["checks"][0]["n"]  # type: ignore[index]
    assert pytester.runpytest_inprocess("--circuit-fdr=1").ret == pytest.ExitCode.USAGE_ERROR
    swallowed = pytester.runpytest_inprocess("--circuit-fdr", "hypotheses")
    assert swallowed.ret == pytest.ExitCode.USAGE_ERROR
    swallowed.stderr.fnmatch_lines(
        ["*'hypotheses' is no number between 0 and 1; before a path write --circuit-fdr=0.05*"]
    )


# -- prompts never used before -------------------------------------------------------------------------


def test_fresh_prompts_have_a_new_recorded_seed(pytester: pytest.Pytester) -> None:
    """Each run has a seed that no run had; a used one is refused; the seed stands in the record."""
    project(pytester.path, whole=SUITE)
    pytester.runpytest_inprocess()
    seeds = {entries(pytester.path)["yes"]["checks"][0]["seed"]}  # type: ignore[index]
    assert seeds == {0}
    refused = pytester.runpytest_inprocess("--circuit-fresh", "--circuit-seed=0")
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    refused.stderr.fnmatch_lines(["*seed 0 was used before*"])
    result = pytester.runpytest_inprocess("--circuit-fresh")
    seed = entries(pytester.path)["yes"]["checks"][0]["seed"]  # type: ignore[index]
    assert seed not in seeds
    result.stdout.fnmatch_lines([f"prompts never used before: seed {seed}"])
    assert seed in used_seeds(pytester.path / "reports")


def test_seeds_are_not_drawn_twice(tmp_path: Path) -> None:
    """A new seed is none of those that were used; without a readable record none was."""
    assert new_seed(range(100)) not in range(100)
    assert used_seeds(tmp_path) == ()
    assert used_seeds(None) == ()
    (tmp_path / "results.json").write_text("{}")
    assert used_seeds(tmp_path) == ()


def test_a_verdict_that_flips_is_named() -> None:
    """Only a decided verdict of the same YAML on other prompts can flip."""

    def entry(verdict: str, seed: int, yaml: str = "a", status: str = "measured") -> dict[str, object]:
        return {"verdict": verdict, "yaml": yaml, "status": status, "checks": [{"seed": seed}]}

    before = {name: entry("supported", 0) for name in "abcdef"} | {"g": entry("inconclusive", 0)}
    now = {
        "a": entry("refuted", 1), "b": entry("supported", 1), "c": entry("refuted", 0), "d": entry("refuted", 1, "b"),
        "e": entry("unmeasurable", 1, status="skipped"), "f": entry("inconclusive", 1), "g": entry("refuted", 1),
        "new": entry("refuted", 1),
    }  # fmt: skip
    assert flips(before, now) == {
        "a": {"from": "supported", "to": "refuted"},
        "f": {"from": "supported", "to": "inconclusive"},
    }


# -- vacuous claims ------------------------------------------------------------------------------------


def test_a_vacuous_claim_fails_when_strict(pytester: pytest.Pytester) -> None:
    """It passes with a flag otherwise; the failure says why."""
    project(pytester.path, whole=SUITE)
    assert pytester.runpytest_inprocess().ret == pytest.ExitCode.OK
    assert entries(pytester.path)["vacuous"]["vacuous"] is True
    result = pytester.runpytest_inprocess("--circuit-strict")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*VACUOUS: uniform attention satisfies every bound (--circuit-strict)*"])
    assert entries(pytester.path)["vacuous"]["met"] is False
