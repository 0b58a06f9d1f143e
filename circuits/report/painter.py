"""Figures drawn by a second process, while the run goes on measuring and answering.

Drawing takes most of the time of a run whose values are kept, and none of it needs the model. Figures wait in a queue: the
second process takes from it all along, with the lowest priority, and this one takes what is left when the run is over. Should
the second process fail, nothing is lost: this one draws what it was at.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, BinaryIO

import circuits

WORTH_A_PROCESS = 8
"""How many figures take about as long as starting a process that draws."""
_DONE, _FAILED = b"+", b"-"
_SIZE = struct.Struct(">Q")
_SERVE = "from circuits.report.painter import serve; serve()"

Job = tuple[bytes, Path]


class Painter:
    """The figures of one run: ``add`` them as they come, and ``finish`` before anybody reads them.

    ``beside``: a second process draws, too (None: where there is more than one core).
    """

    def __init__(self, beside: bool | None = None):
        self.beside = bool(sys.executable) and (cores() > 1 if beside is None else beside)
        self._asked: set[Path] = set()
        self._waiting: SimpleQueue[Job | None] = SimpleQueue()
        self._refused: list[Job] = []
        self._helper: subprocess.Popen[bytes] | None = None
        self._thread: Thread | None = None

    def add(self, figure: Any, path: Path) -> None:
        """Have a figure drawn into ``path`` as it is now; once, however often it is asked for."""
        path = path.absolute()  # the second process may be somewhere else
        if path in self._asked:
            return
        self._asked.add(path)
        self._waiting.put((pickle.dumps(figure), path))
        if self.beside and self._thread is None and self._waiting.qsize() >= WORTH_A_PROCESS:
            self._thread = Thread(target=self._hand_over, name="figures", daemon=True)
            self._thread.start()

    def finish(self, progress: Callable[[str], None] = lambda text: None) -> list[str]:
        """Draw what waits, and wait for what the second process draws. Returns the figures that could not be drawn, and why.

        ``progress`` gets a line with a counter for each.
        """
        problems = self._draw_here(progress)
        thread, self._thread = self._thread, None
        if thread is not None:
            self._waiting.put(None)
            thread.join()
            problems += self._draw_here(progress)
        return problems

    def _draw_here(self, progress: Callable[[str], None]) -> list[str]:
        total, done, problems = self._waiting.qsize() + len(self._refused), 0, []
        while (job := self._next()) is not None:
            done = max(done + 1, total - self._waiting.qsize())
            progress(f"drawing figures ({min(done, total)}/{total})")
            reason = _drawn(*job)
            problems += [f"{job[1].name}: {reason}"] if reason is not None else []
        return problems

    def _next(self) -> Job | None:
        while True:
            if self._refused:
                return self._refused.pop()
            try:
                job = self._waiting.get_nowait()
            except Empty:
                return None
            if job is not None:
                return job

    def _hand_over(self) -> None:
        """In a thread: hand figure after figure to the second process, until there are no more or it fails."""
        while (job := self._waiting.get()) is not None:
            answer = self._asked_beside(*job)
            if answer != _DONE:
                self._refused.append(job)  # this process will meet the same error, and can say what it is
            if answer not in (_DONE, _FAILED):
                return

    def _asked_beside(self, packed: bytes, path: Path) -> bytes:
        """What the second process answers; nothing where there is none."""
        try:
            self._helper = self._helper or _start()
            assert self._helper.stdin is not None and self._helper.stdout is not None
            for data in (packed, os.fsencode(path)):
                self._helper.stdin.write(_SIZE.pack(len(data)) + data)
            self._helper.stdin.flush()
            return self._helper.stdout.read(1)
        except (OSError, ValueError):  # it does not start, it died, or this one ends
            return b""

    def close(self) -> None:
        """End the second process, whatever it is at. Without this it ends when this process does."""
        helper, self._helper = self._helper, None
        if helper is not None:
            helper.kill()
            helper.wait()
            for pipe in (helper.stdin, helper.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()


def _drawn(packed: bytes, path: Path) -> str | None:
    """Draw a figure here; why it could not be, None where it could."""
    from circuits.report.drawing import draw

    try:
        draw(pickle.loads(packed), path)
    except Exception as error:  # of one figure: the others are drawn all the same
        return f"{type(error).__name__}: {error}"
    return None


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start() -> subprocess.Popen[bytes]:
    """The second process: this very package, whatever folder it is started from. Ctrl-C is for the first one only."""
    root = str(Path(circuits.__file__).resolve().parent.parent)
    paths = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    apart: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return subprocess.Popen(
        [sys.executable, "-P", "-c", _SERVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": paths}, **apart,
    )  # fmt: skip


def serve() -> None:
    """The second process: draw what comes in, a byte for each, until nothing more can come."""
    answers = os.fdopen(os.dup(1), "wb", 0)
    os.dup2(2, 1)  # what a library prints is no answer
    if hasattr(os, "nice"):
        os.nice(19)
    while (packed := _received(sys.stdin.buffer)) is not None:
        path = _received(sys.stdin.buffer)
        if path is None:
            return
        answers.write(_DONE if _drawn(packed, Path(os.fsdecode(path))) is None else _FAILED)


def _received(file: BinaryIO) -> bytes | None:
    head = file.read(_SIZE.size)
    if len(head) < _SIZE.size:
        return None
    (size,) = _SIZE.unpack(head)
    data = file.read(size)
    return data if len(data) == size else None
