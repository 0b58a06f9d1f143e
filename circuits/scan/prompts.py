"""Which prompts a scan shows the model: what a command line names, as the prompt sets that a suite would have."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from circuits.claims.claim import PromptSet, Suite
from circuits.claims.explain import written_set
from circuits.claims.flow import flow
from circuits.claims.load import Knowledge
from circuits.errors import CircuitsError, Fault, did_you_mean
from circuits.items import load
from circuits.models.source import spec_of

DEFAULT = "named_sequence"
"""The family that is scanned where none is named."""
MEMBERS = "numerals"
"""The sequence of a family that needs one, where none is given."""
REPEATS = "repeats"
"""The name of the prompt set on which the scores of attention are defined, where no other is one."""


def sets_given(prompts: Sequence[Sequence[str]], texts: Sequence[str], know: Knowledge) -> dict[str, str]:
    """Name -> YAML of each prompt set of a command line, in its order. Raises CircuitsError.

    ``prompts``: for each a family with KEY=VALUE words, or ``FILE.yaml#SET``. ``texts`` are one set. Without any
    it is ``DEFAULT``.
    """
    found: dict[str, str] = {}

    def add(name: str, yaml: str) -> None:
        name = re.sub(r"[^\w.-]+", "-", name).strip("-") or "prompts"
        free = (name, *(f"{name}-{number}" for number in range(2, len(found) + 3)))
        found[next(each for each in free if each not in found)] = yaml

    for words in prompts or ([] if texts else [[DEFAULT]]):
        first, *rest = words
        if "#" in first:
            if rest:
                raise CircuitsError(f"{first}: a set of a suite takes no parameters, but {rest[0]!r} follows it")
            for prompt_set in _of_suite(first, know):
                add(prompt_set.title, yaml_of(prompt_set))
        else:
            add(first, yaml_of(_of_family(first, rest, know)))
    if texts:
        add("texts", flow({"family": "texts", "texts": list(texts)}))
    return found


def _of_family(name: str, words: Sequence[str], know: Knowledge) -> PromptSet:
    if name not in know.families:
        hint = "; a set of a suite is FILE.yaml#SET" if name.endswith((".yaml", ".yml")) else ""
        raise CircuitsError(f"unknown prompt family {name!r}: {did_you_mean(name, know.families)}{hint}")
    given: dict[str, str | list[str]] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise CircuitsError(f"{word!r} is no KEY=VALUE of family {name}, such as length=5")
        given[key] = value
    needed = {parameter.name for parameter in know.families[name].parameters if parameter.required}
    if "members" in needed:
        given.setdefault("members", MEMBERS)
    found, faults = written_set(name, given, {}, know.families, know.check_params, know.check_roles)
    if found is None:
        raise CircuitsError(_in_one_line(faults))
    return found


def _of_suite(text: str, know: Knowledge) -> tuple[PromptSet, ...]:
    """The variants of ``FILE.yaml#SET``."""
    file, _, name = text.partition("#")
    if not Path(file).is_file():
        raise CircuitsError(f"{text}: there is no suite {file}")
    suite = load(Path(file), know, file)
    if name not in suite.prompts:
        broken = f" ({suite.faults[0].where}: {suite.faults[0].message})" if suite.faults else ""
        raise CircuitsError(
            f"{file} has no prompt set {name!r}: {did_you_mean(name, suite.prompts) or 'it has none'}{broken}"
        )
    return suite.prompts[name]


def yaml_of(prompt_set: PromptSet) -> str:
    """A prompt set as it would stand in a suite, in one line (a variant of a sweep as a set of its own)."""
    about: dict[str, Any] = {"family": prompt_set.family, **prompt_set.parameters}
    about |= {} if prompt_set.bos else {"bos": False}
    about |= {"roles": dict(prompt_set.roles)} if prompt_set.roles else {}
    about |= {"requires": dict(prompt_set.requires)} if prompt_set.requires else {}
    return flow(about)


def model_given(text: str) -> str:
    """The YAML of a model that a person names (see ``spec_of``); the suite may lie anywhere, so a file's place is absolute."""
    spec = spec_of(text)
    if isinstance(spec, str):
        return flow(spec)  # what is wrong with it the loader says
    files = {key: str(Path(place).expanduser().resolve()) for key, place in spec.items() if key in ("path", "gguf")}
    return flow({**spec, **files})


def head_of_suite(title: str, model: str, sampling: Mapping[str, Any], sets: Mapping[str, str]) -> str:
    """The YAML of a suite above its claims: title, model, sampling, prompt sets."""
    lines = [f"suite: {flow(title)}", f"model: {model}", f"sampling: {flow(sampling)}"]
    lines += ["prompts:", *(f"  {name}: {yaml}" for name, yaml in sets.items())] if sets else []
    return "\n".join(lines) + "\n"


def read_suite(text: str, know: Knowledge) -> Suite:
    """The suite of a YAML text. Raises CircuitsError with all that is wrong with it, in one line."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "scan.yaml")
        path.write_text(text, encoding="utf-8")
        suite = load(path, know, "scan")
    if suite.all_faults:
        raise CircuitsError(_in_one_line(suite.all_faults))
    return suite


def _in_one_line(faults: Iterable[Fault]) -> str:
    said = (f"{fault.message}{f' ({fault.hint})' if fault.hint not in ('', fault.message) else ''}" for fault in faults)
    return "; ".join(dict.fromkeys(said))
