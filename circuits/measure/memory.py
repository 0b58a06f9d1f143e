"""When memory runs out: how it is recognised, and what can be given back."""

from __future__ import annotations

import gc
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
