"""A suite file -> Suite. Every fault of the file at once; a bad claim never stops the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from circuits.claims import values
from circuits.claims.claim import Claim, PromptSet, Sampling, Suite
from circuits.claims.heads import Component
from circuits.claims.load_claim import ClaimReader
from circuits.claims.load_parts import Context, Shape, read_components
from circuits.claims.load_prompts import Checker, RoleChecker, read_prompt_set
from circuits.claims.source import Faults, Node, read
from circuits.errors import Fault, did_you_mean
from circuits.prompts.prompt import Family

SUITE_KEYS = ("suite", "model", "source", "sampling", "prompts", "circuits", "claims", "include")
MAX_INCLUDES = 8


@dataclass(frozen=True)
class Knowledge:
    """What the loader must know about the rest of the product, handed in so that it imports none of it.

    ``check_model``: problems of a model spec as (key, message). ``shape``: (layers, heads) of a
    model spec found from a folder, or None when unknown without the weights.
    """

    families: Mapping[str, Family]
    check_params: Checker
    check_roles: RoleChecker
    check_model: Callable[[Any], list[tuple[str, str]]]
    shape: Callable[[Any, Path], tuple[int, int] | None]


def load_suite(path: Path, knowledge: Knowledge, name: str | None = None) -> Suite:
    """Load one suite file.

    ``name`` is how the file is called in messages and node ids. Never raises for what the file
    contains: see ``Suite.faults`` and each ``Claim.faults``.
    """
    return _Loader(path, knowledge, name or str(path)).suite()


class _Loader:
    def __init__(self, path: Path, knowledge: Knowledge, name: str):
        self.path = path
        self.name = name
        self.knowledge = knowledge
        self.prompts: dict[str, tuple[PromptSet, ...]] = {}
        self.broken: dict[str, int] = {}
        self.circuits: dict[str, tuple[Component, ...]] = {}
        self.included: list[Fault] = []

    def suite(self) -> Suite:
        top, faults = read(self.path, self.name)
        empty = Suite(self.name, self.name, None, Sampling(), {}, {}, ())
        if top is None:
            return Suite(**{**empty.__dict__, "faults": tuple(faults.found)})
        if not values.keys(top, faults, "the suite", SUITE_KEYS):
            return Suite(**{**empty.__dict__, "faults": tuple(faults.found)})
        title_node, source_node = top.get("suite"), top.get("source")
        title = values.text(title_node, faults, "suite") if title_node is not None else None
        model = self.model(top, faults)
        shape = self.shape(model)
        sampling = self.sampling(top.get("sampling"), faults)
        if source_node is not None and source_node.kind != "map":
            faults.add(source_node, f"source must be a mapping, not {source_node.noun}", "write source: {title: ...}")
            source_node = None
        self.include(top, faults, shape, (self.path.resolve(),))
        self.read_sets(top, faults, shape)
        claims = self.claims(top, faults, shape)
        return Suite(
            self.name,
            " ".join((title or Path(self.name).stem).split()),
            model,
            sampling,
            self.prompts,
            self.circuits,
            claims,
            values.plain(source_node) if source_node is not None else None,
            tuple(self.included) + tuple(faults.found),
        )

    def model(self, top: Node, faults: Faults) -> Any:
        """The model spec as plain data, or None after a fault (or in a file that only shares)."""
        node = top.get("model")
        if node is None:
            if top.get("claims") is not None:
                faults.add(top, "the suite names no model", "add model: smollm2-135m (or gpt2, reference, {hub: ...}, {path: ...})")
            return None
        if node.kind == "list" or node.null:
            faults.add(node, f"model must be a name or a mapping, not {node.noun}")
            return None
        spec: Any = node.text
        if node.kind == "map":
            spec = {}
            for key, value in node.entries:
                read_text = values.text(value, faults, f"model: {key.text}")
                if read_text is None:
                    return None
                spec[key.text] = read_text
        problems = self.knowledge.check_model(spec)
        for key_name, message in problems:
            place = (node.key(key_name) or node) if node.kind == "map" else node
            faults.add(place, message)
        return None if problems else spec

    def shape(self, model: Any) -> Shape | None:
        found = self.knowledge.shape(model, self.path.parent) if model is not None else None
        if found is None:
            return None
        title = model if isinstance(model, str) else next(iter(model.values()))
        return Shape(str(title), *found)

    def sampling(self, node: Node | None, faults: Faults) -> Sampling:
        default = Sampling()
        if node is None or not values.keys(node, faults, "sampling", ("min", "max", "seed", "confidence")):
            return default
        numbers: dict[str, Any] = {}
        for key, value in node.entries:
            if key.text in ("min", "max", "seed"):
                read_int = values.integer(value, faults, f"sampling: {key.text}", 0 if key.text == "seed" else 1)
                if read_int is not None:
                    numbers[key.text] = read_int
            elif key.text == "confidence":
                read_number = values.number(value, faults, "sampling: confidence")
                if read_number is not None and not 0.5 <= read_number[0] < 1:
                    faults.add(value, f"confidence must lie between 0.5 and 1 (0.95 is usual), not {value.text}")
                elif read_number is not None:
                    numbers["confidence"] = read_number[0]
        most = numbers.get("max", max(default.max, numbers.get("min", 0)))
        least = numbers.get("min", min(default.min, most))
        if least > most:
            faults.add(node.get("min") or node, f"sampling: min {least} is larger than max {most}")
            least = most
        return Sampling(least, most, numbers.get("seed", default.seed), numbers.get("confidence", default.confidence))

    def include(self, top: Node, faults: Faults, shape: Shape | None, chain: tuple[Path, ...]) -> None:
        """Read the prompt sets and circuits of included files first, so that the suite's own win."""
        node = top.get("include")
        if node is None:
            return
        for child in node.children if node.kind == "list" else (node,):
            target = values.text(child, faults, "include")
            if target is None:
                continue
            path = (chain[-1].parent / target).resolve()
            if path in chain or len(chain) > MAX_INCLUDES:
                faults.add(child, f"include: {target} includes itself" if path in chain else "include: more than 8 files deep")
                continue
            if not path.is_file():
                near = [p.name for p in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
                faults.add(child, f"include: there is no file {target} beside the suite", did_you_mean(Path(target).name, near) if near else "")
                continue
            shown = str(Path(self.name).parent / target)
            inner_top, inner = read(path, shown)
            if inner_top is not None and values.keys(inner_top, inner, "the included file", SUITE_KEYS):
                self.include(inner_top, inner, shape, (*chain, path))
                self.read_sets(inner_top, inner, shape)
            if inner.found:
                faults.add(child, f"the included file {target} has {len(inner.found)} fault{'s' if len(inner.found) > 1 else ''}", "see its own lines")
            self.included += [fault for fault in inner.found if fault not in self.included]

    def read_sets(self, top: Node, faults: Faults, shape: Shape | None) -> None:
        """The ``prompts:`` and ``circuits:`` sections of a file."""
        section = top.get("prompts")
        if section is not None and section.kind != "map":
            faults.add(section, f"prompts must map names to prompt sets, not {section.noun}", "write prompts: {ioi: {family: ioi}}")
        elif section is not None:
            for key, node in section.entries:
                before = len(faults.found)
                found = self.prompt_set(key.text, node, faults)
                if len(faults.found) > before or not found:
                    self.broken[key.text] = faults.found[before].where.line if len(faults.found) > before else key.where.line
                    self.prompts.pop(key.text, None)
                else:
                    self.prompts[key.text] = found
                    self.broken.pop(key.text, None)
        circuits = top.get("circuits")
        if circuits is not None and circuits.kind != "map":
            faults.add(circuits, f"circuits must map names to {{heads: [...], mlps: [...]}}, not {circuits.noun}")
        elif circuits is not None:
            for key, node in circuits.entries:
                self.circuits[key.text] = self.circuit(key, node, faults, shape)

    def prompt_set(self, name: str, node: Node, faults: Faults) -> tuple[PromptSet, ...]:
        know = self.knowledge
        return read_prompt_set(name, node, faults, know.families, know.check_params, know.check_roles)

    def circuit(self, key: Node, node: Node, faults: Faults, shape: Shape | None) -> tuple[Component, ...]:
        if not values.keys(node, faults, f"circuit {key.text!r}", ("heads", "mlps", "source")):
            return ()
        found: list[Component] = []
        heads, mlps = node.get("heads"), node.get("mlps")
        if heads is not None:
            found += read_components(heads, faults, "heads", shape, mlps=False)
        if mlps is not None:
            if mlps.kind != "list":
                faults.add(mlps, "mlps must be a list of layers, such as [0, 1]")
            for child in mlps.children:
                raw = child.text.upper().removeprefix("MLP") if child.kind == "text" else ""
                if not raw.isdigit():
                    faults.add(child, f"mlps must be a list of layers, such as [0, 1], not {child.noun}")
                    continue
                component = Component(int(raw))
                problem = shape.missing(component) if shape is not None else None
                if problem:
                    faults.add(child, problem)
                else:
                    found.append(component)
        if heads is None:
            faults.add(key, f"circuit {key.text!r} names no heads", "add heads: [...]")
        return tuple(found)

    def roles_of(self, prompt_set: PromptSet) -> frozenset[str]:
        family = self.knowledge.families[prompt_set.family]
        return frozenset(family.roles(prompt_set.parameters)) | frozenset(prompt_set.roles)

    def claims(self, top: Node, faults: Faults, shape: Shape | None) -> tuple[Claim, ...]:
        section = top.get("claims")
        if section is None:
            if top.get("prompts") is None and top.get("circuits") is None:
                faults.add(top, "the suite has no claims", "add claims:")
            return ()
        if section.kind != "map":
            faults.add(section, f"claims must map ids to claims, not {section.noun}", "write claims: {head-6.9-attends-three-back: {...}}")
            return ()
        if not section.entries:
            faults.add(section, "claims is empty")
        context = Context(shape, self.prompts, self.broken, self.circuits, self.roles_of, self.prompt_set)
        reader = ClaimReader(context, faults)
        # A claim's YAML ends before the next key (the parser's own end marks lie past the blank lines).
        found = []
        starts = sorted(key.where.line for source in (section, top) for key, _ in source.entries)
        for key, node in section.entries:
            end = next((line - 1 for line in starts if line > key.where.line), len(faults.lines))
            while end > key.where.line and not faults.lines[end - 1].strip():
                end -= 1
            found.append(reader.read(key, node, end))
        return tuple(found)
