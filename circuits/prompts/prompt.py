"""What text is shown: pairs of a clean and a corrupted prompt, with answer, foil and roles.

No torch here and no tokenizer library: a tokenizer is anything with the small interface
``Tokenizer`` below, so that prompts can be made and tested without a model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from circuits.prompts.own import Role


class Tokenizer(Protocol):
    """The part of a tokenizer that prompts need.

    ``name`` identifies it (it seeds nothing; it is recorded). ``bos_id`` is the id that goes to
    position 0, or None when the tokenizer has none. ``vocabulary_size`` counts all ids;
    ``special_ids`` are those never drawn as random tokens.
    """

    name: str
    bos_id: int | None
    vocabulary_size: int
    special_ids: frozenset[int]

    def encode(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids of ``text`` without any special token, and each token's (start, end) characters."""
        ...

    def decode(self, token_id: int) -> str:
        """One token as readable text (spaces kept)."""
        ...


@dataclass(frozen=True)
class Span:
    """Characters [start, end) of a prompt's text."""

    start: int
    end: int


@dataclass(frozen=True)
class Prompt:
    """One prompt as text (or, for families of random tokens, as ids without BOS).

    ``roles`` maps a role to its spans in reading order; ``items`` are the spans of the repeated
    units ("Adam is 1."), the last one possibly unfinished ("Emma is"); empty = none given.
    For an id prompt ``roles`` and ``items`` hold *token index* spans of ``ids`` instead of characters.
    """

    text: str | None
    ids: tuple[int, ...] | None = None
    roles: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    items: tuple[Span, ...] = ()


@dataclass(frozen=True)
class PromptPair:
    """A clean prompt, its corrupted partner, and the answer and foil that follow the clean one.

    ``answers`` / ``foils`` are continuations as text, the first of each being *the* answer and
    *the* foil (more than one only for set metrics such as ``prob_diff``). For an id prompt they
    are ``answer_ids`` / ``foil_ids``. ``template`` names the template (stratum) it was made from.
    """

    clean: Prompt
    corrupted: Prompt | None
    answers: tuple[str, ...] = ()
    foils: tuple[str, ...] = ()
    answer_ids: tuple[int, ...] = ()
    foil_ids: tuple[int, ...] = ()
    template: str = ""


@dataclass(frozen=True)
class TokenPrompt:
    """What the model sees: ids with BOS in front (when there is one), and where the roles lie.

    ``ids`` and ``corrupted`` have equal length. ``roles`` maps a role to its spans, each a tuple of
    token positions (counted with BOS at 0), in reading order. ``item_of[p]`` is the index of the
    item that position p lies in, -1 for none (BOS). ``period`` is the token length of the complete
    items when all have the same, else None. ``has_bos`` says whether position 0 is BOS.
    ``answers``/``foils`` are token ids (first = the answer, the foil).
    """

    ids: tuple[int, ...]
    corrupted: tuple[int, ...] | None
    answers: tuple[int, ...]
    foils: tuple[int, ...]
    roles: Mapping[str, tuple[tuple[int, ...], ...]]
    item_of: tuple[int, ...]
    period: int | None
    has_bos: bool
    template: str
    text: str


@dataclass(frozen=True)
class Parameter:
    """One key that a family takes in YAML.

    ``kind``: "int", "str", "bool", "choice" (one of ``choices``), "strings" (list of strings),
    "words" (a name from ``choices`` or a list of strings) or "texts" (the list of the texts family).
    ``minimum`` bounds ints. ``required`` keys have no default.
    """

    name: str
    kind: str
    doc: str
    default: Any = None
    required: bool = False
    choices: tuple[str, ...] = ()
    minimum: int | None = None


@dataclass(frozen=True)
class Family:
    """A registered prompt family.

    ``roles(params)``: the role names its prompts have. ``check(params)``: every problem with the
    parameters that needs no tokenizer, as (parameter name, message) pairs. ``pairs(params,
    tokenizer, seed, stream)``: an iterator of distinct pairs, the same on every machine, whose
    first n do not depend on how many are taken; it ends when the possible prompts are exhausted.
    ``stream`` is "prompts" or "reference" (an independent stream). ``templates(params)``: names of
    its strata. ``foil`` and ``corruption`` state in one sentence what they are, ``drawn`` from what prompts are drawn and which
    answer counts ("": not said); ``template_texts``: the sentences of templates that are known by a short name. ``exhaustive``:
    every prompt the user gave is used, whatever n (the texts family). ``requires`` maps metrics to
    the value that the lower bound of their clean mean must exceed before an ablation means anything;
    None stands for ``{"top1": requires_top1}``. ``marks``: roles of a project's own that its prompts have besides (set by
    the package where a prompt set's claims name them).
    """

    name: str
    doc: str
    parameters: tuple[Parameter, ...]
    roles: Callable[[Mapping[str, Any]], frozenset[str]]
    check: Callable[[Mapping[str, Any]], list[tuple[str, str]]]
    pairs: Callable[[Mapping[str, Any], Tokenizer, int, str], Iterator[PromptPair]]
    foil: str
    corruption: str
    exhaustive: bool = False
    requires_top1: float = 0.5
    requires: Mapping[str, float] | None = field(default=None, hash=False)
    marks: tuple[Role, ...] = ()
    drawn: str = ""
    template_texts: Mapping[str, str] = field(default_factory=dict, hash=False)
