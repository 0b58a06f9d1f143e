"""The family ``interspersed_sequence``: "Van done in 1. Hat done in 2. Ring done in" -> " 3".

The form of the prompts is the published one of arXiv 2311.04131.
"""

from __future__ import annotations

from circuits.prompts.sequences import sequence_family
from circuits.prompts.words import NOUNS

INTERSPERSED_SEQUENCE = sequence_family(
    name="interspersed_sequence",
    doc="Unrelated nouns with the members of a sequence, one item each; the last item is left open.",
    slot="word",
    pool=NOUNS,
    template="{word} done in {member}.",
)
