"""The user's cache folder: where converted weights live, atomic writes, locks and remembered hashes.

Layout: ``models/<digest>-v<version>/`` (a Hugging Face folder made from a GGUF file), ``hashes/`` (SHA-256
of weight files, remembered by path, size and time of change) and ``locks/``. Everything in it can be
deleted at any time; it is made again when needed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from circuits.errors import ModelInvalid, ModelUnavailable

Progress = Callable[[str], None]

_CHUNK = 1 << 20
_ABANDONED_SECONDS = 24 * 3600
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
)


def cache_folder() -> Path:
    """The cache folder (not made here): $CIRCUITS_CACHE, else the platform's place for user caches."""
    chosen = os.environ.get("CIRCUITS_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME")
    if shared:
        return Path(shared).expanduser() / "pytest-circuits"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "pytest-circuits"
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "pytest-circuits" / "Cache"
    return Path.home() / ".cache" / "pytest-circuits"


def write_atomic(path: Path, text: str) -> None:
    """Write ``text`` so that a reader sees the old file or the new one, never half of it. OSError passes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / _temporary_name(path.name)
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _temporary_name(name: str) -> str:
    """A name that no other process takes. Not ``tempfile``: its private mode would shut a shared cache."""
    return f".tmp-{name[:80]}-{os.getpid()}-{secrets.token_hex(4)}"


@contextlib.contextmanager
def locked(name: str, progress: Progress | None = None) -> Iterator[None]:
    """Hold the lock ``name`` against other processes; the operating system frees it when a holder dies."""
    from filelock import FileLock, Timeout

    path = cache_folder() / "locks" / f"{name}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(str(path))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if progress is not None:
                progress(f"waiting for another process that prepares {name[:24]}")
            lock.acquire()
    except OSError as error:
        raise ModelUnavailable(_unwritable(error)) from error
    try:
        yield
    finally:
        lock.release()


def complete(folder: Path) -> bool:
    """Whether ``folder`` was published whole: its list of files is there and every size still agrees."""
    try:
        listed = json.loads((folder / "contents.json").read_text(encoding="utf-8"))
        return all((folder / name).stat().st_size == size for name, size in listed.items())
    except (OSError, ValueError, AttributeError):
        return False


def publish(folder: Path, fill: Callable[[Path], None]) -> Path:
    """Make ``folder`` by ``fill(temporary folder)`` and one rename; a whole one that is there is kept.

    Raises ModelUnavailable when the cache cannot be written (full disk, no permission); what ``fill``
    raises on purpose passes through, with nothing left behind.
    """
    if complete(folder):
        return folder
    temporary: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder.parent)
        temporary = folder.parent / _temporary_name(folder.name)
        temporary.mkdir()
        fill(temporary)
        sizes = {path.name: path.stat().st_size for path in sorted(temporary.iterdir())}
        write_atomic(temporary / "contents.json", json.dumps(sizes, indent=1) + "\n")
        if folder.exists() and not complete(folder):
            shutil.rmtree(folder)
        try:
            temporary.rename(folder)
        except OSError:
            if not complete(folder):  # else another process published the same content first
                raise
    except OSError as error:
        raise ModelUnavailable(_unwritable(error)) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _remove_abandoned(folder: Path) -> None:
    """Remove temporary folders that a process which was killed left behind over a day ago."""
    for path in folder.glob(".tmp-*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(path, ignore_errors=True)


def _unwritable(error: OSError) -> str:
    reason = error.strerror or str(error)
    return (
        f"the cache folder {cache_folder()} cannot be written ({reason}); "
        "set CIRCUITS_CACHE to a folder with room for the weights"
    )


def file_digest(path: Path) -> str:
    """SHA-256 of a file as 64 hex digits, remembered by path, size and mtime_ns. OSError passes."""
    path = path.resolve()
    stat = path.stat()
    identity = {"path": str(path), "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    memo = cache_folder() / "hashes" / (hashlib.sha256(str(path).encode()).hexdigest()[:32] + ".json")
    with contextlib.suppress(OSError, ValueError, AttributeError, TypeError):
        known = json.loads(memo.read_text(encoding="utf-8"))
        if {key: known.get(key) for key in identity} == identity and len(known["sha256"]) == 64:
            return str(known["sha256"])
    found = content_digest(path)
    with contextlib.suppress(OSError):  # a cache that cannot be written only costs time
        write_atomic(memo, json.dumps({**identity, "sha256": found}) + "\n")
    return found


def content_digest(path: Path) -> str:
    """SHA-256 of a file as 64 hex digits, read now. OSError passes."""
    total = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            total.update(chunk)
    return total.hexdigest()


def model_files(folder: Path) -> tuple[Path, ...]:
    """The files of a model folder that decide its numbers: config, weights, tokenizer; sorted by name.

    Where there are safetensors files the pickled ``pytorch_model*.bin`` are never read, so left out.
    """
    weights = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
    indices = sorted(folder.glob("*.index.json"))
    named = [folder / name for name in ("config.json", *_TOKENIZER_FILES)]
    return tuple(sorted(path for path in {*named, *weights, *indices} if path.is_file()))


def folder_digest(folder: Path) -> str:
    """Hash of a model folder's content as "sha256:...": the same wherever the folder lies.

    Raises ModelInvalid when a file cannot be read.
    """
    return "sha256:" + _joined_digest(model_files(folder))


def _joined_digest(paths: Iterable[Path]) -> str:
    total = hashlib.sha256()
    for path in paths:
        try:
            total.update(f"{path.name} {file_digest(path)}\n".encode())
        except OSError as error:
            raise ModelInvalid(f"{path} cannot be read: {error.strerror or error}") from error
    return total.hexdigest()
