"""The cache of measurements: its size is kept, the least used goes first, and it can be looked at and emptied."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from circuits import store
from circuits.cli import main
from circuits.errors import CircuitsError
from circuits.measure.cache import ValueCache

NOW = 2e9


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CIRCUITS_VALUES", str(tmp_path / "kept"))
    monkeypatch.setenv("CIRCUITS_CACHE", str(tmp_path / "cache"))
    return tmp_path


def put(name: str, size: int, used: float) -> Path:
    path = store.values_folder() / name[:2] / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    os.utime(path, (used, used))
    return path


def test_the_least_used_goes_first(folder: Path) -> None:
    """Down to nine tenths of the limit; what was used within the hour stays, whatever the limit."""
    old, middle, new = put("aa1", 400, NOW - 9000), put("bb2", 300, NOW - 8000), put("cc3", 300, NOW - 60)
    assert store.prune(1000, NOW) == 0
    assert store.prune(900, NOW) == 400
    assert not old.exists()
    assert middle.exists()
    assert store.prune(100, NOW) == 300
    assert not middle.exists()
    assert new.exists()
    assert store.prune(0, NOW) == 0


def test_reading_a_value_counts_as_use(folder: Path) -> None:
    """The time of use moves on when a value is read; the time at which it was measured does not."""
    cache = ValueCache(store.values_folder())
    cache.save("k" * 64, {"a": np.arange(3)})
    path = cache._path("k" * 64)
    assert path is not None
    os.utime(path, (NOW - 9e8, NOW - 9e8))
    found = cache.load("k" * 64)
    assert found is not None
    assert found.keys() == {"a"}
    assert path.stat().st_mtime == NOW - 9e8
    assert path.stat().st_atime > NOW - 9e8
    assert not cache.written_since("k" * 64, NOW - 8e8)


def test_a_value_under_another_name_is_not_believed(folder: Path) -> None:
    """A file holds its own key: a copy to another key's place counts as absent."""
    cache = ValueCache(store.values_folder())
    cache.save("a" * 64, {"a": np.arange(3)})
    place, other = cache._path("a" * 64), cache._path("b" * 64)
    assert place is not None
    assert other is not None
    other.parent.mkdir(parents=True)
    other.write_bytes(place.read_bytes())
    assert cache.load("a" * 64) is not None
    assert cache.load("b" * 64) is None


@pytest.mark.parametrize(
    ("text", "size"), [("500M", 500 * 2**20), ("2G", 2**31), ("1.5 gib", 3 * 2**29), ("17", 17), ("", 2**32)]
)
def test_the_limit_is_read(monkeypatch: pytest.MonkeyPatch, text: str, size: int) -> None:
    """Sizes as people write them; 4 GiB where nothing is said."""
    monkeypatch.setenv("CIRCUITS_CACHE_SIZE", text)
    assert store.allowed() == size


def test_a_limit_that_is_no_size_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The variable, what it holds and what to write."""
    monkeypatch.setenv("CIRCUITS_CACHE_SIZE", "plenty")
    with pytest.raises(CircuitsError, match="CIRCUITS_CACHE_SIZE=plenty: write a size such as 500M or 20G"):
        store.allowed()
    assert main(["cache", "info"]) == 2
    assert "write a size" in capsys.readouterr().err


def test_the_command_says_and_empties(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """info counts files and bytes of each kind; clear leaves the models unless they are named."""
    put("aa1", 2048, NOW)
    store.write_kept(store.answers_folder() / "a.json", {"a": 1})
    model = folder / "cache" / "models" / "m" / "weights"
    model.parent.mkdir(parents=True)
    model.write_bytes(b"x" * 100)
    assert main(["cache", "info"]) == 0
    said = capsys.readouterr().out
    assert "values       2 KiB  1 file, oldest used 2033-05-18" in said
    assert "models       100 B  1 file" in said
    assert main(["cache", "clear"]) == 0
    assert [part.files for part in store.parts()] == [0, 0, 1, 0]
    assert main(["cache", "clear", "--models"]) == 0
    assert not model.exists()


def test_a_work_is_held_by_one(tmp_path: Path) -> None:
    """Whoever does not wait is told; the lock is free again afterwards, and where none can be made nobody is waited for."""
    place = tmp_path / "locks" / "work.lock"
    with store.alone(place) as held, store.alone(place, wait=False) as other:
        assert (held, other) == (True, False)
    with (
        ValueCache(tmp_path / "values").alone("x") as held,
        ValueCache(tmp_path / "values").alone("x", wait=False) as other,
    ):
        assert (held, other) == (True, False)
    with store.alone(place, wait=False) as held:
        assert held
    (tmp_path / "file").write_text("")
    with store.alone(tmp_path / "file" / "work.lock") as held, ValueCache(None).alone("x") as nowhere:
        assert (held, nowhere) == (True, True)


@pytest.mark.parametrize("package", ["torch", "transformer_lens", "transformers", "pytest", "pluggy"])
def test_versions_are_those_that_are_installed(package: str) -> None:
    """Read from the first lines of a package's metadata: the same that importlib finds by parsing all of it."""
    import importlib.metadata

    assert store.version(package) == importlib.metadata.version(package)


def test_a_package_that_is_not_there_has_no_version() -> None:
    assert store.version("no-such-package-of-anyone") is None
