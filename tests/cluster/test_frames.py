import struct

import pytest
from hypothesis import given
from hypothesis import strategies as some

from meshpki.cluster.frames import Frames, Message, Opcode, frame
from meshpki.cluster.response import LIMIT, AnswerError

BINARY, CONTINUED, PING = Opcode.BINARY, Opcode.CONTINUATION, Opcode.PING


def sent(content: bytes, opcode: int = BINARY, *, final: bool = True) -> bytes:
    """A frame as a server sends it."""
    head = bytes([0x80 * final | opcode])
    size = len(content)
    if size < 126:
        return head + bytes([size]) + content
    return (
        head
        + (bytes([126]) + struct.pack("!H", size) if size < 1 << 16 else bytes([127]) + struct.pack("!Q", size))
        + content
    )


def read(data: bytes, step: int = 1 << 20) -> list[Message]:
    frames = Frames()
    return [one for start in range(0, len(data), step) for one in frames.feed(data[start : start + step])]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
@pytest.mark.parametrize("step", [1, 1000, 1 << 20])
def test_a_message_is_read_whatever_its_size_and_however_it_is_cut(size: int, step: int) -> None:
    content = b"x" * size
    assert read(sent(content) + sent(b"next"), step) == [Message(BINARY, content), Message(BINARY, b"next")]


def test_fragments_are_joined_and_a_ping_between_them_is_seen_at_once() -> None:
    data = sent(b"a", final=False) + sent(b"?", PING) + sent(b"b", CONTINUED, final=False) + sent(b"c", CONTINUED)
    assert read(data) == [Message(PING, b"?"), Message(BINARY, b"abc")]


@pytest.mark.parametrize(
    "data",
    [
        b"\x82\x81mask?",
        b"\xf2\x01x",
        b"\x83\x01x",
        b"\x82\x7f" + struct.pack("!Q", LIMIT + 1),
        (b"\x02\x7f" + struct.pack("!Q", LIMIT) + bytes(LIMIT)) + sent(b"x", CONTINUED),
    ],
    ids=["masked", "reserved bits", "unknown opcode", "too large", "too many fragments"],
)
def test_what_no_server_may_send_is_refused(data: bytes) -> None:
    with pytest.raises(AnswerError):
        read(data)


@given(some.binary(max_size=300))
def test_what_a_client_sends_is_masked_with_its_key(content: bytes) -> None:
    made = frame(BINARY, content)
    assert made[0] == 0x82
    assert made[1] & 0x80
    start = 2 if len(content) < 126 else 4
    key, masked = made[start : start + 4], made[start + 4 :]
    assert bytes(byte ^ key[place % 4] for place, byte in enumerate(masked)) == content
