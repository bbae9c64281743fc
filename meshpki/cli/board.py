"""Where a run stands, folded from its events; the live list, the lines and the JSON are drawn from it."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from meshpki.errors import MeshpkiError
from meshpki.workflow.event import (
    Applied,
    Event,
    GateOpened,
    GateWaits,
    Outcome,
    ProgramEnded,
    StepDone,
    StepFailed,
    StepStarted,
    StepStopped,
    Tick,
)
from meshpki.workflow.work import APPLY


class State(StrEnum):
    """Where one step stands."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass
class Line:
    """One step as it is shown; `said` are the gates' details, `waits` what the shut gate waits for."""

    name: str
    summary: str
    state: State = State.PENDING
    started: datetime | None = None
    seconds: float = 0.0
    counts: Counter[Outcome] = field(default_factory=Counter)
    gate: str = ""
    waits: str = ""
    since: datetime | None = None
    said: dict[str, str] = field(default_factory=dict)
    programs: dict[str, str] = field(default_factory=dict)
    error: MeshpkiError | None = None

    def elapsed(self, now: datetime) -> timedelta:
        """How long the step has run, or ran."""
        if self.state is State.RUNNING and self.started is not None:
            return now - self.started
        return timedelta(seconds=self.seconds)


class Board:
    """All steps of a run, in their order."""

    def __init__(self, steps: list[tuple[str, str]]) -> None:
        """`steps` are names with their summaries."""
        self.lines = {name: Line(name, summary) for name, summary in steps}
        self.counts: Counter[Outcome] = Counter()

    def add(self, steps: list[tuple[str, str]]) -> None:
        """Steps that turned out to come besides; one that is run again begins anew."""
        self.lines.update({name: Line(name, summary) for name, summary in steps})

    def note(self, event: Event, now: datetime) -> Line | None:
        """Take one event in; the line it was about, None where it was about none that is shown."""
        if isinstance(event, Tick):
            return None
        if isinstance(event, Applied):
            self.counts[event.outcome] += 1
        line = self.lines.get(event.step)
        if line is not None:
            _fold(line, event, now)
        return line

    def rows(self) -> list[dict[str, object]]:
        """The steps as plain data, for JSON."""
        return [
            {
                "name": line.name,
                "state": line.state,
                "seconds": round(line.seconds, 1),
                "objects": {str(outcome): count for outcome, count in line.counts.items()},
                "gates": line.said,
                "programs": line.programs,
            }
            for line in self.lines.values()
        ]

    def seconds(self) -> str:
        """How long each step took, in one line."""
        return "  ".join(f"{line.name} {line.seconds:.1f}s" for line in self.lines.values())


def brief(why: str) -> str:
    """The first of several reasons, and how many more there are: what fits a line; a time-out tells them all."""
    first, *more = why.split("; ")
    return f"{first} (and {len(more)} more)" if more else first


def _fold(line: Line, event: Event, now: datetime) -> None:
    match event:
        case StepStarted():
            line.state, line.started = State.RUNNING, now
            _opened(line)
        case Applied(_, _, outcome):
            line.counts[outcome] += 1
            if line.gate == APPLY:
                _opened(line)
        case GateWaits(_, gate, why):
            line.since = line.since if line.gate == gate else now
            line.gate, line.waits = gate, brief(why)
        case GateOpened(_, gate, detail):
            _opened(line)
            line.said[gate] = detail
        case ProgramEnded(_, program, changed):
            line.programs[program] = "ran" if changed else "nothing to do"
        case _:
            _end(line, event, now)


def _opened(line: Line) -> None:
    line.gate, line.waits, line.since = "", "", None


def _end(line: Line, event: Event, now: datetime) -> None:
    elapsed = line.elapsed(now).total_seconds()
    match event:
        case StepDone(_, took):
            line.state, line.seconds = State.DONE, took.total_seconds()
        case StepFailed(_, error):
            line.state, line.error, line.seconds = State.FAILED, error, elapsed
        case StepStopped():
            line.state, line.seconds = State.STOPPED, elapsed
        case _:
            pass
