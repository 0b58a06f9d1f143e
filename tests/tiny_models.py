"""Tiny random models in folders and a GGUF file, and caches of a test's own: fixtures of tests/test_models*.py."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from circuits.models import cachefolder, hub

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
