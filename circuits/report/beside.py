"""What stands beside a claim's verdict: its controls, its robustness strip, and how it fares in the whole run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from circuits.report import random_parts
from circuits.report.pages import anchor, claim_name, page_name, table
from circuits.report.prose import prose
from circuits.report.record import DASH, number, span, unit_of


def controls(row: Mapping[str, Any]) -> list[str]:
    """What the check comes to on the corrupted partners of the prompts, on models with shuffled weights, and of other parts."""
    found: Mapping[str, Any] = row.get("controls") or {}
    percent, sentences = unit_of(row), []
    broken = found.get("broken")
    if broken is not None:
        value = f"it is {number(broken['value'], percent)}{best_there(broken)}"
        told = "the selectors find nothing" if broken["value"] is None else value
        tail = f"which {without_structure(row)}" if broken["holds"] else "which does not satisfy the bound"
        tail = "" if broken["value"] is None else f", {tail}"
        sentences.append(f"On the corrupted partners of the prompts {told}{tail}.")
    permuted = found.get("permuted") or []
    if permuted:
        holding = sum(each["holds"] for each in permuted)
        verb = "satisfies" if holding == 1 else "satisfy"
        sentences.append(
            f"{number(holding)} of {number(len(permuted))} models with shuffled weights {verb} this bound"
            f"{span([each['value'] for each in permuted], percent)}."
        )
    others = random_parts.sentence(row)
    return sentences if others is None else [*sentences, others]


def best_there(control: Mapping[str, Any]) -> str:
    """Which head a control of "some head" is of: the best one there, seldom the one of the claim."""
    return f" (the best head there, {control['head']})" if control.get("head") else ""


def without_structure(row: Mapping[str, Any]) -> str:
    """What it means that the value on the corrupted partners satisfies the bound, as a fact and no reproach.

    A partner may keep the very thing that a check is about: then this control tells nothing of it.
    """
    if row.get("verdict") == "supported" and row.get("bound_low") is not None:
        return "satisfies the bound too: that it is met does not hang on what the partners change"
    return "satisfies the bound"


def whole_run(entry: Mapping[str, Any]) -> list[str]:
    """Whether the claim is a discovery among all claims of its run, and whether its verdict flipped on other prompts."""
    lines = []
    fdr = entry.get("fdr")
    if fdr:
        is_one = "is" if fdr["discovery"] else "is **not**"
        lines.append(
            f"Among the {number(fdr['claims'])} claims tested in its run, this one {is_one} a discovery at a false discovery "
            f"rate of {number(fdr['alpha'], True)} (e-BH)."
        )
    flipped = entry.get("flipped")
    if flipped:
        lines.append(
            f"**Flipped**: {prose(flipped['from']).upper()} on the prompts of the run before, {prose(flipped['to']).upper()} on "
            "these."
        )
    return lines


def robustness(entry: Mapping[str, Any]) -> str | None:
    """The robustness strip as a table: the verdict had one choice been made otherwise. None where it was not asked."""
    found = entry.get("robust")
    if not found:
        return None
    percents = [unit_of(row) for row in entry.get("checks") or [] if not row.get("observe")]
    rows = [
        [
            "as claimed",
            str(entry.get("verdict") or "").upper(),
            _estimates([row.get("estimate") for row in entry.get("checks") or [] if not row.get("observe")], percents),
            "",
        ]
    ]
    for each in found:
        reason = prose(each["reason"]) if each.get("reason") else ""
        choice = f"{prose(each['choice'])} {prose(each['value'])}"
        rows.append([choice, str(each["verdict"]).upper(), _estimates(each["estimates"], percents), reason])
    return (
        "Had one choice been made otherwise (further questions; the verdict above does not rest on them):\n\n"
        + table(["choice", "verdict", "estimates", "reason"], rows)
    )


def _link(entry: Mapping[str, Any]) -> str:
    return f"[{prose(entry.get('claim') or claim_name(entry))}]({page_name(str(entry.get('file')))}#{anchor(entry)})"


def _estimates(values: list[Any], percents: list[bool | str]) -> str:
    shown = [number(value, percent) for value, percent in zip(values, percents, strict=False)]
    return ", ".join(shown) or DASH


def discoveries(entries: Sequence[Mapping[str, Any]]) -> str | None:
    """How many claims are discoveries at their run's false discovery rate, which are not, and which flipped."""
    found = [entry for entry in entries if entry.get("fdr")]
    parts = []
    if found:
        rate = sorted({entry["fdr"]["alpha"] for entry in found})
        kept = sum(entry["fdr"]["discovery"] for entry in found)
        rates = ", ".join(number(alpha, True) for alpha in rate)
        parts.append(
            f"{number(kept)} of {number(len(found))} claims tested together are discoveries at a rate of {rates} (e-BH)."
        )
        left = [f"- {_link(entry)}" for entry in found if not entry["fdr"]["discovery"]]
        parts += ["Not among them:", "\n".join(left)] if left else []
    flipped = [entry for entry in entries if entry.get("flipped")]
    if flipped:
        parts.append("Verdicts that are others on the last run's prompts than before:")
        parts.append(
            "\n".join(
                f"- {_link(entry)}: {prose(entry['flipped']['from']).upper()} before, {prose(entry['flipped']['to']).upper()} now"
                for entry in flipped
            )
        )
    return "\n\n".join(parts) or None
