"""The proof that a rotation cost no request: what the probe counted, what moved, and what the mesh is proven to be."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from meshpki.probing import Tally
from meshpki.probing.counters import Changes
from meshpki.rotate import goals
from meshpki.rotate.facts import Turn
from meshpki.rotate.witness import Move

Verdict = Literal["proven", "failed", "not proven"]

NO_PROBE = "there was no probe"


@dataclass(frozen=True)
class Span:
    """One stage of the run: when it began and ended (UTC), and whether everybody followed."""

    stage: str
    began: datetime
    ended: datetime
    done: bool


@dataclass(frozen=True, kw_only=True)
class Proof:
    """Everything that tells whether requests were lost while the mesh went from one root to the other.

    `tally` is None without a probe, `changes` (of Envoys' counters) where they could not be read. `control` is how the
    negative control was refused, empty where it was not tried. `finished` says whether one root alone is left.
    """

    turn: Turn
    began: datetime
    ended: datetime
    spans: tuple[Span, ...]
    moves: tuple[Move, ...]
    tally: Tally | None = None
    control: str = ""
    changes: Changes | None = None
    finished: bool = True

    @property
    def verdict(self) -> Verdict:
        """`failed` where a request is known to be lost, `proven` only where each is known not to be."""
        if self.tally is None:
            return "not proven"
        if self.tally.failed or self.tally.breaks or (self.changes and self.changes.wrong):
            return "failed"
        return "not proven" if self.doubts else "proven"

    @property
    def handshakes(self) -> int | None:
        """How many TLS handshakes all Envoys counted meanwhile, None where they could not be asked."""
        return self.changes.total("ssl.handshake") if self.changes else None

    @property
    def doubts(self) -> tuple[str, ...]:
        """What speaks against the proof, or leaves it open."""
        counters = "Envoy's counters could not be read"
        # a run that ends before anything moves brings no Envoy a new secret
        moved = ("ssl.handshake", *(("sds.update_success",) if any(move.at for move in self.moves) else ()))
        found = (
            self.tally.why_not() if self.tally else NO_PROBE,
            "" if self.control else "the negative control was not tried",
            self.changes.why_not(moved) if self.changes else counters,
        )
        return tuple(filter(None, found))

    @property
    def serials(self) -> int:
        """How many different leaves were seen at work."""
        leaves = (leaf for move in self.moves for leaf in (move.before, move.after) if leaf)
        return len({leaf.sha256 for leaf in leaves})

    def adopted(self, move: Move) -> float | None:
        """Seconds from the start of `activate`, the last time it began, until a pod was seen to move.

        None for one that was not seen to, and where this run did not go through that stage.
        """
        began = max((span.began for span in self.spans if span.stage == goals.ACTIVATE), default=None)
        return (move.at - began).total_seconds() if move.at and began else None

    @property
    def sentence(self) -> str:
        """The verdict in one line."""
        if self.tally is None:
            return f"not proven: {NO_PROBE}"
        own, target = self.tally.own, self.tally.target
        counted = f"{own.failed} failed of {own.requests} requests on new connections"
        if target:
            counted += f" and {target.failed} of {target.requests} to the target, on connections of its own"
        handshakes = f", {self.handshakes} handshakes" if self.handshakes is not None else ""
        why = "; ".join(self.doubts)
        return f"{self.verdict}: {counted}{handshakes}, {self.serials} serials{f' ({why})' if why else ''}"
