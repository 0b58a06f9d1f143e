"""GitHub Actions: annotations at the claims' lines, the step's summary, the step's outputs.

Each is written once, at the end, by the process that started the run (never by a worker of xdist), and only where the
runner asks for it by its environment variables.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from circuits.plugin.collect import SUFFIXES
from circuits.plugin.session import State

if TYPE_CHECKING:
    from circuits.report.step_summary import Failure

MOST_ERRORS = 9
"""GitHub shows 10 annotations of a step: so many claims, and one that counts the others."""
_LONGEST = 2000  # characters of one annotation
_CANNOT_WRITE = "the step's {what} cannot be written: {error}"


def wanted() -> bool:
    """Whether this process runs in a step of GitHub Actions."""
    return any(os.environ.get(name) for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"))


class GitHub:
    """What a run tells GitHub Actions. Registered as a plugin where ``wanted``, in the controller."""

    def __init__(self, state: State, environment: Mapping[str, str] = os.environ):
        self.state = state
        self.environment = environment
        self._failed: dict[str, pytest.TestReport] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Gather the claims that failed."""
        if report.failed and PurePath(report.nodeid.partition("::")[0]).suffix.lower() in SUFFIXES:
            self._failed[report.nodeid] = report

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Behind the report, before the terminal's last sections: what cannot be written is said there."""
        for variable, what, text in (
            ("GITHUB_STEP_SUMMARY", "summary", self._summary),
            ("GITHUB_OUTPUT", "outputs", self._outputs),
        ):
            place = self.environment.get(variable)
            if place and (self.state.entries or self.state.notes or self._failed):
                try:
                    _append(Path(place), text)
                except OSError as error:
                    said = f"{error.strerror or error}: {place}"
                    self.state.trouble.append(_CANNOT_WRITE.format(what=what, error=said))
                except Exception:  # a bug; the session's own results must not go down with it
                    self.state.trouble.append(f"the step's {what} failed, please report it:\n{traceback.format_exc()}")

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """The annotations. A workflow command is read only at the start of a line."""
        if self.environment.get("GITHUB_ACTIONS") != "true" or not self._failed:
            return
        terminalreporter.ensure_newline()
        for line in self._annotations():
            terminalreporter.write_line(line)

    def _failures(self) -> list[Failure]:
        from circuits.report.step_summary import worst_first

        return worst_first(_failure(report, self.state) for report in self._failed.values())

    def _annotations(self) -> list[str]:
        failures = self._failures()
        lines = [
            command(
                "error",
                _message(failure),
                file=self._from_workspace(failure.file) or failure.file,
                line=str(failure.line),
                title=failure.title,
            )
            for failure in failures[:MOST_ERRORS]
        ]
        more = len(failures) - MOST_ERRORS
        if more > 0:
            others = f"{more} more claim{'s fail' if more > 1 else ' fails'}"
            lines.append(command("warning", f"{others}: see the step's summary or the report", title="pytest-circuits"))
        return lines

    def _summary(self, written: int) -> str:
        from circuits.plugin.summary import run_as_a_whole
        from circuits.report.step_summary import LIMIT, step_summary

        state, gap = self.state, "\n" if written else ""
        return gap + step_summary(
            state.entries, self._failures(), remarks=[*state.notes, *run_as_a_whole(state), *state.trouble],
            link=self._link, room=LIMIT - written - len(gap),
        )  # fmt: skip

    def _outputs(self, written: int) -> str:
        """Counts for the steps that follow, one NAME=VALUE a line."""
        from circuits.report.record import is_claim

        states = [entry["status"] for entry in self.state.entries.values() if is_claim(entry)]
        told = {"claims": len(states), "failed": len(self._failed)}
        told |= {name: states.count(name) for name in ("measured", "cached", "skipped")}
        return "".join(f"{name}={value}\n" for name, value in told.items())

    def _link(self, entry: Mapping[str, Any]) -> str | None:
        """A claim's line at the commit that is tested, as GitHub shows it."""
        server, repository, commit = (
            self.environment.get(name) for name in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_SHA")
        )
        path = self._from_workspace(str(entry["file"]))
        if not (server and repository and commit and path):
            return None
        return f"{server}/{repository}/blob/{commit}/{quote(path, safe='/')}#L{entry['line']}"

    def _from_workspace(self, file: str) -> str | None:
        """A path from the project's root as one from the checkout's, with slashes; None outside it."""
        workspace = self.environment.get("GITHUB_WORKSPACE")
        if not workspace:
            return PurePath(file).as_posix()
        path = Path(os.path.normpath(self.state.config.rootpath / file))
        for inside in (Path(workspace), Path(workspace).resolve()):
            if path.is_relative_to(inside):
                return path.relative_to(inside).as_posix()
        return None


def command(name: str, message: str, **properties: str) -> str:
    """A workflow command of GitHub Actions in one line: ``::error file=x.yaml,line=3::It is not so``.

    In a message %, carriage return and newline are written as %25, %0D and %0A; in a property : and , too.
    """
    told = ",".join(f"{key}={_escaped(value, ':,')}" for key, value in properties.items())
    return f"::{name}{' ' if told else ''}{told}::{_escaped(message)}"


def _escaped(text: str, more: str = "") -> str:
    for character in "%\r\n" + more:  # % first: the others bring new ones
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def _failure(report: pytest.TestReport, state: State) -> Failure:
    from circuits.report.step_summary import Failure

    told = getattr(report, "circuits", None)
    if told is not None:
        entry = state.entries.get(told["id"], told["entry"])
        return Failure(report.nodeid, str(entry["file"]), int(entry["line"]), _first_line(report), entry)
    file, line, _ = report.location  # of a worker that died: no line
    return Failure(report.nodeid, file, (line or 0) + 1, _first_line(report))


def _first_line(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)  # a traceback: its last line says more than its first
    return str(crash.message if crash is not None else report.longrepr or "failed").strip().split("\n", 1)[0]


def _message(failure: Failure) -> str:
    """The verdict with its numbers and the claim's words; where another verdict was expected, which."""
    if failure.entry is None:
        return failure.message[:_LONGEST]
    from circuits.report.terminal import headline

    expected = failure.entry["expected"]
    more = f"\nexpected: {expected}" if expected != "supported" else ""
    return headline(failure.entry)[:_LONGEST] + more[:_LONGEST]


def _append(path: Path, text: Callable[[int], str]) -> None:
    """Append what ``text`` makes of the number of bytes that are there already. Raises OSError."""
    before = path.stat().st_size if path.exists() else 0
    with path.open("ab") as file:
        file.write(text(before).encode("utf-8", errors="replace"))
