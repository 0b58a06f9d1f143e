"""From a scan to a suite of candidate claims: bounds from one seed, checked on another, to be judged on a third.

A bound is the lower end of the interval on the scanned prompts with some slack, rounded down. What is written as a claim
held that bound on prompts that the scan did not see, at a confidence corrected for the number of candidates; what did
not is kept as a comment with its numbers. Each question that is claimed of a head has a negative control: the head
with the model's median value, for which the same claim must be refuted.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from circuits.claims.claim import Bound, Sampling, Score
from circuits.claims.flow import flow
from circuits.errors import CircuitsError, ModelInvalid, ModelUnavailable
from circuits.report.record import number
from circuits.scan.prompts import head_of_suite
from circuits.scan.scan import Finding, Measured, Place, Scan, Scanner
from circuits.scan.topics import Topic, slug
from circuits.verdict import estimate
from circuits.verdict.decide import Row
from circuits.verdict.verdict import Verdict

SLACK, LEAST_SLACK = 0.1, 0.02
"""Below the lower end of the interval a bound lies by this share of it, and by no less than that."""
LEAST_BOUND = 0.1
"""A lower bound says little, whatever the rest of the model does."""
TIMES_UNIFORM = 1.5
"""A bound lies above uniform attention by at least this factor."""
MOST_PROMPTS = 256
CONFIDENCE = 0.95

KNOWN_AS = {
    "previous_token": "a previous-token head",
    "duplicate_token": "a duplicate-token head",
    "induction": "an induction head",
}
KEYS = {
    "self": "itself",
    "first": "the first position",
    "duplicate": "the earlier copies of the same token",
    "previous duplicate": "the nearest earlier copy of the same token",
    "induction": "the tokens after earlier copies of the same token",
    "previous induction": "the token after the nearest earlier copy of the same token",
}
"""Keys that every token has, in words."""


@dataclass(frozen=True)
class Candidate:
    """A finding with its bound, and what it came to on the confirming seed. ``row`` None: it could not be asked there.

    ``negative``: a control, which must be refuted; its ``head`` is not that of the finding. ``reason``: why there is no row.
    """

    finding: Finding
    head: str
    bound: float
    row: Row | None
    negative: bool = False
    reason: str | None = None

    @property
    def topic(self) -> Topic:
        """What is claimed."""
        return self.finding.topic

    @property
    def stands(self) -> bool:
        """Whether it came out as it is to be claimed."""
        wanted = Verdict.REFUTED if self.negative else Verdict.SUPPORTED
        return self.row is not None and self.row["verdict"] == str(wanted)


@dataclass(frozen=True)
class Seeds:
    """``scanned``: bounds were chosen on it; ``confirming``: they were checked on it; ``judging``: that of the suite."""

    scanned: int

    @property
    def confirming(self) -> int:
        return self.scanned + 1

    @property
    def judging(self) -> int:
        return self.scanned + 2


def bound_for(low: float, each: Measured) -> float | None:
    """The bound of a claim on a topic: a multiple of 0.05 (of 0.01 below 0.2); None where it would say little.

    ``low``: the lower end of what is known of the head's value. A bound must exceed the median of the model's heads.
    """
    wanted = low - max(LEAST_SLACK, SLACK * low)
    step = 20 if wanted >= 0.2 else 100  # in parts of 1
    bound = math.floor(wanted * step + 1e-9) / step
    least = max(LEAST_BOUND, TIMES_UNIFORM * (each.uniform or 0.0))
    return bound if bound >= least and bound > each.usual else None


def candidates(scanner: Scanner, scan: Scan, most: int, seeds: Seeds) -> list[Candidate]:
    """At most ``most`` candidates with their controls, each checked on the confirming seed. May raise ModelUnavailable."""
    chosen: list[tuple[Measured, Finding, float]] = []
    for each, place in scan.ranked():
        if len(chosen) == most:
            break
        if bound_for(float(each.means[place]), each) is None:
            continue  # its interval begins lower still
        finding = scanner.finding(each, place)
        bound = bound_for(finding.low if finding.low is not None else finding.estimate, each)
        if bound is not None:
            chosen.append((each, finding, bound))
    controls = _controls(chosen)
    sampling = replace(
        scanner.suite.sampling, seed=seeds.confirming,
        confidence=estimate.corrected(CONFIDENCE, max(1, len(chosen) + len(controls))),
    )  # fmt: skip
    topics = list({id(finding.topic): finding.topic for _, finding, _ in chosen}.values())
    scanner.evaluator.plan(scanner.item([topic], sampling) for topic in topics)
    found = [_checked(scanner, finding, finding.place, bound, sampling) for _, finding, bound in chosen]
    found += [_checked(scanner, finding, place, bound, sampling, negative=True) for finding, place, bound in controls]
    return found


def _controls(chosen: Sequence[tuple[Measured, Finding, float]]) -> list[tuple[Finding, Place, float]]:
    """For each question the head with the median value, with the lowest bound that is claimed of any head.

    None for a question of which no head is left that could be one.
    """
    lowest: dict[int, tuple[Measured, Finding, float]] = {}
    claimed: dict[int, set[Place]] = {}
    for each, finding, bound in chosen:
        claimed.setdefault(id(each), set()).add(finding.place)
        if id(each) not in lowest or bound < lowest[id(each)][2]:
            lowest[id(each)] = (each, finding, bound)
    found = [(finding, median_head(each, claimed[id(each)]), bound) for each, finding, bound in lowest.values()]
    return [(finding, place, bound) for finding, place, bound in found if place is not None]


def median_head(each: Measured, claimed: Collection[Place] = ()) -> Place | None:
    """The head with the highest value at or below the median of all, but none that is ``claimed``; of several the first.

    Nearest to the median would not do: where half the heads have high values, one of those can be it.
    """
    fit = each.means <= each.usual
    for place in claimed:
        fit[place] = False
    if not fit.any():
        return None
    layer, head = np.unravel_index(int(np.argmax(np.where(fit, each.means, -np.inf))), fit.shape)
    return int(layer), int(head)


def _checked(
    scanner: Scanner, finding: Finding, place: Place, bound: float, sampling: Sampling, *, negative: bool = False
) -> Candidate:
    head, topic = f"{place[0]}.{place[1]}", finding.topic
    if topic.prompts is not None and scanner.evaluator.own.families[topic.prompts.family].exhaustive:
        return Candidate(
            finding, head, bound, None, negative, "all given texts were scanned, so there are no others to check on"
        )
    try:
        row = scanner.row(topic, place, Bound("at_least", bound, None, f"at_least {bound:g}"), sampling)
    except (ModelUnavailable, ModelInvalid):
        raise
    except CircuitsError as problem:
        return Candidate(finding, head, bound, None, negative, str(problem))
    return Candidate(finding, head, bound, row, negative, row.get("reason"))


def suite_text(
    scanner: Scanner, scan: Scan, found: Sequence[Candidate], model: str, sets: dict[str, str], seeds: Seeds
) -> str:
    """The YAML of the suite: a header that says how it came about, the claims, and as comments what did not hold."""
    claimed = [each for each in found if each.stands]
    used = {each.topic.prompts.name for each in claimed if each.topic.prompts is not None}
    sampling = {"min": 32, "max": max(MOST_PROMPTS, scan.n), "seed": seeds.judging, "confidence": CONFIDENCE}
    shown = {name: yaml for name, yaml in sets.items() if name in used}
    lines = [
        *_header(scan, found, seeds),
        head_of_suite(f"Candidates of a scan of {scan.model}", model, sampling, shown),
    ]
    title = f"circuits scan: bounds from seed {seeds.scanned}, checked on seed {seeds.confirming}, exploratory"
    lines[-1] += f"source: {flow({'title': title})}\nclaims:"
    ids: dict[str, Candidate] = {}
    for each in claimed:
        ids[_id_of(each, ids)] = each
    for name, each in ids.items():
        lines += _claim(name, each, seeds)
    lines += _set_aside([each for each in found if not each.stands], seeds)
    return "\n".join(lines) + "\n"


def _header(scan: Scan, found: Sequence[Candidate], seeds: Seeds) -> Iterator[str]:
    tried = sum(not each.negative for each in found)
    held = sum(each.stands for each in found if not each.negative)
    prompts = ", ".join(f"{facts['n']} of {name}" for name, facts in scan.facts.items())
    said = (
        f"Candidates of a scan of {scan.model}: exploratory, not results.",
        f"Looked at: {scan.cells:,} numbers ({scan.layers * scan.heads} heads x {len(scan.measured)} questions) on seed "
        f"{seeds.scanned}; prompts: {prompts}. The {tried} that stood out most were tried, {held} held.",
        f"Bounds: the lower end of the 95% interval on seed {seeds.scanned}, less a tenth of it, rounded down to 0.05 (to 0.01 "
        f"below 0.2). Each claim below held its bound on seed {seeds.confirming}, on prompts that the scan had not shown, at 95% "
        f"confidence for all {len(found)} (controls included) together. The values on seed {seeds.scanned} were chosen for being "
        "high, so they are a little too high.",
        f"The verdict has to be measured on a third seed: the one below ({seeds.judging}), or prompts that nobody has looked at "
        "(pytest --circuit-fresh). Put the claims that you would defend into your own words before that.",
    )
    for paragraph in said:
        yield from textwrap.wrap(paragraph, 110, initial_indent="# ", subsequent_indent="#   ")


def _id_of(each: Candidate, taken: dict[str, Candidate]) -> str:
    name = f"head-{each.head}-{'not-' if each.negative else ''}{slug(each.topic.text)}"
    others = (f"{name}-on-{slug(each.topic.where)}", *(f"{name}-{number}" for number in range(2, len(taken) + 3)))
    return next(free for free in (name, *others) if free not in taken)


def _claim(name: str, each: Candidate, seeds: Seeds) -> Iterator[str]:
    yield f"  # {_numbers(each, seeds)}"
    yield f"  {name}:"
    control = " (a control, to be refuted: the model's median head)" if each.negative else ""
    yield f"    claim: {flow(words_of(each.head, each.topic) + control + '.')}"
    yield f'    head: "{each.head}"'
    if each.topic.prompts is not None:
        yield f"    prompts: {each.topic.prompts.name}"
    if each.negative:
        yield "    expect: refuted"
    what = each.topic.what
    if isinstance(what, Score):
        yield f"    score: {what.name}"
        if what.members is not None:
            yield f"    members: {flow(what.members)}"
    else:
        yield f"    attends: {what.selector.text}"
    yield f"    at_least: {each.bound:g}"


def words_of(head: str, topic: Topic) -> str:
    """What is claimed, as a person would say it."""
    what = topic.what
    if not isinstance(what, Score):
        query, key = what.selector.text.split(" -> ")
        key = re.sub(r"^n-(\d+)$", r"the token \1 back", KEYS.get(key, key))
        return f"{head} attends from {'each token' if query == 'any' else query} to {key}"
    if what.name in KNOWN_AS:
        return f"{head} is {KNOWN_AS[what.name]}"
    named = what.members if isinstance(what.members, str) else ", ".join(what.members or ())
    return f"{head} writes {'the same member again' if what.name == 'copying' else 'the next member'} ({named})"


def _numbers(each: Candidate, seeds: Seeds) -> str:
    """What was measured on both seeds, for a comment."""
    on = f"seed {seeds.confirming}"
    if each.row is None or each.row.get("estimate") is None:
        checked = f"on {on} not measured: {each.reason or 'no value'}"
    elif each.topic.weights:
        checked = f"from weights: {number(each.row['estimate'])}, exact"
    else:
        beside = (each.bound,)
        ends = (
            f" [{number(each.row['low'], False, beside)}, {number(each.row['high'], False, beside)}]"
            if each.row["low"] is not None
            else ""
        )
        checked = f"seed {seeds.confirming}: {number(each.row['estimate'], False, beside)}{ends}, n = {each.row['n']}"
    if each.negative or each.topic.weights:
        return checked
    finding = each.finding
    ends = f" [{number(finding.low)}, {number(finding.high)}]" if finding.low is not None else ""
    scanned = f"seed {seeds.scanned}: {number(finding.estimate)}{ends}, rank {finding.rank} of {finding.heads}"
    return f"{scanned}, uniform {number(finding.uniform)}; {checked}"


def _set_aside(left: Sequence[Candidate], seeds: Seeds) -> Iterator[str]:
    if left:
        yield "  # Not claimed, because it did not come out so on the confirming seed:"
    for each in left:
        control = "control, " if each.negative else ""
        yield f"  # - {control}{each.head}, {each.topic.text} on {each.topic.where}, at_least {each.bound:g}: {_numbers(each, seeds)}"
