"""What one pytest session knows of its claims, and the hooks that make one report of it.

The controller of xdist gets the workers' entries on their reports, and what their suites hold when they end.
"""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from circuits.plugin.collector import look_no_more_at_what_is_there
from circuits.plugin.items import ClaimItem
from circuits.plugin.options import model_places, read_options, report_folder
from circuits.plugin.progress import Progress

if TYPE_CHECKING:
    from circuits.answers import Answers
    from circuits.changes import Changes
    from circuits.claims.load import Knowledge
    from circuits.evaluate import Evaluator
    from circuits.items import Item, Options, Outcome
    from circuits.report.painter import Painter

Entry = Mapping[str, Any]
_UNKNOWN = Path("?")
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


class State:
    """The claims of one session. Lives in the config's stash and is registered as a plugin.

    ``files``: each collected suite -> the node ids it defines now. ``entries``: node id -> what it came to, ``bodies``: as
    text (see ``Outcome``), where it was kept.
    ``passed_over``: YAML files that were not taken for suites. ``unchanged``: claims that --circuit-changed left out. ``trouble``: lines about the report.
    """

    def __init__(self, config: pytest.Config):
        self.config = config
        self.files: dict[str, list[str]] = {}
        self.entries: dict[str, Entry] = {}
        self.models: dict[str, Any] = {}
        self.passed_over: list[Path] = []
        self.unchanged = 0
        self.trouble: list[str] = []
        self.notes: list[str] = []
        self.flips: dict[str, dict[str, str]] = {}
        self.report: Path | None = None
        self.reported = 0
        self.progress = Progress(config)
        self.started = float(self._input.get("started", time.time()))
        self._items: list[Item] = []
        self.selected: set[str] = set()
        self.answers: Answers | None = None
        self.bodies: dict[str, str] = {}
        self.new_answers: dict[str, tuple[str, Entry]] = {}
        self._looked_up: dict[str, tuple[Outcome | None, str | None]] = {}
        self._options: Options | None = None
        self._values: Path | None = _UNKNOWN
        self._evaluator: Evaluator | None = None
        self._painter: Painter | None = None
        self._knowledge: Knowledge | None = None
        self._own: list[Any] = []
        self._additions = 0

    @property
    def _input(self) -> Mapping[str, Any]:
        """What the controller told this worker; nothing in a process of its own."""
        found: Mapping[str, Any] = getattr(self.config, "workerinput", {}).get("circuits", {})
        return found

    @property
    def is_worker(self) -> bool:
        return hasattr(self.config, "workerinput")

    @property
    def knowledge(self) -> Knowledge:
        """What the loader must know of models and of what the project adds. Raises CircuitsError for a broken addition.

        Asked again when a ``conftest.py`` came in that was not there before (those of subfolders come while collecting).
        """
        hook = self.config.hook.pytest_circuits_extensions
        count = len(hook.get_hookimpls())
        if self._knowledge is None or count > self._additions:
            from circuits.items import knowledge

            if count > self._additions:
                self._own = [
                    record for given in hook() for record in (given if isinstance(given, (list, tuple)) else [given])
                ]
                self._additions = count
            self._knowledge = knowledge(model_places(self.config), self._own)
        return self._knowledge

    # -- measuring ---------------------------------------------------------------------------------

    def evaluate(self, item: Item) -> Outcome:
        """One item's outcome: kept from a run before, or measured. Before the first, all that is not kept is planned."""
        from circuits.entries import invalid

        outcome = invalid(item, item.claim.faults) if item.claim.faults else self._kept(item)[0]
        if outcome is not None:
            return outcome
        try:
            if self._evaluator is None:
                self._evaluator = self._make_evaluator()
                self._plan(self._evaluator)
            outcome = self._evaluator.evaluate(item)
            self.progress.finished(measured=outcome.entry.get("status") != "skipped")
        finally:
            self.progress.clear()
        from circuits.report.record import clean_numbers

        self.models |= clean_numbers(self._evaluator.models)
        return outcome

    def key_of(self, item: Item) -> str | None:
        """The key under which an item's answer is kept; None where it is not."""
        return self._kept(item)[1]

    def _kept(self, item: Item) -> tuple[Outcome | None, str | None]:
        """What is kept of an item, looked up once."""
        from circuits.items import model_facts

        if item.node_id not in self._looked_up:
            if self.answers is None:
                self.answers = self._make_answers()
            found = self._looked_up[item.node_id] = self.answers.get(item)
            if found[0] is not None:
                source = self.answers.source(item)
                assert source is not None
                self.models |= {source.name: model_facts(source)}
        return self._looked_up[item.node_id]

    def _make_answers(self) -> Answers:
        from circuits.answers import Answers
        from circuits.store import answers_folder

        folder = answers_folder() if self._values_folder() is not None else None
        own = self.knowledge.own
        return Answers(folder, self.options, Path(self.config.rootpath), report_folder(self.config), own)

    @property
    def options(self) -> Options:
        """The options of the run, read once. May raise CircuitsError."""
        if self._options is None:
            claims = sum(not item.claim.faults for item in self._items)
            self._options = read_options(self.config, threads=self._threads(), since=self.started, claims=claims)
        return self._options

    def broken(self, item: Item, error: Exception) -> Entry | None:
        """The entry of an item on which the program failed, None where not even that can be made."""
        from circuits.report.record import clean_numbers

        try:
            assert self._evaluator is not None
            entry: Entry = clean_numbers(self._evaluator.broken(item, error).entry)
        except Exception:  # the same bug again, most likely; pytest shows the first
            return None
        return entry

    def _plan(self, evaluator: Evaluator) -> None:
        self.progress.expect(sum(not item.claim.faults and self._kept(item)[0] is None for item in self._items))
        for item in self._items:
            try:
                if self._kept(item)[0] is None:
                    evaluator.plan([item])
            except Exception:  # a bug that this claim meets; it will meet it again, and alone, when it is evaluated
                continue

    def _make_evaluator(self) -> Evaluator:
        options = self.options
        if options.threads is not None:
            for name in THREADS:  # for the libraries that are loaded from now on
                os.environ[name] = str(options.threads)
        from circuits.evaluate import Evaluator

        step, notice, own = self.progress.step, self.progress.notice, self.knowledge.own
        return Evaluator(options, self._values_folder(), self._drawer(), step, own=own, notice=notice)

    def _threads(self) -> int | None:
        """Each of several workers gets its share of the cores (more make all of them many times slower), unless the user says."""
        workers = int(getattr(self.config, "workerinput", {}).get("workercount", 1))
        if workers <= 1 or os.environ.get("OMP_NUM_THREADS"):
            return None
        from circuits.report.painter import cores

        return max(1, cores() // workers)

    def _values_folder(self) -> Path | None:
        """The folder of measured values in the user's cache folder; None, said once, where none can be made."""
        from circuits.store import values_folder

        if self._values is _UNKNOWN:
            folder: Path | None = values_folder()
            assert folder is not None
            try:
                folder.mkdir(parents=True, exist_ok=True)
                problem = "" if os.access(folder, os.W_OK) else "no permission to write"
            except OSError as error:
                problem = error.strerror or str(error)
            if problem:
                self.trouble.append(f"nothing is cached: {folder}: {problem}")
                folder = None
            self._values = folder
        return self._values

    def _drawer(self) -> Callable[[Any, str], str | None] | None:
        folder = report_folder(self.config)
        if folder is None:
            return None

        from circuits.report.drawing import drawing_digest
        from circuits.report.painter import Painter

        # xdist's workers share the cores already
        painter = self._painter = Painter(beside=False if self.is_worker else None)

        def draw(figure: Any, name: str) -> str | None:
            name = f"{name}-{drawing_digest()}"  # another way of drawing is another figure
            path = folder / "figures" / f"{name}.png"
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                if not path.is_file():
                    painter.add(figure, path)
            except OSError:
                return None  # said once, when the report itself cannot be written
            return f"figures/{name}.png"

        return draw

    def _draw_figures(self) -> bool:
        """Wait for the run's figures; False, with a line of trouble, where some are missing. They are drawn by the next run."""
        if self._painter is None:
            return True
        try:
            problems = self._painter.finish(self.progress.step)
        except KeyboardInterrupt:  # what was measured is not lost for it
            problems = ["stopped by Ctrl-C; the next run draws what is missing"]
        finally:
            self.progress.clear()
            self._painter.close()
        if problems:
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            self.trouble.append(f"figures are missing: {problems[0]}{more}")
        return not problems

    # -- hooks -------------------------------------------------------------------------------------

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """--circuit-changed: leave out the claims that are as they were. Raises pytest.UsageError for no such commit."""
        ref = config.getoption("--circuit-changed")
        claims = [item for item in items if isinstance(item, ClaimItem)]
        if ref is None or not claims:
            return
        found = self._changes(ref, [item.item for item in claims])
        left = [item for item in claims if item.item.node_id not in found.why]
        kept = [item for item in items if item not in left]
        self.unchanged = len(left)
        self.notes.append(found.in_words(len(claims)))
        if left:
            config.hook.pytest_deselected(items=left)
            items[:] = kept

    def _changes(self, ref: str, items: list[Item]) -> Changes:
        from circuits.changes import changes_since
        from circuits.errors import CircuitsError
        from circuits.store import code_digest

        self.answers = self.answers or self._make_answers()
        known = self.answers
        try:
            return changes_since(
                ref, items, Path(self.config.rootpath), self.knowledge, report=report_folder(self.config),
                code="sha256:" + code_digest(), digests_of_models=lambda item: [
                    source.digest if source is not None else None for source in (known.source(item), *known.others(item))
                ],
            )  # fmt: skip
        except CircuitsError as error:
            hint = "; write --circuit-changed=REF before a path" if Path(ref).exists() else ""
            raise pytest.UsageError(f"--circuit-changed: {error}{hint}") from None

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._items = [item.item for item in session.items if isinstance(item, ClaimItem)]
        self.selected = {item.node_id for item in self._items}
        if self._items:
            look_no_more_at_what_is_there()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Gather what the items found; under xdist this runs in the controller, with the workers' reports."""
        found = getattr(report, "circuits", None)
        if found is not None:
            self.entries[found["id"]] = found["entry"]
            self.models |= found["models"]
            if found["body"] is not None:
                self.bodies[found["id"]] = found["body"]
            elif found["key"] is not None:
                self.new_answers[found["id"]] = (found["key"], found["entry"])

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """INCONCLUSIVE and UNMEASURABLE have their own letter and word; both fail the run."""
        found = getattr(report, "circuits", None)
        if found is None or report.when != "call" or not report.failed:
            return None
        entry = found["entry"]
        if entry["status"] in ("error", "skipped") or entry["verdict"] not in ("inconclusive", "unmeasurable"):
            return None
        name = str(entry["verdict"])
        return name, name[0].upper(), name.upper()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """xdist, in the controller: what a worker must know of the run."""
        node.workerinput["circuits"] = {"started": self.started}

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """xdist, in the controller: which suites a worker collected, and what went wrong beside its tests."""
        told = getattr(node, "workeroutput", {}).get("circuits", {})
        self.files |= told.get("files", {})
        self.trouble += [text for text in told.get("trouble", ()) if text not in self.trouble]
        self.notes += [text for text in told.get("notes", ()) if text not in self.notes]
        self.unchanged = max(self.unchanged, told.get("unchanged", 0))  # every worker collects all

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the report, also after Ctrl-C, with what was finished by then."""
        drawn = self._draw_figures()
        if self.is_worker:
            told = {"files": self.files, "trouble": self.trouble, "notes": self.notes, "unchanged": self.unchanged}
            self.config.workeroutput["circuits"] = told  # type: ignore[attr-defined]
            return
        if self.unchanged and session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            session.exitstatus = pytest.ExitCode.OK  # there were claims, and none had to be tested again
        if not self.entries:
            return
        from circuits.errors import garbage_kept

        with garbage_kept():
            self._keep_answers()
            self._find_discoveries()
            written = self._write_report() and drawn
        if self._evaluator is None:  # no tensors are held, and what there is lives to the end of the process
            look_no_more_at_what_is_there()
        if not written and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _keep_answers(self) -> None:
        """What was answered now is kept for the next run, and the cache kept within its size."""
        from circuits.errors import CircuitsError
        from circuits.report.record import DIGITS, clean_numbers
        from circuits.store import prune

        try:
            if self.answers is None:
                self.answers = self._make_answers()  # xdist's controller looks nothing up itself
            new = {name: (key, clean_numbers(entry, DIGITS)) for name, (key, entry) in self.new_answers.items()}
            self.answers.keep(new)
            if any(entry["status"] == "measured" for entry in self.entries.values()):
                prune()
        except (CircuitsError, OSError) as error:
            self.trouble.append(f"the cache could not be kept: {error}")

    def _find_discoveries(self) -> None:
        """What only all results together tell: which claims are discoveries of the run."""
        alpha = self.config.getoption("--circuit-fdr")
        if alpha is not None:
            from circuits.verdict.discoveries import with_discoveries

            self.entries = dict(with_discoveries(self.entries, alpha))
            self.bodies.clear()

    def _write_report(self) -> bool:
        """Merge this session into the report folder; False, with a line of trouble, when that failed."""
        folder = report_folder(self.config)
        if folder is None:
            return True
        from circuits.errors import CircuitsError
        from circuits.plugin.options import device_of, dtype_of, html_wanted, recorded_options
        from circuits.report.write import write_run
        from circuits.store import answers_folder

        device = self._options.device if self._options is not None else device_of(self.config)
        try:
            record = write_run(
                folder, root=self.config.rootpath, entries=self.entries, models=self.models, files=self.files,
                started=self.started, dtype=dtype_of(self.config), device=device,
                kept=answers_folder() if self._values_folder() is not None else None, bodies=self.bodies,
                options=recorded_options(self.config), html=html_wanted(self.config),
            )  # fmt: skip
        except CircuitsError as error:
            self.trouble.append(f"no report was written: {error}")
        except OSError as error:
            self.trouble.append(
                f"no report was written: {_brief(error)}; give another folder with --circuit-report DIR"
            )
        except Exception:  # a bug; the session's own results must not go down with it
            self.trouble.append(f"the report failed, please report it:\n{traceback.format_exc()}")
        else:
            self.report, self.reported = folder, len(record["claims"])
            self._read_ledger(folder)
            told = {name: record["claims"][name].get("flipped") for name in self.entries}
            self.flips = {name: flip for name, flip in told.items() if flip}
            return True
        return False

    def _read_ledger(self, folder: Path) -> None:
        """Say where lines of the ledger cannot be read."""
        from circuits.report.ledger import NAME, read_ledger

        damage = read_ledger(folder / NAME).in_words()
        self.notes += [damage] if damage else []

    def stray_overrides(self) -> Iterable[str]:
        """Names given with --circuit-model that neither the registry nor a suite of this session knows."""
        from circuits.models.source import REGISTRY

        known = {*REGISTRY, *(entry["model"] for entry in self.entries.values())}
        return [name for name in model_places(self.config) if name not in known]


def _brief(error: OSError) -> str:
    """An operating system's error without its number."""
    return f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
