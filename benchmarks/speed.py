"""A suite as people measure it today beside this engine: seconds, ratios, and that the estimates agree.

In one process, on the same prompts, in float32:

  (a) plain    each check by itself with plain TransformerLens: run_with_cache for attention, run_with_hooks for ablations
  (b) engine   this engine on as many prompts, without early stopping
  (c) early    this engine, stopping as soon as each check is decided
  (d) warm     the same suite again, unchanged, by `pytest`      } beside a bare `pytest` on an empty folder,
  (e) edited   the same suite with one other bound, by `pytest`  } each in a process of its own

(b) and (c) are run before (a) and after it, so that a machine which others use too is as fast for one as for the other; their
seconds are the mean of both. Besides: the rate of the passes that run, set against that of 2048 x 2048 x 2048 matrix products
which take turns with them (`utilisation_of_best`: against the fastest single one of these); the cost of one more attention
claim on measured prompts; the peak memory of the engine over the model's own, for few prompts and for many; and how the cost
grows with claims, heads, prompts and layers.

    python benchmarks/speed.py [--json] [--most 128] [--suites number_sequences,other_sequences] [--skip plain,pytest,memory,growth]

Only checks that (a) can express take part: masses of attention, and drop_in, change_in and after of joint ablations.
Exits 1 when an estimate of (a) and (b) differs by more than 1e-4.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from circuits.claims.claim import Ablate, Attends, Check, PromptSet
from circuits.claims.positions import effective
from circuits.evaluate import Evaluator, Item, Options, items_of, knowledge, load
from circuits.models.load import LoadedModel
from circuits.prompts.prompt import TokenPrompt
from circuits.prompts.registry import families
from circuits.prompts.tokens import build, reference_prompts

SUITES = Path(__file__).resolve().parent.parent / "hypotheses" / "smollm2"
TOLERANCE = 1e-4
PLAIN_BATCH = 32
METRICS = ("logit_diff", "answer_prob")


def expressible(check: Check) -> bool:
    """Whether (a) can express a check."""
    what = check.what
    if isinstance(what, Attends):
        plain = what.statistic == "mass" and what.more_than is None and not what.excluding
        return plain and check.bound.kind in ("at_least", "at_most", "between") and not check.any
    if isinstance(what, Ablate):
        plain = what.effect in ("drop_in", "change_in", "after") and what.at is None and what.within is None
        return plain and not what.given and what.metric in METRICS
    return False


def chosen(names: Sequence[str], least: int, most: int) -> list[Item]:
    """The items of suites all of whose checks (a) can express, with ``least`` to ``most`` prompts."""
    found = []
    for name in names:
        path = SUITES / f"{name}.yaml"
        suite = load(path, knowledge(), path.name)
        suite = replace(suite, sampling=replace(suite.sampling, min=least, max=most))
        found += [item for item in items_of(suite, path.parent) if all(map(expressible, item.claim.checks))]
    return found


# -- (a) as it is done today -------------------------------------------------------------------------


def batched(prompts: Sequence[TokenPrompt]) -> Iterator[list[TokenPrompt]]:
    """Batches of prompts of one length, at most PLAIN_BATCH."""
    by_length: dict[int, list[TokenPrompt]] = {}
    for prompt in prompts:
        by_length.setdefault(len(prompt.ids), []).append(prompt)
    for alike in by_length.values():
        for start in range(0, len(alike), PLAIN_BATCH):
            yield alike[start : start + PLAIN_BATCH]


def plain_attention(
    model: LoadedModel, prompts: Sequence[TokenPrompt], check: Check, prompt_set: PromptSet
) -> list[float]:
    """The mean over prompts of each head's mean mass on its keys, from cached patterns."""
    assert isinstance(check.what, Attends)
    sums = dict.fromkeys(check.heads, 0.0)
    count = 0
    for batch in batched(prompts):
        with torch.no_grad():
            _, cache = model.bridge.run_with_cache(torch.tensor([prompt.ids for prompt in batch]))
        for number, prompt in enumerate(batch):
            found = dict(effective(check.what.selector, prompt, prompt_set.variables, ()))
            rows = {query: keys for query, keys in found.items() if keys}
            if not rows:
                continue
            count += 1
            for head in check.heads:
                pattern = cache[f"blocks.{head.layer}.attn.hook_pattern"][number, head.head]
                sums[head] += float(np.mean([float(pattern[query, list(keys)].sum()) for query, keys in rows.items()]))
    return [sums[head] / count for head in check.heads]


def metric(name: str, logits: torch.Tensor, batch: Sequence[TokenPrompt]) -> list[float]:
    """logit_diff or answer_prob at the end of each prompt."""
    last = logits[:, -1]
    if name == "logit_diff":
        return [float(row[prompt.answers[0]] - row[prompt.foils[0]]) for row, prompt in zip(last, batch, strict=True)]
    return [float(row.softmax(-1)[prompt.answers[0]]) for row, prompt in zip(last, batch, strict=True)]


def plain_ablation(
    model: LoadedModel, prompts: Sequence[TokenPrompt], check: Check, reference: Callable[..., Any]
) -> list[float]:
    """The effect of one joint ablation: a clean run and a run with hooks, each through the whole model."""
    what = check.what
    assert isinstance(what, Ablate)
    sites: dict[str, list[int]] = {}
    for part in what.components:
        sites.setdefault(f"blocks.{part.layer}.{'hook_mlp_out' if part.head is None else 'attn.hook_z'}", [])
        if part.head is not None:
            sites[f"blocks.{part.layer}.attn.hook_z"].append(part.head)
    before: list[float] = []
    after: list[float] = []
    means: dict[tuple[str, int], dict[str, torch.Tensor]] = {}
    for batch in batched(prompts):
        tokens = torch.tensor([prompt.ids for prompt in batch])
        put: dict[str, torch.Tensor] = {}
        with torch.no_grad():
            if what.method == "resample":
                _, cache = model.bridge.run_with_cache(torch.tensor([prompt.corrupted for prompt in batch]))
                put = {name: cache[name] for name in sites}
            elif what.method == "mean":
                for prompt in batch:
                    stratum = (prompt.template, len(prompt.ids))
                    if stratum not in means:
                        _, cache = model.bridge.run_with_cache(torch.tensor(reference(*stratum)))
                        means[stratum] = {name: cache[name].mean(0) for name in sites}
                put = {name: torch.stack([means[p.template, len(p.ids)][name] for p in batch]) for name in sites}
            clean = model.bridge(tokens)
            hooks = [(name, replacing(heads, put.get(name))) for name, heads in sites.items()]
            ablated = model.bridge.run_with_hooks(tokens, fwd_hooks=hooks)
        before += metric(what.metric, clean, batch)
        after += metric(what.metric, ablated, batch)
    base, now = float(np.mean(before)), float(np.mean(after))
    return [{"drop_in": (base - now) / base, "change_in": now - base, "after": now}[what.effect]]


def replacing(heads: list[int], value: torch.Tensor | None) -> Callable[..., torch.Tensor]:
    """A hook that puts a value (None: zeros) at some heads, or at the whole output of an MLP."""

    def hook(activation: torch.Tensor, hook: Any) -> torch.Tensor:
        activation = activation.clone()
        part: Any = (slice(None), slice(None), heads) if heads else slice(None)
        activation[part] = 0.0 if value is None else value[part]
        return activation

    return hook


def plain(model: LoadedModel, items: Sequence[Item], used: Sequence[int]) -> list[float]:
    """(a): every check by itself, on the prompts that the engine saw. The estimates in the order of the rows.

    ``used``: how many prompts each row of the engine used (whole cycles of templates, so not always the most that there may be).
    """
    known = families()
    estimates: list[float] = []
    for item in items:
        for check in item.claim.checks:
            for prompt_set in check.prompts or ((item.variant,) if item.variant else ()):
                family, tokenizer, seed = known[prompt_set.family], model.tokenizer, item.suite.sampling.seed
                about = (family, prompt_set.parameters, tokenizer, seed)
                prompts = build(*about, "prompts", used[len(estimates)], prompt_set.bos, prompt_set.roles)
                if isinstance(check.what, Attends):
                    estimates += plain_attention(model, prompts, check, prompt_set)
                else:

                    def reference(template: str, length: int, about: Any = about, of: PromptSet = prompt_set) -> Any:
                        return reference_prompts(*about, template, length, of.bos, of.roles)

                    estimates += plain_ablation(model, prompts, check, reference)
    return estimates


# -- this engine -------------------------------------------------------------------------------------


SIDE = 2048
"""The side of the square matrices whose product the passes are set against."""


@dataclass
class Passes:
    """Seconds inside the model's forward passes, and of the matrix products between them."""

    seconds: float = 0.0
    calls: int = 0
    products: list[float] = field(default_factory=list)

    @property
    def product_rate(self) -> float:
        """Floating point operations a second of all products together."""
        return 2.0 * SIDE**3 * len(self.products) / sum(self.products)

    @property
    def best_product_rate(self) -> float:
        """That of the fastest one."""
        return 2.0 * SIDE**3 / min(self.products)


@contextmanager
def timed_passes(model: LoadedModel) -> Iterator[Passes]:
    """Measures the time inside the model's forward passes, each followed by one matrix product."""
    told, run = Passes(), model.bridge.run_with_hooks
    one, other = torch.randn(SIDE, SIDE), torch.randn(SIDE, SIDE)
    one @ other  # the first one of a process is slower

    def timed(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        found = run(*args, **kwargs)
        told.seconds += time.perf_counter() - start
        told.calls += 1
        told.products.append(seconds_of(lambda: one @ other)[0])
        return found

    model.bridge.run_with_hooks = timed
    try:
        yield told
    finally:
        del model.bridge.run_with_hooks


class Engine:
    """Evaluators that share one loaded model."""

    def __init__(self) -> None:
        self.first = Evaluator(Options())
        self.model: LoadedModel | None = None

    def load(self, item: Item) -> LoadedModel:
        """The model of an item, loaded once."""
        self.model = self.first._model(self.first._source(item))
        return self.model

    def run(self, items: Sequence[Item], n: int | None = None, cache: Path | None = None) -> list[dict[str, Any]]:
        """Every item's entry. Without the controls, which (a) does not have either."""
        evaluator = Evaluator(Options(n=n), cache)
        evaluator._stores, evaluator.with_controls = self.first._stores, False
        evaluator.plan(items)
        return [evaluator.evaluate(item).entry for item in items]


def seconds_of(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    found = work()
    return time.perf_counter() - start, found


# -- pytest as a whole -------------------------------------------------------------------------------


def many_claims(count: int, bound: float = 0.1) -> str:
    """A suite of claims on the reference model, which differ in their bounds."""
    head = "suite: Many\nmodel: reference\nsampling: {min: 32, max: 64}\nprompts:\n"
    head += "  numerals: {family: named_sequence, members: numerals}\nclaims:\n"
    lines = (
        f"  claim-{i}: {{claim: Head 0.0 looks back one ({i})., head: '0.0', prompts: numerals, attends: any -> n-1, "
        f"at_least: {bound + i * 1e-5:.5f}}}\n"
        for i in range(count)
    )
    return head + "".join(lines)


def run_pytest(folder: Path) -> float:
    """The seconds that pytest took in a folder. Raises where it failed."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--circuit-permuted", "0"], cwd=folder, capture_output=True, text=True,
        env={**os.environ, "CIRCUITS_VALUES": str(folder.parent / "kept")}, check=False,
    )  # fmt: skip
    took = time.perf_counter() - start
    if done.returncode not in (0, 5):
        raise SystemExit(done.stdout[-2000:])
    return took


def whole_commands() -> dict[str, float]:
    """Seconds of bare pytest, of unchanged suites of 100 and 2,000 claims, and of one edited bound among 100."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for folder, count in (("bare", 0), ("hundred", 100), ("thousands", 2000)):
            (root / folder / "hypotheses").mkdir(parents=True)
            if count:
                (root / folder / "hypotheses" / "many.yaml").write_text(many_claims(count))
                run_pytest(root / folder)
        folders = {"bare_pytest": root / "bare", "warm_100": root / "hundred", "warm_2000": root / "thousands"}
        rounds = [{part: run_pytest(folder) for part, folder in folders.items()} for _ in range(3)]  # taking turns
        found = {part: min(each[part] for each in rounds) for part in folders}
        suite = root / "hundred" / "hypotheses" / "many.yaml"
        suite.write_text(suite.read_text().replace("at_least: 0.10050", "at_least: 0.20050"))
        found["edited_bound_of_100"] = run_pytest(root / "hundred")
        return found


# -- memory ------------------------------------------------------------------------------------------


def rss_mb() -> float:
    """The peak resident memory of this process in MB.

    Linux counts the parent's peak in a child's ru_maxrss, so there it is read from the process's own memory.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        return next(float(line.split()[1]) / 1024 for line in status.read_text().splitlines() if "VmHWM" in line)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)


def memory_part(names: Sequence[str], most: int) -> None:
    """In a process of its own: the peak with the model loaded and run once, and after the engine's run."""
    items = chosen(names, most, most)
    engine = Engine()
    model = engine.load(items[0])
    with torch.no_grad():
        model.bridge(torch.tensor([[1, 2, 3]]))
    own = rss_mb()
    engine.run(items, n=most)
    sys.stdout.write(json.dumps({"model": own, "engine": rss_mb()}))


def peak_memory(names: Sequence[str], most: int) -> dict[str, float]:
    """The peaks of ``memory_part`` in MB."""
    done = subprocess.run(
        [sys.executable, __file__, "--memory-part", "--most", str(most), "--suites", ",".join(names)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


# -- growth ------------------------------------------------------------------------------------------


def attention_suite(model: LoadedModel, claims: int, heads: int, layer: int, same: bool) -> list[Item]:
    """Attention claims on one prompt set; ``same``: all of one selector, else of as many selectors as claims."""
    text = f"suite: Growth\nmodel: {model.name}\nprompts:\n  numerals: {{family: named_sequence, members: numerals}}\nclaims:\n"
    for number in range(claims):
        listed = ", ".join(f'"{layer}.{head}"' for head in range(heads))
        offset = 1 if same else 1 + number
        text += f"  c{number}: {{claim: A., heads: [{listed}], prompts: numerals, attends: any -> n-{offset}, at_least: {0.001 + number * 1e-4:.4f}}}\n"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "growth.yaml"
        path.write_text(text)
        suite = load(path, knowledge(), "growth.yaml")
        assert not suite.all_faults, suite.all_faults[0].render()
        return items_of(suite, path.parent)


def growth(engine: Engine) -> dict[str, dict[str, float]]:
    """Seconds as claims, heads, prompts and layers grow, one of them at a time."""
    model = engine.model
    assert model is not None
    last, heads = model.shape.layers - 1, model.shape.heads
    cases: dict[str, dict[int, tuple[int, int, int, int, bool]]] = {
        "claims of one selector": {k: (k, 1, last, 32, True) for k in (1, 10, 100)},
        "claims of as many selectors": {k: (k, 1, last, 32, False) for k in (1, 4, 16)},
        "heads": {k: (1, k, last, 32, True) for k in sorted({1, (heads + 1) // 2, heads})},
        "prompts": {k: (1, 1, last, k, True) for k in (32, 64, 128)},
        "layer": {k: (1, 1, k, 32, True) for k in sorted({0, last // 2, last})},
    }
    found: dict[str, dict[str, float]] = {}
    for name, sizes in cases.items():
        found[name] = {}
        for size, (claims, many, layer, n, same) in sizes.items():
            items = attention_suite(model, claims, many, layer, same)
            found[name][str(size)] = seconds_of(partial(engine.run, items, n=n))[0]
    return found


def marginal_ms(engine: Engine, repeats: int = 3) -> dict[str, float]:
    """Milliseconds of one more attention claim on measured prompts: of a known selector, and of a new one (all in one pass)."""
    model = engine.model
    assert model is not None
    suite = partial(attention_suite, model, heads=1, layer=model.shape.layers - 1)

    def least(items: list[Item], cache: Path | None) -> float:
        return min(seconds_of(partial(engine.run, items, n=32, cache=cache))[0] for _ in range(repeats))

    with tempfile.TemporaryDirectory() as name:
        few, more = suite(10, same=True), suite(60, same=True)
        engine.run(few, n=32, cache=Path(name))  # the prompts are measured
        known = (least(more, Path(name)) - least(few, Path(name))) / 50
    new = (least(suite(16, same=False), None) - least(suite(1, same=False), None)) / 15
    return {"known_selector": 1000 * known, "new_selector": 1000 * new}


# -- all of it ---------------------------------------------------------------------------------------


def measure(names: Sequence[str], most: int, skip: Sequence[str], say: Callable[[str], None]) -> dict[str, Any]:
    """Everything, as the JSON that is printed."""
    items = chosen(names, 32, most)
    rows = sum(len(check.heads) or 1 for item in items for check in item.claim.checks for _ in check.prompts or (0,))
    engine = Engine()
    model = engine.load(items[0])
    say(f"{model.name}: {len(items)} claims, {rows} rows, up to {most} prompts, {torch.get_num_threads()} threads")
    with torch.no_grad():
        model.bridge(torch.tensor([[1, 2, 3]]))
    found: dict[str, Any] = {
        "model": model.name,
        "claims": len(items),
        "rows": rows,
        "most": most,
        "threads": torch.get_num_threads(),
    }
    engines: list[float] = []
    early: list[float] = []

    def run_engine() -> tuple[list[dict[str, Any]], list[dict[str, Any]], Passes]:
        with tempfile.TemporaryDirectory() as name, timed_passes(model) as passes:
            took, entries = seconds_of(lambda: engine.run(items, n=most, cache=Path(name)))
        engines.append(took - sum(passes.products))
        say(f"(b) engine: {engines[-1]:.1f} s, of them {passes.seconds:.1f} s in {passes.calls} passes")
        took, stopped = seconds_of(lambda: engine.run(items))
        early.append(took)
        used = [row["n"] for entry in stopped for row in entry["checks"]]
        say(f"(c) early: {took:.1f} s, mean n {np.mean(used):.1f} of {most}")
        return entries, stopped, passes

    entries, stopped, passes = run_engine()
    here = [row["estimate"] for entry in entries for row in entry["checks"]]
    seen = [row["n"] for entry in entries for row in entry["checks"]]
    used = [row["n"] for entry in stopped for row in entry["checks"]]
    same = [one["verdict"] == other["verdict"] for one, other in zip(entries, stopped, strict=True)]
    counter = FlopCounterMode(display=False)
    with counter:
        engine.run(items, n=most)
    rate, peak, best = counter.get_total_flops() / passes.seconds, passes.product_rate, passes.best_product_rate
    say(
        f"passes run at {rate / 1e9:.0f} GFLOP/s, 2048-cube products between them at {peak / 1e9:.0f}: {rate / peak:.0%} "
        f"(the fastest at {best / 1e9:.0f}: {rate / best:.0%})"
    )
    seconds: dict[str, float] = {"engine_passes": passes.seconds}
    found |= {
        "seconds": seconds,
        "mean_n": float(np.mean(used)),
        "passes": passes.calls,
        "same_verdicts": sum(same) / len(same),
    }
    found |= {
        "flops": counter.get_total_flops(),
        "flops_per_second": rate,
        "matmul_flops_per_second": peak,
        "utilisation": rate / peak,
        "utilisation_of_best": rate / best,
    }
    found |= {"ratio": {}, "max_abs_difference": None}
    if "plain" not in skip:
        took, there = seconds_of(lambda: plain(model, items, seen))
        run_engine()  # again, on the other side of (a)
    seconds |= {"engine": float(np.mean(engines)), "engine_early_stop": float(np.mean(early))}
    if "plain" not in skip:
        seconds["plain"] = took
        found["max_abs_difference"] = float(np.abs(np.array(here) - np.array(there)).max())
        found["ratio"] = {
            "plain_over_engine": took / seconds["engine"],
            "plain_over_engine_early_stop": took / seconds["engine_early_stop"],
        }
        ratios = ", ".join(f"({part}) {ratio:.1f}" for part, ratio in zip("bc", found["ratio"].values(), strict=True))
        say(f"(a) plain: {took:.1f} s, largest difference {found['max_abs_difference']:.1e}; (a) over {ratios}")
    more = marginal_ms(engine)
    found |= {"marginal_claim_ms": more["known_selector"], "marginal_new_selector_ms": more["new_selector"]}
    say(
        f"one more attention claim on measured prompts: {more['known_selector']:.1f} ms, of a new selector {more['new_selector']:.1f} ms"
    )
    if "growth" not in skip:
        found["growth"] = growth(engine)
        say(f"growth in seconds: {found['growth']}")
    if "memory" not in skip:
        found["peak_rss_mb"] = {str(n): peak_memory(names, n) for n in sorted({32, most, 2 * most})}
        say(f"peak memory in MB: {found['peak_rss_mb']}")
    if "pytest" not in skip and shutil.which("git"):
        seconds |= whole_commands()
        say(f"bare pytest {seconds['bare_pytest']:.2f} s, 100 unchanged claims {seconds['warm_100']:.2f} s, "
            f"2,000 {seconds['warm_2000']:.2f} s, one edited bound of 100 {seconds['edited_bound_of_100']:.2f} s")  # fmt: skip
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON, and what goes on to stderr")
    parser.add_argument("--most", type=int, default=128, help="prompts without early stopping")
    parser.add_argument("--suites", default="number_sequences,other_sequences")
    parser.add_argument("--skip", default="", help="of plain, pytest, memory, growth")
    parser.add_argument("--memory-part", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    names = given.suites.split(",")
    if given.memory_part:
        memory_part(names, given.most)
        return 0

    def say(text: str) -> None:
        print(text, file=sys.stderr if given.json else sys.stdout, flush=True)

    found = measure(names, given.most, given.skip.split(","), say)
    if given.json:
        print(json.dumps(found, indent=1))
    else:
        say(json.dumps(found["ratio"]))
    return 0 if found["max_abs_difference"] is None or found["max_abs_difference"] <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
