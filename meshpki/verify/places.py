"""The places besides Envoys where the mesh serves or keeps trust, and what was found at each."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from meshpki.cluster.manifest import Ref
from meshpki.pki.certificate import Certificate
from meshpki.pki.verdict import Finding, Result


class PlaceKind(StrEnum):
    """What is looked at there."""

    ROOT = "root"
    """The pinned root, beside the CertificateRequest that it was issued by."""
    ISTIOD_CA = "istiod-ca"
    """The newest CertificateRequest of `cacerts`."""
    ISTIOD = "istiod"
    """The chain that one replica serves on one port."""
    SPIRE_SERVER = "spire-server"
    """The chain that one server serves on 8081; its issuer is SPIRE's active CA."""
    SPIRE_BUNDLE = "spire-bundle"
    """The ConfigMap from which agents bootstrap."""
    ISTIO_BUNDLE = "istio-bundle"
    """`istio-ca-root-cert` in one namespace."""
    WEBHOOK = "webhook"
    """The caBundle of one webhook."""
    REQUEST = "request"
    """A CertificateRequest by which somebody else obtained a certificate below the root."""
    REQUESTERS = "requesters"
    """Who may create CertificateRequests and Certificates for our issuers."""
    CLOCK = "clock"
    """The API server's clock beside this machine's."""


@dataclass(frozen=True, order=True)
class Place:
    """One such place; `detail` tells several in one object apart: a port, a webhook's name."""

    kind: PlaceKind
    ref: Ref
    detail: str = ""

    def __str__(self) -> str:
        """As people find it again: object, then detail."""
        return f"{self.ref} {self.detail}".rstrip()


@dataclass(frozen=True)
class PlaceVerdict:
    """The judgement of one place.

    `path` is what is served there, leaf first; `bundle` the fingerprints of the anchors kept there; `expires` the
    earliest end (UTC). `reason` tells why there was nothing to judge, or in a word what was seen.
    """

    place: Place
    result: Result
    path: tuple[Certificate, ...] = ()
    bundle: tuple[str, ...] = ()
    expires: datetime | None = None
    findings: tuple[Finding, ...] = ()
    reason: str = ""

    @property
    def name(self) -> str:
        """What it is called in a report."""
        return str(self.place)


@dataclass(frozen=True)
class Unseen:
    """Something verify did not look at, and the right or option with which it would."""

    what: str
    needs: str
