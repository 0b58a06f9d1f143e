"""What is kept of measurements in the user's cache folder: how much there is, and how it is emptied.

``values/`` holds per-prompt values by content, ``answers/`` the answers of whole suites. Both can be deleted at any
time: what is missing is measured again. Neither torch nor numpy is needed to look at them.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from circuits.errors import CircuitsError
from circuits.models.cachefolder import cache_folder, write_atomic

_LIBRARIES = ("torch", "transformers", "transformer_lens", "tokenizers", "numpy", "scipy")
VALUES_VARIABLE = "CIRCUITS_VALUES"
SIZE_VARIABLE = "CIRCUITS_CACHE_SIZE"
DEFAULT_SIZE = 4 * 2**30
SPARED_SECONDS = 3600.0
"""What was used less than an hour ago is not removed: another process may be at work with it."""
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclass(frozen=True)
class Part:
    """One kind of kept things: how many files, how many bytes, and when the oldest was last used (seconds since the epoch)."""

    name: str
    folder: Path
    files: int
    size: int
    oldest: float | None


def values_folder() -> Path:
    """Where per-prompt values lie: $CIRCUITS_VALUES, else ``values`` in the cache folder."""
    chosen = os.environ.get(VALUES_VARIABLE)
    return Path(chosen).expanduser() / "values" if chosen else cache_folder() / "values"


def answers_folder() -> Path:
    """Where whole answers lie, beside the values."""
    return values_folder().parent / "answers"


def allowed() -> int:
    """The most bytes that values and answers may take: $CIRCUITS_CACHE_SIZE ("500M", "20G"), else 4 GiB.

    Raises CircuitsError where the variable is no size.
    """
    text = os.environ.get(SIZE_VARIABLE, "").strip()
    if not text:
        return DEFAULT_SIZE
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?", text, re.IGNORECASE)
    if match is None:
        raise CircuitsError(f"{SIZE_VARIABLE}={text}: write a size such as 500M or 20G")
    return int(float(match[1]) * _UNITS[match[2].upper()])


def parts() -> list[Part]:
    """What there is of each kind, models and remembered hashes included."""
    root = cache_folder()
    places = {
        "values": values_folder(),
        "answers": answers_folder(),
        "models": root / "models",
        "hashes": root / "hashes",
    }
    return [_part(name, folder) for name, folder in places.items()]


def _part(name: str, folder: Path) -> Part:
    found = list(_files(folder))
    return Part(
        name, folder, len(found), sum(size for _, size, _ in found), min((used for *_, used in found), default=None)
    )


def _files(folder: Path) -> Iterator[tuple[Path, int, float]]:
    """Each file below a folder with its size and when it was last used (read or written)."""
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            try:
                facts = path.stat()
            except OSError:  # another process removed it
                continue
            yield path, facts.st_size, max(facts.st_atime, facts.st_mtime)


def clear(*, models: bool = False) -> int:
    """Remove all values and answers (with ``models`` also converted models and hashes); how many bytes that was."""
    import shutil

    freed = 0
    for part in parts():
        if part.name in ("values", "answers") or models:
            freed += part.size
            shutil.rmtree(part.folder, ignore_errors=True)
    return freed


def prune(limit: int | None = None, now: float | None = None) -> int:
    """Remove what was not used for the longest time until values and answers take ``limit`` bytes; the bytes removed.

    Goes down to nine tenths of it, so that not every run has to. Files that were used in the last hour stay.
    """
    limit = allowed() if limit is None else limit
    now = time.time() if now is None else now
    found = [*_files(values_folder()), *_files(answers_folder())]
    total = sum(size for _, size, _ in found)
    if total <= limit:
        return 0
    before = total
    for path, size, used in sorted(found, key=lambda each: each[2]):
        if total <= 0.9 * limit or used > now - SPARED_SECONDS:
            break
        try:
            path.unlink()
        except FileNotFoundError:
            pass
        except OSError:
            continue
        total -= size
    return before - total


def in_words(size: int) -> str:
    """A number of bytes: 0 B, 12.3 KiB, 1.4 GiB."""
    amount, unit = float(size), "B"
    for bigger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, bigger
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.3g} {unit}"


@contextlib.contextmanager
def alone(place: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold a work against other processes by the lock file ``place``: True while it is held.

    Not to ``wait`` gives False where another process holds it. Where no lock can be made, there is nobody to wait for.
    The operating system frees the lock of a process that dies.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(str(place))
    held = True
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=-1 if wait else 0)
    except Timeout:
        held = False
    except OSError:
        pass
    try:
        yield held
    finally:
        lock.release()


def digest_of(data: Any) -> str:
    """sha256 of plain data in canonical JSON, as hex."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return checksum(text)


def read_kept(path: Path) -> dict[str, Any]:
    """The mapping of a file; an empty one where it is missing, damaged or something else."""
    try:
        found = json.loads(_read_checked(path))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def write_kept(path: Path, data: Mapping[str, Any]) -> None:
    """Keep plain data as ``read_kept`` reads it. A full or read-only disk is no error."""
    _write_checked(path, json.dumps(data, separators=(",", ":"), ensure_ascii=False))


def read_texts(path: Path) -> dict[str, str]:
    """The texts of a file by their keys; none where it is missing, damaged or something else."""
    lines = _read_checked(path).split("\n")
    return {key: value for key, tab, value in (line.partition("\t") for line in lines) if tab}


def write_texts(path: Path, texts: Mapping[str, str]) -> None:
    """Keep texts (in one line each, without tabs in their keys) as ``read_texts`` reads them. A full disk is no error."""
    _write_checked(path, "\n".join(f"{key}\t{value}" for key, value in texts.items()))


def _read_checked(path: Path) -> str:
    """The text of a file behind its checksum; "" where it is missing, damaged or something else."""
    try:
        said, _, text = path.read_text(encoding="utf-8").partition("\n")
    except (OSError, ValueError):
        return ""
    return text if said == checksum(text) else ""


def _write_checked(path: Path, text: str) -> None:
    """Write a text as ``_read_checked`` reads it. A full or read-only disk is no error."""
    with contextlib.suppress(OSError, UnicodeError):
        write_atomic(path, f"{checksum(text)}\n{text}")


def checksum(text: str) -> str:
    """sha256 of a text, as hex."""
    return hashlib.sha256(text.encode("utf-8", errors="replace")).hexdigest()


@cache
def package_digest() -> str:
    """Digest of all code of this package and of the versions of the libraries that numbers come from."""
    return _digest_of_code(sorted(Path(__file__).resolve().parent.rglob("*.py")), _LIBRARIES)


def version(package: str) -> str | None:
    """An installed package's version, without importing it."""
    try:
        found = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        return None
    # The headers alone: parsing what some packages have below them takes a hundredth of a second each.
    head = (found.read_text("METADATA") or "").partition("\n\n")[0]
    said = re.search(r"^Version: *(\S+)", head, re.M)
    return said[1] if said else found.version


# What decides a value: the measuring stages, and the libraries that run the model.
_STAGES = (
    "prompts",
    "models",
    "measure",
    "claims/selector.py",
    "claims/sets.py",
    "claims/positions.py",
    "claims/heads.py",
    "claims/claim.py",
)
_MODEL_LIBRARIES = ("torch", "transformers", "transformer_lens", "tokenizers")


@cache
def code_digest() -> str:
    """Digest of the code and the library versions that measured values depend on."""
    root = Path(__file__).resolve().parent
    places = [root / stage for stage in _STAGES]
    files = [file for place in places for file in (sorted(place.rglob("*.py")) if place.is_dir() else [place])]
    return _digest_of_code(files, _MODEL_LIBRARIES)


def _digest_of_code(files: Iterable[Path], libraries: Iterable[str]) -> str:
    """Digest of files of this package, by name and content, and of the versions of libraries."""
    root = Path(__file__).resolve().parent
    found = hashlib.sha256()
    for file in files:
        found.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    for library in libraries:
        found.update(f"{library}={version(library) or 'none'}\n".encode())
    return found.hexdigest()
