"""What `inspect` shows: parts of one source, each with certificates in their order and how they hang together."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from meshpki.pki.certificate import Certificate
from meshpki.pki.contents import Contents

# enough for any chain; a hostile bundle of namesakes must not cost a signature check for each pair
_CANDIDATES = 16


class Role(StrEnum):
    """What the certificates of a part are there for."""

    CHAIN = "chain"
    BUNDLE = "bundle"


@dataclass(frozen=True)
class Part:
    """Certificates that stand together: one key of a Secret, one bundle of an Envoy, one file."""

    name: str
    role: Role
    contents: Contents


@dataclass(frozen=True)
class Inspection:
    """One source, as `file chain.pem` or `Pod bookinfo/reviews-v1-x`, looked at at one moment (UTC)."""

    source: str
    at: datetime
    parts: tuple[Part, ...]

    def of(self, role: Role) -> tuple[Part, ...]:
        """The parts of one role."""
        return tuple(part for part in self.parts if part.role is role)

    def linked(self, part: Part) -> "tuple[tuple[Certificate, Link], ...]":
        """The certificates of a part, each with its link; a chain's may lead to an anchor beside it."""
        anchors = [one for bundle in self.of(Role.BUNDLE) if bundle is not part for one in bundle.contents.certificates]
        certificates = part.contents.certificates
        return tuple(zip(certificates, links(certificates, anchors), strict=True))


class Bond(StrEnum):
    """How a certificate hangs together with the others of its part."""

    SIGNED = "signed by"
    OTHER_KEY = "names as its issuer, whose key does not verify its signature,"
    SELF_SIGNED = "self-signed"
    ANCHORED = "signed by an anchor of its bundle"
    OPEN = "its issuer is not here"


@dataclass(frozen=True)
class Link:
    """A bond, and the number of the certificate it leads to, counted from 1; 0 where it leads to none.

    `agreed` is False where the authority key identifier is not the issuer's subject key identifier.
    """

    bond: Bond
    to: int = 0
    agreed: bool = True


def links(certificates: Sequence[Certificate], anchors: Sequence[Certificate] = ()) -> tuple[Link, ...]:
    """The link of each certificate: to the next where that signed it, else to whichever did, else to an anchor."""
    return tuple(_link(number, certificates, anchors) for number in range(len(certificates)))


def _link(number: int, certificates: Sequence[Certificate], anchors: Sequence[Certificate]) -> Link:
    certificate = certificates[number]
    if certificate.self_signed:
        return Link(Bond.SELF_SIGNED)
    order = sorted((other for other in range(len(certificates)) if other != number), key=lambda one: one != number + 1)
    namesakes = [other for other in order if certificate.names_issuer(certificates[other])][:_CANDIDATES]
    for other in namesakes:
        if certificate.signed_by(certificates[other]):
            return Link(Bond.SIGNED, other + 1, _agreed(certificate, certificates[other]))
    for anchor in [one for one in anchors if certificate.names_issuer(one)][:_CANDIDATES]:
        if certificate.signed_by(anchor):
            return Link(Bond.ANCHORED, agreed=_agreed(certificate, anchor))
    return Link(Bond.OTHER_KEY, namesakes[0] + 1) if namesakes else Link(Bond.OPEN)


def _agreed(certificate: Certificate, issuer: Certificate) -> bool:
    return not (certificate.aki and issuer.ski) or certificate.aki == issuer.ski
