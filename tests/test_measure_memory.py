"""When memory runs out, batches are halved and the run goes on; nothing but their size changes."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from circuits.evaluate import Evaluator, Options, items_of, knowledge, load
from circuits.measure.memory import LEAST_BATCH, out_of_memory

SUITE = """\
suite: Memory
model: reference
sampling: {min: 32, max: 64}
prompts:
  numerals: {family: named_sequence, members: numerals}
claims:
  attends: {claim: a, head: "0.0", prompts: numerals, attends: any -> n-1, at_least: 0.6}
  mean: {claim: b, prompts: numerals, ablate: ["1.2", "2.1"], drop_in: logit_diff, at_least: 50%}
  zero: {claim: c, prompts: numerals, ablate: ["2.1"], method: zero, drop_in: logit_diff, at_most: 1000%}
  path: {claim: d, prompts: numerals, path: 1.2 -> 2.1.q, change_in: logit_diff, between: [-100, 100]}
"""


def run(tmp_path: Path, **options: Any) -> tuple[dict[str, Any], list[str]]:
    path = tmp_path / "memory.yaml"
    path.write_text(SUITE)
    notices: list[str] = []
    evaluator = Evaluator(Options(permuted=1, **options), None, notice=notices.append)
    items = items_of(load(path, knowledge(), "memory.yaml"), tmp_path)
    assert all(not item.claim.faults for item in items), items[-1].claim.faults
    evaluator.plan(items)
    return {item.claim.id: evaluator.evaluate(item).entry for item in items}, notices


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Passes of more than 300 tokens fail as they do on a full GPU; the sizes of those that ran."""
    from transformer_lens.model_bridge import TransformerBridge

    whole, ran = TransformerBridge.run_with_hooks, list[int]()

    def limited(self: Any, tokens: Any, *args: Any, **kwargs: Any) -> Any:
        size = tokens.shape[0] * tokens.shape[1]
        if size > 300:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        ran.append(size)
        return whole(self, tokens, *args, **kwargs)

    monkeypatch.setattr(TransformerBridge, "run_with_hooks", limited)
    return ran


def test_batches_are_halved_until_they_fit(
    tmp_path: Path, small_memory: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every claim is measured, with the same numbers as where there is room; what was halved is said."""
    found, notices = run(tmp_path)
    assert small_memory
    assert max(small_memory) <= 300
    assert notices[-1] == "out of memory: batches of at most 256 tokens from now on"
    assert sum(text.startswith("out of memory") for text in notices) == 3  # 2048, 1024, 512
    monkeypatch.undo()
    roomy, notices = run(tmp_path)
    assert not any("memory" in text for text in notices)
    for name, entry in roomy.items():
        row, other = entry["checks"][0], found[name]["checks"][0]
        assert other["verdict"] == row["verdict"] != "unmeasurable", name
        assert other["n"] == row["n"]
        assert other["estimate"] == pytest.approx(row["estimate"], abs=1e-5)


def test_what_no_batch_cures_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass that never fits ends the halving, and other errors are not taken for it."""
    from transformer_lens.model_bridge import TransformerBridge

    def full(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes")

    monkeypatch.setattr(TransformerBridge, "run_with_hooks", full)
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        run(tmp_path, batch_tokens=4 * LEAST_BATCH)
    assert out_of_memory(MemoryError())
    assert not out_of_memory(RuntimeError("shape mismatch"))
    assert not out_of_memory(ValueError("out of memory"))


def test_clean_runs_keep_within_their_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for one block the earlier ones are forgotten and run again, with the same numbers."""
    roomy, _ = run(tmp_path, n=64)
    import circuits.measure.room as module
    from circuits.measure.group import Group

    kept: list[int] = []

    def watched(self: module.Room, block: Group) -> None:
        whole(self, block)
        kept.append(sum(each.nbytes > 0 for each in self.blocks))

    whole = module.Room.use
    monkeypatch.setattr(module, "CLEAN_BYTES", 1)
    monkeypatch.setattr(module.Room, "use", watched)
    tight, _ = run(tmp_path, n=64)
    assert kept
    assert max(kept) == 1
    for name, entry in roomy.items():
        assert tight[name]["checks"][0]["estimate"] == entry["checks"][0]["estimate"], name


def test_going_back_to_a_prompt_set_runs_nothing_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Claims that take turns between two prompt sets: each block's clean run is made once."""
    import circuits.measure.group as module

    made: list[tuple[str, int]] = []
    whole = module.clean_run

    def counted(model: Any, prompts: Any, *args: Any, **kwargs: Any) -> Any:
        made.append((prompts[0].text, len(prompts)))
        return whole(model, prompts, *args, **kwargs)

    monkeypatch.setattr(module, "clean_run", counted)
    suite = tmp_path / "turns.yaml"
    suite.write_text("""\
suite: Turns
model: reference
sampling: {min: 64, max: 64}
prompts:
  one: {family: named_sequence, members: numerals}
  other: {family: named_sequence, members: numerals, order: random}
claims:
  a: {claim: a, prompts: one, ablate: ["1.2"], drop_in: logit_diff, at_most: 1000%}
  b: {claim: b, prompts: other, ablate: ["1.2"], drop_in: answer_prob, at_most: 99%}
  c: {claim: c, prompts: one, ablate: ["2.1"], drop_in: logit_diff, at_most: 1000%}
  d: {claim: d, prompts: other, ablate: ["2.1"], drop_in: answer_prob, at_most: 99%}
""")
    evaluator = Evaluator(Options(), None)
    evaluator.with_controls = False
    items = items_of(load(suite, knowledge(), suite.name), tmp_path)
    evaluator.plan(items)
    for item in items:
        entry = evaluator.evaluate(item).entry
        assert entry["checks"][0]["n"] == 64, entry
    assert [n for _, n in made] == [32] * 4
    assert len({text for text, _ in made}) == 4


PAGES = """\
import resource, sys
from circuits.measure.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        pieces = [bytearray(2**23) for _ in range(8)]
        del pieces
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

kept = keep_freed_memory() if sys.argv[1] == "keep" else None
faults()
print(kept, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library decides for itself")
def test_freed_memory_is_kept_for_what_comes_next() -> None:
    """Pieces of 8 MB one after another: their pages come from the system once, not each time; a user's own choice stands."""

    def run_in(mode: str, **more: str) -> list[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
        command = [sys.executable, "-c", PAGES, mode]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env={**environment, **more})
        return done.stdout.split()

    kept, faults = run_in("keep")
    assert kept == "True"
    assert int(faults) < 2048  # one piece has 2,048 pages
    assert int(run_in("as it is")[1]) > 50 * 2048
    assert run_in("keep", MALLOC_ARENA_MAX="2")[0] == "False"
