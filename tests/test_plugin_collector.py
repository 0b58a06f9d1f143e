"""Python's garbage collector during a session, and as it is left."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests_of_plugin import GOOD, project

CONFTEST = """\
import gc, json, pathlib

def pytest_runtest_call(item):
    told = {"enabled": gc.isenabled(), "frozen": gc.get_freeze_count()}
    (pathlib.Path(__file__).parent / "during.json").write_text(json.dumps(told))
"""
MAIN = """\
import atexit, gc, json, sys

def last():
    told.append({{"at exit": gc.get_freeze_count()}})
    with open("after.json", "w") as file:
        json.dump(told, file)

atexit.register(last)
{before}
import pytest
before = {{"enabled": gc.isenabled(), "frozen": gc.get_freeze_count()}}
status = int(pytest.main(["-q", *sys.argv[1:]]))
after = {{"enabled": gc.isenabled(), "frozen": gc.get_freeze_count(), "status": status}}
told = [before, after]
"""


def test_a_session_without_claims_is_no_business_of_the_plugins(tmp_path: Path) -> None:
    """Tests of another project find the collector as Python has it."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_other.py").write_text("def test_it():\n    pass\n")
    main = MAIN.format(before="")
    done = subprocess.run([sys.executable, "-c", main, "."], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "during.json").read_text()) == {"enabled": True, "frozen": 0}
    _, after, last = json.loads((tmp_path / "after.json").read_text())
    assert after == {"enabled": True, "frozen": 0, "status": 0}
    assert last == {"at exit": 0}


@pytest.mark.parametrize("before", ["", "gc.freeze()", "gc.disable()"], ids=["as it is", "frozen", "off"])
@pytest.mark.parametrize("status", [0, 4], ids=["run", "refused"])
def test_the_collector_is_left_as_it_was(tmp_path: Path, before: str, status: int) -> None:
    """While claims are tested it works, and looks at none of them; afterwards it is as it was, also after an error.

    Only the last collection, that of an interpreter which ends, finds nothing to look at.
    """
    folder = project(tmp_path, good=GOOD)
    (folder / "conftest.py").write_text(CONFTEST)
    given = ["hypotheses"] if status == 0 else ["hypotheses/none.yaml"]
    done = subprocess.run(
        [sys.executable, "-c", MAIN.format(before=before), "-p", "no:cacheprovider", *given],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    was, now, last = json.loads((folder / "after.json").read_text())
    assert now["status"] == status
    assert now["enabled"] == was["enabled"] == ("disable" not in before)
    assert bool(now["frozen"]) == bool(was["frozen"]) == ("freeze" in before)
    if status == 0:
        during = json.loads((folder / "during.json").read_text())
        assert during["enabled"] == was["enabled"]
        assert during["frozen"] > was["frozen"]
        assert last["at exit"] > during["frozen"]
