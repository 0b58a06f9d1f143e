"""The thin layer between pytest and the evaluator: collection, outcomes, the terminal, the report.

Nothing heavy is imported here: pytest loads this module at every start, also where there is no suite.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from circuits.evaluate import Evaluator, Item, Outcome

SUFFIXES = (".yaml", ".yml")
MARKERS = {
    "attends": "a claim with an attention check",
    "score": "a claim with a named score",
    "ablate": "a claim with an ablation",
    "known_negative": "a claim that is expected to be refuted",
    "circuit_model(name)": "the model of a claim",
}
STATE = pytest.StashKey["Any"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options start with --circuit-, ini names with circuit_."""
    group = parser.getgroup("circuits", "claims about attention heads (pytest-circuits)")
    add = group.addoption
    add("--circuit-report", metavar="DIR", default=None, help="where reports go (default: the ini value circuit_report, 'reports')")
    add("--circuit-seed", metavar="N", type=int, default=None, help="seed of the prompts, instead of each suite's own")
    add("--circuit-n", metavar="N", type=int, default=None, help="number of prompts, instead of each suite's sampling: max")
    add("--circuit-device", metavar="NAME", default=None, help="cpu (default), cuda, cuda:N, mps or auto")
    add("--circuit-dtype", metavar="NAME", default=None, help="float32 (default), float64, bfloat16 or float16")
    add("--circuit-batch-tokens", metavar="N", type=int, default=None, help="tokens in one forward pass (default 2048)")
    help_model = "take a model's weights from a folder or .gguf file (may be repeated), e.g. gpt2=/models/gpt2"
    add("--circuit-model", metavar="NAME=PLACE", action="append", default=[], help=help_model)
    add("--circuit-fresh", action="store_true", help="measure everything again, whatever is cached")
    add("--circuit-no-report", action="store_true", help="write no report")
    parser.addini("circuit_report", "folder of the reports", default="reports")
    parser.addini("circuit_device", "device of the models", default="cpu")
    parser.addini("circuit_dtype", "dtype of the models", default="float32")
    parser.addini("circuit_batch_tokens", "tokens in one forward pass", default="2048")
    parser.addini("circuit_suites", "folders whose YAML files are suites", type="args", default=["hypotheses"])
    parser.addini("circuit_model", "model places, one NAME=PLACE a line", type="linelist", default=[])


def pytest_configure(config: pytest.Config) -> None:
    for name, meaning in MARKERS.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")
    config.stash[STATE] = State(config)
    config.pluginmanager.register(config.stash[STATE], "circuits-state")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """A YAML file is a suite when it lies in a suites folder, was named itself, or says that it is one."""
    if file_path.suffix.lower() not in SUFFIXES:
        return None
    config = parent.config
    named = any(_same_file(str(argument).split("::")[0], file_path, config) for argument in config.args)
    inside = any(folder in file_path.parent.parts for folder in config.getini("circuit_suites"))
    if named or inside or _looks_like_suite(file_path):
        return SuiteFile.from_parent(parent, path=file_path)
    return None


def _same_file(argument: str, path: Path, config: pytest.Config) -> bool:
    return (config.invocation_params.dir / argument).absolute() == path.absolute()


def _looks_like_suite(path: Path) -> bool:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return bool(re.search(r"^suite\s*:", text, re.M) and re.search(r"^claims\s*:", text, re.M))


class State:
    """What one pytest session knows of its claims. Lives in the config's stash, not in the module."""

    def __init__(self, config: pytest.Config):
        self.config = config
        self.files: dict[str, set[str]] = {}
        self.entries: dict[str, dict[str, Any]] = {}
        self.models: dict[str, Any] = {}
        self.started = time.time()
        self.evaluator: Evaluator | None = None
        self.items: list[Item] = []
        self.planned = False
        self.report_error: str | None = None
        self._knowledge: Any = None

    # -- options ---------------------------------------------------------------------------------

    def options(self) -> Any:
        """The options of the run. Raises pytest.UsageError for one that cannot be."""
        from circuits.errors import CircuitsError
        from circuits.evaluate import Options
        from circuits.models.source import parse_override

        config = self.config
        try:
            models = dict(parse_override(text) for text in [*config.getini("circuit_model"), *config.getoption("--circuit-model")])
        except CircuitsError as error:
            raise pytest.UsageError(str(error)) from None
        tokens = config.getoption("--circuit-batch-tokens")
        if tokens is None:
            text = str(config.getini("circuit_batch_tokens"))
            if not text.isdigit() or int(text) < 1:
                raise pytest.UsageError(f"circuit_batch_tokens must be a whole number of tokens, not {text!r}")
            tokens = int(text)
        n, seed = config.getoption("--circuit-n"), config.getoption("--circuit-seed")
        for name, value, least in (("--circuit-n", n, 1), ("--circuit-seed", seed, 0), ("--circuit-batch-tokens", tokens, 1)):
            if value is not None and value < least:
                raise pytest.UsageError(f"{name} must be at least {least}, not {value}")
        return Options(
            seed=seed,
            n=n,
            device=config.getoption("--circuit-device") or str(config.getini("circuit_device")),
            dtype=config.getoption("--circuit-dtype") or str(config.getini("circuit_dtype")),
            batch_tokens=tokens,
            models=models,
            fresh=bool(config.getoption("--circuit-fresh")),
        )

    @property
    def knowledge(self) -> Any:
        if self._knowledge is None:
            from circuits.evaluate import knowledge

            self._knowledge = knowledge(self.options().models)
        return self._knowledge

    @property
    def report_folder(self) -> Path | None:
        if self.config.getoption("--circuit-no-report"):
            return None
        given = self.config.getoption("--circuit-report")
        if given is not None:
            return self.config.invocation_params.dir / given
        return self.config.rootpath / str(self.config.getini("circuit_report"))

    # -- measuring -------------------------------------------------------------------------------

    def evaluate(self, item: Item) -> Outcome:
        """One item's outcome; the first call plans all selected items."""
        if self.evaluator is None:
            self.evaluator = self._make_evaluator()
        if not self.planned:
            self.evaluator.plan(self.items)
            self.planned = True
        outcome = self.evaluator.evaluate(item)
        self.models |= self.evaluator.models
        return outcome

    def _make_evaluator(self) -> Evaluator:
        from circuits.evaluate import Evaluator

        workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
        if workers > 1:
            # Two processes with two threads each on two cores run many times slower than one thread each.
            threads = max(1, (os.cpu_count() or 1) // workers)
            for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
                os.environ[name] = str(threads)
        cache = getattr(self.config, "cache", None)
        folder = Path(cache.mkdir("circuits")) if cache is not None else None
        return Evaluator(self.options(), folder, self._drawer(), self.progress)

    def _drawer(self) -> Any:
        folder = self.report_folder
        if folder is None:
            return None

        def draw(figure: Any, name: str) -> str | None:
            path = folder / "figures" / f"{name}.png"
            if not path.is_file():
                from circuits.report.figures import draw as draw_figure

                path.parent.mkdir(parents=True, exist_ok=True)
                draw_figure(figure, path)
            return f"figures/{name}.png"

        return draw

    def progress(self, text: str) -> None:
        """Say what is being done, on the terminal itself, where there is one and unless -q."""
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        capture = self.config.pluginmanager.get_plugin("capturemanager")
        if reporter is None or self.config.get_verbosity() < 0 or hasattr(self.config, "workerinput"):
            return
        live = reporter.isatty and not os.environ.get("CI")
        if re.search(r"\(\d+/\d+\)$", text) and not live:
            return  # a counter makes sense only where it can overwrite itself
        with capture.global_and_fixture_disabled() if capture is not None else _nothing():
            if live:
                width = max(20, reporter._tw.fullwidth - 1)
                reporter.rewrite(text[:width], erase=True)
            else:
                reporter.ensure_newline()
                reporter.write_line(f"  {text}")

    # -- hooks of the session ------------------------------------------------------------------------

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.items = [item.item for item in session.items if isinstance(item, ClaimItem)]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Gather what the tests found; under xdist this runs in the controller, with the workers' reports."""
        found = getattr(report, "circuits", None)
        if found is not None:
            self.entries[found["id"]] = found["entry"]
            self.models |= found["models"]
            for file, ids in found["files"].items():
                self.files.setdefault(file, set()).update(ids)

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """INCONCLUSIVE and UNMEASURABLE have their own letter and word; both still fail the run."""
        found = getattr(report, "circuits", None)
        if found is None or report.when != "call" or not report.failed or hasattr(report, "wasxfail"):
            return None
        verdict = found["entry"]["verdict"]
        if verdict == "inconclusive":
            return "inconclusive", "I", "INCONCLUSIVE"
        if verdict == "unmeasurable":
            return "unmeasurable", "U", "UNMEASURABLE"
        return None

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the report: also after Ctrl-C, with what was finished by then."""
        if hasattr(self.config, "workerinput") or not self.entries:
            return
        folder = self.report_folder
        if folder is None:
            return
        from circuits.errors import CircuitsError
        from circuits.report.write import write_run

        try:
            write_run(
                folder, root=self.config.rootpath, entries=self.entries, models=self.models, files=self.files,
                started=self.started, options=self.options(),
            )  # fmt: skip
        except (CircuitsError, OSError) as error:
            self.report_error = f"no report was written: {error}"
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Failures pytest would not list, then every claim's verdict with its numbers."""
        if hasattr(self.config, "workerinput"):
            return
        from circuits.report.terminal import verdict_lines

        for status in ("inconclusive", "unmeasurable"):
            reports = terminalreporter.stats.get(status, [])
            if reports and self.config.option.tbstyle != "no":
                terminalreporter.write_sep("=", status.upper())
                for report in reports:
                    terminalreporter.write_sep("_", report.head_line or report.nodeid)
                    terminalreporter.write_line(str(report.longreprtext))
        if self.entries:
            terminalreporter.write_sep("=", "claims")
            for line, colour in verdict_lines(self.entries):
                terminalreporter.write_line(line, **({colour: True} if colour else {}))
            folder = self.report_folder
            if self.report_error:
                terminalreporter.write_line(self.report_error, red=True)
            elif folder is not None:
                terminalreporter.write_line(f"report: {_shown(folder / 'README.md', self.config.rootpath)}")


class _nothing:  # noqa: N801
    def __enter__(self) -> None: ...
    def __exit__(self, *args: object) -> None: ...


def _shown(path: Path, root: Path) -> str:
    try:
        return str(path.relative_to(root))
    except ValueError:
        return str(path)


class SuiteFile(pytest.File):
    """A suite: one item per claim and variant, and one for faults outside the claims."""

    def collect(self) -> Iterator[pytest.Item]:
        from circuits.evaluate import items_of, load

        state: State = self.config.stash[STATE]
        suite = load(self.path, state.knowledge, self.nodeid)
        names: set[str] = set()
        if suite.faults:
            yield FaultsItem.from_parent(self, name="suite", suite=suite)
        for item in items_of(suite, self.path.parent):
            names.add(item.node_id)
            yield ClaimItem.from_parent(self, name=item.node_id.split("::", 1)[1], item=item)
        state.files[suite.path] = names | ({f"{suite.path}::suite"} if suite.faults else set())


class FaultsItem(pytest.Item):
    """Fails with every fault that a suite has outside its claims."""

    def __init__(self, *, suite: Any, **kwargs: Any):
        super().__init__(**kwargs)
        self.suite = suite

    def runtest(self) -> None:
        raise ClaimFailure("\n".join(fault.render() for fault in self.suite.faults), "INVALID SUITE")

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, max(0, self.suite.faults[0].where.line - 1), f"{self.suite.path}: faults"

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str:
        return _failure_text(self, excinfo)


class ClaimFailure(Exception):
    """A claim that did not meet its expectation; the text is what the user reads."""

    def __init__(self, text: str, title: str):
        super().__init__(text)
        self.title = title


class ClaimItem(pytest.Item):
    """One claim on one variant of its prompt sets."""

    def __init__(self, *, item: Item, **kwargs: Any):
        super().__init__(**kwargs)
        self.item = item
        self.outcome: Outcome | None = None
        claim = item.claim
        for kind in sorted({check.kind for check in claim.checks}):
            self.add_marker(kind)
        if claim.expect.kind == "refuted":
            self.add_marker("known_negative")
        if claim.expect.kind == "xfail":
            self.add_marker(pytest.mark.xfail(reason=claim.expect.reason or "", strict=False))
        model = item.suite.model
        self.add_marker(pytest.mark.circuit_model(name=model if isinstance(model, str) else next(iter((model or {"": ""}).values()))))

    def runtest(self) -> None:
        from circuits.errors import CircuitsError
        from circuits.report.terminal import failure_text

        state: State = self.config.stash[STATE]
        try:
            self.outcome = state.evaluate(self.item)
        except CircuitsError as error:  # a device that is not there, a dtype that is none
            raise ClaimFailure(str(error), "ERROR") from None
        for name, value in _properties(self.outcome.entry):
            self.user_properties.append((name, value))
        if self.outcome.skip is not None:
            pytest.skip(self.outcome.skip)
        if not self.outcome.met:
            text, title = failure_text(self.outcome.entry)
            raise ClaimFailure(text, title)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self.item.claim.where.line - 1, self.item.node_id

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str:
        return _failure_text(self, excinfo)


def _failure_text(item: pytest.Item, excinfo: pytest.ExceptionInfo[BaseException]) -> str:
    if isinstance(excinfo.value, ClaimFailure):
        return str(excinfo.value)
    return str(pytest.Item.repr_failure(item, excinfo))


def _properties(entry: dict[str, Any]) -> list[tuple[str, Any]]:
    """Flat scalars for JUnit (lists and numpy scalars would break it, or xdist)."""
    found: list[tuple[str, Any]] = [("verdict", str(entry["verdict"])), ("expected", entry["expected"]), ("status", entry["status"])]
    for number, row in enumerate(entry["checks"], 1):
        for name in ("check", "head", "prompts", "estimate", "low", "high", "bound", "n"):
            if row.get(name) is not None:
                found.append((f"row{number}.{name}", row[name]))
    return found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Put a claim's entry on its report, so that it also crosses from an xdist worker to the controller."""
    report = yield
    if isinstance(item, ClaimItem) and call.when == "call" and item.outcome is not None:
        from circuits.report.record import clean_numbers

        state: State = item.config.stash[STATE]
        file = item.item.suite.path
        report.circuits = {
            "id": item.item.node_id,
            "entry": clean_numbers(item.outcome.entry),
            "models": clean_numbers(state.models),
            "files": {file: sorted(state.files.get(file, ()))},
        }
        if report.skipped and not hasattr(report, "wasxfail") and item.outcome.skip:
            report.longrepr = (str(item.path), item.item.claim.where.line, f"Skipped: {item.outcome.skip}")
    return report
