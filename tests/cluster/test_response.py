import contextlib
import socket
import threading

import pytest

from meshpki.cluster.response import LIMIT, AnswerError, Response, ask

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: Chunked\r\n\r\n"
WHOLE = {
    "a length": (OK + b"Content-Length: 5\r\n\r\nhello", b"hello"),
    "a length of nothing": (OK + b"content-length: 0\r\n\r\n", b""),
    "chunks": (CHUNKED + b"5\r\nhello\r\nA;x=1\r\n0123456789\r\n0\r\n\r\n", b"hello0123456789"),
    "chunks with trailers": (CHUNKED + b"1\r\nx\r\n0\r\nmore: y\r\n\r\n", b"x"),
}  # fmt: skip
REFUSED = {
    "another status": b"HTTP/1.1 503 Unavailable\r\n\r\n",
    "no HTTP": b"SSH-2.0-OpenSSH\r\n\r\n",
    "a head without end": b"HTTP/1.1 200 OK\r\nx: " + b"x" * 20_000,
    "a negative length": OK + b"content-length: -1\r\n\r\n",
    "a length that is none": OK + b"content-length: \xb2\r\n\r\n",
    "more than is read": OK + b"content-length: 9\r\n\r\n" + b"x" * (LIMIT + 1),
    "more without a length": OK + b"\r\n" + b"x" * (LIMIT + 1),
    "a chunk without length": CHUNKED + b"xyz\r\n",
    "a chunk whose length has no end": CHUNKED + b"1" * 100,
}


def fed(data: bytes, step: int) -> bytes | None:
    response, body = Response(), None
    for start in range(0, len(data), step):
        body = response.feed(data[start : start + step])
    return body


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
@pytest.mark.parametrize("name", WHOLE)
def test_a_body_is_whole_when_its_head_says_so_however_it_is_cut(name: str, step: int) -> None:
    data, body = WHOLE[name]
    assert fed(data, step) == body


def test_a_body_without_length_ends_with_the_connection() -> None:
    response = Response()
    assert response.feed(OK + b"\r\nabc") is None
    assert response.end() == b"abc"


@pytest.mark.parametrize("data", [b"", OK, WHOLE["a length"][0][:-1], WHOLE["chunks"][0][:-3]])
def test_an_answer_that_is_cut_off_is_none(data: bytes) -> None:
    response = Response()
    response.feed(data)
    with pytest.raises(AnswerError):
        response.end()


@pytest.mark.parametrize("name", REFUSED)
def test_what_will_never_be_an_answer_is_refused_at_once(name: str) -> None:
    with pytest.raises(AnswerError) as caught:
        fed(REFUSED[name], 1 << 16)
    assert caught.value.code == "MPK-350"


def test_a_listener_that_says_nothing_is_given_up() -> None:
    near, far = socket.socketpair()
    near.settimeout(0.05)
    with near, far, pytest.raises(AnswerError):
        ask(near, "/")


def test_a_path_is_asked_of_the_listener() -> None:
    near, far = socket.socketpair()
    heard: list[bytes] = []

    def serve() -> None:
        with far, contextlib.suppress(OSError):
            heard.append(far.recv(4096))
            far.sendall(WHOLE["chunks"][0])

    thread = threading.Thread(target=serve)
    thread.start()
    with near:
        assert ask(near, "/config_dump?mask=x") == b"hello0123456789"
    thread.join()
    assert heard[0].startswith(b"GET /config_dump?mask=x HTTP/1.1\r\n")
