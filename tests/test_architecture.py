"""The order of the stages: imports go forward only, and torch stays where it belongs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent / "circuits"

# Each stage may import itself and the stages before it.
STAGES = (
    "errors",
    "prompts",
    "claims",
    "extensions",
    "models",
    "schema",
    "store",
    "measure",
    "verdict",
    "report",
    "items",
    "meaning",
    "entries",
    "answers",
    "changes",
    "diff",
    "kinds",
    "effects",
    "patterns",
    "evidence",
    "robust",
    "foresight",
    "evaluate",
    "scan",
)
TORCH_FREE = (
    "errors",
    "prompts",
    "claims",
    "extensions",
    "schema",
    "verdict",
    "report",
    "store",
    "items",
    "meaning",
    "entries",
    "answers",
    "diff",
    "plugin",
    "pytest_plugin",
    "cli",
    "commands",
    "scan",
)
HEAVY = ("torch", "transformers", "transformer_lens", "pandas", "matplotlib", "scipy")


def modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def stage_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def imports(path: Path, *, top_only: bool) -> list[str]:
    """Names of the modules that a file imports; ``top_only`` leaves out functions and type checking."""
    tree = ast.parse(path.read_text())
    found: list[str] = []

    def visit(body: list[ast.stmt]) -> None:
        for node in body:
            if isinstance(node, ast.Import):
                found.extend(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                found.append(node.module)
            elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                continue
            elif isinstance(node, (ast.If, ast.Try, ast.With, ast.ClassDef)) or (
                isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not top_only
            ):
                visit(node.body)

    visit(tree.body)
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_stage_imports_only_itself_and_earlier_stages(path: Path) -> None:
    """No import goes backward, at the top of a module or inside a function."""
    own = path.relative_to(ROOT).parts[0].removesuffix(".py")
    if own not in STAGES:
        return
    allowed = set(STAGES[: STAGES.index(own) + 1])
    used = {stage_of(name) for name in imports(path, top_only=False) if name.startswith("circuits.")}
    assert used <= allowed, f"{own} imports {sorted(used - allowed)}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_heavy_is_imported_at_the_top_of_a_module(path: Path) -> None:
    """Heavy libraries are imported inside the functions that need them, so that the warm path is quick."""
    own = path.relative_to(ROOT).parts[0].removesuffix(".py")
    used = {name.split(".")[0] for name in imports(path, top_only=True)}
    assert not used & set(HEAVY)
    if own in TORCH_FREE:
        anywhere = {name.split(".")[0] for name in imports(path, top_only=False)}
        assert not anywhere & {"torch", "transformers", "transformer_lens"}


def test_the_walk_would_see_a_backward_import(tmp_path: Path) -> None:
    """The check above can fail: it sees imports in functions, classes and branches."""
    source = "if 1:\n    import torch\ndef f():\n    from circuits.report import record\nclass A:\n    import pandas\n"
    file = tmp_path / "m.py"
    file.write_text(source)
    assert imports(file, top_only=False) == ["torch", "circuits.report", "pandas"]
    assert imports(file, top_only=True) == ["torch", "pandas"]


def test_the_plugin_loads_nothing_heavy() -> None:
    """pytest loads the plugin at every start, so it must cost next to nothing."""
    code = "import sys, circuits.pytest_plugin; print([m for m in sys.modules if m.split('.')[0] in ('torch', 'numpy', 'yaml', 'scipy')])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_modules_are_short() -> None:
    """A module does one thing: none is longer than 500 lines."""
    long = {path.name: count for path in modules() if (count := len(path.read_text().splitlines())) > 500}
    assert not long
