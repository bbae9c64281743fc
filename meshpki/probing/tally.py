"""What the probe counted in a stretch of time, as values."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from meshpki.components.probe_flow import TARGET_MARK, Flow


@dataclass(frozen=True)
class Failure:
    """One request or stream that failed: when (UTC), whose, its class, and what was said of it."""

    at: datetime
    flow: Flow
    number: int
    error: str
    text: str


@dataclass(frozen=True)
class FlowTally:
    """The requests of one flow, each on a connection of its own but those to a user's target.

    `gaps` are requests of which no record was ever seen while later ones were: neither failed nor proven. `runs`
    counts the starts of the client; `last` is when the newest record was written.
    """

    flow: Flow
    requests: int = 0
    failed: int = 0
    gaps: int = 0
    runs: int = 0
    last: datetime | None = None


@dataclass(frozen=True)
class StreamTally:
    """The one long-lived stream of a client: how many lines came back, how often it broke or was silent, for how long.

    `silence` is the longest time between two lines.
    """

    flow: Flow
    echoes: int = 0
    breaks: int = 0
    gaps: int = 0
    silence: timedelta = timedelta(0)
    last: datetime | None = None


@dataclass(frozen=True)
class Second:
    """Requests and failures whose records were written in one second (UTC)."""

    at: datetime
    requests: int
    failed: int


@dataclass(frozen=True)
class Count:
    """How many requests there were, and how many of them failed."""

    requests: int
    failed: int


@dataclass(frozen=True)
class Tally:
    """Everything counted between `started` and `ended`, by the clocks of the nodes (UTC); both None before any record.

    `failures` holds the first ones of each class, `errors` counts them all. `silent` are flows and streams without a
    record of late. `malformed` lines were not believed; `unread` says why a client could not be asked, empty where
    all could. Of a client that was `replaced` (its pod is gone) the last seconds may be missing; its successor counts
    on. Nothing but `proven` says that no request was lost.
    """

    flows: tuple[FlowTally, ...] = ()
    streams: tuple[StreamTally, ...] = ()
    errors: tuple[tuple[str, int], ...] = ()
    failures: tuple[Failure, ...] = ()
    timeline: tuple[Second, ...] = ()
    silent: tuple[Flow, ...] = ()
    malformed: int = 0
    unread: str = ""
    replaced: tuple[str, ...] = ()
    started: datetime | None = None
    ended: datetime | None = None

    @property
    def requests(self) -> int:
        """Requests of all flows."""
        return sum(one.requests for one in self.flows)

    @property
    def failed(self) -> int:
        """Failed requests of all flows; a stream's breaks are counted by themselves."""
        return sum(one.failed for one in self.flows)

    @property
    def own(self) -> Count:
        """The requests on new connections: all but those to the target."""
        return _count(one for one in self.flows if one.flow.mark != TARGET_MARK)

    @property
    def target(self) -> Count | None:
        """The requests to a Service of the user, with connections and retries of its own; None where none is called."""
        called = [one for one in self.flows if one.flow.mark == TARGET_MARK]
        return _count(called) if called else None

    @property
    def gaps(self) -> int:
        """Requests and lines of streams of which no record was seen."""
        return sum(one.gaps for one in self.flows) + sum(one.gaps for one in self.streams)

    @property
    def breaks(self) -> int:
        """How often a long-lived stream broke or fell silent."""
        return sum(one.breaks for one in self.streams)

    @property
    def proven(self) -> bool:
        """Whether every flow was served, without one failure, gap, break, or anything that could not be seen."""
        lost = self.failed or self.gaps or self.breaks or self.malformed or self.silent or self.unread
        return not lost and bool(self.flows) and all(one.requests for one in self.flows)

    @property
    def per_second(self) -> float:
        """Requests a second between `started` and `ended`; 0 for less than a second."""
        seconds = (self.ended - self.started).total_seconds() if self.started and self.ended else 0.0
        return self.requests / seconds if seconds >= 1 else 0.0

    def why_not(self) -> str:
        """What keeps this from being proven, in words; empty where it is."""
        parts = (
            (self.unread, self.unread),
            (self.failed, f"{self.failed} of {self.requests} requests failed ({_words(self.errors)})"),
            (self.breaks, f"{self.breaks} breaks of long-lived streams"),
            (self.gaps, f"{self.gaps} records are missing"),
            (self.malformed, f"{self.malformed} lines of the clients' logs are none of theirs"),
            (self.silent, f"no record of late of {', '.join(flow.title for flow in self.silent[:5])}"),
            (not self.requests, "no request was seen"),
        )
        return "; ".join(text for present, text in parts if present)


def _count(flows: Iterable[FlowTally]) -> Count:
    each = tuple(flows)
    return Count(sum(one.requests for one in each), sum(one.failed for one in each))


def _words(errors: tuple[tuple[str, int], ...]) -> str:
    return ", ".join(f"{count} x {error}" for error, count in Counter(dict(errors)).most_common(5))
