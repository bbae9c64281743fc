"""What a client of the probe writes to its log: one line a request, an echo, or the end of a stream.

The lines are made by templates/probe/part-client.sh; the kubelet puts the time before each (logs API, `timestamps`).
Whoever answers a request writes a part of its line: nothing in it is believed further than this form goes.
"""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Literal

from meshpki.components.probe_flow import TARGET_MARK

_LINE = re.compile(
    r"(?P<at>\S{20,40}) (?P<kind>[rex]) (?P<mark>[a-z0-9]{1,10}) (?P<run>[0-9]{1,12}) (?P<number>[0-9]{1,9})"
    r"(?: (?P<status>[0-9]{3}) (?P<exit>[0-9]{1,3}) (?P<text>.*))?",
    re.ASCII,
)
# Envoy says the class of a TLS error at the end of some 220 characters; the client cuts at the same length.
_TEXT_LIMIT = 320
_TLS_REASON = re.compile(r"OPENSSL_internal:([A-Z0-9_]{3,60})\b", re.ASCII)
_RESET = re.compile(r"reset reason: ([a-z ]{3,40})", re.ASCII)
# curl's exit codes (docs/libcurl/libcurl-errors.md) for which there is a word.
_EXITS = {6: "name not resolved", 7: "connection refused", 28: "no answer in time", 52: "hung up", 56: "hung up"}

Kind = Literal["request", "echo", "broken"]
_KINDS: dict[str, Kind] = {"r": "request", "e": "echo", "x": "broken"}


@dataclass(frozen=True, slots=True)
class Record:
    """One line: when (UTC), of which flow by its mark, and the place in the sequence of one run of the client.

    `error` is the class of the failure, empty where the request or the echo is as it must be; `text` is what was said.
    """

    at: datetime
    kind: Kind
    mark: str
    run: int
    number: int
    error: str = ""
    text: str = ""


def parse(line: str) -> Record | None:
    """The record of one line of a log with timestamps, None for anything else."""
    found = _LINE.fullmatch(line)
    if found is None or (found["kind"] == "r") != (found["status"] is not None):
        return None
    at = _moment(found["at"])
    if at is None:
        return None
    base = Record(at, _KINDS[found["kind"]], found["mark"], int(found["run"]), int(found["number"]))
    match base.kind:
        case "echo":
            return base
        case "broken":
            return replace(base, error=_exit(base.number) or "closed")
        case "request":
            text = _printable(found["text"][:_TEXT_LIMIT])
            error = error_class(base.mark, int(found["status"]), int(found["exit"]), text)
            return replace(base, error=error, text=text if error else "")


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else "?" for one in text)


def error_class(mark: str, status: int, ended: int, text: str) -> str:
    """The class of a request's failure, empty where it was answered as it must be.

    The probe's own servers answer 200 and `ok`; of a user's Service the status alone is seen, and below 400 will do.
    """
    if ended:
        return _exit(ended)
    if mark == TARGET_MARK:
        return "" if HTTPStatus.OK <= status < HTTPStatus.BAD_REQUEST else f"HTTP {status}"
    if status == HTTPStatus.OK:
        return "" if text == "ok" else "another answer"
    tls, reset = _TLS_REASON.search(text), _RESET.search(text)
    if tls:
        return tls[1]
    return f"HTTP {status}: {reset[1].strip()}" if reset else f"HTTP {status}"


def _exit(ended: int) -> str:
    return _EXITS.get(ended, f"curl {ended}") if ended else ""
