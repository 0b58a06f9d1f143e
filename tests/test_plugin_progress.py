"""The status beside pytest's dots: what a terminal, a pipe and -q show of a long measurement."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from circuits.plugin import progress as module
from circuits.plugin.progress import Progress


class Screen:
    """A file that a terminal would be: collects what is written."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return True


class Reporter:
    """The few things of pytest's terminal reporter that progress uses."""

    def __init__(self, *, live: bool, width: int = 60) -> None:
        self.isatty = live
        self.screen = Screen()
        self.currentfspath: Any = None
        self._tw = SimpleNamespace(fullwidth=width, width_of_current_line=0, _file=self.screen)

    def write(self, text: str) -> None:
        self.screen.write(text)
        self._tw.width_of_current_line = len(self.screen.text.rsplit("\n", 1)[-1])

    def write_line(self, text: str) -> None:
        self.write(text + "\n")

    def ensure_newline(self) -> None:
        if self.currentfspath:
            self.write("\n")
            self.currentfspath = None

    def flush(self) -> None:
        pass


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that stands still until it is told."""
    found = Clock()
    monkeypatch.setattr(module, "time", found)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    return found


def progress(reporter: Reporter | None, tmp_path: Any, verbosity: int = 0, **more: Any) -> Progress:
    config: Any = SimpleNamespace(
        pluginmanager=SimpleNamespace(get_plugin=lambda name: reporter if name == "terminalreporter" else None),
        get_verbosity=lambda: verbosity,
        invocation_params=SimpleNamespace(dir=tmp_path),
        **more,
    )
    return Progress(config)


def shown(text: str) -> str:
    """What stands on the current line in the end, by the control sequences used: save, restore, erase."""
    line, column, saved = "", 0, 0
    while text:
        if text.startswith("\x1b7"):
            saved, text = column, text[2:]
        elif text.startswith("\x1b8"):
            column, text = saved, text[2:]
        elif text.startswith("\x1b[K"):
            line, text = line[:column], text[3:]
        else:
            line, column, text = line[:column] + text[0] + line[column + 1 :], column + 1, text[1:]
    return line


def test_a_terminal_shows_a_status_beside_the_dots(clock: Clock, tmp_path: Any) -> None:
    """It overwrites itself, is cut to the line, and leaves the dots as they were."""
    reporter = Reporter(live=True)
    status = progress(reporter, tmp_path)
    reporter.write("hypotheses/a.yaml ..")
    status.step("attention on numerals: 3 questions, 64 prompts")
    assert shown(reporter.screen.text) == "hypotheses/a.yaml ..  attention on numerals: 3 questions..."
    clock.now += 1
    status.step("clean run (2/3)")
    assert shown(reporter.screen.text) == "hypotheses/a.yaml ..  clean run (2/3)"
    status.clear()
    assert shown(reporter.screen.text) == "hypotheses/a.yaml .."
    reporter.write("F")
    assert shown(reporter.screen.text) == "hypotheses/a.yaml ..F"
    assert "\n" not in reporter.screen.text


def test_a_counter_is_not_written_all_the_time(clock: Clock, tmp_path: Any) -> None:
    """A thousand counts in one moment are one write."""
    reporter = Reporter(live=True)
    status = progress(reporter, tmp_path)
    status.step("attention")
    before = reporter.screen.text
    for number in range(1000):
        status.step(f"attention ({number}/1000)")
    assert reporter.screen.text == before


def test_a_full_line_has_no_room(clock: Clock, tmp_path: Any) -> None:
    """Nothing is written that would wrap."""
    reporter = Reporter(live=True, width=30)
    status = progress(reporter, tmp_path)
    reporter.write("." * 20)
    status.notice("smollm2-135m: loading the model")
    assert reporter.screen.text == "." * 20


def test_a_pipe_gets_a_line_for_what_takes_long(clock: Clock, tmp_path: Any) -> None:
    """Downloads and loading are said at once, a measurement after ten seconds and every ten; the dots go on below."""
    reporter = Reporter(live=False)
    status = progress(reporter, tmp_path)
    reporter.currentfspath = tmp_path / "hypotheses" / "a.yaml"
    reporter.write("hypotheses/a.yaml ..")
    status.notice("m: loading the model")
    status.step("ablation of 1.2")
    for number in range(1, 31):
        clock.now += 1
        status.step(f"ablation of 1.2 ({number}/30)")
    status.clear()
    reporter.write("F")
    assert reporter.screen.text.splitlines() == [
        "hypotheses/a.yaml ..",
        "  m: loading the model",
        "hypotheses/a.yaml ",
        "  ablation of 1.2 (10/30)",
        "hypotheses/a.yaml ",
        "  ablation of 1.2 (20/30)",
        "hypotheses/a.yaml F",
    ]


def test_quick_measurements_say_nothing_in_a_pipe(clock: Clock, tmp_path: Any) -> None:
    """Many measurements of a few seconds each are no reason for a line."""
    reporter = Reporter(live=False)
    status = progress(reporter, tmp_path)
    for number in range(100):
        status.step(f"ablation of {number}")
        clock.now += 5
        status.step(f"ablation of {number} (1/1)")
    assert reporter.screen.text == ""


def test_verbose_lines_begin_again(clock: Clock, tmp_path: Any) -> None:
    """With -v the line of the running claim is repeated below, so that its word stands beside it."""
    reporter = Reporter(live=False)
    status = progress(reporter, tmp_path, verbosity=1)
    reporter.currentfspath = "hypotheses/a.yaml::yes "
    reporter.write("hypotheses/a.yaml::yes ")
    status.notice("m: downloading")
    reporter.write("PASSED")
    assert reporter.screen.text == "hypotheses/a.yaml::yes \n  m: downloading\nhypotheses/a.yaml::yes PASSED"


@pytest.mark.parametrize("live", [True, False])
def test_quiet_sessions_and_workers_say_nothing(clock: Clock, tmp_path: Any, live: bool) -> None:
    """-q, an xdist worker and -p no:terminal."""
    reporter = Reporter(live=live)
    for status in (
        progress(reporter, tmp_path, verbosity=-1),
        progress(reporter, tmp_path, workerinput={}),
        progress(None, tmp_path),
    ):
        status.notice("m: downloading")
        status.step("attention")
        status.clear()
    assert reporter.screen.text == ""


@pytest.mark.parametrize(("name", "value"), [("CI", "true"), ("TERM", "dumb")])
def test_some_terminals_are_treated_as_pipes(
    clock: Clock, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """CI logs and dumb terminals get no control sequences."""
    monkeypatch.setenv(name, value)
    reporter = Reporter(live=True)
    progress(reporter, tmp_path).notice("m: downloading")
    assert reporter.screen.text == "  m: downloading\n"


def test_how_far_and_how_long(clock: Clock, tmp_path: Any) -> None:
    """The claims that are done, and from the third on about how long the others take at that pace."""
    reporter = Reporter(live=True, width=100)
    status = progress(reporter, tmp_path)
    status.expect(10)
    status.step("attention (1/2)")
    assert "claim 1 of 10: attention (1/2)" in reporter.screen.text
    for _ in range(4):
        clock.now += 30.0
        status.finished()
    status.step("clean run")
    # 120 s for 4 claims leave 6 x 30 s.
    assert "claim 5 of 10, about 3 min left: clean run" in reporter.screen.text
    told = [module.in_time(seconds) for seconds in (0.2, 89, 91, 5399, 9000)]
    assert told == ["1 s", "89 s", "2 min", "90 min", "2.5 h"]


def test_claims_without_weights_say_nothing_about_the_time_left(clock: Clock, tmp_path: Any) -> None:
    """Six claims that are skipped at once leave the pace of the others as it is: 4 measured in 120 s, 10 to go."""
    reporter = Reporter(live=True, width=100)
    status = progress(reporter, tmp_path)
    status.expect(20)
    for _ in range(6):
        status.finished(measured=False)
    for _ in range(4):
        clock.now += 30.0
        status.finished()
    status.step("clean run")
    assert "claim 5 of 14, about 5 min left: clean run" in reporter.screen.text
