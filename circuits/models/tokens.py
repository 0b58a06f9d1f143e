"""A model's tokenizer without its weights, for what only looks at tokens. Nothing is downloaded here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from circuits.errors import ModelInvalid, ModelUnavailable
from circuits.models.cachefolder import Progress
from circuits.models.hubcache import cached_folders, has_tokenizer
from circuits.models.presence import place_of
from circuits.models.quiet import first_line, quiet
from circuits.models.source import ModelSource
from circuits.models.tokenizer import HFTokenizer


def tokenizer_of(source: ModelSource, progress: Progress | None = None) -> HFTokenizer:
    """The tokenizer of a model whose tokenizer files are here; the reference model's is made in memory.

    A GGUF file that was never read is converted first. ModelUnavailable, in one line: the files are not here.
    ModelInvalid: they are there but cannot be read.
    """
    if source.kind == "reference":
        from circuits.models.reference import _tokenizer, vocabulary  # its file is its digest: nothing is added there

        with quiet():
            return HFTokenizer(_tokenizer(vocabulary()), name=source.name, embedding_rows=len(vocabulary()))
    folder = _folder(source, progress)
    from transformers import AutoTokenizer

    with quiet():
        try:
            found: Any = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
        except Exception as error:  # transformers raises every kind of exception for a bad folder
            message = f"{source.name}: the tokenizer in {folder} cannot be read: {first_line(error)}"
            raise ModelInvalid(message) from error
    return HFTokenizer(found, name=source.name, embedding_rows=_rows(folder) or len(found))


def _folder(source: ModelSource, progress: Progress | None) -> Path:
    place = place_of(source)
    if place is not None and place.is_dir():
        return place
    if source.kind == "gguf":
        from circuits.models.fetch import gguf_folder

        return gguf_folder(source, progress)
    for folder in _candidates(source):
        if has_tokenizer(folder):
            return folder
    size = source.location.get("download")
    other = f", or give a local folder with --circuit-model {source.name}=DIR" if source.kind == "hub" else ""
    raise ModelUnavailable(
        f"{source.name}: its tokenizer is not here; `circuits models fetch {source.name}` brings the model"
        f"{f' ({size})' if size else ''}{other}"
        if source.kind != "folder"
        else f"{source.name}: there is no folder {source.location['path']} with a tokenizer"
    )


def _candidates(source: ModelSource) -> list[Path]:
    """Folders that may hold the tokenizer though not the weights."""
    if source.kind == "folder":
        return [Path(source.location["path"])]
    return list(cached_folders(source.location)) if source.kind == "hub" else []


def _rows(folder: Path) -> int | None:
    """The rows of the model's embedding by its config.json; None where that does not say."""
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        text = found.get("text_config") or found
        return int(text["vocab_size"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
