"""One box of the drawing."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from meshpki.drawing.mark import Mark, rank
from meshpki.drawing.words import visible


class Kind(StrEnum):
    """What a box stands for; its value is the word that a drawing shows."""

    ANCHOR = "trust anchor, pinned"
    CA = "intermediate CA"
    WORKLOADS = "workloads"
    SERVING = "served"
    NOWHERE = "nowhere"
    PLACE = "place"
    UNSEEN = "not seen"


@dataclass(frozen=True)
class Node:
    """A box: its words, its mark, the codes of its findings, and the boxes below it. Foreign text in it is visible."""

    kind: Kind
    title: str
    lines: tuple[str, ...]
    mark: Mark
    codes: tuple[str, ...] = ()
    below: tuple["Node", ...] = ()

    def __post_init__(self) -> None:
        """No drawing can be steered by a name: whatever makes a node, its words are made visible here."""
        object.__setattr__(self, "title", visible(self.title))
        object.__setattr__(self, "lines", tuple(visible(line) for line in self.lines))

    def walk(self) -> Iterator["Node"]:
        """Itself, then all below it."""
        yield self
        for node in self.below:
            yield from node.walk()

    @property
    def importance(self) -> tuple[int, str]:
        """For sorting: the worst first, then by name."""
        return -rank(self.mark), self.title
