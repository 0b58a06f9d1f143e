"""``score: NAME``: the field's named scores, of attention, of OV circuits and of the loss."""

from __future__ import annotations

import numpy as np

from circuits.claims.claim import Score
from circuits.claims.keys import WEIGHT_SCORES
from circuits.kinds.attends import candidates, with_clean
from circuits.kinds.kind import Cell, Here, Kind, Quantity
from circuits.measure.cells import question
from circuits.measure.group_losses import in_context, losses_name
from circuits.prompts.words import SEQUENCES
from circuits.verdict.decide import Asked, Row
from circuits.verdict.ranking import any_row, attention_top_row, icl_row, merit, score_row_exact
from circuits.verdict.rows import attention_row, head_means


def _what(cell: Cell) -> Score:
    assert isinstance(cell.check.what, Score)
    return cell.check.what


def members(what: Score) -> tuple[str, ...]:
    """The members of the sequence that a copying or successor score is about."""
    assert what.members is not None
    return SEQUENCES[what.members] if isinstance(what.members, str) else what.members


def named(what: Score) -> str | None:
    """The members of a score of weights in words; None of another score."""
    return what.members if what.members is None or isinstance(what.members, str) else ", ".join(what.members)


def asked_of(what: Score) -> Row:
    """What a check asks, as its row says it."""
    about = {"members": named(what)} if what.members is not None else {}
    return {
        "statistic": what.name, "metric": None, "method": None, "ablated": None, "excluding": [], "more_than": None, **about,
    }  # fmt: skip


def _plan(cell: Cell, here: Here) -> list[Quantity]:
    what = _what(cell)
    if what.name in WEIGHT_SCORES:
        return [(here.ov, here.ov.name(members(what)))]
    if what.name == "in_context_learning":
        return [(here.series, losses_name(None))]
    # As for attention: a pattern is for a report, and a place among all heads is shown on their map.
    one_head = cell.head is not None and not cell.check.any and cell.check.bound.kind != "top"
    pictured = [cell.place] if one_head and here.draw is not None else []
    return [(here.series, here.series.plan_attention(question(what), pictured))]


def _row(row: Row, cell: Cell, here: Here, how: Asked) -> Row:
    what, bound = _what(cell), cell.check.bound
    row |= asked_of(what)
    if what.name in WEIGHT_SCORES:
        return _weights(row, cell, here, how)
    group = here.prompts
    if what.name == "in_context_learning":
        row["vocabulary"] = group.facts["vocabulary"]
        return icl_row(row, in_context(group), bound, how)
    asked = question(what)
    attention = group.attention(asked)
    if cell.check.any:
        row = any_row(row, asked, attention, candidates(cell, here), bound, how)
    else:
        ranked = attention_top_row if bound.kind == "top" else attention_row
        row = ranked(row, asked, attention, cell.place, bound, how)
    return with_clean(row, group, how)


def _weights(row: Row, cell: Cell, here: Here, how: Asked) -> Row:
    """A copying or successor score: known exactly, so "some head" is decided by looking at each."""
    what, bound = _what(cell), cell.check.bound
    found = here.ov.scores(members(what))
    each = found.scores.copying if what.name == "copying" else found.scores.successor
    means = head_means(each)
    chosen = candidates(cell, here) if cell.check.any else [cell.place]
    # One that holds, else the one nearest to it: what decides whether some head does.
    # A head that writes nothing has no score and cannot be the one.
    usable = [place for place in chosen if not np.isnan(each[place]).all()] or chosen

    def rank(place: tuple[int, int]) -> tuple[bool, bool, float]:
        """A head that holds comes first, then one whose numbers are not finite (it may hold), then the nearest."""
        mean = float(means[place])
        known = bool(np.isfinite(mean))
        return known and bound.holds(mean), not known, merit(mean, bound) if known else 0.0

    best = max(usable, key=rank)
    row["head"] = f"{best[0]}.{best[1]}"
    if cell.check.any:
        passing = sum(bound.holds(float(means[place])) for place in usable) if bound.kind != "observe" else None
        among = [str(head) for head in cell.check.heads] or None
        row["any"] = {"of": len(chosen), "passing": passing, "best": row["head"], "among": among, "together": False}
        if len(usable) < len(chosen):
            row["warnings"].append(
                f"{len(chosen) - len(usable)} of {len(chosen)} heads have no score: they write nothing"
            )
    return score_row_exact(row, each, found.scores.profile, best, bound, how, str(named(what)), found.left_out)


SCORE = Kind(_plan, _row, asked_of)
