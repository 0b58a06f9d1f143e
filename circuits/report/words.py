"""Rows of the record in plain words: what was measured, how sure it is, what would have refuted it.

Every function takes a row (one entry of a claim's ``checks``) as plain JSON data and returns Markdown
text. A key that is missing counts as null, and null is said to be "not measured", never shown as 0.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from typing import Any

from circuits.claims import selector as sel
from circuits.report.record import DASH, number

Row = Mapping[str, Any]
SPACE = "␣"  # how a space at the edge of a token or an answer is shown

_METRICS = {
    "logit_diff": "logit difference between answer and foil",
    "answer_logit": "logit of the answer",
    "answer_logprob": "log probability of the answer",
    "answer_prob": "probability of the answer",
    "pair_prob": "probability of the answer against the foil alone (the sigmoid of their logit difference)",
    "prob_diff": "probability of the answers minus that of the foils",
    "answer_rank": "rank of the answer (1 = the model's first choice)",
    "kl": "KL divergence of the ablated from the clean prediction",
    "loss": "mean next-token loss over the prompt",
}
_METHODS = {  # of one component, of several
    "mean": (
        "by its mean",
        "by their means",
        " over{reference} corrupted prompts of the same template and length, position by position",
    ),
    "zero": ("by zero", "by zero", ""),
    "resample": ("by the one it has", "by those they have", " on the prompt's own corrupted partner"),
}
_SCORES = {
    "previous_token": "mean attention from each token of the second copy to the token just before it",
    "duplicate_token": "mean attention from each token of the second copy to the same token in the first copy",
    "induction": "mean attention from each token of the second copy to the token after its first copy",
}


def prose(text: Any) -> str:
    """User text as one line of Markdown that renders as written, also inside a table cell."""
    line = " ".join(str(text).split())
    line = html.escape(line, quote=False)
    line = re.sub(r"([\\`*\[\]~$|]|(?<!\w)_|_(?!\w))", r"\\\1", line)
    return re.sub(r"^([#+\-=]|\d+[.)])(?=\s|$)", _escape_start, line)


def _escape_start(match: re.Match[str]) -> str:
    text = match[1]
    return f"{text[:-1]}\\{text[-1]}"


def code(text: Any) -> str:
    """Text as inline code, also inside a table cell: spaces at its edges and line breaks made visible."""
    raw = str(text).replace("\r\n", "\n").replace("\r", "\n").replace("\n", "⏎").replace("\t", "⇥")
    inner = raw.strip(" ")
    lead, trail = len(raw) - len(raw.lstrip(" ")), len(raw) - len(raw.rstrip(" "))
    shown = SPACE * len(raw) if not inner else SPACE * lead + re.sub(" {2,}", _visible, inner) + SPACE * trail
    if not shown:
        return "(nothing)"
    if re.search(r"[`|]", shown):  # a code span cannot hold these inside a table: write them as entities
        entities = re.sub(r"[`|*_\[\]~\\$]", lambda found: f"&#{ord(found[0])};", html.escape(shown, quote=False))
        return f"<code>{entities}</code>"
    return f"`{shown}`"


def _visible(match: re.Match[str]) -> str:
    return SPACE * len(match[0])


def ordinal(k: int) -> str:
    """1st, 2nd, 3rd, 4th, ..."""
    suffix = "th" if k % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(k % 10, "th")
    return f"{k}{suffix}"


def listing(parts: Iterable[str]) -> str:
    """a; a and b; a, b and c."""
    found = list(parts)
    return found[0] if len(found) == 1 else f"{', '.join(found[:-1])} and {found[-1]}" if found else ""


def _many(of: sel.Set) -> str:
    """A set of tokens as a noun phrase in the plural (or what stands for it)."""
    match of:
        case sel.Role(name=name):
            return f"{code(name)} tokens"
        case sel.Structure(name=name):
            return {
                "any": "tokens",
                "self": "the token itself",
                "end": "the last token",
                "bos": "BOS",
                "first": "the first position",
                "duplicate": "all earlier copies of the same token",
                "induction": "the tokens that follow earlier copies of the same token",
            }[name]
        case sel.Back(variable=None, constant=back):
            return f"the token {back} places back" if back != 1 else "the token just before it"
        case sel.Back(variable=variable, factor=factor, constant=constant):
            scaled = f"{factor}*{variable}" if factor != 1 else str(variable)
            shift = f"{constant:+d}" if constant else ""
            return f"the token {code(scaled + shift)} places back"
        case sel.Qualified(how="previous", of=sel.Structure(name="duplicate")):
            return "the nearest earlier copy of the same token"
        case sel.Qualified(how="previous", of=sel.Structure(name="induction")):
            return "the token that follows the nearest earlier copy of the same token"
        case sel.Qualified(how="earlier", of=inner):
            return f"all earlier {_many(inner)}"
        case sel.Qualified(how="previous", of=sel.Role(name=name)):
            return f"the nearest earlier {code(name)}"
        case sel.Qualified(how="previous", of=inner):
            return f"the nearest earlier of the {_many(inner)}"
        case sel.Qualified(of=inner):
            return f"the {_many(inner)} of its own item"
        case sel.Index(of=sel.Role(name=name), k=k):
            return f"the {ordinal(k)} {code(name)}"
        case sel.Index(of=inner, k=k):
            return f"the {ordinal(k)} of the {_many(inner)}"
        case sel.Half(of=inner, which=which):
            return f"{_many(inner)} in the {'first' if which == 'early' else 'second'} half of the prompt"
        case sel.Shift(of=sel.Role(name=name), by=by):
            return f"the token {_places(by)} {code(name)}"
        case sel.Shift(of=inner, by=by):
            return f"the token {_places(by)} {_many(inner)}"
        case sel.Not(of=inner):
            return f"tokens that are not {_many(inner)}"
        case sel.Union(of=parts):
            return " or ".join(_many(part) for part in parts)


def _places(by: int) -> str:
    where = "after" if by > 0 else "before"
    return f"right {where}" if abs(by) == 1 else f"{abs(by)} places {where}"


def _plain_set(of: sel.Set) -> bool:
    if isinstance(of, sel.Union):
        return all(_plain_set(part) for part in of.of)
    return (
        isinstance(of, (sel.Role, sel.Not))
        or (isinstance(of, sel.Structure) and of.name == "any")
        or (isinstance(of, sel.Half) and _plain_set(of.of))
    )


def _sides(text: str) -> tuple[str, str] | None:
    """The query and the key of a selector in words, None when it cannot be read."""
    try:
        found = sel.parse(text)
    except ValueError:
        return None
    query, key = _many(found.query), _many(found.key)
    if isinstance(found.query, sel.Role):
        query = f"each {code(found.query.name)} token"
    elif _plain_set(found.query):
        query = "every token (BOS aside)" if query == "tokens" else f"each of the {query}"
    if isinstance(found.key, sel.Not):
        key = f"all tokens before it that are not {_many(found.key.of)} (BOS aside)"
    elif _plain_set(found.key):
        key = f"all {key} before it" + ("" if isinstance(found.key, sel.Role) else " (BOS aside)")
    return query, key


def _attention(text: str) -> str:
    """ "from each `member` token, on all earlier `member` tokens" for a selector."""
    sides = _sides(text)
    return f"over {code(text)}" if sides is None else f"from {sides[0]}, on {sides[1]}"


def metric(name: Any) -> str:
    """A metric in words: "logit difference between answer and foil"; unknown ones as code."""
    top = re.fullmatch(r"top(\d+)", str(name))
    if top:
        place = "the model's first choice" if top[1] == "1" else f"among the model's first {top[1]} choices"
        return f"share of prompts whose answer is {place}"
    return _METRICS.get(str(name), code(name) if name is not None else "unnamed metric")


def head_name(row: Row) -> str:
    """ "head 14.3", or "the claimed head" when the row names none."""
    return f"head {prose(row['head'])}" if row.get("head") else "the claimed head"


def what(row: Row) -> str:
    """One sentence: the quantity, before any number."""
    kind = row.get("kind") or str(row.get("check") or "").partition(":")[0]
    if kind == "attends":
        return _what_attends(row)
    if kind == "score":
        return _what_score(row)
    if kind == "ablate":
        return _what_ablate(row)
    return f"{code(row.get('check') or 'an unnamed check')}."


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
    if more:
        text = (
            f"Difference of two values, first minus second. {quantity}{joint}first {_attention(selector)}; "
            f"second {_attention(str(more))}."
        )
    else:
        text = f"{quantity}{joint}{_attention(selector)}."
    excluded = row.get("excluding") or []
    if excluded:
        names = {"bos": "BOS", "self": "the token itself"}
        left_out = listing(names.get(key, code(key)) for key in excluded)
        text += f" Attention to {left_out} was left out and the rest of each row rescaled to sum to 1."
    return text


def _what_score(row: Row) -> str:
    name = row.get("statistic") or str(row.get("check") or "").partition(":")[2].strip()
    meaning = _SCORES.get(str(name))
    title = str(name).replace("_", "-") if meaning else f"{code(name)}"
    tail = f": {meaning}, on random tokens repeated twice." if meaning else "."
    return f"{title[:1].upper()}{title[1:]} score of {head_name(row)}{tail}"


def parts_ablated(row: Row) -> str:
    """The ablated components in words: "head 23.3", "heads 1.5 and 4.4 together", "MLP3"."""
    names = [str(name) for name in row.get("ablated") or []]
    heads = [prose(name) for name in names if not name.startswith("MLP")]
    others = [prose(name) for name in names if name.startswith("MLP")]
    groups = ([("head " if len(heads) == 1 else "heads ") + listing(heads)] if heads else []) + others
    return (listing(groups) + (" together" if len(names) > 1 else "")) if names else "the named components"


def _what_ablate(row: Row) -> str:
    statistic, of = row.get("statistic"), metric(row.get("metric"))
    if statistic == "drop_in":
        quantity = f"Relative drop of the {of}, (clean - ablated) / clean with the means over prompts,"
    elif statistic == "change_in":
        quantity = f"Change of the {of}, ablated minus clean,"
    elif statistic == "after":
        quantity = f"The {of}"
    else:
        quantity = f"{code(row.get('check') or statistic)}"
    several = len(row.get("ablated") or []) != 1
    count = (row.get("reference") or {}).get("n")
    one, many, tail = _METHODS.get(str(row.get("method")), ("", "", ""))
    by = (many if several else one) + tail.format(reference="" if count is None else f" {number(count)}")
    where = f" at {code(row['at'])} only" if row.get("at") else ""
    replaced = f"the {'outputs' if several else 'output'} of {parts_ablated(row)} {'are' if several else 'is'} replaced"
    return (
        f"{quantity} when {replaced}{where}{' ' if by else ''}{by} ({prose(row.get('method') or 'unnamed')} ablation)."
    )


def interval_limits(row: Row) -> str:
    """ "0.58 to 0.64", with one-sided and missing limits said in words."""
    percent, beside = bool(row.get("percent")), (row.get("bound_low"), row.get("bound_high"))
    low, high = row.get("low"), row.get("high")
    if low is None and high is None:
        return DASH
    if low is None:
        return f"up to {number(high, percent, beside)} (no lower limit)"
    if high is None:
        return f"from {number(low, percent, beside)} (no upper limit)"
    return f"{number(low, percent, beside)} to {number(high, percent, beside)}"


def is_census(row: Row, prompts: Mapping[str, Any] | None = None) -> bool:
    """Whether every possible prompt was measured, so that there is no sampling interval."""
    if row.get("estimate") is None or row.get("interval") is not None:
        return False
    one_point = row.get("low") in (None, row.get("estimate")) and row.get("high") in (
        None,
        row.get("estimate"),
    )
    return one_point and (prompts or {}).get("census") is not False


def how_much(row: Row, prompts: Mapping[str, Any] | None = None) -> str:
    """One sentence: on what it was measured, the estimate, its interval and what the interval rests on."""
    percent, beside = bool(row.get("percent")), (row.get("bound_low"), row.get("bound_high"))
    n, skipped = row.get("n"), row.get("skipped")
    many = "prompts" if n != 1 else "prompt"
    if row.get("estimate") is None:
        return f"Not measured on {code(row.get('prompts') or 'its prompts')}: there is no value."
    seed = f" (seed {row['seed']})" if row.get("seed") is not None else ""
    where = code(row.get("prompts") or "its prompts")
    shown = f"Measured on {number(n)} {many} of {where}{seed}: {number(row['estimate'], percent, beside)}"
    if is_census(row, prompts):
        shown += "; these are all the prompts there are (a census), so there is no sampling interval."
    elif row.get("low") is None and row.get("high") is None:
        shown += "; no interval was computed."
    else:
        level = number(row["confidence"], True) + " interval" if row.get("confidence") is not None else "interval"
        shown += f", {level} {interval_limits(row)}{_trust(row)}."
    if skipped:
        left = "prompt had no value and was" if skipped == 1 else "prompts had no value and were"
        shown += f" {number(skipped)} more {left} left out."
    return shown


def _trust(row: Row) -> str:
    name = row.get("interval")
    parts = [prose(name) if "interval" in str(name) else f"{prose(name)} interval"] if name else []
    if row.get("guaranteed") is True:
        parts.append("guaranteed")
    elif row.get("guaranteed") is False:
        parts.append("not guaranteed")
    text = ", ".join(parts)
    if row.get("assumption"):
        text += f"{': ' if text else ''}it assumes {prose(row['assumption'])}"
    return f" ({text})" if text else ""


def bound(row: Row) -> str:
    """The bound in words: "at least 0.4", "at most 10%", "between -10% and 10%"; empty when there is none."""
    low, high, percent = row.get("bound_low"), row.get("bound_high"), bool(row.get("percent"))
    if low is not None and high is not None:
        return f"between {number(low, percent)} and {number(high, percent)}"
    if low is not None:
        return f"at least {number(low, percent)}"
    if high is not None:
        return f"at most {number(high, percent)}"
    return prose(str(row.get("bound") or "").replace("_", " "))


def _wrong_side(row: Row) -> str:
    low, high, percent = row.get("bound_low"), row.get("bound_high"), bool(row.get("percent"))
    if low is not None and high is not None:
        return f"below {number(low, percent)} or wholly above {number(high, percent)}"
    return f"below {number(low, percent)}" if low is not None else f"above {number(high, percent)}"


def why(row: Row, prompts: Mapping[str, Any] | None = None) -> str:
    """Why the verdict is what it is, and what would have made it another one."""
    verdict = row.get("verdict")
    if row.get("observe"):
        tail = f" {_reason(row)}" if row.get("reason") else ""
        return (
            "Observed only: no bound was set, nothing would have refuted it, "
            f"and it has no influence on the verdict.{tail}"
        )
    if verdict not in ("supported", "refuted", "inconclusive"):
        label = "Unmeasurable" if verdict == "unmeasurable" else "No verdict"
        rule = f" The bound, {bound(row)}, was not tested." if bound(row) else ""
        return f"{label}: {_reason(row) or 'no reason was recorded.'}{rule}"
    text = _why_census(row) if is_census(row, prompts) else _why_interval(row)
    return f"{text} {_reason(row)}" if row.get("reason") else text


def _reason(row: Row) -> str:
    reason = prose(row.get("reason") or "")
    return reason if not reason or reason.endswith((".", "!", "?")) else f"{reason}."


def _why_census(row: Row) -> str:
    meets, verdict = bound(row), str(row.get("verdict"))
    if not meets:
        return f"{verdict.capitalize()}; no bound was recorded."
    if verdict == "supported":
        return f"Supported because the value is {meets}; any other value would have refuted it."
    return f"{verdict.capitalize()} because the value is not {meets}; a value {meets} would have supported it."


def _why_interval(row: Row) -> str:
    meets, verdict = bound(row), str(row.get("verdict"))
    if not meets:
        return f"{verdict.capitalize()}; no bound was recorded."
    if row.get("bound_low") is None and row.get("bound_high") is None:  # a rule that is no limit on the value
        opposite = "it would have been refuted had the measurement shown the opposite"
        return f"{verdict.capitalize()} by the bound {meets}; {opposite}."
    corrected = row.get("corrected") or {}
    level = f" ({number(corrected['confidence'], True)})" if corrected.get("confidence") is not None else ""
    whole = f"the whole {'corrected ' if corrected else ''}interval"
    supports = f"supported had the whole interval been {meets}"
    refutes = f"refuted had {whole}{level} been {_wrong_side(row)}"
    if verdict == "supported":
        return f"Supported because the whole interval is {meets}; it would have been {refutes}."
    if verdict == "refuted":
        limits = f", {interval_limits({**row, **corrected})}{level}," if corrected else ""
        return f"Refuted because {whole}{limits} is {_refuting_side(row)}; it would have been {supports}."
    low, high = row.get("bound_low"), row.get("bound_high")
    missed = (low is not None and _less(row.get("high"), low)) or (high is not None and _less(high, row.get("low")))
    if missed:
        cause = f"the interval misses the bound, {meets}, but the corrected interval{level} does not wholly"
    else:
        cause = f"the interval has values that meet the bound, {meets}, and values that do not"
    return f"Inconclusive because {cause}; it would have been {supports}, and {refutes}."


def _less(a: float | None, b: float | None) -> bool:
    return a is not None and b is not None and a < b


def _refuting_side(row: Row) -> str:
    low, high, percent = row.get("bound_low"), row.get("bound_high"), bool(row.get("percent"))
    if low is not None and high is not None:
        estimate = row.get("estimate")
        below = estimate is not None and estimate < low
        return f"below {number(low, percent)}" if below else f"above {number(high, percent)}"
    return _wrong_side(row)


def beside(row: Row) -> list[str]:
    """What stands beside the estimate: controls, effect size, baselines, what the answer fell to, published values."""
    percent, found = bool(row.get("percent")), []
    if row.get("uniform") is not None:
        found.append(
            f"Under uniform attention over the visible tokens the value would be {number(row['uniform'], percent)}."
        )
    sides = row.get("sides") or {}
    if sides.get("left") is not None and sides.get("right") is not None:
        found.append(f"The two sides are {number(sides['left'], percent)} and {number(sides['right'], percent)}.")
    effect = row.get("effect") or {}
    if effect.get("value") is not None:
        found.append(_effect(effect))
    passing = row.get("heads_passing")
    if passing:
        verb = "satisfies" if passing[0] == 1 else "satisfy"
        found.append(f"{number(passing[0])} of {number(passing[1])} heads of this model {verb} this bound.")
    if row.get("removed_mass") is not None:
        found.append(f"The keys left out had held {number(row['removed_mass'], True)} of the attention.")
    base = row.get("baseline") or {}
    if base.get("clean") is not None or base.get("ablated") is not None:
        found.append(f"Mean clean value {number(base.get('clean'))}, mean ablated value {number(base.get('ablated'))}.")
    clean = row.get("clean") or {}
    if clean.get("top1") is not None:
        low = f" (lower limit {number(clean['top1_low'], True)})" if clean.get("top1_low") is not None else ""
        diff = (
            f", with a mean logit difference of {number(clean['logit_diff'])}"
            if clean.get("logit_diff") is not None
            else ""
        )
        found.append(
            f"Unablated, the model's first choice is the answer on {number(clean['top1'], True)} of prompts{low}{diff}."
        )
    if row.get("fell_to"):
        tokens = listing(
            f"{code(token)} ({number(count)} {'prompt' if count == 1 else 'prompts'})"
            for token, count in row["fell_to"]
        )
        found.append(f"New first choices after the ablation: {tokens}.")
    ranks = row.get("ranks") or {}
    if ranks:
        found.append(_ranks(ranks))
    reported = row.get("reported") or {}
    if reported.get("value") is not None:
        found.append(_reported(row, reported))
    return found


def _effect(effect: Mapping[str, Any]) -> str:
    kind, value = effect.get("kind"), effect["value"]
    if kind == "lift":
        return f"Effect size: {number(value)} times the value under uniform attention."
    if kind == "d_z":
        return (
            f"Effect size: paired d_z {number(value)} (mean difference over the standard deviation of the differences)."
        )
    if kind == "relative":
        return f"Effect size: relative change {number(value, True)}."
    return f"Effect size: {prose(kind)} {number(value)}."


def _ranks(ranks: Mapping[str, Any]) -> str:
    parts = [f"median {number(ranks['median'])}"] if ranks.get("median") is not None else []
    parts += [f"first on {number(ranks['first'], True)} of prompts"] if ranks.get("first") is not None else []
    counts = ranks.get("counts") or {}
    order = sorted(counts, key=lambda rank: (len(str(rank)), str(rank)))
    if order:
        listed = ", ".join(f"{prose(rank)} ({number(counts[rank])})" for rank in order[:8])
        parts.append(f"rank (prompts): {listed}{', ...' if len(order) > 8 else ''}")
    return f"Rank of the answer after the ablation: {'; '.join(parts) or 'not measured'}."


def _reported(row: Row, reported: Mapping[str, Any]) -> str:
    percent, value = bool(row.get("percent")), reported["value"]
    told = prose(value) if isinstance(value, str) else number(value, percent)
    origin = "; ".join(prose(reported[key]) for key in ("source", "conditions") if reported.get(key))
    here = "not measured" if row.get("estimate") is None else number(row["estimate"], percent)
    told += f" ({origin})" if origin else ""
    return f"Reported elsewhere: {told}; here: {here}. The reported value has no part in the verdict."
