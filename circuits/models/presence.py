"""What loading a model would take: nothing, a download, or weights that are not here. Looks, loads nothing."""

from __future__ import annotations

from pathlib import Path

from circuits.models.cachefolder import cache_folder, complete
from circuits.models.gguf import CONVERSION_VERSION
from circuits.models.hubcache import commit_of, loadable, snapshot
from circuits.models.source import ModelSource


def presence(source: ModelSource) -> str:
    """In a few words for a table. Asks no network."""
    if source.kind == "reference":
        return "always here: made on the spot"
    if source.kind == "folder":
        return "here" if loadable(Path(source.location["path"])) else "not here"
    if source.kind == "gguf" and not Path(source.location["gguf"]).is_file():
        return "not here"
    if source.kind in ("wheel", "gguf"):
        sha256 = source.location.get("sha256") or (source.digest or "").removeprefix("sha256:")
        if sha256 and complete(cache_folder() / "models" / f"{sha256}-v{CONVERSION_VERSION}"):
            return "cached"
        if source.kind == "gguf":
            return "here, converted on first use"
        size = source.location.get("download")
        return f"downloaded on first use with pip{f' ({size})' if size else ''}"
    revision = source.location["revision"]
    for name in (source.location["hub"], *source.location.get("aliases", "").split()):
        commit = commit_of(name, revision) or revision
        if snapshot(name, commit) is not None:
            return "cached"
    return f"not cached (from the Hugging Face hub, or --circuit-model {source.name}=DIR)"
