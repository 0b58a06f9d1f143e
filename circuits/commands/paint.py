"""Coloured lines on a terminal, plain ones elsewhere: who reads the output, and how wide it is."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from circuits.commands.common import say

if TYPE_CHECKING:
    from circuits.report.plain import Look
    from circuits.report.terminal import Line

CODES = {
    "bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36", "query": "1;7", "key": "1;30;42",
}  # fmt: skip
"""Names of colours and their codes (ANSI, SGR)."""


def coloured() -> bool:
    """Whether standard output takes colours: a terminal that is not dumb, and NO_COLOR (no-color.org) is not set."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (sys.stdout.isatty() and os.environ.get("TERM") != "dumb")


def look() -> Look:
    """Width and characters of standard output: the terminal's, $COLUMNS, else 100."""
    from circuits.report.plain import Look

    encoding = str(getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "")
    return Look(shutil.get_terminal_size((100, 24)).columns, encoding.startswith(("utf", "gb18030")))


def show(lines: Iterable[Line]) -> None:
    """Write lines of coloured pieces; characters that the output's encoding lacks become question marks."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    with_colours = coloured()
    for line in lines:
        text = "".join(_piece(text, name if with_colours else None) for text, name in line).rstrip()
        say(text.encode(encoding, "replace").decode(encoding))


def _piece(text: str, name: str | None) -> str:
    return f"\x1b[{CODES[name]}m{text}\x1b[0m" if name is not None and text else text
