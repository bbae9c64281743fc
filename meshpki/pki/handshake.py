"""What a TLS server presents, read from a connection without believing any of it."""

import socket
import ssl
import sys

from meshpki.errors import MeshpkiError
from meshpki.pki.certificate import Certificate, read_der

_TIMEOUT_SECONDS = 10.0


class HandshakeError(MeshpkiError):
    """The server did not finish a TLS handshake, or presented nothing."""


def served_chain(sock: socket.socket, server_name: str) -> tuple[Certificate, ...]:
    """The chain a server sends over a connected socket, leaf first; the socket stays the caller's.

    The one connection without verification: nothing is sent over it and nothing believed from it, the chain is
    input to `chain.judge` (docs/decisions/0003). Raises HandshakeError, and UnparsableError for what was sent.
    """
    try:
        return read_der(_presented(sock, server_name))
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or type(error).__name__
        raise HandshakeError(
            "MPK-352",
            f"the TLS handshake failed: {reason}",
            where=server_name,
            remedy="look at the server's log; it may still be starting",
        ) from error


def _presented(sock: socket.socket, server_name: str) -> list[bytes]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    with sock.dup() as copy:
        copy.settimeout(sock.gettimeout() or _TIMEOUT_SECONDS)
        with context.wrap_socket(copy, server_hostname=server_name) as tls:
            return _unverified_chain(tls)


def _unverified_chain(tls: ssl.SSLSocket) -> list[bytes]:
    if sys.version_info >= (3, 13):
        return tls.get_unverified_chain()
    # 3.11 and 3.12 have the same function one level lower; pip's truststore relies on it too
    inner = getattr(tls, "_sslobj")  # noqa: B009 - not in the type stubs
    return [ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in inner.get_unverified_chain() or ()]
