"""The benchmarks run, and what they print has the form that others read."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    return found


def test_calibration_prints_its_cells(capsys: pytest.CaptureFixture[str]) -> None:
    """Every key of a cell; rates between 0 and 1; what is plainly inside or outside is never judged wrongly here."""
    calibration = module("calibration")
    arguments = ["--json", "--runs", "12", "--only", "share", "--processes", "1"]
    assert calibration.main(arguments) == 0
    cells = json.loads(capsys.readouterr().out)["cells"]
    assert len(cells) == 3
    for cell in cells:
        assert set(cell) == {
            "distribution", "form", "truth", "bound", "confidence", "runs", "guaranteed", "false_supported",
            "false_refuted", "inconclusive", "mean_n", "bare_threshold_false",
        }  # fmt: skip
        rates = [cell[key] for key in ("false_supported", "false_refuted", "inconclusive", "bare_threshold_false")]
        assert all(0.0 <= rate <= 1.0 for rate in rates)
        assert 32 <= cell["mean_n"] <= 512
    assert [cell["inconclusive"] for cell in cells][1:] == [0.0, 0.0]


def test_simulated_values_have_the_mean_that_is_said() -> None:
    """Each distribution of each form: the mean of many values is the truth, to four standard errors."""
    calibration = module("calibration")
    rng = np.random.default_rng(5)
    for form, distribution, truth in calibration.cells():
        values = form.draw(rng, distribution, truth, 40_000)
        assert form.estimate(values) == pytest.approx(truth, abs=0.05), (form.name, distribution)
        if form.guaranteed and form.name.startswith("mean at"):
            error = 4 * values[0].std() / 200
            assert values[0].mean() == pytest.approx(truth, abs=max(error, 1e-3))


def test_a_cell_that_is_wrong_too_often_is_found() -> None:
    """Three standard errors above what is promised, in guaranteed cells only."""
    calibration = module("calibration")

    def cell(rate: float, guaranteed: bool) -> object:
        return calibration.Cell("d", "f", 0.4, 0.4, 0.95, 2000, guaranteed, rate, 0.0, 0.0, 100.0, 0.5)

    assert calibration.too_often(cell(0.04, True))
    assert not calibration.too_often(cell(0.03, True))
    assert not calibration.too_often(cell(0.4, False))


def test_planted_claims_are_true_and_false_by_turns() -> None:
    """Bounds on either side of each quantity, none outside its range."""
    planted = module("planted")
    values = {each.name: 0.6 if each.known is None else each.known for each in planted.PLANTED}
    claims = planted.planted_claims(values)
    truths = {(claim[3].partition(":")[0], claim[4]) for claim in claims}
    assert truths == {(kind, true) for kind in ("at_least", "at_most", "by_at_least") for true in (True, False)}
    for _, _, check, bound, true, name in claims:
        kind, at = bound.split(": ")
        holds = values[name] <= float(at) if kind == "at_most" else values[name] >= float(at)
        assert holds is true, check


SPEED = """\
suite: Small
model: reference
prompts: {numerals: {family: named_sequence, members: numerals}}
claims:
  looks: {claim: a, heads: ["0.0", "0.1"], prompts: numerals, attends: any -> n-1, at_least: 0.6}
  helps: {claim: b, prompts: numerals, ablate: ["1.2", "2.1"], drop_in: logit_diff, at_least: 50%}
  zeroed: {claim: c, prompts: numerals, ablate: "2.1", method: zero, change_in: answer_prob, at_most: 0.5}
  swapped: {claim: d, prompts: numerals, ablate: "2.1", method: resample, after: logit_diff, at_least: -100}
  left-out: {claim: e, head: "0.0", prompts: numerals, attends: any -> n-1, top: 1}
"""


def test_speed_compares_what_it_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plain path and the engine come to the same estimates; every figure that is promised is there; operations are counted."""
    speed = module("speed")
    monkeypatch.setattr(speed, "SUITES", tmp_path)
    (tmp_path / "small.yaml").write_text(SPEED)
    said: list[str] = []
    found = speed.measure(["small"], 40, ["pytest", "memory", "growth"], said.append)
    assert (found["claims"], found["rows"], found["most"]) == (4, 5, 40)
    assert found["max_abs_difference"] < 1e-4
    assert set(found["ratio"]) == {"plain_over_engine", "plain_over_engine_early_stop"}
    assert all(value > 0 for value in (*found["ratio"].values(), found["flops"], found["utilisation"]))
    assert set(found["seconds"]) >= {"plain", "engine", "engine_early_stop"}
    assert found["same_verdicts"] == 1.0
    assert 32 <= found["mean_n"] <= 40
    assert isinstance(found["marginal_claim_ms"], float)
    assert len(said) >= 4


def test_speed_fails_where_the_estimates_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain path that measures something else is no comparison."""
    speed = module("speed")
    monkeypatch.setattr(speed, "measure", lambda *_: {"max_abs_difference": 2e-4, "ratio": {}})
    monkeypatch.setattr(sys, "argv", ["speed.py"])
    assert speed.main() == 1
    monkeypatch.setattr(speed, "measure", lambda *_: {"max_abs_difference": 2e-5, "ratio": {}})
    assert speed.main() == 0


def test_figures_are_counted_timed_and_weighed(capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each kind of figure, in the shares of the reference suite, and all of them together."""
    assert module("figures").main(["--json", "--claims", "4"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["figures"] for each in found["kinds"].values()] == [4, 2, 2, 1, 1, 1, 1]
    assert found["all"]["figures"] == 12
    assert all(0 < each["seconds"] < 60 and each["bytes"] > 1000 for each in found["kinds"].values())
