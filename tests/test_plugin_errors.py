"""What a user gets wrong is one line; what the program gets wrong fails one item, with its traceback."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from tests_of_plugin import GONE, GOOD, NOWHERE, SMALL, project, results

pytestmark = pytest.mark.usefixtures("warm")


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {**NOWHERE, "HF_HOME": str(tmp_path / "hf"), "COLUMNS": "120"}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--circuit-model=gpt2"], "--circuit-model gpt2: write NAME=PLACE, such as gpt2=/models/gpt2*"),
        (["--circuit-model=gpt2=/nowhere"], "--circuit-model gpt2=/nowhere: there is no such folder or .gguf file"),
        (["--circuit-model=gpt2=."], "--circuit-model gpt2=.: the folder has no config.json*"),
        (["--circuit-model=own/model=/nowhere"], "--circuit-model own/model=/nowhere: there is no such folder*"),
        (["--circuit-dtype=wat"], "--circuit-dtype: unknown dtype 'wat'; *float32*"),
        (["--circuit-dtype=flaot32"], "--circuit-dtype: unknown dtype 'flaot32'; did you mean 'float32'[?]"),
        (["--circuit-device=gpu"], "--circuit-device: 'gpu' is none of auto, cpu, cuda, cuda:N, mps"),
        (["--circuit-device=cuda:99"], "--circuit-device: device 'cuda:99' is not here: *use auto or cpu"),
        (["--circuit-n=0"], "--circuit-n must be at least 1, not 0"),
        (["--circuit-seed=-1"], "--circuit-seed must be at least 0, not -1"),
        (["--circuit-batch-tokens=0"], "--circuit-batch-tokens must be at least 1, not 0"),
        (["-o", "circuit_batch_tokens=many"], "the ini value circuit_batch_tokens must be a whole number*'many'"),
        (["-o", "circuit_dtype=wat"], "the ini value circuit_dtype: unknown dtype 'wat'*"),
        (["-o", "circuit_device=gpu"], "the ini value circuit_device: 'gpu' is none of *"),
        (["-o", "circuit_model=gpt2"], "--circuit-model gpt2: write NAME=PLACE*"),
    ],
)
def test_an_impossible_option_is_a_usage_error(pytester: pytest.Pytester, arguments: list[str], message: str) -> None:
    """Exit status 4 and one line that says what is wrong and what would be right."""
    project(pytester.path, good=GOOD)
    result = pytester.runpytest_inprocess(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {message}"])
    assert "Traceback" not in result.stderr.str() + result.stdout.str()
    assert sum(bool(line.strip()) for line in result.errlines) == 1


def test_an_option_that_is_no_number_is_argparses_error(pytester: pytest.Pytester) -> None:
    """--circuit-n x is refused with the usage."""
    result = pytester.runpytest_inprocess("--circuit-n=x")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*argument --circuit-n: invalid int value: 'x'"])


def test_a_device_of_the_ini_file_that_is_not_here_fails_claims_only(pytester: pytest.Pytester) -> None:
    """An ini file is shared between machines: other tests run, and each claim says in one line what is missing."""
    project(pytester.path, small=SMALL)
    pytester.makepyfile(test_plain="def test_plain(): pass\n")
    result = pytester.runpytest_inprocess("-o", "circuit_device=cuda:99")
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["ERROR: device 'cuda:99' is not here: PyTorch sees * CUDA devices; use auto or cpu"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_auto_is_recorded_as_the_device_it_found(pytester: pytest.Pytester) -> None:
    """The report says cpu, cuda or mps, never auto."""
    project(pytester.path, good=GOOD)
    pytester.runpytest_inprocess("--circuit-device=auto").assert_outcomes(passed=1)
    (run,) = results(pytester.path)["runs"].values()
    assert run["device"].partition(":")[0] in ("cpu", "cuda", "mps")


def test_a_model_place_that_nobody_needs_is_said(pytester: pytest.Pytester) -> None:
    """A misspelt name in --circuit-model would otherwise go unnoticed."""
    project(pytester.path, good=GOOD)
    (pytester.path / "weights").mkdir()
    result = pytester.runpytest_inprocess("--circuit-model=gtp2=weights")
    result.stdout.fnmatch_lines(["--circuit-model gtp2=...: no claim of this run has that model"])


@pytest.mark.filterwarnings("ignore::pytest.PytestCacheWarning")
def test_a_cache_that_cannot_be_written_is_no_reason_to_stop(pytester: pytest.Pytester) -> None:
    """The claims are measured, and it is said that nothing is kept."""
    project(pytester.path, good=GOOD)
    Path(os.environ["CIRCUITS_VALUES"]).write_text("in the way")
    result = pytester.runpytest_inprocess()
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["1 claim: 1 measured; all as expected"])
    result.stdout.fnmatch_lines(["nothing is cached: */kept/values: Not a directory"])


def test_missing_weights_take_two_seconds_at_most(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the hub does not answer at all; and the run is a success."""
    import socket

    server = socket.create_server(("127.0.0.1", 0))  # takes connections and says nothing
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
    project(pytester.path, gone=GONE)
    began = time.monotonic()
    result = pytester.runpytest_inprocess()
    seconds = time.monotonic() - began
    server.close()
    result.assert_outcomes(skipped=2)
    assert result.ret == pytest.ExitCode.OK
    assert seconds < 4  # two of them for the probe
    result.stdout.fnmatch_lines(["SKIPPED 2 claims: gpt2: the Hugging Face hub cannot be reached*"])
    result.stdout.fnmatch_lines(["2 claims: 2 skipped; all as expected"])


def test_a_bug_in_one_claim_leaves_the_others_alone(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """It fails with pytest's traceback and stands in the record as an error; the others keep their results."""
    from circuits.kinds import attends

    whole = attends.attention_row

    def broken(row: dict[str, Any], *arguments: Any) -> Any:
        if row["head"] == "0.1":
            raise ZeroDivisionError("a bug")
        return whole(row, *arguments)

    monkeypatch.setattr(attends, "attention_row", broken)
    project(pytester.path, small=SMALL)
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["E * ZeroDivisionError: a bug", "*test_plugin_errors.py:*: ZeroDivisionError"])
    result.stdout.fnmatch_lines(
        ["  SUPPORTED     yes", "  ERROR         no", "*internal error, please report it: *a bug"]
    )
    result.stdout.fnmatch_lines(["2 claims: 1 measured, 1 error; 1 not as expected"])
    claims = results(pytester.path)["claims"]
    assert claims["hypotheses/small.yaml::yes"]["verdict"] == "supported"
    entry = claims["hypotheses/small.yaml::no"]
    assert (entry["status"], entry["verdict"], entry["met"]) == ("error", "unmeasurable", False)
    assert entry["reason"] == "internal error, please report it: ZeroDivisionError: a bug"
    assert "pluggy" not in result.stdout.str().split("FAILURES")[1]


def test_a_bug_while_planning_is_met_by_its_own_claim(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planning goes through all claims before the first is measured: a bug there must not fail the first."""
    from circuits.evaluate import Evaluator

    whole = Evaluator._cells

    def broken(self: Evaluator, item: Any) -> Any:
        if item.claim.id == "no":
            raise ZeroDivisionError("a bug")
        return whole(self, item)

    monkeypatch.setattr(Evaluator, "_cells", broken)
    project(pytester.path, small=SMALL)
    pytester.runpytest_inprocess().assert_outcomes(passed=1, failed=1)
    assert results(pytester.path)["claims"]["hypotheses/small.yaml::yes"]["verdict"] == "supported"


def test_a_bug_in_the_loader_fails_that_suite_only(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """A collection error would interrupt the whole session; this is one failing item."""
    import circuits.items

    whole = circuits.items.load

    def broken(path: Path, *arguments: Any) -> Any:
        if path.name == "small.yaml":
            raise ZeroDivisionError("a bug")
        return whole(path, *arguments)

    monkeypatch.setattr(circuits.items, "load", broken)
    project(pytester.path, small=SMALL, good=GOOD)
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["FAILED hypotheses/small.yaml::(suite) - ZeroDivisionError: a bug"])


def test_a_family_that_cannot_be_loaded_is_one_line(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken plugin of somebody else is an error without a traceback."""
    import circuits.items
    from circuits.errors import CircuitsError

    def broken(*_: object) -> None:
        raise CircuitsError("the prompt family from the entry point 'mine' cannot be loaded: no")

    monkeypatch.setattr(circuits.items, "knowledge", broken)
    project(pytester.path, good=GOOD)
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["ERROR: the prompt family from the entry point 'mine' cannot be loaded: no"])
    result.stdout.no_fnmatch_line("*Traceback*")


@pytest.mark.parametrize(
    "text", [b"- a\n- b\n", b"", b"suite: \xff\xfe\n", b"suite: X\n\tmodel: reference\n", b"a: &a [*a]\n"]
)
def test_a_file_that_is_no_suite_fails_with_its_place(pytester: pytest.Pytester, text: bytes) -> None:
    """Whatever a YAML file in the suites folder holds: failing items with a place, exit status 1, no traceback."""
    project(pytester.path, good=GOOD)
    (pytester.path / "hypotheses" / "odd.yaml").write_bytes(text)
    result = pytester.runpytest_inprocess()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.parseoutcomes()["passed"] == 1
    result.stdout.fnmatch_lines(["INVALID: *", "hypotheses/odd.yaml:*:*: *", "FAILED hypotheses/odd.yaml::*"])
    result.stdout.no_fnmatch_line("*Traceback*")
