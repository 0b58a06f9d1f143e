"""Fixtures of all tests; pytester runs pytest inside a test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings
from tests_of_plugin import ALL, BROKEN, GONE, Run, project, run_pytest

pytest_plugins = ["pytester"]

# A timing is no test: how long an example takes depends on what else the machine does.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# The models of the tests are tiny: threads cost more than they give, above all when cores are shared.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def own_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test keeps its measurements apart: what another one or the user measured must not answer for it."""
    monkeypatch.setenv("CIRCUITS_VALUES", str(tmp_path / "kept"))
    for name in [name for name in os.environ if name.startswith("GITHUB_")]:  # of the job that runs these tests
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Import what a run imports, once: pytester forgets modules that it saw first, and torch bears no second import."""
    import hypothesis  # noqa: F401  (its pytest plugin imports it at the end of a session)

    from circuits.evaluate import Evaluator, Options, items_of, knowledge, load
    from circuits.report.drawing import draw
    from circuits.report.write import write_run

    folder = tmp_path_factory.mktemp("warm")
    path = folder / "all.yaml"
    path.write_text(ALL)

    def figure(drawn: object, name: str) -> str:
        draw(drawn, folder / f"{name}.png")
        return f"{name}.png"

    evaluator = Evaluator(Options(), Path(folder / "cache"), figure)
    entries = {}
    for item in items_of(load(path, knowledge(), "all.yaml"), folder):
        entries[item.node_id] = evaluator.evaluate(item).entry
    facts = {"models": evaluator.models, "files": {}, "started": 0.0, "dtype": "float32", "device": "cpu"}
    write_run(folder / "reports", root=folder, entries=entries, **facts)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def cold(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run of every outcome, in a process of its own, with nothing cached."""
    folder = project(tmp_path_factory.mktemp("all"), all=ALL, broken=BROKEN, gone=GONE)
    return run_pytest(folder, "-rfEsxX", "--junitxml=junit.xml", "--strict-markers", "--strict-config")
