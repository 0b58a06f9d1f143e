"""Python's garbage collector, kept from looking through thousands of claims again and again.

What a session collects lives until it ends, and making a report makes no cycles. Left alone, the collector takes a third
of a run of 2,000 claims that did not change, and finds nothing: most of it when the interpreter ends and looks at
everything once more, before the operating system takes all memory back. Nothing of this is done in a session without claims.
"""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


def look_no_more_at_what_is_there() -> None:
    """What has been made so far is left out of later collections, until ``pytest_cmdline_main`` ends.

    And of the last one, that of an interpreter that ends.
    """
    gc.freeze()
    atexit.unregister(gc.freeze)  # once is enough, however many sessions a process has
    atexit.register(gc.freeze)


@contextmanager
def thawed() -> Iterator[None]:
    """Nothing that is frozen within stays frozen. What others had frozen before stays so, with what is frozen within."""
    before = gc.get_freeze_count()
    try:
        yield
    finally:
        if not before:
            gc.unfreeze()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_cmdline_main() -> Any:
    """Around the whole session, also the collections that pytest makes at its end."""
    with thawed():
        return (yield)
