"""A run as its report tells it: where each step stands at the end, and what every gate said when."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from meshpki.cli.board import Board
from meshpki.workflow.event import Event, GateOpened, GateWaits


@dataclass(frozen=True)
class Moment:
    """What a gate said, and how long after the beginning."""

    at: timedelta
    step: str
    gate: str
    state: str
    said: str

    def as_json(self) -> dict[str, object]:
        """As plain data; seconds since the beginning."""
        at = round(self.at.total_seconds(), 2)
        return {"seconds": at, "step": self.step, "gate": self.gate, "state": self.state, "said": self.said}


@dataclass(frozen=True)
class Run:
    """What a run leaves: the board, and its moments in their order."""

    board: Board
    moments: tuple[Moment, ...] = ()

    def timeline(self) -> list[dict[str, object]]:
        """The moments as plain data, for JSON."""
        return [one.as_json() for one in self.moments]


def moment(event: Event, at: timedelta) -> Iterator[Moment]:
    """The moment that an event is, none where no gate spoke."""
    match event:
        case GateWaits(step, gate, why):
            yield Moment(at, step, gate, "waiting", why)
        case GateOpened(step, gate, detail):
            yield Moment(at, step, gate, "open", detail)
        case _:
            return
