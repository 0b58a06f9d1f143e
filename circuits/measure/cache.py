"""Per-prompt values on disk: measured once, read again without a model.

The key of a value is everything it depends on: the code that measures, the model's digest, dtype
and kind of device, the prompts and the quantity. Bounds, words and verdicts are not part of it, so
an edited bound needs no model.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import tempfile
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.store import alone, code_digest

__all__ = ["Arrays", "ValueCache", "code_digest", "digest"]

Arrays = Mapping[str, NDArray[Any]]

_OWN = "__key__"


def digest(data: Any) -> str:
    """sha256 of plain data in canonical JSON, as hex."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


class ValueCache:
    """Arrays and small JSON by key, in a folder (None: nothing is kept between runs).

    ``fresh`` ignores what was there before ``since`` (the beginning of the run) and overwrites it. Files are written whole or not at all, and a
    file that cannot be read counts as absent.
    """

    def __init__(self, folder: Path | None, fresh: bool = False, since: float | None = None):
        self.folder = folder
        self.fresh = fresh
        self.since = since
        self.written: set[str] = set()

    def _path(self, key: str) -> Path | None:
        return None if self.folder is None else self.folder / key[:2] / f"{key}.npz"

    def load(self, key: str) -> dict[str, NDArray[Any]] | None:
        """The arrays of a key, or None."""
        path = self._path(key)
        if path is None or (self.fresh and key not in self.written and not self._of_this_run(key)):
            return None
        try:
            with np.load(path, allow_pickle=False) as found:
                arrays = {name: found[name] for name in found.files}
            if str(arrays.pop(_OWN)) != key:  # a file that came to this name by a copy
                return None
            facts = path.stat()
            os.utime(path, (time.time(), facts.st_mtime))  # when it was last used; "noatime" file systems forget it
            return arrays
        except Exception:  # what a damaged archive raises is anybody's guess (zlib.error, struct.error, ...)
            return None

    def _of_this_run(self, key: str) -> bool:
        """Whether another process of the run wrote a key, where it is known when the run began."""
        return self.since is not None and self.written_since(key, self.since)

    def written_since(self, key: str, moment: float) -> bool:
        """Whether a key's file was written after ``moment`` (seconds since the epoch), by whatever process."""
        path = self._path(key)
        try:
            return path is not None and path.stat().st_mtime >= moment
        except OSError:
            return False

    def save(self, key: str, arrays: Arrays) -> None:
        """Keep the arrays of a key; a full or read-only disk is no reason to lose a measurement."""
        path = self._path(key)
        if path is None:
            return
        buffer = io.BytesIO()
        named = {name: np.asarray(value) for name, value in arrays.items()} | {_OWN: np.array(key)}
        np.savez_compressed(buffer, **named)  # type: ignore[arg-type]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
            with os.fdopen(handle, "wb") as out:
                out.write(buffer.getvalue())
            os.replace(temporary, path)
            self.written.add(key)
        except OSError:
            return

    def alone(self, name: str, *, wait: bool = True) -> AbstractContextManager[bool]:
        """Hold a work against other processes with this cache (see ``store.alone``); without a folder there are none."""
        if self.folder is None:
            return contextlib.nullcontext(True)
        return alone(self.folder.parent / "locks" / f"{digest(name)[:32]}.lock", wait=wait)

    def load_json(self, key: str) -> Any:
        """Plain data kept with ``save_json``, or None."""
        found = self.load(key)
        try:
            return None if found is None else json.loads(str(found["json"]))
        except (KeyError, ValueError):
            return None

    def save_json(self, key: str, data: Any) -> None:
        """Keep plain data."""
        self.save(key, {"json": np.array(json.dumps(data))})
