"""A port-forward: one TCP connection carried in the frames of a websocket (Kubernetes v4.channel.k8s.io).

The client library's own forwarder ends its thread with a traceback whenever the near end hangs up first, which is
what reading a TLS server's chain and leaving does.
"""

import contextlib
import socket
import threading
from types import TracebackType

import websocket

_DATA, _ERROR = 0, 1
_PORT_BYTES = 2


class Tunnel:
    """The near end is a plain connected socket; closing the context closes both ends."""

    def __init__(self, carrier: websocket.WebSocket) -> None:
        """`carrier` is open, for one port: channel 0 is its data, channel 1 its errors."""
        self._carrier = carrier
        self.near, self._inner = socket.socketpair()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._receive, self._send)]

    def __enter__(self) -> socket.socket:
        """Start carrying, and hand the near end out."""
        for thread in self._threads:
            thread.start()
        return self.near

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close both ends; whoever still carries sees that and ends."""
        self.near.close()
        with contextlib.suppress(OSError, websocket.WebSocketException):
            self._carrier.close(timeout=1)
        self._inner.close()

    def _receive(self) -> None:
        greeted: set[int] = set()
        try:
            while True:
                _, frame = self._carrier.recv_data()
                if not frame:
                    break
                channel, content = frame[0], frame[1:]
                if channel not in greeted:  # the first frame of a channel only repeats the port
                    greeted.add(channel)
                    content = content[_PORT_BYTES:]
                if channel == _ERROR and content:
                    break
                if channel == _DATA and content:
                    self._inner.sendall(content)
        except (OSError, websocket.WebSocketException):
            pass  # one of the ends hung up
        with contextlib.suppress(OSError):
            self._inner.shutdown(socket.SHUT_WR)

    def _send(self) -> None:
        try:
            while content := self._inner.recv(1 << 16):
                self._carrier.send_binary(bytes([_DATA]) + content)
        except (OSError, websocket.WebSocketException):
            pass  # one of the ends hung up
