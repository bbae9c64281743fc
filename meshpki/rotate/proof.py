"""The proof that a rotation cost no request: what the probe counted, what moved, and what the mesh is proven to be."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from meshpki.probing import Tally
from meshpki.rotate.facts import Turn
from meshpki.rotate.witness import Move

Verdict = Literal["proven", "failed", "not proven"]


@dataclass(frozen=True)
class Span:
    """One stage of the run: when it began and ended (UTC), and whether everybody followed."""

    stage: str
    began: datetime
    ended: datetime
    done: bool


@dataclass(frozen=True)
class Proof:
    """Everything that tells whether requests were lost while the mesh went from one root to the other.

    `tally` is None without a probe. `control` is how the negative control was refused, empty where it was not tried.
    `counters` are the words about Envoy counters that must not have grown and did; `handshakes` how many there were.
    """

    turn: Turn
    began: datetime
    ended: datetime
    spans: tuple[Span, ...]
    moves: tuple[Move, ...]
    tally: Tally | None = None
    control: str = ""
    handshakes: int | None = None
    counters: Sequence[str] = ()
    finished: bool = True

    @property
    def verdict(self) -> Verdict:
        """`failed` where a request is known to be lost, `proven` only where each is known not to be."""
        if self.tally is None:
            return "not proven"
        if self.tally.failed or self.tally.breaks or self.counters:
            return "failed"
        return "proven" if self.tally.proven and self.control and self.handshakes else "not proven"

    @property
    def serials(self) -> int:
        """How many different leaves were seen at work."""
        leaves = (leaf for move in self.moves for leaf in (move.before, move.after) if leaf)
        return len({leaf.sha256 for leaf in leaves})

    @property
    def sentence(self) -> str:
        """The verdict in one line."""
        if self.tally is None:
            return "not proven: there was no probe"
        counted = f"{self.tally.failed} failed of {self.tally.requests} requests on new connections"
        handshakes = f", {self.handshakes} handshakes" if self.handshakes is not None else ""
        why = "; ".join(filter(None, (self.tally.why_not(), *self.counters)))
        return f"{self.verdict}: {counted}{handshakes}, {self.serials} serials{f' ({why})' if why else ''}"
