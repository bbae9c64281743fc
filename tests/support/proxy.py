"""A proxy on loopback that knows CONNECT, lets in whom it knows, and leads to one port whatever it was asked for."""

import base64
import contextlib
import select
import socket
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Asked:
    """What it was asked for: targets that it led to, and how many it refused."""

    port: int = 0
    led: list[str] = field(default_factory=list)
    refused: int = 0


@contextlib.contextmanager
def proxying(to: int, login: str) -> Iterator[Asked]:
    """Serve from threads: `login` is the `user:password` that it demands."""
    asked, word = Asked(), base64.b64encode(login.encode()).decode()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            first, *lines = iter(lambda: self.rfile.readline().decode().strip(), "")
            if f"proxy-authorization: basic {word}".lower() not in [line.lower() for line in lines]:
                asked.refused += 1
                self.wfile.write(b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n")
                return
            asked.led.append(first.split(" ")[1])
            with socket.create_connection(("127.0.0.1", to)) as beyond:
                self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                _carry(self.connection, beyond)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads, asked.port = True, server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield asked
        finally:
            server.shutdown()


def _carry(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            for ready in select.select([one, other], [], [])[0]:
                content = ready.recv(1 << 16)
                if not content:
                    return
                (other if ready is one else one).sendall(content)
