"""HTTP answers put together as their bytes come (RFC 9112); whoever sends them is trusted with no limit."""

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from meshpki.errors import MeshpkiError

LIMIT = 4 * 1024 * 1024
SECONDS = 10.0

_HEAD_LIMIT = 16 * 1024
_CHUNK_LINE_LIMIT = 64
_HEAD_END, _LINE_END = b"\r\n\r\n", b"\r\n"
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})\b")
_DECIMAL, _HEXADECIMAL = re.compile(rb"\d{1,9}"), re.compile(rb"[0-9a-f]{1,7}")


class AnswerError(MeshpkiError):
    """What listens in the pod gave no whole answer of HTTP 200 within the limits of size and time."""

    def __init__(self, what: str, *, where: str = "") -> None:
        """Say what came instead."""
        super().__init__("MPK-350", what, where=where, remedy="look at the proxy: kubectl logs POD -c istio-proxy")


@dataclass(frozen=True)
class Head:
    """Status and headers of an answer; names in lower case."""

    status: int
    headers: Mapping[str, str]


def read_head(received: bytearray) -> Head | None:
    """Take the head off what was received, None while it is not whole; raises AnswerError for what is no HTTP."""
    end = received.find(_HEAD_END)
    if end > _HEAD_LIMIT or (end < 0 and len(received) > _HEAD_LIMIT):
        raise AnswerError("it did not answer in HTTP")
    if end < 0:
        return None
    status, *lines = bytes(received[:end]).split(_LINE_END)
    answered = _STATUS.match(status)
    if answered is None:
        raise AnswerError("it did not answer in HTTP")
    del received[: end + len(_HEAD_END)]
    fields = (line.decode("latin-1").partition(":") for line in lines)
    return Head(int(answered[1]), {name.strip().lower(): value.strip() for name, _, value in fields})


class Body:
    """The body that follows a head, at most LIMIT bytes; no byte is looked at twice."""

    def __init__(self, head: Head) -> None:
        """The head says how the body ends: by chunks, by length, or by hanging up."""
        self._pending, self._whole = bytearray(), bytearray()
        self._chunked = head.headers.get("transfer-encoding", "").lower().endswith("chunked")
        length = None if self._chunked else head.headers.get("content-length")
        # bytes until the end of the body or chunk; None where that is not known, or not yet
        self._left = None if length is None else _number(_DECIMAL, length.encode(), 10)

    def feed(self, data: bytes) -> bytes | None:
        """Take what came next: the body once it is whole, else None; raises AnswerError for what will never be one."""
        self._pending += data
        if len(self._pending) + len(self._whole) > LIMIT:
            raise AnswerError(f"it sent more than {LIMIT} bytes")
        if self._chunked:
            return self._take_chunks()
        complete = self._left is not None and len(self._pending) >= self._left
        return bytes(self._pending[: self._left]) if complete else None

    def end(self) -> bytes:
        """The other side hung up: the body, where that was to mark its end; raises AnswerError where it was not."""
        if self._chunked or self._left is not None:
            raise AnswerError("the connection ended before the answer did")
        return bytes(self._pending)

    def _take_chunks(self) -> bytes | None:
        while self._left is not None or self._next_chunk():
            size = self._left or 0
            if size == 0:
                return bytes(self._whole)
            if len(self._pending) < size + len(_LINE_END):
                break
            self._whole += self._pending[:size]
            del self._pending[: size + len(_LINE_END)]
            self._left = None
        return None

    def _next_chunk(self) -> bool:
        end = self._pending.find(_LINE_END, 0, _CHUNK_LINE_LIMIT)
        if end < 0:
            if len(self._pending) >= _CHUNK_LINE_LIMIT:
                raise AnswerError("a chunk of the answer has no length")
            return False
        size = bytes(self._pending[:end]).partition(b";")[0].strip().lower()
        self._left = _number(_HEXADECIMAL, size, 16)
        del self._pending[: end + len(_LINE_END)]
        return True


class Response:
    """One answer of HTTP 200, head and body."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        self._received = bytearray()
        self._body: Body | None = None

    def feed(self, data: bytes) -> bytes | None:
        """As Body.feed; another status than 200 raises AnswerError."""
        if self._body is not None:
            return self._body.feed(data)
        self._received += data
        head = read_head(self._received)
        if head is None:
            return None
        if head.status != HTTPStatus.OK:
            raise AnswerError(f"it answered HTTP {head.status}")
        self._body = Body(head)
        return self._body.feed(bytes(self._received))

    def end(self) -> bytes:
        """As Body.end."""
        if self._body is None:
            raise AnswerError("the connection ended before the answer did")
        return self._body.end()


def request(path: str) -> bytes:
    """The GET of a path that asks for nothing to be kept open."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()


def ask(connection: socket.socket, path: str) -> bytes:
    """GET a path over a connection into a pod; raises AnswerError for no answer, or another than HTTP 200."""
    if connection.gettimeout() is None:
        connection.settimeout(SECONDS)
    response, body = Response(), None
    try:
        connection.sendall(request(path))
        while body is None:
            data = connection.recv(1 << 16)
            body = response.feed(data) if data else response.end()
    except OSError as error:
        raise AnswerError(f"no answer: {type(error).__name__}") from error
    return body


def _number(form: re.Pattern[bytes], text: bytes, base: int) -> int:
    if not form.fullmatch(text):
        raise AnswerError("a length in the answer is no number")
    return int(text, base)
