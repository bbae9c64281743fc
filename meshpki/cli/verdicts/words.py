"""The words that the forms of a report share: names, times and chains, as people read them."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from meshpki.pki.certificate import Certificate

_COMMON_NAME = re.compile(r"(?:^|,)CN=((?:[^,\\]|\\.)*)")
_DAYS_FROM = timedelta(days=3)
_HOURS_FROM = timedelta(hours=3)


def plain(text: str) -> str:
    """Text with every control, format and bidi character written as its code point."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        f"\\u{{{ord(char):x}}}" if unicodedata.category(char)[0] == "C" or char in "\u2028\u2029" else char
        for char in text
    )


def left(until: datetime, at: datetime) -> str:
    """The time left in one unit, as kubectl writes ages; `expired` where there is none."""
    remaining = until - at
    if remaining < timedelta():
        return "expired"
    if remaining >= _DAYS_FROM:
        return f"{remaining // timedelta(days=1)}d"
    if remaining >= _HOURS_FROM:
        return f"{remaining // timedelta(hours=1)}h"
    return f"{remaining // timedelta(minutes=1)}m"


def short_name(certificate: Certificate) -> str:
    """What people call a certificate: its common name, or `SPIRE CA` for SPIRE's, which has none."""
    found = _COMMON_NAME.search(certificate.subject)
    if found:
        return found.group(1)
    if certificate.is_ca and any(uri.startswith("spiffe://") for uri in certificate.uris):
        return "SPIRE CA"
    return certificate.subject or f"sha256 {certificate.sha256[:8]}"


def chain(path: Sequence[Certificate], roots: Sequence[Certificate]) -> str:
    """A path in a line, from the leaf up; a question mark where it leads to no pinned root."""
    if not path:
        return "-"
    first = short_name(path[0]) if path[0].is_ca else "leaf"
    names = [first, *(short_name(certificate) for certificate in path[1:])]
    return " > ".join(names if path[-1] in roots else [*names, "?"])


def moment(at: datetime) -> str:
    """A moment in RFC 3339, UTC, whole seconds."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def some(names: Sequence[str], most: int) -> str:
    """A few names, and how many more there are; 0 names them all."""
    if not most or len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"


def aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Rows as lines with their columns one under the other."""
    shown = [tuple(plain(cell) for cell in row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
