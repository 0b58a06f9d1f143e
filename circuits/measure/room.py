"""How much memory the clean runs of all blocks may keep, and which of them go first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from circuits.measure.group import Group

CLEAN_BYTES = 3 * 2**29
"""The most memory that clean runs keep together, in bytes: residual streams, end logits, what partners write."""


@dataclass
class Room:
    """The blocks that have a clean run, the one that was used longest ago first.

    Claims go from one prompt set to another and back, so what is kept is decided over all sets of an evaluation.
    """

    blocks: list[Group] = field(default_factory=list)

    def use(self, block: Group) -> None:
        """Note that a block's clean run is used, and forget others where they are too much: they run again when needed."""
        self.blocks = [other for other in self.blocks if other is not block and other.nbytes]
        taken = block.nbytes + sum(other.nbytes for other in self.blocks)
        while self.blocks and taken > CLEAN_BYTES:
            oldest = self.blocks.pop(0)
            taken -= oldest.nbytes
            oldest.release()
        self.blocks.append(block)
