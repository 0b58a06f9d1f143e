"""One claim of the record for a terminal: verdict, numbers, controls, where its heads look, history, figures, YAML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from circuits.report import beside, words
from circuits.report.pages import claim_name, figures_of
from circuits.report.plain import Look, bars, plain, shade, wrapped
from circuits.report.prose import expected_words
from circuits.report.record import DASH, counted, number, unit_of
from circuits.report.terminal import VACUOUS_BY, Entry, Line, colour, compared, label, numbers

_MOST_NAMED = 5
_CELL = 7


def find_claims(claims: Mapping[str, Entry], text: str) -> list[str]:
    """The node ids that a text means: an exact node id, else an exact claim id, else every one that holds the text.

    Capitals do not matter beyond the exact node id.
    """
    if text in claims:
        return [text]
    wanted = text.casefold()
    named = [node for node, entry in claims.items() if wanted in {name.casefold() for name in _names(node, entry)}]
    return sorted(named or [node for node in claims if wanted in node.casefold()])


def _names(node: str, entry: Entry) -> set[str]:
    return {str(entry.get("id")), claim_name(entry), node.partition("[")[0], node}


def claim_names(claims: Mapping[str, Entry]) -> list[str]:
    """The ids of all claims with their variants, each once, sorted."""
    return sorted({claim_name(entry) for entry in claims.values()})


def near_claims(claims: Mapping[str, Entry], text: str, most: int = 3) -> list[str]:
    """Ids that look like ``text``, or whose beginning does: the nearest first."""

    def likeness(name: str) -> float:
        lengths = (*range(max(1, len(text) - 1), len(text) + 3), len(name))
        return max(SequenceMatcher(None, text.casefold(), name[:length].casefold()).ratio() for length in lengths)

    scored = sorted(((likeness(name), name) for name in claim_names(claims)), key=lambda pair: (-pair[0], pair[1]))
    return [name for score, name in scored[:most] if score >= 0.6]


def list_lines(claims: Mapping[str, Entry], nodes: Sequence[str]) -> Iterator[Line]:
    """A line a claim: its verdict and its node id."""
    for node in nodes:
        yield (f"  {label(claims[node]):<13}", tint(claims[node])), (node, None)


def tint(entry: Entry) -> str:
    """The colour of a claim's verdict: green as expected, yellow undecided or not measured, red otherwise."""
    return "yellow" if entry.get("met") is None else colour(entry)


def claim_lines(node: str, record: Mapping[str, Any], folder: Path, look: Look) -> Iterator[Line]:
    """Everything that the record has of a claim, as lines of coloured pieces."""
    entry: Entry = record["claims"][node]
    yield (label(entry), tint(entry)), ("  " + claim_name(entry), "bold"), (_flags(entry), "yellow")
    for line in wrapped(str(entry.get("claim") or ""), look, ""):
        yield ((line, None),)
    for line in wrapped(_about(entry), look, "  ", ""):
        yield ((line, "dim"),)
    if entry.get("reason"):
        yield from _paragraph(str(entry["reason"]), look, "")
    for fault in entry.get("faults") or ():
        yield from ((("  " + line, None),) for line in str(fault).splitlines())
    for row in entry.get("checks") or ():
        yield ()
        yield from _check(row, entry, look)
    for profile in entry.get("profiles") or ():
        yield ()
        yield from profile_lines(profile, look)
    yield from _titled("history", _history(entry, record), look)
    shown = [folder / str(figure["path"]) for figure in figures_of(entry)]
    yield from _titled(
        "figures", [f"{path}{'' if path.is_file() else ' (not there any more)'}" for path in shown], look
    )
    yield ()
    yield ((f"{entry.get('file')}:{entry.get('line')}", "cyan"),)
    for line in str(entry.get("yaml") or "").rstrip().splitlines():
        yield ((line, None),)


def _flags(entry: Entry) -> str:
    """What is said beside the verdict: another expectation, VACUOUS, not as expected."""
    flags = [] if entry.get("expected") in (None, "supported") else [expected_words(str(entry["expected"]))]
    flags += ["NOT as expected"] if entry.get("met") is False else []
    flags += [f"VACUOUS: {VACUOUS_BY}"] if entry.get("vacuous") else []
    return f"  ({'; '.join(flags)})" if flags else ""


def _about(entry: Entry) -> str:
    facts = [str(entry.get("suite") or ""), f"model {entry['model']}" if entry.get("model") else ""]
    heads = [str(head) for head in entry.get("heads") or ()]
    facts.append(f"head{'s' if len(heads) > 1 else ''} {', '.join(heads)}" if heads else "")
    source = entry.get("source")
    told = ", ".join(f"{key} {value}" for key, value in source.items()) if isinstance(source, Mapping) else source
    facts.append(f"source: {told}" if told else "")
    return "; ".join(fact for fact in facts if fact)


def _check(row: Mapping[str, Any], entry: Entry, look: Look) -> Iterator[Line]:
    """A check: its numbers in one line, then the sentences of the report below it."""
    verdict = "OBSERVED" if words.only_shown(row) else str(row.get("verdict") or "none").upper()
    skipped = entry.get("status") == "skipped"
    bound = row.get("bound") or "no bound"
    yield (
        (
            f"check {number(row.get('index'))}  {row.get('check')}{f', more_than: {compared(row)}' if compared(row) else ''}",
            "bold",
        ),
        ("" if skipped else f"  {verdict}", None if skipped else _ROW_TINTS.get(str(row.get("verdict")))),
    )
    size = f"; n={counted(row)}" if row.get("n") else ""
    yield (("  " + ("not measured" if skipped else numbers(row)), "cyan"), (f"; {bound}{size}", None))
    chosen = (entry.get("prompts") or {}).get(str(row.get("prompts"))) or None
    told = [] if skipped else [words.what(row)]  # of a skipped check the record holds only what was asked
    told += [words.how_much(row, chosen)] if row.get("estimate") is not None else []
    told += [] if skipped else [words.why(row, chosen)]
    for sentence in (*told, *words.beside(row), *beside.controls(row)):
        yield from _paragraph(plain(sentence), look, "  ")
    for label_, text in words.remarks(row):
        for line in wrapped(f"{label_.lower()}: {text}", look, "    ", "  "):
            yield ((line, "yellow"),)


_ROW_TINTS = {"supported": "green", "refuted": "red", "inconclusive": "yellow", "unmeasurable": "red"}


def _paragraph(text: str, look: Look, indent: str) -> Iterator[Line]:
    for line in wrapped(text, look, indent + "  ", indent):
        yield ((line, None),)


def _titled(title: str, texts: Sequence[str], look: Look) -> Iterator[Line]:
    if texts:
        yield ()
        yield ((title, "bold"),)
        for text in texts:
            yield from _paragraph(text, look, "  ")


def _history(entry: Entry, record: Mapping[str, Any]) -> list[str]:
    """When and with what it was measured, how it fares in its run, and what other choices would have given."""
    run = (record.get("runs") or {}).get(str(entry.get("run"))) or {}
    did = {"skipped": "skipped", "invalid": "refused", "error": "failed"}.get(str(entry.get("status")), "measured")
    facts = [f"circuits {run['circuits']}" if run.get("circuits") else ""]
    facts += [f"{name.replace('_', '-')} {run[name]}" for name in ("torch", "transformer_lens") if run.get(name)]
    facts += [f"{run['dtype']} on {run['device']}" if run.get("dtype") and run.get("device") else ""]
    facts += [f"git {str(run['git'])[:12]}" if run.get("git") else ""]
    started = str(run.get("started") or "").replace("T", " ").replace("+00:00", " UTC")
    when = f" on {started}" if started else ""
    found = [
        f"{did} in run {entry.get('run')}{when}: {', '.join(fact for fact in facts if fact) or 'nothing recorded'}"
    ]
    if entry.get("cached"):
        found.append("the last run took it from the cache")
    found += [plain(text) for text in beside.whole_run(entry)]
    percents = [unit_of(row) for row in entry.get("checks") or () if not row.get("observe")]
    for each in entry.get("robust") or ():
        estimates = zip(each.get("estimates") or (), percents, strict=False)
        values = ", ".join(number(value, percent) for value, percent in estimates) or DASH
        found.append(f"with {each.get('choice')} {each.get('value')}: {str(each.get('verdict')).upper()} ({values})")
    return found


def profile_lines(profile: Mapping[str, Any], look: Look) -> Iterator[Line]:
    """Where a head looks: a bar for each distance from the query, and shades from class to class."""
    n = profile.get("n")
    title = f"where {profile.get('head')} looks on {profile.get('prompts')} ({number(n)} prompt{'' if n == 1 else 's'})"
    yield ((title, "bold"),)
    yield from _distances(profile, look)
    yield from _classes(profile.get("classes") or [], profile.get("matrix") or [], look)


def _distances(profile: Mapping[str, Any], look: Look) -> Iterator[Line]:
    offsets: list[float | None] = list(profile.get("offsets") or [])
    known = sorted(((value, back) for back, value in enumerate(offsets) if value is not None), reverse=True)
    if not known:
        yield (("  by distance from the query: not measured", None),)
        return
    room = max(10, look.width - 12)
    shown, top = offsets[:room], max(known[0][0], 1e-9)
    yield ((f"  by distance from the query (0: itself; highest bar {number(known[0][0])})", None),)
    yield ("    ", None), (bars(shown, look, top), "cyan"), (" ..." if len(offsets) > room else "", None)
    marks = set(profile.get("marked") or ())
    if marks:
        under = "".join("^" if back in marks else " " for back in range(len(shown))).rstrip()
        yield (("    " + under + "  claimed", "yellow"),)
    yield (("    " + "".join(f"{back:<5}" for back in range(0, len(shown), 5)).rstrip(), "dim"),)
    best = ", ".join(
        f"{f'n-{back}' if back else 'itself'} {number(value)}" for value, back in known[:_MOST_NAMED] if value
    )
    best = best or "nothing at any distance"
    bos = f"; BOS apart: {number(profile['bos'])}" if profile.get("bos") is not None else ""
    yield from _paragraph(f"most: {best}{bos}", look, "    ")


def _classes(classes: Sequence[str], matrix: Sequence[Sequence[float | None]], look: Look) -> Iterator[Line]:
    rows = [
        (name, values)
        for name, values in zip(classes, matrix, strict=False)
        if any(value is not None for value in values)
    ]
    if not rows:
        return
    side = min(20, max(len(name) for name, _ in rows))
    room = (look.width - side - 6) // max(1, len(classes))
    wide = room >= _CELL
    cell = max(_CELL, min(room, max(map(len, classes)) + 2)) if wide else 3
    yield (("  from class (row) to class (column); a row sums to 1", None),)
    heads = [_cut(name, cell - 1) for name in classes] if wide else [str(k) for k in range(1, len(classes) + 1)]
    yield ((" " * (side + 4) + "".join(f"{head:>{cell}}" for head in heads), "dim"),)
    for place, (name, values) in enumerate(rows, 1):
        cells = "".join(_cell(value, cell, wide, look) for value in values)
        order = "" if wide else f"  {1 + list(classes).index(name) if name in classes else place}"
        yield (f"    {_cut(name, side):<{side}}", None), (cells, "cyan"), (order, "dim")


def _cell(value: float | None, width: int, wide: bool, look: Look) -> str:
    """A shade, with its number where there is room."""
    mark = shade(value, look)
    return (
        f"{mark}{DASH if value is None else format(value, '.2f'):>5}".rjust(width) if wide else f"{mark * 2:>{width}}"
    )


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "~"
