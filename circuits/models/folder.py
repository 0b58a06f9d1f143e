"""A Hugging Face folder becomes a transformers model and tokenizer, checked for what would mislead.

Weights that the file lacks would be random numbers, a ``config.json`` with ``auto_map`` asks for code
from the folder to be run, and an encoder is no language model: each is refused in one line.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuits.errors import ModelInvalid
from circuits.models.hubcache import has_tokenizer, has_weights
from circuits.models.quiet import first_line, quiet

if TYPE_CHECKING:
    import torch

_LAYER = re.compile(r"(?:^|\.)(?:h|layers|blocks?)\.(\d+)\.")


def read_folder(folder: Path, name: str, dtype: torch.dtype) -> tuple[Any, Any, str]:
    """(causal language model in eval mode on the CPU without gradients, tokenizer, what was read).

    Raises ModelInvalid in one line that starts with ``name``.
    """
    check_folder(folder, name)
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    loader: Any = AutoModelForCausalLM  # its annotations do not know output_loading_info
    safe = any(folder.glob("*.safetensors"))
    with quiet():
        try:
            config = AutoConfig.from_pretrained(str(folder), local_files_only=True)
            _check_causal(config, name)
            model, report = loader.from_pretrained(
                str(folder),
                config=config,
                dtype=dtype,
                attn_implementation="eager",
                use_safetensors=safe,
                weights_only=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
        except ModelInvalid:
            raise
        except Exception as error:  # transformers raises every kind of exception for a bad folder
            raise ModelInvalid(f"{name}: transformers cannot load {folder}: {first_line(error)}") from error
        _check_loaded(report, model, name)
        try:
            tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
        except Exception as error:
            raise ModelInvalid(f"{name}: the tokenizer in {folder} cannot be read: {first_line(error)}") from error
    if not model.config.architectures:
        model.config.architectures = [type(model).__name__]  # the bridge chooses its adapter by this
    model.eval()
    model.requires_grad_(False)
    how = "safetensors" if safe else "pickled weights (pytorch_model.bin; tensors only, no code is run)"
    return model, tokenizer, how


def check_folder(folder: Path, name: str) -> None:
    """Raise ModelInvalid, in one line, for a folder that lacks a part or asks for its code to be run."""
    for part in ("config.json", "tokenizer_config.json"):
        if (folder / part).is_file() and "auto_map" in _json(folder / part, name):
            raise ModelInvalid(
                f"{name}: {part} in {folder} has 'auto_map', which names Python code to run; code from model "
                "folders is not run: use a model that transformers itself supports"
            )
    if not (folder / "config.json").is_file():
        raise ModelInvalid(f"{name}: {folder} has no config.json; a model folder holds config, weights, tokenizer")
    if not has_weights(folder):
        raise ModelInvalid(f"{name}: {folder} has no (whole) weights: model.safetensors or pytorch_model.bin")
    if not has_tokenizer(folder):
        raise ModelInvalid(f"{name}: {folder} has no tokenizer: tokenizer.json, or vocab.json and merges.txt")


def _json(path: Path, name: str) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelInvalid(f"{name}: {path} is not readable JSON: {first_line(error)}") from error
    if not isinstance(found, dict):
        raise ModelInvalid(f"{name}: {path} does not hold a JSON object")
    return found


def _check_causal(config: Any, name: str) -> None:
    """Refuse what is no decoder-only text model (the bridge may even install packages for the others)."""
    from transformer_lens.model_bridge.sources.transformers.helpers import get_hf_model_class_for_architecture
    from transformers import AutoModelForCausalLM

    for architecture in config.architectures or ():
        if get_hf_model_class_for_architecture(architecture) is not AutoModelForCausalLM:
            raise ModelInvalid(f"{name}: {architecture} is not a causal (left-to-right) language model")


def _check_loaded(report: dict[str, Any], model: Any, name: str) -> None:
    missing = sorted(str(key) for key in report.get("missing_keys", ()))
    if missing:
        raise ModelInvalid(
            f"{name}: the weights lack {len(missing)} of the tensors that config.json asks for "
            f"({missing[0]}{', ...' if len(missing) > 1 else ''}); they would be random numbers"
        )
    layers = model.config.get_text_config().num_hidden_layers
    beyond = [key for key in map(str, report.get("unexpected_keys", ())) if _layer_of(key) >= layers]
    if beyond:
        raise ModelInvalid(
            f"{name}: the weights have layers beyond the {layers} of config.json ({sorted(beyond)[0]}); "
            "config and weights do not belong together"
        )


def _layer_of(key: str) -> int:
    found = _LAYER.search(key)
    return int(found.group(1)) if found else -1
