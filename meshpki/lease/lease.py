"""Holding the Lease: taken by compare and swap, renewed by a thread, given up at the end; lost, it stops all writes."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from http import HTTPStatus

from meshpki.cluster.client import Clock, Cluster, ClusterError, Deletion
from meshpki.cluster.manifest import Object
from meshpki.errors import MeshpkiError
from meshpki.lease.holder import Holder, ended
from meshpki.lease.record import (
    DURATION,
    LEASE,
    RENEWED_EVERY,
    HalfDoneError,
    Held,
    LeaseError,
    LeaseLostError,
    busy,
    lost,
    read,
    written,
)

# How soon a renewal that got no answer is tried again.
_AGAIN = timedelta(seconds=2)
_TRIES = 5
# This run takes it for lost before anybody else may: a request may still be under way then.
_MARGIN = timedelta(seconds=5)
_LEAVE_WITHIN = timedelta(seconds=1)
# How long the end waits for a change that may not be left half done; cert-manager issues within seconds.
_WHOLE_WITHIN = timedelta(minutes=2)


class Lease:
    """One run's hold on the mesh; safe to use from many threads. `told` hears of a Lease that was taken over.

    `unchanged` is asked once the Lease is held: it raises where what the run was planned on is not so any more.
    """

    def __init__(
        self,
        cluster: Cluster,
        holder: Holder,
        clock: Clock,
        *,
        told: Callable[[str], None],
        unchanged: Callable[[], None],
        every: timedelta | None = RENEWED_EVERY,
        whole_within: timedelta = _WHOLE_WITHIN,
    ) -> None:
        """Nothing is written before `take`; `every` is how often a thread renews it, None for no thread.

        `whole_within` is how long `release` waits for what is `unbroken`, in real time.
        """
        self._cluster, self._holder, self._clock = cluster, holder, clock
        self._told, self._unchanged, self._every = told, unchanged, every
        self._lock, self._closed = threading.Lock(), threading.Event()
        self._under_way, self._ended, self._whole_within = list[str](), threading.Condition(), whole_within
        self._live: Held | None = None
        self._ahead, self._valid_until = timedelta(0), clock.now()
        self._lost: LeaseLostError | None = None
        self._refused: MeshpkiError | None = None
        self._sure = False

    def take(self) -> None:
        """Hold the Lease from now on; raises LeaseError (MPK-230) while another run lives, nothing if it is held."""
        with self._lock:
            if self._closed.is_set() or self._lost or self._refused:
                raise self._refused or self._lost or lost("the run has ended")
            if self._live is None:
                self._acquire()
            if not self._sure:
                self._ask()
        self.check()

    def check(self) -> None:
        """Raise LeaseLostError (MPK-231) where this run held the Lease and does no more; not held yet is no error."""
        if self._live is not None and self._lost is None and self._clock.now() > self._valid_until:
            self._lost = lost(f"it could not be renewed for {DURATION.total_seconds():.0f} s")
        if self._lost:
            raise self._lost

    def renew(self) -> bool:
        """Say that this run still lives; False where it holds the Lease no more. Raises ClusterError: try again."""
        with self._lock:
            if self._live and not self._lost:
                self._renew(self._live)
            return self._live is not None and self._lost is None

    @contextmanager
    def unbroken(self, what: str) -> Iterator[None]:
        """While open, `release` waits; raises LeaseLostError (MPK-231) after that, so that nothing is begun."""
        with self._ended:
            if self._closed.is_set():
                raise lost("the run has ended")
            self._under_way.append(what)
        try:
            yield
        finally:
            with self._ended:
                self._under_way.remove(what)
                self._ended.notify_all()

    def release(self) -> None:
        """Give the Lease up, if it is ours; what hinders that is no failure, it then ends by itself.

        What is `unbroken` is waited for. Raises HalfDoneError (MPK-241) where it does not end in time.
        """
        left = self._close()
        # An API server that does not answer holds up no Ctrl-C.
        giving_up = threading.Thread(target=self._give_up, name="lease", daemon=True)
        giving_up.start()
        giving_up.join(_LEAVE_WITHIN.total_seconds())
        if left:
            what = f"{left}: not done within {self._whole_within.total_seconds():.0f} s"
            raise HalfDoneError("MPK-241", what, remedy="run the same command again at once: it brings that to its end")

    def _close(self) -> str:
        """Have nothing written any more; what is still under way then. Who stops the run twice waits all the same."""
        until = time.monotonic() + self._whole_within.total_seconds()
        while True:
            try:
                with self._ended:
                    if self._under_way and time.monotonic() < until:
                        self._told(f"the run ends once this is whole again, within minutes: {self._under_way[0]}")
                    self._ended.wait_for(lambda: not self._under_way, max(0.0, until - time.monotonic()))
                    self._closed.set()
                    return ", ".join(self._under_way)
            except (KeyboardInterrupt, SystemExit):
                continue

    def _give_up(self) -> None:
        with self._lock:
            held, self._live = self._live, None
            if held is None or self._lost:
                return
            metadata = held.live["metadata"]
            try:
                self._cluster.delete(LEASE, Deletion(metadata["uid"], metadata["resourceVersion"]))
            except ClusterError as error:
                self._told(f"the Lease {LEASE} could not be given up ({error.what}); it ends in a minute")

    def _acquire(self) -> None:
        """Under the lock: create the Lease, or swap one that was left behind; another run may win meanwhile."""
        server = self._cluster.date()
        self._ahead = server - self._clock.now() if server else timedelta(0)
        for _ in range(_TRIES):
            found = self._cluster.get(LEASE)
            held, now = read(found) if found else None, self._now()
            why = held.left_behind(now, ended=ended(held.holder.process)) if held else ""
            if held and not why:
                raise busy(held, now)
            if self._swapped(written(self._holder, now, since=now, before=found)):
                if held:
                    self._told(f"took the Lease over from {held.holder.identity} (`{held.holder.command}`): {why}")
                break
        else:
            raise LeaseError("MPK-230", "other runs take the mesh's Lease again and again", where=str(LEASE))
        if self._every:
            threading.Thread(target=self._keep, args=(self._every,), name="lease", daemon=True).start()

    def _ask(self) -> None:
        try:
            self._unchanged()
        except MeshpkiError as error:
            if not (isinstance(error, ClusterError) and error.transient):  # else the next `take` asks again
                self._refused = error  # of many threads that wait to write, none may
            raise
        self._sure = True

    def _swapped(self, wanted: Object) -> bool:
        """Write it if nobody else did meanwhile."""
        began = self._clock.now()
        try:
            there = "resourceVersion" in wanted["metadata"]
            live = self._cluster.replace(wanted) if there else self._cluster.create(wanted)
        except ClusterError as error:
            if error.status in (HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND):
                return False
            raise
        self._live, self._valid_until = read(live), began + DURATION - _MARGIN
        return True

    def _keep(self, every: timedelta) -> None:
        """The thread: renew until the run has ended, or the Lease is lost."""
        pause = every
        while not self._closed.wait(pause.total_seconds()):
            try:
                if not self.renew():
                    return
                pause = every
            except ClusterError:
                pause = _AGAIN  # until it is too late, which `check` tells

    def _renew(self, held: Held) -> None:
        if self._swapped(written(self._holder, self._now(), since=held.since, before=held.live)):
            return
        found = self._cluster.get(LEASE)
        if found is None:
            self._lost = lost("somebody deleted it")
        elif (other := read(found)).holder.identity != self._holder.identity:
            self._lost = lost(f"`{other.holder.command}` of {other.holder.identity} took it over")
        else:
            self._live = other  # somebody touched it otherwise: the next look swaps what is there now
            raise ClusterError("MPK-102", "the Lease was changed meanwhile", status=HTTPStatus.CONFLICT)

    def _now(self) -> datetime:
        """The API server's time, which every run goes by whatever its own clock says."""
        return self._clock.now() + self._ahead
