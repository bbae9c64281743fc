"""The probe's book: lines of the clients' logs go in, in any number of overlapping pieces, and a Tally comes out."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from meshpki.components.probe_flow import Flow
from meshpki.components.probe_record import Record, parse
from meshpki.probing.tally import Failure, FlowTally, Second, StreamTally, Tally

# Lines of a stream come once a second, requests at the latest after curl's time-out of 10 s; a busy node adds to both.
SILENCE = timedelta(seconds=10)
LATE = timedelta(seconds=20)
_KEPT = 20
_CLASSES = 50
_STRANGE, _STRANGE_LENGTH = 10_000, 200


@dataclass
class _Run:
    """One start of one flow's program: the numbers that were seen, from `first` on."""

    first: int
    numbers: set[int] = field(default_factory=set)

    @property
    def gaps(self) -> int:
        """Numbers that were never seen while later ones were."""
        return max(self.numbers) - self.first + 1 - len(self.numbers) if self.numbers else 0


@dataclass
class _Book:
    """What is known of one flow; `broken` names the runs whose stream ended, `open` the one of the newest line."""

    runs: dict[tuple[str, int], _Run] = field(default_factory=dict)
    broken: set[tuple[str, int]] = field(default_factory=set)
    failed: int = 0
    silent: int = 0
    silence: timedelta = timedelta(0)
    reopening: bool = False
    open: tuple[str, int] | None = None
    last: datetime | None = None

    @property
    def seen(self) -> int:
        """Records, each number once."""
        return sum(len(run.numbers) for run in self.runs.values())

    @property
    def gaps(self) -> int:
        """Of all runs."""
        return sum(run.gaps for run in self.runs.values())


class Ledger:
    """Counts each request once, however often its line is read: by client, flow, run and number.

    A run is one start of the client's program, so that a container that starts again neither loses nor doubles any.
    """

    def __init__(self, flows: Iterable[Flow]) -> None:
        """Count these flows; a line of any other is malformed."""
        self._flows = {(flow.source, flow.mark): flow for flow in flows}
        self._books = {flow: _Book() for flow in self._flows.values()}
        self._begun: dict[str, datetime] = {}
        self._known: dict[tuple[Flow, str, int], int] = {}
        self._seconds: dict[datetime, tuple[int, int]] = {}
        self._errors: Counter[str] = Counter()
        self._failures: list[Failure] = []
        self._before: set[tuple[str, str]] = set()
        self._strange: set[tuple[str, str]] = set()
        self._started: datetime | None = None
        self._ended: datetime | None = None

    def begin(self, source: str, client: str, text: str) -> datetime | None:
        """Count of this client only what comes after `text`: before that it started up. The time of its newest record.

        `client` is the name of its pod, `source` the node it runs on.
        """
        for line in _lines(text):
            found = self._read(source, line)
            if found is None:
                self._before.add((client, line))
                continue
            flow, record = found
            self._known[flow, client, record.run] = record.number
            self._begun[client] = record.at
        return self._begun.get(client)

    def add(self, source: str, client: str, text: str) -> datetime | None:
        """Take a piece of a client's log, in any overlap with earlier ones; the time of its newest record.

        A last line without its end is left for the next piece.
        """
        newest = None
        for line in _lines(text):
            found = self._read(source, line)
            if found is None:
                self._reject(client, line)
                continue
            flow, record = found
            newest = record.at
            if client not in self._begun or record.at > self._begun[client]:
                self._take(flow, client, record)
        return newest

    def tally(self, unread: str = "", replaced: Iterable[str] = ()) -> Tally:
        """What was counted so far; `unread` is why it may not be all, `replaced` are clients that are gone."""
        return Tally(
            flows=tuple(_flow_tally(flow, book) for flow, book in self._books.items() if not flow.stream),
            streams=tuple(_stream_tally(flow, book) for flow, book in self._books.items() if flow.stream),
            errors=tuple(self._errors.most_common()),
            failures=tuple(self._failures),
            timeline=tuple(Second(at, *counts) for at, counts in sorted(self._seconds.items())),
            silent=tuple(flow for flow, book in self._books.items() if self._late(book)),
            malformed=len(self._strange),
            unread=unread,
            replaced=tuple(replaced),
            started=self._started,
            ended=self._ended,
        )

    def _read(self, source: str, line: str) -> tuple[Flow, Record] | None:
        record = parse(line)
        flow = self._flows.get((source, record.mark)) if record else None
        if record is None or flow is None or flow.stream != (record.kind != "request"):
            return None
        return flow, record

    def _reject(self, client: str, line: str) -> None:
        if (client, line) not in self._before and len(self._strange) < _STRANGE:
            self._strange.add((client, line[:_STRANGE_LENGTH]))

    def _take(self, flow: Flow, client: str, record: Record) -> None:
        book, key = self._books[flow], (client, record.run)
        if record.kind == "broken":
            if key not in book.broken:
                book.broken.add(key)
                book.reopening = True
                self._fail(flow, record, record.error)
            return
        run = book.runs.setdefault(key, _Run(self._first(flow, client, record)))
        if record.number in run.numbers or record.number < run.first:
            return
        run.numbers.add(record.number)
        if flow.stream:
            self._echo(flow, book, key, record)
        else:
            self._request(flow, book, record)
        book.last = max(book.last or record.at, record.at)
        self._started = min(self._started or record.at, record.at)
        self._ended = max(self._ended or record.at, record.at)

    def _first(self, flow: Flow, client: str, record: Record) -> int:
        """The number a run must begin with: 1, but for one that began before it was to be counted."""
        known = self._known.get((flow, client, record.run))
        if known is not None:
            return known + 1
        begun = self._begun.get(client)
        return record.number if begun is not None and record.run < begun.timestamp() else 1

    def _request(self, flow: Flow, book: _Book, record: Record) -> None:
        second = record.at.replace(microsecond=0)
        requests, failed = self._seconds.get(second, (0, 0))
        self._seconds[second] = (requests + 1, failed + bool(record.error))
        if record.error:
            book.failed += 1
            self._fail(flow, record, record.error)

    def _echo(self, flow: Flow, book: _Book, key: tuple[str, int], record: Record) -> None:
        """A new run without the end of the one before is a client that started again, and no silence of the stream."""
        if book.last and (book.reopening or key == book.open):
            silence = record.at - book.last
            book.silence = max(book.silence, silence)
            if silence > SILENCE and not book.reopening:
                book.silent += 1
                self._fail(flow, record, "stream silent")
        book.open, book.reopening = key, False

    def _fail(self, flow: Flow, record: Record, error: str) -> None:
        error = error if error in self._errors or len(self._errors) < _CLASSES else "other"
        self._errors[error] += 1
        if self._errors[error] <= _KEPT:
            self._failures.append(Failure(record.at, flow, record.number, error, record.text))

    def _late(self, book: _Book) -> bool:
        """By the nodes' own times, so that no clock's skew counts: whether every flow stopped, the collector tells."""
        return self._ended is not None and (book.last is None or self._ended - book.last > LATE)


def _lines(text: str) -> list[str]:
    return [line for line in text.split("\n")[:-1] if line]


def _flow_tally(flow: Flow, book: _Book) -> FlowTally:
    return FlowTally(flow, book.seen, book.failed, book.gaps, len(book.runs), book.last)


def _stream_tally(flow: Flow, book: _Book) -> StreamTally:
    return StreamTally(flow, book.seen, len(book.broken) + book.silent, book.gaps, book.silence, book.last)
