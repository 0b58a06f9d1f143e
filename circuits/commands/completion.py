"""``circuits completion``: the shell completes commands, options, models, families, claims and files."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from circuits.commands.common import OK, USAGE, add, fail, say

if TYPE_CHECKING:
    from circuits.commands.common import Commands

SHELLS = ("bash", "zsh", "fish")
_MISSING = "completion needs the package argcomplete: pip install argcomplete"


def arguments(commands: Commands) -> None:
    """Its arguments."""
    parser = add(
        commands, "completion", "print a script that makes the shell complete `circuits`",
        """circuits completion bash
eval "$(circuits completion bash)"                                       # bash: in ~/.bashrc
circuits completion zsh > ~/.circuits-completion.zsh                     # zsh: `source` it in ~/.zshrc after compinit
circuits completion fish > ~/.config/fish/completions/circuits.fish""",
    )  # fmt: skip
    parser.add_argument("shell", choices=SHELLS)


def run(given: argparse.Namespace) -> int:
    """2 without argcomplete."""
    try:
        from argcomplete import shellcode
    except ImportError:
        return fail(_MISSING, USAGE)
    say(shellcode(["circuits"], shell=given.shell))
    return OK


def answer(parser: argparse.ArgumentParser) -> None:
    """Answer the shell and stop, where it is the shell that asks; else do nothing (and import nothing)."""
    if "_ARGCOMPLETE" not in os.environ:
        return
    try:
        from argcomplete import autocomplete
    except ImportError:
        return
    autocomplete(parser)
