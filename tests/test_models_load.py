"""Loading model folders: the same numbers as transformers, and what is refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_models
from tiny_models import WORDS

from circuits.errors import CircuitsError, ModelInvalid, ModelUnavailable
from circuits.models.shape import ModelShape
from circuits.models.source import resolve

cache = tiny_models.cache
user_cache = tiny_models.user_cache
made = tiny_models.made
broken = tiny_models.broken


def ids_for(model: Any) -> Any:
    import torch

    return torch.tensor([[model.tokenizer.bos_id, *model.tokenizer.encode("Adam is 1 . Bob is 2 .")[0]]])


@pytest.mark.parametrize(("name", "shape"), [("gpt2", ModelShape(2, 2, None, 32)), ("llama", ModelShape(2, 4, 2, 64))])
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
def test_a_wrong_config_is_refused_in_one_line(changes: dict[str, Any], text: str, broken: Callable[..., Path]) -> None:
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
