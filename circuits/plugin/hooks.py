"""The hook by which a project's ``conftest.py`` hands in what it adds."""

from __future__ import annotations

from typing import Any


def pytest_circuits_extensions() -> Any:
    """Return a record or a list of the project's own: ``Family``, ``Role``, ``Score`` and ``Metric`` of ``circuits.extensions``.

    It takes no arguments: ``circuits lint`` calls it too, where there is no pytest session.
    """
