"""The page that joins the stages: suites -> questions -> values -> estimates -> verdicts -> entries.

Read ``Evaluator.evaluate`` from top to bottom for how one claim is answered. Everything is planned before
anything is measured, so each distinct quantity is measured once for all claims that need it. What each kind of
check asks and how its row is made lies in ``kinds``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from circuits.claims.claim import Attends, LossMap, PromptSet
from circuits.claims.claim import Score as ScoreCheck
from circuits.claims.describe import model_labels
from circuits.claims.heads import Component
from circuits.claims.keys import WEIGHT_SCORES
from circuits.entries import entry_of, invalid, located, model_name
from circuits.errors import CircuitsError, ModelInvalid, ModelUnavailable, PromptFault, Unmeasurable
from circuits.evidence import figure_of
from circuits.extensions import Extensions, Metric, Score, extensions, own_of
from circuits.items import Item, Options, Outcome, items_of, knowledge, load, model_facts, named_own
from circuits.kinds.base_rate import plan_base_rate
from circuits.kinds.by_answer import by_answer
from circuits.kinds.controls import controls_of, plan_controls
from circuits.kinds.kind import Cell, Draw, Here, Other, Quantity, cut_of
from circuits.kinds.registry import REGISTRY
from circuits.measure.cache import ValueCache, digest
from circuits.measure.facts import describe_unseen
from circuits.measure.fill_controls import fill_controls
from circuits.measure.first_choices import first_choices
from circuits.measure.memory import LEAST_BATCH, free_memory, keep_freed_memory, out_of_memory
from circuits.measure.ov import OVGroup
from circuits.measure.plan import Settings
from circuits.measure.room import Room
from circuits.measure.series import Series
from circuits.models.source import ModelSource, resolve
from circuits.patterns import patterns_of, profiles_of
from circuits.prompts.own import functions_of
from circuits.robust import strip
from circuits.verdict.decide import Asked, Row, decide
from circuits.verdict.rows import NOTHING_MEASURED
from circuits.verdict.verdict import Verdict, combine
from circuits.verdict.whole import SETTLED, claim_evidence, claim_verdict, evidence_of, is_settled, is_vacuous

__all__ = ["Evaluator", "Item", "Options", "Outcome", "items_of", "knowledge", "load"]

Entry = dict[str, Any]


class Evaluator:
    """Answers items. Holds the models, the groups and the cache of one run, and nothing else.

    ``draw(figure, name)`` writes a figure and returns its path for the report (None: no figures);
    ``progress`` gets a line whenever a measurement begins, with a counter "(3/10)" as it goes on, and
    ``notice`` one for each step that makes a model ready (download, conversion, loading). ``own``: what the project added
    (``knowledge(...).own``; None: only what installed packages offer).
    """

    def __init__(
        self,
        options: Options,
        cache: Path | None = None,
        draw: Draw | None = None,
        progress: Callable[[str], None] | None = None,
        own: Extensions | None = None,
        notice: Callable[[str], None] | None = None,
    ):
        self.options = options
        self.own = own if own is not None else extensions()
        self.cache = ValueCache(cache, options.no_cache, options.since)
        self.draw = draw
        self.progress = progress or (lambda text: None)
        self.notice = notice or self.progress
        self.series: dict[str, Series] = {}
        self.ov: dict[str, OVGroup] = {}
        self.sources: dict[str, ModelSource] = {}  # of suites, by name
        self._known: dict[str, ModelSource] = {}
        self.with_controls = True
        self.batch_tokens = options.batch_tokens
        self._stores: dict[str, Any] = {}  # shared with copies of this evaluator
        self._room = Room()

    def plan(self, items: Iterable[Item]) -> None:
        """Tell every group what will be asked of it. Faulty claims and unknown models wait for ``evaluate``."""
        for item in items:
            if item.claim.faults or item.suite.model is None:
                continue
            try:
                for cell in self._cells(item):
                    here = self._here(item, cell)
                    REGISTRY[type(cell.check.what)].plan(cell, here)
                    plan_controls(cell, here)
                    plan_base_rate(cell, here, self.options.random)
            except CircuitsError:
                continue

    def evaluate(self, item: Item) -> Outcome:
        """The outcome of one item. Raises nothing on purpose: every failure is an entry with its reason."""
        claim = item.claim
        if claim.faults:
            return invalid(item, claim.faults)
        try:
            cells = self._cells(item)
            places = [self._here(item, cell) for cell in cells]
            for cell, here in zip(cells, places, strict=True):
                for prompts, series in self._shown(cell, here):
                    try:
                        # This makes the prompts: what only the tokenizer can find wrong is found here.
                        series.looks(self._least(item))
                    except PromptFault as problem:
                        return invalid(item, (located(item.base, item.suite, prompts.where, str(problem)),))
                    except Unmeasurable as nothing:
                        return self._skipped(item, str(nothing))
            read = [self._plan(cell, here) for cell, here in zip(cells, places, strict=True)]
            rows, places = self._rows(item, cells, places)
            facts = self._facts(cells, places)
            for row, here in zip(rows, places, strict=True):
                if row["clean"] is not None:
                    row["clean"] = {**row["clean"], **first_choices(here.prompts)}
                if here.other is not None and (row.get("other") or {}).get("clean") is not None:
                    row["other"]["clean"] = {**row["other"]["clean"], **first_choices(here.other)}
            profiles, patterns = profiles_of(cells, places), patterns_of(cells, places, rows)
        except ModelUnavailable as missing:
            return self._skipped(item, str(missing), missing=True)
        except ModelInvalid as problem:
            return invalid(item, (located(item.base, item.suite, claim.where, str(problem)),))
        entry = entry_of(item) | {"prompts": facts, "profiles": profiles, "patterns": patterns}
        own = named_own(item, self.own)
        entry |= {"own": own} if own else {}
        beside = {other.name: {"name": other.name, **other.facts} for here in places for other in here.others}
        entry |= {"other_models": list(beside.values())} if beside else {}
        if self.options.robust:
            entry["robust"] = strip(self, item, entry)
        return self._answered(item, entry, rows, [quantity for each in read for quantity in each])

    # -- single cells: what a scan asks ----------------------------------------------------------

    def place(self, item: Item, cell: Cell) -> Here:
        """Where a cell is measured, on all prompts that its item may take. Raises CircuitsError where it cannot be."""
        return list(self._here(item, cell).looks(self._most(item)))[-1]

    def row(self, item: Item, cell: Cell, here: Here) -> Row:
        """The row of one cell on the prompts of ``place``, as that of a claim of this cell alone on so many prompts."""
        return self._look(item, cell, here, self._how(item, cell, here, 1, fixed=True))

    # -- the stages of one item ------------------------------------------------------------------

    def _cells(self, item: Item) -> list[Cell]:
        """Every row of an item: check x prompt set x head, in the order of the file."""
        found = []
        for check in item.claim.checks:
            if isinstance(check.what, ScoreCheck) and check.what.name in WEIGHT_SCORES:
                sets: tuple[PromptSet | None, ...] = (None,)
            else:
                sets = check.prompts or ((item.variant,) if item.variant is not None else ())
            each: tuple[Component | None, ...] = (None,) if check.any or not check.heads else check.heads
            if isinstance(check.what, ScoreCheck) and check.what.name == "in_context_learning":
                each = (None,)
            found += [Cell(check, prompts, head) for prompts in sets for head in each]
        return found

    def _here(self, item: Item, cell: Cell) -> Here:
        """Where a cell is measured; groups are shared by all that ask of the same model and prompts."""
        source = self._source(item)
        model = partial(self._model, source)
        shape = source.shape or model().shape
        what = cell.check.what
        own = tuple(each for each in own_of(cell.check) if functions_of(each))
        series = self._series(item, cell.prompts, own) if cell.prompts is not None else None
        other = None
        if isinstance(what, Attends) and what.other_prompts is not None:
            other = self._series(item, what.other_prompts)
        others = self._others(item, cell)
        model_digest = source.digest or model().digest
        if model_digest not in self.ov:
            self.ov[model_digest] = OVGroup(model_digest, model, self._settings, self.cache, self.progress)
        return Here(
            series, other, self.ov[model_digest], shape.layers, shape.heads, self.draw,
            cut=cut_of(cell), model=source.name, others=others,
        )  # fmt: skip

    def _others(self, item: Item, cell: Cell) -> tuple[Other, ...]:
        """The other models of a map of losses, each on the cell's prompts as its own tokenizer makes them."""
        what, prompts = cell.check.what, cell.prompts
        if not isinstance(what, LossMap) or prompts is None:
            return ()
        found = []
        for name, spec in zip(model_labels(what.models, model_name(item.suite)), what.models, strict=True):
            source = self._resolved(spec, item.base)
            series = self._series(item, prompts, source=source)
            found.append(Other(name, model_facts(source) | {"digest": series.model_digest}, series))
        return tuple(found)

    @staticmethod
    def _shown(cell: Cell, here: Here) -> list[tuple[PromptSet, Series]]:
        """The prompt sets that a cell shows the model, the compared one included."""
        found = [(cell.prompts, here.measured), (getattr(cell.check.what, "other_prompts", None), here.compared)]
        return [(prompts, series) for prompts, series in found if prompts is not None and series is not None]

    def _least(self, item: Item) -> int:
        """The number of prompts before which no verdict is given: a number that was asked for is one look."""
        return self.options.n if self.options.n is not None else item.suite.sampling.min

    def _most(self, item: Item) -> int:
        return self.options.n if self.options.n is not None else item.suite.sampling.max

    def _seed(self, item: Item) -> int:
        return self.options.seed if self.options.seed is not None else item.suite.sampling.seed

    def _plan(self, cell: Cell, here: Here) -> list[Quantity]:
        """Plan a cell; what cannot be asked of these prompts at all is said by its row."""
        try:
            return REGISTRY[type(cell.check.what)].plan(cell, here)
        except Unmeasurable:
            return []

    @property
    def _settings(self) -> Settings:
        return Settings(self.options.dtype, self.options.device.partition(":")[0], self.batch_tokens)

    def _series(
        self, item: Item, prompts: PromptSet, own: tuple[Metric | Score, ...] = (), source: ModelSource | None = None
    ) -> Series:
        seed, most = self._seed(item), self._most(item)
        source = source or self._source(item)
        model = partial(self._model, source)
        model_digest = source.digest or model().digest
        # A set's name and place in a file do not matter to its values; its seed and size do.
        about = [prompts.family, dict(prompts.parameters), prompts.bos, dict(prompts.roles), dict(prompts.variables)]
        about += [list(prompts.own_roles), [f"{type(each).__name__} {each.name}" for each in own]]
        unseen = tuple(each for each in self.options.unseen if each != seed)
        key = digest([model_digest, *about, seed, most, unseen, item.template])
        if key not in self.series:
            family = self.own.family(prompts.family, prompts.own_roles)
            self.series[key] = Series(
                prompts, family, seed, most, model_digest, model, self._settings, self.cache, self.progress,
                unseen=unseen, template=item.template, fill_controls=self._fill_controls, own=own, room=self._room,
            )  # fmt: skip
        return self.series[key]

    def _source(self, item: Item) -> ModelSource:
        assert item.suite.model is not None
        source = self._resolved(item.suite.model, item.base)
        self.sources[source.name] = source
        return source

    def _resolved(self, spec: str | Mapping[str, str], base: Path) -> ModelSource:
        key = digest([spec, str(base) if isinstance(spec, dict) else ""])
        if key not in self._known:
            self._known[key] = resolve(spec, self.options.models, base)
        return self._known[key]

    def _model(self, source: ModelSource) -> Any:
        from circuits.models.load import ModelStore

        if not self._stores:
            options = self.options
            keep_freed_memory()
            self._stores[""] = ModelStore(device=options.device, dtype=options.dtype, progress=self.notice)
        model = self._stores[""].get(source)
        if self.options.threads is not None:
            import torch

            torch.set_num_threads(self.options.threads)
        return model

    def _rows(self, item: Item, cells: list[Cell], places: list[Here]) -> tuple[list[Row], list[Here]]:
        """Every row of a claim, and the place where each was decided.

        What is only observed takes no prompts of its own: it is shown on as many as the claim's other rows took of the
        same prompts.
        """
        judged = [cell.check.bound.kind != "observe" for cell in cells]
        count = self._count(item, cells)
        found: dict[int, tuple[Row, Here]] = {}
        for number in sorted(range(len(cells)), key=lambda number: not judged[number]):
            cell, here = cells[number], places[number]
            looks = list(here.looks(self._least(item)))
            fixed = len(looks) == 1
            if not judged[number]:
                alike = [place.at for _, place in found.values() if place.shown == here.shown and place.at]
                looks = [look for look in looks if look.at == max(alike, default=looks[0].at)]
            found[number] = self._row(item, cell, looks, count, fixed)
        among = [(cell, found[number][0]) for number, cell in enumerate(cells)]
        for number, cell in enumerate(cells):  # when all are known: rows of a claim may share a figure
            row, here = found[number]
            try:
                row["figure"] = figure_of(row, cell, here, among) if row["n"] else None
            except Unmeasurable:
                row["figure"] = None
        return [found[number][0] for number in range(len(cells))], [found[number][1] for number in range(len(cells))]

    def _row(self, item: Item, cell: Cell, looks: list[Here], count: int, fixed: bool) -> tuple[Row, Here]:
        """One row of ``count`` that could refute: more and more prompts are looked at until it is settled.

        ``fixed``: their number was fixed before anything was measured.
        """
        here, kept, row = looks[0], None, dict[str, Any]()
        how = self._how(item, cell, here, count, fixed)
        for number, here in enumerate(looks, 1):
            row = self._look(item, cell, here, replace(how, last=number == len(looks))) | {"looks": number}
            if is_settled(row):
                # A verdict that was reached stands, though later prompts may be less clear.
                kept = (row, here) if kept is None or row["verdict"] == kept[0]["verdict"] else kept
                if self._enough(row, count):
                    break
        if kept is not None:
            # Its e-value is that of the last look: the one at which the verdict held was chosen by its outcome.
            row, here = kept[0] | {"log_e": row["log_e"]}, kept[1]
        for shown, n in zip(here.shown, here.at, strict=True):
            if row["guaranteed"] and not how.census and n % shown.cycle:
                assumption = f"{n} prompts stand for all {shown.cycle} templates, of which they are no whole cycles"
                row |= {"guaranteed": False, "assumption": assumption}
        row["most"] = looks[-1].at[0] if here.at else None
        row["controls"] = self._controls(row, cell, here)
        told = row["estimate"] is not None and row["verdict"] != str(Verdict.UNMEASURABLE)
        row["by_answer"] = by_answer(cell, here) if told else None
        for name in ("reason", "metric"):
            if row.get(name):
                row[name] = str(row[name])  # a plain text, which also crosses to another process
        return row, here

    @staticmethod
    def _how(item: Item, cell: Cell, here: Here, count: int, fixed: bool) -> Asked:
        census = bool(here.shown) and all(shown.census for shown in here.shown)
        return Asked(item.suite.sampling.confidence, max(1, count), census, here.cycle, cell.check.range, fixed=fixed)

    def _look(self, item: Item, cell: Cell, here: Here, how: Asked) -> Row:
        """A row on the prompts of one look: measured (or from the cache) and judged."""
        check = cell.check
        row = self._blank(item, cell) | {"seed": here.measured.seed if here.measured else None}
        try:
            found: Row = self.sparing(lambda: REGISTRY[type(check.what)].row(dict(row), cell, here, how))
            return found
        except Unmeasurable as problem:
            return decide(row | {**NOTHING_MEASURED, "reason": str(problem)}, check.bound, None, how)

    def sparing(self, work: Callable[[], Any]) -> Any:
        """What ``work`` gives. Where memory runs out, batches are halved from then on and the work is done again."""
        while True:
            try:
                return work()
            except Exception as error:
                if not out_of_memory(error) or self.batch_tokens <= LEAST_BATCH:
                    raise
            # Outside the handler: the exception's traceback holds on to the tensors of the pass.
            self.batch_tokens = max(LEAST_BATCH, self.batch_tokens // 2)
            self.notice(f"out of memory: batches of at most {self.batch_tokens} tokens from now on")
            for series in self.series.values():
                series.use(self._settings)
            free_memory()

    def _controls(self, row: Row, cell: Cell, here: Here) -> dict[str, Any] | None:
        """What the check comes to on prompts without structure, on weights without it, or of other parts; None where it has no such."""
        if not self.with_controls or not row["n"] or row["verdict"] == str(Verdict.UNMEASURABLE):
            return None
        try:
            found: dict[str, Any] | None = self.sparing(lambda: controls_of(cell, here, self.options.random))
            return found
        except Unmeasurable:
            return None

    def _fill_controls(self, digest: str) -> None:
        """Measure the controls of all prompts of a model at once, so that its weights are shuffled once for each seed."""
        fill_controls([each for each in self.series.values() if each.model_digest == digest], self.options.permuted)

    def _enough(self, row: Row, count: int) -> bool:
        """Whether a settled row has the e-value that a correction over the whole run asks for."""
        need = self.options.need
        if need is None or row["verdict"] not in SETTLED or row.get("unit") == "random circuits":
            return True
        supporting, refuting = evidence_of(row)
        # Against a claim counts the mean over its rows.
        return supporting >= need if row["verdict"] == SETTLED[0] else refuting >= need + math.log(count)

    @staticmethod
    def _count(item: Item, cells: list[Cell]) -> int:
        """How many rows of the claim, in all its variants, could refute it."""
        variants = len(item.claim.variants) if item.claim.many else 1
        return max(1, sum(cell.check.bound.kind != "observe" for cell in cells)) * max(1, variants)

    @classmethod
    def _facts(cls, cells: list[Cell], places: list[Here]) -> dict[str, Any]:
        """What is said of each prompt set, on as many prompts as the row with the most took."""
        found: dict[str, Any] = {}
        most: dict[str, int] = {}
        for cell, here in zip(cells, places, strict=True):
            for (prompts, series), n in zip(cls._shown(cell, here), here.at, strict=True):
                if n >= most.get(prompts.title, 0):
                    asked = {"requires": dict(prompts.requires or {}), "roles": dict(prompts.roles)}
                    told = {name: value for name, value in asked.items() if value}
                    most[prompts.title], found[prompts.title] = n, series.facts(n) | told
        return found

    @staticmethod
    def _blank(item: Item, cell: Cell) -> Row:
        """A row before anything is measured: what is asked and what was reported, every number null."""
        check, sampling = cell.check, item.suite.sampling
        return {
            "index": check.index, "kind": check.kind, "check": check.text, "head": str(cell.head) if cell.head else None,
            "prompts": cell.prompts.title if cell.prompts else None, "seed": None, "looks": None, "most": None, "log_e": None,
            "line": check.where.line, "warnings": [], "reason": None,
            "range": list(check.range) if check.range is not None else None,
            "reported": dict(check.reported) if check.reported else None, "figure": None, "controls": None, "by_answer": None,
            # A key that a row cannot fill is null, never absent.
            "statistic": None, "estimate": None, "low": None, "high": None, "confidence": sampling.confidence,
            "n": None, "effect": None, "uniform": None, "heads_passing": None, "which_passing": None, "rank": None, "rank_tied": None, "rank_beside": None, "clean": None, "verdict": None,
        }  # fmt: skip

    # -- from rows to an entry -------------------------------------------------------------------

    def _skipped(self, item: Item, reason: str, *, missing: bool = False) -> Outcome:
        entry = entry_of(item)
        how = Asked(item.suite.sampling.confidence, 1)
        for cell in self._cells(item):
            what, bound = cell.check.what, cell.check.bound
            asked = {"statistic": None, "metric": None, "k": bound.k} | REGISTRY[type(what)].asked(what)
            entry["checks"].append(decide(self._blank(item, cell) | asked, bound, None, how))
            for prompts in (cell.prompts, getattr(what, "other_prompts", None)):
                if prompts is not None:
                    family = self.own.family(prompts.family, prompts.own_roles)
                    entry["prompts"][prompts.title] = describe_unseen(family, prompts)
        entry |= {"status": "skipped", "verdict": str(Verdict.UNMEASURABLE), "reason": reason, "met": None}
        asked = {"min": self._least(item), "max": self._most(item), "seed": self._seed(item)}
        entry["sampling"] = {**asked, "confidence": how.confidence}
        return Outcome(entry, None, skip=reason, missing=missing)

    def broken(self, item: Item, error: BaseException) -> Outcome:
        """The outcome of an item on which the program itself failed: not measured, and so not as expected."""
        text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        reason = f"internal error, please report it: {type(error).__name__}{': ' if text else ''}{text}"
        entry = entry_of(item)
        entry |= {"status": "error", "verdict": str(Verdict.UNMEASURABLE), "reason": reason, "met": False}
        return Outcome(entry, False)

    def _answered(self, item: Item, entry: Entry, rows: list[Row], read: list[Quantity]) -> Outcome:
        judged = [row for row in rows if not row.get("observe")]
        count = self._count(item, self._cells(item))
        verdict = claim_verdict(judged, item.suite.sampling.confidence, count) if judged else None
        if not judged and all(row["verdict"] == str(Verdict.UNMEASURABLE) for row in rows):
            verdict = Verdict.UNMEASURABLE  # nothing of what was to be shown could be
        if verdict is None:  # only observed: nothing was claimed, so nothing can fail and nothing is supported
            entry["warnings"].append("every check is only observed: this claim asserts nothing")
        cached = bool(read) and not any(name in holder.measured or self._fresh(holder, name) for holder, name in read)
        reasons = [row["reason"] for row in judged or rows if row.get("reason")]
        met, vacuous = self._met(item, verdict, rows), is_vacuous(rows)
        if verdict is Verdict.REFUTED and all(row["verdict"] != str(verdict) for row in judged):
            reasons.append(
                "no check alone refutes the claim, but all together do: their mean e-value reaches what is needed"
            )
        if vacuous and met and self.options.strict:
            met = False
            by = (
                "uniform attention"
                if all(row.get("uniform_holds") for row in judged)
                else "every model with shuffled weights"
            )
            reasons.append(f"VACUOUS: {by} satisfies every bound (--circuit-strict)")
        entry |= {
            "verdict": str(verdict) if verdict is not None else None, "met": met, "checks": rows, "cached": cached,
            "log_e": claim_evidence(judged, count) if judged else None,
            "status": "cached" if cached else "measured", "vacuous": vacuous,
            "reason": reasons[-1] if reasons and (verdict is Verdict.REFUTED or (vacuous and self.options.strict))
            else reasons[0] if reasons and verdict is Verdict.UNMEASURABLE else None,
        }  # fmt: skip
        return Outcome(entry, met)

    def _fresh(self, holder: Series | OVGroup, quantity: str) -> bool:
        """Whether another process of this run (an xdist worker) measured a quantity."""
        since = self.options.since
        keys = holder.keys_of(quantity)
        return since is not None and any(self.cache.written_since(key, since) for key in keys)

    def _met(self, item: Item, verdict: Verdict | None, rows: list[Row]) -> bool:
        expect = item.claim.expect
        if verdict is None:
            return expect.kind == "supported"
        if expect.kind == "invalid":
            return False
        if expect.kind == "refuted" and expect.check is not None:
            named = [Verdict(row["verdict"]) for row in rows if row["index"] == expect.check and not row.get("observe")]
            others = [
                Verdict(row["verdict"]) for row in rows if row["index"] != expect.check and not row.get("observe")
            ]
            return bool(named) and combine(named) is Verdict.REFUTED and all(v is Verdict.SUPPORTED for v in others)
        if expect.kind == "xfail":
            return verdict is not Verdict.SUPPORTED
        return verdict is (Verdict.REFUTED if expect.kind == "refuted" else Verdict.SUPPORTED)

    @property
    def models(self) -> dict[str, Any]:
        """The models of this run for results.json: digest, source, shape, whether verified."""
        return {name: model_facts(source) for name, source in self.sources.items()}
