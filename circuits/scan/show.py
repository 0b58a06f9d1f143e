"""What a scan says: the ranked table, a layer x head map in text, plain data for programs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from circuits.report.figures import ScoreFigure
from circuits.report.plain import ASCII_SHADES, SHADES, Look, shade
from circuits.report.record import DASH, clean_numbers, number
from circuits.scan.scan import Finding, Measured, Scan
from circuits.scan.topics import find

FORMAT = 1
DIGITS = 6
TOP_OF_EACH = 4
"""How many heads are named for each score."""


def headline(scan: Scan, shown: int) -> str:
    """What was looked at, in a few lines: of so many numbers the highest are a little high by chance alone."""
    heads, topics = scan.layers * scan.heads, len(scan.measured)
    sets = ", ".join(f"{name} ({_prompts(facts['n'])})" for name, facts in scan.facts.items())
    cells = f"{heads} heads x {topics} questions, {scan.cells:,} numbers looked at"
    return (
        f"{scan.model}, seed {scan.seed}: {sets}\n{cells}; the {shown} that stand out most.\n"
        "They were chosen by their values, so each is a little high: no verdicts. A head stands out by its value less that of\n"
        "uniform attention or the median of all heads, whichever is larger."
    )


def _prompts(n: int) -> str:
    return f"{n} prompt{'' if n == 1 else 's'}"


def table(findings: Sequence[Finding]) -> str:
    """The ranked table."""
    import tabulate

    rows = [
        [
            finding.head, finding.topic.text, finding.topic.where, number(finding.estimate), _interval(finding),
            number(finding.uniform), f"x {number(finding.lift)}" if finding.lift is not None else DASH,
            number(finding.above), f"{finding.rank} of {finding.heads}",
        ]
        for finding in findings
    ]  # fmt: skip
    names = ["head", "question", "prompts", "value", "interval", "uniform", "lift", "stands out by", "rank"]
    return str(tabulate.tabulate(rows, names, "simple", disable_numparse=True))


def _interval(finding: Finding) -> str:
    if finding.low is None or finding.high is None:
        return "exact" if finding.topic.weights else "all prompts there are"
    return f"[{number(finding.low)}, {number(finding.high)}]"


def scores_in_words(scan: Scan) -> list[str]:
    """A line for each of the field's scores: the heads where it is highest."""
    lines = []
    for each in (each for each in scan.measured if each.topic.order == 0):
        named = ", ".join(f"{layer}.{head} {number(each.means[layer, head])}" for layer, head in _highest(each))
        lines.append(f"{each.topic.text} ({each.topic.where}): {named}")
    return lines


def _highest(each: Measured) -> list[tuple[int, int]]:
    places = [(int(layer), int(head)) for layer, head in zip(*np.nonzero(np.isfinite(each.means)), strict=True)]
    return sorted(places, key=lambda place: (-each.means[place], place))[:TOP_OF_EACH]


def measured_of(scan: Scan, question: str) -> list[Measured]:
    """What was measured on a question, by name, on each prompt set. CircuitsError: there is none."""
    wanted = find([each.topic for each in scan.measured], question)
    return [each for each in scan.measured if each.topic in wanted]


def map_text(each: Measured, look: Look) -> str:
    """A layer x head map in shades of 0 to the largest value; a dash is a head without a value."""
    top = float(np.nanmax(each.means))
    width = max(2, len(str(each.means.shape[1] - 1)) + 1)
    shades = SHADES if look.unicode else ASCII_SHADES
    edges = [top * (place - 0.5) / (len(shades) - 1) for place in range(1, len(shades))]
    legend = ", ".join(f"{shade!r} from {number(edge)}" for shade, edge in zip(shades[1:], edges, strict=True))
    lines = [f"{each.topic.text} ({each.topic.where}), at most {number(top)}: {legend}"]
    lines.append("layer " + "".join(f"{head:>{width}}" for head in range(each.means.shape[1])) + "  highest")
    for layer, row in enumerate(each.means):
        values = [value / (top or 1.0) if math.isfinite(value) else None for value in row.tolist()]
        cells = "".join(" " + shade(value, look) * (width - 1) for value in values)
        lines.append(f"{layer:>5} {cells}  {_best_of(layer, row, edges[0])}".rstrip())
    return "\n".join(lines)


def _best_of(layer: int, row: NDArray[np.float64], least: float) -> str:
    """The highest head of a layer, where it has a shade at all."""
    known = np.nan_to_num(row)
    best = int(known.argmax())
    return f"{layer}.{best} {number(float(known[best]))}" if known[best] >= least > 0 else ""


def figure_of(each: Measured, scan: Scan) -> ScoreFigure:
    """The map as a figure of the report, with the highest heads outlined."""
    title = f"{each.topic.text} on {each.topic.where}" if not each.topic.weights else each.topic.text
    unit = "members" if each.topic.weights else "prompts"
    missing = "writes nothing, no score" if each.topic.weights else "not measured"
    name = "score" if each.topic.order == 0 else "mean attention mass"
    top = tuple(_highest(each))
    return ScoreFigure(name, each.means, top, None, f"{title}: {scan.model}", each.n, "the highest", unit, missing)


def finding_data(finding: Finding) -> dict[str, Any]:
    """A finding as a flat row for programs."""
    return {
        "head": finding.head, "question": finding.topic.text, "prompts": finding.topic.where, "estimate": finding.estimate,
        "low": finding.low, "high": finding.high, "n": finding.n, "uniform": finding.uniform, "lift": finding.lift,
        "stands_out_by": finding.above, "rank": finding.rank, "heads": finding.heads,
    }  # fmt: skip


def csv_text(findings: Sequence[Finding]) -> str:
    """The findings as CSV, a line each; a number that is not there is empty."""
    import pandas

    return str(
        pandas.DataFrame([clean_numbers(finding_data(finding), DIGITS) for finding in findings]).to_csv(index=False)
    )


def scan_data(scan: Scan, findings: Sequence[Finding]) -> dict[str, Any]:
    """The whole scan as plain JSON data: a number that could not be computed is null."""
    questions = [
        {
            "question": each.topic.text, "prompts": each.topic.where, "n": each.n, "uniform": each.uniform,
            "median": each.usual, "values": each.means,
        }
        for each in scan.measured
    ]  # fmt: skip
    found: dict[str, Any] = clean_numbers(
        {
            "format": FORMAT, "model": scan.model, "digest": scan.digest, "layers": scan.layers, "heads": scan.heads,
            "seed": scan.seed, "numbers_looked_at": scan.cells, "prompts": scan.facts, "notes": scan.notes,
            "findings": [finding_data(finding) for finding in findings], "questions": questions,
        },
        DIGITS,
    )  # fmt: skip
    return found
