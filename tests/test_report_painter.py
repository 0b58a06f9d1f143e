"""Figures drawn by a second process: the same bytes, each once, and none lost whatever becomes of that process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests_of_plugin import GOOD, project, results

from circuits.report import painter as module
from circuits.report.drawing import draw
from circuits.report.figures import ScoreFigure
from circuits.report.painter import WORTH_A_PROCESS, Painter

MANY = WORTH_A_PROCESS + 4


def score(number: int) -> ScoreFigure:
    grid = np.linspace(0, 1, 6).reshape(2, 3)
    return ScoreFigure("successor", grid, ((number % 2, 1),), "at_least 0.9", f"Figure {number}", 32)


def wrong() -> ScoreFigure:
    return ScoreFigure("successor", np.zeros(3), (), "at_least 0.9", "No map", 32)


def drawn(tmp_path: Path, painter: Painter, count: int = MANY) -> dict[str, bytes]:
    """What a painter makes of so many figures."""
    for number in range(count):
        painter.add(score(number), tmp_path / f"{number}.png")
    try:
        assert painter.finish() == []
    finally:
        painter.close()
    return {path.name: path.read_bytes() for path in tmp_path.glob("*.png")}


def test_two_processes_draw_what_one_draws(tmp_path: Path) -> None:
    """Byte for byte, whoever drew it; a relative path means what it means here."""
    for number in range(MANY):
        draw(score(number), tmp_path / "here" / f"{number}.png")
    here = {path.name: path.read_bytes() for path in (tmp_path / "here").glob("*.png")}
    assert len(set(here.values())) == MANY
    assert drawn(tmp_path / "alone", Painter(beside=False)) == here
    assert drawn(tmp_path / "beside", Painter(beside=True)) == here


def test_the_second_process_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While this one does not: all figures of a run that takes longer than they do."""
    painter = Painter(beside=True)
    for number in range(MANY):
        painter.add(score(number), tmp_path / f"{number}.png")
    assert painter._thread is not None
    monkeypatch.setattr(module, "_drawn", lambda *job: pytest.fail("drawn here"))
    painter._waiting.put(None)
    painter._thread.join()
    assert painter.finish() == []
    helper = painter._helper
    assert helper is not None
    painter.close()
    assert helper.poll() is not None, "it is gone"
    assert len(list(tmp_path.glob("*.png"))) == MANY


def test_few_figures_and_one_core_start_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting one costs as much as drawing some, and it would only take turns with this one."""
    monkeypatch.setattr(module, "_start", lambda: pytest.fail("a process was started"))
    assert len(drawn(tmp_path / "few", Painter(beside=True), WORTH_A_PROCESS - 1)) == WORTH_A_PROCESS - 1
    monkeypatch.setattr(module, "cores", lambda: 1)
    assert len(drawn(tmp_path / "one", Painter())) == MANY


@pytest.mark.parametrize("how", ["never starts", "dies at once", "dies later"])
def test_no_figure_is_lost_with_the_second_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """This process draws what it was at, and the rest."""
    start = module._start

    def started() -> Any:
        if how == "never starts":
            raise OSError("no process")
        process = start()
        if how == "dies at once":
            process.kill()
            process.wait()
        return process

    monkeypatch.setattr(module, "_start", started)
    if how == "dies later":
        monkeypatch.setattr(module, "_SERVE", "import sys; sys.stdin.buffer.read(100); sys.exit(3)")
    assert len(drawn(tmp_path, Painter(beside=True))) == MANY


@pytest.mark.parametrize("beside", [True, False])
def test_a_figure_that_cannot_be_drawn_is_named_and_the_others_are_drawn(tmp_path: Path, beside: bool) -> None:
    """Whoever met it."""
    painter = Painter(beside)
    painter.add(wrong(), tmp_path / "wrong.png")
    for number in range(MANY):
        painter.add(score(number), tmp_path / f"{number}.png")
    (problem,) = painter.finish()
    assert problem.startswith("wrong.png: ValueError: ")
    assert len(list(tmp_path.glob("*.png"))) == MANY
    painter.add(score(99), tmp_path / "later.png")
    painter.add(score(99), tmp_path / "later.png")
    told: list[str] = []
    assert painter.finish(told.append) == []
    assert told == ["drawing figures (1/1)"], "asked for twice, drawn once"
    assert (tmp_path / "later.png").is_file()
    painter.close()
    painter.close()


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize("error", [ValueError("no such colour"), KeyboardInterrupt()], ids=["bug", "Ctrl-C"])
def test_a_run_without_its_figures_keeps_its_numbers(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """It says so and fails; the next run draws them, from the values that were kept."""
    project(pytester.path, good=GOOD)

    def fails(*given: Any) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr("circuits.report.drawing.draw", fails)
        result = pytester.runpytest_inprocess()
    said = "no such colour" if isinstance(error, ValueError) else "stopped by Ctrl-C"
    result.stdout.fnmatch_lines([f"*figures are missing: *{said}*"])
    assert result.ret != 0
    (entry,) = results(pytester.path)["claims"].values()
    assert (entry["verdict"], entry["status"]) == ("supported", "measured")
    figure = pytester.path / "reports" / entry["checks"][0]["figure"]["path"]
    assert not figure.exists()
    again = pytester.runpytest_inprocess()
    assert again.ret == 0
    assert figure.is_file()
