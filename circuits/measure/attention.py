"""Attention statistics of every head, in one pass over the prompts.

Patterns are reduced inside the hook, layer by layer: the [batch, head, query, key] pattern of more
than one layer is never kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from circuits.measure.batches import batches
from circuits.measure.cells import Cells, Question, cells, own_score, uniform
from circuits.measure.metrics import precise
from circuits.measure.passes import run_model
from circuits.measure.profile import Profile, Tally, classes_of
from circuits.prompts.own import Score
from circuits.prompts.prompt import TokenPrompt

if TYPE_CHECKING:
    import torch

    from circuits.models.load import LoadedModel

TINY_ROW = 1e-6  # rows with less mass left after an exclusion are skipped and counted (DESIGN 3.3)


@dataclass(frozen=True)
class AttentionValues:
    """One question on one prompt set, for all heads.

    ``left``/``right``: Float[layer, head, prompt], NaN where a prompt has no eligible query, infinite
    where the model's attention is not a finite number.
    ``uniform_left``/``uniform_right``: Float[prompt]. ``removed``: Float[layer, head, prompt], the mean
    mass that the exclusion took from the eligible rows (None without one). ``skipped_rows``:
    Int[layer, head], rows left with under 1e-6.
    """

    left: NDArray[np.float64]
    right: NDArray[np.float64] | None
    uniform_left: NDArray[np.float64]
    uniform_right: NDArray[np.float64] | None
    removed: NDArray[np.float64] | None
    skipped_rows: NDArray[np.int64] | None


@dataclass
class _Sink:
    """Where the hook of one pass writes a question's values."""

    asked: Question
    left: NDArray[np.float64]
    right: NDArray[np.float64] | None
    removed: NDArray[np.float64] | None
    skipped: NDArray[np.int64]
    uniform_left: NDArray[np.float64]
    uniform_right: NDArray[np.float64] | None
    tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    sums: dict[str, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)

    @property
    def is_plain(self) -> bool:
        """Whether a value is a sum of weights over a number that no weight changes."""
        return self.asked.own is None and not self.asked.excluding and self.asked.statistic in ("mass", "lift")


class Watch:
    """Reads attention while the model runs: the values of questions, mean patterns and profiles of chosen heads.

    ``hooks(chunk)`` are those of one batch of prompts; after all batches ``values``, ``patterns`` and ``profiles`` are
    complete. ``stop`` is the number of layers that must be run. ``below``: only the layers below this one have
    values (None: all layers). The same hooks serve a pass of their own or a clean run that is made anyway.
    """

    def __init__(
        self,
        model: LoadedModel,
        prompts: Sequence[TokenPrompt],
        questions: Sequence[Question],
        variables: Mapping[str, int],
        *,
        patterns_of: Sequence[tuple[int, int]] = (),
        profiles_of: Sequence[tuple[int, int]] = (),
        below: int | None = None,
    ):
        layers, heads = model.shape.layers, model.shape.heads
        self.model, self.prompts, self.variables = model, prompts, variables
        self._sinks = [_sink(asked, layers, heads, len(prompts)) for asked in questions]
        self._pictured = {pair: np.zeros((len(prompts[0].ids),) * 2) for pair in patterns_of}
        self._alike = [p.template == prompts[0].template and len(p.ids) == len(prompts[0].ids) for p in prompts]
        classes = classes_of(prompts) if profiles_of else None
        self._tallies = {pair: Tally(prompts, classes) for pair in profiles_of} if classes is not None else {}
        some = sorted({layer for layer, _ in (*patterns_of, *profiles_of)})
        self._wanted = list(range(layers if below is None else below)) if questions else some
        self.stop = max(self._wanted, default=-1) + 1

    def hooks(self, chunk: Sequence[int]) -> list[tuple[str, Callable[..., None]]]:
        """Hooks for the prompts of one batch (their indices; all of one length)."""
        import torch

        index = np.array(chunk)
        batch = [self.prompts[i] for i in chunk]
        for sink in self._sinks:
            found = cells(sink.asked, batch, self.variables)
            sink.uniform_left[index], right = uniform(sink.asked, found, batch)
            if sink.uniform_right is not None and right is not None:
                sink.uniform_right[index] = right
            sink.tensors, sink.sums = _tensors(found, self.model.device), {}
        shown = torch.tensor([self._alike[i] for i in chunk], device=self.model.device)

        def reduce(pattern: Any, hook: Any, *, layer: int) -> None:
            weights = pattern.to(torch.float32) if pattern.dtype in (torch.float16, torch.bfloat16) else pattern
            sound = torch.isfinite(weights.sum(-1))  # [batch, head, query]
            flat = weights.flatten(2) if bool(sound.all()) else None
            for sink in self._sinks:
                if sink.asked.own is not None:
                    _reduce_own(sink, sink.asked.own, weights, sound, layer, index, batch)
                elif flat is not None and sink.is_plain:
                    _reduce_plain(sink, flat, layer, index)
                else:
                    _reduce(sink, weights, sound, layer, index)
            for at_layer, head in self._pictured:
                if at_layer == layer and bool(shown.any()):
                    self._pictured[at_layer, head] += precise(weights[shown, head]).sum(0).cpu().numpy()
            for (at_layer, head), tally in self._tallies.items():
                if at_layer == layer:
                    tally.add(precise(weights[:, head]).cpu().numpy(), chunk)

        return [(f"blocks.{layer}.attn.hook_pattern", partial(reduce, layer=layer)) for layer in self._wanted]

    @property
    def values(self) -> dict[Question, AttentionValues]:
        """All heads' values of each question."""
        return {sink.asked: _finish(sink) for sink in self._sinks}

    @property
    def patterns(self) -> dict[tuple[int, int], NDArray[np.float64]]:
        """Mean patterns Float[query, key] over the prompts that have the first prompt's template and token length."""
        total = sum(self._alike)
        return {pair: pattern / total for pair, pattern in self._pictured.items()}

    @property
    def profiles(self) -> dict[tuple[int, int], Profile]:
        """Profiles (see there) over all prompts."""
        return {pair: tally.profile() for pair, tally in self._tallies.items()}


def run_watch(
    watch: Watch, batch_tokens: int, *, progress: Callable[[int, int], None] | None = None, partners: bool = False
) -> None:
    """A pass of its own for a watch, through the layers that it needs and no further.

    ``progress(done, total)`` counts prompts. ``partners``: the model is shown the prompts' corrupted partners, and the
    cells are those of the prompts.
    """
    import torch

    done = 0
    for chunk in batches(watch.prompts, batch_tokens):
        batch = [watch.prompts[i] for i in chunk]
        shown = [p.corrupted if partners and p.corrupted is not None else p.ids for p in batch]
        tokens = torch.tensor(shown, device=watch.model.device)
        run_model(watch.model, tokens, return_type=None, fwd_hooks=watch.hooks(chunk), stop_at_layer=watch.stop)
        done += len(chunk)
        if progress is not None:
            progress(done, len(watch.prompts))


def measure_attention(
    model: LoadedModel,
    prompts: Sequence[TokenPrompt],
    questions: Sequence[Question],
    variables: Mapping[str, int],
    *,
    patterns_of: Sequence[tuple[int, int]] = (),
    profiles_of: Sequence[tuple[int, int]] = (),
    batch_tokens: int = 4096,
    progress: Callable[[int, int], None] | None = None,
    partners: bool = False,
    below: int | None = None,
) -> tuple[dict[Question, AttentionValues], dict[tuple[int, int], NDArray[np.float64]], dict[tuple[int, int], Profile]]:
    """All heads' values of several questions on one prompt set; mean patterns and profiles of chosen heads.

    One pass by ``run_watch``; see ``Watch`` for what is read. Raises Unmeasurable when a question's offsets have no period.
    """
    watch = Watch(
        model, prompts, questions, variables, patterns_of=patterns_of, profiles_of=profiles_of, below=below
    )  # fmt: skip
    run_watch(watch, batch_tokens, progress=progress, partners=partners)
    return watch.values, watch.patterns, watch.profiles


def _sink(asked: Question, layers: int, heads: int, count: int) -> _Sink:
    def empty() -> NDArray[np.float64]:
        return np.full((layers, heads, count), np.nan)

    compared = asked.right is not None
    return _Sink(
        asked,
        empty(),
        empty() if compared else None,
        empty() if asked.excluding else None,
        np.zeros((layers, heads), dtype=np.int64),
        np.full(count, np.nan),
        np.full(count, np.nan) if compared else None,
    )


def _finish(sink: _Sink) -> AttentionValues:
    skipped = sink.skipped if sink.asked.excluding else None
    return AttentionValues(sink.left, sink.right, sink.uniform_left, sink.uniform_right, sink.removed, skipped)


def _tensors(found: Cells, device: str) -> dict[str, torch.Tensor]:
    import torch

    arrays = {"left": found.left, "rows_left": found.rows_left, "kept": found.kept}
    if found.right is not None and found.rows_right is not None:
        arrays |= {"right": found.right, "rows_right": found.rows_right}
    return {name: torch.tensor(array, device=device) for name, array in arrays.items()}


def _reduce(sink: _Sink, pattern: torch.Tensor, sound: torch.Tensor, layer: int, index: NDArray[np.int64]) -> None:
    """One layer's pattern [batch, head, query, key] -> the question's values of its heads.

    ``sound``: Bool[batch, head, query], the rows whose weights are finite numbers.
    """
    import torch

    tensors, asked = sink.tensors, sink.asked
    kept = tensors["kept"][:, None]
    weights = pattern
    valid = torch.ones(pattern.shape[:3], dtype=torch.bool, device=pattern.device)
    if asked.excluding:
        weights = torch.where(kept, pattern, torch.zeros_like(pattern))
        left_over = weights.sum(-1)
        valid = ~(left_over < TINY_ROW)  # a row that is not finite is no empty row
        weights = weights / left_over.clamp_min(TINY_ROW)[..., None]
        rows = tensors["rows_left"][:, None]
        if "rows_right" in tensors:
            rows = rows | tensors["rows_right"][:, None]
        assert sink.removed is not None
        taken = torch.where(rows, (pattern * ~kept).sum(-1), 0.0).sum(-1) / rows.sum(-1)
        sink.removed[layer][:, index] = precise(taken).cpu().numpy().T
        sink.skipped[layer] += (rows & ~valid).sum((0, 2)).cpu().numpy()
    top = None
    if asked.statistic == "top1":
        top = torch.where(kept, weights, torch.full_like(weights, -1.0)).argmax(-1)  # [batch, head, query]
    for name, target in (("left", sink.left), ("right", sink.right)):
        if target is None:
            continue
        cell, rows = tensors[name], tensors[f"rows_{name}"][:, None] & valid
        if top is not None:
            mass = torch.gather(cell[:, None].expand(-1, top.shape[1], -1, -1), 3, top[..., None])[..., 0].to(
                weights.dtype
            )
        else:
            mass = torch.einsum("bhqk,bqk->bhq", weights, cell.to(weights.dtype))
        summed = torch.where(rows, mass, 0.0).sum(-1)
        if asked.statistic == "lift":
            share = cell.sum(-1) / tensors["kept"].sum(-1).clamp_min(1)
            below = torch.where(rows, share[:, None].to(mass.dtype), 0.0).sum(-1)
        else:
            below = rows.sum(-1).to(mass.dtype)
        value = torch.where(below > 0, summed / below, torch.full_like(summed, float("nan")))
        if asked.statistic != "lift":
            value = value.clamp(0.0, 1.0)  # rows of 16-bit softmax sum to 1 only roughly
        value = torch.where((rows & ~sound).any(-1), torch.full_like(value, float("inf")), value)
        target[layer][:, index] = precise(value).cpu().numpy().T


def _reduce_plain(sink: _Sink, flat: torch.Tensor, layer: int, index: NDArray[np.int64]) -> None:
    """What ``_reduce`` does for a plain question and finite weights, Float[batch, head, query * key], in one product a side.

    A product of its own for each question: side by side they would change each other's last digit.
    """
    import torch

    for name, target in (("left", sink.left), ("right", sink.right)):
        if target is None:
            continue
        if name not in sink.sums:
            cell, rows = sink.tensors[name], sink.tensors[f"rows_{name}"]
            share = cell.sum(-1) / sink.tensors["kept"].sum(-1).clamp_min(1)
            per_row = share if sink.asked.statistic == "lift" else rows
            sink.sums[name] = (
                cell.flatten(1)[..., None].to(flat.dtype),
                (per_row * rows).sum(-1)[:, None].to(flat.dtype),
            )
        cells_of, below = sink.sums[name]
        value = torch.bmm(flat, cells_of)[..., 0] / below  # no row: 0 / 0, NaN
        if sink.asked.statistic != "lift":
            value = value.clamp(0.0, 1.0)
        target[layer][:, index] = precise(value).cpu().numpy().T


def _reduce_own(
    sink: _Sink,
    own: Score,
    pattern: torch.Tensor,
    sound: torch.Tensor,
    layer: int,
    index: NDArray[np.int64],
    batch: Sequence[TokenPrompt],
) -> None:
    """One layer's pattern [batch, head, query, key] -> a project's own score of its heads, prompt by prompt."""
    plain, fine = precise(pattern).cpu().numpy(), sound.all(-1).cpu().numpy()
    for row, (place, prompt) in enumerate(zip(index, batch, strict=True)):
        usable = np.where(fine[row][:, None, None], plain[row], 0.0)
        sink.left[layer][:, place] = np.where(fine[row], own_score(own, usable, prompt), np.inf)


def mean_over_prompts(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Float[layer, head] of Float[layer, head, prompt]; NaN for a head without any finite value."""
    there = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(there, values, 0.0).sum(axis=2) / there.sum(axis=2))


def attention_arrays(value: AttentionValues) -> dict[str, NDArray[Any]]:
    """The values as arrays for the cache."""
    return {name: array for name, array in vars(value).items() if array is not None}


def attention_from(found: Mapping[str, NDArray[Any]] | None) -> AttentionValues | None:
    """The values kept as ``attention_arrays``, or None where something is missing."""
    if found is None or not {"left", "uniform_left"} <= found.keys():
        return None
    names = ("left", "right", "uniform_left", "uniform_right", "removed", "skipped_rows")
    return AttentionValues(**{name: found.get(name) for name in names})  # type: ignore[arg-type]
