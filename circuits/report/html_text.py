"""Text for the HTML page: escaped, or the report's own Markdown turned into HTML that cannot hold anything else."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_OWN_TAGS = ("<code>", "</code>", "<br>")
"""What ``prose.code`` and the tables write themselves; any other tag in Markdown is shown as text."""
_EMPTY = ("img", "input", "meta", "link")
_PAGE_LINK = re.compile(r"([\w.-]+)\.md#([\w.%-]+)")


def escape(text: Any) -> str:
    """Text that is shown as it is written, in an element or in a quoted attribute."""
    return html.escape(str(text), quote=True)


def code_span(text: Any) -> str:
    """A text as code within a line."""
    return tag("code", escape(text))


def tag(name: str, content: str = "", /, **attributes: Any) -> str:
    """An element with ready HTML inside; attributes are escaped, None and False left out, True without a value.

    ``class_`` is ``class``; other underscores become hyphens.
    """
    start = f"<{name}{''.join(_attribute(key, value) for key, value in attributes.items())}>"
    return start if name in _EMPTY else f"{start}{content}</{name}>"


def _attribute(key: str, value: Any) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(value)}"'


def inline(markdown: str) -> str:
    """One line of the report's Markdown as HTML: bold, code and links to claims; everything else is text."""
    return str(_parser().renderInline(markdown))


def block(markdown: str) -> str:
    """Paragraphs, lists and tables of the report's Markdown as HTML; tables scroll inside a box of their own."""
    shown = str(_parser().render(markdown))
    return shown.replace("<table>", '<div class="scroll" tabindex="0"><table>').replace("</table>", "</table></div>")


def plain(markdown: str) -> str:
    """One line of the report's Markdown as bare text, for labels that hold no elements (escape it there)."""
    return html.unescape(re.sub(r"<[^>]*>", "", inline(markdown)))


def claim_id(page: str, anchor: str) -> str:
    """The id of a claim's section, from the names of its Markdown page (without suffix) and of its place there."""
    return f"{page}--{anchor}"


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": True}).enable("table").disable("image")
    parser.add_render_rule("html_inline", _own_tag)
    parser.add_render_rule("html_block", _own_tag)
    parser.add_render_rule("link_open", _link_open)
    parser.add_render_rule("link_close", lambda *_: "</a>")
    return parser


def _own_tag(self: Any, tokens: Sequence[Token], index: int, options: Mapping[str, Any], env: Any) -> str:
    text = tokens[index].content
    return text if text in _OWN_TAGS else escape(text)


def _link_open(self: Any, tokens: Sequence[Token], index: int, options: Mapping[str, Any], env: Any) -> str:
    """A link to a claim becomes one to its section; those to the refutations stay, others lead nowhere."""
    href = str(tokens[index].attrs.get("href", ""))
    found = _PAGE_LINK.fullmatch(href)
    target = f"#{claim_id(found[1], found[2])}" if found else href if href == "#strongest-refutations" else None
    return tag("a", href=target)[: -len("</a>")] if target else "<a>"
