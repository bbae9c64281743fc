"""A command in a container: what it wrote and how it ended, from the frames of a websocket (v4.channel.k8s.io)."""

import contextlib
import json
import time
from dataclasses import dataclass

import websocket

from meshpki.cluster.manifest import Object

LIMIT = 4 * 1024 * 1024
_STDOUT, _STDERR, _STATUS = 1, 2, 3


@dataclass(frozen=True)
class Outcome:
    """What a command wrote, and whether it ended with exit code 0; one that was cut off did not."""

    output: str
    complaint: str
    succeeded: bool


def outcome(carrier: websocket.WebSocket, seconds: float) -> Outcome:
    """Read until the command ends, LIMIT bytes and `seconds` at most; closes the carrier, and with it the command."""
    channels = {_STDOUT: bytearray(), _STDERR: bytearray(), _STATUS: bytearray()}
    until = time.monotonic() + seconds
    # whichever end hangs up, there is no status then
    with contextlib.suppress(OSError, websocket.WebSocketException):
        while not channels[_STATUS] and sum(map(len, channels.values())) < LIMIT:
            carrier.settimeout(max(until - time.monotonic(), 0.001))
            opcode, frame = carrier.recv_data()
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                break
            if frame and frame[0] in channels:
                channels[frame[0]] += frame[1:]
    with contextlib.suppress(OSError, websocket.WebSocketException):
        carrier.send_close()
    carrier.shutdown()  # type: ignore[no-untyped-call]  # the library types the rest
    texts = {channel: bytes(content).decode(errors="replace") for channel, content in channels.items()}
    return Outcome(texts[_STDOUT], texts[_STDERR], _status(texts[_STATUS]).get("status") == "Success")


def _status(text: str) -> Object:
    """The Status object that ends a command, empty for anything else."""
    try:
        content = json.loads(text)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
