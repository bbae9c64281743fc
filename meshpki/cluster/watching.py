"""One watch kept open: a thread that reads the server's events and says only that something changed."""

import contextlib
import threading
from collections.abc import Callable
from types import TracebackType

import urllib3

from meshpki.cluster.client import ClusterError

_PAUSE = 1.0


class Watcher:
    """A context in which `changed` is called for every event of a watch; opened again whenever the server ends it.

    Events carry no state here: whoever is woken reads afresh, so a lost event costs a look, never a wrong answer.
    """

    def __init__(self, open_stream: Callable[[], urllib3.BaseHTTPResponse | None], changed: Callable[[], None]) -> None:
        """`open_stream` starts the HTTP watch, None where its kind is not served yet."""
        self._open, self._changed, self._over = open_stream, changed, threading.Event()
        self._response: urllib3.BaseHTTPResponse | None = None
        self._thread = threading.Thread(target=self._read, name="watch", daemon=True)

    def __enter__(self) -> None:
        """Start reading; the thread is a daemon, so that nothing waits for a server that hangs."""
        self._thread.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop reading and let the connection go."""
        self._over.set()
        response = self._response
        if response is not None:
            with contextlib.suppress(ValueError, RuntimeError, OSError, AttributeError):
                response.shutdown()

    def _read(self) -> None:
        while not self._over.is_set():
            try:
                self._follow()
            except (ClusterError, urllib3.exceptions.HTTPError, OSError, ValueError):
                # A broken watch is replaced by a new one; the gates look by themselves meanwhile.
                self._over.wait(_PAUSE)

    def _follow(self) -> None:
        self._response = response = self._open()
        if response is None:
            self._over.wait(_PAUSE)
            self._changed()
            return
        try:
            for _line in response.stream(4096):
                if self._over.is_set():
                    return
                self._changed()
        finally:
            response.close()
