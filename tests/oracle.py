"""What every quantity should be, from a plain Hugging Face model: the oracle of tests/test_measure_*.py.

Nothing of the measuring stage is used here: attention comes from ``output_attentions=True`` of an eager
model, ablations from torch's own forward hooks, one prompt at a time, and which token attends to which
from predicates over token lists that are written out by hand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

HeadOrMlp = tuple[int, int | None]  # (layer, head), or (layer, None) for the MLP
METRICS = (
    "logit_diff",
    "answer_logit",
    "answer_logprob",
    "answer_prob",
    "pair_prob",
    "prob_diff",
    "answer_rank",
    "kl",
    "loss",
    "top1",
    "top5",
)


@dataclass(frozen=True)
class Shown:
    """A prompt as the model sees it, written out: words by position, role spans, the item of each position."""

    words: Sequence[str]
    roles: Mapping[str, Sequence[Sequence[int]]] = field(default_factory=dict)
    item: Sequence[int] = ()
    bos: bool = True

    def span(self, role: str, place: int) -> int | None:
        """Which span of the role (from 0) the position lies in."""
        for number, span in enumerate(self.roles.get(role, ())):
            if place in span:
                return number
        return None

    def has(self, role: str, place: int) -> bool:
        return self.span(role, place) is not None

    def is_bos(self, place: int) -> bool:
        return self.bos and place == 0


Rule = Callable[[Shown, int, int], bool]  # shown, query, key


def cells(shown: Shown, rule: Rule, excluding: Sequence[str] = ()) -> dict[int, list[int]]:
    """Query -> keys for which the rule holds, no key past its query, without excluded keys; empty ones left out."""
    found: dict[int, list[int]] = {}
    for query in range(len(shown.words)):
        keys = [key for key in visible(shown, query, excluding) if rule(shown, query, key)]
        if keys:
            found[query] = keys
    return found


def visible(shown: Shown, query: int, excluding: Sequence[str]) -> list[int]:
    keys = range(query + 1)
    return [
        k for k in keys if not ("bos" in excluding and shown.is_bos(k)) and not ("self" in excluding and k == query)
    ]


def attention(
    row_of: np.ndarray, shown: Shown, found: Mapping[int, list[int]], statistic: str, excluding: Sequence[str]
) -> tuple[float, float]:
    """(value, value under uniform attention) of a head's pattern Float[query, key]; NaN without eligible queries."""
    values, flat, sums, flats = [], [], 0.0, 0.0
    for query, keys in found.items():
        seen = visible(shown, query, excluding)
        left = sum(float(row_of[query, key]) for key in seen)
        flat.append(len(keys) / len(seen))
        if left < 1e-6:
            continue
        mass = (
            sum(float(row_of[query, key]) / left for key in keys)
            if excluding
            else sum(float(row_of[query, key]) for key in keys)
        )
        best = max(seen, key=lambda key: float(row_of[query, key]))
        values.append(float(best in keys) if statistic == "top1" else mass)
        sums += mass
        flats += len(keys) / len(seen)
    if statistic == "lift":
        return (sums / flats, 1.0) if flats else (math.nan, 1.0 if flat else math.nan)
    return (float(np.mean(values)) if values else math.nan, float(np.mean(flat)) if flat else math.nan)


def removed_mass(row_of: np.ndarray, shown: Shown, queries: Sequence[int], excluding: Sequence[str]) -> float:
    """The mean attention that goes to excluded keys, over the eligible queries."""
    taken = [sum(float(row_of[q, k]) for k in range(q + 1) if k not in visible(shown, q, excluding)) for q in queries]
    return float(np.mean(taken)) if taken else math.nan


class Plain:
    """A Hugging Face causal model with nothing but torch's hooks. One prompt at a time, no padding."""

    def __init__(self, model: Any):
        self.model = model.eval()
        self.llama = hasattr(model, "model")
        self.layers = list(model.model.layers if self.llama else model.transformer.h)
        self.heads = int(model.config.num_attention_heads)
        self.seen: dict[tuple[tuple[int, ...], HeadOrMlp], Any] = {}

    def attention(self, ids: Sequence[int]) -> np.ndarray:
        """Float[layer, head, query, key]."""
        import torch

        with torch.no_grad():
            out = self.model(torch.tensor([list(ids)]), output_attentions=True)
        return np.stack([layer[0].double().numpy() for layer in out.attentions])

    def _projection(self, layer: int) -> Any:
        return self.layers[layer].self_attn.o_proj if self.llama else self.layers[layer].attn.c_proj

    def activations(self, ids: Sequence[int], parts: Sequence[HeadOrMlp]) -> dict[HeadOrMlp, Any]:
        """A head's z Float[pos, d_head] (the projection's input) or an MLP's output Float[pos, d_model].

        Of the unablated model; what was read once is remembered.
        """
        missing = [part for part in parts if (tuple(ids), part) not in self.seen]
        if missing:
            self.seen |= {(tuple(ids), part): value for part, value in self._read(ids, missing).items()}
        return {part: self.seen[tuple(ids), part] for part in parts}

    def _read(self, ids: Sequence[int], parts: Sequence[HeadOrMlp]) -> dict[HeadOrMlp, Any]:
        kept: dict[HeadOrMlp, Any] = {}

        def keep_head(part: HeadOrMlp) -> Callable[..., None]:
            def hook(module: Any, args: Any) -> None:
                size = args[0].shape[-1] // self.heads
                kept[part] = args[0][0, :, part[1] * size : (part[1] + 1) * size].clone()  # type: ignore[operator]

            return hook

        def keep_mlp(part: HeadOrMlp) -> Callable[..., None]:
            def hook(module: Any, args: Any, out: Any) -> None:
                kept[part] = out[0].clone()

            return hook

        handles = []
        for part in parts:
            if part[1] is None:
                handles.append(self.layers[part[0]].mlp.register_forward_hook(keep_mlp(part)))
            else:
                handles.append(self._projection(part[0]).register_forward_pre_hook(keep_head(part)))
        self.logits(ids)
        for handle in handles:
            handle.remove()
        return kept

    @contextmanager
    def replaced(self, values: Mapping[HeadOrMlp, Any], at: Sequence[int] | None = None) -> Iterator[None]:
        """The model with these activations put in (for every prompt run inside), at all or some positions."""
        where: Any = slice(None) if at is None else list(at)

        def head(part: HeadOrMlp, value: Any) -> Callable[..., Any]:
            def hook(module: Any, args: Any) -> Any:
                changed = args[0].clone()
                size = changed.shape[-1] // self.heads
                changed[0, where, part[1] * size : (part[1] + 1) * size] = value[where]  # type: ignore[operator]
                return (changed,)

            return hook

        def mlp(value: Any) -> Callable[..., Any]:
            def hook(module: Any, args: Any, out: Any) -> Any:
                changed = out.clone()
                changed[0, where] = value[where].to(out.dtype)
                return changed

            return hook

        handles = []
        for part, value in values.items():
            if part[1] is None:
                handles.append(self.layers[part[0]].mlp.register_forward_hook(mlp(value)))
            else:
                handles.append(self._projection(part[0]).register_forward_pre_hook(head(part, value)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def logits(self, ids: Sequence[int]) -> np.ndarray:
        """Float[pos, vocabulary]."""
        import torch

        with torch.no_grad():
            return self.model(torch.tensor([list(ids)])).logits[0].double().numpy()

    def ablated(
        self,
        ids: Sequence[int],
        parts: Sequence[HeadOrMlp],
        method: str,
        corrupted: Sequence[int] | None = None,
        reference: Sequence[Sequence[int]] = (),
        at: Sequence[int] | None = None,
    ) -> np.ndarray:
        """Logits Float[pos, vocabulary] with parts replaced: zeros, the partner's, or the reference's mean.

        ``at``: only at these positions.
        """
        import torch

        values: dict[HeadOrMlp, Any] = {}
        if method == "zero":
            values = {part: torch.zeros_like(value) for part, value in self.activations(ids, parts).items()}
        elif method == "resample":
            assert corrupted is not None
            values = self.activations(corrupted, parts)
        else:
            each = [self.activations(row, parts) for row in reference]
            values = {part: torch.stack([one[part] for one in each]).mean(0) for part in parts}
        with self.replaced(values, at):
            return self.logits(ids)

    # -- direct paths ----------------------------------------------------------------------------

    def write(self, ids: Sequence[int], part: HeadOrMlp) -> Any:
        """What a head (its z through its rows of the output projection) or an MLP adds: Float[pos, d_model]."""
        value, (layer, head) = self.activations(ids, [part])[part], part
        if head is None:
            return value
        rows = slice(head * value.shape[-1], (head + 1) * value.shape[-1])
        weight = self._projection(layer).weight
        return value @ (weight[:, rows].T if self.llama else weight[rows]).detach()

    def path(
        self, ids: Sequence[int], partner: Sequence[int], sender: HeadOrMlp, receiver: HeadOrMlp | None, into: str
    ) -> np.ndarray:
        """Logits Float[pos, vocabulary] with the sender's write corrupted where one input of the receiver reads it.

        The receiver's layer sees the clean stream; only the rows of q, k or v that are the receiver's come from
        the model's own norm and projection of (clean stream + difference), and only the receiver's own z is kept.
        """
        import torch

        delta = self.write(partner, sender) - self.write(ids, sender)
        inner = self.model.model if self.llama else self.model.transformer
        if receiver is None:
            with _hooked((inner.norm if self.llama else inner.ln_f, "pre", lambda module, args: (args[0] + delta,))):
                return self.logits(ids)
        layer, head = receiver
        assert head is not None
        block, streams = self.layers[layer], []
        norm = block.input_layernorm if self.llama else block.ln_1
        with _hooked((norm, "pre", lambda module, args: streams.append(args[0].clone()))):
            self.logits(ids)
        size = int(self.model.config.hidden_size) // self.heads
        if self.llama:
            reader = getattr(block.self_attn, f"{into}_proj")
            groups = int(self.model.config.num_key_value_heads)
            start = (head if into == "q" else head * groups // self.heads) * size
        else:
            reader = block.attn.c_attn
            start = "qkv".index(into) * size * self.heads + head * size
        with torch.no_grad():
            patched = reader(norm(streams[0] + delta))

        def put(module: Any, args: Any, out: Any) -> Any:
            changed = out.clone()
            changed[..., start : start + size] = patched[..., start : start + size]
            return changed

        found: list[Any] = []

        def read(module: Any, args: Any) -> None:
            found.append(args[0][0, :, head * size : (head + 1) * size].clone())

        with _hooked((reader, "post", put), (self._projection(layer), "pre", read)):
            self.logits(ids)
        with self.replaced({receiver: found[0]}):
            return self.logits(ids)

    def written_logits(self, ids: Sequence[int], layer: int, bos: int) -> np.ndarray:
        """What each head's OV circuit writes for single tokens: Float[head, token, vocabulary].

        Block 0's output at the token in [BOS, token], through the layer's norm, the head's (or its group's) value
        and output weights without their biases, the final norm and the unembedding.
        """
        import torch

        inner, block = (self.model.model if self.llama else self.model.transformer), self.layers[layer]
        size = int(self.model.config.hidden_size) // self.heads
        with torch.no_grad():
            rows = torch.tensor([[bos, token] for token in ids])
            states = self.model(rows, output_hidden_states=True).hidden_states[1][:, -1]
            if self.llama:
                groups = int(self.model.config.num_key_value_heads)
                values = block.input_layernorm(states) @ block.self_attn.v_proj.weight.T
                out, final = block.self_attn.o_proj.weight.T, inner.norm
            else:
                groups = self.heads
                values = block.ln_1(states) @ block.attn.c_attn.weight[:, 2 * size * self.heads :]
                out, final = block.attn.c_proj.weight, inner.ln_f
            each = []
            for head in range(self.heads):
                start = head * groups // self.heads * size
                written = values[:, start : start + size] @ out[head * size : (head + 1) * size]
                each.append((final(written) @ self.model.lm_head.weight.T).double().numpy())
        return np.stack(each)


@contextmanager
def _hooked(*hooks: tuple[Any, str, Callable[..., Any]]) -> Iterator[None]:
    """Forward hooks ("post") and pre-hooks ("pre") on modules, while inside."""
    handles = []
    for module, kind, hook in hooks:
        register = module.register_forward_pre_hook if kind == "pre" else module.register_forward_hook
        handles.append(register(hook))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class Runs:
    """F of the formulas: a metric's mean over prompts in the whole model without some components.

    ``ids`` and ``partners``: the prompts and their corrupted partners. The mean of mean ablation is over the partners
    of one length. Every run is made once.
    """

    def __init__(
        self,
        model: Plain,
        ids: Sequence[Sequence[int]],
        partners: Sequence[Sequence[int]],
        answers: Sequence[Sequence[int]],
        foils: Sequence[Sequence[int]],
    ):
        self.model, self.ids, self.partners, self.answers, self.foils = model, ids, partners, answers, foils
        self.logits = [model.logits(row) for row in ids]
        self.layers, self.heads = len(model.layers), model.heads
        self.known: dict[Any, list[dict[str, float]]] = {}
        everything = self.outside([], [])
        for row in [*ids, *partners]:
            model.activations(row, everything)  # one pass for all that is asked later

    def read(self, number: int, logits: np.ndarray) -> dict[str, float]:
        """Every metric of one prompt."""
        return metrics(logits, self.logits[number], self.ids[number], self.answers[number], self.foils[number])

    def without(
        self, removed: Iterable[HeadOrMlp], method: str, at: Sequence[Sequence[int]] | None = None
    ) -> list[dict[str, float]]:
        """Every metric of every prompt. ``at``: the positions of each prompt at which is replaced."""
        parts = sorted(set(removed), key=str)
        key = (tuple(parts), method, None if at is None else tuple(map(tuple, at)))
        if key not in self.known:
            self.known[key] = []
            for number, ids in enumerate(self.ids):
                alike = [row for row in self.partners if len(row) == len(ids)]
                places = None if at is None else at[number]
                logits = self.logits[number]
                if parts:
                    logits = self.model.ablated(ids, parts, method, self.partners[number], alike, places)
                self.known[key].append(self.read(number, logits))
        return self.known[key]

    def f(
        self, metric: str, removed: Iterable[HeadOrMlp], method: str, at: Sequence[Sequence[int]] | None = None
    ) -> float:
        """The metric's mean over the prompts."""
        return float(np.mean([values[metric] for values in self.without(removed, method, at)]))

    def outside(self, heads: Iterable[HeadOrMlp], mlps: Iterable[HeadOrMlp] | None) -> list[HeadOrMlp]:
        """Every component but these; all MLPs stay where none are named (None)."""
        kept = set(heads) | set(mlps or ())
        found: list[HeadOrMlp] = [(layer, head) for layer in range(self.layers) for head in range(self.heads)]
        found += [(layer, None) for layer in range(self.layers)] if mlps is not None else []
        return [part for part in found if part not in kept]


def metrics(
    logits: np.ndarray, clean: np.ndarray, ids: Sequence[int], answers: Sequence[int], foils: Sequence[int]
) -> dict[str, float]:
    """Every metric of one prompt, from logits Float[pos, vocabulary] (``clean``: the unablated model's)."""
    logprobs, clean_logprobs = _log_softmax(logits), _log_softmax(clean)
    last, end = logits[-1], logprobs[-1]
    found = {"kl": float((np.exp(clean_logprobs[-1]) * (clean_logprobs[-1] - end)).sum())}
    found["loss"] = -float(np.mean([logprobs[place, ids[place + 1]] for place in range(len(ids) - 1)]))
    if not answers:
        return found
    answer = answers[0]
    rank = 1 + int((last > last[answer]).sum())
    found |= {
        "answer_logit": float(last[answer]),
        "answer_logprob": float(end[answer]),
        "answer_prob": math.exp(end[answer]),
    }
    found |= {"answer_rank": float(rank), "top1": float(rank <= 1), "top5": float(rank <= 5)}
    first = int(last.argmax())
    found["right_first"] = float(rank == 1 or first in answers)
    found["answer_tied"] = float((last == last[answer]).sum() - 1)
    if foils:
        difference = float(last[answer] - last[foils[0]])
        found |= {
            "logit_diff": difference,
            "foil_first": float(first in foils),
            "pair_prob": 1 / (1 + math.exp(-difference)),
        }
        found["prob_diff"] = sum(math.exp(end[t]) for t in answers) - sum(math.exp(end[t]) for t in foils)
    return found


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    top = logits.max(-1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True))


def effect(name: str, clean: Sequence[float], ablated: Sequence[float]) -> float:
    """drop_in (ratio of means over prompts), change_in or after, of per-prompt values."""
    before, after = float(np.mean(clean)), float(np.mean(ablated))
    return {"drop_in": (before - after) / before if before else math.nan, "change_in": after - before, "after": after}[
        name
    ]
