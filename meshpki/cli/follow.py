"""A run as a person or a log follows it: a live list on a terminal, append-only lines elsewhere."""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from meshpki.cli import output
from meshpki.cli.board import Board, Line, State, brief
from meshpki.workflow.event import Event, GateOpened, GateWaits, StepDone, StepFailed, StepStarted, StepStopped

if TYPE_CHECKING:
    from rich.console import RenderableType

    from meshpki.cluster.client import Clock

_HEARTBEAT = timedelta(seconds=10)
_MARKS = {
    State.PENDING: " ",
    State.RUNNING: "◐",
    State.DONE: "✔",
    State.FAILED: "✘",
    State.STOPPED: "■",
}
_ASCII = {State.PENDING: " ", State.RUNNING: "~", State.DONE: "+", State.FAILED: "x", State.STOPPED: "#"}


class Follower(Protocol):
    """Shows each event after the board has taken it in."""

    def show(self, event: Event, line: Line | None) -> None:
        """One event, and the step it was about."""


@contextmanager
def following(board: Board) -> Iterator[Follower]:
    """The follower that fits standard error."""
    if not output.terminal().interactive:
        yield Lines(board)
        return
    from rich.live import Live

    screen = LiveList(board)
    with Live(get_renderable=screen.render, console=output.console(), refresh_per_second=5, transient=False):
        yield screen


def followed(
    board: Board, events: Generator[Event], clock: "Clock", also: Callable[[Event, datetime], None] | None = None
) -> None:
    """Go through a run to its end: the board takes each event in, the follower shows it, and `also` gets it (UTC)."""
    with following(board) as follower, closing(events):
        for event in events:
            now = clock.now()
            follower.show(event, board.note(event, now))
            if also is not None:
                also(event, now)


def _utc() -> datetime:
    return datetime.now(UTC)


class Lines:
    """One line an event that tells something new, and a heartbeat for a step that goes on in silence."""

    def __init__(self, board: Board, now: Callable[[], datetime] = _utc) -> None:
        """Start with no line said; `now` tells the time in UTC."""
        self._board, self._now, self._said = board, now, dict[str, datetime]()

    def show(self, event: Event, line: Line | None) -> None:
        """See Follower.show."""
        now = self._now()
        match event:
            case StepStarted(step):
                self._say(now, step, "state=start")
            case GateWaits(step, gate, why):
                if step not in self._said or now - self._said[step] >= timedelta(seconds=1):
                    self._say(now, step, f"state=waiting gate={gate} {output.plain(brief(why))}")
            case GateOpened(step, gate, detail):
                self._say(now, step, f"state=open gate={gate} {output.plain(detail)}".rstrip())
            case StepDone(step, elapsed):
                self._say(now, step, f"state=done elapsed={elapsed.total_seconds():.1f}s")
            case StepFailed(step, error):
                self._say(now, step, f"state=failed code={error.code}")
            case StepStopped(step):
                self._say(now, step, f"state=stopped{_shut(line)}")
            case _:
                self._beat(now)

    def _beat(self, now: datetime) -> None:
        lines = self._board.lines.values()
        running = [line for line in lines if line.state is State.RUNNING]
        # before the first step begins, the first objects of any may hang
        for line in running or [line for line in lines if line.state is State.PENDING and line.gate]:
            if now - self._said.get(line.name, now) >= _HEARTBEAT:
                self._say(now, line.name, _still(line, now))

    def _say(self, now: datetime, step: str, text: str) -> None:
        self._said[step] = now
        line = " ".join(text.splitlines())  # a message of the cluster's may not begin a line of its own
        output.progress(f"{now:%H:%M:%S} step={step} {line}")


def _shut(line: Line | None) -> str:
    """The gate that a step which was stopped waited for."""
    return f" gate={line.gate} {output.plain(line.waits)}" if line is not None and line.gate else ""


def _still(line: Line, now: datetime) -> str:
    """What a running step is still at: its shut gate, or a program such as istioctl, which says nothing itself."""
    if not line.gate:
        return f"state=running elapsed={line.elapsed(now).total_seconds():.0f}s"
    elapsed = (now - (line.since or now)).total_seconds()
    return f"state=waiting gate={line.gate} elapsed={elapsed:.0f}s {output.plain(line.waits)}"


class LiveList:
    """The list of steps, redrawn in place: what each waits for, and what its gates saw."""

    def __init__(self, board: Board) -> None:
        """Draw this board."""
        self._board = board
        self._marks = _MARKS if output.terminal().unicode else _ASCII

    def show(self, event: Event, line: Line | None) -> None:
        """Nothing to do: the list is drawn from the board."""

    def render(self) -> "RenderableType":
        """The list as it stands."""
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 1))
        for column in ("left", "left", "left", "left"):
            table.add_column(justify=column)
        table.add_column(justify="right")
        now, many = datetime.now(UTC), len(self._board.lines)
        for number, line in enumerate(self._board.lines.values(), 1):
            seconds = line.elapsed(now).total_seconds()
            told = f"{seconds:.0f}s" if line.state is not State.PENDING else ""
            style = {State.DONE: "green", State.FAILED: "red", State.RUNNING: "cyan"}.get(line.state, "dim")
            mark = Text(self._marks[line.state], style=style)
            table.add_row(mark, f"{number}/{many}", line.name, Text(output.plain(_told(line))), Text(told, style="dim"))
        return table


def _told(line: Line) -> str:
    """What is worth saying of a step now: what it waits for, or what its last gate saw."""
    match line.state:
        case State.RUNNING | State.PENDING | State.STOPPED if line.gate:
            return f"{line.gate}: {line.waits}"
        case State.FAILED if line.error is not None:
            return f"{line.error.code} {line.error.what.splitlines()[0]}"
        case State.DONE if line.said:
            return next(iter(line.said.values())) if line.name == "root-ca" else list(line.said.values())[-1]
        case _:
            return line.summary
