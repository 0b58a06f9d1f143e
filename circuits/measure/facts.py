"""What reports say of a prompt set: an example, answer and foil, lengths, templates, a digest (plain data)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from circuits.claims.claim import PromptSet
from circuits.measure.cache import digest
from circuits.prompts.own import pairs_of
from circuits.prompts.prompt import Family, Tokenizer, TokenPrompt
from circuits.prompts.registry import with_defaults


def describe(
    prompts: Sequence[TokenPrompt], family: Family, spec: PromptSet, tokenizer: Tokenizer, seed: int, wanted: int
) -> dict[str, Any]:
    """The facts of a prompt set of which ``wanted`` prompts were asked for."""
    decode = tokenizer.decode
    first = prompts[0]
    lengths = Counter(len(prompt.ids) for prompt in prompts)
    return describe_unseen(family, spec) | {
        "n": len(prompts),
        "seed": seed,
        "example": first.text or None,
        "tokens": [decode(token) for token in first.ids],
        "answer": decode(first.answers[0]) if first.answers else None,
        "foil": decode(first.foils[0]) if first.foils else None,
        "corrupted": _corrupted_text(first, family, spec, tokenizer, seed),
        "bos": first.has_bos,
        "token_lengths": {str(length): count for length, count in sorted(lengths.items())},
        "templates": (used := sorted({prompt.template for prompt in prompts if prompt.template})),
        "template_texts": {name: family.template_texts[name] for name in used if name in family.template_texts},
        "vocabulary": tokenizer.vocabulary_size,
        "period": first.period,
        "census": len(prompts) < wanted and not family.exhaustive,
        "distinct_answers": len({prompt.answers[:1] for prompt in prompts if prompt.answers}),
        "answers": all(prompt.answers for prompt in prompts),
        "right_answers": max(len(prompt.answers) for prompt in prompts) or None,
        "digest": "sha256:" + digest([[p.ids, p.corrupted, p.answers, p.foils] for p in prompts]),
    }


def describe_unseen(family: Family, spec: PromptSet) -> dict[str, Any]:
    """What can be said of a prompt set without a tokenizer: its family, parameters and rules (plain data)."""
    parameters = {k: v for k, v in with_defaults(family, spec.parameters).items() if v is not None}
    return {
        "family": family.name, "parameters": parameters, "foil_rule": family.foil, "corruption": family.corruption,
        "drawn": family.drawn or None, "bos": spec.bos,
    }  # fmt: skip


def _corrupted_text(first: TokenPrompt, family: Family, spec: PromptSet, tokenizer: Tokenizer, seed: int) -> str | None:
    """The first prompt's corrupted partner as it was written, or its tokens where it never was text."""
    if first.corrupted is None:
        return None
    parameters = with_defaults(family, spec.parameters)
    pair = next(pairs_of(family, parameters, tokenizer, seed, "prompts"))
    if pair.corrupted is not None and pair.corrupted.text is not None:
        return pair.corrupted.text
    return "".join(tokenizer.decode(token) for token in first.corrupted[1 if first.has_bos else 0 :])
