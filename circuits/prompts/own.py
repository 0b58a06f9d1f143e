"""What a project may add of its own: prompt families, roles, scores and metrics, each one frozen record.

Records hold functions, never names of functions: nothing is looked up by text, and no code comes from YAML. What a value
depends on is the *file* that a function is written in, with what is baked into it and the record's other fields, so what
was edited is measured again (``code_of``).
"""

from __future__ import annotations

import hashlib
import math
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuits.errors import CircuitsError, PromptFault
from circuits.prompts.digests import baked, code_digest_of, file_of, of_package, text_of
from circuits.prompts.prompt import Family, PromptPair, Span, Tokenizer, TokenPrompt

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Spans = Callable[[str], Iterable[tuple[int, int]]]

TOLD_OF_A_RUN = ("top_token", "top_text", "right_first", "foil_first", "answer_tied")
"""What stands beside the metrics among a run's values, under names that no metric of a project may have."""

_ASIDE = ("doc", "source", "marks")  # prose, and roles that count with their own code


@dataclass(frozen=True)
class Role:
    """A role of a project's own, for every prompt set that is text.

    ``find(text)`` gives the (start, end) characters of each place that has the role, in reading order. ``doc`` says in one
    sentence what it marks, ``source`` where the notion comes from.
    """

    name: str
    doc: str
    find: Spans = field(compare=False)
    source: str = ""


@dataclass(frozen=True)
class Score:
    """A score of heads of a project's own, a number from 0 to 1 for each prompt. One of the two:

    ``selector``: the score is the mean attention mass of QUERY -> KEY. ``value(attention, prompt)``: it is computed from
    one layer's attention, Float[head, query, key] with rows that sum to 1, and gives Float[head]; NaN where a prompt has
    no value. It must depend on nothing else, and lie within 0 and 1: that is what its interval rests on.
    ``families``: those that it is defined on (empty: all).
    """

    name: str
    doc: str
    value: Callable[[NDArray[np.float64], TokenPrompt], NDArray[np.float64]] | None = field(default=None, compare=False)
    selector: str | None = None
    families: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True)
class Metric:
    """A metric of a project's own, read at the last position.

    ``value(logits, prompt)``: one number from the logits there, Float[vocabulary] in float64, and the prompt with its
    answer and foil ids; NaN where a prompt has none. ``low`` and ``high`` are the ends that no value passes (infinite: not
    known; its verdicts then rest on near-normal values). ``zero``: 0 means that nothing is left, so ``drop_in`` has a
    meaning. ``answer`` and ``foil``: what a prompt must have. ``rises``: harm makes it larger (as with ``kl``).
    """

    name: str
    doc: str
    value: Callable[[NDArray[np.float64], TokenPrompt], float] = field(compare=False)
    low: float = -math.inf
    high: float = math.inf
    zero: bool = False
    answer: bool = True
    foil: bool = False
    rises: bool = False
    source: str = ""

    @property
    def facts(self) -> tuple[float, float, bool, bool, bool]:
        """Lowest and highest value, whether it may be named in drop_in, whether it needs an answer and a foil."""
        return self.low, self.high, self.zero, self.answer or self.foil, self.foil


class MetricName(str):
    """The name of an own metric as a claim holds it. It carries the record, so that nothing need be looked up."""

    record: Metric

    def __new__(cls, record: Metric) -> MetricName:
        """The name of ``record``."""
        found = super().__new__(cls, record.name)
        found.record = record
        return found


Own = Family | Role | Score | Metric


@dataclass(frozen=True)
class Extensions:
    """All that a project added, by name. ``families`` holds those of the package too."""

    families: Mapping[str, Family] = field(default_factory=dict)
    roles: Mapping[str, Role] = field(default_factory=dict)
    scores: Mapping[str, Score] = field(default_factory=dict)
    metrics: Mapping[str, Metric] = field(default_factory=dict)

    def family(self, name: str, roles: Iterable[str] = ()) -> Family:
        """A family whose prompts have these own roles too."""
        family = self.families[name]
        marks = tuple(self.roles[role] for role in roles)
        return replace(family, marks=marks) if marks else family


def marked(pair: PromptPair, roles: Iterable[Role]) -> PromptPair:
    """The pair with the spans of own roles in its clean prompt. Raises PromptFault for spans that are none.

    Prompts of ids have no text and keep the roles they have.
    """
    text = pair.clean.text
    if text is None:
        return pair
    found = {}
    for role in roles:
        try:
            spans = tuple(Span(int(start), int(end)) for start, end in role.find(text))
        except Exception as error:  # whatever a project's own function raises becomes one line
            raise PromptFault(f"the own role {role.name!r} ({place_of(role)}) failed on {text!r}: {error!r}") from error
        wrong = [span for span in spans if not 0 <= span.start < span.end <= len(text)]
        if wrong:
            raise PromptFault(
                f"the own role {role.name!r} ({place_of(role)}) marks characters {wrong[0].start} to {wrong[0].end} "
                f"of {text!r}, which has {len(text)}"
            )
        found[role.name] = tuple(sorted(spans, key=lambda span: (span.start, span.end)))
    return replace(pair, clean=replace(pair.clean, roles={**pair.clean.roles, **found}))


class OwnFault(PromptFault):
    """A project's own family failed while it made prompts."""


def pairs_of(
    family: Family, parameters: Mapping[str, Any], tokenizer: Tokenizer, seed: int, stream: str
) -> Iterator[PromptPair]:
    """The pairs of a family. Raises OwnFault, with file and line, for whatever a project's own function raises."""
    own = bool(functions_of(family))
    try:
        for pair in family.pairs(parameters, tokenizer, seed, stream):
            if own and not isinstance(pair, PromptPair):
                raise TypeError(f"pairs must yield PromptPair, not {type(pair).__name__}")
            yield pair
    except CircuitsError:
        raise
    except Exception as error:
        if not own:
            raise
        about = f"the own prompt family {family.name!r} ({place_of(family)}{_line_of(error, family)})"
        raise OwnFault(f"{about} failed: {type(error).__name__}: {error}") from error


def _line_of(error: BaseException, own: Own) -> str:
    """Where in a record's own files an error arose, the innermost place."""
    files = {str(path) for path in files_of(own)}
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if str(Path(frame.filename).resolve()) in files
    ]  # fmt: skip
    return f", line {lines[-1]}" if lines else ""


def functions_of(own: Own) -> list[Any]:
    """The functions of a record that are not this package's, those of a family's own roles aside."""
    return [each for each in _all_functions(own) if not of_package(each)]


def has_own_code(family: Family) -> bool:
    """Whether anything of the project's decides what a family's prompts are: its functions or its roles."""
    return bool(functions_of(family) or family.marks)


def _all_functions(own: Own) -> list[Any]:
    if isinstance(own, Family):
        return [own.pairs, own.roles, own.check]
    if isinstance(own, Role):
        return [own.find]
    return [own.value] if own.value is not None else []


def files_of(own: Own) -> list[Path]:
    """The files in which the functions of a record are written; none for what was typed at a prompt."""
    found = [file_of(function) for function in functions_of(own)]
    return list(dict.fromkeys(path for path in found if path is not None))


def place_of(own: Own) -> str:
    """The name of the file that a record's own code is written in, for reports and messages."""
    names = [path.name for path in files_of(own)]
    return names[0] if names else "no file" if functions_of(own) else "no code"


def code_of(own: Own) -> str:
    """Digest of what a record computes and of what it says of that: its functions, and its other fields but the prose.

    A function of the project's is its file's bytes (where it has no file, as in a notebook, its byte code). To every
    function, this package's too, belongs what is baked into it: what it closes over, its defaults, the arguments of a
    partial call, the fields of an object that can be called.
    """
    parts = [code_digest_of(function) for function in functions_of(own)]
    parts += [baked(function) for function in _all_functions(own)]
    parts += [text_of(_plain_fields(own))]
    if isinstance(own, Family):
        parts += [f"{role.name}={code_of(role)}" for role in own.marks]
    return hashlib.sha256("\n".join(parts).encode("utf-8", errors="replace")).hexdigest()


def _plain_fields(own: Own) -> dict[str, Any]:
    """The fields of a record that are no functions: a range, a selector, what is required. Prose decides nothing."""
    values = {each.name: getattr(own, each.name) for each in fields(own)}
    return {name: value for name, value in values.items() if name not in _ASIDE and not callable(value)}
