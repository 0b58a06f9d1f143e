"""``keep_only:``: what a circuit does alone, with everything else ablated, and against random circuits of its size."""

from __future__ import annotations

from circuits.claims.claim import Circuit, Keep
from circuits.claims.heads import Component
from circuits.kinds.ablate import ablation_of, circuit_facts, note_reference
from circuits.kinds.kind import Cell, Here, Kind, Quantity, task_of
from circuits.measure.ablation import Ablation
from circuits.measure.group import CLEAN_RUN
from circuits.measure.metrics import Values
from circuits.measure.subsets import complement, random_circuits, subsets
from circuits.verdict.circuit_rows import Pair, completeness_row, keep_row, minimality_row, sufficiency_row
from circuits.verdict.decide import Asked, Row, decide
from circuits.verdict.rows import NOTHING_MEASURED, clean_facts, task_reason


def _what(cell: Cell) -> Keep:
    assert isinstance(cell.check.what, Keep)
    return cell.check.what


def _without(circuit: Circuit, removed: frozenset[Component]) -> Circuit:
    """The circuit less some of its components."""
    heads = tuple(head for head in circuit.heads if head not in removed)
    mlps = None if circuit.mlps is None else tuple(mlp for mlp in circuit.mlps if mlp not in removed)
    return Circuit(circuit.name, heads, mlps)


class Runs:
    """The runs of one check by what is kept (``kept``) or removed from the whole model (``removed``)."""

    def __init__(self, cell: Cell, here: Here):
        self.what, self.here = _what(cell), here
        self.circuit = self.what.circuit
        self.random: tuple[Circuit, ...] = ()
        if self.what.random:
            self.random = random_circuits(self.circuit, here.layers, here.heads, self.what.random, here.series.seed)
        self.subsets: tuple[frozenset[Component], ...] = ()
        if self.what.statistic in ("completeness", "minimality"):
            self.subsets = subsets(self.circuit.components, self.what.subsets, here.series.seed)

    def kept(self, circuit: Circuit) -> Ablation:
        """The run in which only a circuit is left."""
        outside = complement(circuit, self.here.layers, self.here.heads)
        return ablation_of(outside, self.what.method, self.what.metric)

    def removed(self, components: frozenset[Component]) -> Ablation:
        """The run of the whole model without some components."""
        return ablation_of(tuple(components), self.what.method, self.what.metric)

    def all(self) -> list[Ablation]:
        """Every ablation that the check reads, so that all can be planned (none for removing nothing)."""
        found = [self.kept(self.circuit), *(self.kept(drawn) for drawn in self.random)]
        if self.what.statistic == "recovers":
            found.append(self.kept(self.nothing))
        for chosen in self.subsets:
            found.append(self.kept(_without(self.circuit, chosen)))
            if self.what.statistic == "completeness":
                found += [self.removed(chosen)] if chosen else []
            else:
                found += [
                    self.kept(_without(self.circuit, both))
                    for v in self.circuit.components
                    for both in _pair(chosen, v)
                ]
        return [ablation for ablation in dict.fromkeys(found) if ablation.components]

    @property
    def nothing(self) -> Circuit:
        """F(0): every head ablated and, where the circuit lists MLPs, every MLP."""
        return Circuit("nothing", (), None if self.circuit.mlps is None else ())

    def values(self, ablation: Ablation) -> Values:
        """The metrics of a run; nothing ablated is the clean model."""
        group = self.here.prompts
        return group.ablated(ablation) if ablation.components else group.clean


def _pair(chosen: frozenset[Component], v: Component) -> tuple[frozenset[Component], frozenset[Component]]:
    """K without v and K with v."""
    return chosen - {v}, chosen | {v}


def _plan(cell: Cell, here: Here) -> list[Quantity]:
    group = here.series
    return [(group, CLEAN_RUN), *((group, group.plan_ablation(ablation)) for ablation in Runs(cell, here).all())]


def asked(what: Keep) -> Row:
    """What a check asks, as its row says it."""
    return {
        "statistic": what.statistic, "metric": what.metric, "method": what.method, "excluding": [], "more_than": None,
        "ablated": None, "circuit": circuit_facts(what.circuit), "normalised": what.normalised,
    }  # fmt: skip


def _row(row: Row, cell: Cell, here: Here, how: Asked) -> Row:
    what, group, bound, task = _what(cell), here.prompts, cell.check.bound, task_of(cell, here)
    row |= asked(what)
    note_reference(row, group, what.method)
    many = what.statistic in ("completeness", "minimality", "sufficiency")
    undone = task_reason(group.clean, task, how) if many and bound.kind != "observe" else None
    if undone is not None:  # many runs would be made for a row that cannot be judged
        facts = {"reason": undone, "clean": clean_facts(group.clean, how)}
        return decide(row | {**NOTHING_MEASURED, **facts}, bound, None, how)
    runs = Runs(cell, here)
    full, kept = group.clean, runs.values(runs.kept(what.circuit))
    others = [runs.values(runs.kept(drawn)) for drawn in runs.random]
    if len(others) < what.random:
        row["warnings"].append(f"only {len(others)} of {what.random} random circuits: there are no more of this size")
    if what.statistic == "recovers":
        empty = runs.values(runs.kept(runs.nothing))
        return keep_row(row, what, full, kept, empty, others, bound, task, how, group.seed)
    if what.statistic == "faithfulness":
        return keep_row(row, what, full, kept, None, others, bound, task, how, group.seed)
    if what.statistic == "sufficiency":
        return sufficiency_row(row, what, full, kept, others, bound, task, how, group.seed)
    if what.statistic == "completeness":
        pairs = [
            Pair(
                _names(chosen),
                runs.values(runs.kept(_without(what.circuit, chosen))),
                runs.values(runs.removed(chosen)),
            )
            for chosen in runs.subsets
        ]
        return completeness_row(row, what, full, kept, pairs, bound, task, how, group.seed)
    pairs = []
    for v in what.circuit.components:
        for chosen in dict.fromkeys(each - {v} for each in runs.subsets):
            one, other = (runs.values(runs.kept(_without(what.circuit, each))) for each in _pair(chosen, v))
            pairs.append(Pair(_names(chosen), one, other, str(v)))
    return minimality_row(row, what, full, kept, pairs, bound, task, how, group.seed)


def _names(components: frozenset[Component]) -> tuple[str, ...]:
    return tuple(
        str(component) for component in sorted(components, key=lambda c: (c.head is None, c.layer, c.head or 0))
    )


def _unmeasured(what: Keep) -> Row:
    counts = {
        "sufficiency": {"random": {"count": what.random}},
        "completeness": {"subsets": {"count": what.subsets}},
        "minimality": {"subsets": {"count": what.subsets}},
    }
    return asked(what) | counts.get(what.statistic, {})


KEEP = Kind(_plan, _row, _unmeasured)
