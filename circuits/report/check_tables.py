"""The checks of a claim as a reader scans them: the numbers, what they did, what decided, what others reported."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from circuits.report import beside, words
from circuits.report.asides import foil_leads, on_foil, sides
from circuits.report.pages import (
    against_bound,
    below,
    bound_text,
    effect_text,
    estimate_with_interval,
    rank_text,
    subject,
    table,
)
from circuits.report.prose import code, listing, prose
from circuits.report.record import DASH, counted, number
from circuits.report.terminal import compared

Row = Mapping[str, Any]

_MOST_TOKENS = 3  # of those that took the answer's place; all stand in the sentences


def numbers(rows: Sequence[Row]) -> str:
    """The table that comes first: one row a measurement, with its bar; what matters most stands left, where no width cuts it."""
    header = ["verdict, check", "estimate [interval], bound", "head or part", "effect, rank", "n, prompts"]
    return table(header, (_numbers_row(row, label) for row, label in zip(rows, _labels(rows), strict=True)))


def _numbers_row(row: Row, label: str) -> list[str]:
    nothing = (
        DASH
        if row.get("points")
        else "<br>".join(["not measured", *([bound_text(row)] if bound_text(row) != DASH else [])])
    )
    return [
        below("" if words.only_shown(row) else f"**{str(row.get('verdict') or 'none').upper()}**", label),
        nothing if row.get("estimate") is None else below(against_bound(row), " against ".join(sides(row))),
        subject(row) or DASH,
        below(effect_text(row), rank_text(row), words.other_ranked(row, short=True)),
        below(counted(row), code(row["prompts"]) if row.get("prompts") else ""),
    ]


def sampling(rows: Sequence[Row]) -> str:
    """What the intervals rest on, the seed, and where the sampling stopped: each said once, with the checks it is about."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if row.get("estimate") is None or row.get("exact"):
            continue
        known = row.get("low") is not None or row.get("high") is not None
        level = f"{words.level_of(row['confidence'])} interval" if row.get("confidence") is not None else "interval"
        parts = [f"{level}{words.trust(row)}" if known else "no interval"]
        parts += [f"seed {row['seed']}"] if row.get("seed") is not None else []
        parts += [f"at most {number(row['most'])} prompts were to be drawn"] if _sampled(row) else []
        found.setdefault("; ".join(parts), []).append(place(row))
    if len(found) == 1:
        return f"*Sampling*: {next(iter(found))}."
    return "\n".join(f"- *Sampling*, check {listing(dict.fromkeys(who))}: {text}." for text, who in found.items())


def _sampled(row: Row) -> bool:
    """Whether the prompts of a row could have been fewer; the number of random circuits is fixed."""
    drawn = row.get("most") is not None and not row.get("observe") and not row.get("unit")
    return drawn and (row.get("looks") or 0) >= 1


def _labels(rows: Sequence[Row]) -> list[str]:
    """ "1: `attends: any -> n-3`" where a check first appears, "1" in its further rows."""
    found, seen = [], set()
    for row in rows:
        short, long = place(row), f"{place(row)}: {written(row)}" if row.get("index") is not None else written(row)
        found.append(short if long in seen else long)
        seen.add(long)
    return found


def place(row: Row) -> str:
    """The number of the check within its claim, or a dash."""
    return number(row.get("index"))


def written(row: Row) -> str:
    """The check as it is written in the suite, as code; a dash where the record does not hold it."""
    check = str(row.get("check") or "")
    check += f", more than {compared(row)}" if row.get("more_than") else ""
    check += f"; {row['statistic']}" if row.get("statistic") in ("top1", "lift") else ""
    check += f"; excluding {' and '.join(row['excluding'])}" if row.get("excluding") else ""
    return code(check) if check else DASH


_POINTS = {"clean": "the claim's model as it is", "model": "another model as it is"}


def points(rows: Sequence[Row]) -> str | None:
    """The points of maps: what each is, its mean loss, how far from the first one, where it lies; None without a map."""
    maps = [row for row in rows if row.get("points")]
    lines = [
        [place(row), code(point["name"]), _POINTS.get(str(point.get("kind")), "the model without it"),
         number(point.get("loss")), number(point.get("apart")), number(point.get("x")), number(point.get("y"))]
        for row in maps for point in row["points"]
    ]  # fmt: skip
    header = ["check", "point", "what it is", "mean loss", "apart", "PC1", "PC2"]
    legend = (
        "mean loss: over all tokens, in nats; apart: the root of the mean squared difference of a token's loss from that of the first "
        "point, in nats, whatever the plane shows of it; these are shown, not judged, and have no interval"
    )
    return f"**The points of the map** ({legend})\n\n{table(header, lines)}" if lines else None


def changed(rows: Sequence[Row]) -> str | None:
    """What an intervention did to the model's answers: means before and after, answers lost, what took their place."""
    header = [
        "check, head or part",
        "mean before, after",
        "answers lost",
        "first choices where it was lost",
        "median rank",
    ]
    found = [
        [below(place(row), _removed(row)), *_changes(row)] for row in rows if row.get("baseline") or row.get("lost")
    ]
    if all(cell == DASH for line in found for cell in line[1:]):
        return None
    told = []
    if any(line[2] != DASH for line in found):
        told.append(
            "answers lost: of the prompts whose first choice was the answer before; one that ties for the first place is not lost"
        )
        if any(map(_any_right, rows)):
            told[-1] += (
                ". The answer is the one that counts; where it was lost another right one may be first, so the share of prompts on "
                "which any right one is first stands below, before and after"
            )
    if any(line[4] != DASH for line in found):
        told.append("median rank: of the answer afterwards")
    legend = f" ({'; '.join(told)})" if told else ""
    return f"**What the intervention did**{legend}\n\n" + table(header, found)


def _removed(row: Row) -> str:
    """What was removed where answers were lost: of an interaction both parts, which the row is named after one of; where the
    worst of several subsets decides, the circuit before any is removed."""
    given = [prose(part) for part in row.get("given_ablated") or []]
    if row.get("worst"):
        return f"{subject(row)} alone, whole"
    return f"{subject(row)} and {listing(given)}, together" if given else subject(row)


def _changes(row: Row) -> list[str]:
    base, lost = {} if row.get("parts") else row.get("baseline") or {}, row.get("lost")
    fell = [f"{code(token)} ({number(count)})" for token, count in (row.get("fell_to") or [])[:_MOST_TOKENS]]
    fallen = ", ".join(fell) + words.other_tokens(row, len(fell))
    return [
        below(
            number(base.get("clean")),
            number(base.get("ablated")),
            code(row["metric"]) if base and row.get("metric") else "",
            "the foil leads" if foil_leads(row) else "",
        ),
        below(f"{number(lost[0])} of {number(lost[1])}", _first_then(row), _tied(row), _any_right(row))
        if lost and lost[1]
        else DASH,
        fallen + on_foil(row.get("fell_to_foil"), (lost or [None])[0]) if fallen else DASH,
        _median(row.get("ranks") or {}),
    ]


def _first_then(row: Row) -> str:
    """ "then first on 53 of 72": where answers were gained, too, so that those that were lost do not tell how many are left."""
    counts = (row.get("ranks") or {}).get("counts") or {}
    lost, had = row["lost"]
    now = counts.get("1", 0)
    ranked = re.fullmatch(r"top([2-9]|\d\d+)", str(row.get("metric")))  # lost from the first five, say
    return f"then first on {number(now)} of {number(sum(counts.values()))}" if now > had - lost and not ranked else ""


def _tied(row: Row) -> str:
    """ "32 by a tie": on how many prompts the answer is first now with the very logit of another token; else empty."""
    return f"{number(row['tied_after'])} first by a tie" if row.get("tied_after") else ""


def _any_right(row: Row) -> str:
    """ "any right answer first: 58.3%, then 21.9%", where several are right and it was counted; else empty."""
    clean, after = row.get("clean") or {}, row.get("right_after")
    before = row.get("right_before", clean.get("right_first"))  # of a circuit's part: in the circuit
    if before is None or after is None or not clean.get("right_answers"):
        return ""
    return f"any right one first: {number(before, True)}, then {number(after, True)}"


def _median(ranks: Mapping[str, Any]) -> str:
    """The answer's median rank and the number of prompts that it is the median of: "288 (n = 64)"."""
    n = sum((ranks.get("counts") or {}).values())
    return number(ranks.get("median")) + (f" (n = {number(n)})" if n and ranks.get("median") is not None else "")


def decided(rows: Sequence[Row], prompts: Mapping[str, Any]) -> str:
    """What decided each check and what would have decided otherwise, said once for all rows that it is the same for."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        general = words.what({**row, "head": None})
        groups.setdefault(
            (place(row), general, words.why(row, prompts.get(str(row.get("prompts"))) or None)), []
        ).append(row)
    lines = [_decided_line(group, general, why) for (_, general, why), group in groups.items()]
    return "**What was measured, and what would have refuted it**\n\n" + "\n".join(lines)


def _decided_line(group: Sequence[Row], general: str, why: str) -> str:
    row = group[0]
    about = _listed(subject(each) for each in group)
    label = f"Check {place(row)}" if row.get("index") is not None else "Check"
    what = words.what(row) if len(group) == 1 else general
    made = [words.made_of_means(row)] if len(group) == 1 and row.get("parts") else []
    made += filter(None, [words.of_subsets(row)]) if len(group) == 1 else []
    return f"- **{label}**{f' ({about})' if about else ''}. {' '.join([what, why, *made])}"


def _listed(names: Iterable[str]) -> str:
    return listing(dict.fromkeys(name for name in names if name))


def warnings(rows: Sequence[Row]) -> str:
    """The warnings of the checks and what else is noted of them, each said once, with the checks it is about."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for label, text in words.remarks(row):
            who = place(row) + (f" ({subject(row)})" if subject(row) else "")
            found.setdefault((label, prose(text)), []).append(who)
    told = (f"- **{label}**, check {listing(dict.fromkeys(who))}: {text}" for (label, text), who in found.items())
    return "\n".join(told)


def reported(rows: Sequence[Row]) -> str | None:
    """Published values beside the measured ones; None where the claim gives none."""
    found = [
        [place(row), subject(row) or DASH, words.reported_value(row), _here(row)]
        for row in rows
        if words.reported_value(row)
    ]
    if not found:
        return None
    told = table(["check", "head or part", "reported elsewhere", "measured here"], found)
    return f"**Reported and measured** (a reported value has no part in the verdict)\n\n{told}"


def _here(row: Row) -> str:
    return "not measured" if row.get("estimate") is None else estimate_with_interval(row)


def asked(rows: Sequence[Row]) -> str:
    """What a skipped claim asks, and what others reported; nothing here was measured."""
    header = ["check", "head or part", "prompts", "bound", "reported elsewhere", "measured"]
    listed = table(
        header,
        (
            [
                label,
                prose(row.get("head") or "") or DASH,
                code(row["prompts"]) if row.get("prompts") else DASH,
                bound_text(row),
                words.reported_value(row) or DASH,
                "not measured",
            ]
            for row, label in zip(rows, _labels(rows), strict=True)
        ),
    )
    meant = [f"- **Check {place(row)}.** {words.what(row)}" for row in rows if row.get("kind") != "attends"]
    return "\n\n".join([listed, *(["\n".join(dict.fromkeys(meant))] if meant else [])])


def in_sentences(rows: Sequence[Row], prompts: Mapping[str, Any]) -> str:
    """Every check in full sentences: what, how much, why, and everything that stands beside it."""
    return "\n".join(_sentences(row, prompts) for row in rows)


def _sentences(row: Row, prompts: Mapping[str, Any]) -> str:
    chosen = prompts.get(str(row.get("prompts"))) or None
    label = "Check" if row.get("index") is None else f"Check {place(row)}"
    sentences = [words.what(row), *how_much(row, chosen), words.why(row, chosen)]
    sentences += [*words.beside(row), *beside.controls(row)]
    return f"- **{label}.** {' '.join(sentences)}"


def how_much(row: Row, chosen: Row | None) -> list[str]:
    """On what it was measured and what came out, in one sentence; none where a reason says it all."""
    if row.get("points"):
        seed = f" (seed {row['seed']})" if row.get("seed") is not None else ""
        return [f"Measured on {number(row.get('n'))} prompts of {code(row.get('prompts'))}{seed}."]
    return [words.how_much(row, chosen)] if row.get("estimate") is not None or not row.get("reason") else []
