"""A check in one line, as it stands in results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from circuits.claims.claim import Ablate, Attends, Keep, LossMap, Path, Score, What
from circuits.claims.heads import Component

MOST_MEMBERS = 12

Spec = str | Mapping[str, str]
"""A model as a suite names it."""


def describe(what: What) -> str:
    """The words of a check; the compared side of a difference stands beside it, not in it."""
    if isinstance(what, Attends):
        return f"attends: {what.selector.text}"
    if isinstance(what, Score):
        return f"score: {what.name}{_members(what.members)}"
    if isinstance(what, Ablate):
        return _ablate(what)
    if isinstance(what, Keep):
        form = " (normalised)" if what.normalised else ""
        return f"keep_only: {what.circuit.name} ({what.method}), {what.statistic}: {what.metric}{form}"
    if isinstance(what, Path):
        return f"path: {what}, {what.effect}: {what.metric}"
    return _loss_map(what)


def _names(components: Iterable[Component]) -> str:
    return ", ".join(str(component) for component in components)


def _members(members: str | tuple[str, ...] | None) -> str:
    if members is None:
        return ""
    if isinstance(members, str):
        return f" of {members}"
    more = f", ... ({len(members)})" if len(members) > MOST_MEMBERS else ""
    return f" of [{', '.join(members[:MOST_MEMBERS])}{more}]"


def _ablate(what: Ablate) -> str:
    removed = what.circuit.name if what.circuit is not None else _names(what.components)
    text = f"ablate: {removed} ({what.method})"
    if what.at is not None:
        text += f" at {what.at}"
    if what.within is not None:
        text += f", within {what.within.name}"
    if what.given:
        text += f", given {_names(what.given)} ablated"
    return text + (
        f", interaction in {what.metric}" if what.effect == "interaction" else f", {what.effect}: {what.metric}"
    )


def _loss_map(what: LossMap) -> str:
    method = f" ({what.method})" if what.method != "mean" else ""
    removed = "; ".join(_names(components) for components in what.ablations) or "no ablation"
    others = f", models {', '.join(model_labels(what.models))}" if what.models else ""
    return f"loss_map: {removed}{method}{others}"


def spec_name(spec: Spec) -> str | None:
    """The name that a model goes by: of the registry, or its hub id, path, file or package."""
    if isinstance(spec, str):
        return spec
    name = next((spec[form] for form in ("hub", "path", "gguf", "wheel") if form in spec), None)
    return name.partition("==")[0] if name is not None else None


def model_labels(specs: Sequence[Spec], besides: str | None = None) -> list[str]:
    """A name for each of several models; where two (or ``besides``) go by the same, with what tells them apart."""
    names = [str(spec_name(spec)) for spec in specs]
    taken = [*names, besides]
    return [
        name if taken.count(name) == 1 or isinstance(spec, str) else "@".join((name, *_rest(spec)))
        for name, spec in zip(names, specs, strict=True)
    ]


def _rest(spec: Mapping[str, str]) -> list[str]:
    """What a mapping says of a model besides its place, shortened: the revision, the digest, the file."""
    version = [spec["wheel"].partition("==")[2]] if "wheel" in spec else []
    return version + [spec[key].rpartition("/")[2][:12] for key in ("revision", "file", "sha256") if key in spec]
