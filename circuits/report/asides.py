"""What stands beside a row's estimate in words: controls, effect size, the task, lost answers, published values, notes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from circuits.report.causal import how_drawn, nothing_kept
from circuits.report.prose import code, listing, ordinal, prose
from circuits.report.quantities import Row
from circuits.report.record import TINY, both_ends, number, unit_of


def level_of(confidence: float) -> str:
    """A confidence in percent with enough digits that it never reads as 100%."""
    text = number(confidence, True)
    return f"{100 * confidence:.6g}%" if text == "100%" and confidence < 1 else text


def first_choice(row: Row) -> str | None:
    """ "the answer on 97% of prompts (95% interval from 90%, betting)": what the unablated model puts first; None: not known.

    Where several answers are right, it is said of any of them, and of the one that is listed first.
    """
    clean = row.get("clean") or {}
    if clean.get("top1") is None:
        return None
    one = f"on {number(clean['top1'], True)} of prompts{task_limit(row)}"
    if not clean.get("right_answers"):
        return f"the answer {one}{_wrong_first(clean, 'it is not')}"
    if clean.get("right_first") is None:
        return f"the first of up to {number(clean['right_answers'])} right answers {one}"
    return (
        f"one of up to {number(clean['right_answers'])} right answers on {number(clean['right_first'], True)} of prompts, and the one of "
        f"them that counts as the answer {one}{_wrong_first(clean, 'none is')}"
    )


def _wrong_first(clean: Mapping[str, Any], where: str) -> str:
    """ "; where it is not, most often first (prompts): `0` (12) and `1` (3), a foil on 12 of the 15"; "" where not known."""
    found = [f"{code(token)} ({number(count)})" for token, count in clean.get("wrong_first") or []]
    foil = on_foil(*(clean.get("wrong") or (None, None)))
    return f"; where {where}, most often first (prompts): {listing(found)}{foil}" if found else ""


def on_foil(foil: int | None, of: int | None) -> str:
    """ ", a foil on 12 of the 15": on how many of the prompts without the answer in front a foil is; "" where not known."""
    if foil is None or not of:
        return ""
    if of == 1:
        return ", a foil" if foil else ", no foil"
    return f", a foil on {number(foil) if foil else 'none'} of the {number(of)}"


def other_tokens(row: Row, shown: int) -> str:
    """ " and 3 other tokens (4 prompts)": what took the answer's place beside the first ``shown`` tokens; "" where nothing did.

    The record holds the most frequent tokens only: where their prompts are not all, the rest is one token or more.
    """
    fell = row.get("fell_to") or []
    listed = sum(count for _, count in fell)
    prompts = max((row.get("lost") or [0])[0], listed) - sum(count for _, count in fell[:shown])
    if not prompts:
        return ""
    left = len(fell) - shown
    more = prompts > sum(count for _, count in fell[shown:])
    tokens = left + more
    some = "at least " if more and tokens < prompts else ""  # as many tokens as prompts: there cannot be more
    many = f"{number(tokens)} other token{'' if tokens == 1 else 's'}"
    return f" and {some}{many} ({number(prompts)} prompt{'' if prompts == 1 else 's'})"


def task_limit(row: Row) -> str:
    """ " (95% interval from 87.4%, betting)": where the interval of the model's accuracy begins, its level and its method."""
    clean = row.get("clean") or {}
    if clean.get("top1_low") is None:
        return ""
    level = f"{level_of(clean['top1_confidence'])} interval" if clean.get("top1_confidence") is not None else "interval"
    method = f", {prose(clean['top1_interval'])}" if clean.get("top1_interval") else ""
    return f" ({level} from {number(clean['top1_low'], True)}{method})"


def remarks(row: Row) -> list[tuple[str, str]]:
    """What is noted beside a row, each with its label: a warning, or a note where nothing is to be warned of.

    That uniform attention satisfies a bound too says little for a head that satisfies it, nothing of one that does not;
    and where a lift is asked to lie within a band, the claim may be that very likeness.
    """
    found = []
    for text in row.get("warnings") or []:
        uniform = _UNIFORM.match(str(text))
        band = row.get("bound_low") is not None and row.get("bound_high") is not None
        if uniform and row.get("verdict") != "supported":
            found.append(("Note", f"{uniform[1]} would satisfy this bound"))
        elif uniform and band and row.get("statistic") == "lift":
            found.append(("Note", f"{uniform[1]} lies within this band, too: the head is near it"))
        else:
            found.append(("Warning", str(text)))
    return found


_UNIFORM = re.compile(r"(uniform attention \(.*\)) satisfies this bound too")


def which_passing(row: Mapping[str, Any]) -> str:
    """ ": 1.5, 6.9 and 11 more": the heads that satisfy a bound, the strongest first; empty where none is named."""
    names = row.get("which_passing") or []
    if not names:
        return ""
    more = row["heads_passing"][0] - len(names)
    return f": {', '.join(names)}" + (f" and {number(more)} more" if more else "")


def other_ranked(row: Row, short: bool = False) -> str:
    """ "the next is 5.8 with 0.592", of a head that is not the first "the first is 5.8 with 0.592"; "" where it is not known.

    ``short``: "next 5.8: 0.592".
    """
    name, value = row.get("rank_beside") or (None, None)
    place = (row.get("rank") or (None,))[0]
    if name is None or value is None or place is None:
        return ""
    which, told = "next" if place == 1 else "first", number(value, unit_of(row))
    return f"{which} {prose(name)}: {told}" if short else f"the {which} is {prose(name)} with {told}"


def foil_leads(row: Row) -> bool:
    """Whether the mean logit difference turned its sign, by more than rounding: more than all of it is lost, the foil is ahead."""
    base = {} if row.get("parts") or row.get("range") else row.get("baseline") or {}
    before, after = base.get("clean"), base.get("ablated")
    return (
        row.get("metric") == "logit_diff" and before is not None and after is not None and after < -TINY < TINY < before
    )


def sides(row: Row) -> list[str]:
    """The two values of a comparison, whose difference the estimate is; none of any other row."""
    two = [(row.get("sides") or {}).get(side) for side in ("left", "right")]
    return [] if None in two else [number(value, bool(unit_of(row))) for value in two]


def beside(row: Row) -> list[str]:
    """What stands beside the estimate: controls, effect size, baselines, what the answer fell to, published values."""
    percent, found = unit_of(row), []
    if row.get("uniform") is not None:
        found.append(
            f"Under uniform attention over the visible tokens the value would be {number(row['uniform'], percent)}."
        )
    if sides(row):
        found.append(f"The two sides are {' and '.join(sides(row))}.")
    effect = row.get("effect") or {}
    if effect.get("value") is not None and not says_itself(row):
        found.append(_effect(effect))
    rank = row.get("rank")
    if rank and rank[0] is not None and row.get("k") is None:
        tied = row.get("rank_tied")
        tail = f", a place that it shares with {number(tied)} {'other' if tied == 1 else 'others'}" if tied else ""
        other = f"; {other_ranked(row)}" if other_ranked(row) else ""
        found.append(f"It ranks {ordinal(rank[0])} of the model's {number(rank[1])} heads by this value{tail}{other}.")
    found += _made_of(row)
    passing = row.get("heads_passing")
    if passing:
        verb = "satisfies" if passing[0] == 1 else "satisfy"
        found.append(
            f"{number(passing[0])} of {number(passing[1])} heads of this model {verb} this bound{which_passing(row)}."
        )
    if row.get("removed_mass") is not None:
        found.append(f"The keys left out had held {number(row['removed_mass'], True)} of the attention.")
    base = row.get("baseline") or {}
    if not row.get("parts") and (base.get("clean") is not None or base.get("ablated") is not None):
        found.append(f"Mean clean value {number(base.get('clean'))}, mean ablated value {number(base.get('ablated'))}.")
    if foil_leads(row):
        found.append("Below zero the foil leads the answer on average: more than 100% is lost.")
    if first_choice(row):
        difference = (row.get("clean") or {}).get("logit_diff")
        found.append(f"Unablated, the model's first choice is {first_choice(row)}.")
        if difference is not None:
            found.append(f"Unablated, the mean logit difference is {number(difference)}.")
    lost = row.get("lost")
    if lost and lost[1]:
        verb, run = "loses" if lost[0] == 1 else "lose", "circuit alone" if row.get("within") else "clean model"
        both = " without both parts" if row.get("given_ablated") else ""
        found.append(
            f"Of the {number(lost[1])} prompts whose answer the {run} has there, {number(lost[0])} {verb} it{both}."
        )
        if row.get("tied_after"):
            found.append(
                f"On {number(row['tied_after'])} prompts it is first with the very logit of another token then."
            )
        if row.get("right_after") is not None and (row.get("clean") or {}).get("right_answers"):
            found.append(f"Any right answer is first on {number(row['right_after'], True)} of the prompts then.")
    if row.get("fell_to"):
        tokens = listing(
            f"{code(token)} ({number(count)} {'prompt' if count == 1 else 'prompts'})"
            for token, count in row["fell_to"]
        )
        tokens += other_tokens(row, len(row["fell_to"])) + on_foil(row.get("fell_to_foil"), (lost or [None])[0])
        found.append(f"Where the answer was lost, the first choices are now: {tokens}.")
    ranks = row.get("ranks") or {}
    if ranks:
        found.append(_ranks(ranks))
    if row.get("by_answer"):
        each = [
            f"{code(one['answer'])} {number(one['value'], percent)} (n = {number(one['n'])})"
            for one in row["by_answer"]
        ]
        found.append(f"By answer: {', '.join(each)}.")
    if reported_value(row):
        found.append(_reported(row))
    return found


_MOST_SUBSETS = 12
_PROFILE = {"self": "itself", "previous": "the one before", "next": "the next", "next_but_one": "the next but one"}


_RUNS = (
    "F(M)", "F(C)", "F(0)", "F(C\\K)", "F(C\\(K+v))", "F(C\\A)", "F(M\\C)", "F(M\\A)", "F(M\\G)", "F(M\\G\\A)",
    "loss of the second copy", "loss of the first copy", "loss of token 500", "loss of token 50",
)  # fmt: skip


def _ordered(names: Mapping[str, Any], order: tuple[str, ...]) -> list[str]:
    """Names as they are to be read, whatever their order in the record: results.json and kept answers sort them."""
    return sorted(names, key=lambda name: order.index(name) if name in order else len(order))


def made_of_means(row: Row) -> str:
    """The means that a value is made of, as a sentence."""
    parts = row["parts"]
    empty = f" (F(0): with {nothing_kept(row)})" if "F(0)" in parts else ""
    return f"Means: {means(parts)}{empty}."


def means(parts: Mapping[str, Any]) -> str:
    """ "F(M) 4.38, F(C) 3.2": the means that a value is made of, in one order whatever theirs in the record."""
    return ", ".join(
        f"{prose(name.replace(chr(92), ' less '))} {number(parts[name])}" for name in _ordered(parts, _RUNS)
    )


def of_subsets(row: Row) -> str | None:
    """What completeness came to with each subset, or minimality for each component, as a sentence; None for other rows.

    The subset that decides completeness is the one with the largest distance, the component that decides minimality the one
    whose removal matters least: those come first.
    """
    subsets, unit = row.get("subsets") or {}, unit_of(row)
    if subsets.get("components"):
        each = [
            f"{prose(name)} {number(value, unit)} ({_removed(removed)} removed)"
            for name, value, removed in sorted(subsets["components"], key=lambda one: one[1])
        ]
        return f"Of each component the largest change, and without what: {_first_of(each)}."
    removed = list(map(_removed, subsets.get("removed") or []))
    if subsets.get("values"):
        known = sorted(zip(removed, subsets["values"], strict=True), key=lambda one: -one[1])
        return f"The distance with each K removed: {_first_of([f'{name} {number(value, unit)}' for name, value in known])}."
    return f"The subsets K: {'; '.join(removed)}." if removed and len(removed) <= _MOST_SUBSETS else None


def _removed(parts: Sequence[Any]) -> str:
    return "+".join(map(prose, parts)) or "nothing"


def _first_of(each: Sequence[str]) -> str:
    """The first of many, as many as are told, and how many more there are."""
    left = len(each) - _MOST_SUBSETS
    return "; ".join([*each[:_MOST_SUBSETS], *([f"and {number(left)} more"] if left > 0 else [])])


def says_itself(row: Row) -> bool:
    """Whether the row's value is its own effect size: a relative change needs no second one beside it."""
    own = ("drop_in", "recovers", "faithfulness", "completeness", "minimality", "sufficiency", "partial_necessity")
    return row.get("statistic") in own


def _made_of(row: Row) -> list[str]:
    """The runs that a value is made of, its other form, random circuits, the worst case, an OV circuit's profile."""
    percent, found = unit_of(row), []
    if row.get("parts"):
        found.append(made_of_means(row))
    others = row.get("beside") or []
    for other in [others] if isinstance(others, Mapping) else others:
        limits = f" [{both_ends(number(other.get('low'), percent), number(other.get('high'), percent), ', ')}]"
        found.append(f"Beside it, {prose(other.get('label'))}: {number(other.get('value'), percent)}{limits}.")
    random = row.get("random") or {}
    shares = row.get("statistic") in ("sufficiency", "partial_necessity")
    if random.get("median") is not None and shares:
        found.append(
            f"With random circuits the mean is {number(random['median'])} away from F(M) in the median "
            f"({number(random.get('min'))} to {number(random.get('max'))}); {number(random.get('as_good'))} of "
            f"{number(random['count'])} do at least as well as the claimed one."
        )
    elif random.get("median") is not None:
        found.append(
            f"{number(random['count'])} random circuits of the same size come to {number(random['median'], percent)} in "
            f"the median ({both_ends(number(random.get('min'), percent), number(random.get('max'), percent))}); "
            f"{number(random.get('as_good'))} of them do at least as well. {how_drawn(row)}"
        )
    worst = row.get("worst") or {}
    if worst.get("value") is not None:
        removed = listing(map(prose, worst.get("removed") or [])) or "nothing"
        of = f" of component {prose(worst['component'])}" if worst.get("component") else ""
        found.append(f"The deciding case{of} is with {removed} removed: {number(worst['value'])}.")
    found += filter(None, [of_subsets(row)])
    profile = row.get("profile") or {}
    if profile:
        keys = _ordered(profile, tuple(_PROFILE))
        told = ", ".join(f"{_PROFILE.get(key, prose(key))} {number(profile[key], True)}" for key in keys)
        found.append(f"Within the sequence the largest logit is at: {told} (share of members).")
    if row.get("left_out"):
        found.append(f"Left out, no single token here: {listing(map(code, row['left_out']))}.")
    return found


def _effect(effect: Mapping[str, Any]) -> str:
    kind, value = effect.get("kind"), effect["value"]
    if kind == "lift":
        return f"Effect size: {number(value)} times the value under uniform attention ({_times(value)})."
    if kind == "lift_over_heads":
        return f"Effect size: {number(value)} times the mean of the model's heads that have a value."
    if kind == "d_z":
        return (
            f"Effect size: paired d_z {number(value)}, {_cohen(value)} (mean difference over the standard deviation of "
            "the differences)."
        )
    if kind == "d":
        return (
            f"Effect size: Cohen's d {number(value)}, {_cohen(value)} (difference of the means over the pooled standard "
            "deviation)."
        )
    if kind == "relative":
        return f"Effect size: relative change {number(value, True)}, {_change(value)}."
    return f"Effect size: {prose(kind)} {number(value)}."


def _cohen(value: float) -> str:
    """A standardised difference by the conventions of Cohen (1988)."""
    size = abs(value)
    return next(
        (word for least, word in ((0.8, "large"), (0.5, "medium"), (0.2, "small")) if size >= least), "negligible"
    )


def _times(lift: float) -> str:
    """What a lift over uniform attention comes to."""
    if lift < 0.8:
        return "less than a head that looks everywhere alike"
    much = "much more than" if lift >= 3.0 else "more than" if lift >= 1.25 else "about as much as"
    return f"{much} a head that looks everywhere alike"


def _change(value: float) -> str:
    """What a relative change comes to."""
    size = abs(value)
    if size < 0.05:
        return "hardly any"
    much = "nearly all of it" if size >= 0.95 else "most of it" if size >= 0.5 else "a part of it"
    if value < 0:
        return f"{much} lost"
    return "somewhat more than before" if size < 0.5 else "far more than before"


def _ranks(ranks: Mapping[str, Any]) -> str:
    parts = [f"median {number(ranks['median'])}"] if ranks.get("median") is not None else []
    parts += [f"first on {number(ranks['first'], True)} of prompts"] if ranks.get("first") is not None else []
    counts = ranks.get("counts") or {}
    order = sorted(counts, key=lambda rank: (len(str(rank)), str(rank)))
    if order:
        listed = ", ".join(f"{prose(rank)} ({number(counts[rank])})" for rank in order[:8])
        rest = sum(counts[rank] for rank in order[8:])
        parts.append(f"rank (prompts): {listed}" + (f" and higher ones ({number(rest)})" if rest else ""))
    return f"Rank of the answer after the ablation: {'; '.join(parts) or 'not measured'}."


def reported_value(row: Row) -> str:
    """A published value with its source, "47.1% (arXiv ...)"; empty where the claim gives none."""
    reported = row.get("reported") or {}
    value = reported.get("value")
    if value is None:
        return ""
    told = prose(value) if isinstance(value, str) else number(value, unit_of(row))
    origin = "; ".join(prose(reported[key]) for key in ("source", "conditions") if reported.get(key))
    return told + (f" ({origin})" if origin else "")


def _reported(row: Row) -> str:
    here = "not measured" if row.get("estimate") is None else number(row["estimate"], unit_of(row))
    return f"Reported elsewhere: {reported_value(row)}; here: {here}. The reported value has no part in the verdict."
