"""How far a look has come: a bar on a terminal, now and then a line elsewhere, nothing where it is quick."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from meshpki.cli import output

_HEARTBEAT = timedelta(seconds=5)


@contextmanager
def counting() -> Iterator[Callable[[int, int], None]]:
    """What to call with how many are checked, of how many."""
    if not output.terminal().interactive:
        yield Beats()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    bars = (BarColumn(),) if output.terminal().unicode else ()
    columns = (*bars, MofNCompleteColumn(), TextColumn("checked"))
    with Progress(*columns, console=output.console(), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


class Beats:
    """A line every few seconds, counted from the beginning."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """`now` tells the time in UTC."""
        self._now, self._said = now, now()

    def __call__(self, done: int, of: int) -> None:
        """Say it, if it is time."""
        now = self._now()
        if now - self._said >= _HEARTBEAT:
            self._said = now
            output.progress(f"{now:%H:%M:%S} verify {done} of {of} checked")
