"""Ablations: replace what heads or MLPs write, run the model on, read the metrics.

What replaces what (DESIGN 3.3): ``mean`` puts the mean over reference prompts of the same template
and token length, per position, of the unablated model; ``resample`` the activation of the prompt's
own corrupted partner; ``zero`` puts zeros. The activation is a head's z (its output before W_O) or
an MLP's output, at all positions or (``at``) at those of a selector's set.

Nothing below the lowest ablated layer changes, so the clean residual there is kept and only the
layers above are run again: exact, and the reason that late heads are cheap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from circuits.claims.heads import Component
from circuits.claims.positions import queries
from circuits.claims.selector import parse
from circuits.measure.attention import Watch
from circuits.measure.batches import batches
from circuits.measure.metrics import END_METRICS, Values, end_metrics, next_token_loss, precise
from circuits.measure.passes import Hook, forward, run_model
from circuits.measure.suffix import KeysValues, keeping
from circuits.prompts.own import Metric
from circuits.prompts.prompt import TokenPrompt

if TYPE_CHECKING:
    import torch

    from circuits.models.load import LoadedModel

#: The most memory that the partners' activations of one prompt set may keep, in bytes.
PARTNER_BYTES = 2**30
#: A prompt set without variables.
NO_VARIABLES: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True)
class Ablation:
    """Components ablated jointly, by one method. ``loss`` asks for the whole-prompt loss too.

    ``at``: a set of positions as a selector's query side ("end", "member"); None: all positions. No
    component, or no such position in a prompt, leaves the prompt as the clean model has it. ``also``: components
    that are replaced at all positions besides (those outside a circuit).
    """

    components: tuple[Component, ...]
    method: str
    loss: bool = False
    at: str | None = None
    also: tuple[Component, ...] = ()

    @property
    def start(self) -> int:
        """The lowest layer that is touched (0: nothing is)."""
        return min((component.layer for component in (*self.components, *self.also)), default=0)

    def places(self, prompt: TokenPrompt, variables: Mapping[str, int]) -> list[int]:
        """The positions of a prompt that are replaced, ascending; none where there is no component.

        ``variables``: the integers that offsets of the prompt set may use. Raises SelectorError where
        ``at`` is no set of positions: the loader refuses such claims.
        """
        if not self.components:
            return []
        if self.at is None:
            return list(range(len(prompt.ids)))
        return queries(parse(f"{self.at} -> any"), prompt, variables)

    def first(self, prompts: Sequence[TokenPrompt], variables: Mapping[str, int]) -> int:
        """The first position that is replaced in any of the prompts; their length where there is none."""
        if self.also or self.at is None:
            return 0
        return min((min(self.places(p, variables), default=len(p.ids)) for p in prompts), default=0)

    @property
    def sites(self) -> dict[str, list[int]]:
        """Hook name -> heads replaced there (empty for an MLP), in layer order."""
        found: dict[str, list[int]] = {}
        for component in sorted(self.components, key=lambda c: (c.layer, c.head is None, c.head or 0)):
            found.setdefault(site(component), [])
            if component.head is not None:
                found[site(component)].append(component.head)
        return found


def site(component: Component) -> str:
    """The hook at which a component's activation is read and replaced."""
    place = "hook_mlp_out" if component.head is None else "attn.hook_z"
    return f"blocks.{component.layer}.{place}"


@dataclass
class CleanRun:
    """The unablated model on one prompt set: kept while its ablations are measured.

    ``values`` are the clean metrics (the loss only where ``loss``); ``residuals[layer]`` the residual
    streams that enter a layer, by batch; ``writes[site]`` what senders of paths write; ``logits`` the clean logits at the end, by batch (for kl);
    ``partners`` what ``resample`` read from the corrupted partners, by batch and site (up to
    ``partner_bytes``; None: ``PARTNER_BYTES``), so that the many ablations of a circuit read it once; ``keys`` keys and values by
    batch and layer, for ablations of some positions only, and ``sound`` where they were found to do (see ``suffix``); ``own``
    metrics of the project's that are measured too.
    """

    prompts: Sequence[TokenPrompt]
    chunks: list[list[int]]
    values: Values
    logits: list[torch.Tensor] = field(default_factory=list)
    residuals: dict[int, list[torch.Tensor]] = field(default_factory=dict)
    writes: dict[str, list[torch.Tensor]] = field(default_factory=dict)
    partners: dict[int, dict[str, torch.Tensor]] = field(default_factory=dict)
    keys: list[KeysValues] = field(default_factory=list)
    sound: dict[tuple[int, int, int], bool] = field(default_factory=dict)
    loss: bool = False
    partner_bytes: int | None = None
    own: tuple[Metric, ...] = ()

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the metrics that are read at the end of a prompt."""
        return (*END_METRICS, *(metric.name for metric in self.own))

    def start(self, ablation: Ablation) -> int:
        """The layer that an ablation is run from: the highest whose residual stream is kept and that nothing below touches."""
        return max((layer for layer in self.residuals if layer <= ablation.start), default=0)

    @property
    def nbytes(self) -> int:
        """The memory that its tensors keep."""
        tensors = [*self.logits, *(t for kept in (*self.residuals.values(), *self.writes.values()) for t in kept)]
        tensors += [value for batch in self.partners.values() for value in batch.values()]
        tensors += [tensor for batch in self.keys for pair in batch.values() for tensor in pair]
        return sum(int(tensor.nbytes) for tensor in tensors)

    def keep_partners(self, number: int, read: dict[str, torch.Tensor]) -> None:
        """Keep what was read for a batch, where there is room."""
        kept = {**self.partners, number: read}
        room = PARTNER_BYTES if self.partner_bytes is None else self.partner_bytes
        if sum(value.nbytes for batch in kept.values() for value in batch.values()) <= room:
            self.partners = kept


ReferencePrompts = Callable[[str, int], Sequence[tuple[int, ...]]]


class Reference:
    """Mean activations over reference prompts, by template and token length; computed once each.

    ``prompts(template, length)`` gives the corrupted id rows (BOS included). Means never depend on the
    measured prompts, on other ablations or on a circuit. ``planned``: the hook sites that will be asked
    for, so that one pass serves all of them.
    """

    def __init__(self, model: LoadedModel, prompts: ReferencePrompts, batch_tokens: int, planned: Iterable[str] = ()):
        self.model = model
        self.prompts = prompts
        self.batch_tokens = batch_tokens
        self.planned = frozenset(planned)
        self.known: dict[tuple[str, int], Sequence[tuple[int, ...]]] = {}
        self.means: dict[tuple[str, int], dict[str, torch.Tensor]] = {}

    def rows(self, template: str, length: int) -> Sequence[tuple[int, ...]]:
        """The reference prompts of a template and token length, made once."""
        if (template, length) not in self.known:
            self.known[template, length] = self.prompts(template, length)
        return self.known[template, length]

    def mean(self, template: str, length: int, sites: Sequence[str]) -> dict[str, torch.Tensor]:
        """Mean activation at each site: z Float[pos, head, d_head], MLP output Float[pos, d_model]."""
        known = self.means.setdefault((template, length), {})
        if any(name not in known for name in sites):
            missing = sorted((self.planned | set(sites)) - known.keys())
            rows = self.rows(template, length)
            if not rows:
                raise ValueError(f"there are no reference prompts of {length} tokens to take the mean from")
            sums: dict[str, torch.Tensor] = {}
            size = max(1, self.batch_tokens // max(1, length))
            for start in range(0, len(rows), size):
                captured = capture(self.model, rows[start : start + size], missing)
                for name, value in captured.items():
                    total = precise(value).sum(0)
                    sums[name] = sums[name] + total if name in sums else total
            for name, total in sums.items():
                known[name] = (total / len(rows)).to(device=self.model.device, dtype=dtype(self.model))
        return known


def dtype(model: LoadedModel) -> torch.dtype:
    """The dtype of the model's activations."""
    import torch

    found = getattr(torch, model.dtype)
    assert isinstance(found, torch.dtype)
    return found


def capture(model: LoadedModel, rows: Sequence[Sequence[int]], sites: Sequence[str]) -> dict[str, torch.Tensor]:
    """Activations of the unablated model at hook sites.

    A head's z: Float[batch, pos, head, d_head]; an MLP's output: Float[batch, pos, d_model].
    """
    import torch

    found: dict[str, torch.Tensor] = {}

    # A hook point may go by another name than the one it was asked for, so each keeper knows its own.
    def keeper(name: str) -> Callable[..., None]:
        def keep(value: Any, hook: Any) -> None:
            found[name] = value.detach().clone()

        return keep

    stop = max(int(name.split(".")[1]) for name in sites) + 1
    tokens = torch.tensor([list(row) for row in rows], device=model.device)
    hooks = [(name, keeper(name)) for name in sites]
    run_model(model, tokens, return_type=None, fwd_hooks=hooks, stop_at_layer=stop)
    return found


def clean_run(
    model: LoadedModel,
    prompts: Sequence[TokenPrompt],
    layers: Sequence[int],
    *,
    loss: bool,
    batch_tokens: int,
    watch: Watch | None = None,
    progress: Callable[[int, int], None] | None = None,
    partner_bytes: int | None = None,
    sites: Sequence[str] = (),
    keys_from: int | None = None,
    own: tuple[Metric, ...] = (),
) -> CleanRun:
    """One clean pass: metrics, end logits, and the residual streams entering each of ``layers``.

    ``keys_from``: the lowest layer whose keys and values are kept (None: of none).

    ``sites``: whose activations are kept too; ``watch``: attention that is read in the same pass. ``progress(done, total)`` counts prompts.
    """
    import torch

    run = CleanRun(prompts, list(batches(prompts, batch_tokens)), {}, own=own)
    run.values |= {name: np.full(len(prompts), np.nan) for name in (*run.metrics, "loss")}
    run.residuals, run.loss = {layer: [] for layer in layers}, loss
    run.partner_bytes, run.writes = partner_bytes, {name: [] for name in sites}
    done = 0
    for chunk in run.chunks:
        tokens = torch.tensor([prompts[i].ids for i in chunk], device=model.device)
        hooks: list[Hook] = [
            (f"blocks.{layer}.hook_resid_pre", _keep_in(kept)) for layer, kept in run.residuals.items()
        ]
        hooks += [(name, _keep_in(kept)) for name, kept in run.writes.items()]
        if watch is not None:
            hooks += watch.hooks(chunk)
        kept: KeysValues = {}
        with keeping(model, keys_from, kept):
            logits = forward(model, tokens, hooks, all_positions=loss)
        run.keys.append(kept)
        run.logits.append(logits[:, -1].clone())
        store(run.values, chunk, end_metrics(logits[:, -1], [prompts[i] for i in chunk], own=own))
        if loss:
            run.values["loss"][chunk] = next_token_loss(logits, tokens)
        done += len(chunk)
        if progress is not None:
            progress(done, len(prompts))
    return run


def _keep_in(kept: list[torch.Tensor]) -> Callable[..., None]:
    def keep(value: Any, hook: Any) -> None:
        kept.append(value.detach().clone())

    return keep


def store(target: Values, chunk: list[int], values: Values) -> None:
    """Put the values of a batch in their places."""
    for name, value in values.items():
        target[name][chunk] = value


def replacing_hooks(
    model: LoadedModel,
    ablation: Ablation,
    batch: Sequence[TokenPrompt],
    reference: Reference | None,
    variables: Mapping[str, int] = NO_VARIABLES,
    partners: dict[str, torch.Tensor] | None = None,
    first: int = 0,
) -> list[Hook]:
    """Hooks that make the ablation on a batch of prompts of one length; none where nothing is replaced.

    ``partners``: what was read from the corrupted partners by site; what is missing is read and put in. ``first``: the
    position that the run begins with (nothing before it is replaced). Raises ValueError where ``mean`` has no reference or ``resample`` no partners.
    """
    import torch

    everywhere = replace(ablation, components=ablation.also, at=None, also=())
    hooks = replacing_hooks(model, everywhere, batch, reference, variables, partners) if ablation.also else []
    places = [ablation.places(prompt, variables) for prompt in batch]
    if not any(places):
        return hooks
    mask = None
    if ablation.at is not None:
        mask = torch.tensor([[p in row for p in range(len(batch[0].ids))] for row in places], device=model.device)
        mask = mask[:, first:]
    found = _replacements(model, ablation, batch, reference, {} if partners is None else partners)
    return [
        *hooks,
        *(
            (name, _replace(heads, value if value is None else value[:, first:], mask))
            for (name, heads), value in found
        ),
    ]


def _replacements(
    model: LoadedModel,
    ablation: Ablation,
    batch: Sequence[TokenPrompt],
    reference: Reference | None,
    partners: dict[str, torch.Tensor],
) -> Iterator[tuple[tuple[str, list[int]], torch.Tensor | None]]:
    """Each site with its heads and what is put there: Float[batch or 1, pos, ...], None for zeros."""
    import torch

    sites = ablation.sites
    if ablation.method == "zero":
        for entry in sites.items():
            yield entry, None
        return
    if ablation.method == "resample":
        read_partners(model, batch, sites, partners)
        for entry in sites.items():
            yield entry, partners[entry[0]]
        return
    if reference is None:
        raise ValueError("mean ablation needs reference prompts")
    means = [reference.mean(prompt.template, len(prompt.ids), list(sites)) for prompt in batch]
    # A circuit has sites in all layers, and a batch of one template the same means: no copy for each prompt.
    alike = all(mean is means[0] for mean in means)
    for entry in sites.items():
        yield entry, means[0][entry[0]][None] if alike else torch.stack([mean[entry[0]] for mean in means])


def read_partners(
    model: LoadedModel, batch: Sequence[TokenPrompt], sites: Iterable[str], partners: dict[str, torch.Tensor]
) -> None:
    """Put what is not yet among ``partners`` there: the activations at sites on the batch's corrupted partners, in one pass.

    Raises ValueError where a prompt has no partner.
    """
    rows = [prompt.corrupted for prompt in batch]
    if any(row is None for row in rows):
        raise ValueError("resample ablation needs a corrupted partner for every prompt")
    missing = [name for name in sites if name not in partners]
    if missing:
        partners |= capture(model, [row for row in rows if row is not None], missing)


def _replace(heads: list[int], value: torch.Tensor | None, mask: torch.Tensor | None) -> Callable[..., Any]:
    """A hook that puts ``value`` (None: zeros) at some heads, or at the whole output of an MLP.

    ``mask``: Bool[batch, pos], where it is put; None: at all positions.
    """
    import torch

    part: Any = (slice(None), slice(None), heads) if heads else slice(None)

    def hook(activation: Any, hook: Any) -> Any:
        changed = activation.clone()
        put: Any = 0.0 if value is None else value[part].to(changed.dtype)
        if mask is not None:
            put = torch.where(mask.view(*mask.shape, *[1] * (changed.ndim - 2)), put, changed[part])
        changed[part] = put
        return changed

    return hook
