"""What is going on, on the terminal, without breaking pytest's own dots.

On a terminal: a status to the right of the dots, on the same line, that overwrites itself and goes away.
Elsewhere (CI, a pipe): a line for what takes long only. Nothing with -q, and nothing from xdist workers.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from typing import Any

import pytest

HEARTBEAT_SECONDS = 10.0
LEAST_DONE = 3  # claims before the time that is left is guessed from them
_BLINK_SECONDS = 0.1
_COUNTER = re.compile(r" \((\d+)/(\d+)\)$")


class Progress:
    """``step``: a measurement begins or goes on; ``notice``: a model is made ready; ``clear``: all is done."""

    def __init__(self, config: pytest.Config):
        self.config = config
        self.shown = False
        self._title = ""
        self._total = self._done = 0
        self._start: float | None = None
        self._began = self._wrote = 0.0

    def expect(self, total: int) -> None:
        """How many claims are to be measured, from now on."""
        self._total, self._done, self._start = total, 0, time.monotonic()

    def finished(self, *, measured: bool = True) -> None:
        """One of them is done; one that was not measured (its weights are missing) says nothing about the time of the others."""
        if measured:
            self._done += 1
        else:
            self._total -= 1

    def _whole(self, now: float) -> str:
        """How far the run is, and about how long it goes on; "" before it is known."""
        if self._start is None or self._total < 2:
            return ""
        told = f"claim {min(self._done + 1, self._total)} of {self._total}"
        if self._done < LEAST_DONE:
            return f"{told}: "
        left = (now - self._start) / self._done * (self._total - self._done)
        return f"{told}, about {in_time(left)} left: "

    def step(self, text: str) -> None:
        """A measurement's title, with " (3/10)" as it goes on; lines only for what takes long."""
        now = time.monotonic()
        counter = _COUNTER.search(text)
        title = text[: counter.start()] if counter else text
        if title != self._title:
            self._title, self._began = title, now
        reporter = self._reporter()
        if reporter is None:
            return
        if _live(reporter):
            if counter is None or now - self._wrote >= _BLINK_SECONDS:
                self._wrote = now
                self._status(reporter, self._whole(now) + text)
        elif counter and counter[1] != counter[2] and now - max(self._began, self._wrote) >= HEARTBEAT_SECONDS:
            self._wrote = now  # the last count needs no line: the dot follows at once
            self._line(reporter, self._whole(now) + text)

    def notice(self, text: str) -> None:
        """A step that takes long: a download, a conversion, a model being loaded."""
        reporter = self._reporter()
        if reporter is None:
            return
        self._wrote = time.monotonic()
        if _live(reporter):
            self._status(reporter, text)
        else:
            self._line(reporter, text)

    def clear(self) -> None:
        """Take the status away, so that the next dot follows the last."""
        reporter = self._reporter() if self.shown else None
        if reporter is not None:
            with self._uncaptured():
                _raw(reporter, "\x1b[K")
            self.shown = False

    def _reporter(self) -> Any:
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is None or hasattr(self.config, "workerinput") or self.config.get_verbosity() < 0:
            return None
        return reporter

    def _uncaptured(self) -> Any:
        capture = self.config.pluginmanager.get_plugin("capturemanager")
        return contextlib.nullcontext() if capture is None else capture.global_and_fixture_disabled()

    def _status(self, reporter: Any, text: str) -> None:
        room = reporter._tw.fullwidth - reporter._tw.width_of_current_line - 3
        if room < 12:
            return
        shown = text if len(text) <= room else text[: room - 3] + "..."
        with self._uncaptured():
            _raw(reporter, f"\x1b7  {shown}\x1b[K\x1b8")  # remember the place, write, go back to it
        self.shown = True

    def _line(self, reporter: Any, text: str) -> None:
        """A line of its own; what stood before it on pytest's line begins again below."""
        before = reporter.currentfspath
        with self._uncaptured():
            reporter.ensure_newline()
            reporter.write_line(f"  {text}")
            if isinstance(before, str):  # -v: the line of this very test
                reporter.write(before)
            elif isinstance(before, os.PathLike):  # dots: the file they belong to
                reporter.write(os.path.relpath(before, self.config.invocation_params.dir) + " ")
            else:
                return
            reporter.currentfspath = before
            reporter.flush()


def in_time(seconds: float) -> str:
    """A duration in one unit: 40 s, 3 min, 2.5 h."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def _live(reporter: Any) -> bool:
    """Whether a line can overwrite itself here."""
    return bool(reporter.isatty) and not os.environ.get("CI") and os.environ.get("TERM") != "dumb"


def _raw(reporter: Any, text: str) -> None:
    """Write past pytest's count of columns: what is written here takes no place."""
    file = reporter._tw._file
    with contextlib.suppress(OSError, UnicodeError):
        file.write(text)
        file.flush()
