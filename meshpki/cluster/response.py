"""One HTTP answer from inside a pod, put together as its bytes come; whoever sends it is trusted with no limit."""

import re
import socket

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


class Response:
    """The body of one HTTP/1.1 answer (RFC 9112 section 6), at most LIMIT bytes; no byte is looked at twice."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        self._pending, self._body = bytearray(), bytearray()
        self._begun = self._chunked = False
        # bytes until the end of the body or chunk; None where that is not known, or not yet
        self._left: int | None = None

    def feed(self, data: bytes) -> bytes | None:
        """Take what came next: the body once it is whole, else None; raises AnswerError for what will never be one."""
        self._pending += data
        if len(self._pending) + len(self._body) > LIMIT:
            raise AnswerError(f"it sent more than {LIMIT} bytes")
        if not self._begun and not self._begin():
            return None
        if self._chunked:
            return self._take_chunks()
        whole = self._left is not None and len(self._pending) >= self._left
        return bytes(self._pending[: self._left]) if whole else None

    def end(self) -> bytes:
        """The other side hung up: the body, where that was to mark its end; raises AnswerError where it was not."""
        if self._begun and not self._chunked and self._left is None:
            return bytes(self._pending)
        raise AnswerError("the connection ended before the answer did")

    def _begin(self) -> bool:
        head, found, rest = self._pending.partition(_HEAD_END)
        if len(head) > _HEAD_LIMIT:
            raise AnswerError("it did not answer in HTTP")
        if not found:
            return False
        status, *lines = bytes(head).split(_LINE_END)
        answered = _STATUS.match(status)
        if answered is None or answered[1] != b"200":
            raise AnswerError(f"it answered HTTP {answered[1].decode()}" if answered else "it did not answer in HTTP")
        headers = {
            name.strip().lower(): value.strip().lower() for name, _, value in (one.partition(b":") for one in lines)
        }
        self._chunked = headers.get(b"transfer-encoding", b"").endswith(b"chunked")
        length = headers.get(b"content-length")
        self._left = None if self._chunked or length is None else _number(_DECIMAL, length, 10)
        self._pending, self._begun = rest, True
        return True

    def _take_chunks(self) -> bytes | None:
        while self._left is not None or self._next_chunk():
            size = self._left or 0
            if size == 0:
                return bytes(self._body)
            if len(self._pending) < size + len(_LINE_END):
                break
            self._body += self._pending[:size]
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
