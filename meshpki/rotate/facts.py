"""What a root rotation sees of the mesh at one moment: who trusts which roots, and under which root each chain lies.

Roots go by the SHA-256 of their certificate, as in the pin; SPIRE's own lists go by subject key id.
"""

from dataclasses import dataclass
from datetime import datetime

from meshpki.cluster.manifest import Object
from meshpki.components.spire_authorities import Authority, Slots, Trusted
from meshpki.pki.certificate import Certificate
from meshpki.verify.places import Place
from meshpki.verify.pods import MeshPod


@dataclass(frozen=True)
class Generation:
    """One generation of the trust anchor: its number, which names its objects, and its certificate."""

    number: int
    root: Certificate

    @property
    def ski(self) -> str:
        """The name by which SPIRE knows it; a root of ours always has one."""
        return self.root.ski or ""

    def ended(self, at: datetime) -> bool:
        """Whether nobody accepts anything under it any more, whoever still trusts it."""
        return self.root.not_after <= at

    def __str__(self) -> str:
        """As it is shown."""
        return f"{self.root.subject} {self.root.sha256[:16]}"


@dataclass(frozen=True)
class Turn:
    """The way of a rotation: from the root that the mesh leaves to the one it enters. Going back is the other way."""

    leaving: Generation
    entering: Generation

    @property
    def back(self) -> "Turn":
        """The same two roots the other way."""
        return Turn(self.entering, self.leaving)

    @property
    def both(self) -> tuple[Certificate, Certificate]:
        """Both roots, the older generation first: the order of their text in istiod's bundle, which never changes."""
        first, second = sorted((self.leaving, self.entering), key=lambda one: one.number)
        return first.root, second.root


@dataclass(frozen=True)
class Envoy:
    """What one pod's Envoy trusts and presents.

    `anchors` is None where it could not be read, and `why` says the reason; `root` is the root above its leaf, empty
    where the leaf lies under none of the two.
    """

    pod: MeshPod
    anchors: frozenset[str] | None
    root: str = ""
    leaf: Certificate | None = None
    why: str = ""

    @property
    def name(self) -> str:
        """As people find it."""
        return f"{self.pod.ref.namespace}/{self.pod.ref.name}"


@dataclass(frozen=True)
class Keeper:
    """An object that holds anchors: `istio-ca-root-cert` of a namespace, a webhook's caBundle, SPIRE's bundle."""

    place: Place
    anchors: frozenset[str] | None
    why: str = ""

    @property
    def name(self) -> str:
        """As people find it."""
        return str(self.place)


@dataclass(frozen=True)
class Server:
    """A TLS port of a pod of the control plane, and the root above what it serves; empty where it is none of the two.

    `issuer` is the key id by which its leaf names its CA, `sent` are the certificates of its chain. istiod's ends with
    the whole of its bundle: tls.crt and ca.crt are one chain to it (Istio 1.29, pilot/pkg/bootstrap/istio_ca.go,
    detectSigningCABundle).
    """

    name: str
    root: str
    why: str = ""
    sent: frozenset[str] = frozenset()
    issuer: str = ""
    pod: str = ""


@dataclass(frozen=True)
class SpireServer:
    """One spire-server's slots and its bundle; the pod's uid and restarts tell one process from the next."""

    pod: Object
    slots: Slots
    bundle: tuple[Trusted, ...]

    @property
    def name(self) -> str:
        """As people find it."""
        return str(self.pod["metadata"]["name"])

    def trusts(self, root: Certificate) -> bool:
        """Whether a root is in its bundle, tainted or not."""
        return any(one.root.sha256 == root.sha256 for one in self.bundle)

    def tainted(self, root: Certificate) -> bool:
        """Whether a root is in its bundle as one to get away from."""
        return any(one.tainted and one.root.sha256 == root.sha256 for one in self.bundle)

    def signs_under(self, generation: Generation) -> bool:
        """Whether what it issues now lies under a root."""
        return _lies_under(self.slots.active, generation)

    def has_ca_under(self, generation: Generation) -> bool:
        """Whether it signs under a root, or is ready to."""
        return self.signs_under(generation) or _lies_under(self.slots.prepared, generation)

    def taintable(self, generation: Generation) -> bool:
        """Whether it may be told to get away from a root: by the old slot alone, which its next preparation overwrites.

        Source: SPIRE v1.15.3, pkg/server/api/localauthority/v1.
        """
        return _lies_under(self.slots.old, generation)

    def out_of_reach(self, generation: Generation) -> bool:
        """Whether it trusts a root without being able to be told otherwise."""
        trusted = self.trusts(generation.root) and not self.tainted(generation.root)
        return trusted and not self.taintable(generation)


@dataclass(frozen=True)
class Facts:
    """One look. `alias` is the generation that the alias issuer signs with, `cacerts` the root above istiod's CA.

    `handed` are the anchors that we put into istiod's Secret, None while it holds cert-manager's own; `absent` says
    which pods of spire-server are not there to be asked, since what they sign with nobody knows.
    """

    at: datetime
    alias: int
    cacerts: str
    handed: tuple[str, ...] | None
    spire: tuple[SpireServer, ...]
    envoys: tuple[Envoy, ...]
    istio: tuple[Keeper, ...]
    published: tuple[Keeper, ...]
    istiod: tuple[Server, ...]
    spire_serving: tuple[Server, ...]
    absent: tuple[str, ...] = ()


def _lies_under(slot: Authority | None, generation: Generation) -> bool:
    return slot is not None and slot.upstream == generation.ski
