"""The entry point of the pytest plugin: which hook is answered by which part of ``circuits.plugin``.

pytest loads this module at every start, also where there is no suite: nothing heavy is imported here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from circuits.plugin import github, hooks, options
from circuits.plugin.collect import STATE, SUFFIXES, SuiteFile, is_suite
from circuits.plugin.collector import pytest_cmdline_main
from circuits.plugin.items import pytest_runtest_makereport
from circuits.plugin.session import State
from circuits.plugin.summary import Sections, ShortSummary

__all__ = ["pytest_cmdline_main", "pytest_runtest_makereport"]

MARKERS = {
    "attends": "a claim with an attention check",
    "score": "a claim with a named score",
    "ablate": "a claim with an ablation",
    "keep_only": "a claim with a circuit check",
    "path": "a claim with a direct path check",
    "loss_map": "a claim with a map of losses",
    "known_negative": "a claim that is expected to be refuted",
    "circuit_model(name)": "the model of a claim, as in -m \"circuit_model(name='reference')\"",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options start with --circuit-, ini names with circuit_."""
    options.add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """The hook for what a project adds."""
    pluginmanager.add_hookspecs(hooks)


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers and this session's state. Raises pytest.UsageError for an option that cannot be."""
    for name, meaning in MARKERS.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")
    options.check_options(config)
    options.choose_seed(config)
    state = config.stash[STATE] = State(config)
    config.pluginmanager.register(state, "circuits-state")
    config.pluginmanager.register(Sections(state), "circuits-sections")
    if not state.is_worker:
        config.pluginmanager.register(ShortSummary(), "circuits-short-summary")
        if github.wanted():
            config.pluginmanager.register(github.GitHub(state), "circuits-github")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """A YAML file in a suites folder, or one that was named itself, is a suite."""
    if file_path.suffix.lower() not in SUFFIXES:
        return None
    if is_suite(file_path, parent.config):
        collector: pytest.Collector = SuiteFile.from_parent(parent, path=file_path)
        return collector
    parent.config.stash[STATE].passed_over.append(file_path)
    return None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Claims that share work run on one worker."""
    from circuits.plugin.schedule import make_scheduler

    return make_scheduler(config, log, config.stash[STATE])
