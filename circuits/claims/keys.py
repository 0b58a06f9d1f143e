"""The words of a suite file: which keys each level takes, and which are not supported yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from circuits.claims.source import Node
from circuits.errors import nearest

KINDS = ("attends", "score", "ablate")
EFFECTS = ("drop_in", "change_in", "after")
METHODS = ("mean", "zero", "resample")
STATISTICS = ("mass", "top1", "lift")
EXCLUDABLE = ("bos", "self")
SCORES = ("previous_token", "duplicate_token", "induction")
BOUNDS = ("at_least", "at_most", "between")

# Constructs of the whole claim language that are refused by name until they are measured.
LATER = (
    "keep_only", "recovers", "normalised", "path", "within", "given_ablated", "interaction", "at",
    "top", "members", "range",
)  # fmt: skip
LATER_SCORES = ("copying", "successor", "in_context_learning")

# The keys that belong to one kind of check only.
OWN: Mapping[str, tuple[str, ...]] = {
    "attends": ("statistic", "excluding", "more_than", "by_at_least"),
    "score": (),
    "ablate": ("method", *EFFECTS),
}
_SHARED = ("head", "heads", "prompts", "requires", "observe", "reported", *BOUNDS, "by_at_least")
CHECK_KEYS = tuple(dict.fromkeys((*KINDS, *(k for own in OWN.values() for k in own), *_SHARED, *LATER)))
CLAIM_KEYS = ("claim", "head", "heads", "prompts", "expect", "checks", "source", "requires")
SUITE_KEYS = ("suite", "model", "source", "sampling", "prompts", "circuits", "claims", "include")


def misspelt(
    node: Node, wanted: Iterable[str], known: Iterable[str] = (*CHECK_KEYS, *CLAIM_KEYS), cutoff: float = 0.6
) -> bool:
    """Whether some unknown key of the node looks like one of ``wanted`` (and so has a fault of its own)."""
    names, taken = tuple(wanted), frozenset(known)
    return any(key.text not in taken and nearest(key.text, names, cutoff) for key, _ in node.entries)
