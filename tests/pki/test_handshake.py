import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshpki.pki.chain import proves
from meshpki.pki.handshake import HandshakeError, served_chain
from tests.support import certificates as made
from tests.support.certificates import AT

NAME = "istiod.istio-system.svc"


@contextlib.contextmanager
def served(folder: Path, *, version: ssl.TLSVersion, asks: ssl.VerifyMode = ssl.CERT_NONE) -> Iterator[socket.socket]:
    """The client's end of a connection to a TLS server with istiod's chain: leaf, cacerts."""
    ca = made.mesh_root().issue(made.CACERTS)
    leaf = ca.issue(made.ISTIOD_SERVING)
    file = folder / "served.pem"
    file.write_bytes(made.pem(leaf, ca) + leaf.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = version
    context.verify_mode = asks
    context.set_alpn_protocols(["h2"])
    context.load_cert_chain(file)
    client, server = socket.socketpair()
    thread = threading.Thread(target=_serve, args=(context, server))
    thread.start()
    with client:
        yield client
    thread.join(5)


def _serve(context: ssl.SSLContext, connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as tls:
        tls.recv(1)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("asks", [ssl.CERT_NONE, ssl.CERT_OPTIONAL])
def test_the_whole_chain_a_server_presents_is_read_and_can_be_judged(
    tmp_path: Path, version: ssl.TLSVersion, asks: ssl.VerifyMode
) -> None:
    with served(tmp_path, version=version, asks=asks) as connection:
        chain = served_chain(connection, NAME)
        assert connection.fileno() >= 0
    assert [certificate.dns_names[:1] for certificate in chain] == [(NAME,), (NAME,)]
    assert proves(chain, [made.mesh_root().certificate], AT) is None


def test_a_server_that_speaks_no_tls_is_an_error_with_a_reason() -> None:
    client, server = socket.socketpair()
    with client, server:
        server.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        with pytest.raises(HandshakeError, match="TLS handshake failed") as caught:
            served_chain(client, NAME)
    assert caught.value.where == NAME


def test_a_server_that_hangs_up_is_an_error_with_a_reason() -> None:
    client, server = socket.socketpair()
    server.close()
    with client, pytest.raises(HandshakeError, match="TLS handshake failed"):
        served_chain(client, NAME)


def test_a_server_that_stays_silent_is_given_up_in_time() -> None:
    client, server = socket.socketpair()
    client.settimeout(0.1)
    with client, server, pytest.raises(HandshakeError, match="TLS handshake failed"):
        served_chain(client, NAME)
