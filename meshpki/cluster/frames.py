"""Websocket frames as a client sends and reads them (RFC 6455 section 5): bytes in, messages out."""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from meshpki.cluster.response import LIMIT, AnswerError


class Opcode(IntEnum):
    """What a frame is; the rest of the numbers are refused."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


_FINAL, _MASKED, _RESERVED = 0x80, 0x80, 0x70
_OPCODE, _LENGTH = 0x0F, 0x7F
_SHORT, _TWO_BYTES, _EIGHT_BYTES = 125, 126, 127
_MASK_BYTES = 4


@dataclass(frozen=True)
class Message:
    """One whole message or control frame."""

    opcode: Opcode
    content: bytes


def frame(opcode: Opcode, content: bytes) -> bytes:
    """One final frame as a client must send it: masked with a key of its own."""
    size = len(content)
    head = bytes([_FINAL | opcode, _MASKED | min(size, _TWO_BYTES)])
    if size > _SHORT:
        head += struct.pack("!H", size)
    mask = os.urandom(_MASK_BYTES)
    key = (mask * (size // _MASK_BYTES + 1))[:size]
    return head + mask + (int.from_bytes(content, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")


class Frames:
    """What a server sends, cut into messages; a message in fragments is joined."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        self._received, self._fragments = bytearray(), bytearray()
        self._begun = Opcode.CONTINUATION

    def feed(self, data: bytes) -> Iterator[Message]:
        """Each message that is whole with this; raises AnswerError for what is no frame, or too large."""
        self._received += data
        while (found := self._next()) is not None:
            final, opcode, content = found
            if opcode > Opcode.BINARY:
                yield Message(opcode, content)
                continue
            self._begun = opcode or self._begun
            self._fragments += content
            if len(self._fragments) > LIMIT:
                raise AnswerError(f"a message has more than {LIMIT} bytes")
            if final:
                yield Message(self._begun, bytes(self._fragments))
                self._fragments.clear()

    def _next(self) -> tuple[bool, Opcode, bytes] | None:
        if len(self._received) < 2:  # noqa: PLR2004 - the shortest head
            return None
        first, second = self._received[:2]
        start, size = self._size(second)
        if second & _MASKED or first & _RESERVED or size > LIMIT:
            raise AnswerError("the API server sent no websocket frame")
        if len(self._received) < start + size:
            return None
        content = bytes(self._received[start : start + size])
        del self._received[: start + size]
        try:
            return bool(first & _FINAL), Opcode(first & _OPCODE), content
        except ValueError as error:
            raise AnswerError("the API server sent no websocket frame") from error

    def _size(self, second: int) -> tuple[int, int]:
        """Where the content begins, and its size; 0 bytes from beyond the end while the head is not whole."""
        size = second & _LENGTH
        if size <= _SHORT:
            return 2, size
        form, start = ("!H", 4) if size == _TWO_BYTES else ("!Q", 10)
        if len(self._received) < start:
            return start, 0
        return start, int(struct.unpack_from(form, self._received, 2)[0])
