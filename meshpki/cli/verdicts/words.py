"""The words that the forms of a report share: names, times and chains, as people read them."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from meshpki.drawing.words import age, short_name
from meshpki.drawing.words import visible as plain
from meshpki.pki.certificate import Certificate
from meshpki.settings.durations import moment
from meshpki.words import first_of

__all__ = ["aligned", "chain", "lasting", "left", "moment", "plain", "short_name", "some"]


def left(until: datetime, at: datetime) -> str:
    """The time left in one unit; `expired` where there is none."""
    return age(until - at)


def lasting(until: datetime, at: datetime) -> str:
    """The same as a phrase: `59m left`, or `expired` alone."""
    return f"{left(until, at)} left" if until > at else "expired"


def chain(path: Sequence[Certificate], roots: Sequence[Certificate]) -> str:
    """A path in a line, from the leaf up; a question mark where it leads to no pinned root."""
    if not path:
        return "-"
    first = short_name(path[0]) if path[0].is_ca else "leaf"
    names = [first, *(short_name(certificate) for certificate in path[1:])]
    return " > ".join(names if path[-1] in roots else [*names, "?"])


def some(names: Sequence[str], most: int) -> str:
    """A few names, and how many more there are; 0 names them all."""
    return first_of(names, most or len(names))


def aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Rows as lines with their columns one under the other."""
    shown = [tuple(plain(cell) for cell in row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
