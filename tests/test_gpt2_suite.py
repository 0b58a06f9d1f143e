"""The GPT-2 suite runs end to end on a random GPT-2 of the real head shape, and finds nothing there."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from circuits.evaluate import Evaluator, Options, items_of, knowledge, load

SUITE = Path(__file__).resolve().parent.parent / "hypotheses" / "gpt2" / "early_heads.yaml"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a GPT-2 of 12 layers of 12 heads, narrow and random, and a tokenizer of whole words."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    from circuits.models.reference import vocabulary

    place = tmp_path_factory.mktemp("gpt2")
    words = ["<|endoftext|>", *(word for word in vocabulary() if not word.startswith("<bos"))]
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    kind: Any = PreTrainedTokenizerFast
    ends = {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<unk>"}
    kind(tokenizer_object=inner, **ends).save_pretrained(str(place))
    config = GPT2Config(n_layer=12, n_head=12, n_embd=48, vocab_size=len(words), n_positions=256)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        GPT2LMHeadModel(config).save_pretrained(str(place))
    return place


def test_no_claim_of_the_notes_holds_on_random_weights(folder: Path, tmp_path: Path) -> None:
    """Every claim is measured; none is supported; those with an ablation are unmeasurable or refuted."""
    models = {"gpt2": str(folder)}
    suite = load(SUITE, knowledge(models), "hypotheses/gpt2/early_heads.yaml")
    evaluator = Evaluator(Options(models=models, n=32), tmp_path)
    items = items_of(suite, SUITE.parent)
    evaluator.plan(items)
    verdicts: Counter[str] = Counter()
    for item in items:
        entry = evaluator.evaluate(item).entry
        assert entry["status"] == "measured", (entry["id"], entry["reason"], entry["faults"])
        assert entry["verdict"] != "supported", entry["id"]
        verdicts[entry["verdict"]] += 1
        for row in entry["checks"]:
            if row["kind"] == "ablate" and not row["observe"]:
                assert row["verdict"] == "unmeasurable"
                assert "does not do this task" in row["reason"]
    assert verdicts["refuted"] > 0
    assert verdicts["unmeasurable"] >= 2
    assert evaluator.models["gpt2"]["verified"] is False
