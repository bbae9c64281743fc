"""The way to the API server for connections of our own: address, proxy, TLS, credentials; nothing here ever blocks.

Each step is a generator that yields what it waits for, so that one thread carries many of them (fetching.py).
"""

import contextlib
import errno
import os
import selectors
import socket
import ssl
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import SplitResult, urlsplit

from meshpki.cluster.api import Header
from meshpki.cluster.exchange import Exchange
from meshpki.cluster.response import read_head

_PIECE = 1 << 16
_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True)
class Wait:
    """A step cannot go on before the descriptor is ready; `events` are those of `selectors`."""

    descriptor: int
    events: int


@dataclass(frozen=True)
class Address:
    """One address of the API server or its proxy, as `socket` takes it."""

    family: socket.AddressFamily
    name: tuple[str | int | bytes, ...]


Steps = Generator[Wait, None, None]


@dataclass
class Endpoint:
    """The API server at `url`, reached through `proxy` (a URL, empty for none).

    `tls` verifies the server, None only for a plain http URL, as of `kubectl proxy`; `server_name` is the name that
    its certificate must bear. `headers` gives user agent and credentials anew for each connection.
    """

    url: str
    headers: Callable[[], tuple[Header, ...]]
    tls: ssl.SSLContext | None = None
    server_name: str = ""
    proxy: str = ""
    proxy_headers: Mapping[str, str] = field(default_factory=dict)
    kept: tuple[float, tuple[Header, ...]] = (float("-inf"), ())
    # a session that the server let us take up again spares both sides most of a handshake (RFC 8446 section 2.2)
    session: ssl.SSLSession | None = None

    def addresses(self) -> list[Address]:
        """Where to connect to, best first; raises OSError where the name is not known."""
        url = urlsplit(self.proxy or self.url)
        found = socket.getaddrinfo(url.hostname, _port(url), type=socket.SOCK_STREAM)
        return [Address(family, name) for family, _, _, _, name in found]

    def visit(self, address: Address, exchange: Exchange) -> Steps:
        """Connect and carry an exchange to its outcome; raises OSError where the connection fails.

        Closing the generator closes the connection.
        """
        url = urlsplit(self.url)
        sock = socket.socket(address.family, socket.SOCK_STREAM)
        try:
            yield from _connect(sock, address.name)
            if self.proxy:
                yield from self._through_proxy(sock, f"{url.hostname}:{_port(url)}")
            if self.tls is not None:
                sock = self._wrapped(sock, self.tls, self.server_name or url.hostname or "")
                yield from _handshake(sock)
            yield from _carry(sock, exchange, exchange.opening(url.netloc, url.path.rstrip("/"), self._fields()))
            self._leave(sock)
        finally:
            sock.close()

    def _fields(self) -> tuple[Header, ...]:
        """The headers, kept for a second: to look for a token's renewal may cost more than a connection."""
        if time.monotonic() > self.kept[0] + 1:
            self.kept = time.monotonic(), self.headers()
        return self.kept[1]

    def _wrapped(self, sock: socket.socket, tls: ssl.SSLContext, name: str) -> ssl.SSLSocket:
        return tls.wrap_socket(sock, server_hostname=name, do_handshake_on_connect=False, session=self.session)

    def _leave(self, sock: socket.socket) -> None:
        """Say goodbye without waiting for the answer: OpenSSL takes up no session again that ended without."""
        if not isinstance(sock, ssl.SSLSocket):
            return
        if not sock.session_reused:
            self.session = sock.session
        with contextlib.suppress(OSError):
            sock.unwrap()

    def _through_proxy(self, sock: socket.socket, target: str) -> Steps:
        """CONNECT (RFC 9110 section 9.3.6)."""
        url = urlsplit(self.proxy)
        if url.scheme != "http":
            raise OSError(f"port-forward through a proxy of kind {url.scheme} is not possible")
        fields = {"Host": target, **self.proxy_headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        yield from _send(sock, f"CONNECT {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1"))
        received = bytearray()
        while (head := read_head(received)) is None:
            received += yield from _receive(sock)
        if head.status != HTTPStatus.OK:
            raise OSError(f"the proxy answered HTTP {head.status}")


def _connect(sock: socket.socket, name: tuple[str | int | bytes, ...]) -> Steps:
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    error = sock.connect_ex(name)
    if error == errno.EINPROGRESS:
        yield Wait(sock.fileno(), selectors.EVENT_WRITE)
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, os.strerror(error))


def _handshake(sock: ssl.SSLSocket) -> Steps:
    while True:
        try:
            return sock.do_handshake()
        except ssl.SSLWantReadError:
            yield Wait(sock.fileno(), selectors.EVENT_READ)
        except ssl.SSLWantWriteError:
            yield Wait(sock.fileno(), selectors.EVENT_WRITE)


def _carry(sock: socket.socket, exchange: Exchange, opening: bytes) -> Steps:
    yield from _send(sock, opening)
    while exchange.outcome is None:
        received = yield from _receive(sock)
        if not received:
            return exchange.end()
        reply = exchange.feed(received)
        if reply:
            yield from _send(sock, reply)


def _send(sock: socket.socket, content: bytes) -> Steps:
    while content:
        try:
            content = content[sock.send(content) :]
        except (BlockingIOError, ssl.SSLWantWriteError):
            yield Wait(sock.fileno(), selectors.EVENT_WRITE)
        except ssl.SSLWantReadError:
            yield Wait(sock.fileno(), selectors.EVENT_READ)


def _receive(sock: socket.socket) -> Generator[Wait, None, bytes]:
    while True:
        try:
            return sock.recv(_PIECE)
        except (BlockingIOError, ssl.SSLWantReadError):
            yield Wait(sock.fileno(), selectors.EVENT_READ)
        except ssl.SSLWantWriteError:
            yield Wait(sock.fileno(), selectors.EVENT_WRITE)


def _port(url: SplitResult) -> int:
    return url.port or _PORTS.get(url.scheme, 443)
