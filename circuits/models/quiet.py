"""Loading without noise: other libraries' progress bars and warnings off, and restored afterwards."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Iterator
from typing import Any

_LOGGERS = ("", "transformers", "huggingface_hub")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence bars, prints, log lines and Python warnings inside the block; exceptions still pass.

    Output is redirected because transformers' GGUF reader draws a plain tqdm bar that has no switch.
    """
    import transformers.utils.logging

    hf_logging: Any = transformers.utils.logging  # its functions carry no annotations
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    bars = hf_logging.is_progress_bar_enabled()
    hf_logging.disable_progress_bar()
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if bars:
            hf_logging.enable_progress_bar()


def first_line(error: BaseException, limit: int = 240) -> str:
    """An exception's text as one short line without a full stop: its first sentence or non-empty line."""
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    text = re.split(r"(?<=[a-z)'\"])\. (?=[A-Z])", text, maxsplit=1)[0].rstrip(".")
    return text if len(text) <= limit else text[: limit - 4].rstrip() + " ..."
