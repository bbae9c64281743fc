"""Waiting inside an act, where one write has to follow another at once and no gate can stand between them."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from meshpki.cluster.client import Clock, ClusterError
from meshpki.errors import StepError

_EVERY = timedelta(seconds=0.2)
_AGAIN, _FOR = timedelta(seconds=1), timedelta(minutes=1)


@dataclass(frozen=True)
class Patience:
    """A clock, and the event that ends every wait."""

    clock: Clock
    stop: threading.Event

    @property
    def stopped(self) -> bool:
        """Whether the run was stopped: the next write is not to be made."""
        return self.stop.is_set()

    def until(self, done: Callable[[], bool], at_most: timedelta, what: str, every: timedelta = _EVERY) -> None:
        """Look again and again until done or stopped; raises StepError (MPK-441) when the time is up."""
        deadline = self.clock.now() + at_most
        while not self.stopped:
            try:
                if done():
                    return
            except ClusterError as error:
                if not error.transient:
                    raise
            if self.clock.now() >= deadline:
                seconds = at_most.total_seconds()
                remedy = "look at its log, then run the same command again: it goes on from here"
                raise StepError("MPK-441", f"{what} did not follow within {seconds:.0f} s", remedy=remedy)
            self.clock.wait(self.stop, every)

    def insist(self, act: Callable[[], object]) -> None:
        """Do what finds out by itself what is left to do; again, for a minute, where a later try may succeed.

        A server that starts again, or an API server that is busy, ends no rotation. Raises the last ClusterError.
        """
        deadline = self.clock.now() + _FOR
        while not self.stopped:
            try:
                act()
            except ClusterError as error:
                if not error.transient or self.clock.now() >= deadline:
                    raise
            else:
                return
            self.clock.wait(self.stop, _AGAIN)
