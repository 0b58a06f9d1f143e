"""Models of the Hugging Face hub: from its local cache, else by one download after one quick probe.

The hub's own client retries for half a minute where there is no network; here one request of at most
two seconds decides, and the answer is remembered for the process.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import os
import ssl
import threading
import urllib.error
import urllib.request
from pathlib import Path

from circuits.errors import ModelInvalid, ModelUnavailable
from circuits.models.cachefolder import Progress
from circuits.models.hubcache import commit_of, hub_cache, loadable, other_snapshots, snapshot
from circuits.models.quiet import first_line, quiet
from circuits.models.source import ModelSource

PROBE_SECONDS = 2.0

_SMALL_FILES = frozenset(
    {
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "tokenizer.model",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.json",
        "merges.txt",
    }
)


def hub_folder(source: ModelSource, progress: Progress | None = None, *, bar: bool = False) -> tuple[Path, str]:
    """(snapshot folder, commit) of a "hub" source, downloaded first when it is not in the hub's cache.

    Only the files that are needed are taken; a download that was interrupted goes on where it stopped. ``bar``: the hub's
    client shows its progress. ModelUnavailable: no copy and no hub, or a login is asked
    for. ModelInvalid: the hub has no such model or revision, or the model has no usable files.
    """
    model, revision = source.location["hub"], source.location["revision"]
    for name in (model, *source.location.get("aliases", "").split()):
        for commit in (revision, commit_of(name, revision)):
            folder = snapshot(name, commit) if commit else None
            if folder is not None:
                return folder, folder.name
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"
    if _offline() or not hub_reachable(endpoint):
        raise ModelUnavailable(_unreachable(source))
    return _download(source, endpoint, progress, bar)


def _offline() -> bool:
    values = (os.environ.get(name, "") for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))
    return any(value.strip().upper() in ("1", "ON", "YES", "TRUE") for value in values)


def _unreachable(source: ModelSource) -> str:
    reason = "is switched off (HF_HUB_OFFLINE)" if _offline() else "cannot be reached"
    other = next(other_snapshots(source.location["hub"], source.location["revision"]), None)
    copy = f"only another revision is cached ({other})" if other else "no copy is cached"
    return (
        f"{source.name}: the Hugging Face hub {reason} and {copy}; give a local folder with "
        f"--circuit-model {source.name}=DIR, or fill the cache on a machine with internet"
    )


@functools.cache
def hub_reachable(endpoint: str, seconds: float = PROBE_SECONDS) -> bool:
    """Whether one HTTP request to ``endpoint`` is answered within ``seconds``; asked once a process.

    A thread that is left behind makes the bound hold for a stalled name look-up too.
    """
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(_answers(endpoint, seconds)), daemon=True)
    thread.start()
    thread.join(seconds)
    return bool(answers and answers[0])


def _answers(endpoint: str, seconds: float) -> bool:
    try:
        request = urllib.request.Request(endpoint, method="HEAD")
        with urllib.request.urlopen(request, timeout=seconds):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500 and error.code not in (403, 407)  # 403 and 407 are what proxies answer
    except urllib.error.URLError as error:
        # Some Pythons have no root certificates of their own; the hub's client brings its own.
        return isinstance(error.reason, ssl.SSLCertVerificationError)
    except (OSError, ValueError, http.client.HTTPException):
        return False


def _download(source: ModelSource, endpoint: str, progress: Progress | None, bar: bool) -> tuple[Path, str]:
    from huggingface_hub import HfApi, errors

    model, revision = source.location["hub"], source.location["revision"]
    if progress is not None:
        progress(f"{source.name}: downloading {model} at {revision[:12]} from {endpoint}")
    try:
        with contextlib.nullcontext() if bar else quiet():
            api = HfApi(endpoint=endpoint)
            info = api.model_info(model, revision=revision, timeout=10)
            names = needed_files([file.rfilename for file in info.siblings or ()])
            # By the name that was asked for: so the cache knows without the hub which commit a branch was at.
            folder = Path(api.snapshot_download(model, revision=revision, allow_patterns=names, cache_dir=hub_cache()))
    except errors.GatedRepoError as error:
        raise ModelUnavailable(
            f"{source.name}: {model} wants its licence accepted: do so on its page, then `hf auth login`; "
            f"or give a local folder with --circuit-model {source.name}=DIR"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ModelInvalid(f"{source.name}: the hub's {model} has no revision {revision!r}") from error
    except errors.RepositoryNotFoundError as error:
        raise ModelInvalid(f"{source.name}: the hub has no model {model!r} that is public") from error
    except Exception as error:  # network libraries raise many kinds; all mean: not to be had now
        raise ModelUnavailable(
            f"{source.name}: the download of {model} failed: {first_line(error)}; try again, or give a local "
            f"folder with --circuit-model {source.name}=DIR"
        ) from error
    if not loadable(folder):
        raise ModelInvalid(
            f"{source.name}: the hub's {model} lacks config.json, weights (safetensors or pytorch_model.bin) "
            "or a tokenizer"
        )
    return folder, folder.name


def needed_files(names: list[str]) -> list[str]:
    """Of a repository's file names those to download: config, tokenizer, and weights in one format only."""
    top = [name for name in names if "/" not in name]
    safe = [
        name for name in top if name.startswith("model") and name.endswith((".safetensors", ".safetensors.index.json"))
    ]
    pickled = [name for name in top if name.startswith("pytorch_model") and name.endswith((".bin", ".bin.index.json"))]
    return sorted({*(_SMALL_FILES & set(top)), *(safe or pickled)})
