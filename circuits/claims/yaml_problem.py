"""What is wrong with a text that is no YAML, in plain words and at the place that is to blame."""

from __future__ import annotations

import re
from typing import Any

import yaml

from circuits.errors import Position

QUOTE_HINT = "put the text in quotes"
MAX_DEPTH = 40


class NotYaml(Exception):
    """A text that is no YAML: where, what and a hint; ``context`` is the line of what surrounds it."""

    def __init__(self, where: Position, message: str, hint: str = "", context: int | None = None):
        super().__init__(message)
        self.where = where
        self.message = message
        self.hint = hint
        self.context = context


def explain(error: yaml.YAMLError, text: str, lines: list[str], quoted: tuple[Position, int] | None) -> NotYaml:
    """The parser's error for a reader. ``quoted``: start and last line of the last quoted text of several lines."""
    if not isinstance(error, yaml.MarkedYAMLError) or not (error.problem_mark or error.context_mark):
        return _unmarked(error, text)
    problem = error.problem or "bad YAML"
    if "nesting depth" in problem:  # the C parser's own limit (libyaml 0.2.6), far beyond ours
        return too_deep(_deepest_allowed(lines))
    mark, around = error.problem_mark or error.context_mark, error.context_mark
    here = _place(mark, lines)
    there = _place(around, lines) if around is not None else None
    context = there.line if there is not None else None
    if "quoted scalar" in (error.context or "") and ("end of stream" in problem or "document indicator" in problem):
        return NotYaml(
            there or here, "this quote is never closed", "add the closing quote at the end of the text", context
        )
    if quoted is not None and quoted[1] == here.line and "escape" not in problem:
        message = f"this quoted text ends only on line {quoted[1]}, where the YAML no longer fits"
        return NotYaml(quoted[0], message, "a closing quote is missing on this line", quoted[0].line)
    message, hint, where = _words(problem, lines, here, there)
    return NotYaml(where, message, hint, context)


def too_deep(where: Position) -> NotYaml:
    """Nodes inside more than ``MAX_DEPTH`` others."""
    return NotYaml(where, f"nested deeper than {MAX_DEPTH} levels", "a suite needs no more than ten")


def _deepest_allowed(lines: list[str]) -> Position:
    """The first bracket inside ``MAX_DEPTH`` open ones; brackets in quotes count too, which such a text forgives."""
    depth = 0
    for number, line in enumerate(lines, 1):
        for column, char in enumerate(line, 1):
            depth += (char in "[{") - (char in "]}")
            if depth > MAX_DEPTH:
                return Position("", number, column)
    return Position("", 1, 1)


def _unmarked(error: yaml.YAMLError, text: str) -> NotYaml:
    """A character that no YAML may hold."""
    position = getattr(error, "position", None)
    first = str(error).splitlines()[0] if str(error) else "bad YAML"
    if not isinstance(position, int):
        return NotYaml(Position("", 1, 1), first)
    where = next((at for at, char in enumerate(text) if not _printable(char)), min(position, len(text)))
    before = text[:where]
    line = len(re.findall("\r\n|[\n\r\x85\u2028\u2029]", before)) + 1
    column = len(re.split("[\n\r\x85\u2028\u2029]", before)[-1]) + 1
    char = text[where : where + 1]
    return NotYaml(Position("", line, column), f"the character {char!r} cannot stand in YAML", "remove it")


def _printable(char: str) -> bool:
    code = ord(char)
    return (
        char in "\t\n\r\x85"
        or 0x20 <= code <= 0x7E
        or 0xA0 <= code <= 0xD7FF
        or (code >= 0xE000 and code not in (0xFFFE, 0xFFFF))
    )


def _place(mark: Any, lines: list[str]) -> Position:
    if mark.line >= len(lines):  # past the end: just after the last line that there is
        return Position("", max(1, len(lines)), len(lines[-1]) + 1 if lines else 1)
    return Position("", mark.line + 1, mark.column + 1)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _words(problem: str, lines: list[str], here: Position, there: Position | None) -> tuple[str, str, Position]:
    """Message, hint and place for what the parser calls ``problem``."""
    line = lines[here.line - 1] if here.line <= len(lines) else ""
    char = line[here.column - 1 : here.column]
    if "\t" in line[: max(here.column, _indent(line))][: _indent(line)]:
        where = Position(here.file, here.line, line.index("\t") + 1)
        return "a tab cannot indent YAML", "indent with spaces", where
    if "cannot start any token" in problem:
        return f"a text cannot begin with {char!r}", QUOTE_HINT, here
    if "escape" in problem:
        backslash = line.rfind("\\", 0, here.column + 1)
        where = Position(here.file, here.line, backslash + 1) if backslash >= 0 else here
        written = line[where.column - 1 : where.column + 1]
        if "unknown" not in problem:
            return f"{written!r} does not name a character here", QUOTE_HINT.replace("quotes", "single quotes"), where
        return (
            f"{written!r} means nothing inside double quotes",
            "put a text with backslashes in single quotes: '\\d+'",
            where,
        )
    closing = re.search(r"expected ',' or '([\]}])'", problem)
    if closing and there is not None:
        return _unclosed(closing[1], lines, here, there)
    if "mapping values are not allowed" in problem:
        before = lines[here.line - 2] if here.line >= 2 else ""
        if re.search(r"(:\s|- )", line[: here.column - 1].lstrip()) or not before.strip():
            return "a second ':' on this line", "put the text in quotes when it contains ': '", here
        first = Position(here.file, here.line, _indent(line) + 1)
        if _indent(line) > _indent(before):
            return (
                "this line is indented more than the one above, which is complete",
                "indent both alike, or end the one above with ':'",
                first,
            )
        above = Position(here.file, here.line - 1, _indent(before) + 1)
        return (
            "this line is neither 'key: value' nor an entry of a list",
            "is a ':' with a space after it missing?",
            above,
        )
    if "could not find expected ':'" in problem:
        return (
            "this is neither 'key: value' nor an entry of a list",
            "is a ':' with a space after it missing?",
            there or here,
        )
    if "expected key" in problem or "expected '-' indicator" in problem:
        if here.column > _indent(line) + 1:
            return (
                "something stands after the value",
                "put a text that contains quotes, or follows a bracket, in quotes as a whole",
                here,
            )
        if "'-'" in problem:
            return "an entry of the list is expected here", "begin it with '- ', or indent it as the list's owner", here
        return "this line does not fit the lines above it", "indent it exactly as its neighbours", here
    if "block sequence entries" in problem:
        return "a list cannot begin on the line of its key", "begin it on the next line, or write [a, b]", here
    if "node content" in problem:
        return (
            f"a value is missing before {char!r}" if char else "a value is missing",
            "check the commas and brackets",
            here,
        )
    if "alphabetic or numeric" in problem:
        where = Position(here.file, here.line, max(1, here.column - 1))
        return "* and & begin an alias and an anchor, which need a name", f"{QUOTE_HINT} if that is not meant", where
    if "tag handle" in problem:
        return "a text that begins with ! is a tag", QUOTE_HINT, here
    return problem, "check the indentation, the quotes and the brackets of this line and the one above", here


def _unclosed(bracket: str, lines: list[str], here: Position, there: Position) -> tuple[str, str, Position]:
    opening = {"]": "[", "}": "{"}[bracket]
    line, first = lines[here.line - 1], lines[there.line - 1]
    between = [text for text in lines[there.line : here.line] if text.strip() and not text.lstrip().startswith("#")]
    if any(_indent(text) <= _indent(first) for text in between) or (here.line > there.line and here.column > len(line)):
        return f"this {opening!r} is never closed", f"add {bracket!r}", there
    other = line[here.column - 1 : here.column]
    if other in ("]", "}"):
        return f"{other!r} does not close the {opening!r} of line {there.line}", f"write {bracket!r} first", here
    return f"a comma or {bracket!r} is missing before this", f"it is inside the {opening!r} of line {there.line}", here
