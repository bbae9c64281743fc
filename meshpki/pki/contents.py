"""What a file, a Secret or a ConfigMap holds of certificates, read leniently: for looking at, not for believing."""

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass

from meshpki.pki.bundle import BUNDLE_LENGTH, BUNDLE_LIMIT
from meshpki.pki.certificate import Certificate, UnparsableError, read_chain, read_der, refuse_many

_EDGE = re.compile(rb"-----(BEGIN|END) ([^\r\n]{0,64}?)-----")
_CERTIFICATE = b"CERTIFICATE"
_SEQUENCE = b"\x30"  # with which every certificate in DER begins


@dataclass(frozen=True)
class Contents:
    """Certificates in their order, and what else lay among them: kinds of PEM block, and why a block was no use.

    A private key is only ever named, as `EC PRIVATE KEY`; nothing of it is kept.
    """

    certificates: tuple[Certificate, ...] = ()
    others: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()


def read_contents(content: bytes) -> Contents:
    """The certificates of PEM, of one certificate in DER, or of either in base64, as in a Kubernetes object.

    Raises UnparsableError where nothing of it is a PEM block or a certificate, or it is more than a bundle may be.
    """
    if len(content) > BUNDLE_LIMIT:
        raise UnparsableError(f"{len(content)} bytes, at most {BUNDLE_LIMIT} are read")
    if content.startswith(_SEQUENCE):
        return Contents(read_der([content]))
    if _EDGE.search(content):
        return _read_pem(content)
    decoded = _decoded(content)
    if not decoded:
        raise UnparsableError("there is no certificate")
    return Contents(read_der([decoded])) if decoded.startswith(_SEQUENCE) else _read_pem(decoded)


def _read_pem(pem: bytes) -> Contents:
    certificates: list[Certificate] = []
    others: list[str] = []
    damaged: list[str] = []
    blocks = list(_blocks(pem))
    refuse_many(len(blocks), BUNDLE_LENGTH)
    for number, (kind, block) in enumerate(blocks, 1):
        if not block:
            damaged.append(f"block {number} is cut off: its BEGIN and END lines do not pair")
        elif kind != _CERTIFICATE:
            others.append(kind.decode(errors="replace"))
        else:
            try:
                certificates += read_chain(block)
            except UnparsableError as error:
                damaged.append(f"block {number}: {error.what}")
    if not (certificates or others or damaged):
        raise UnparsableError("there is no certificate")
    return Contents(tuple(certificates), tuple(others), tuple(damaged))


def _blocks(pem: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and text of each PEM block (RFC 7468); the text is empty where BEGIN and END do not pair."""
    begun: re.Match[bytes] | None = None
    for edge in _EDGE.finditer(pem):
        if edge[1] == b"BEGIN":
            if begun:
                yield begun[2], b""
            begun = edge
        else:
            paired = begun is not None and begun[2] == edge[2]
            yield edge[2], pem[begun.start() : edge.end()] if begun and paired else b""
            begun = None
    if begun:
        yield begun[2], b""


def _decoded(content: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(content.split()), validate=True)
    except binascii.Error:
        return b""
