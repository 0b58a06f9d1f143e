"""A dry run: does a selector select anything at all? Asked of a few prompts, without any model.

No tokenizer of a model is at hand when suites are checked, so prompts are made with pseudo tokenizers:
one token a word, two tokens a word, one token a character (and no BOS). What is empty under every one of them
is empty for any tokenizer a model may have. Where they cannot tell, there is no opinion.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from circuits.claims import positions
from circuits.claims.claim import PromptSet
from circuits.claims.sets import Selector
from circuits.errors import PromptFault, Unmeasurable
from circuits.prompts.own import Extensions, OwnFault
from circuits.prompts.prompt import Family, TokenPrompt
from circuits.prompts.tokens import build

GENERATED = 24  # prompts of a generated set that are tried: two of each template of the family with most
FEW = 2  # ... of one of random tokens, and at first of every set
WITH_ROLES = 300  # ... where roles are regular expressions, which may match only some prompts
LONGEST = 300  # sets with a larger integer parameter are not tried: it would take too long
_WORDS = re.compile(r" ?[^\W\d_]+| ?\d| ?[^\w\s]|\s|_")


class PseudoTokenizer:
    """Splits text into words, digits and marks (a space before belongs to them), each into ``pieces``.

    ``pieces``: characters of the first token of a word, the rest being a second one; 0 keeps words
    whole. ``characters`` makes each character a token. Equal tokens have equal ids; BOS is 0.
    """

    def __init__(self, name: str, pieces: int = 0, characters: bool = False):
        self.name = name
        self.bos_id: int | None = None if characters else 0  # some models have no BOS
        self.vocabulary_size = 4000
        self.special_ids = frozenset({0})
        self._pieces = pieces
        self._characters = characters
        self._tokens: dict[str, int] = {}

    def encode(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids and the characters of each."""
        spans: list[tuple[int, int]] = []
        if self._characters:
            spans = [(at, at + 1) for at in range(len(text))]
        else:
            for match in _WORDS.finditer(text):
                start, end = match.span()
                cut = start + self._pieces + (text[start] == " ")
                spans += [(start, cut), (cut, end)] if self._pieces and cut < end else [(start, end)]
        return [self._tokens.setdefault(text[a:b], len(self._tokens) + 1) for a, b in spans], spans

    def decode(self, token_id: int) -> str:
        """The text of an id; only ever shown."""
        return next((token for token, known in self._tokens.items() if known == token_id), f"<{token_id}>")


@dataclass(frozen=True)
class Empty:
    """Why a selector selects nothing. ``side``: "query" (no query tokens) or "key" (no keys for any query)."""

    side: str
    example: str


class DryRun:
    """Answers for the prompt sets of one suite; each set's prompts are made once, when first needed."""

    def __init__(self, families: Mapping[str, Family], own: Extensions | None = None):
        self.own = own if own is not None else Extensions(families)
        self._prompts: dict[tuple[str, int, bool], list[TokenPrompt] | None] = {}
        self._texts: dict[int, tuple[PromptSet, str]] = {}  # by identity: what a set's prompts depend on
        self._known: dict[tuple[str, int, tuple[str, ...]], Empty | None] = {}  # selector, set and exclusions -> empty
        self._tokenizers = (
            PseudoTokenizer("words"),
            PseudoTokenizer("half words", pieces=1),
            PseudoTokenizer("characters", characters=True),
        )

    def empty(self, selector: Selector, prompt_set: PromptSet, excluding: tuple[str, ...]) -> Empty | None:
        """Why the selector selects nothing on any prompt, or None when it does somewhere or nobody can tell."""
        self._text(prompt_set)  # keeps the set, so that its identity stays its own
        about = (selector.text, id(prompt_set), excluding)
        if about not in self._known:
            self._known[about] = self._empty(selector, prompt_set, excluding)
        return self._known[about]

    def _empty(self, selector: Selector, prompt_set: PromptSet, excluding: tuple[str, ...]) -> Empty | None:
        if self._soon(prompt_set, lambda prompt: self._selects(selector, prompt, prompt_set, excluding)):
            return None
        side, example, asked = "query", "", 0
        for which in range(len(self._tokenizers)):
            prompts = self.prompts(prompt_set, which)
            if prompts is None:
                continue
            try:
                for prompt in prompts:
                    if self._selects(selector, prompt, prompt_set, excluding):
                        return None
                    if side == "query" and positions.queries(selector, prompt, prompt_set.variables):
                        side = "key"
            except Unmeasurable:
                continue
            asked += 1
            example = example or prompts[0].text
        return Empty(side, "" if prompt_set.family == "repeated_tokens" else example) if asked >= 2 else None

    def apart(self, left: Selector, right: Selector, prompt_set: PromptSet, excluding: tuple[str, ...]) -> bool:
        """Whether no query has keys on both sides of a comparison with equal queries, on any prompt."""

        def meet(prompt: TokenPrompt) -> bool:
            sides = [
                dict(positions.eligible(side, prompt, prompt_set.variables, excluding)).keys() for side in (left, right)
            ]
            return bool(sides[0] & sides[1])

        if self._soon(prompt_set, meet):
            return False
        asked = 0
        for which in range(len(self._tokenizers)):
            prompts = self.prompts(prompt_set, which)
            if prompts is None:
                continue
            try:
                for prompt in prompts:
                    if meet(prompt):
                        return False
            except Unmeasurable:
                continue
            asked += 1
        return asked >= 2

    @staticmethod
    def _selects(selector: Selector, prompt: TokenPrompt, prompt_set: PromptSet, excluding: tuple[str, ...]) -> bool:
        return any(positions.eligible(selector, prompt, prompt_set.variables, excluding))

    def _soon(self, prompt_set: PromptSet, holds: Callable[[TokenPrompt], bool]) -> bool:
        """Whether something holds of the first few prompts: so it nearly always is, and no more need be made."""
        try:
            return any(holds(prompt) for prompt in self.prompts(prompt_set, 0, few=True) or ())
        except Unmeasurable:
            return False

    def silent_roles(self, prompt_set: PromptSet) -> list[str]:
        """The suite's own roles that match no prompt of the set."""
        if not prompt_set.roles:
            return []
        prompts = self.prompts(prompt_set, 0)
        if prompts is None:
            return []
        return [role for role in prompt_set.roles if not any(prompt.roles.get(role) for prompt in prompts)]

    def why_silent(self, prompt_set: PromptSet, role: str) -> tuple[str, str]:
        """Message and hint for a role that ``silent_roles`` named."""
        prompts = self.prompts(prompt_set, 0) or []
        pattern = prompt_set.roles[role]
        if prompts and role not in prompts[0].roles:
            message = (
                f"role {role!r}: prompts of family {prompt_set.family} are tokens, not text, so no pattern can match"
            )
            return message, "use the roles that the family gives"
        message = f"role {role!r}: {pattern!r} matches nothing in the prompts of this set"
        return message, f"such a prompt: {shorten(prompts[0].text)}" if prompts else ""

    def prompts(self, prompt_set: PromptSet, which: int, few: bool = False) -> list[TokenPrompt] | None:
        """Prompts of a set (``few``: the first FEW) under one pseudo tokenizer; None where none can be made."""
        key = (self._text(prompt_set), which, few)
        if key not in self._prompts:
            whole = self._prompts.get((*key[:2], False))
            self._prompts[key] = whole[:FEW] if few and whole else self._build(prompt_set, which, few)
        return self._prompts[key]

    def failure(self, prompt_set: PromptSet) -> str | None:
        """How a project's own family fails to make prompts under every pseudo tokenizer; None where it makes some."""
        said: list[str] = []
        for which in range(len(self._tokenizers)):
            try:
                self._made(prompt_set, which, dict(prompt_set.parameters), FEW)
            except OwnFault as fault:
                said.append(str(fault))
            except Exception:  # a pseudo tokenizer may not suit it; the real run will tell
                return None
        return said[0] if len(said) == len(self._tokenizers) else None

    def _made(self, prompt_set: PromptSet, which: int, parameters: Mapping[str, Any], count: int) -> list[TokenPrompt]:
        family = self.own.family(prompt_set.family, prompt_set.own_roles)
        return build(family, parameters, self._tokenizers[which], 0, "prompts", count, prompt_set.bos, prompt_set.roles)

    def _text(self, prompt_set: PromptSet) -> str:
        """What the prompts of a set depend on."""
        if id(prompt_set) not in self._texts:
            about = [prompt_set.family, dict(prompt_set.parameters), prompt_set.bos, dict(prompt_set.roles)]
            about.append(list(prompt_set.own_roles))
            self._texts[id(prompt_set)] = (prompt_set, json.dumps(about, sort_keys=True, default=str))
        return self._texts[id(prompt_set)][1]

    def _build(self, prompt_set: PromptSet, which: int, few: bool) -> list[TokenPrompt] | None:
        whole = {k: v for k, v in prompt_set.parameters.items() if k != "period"}  # a period is only checked
        if any(isinstance(value, int) and value > LONGEST for value in whole.values()):
            return None
        count = WITH_ROLES if prompt_set.roles or prompt_set.own_roles else GENERATED
        count = FEW if few or prompt_set.family == "repeated_tokens" else count
        for parameters in (whole, *_simpler(whole)):
            try:
                return self._made(prompt_set, which, parameters, count)
            except PromptFault:
                continue
            except Exception:  # a project's own family may do anything; the real run will tell
                return None
        return None


def _simpler(parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Literal texts without their partners, then without answers: a pseudo tokenizer may not take those."""
    texts = parameters.get("texts")
    if not isinstance(texts, (list, tuple)):
        return []
    found = []
    for kept in (("text", "answer", "foil"), ("text",)):
        plain = [{k: v for k, v in entry.items() if k in kept} if isinstance(entry, dict) else entry for entry in texts]
        found.append({**parameters, "texts": plain})
    return found


def shorten(text: str, most: int = 90) -> str:
    """A prompt in quotes, cut where it is long."""
    return repr(text if len(text) <= most else text[: most - 3] + "...")
