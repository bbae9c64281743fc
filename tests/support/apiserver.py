"""A stand-in for the API server on loopback: LIST pages over TLS, port-forward and exec to Envoys, after a set time.

It is no API server: no admission, no etcd, no kubelet. What a port-forward costs those is injected as time. Tests count
what a client did; the bench measures the client.
"""

import asyncio
import base64
import contextlib
import functools
import hashlib
import json
import ssl
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from meshpki.cluster.manifest import Object
from tests.support import certificates as made

NAME = "api.example.org"
TOKEN = "token-of-a-test"

_ACCEPT_SUFFIX = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_PIECE = 16 * 1024
_KINDS = {
    "pods": "Pod",
    "configmaps": "ConfigMap",
    "events": "Event",
    "services": "Service",
    "namespaces": "Namespace",
}
_OF_APPS = {"deployments": "Deployment", "statefulsets": "StatefulSet"}


def _resources(group: str, kinds: Mapping[str, str]) -> Object:
    resources = [
        {"name": name, "singularName": kind.lower(), "kind": kind, "namespaced": True, "verbs": ["get", "list"]}
        for name, kind in kinds.items()
    ]
    return {"kind": "APIResourceList", "groupVersion": group, "resources": resources}


_APPS = {"groupVersion": "apps/v1", "version": "v1"}
_DISCOVERY: dict[str, Object] = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [{"name": "apps", "versions": [_APPS], "preferredVersion": _APPS}],
    },
    "/api/v1": _resources("v1", _KINDS),
    "/apis/apps/v1": _resources("apps/v1", _OF_APPS),
}


@dataclass(frozen=True)
class Reply:
    """What becomes of one port-forward: a refusal, an error of the kubelet, silence, raw bytes, or Envoy's body.

    `serves` shakes hands as whatever listens at the port.
    """

    body: bytes = b""
    status: int = 101
    retry_after: str = ""
    error: str = ""
    silent: bool = False
    raw: bytes = b""
    serves: ssl.SSLContext | None = None


@dataclass
class Seen:
    """What the clients did, for tests to count."""

    opened: list[str] = field(default_factory=list)
    underway: int = 0
    most: int = 0
    connections: int = 0
    resumed: int = 0
    requests: list[str] = field(default_factory=list)
    queries: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    # whom each kind of request was made as: its Impersonate headers
    acting: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class StandIn:
    """Serves `objects` by collection path, and `replies` by pod name.

    `seconds` pass before each port-forward, and before what an exec prints. Requests whose path ends in one of `silent`
    are never answered.
    """

    replies: Callable[[str], Reply]
    objects: Mapping[str, Sequence[Object]] = field(default_factory=dict)
    seconds: float = 0.0
    silent: tuple[str, ...] = ()
    seen: Seen = field(default_factory=Seen)
    transports: set[asyncio.Transport] = field(default_factory=set)
    # what the next requests are refused with, each once: the status and Retry-After; 0 closes the connection
    refusals: list[tuple[int, str]] = field(default_factory=list)

    async def serve(self, tls: ssl.SSLContext | None, port: int = 0) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: _Connection(self), "127.0.0.1", port, ssl=tls, backlog=1024)

    def answer(self, path: str, query: Mapping[str, list[str]]) -> tuple[int, Object]:
        if path == "/version":
            return 200, {"gitVersion": "v1.35.4"}
        if path in _DISCOVERY:
            return 200, _DISCOVERY[path]
        if path in self.objects:
            return 200, _page(
                self.objects[path], int(query.get("limit", ["0"])[0]), int(query.get("continue", ["0"])[0])
            )
        if path.rpartition("/")[2] in _KINDS:
            return 200, {"items": [], "metadata": {}}
        collection, _, name = path.rpartition("/")
        found = [one for one in self.objects.get(collection, ()) if one["metadata"]["name"] == name]
        return (200, found[0]) if found else (404, _status("NotFound", f'"{name}" not found'))


class _Connection(asyncio.Protocol):
    """One connection of a client; after an upgrade it is a port-forward until it ends."""

    def __init__(self, served: StandIn) -> None:
        self._served, self._buffer = served, bytearray()
        self._forwards = False
        self._reply = Reply()
        self._port = 15000
        self._listener: _Listener | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._served.transports.add(transport)
        self._served.seen.connections += 1
        tls = transport.get_extra_info("ssl_object")
        self._served.seen.resumed += bool(tls and tls.session_reused)

    def connection_lost(self, _error: Exception | None) -> None:
        self._served.transports.discard(self._transport)
        seen = self._served.seen
        seen.connections -= 1
        seen.underway -= self._forwards

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._forwards:
            self._read_frames()
            return
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            first, *lines = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            size = int(headers.get("content-length", 0))
            if len(self._buffer) < end + 4 + size:
                return
            del self._buffer[: end + 4 + size]
            self._served.seen.acting[first] = sorted(line for line in lines if line.startswith("Impersonate-"))
            if self._served.refusals and "upgrade" not in headers:
                self._refuse(first, *self._served.refusals.pop(0))
            else:
                self._requested(first, headers)

    def _requested(self, first: str, headers: Mapping[str, str]) -> None:
        verb, target, _ = first.split(" ")
        url = urlsplit(target)
        seen = self._served.seen
        seen.tokens.add(headers.get("authorization", ""))
        seen.queries.append((url.path, parse_qs(url.query)))
        if headers.get("upgrade") == "websocket":
            self._port = int(parse_qs(url.query).get("ports", ["15000"])[0])
            self._forward(url.path.split("/")[-2], headers["sec-websocket-key"], executes=url.path.endswith("/exec"))
        elif url.path.endswith(self._served.silent):
            seen.requests.append(f"{verb} {url.path}")
        elif verb == "POST":
            seen.requests.append(f"{verb} {url.path}")
            self._send(201, {"status": {"allowed": True}})
        else:
            seen.requests.append(f"{verb} {url.path}")
            self._send(*self._served.answer(*seen.queries[-1]))

    def _refuse(self, first: str, status: int, retry_after: str) -> None:
        verb, target, _ = first.split(" ")
        self._served.seen.requests.append(f"{verb} {urlsplit(target).path}")
        if not status:
            self._transport.close()
            return
        extra = {"Retry-After": retry_after} if retry_after else {}
        self._send(status, _status("Refused", "the server is busy"), **extra)

    def _forward(self, pod: str, key: str, *, executes: bool) -> None:
        seen = self._served.seen
        seen.opened.append(pod)
        seen.underway += 1
        seen.most = max(seen.most, seen.underway)
        self._forwards = True
        self._reply = reply = self._served.replies(pod)
        if not reply.silent:
            upgrade = functools.partial(self._upgrade, reply, key, executes=executes)
            asyncio.get_running_loop().call_later(0 if executes else self._served.seconds, upgrade)

    def _upgrade(self, reply: Reply, key: str, *, executes: bool) -> None:
        if reply.status != 101:
            extra = {"Retry-After": reply.retry_after} if reply.retry_after else {}
            self._send(reply.status, _status("Refused", reply.error), **extra)
            return
        accept = base64.b64encode(hashlib.sha1(key.encode() + _ACCEPT_SUFFIX, usedforsecurity=False).digest())
        self._transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Protocol: v%d.channel.k8s.io\r\nSec-WebSocket-Accept: %b\r\n\r\n"
            % (5 if executes else 4, accept)
        )
        if executes:
            # kubectl throws away what comes before it has made its streams: the time passes in between
            asyncio.get_running_loop().call_later(self._served.seconds, self._execute, reply)
            return
        for channel in (b"\0", b"\1"):
            self._transport.write(_frame(channel + struct.pack("<H", self._port)))
        self._listener = _Listener(reply.serves) if reply.serves else None
        if reply.error:
            self._transport.write(_frame(b"\1" + reply.error.encode()))
        if reply.raw:
            self._transport.write(reply.raw)

    def _execute(self, reply: Reply) -> None:
        """Standard output, the verdict, and the end, as for a command that prints Envoy's body."""
        self._transport.write(_frame(b"\1" + reply.body) + _frame(b"\3" + json.dumps({"status": "Success"}).encode()))
        self._transport.write(b"\x88\x02\x03\xe8")

    def _read_frames(self) -> None:
        """The client's frames are small: the request in one, a farewell in another."""
        while len(self._buffer) >= 6:
            size = self._buffer[1] & 0x7F
            head = 2 if size < 126 else 4
            size = size if size < 126 else int(struct.unpack_from("!H", self._buffer, 2)[0])
            if len(self._buffer) < head + 4 + size:
                return
            opcode, mask = self._buffer[0] & 0x0F, self._buffer[head : head + 4]
            masked = self._buffer[head + 4 : head + 4 + size]
            del self._buffer[: head + 4 + size]
            if opcode == 8:
                self._transport.close()
            elif self._listener and opcode == 2:
                sent = bytes(one ^ mask[place % 4] for place, one in enumerate(masked))
                self._transport.write(_frame(b"\0" + self._listener.answer(sent[1:])))
            elif self._reply.body and opcode == 2:
                self._transport.write(_envoys(self._reply.body))

    def _send(self, status: int, content: Object, **headers: str) -> None:
        body = json.dumps(content).encode()
        now = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
        fields = {"Date": now, "Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self._transport.write(f"HTTP/1.1 {status} Said\r\n{lines}\r\n".encode() + body)


class _Listener:
    """The server's half of a TLS handshake, in memory."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._came, self._goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._came, self._goes, server_side=True)

    def answer(self, sent: bytes) -> bytes:
        """What it says to what the client sent."""
        self._came.write(sent)
        with contextlib.suppress(ssl.SSLWantReadError):
            self._tls.do_handshake()
        return self._goes.read()


@contextlib.contextmanager
def running(stand_in: StandIn, folder: Path) -> Iterator[Path]:
    """Serve from a thread; the kubeconfig that leads there."""
    root = made.root(valid(made.ROOT))
    tls = server_tls(root.issue(valid(made.SVID.but(uris=(), dns=(NAME,)))))
    loop, port = asyncio.new_event_loop(), Future[int]()

    async def serve() -> None:
        server = await stand_in.serve(tls)
        port.set_result(server.sockets[0].getsockname()[1])
        await over.wait()
        server.close()
        for transport in list(stand_in.transports):
            transport.abort()
        await asyncio.sleep(0.01)

    over = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    try:
        yield kubeconfig(folder, port.result(10), root.pem)
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(10)
        loop.close()


def server_tls(leaf: made.Issued, *above: made.Issued) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as both:
        both.write(made.pem(leaf, *above) + leaf.key_pem)
        both.flush()
        context.load_cert_chain(both.name)
    return context


def kubeconfig(folder: Path, port: int, root: bytes) -> Path:
    """A kubeconfig that leads to a stand-in by address, and expects the certificate of NAME."""
    cluster = {
        "server": f"https://127.0.0.1:{port}",
        "tls-server-name": NAME,
        "certificate-authority-data": base64.b64encode(root).decode(),
    }
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "stand-in",
        "clusters": [{"name": "stand-in", "cluster": cluster}],
        "users": [{"name": "stand-in", "user": {"token": TOKEN}}],
        "contexts": [{"name": "stand-in", "context": {"cluster": "stand-in", "user": "stand-in"}}],
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def valid(shape: made.Shape) -> made.Shape:
    """The shape with a validity around the real time."""
    now = datetime.now(UTC).replace(microsecond=0)
    return shape.but(not_before=now - made.HOUR, not_after=now + timedelta(days=1))


def _page(items: Sequence[Object], limit: int, begin: int) -> Object:
    end = begin + limit if limit else len(items)
    metadata = {"continue": str(end)} if end < len(items) else {}
    return {"items": list(items[begin:end]), "metadata": metadata}


def _status(reason: str, message: str) -> Object:
    return {"kind": "Status", "reason": reason, "message": message}


def _envoys(body: bytes) -> bytes:
    """Envoy's answer as its admin port gives it: in chunks, and a frame for each piece that was read."""
    pieces = [body[start : start + _PIECE] for start in range(0, len(body), _PIECE)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, b""])
    answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n" + chunks
    return b"".join(_frame(b"\0" + answer[start : start + _PIECE]) for start in range(0, len(answer), _PIECE))


def _frame(content: bytes) -> bytes:
    size = len(content)
    head = bytes([0x82, size]) if size < 126 else b"\x82\x7e" + struct.pack("!H", size)
    return head + content
