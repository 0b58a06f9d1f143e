"""The family ``named_sequence``: "Adam is 1. Bob is 2. Carl is 3. Dora is 4. Emma is" -> " 5"."""

from __future__ import annotations

from circuits.prompts.sequences import sequence_family
from circuits.prompts.words import FIRST_NAMES

NAMED_SEQUENCE = sequence_family(
    name="named_sequence",
    doc="Names with the members of a sequence, one item each; the last item is left open.",
    slot="name",
    pool=FIRST_NAMES,
    template="{name} is {member}.",
)
