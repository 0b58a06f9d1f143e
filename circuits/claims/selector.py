"""The selector language: ``QUERY -> KEY`` says which tokens attend to which (DESIGN 3.2).

The query token attends to the key token. (Some papers' figures draw the arrow from key to query.)

    selector := set "->" set
    set      := term ("|" term)*
    term     := "not" term | ("earlier" | "previous" | "same") term | atom
    atom     := primary ("[" INT "]" | "[early]" | "[late]" | "+" INT | "-" INT)*
    primary  := ROLE | "any" | "self" | "end" | "bos" | "first" | "duplicate" | "induction"
              | "n-" INT | "n-{" [INT "*"] VARIABLE [("+" | "-") INT] "}" | "(" set ")"

This module only parses and checks; ``circuits.measure.select`` gives the sets their positions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from circuits.errors import nearest

STRUCTURE = ("any", "self", "end", "bos", "first", "duplicate", "induction")
QUALIFIERS = ("earlier", "previous", "same", "not")
RELATIVE = ("self", "duplicate", "induction")


@dataclass(frozen=True)
class Role:
    """Tokens of a role that the prompt family or the suite gives."""

    name: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Structure:
    """One of STRUCTURE: positions that every prompt has."""

    name: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Back:
    """``n-K`` with K = factor * variable + constant (``variable`` None: K = constant)."""

    constant: int
    variable: str | None = None
    factor: int = 1
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Qualified:
    """``earlier``, ``previous`` or ``same`` of a set."""

    how: str
    of: Set
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Index:
    """The k-th span, counted from 1."""

    of: Set
    k: int
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Half:
    """The tokens in the first ("early") or second ("late") half of the non-BOS positions."""

    of: Set
    which: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Shift:
    """The token ``by`` places after the end (by > 0) or before the start (by < 0) of each span."""

    of: Set
    by: int
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Not:
    """Every non-BOS token outside the set."""

    of: Set
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Union:
    """Tokens in any of the sets."""

    of: tuple[Set, ...]
    at: int = field(default=0, compare=False)


Set = Role | Structure | Back | Qualified | Index | Half | Shift | Not | Union


@dataclass(frozen=True)
class Selector:
    """A parsed ``QUERY -> KEY``; ``text`` is it as written, whitespace normalised."""

    query: Set
    key: Set
    text: str


class SelectorError(ValueError):
    """What is wrong in a selector, and where: ``at`` and ``width`` count characters of its text."""

    def __init__(self, message: str, at: int, width: int = 1, hint: str = ""):
        super().__init__(message)
        self.at = at
        self.width = max(1, width)
        self.hint = hint


_TOKEN = re.compile(
    r"\s*(?:(?P<arrow>->|→)|(?P<back>n\s*-\s*(?:\{(?P<expr>[^}]*)\}|(?P<k>\d+)))(?![\w])"
    r"|(?P<word>[^\W\d]\w*(?:'\w+)?)|(?P<int>\d+)|(?P<sign>[][()|+\-]))"
)
_EXPR = re.compile(r"\s*(?:(\d+)\s*\*\s*)?([A-Za-z_]\w*)\s*(?:([+-])\s*(\d+))?\s*\Z")


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    at: int


def _tokens(text: str) -> list[_Token]:
    found, place = [], 0
    while text[place:].strip():
        match = _TOKEN.match(text, place)
        if match is None:
            at = place + len(text[place:]) - len(text[place:].lstrip())
            raise SelectorError(f"unexpected {text[at]!r} in the selector {text!r}", at)
        kind = str(match.lastgroup)
        kind = "back" if match["back"] else kind
        token_text = match[kind]
        found.append(_Token(kind, token_text, match.start(kind)))
        place = match.end()
    return found


class _Parser:
    def __init__(self, text: str):
        self.text = text
        self.tokens = _tokens(text)
        self.place = 0

    @property
    def now(self) -> _Token:
        if self.place < len(self.tokens):
            return self.tokens[self.place]
        return _Token("end of text", "", len(self.text.rstrip()))

    def take(self) -> _Token:
        token = self.now
        self.place += 1
        return token

    def is_sign(self, sign: str) -> bool:
        return self.now.kind in ("sign", "arrow") and self.now.text == sign

    def unexpected(self, where: str) -> SelectorError:
        """The error for a token that cannot stand here; a misspelt qualifier just before it is named."""
        token = self.now
        before = self.tokens[self.place - 1] if self.place else token
        close = nearest(before.text, QUALIFIERS, cutoff=0.7) if before.kind == token.kind == "word" else None
        if close:
            message = f"unknown qualifier {before.text!r} in {self.text!r}"
            return SelectorError(message, before.at, len(before.text), f"did you mean {close!r}?")
        hint = "qualifiers (earlier, previous, same, not) stand before the role; sets are joined with |"
        return SelectorError(f"unexpected {token.text!r} {where} {self.text!r}", token.at, len(token.text), hint)

    def set(self) -> Set:
        first = self.term()
        parts = [first]
        while self.is_sign("|"):
            self.take()
            parts.append(self.term())
        return first if len(parts) == 1 else Union(tuple(parts), parts[0].at)

    def term(self) -> Set:
        token = self.now
        if token.kind == "word" and token.text in QUALIFIERS:
            self.take()
            inner = self.term()
            return Not(inner, token.at) if token.text == "not" else Qualified(token.text, inner, token.at)
        return self.atom()

    def atom(self) -> Set:
        found = self.primary()
        while True:
            if self.is_sign("["):
                found = self.bracket(found)
            elif self.now.kind == "sign" and self.now.text in "+-":
                sign = self.take()
                if self.now.kind != "int":
                    raise SelectorError(f"a number must follow {sign.text!r}, as in S1+1", sign.at)
                number = self.take()
                by = int(number.text) if sign.text == "+" else -int(number.text)
                if by == 0:
                    raise SelectorError("a shift of 0 is the set itself: leave it out", sign.at, 2)
                found = Shift(found, by, found.at)
            else:
                return found

    def bracket(self, of: Set) -> Set:
        opening, inside = self.take(), self.take()
        if not self.is_sign("]"):
            raise SelectorError("'[' is not closed: write [2], [early] or [late]", opening.at)
        self.take()
        if inside.kind == "int":
            if int(inside.text) == 0:
                raise SelectorError("spans are counted from 1, so [0] selects nothing", inside.at)
            return Index(of, int(inside.text), of.at)
        if inside.text in ("early", "late"):
            return Half(of, inside.text, of.at)
        raise SelectorError(f"unknown qualifier [{inside.text}]: write [2], [early] or [late]", inside.at, len(inside.text))

    def primary(self) -> Set:
        token = self.take()
        if token.kind == "sign" and token.text == "(":
            inner = self.set()
            if not self.is_sign(")"):
                raise SelectorError("'(' is not closed", token.at)
            self.take()
            return inner
        if token.kind == "back":
            return _back(token)
        if token.kind == "word":
            if token.text in STRUCTURE:
                return Structure(token.text, token.at)
            if token.text == "n":
                raise SelectorError("write n-3 for three tokens back, or n-{period}", token.at)
            return Role(token.text, token.at)
        what = token.text or "the end of the text"
        raise SelectorError(f"a role or a structure word is missing before {what!r} in {self.text!r}", token.at, len(token.text))


def _back(token: _Token) -> Back:
    match = _TOKEN.match(token.text)
    assert match is not None
    if match["k"] is not None:
        back = int(match["k"])
        if back == 0:
            raise SelectorError("n-0 is the query itself: write self", token.at, len(token.text))
        return Back(back, at=token.at)
    expression = _EXPR.match(match["expr"])
    if expression is None:
        hint = "write n-{period}, n-{period-1} or n-{2*period-1}"
        raise SelectorError(f"{token.text!r} is not an offset: inside {{}} stands a*variable+b", token.at, len(token.text), hint)
    factor, variable, sign, constant = expression.groups()
    offset = int(constant or 0) * (-1 if sign == "-" else 1)
    return Back(offset, variable, int(factor or 1), token.at)


def parse(text: str) -> Selector:
    """Parse ``"member -> earlier member"``. Raises SelectorError with place and hint."""
    parser = _Parser(text)
    if not any(token.kind == "arrow" for token in parser.tokens):
        raise SelectorError(f"a selector is QUERY -> KEY, but {text!r} has no arrow", 0, len(text), "for example: member -> earlier member")
    query = parser.set()
    if parser.now.kind != "arrow":
        raise parser.unexpected("before the arrow in")
    parser.take()
    key = parser.set()
    if parser.place < len(parser.tokens):
        raise parser.unexpected("at the end of")
    for part in walk(query):
        relative = isinstance(part, (Back, Qualified)) or (isinstance(part, Structure) and part.name in RELATIVE)
        if relative:
            word = part.how if isinstance(part, Qualified) else part.name if isinstance(part, Structure) else "n-K"
            raise SelectorError(
                f"{word!r} is relative to a query token, so it can only stand on the key side of the arrow",
                part.at,
                len(word),
                "the query token attends to the key token: QUERY -> KEY",
            )
    return Selector(query, key, " ".join(text.split()))


def walk(of: Set) -> Iterator[Set]:
    """Every node of a set expression, outermost first."""
    yield of
    if isinstance(of, Union):
        for part in of.of:
            yield from walk(part)
    elif isinstance(of, (Qualified, Index, Half, Shift, Not)):
        yield from walk(of.of)


def roles(selector: Selector) -> list[Role]:
    """The roles a selector names, in reading order."""
    return [part for side in (selector.query, selector.key) for part in walk(side) if isinstance(part, Role)]


def variables(selector: Selector) -> list[Back]:
    """The offsets of a selector that need a variable."""
    return [part for side in (selector.query, selector.key) for part in walk(side) if isinstance(part, Back) and part.variable]
