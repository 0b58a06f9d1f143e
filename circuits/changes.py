"""Which claims ask something else than at an earlier commit, or ask it of another model, other prompts or other code.

Suites are read as they were at the commit; what they were measured with then is read from the report's record there.
Nothing is measured, and no layout counts: see ``meaning``.
"""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from circuits.claims.load import Knowledge
from circuits.errors import CircuitsError
from circuits.extensions import Extensions
from circuits.items import Item, items_of, load, named_own, own_code
from circuits.meaning import meaning
from circuits.report.record import own_digest

NEW, ASKS, MODEL, CODE, OWN, UNKNOWN = (
    "new or renamed", "another meaning", "another model", "other measuring code or libraries", "other code of the project's own",
    "no record of how it was measured",
)  # fmt: skip


@dataclass(frozen=True)
class Changes:
    """Node id -> why it is to be tested again; what is not in it is as it was.

    ``commit``: the full name of REF. ``recorded``: whether a report was committed there, which tells of model and code.
    """

    ref: str
    commit: str
    why: Mapping[str, str]
    recorded: bool = True

    def in_words(self, total: int) -> str:
        """One line: how many are tested and why, and how many are left out."""
        counts: dict[str, int] = {}
        for reason in self.why.values():
            counts[reason] = counts.get(reason, 0) + 1
        told = "; ".join(f"{count} {reason}" for reason, count in sorted(counts.items(), key=lambda each: -each[1]))
        left = total - len(self.why)
        tested = (
            f"{len(self.why)} of {total} claims are tested ({told})"
            if self.why
            else f"none of {total} claims is tested"
        )
        place = f"{self.ref} ({self.commit[:10]})"
        same = (
            "of the same model, prompts and code"
            if self.recorded
            else (
                "of the same prompts; whether model or measuring code are others is not known, for no report was committed there"
            )
        )
        verb = "asks what it" if left == 1 else "ask what they"
        rest = f"; {left} {verb} asked at {place}, {same}"
        return f"--circuit-changed: {tested}{rest if left else ''}"


class Repository:
    """The git repository that a folder lies in. Raises CircuitsError where there is none, or no such commit."""

    def __init__(self, folder: Path, ref: str):
        self.ref = ref
        self.top = Path(self._git(folder, "rev-parse", "--show-toplevel").decode().strip())
        self.commit = self._git(folder, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}").decode().strip()

    def _git(self, folder: Path, *arguments: str) -> bytes:
        try:
            done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=False, timeout=60)
        except (OSError, subprocess.SubprocessError) as error:
            raise CircuitsError(f"git cannot be run: {error}") from error
        if done.returncode:
            said = (
                done.stderr.decode(errors="replace").strip().removeprefix("fatal: ")
                or f"there is no commit {self.ref!r}"
            )
            raise CircuitsError(f"{said} (git {arguments[0]} in {folder})")
        return done.stdout

    def text(self, path: Path) -> bytes | None:
        """A file as it was at the commit; None where it was not there or lies outside."""
        try:
            inside = path.resolve().relative_to(self.top.resolve()).as_posix()
            return self._git(self.top, "show", f"{self.commit}:{inside}")
        except (ValueError, CircuitsError):
            return None

    def ignores(self, path: Path) -> bool:
        """Whether git is told to ignore a file (a virtual environment's, say); so is what lies outside the repository."""
        try:
            inside = path.resolve().relative_to(self.top.resolve()).as_posix()
        except ValueError:
            return True
        try:
            self._git(self.top, "check-ignore", "--quiet", "--", inside)
        except CircuitsError:
            return False
        return True

    def yaml_files(self, into: Path) -> None:
        """Every YAML file of the commit, below ``into``."""
        names = self._git(self.top, "ls-tree", "-r", "-z", "--name-only", self.commit).decode().split("\0")
        wanted = [name for name in names if PurePosixPath(name).suffix.lower() in (".yaml", ".yml")]
        if wanted:
            packed = self._git(self.top, "archive", "--format=tar", self.commit, "--", *wanted)
            with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
                if hasattr(tarfile, "data_filter"):
                    archive.extractall(into, filter="data")
                else:  # Python 3.11.0 to 3.11.3: no link can lead outside where none is made
                    archive.extractall(into, members=[member for member in archive if member.isfile()])


def changes_since(
    ref: str,
    items: Iterable[Item],
    root: Path,
    know: Knowledge,
    *,
    report: Path | None,
    code: str,
    digests_of_models: Callable[[Item], Sequence[str | None]],
) -> Changes:
    """What of ``items`` is not as it was at ``ref`` (any name of a commit).

    ``root``: the folder that suites' paths start from; ``report``: where the record lies; ``code``: today's digest of the
    measuring code; ``digests_of_models``: today's digests of the models that an item is measured on, its suite's first.
    Raises CircuitsError outside git or for a name that is no commit.
    """
    repository = Repository(root, ref)
    items = list(items)
    then = _meanings(repository, items, root, know)
    record = _record(repository, report)
    files = {item.node_id: {path for each in own_code(item, know.own) for path in each.files} for item in items}
    edited = {path for path in set[Path]().union(*files.values()) if _edited(repository, path)}
    why: dict[str, str] = {}
    for item in items:
        reason = _why(item, then, record, code, digests_of_models)
        if reason is None and (files[item.node_id] & edited or _recoded(record, item, know.own)):
            reason = OWN
        if reason is not None:
            why[item.node_id] = reason
    return Changes(ref, repository.commit, why, record is not None)


def _why(
    item: Item,
    then: Mapping[str, str],
    record: Mapping[str, Any] | None,
    code: str,
    digests_of_models: Callable[[Item], Sequence[str | None]],
) -> str | None:
    if item.claim.faults or item.node_id not in then:
        return NEW
    if then[item.node_id] != meaning(item):
        return ASKS
    if record is None:
        return None
    entry = (record.get("claims") or {}).get(item.node_id)
    run = (record.get("runs") or {}).get(str((entry or {}).get("run")))
    if entry is None or run is None or "code" not in run or entry.get("status") not in ("measured", "cached"):
        return UNKNOWN
    if run["code"] != code:
        return CODE
    known = [(record.get("models") or {}).get(entry.get("model")) or {}, *(entry.get("other_models") or [])]
    digests = [model.get("digest") for model in known]
    return MODEL if None in digests or digests != list(digests_of_models(item)) else None


def _meanings(repository: Repository, items: Iterable[Item], root: Path, know: Knowledge) -> dict[str, str]:
    """Node id -> meaning of every claim that the suites of ``items`` had at the commit."""
    found: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as name:
        old = Path(name)
        repository.yaml_files(old)
        for path in dict.fromkeys(item.suite.path for item in items):
            try:
                file = old / (root / path).resolve().relative_to(repository.top.resolve())
            except ValueError:
                continue  # a suite outside the repository has no earlier state
            if file.is_file():
                suite = load(file, know, path)
                found |= {item.node_id: meaning(item) for item in items_of(suite, file.parent) if not item.claim.faults}
    return found


def _record(repository: Repository, report: Path | None) -> dict[str, Any] | None:
    text = repository.text(report / "results.json") if report is not None else None
    try:
        found = json.loads(text) if text is not None else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _edited(repository: Repository, path: Path) -> bool:
    """Whether a file of a project's own code differs from the commit's, or is not in it: code that moved may be other code.

    Of what lies outside the repository, or is ignored, nobody can tell.
    """
    before = repository.text(path)
    return before != path.read_bytes() if before is not None else not repository.ignores(path)


def _recoded(record: Mapping[str, Any] | None, item: Item, own: Extensions) -> bool:
    """Whether what a claim uses of the project's own has another digest than in the record's entry of it."""
    if record is None:
        return False
    return own_digest(record["claims"][item.node_id].get("own") or []) != own_digest(named_own(item, own))
