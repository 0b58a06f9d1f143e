"""What a suite's page is about: weights, prompt families and templates, what was not tested, and how often claims were edited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from circuits.report.asides import level_of
from circuits.report.pages import Entry, model_lines, other_models, verdict_of
from circuits.report.prose import code, prose_with_code
from circuits.report.record import number


def scope(entries: Sequence[Entry], models: Mapping[str, Any]) -> str:
    """Weights, prompt families and templates of a suite, and what was not tested."""
    names = {str(entry["model"]) for entry in entries if entry.get("model")}
    others = other_models(entries, names)
    sets = [prompts for entry in entries for prompts in (entry.get("prompts") or {}).values()]
    templates = sorted({str(template) for prompts in sets for template in prompts.get("templates") or []})
    families = sorted({str(prompts["family"]) for prompts in sets if prompts.get("family")})
    rows = [row for entry in entries for row in entry.get("checks") or []]
    kinds = {row.get("kind") for row in rows}
    missing = "other weights, other prompt families, templates and lengths than these, other heads than those named"
    if any(row.get("any") or row.get("k") is not None for row in rows):
        missing += " (all are asked where a claim is about some head or about a place among all)"
    elif any(row.get("rank") is not None for row in rows):
        missing += " (the controls only say how they compare)"
    missing += "."
    causal = bool(kinds & {"ablate", "keep_only", "path", "loss_map"})
    if kinds and not causal:
        missing += (
            " No check here intervenes on the model: attention says where a head looks, not what the model makes of it."
        )
    elif causal:
        missing += " An ablation says what is lost when an output is replaced, not how the component works."
    known = model_lines({**others, **models}, names | others.keys())
    lines = [f"- **Weights**: {line}." for line in known] or ["- **Weights**: none."]
    if families:
        lines.append(f"- **Prompt families**: {', '.join(map(code, families))}.")
    if templates:
        lines.append(f"- **Templates**: {', '.join(map(code, templates))}.")
    nothing = all(row.get("estimate") is None and not row.get("points") for row in rows)
    lines.append(
        f"- **Not tested**: {f'anything: no claim of this page was measured.{_would(entries)}' if nothing else missing}"
    )
    earlier = other_versions(entries)
    if earlier:
        lines.append(f"- **Other versions**: {earlier}")
    notes = next((str(entry["notes"]) for entry in entries if entry.get("notes")), None)
    if notes is not None:
        told = "\n\n  ".join(map(prose_with_code, notes.split("\n\n")))  # paragraphs of one item of the list
        lines.append(f"- **The author's notes**, from the head of the suite: {told}")
    return "\n".join(lines)


def _would(entries: Sequence[Entry]) -> str:
    """On how many prompts skipped claims would be decided, in a sentence; "" where that is not known or not the same for all."""
    found = {tuple((entry.get("sampling") or {}).items()) for entry in entries if verdict_of(entry) == "skipped"}
    asked = dict(next(iter(found))) if len(found) == 1 else {}
    if not asked:
        return ""
    least, most = number(asked["min"]), number(asked["max"])
    many = f"{least} to {most} prompts of each set" if least != most else f"{least} prompts of each set"
    return (
        f" Each would be decided on {many} (seed {asked['seed']}; literal texts: all of them), as soon as every {level_of(asked['confidence'])} "
        "interval lies wholly on one side of its bound (a place among the heads: head by head; a share of random sets: on all of them)."
    )


def moved_bounds(entry: Entry) -> bool:
    """Whether a claim was also decided with other bounds than it has now."""
    return len({tuple(map(str, version["bounds"])) for version in entry.get("versions") or []}) > 1


def other_versions(entries: Sequence[Entry], where: str = "below the claim") -> str:
    """How many claims were decided in other versions, in a sentence; "" where no ledger was kept that could tell.

    ``where`` their history stands.
    """
    tested = [
        entry
        for entry in entries
        if entry.get("ledger") and verdict_of(entry) not in ("skipped", "invalid", "observed")
    ]
    if not tested:
        return ""
    edited = [entry for entry in tested if any(not version["now"] for version in entry.get("versions") or [])]
    these = f"{number(len(tested))} claim{'' if len(tested) == 1 else 's'} with a verdict here"
    if not edited:
        none = "the claim with a verdict here was never" if len(tested) == 1 else f"none of the {these} was ever"
        return f"{none} decided in another version, as far as `ledger.jsonl` knows."
    was = "was" if len(edited) == 1 else "were"
    moved = sum(map(moved_bounds, edited))
    bounds = f" ({number(moved)} with other bounds)" if moved else " (none with other bounds)"
    return f"{number(len(edited))} of the {these} {was} also decided in other versions{bounds}; *History* {where} tells them."
