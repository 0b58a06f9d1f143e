"""The words of a suite file: which keys each level takes, and which kind of check each belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from circuits.claims.source import Node
from circuits.errors import did_you_mean, nearest

KINDS = ("attends", "score", "ablate", "keep_only", "path", "loss_map")
EFFECTS = ("drop_in", "change_in", "after")
KEPT = ("recovers", "faithfulness", "completeness", "minimality", "sufficiency")
METHODS = ("mean", "zero", "resample")
STATISTICS = ("mass", "top1", "lift")
EXCLUDABLE = ("bos", "self")
ATTENTION_SCORES = ("previous_token", "duplicate_token", "induction")
WEIGHT_SCORES = ("copying", "successor")
SCORES = (*ATTENTION_SCORES, *WEIGHT_SCORES, "in_context_learning")
ENDS = ("at_least", "at_most", "between")
BOUNDS = (*ENDS, "top")

# The keys that belong to some kinds of checks only.
OWN: Mapping[str, tuple[str, ...]] = {
    "attends": ("statistic", "excluding", "more_than", "by_at_least", "top"),
    "score": ("members", "top"),
    "ablate": (
        "method",
        "at",
        "within",
        "given_ablated",
        "interaction",
        *EFFECTS,
        "partial_necessity",
        "random",
        "top",
        "range",
    ),
    "keep_only": ("method", *KEPT, "normalised", "subsets", "random", "range"),
    "path": (*EFFECTS, "range"),
    "loss_map": ("method", "models"),
}
OWNERS: Mapping[str, tuple[str, ...]] = {
    key: tuple(kind for kind, own in OWN.items() if key in own)
    for key in dict.fromkeys(key for own in OWN.values() for key in own)
}
"""The kinds that each of these keys belongs to."""
SHARED = ("head", "heads", "prompts", "requires", "observe", "reported", *BOUNDS, "by_at_least")
CHECK_KEYS = tuple(dict.fromkeys((*KINDS, *(k for own in OWN.values() for k in own), *SHARED)))
CLAIM_KEYS = ("claim", "head", "heads", "prompts", "expect", "checks", "source", "requires")
EXPECTATIONS = ("supported", "refuted", "invalid")
EXPECTED = ("refuted", "xfail")  # the keys of expect: {...}
REPORTED_KEYS = ("value", "source", "conditions")
SAMPLING_KEYS = ("min", "max", "seed", "confidence")
SUITE_KEYS = ("suite", "model", "source", "sampling", "prompts", "circuits", "claims", "include")

# Words of people who do not know the keys' names.
ALIASES = {
    "minimum": "at_least", "min": "at_least", "maximum": "at_most", "max": "at_most", "less_than": "at_most",
    "equals": "between", "normalized": "normalised", "rank": "top", "position": "at", "positions": "at",
}  # fmt: skip


def nearest_key(name: str, keys: Iterable[str]) -> str:
    """A hint for a key that does not exist."""
    keys = tuple(keys)
    meant = ALIASES.get(name.casefold())
    return f"did you mean {meant!r}?" if meant in keys else did_you_mean(name, keys)


def misspelt(
    node: Node, wanted: Iterable[str], known: Iterable[str] = (*CHECK_KEYS, *CLAIM_KEYS), cutoff: float = 0.6
) -> bool:
    """Whether some unknown key of the node looks like one of ``wanted`` (and so has a fault of its own)."""
    names, taken = tuple(wanted), frozenset(known)
    return any(key.text not in taken and nearest(key.text, names, cutoff) for key, _ in node.entries)
