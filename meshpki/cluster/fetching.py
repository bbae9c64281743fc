"""Many exchanges at once in one thread: what is open, what waits, what took too long (docs/decisions/0007)."""

import selectors
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from meshpki.cluster.client import ClusterError
from meshpki.cluster.endpoint import Address, Endpoint, Steps
from meshpki.cluster.exchange import Exchange, Throttled
from meshpki.cluster.manifest import Ref
from meshpki.cluster.pace import Pace
from meshpki.cluster.refusal import unreachable
from meshpki.cluster.response import SECONDS, AnswerError
from meshpki.cluster.silence import why
from meshpki.errors import MeshpkiError

_TRIES = 6

Answer = tuple[Ref, bytes | MeshpkiError]


@dataclass(eq=False)
class _Visit:
    """One pod being asked for the `attempt`th time; `descriptor` is -1 while it waits for none."""

    pod: Ref
    attempt: int
    begun: float
    address: Address
    exchange: Exchange
    steps: Steps
    descriptor: int = -1
    events: int = 0


class Fetching:
    """The answers of many pods to one GET, as they come."""

    def __init__(self, endpoint: Endpoint, pods: Iterable[Ref], port: int, path: str, width: int) -> None:
        """At most `width` connections are open at once."""
        self._endpoint, self._port, self._path = endpoint, port, path
        self._fresh, self._again = iter(pods), deque[tuple[Ref, int]]()
        self._pace, self._selector = Pace(width), selectors.DefaultSelector()
        self._addresses: list[Address] = []
        # in the order in which they began, which is that of their time-outs too
        self._underway: dict[_Visit, None] = {}
        self._done = deque[Answer]()
        self._exhausted = False
        self._away = 0.0

    def answers(self) -> Iterator[Answer]:
        """Each pod with its answer or the reason for none; closing the iterator closes every connection.

        While the caller looks at an answer nothing runs, no time-out either. Raises ClusterError where the API
        server's name is not known.
        """
        try:
            self._addresses = self._endpoint.addresses()
            while self._begin() or self._done:
                while self._done:
                    left = time.monotonic()
                    yield self._done.popleft()
                    self._away += time.monotonic() - left
                self._wait()
        except OSError as error:
            raise unreachable(self._endpoint.url, why(error)) from error
        finally:
            for visit in self._underway:
                visit.steps.close()
            self._selector.close()

    def _now(self) -> float:
        return time.monotonic() - self._away

    def _begin(self) -> bool:
        """Open what may be opened; whether anything is left to be done."""
        while self._pace.allows(len(self._underway), self._now()):
            following = self._following()
            if following is None:
                break
            pod, attempt = following
            address, exchange = self._addresses[0], Exchange(pod, self._port, self._path)
            visit = _Visit(pod, attempt, self._now(), address, exchange, self._endpoint.visit(address, exchange))
            self._underway[visit] = None
            self._advance(visit)
        return bool(self._underway or self._again) or not self._exhausted

    def _following(self) -> tuple[Ref, int] | None:
        if self._again:
            return self._again.popleft()
        pod = next(self._fresh, None)
        self._exhausted = pod is None
        return None if pod is None else (pod, 1)

    def _wait(self) -> None:
        """Until a descriptor is ready, a time-out comes, or the API server may be asked again."""
        now = self._now()
        ends = [visit.begun + SECONDS for visit in self._underway][:1]
        if self._pace.resumes > now:
            ends.append(self._pace.resumes)
        for key, _ in self._selector.select(max(0.0, min(ends, default=now) - now)):
            self._advance(key.data)
        self._time_out()

    def _advance(self, visit: _Visit) -> None:
        try:
            wait = next(visit.steps)
        except StopIteration:
            self._finish(visit)
        except OSError as error:
            self._fail(visit, error)
        except MeshpkiError as error:
            self._answer(visit, error)
        else:
            if (wait.descriptor, wait.events) != (visit.descriptor, visit.events):
                self._listen(visit, wait.descriptor, wait.events)

    def _listen(self, visit: _Visit, descriptor: int, events: int) -> None:
        if visit.descriptor < 0:
            self._selector.register(descriptor, events, visit)
        else:
            self._selector.modify(descriptor, events, visit)
        visit.descriptor, visit.events = descriptor, events

    def _finish(self, visit: _Visit) -> None:
        match visit.exchange.outcome:
            case Throttled(after, error):
                self._pace.refused(visit.begun, self._now(), after)
                self._retry(visit, error, _TRIES)
            case None:
                self._answer(visit, AnswerError("the connection ended early", where=str(visit.pod)))
            case outcome:
                self._pace.answered()
                self._answer(visit, outcome)

    def _fail(self, visit: _Visit, error: OSError) -> None:
        """No connection: by the next address of the API server, if it has one."""
        if self._addresses[0] is visit.address:
            self._addresses.append(self._addresses.pop(0))
        reason = getattr(error, "reason", None) or error.strerror or str(error)
        self._retry(visit, unreachable(self._endpoint.url, str(reason)), len(self._addresses))

    def _retry(self, visit: _Visit, error: ClusterError, tries: int) -> None:
        if visit.attempt >= tries:
            self._answer(visit, error)
            return
        self._forget(visit)
        self._again.append((visit.pod, visit.attempt + 1))

    def _time_out(self) -> None:
        now = self._now()
        for visit in [visit for visit in self._underway if visit.begun + SECONDS <= now]:
            what, where = f"no answer within {SECONDS:.0f} s", str(visit.pod)
            if visit.exchange.is_open:
                self._answer(visit, AnswerError(what, where=where))
            else:
                self._answer(visit, ClusterError("MPK-102", f"port-forward failed: {what}", where=where))

    def _answer(self, visit: _Visit, answer: bytes | MeshpkiError) -> None:
        self._forget(visit)
        self._done.append((visit.pod, answer))

    def _forget(self, visit: _Visit) -> None:
        del self._underway[visit]
        if visit.descriptor >= 0:
            self._selector.unregister(visit.descriptor)
        visit.steps.close()
