"""The language reference (docs/language.md): every key with type, default, meaning and example, from the schema's own tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from circuits.claims.flow import flow
from circuits.claims.keys import BOUNDS, KINDS, OWN, SHARED
from circuits.prompts.own import Extensions
from circuits.prompts.parameters import with_defaults
from circuits.prompts.prompt import Family, Parameter
from circuits.prompts.words import SEQUENCES
from circuits.schema import words
from circuits.schema.build import facts_of, metrics_with, scores_with, suite_schema
from circuits.schema.parts import Schema
from circuits.schema.words import Word

HEAD = """# Language reference

Every key of a suite. This page is made by `circuits schema --markdown` from the tables that read suites and from the
schema that editors use ([below](#in-an-editor)); [The claim language](claims.md) explains the same in prose, with the
selectors. F is the mean of a metric, M the model, C a circuit, M\\A the model with A ablated.
"""

EDITOR = """## In an editor

Language servers for YAML (in VS Code the extension "YAML" of Red Hat, elsewhere `yaml-language-server`) complete keys and
names, show what they mean and underline what is wrong, once a suite says where its schema is. In your project:

```bash
circuits schema --out hypotheses/suite.schema.json
```

and as the first line of each suite in that folder

```yaml
# yaml-language-server: $schema=suite.schema.json
```

The path is relative to the suite. Write the file anew after an upgrade. What installed packages add is in it; where your project
adds [families, roles, scores or metrics](extending.md) in a `conftest.py`, write it with `--project`. The schema knows keys, forms and names. What needs the
model, the prompts or arithmetic (a head that does not exist, a selector that selects nothing, a bound that no value can
miss) is told by `circuits lint`.
"""

METRIC_FACTS = ("metric", "meaning", "range", "drop_in, recovers")


def language_page(families: Mapping[str, Family], own: Extensions | None = None) -> str:
    """The page for these prompt families, and for the scores, metrics and roles of ``own``."""
    own = own or Extensions()
    page = _Page(suite_schema(families, own))
    schema, parts = page.schema, page.parts
    page.keys("## Suite", words.SUITE, schema)
    page.keys("### sampling", words.SAMPLING, schema["properties"]["sampling"])
    page.keys("### model, by its place", words.MODEL, parts["model"]["anyOf"][1])
    page.names("A model by its name:", words.MODELS)
    page.keys("## Prompt set", words.PROMPT_SET, parts["prompt_set"])
    for name, family in families.items():
        page.family(name, family)
    page.keys("## Circuit", words.CIRCUIT, parts["circuit"])
    page.keys("## Claim", words.CLAIM, parts["claim_keys"])
    page.names("`expect` is one of", words.EXPECTATIONS)
    page.keys("or a mapping with", words.EXPECT, parts["claim_keys"]["properties"]["expect"]["anyOf"][1])
    page.checks()
    page.write("## Names")
    for title, known in (("statistic", words.STATISTICS), ("excluding", words.EXCLUDABLE), ("method", words.METHODS),
                         ("score", scores_with(own))):  # fmt: skip
        page.names(f"**{title}**", known)
    page.metrics(own)
    if own.roles:
        page.names("**roles** of the project's own", {name: role.doc for name, role in own.roles.items()})
    page.names("**members**", {name: ", ".join(members) for name, members in SEQUENCES.items()})
    return "\n\n".join([HEAD.strip(), *page.blocks, EDITOR.strip()]) + "\n"


class _Page:
    """Blocks of Markdown, one after the other."""

    def __init__(self, schema: Schema):
        self.schema = schema
        self.parts: Schema = schema["definitions"]
        self.blocks: list[str] = []

    def write(self, text: str) -> None:
        self.blocks.append(text)

    def table(self, header: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
        lines = [list(header), *map(list, rows)]
        shown = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
        self.write("\n".join([shown[0], "|" + ":--|" * len(lines[0]), *shown[1:]]))

    def keys(self, title: str, known: Mapping[str, Word], schema: Schema) -> None:
        """A table of keys; ``schema`` is the mapping in which they stand."""
        self.write(title)
        rows = []
        for key, word in known.items():
            default = f"`{flow(word.default)}`" if word.default is not None else word.otherwise
            if key in schema.get("required", ()):
                default = "*required*"
            examples = "<br>".join(f"`{flow(example)}`" for example in word.examples)
            rows.append((f"`{key}`", self.kind(schema["properties"][key]), default, word.doc, examples))
        self.table(("key", "value", "without it", "meaning", "example"), rows)

    def names(self, title: str, known: Mapping[str, str]) -> None:
        self.write(title)
        self.table(("name", "meaning"), ((f"`{name}`", doc) for name, doc in known.items()))

    def checks(self) -> None:
        """The kinds of checks, each with its own keys, then the keys of all."""
        self.write("## Check\n\nA check has one of " + ", ".join(f"`{kind}`" for kind in KINDS) + ", and one bound.")
        schema = self.parts["check_keys"]
        for kind in KINDS:
            own = [key for key in (kind, *OWN[kind]) if key not in BOUNDS]
            self.keys(f"### {kind}", {key: words.CHECK[key] for key in own}, schema)
            if kind == "attends":
                inner = schema["properties"]["more_than"]["anyOf"][1]
                self.keys("`more_than` as a mapping", words.MORE_THAN, inner)
        self.keys(
            "### Bounds, of which a check has one", {key: words.CHECK[key] for key in (*BOUNDS, "observe")}, schema
        )
        tops = [kind for kind, own in OWN.items() if "top" in own]
        self.write(
            f"`top` belongs to {', '.join(tops)}; the bound of a comparison is `by_at_least`; a loss map has none."
        )
        others = {key: words.CHECK[key] for key in SHARED if key not in (*BOUNDS, "observe", "by_at_least")}
        self.keys("### Keys of every check", others, schema)
        self.keys("`heads` as a mapping", words.SOME, self.parts["heads"]["anyOf"][2])
        self.keys("`reported`", words.REPORTED, schema["properties"]["reported"])

    def family(self, name: str, family: Family) -> None:
        """A prompt family: its parameters, roles, how it is drawn, foil and corruption."""
        roles = _listed(sorted(family.roles(with_defaults(family, {})))) or "those that the prompt set adds"
        self.write(
            f"### {name}\n\n{' '.join(filter(None, (family.doc, family.drawn, family.foil, family.corruption)))}"
        )
        self.write(f"Roles (with the defaults): {roles}.")
        self.table(("key", "value", "without it", "meaning"), map(self.parameter, family.parameters))
        if any(parameter.kind == "texts" for parameter in family.parameters):
            then = next(form["then"] for form in self.parts["prompt_set"]["allOf"]
                        if form["if"]["properties"]["family"]["const"] == name)  # fmt: skip
            self.keys("One prompt of `texts`", words.TEXT, then["properties"]["texts"]["items"]["anyOf"][1])

    def parameter(self, parameter: Parameter) -> tuple[str, str, str, str]:
        default = "" if parameter.default is None else f"`{flow(parameter.default)}`"
        kinds = {"int": "whole number", "str": "text", "strings": "list of texts", "bool": "true or false",
                 "choice": _listed(parameter.choices), "words": f"{_listed(parameter.choices)}, or a list of texts",
                 "texts": "list of texts or of mappings"}  # fmt: skip
        value = kinds[parameter.kind] + (f", at least {parameter.minimum}" if parameter.minimum is not None else "")
        return f"`{parameter.name}`", value, "*required*" if parameter.required else default, parameter.doc

    def metrics(self, own: Extensions) -> None:
        """The metrics with their ranges, and whether drop_in takes them."""
        rows = []
        for name, doc in metrics_with(own).items():
            low, high, zero = facts_of(name, own)
            ends = f"{low:g} to {high:g}".replace("-inf", "unbounded").replace("unbounded to inf", "unbounded")
            rows.append(
                (
                    f"`{name}`",
                    doc,
                    ends.replace("0 to inf", "from 0").replace("1 to inf", "from 1"),
                    "yes" if zero else "no",
                )
            )
        self.write("**metrics**")
        self.table(METRIC_FACTS, rows)

    def kind(self, schema: Any) -> str:
        """What may stand there, in words."""
        if "$ref" in schema:
            return self.kind(self.parts[schema["$ref"].rsplit("/", 1)[1]])
        if "allOf" in schema and "$ref" in schema["allOf"][0]:
            return self.kind(schema["allOf"][0])
        if "title" in schema and "anyOf" not in schema:
            return f"{schema['title']}{_limits(schema)}"
        if "enum" in schema:
            return _listed(schema["enum"])
        if "const" in schema:
            return f"`{schema['const']}`"
        if "anyOf" in schema:
            kinds = dict.fromkeys(map(self.kind, schema["anyOf"]))
            return str(schema.get("title") or " or ".join(kinds))
        if schema.get("type") == "array":
            return f"[{self.kind(schema['items'])}, ...]"
        return "mapping" if schema.get("type") in ("object", ["array", "object"]) else "text"


def _limits(schema: Schema) -> str:
    if schema["title"] != "whole number" or "minimum" not in schema:
        return ""
    return (
        f", {schema['minimum']} to {schema['maximum']:,}" if "maximum" in schema else f", at least {schema['minimum']}"
    )


def _listed(names: Iterable[Any]) -> str:
    return ", ".join(f"`{name}`" for name in names)
