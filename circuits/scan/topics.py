"""What a scan asks of every head: scores, and attention from each kind of token to each other, on one prompt set.

A *topic* is one question on one prompt set. Two topics that read the same cells of every prompt tried are one, and what
selects nothing is left out: both are found with pseudo tokenizers (``claims.dry``), so that no model is needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from circuits.claims.claim import Attends, Bound, Check, PromptSet, Score
from circuits.claims.dry import DryRun
from circuits.claims.heads import Component
from circuits.claims.keys import ATTENTION_SCORES, WEIGHT_SCORES
from circuits.claims.positions import effective
from circuits.claims.selector import parse
from circuits.errors import CircuitsError, Position, Unmeasurable, did_you_mean
from circuits.measure.profile import classes_of
from circuits.verdict.ranking import OBSERVED

FURTHEST = 8
"""``any -> n-k`` is asked for k from 1 to this."""
TRIED = 6
"""Prompts of each of two pseudo tokenizers on which two topics are compared."""
GENERAL = ("self", "first", "duplicate", "previous duplicate", "induction", "previous induction")

Cells = tuple[tuple[int, tuple[int, ...]], ...]


@dataclass(frozen=True)
class Topic:
    """One question, asked of all heads. ``prompts`` None: it is answered by the weights alone.

    ``order``: where several describe a head about as well, the lowest is preferred: the field's scores (0), then what
    every token does (1), then what tokens of one role do (2). ``reach``: about how many tokens of a prompt have such
    keys; of two of the same order the one that is about more tokens says more.
    """

    what: Attends | Score
    prompts: PromptSet | None
    order: int
    reach: float = 0.0

    @property
    def text(self) -> str:
        """As it is written behind ``attends:`` or ``score:``."""
        if isinstance(self.what, Attends):
            return self.what.selector.text
        if isinstance(self.what.members, str):
            return f"{self.what.name} {self.what.members}"
        return self.what.name

    @property
    def weights(self) -> bool:
        """Whether it is about what a head writes, known from its weights, and not about where it looks."""
        return self.prompts is None

    @property
    def where(self) -> str:
        """The name of its prompts, or "weights"."""
        return self.prompts.title if self.prompts is not None else "weights"

    def check(self, bound: Bound = OBSERVED, head: Component | None = None) -> Check:
        """The check of a claim that asks this of one head (None: of all)."""
        kind = "attends" if isinstance(self.what, Attends) else "score"
        name = self.what.selector.text if isinstance(self.what, Attends) else self.what.name
        sets = (self.prompts,) if self.prompts is not None else ()
        heads = (head,) if head is not None else ()
        return Check(1, self.what, bound, heads, sets, f"{kind}: {name}", Position("scan", 1, 1), any=head is None)


def weight_topics(sets: Sequence[PromptSet]) -> list[Topic]:
    """Copying and successor scores of each sequence that the prompts show."""
    found = {}
    for prompt_set in sets:
        members = prompt_set.parameters.get("members")
        if not members:
            continue
        for name in WEIGHT_SCORES:
            named = members if isinstance(members, str) else tuple(members)
            found[name, named] = Topic(Score(name, named), None, 0)
    return list(found.values())


def topics_of(prompt_set: PromptSet, dry: DryRun, *, only_scores: bool = False) -> list[Topic]:
    """Every topic of a prompt set; ``only_scores``: those of the attention scores (on repeated tokens)."""
    found = []
    if prompt_set.family == "repeated_tokens":
        found += [Topic(Score(name), prompt_set, 0) for name in ATTENTION_SCORES]
    if not only_scores:
        found += list(_distinct(_selectors(prompt_set, dry), prompt_set, dry))
    return found


def _selectors(prompt_set: PromptSet, dry: DryRun) -> Iterator[Topic]:
    """General topics first: of several with the same cells the first one stays."""
    keys = [*(f"n-{back}" for back in range(1, FURTHEST + 1)), *GENERAL]
    for key in keys:
        yield Topic(Attends(parse(f"any -> {key}")), prompt_set, 1)
    roles = roles_of(prompt_set, dry)
    for query in (*roles, "end"):
        for key in roles:
            for how in ("earlier", "previous"):
                yield Topic(Attends(parse(f"{query} -> {how} {key}")), prompt_set, 2)


def roles_of(prompt_set: PromptSet, dry: DryRun) -> tuple[str, ...]:
    """The roles between which attention is asked for: those that every prompt has and a head's profile shows, and the suite's own.

    A word that only some templates of a family have says more about the template than about the head; of very many roles
    the last in the profile's order (words and punctuation) are left out.
    """
    prompts = dry.prompts(prompt_set, 0) or []
    named = dry.own.families[prompt_set.family].roles(prompt_set.parameters) | prompt_set.roles.keys()
    common = {role for role in named if prompts and all(prompt.roles.get(role) for prompt in prompts)}
    alike = [replace(p, roles={role: spans for role, spans in p.roles.items() if role in common}) for p in prompts]
    shown = [name for name in classes_of(alike).names if name in common] if common else []
    return tuple(dict.fromkeys((*shown, *prompt_set.roles)))


def _distinct(topics: Iterator[Topic], prompt_set: PromptSet, dry: DryRun) -> Iterator[Topic]:
    seen: set[tuple[Cells, ...]] = set()
    for topic in topics:
        assert isinstance(topic.what, Attends)
        cells = _cells(topic.what, prompt_set, dry)
        if cells is not None and not any(cells):  # nothing on a few prompts: is it so on all that lint tries?
            cells = () if dry.empty(topic.what.selector, prompt_set, ()) is not None else None
        if cells == () or (cells is not None and cells in seen):
            continue
        if cells is None:
            yield topic
            continue
        seen.add(cells)
        yield replace(topic, reach=sum(map(len, cells)) / len(cells))


def _cells(what: Attends, prompt_set: PromptSet, dry: DryRun) -> tuple[Cells, ...] | None:
    """The cells of a topic on a few prompts; None where nobody can tell."""
    found: list[Cells] = []
    for which in (0, 1):
        prompts = dry.prompts(prompt_set, which)
        if not prompts:
            continue
        step = max(1, len(prompts) // TRIED)
        try:
            found += [
                tuple(effective(what.selector, prompt, prompt_set.variables, ()).items()) for prompt in prompts[::step]
            ]
        except Unmeasurable:
            return None
    return tuple(found) or None


def find(topics: Sequence[Topic], question: str) -> list[Topic]:
    """The topics of a name ("any -> n-1", "induction"), one for each prompt set. CircuitsError: there is none."""
    wanted = "".join(question.removeprefix("score:").split())
    found = [topic for topic in topics if "".join(topic.text.split()) == wanted]
    if not found:
        names = [topic.text for topic in topics]
        raise CircuitsError(f"the scan has no question {question!r}: {did_you_mean(question, names)}")
    return found


def slug(text: str) -> str:
    """A topic's name as a part of a claim's id."""
    return re.sub(r"(?:[^\w.-]|_)+", "-", text.replace("->", "to")).strip("-").lower()
