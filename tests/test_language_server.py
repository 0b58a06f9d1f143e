"""An editor's language server with the schema: it completes keys and names, marks what is wrong and shows what keys mean.

The server is yaml-language-server (npm). It is found on the path, or where CIRCUITS_YAML_LANGUAGE_SERVER says; node runs it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from lsp import Server

from circuits.cli import main

SETTINGS = {"yaml": {"validate": True, "hover": True, "completion": True, "schemaStore": {"enable": False}}}
LINE = "# yaml-language-server: $schema=suite.schema.json\n"
SUITE = """suite: S
model: smollm2-135m
prompts:
  num: {family: named_sequence, members: numerals}
claims:
  a:
    claim: x
    head: "16.0"
    prompts: num
"""


def command() -> list[str] | None:
    """How the server is started; None where it is not installed."""
    found = os.environ.get("CIRCUITS_YAML_LANGUAGE_SERVER") or shutil.which("yaml-language-server")
    return ["node", found, "--stdio"] if found and shutil.which("node") else None


pytestmark = pytest.mark.skipif(
    command() is None,
    reason="yaml-language-server is not here: npm install yaml-language-server, and put it on the path",
)


class Editor:
    """A folder of suites with their schema, and a server that was told to open one."""

    def __init__(self, folder: Path):
        self.folder = folder / "hypotheses"
        assert main(["schema", "--out", str(self.folder / "suite.schema.json")]) == 0
        started = command()
        assert started is not None
        self.server = Server(started, folder, SETTINGS)
        self.count = 0

    def write(self, text: str) -> tuple[Path, int, int]:
        """A new suite, and the place that ``|`` marks in it."""
        before, _, after = (LINE + text).partition("|")
        self.count += 1
        path = self.folder / f"suite{self.count}.yaml"
        path.write_text(before + after)
        return path, before.count("\n"), len(before) - before.rfind("\n") - 1

    def offered(self, text: str) -> set[str]:
        """What is completed at the mark."""
        path, line, character = self.write(text)
        self.server.open(path)
        return set(self.server.completions(path, line, character))

    def shown(self, text: str) -> str:
        """What hovering over the mark shows."""
        path, line, character = self.write(text)
        self.server.open(path)
        return self.server.hover(path, line, character)

    def wrong(self, text: str) -> dict[tuple[int, str], str]:
        """What is underlined: the line (from 1, the schema's line not counted) and the text there -> the message."""
        path, _, _ = self.write(text)
        lines = path.read_text().split("\n")
        found = {}
        for one in self.server.open(path):
            start, end = one["range"]["start"], one["range"]["end"]
            words = lines[start["line"]][
                start["character"] : end["character"] if end["line"] == start["line"] else None
            ]
            found[start["line"], words] = one["message"]
        return found


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    opened = Editor(tmp_path_factory.mktemp("editor"))
    yield opened
    opened.server.close()


def test_a_sound_suite_has_nothing_underlined(editor: Editor) -> None:
    """The modeline leads the server to the schema, and the schema takes the suite."""
    assert editor.wrong(SUITE + "    attends: member -> earlier member\n    at_least: 20%\n") == {}


def test_the_kinds_of_checks_are_offered_in_a_claim(editor: Editor) -> None:
    """At a claim's empty line: attends, ablate and the others, and the claim's own keys; in a list of checks too."""
    assert {"attends", "ablate", "score", "keep_only", "path", "checks", "expect"} <= editor.offered(SUITE + "    |\n")
    offered = editor.offered(SUITE + "    checks:\n      - |\n")
    assert {"attends", "ablate", "score", "keep_only", "path", "loss_map"} <= offered
    assert "expect" not in offered


def test_only_the_keys_of_the_check_are_offered_once_its_kind_is_there(editor: Editor) -> None:
    """After attends: its statistic, but no method; after ablate: the reverse."""
    attends = editor.offered(SUITE + "    checks:\n      - attends: any -> n-1\n        |\n")
    assert {"statistic", "excluding", "more_than", "at_least"} <= attends
    assert not attends & {"method", "drop_in", "ablate", "attends"}
    ablate = editor.offered(SUITE + "    checks:\n      - ablate: '1.5'\n        |\n")
    assert {"method", "drop_in", "change_in", "at", "at_most"} <= ablate
    assert not ablate & {"statistic", "excluding", "score"}


def test_families_and_then_their_parameters_are_offered(editor: Editor) -> None:
    """The names of all families at family:, and the parameters of the one that is chosen."""
    families = editor.offered("suite: S\nprompts:\n  a:\n    family: |\n")
    assert families == {"named_sequence", "interspersed_sequence", "repeated_tokens", "ioi", "greater_than", "texts"}
    parameters = editor.offered("suite: S\nprompts:\n  a:\n    family: ioi\n    |\n")
    assert parameters == {"templates", "bos", "roles", "sweep", "requires"}


@pytest.mark.parametrize("text, names", [
    ("suite: S\nmodel: |\n", {"smollm2-135m", "gpt2", "reference"}),
    (SUITE + "    ablate: '1.5'\n    change_in: |\n", {"logit_diff", "answer_logprob", "kl", "loss", "top5"}),
    (SUITE + "    attends: any -> n-1\n    statistic: |\n", {"mass", "top1", "lift"}),
    (SUITE + "    score: |\n", {"induction", "previous_token", "copying", "in_context_learning"}),
    (SUITE + "    expect: |\n", {"supported", "refuted", "invalid"}),
    (SUITE + "    ablate: '1.5'\n    method: |\n", {"mean", "zero", "resample"}),
])  # fmt: skip
def test_names_are_offered_where_they_stand(editor: Editor, text: str, names: set[str]) -> None:
    """Models, metrics, statistics, scores, expectations, methods."""
    assert names <= editor.offered(text)


def test_a_metric_without_a_zero_is_not_offered_for_a_drop(editor: Editor) -> None:
    """drop_in takes logit_diff, and neither kl nor loss."""
    offered = editor.offered(SUITE + "    ablate: '1.5'\n    drop_in: |\n")
    assert "logit_diff" in offered
    assert not offered & {"kl", "loss", "answer_logprob"}


def test_a_misspelt_key_is_underlined_where_it_stands(editor: Editor) -> None:
    """On its own line, in a claim, a check, a prompt set and at the top."""
    found = editor.wrong(
        SUITE + "    checks:\n      - attends: any -> n-1\n        at_lest: 0.4\n        at_most: 0.5\n"
    )
    assert found == {(12, "at_lest"): "Property at_lest is not allowed."}
    assert (4, "lenght") in editor.wrong(SUITE.replace("members: numerals", "members: numerals, lenght: 4"))
    assert (1, "suit") in editor.wrong(SUITE.replace("suite:", "suit:"))
    claim = editor.wrong(SUITE + "    attends: any -> n-1\n    at_most: 0.4\n    expekt: refuted\n")
    assert claim == {(12, "expekt"): "Property expekt is not allowed."}


@pytest.mark.parametrize("line, words, message", [
    ("at_least: 20 %", "20 %", "write a number such as 0.4 or a percent such as 20%"),
    ("at_least: half", "half", "write a number such as 0.4 or a percent such as 20%"),
    ("statistic: top2", "top2", "Valid values"),
    ("expect: supportet", "supportet", "Valid values"),
    ("more_than: any", "any", "a selector is QUERY -> KEY"),
])  # fmt: skip
def test_a_wrong_value_is_underlined_with_what_to_write(editor: Editor, line: str, words: str, message: str) -> None:
    """A percent that is none, an unknown name, a selector without an arrow."""
    found = editor.wrong(f"{SUITE}    attends: member -> earlier member\n    {line}\n")
    assert message in found[11, words], found


def test_a_check_without_a_bound_says_so(editor: Editor) -> None:
    """In the words of the schema, not in those of a validator."""
    (message,) = editor.wrong(SUITE + "    attends: any -> n-1\n").values()
    assert message.startswith("this check has no bound: add at_least")


@pytest.mark.parametrize("text, words", [
    (SUITE + "    att|ends: any -> n-1\n    at_least: 0.4\n", "attention of the head from the query tokens to the key tokens"),
    (SUITE + "    attends: any -> n-1\n    statis|tic: lift\n    at_least: 4\n", "under uniform attention"),
    (SUITE.replace("members:", "mem|bers:"), "The sequence: numerals"),
    (SUITE.replace("family:", "fam|ily:"), "Sentences with two names"),
    (SUITE + "    ablate: '1.5'\n    drop_in: logi|t_diff\n    at_least: 5%\n", "logit of the answer minus logit of the foil"),
])  # fmt: skip
def test_hovering_shows_what_a_key_means(editor: Editor, text: str, words: str) -> None:
    """Its description, with the meanings of the values that it takes."""
    assert words in editor.shown(text)
