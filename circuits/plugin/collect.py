"""Which YAML files are suites, and a suite as a collector of items."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import pytest

from circuits.plugin.items import BrokenItem, ClaimItem, FaultsItem

if TYPE_CHECKING:
    from circuits.plugin.session import State

SUFFIXES = (".yaml", ".yml")
STATE = pytest.StashKey["State"]()


def is_suite(path: Path, config: pytest.Config) -> bool:
    """Whether a YAML file is a suite: it lies in a suites folder, or was named on the command line.

    Naming its folder (`pytest my_claims/`) counts for the files right in it that have a suite's keys.
    Elsewhere what a file says plays no part: other tools' YAML may lie anywhere.
    """
    return _in_suites_folder(path, config) or _named(path, config) or _in_named_folder(path, config)


def _in_named_folder(path: Path, config: pytest.Config) -> bool:
    given = config.args_source is pytest.Config.ArgsSource.ARGS
    return given and path.parent in _arguments(config) and _suite_keys(path) >= 2


def _in_suites_folder(path: Path, config: pytest.Config) -> bool:
    root = config.rootpath
    if path.is_relative_to(root):
        parts = path.relative_to(root).parent.parts
        if config.inipath is None:  # the root is a guess then: `cd hypotheses; pytest` makes it that folder
            parts = (root.name, *parts)
    else:
        given = [place for place in _arguments(config) if path.is_relative_to(place)]
        parts = (given[0].name, *path.relative_to(given[0]).parent.parts) if given else ()
    for entry in config.getini("circuit_suites"):
        folder = PurePath(entry)
        if folder.is_absolute():
            if path.is_relative_to(folder):
                return True
        elif any(parts[k : k + len(folder.parts)] == folder.parts for k in range(len(parts) + 1)):
            return True
    return False


def _arguments(config: pytest.Config) -> list[Path]:
    """The files and folders that this session collects from."""
    start = config.invocation_params.dir
    return [(start / str(argument).split("::", 1)[0]).absolute() for argument in config.args]


def _named(path: Path, config: pytest.Config) -> bool:
    return any(path == place or (place.name == path.name and _same(place, path)) for place in _arguments(config))


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def looks_like_suite(path: Path) -> bool:
    """Whether a YAML file has what a suite has, for a hint about files that were not collected."""
    return _suite_keys(path, ("model", "claims")) == 2


def _suite_keys(path: Path, keys: tuple[str, ...] = ("suite", "model", "prompts", "claims")) -> int:
    """How many of a suite's keys stand at the left margin of a file (of any text, also of broken YAML)."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    return sum(bool(re.search(rf"^{key}\s*:", text, re.M)) for key in keys)


class SuiteFile(pytest.File):
    """A suite: one item per claim and variant, and one for the faults outside its claims."""

    def collect(self) -> Iterator[pytest.Item]:
        from circuits.errors import garbage_kept

        state = self.config.stash[STATE]
        try:
            with garbage_kept():
                items = list(self._items(state))
        except Exception as error:  # a bug, or a family that cannot be loaded: one item fails, the session goes on
            items = [BrokenItem.from_parent(self, name="(suite)", state=state, error=error)]
        yield from items

    def _items(self, state: State) -> Iterator[pytest.Item]:
        from circuits.items import items_of, load

        suite = load(self.path, state.knowledge, self.nodeid)
        names: list[str] = []
        if suite.faults:
            found: Any = FaultsItem.from_parent(self, name="(suite)", state=state, suite=suite)
            names.append(found.nodeid)
            yield found
        for item in items_of(suite, self.path.parent):
            names.append(item.node_id)
            yield ClaimItem.from_parent(self, name=item.node_id.removeprefix(f"{suite.path}::"), state=state, item=item)
        state.files[suite.path] = names
