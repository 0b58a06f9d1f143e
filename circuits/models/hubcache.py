"""The local cache of the Hugging Face hub, read with the standard library alone (nothing is imported)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path


def hub_cache() -> Path:
    """The hub's cache folder, by the environment variables that its own library honours."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(variable):
            return Path(os.environ[variable]).expanduser()
    home = os.environ.get("HF_HOME")
    if home:
        return Path(home).expanduser() / "hub"
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared).expanduser() if shared else Path.home() / ".cache") / "huggingface" / "hub"


def _repository(model: str) -> Path:
    return hub_cache() / ("models--" + model.replace("/", "--"))


def commit_of(model: str, revision: str) -> str | None:
    """The commit that a branch or tag had when it was last downloaded, or None."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return (_repository(model) / "refs" / revision).read_text(encoding="utf-8").strip() or None
    return None


def snapshot(model: str, commit: str) -> Path | None:
    """The folder of a cached commit that can be loaded (config, weights and tokenizer there), or None."""
    folder = _repository(model) / "snapshots" / commit
    return folder if loadable(folder) else None


def cached_folders(location: Mapping[str, str]) -> Iterator[Path]:
    """The snapshot folders, whole or not, of a "hub" source's revision under each of its names."""
    revision = location["revision"]
    for name in (location["hub"], *location.get("aliases", "").split()):
        yield _repository(name) / "snapshots" / (commit_of(name, revision) or revision)


def other_snapshots(model: str, commit: str) -> Iterator[Path]:
    """Loadable cached folders of the same model at other commits, by name."""
    with contextlib.suppress(OSError):
        for folder in sorted((_repository(model) / "snapshots").iterdir()):
            if folder.name != commit and loadable(folder):
                yield folder


def loadable(folder: Path) -> bool:
    """Whether a folder holds config.json, a tokenizer and weights, every shard of them."""
    return (folder / "config.json").is_file() and has_tokenizer(folder) and has_weights(folder)


def has_tokenizer(folder: Path) -> bool:
    """Whether a folder holds one of the sets of files that make a tokenizer."""
    sets = (("tokenizer.json",), ("vocab.json", "merges.txt"), ("tokenizer.model",))
    return any(all((folder / name).is_file() for name in names) for names in sets)


def has_weights(folder: Path) -> bool:
    """Whether a folder holds whole weights: one file, or an index whose shards are all there."""
    import json

    for whole in ("model.safetensors", "pytorch_model.bin"):
        if (folder / whole).is_file():
            return True
        with contextlib.suppress(OSError, ValueError, AttributeError, KeyError, TypeError):
            index = json.loads((folder / f"{whole}.index.json").read_text(encoding="utf-8"))
            shards = set(index["weight_map"].values())
            if shards and all((folder / shard).is_file() for shard in shards):
                return True
    return False
