"""Why there was no answer, in words: libraries wrap the one error that says so in several of their own."""

import socket
import ssl
from collections.abc import Iterator

import urllib3

_DEEP = 8
_KNOWN = (
    ((socket.gaierror,), "name not found"),
    ((ConnectionRefusedError,), "connection refused"),
    ((ConnectionError,), "the connection was closed"),
    ((TimeoutError, urllib3.exceptions.TimeoutError), "timed out"),
)


def why(error: BaseException) -> str:
    """The cause that a failed connection goes back to, as people know it; the error's own kind where none says."""
    found = (words for one in _causes(error, _DEEP) if (words := _words(one)))
    return next(found, type(error).__name__)


def _causes(error: BaseException, deep: int) -> Iterator[BaseException]:
    """The innermost first."""
    nested = (getattr(error, "reason", None), error.__cause__, error.__context__, *error.args)
    for one in nested:
        if isinstance(one, BaseException) and deep:
            yield from _causes(one, deep - 1)
    yield error


def _words(error: BaseException) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not accepted: {error.verify_message}"
        case ssl.SSLError():
            return f"TLS failed: {getattr(error, 'reason', '') or error.strerror}"
        case OSError() | urllib3.exceptions.TimeoutError():
            known = (words for kinds, words in _KNOWN if isinstance(error, kinds))
            return next(known, getattr(error, "strerror", None) or "")
        case _:
            return ""
