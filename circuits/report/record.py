"""The record ``results.json``: what every claim came to, the source of truth that the pages are made from.

A run measures some claims; ``merge`` puts them into the record of earlier runs and leaves every other
claim as it was. What could not be computed is null, never 0 and never NaN.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from circuits.errors import CircuitsError
from circuits.store import digest_of

FORMAT = 1
DECIDED = ("supported", "refuted")
ASKED = ("seed", "n", "permuted", "random", "robust", "fdr", "fresh")
"""The options of a run that decide its numbers, by their names in the record; the models' places apart."""
DIGITS = 6  # significant digits of a float in the file: far below any interval's width
HOW = ("cached", "run", "status")
"""The keys of an entry that say how it came into its run."""
LEAST_DIGITS, MOST_DIGITS = 3, 6  # significant digits of a number in a page: as many as it needs
DASH = "–"  # how null is shown
TINY, TINY_TEXT = 1e-6, "1e-6"
POINTS = "points"  # the unit of a difference of two shares
_SHARES = ("answer_prob", "pair_prob", "prob_diff")
_DIFFERENCES = ("change_in", "faithfulness", "completeness", "minimality")
SUITE = "(suite)"
"""The id of the entry for the faults that a suite has outside its claims: it stands among them, but is no claim."""
_PARTS = ("runs", "models", "claims")


def empty_record() -> dict[str, Any]:
    """A record without runs, models or claims."""
    return {"format": FORMAT, "runs": {}, "models": {}, "claims": {}}


def own_digest(own: Iterable[Mapping[str, Any]]) -> str | None:
    """Digest of a project's own code that a claim rests on, from ``own`` of its entry; None where there is none."""
    facts = [[each.get("kind"), each.get("name"), each.get("code")] for each in own]
    return digest_of(facts) if facts else None


def load_record(path: Path) -> dict[str, Any]:
    """Read ``results.json``; a missing file is an empty record.

    Raises CircuitsError, saying what to do, when the file cannot be read, is not JSON or is not a record
    of this format. NaN and infinities, which strict JSON does not have, are read as null.
    """
    path = Path(path)
    remedy = "move or delete it (a full run writes it anew), or restore it from version control"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return empty_record()
    except (OSError, UnicodeDecodeError) as error:
        raise CircuitsError(f"{path}: the record of earlier runs cannot be read ({error}); {remedy}") from error
    try:
        record = json.loads(text, parse_constant=lambda _: None)
    except (json.JSONDecodeError, RecursionError) as error:
        place = f"line {error.lineno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else "nested too deep"
        raise CircuitsError(f"{path}: the record of earlier runs is not valid JSON ({place}); {remedy}") from error
    found = record.get("format") if isinstance(record, dict) else None
    if not isinstance(record, dict) or type(found) is not int:
        raise CircuitsError(f"{path}: this is no record of this program (it has no `format`); {remedy}")
    if found != FORMAT:
        raise CircuitsError(
            f"{path}: the record has format {found}, this version reads and writes format {FORMAT}; "
            f"use the version of circuits that wrote it, or {remedy}"
        )
    for part in _PARTS:
        entries = record.setdefault(part, {})
        if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
            raise CircuitsError(f"{path}: `{part}` of the record is not a mapping of mappings; {remedy}")
    return record


def file_of(node_id: str, entry: Mapping[str, Any]) -> str:
    """The suite file of a claim entry: its ``file``, else the part of the node id before ``::``."""
    return str(entry.get("file") or node_id.partition("::")[0])


def is_claim(entry: Mapping[str, Any]) -> bool:
    """Whether an entry is a claim's, and not that of the faults outside the claims of a suite."""
    return bool(entry.get("id") != SUITE)


def suites_at_fault(entries: Iterable[Mapping[str, Any]]) -> str:
    """ "1 suite has faults outside its claims"; empty where none has. They are not counted among the claims."""
    count = sum(not is_claim(entry) for entry in entries)
    many = f"{count} suites have faults outside their claims"
    return "1 suite has faults outside its claims" if count == 1 else many if count else ""


def newest_run(record: Mapping[str, Any]) -> str | None:
    """The id of the last run in the record, None when there is none."""
    return max(record.get("runs") or {}, key=_run_order, default=None)


def merge(
    old: Mapping[str, Any],
    run: Mapping[str, Any],
    models: Mapping[str, Any],
    claims: Mapping[str, Mapping[str, Any]],
    *,
    present: Mapping[str, Collection[str]],
    gone: Collection[str] = frozenset(),
) -> dict[str, Any]:
    """The record after a run; nothing passed in is changed, and what did not change is shared with it.

    ``claims`` are the entries of this run by node id, with ``run`` null: it is filled with the new run's
    id, except that a cached claim keeps the run it was measured in where the record still knows it and that run asked for
    the same numbers (seed, n, precision, ...).
    ``present`` maps each suite file that was collected to the node ids it defines now: other entries of
    that file are dropped. ``gone`` are files that no longer exist: all their entries are dropped. Runs
    that no claim refers to any more are dropped, except the new one; so are models no claim names.
    """
    run_id = str(1 + max((_run_order(key)[0] for key in old.get("runs") or {}), default=0))
    runs = {**(old.get("runs") or {}), run_id: run}
    kept: dict[str, Mapping[str, Any]] = {}
    before: Mapping[str, Mapping[str, Any]] = old.get("claims") or {}
    for node_id, entry in before.items():
        file = file_of(node_id, entry)
        if file not in gone and (file not in present or node_id in present[file]):
            kept[node_id] = entry
    for node_id, entry in claims.items():
        measured_in = before.get(node_id, {}).get("run")
        was_cached = bool(entry.get("cached")) or entry.get("status") == "cached"
        keep = was_cached and measured_in in runs and _asked_alike(runs[measured_in], run, models_read(entry))
        kept[node_id] = {**entry, "run": measured_in if keep else run_id}
    used = {entry.get("run") for entry in kept.values()} | {run_id}
    named = {entry.get("model") for entry in kept.values()} | set(models)
    known = {**(old.get("models") or {}), **models}
    return {
        "format": FORMAT,
        "runs": {key: runs[key] for key in sorted(runs, key=_run_order) if key in used},
        "models": {name: known[name] for name in sorted(known) if name in named},
        "claims": {node_id: kept[node_id] for node_id in sorted(kept)},
    }


def models_read(entry: Mapping[str, Any]) -> set[str]:
    """The models that a claim was measured on, by the names that ``--circuit-model`` takes."""
    others = {str(each["name"]).partition("@")[0] for each in entry.get("other_models") or []}
    return others | ({str(entry["model"])} if entry.get("model") else set())


def _asked_alike(one: Mapping[str, Any], other: Mapping[str, Any], models: Collection[Any]) -> bool:
    """Whether two runs were asked for the same numbers of some models, as far as both say what they were asked for."""
    if any(one.get(key) != other.get(key) for key in ("dtype", "device") if one.get(key) and other.get(key)):
        return False
    asked, again = one.get("options"), other.get("options")
    if asked is None or again is None:
        return True
    given = [{name for name in models if name in (each.get("models") or [])} for each in (asked, again)]
    return given[0] == given[1] and all(asked[key] == again[key] for key in ASKED if key in asked and key in again)


def flips(
    before: Mapping[str, Mapping[str, Any]], entries: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, str]]:
    """Claims whose verdict was decided in the record and is another one now, by node id: from, to.

    Only where the claim was measured both times, on other prompts (another seed), and its YAML is the same.
    """
    found = {}
    for name, entry in entries.items():
        old = before.get(name)
        if old is None or old.get("yaml") != entry.get("yaml") or _seeds(old) == _seeds(entry):
            continue
        was, now = old.get("verdict"), entry.get("verdict")
        if was in DECIDED and now is not None and now != was and entry.get("status") in ("measured", "cached"):
            found[name] = {"from": str(was), "to": str(now)}
    return found


def _seeds(entry: Mapping[str, Any]) -> set[Any]:
    return {row.get("seed") for row in entry.get("checks", ())}


def clean_numbers(value: Any, digits: int | None = None) -> Any:
    """Plain JSON data from ``value``: NaN and infinities become None, numpy scalars and arrays python numbers.

    Tuples become lists, sets sorted lists, mapping keys text. With ``digits``, floats are rounded to that
    many significant digits. Raises TypeError for anything JSON has no form for.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)  # the plain text of a text enumeration
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return (float(f"{value:.{digits}g}") if digits else float(value)) or 0.0  # no -0.0
    if isinstance(value, Mapping):
        return {str(key): clean_numbers(entry, digits) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean_numbers(entry, digits) for entry in value]
    if isinstance(value, (set, frozenset)):
        return [clean_numbers(entry, digits) for entry in sorted(value)]
    if hasattr(value, "tolist"):  # a numpy scalar or array, known without importing numpy
        return clean_numbers(value.tolist(), digits)
    if isinstance(value, os.PathLike):
        return Path(value).as_posix()
    raise TypeError(f"a record holds numbers, texts, lists and mappings, not {type(value).__name__}: {value!r}")


def unit_of(row: Mapping[str, Any]) -> bool | str:
    """How the value of a row is shown: True as a percentage, ``POINTS`` as a difference of two shares, False as it is.

    A relative change (a drop, a share recovered) is a percentage; the difference of two percentages is none.
    """
    if not row.get("percent"):
        return False
    if row.get("kind") in ("attends", "score"):
        return POINTS if row.get("more_than") and row.get("statistic") != "lift" else True
    share = row.get("metric") in _SHARES or str(row.get("metric") or "").startswith("top")
    return POINTS if share and row.get("statistic") in _DIFFERENCES else True


def counted(row: Mapping[str, Any]) -> str:
    """The n of a row as it stands in a column of numbers of prompts: "64", and "20 random circuits" where it counts those."""
    unit = f" {row['unit']}" if row.get("unit") and row.get("n") is not None else ""
    return number(row.get("n")) + unit


def number(
    value: Any, percent: bool | str = False, beside: Iterable[float | None] = (), least: int = LEAST_DIGITS
) -> str:
    """A number with ``least`` significant digits, or a dash for null. ``percent``: as ``unit_of`` gives it.

    More digits (up to MOST_DIGITS) are shown where rounding would move it onto or across one of the values
    ``beside`` it, so that a printed limit never contradicts a verdict. What is not zero but below 1e-6 is
    said so: its digits are those of rounding errors. Below zero that is "about 0", and "just below 0" beside a limit of 0.
    """
    if value is None:
        return DASH
    beside = tuple(beside)
    scale, unit = (100, f" {POINTS}" if percent == POINTS else "%") if percent else (1, "")
    near = any(edge and abs(edge * scale) <= TINY for edge in beside)
    if 0 < abs(value * scale) < TINY and not near:
        if value > 0:
            return f"<{TINY_TEXT}{unit}"
        return f"{'just below' if 0 in beside else 'about'} 0{unit}"
    text = ""
    for digits in range(least, MOST_DIGITS + 1):
        text = _digits(value * scale, digits)
        shown = float(text.replace(",", ""))
        if all(_side(shown, edge * scale) == _side(value * scale, edge * scale) for edge in beside if edge is not None):
            break
    return text + (unit if unit != f" {POINTS}" or text not in ("1", "-1") else " point")


def estimate_text(row: Mapping[str, Any], key: str = "estimate") -> str:
    """The estimate of a row, or an end of its interval (``key``: low, high), with its unit; a dash for null.

    With as many digits as tell the ends of the interval apart, where three would not.
    """
    percent, beside = unit_of(row), (row.get("bound_low"), row.get("bound_high"))
    low, high = row.get("low"), row.get("high")
    least = LEAST_DIGITS
    if low is not None and high is not None and low < high:
        while least < MOST_DIGITS and number(low, percent, beside, least) == number(high, percent, beside, least):
            least += 1
    return number(row.get(key), percent, beside, least)


def both_ends(low: str, high: str, joint: str = " to ") -> str:
    """ "-36.8 to -6.9 points": two numbers of one unit, which stands once where it is a word."""
    return f"{without_points(low)}{joint}{high}"


def span(values: Sequence[float | None], percent: bool | str) -> str:
    """ " (0.111 to 0.232)"; empty where none is known."""
    known = [value for value in values if value is not None]
    return f" ({both_ends(number(min(known), percent), number(max(known), percent))})" if known else ""


def without_points(text: str) -> str:
    """A number without the word for its unit, for places where that stands already."""
    return text.removesuffix(f" {POINTS}").removesuffix(" point")


def _digits(value: float, digits: int) -> str:
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.{max(0, digits - 4)}f}"
    if abs(value) < 1e-4:
        mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    return f"{value:.{digits}g}"


def _side(value: float, edge: float) -> int:
    close = abs(value - edge) <= 1e-9 * max(1.0, abs(edge))
    return 0 if close else 1 if value > edge else -1


def body_of(entry: Mapping[str, Any]) -> str:
    """An entry as JSON with sorted keys, apart from how it came into its run: alike for a value measured and a kept one."""
    return _json({key: value for key, value in entry.items() if key not in HOW})


def write_record(
    path: Path, record: Mapping[str, Any], *, clean: bool = False, bodies: Mapping[str, str] | None = None
) -> None:
    """Write the record as strict JSON, atomically: sorted keys, floats of 6 significant digits, a claim a line.

    ``clean``: it is plain data with rounded numbers already; ``bodies``: those of its claims that are known as text.
    """
    data = record if clean else clean_numbers(record, DIGITS)
    known = {"claims": bodies or {}}
    parts = [f"{_json(name)}: {_lines(value, known.get(name, {}))}" for name, value in sorted(data.items())]
    write_atomically(Path(path), ("{" + ",\n".join(parts) + "}\n").encode("utf-8", errors="replace"))


def _lines(value: Any, bodies: Mapping[str, str]) -> str:
    """A mapping with an entry a line: one changed claim is one changed line, and the fast encoder can be used."""
    if not isinstance(value, dict) or not value:
        return _json(value)
    lines = [f"{_json(name)}: {_line(entry, bodies.get(name))}" for name, entry in sorted(value.items())]
    return "{\n" + ",\n".join(lines) + "\n}"


def _line(entry: Any, body: str | None) -> str:
    """An entry in one line: how it came into its run stands first, so that the rest is ``body_of`` it as it is."""
    if not isinstance(entry, dict) or not any(key in entry for key in HOW):
        return _json(entry)
    how = _json({key: entry[key] for key in HOW if key in entry})
    body = body_of(entry) if body is None else body
    return how if body == "{}" else f"{how[:-1]}, {body[1:]}"


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False, sort_keys=True)


def write_atomically(path: Path, data: bytes) -> None:
    """Put ``data`` at ``path`` so that a reader sees the old file or the new one, never a part.

    Makes the folder when it is missing. A file that holds these very bytes is left untouched.
    """
    with contextlib.suppress(OSError):
        if path.read_bytes() == data:
            return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")  # same folder: a rename, not a copy
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _run_order(run_id: str) -> tuple[int, str]:
    return (int(run_id) if run_id.isdecimal() else 0, run_id)
