"""What was seen of the control plane at one moment, before anything is judged of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from meshpki.cluster.manifest import Ref
from meshpki.components.trust import Pin
from meshpki.errors import MeshpkiError
from meshpki.pki.certificate import Certificate
from meshpki.verify.places import Place, Unseen

Party = Literal["root", "istiod-ca", "spire", ""]


@dataclass(frozen=True)
class Served:
    """The chain that a TLS port presented, leaf first, or why none came."""

    place: Place
    chain: tuple[Certificate, ...] = ()
    error: MeshpkiError | None = None


@dataclass(frozen=True)
class Kept:
    """The anchors that an object holds, in PEM, or why it could not be read."""

    place: Place
    pem: bytes = b""
    error: MeshpkiError | None = None


@dataclass(frozen=True)
class Signed:
    """A CertificateRequest that names one of our issuers, or asks for a CA; without chain and error it is unanswered.

    `certificate` and `revision` are its annotations. `requester` is who created it, as cert-manager's webhook saw
    it, and `party` which part of the mesh that is: empty for anybody else.
    """

    ref: Ref
    issuer: str
    asks_ca: bool
    certificate: str
    revision: int
    chain: tuple[Certificate, ...] = ()
    error: MeshpkiError | None = None
    requester: str = ""
    party: Party = ""


@dataclass(frozen=True)
class Requester:
    """Somebody whom RBAC lets create a resource in a namespace (empty: in all), and by which binding."""

    subject: str
    resource: str
    namespace: str
    through: Ref


@dataclass(frozen=True)
class LocalAuthorities:
    """The authority ids (subject key ids, lower-case hex) that spire-server itself lists; asked for by exec alone."""

    active: frozenset[str]
    prepared: frozenset[str]
    old: frozenset[str]


@dataclass(frozen=True)
class Observation:
    """One look at the control plane. `requesters` and `signed` are None where they may not be read (see `unseen`).

    `injecting` are the namespaces whose pods get a sidecar, None where they may not be listed.
    `policed` is whether policies are wished for and the rogue request of `up` was denied by them.
    `skew` is the API server's clock minus this machine's, None where the answer bore no date.
    """

    served: tuple[Served, ...] = ()
    kept: tuple[Kept, ...] = ()
    pin: Pin | None = None
    signed: tuple[Signed, ...] | None = None
    requesters: tuple[Requester, ...] | None = None
    policed: bool = False
    local: LocalAuthorities | None = None
    skew: timedelta | None = None
    injecting: frozenset[str] | None = None
    unseen: Sequence[Unseen] = field(default_factory=tuple)
