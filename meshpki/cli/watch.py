"""A verdict that is looked at again and again: redrawn on a terminal, elsewhere a line for each change."""

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import NoReturn

from meshpki.cli import output
from meshpki.cli.verdicts.table import totals
from meshpki.cli.verdicts.words import moment, plain
from meshpki.cluster.client import Clock
from meshpki.errors import MeshpkiError
from meshpki.verify.assessment import Assessment, counting, state_of, where_of
from meshpki.verify.places import PlaceVerdict
from meshpki.verify.report import PodVerdict, Report

Show = Callable[[datetime, Assessment | MeshpkiError], None]
_NEW, _GONE = "new", "gone"


def watch(
    look: Callable[[], Assessment], form: Callable[[Assessment], str], every: timedelta, clock: Clock
) -> NoReturn:
    """Look, show, wait, until Ctrl-C; the first look may fail the command, a later one is only told of."""
    with _showing(form, every) as show:
        found: Assessment | MeshpkiError = look()
        while True:
            show(clock.now(), found)
            clock.wait(threading.Event(), every)
            found = _again(look)


def changes(before: Mapping[str, str] | None, after: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """What is another state than before: what, from, to. At first (None) whatever is not proven."""
    known = before if before is not None else dict.fromkeys(after, "proven")
    for name in sorted({*known, *after}):
        was, now = known.get(name, _NEW), after.get(name, _GONE)
        if was != now:
            yield name, (was if before is not None else _NEW), now


def situation(report: Report) -> dict[str, str]:
    """The state of each pod and place with the codes that it fails by, and of all pairs of peers the worst."""
    seen: tuple[PodVerdict | PlaceVerdict, ...] = (*report.pods, *report.places)
    states = {where_of(one): _state(one) for one in seen}
    peers = {state_of(one) for one in report.peers}
    worst = next((state for state in ("broken", "unknown", "ignored", "proven") if state in peers), None)
    return {**states, "peers": worst} if worst else states


@contextmanager
def _showing(form: Callable[[Assessment], str], every: timedelta) -> Iterator[Show]:
    if not (output.terminal().interactive and sys.stdout.isatty()):
        yield Lines().show
        return
    from rich.live import Live
    from rich.text import Text

    with Live(console=output.console(), auto_refresh=False) as screen:

        def show(at: datetime, found: Assessment | MeshpkiError) -> None:
            told = f"{found.code} {found.what}" if isinstance(found, MeshpkiError) else form(found)
            head = f"{moment(at)}  every {every.total_seconds():.0f} s, Ctrl-C ends"
            screen.update(Text(f"{head}\n\n{output.plain(told)}", no_wrap=True, overflow="crop"), refresh=True)

        yield show


class Lines:
    """One line a change on stdout, and the sum at first."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self._before: dict[str, str] | None = None

    def show(self, at: datetime, found: Assessment | MeshpkiError) -> None:
        """Say what changed since the last look."""
        if isinstance(found, MeshpkiError):
            output.progress(plain(f"{moment(at)} look failed: {found}"))
            return
        if self._before is None:
            output.data(f"{moment(at)} {'; '.join(totals(found.report))}")
        after = situation(found.report)
        for name, was, now in changes(self._before, after):
            output.data(plain(f"{moment(at)} {name}: {was} -> {now}"))
        self._before = after


def _again(look: Callable[[], Assessment]) -> Assessment | MeshpkiError:
    try:
        return look()
    except MeshpkiError as error:
        return error


def _state(verdict: PodVerdict | PlaceVerdict) -> str:
    codes = {finding.code for finding in counting(verdict) if finding.severity != "warn"}
    return " ".join([state_of(verdict), *sorted(codes)])
