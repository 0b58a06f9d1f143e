"""What an intervention measured, in one sentence: ablations, circuits, direct paths, maps of losses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from circuits.report.prose import code, listing, prose, source_words
from circuits.report.record import number

Row = Mapping[str, Any]

_METRICS = {
    "logit_diff": "logit difference between answer and foil",
    "answer_logit": "logit of the answer",
    "answer_logprob": "log probability of the answer (in nats)",
    "answer_prob": "probability of the answer",
    "pair_prob": "probability of the answer against the foil alone (the sigmoid of their logit difference)",
    "prob_diff": "probability of the answers minus that of the foils",
    "answer_rank": "rank of the answer (1 = the model's first choice)",
    "kl": "KL divergence KL(clean || ablated) of the predictions (in nats)",
    "loss": "mean next-token loss over the prompt (in nats)",
}
_METHODS = {  # of one component, of several
    "mean": (
        "by its mean",
        "by their means",
        " over{reference} corrupted prompts of the same template and length, position by position",
    ),
    "zero": ("by zero", "by zero", ""),
    "resample": ("by the one it has", "by those they have", " on the prompt's own corrupted partner"),
}


def metric(name: Any) -> str:
    """A metric in words: "logit difference between answer and foil"; unknown ones as code."""
    top = re.fullmatch(r"top(\d+)", str(name))
    if top:
        place = "the model's first choice" if top[1] == "1" else f"among the model's first {top[1]} choices"
        return f"share of prompts whose answer is {place}"
    return _METRICS.get(str(name), code(name) if name is not None else "unnamed metric")


def _named(names: Any) -> str:
    """Components as a phrase: "head 23.3", "heads 1.5 and 4.4", "heads 1.5 and 4.4 and MLP3"."""
    found = [str(name) for name in names or []]
    heads = [prose(name) for name in found if not name.startswith("MLP")]
    others = [prose(name) for name in found if name.startswith("MLP")]
    if len(heads) > 12:
        heads = [*heads[:10], f"{len(heads) - 10} more"]
    groups = ([("head " if len(heads) == 1 else "heads ") + listing(heads)] if heads else []) + others
    return listing(groups)


def parts_ablated(row: Row) -> str:
    """The ablated components in words: "head 23.3", "heads 1.5 and 4.4 together", "MLP3"."""
    names = row.get("ablated") or []
    circuit = row.get("circuit") or {}
    if circuit.get("name"):
        return f"the circuit {code(circuit['name'])} ({circuit_size(circuit)})"
    return (_named(names) + (" together" if len(names) > 1 else "")) if names else "the named components"


def circuit_size(circuit: Mapping[str, Any]) -> str:
    """ "14 heads, all MLPs kept", "14 heads and 11 MLPs"."""
    heads, mlps = circuit.get("heads") or [], circuit.get("mlps")
    said = f"{number(len(heads))} {'head' if len(heads) == 1 else 'heads'}"
    if mlps is None:
        return f"{said}; every MLP stays"
    return f"{said} and {number(len(mlps))} {'MLP' if len(mlps) == 1 else 'MLPs'}" if mlps else f"{said}, no MLP"


def _method(row: Row, several: bool) -> str:
    count = (row.get("reference") or {}).get("n")
    one, many, tail = _METHODS.get(str(row.get("method")), ("", "", ""))
    by = (many if several else one) + tail.format(reference="" if count is None else f" {number(count)}")
    return f"{' ' if by else ''}{by} ({prose(row.get('method') or 'unnamed')} ablation)"


def _change(row: Row, clean: str = "clean", ablated: str = "ablated") -> str:
    """The quantity of an effect, with its two runs named."""
    statistic, of = row.get("statistic"), metric(row.get("metric"))
    if statistic == "drop_in":
        return f"Relative drop of the {of}, ({clean} - {ablated}) / {clean} with the means over prompts,"
    if statistic == "change_in":
        return f"Change of the {of}, {ablated} minus {clean},"
    if statistic == "after":
        return f"The {of}"
    return code(row.get("check") or statistic)


def what_ablate(row: Row) -> str:
    """What an ablation row measured."""
    return _what_ablate(row) + _cut(row)


def _cut(row: Row) -> str:
    """Where ``range:`` cuts the metric, as a sentence; "" where it does not."""
    if not row.get("range"):
        return ""
    low, high = row["range"]
    return f" On each prompt a value below {number(low)} counts as {number(low)}, one above {number(high)} as {number(high)} (`range`)."


def _what_ablate(row: Row) -> str:
    parts, of, several = parts_ablated(row), metric(row.get("metric")), len(row.get("ablated") or []) != 1
    where = f" at {code(row['at'])} only" if row.get("at") else ""
    be = "are" if several else "is"
    replaced = f"the {'outputs' if several else 'output'} of {parts} {be} replaced{where}{_method(row, several)}"
    within = row.get("within") or {}
    if within:
        return (
            f"{_change(row, 'F(C)', 'F(C less A)')} within the circuit {code(within.get('name'))} "
            f"({circuit_size(within)}): everything outside it is ablated in both runs, and in the second {replaced}."
        )
    if row.get("statistic") == "interaction":
        return (
            f"Interaction (redundancy) in the {of}: how much more removing A = {parts} costs when "
            f"G = {_named(row.get('given_ablated'))} is gone already, "
            "((F(M less G) - F(M less G and A)) - (F(M) - F(M less A))) / F(M) with the means over prompts; "
            f"above 0, A matters more without G{where}. Every removal replaces outputs{_method(row, True)}."
        )
    if row.get("statistic") == "partial_necessity":
        count = (row.get("random") or {}).get("count")
        return (
            f"Partial necessity: the share of {number(count)} random sets of {_as_many(row)}, drawn evenly from all "
            f"outside it and not matched by layer, whose removal changes the {of} less than removing {parts} does{where}; "
            f"outputs are replaced{_method(row, True)}."
        )
    return f"{_change(row)} when {replaced}."


def nothing_kept(row: Row) -> str:
    """What F(0) is the value of: nothing of the circuit is kept, either; see ``kinds.keep``."""
    both = "" if (row.get("circuit") or {}).get("mlps") is None else " and every MLP"
    return f"every head{both} of the model replaced in the same way"


def _as_many(row: Row) -> str:
    """Of what a random set is made: of as many parts of each kind as are removed."""
    mlps = [str(part).startswith("MLP") for part in row.get("ablated") or []]
    kinds = [kind for kind, found in (("heads", not all(mlps)), ("MLPs", any(mlps))) if found]
    return f"as many {' and '.join(kinds) or 'parts'}"


def what_keep(row: Row) -> str:
    """What a circuit row measured."""
    return _what_keep(row) + _cut(row)


def how_drawn(row: Row) -> str:
    """How the random circuits of a row were drawn, in a sentence; see ``measure.subsets``."""
    mlps = (row.get("circuit") or {}).get("mlps")
    sizes = "as many heads as the circuit has" if mlps is None else "as many heads and as many MLPs as the circuit has"
    return (
        f"A random circuit has {sizes}, drawn evenly from all of the model: not matched by layer, and it may share parts with "
        "the circuit."
    )


def _what_keep(row: Row) -> str:
    circuit, of = row.get("circuit") or {}, metric(row.get("metric"))
    name, statistic = f"the circuit {code(circuit.get('name'))} ({circuit_size(circuit)})", row.get("statistic")
    rest = "every other head" + ("" if circuit.get("mlps") is None else " and every other MLP")
    alone = f"{name} is kept and {rest} is replaced{_method(row, False)}"
    drawn = number((row.get("subsets") or {}).get("count"))
    if statistic == "recovers" and row.get("normalised"):
        return (
            f"Normalised recovery of the {of}, (F(C) - F(0)) / (F(M) - F(0)) with the means over prompts, when only {alone}; "
            f"F(0) is what is left with {nothing_kept(row)}."
        )
    if statistic == "recovers":
        return f"Recovered share of the {of}, F(C) / F(M) with the means over prompts, when only {alone}."
    if statistic == "faithfulness":
        return f"Faithfulness: the distance of the mean {of}, |F(M) - F(C)|, when only {alone}; 0 is perfect."
    if statistic == "completeness":
        return (
            f"Incompleteness: the largest distance |F(C less K) - F(M less K)| of the mean {of} over {drawn} subsets "
            f"K of the circuit (none removed among them, the others drawn at random), when only {alone}; a subset that "
            "was not drawn may be worse."
        )
    if statistic == "minimality":
        return (
            f"Minimality: for each component v of the circuit the largest change |F(C less K) - F(C less K and v)| of "
            f"the mean {of} over up to {drawn} subsets K of the other components (the empty one among them), and of these the smallest "
            f"over v, when only {alone}."
        )
    count = number((row.get("random") or {}).get("count"))
    return (
        f"Sufficiency: the share of {count} random circuits of the same size that are less faithful, "
        f"|F(M) - F(random)| > |F(M) - F(C)| in the mean {of}, when only {alone}. {how_drawn(row)}"
    )


def what_path(row: Row) -> str:
    """The sentence of a direct path row."""
    path = row.get("path") or {}
    sender, receiver, into = path.get("sender"), path.get("receiver"), path.get("input")
    names = {"q": "queries", "k": "keys", "v": "values"}
    reached = f"the {names.get(str(into), code(into))} of head {prose(receiver)}" if receiver else "the logits"
    who = prose(sender) if str(sender).startswith("MLP") else f"head {prose(sender)}"
    return (
        f"{_change(row, 'clean', 'patched')} when what {who} writes is replaced, on its direct way to {reached} only, "
        "by what it writes on the prompt's own corrupted partner; no other head or MLP sees the change except through "
        f"what the receiver then does. {_norm(receiver is not None)}{_cut(row)}"
    )


def _norm(head: bool) -> str:
    """Whether the norm in front of the receiver is frozen: it is not; see ``measure.paths``."""
    where = "The receiver's input norm" if head else "The final norm"
    return f"{where} is computed again, not frozen."


def circuits_named(rows: Iterable[Row]) -> list[str]:
    """Every circuit that the rows are about, once: its parts and where the suite has it from."""
    found: dict[str, str] = {}
    for row in rows:
        for circuit in (row.get("circuit"), row.get("within")):
            if circuit and circuit.get("name"):
                found.setdefault(str(circuit["name"]), _circuit_line(circuit))
    return list(found.values())


def _circuit_line(circuit: Mapping[str, Any]) -> str:
    parts = [*(circuit.get("heads") or []), *(f"MLP{layer}" for layer in circuit.get("mlps") or [])]
    stay = "; every MLP stays" if circuit.get("mlps") is None else ""
    told = source_words(circuit.get("source") or {})
    origin = f". How it was found: {told}" if told else ". The suite does not say how it was found"
    return f"**Circuit {code(circuit['name'])}**: {_named(parts)}{stay}{origin}."


def what_loss_map(row: Row) -> str:
    """The sentence of a map of losses."""
    points = row.get("points") or []
    if not points:
        return "A map of the next-token losses of every token, of the model and without some components."
    explained = row.get("explained") or []
    shares = " and ".join(number(share, True) for share in explained)
    names = listing(code(point.get("name")) for point in points)
    others = [code(point.get("name")) for point in points if point.get("kind") == "model"]
    replaced = f"the outputs of the components that name it are replaced{_method(row, True)}."
    how = f" In every run but the clean one {replaced}"
    if others:
        is_other = f"{listing(others)} {'is another model' if len(others) == 1 else 'are other models'} as {'it is' if len(others) == 1 else 'they are'}"
        how = f" {code(points[0].get('name'))} is the claim's model, {is_other}, on the very same tokens."
        if any(point.get("kind") == "ablation" for point in points):
            how += f" In every other run {replaced}"
    return (
        f"Map of the next-token losses of every token: {names}, each a point by the first two principal components"
        + (f" (they hold {shares} of the variance)" if shares else "")
        + f".{how} Distance in the plane: the root of the sum of squared differences of the tokens' losses, as far as two components "
        + f"show it. Near points have alike losses in this plane.{_losses(points)}"
    )


def _losses(points: Any) -> str:
    told = [f"{code(p.get('name'))} {number(p.get('loss'))}" for p in points if p.get("loss") is not None]
    return f" Mean loss in nats: {', '.join(told)}." if told else ""
