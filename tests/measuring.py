"""What tests/test_measure_*.py share: tiny random models in folders, prompts written out by hand, and a runner."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from oracle import Plain, Shown

from circuits import evaluate
from circuits.evaluate import Evaluator, Options

WORDS = ["<bos>", "<unk>", "Adam", "Bob", "Carl", "Big", "is", ".", *map(str, range(52))]  # 60 tokens
LAYERS, HEADS = 4, 4
ROLES = {"name": r"(Big )?(Adam|Bob|Carl)", "member": r"\d+", "is": r"\bis\b", "period": r"\."}


@dataclass(frozen=True)
class Literal:
    """One prompt of a ``texts`` set, and what the model sees of it."""

    text: str
    corrupted: str
    shown: Shown
    answers: tuple[str, ...]
    foils: tuple[str, ...]

    def ids(self, bos: bool = True) -> list[int]:
        return [WORDS.index(word) for word in (self.shown.words if bos else self.shown.words[1:])]

    def partner(self, bos: bool = True) -> list[int]:
        words = self.corrupted.replace(".", " .").split()
        return [WORDS.index(word) for word in (["<bos>", *words] if bos else words)]


def _shown(words: str, item: str, **roles: list[list[int]]) -> Shown:
    return Shown(words.split(), roles, [-1 if mark == "-" else int(mark) for mark in item])


# Texts of three token lengths; a name of two tokens; a member that comes twice.
LITERALS = (
    Literal(
        "Adam is 1. Bob is 2. Adam is",
        "Adam is 7. Bob is 4. Adam is",
        _shown(
            "<bos> Adam is 1 . Bob is 2 . Adam is",
            "-0000111122",
            name=[[1], [5], [9]],
            member=[[3], [7]],
            **{"is": [[2], [6], [10]]},
            period=[[4], [8]],
        ),
        ("3",),
        ("2",),
    ),
    Literal(
        "Big Adam is 5. Bob is 5. Big Adam is",
        "Big Adam is 8. Bob is 3. Big Carl is",
        _shown(
            "<bos> Big Adam is 5 . Bob is 5 . Big Adam is",
            "-000001111222",
            name=[[1, 2], [6], [10, 11]],
            member=[[4], [8]],
            **{"is": [[3], [7], [12]]},
            period=[[5], [9]],
        ),
        ("6", "7"),
        ("5", "4", "9"),
    ),
    Literal(
        "Bob is 9. Big Bob is",
        "Carl is 4. Big Adam is",
        _shown(
            "<bos> Bob is 9 . Big Bob is",
            "-0000111",
            name=[[1], [5, 6]],
            member=[[3]],
            **{"is": [[2], [7]]},
            period=[[4]],
        ),
        ("10",),
        ("9",),
    ),
    Literal(
        "Carl is 3. Adam is 4. Carl is",
        "Carl is 6. Adam is 2. Bob is",
        _shown(
            "<bos> Carl is 3 . Adam is 4 . Carl is",
            "-0000111122",
            name=[[1], [5], [9]],
            member=[[3], [7]],
            **{"is": [[2], [6], [10]]},
            period=[[4], [8]],
        ),
        ("5",),
        ("4",),
    ),
)


def without_bos(shown: Shown) -> Shown:
    """The same prompt without BOS: every position one less."""
    roles = {role: [[place - 1 for place in span] for span in spans] for role, spans in shown.roles.items()}
    return Shown(shown.words[1:], roles, shown.item[1:], bos=False)


def texts_of(literals: Sequence[Literal]) -> list[dict[str, Any]]:
    """The ``texts:`` of a suite. One answer or foil is written as text, more as a list."""
    entries = []
    for one in literals:
        answer, foil = ([" " + word for word in words] for words in (one.answers, one.foils))
        plain = {"answer": answer if len(answer) > 1 else answer[0], "foil": foil if len(foil) > 1 else foil[0]}
        entries.append({"text": one.text, **plain, "corrupted": one.corrupted})
    return entries


def _save(folder: Path, model: Any, words: Sequence[str] = WORDS) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    model.save_pretrained(str(folder))
    core = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    kind: Any = PreTrainedTokenizerFast
    kind(tokenizer_object=core, bos_token="<bos>", eos_token="<bos>", unk_token="<unk>").save_pretrained(str(folder))


def save_llama(folder: Path) -> None:
    """Four layers of four heads that share two keys and values; attention far from uniform."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=2,
        hidden_size=32,
        intermediate_size=48,
        vocab_size=len(WORDS),
        max_position_embeddings=64,
        bos_token_id=0,
        eos_token_id=0,
    )
    _save(folder, _random(LlamaForCausalLM, config, 1))


def save_gpt2(folder: Path, seed: int = 2, positions: int = 64, words: Sequence[str] = WORDS) -> None:
    """Four layers of four heads, with biases and learned positions."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(n_layer=LAYERS, n_head=HEADS, n_embd=32, vocab_size=len(words), n_positions=positions)
    _save(folder, _random(GPT2LMHeadModel, config, seed), words)


def _random(kind: Any, config: Any, seed: int) -> Any:
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = kind(config)
        for parameter in model.parameters():
            parameter.data.normal_(0, 0.35)
    return model


def plain_model(folder: Path) -> Plain:
    """A fresh eager model from the folder, untouched by any bridge."""
    from transformers import AutoModelForCausalLM

    loader: Any = AutoModelForCausalLM
    return Plain(loader.from_pretrained(str(folder), attn_implementation="eager"))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of the tiny models by name."""
    root = tmp_path_factory.mktemp("tiny")
    save_llama(root / "llama")
    save_gpt2(root / "gpt2")
    return {name: root / name for name in ("llama", "gpt2")}


def suite(model: Any, prompts: Mapping[str, Any], claims: Mapping[str, Any], **more: Any) -> str:
    """A suite as text (JSON is YAML)."""
    return json.dumps({"suite": "t", "model": model, "prompts": prompts, "claims": claims, **more})


def answer(
    path: Path,
    text: str,
    cache: Path | None = None,
    *,
    only: Iterable[str] = (),
    plan: bool = True,
    draw: Any = None,
    **options: Any,
) -> tuple[dict[str, Any], Evaluator]:
    """The entries of a suite by claim id (and variant), measured through the whole pipeline."""
    path.write_text(text, encoding="utf-8")
    loaded = evaluate.load(path, evaluate.knowledge(), path.name)
    assert not loaded.faults, "\n".join(fault.render() for fault in loaded.faults)
    for claim in loaded.claims:
        assert not claim.faults, "\n".join(fault.render() for fault in claim.faults)
    evaluator = Evaluator(Options(**options), cache, draw)
    items = evaluate.items_of(loaded, path.parent)
    wanted = list(only)
    if wanted:
        items = [next(item for item in items if item.claim.id == name) for name in wanted]
    if plan:
        evaluator.plan(items)
    found = {}
    for item in items:
        outcome = evaluator.evaluate(item)
        found[item.claim.id + (f"[{item.label}]" if item.label else "")] = outcome.entry
    return found, evaluator


def rows(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of an entry that was measured."""
    assert entry["status"] in ("measured", "cached"), entry["reason"]
    return list(entry["checks"])


def same(found: float | None, expected: float, tolerance: float = 1e-5) -> float:
    """Assert that two numbers agree (NaN is None); returns how far they are apart."""
    if expected != expected:
        assert found is None
        return 0.0
    assert found is not None
    assert abs(found - expected) <= tolerance * max(1.0, abs(expected)), (found, expected)
    return abs(found - expected)
