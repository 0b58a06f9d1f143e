"""The family ``texts``: literal prompts that a user brings. All of them are used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from circuits.errors import did_you_mean
from circuits.prompts.prompt import Family, Parameter, Prompt, PromptPair, Tokenizer

_KEYS = ("text", "answer", "foil", "corrupted")


def check(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Every fault of the list; entry i (from 0) is named "texts[i]", its keys "texts[i].answer"."""
    entries = params.get("texts")
    if not isinstance(entries, list | tuple):
        return [("texts", "texts must be a list of prompts, each a text or {text, answer, foil, corrupted}")]
    if not entries:
        return [("texts", "texts is empty; give at least one prompt")]
    found: list[tuple[str, str]] = []
    first_at: dict[tuple[object, ...], int] = {}
    for index, entry in enumerate(entries):
        name = f"texts[{index}]"
        faults = _entry_faults(name, entry)
        found += faults
        if not faults:
            text, answers, _, _ = _parts(entry)
            earlier = first_at.setdefault((text, answers), index)
            if earlier != index:
                found.append((name, f"the same text and answer as prompt {earlier + 1} of the list: {text!r}"))
    return found


def _entry_faults(name: str, entry: Any) -> list[tuple[str, str]]:
    if isinstance(entry, str):
        return [] if entry.strip() else [(name, "the text is empty")]
    if not isinstance(entry, Mapping):
        return [(name, f"a prompt must be a text or {{text, answer, foil, corrupted}}, not {entry!r}")]
    found: list[tuple[str, str]] = []
    for key in entry:
        if key not in _KEYS:
            found.append((f"{name}.{key}", f"unknown key {str(key)!r} of a prompt: {did_you_mean(str(key), _KEYS)}"))
    if "text" not in entry:
        found.append((name, "the prompt has no text"))
    for key in ("text", "corrupted"):
        if key in entry and not isinstance(entry[key], str):
            found.append((f"{name}.{key}", f"{key} must be text, not {entry[key]!r}; put it in quotes"))
        elif key in entry and not entry[key].strip():
            found.append((f"{name}.{key}", f"the {key} is empty"))
    for key in ("answer", "foil"):
        problem = _set_problem(entry[key]) if key in entry else None
        if problem:
            found.append((f"{name}.{key}", f"{key} {problem}"))
    if "foil" in entry and "answer" not in entry:
        found.append((f"{name}.foil", "a foil without an answer; give the answer that it is compared with"))
    if not found and set(_strings(entry.get("answer"))) & set(_strings(entry.get("foil"))):
        found.append((f"{name}.foil", f"the foil {entry['foil']!r} is also the answer; they must differ"))
    return found


def _set_problem(value: Any) -> str | None:
    if isinstance(value, str):
        return None if value else "is empty"
    if not isinstance(value, list | tuple):
        return f"must be text or a list of texts, not {value!r}; put it in quotes"
    if not value:
        return "is an empty list"
    for entry in value:
        if not isinstance(entry, str) or not entry:
            return f"must hold texts only, not {entry!r}; put it in quotes"
    return "names one text twice" if len(set(value)) < len(value) else None


def _strings(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


def _parts(entry: Any) -> tuple[str, tuple[str, ...], tuple[str, ...], str | None]:
    if isinstance(entry, str):
        return entry, (), (), None
    return entry["text"], _strings(entry.get("answer")), _strings(entry.get("foil")), entry.get("corrupted")


def pairs(params: Mapping[str, Any], tokenizer: Tokenizer, seed: int, stream: str) -> Iterator[PromptPair]:
    """The prompts in the order of the list; seed, stream and tokenizer change nothing."""
    for entry in params["texts"]:
        text, answers, foils, corrupted = _parts(entry)
        partner = Prompt(text=corrupted) if corrupted is not None else None
        yield PromptPair(Prompt(text=text), partner, answers, foils, template="texts")


TEXTS = Family(
    name="texts",
    doc="Literal prompts from the suite; all of them are used, and items are sentences.",
    parameters=(
        Parameter(
            "texts",
            "texts",
            "a list of prompts, each a text or {text, answer, foil, corrupted}",
            required=True,
        ),
    ),
    roles=lambda params: frozenset(),
    check=check,
    pairs=pairs,
    foil="The foil is the one written beside each text, if any.",
    corruption="The corrupted partner is the one written beside each text, if any.",
    exhaustive=True,
)
