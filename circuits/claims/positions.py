"""Selectors on a tokenised prompt: which key positions does each query position have?

Plain Python on purpose: lint uses it without numpy, and it is the one place where the meaning of
a selector is computed (DESIGN 3.2).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from circuits.claims.sets import Back, Half, Index, Not, Qualified, Role, Selector, Set, Shift, Structure, Union
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
        value = self.variables.get(back.variable)
        if value is None and back.variable == "period":
            value = self.prompt.period
            if value is None:
                raise Unmeasurable(
                    "n-{period}: the items of these prompts have no common length in tokens, so no period"
                )
        if value is None:
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
            found = self.spans(of.of, query)[of.k - 1 : of.k]
            return [span for span in found if query not in span]
        if isinstance(of, Half):
            kept = (tuple(p for p in span if self.in_half(p, of.which)) for span in self.spans(of.of, query))
            return [span for span in kept if span]
        if isinstance(of, Shift):
            shifted = (span[-1] + of.by if of.by > 0 else span[0] + of.by for span in self.spans(of.of, query))
            return [(place,) for place in shifted if self.start <= place < self.length]
        if isinstance(of, Not):
            inside = {place for span in self.spans(of.of, query) for place in span}
            return [(place,) for place in range(self.start, self.length) if place not in inside]
        return sorted({span for part in of.of for span in self.spans(part, query)})

    def in_half(self, place: int, which: str) -> bool:
        """Whether a position lies in the first or second half of those that are not BOS (odd: the middle is late)."""
        middle = self.start + (self.length - self.start) // 2
        return place >= self.start and (place < middle) == (which == "early")

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
            kept = (tuple(p for p in span if self.same_item(p, query)) for span in inner)
            return [span for span in kept if span]
        earlier = sorted((span for span in inner if span[-1] < query), key=lambda span: span[-1])
        return earlier if of.how == "earlier" else earlier[-1:]

    def same_item(self, place: int, query: int) -> bool:
        item = self.prompt.item_of[query]
        return item >= 0 and self.prompt.item_of[place] == item

    def holds_self(self, of: Set, query: int) -> bool:
        """Whether the set names ``self`` for this query (being in a role or outside a ``not`` is not enough)."""
        if isinstance(of, Union):
            return any(self.holds_self(part, query) for part in of.of)
        if isinstance(of, Half):
            return self.holds_self(of.of, query) and self.in_half(query, of.which)
        if isinstance(of, Qualified) and of.how == "same":
            return self.holds_self(of.of, query) and self.same_item(query, query)
        return isinstance(of, Structure) and of.name == "self"

    def keys(self, of: Set, query: int) -> tuple[int, ...]:
        """The key positions of one query: before it, and itself only where ``self`` is named."""
        before = {place for span in self.spans(of, query) for place in span if place < query}
        return tuple(sorted(before | ({query} if self.holds_self(of, query) else set())))


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
    return {query: look.keys(selector.key, query) for query in queries(selector, prompt, variables)}


def effective(
    selector: Selector, prompt: TokenPrompt, variables: Mapping[str, int], excluding: tuple[str, ...]
) -> dict[int, tuple[int, ...]]:
    """Key sets without the excluded keys, for the queries that have any key left, by ascending query."""
    found = dict(eligible(selector, prompt, variables, excluding))
    return {query: found[query] for query in sorted(found)}


def eligible(
    selector: Selector, prompt: TokenPrompt, variables: Mapping[str, int], excluding: tuple[str, ...]
) -> Iterator[tuple[int, tuple[int, ...]]]:
    """What ``effective`` holds, one query at a time and the last query first, which most often has keys."""
    look = _Look(prompt, variables)
    drop_bos = "bos" in excluding and prompt.has_bos
    for query in reversed(queries(selector, prompt, variables)):
        keys = look.keys(selector.key, query)
        kept = tuple(k for k in keys if not (drop_bos and k == 0) and not ("self" in excluding and k == query))
        if kept:
            yield query, kept
