"""Texts that were rendered before: what a page is made from has not changed, so neither has the page.

Kept in the user's cache folder, by the digest of all inputs and of the code; a damaged file counts as absent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from circuits.store import digest_of, package_digest, read_kept, write_kept


class Memo:
    """Rendered texts by name, of one report folder. ``place``: the file that keeps them (None: they are not kept)."""

    def __init__(self, place: Path | None = None):
        self.place = place
        self._old: Mapping[str, Any] = read_kept(place) if place is not None else {}
        self._new: dict[str, Any] = {}

    def digest(self, inputs: Callable[[], Any]) -> str:
        """A digest of inputs that several parts share; "" where nothing is kept."""
        return digest_of(inputs()) if self.place is not None else ""

    def text(self, name: str, inputs: Any, render: Callable[[], str]) -> str:
        """The text of a part, rendered only where its inputs (plain JSON data) or the code are others than before."""
        if self.place is None:
            return render()
        digest = digest_of([package_digest(), inputs])
        known = self._old.get(name)
        text = known[1] if isinstance(known, list) and known[0] == digest else render()
        self._new[name] = [digest, text]
        return str(text)

    def keep(self) -> None:
        """Write what is known now. A full or read-only disk is no error: it is rendered again then."""
        if self.place is not None and self._new != self._old:
            write_kept(self.place, self._new)


def memo_of(folder: Path, kept: Path) -> Memo:
    """The memo of a report folder, in the folder ``kept``."""
    return Memo(kept / f"pages-{digest_of(str(folder.absolute()))[:32]}.json")
