"""Runs in processes of their own: xdist's workers, Ctrl-C, the cost of starting."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests_of_plugin import ALL, BROKEN, GONE, HEAD, TRUE, Run, environment, project, results, run_pytest

THREADS = """\
import json, os, pathlib, sys
from circuits.measure.cache import ValueCache

saved, save = [], ValueCache.save

def noted(self, key, arrays):
    if not {"json"} & set(arrays):  # what is said of prompts is no measurement
        saved.append(key)
    save(self, key, arrays)

ValueCache.save = noted

def pytest_sessionfinish(session):
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    torch = sys.modules.get("torch")
    if worker:
        ran = [item.name for item in session.items if getattr(item, "entry", None) is not None]
        facts = {"threads": torch.get_num_threads() if torch else None, "ran": ran, "saved": saved}
        pathlib.Path(f"{worker}.json").write_text(json.dumps(facts))
"""


@pytest.fixture(scope="module")
def spread(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The same suites as ``cold``, measured by two workers, started from a subfolder."""
    pytest.importorskip("xdist")
    folder = project(tmp_path_factory.mktemp("spread"), all=ALL, broken=BROKEN, gone=GONE)
    (folder / "conftest.py").write_text(THREADS)
    return run_pytest(folder, "-n", "2", "--junitxml=junit.xml", OMP_NUM_THREADS="")


def without_runs(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != "runs"}


def test_workers_find_what_one_process_finds(cold: Run, spread: Run) -> None:
    """Everything but the runs is the same in results.json: claims, models, figures; and so are the pages."""
    assert spread.status == cold.status == 1
    assert json.dumps(without_runs(spread.results), sort_keys=True) == json.dumps(
        without_runs(cold.results), sort_keys=True
    )
    one, two = (sorted(run.folder.glob("reports/hypotheses--*.md")) for run in (cold, spread))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
    assert len(one) == 3
    names = [sorted(path.name for path in run.folder.glob("reports/figures/*.png")) for run in (cold, spread)]
    assert names[0] == names[1] != []


def test_the_controller_reports(cold: Run, spread: Run) -> None:
    """One claims section, each claim once, with the same words; one line for all skips; JUnit parses."""
    section = [run.out.split("= claims =", 1)[1].split("= short test", 1)[0] for run in (cold, spread)]
    assert section[0].splitlines()[1:] == section[1].splitlines()[1:]
    assert spread.out.count("= claims =") == 1
    assert spread.verdicts() == cold.verdicts()
    for word in ("FAILED", "INCONCLUSIVE", "UNMEASURABLE"):
        short = [sorted(line for line in run.lines if line.startswith(f"{word} hypotheses/")) for run in (cold, spread)]
        assert short[0] == short[1] != []
    assert "1 inconclusive" in spread.lines[-1]
    assert "1 unmeasurable" in spread.lines[-1]
    import xml.etree.ElementTree as ET

    assert len(list(ET.parse(spread.folder / "junit.xml").getroot().iter("testcase"))) == 21


def test_nothing_is_measured_twice(spread: Run) -> None:
    """No two workers measure the same quantity: claims that share prompts run on one, and controls are shared out."""
    saved = [key for path in sorted(spread.folder.glob("gw*.json")) for key in json.loads(path.read_text())["saved"]]
    assert len(saved) > 20
    assert len(saved) == len(set(saved))


def test_a_worker_uses_its_share_of_threads_and_a_group_stays_together(spread: Run) -> None:
    """Two workers with all threads each are many times slower; claims of one pass run on one worker."""
    told = [json.loads(path.read_text()) for path in sorted(spread.folder.glob("gw*.json"))]
    assert len(told) == 2
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    assert {facts["threads"] for facts in told} - {None} == {max(1, cores // 2)}
    ran = [set(facts["ran"]) for facts in told]
    assert not ran[0] & ran[1]
    assert len(ran[0] | ran[1]) == 21
    together = {"good", "bad", "negative", "wrong-negative", "hoped", "surprise", "accepted"}
    assert together <= ran[0] or together <= ran[1]


SLOW = """\
import pathlib, time

def pytest_runtest_call(item):
    if item.name == "third":
        pathlib.Path("waiting").touch()
        time.sleep(60)
"""


def test_an_interrupted_run_keeps_what_was_finished(tmp_path: Path) -> None:
    """After Ctrl-C results.json holds the finished claims, and the next run takes them from the cache."""
    names = ("first", "second", "third", "fourth")
    claims = "".join(f"  {name}: {{claim: It is., {TRUE}}}\n" for name in names)
    folder = project(tmp_path, slow=f"suite: Slow\n{HEAD}claims:\n{claims}")
    (folder / "conftest.py").write_text(SLOW)
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest"], cwd=folder, env=environment(folder), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # what runs in the background ignores it
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while not (folder / "waiting").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == pytest.ExitCode.INTERRUPTED
    assert "KeyboardInterrupt" in out
    assert "2 claims: 2 measured; all as expected" in out
    found = results(folder)["claims"]
    assert {name.split("::")[1]: entry["status"] for name, entry in found.items()} == dict.fromkeys(
        names[:2], "measured"
    )
    (folder / "conftest.py").unlink()
    run = run_pytest(folder)
    assert run.status == 0
    # One pass had measured the question of all four claims.
    assert {name.split("::")[1]: entry["status"] for name, entry in run.results["claims"].items()} == dict.fromkeys(
        names, "cached"
    )
    assert {entry["run"] for name, entry in run.results["claims"].items() if name.endswith(("first", "second"))} == {
        "1"
    }


def test_starting_costs_next_to_nothing(tmp_path: Path) -> None:
    """pytest --version, --help and a session without suites import neither numpy nor yaml on our behalf."""
    code = (
        "import sys, pytest\n"
        "status = pytest.main(sys.argv[1:])\n"
        "heavy = {'numpy', 'yaml', 'torch', 'scipy', 'circuits.evaluate', 'circuits.claims.load'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))\n"
    )
    (tmp_path / "test_plain.py").write_text("def test_plain(): pass\n")
    (tmp_path / "compose.yaml").write_text("services: {}\n")
    for arguments in (["--version"], ["--help"], []):
        done = subprocess.run(
            [sys.executable, "-c", code, "-p", "no:jaxtyping", "-p", "no:hypothesispytest", *arguments],
            cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert "HEAVY []" in done.stdout, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_the_options_are_described(tmp_path: Path) -> None:
    """--help lists every option and ini value; --markers every marker."""
    text = run_pytest(tmp_path, "--help").out
    for name in (
        "report",
        "seed",
        "n",
        "device",
        "dtype",
        "batch-tokens",
        "model",
        "fresh",
        "no-cache",
        "fdr",
        "strict",
        "no-report",
    ):
        assert f"--circuit-{name}" in text
    for name in ("suites", "report", "device", "dtype", "batch_tokens", "model"):
        assert f"circuit_{name}" in text
    markers = run_pytest(tmp_path, "--markers").out
    for name in ("attends", "score", "ablate", "known_negative", "circuit_model(name)"):
        assert f"@pytest.mark.{name}: " in markers
