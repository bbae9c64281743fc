"""A request that the API server is too busy for, or whose connection was lost, is sent again, as client-go does it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

import urllib3

# client-go rest/with_retry.go: ten more times, for the same answers, and a lost connection is a GET's alone to renew
_TRIES = 11
_BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


@dataclass(frozen=True)
class Patience:
    """For how many seconds a request is tried at all, and whether it may follow one that the server may have done."""

    seconds: float
    repeats: bool


READING = Patience(10, repeats=True)
# Before each write the Lease was looked at; what is tried longer than its margin (lease/lease.py) may meet another run.
WRITING = Patience(2, repeats=False)


def patience(verb: str, path: str, query: Mapping[str, str]) -> Patience:
    """How long to try: long where nothing is changed, as by a dry run or an access review."""
    reviews = path.startswith("/apis/authorization.k8s.io/")
    return READING if verb == "GET" or "dryRun" in query or reviews else WRITING


def patiently(ask: Callable[[], urllib3.BaseHTTPResponse], within: Patience) -> urllib3.BaseHTTPResponse:
    """The answer, asked for again when a busy server says to (Retry-After); its refusal where that would be too late.

    A connection that is refused, or silent for too long, is told at once; one that is lost is made anew once.
    """
    until, renewed = time.monotonic() + within.seconds, not within.repeats
    for _ in range(1, _TRIES):
        try:
            response = ask()
        except urllib3.exceptions.ProtocolError:
            if renewed:
                raise
            renewed = True
            continue
        after = retry_after(response)
        if after is None or time.monotonic() + after > until:
            return response
        response.drain_conn()
        time.sleep(after)
    return ask()


def retry_after(response: urllib3.BaseHTTPResponse) -> float | None:
    """After how many seconds the server wants to be asked again; None where it does not say so."""
    said = response.headers.get("retry-after", "")
    return float(said) if response.status in _BUSY and said.isdecimal() else None
