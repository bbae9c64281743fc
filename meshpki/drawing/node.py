"""One box of the drawing: its words are made visible and bounded here, so that no renderer has to remember it."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from meshpki.drawing.mark import Mark, rank
from meshpki.drawing.words import visible

_LONGEST = 160


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
        """No name can steer or fill a drawing, whatever makes the node."""
        object.__setattr__(self, "title", _told(self.title))
        object.__setattr__(self, "lines", tuple(_told(line) for line in self.lines))

    def walk(self) -> Iterator["Node"]:
        """Itself, then all below it."""
        yield self
        for node in self.below:
            yield from node.walk()

    @property
    def importance(self) -> tuple[int, str]:
        """For sorting: the worst first, then by name."""
        return -rank(self.mark), self.title


def _told(text: str) -> str:
    """Foreign text with nothing that steers, and the middle left out where it is long."""
    shown = visible(text)
    half = _LONGEST // 2
    return shown if len(shown) <= _LONGEST else f"{shown[:half]}…{shown[-half:]}"
