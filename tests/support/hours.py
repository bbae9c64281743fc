"""A clock of hours that take no time, and what is due in them: the controllers of a mesh in memory."""

import heapq
import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tests.support.cluster import FakeClock

Act = Callable[[], None]


def _now() -> datetime:
    # certificates are judged by the real clock, so the hours begin with it
    return datetime.now(UTC).replace(microsecond=0)


@dataclass
class Hours(FakeClock):
    """Time that passes when somebody waits; what became due meanwhile happens in its order, in the waiting thread.

    `rest` is how long, in real seconds, a wait lets the other threads of a run have their turn.
    """

    at: datetime = field(default_factory=_now)
    turn: threading.RLock = field(default_factory=threading.RLock)
    due: list[tuple[datetime, int, Act]] = field(default_factory=list)
    order: Iterator[int] = field(default_factory=itertools.count)

    def later(self, seconds: float, act: Act) -> None:
        """Have something happen after so many seconds; at the next wait for 0."""
        with self.turn:
            heapq.heappush(self.due, (self.now() + timedelta(seconds=seconds), next(self.order), act))

    def wait(self, event: threading.Event, at_most: timedelta) -> bool:
        if super().wait(event, at_most):
            return True
        self.strike()
        return False

    def pass_by(self, seconds: float) -> None:
        """Let time pass with nobody at work, a second at a time."""
        until = self.now() + timedelta(seconds=seconds)
        while self.now() < until:
            with self.lock:
                self.at = min(until, self.at + timedelta(seconds=1))
            self.strike()

    def strike(self) -> None:
        """Do everything that is due."""
        with self.turn:
            while self.due and self.due[0][0] <= self.now():
                heapq.heappop(self.due)[2]()
