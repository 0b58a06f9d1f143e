"""xdist: claims that share work run on one worker.

All attention questions of a model on a prompt set are answered by one pass, and its ablations start from one
clean run. xdist itself spreads tests one by one, so each worker would do both. What the groups are is read from
the suites here, in the controller, which collects nothing: node ids are all that workers tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from circuits.plugin.collect import SUFFIXES, is_suite

if TYPE_CHECKING:
    from circuits.items import Item
    from circuits.plugin.session import State


def make_scheduler(config: pytest.Config, log: Any, state: State) -> Any:
    """A scheduler for sessions with suites; None (xdist's own) for others, and where --dist was chosen."""
    if config.getoption("dist") != "load" or not may_hold_suites(config):
        return None
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

    class ClaimScheduling(LoadScopeScheduling):  # type: ignore[misc]
        """Work units are the scopes of ``scopes``; a test that is no claim is its own."""

        known: Mapping[str, str] | None = None

        def _split_scope(self, nodeid: str) -> str:
            if self.known is None:
                self.known = scopes(self.collection or (), config, state)
            return self.known.get(nodeid, nodeid)

    return ClaimScheduling(config, log)


def may_hold_suites(config: pytest.Config) -> bool:
    """Whether what the session collects from is, holds or lies in a suites folder; looks at names only."""
    for argument in config.args:
        path = (config.invocation_params.dir / str(argument).split("::", 1)[0]).absolute()
        if path.suffix.lower() in SUFFIXES or is_suite(path / "any.yaml", config):
            return True
        if any((path / folder).is_dir() for folder in config.getini("circuit_suites")):
            return True
    return False


def scopes(collection: Sequence[str], config: pytest.Config, state: State) -> dict[str, str]:
    """Node id -> the name of its work unit, for every valid claim among ``collection``.

    Claims that share a prompt set of a model, directly or through others, are one unit, so that nothing is measured by
    two workers.
    """
    shared = _shared(collection, config, state)
    first: dict[str, str] = {}  # what is measured -> the unit that it belongs to
    merged: dict[str, str] = {}

    def unit(name: str) -> str:
        while merged.get(name, name) != name:
            name = merged[name]
        return name

    for nodeid, parts in shared.items():
        own = unit(nodeid)
        for part in sorted(parts):
            other = unit(first.setdefault(part, own))
            if other != own:
                merged[other] = own
    return {nodeid: unit(nodeid) for nodeid in shared}


def _shared(collection: Sequence[str], config: pytest.Config, state: State) -> dict[str, frozenset[str]]:
    """Node id -> all that is measured for it, in the order of the collection."""
    from circuits.items import items_of, load

    wanted = set(collection)
    files = dict.fromkeys(nodeid.partition("::")[0] for nodeid in collection)
    found = {}
    for file in files:
        path = config.rootpath / file
        if path.suffix.lower() not in SUFFIXES:
            continue
        try:
            items = items_of(load(path, state.knowledge, file), path.parent)
        except Exception:  # whatever it is, the worker that collects this suite says it
            continue
        for item in items:
            if item.node_id in wanted and not item.claim.faults:
                found[item.node_id] = _measured(item)
    return {nodeid: found[nodeid] for nodeid in collection if nodeid in found}


def _measured(item: Item) -> frozenset[str]:
    """What a claim is measured on: each prompt set, or the weights alone, of each model that it names."""
    from circuits.items import other_models, prompt_sets

    suite = item.suite
    specs = (suite.model, *other_models(item))
    models = [f"{spec!r} {item.base if isinstance(spec, dict) else ''}" for spec in specs]
    about = [
        f"{s.family} {dict(s.parameters)!r} {s.bos} {dict(s.roles)!r} {dict(s.variables)!r} {suite.sampling!r}"
        for s in prompt_sets(item)
    ]
    return frozenset(f"{model} {each}" for model in models for each in about or ["weights"])
