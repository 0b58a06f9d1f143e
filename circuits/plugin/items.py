"""The items of a suite: a claim, the faults outside the claims, and a file on which the program itself failed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from circuits.plugin.options import requires_models

if TYPE_CHECKING:
    from circuits.claims.claim import Suite
    from circuits.items import Item, Outcome
    from circuits.plugin.session import State


class NotAsExpectedError(Exception):
    """A claim that did not come out as expected; its text is what the user reads, first line first."""


class CircuitItem(pytest.Item):
    """What all items share. ``entry``: this item's part of results.json, once it is known; ``body``: see ``Outcome``."""

    def __init__(self, *, state: State, **kwargs: Any):
        super().__init__(**kwargs)
        self.state = state
        self.entry: Mapping[str, Any] | None = None
        self.body: str | None = None

    @property
    def line(self) -> int:
        """The line of the suite that this item is about, from 1."""
        return 1

    def reportinfo(self) -> tuple[Path, int, str]:
        # The heading of a failure. pytest -v replaces dots in a text that ends the node id: this one does not.
        return self.path, max(0, self.line - 1), self.nodeid.replace("::", ": ", 1)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The text for the user; pytest's traceback for anything unexpected: that is a bug."""
        asked: Any = getattr(self.config.option, "tbstyle", "auto")  # absent with -p no:terminal
        if isinstance(excinfo.value, NotAsExpectedError):
            text = str(excinfo.value)
            return text.split("\n", 1)[0] if asked == "line" else text
        return excinfo.getrepr(style="long" if asked in ("auto", "no") else asked, tbfilter=_below_pytest)


def _below_pytest(excinfo: pytest.ExceptionInfo[BaseException]) -> Any:
    """The frames from this module on: those of pytest and pluggy say nothing about the bug."""
    return excinfo.traceback.cut(path=Path(__file__)).filter(excinfo)


class FaultsItem(CircuitItem):
    """Fails with every fault that a suite has outside its claims, or its file as a whole."""

    def __init__(self, *, suite: Suite, **kwargs: Any):
        super().__init__(**kwargs)
        self.suite = suite

    @property
    def line(self) -> int:
        return self.suite.faults[0].where.line

    def runtest(self) -> None:
        from circuits.entries import suite_entry
        from circuits.report.terminal import failure_text

        self.entry = suite_entry(self.suite, self.nodeid)
        raise NotAsExpectedError(failure_text(self.entry))


class BrokenItem(CircuitItem):
    """A suite that could not even be read for a reason other than its content."""

    def __init__(self, *, error: Exception, **kwargs: Any):
        super().__init__(**kwargs)
        self.error = error

    def runtest(self) -> None:
        from circuits.errors import CircuitsError

        if isinstance(self.error, CircuitsError):
            raise NotAsExpectedError(f"ERROR: {self.error}")
        raise self.error


class ClaimItem(CircuitItem):
    """One claim on one variant of its prompt sets."""

    def __init__(self, *, item: Item, **kwargs: Any):
        from circuits.entries import model_name

        super().__init__(**kwargs)
        self.item = item
        for kind in sorted({check.kind for check in item.claim.checks}):
            self.add_marker(kind)
        if item.claim.expect.kind == "refuted":
            self.add_marker("known_negative")
        self.add_marker(pytest.mark.circuit_model(name=model_name(item.suite)))

    @property
    def line(self) -> int:
        return self.item.claim.where.line

    def runtest(self) -> None:
        from circuits.errors import CircuitsError
        from circuits.report.terminal import failure_text

        try:
            outcome = self.state.evaluate(self.item)
        except CircuitsError as error:  # of the machine or the command line, not of the claim
            raise NotAsExpectedError(f"ERROR: {error}") from None
        except Exception as error:
            self.entry = self.state.broken(self.item, error)
            raise
        self._answer(outcome)
        if outcome.skip is not None:
            if outcome.missing and requires_models(self.config):
                raise NotAsExpectedError(f"{outcome.skip}\nWeights are required here (--circuit-require-models).")
            pytest.skip(outcome.skip)
        expect = self.item.claim.expect
        if expect.kind == "xfail" and outcome.entry["status"] != "invalid":
            self.add_marker(pytest.mark.xfail(reason=expect.reason or ""))
            if outcome.met:
                raise NotAsExpectedError(failure_text(outcome.entry))
        elif not outcome.met:
            raise NotAsExpectedError(failure_text(outcome.entry))

    def _answer(self, outcome: Outcome) -> None:
        from circuits.report.record import clean_numbers

        self.body = outcome.body
        # numpy's numbers would not cross to xdist's controller
        self.entry = outcome.entry if outcome.body is not None else clean_numbers(outcome.entry)
        self.user_properties += list(properties(self.entry))


_OF_CLAIM = ("verdict", "expected", "status", "model", "heads", "digest", "vacuous", "reason")
_OF_ROW = ("check", "more_than", "head", "prompts", "estimate", "low", "high", "confidence", "bound", "n", "seed")


def properties(entry: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Flat scalars for JUnit: what the claim came to, and its row's numbers; what is null is left out.

    Numbers have the digits that they have in results.json, whether they were measured now or kept. ``more_than`` is the
    other side of a comparison, with its head and prompt set where they are others.
    With several rows the names of theirs end in the row's number, from 1: ``estimate.2``, ``verdict.2``.
    """
    from circuits.report.terminal import compared

    found = [(name, _flat(entry.get(name))) for name in _OF_CLAIM]
    rows = entry["checks"]
    for number, row in enumerate(rows, 1):
        suffix = f".{number}" if len(rows) > 1 else ""
        effect = row.get("effect") or {}
        told = {name: row.get(name) for name in _OF_ROW} | {"more_than": compared(row)}
        told |= {"effect": effect.get("value"), "effect_kind": effect.get("kind")}
        told |= {"verdict": row.get("verdict")} if suffix else {}
        found += [(f"{name}{suffix}", _flat(value)) for name, value in told.items()]
    return [(name, value) for name, value in found if value is not None]


def _flat(value: Any) -> Any:
    """A scalar that a JUnit file can hold; None for nothing."""
    if value is None or type(value) in (str, int):
        return value
    from circuits.report.record import DIGITS, clean_numbers

    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or None
    if isinstance(value, float):
        return clean_numbers(value, DIGITS)
    return str(value).lower() if isinstance(value, bool) else value


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Put a claim's entry on its report, so that it also crosses from an xdist worker to the controller."""
    report = yield
    if isinstance(item, CircuitItem) and call.when == "call" and item.entry is not None:
        key = item.state.key_of(item.item) if isinstance(item, ClaimItem) else None
        report.circuits = {
            "id": item.nodeid, "entry": item.entry, "models": item.state.models, "key": key, "body": item.body,
        }  # fmt: skip
        if report.skipped and not hasattr(report, "wasxfail") and isinstance(report.longrepr, tuple):
            # One place for all skips of a suite: pytest then says them in one line.
            report.longrepr = (str(item.path), 1, report.longrepr[2])
    return report
