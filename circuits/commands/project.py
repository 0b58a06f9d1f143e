"""What a project's ``conftest.py`` files add, where no pytest session reads them."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from circuits.commands.common import ROOTS, suites_in
from circuits.errors import CircuitsError

if TYPE_CHECKING:
    from circuits.prompts.own import Extensions

HOOK = "pytest_circuits_extensions"


def project_extensions(files: Iterable[Path]) -> list[Any]:
    """The records of every ``conftest.py`` that pytest would read for these suites, from the project's root downwards.

    Raises CircuitsError for one that cannot be run.
    """
    conftests: dict[Path, None] = {}
    for file in files:
        for folder in reversed(_folders(file.resolve().parent)):
            if (folder / "conftest.py").is_file():
                conftests[folder / "conftest.py"] = None
    found: list[Any] = []
    for path in conftests:
        text = path.read_text(encoding="utf-8", errors="replace")
        if HOOK in text:  # others have nothing for us, and need not be run
            found += _asked(path)
    return found


def working_extensions() -> list[Any]:
    """The records of the working folder's project, its suites folder's included. Raises CircuitsError as above."""
    return project_extensions([Path("hypotheses") / "any.yaml", Path("any.yaml")])


def extensions_of(folder: Path) -> list[Any]:
    """The records of the project of a folder, those beside its suites (in or below ``hypotheses``) included.

    ``folder``: the project's, or one of suites. Raises CircuitsError as above.
    """
    suites = folder / "hypotheses"
    below = sorted(suites_in(suites if suites.is_dir() else folder))
    return project_extensions([folder / "any.yaml", suites / "any.yaml", *below])


def working_project() -> Extensions:
    """The same with the package's families, checked."""
    from circuits.extensions import extensions

    return extensions(working_extensions())


def _folders(folder: Path) -> list[Path]:
    """The folder and those above it, up to the project's root; the working folder where nothing marks one."""
    here = Path.cwd().resolve()
    upward = [folder, *folder.parents]
    for number, each in enumerate(upward, 1):
        if any((each / name).exists() for name in ROOTS) or each == here:
            return upward[:number]
    return upward[:1]


def _asked(path: Path) -> list[Any]:
    try:
        given = getattr(_run(path), HOOK)()
    except Exception as error:  # whatever a project's file raises becomes one line
        raise CircuitsError(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    return list(given) if isinstance(given, (list, tuple)) else [] if given is None else [given]


def _run(path: Path) -> ModuleType:
    """The file as a module under a name of its own; its folder can be imported from, as under pytest."""
    name = f"circuits_project_{sha256(str(path).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
