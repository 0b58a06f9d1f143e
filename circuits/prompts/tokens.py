"""From text to what the model sees: ids, where the roles lie, and the answer's and foil's tokens.

The model sees BOS (where the tokenizer has one) and the token prefix that text+answer and text+foil
have in common; the first tokens that differ are the answer and the foil. So "Emma is" + " 5" becomes
"Emma is " + "5" for a tokenizer that splits " 5", without anyone writing that space.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from circuits.errors import PromptFault
from circuits.prompts.own import marked, pairs_of
from circuits.prompts.parameters import with_defaults
from circuits.prompts.prompt import Family, Prompt, PromptPair, Span, Tokenizer, TokenPrompt

#: The most prompts that "all there are" may mean for a family that draws its prompts.
MOST_PROMPTS = 100_000
#: How many prompts of the reference stream are looked at for each one that is asked for.
REFERENCE_EFFORT = 64

_SENTENCE = re.compile(r"[^.?!]*[.?!]|[^.?!]+")


@dataclass(frozen=True)
class Seen:
    """What the model sees of one text (no BOS): ids, each id's characters, answer and foil ids."""

    ids: tuple[int, ...]
    offsets: tuple[tuple[int, int], ...]
    answers: tuple[int, ...]
    foils: tuple[int, ...]


def tokenize(
    pair: PromptPair, tokenizer: Tokenizer, bos: bool = True, extra_roles: Mapping[str, str] | None = None
) -> TokenPrompt:
    """One pair as token ids with roles, items, answer and foil (DESIGN 3.1).

    ``extra_roles`` maps role names to regular expressions over the clean text (whole matches); they
    override the family's roles of that name. A role covers every token that overlaps one of its
    spans; spans that the model does not see are dropped, and of several spans that cover the very
    same tokens one is kept. Without items of the family's own, sentences are the items.

    Raises PromptFault when the answer cannot be told from the foil, when the corrupted partner has
    another length, or when nothing is left for the model to see.
    """
    front = (tokenizer.bos_id,) if bos and tokenizer.bos_id is not None else ()
    if pair.clean.text is None:
        return _id_prompt(pair, tokenizer, front)
    text = pair.clean.text
    clean = see(tokenizer, text, pair.answers, pair.foils)
    ids = front + clean.ids
    if not ids:
        raise PromptFault(f"nothing of the prompt {text!r} is left for the model to see")
    corrupted = None
    if pair.corrupted is not None:
        partner = pair.corrupted.text or ""
        corrupted = front + see(tokenizer, partner, pair.answers, pair.foils).ids
        if len(corrupted) != len(ids):
            raise PromptFault(
                f"corrupted partner has {len(corrupted)} tokens, the clean prompt {len(ids)}: "
                f"{partner!r} against {text!r}; change one until both have the same number"
            )
    spans: dict[str, Sequence[Span]] = dict(pair.clean.roles)
    for role, pattern in (extra_roles or {}).items():
        spans[role] = [Span(match.start(), match.end()) for match in re.finditer(pattern, text)]
    shift = len(front)
    roles = {role: _covered(clean.offsets, found, shift) for role, found in spans.items()}
    items = pair.clean.items or split_items(text)
    item_of = (-1,) * shift + items_of_tokens(text, clean.offsets, items)
    return TokenPrompt(
        ids=ids,
        corrupted=corrupted,
        answers=clean.answers,
        foils=clean.foils,
        roles=roles,
        item_of=item_of,
        period=_period(item_of, len(items)),
        has_bos=bool(front),
        template=pair.template,
        text=text,
    )


def see(tokenizer: Tokenizer, text: str, answers: Sequence[str], foils: Sequence[str]) -> Seen:
    """What the model sees of ``text`` when ``answers`` and ``foils`` may follow it.

    With a foil: the common token prefix of text+answer and text+foil. Without one: that of
    text+answer and text. With neither: the whole text. Further answers and foils must have the same
    prefix. Raises PromptFault when two texts do not differ or one is a token prefix of the other.
    """
    if not answers:
        if foils:
            raise PromptFault(f"the prompt {text!r} has a foil ({foils[0]!r}) but no answer")
        ids, offsets = tokenizer.encode(text)
        return Seen(tuple(ids), tuple(offsets), (), ())
    ids, offsets = tokenizer.encode(text + answers[0])
    other, _ = tokenizer.encode(text + foils[0] if foils else text)
    place = common_prefix(ids, other)
    if foils and (place == len(ids) or place == len(other)):
        what = "give the same tokens" if len(ids) == len(other) else "differ only in that one ends before the other"
        raise PromptFault(
            f"the answer {answers[0]!r} and the foil {foils[0]!r} cannot be told apart: after {text!r} they "
            f"{what} with the tokenizer {tokenizer.name}"
        )
    if place == len(ids):
        raise PromptFault(
            f"the answer {answers[0]!r} adds no token to the prompt {text!r} with tokenizer {tokenizer.name}"
        )
    seen = list(ids[:place])
    answer_ids = [ids[place]] + [_place_of(tokenizer, text, more, seen, "answer") for more in answers[1:]]
    foil_ids = [other[place]] if foils else []
    foil_ids += [_place_of(tokenizer, text, more, seen, "foil") for more in foils[1:]]
    both = set(answer_ids) & set(foil_ids)
    if both:
        raise PromptFault(
            f"after the prompt {text!r} the answers {list(answers)!r} and the foils {list(foils)!r} share "
            f"the token {tokenizer.decode(min(both))!r}"
        )
    return Seen(
        tuple(seen),
        tuple(offsets[:place]),
        tuple(dict.fromkeys(answer_ids)),
        tuple(dict.fromkeys(foil_ids)),
    )


def common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """How many ids the two sequences share from the start."""
    for place, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return place
    return min(len(left), len(right))


def split_items(text: str) -> tuple[Span, ...]:
    """Sentences: split after each of ``. ? !`` (within numbers too); the terminator is its item's.

    Spaces between sentences belong to neither span. The last item is the unfinished one; it is
    empty, at the end of the text, where the text ends with a terminator.
    """
    items = []
    for match in _SENTENCE.finditer(text):
        part = match.group()
        if part.strip():
            items.append(Span(match.end() - len(part.lstrip()), match.start() + len(part.rstrip())))
    if not items or text[items[-1].end - 1] in ".?!":
        items.append(Span(len(text), len(text)))
    return tuple(items)


def items_of_tokens(text: str, offsets: Sequence[tuple[int, int]], items: Sequence[Span]) -> tuple[int, ...]:
    """For each token the index of its item, by the token's first character that is no space.

    A token of spaces only, and whatever spaces stand between items, belong to the item that
    follows; what comes after the text belongs to the last item. -1 where other text lies between.
    """
    if not items:
        return (-1,) * len(offsets)
    ends = [item.end for item in items[:-1]]
    found = []
    for start, end in offsets:
        here, stop = start, min(end, len(text))
        while here < stop and text[here].isspace():
            here += 1
        here = here if here < stop else start
        index = bisect_right(ends, here)
        item = items[index]
        if item.start <= here < item.end:
            found.append(index)
        elif here < item.start:
            found.append(-1 if text[here : item.start].strip() else index)
        else:
            found.append(-1 if text[item.end : here + 1].strip() else index)
    return tuple(found)


def build(
    family: Family,
    params: Mapping[str, Any],
    tokenizer: Tokenizer,
    seed: int,
    stream: str,
    n: int | None,
    bos: bool = True,
    extra_roles: Mapping[str, str] | None = None,
) -> list[TokenPrompt]:
    """The first ``n`` prompts of a stream that are distinct by what the model sees, in stream order.

    The first n do not depend on how many are asked for. Fewer come back when there are no more;
    ``n`` None asks for all there are. A family that is ``exhaustive`` (texts) gives all its prompts
    whatever n. Raises PromptFault when none can be made, when a prompt is faulty, when the items of
    generated prompts of one template differ in token length, or when "all" exceeds ``MOST_PROMPTS``.
    """
    if n is not None and n < 1 and not family.exhaustive:
        raise ValueError(f"at least one prompt must be asked for, not {n}")
    filled = with_defaults(family, params)
    prompts: list[TokenPrompt] = []
    seen: set[tuple[object, ...]] = set()
    periods: dict[str, int | None] = {}
    for pair in pairs_of(family, filled, tokenizer, seed, stream):
        prompt = tokenize(marked(pair, family.marks), tokenizer, bos, extra_roles)
        key = (prompt.ids, prompt.answers, prompt.foils, prompt.corrupted) if family.exhaustive else (prompt.ids,)
        if key in seen:
            continue
        seen.add(key)
        if pair.clean.items and not family.exhaustive:
            first = periods.setdefault(prompt.template, prompt.period)
            if first != prompt.period:
                raise PromptFault(
                    f"family {family.name}: the items of {prompt.text!r} have {prompt.period} tokens each, "
                    f"those of {prompts[0].text!r} {first}; prompts of a set must have items of equal length"
                )
        prompts.append(prompt)
        if not family.exhaustive and n is not None and len(prompts) == n:
            break
        if not family.exhaustive and len(prompts) > MOST_PROMPTS:
            raise PromptFault(f"family {family.name} has more than {MOST_PROMPTS} prompts; say how many to take")
    if not prompts:
        raise PromptFault(f"family {family.name} gave no prompt for the tokenizer {tokenizer.name}")
    return prompts


def reference_prompts(
    family: Family,
    params: Mapping[str, Any],
    tokenizer: Tokenizer,
    seed: int,
    template: str,
    token_length: int,
    bos: bool = True,
    extra_roles: Mapping[str, str] | None = None,
    count: int = 128,
) -> list[tuple[int, ...]]:
    """The corrupted prompts that mean ablation takes its reference from, as ids (BOS included).

    They are the first ``count`` of the separate "reference" stream that have this template and this
    token length (BOS counted), so they depend on neither n nor the prompts that are measured. For an
    ``exhaustive`` family: all corrupted partners of that length, whatever the template. Fewer than
    ``count`` when there are no more, or no more among the ``REFERENCE_EFFORT`` x count first ones.
    """
    rows: list[tuple[int, ...]] = []
    filled = with_defaults(family, params)
    for looked_at, pair in enumerate(pairs_of(family, filled, tokenizer, seed, "reference")):
        if not family.exhaustive and (len(rows) >= count or looked_at >= REFERENCE_EFFORT * count):
            break
        if pair.corrupted is None or (pair.template != template and not family.exhaustive):
            continue
        row = tokenize(pair, tokenizer, bos, extra_roles).corrupted
        if row is not None and len(row) == token_length:
            rows.append(row)
    return rows


def _place_of(tokenizer: Tokenizer, text: str, more: str, seen: Sequence[int], what: str) -> int:
    """The token of a further answer or foil at the place where the first ones differ."""
    ids, _ = tokenizer.encode(text + more)
    if len(ids) <= len(seen) or list(ids[: len(seen)]) != list(seen):
        raise PromptFault(
            f"the {what} {more!r} does not follow the same tokens as the first answer after {text!r} with "
            f"the tokenizer {tokenizer.name}; all answers and foils of a prompt must share one prefix"
        )
    return ids[len(seen)]


def _covered(offsets: Sequence[tuple[int, int]], spans: Sequence[Span], shift: int) -> tuple[tuple[int, ...], ...]:
    """The token positions of each span, counted with ``shift`` tokens in front."""
    found: dict[tuple[int, ...], None] = {}
    for span in spans:
        positions = tuple(
            shift + index
            for index, (start, end) in enumerate(offsets)
            if start < end and start < span.end and span.start < end and span.start < span.end
        )
        if positions:
            found[positions] = None
    return tuple(found)


def _period(item_of: Sequence[int], items: int) -> int | None:
    """The token length of the items before the last, when all have the same."""
    lengths = {sum(1 for item in item_of if item == index) for index in range(items - 1)}
    return lengths.pop() if len(lengths) == 1 and 0 not in lengths else None


def _id_prompt(pair: PromptPair, tokenizer: Tokenizer, front: tuple[int, ...]) -> TokenPrompt:
    """A prompt that is given as ids: spans are positions already, only BOS moves them."""
    clean: Prompt = pair.clean
    if not clean.ids:
        raise PromptFault("a prompt has neither text nor ids")
    shift = len(front)
    ids = front + tuple(clean.ids)
    corrupted = None
    if pair.corrupted is not None:
        corrupted = front + tuple(pair.corrupted.ids or ())
        if len(corrupted) != len(ids):
            raise PromptFault(f"corrupted partner has {len(corrupted)} tokens, the clean prompt {len(ids)}")
    item_of = [-1] * len(ids)
    for index, item in enumerate(clean.items):
        item_of[shift + item.start : shift + item.end] = [index] * (item.end - item.start)
    roles = {
        role: tuple(tuple(range(shift + span.start, shift + span.end)) for span in spans)
        for role, spans in clean.roles.items()
    }
    return TokenPrompt(
        ids=ids,
        corrupted=corrupted,
        answers=tuple(pair.answer_ids),
        foils=tuple(pair.foil_ids),
        roles=roles,
        item_of=tuple(item_of),
        period=_period(item_of, len(clean.items)),
        has_bos=bool(front),
        template=pair.template,
        text="".join(tokenizer.decode(token) for token in clean.ids),
    )
