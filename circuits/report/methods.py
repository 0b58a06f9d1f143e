"""How the intervals of a suite were made: only what occurs on its page, a sentence each, and how n was decided.

The words follow ``verdict.estimate``, ``verdict.decide`` and ``measure.series``; docs/statistics.md has the sources.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from circuits.report.asides import level_of
from circuits.report.prose import listing
from circuits.report.record import number

Entry = Mapping[str, Any]
Row = Mapping[str, Any]

TITLE = "How its intervals were made, and how n was decided"

_METHODS = {
    "betting": (
        "**betting interval** (values in a known range: attention, shares, probabilities): for every value outside of it a "
        "gambler who bets against that value being the mean would have multiplied the stake so often that chance hardly explains "
        "it. It assumes nothing but prompts that are drawn independently (Waudby-Smith and Ramdas)."
    ),
    "betting (two samples)": (
        "**betting, two samples** (a difference of two prompt sets): the same, with the k-th prompt of one set set against the "
        "k-th of the other."
    ),
    "betting (ratio)": (
        "**betting (ratio)** (the ratio of two means of values in a known range, such as a drop of a probability): every ratio c "
        "for which betting on `numerator - c x denominator` does not tell its mean from 0, where the denominator is surely above 0."
    ),
    "t": (
        "**t interval** (values without a range, such as logits): every value that the t e-process does not reject as the mean. It "
        "has the form of Student's t interval with a larger quantile, so that it may be looked at again and again (Wang and Ramdas)."
    ),
    "fieller": (
        "**Fieller interval** (the ratio of two means of values without a range, such as a drop of a logit difference): every ratio c "
        "for which the t e-process does not tell the mean of `numerator - c x denominator` from 0, where the denominator is surely above 0."
    ),
    "rule-of-three": (
        "**rule-of-three interval** (all values are equal, so nothing is known of their spread): the value plus and minus 3/n (at "
        "95%; more above) of a range: that of the metric on the clean prompts or, where that is 0 or not known, the size of the value itself, a "
        "guess. After n equal values about 3 in n prompts may still differ. It is a rule for one look and one end, and no more is promised of it."
    ),
    "clopper-pearson": (
        "**Clopper-Pearson interval** (a share, of a number that was fixed in advance): exact, from the binomial distribution, for one look."
    ),
    "lower end betting": (
        "**lower end by betting** (values of at least 0 without an upper end, KL and loss): that such a mean is large can be shown "
        "without an assumption, by betting; that it is small cannot, so the upper end is that of the other method."
    ),
}  # fmt: skip
_DISTANCES = ("faithfulness", "completeness", "minimality")


def how_made(entries: Sequence[Entry]) -> str:
    """A Markdown list; "" where nothing on the page has an interval."""
    measured = [
        (entry, row) for entry in entries for row in entry.get("checks") or [] if row.get("estimate") is not None
    ]
    rows = [row for _, row in measured]
    known = [row for row in rows if row.get("interval")]
    if not known:
        return ""
    texts = [_literal(entry, row) for entry, row in measured]
    told = [
        *_sizes(rows),
        _levels(known),
        *_corrections(known),
        *(f"- {_METHODS[name]}" for name in methods_of(known) if name in _METHODS),
        *_promises(known, texts),
        *_others(rows, texts),
    ]
    return "\n".join(told)


def methods_of(rows: Iterable[Row]) -> list[str]:
    """The methods of the rows' intervals, in the order of the explanations; "t, lower end betting" is two."""
    found = {part for row in rows for part in str(row.get("interval") or "").split(", ") if part}
    return sorted(found, key=lambda name: list(_METHODS).index(name) if name in _METHODS else len(_METHODS))


class _Drawn(NamedTuple):
    """How many prompts a row took, how many it could have taken, and whether that was fixed before the first look."""

    taken: int
    most: int
    in_advance: bool


def _drawn(row: Row) -> _Drawn | None:
    """None where no prompts were drawn to judge by: what is only observed, random circuits, weights, a census."""
    most, n = row.get("most"), row.get("n")
    if (
        most is None
        or n is None
        or row.get("observe")
        or row.get("unit")
        or not row.get("looks")
        or not row.get("interval")
    ):
        return None
    taken = n + (row.get("skipped") or 0)
    return _Drawn(taken, most, row["looks"] == 1 and taken >= most)


def _sizes(rows: Iterable[Row]) -> list[str]:
    """How n was decided: by looks after blocks, or in advance."""
    drawn = [each for each in map(_drawn, rows) if each is not None]
    sampled = [(each.taken, each.most) for each in drawn if not each.in_advance]
    fixed = [each.taken for each in drawn if each.in_advance]
    found = []
    if sampled:
        took, limits = [taken for taken, _ in sampled], [most for _, most in sampled]
        full = sum(taken >= most for taken, most in sampled)
        all_of_them = f"; {number(full)} of {number(len(sampled))} measurements took them all" if full else ""
        found.append(
            "- **How n was decided**: prompts were drawn in blocks of 32, later of about a quarter of what was there (in whole cycles "
            "where prompts go through templates). After each block, from the suite's `sampling: min` on, each check that was still "
            f"open was looked at; one that was decided took no more. Here at most {_range(limits)} prompts were to be drawn and "
            f"{_range(took)} were taken{all_of_them}. What is only observed took as many as the other checks of its claim, or "
            "`sampling: min` (in whole cycles) where it has none."
        )
    if fixed:
        found.append(
            f"- **n fixed in advance**: {number(len(fixed))} bounded measurement{'' if len(fixed) == 1 else 's'} took all of {_range(fixed)} "
            "prompts in one look: literal texts, all of which are used, or as many as were asked for."
        )
    return found


def _range(values: Sequence[int]) -> str:
    least, most = min(values), max(values)
    return number(least) if least == most else f"{number(least)} to {number(most)}"


def _levels(rows: Sequence[Row]) -> str:
    """What the confidence promises, and why the intervals are wider than a reader may expect."""
    levels = sorted({row["confidence"] for row in rows if row.get("confidence") is not None and not row.get("any")})
    ends = listing(
        f"{level_of(each)} (each end is wrong with probability at most {number((1 - each) / 2, True)})"
        for each in levels
    )
    wide = ""
    if {"t", "fieller"} & set(methods_of(rows)):
        wide = (
            " At 95% and with 12 to 1,000 prompts an interval by t or by Fieller's form reaches 3.2 to 3.9 standard errors to each "
            "side of a mean, where one for a single look reaches about 2."
        )
    looked = any(each is not None and not each.in_advance for each in map(_drawn, rows))
    when = ", however early the sampling stopped: such an" if looked else "; such an"
    here = "" if looked else " (on this page all were taken in one look)"
    return (
        f"- **Level**: {ends or 'not recorded'}{when} interval may be looked at after every block of prompts{here}, and is wider for "
        f"that than one that is made for a single look.{wide}"
    )


def divided(row: Row) -> int:
    """By what the error was divided to correct an interval; 1 where it was not."""
    corrected, plain = (row.get("corrected") or {}).get("confidence"), row.get("confidence")
    if corrected is None or plain is None or corrected >= 1:
        return 1
    return max(1, round((1.0 - float(plain)) / (1.0 - float(corrected))))


def _corrections(rows: Iterable[Row]) -> list[str]:
    judged = [row for row in rows if not row.get("observe") and divided(row) > 1]
    if not judged:
        return []
    levels = sorted({(divided(row), level_of(row["corrected"]["confidence"])) for row in judged})
    told = listing(f"{level} by {times}" for times, level in levels)
    band = any(row.get("bound_low") is not None and row.get("bound_high") is not None for row in judged)
    twice = ", twice for a band, either side of which could be found violated" if band else ""
    return [
        "- **Corrected interval**: a claim is refuted by any one of its rows (checks times heads times variants), so there the error is "
        f"divided by their number{twice}. Here: {told}. Support needs every row, and no correction."
    ]


def _literal(entry: Entry, row: Row) -> bool:
    """Whether a row's prompts are texts that a person wrote, all of which are used: nothing is drawn."""
    prompts = (entry.get("prompts") or {}).get(str(row.get("prompts"))) or {}
    return prompts.get("family") == "texts"


def _promises(rows: Sequence[Row], texts: Sequence[bool]) -> list[str]:
    """What *guaranteed* means. ``texts``: of each measured row, whether its prompts are literal texts."""
    found = []
    if any(row.get("guaranteed") is True for row in rows):
        written = (
            " Literal texts are not drawn: for them it holds as far as they are like independent draws of such texts."
            if any(texts)
            else ""
        )
        found.append(
            "- *guaranteed*: this holds whatever the distribution of the values, for prompts drawn independently of the family that is "
            "stated (few different answers stay few, however many prompts are drawn)."
            f"{written}"
        )
    if any(row.get("guaranteed") is False for row in rows):
        found.append(
            "- *not guaranteed*: it rests on the assumption that is named beside it. A mode that comes once in 100 prompts can stay "
            "unseen and turn the mean."
        )
    return found


def _others(rows: Sequence[Row], texts: Sequence[bool]) -> list[str]:
    """What has no interval, and what has one of another kind. ``texts``: see ``_promises``."""
    found = []
    if any(row.get("statistic") in _DISTANCES and row.get("interval") for row in rows):
        found.append(
            "- **Distances** (|F(M) - F(C)| and the like): the interval of the signed difference, folded at 0. Of the largest of several "
            "the lower end is corrected for their number, of the smallest over components the upper end, too."
        )
    if any((row.get("clean") or {}).get("top1_low") is not None for row in rows):
        found.append(
            "- **The share on which the model does the task** is shown with the lower end of its interval: by betting where the sampling "
            "could stop early, by Clopper and Pearson where n was fixed in advance."
        )
    written = {
        text for row, text in zip(rows, texts, strict=True) if row.get("method") == "mean" and row.get("reference")
    }
    if written:
        over = [_OWN if text else _APART for text in sorted(written)]
        found.append(
            f"- **Means that replace outputs** are those of {'; '.join(over)}. They are taken as given: no interval says how far they "
            "would be others on other such prompts."
        )
    if any(row.get("k") is not None and not row.get("exact") for row in rows):
        found.append(
            "- **`top: k`** is decided by comparing the head with every other one on the same prompts, not by the interval beside it."
        )
    if any(row.get("any") and row.get("interval") for row in rows):
        found.append(
            "- **some head of m**: the interval of the best one is at a level at which those of all m hold together, the error divided by "
            "m. Where the claim is refuted it is the one that refutes: every head must miss the bound, so nothing is divided by m. Where "
            "it is supported *together*, no head is sure enough alone and the best one's interval may cross the bound: the mean of the "
            "e-values of all heads with an estimate that meets it is what is large enough."
        )
    if any(row.get("exact") for row in rows):
        found.append(
            "- **exact**: scores of weights are facts about this model; nothing is drawn, so there is no interval."
        )
    if any(_is_census(row) for row in rows):
        found.append("- **census**: all prompts of that kind were measured, so there is no interval.")
    return found


_APART = (
    "corrupted prompts drawn apart from the measured ones (a stream of their own with the same seed), for each template and length "
    "by themselves"
)
_OWN = "literal texts' own corrupted partners, each prompt's own among them, for each length by themselves"


def _is_census(row: Row) -> bool:
    return not row.get("interval") and not row.get("exact") and not row.get("observe") and bool(row.get("verdict"))
