"""Faults in models, prompt sets, includes and selectors, and selections that are empty."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from claims_kit import GOOD, HEAD, KNOWLEDGE, NAME, check, claim, claim_of, read, unmark, write

from circuits.evaluate import load

GOOD_SETS = "suite: S\nmodel: reference\nprompts:\n  good: {family: ioi}\n"
NUM = "family: named_sequence, members: numerals, "
TEXTS = "family: texts, texts: "

# what -> (the prompt set "p" with its faults marked, "message|hint" of each)
SETS: dict[str, tuple[str, list[str]]] = {
    "misspelt family key": ("p: {«famly»: ioi}", ["unknown key 'famly'|'family'"]),
    "no family": ("p: «{members: numerals}»", ["prompt set 'p' has no family|named_sequence"]),
    "empty family": ("p: {«family»: }", ["family is empty"]),
    "unknown family": ("p: {family: «ioy»}", ["unknown prompt family 'ioy'|did you mean 'ioi'?"]),
    "misspelt greater_than": ("p: {family: «greater_then»}", ["unknown prompt family 'greater_then'|'greater_than'"]),
    "a text": ("p: «ioi»", ["must be a mapping with a family|{family: ioi}"]),
    "a list": ("p: «[ioi]»", ["not a list"]),
    "bad name": ('«"a b"»: {family: ioi}', ["'a b' cannot be a prompt set's name"]),
    "unknown parameter": ("p: {family: ioi, «lenght»: 3}", ["unknown key 'lenght' in prompt set 'p' (family ioi)|"]),
    "missing parameter": ("p: «{family: named_sequence}»", ["needs the key 'members'"]),
    "misspelt parameter": ("p: {family: named_sequence, «membres»: numerals}", ["'membres'|'members'"]),
    "unknown members": ("p: {family: named_sequence, members: «numerls»}", ["no known sequence|'numerals'"]),
    "too few members": ("p: {family: named_sequence, members: «[a, b]»}", ["at least 3 members"]),
    "member twice": ("p: {family: named_sequence, members: «[a, b, b, c, d, e]»}", ["'b' occurs twice"]),
    "length a word": (f"p: {{{NUM}length: «four»}}", ["length must be a whole number|such as 4"]),
    "length 0": (f"p: {{{NUM}length: «0»}}", ["length must be at least 1"]),
    "too long": (f"p: {{{NUM}length: «50»}}", ["50 members from number 1 on and an answer need 51, not 12; write length: at most 11|complete items"]),
    "start too late": (f"p: {{{NUM}start: «10»}}", ["4 members from number 10 on and an answer need 14, not 12; write start: at most 8"]),
    "start past the end": (f"p: {{{NUM}start: «99»}}", ["start 99 is past the end"]),
    "unknown order": (f"p: {{{NUM}order: «randm»}}", ["'randm' is no valid choice|'random'"]),
    "unknown slot": (f'p: {{{NUM}template: "«{{nam}}» is {{member}}."}}', ["unknown slot {nam}|'name'"]),
    "no member slot": (f'p: {{{NUM}template: «"{{name}} is."»}}', ["must hold {member} exactly once"]),
    "open brace": (f'p: {{{NUM}template: «"{{name is {{member}}."»}}', ["a brace without its partner"]),
    "duplicate": (f"p: {{{NUM}length: 3, «length»: 4}}", ["duplicate key 'length'"]),
    "bos": (f"p: {{{NUM}bos: «maybe»}}", ["bos must be true or false"]),
    "requires": (f"p: {{{NUM}requires: {{top1: «2»}}}}", ["less than 1"]),
    "empty sweep": (f"p: {{{NUM}sweep: «{{}}»}}", ["the sweep is empty|{length: [3, 4, 5]}"]),
    "sweep a word": (f"p: {{{NUM}sweep: «x»}}", ["a sweep is a mapping of lists"]),
    "sweep no list": (f"p: {{{NUM}sweep: {{length: «3»}}}}", ["length needs a list of values|[3, 4, 5]"]),
    "sweep unknown": (f"p: {{{NUM}sweep: {{«lenght»: [3]}}}}", ["unknown key 'lenght' in the sweep|'length'"]),
    "sweep value": (f"p: {{{NUM}sweep: {{length: [3, «x»]}}}}", ["length must be a whole number"]),
    "sweep later value": (f"p: {{{NUM}sweep: [{{length: 3}}, {{start: «99»}}]}}", ["start 99 is past the end"]),
    "sweep entry": (f"p: {{{NUM}sweep: [{{length: 3}}, «x»]}}", ["each entry of a sweep is a mapping|{length: 3}"]),
    "endless sweep": (
        f"p: {{{NUM}sweep: «{{length: {list(range(1, 99))}, start: {list(range(1, 99))}}}»}}",
        ["the sweep has 9,604 variants|at most 200"],
    ),
    "roles": (
        f'p: {{{NUM}roles: {{any: «x», «1a»: y, b: «"("», c: «""», d: «"x*"», e: «[1]»}}}}',
        [
            "'any' is a word of the selector language", "'1a' cannot be a role name", "no valid regular expression",
            "role 'c' is empty", "matches the empty string", "role 'e' must be text",
        ],
    ),
    "roles a list": (f"p: {{{NUM}roles: «[a]»}}", ["roles must map names to regular expressions"]),
    "role of no prompt": (f"p: {{{NUM}roles: {{zz: «zzz»}}}}", ["'zzz' matches nothing in the prompts|such a prompt"]),
    "role of tokens": ("p: {family: repeated_tokens, roles: {x: «a»}}", ["are tokens, not text"]),
    "role of no text": (f"p: {{{TEXTS}[A b], roles: {{x: «zz», y: '[AB]'}}}}", ["'zz' matches nothing in the 1 texts"]),
    "no texts": (f"p: {{{TEXTS}«[]»}}", ["texts is empty"]),
    "texts a text": (f"p: {{{TEXTS}«x»}}", ["texts must be a list of prompts"]),
    "faulty texts": (
        f"p: {{{TEXTS}[{{text: A, «answr»: x}}, «{{answer: x}}», {{text: «''»}}, «[x]», {{text: a, answer: b, foil: «b»}}]}}",
        ["'answr'|'answer'", "no text", "the text is empty", "a prompt must be a text", "is also the answer"],
    ),
    "the same text twice": (f"p: {{{TEXTS}[A b, «A b»]}}", ["the same text and answer as prompt 1"]),
}  # fmt: skip


@pytest.mark.parametrize("what", SETS)
def test_a_faulty_prompt_set_is_explained_and_only_its_claims_fail(what: str, tmp_path: Path) -> None:
    """The set's faults belong to the suite; a claim that uses it points to them; the others are good."""
    marked, expected = SETS[what]
    good = GOOD.replace("num", "good").replace("16.0", "0.0")
    user = good.replace("prompts: good", "prompts: «p»") if marked.startswith("p:") else good
    more = ["prompt set 'p' cannot be used: it has a fault on line 5|mend"] if marked.startswith("p:") else []
    text = f"{GOOD_SETS}  {marked}\nclaims:\n  a: {good}\n  b: {user}\n"
    suite = check(tmp_path, text, [*expected, *more])
    assert len(suite.faults) == len(expected)
    assert not claim_of(suite, "a").faults


MODELS: dict[str, tuple[str, str]] = {
    "model: «gpt-2»": ("unknown model 'gpt-2'", "did you mean 'gpt2'?"),
    "model: «llama»": ("unknown model 'llama'", "{hub: NAME, revision: COMMIT}"),
    "model: «./here»": ("unknown model './here'", ""),
    "model: «[gpt2]»": ("model must be a name or a mapping", "add model"),
    "«model»:": ("model must be a name or a mapping", "add model"),
    "model: {hub: gpt2, «revison»: x}": ("unknown key 'revison'", "'revision'"),
    "model: {hub: a, «path»: b}": ("give one of hub and path", ""),
    "model: «{revision: x}»": ("the model's place is missing", ""),
    "model: {path: «[a]»}": ("must be text", "quotes"),
    "model: gpt2\n«model»: gpt2": ("duplicate key 'model'", "keep one"),
    "model: {hub: gpt2, «hub»: b}": ("duplicate key 'hub'", "keep one"),
}


@pytest.mark.parametrize("line", MODELS)
def test_a_faulty_model_is_explained_and_nothing_is_measured(line: str, tmp_path: Path) -> None:
    """The fault is told once, and each claim says that it cannot be measured and why."""
    message, hint = MODELS[line]
    text, marks = unmark(f"suite: S\n{line}\nprompts: {{num: {{family: ioi}}}}\nclaims:\n  a: {GOOD}\n  b: {GOOD}\n")
    suite = read(tmp_path, text)
    (fault,) = suite.faults
    assert (fault.where.line, fault.where.column, fault.width) == (marks[0].line, marks[0].column, marks[0].width)
    assert message in fault.message
    assert hint in fault.hint
    assert suite.model is None
    for one in suite.claims:
        assert "cannot be measured: the suite's model has a fault (line 2)" in one.faults[0].message


@pytest.mark.parametrize("error", [OSError(36, "File name too long"), ValueError("not JSON")])
def test_a_model_that_no_file_system_takes_is_a_fault(error: Exception, tmp_path: Path) -> None:
    """Whatever looking for a model's shape raises is told at the model, not raised."""

    def shape(spec: object, base: Path) -> None:
        raise error

    text = f"suite: S\nmodel: {{path: x}}\nprompts: {{num: {{family: ioi}}}}\nclaims:\n  a: {GOOD}\n"
    suite = load(write(tmp_path, text), replace(KNOWLEDGE, shape=shape), NAME)
    assert [str(fault.where) for fault in suite.faults] == [f"{NAME}:2:8"]
    assert "this model cannot be used" in suite.faults[0].message


def test_a_suite_without_model_says_so_once(tmp_path: Path) -> None:
    """Only a file that shares prompt sets needs no model."""
    suite = read(tmp_path, HEAD.replace("model: smollm2-135m\n", "") + f"  a: {GOOD}\n")
    assert [fault.message for fault in suite.faults] == ["the suite names no model"]
    assert "add model: smollm2-135m" in suite.faults[0].hint
    assert not read(tmp_path, "prompts: {r: {family: ioi}}\n").all_faults


# selector with its fault marked -> "message|hint" of each
SELECTORS: dict[str, list[str]] = {
    "«membr» -> n-1": ["unknown role 'membr'|did you mean 'member'?"],
    "«membr»+1 -> «nme»[2]": ["'membr'|'member'", "'nme'|'name'"],
    "'«membr» -> earlier  «nme»'": ["'membr'|'member'", "'nme'|'name'"],
    "any -> «IO»": ["unknown role 'IO'|, self; family 'ioi' has it"],
    "«foo» -> any": ["unknown role 'foo'|valid here: any, bos"],
    "«any»": ["'any' has no arrow|QUERY -> KEY"],
    "any «<-» n-1": ["'<-' is not the arrow|the query comes first"],
    "any «=>» n-1": ["'=>' is not the arrow|write QUERY -> KEY"],
    "any -> n-1 «->» self": ["two arrows"],
    "any «->»": ["the key side of 'any ->' is missing"],
    "«->» any": ["the query side of '-> any' is missing"],
    "any -> «earler»": ["unknown role 'earler'"],
    "any -> «erlier» member": ["unknown qualifier 'erlier'|'earlier'"],
    "any -> «earlier»": ["'earlier' of what?|earlier member"],
    "«earlier» member -> member": ["'earlier' is relative to a query token|QUERY -> KEY"],
    "«self» -> n-1": ["'self' is relative"],
    "«n-1» -> member": ["'n-K' is relative"],
    "«duplicate» | «previous» member -> membr": ["'duplicate' is", "'previous' is"],
    "«earlier» a -> «b» c": ["'earlier' is relative", "unknown qualifier 'b'"],
    "any -> «n-0»": ["n-0 is the query itself|write self"],
    "any -> «n»": ["'n' alone is no set|n-3"],
    "any -> «n»+1": ["lies after the query|three tokens back"],
    "any -> n-{«perod»}": ["unknown variable 'perod'|'period'"],
    "any -> «n-{}»": ["is not an offset|n-{period}"],
    "any -> n-«{»period": ["'{' is not closed"],
    "any -> name«[»2": ["'[' is not closed|[early]"],
    "any -> name[«0»]": ["counted from 1"],
    "any -> name[«-1»]": ["unknown qualifier [-1]"],
    "any -> name[«Late»]": ["unknown qualifier [Late]|did you mean [late]?"],
    "any -> name«[]»": ["nothing stands in the brackets"],
    "any -> «(»name": ["'(' is not closed"],
    "any -> name«)»": ["')' without '('"],
    "any -> name«,» member": ["unexpected ','|joined with |"],
    "any -> «.»": ["unexpected '.'|period"],
    "«any[2]»": ["has no arrow"],
    "any[«x»] -> name[«y»]": ["unknown qualifier [x]", "unknown qualifier [y]"],
    # empty selections
    "«name[7]» -> self": ["selects nothing: no token of prompt set 'num' is 'name[7]'|such a prompt: '"],
    "period -> «same period»": ["selects nothing: no 'period' token of prompt set 'num' has any key 'same period'|keys lie"],
    "first -> «earlier member»": ["selects nothing"],
    "member[1] -> «earlier member»": ["selects nothing"],
    "bos -> «n-1»": ["selects nothing"],
    "bos -> «any»": ["selects nothing"],
    "any -> «not any»": ["selects nothing"],
    "any -> «n-500»": ["selects nothing"],
    "member -> «self+1»": ["selects nothing"],
    "«first[late]» -> self": ["selects nothing: no token"],
    "end -> «member[5]»": ["selects nothing"],
    "any -> «n-{1*period-90}»": ["selects nothing"],
}  # fmt: skip


@pytest.mark.parametrize("text", SELECTORS)
def test_a_selector_is_refused_at_the_word_that_is_wrong(text: str, tmp_path: Path) -> None:
    """Bad syntax, unknown names and selections that are always empty stand under their words."""
    check(tmp_path, claim(f"attends: {text}", "at_least: 0.1"), SELECTORS[text])


@pytest.mark.parametrize(
    "text",
    [
        "any -> n-1", "any -> bos", "any[late] -> first", "name -> same name", "is -> previous induction", "any -> n-30",
        "is -> n-{period}", "name -> n-{2*period-1}", "member -> earlier member | bos", "end -> previous member",
        "not member -> not (self | name)", "member -> any", "any -> self", "bos -> self", "S1+1 -> S1", "end -> IO",
        "any -> n-{length}", "any -> duplicate", "period -> same is", "name+1 -> name", "first -> self",
    ],
)  # fmt: skip
def test_a_selector_that_may_select_something_is_taken(text: str, tmp_path: Path) -> None:
    """Names of several tokens, long prompts and repeats of tokens are possible, so they are no faults."""
    top = HEAD.replace("claims:", "  ioi: {family: ioi}\nclaims:")
    prompts = "prompts: ioi" if "S1" in text or "IO" in text else "prompts: num"
    assert not read(tmp_path, claim(f"attends: {text}", "at_least: 0.1", prompts=prompts, top=top)).all_faults


def test_a_selector_over_several_lines_is_shown_at_its_start(tmp_path: Path) -> None:
    """Where the file does not show the text as it is, the caret stands under the whole value."""
    for value in ("«>»\n      any ->\n      membr", "«any»\n      -> membr", '«"any\\t-> membr"»'):
        check(tmp_path, claim(f"attends: {value}", "at_least: 0.1"), ["unknown role 'membr'"])


def test_bos_is_refused_where_the_set_has_none(tmp_path: Path) -> None:
    """``bos: false`` and a selector that names bos contradict each other."""
    top = HEAD.replace("length: 4}", "length: 4, bos: false}")
    check(
        tmp_path, claim("attends: any -> n-2 | «bos»", "at_least: 0.1", top=top), ["'bos' selects nothing|write first"]
    )


@pytest.mark.parametrize(
    ("extra", "lines", "message"),
    [
        ("", ("ablate: 16.0", "drop_in: «logit_diff»"), "logit_diff needs an answer, but 1 of 2 texts"),
        (", answer: ' c'", ("ablate: 16.0", "after: «prob_diff»"), "prob_diff needs a foil"),
        ("", ("ablate: «16.0»", "change_in: kl"), "method: mean needs corrupted partners, but 2 of 2 texts"),
        ("", ("ablate: 16.0", "method: «resample»", "change_in: kl"), "method: resample needs corrupted"),
    ],
)
def test_texts_must_carry_what_a_metric_or_method_needs(
    extra: str, lines: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    """Literal texts without answer, foil or corrupted partner are refused where these are needed."""
    entry = "{text: A b, answer: ' d', foil: ' e'}" if not extra else f"{{text: A b{extra}}}"
    top = HEAD.replace("claims:", f"  t: {{family: texts, texts: [{{text: C d{extra}}}, {entry}]}}\nclaims:")
    check(tmp_path, claim(*lines, "at_least: 0.1", prompts="prompts: t", top=top), [message])


PROMPTS: dict[str, list[str]] = {
    "prompts: «nums»": ["unknown prompt set 'nums'|'num'"],
    "prompts: [num, «num»]": ["'num' is named twice"],
    "prompts: «[]»": ["prompts is an empty list|num, rep"],
    "«prompts»:": ["prompts is empty"],
    "prompts: [num, «[rep]»]": ["a list within a list|write prompts: [one, two]"],
    "prompts: {family: «ioy»}": ["unknown prompt family 'ioy'|'ioi'"],
    "prompts: {family: ioi, «foo»: 1}": ["unknown key 'foo' in prompt set 'a'"],
}


@pytest.mark.parametrize("line", PROMPTS)
def test_prompts_of_a_claim_are_names_or_sets(line: str, tmp_path: Path) -> None:
    """Unknown and repeated names and faulty inline sets are faults of the claim."""
    check(tmp_path, claim("attends: any -> n-1", "at_least: 0.1", prompts=line), PROMPTS[line])


def test_includes_are_checked_with_their_own_lines(tmp_path: Path) -> None:
    """A missing file, a cycle and an included file with faults are told in the suite and in that file."""
    write(tmp_path, "prompts:\n  num: {family: ioy}\n  fine: {family: ioi}\n", "shared/sets.yaml")
    write(tmp_path, "include: loop.yaml\nprompts: {x: {family: ioi}}\n", "loop.yaml")
    text = (
        "suite: S\nmodel: gpt2\ninclude: [shared/sets.yaml, gone.yaml, x.yaml, loop.yaml, [a], 'a\\0', '']\nclaims:\n"
    )
    text += "  a: {claim: x, head: 0.0, prompts: num, attends: any -> n-1, at_least: 0.1}\n"
    text += "  b: {claim: x, head: 0.0, prompts: [fine, x], attends: any -> n-1, at_least: 0.1}\n"
    suite = load(write(tmp_path, text.replace("'a\\0'", '"a\\0"')), KNOWLEDGE, NAME)
    own = [(fault.message, fault.hint) for fault in suite.faults if fault.where.file == NAME]
    for (message, hint), words in zip(
        own,
        [
            "the included file shared/sets.yaml has 1 fault|the first: hypotheses/shared/sets.yaml:2:17: unknown prompt family",
            "there is no file gone.yaml|", "the file includes itself|remove", "loop.yaml has 1 fault|",
            "include must be text|", "is no file name|", "include is empty|",
        ],
        strict=True,
    ):  # fmt: skip
        assert words.partition("|")[0] in message
        assert words.partition("|")[2] in hint
    inner = [str(fault.where) for fault in suite.faults if fault.where.file != NAME]
    assert inner == ["hypotheses/shared/sets.yaml:2:17", "hypotheses/loop.yaml:1:10"]
    assert "it has a fault at hypotheses/shared/sets.yaml:2:17" in claim_of(suite, "a").faults[0].message
    assert not claim_of(suite, "b").faults
    for node in ("{a: b}", "[]"):
        assert "include takes a list of files" in read(tmp_path, f"include: {node}\nprompts: {{}}\n").faults[0].message
