"""Text for a terminal: the report's sentences without their Markdown, and numbers as bars and shades."""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from circuits.report.record import DASH


@dataclass(frozen=True)
class Look:
    """What a terminal can show: its width in characters, and whether it has block elements."""

    width: int = 100
    unicode: bool = True


def plain(text: str) -> str:
    """A sentence of the report as it would be read: no escapes, no emphasis; code keeps its backticks."""
    text = re.sub(r"</?code>", "`", text)
    text = re.sub(r"\*\*(.+?)\*\*", r"\1", text)
    return html.unescape(re.sub(r"\\([\\`*\[\]~$|_#+=-])", r"\1", text))


def wrapped(text: str, look: Look, indent: str, first: str | None = None) -> Iterator[str]:
    """The text in lines of the terminal's width; long words (paths, prompts) are never broken."""
    width = max(look.width, len(indent) + 20)
    yield from textwrap.wrap(
        text,
        width,
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


BARS, DIGITS = "·▁▂▃▄▅▆▇█", "0123456789"
SHADES, ASCII_SHADES = " ░▒▓█", " .:o#"


def bars(values: Sequence[float | None], look: Look, top: float) -> str:
    """One character a value, 0 to ``top``: a bar, or its tenths as a digit; a dash where there is no value."""
    ramp = BARS if look.unicode else DIGITS
    return "".join(_step(value, top, ramp, DASH if look.unicode else "-") for value in values)


def shade(value: float | None, look: Look) -> str:
    """A value of 0 to 1 as one of five shades, a dash where there is none."""
    return _step(value, 1.0, SHADES if look.unicode else ASCII_SHADES, DASH if look.unicode else "-")


def _step(value: float | None, top: float, ramp: str, nothing: str) -> str:
    if value is None:
        return nothing
    share = min(1.0, max(0.0, value / top)) if top > 0 else 0.0
    return ramp[min(len(ramp) - 1, round(share * (len(ramp) - 1)))]
