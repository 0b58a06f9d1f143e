"""What was shown to the model, as a report tells it: a prompt set, its first prompt, its parameters and texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from circuits.report.pages import details
from circuits.report.prose import code, listing, prose
from circuits.report.record import number

_MOST_TOKENS = 64
FEW_ANSWERS = 3
"""Where there are more prompts than this many times their different answers, the page says so before the numbers are believed."""


def names_of_sets(suite: Sequence[Mapping[str, Any]]) -> dict[str, set[str]]:
    """Under which names the claims of a page have the very same prompts, as many of them: the names by digest."""
    found: dict[str, set[str]] = {}
    for entry in suite:
        for name, facts in (entry.get("prompts") or {}).items():
            if (facts or {}).get("digest"):
                found.setdefault(facts["digest"], set()).add(name)
    return found


def prompt_set(name: str, prompts: Mapping[str, Any], others: Sequence[str] = ()) -> str:
    """What was shown to the model, with a closed part for what is looked up rather than read.

    ``others``: names under which the same prompts stand elsewhere on the page.
    """
    text, more = prompt_facts(name, prompts), more_of_prompts(prompts)
    if others:
        text += f"\n- The same prompts stand on this page under other names: {listing(map(code, others))}"
    return text + "\n\n" + details(f"More about the prompts {name}", more) if more else text


def prompt_facts(name: str, prompts: Mapping[str, Any]) -> str:
    """The set, its first prompt, answer, foil and corrupted partner."""
    lengths = prompts.get("token_lengths") or {}
    facts = [f"family {code(prompts['family'])}"] if prompts.get("family") else []
    if prompts.get("n") is not None:
        every = ", all there are" if prompts.get("census") else ""
        facts.append(f"{number(prompts['n'])} {'prompt' if prompts['n'] == 1 else 'prompts'}{every}")
    if lengths:
        order = sorted(lengths, key=lambda length: (len(str(length)), str(length)))
        facts.append(
            "length in tokens " + ", ".join(f"{prose(length)} ({number(lengths[length])} prompts)" for length in order)
        )
    if prompts.get("bos") is not None:
        tokens = prompts.get("tokens") or []
        which = f" ({code(tokens[0])})" if tokens else ""
        where = "" if tokens else " where the tokenizer has one"
        facts.append(f"BOS{which} in front{where}" if prompts["bos"] else "no BOS")
    if prompts.get("period") is not None:
        facts.append(f"period {number(prompts['period'])} tokens")
    lines = [f"**Prompts {code(name)}**: {'; '.join(facts) or 'nothing recorded'}."]
    if prompts.get("requires"):
        told = listing(f"{code(metric)} above {number(least)}" for metric, least in sorted(prompts["requires"].items()))
        lines.append(f"- An intervention on them is measured only where the model surely has {told}")
    if prompts.get("census"):
        lines.append(
            "- They are all the prompts that this family gives with these parameters: a value is exact for them, and speaks of no others"
        )
    elif _texts(prompts):
        lines.append(
            "- All texts of the suite are used. Intervals take them for independent draws: they speak of the mean over more texts of "
            "this kind, and what they promise holds as far as these are such draws"
        )
    if prompts.get("drawn"):
        lines.append(f"- How they are drawn: {prose(prompts['drawn'])}{_of_vocabulary(prompts)}")
    few = prompts.get("distinct_answers")
    if few and not _texts(prompts) and (prompts.get("n") or 0) > FEW_ANSWERS * few:
        lines.append(
            f"- They have {number(few)} different answers only: intervals speak of more such prompts, hardly of other answers"
        )
    if prompts.get("example") is not None:
        lines.append(f"- First prompt: {code(prompts['example'])}")
    for key, title, rule in (
        ("answer", "Answer", ""),
        ("foil", "Foil", "foil_rule"),
        ("corrupted", "Corrupted partner", "corruption"),
    ):
        if prompts.get(key) is not None or prompts.get(rule):
            seen = "example" in prompts or "n" in prompts
            known = [code(prompts[key])] if prompts.get(key) is not None else ["none"] if seen else []
            lines.append(f"- {title}: " + ". ".join([*known, *([prose(prompts[rule])] if prompts.get(rule) else [])]))
    return lines[0] + "\n\n" + "\n".join(lines[1:]) if lines[1:] else lines[0]


def more_of_prompts(prompts: Mapping[str, Any]) -> str:
    """Parameters, templates, tokens, number of answers, digest as a list; "" where none is recorded."""
    lines = []
    pairs = [
        f"{key}: {_as_yaml(value)}"
        for key, value in sorted((prompts.get("parameters") or {}).items())
        if key != "texts"
    ]
    if pairs:
        lines.append(f"- Parameters: {', '.join(map(code, pairs))}")
    if prompts.get("roles"):
        named = (f"{key}: {value}" for key, value in sorted(prompts["roles"].items()))
        lines.append(f"- Roles (regular expressions): {', '.join(map(code, named))}")
    texts = _texts(prompts)
    if texts:
        lines.append(f"- Texts ({number(len(texts))}, all of them):")
        lines += [f"  - {_text(text)}" for text in texts]
    texts_of: Mapping[str, str] = prompts.get("template_texts") or {}
    if prompts.get("templates"):
        known = (
            f"{code(name)}{f': {code(texts_of[name])}' if name in texts_of else ''}" for name in prompts["templates"]
        )
        lines.append(f"- Templates: {', '.join(known)}")
    tokens = prompts.get("tokens") or []
    if tokens:
        cut = f" and {len(tokens) - _MOST_TOKENS} more" if len(tokens) > _MOST_TOKENS else ""
        lines.append(f"- Tokens of the first prompt: {' '.join(map(code, tokens[:_MOST_TOKENS]))}{cut}")
    if prompts.get("distinct_answers"):
        lines.append(f"- Different answers among them: {number(prompts['distinct_answers'])}")
    if prompts.get("digest"):
        lines.append(f"- Digest: {code(prompts['digest'])}")
    return "\n".join(lines)


def _of_vocabulary(prompts: Mapping[str, Any]) -> str:
    """How many tokens there are to draw from, where whole prompts are drawn from the vocabulary."""
    ids = prompts.get("family") == "repeated_tokens" and prompts.get("vocabulary")
    return f" The vocabulary has {number(prompts['vocabulary'])} tokens" if ids else ""


def _texts(prompts: Mapping[str, Any]) -> list[Any]:
    """The texts of a set whose prompts are given literally."""
    texts = (prompts.get("parameters") or {}).get("texts")
    return texts if isinstance(texts, list) else []


def _text(text: Any) -> str:
    """A literal prompt with its answer, foil and corrupted partner, in one line."""
    if not isinstance(text, Mapping):
        return code(text)
    parts = [code(text.get("text", ""))]
    parts += [f"{key} {code(text[key])}" for key in ("answer", "foil", "corrupted") if text.get(key) is not None]
    parts += [f"{key} {code(_as_yaml(text[key]))}" for key in sorted(text) if key not in _OF_TEXTS]
    return ", ".join(parts)


_OF_TEXTS = ("text", "answer", "foil", "corrupted")


def _as_yaml(value: Any) -> str:
    """A parameter in one line, as it may stand in YAML."""
    if isinstance(value, list):
        return f"[{', '.join(map(_as_yaml, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_as_yaml(each)}" for key, each in value.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else str(value)
