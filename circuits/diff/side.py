"""One side of a comparison: what a project's claims asked and came to, in a file, a folder or at a commit."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from circuits.changes import Repository
from circuits.claims.claim import PromptSet
from circuits.claims.load import Knowledge
from circuits.entries import expectation, model_name, suite_entry
from circuits.errors import CircuitsError
from circuits.items import Item, items_of, load, named_own, prompt_sets
from circuits.meaning import meaning
from circuits.prompts.registry import with_defaults
from circuits.report.pages import verdict_of
from circuits.report.record import file_of, load_record
from circuits.store import code_digest

RECORD = "results.json"
REPORTS = "reports"
SUITES = "hypotheses"
UNMEASURED = "not measured"
OWN_CODE = "own code: "
_SUFFIXES = (".yaml", ".yml")

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class ClaimState:
    """A claim on one side. ``entry``: what it came to as it stands (None: nothing is recorded of this version).

    ``digest`` is its meaning and ``code`` the code that made the digest; ``measured_by`` that which measured it. ``facts``: the model, the
    sampling and the parameters of the prompt sets, by a name each.
    """

    node_id: str
    digest: str | None
    yaml: str
    expected: str
    entry: Entry | None
    code: str | None
    measured_by: str | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    invalid: bool = False

    @property
    def verdict(self) -> str:
        """One of the verdicts; observed, invalid, skipped, error or ``not measured``."""
        if self.entry is None:
            return "invalid" if self.invalid else UNMEASURED
        return "error" if self.entry.get("status") == "error" else verdict_of(self.entry)

    @property
    def vacuous(self) -> bool | None:
        """Whether uniform attention would satisfy it too; None where there is no answer."""
        return None if self.entry is None else bool(self.entry.get("vacuous"))

    @property
    def shown(self) -> str:
        """The verdict as people read it: in capitals, with VACUOUS where it is."""
        return self.verdict.upper() + (" (VACUOUS)" if self.vacuous else "")


@dataclass(frozen=True)
class Side:
    """All claims of one side by node id. ``models``: model name -> digest; ``notes``: what could not be known."""

    name: str
    claims: Mapping[str, ClaimState]
    models: Mapping[str, str | None]
    notes: tuple[str, ...] = ()


def read_side(text: str, here: Path, know: Knowledge) -> Side:
    """Read OLD or NEW: a results.json, a report folder, a project folder, or a commit (``REF`` or ``REF:PATH``).

    A file or folder of that name comes before a commit. Of a project folder and of a commit the suites are read too, and
    what the record says of an earlier wording is not taken for an answer. Raises CircuitsError for what is none of them.
    """
    place = here / text
    if place.is_file():
        return _of_record(text, load_record(place))
    if (place / RECORD).is_file():
        return _of_record(text, load_record(place / RECORD))
    if place.is_dir():
        if not (place / REPORTS / RECORD).is_file() and not (place / SUITES).is_dir():
            raise CircuitsError(
                f"{text}: there is neither {RECORD} nor {REPORTS}/{RECORD} nor a folder {SUITES} in it; "
                "name a report folder, or a project's folder"
            )
        name = "the working tree" if text == "." else text
        current = place.resolve() == here.resolve()
        return _of_project(name, place, load_record(place / REPORTS / RECORD), know, current)
    return _of_commit(text, here, know)


def _of_commit(text: str, here: Path, know: Knowledge) -> Side:
    ref, _, inside = text.partition(":")
    try:
        repository = Repository(here, ref)
    except CircuitsError as error:
        raise CircuitsError(f"{text!r} is no file, no folder and no commit: {error}") from error
    record_at = _record_at(repository, here, inside)
    raw = repository.text(repository.top / record_at)
    if raw is None and inside:
        raise CircuitsError(f"there is no {record_at} at {ref} ({repository.commit[:10]})")
    name = f"{text} ({repository.commit[:10]})"
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        repository.yaml_files(tree)
        root = tree / record_at.parent.parent
        found = tree / record_at
        found.parent.mkdir(parents=True, exist_ok=True)
        if raw is not None:
            found.write_bytes(raw)
        try:
            record = load_record(found)
        except CircuitsError as error:
            raise CircuitsError(str(error).replace(str(found), f"{record_at} at {ref}")) from error
        side = _of_project(name, root, record, know)
    if raw is None:
        side = replace(
            side, notes=(*side.notes, f"{name}: no report was committed there, so nothing is known of verdicts")
        )
    return side


def _record_at(repository: Repository, here: Path, inside: str) -> PurePosixPath:
    """Where the record lies in the repository: below ``here``, or at ``inside``, which counts from its top as in git."""
    if inside:
        found = PurePosixPath(inside)
        return found if found.suffix == ".json" else found / RECORD
    return PurePosixPath(here.resolve().relative_to(repository.top.resolve()).as_posix(), REPORTS, RECORD)


def _of_record(name: str, record: Mapping[str, Any]) -> Side:
    claims = {node_id: _recorded(node_id, entry, record) for node_id, entry in record["claims"].items()}
    return Side(name, claims, _models(record))


def _models(record: Mapping[str, Any]) -> dict[str, str | None]:
    return {name: facts.get("digest") for name, facts in record["models"].items()}


def _recorded(node_id: str, entry: Entry, record: Mapping[str, Any]) -> ClaimState:
    facts = {"model": str(entry.get("model"))}
    # The confidence of "some head does it" is corrected for the number of heads: it is not the suite's.
    rows = [row for row in entry.get("checks") or [] if not row.get("observe") and not row.get("any")]
    for key in ("confidence", "seed"):
        known = {_number(row[key]) for row in rows if row.get(key) is not None}
        facts |= {f"sampling: {key}": known.pop()} if len(known) == 1 else {}
    for title, about in (entry.get("prompts") or {}).items():
        facts |= _prompt_facts(title, str((about or {}).get("family")), (about or {}).get("parameters") or {})
    facts |= _own_facts(entry.get("own") or [])
    return ClaimState(
        node_id, entry.get("digest"), str(entry.get("yaml") or ""), str(entry.get("expected") or "supported"), entry,
        _code(entry, record), _code(entry, record), facts, entry.get("status") == "invalid",
    )  # fmt: skip


def _code(entry: Entry, record: Mapping[str, Any]) -> str | None:
    run = record["runs"].get(str(entry.get("run"))) or {}
    found: str | None = run.get("code")
    return found


def _prompt_facts(title: str, family: str, parameters: Mapping[str, Any]) -> dict[str, str]:
    told = {f"prompts {title}: family": family}
    return told | {f"prompts {title}: {key}": _text(value) for key, value in parameters.items()}


def _own_facts(own: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The digest of each thing of the project's own, which only the code that made it can tell from another."""
    return {f"{OWN_CODE}{each.get('kind')} {each.get('name')}": str(each.get("code"))[:23] for each in own}


def _number(value: Any) -> str:
    """A number as records keep it: seeds whole, others by six digits; whatever else stands there as it is."""
    return f"{value:g}" if isinstance(value, float) else _text(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def _of_project(name: str, root: Path, record: Mapping[str, Any], know: Knowledge, current: bool = False) -> Side:
    """Suites and record of a project, the record's entries only where they answer the suites as they are.

    ``current``: what is known of a project's own code is this project's, as it is now.
    """
    claims: dict[str, ClaimState] = {}
    seen: dict[int, Any] = {}
    stale = recoded = unsure = unseen = 0
    suites = [load(path, know, path.relative_to(root).as_posix()) for path in _suites(root, record)]
    if not suites:
        return _of_record(name, record)
    for suite in suites:
        if suite.faults:
            node_id = f"{suite.path}::(suite)"
            claims[node_id] = ClaimState(
                node_id, None, "", "supported", suite_entry(suite, node_id), None, invalid=True
            )
        for item in items_of(suite, (root / suite.path).parent):
            entry = record["claims"].get(item.node_id)
            state = _asked(item, meaning(item, seen), know, current)
            answers, sure = _answers(state, entry, record)
            if entry is not None and not answers:
                recoded += entry.get("digest") == state.digest
                stale += entry.get("digest") != state.digest
            unsure += answers and not sure
            if entry is not None and answers:
                own = _own_facts(entry.get("own") or []) if _code(entry, record) == state.code else {}
                unseen += bool(entry.get("own")) and not current
                state = replace(
                    state, entry=entry, measured_by=_code(entry, record), facts=own | dict(state.facts), invalid=False
                )
            elif entry is not None and entry.get("status") != "invalid":
                state = replace(state, invalid=False)  # the run could read it, so it may be sound still: not measured
            claims[item.node_id] = state
    notes = []
    if stale:
        notes.append(f"{name}: {claims_were(stale)} edited after the report was written; their verdicts are not known")
    if recoded:
        notes.append(
            f"{name}: the project's own code that {recoded} claim{' uses' if recoded == 1 else 's use'} was edited after the "
            "report was written; what comes of that is not known"
        )
    if unsure:
        notes.append(
            f"{name}: {claims_were(unsure)} measured by another version of the program; that the report answers them is "
            "judged by their text alone"
        )
    if unseen:
        notes.append(
            f"{name}: {claims_were(unseen)} measured by code of the project's own; whether that was edited after the report was "
            "written is not known"
        )
    return Side(name, claims, _models(record), tuple(notes))


def claims_were(count: int) -> str:
    """``1 claim was``, ``2 claims were``."""
    return f"{count} claim{' was' if count == 1 else 's were'}"


def _suites(root: Path, record: Mapping[str, Any]) -> list[Path]:
    """The suites of a project: the YAML below a folder ``hypotheses``, and the files that its record names."""
    files = {root / file_of(node_id, entry) for node_id, entry in record["claims"].items()}
    found = {path for path in files if path.is_file() and path.resolve().is_relative_to(root.resolve())}
    for place, folders, names in os.walk(root):
        inner = Path(place)
        folders[:] = [name for name in folders if name[0] != "." and not (inner / name / "pyvenv.cfg").is_file()]
        if SUITES in inner.relative_to(root).parts:
            found |= {inner / name for name in names if name[0] != "." and name.lower().endswith(_SUFFIXES)}
    return sorted(found)


def _answers(state: ClaimState, entry: Entry | None, record: Mapping[str, Any]) -> tuple[bool, bool]:
    """Whether the record's entry answers a claim as it stands, and whether that is sure.

    Another version of the program may digest the same meaning otherwise: then the text and the facts that are recorded
    must tell. Claims that have a fault here are told by their text too: the run may know a family of the project's own.
    Where the project's own code is known as it is now, it must be that which was measured with.
    """
    if entry is None:
        return False, True
    known = _recorded(state.node_id, entry, record)
    if entry.get("digest") == state.digest:
        comparable = known.code == state.code
        return not (comparable and own_changed(known, state)), comparable or not entry.get("own")
    own = [name for name in state.facts if name.startswith(OWN_CODE)]
    alike = known.yaml == state.yaml and not facts_changed(known, state, leave=("sampling: seed", *own))
    if state.invalid:
        return alike, True
    return alike and known.code not in (None, state.code), False


def _asked(item: Item, digest: str, know: Knowledge, current: bool) -> ClaimState:
    """A claim of a suite, before the record is asked what it came to."""
    claim, suite = item.claim, item.suite
    facts = {"model": str(model_name(suite)), "model spec": _text(suite.model)}
    facts |= {f"sampling: {key}": _number(value) for key, value in asdict(suite.sampling).items()}
    facts |= _own_facts(named_own(item, know.own)) if current and not claim.faults else {}
    for prompts in () if claim.faults else prompt_sets(item):
        family = know.families.get(prompts.family)
        parameters = with_defaults(family, prompts.parameters) if family is not None else prompts.parameters
        facts |= _prompt_facts(prompts.title, prompts.family, parameters) | _beside(prompts)
    for circuit in (getattr(check.what, name, None) for check in claim.checks for name in ("circuit", "within")):
        facts |= {f"circuit {circuit.name}": ", ".join(map(str, circuit.components))} if circuit is not None else {}
    code = f"sha256:{code_digest()}"
    expected = expectation(claim.expect)
    return ClaimState(item.node_id, digest, claim.yaml, expected, None, code, facts=facts, invalid=bool(claim.faults))


def _beside(prompts: PromptSet) -> dict[str, str]:
    """What a prompt set says apart from its family's parameters; records do not hold it."""
    about = {"bos": prompts.bos, "roles": dict(prompts.roles), "requires": prompts.requires}
    return {f"prompts {prompts.title}: {key}": _text(value) for key, value in about.items()}


def own_changed(old: ClaimState, new: ClaimState) -> list[str]:
    """What of the project's own code is other, where both sides know it; it counts only where one program digested both."""
    return [text for text in facts_changed(old, new) if text.startswith(OWN_CODE)]


def facts_changed(old: ClaimState, new: ClaimState, leave: Iterable[str] = ()) -> list[str]:
    """Every fact that both sides know and that is another one, as text; ``leave``: names that do not count."""
    names = sorted((old.facts.keys() & new.facts.keys()) - set(leave))
    return [f"{name}: {old.facts[name]} -> {new.facts[name]}" for name in names if old.facts[name] != new.facts[name]]
