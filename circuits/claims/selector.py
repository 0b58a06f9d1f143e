"""The selector language: ``QUERY -> KEY`` says which tokens attend to which (DESIGN 3.2).

The query token attends to the key token. (Some papers' figures draw the arrow from key to query.)

    selector := set "->" set
    set      := term ("|" term)*
    term     := "not" term | ("earlier" | "previous" | "same") term | atom
    atom     := primary ("[" INT "]" | "[early]" | "[late]" | "+" INT | "-" INT)*
    primary  := ROLE | "any" | "self" | "end" | "bos" | "first" | "duplicate" | "induction"
              | "n-" INT | "n-{" [INT "*"] VARIABLE [("+" | "-") INT] "}" | "(" set ")"

This module only parses and checks; ``circuits.claims.sets`` has what it makes, and
``circuits.claims.positions`` gives the sets their positions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from circuits.claims.sets import (
    QUALIFIERS,
    RELATIVE,
    STRUCTURE,
    Back,
    Half,
    Index,
    Not,
    Qualified,
    Role,
    Selector,
    Set,
    Shift,
    Structure,
    Union,
    names,
    roles,
    variables,
    walk,
)
from circuits.errors import nearest

__all__ = [
    "QUALIFIERS", "RELATIVE", "STRUCTURE", "Back", "Half", "Index", "Not", "Qualified", "Role", "Selector",
    "SelectorError", "Set", "Shift", "Structure", "Union", "names", "parse", "read", "roles", "variables", "walk",
]  # fmt: skip


class SelectorError(ValueError):
    """What is wrong in a selector, and where: ``at`` and ``width`` count characters of its text."""

    def __init__(self, message: str, at: int, width: int = 1, hint: str = ""):
        super().__init__(message)
        self.at = at
        self.width = max(1, width)
        self.hint = hint


ARROW_HINT = "write QUERY -> KEY, for example: member -> earlier member"
BRACKET_HINT = "write [2], [early] or [late]"
OFFSET_HINT = "write n-{period}, n-{period-1} or n-{2*period-1}"
MOST_TOKENS = 100  # far more than a person writes; keeps nesting below Python's recursion limit
_DIGITS = 6

_TOKEN = re.compile(
    r"\s*(?:(?P<wrong><?-{2,}>?|<-+>?|[=~—–]+>|<=+>?|<|>|⇒|⟶|←|↔)|(?P<arrow>->|→)"
    r"|(?P<back>n\s*-\s*(?:\{(?P<expr>[^{}]*)\}|(?P<k>\d+)))(?!\w)"
    r"|(?P<word>[^\W\d]\w*(?:'\w+)?)|(?P<int>\d+)|(?P<sign>[][()|+\-])|(?P<bad>\S))",
    re.ASCII,
)
_WORD = re.compile(r"\s*(?P<word>[^\W\d]\w*(?:['\u2019]\w+)?)")  # roles may have letters of any alphabet
_EXPR = re.compile(r"\s*(?:(\d+)\s*\*\s*)?([A-Za-z_]\w*)\s*(?:([+-])\s*(\d+))?\s*\Z", re.ASCII)


@dataclass(frozen=True)
class _Token:
    kind: str  # wrong | arrow | back | word | int | sign | bad
    text: str
    at: int


def _tokens(text: str) -> list[_Token]:
    found, place = [], 0
    while text[place:].strip():
        match = _TOKEN.match(text, place)
        assert match is not None  # "bad" takes any character
        kind = "back" if match["back"] else str(match.lastgroup)
        if kind in ("word", "bad"):
            word = _WORD.match(text, place)
            match, kind = (word, "word") if word is not None else (match, kind)
        found.append(_Token(kind, match[kind], match.start(kind)))
        place = match.end()
    return found


def _canonical(tokens: Sequence[_Token]) -> str:
    """The selector as it is shown and cached: single spaces, none inside an offset or brackets."""
    out, before = "", ""
    for token in tokens:
        text = "".join(token.text.split()) if token.kind == "back" else token.text
        text = " -> " if token.kind == "arrow" else " | " if text == "|" else text
        wordy = token.kind in ("word", "back") or text == "("
        apart = before not in ("", "(", "[", " | ", " -> ") and wordy
        out += (" " if apart else "") + text
        before = text
    return out


class _Parser:
    """Recursive descent over the tokens of one side; ``text`` is the whole selector, for messages."""

    def __init__(self, tokens: Sequence[_Token], text: str, side: str, end: int):
        self.tokens = tokens
        self.text = text
        self.side = side
        self.end = end
        self.place = 0

    @property
    def now(self) -> _Token:
        return self.tokens[self.place] if self.place < len(self.tokens) else _Token("end", "", self.end)

    def take(self) -> _Token:
        token = self.now
        self.place += 1
        return token

    def is_sign(self, sign: str) -> bool:
        return self.now.kind == "sign" and self.now.text == sign

    def whole(self) -> Set:
        """The set that all tokens make. Raises SelectorError at the first that does not fit."""
        found = self.set()
        if self.place < len(self.tokens):
            raise self.unexpected()
        return found

    def unexpected(self) -> SelectorError:
        """The error for a token that cannot stand here; a misspelt qualifier just before it is named."""
        token = self.now
        before = self.tokens[self.place - 1] if self.place else token
        if token.kind == "bad":
            return _bad(token)
        if before.kind == "word" and token.kind in ("word", "back") and before.text not in STRUCTURE:
            close = nearest(before.text, QUALIFIERS, cutoff=0.6)
            hint = (
                f"did you mean {close!r}?"
                if close
                else "qualifiers are earlier, previous, same and not; sets are joined with |"
            )
            return SelectorError(
                f"unknown qualifier {before.text!r} before {token.text!r}", before.at, len(before.text), hint
            )
        if token.text in (")", "]"):
            opening = "(" if token.text == ")" else "["
            return SelectorError(f"{token.text!r} without {opening!r}", token.at, 1, f"remove it, or add {opening!r}")
        hint = "a qualifier (earlier, previous, same, not) stands before its role; sets are joined with |"
        return SelectorError(f"unexpected {token.text!r} in the selector", token.at, len(token.text), hint)

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
            if self.now.kind == "end":
                raise SelectorError(
                    f"{token.text!r} of what? A role must follow it",
                    token.at,
                    len(token.text),
                    f"for example: {token.text} member",
                )
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
                    raise SelectorError(
                        f"a number must follow {sign.text!r}, as in S1+1",
                        sign.at,
                        1,
                        "names of roles have no - in them",
                    )
                number = self.take()
                by = _integer(number)
                if by == 0:
                    raise SelectorError(
                        "a shift of 0 is the set itself: leave it out", sign.at, number.at + 1 - sign.at
                    )
                found = Shift(found, by if sign.text == "+" else -by, found.at)
            else:
                return found

    def bracket(self, of: Set) -> Set:
        opening = self.take()
        inside: list[_Token] = []
        while self.now.kind != "end" and not self.is_sign("]") and not self.is_sign("["):
            inside.append(self.take())
        if not self.is_sign("]"):
            raise SelectorError("'[' is not closed", opening.at, 1, BRACKET_HINT)
        closing = self.take()
        if not inside:
            raise SelectorError("nothing stands in the brackets", opening.at, closing.at + 1 - opening.at, BRACKET_HINT)
        first = inside[0]
        if len(inside) > 1 or first.kind not in ("int", "word"):
            written = self.text[first.at : closing.at].strip()
            raise SelectorError(f"unknown qualifier [{written}]", first.at, len(written), BRACKET_HINT)
        if first.kind == "int":
            if _integer(first) == 0:
                raise SelectorError(
                    "spans are counted from 1, so [0] selects nothing", first.at, len(first.text), "the first is [1]"
                )
            return Index(of, int(first.text), of.at)
        if first.text in ("early", "late"):
            return Half(of, first.text, of.at)
        close = nearest(first.text, ("early", "late"))
        raise SelectorError(
            f"unknown qualifier [{first.text}]",
            first.at,
            len(first.text),
            f"did you mean [{close}]?" if close else BRACKET_HINT,
        )

    def primary(self) -> Set:
        token = self.take()
        if token.kind == "sign" and token.text == "(":
            inner = self.set()
            if not self.is_sign(")"):
                if self.now.kind == "end":
                    raise SelectorError("'(' is not closed", token.at, 1, "add ')'")
                raise self.unexpected()
            self.take()
            return inner
        if token.kind == "back":
            return _back(token)
        if token.kind == "word":
            if token.text in STRUCTURE:
                return Structure(token.text, token.at)
            if token.text == "n":
                raise _lonely_n(self.text, token)
            if token.text in ("early", "late"):
                raise SelectorError(
                    f"{token.text!r} is a half of a set, not a set",
                    token.at,
                    len(token.text),
                    f"write any[{token.text}]",
                )
            return Role(token.text, token.at)
        if token.kind == "bad":
            raise _bad(token)
        if token.kind == "end":
            before = self.text[: token.at]
            if before.count("(") > before.count(")"):
                raise SelectorError("'(' is not closed", before.rindex("("), 1, "name a set behind it and add ')'")
            raise SelectorError(
                f"a role is missing at the end of the {self.side} side", max(0, token.at - 1), 1, ARROW_HINT
            )
        raise SelectorError(
            f"a role is missing before {token.text!r}",
            token.at,
            len(token.text),
            "for example: member, any, n-1, earlier member",
        )


def _integer(token: _Token) -> int:
    if len(token.text) > _DIGITS:
        raise SelectorError(
            f"{token.text[:12]}... is too large a number", token.at, len(token.text), "no prompt is that long"
        )
    return int(token.text)


def _bad(token: _Token) -> SelectorError:
    hints = {
        "–": "write a plain minus: -", "−": "write a plain minus: -", "&": "there is no 'and'; sets are joined with |",
        ",": "sets are joined with |", "!": "write not R", "{": "an offset is written n-{period}, with a closing }",
        "}": "an offset is written n-{period}", ".": "the role of a full stop is called period",
    }  # fmt: skip
    return SelectorError(f"unexpected {token.text!r} in the selector", token.at, 1, hints.get(token.text, ""))


def _lonely_n(text: str, token: _Token) -> SelectorError:
    rest = text[token.at + 1 :].lstrip()
    braces = rest[1:].lstrip()
    if rest.startswith("-") and braces.startswith("{"):
        opening = token.at + text[token.at :].index("{")
        return SelectorError("'{' is not closed", opening, 1, OFFSET_HINT)
    width = 1
    if rest.startswith("+"):
        return SelectorError(
            "n+K lies after the query, which no token can attend to", token.at, width, "n-3 is three tokens back"
        )
    return SelectorError("'n' alone is no set", token.at, width, "write n-3 for three tokens back, or n-{period}")


def _back(token: _Token) -> Back:
    match = _TOKEN.match(token.text)
    assert match is not None
    if match["k"] is not None:
        back = _integer(_Token("int", match["k"], token.at + match.start("k")))
        if back == 0:
            raise SelectorError("n-0 is the query itself", token.at, len(token.text), "write self")
        return Back(back, at=token.at)
    expression = _EXPR.match(match["expr"])
    if expression is None:
        raise SelectorError(
            f"{token.text!r} is not an offset: inside {{}} stands a*variable+b", token.at, len(token.text), OFFSET_HINT
        )
    factor, variable, sign, constant = expression.groups()
    if max(len(factor or ""), len(constant or "")) > _DIGITS:
        raise SelectorError(
            f"too large a number in {token.text!r}", token.at, len(token.text), "no prompt is that long"
        )
    offset = int(constant or 0) * (-1 if sign == "-" else 1)
    return Back(offset, variable, int(factor or 1), token.at)


def read(text: str) -> tuple[Selector | None, list[SelectorError]]:
    """Parse ``"member -> earlier member"``: the selector (None when it is none) and all that is wrong with it."""
    found = _sound(text)
    return (found, []) if found is not None else _read(text)


@lru_cache(maxsize=4096)
def _sound(text: str) -> Selector | None:
    """The selector of a text with nothing wrong in it: suites say the same one many times."""
    return _read(text)[0]


def _read(text: str) -> tuple[Selector | None, list[SelectorError]]:
    tokens = _tokens(text)
    wrong = [token for token in tokens if token.kind == "wrong"]
    arrows = [token for token in tokens if token.kind == "arrow"]
    if len(tokens) > MOST_TOKENS:
        return None, [
            SelectorError(
                f"the selector is too long ({len(tokens)} words and signs)", 0, len(text), f"at most {MOST_TOKENS}"
            )
        ]
    if wrong:
        hint = (
            "the query comes first, and attends to the key: QUERY -> KEY"
            if "<" in wrong[0].text or "←" in wrong[0].text
            else ARROW_HINT
        )
        return None, [
            SelectorError(f"{wrong[0].text!r} is not the arrow of a selector", wrong[0].at, len(wrong[0].text), hint)
        ]
    if not arrows:
        at = len(text) - len(text.lstrip())
        return None, [
            SelectorError(
                f"a selector is QUERY -> KEY, but {text.strip()!r} has no arrow", at, len(text.strip()), ARROW_HINT
            )
        ]
    if len(arrows) > 1:
        return None, [SelectorError("two arrows in one selector", arrows[1].at, 2, "write one QUERY -> KEY a check")]
    middle = tokens.index(arrows[0])
    errors: list[SelectorError] = []
    sides: list[Set] = []
    for name, part, end in (
        ("query", tokens[:middle], arrows[0].at),
        ("key", tokens[middle + 1 :], max(len(text.rstrip()), arrows[0].at + len(arrows[0].text))),
    ):
        if not part:
            message = f"the {name} side of {text.strip()!r} is missing"
            errors.append(SelectorError(message, arrows[0].at, len(arrows[0].text), ARROW_HINT))
            continue
        try:
            sides.append(_Parser(part, text, name, end).whole())
        except SelectorError as error:
            errors.append(error)
            continue
        errors += _relative(sides[-1]) if name == "query" else []
    return (None if errors else Selector(sides[0], sides[1], _canonical(tokens))), errors


def _relative(query: Set) -> Iterator[SelectorError]:
    """One error for each outermost word on the query side that means something only from a query."""
    if isinstance(query, Union):
        for part in query.of:
            yield from _relative(part)
    elif isinstance(query, (Back, Qualified)) or (isinstance(query, Structure) and query.name in RELATIVE):
        word = query.how if isinstance(query, Qualified) else query.name if isinstance(query, Structure) else "n-K"
        message = f"{word!r} is relative to a query token, so it can only stand on the key side of the arrow"
        yield SelectorError(message, query.at, len(word), "the query token attends to the key token: QUERY -> KEY")
    elif isinstance(query, (Index, Half, Shift, Not)):
        yield from _relative(query.of)


def parse(text: str) -> Selector:
    """Parse ``"member -> earlier member"``. Raises the first SelectorError, with place and hint."""
    found, errors = read(text)
    if found is None:
        raise errors[0]
    return found
