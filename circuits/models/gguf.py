"""GGUF files: the header without any library, and one conversion to a Hugging Face folder.

A GGUF file is read by transformers' own loader, which dequantises every tensor to float32; that takes
10-20 s, so the result is kept as safetensors. The header (layers, heads) is read here with ``struct``
in milliseconds, because the check of a suite needs no weights.
"""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Collection
from pathlib import Path
from typing import Any, BinaryIO

from circuits.errors import ModelInvalid
from circuits.models.quiet import first_line, quiet

# Part of the cache's name: raise it when the conversion's result changes.
CONVERSION_VERSION = 1

# GGUF value types (ggml documentation, docs/gguf.md): number -> struct code; 8 is string, 9 is array.
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_LIMIT = 1 << 26

# Tokenised before and after the conversion; both must agree, token by token.
_PROBE = "Adam is 1. Bob is 12, Emma's 305th  day:\n\tnaïve ☃ x == y; DON'T stop"


def read_header(path: Path, wanted: Collection[str] = ()) -> dict[str, Any]:
    """Scalar and string entries of a GGUF header; with ``wanted``, stops once all of those are read.

    Names in ``wanted`` may leave the architecture open ("*.block_count"). Arrays are skipped.
    Raises ModelInvalid for anything that is not a GGUF file of version 2 or 3.
    """
    try:
        with path.open("rb") as stream:
            return _header(stream, set(wanted))
    except OSError as error:
        raise ModelInvalid(f"{path} cannot be read: {error.strerror or error}") from error
    except (struct.error, UnicodeDecodeError, KeyError, ValueError) as error:
        raise ModelInvalid(f"{path} is not a readable GGUF file ({first_line(error)})") from error


def _header(stream: BinaryIO, wanted: set[str]) -> dict[str, Any]:
    if stream.read(4) != b"GGUF":
        raise ValueError("it does not start with the letters GGUF")
    version, _, count = struct.unpack("<IQQ", stream.read(20))
    if version not in (2, 3):
        raise ValueError(f"GGUF version {version}; versions 2 and 3 are read")
    entries: dict[str, Any] = {}
    missing = set(wanted)
    for _ in range(count):
        key = _string(stream)
        value = _value(stream, struct.unpack("<I", stream.read(4))[0])
        if value is not None:
            entries[key] = value
        missing -= {key, "*." + key.partition(".")[2]}
        if wanted and not missing:
            break
    return entries


def _string(stream: BinaryIO) -> str:
    (length,) = struct.unpack("<Q", stream.read(8))
    if length > _LIMIT:
        raise ValueError("a text in the header is longer than any real one")
    return stream.read(length).decode("utf-8")


def _value(stream: BinaryIO, kind: int) -> Any:
    """One value; None for an array, which is skipped."""
    if kind == _STRING:
        return _string(stream)
    if kind != _ARRAY:
        size = struct.calcsize("<" + _SCALARS[kind])
        return struct.unpack("<" + _SCALARS[kind], stream.read(size))[0]
    inner, count = struct.unpack("<IQ", stream.read(12))
    if count > _LIMIT:
        raise ValueError("a list in the header is longer than any real one")
    if inner in _SCALARS:
        stream.seek(count * struct.calcsize("<" + _SCALARS[inner]), os.SEEK_CUR)
        return None
    for _ in range(count):
        if inner == _STRING:
            (length,) = struct.unpack("<Q", stream.read(8))
            stream.seek(length, os.SEEK_CUR)
        else:
            _value(stream, inner)
    return None


def convert(path: Path, folder: Path) -> None:
    """Dequantise the GGUF file ``path`` into ``folder``: config.json, tokenizer files, safetensors (float32).

    Raises ModelInvalid when transformers cannot read the file as a causal language model, or when the
    saved tokenizer does not repeat the original's tokens.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # In a folder of its own: from_pretrained also reads whatever else lies beside the file.
    alone = folder / "gguf"
    alone.mkdir()
    try:
        (alone / "model.gguf").symlink_to(path.resolve())
    except OSError:  # Windows without the right to make links
        shutil.copyfile(path, alone / "model.gguf")
    try:
        with quiet():
            read = AutoModelForCausalLM.from_pretrained(
                str(alone), gguf_file="model.gguf", dtype=torch.float32, local_files_only=True
            )
            tokenizer = AutoTokenizer.from_pretrained(str(alone), gguf_file="model.gguf", local_files_only=True)
            tokenizer.save_pretrained(str(folder))
            _fresh(read).save_pretrained(str(folder))
            saved = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # the loader raises every kind of exception for a file it does not know
        raise ModelInvalid(f"transformers cannot read this GGUF file: {first_line(error)}") from error
    finally:
        shutil.rmtree(alone, ignore_errors=True)
    before = tokenizer(_PROBE, add_special_tokens=False)["input_ids"]
    after = saved(_PROBE, add_special_tokens=False)["input_ids"]
    if before != after or tokenizer.bos_token_id != saved.bos_token_id:
        raise ModelInvalid("the tokenizer of this GGUF file changes when it is saved; use a model folder instead")


def _fresh(read: Any) -> Any:
    """The same weights under a plain config: ``save_pretrained`` refuses a model that was read from GGUF."""
    import torch

    values = read.config.to_dict()
    for key in ("quantization_config", "_name_or_path", "transformers_version"):
        values.pop(key, None)
    config = type(read.config).from_dict(values)
    config.architectures = [type(read).__name__]  # some GGUF configs have none, and the bridge asks for it
    with torch.device("meta"):
        model = type(read)(config)
    model.load_state_dict(read.state_dict(), assign=True)
    model.tie_weights()
    return model
