"""Files that are no YAML, or no suite: each fault is told at its place, and the claims around it are kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from claims_kit import GOOD, HEAD, NAME, check, claim_of, read, unmark

from circuits.claims.source import split_lines

# what -> (suite with its faults marked, "message|hint" of each)
FILES: dict[str, tuple[str, list[str]]] = {
    "empty": ("«»", ["the file is empty|suite:"]),
    "only comments": ("«#» nothing\n# here\n", ["only comments|claims:"]),
    "a list": ("«- a»\n- b\n", ["must be a mapping (key: value), not a list|its keys are suite, model"]),
    "a text": ("«just words»\n", ["not the text 'just words'"]),
    "tab": ("suite:\n«\t»model: x\n", ["a tab cannot indent YAML|indent with spaces"]),
    "unclosed quote": ("suite: «'»abc\nmodel: gpt2\n", ["this quote is never closed|closing quote"]),
    "quote closed by a later one": (
        'suite: «"»S\nmodel: gpt2\nsource: {title: "T"}\n',
        ["ends only on line 3|missing on this line"],
    ),
    "unclosed bracket": ("suite: «[»1, 2\nmodel: gpt2\n", ["this '[' is never closed|add ']'"]),
    "unclosed brace": ("suite: «{»a: 1\n# x\nmodel: gpt2\n", ["this '{' is never closed|add '}'"]),
    "wrong closing": ("suite: {a: [1, 2«}»\n", ["'}' does not close the '['|write ']' first"]),
    "missing comma": ("sampling: {min: 1 max«:» 2}\n", ["a comma or '}' is missing before this"]),
    "empty entry": ("sampling: [a, «,» b]\n", ["a value is missing before ','|commas"]),
    "indented too far": ("suite: S\n  «m»odel: gpt2\n", ["indented more than the one above|indent both alike"]),
    "indented too little": ("sampling:\n  min: 1\n «m»ax: 2\n", ["does not fit the lines above|neighbours"]),
    "colon in a text": ("suite: S«:» T\n", ["a second ':' on this line|put the text in quotes"]),
    "no colon": ("«s»uite S\nmodel: x\n", ["neither 'key: value' nor an entry|missing?"]),
    "no space after the colon": ("«s»uite:S\nmodel: x\n", ["neither 'key: value'|with a space after it"]),
    "text after a quote": ('suite: "S" «T»\n', ["something stands after the value|in quotes as a whole"]),
    "list on the line of its key": ("include: «-» a.yaml\n", ["a list cannot begin on the line of its key|[a, b]"]),
    "forbidden start": ("suite: «@»home\n", ["a text cannot begin with '@'|in quotes"]),
    "backquote": ("suite: «`»x`\n", ["a text cannot begin with '`'|in quotes"]),
    "escape": ('suite: "a«\\»d"\n', ["means nothing inside double quotes|single quotes"]),
    "bad escape": ('suite: "«\\»ud800"\n', ["does not name a character"]),
    "lonely star": ("suite: «*»\n", ["alias and an anchor, which need a name|in quotes"]),
    "control character": ("suite: a«\x07»\n", ["the character '\\x07' cannot stand in YAML|remove it"]),
    "too deep": ("suite: " + "[" * 40 + "«[»" + "[" * 3000, ["nested deeper than 40 levels"]),
    "two documents": (
        "suite: S\nmodel: gpt2\nprompts: {r: {family: ioi}}\n«---»\nsuite: T\n",
        ["a second document begins here|remove this '---'"],
    ),
    "keys that are no words": (
        "? «[a, b]»\n: c\n? «{x: y}»\n: d\nprompts: {r: {family: ioi}}\n",
        ["a key must be a word, not a list", "a key must be a word, not a mapping"],
    ),
    "tag": (
        "suite: «!!python/object/apply:os.system» x\nprompts: {r: {family: ioi}}\n",
        ["the tag !!python/object/apply:os.system has no meaning here|remove it"],
    ),
    "alias to nothing": (
        "suite: «*title»\nprompts: {r: {family: ioi}}\n",
        ["*title stands for nothing|there is no &title above"],
    ),
    "merge of a text": ("«<<»: x\nprompts: {r: {family: ioi}}\n", ["'<<' merges a mapping, not the text 'x'"]),
    "duplicate keys at the top": (
        "suite: S\n«suite»: T\nprompts: {r: {family: ioi}}\n«prompts»: {q: {family: «ioy»}}\n",
        ["duplicate key 'suite': it was given on line 1", "duplicate key 'prompts'", "unknown prompt family 'ioy'"],
    ),
    "unknown keys at the top": (
        "«suit»: S\n«modl»: gpt2\n«prompt»: {}\n«claim»: {}\n",
        ["'suit'|'suite'", "'modl'|'model'", "'prompt'|'prompts'", "'claim'|'claims'"],
    ),
    "wrong kinds at the top": (
        "suite: «[S]»\nsource: «x»\nsampling: «x»\ncircuits: «x»\nprompts: «x»\nclaims: «[]»\nmodel: gpt2\n",
        [
            "suite must be text, not a list",
            "source must be a mapping|{title",
            "sampling must be a mapping|min",
            "circuits must map names",
            "prompts must map names to prompt sets|{family: ioi}",
            "claims must map ids to claims, not a list|write claims:",
        ],
    ),
    "empty values at the top": (
        "«suite»:\n«source»:\n«sampling»:\n«prompts»:\n«claims»:\n«model»:\n",
        ["suite is empty", "source must be", "sampling must be", "prompts must", "claims must", "model must be a name"],
    ),
    "no claims": ("«suite: S»\nmodel: gpt2\n", ["the suite has no claims|add claims:"]),
    "empty claims": ("suite: S\nmodel: gpt2\nclaims: «{}»\n", ["claims is empty"]),
    "sampling": (
        "sampling: {min: «0», max: «-1», seed: «x», confidence: «2», «sed»: 1}\nprompts: {r: {family: ioi}}\n",
        [
            "min must be at least 1, not 0|1 or more", "max must be at least 1", "seed must be a whole number",
            "confidence must be at least 0.5 and less than 1|0.95", "unknown key 'sed'|'seed'",
        ],
    ),
    "sampling too large": (
        "sampling: {min: «500», max: 10}\nprompts: {r: {family: ioi}}\n",
        ["min 500 is larger than max 10"],
    ),
    "circuits": (
        "model: gpt2\ncircuits: {a: {heads: [«12.0», 1.1, «1.1»], mlps: [«99», «x», «'²'», 3]}, «b»: {}, c: «[1]»}\n",
        [
            "12.0 does not exist: gpt2 has 12 layers|0 to 11", "1.1 is named twice", "MLP99 does not exist",
            "mlps must be a list of layers", "mlps must be a list of layers", "circuit 'b' names no heads",
            "circuit 'c' must be a mapping",
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", FILES)
def test_a_broken_file_is_explained_at_the_place_of_the_fault(what: str, tmp_path: Path) -> None:
    """Each fault of the file has its line, column, caret, words and hint; nothing raises."""
    check(tmp_path, *FILES[what])


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"suite: \xff\xfe\n", (1, 8)),
        ("suite: é".encode() + b"\n model\xe9: x", (2, 7)),
        ("\ufeffa".encode("utf-16"), (1, 1)),
    ],
)
def test_bytes_that_are_not_utf8_are_located(data: bytes, place: tuple[int, int], tmp_path: Path) -> None:
    """The first byte that is no UTF-8 is named, its column counted in characters."""
    (fault,) = read(tmp_path, data).faults
    assert (fault.where.line, fault.where.column) == place
    assert "not UTF-8" in fault.message
    assert "save it as UTF-8" in fault.hint


def test_a_file_that_is_not_there_or_a_folder_is_one_fault(tmp_path: Path) -> None:
    """A file that cannot be read is a fault at its first character."""
    from claims_kit import KNOWLEDGE

    from circuits.evaluate import load

    for path in (tmp_path / "gone.yaml", tmp_path):
        (fault,) = load(path, KNOWLEDGE, NAME).faults
        assert "cannot be read" in fault.message
        assert str(fault.where) == f"{NAME}:1:1"


def test_a_byte_order_mark_and_other_line_ends_are_no_faults(tmp_path: Path) -> None:
    """A suite saved by another editor loads, and its lines are counted the same."""
    text = f"{HEAD}  a: {GOOD}\n"
    for data in ("\ufeff" + text, text.replace("\n", "\r\n"), text.replace("\n", "\r")):
        suite = read(tmp_path, data.encode())
        assert not suite.all_faults
        assert suite.claims[0].where.line == 7
    assert split_lines("a\r\nb\rc\x0cd\n") == ["a", "b", "c\x0cd"]


def test_an_alias_bomb_is_one_fault_in_little_time(tmp_path: Path) -> None:
    """Nine lines that unfold into a billion nodes are refused where they pass the limit, once."""
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    suite = read(tmp_path, "\n".join([*lines, "claims: {}"]))
    assert [fault.where.line for fault in suite.faults if "larger than 200,000 nodes" in fault.message] == [6]


def test_two_hundred_thousand_brackets_do_no_harm(tmp_path: Path) -> None:
    """Nesting without end, which ends the C parser's own reading with a crash, is a fault of one claim."""
    suite = read(tmp_path, f"{HEAD}  before: {GOOD}\n  a: {'[' * 200_000}\n  after: {GOOD}\n")
    assert [claim.id for claim in suite.claims if not claim.faults] == ["before", "after"]
    (fault,) = claim_of(suite, "a").faults
    assert "nested deeper than 40 levels" in fault.message
    assert len(fault.render()) < 500


# A claim that is no YAML between two good ones: only that one is invalid.
CLAIMS: dict[str, tuple[str, str]] = {
    "quote": ('  a:\n    head: «"»16.0\n    prompts: num', "ends only on line"),
    "single quote": ("  a:\n    head: «'»16.0\n    prompts: num", "this quote is never closed"),
    "list": ("  a:\n    head: «[»16.0\n    prompts: num", "this '[' is never closed"),
    "braces": ("  a: «{»head: 16.0, prompts: num", "this '{' is never closed"),
    "comma": ("  a: {head: 16.0 prompts«:» num}", "a comma or '}' is missing"),
    "tab": ("  a:\n    head: 16.0\n«\t»prompts: num", "a tab cannot indent"),
    "tab after spaces": ("  a:\n    head: 16.0\n    «\t»prompts: num", "a tab cannot indent"),
    "too little indented": ("  a:\n    head: 16.0\n   «p»rompts: num", "does not fit"),
    "too far indented": ("  a:\n    head: 16.0\n      «p»rompts: num", "indented more than"),
    "no colon": ("  a:\n    «h»ead 16.0\n    prompts: num", "neither 'key: value'"),
    "id without colon": ("  «a»\n    head: 16.0", "neither 'key: value'"),
    "two colons": ("  a:\n    claim: 1.5«:» x", "a second ':'"),
    "checks without dashes": ("  a:\n    checks:\n      - attends: any -> n-1\n      «a»t_least: 0.1", "entry of the list"),
    "checks askew": ("  a:\n    checks:\n      - attends: any -> n-1\n     «-» attends: any -> n-2", "does not fit"),
    "id too little indented": (" «a:»\n    head: 16.0", "not indented like the other entries of claims"),
    "id too far indented": ("   «a:»\n    head: 16.0", "not indented like the other entries of claims"),
    "id not indented": ("«a:»\n    head: 16.0", "not indented like the other entries of claims"),
    "too deep": ("  a: " + "[" * 39 + "«[»" + "[" * 60 + "]" * 100, "nested deeper"),
}  # fmt: skip


@pytest.mark.parametrize("what", CLAIMS)
def test_a_claim_that_is_no_yaml_never_stops_its_neighbours(what: str, tmp_path: Path) -> None:
    """The broken claim is invalid with the fault at its place; those before and after it are as they were."""
    body, message = CLAIMS[what]
    good = GOOD.replace("{", '{source: {title: "T"}, ')
    suite = check(tmp_path, f"{HEAD}  before: {good}\n{body}\n\n  # a comment\n  after: {good}\n", [message])
    assert {claim.id: bool(claim.faults) for claim in suite.claims} == {"before": False, "a": True, "after": False}
    assert not suite.faults
    written = claim_of(suite, "a").yaml
    assert "after" not in written
    assert written.strip().startswith("a")


def test_a_claim_that_is_no_yaml_may_be_expected_to_be_invalid(tmp_path: Path) -> None:
    """``expect: invalid`` is seen in a claim that cannot be parsed."""
    suite = read(tmp_path, f"{HEAD}  a:\n    claim: @x\n    expect: invalid\n  after: {GOOD}\n")
    assert claim_of(suite, "a").expect.kind == "invalid"


def test_several_claims_that_are_no_yaml_are_all_told(tmp_path: Path) -> None:
    """Every error of syntax has its own claim, also where one hides the next."""
    body = f'  a:\n    claim: &\n  b:\n    head: "x\n  c: [\n  # x\n  d: {GOOD}\n  e:\n    - {{x: y'
    suite = read(tmp_path, f"{HEAD}{body}\n")
    assert [claim.id for claim in suite.claims if claim.faults] == ["a", "b", "c", "e"]
    assert [claim.faults[0].where.line for claim in suite.claims if claim.faults] == [8, 10, 11, 15]


def test_a_prompt_set_that_is_no_yaml_spoils_only_its_claims(tmp_path: Path) -> None:
    """The set's fault belongs to the suite; claims that use it say so, the others are fine."""
    text, marks = unmark(HEAD.replace("claims:", "  bad: «{»family: ioi\nclaims:") + f"  a: {GOOD}\n")
    suite = read(tmp_path, f"{text}  b: {GOOD.replace('num', 'bad')}\n")
    (fault,) = suite.faults
    assert (fault.where.line, fault.where.column) == (marks[0].line, marks[0].column)
    assert not claim_of(suite, "a").faults
    assert "prompt set 'bad' cannot be used: it has a fault on line 6" in claim_of(suite, "b").faults[0].message


def test_anchors_and_merges_are_read(tmp_path: Path) -> None:
    """A claim may share its keys with another one through an anchor; faults there are told in both."""
    body = f"  a: &a {GOOD}\n  b: {{<<: *a, head: 17.1}}\n  c: &c {{claim: x, at_lest: 1}}\n  d: *c\n"
    suite = read(tmp_path, HEAD + body)
    assert [str(claim.heads[0]) for claim in suite.claims[:2]] == ["16.0", "17.1"]
    assert not suite.claims[0].faults + suite.claims[1].faults
    for name in ("c", "d"):
        assert any("at_lest" in fault.message and fault.where.line == 9 for fault in claim_of(suite, name).faults)
