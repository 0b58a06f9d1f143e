"""Whole answers kept between runs: an unchanged claim is answered without numpy, torch or the model.

The key of an answer is everything that it depends on: what the claim asks and says (not where it stands, nor the comment
at the head of its file), the options of the run, the digests of the models and all code of this package, with the
libraries that run the model. An answer rests on values that were measured; it is no measurement itself, and is labelled as
cached.

One file a suite, with a checksum: a damaged file counts as absent. Figures are part of an answer: where one is missing
from the report folder, the claim is answered anew.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

from circuits.errors import CircuitsError
from circuits.extensions import Extensions
from circuits.items import Item, Options, Outcome, other_models, own_code
from circuits.meaning import meaning
from circuits.models.source import ModelSource, resolve
from circuits.report.record import body_of
from circuits.store import digest_of, package_digest, read_texts, write_texts

KEPT = ("measured", "cached")
"""The states whose entries are kept: what was skipped, invalid or failed is looked at again each time."""
OLDER = 3
"""How many times as many answers as a suite has are kept, for other options and edits that are taken back."""
# What decides neither an answer nor a value: where the run was started from, and how many threads it had.
_ASIDE = ("models", "no_cache", "threads", "since")


class Answers:
    """The answers of one run. ``folder``: where they are kept (None: nowhere); ``figures``: the report folder, or None.

    ``own`` is what the project added; ``root`` tells projects with suites of the same name apart.
    """

    def __init__(self, folder: Path | None, options: Options, root: Path, figures: Path | None, own: Extensions):
        self.folder = folder
        self.options = options
        self.root = root
        self.figures = figures
        self.own = own
        asked = {name: value for name, value in asdict(options).items() if name not in _ASIDE}
        self._run = digest_of([asked, figures is not None, package_digest()])  # the same for all items of the run
        self._suites: dict[str, dict[str, str]] = {}  # bodies: of those for other options none is ever read
        self._sources: dict[int, ModelSource | None] = {}
        self._others: dict[str, ModelSource | None] = {}
        self._seen: dict[int, Any] = {}
        self._held: list[Any] = []

    def get(self, item: Item) -> tuple[Outcome | None, str | None]:
        """The kept outcome of an item, and the key under which it is or will be kept (None: it cannot be kept)."""
        key = self.key(item)
        if key is None or self.options.no_cache:
            return None, key
        text = self._of(item.suite.path).get(key)
        found = json.loads(text) if text is not None else None
        if found is None or not self._has_figures(found):
            return None, key
        entry, moved = _placed(found, item)
        body = body_of(entry) if moved else text
        return Outcome(entry | {"run": None, "cached": True, "status": "cached"}, entry["met"], body=body), key

    def key(self, item: Item) -> str | None:
        """The key of an item's answer; None where the model's digest is not known without loading it, or there are faults."""
        claim, suite = item.claim, item.suite
        source = self.source(item)
        if claim.faults or self.folder is None or source is None or source.digest is None:
            return None
        others = self.others(item)
        if any(other is None or other.digest is None for other in others):
            return None
        own = [each.plain() for each in own_code(item, self.own)]  # its prose stands in the answer
        self._held.append(item)  # ``_seen`` knows prompt sets by identity
        about = [
            meaning(item, self._seen), item.node_id, suite.title, claim.yaml, dict(claim.source or suite.source or {}),
            [check.text for check in claim.checks], list(claim.warnings), source.digest, source.where, source.name,
            [[other.digest, other.where, other.name] for other in others if other is not None],
            self._run, own,
        ]  # fmt: skip
        try:
            return digest_of(about)
        except TypeError:
            return None  # a value that JSON has no form for: answered anew each time

    def source(self, item: Item) -> ModelSource | None:
        """The model source of an item; None where it cannot be made out."""
        known = id(item.suite)
        if known not in self._sources:
            self._held.append(item.suite)
            self._sources[known] = self._resolved(item.suite.model, item.base)
        return self._sources[known]

    def others(self, item: Item) -> list[ModelSource | None]:
        """The sources of the models that an item is measured on besides its suite's; None where one cannot be made out."""
        specs = other_models(item)
        keys = [digest_of([spec, str(item.base)]) for spec in specs]
        for key, spec in zip(keys, specs, strict=True):
            if key not in self._others:
                self._others[key] = self._resolved(spec, item.base)
        return [self._others[key] for key in keys]

    def _resolved(self, spec: str | Mapping[str, str] | None, base: Path) -> ModelSource | None:
        try:
            return resolve(spec, self.options.models, base) if spec is not None else None
        except CircuitsError:
            return None

    def keep(self, entries: Mapping[str, tuple[str, Mapping[str, Any]]]) -> None:
        """Add answers: suite path and node id -> (key, entry of plain data). A full or read-only disk is no error."""
        if self.folder is None:
            return
        new: dict[str, dict[str, Any]] = {}
        for key, entry in entries.values():
            if entry["status"] in KEPT and entry["met"] is not None:
                new.setdefault(str(entry["file"]), {})[key] = entry
        for suite, answers in new.items():
            old = self._of(suite)
            if all(key in old for key in answers):
                continue
            fresh = {key: body_of(entry) for key, entry in answers.items()}
            kept = {**{key: text for key, text in old.items() if key not in fresh}, **fresh}
            most = (1 + OLDER) * max(len(answers), 32)
            kept = dict(list(kept.items())[-most:])  # the newest stand last
            write_texts(self._path(suite), kept)
            self._suites[suite] = kept

    def _has_figures(self, entry: Mapping[str, Any]) -> bool:
        if self.figures is None:
            return True
        paths = {
            row["figure"]["path"]
            for row in (*entry["checks"], *entry["profiles"])
            if row.get("figure") and row["figure"].get("path")
        }
        return all(path in self._drawn or (self.figures / path).is_file() for path in paths)

    @cached_property
    def _drawn(self) -> frozenset[str]:
        """The figures that lay in the report folder when the first answer was looked at: one listing for thousands."""
        assert self.figures is not None
        try:
            return frozenset(
                f"figures/{place.name}" for place in os.scandir(self.figures / "figures") if place.is_file()
            )
        except OSError:
            return frozenset()

    def _of(self, suite: str) -> dict[str, str]:
        if suite not in self._suites:
            self._suites[suite] = read_texts(self._path(suite)) if self.folder is not None else {}
        return self._suites[suite]

    def _path(self, suite: str) -> Path:
        assert self.folder is not None
        return self.folder / f"{digest_of([str(self.root), suite])[:32]}.txt"


def _placed(entry: dict[str, Any], item: Item) -> tuple[dict[str, Any], bool]:
    """A kept entry as its claim stands in the file now, and whether it stood otherwise when it was kept."""
    lines = {check.index: check.where.line for check in item.claim.checks}
    now = [lines.get(row["index"], row["line"]) for row in entry["checks"]]
    about = {"line": item.claim.where.line, "notes": item.suite.notes}
    moved = [row["line"] for row in entry["checks"]] != now or any(entry.get(key) != about[key] for key in about)
    if moved:
        rows = [{**row, "line": line} for row, line in zip(entry["checks"], now, strict=True)]
        entry = {**entry, **about, "checks": rows}
    return entry, moved
