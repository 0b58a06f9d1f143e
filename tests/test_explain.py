"""``circuits explain``: the query and key tokens of a selector on a prompt, and its faults."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_models
from tests_of_plugin import NOWHERE, environment

from circuits.claims import selector
from circuits.claims.positions import key_sets
from circuits.cli import main
from circuits.models.source import resolve
from circuits.models.tokens import tokenizer_of
from circuits.prompts.registry import FAMILIES
from circuits.prompts.tokens import build

made = tiny_models.made
TEXT = "Adam is 1. Bob is 2."
NUMBERS = ["--text", TEXT, "--role", r"number=\d+"]


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    more = {"HF_HOME": str(tmp_path / "hf"), "CIRCUITS_CACHE": str(tmp_path / "cache"), "COLUMNS": "80"}
    for name, value in {**NOWHERE, **more}.items():
        monkeypatch.setenv(name, value)
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


def test_each_query_token_is_shown_with_its_keys(capsys: pytest.CaptureFixture[str]) -> None:
    """Words, numbered tokens with BOS, and a line a query token: itself and its keys marked, or that it has none."""
    assert main(["explain", "number->earlier  number", *NUMBERS]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "number -> earlier number",
        "Attention from each `number` token, on all earlier `number` tokens.",
        "",
        "9 tokens of reference, numbered from 0; position 0 is BOS; an item has 4 tokens",
        "(period)",
        "  0 <bos>   1 Adam   2 is   3 1   4 .   5 Bob   6 is   7 2   8 .",
        "  number: 3, 7",
        "",
        "query token «x», key token [x]",
        "    3: «1»  has no key",
        "    7: <bos> Adam is [1] . Bob is «2»",
        "1 of 2 query tokens has a key; the others do not count.",
    ]


def test_a_terminal_shows_colours_instead_of_marks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is on green, the query reversed, and no brackets are added."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert main(["explain", "number -> earlier number", *NUMBERS]) == 0
    out = capsys.readouterr().out
    assert "\x1b[1;30;42m1\x1b[0m \x1b[2m.\x1b[0m" in out
    assert "\x1b[1;7m2\x1b[0m" in out
    assert "[1]" not in out
    assert "«" not in out


@pytest.mark.parametrize(
    ("text", "family", "parameters"),
    [
        ("member -> earlier member", "named_sequence", {"members": "numerals", "length": 4}),
        ("any -> n-{2*period-1}", "named_sequence", {"members": ["1", "2", "3", "4"], "length": 3}),
        ("end -> IO | S1", "ioi", {}),
        ("second_copy -> induction", "repeated_tokens", {"length": 6}),
    ],
)
def test_positions_are_those_that_are_measured(
    text: str, family: str, parameters: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    """Queries and keys are what positions.key_sets gives on the first prompt of that seed."""
    words = [f"{key}={','.join(value) if isinstance(value, list) else value}" for key, value in parameters.items()]
    assert main(["explain", text, "--family", family, *words, "--seed", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (prompt,) = build(FAMILIES[family], parameters, tokenizer_of(resolve("reference")), 3, "prompts", 1)
    expected = key_sets(selector.parse(text), prompt, {"length": 4})
    assert {each["query"]: tuple(each["keys"]) for each in found["queries"]} == expected
    assert [each["id"] for each in found["tokens"]] == list(prompt.ids)
    assert found["measurable"] is any(expected.values())
    assert found["period"] == prompt.period


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["end -> n-5", "--text", "Adam is"], 1, "no query token has a key: the check would be UNMEASURABLE"),
        (
            ["member[9] -> n-1", "--family", "named_sequence", "members=numerals"],
            1,
            "no token is 'member[9]', so there is no query token: the check would be UNMEASURABLE",
        ),
    ],
)
def test_an_empty_set_is_said(
    arguments: list[str], status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last line says that nothing could be measured, and on which side."""
    assert main(["explain", *arguments]) == status
    assert capsys.readouterr().out.replace("\n  ", " ").splitlines()[-1] == message


def test_without_bos_nothing_stands_in_front(capsys: pytest.CaptureFixture[str]) -> None:
    """--no-bos drops position 0's BOS; `bos` then is a fault, as in a suite with bos: false."""
    assert main(["explain", "any -> n-1", "--text", "Adam is 1", "--no-bos", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["token"] for each in found["tokens"]] == ["Adam", "is", "1"]
    assert [each["keys"] for each in found["queries"]] == [[], [0], [1]]
    assert main(["explain", "any -> bos", "--text", "Adam is 1", "--no-bos"]) == 2
    assert "bos: false" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (
            ["number -> earlier numbr", *NUMBERS],
            [
                "circuits: SELECTOR:1:19: unknown role 'numbr': prompt set 'texts' has none of that name",
                "    number -> earlier numbr",
                "                      ^^^^^",
                "    did you mean 'number'?",
                r"circuits: a text has the roles that you give it: --role 'member=\d+'",
            ],
        ),
        (
            ["number -> earler number", *NUMBERS],
            [
                "circuits: SELECTOR:1:11: unknown qualifier 'earler' before 'number'",
                "    number -> earler number",
                "              ^^^^^^",
                "    did you mean 'earlier'?",
            ],
        ),
        (
            ["any -> n-{lenght}", "--family", "named_sequence", "members=numerals"],
            [
                "circuits: SELECTOR:1:11: unknown variable 'lenght': prompt set 'named_sequence' has none of that name",
                "    any -> n-{lenght}",
                "              ^^^^^^",
                "    did you mean 'length'?",
            ],
        ),
        (
            ["any -> n-1", "--family", "named_sequences"],
            ["circuits: unknown prompt family 'named_sequences' (did you mean 'named_sequence'?)"],
        ),
        (
            ["any -> n-1", "--family", "named_sequence", "members=numerals", "lenght=4"],
            ["circuits: unknown key 'lenght' in prompt set 'named_sequence' (family named_sequence) (did you mean 'length'?)"],
        ),
        (
            ["any -> n-1", "--family", "ioi", "templates"],
            ["circuits: --family templates: write KEY=VALUE, such as length=4"],
        ),
        (
            ["any -> n-1", "--text", "x", "--role", "a"],
            [r"circuits: --role a: write NAME=REGEX, such as 'member=\d+'"],
        ),
        (
            ["any -> n-1", "--text", "x", "--model", "gtp2"],
            ["circuits: unknown model 'gtp2': did you mean 'gpt2'? A folder, a .gguf file or a hub id (OWNER/NAME@REVISION) is a model, too"],
        ),
        (
            ["any -> n-1", "--text", "x", "--model", "gpt2"],
            [
                "circuits: gpt2: its tokenizer is not here; `circuits models fetch gpt2` brings the model, or give a "
                "local folder with --circuit-model gpt2=DIR"
            ],
        ),
    ],
)  # fmt: skip
def test_a_mistake_says_where_and_what_to_do(
    arguments: list[str], lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A faulty selector has its caret; everything else is a line; exit status 2 and nothing on standard output."""
    assert main(["explain", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == lines


def test_an_offset_without_a_value_is_unmeasurable(capsys: pytest.CaptureFixture[str]) -> None:
    """n-{period} where sentences differ in length: the reason, with exit status 1."""
    assert main(["explain", "any -> n-{period}", "--text", "Adam is. Bob is in the."]) == 1
    assert "have no common length in tokens, so no period: the check would be UNMEASURABLE" in capsys.readouterr().err


def test_unknown_words_are_pointed_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Two words that the reference model does not have are one token to it, which copies would be taken from."""
    assert main(["explain", "any -> n-1", "--text", "xyzzy is plugh", "--json"]) == 0
    said = capsys.readouterr()
    assert said.err == "circuits: note: 2 tokens unknown to reference, shown as <unk>\n"
    assert [each["token"] for each in json.loads(said.out)["tokens"]] == ["<bos>", "<unk>", "is", "<unk>"]


def test_only_the_tokenizer_of_a_model_is_needed(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder without weights will do, named or given for a registry name."""
    shutil.copytree(made / "gpt2", tmp_path / "mine", ignore=shutil.ignore_patterns("*.safetensors"))
    for model in (["--model", "mine"], ["--model", "gpt2", "--circuit-model", "gpt2=mine"]):
        assert main(["explain", "end -> n-1", "--text", "Adam is 1", "--json", *model]) == 0
        found = json.loads(capsys.readouterr().out)
        assert [each["id"] for each in found["tokens"]] == [
            0,
            *(tiny_models.WORDS.index(word) for word in ("Adam", "is", "1")),
        ]
    shutil.rmtree(tmp_path / "mine")
    (tmp_path / "mine").mkdir()
    assert main(["explain", "end -> n-1", "--text", "Adam is 1", "--model", "mine"]) == 2
    assert "there is no folder" in capsys.readouterr().err


def test_no_torch_is_loaded(tmp_path: Path) -> None:
    """The reference model's tokenizer is made without the model."""
    code = (
        "import sys, circuits.cli\n"
        "status = circuits.cli.main(['explain', 'any -> n-1', '--text', 'Adam is 1'])\n"
        "print({'torch', 'transformer_lens', 'pandas', 'scipy', 'matplotlib'} & set(sys.modules), status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "set() 0", done.stderr
