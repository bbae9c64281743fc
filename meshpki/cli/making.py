"""A lab in the making, as a person or a log follows it: a live line on a terminal, append-only lines elsewhere."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from meshpki.cli import output

if TYPE_CHECKING:
    from rich.live import Live

    from meshpki.lab.progress import Progress, Report

_HEARTBEAT = 10.0
_LOOK = 0.5
_TAIL_BYTES = 2048
_WORDS = 60


@dataclass(frozen=True)
class Work:
    """What is being made since `began` (seconds of a monotonic clock), and the log in which it says how far it is."""

    what: str
    began: float
    log: str = ""

    def still(self, now: float) -> str:
        """That it goes on: for how long, and the last words of its log."""
        said = last_words(Path(self.log)) if self.log else ""
        return f"lab  {self.what} ... {now - self.began:.0f} s{'  ' if said else ''}{said}"


def last_words(log: Path) -> str:
    """The last whole line of a log, short and safe to show; empty where there is none."""
    try:
        with log.open("rb") as content:
            content.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            lines = content.read().decode(errors="replace").rpartition("\n")[0].splitlines()
    except OSError:
        return ""
    words = output.plain(lines[-1]).strip() if lines else ""
    return words if len(words) <= _WORDS else f"...{words[-_WORDS:]}"


class Lines:
    """A line when something begins and when it is done, and a heartbeat for what goes on in silence."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """Start with nothing being made; `now` tells seconds that only grow."""
        self._work: Work | None = None
        self._now, self._said, self._turn = now, now(), threading.Lock()

    def report(self, progress: "Progress") -> None:
        """Take in one line of the lab's story."""
        with self._turn:
            self._work = begun(progress, self._now())
            if progress.state == "start":
                self._say(f"lab  {progress.what} ...")
            elif progress.state == "done":
                self._say(done(progress))

    def beat(self) -> None:
        """Say that the work goes on, where nothing was said for ten seconds."""
        with self._turn:
            now = self._now()
            if self._work is not None and now - self._said >= _HEARTBEAT:
                self._say(self._work.still(now))

    def _say(self, text: str) -> None:
        self._said = self._now()
        output.progress(output.plain(text))


class LiveLine:
    """What is being made, redrawn in place; a line stays of what is done."""

    def __init__(self) -> None:
        """Show nothing before something begins: until then questions may be asked."""
        self._live: Live | None = None

    def report(self, progress: "Progress") -> None:
        """Take in one line of the lab's story."""
        self.close()
        work = begun(progress, time.monotonic())
        if work is not None:
            self._live = _live(work)
            self._live.start()
        elif progress.state == "done":
            output.progress(output.plain(done(progress)))

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def _live(work: Work) -> "Live":
    from rich.live import Live
    from rich.text import Text

    def line() -> Text:
        return Text(output.plain(work.still(time.monotonic())), no_wrap=True, overflow="ellipsis")

    return Live(get_renderable=line, console=output.console(), refresh_per_second=4, transient=True)


def begun(progress: "Progress", now: float) -> Work | None:
    """What is being made after this line of the story; None where nothing is."""
    return Work(progress.what, now, progress.log) if progress.state == "start" else None


def done(progress: "Progress") -> str:
    """What was made, and how long it took."""
    return f"lab  {progress.what}: {progress.seconds:.1f} s"


@contextmanager
def telling() -> Iterator["Report"]:
    """The report that fits standard error."""
    if output.terminal().interactive:
        live = LiveLine()
        try:
            yield live.report
        finally:
            live.close()
        return
    lines, ended = Lines(), threading.Event()

    def beat() -> None:
        while not ended.wait(_LOOK):
            lines.beat()

    beating = threading.Thread(target=beat, daemon=True)
    beating.start()
    try:
        yield lines.report
    finally:
        ended.set()
        beating.join()
