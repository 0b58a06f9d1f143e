"""``ablate:``: what the model loses without some components, alone, within a circuit, or given that others are gone."""

from __future__ import annotations

from dataclasses import replace

from circuits.claims.claim import Ablate, Circuit
from circuits.claims.heads import Component
from circuits.errors import Unmeasurable
from circuits.kinds.kind import Cell, Here, Kind, Quantity, all_heads, task_of
from circuits.measure.ablation import Ablation
from circuits.measure.group import CLEAN_RUN
from circuits.measure.subsets import complement, random_sets_outside
from circuits.measure.view import View
from circuits.verdict.circuit_rows import interaction_row, necessity_row, within_row
from circuits.verdict.decide import Asked, Row
from circuits.verdict.ranking import ablation_top_row
from circuits.verdict.rows import FEW_REFERENCE, ablation_row


def ablation_of(components: tuple[Component, ...], method: str, metric: str, at: str | None = None) -> Ablation:
    """The ablation of components in any order; only the loss metric asks for the whole prompt."""
    return Ablation(tuple(sorted(components, key=str)), method, metric == "loss", at)


def _what(cell: Cell) -> Ablate:
    assert isinstance(cell.check.what, Ablate)
    return cell.check.what


def _alone(what: Ablate) -> Ablation:
    return ablation_of(what.components, what.method, what.metric, what.at)


def alone(what: Ablate, head: Component) -> Ablation:
    """The check's ablation with one other head in place of its own components."""
    return replace(_alone(what), components=(head,))


def runs(cell: Cell, here: Here) -> dict[str, Ablation]:
    """Every ablated run that the check reads, by its name in the formula (the clean run F(M) aside)."""
    what = _what(cell)
    if what.within is not None:
        outside = complement(what.within, here.layers, here.heads)
        # Outside the circuit everything is gone at all positions; A only where the check says.
        return {
            "F(C)": ablation_of(outside, what.method, what.metric),
            "F(C\\A)": replace(_alone(what), also=tuple(sorted(outside, key=str)))
            if what.at is not None
            else ablation_of((*outside, *what.components), what.method, what.metric),
        }
    if what.effect == "interaction":
        return {
            "F(M\\A)": _alone(what),
            "F(M\\G)": ablation_of(what.given, what.method, what.metric, what.at),
            "F(M\\G\\A)": ablation_of((*what.given, *what.components), what.method, what.metric, what.at),
        }
    found = {"F(M\\A)": _alone(what)}
    if what.effect == "partial_necessity":
        for number, drawn in enumerate(_random_sets(what, here)):
            found[f"random {number}"] = ablation_of(drawn, what.method, what.metric, what.at)
    if cell.check.bound.kind == "top":
        found |= {f"head {head}": alone(what, head) for head in all_heads(here)}
    return found


def _random_sets(what: Ablate, here: Here) -> tuple[tuple[Component, ...], ...]:
    return random_sets_outside(what.components, here.layers, here.heads, what.random, here.series.seed)


def _plan(cell: Cell, here: Here) -> list[Quantity]:
    group = here.series
    return [(group, CLEAN_RUN), *((group, group.plan_ablation(ablation)) for ablation in runs(cell, here).values())]


def note_reference(row: Row, group: View, method: str) -> None:
    """The reference of a mean ablation beside the row; few reference prompts warn, none make it unmeasurable."""
    if method != "mean":
        return
    row["reference"] = dict(group.reference_facts)
    if row["reference"]["n"] == 0:
        raise Unmeasurable("there are no reference prompts of this token length to take the mean from")
    if row["reference"]["n"] < FEW_REFERENCE:
        row["warnings"].append(
            f"the mean is over only {row['reference']['n']} reference prompts (fewer than {FEW_REFERENCE})"
        )


def circuit_facts(circuit: Circuit | None) -> dict[str, object] | None:
    """A circuit as it stands in results.json."""
    if circuit is None:
        return None
    return {
        "name": circuit.name,
        "heads": [str(head) for head in circuit.heads],
        "mlps": None if circuit.mlps is None else [mlp.layer for mlp in circuit.mlps],
        "source": None if circuit.source is None else dict(circuit.source),
    }


def asked(what: Ablate) -> Row:
    """What a check asks, as its row says it."""
    return {
        "statistic": what.effect, "metric": what.metric, "method": what.method, "excluding": [], "more_than": None,
        "ablated": [str(component) for component in what.components],
        "at": what.at,
        "within": circuit_facts(what.within),
        "given_ablated": [str(component) for component in what.given] or None,
        "circuit": circuit_facts(what.circuit),
    }  # fmt: skip


def _row(row: Row, cell: Cell, here: Here, how: Asked) -> Row:
    what, group, bound, task = _what(cell), here.prompts, cell.check.bound, task_of(cell, here)
    row |= asked(what)
    note_reference(row, group, what.method)
    values = {name: group.ablated(ablation) for name, ablation in runs(cell, here).items()}
    clean = group.clean
    if what.within is not None:
        return within_row(row, what, clean, values["F(C)"], values["F(C\\A)"], bound, task, how)
    alone = values["F(M\\A)"]
    if what.effect == "interaction":
        return interaction_row(row, what, clean, alone, values["F(M\\G)"], values["F(M\\G\\A)"], bound, task, how)
    if what.effect == "partial_necessity":
        drawn = [value for name, value in values.items() if name.startswith("random ")]
        return necessity_row(row, what, clean, alone, drawn, bound, task, how, group.seed)
    if bound.kind == "top":
        each = {(head.layer, head.head): values[f"head {head}"] for head in all_heads(here) if head.head is not None}
        only = what.components[0]
        assert only.head is not None
        return ablation_top_row(row, what, clean, each, (only.layer, only.head), bound, task, how)
    return ablation_row(row, what, clean, alone, bound, task, how)


def _unmeasured(what: Ablate) -> Row:
    return asked(what) | ({"random": {"count": what.random}} if what.effect == "partial_necessity" else {})


ABLATE = Kind(_plan, _row, _unmeasured)
