"""Reads the probe clients' logs while something happens to the mesh, and keeps the book."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from meshpki.cluster.abreast import abreast
from meshpki.cluster.client import Clock, Reader
from meshpki.cluster.manifest import Object, Ref
from meshpki.components.probe import LOG_LINES, clients, node_of
from meshpki.components.probe_flow import CLIENT, flows
from meshpki.components.serving import pod_ref
from meshpki.errors import MeshpkiError
from meshpki.probing.ledger import LATE, Ledger
from meshpki.probing.tally import Tally

# A log is rotated after 10 MiB, which the busiest client (the only one) fills in some 75 minutes; what it wrote after
# the last poll before that is a gap then. What is read twice counts once.
EVERY = timedelta(seconds=2)
_OVERLAP = timedelta(seconds=2)
_CATCH_UP = 100_000
_IN_FLIGHT = 16
_LAST_TRIES = 5
READER = "probe-reader"


@dataclass
class _Client:
    """How far one client's log was read: the time of its newest record, and how often its container had started.

    `heard` is when something new was read of it, by the clock of this machine: the nodes' clocks stand where it does.
    """

    ref: Ref
    source: str
    heard: datetime
    since: datetime | None = None
    restarts: int = 0


class Probe:
    """Counts while it is open: `with Probe(...) as probe: ...; probe.tally()`. The step of the probe must be done.

    What is in the logs when it is opened does not count. It never raises for a client that cannot be asked: it
    catches up later, and `Tally.unread` tells.
    """

    def __init__(self, reader: Reader, clock: Clock, nodes: Sequence[str], target: str = "") -> None:
        """The same nodes in the same order, and the same target, as the step was made with."""
        self._reader, self._clock, self._nodes = reader, clock, tuple(nodes)
        self._ledger = Ledger(flows(self._nodes, target))
        self._clients: dict[str, _Client] = {}
        self._replaced: list[str] = []
        self._unread = ""
        # a tally waits for no request: one poll at a time asks, and the book is locked while its answers are taken in
        self._polling, self._lock, self._stop = threading.Lock(), threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._keep_polling, name=READER, daemon=True)

    def __enter__(self) -> Self:
        """Note where the logs stand, and read on from there every two seconds in a thread; raises ClusterError."""
        self.begin()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and read what is left; a client that cannot be asked is asked again a few times.

        Whoever interrupts waits for no answer of the cluster, nor for one that is under way.
        """
        self._stop.set()
        if kind is not None and not issubclass(kind, Exception):
            return
        self._thread.join()
        for _ in range(_LAST_TRIES):
            self.poll()
            if not self._unread:
                break
            self._clock.wait(threading.Event(), EVERY)

    def begin(self) -> None:
        """Count from here on; raises ClusterError where a client cannot be asked."""
        with self._lock:
            for pod in clients(self._reader):
                client = self._met(pod, restarts=_restarts(pod))
                text = self._reader.logs(client.ref, CLIENT, LOG_LINES, timestamps=True)
                client.since = self._ledger.begin(client.source, client.ref.name, text)
                self._clients[client.ref.name] = client

    def poll(self) -> None:
        """Read what the clients wrote since the last time."""
        with self._polling:
            try:
                pods = clients(self._reader)
            except MeshpkiError as error:
                self._unread = f"the probe's clients could not be listed: {error.what}"
                return
            ours = [pod for pod in pods if node_of(pod, self._nodes)]
            with abreast(_IN_FLIGHT, "logs") as pool:
                looks = [*pool.map(self._look, ours)]
            self._note(ours, looks)

    def _note(self, ours: Sequence[Object], looks: Sequence["_Look"]) -> None:
        with self._lock:
            for look in looks:
                self._take(look)
            gone = self._clients.keys() - {pod["metadata"]["name"] for pod in ours}
            self._replaced += sorted(gone)
            for name in gone:
                del self._clients[name]
            away = sorted(set(self._nodes) - {client.source for client in self._clients.values()})
            absent = (f"no client runs on node {node}" for node in away)
            self._unread = "; ".join((*(look.trouble for look in looks if look.trouble), *self._silent(), *absent))

    def tally(self) -> Tally:
        """What was counted up to the last poll."""
        with self._lock:
            return self._ledger.tally(unread=self._unread, replaced=self._replaced)

    def _keep_polling(self) -> None:
        while not self._clock.wait(self._stop, EVERY):
            self.poll()

    def _met(self, pod: Object, restarts: int = 0) -> _Client:
        return _Client(pod_ref(pod), node_of(pod, self._nodes), self._clock.now(), restarts=restarts)

    def _silent(self) -> Iterator[str]:
        """Who sent nothing of late: where all clients fall silent together, no record is newer than another's."""
        now = self._clock.now()
        late = (client for client in self._clients.values() if now - client.heard > LATE)
        return (f"{one.ref}: no new record for {(now - one.heard).total_seconds():.0f} s" for one in late)

    def _look(self, pod: Object) -> "_Look":
        ref, restarts = pod_ref(pod), _restarts(pod)
        client = self._clients.get(ref.name) or self._met(pod)
        again = restarts > client.restarts
        read = [self._piece(client, previous=previous) for previous in ((True, False) if again else (False,))]
        unread = next((piece.what for piece in read if isinstance(piece, MeshpkiError)), "")
        pieces = tuple(piece for piece in read if isinstance(piece, str))
        trouble = unread or _stopped(pod)
        return _Look(client, pieces, client.restarts if unread else restarts, trouble and f"{ref}: {trouble}")

    def _piece(self, client: _Client, *, previous: bool) -> str | MeshpkiError:
        since = client.since - _OVERLAP if client.since else None
        try:
            return self._reader.logs(client.ref, CLIENT, _CATCH_UP, since=since, timestamps=True, previous=previous)
        except MeshpkiError as error:
            return error

    def _take(self, look: "_Look") -> None:
        client = look.client
        client.restarts = look.restarts
        self._clients[client.ref.name] = client
        for piece in look.pieces:
            newest = self._ledger.add(client.source, client.ref.name, piece)
            if newest and (client.since is None or newest > client.since):
                client.since, client.heard = newest, self._clock.now()


@dataclass(frozen=True)
class _Look:
    """What one look at a client brought: pieces of its log, and why it may not be all."""

    client: _Client
    pieces: tuple[str, ...]
    restarts: int
    trouble: str = ""


def _restarts(pod: Object) -> int:
    return int(_status(pod).get("restartCount", 0))


def _stopped(pod: Object) -> str:
    """Why its container does not run, empty where it does; one that waits to start again still has its old log.

    Where its kubelet has told nothing of it yet there is no log either.
    """
    status = _status(pod)
    state = status.get("state") or {}
    if not status or "running" in state:
        return ""
    reason = next((str(one.get("reason", "")) for one in state.values()), "")
    return f"its container does not run{f' ({reason})' if reason else ''}"


def _status(pod: Object) -> Object:
    statuses: list[Object] = pod.get("status", {}).get("containerStatuses") or []
    return next((one for one in statuses if one["name"] == CLIENT), {})
