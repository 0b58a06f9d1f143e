"""What is to be tested: the options of a run, the items of a suite, and what became of each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from circuits.claims.claim import Attends, Claim, LossMap, PromptSet, Score, Suite
from circuits.claims.load import Knowledge, load_suite
from circuits.errors import CircuitsError
from circuits.extensions import Extensions, Used, extensions, used
from circuits.models.source import ModelSource, check_spec, resolve
from circuits.prompts.registry import check_params, check_roles


@dataclass(frozen=True)
class Options:
    """What a run is told from outside. ``seed`` and ``n`` override the suites' sampling.

    ``no_cache``: what was measured before is not used. ``unseen``: seeds whose prompts must not come again. ``strict``: a
    VACUOUS claim is not as expected. ``robust``: each claim with its other choices too. ``permuted``: how many models with
    shuffled weights stand beside attention, ``random`` how many random sets of parts beside an ablation or a path. ``need``: the log e-value up to which sampling goes on (None: a verdict is enough).

    ``threads``: how many threads the model may use (None: as many as torch likes). ``since``: a value that
    was written to the cache after this moment (seconds since the epoch) counts as measured in this run.
    """

    seed: int | None = None
    n: int | None = None
    device: str = "cpu"
    dtype: str = "float32"
    batch_tokens: int = 2048
    models: Mapping[str, str] = field(default_factory=dict)
    no_cache: bool = False
    unseen: tuple[int, ...] = ()
    strict: bool = False
    robust: bool = False
    permuted: int = 0
    random: int = 0
    need: float | None = None
    threads: int | None = None
    since: float | None = None


@dataclass(frozen=True)
class Item:
    """One test: a claim on one variant of its prompt sets (``variant`` None: the claim has only one).

    ``template``: only prompts of this template (None: all).
    """

    node_id: str
    suite: Suite
    claim: Claim
    base: Path
    variant: PromptSet | None = None
    label: str | None = None
    template: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of an item. ``met``: as its author expected (None: skipped).

    ``entry`` is its part of results.json; ``skip`` the one line that says why it was not measured. ``body``: the entry
    as text (``record.body_of``), where it is plain JSON data already. ``missing``: it was skipped because its model's
    weights cannot be had.
    """

    entry: dict[str, Any]
    met: bool | None
    skip: str | None = None
    body: str | None = None
    missing: bool = False


def knowledge(models: Mapping[str, str] | None = None, extra: Iterable[Any] = ()) -> Knowledge:
    """What the loader needs to know of models and of what the project added (``extra``: see ``extensions``).

    ``models``: NAME -> PLACE overrides.
    """
    own = extensions(extra)

    def shape(spec: Any, base: Path) -> tuple[int, int] | None:
        try:
            found = resolve(spec, models or {}, base, hashes=False).shape
        except CircuitsError:
            return None  # said again, with its reason, when the model is needed
        return (found.layers, found.heads) if found is not None else None

    return Knowledge(own.families, check_params, check_roles, check_spec, shape, own)


def load(path: Path, know: Knowledge, name: str | None = None) -> Suite:
    """Load a suite file; faults are kept in it."""
    return load_suite(path, know, name)


def items_of(suite: Suite, base: Path) -> list[Item]:
    """The test items of a suite, in file order; node ids are FILE::ID or FILE::ID[set,period=5]."""
    found = []
    for claim in suite.claims:
        node_id = f"{suite.path}::{claim.id}"
        if claim.faults or not claim.many:
            only = claim.variants[0] if claim.variants else None
            found.append(Item(node_id, suite, claim, base, only))
            continue
        for variant in claim.variants:
            found.append(Item(f"{node_id}[{variant.title}]", suite, claim, base, variant, variant.title))
    return found


def prompt_sets(item: Item) -> list[PromptSet]:
    """Every prompt set that an item shows the model: its variant, its checks' own, those that are compared with."""
    found = [item.variant] if item.variant is not None else []
    for check in item.claim.checks:
        found += check.prompts
        other = check.what.other_prompts if isinstance(check.what, Attends) else None
        found += [other] if other is not None else []
    return found


def other_models(item: Item) -> list[str | Mapping[str, str]]:
    """The specs of the models besides the suite's that an item's checks name, each once."""
    found: list[str | Mapping[str, str]] = []
    for check in item.claim.checks:
        named = check.what.models if isinstance(check.what, LossMap) else ()
        found += [spec for spec in named if spec not in found]
    return found


def own_code(item: Item, own: Extensions) -> list[Used]:
    """What of the project's own code an item's values depend on."""
    return used(own, prompt_sets(item), item.claim.checks)


def named_own(item: Item, own: Extensions) -> list[dict[str, Any]]:
    """The same as it stands in results.json, without the roles that the claim itself does not name."""
    found = own_code(item, own)
    return [each.plain() for each in found if each.kind != "role" or names_role(item, each.own.name)]


def names_role(item: Item, role: str) -> bool:
    """Whether the claim itself names a role: its prompts have every own role that the suite names anywhere."""
    scores = (
        check.what.own.selector or "" for check in item.claim.checks if isinstance(check.what, Score) and check.what.own
    )
    return re.search(rf"\b{re.escape(role)}\b", " ".join((item.claim.yaml, *scores))) is not None


def model_facts(source: ModelSource) -> dict[str, Any]:
    """A model for results.json: digest, source, shape, whether verified."""
    shape = source.shape
    return {
        "digest": source.digest, "source": source.where, "verified": source.verified,
        "layers": shape.layers if shape else None, "heads": shape.heads if shape else None,
    }  # fmt: skip
