"""What an author wrote at the head of a suite: how bounds were chosen, say, and on which seed."""

from __future__ import annotations

import re
from collections.abc import Iterable

MOST = 2400
"""The most characters that are kept."""
_NOT_NOTES = re.compile(r"#\s*(yaml-language-server:|-\*-|vim?:|yamllint|prettier-ignore)")


def head_notes(lines: Iterable[str]) -> str | None:
    """The comment that a file begins with, with an empty line between paragraphs; None where there is none.

    An empty comment (``#``) ends a paragraph. Lines for editors and linters are left out, and so is what stands behind the
    first line that is no comment.
    """
    words: list[str] = []
    for line in lines:
        bare = line.strip()
        if bare and not bare.startswith(("#", "---", "%")):
            break
        if bare.startswith("#") and not _NOT_NOTES.match(bare):
            words += bare.lstrip("#").split() or ["\n\n"]
    text = re.sub(r" *\n[ \n]*", "\n\n", " ".join(words)).strip()
    if len(text) > MOST:
        text = text[:MOST].rpartition(" ")[0] + " ..."
    return text or None
