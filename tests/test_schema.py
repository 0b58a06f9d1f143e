"""The schema of suites: in step with the loader's tables, never stricter than the loader, wrong where a suite is wrong."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from claims_kit import claim, claim_of, read

from circuits.claims import keys, load_attends, load_circuits, load_prompts, load_top
from circuits.claims.bounds import METRICS
from circuits.cli import main
from circuits.models.source import FORMS, PATTERNS, REGISTRY
from circuits.prompts.registry import FAMILIES
from circuits.prompts.words import SEQUENCES
from circuits.schema import words
from circuits.schema.build import suite_schema, text_of
from circuits.schema.markdown import language_page
from circuits.schema.modeline import schema_for

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = sorted((ROOT / "hypotheses").rglob("*.yaml"))
SUITES = [*SHIPPED, *sorted((ROOT / "tests" / "data").glob("*.yaml"))]
SCHEMA = suite_schema(FAMILIES)
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)
CHECK, CLAIM = SCHEMA["definitions"]["check_keys"]["properties"], SCHEMA["definitions"]["claim_keys"]["properties"]


class EditorLoader(yaml.SafeLoader):
    """YAML as a language server reads it: 1.2, in which `no` and `on` are texts, and dates too."""


EditorLoader.yaml_implicit_resolvers = {
    first: [(tag, known) for tag, known in found if not tag.endswith((":bool", ":timestamp"))]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
EditorLoader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile("^(true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def with_text_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): with_text_keys(item) for key, item in value.items()}
    return [with_text_keys(item) for item in value] if isinstance(value, list) else value


def errors(text: str) -> list[jsonschema.ValidationError]:
    """What the schema finds wrong in a suite, the innermost errors of each branch."""
    return [*innermost(VALIDATOR.iter_errors(with_text_keys(yaml.load(text, Loader=EditorLoader))))]


def innermost(found: Iterable[jsonschema.ValidationError]) -> Iterator[jsonschema.ValidationError]:
    for error in found:
        yield from innermost(error.context) if error.context else [error]


# -- in step -----------------------------------------------------------------------------------------


def test_the_schema_is_a_schema() -> None:
    """It is valid draft 7, the draft that language servers know best."""
    assert SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"
    jsonschema.Draft7Validator.check_schema(SCHEMA)


def test_the_shipped_schema_is_that_of_the_code() -> None:
    """Else: circuits schema --out circuits/schema/suite.schema.json"""
    assert (ROOT / "circuits" / "schema" / "suite.schema.json").read_text() == text_of(SCHEMA)


def test_the_language_reference_is_that_of_the_code() -> None:
    """Else: circuits schema --markdown --out docs/language.md"""
    assert (ROOT / "docs" / "language.md").read_text() == language_page(FAMILIES)


TABLES: list[tuple[str, Iterable[str], Iterable[str]]] = [
    ("suite", keys.SUITE_KEYS, SCHEMA["properties"]),
    ("sampling", keys.SAMPLING_KEYS, SCHEMA["properties"]["sampling"]["properties"]),
    ("claim", keys.CLAIM_KEYS, CLAIM),
    ("check", keys.CHECK_KEYS, CHECK),
    ("reported", keys.REPORTED_KEYS, CHECK["reported"]["properties"]),
    ("more_than", load_attends.MORE_KEYS, CHECK["more_than"]["anyOf"][1]["properties"]),
    ("interaction", (*keys.ENDS, "observe"), CHECK["interaction"]["properties"]),
    ("expect", keys.EXPECTATIONS, CLAIM["expect"]["anyOf"][0]["enum"]),
    ("expect: {}", keys.EXPECTED, CLAIM["expect"]["anyOf"][1]["properties"]),
    ("statistic", keys.STATISTICS, CHECK["statistic"]["enum"]),
    ("excluding", keys.EXCLUDABLE, CHECK["excluding"]["anyOf"][0]["enum"]),
    ("method", keys.METHODS, CHECK["method"]["enum"]),
    ("score", keys.SCORES, CHECK["score"]["enum"]),
    ("members", SEQUENCES, CHECK["members"]["anyOf"][0]["enum"]),
    ("metric", (*METRICS, "top1"), words.METRICS),
    ("circuit", load_top.CIRCUIT_KEYS, SCHEMA["definitions"]["circuit"]["properties"]),
    ("prompt set", load_prompts.COMMON, SCHEMA["definitions"]["prompt_set"]["properties"]),
    ("text", load_prompts.TEXT_KEYS, words.TEXT),
    ("model", REGISTRY, SCHEMA["definitions"]["model"]["anyOf"][0]["enum"]),
    ("model: {}", {key for allowed, _ in FORMS.values() for key in allowed}, words.MODEL),
    ("patterns", PATTERNS, {key for key, value in SCHEMA["definitions"]["model"]["anyOf"][1]["properties"].items() if "pattern" in value}),
    ("family", FAMILIES, SCHEMA["definitions"]["prompt_set"]["properties"]["family"]["enum"]),
    ("requires", (*load_prompts.REQUIRABLE, "top1"), SCHEMA["definitions"]["requires"]["properties"]),
]  # fmt: skip


@pytest.mark.parametrize("loader, schema", [row[1:] for row in TABLES], ids=[row[0] for row in TABLES])
def test_every_key_of_the_loader_is_in_the_schema_and_none_else(loader: Iterable[str], schema: Iterable[str]) -> None:
    """The loader's tables and the schema's properties are the same words."""
    assert sorted(loader) == sorted(schema)


def family_part(name: str) -> Mapping[str, Any]:
    (found,) = [
        form["then"]
        for form in SCHEMA["definitions"]["prompt_set"]["allOf"]
        if form["if"]["properties"]["family"]["const"] == name
    ]
    return found


@pytest.mark.parametrize("name", FAMILIES)
def test_every_parameter_of_a_family_is_in_the_schema_and_none_else(name: str) -> None:
    """With its meaning, choices, minimum and default; in sweeps too."""
    found = family_part(name)["properties"]
    parameters = {parameter.name: parameter for parameter in FAMILIES[name].parameters}
    assert set(found) == set(parameters) | set(load_prompts.COMMON)
    assert set(found["sweep"]["properties"]) == set(found["sweep"]["items"]["properties"]) == set(parameters)
    for key, parameter in parameters.items():
        assert found[key]["description"].casefold().startswith(parameter.doc.casefold())
        assert found[key].get("minimum") == parameter.minimum
        default = list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default
        assert found[key].get("default") == default
        if parameter.choices:
            assert list(parameter.choices) in (found[key].get("enum"), found[key].get("anyOf", [{}])[0].get("enum"))


def words_of_the_loader() -> Iterator[tuple[str, str]]:
    """(file, key) of every key that the loader's code asks a node for by a word of its own."""
    for path in sorted((ROOT / "circuits" / "claims").glob("load*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            called = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            if called and node.func.attr in ("get", "key", "all") and isinstance(node.args[0], ast.Constant):
                yield path.name, str(node.args[0].value)


def test_no_key_is_read_that_the_schema_does_not_describe() -> None:
    """Every `.get("word")` of the loader asks for a word of the tables."""
    tables = (words.SUITE, words.SAMPLING, words.CLAIM, words.CHECK, words.PROMPT_SET, words.CIRCUIT, words.MORE_THAN,
              words.REPORTED, words.TEXT, words.SOME, words.EXPECT)  # fmt: skip
    known = {key for table in tables for key in table}
    known |= {parameter.name for family in FAMILIES.values() for parameter in family.parameters}
    asked = list(words_of_the_loader())
    assert len(asked) > 60
    assert {(file, key) for file, key in asked if key not in known} == set()


def described(schema: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    for key, value in schema.items():
        if isinstance(value, dict):
            yield f"{path}/{key}", value
            yield from described(value, f"{path}/{key}")


def test_every_key_has_a_meaning_and_an_example() -> None:
    """Hovering over any key of a suite, claim, check or circuit says something."""
    places = [SCHEMA["properties"], CLAIM, CHECK, SCHEMA["definitions"]["circuit"]["properties"]]
    places += [SCHEMA["properties"]["sampling"]["properties"], SCHEMA["definitions"]["prompt_set"]["properties"]]
    for properties in places:
        for key, value in properties.items():
            assert value["description"].endswith("."), key
            assert value.get("examples") or "For example" in value["description"], key


@pytest.mark.parametrize("table", [words.CHECK, words.CLAIM, words.SUITE, words.PROMPT_SET, words.CIRCUIT, words.MODEL])
def test_the_examples_are_what_may_stand_there(table: Mapping[str, words.Word]) -> None:
    """Each example is valid at its key."""
    places = {id(words.CHECK): CHECK, id(words.CLAIM): CLAIM, id(words.SUITE): SCHEMA["properties"],
              id(words.PROMPT_SET): SCHEMA["definitions"]["prompt_set"]["properties"],
              id(words.CIRCUIT): SCHEMA["definitions"]["circuit"]["properties"],
              id(words.MODEL): SCHEMA["definitions"]["model"]["anyOf"][1]["properties"]}  # fmt: skip
    for key, word in table.items():
        rules = {**places[id(table)][key], "definitions": SCHEMA["definitions"]}
        assert word.examples
        for example in word.examples:
            jsonschema.Draft7Validator(rules).validate(example)


def test_defaults_are_the_loaders(tmp_path: Path) -> None:
    """What the schema says of a key that is left out is what the loader does."""
    suite = read(tmp_path, claim("attends: member -> earlier member", "at_least: 0.4"))
    check = claim_of(suite, "a").checks[0]
    assert (check.what.statistic, check.bound.kind) == (CHECK["statistic"]["default"], "at_least")  # type: ignore[union-attr]
    assert claim_of(suite, "a").expect.kind == CLAIM["expect"]["default"]
    removed = claim_of(read(tmp_path, claim("ablate: '16.0'", "drop_in: logit_diff", "at_least: 5%")), "a")
    assert removed.checks[0].what.method == CHECK["method"]["default"]  # type: ignore[union-attr]
    assert suite.prompts["num"][0].bos is SCHEMA["definitions"]["prompt_set"]["properties"]["bos"]["default"]
    assert CHECK["subsets"]["default"] == load_circuits.SUBSETS


# -- what it takes and what it refuses ---------------------------------------------------------------


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_shipped_suite_validates(path: Path) -> None:
    """The suites and the examples that the project ships are valid."""
    assert [f"{list(error.absolute_path)}: {error.message}" for error in errors(path.read_text())] == []


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_shipped_suite_names_its_schema(path: Path) -> None:
    """Its first line leads an editor to the schema file."""
    match = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", path.read_text().split("\n", 1)[0])
    assert match is not None
    assert (path.parent / match[1]).resolve() == ROOT / "circuits" / "schema" / "suite.schema.json"


BASES: Mapping[str, Mapping[str, Any]] = {
    "attends": {"attends": "member -> earlier member"},
    "score": {"score": "induction"},
    "ablate": {"ablate": "16.0"},
    "keep_only": {"keep_only": "c"},
    "path": {"path": "2.2 -> 5.5.k"},
    "loss_map": {"loss_map": ["16.0", "17.0"]},
}
TOP = """suite: S
model: smollm2-135m
prompts:
  num: {family: named_sequence, members: numerals, length: 4}
  months: {family: named_sequence, members: months}
circuits:
  c: {heads: ["16.0", "17.0"]}
  end_heads: {heads: ["20.5", "4.4"]}
claims:
  a:
    claim: x
    prompts: num
    checks:
"""


@pytest.mark.parametrize("kind", keys.KINDS)
@pytest.mark.parametrize("key", keys.CHECK_KEYS)
def test_a_key_that_the_schema_refuses_beside_a_kind_is_a_fault(tmp_path: Path, kind: str, key: str) -> None:
    """And a key that belongs to other kinds is refused by both."""
    if key in keys.KINDS:
        return
    check = {**BASES[kind], key: words.CHECK[key].examples[0]}
    text = f"{TOP}      - {json.dumps(check)}\n"
    refused = any(f"'{key}' was unexpected" in error.message for error in errors(text))
    messages = [fault.message for fault in read(tmp_path, text).all_faults if repr(key) in fault.message]
    belongs = any("belongs to" in message and f"not to {kind}" in message for message in messages)
    assert refused or not belongs
    if refused:
        assert read(tmp_path, text).all_faults


GOOD_CLAIM = ("attends: member -> earlier member", "at_least: 0.4")
BROKEN: list[tuple[str, str, list[Any], str]] = [
    ("misspelt key of a suite", "suit: S\nmodel: gpt2\n", [], "'suit' was unexpected"),
    ("unknown model", "suite: S\nmodel: gpt3\n", ["model"], "'gpt3' is not one of"),
    ("hub model with a file", "suite: S\nmodel: {hub: a/b, file: x.gguf}\n", ["model"], "False schema does not allow 'x.gguf'"),
    ("wheel without its digest", "suite: S\nmodel: {wheel: a==1, file: x.gguf}\n", ["model"], "'sha256' is a required"),
    ("misspelt key of sampling", "suite: S\nsampling: {mim: 3}\n", ["sampling"], "'mim' was unexpected"),
    ("sampling of the wrong type", "suite: S\nsampling: {min: few}\n", ["sampling", "min"], "'few' does not match"),
    ("confidence of one", "suite: S\nsampling: {confidence: 1}\n", ["sampling", "confidence"], "1 is greater than or equal"),
    ("unknown family", "suite: S\nprompts: {a: {family: named_sequense}}\n", ["prompts", "a", "family"], "'named_sequense' is not one of"),
    ("no family", "suite: S\nprompts: {a: {members: months}}\n", ["prompts", "a"], "'family' is a required"),
    ("misspelt parameter", "suite: S\nprompts: {a: {family: ioi, template: ABBA}}\n", ["prompts", "a"], "'template' was unexpected"),
    ("unknown sequence", "suite: S\nprompts: {a: {family: named_sequence, members: month}}\n", ["prompts", "a", "members"], "'month' is not one of"),
    ("too short", "suite: S\nprompts: {a: {family: repeated_tokens, length: 1}}\n", ["prompts", "a", "length"], "1 is less than the minimum"),
    ("swept key", "suite: S\nprompts: {a: {family: repeated_tokens, sweep: {lenght: [3]}}}\n", ["prompts", "a", "sweep"], "'lenght' was unexpected"),
    ("a text's key", "suite: S\nprompts: {a: {family: texts, texts: [{text: a, anser: b}]}}\n", ["prompts", "a", "texts", 0], "'anser' was unexpected"),
    ("circuit without heads", "suite: S\ncircuits: {a: {mlps: [0]}}\n", ["circuits", "a"], "'heads' is a required"),
    ("misspelt key of a claim", claim(*GOOD_CLAIM, "expekt: refuted"), ["claims", "a"], "'expekt' was unexpected"),
    ("misspelt bound", claim("attends: any -> n-1", "at_lest: 0.4"), ["claims", "a"], "'at_lest' was unexpected"),
    ("no bound", claim("attends: any -> n-1"), ["claims", "a"], "'at_least' is a required"),
    ("no check", claim("at_least: 0.4"), ["claims", "a"], "'attends' is a required"),
    ("two bounds", claim(*GOOD_CLAIM, "at_most: 0.6"), ["claims", "a"], "False schema does not allow 0.6"),
    ("bound of the wrong type", claim("attends: any -> n-1", "at_least: much"), ["claims", "a", "at_least"], "'much' does not match"),
    ("percent with a space", claim("attends: any -> n-1", "at_least: 20 %"), ["claims", "a", "at_least"], "'20 %' does not match"),
    ("percent twice", claim("attends: any -> n-1", "between: [1%, 20%%]"), ["claims", "a", "between", 1], "'20%%' does not match"),
    ("one end", claim("attends: any -> n-1", "between: [0.1]"), ["claims", "a", "between"], "is too short"),
    ("no arrow", claim("attends: any n-1", "at_least: 0.4"), ["claims", "a", "attends"], "does not match"),
    ("unknown statistic", claim(*GOOD_CLAIM, "statistic: top2"), ["claims", "a", "statistic"], "'top2' is not one of"),
    ("unknown score", claim("score: inductive", "at_least: 0.4"), ["claims", "a", "score"], "'inductive' is not one of"),
    ("unknown metric", claim("ablate: '1.5'", "drop_in: logit_dif", "at_least: 5%"), ["claims", "a", "drop_in"], "'logit_dif' is not one of"),
    ("metric without a zero", claim("ablate: '1.5'", "drop_in: kl", "at_least: 5%"), ["claims", "a", "drop_in"], "'kl' is not one of"),
    ("no effect", claim("ablate: '1.5'", "at_least: 5%"), ["claims", "a"], "'drop_in' is a required"),
    ("unknown method", claim("ablate: '1.5'", "drop_in: top1", "at_least: 5%", "method: average"), ["claims", "a", "method"], "'average' is not one of"),
    ("key of another kind", claim(*GOOD_CLAIM, "method: mean"), ["claims", "a"], "'method' was unexpected"),
    ("two kinds", claim(*GOOD_CLAIM, "score: induction"), ["claims", "a"], "'score' was unexpected"),
    ("path without input", claim("path: 2.2 -> 5.5", "drop_in: top1", "at_least: 5%", head=""), ["claims", "a", "path"], "does not match"),
    ("loss map with a bound", claim("loss_map: ['1.1', '1.2']", "at_least: 5%", head=""), ["claims", "a"], "'at_least' was unexpected"),
    ("loss map of one set", claim("loss_map: ['1.1']", "observe: true", head=""), ["claims", "a", "loss_map"], "is too short"),
    ("loss map of one model", claim("loss_map: []", "models: [gpt2]", "observe: true", head=""), ["claims", "a", "models"], "is too short"),
    ("loss map with an unknown model", claim("loss_map: ['1.1']", "models: [gpt3]", "observe: true", head=""), ["claims", "a", "models", 0], "'gpt3' is not one of"),
    ("models of another kind", claim(*GOOD_CLAIM, "models: [gpt2]"), ["claims", "a"], "'models' was unexpected"),
    ("unknown expectation", claim(*GOOD_CLAIM, "expect: supportet"), ["claims", "a", "expect"], "'supportet' is not one of"),
    ("two refuted checks", claim(*GOOD_CLAIM, "expect: {refuted: [1, 2]}"), ["claims", "a", "expect", "refuted"], "is too long"),
    ("no head", claim(*GOOD_CLAIM, head="head: six"), ["claims", "a", "head"], "'six' does not match"),
    ("check beside checks", claim("checks: [{attends: any -> n-1, at_least: 0.4}]", "at_most: 0.5"), ["claims", "a"], "'at_most' was unexpected"),
    ("check that is a text", claim("checks: [any -> n-1]"), ["claims", "a", "checks", 0], "is not of type 'object'"),
    ("unknown key in reported", claim(*GOOD_CLAIM, "reported: {value: 1, source: x, page: 3}"), ["claims", "a", "reported"], "'page' was unexpected"),
    ("requires of an unbounded metric", claim(*GOOD_CLAIM, "requires: {logit_diff: 1}"), ["claims", "a", "requires"], "'logit_diff' does not match"),
]  # fmt: skip


@pytest.mark.parametrize("text, place, words", [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_a_broken_suite_is_refused_at_its_place(tmp_path: Path, text: str, place: list[Any], words: str) -> None:
    """By the schema there, and by the loader too."""
    found = [(list(error.absolute_path), error.message) for error in errors(text)]
    assert [message for where, message in found if where == place and words in message], found
    assert read(tmp_path, text).all_faults


def test_a_claim_that_must_be_refused_is_the_loaders_to_judge() -> None:
    """`expect: invalid` claims may be as broken as they like."""
    assert not errors(claim("attends: any n-1", "at_lest: 3", "expect: invalid"))


def test_what_the_loader_takes_the_schema_takes(tmp_path: Path) -> None:
    """Unquoted heads, percents, truth values in words, numbers in quotes, texts that YAML reads as numbers."""
    text = claim(
        "checks:", "- {attends: any -> n-1, at_least: 1e-2, observe: no}", "- {attends: any → n-1, between: [.1, '90%']}",
        "- {score: copying, members: [1, 2, 3], at_least: '0.5', prompts: }".replace(", prompts: ", ""),
        "- {loss_map: [], models: [gpt2, {path: 3}], observe: true}", "- {loss_map: [1.1], models: [gpt2], observe: true}",
        "- {ablate: [L16H0, MLP3], drop_in: top12, at_most: 50%, at: end}", "- {attends: end -> any, observe: yes}",
        head="head: 16.0",
    )  # fmt: skip
    assert not read(tmp_path, text).all_faults
    assert not errors(text)


# -- the command -------------------------------------------------------------------------------------


def test_the_command_writes_the_schema_and_says_how_to_use_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --out a file, and the line that suites begin with."""
    out = tmp_path / "hypotheses" / "suite.schema.json"
    assert main(["schema", "--out", str(out)]) == 0
    assert json.loads(out.read_text()) == json.loads(text_of(SCHEMA))
    assert "# yaml-language-server: $schema=suite.schema.json" in capsys.readouterr().out


def test_the_command_prints_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    """Without --out on standard output, as JSON or as Markdown."""
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"].startswith("A suite of claims")
    assert main(["schema", "--markdown"]) == 0
    assert capsys.readouterr().out.startswith("# Language reference\n")


# -- the schema of a project -------------------------------------------------------------------------

OWN = """\
from dataclasses import replace

from circuits.extensions import Metric, Role, Score
from circuits.prompts.registry import FAMILIES


def pytest_circuits_extensions():
    return [
        replace(FAMILIES["ioi"], name="mine", doc="Of the project."),
        Role("odd", doc="An odd number.", find=lambda text: []),
        Score("looks_back", doc="Attention to n-1.", selector="any -> n-1"),
        Metric("share", doc="A share.", value=lambda logits, prompt: 0.5, low=0.0, high=1.0, zero=True),
        Metric("margin", doc="A margin.", value=lambda logits, prompt: 0.5),
    ]
"""
OWN_NAMES = [
    ("family", {"prompts": {"a": {"family": "mine"}}}),
    ("score", {"claims": {"a": {"head": "1.5", "prompts": "a", "score": "looks_back", "at_least": 0.5}}}),
    ("zero", {"claims": {"a": {"prompts": "a", "ablate": "1.5", "drop_in": "share", "at_least": 0.5}}}),
    ("metric", {"claims": {"a": {"prompts": "a", "ablate": "1.5", "after": "margin", "at_least": 0.5}}}),
]


def project_schema(folder: Path, *more: str) -> dict[str, Any]:
    """What the command writes for a project whose suites have a conftest.py beside them."""
    (folder / "hypotheses" / "deep").mkdir(parents=True)
    (folder / "pyproject.toml").write_text("")
    (folder / "hypotheses" / "deep" / "a.yaml").write_text("suite: A\n")
    (folder / "hypotheses" / "deep" / "conftest.py").write_text(OWN)
    out = folder / "suite.schema.json"
    assert main(["schema", "--project", *more, "--out", str(out)]) == 0
    found: dict[str, Any] = json.loads(out.read_text())
    jsonschema.Draft7Validator.check_schema(found)
    return found


def test_a_projects_schema_has_its_own_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A suite with an own family, score or metric validates against it, and not against the shipped schema."""
    monkeypatch.chdir(tmp_path)
    validator = jsonschema.Draft7Validator(project_schema(tmp_path))
    for name, suite in OWN_NAMES:
        assert [*innermost(validator.iter_errors(suite))] == [], name
        assert [*innermost(VALIDATOR.iter_errors(suite))], name
    without_zero = {"claims": {"a": {"prompts": "a", "ablate": "1.5", "drop_in": "margin", "at_least": 0.5}}}
    assert any("'margin' is not one of" in error.message for error in innermost(validator.iter_errors(without_zero)))
    misspelt = {"prompts": {"a": {"family": "mine", "templates": "ABBA", "nams": ["Ada"]}}}
    assert any("'nams' was unexpected" in error.message for error in innermost(validator.iter_errors(misspelt)))
    for path in SUITES:  # and what the package has is still there
        assert [*validator.iter_errors(with_text_keys(yaml.load(path.read_text(), Loader=EditorLoader)))] == [], path


def test_a_projects_roles_are_shown_where_selectors_stand(tmp_path: Path) -> None:
    """A role is no choice but a part of a selector: it is described and offered as one. DIR is another project's folder."""
    keys = project_schema(tmp_path, str(tmp_path))["definitions"]["check_keys"]["properties"]
    assert "Own roles: odd: An odd number." in keys["attends"]["description"]
    assert "any -> odd" in keys["attends"]["examples"] and "odd" in keys["at"]["examples"]


def test_a_projects_language_page_has_its_own_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--markdown takes --project too; without it no conftest.py is read."""
    project_schema(tmp_path, str(tmp_path))
    monkeypatch.chdir(tmp_path / "hypotheses" / "deep")
    capsys.readouterr()
    assert main(["schema", "--markdown", "--project"]) == 0
    page = capsys.readouterr().out
    assert "| `share` | A share. | 0 to 1 | yes |" in page and "| `margin` | A margin. | unbounded | no |" in page
    assert (
        "### mine" in page and "| `looks_back` | Attention to n-1. |" in page and "| `odd` | An odd number. |" in page
    )
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(text_of(SCHEMA))


def test_a_project_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As with every mistake on the command line."""
    assert main(["schema", "--project", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err == f"circuits: --project {tmp_path / 'none'}: there is no such folder\n"


# -- the line for an editor --------------------------------------------------------------------------


def test_a_new_suite_points_where_the_others_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the nearest schema file up to the project's folder, or where another suite of its folder points; else nowhere."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "suite.schema.json").write_text("{}")
    project = tmp_path / "project"
    deep = project / "hypotheses" / "deep"
    deep.mkdir(parents=True)
    (project / "pyproject.toml").write_text("")
    assert schema_for(deep / "new.yaml") is None  # that of the folder above is another project's
    (project / "hypotheses" / "suite.schema.json").write_text("{}")
    assert schema_for(project / "hypotheses" / "new.yaml") == "suite.schema.json"
    assert schema_for(deep / "new.yaml") == "../suite.schema.json"
    (deep / "a.yaml").write_text("suite: without a line\n")
    (deep / "b.yaml").write_text("# yaml-language-server: $schema=../../other.json\nsuite: B\n")
    assert schema_for(deep / "new.yaml") == "../../other.json"
