"""What is left of a validity, and what renews it: the same words and JSON in every command."""

from datetime import datetime, timedelta

from meshpki.cli.verdicts.words import left, moment
from meshpki.pki.renewal import Renewal

_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def seconds_left(not_after: datetime, at: datetime) -> int:
    """Whole seconds until the end, negative after it."""
    return (not_after - at) // timedelta(seconds=1)


def when(renewal: Renewal, not_after: datetime, at: datetime) -> str:
    """`in 5h`, `due` or `overdue`; empty where no moment is known."""
    if renewal.at is None:
        return ""
    if at < renewal.at:
        return f"in {left(renewal.at, at)}"
    return "overdue" if renewal.overdue(not_after, at) else "due"


def renewal_json(renewal: Renewal | None, not_after: datetime | None, at: datetime) -> dict[str, object] | None:
    """By what, at which moment, since when the successor is ready, and whether it is overdue."""
    if renewal is None:
        return None
    return {
        "by": renewal.by,
        "at": moment(renewal.at) if renewal.at else None,
        "prepared": moment(renewal.prepared) if renewal.prepared else None,
        "overdue": renewal.overdue(not_after, at) if not_after else False,
    }


def apart(until: datetime, at: datetime) -> str:
    """How far ahead a moment lies, in its two largest units, as `in 3h 12m`; `now` where it does not."""
    remaining = seconds_left(until, at)
    if remaining <= 0:
        return "now"
    parts: list[str] = []
    for name, unit in _UNITS:
        count, remaining = divmod(remaining, unit)
        if count or parts:
            parts.append(f"{count}{name}")
    return f"in {' '.join(parts[:2])}"
