"""What the supervisor did, as lines of JSON: it works on when the command that started it is gone."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

from meshpki.errors import LabError
from meshpki.lab.progress import Progress, Report


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the lab could not be made: the parts of a LabError."""

    code: str
    what: str
    where: str
    remedy: str

    def error(self) -> LabError:
        """The error again, for the process that waited."""
        return LabError(self.code, self.what, where=self.where, remedy=self.remedy)


@dataclass(frozen=True, slots=True)
class Ready:
    """The cluster is whole."""

    seconds: float


Event: TypeAlias = Progress | Failure | Ready
_KINDS = {kind.__name__: kind for kind in (Progress, Failure, Ready)}


def line(event: Event) -> str:
    """One event as one line."""
    return json.dumps({"event": type(event).__name__, **asdict(event)}) + "\n"


def parse(text: str) -> Event:
    """The event of one line."""
    fields = json.loads(text)
    kind = _KINDS[fields.pop("event")]
    event: Event = kind(**fields)
    return event


def append(path: Path, event: Event) -> None:
    """Add an event to the story in `path`."""
    with path.open("a") as story:
        story.write(line(event))


def read(path: Path, told: int) -> list[Event]:
    """The whole lines of the story after the first `told`; a line being written waits for the next time."""
    try:
        lines = path.read_text().split("\n")[:-1]
    except FileNotFoundError:
        return []
    return [parse(each) for each in lines[told:]]


@contextmanager
def timed(report: Report, what: str, log: Path | None = None) -> Iterator[None]:
    """Tell that `what` starts, writing its own words to `log`, and how long it took once it is done."""
    report(Progress(what, "start", log=str(log or "")))
    started = time.monotonic()
    yield
    report(Progress(what, "done", round(time.monotonic() - started, 1)))
