"""Time the measuring stage beside plain TransformerLens, in one run, and check that the numbers agree.

    python benchmarks/measuring.py [--model smollm2-135m] [--prompts 16] [--repeats 3]

Prints seconds (the minimum over the repeats) and ratios; exits 1 when a compared number differs by
more than 1e-4. Timings are for comparison within one run, not across machines.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from circuits.claims.heads import Component
from circuits.claims.selector import parse
from circuits.measure.ablation import Ablation, clean_run
from circuits.measure.attention import measure_attention
from circuits.measure.cells import Question
from circuits.measure.variants import measure_ablation
from circuits.models.load import load
from circuits.models.source import resolve
from circuits.prompts.registry import families
from circuits.prompts.tokens import build


def best(repeats: int, work: Callable[[], Any]) -> tuple[float, Any]:
    """The fewest seconds that ``work`` took, and its last result."""
    fewest, found = float("inf"), None
    for _ in range(repeats):
        start = time.perf_counter()
        found = work()
        fewest = min(fewest, time.perf_counter() - start)
    return fewest, found


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--model", default="smollm2-135m")
    arguments.add_argument("--prompts", type=int, default=16)
    arguments.add_argument("--repeats", type=int, default=3)
    given = arguments.parse_args()
    model = load(resolve(given.model))
    bridge, layers = model.bridge, model.shape.layers
    prompts = build(families()["named_sequence"], {"members": "numerals"}, model.tokenizer, 0, "prompts", given.prompts)
    tokens = torch.tensor([prompt.ids for prompt in prompts])
    worst = 0.0
    print(f"{model.name}: {len(prompts)} prompts of {tokens.shape[1]} tokens, {torch.get_num_threads()} threads")
    print(f"{'':<34}{'here':>9}{'plain':>9}{'ratio':>8}  largest difference")

    def row(name: str, here: tuple[float, Any], plain: tuple[float, Any]) -> None:
        nonlocal worst
        difference = float(np.abs(np.asarray(here[1]) - np.asarray(plain[1])).max())
        worst = max(worst, difference)
        print(f"{name:<34}{here[0]:>8.3f}s{plain[0]:>8.3f}s{plain[0] / here[0]:>7.1f}x  {difference:.1e}")

    asked = Question(parse("any -> n-1"), None, "mass", ())

    def attention_here() -> Any:
        return measure_attention(model, prompts, [asked], {})[0][asked].left

    def attention_plain() -> Any:
        with torch.no_grad():
            _, cache = bridge.run_with_cache(tokens)
        return np.stack(
            [
                cache[f"blocks.{layer}.attn.hook_pattern"].diagonal(-1, 2, 3)[..., 1:].mean(-1).T.numpy()
                for layer in range(layers)
            ]
        )

    row("attention of every head", best(given.repeats, attention_here), best(given.repeats, attention_plain))
    for layer in sorted({0, layers // 2, layers - 1}):
        ablation = Ablation((Component(layer, 0),), "zero")
        run = clean_run(model, prompts, [layer], loss=False, batch_tokens=4096)

        def here(run: Any = run, ablation: Ablation = ablation) -> Any:
            return measure_ablation(model, run, ablation, None)["logit_diff"]

        def plain(layer: int = layer) -> Any:
            def zero(z: torch.Tensor, hook: Any) -> torch.Tensor:
                z = z.clone()
                z[:, :, 0] = 0.0
                return z

            with torch.no_grad():
                logits = bridge.run_with_hooks(tokens, fwd_hooks=[(f"blocks.{layer}.attn.hook_z", zero)])[:, -1]
            return [float(logits[i, p.answers[0]] - logits[i, p.foils[0]]) for i, p in enumerate(prompts)]

        row(f"zero ablation of {layer}.0", best(given.repeats, here), best(given.repeats, plain))
    print(f"largest difference {worst:.1e}: {'agrees' if worst <= 1e-4 else 'DOES NOT AGREE'} to 1e-4")
    return 0 if worst <= 1e-4 else 1


if __name__ == "__main__":
    sys.exit(main())
