"""What can be said of a suite before anything is measured: how many prompts a bound needs, and what uniform attention gives.

Both are warnings of ``circuits lint``. Prompts are made with pseudo tokenizers (``claims.dry``), so what uniform attention
gives is said only where it satisfies the bound with every one of them; the report has the exact value.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from circuits.claims.bounds import metric as metric_facts
from circuits.claims.claim import Ablate, Attends, Bound, Check, Claim, PromptSet, Score, Suite
from circuits.claims.claim import Path as PathCheck
from circuits.claims.dry import DryRun
from circuits.errors import CircuitsError
from circuits.measure.batches import batches
from circuits.measure.cells import Question, cells, question, score_selector, uniform
from circuits.prompts.own import functions_of
from circuits.prompts.prompt import TokenPrompt
from circuits.verdict.decide import evidence_for
from circuits.verdict.estimate import infer_bounded, log_needed

MOST_PROMPTS = 10_000
"""The search for a number of prompts ends there: above it, only that there must be more is said."""
_TOO_MANY = f"more than {MOST_PROMPTS}"
TYPICAL_SPREAD, TYPICAL_DISTANCE = 0.2, 0.1
"""Of a range: the standard deviation and the distance from the bound for which the usual number of prompts is given."""


@dataclass(frozen=True)
class Power:
    """How many prompts a check needs. ``least``: where every prompt has the best value there is; ``usual``: with the
    typical spread and distance. None: more than ``MOST_PROMPTS``, or no number is enough. ``bound``: the text of the bound."""

    bound: str
    least: int | None
    usual: int | None


def power(check: Check, confidence: float, heads: int | None = None) -> Power | None:
    """The numbers of prompts that the bound of a check needs to be SUPPORTED, or None where nothing bounded is judged.

    ``least`` is found by betting on the best values there are. For the usual number n = ln(2/alpha) (2 s^2 / D^2 + R / D),
    with alpha = 1 - confidence, D the distance of the true value from the bound, s its standard deviation over
    prompts, R the distance from the bound to the end of the range on the wrong side
    (the rate at which a bet on a bounded mean grows, Waudby-Smith & Ramdas, arXiv 2010.09686). ``heads``: how many
    heads "some head" may be.
    """
    asked = _asked(check, confidence, heads)
    if asked is None:
        return None
    span, bound, need = asked
    usual = _usual(span, bound, need)
    return Power(bound.text or "", _least(span, bound, need), int(usual) if usual <= MOST_PROMPTS else None)


Asked = tuple[tuple[float, float], Bound, float]
"""The range of a check's value, its bound and the log e-value that is needed."""


def _asked(check: Check, confidence: float, heads: int | None) -> Asked | None:
    """The range, the bound and the log e-value that is needed; None where nothing bounded is judged."""
    span, bound = value_span(check), check.bound
    if span is None or (bound.low is None and bound.high is None):
        return None
    return span, bound, log_needed(confidence, (len(check.heads) or heads or 1) if check.any else 1)


def _beyond(span: tuple[float, float], bound: Bound) -> bool:
    """Whether no number of sampled prompts can support a bound: it lies at the best value itself, or beyond.

    Prompts that were not drawn may always have a worse value: the interval of a sample never shrinks to that end, and
    betting never gains against it, even where all of the values are the best one.
    """
    return (bound.low is not None and bound.low >= span[1]) or (bound.high is not None and bound.high <= span[0])


def _usual(span: tuple[float, float], bound: Bound, need: float) -> float:
    """The usual number of prompts; infinite where no number is enough."""
    if _beyond(span, bound):
        return math.inf
    low, high = span
    width = high - low
    spread = TYPICAL_SPREAD * width
    sides = [(high - bound.low, bound.low - low)] if bound.low is not None else []  # room, and the wrong side
    sides += [(bound.high - low, high - bound.high)] if bound.high is not None else []
    band = (bound.high - bound.low) / 2.0 if bound.low is not None and bound.high is not None else math.inf
    usual = 0.0
    for room, wrong in sides:
        distance = max(1e-9, min(band, room, TYPICAL_DISTANCE * width))
        usual = max(usual, need * (2.0 * spread**2 / distance**2 + max(0.0, wrong) / distance))
    return float(math.ceil(usual))


def _enough(n: int, span: tuple[float, float], bound: Bound, need: float) -> bool:
    """Whether n prompts reach an e-value of exp(need) if all of them have the best value: asked of the process itself."""
    low, high = span
    least = bound.low if bound.low is not None and bound.low > low else None  # the range's own end asks nothing
    most = bound.high if bound.high is not None and bound.high < high else None
    best = high if most is None else low if least is None else (least + most) / 2.0
    return evidence_for(infer_bounded(np.full(n, best), low, high), bound) >= need


About = tuple[tuple[float, float], float | None, float | None, float]
"""The range, the ends of the bound and the log e-value that is needed."""


def _out_of_reach(most: int, asked: Sequence[Asked]) -> set[About]:
    """What ``most`` prompts cannot support, of all that is asked.

    Of bounds with one end the one that lies further from the best value needs less evidence, so one search for each range
    finds them all; a band is asked by itself.
    """
    known: dict[About, Asked] = {
        (span, bound.low, bound.high, need): (span, bound, need) for span, bound, need in asked
    }
    one_end: dict[tuple[object, ...], list[About]] = {}
    found: set[About] = set()
    for about in known:
        span, low, high, need = about
        if low is not None and high is not None:
            found |= set() if _enough(most, *known[about]) else {about}
        else:
            one_end.setdefault((span, low is None, need), []).append(about)
    for alike in one_end.values():
        alike.sort(key=lambda about: -about[1] if about[1] is not None else about[2] or 0.0)  # the hardest first
        found.update(alike[: bisect_left(alike, True, key=lambda about: _enough(most, *known[about]))])
    return found


def _least(span: tuple[float, float], bound: Bound, need: float) -> int | None:
    """The fewest prompts that can be enough; None where no number is, or none up to ``MOST_PROMPTS``."""
    if _beyond(span, bound):
        return None
    first, last = 0, 1

    def enough(n: int) -> bool:
        return _enough(n, span, bound, need)

    while not enough(last):
        if last == MOST_PROMPTS:
            return None
        first, last = last, min(2 * last, MOST_PROMPTS)
    while last - first > 1:
        middle = (first + last) // 2
        first, last = (first, middle) if enough(middle) else (middle, last)
    return last


def value_span(check: Check) -> tuple[float, float] | None:
    """The range of a check's value where it is a mean of bounded values, one a prompt; None elsewhere."""
    what = check.what
    if isinstance(what, Attends):
        compared = what.more_than is not None
        return None if what.statistic == "lift" else (-1.0, 1.0) if compared else (0.0, 1.0)
    if isinstance(what, Score):
        return (0.0, 1.0) if score_selector(what) is not None else None
    if isinstance(what, (Ablate, PathCheck)) and what.effect in ("after", "change_in"):
        facts = metric_facts(what.metric)
        assert facts is not None
        span = check.range or ((facts[0], facts[1]) if all(map(math.isfinite, facts[:2])) else None)
        if span is None or what.effect == "after":
            return span
        return span[0] - span[1], span[1] - span[0]
    return None


def own_warnings(suite: Suite, dry: DryRun) -> Iterator[str]:
    """A line for each prompt set for which a family of the project's own fails."""
    for name, variants in suite.prompts.items():
        family = dry.own.families.get(variants[0].family) if variants else None
        failure = dry.failure(variants[0]) if family is not None and functions_of(family) else None
        if failure is not None:
            yield f"{variants[0].where}: warning: prompt set {name!r} gives no prompts: {failure}"


def power_warnings(suite: Suite, heads: int | None = None) -> Iterator[str]:
    """A line for each check whose bound ``max`` prompts cannot support, whatever they show."""
    judged = [(claim, check, _asked(check, suite.sampling.confidence, heads)) for claim, check in _judged(suite)]
    asked_of = [asked for claim, check, asked in judged if asked is not None and not _exhaustive(claim, check)]
    short = _out_of_reach(suite.sampling.max, asked_of)
    for claim, check, asked in judged if short else ():
        if asked is None or _exhaustive(claim, check):
            continue
        span, bound, need = asked
        if (span, bound.low, bound.high, need) not in short:
            continue
        told = f"{check.where}: warning: {claim.id}: {bound.text}"
        if _beyond(span, bound):
            yield (
                f"{told}: no number of sampled prompts can support this, even if all of them agree, for prompts that were "
                "not drawn may differ; loosen the bound"
            )
        else:
            least = _least(span, bound, need)
            yield (
                f"{told} needs {f'at least {least}' if least is not None else _TOO_MANY} prompts even if all of them "
                f"agree, but sampling stops at max: {suite.sampling.max}; raise max or loosen the bound"
            )


def power_line(suite: Suite, heads: int | None = None) -> str | None:
    """The most demanding bound of a suite that sampled prompts can support, in one line; None without one."""
    judged = [
        (_asked(check, suite.sampling.confidence, heads), check, claim)
        for claim, check in _judged(suite)
        if not _exhaustive(claim, check)
    ]
    known = [
        (_usual(*asked), claim.id, check)
        for asked, check, claim in judged
        if asked is not None and not _beyond(asked[0], asked[1])
    ]
    if not known:
        return None
    _, name, check = max(known, key=lambda each: each[:2])
    hardest = power(check, suite.sampling.confidence, heads)
    assert hardest is not None
    sampling = suite.sampling
    least = _TOO_MANY if hardest.least is None else str(hardest.least)
    usual = _TOO_MANY if hardest.usual is None else f"about {hardest.usual}"
    return (
        f"{suite.path}: power: the hardest bound is {hardest.bound} of {name}. It takes {least} prompts if all agree; {usual} if their "
        f"mean lies a tenth of the range beyond it and their standard deviation is a fifth of the range. max: {sampling.max}"
    )


def uniform_warnings(suite: Suite, dry: DryRun) -> Iterator[str]:
    """A line for each attention check whose bound uniform attention satisfies too, with every pseudo tokenizer."""
    known: Known = {}
    for claim, check in _judged(suite):
        for prompts in check.prompts or claim.variants:
            value = _uniform(dry, check, prompts, known)
            if value is not None:
                yield (
                    f"{check.where}: warning: {claim.id}: uniform attention satisfies {check.bound.text} too (about "
                    f"{value:.2g} on {prompts.title}), so this check says little about the head"
                )
                break


Known = dict[tuple[str, int, int], list[float] | None]
"""Question, prompts (by identity) and pseudo tokenizer -> the mean of each side under uniform attention."""


def _uniform(dry: DryRun, check: Check, prompt_set: PromptSet, known: Known) -> float | None:
    """The value under uniform attention with the first pseudo tokenizer, where all of them satisfy the bound."""
    what = check.what
    compared = isinstance(what, Attends) and (what.other_prompts is not None or what.other_head is not None)
    if not isinstance(what, (Attends, Score)) or compared:
        return None
    if isinstance(what, Score) and score_selector(what) is None:
        return None
    asked, values = question(what), []
    text = asked.key
    for which in range(3):
        prompts = dry.prompts(prompt_set, which)
        if prompts is None:
            continue
        key = (text, id(prompts), which)
        if key not in known:
            known[key] = _uniform_means(asked, prompts, prompt_set)
        means = known[key]
        if means is None:
            continue
        value = means[0] - means[1] if len(means) > 1 else means[0]
        if math.isnan(value) or not check.bound.holds_of_control(value):
            return None
        values.append(value)
    return values[0] if len(values) >= 2 else None


def _uniform_means(asked: Question, prompts: Sequence[TokenPrompt], prompt_set: PromptSet) -> list[float] | None:
    """The mean of each side of a question under uniform attention; None where it cannot be asked."""
    sides: list[list[float]] = [[], []] if asked.right is not None else [[]]
    try:
        for chunk in batches(prompts, 10**6):
            some = [prompts[i] for i in chunk]
            found = uniform(asked, cells(asked, some, prompt_set.variables), some)
            for target, side in zip(sides, found, strict=False):
                target += [] if side is None else side.tolist()
    except CircuitsError:
        return None
    return [float(np.nanmean(side)) if side and not np.isnan(side).all() else math.nan for side in sides]


def _judged(suite: Suite) -> Iterator[tuple[Claim, Check]]:
    """Every check with a bound on a value, of every claim that can be measured."""
    for claim in suite.claims:
        for check in claim.checks if not claim.faults else ():
            if check.bound.kind not in ("observe", "top"):
                yield claim, check


def _exhaustive(claim: Claim, check: Check) -> bool:
    return all(prompts.family == "texts" for prompts in check.prompts or claim.variants)
