"""The end of a session on the terminal: failures that pytest would not list, every claim's verdict, the report."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from circuits.plugin.collect import looks_like_suite
from circuits.plugin.session import State

OWN = ("inconclusive", "unmeasurable")  # pytest lists only outcomes that it knows
_MOST_READ = 200  # YAML files, for a hint


class Sections:
    """What comes after pytest's own FAILURES and before its short summary."""

    def __init__(self, state: State):
        self.state = state

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Our failures; the claims; what went wrong beside them; where the report is."""
        if self.state.is_worker:
            return
        _failures(terminalreporter)
        if self.state.entries and terminalreporter.verbosity > -2:
            _claims(terminalreporter, self.state)
        for text in self.state.notes:
            terminalreporter.write_line(text, yellow=True)
        for text in self.state.trouble:
            terminalreporter.write_line(text, red=True)
        if self.state.passed_over and not self.state.files and not terminalreporter.reported_progress:
            _hint(terminalreporter, self.state)


class ShortSummary:
    """Our lines in pytest's short summary, which knows nothing of outcomes that are not its own."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> Generator[None]:
        """The outermost wrapper: what follows the yield follows pytest's own short summary."""
        result = yield
        stats = terminalreporter.stats
        reports = [report for name in OWN for report in stats.get(name, ())]
        if reports and terminalreporter.hasopt("f") and not terminalreporter.no_summary:
            if not (stats.get("failed") or stats.get("error")):
                terminalreporter.write_sep("=", "short test summary info", cyan=True, bold=True)
            for report in reports:
                word = str(report.circuits["entry"]["verdict"]).upper()
                terminalreporter.write(word, red=True)
                line = f" {report.nodeid} - {_first_line(report).removeprefix(f'{word}: ')}"
                room = terminalreporter._tw.fullwidth - len(word)
                terminalreporter.write_line(line if len(line) < room or _ci() else line[: room - 4] + "...")
        return result


def _failures(reporter: Any) -> None:
    style = reporter.config.option.tbstyle
    for name in OWN:
        reports = reporter.stats.get(name, ())
        if not reports or style == "no" or reporter.no_summary:
            continue
        reporter.write_sep("=", name.upper())
        for report in reports:
            if style == "line":
                path, line, _ = report.location
                reporter.write_line(f"{path}:{(line or 0) + 1}: {_first_line(report)}")
            else:
                reporter.write_sep("_", report.head_line or report.nodeid, red=True, bold=True)
                reporter.write_line(str(report.longrepr))


def _first_line(report: pytest.TestReport) -> str:
    return str(report.longrepr).split("\n", 1)[0]


def _ci() -> bool:
    return bool(os.environ.get("CI") or os.environ.get("BUILD_NUMBER"))


def _claims(reporter: Any, state: State) -> None:
    from circuits.report.terminal import claims_section, with_required

    reporter.write_sep("=", "claims")
    required = _required(reporter)
    for line in claims_section(with_required(state.entries, required)):
        for text, colour in line:
            reporter.write(text, **({colour: True} if colour else {}))
        reporter.write_line("")
    for text in run_as_a_whole(state):
        reporter.write_line(text, yellow=True)
    if required:
        reporter.write_line(_told(len(required)), red=True)
    left = len(state.selected - state.entries.keys())
    if left:  # Ctrl-C, -x or --maxfail
        reporter.write_line(f"{left} selected claim{'s were' if left > 1 else ' was'} not run", yellow=True)
    for name in state.stray_overrides():
        reporter.write_line(f"--circuit-model {name}=...: no claim of this run has that model", yellow=True)
    if state.report is not None:
        for text in _report(state, state.report):
            reporter.write_line(text)


def _report(state: State, folder: Path) -> Iterator[str]:
    """Where the report is: of claims of earlier runs, too, which stay in it; and the page of the only suite of this run."""
    from circuits.report.pages import page_name
    from circuits.report.record import file_of

    run = len(state.entries)
    kept = f" ({run} of its {state.reported} claims are of this run)" if state.reported > run else ""
    yield f"report: {shown(folder / 'README.md')}{kept}"
    files = {file_of(name, entry) for name, entry in state.entries.items()}
    if len(files) == 1 and kept:
        yield f"page of this suite: {shown(folder / page_name(files.pop()))}"


def _required(reporter: Any) -> list[str]:
    """The node ids of claims that fail without weights (--circuit-require-models), though nothing was found against them."""
    failed = [getattr(report, "circuits", None) or {} for report in reporter.stats.get("failed", ())]
    return [told["id"] for told in failed if told and told["entry"].get("status") == "skipped"]


def _told(count: int) -> str:
    return f"{count} of the skipped claims fail{'s' if count == 1 else ''}: weights are required here (--circuit-require-models)"


def run_as_a_whole(state: State) -> list[str]:
    """Discoveries at a false discovery rate, the seed of fresh prompts, and verdicts that are others on these prompts."""
    lines = []
    tested = [entry["fdr"] for entry in state.entries.values() if entry.get("fdr")]
    if tested:
        kept = sum(each["discovery"] for each in tested)
        lines.append(
            f"{kept} of {len(tested)} claims are discoveries at a false discovery rate of {tested[0]['alpha']:g} (e-BH)"
        )
    if state.config.getoption("--circuit-fresh"):
        lines.append(f"prompts never used before: seed {state.config.getoption('--circuit-seed')}")
    for name, flip in state.flips.items():
        lines.append(f"flipped on these prompts: {name}, {flip['from'].upper()} before, {flip['to'].upper()} now")
    return lines


def shown(path: Path) -> str:
    """A path as it can be opened from here, the shorter of relative and absolute."""
    try:
        relative = os.path.relpath(path)
    except ValueError:  # another drive
        return str(path)
    return relative if not relative.startswith(os.path.join("..", "..")) else str(path)


def _hint(reporter: Any, state: State) -> None:
    """Nothing was collected: say so of suites that lie where none are looked for."""
    files = [path for path in state.passed_over[:_MOST_READ] if looks_like_suite(path)]
    if files:
        lie = (
            f" and {len(files) - 1} more look like suites but lie" if len(files) > 1 else " looks like a suite but lies"
        )
        folders = ", ".join(map(str, state.config.getini("circuit_suites")))
        reporter.write_line(
            f"{shown(files[0])}{lie} in no suites folder ({folders}): "
            "name the file itself, or set circuit_suites in the ini file",
            yellow=True,
        )
