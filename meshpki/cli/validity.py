"""What is left of a validity, and what renews it: the same words and JSON in every command."""

from datetime import datetime, timedelta

from meshpki.cli.verdicts.words import left, moment
from meshpki.pki.renewal import Renewal


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
