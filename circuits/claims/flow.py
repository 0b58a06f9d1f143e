"""Plain data as YAML in one line: in the suites that a scan writes, in the schema's descriptions and in the language reference."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

# What no reader of YAML, 1.1 or 1.2, takes for anything but this text, also within brackets.
_PLAIN = re.compile(r"[A-Za-z_](?:[\w ./>()+-]*[\w.)])?|[+-]?[0-9.]+%|[0-9]+\.[0-9]+ -> [\w.]*[A-Za-z]", re.ASCII)
_WORDS_OF_YAML = frozenset("true false yes no on off null y n".split())


def flow(value: Any) -> str:
    """A value as a person writes it in one line of a suite; a text that might be read as something else stands in quotes."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(str(key))}: {flow(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(flow, value)) + "]"
    if not isinstance(value, str):
        text = json.dumps(value)
        # Some readers take 1e-07 for a text.
        return text.replace("e", ".0e") if isinstance(value, float) and "." not in text else text
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS_OF_YAML:
        return value
    if value.isprintable() and ("\\" in value or '"' in value):  # a regular expression as it is
        return "'" + value.replace("'", "''") + "'"
    quoted = json.dumps(value, ensure_ascii=False)
    return "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in quoted)
