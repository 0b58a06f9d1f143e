"""A suite file -> Suite. Every fault of the file at once; a bad claim never stops the others."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from circuits.claims import values
from circuits.claims.claim import Circuit, Claim, Expect, PromptSet, Suite
from circuits.claims.dry import DryRun
from circuits.claims.keys import SUITE_KEYS, misspelt
from circuits.claims.load_claim import ClaimReader
from circuits.claims.load_includes import Included, include
from circuits.claims.load_parts import Context, Shape
from circuits.claims.load_prompts import Checker, RoleChecker, read_prompt_set
from circuits.claims.load_top import read_circuit, read_model, read_sampling
from circuits.claims.notes import head_notes
from circuits.claims.recover import Block, Read, read
from circuits.claims.source import Faults, Node, in_order
from circuits.errors import Fault, Position, garbage_kept
from circuits.prompts.own import Extensions
from circuits.prompts.prompt import Family

__all__ = ["SUITE_KEYS", "Knowledge", "load_suite"]


@dataclass(frozen=True)
class Knowledge:
    """What the loader must know about the rest of the product, handed in so that it imports none of it.

    ``check_model``: problems of a model spec as (key, message). ``shape``: (layers, heads) of a
    model spec found from a folder, or None when unknown without the weights. ``own``: what the project added.
    """

    families: Mapping[str, Family]
    check_params: Checker
    check_roles: RoleChecker
    check_model: Callable[[Any], list[tuple[str, str]]]
    shape: Callable[[Any, Path], tuple[int, int] | None]
    own: Extensions = field(default_factory=Extensions)

    @cached_property
    def dry(self) -> DryRun:
        """One dry run for all suites, which often share their prompts."""
        return DryRun(self.families, self.own)


def load_suite(path: Path, knowledge: Knowledge, name: str | None = None) -> Suite:
    """Load one suite file.

    ``name`` is how the file is called in messages and node ids. Never raises for what the file
    contains: see ``Suite.faults`` and each ``Claim.faults``, both by line and column.
    """
    with garbage_kept():
        return _Loader(path, knowledge, name or str(path)).suite()


class _Loader:
    def __init__(self, path: Path, knowledge: Knowledge, name: str):
        self.path = path
        self.name = name
        self.knowledge = knowledge
        self.dry = knowledge.dry
        self.own_roles: tuple[str, ...] = ()
        self.prompts: dict[str, tuple[PromptSet, ...]] = {}
        self.broken: dict[str, Position] = {}
        self.circuits: dict[str, Circuit] = {}
        self.broken_circuits: dict[str, Position] = {}
        self.included = Included()
        self.roles: dict[int, tuple[PromptSet, frozenset[str]]] = {}  # by identity: a set's parameters have no hash

    def suite(self) -> Suite:
        """The passes of loading, in order."""
        source = read(self.path, self.name)
        top, faults = source.top, source.faults
        nothing = Suite(path=self.name, title=Path(self.name).stem, notes=head_notes(faults.lines))
        if top is None or not values.keys(top, faults, "the suite", SUITE_KEYS):
            return replace(nothing, claims=_set_aside(source), faults=in_order(faults.found))
        # A role that the suite names nowhere is not looked for: its code then decides nothing here.
        written = set(re.findall(r"\w+", "\n".join(faults.lines)))
        scored = " ".join(score.selector or "" for name, score in self.knowledge.own.scores.items() if name in written)
        written |= set(re.findall(r"\w+", scored))
        self.own_roles = tuple(name for name in self.knowledge.own.roles if name in written)
        title_node, source_node = top.get("suite"), top.get("source")
        title = values.text(title_node, faults, "suite") if title_node is not None else None
        know = self.knowledge
        model, shape, no_model = read_model(top, faults, know.check_model, know.shape, self.path.parent)
        before = len(faults.found)
        sampling = read_sampling(top.get("sampling"), faults)
        if len(faults.found) > before and no_model is None:
            no_model = f"the suite's sampling has a fault (line {faults.found[before].where.line})"
        if source_node is not None and source_node.kind != "map":
            faults.add(source_node, f"source must be a mapping, not {source_node.noun}", "write source: {title: ...}")
            source_node = None
        include(top, faults, (self.path.resolve(),), self.included, lambda read: self.read_sets(read, shape))
        self.read_sets(source, shape)
        claims = self.claims(source, top, shape, no_model, model)
        warning = "the suite has no title: add suite: with a few words" if title_node is None and claims else None
        return Suite(
            path=self.name,
            title=" ".join((title or Path(self.name).stem).split()),
            model=model,
            sampling=sampling,
            prompts=self.prompts,
            circuits=self.circuits,
            claims=claims,
            source=values.plain(source_node) if source_node is not None else None,
            notes=head_notes(faults.lines),
            faults=(*in_order(faults.found), *self.included.faults),
            warnings=(warning,) if warning else (),
        )

    def read_sets(self, source: Read, shape: Shape | None) -> None:
        """The ``prompts:`` and ``circuits:`` sections of a file."""
        top, faults = source.top, source.faults
        assert top is not None
        aside = {"prompts": False, "circuits": False}  # whether entries of the section are no YAML
        for block, fault in source.broken:
            if block.section in aside:
                aside[block.section] = True
                faults.found.append(fault)
                (self.broken if block.section == "prompts" else self.broken_circuits)[block.name] = fault.where
        parsing = list(faults.found)
        for _, section in top.all("prompts"):
            if section.kind != "map" and not (section.null and aside["prompts"]):
                hint = "write prompts: {ioi: {family: ioi}}"
                faults.add(section, f"prompts must map names to prompt sets, not {section.noun}", hint)
            for key, node in (*section.entries, *section.repeated):
                self.named_set(key, node, faults, parsing)
        for _, section in top.all("circuits"):
            if section.kind != "map" and not (section.null and aside["circuits"]):
                message = f"circuits must map names to {{heads: [...], mlps: [...]}}, not {section.noun}"
                faults.add(section, message, 'write circuits: {numbers: {heads: ["1.5", "4.4"]}}')
            for key, node in (*section.entries, *section.repeated):
                self.named_circuit(key, node, faults, parsing, shape)

    def named_circuit(self, key: Node, node: Node, faults: Faults, parsing: list[Fault], shape: Shape | None) -> None:
        """One entry of ``circuits:``; a faulty one is kept in ``broken_circuits``, as with prompt sets."""
        before = len(faults.found)
        found = read_circuit(key, node, faults, shape)
        name = key.text.strip()
        own = [*faults.found[before:], *(fault for fault in parsing if node.covers(fault.where))]
        if own or found is None:
            self.broken_circuits[name] = own[0].where if own else key.where
            self.circuits.pop(name, None)
        else:
            self.circuits[name] = found
            self.broken_circuits.pop(name, None)

    def named_set(self, key: Node, node: Node, faults: Faults, parsing: list[Fault]) -> None:
        """One entry of ``prompts:``; a faulty one is kept in ``broken``, so that claims can point to it."""
        before = len(faults.found)
        if not re.fullmatch(r"[^\s\[\],:]+", key.text):
            message = f"{key.text!r} cannot be a prompt set's name: it becomes part of test ids"
            faults.add(key, message, "use letters, digits, - _ and .")
        found = self.prompt_set(key.text, node, faults)
        new = [*faults.found[before:], *(fault for fault in parsing if node.covers(fault.where))]
        if new or not found:
            self.broken[key.text] = new[0].where if new else key.where
            self.prompts.pop(key.text, None)
        else:
            self.prompts[key.text] = found
            self.broken.pop(key.text, None)

    def prompt_set(self, name: str, node: Node, faults: Faults) -> tuple[PromptSet, ...]:
        know = self.knowledge
        found = read_prompt_set(
            name, node, faults, know.families, know.check_params, know.check_roles, self.own_roles
        )  # fmt: skip
        before = len(faults.found)
        for variant in found:
            for role in self.dry.silent_roles(variant):
                roles_node = node.get("roles")
                place = (roles_node.get(role) if roles_node is not None else None) or node
                message, hint = self.dry.why_silent(variant, role)
                faults.add(place, message, hint)
        return found if len(faults.found) == before else ()

    def roles_of(self, prompt_set: PromptSet) -> frozenset[str]:
        """The role names of a prompt set: its family's and its own."""
        if id(prompt_set) not in self.roles:
            family = self.knowledge.families[prompt_set.family]
            found = frozenset(family.roles(prompt_set.parameters)) | frozenset(prompt_set.roles)
            found |= frozenset(self.knowledge.own.roles)
            self.roles[id(prompt_set)] = (prompt_set, found)
        return self.roles[id(prompt_set)][1]

    def claims(
        self, source: Read, top: Node, shape: Shape | None, no_model: str | None, model: Any
    ) -> tuple[Claim, ...]:
        """Every claim of the file in its order, each with the faults that lie inside it."""
        faults = source.faults
        aside = _set_aside(source)
        sections = top.all("claims")
        if not sections:
            shares = top.get("prompts") is not None or top.get("circuits") is not None
            if not shares and not misspelt(top, ("claims",), SUITE_KEYS):
                faults.add(top, "the suite has no claims", "add claims:")
            return aside
        own = [fault for fault in faults.found if any(_claim_at(section, fault) for _, section in sections)]
        faults.found[:] = [fault for fault in faults.found if fault not in own]
        context = Context(
            shape,
            self.prompts,
            self.broken,
            self.circuits,
            self.roles_of,
            self.prompt_set,
            self.dry,
            tuple(own),
            no_model,
            self.broken_circuits,
            self.knowledge.own,
            self.knowledge.check_model,
            model,
        )
        reader = ClaimReader(context, faults)
        found = list(aside)
        # A claim's YAML ends before the next key (the parser's own end marks lie past the blank lines).
        keys = (key for _, node in [*sections, (top, top)] for key, _ in (*node.entries, *node.repeated))
        starts = sorted({key.where.line for key in keys} | {claim.where.line for claim in aside})
        for _, section in sections:
            if section.kind != "map" and not (section.null and aside):
                hint = "write claims: {head-6.9-attends-three-back: {...}}"
                faults.add(section, f"claims must map ids to claims, not {section.noun}", hint)
            elif section.kind == "map" and not section.entries:
                faults.add(section, "claims is empty", "add a claim")
            for key, node in section.entries:
                found.append(reader.read(key, node, _last_line(key, starts, faults.lines)))
            for key, node in section.repeated:  # read for its faults; the duplicate key has its own already
                again = reader.read(key, node, _last_line(key, starts, faults.lines))
                faults.found += [fault for fault in again.faults if fault not in faults.found]
        return tuple(sorted(found, key=lambda claim: (claim.where.line, claim.where.column)))


def _claim_at(section: Node, fault: Fault) -> bool:
    return any(node.covers(fault.where) for _, node in (*section.entries, *section.repeated))


def _last_line(key: Node, starts: Sequence[int], lines: list[str]) -> int:
    """The last line of a claim that is not empty. ``starts``: the lines of all keys, ascending."""
    after = bisect_right(starts, key.where.line)
    end = starts[after] - 1 if after < len(starts) else len(lines)
    while end > key.where.line and not lines[end - 1].strip():
        end -= 1
    return end


def _set_aside(source: Read) -> tuple[Claim, ...]:
    """The claims that are no YAML: each is invalid by itself."""
    return tuple(_broken(block, fault, source.faults) for block, fault in source.broken if block.section == "claims")


def _broken(block: Block, fault: Fault, faults: Faults) -> Claim:
    written = faults.lines[block.start - 1 : block.end]
    expected = any(re.match(r"\s+expect\s*:\s*invalid\s*(#.*)?$", line) for line in written)
    name = block.name if block.name else f"line-{block.start}"
    return Claim(
        name,
        name,
        block.where,
        "\n".join(written).rstrip(),
        expect=Expect("invalid" if expected else "supported"),
        faults=(fault,),
    )
