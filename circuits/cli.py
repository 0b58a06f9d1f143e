"""The command ``circuits``: one module of ``circuits.commands`` each.

Measuring a suite is pytest's work (``pytest hypotheses/``).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from circuits.commands import cache, completion, diff, explain, families, lint, models, report, scan, schema, show
from circuits.commands.common import INTERRUPTED, OK, fail

COMMANDS = {
    "lint": lint,
    "show": show,
    "explain": explain,
    "schema": schema,
    "models": models,
    "families": families,
    "scan": scan,
    "report": report,
    "diff": diff,
    "cache": cache,
    "completion": completion,
}
"""Every command: its module has ``arguments(commands)``, which describes it, and ``run(given)``, which does it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. 0: fine; 1: faults found, or nothing to show; 2: not to be understood, or nothing to work on."""
    from circuits.errors import CircuitsError

    known = parser()
    completion.answer(known)
    given = known.parse_args(arguments)
    try:
        status: int = COMMANDS[given.command].run(given)
        sys.stdout.flush()  # here, where a reader who left is expected: at the interpreter's end it would be told
        return status
    except BrokenPipeError:  # the reader (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        return fail("interrupted", INTERRUPTED)
    except CircuitsError as error:
        return fail(str(error))
    except OSError as error:
        return fail(f"{error.strerror or error}: {error.filename}" if error.filename else str(error))


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    from circuits import __version__

    found = argparse.ArgumentParser(
        prog="circuits",
        description="Claims about attention heads, written in YAML. They are measured by `pytest hypotheses/`.",
    )
    found.add_argument("--version", action="version", version=f"pytest-circuits {__version__}")
    commands = found.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in COMMANDS.values():
        module.arguments(commands)
    return found


if __name__ == "__main__":
    sys.exit(main())
