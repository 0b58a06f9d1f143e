"""The page that joins the stages: suites -> questions -> values -> estimates -> verdicts -> entries.

Read ``Evaluator.evaluate`` from top to bottom for how one claim is answered. Everything is planned before
anything is measured, so each distinct quantity is measured once for all claims that need it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from circuits.claims.claim import Ablate, Attends, Check, Claim, PromptSet, Score, Suite
from circuits.claims.heads import Component
from circuits.claims.load import Knowledge, load_suite
from circuits.entries import expectation, located, model_name
from circuits.errors import CircuitsError, Fault, ModelInvalid, ModelUnavailable, PromptFault, Unmeasurable
from circuits.measure.ablation import Ablation
from circuits.measure.cache import ValueCache, code_digest, digest
from circuits.measure.cells import Question, question
from circuits.measure.group import Group, Settings
from circuits.models.source import ModelSource, check_spec, resolve
from circuits.prompts.prompt import Family
from circuits.prompts.registry import check_params, check_roles, families
from circuits.verdict.rows import (
    FEW_REFERENCE,
    NOTHING_MEASURED,
    Asked,
    Row,
    Task,
    ablation_row,
    attention_row,
    clean_facts,
    decide,
    is_vacuous,
)
from circuits.verdict.verdict import Verdict, combine

Entry = dict[str, Any]
Draw = Callable[[Any, str], str | None]


@dataclass(frozen=True)
class Options:
    """What a run is told from outside. ``seed`` and ``n`` override the suites' sampling.

    ``threads``: how many threads the model may use (None: as many as torch likes). ``since``: a value that
    was written to the cache after this moment (seconds since the epoch) counts as measured in this run.
    """

    seed: int | None = None
    n: int | None = None
    device: str = "cpu"
    dtype: str = "float32"
    batch_tokens: int = 2048
    models: Mapping[str, str] = field(default_factory=dict)
    fresh: bool = False
    threads: int | None = None
    since: float | None = None


@dataclass(frozen=True)
class Item:
    """One test: a claim on one variant of its prompt sets (``variant`` None: the claim has only one)."""

    node_id: str
    suite: Suite
    claim: Claim
    base: Path
    variant: PromptSet | None = None
    label: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of an item. ``met``: as its author expected (None: skipped).

    ``entry`` is its part of results.json; ``skip`` the one line that says why it was not measured.
    """

    entry: Entry
    met: bool | None
    skip: str | None = None


@dataclass(frozen=True)
class _Cell:
    """One row to be: a check on one prompt set and (for attention) one head."""

    check: Check
    prompts: PromptSet
    head: Component | None


def knowledge(models: Mapping[str, str] | None = None, extra: Iterable[Family] = ()) -> Knowledge:
    """What the loader needs to know of families and models. ``models``: NAME -> PLACE overrides."""
    known = families(extra)

    def shape(spec: Any, base: Path) -> tuple[int, int] | None:
        try:
            found = resolve(spec, models or {}, base, hashes=False).shape
        except CircuitsError:
            return None  # said again, with its reason, when the model is needed
        return (found.layers, found.heads) if found is not None else None

    return Knowledge(known, check_params, check_roles, check_spec, shape)


def load(path: Path, know: Knowledge, name: str | None = None) -> Suite:
    """Load a suite file; faults are kept in it."""
    return load_suite(path, know, name)


def items_of(suite: Suite, base: Path) -> list[Item]:
    """The test items of a suite, in file order; node ids are FILE::ID or FILE::ID[set,period=5]."""
    found = []
    for claim in suite.claims:
        node_id = f"{suite.path}::{claim.id}"
        if claim.faults or not claim.many:
            only = claim.variants[0] if claim.variants else None
            found.append(Item(node_id, suite, claim, base, only))
            continue
        for variant in claim.variants:
            found.append(Item(f"{node_id}[{variant.title}]", suite, claim, base, variant, variant.title))
    return found


class Evaluator:
    """Answers items. Holds the models, the groups and the cache of one run, and nothing else.

    ``draw(figure, name)`` writes a figure and returns its path for the report (None: no figures);
    ``progress`` gets a line whenever a measurement begins, with a counter "(3/10)" as it goes on, and
    ``notice`` one for each step that makes a model ready (download, conversion, loading).
    """

    def __init__(
        self,
        options: Options,
        cache: Path | None = None,
        draw: Draw | None = None,
        progress: Callable[[str], None] | None = None,
        extra: Iterable[Family] = (),
        notice: Callable[[str], None] | None = None,
    ):
        self.options = options
        self.families = families(extra)
        self.cache = ValueCache(cache, options.fresh)
        self.draw = draw
        self.progress = progress or (lambda text: None)
        self.notice = notice or self.progress
        self.groups: dict[str, Group] = {}
        self.sources: dict[str, ModelSource] = {}
        self._store: Any = None
        self._last: Group | None = None

    def plan(self, items: Iterable[Item]) -> None:
        """Tell every group what will be asked of it. Faulty claims and unknown models wait for ``evaluate``."""
        for item in items:
            if item.claim.faults or item.suite.model is None:
                continue
            try:
                for cell in self._cells(item):
                    self._plan(self._group(item, cell.prompts), cell)
            except CircuitsError:
                continue

    def evaluate(self, item: Item) -> Outcome:
        """The outcome of one item. Raises nothing on purpose: every failure is an entry with its reason."""
        claim = item.claim
        if claim.faults:
            return self._invalid(item, claim.faults)
        try:
            cells = self._cells(item)
            groups = [self._group(item, cell.prompts) for cell in cells]
            for cell, group in zip(cells, groups, strict=True):
                self._plan(group, cell)
            for cell, group in zip(cells, groups, strict=True):
                try:
                    _ = group.facts  # makes the prompts: what only the tokenizer can find wrong is found here
                except PromptFault as problem:
                    return self._invalid(item, (located(item.base, item.suite, cell.prompts.where, str(problem)),))
            judged = sum(cell.check.bound.kind != "observe" for cell in cells)
            rows = [self._row(item, cell, group, judged) for cell, group in zip(cells, groups, strict=True)]
            facts = {cell.prompts.title: group.facts for cell, group in zip(cells, groups, strict=True)}
        except ModelUnavailable as missing:
            return self._skipped(item, str(missing))
        except ModelInvalid as problem:
            return self._invalid(item, (located(item.base, item.suite, claim.where, str(problem)),))
        return self._answered(item, rows, facts, groups)

    # -- the stages of one item ------------------------------------------------------------------

    def _cells(self, item: Item) -> list[_Cell]:
        """Every row of an item: check x prompt set x head, in the order of the file."""
        found = []
        for check in item.claim.checks:
            sets = check.prompts or ((item.variant,) if item.variant is not None else ())
            for prompts in sets:
                for head in check.heads if not isinstance(check.what, Ablate) else (None,):
                    found.append(_Cell(check, prompts, head))
        return found

    def _group(self, item: Item, prompts: PromptSet) -> Group:
        sampling = item.suite.sampling
        seed = self.options.seed if self.options.seed is not None else sampling.seed
        n = self.options.n if self.options.n is not None else sampling.max
        source = self._source(item)
        model = partial(self._model, source)
        model_digest = source.digest or model().digest
        device = self.options.device.partition(":")[0]
        # A set's name and place in a file do not matter to its values; its seed and size do.
        plain = replace(prompts, where=item.claim.where, requires=None)
        key = digest(
            [
                model_digest,
                plain.family,
                dict(plain.parameters),
                plain.bos,
                dict(plain.roles),
                dict(plain.variables),
                seed,
                n,
            ]
        )
        if key not in self.groups:
            settings = Settings(self.options.dtype, device, self.options.batch_tokens)
            family = self.families[prompts.family]
            self.groups[key] = Group(prompts, family, seed, n, model_digest, model, settings, self.cache, self.progress)
        return self.groups[key]

    def _source(self, item: Item) -> ModelSource:
        key = digest([item.suite.model, str(item.base) if isinstance(item.suite.model, dict) else ""])
        if key not in self.sources:
            assert item.suite.model is not None
            self.sources[key] = resolve(item.suite.model, self.options.models, item.base)
        return self.sources[key]

    def _model(self, source: ModelSource) -> Any:
        from circuits.models.load import ModelStore

        if self._store is None:
            self._store = ModelStore(device=self.options.device, dtype=self.options.dtype, progress=self.notice)
        model = self._store.get(source)
        if self.options.threads is not None:
            import torch

            torch.set_num_threads(self.options.threads)
        return model

    def _plan(self, group: Group, cell: _Cell) -> None:
        what = cell.check.what
        if isinstance(what, Ablate):
            group.plan_ablation(_ablation(what))
        else:
            assert cell.head is not None and cell.head.head is not None
            pictured = (
                [(cell.head.layer, cell.head.head)] if isinstance(what, Attends) and self.draw is not None else []
            )
            group.plan_attention(question(what), pictured)

    def _row(self, item: Item, cell: _Cell, group: Group, judged: int) -> Row:
        """One row of ``judged`` that could refute: measured (or from the cache), judged, with its figure."""
        if self._last is not None and self._last is not group:
            self._last.release()  # clean residuals of one prompt set at a time
        self._last = group
        check, what = cell.check, cell.check.what
        sampling = item.suite.sampling
        row: Row = {
            "index": check.index, "kind": check.kind, "check": check.text, "head": str(cell.head) if cell.head else None,
            "prompts": cell.prompts.title, "seed": group.seed, "line": check.where.line, "warnings": [], "reason": None,
            "reported": dict(check.reported) if check.reported else None, "figure": None,
            # A key that a row cannot fill is null, never absent.
            "statistic": None, "estimate": None, "low": None, "high": None, "confidence": sampling.confidence,
            "n": None, "effect": None, "uniform": None, "heads_passing": None, "clean": None, "verdict": None,
        }  # fmt: skip
        how = Asked(sampling.confidence, max(1, judged), bool(group.facts["census"]))
        try:
            if isinstance(what, Ablate):
                return self._ablation(row, what, cell, group, how)
            return self._attention(row, what, cell, group, how)
        except Unmeasurable as problem:
            return decide(row | {**NOTHING_MEASURED, "reason": str(problem)}, check.bound, None, how)

    def _attention(self, row: Row, what: Attends | Score, cell: _Cell, group: Group, how: Asked) -> Row:
        asked = question(what)
        assert cell.head is not None and cell.head.head is not None
        head = (cell.head.layer, cell.head.head)
        row |= {
            "statistic": what.name if isinstance(what, Score) else what.statistic,
            "metric": None,
            "method": None,
            "ablated": None,
        }
        row |= {"excluding": list(asked.excluding), "more_than": asked.right.text if asked.right else None}
        values = group.attention(asked)
        row = attention_row(row, asked, values, head, cell.check.bound, how)
        if group.facts["answers"]:
            row["clean"] = clean_facts(group.clean, how.confidence)
        if self.draw is not None:
            row["figure"] = self._figure(row, what, asked, cell, group)
        return row

    def _ablation(self, row: Row, what: Ablate, cell: _Cell, group: Group, how: Asked) -> Row:
        row |= {
            "statistic": what.effect,
            "metric": what.metric,
            "method": what.method,
            "excluding": [],
            "more_than": None,
        }
        row["ablated"] = [str(component) for component in what.components]
        requires = cell.check.requires or cell.prompts.requires or {"top1": group.family.requires_top1}
        task = Task(requires, explicit=bool(cell.check.requires or cell.prompts.requires))
        if what.method == "mean":
            row["reference"] = dict(group.reference_facts)
            if row["reference"]["n"] < FEW_REFERENCE:
                row["warnings"].append(
                    f"the mean is over only {row['reference']['n']} reference prompts (fewer than {FEW_REFERENCE})"
                )
            if row["reference"]["n"] == 0:
                raise Unmeasurable("there are no reference prompts of this token length to take the mean from")
        ablated = group.ablated(_ablation(what))
        return ablation_row(row, what, group.clean, ablated, cell.check.bound, task, how)

    def _figure(
        self, row: Row, what: Attends | Score, asked: Question, cell: _Cell, group: Group
    ) -> dict[str, str] | None:
        """Draw the evidence of an attention row; the name holds its digest, so it is drawn once."""
        from circuits.report.figures import AttentionFigure, ScoreFigure

        assert self.draw is not None and cell.head is not None and cell.head.head is not None
        head = (cell.head.layer, cell.head.head)
        if isinstance(what, Score):
            import numpy as np

            claimed = tuple((h.layer, h.head) for h in cell.check.heads if h.head is not None)  # one map for them all
            left = group.attention(asked).left
            there = np.isfinite(left)
            with np.errstate(invalid="ignore"):
                values = np.where(there, left, 0.0).sum(axis=2) / there.sum(axis=2)  # NaN: a head without a value
            title = f"{what.name.replace('_', '-')} score on {cell.prompts.title}"
            scored = ScoreFigure(what.name, values, claimed, row["bound"], title, int(row["n"]))
            names = ", ".join(map(str, cell.check.heads))
            path = self.draw(scored, f"score-{group.key_of(asked.key + names + str(row['bound']))[:16]}")
            alt = f"{what.name} score by layer and head, {names} outlined"
        else:
            picture = group.picture(asked, head)
            other = asked.right.text if asked.right else None
            drawn = AttentionFigure(
                str(cell.head), picture.mean, picture.labels, picture.cells, picture.others, picture.n,
                f"Attention on {cell.prompts.title}", asked.left.text, other,
            )  # fmt: skip
            path = self.draw(drawn, f"{cell.head}-attention-{group.key_of(asked.key + str(head))[:16]}")
            alt = f"mean attention pattern of head {cell.head}, cells of {asked.left.text} outlined"
            alt += f" (statistic {asked.statistic})" if asked.statistic != "mass" else ""
        return {"path": path, "alt": alt} if path is not None else None

    # -- from rows to an entry -------------------------------------------------------------------

    def _entry(self, item: Item) -> Entry:
        claim, suite = item.claim, item.suite
        heads = {str(head) for check in claim.checks for head in check.heads} | {str(head) for head in claim.heads}
        for check in claim.checks:
            if isinstance(check.what, Ablate):
                heads |= {str(component) for component in check.what.components}
        return {
            "id": claim.id, "variant": item.label, "file": suite.path, "line": claim.where.line, "suite": suite.title,
            "claim": claim.words, "model": model_name(suite), "heads": sorted(heads, key=_head_order),
            "run": None, "verdict": None,
            "expected": expectation(claim.expect), "met": None, "status": "measured", "vacuous": False, "cached": False,
            "digest": self._digest(item), "reason": None, "source": dict(claim.source or suite.source or {}) or None,
            "yaml": claim.yaml, "faults": [], "prompts": {}, "checks": [], "warnings": list(claim.warnings),
        }  # fmt: skip

    def _digest(self, item: Item) -> str:
        sampling, expect = item.suite.sampling, item.claim.expect
        sets = [
            [s.title, s.family, dict(s.parameters), s.bos, dict(s.roles)]
            for s in {cell.prompts.title: cell.prompts for cell in self._cells(item)}.values()
        ]
        seed = self.options.seed if self.options.seed is not None else sampling.seed
        n = self.options.n if self.options.n is not None else sampling.max
        about = [item.claim.yaml, sets, item.suite.model, seed, n, sampling.confidence, str(expect), self.options.dtype]
        return "sha256:" + digest([code_digest(), about])

    def _invalid(self, item: Item, faults: tuple[Fault, ...]) -> Outcome:
        entry = self._entry(item)
        met = item.claim.expect.kind == "invalid"
        reason = faults[0].message if len(faults) == 1 else f"{faults[0].message} (and {len(faults) - 1} more)"
        entry |= {"status": "invalid", "met": met, "reason": reason, "faults": [fault.render() for fault in faults]}
        return Outcome(entry, met)

    def _skipped(self, item: Item, reason: str) -> Outcome:
        entry = self._entry(item)
        entry |= {"status": "skipped", "verdict": str(Verdict.UNMEASURABLE), "reason": reason, "met": None}
        return Outcome(entry, None, skip=reason)

    def broken(self, item: Item, error: BaseException) -> Outcome:
        """The outcome of an item on which the program itself failed: not measured, and so not as expected."""
        text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        reason = f"internal error, please report it: {type(error).__name__}{': ' if text else ''}{text}"
        entry = self._entry(item)
        entry |= {"status": "error", "verdict": str(Verdict.UNMEASURABLE), "reason": reason, "met": False}
        return Outcome(entry, False)

    def _answered(self, item: Item, rows: list[Row], facts: dict[str, Any], groups: list[Group]) -> Outcome:
        entry = self._entry(item)
        judged = [row for row in rows if not row.get("observe")]
        verdict = combine(Verdict(row["verdict"]) for row in judged) if judged else None
        if verdict is None:  # only observed: nothing was claimed, so nothing can fail and nothing is supported
            entry["warnings"].append("every check is only observed: this claim asserts nothing")
        quantities = _quantities(self._cells(item))
        cached = not any(q in group.measured or self._fresh(group, q) for group in groups for q in quantities)
        reasons = [row["reason"] for row in judged if row.get("reason")]
        met = self._met(item, verdict, rows)
        entry |= {
            "verdict": str(verdict) if verdict is not None else None, "met": met, "checks": rows, "prompts": facts, "cached": cached,
            "status": "cached" if cached else "measured", "vacuous": is_vacuous(rows),
            "reason": reasons[0] if reasons and verdict is Verdict.UNMEASURABLE else None,
        }  # fmt: skip
        return Outcome(entry, met)

    def _fresh(self, group: Group, quantity: str) -> bool:
        """Whether another process of this run (an xdist worker) measured a quantity."""
        since = self.options.since
        return since is not None and self.cache.written_since(group.key_of(quantity), since)

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
        found = {}
        for source in self.sources.values():
            shape = source.shape
            found[source.name] = {
                "digest": source.digest, "source": source.where, "verified": source.verified,
                "layers": shape.layers if shape else None, "heads": shape.heads if shape else None,
            }  # fmt: skip
        return found


def _ablation(what: Ablate) -> Ablation:
    return Ablation(tuple(sorted(what.components, key=str)), what.method, what.metric == "loss")


def _quantities(cells: list[_Cell]) -> set[str]:
    """The names under which a group notes what it measured in this run, for the rows of one item."""
    import json

    found = set()
    for cell in cells:
        what = cell.check.what
        if isinstance(what, Ablate):
            names = sorted(map(str, what.components))
            found.add(json.dumps(["ablation", names, what.method]))
        else:
            found.add(question(what).key)
    return found


def _head_order(name: str) -> tuple[int, int]:
    if name.startswith("MLP"):
        return int(name[3:]), 10**6
    layer, head = name.split(".")
    return int(layer), int(head)
