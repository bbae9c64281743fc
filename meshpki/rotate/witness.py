"""Who moved when: the leaves of every Envoy as the looks of a rotation saw them, folded into one line a pod."""

import threading
from dataclasses import dataclass, replace
from datetime import datetime

from meshpki.pki.certificate import Certificate
from meshpki.rotate.facts import Envoy, Facts, Turn
from meshpki.verify.pods import Workload


@dataclass(frozen=True)
class Move:
    """One pod: its leaf before and after, how many roots it trusted at first and last, and when it was seen to move.

    `before` is its leaf at the first look, `after` its first one of the CA that it ended with, below the root that is
    entered; `at` (UTC) is None for a pod that was there from the first look on.
    """

    pod: str
    workload: Workload
    before: Certificate | None
    after: Certificate | None = None
    at: datetime | None = None
    trusted: tuple[int, int] = (0, 0)


class Witness:
    """Takes in looks from any thread; tells what it saw of each pod."""

    def __init__(self, turn: Turn) -> None:
        """Watch the way between two roots."""
        self._entering = turn.entering.root.sha256
        self._moves: dict[str, Move] = {}
        self._lock = threading.Lock()

    def note(self, facts: Facts) -> None:
        """Take one look in."""
        with self._lock:
            for envoy in facts.envoys:
                self._moves[envoy.name] = self._after(self._moves.get(envoy.name), envoy, facts.at)

    def moves(self) -> tuple[Move, ...]:
        """Every pod that was seen, in order of their names."""
        with self._lock:
            return tuple(move for _, move in sorted(self._moves.items()))

    def _after(self, known: Move | None, envoy: Envoy, at: datetime) -> Move:
        leaf = envoy.leaf if envoy.root == self._entering else None
        trusts = len(envoy.anchors or ())
        if known is None:
            return Move(envoy.name, envoy.pod.workload, envoy.leaf, leaf, None, (trusts, trusts))
        seen = replace(known, trusted=(known.trusted[0], trusts or known.trusted[1]))
        # a renewal by the same CA is no move
        if leaf is None or (known.after and known.after.aki == leaf.aki):
            return seen
        return replace(seen, after=leaf, at=at)
