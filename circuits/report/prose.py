"""Pieces of text: Markdown that renders as written, code, lists, and selectors as noun phrases."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from typing import Any

from circuits.claims import selector as sel

SPACE = "␣"  # how a space at the edge of a token or an answer is shown


def prose(text: Any) -> str:
    """User text as one line of Markdown that renders as written, also inside a table cell."""
    line = " ".join(str(text).split())
    line = html.escape(line, quote=False)
    line = re.sub(r"([\\`*\[\]~$|]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", line)
    return re.sub(r"^([#+\-=]|\d+[.)])(?=\s|$)", _escape_start, line)


def _escape_start(match: re.Match[str]) -> str:
    text = match[1]
    return f"{text[:-1]}\\{text[-1]}"


def prose_with_code(text: Any) -> str:
    """``prose``, but what the author wrote between backticks stays code."""
    parts = re.split(r"(`[^`]+`)", " ".join(str(text).split()))
    return "".join(code(part[1:-1]) if k % 2 else _with_edges(part) for k, part in enumerate(parts))


def _with_edges(text: str) -> str:
    """``prose`` that keeps one space at either end, where the text has some."""
    lead, trail = (" " if text[at : at + 1] == " " else "" for at in (0, len(text) - 1))
    return f"{lead}{prose(text)}{trail}" if text.strip() else text


def code(text: Any) -> str:
    """Text as inline code, also inside a table cell: spaces at its edges and line breaks made visible."""
    raw = str(text).replace("\r\n", "\n").replace("\r", "\n").replace("\n", "⏎").replace("\t", "⇥")
    inner = raw.strip(" ")
    lead, trail = len(raw) - len(raw.lstrip(" ")), len(raw) - len(raw.rstrip(" "))
    shown = SPACE * len(raw) if not inner else SPACE * lead + re.sub(" {2,}", _visible, inner) + SPACE * trail
    if not shown:
        return "(nothing)"
    if re.search(r"[`|]", shown):  # a code span cannot hold these inside a table: write them as entities
        entities = re.sub(r"[`|*_\[\]~\\$]", lambda found: f"&#{ord(found[0])};", html.escape(shown, quote=False))
        return f"<code>{entities}</code>"
    return f"`{shown}`"


def _visible(match: re.Match[str]) -> str:
    return SPACE * len(match[0])


def source_words(source: Mapping[str, Any]) -> str:
    """Where an author has something from: the title alone, other facts with their names ("note N5; title")."""
    return "; ".join(
        prose(source[key]) if key == "title" else f"{prose(key)} {prose(source[key])}" for key in sorted(source)
    )


def ordinal(k: int) -> str:
    """1st, 2nd, 3rd, 4th, ..."""
    suffix = "th" if k % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(k % 10, "th")
    return f"{k}{suffix}"


def listing(parts: Iterable[str], last: str = "and") -> str:
    """a; a and b; a, b and c. ``last``: the word before the last one."""
    found = list(parts)
    return found[0] if len(found) == 1 else f"{', '.join(found[:-1])} {last} {found[-1]}" if found else ""


def expected_words(text: str) -> str:
    """What a suite expects of a claim, in words: "expected to fail: ...", "check 3 is expected to be refuted"."""
    failing = re.fullmatch(r"\{xfail: (.*?)\.?\}?", text, re.S)
    if failing:
        return f"expected to fail: {failing[1]}"
    known = re.fullmatch(r"\{refuted: \[(\d+)\]\}", text)
    if known:
        return f"check {known[1]} is expected to be refuted"
    return f"expected: {text}"


def as_sentence(text: str) -> str:
    """Text that begins with a capital and ends with a mark, whatever it began with."""
    text = text[:1].upper() + text[1:]
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."


def _many(of: sel.Set) -> str:
    """A set of tokens as a noun phrase in the plural (or what stands for it)."""
    match of:
        case sel.Role(name=name):
            return f"{code(name)} tokens"
        case sel.Structure(name=name):
            return {
                "any": "tokens",
                "self": "the token itself",
                "end": "the last token",
                "bos": "BOS",
                "first": "the first position (BOS where there is one)",
                "duplicate": "all earlier copies of the same token",
                "induction": "the tokens that follow earlier copies of the same token",
            }[name]
        case sel.Back(variable=None, constant=back):
            return f"the token {back} places back" if back != 1 else "the token just before it"
        case sel.Back(variable=variable, factor=factor, constant=constant):
            scaled = f"{factor}*{variable}" if factor != 1 else str(variable)
            shift = f"{constant:+d}" if constant else ""
            return f"the token {code(scaled + shift)} places back"
        case sel.Qualified(how="previous", of=sel.Structure(name="duplicate")):
            return "the nearest earlier copy of the same token"
        case sel.Qualified(how="previous", of=sel.Structure(name="induction")):
            return "the token that follows the nearest earlier copy of the same token"
        case sel.Qualified(how="earlier", of=inner):
            return f"all earlier {_many(inner)}"
        case sel.Qualified(how="previous", of=sel.Role(name=name)):
            return f"the nearest earlier {code(name)}"
        case sel.Qualified(how="previous", of=inner):
            return f"the nearest earlier of the {_many(inner)}"
        case sel.Qualified(of=inner):
            return f"the {_many(inner)} of its own item"
        case sel.Index(of=sel.Role(name=name), k=k):
            return f"the {ordinal(k)} {code(name)}"
        case sel.Index(of=inner, k=k):
            return f"the {ordinal(k)} of the {_many(inner)}"
        case sel.Half(of=inner, which=which):
            return f"{_many(inner)} in the {'first' if which == 'early' else 'second'} half of the prompt"
        case sel.Shift(of=sel.Role(name=name), by=by):
            return f"the token {_places(by)} {code(name)}"
        case sel.Shift(of=inner, by=by):
            return f"the token {_places(by)} {_many(inner)}"
        case sel.Not(of=inner):
            return f"tokens that are not {_many(inner)}"
        case sel.Union(of=parts):
            return " or ".join(_many(part) for part in parts)


def _places(by: int) -> str:
    where = "after" if by > 0 else "before"
    return f"right {where}" if abs(by) == 1 else f"{abs(by)} places {where}"


def _plain_set(of: sel.Set) -> bool:
    if isinstance(of, sel.Union):
        return all(_plain_set(part) for part in of.of)
    return (
        isinstance(of, (sel.Role, sel.Not))
        or (isinstance(of, sel.Structure) and of.name == "any")
        or (isinstance(of, sel.Half) and _plain_set(of.of))
    )


def _sides(text: str) -> tuple[str, str] | None:
    """The query and the key of a selector in words, None when it cannot be read."""
    try:
        found = sel.parse(text)
    except ValueError:
        return None
    query, key = _many(found.query), _many(found.key)
    if isinstance(found.query, sel.Role):
        query = f"each {code(found.query.name)} token"
    elif _plain_set(found.query):
        query = "every token (BOS aside)" if query == "tokens" else f"each of the {query}"
    if isinstance(found.key, sel.Not) and found.key.of == sel.Structure("bos"):
        key = "all tokens before it but BOS"
    elif isinstance(found.key, sel.Not):
        key = f"all tokens before it that are not {_many(found.key.of)} (BOS aside)"
    elif _plain_set(found.key):
        key = f"all {key} before it" + ("" if isinstance(found.key, sel.Role) else " (BOS aside)")
    return query, key


def several_queries(text: str) -> bool:
    """Whether a selector may have more than one query token in a prompt; one that cannot be read may."""
    try:
        query = sel.parse(text).query
    except ValueError:
        return True
    return not (
        isinstance(query, sel.Index) or (isinstance(query, sel.Structure) and query.name in ("end", "bos", "first"))
    )


def same_queries(one: str, other: str) -> bool:
    """Whether two selectors have the same query."""
    try:
        return sel.parse(one).query == sel.parse(other).query
    except ValueError:
        return False


def attention_phrase(text: str) -> str:
    """ "from each `member` token, on all earlier `member` tokens" for a selector."""
    sides = _sides(text)
    return f"over {code(text)}" if sides is None else f"from {sides[0]}, on {sides[1]}"
