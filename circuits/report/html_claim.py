"""A claim's section of the HTML page: its sentence, every check with its evidence, patterns, figures, prompts, YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from circuits.report import beside, check_tables, control_tables, words
from circuits.report.causal import circuits_named
from circuits.report.concentration import concentrations
from circuits.report.diagram import Diagram, diagrams
from circuits.report.html_diagram import diagram_svg
from circuits.report.html_marks import (
    claimed_distances,
    heat_map,
    interval_mark,
    label_parts,
    pattern_top,
    pattern_words,
    profile_bars,
)
from circuits.report.html_text import block, claim_id, code_span, escape, inline, tag
from circuits.report.pages import (
    Entry,
    anchor,
    bound_text,
    claim_name,
    effect_text,
    figures_of,
    history_line,
    known_negative,
    page_name,
    rank_text,
    subject,
    verdict_of,
)
from circuits.report.prompt_sets import more_of_prompts, prompt_facts
from circuits.report.prose import SPACE, code, prose
from circuits.report.record import DASH, counted, estimate_text, number, unit_of
from circuits.report.suite_page import VACUOUS, about, expectation, headline, own_code

Row = Mapping[str, Any]


def section_id(file: str, entry: Entry) -> str:
    """The id of a claim's section, unique on the page; ``file`` is its suite."""
    return claim_id(page_name(file).removesuffix(".md"), anchor(entry))


def pill(verdict: str, *, vacuous: bool = False, known: bool = False) -> str:
    """A verdict as a coloured word; ``known``: of a known negative, which is refuted as it should be."""
    told = escape(verdict.upper()) + (tag("span", f"{tag('i', ' · ')}known negative", class_="known") if known else "")
    more = tag("span", "VACUOUS", class_="pill vacuous") if vacuous else ""
    return tag("span", told, class_=f"pill {escape(verdict)}") + more


def verdict_pill(entry: Entry) -> str:
    """A claim's verdict, which says of a refutation that was expected that it was."""
    known = verdict_of(entry) == "refuted" and bool(entry.get("met")) and known_negative(entry)
    return pill(verdict_of(entry), vacuous=bool(entry.get("vacuous")), known=known)


def claim_section(file: str, entry: Entry) -> str:
    """One claim of a suite: closed it shows its verdict and sentence, open everything that the Markdown page says of it."""
    verdict, name = verdict_of(entry), section_id(file, entry)
    heading = verdict_pill(entry)
    heading += tag("span", escape(entry.get("claim") or claim_name(entry)), class_="words")
    heading += tag("code", escape(claim_name(entry)), class_="id")
    if entry.get("met") is False:
        heading += tag("span", "not as expected", class_="unmet")
    body = tag("div", "\n".join(part for part in _body(name, entry, verdict) if part), class_="body")
    return tag("details", tag("summary", heading) + body, class_="claim", id=name, data_verdict=verdict)


def _body(name: str, entry: Entry, verdict: str) -> list[str]:
    rows: Sequence[Row] = entry.get("checks") or []
    prompts: Mapping[str, Any] = entry.get("prompts") or {}
    parts = [_paragraph(line) for line in headline(rows)]
    parts += [_paragraph(" ".join([expectation(entry), *about(entry)]))]
    parts += map(_paragraph, circuits_named(rows))
    history = history_line(entry)
    parts += [_paragraph(f"History: {history}")] if history else []
    parts += [_paragraph(f"Reason: {prose(entry['reason'])}")] if entry.get("reason") else []
    parts += [_paragraph(VACUOUS)] if entry.get("vacuous") else []
    parts += [_paragraph(own_code(own)) for own in entry.get("own") or []]
    parts += [_paragraph(line) for line in beside.whole_run(entry)]
    if entry.get("faults"):
        parts += [_paragraph("The loader refused this claim:"), _code_block("\n\n".join(map(str, entry["faults"])))]
    patterns = [
        _pattern(pattern, f"{name}-{place}", pattern_words(pattern, prompts.get(str(pattern["prompts"])) or {}, rows))
        for place, pattern in enumerate(entry.get("patterns") or [])
    ]
    drawn = map(_diagram, diagrams(entry))
    evidence = "".join([*drawn, *patterns, *_figures(entry), *map(_profile, entry.get("profiles") or [])])
    if rows and verdict == "skipped":
        checks = block(check_tables.asked(rows))
    else:
        checks = "".join(_check(row, prompts.get(str(row.get("prompts"))) or None) for row in rows)
        points = check_tables.points(rows) if verdict != "skipped" else None
        told = (
            check_tables.changed(rows), points, *concentrations(entry), control_tables.base_rate(rows), beside.robustness(entry)
        )  # fmt: skip
        checks += "".join(block(text) for text in told if text)
    both = tag("div", tag("div", checks, class_="checks") + tag("div", evidence, class_="evidence"), class_="beside")
    parts.append(both if evidence else checks)
    parts += [_prompts(key, prompts[key] or {}) for key in sorted(prompts)]
    if entry.get("yaml"):
        parts.append(_folded("The claim as written", _code_block(str(entry["yaml"]))))
    return [*parts, _paragraph(str(entry["again"]))] if entry.get("again") else parts


def _prompts(name: str, prompts: Mapping[str, Any]) -> str:
    more = more_of_prompts(prompts)
    folded = _folded(f"More about the prompts {name}", block(more)) if more else ""
    return tag("div", block(prompt_facts(name, prompts)) + folded, class_="prompts")


def _paragraph(markdown: str) -> str:
    return tag("p", inline(markdown))


def _code_block(text: str) -> str:
    return tag("pre", tag("code", escape(text.rstrip())), tabindex="0")


def _folded(title: str, content: str) -> str:
    return tag("details", tag("summary", escape(title)) + content, class_="more")


# -- a check ---------------------------------------------------------------------------------------------


def _check(row: Row, chosen: Row | None) -> str:
    """A check: its interval against its bound, its numbers, and in words what they are and what would have refuted it."""
    verdict = "observed" if words.only_shown(row) else str(row.get("verdict") or "none")
    name = "Check" if row.get("index") is None else f"Check {check_tables.place(row)}"
    parts = [tag("h4", f"{escape(name)} {inline(check_tables.written(row))} {pill(verdict)}")]
    parts += [interval_mark(row, wide=True), _numbers(row), _paragraph(words.what(row))]
    parts += [_paragraph(sentence) for sentence in check_tables.how_much(row, chosen)]
    parts.append(tag("p", inline(words.why(row, chosen)), class_="why"))
    told = [tag("li", inline(sentence)) for sentence in [*words.beside(row), *beside.controls(row)]]
    for label, text in words.remarks(row):
        told.append(tag("li", inline(f"**{label}:** {prose(text)}"), class_="warning" if label == "Warning" else None))
    parts.append(tag("ul", "".join(told)) if told else "")
    return tag("section", "".join(parts), class_=f"check v-{escape(verdict)}")


def _numbers(row: Row) -> str:
    """The numbers of a check by name; a reported value stands right beside the measured one."""
    percent = unit_of(row)
    found = {
        "estimate": estimate_text(row), "interval": words.interval_limits(row),
        "bound": bound_text(row), "reported elsewhere": words.reported_value(row), "head or part": subject(row) or "",
        "prompts": code(row["prompts"]) if row.get("prompts") else "", "n": counted(row),
        "uniform": number(row.get("uniform"), percent), "effect": effect_text(row), "rank": rank_text(row),
    }  # fmt: skip
    return tag(
        "dl",
        "".join(
            tag("div", tag("dt", escape(name)) + tag("dd", inline(value)))
            for name, value in found.items()
            if value not in ("", DASH)
        ),
    )


# -- patterns, figures, profiles ---------------------------------------------------------------------------


def _pattern(pattern: Mapping[str, Any], name: str, over: str) -> str:
    """A head's mean pattern over the tokens of the first prompt: a map, and tokens that shade what they attend to.

    ``over``: which prompts it is the mean of, and whose tokens these are.
    """
    marks = pattern["marks"]
    caption = f"Where head {prose(pattern['head'])} looks on {code(pattern['prompts'])}"
    tokens = "".join(_token(place, label) for place, label in enumerate(pattern["labels"]))
    strip = tag("div", tokens, class_="tokens", role="group", aria_label="Tokens of the first prompt")
    scale = tag("p", f"0{tag('span', class_='scale')}{number(pattern_top(pattern))} mean attention", class_="legend")
    rows = ";".join(",".join("" if value is None else str(value) for value in row) for row in pattern["per_mille"])
    content = [
        tag("figcaption", inline(f"**{caption}**, {over}")),
        tag("p", "Hover, focus or tap a token: the tokens that it attends to are shaded, those of the check outlined.", class_="hint scripted"),
        _choices(marks, name),
        strip,
        tag("output", class_="told scripted"),
        _scrolling(heat_map(pattern)),
        scale,
    ]  # fmt: skip
    return tag(
        "figure", "".join(content), class_="pattern", data_top=round(1000 * pattern_top(pattern)), data_rows=rows,
        data_cells=_by_check(mark["cells"] for mark in marks),
        data_others=_by_check(mark.get("others") or [] for mark in marks),
    )  # fmt: skip


def _by_check(cells: Any) -> str:
    """Cells for the script: "query-key query-key|..." with a bar between checks."""
    return "|".join(" ".join(f"{query}-{key}" for query, key in each) for each in cells)


def _token(place: int, label: str) -> str:
    token, role = label_parts(label)
    bare = token.lstrip(" ")
    shown = tag("i", SPACE * (len(token) - len(bare))) + escape(bare) if bare != token else escape(token)
    small = tag("small", escape(role)) if role else ""
    return tag("button", tag("span", shown) + small, type="button", data_place=place, class_="tok")


def _choices(marks: Sequence[Mapping[str, Any]], name: str) -> str:
    """Which check's cells are outlined: a choice where there are several, else its selector alone."""

    def said(mark: Mapping[str, Any]) -> str:
        shown = tag("code", escape(mark["selector"]))
        if mark.get("than"):
            shown += f" {tag('span', 'dashed: more than', class_='dashed')} {tag('code', escape(mark['than']))}"
        return shown

    if len(marks) == 1:
        return tag("p", tag("span", "outlined:", class_="outlined") + " " + said(marks[0]), class_="legend")
    radios = [
        tag("input", type="radio", name=f"{name}-mark", value=place, checked=place == 0) for place in range(len(marks))
    ]
    choices = "".join(tag("label", f"{radio} {said(mark)}") for radio, mark in zip(radios, marks, strict=True))
    return tag("fieldset", tag("legend", "outlined") + choices, class_="legend")


def _diagram(diagram: Diagram) -> str:
    """A circuit or the claimed paths, drawn on the page itself; the caption says the verdicts in words, too."""
    caption = tag("figcaption", inline(f"{diagram.caption} Early layers stand above."))
    return tag("figure", caption + _scrolling(diagram_svg(diagram)), class_="circuit")


def _figures(entry: Entry) -> list[str]:
    """The drawn figures that the page has no drawing of its own for; their files are put in when the page is made."""
    own = {profile["figure"]["path"] for profile in entry.get("profiles") or [] if profile.get("figure")}
    patterns = entry.get("patterns") or []
    known = {(each["head"], each["prompts"], mark["selector"]) for each in patterns for mark in each["marks"]}
    for row in entry.get("checks") or []:
        asked = (row.get("head"), row.get("prompts"), str(row.get("check")).removeprefix("attends: "))
        if row.get("kind") == "attends" and asked in known and row.get("figure"):
            own.add(row["figure"]["path"])
    return [
        tag("figure", tag("img", src=figure["path"], alt=figure.get("alt") or "figure", loading="lazy"), class_="drawn")
        for figure in figures_of(entry)
        if figure["path"] not in own
    ]


def _profile(profile: Mapping[str, Any]) -> str:
    """Where a head looks, whatever was claimed: bars by distance, and a shaded table from class to class."""
    classes = profile.get("classes") or []
    title = f"Where head {profile.get('head') or '?'} looks on {profile.get('prompts')}, whatever was claimed"
    over = f" over {number(profile['n'])} prompt{'s' if profile['n'] != 1 else ''}" if profile.get("n") else ""
    bos = f"Mean attention{over} by distance from the query (BOS apart: {number(profile.get('bos'))}):"
    claimed = claimed_distances(profile)
    key = f"{tag('span', class_='swatch')} claimed: {escape(', '.join(claimed))}" if claimed else ""
    head = tag("tr", "".join(tag("th", text, scope="col") for text in ["from", *map(code_span, classes)]))
    rows = "".join(
        tag("tr", tag("th", code_span(query), scope="row") + "".join(map(_shaded, values)))
        for query, values in zip(classes, profile.get("matrix") or [], strict=False)
        if any(value is not None for value in values)
    )
    table = tag("table", tag("thead", head) + tag("tbody", rows), class_="classes")
    matrix = "Mean attention from each class of tokens (row) to each class (column); a row sums to 1:"
    content = (
        tag("p", escape(bos))
        + (tag("p", key, class_="legend") if key else "")
        + _scrolling(profile_bars(profile) or "not measured")
    )
    return _folded(title, content + tag("p", matrix) + _scrolling(table))


def _scrolling(content: str) -> str:
    """What may be wider than a phone: its box scrolls, by keyboard, too."""
    return tag("div", content, class_="scroll", tabindex="0")


def _shaded(value: float | None) -> str:
    return tag("td", number(value), style=f"--v:{value:.3g}" if value is not None else None)
