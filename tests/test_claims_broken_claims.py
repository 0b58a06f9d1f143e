"""Claims with faults: each is told with line, column, caret and what to do, and the neighbours stay good."""

from __future__ import annotations

from pathlib import Path

import pytest
from claims_kit import GOOD, HEAD, check, claim, claim_of, read

ATTENDS = "attends: any -> n-1"
BOUND = "at_least: 0.1"
ABLATE = 'ablate: "16.0"'

# what -> (lines of the claim with the faults marked, "message|hint" of each)
CLAIMS: dict[str, tuple[tuple[str, ...], list[str]]] = {
    # bounds
    "no bound": (("«attends»: any -> n-1",), ["no bound, so nothing could refute it|add at_least, at_most or between"]),
    "misspelt bound": ((ATTENDS, "«at_lest»: 0.4"), ["unknown key 'at_lest'|did you mean 'at_least'?"]),
    "bound without _": ((ATTENDS, "«atleast»: 0.4"), ["unknown key 'atleast'|'at_least'"]),
    "misspelt difference": (
        (ATTENDS, "more_than: any -> n-2", "«by_atleast»: 0.4"),
        ["unknown key 'by_atleast'|'by_at_least'"],
    ),
    "another word for a bound": (
        ("«attends»: any -> n-1", "«minimum»: 0.4"),
        ["no bound", "unknown key 'minimum'|'at_least'"],
    ),
    "two bounds": ((ATTENDS, BOUND, "«at_most»: 0.5"), ["two bounds on one check: 'at_least' and 'at_most'|between"]),
    "two bounds, second first": (
        (ATTENDS, "at_most: 0.5", "«at_least»: 0.1"),
        ["two bounds on one check: 'at_most' and 'at_least'"],
    ),
    "bound on nothing": (("«at_least»: 0.4",), ["bound on nothing: the claim has no check|attends, score, ablate"]),
    "bound beside observe": ((ATTENDS, "observe: true", "«at_least»: 0.1"), ["an observed check has no bound"]),
    "observe neither": ((ATTENDS, "observe: «maybe»"), ["observe must be true or false|true or false"]),
    "observe false": (("«attends»: any -> n-1", "observe: false"), ["no bound"]),
    "unmissable": ((ATTENDS, "at_most: «1»"), ["at_most 1: no value can miss this bound|between 0 and 1"]),
    "unmissable percent": ((ATTENDS, "at_most: «100%»"), ["no value can miss|between 0% and 100%"]),
    "unmissable below": ((ATTENDS, "at_least: «-0.1»"), ["no value can miss"]),
    "unreachable": ((ATTENDS, "at_least: «1.01»"), ["at_least 1.01: no value can reach this bound"]),
    "percent forgotten": ((ATTENDS, "at_least: «40»"), ["no value can reach|did you mean 40%?"]),
    "unreachable below": ((ATTENDS, "at_most: «-0.1»"), ["no value can reach"]),
    "between reversed": ((ATTENDS, "between: «[0.4, 0.1]»"), ["wrong way round|write between: [0.1, 0.4]"]),
    "between without width": ((ATTENDS, "between: «[0.1, 0.1]»"), ["it has no width"]),
    "between unmissable": ((ATTENDS, "between: «[0, 1]»"), ["no value can miss"]),
    "between unreachable": ((ATTENDS, "between: «[2, 3]»"), ["no value can reach"]),
    "between one number": ((ATTENDS, "between: «0.1»"), ["a list of two numbers|[-10%, 10%]"]),
    "between three": ((ATTENDS, "between: «[0.1, 0.2, 0.3]»"), ["not a list of 3"]),
    "between words": ((ATTENDS, "between: [«a», «b»]"), ["each end of between", "each end of between"]),
    "difference unreachable": (
        (ATTENDS, "more_than: any -> n-2", "by_at_least: «1.2»"),
        ["by_at_least 1.2: no value can reach|between -1 and 1"],
    ),
    "difference unmissable": ((ATTENDS, "more_than: any -> n-2", "by_at_least: «-1»"), ["no value can miss"]),
    "difference without more_than": ((ATTENDS, "«by_at_least»: 0.1"), ["there is no more_than|add more_than"]),
    "difference with another bound": (
        (ATTENDS, "more_than: any -> n-2", "«at_least»: 0.2"),
        ["'at_least' does not go with more_than|by_at_least"],
    ),
    "drop above all": ((ABLATE, "drop_in: top1", "at_least: «101%»"), ["no value can reach|at most 100%"]),
    "drop below all": ((ABLATE, "drop_in: answer_prob", "at_most: «100%»"), ["no value can miss"]),
    "share above one": ((ABLATE, "after: top5", "at_least: «1.1»"), ["no value can reach"]),
    "logprob above zero": ((ABLATE, "after: answer_logprob", "at_least: «0.5»"), ["no value can reach|at most 0"]),
    "loss below zero": ((ABLATE, "after: loss", "at_most: «-1»"), ["no value can reach|at least 0"]),
    "kl change below zero": ((ABLATE, "change_in: kl", "at_least: «-0.1»"), ["no value can miss|at least 0"]),
    "change of a share": ((ABLATE, "change_in: top1", "between: «[-1, 1]»"), ["no value can miss"]),
    # numbers
    "space before %": ((ATTENDS, "at_least: «40 %»"), ["not the text '40 %'|write 40%"]),
    "comma": ((ATTENDS, "at_least: «0,4»"), ["not the text '0,4'|write 0.4"]),
    "two points": ((ATTENDS, "at_least: «.4.1»"), ["must be a number or a percent|20%"]),
    "infinite": ((ATTENDS, "at_least: «1e999»"), ["must be finite"]),
    "nan": ((ATTENDS, "at_least: «nan»"), ["must be a number or a percent"]),
    "nothing": ((ATTENDS, "«at_least»:"), ["must be a number or a percent, not nothing"]),
    "list for a number": ((ATTENDS, "at_least: «[0.1]»"), ["not a list"]),
    # kinds of checks
    "misspelt kind": (("«attend»: any -> n-1", BOUND), ["unknown key 'attend'|'attends'"]),
    "two kinds": ((ATTENDS, "«score»: induction", BOUND), ["two checks in one: 'attends' and 'score'|two entries"]),
    "keys of another kind": (
        (ATTENDS, "«method»: zero", "«drop_in»: top1", BOUND),
        ["'method' belongs to ablate, keep_only or loss_map, not to attends|remove it", "'drop_in' belongs to ablate or path"],
    ),
    "unknown statistic": ((ATTENDS, "statistic: «mas»", BOUND), ["unknown statistic 'mas'|'mass'"]),
    "unknown exclusion": ((ATTENDS, "excluding: [bos, «slf»]", BOUND), ["unknown excluded key 'slf'|'self'"]),
    "excluded twice": ((ATTENDS, "excluding: [bos, «bos»]", BOUND), ["'bos' is excluded twice"]),
    "nothing excluded": ((ATTENDS, "excluding: «[]»", BOUND), ["excluding is an empty list|[bos]"]),
    "all excluded": (("attends: «any -> bos»", "excluding: bos", BOUND), ["'bos' is excluded|remove it"]),
    "unknown score": (("score: «previous»", BOUND), ["unknown score 'previous'|'previous_token'"]),
    "score on a sequence": (("score: «induction»", BOUND), ["is of family named_sequence|repeated_tokens"]),
    "unknown method": ((ABLATE, "method: «meen»", "drop_in: top1", BOUND), ["unknown method 'meen'|'mean'"]),
    "unknown metric": ((ABLATE, "drop_in: «logitdiff»", BOUND), ["unknown metric 'logitdiff'|'logit_diff'"]),
    "no such top": ((ABLATE, "after: «top0»", BOUND), ["unknown metric 'top0'|top1"]),
    "misspelt effect": ((ABLATE, "«dropin»: top1", BOUND), ["unknown key 'dropin'|'drop_in'"]),
    "no effect": (("«ablate»: 16.0", BOUND), ["no effect to measure|drop_in: logit_diff"]),
    "two effects": ((ABLATE, "drop_in: top1", "«after»: top1", BOUND), ["two effects on one check|two checks"]),
    "drop in kl": ((ABLATE, "drop_in: «kl»", BOUND), ["no meaningful zero|change_in: kl"]),
    "drop in loss": ((ABLATE, "drop_in: «loss»", BOUND), ["no meaningful zero|change_in: loss"]),
    "drop in a logit": ((ABLATE, "drop_in: «answer_logit»", BOUND), ["no meaningful zero"]),
    "a mean rank": ((ABLATE, "after: «answer_rank»", "at_most: 3"), ["a mean rank is no claim|observe: true"]),
    "ablate nothing": (("ablate: «[]»", "drop_in: top1", BOUND), ["ablate is an empty list|at least one"]),
    "ablate what is not there": (
        ("ablate: [MLP3, «MLP30», «1.9», «foo»]", "drop_in: top1", BOUND),
        ["MLP30 does not exist|0 to 29", "1.9 does not exist|1.0 to 1.8", "'foo' is not a head or an MLP|MLP3"],
    ),
    # comparisons
    "with itself": ((ATTENDS, "more_than: «any -> n-1»"), ["the same selector"]),
    "with a number": ((ATTENDS, "more_than: «0.3»"), ["with another selector, not with the text '0.3'|at_least"]),
    "never on both sides": (
        ("attends: name -> n-1[early]", "more_than: «name -> n-1[late]»"),
        ["no query has keys on both sides|with equal queries"],
    ),
    # checks and their list
    "checks as a mapping": (("checks: «{attends: any -> n-1, at_least: 0.1}»",), ["must be a list, not a mapping|'- '"]),
    "empty checks": (("checks: «[]»",), ["checks is empty|add a check"]),
    "no value for checks": (("«checks»:",), ["checks must be a list, not nothing"]),
    "check beside checks": (
        ("checks: [{attends: any -> n-1, at_least: 0.1}]", "«at_most»: 0.5", "«reported»: {}"),
        ["'at_most' stands beside 'checks'|into one of the checks", "'reported' stands beside 'checks'"],
    ),
    "faulty entries": (
        ("checks:", "  - «at_least»: 0.1", "  - «atends»: any -> n-1", "  - «text»", "  - «{}»", "  - «{observe: true}»"),
        ["bound on nothing: check 1", "'atends'|'attends'", "check 3 must be a mapping", "check 4 measures", "check 5"],
    ),
    # expectations and the rest
    "misspelt expectation": ((ATTENDS, BOUND, "expect: «refutd»"), ["unknown expectation 'refutd'|'refuted'"]),
    "no such check": ((ATTENDS, BOUND, "expect: «{refuted: [9]}»"), ["there is no check 9: this claim has 1"]),
    "refuted none": ((ATTENDS, BOUND, "expect: {refuted: «[]»}"), ["names exactly one check"]),
    "refuted two": ((ATTENDS, BOUND, "expect: {refuted: «[1, 2]»}"), ["names exactly one check|split"]),
    "refuted word": ((ATTENDS, BOUND, "expect: {refuted: «x»}"), ["must be a whole number"]),
    "refuted of several": (
        ("checks: [{attends: any -> n-1, at_least: 0.1}, {attends: any -> n-2, at_least: 0.1}]", "expect: «refuted»"),
        ["this one has 2|{refuted: [2]}"],
    ),
    "xfail without reason": ((ATTENDS, BOUND, "expect: {«xfail»: }"), ["xfail reason is empty"]),
    "expect a list": ((ATTENDS, BOUND, "expect: «[refuted]»"), ["expect cannot be a list|supported, refuted"]),
    "requires a number": ((ATTENDS, BOUND, "requires: «0.5»"), ["requires must be a mapping|{top1: 0.5}"]),
    "requires too much": ((ATTENDS, BOUND, "requires: {top1: «1»}"), ["less than 1"]),
    "requires another metric": ((ATTENDS, BOUND, "requires: {«tpo1»: 0.5}"), ["unknown key 'tpo1'|'top1'"]),
    "reported without source": ((ATTENDS, BOUND, "reported: «{value: 0.1}»"), ["a value and its source"]),
    "reported keys": ((ATTENDS, BOUND, "reported: {value: «x», source: y, «note»: z}"), ["must be a number", "'note'"]),
    "source a text": ((ATTENDS, BOUND, "source: «N12»"), ["source must be a mapping|{note: N12}"]),
    "unknown key": ((ATTENDS, BOUND, "«colour»: red"), ["unknown key 'colour' in claim 'a'|valid here"]),
    "duplicate key": ((ATTENDS, BOUND, "«at_least»: 0.2"), ["duplicate key 'at_least': it was given on line 13"]),
    # range
    "range of a bounded metric": ((ABLATE, "drop_in: top1", BOUND, "«range»: [-10, 10]"), ["lies between 0 and 1 already"]),
    "range no list": ((ABLATE, "drop_in: logit_diff", BOUND, "range: «10»"), ["a list of two numbers|range: [-10, 10]"]),
    "range reversed": ((ABLATE, "drop_in: logit_diff", BOUND, "range: «[10, -10]»"), ["must be below the second"]),
    "range of attention": ((ATTENDS, BOUND, "«range»: [0, 1]"), ["'range' belongs to ablate, keep_only or path, not to attends"]),
}  # fmt: skip


@pytest.mark.parametrize("what", CLAIMS)
def test_a_faulty_claim_is_explained_and_its_neighbours_are_good(what: str, tmp_path: Path) -> None:
    """Every fault of the claim is told at once, at the offending word; the suite itself has none."""
    lines, expected = CLAIMS[what]
    suite = check(tmp_path, claim(*lines), expected)
    assert not suite.faults
    assert [one.id for one in suite.claims] == ["before", "a", "after"]
    assert [bool(one.faults) for one in suite.claims] == [False, True, False]


HEADS: dict[str, tuple[str, list[str]]] = {
    "head: «6.10»": ("6.10 does not exist: smollm2-135m has 9 heads in each layer|6.0 to 6.8", []),
    "head: «30.0»": ("30.0 does not exist: smollm2-135m has 30 layers|0 to 29", []),
    "head: «L6H10»": ("6.10 does not exist", []),
    "head: «6»": ("'6' is not a head|layer.head, such as 6.9 (or L6H9)", []),
    "head: «6.»": ("'6.' is not a head", []),
    "head: «a.b»": ("'a.b' is not a head", []),
    "head: «6.9.1»": ("'6.9.1' is not a head", []),
    "head: «-1.2»": ("'-1.2' is not a head", []),
    "head: «6,9»": ("'6,9' is not a head", []),
    "head: «1.1, 1.2»": ("head takes one head|use heads: for a list", []),
    "head: «06.1»": ("'06.1' is not a head|without leading zeros", []),
    "head: «1.23456»": ("is not a head|no model has that many", []),
    "head: «MLP3»": ("'MLP3' is an MLP", []),
    'head: «""»': ("'' is not a head", []),
    "«head»:": ("not nothing", []),
    "head: «[6.1]»": ("head takes one head|heads:", []),
    "heads: «[]»": ("heads is an empty list", []),
    "heads: [6.1, «6.1»]": ("6.1 is named twice", []),
    "heads: «all»": ("'all' is not a head|heads: {any: all}", []),
    "heads: [«6.9», «x», «40.1»]": ("6.9 does not exist", ["'x' is not a head", "40.1 does not exist"]),
}


@pytest.mark.parametrize("line", HEADS)
def test_a_head_that_the_model_does_not_have_is_refused(line: str, tmp_path: Path) -> None:
    """Heads are read from their raw text and compared with the model's shape, without its weights."""
    first, more = HEADS[line]
    check(tmp_path, claim(ATTENDS, BOUND, head=line), [first, *more])


def test_missing_heads_and_prompts_are_told_at_the_check(tmp_path: Path) -> None:
    """A check without heads or prompts, of its own or of the claim, says which is missing."""
    check(tmp_path, claim("«attends»: any -> n-1", BOUND, head=""), ["no head|add head"])
    check(tmp_path, claim("«attends»: any -> n-1", BOUND, prompts=""), ["no prompts|add prompts"])
    check(tmp_path, claim(ATTENDS, BOUND, head="head: 6.1\n    «heads»: [6.2]"), ["head and heads|keep one"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ('"a b"', "'a b' cannot be a claim's id"),
        ('"x[1]"', "'x[1]' cannot"),
        ("a::b", "'a::b' cannot"),
        ('""', "'' cannot"),
        ("~", "'~'"),
    ],
)
def test_an_id_that_cannot_be_a_test_id_is_refused(name: str, message: str, tmp_path: Path) -> None:
    """Spaces, brackets and :: would break FILE::ID[set]."""
    suite = check(tmp_path, f"{HEAD}  before: {GOOD}\n  «{name}»: {GOOD}\n", [message])
    assert suite.claims[1].id


def test_claims_that_are_no_mappings_are_refused(tmp_path: Path) -> None:
    """A text, a list and nothing are no claims; keys outside their claim say where they belong."""
    body = f"  a: «text»\n  b: «[]»\n  «c»:\n  d: {GOOD}\n  head: «16.0»\n  «e»: {{claim: x}}\n"
    expected = ["not the text 'text'|attends:", "not a list", "not nothing", "|indent it more", "no check|checks:"]
    check(tmp_path, HEAD + body, expected)


def test_a_repeated_claim_is_read_for_its_faults_too(tmp_path: Path) -> None:
    """Of two claims with one id the first stands; the second's faults are told beside the duplicate key."""
    body = f"  a: {GOOD}\n  b: {GOOD}\n  «a»: {{head: 16.0, prompts: num, attends: any -> n-1, «at_lest»: 0.1}}\n"
    suite = check(tmp_path, HEAD + body, ["duplicate key 'a'|keep one", "'at_lest'|'at_least'"])
    assert [one.id for one in suite.claims] == ["a", "b"]
    assert not claim_of(suite, "a").faults
    assert "at_lest" not in claim_of(suite, "b").yaml


def test_missing_words_are_a_warning(tmp_path: Path) -> None:
    """A claim without claim: and a suite without suite: are good, with a warning."""
    suite = read(tmp_path, f"{HEAD}  a: {GOOD}\n".replace("claim: x, ", "").replace("suite: S\n", ""))
    assert not suite.all_faults
    assert "add claim:" in suite.claims[0].warnings[0]
    assert "add suite:" in suite.warnings[0]
    assert not read(tmp_path, f"{HEAD}  a: {GOOD}\n").claims[0].warnings
