"""What a selector picks on one prompt, for a terminal: its words, the numbered tokens, the keys of each query token."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from circuits.claims.explain import Explained, roles_at
from circuits.report.plain import Look, wrapped
from circuits.report.prose import attention_phrase
from circuits.report.terminal import Line

MOST_QUERIES = 40
_SPACE, _BREAK = "␣", "⏎"
Piece = tuple[str, str | None]


def explained_lines(found: Explained, model: str, look: Look, *, coloured: bool) -> Iterator[Line]:
    """Everything about the selector on its prompt. Colours, or else brackets, mark query and keys."""
    yield ((found.selector.text, "bold"),)
    phrase = f"Attention {attention_phrase(found.selector.text)}."
    yield from (((line, None),) for line in wrapped(phrase, look, "  ", ""))
    yield ()
    yield from _tokens(found, model, look)
    yield ()
    queries = sorted(found.keys)
    if queries:
        legend = [("query token", "query"), ("key token", "key")] if coloured else []
        left, right = _brackets(look)
        yield (*_apart(legend), ("" if coloured else f"query token {left}x{right}, key token [x]", None))
    for query in queries[:MOST_QUERIES]:
        yield from _query(found, query, look, coloured)
    if len(queries) > MOST_QUERIES:
        yield ((f"... and {len(queries) - MOST_QUERIES} more query tokens (--json has them all)", "dim"),)
    yield from (((line, None if found.measurable else "yellow"),) for line in wrapped(outcome(found), look, "  ", ""))


def outcome(found: Explained) -> str:
    """In a sentence: how many query tokens have a key, or why the check would have no value."""
    having = sum(bool(keys) for keys in found.keys.values())
    if not found.keys:
        query = found.selector.text.partition(" -> ")[0]
        return f"no token is {query!r}, so there is no query token: the check would be UNMEASURABLE"
    if not having:
        return "no query token has a key: the check would be UNMEASURABLE"
    total = len(found.keys)
    if having == total:
        return f"every query token has a key ({total} of {total})."
    return f"{having} of {total} query tokens {'has' if having == 1 else 'have'} a key; the others do not count."


def _tokens(found: Explained, model: str, look: Look) -> Iterator[Line]:
    prompt = found.prompt
    bos = "position 0 is BOS" if prompt.has_bos else "no BOS"
    period = f"; an item has {prompt.period} tokens (period)" if prompt.period is not None else ""
    title = f"{len(prompt.ids)} tokens of {model}, numbered from 0; {bos}{period}"
    yield from (((line, "bold"),) for line in wrapped(title, look, ""))
    pieces = [((f"{place} ", "dim"), (visible(token, look), None)) for place, token in enumerate(found.tokens)]
    yield from _filled(pieces, look, "  ", "   ")
    roles = {role for place in range(len(prompt.ids)) for role in roles_at(prompt, place)}
    for role in sorted(roles):
        places = [str(place) for place in range(len(prompt.ids)) if role in roles_at(prompt, place)]
        yield from (((line, "dim"),) for line in wrapped(f"{role}: {', '.join(places)}", look, "      ", "  "))


def _query(found: Explained, query: int, look: Look, coloured: bool) -> Iterator[Line]:
    """The tokens that the query can see, with the query and its keys marked."""
    keys = found.keys[query]
    title = f"  {query:>3}: "
    if not keys:
        yield (title, None), *_marked(found, query, query, look, coloured), ("  has no key", "yellow")
        return
    pieces = [_marked(found, place, query, look, coloured) for place in range(query + 1)]
    yield from _filled(pieces, look, title, " ", indent=" " * len(title))


def _marked(found: Explained, place: int, query: int, look: Look, coloured: bool) -> tuple[Piece, ...]:
    token = visible(found.tokens[place], look)
    is_key, is_query = place in found.keys[query], place == query
    if coloured:
        return ((token, "key" if is_key else "query" if is_query else "dim"),)
    token = f"[{token}]" if is_key else token
    left, right = _brackets(look)
    return ((f"{left}{token}{right}" if is_query else token, None),)


def _brackets(look: Look) -> tuple[str, str]:
    return ("«", "»") if look.unicode else (">", "<")


def visible(token: str, look: Look) -> str:
    """A token with its spaces and line breaks to be seen."""
    space, line_break = (_SPACE, _BREAK) if look.unicode else ("_", "\\n")
    shown = token.replace(" ", space).replace("\r\n", "\n").replace("\n", line_break)
    return "".join(char if char.isprintable() else "?" for char in shown) or "(nothing)"


def _filled(
    pieces: Iterable[Sequence[Piece]], look: Look, first: str, between: str, indent: str | None = None
) -> Iterator[Line]:
    """Pieces side by side in lines of the terminal's width."""
    indent = first if indent is None else indent
    line: list[Piece] = [(first, None)]
    used = len(first)
    fresh = True
    for piece in pieces:
        size = sum(len(text) for text, _ in piece)
        if not fresh and used + len(between) + size > look.width:
            yield tuple(line)
            line, used, fresh = [(indent, None)], len(indent), True
        line += [] if fresh else [(between, None)]
        used += (0 if fresh else len(between)) + size
        line += piece
        fresh = False
    yield tuple(line)


def _apart(pieces: Iterable[Piece]) -> list[Piece]:
    return [part for piece in pieces for part in (piece, ("  ", None))]


def explained_data(found: Explained, model: str) -> dict[str, Any]:
    """The same as plain JSON data; positions count from 0, BOS included."""
    prompt = found.prompt
    return {
        "selector": found.selector.text,
        "words": f"attention {attention_phrase(found.selector.text)}",
        "model": model,
        "text": prompt.text,
        "bos": prompt.has_bos,
        "period": prompt.period,
        "tokens": [
            {"position": place, "id": prompt.ids[place], "token": token, "roles": roles_at(prompt, place)}
            for place, token in enumerate(found.tokens)
        ],
        "queries": [{"query": query, "keys": list(keys)} for query, keys in sorted(found.keys.items())],
        "measurable": found.measurable,
        "outcome": outcome(found),
    }
