"""How far a command is, on standard error: a line that overwrites itself on a terminal, elsewhere only what takes long."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time

BLINK_SECONDS = 0.1


class Status:
    """``step``: a measurement begins or goes on; ``notice``: a model is made ready; ``clear``: all is done."""

    def __init__(self) -> None:
        self.live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("CI")
        self._wrote = 0.0
        self._title = ""

    def step(self, text: str) -> None:
        """A title, with " (3/10)" as it goes on."""
        title, now = text.rpartition(" (")[0] or text, time.monotonic()
        if self.live and (title != self._title or now - self._wrote >= BLINK_SECONDS):
            self._title, self._wrote = title, now
            self._write(f"\r{text[: shutil.get_terminal_size().columns - 1]}\x1b[K")

    def notice(self, text: str) -> None:
        """A step that takes long: a download, a conversion, a model being loaded."""
        if self.live:
            self._write(f"\r{text[: shutil.get_terminal_size().columns - 1]}\x1b[K")
        else:
            self._write(f"{text}\n")

    def clear(self) -> None:
        """Take the line away."""
        if self.live:
            self._write("\r\x1b[K")

    @staticmethod
    def _write(text: str) -> None:
        with contextlib.suppress(OSError, UnicodeError):
            sys.stderr.write(text)
            sys.stderr.flush()
