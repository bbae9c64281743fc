"""A Python process that finds this on its path reaches one address of a network; every one it asks for is noted."""

import os
import sys
from typing import Any

_ALLOWED, _NOTES = os.environ["TEST_ONE_ADDRESS"], os.environ["TEST_ADDRESSES"]
_ASKING = {"socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"}


def _asked(event: str, args: tuple[Any, ...]) -> None:
    if event not in _ASKING:
        return
    address = _address(event, args)
    if not address:
        return
    notes = os.open(_NOTES, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(notes, f"{address}\n".encode())
    os.close(notes)
    if address not in (_ALLOWED, _ALLOWED.rpartition(":")[0]):
        raise PermissionError(f"{address} is not {_ALLOWED}")


def _address(event: str, args: tuple[Any, ...]) -> str:
    """HOST:PORT, or HOST where no port is named; empty for what is no network, as a socket of this machine's."""
    match event, args:
        case "socket.getaddrinfo", (host, port, *_):
            return f"{host}:{port}" if port else str(host)
        case "socket.gethostbyname", (host, *_):
            return str(host)
        case _, (_, (host, port, *_)):
            return f"{host}:{port}"
    return ""


sys.addaudithook(_asked)
