"""Drawings of the HTML page, made of the record alone: an interval against its bound, a pattern, a profile.

Colours come from the page's style sheet, so that they follow the reader's light or dark setting. Every drawing says in
words what it shows, for those who do not see it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from circuits.report import words
from circuits.report.axis import scale_of
from circuits.report.html_text import escape, plain, tag
from circuits.report.record import both_ends, estimate_text, number, unit_of
from circuits.report.sheet import one_line, round_up

Row = Mapping[str, Any]
Pattern = Mapping[str, Any]

LEVELS = 16  # shades of a pattern, 0 (nothing drawn) aside
MOST_OFFSETS = 16
_BAR = 28  # pixels from one bar of a profile to the next: sixteen fit beside a check
_LABEL_EVERY = 5  # of a map whose cells are too small for a label each
_AXIS_TITLE = 13  # pixels
_MARGIN = 2.5  # percent at both ends, so that a dot at an end is whole


# -- an interval against its bound -------------------------------------------------------------------------


def interval_mark(row: Row, *, wide: bool = False) -> str:
    """The estimate, its interval and the bound on one line; "" where there is no estimate.

    Shaded is what meets the bound; dashed the value under uniform attention; thin the corrected interval, which decides
    a refutation; a diamond a reported value. ``wide``: with the numbers of the axis.
    """
    if row.get("estimate") is None:
        return ""
    low, high = _domain(row)

    def at(value: float) -> float:
        share = (min(max(value, low), high) - low) / ((high - low) or 1.0)
        return round(_MARGIN + (100 - 2 * _MARGIN) * share, 2)

    middle, height = (17, 44) if wide else (11, 22)
    parts = [_line(0, 100, middle, "axis"), *_bound_parts(row, at, middle)]
    if row.get("uniform") is not None:
        parts.append(_upright(at(row["uniform"]), middle, 9, "uniform"))
    parts += [_span(row.get("corrected") or {}, at, middle, "corrected"), _span(row, at, middle, "interval")]
    reported = _reported(row)
    if reported is not None:
        diamond = tag("path", d="M0-6L5 0L0 6L-5 0Z")
        parts.append(tag("svg", diamond, x=f"{at(reported)}%", y=middle, overflow="visible", class_="reported"))
    parts.append(tag("circle", cx=f"{at(row['estimate'])}%", cy=middle, r=4.5, class_="dot"))
    if wide:
        parts += _axis_labels(row, low, high, at, height)
    verdict = "observed" if row.get("observe") else str(row.get("verdict") or "none")
    return tag(
        "svg", "".join(parts), class_=f"mark {'wide ' if wide else ''}v-{verdict}", height=height, role="img",
        aria_label=interval_words(row),
    )  # fmt: skip


def interval_words(row: Row) -> str:
    """What an interval's drawing shows, as plain text."""
    parts = [f"estimate {estimate_text(row)}", f"interval {words.interval_limits(row)}"]
    parts += [f"bound {words.bound(row)}"] if words.bound(row) and not row.get("observe") else []
    return plain(", ".join(parts))


def _domain(row: Row) -> tuple[float, float]:
    """The ends of the axis: those of the bars in text, with room for everything else that is drawn here."""
    corrected = row.get("corrected") or {}
    scale = scale_of(row, [corrected.get("low"), corrected.get("high"), row.get("uniform"), _reported(row)])
    return scale.low, scale.high


def _reported(row: Row) -> float | None:
    """A reported value that is a number; one that is text ("about half") has no place on the axis."""
    value = (row.get("reported") or {}).get("value")
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _bound_parts(row: Row, at: Any, middle: int) -> list[str]:
    low, high = row.get("bound_low"), row.get("bound_high")
    if row.get("observe") or row.get("k") is not None or (low is None and high is None):
        return []
    left, right = 0.0 if low is None else at(low), 100.0 if high is None else at(high)
    width = round(max(0.0, right - left), 2)
    area = tag("rect", x=f"{left}%", width=f"{width}%", y=middle - 9, height=18, class_="good")
    return [area, *(_upright(at(edge), middle, 10, "edge") for edge in (low, high) if edge is not None)]


def _span(limits: Row, at: Any, middle: int, name: str) -> str:
    """The line from a lower to an upper limit; a missing one reaches the end of the axis."""
    low, high = limits.get("low"), limits.get("high")
    if low is None and high is None:
        return ""
    return _line(0 if low is None else at(low), 100 if high is None else at(high), middle, name)


def _upright(place: float, middle: int, reach: int, name: str) -> str:
    return tag("line", x1=f"{place}%", x2=f"{place}%", y1=middle - reach, y2=middle + reach, class_=name)


def _line(left: float, right: float, y: float, name: str) -> str:
    return tag("line", x1=f"{left}%", x2=f"{right}%", y1=y, y2=y, class_=name)


def _axis_labels(row: Row, low: float, high: float, at: Any, height: int) -> list[str]:
    """The bound's numbers below the axis, and the axis' ends where they do not get in each other's way."""
    percent = unit_of(row)
    bounded = [] if row.get("observe") or row.get("k") is not None else [row.get("bound_low"), row.get("bound_high")]
    edges = [(at(value), number(value, percent), "bound") for value in bounded if value is not None]
    if len(edges) == 2 and edges[1][0] - edges[0][0] < 14:
        edges = [((edges[0][0] + edges[1][0]) / 2, both_ends(edges[0][1], edges[1][1]), "bound")]
    ends = [(at(value), number(value, percent), "end") for value in (low, high)]
    ends = [end for end in ends if all(abs(end[0] - edge[0]) >= 16 for edge in edges)]
    return [
        tag(
            "text", escape(text), x=f"{place}%", y=height - 3, class_=name,
            text_anchor="start" if place < 8 else "end" if place > 92 else "middle",
        )
        for place, text, name in [*edges, *ends]
    ]  # fmt: skip


# -- a pattern -------------------------------------------------------------------------------------------


def label_parts(label: str) -> tuple[str, str]:
    """A label of a pattern as its token and its role: "5 ‹member›" -> "5", "member"."""
    token, found, role = one_line(label).rpartition(" ‹")
    return (token, role[:-1]) if found and role.endswith("›") else (one_line(label), "")


def pattern_words(pattern: Pattern, prompts: Row, rows: Sequence[Row]) -> str:
    """Over which prompts a pattern is the mean, how many the checks have where they are others, and whose tokens it shows.

    As at the foot of the figures: a pattern is made of the first prompts drawn, and of those alone whose tokens stand
    at the same places as the first one's.
    """
    n, same = pattern["n"], (pattern["head"], pattern["prompts"])
    counts = sorted({row["n"] for row in rows if (row.get("head"), row.get("prompts")) == same and row.get("n")})
    if n == prompts.get("n") and not set(counts) - {n}:
        over = f"mean over {'all ' if n > 1 else ''}{number(n)} {'prompts' if n != 1 else 'prompt'}"
    else:
        over = f"mean over the {number(n)} of the first prompts that have the first one's template and its {len(pattern['labels'])} tokens"
        if n == 1:
            over = "the pattern of the first prompt alone"
        if set(counts) - {n}:
            over += f"; the check{' has' if len(counts) == 1 else 's have'} n = {words.listing(map(number, counts))}"
    tokens = "The tokens shown are those of the first prompt; others may have other words in these places."
    return f"{over}." if n == 1 else f"{over}. {tokens}"


def pattern_top(pattern: Pattern) -> float:
    """The attention that has the darkest shade, as on the figures: the largest, rounded up to tenths."""
    values = [value for row in pattern["per_mille"] for value in row if value is not None]
    return round_up(max(values, default=0) / 1000)


def heat_map(pattern: Pattern) -> str:
    """Query rows, key columns, darker for more attention, each check's cells outlined (what it is compared with dashed)."""
    count = len(pattern["labels"])
    size = 17 if count <= 26 else 12 if count <= 52 else 5
    parts = (label_parts(label) if count <= 26 else label_parts(label)[:1] for label in pattern["labels"])
    labels = [" ".join(part for part in each if part) for each in parts]  # roles stand beside the tokens above, too
    step = 1 if size > 5 else _LABEL_EVERY  # of a long prompt every fifth, with its place
    shown = {k: label if len(label) <= 16 else label[:15] + "…" for k, label in enumerate(labels) if k % step == 0}
    if step > 1:
        shown = {k: f"{label} {k}" for k, label in shown.items()}
    top = 2 if step == 1 else 6  # the first label is higher than its cell
    below = top + size * count + 5
    left = _AXIS_TITLE + 8 + round(6.3 * max(map(len, shown.values()), default=0))
    cells = tag("path", class_="visible", d="".join(f"M0 {q}h{q + 1}v1h-{q + 1}z" for q in range(count)))
    cells += "".join(_shades(pattern)) + "".join(map(_outline, range(len(pattern["marks"])), pattern["marks"]))
    cells += tag("rect", class_="at", width=count, height=1, x=0, y=0)
    grid = tag("g", cells, class_="grid", transform=f"translate({left} {top}) scale({size})")
    texts = "".join(
        tag("text", escape(text), x=left - 5, y=round(top + size * (k + 0.5), 1), text_anchor="end")
        + tag("text", escape(text), transform=f"translate({round(left + size * (k + 0.5), 1)} {below}) rotate(90)")
        for k, text in shown.items()
    )
    middle = round(size * count / 2)
    texts += tag("text", "query (looks)", transform=f"translate(7 {top + middle}) rotate(-90)", class_="axis")
    width, height = left + size * count + 4, top + size * count + left
    texts += tag("text", "key (is looked at)", x=left + middle, y=height - 7, class_="axis")
    said = f"mean attention pattern of head {pattern['head']} on {pattern['prompts']}: query rows, key columns"
    return tag(
        "svg", grid + texts, class_="heat", viewBox=f"0 0 {width} {height}", role="img", aria_label=said,
        style=f"width:100%;max-width:{width}px;min-width:{round(0.75 * width)}px",
    )  # fmt: skip


def _shades(pattern: Pattern) -> Iterable[str]:
    """One path a shade, equal neighbours of a row joined."""
    top, paths = 1000 * pattern_top(pattern), dict[int, list[str]]()
    for query, row in enumerate(pattern["per_mille"]):
        start = 0
        levels = (0 if value is None else min(LEVELS, round(LEVELS * value / top)) for value in row)
        for level, run in itertools.groupby(levels):
            length = len(list(run))
            if level:
                paths.setdefault(level, []).append(f"M{start} {query}h{length}v1h-{length}z")
            start += length
    return (tag("path", d="".join(paths[level]), fill_opacity=f"{level / LEVELS:.3g}") for level in sorted(paths))


def _outline(place: int, mark: Mapping[str, Any]) -> str:
    compared = tag("path", class_=f"than m{place}", d=_edges(mark["others"])) if mark.get("others") else ""
    return compared + tag("path", class_=f"cells m{place}", d=_edges(mark["cells"]))


def _edges(cells: Sequence[Sequence[int]]) -> str:
    """The outline of a set of [query, key] cells: the sides that it shares with no other cell of the set."""
    known = {(query, key) for query, key in cells}
    found = []
    for query, key in sorted(known):
        sides = (
            ((query - 1, key), f"M{key} {query}h1"), ((query + 1, key), f"M{key} {query + 1}h1"),
            ((query, key - 1), f"M{key} {query}v1"), ((query, key + 1), f"M{key + 1} {query}v1"),
        )  # fmt: skip
        found += [line for beside, line in sides if beside not in known]
    return "".join(found)


# -- a profile -------------------------------------------------------------------------------------------


def profile_bars(profile: Mapping[str, Any]) -> str:
    """Mean attention by distance from the query, a bar each with its number; distances that a check names stand out.

    The first distances, those that a check names, and the largest value, however far it lies.
    The numbers are short, so that neighbours stay apart, and whole under the mouse; dots stand where distances are left out.
    """
    offsets, marked = profile.get("offsets") or [], set(profile.get("marked") or [])
    known = [k for k, value in enumerate(offsets) if value is not None]
    if not known:
        return ""
    peak = max(known, key=lambda k: offsets[k])
    chosen = [k for k in known if k < MOST_OFFSETS or k in marked or k == peak]
    tall, x = 70, 0
    top = max(offsets[k] for k in chosen) or 1.0
    bars = []
    for place, back in enumerate(chosen):
        if place and back != chosen[place - 1] + 1:
            bars.append(tag("text", "…", x=x + _BAR / 4, y=tall + 28, text_anchor="middle"))
            x += _BAR // 2
        height = round(tall * offsets[back] / top, 1)
        y, middle, claimed = round(14 + tall - height, 1), x + _BAR // 2, back in marked
        name, told = ("bar marked", "claimed") if claimed else ("bar", None)
        if claimed:  # a band, for the bar may be too low to be seen
            bars.append(tag("rect", x=x, y=0, width=_BAR, height=tall + 34, class_="band"))
        whole = tag("title", escape(f"{_distance_name(back)}: {number(offsets[back])}"))
        bars.append(tag("rect", whole, x=x + 4, y=y, width=_BAR - 8, height=height, class_=name))
        bars.append(
            tag("text", escape(_short(offsets[back])), x=middle, y=round(y - 4, 1), text_anchor="middle", class_=told)
        )
        bars.append(tag("text", _distance_name(back), x=middle, y=tall + 28, text_anchor="middle", class_=told))
        x += _BAR
    return tag(
        "svg", "".join(bars), class_="bars", width=x, height=tall + 34, role="img",
        aria_label=f"mean attention of head {profile.get('head')} by distance from the query",
    )  # fmt: skip


def claimed_distances(profile: Mapping[str, Any]) -> list[str]:
    """The distances that a check names with their values, "n-4 (0.131)", for the legend above the bars."""
    offsets: Sequence[float | None] = profile.get("offsets") or []
    return [
        f"{_distance_name(back)} ({'no value' if back >= len(offsets) or offsets[back] is None else number(offsets[back])})"
        for back in sorted(set(profile.get("marked") or []))
    ]


def _distance_name(back: int) -> str:
    return f"n-{back}" if back else "self"


def _short(value: float) -> str:
    """A share in at most four letters: "0.13", "<.01" for what would be rounded to nothing."""
    return "0" if value == 0 else "<.01" if value < 0.005 else "1" if value == 1 else f"{value:.2f}"
