"""Selectors on a tokenised prompt: which key positions does each query position have?

Plain Python on purpose: lint uses it without numpy, and it is the one place where the meaning of
a selector is computed (DESIGN 3.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from circuits.claims.selector import Back, Half, Index, Not, Qualified, Role, Selector, Set, Shift, Structure, Union
from circuits.errors import Unmeasurable
from circuits.prompts.prompt import TokenPrompt

Spans = list[tuple[int, ...]]


@dataclass(frozen=True)
class _Look:
    """One prompt with the values that offsets may use."""

    prompt: TokenPrompt
    variables: Mapping[str, int]

    @property
    def start(self) -> int:
        """The first position that is not BOS."""
        return 1 if self.prompt.has_bos else 0

    @property
    def length(self) -> int:
        return len(self.prompt.ids)

    def offset(self, back: Back) -> int:
        if back.variable is None:
            return back.constant
        value = self.prompt.period if back.variable == "period" and "period" not in self.variables else self.variables.get(back.variable)
        if value is None:
            if back.variable == "period":
                raise Unmeasurable("n-{period}: the items of these prompts have no common length in tokens, so there is no period")
            raise Unmeasurable(f"n-{{{back.variable}}}: this prompt set has no variable {back.variable!r}")
        return back.factor * value + back.constant

    def spans(self, of: Set, query: int | None) -> Spans:
        """The spans of a set, in reading order. ``query`` None: the set stands on the query side."""
        if isinstance(of, Role):
            return list(self.prompt.roles.get(of.name, ()))
        if isinstance(of, Structure):
            return self.structure(of.name, query)
        if isinstance(of, Back):
            assert query is not None
            back = self.offset(of)
            place = query - back
            return [(place,)] if back > 0 and place >= self.start else []
        if isinstance(of, Qualified):
            assert query is not None
            return self.qualified(of, query)
        if isinstance(of, Index):
            found = self.spans(of.of, query)
            return found[of.k - 1 : of.k] if query is None else [s for s in found[of.k - 1 : of.k] if query not in s]
        if isinstance(of, Half):
            middle = self.start + (self.length - self.start) // 2
            early = of.which == "early"
            kept = (tuple(p for p in span if p >= self.start and (p < middle) == early) for span in self.spans(of.of, query))
            return [span for span in kept if span]
        if isinstance(of, Shift):
            shifted = (span[-1] + of.by if of.by > 0 else span[0] + of.by for span in self.spans(of.of, query))
            return [(place,) for place in shifted if self.start <= place < self.length]
        if isinstance(of, Not):
            inside = {place for span in self.spans(of.of, query) for place in span}
            return [(place,) for place in range(self.start, self.length) if place not in inside]
        return [span for part in of.of for span in self.spans(part, query)]

    def structure(self, name: str, query: int | None) -> Spans:
        if name == "any":
            return [(place,) for place in range(self.start, self.length)]
        if name == "end":
            return [(self.length - 1,)]
        if name == "first":
            return [(0,)]
        if name == "bos":
            return [(0,)] if self.prompt.has_bos else []
        assert query is not None
        if name == "self":
            return [(query,)]
        token = self.prompt.ids[query]
        copies = [place for place in range(self.start, query) if self.prompt.ids[place] == token]
        return [(place + (1 if name == "induction" else 0),) for place in copies]

    def qualified(self, of: Qualified, query: int) -> Spans:
        inner = self.spans(of.of, query)
        if of.how == "same":
            item = self.prompt.item_of[query]
            kept = (tuple(p for p in span if item >= 0 and self.prompt.item_of[p] == item) for span in inner)
            return [span for span in kept if span]
        earlier = sorted((span for span in inner if span[-1] < query), key=lambda span: span[-1])
        return earlier if of.how == "earlier" else earlier[-1:]


def _names_self(of: Set) -> bool:
    """Whether the set itself (not the outside of it) names ``self``."""
    if isinstance(of, Union):
        return any(_names_self(part) for part in of.of)
    if isinstance(of, (Half, Shift, Index, Qualified)):
        return isinstance(of, Half) and _names_self(of.of)
    return isinstance(of, Structure) and of.name == "self"


def queries(selector: Selector, prompt: TokenPrompt, variables: Mapping[str, int]) -> list[int]:
    """The query positions of a selector, ascending."""
    look = _Look(prompt, variables)
    return sorted({place for span in look.spans(selector.query, None) for place in span})


def key_sets(selector: Selector, prompt: TokenPrompt, variables: Mapping[str, int]) -> dict[int, tuple[int, ...]]:
    """The key positions of every query position, each ascending; an empty set is left in.

    No key lies past its query; the query itself is in its set only where ``self`` is named.
    Raises Unmeasurable when an offset needs a period or variable that the prompt does not have.
    """
    look = _Look(prompt, variables)
    own = _names_self(selector.key)
    found = {}
    for query in queries(selector, prompt, variables):
        keys = {place for span in look.spans(selector.key, query) for place in span}
        found[query] = tuple(sorted(place for place in keys if place < query or (own and place == query)))
    return found


def effective(selector: Selector, prompt: TokenPrompt, variables: Mapping[str, int], excluding: tuple[str, ...]) -> dict[int, tuple[int, ...]]:
    """Key sets without the excluded keys, for the queries that have any key left."""
    drop_bos = "bos" in excluding and prompt.has_bos
    found = {}
    for query, keys in key_sets(selector, prompt, variables).items():
        kept = tuple(k for k in keys if not (drop_bos and k == 0) and not ("self" in excluding and k == query))
        if kept:
            found[query] = kept
    return found
