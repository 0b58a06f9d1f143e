"""When memory runs out: how it is recognised, and what can be given back. And how much of it is kept for the next tensors."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import sys

LEAST_BATCH = 64
"""Tokens below which batches are not halved any more: then it is not the batch that is too large."""
_SAID = ("out of memory", "can't allocate memory", "not enough memory")


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device, or the machine, has no memory left.

    CUDA raises torch.OutOfMemoryError, mps and the CPU's allocator a RuntimeError that says so.
    """
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error).lower() for text in _SAID)


def free_memory() -> None:
    """Give back what nothing refers to any more, on the device too."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


KEPT_FREE = 2**29
"""How much freed memory the C library may keep for what comes next, in bytes."""
LARGEST_KEPT = 2**25
"""The largest piece that it may keep, in bytes: more than glibc allows is refused."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)


def keep_freed_memory() -> bool:
    """Let glibc keep freed tensors for the next ones. Whether it does now.

    By itself it gives each layer's tensors back to the system and asks for them again, zeroed page by page: an eighth of a
    pass of SmolLM2-135M on a CPU. Nothing is changed where there is another C library, or where the user has set it up.
    """
    chosen = "GLIBC_TUNABLES" in os.environ or any(name.startswith("MALLOC_") for name in os.environ)
    if chosen or platform.libc_ver()[0] != "glibc":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(_MMAP_THRESHOLD, LARGEST_KEPT)) and bool(mallopt(_TRIM_THRESHOLD, KEPT_FREE))
