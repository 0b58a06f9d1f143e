"""What a row measured, in one sentence, before any number: the quantity, on what, by which method."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from circuits.report.causal import metric, parts_ablated, what_ablate, what_keep, what_loss_map, what_path
from circuits.report.prose import attention_phrase, code, listing, prose, same_queries, several_queries
from circuits.report.record import number

__all__ = ["head_name", "metric", "parts_ablated", "what"]

Row = Mapping[str, Any]

_OV = {"copying": "whose own token", "successor": "whose next member"}
_SCORES = {
    "previous_token": "mean attention from each token of the second copy to the token just before it",
    "duplicate_token": "mean attention from each token of the second copy to the same token in the first copy",
    "induction": "mean attention from each token of the second copy to the token after its first copy",
}


def head_name(row: Row) -> str:
    """ "head 14.3", or "the claimed head" when the row names none."""
    return f"head {prose(row['head'])}" if row.get("head") else "the claimed head"


def what(row: Row) -> str:
    """One sentence: the quantity, before any number."""
    kind = row.get("kind") or str(row.get("check") or "").partition(":")[0]
    sentence = _KINDS.get(str(kind))
    text = sentence(row) if sentence is not None else f"{code(row.get('check') or 'an unnamed check')}."
    some = row.get("any") or {}
    if some:
        among = (
            f"{listing(map(prose, some['among']))}"
            if some.get("among")
            else f"all {number(some.get('of'))} of the model"
        )
        text = f"The claim is that some head does, among {among}; the best one is shown. {text}"
    return text


def _what_attends(row: Row) -> str:
    selector = str(row.get("check") or "").partition(":")[2].strip()
    head, statistic, more = head_name(row), row.get("statistic"), row.get("more_than")
    if statistic == "top1":
        quantity = f"Share of query tokens whose most attended token, in {head}, is in the key set"
    elif statistic == "lift":
        quantity = f"Attention mass that {head} puts, divided by what uniform attention would put there,"
    else:
        quantity = f"Mean attention mass that {head} puts"
    joint = ": " if statistic == "top1" else " " if statistic == "lift" else ", "
    other = row.get("other") or {}
    if more:
        there = f", of head {prose(other['head'])}" if other.get("head") and other["head"] != row.get("head") else ""
        if other.get("prompts") and other["prompts"] != row.get("prompts"):
            there += f", on {code(other['prompts'])}"
        second = f"the same{there}" if there and str(more) == selector else f"{attention_phrase(str(more))}{there}"
        text = (
            f"Difference of two values, first minus second. {quantity}{joint}first {attention_phrase(selector)}; "
            f"second {second}{_eligible(row, selector)}."
        )
    else:
        text = f"{quantity}{joint}{attention_phrase(selector)}{_eligible(row, selector)}."
    excluded = row.get("excluding") or []
    if excluded:
        names = {"bos": "BOS", "self": "the token itself"}
        left_out = listing(names.get(key, code(key)) for key in excluded)
        text += f" Attention to {left_out} was left out and the rest of each row rescaled to sum to 1."
    return text


def _eligible(row: Row, selector: str) -> str:
    """Which query tokens count: those with a key; of a comparison from the same tokens those with a key on both sides."""
    more, other = row.get("more_than"), row.get("other") or {}
    apart = bool(other.get("prompts")) and other["prompts"] != row.get("prompts")
    if not (several_queries(selector) or (more and several_queries(str(more)))):
        return ""
    how = {"top1": "counted", "lift": "summed"}.get(str(row.get("statistic")), "averaged")
    if not more:
        return f", {how} over the tokens that have such a key"
    if same_queries(selector, str(more)) and not apart:
        return f"; {how} over the tokens that have a key on both sides"
    return f"; each is {how} over the tokens that have such a key"


def _what_score(row: Row) -> str:
    name = str(row.get("statistic") or str(row.get("check") or "").partition(":")[2].strip())
    if name == "in_context_learning":
        note = prose(row.get("statistic_note") or "loss late in the text minus loss early in it")
        sizes = row.get("vocabulary")
        chance = (
            f" Guessing evenly among the {number(sizes)} tokens of the vocabulary would lose ln {number(sizes)} = {number(math.log(sizes))} nats a token."
            if sizes
            else ""
        )
        return (
            f"In-context-learning score of the model: {note}, in nats; below 0, later tokens are predicted better."
            f"{_averaged(row)}{chance}"
        )
    if name in _OV:
        members = f"of {code(row['members'])} " if row.get("members") else ""
        members += "(but the last, which has no next one) " if name == "successor" and members else ""
        return (
            f"{name.capitalize()} score of {head_name(row)}: share of the members {members}{_OV[name]} is among the 5 "
            "largest logits of what the head's OV circuit writes for that member alone (block 0's output for it behind BOS, "
            "the head's input norm, W_V, W_O, final norm, unembedding). It comes from the weights: no prompts are drawn."
        )
    meaning = _SCORES.get(name)
    title = name.replace("_", "-") if meaning else f"{code(name)}"
    tail = f": {meaning}, on random tokens that stand there twice." if meaning else "."
    return f"{title[:1].upper()}{title[1:]} score of {head_name(row)}{tail}"


def _averaged(row: Row) -> str:
    """Over which tokens the losses of two copies were averaged; "" for single tokens."""
    copies = any("copy" in str(name) for name in row.get("parts") or {})
    return (
        " Each is the mean over all tokens of a copy. Nothing can predict those of the first copy, nor where the second begins."
        if copies
        else ""
    )


_KINDS: Mapping[str, Callable[[Row], str]] = {
    "attends": _what_attends,
    "score": _what_score,
    "ablate": what_ablate,
    "keep_only": what_keep,
    "path": what_path,
    "loss_map": what_loss_map,
}
