"""One GET inside one pod through one port-forward (Kubernetes v4.channel.k8s.io): bytes in, bytes out, no socket."""

import base64
import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus

from meshpki.cluster.api import Header
from meshpki.cluster.client import ClusterError
from meshpki.cluster.frames import Frames, Message, Opcode, frame
from meshpki.cluster.manifest import Ref
from meshpki.cluster.refusal import refused
from meshpki.cluster.response import AnswerError, Body, Head, Response, read_head, request
from meshpki.errors import MeshpkiError

PROTOCOL = "v4.channel.k8s.io"

# RFC 6455 section 1.3
_ACCEPT_SUFFIX = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_DATA, _ERROR = 0, 1
_WORDS = ("connection refused", "connection reset by peer", "no such file or directory")
_PORT_BYTES = 2
_TOLD = 200
# how long to stay away where the API server does not say it, and at most; seconds
_PAUSE, _LONGEST_PAUSE = 1.0, 30.0


@dataclass(frozen=True)
class Throttled:
    """The API server asks to come again `after` some seconds."""

    after: float
    error: ClusterError


Outcome = bytes | MeshpkiError | Throttled


class Exchange:
    """Send what `opening` and `feed` give, feed what comes; `outcome` is None until it is known."""

    def __init__(self, pod: Ref, port: int, path: str) -> None:
        """`path` is asked of `port` inside the pod."""
        self._pod, self._port, self._path = pod, port, path
        self._key = base64.b64encode(os.urandom(16)).decode()
        self._received, self._frames, self._response = bytearray(), Frames(), Response()
        self._head: Head | None = None
        self._refusal: Body | None = None
        self._greeted: set[int] = set()
        self.outcome: Outcome | None = None

    @property
    def is_open(self) -> bool:
        """Whether the port-forward stands."""
        return self._head is not None and self._refusal is None

    def opening(self, host: str, prefix: str, headers: Iterable[Header]) -> bytes:
        """The request to the API server at `host` that asks for the port-forward."""
        target = f"{prefix}/api/v1/namespaces/{self._pod.namespace}/pods/{self._pod.name}/portforward"
        fields = {
            "Host": host,
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": self._key,
            "Sec-WebSocket-Protocol": PROTOCOL,
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in (*fields.items(), *headers))
        return f"GET {target}?ports={self._port} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")

    def feed(self, data: bytes) -> bytes:
        """Take what the API server sent; what to send next, often nothing."""
        try:
            return self._forwarded(data) if self.is_open else self._answered(data)
        except AnswerError as error:
            self._fail(error)
            return b""

    def end(self) -> None:
        """The API server hung up."""
        if self._head is not None and self._refusal is not None:
            self._refuse(self._head, b"")
            return
        try:
            self.outcome = self._response.end()
        except AnswerError as error:
            self._fail(error)

    def _answered(self, data: bytes) -> bytes:
        """The answer to the upgrade, which is either the port-forward or a refusal."""
        if self._head is not None and self._refusal is not None:
            body = self._refusal.feed(data)
            if body is not None:
                self._refuse(self._head, body)
            return b""
        self._received += data
        self._head = head = read_head(self._received)
        if head is None:
            return b""
        if head.status != HTTPStatus.SWITCHING_PROTOCOLS:
            self._refusal = Body(head)
            return self._answered(bytes(self._received))
        if head.headers.get("sec-websocket-accept") != _accepted(self._key):
            raise AnswerError("the API server's answer is to no request of ours; is there a proxy in between?")
        get = frame(Opcode.BINARY, bytes([_DATA]) + request(self._path))
        return get + self._forwarded(bytes(self._received))

    def _forwarded(self, data: bytes) -> bytes:
        reply = b""
        for message in self._frames.feed(data):
            match message.opcode:
                case Opcode.PING:
                    reply += frame(Opcode.PONG, message.content)
                case Opcode.CLOSE:
                    self.end()
                case Opcode.BINARY if message.content:
                    self._carried(message)
            if self.outcome is not None:
                return frame(Opcode.CLOSE, b"")
        return reply

    def _carried(self, message: Message) -> None:
        channel, content = message.content[0], message.content[1:]
        if channel not in self._greeted:  # the first message of a channel only repeats the port
            self._greeted.add(channel)
            content = content[_PORT_BYTES:]
        if channel == _ERROR and content:
            said = content[:_TOLD].decode(errors="replace").strip()
            # kubelet and runtime tell first where they tried, at length, with the sandbox's 64 digits
            why = next((words for words in _WORDS if words in said), said)
            raise AnswerError(f"nothing answers at port {self._port}: {why}")
        if channel == _DATA and content:
            self.outcome = self._response.feed(content)

    def _refuse(self, head: Head, body: bytes) -> None:
        error = refused(head.status, body, "port-forward", str(self._pod))
        after = head.headers.get("retry-after", "")
        busy = head.status == HTTPStatus.TOO_MANY_REQUESTS
        if busy or (head.status == HTTPStatus.SERVICE_UNAVAILABLE and after):
            seconds = float(after) if after.isdecimal() else _PAUSE
            self.outcome = Throttled(min(seconds, _LONGEST_PAUSE), error)
        else:
            self.outcome = error

    def _fail(self, error: AnswerError) -> None:
        self.outcome = AnswerError(error.what, where=str(self._pod))


def _accepted(key: str) -> str:
    return base64.b64encode(hashlib.sha1(f"{key}{_ACCEPT_SUFFIX}".encode(), usedforsecurity=False).digest()).decode()
