"""Something that is looked at again and again: redrawn on a terminal, elsewhere a line for each change."""

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, NoReturn, TypeVar

from meshpki.cli import output
from meshpki.cli.verdicts.words import moment, plain
from meshpki.cluster.client import Clock
from meshpki.errors import MeshpkiError

Found = TypeVar("Found")
_NEW, _GONE = "new", "gone"


@dataclass(frozen=True)
class Watched(Generic[Found]):
    """How one look is told: whole, in a line, and as the state of each thing; `well` is the state not told at first."""

    form: Callable[[Found], str]
    total: Callable[[Found], str]
    states: Callable[[Found], Mapping[str, str]]
    well: str


def watch(look: Callable[[], Found], watched: Watched[Found], every: timedelta, clock: Clock) -> NoReturn:
    """Look, show, wait, until Ctrl-C; the first look may fail the command, a later one is only told of."""
    with _showing(watched, every) as show:
        found: Found | MeshpkiError = look()
        while True:
            show(clock.now(), found)
            clock.wait(threading.Event(), every)
            found = _again(look)


def changes(before: Mapping[str, str] | None, after: Mapping[str, str], well: str) -> Iterator[tuple[str, str, str]]:
    """What is another state than before: what, from, to. At first (None) whatever is not well."""
    known = before if before is not None else dict.fromkeys(after, well)
    for name in sorted({*known, *after}):
        was, now = known.get(name, _NEW), after.get(name, _GONE)
        if was != now:
            yield name, (was if before is not None else _NEW), now


@contextmanager
def _showing(watched: Watched[Found], every: timedelta) -> Iterator[Callable[[datetime, Found | MeshpkiError], None]]:
    if not (output.terminal().interactive and sys.stdout.isatty()):
        yield Lines(watched).show
        return
    from rich.live import Live
    from rich.text import Text

    with Live(console=output.console(), auto_refresh=False) as screen:

        def show(at: datetime, found: Found | MeshpkiError) -> None:
            told = f"{found.code} {found.what}" if isinstance(found, MeshpkiError) else watched.form(found)
            head = f"{moment(at)}  every {every.total_seconds():.0f} s, Ctrl-C ends"
            screen.update(Text(f"{head}\n\n{output.plain(told)}", no_wrap=True, overflow="crop"), refresh=True)

        yield show


class Lines(Generic[Found]):
    """One line a change on stdout, and the sum at first."""

    def __init__(self, watched: Watched[Found]) -> None:
        """Nothing was seen yet."""
        self._watched = watched
        self._before: dict[str, str] | None = None

    def show(self, at: datetime, found: Found | MeshpkiError) -> None:
        """Say what changed since the last look."""
        if isinstance(found, MeshpkiError):
            output.progress(plain(f"{moment(at)} look failed: {found}"))
            return
        if self._before is None:
            output.data(plain(f"{moment(at)} {self._watched.total(found)}"))
        after = dict(self._watched.states(found))
        for name, was, now in changes(self._before, after, self._watched.well):
            output.data(plain(f"{moment(at)} {name}: {was} -> {now}"))
        self._before = after


def _again(look: Callable[[], Found]) -> Found | MeshpkiError:
    try:
        return look()
    except MeshpkiError as error:
        return error
