"""xdist: claims that share work run on one worker.

All attention questions of a model on a prompt set are answered by one pass, and its ablations start from one
clean run. xdist itself spreads tests one by one, so each worker would do both. What the groups are is read from
the suites here, in the controller, which collects nothing: node ids are all that workers tell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from circuits.plugin.collect import SUFFIXES, is_suite

if TYPE_CHECKING:
    from circuits.items import Item
    from circuits.plugin.session import State

PARTS = 3  # pieces a worker that many ablations of one group are cut into, at least


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
                self.known = scopes(self.collection or (), config, state, self.numnodes)
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


def scopes(collection: Sequence[str], config: pytest.Config, state: State, workers: int) -> dict[str, str]:
    """Node id -> the name of its work unit, for every valid claim among ``collection``."""
    found = _groups(collection, config, state)
    many = Counter(found.values())
    most = max(1, -(-len(found) // (PARTS * max(1, workers))))
    seen: Counter[str] = Counter()
    units = {}
    for nodeid, group in found.items():
        piece = ""
        if group.startswith("ablate") and many[group] > most:  # each ablation is its own work, unlike attention
            piece = f" {seen[group] // most}"
        seen[group] += 1
        units[nodeid] = group + piece
    return units


def _groups(collection: Sequence[str], config: pytest.Config, state: State) -> dict[str, str]:
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
            group = _group(item)
            if item.node_id in wanted and group is not None:
                found[item.node_id] = group
    return {nodeid: found[nodeid] for nodeid in collection if nodeid in found}


def _group(item: Item) -> str | None:
    """What a claim is measured with: kind of work, model, and the prompt set of its first check."""
    if item.claim.faults or not item.claim.checks:
        return None
    first = item.claim.checks[0]
    prompts = first.prompts[0] if first.prompts else item.variant
    if prompts is None:
        return None
    kind = "ablate" if any(check.kind == "ablate" for check in item.claim.checks) else "attend"
    facts = (prompts.family, dict(prompts.parameters), prompts.bos, dict(prompts.roles), dict(prompts.variables))
    return f"{kind} {item.suite.model!r} {facts!r} {item.suite.sampling!r}"
