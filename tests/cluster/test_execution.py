"""What a command in a container said: a real websocket, at whose far end an API server's frames are written."""

import contextlib
import json
import socket
import threading

import pytest
import websocket

from meshpki.cluster.execution import LIMIT, outcome

SUCCESS = json.dumps({"kind": "Status", "status": "Success"}).encode()
FAILURE = json.dumps({"kind": "Status", "status": "Failure", "reason": "NonZeroExitCode"}).encode()
CLOSE = websocket.ABNF(opcode=websocket.ABNF.OPCODE_CLOSE, mask_value=0, data=b"\x03\xe8")


def frame(channel: int, content: bytes) -> websocket.ABNF:
    data = bytes([channel]) + content
    return websocket.ABNF(1, opcode=websocket.ABNF.OPCODE_BINARY, mask_value=0, data=data)


def carrying(*frames: websocket.ABNF) -> tuple[websocket.WebSocket, socket.socket]:
    """An open websocket whose server has sent these frames, and the server's end."""
    near, far = socket.socketpair()
    carrier = websocket.WebSocket()
    carrier.sock, carrier.connected = near, True
    for one in frames:
        far.sendall(one.format())
    return carrier, far


@pytest.mark.parametrize(
    ("frames", "output", "complaint", "succeeded"),
    [
        ([frame(1, b"ab"), frame(1, b"c"), frame(3, SUCCESS)], "abc", "", True),
        ([frame(1, b"a"), frame(2, b"no such file"), frame(3, FAILURE)], "a", "no such file", False),
        ([frame(1, b"cut o"), CLOSE], "cut o", "", False),
        ([frame(1, b"a"), frame(3, b"\xff{")], "a", "", False),
        ([frame(1, b"a"), frame(3, b'["Success"]')], "a", "", False),
        ([frame(4, b"resize"), frame(0, b"stdin"), frame(3, SUCCESS)], "", "", True),
    ],
    ids=["ends well", "fails", "is closed", "ends with garbage", "ends with a list", "other channels"],
)
def test_a_command_is_done_well_only_where_the_server_says_so(
    frames: list[websocket.ABNF], output: str, complaint: str, *, succeeded: bool
) -> None:
    carrier, far = carrying(*frames)
    with far:
        said = outcome(carrier, seconds=5)
        assert (said.output, said.complaint, said.succeeded) == (output, complaint, succeeded)


def test_a_command_that_says_nothing_is_left_when_its_time_is_over() -> None:
    carrier, far = carrying(frame(1, b"working"))
    with far:
        said = outcome(carrier, seconds=0.05)
        assert (said.output, said.succeeded) == ("working", False)
        far.settimeout(1)
        assert far.recv(1024), "the command was not hung up on"


def test_a_connection_that_is_lost_ends_a_command_without_success() -> None:
    carrier, far = carrying(frame(1, b"half"))
    far.close()
    assert outcome(carrier, seconds=5).succeeded is False


def test_no_more_is_read_of_a_command_than_the_limit() -> None:
    carrier, far = carrying()
    piece = frame(1, b"x" * (LIMIT // 4)).format()

    def flood() -> None:
        with contextlib.suppress(OSError):
            while True:
                far.sendall(piece)

    flooding = threading.Thread(target=flood)
    flooding.start()
    said = outcome(carrier, seconds=30)
    far.close()
    flooding.join(timeout=5)
    assert not flooding.is_alive()
    assert LIMIT <= len(said.output) <= LIMIT + len(piece)
    assert not said.succeeded
