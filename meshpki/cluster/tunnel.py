"""A port-forward: one TCP connection carried in the frames of a websocket (Kubernetes v4.channel.k8s.io).

The client library's own forwarder ends its thread with a traceback whenever the near end hangs up first, which is
what reading a TLS server's chain and leaving does.
"""

import contextlib
import selectors
import socket
import threading
from types import TracebackType

import websocket

_DATA, _ERROR = 0, 1
_PORT_BYTES = 2
_LOOK = 0.2


class Tunnel:
    """The near end is a plain connected socket; closing the context closes both ends.

    One thread reads, writes and closes the carrier. OpenSSL's `SSL` must not be used by two at once, and a descriptor
    that one thread closes under another's hands may already be somebody else's connection: of a thousand forwards, 32
    at once, the two threads this had before lost more than one in a hundred, and one wrote into another.
    """

    def __init__(self, carrier: websocket.WebSocket) -> None:
        """`carrier` is open, for one port: channel 0 is its data, channel 1 its errors."""
        self._carrier, self._left = carrier, threading.Event()
        self.near, self._inner = socket.socketpair()
        self._greeted: set[int] = set()
        self._thread = threading.Thread(target=self._carry, daemon=True)

    def __enter__(self) -> socket.socket:
        """Start carrying, and hand the near end out."""
        self._thread.start()
        return self.near

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close both ends; whoever still carries sees that and ends."""
        self._left.set()
        self.near.close()
        self._thread.join(timeout=1)

    def _carry(self) -> None:
        # one of the ends hung up, whichever it was
        with (
            contextlib.suppress(OSError, ValueError, websocket.WebSocketException),
            selectors.DefaultSelector() as ready,
        ):
            ready.register(self._carrier.sock or -1, selectors.EVENT_READ, "carrier")
            ready.register(self._inner, selectors.EVENT_READ, "near")
            while not self._left.is_set() and self._turn(ready):
                pass
        with contextlib.suppress(OSError, websocket.WebSocketException):
            self._inner.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError, websocket.WebSocketException):
            self._carrier.close(timeout=1)
        self._inner.close()

    def _turn(self, ready: selectors.BaseSelector) -> bool:
        """Carry what is there in either direction; whether there may be more."""
        came = {key.data for key, _ in ready.select(0 if self._buffered() else _LOOK)}
        if "near" in came:
            content = self._inner.recv(1 << 16)
            if content:
                self._carrier.send_binary(bytes([_DATA]) + content)
            else:  # the near end sends no more, and may still read
                ready.unregister(self._inner)
        return self._receive() if self._buffered() or "carrier" in came else True

    def _buffered(self) -> bool:
        """Whether the TLS layer holds bytes that the socket no longer shows."""
        pending = getattr(self._carrier.sock, "pending", None)
        return bool(pending and pending())

    def _receive(self) -> bool:
        _, frame = self._carrier.recv_data()
        if not frame:
            return False
        channel, content = frame[0], frame[1:]
        if channel not in self._greeted:  # the first frame of a channel only repeats the port
            self._greeted.add(channel)
            content = content[_PORT_BYTES:]
        if channel == _DATA and content:
            self._inner.sendall(content)
        return channel != _ERROR or not content
